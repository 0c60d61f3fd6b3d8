//! Who tries which limit. Every limit that can be chosen has a hostile guest, and
//! the two that are about many calls have theirs here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use portreeve::host::Locations;
use portreeve_model::PluginName;
use portreeve_registry::{CodeCache, Installed, Registry};
use portreeve_sandbox::{Call, CallContext, CallFailure, Limits, Sandbox, SandboxOptions, TimeLimit};
use tokio::task::JoinSet;

use super::{road, scoring};
use crate::crowded::Gate;
use crate::support::{MORNING, PurchaseOrder, Setup, component, install, tree, x12_of};

/// Tries every limit of a grant by itself, from a table.
const EACH: &str = "invariant_3_the_guest_is_an_adversary_every_limit_of_a_grant_binds";

/// Tries what a component takes before it does anything.
const BEGINS: &str = "what_begins_beyond_its_limits_is_refused_before_it_is_compiled";

/// Each limit with the attacks that try it: one of the road by its name, or a test in
/// this folder by its own. A limit that is not here has no hostile guest, and the test
/// below says so.
const TRIED: &[(&str, &[&str])] = &[
    ("memory_bytes", &["small-allocations", BEGINS, "memory_growth_names_what_was_asked_and_what_is_allowed"]),
    ("table_elements", &["table-growth", BEGINS]),
    ("instances", &[BEGINS]),
    ("fuel", &["tight-loop", "start-loop", "realloc-loop", "loop-after-the-result", "fill"]),
    ("cpu_ms", &["tight-loop-on-a-clock", "start-loop-on-a-clock", "fill-on-a-clock", "copy-on-a-clock"]),
    ("wall_ms", &["spins-past-its-time", "a_call_that_waits_in_the_host_for_ever_is_ended_by_the_wall_clock"]),
    (
        "calls_at_once",
        &[
            "a_plugin_that_hangs_takes_no_more_than_its_share_of_the_sandboxes",
            "a_plugin_that_is_swapped_while_it_hangs_gets_no_second_share",
        ],
    ),
    ("calls_per_second", &["a_flood_of_calls_is_stopped_and_nothing_of_it_is_lost"]),
    ("host_calls", &["host_calls_in_a_loop_are_counted"]),
    ("host_call_bytes", &["long-arguments"]),
    ("log_lines", &["a_flood_of_lines_is_cut_and_counted"]),
    ("log_bytes", &["a_flood_of_long_lines_is_cut_and_counted"]),
    ("output_bytes", &["long-text", "giant-list", "huge_output_is_stopped_while_it_is_read"]),
    ("output_items", &["many-items"]),
    ("handles", &["handle-leak", "requests_handles_and_numbers_are_counted"]),
    ("numbers", &["number-flood", "requests_handles_and_numbers_are_counted"]),
    ("kv_keys", &["a_flood_of_state_ends_at_the_limit_of_an_order_and_the_order_goes_on"]),
    ("kv_value_bytes", &[EACH]),
    ("kv_bytes", &[EACH]),
    ("artifact_bytes", &[EACH]),
    ("http_requests", &["requests_handles_and_numbers_are_counted"]),
    ("http_request_bytes", &["a_body_without_an_end_is_refused_in_either_direction"]),
    (
        "http_response_bytes",
        &["a_body_without_an_end_is_refused_in_either_direction", "an_endless_body_ends_at_the_limit"],
    ),
    ("http_header_bytes", &["headers_are_bounded_in_both_directions_by_the_plugins_own_limit"]),
    ("http_connect_ms", &[EACH]),
    ("http_total_ms", &["a_target_that_drips_or_falls_silent_is_cut_in_time"]),
    ("http_bytes", &["all_exchanges_of_a_call_together_are_bounded"]),
];

#[test]
fn every_limit_has_a_hostile_guest_that_tries_it() {
    let attacks = road::attacks();
    let folder = tree().root().join("tests/it/hostile");
    let each = folder.with_file_name("invariants").join("bounded.rs");
    let mut tests = [folder.with_extension("rs"), each].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    for file in std::fs::read_dir(folder).unwrap() {
        tests.push_str(&std::fs::read_to_string(file.unwrap().path()).unwrap());
    }

    let tried: Vec<&str> = TRIED.iter().map(|(limit, _)| *limit).collect();
    let limits: Vec<&str> = Limits::ALL.iter().map(|limit| limit.name).collect();
    assert_eq!(tried, limits, "a limit without an attack, or an attack on none");
    for (limit, attacks_on_it) in TRIED {
        assert!(!attacks_on_it.is_empty(), "nothing tries `{limit}`");
        for name in *attacks_on_it {
            let on_the_road = attacks.iter().any(|attack| attack.name == *name && attack.limit() == Some(limit));
            let test = tests.contains(&format!("fn {name}("));
            assert!(on_the_road || test, "`{name}` is neither an attack that ends at `{limit}` nor a test");
        }
    }
}

/// What is behind a gate, as a call's surroundings.
fn behind(gate: &Arc<Gate>) -> CallContext {
    CallContext { lookup: Arc::clone(gate) as _, ..CallContext::with_nothing(MORNING) }
}

/// Scorers that ask a look-up, in a sandbox where nobody waits for a free one.
struct Scorers {
    registry: Registry,
    _folder: tempfile::TempDir,
}

impl Scorers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shared = Locations::below(folder.path(), &tree().target().join("portreeve"));
        let cache = CodeCache::open(&shared.cache, &shared.cache_key).unwrap();
        let options = SandboxOptions { calls_at_once_max: 8, busy_wait_ms_max: 0 };
        Self { registry: Registry::new(Sandbox::new(options).unwrap(), cache), _folder: folder }
    }

    fn install(&self, name: &str, limits: &str) -> Installed {
        let bytes = std::fs::read(component(name)).unwrap();
        let grant = format!("log = true\nlookup = [\"customer\"]\nlimits = {{ {limits} }}");
        let name = PluginName::parse(name).unwrap();
        install(&self.registry, &name, &bytes, &toml::from_str(&grant).unwrap()).unwrap()
    }
}

async fn score(plugin: &Installed, context: &CallContext, number: &str) -> Result<(), CallFailure> {
    let mut order = crate::golden::an_order();
    order.number = number.to_owned();
    let crossed = plugin.plugin.score(context, &scoring(order)).await;
    crossed.outcome.map(drop).map_err(|error| {
        assert_eq!(error.call, Call::Score);
        error.failure
    })
}

#[tokio::test]
async fn a_call_that_waits_in_the_host_for_ever_is_ended_by_the_wall_clock() {
    let plugin = Scorers::new().install("hostile-scorer", "wall_ms = 50");
    let gate = Gate::shut();
    let failure = score(&plugin, &behind(&gate), "WAITS").await.unwrap_err();
    assert_eq!(failure, CallFailure::OutOfTime { limit: TimeLimit::Wall, allowed: 50, unit: "ms" });
    // Its sandbox is free again.
    gate.open.send_replace(true);
    score(&plugin, &behind(&gate), "WAITS").await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_hangs_takes_no_more_than_its_share_of_the_sandboxes() {
    // Half of the eight, or less where that was granted.
    for (limits, share) in [("", 4), ("calls_at_once = 2", 2)] {
        let scorers = Scorers::new();
        let (hangs, other) = (scorers.install("hostile-scorer", limits), scorers.install("well-behaved", ""));
        let gate = Gate::shut();
        let mut calls = JoinSet::new();
        for _ in 0..share {
            let (hangs, context) = (hangs.clone(), behind(&gate));
            calls.spawn(async move { score(&hangs, &context, "WAITS").await });
        }
        while gate.asked.load(Ordering::SeqCst) < share {
            tokio::task::yield_now().await;
        }
        let one_more = score(&hangs, &behind(&gate), "WAITS").await;
        assert_eq!(one_more, Err(CallFailure::Busy { waited_ms: 0 }), "{limits}");
        // The neighbour has no look-ups here and says so; what counts is that it is asked.
        score(&other, &CallContext::with_nothing(MORNING), "GOOD").await.unwrap();
        gate.open.send_replace(true);
        while let Some(ended) = calls.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_plugin_that_is_swapped_while_it_hangs_gets_no_second_share() {
    let scorers = Scorers::new();
    let load = |limits| scorers.install("hostile-scorer", limits);
    let busy = Err(CallFailure::Busy { waited_ms: 0 });
    let gate = Gate::shut();
    let mut calls = JoinSet::new();
    let mut hang = |plugin: &Installed| {
        let (plugin, context) = (plugin.clone(), behind(&gate));
        calls.spawn(async move { score(&plugin, &context, "WAITS").await });
    };
    let asked = async |count| {
        while gate.asked.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };

    let before = load("calls_at_once = 3");
    hang(&before);
    hang(&before);
    asked(2).await;
    // Loaded to be tried, and never called: the running one has what it had.
    load("calls_at_once = 1");
    hang(&before);
    asked(3).await;
    assert_eq!(score(&before, &behind(&gate), "WAITS").await, busy);

    // The next version has what the one before leaves of its limit, and so has that one.
    let after = load("calls_at_once = 4");
    hang(&after);
    asked(4).await;
    for plugin in [&after, &before, &load("calls_at_once = 4"), &load("calls_at_once = 2")] {
        assert_eq!(score(plugin, &behind(&gate), "WAITS").await, busy);
    }
    gate.open.send_replace(true);
    while let Some(ended) = calls.join_next().await {
        ended.unwrap().unwrap();
    }
    score(&after, &behind(&gate), "WAITS").await.unwrap();
}

#[tokio::test]
async fn a_flood_of_calls_is_stopped_and_nothing_of_it_is_lost() {
    let scorers = Scorers::new();
    let plugin = scorers.install("hostile-scorer", "calls_per_second = 1");
    let mut refused = 0;
    for _ in 0..20 {
        match score(&plugin, &CallContext::with_nothing(MORNING), "MANY-ITEMS").await {
            Err(CallFailure::TooOften { allowed_per_second: 1 }) => refused += 1,
            ended => assert!(matches!(ended, Err(CallFailure::TooLarge { .. })), "{ended:?}"),
        }
    }
    // However slow the machine is, it is called once a second and once at once.
    assert!(refused >= 15, "{refused} of 20 were refused");

    // On the road such a document waits; it is no exception, and nobody decides without the scorer.
    let setup = Setup::demo().grant("fraud", "{ lookup = [\"customer\"], limits = { calls_per_second = 1 } }");
    let host = setup.start().await;
    let orders: Vec<_> = (0..10).map(|number| PurchaseOrder::clean(&format!("PO-{number}"))).collect();
    host.send_edi(&x12_of(1, &orders)).await.unwrap();
    let decided = host.decide_all().await.len();
    let waiting = host.summary().await.undecided;
    assert!(waiting >= 5, "{waiting} of 10 wait");
    assert_eq!((decided + usize::try_from(waiting).unwrap(), host.exceptions().await.len()), (10, 0));
    assert!(host.host.pipeline.metrics.text(&[]).contains("result=\"too-often\""));
}
