//! Invariant 2: unrepresentable before forbidden. What a scorer returns has no word
//! for releasing, cancelling, allocating, pricing or prioritising an order, policies
//! have no such action, and a wish in free text has no effect.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_store::contract::OrderState;

use crate::support::{PurchaseOrder, Setup, tree};

/// Beginnings of words that only the host may act on.
const HOST_ONLY: &[&str] = &["releas", "cancel", "allocat", "repric", "priorit"];

/// More than the vocabulary has, for the plugin that wishes.
const GENEROUS_GRANT: &str = r#"
[[grant]]
id = "everything-there-is"
plugin = "obeys-the-sender"
owner = "tests@distributor.example"
expires = 2027-12-31
may = ["route", "recommend"]
currency = "USD"
route_value_max_minor = 10000000
route_minutes_max = 60
routes_per_hour_max = 1000
queues = ["order-desk"]
recommend = ["review"]
customer_classes = []
channels = []
beyond = "refuse"
"#;

#[test]
fn invariant_2_unrepresentable_before_forbidden_a_scorers_answer_has_no_word_for_it() {
    let types = wit("types.wit");
    let answer = words_of_the_answer(&types);
    assert!(answer.contains("proposals") && answer.contains("minutes") && answer.contains("suitability"), "{answer:?}");
    assert_eq!(forbidden(&answer), BTreeSet::new());

    for (before, after) in [
        ("route(string),", "route(string), release(u32),"),
        ("score-bp: u16,", "score-bp: u16, set-priority: u8,"),
        ("alternate-ship-node(", "re-allocate-to("),
        ("splits: u8,", "splits: u8, repriced: bool,"),
    ] {
        assert!(types.contains(before), "{before}");
        assert!(!forbidden(&words_of_the_answer(&types.replace(before, after))).is_empty(), "{after}");
    }
}

#[test]
fn invariant_2_unrepresentable_before_forbidden_a_scorer_can_call_nothing_that_acts() {
    let worlds = wit("worlds.wit");
    let scorer = worlds.split("world scorer {").nth(1).unwrap();
    let imports: Vec<&str> = scorer.lines().filter_map(|line| line.trim().strip_prefix("import ")).collect();
    assert_eq!(imports, ["log;", "lookup;", "artifact;"]);
    let exports = scorer.lines().filter(|line| line.trim().starts_with("export ")).count();
    assert_eq!(exports, 1);
}

#[test]
fn invariant_2_unrepresentable_before_forbidden_policies_have_three_actions() {
    let path = tree().root().join("host/authority/src/policy.cedarschema");
    let schema = std::fs::read_to_string(path).unwrap();
    let declared = schema.lines().filter_map(|line| line.trim().strip_prefix("action "));
    let actions: BTreeSet<&str> = declared.flat_map(|rest| rest.split('"').skip(1).step_by(2)).collect();
    assert_eq!(actions, BTreeSet::from(["hold", "route", "recommend"]));
}

#[tokio::test]
async fn invariant_2_unrepresentable_before_forbidden_configuration_cannot_name_it() {
    for action in ["release", "cancel", "allocate", "reprice", "prioritise"] {
        let policy = format!(
            "\n@id(\"wish\") permit (principal == Plugin::\"fraud\", action == Action::\"{action}\", resource);\n"
        );
        let refused = Setup::demo().append("policies.cedar", &policy).try_start().await.err().unwrap().to_string();
        assert!(refused.contains("policies.cedar") && refused.contains(action), "{refused}");

        let may = format!("may = [\"{action}\", \"hold\", \"route\", \"recommend\"]");
        let setup = Setup::demo().replace("grants.toml", "may = [\"hold\", \"route\", \"recommend\"]", &may);
        let refused = setup.try_start().await.err().unwrap().to_string();
        assert!(refused.contains("grants.toml") && refused.contains(action), "{refused}");
    }
}

#[tokio::test]
async fn invariant_2_unrepresentable_before_forbidden_a_wish_in_free_text_has_no_effect() {
    let host = Setup::demo()
        .scorers(&["obeys-the-sender", "fraud", "margin", "fulfilment"])
        .plugin("obeys-the-sender", "{}")
        .append("grants.toml", GENEROUS_GRANT)
        .append(
            "policies.cedar",
            "\n@id(\"generous\") permit (principal == Plugin::\"obeys-the-sender\", action, resource);\n",
        )
        .start()
        .await;
    // C-1290 is blocked: the host holds its orders, whatever is wished.
    let wish = PurchaseOrder::clean("WISH-1").of_customer("C1290");
    let plain = PurchaseOrder::clean("PLAIN-1").of_customer("C1290");
    let orders =
        host.decide_orders(&[wish, plain, PurchaseOrder::clean("WISH-2"), PurchaseOrder::clean("ROUTE-3")]).await;
    let states: Vec<_> = orders.iter().map(|order| order.state).collect();
    assert_eq!(states, [OrderState::Held, OrderState::Held, OrderState::Released, OrderState::Routed]);
    assert_eq!(orders[0].why, orders[1].why);

    let wished = host.decision(&orders[0]).await;
    let verdicts: Vec<_> =
        wished.verdicts.iter().filter(|verdict| verdict.plugin.as_str() == "obeys-the-sender").collect();
    assert_eq!(verdicts.len(), 5, "every wish is on record");
    for verdict in verdicts {
        assert_eq!((verdict.proposed.as_deref(), verdict.outcome.as_str()), (None, "refused"), "{}", verdict.summary);
    }
    host.deliver_all().await;
    let booked = host.erp.sales_orders();
    assert_eq!(booked.len(), 1, "only the order without a hold left: {booked:?}");
}

fn wit(file: &str) -> String {
    let text = std::fs::read_to_string(tree().root().join("wit").join(file)).unwrap();
    // Prose may use any word; what counts is what a component can be built with.
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// All words in the type `assessment` and the types that it is made of: names of
/// types, cases and fields.
fn words_of_the_answer(types: &str) -> BTreeSet<String> {
    let definitions = definitions(types);
    let mut reached = BTreeSet::new();
    let mut words = BTreeSet::new();
    let mut open = vec!["assessment".to_owned()];
    while let Some(name) = open.pop() {
        if reached.insert(name.clone()) {
            let body = definitions.get(&name).map_or("", String::as_str);
            words.extend(std::iter::once(name).chain(identifiers(body)));
            // What follows a colon or stands in brackets is a type; the rest are names.
            open.extend(body.split(',').flat_map(|part| part.split([':', '(']).skip(1)).flat_map(identifiers));
        }
    }
    // Compounds as they are and in parts: `re-allocate-to` hides `allocate`.
    words.iter().flat_map(|word| word.split('-').map(str::to_owned).chain([word.replace('-', "")])).collect()
}

/// Name of each type to its body.
fn definitions(types: &str) -> BTreeMap<String, String> {
    let mut definitions = BTreeMap::new();
    for keyword in ["record ", "variant ", "enum ", "flags "] {
        for part in types.split(keyword).skip(1) {
            let Some((name, rest)) = part.split_once('{') else { continue };
            definitions.insert(name.trim().to_owned(), rest.split('}').next().unwrap_or_default().to_owned());
        }
    }
    definitions
}

fn identifiers(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| !word.is_empty()).map(str::to_owned)
}

fn forbidden(words: &BTreeSet<String>) -> BTreeSet<String> {
    words.iter().filter(|word| HOST_ONLY.iter().any(|start| word.starts_with(start))).cloned().collect()
}
