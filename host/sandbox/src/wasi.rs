//! The WASI that other people's tools link into every component, with nothing behind it.
//!
//! What makes components of Python, JavaScript or Rust for `wasm32-wasip2` imports an
//! environment, files, clocks, streams and sockets, whether the author uses them or
//! not. They are linked for every plugin without asking, since there is nothing to
//! be had:
//!
//! | interface | what a guest finds |
//! | --- | --- |
//! | `wasi:cli/*` | no variables, no arguments, no terminal; an input at its end; outputs that forget; leaving is a trap |
//! | `wasi:clocks/wall-clock` | the time at which the input was received, always |
//! | `wasi:clocks/monotonic-clock` | the time that the guest has waited for; waiting is over at once |
//! | `wasi:random/*` | numbers that follow from the component and the call's seed |
//! | `wasi:filesystem/*` | no directory, and so no file |
//! | `wasi:sockets/*` | access denied |
//!
//! So a call still depends on nothing but what is on record about it, and the
//! answers need no place in the transcript. They count as host calls all the same:
//! each costs the host more than the guest.
//!
//! The implementations of `wasmtime-wasi` are not used, only its types: its empty
//! context still has the machine's clocks and random numbers, and opens a socket
//! before it asks whether the guest may use one. A function that needs a handle which
//! nobody can have traps. Versions are taken as the component names them, so one
//! that was built against WASI 0.2.0 finds the same nothing.
//!
//! Plugins that may send HTTP requests are the exception: their streams and
//! pollables are those of `wasi:io` behind the requests, and since they wait for a
//! network their monotonic clock is a real one, from the beginning of the call.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::pipe::{ClosedInputStream, SinkOutputStream};
use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable;
use wasmtime_wasi_io::bindings::wasi::io::streams::StreamError;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error};
use wasmtime_wasi_io::{IoView, async_trait};

use crate::host::{Border, Stop};
use crate::limits::{RANDOM_BYTES_MAX, WRITE_BYTES_MAX, to_u64};
use crate::outcome::CallFailure;
use crate::plugin::PluginSpec;

/// The interfaces that are linked. One that is not here is refused.
const INTERFACES: [&str; 27] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// The resolution of both clocks.
const TICK: Duration = Duration::from_millis(1);

/// A handle to something that is not there: a file, a socket, a terminal.
struct Absent;

/// What an input or output stream answers.
type Streamed<T> = (Result<T, StreamError>,);

/// The interface that an import names, without its version, if it is one of WASI 0.2
/// that any plugin may import.
pub(crate) fn interface(import: &str) -> Option<&'static str> {
    let (name, version) = import.split_once('@')?;
    let known = INTERFACES.into_iter().find(|interface| *interface == name)?;
    version.starts_with("0.2.").then_some(known)
}

/// Links what a component imports of WASI, under the names that it has for it.
pub(crate) fn link(linker: &mut Linker<Border>, spec: &PluginSpec, component: &Component) -> wasmtime::Result<()> {
    let with_http = !spec.declared.http.is_empty();
    for (import, item) in component.component_type().imports(component.engine()) {
        let (Some(interface), ComponentItem::ComponentInstance(instance)) = (interface(import), item.ty) else {
            continue;
        };
        // Linked already: requests and answers are streams, too.
        if with_http && interface.starts_with("wasi:io/") {
            continue;
        }
        let mut at = linker.instance(import)?;
        for (name, item) in instance.exports(component.engine()) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => link_function(&mut at, interface, name)?,
                ComponentItem::Resource(_) => link_resource(&mut at, name)?,
                // A type has nothing behind it anywhere.
                _ => {}
            }
        }
    }
    Ok(())
}

/// What a guest is told. Whatever is not here needs a handle to something absent.
fn link_function(at: &mut LinkerInstance<'_, Border>, interface: &'static str, name: &str) -> wasmtime::Result<()> {
    match (interface, name) {
        ("wasi:cli/environment", "get-environment") => answer(at, name, |_, ()| Ok((Vec::<(String, String)>::new(),))),
        ("wasi:cli/environment", "get-arguments") => answer(at, name, |_, ()| Ok((Vec::<String>::new(),))),
        ("wasi:cli/environment", "initial-cwd") => answer(at, name, |_, ()| Ok((None::<String>,))),
        ("wasi:cli/exit", "exit") => answer(at, name, |_, (_,): (Result<(), ()>,)| left()),
        ("wasi:cli/exit", "exit-with-code") => answer(at, name, |_, (_,): (u8,)| left()),
        ("wasi:cli/stdin", "get-stdin") => answer(at, name, |border, ()| Ok((border.at_its_end()?,))),
        ("wasi:cli/stdout", "get-stdout") | ("wasi:cli/stderr", "get-stderr") => {
            answer(at, name, |border, ()| Ok((border.forgetful()?,)))
        }
        ("wasi:cli/terminal-stdin", "get-terminal-stdin")
        | ("wasi:cli/terminal-stdout", "get-terminal-stdout")
        | ("wasi:cli/terminal-stderr", "get-terminal-stderr") => {
            answer(at, name, |_, ()| Ok((None::<Resource<Absent>>,)))
        }

        ("wasi:clocks/wall-clock", "now") => answer(at, name, |border, ()| Ok((border.received(),))),
        ("wasi:clocks/wall-clock", "resolution") => answer(at, name, |_, ()| Ok((datetime(TICK),))),
        ("wasi:clocks/monotonic-clock", "now") => answer(at, name, |border, ()| Ok((border.wasi.clock.now_ns(),))),
        ("wasi:clocks/monotonic-clock", "resolution") => answer(at, name, |_, ()| Ok((nanos(TICK),))),
        ("wasi:clocks/monotonic-clock", "subscribe-instant") => {
            answer(at, name, |border, (when,): (u64,)| Ok((border.wait_until(when)?,)))
        }
        ("wasi:clocks/monotonic-clock", "subscribe-duration") => answer(at, name, |border, (lasting,): (u64,)| {
            let when = border.wasi.clock.now_ns().saturating_add(lasting);
            Ok((border.wait_until(when)?,))
        }),

        ("wasi:random/random", "get-random-bytes") | ("wasi:random/insecure", "get-insecure-random-bytes") => {
            answer(at, name, |border, (length,): (u64,)| Ok((border.random_bytes(length)?,)))
        }
        ("wasi:random/random", "get-random-u64") | ("wasi:random/insecure", "get-insecure-random-u64") => {
            answer(at, name, |border, ()| Ok((border.wasi.random.next_u64(),)))
        }
        ("wasi:random/insecure-seed", "insecure-seed") => {
            answer(at, name, |border, ()| Ok(((border.wasi.random.next_u64(), border.wasi.random.next_u64()),)))
        }

        ("wasi:filesystem/preopens", "get-directories") => {
            answer(at, name, |_, ()| Ok((Vec::<(Resource<Absent>, String)>::new(),)))
        }

        ("wasi:sockets/instance-network", "instance-network") => {
            answer(at, name, |_, ()| Ok((Resource::<Absent>::new_own(0),)))
        }
        ("wasi:sockets/tcp-create-socket", "create-tcp-socket")
        | ("wasi:sockets/udp-create-socket", "create-udp-socket") => {
            answer(at, name, |_, (_,): (IpAddressFamily,)| Ok((denied(),)))
        }
        ("wasi:sockets/ip-name-lookup", "resolve-addresses") => {
            answer(at, name, |_, (_, _): (Resource<Absent>, String)| Ok((denied(),)))
        }

        // Without HTTP, all streams are the three above, and always ready.
        ("wasi:io/poll", "poll") => {
            answer(at, name, |border, (pollables,): (Vec<Resource<DynPollable>>,)| border.all_ready(&pollables))
        }
        ("wasi:io/poll", "[method]pollable.ready") => answer(at, name, |_, (_,): (Resource<DynPollable>,)| Ok((true,))),
        ("wasi:io/poll", "[method]pollable.block") => answer(at, name, |_, (_,): (Resource<DynPollable>,)| Ok(())),
        ("wasi:io/streams", "[method]input-stream.read" | "[method]input-stream.blocking-read") => {
            answer(at, name, |_, (_, _): (Resource<DynInputStream>, u64)| Ok(closed::<Vec<u8>>()))
        }
        ("wasi:io/streams", "[method]input-stream.skip" | "[method]input-stream.blocking-skip") => {
            answer(at, name, |_, (_, _): (Resource<DynInputStream>, u64)| Ok(closed::<u64>()))
        }
        ("wasi:io/streams", "[method]input-stream.subscribe") => {
            answer(at, name, |border, (stream,)| Ok((subscribe::<DynInputStream>(border.table(), stream)?,)))
        }
        ("wasi:io/streams", "[method]output-stream.check-write") => {
            answer(at, name, |_, (_,): (Resource<DynOutputStream>,)| Ok((Ok::<_, StreamError>(WRITE_BYTES_MAX),)))
        }
        ("wasi:io/streams", "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush") => {
            answer(at, name, |border, (_, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
                border.forget(to_u64(bytes.len()))
            })
        }
        (
            "wasi:io/streams",
            "[method]output-stream.write-zeroes" | "[method]output-stream.blocking-write-zeroes-and-flush",
        ) => answer(at, name, |border, (_, length): (Resource<DynOutputStream>, u64)| border.forget(length)),
        ("wasi:io/streams", "[method]output-stream.flush" | "[method]output-stream.blocking-flush") => {
            answer(at, name, |border, (_,): (Resource<DynOutputStream>,)| border.forget(0))
        }
        ("wasi:io/streams", "[method]output-stream.splice" | "[method]output-stream.blocking-splice") => {
            answer(at, name, |_, (_, _, _): (Resource<DynOutputStream>, Resource<DynInputStream>, u64)| {
                Ok(closed::<u64>())
            })
        }
        ("wasi:io/streams", "[method]output-stream.subscribe") => {
            answer(at, name, |border, (stream,)| Ok((subscribe::<DynOutputStream>(border.table(), stream)?,)))
        }

        _ => at.func_new(name, move |_, _, _, _| {
            Err(trap(format!("it used something of `{interface}`, of which there is nothing here")))
        }),
    }
}

/// Links a function that counts as a host call before it does anything.
fn answer<P, R>(
    at: &mut LinkerInstance<'_, Border>,
    name: &str,
    act: fn(&mut Border, P) -> wasmtime::Result<R>,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    at.func_wrap(name, move |mut store: StoreContextMut<'_, Border>, parameters: P| {
        let border = store.data_mut();
        border.count_call()?;
        act(border, parameters)
    })
}

/// The types are the same in every interface that uses one.
fn link_resource(at: &mut LinkerInstance<'_, Border>, name: &str) -> wasmtime::Result<()> {
    match name {
        "input-stream" => stored::<DynInputStream>(at, name),
        "output-stream" => stored::<DynOutputStream>(at, name),
        "error" => stored::<Error>(at, name),
        "pollable" => at.resource(name, ResourceType::host::<DynPollable>(), |mut store, handle| {
            HostPollable::drop(store.data_mut().table(), Resource::new_own(handle))
        }),
        _ => at.resource(name, ResourceType::host::<Absent>(), |_, _| Ok(())),
    }
}

/// A resource that the host keeps until the guest drops it.
fn stored<R: Send + 'static>(at: &mut LinkerInstance<'_, Border>, name: &str) -> wasmtime::Result<()> {
    at.resource(name, ResourceType::host::<R>(), |mut store, handle| {
        store.data_mut().table().delete(Resource::<R>::new_own(handle))?;
        Ok(())
    })
}

fn closed<T>() -> Streamed<T> {
    (Err(StreamError::Closed),)
}

fn denied() -> Result<Resource<Absent>, ErrorCode> {
    Err(ErrorCode::AccessDenied)
}

fn left() -> wasmtime::Result<()> {
    Err(trap("it wanted to leave the process, which is the host's".to_owned()))
}

fn trap(message: String) -> wasmtime::Error {
    Stop(CallFailure::Trap { message }).into()
}

impl Border {
    /// A stream that has nothing to read.
    fn at_its_end(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        let stream: DynInputStream = Box::new(ClosedInputStream);
        Ok(self.table().push(stream)?)
    }

    /// A stream that takes everything and keeps nothing.
    fn forgetful(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(SinkOutputStream);
        Ok(self.table().push(stream)?)
    }

    /// Takes what was written to such a stream, and counts it: it was copied into the host.
    fn forget(&mut self, bytes: u64) -> wasmtime::Result<Streamed<()>> {
        self.count_bytes(bytes)?;
        Ok((Ok(()),))
    }

    fn received(&self) -> Datetime {
        let since_epoch_ms = u64::try_from(self.received_at().0).unwrap_or(0);
        datetime(Duration::from_millis(since_epoch_ms))
    }

    fn wait_until(&mut self, when_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait = self.wasi.clock.wait_until(when_ns);
        let wait = self.table().push(wait)?;
        subscribe(self.table(), wait)
    }

    /// The positions of all pollables. The list is as long as the guest likes.
    fn all_ready(&mut self, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<(Vec<u32>,)> {
        let count = u32::try_from(pollables.len())?;
        self.count_bytes(u64::from(count).saturating_mul(to_u64(size_of::<u32>())))?;
        if count == 0 {
            return Err(trap("it waited for nothing".to_owned()));
        }
        Ok(((0..count).collect(),))
    }

    fn random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES_MAX {
            let (found, allowed) = (length, RANDOM_BYTES_MAX);
            return Err(Stop(CallFailure::TooLarge { what: "random bytes", found, allowed }).into());
        }
        self.count_bytes(length)?;
        Ok(self.wasi.random.bytes(usize::try_from(length)?))
    }
}

/// What the store of a call holds of WASI.
pub(crate) struct Wasi {
    clock: Monotonic,
    random: Random,
}

impl Wasi {
    /// Everything follows from the component, the call's seed and the time of receipt.
    pub(crate) fn new(spec: &PluginSpec, seed: u64, received_at_ms: i64) -> Self {
        let clock = if spec.declared.http.is_empty() {
            Monotonic::Virtual { waited_ns: 0 }
        } else {
            Monotonic::Real { began: Instant::now() }
        };
        let key = [spec.digest.as_bytes().as_slice(), &seed.to_be_bytes(), &received_at_ms.to_be_bytes()].concat();
        Self { clock, random: Random { key, blocks: 0, left: Vec::new() } }
    }
}

/// A clock that tells a guest nothing about the machine, unless it has the network anyway.
enum Monotonic {
    /// Moves when the guest waits, by as much.
    Virtual { waited_ns: u64 },
    /// Time since the call began.
    Real { began: Instant },
}

impl Monotonic {
    fn now_ns(&self) -> u64 {
        match self {
            Self::Virtual { waited_ns } => *waited_ns,
            Self::Real { began } => {
                let ticks = began.elapsed().as_nanos() / TICK.as_nanos();
                u64::try_from(ticks).unwrap_or(u64::MAX).saturating_mul(nanos(TICK))
            }
        }
    }

    fn wait_until(&mut self, when_ns: u64) -> Wait {
        match self {
            Self::Virtual { waited_ns } => {
                *waited_ns = when_ns.max(*waited_ns);
                Wait { until: None }
            }
            // What cannot be told as a time is longer than any call.
            Self::Real { began } => Wait { until: began.checked_add(Duration::from_nanos(when_ns)) },
        }
    }
}

/// A wait for a point in time; for none it is over.
struct Wait {
    until: Option<Instant>,
}

#[async_trait]
impl Pollable for Wait {
    async fn ready(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}

/// Numbers out of SHA-256 over a key and a counter: the same on every machine and in
/// every version of this host, which a generator of a library does not promise.
struct Random {
    key: Vec<u8>,
    blocks: u64,
    left: Vec<u8>,
}

impl Random {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.left.len() < length {
            let block = Sha256::new().chain_update(&self.key).chain_update(self.blocks.to_be_bytes()).finalize();
            self.blocks = self.blocks.saturating_add(1);
            self.left.extend_from_slice(&block);
        }
        let rest = self.left.split_off(length);
        std::mem::replace(&mut self.left, rest)
    }

    fn next_u64(&mut self) -> u64 {
        self.bytes(size_of::<u64>()).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

fn datetime(since_epoch: Duration) -> Datetime {
    Datetime { seconds: since_epoch.as_secs(), nanoseconds: since_epoch.subsec_nanos() }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::document::CheckRequest;
    use portreeve_model::id::{Digest, PluginKind, PluginName};
    use portreeve_model::value;

    use super::*;
    use crate::plugin::{Loaded, Plugin};
    use crate::{CallContext, Declared, LimitChoices, Limits, Sandbox, SandboxOptions};

    /// When the input was received.
    const RECEIVED_AT_MS: i64 = 1_772_438_400_123;

    /// A pollable, and a clock that makes one, as a component from elsewhere imports them.
    const CLOCK: &str = r#"
        (import "wasi:io/poll@0.2.0" (instance $poll
            (export "pollable" (type $p (sub resource)))
            (export "[method]pollable.block" (func (param "self" (borrow $p))))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.9" (instance $clock
            (alias outer 1 $pollable (type $outer))
            (export "pollable" (type $p (eq $outer)))
            (export "now" (func (result u64)))
            (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
        (core func $block (canon lower (func $poll "[method]pollable.block")))
        (core func $drop (canon resource.drop $pollable))
        (core func $now (canon lower (func $clock "now")))
        (core func $wait (canon lower (func $clock "subscribe-duration")))
        (core instance $wasi
            (export "block" (func $block)) (export "drop" (func $drop))
            (export "now" (func $now)) (export "wait" (func $wait)))"#;

    const CLOCK_IN_CORE: &str = r#"
        (import "wasi" "block" (func $block (param i32)))
        (import "wasi" "drop" (func $drop (param i32)))
        (import "wasi" "now" (func $now (result i64)))
        (import "wasi" "wait" (func $wait (param i64) (result i32)))"#;

    /// Runs a start function beside these imports. None says that it came to its end:
    /// what a call is of has the wrong type on purpose, which comes up after that.
    async fn start(
        imports: &str,
        in_core: &str,
        body: &str,
        declared: Declared,
        asked: LimitChoices,
    ) -> Option<CallFailure> {
        let exports: String = ["receive", "deliver", "find", "poll", "check"]
            .iter()
            .map(|name| format!(r#"(func (export "{name}") (canon lift (core func $i "f")))"#))
            .collect();
        let text = format!(
            r#"(component {imports}
                (core module $m {in_core} (func (export "f")) (func $s (local $handle i32) (local $before i64) {body}) (start $s))
                (core instance $i (instantiate $m (with "wasi" (instance $wasi)))) {exports})"#
        );
        let bytes = wat::parse_str(text).unwrap();
        let sandbox = Sandbox::new(SandboxOptions { calls_at_once_max: 2, ..SandboxOptions::default() }).unwrap();
        let code = sandbox.compile(PluginKind::Connector, &bytes).unwrap();
        let spec = PluginSpec {
            name: PluginName::parse("test").unwrap(),
            kind: PluginKind::Connector,
            digest: Digest::of(&bytes),
            limits: Limits::smallest(&asked, &LimitChoices::default()),
            declared,
        };
        let plugin = Plugin(std::sync::Arc::new(Loaded::link(sandbox.engines, spec, &code).unwrap()));
        let context = CallContext::with_nothing(value::Instant(RECEIVED_AT_MS));
        let failure = plugin.check(&context, &CheckRequest { settings: vec![] }).await.outcome.unwrap_err().failure;
        match failure {
            CallFailure::ContractViolation { message } if message.contains("another signature") => None,
            failure => Some(failure),
        }
    }

    #[tokio::test]
    async fn a_guest_that_waits_an_hour_has_waited_an_hour_at_once() {
        let body = "
            (if (i64.ne (call $now) (i64.const 0)) (then unreachable))
            (local.set $handle (call $wait (i64.const 3600000000000)))
            (call $block (local.get $handle)) (call $drop (local.get $handle))
            (if (i64.ne (call $now) (i64.const 3600000000000)) (then unreachable))";
        assert_eq!(start(CLOCK, CLOCK_IN_CORE, body, Declared::default(), LimitChoices::default()).await, None);
    }

    #[tokio::test]
    async fn a_guest_that_talks_to_a_network_waits_for_real_time() {
        let body = "
            (local.set $before (call $now))
            (local.set $handle (call $wait (i64.const 30000000)))
            (call $block (local.get $handle)) (call $drop (local.get $handle))
            (if (i64.lt_u (i64.sub (call $now) (local.get $before)) (i64.const 29000000)) (then unreachable))
            (local.set $handle (call $wait (i64.const -1)))
            (call $block (local.get $handle))";
        let declared = Declared { http: vec!["GET".to_owned()], ..Declared::default() };
        let asked = LimitChoices { wall_ms: Some(200), ..LimitChoices::default() };
        let failure = start(CLOCK, CLOCK_IN_CORE, body, declared, asked).await;
        assert!(matches!(failure, Some(CallFailure::OutOfTime { allowed: 200, .. })), "{failure:?}");
    }

    #[tokio::test]
    async fn every_look_at_the_clock_is_a_host_call() {
        let asked = LimitChoices { host_calls: Some(50), ..LimitChoices::default() };
        let body = "(loop (drop (call $now)) (br 0))";
        let failure = start(CLOCK, CLOCK_IN_CORE, body, Declared::default(), asked).await;
        assert_eq!(failure, Some(CallFailure::TooLarge { what: "host calls", found: 51, allowed: 50 }));
    }

    #[tokio::test]
    async fn waits_that_nobody_drops_are_bounded() {
        let asked = LimitChoices { handles: Some(20), ..LimitChoices::default() };
        let body = "(loop (drop (call $wait (i64.const 1))) (br 0))";
        let failure = start(CLOCK, CLOCK_IN_CORE, body, Declared::default(), asked).await;
        assert_eq!(failure, Some(CallFailure::TooLarge { what: "handles", found: 21, allowed: 20 }));
    }

    #[tokio::test]
    async fn random_bytes_are_bounded_at_once_and_in_all() {
        let imports = r#"
            (import "wasi:random/random@0.2.3" (instance $random
                (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
            (core module $memory (memory (export "m") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $kept (instantiate $memory))
            (core func $bytes (canon lower (func $random "get-random-bytes")
                (memory (core memory $kept "m")) (realloc (core func $kept "realloc"))))
            (core instance $wasi (export "bytes" (func $bytes)))"#;
        let in_core = r#"(import "wasi" "bytes" (func $bytes (param i64 i32)))"#;
        let ask = async |body: &str, asked| start(imports, in_core, body, Declared::default(), asked).await;

        let too_many = ask("(call $bytes (i64.const 65537) (i32.const 0))", LimitChoices::default()).await;
        assert_eq!(too_many, Some(CallFailure::TooLarge { what: "random bytes", found: 65_537, allowed: 65_536 }));
        let asked = LimitChoices { host_call_bytes: Some(1_000), ..LimitChoices::default() };
        let in_all = ask("(loop (call $bytes (i64.const 300) (i32.const 0)) (br 0))", asked).await;
        assert_eq!(in_all, Some(CallFailure::TooLarge { what: "bytes of host calls", found: 1_200, allowed: 1_000 }));
    }

    #[tokio::test]
    async fn leaving_the_process_is_a_trap_and_the_host_goes_on() {
        let imports = r#"
            (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
            (core func $leave (canon lower (func $exit "exit")))
            (core instance $wasi (export "leave" (func $leave)))"#;
        let in_core = r#"(import "wasi" "leave" (func $leave (param i32)))"#;
        let body = "(call $leave (i32.const 0))";
        let failure = start(imports, in_core, body, Declared::default(), LimitChoices::default()).await;
        assert!(matches!(&failure, Some(CallFailure::Trap { message }) if message.contains("leave")), "{failure:?}");
    }

    #[tokio::test]
    async fn a_function_that_no_version_has_is_a_trap() {
        let imports = r#"
            (import "wasi:filesystem/types@0.2.0" (instance $files (export "open-anything" (func))))
            (core func $open (canon lower (func $files "open-anything")))
            (core instance $wasi (export "open" (func $open)))"#;
        let failure = start(
            imports,
            r#"(import "wasi" "open" (func $open))"#,
            "(call $open)",
            Declared::default(),
            LimitChoices::default(),
        )
        .await;
        assert!(matches!(&failure, Some(CallFailure::Trap { message }) if message.contains("wasi:filesystem/types")));
    }

    #[test]
    fn random_numbers_follow_from_component_seed_and_time_and_not_from_how_they_are_drawn() {
        let drawn = |component: &[u8], seed, time| {
            let spec = PluginSpec {
                name: PluginName::parse("test").unwrap(),
                kind: PluginKind::Scorer,
                digest: Digest::of(component),
                limits: Limits::DEFAULT,
                declared: Declared::default(),
            };
            Wasi::new(&spec, seed, time).random
        };
        let mut one = drawn(b"a", 7, 1);
        let first = [one.bytes(5), one.bytes(100), one.bytes(0), one.next_u64().to_be_bytes().to_vec()].concat();
        assert_eq!(first, drawn(b"a", 7, 1).bytes(113));
        for mut other in [drawn(b"b", 7, 1), drawn(b"a", 8, 1), drawn(b"a", 7, 2)] {
            assert_ne!(first, other.bytes(113));
        }
        // What was drawn once is drawn for ever: decisions are derived again years later.
        let mut pinned = Random { key: b"key".to_vec(), blocks: 0, left: Vec::new() };
        assert_eq!(pinned.next_u64(), 5_684_530_464_835_098_010);
    }

    #[test]
    fn the_time_of_receipt_is_told_in_seconds_and_nanoseconds() {
        let told = datetime(Duration::from_millis(u64::try_from(RECEIVED_AT_MS).unwrap()));
        assert_eq!((told.seconds, told.nanoseconds), (1_772_438_400, 123_000_000));
    }
}
