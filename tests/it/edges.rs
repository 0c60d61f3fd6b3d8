//! What holds for every input at the JSON edge of the shop and for every manifest,
//! tried with some thousand of them from a fixed seed; the count is printed.

use std::cell::Cell;

use portreeve_model::Failure;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use tokio::runtime::Handle;

use crate::at_the_plugin::Plugins;
use crate::support::{sample, say, tree};

/// Runs a property and says how many inputs it saw.
fn tried<S: Strategy>(name: &str, cases: u32, inputs: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let seen = Cell::new(0_u32);
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let result = runner.run(inputs, |input| {
        seen.set(seen.get() + 1);
        property(input)
    });
    say(&format!("{name}: {} inputs", seen.get()));
    result.unwrap();
}

/// A text with a few bytes put in, cut or changed.
fn wounded(text: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let wound = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..12);
    prop::collection::vec(wound, 1..6).prop_map(move |wounds| {
        let mut bytes = text.clone();
        for (at, byte, act) in wounds {
            let at = at.index(bytes.len().max(1));
            match act {
                0 => bytes.truncate(at),
                1..5 => bytes.insert(at, byte),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    })
}

/// Garbage, pieces of orders in any order, deep nesting, huge numbers, other
/// encodings, keys twice, and right orders with wounds.
fn shop_inputs() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "true",
        "\"\"",
        "\"increment_id\"",
        "\"order\"",
        "\"items\"",
        "\"event\"",
        "\"data\"",
        "\"value\"",
        "\"store_id\"",
        "\"order_id\"",
        "\"order_currency_code\"",
        "\"USD\"",
        "\"sku\"",
        "\"qty_ordered\"",
        "\"price\"",
        "1",
        "-0",
        "1e999999999",
        "99999999999999999999999999999999",
        "0.1234567890123",
        "\"\\ud800\"",
        "\u{FEFF}",
        "{\"increment_id\":\"7\",",
        "{\"items\":[",
        " ",
        "\n",
    ];
    let order = sample("adobe-commerce", "0001");
    let wide: Vec<u8> = order.iter().flat_map(|byte| [*byte, 0]).collect();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat().into_bytes()),
        (prop::sample::select(vec!["[", "{\"order\":", "{\"items\":[", "{\"event\":{\"data\":"]), 1_usize..3_000)
            .prop_map(|(opening, depth)| opening.repeat(depth).into_bytes()),
        Just(wide),
        wounded(order),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_input_of_the_shop_gets_its_operation_and_every_problem_its_place() {
    let plugins = Plugins::demo().await;
    let runtime = Handle::current();
    let property = |input: Vec<u8>| {
        let received = runtime.block_on(plugins.receive("adobe-commerce", &input, &[]));
        prop_assert_eq!(received.reply.status, 200);
        let operations: Vec<serde_json::Value> = serde_json::from_slice(&received.reply.body).unwrap();
        let expected =
            if received.documents.is_empty() && !received.problems.is_empty() { "exception" } else { "success" };
        prop_assert_eq!(operations[0]["op"].as_str(), Some(expected));
        for problem in &received.problems {
            let offset = problem.position.offset_bytes.unwrap_or_default();
            prop_assert!(usize::try_from(offset).unwrap() <= input.len(), "{problem:?}");
        }
        for document in &received.documents {
            let start = usize::try_from(document.position.offset_bytes.unwrap()).unwrap();
            prop_assert_eq!(input.get(start..start + document.body.len()), Some(&document.body[..]));
            let mapped = runtime.block_on(plugins.map("adobe-orders", document, &[]));
            prop_assert!(matches!(mapped, Ok(_) | Err(Failure::Invalid(_))), "{mapped:?}");
        }
        Ok(())
    };
    tokio::task::block_in_place(|| tried("the shop's JSON", 1_500, &shop_inputs(), property));
}

/// Manifests of the project with wounds, and lines of manifests in any order.
fn manifests() -> impl Strategy<Value = Vec<u8>> {
    let ours: Vec<Vec<u8>> =
        tree().plugins().unwrap().iter().map(|folder| std::fs::read(folder.join("plugin.toml")).unwrap()).collect();
    let mut lines: Vec<String> = ours
        .iter()
        .flat_map(|manifest| std::str::from_utf8(manifest).unwrap().lines())
        .map(|line| format!("{line}\n"))
        .collect();
    let odd =
        ["wall_ms = 0", "wall_ms = -1", "wall_ms = 99999999999999999999", "http = [\"TRACE\"]", "lookup = [\"\"]"];
    let odder = ["contract = \"portreeve:plugin@9.9.9\"", "[imports]", "kind = \"scorer\"", "unknown = 1", "[[[["];
    lines.extend(odd.iter().chain(&odder).map(|line| format!("{line}\n")));
    lines.sort();
    lines.dedup();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(prop::sample::select(lines), 0..25).prop_map(|lines| lines.concat().into_bytes()),
        prop::sample::select(ours).prop_flat_map(wounded),
    ]
}

#[test]
fn what_the_authors_tool_takes_as_a_manifest_the_host_takes_too() {
    let accepted = Cell::new(0);
    tried("manifests", 4_000, &manifests(), |bytes| {
        let by_tool = portreeve_build::Manifest::parse(&bytes);
        let by_host = std::str::from_utf8(&bytes).ok().map(portreeve_registry::Manifest::parse);
        if by_tool.is_ok() {
            accepted.set(accepted.get() + 1);
            prop_assert!(matches!(by_host, Some(Ok(_))), "{by_host:?}");
        }
        if let Some(Err(error)) = by_host {
            let error = error.to_string();
            prop_assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
        Ok(())
    });
    assert!(accepted.get() > 20, "{} were right, too few to say anything", accepted.get());
}
