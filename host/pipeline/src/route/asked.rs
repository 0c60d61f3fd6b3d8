//! Whether what routes ask for is made by the transformer and taken by the connector that they name.
//!
//! A kind of message is a word of a configuration to which plugins answer. Where one is misspelt, or is asked
//! for of an event that it is not made of, each delivery fails when it is due, and is a dead letter that whoever
//! wrote the word could have been spared. So what manifests say (`handles.renders`, `handles.delivers` and
//! `[messages]`) is compared with whatever asks:
//!
//! ```text
//! target         its own kind, and those of its block
//! effect         its kind, of what it is of
//! [refunds]      theirs, of refund.issued
//! subscription   its kind, which the connector of its poll delivers
//! ```
//!
//! What a target's own kind is made of is not looked at. Whether a channel brings orders only its transformers
//! know: one that takes acknowledgements, or fetches what it was told of, names a target as well.
//!
//! Of plugins of which nobody knows anything nothing is said, nor of one that is of another kind than its place
//! needs, which is told of every place alike ([`Routes::misplaced`]). Nor of a kind that a transformer without
//! `[messages]` does not render: it may be a word of its own, and one that was built before there was such a
//! table could not say so. But where it renders nothing, whatever it made would be refused by the sandbox.

use std::collections::BTreeMap;
use std::fmt;

use portreeve_model::{PluginKind, PluginName};
use portreeve_registry::Manifest;
use portreeve_store::contract::OrderEventKind;

use super::{CHANGE_ACCEPTED, CHANGE_REFUSED, Effect, ORDER_HELD, ORDER_RELEASED, Refunds, Routes, Sends, Target};
use crate::feed::ORDER_CREATED;
use crate::poll::Poll;

/// What plugins say of themselves, of those of which anybody knows.
pub type Manifests = BTreeMap<PluginName, Manifest>;

/// A kind of message or document that a plugin does not make, take or read where it is asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindProblem {
    /// What asks for it, as people call it.
    pub(super) asks: String,
    pub(super) kind: String,
    pub(super) plugin: PluginName,
    pub(super) fault: Fault,
    /// What people read.
    pub(super) sentence: String,
}

/// How a kind is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Its transformer does not make it.
    Unmade,
    /// Its transformer makes it, and not of this event.
    NotMadeOf(String),
    /// Its connector does not take it.
    Untaken,
    /// No connector of its channel makes it.
    Unbrought,
    /// Its transformer does not read it.
    Unread,
}

impl KindProblem {
    /// Whether the same was wrong already by an earlier look: the same kind, asked for in the same place of
    /// the same plugin, in the same way. How it was said does not matter.
    #[must_use]
    pub fn was_among(&self, before: &[Self]) -> bool {
        before.iter().any(|earlier| {
            let is_same = earlier.fault == self.fault && earlier.kind == self.kind && earlier.plugin == self.plugin;
            is_same && earlier.asks == self.asks
        })
    }
}

impl fmt::Display for KindProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Something that asks for a kind of message.
struct Ask<'a> {
    /// How people call it.
    asks: String,
    target: &'a Target,
    kind: &'a str,
    /// Whether it names the kind itself; otherwise it is its target's, of which that says what is wrong.
    names_it: bool,
    /// The event that the message is to be made of, where it is certain which one that is.
    event: Option<&'a str>,
    /// The effect that asks, if it is one.
    effect: Option<&'a Effect>,
}

impl Routes {
    /// Kinds of messages that a transformer does not make, or not of what they are asked for, and that a
    /// connector does not take.
    #[must_use]
    pub fn message_problems(&self, plugins: &Manifests) -> Vec<KindProblem> {
        let targets = self.targets.iter().flat_map(asked_by_target);
        let effects = self.effects.iter().filter_map(|effect| self.asked_by_effect(effect));
        let refunds = self.refunds.iter().filter_map(|refunds| self.asked_by_refunds(refunds));
        let asked = targets.chain(effects).chain(refunds).filter_map(|ask| ask.problem(plugins));
        asked.chain(self.subscribing_problems(plugins)).collect()
    }

    fn asked_by_effect<'a>(&'a self, effect: &'a Effect) -> Option<Ask<'a>> {
        let (target, kind) = (self.target(&effect.target)?, self.kind_of(effect)?);
        let asks = format!("an effect of `{}` on target `{}`", effect.on, target.id);
        let (names_it, event) = (effect.kind.is_some(), Some(event_of(effect)));
        Some(Ask { asks, target, kind, names_it, event, effect: Some(effect) })
    }

    fn asked_by_refunds<'a>(&'a self, refunds: &'a Refunds) -> Option<Ask<'a>> {
        let target = self.target(&refunds.target)?;
        let (asks, names_it) = ("[refunds]".to_owned(), refunds.kind.is_some());
        let (kind, event) = (refunds.kind.as_deref().unwrap_or(&target.kind), OrderEventKind::RefundIssued.as_str());
        Some(Ask { asks, target, kind, names_it, event: Some(event), effect: None })
    }

    fn subscribing_problems(&self, plugins: &Manifests) -> Vec<KindProblem> {
        let problem = |poll: &Poll| {
            let subscription = poll.subscription.as_ref()?;
            let connector = poll.connector(self.channel(&poll.channel)?);
            let delivers = &of_kind(plugins, connector, PluginKind::Connector)?.handles.delivers;
            let kind = &subscription.kind;
            let asks = format!("the subscription of poll `{}`", poll.id);
            let is_wrong = !kind.is_empty() && !delivers.contains(kind);
            is_wrong.then(|| not_taken(asks, kind, connector, delivers))
        };
        self.polls.iter().filter_map(problem).collect()
    }
}

fn asked_by_target(target: &Target) -> Vec<Ask<'_>> {
    let ask = |asks, kind| Ask { asks, target, kind, names_it: true, event: None, effect: None };
    let own = ask(target.called(), target.kind.as_str());
    let blocked = target.blocked.iter().flat_map(|blocked| [&blocked.create, &blocked.clear, &blocked.cancel]);
    let blocked = blocked.map(|kind| ask(format!("`blocked` of {}", target.called()), kind.as_str()));
    std::iter::once(own).chain(blocked).collect()
}

/// What a plugin says of itself, where it is known and of the kind that its place needs.
pub(super) fn of_kind<'a>(plugins: &'a Manifests, name: &PluginName, kind: PluginKind) -> Option<&'a Manifest> {
    plugins.get(name).filter(|manifest| manifest.plugin.kind == kind)
}

/// The event that the message of an effect is made of.
fn event_of(effect: &Effect) -> &str {
    match effect.on.as_str() {
        _ if effect.sends == Sends::Order => ORDER_CREATED,
        ORDER_HELD | ORDER_RELEASED => ORDER_CREATED,
        CHANGE_ACCEPTED | CHANGE_REFUSED => OrderEventKind::Changed.as_str(),
        on => on,
    }
}

impl Ask<'_> {
    fn problem(&self, plugins: &Manifests) -> Option<KindProblem> {
        let Self { asks, target, kind, .. } = self;
        let name = &target.transformer;
        let transformer = of_kind(plugins, name, PluginKind::Transformer)?;
        let problem = |fault, sentence| {
            let (asks, kind, plugin) = (asks.clone(), (*kind).to_owned(), name.clone());
            KindProblem { asks, kind, plugin, fault, sentence }
        };
        let Some(made) = transformer.made(kind) else {
            // Without `[messages]` it may have words of its own, but for whatever it renders.
            if transformer.messages.is_empty() && !transformer.handles.renders.is_empty() {
                return None;
            }
            let expected = expected(transformer.may_be_asked_for());
            let sentence = format!(
                "{asks} asks for messages of kind `{kind}`, which its transformer `{name}` does not make; expected {expected}"
            );
            return self.names_it.then(|| problem(Fault::Unmade, sentence));
        };
        if let Some(event) = self.event.filter(|event| !transformer.makes_of(kind, event)) {
            let of = transformer.made_of(kind).unwrap_or_default();
            let sentence = format!(
                "{asks} asks for messages of kind `{kind}` of `{event}`, and `{name}` makes them of {} alone; {}",
                quoted(of),
                self.todo(of)
            );
            return Some(problem(Fault::NotMadeOf(event.to_owned()), sentence));
        }
        // A stream's messages are the host's to send.
        let connector = Some(&target.connector).filter(|_| self.names_it && target.stream().is_none())?;
        let delivers = &of_kind(plugins, connector, PluginKind::Connector)?.handles.delivers;
        (!delivers.iter().any(|taken| taken == made)).then(|| not_taken(asks.clone(), made, connector, delivers))
    }

    fn todo(&self, of: &[String]) -> &'static str {
        let is_of_order = of.iter().any(|event| event == ORDER_CREATED);
        match self.effect {
            Some(effect) if effect.sends == Sends::Order => {
                "leave out `sends`, by which they are made of what was said, or name another `kind`"
            }
            Some(effect) if is_of_order && effect.on == OrderEventKind::Accepted.as_str() => {
                "add `sends = \"order\"`, by which they are made of the order as it came, or name another `kind`"
            }
            Some(_) => "name another `kind`, or have the effect be of another event",
            None => "name another `kind`, or another target",
        }
    }
}

fn not_taken(asks: String, kind: &str, connector: &PluginName, delivers: &[String]) -> KindProblem {
    let sentence = format!(
        "{asks} asks for messages of kind `{kind}`, which its connector `{connector}` does not take; expected {}",
        expected(delivers)
    );
    let (kind, plugin) = (kind.to_owned(), connector.clone());
    KindProblem { asks, kind, plugin, fault: Fault::Untaken, sentence }
}

/// What would be right, for the end of a sentence.
pub(super) fn expected(kinds: impl IntoIterator<Item = impl fmt::Display>) -> String {
    let kinds = quoted(kinds);
    if kinds.is_empty() { "another plugin, since that one has none".to_owned() } else { format!("one of {kinds}") }
}

/// Names as a sentence lists them.
pub(super) fn quoted(names: impl IntoIterator<Item = impl fmt::Display>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use portreeve_registry::DeclaredMessage;
    use serde_json::{Value, json};

    use super::*;

    /// A plugin that says no more of itself than what it handles, and what follows there.
    pub(in crate::route) fn manifest(name: &str, kind: &str, handles: &str) -> (PluginName, Manifest) {
        let text = format!(
            "[plugin]\nname = \"{name}\"\nversion = \"0.1.0\"\nkind = \"{kind}\"\n\
             contract = \"portreeve:plugin@0.1.0\"\ndescription = \"Some.\"\npublisher = \"acme\"\n\
             license = \"MIT\"\n[handles]\n{handles}\n"
        );
        (PluginName::parse(name).unwrap(), Manifest::parse(&text).unwrap())
    }

    /// A transformer with a kind of its own for what an order waits for, and a connector that takes less.
    fn plugins() -> Manifests {
        let out = "renders = [\"x/855\", \"x/940\", \"x/810\"]\n\
                   [messages.\"x/855\"]\nof = [\"order.accepted\", \"order.rejected\"]\n\
                   [messages.\"x/855-held\"]\nof = [\"order.created\"]\nrenders = \"x/855\"\n\
                   [messages.\"x/940\"]\nof = [\"order.created\"]\n";
        let send = "delivers = [\"x/855\", \"x/940\", \"x/note\"]\n";
        [manifest("out", "transformer", out), manifest("send", "connector", send)].into()
    }

    /// A channel whose orders go to an ERP of which nobody knows anything, a target, and what asks of it.
    fn routes(kind: &str, more: Value) -> Routes {
        let target = |id: &str, connector: &str, transformer: &str, kind: &str| {
            json!({
                "id": id, "connector": connector, "transformer": transformer, "kind": kind, "find": false,
                "origin": "https://a.example", "exception_queue": "q",
            })
        };
        let mut routes = json!({
            "channel": [{"id": "edi", "connector": "in", "documents": {}, "target": "erp", "exception_queue": "q"}],
            "target": [target("erp", "unknown", "unknown", "any"), target("acme", "send", "out", kind)],
        });
        routes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(routes).unwrap()
    }

    fn check(kind: &str, more: Value, expected: &[&str]) {
        let problems = routes(kind, more).message_problems(&plugins());
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    fn effect(on: &str, more: Value) -> Value {
        let mut effect = json!({"on": on, "target": "acme"});
        effect.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"effect": [effect]})
    }

    #[test]
    fn a_kind_that_nobody_makes_is_told_where_it_is_named_and_once() {
        let made = "expected one of `x/810`, `x/855`, `x/855-held`, `x/940`";
        let of_target = format!(
            "target `acme` asks for messages of kind `x/899`, which its transformer `out` does not make; {made}"
        );
        check("x/899", json!({}), &[of_target.as_str()]);
        check("x/899", effect("order.accepted", json!({})), &[of_target.as_str()]);
        let of_effect = format!(
            "an effect of `order.accepted` on target `acme` asks for messages of kind `x/899`, which its transformer `out` does not make; {made}"
        );
        let named = effect("order.accepted", json!({"kind": "x/899"}));
        check("x/855", named.clone(), &[of_effect.as_str()]);
        check("x/899", named, &[of_target.as_str(), of_effect.as_str()]);
    }

    #[test]
    fn a_kind_that_is_made_and_that_nobody_takes_is_told_with_what_is_taken() {
        check(
            "x/855",
            effect("invoice.posted", json!({"kind": "x/810"})),
            &[
                "an effect of `invoice.posted` on target `acme` asks for messages of kind `x/810`, which its connector `send` does not take; expected one of `x/855`, `x/940`, `x/note`",
            ],
        );
        // A word of the transformer's own is sent as what it makes of it.
        check("x/855", effect("order.held", json!({"kind": "x/855-held"})), &[]);
    }

    #[test]
    fn a_kind_that_is_made_of_something_else_is_told_with_what_it_is_made_of() {
        check("x/855", effect("order.accepted", json!({})), &[]);
        check("x/855", effect("order.rejected", json!({})), &[]);
        check(
            "x/855",
            effect("order.accepted", json!({"sends": "order"})),
            &[
                "an effect of `order.accepted` on target `acme` asks for messages of kind `x/855` of `order.created`, and `out` makes them of `order.accepted`, `order.rejected` alone; leave out `sends`, by which they are made of what was said, or name another `kind`",
            ],
        );
        check("x/940", effect("order.accepted", json!({"sends": "order"})), &[]);
        check(
            "x/940",
            effect("order.accepted", json!({})),
            &[
                "an effect of `order.accepted` on target `acme` asks for messages of kind `x/940` of `order.accepted`, and `out` makes them of `order.created` alone; add `sends = \"order\"`, by which they are made of the order as it came, or name another `kind`",
            ],
        );
        check(
            "x/940",
            effect("order.change-accepted", json!({"kind": "x/855"})),
            &[
                "an effect of `order.change-accepted` on target `acme` asks for messages of kind `x/855` of `order.changed`, and `out` makes them of `order.accepted`, `order.rejected` alone; name another `kind`, or have the effect be of another event",
            ],
        );
    }

    #[test]
    fn a_channel_names_a_target_whatever_its_messages_are_made_of_since_it_may_bring_no_orders() {
        let channel = |id: &str, documents: Value, says: Value| {
            json!({
                "id": id, "connector": "in", "documents": documents, "says": says, "target": "acme",
                "exception_queue": "q",
            })
        };
        let channels = json!({"channel": [
            channel("wakes-a-poll", json!({}), json!([])),
            channel("says", json!({"x/event": "events"}), json!(["shipment.confirmed"])),
            channel("acknowledges", json!({"x/997": "acknowledgements", "x/ta1": "acknowledgements"}), json!([])),
        ]});
        check("x/855", channels.clone(), &[]);
        check("x/940", channels.clone(), &[]);
        // A kind that nobody makes is none for them either.
        check(
            "x/899",
            channels,
            &[
                "target `acme` asks for messages of kind `x/899`, which its transformer `out` does not make; expected one of `x/810`, `x/855`, `x/855-held`, `x/940`",
            ],
        );
    }

    #[test]
    fn a_transformer_that_says_nothing_of_its_messages_may_have_words_of_its_own() {
        let mut plugins = plugins();
        let out = PluginName::parse("out").unwrap();
        plugins.get_mut(&out).unwrap().messages.retain(|kind, _| kind == "x/940");
        let routes = routes("x/810", effect("order.held", json!({"kind": "x/855-held"})));
        let sentences =
            |plugins: &Manifests| Vec::from_iter(routes.message_problems(plugins).iter().map(ToString::to_string));
        let not_taken = "target `acme` asks for messages of kind `x/810`, which its connector `send` does not take; expected one of `x/855`, `x/940`, `x/note`";
        let not_made = "an effect of `order.held` on target `acme` asks for messages of kind `x/855-held`, which its transformer `out` does not make; expected one of `x/810`, `x/855`, `x/940`";
        assert_eq!(sentences(&plugins), [not_taken, not_made]);
        plugins.get_mut(&out).unwrap().messages.clear();
        assert_eq!(sentences(&plugins), [not_taken], "what it renders is held against who takes it");
    }

    #[test]
    fn a_transformer_that_renders_nothing_makes_no_message_of_any_kind() {
        let mut plugins = plugins();
        let out = plugins.get_mut(&PluginName::parse("out").unwrap()).unwrap();
        out.messages.clear();
        out.handles.renders.clear();
        out.handles.maps = vec!["x/850".to_owned()];
        let routes = routes("x/855", effect("order.accepted", json!({})));
        let problems = routes.message_problems(&plugins);
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "target `acme` asks for messages of kind `x/855`, which its transformer `out` does not make; expected another plugin, since that one has none"
            ]
        );
    }

    #[test]
    fn a_plugin_of_another_kind_is_told_by_its_place_and_not_by_what_is_asked_of_it() {
        let mut routes = routes("x/899", json!({}));
        let named = |name: &str| PluginName::parse(name).unwrap();
        let target = routes.targets.last_mut().unwrap();
        (target.connector, target.transformer) = (named("out"), named("send"));
        assert!(routes.message_problems(&plugins()).is_empty());
        assert_eq!(
            routes.misplaced(&plugins()),
            [
                "target `acme` uses plugin `out` as a connector, and it is a transformer; name a connector there",
                "target `acme` uses plugin `send` as a transformer, and it is a connector; name a transformer there",
            ]
        );
        assert!(routes.misplaced(&Manifests::new()).is_empty(), "nothing is said of plugins that nobody knows");
    }

    #[test]
    fn refunds_and_subscriptions_ask_as_well() {
        let refunds = |kind: &str| {
            let (causes, most) = (json!(["goods-return"]), json!({"USD": 1}));
            json!({"refunds": {"target": "acme", "kind": kind, "causes": causes, "amount_max_minor": most}})
        };
        check(
            "x/855",
            refunds("x/855"),
            &[
                "[refunds] asks for messages of kind `x/855` of `refund.issued`, and `out` makes them of `order.accepted`, `order.rejected` alone; name another `kind`, or another target",
            ],
        );
        let poll = |kind: &str| {
            json!({"poll": [{
                "id": "new", "channel": "edi", "connector": "send", "every_seconds": 60, "origin": "https://a.example",
                "subscription": {"channel": "edi", "url": "https://us.example/edi", "resource": "orders", "kind": kind},
            }]})
        };
        check("x/855", poll("x/note"), &[]);
        check(
            "x/855",
            poll("x/nota"),
            &[
                "the subscription of poll `new` asks for messages of kind `x/nota`, which its connector `send` does not take; expected one of `x/855`, `x/940`, `x/note`",
            ],
        );
    }

    #[test]
    fn what_was_wrong_before_is_no_news_and_what_a_plugin_leaves_off_is() {
        let (routes, before) = (routes("x/855", effect("order.held", json!({"kind": "x/899"}))), plugins());
        let mut now = before.clone();
        let send = now.get_mut(&PluginName::parse("send").unwrap()).unwrap();
        send.handles.delivers.retain(|kind| kind == "x/note");
        let (known, found) = (routes.message_problems(&before), routes.message_problems(&now));
        assert_eq!((known.len(), found.len()), (1, 2));
        let news: Vec<String> =
            found.iter().filter(|problem| !problem.was_among(&known)).map(ToString::to_string).collect();
        assert_eq!(
            news,
            [
                "target `acme` asks for messages of kind `x/855`, which its connector `send` does not take; expected one of `x/note`"
            ]
        );
        assert!(found.iter().all(|problem| problem.was_among(&found)));

        // The same kind of the same plugin is wrong in another way.
        let mut of_others = before.clone();
        let out = of_others.get_mut(&PluginName::parse("out").unwrap()).unwrap();
        out.handles.renders.push("x/899".to_owned());
        let of = DeclaredMessage { of: vec!["order.accepted".to_owned()], renders: None };
        out.messages.insert("x/899".to_owned(), of);
        let found = routes.message_problems(&of_others);
        assert_eq!(found.len(), 1);
        assert!(!found.iter().any(|problem| problem.was_among(&known)), "{found:?}");
        assert!(routes.message_problems(&Manifests::new()).is_empty(), "nothing is said of plugins that nobody knows");
    }
}
