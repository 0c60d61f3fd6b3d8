//! Components on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portreeve_model::Digest;
use portreeve_registry::Package;
use portreeve_registry::file::read_component;

use crate::files;
use crate::publisher::read_signature;

/// Where components and their signatures are kept, each under its digest.
#[derive(Debug, Clone)]
pub struct Components(PathBuf);

impl Components {
    /// A folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Keeps a component. Without a version of the configuration that names it, it
    /// changes nothing. A signature takes the place of an earlier one.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn keep(&self, digest: Digest, component: &[u8], signature: Option<&str>) -> anyhow::Result<()> {
        let path = self.path(digest);
        files::write_new(&path, component)?;
        match signature {
            Some(signature) => files::write_new(&portreeve_registry::Signature::beside(&path), signature.as_bytes()),
            None => Ok(()),
        }
    }

    /// A component and its signature. The digest decides, not the file's name.
    ///
    /// # Errors
    /// When it cannot be read, or has another digest.
    pub fn read(&self, digest: Digest) -> anyhow::Result<(Vec<u8>, Option<String>)> {
        let path = self.path(digest);
        let bytes = read_component(&path).context("a component that the configuration names cannot be used")?;
        let found = Digest::of(&bytes);
        if found != digest {
            bail!(
                "the component `{}` has digest {found}, the configuration names {digest}; run `portreeve init` again",
                path.display()
            );
        }
        Ok((bytes, read_signature(&path)?))
    }

    /// A component, read as a package with its signature.
    ///
    /// # Errors
    /// As [`Components::read`].
    pub fn package(&self, digest: Digest) -> anyhow::Result<Package> {
        let (component, signature) = self.read(digest)?;
        Ok(Package::read(&component, signature.as_deref())?)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.0.join(format!("{}.wasm", hex::encode(digest.as_bytes())))
    }
}
