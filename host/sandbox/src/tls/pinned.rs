//! For a client that connects by itself to an address that was judged before.
//!
//! The danger is the address standing in the place of the name: whoever is given an address asks
//! for a certificate of that, and then either nobody can prove himself or the check is left out.
//! So what such a client is handed knows the name and asks for no other. It says no name to the
//! server (SNI), since to its client there is none, and it takes up no earlier session: sessions are
//! kept by what the client believes to be the name.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::{ClientTls, TlsError};

impl ClientTls {
    /// The settings with which somebody else's client speaks to whoever answers at an address, if
    /// he can prove this name.
    ///
    /// # Errors
    /// When it is no name for TLS, or the authorities cannot be used.
    pub fn for_name(&self, name: &str) -> Result<ClientConfig, TlsError> {
        let no_name = |_| TlsError::Name(name.to_owned());
        let name = ServerName::try_from(name.to_owned()).map_err(no_name)?;
        let provider = Arc::new(ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.roots), provider)
            .build()
            .map_err(|error| TlsError::Authorities(error.to_string()))?;
        let mut config = ClientConfig::clone(&self.config);
        config.dangerous().set_certificate_verifier(Arc::new(OfName { name, inner }));
        config.resumption = Resumption::disabled();
        // It speaks no HTTP.
        config.alpn_protocols = Vec::new();
        Ok(config)
    }
}

/// Checks as always, for one name whatever the client asks for.
#[derive(Debug)]
struct OfName {
    name: ServerName<'static>,
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OfName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
