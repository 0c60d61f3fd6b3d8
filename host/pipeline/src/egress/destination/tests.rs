//! What leaves and what does not, as tables of URLs.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn granted(origin: &str, methods: &[&str], paths: &[&str]) -> Destination {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Destination {
        origin: Origin::parse(origin).unwrap(),
        methods: texts(methods),
        paths: texts(paths),
        addresses: Vec::new(),
        requests_per_second: 1,
        window: None,
        breaker_failures: 1,
        breaker_open_ms: 1,
    }
}

fn judged(destinations: &[Destination], method: &str, url: &str) -> Result<String, Refused> {
    let asked = Asked::read(url)?;
    Destination::judge("some-plugin", destinations, method, &asked)?;
    Ok(format!("{}{}", asked.origin, asked.path_and_query))
}

#[test]
fn nothing_is_allowed_that_nobody_granted() {
    for url in ["https://erp.example/", "http://127.0.0.1/", "http://[::1]:1/"] {
        let refused = judged(&[], "GET", url).unwrap_err().to_string();
        assert!(refused.contains("`origin` of a [[plugin.egress]] would allow it"), "{refused}");
    }
}

#[test]
fn scheme_host_and_port_are_each_compared_after_reading() {
    let there = [granted("https://erp.example", &[], &[])];
    for (url, sent) in [
        ("https://erp.example", "https://erp.example/"),
        ("https://ERP.example:443/a?b=c", "https://erp.example/a?b=c"),
        ("https://erp.example./a", "https://erp.example/a"),
        ("HTTPS://erp.example/a/../b", "https://erp.example/b"),
        ("https://erp.example/a/%2e%2e/b", "https://erp.example/b"),
        ("https://erp.example\\a", "https://erp.example/a"),
        ("https://%65rp.example/", "https://erp.example/"),
        ("https://ｅrp.example/", "https://erp.example/"),
        ("https://erp.example/a b#fragment", "https://erp.example/a%20b"),
    ] {
        assert_eq!(judged(&there, "GET", url).unwrap(), sent, "{url}");
    }
    for url in [
        "http://erp.example/",
        "https://erp.example:8443/",
        "https://erp.example.evil.example/",
        "https://evil.example/erp.example",
        "https://erp.example..",
        "https://erp-example/",
        "ftp://erp.example/",
        "file:///etc/passwd",
        "erp.example/",
        "https:///erp.example@evil.example/",
        "https://user@erp.example/",
        "https://user:word@erp.example/",
        "https://erp.example:99999/",
        "https://erp.example%00.evil/",
        "",
    ] {
        judged(&there, "GET", url).unwrap_err();
    }
    assert_eq!(judged(&there, "GET", "https://a:b@erp.example/"), Err(Refused::UserInfo));
}

#[test]
fn an_address_is_the_same_however_it_is_written() {
    let there = [granted("http://127.0.0.1:8080", &[], &[])];
    for url in [
        "http://127.0.0.1:8080/",
        "http://127.1:8080/",
        "http://0x7f000001:8080/",
        "http://2130706433:8080/",
        "http://0177.0.0.1:8080/",
        "http://[::ffff:127.0.0.1]:8080/",
    ] {
        assert_eq!(judged(&there, "GET", url).unwrap(), "http://127.0.0.1:8080/", "{url}");
    }
    for url in ["http://127.0.0.1/", "http://127.0.0.2:8080/", "http://[::1]:8080/", "http://localhost:8080/"] {
        judged(&there, "GET", url).unwrap_err();
    }
    let there = [granted("http://[0:0::1]:80", &[], &[])];
    assert_eq!(judged(&there, "GET", "http://[::1]/x").unwrap(), "http://[::1]/x");
    assert!(Url::parse("http://[fe80::1%25eth0]/").is_err(), "zones are not for URLs");
}

#[test]
fn a_name_in_another_script_is_its_punycode() {
    let there = [granted("https://bücher.example", &[], &[])];
    assert_eq!(judged(&there, "GET", "https://xn--bcher-kva.example/").unwrap(), "https://xn--bcher-kva.example/");
    assert_eq!(judged(&there, "GET", "https://BÜCHER.example/").unwrap(), "https://xn--bcher-kva.example/");
}

#[test]
fn a_method_and_a_path_are_granted_together() {
    let there = [
        granted("https://erp.example", &["GET"], &["/api/v2.0"]),
        granted("https://erp.example", &["POST"], &["/api/v2.0/orders/"]),
    ];
    for (method, path) in [
        ("GET", "/api/v2.0"),
        ("GET", "/api/v2.0/"),
        ("GET", "/api/v2.0/items?x=/../.."),
        ("GET", "/api/v2.0/companies(6b3a%2D3e)/a%20b"),
        ("POST", "/api/v2.0/orders"),
        ("POST", "/api/v2.0/orders/1"),
    ] {
        judged(&there, method, &format!("https://erp.example{path}")).unwrap();
    }
    for (method, path, key) in [
        ("GET", "/api/v2.00", "`paths`"),
        ("GET", "/api", "`paths`"),
        ("GET", "/api/v2.0/../admin", "`paths`"),
        ("GET", "/api/v2.0/%2e%2E/admin", "`paths`"),
        ("POST", "/api/v2.0/items", "`paths`"),
        ("DELETE", "/api/v2.0", "`methods`"),
        ("GET", "/api/v2.0/..%2fadmin", "two ways"),
        ("GET", "/api/v2.0/..%5Cadmin", "two ways"),
        ("GET", "/api/v2.0/%252e%252e/admin", "two ways"),
        ("GET", "/api/v2.0/a%252fb", "two ways"),
        ("GET", "/api/v2.0/..;x=1/admin", "two ways"),
        ("GET", "/api/v2.0/%00", "two ways"),
    ] {
        let refused = judged(&there, method, &format!("https://erp.example{path}")).unwrap_err().to_string();
        assert!(refused.contains(key), "{method} {path}: {refused}");
    }
}

#[test]
fn every_address_of_a_name_is_checked_and_a_literal_one_is_granted_by_standing_there() {
    let named =
        Destination { addresses: vec!["10.1.0.0/16".parse().unwrap()], ..granted("https://a.example", &[], &[]) };
    let pin = |destination: &Destination, found: &[&str]| {
        let found: Vec<IpAddr> = found.iter().map(|address| address.parse().unwrap()).collect();
        destination.pin(&found).map(|pinned| pinned.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(pin(&named, &["8.8.8.8", "10.1.2.3"]).unwrap(), "8.8.8.8:443 10.1.2.3:443");
    let refused = pin(&named, &["8.8.8.8", "169.254.169.254"]).unwrap_err().to_string();
    assert!(refused.contains("link-local address 169.254.169.254") && refused.contains("`addresses`"), "{refused}");
    pin(&named, &["::ffff:127.0.0.1"]).unwrap_err();
    pin(&named, &[]).unwrap_err();

    let literal = granted("http://127.0.0.1:81", &[], &[]);
    assert_eq!(pin(&literal, &["127.0.0.1"]).unwrap(), "127.0.0.1:81");
    pin(&literal, &["127.0.0.2"]).unwrap_err();
}

#[test]
fn an_origin_is_nothing_but_an_origin() {
    for (text, origin) in [
        ("https://erp.example", "https://erp.example"),
        ("http://ERP.example:80", "http://erp.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(Origin::parse(text).unwrap().to_string(), origin);
    }
    for text in
        ["https://erp.example/", "https://erp.example/api", "https://a@b", "https://", "erp.example", "https://a?b"]
    {
        assert!(Origin::parse(text).unwrap_err().contains("is no origin"), "{text}");
    }
}

#[test]
fn a_destination_without_effect_or_sense_is_named() {
    let wrong =
        Destination { requests_per_second: 0, ..granted("https://a.example", &["get"], &["api", "/a/../b", "/a%2fb"]) };
    assert_eq!(wrong.problems().len(), 5, "{:?}", wrong.problems());
    assert!(granted("https://a.example", &["GET"], &["/api/v2.0"]).problems().is_empty());
}

proptest! {
    /// Whatever is let through goes to the granted origin, below the granted path, in
    /// everybody's reading.
    #[test]
    fn what_is_let_through_stays_within_the_grant(rest in "[a-z./%;\\\\@:#?2eEfF5cC0-]{0,24}") {
        let there = [granted("https://erp.example", &["GET"], &["/api"])];
        for url in [format!("https://erp.example/api/{rest}"), format!("https://erp.example{rest}")] {
            let Ok(sent) = judged(&there, "GET", &url) else { continue };
            let again = Url::parse(&sent).unwrap();
            prop_assert_eq!(again.as_str(), sent.as_str());
            prop_assert_eq!(again.host_str(), Some("erp.example"));
            let mut depth = 0_i32;
            let twice = decoded(&decoded(again.path().as_bytes()));
            for segment in String::from_utf8_lossy(&twice).split(['/', '\\']).skip(2) {
                depth += match segment.split(';').next() { Some("..") => -1, Some("." | "") => 0, _ => 1 };
                prop_assert!(depth >= 0, "{} leaves /api", sent);
            }
        }
    }
}
