//! Owners: whose matter it is what waits for a person on a route.
//!
//! ```toml
//! [owners]                                         # of every channel that names none of its own
//! business = "order-desk@distributor.example"      # policy and outcome
//! systems = "erp-team@distributor.example"         # the ERP and its neighbours
//! integration = "integration@distributor.example"  # contracts, orchestration, monitoring
//!
//! [channel.owners]                                 # the same three, of one channel
//!
//! [[target]]
//! systems_owner = "wms-team@distributor.example"   # of what is delivered there
//! ```
//!
//! A queue says who works on something, an owner who answers for it: whom somebody asks who sees
//! the third order held by a price rule, the tenth delivery given up, or a partner's file that
//! nobody can read. Three different people, and whoever has to find out which of them asks none.
//! An owner is a name for people, as that of a grant: it lets nobody in and decides nothing.
//!
//! The route of what is about an order is the channel by which the order came, whatever system
//! said something of it since; of what is about no order it is the channel by which that came.

use portreeve_model::{ChannelId, ExceptionKind};
use portreeve_store::contract::ExceptionView;
use serde::{Deserialize, Serialize};

use super::Routes;

/// Bytes of an owner's name. It stands in each line of a list.
const NAME_BYTES_MAX: usize = 200;

/// How the code of what a scorer's failure leaves behind begins.
pub(crate) const OF_A_SCORER: &str = "scorer-";

/// Who answers for a route: names of people or teams, best an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owners {
    /// For policy and outcome.
    pub business: String,
    /// For the ERP and its neighbours.
    pub systems: String,
    /// For contracts, orchestration and monitoring.
    pub integration: String,
}

/// What an owner answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerPart {
    /// Orders that policy keeps back, and what contradicts their process.
    Business,
    /// What a system did not take, does not answer, or says otherwise than another one.
    Systems,
    /// What cannot be read, and plugins that fail.
    Integration,
}

/// Whose matter something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteOwner<'a> {
    /// As what.
    pub part: OwnerPart,
    /// Who.
    pub name: &'a str,
}

impl OwnerPart {
    /// Its word in the configuration and wherever it is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Business => "business",
            Self::Systems => "systems",
            Self::Integration => "integration",
        }
    }

    /// Whose part an exception is.
    fn of(exception: &ExceptionView) -> Self {
        match exception.kind {
            ExceptionKind::Delivery | ExceptionKind::Poll | ExceptionKind::Difference => Self::Systems,
            ExceptionKind::Document | ExceptionKind::Input | ExceptionKind::Plugin => Self::Integration,
            // What is missing after a delivery: an acknowledgement, a word that came too late.
            ExceptionKind::Order | ExceptionKind::Held | ExceptionKind::Change if exception.stage == "deliver" => {
                Self::Systems
            }
            ExceptionKind::Order | ExceptionKind::Held | ExceptionKind::Change
                if exception.code.starts_with(OF_A_SCORER) =>
            {
                Self::Integration
            }
            ExceptionKind::Order | ExceptionKind::Held | ExceptionKind::Change => Self::Business,
        }
    }
}

impl Owners {
    fn of(&self, part: OwnerPart) -> &str {
        match part {
            OwnerPart::Business => &self.business,
            OwnerPart::Systems => &self.systems,
            OwnerPart::Integration => &self.integration,
        }
    }

    /// What is wrong with them, where they stand.
    fn problems(&self, place: &str) -> Vec<String> {
        let parts = [OwnerPart::Business, OwnerPart::Systems, OwnerPart::Integration];
        let wrong = |part: OwnerPart| name_problem(&format!("`{}` of {place}", part.as_str()), self.of(part));
        parts.into_iter().filter_map(wrong).collect()
    }
}

impl Routes {
    /// Whose matter an exception is; nobody's where nobody is named.
    #[must_use]
    pub fn owner_of(&self, exception: &ExceptionView) -> Option<RouteOwner<'_>> {
        let part = OwnerPart::of(exception);
        let target = exception.target.as_deref().and_then(|id| self.target(id));
        let of_target = target.and_then(|target| target.systems_owner.as_deref());
        if let Some(name) = of_target.filter(|_| part == OwnerPart::Systems) {
            return Some(RouteOwner { part, name });
        }
        Some(RouteOwner { part, name: self.owners_by(exception.channel.as_ref())?.of(part) })
    }

    /// Who answers for what came by a channel; for everything else those of the whole host.
    fn owners_by(&self, channel: Option<&ChannelId>) -> Option<&Owners> {
        let own = channel.and_then(|id| self.channel(id)).and_then(|channel| channel.owners.as_ref());
        own.or(self.owners.as_ref())
    }

    /// What is wrong with the names of owners.
    pub(super) fn owner_problems(&self) -> Vec<String> {
        let of_all = self.owners.iter().flat_map(|owners| owners.problems("[owners]"));
        let of_channels = self.channels.iter().filter_map(|channel| Some((channel, channel.owners.as_ref()?)));
        let of_channels = of_channels
            .flat_map(|(channel, owners)| owners.problems(&format!("[channel.owners] of channel `{}`", channel.id)));
        let of_targets = self.targets.iter().filter_map(|target| {
            name_problem(&format!("`systems_owner` of target `{}`", target.id), target.systems_owner.as_deref()?)
        });
        of_all.chain(of_channels).chain(of_targets).collect()
    }

    /// Channels that nobody answers for, each as a sentence: allowed, and seldom meant.
    #[must_use]
    pub fn without_owners(&self) -> Vec<String> {
        let nobodys = self.channels.iter().filter(|channel| self.owners_by(Some(&channel.id)).is_none());
        nobodys
            .map(|channel| {
                format!(
                    "nobody answers for channel `{}`; name the owners `business`, `systems` and `integration` in [owners], or in its [channel.owners]",
                    channel.id
                )
            })
            .collect()
    }
}

/// What is wrong with a name.
fn name_problem(place: &str, name: &str) -> Option<String> {
    let is_one = !name.trim().is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control);
    (!is_one).then(|| {
        format!(
            "{place} is no name; expected a person's or a team's address, at most {NAME_BYTES_MAX} bytes on one line"
        )
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Instant;

    use super::*;

    const THREE: &str = r#"{"business": "desk", "systems": "erp", "integration": "edi"}"#;

    fn routes(all: &str, of_channel: &str, of_target: &str) -> Routes {
        let text = format!(
            r#"{{{all}"channel": [{{"id": "shop", "connector": "a", "documents": {{}}, "target": "erp", "exception_queue": "q"{of_channel}}}],
                 "target": [{{"id": "erp", "connector": "c", "transformer": "t", "kind": "order", "origin": "https://a.example",
                              "exception_queue": "q", "find": true{of_target}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn exception(kind: ExceptionKind, stage: &str, code: &str) -> ExceptionView {
        ExceptionView {
            id: 1,
            kind,
            order: None,
            order_number: None,
            stage: stage.to_owned(),
            code: code.to_owned(),
            detail: String::new(),
            queue: "q".to_owned(),
            channel: None,
            target: None,
            opened_at: Instant(0),
            due_at: None,
            escalated_at: None,
            claimed: None,
            revision: 0,
            closed: None,
        }
    }

    #[test]
    fn policy_is_the_business_what_a_system_did_not_take_the_systems_and_what_nobody_reads_the_integrations() {
        let routes = routes(&format!("\"owners\": {THREE}, "), "", "");
        for (kind, stage, code, part, name) in [
            (ExceptionKind::Held, "decide", "price-out-of-tolerance", "business", "desk"),
            (ExceptionKind::Held, "decide", "scorer-out-of-fuel", "integration", "edi"),
            (ExceptionKind::Order, "decide", "refused-order", "business", "desk"),
            (ExceptionKind::Order, "deliver", "acknowledgement-overdue", "systems", "erp"),
            (ExceptionKind::Change, "decide", "changed-order", "business", "desk"),
            (ExceptionKind::Delivery, "deliver", "deadline", "systems", "erp"),
            (ExceptionKind::Poll, "poll", "poll-fails", "systems", "erp"),
            (ExceptionKind::Difference, "reconcile", "stock-differs", "systems", "erp"),
            (ExceptionKind::Document, "decide", "unmapped", "integration", "edi"),
            (ExceptionKind::Input, "accept", "trap", "integration", "edi"),
            (ExceptionKind::Plugin, "plugin", "plugin-quarantined", "integration", "edi"),
        ] {
            let exception = exception(kind, stage, code);
            let owner = routes.owner_of(&exception).unwrap();
            assert_eq!((owner.part.as_str(), owner.name), (part, name), "{code}");
        }
    }

    #[test]
    fn a_channel_and_a_target_may_have_owners_of_their_own() {
        let all = format!("\"owners\": {THREE}, ");
        let own = format!(", \"owners\": {}", THREE.replace("desk", "shop-desk").replace("erp", "shop-it"));
        let routes_of = |target: &str| routes(&all, &own, target);
        let of_shop = |kind, stage| ExceptionView {
            channel: Some(ChannelId::parse("shop").unwrap()),
            target: Some("erp".to_owned()),
            ..exception(kind, stage, "some")
        };
        let name = |routes: &Routes, exception: &ExceptionView| routes.owner_of(exception).unwrap().name.to_owned();
        let (held, dead) = (of_shop(ExceptionKind::Held, "decide"), of_shop(ExceptionKind::Delivery, "deliver"));
        let elsewhere = ExceptionView { channel: Some(ChannelId::parse("gone").unwrap()), ..held.clone() };
        let plain = routes_of("");
        assert_eq!([&held, &dead, &elsewhere].map(|it| name(&plain, it)), ["shop-desk", "shop-it", "desk"]);
        let with_target = routes_of(", \"systems_owner\": \"wms-team\"");
        assert_eq!([&held, &dead].map(|it| name(&with_target, it)), ["shop-desk", "wms-team"]);
    }

    #[test]
    fn where_nobody_is_named_it_is_nobodys_and_a_channel_without_owners_is_told() {
        let none = routes("", "", "");
        assert_eq!(none.owner_of(&exception(ExceptionKind::Held, "decide", "some")), None);
        let told = none.without_owners();
        assert!(told.len() == 1 && told.concat().contains("nobody answers for channel `shop`"), "{told:?}");
        for named in
            [routes(&format!("\"owners\": {THREE}, "), "", ""), routes("", &format!(", \"owners\": {THREE}"), "")]
        {
            assert_eq!((named.without_owners(), named.owner_problems()), (Vec::new(), Vec::new()));
        }
        let wrong = THREE.replace("desk", " ").replace("erp", &"x".repeat(201));
        let wrong = routes("", &format!(", \"owners\": {wrong}"), ", \"systems_owner\": \"a\\nb\"");
        let problems = wrong.owner_problems();
        assert_eq!(problems.len(), 3, "{problems:?}");
        for place in
            ["`business` of [channel.owners]", "`systems` of [channel.owners]", "`systems_owner` of target `erp`"]
        {
            assert!(problems.iter().any(|problem| problem.starts_with(place)), "{problems:?}");
        }
    }
}
