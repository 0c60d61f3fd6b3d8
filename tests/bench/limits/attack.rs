//! The attacks that are timed, and the guests that carry them out.

use std::time::Duration;

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
const COPY: &str =
    "(loop $again (memory.copy (i32.const 0) (i32.const 1) (i32.const 16777215)) (br $again)) unreachable";

/// All of them: those that a clock stops, those that fuel stops, and some that run into
/// something else.
pub(crate) fn attacks() -> Vec<Attack> {
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
        clock("copy-16-mib", "cpu_ms", connector(copy), FILLED),
        clock("spin-on-the-wall", "wall_ms", connector(spin), Duration::ZERO),
        clock("wait-in-the-host", "wall_ms", Guest::Act("WAITS"), Duration::ZERO),
        fuel("spin-on-fuel", Guest::Scorer(spin)),
        fuel("fill-on-fuel", Guest::Scorer(fill)),
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
