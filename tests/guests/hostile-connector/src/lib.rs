//! The attacks of a connector: on the egress wall, and on everything that the host
//! keeps for a guest. The settings of the call say which act, how often and how
//! large; every export does the same, so that each can be tried in each.
//!
//! It works below the SDK, which is more polite than the host can rely on.

use std::sync::atomic::{AtomicU64, Ordering};

use portreeve_sdk::bindings::connector::wasi::http::outgoing_handler;
use portreeve_sdk::bindings::connector::wasi::http::types::{
    Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use portreeve_sdk::bindings::connector::wasi::io::streams::StreamError;
use portreeve_sdk::bindings::shared::portreeve::plugin::log as raw_log;
use portreeve_sdk::connector::*;

struct HostileConnector;

impl Connector for HostileConnector {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        as_told("receive", &input.settings)?;
        let told = act(&input.settings);
        let reply = Reply { status: 200, headers: Vec::new(), body: told.into_bytes() };
        let documents = documents(&input.settings);
        Ok(Received { envelopes: envelopes(&input.settings), documents, problems: Vec::new(), reply })
    }

    fn deliver(delivery: Delivery) -> Result<Receipt, Failure> {
        as_told("deliver", &delivery.settings)?;
        let receipt = receipt(&delivery.settings);
        as_told("delivered", &delivery.settings)?;
        Ok(receipt)
    }

    fn find(query: FindQuery) -> Result<Option<Receipt>, Failure> {
        as_told("find", &query.settings)?;
        Ok(Some(receipt(&query.settings)))
    }

    fn poll(request: PollRequest) -> Result<Polled, Failure> {
        let told = act(&request.settings);
        let documents = documents(&request.settings);
        Ok(Polled { documents, problems: Vec::new(), cursor: Some(told.into_bytes()) })
    }

    fn check(request: CheckRequest) -> Result<CheckReport, Failure> {
        Ok(CheckReport { ok: true, detail: act(&request.settings) })
    }
}

/// Fails in an export when the setting of its name says so.
fn as_told(export: &str, settings: &[Setting]) -> Result<(), Failure> {
    match setting(settings, export) {
        Some("retry") => Err(Failure::Retry(1_000)),
        Some("permanent") => Err(Failure::permanent("the settings say so")),
        Some("unknown") => Err(Failure::unknown("the settings say so")),
        _ => Ok(()),
    }
}

/// A document of the kind that the settings name.
fn documents(settings: &[Setting]) -> Vec<Document> {
    let document = |kind: &str| Document {
        key: "1".to_owned(),
        partner: String::new(),
        kind: kind.to_owned(),
        envelope: None,
        position: Position { offset_bytes: None, segment: None, path: String::new() },
        body: Vec::new(),
    };
    setting(settings, "kind").map(document).into_iter().collect()
}

/// An envelope for each of the `answers`, and for each of the `parts`: `OFFSET+LENGTH …`.
fn envelopes(settings: &[Setting]) -> Vec<Envelope> {
    let spans = |name| setting(settings, name).unwrap_or_default().split_whitespace().map(span);
    let answers =
        spans("answers").map(|answer| Envelope { answer: Some(answer), ..Envelope::of_input("1".to_owned()) });
    let parts = spans("parts").map(|part| Envelope { part: Some(part), ..Envelope::of_input("1".to_owned()) });
    answers.chain(parts).collect()
}

fn span(text: &str) -> Span {
    let (offset, length) = text.split_once('+').unwrap();
    Span { offset_bytes: offset.parse().unwrap(), length_bytes: length.parse().unwrap() }
}

fn receipt(settings: &[Setting]) -> Receipt {
    Receipt { external_id: "1".to_owned(), detail: Some(act(settings)) }
}

/// Does what the settings say, and tells what the host answered.
fn act(settings: &[Setting]) -> String {
    let text = |name: &str| setting(settings, name).unwrap_or_default();
    let number = |name: &str, default: usize| text(name).parse().unwrap_or(default);
    let (count, bytes) = (number("count", 1), number("bytes", 0));
    match text("act") {
        "send" => {
            let header = (text("header"), text("header-value"));
            let path = path(text("path"), bytes);
            let show = text("show") == "body";
            let send =
                || send(text("method"), text("scheme"), text("authority"), &path, header, number("body", 0), show);
            (1..count).for_each(|_| drop(send()));
            send()
        }
        "keep" => keep(text("part"), count, bytes),
        "fields" => {
            let fields = Fields::new();
            told((0..count).try_for_each(|index| fields.append(&format!("x-{index}"), &vec![b'a'; bytes])))
        }
        "handles" => {
            let kept: Vec<Fields> = (0..count).map(|_| Fields::new()).collect();
            kept.len().to_string()
        }
        "keys" => {
            let key = |index: usize| format!("{index:0>width$}", width = number("key-bytes", 8));
            told((0..count).try_for_each(|index| kv::set(&key(index), &vec![0; bytes]).map(drop)))
        }
        // What was remembered, one byte longer.
        "count" => match kv::get("count") {
            Ok(value) => {
                let value = [value.unwrap_or_default().as_slice(), b"1"].concat();
                let set = told(kv::set("count", &value).map(drop));
                format!("{set} {}", String::from_utf8_lossy(&value))
            }
            Err(error) => format!("{error:?}"),
        },
        // Somebody else's, by every name that it could have; finding it is a trap.
        "pry" => {
            let names = ["count", "hostile-connector/count", "../count", "erp-rest\0count", "%", "' OR 1=1 --", ""];
            assert!(!names.iter().any(|name| matches!(kv::get(name), Ok(Some(_)))), "it was there");
            "nothing".to_owned()
        }
        "numbers" => (0..count).filter_map(|_| numbers::next("control").ok()).count().to_string(),
        "log" => {
            (0..count).for_each(|_| raw_log::write(raw_log::Level::Warn, &"é".repeat(bytes / 2)));
            "written".to_owned()
        }
        "remember" => {
            static CALLS: AtomicU64 = AtomicU64::new(0);
            (CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string()
        }
        "write-and-trap" => {
            told(kv::set("key", b"value").map(drop));
            std::process::abort()
        }
        other => format!("there is no act `{other}`"),
    }
}

/// Requests that are never sent, each with a long text; how many took it.
fn keep(part: &str, count: usize, bytes: usize) -> String {
    let mut kept = Vec::new();
    let mut taken = 0;
    for _ in 0..count {
        let request = OutgoingRequest::new(Fields::new());
        let name = "a".repeat(bytes);
        let set = match part {
            "method" => request.set_method(&Method::Other(name)),
            "scheme" => request.set_scheme(Some(&Scheme::Other(name))),
            "authority" => request.set_authority(Some(&name)),
            _ => request.set_path_with_query(Some(&path("/", bytes))),
        };
        taken += usize::from(set.is_ok());
        kept.push(request);
    }
    taken.to_string()
}

fn path(start: &str, bytes: usize) -> String {
    format!("{start:a<bytes$}")
}

fn send(
    method: &str,
    scheme: &str,
    authority: &str,
    path: &str,
    header: (&str, &str),
    body: usize,
    show: bool,
) -> String {
    match exchange(method, scheme, authority, path, header, body, show) {
        Ok(answer) | Err(answer) => answer,
    }
}

fn exchange(
    method: &str,
    scheme: &str,
    authority: &str,
    path: &str,
    (name, value): (&str, &str),
    body: usize,
    show: bool,
) -> Result<String, String> {
    let fields = Fields::new();
    if !name.is_empty() {
        fields.append(name, value.as_bytes()).map_err(|error| format!("header: {error:?}"))?;
    }
    let request = OutgoingRequest::new(fields);
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        other => Method::Other(other.to_owned()),
    };
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    request.set_method(&method).map_err(|()| "method")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "scheme")?;
    request.set_authority(Some(authority)).map_err(|()| "authority")?;
    request.set_path_with_query(Some(path)).map_err(|()| "path")?;
    let outgoing = request.body().map_err(|()| "body")?;

    let answer = outgoing_handler::handle(request, None).map_err(|code| format!("{code:?}"))?;
    if body > 0 {
        let stream = outgoing.write().map_err(|()| "stream")?;
        for _ in 0..body.div_ceil(4096) {
            // The host may have said no already; its answer says why.
            drop(stream.blocking_write_and_flush(&[b'a'; 4096]));
        }
    }
    drop(OutgoingBody::finish(outgoing, None));
    answer.subscribe().block();
    let response = match answer.get() {
        Some(Ok(Ok(response))) => response,
        Some(Ok(Err(code))) => return Err(format!("{code:?}")),
        Some(Err(())) | None => return Err("no answer".to_owned()),
    };
    let entries = response.headers().entries();
    let names: Vec<String> = entries.iter().map(|(name, _)| name.clone()).collect();
    let read = read(response.consume().map_err(|()| "consume")?)?;
    if show {
        let values: Vec<_> = entries.iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
        return Ok(format!("{} {} {}", response.status(), values.join(" "), String::from_utf8_lossy(&read)));
    }
    let read = read.len();
    Ok(format!("answered {} with {read} bytes and {} headers: {}", response.status(), names.len(), names.join(" ")))
}

fn read(body: IncomingBody) -> Result<Vec<u8>, String> {
    let stream = body.stream().map_err(|()| "stream")?;
    let mut read = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(bytes) => read.extend(bytes),
            Err(StreamError::Closed) => return Ok(read),
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
}

fn told<E: std::fmt::Debug>(answer: Result<(), E>) -> String {
    answer.map_or_else(|error| format!("{error:?}"), |()| "taken".to_owned())
}

portreeve_sdk::connector!(HostileConnector);
