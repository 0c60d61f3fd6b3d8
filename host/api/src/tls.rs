//! TLS of the front door: one certificate chain and its key, TLS 1.2 and 1.3,
//! HTTP/1.1. Senders prove themselves by token or signature, not by certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why the door has no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file.
    #[error("the certificate `{}` cannot be used: {reason}; expected a chain in PEM, the server's own first", .path.display())]
    Certificate {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file.
    #[error("the key `{}` cannot be used: {reason}; expected one unencrypted private key in PEM", .path.display())]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The two do not fit.
    #[error("certificate `{}` and its key do not fit together: {reason}", .path.display())]
    Pair {
        /// Where the certificate is.
        path: PathBuf,
        /// What is wrong with it.
        reason: rustls::Error,
    },
}

/// A certificate chain with its key.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl Tls {
    /// Reads both from PEM files.
    ///
    /// # Errors
    /// When one cannot be read, or they do not fit together.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let path = || certificate.to_owned();
        let unusable = |reason: String| TlsError::Certificate { path: path(), reason };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unusable(error.to_string()))?;
        if chain.is_empty() {
            return Err(unusable("it holds no certificate".to_owned()));
        }
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsError::Key { path: key.to_owned(), reason: error.to_string() })?;
        // Named, or another crate's choice of provider would be a panic at the first visitor.
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
            .map_err(|reason| TlsError::Pair { path: path(), reason })?;
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}
