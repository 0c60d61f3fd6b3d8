//! A request of the host's own: for a token or a session, before a guest's request can be signed, or
//! with a notice.
//! The same connections, checks of names and limits as for guests, and nothing kept.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpStream;

use crate::connections::{Open, Unanswered, Unopened};
use crate::limits::Limits;
use crate::tls::ClientTls;

/// How long all of it may take: a guest's call waits for it.
const WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer. A token has some hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A request of the host's own.
pub struct OwnRequest<'a> {
    /// Checked addresses, best first.
    pub addresses: &'a [SocketAddr],
    /// Whom to trust, and the name to prove; none for plain HTTP.
    pub tls: Option<(&'a ClientTls, &'a str)>,
    /// The `host` header.
    pub authority: &'a str,
    /// Where to.
    pub path_and_query: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Vec<u8>,
}

/// Sends it: status and body of the answer.
///
/// # Errors
/// Why there is no answer, in words that hold nothing of the request.
pub async fn post(request: OwnRequest<'_>) -> Result<(u16, Vec<u8>), String> {
    in_time(async {
        let (response, _open) = exchange(request, Method::POST).await?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut answer = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| "the answer broke off".to_owned())?.into_data() else { continue };
            if answer.len().saturating_add(data.len()) > ANSWER_BYTES_MAX {
                return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
            }
            answer.extend_from_slice(&data);
        }
        Ok((status, answer.to_vec()))
    })
    .await
}

/// Sends it with any method and reads no body: status and headers of the answer, names in
/// lower case, without those that are no text.
///
/// # Errors
/// Why there is no answer, in words that hold nothing of the request.
pub async fn look(request: OwnRequest<'_>, method: &str) -> Result<(u16, Vec<(String, String)>), String> {
    let method = Method::try_from(method).map_err(|_| "its method is no method".to_owned())?;
    in_time(async {
        let (response, _open) = exchange(request, method).await?;
        let text =
            |(name, value): (&HeaderName, &HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
        Ok((response.status().as_u16(), response.headers().iter().filter_map(text).collect()))
    })
    .await
}

async fn in_time<T>(asking: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let within = tokio::time::timeout(WITHIN, asking).await;
    within.map_err(|_| format!("there was no answer within {} seconds", WITHIN.as_secs()))?
}

/// The answer as far as its headers, and the connection that the rest comes over.
async fn exchange(own: OwnRequest<'_>, method: Method) -> Result<(Response<Incoming>, Open), String> {
    let malformed = |_| "the request is malformed".to_owned();
    let mut request = Request::new(Full::new(Bytes::from(own.body)));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(own.path_and_query).map_err(|_| "its path is no path".to_owned())?;
    request.headers_mut().insert(header::HOST, HeaderValue::try_from(own.authority).map_err(malformed)?);
    for (name, value) in own.headers {
        let name = HeaderName::try_from(*name).map_err(|_| "the request is malformed".to_owned())?;
        let mut value = HeaderValue::try_from(*value).map_err(malformed)?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
    }

    let mut open = connect(own.addresses, own.tls).await?;
    let response = open.send(request).await.map_err(|why| match why {
        Unanswered::Unsent(_) => "the connection was closed at once".to_owned(),
        Unanswered::Broken(error) => format!("the exchange broke off: {error}"),
    })?;
    Ok((response, open))
}

async fn connect(addresses: &[SocketAddr], tls: Option<(&ClientTls, &str)>) -> Result<Open, String> {
    let mut why = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(*address).await {
            Ok(stream) => {
                let open = Open::over(stream, tls, Limits::DEFAULT.http_header_bytes).await;
                return open.map_err(|unopened| match unopened {
                    Unopened::NotProven(not) => not.why,
                    Unopened::Broken(error) => error.to_string(),
                });
            }
            Err(error) => why = format!("no connection: {}", error.kind()),
        }
    }
    Err(why)
}
