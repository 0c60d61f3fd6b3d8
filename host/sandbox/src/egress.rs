//! The host's HTTP sender behind `wasi:http/outgoing-handler`.
//!
//! The attack is a guest that reaches what it should not: another host, the
//! metadata service of the cloud, a name that resolves differently the second
//! time; or that learns a credential. So the host checks the method against the
//! export and the manifest, asks [`Egress`] for permission and for addresses,
//! connects to exactly those, over TLS proves the name, and sets credentials over the
//! guest's headers. Redirects are not followed: a new URL is a new request, which is
//! checked and counted as every other. Of an answer, sessions and whatever repeats a
//! credential are taken out before the guest sees it.
//!
//! Bodies are held whole, up to the limits: a request is sent only when the
//! guest has finished it, so that a guest that traps half-way causes nothing.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use portreeve_model::id::Digest;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::capability::{Egress, EgressRefused, EgressRequest, Ended, Permitted, Signature, ToSign};
use crate::connections::{Connections, Open, Place, Unanswered, Unopened};
use crate::limits::{HTTP_CHUNK_BYTES_MAX, Limits, URL_BYTES_MAX, to_u64};
use crate::outcome::{Call, RecordedRequest, RequestOutcome};
use crate::plugin::{Loaded, PluginSpec};
use crate::tls::{NotProven, unwelcome_in};

/// Headers by which some servers take a request for another one than it says: the
/// method and the path that were checked would not be those that count.
const MEANS_ANOTHER_REQUEST: [&str; 7] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-host",
    "x-forwarded-prefix",
];

/// Bytes of a secret from which on it is looked for in answers: a shorter one occurs
/// by chance, and nobody could read an answer any more.
const SECRET_BYTES_MIN: usize = 8;

/// A name that nobody knows now may be known then: name servers come back.
const UNRESOLVED_MS: u64 = 5_000;

/// Sends a guest's requests, and keeps the record of them.
pub(crate) struct Sender {
    spec: Arc<PluginSpec>,
    connections: Arc<Connections>,
    call: Call,
    egress: Arc<dyn Egress>,
    limits: Limits,
    volume: Volume,
    requests: Requests,
}

/// The record is shared with the requests that are under way.
type Requests = Arc<Mutex<Vec<RecordedRequest>>>;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Sender {
    pub(crate) fn new(plugin: &Loaded, call: Call, egress: Arc<dyn Egress>) -> Self {
        Self {
            spec: Arc::clone(&plugin.spec),
            connections: Arc::clone(&plugin.connections),
            call,
            egress,
            limits: plugin.spec.limits,
            volume: Volume::default(),
            requests: Requests::default(),
        }
    }

    /// Charges what a guest set of a request, which the host keeps for it.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Beyond> {
        self.volume.charge(bytes, self.limits.http_bytes)
    }

    pub(crate) fn into_requests(self) -> Vec<RecordedRequest> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a request on record; the handle writes its outcome. Beyond the limit
    /// there is no place for it.
    fn note(&self, request: &Request<WasiBody>) -> Option<Note> {
        let record = RecordedRequest {
            method: request.method().to_string(),
            url: without_query(request.uri()),
            authority: None,
            body: None,
            body_bytes: 0,
            duration_ms: 0,
            outcome: RequestOutcome::Unfinished,
        };
        let index = AtomicUsize::new(push(&self.requests, record, self.limits.http_requests)?);
        Some(Note { requests: self.requests.clone(), index, since: Instant::now() })
    }
}

/// A place in the record, where there is one left.
fn push(requests: &Requests, record: RecordedRequest, allowed: u64) -> Option<usize> {
    let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
    if to_u64(requests.len()) >= allowed {
        return None;
    }
    requests.push(record);
    Some(requests.len().saturating_sub(1))
}

impl WasiHttpHooks for Sender {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| {
            *name == header::AUTHORIZATION
                || *name == header::COOKIE
                || MEANS_ANOTHER_REQUEST.contains(&name.as_str())
                || DEFAULT_FORBIDDEN_HEADERS.contains(name)
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        HTTP_CHUNK_BYTES_MAX
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_read: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let Some(note) = self.note(&request) else {
            return Box::new(async { Err(Error::ConnectionLimitReached) });
        };
        let (spec, call, egress, limits) = (self.spec.clone(), self.call, self.egress.clone(), self.limits);
        let (volume, connections) = (self.volume.clone(), Arc::clone(&self.connections));
        Box::new(async move {
            let exchange = Exchange {
                spec: &spec,
                connections: &connections,
                call,
                egress: &*egress,
                limits: &limits,
                volume,
                note: &note,
            };
            match exchange.run(request, options.unwrap_or_default()).await {
                Ok(response) => {
                    let nothing_left: Box<dyn Future<Output = Result<(), Error>> + Send> = Box::new(async { Ok(()) });
                    Ok((response, nothing_left))
                }
                Err(failed) => {
                    note.outcome(failed.outcome);
                    Err(failed.error)
                }
            }
        })
    }
}

/// One request and its answer.
struct Exchange<'a> {
    spec: &'a PluginSpec,
    connections: &'a Connections,
    call: Call,
    egress: &'a dyn Egress,
    limits: &'a Limits,
    volume: Volume,
    note: &'a Note,
}

/// What the guest is told, and what is recorded.
struct Failed {
    error: Error,
    outcome: RequestOutcome,
    /// Whether it is the target that failed, and not the request.
    by_target: bool,
}

/// The guest's request without its body.
struct Head {
    method: Method,
    headers: HeaderMap,
}

/// A whole answer, as the guest may have it.
struct Answer {
    parts: http::response::Parts,
    body: Bytes,
    /// A refusal, where other credentials might do.
    renewable: bool,
}

impl Exchange<'_> {
    async fn run(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Failed> {
        self.check_method(request.method())?;
        check_url(request.uri())?;
        let permitted = self.permit(request.method().as_str(), &request.uri().to_string()).await?;
        self.note.authority(&permitted.authority);
        let (head, body) = self.complete(request).await?;

        let mut answer = self.send(&permitted, &head, &body, &options).await;
        // What was refused like this was not carried out; it is another request on record.
        if let Ok(Answer { parts, renewable: true, .. }) = &answer
            && permitted.passage.renew(parts.status.as_u16()).await
            && self.note.once_more(self.limits.http_requests)
        {
            answer = self.send(&permitted, &head, &body, &options).await;
        }
        let Answer { parts, body, .. } = answer?;
        Ok(Response::from_parts(parts, Full::new(body).map_err(Error::from).boxed_unsync()))
    }

    async fn permit(&self, method: &str, url: &str) -> Result<Permitted, Failed> {
        let asked = EgressRequest { plugin: &self.spec.name, call: self.call, method, url };
        let wait = Duration::from_millis(self.limits.http_connect_ms);
        match tokio::time::timeout(wait, self.egress.authorize(asked)).await {
            Ok(permitted) => permitted.map_err(not_permitted),
            Err(_) => Err(unreachable(
                Error::DnsTimeout,
                format!("its name was not resolved within {} ms", self.limits.http_connect_ms),
            )),
        }
    }

    /// One request with its credentials, and the whole answer, in its time. Whoever keeps
    /// count of targets hears of the end.
    async fn send(
        &self,
        permitted: &Permitted,
        head: &Head,
        body: &Bytes,
        options: &RequestOptions,
    ) -> Result<Answer, Failed> {
        let allowed = self.limits.http_total_ms;
        let exchange = async {
            let to_sign = ToSign {
                method: head.method.as_str(),
                authority: &permitted.authority,
                path_and_query: &permitted.path_and_query,
                content_type: head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()),
                body,
            };
            let signature = permitted.passage.sign(to_sign).await.map_err(not_permitted)?;
            let request = signed(permitted, head, body.clone(), &signature)?;
            let (response, open, place) = self.exchange(permitted, request, options).await?;
            let answer = self.answer(response, &signature, options).await?;
            self.connections.keep(place, open);
            Ok(answer)
        };
        let ended = match tokio::time::timeout(Duration::from_millis(allowed), exchange).await {
            Ok(ended) => ended,
            Err(_) => Err(failed(Error::HttpResponseTimeout, format!("it was not over within {allowed} ms"))),
        };
        match &ended {
            Ok(answer) => permitted.passage.ended(Ended::Answered { status: answer.parts.status.as_u16() }),
            Err(failed) if failed.by_target => permitted.passage.ended(Ended::Failed),
            Err(_) => {}
        }
        ended
    }

    /// `receive` answers without asking anybody; `poll`, `find` and `check` look
    /// and touch nothing; `deliver` runs under a permit.
    fn check_method(&self, method: &Method) -> Result<(), Failed> {
        let by_export = match self.call {
            Call::Deliver => true,
            Call::Poll | Call::Find | Call::Check => method == Method::GET || method == Method::HEAD,
            Call::Receive | Call::ToCanonical | Call::FromCanonical | Call::Score => false,
        };
        if !by_export {
            return Err(refused(Error::HttpRequestDenied, format!("`{}` may not send {method}", self.call)));
        }
        if !self.spec.declared.http.iter().any(|declared| declared == method.as_str()) {
            let why = format!("{method} is not declared; name it in the manifest under `imports.http`");
            return Err(refused(Error::HttpRequestDenied, why));
        }
        Ok(())
    }

    /// Waits for the whole body.
    async fn complete(&self, request: Request<WasiBody>) -> Result<(Head, Bytes), Failed> {
        let (parts, body) = request.into_parts();
        let late = Duration::from_millis(self.limits.http_total_ms);
        let collected = self.collect(body, self.limits.http_request_bytes, Duration::MAX);
        let body = match tokio::time::timeout(late, collected).await {
            Ok(Ok(body)) => body,
            Ok(Err(Stopped::Beyond(beyond))) => {
                let error = Error::HttpRequestBodySize(Some(beyond.allowed));
                return Err(refused(error, format!("the body: {beyond}")));
            }
            Ok(Err(Stopped::Broken | Stopped::Late)) | Err(_) => {
                return Err(refused(Error::HttpRequestBodySize(None), "the body was not finished".to_owned()));
            }
        };
        self.note.body(&body);
        Ok((Head { method: parts.method, headers: parts.headers }, body))
    }

    /// Sends the request over a kept connection or a new one. One that was kept may
    /// turn out to be closed before anything was written: then a new one has its turn.
    async fn exchange(
        &self,
        permitted: &Permitted,
        request: Request<Full<Bytes>>,
        options: &RequestOptions,
    ) -> Result<(Response<Incoming>, Open, Place), Failed> {
        let wait = options.first_byte_timeout.unwrap_or(Duration::MAX);
        let mut unsent = request;
        for place in permitted.places() {
            let Some(mut open) = self.connections.take(&place).await else { continue };
            match in_time(wait, open.send(unsent)).await? {
                Ok(response) => return Ok((response, open, place)),
                Err(Unanswered::Unsent(request)) => unsent = *request,
                Err(Unanswered::Broken(error)) => return Err(broken(error)),
            }
        }
        let (mut open, place) = self.connect(permitted, options.connect_timeout).await?;
        match in_time(wait, open.send(unsent)).await? {
            Ok(response) => Ok((response, open, place)),
            Err(Unanswered::Unsent(_)) => {
                Err(unreachable(Error::ConnectionRefused, "the target closed the connection at once".to_owned()))
            }
            Err(Unanswered::Broken(error)) => Err(broken(error)),
        }
    }

    /// A new connection to the first of the addresses that takes one.
    async fn connect(&self, permitted: &Permitted, wait: Option<Duration>) -> Result<(Open, Place), Failed> {
        let most = Duration::from_millis(self.limits.http_connect_ms);
        let wait = wait.map_or(most, |wait| wait.min(most));
        let tls = permitted.tls.as_ref().map(|(tls, name)| (tls, name.as_str()));
        let connected = async {
            let mut nobody = std::io::ErrorKind::AddrNotAvailable;
            for place in permitted.places() {
                match TcpStream::connect(place.address).await {
                    Ok(stream) => {
                        // A request is written in one piece; waiting for more of it only delays it.
                        stream.set_nodelay(true).map_err(|error| no_connection(error.kind()))?;
                        let open = Open::over(stream, tls, self.limits.http_header_bytes).await.map_err(unopened)?;
                        return Ok((open, place));
                    }
                    Err(error) => nobody = error.kind(),
                }
            }
            Err(no_connection(nobody))
        };
        let late = |_| unreachable(Error::ConnectionTimeout, format!("no connection within {} ms", wait.as_millis()));
        tokio::time::timeout(wait, connected).await.map_err(late)?
    }

    /// Reads the whole answer and takes out what is the host's.
    async fn answer(
        &self,
        response: Response<Incoming>,
        signature: &Signature,
        options: &RequestOptions,
    ) -> Result<Answer, Failed> {
        let (mut parts, body) = response.into_parts();
        let too_large =
            |beyond: Beyond| failed(Error::HttpResponseBodySize(Some(beyond.allowed)), format!("the answer: {beyond}"));
        let fields = parts.headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
        let fields = fields.fold(0, usize::saturating_add);
        self.volume.charge(fields, self.limits.http_bytes).map_err(too_large)?;
        let allowed = self.limits.http_header_bytes;
        if to_u64(fields) > allowed {
            let beyond = Beyond { found: to_u64(fields), allowed };
            return Err(failed(Error::HttpResponseHeaderSectionSize(None), format!("the answer's headers: {beyond}")));
        }
        let patience = options.between_bytes_timeout.unwrap_or(Duration::MAX);
        let collected = self.collect(body, self.limits.http_response_bytes, patience).await;
        let body = collected.map_err(|stopped| match stopped {
            Stopped::Broken => failed(Error::HttpResponseBodySize(None), "the answer broke off".to_owned()),
            Stopped::Late => failed(Error::ConnectionReadTimeout, "the answer came to a standstill".to_owned()),
            Stopped::Beyond(beyond) => too_large(beyond),
        })?;
        let renewable = signature.is_renewable(parts.status, &parts.headers);
        let body = scrub(&mut parts.headers, body, signature);
        self.note.outcome(RequestOutcome::Answered {
            status: parts.status.as_u16(),
            body: Digest::of(&body),
            body_bytes: to_u64(body.len()),
        });
        Ok(Answer { parts, body, renewable })
    }
}

impl Exchange<'_> {
    /// A whole body, within its own limit and the call's: every piece is charged
    /// before it is kept, since several exchanges may be under way.
    async fn collect<B>(&self, body: B, allowed: u64, patience: Duration) -> Result<Bytes, Stopped>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let mut body = std::pin::pin!(body);
        let mut collected = BytesMut::new();
        while let Some(frame) = tokio::time::timeout(patience, body.frame()).await.map_err(|_| Stopped::Late)? {
            let Ok(data) = frame.map_err(|_| Stopped::Broken)?.into_data() else { continue };
            let found = to_u64(collected.len().saturating_add(data.len()));
            if found > allowed {
                return Err(Stopped::Beyond(Beyond { found, allowed }));
            }
            self.volume.charge(data.len(), self.limits.http_bytes).map_err(Stopped::Beyond)?;
            collected.extend_from_slice(&data);
        }
        Ok(collected.freeze())
    }
}

/// Bytes of all exchanges of a call so far, shared with those that are under way.
#[derive(Clone, Default)]
struct Volume(Arc<AtomicU64>);

impl Volume {
    fn charge(&self, bytes: usize, allowed: u64) -> Result<(), Beyond> {
        let bytes = to_u64(bytes);
        let found = self.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if found > allowed { Err(Beyond { found, allowed }) } else { Ok(()) }
    }
}

/// More bytes than a limit allows.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{found} bytes are more than the {allowed} that are allowed")]
pub(crate) struct Beyond {
    pub(crate) found: u64,
    pub(crate) allowed: u64,
}

/// Why a body was not read to its end.
enum Stopped {
    /// Whoever wrote it gave up.
    Broken,
    /// Nothing came for too long.
    Late,
    Beyond(Beyond),
}

fn check_url(url: &Uri) -> Result<(), Failed> {
    if url.to_string().len() > URL_BYTES_MAX {
        return Err(refused(Error::HttpRequestUriTooLong, format!("the URL has more than {URL_BYTES_MAX} bytes")));
    }
    Ok(())
}

async fn in_time<T>(wait: Duration, exchange: impl Future<Output = T>) -> Result<T, Failed> {
    let late = |_| failed(Error::HttpResponseTimeout, "the target did not answer in time".to_owned());
    tokio::time::timeout(wait, exchange).await.map_err(late)
}

impl Permitted {
    /// Where connections may lead.
    fn places(&self) -> impl Iterator<Item = Place> {
        let proven = self.tls.as_ref().map(|(tls, name)| (name.clone(), tls.id()));
        self.addresses.iter().map(move |address| Place { address: *address, proven: proven.clone() })
    }
}

/// The request as it is sent: the guest's headers, the host's over them, and the path
/// that was checked.
fn signed(
    permitted: &Permitted,
    head: &Head,
    body: Bytes,
    signature: &Signature,
) -> Result<Request<Full<Bytes>>, Failed> {
    let malformed = || {
        let why = "the host's own header for this target is malformed; look at its credential".to_owned();
        refused(Error::HttpRequestDenied, why)
    };
    let mut headers = head.headers.clone();
    for name in &signature.reserved {
        headers.remove(name.as_str());
    }
    for (name, value) in &signature.headers {
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(malformed());
        };
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    if !signature.secrets.is_empty() {
        // In a compressed answer nobody finds a credential that the target repeats.
        headers.remove(header::ACCEPT_ENCODING);
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::HOST, HeaderValue::try_from(&permitted.authority).map_err(|_| malformed())?);
    // Towards an origin server the request line has only the path.
    let path = Uri::try_from(&permitted.path_and_query).map_err(|_| malformed())?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = path;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Takes the host's own out of an answer: sessions, credentials that are sent back, and
/// a secret wherever the target repeats it.
fn scrub(headers: &mut HeaderMap, body: Bytes, signature: &Signature) -> Bytes {
    for name in [header::SET_COOKIE, header::COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    headers.remove("set-cookie2");
    headers.remove("authentication-info");
    for name in &signature.reserved {
        headers.remove(name.as_str());
    }
    let secrets = || signature.secrets.iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN);
    for value in headers.values_mut() {
        if secrets().any(|secret| value.as_bytes().windows(secret.len()).any(|window| window == secret.as_slice())) {
            *value = HeaderValue::from_static("*");
        }
    }
    let mut body = body;
    for secret in secrets() {
        if body.windows(secret.len()).any(|window| window == secret.as_slice()) {
            body = masked(&body, secret);
        }
    }
    body
}

/// The same bytes with stars where the secret stood.
fn masked(body: &[u8], secret: &[u8]) -> Bytes {
    let mut masked = BytesMut::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(secret) {
            masked.extend(std::iter::repeat_n(b'*', secret.len()));
            rest = after;
        } else {
            masked.extend_from_slice(&[*first]);
            rest = after;
        }
    }
    masked.freeze()
}

fn not_permitted(why: EgressRefused) -> Failed {
    match why {
        EgressRefused::Denied(why) => refused(Error::HttpRequestDenied, why),
        EgressRefused::Address(why) => refused(Error::DestinationIpProhibited, why),
        EgressRefused::Unresolved(why) => Failed {
            error: Error::DnsError { rcode: None, info_code: None },
            outcome: RequestOutcome::Deferred { after_ms: UNRESOLVED_MS, why },
            by_target: false,
        },
        EgressRefused::Later { after_ms, why } => Failed {
            error: Error::ConnectionLimitReached,
            outcome: RequestOutcome::Deferred { after_ms, why },
            by_target: false,
        },
    }
}

fn unopened(why: Unopened) -> Failed {
    match why {
        Unopened::NotProven(NotProven { certificate: true, why }) => unreachable(Error::TlsCertificateError, why),
        Unopened::NotProven(NotProven { certificate: false, why }) => {
            unreachable(Error::ConnectionRefused, format!("no TLS: {why}"))
        }
        Unopened::Broken(error) => unreachable(Error::ConnectionRefused, format!("no connection: {error}")),
    }
}

fn no_connection(kind: std::io::ErrorKind) -> Failed {
    unreachable(Error::ConnectionRefused, format!("no connection: {kind}"))
}

/// The target has seen nothing, and is not to blame.
fn refused(error: Error, why: String) -> Failed {
    Failed { error, outcome: RequestOutcome::Refused(why), by_target: false }
}

/// The target has seen nothing, for it cannot be reached.
fn unreachable(error: Error, why: String) -> Failed {
    Failed { error, outcome: RequestOutcome::Refused(why), by_target: true }
}

/// The target may have seen the request.
fn failed(error: Error, why: String) -> Failed {
    Failed { error, outcome: RequestOutcome::Failed(why), by_target: true }
}

fn broken(error: hyper::Error) -> Failed {
    if let Some(why) = unwelcome_in(&error) {
        return unreachable(Error::ConnectionRefused, why);
    }
    let why = format!("the exchange broke off: {error}");
    if error.is_parse() {
        return failed(Error::HttpProtocolError, why);
    }
    failed(Error::ConnectionTerminated, why)
}

/// Queries carry tokens and names; the record does without. The port stays: often
/// nothing else tells two targets apart.
fn without_query(url: &Uri) -> String {
    let authority = url.authority().map_or("?", |authority| {
        // What stands before an `@` is a credential.
        authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, place)| place)
    });
    let text = format!("{}://{authority}{}", url.scheme_str().unwrap_or("?"), url.path());
    text.chars().take(URL_BYTES_MAX).collect()
}

/// The place of one request in the record.
struct Note {
    requests: Requests,
    index: AtomicUsize,
    since: Instant,
}

impl Note {
    fn authority(&self, authority: &str) {
        self.change(|request| request.authority = Some(authority.to_owned()));
    }

    fn body(&self, body: &[u8]) {
        let digest = Digest::of(body);
        self.change(|request| (request.body, request.body_bytes) = (Some(digest), to_u64(body.len())));
    }

    fn outcome(&self, outcome: RequestOutcome) {
        let duration_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.change(|request| (request.outcome, request.duration_ms) = (outcome, duration_ms));
    }

    /// The same request has another place from here on. False when there is none left.
    fn once_more(&self, allowed: u64) -> bool {
        let index = self.index.load(Ordering::Relaxed);
        let same = self.requests.lock().unwrap_or_else(PoisonError::into_inner).get(index).cloned();
        let again = same.map(|request| RecordedRequest { outcome: RequestOutcome::Unfinished, ..request });
        let place = again.and_then(|again| push(&self.requests, again, allowed));
        place.map(|place| self.index.store(place, Ordering::Relaxed)).is_some()
    }

    fn change(&self, change: impl FnOnce(&mut RecordedRequest)) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.get_mut(self.index.load(Ordering::Relaxed)) {
            change(request);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_recorded_url_keeps_the_port_and_drops_credentials_and_query() {
        let recorded = |url: &str| without_query(&url.parse().unwrap());
        assert_eq!(recorded("http://erp.example:8443/orders?token=1"), "http://erp.example:8443/orders");
        assert_eq!(recorded("http://user:secret@erp.example:81/a"), "http://erp.example:81/a");
        assert_ne!(recorded("http://127.0.0.1:1/"), recorded("http://127.0.0.1:2/"));
    }
}
