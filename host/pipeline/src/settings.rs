//! Whether plugins know the settings that routes give them, and get those that they need.
//!
//! A misspelt setting has no effect and a missing one fails a delivery at night, where whoever
//! wrote it could have heard of it at once. What plugins say of their settings (`[settings]` of
//! their manifests) is therefore compared with what each place of the configuration gives them:
//!
//! ```text
//! channel          receive, to-canonical; what its polls ask; what makes their subscriptions
//! poll             poll, and deliver for its subscription; beside the settings of its channel
//! target           deliver, from-canonical, and find where it can be asked
//! reconciliation   poll, to-canonical of each system
//! ```
//!
//! The settings of a place are one map, so one is known if any of its plugins reads it. A plugin
//! that says nothing of its settings may read any. What the host gives by itself (the order's
//! number, an interchange's, from when on a list is wanted) is nobody's to write, and is not
//! declared, but for whom an interchange goes to: people write that in [target.interchange], in
//! the connector's own notation, and so a connector may say what that is.

mod problem;

use std::collections::BTreeMap;

use portreeve_model::PluginName;
use portreeve_model::strict::on_one_line;
use portreeve_registry::{DeclaredSetting, DeclaredSettings};
use portreeve_sandbox::Call;

use self::problem::Slip;
use crate::feed::{ANSWER_TIMEOUT, URL};
use crate::poll::Poll;
use crate::route::{Channel, HOSTS_OWN, INTERCHANGE_PARTNER, Interchanges, Routes, Target};

pub use problem::SettingProblem;

/// What plugins say of their settings, of those that say anything.
pub type Declarations = BTreeMap<PluginName, DeclaredSettings>;

type Settings = BTreeMap<String, String>;

/// Characters of a value that a sentence repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// A call of a plugin that gets settings.
type Reader<'a> = (&'a PluginName, Call);

/// Somewhere that people give settings.
struct Place<'a> {
    /// How people call it.
    called: String,
    settings: &'a Settings,
    /// Others that its calls get as well, and that are looked at where they are given.
    beside: Option<&'a Settings>,
    /// The calls that its settings may be for.
    readers: Vec<Reader<'a>>,
    /// Those of them that are made with its settings, and so have to find what they need.
    calls: Vec<Reader<'a>>,
    /// Whether the host makes its settings of other keys, so that nobody can take one out.
    is_the_hosts: bool,
}

impl Routes {
    /// Settings that no plugin of their place reads, that a plugin needs and does not get, and
    /// that have a value which a plugin does not take.
    #[must_use]
    pub fn setting_problems(&self, declared: &Declarations) -> Vec<SettingProblem> {
        let channels = self.channels.iter().map(|channel| self.channel_place(channel));
        let targets = self.targets.iter().map(target_place);
        let places = channels.chain(targets).chain(self.poll_places()).chain(self.system_places());
        let partners = self.targets.iter().filter_map(|target| partner_problem(target, declared));
        places.flat_map(|place| place.problems(declared)).chain(partners).collect()
    }

    fn channel_place<'a>(&'a self, channel: &'a Channel) -> Place<'a> {
        let mut calls = vec![(&channel.connector, Call::Receive)];
        calls.extend(channel.documents.values().map(|transformer| (transformer, Call::ToCanonical)));
        let mut readers = calls.clone();
        let polls = self.polls.iter().filter(|poll| poll.channel == channel.id);
        readers.extend(polls.flat_map(|poll| poll_calls(poll, channel)));
        let called = format!("channel `{}`", channel.id);
        Place { called, settings: &channel.settings, beside: None, readers, calls, is_the_hosts: false }
    }

    fn poll_places(&self) -> impl Iterator<Item = Place<'_>> {
        self.polls.iter().filter_map(move |poll| {
            let channel = self.channel(&poll.channel)?;
            let (called, calls) = (format!("poll `{}`", poll.id), poll_calls(poll, channel));
            let (beside, readers) = (Some(&channel.settings), calls.clone());
            Some(Place { called, settings: &poll.settings, beside, readers, calls, is_the_hosts: false })
        })
    }

    fn system_places(&self) -> impl Iterator<Item = Place<'_>> {
        self.reconciliations.iter().flat_map(|reconciliation| {
            reconciliation.sources().map(move |(_, source)| {
                let calls = vec![(&source.connector, Call::Poll), (&source.transformer, Call::ToCanonical)];
                let (system, id) = (on_one_line(&source.system), on_one_line(&reconciliation.id));
                let called = format!("system `{system}` of [[reconciliation]] `{id}`");
                let readers = calls.clone();
                Place { called, settings: &source.settings, beside: None, readers, calls, is_the_hosts: false }
            })
        })
    }
}

/// What a poll asks, and what makes its subscription.
fn poll_calls<'a>(poll: &'a Poll, channel: &'a Channel) -> Vec<Reader<'a>> {
    let connector = poll.connector(channel);
    let subscribing = poll.subscription.as_ref().map(|_| (connector, Call::Deliver));
    std::iter::once((connector, Call::Poll)).chain(subscribing).collect()
}

fn target_place(target: &Target) -> Place<'_> {
    let (mut calls, is_the_hosts) = (vec![(&target.transformer, Call::FromCanonical)], target.is_subscriber());
    // A stream's messages are the host's to send.
    if target.stream().is_none() {
        calls.push((&target.connector, Call::Deliver));
    }
    if target.find {
        calls.push((&target.connector, Call::Find));
    }
    let (what, readers) = (if is_the_hosts { "subscriber" } else { "target" }, calls.clone());
    let called = format!("{what} `{}`", target.id);
    Place { called, settings: &target.settings, beside: None, readers, calls, is_the_hosts }
}

/// What is wrong with whom the interchanges of a target go to, by what its connector says of that.
fn partner_problem(target: &Target, declared: &Declarations) -> Option<SettingProblem> {
    let (connector, id) = (&target.connector, &target.id);
    let setting = declared.get(connector)?.get(INTERCHANGE_PARTNER)?;
    let (kind, sentence) = match &target.interchange {
        None if setting.required => (
            Slip::Missing,
            format!(
                "target `{id}` has no [target.interchange], by which the host tells `{connector}` whom its messages go to and under which number; add it"
            ),
        ),
        Some(Interchanges { partner: Some(partner), .. }) => {
            let (expected, about) = (setting.expected(partner)?, &setting.about);
            let shown = on_one_line(&partner.chars().take(SHOWN_CHARS_MAX).collect::<String>());
            (
                Slip::NotTaken,
                format!(
                    "`partner` in [target.interchange] of target `{id}` is `{shown}`, and `{connector}` takes {expected} ({about}); correct it"
                ),
            )
        }
        // Without one it is the partner by whom the order came, as that channel's connector writes it.
        Some(Interchanges { partner: None, .. }) | None => return None,
    };
    let (place, setting) = (format!("target `{id}`"), INTERCHANGE_PARTNER.to_owned());
    Some(SettingProblem { place, setting, kind, plugins: [connector.clone()].into(), sentence })
}

impl<'a> Place<'a> {
    fn problems(&self, declared: &'a Declarations) -> Vec<SettingProblem> {
        [self.unknown(declared), self.missing(declared), self.wrong(declared)].concat()
    }

    fn problem(&self, setting: &str, kind: Slip, plugins: &[&PluginName], sentence: String) -> SettingProblem {
        let plugins = plugins.iter().map(|plugin| (*plugin).clone()).collect();
        SettingProblem { place: self.called.clone(), setting: setting.to_owned(), kind, plugins, sentence }
    }

    /// Settings that nobody reads; none, where somebody may read any.
    fn unknown(&self, declared: &'a Declarations) -> Vec<SettingProblem> {
        let says_nothing = |reader: &Reader<'_>| !declared.contains_key(reader.0);
        if self.is_the_hosts || self.readers.iter().any(says_nothing) {
            return Vec::new();
        }
        let known: BTreeMap<&str, &DeclaredSetting> =
            self.readers.iter().flat_map(|reader| read_by(*reader, declared)).collect();
        let is_known = |written: &str| {
            let mut read = self.readers.iter().flat_map(|reader| read_by(*reader, declared));
            read.any(|(name, setting)| setting.is_called(name, written))
        };
        let unknown = self.settings.keys().filter(|written| !is_known(written));
        unknown.map(|written| self.problem(written, Slip::Unread, &[], self.no_such(written, &known))).collect()
    }

    fn no_such(&self, written: &str, known: &BTreeMap<&str, &DeclaredSetting>) -> String {
        let mut plugins: Vec<&PluginName> = self.readers.iter().map(|(plugin, _)| *plugin).collect();
        plugins.sort();
        plugins.dedup();
        let (called, plugins) = (&self.called, quoted(plugins));
        let nobody = format!("no plugin of {called} ({plugins}) reads a setting `{}`", on_one_line(written));
        if let Some((own, _)) = written.split_once('@').filter(|(own, _)| known.contains_key(own)) {
            return format!("{nobody}, since `{own}` is one for all partners; leave out the `@` and what follows");
        }
        if known.is_empty() {
            return format!("{nobody}, or any other; take it out");
        }
        // A third of the letters may be wrong: in shorter names fewer, or one would be another.
        let distance = |name: &&&str| strsim::osa_distance(written, name);
        let nearest = known.keys().min_by_key(distance).filter(|name| distance(name) <= (name.len() / 3).max(1));
        let todo = nearest.map_or_else(|| "take it out".to_owned(), |name| format!("did you mean `{name}`?"));
        format!("{nobody} (read are {}); {todo}", quoted(known.keys()))
    }

    /// Settings that calls need and do not get.
    fn missing(&self, declared: &'a Declarations) -> Vec<SettingProblem> {
        let mut missing: BTreeMap<&str, (Vec<&PluginName>, &DeclaredSetting)> = BTreeMap::new();
        for reader in &self.calls {
            let needed = read_by(*reader, declared).filter(|(_, setting)| setting.required);
            for (name, setting) in needed.filter(|(name, setting)| !self.has(name, setting)) {
                let (plugins, _) = missing.entry(name).or_insert_with(|| (Vec::new(), setting));
                if !plugins.contains(&reader.0) {
                    plugins.push(reader.0);
                }
            }
        }
        let problem = |(name, (plugins, setting)): (&str, (Vec<&PluginName>, &DeclaredSetting))| {
            let need = if plugins.len() == 1 { "needs" } else { "need" };
            let (called, those, about) = (&self.called, quoted(&plugins), &setting.about);
            let sentence = if self.is_the_hosts && !self.may_say(name) {
                format!(
                    "{called} has no setting `{name}`, which {those} {need}, and a subscriber has no settings of its own; name another plugin"
                )
            } else {
                format!("{called} has no {}, which {those} {need}; add it ({about})", self.as_written(name))
            };
            self.problem(name, Slip::Missing, &plugins, sentence)
        };
        missing.into_iter().map(problem).collect()
    }

    /// Whether whoever writes a subscriber has a key for this setting.
    fn may_say(&self, name: &str) -> bool {
        let is_posted_to = self.settings.contains_key(URL);
        is_posted_to && name == ANSWER_TIMEOUT
    }

    /// A setting as whoever wrote it has to look for it: those of a subscriber are made of keys.
    fn as_written(&self, name: &str) -> String {
        let name = on_one_line(name);
        if self.is_the_hosts { format!("`{}`", name.replace('-', "_")) } else { format!("setting `{name}`") }
    }

    fn has(&self, name: &str, setting: &DeclaredSetting) -> bool {
        let mut given = [Some(self.settings), self.beside].into_iter().flatten().flatten();
        given.any(|(written, value)| !value.is_empty() && setting.is_called(name, written))
    }

    /// Settings whose value a plugin does not take.
    fn wrong(&self, declared: &'a Declarations) -> Vec<SettingProblem> {
        let mut wrong: Vec<SettingProblem> = Vec::new();
        for (written, value) in self.settings {
            for reader in &self.readers {
                let read = read_by(*reader, declared).filter(|(name, setting)| setting.is_called(name, written));
                for expected in read.filter_map(|(_, setting)| setting.expected(value)) {
                    let shown = on_one_line(&value.chars().take(SHOWN_CHARS_MAX).collect::<String>());
                    let (called, plugin, name) = (&self.called, reader.0, self.as_written(written));
                    let sentence =
                        format!("{name} of {called} is `{shown}`, and `{plugin}` takes {expected}; correct it");
                    let problem = self.problem(written, Slip::NotTaken, &[plugin], sentence);
                    // Two calls of one plugin read it alike.
                    if !wrong.contains(&problem) {
                        wrong.push(problem);
                    }
                }
            }
        }
        wrong
    }
}

/// The settings that a call reads, of those that people give.
fn read_by<'a>(
    (plugin, call): Reader<'_>,
    declared: &'a Declarations,
) -> impl Iterator<Item = (&'a str, &'a DeclaredSetting)> + use<'a> {
    let of_plugin = declared.get(plugin).into_iter().flatten();
    let of_people = of_plugin.filter(|(name, _)| !HOSTS_OWN.contains(&name.as_str()));
    let read = of_people.filter(move |(_, setting)| setting.is_read_on(call));
    read.map(|(name, setting)| (name.as_str(), setting))
}

fn quoted(names: impl IntoIterator<Item = impl std::fmt::Display>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;

    /// A connector with a setting for each call, and a transformer.
    fn declared() -> Declarations {
        let said = json!({
            "rest": {
                "base-url": {"about": "Where it is", "kind": "text", "required": true, "on": ["deliver", "find", "poll"]},
                "answer-timeout-ms": {"about": "How long", "kind": "integer", "min": 1, "max": 25000},
                "list": {"about": "What is listed", "kind": "choice", "choices": ["stock"], "required": true, "on": ["poll"]},
                "usage": {"about": "P or T", "kind": "choice", "choices": ["P", "T"], "on": ["deliver"], "per_partner": true},
                "taken": {"about": "Sets", "kind": "text", "on": ["receive"]},
                "asked": {"about": "What find asks", "kind": "text", "on": ["find"]},
            },
            "documents": {
                "account": {"about": "An account", "kind": "text", "on": ["from-canonical"]},
                "currency": {"about": "A currency", "kind": "text", "chars_max": 3, "on": ["to-canonical"]},
            },
            "silent": {},
            "sending": {
                "interchange-partner": {
                    "about": "Whom it goes to", "kind": "text", "required": true, "parts_min": 2, "parts_max": 3,
                    "on": ["deliver"],
                },
            },
        });
        serde_json::from_value(said).unwrap()
    }

    fn check(routes: Value, expected: &[&str]) {
        let routes: Routes = serde_json::from_value(routes).unwrap();
        assert_eq!(sentences(&routes, &declared()), expected);
    }

    fn sentences(routes: &Routes, declared: &Declarations) -> Vec<String> {
        routes.setting_problems(declared).iter().map(ToString::to_string).collect()
    }

    fn target(settings: Value) -> Value {
        target_of("rest", false, settings)
    }

    fn target_of(connector: &str, find: bool, settings: Value) -> Value {
        json!({"target": [{
            "id": "erp", "connector": connector, "transformer": "documents", "kind": "some/kind", "find": find,
            "origin": "https://erp.example", "exception_queue": "integration", "settings": settings,
        }]})
    }

    fn channel(settings: Value, polls: Value) -> Value {
        json!({
            "channel": [{
                "id": "in", "connector": "rest", "documents": {"some/kind": "documents"}, "target": "erp",
                "exception_queue": "integration", "settings": settings,
            }],
            "poll": polls,
        })
    }

    fn poll(settings: Value) -> Value {
        json!([{"id": "new", "channel": "in", "every_seconds": 60, "origin": "https://erp.example", "settings": settings}])
    }

    #[test]
    fn a_target_is_held_to_what_its_two_plugins_read_when_something_is_delivered() {
        check(target(json!({"base-url": "https://erp.example", "account": "6130", "usage": "P"})), &[]);
        check(
            target(json!({"base-url": "https://erp.example", "acount": "6130", "list": "stock"})),
            &[
                "no plugin of target `erp` (`documents`, `rest`) reads a setting `acount` (read are `account`, `answer-timeout-ms`, `base-url`, `usage`); did you mean `account`?",
                "no plugin of target `erp` (`documents`, `rest`) reads a setting `list` (read are `account`, `answer-timeout-ms`, `base-url`, `usage`); take it out",
            ],
        );
        check(target(json!({})), &["target `erp` has no setting `base-url`, which `rest` needs; add it (Where it is)"]);
        check(
            target(json!({"base-url": ""})),
            &["target `erp` has no setting `base-url`, which `rest` needs; add it (Where it is)"],
        );
    }

    #[test]
    fn what_find_alone_reads_is_for_a_target_that_can_be_asked() {
        let settings = json!({"base-url": "https://erp.example", "asked": "by number"});
        check(target_of("rest", true, settings.clone()), &[]);
        check(
            target_of("rest", false, settings),
            &[
                "no plugin of target `erp` (`documents`, `rest`) reads a setting `asked` (read are `account`, `answer-timeout-ms`, `base-url`, `usage`); take it out",
            ],
        );
    }

    #[test]
    fn whom_an_interchange_goes_to_is_written_as_its_connector_takes_it_and_the_host_alone_gives_it() {
        let sending = |interchange: Value, settings: Value| {
            let mut routes = target_of("sending", false, settings);
            if !interchange.is_null() {
                let target = routes.pointer_mut("/target/0").unwrap().as_object_mut().unwrap();
                target.insert("interchange".to_owned(), interchange);
            }
            routes
        };
        // What a part may be the connector alone knows.
        for partner in ["ZZ:ACME", "ZZ:ACME:DOCK", "ZZZ:ACME-OF-MORE-LETTERS-THAN-IT-SENDS"] {
            check(sending(json!({"partner": partner}), json!({})), &[]);
        }
        check(sending(json!({}), json!({})), &[]);
        check(
            sending(json!({"partner": "ACME"}), json!({})),
            &[
                "`partner` in [target.interchange] of target `erp` is `ACME`, and `sending` takes 2 to 3 parts between colons (Whom it goes to); correct it",
            ],
        );
        check(
            sending(Value::Null, json!({})),
            &[
                "target `erp` has no [target.interchange], by which the host tells `sending` whom its messages go to and under which number; add it",
            ],
        );
        // It is no setting of the target, whoever declares it.
        check(
            sending(json!({}), json!({"interchange-partner": "ZZ:ACME"})),
            &[
                "no plugin of target `erp` (`documents`, `sending`) reads a setting `interchange-partner` (read are `account`); take it out",
            ],
        );
        check(target_of("rest", false, json!({"base-url": "https://erp.example"})), &[]);
    }

    #[test]
    fn a_value_that_a_plugin_does_not_take_is_told_once_with_what_it_takes() {
        let settings = json!({"base-url": "https://erp.example", "answer-timeout-ms": "soon"});
        check(
            target_of("rest", true, settings),
            &[
                "setting `answer-timeout-ms` of target `erp` is `soon`, and `rest` takes a whole number from 1 to 25000; correct it",
            ],
        );
    }

    #[test]
    fn a_subscriber_hears_of_its_own_keys_and_of_no_setting_that_it_cannot_give() {
        let subscriber = |connector: &str, timeout_ms: u32| {
            json!({"subscriber": [{
                "id": "crm", "url": "https://crm.example/hooks", "secret": {"file": "crm.key"},
                "connector": connector, "transformer": "documents", "exception_queue": "integration",
                "answer_timeout_ms": timeout_ms,
            }]})
        };
        let routes = |connector: &str, timeout_ms: u32| {
            let mut routes: Routes = serde_json::from_value(subscriber(connector, timeout_ms)).unwrap();
            routes.targets = routes.subscribers.iter().filter_map(crate::feed::Subscriber::target).collect();
            routes.setting_problems(&declared()).iter().map(SettingProblem::to_string).collect::<Vec<_>>()
        };
        assert_eq!(routes("old", 30_000), Vec::<String>::new());
        assert_eq!(
            routes("rest", 30_000),
            [
                "subscriber `crm` has no setting `base-url`, which `rest` needs, and a subscriber has no settings of its own; name another plugin",
                "`answer_timeout_ms` of subscriber `crm` is `30000`, and `rest` takes a whole number from 1 to 25000; correct it",
            ],
        );
    }

    #[test]
    fn a_partners_own_setting_is_known_where_the_plugin_has_one_for_each() {
        check(target(json!({"base-url": "https://erp.example", "usage@ZZ:ACME": "T"})), &[]);
        check(
            target(json!({"base-url": "https://erp.example", "usage@ZZ:ACME": "X", "account@ZZ:ACME": "6130"})),
            &[
                "no plugin of target `erp` (`documents`, `rest`) reads a setting `account@ZZ:ACME`, since `account` is one for all partners; leave out the `@` and what follows",
                "setting `usage@ZZ:ACME` of target `erp` is `X`, and `rest` takes one of `P`, `T`; correct it",
            ],
        );
    }

    #[test]
    fn a_plugin_that_says_nothing_of_its_settings_may_read_any_and_one_that_has_none_takes_none() {
        check(target_of("old", true, json!({"whatever": "1"})), &[]);
        let routes = json!({"channel": [{
            "id": "in", "connector": "silent", "documents": {}, "target": "erp", "exception_queue": "integration",
            "settings": {"whatever": "1"},
        }]});
        check(routes, &["no plugin of channel `in` (`silent`) reads a setting `whatever`, or any other; take it out"]);
    }

    #[test]
    fn a_channel_gives_its_polls_what_they_need_and_needs_nothing_of_it_itself() {
        check(channel(json!({"taken": "850", "currency": "USD"}), json!([])), &[]);
        let shared = json!({"base-url": "https://erp.example", "currency": "USD"});
        check(channel(shared.clone(), poll(json!({"list": "stock"}))), &[]);
        check(
            channel(shared.clone(), poll(json!({}))),
            &["poll `new` has no setting `list`, which `rest` needs; add it (What is listed)"],
        );
        check(
            channel(shared, poll(json!({"list": "stock", "currency": "USD"}))),
            &[
                "no plugin of poll `new` (`rest`) reads a setting `currency` (read are `answer-timeout-ms`, `base-url`, `list`); take it out",
            ],
        );
        check(
            channel(json!({"base-url": "https://erp.example"}), json!([])),
            &[
                "no plugin of channel `in` (`documents`, `rest`) reads a setting `base-url` (read are `answer-timeout-ms`, `currency`, `taken`); take it out",
            ],
        );
    }

    #[test]
    fn each_system_of_a_reconciliation_is_held_to_what_its_plugins_read_of_a_list() {
        let system = |name: &str, settings: Value| {
            json!({
                "system": name, "connector": "rest", "transformer": "documents", "origin": "https://erp.example",
                "settings": settings,
            })
        };
        let right = json!({"base-url": "https://erp.example", "list": "stock", "currency": "USD"});
        let left = json!({"base-url": "https://erp.example", "list": "stocks"});
        check(
            json!({"reconciliation": [{
                "id": "stock", "of": "stock", "left": system("the WMS", left), "right": system("the ERP", right),
                "exception_queue": "integration",
            }]}),
            &[
                "setting `list` of system `the WMS` of [[reconciliation]] `stock` is `stocks`, and `rest` takes one of `stock`; correct it",
            ],
        );
    }

    /// What is wrong now and was not before, in its sentences.
    fn news(routes: &Value, before: &Declarations, now: &Declarations) -> Vec<String> {
        let routes: Routes = serde_json::from_value(routes.clone()).unwrap();
        let known = routes.setting_problems(before);
        let news = routes.setting_problems(now).into_iter().filter(|problem| !problem.was_among(&known));
        news.map(|problem| problem.to_string()).collect()
    }

    /// The declarations above with other words of one plugin.
    fn but(plugin: &str, said: Value) -> Declarations {
        let mut declared = declared();
        declared.insert(PluginName::parse(plugin).unwrap(), serde_json::from_value(said).unwrap());
        declared
    }

    #[test]
    fn what_was_wrong_before_is_no_news_however_it_is_said_now() {
        let about = |more: Value| {
            let mut said = json!({"about": "Something", "kind": "text"});
            said.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            said
        };
        let routes = target(json!({"base-url": "https://erp.example", "acount": "6130", "answer-timeout-ms": "soon"}));
        let before = declared();
        assert_eq!(news(&routes, &before, &before), Vec::<String>::new());

        // Both are wrong as before, and said in other words: more is read, and less is taken.
        let said = json!({
            "base-url": about(json!({})), "company": about(json!({})),
            "answer-timeout-ms": {"about": "How long", "kind": "integer", "min": 1, "max": 9},
        });
        let now = but("rest", said);
        let parsed: Routes = serde_json::from_value(routes.clone()).unwrap();
        let (said_before, said_now) = (sentences(&parsed, &before), sentences(&parsed, &now));
        assert_eq!((said_before.len(), said_now.len()), (2, 2));
        assert!(said_before.iter().all(|sentence| !said_now.contains(sentence)), "{said_now:?}");
        assert_eq!(news(&routes, &before, &now), Vec::<String>::new());

        // Another setting, another place, another way to be wrong and another plugin are news.
        let needs = |plugin: &str| but(plugin, json!({"company": about(json!({"required": true}))}));
        let bare = target(json!({}));
        assert_eq!(
            news(&bare, &before, &needs("rest")),
            ["target `erp` has no setting `company`, which `rest` needs; add it (Something)"]
        );
        assert_eq!(news(&bare, &needs("rest"), &needs("rest")), Vec::<String>::new());
        let mut both = needs("rest");
        both.extend(needs("documents").remove_entry(&PluginName::parse("documents").unwrap()));
        assert_eq!(
            news(&bare, &needs("rest"), &both),
            ["target `erp` has no setting `company`, which `documents`, `rest` need; add it (Something)"]
        );
        assert_eq!(news(&bare, &both, &needs("rest")), Vec::<String>::new(), "less is wrong than before");
        let unread = target(json!({"base-url": "https://erp.example", "usage": "X"}));
        let reads_none = but("rest", json!({"base-url": about(json!({}))}));
        assert_eq!(news(&unread, &before, &reads_none).len(), 1, "it held a wrong word, and now nobody reads it");
    }
}
