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

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use portreeve_model::id::Digest;
use tokio::net::TcpStream;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks,
};

use crate::capability::{Egress, EgressRequest};
use crate::limits::{
    HTTP_CHUNK_BYTES_MAX, HTTP_CONNECT_MS_MAX, HTTP_FIELDS_BYTES_MAX, HTTP_HEADERS_MAX, Limits, to_u64, to_usize,
};
use crate::outcome::{Call, RecordedRequest, RequestOutcome};
use crate::plugin::PluginSpec;

/// Bytes of a URL. It is recorded.
const URL_BYTES_MAX: usize = 4096;

/// Sends a guest's requests, and keeps the record of them.
pub(crate) struct Sender {
    spec: Arc<PluginSpec>,
    call: Call,
    egress: Arc<dyn Egress>,
    limits: Limits,
    requests: Requests,
}

/// The record is shared with the requests that are under way.
type Requests = Arc<Mutex<Vec<RecordedRequest>>>;

type Sent = Result<(Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl Sender {
    pub(crate) fn new(spec: &Arc<PluginSpec>, call: Call, egress: Arc<dyn Egress>) -> Self {
        Self { spec: spec.clone(), call, egress, limits: spec.limits, requests: Requests::default() }
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
        Box::new(async move {
            let exchange = Exchange { spec: &spec, call, egress: &*egress, limits: &limits, note: &note };
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
    call: Call,
    egress: &'a dyn Egress,
    limits: &'a Limits,
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
        let stream = connect(pinned.address, options.connect_timeout).await?;
        let (response, _connection) = self.exchange(stream, request, options.first_byte_timeout).await?;
        self.answer(response).await
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
        let body = Limited::new(body, to_usize(allowed)).collect().await.map_err(|_| {
            refused(
                Error::HttpRequestBodySize(Some(allowed)),
                format!("the body was not finished, or has more than {allowed} bytes"),
            )
        })?;
        let body = body.to_bytes();
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
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        // Towards an origin server the request line has only the path.
        parts.uri = parts.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()));
        Ok(Request::from_parts(parts, Full::new(body)))
    }

    async fn exchange(
        &self,
        stream: TcpStream,
        request: Request<Full<Bytes>>,
        wait: Option<Duration>,
    ) -> Result<(Response<hyper::body::Incoming>, Connection), Failed> {
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(HTTP_HEADERS_MAX)
            .max_buf_size(HTTP_FIELDS_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Its errors show in the exchange as well.
        let connection = Connection(tokio::spawn(async move { drop(connection.await) }));
        let wait = wait.unwrap_or(Duration::from_millis(self.limits.wall_ms));
        match tokio::time::timeout(wait, sender.send_request(request)).await {
            Ok(response) => response.map(|response| (response, connection)).map_err(broken),
            Err(_) => Err(failed(Error::HttpResponseTimeout, "the target did not answer in time".to_owned())),
        }
    }

    /// Reads the whole answer and takes out what is the host's.
    async fn answer(&self, response: Response<hyper::body::Incoming>) -> Result<Response<WasiBody>, Failed> {
        let (mut parts, body) = response.into_parts();
        let allowed = self.limits.http_response_bytes;
        let body = Limited::new(body, to_usize(allowed)).collect().await.map_err(|_| {
            failed(
                Error::HttpResponseBodySize(Some(allowed)),
                format!("the answer broke off, or has more than {allowed} bytes"),
            )
        })?;
        let body = body.to_bytes();
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

/// The task that drives a connection; it ends with the exchange, whatever the
/// target does.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
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

async fn connect(address: std::net::SocketAddr, wait: Option<Duration>) -> Result<TcpStream, Failed> {
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

/// Queries carry tokens and names; the record does without.
fn without_query(url: &Uri) -> String {
    let text = format!("{}://{}{}", url.scheme_str().unwrap_or("?"), url.host().unwrap_or("?"), url.path());
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
