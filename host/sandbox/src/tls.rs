//! How a target proves who it is: TLS 1.2 and 1.3, HTTP/1.1 by ALPN, and a
//! certificate for the name that was asked for, from an authority that the machine
//! trusts or that the configuration names. There is no way to leave the check out.

mod pinned;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

/// Why targets cannot be spoken to over TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The authorities' file.
    #[error("the authorities' certificates cannot be used: {0}; expected PEM with one certificate or more")]
    Authorities(String),
    /// The machine has no authorities, and none were named.
    #[error(
        "this machine names no certificate authority that it trusts ({0}); install its package of CA certificates, or set `ca_file`"
    )]
    NoAuthorities(String),
    /// The host's own certificate towards the target.
    #[error(
        "the client certificate cannot be used: {0}; expected a chain and its unencrypted private key, both in PEM"
    )]
    Identity(String),
    /// The name that a target has to prove.
    #[error("`{0}` is no name that a certificate could be for")]
    Name(String),
}

/// A certificate of the host's own and its key, both PEM.
pub struct Identity<'a> {
    /// The host's own certificate first.
    pub chain: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
}

/// Whom the host trusts and who it is itself, for one target. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    /// A connection is kept for exactly the settings that it was made with.
    id: u64,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ClientTls {
    /// Trusts the machine's authorities and those of a PEM text.
    ///
    /// # Errors
    /// When a text cannot be used, or nobody would be trusted.
    pub fn new(authorities: Option<&[u8]>, identity: Option<&Identity<'_>>) -> Result<Self, TlsError> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let mut roots = RootCertStore::empty();
        let platform = rustls_native_certs::load_native_certs();
        // One of many that the machine has and nobody can read is no reason to trust none.
        roots.add_parsable_certificates(platform.certs);
        if let Some(pem) = authorities {
            let unusable = |error: String| TlsError::Authorities(error);
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            if roots.len() == before {
                return Err(unusable("there is none in it".to_owned()));
            }
        }
        if roots.is_empty() {
            let why = platform.errors.first().map_or_else(|| "it has none".to_owned(), ToString::to_string);
            return Err(TlsError::NoAuthorities(why));
        }

        let roots = Arc::new(roots);
        // Named, or another crate's choice of provider would be a panic at the first request.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Identity(error.to_string()))?
            .with_root_certificates(Arc::clone(&roots));
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => own_certificate(identity)
                .and_then(|(chain, key)| builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string()))
                .map_err(TlsError::Identity)?,
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), roots, id: MADE.fetch_add(1, Ordering::Relaxed) })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Speaks to whoever answers under this name, if he can prove it.
    pub(crate) async fn over(&self, stream: TcpStream, name: &str) -> Result<TlsStream<TcpStream>, NotProven> {
        let broken = |why: String| NotProven { certificate: false, why };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| broken("it is no name for TLS".to_owned()))?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await.map_err(|error| {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
            match cause {
                Some(rustls::Error::InvalidCertificate(what)) => NotProven { certificate: true, why: in_words(what) },
                Some(cause) => broken(unwelcome(cause).unwrap_or_else(|| cause.to_string())),
                None => broken(error.kind().to_string()),
            }
        })
    }
}

fn own_certificate(identity: &Identity<'_>) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let chain = CertificateDer::pem_slice_iter(identity.chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    // What cannot be read of a key is not repeated: it would be the key.
    let key = PrivateKeyDer::from_pem_slice(identity.key).map_err(|_| "its key cannot be read".to_owned())?;
    Ok((chain, key))
}

/// A target that could not prove itself. Nothing was sent.
pub(crate) struct NotProven {
    /// Its certificate is the reason.
    pub(crate) certificate: bool,
    pub(crate) why: String,
}

/// What a target that does not take the host's certificate, or misses one, says about it. With
/// TLS 1.3 it does so after the host has begun to speak, so an exchange breaks off by it; but
/// it ends its own handshake with that, and looks at no request before (RFC 8446 4.4.2.4).
pub(crate) fn unwelcome_in(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let cause = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(why) = cause.and_then(|cause| cause.downcast_ref()).and_then(unwelcome) {
            return Some(why);
        }
        next = error.source();
    }
    None
}

fn unwelcome(cause: &rustls::Error) -> Option<String> {
    let rustls::Error::AlertReceived(alert) = cause else { return None };
    let what = match alert {
        AlertDescription::CertificateRequired => "it asks for a certificate of the host's",
        AlertDescription::UnknownCA => "it does not trust the authority of the host's certificate",
        AlertDescription::CertificateExpired => "the host's certificate has expired",
        AlertDescription::CertificateRevoked => "the host's certificate was revoked",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it does not accept the host's certificate",
        _ => return None,
    };
    Some(format!("{what}; look at `certificate` and `key` in `tls` of its [[target]]"))
}

fn in_words(what: &CertificateError) -> String {
    match what {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "its certificate is from an authority that is not trusted; `ca_file` of the [[target]] would name one"
                .to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        other => format!("its certificate is not accepted: {other}"),
    }
}
