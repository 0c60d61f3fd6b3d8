//! Whether the documents that channels have read are brought by their connectors and read by their transformers.
//!
//! A kind of document that is misspelt in `documents` or `wakes` of a channel is no fault when it is configured, and
//! none when an input comes: what nobody maps is an exception with its input, each time. So what stands there is
//! compared with what manifests say:
//!
//! ```text
//! documents     its kinds, which a connector of the channel or of one of its polls makes (`handles.receives`)
//!               its transformers, which read them (`handles.maps`)
//! wakes.kinds   which a connector makes
//! ```
//!
//! The sandbox holds plugins to the same lists, so what is told can never work. Nothing is said of a kind that is made
//! and not named: it may be a person's, as it comes.

use std::collections::BTreeSet;

use portreeve_model::{PluginKind, PluginName};

use super::asked::{Fault, expected, of_kind, quoted};
use super::{Channel, KindProblem, Manifests, Routes};

impl Routes {
    /// Kinds of documents that a channel names and none of its connectors makes, or that a transformer is to read and
    /// does not.
    #[must_use]
    pub fn document_problems(&self, plugins: &Manifests) -> Vec<KindProblem> {
        self.channels.iter().flat_map(|channel| self.unread_of(channel, plugins)).collect()
    }

    fn unread_of(&self, channel: &Channel, plugins: &Manifests) -> Vec<KindProblem> {
        let connectors = self.connectors_of(channel);
        let made = made_by(&connectors, plugins);
        let read = channel.documents.iter().map(|(kind, transformer)| (kind, Some(transformer)));
        let waking = channel.wakes.iter().flat_map(|wakes| &wakes.kinds).map(|kind| (kind, None));
        let problem = |(kind, transformer): (&String, Option<&PluginName>)| match &made {
            Some(made) if !made.contains(kind.as_str()) => Some(unbrought(channel, kind, &connectors, made)),
            Some(_) | None => unread(channel, kind, transformer?, plugins),
        };
        read.chain(waking).filter_map(problem).collect()
    }

    /// Whatever brings documents of a channel: who listens there, and who asks for it.
    fn connectors_of<'a>(&'a self, channel: &'a Channel) -> BTreeSet<&'a PluginName> {
        let polls = self.polls.iter().filter(|poll| poll.channel == channel.id);
        std::iter::once(&channel.connector).chain(polls.map(|poll| poll.connector(channel))).collect()
    }
}

/// The kinds of documents that connectors make; nothing, where one of them is not known.
fn made_by<'a>(connectors: &BTreeSet<&PluginName>, plugins: &'a Manifests) -> Option<BTreeSet<&'a str>> {
    let mut made = BTreeSet::new();
    for connector in connectors {
        let manifest = of_kind(plugins, connector, PluginKind::Connector)?;
        made.extend(manifest.handles.receives.iter().map(String::as_str));
    }
    Some(made)
}

fn unbrought(channel: &Channel, kind: &str, connectors: &BTreeSet<&PluginName>, made: &BTreeSet<&str>) -> KindProblem {
    let asks = format!("channel `{}`", channel.id);
    let sentence = format!(
        "no connector of {asks} ({}) makes documents of kind `{kind}`; expected {}",
        quoted(connectors),
        expected(made)
    );
    KindProblem { asks, kind: kind.to_owned(), plugin: channel.connector.clone(), fault: Fault::Unbrought, sentence }
}

fn unread(channel: &Channel, kind: &str, transformer: &PluginName, plugins: &Manifests) -> Option<KindProblem> {
    let maps = &of_kind(plugins, transformer, PluginKind::Transformer)?.handles.maps;
    if maps.iter().any(|read| read == kind) {
        return None;
    }
    let asks = format!("channel `{}`", channel.id);
    let sentence = format!(
        "{asks} has documents of kind `{kind}` read by `{transformer}`, which does not read them; expected {}",
        expected(maps)
    );
    let (kind, plugin) = (kind.to_owned(), transformer.clone());
    Some(KindProblem { asks, kind, plugin, fault: Fault::Unread, sentence })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use serde_json::{Value, json};

    use super::*;
    use crate::route::asked::tests::manifest;

    /// A connector that is sent documents, one that asks for others, and who reads most of them.
    fn plugins() -> Manifests {
        [
            manifest("sent", "connector", "receives = [\"x/850\", \"x/997\", \"x/new\"]"),
            manifest("fetched", "connector", "receives = [\"x/invoice\"]"),
            manifest("sends", "connector", "delivers = [\"x/855\"]"),
            manifest("reads", "transformer", "maps = [\"x/850\", \"x/invoice\"]"),
            manifest("writes", "transformer", "renders = [\"x/855\"]"),
        ]
        .into()
    }

    fn sentences(connector: &str, documents: Value, more: Value) -> Vec<String> {
        let mut routes = json!({"channel": [{
            "id": "edi", "connector": connector, "documents": documents, "target": "erp", "exception_queue": "q",
        }]});
        routes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let routes: Routes = serde_json::from_value(routes).unwrap();
        routes.document_problems(&plugins()).iter().map(ToString::to_string).collect()
    }

    fn check(connector: &str, documents: Value, expected: &[&str]) {
        assert_eq!(sentences(connector, documents, json!({})), expected);
    }

    #[test]
    fn a_kind_that_no_connector_makes_is_told_once_with_those_that_there_are() {
        check("sent", json!({"x/850": "reads"}), &[]);
        check(
            "sent",
            json!({"x/850": "reads", "x/851": "reads"}),
            &[
                "no connector of channel `edi` (`sent`) makes documents of kind `x/851`; expected one of `x/850`, `x/997`, `x/new`",
            ],
        );
        check(
            "sends",
            json!({"x/850": "reads"}),
            &[
                "no connector of channel `edi` (`sends`) makes documents of kind `x/850`; expected another plugin, since that one has none",
            ],
        );
    }

    #[test]
    fn a_kind_that_its_transformer_does_not_read_is_told_with_those_that_it_reads() {
        check(
            "sent",
            json!({"x/997": "reads", "x/850": "writes"}),
            &[
                "channel `edi` has documents of kind `x/850` read by `writes`, which does not read them; expected another plugin, since that one has none",
                "channel `edi` has documents of kind `x/997` read by `reads`, which does not read them; expected one of `x/850`, `x/invoice`",
            ],
        );
    }

    #[test]
    fn what_a_poll_fetches_is_a_document_of_its_channel_as_well() {
        let poll = json!({"poll": [{
            "id": "new", "channel": "edi", "connector": "fetched", "every_seconds": 60, "origin": "https://a.example",
        }]});
        let both = json!({"x/850": "reads", "x/invoice": "reads"});
        assert_eq!(sentences("sent", both, poll.clone()), Vec::<String>::new());
        assert_eq!(
            sentences("sent", json!({"x/memo": "reads"}), poll),
            [
                "no connector of channel `edi` (`fetched`, `sent`) makes documents of kind `x/memo`; expected one of `x/850`, `x/997`, `x/invoice`, `x/new`"
            ]
        );
    }

    #[test]
    fn what_wakes_a_poll_has_to_come_and_nobody_reads_it() {
        let woken_by = |kind: &str| {
            let wakes = json!({"poll": "new", "kinds": [kind]});
            let channel = json!({
                "id": "edi", "connector": "sent", "documents": {}, "target": "erp", "exception_queue": "q",
                "wakes": wakes,
            });
            sentences("sent", json!({}), json!({"channel": [channel]}))
        };
        assert_eq!(woken_by("x/new"), Vec::<String>::new());
        assert_eq!(
            woken_by("x/news"),
            [
                "no connector of channel `edi` (`sent`) makes documents of kind `x/news`; expected one of `x/850`, `x/997`, `x/new`"
            ]
        );
    }

    #[test]
    fn nothing_is_said_of_plugins_that_nobody_knows_or_that_are_of_another_kind() {
        check("unknown", json!({"x/851": "unknown"}), &[]);
        check("unknown", json!({"x/850": "reads"}), &[]);
        check("reads", json!({"x/850": "sent"}), &[]);
        // Who reads is known all the same.
        check(
            "unknown",
            json!({"x/851": "reads"}),
            &[
                "channel `edi` has documents of kind `x/851` read by `reads`, which does not read them; expected one of `x/850`, `x/invoice`",
            ],
        );
    }
}
