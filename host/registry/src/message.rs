//! What a transformer says of the messages that it makes, the `[messages]` of its manifest: by which
//! kinds they are asked for, and of which events each is made. The grammar is in `wit/README.md`.
//!
//! A target that asks for what nobody makes, or of an event that it is not made of, loses each of its
//! deliveries when it is due. Who asks for what stands in routes, so it can be compared before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::manifest::Manifest;

/// What a transformer says of kinds that it is asked for, by kind.
pub type DeclaredMessages = BTreeMap<String, DeclaredMessage>;

/// One kind that it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredMessage {
    /// The canonical events that it is made of; any, where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
    /// The kind that the message has, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renders: Option<String>,
}

impl Manifest {
    /// The kind of the message that it makes when it is asked for this one; none where it makes none. What it
    /// makes when it is asked for others is nothing to ask for, unless it says so. Where it says nothing at all of
    /// its messages it may make others too.
    #[must_use]
    pub fn made<'a>(&'a self, asked: &'a str) -> Option<&'a str> {
        let is_rendered = self.handles.renders.iter().any(|kind| kind == asked);
        let is_of_others = || self.messages.values().any(|message| message.renders.as_deref() == Some(asked));
        match self.messages.get(asked) {
            Some(message) => Some(message.renders.as_deref().unwrap_or(asked)),
            None => (is_rendered && !is_of_others()).then_some(asked),
        }
    }

    /// Whether the message of this kind is made of this event, as far as it says.
    #[must_use]
    pub fn makes_of(&self, asked: &str, event: &str) -> bool {
        self.made_of(asked).is_none_or(|of| of.iter().any(|one| one == event))
    }

    /// The events that the message of this kind is made of; none where nothing is said.
    #[must_use]
    pub fn made_of(&self, asked: &str) -> Option<&[String]> {
        let of = self.messages.get(asked)?.of.as_slice();
        (!of.is_empty()).then_some(of)
    }

    /// Every kind that it may be asked for.
    #[must_use]
    pub fn may_be_asked_for(&self) -> BTreeSet<&str> {
        let kinds = self.handles.renders.iter().chain(self.messages.keys()).map(String::as_str);
        kinds.filter(|kind| self.made(kind).is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_message_has_the_kind_that_is_asked_for_unless_its_transformer_says_another() {
        let manifest = Manifest::parse(
            "[plugin]\nname = \"out\"\nversion = \"0.1.0\"\nkind = \"transformer\"\ncontract = \"portreeve:plugin@0.1.0\"\n\
             description = \"Says something.\"\npublisher = \"acme\"\nlicense = \"MIT\"\n\n\
             [handles]\nrenders = [\"x12/855\", \"x12/865\", \"x12/940\"]\n\n\
             [messages.\"x12/855\"]\nof = [\"order.accepted\", \"order.rejected\"]\n\n\
             [messages.\"x12/855-held\"]\nof = [\"order.created\"]\nrenders = \"x12/855\"\n\n\
             [messages.\"x12/865-accepted\"]\nrenders = \"x12/865\"\n",
        )
        .unwrap();
        let made = |asked| manifest.made(asked);
        assert_eq!([made("x12/855"), made("x12/855-held")], [Some("x12/855"); 2]);
        assert_eq!([made("x12/940"), made("x12/899")], [Some("x12/940"), None]);
        assert_eq!([made("x12/865-accepted"), made("x12/865")], [Some("x12/865"), None], "it is asked for otherwise");
        assert!(manifest.makes_of("x12/855", "order.rejected") && !manifest.makes_of("x12/855", "order.created"));
        assert!(manifest.makes_of("x12/940", "order.created"), "nothing is said of it");
        assert_eq!(manifest.made_of("x12/855-held").unwrap(), ["order.created"]);
        assert_eq!(
            Vec::from_iter(manifest.may_be_asked_for()),
            ["x12/855", "x12/855-held", "x12/865-accepted", "x12/940"]
        );
    }
}
