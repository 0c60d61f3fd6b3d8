//! What holds for every input at the JSON edge of the shop and for every manifest,
//! tried with some thousand of them from a seed; count and seed are printed. With a
//! slip planted in what is tried, each of them fails.

use std::cell::Cell;

use portreeve_model::{Failure, Received};
use proptest::prelude::*;
use proptest::test_runner::TestError;
use serde_json::value::RawValue;
use tokio::runtime::Handle;

use crate::at_the_plugin::Plugins;
use crate::drawn::{held, tried, wounded};
use crate::support::{sample, tree};

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
        "\"\\u0007\"",
        "\"\u{7F}\"",
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

/// Where a JSON reader stops, if the bytes are none.
fn broken_at(input: &[u8]) -> Option<usize> {
    let bom = if input.starts_with("\u{FEFF}".as_bytes()) { 3 } else { 0 };
    let text = &input[bom..];
    let error = serde_json::from_slice::<&RawValue>(text).err()?;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let before: usize = lines.iter().take(error.line() - 1).map(|line| line.len()).sum();
    Some(bom + before + error.column().saturating_sub(1))
}

/// Tries the shop's connector, with whatever a slip makes of its answers.
async fn try_the_shop(name: &str, slip: fn(&mut Received)) -> Result<(), TestError<Vec<u8>>> {
    let plugins = Plugins::demo().await;
    let runtime = Handle::current();
    let property = |input: Vec<u8>| {
        let mut received = runtime.block_on(plugins.receive("adobe-commerce", &input, &[]));
        slip(&mut received);
        prop_assert_eq!(received.reply.status, 200);
        let operations: Vec<serde_json::Value> = serde_json::from_slice(&received.reply.body).unwrap();
        let expected =
            if received.documents.is_empty() && !received.problems.is_empty() { "exception" } else { "success" };
        prop_assert_eq!(operations[0]["op"].as_str(), Some(expected));
        for problem in &received.problems {
            let offset = problem.position.offset_bytes.unwrap_or_default();
            let offset = usize::try_from(offset).unwrap();
            prop_assert!(offset <= input.len(), "{problem:?}");
            if let ("malformed-json", Some(broken)) = (problem.code.as_str(), broken_at(&input)) {
                prop_assert_eq!(offset, broken.min(input.len()), "{:?}", problem);
            }
        }
        for document in &received.documents {
            let start = usize::try_from(document.position.offset_bytes.unwrap()).unwrap();
            // Of a cancelled order only the wish goes on.
            if !document.key.ends_with("/canceled") {
                prop_assert_eq!(input.get(start..start + document.body.len()), Some(&document.body[..]));
            }
            let mapped = runtime.block_on(plugins.map("adobe-orders", document, &[("unit", "EA")]));
            prop_assert!(matches!(mapped, Ok(_) | Err(Failure::Invalid(_))), "{mapped:?}");
        }
        Ok(())
    };
    tokio::task::block_in_place(|| tried(name, 1_500, &shop_inputs(), property))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_input_of_the_shop_gets_its_operation_and_every_problem_its_place() {
    held(try_the_shop("the shop's JSON", |_| {}).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_slip_in_a_place_of_the_shop_is_found() {
    // One byte too early.
    let slip = |received: &mut Received| {
        for problem in &mut received.problems {
            problem.position.offset_bytes = problem.position.offset_bytes.and_then(|offset| offset.checked_sub(1));
        }
    };
    let found = try_the_shop("the shop's JSON, planted slip", slip).await;
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
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

/// Tries manifests with whoever says what the author's tool takes; says how many it took.
fn try_manifests(name: &str, by_tool: fn(&[u8]) -> bool) -> (u32, Result<(), TestError<Vec<u8>>>) {
    let accepted = Cell::new(0);
    let result = tried(name, 4_000, &manifests(), |bytes| {
        let by_host = std::str::from_utf8(&bytes).ok().map(portreeve_registry::Manifest::parse);
        if by_tool(&bytes) {
            accepted.set(accepted.get() + 1);
            prop_assert!(matches!(by_host, Some(Ok(_))), "{by_host:?}");
        }
        if let Some(Err(error)) = by_host {
            let error = error.to_string();
            prop_assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
        Ok(())
    });
    (accepted.get(), result)
}

#[test]
fn what_the_authors_tool_takes_as_a_manifest_the_host_takes_too() {
    let (accepted, result) = try_manifests("manifests", |bytes| portreeve_build::Manifest::parse(bytes).is_ok());
    held(result);
    assert!(accepted > 20, "{accepted} were right, too few to say anything");
}

#[test]
fn a_planted_slip_in_a_reader_of_manifests_is_found() {
    // Whatever is no text is replaced, and the rest is read.
    let lenient = |bytes: &[u8]| portreeve_build::Manifest::parse(String::from_utf8_lossy(bytes).as_bytes()).is_ok();
    let (_, found) = try_manifests("manifests, planted slip", lenient);
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}
