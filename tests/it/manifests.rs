//! One grammar, two readers: what `wit/README.md` says of a manifest, as one table
//! that runs through the build tool's reader and the registry's.

use portreeve_build::Manifest as Written;
use portreeve_registry::Manifest as Read;

/// A manifest of a kind with changed or added lines.
fn manifest(kind: &str, changes: &[(&str, &str)], added: &str) -> String {
    let mut keys = vec![
        ("name", "\"some-plugin\""),
        ("version", "\"0.1.0\""),
        ("kind", ""),
        ("contract", "\"portreeve:plugin@0.1.0\""),
        ("description", "\"Does something.\""),
        ("publisher", "\"somebody\""),
        ("license", "\"Apache-2.0\""),
    ];
    let kind = format!("\"{kind}\"");
    keys[2].1 = &kind;
    for change in changes {
        match keys.iter_mut().find(|(key, _)| *key == change.0) {
            Some(key) => key.1 = change.1,
            None => keys.push(*change),
        }
    }
    let lines = keys.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key} = {value}\n"));
    format!("[plugin]\n{}{added}", lines.collect::<String>())
}

/// Both readers take it, or both refuse it.
fn check(text: &str, good: bool) {
    let (written, read) = (Written::parse(text.as_bytes()), Read::parse(text));
    assert_eq!(written.is_ok(), good, "the build tool, {written:?}:\n{text}");
    assert_eq!(read.is_ok(), good, "the registry, {read:?}:\n{text}");
}

#[test]
fn both_readers_agree_on_who_a_plugin_says_it_is() {
    let long = |bytes: usize| format!("\"{}\"", "a".repeat(bytes));
    let (fits, beyond) = (long(1_024), long(1_025));
    let (name_fits, name_beyond) = (long(64), long(65));
    for (key, value, good) in [
        ("version", "\"1.2.3-rc.1+build\"", true),
        ("version", "\"latest\"", false),
        ("version", "\"1.2\"", false),
        ("version", "\"\"", false),
        ("version", "1", false),
        ("description", fits.as_str(), true),
        ("description", beyond.as_str(), false),
        ("description", "\"\"", false),
        ("description", "\"two\\nlines\"", false),
        ("description", "\"\\u001b[2J\"", false),
        ("license", "\"\"", false),
        ("license", beyond.as_str(), false),
        ("publisher", name_fits.as_str(), true),
        ("publisher", name_beyond.as_str(), false),
        ("publisher", "\"\"", false),
        ("publisher", "\"Some Body\"", false),
        ("publisher", "\"3m\"", false),
        ("publisher", "\"-somebody\"", false),
        ("name", "\"Some_Plugin\"", false),
        ("name", "\"2nd-plugin\"", false),
        ("name", "\"-plugin\"", false),
        ("name", name_beyond.as_str(), false),
        ("contract", "\"portreeve:plugin@0.2.0\"", false),
        ("kind", "\"Scorer\"", false),
        ("kind", "", false),
        ("homepage", "\"here\"", false),
    ] {
        check(&manifest("scorer", &[(key, value)], ""), good);
    }
    check(&format!("{}#{}", manifest("scorer", &[], ""), "a".repeat(64 * 1024)), false);
}

#[test]
fn what_a_refused_value_holds_stays_on_the_line_that_quotes_it() {
    let text = manifest("transformer", &[], "[handles]\nmaps = [\"x12\\n850\\u001b\"]");
    let (written, read) = (Written::parse(text.as_bytes()).unwrap_err(), Read::parse(&text).unwrap_err());
    for refused in [written.to_string(), read.to_string()] {
        assert!(refused.contains("`x12\u{fffd}850\u{fffd}`"), "{refused:?}");
        assert!(!refused.chars().any(char::is_control), "{refused:?}");
    }
}

#[test]
fn both_readers_agree_on_what_each_kind_may_ask_for() {
    let digest = format!("[imports]\nartifact = [\"sha256:{}\"]", "0".repeat(64));
    let wide = format!("[handles]\nreceives = [\"{}\"]", "a".repeat(65));
    // The lines, and whether a connector, a transformer and a scorer may have them.
    let table = [
        ("[imports]\nlog = true\nlookup = [\"item\"]", [true, true, true]),
        ("[imports]\nkv = true", [true, false, false]),
        ("[imports]\nnumbers = [\"x12-group\"]", [true, false, false]),
        ("[imports]\nhttp = [\"GET\", \"PATCH\"]", [true, false, false]),
        (digest.as_str(), [false, true, true]),
        ("[imports]\nkv = false\nhttp = []", [true, true, true]),
        ("[imports]\nhttp = [\"get\"]", [false, false, false]),
        ("[imports]\nhttp = [\"CONNECT\"]", [false, false, false]),
        ("[imports]\nlookup = [\"Item\"]", [false, false, false]),
        ("[imports]\nlookup = [\"\"]", [false, false, false]),
        ("[imports]\nlookup = [\"1st\"]", [false, false, false]),
        ("[imports]\nnumbers = [\"a b\"]", [false, false, false]),
        ("[imports]\nartifact = [\"sha256:AB\"]", [false, false, false]),
        ("[imports]\nnetwork = true", [false, false, false]),
        ("[handles]\nreceives = [\"x12/850\"]\ndelivers = [\"a.b/c-d\"]", [true, false, false]),
        ("[handles]\nmaps = [\"x12/850\"]\nrenders = [\"a/b\"]", [false, true, false]),
        ("[handles]\nreceives = [\"X12/850\"]", [false, false, false]),
        (wide.as_str(), [false, false, false]),
        ("[wishes]\n", [false, false, false]),
    ];
    for (lines, kinds) in table {
        for (kind, good) in ["connector", "transformer", "scorer"].into_iter().zip(kinds) {
            check(&manifest(kind, &[], lines), good);
        }
    }
}

#[test]
fn both_readers_agree_on_what_a_setting_may_be() {
    let about = "about = \"Something\"";
    let (long, beyond) = ("a".repeat(1_024), "a".repeat(1_025));
    let (fits, too_long) =
        (format!("about = \"{long}\"\nkind = \"text\""), format!("about = \"{beyond}\"\nkind = \"text\""));
    let (name, name_beyond) = ("a".repeat(64), "a".repeat(65));
    let plain = format!("{about}\nkind = \"text\"");
    // The lines, and whether a connector, a transformer and a scorer may have them.
    let of_kind = |rest: &str| format!("[settings.some-name]\n{about}\n{rest}");
    let (both, none) = ([true, true, false], [false, false, false]);
    for (lines, kinds) in [
        ("[settings]\n".to_owned(), [true, true, true]),
        ("[settings]\nunit = \"EA\"\n".to_owned(), none),
        (format!("[settings.{name}]\n{plain}"), both),
        (format!("[settings.{name_beyond}]\n{plain}"), none),
        (format!("[settings.Unit]\n{plain}"), none),
        (format!("[settings.\"a.b\"]\n{plain}"), none),
        (format!("[settings.\"\"]\n{plain}"), none),
        (format!("[settings.some-name]\n{fits}"), both),
        (format!("[settings.some-name]\n{too_long}"), none),
        ("[settings.some-name]\nabout = \"\"\nkind = \"text\"".to_owned(), none),
        ("[settings.some-name]\nabout = \"two\\nlines\"\nkind = \"text\"".to_owned(), none),
        ("[settings.some-name]\nkind = \"text\"".to_owned(), none),
        (of_kind(""), none),
        (of_kind("kind = \"number\""), none),
        (of_kind("kind = \"text\"\nwish = true"), none),
        (of_kind("kind = \"text\"\nchars_max = 3\ndefault = \"USD\"\nper_partner = true"), both),
        (of_kind("kind = \"text\"\nchars_max = 3\ndefault = \"EURO\""), none),
        (of_kind("kind = \"text\"\nchars_max = 0"), none),
        (of_kind("kind = \"text\"\nparts_min = 2\nparts_max = 3\ndefault = \"ZZ:ACME\""), both),
        (of_kind("kind = \"text\"\nparts_min = 2\ndefault = \"ACME\""), none),
        (of_kind("kind = \"text\"\nparts_max = 1\ndefault = \"ZZ:ACME\""), none),
        (of_kind("kind = \"text\"\nparts_min = 2\ndefault = \"ZZ:\""), none),
        (of_kind("kind = \"text\"\nparts_min = 0"), none),
        (of_kind("kind = \"text\"\nparts_min = 3\nparts_max = 2"), none),
        (of_kind("kind = \"integer\"\nparts_max = 2"), none),
        (of_kind("kind = \"text\"\nparts_min = 2\npart_chars_min = [2, 1]\npart_chars_max = [2, 15]"), both),
        (of_kind("kind = \"text\"\nparts_max = 2\npart_chars_max = [2]\ndefault = \"ZZ:%3AACME\""), both),
        (of_kind("kind = \"text\"\nparts_max = 2\npart_chars_max = [2, 5]\ndefault = \"ZZ:%3AACME\""), both),
        (of_kind("kind = \"text\"\nparts_max = 2\npart_chars_max = [2, 4]\ndefault = \"ZZ:%3AACME\""), none),
        (of_kind("kind = \"text\"\nparts_max = 2\npart_chars_min = [3]\ndefault = \"ZZ:ACME\""), none),
        (of_kind("kind = \"text\"\nparts_min = 2\npart_chars_min = [3]\npart_chars_max = [2]"), none),
        (of_kind("kind = \"text\"\nparts_min = 2\npart_chars_max = [0]"), none),
        (of_kind("kind = \"text\"\nparts_max = 2\npart_chars_max = [2, 15, 15]"), none),
        (of_kind("kind = \"text\"\nparts_min = 2\npart_chars_max = 2"), none),
        (of_kind("kind = \"text\"\npart_chars_max = [2]"), none),
        (of_kind("kind = \"integer\"\npart_chars_min = [2]"), none),
        (of_kind("kind = \"text\"\nchars_max = -1"), none),
        (of_kind("kind = \"text\"\nchars_max = 4294967296"), none),
        (of_kind("kind = \"text\"\nchoices = [\"a\"]"), none),
        (of_kind("kind = \"text\"\nmin = 1"), none),
        (of_kind("kind = \"text\"\nmax = 1"), none),
        (of_kind("kind = \"text\"\nrequired = true"), both),
        (of_kind("kind = \"text\"\nrequired = true\ndefault = \"a\""), none),
        (of_kind("kind = \"text\"\nrequired = \"yes\""), none),
        (of_kind("kind = \"text\"\ndefault = 1"), none),
        (of_kind("kind = \"text\"\non = []"), both),
        (of_kind("kind = \"text\"\non = [\"receive\", \"deliver\", \"find\", \"poll\"]"), [true, false, false]),
        (of_kind("kind = \"text\"\non = [\"check\"]"), none),
        (of_kind("kind = \"text\"\non = [\"deliver\", \"check\"]"), none),
        (of_kind("kind = \"text\"\non = [\"to-canonical\", \"from-canonical\"]"), [false, true, false]),
        (of_kind("kind = \"text\"\non = [\"score\"]"), none),
        (of_kind("kind = \"text\"\non = [\"receive\", \"to-canonical\"]"), none),
        (of_kind("kind = \"integer\"\nmin = 1\nmax = 9\ndefault = \"5\""), both),
        (of_kind("kind = \"integer\"\nmin = 1\nmax = 9\ndefault = \"10\""), none),
        (of_kind("kind = \"integer\"\ndefault = \"x\""), none),
        (of_kind("kind = \"integer\"\nmin = 2\nmax = 1"), none),
        (of_kind("kind = \"integer\"\nchars_max = 3"), none),
        (of_kind("kind = \"integer\"\nmin = 1.5"), none),
        (of_kind("kind = \"boolean\"\ndefault = \"false\""), both),
        (of_kind("kind = \"boolean\"\ndefault = \"no\""), none),
        (of_kind("kind = \"choice\"\nchoices = [\"CR\", \"below-zero\", \"1.0\"]\ndefault = \"CR\""), both),
        (of_kind("kind = \"choice\"\nchoices = [\"CR\"]\ndefault = \"CN\""), none),
        (of_kind("kind = \"choice\"\nchoices = []"), none),
        (of_kind("kind = \"choice\""), none),
        (of_kind("kind = \"choice\"\nchoices = [\"two words\"]"), none),
        (of_kind("kind = \"choice\"\nchoices = [\"\"]"), none),
        (of_kind("kind = \"choices\"\nchoices = [\"850\", \"860\"]\ndefault = \"850,860\""), both),
        (of_kind("kind = \"choices\"\nchoices = [\"850\"]\ndefault = \" , \""), none),
    ] {
        for (kind, good) in ["connector", "transformer", "scorer"].into_iter().zip(kinds) {
            check(&manifest(kind, &[], &lines), good);
        }
    }
    let page = std::fs::read_to_string(crate::support::tree().root().join("wit/README.md")).unwrap();
    let holds = ["about", "kind", "choices", "min", "max", "chars_max", "parts_min", "parts_max"];
    let lengths = ["part_chars_min", "part_chars_max"];
    for key in holds.into_iter().chain(lengths).chain(["required", "default", "on", "per_partner"]) {
        assert!(page.contains(&format!("`{key}`")), "wit/README.md does not name `{key}` of a setting");
    }
}

#[test]
fn both_readers_agree_on_what_is_said_of_messages() {
    let of = |rest: &str| format!("[handles]\nrenders = [\"x12/855\"]\n{rest}");
    let (transformers, none) = ([false, true, false], [false, false, false]);
    for (lines, kinds) in [
        ("[messages]\n".to_owned(), [true, true, true]),
        (of("[messages.\"x12/855\"]\n"), transformers),
        (of("[messages.\"x12/855\"]\nof = [\"order.accepted\", \"order.rejected\"]"), transformers),
        (of("[messages.\"x12/855-held\"]\nof = []\nrenders = \"x12/855\""), transformers),
        (of("[messages.\"a.b/c-d\"]\nrenders = \"x12/855\""), transformers),
        (of("[messages.\"x12/855-held\"]"), none),
        (of("[messages.\"x12/855\"]\nrenders = \"x12/940\""), none),
        (of("[messages.\"x12/855\"]\nof = [\"Order accepted\"]"), none),
        (of("[messages.\"x12/855\"]\nof = \"order.accepted\""), none),
        (of("[messages.\"x12/855\"]\nwish = true"), none),
        (of("[messages.\"X12/855\"]\nrenders = \"x12/855\""), none),
        (of("[messages.\"\"]\nrenders = \"x12/855\""), none),
        (of(&format!("[messages.\"{}\"]\nrenders = \"x12/855\"", "a".repeat(65))), none),
        (of("[messages]\n\"x12/855\" = \"order.accepted\""), none),
        ("[messages.\"x12/855\"]\n".to_owned(), none),
    ] {
        for (kind, good) in ["connector", "transformer", "scorer"].into_iter().zip(kinds) {
            check(&manifest(kind, &[], &lines), good);
        }
    }
    // Each slip is told, whatever else is wrong.
    let wrong = "[messages.\"x12/855\"]\nof = [\"A\", \"B\"]\n[messages.\"x12/940\"]\nof = [\"order.created\"]";
    let lines = of(wrong);
    let slips = Read::read(&manifest("transformer", &[], &lines)).unwrap_err();
    assert_eq!(slips.len(), 3, "{slips:?}");
    assert!(slips[2].to_string().contains("`messages.x12/940.renders` as `x12/940`"), "{}", slips[2]);
}

#[test]
fn both_readers_know_the_same_limits_and_take_none_without_effect() {
    let choices = portreeve_sandbox::LimitChoices::default();
    for (limit, _) in choices.named() {
        let name = limit.name;
        let kinds = match name {
            "fuel" | "artifact_bytes" => [false, true, true],
            "cpu_ms" | "numbers" => [true, false, false],
            name if name.starts_with("http_") || name.starts_with("kv_") => [true, false, false],
            _ => [true, true, true],
        };
        for (kind, good) in ["connector", "transformer", "scorer"].into_iter().zip(kinds) {
            check(&manifest(kind, &[], &format!("[limits]\n{name} = 1")), good);
            check(&manifest(kind, &[], &format!("[limits]\n{name} = 0")), false);
            check(&manifest(kind, &[], &format!("[limits]\n{name} = -1")), false);
        }
        let page = std::fs::read_to_string(crate::support::tree().root().join("wit/README.md")).unwrap();
        assert!(page.contains(&format!("| `{name}` |")), "wit/README.md does not name the limit `{name}`");
    }
    check(&manifest("scorer", &[], "[limits]\nmemory = 5"), false);
}
