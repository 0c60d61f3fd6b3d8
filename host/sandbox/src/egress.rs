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

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use portreeve_model::id::Digest;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::capability::{Egress, EgressRefused, EgressRequest, Ended, OutTray, Passage, Permitted, Signature, ToSign};
use crate::connections::{Connections, Open, Place, Unanswered, Unopened};
use crate::limits::{HTTP_CHUNK_BYTES_MAX, Limits, URL_BYTES_MAX, to_u64};
use crate::outcome::{Call, RecordedRequest, RequestOutcome};
use crate::plugin::{Loaded, PluginSpec};
use crate::scrub::Secrets;
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

/// Of what is left of a call when a request begins, one part in so many stays for the
/// guest. A silent target would otherwise use up the call, and the guest could not say
/// what became of its request.
const GUESTS_PART: u32 = 20;

/// A delivery comes back after this long when there was no credential in time.
const NO_CREDENTIAL_MS: u64 = 5_000;

/// A name that nobody knows now may be known then: name servers come back.
const UNRESOLVED_MS: u64 = 5_000;

/// Sends a guest's requests, and keeps the record of them.
pub(crate) struct Sender {
    spec: Arc<PluginSpec>,
    connections: Arc<Connections>,
    call: Call,
    egress: Arc<dyn Egress>,
    limits: Limits,
    /// When the call is over.
    call_ends: Instant,
    volume: Volume,
    requests: Requests,
}

/// The record is shared with the requests that are under way.
type Requests = Arc<Mutex<Vec<RecordedRequest>>>;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Sender {
    pub(crate) fn new(plugin: &Loaded, call: Call, egress: Arc<dyn Egress>, call_ends: Instant) -> Self {
        Self {
            spec: Arc::clone(&plugin.spec),
            connections: Arc::clone(&plugin.connections),
            call,
            egress,
            limits: plugin.spec.limits,
            call_ends,
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
            outcome: RequestOutcome::Unsent,
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
        let (volume, connections, call_ends) = (self.volume.clone(), Arc::clone(&self.connections), self.call_ends);
        Box::new(async move {
            let exchange = Exchange {
                spec: &spec,
                connections: &connections,
                call,
                egress: &*egress,
                limits: &limits,
                call_ends,
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
    call_ends: Instant,
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

/// How long something may take. It is told which limit that comes from.
#[derive(Debug, Clone, Copy)]
struct Patience {
    ms: u64,
    /// The whole time of the call, where it is the call that ends first.
    call_ms: Option<u64>,
}

impl Patience {
    fn time(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.ms)?;
        self.call_ms.map_or(Ok(()), |call_ms| write!(f, ", which was left of the {call_ms} ms (`wall_ms`) of its call"))
    }
}

/// A request on its way, for whoever keeps count of targets: one that the end of its call
/// cuts off is a failure of the target, which had all of the time that there was. Where a
/// guest gives up by itself, it says nothing about the target.
struct UnderWay<'a> {
    passage: &'a dyn Passage,
    call_ends: Instant,
    is_over: bool,
}

impl UnderWay<'_> {
    /// What came of it; none where it is not the target's.
    fn ended(mut self, ended: Option<Ended>) {
        self.is_over = true;
        if let Some(ended) = ended {
            self.passage.ended(ended);
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.is_over && Instant::now() >= self.call_ends {
            self.passage.ended(Ended::Failed);
        }
    }
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
        if let Some(tray) = &permitted.tray {
            return self.put(&permitted, &**tray, &head, &body).await;
        }

        let mut answer = self.send(&permitted, &head, &body, &options).await;
        // What was refused like this was not carried out; it is another request on record.
        if let Ok(Answer { parts, renewable: true, .. }) = &answer
            && self.renewed(&permitted, parts.status.as_u16()).await
            && self.note.once_more(self.limits.http_requests)
        {
            answer = self.send(&permitted, &head, &body, &options).await;
        }
        let Answer { parts, body, .. } = answer?;
        Ok(Response::from_parts(parts, Full::new(body).map_err(Error::from).boxed_unsync()))
    }

    async fn permit(&self, method: &str, url: &str) -> Result<Permitted, Failed> {
        let asked = EgressRequest { plugin: &self.spec.name, call: self.call, method, url };
        let wait = self.patience(self.limits.http_connect_ms);
        match tokio::time::timeout(wait.time(), self.egress.authorize(asked)).await {
            Ok(permitted) => permitted.map_err(not_permitted),
            Err(_) => Err(unreachable(Error::DnsTimeout, format!("its name was not resolved within {wait}"))),
        }
    }

    /// What the host adds to a request. Whoever gives a credential may be slow: that is not
    /// the target's time, and nothing was sent.
    async fn sign(&self, permitted: &Permitted, head: &Head, body: &Bytes) -> Result<Signature, Failed> {
        let to_sign = ToSign {
            method: head.method.as_str(),
            authority: &permitted.authority,
            path_and_query: &permitted.path_and_query,
            content_type: head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()),
            body,
        };
        let wait = self.patience(self.limits.http_connect_ms);
        let late = |_| {
            let why = format!("the host had no credential for this target within {wait}; look at whoever gives it");
            Err(EgressRefused::Later { after_ms: NO_CREDENTIAL_MS, why })
        };
        let signature = tokio::time::timeout(wait.time(), permitted.passage.sign(to_sign)).await;
        signature.unwrap_or_else(late).map_err(not_permitted)
    }

    /// Whether there are other credentials, or another session, after an answer that refused
    /// these, found in time.
    async fn renewed(&self, permitted: &Permitted, status: u16) -> bool {
        let wait = self.patience(self.limits.http_connect_ms);
        tokio::time::timeout(wait.time(), permitted.passage.renew(status)).await.unwrap_or(false)
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
        let signature = self.sign(permitted, head, body).await?;
        let body = signature.body.clone().map_or_else(|| body.clone(), Bytes::from);
        let request = signed(permitted, head, body, &signature)?;

        let allowed = self.patience(self.limits.http_total_ms);
        let under_way = UnderWay { passage: &*permitted.passage, call_ends: self.call_ends, is_over: false };
        let exchange = async {
            let (response, open, place) = self.exchange(permitted, request, options).await?;
            let answer = self.answer(response, &signature, options).await?;
            self.connections.keep(place, open);
            Ok(answer)
        };
        let late = || {
            if self.note.is_unsent() {
                return Err(unreachable(Error::ConnectionTimeout, format!("no connection within {allowed}")));
            }
            Err(failed(Error::HttpResponseTimeout, format!("it was not over within {allowed}")))
        };
        let ended = tokio::time::timeout(allowed.time(), exchange).await.unwrap_or_else(|_| late());
        under_way.ended(match &ended {
            Ok(answer) => Some(Ended::Answered { status: answer.parts.status.as_u16() }),
            Err(failed) => failed.by_target.then_some(Ended::Failed),
        });
        ended
    }

    /// The same for a place of this host. What it began it also ends, so nobody knows what became
    /// of a request that it was too slow with.
    async fn put(
        &self,
        permitted: &Permitted,
        tray: &dyn OutTray,
        head: &Head,
        body: &Bytes,
    ) -> Result<Response<WasiBody>, Failed> {
        let allowed = self.patience(self.limits.http_total_ms);
        let under_way = UnderWay { passage: &*permitted.passage, call_ends: self.call_ends, is_over: false };
        self.note.sending()?;
        let taking = tray.take(head.method.as_str(), &permitted.path_and_query, body);
        let taken = match tokio::time::timeout(allowed.time(), taking).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(why)) => Err(failed(Error::ConnectionTerminated, why)),
            Err(_) => Err(failed(Error::HttpResponseTimeout, format!("it was not over within {allowed}"))),
        };
        under_way.ended(Some(match &taken {
            Ok(status) => Ended::Answered { status: *status },
            Err(_) => Ended::Failed,
        }));
        let status = taken?;
        self.note.outcome(RequestOutcome::Answered { status, body: Digest::of(b""), body_bytes: 0 });
        let mut response = Response::new(Full::new(Bytes::new()).map_err(Error::from).boxed_unsync());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(response)
    }

    /// How long something may take: what its limit says, and no longer than the call, of which
    /// the guest gets the end to make something of what it hears.
    fn patience(&self, limit_ms: u64) -> Patience {
        let left = self.call_ends.saturating_duration_since(Instant::now());
        let ours = left.saturating_sub(left / GUESTS_PART);
        let ours_ms = u64::try_from(ours.as_millis()).unwrap_or(u64::MAX);
        Patience { ms: limit_ms.min(ours_ms), call_ms: (ours_ms < limit_ms).then_some(self.limits.wall_ms) }
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
            self.note.sending()?;
            match in_time(wait, open.send(unsent)).await? {
                Ok(response) => return Ok((response, open, place)),
                Err(Unanswered::Unsent(request)) => {
                    self.note.outcome(RequestOutcome::Unsent);
                    unsent = *request;
                }
                Err(Unanswered::Broken(error)) => return Err(broken(error)),
            }
        }
        let (mut open, place) = self.connect(permitted, options.connect_timeout).await?;
        self.note.sending()?;
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
    let secrets = Secrets::of(&signature.secrets);
    for value in headers.values_mut() {
        if secrets.is_in(value.as_bytes()) {
            *value = HeaderValue::from_static("*");
        }
    }
    secrets.masked(&body).map_or(body, Bytes::from)
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

    /// From here on the target may see it. INVARIANT: a call whose record was taken already
    /// sends nothing any more, since the record says so.
    fn sending(&self) -> Result<(), Failed> {
        let mut is_on_record = false;
        self.change(|request| (is_on_record, request.outcome) = (true, RequestOutcome::Unfinished));
        if is_on_record {
            return Ok(());
        }
        Err(refused(Error::ConnectionTerminated, "its call is over".to_owned()))
    }

    /// Whether the target can have seen nothing of it.
    fn is_unsent(&self) -> bool {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let request = requests.get(self.index.load(Ordering::Relaxed));
        request.is_some_and(|request| request.outcome == RequestOutcome::Unsent)
    }

    /// The same request has another place from here on. False when there is none left.
    fn once_more(&self, allowed: u64) -> bool {
        let index = self.index.load(Ordering::Relaxed);
        let same = self.requests.lock().unwrap_or_else(PoisonError::into_inner).get(index).cloned();
        let again = same.map(|request| RecordedRequest { outcome: RequestOutcome::Unsent, ..request });
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
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    /// Counts how requests ended.
    #[derive(Default)]
    struct Counted(Mutex<Vec<Ended>>);

    #[async_trait::async_trait]
    impl Passage for Counted {
        async fn sign(&self, _: ToSign<'_>) -> Result<Signature, EgressRefused> {
            Ok(Signature::default())
        }

        async fn renew(&self, _: u16) -> bool {
            false
        }

        fn ended(&self, ended: Ended) {
            self.0.lock().unwrap().push(ended);
        }
    }

    #[test]
    fn a_request_that_the_end_of_its_call_cuts_off_is_a_failure_of_the_target_and_one_given_up_is_none() {
        let counted = Counted::default();
        let (past, future) = (Instant::now(), Instant::now() + Duration::from_secs(3_600));
        let under_way = |call_ends| UnderWay { passage: &counted, call_ends, is_over: false };
        drop(under_way(future));
        assert!(counted.0.lock().unwrap().is_empty());
        drop(under_way(past));
        assert_eq!(*counted.0.lock().unwrap(), [Ended::Failed]);
        under_way(past).ended(Some(Ended::Answered { status: 200 }));
        under_way(past).ended(None);
        assert_eq!(*counted.0.lock().unwrap(), [Ended::Failed, Ended::Answered { status: 200 }], "each once");
    }

    #[test]
    fn a_request_whose_record_says_that_it_was_not_sent_is_not_sent_after_all() {
        let requests = Requests::default();
        let record = RecordedRequest {
            method: "POST".to_owned(),
            url: String::new(),
            authority: None,
            body: None,
            body_bytes: 0,
            duration_ms: 0,
            outcome: RequestOutcome::Unsent,
        };
        let index = AtomicUsize::new(push(&requests, record, 1).unwrap());
        let note = Note { requests: requests.clone(), index, since: Instant::now() };
        assert!(note.is_unsent() && note.sending().is_ok() && !note.is_unsent());
        note.outcome(RequestOutcome::Unsent);
        let taken = std::mem::take(&mut *requests.lock().unwrap());
        assert_eq!(taken[0].outcome, RequestOutcome::Unsent);
        assert!(note.sending().is_err());
    }

    #[test]
    fn a_recorded_url_keeps_the_port_and_drops_credentials_and_query() {
        let recorded = |url: &str| without_query(&url.parse().unwrap());
        assert_eq!(recorded("http://erp.example:8443/orders?token=1"), "http://erp.example:8443/orders");
        assert_eq!(recorded("http://user:secret@erp.example:81/a"), "http://erp.example:81/a");
        assert_ne!(recorded("http://127.0.0.1:1/"), recorded("http://127.0.0.1:2/"));
    }
}
