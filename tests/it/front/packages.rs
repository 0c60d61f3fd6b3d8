//! Packages on the command line: what an author does with a key and a component, and what
//! an operator does to a host that runs.

use std::path::{Path, PathBuf};

use portreeve_api::package::{Act, Lifecycle};
use portreeve_model::Digest;

use super::commands::{json, refused, run, text};
use crate::packages::{changed, of_version};
use crate::support::{PurchaseOrder, TestHost, component, publisher, sign, trust_in, x12};

/// A component in a folder of its own, with what the test changes.
fn put(folder: &Path, name: &str, bytes: &[u8], signature: Option<&str>) -> PathBuf {
    let path = folder.join(format!("{name}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    if let Some(signature) = signature {
        std::fs::write(folder.join(format!("{name}.wasm.sig")), signature).unwrap();
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_makes_a_key_signs_and_another_one_countersigns() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let margin = put(folder.path(), "margin", &std::fs::read(component("margin")).unwrap(), None);
    let (key, review) = (file("ours.key"), file("review.key"));
    let printed = run(&["plugin", "keygen", "--name", "portreeve", "--key", &key]).await.unwrap();
    assert!(printed.starts_with("portreeve+") && !printed.contains("PRIVATE"), "{printed}");
    let kept = std::fs::read_to_string(&key).unwrap();
    // Name, hash and key; the key has plus signs of its own.
    let public = printed.trim().splitn(3, '+').nth(2).unwrap();
    assert!(kept.starts_with("PRIVATE+KEY+portreeve+") && !kept.contains(public));
    refused(&["plugin", "keygen", "--name", "portreeve", "--key", &key], &["is there already"]).await;
    refused(&["plugin", "keygen", "--name", "a b", "--key", &file("x")], &["cannot be the name of a key"]).await;

    let other =
        json(&["plugin", "keygen", "--name", "review", "--key", &review]).await[0]["key"].as_str().unwrap().to_owned();
    run(&["plugin", "sign", "--key", &key, text(&margin)]).await.unwrap();
    let signed = json(&["plugin", "sign", "--key", &review, text(&margin)]).await;
    assert_eq!(signed[0]["signers"].as_array().unwrap().len(), 2, "{signed:?}");
    let trust = file("trust.toml");
    let policy = format!(
        "[[publisher]]\nname = \"portreeve\"\nplugins = [\"margin\"]\nkinds = [\"scorer\"]\nimports = [\"lookup\"]\nsignatures_min = 2\n[[publisher.key]]\nkey = \"{}\"\n[[publisher]]\nname = \"review\"\ncountersigns = [\"*\"]\n[[publisher.key]]\nkey = \"{other}\"\n",
        printed.trim()
    );
    std::fs::write(&trust, &policy).unwrap();
    let verified = json(&["plugin", "verify", text(&margin), "--trust", &trust]).await;
    assert_eq!((&verified[0]["plugin"], verified[0]["signers"].as_array().unwrap().len()), (&"margin".into(), 2));
    std::fs::write(&trust, policy.replace("signatures_min = 2", "signatures_min = 2\nwish = 1")).unwrap();
    refused(&["plugin", "verify", text(&margin), "--trust", &trust], &["trust.toml:", "`publisher[0].wish`"]).await;

    // Another version is not signed by what lies beside it, nor by a key that others can read.
    put(folder.path(), "margin", &of_version("margin", "0.2.0"), None);
    let sign_again = ["plugin", "sign", "--key", &key, text(&margin)];
    refused(&sign_again, &["is the signature of margin 0.1.0", "is margin 0.2.0", "remove the file"]).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        refused(&sign_again, &["can be read by others (mode 640)"]).await;
    }
    let inspected = run(&["plugin", "inspect", text(&component("margin"))]).await.unwrap();
    assert!(inspected.contains("signed   by nobody"), "{inspected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_a_partner_everything_that_is_wrong_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let trust = folder.path().join("trust.toml");
    std::fs::write(
        &trust,
        trust_in("portreeve").replace("\"scorer\"", "\"transformer\"").replacen("[\"*\"]", "[\"fraud\"]", 1),
    )
    .unwrap();
    let margin = std::fs::read(component("margin")).unwrap();
    let good = put(folder.path(), "margin", &margin, Some(&sign(&margin)));
    let checked = json(&["plugin", "check", text(&good), "--grant", "lookup = [\"item\"]"]).await;
    assert_eq!((&checked[0]["plugin"], &checked[0]["loads"]), (&"margin".into(), &true.into()));
    // Without a policy no key was compared with the signature, and nothing else is said.
    assert_eq!((&checked[0]["trusted"], &checked[0]["claimed"][0]), (&false.into(), &portreeve_key().into()));
    let said = run(&["plugin", "check", text(&good), "--grant", "lookup = [\"item\"]"]).await.unwrap();
    assert!(said.contains(&format!("its signature says {}, which nobody checked", portreeve_key())), "{said}");
    let ours = folder.path().join("ours.toml");
    std::fs::write(&ours, trust_in("portreeve")).unwrap();
    let said = run(&["plugin", "check", text(&good), "--grant", "lookup = [\"item\"]", "--trust", text(&ours)]).await;
    assert!(said.unwrap().ends_with("it is trusted\n"));

    // A scorer that calls itself a connector, and asks for less than it imports.
    let odd =
        changed("margin", &[("kind = \"scorer\"", "kind = \"connector\""), ("lookup = [\"item\"]", "log = true")]);
    let odd = put(folder.path(), "odd", &odd, None);
    let parts = [
        "trust: it is not signed",
        // Nor does that hide what else the policy says to it.
        "trust: `portreeve` ships it as plugin `margin`",
        "grant: plugin `margin` asks for `log`",
        "imports `portreeve:plugin/lookup@0.1.0`, which it may not use",
        "does not export `receive`",
        "export receive: func(inputs: list<inbound>) -> list<result<received, failure>>",
        "does not export `deliver`",
        "export check: func(requests: list<check-request>)",
    ];
    refused(&["plugin", "check", text(&odd), "--trust", text(&trust)], &parts).await;
    // All of a manifest, of a policy, and of a grant.
    let wrong = changed(
        "margin",
        &[
            ("version = \"0.1.0\"", "version = \"latest\"\nhomepage = \"here\""),
            ("publisher = \"portreeve\"", "publisher = 7"),
            ("lookup = [\"item\"]", "lookup = [\"Item\"]\nhttp = [\"GET\"]\n[limits]\nfuel = 0\ncpu_ms = 5"),
        ],
    );
    let wrong = put(folder.path(), "wrong", &wrong, Some("no signature\n"));
    let parts = [
        "`plugin.homepage` wrong",
        "`plugin.publisher` wrong",
        "`plugin.version` as `latest`",
        "`imports.lookup` as `Item`",
        "is a scorer and its manifest has `imports.http`",
        "has `limits.cpu_ms`, which only a connector has",
        "`limits.fuel` as `0`",
        "signature: its signature file cannot be used",
    ];
    refused(&["plugin", "check", text(&wrong)], &parts).await;
    let signed = ["plugin", "check", text(&good), "--trust", text(&trust), "--grant", "log = true"];
    refused(&signed, &["as plugin `margin`", "as a `scorer`", "asks for `lookup` of `item`"]).await;
    // What a grant's limits cannot do is wrong with it, too.
    for (limits, expected) in [
        ("cpu_ms = 5", "grant: the grant of plugin `margin` has `limits.cpu_ms` for a scorer"),
        ("wall_ms = 5001", "grant: the grant of `margin` gives `wall_ms` = 5001 and the manifest asks for no more"),
    ] {
        let grant = format!("lookup = [\"item\"]\nlimits = {{ {limits} }}");
        refused(&["plugin", "check", text(&good), "--grant", &grant], &[expected]).await;
    }
    std::fs::write(&good, b"\0asm\x01\0\0\0").unwrap();
    refused(&["plugin", "check", text(&good)], &["component: this is a core module"]).await;
    refused(&["plugin", "check", "no.wasm"], &["`no.wasm` cannot be read"]).await;
    refused(&["plugin", "check", text(&good), "--grant", "wish = 1"], &["the grant cannot be understood"]).await;
}

/// What the key of the project's publisher calls itself.
fn portreeve_key() -> String {
    publisher("portreeve").verifier().name_and_hash()
}

/// The problems of a check, each with what it is about.
async fn problems(arguments: &[&str]) -> Vec<(String, String)> {
    let told = run(&[&["plugin", "check"], arguments, &["--json"]].concat()).await.unwrap_err();
    let line: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let of = |problem: &serde_json::Value, key: &str| problem[key].as_str().unwrap().to_owned();
    line["problems"].as_array().unwrap().iter().map(|one| (of(one, "about"), of(one, "sentence"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_problem_of_a_package_hides_another_and_none_is_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let trust = folder.path().join("trust.toml");
    let reviewed =
        trust_in("portreeve").replace("imports = [", "signatures_min = 2\nimports = [").replace("\"lookup\", ", "")
            + &trust_in("review").replace("plugins = [\"*\"]", "plugins = [\"a\"]\ncountersigns = [\"*\"]");
    std::fs::write(&trust, reviewed).unwrap();
    let bytes = std::fs::read(component("margin")).unwrap();
    // Each slip of a manifest alone, with the beginnings of what is told; the component itself
    // asks for the table `item` and is granted nothing.
    let unsigned = "trust: it is not signed";
    let too_few = "trust: 0 of 2 publishers signed it (nobody)";
    let not_import = "trust: `portreeve` ships it as a plugin with the import `lookup`";
    let not_granted = "grant: plugin `margin` asks for `lookup` of `item`";
    let unknown_kind = "manifest: it does not say what kind of plugin it is";
    for (from, to, expected) in [
        ("license", "license", vec![unsigned, not_import, too_few, not_granted]),
        (
            "version = \"0.1.0\"",
            "version = \"latest\"",
            vec!["manifest: its manifest has `plugin.version` as `latest`", unsigned, not_import, too_few, not_granted],
        ),
        (
            "lookup = [\"item\"]",
            "lookup = [\"Item\"]",
            vec!["manifest: its manifest has `imports.lookup` as `Item`", unsigned, too_few],
        ),
        // Of whom it is is what the policy goes by, so it is not asked.
        (
            "publisher = \"portreeve\"",
            "publisher = 7",
            vec!["manifest: its manifest has `plugin.publisher` wrong", "signature: it is not signed", not_granted],
        ),
        (
            "name = \"margin\"",
            "name = \"Margin\"",
            vec![
                "manifest: its manifest has `plugin.name` wrong",
                "signature: it is not signed",
                "grant: plugin `this-plugin` asks for `lookup` of `item`",
            ],
        ),
        (
            "kind = \"scorer\"",
            "kind = \"plugin\"",
            vec![
                "manifest: its manifest has `plugin.kind` wrong",
                "signature: it is not signed",
                not_granted,
                unknown_kind,
            ],
        ),
        (
            "lookup = [\"item\"]",
            "lookup = [\"item\"]\nkv = true\n[limits]\nmemory_bytes = 65536",
            vec![
                "manifest: it is a scorer and its manifest has `imports.kv`",
                unsigned,
                not_import,
                too_few,
                not_granted,
                "limits: it begins with",
            ],
        ),
        (
            "lookup = [\"item\"]",
            "lookup = [\"item\"]\n[limits]\nmemory_bytes = \"65536\"",
            vec!["manifest: its manifest has `limits.memory_bytes` wrong", unsigned, not_import, too_few, not_granted],
        ),
        (
            "[plugin]",
            "[plugin",
            vec!["manifest: its manifest cannot be understood: line ", "signature: it is not signed", unknown_kind],
        ),
    ] {
        let path = put(folder.path(), "wrong", &changed("margin", &[(from, to)]), None);
        let told = problems(&[text(&path), "--trust", text(&trust)]).await;
        let told: Vec<String> = told.iter().map(|(about, sentence)| format!("{about}: {sentence}")).collect();
        assert_eq!(told.len(), expected.len(), "`{to}`: {told:#?}");
        for (told, expected) in told.iter().zip(&expected) {
            assert!(told.starts_with(expected), "`{to}`: expected `{expected}` and found `{told}`");
        }
    }
    // A signature of something else is so whatever the manifest is, and one that is none hides nothing.
    let other = changed("margin", &[("version = \"0.1.0\"", "version = 7")]);
    let path = put(folder.path(), "wrong", &other, Some(&sign(&bytes)));
    let told = problems(&[text(&path)]).await;
    let about: Vec<&str> = told.iter().map(|(about, _)| about.as_str()).collect();
    assert_eq!(about, ["manifest", "signature", "grant"], "{told:?}");
    assert!(told[1].1.contains("is about digest"), "{told:?}");
    let path = put(folder.path(), "wrong", &bytes, Some("no signature\n"));
    let told = problems(&[text(&path), "--trust", text(&trust)]).await;
    let about: Vec<&str> = told.iter().map(|(about, _)| about.as_str()).collect();
    assert_eq!(about, ["signature", "trust", "trust", "grant"], "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_counts_what_a_component_begins_with_and_so_does_staging_it() {
    let folder = tempfile::tempdir().unwrap();
    let large = changed(
        "margin",
        &[("lookup = [\"item\"]", "lookup = [\"item\"]\n[limits]\nmemory_bytes = 65536\ninstances = 1")],
    );
    let path = put(folder.path(), "margin", &large, Some(&sign(&large)));
    let told = problems(&[text(&path), "--grant", "lookup = [\"item\"]"]).await;
    let told: Vec<String> = told.iter().map(|(about, sentence)| format!("{about}: {sentence}")).collect();
    assert!(
        told[0].starts_with("limits: it begins with ") && told[0].contains("its limit `memory_bytes` is 65536"),
        "{told:?}"
    );
    assert!(told.iter().all(|problem| problem.starts_with("limits: ")), "{told:?}");
    // A grant that takes away is told as well.
    let margin = std::fs::read(component("margin")).unwrap();
    let path = put(folder.path(), "margin", &margin, Some(&sign(&margin)));
    let granted = "lookup = [\"item\"]\nlimits = { table_elements = 0 }";
    let told = problems(&[text(&path), "--grant", granted]).await;
    assert!(told.len() == 1 && told[0].1.contains("its limit `table_elements` is 0"), "{told:?}");

    let host = TestHost::demo().await;
    let large = changed(
        "margin",
        &[
            ("version = \"0.1.0\"", "version = \"0.2.0\""),
            ("lookup = [\"item\"]", "lookup = [\"item\"]\n[limits]\nmemory_bytes = 65536"),
        ],
    );
    host.host.packages.install(&large, Some(&sign(&large)), "somebody").await.unwrap();
    let act = Act::Stage { component: Digest::of(&large), grant: None };
    let refused = host.host.packages.act(&crate::packages::name("margin"), act, "somebody").await.unwrap_err();
    assert!(refused.to_string().contains("plugin `margin` cannot run: it begins with"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_none_or_too_large_is_refused_in_one_sentence_by_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| text(&folder.path().join(name)).to_owned();
    let (odd, huge) = (file("odd"), file("huge"));
    std::fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    #[cfg(unix)]
    rustix::fs::mkfifoat(rustix::fs::CWD, &odd, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    #[cfg(not(unix))]
    std::fs::create_dir(&odd).unwrap();
    let margin = std::fs::read(component("margin")).unwrap();
    let good = put(folder.path(), "margin", &margin, Some(&sign(&margin)));
    let good = text(&good);
    let key = file("key");
    run(&["plugin", "keygen", "--name", "portreeve", "--key", &key]).await.unwrap();
    let trust = file("trust.toml");
    std::fs::write(&trust, trust_in("portreeve")).unwrap();
    let at = ["--server", "http://127.0.0.1:9", "--token-file"];
    for wrong in [odd.as_str(), &huge] {
        for arguments in [
            vec!["plugin", "check", wrong],
            vec!["plugin", "check", good, "--trust", wrong],
            vec!["plugin", "verify", wrong, "--trust", &trust],
            vec!["plugin", "verify", good, "--trust", wrong],
            vec!["plugin", "inspect", wrong],
            vec!["plugin", "sign", "--key", wrong, good],
            vec!["plugin", "sign", "--key", &key, wrong],
            vec!["plugin", "pack", wrong, "--manifest", good, "--output", "x"],
            vec!["plugin", "pack", good, "--manifest", wrong, "--output", "x"],
            vec!["plugin", "install", wrong],
            vec!["trust", "activate", wrong],
            [&["plugin", "list"], &at[..], &[wrong]].concat(),
        ] {
            let said = run(&arguments).await.unwrap_err();
            assert!(said.contains(&format!("`{wrong}` cannot be read: it ")), "{arguments:?}: {said}");
            assert!(!said.contains('\n') && said.contains("expected"), "{arguments:?}: {said}");
        }
    }
    // The signature lies beside its component, and is a small file.
    std::fs::remove_file(format!("{good}.sig")).unwrap();
    std::fs::File::create(format!("{good}.sig")).unwrap().set_len(65_537).unwrap();
    let expected = ["margin.wasm.sig` cannot be read: it has 65537 bytes; expected at most 65536"];
    refused(&["plugin", "check", good], &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_swaps_a_plugin_of_a_running_host() {
    let host = TestHost::demo().await;
    let door = host.front_door().await;
    let folder = tempfile::tempdir().unwrap();
    let token = host.ops_key_file().await;
    let server = format!("http://{}", door.address());
    let running = ["--server", &server, "--token-file", text(&token)];
    let at = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().chain(&running).map(|argument| (*argument).to_owned()).collect()
    };
    let ask = async |arguments: &[&str]| {
        let arguments = at(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        json(&arguments).await
    };
    let refuse = async |arguments: &[&str], expected: &[&str]| {
        let arguments = at(arguments);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refused(&arguments, expected).await;
    };
    let bytes = of_version("x12", "0.2.0");
    let x12_2 = put(folder.path(), "x12", &bytes, None);
    refuse(&["plugin", "install", text(&x12_2)], &["the server answered 409", "it is not signed"]).await;
    put(folder.path(), "x12", &bytes, Some(&sign(&bytes)));
    let installed = ask(&["plugin", "install", text(&x12_2)]).await;
    let digest = installed[0]["digest"].as_str().unwrap().to_owned();
    refuse(&["plugin", "activate", "x12"], &["nothing of `x12` is staged"]).await;
    refuse(&["plugin", "rollback", "nobody"], &["the server answered 404", "no plugin `nobody`"]).await;
    ask(&["plugin", "stage", "x12", &digest]).await;
    assert_eq!(ask(&["plugin", "activate", "x12", "--digest", &digest]).await[0]["configuration"], 2);
    let rows = ask(&["plugin", "list"]).await;
    let states: Vec<&str> =
        rows.iter().filter(|row| row["plugin"] == "x12").map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["active"], "what came with the folder is not installed: {rows:?}");
    assert_eq!(host.send_edi(&x12(1, &PurchaseOrder::clean("PO-1"))).await.unwrap().reply.status, 200);
    let active = host.host.pipeline.plugins.now();
    assert_eq!(active.installed(&crate::packages::name("x12")).unwrap().digest.to_string(), digest);

    assert_eq!(ask(&["plugin", "rollback", "x12"]).await[0]["configuration"], 3);
    assert_eq!(ask(&["plugin", "disable", "x12"]).await[0]["state"], "disabled");
    refuse(&["plugin", "resume"], &["the server answered 409", "no plugins are stopped all at once"]).await;
    let halted = ask(&["plugin", "halt"]).await;
    assert_eq!((halted[0]["configuration"].as_u64(), halted[0]["halted"].as_bool()), (Some(5), Some(true)));
    assert!(ask(&["plugin", "list"]).await.iter().all(|row| row["state"] == "halted" || row["plugin"] == "x12"));
    assert_eq!(ask(&["plugin", "resume"]).await[0]["halted"], false);
    let trust = folder.path().join("trust.toml");
    std::fs::write(&trust, trust_in("portreeve").replace("[[publisher.key]]", "[[publisher.key]]\nrevoked = true"))
        .unwrap();
    let changed = ask(&["trust", "activate", text(&trust)]).await;
    assert_eq!(changed[0]["stopped"].as_array().unwrap().len(), 8, "{changed:?}");
    std::fs::write(&trust, "[[publisher]]\nname = \"a\"\n").unwrap();
    refuse(&["trust", "activate", text(&trust)], &["the server answered 409", "trust.toml:1"]).await;
    // Nobody without the token, and nothing that is none.
    for path in [
        "/v1/plugins",
        "/v1/plugins/x12/stage",
        "/v1/plugins/x12/rollback",
        "/v1/plugins/x12/disable",
        "/v1/plugins/halt",
        "/v1/plugins/resume",
        "/v1/trust",
    ] {
        assert_eq!(door.send(hyper::Method::POST, path, &[], b"").await.status, 401, "{path}");
    }
    let operator = door.ops().await;
    let authorized = [("authorization", operator.as_str()), ("content-type", "application/json")];
    for (path, body, status) in [
        ("/v1/plugins/x12/stage", "{}", 400),
        ("/v1/plugins/x12/activate", "{\"digest\":\"x\"}", 400),
        ("/v1/plugins/X12/rollback", "", 400),
        ("/v1/plugins", "", 409),
    ] {
        assert_eq!(door.send(hyper::Method::POST, path, &authorized, body.as_bytes()).await.status, status, "{path}");
    }
    door.close().await;
    host.verify().await.unwrap();
}
