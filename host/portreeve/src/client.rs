//! A small HTTP/1.1 client for the demo, tests and the command line: one request
//! on one connection to an address on this machine.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use portreeve_api::outcome::SAID_BYTES_MAX;
use portreeve_registry::file::{SMALL_BYTES_MAX, read_text};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Bytes of an answer: an outcome's events, its acknowledgement and the rest around
/// them. A wrong port may answer anything.
const ANSWER_BYTES_MAX: usize = 2 * SAID_BYTES_MAX;

/// How long an answer may take, from the first byte that is sent to the last one that
/// is read. A host answers a large file within a minute; a wrong port may never.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// How long an answer is waited for, and what to do when none comes.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// So long.
    pub limit: Duration,
    /// The end of the sentence that says so.
    pub otherwise: &'static str,
}

impl Default for Patience {
    fn default() -> Self {
        let otherwise = "see whether a portreeve listens there and what its log says, and send it again: what it kept it takes for a duplicate";
        Self { limit: ANSWER_WITHIN, otherwise }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The headers, names in lower case; a value that is no text is left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Sends a request.
///
/// # Errors
/// When the connection fails, or the answer is too long or does not come.
pub async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> anyhow::Result<Answer> {
    within(Patience::default(), address, exchange(address, method, path, headers, body)).await
}

async fn within<T>(
    Patience { limit, otherwise }: Patience,
    address: SocketAddr,
    exchange: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let answer = tokio::time::timeout(limit, exchange).await;
    answer.unwrap_or_else(|_| bail!("{address} did not answer within {} s; {otherwise}", limit.as_secs()))
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("nobody listens on {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this call, however it ends.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("the answer could not be read: {error}"))?
        .to_bytes();
    Ok(Answer { status, headers, body })
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A running host, and what is shown to it.
pub struct Server {
    address: SocketAddr,
    credential: String,
}

impl Server {
    /// A host at `http://ADDRESS:PORT` with the bearer token in a file.
    ///
    /// # Errors
    /// When either cannot be understood or read.
    pub fn new(url: &str, token_file: &Path) -> anyhow::Result<Self> {
        let address = address(url)?;
        let token = read_text(token_file, SMALL_BYTES_MAX).context("there is no token to show to the server")?;
        Ok(Self { address, credential: format!("Bearer {}", token.trim()) })
    }

    /// Sends a request; any answer but 401 is the caller's.
    ///
    /// # Errors
    /// When nobody answers, or the token is not taken.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        self.send_within(Patience::default(), method, path, headers, body).await
    }

    /// The same for an answer that takes its time.
    ///
    /// # Errors
    /// When nobody answers, or the token is not taken.
    pub async fn send_within(
        &self,
        patience: Patience,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let headers = [headers, &[("authorization", self.credential.as_str())]].concat();
        let answer = within(patience, self.address, exchange(self.address, method, path, &headers, body)).await?;
        if answer.status == 401 {
            bail!("{}", answer.problem().1);
        }
        Ok(answer)
    }
}

impl Answer {
    /// The code and the sentence of problem details.
    #[must_use]
    pub fn problem(&self) -> (String, String) {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |name: &str| problem.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let code = text("type").rsplit(':').next().unwrap_or_default().to_owned();
        (code, format!("the server answered {}: {}", self.status, text("detail")))
    }
}

/// An address on this machine's side of a proxy: the client speaks no TLS.
pub(crate) fn address(server: &str) -> anyhow::Result<SocketAddr> {
    let text = server.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    text.and_then(|text| text.parse().ok()).with_context(|| {
        format!(
            "the server `{server}` is not understood; expected `http://ADDRESS:PORT`, for example http://127.0.0.1:8080"
        )
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_port_that_never_answers_is_given_up_in_time() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let asked = exchange(address, Method::GET, "/healthz", &[], Bytes::new());
        let soon = Patience { limit: Duration::from_millis(50), ..Patience::default() };
        let error = within(soon, address, asked).await.unwrap_err().to_string();
        assert!(error.contains("did not answer within") && error.contains("send it again"), "{error}");
        let asked = exchange(address, Method::GET, "/healthz", &[], Bytes::new());
        let error = within(Patience { otherwise: "look it up", ..soon }, address, asked).await.unwrap_err();
        assert!(error.to_string().ends_with("did not answer within 0 s; look it up"), "{error}");
    }

    #[test]
    fn a_server_is_an_address_and_a_port() {
        assert_eq!(address("http://127.0.0.1:8080/").unwrap().port(), 8080);
        for wrong in ["https://127.0.0.1:1", "127.0.0.1:1", "http://localhost", "http://127.0.0.1:1/v1"] {
            assert!(address(wrong).unwrap_err().to_string().contains("expected `http://ADDRESS:PORT`"), "{wrong}");
        }
    }
}
