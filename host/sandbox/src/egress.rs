//! The host's HTTP sender behind `wasi:http/outgoing-handler`.
//!
//! The attack is a guest that reaches what it should not: another host, the
//! metadata service of the cloud, a name that resolves differently the second
//! time; or that learns a credential. So the host checks the method against the
//! export and the manifest, asks [`Egress`] for permission and for an address,
//! connects to exactly that address, and sets credentials after the guest's
//! headers. Redirects are not followed: a new URL is a new request.
//!
//! Bodies are held whole, up to the limits: a request is sent only when the
//! guest has finished it, so that a guest that traps half-way causes nothing.
//! Only plain `http` is spoken so far; `https` is refused with a sentence.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use portreeve_model::id::Digest;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::capability::{Egress, EgressRequest};
use crate::connections::{Connections, Open, Unanswered};
use crate::limits::{HTTP_CHUNK_BYTES_MAX, HTTP_CONNECT_MS_MAX, Limits, URL_BYTES_MAX, to_u64};
use crate::outcome::{Call, RecordedRequest, RequestOutcome};
use crate::plugin::{Loaded, PluginSpec};

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
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if to_u64(requests.len()) >= self.limits.http_requests {
            return None;
        }
        requests.push(RecordedRequest {
            method: request.method().to_string(),
            url: without_query(request.uri()),
            body: None,
            outcome: RequestOutcome::Unfinished,
        });
        Some(Note { requests: self.requests.clone(), index: requests.len().saturating_sub(1) })
    }
}

impl WasiHttpHooks for Sender {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| {
            *name == header::AUTHORIZATION || *name == header::COOKIE || DEFAULT_FORBIDDEN_HEADERS.contains(name)
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
}

impl Exchange<'_> {
    async fn run(&self, request: Request<WasiBody>, options: RequestOptions) -> Result<Response<WasiBody>, Failed> {
        self.check_method(request.method())?;
        check_url(request.uri())?;

        let asked = EgressRequest {
            plugin: &self.spec.name,
            call: self.call,
            method: request.method().as_str(),
            url: &request.uri().to_string(),
        };
        let pinned = self.egress.authorize(asked).await.map_err(|why| refused(Error::HttpRequestDenied, why))?;

        let request = self.complete(request, &pinned.headers).await?;
        let (response, open) = self.exchange(pinned.address, request, &options).await?;
        let answer = self.answer(response).await?;
        self.connections.keep(pinned.address, open);
        Ok(answer)
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

    /// Waits for the whole body, then sets what the host sets.
    async fn complete(
        &self,
        request: Request<WasiBody>,
        injected: &[(String, String)],
    ) -> Result<Request<Full<Bytes>>, Failed> {
        let (mut parts, body) = request.into_parts();
        let allowed = self.limits.http_request_bytes;
        let body = self.collect(body, allowed).await.map_err(|stopped| match stopped {
            Stopped::Broken => refused(Error::HttpRequestBodySize(None), "the body was not finished".to_owned()),
            Stopped::Beyond(beyond) => {
                refused(Error::HttpRequestBodySize(Some(beyond.allowed)), format!("the body: {beyond}"))
            }
        })?;
        self.note.body(Digest::of(&body));

        for (name, value) in injected {
            let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                return Err(refused(
                    Error::HttpRequestDenied,
                    "the host's own header for this target is malformed".to_owned(),
                ));
            };
            value.set_sensitive(true);
            parts.headers.insert(name, value);
        }
        parts.headers.remove(header::CONTENT_LENGTH);
        // Towards an origin server the request line has only the path.
        parts.uri = parts.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()));
        Ok(Request::from_parts(parts, Full::new(body)))
    }

    /// Sends the request over a kept connection or a new one. One that was kept may
    /// turn out to be closed before anything was written: then a new one has its turn.
    async fn exchange(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
        options: &RequestOptions,
    ) -> Result<(Response<Incoming>, Open), Failed> {
        let wait = options.first_byte_timeout.unwrap_or(Duration::from_millis(self.limits.wall_ms));
        let mut unsent = request;
        if let Some(mut open) = self.connections.take(address).await {
            match in_time(wait, open.send(unsent)).await? {
                Ok(response) => return Ok((response, open)),
                Err(Unanswered::Unsent(request)) => unsent = *request,
                Err(Unanswered::Broken(error)) => return Err(broken(error)),
            }
        }
        let stream = connect(address, options.connect_timeout).await?;
        let mut open = Open::over(stream).await.map_err(broken)?;
        match in_time(wait, open.send(unsent)).await? {
            Ok(response) => Ok((response, open)),
            Err(Unanswered::Unsent(_)) => {
                Err(refused(Error::ConnectionTerminated, "the target closed the connection at once".to_owned()))
            }
            Err(Unanswered::Broken(error)) => Err(broken(error)),
        }
    }

    /// Reads the whole answer and takes out what is the host's.
    async fn answer(&self, response: Response<Incoming>) -> Result<Response<WasiBody>, Failed> {
        let (mut parts, body) = response.into_parts();
        let too_large =
            |beyond: Beyond| failed(Error::HttpResponseBodySize(Some(beyond.allowed)), format!("the answer: {beyond}"));
        let fields = parts.headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
        self.volume.charge(fields.fold(0, usize::saturating_add), self.limits.http_bytes).map_err(too_large)?;
        let body = self.collect(body, self.limits.http_response_bytes).await.map_err(|stopped| match stopped {
            Stopped::Broken => failed(Error::HttpResponseBodySize(None), "the answer broke off".to_owned()),
            Stopped::Beyond(beyond) => too_large(beyond),
        })?;
        // A session is a credential: it is the host's, like the others.
        parts.headers.remove(header::SET_COOKIE);
        self.note.outcome(RequestOutcome::Answered {
            status: parts.status.as_u16(),
            body: Digest::of(&body),
            body_bytes: to_u64(body.len()),
        });
        Ok(Response::from_parts(parts, Full::new(body).map_err(Error::from).boxed_unsync()))
    }
}

impl Exchange<'_> {
    /// A whole body, within its own limit and the call's: every piece is charged
    /// before it is kept, since several exchanges may be under way.
    async fn collect<B>(&self, body: B, allowed: u64) -> Result<Bytes, Stopped>
    where
        B: hyper::body::Body<Data = Bytes>,
    {
        let mut body = std::pin::pin!(body);
        let mut collected = BytesMut::new();
        while let Some(frame) = body.frame().await {
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
    Beyond(Beyond),
}

fn check_url(url: &Uri) -> Result<(), Failed> {
    if url.to_string().len() > URL_BYTES_MAX {
        return Err(refused(Error::HttpRequestUriTooLong, format!("the URL has more than {URL_BYTES_MAX} bytes")));
    }
    if url.scheme_str() != Some("http") {
        let why =
            "this host does not speak https to targets yet; grant an http destination, for example a local TLS proxy";
        return Err(refused(Error::HttpRequestDenied, why.to_owned()));
    }
    Ok(())
}

async fn in_time<T>(wait: Duration, exchange: impl Future<Output = T>) -> Result<T, Failed> {
    let late = |_| failed(Error::HttpResponseTimeout, "the target did not answer in time".to_owned());
    tokio::time::timeout(wait, exchange).await.map_err(late)
}

async fn connect(address: SocketAddr, wait: Option<Duration>) -> Result<TcpStream, Failed> {
    let most = Duration::from_millis(HTTP_CONNECT_MS_MAX);
    let wait = wait.map_or(most, |wait| wait.min(most));
    match tokio::time::timeout(wait, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(refused(Error::ConnectionRefused, format!("no connection: {}", error.kind()))),
        Err(_) => Err(refused(Error::ConnectionTimeout, "no connection in time".to_owned())),
    }
}

/// The target has seen nothing.
fn refused(error: Error, why: String) -> Failed {
    Failed { error, outcome: RequestOutcome::Refused(why) }
}

/// The target may have seen the request.
fn failed(error: Error, why: String) -> Failed {
    Failed { error, outcome: RequestOutcome::Failed(why) }
}

fn broken(error: hyper::Error) -> Failed {
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
    index: usize,
}

impl Note {
    fn body(&self, digest: Digest) {
        self.change(|request| request.body = Some(digest));
    }

    fn outcome(&self, outcome: RequestOutcome) {
        self.change(|request| request.outcome = outcome);
    }

    fn change(&self, change: impl FnOnce(&mut RecordedRequest)) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.get_mut(self.index) {
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
