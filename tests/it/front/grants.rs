//! What people hear about grants: why an order's advice caused what it caused, and what a
//! change of grants would mean.

use super::commands::{json, refused, run, stopped};
use crate::authority::{obedient, verdict};
use crate::support::{PurchaseOrder, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_names_each_clause_with_what_was_found_and_what_is_required() {
    let host = obedient().start().await;
    for (control, number) in (1..).zip(["HOLD-1", "HOLD-2", "ROUTE-1", "ROUTE-2", "ROUTE-3", "PLAIN-1"]) {
        verdict_or_none(&host, control, number).await;
    }
    let stopped = host.stop().await;
    let data = stopped.folder().to_str().unwrap().to_owned();
    let explain = async |number: &str| run(&["grant", "explain", number, "--data-dir", &data]).await.unwrap();

    // Granted.
    let told = explain("HOLD-1").await;
    for part in [
        "order HOLD-1 (",
        "is held: ",
        "`obeys-the-sender` asked to hold, and got it: hold the order for 60 min in `order-desk`",
        "because it asked for no more than it is allowed",
        "by grant `obeys-within-bounds`; `portreeve grant show obeys-within-bounds` shows its terms",
        "ok  the order's value, to be held (order_value_max_minor): found 231.00 USD; required 10000.00 USD or less",
        "ok  the company's policies (policy): found permitted; required a policy that permits `hold`, and no error",
        "the policies that decided: obeys-holds",
    ] {
        assert!(told.contains(part), "expected `{part}` in:\n{told}");
    }
    assert!(!told.contains("NO  "), "{told}");
    // Narrowed: the day's value is spent, and the host keeps the order in the plugin's stead.
    let told = explain("HOLD-2").await;
    for part in [
        "asked to hold, and got less: route to `order-desk` for 60 min",
        "because it has used up what it may hold, so the host keeps the order for people by itself",
        "NO  the value it holds since midnight UTC (value_held_per_day_max_minor): found 46200 minor units with this order; required 30000 or less",
    ] {
        assert!(told.contains(part), "expected `{part}` in:\n{told}");
    }
    // Refused: the third route of an hour.
    let told = explain("ROUTE-3").await;
    for part in [
        "asked to route, and got nothing: record only",
        "NO  its routes of the last hour (routes_per_hour_max): found 2 routes and this one; required 2 or less",
    ] {
        assert!(told.contains(part), "expected `{part}` in:\n{told}");
    }
    let told = explain("PLAIN-1").await;
    assert!(told.contains("no plugin asked for anything, so nothing had to be granted"), "{told}");

    let shown = json(&["grant", "explain", "HOLD-2", "--data-dir", &data]).await.remove(0);
    let verdict = &shown["verdicts"][0];
    assert_eq!((&verdict["code"], &verdict["outcome"]), (&"budget-spent-queued".into(), &"narrowed".into()));
    let clauses = verdict["clauses"].as_array().unwrap();
    assert!(clauses.iter().all(|clause| clause["about"].is_string()), "{clauses:?}");
    assert_eq!(clauses.iter().filter(|clause| clause["held"] == false).count(), 1, "{clauses:?}");
    refused(&["grant", "explain", "NOBODY", "--data-dir", &data], &["there is no order `NOBODY`"]).await;
}

async fn verdict_or_none(host: &crate::support::TestHost, control: u32, number: &str) {
    if number.starts_with("PLAIN") {
        host.send_edi(&crate::support::x12(control, &PurchaseOrder::clean(number))).await.unwrap();
        host.decide_all().await;
    } else {
        verdict(host, control, &PurchaseOrder::clean(number)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_grants_is_checked_and_compared_before_anything_is_built() {
    let folder = stopped(&obedient(), "http://127.0.0.1:9").await;
    let data = folder.path().to_str().unwrap();
    let proposed = |setup: Setup| {
        let folder = tempfile::tempdir().unwrap();
        let config = setup.configuration_with(folder.path(), "http://127.0.0.1:9");
        for component in std::fs::read_dir(&config).unwrap().map(|entry| entry.unwrap().path()) {
            if component.extension().is_some_and(|extension| extension == "wasm") {
                std::fs::remove_file(component).unwrap();
            }
        }
        (folder, config.to_str().unwrap().to_owned())
    };

    let (_same, config) = proposed(obedient());
    let same = run(&["grant", "diff", "--config", &config, "--data-dir", data]).await.unwrap();
    assert_eq!(same, "the grants and policies are those in force\n");
    let checked = run(&["grant", "check", "--config", &config]).await.unwrap();
    assert!(
        checked.starts_with("4 grant(s), and the policies and rules beside them, can be put in force"),
        "{checked}"
    );

    let wider = obedient()
        .replace("grants.toml", "routes_per_hour_max = 2\n", "routes_per_hour_max = 3\n")
        .replace("grants.toml", "value_held_per_day_max_minor = 30000\n", "value_held_per_day_max_minor = 20000\n")
        .replace("grants.toml", "fields = [\"line.sku\"]", "fields = [\"notes\", \"line.sku\", \"customer.name\"]")
        .replace("grants.toml", "fields = [\"customer.id\", \"line.sku\"]", "fields = [\"line.sku\"]")
        .append("policies.cedar", "// Another word.\n");
    let (_wider, config) = proposed(wider);
    let told = run(&["grant", "diff", "--config", &config, "--data-dir", data]).await.unwrap();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines,
        [
            "narrower: obeys-within-bounds: value_held_per_day_max_minor: 300.00 USD becomes 200.00 USD",
            "wider: obeys-within-bounds: routes_per_hour_max: 2 routes an hour becomes 3 routes an hour",
            "narrower: `fulfilment` sees no more, or shorter: customer.id",
            "wider: `margin` sees also, or longer: customer.name, notes",
            "other: the policies differ; what they permit cannot be compared, so read both",
            "2 wider, 2 narrower, 1 that people have to compare",
        ]
    );

    // Everything that is wrong, at once, and nothing is in force by it.
    let wrong = obedient()
        .replace("grants.toml", "routes_per_hour_max = 2\n", "routes_per_hour_max = 0\n")
        .replace("grants.toml", "plugin = \"margin\"", "plugin = \"margins\"")
        .append("policies.cedar", "permit (principal, action == Action::\"release\", resource);\n");
    let (_wrong, config) = proposed(wrong);
    let parts = ["routes_per_hour_max", "is 0", "`margins`", "policies.cedar"];
    refused(&["grant", "check", "--config", &config], &parts).await;
    refused(&["grant", "diff", "--config", &config, "--data-dir", data], &parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_over_is_no_part_of_a_new_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let setup = obedient().replace(
        "grants.toml",
        "owner = \"tests@distributor.example\"\nexpires = 2027-12-31",
        "owner = \"tests@distributor.example\"\nexpires = 2020-02-29",
    );
    let config = setup.configuration_with(folder.path(), "http://127.0.0.1:9");
    let config = config.to_str().unwrap();
    let parts = ["grants.toml", "grant `obeys-within-bounds` expires 2020-02-29, which is over"];
    refused(&["grant", "check", "--config", config], &parts).await;
    let data = folder.path().join("nothing");
    refused(&["init", "--config", config, "--data-dir", data.to_str().unwrap()], &parts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_shown_term_by_term() {
    let folder = stopped(&obedient(), "http://127.0.0.1:9").await;
    let data = folder.path().to_str().unwrap();
    let shown = run(&["grant", "show", "obeys-within-bounds", "--data-dir", data]).await.unwrap();
    for line in ["    routes_per_hour_max          2 routes an hour", "    channels                     all"] {
        assert!(shown.lines().any(|found| found == line), "expected `{line}` in:\n{shown}");
    }
    let shown = json(&["grant", "show", "obeys-within-bounds", "--data-dir", data]).await.remove(0);
    assert_eq!(shown["terms"]["hold_minutes_max"], "60 minutes");
    refused(
        &["grant", "show", "no-such", "--data-dir", data],
        &["there is no grant `no-such`", "`obeys-within-bounds`"],
    )
    .await;
}
