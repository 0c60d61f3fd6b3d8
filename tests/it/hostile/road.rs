//! Every attack that gets as far as a call, on the road of one host: each ends typed,
//! stands in its stage's leaf, keeps its own order or input back for a person, and the
//! next well-behaved order goes through as if nothing had happened.
//!
//! A scorer attacks when its order is decided, a connector when its input is received.
//! Each has a channel of its own.

use std::sync::Arc;

use async_trait::async_trait;
use portreeve_model::document::{Inbound, Setting};
use portreeve_model::{PluginKind, PluginName, SenderId};
use portreeve_pipeline::Credential;
use portreeve_record::{LeafBody, LeafRecord};
use portreeve_sandbox::{CallContext, CallFailure, Numbers, NumbersError, Settled, TimeLimit};
use portreeve_store::contract::OrderState;

use super::shell::{Core, HARMLESS};
use super::{Setup, scoring_request};
use crate::support::{EDI_TOKEN, MORNING, PurchaseOrder, TestHost, component, say, x12};

/// An attack.
pub(super) struct Attack {
    /// Its channel's id, and mostly its plugin's name.
    pub(super) name: &'static str,
    guest: Guest,
    /// What the plugin asks for in its manifest, where it is of text.
    limits: &'static str,
    ends: Ends,
}

/// Who attacks.
enum Guest {
    /// A scorer of text.
    Scorer(Core),
    /// A connector of text.
    Connector(Core),
    /// `hostile-scorer`, about an order of this number.
    Act(&'static str),
    /// `hostile-connector`, with these settings.
    Told(&'static str),
}

/// How an attack ends.
enum Ends {
    /// Stopped by this clock, at the number of this limit.
    Time(TimeLimit, &'static str),
    /// Stopped at `memory_bytes`.
    Memory,
    /// Stopped at this limit, which the failure calls so.
    Limit(&'static str, &'static str),
    /// The guest died by itself; wasmtime says so.
    Trap(&'static str),
    /// The host did not take what it said; the reason has this in it.
    Contract(&'static str),
}

impl Attack {
    fn kind(&self) -> PluginKind {
        match self.guest {
            Guest::Scorer(_) | Guest::Act(_) => PluginKind::Scorer,
            Guest::Connector(_) | Guest::Told(_) => PluginKind::Connector,
        }
    }

    fn plugin(&self) -> PluginName {
        PluginName::parse(match self.guest {
            Guest::Act(_) => "hostile-scorer",
            Guest::Told(_) => "hostile-connector",
            _ => self.name,
        })
        .unwrap()
    }

    /// The limit that it runs into, of those that can be chosen.
    pub(super) fn limit(&self) -> Option<&'static str> {
        match self.ends {
            Ends::Time(_, limit) | Ends::Limit(limit, _) => Some(limit),
            Ends::Memory => Some("memory_bytes"),
            Ends::Trap(_) | Ends::Contract(_) => None,
        }
    }

    /// The component, where it is of text.
    fn component(&self) -> Option<Vec<u8>> {
        let shell = |name| std::fs::read(component(name)).unwrap();
        match self.guest {
            Guest::Scorer(core) => Some(core.scorer(&shell("trap"), self.name, self.limits)),
            Guest::Connector(core) => Some(core.connector(&shell("quiet-connector"), self.name, self.limits)),
            Guest::Act(_) | Guest::Told(_) => None,
        }
    }

    fn order(&self) -> PurchaseOrder {
        PurchaseOrder::clean(if let Guest::Act(number) = self.guest { number } else { self.name })
    }

    fn code(&self) -> &'static str {
        match self.ends {
            Ends::Time(TimeLimit::Fuel, _) => "out-of-time",
            Ends::Time(..) => "host-out-of-time",
            Ends::Memory => "out-of-memory",
            Ends::Limit(..) => "too-large",
            Ends::Trap(_) => "trap",
            Ends::Contract(_) => "contract-violation",
        }
    }

    /// Whether this is how it was to end, at the number that binds.
    fn judge(&self, failure: &CallFailure, limits: &[Settled]) -> bool {
        let binds = limits.iter().find(|settled| Some(settled.limit.name) == self.limit()).map(|settled| settled.value);
        match (&self.ends, failure) {
            (Ends::Time(clock, _), CallFailure::OutOfTime { limit, allowed, .. }) => {
                limit == clock && Some(*allowed) == binds
            }
            (Ends::Memory, CallFailure::OutOfMemory { asked_bytes, allowed_bytes }) => {
                asked_bytes > allowed_bytes && Some(*allowed_bytes) == binds
            }
            (Ends::Limit(_, of), CallFailure::TooLarge { what, found, allowed }) => {
                what == of && found > allowed && Some(*allowed) == binds
            }
            (Ends::Trap(words), CallFailure::Trap { message })
            | (Ends::Contract(words), CallFailure::ContractViolation { message }) => message.contains(words),
            _ => false,
        }
    }
}

fn scorer(name: &'static str, limits: &'static str, core: Core, ends: Ends) -> Attack {
    Attack { name, guest: Guest::Scorer(core), limits, ends }
}

fn connector(name: &'static str, limits: &'static str, core: Core, ends: Ends) -> Attack {
    Attack { name, guest: Guest::Connector(core), limits, ends }
}

fn act(name: &'static str, number: &'static str, ends: Ends) -> Attack {
    Attack { name, guest: Guest::Act(number), limits: "", ends }
}

fn told(name: &'static str, settings: &'static str, ends: Ends) -> Attack {
    Attack { name, guest: Guest::Told(settings), limits: "", ends }
}

const SPIN: &str = "(loop $again (br $again)) unreachable";

/// All of the default's 16 MiB, again and again. In between nothing looks at a clock.
const FILL: &str =
    "(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br $again)) unreachable";
const COPY: &str =
    "(loop $again (memory.copy (i32.const 0) (i32.const 1) (i32.const 16777215)) (br $again)) unreachable";
const ALL_PAGES: u32 = 256;

/// The harmless answer with another sentence, case or length.
const BAD_TEXT: &str = "
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (i32.const 2))
    (i32.store (i32.const 24) (i32.const 64)) (i32.store (i32.const 28) (i32.const 2))
    (i32.store16 (i32.const 64) (i32.const 0xfeff)) (i32.const 0)";
const TEXT_OUTSIDE: &str = "
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (i32.const 2))
    (i32.store (i32.const 24) (i32.const 0xfffffff0)) (i32.store (i32.const 28) (i32.const 100)) (i32.const 0)";
const NO_SUCH_CASE: &str = "
    (i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (i32.const 9)) (i32.const 0)";
const ENDLESS_LIST: &str =
    "(i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const -1)) (i32.const 0)";
/// Zeros are an assessment without a word.
const TWO_RESULTS: &str =
    "(i32.store (i32.const 0) (i32.const 16)) (i32.store (i32.const 4) (i32.const 2)) (i32.const 0)";
const NO_RESULT: &str = "(i32.const 0)";

const FUEL: &str = "fuel = 2000000";
const CPU: &str = "cpu_ms = 20";

/// All of them.
pub(super) fn attacks() -> Vec<Attack> {
    use Ends::{Contract, Limit, Memory, Time, Trap};
    let fuel = || Time(TimeLimit::Fuel, "fuel");
    let cpu = || Time(TimeLimit::Cpu, "cpu_ms");
    let start = |body: &'static str| Core { extra: body, ..HARMLESS };
    vec![
        // --- time, where fuel stops it ---
        scorer("tight-loop", FUEL, Core { call: SPIN, ..HARMLESS }, fuel()),
        scorer("start-loop", FUEL, start("(func $s (loop $again (br $again))) (start $s)"), fuel()),
        scorer("realloc-loop", FUEL, Core { realloc: SPIN, ..HARMLESS }, fuel()),
        scorer("loop-after-the-result", FUEL, Core { after: SPIN, ..HARMLESS }, fuel()),
        scorer("fill", FUEL, Core { pages: ALL_PAGES, call: FILL, ..HARMLESS }, fuel()),
        // --- and where a clock does ---
        connector("tight-loop-on-a-clock", CPU, Core { call: SPIN, ..HARMLESS }, cpu()),
        connector("start-loop-on-a-clock", CPU, start("(func $s (loop $again (br $again))) (start $s)"), cpu()),
        connector("loop-after-on-a-clock", CPU, Core { after: SPIN, ..HARMLESS }, cpu()),
        connector("fill-on-a-clock", CPU, Core { pages: ALL_PAGES, call: FILL, ..HARMLESS }, cpu()),
        connector("copy-on-a-clock", CPU, Core { pages: ALL_PAGES, call: COPY, ..HARMLESS }, cpu()),
        connector(
            "spins-past-its-time",
            "wall_ms = 20",
            Core { call: SPIN, ..HARMLESS },
            Time(TimeLimit::Wall, "wall_ms"),
        ),
        // --- memory ---
        act("small-allocations", "SMALL-ALLOCATIONS", Memory),
        scorer(
            "table-growth",
            "table_elements = 1000",
            Core {
                extra: "(table $t 1 funcref)",
                call: "(drop (table.grow $t (ref.null func) (i32.const 2000))) (i32.const 0)",
                ..HARMLESS
            },
            Limit("table_elements", "table elements"),
        ),
        // --- what it returns ---
        act("long-text", "LONG-TEXT", Limit("output_bytes", "output bytes")),
        act("giant-list", "GIANT-LIST", Limit("output_bytes", "output bytes")),
        act("many-items", "MANY-ITEMS", Limit("output_items", "output items")),
        act("beyond-the-scale", "BEYOND-THE-SCALE", Contract("score-bp")),
        scorer("no-utf8", "", Core { call: BAD_TEXT, ..HARMLESS }, Contract("utf-8")),
        scorer("text-outside", "", Core { call: TEXT_OUTSIDE, ..HARMLESS }, Contract("out of bounds")),
        scorer("no-such-case", "", Core { call: NO_SUCH_CASE, ..HARMLESS }, Contract("discriminant")),
        scorer("endless-list", "", Core { call: ENDLESS_LIST, ..HARMLESS }, Contract("out of bounds")),
        scorer("two-results", "", Core { call: TWO_RESULTS, ..HARMLESS }, Contract("2 results for one request")),
        scorer("no-result", "", Core { call: NO_RESULT, ..HARMLESS }, Contract("0 results for one request")),
        // --- its own end ---
        scorer("realloc-trap", "", Core { realloc: "unreachable", ..HARMLESS }, Trap("unreachable")),
        scorer("realloc-outside", "", Core { realloc: "(i32.const -16)", ..HARMLESS }, Contract("realloc return")),
        scorer("trap-after-the-result", "", Core { after: "unreachable", ..HARMLESS }, Trap("unreachable")),
        told("write-and-trap", r#"act = "write-and-trap""#, Trap("unreachable")),
        // --- the host's functions ---
        act("long-arguments", "LONG-ARGUMENTS", Limit("host_call_bytes", "bytes of host calls")),
        told("handle-leak", r#"act = "handles", count = "2000""#, Limit("handles", "handles")),
        told("number-flood", r#"act = "numbers", count = "65""#, Limit("numbers", "numbers")),
    ]
}

/// The demo's host with a channel for each attack.
fn setup(folder: &std::path::Path, attacks: &[Attack]) -> Setup {
    let mut setup = Setup::demo()
        .plugin("hostile-scorer", "{ log = true, lookup = [\"customer\"] }")
        .plugin("hostile-connector", "{ log = true, kv = true, numbers = [\"control\"], http = [\"GET\", \"POST\"] }");
    for attack in attacks {
        let (name, plugin) = (attack.name, attack.plugin());
        if let Some(component) = attack.component() {
            let path = folder.join(format!("{name}.wasm"));
            std::fs::write(&path, component).unwrap();
            setup = setup.component(name, &path);
        }
        let route = match (&attack.guest, attack.kind()) {
            (Guest::Told(settings), _) => {
                format!("connector = \"{plugin}\"\ndocuments = {{}}\nscorers = []\nsettings = {{ {settings} }}")
            }
            (_, PluginKind::Connector) => {
                format!(
                    "connector = \"{plugin}\"\ndocuments = {{ \"x12/850\" = \"x12-orders\" }}\nscorers = []\nsettings = {{ currency = \"USD\" }}"
                )
            }
            _ => format!(
                "connector = \"x12\"\ndocuments = {{ \"x12/850\" = \"x12-orders\" }}\nscorers = [\"{plugin}\"]\nsettings = {{ currency = \"USD\" }}"
            ),
        };
        let channel = format!(
            "\n[[channel]]\nid = \"{name}\"\n{route}\ntarget = \"erp\"\nexception_queue = \"integration\"\n\n\
             [[sender]]\nchannel = \"{name}\"\nid = \"edi-gateway\"\ntoken_sha256 = \"${{EDI_TOKEN_SHA256}}\"\n"
        );
        setup = setup.append("portreeve.toml", &channel);
    }
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attack_ends_typed_and_on_record_and_the_next_order_goes_through() {
    let folder = tempfile::tempdir().unwrap();
    let attacks = attacks();
    let host = setup(folder.path(), &attacks).start().await;
    let mut wrong = Vec::new();
    for (number, attack) in (1_u32..).zip(&attacks) {
        host.send(attack.name, Credential::Bearer(EDI_TOKEN), &x12(1, &attack.order())).await.unwrap();
        host.decide_all().await;
        // One guest has several acts; each is tried as if it were its first.
        let active = host.host.pipeline.plugins.now();
        host.host.pipeline.quarantine.forget(active.installed(&attack.plugin()).unwrap().digest);
        let good = format!("GOOD-{number}");
        host.send_edi(&x12(number, &PurchaseOrder::clean(&good))).await.unwrap();
        host.decide_all().await;
        let state = host.order(&good).await.state;
        if state != OrderState::Released {
            wrong.push(format!("after `{}` a good order is {state:?}", attack.name));
        }
    }

    let (leaves, exceptions) = (host.leaves().await, host.exceptions().await);
    for attack in &attacks {
        if let Err(why) = on_record(attack, &leaves) {
            wrong.push(format!("`{}`: {why}", attack.name));
        }
        let failure = called(&host, attack).await;
        say(&format!("{}: {failure}", attack.name));
        let active = host.host.pipeline.plugins.now();
        if !attack.judge(&failure, &active.installed(&attack.plugin()).unwrap().limits) {
            wrong.push(format!("`{}` ended otherwise: {failure:?}", attack.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(exceptions.len(), attacks.len(), "a person hears of each, and of nothing else");
    host.verify().await.unwrap();
}

/// Whether the failure stands in the leaf of the stage, and the effect in none.
fn on_record(attack: &Attack, leaves: &[LeafRecord]) -> Result<(), String> {
    let plugin = attack.plugin();
    let mut failures = Vec::new();
    for leaf in leaves {
        let (channel, crossings) = match &leaf.body {
            LeafBody::Accept(accept) => (Some(accept.channel.as_str()), accept.crossing.as_slice()),
            // Its own plugin is on no other channel, or it is one of several acts.
            LeafBody::Decide(decide) => (None, decide.crossings.shown()),
            _ => continue,
        };
        let of_attack = |channel: Option<&str>| channel.is_none_or(|channel| channel == attack.name);
        let of_plugin = crossings.iter().filter(|crossing| crossing.plugin == plugin && of_attack(channel));
        failures.extend(of_plugin.map(|crossing| crossing.failure.as_ref().map(|code| code.as_str().to_owned())));
    }
    let expected = Some(attack.code().to_owned());
    // The acts of one scorer share its name: one of its leaves has this code.
    let named = match attack.guest {
        Guest::Act(_) => failures.contains(&expected) && !failures.contains(&None),
        _ => failures == [expected],
    };
    if named { Ok(()) } else { Err(format!("its leaf says {failures:?}")) }
}

/// A number range without an end.
struct Plenty;

#[async_trait]
impl Numbers for Plenty {
    async fn next(&self, _range: &str) -> Result<u64, NumbersError> {
        Ok(1)
    }
}

/// The failure with its numbers.
async fn called(host: &TestHost, attack: &Attack) -> CallFailure {
    let active = host.host.pipeline.plugins.now();
    let plugin = &active.installed(&attack.plugin()).unwrap().plugin;
    let context = CallContext { numbers: Arc::new(Plenty), ..CallContext::with_nothing(MORNING) };
    match attack.kind() {
        PluginKind::Scorer => {
            let mut request = scoring_request(host).await;
            request.order.number = attack.order().number;
            plugin.score(&context, &request).await.outcome.unwrap_err().failure
        }
        _ => plugin.receive(&context, &inbound(attack)).await.outcome.unwrap_err().failure,
    }
}

fn inbound(attack: &Attack) -> Inbound {
    let settings = match attack.guest {
        Guest::Told(settings) => toml::from_str::<toml::Table>(&settings.replace(", ", "\n")).unwrap(),
        _ => toml::Table::new(),
    };
    let setting = |(name, value): (String, toml::Value)| Setting { name, value: value.as_str().unwrap().to_owned() };
    Inbound {
        method: "POST".to_owned(),
        path: String::new(),
        headers: Vec::new(),
        body: x12(1, &attack.order()),
        received_at: MORNING,
        sender: SenderId::authenticated("edi-gateway"),
        settings: settings.into_iter().map(setting).collect(),
    }
}
