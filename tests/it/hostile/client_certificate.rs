//! Targets that ask who comes: the host shows the certificate that is configured for this
//! target and no other, and its key is told to nobody.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use portreeve_sandbox::{Call, ClientTls, Identity, RequestOutcome};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::connector::Border;
use super::egress::Way;
use crate::support::Setup;

/// Who signs certificates.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key in PEM, and the certificate's bytes.
struct Shown {
    chain: String,
    key: String,
    der: Vec<u8>,
}

impl Shown {
    fn by(authority: &Authority, name: &str, purpose: ExtendedKeyUsagePurpose) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, authority).unwrap();
        Self { chain: certificate.pem(), key: key.serialize_pem(), der: certificate.der().to_vec() }
    }

    fn client(authority: &Authority) -> Self {
        Self::by(authority, "portreeve.example", ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Lines of the key that are found in nothing else.
    fn hidden(&self) -> impl Iterator<Item = &str> {
        self.key.lines().filter(|line| !line.starts_with("-----"))
    }
}

/// A target that answers whoever shows a certificate of this authority, and keeps each
/// certificate with which a request came.
struct Asking {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Asking {
    async fn start(authority: &Authority, version: &'static SupportedProtocolVersion) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let own = Shown::by(authority, "erp.example", ExtendedKeyUsagePurpose::ServerAuth);
        let key = KeyPair::from_pem(&own.key).unwrap().serialize_der();
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![own.der.into()], PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)))
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, came) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let keep = Arc::clone(&came);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, keep) = (acceptor.clone(), Arc::clone(&keep));
                tokio::spawn(async move {
                    let mut some = [0; 1024];
                    let mut stream = match acceptor.accept(stream).into_fallible().await {
                        Ok(stream) => stream,
                        // Whoever hangs up with something unread resets the connection, and what
                        // was said last may be lost.
                        Err((_, mut stream)) => {
                            while stream.read(&mut some).await? > 0 {}
                            return Ok(());
                        }
                    };
                    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
                    while stream.read(&mut some).await? > 0 {
                        keep.lock().unwrap().push(shown.clone());
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
                    }
                    std::io::Result::Ok(())
                });
            }
        });
        Self { address, came }
    }

    /// Lets the connector out to this target, with what is configured for it.
    fn configured(&self, border: &mut Border, authority: &Authority, shown: Option<&Shown>) {
        let identity = shown.map(|shown| Identity { chain: shown.chain.as_bytes(), key: shown.key.as_bytes() });
        let tls = ClientTls::new(Some(authority.pem().as_bytes()), identity.as_ref()).unwrap();
        let way = Way { tls: Some(tls), ..Way::granted("addresses = [\"127.0.0.0/8\"]").answering(&[&["127.0.0.1"]]) };
        border.target.address = self.address;
        way.open(border, &format!("https://{}", self.name()), Path::new("."));
    }

    fn name(&self) -> String {
        format!("erp.example:{}", self.address.port())
    }

    async fn asked_by(&self, border: &Border) -> (String, RequestOutcome) {
        let name = self.name();
        border.send(Call::Deliver, &[("method", "POST"), ("scheme", "https"), ("authority", &name)]).await
    }

    fn came(&self) -> Vec<Vec<u8>> {
        self.came.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_target_that_asks_for_a_certificate_gets_the_configured_one_and_answers_nobody_without() {
    for version in [&version::TLS13, &version::TLS12] {
        let trusted = authority("an authority");
        let target = Asking::start(&trusted, version).await;
        let ours = Shown::client(&trusted);
        let mut border = Border::new("{}").await;
        target.configured(&mut border, &trusted, Some(&ours));
        for _ in 0..2 {
            let (told, outcome) = target.asked_by(&border).await;
            assert!(told.contains("answered 200"), "{told} {outcome:?}");
        }
        assert_eq!(target.came(), [ours.der.clone(), ours.der.clone()]);

        // Without it, also where the plugin has a connection that was opened with it; another
        // plugin; and with one that somebody else signed.
        let other = Shown::client(&authority("another authority"));
        let (mut alone, mut elsewhere) = (Border::new("{}").await, Border::new("{}").await);
        target.configured(&mut border, &trusted, None);
        target.configured(&mut alone, &trusted, None);
        target.configured(&mut elsewhere, &trusted, Some(&other));
        for (border, shown) in [(&border, None), (&alone, None), (&elsewhere, Some(&other))] {
            let (told, outcome) = target.asked_by(border).await;
            let RequestOutcome::Refused(why) = &outcome else { panic!("{version:?}: {told} {outcome:?}") };
            // Where the refusal of TLS 1.3 is there before the request was written, the connection is just closed.
            let says_why = why.contains("look at `certificate` and `key` in `tls` of its [[target]]");
            let is_closed =
                version.version == ProtocolVersion::TLSv1_3 && why.contains("closed the connection at once");
            assert!(says_why || is_closed, "{version:?}: {why}");
            for hidden in shown.into_iter().chain([&ours]).flat_map(Shown::hidden) {
                assert!(!why.contains(hidden) && !told.contains(hidden), "{told} {why}");
            }
        }
        assert_eq!(target.came().len(), 2, "nobody else was answered");

        // Configured again, it is answered again.
        target.configured(&mut alone, &trusted, Some(&ours));
        assert!(target.asked_by(&alone).await.0.contains("answered 200"));
    }
}

#[test]
fn no_error_and_no_debug_text_repeats_the_key_of_a_certificate() {
    let trusted = authority("an authority");
    let (ours, other) = (Shown::client(&trusted), Shown::client(&trusted));
    let body: String = ours.hidden().collect();
    let (half, _) = ours.key.split_at(ours.key.len() / 2);
    for (chain, key) in [
        // Another certificate's; one that was cut; one without its frame; none; and the two files the wrong way round.
        (other.chain.as_str(), ours.key.as_str()),
        (&ours.chain, half),
        (&ours.chain, &body),
        (&ours.chain, ""),
        (&ours.key, &ours.chain),
        ("", &ours.key),
    ] {
        let identity = Identity { chain: chain.as_bytes(), key: key.as_bytes() };
        let refused = ClientTls::new(Some(trusted.pem().as_bytes()), Some(&identity)).unwrap_err();
        let text = format!("{refused} {refused:?}");
        assert!(text.contains("the client certificate cannot be used"), "{text}");
        assert!(ours.hidden().all(|line| !text.contains(line)), "{text}");
    }
    let identity = Identity { chain: ours.chain.as_bytes(), key: ours.key.as_bytes() };
    let text = format!("{:?}", ClientTls::new(Some(trusted.pem().as_bytes()), Some(&identity)).unwrap());
    assert!(ours.hidden().all(|line| !text.contains(line)), "{text}");
}

#[tokio::test]
async fn a_host_whose_key_does_not_fit_says_where_and_never_the_key() {
    let trusted = authority("an authority");
    let (ours, other) = (Shown::client(&trusted), Shown::client(&trusted));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (authorities, key) = (write("ca.pem", &trusted.pem()), write("key.pem", &ours.key));
    let tls = |certificate: &str, key: &str| {
        format!("\n[target.tls]\nca_file = \"{authorities}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n")
    };
    let host = |tls: String| Setup::demo().erp_origin("https://127.0.0.1:9").append("portreeve.toml", &tls).try_start();
    let refused = format!("{:#}", host(tls(&write("other.pem", &other.chain), &key)).await.err().unwrap());
    assert!(refused.contains("TLS of target `erp`") && refused.contains("client certificate"), "{refused}");
    assert!(ours.hidden().all(|line| !refused.contains(line)), "{refused}");

    let missing = folder.path().join("no.pem").display().to_string();
    let refused = format!("{:#}", host(tls(&write("ours.pem", &ours.chain), &missing)).await.err().unwrap());
    assert!(refused.contains("no.pem") && refused.contains("cannot be read"), "{refused}");
    assert!(host(tls(&write("ours.pem", &ours.chain), &key)).await.is_ok());
}
