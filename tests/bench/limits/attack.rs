//! The attacks that are timed, and the guests that carry them out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Stopwatch};

use anyhow::{Context, Result, bail};
use portreeve_model::advice::ScoringRequest;
use portreeve_model::document::CheckRequest;
use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_registry::{Installed, PlatformGrant, Registry};
use portreeve_sandbox::{CallContext, CallFailure, Crossing, Declared, Limits, Plugin, PluginSpec, Sandbox};

use crate::shell::{Core, HARMLESS};
use crate::{payload, plugins, trusted};

/// Milliseconds of CPU or of wall clock that a timed attack has.
const BUDGET_MS: u64 = 20;

/// How late a clock may be: two ticks of one millisecond, and two more.
const LATE: Duration = Duration::from_millis(4);

/// All of the memory that a plugin gets by default, and what filling it takes at 1.5 GB/s.
const PAGES: u32 = 256;
const FILLED: Duration = Duration::from_micros(11_185);

/// The same memory in bytes, and room around it: glibc takes an allocation beyond 32 MiB
/// from the kernel each time, so that nobody has touched it.
const COPIED: usize = 16 << 20;
const UNTOUCHED: usize = 40 << 20;
/// Copies that the machine is timed at.
const COPIES: usize = 200;

/// One attack.
#[derive(Clone)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// The limit that ends it.
    pub(crate) limit: &'static str,
    /// Its value, in the limit's unit.
    pub(crate) value: u64,
    /// How its failure is called.
    pub(crate) code: &'static str,
    /// How long a kill may take, where the limit is a time.
    pub(crate) allowed: Option<Duration>,
    guest: Guest,
}

#[derive(Clone)]
enum Guest {
    Connector(Core),
    Scorer(Core),
    /// `hostile-scorer`, about an order of this number.
    Act(&'static str),
}

const SPIN: &str = "(loop $again (br $again)) unreachable";
const START: &str = "(func $s (loop $again (br $again))) (start $s)";
const FILL: &str =
    "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br $again)) unreachable";
const GROW_AND_COPY: &str = "(drop (memory.grow (i32.const 252)))
    (loop $again (memory.copy (i32.const 0) (i32.const 1) (i32.const 16777215)) (br $again)) unreachable";
const COPY: &str =
    "(loop $again (memory.copy (i32.const 0) (i32.const 1) (i32.const 16777215)) (br $again)) unreachable";

/// What this machine needs, at worst, to copy over memory that nobody has touched: the p99
/// of native copies while another thread is at work, as it is beside the attack.
///
/// The copy reads each page before it writes it, so the kernel maps its page of zeros first
/// and then takes it back from every core that runs the process. That is its time and not
/// the guest's, so no rate of copying covers it; it falls due once in a call.
pub(crate) fn first_copy() -> Duration {
    let over = AtomicBool::new(false);
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let times = (0..COPIES).map(|_| {
            let mut memory = vec![0_u8; UNTOUCHED];
            let watch = Stopwatch::now();
            memory.copy_within(1..COPIED, 0);
            let elapsed = watch.elapsed();
            std::hint::black_box(&memory);
            elapsed
        });
        let times = times.collect();
        over.store(true, Ordering::Relaxed);
        times
    });
    times.sort_unstable();
    times.get(COPIES * 99 / 100).copied().unwrap_or_default()
}

/// All of them: those that a clock stops, those that fuel stops, and some that run into
/// something else.
pub(crate) fn attacks(first_copy: Duration) -> Vec<Attack> {
    let clock = |name, limit, guest, more: Duration| Attack {
        name,
        limit,
        value: BUDGET_MS,
        code: "host-out-of-time",
        allowed: Some(Duration::from_millis(BUDGET_MS) + LATE + more),
        guest,
    };
    let connector = |core| Guest::Connector(core);
    let spin = Core { call: SPIN, ..HARMLESS };
    let fill = Core { pages: PAGES, call: FILL, ..HARMLESS };
    let copy = Core { pages: PAGES, call: COPY, ..HARMLESS };
    let start = Core { extra: START, ..HARMLESS };
    let other = |name, limit, value, code, guest| Attack { name, limit, value, code, allowed: None, guest };
    let fuel = |name, guest| other(name, "fuel", 20_000_000, "out-of-time", guest);
    vec![
        clock("spin", "cpu_ms", connector(spin), Duration::ZERO),
        clock("spin-at-start", "cpu_ms", connector(start), Duration::ZERO),
        clock("fill-16-mib", "cpu_ms", connector(fill), FILLED),
        clock("copy-16-mib", "cpu_ms", connector(copy), first_copy),
        clock("grow-and-copy", "cpu_ms", connector(Core { call: GROW_AND_COPY, ..HARMLESS }), first_copy),
        clock("spin-on-the-wall", "wall_ms", connector(spin), Duration::ZERO),
        clock("wait-in-the-host", "wall_ms", Guest::Act("WAITS"), Duration::ZERO),
        fuel("spin-on-fuel", Guest::Scorer(spin)),
        fuel("fill-on-fuel", Guest::Scorer(fill)),
        fuel("copy-on-fuel", Guest::Scorer(copy)),
        other("small-allocations", "memory_bytes", 8 * 1024 * 1024, "out-of-memory", Guest::Act("SMALL-ALLOCATIONS")),
        other("giant-list", "output_bytes", 200_000, "too-large", Guest::Act("GIANT-LIST")),
        other("many-items", "output_items", 1_000, "too-large", Guest::Act("MANY-ITEMS")),
    ]
}

impl Attack {
    /// What the number of the order is that it is asked about.
    pub(crate) fn order(&self) -> &'static str {
        if let Guest::Act(number) = self.guest { number } else { self.name }
    }

    /// Calls it, for its failure.
    pub(crate) async fn call(
        &self,
        plugin: &Plugin,
        context: &CallContext,
        request: &ScoringRequest,
    ) -> Result<(CallFailure, Crossing)> {
        let (failure, crossing) = match self.guest {
            Guest::Connector(_) => {
                let crossed = plugin.check(context, &CheckRequest { settings: Vec::new() }).await;
                (crossed.outcome.err(), crossed.crossing)
            }
            Guest::Scorer(_) | Guest::Act(_) => {
                let crossed = plugin.score(context, request).await;
                (crossed.outcome.err(), crossed.crossing)
            }
        };
        match failure {
            Some(error) => Ok((error.failure, crossing)),
            None => bail!("`{}` was not stopped", self.name),
        }
    }
}

/// The components that the attacks are made of.
pub(crate) struct Guests {
    scorer_shell: Vec<u8>,
    connector_shell: Vec<u8>,
    hostile_scorer: Vec<u8>,
    well_behaved: Vec<u8>,
}

impl Guests {
    pub(crate) fn build() -> Result<Self> {
        let build = |name: &str| {
            plugins::build(&format!("tests/guests/{name}")).with_context(|| format!("failed to build `{name}`"))
        };
        Ok(Self {
            scorer_shell: build("trap")?,
            connector_shell: build("quiet-connector")?,
            hostile_scorer: build("hostile-scorer")?,
            well_behaved: build("well-behaved")?,
        })
    }

    pub(crate) fn install(&self, attack: &Attack, registry: &Registry) -> Result<Installed> {
        let limits = format!("{} = {}", attack.limit, attack.value);
        let none = PlatformGrant::default();
        let (name, component, grant) = match &attack.guest {
            Guest::Connector(core) => (attack.name, core.connector(&self.connector_shell, attack.name, &limits), none),
            Guest::Scorer(core) => (attack.name, core.scorer(&self.scorer_shell, attack.name, &limits), none),
            Guest::Act(_) => {
                let grant = toml::from_str(&format!("log = true\nlookup = [\"customer\"]\nlimits = {{ {limits} }}"))?;
                ("hostile-scorer", self.hostile_scorer.clone(), grant)
            }
        };
        trusted::install(registry, &PluginName::parse(name)?, &component, &grant)
    }

    /// As it is installed, but that it may be called without a pause.
    pub(crate) fn neighbour(&self, sandbox: &Sandbox) -> Result<Plugin> {
        let kind = PluginKind::Scorer;
        let spec = PluginSpec {
            name: PluginName::parse("well-behaved")?,
            kind,
            digest: Digest::of(&self.well_behaved),
            limits: Limits { calls_per_second: Limits::HARD_MAX.calls_per_second, ..Limits::DEFAULT },
            declared: Declared { log: true, lookup: vec![payload::TABLE.to_owned()], ..Declared::default() },
        };
        Ok(sandbox.load(spec, &sandbox.compile(kind, &self.well_behaved)?)?)
    }
}
