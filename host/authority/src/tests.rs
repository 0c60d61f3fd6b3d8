//! Every clause binds, every refusal says why, and no proposal whatever gets more
//! than its grant.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod crediting;

mod deciding;

mod comparing;

mod showing;

mod loading;

mod properties;

mod ruling;

mod people;

use std::collections::BTreeSet;

use portreeve_model::advice::{Hold, HoldScope};
use portreeve_model::{ChannelId, Currency, Digest, Instant, Money, OrderId, PluginName, Proposal};

use crate::{Advice, Authority, Counters, Known, LoadErrors, SourceFile, Subject, Verdict};

/// 2027-01-15T00:00:00Z.
const NOW: Instant = Instant(1_799_971_200_000);

const GRANT: &str = r#"
[[grant]]
id = "fraud-hold"
plugin = "fraud"
digests = []
owner = "risk@distributor.example"
expires = 2027-06-30
may = ["hold", "route", "recommend"]
order_value_max_minor = 2500000
currency = "USD"
hold_minutes_max = 2880
route_value_max_minor = 10000000
route_minutes_max = 1440
routes_per_hour_max = 20
queues = ["fraud-review", "pricing"]
recommend = ["review"]
customer_classes = ["standard", "new"]
channels = []
holds_per_hour_max = 50
value_held_per_day_max_minor = 100000000
beyond = "narrow"
budget_spent = "queue"
fallback_queue = "fraud-review"
"#;

/// The usual keys of routes, for grants without them.
const NO_ROUTES: [(&str, &str); 3] =
    [("route_value_max_minor = 10000000", ""), ("route_minutes_max = 1440", ""), ("routes_per_hour_max = 20", "")];

/// A grant of routes only.
const ROUTES: &str = r#"
[[grant]]
id = "routes"
plugin = "fraud"
owner = "desk@distributor.example"
expires = 2027-06-30
may = ["route"]
currency = "USD"
route_value_max_minor = 10000000
route_minutes_max = 1440
routes_per_hour_max = 20
queues = ["pricing"]
beyond = "fall"
fallback_queue = "pricing"
"#;

const PERMIT_ALL: &str = r#"@id("all") permit (principal == Plugin::"fraud", action, resource);"#;

fn known() -> Known {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let plugins: BTreeSet<String> = names(&["fraud", "margin"]);
    Known {
        queues: names(&["fraud-review", "pricing", "credit", "customer-service", "order-desk"]),
        plugins: plugins.iter().map(|name| PluginName::parse(name).unwrap()).collect(),
    }
}

fn try_load(grants: &str, policies: &str) -> Result<Authority, LoadErrors> {
    let file = |name, text| [SourceFile { name, text }];
    Authority::load(&file("grants.toml", grants), &file("policies.cedar", policies), &known())
}

fn load(grants: &str, policies: &str) -> Authority {
    match try_load(grants, policies) {
        Ok(authority) => authority,
        Err(errors) => panic!("{errors}"),
    }
}

/// The usual grant with some lines replaced; an empty replacement deletes.
fn grant_with(changes: &[(&str, &str)]) -> String {
    let mut text = GRANT.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the grant has no `{from}`");
        text = text.replace(from, to);
    }
    text
}

fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("USD").unwrap() }
}

fn subject() -> Subject {
    Subject {
        order: OrderId::parse("3f0c6a51-6d7e-5b1a-9f44-0a8f5c1d2e3b").unwrap(),
        channel: ChannelId::parse("webshop").unwrap(),
        customer_class: Some("new".to_owned()),
        value: usd(120_000),
        line_numbers: vec!["1".to_owned(), "2".to_owned()],
        ship_country: Some("US".to_owned()),
    }
}

fn hold(minutes: u32) -> Proposal {
    hold_of(HoldScope::Order, minutes)
}

fn hold_of(scope: HoldScope, minutes: u32) -> Proposal {
    Proposal::Hold(Hold { scope, minutes, reason: "velocity".to_owned() })
}

fn route(queue: &str) -> Proposal {
    Proposal::Route(queue.to_owned())
}

/// Decides with the usual bearer, time and counters.
fn decide(authority: &Authority, proposal: &Proposal, subject: &Subject) -> Verdict {
    decide_at(authority, proposal, subject, &Counters::default(), NOW)
}

fn decide_at(
    authority: &Authority,
    proposal: &Proposal,
    subject: &Subject,
    counters: &Counters,
    now: Instant,
) -> Verdict {
    let plugin = PluginName::parse("fraud").unwrap();
    let advice =
        Advice { plugin: &plugin, publisher: "portreeve", digest: Digest::of(b"component"), score_bp: 9000, proposal };
    authority.decide(&advice, subject, counters, now)
}
