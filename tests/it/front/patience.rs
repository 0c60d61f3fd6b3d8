//! Visitors who take and give nothing: each is ended by a limit, and the others
//! are served meanwhile.

use std::time::Duration;

use portreeve_api::{Limits, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{EDI_TOKEN, PurchaseOrder, Setup, TestHost, x12};

/// Short enough for a test, long enough for a busy machine to serve an honest visitor.
const SHORT: Duration = Duration::from_millis(200);

/// Never over in a test.
const LONG: Duration = Duration::from_secs(600);

fn patient() -> Limits {
    Limits { head_within: LONG, body_within: LONG, connection_within: LONG, drain_within: LONG, ..Limits::default() }
}

fn head(length: usize) -> String {
    format!(
        "POST /v1/channels/edi HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {EDI_TOKEN}\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// All that the other side says until it closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end as well.
    drop(stream.read_to_end(&mut said).await);
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_visitor_who_never_ends_the_head_is_sent_away() {
    let host = TestHost::demo().await;
    let door = host.front_door_with(Limits { head_within: SHORT, ..patient() }).await;
    let mut slow = TcpStream::connect(door.address()).await.unwrap();
    slow.write_all(b"POST /v1/channels/edi HTTP/1.1\r\nhost: x\r\nx-more: ").await.unwrap();
    assert!(!rest(&mut slow).await.contains("200 OK"));
    door.close().await;
}

#[tokio::test]
async fn a_visitor_who_never_ends_the_body_is_told_so() {
    let host = TestHost::demo().await;
    let door = host.front_door_with(Limits { body_within: SHORT, ..patient() }).await;
    let mut slow = TcpStream::connect(door.address()).await.unwrap();
    slow.write_all(head(100).as_bytes()).await.unwrap();
    slow.write_all(b"ISA*").await.unwrap();
    let said = rest(&mut slow).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("problem:timeout"), "{said}");
    assert_eq!(host.summary().await.inputs, 0);
    door.close().await;
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_read() {
    let host = TestHost::demo().await;
    let door = host.front_door_with(patient()).await;
    for credential in ["", "authorization: Bearer wrong\r\n"] {
        let mut stranger = TcpStream::connect(door.address()).await.unwrap();
        let head = format!("POST /v1/channels/edi HTTP/1.1\r\nhost: x\r\n{credential}content-length: 4000000\r\n\r\n");
        stranger.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stranger.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 401", "the answer does not wait for 4 MB of a stranger");
    }
    door.close().await;
}

#[tokio::test]
async fn requests_beyond_the_count_are_told_to_come_again() {
    let host = TestHost::demo().await;
    let door = host.front_door_with(Limits { requests_max: 1, ..patient() }).await;
    let mut under_way = TcpStream::connect(door.address()).await.unwrap();
    under_way.write_all(head(1_000).as_bytes()).await.unwrap();
    // When the second one is refused, the first one holds the place.
    let refused = loop {
        let answer = door.get("/v1/openapi.json", &[]).await;
        if answer.status == 429 {
            break answer;
        }
    };
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(door.get("/healthz", &[]).await.status, 200, "a monitor is not turned away");
    drop(under_way);
    while door.get("/v1/openapi.json", &[]).await.status != 200 {}
    door.close().await;
}

#[tokio::test]
async fn bodies_of_strangers_have_a_count_of_their_own() {
    let host = TestHost::demo().await;
    let door = host.front_door_with(Limits { unproven_bodies_max: 1, ..patient() }).await;
    let mut stranger = TcpStream::connect(door.address()).await.unwrap();
    let signed = "POST /v1/channels/shop HTTP/1.1\r\nhost: x\r\nx-portreeve-signature: 00\r\ncontent-length: 9\r\n\r\n";
    stranger.write_all(signed.as_bytes()).await.unwrap();
    let signature = [("x-portreeve-signature", "00")];
    while door.post("shop", &signature, b"{}").await.status != 429 {}
    // Whoever has shown a token does not wait for strangers.
    let order = x12(1, &PurchaseOrder::clean("PO-1"));
    let credential = format!("Bearer {EDI_TOKEN}");
    assert_eq!(door.post("edi", &[("authorization", &credential)], &order).await.status, 200);
    drop(stranger);
    door.close().await;
}

#[tokio::test]
async fn a_door_that_closes_answers_what_is_under_way_and_cuts_what_never_ends() {
    let host = TestHost::demo().await;
    let order = x12(1, &PurchaseOrder::clean("PO-1"));
    let door = host.front_door_with(patient()).await;
    let mut visitor = TcpStream::connect(door.address()).await.unwrap();
    visitor.write_all(head(order.len()).as_bytes()).await.unwrap();
    let address = door.address();
    let closing = tokio::spawn(door.close());
    // Closed for new visitors, while this one is still speaking.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    visitor.write_all(&order).await.unwrap();
    assert!(rest(&mut visitor).await.starts_with("HTTP/1.1 200 "));
    closing.await.unwrap();
    assert_eq!(host.summary().await.inputs, 1);

    let door = host.front_door_with(Limits { drain_within: SHORT, ..patient() }).await;
    let mut endless = TcpStream::connect(door.address()).await.unwrap();
    endless.write_all(head(1_000).as_bytes()).await.unwrap();
    door.close().await;
    assert_eq!(rest(&mut endless).await, "");
}

#[tokio::test]
async fn a_host_whose_door_ends_by_itself_stops_with_an_error() {
    let host = TestHost::demo().await;
    let doors: [(tokio::task::JoinHandle<std::io::Result<()>>, &str); 3] = [
        (tokio::spawn(async { panic!("a fault of the door's") }), "the front door panicked"),
        (tokio::spawn(async { Err(std::io::Error::other("no more")) }), "the front door failed: no more"),
        (tokio::spawn(async { Ok(()) }), "the front door closed by itself"),
    ];
    for (door, expected) in doors {
        let (close, _closing) = tokio::sync::watch::channel(false);
        let stopped = host.host.work_behind(door, close, std::future::pending()).await;
        let error = format!("{:#}", stopped.unwrap_err());
        assert!(error.contains(expected), "expected `{expected}` in: {error}");
    }
    host.verify().await.unwrap();
}

#[tokio::test]
async fn an_address_that_others_reach_needs_tls_and_tokens() {
    let open = |host: &str| Setup::demo().replace("portreeve.toml", "listen = \"127.0.0.1:8080\"", host);
    let error = |setup: Setup| async { format!("{:#}", setup.try_start().await.err().unwrap()) };
    let bare = error(open("listen = \"0.0.0.0:8443\"")).await;
    assert!(bare.contains("which others can reach, without TLS"), "{bare}");
    let missing = error(open("listen = \"0.0.0.0:8443\"\ntls = { certificate = \"no.pem\", key = \"no.key\" }")).await;
    assert!(missing.contains("the certificate `") && missing.contains("no.pem"), "{missing}");
    let files = tempfile::tempdir().unwrap();
    let (certificate, key) = (files.path().join("c.pem"), files.path().join("k.pem"));
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let tls = format!("tls = {{ certificate = \"{}\", key = \"{}\" }}", certificate.display(), key.display());
    let host = open(&format!("listen = \"0.0.0.0:8443\"\n{tls}")).start().await;

    assert!(Tls::read(&key, &certificate).is_err());
    let door = host.front_door().await;
    let said = https_get(door.address(), pair.cert.der().clone(), "/healthz").await;
    assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with("alive\n"), "{said}");
    let mut plain = TcpStream::connect(door.address()).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    drop(plain.read_to_end(&mut said).await);
    assert!(!said.starts_with(b"HTTP/"), "nobody is answered without TLS");
    door.close().await;
}

async fn https_get(
    address: std::net::SocketAddr,
    root: tokio_rustls::rustls::pki_types::CertificateDer<'static>,
    path: &str,
) -> String {
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let config = ClientConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = String::new();
    drop(stream.read_to_string(&mut said).await);
    said
}
