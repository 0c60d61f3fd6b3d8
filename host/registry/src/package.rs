//! A package: one component with its manifest inside, and the signature file that came
//! with it. Reading says what it claims; whether it counts is asked of
//! [`crate::trust`], and whether it loads of [`crate::Registry`].

use portreeve_model::Digest;
use portreeve_sandbox::{InspectError, Inspection};

use crate::manifest::{Manifest, ManifestError};
use crate::signature::{Signature, SignatureError};

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It is no component, or a damaged one.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// Its manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its signature file cannot be used.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// A package that was read.
#[derive(Debug, Clone)]
pub struct Package {
    manifest: Manifest,
    inspection: Inspection,
    signature: Option<Signature>,
}

impl Package {
    /// Reads a component and, where there is one, its signature file.
    ///
    /// # Errors
    /// When one of them cannot be understood.
    pub fn read(component: &[u8], signature: Option<&str>) -> Result<Self, PackageError> {
        let inspection = portreeve_sandbox::inspect(component)?;
        let manifest = Manifest::parse_embedded(&inspection)?;
        let signature = signature.map(Signature::parse).transpose()?;
        Ok(Self { manifest, inspection, signature })
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Digest of the component, manifest included.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.inspection.digest
    }

    /// What it imports and exports.
    #[must_use]
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// Its signature file.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }
}
