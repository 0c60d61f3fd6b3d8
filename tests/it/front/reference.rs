//! Reference tables of a host that runs: whole or not at all, on record, and what the next
//! decision looks things up in.

use std::path::Path;
use std::sync::Arc;

use hyper::Method;
use portreeve::client::Answer;
use portreeve::host::Locations;
use portreeve_record::LeafBody;
use portreeve_store::Store;
use portreeve_store::contract::OrderState;
use tokio::task::JoinSet;

use super::commands::{json as told, refused, run, stopped, text};
use super::door::{bearer, json, problem};
use crate::support::{EDI_TOKEN, FrontDoor, PurchaseOrder, Setup, TestHost, x12};

async fn load(door: &FrontDoor, table: &str, text: &[u8]) -> Answer {
    let token = door.ops().await;
    let headers = [("authorization", token.as_str()), ("content-type", "text/csv")];
    door.send(Method::POST, &format!("/v1/reference/{table}"), &headers, text).await
}

/// The items, of which one has another list price.
fn with_another_price(host: &TestHost) -> String {
    let items = std::fs::read_to_string(host.folder().join("config/reference/item.csv")).unwrap();
    let before = "FST-1007,Hex bolt M8x40 zinc,BX,USD,18.40,";
    assert!(items.contains(before), "{items}");
    items.replace(before, "FST-1007,Hex bolt M8x40 zinc,BX,USD,28.40,")
}

async fn state_of(host: &TestHost, control: u32, number: &str) -> OrderState {
    host.send_edi(&x12(control, &PurchaseOrder::clean(number))).await.unwrap();
    host.decide_all().await;
    host.order(number).await.state
}

/// The versions of a table that the log tells, in its order.
async fn versions_on_record(host: &TestHost, table: &str) -> Vec<u64> {
    let leaves = host.leaves().await.into_iter();
    let versions = leaves.filter_map(|leaf| match leaf.body {
        LeafBody::Reference(loaded) if loaded.table.as_str() == table => Some(loaded.version),
        _ => None,
    });
    versions.collect()
}

#[tokio::test]
async fn the_next_decision_looks_things_up_in_what_was_loaded_meanwhile() {
    let host = Setup::demo().scorers(&[]).start().await;
    let door = host.front_door().await;
    assert_eq!(state_of(&host, 1, "PO-1").await, OrderState::Released);

    let other = with_another_price(&host);
    let loaded = load(&door, "item", other.as_bytes()).await;
    assert_eq!(loaded.status, 200, "{}", json(&loaded));
    let rows = u64::try_from(other.lines().count() - 1).unwrap();
    let expected = |changed: bool| serde_json::json!({"table": "item", "version": 2, "rows": rows, "changed": changed});
    assert_eq!(json(&loaded), expected(true));
    assert_eq!(json(&load(&door, "item", other.as_bytes()).await), expected(false));
    assert_eq!(versions_on_record(&host, "item").await, [1, 2], "what changes nothing leaves nothing");

    assert_eq!(state_of(&host, 2, "PO-2").await, OrderState::Held);
    let why = host.order("PO-2").await.why;
    assert!(why.contains("28.40"), "{why}");
    door.close().await;
    host.verify().await.unwrap();
}

#[tokio::test]
async fn a_text_that_is_wrong_somewhere_is_refused_with_its_place_and_the_table_stays() {
    let host = Setup::demo().scorers(&[]).start().await;
    let door = host.front_door().await;
    let before = host.store.reference("item").await.unwrap();
    let wrong_cell = with_another_price(&host).replace("28.40", "cheap");
    for (table, body, expected) in [
        ("item", wrong_cell.as_str(), "line 2, column `list-price`"),
        ("item", "", "the file is empty; expected `key`"),
        ("item", "key;list-price:number\nx;1,5\n", "separated by semicolons, expected commas"),
        ("item", "sku,a:text\n", "expected `key`"),
        ("item", "key,a:text\nx,1\n\nx,2\n", "line 4 repeats the key `x`"),
        ("item", "key,a:text\nx,1,2\n", "line 2 has 3 cell(s), expected 2"),
        ("Item", "key,a:text\n", "`Item` is not a name; use 1 to 64 lower-case letters"),
        ("item%2F2", "key,a:text\n", "`item/2` is not a name"),
    ] {
        let refused = problem(&load(&door, table, body.as_bytes()).await, 400, "reference-table");
        assert!(refused["detail"].as_str().unwrap().contains(expected), "expected `{expected}`: {refused}");
    }
    let no_text = problem(&load(&door, "item", b"key,a:text\nx,\xff\n").await, 400, "bad-request");
    assert!(no_text["detail"].as_str().unwrap().contains("UTF-8"), "{no_text}");
    for token in ["", EDI_TOKEN] {
        let token = bearer(token);
        let answer = door.send(Method::POST, "/v1/reference/item", &[("authorization", &token)], b"key\n").await;
        problem(&answer, 401, "unauthorized");
    }
    assert_eq!(host.store.reference("item").await.unwrap(), before);
    assert_eq!(versions_on_record(&host, "item").await, [1]);
    assert_eq!(state_of(&host, 1, "PO-1").await, OrderState::Released);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_nobody_reads_is_taken_with_a_word_about_the_name_that_was_meant() {
    let folder = stopped(&Setup::demo(), "http://127.0.0.1:9").await;
    let (data, config) = (text(folder.path()), folder.path().join("config"));
    let file = config.join("reference/kredit.csv");
    std::fs::copy(config.join("reference/credit.csv"), &file).unwrap();
    let load = ["reference", "load", text(&file), "--data-dir", data];
    let loaded = told(&load).await.remove(0);
    let nobody_reads = |warning: &serde_json::Value| {
        let warning = warning.as_str().unwrap();
        warning.contains("reads a table `kredit` (read are `credit`, ") && warning.ends_with("; did you mean `credit`?")
    };
    assert_eq!((&loaded["table"], &loaded["version"]), (&"kredit".into(), &1.into()), "it is loaded all the same");
    assert!(nobody_reads(&loaded["warning"]), "{loaded}");
    let init = told(&["init", "--config", text(&config), "--data-dir", data]).await.remove(0);
    assert!(nobody_reads(&init["warnings"][0]), "{init}");

    // A plugin that is granted the table reads it.
    let main = config.join("portreeve.toml");
    let granted =
        std::fs::read_to_string(&main).unwrap().replacen("lookup = [\"item\"", "lookup = [\"kredit\", \"item\"", 1);
    std::fs::write(&main, granted).unwrap();
    let init = told(&["init", "--config", text(&config), "--data-dir", data]).await.remove(0);
    assert!(!init["warnings"].to_string().contains("kredit"), "{init}");
    assert!(told(&load).await[0]["warning"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_loads_at_once_is_a_version_of_its_own_on_record() {
    let host = TestHost::demo().await;
    let front = host.host.front();
    let mut loads = JoinSet::new();
    for rows in 1..=16 {
        let rows: String = (1..=rows).map(|row| format!("A-{row},DC\n")).collect();
        let tables = Arc::clone(&front.tables);
        loads
            .spawn(async move { tables.load("spare", format!("key,node:text\n{rows}"), "ops").await.unwrap().version });
    }
    let mut versions = loads.join_all().await;
    versions.sort_unstable();
    let expected: Vec<u64> = (1..=16).collect();
    assert_eq!(versions, expected);
    assert_eq!(versions_on_record(&host, "spare").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_loaded_into_a_running_host_with_the_same_lines() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let (file, token) = (host.folder().join("stock.csv"), host.ops_key_file().await);
    std::fs::write(&file, "key,node:text\nA-1,DC\n").unwrap();
    let server = format!("http://{}", door.address());
    let running = ["--server", &server, "--token-file", text(&token)];
    let load = [&["reference", "load", text(&file)], &running[..]].concat();
    assert_eq!(run(&load).await.unwrap(), "table `stock` is now version 2 with 1 rows\n");
    let again = told(&load).await;
    assert_eq!((&again[0]["version"], &again[0]["changed"]), (&2.into(), &false.into()));
    let spare = told(&[&load[..], &["--table", "spare"]].concat()).await;
    assert_eq!((&spare[0]["table"], &spare[0]["version"]), (&"spare".into(), &1.into()));
    assert!(again[0]["warning"].is_null(), "the scorers and rules read `stock`: {}", again[0]);
    let warning = spare[0]["warning"].as_str().unwrap();
    assert!(
        warning.contains("no rule and no plugin reads a table `spare`") && warning.contains("`stock`"),
        "{warning}"
    );

    std::fs::write(&file, "key,lead-days:whole\nA-1,soon\n").unwrap();
    let wrong = ["stock.csv` was not loaded", "the server answered 400", "line 2, column `lead-days`", "`soon`"];
    refused(&load, &wrong).await;
    refused(&[&load[..], &["--table", "Spare parts"]].concat(), &["`Spare parts` is not a name"]).await;
    std::fs::File::create(&file).unwrap().set_len(64 * 1024 * 1024 + 1).unwrap();
    refused(&load, &["it has 67108865 bytes; expected at most 67108864"]).await;
    std::fs::write(&token, "another").unwrap();
    std::fs::write(&file, "key,node:text\n").unwrap();
    refused(&load, &["the server answered 401", "no session and no key"]).await;
    assert_eq!(host.store.reference("stock").await.unwrap().unwrap().0, 2);
    door.close().await;
}

/// The version and number of rows of a table in a stopped host's folder.
async fn stored(folder: &Path, table: &str) -> (u64, usize) {
    let store = Locations::below(folder, folder).store_to_read().unwrap();
    let (version, rows) = store.reference(table).await.unwrap().unwrap();
    (version, rows.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_loaded_since_stays_when_the_folder_becomes_active_again() {
    let folder = stopped(&Setup::demo(), "http://127.0.0.1:9").await;
    let (data, config) = (text(folder.path()), folder.path().join("config"));
    let init = ["init", "--config", text(&config), "--data-dir", data];
    let warnings = async || told(&init).await.remove(0)["warnings"].as_array().unwrap().clone();
    let load = async |file: &Path, table: &str| {
        run(&["reference", "load", text(file), "--table", table, "--data-dir", data]).await.unwrap()
    };
    let newer = folder.path().join("newer.csv");
    std::fs::write(&newer, "key,available:whole\nFST-1007,7\n").unwrap();
    load(&newer, "stock").await;

    // Somebody changes a port, and nothing about tables.
    let main = config.join("portreeve.toml");
    let with_port = std::fs::read_to_string(&main).unwrap().replace("8080", "8081");
    std::fs::write(&main, with_port).unwrap();
    let [stays] = &warnings().await[..] else { panic!("one table stays") };
    let file = config.join("reference/stock.csv");
    let by_hand = format!("`portreeve reference load {} --data-dir {data}`", file.display());
    let stays = stays.as_str().unwrap();
    assert!(stays.contains("table `stock` stays at version 2") && stays.contains(&by_hand), "{stays}");
    assert_eq!(stored(folder.path(), "stock").await, (2, 1));
    assert!(run(&init).await.unwrap().contains(&format!("warning: {stays}")), "and each time");

    // A file that somebody changed is what they want.
    let rows = std::fs::read_to_string(&file).unwrap() + "NEW-1,DC-COLUMBUS,7,2,US,0\n";
    std::fs::write(&file, &rows).unwrap();
    let replaced = warnings().await.remove(0);
    assert!(replaced.as_str().unwrap().contains("table `stock` was version 2"), "{replaced}");
    assert_eq!(stored(folder.path(), "stock").await, (3, rows.lines().count() - 1));
    assert_eq!(warnings().await, [] as [serde_json::Value; 0], "what the folder brought is the folder's");

    // Nobody knows which is newer: the file that is new in the folder, or what was loaded.
    load(&newer, "spare").await;
    std::fs::write(config.join("reference/spare.csv"), "key,node:text\nA-1,DC\nA-2,DC\n").unwrap();
    let [nobody_reads, stays] = &warnings().await[..] else { panic!("nobody reads it, too") };
    assert!(nobody_reads.as_str().unwrap().contains("reads a table `spare`"), "{nobody_reads}");
    assert!(stays.as_str().unwrap().contains("table `spare` stays at version 1"), "{stays}");
    load(&config.join("reference/spare.csv"), "spare").await;
    assert_eq!(stored(folder.path(), "spare").await, (2, 2));
    assert_eq!(warnings().await.len(), 1);
    assert_eq!(told(&["audit", "verify", "--data-dir", data]).await[0]["verified"], true);
}
