//! Windows of destinations that one call may be too much for.
//!
//! A window lets so many requests through in so many seconds, and holds back what is more. A call that
//! needs more than that in all is held back at the same place each time that it is tried: it reads again
//! what it read, and what it is for never comes to its end. Nobody can tell from outside how many one
//! needs, but each has a limit (`http_requests`): what its manifest asks for, within its grant. So a
//! window has to have room for that, and for the token and the session that the host asks for there by
//! itself.

use std::collections::BTreeMap;

use portreeve_pipeline::egress::{CredentialEntry, Origin, WindowEntry};
use portreeve_pipeline::{Reconciliation, Routes};

use crate::config::PluginEntry;

/// Windows with less room than one call of a plugin may need that may go there. `requests` says how many
/// a call of it may make; nothing is said of a plugin of which nobody knows.
pub(crate) fn too_small(
    plugins: &[PluginEntry],
    routes: &Routes,
    requests: impl Fn(&PluginEntry) -> Option<u64>,
) -> Vec<String> {
    let granted = plugins.iter().flat_map(|plugin| &plugin.egress);
    let windows: BTreeMap<&Origin, WindowEntry> =
        granted.filter_map(|there| Some((&there.origin, there.window?))).collect();
    let mut problems = Vec::new();
    for (origin, WindowEntry { requests_max, seconds }) in windows {
        let beside = of_the_host(routes, origin);
        let may_go = |plugin: &&PluginEntry| plugin.egress.iter().any(|there| there.origin == *origin);
        for plugin in plugins.iter().filter(may_go) {
            let Some(of_a_call) = requests(plugin) else { continue };
            let needed = of_a_call.saturating_add(beside);
            if needed > u64::from(requests_max) {
                let name = &plugin.name;
                let and_host = if beside > 0 { format!(", and the host {beside} for itself") } else { String::new() };
                problems.push(format!(
                    "`window` of `{origin}` lets {requests_max} requests in {seconds} s through, and one call of `{name}` may make {of_a_call}{and_host}; one that needs more than the window has would never come to its end, so allow {needed} or more, or grant `{name}` as many as its calls need by `limits = {{ http_requests = … }}`"
                ));
            }
        }
    }
    problems
}

/// Requests to an origin that the host may have to make for one that it lets through.
fn of_the_host(routes: &Routes, origin: &Origin) -> u64 {
    let targets = routes.targets.iter().map(|target| (&target.origin, &target.credential));
    let polls = routes.polls.iter().map(|poll| (&poll.origin, &poll.credential));
    let lists = routes.reconciliations.iter().flat_map(Reconciliation::sources);
    let lists = lists.map(|(_, source)| (&source.origin, &source.credential));
    let places = targets.chain(polls).chain(lists);
    let own = |(of, credential): (&Origin, &Option<CredentialEntry>)| {
        credential.as_ref().map_or(0, |credential| credential.own_requests(of, origin))
    };
    places.map(own).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    fn plugin(name: &str, egress: &str) -> PluginEntry {
        let text = format!("name = \"{name}\"\ncomponent = \"{name}.wasm\"\n[[egress]]\n{egress}");
        toml::from_str(&text).unwrap()
    }

    fn told(plugins: &[PluginEntry], routes: &Routes) -> Vec<String> {
        too_small(plugins, routes, |plugin| (plugin.name.as_str() != "unknown").then_some(32))
    }

    #[test]
    fn a_window_has_room_for_what_one_call_of_each_plugin_may_make() {
        let there = |requests: u32| {
            format!("origin = \"https://erp.example\"\nwindow = {{ requests_max = {requests}, seconds = 60 }}\n")
        };
        let routes = Routes::default();
        assert!(told(&[plugin("rest", &there(32))], &routes).is_empty());
        assert!(told(&[plugin("unknown", &there(1))], &routes).is_empty());
        assert!(told(&[plugin("rest", "origin = \"https://erp.example\"\n")], &routes).is_empty());
        // It binds all that go there, whoever of them names it.
        let all = [
            plugin("unknown", &there(31)),
            plugin("rest", "origin = \"https://erp.example\"\n"),
            plugin("elsewhere", "origin = \"https://wms.example\"\n"),
        ];
        let problems = told(&all, &routes);
        assert_eq!(problems.len(), 1, "{problems:?}");
        for part in [
            "`window` of `https://erp.example` lets 31 requests in 60 s through",
            "one call of `rest` may make 32;",
            "allow 32 or more",
            "`limits = { http_requests = … }`",
        ] {
            assert!(problems.concat().contains(part), "expected `{part}` in: {problems:?}");
        }
    }

    #[test]
    fn and_for_the_token_and_the_session_that_the_host_asks_for_there() {
        let window = "origin = \"https://erp.example\"\nwindow = { requests_max = 32, seconds = 60 }\n";
        let routes = |credential: serde_json::Value| -> Routes {
            serde_json::from_value(json!({"target": [{
                "id": "erp", "connector": "rest", "transformer": "documents", "kind": "some/kind", "find": false,
                "origin": "https://erp.example", "exception_queue": "integration", "credential": credential,
            }]}))
            .unwrap()
        };
        let secret = json!({"file": "key"});
        let token = |url: &str| json!({"kind": "oauth2", "token_url": url, "client_id": "a", "secret": secret});
        let session = json!({"kind": "basic", "user": "a", "secret": secret, "csrf": {"path": "/"}});
        let plugins = [plugin("rest", window)];
        for (credential, own) in [
            (token("https://login.example/token"), 0),
            (token("https://erp.example/token"), 1),
            (session, 1),
            (json!({"kind": "basic", "user": "a", "secret": secret}), 0),
        ] {
            let problems = told(&plugins, &routes(credential)).concat();
            assert_eq!(problems.contains("and the host 1 for itself"), own == 1, "{problems}");
            assert_eq!(problems.contains("allow 33 or more"), own == 1, "{problems}");
        }
    }
}
