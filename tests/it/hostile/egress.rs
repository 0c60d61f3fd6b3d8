//! The way out against a hostile connector, a hostile target and a hostile name.
//!
//! Names are answered by the test, so nothing asks the network; whatever gets through
//! would reach a target on the loopback, which counts what it saw.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use portreeve::clock::SetClock;
use portreeve_model::PluginName;
use portreeve_pipeline::egress::{
    Allowance, CredentialEntry, Destination, Origin, Resolver, WayTo, plugin_requests_per_second_default,
};
use portreeve_pipeline::{Clock, Metrics, Outbound};
use portreeve_sandbox::{Call, ClientTls, RequestOutcome};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::connector::{Border, failed, refused};
use crate::support::{MORNING, PurchaseOrder, Setup, x12};

/// A name that answers what the test says, the next answer at each question.
#[derive(Default)]
pub(super) struct Answers {
    given: Mutex<Vec<Vec<IpAddr>>>,
    pub(super) asked: AtomicUsize,
}

impl Answers {
    fn of(answers: &[&[&str]]) -> Arc<Self> {
        let addresses = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { given: Mutex::new(answers.iter().map(addresses).collect()), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Resolver for Answers {
    async fn resolve(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut given = self.given.lock().unwrap();
        let answer = if given.len() > 1 { given.remove(0) } else { given.first().cloned().unwrap_or_default() };
        Ok(answer)
    }
}

/// A way out as a configuration would describe it.
pub(super) struct Way {
    /// A [`Destination`] without its origin.
    pub(super) granted: &'static str,
    /// Of all requests of the connector.
    pub(super) requests_per_second: u32,
    pub(super) tls: Option<ClientTls>,
    pub(super) credential: Option<CredentialEntry>,
    /// The id of the message that goes this way; none of a question.
    pub(super) message: Option<String>,
    pub(super) resolver: Arc<Answers>,
    pub(super) clock: Arc<SetClock>,
    pub(super) metrics: Metrics,
}

impl Way {
    pub(super) fn granted(granted: &'static str) -> Self {
        Self {
            granted,
            requests_per_second: plugin_requests_per_second_default(),
            tls: None,
            credential: None,
            message: None,
            resolver: Arc::default(),
            clock: Arc::new(SetClock::at(MORNING)),
            metrics: Metrics::default(),
        }
    }

    pub(super) fn answering(self, answers: &[&[&str]]) -> Self {
        Self { resolver: Answers::of(answers), ..self }
    }

    /// Lets the hostile connector out this way, to a target at this origin.
    pub(super) fn open(&self, border: &mut Border, origin: &str, base: &Path) {
        let destination = format!("origin = \"{origin}\"\n{}", self.granted);
        let destination: Destination = toml::from_str(&destination).unwrap();
        assert!(destination.problems().is_empty(), "{:?}", destination.problems());
        let allowance = Allowance { destinations: vec![destination], requests_per_second: self.requests_per_second };
        let to = WayTo {
            origin: Origin::parse(origin).unwrap(),
            tls: self.tls.clone(),
            credential: self.credential.clone(),
            tray: None,
        };
        let (clock, resolver): (Arc<dyn Clock>, Arc<dyn Resolver>) = (self.clock.clone(), self.resolver.clone());
        let plugins = BTreeMap::from([(PluginName::parse("hostile-connector").unwrap(), allowance)]);
        let targets = BTreeMap::from([("target".to_owned(), to)]);
        let out = Outbound::open(clock, resolver, plugins, targets, base, self.metrics.egress()).unwrap();
        let out = Arc::new(out);
        let with = |id: &String| out.to_with("target", id.clone());
        border.egress = Some(self.message.as_ref().map_or_else(|| out.to("target"), with));
    }
}

/// A border whose connector goes this way to a target under this name.
async fn named(way: &Way, scheme: &str, name: &str) -> (Border, String) {
    let mut border = Border::new("{}").await;
    let authority = format!("{name}:{}", border.target.address.port());
    way.open(&mut border, &format!("{scheme}://{authority}"), Path::new("."));
    (border, authority)
}

async fn get(border: &Border, authority: &str) -> (String, RequestOutcome) {
    border.send(Call::Find, &[("method", "GET"), ("authority", authority)]).await
}

#[tokio::test]
async fn a_name_that_leads_into_a_private_network_is_refused_whatever_form_the_address_has() {
    for (address, what) in [
        ("127.0.0.1", "loopback"),
        ("10.0.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("fd00:ec2::254", "unique-local"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
    ] {
        let way = Way::granted("").answering(&[&[address]]);
        let (border, authority) = named(&way, "http", "erp.example").await;
        let (told, outcome) = get(&border, &authority).await;
        assert!(refused(&outcome).contains(&format!("leads to the {what} address")), "{address}: {outcome:?}");
        assert!(told.contains("DestinationIpProhibited"), "{told}");
        assert!(border.target.seen().is_empty(), "{address}");
    }
    // One bad address among good ones is enough: nobody chooses which one is taken.
    let way = Way::granted("").answering(&[&["8.8.8.8", "127.0.0.1"]]);
    let (border, authority) = named(&way, "http", "erp.example").await;
    let (_, outcome) = get(&border, &authority).await;
    assert!(refused(&outcome).contains("loopback"), "{outcome:?}");
    assert!(way.metrics.text(&[]).contains("reason=\"address\""));
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_checked_anew_and_pinned_each_time() {
    let way = Way::granted("addresses = [\"127.0.0.1/32\"]").answering(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let (border, authority) = named(&way, "http", "erp.example").await;
    let (told, _) = get(&border, &authority).await;
    assert!(told.contains("answered 200"), "{told}");
    assert_eq!(border.target.seen()[0].1["host"], authority.as_str(), "the name stays in the request");
    assert_eq!(way.resolver.asked.load(Ordering::SeqCst), 1, "once for check and connection together");

    let (_, outcome) = get(&border, &authority).await;
    assert!(refused(&outcome).contains("loopback address 127.0.0.2"), "{outcome:?}");
    assert_eq!((border.target.seen().len(), way.resolver.asked.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test]
async fn a_redirect_is_the_guests_to_follow_and_the_hosts_to_refuse() {
    let way = Way::granted("");
    let mut border = Border::new("{}").await;
    let origin = format!("http://{}", border.target.address);
    way.open(&mut border, &origin, Path::new("."));
    let (told, _) = border.send(Call::Find, &[("method", "GET"), ("path", "/redirect")]).await;
    assert!(told.contains("answered 302"), "{told}");
    for (authority, scheme) in [("169.254.169.254", "http"), ("localhost", "http"), ("erp.example", "https")] {
        let (_, outcome) =
            border.send(Call::Find, &[("method", "GET"), ("authority", authority), ("scheme", scheme)]).await;
        assert!(refused(&outcome).contains("is not the origin of this target"), "{authority}: {outcome:?}");
    }
    assert_eq!(border.target.seen().len(), 1);
}

#[tokio::test]
async fn what_is_checked_is_what_is_sent() {
    let way = Way::granted("paths = [\"/api\"]\nmethods = [\"GET\"]");
    let mut border = Border::new("{}").await;
    let origin = format!("http://{}", border.target.address);
    way.open(&mut border, &origin, Path::new("."));
    for (method, path, sent) in [
        ("GET", "/api/orders", true),
        ("GET", "/api/%2e%2e/admin", false),
        ("GET", "/api/..%2fadmin", false),
        ("GET", "/apis", false),
        ("POST", "/api/orders", false),
    ] {
        let before = border.target.seen().len();
        let (told, outcome) = border.send(Call::Deliver, &[("method", method), ("path", path)]).await;
        assert_eq!(border.target.seen().len() - before, usize::from(sent), "{method} {path}: {told} {outcome:?}");
    }
}

// --- hostile targets ---

/// A target that answers each connection's first bytes with this head and then as `body` says.
async fn raw(head: &'static str, body: Body) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut some = [0; 1024];
                if stream.read(&mut some).await? == 0 {
                    return Ok(());
                }
                stream.write_all(head.as_bytes()).await?;
                let mut drip = tokio::time::interval(Duration::from_millis(5));
                loop {
                    match body {
                        Body::Drip => {
                            drip.tick().await;
                            stream.write_all(b"a").await?;
                        }
                        Body::Flood => stream.write_all(&[b'a'; 4096]).await?,
                        Body::Silence => std::future::pending().await,
                    }
                }
                #[expect(unreachable_code, reason = "it ends when the other side hangs up")]
                std::io::Result::Ok(())
            });
        }
    });
    address
}

#[derive(Clone, Copy)]
enum Body {
    Drip,
    Flood,
    Silence,
}

const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";

#[tokio::test]
async fn a_target_that_drips_or_falls_silent_is_cut_in_time() {
    for body in [Body::Drip, Body::Silence] {
        let mut border = Border::new(r#"{"http_total_ms": 150}"#).await;
        border.target.address = raw(LONG, body).await;
        let (told, outcome) = border.send(Call::Find, &[("method", "GET")]).await;
        assert!(failed(&outcome).contains("not over within 150 ms"), "{outcome:?}");
        assert!(told.contains("HttpResponseTimeout"), "{told}");
    }
}

#[tokio::test]
async fn an_endless_body_ends_at_the_limit() {
    let mut border = Border::new(r#"{"http_response_bytes": 100000}"#).await;
    border.target.address = raw(LONG, Body::Flood).await;
    let (told, outcome) = border.send(Call::Find, &[("method", "GET")]).await;
    assert!(failed(&outcome).contains("more than the 100000 that are allowed"), "{outcome:?}");
    assert!(told.contains("HttpResponseBodySize"), "{told}");
}

#[tokio::test]
async fn headers_are_bounded_in_both_directions_by_the_plugins_own_limit() {
    let border = Border::new(r#"{"http_header_bytes": 3000}"#).await;
    let fields = |count| [("act", "fields"), ("count", count), ("bytes", "500")];
    assert_eq!(border.act(Call::Deliver, &fields("4")).await.0.unwrap(), "taken");
    border.act(Call::Deliver, &fields("6")).await.0.unwrap_err();

    for (path, fits) in [("/header-bytes/2500", true), ("/header-bytes/3000", false)] {
        let (told, outcome) = border.send(Call::Find, &[("method", "GET"), ("path", path)]).await;
        assert_eq!(told.contains("answered 200"), fits, "{path}: {told} {outcome:?}");
        assert!(fits || failed(&outcome).contains("the answer's headers"), "{outcome:?}");
    }
}

// --- TLS ---

/// A certificate for the target.
struct Shown {
    names: &'static [&'static str],
    expired: bool,
    by_itself: bool,
}

const GOOD: Shown = Shown { names: &["erp.example"], expired: false, by_itself: false };

/// A target that shows this certificate and answers everybody; its authority in PEM.
async fn proving(shown: &Shown, answered: Arc<AtomicUsize>) -> (SocketAddr, String) {
    static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let name = format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::SeqCst));
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = shown.names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    if shown.expired {
        (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    }
    let certificate = match shown.by_itself {
        true => params.self_signed(&key).unwrap(),
        false => params.signed_by(&key, &authority).unwrap(),
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answered) = (acceptor.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut some = [0; 1024];
                while stream.read(&mut some).await? > 0 {
                    answered.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (address, authority.pem())
}

#[tokio::test]
async fn over_tls_a_target_proves_its_name_or_gets_nothing() {
    for (shown, trusted, refusal) in [
        (GOOD, true, None),
        (Shown { names: &["other.example", "127.0.0.1"], ..GOOD }, true, Some("is for another name")),
        (Shown { expired: true, ..GOOD }, true, Some("has expired")),
        (Shown { by_itself: true, ..GOOD }, true, Some("authority that is not trusted")),
        (GOOD, false, Some("authority that is not trusted")),
    ] {
        let answered = Arc::new(AtomicUsize::new(0));
        let (address, pem) = proving(&shown, Arc::clone(&answered)).await;
        let (_, other) = proving(&GOOD, Arc::default()).await;
        let authorities = if trusted { pem } else { other };
        let tls = ClientTls::new(Some(authorities.as_bytes()), None).unwrap();
        let way = Way { tls: Some(tls), ..Way::granted("addresses = [\"127.0.0.0/8\"]").answering(&[&["127.0.0.1"]]) };
        let mut border = Border::new("{}").await;
        border.target.address = address;
        let authority = format!("erp.example:{}", address.port());
        way.open(&mut border, &format!("https://{authority}"), Path::new("."));
        for _ in 0..2 {
            let send = [("method", "POST"), ("scheme", "https"), ("authority", authority.as_str())];
            let (told, outcome) = border.send(Call::Deliver, &send).await;
            match refusal {
                None => assert!(told.contains("answered 200"), "{told} {outcome:?}"),
                Some(why) => {
                    assert!(refused(&outcome).contains(why), "{outcome:?}");
                    assert!(told.contains("TlsCertificateError"), "{told}");
                }
            }
        }
        assert_eq!(answered.load(Ordering::SeqCst), if refusal.is_none() { 2 } else { 0 });
    }
}

// --- pace ---

#[tokio::test]
async fn a_second_has_so_many_requests_and_the_rest_comes_later() {
    let way = Way::granted("requests_per_second = 3");
    let mut border = Border::new("{}").await;
    let origin = format!("http://{}", border.target.address);
    way.open(&mut border, &origin, Path::new("."));
    let send = async || border.send(Call::Find, &[("method", "GET")]).await;
    for _ in 0..3 {
        assert!(send().await.0.contains("answered 200"));
    }
    let (told, outcome) = send().await;
    let RequestOutcome::Deferred { after_ms, why } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("`requests_per_second` of its [[plugin.egress]]"), "{why}");
    assert!((1..=1_000).contains(&after_ms) && told.contains("ConnectionLimitReached"), "{after_ms} {told}");
    way.clock.advance_to(MORNING.plus_ms(1_000));
    assert!(send().await.0.contains("answered 200"));
    assert_eq!(border.target.seen().len(), 4);
}

#[tokio::test]
async fn a_plugin_that_may_send_no_more_takes_nothing_from_the_others_of_its_target() {
    let way = Way { requests_per_second: 1, ..Way::granted("requests_per_second = 3") };
    let mut border = Border::new("{}").await;
    let origin = format!("http://{}", border.target.address);
    way.open(&mut border, &origin, Path::new("."));
    let send = async || border.send(Call::Find, &[("method", "GET")]).await.1;
    assert!(matches!(send().await, RequestOutcome::Answered { .. }));
    for _ in 0..5 {
        let RequestOutcome::Deferred { why, .. } = send().await else { panic!("beyond its rate") };
        assert!(why.contains("of its [[plugin]]"), "its own bucket is what is empty: {why}");
    }
}

#[tokio::test]
async fn a_window_has_so_many_requests_and_the_rest_comes_when_it_has_passed() {
    let way = Way::granted("window = { requests_max = 3, seconds = 10 }");
    let mut border = Border::new("{}").await;
    let origin = format!("http://{}", border.target.address);
    way.open(&mut border, &origin, Path::new("."));
    let send = async || border.send(Call::Find, &[("method", "GET")]).await;
    for _ in 0..3 {
        assert!(send().await.0.contains("answered 200"));
    }
    let (told, outcome) = send().await;
    let RequestOutcome::Deferred { after_ms, why } = outcome else { panic!("{outcome:?}") };
    assert!(
        why.contains("no more than 3 requests in 10 s") && why.contains("`window` of its [[plugin.egress]]"),
        "{why}"
    );
    assert!((10_001..=10_187).contains(&after_ms) && told.contains("ConnectionLimitReached"), "{after_ms} {told}");
    let after_ms = i64::try_from(after_ms).unwrap();
    way.clock.advance_to(MORNING.plus_ms(after_ms - 1));
    assert!(matches!(send().await.1, RequestOutcome::Deferred { after_ms: 1, .. }));
    way.clock.advance_to(MORNING.plus_ms(after_ms));
    assert!(send().await.0.contains("answered 200"));
    assert_eq!(border.target.seen().len(), 4);
}

#[tokio::test]
async fn a_target_that_fails_is_left_alone_until_one_request_has_tried_it() {
    let way = Way::granted("breaker_failures = 2\nbreaker_open_ms = 1000");
    let mut border = Border::new("{}").await;
    // Nobody listens there.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    border.target.address = closed;
    way.open(&mut border, &format!("http://{closed}"), Path::new("."));
    let send = async |border: &Border| border.send(Call::Find, &[("method", "GET")]).await.1;
    for _ in 0..2 {
        assert!(refused(&send(&border).await).contains("no connection"));
    }
    let opened = |outcome: RequestOutcome| match outcome {
        RequestOutcome::Deferred { after_ms, why } => (after_ms, why),
        other => panic!("{other:?}"),
    };
    let (after_ms, why) = opened(send(&border).await);
    assert!(after_ms == 1_000 && why.contains("failed 2 times in a row"), "{after_ms} {why}");
    let open = |open: u8| {
        format!("portreeve_http_breaker_open{{plugin=\"hostile-connector\",origin=\"http://{closed}\"}} {open}")
    };
    assert!(way.metrics.text(&[]).contains(&open(1)), "{}", way.metrics.text(&[]));

    // The probe fails: closed for as long again. Then the target is back.
    way.clock.advance_to(MORNING.plus_ms(1_000));
    assert!(refused(&send(&border).await).contains("no connection"));
    opened(send(&border).await);
    way.clock.advance_to(MORNING.plus_ms(2_000));
    let back = TcpListener::bind(closed).await.unwrap();
    tokio::spawn(axum::serve(back, axum::Router::new().fallback(|| async { "here" })).into_future());
    for _ in 0..2 {
        let outcome = send(&border).await;
        assert!(matches!(outcome, RequestOutcome::Answered { status: 200, .. }), "{outcome:?}");
    }
    assert!(way.metrics.text(&[]).contains(&open(0)));
}

#[tokio::test]
async fn a_target_that_is_silent_for_longer_than_the_call_is_left_alone_as_any_other_that_fails() {
    // Its own limit is far beyond the call's.
    let mut border = Border::new(r#"{"wall_ms": 2000, "http_total_ms": 30000}"#).await;
    border.target.address = raw(LONG, Body::Silence).await;
    let way = Way::granted("breaker_failures = 1");
    let origin = format!("http://{}", border.target.address);
    way.open(&mut border, &origin, Path::new("."));
    let (told, outcome) = border.send(Call::Find, &[("method", "GET")]).await;
    assert!(failed(&outcome).contains("was left of the 2000 ms (`wall_ms`)"), "{outcome:?}");
    assert!(told.contains("HttpResponseTimeout"), "the guest hears of it: {told}");
    let (_, outcome) = border.send(Call::Find, &[("method", "GET")]).await;
    let RequestOutcome::Deferred { why, .. } = outcome else { panic!("{outcome:?}") };
    assert!(why.contains("failed 1 times in a row"), "{why}");
}

#[tokio::test]
async fn a_delivery_that_the_host_held_back_is_tried_again_and_never_dead() {
    // Its connector makes a permanent failure of everything.
    let host = Setup::demo()
        .plugin("hostile-connector", "{ log = true, numbers = [\"control\"], kv = true, http = [\"GET\", \"POST\"] }")
        .replace("portreeve.toml", "connector = \"erp-rest\"", "connector = \"hostile-connector\"")
        .replace(
            "portreeve.toml",
            "settings = { base-url",
            "settings = { act = \"send\", method = \"POST\", path = \"/\", authority = \"127.0.0.1:9\", delivered = \"permanent\", base-url",
        )
        .erp_origin("http://127.0.0.1:9")
        .append("portreeve.toml", "breaker_failures = 1\n")
        .start()
        .await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_due().await;
    // Nobody listens there, which opens the breaker; what the connector makes of it counts.
    assert_eq!(host.order("PO-1").await.deliveries[0].state, "dead");

    // The next one is not let through, and the connector's word is not asked.
    host.send_edi(&x12(2, &PurchaseOrder::clean("PO-2"))).await.unwrap();
    host.decide_all().await;
    host.deliver_due().await;
    let order = host.order("PO-2").await;
    assert_eq!((order.deliveries[0].state.as_str(), order.deliveries[0].attempts), ("pending", 1));
    let leaves = serde_json::to_string(&host.leaves().await).unwrap();
    assert!(leaves.contains("\"outcome\":\"deferred\"") && leaves.contains("\"failure\":\"deferred\""), "{leaves}");
    host.verify().await.unwrap();
}

#[tokio::test]
async fn every_request_is_in_the_leaf_of_its_stage_and_its_path_only_blinded() {
    let host = Setup::demo().start().await;
    host.decide_orders(&[PurchaseOrder::clean("PO-1")]).await;
    host.deliver_all().await;
    let leaves = host.leaves().await;
    let receipt = leaves.iter().find(|leaf| leaf.body.kind() == "receipt").unwrap();
    let receipt = serde_json::to_string(receipt).unwrap();
    let authority = host.erp.origin().trim_start_matches("http://").to_owned();
    for part in [
        "\"method\":\"post\"",
        &format!("\"host\":\"{authority}\""),
        "\"outcome\":\"answered\"",
        "\"status\":201",
        "\"sentBytes\":\"",
        "\"answeredBytes\":\"",
        "\"sent\":\"sha256:",
        "\"answered\":\"sha256:",
        "\"durationMs\":\"",
        "\"path\":\"sha256:",
    ] {
        assert!(receipt.contains(part), "no {part} in {receipt}");
    }
    for guess in ["salesOrders", "companies", "api/v2.0"] {
        assert!(!receipt.contains(guess), "{receipt}");
    }
}
