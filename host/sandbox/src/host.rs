//! The host's side of one call: what the guest's store holds, and the functions
//! that the guest can call.
//!
//! Every host function does the same five things: count the call and its
//! arguments, check the declaration, ask the capability, count the answer, fold
//! all of it into the transcript. A refusal is an ordinary answer that the guest
//! can handle; going beyond a limit ends the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_model::id::Digest;
use portreeve_model::value::Instant;
use sha2::{Digest as _, Sha256};
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_io::IoView;

use crate::bindings::{artifact, kv, log, lookup, numbers, values};
use portreeve_model::reference::{Field, FieldValue, Row};

use crate::capability::{CallContext, LookupError, NumbersError};
use crate::egress::Sender;
use crate::limits::{KV_KEY_BYTES_MAX, LOG_LINE_BYTES_MAX, Limits, to_u64, to_usize};
use crate::outcome::{
    Call, CallFailure, KvWrite, LogLevel, LogLine, LookupAnswer, RecordedLookup, RecordedRequest, RequestOutcome,
};
use crate::plugin::{Loaded, PluginSpec};
use crate::wasi::Wasi;

/// Ends a call from inside a host function, the limiter or the clock.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stop(pub(crate) CallFailure);

/// What the store of one call holds.
pub(crate) struct Border {
    spec: Arc<PluginSpec>,
    call: Call,
    context: CallContext,
    record: Record,
    memory: MemoryLimiter,
    resources: ResourceTable,
    http: WasiHttpCtx,
    sender: Sender,
    pub(crate) wasi: Wasi,
}

/// What happened at the border so far.
pub(crate) struct Record {
    limits: Limits,
    transcript: Sha256,
    pub(crate) host_calls: u64,
    host_call_bytes: u64,
    pub(crate) lookups: Vec<RecordedLookup>,
    pub(crate) numbers: Vec<(String, u64)>,
    /// The connector's state as the guest sees it: what is committed, and over it what
    /// this call wrote.
    state: BTreeMap<String, Vec<u8>>,
    state_is_read: bool,
    kv: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) logs: Vec<LogLine>,
    log_bytes: u64,
    pub(crate) logs_dropped: u64,
}

impl Border {
    pub(crate) fn new(
        plugin: &Loaded,
        call: Call,
        context: &CallContext,
        seed: u64,
        call_ends: std::time::Instant,
    ) -> Self {
        let spec = Arc::clone(&plugin.spec);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(to_usize(spec.limits.handles));
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(to_usize(spec.limits.http_header_bytes));
        Self {
            record: Record::new(spec.limits),
            memory: MemoryLimiter { limits: spec.limits, memory_bytes: 0, table_elements: 0 },
            resources,
            http,
            wasi: Wasi::new(&spec, seed, context.received_at.0),
            sender: Sender::new(plugin, call, context.egress.clone(), call_ends),
            context: context.clone(),
            call,
            spec,
        }
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn received_at(&self) -> Instant {
        self.context.received_at
    }

    /// Counts a call that has no place in the transcript.
    pub(crate) fn count_call(&mut self) -> Result<(), Stop> {
        self.record.enter(&[])
    }

    /// Counts bytes of such a call.
    pub(crate) fn count_bytes(&mut self, bytes: u64) -> Result<(), Stop> {
        self.record.count_bytes(bytes)
    }

    pub(crate) fn limiter(&mut self) -> &mut dyn wasmtime::ResourceLimiter {
        &mut self.memory
    }

    /// What its memories have come to, all together.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory.memory_bytes
    }

    /// The record of the call, and the requests that it sent.
    pub(crate) fn into_record(self) -> (Record, Vec<RecordedRequest>) {
        let requests = self.sender.into_requests();
        (self.record, requests)
    }
}

impl Record {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            transcript: Sha256::new(),
            host_calls: 0,
            host_call_bytes: 0,
            lookups: Vec::new(),
            numbers: Vec::new(),
            state: BTreeMap::new(),
            state_is_read: false,
            kv: BTreeMap::new(),
            logs: Vec::new(),
            log_bytes: 0,
            logs_dropped: 0,
        }
    }

    /// Counts a call and its arguments; the host does nothing for a guest before this.
    fn enter(&mut self, arguments: &[&[u8]]) -> Result<(), Stop> {
        self.host_calls = self.host_calls.saturating_add(1);
        if self.host_calls > self.limits.host_calls {
            return Err(too_large("host calls", self.host_calls, self.limits.host_calls));
        }
        self.count(arguments)
    }

    /// Counts the answer and folds the call into the transcript.
    fn leave(&mut self, function: &str, arguments: &[&[u8]], answer: &[&[u8]]) -> Result<(), Stop> {
        self.count(answer)?;
        self.fold(&[function.as_bytes()]);
        self.fold(arguments);
        self.fold(answer);
        Ok(())
    }

    fn count(&mut self, parts: &[&[u8]]) -> Result<(), Stop> {
        self.count_bytes(parts.iter().map(|part| to_u64(part.len())).fold(0, u64::saturating_add))
    }

    fn count_bytes(&mut self, bytes: u64) -> Result<(), Stop> {
        self.host_call_bytes = self.host_call_bytes.saturating_add(bytes);
        if self.host_call_bytes > self.limits.host_call_bytes {
            return Err(too_large("bytes of host calls", self.host_call_bytes, self.limits.host_call_bytes));
        }
        Ok(())
    }

    /// Number of parts, then each part behind its length: no byte can move from
    /// one to the next unnoticed.
    fn fold(&mut self, parts: &[&[u8]]) {
        self.transcript.update(to_u64(parts.len()).to_be_bytes());
        for part in parts {
            self.transcript.update(to_u64(part.len()).to_be_bytes());
            self.transcript.update(part);
        }
    }

    /// Folds the HTTP exchanges, which end in any order, in the order of their requests.
    pub(crate) fn fold_requests(&mut self, requests: &[RecordedRequest]) {
        for request in requests {
            let body = request.body.as_ref().map_or_else(String::new, Digest::to_string);
            let outcome = outcome_text(&request.outcome);
            self.fold(&[
                b"http",
                request.method.as_bytes(),
                request.url.as_bytes(),
                body.as_bytes(),
                outcome.as_bytes(),
            ]);
        }
    }

    pub(crate) fn transcript(&self) -> Digest {
        Digest::from_bytes(self.transcript.clone().finalize().into())
    }

    pub(crate) fn take_kv_writes(&mut self) -> Vec<KvWrite> {
        std::mem::take(&mut self.kv).into_iter().map(|(key, value)| KvWrite { key, value }).collect()
    }
}

/// Many small parts, framed for the transcript in one piece: hashing them one by
/// one costs more than copying them together.
struct Parts {
    count: u64,
    /// Of the parts, their lengths aside.
    bytes: u64,
    framed: Vec<u8>,
}

impl Parts {
    /// Room for an ordinary row.
    const USUAL_BYTES: usize = 512;

    fn new() -> Self {
        Self { count: 0, bytes: 0, framed: Vec::with_capacity(Self::USUAL_BYTES) }
    }

    /// Adds one part, given in pieces.
    fn push(&mut self, pieces: &[&[u8]]) {
        let bytes = pieces.iter().map(|piece| to_u64(piece.len())).fold(0, u64::saturating_add);
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.framed.extend_from_slice(&bytes.to_be_bytes());
        pieces.iter().for_each(|piece| self.framed.extend_from_slice(piece));
    }

    fn fold_into(&self, transcript: &mut Sha256) {
        transcript.update(self.count.to_be_bytes());
        transcript.update(&self.framed);
    }
}

/// How a request ended, as the transcript spells it.
fn outcome_text(outcome: &RequestOutcome) -> String {
    match outcome {
        RequestOutcome::Unsent => "unsent".to_owned(),
        RequestOutcome::Unfinished => "unfinished".to_owned(),
        RequestOutcome::Refused(why) => format!("refused:{why}"),
        RequestOutcome::Deferred { why, .. } => format!("deferred:{why}"),
        RequestOutcome::Failed(why) => format!("failed:{why}"),
        RequestOutcome::Answered { status, body, .. } => format!("answered:{status}:{body}"),
    }
}

fn too_large(what: &'static str, found: u64, allowed: u64) -> Stop {
    Stop(CallFailure::TooLarge { what, found, allowed })
}

// --- log ---

impl log::Host for Border {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        Ok(self.record.write_line(level, &message)?)
    }
}

impl Record {
    /// Keeps a line or drops it; the transcript has all of it either way, and
    /// whether it was kept.
    fn write_line(&mut self, level: LogLevel, message: &str) -> Result<(), Stop> {
        let arguments = [level.as_str().as_bytes(), message.as_bytes()];
        self.enter(&arguments)?;

        let line = one_line(message);
        let bytes = self.log_bytes.saturating_add(to_u64(line.len()));
        if to_u64(self.logs.len()) >= self.limits.log_lines || bytes > self.limits.log_bytes {
            self.logs_dropped = self.logs_dropped.saturating_add(1);
            return self.leave("log.write", &arguments, &[b"dropped"]);
        }
        self.log_bytes = bytes;
        self.logs.push(LogLine { level, message: line });
        self.leave("log.write", &arguments, &[b"kept"])
    }
}

/// Cut to the limit at a character's boundary; control characters, with which a
/// guest could forge lines or drive a terminal, become spaces.
fn one_line(message: &str) -> String {
    let end = message.floor_char_boundary(LOG_LINE_BYTES_MAX);
    let kept = message.get(..end).unwrap_or_default();
    kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

// --- numbers ---

impl numbers::Host for Border {
    async fn next(&mut self, range: String) -> wasmtime::Result<Result<u64, numbers::NumbersError>> {
        self.record.enter(&[range.as_bytes()])?;
        let drawn = to_u64(self.record.numbers.len());
        if drawn >= self.record.limits.numbers {
            return Err(too_large("numbers", drawn.saturating_add(1), self.record.limits.numbers).into());
        }
        let answer = if self.spec.declared.numbers.contains(&range) {
            self.context.numbers.next(&range).await
        } else {
            Err(NumbersError::Denied(not_declared("number range", &range, "numbers")))
        };
        let folded = answer.as_ref().map_or_else(|error| format!("!{error}"), u64::to_string);
        self.record.leave("numbers.next", &[range.as_bytes()], &[folded.as_bytes()])?;

        if let Ok(number) = answer {
            self.record.numbers.push((range, number));
        }
        Ok(answer.map_err(|error| match error {
            NumbersError::Denied(why) => numbers::NumbersError::Denied(why),
            NumbersError::Exhausted(why) => numbers::NumbersError::Exhausted(why),
            NumbersError::Unavailable(why) => numbers::NumbersError::Unavailable(why),
        }))
    }
}

// --- lookup ---

impl lookup::Host for Border {
    async fn get(
        &mut self,
        table: String,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<lookup::Field>>, lookup::LookupError>> {
        self.record.enter(&[table.as_bytes(), key.as_bytes()])?;
        let answer = if self.spec.declared.lookup.contains(&table) {
            self.context.lookup.get(&table, &key).await
        } else {
            Err(LookupError::Denied(not_declared("table", &table, "lookup")))
        };
        Ok(self.record.looked_up(table, key, answer)?)
    }
}

impl Record {
    /// Folds and keeps an answer, and gives it the guest's form.
    pub(crate) fn looked_up(
        &mut self,
        table: String,
        key: String,
        answer: Result<Option<Arc<Row>>, LookupError>,
    ) -> Result<Result<Option<Vec<lookup::Field>>, lookup::LookupError>, Stop> {
        let folded = lookup_parts(&answer);
        self.count_bytes(folded.bytes)?;
        self.fold(&[b"lookup.get"]);
        self.fold(&[table.as_bytes(), key.as_bytes()]);
        folded.fold_into(&mut self.transcript);

        let to_guest = match &answer {
            Ok(row) => Ok(row.as_ref().map(|row| row.0.iter().map(field_to_guest).collect())),
            Err(LookupError::Denied(why)) => Err(lookup::LookupError::Denied(why.clone())),
            Err(LookupError::UnknownTable(why)) => Err(lookup::LookupError::UnknownTable(why.clone())),
            Err(LookupError::Unavailable(why)) => Err(lookup::LookupError::Unavailable(why.clone())),
        };
        let answer = match answer {
            Ok(Some(row)) => LookupAnswer::Row(row),
            Ok(None) => LookupAnswer::NoRow,
            Err(LookupError::Denied(_)) => LookupAnswer::Denied,
            Err(LookupError::UnknownTable(_)) => LookupAnswer::UnknownTable,
            Err(LookupError::Unavailable(_)) => LookupAnswer::Unavailable,
        };
        self.lookups.push(RecordedLookup { table, key, answer });
        Ok(to_guest)
    }
}

fn field_to_guest(field: &Field) -> lookup::Field {
    let value = match &field.value {
        FieldValue::Text(text) => lookup::FieldValue::Text(text.clone()),
        FieldValue::Whole(whole) => lookup::FieldValue::Whole(*whole),
        FieldValue::Number(number) => {
            lookup::FieldValue::Number(values::Decimal { units: number.units, scale: number.scale })
        }
        FieldValue::Day(day) => {
            lookup::FieldValue::Day(values::Date { year: day.year(), month: day.month(), day: day.day() })
        }
        FieldValue::Flag(flag) => lookup::FieldValue::Flag(*flag),
    };
    lookup::Field { name: field.name.clone(), value }
}

/// An answer for the transcript: a sign, then names and typed values.
fn lookup_parts(answer: &Result<Option<Arc<Row>>, LookupError>) -> Parts {
    let mut parts = Parts::new();
    let row = match answer {
        Ok(Some(row)) => row,
        Ok(None) => {
            parts.push(&[b"-"]);
            return parts;
        }
        Err(error) => {
            parts.push(&[b"!", error.to_string().as_bytes()]);
            return parts;
        }
    };
    parts.push(&[b"+"]);
    for field in &row.0 {
        parts.push(&[field.name.as_bytes()]);
        match &field.value {
            FieldValue::Text(text) => parts.push(&[b"text:", text.as_bytes()]),
            FieldValue::Whole(whole) => parts.push(&[b"whole:", whole.to_string().as_bytes()]),
            FieldValue::Number(number) => {
                parts.push(&[format!("number:{}e-{}", number.units, number.scale).as_bytes()]);
            }
            FieldValue::Day(day) => parts.push(&[b"day:", day.to_string().as_bytes()]),
            FieldValue::Flag(flag) => parts.push(&[b"flag:", if *flag { b"true" } else { b"false" }]),
        }
    }
    parts
}

// --- artifact ---

impl artifact::Host for Border {
    async fn size(&mut self, digest: String) -> wasmtime::Result<Result<u64, artifact::ArtifactError>> {
        self.record.enter(&[digest.as_bytes()])?;
        let answer = match self.artifact(&digest) {
            Ok(known) => {
                let size = self.context.artifacts.size(&known).await;
                size.ok_or_else(|| artifact::ArtifactError::Missing(digest.clone()))
            }
            Err(denied) => Err(denied),
        };
        let folded = answer.as_ref().map_or_else(|_| "!".to_owned(), u64::to_string);
        self.record.leave("artifact.size", &[digest.as_bytes()], &[folded.as_bytes()])?;
        Ok(answer)
    }

    async fn read(
        &mut self,
        digest: String,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, artifact::ArtifactError>> {
        let range = format!("{offset}+{length}");
        let arguments = [digest.as_bytes(), range.as_bytes()];
        self.record.enter(&arguments)?;
        let answer = match self.artifact(&digest) {
            Ok(known) => {
                // The answer is counted before it is made: the limit is on the
                // host's memory, too.
                let left = self.record.limits.host_call_bytes.saturating_sub(self.record.host_call_bytes);
                let length = u64::from(length).min(left.saturating_add(1));
                let bytes = self.context.artifacts.read(&known, offset, length).await;
                bytes.ok_or_else(|| artifact::ArtifactError::Missing(digest.clone()))
            }
            Err(denied) => Err(denied),
        };
        let folded: &[u8] = answer.as_ref().map_or(b"!", Vec::as_slice);
        self.record.leave("artifact.read", &arguments, &[folded])?;
        Ok(answer)
    }
}

impl Border {
    fn artifact(&self, text: &str) -> Result<Digest, artifact::ArtifactError> {
        let digest = Digest::parse(text).map_err(|error| artifact::ArtifactError::Denied(error.to_string()))?;
        if self.spec.declared.artifacts.contains(&digest) {
            Ok(digest)
        } else {
            Err(artifact::ArtifactError::Denied(not_declared("artifact", text, "artifact")))
        }
    }
}

// --- kv ---

impl kv::Host for Border {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, kv::KvError>> {
        self.record.enter(&[key.as_bytes()])?;
        let answer = if key.len() > KV_KEY_BYTES_MAX {
            Err(kv::KvError::TooLarge(key_too_large(&key)))
        } else {
            self.read_state().await.map_err(kv::KvError::Unavailable).map(|()| self.record.state.get(&key).cloned())
        };
        let (sign, folded): (&[u8], &[u8]) = match &answer {
            Ok(Some(value)) => (b"+", value),
            Ok(None) => (b"-", b""),
            Err(_) => (b"!", b""),
        };
        self.record.leave("kv.get", &[key.as_bytes()], &[sign, folded])?;
        Ok(answer)
    }

    async fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), kv::KvError>> {
        let state = self.read_state_to_write().await;
        Ok(self.record.write_key("kv.set", key, Some(value), state)?)
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), kv::KvError>> {
        let state = self.read_state_to_write().await;
        Ok(self.record.write_key("kv.delete", key, None, state)?)
    }
}

impl Border {
    /// Reads the state of the call's scope, once.
    async fn read_state(&mut self) -> Result<(), String> {
        if !self.record.state_is_read {
            self.record.state = self.context.kv.read().await?;
            self.record.state_is_read = true;
        }
        Ok(())
    }

    /// A look-up changes nothing, its own state neither.
    async fn read_state_to_write(&mut self) -> Result<(), String> {
        if matches!(self.call, Call::Find | Call::Check) {
            return Err(format!("`{}` may read its state and not change it", self.call));
        }
        self.read_state().await
    }
}

impl Record {
    /// Keeps a write for the crossing; nothing reaches the store from here. It is
    /// folded with its answer, which is known only after the limits were asked.
    fn write_key(
        &mut self,
        function: &str,
        key: String,
        value: Option<Vec<u8>>,
        state: Result<(), String>,
    ) -> Result<Result<(), kv::KvError>, Stop> {
        let bytes = value.as_deref().unwrap_or_default();
        let arguments = [key.as_bytes(), bytes];
        self.enter(&arguments)?;
        let taken = match state {
            Err(why) => Err(kv::KvError::Unavailable(why)),
            Ok(()) => self.refuse_write(&key, value.as_deref()).map_or(Ok(()), |why| Err(kv::KvError::TooLarge(why))),
        };
        let sign: &[u8] = if taken.is_err() { b"!" } else { b"+" };
        self.leave(function, &arguments, &[sign])?;
        if taken.is_ok() {
            match value {
                Some(value) => {
                    self.state.insert(key.clone(), value.clone());
                    self.kv.insert(key, Some(value));
                }
                // What is not there needs no forgetting: a guest could name a million keys.
                None if self.state.remove(&key).is_some() => drop(self.kv.insert(key, None)),
                None => {}
            }
        }
        Ok(taken)
    }

    fn refuse_write(&self, key: &str, value: Option<&[u8]>) -> Option<String> {
        let limits = &self.limits;
        if key.len() > KV_KEY_BYTES_MAX {
            return Some(key_too_large(key));
        }
        let value = value?;
        if to_u64(value.len()) > limits.kv_value_bytes {
            return Some(format!("the value has {} bytes; at most {} are allowed", value.len(), limits.kv_value_bytes));
        }
        let others = || self.state.iter().filter(|(other, _)| *other != key);
        if to_u64(others().count()) >= limits.kv_keys {
            return Some(format!("there may be {} keys", limits.kv_keys));
        }
        let bytes = others().map(|(key, value)| key.len().saturating_add(value.len()));
        let bytes = bytes.fold(key.len().saturating_add(value.len()), usize::saturating_add);
        if to_u64(bytes) > limits.kv_bytes {
            return Some(format!("all keys and values have {bytes} bytes; at most {} are allowed", limits.kv_bytes));
        }
        None
    }
}

fn key_too_large(key: &str) -> String {
    format!("the key has {} bytes; at most {KV_KEY_BYTES_MAX} are allowed", key.len())
}

fn not_declared(what: &str, name: &str, table: &str) -> String {
    let name: String = name.chars().take(80).collect();
    format!("{what} `{name}` is not declared; name it in the manifest under `imports.{table}`")
}

// --- memory ---

/// Bounds memories and tables, all of a component's together.
struct MemoryLimiter {
    limits: Limits,
    memory_bytes: u64,
    table_elements: u64,
}

impl wasmtime::ResourceLimiter for MemoryLimiter {
    /// A refusal ends the call here: told "no", most guests would run into an
    /// `unreachable` that says nothing about memory.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.memory_bytes.saturating_sub(to_u64(current)).saturating_add(to_u64(desired));
        let allowed = self.limits.memory_bytes;
        if asked > allowed {
            return Err(Stop(CallFailure::OutOfMemory { asked_bytes: asked, allowed_bytes: allowed }).into());
        }
        self.memory_bytes = asked;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = self.table_elements.saturating_sub(to_u64(current)).saturating_add(to_u64(desired));
        let allowed = self.limits.table_elements;
        if asked > allowed {
            return Err(too_large("table elements", asked, allowed).into());
        }
        self.table_elements = asked;
        Ok(true)
    }

    fn instances(&self) -> usize {
        to_usize(self.limits.instances)
    }
}

// --- what wasi:http and wasi:io need of the store ---

impl IoView for Border {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.resources
    }
}

impl WasiHttpView for Border {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.sender, table: &mut self.resources, ctx: &mut self.http }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_log_line_is_cut_at_a_character_and_forges_no_line() {
        let long = "é".repeat(LOG_LINE_BYTES_MAX);
        assert_eq!(one_line(&long).len(), LOG_LINE_BYTES_MAX);
        let odd = format!("a{long}");
        assert_eq!(one_line(&odd).len(), LOG_LINE_BYTES_MAX - 1);
        assert_eq!(one_line("a\nERROR b\u{1b}[2J"), "a ERROR b [2J");
    }

    #[test]
    fn the_transcript_tells_where_one_argument_ends() {
        let fold = |parts: &[&[u8]]| {
            let mut record = Record::new(Limits::DEFAULT);
            record.fold(parts);
            record.transcript()
        };
        assert_ne!(fold(&[b"ab", b"c"]), fold(&[b"a", b"bc"]));
        assert_ne!(fold(&[b"ab"]), fold(&[b"ab", b""]));
    }

    #[test]
    fn the_transcript_tells_a_lines_level_what_was_cut_and_what_was_dropped() {
        let limits = Limits { log_lines: 1, ..Limits::DEFAULT };
        let lines = |lines: &[(LogLevel, &str)]| {
            let mut record = Record::new(limits);
            lines.iter().for_each(|(level, line)| record.write_line(*level, line).unwrap());
            record.transcript()
        };
        let (info, error) = (LogLevel::Info, LogLevel::Error);
        assert_ne!(lines(&[(info, "a")]), lines(&[(error, "a")]));
        assert_ne!(lines(&[(info, "a")]), lines(&[(info, "a"), (info, "dropped")]));
        assert_ne!(lines(&[(info, "a"), (info, "b")]), lines(&[(info, "a"), (info, "c")]));
        let long = |end: &str| format!("{}{end}", "x".repeat(LOG_LINE_BYTES_MAX));
        assert_ne!(lines(&[(info, &long("a"))]), lines(&[(info, &long("b"))]));
    }

    #[test]
    fn the_transcript_tells_whether_a_write_was_taken() {
        // The same write, taken by a call that has room and refused by one that has none.
        let last_write = |kv_keys: u64| {
            let mut record = Record::new(Limits { kv_keys, ..Limits::DEFAULT });
            record.write_key("kv.set", "other".to_owned(), Some(Vec::new()), Ok(())).unwrap().unwrap();
            record.transcript = Sha256::new();
            let taken = record.write_key("kv.set", "key".to_owned(), Some(vec![1]), Ok(())).unwrap().is_ok();
            (taken, record.transcript())
        };
        let (room, none) = (last_write(2), last_write(1));
        assert_eq!((room.0, none.0), (true, false));
        assert_ne!(room.1, none.1);
    }

    #[test]
    fn state_is_bounded_by_what_is_there_and_not_by_what_is_written() {
        let limits = Limits { kv_keys: 2, kv_value_bytes: 8, kv_bytes: 12, ..Limits::DEFAULT };
        let mut record = Record::new(limits);
        record.state.insert("a".to_owned(), vec![0; 8]);
        let mut set = |key: &str, bytes: usize| {
            record.write_key("kv.set", key.to_owned(), Some(vec![0; bytes]), Ok(())).unwrap().is_ok()
        };
        assert!(!set("b", 9), "a value");
        assert!(!set("b", 3), "all together");
        assert!(set("b", 2));
        assert!(!set("c", 0), "keys");
        assert!((0..100).all(|_| set("b", 1)), "the same key again and again");
        let mut forget = |key: &str| record.write_key("kv.delete", key.to_owned(), None, Ok(())).unwrap().unwrap();
        (0..100).for_each(|index| forget(&format!("absent-{index}")));
        forget("a");
        assert_eq!(record.take_kv_writes().len(), 2, "one is forgotten, one is written");
    }
}
