//! One HTTP exchange at a time, over the host's `wasi:http`.
//!
//! The host adds the credentials, checks destination and method against the
//! grant, and bounds everything again. What matters to a connector is what an
//! error means: whether the request may have had an effect. An error that can
//! only come up before the request was sent is [`HttpError::NotSent`]; when in
//! doubt it is [`HttpError::UnknownOutcome`], after which the host looks the
//! effect up instead of sending it twice.
//! The manifest declares the methods: `[imports] http = ["GET", "POST"]`.

use std::fmt;

use crate::bindings::connector::wasi::http::outgoing_handler;
use crate::bindings::connector::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method as WasiMethod, OutgoingBody, OutgoingRequest,
    RequestOptions, Scheme,
};
use crate::bindings::connector::wasi::io::streams::StreamError;
use crate::failure::RETRY_MS;
use crate::types::Failure;

/// A target that doesn't accept a connection in this time is down.
pub const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// A posting in an ERP may take seconds; the host's limit for the call may be shorter.
pub const ANSWER_TIMEOUT_MS: u32 = 30_000;
/// A target that sends a byte now and then could hold a call for ever.
pub const BETWEEN_BYTES_TIMEOUT_MS: u64 = 10_000;
/// An endless answer would fill the plugin's 16 MiB of memory and trap it: a trap has no words.
/// While an answer grows its bytes are there twice, and what reads it needs as much again and
/// more: a reader of JSON that finds a text where it expects something else copies it twice to
/// say so. An eighth of the memory leaves room for that.
pub const RESPONSE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What `wasi:io` takes in one blocking write.
const WRITE_BYTES_MAX: usize = 4_096;
const READ_BYTES: u64 = 64 * 1024;
const NS_PER_MS: u64 = 1_000_000;

/// A request method. The host knows no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads; has no effect.
    Get,
    /// Reads the head only; has no effect.
    Head,
    /// Creates or acts.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Whether the method has no effect at the target.
    #[must_use]
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Absolute: `https://host[:port]/path?query`. No credentials in it.
    pub url: String,
    /// Names in lower case. The host adds authentication and refuses some names.
    pub headers: Vec<(String, String)>,
    /// The bytes; empty for none.
    pub body: Vec<u8>,
    /// How long the target may take to begin its answer, in milliseconds. The call's
    /// own limit has to be longer by what connecting and reading take.
    pub answer_timeout_ms: u32,
}

impl Request {
    /// A GET that asks for JSON.
    #[must_use]
    pub fn get_json(url: &str) -> Self {
        Self {
            method: Method::Get,
            url: url.to_owned(),
            headers: vec![("accept".to_owned(), "application/json".to_owned())],
            body: Vec::new(),
            answer_timeout_ms: ANSWER_TIMEOUT_MS,
        }
    }

    /// A request with a JSON body.
    #[must_use]
    pub fn json(method: Method, url: &str, body: Vec<u8>) -> Self {
        let json = || "application/json".to_owned();
        Self {
            method,
            url: url.to_owned(),
            headers: vec![("accept".to_owned(), json()), ("content-type".to_owned(), json())],
            body,
            answer_timeout_ms: ANSWER_TIMEOUT_MS,
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// Names in lower case; values that are no UTF-8 are left out.
    pub headers: Vec<(String, String)>,
    /// At most [`RESPONSE_BYTES_MAX`].
    pub body: Vec<u8>,
}

impl Response {
    /// The first header with this lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Milliseconds that the target asks to wait (`retry-after` in seconds).
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u32> {
        let seconds: u32 = self.header("retry-after")?.trim().parse().ok()?;
        seconds.checked_mul(1_000)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// The request is malformed or not granted; it was not sent and never will be.
    Refused(String),
    /// The request was not sent, or its method has no effect: it may be tried again.
    NotSent(String),
    /// The request may have had its effect.
    UnknownOutcome(String),
    /// The answer to a request without an effect is larger than a plugin can hold
    /// ([`RESPONSE_BYTES_MAX`]), and would be so again. Where there may be an effect, the
    /// outcome is unknown instead.
    TooLarge(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the request was refused: {why}"),
            Self::NotSent(why) => write!(f, "the request was not sent: {why}"),
            Self::UnknownOutcome(why) => {
                write!(f, "the request may have had its effect: {why}")
            }
            Self::TooLarge(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Refused(why) | HttpError::TooLarge(why) => Self::Permanent(why),
            HttpError::NotSent(_) => Self::Retry(RETRY_MS),
            HttpError::UnknownOutcome(why) => Self::UnknownOutcome(why),
        }
    }
}

/// Sends a request and waits for the whole answer.
///
/// # Errors
/// See [`HttpError`]; with `?` each becomes the [`Failure`] that fits.
pub fn send(request: Request) -> Result<Response, HttpError> {
    let safe = request.method.is_safe();
    exchange(request).map_err(|error| meant(error, safe))
}

/// What an error means after a request that has no effect, or may have one.
fn meant(error: HttpError, safe: bool) -> HttpError {
    match error {
        HttpError::UnknownOutcome(why) if safe => HttpError::NotSent(why),
        HttpError::TooLarge(why) if !safe => HttpError::UnknownOutcome(why),
        other => other,
    }
}

fn exchange(request: Request) -> Result<Response, HttpError> {
    let body = request.body;
    let answer_timeout_ms = request.answer_timeout_ms;
    let outgoing = head(request.method, &request.url, request.headers)?;
    let outgoing_body = outgoing.body().map_err(|()| refused("the host gives no request body"))?;

    let answer =
        outgoing_handler::handle(outgoing, Some(timeouts(answer_timeout_ms)?)).map_err(|code| classify(&code))?;
    // A target may answer before it has read everything, so a failed write is
    // no verdict: the answer, if one comes, says more.
    let written = write_body(outgoing_body, &body);
    let response = wait(&answer).map_err(|error| match (error, &written) {
        (HttpError::UnknownOutcome(why), Err(write_error)) => {
            HttpError::UnknownOutcome(format!("{why}; before that, {write_error}"))
        }
        (error, _) => error,
    })?;

    let status = response.status();
    let headers = header_texts(&response.headers());
    let body = read_body(&response)?;
    Ok(Response { status, headers, body })
}

fn head(method: Method, url: &str, headers: Vec<(String, String)>) -> Result<OutgoingRequest, HttpError> {
    let target = Target::parse(url)?;
    let entries: Vec<(String, Vec<u8>)> = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
    let fields =
        Fields::from_list(&entries).map_err(|error| refused(&format!("a request header is not allowed: {error:?}")))?;

    let outgoing = OutgoingRequest::new(fields);
    let set = outgoing
        .set_method(&wasi_method(method))
        .and_then(|()| outgoing.set_scheme(Some(&target.scheme)))
        .and_then(|()| outgoing.set_authority(Some(target.authority)))
        .and_then(|()| outgoing.set_path_with_query(Some(&target.path_with_query)));
    set.map_err(|()| refused("the host does not take the request's method or url"))?;
    Ok(outgoing)
}

fn timeouts(answer_timeout_ms: u32) -> Result<RequestOptions, HttpError> {
    let options = RequestOptions::new();
    options
        .set_connect_timeout(Some(CONNECT_TIMEOUT_MS * NS_PER_MS))
        .and_then(|()| options.set_first_byte_timeout(Some(u64::from(answer_timeout_ms) * NS_PER_MS)))
        .and_then(|()| options.set_between_bytes_timeout(Some(BETWEEN_BYTES_TIMEOUT_MS * NS_PER_MS)))
        .map_err(|()| refused("the host does not take timeouts"))?;
    Ok(options)
}

fn write_body(outgoing: OutgoingBody, bytes: &[u8]) -> Result<(), String> {
    if !bytes.is_empty() {
        let stream = outgoing.write().map_err(|()| "the request body could not be opened".to_owned())?;
        for chunk in bytes.chunks(WRITE_BYTES_MAX) {
            stream
                .blocking_write_and_flush(chunk)
                .map_err(|error| format!("the request body was cut off: {error:?}"))?;
        }
    }
    // The stream is dropped by now: a body with an open stream cannot be finished.
    OutgoingBody::finish(outgoing, None).map_err(|code| format!("the request body was not taken: {code:?}"))
}

fn wait(answer: &FutureIncomingResponse) -> Result<IncomingResponse, HttpError> {
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(code))) => Err(classify(&code)),
        Some(Err(())) | None => Err(unknown("the host gave no answer")),
    }
}

fn read_body(response: &IncomingResponse) -> Result<Vec<u8>, HttpError> {
    let incoming = response.consume().map_err(|()| unknown("the host gives no response body"))?;
    let stream = incoming.stream().map_err(|()| unknown("the host gives no response stream"))?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(bytes) if body.len() + bytes.len() > RESPONSE_BYTES_MAX => {
                return Err(HttpError::TooLarge(format!(
                    "found an answer of more than {RESPONSE_BYTES_MAX} bytes; expected one that fits: ask for less"
                )));
            }
            Ok(bytes) => {
                // By itself a vector would go beyond the bound to hold the last bytes below it.
                if body.capacity() - body.len() < bytes.len() {
                    body.reserve_exact(grown(body.len(), bytes.len()) - body.len());
                }
                body.extend_from_slice(&bytes);
            }
            Err(StreamError::Closed) => return Ok(body),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(unknown(&format!("the answer was cut off: {}", error.to_debug_string())));
            }
        }
    }
}

/// How much room there is to be for an answer so far and what comes next: twice as much, and
/// never more than the longest answer takes.
fn grown(so_far: usize, next: usize) -> usize {
    (2 * so_far).min(RESPONSE_BYTES_MAX).max(so_far + next)
}

fn header_texts(fields: &Fields) -> Vec<(String, String)> {
    fields
        .entries()
        .into_iter()
        .filter_map(|(name, value)| {
            let value = String::from_utf8(value).ok()?;
            Some((name.to_ascii_lowercase(), value))
        })
        .collect()
}

/// INVARIANT: only what comes up before the first byte of the request may be
/// `Refused` or `NotSent`; everything else could hide an effect. `TooLarge` is told apart by
/// the request, see `meant`.
fn classify(code: &ErrorCode) -> HttpError {
    let text = format!("{code:?}");
    match code {
        ErrorCode::HttpRequestDenied
        | ErrorCode::DestinationIpProhibited
        | ErrorCode::HttpRequestLengthRequired
        | ErrorCode::HttpRequestBodySize(_)
        | ErrorCode::HttpRequestMethodInvalid
        | ErrorCode::HttpRequestUriInvalid
        | ErrorCode::HttpRequestUriTooLong
        | ErrorCode::HttpRequestHeaderSectionSize(_)
        | ErrorCode::HttpRequestHeaderSize(_) => HttpError::Refused(text),
        ErrorCode::DnsTimeout
        | ErrorCode::DnsError(_)
        | ErrorCode::DestinationNotFound
        | ErrorCode::DestinationUnavailable
        | ErrorCode::DestinationIpUnroutable
        | ErrorCode::ConnectionRefused
        | ErrorCode::ConnectionTimeout
        | ErrorCode::ConnectionLimitReached
        | ErrorCode::TlsCertificateError => HttpError::NotSent(text),
        // The host has a bound of its own; without a number the answer broke off.
        ErrorCode::HttpResponseBodySize(Some(_)) => HttpError::TooLarge(text),
        _ => HttpError::UnknownOutcome(text),
    }
}

fn refused(why: &str) -> HttpError {
    HttpError::Refused(why.to_owned())
}

fn unknown(why: &str) -> HttpError {
    HttpError::UnknownOutcome(why.to_owned())
}

fn wasi_method(method: Method) -> WasiMethod {
    match method {
        Method::Get => WasiMethod::Get,
        Method::Head => WasiMethod::Head,
        Method::Post => WasiMethod::Post,
        Method::Put => WasiMethod::Put,
        Method::Patch => WasiMethod::Patch,
        Method::Delete => WasiMethod::Delete,
    }
}

/// A URL in the parts that `wasi:http` wants.
#[derive(Debug)]
struct Target<'a> {
    scheme: Scheme,
    authority: &'a str,
    path_with_query: String,
}

impl<'a> Target<'a> {
    fn parse(url: &'a str) -> Result<Self, HttpError> {
        let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(refused("the url starts with neither https:// nor http://"));
        };
        let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        if authority.is_empty() {
            return Err(refused("the url names no host"));
        }
        // Check: credentials are the host's business, and `user@host` is how a
        // url is made to look like another one.
        if authority.contains('@') {
            return Err(refused("the url contains credentials; the host adds them"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, authority, path_with_query: format!("{slash}{path}") })
    }
}

/// Escapes text for one path segment or query value (RFC 3986: all but unreserved characters).
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn splits_urls_into_authority_and_path() {
        for (url, authority, path) in [
            ("https://erp.example", "erp.example", "/"),
            ("http://127.0.0.1:8080/v2.0/companies?$top=1", "127.0.0.1:8080", "/v2.0/companies?$top=1"),
            ("https://erp.example?x=1#part", "erp.example", "/?x=1"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.authority, target.path_with_query.as_str()), (authority, path));
        }
    }

    #[test]
    fn refuses_urls_with_credentials_or_without_a_host() {
        for url in ["https://user:pw@erp.example/", "https:///x", "ftp://erp.example", "erp.example"] {
            assert!(matches!(Target::parse(url), Err(HttpError::Refused(_))), "{url}");
        }
    }

    #[test]
    fn a_connection_that_breaks_leaves_the_outcome_unknown() {
        assert!(matches!(classify(&ErrorCode::ConnectionTerminated), HttpError::UnknownOutcome(_)));
        assert!(matches!(classify(&ErrorCode::HttpResponseTimeout), HttpError::UnknownOutcome(_)));
        assert!(matches!(classify(&ErrorCode::ConnectionRefused), HttpError::NotSent(_)));
        assert!(matches!(classify(&ErrorCode::HttpRequestDenied), HttpError::Refused(_)));
    }

    #[test]
    fn the_longest_answer_takes_no_more_room_than_it_has_bytes() {
        let (mut room, mut so_far) = (0, 0);
        while so_far < RESPONSE_BYTES_MAX {
            let next = 65_487.min(RESPONSE_BYTES_MAX - so_far);
            if room - so_far < next {
                room = grown(so_far, next);
            }
            so_far += next;
            assert!((so_far..=RESPONSE_BYTES_MAX).contains(&room), "{room} for {so_far}");
        }
    }

    #[test]
    fn an_answer_that_is_too_large_hides_no_effect_and_is_not_asked_for_again() {
        let too_large = || HttpError::TooLarge("too large".to_owned());
        assert_eq!(meant(too_large(), false), HttpError::UnknownOutcome("too large".to_owned()));
        assert_eq!(Failure::from(meant(too_large(), true)), Failure::Permanent("too large".to_owned()));
    }

    #[test]
    fn escapes_everything_but_unreserved_characters() {
        assert_eq!(escaped("PO 4711/ä'"), "PO%204711%2F%C3%A4%27");
    }
}
