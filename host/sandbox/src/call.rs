//! The story of a governed call.
//!
//! ```text
//! rate ─▶ permit ─▶ fresh store ─▶ arm fuel, epochs, wall clock ─▶ instantiate ─▶ call ─▶ check the result ─▶ crossing
//! ```
//!
//! The clocks are armed after the permit, so that queueing is billed to nobody.
//! A connector's CPU is what the call's own thread spends while it polls the call:
//! waiting in a host function is free, a busy machine does not kill a guest. Since a
//! guest can also wait for ever, the wall clock binds twice: as a timer of the runtime
//! for a call that waits, and at each tick for a call that spins, because a spinning
//! guest may sit on the very thread that would notice the timer.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bumpalo::Bump;
use rustix::time::{ClockId, clock_gettime};
use wasmtime::component::{ComponentType, Lift, Lower, ResourceTableError};
use wasmtime::{Engine, Store, Trap, UpdateDeadline};
use wasmtime_wasi_http::FieldMapError;

use portreeve_model::document::Failure;

use crate::bindings::values as wit_values;
use crate::capability::CallContext;
use crate::convert::{FromGuest, Meter, Refused, ToGuest};
use crate::engine::{Permit, Ticking, fills, grown_costs_us};
use crate::host::{Border, Record, Stop};
use crate::limits::{Limits, STACK_BYTES, TRANSFER_BYTES_MIN, to_usize};
use crate::outcome::{Call, CallError, CallFailure, Crossed, Crossing, RecordedRequest, TimeLimit};
use crate::plugin::{Loaded, Ready};

/// Room for the lists of a usual request; larger ones get more.
const ARENA_BYTES: usize = 4096;

/// What every export returns.
pub(crate) type Results<R> = (Vec<Result<R, wit_values::Failure>>,);

/// Calls one export with one item, in a fresh instance, within the plugin's limits;
/// `allowed` judges what came back by what the plugin declared.
pub(crate) async fn governed<M, R, T>(
    plugin: &Loaded,
    call: Call,
    context: &CallContext,
    item: &M,
    allowed: impl FnOnce(&T) -> Result<(), CallFailure>,
) -> Crossed<Result<T, Failure>>
where
    M: ToGuest + Sync + 'static,
    for<'a> M::Guest<'a>: ComponentType + Lower + Send + Sync,
    R: ComponentType + Lift + Send + Sync + 'static,
    T: FromGuest<R>,
{
    let mut room = match Room::prepare(plugin, call, context, item.seed()).await {
        Ok(room) => room,
        Err(failure) => return unstarted(plugin, call, failure),
    };
    let arena = Bump::with_capacity(ARENA_BYTES);
    let items = [item.to_guest(&arena)];

    // The guest runs in here and nowhere else.
    let store = &mut room.store;
    let run = async {
        let instance = room.ready.instance.instantiate_async(&mut *store).await?;
        let export = room.ready.exports.get(call.as_str()).ok_or_else(|| not_in_world(call))?;
        let function =
            instance.get_typed_func::<_, Results<R>>(&mut *store, export).map_err(|_| another_signature(call))?;
        function.call_async(&mut *store, (items.as_slice(),)).await
    };
    let ended = room.clock.bounded(run).await;

    room.close(plugin, call, ended, |(results,), limits| {
        let result = one_result(results, limits)?;
        result.as_ref().map_or(Ok(()), allowed)?;
        Ok(result)
    })
}

/// A store with everything that bounds the call, and the right to use it.
pub(crate) struct Room<'a> {
    // Fields are dropped in order: a slot is empty before the next call gets it.
    store: Store<Border>,
    pub(crate) clock: Arc<Clock>,
    ready: &'a Ready,
    _ticking: Ticking<'a>,
    _permit: Permit<'a>,
}

impl<'a> Room<'a> {
    /// Waits for a free sandbox, then starts the clocks.
    pub(crate) async fn prepare(
        plugin: &'a Loaded,
        call: Call,
        context: &CallContext,
        seed: u64,
    ) -> Result<Self, CallFailure> {
        let limits = plugin.spec.limits;
        let share = plugin.claim.of_call();
        share.begin().map_err(|allowed_per_second| CallFailure::TooOften { allowed_per_second })?;
        let pool = plugin.engines.pool(plugin.spec.kind);
        // Before anything is held or billed: it may have to be loaded.
        let ready = plugin.ready();
        let permit = pool.permit(share).await.map_err(|waited_ms| CallFailure::Busy { waited_ms })?;
        let ticking = plugin.engines.tick();
        let clock = Arc::new(Clock::start(&limits, !pool.fueled));
        let border = Border::new(plugin, call, context, seed, clock.ends());
        let engine = ready.instance.engine();
        let store =
            armed_store(border, engine, &limits, pool.fueled, &clock).map_err(|error| explain(&error, &limits))?;
        Ok(Self { store, clock, ready, _ticking: ticking, _permit: permit })
    }

    /// Frees the sandbox, then judges how the call ended.
    pub(crate) fn close<V, T>(
        self,
        plugin: &Loaded,
        call: Call,
        ended: Result<wasmtime::Result<V>, TimeUp>,
        judge: impl FnOnce(V, &Limits) -> Result<T, CallFailure>,
    ) -> Crossed<T> {
        let Self { store, clock, ready, _ticking, _permit: permit } = self;
        let limits = &plugin.spec.limits;
        let memory_bytes = store.data().memory_bytes();
        let fuel_used = store.get_fuel().ok().map(|left| limits.fuel.saturating_sub(left));
        let (record, requests) = store.into_data().into_record();
        drop(permit);

        let outcome = match ended {
            Ok(Ok(value)) => judge(value, limits),
            Ok(Err(error)) => Err(explain(&error, limits)),
            Err(TimeUp) => Err(out_of_wall_time(limits)),
        };
        let cpu_us = clock.metered.then(|| clock.cpu_us());
        if let Some(cpu_us) = cpu_us {
            grew(plugin, ready, memory_bytes.saturating_sub(ready.begins_with_bytes), cpu_us);
        }
        let spent = Spent { ran: true, fuel: fuel_used, cpu_us, wall_us: clock.wall_us() };
        finish(plugin, call, outcome, record, requests, spent)
    }
}

/// What a call that is over says about the plugin's next ones: where they run, and when.
fn grew(plugin: &Loaded, ready: &Ready, grown_bytes: u64, cpu_us: u64) {
    let share = plugin.claim.of_call();
    if ready.is_roomy {
        share.spend(grown_costs_us(grown_bytes, cpu_us));
    } else if fills(grown_bytes, cpu_us) && share.seen_to_fill() {
        let plugin = &plugin.spec.name;
        tracing::info!(%plugin, grown_bytes, cpu_us, "a plugin fills what it grows and has slots that keep it from now on");
    }
}

/// Fuel, epochs, memory and whatever else wasmtime counts.
fn armed_store(
    border: Border,
    engine: &Engine,
    limits: &Limits,
    fueled: bool,
    clock: &Arc<Clock>,
) -> wasmtime::Result<Store<Border>> {
    let mut store = Store::new(engine, border);
    store.limiter(Border::limiter);
    store.set_hostcall_fuel(to_usize(transfer_bytes_max(limits)));
    store.set_max_component_handles(to_usize(limits.handles));
    if fueled {
        store.set_fuel(limits.fuel)?;
    }
    store.set_epoch_deadline(1);
    let (clock, limits) = (clock.clone(), *limits);
    store.epoch_deadline_callback(move |_| {
        if clock.wall_us() > micros(clock.wall_allowed) {
            return Err(Stop(out_of_wall_time(&limits)).into());
        }
        // Where fuel binds, CPU time would only make the end unrepeatable.
        if clock.metered && clock.cpu_us() > limits.cpu_ms.saturating_mul(1_000) {
            return Err(
                Stop(CallFailure::OutOfTime { limit: TimeLimit::Cpu, allowed: limits.cpu_ms, unit: "ms" }).into()
            );
        }
        Ok(UpdateDeadline::Yield(1))
    });
    Ok(store)
}

/// Bytes that one transfer out of the guest may take in the host, counted while
/// wasmtime copies; `convert` counts again, without the floor.
fn transfer_bytes_max(limits: &Limits) -> u64 {
    limits.output_bytes.max(TRANSFER_BYTES_MIN)
}

/// The item's answer: as many results as requests, so exactly one, checked.
fn one_result<R, T>(
    results: Vec<Result<R, wit_values::Failure>>,
    limits: &Limits,
) -> Result<Result<T, Failure>, CallFailure>
where
    T: FromGuest<R>,
{
    let found = results.len();
    let mut results = results.into_iter();
    let (Some(result), None) = (results.next(), results.next()) else {
        return Err(CallFailure::ContractViolation { message: format!("{found} results for one request") });
    };
    Ok(<Result<T, Failure>>::from_guest(result, &mut Meter::new(limits))?)
}

impl From<Refused> for CallFailure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLarge { what, found, allowed } => Self::TooLarge { what, found, allowed },
            Refused::Broken { path, problem } => {
                Self::ContractViolation { message: Refused::describe(&path, &problem) }
            }
        }
    }
}

/// What a call cost.
struct Spent {
    /// Whether a guest was there to spend it.
    ran: bool,
    fuel: Option<u64>,
    cpu_us: Option<u64>,
    wall_us: u64,
}

fn finish<T>(
    plugin: &Loaded,
    call: Call,
    outcome: Result<T, CallFailure>,
    mut record: Record,
    requests: Vec<RecordedRequest>,
    spent: Spent,
) -> Crossed<T> {
    record.fold_requests(&requests);
    // State and numbers belong to an effect; without a result there is none.
    let kv_writes = if outcome.is_ok() { record.take_kv_writes() } else { Vec::new() };
    let crossing = Crossing {
        plugin: plugin.spec.name.clone(),
        digest: plugin.spec.digest,
        call,
        ran: spent.ran,
        transcript: record.transcript(),
        host_calls: record.host_calls,
        fuel_used: spent.fuel,
        cpu_us: spent.cpu_us,
        wall_us: spent.wall_us,
        lookups: record.lookups,
        numbers: record.numbers,
        kv_writes,
        requests,
        logs: record.logs,
        logs_dropped: record.logs_dropped,
    };
    let outcome = outcome.map_err(|failure| CallError { plugin: plugin.spec.name.clone(), call, failure });
    if let Err(error) = &outcome {
        // A failure's words may quote what the guest returned, and that what a sender wrote.
        let failure = error.failure.code();
        tracing::debug!(plugin = %error.plugin, %call, failure, wall_us = crossing.wall_us, "call failed");
    }
    Crossed { outcome, crossing }
}

/// A call that ended before a guest ran.
pub(crate) fn unstarted<T>(plugin: &Loaded, call: Call, failure: CallFailure) -> Crossed<T> {
    let nothing = Spent { ran: false, fuel: None, cpu_us: None, wall_us: 0 };
    finish(plugin, call, Err(failure), Record::new(plugin.spec.limits), Vec::new(), nothing)
}

// --- what an error means ---

/// Gives an error of wasmtime its type. Only sentences of known origin get out: a
/// trap's name, or the root cause of a value that could not be read.
fn explain(error: &wasmtime::Error, limits: &Limits) -> CallFailure {
    if let Some(Stop(failure)) = error.downcast_ref() {
        return failure.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return match trap {
            Trap::OutOfFuel => CallFailure::OutOfTime { limit: TimeLimit::Fuel, allowed: limits.fuel, unit: "units" },
            Trap::Interrupt => out_of_wall_time(limits),
            Trap::StackOverflow => CallFailure::StackOverflow { allowed_bytes: STACK_BYTES },
            trap => CallFailure::Trap { message: trap.to_string() },
        };
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return CallFailure::Busy { waited_ms: 0 };
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return beyond("handles", limits.handles);
    }
    if let Some(FieldMapError::TooManyFields | FieldMapError::TotalSizeTooBig) = error.downcast_ref() {
        return beyond("bytes of HTTP headers", limits.http_header_bytes);
    }

    // The rest has no type of its own, only a sentence.
    let message: String = error.root_cause().to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    if message.contains("fuel allocated for hostcalls") {
        beyond("output bytes", transfer_bytes_max(limits))
    } else if message.starts_with("resource limit exceeded: instance") {
        beyond("core instances", limits.instances)
    } else if message.ends_with("store handle limit exceeded") {
        beyond("handles", limits.handles)
    } else {
        CallFailure::ContractViolation { message }
    }
}

/// One more than allowed is where counting stopped.
fn beyond(what: &'static str, allowed: u64) -> CallFailure {
    CallFailure::TooLarge { what, found: allowed.saturating_add(1), allowed }
}

fn out_of_wall_time(limits: &Limits) -> CallFailure {
    CallFailure::OutOfTime { limit: TimeLimit::Wall, allowed: limits.wall_ms, unit: "ms" }
}

fn not_in_world(call: Call) -> Stop {
    Stop(CallFailure::ContractViolation { message: format!("its kind has no `{call}`") })
}

fn another_signature(call: Call) -> Stop {
    let message = format!("`{call}` has another signature than in {}", crate::plugin::CONTRACT);
    Stop(CallFailure::ContractViolation { message })
}

// --- clocks ---

/// The CPU and wall clocks of one call.
pub(crate) struct Clock {
    started: Instant,
    wall_allowed: Duration,
    /// Whether CPU is what stops the guest. Asking for it costs a microsecond.
    metered: bool,
    /// CPU of the polls that have ended, microseconds.
    polled_us: AtomicU64,
    /// The thread's CPU clock when the poll under way began, plus one; 0 between polls.
    poll_began_us: AtomicU64,
}

/// The wall clock of a call that waited ran out.
pub(crate) struct TimeUp;

impl Clock {
    fn start(limits: &Limits, metered: bool) -> Self {
        Self {
            started: Instant::now(),
            wall_allowed: Duration::from_millis(limits.wall_ms),
            metered,
            polled_us: AtomicU64::new(0),
            poll_began_us: AtomicU64::new(0),
        }
    }

    /// Runs a future for as long as the wall clock allows.
    pub(crate) async fn bounded<F: Future>(&self, future: F) -> Result<F::Output, TimeUp> {
        let mut future = pin!(future);
        let mut timer = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = self.poll(future.as_mut(), context) {
                return Poll::Ready(Ok(output));
            }
            // Most calls end in their first poll; only the others need a timer.
            let left = || self.wall_allowed.saturating_sub(self.started.elapsed());
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(left())));
            timer.as_mut().poll(context).map(|()| Err(TimeUp))
        })
        .await
    }

    /// Polls a future and adds up its CPU. Between two polls it may move to another
    /// thread, within one it cannot.
    fn poll<F: Future>(&self, future: Pin<&mut F>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.metered {
            return future.poll(context);
        }
        self.poll_began_us.store(thread_cpu_us().saturating_add(1), Ordering::Relaxed);
        let polled = future.poll(context);
        self.polled_us.store(self.cpu_us(), Ordering::Relaxed);
        self.poll_began_us.store(0, Ordering::Relaxed);
        polled
    }

    /// CPU so far; called on the thread of the poll under way, or between polls.
    fn cpu_us(&self) -> u64 {
        let ended = self.polled_us.load(Ordering::Relaxed);
        match self.poll_began_us.load(Ordering::Relaxed) {
            0 => ended,
            began => ended.saturating_add(thread_cpu_us().saturating_add(1).saturating_sub(began)),
        }
    }

    /// When the wall clock ends the call.
    fn ends(&self) -> Instant {
        // No limit is so large that a clock cannot tell it.
        self.started.checked_add(self.wall_allowed).unwrap_or(self.started)
    }

    fn wall_us(&self) -> u64 {
        micros(self.started.elapsed())
    }
}

fn thread_cpu_us() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::document::{CheckRequest, Delivery, Message};
    use portreeve_model::id::{Digest, PluginKind, PluginName};
    use portreeve_model::value;

    use super::*;
    use crate::{Declared, LimitChoices, LoadError, Plugin, PluginSpec, Sandbox, SandboxOptions};

    /// A connector whose functions have the wrong types, with a core module of
    /// the test's choice: what happens before the call is what is tested, so it
    /// is linked without the check that would refuse it.
    fn connector(core: &str) -> Vec<u8> {
        let exports: String = ["receive", "deliver", "find", "poll", "check"]
            .iter()
            .map(|name| format!(r#"(func (export "{name}") (canon lift (core func $i "f")))"#))
            .collect();
        let text = format!("(component (core module $m {core}) (core instance $i (instantiate $m)) {exports})");
        wat::parse_str(text).unwrap()
    }

    fn load(core: &str, manifest: LimitChoices) -> Plugin {
        let bytes = connector(core);
        let sandbox = Sandbox::new(SandboxOptions { calls_at_once_max: 2, ..SandboxOptions::default() }).unwrap();
        let code = sandbox.compile(PluginKind::Connector, &bytes).unwrap();
        Plugin(Arc::new(Loaded::link(sandbox.engines, spec(&bytes, &manifest), &code).unwrap()))
    }

    fn spec(component: &[u8], manifest: &LimitChoices) -> PluginSpec {
        PluginSpec {
            name: PluginName::parse("test").unwrap(),
            kind: PluginKind::Connector,
            digest: Digest::of(component),
            limits: Limits::smallest(manifest, &LimitChoices::default()),
            declared: Declared::default(),
        }
    }

    async fn check(core: &str, manifest: LimitChoices) -> CallFailure {
        let context = CallContext::with_nothing(value::Instant(0));
        let crossed = load(core, manifest).check(&context, &CheckRequest { settings: vec![] }).await;
        crossed.outcome.unwrap_err().failure
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_spinning_start_function_is_stopped_by_cpu_time_on_a_single_thread() {
        let spin = r#"(func $spin (loop br 0)) (start $spin) (func (export "f"))"#;
        let asked = LimitChoices { cpu_ms: Some(20), ..LimitChoices::default() };
        assert_eq!(check(spin, asked).await, CallFailure::OutOfTime { limit: TimeLimit::Cpu, allowed: 20, unit: "ms" });
        let asked = LimitChoices { wall_ms: Some(20), ..LimitChoices::default() };
        assert_eq!(
            check(spin, asked).await,
            CallFailure::OutOfTime { limit: TimeLimit::Wall, allowed: 20, unit: "ms" }
        );
    }

    #[tokio::test]
    async fn memory_and_tables_are_refused_with_what_was_asked_and_allowed() {
        let memory = r#"(memory 1) (func $grow (drop (memory.grow (i32.const 9)))) (start $grow) (func (export "f"))"#;
        let asked = LimitChoices { memory_bytes: Some(5 * 65_536), ..LimitChoices::default() };
        assert_eq!(
            check(memory, asked).await,
            CallFailure::OutOfMemory { asked_bytes: 10 * 65_536, allowed_bytes: 5 * 65_536 }
        );
        let table = r#"(table 50 funcref) (func (export "f"))"#;
        let asked = LimitChoices { table_elements: Some(10), ..LimitChoices::default() };
        let refused = CallFailure::TooLarge { what: "table elements", found: 50, allowed: 10 };
        assert_eq!(check(table, asked).await, refused);
    }

    #[tokio::test]
    async fn a_call_that_waits_for_ever_is_stopped_by_the_wall_clock() {
        let limits = Limits { wall_ms: 20, ..Limits::DEFAULT };
        for metered in [false, true] {
            let clock = Clock::start(&limits, metered);
            assert!(clock.bounded(std::future::pending::<()>()).await.is_err());
        }
    }

    #[test]
    fn a_call_can_move_to_another_thread_between_two_polls() {
        fn movable<F: Send>(_: impl FnOnce(&'static Plugin, &'static CallContext, &'static CheckRequest) -> F) {}
        movable(Plugin::check);
    }

    #[tokio::test]
    async fn core_instances_are_counted() {
        let asked = LimitChoices { instances: Some(0), ..LimitChoices::default() };
        let refused = CallFailure::TooLarge { what: "core instances", found: 1, allowed: 0 };
        assert_eq!(check(r#"(func (export "f"))"#, asked).await, refused);
    }

    #[test]
    fn an_export_of_another_type_is_refused_when_it_is_loaded() {
        let bytes = connector(r#"(func (export "f"))"#);
        let sandbox = Sandbox::new(SandboxOptions { calls_at_once_max: 2, ..SandboxOptions::default() }).unwrap();
        let code = sandbox.compile(PluginKind::Connector, &bytes).unwrap();
        let refused = sandbox.load(spec(&bytes, &LimitChoices::default()), &code).err().unwrap();
        assert!(matches!(&refused, LoadError::WrongSignature { export: Call::Receive, .. }), "{refused}");
    }

    #[tokio::test]
    async fn an_export_of_another_type_breaks_the_contract() {
        let failure = check(r#"(func (export "f"))"#, LimitChoices::default()).await;
        assert!(matches!(failure, CallFailure::ContractViolation { message } if message.contains("another signature")));
    }

    #[tokio::test]
    async fn a_plugin_that_holds_all_it_may_leaves_room_for_another() {
        let options = SandboxOptions { calls_at_once_max: 4, busy_wait_ms_max: 0 };
        let sandbox = Sandbox::new(options).unwrap();
        let load = |name: &str| {
            let bytes = connector(r#"(func (export "f"))"#);
            let code = sandbox.compile(PluginKind::Connector, &bytes).unwrap();
            let name = PluginName::parse(name).unwrap();
            let spec = PluginSpec { name, ..spec(&bytes, &LimitChoices::default()) };
            Loaded::link(sandbox.engines.clone(), spec, &code).unwrap()
        };
        let (greedy, other) = (load("greedy"), load("other"));
        let context = CallContext::with_nothing(value::Instant(0));
        let begin = async |plugin| Room::prepare(plugin, Call::Check, &context, 0).await;

        let held = [begin(&greedy).await.ok().unwrap(), begin(&greedy).await.ok().unwrap()];
        assert_eq!(begin(&greedy).await.err(), Some(CallFailure::Busy { waited_ms: 0 }));
        let neighbours = [begin(&other).await.ok().unwrap(), begin(&other).await.ok().unwrap()];

        // What ended is free again, for either.
        drop(neighbours);
        drop(held);
        assert!(begin(&greedy).await.is_ok());
        assert!(begin(&other).await.is_ok());
    }

    #[tokio::test]
    async fn a_plugin_that_fills_what_it_grows_has_slots_from_then_on_that_keep_it_in_every_version() {
        let sandbox = Sandbox::new(SandboxOptions { calls_at_once_max: 2, ..SandboxOptions::default() }).unwrap();
        let load = |name: &str, core: &str| {
            let bytes = connector(core);
            let code = sandbox.compile(PluginKind::Connector, &bytes).unwrap();
            let asked = LimitChoices { cpu_ms: Some(20), ..LimitChoices::default() };
            let spec = PluginSpec { name: PluginName::parse(name).unwrap(), ..spec(&bytes, &asked) };
            Plugin(Arc::new(Loaded::link(sandbox.engines.clone(), spec, &code).unwrap()))
        };
        let starting =
            |body: &str| format!(r#"(memory 1) (func $s {body} unreachable) (start $s) (func (export "f"))"#);
        let grows = "(drop (memory.grow (i32.const 64)))";
        let context = CallContext::with_nothing(value::Instant(0));
        let call = async |plugin: &Plugin| {
            let crossed = plugin.check(&context, &CheckRequest { settings: vec![] }).await;
            crossed.outcome.unwrap_err().failure.code()
        };
        let spins = load("spins", &starting("(loop br 0)"));
        let grows_and_ends = load("grows", &starting(grows));
        for (plugin, code) in [(&spins, "host-out-of-time"), (&grows_and_ends, "trap")] {
            assert_eq!((call(plugin).await, plugin.loaded().ready().is_roomy), (code, false));
        }
        let fills = "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 4194304)) br 0)";
        let fills_it = load("fills", &starting(&format!("{grows} {fills}")));
        let next_version = load("fills", &starting(grows));
        assert!(!fills_it.loaded().ready().is_roomy);
        assert_eq!(call(&fills_it).await, "host-out-of-time");
        assert!(fills_it.loaded().ready().is_roomy && next_version.loaded().ready().is_roomy);
        // What it runs is the same.
        assert_eq!((call(&fills_it).await, call(&next_version).await), ("host-out-of-time", "trap"));

        // Who grows from nothing grows as well, and who grows and ends pays for it.
        let from_nothing = |body: &str| {
            let grows = "(drop (memory.grow (i32.const 240)))";
            format!(r#"(memory 0) (func $s {grows} {body} unreachable) (start $s) (func (export "f"))"#)
        };
        let fills_it = load("from-nothing", &from_nothing(fills));
        assert_eq!(call(&fills_it).await, "host-out-of-time");
        assert!(fills_it.loaded().ready().is_roomy);
        let ends = load("from-nothing", &from_nothing(""));
        let mut codes = std::collections::BTreeSet::new();
        for _ in 0..300 {
            codes.insert(call(&ends).await);
        }
        assert!(codes.contains("too-often"), "{codes:?}");
    }

    #[test]
    fn a_plugin_pays_for_what_it_grows_beyond_what_nobody_feels() {
        let mib = |count: u64| count << 20;
        let costs = [(0, 0), (3, 0), (4, 0), (16, 0), (16, 20_000), (16, 21_000)];
        assert_eq!(costs.map(|(grown, cpu_us)| grown_costs_us(mib(grown), cpu_us)), [0, 0, 1_600, 20_800, 800, 0]);
        assert_eq!([fills(mib(2), 10_000), fills(mib(2) + 1, 9_999), fills(mib(2) + 1, 10_000)], [false, false, true]);
    }

    #[tokio::test]
    async fn a_trap_leaves_the_next_call_alone() {
        let plugin = load(r#"(func $no unreachable) (start $no) (func (export "f"))"#, LimitChoices::default());
        let context = CallContext::with_nothing(value::Instant(0));
        for _ in 0..10 {
            let crossed = plugin.check(&context, &CheckRequest { settings: vec![] }).await;
            assert!(matches!(crossed.outcome.unwrap_err().failure, CallFailure::Trap { .. }));
            assert!(crossed.crossing.ran);
        }
    }

    #[tokio::test]
    async fn what_the_plugin_does_not_declare_or_has_no_sandbox_for_runs_no_guest() {
        let context = CallContext::with_nothing(value::Instant(0));
        let plugin = load(r#"(func $no unreachable) (start $no) (func (export "f"))"#, LimitChoices::default());
        let message = Message { kind: "some/kind".into(), content_type: "text/plain".into(), body: vec![] };
        let (idempotency_key, natural_key) = ("key".to_owned(), "key".to_owned());
        let delivery = Delivery { message, idempotency_key, natural_key, attempt: 1, settings: vec![] };
        let crossed = plugin.deliver(&context, &delivery).await;
        assert!(matches!(crossed.outcome.unwrap_err().failure, CallFailure::ContractViolation { .. }));
        assert!(!crossed.crossing.ran);

        let none = LimitChoices { calls_per_second: Some(0), ..LimitChoices::default() };
        let crossed = load(r#"(func (export "f"))"#, none).check(&context, &CheckRequest { settings: vec![] }).await;
        assert_eq!(crossed.outcome.unwrap_err().failure, CallFailure::TooOften { allowed_per_second: 0 });
        assert!(!crossed.crossing.ran);
    }
}
