//! Levels: how much there is of an item, as its warehouse says.
//!
//! A level is about no order. It says how things stand and not what changed, so of two the later
//! counts, by the clock of whoever counts and not by when they came; the earlier one is told
//! nobody any more. The danger is a level without a time, or with one of the days to come: the
//! first could be older than what is known, and after the second nothing would count until then.
//! Both are a person's.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::event::InventoryLevel;
use portreeve_model::value::Quantity;
use portreeve_model::{Digest, Event, ExceptionKind, Instant, ItemId};
use portreeve_record::leaf::DecidedState;
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{
    Content, Decided, DecisionCommit, ItemStanding, LevelOutcome, NewException, NewLevel, NewOutbox, NewPayload,
};

use super::reading::{Mapped, Reading, for_a_person};
use super::{DecideError, Without};
use crate::Pipeline;
use crate::exception::Limits;
use crate::leaf::{self, DecideFacts};
use crate::route::{Channel, INVENTORY_LEVEL};

/// How far a warehouse's clock may be ahead of the host's.
const AHEAD_MS: i64 = 5 * Instant::MINUTE_MS;

/// The newest levels of a batch's items: what the store has, and what the batch did up to here.
pub(super) type Levels = BTreeMap<ItemId, ItemStanding>;

impl Mapped {
    /// The item that the document says a level of.
    fn item(&self) -> Option<ItemId> {
        match &self.outcome {
            Ok(Reading::Level(level)) => Some(ItemId::derive(self.document.channel(), &level.node, &level.sku)),
            _ => None,
        }
    }
}

/// When it stood so; or why it cannot be told which level is the newest.
fn dated(level: &InventoryLevel, document: &Journaled, channel: Option<&Channel>) -> Result<Instant, [String; 3]> {
    let wrong = |code: &str, found: String, expected: &str| Err([code.to_owned(), found, expected.to_owned()]);
    if !channel.is_some_and(|channel| channel.says.iter().any(|says| says == INVENTORY_LEVEL)) {
        let expected = "it among `says` of the channel, if its senders are to be believed";
        return wrong("may-not-say", format!("`{INVENTORY_LEVEL}` on a channel that may not say it"), expected);
    }
    if level.sku.is_empty() || level.node.is_empty() {
        return wrong("field-missing", "a level without an item or without a node".to_owned(), "both");
    }
    let Some(as_of) = level.as_of else {
        let expected = "when it stood so: without that nobody knows which level is the newest";
        return wrong("level-undated", "a level without a time".to_owned(), expected);
    };
    if as_of > document.received_at().plus_ms(AHEAD_MS) {
        let found = format!("a level as of {as_of}, received at {}", document.received_at());
        let expected = "one that was counted before it came: set the clock of whoever counts right";
        return wrong("level-to-come", found, expected);
    }
    Ok(as_of)
}

/// What a level says, however it writes its numbers; what else comes along says nothing of it.
fn said(level: &InventoryLevel) -> Digest {
    let (on_hand, available) = (plain(&level.on_hand), plain(&level.available));
    Digest::of_parts(&[on_hand.as_bytes(), available.as_bytes()])
}

/// A quantity without zeros at its end.
fn plain(quantity: &Quantity) -> String {
    let (mut value, mut scale) = (quantity.value, quantity.scale);
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    format!("{value}/{scale} {}", quantity.unit)
}

impl Pipeline {
    /// Asks the store about the items of a batch.
    pub(super) async fn levels(&self, mapped: &[Mapped]) -> Result<Levels, DecideError> {
        let items: BTreeSet<ItemId> = mapped.iter().filter_map(Mapped::item).collect();
        if items.is_empty() {
            return Ok(Levels::new());
        }
        let items: Vec<ItemId> = items.into_iter().collect();
        let known = self.store.item_standings(items.clone()).await?;
        Ok(items.into_iter().zip(known).filter_map(|(item, known)| Some((item, known?))).collect())
    }

    /// Decides what a document says of an item.
    pub(super) fn about_item(
        &self,
        document: Journaled,
        crossing: Option<(Crossing, Option<String>)>,
        level: InventoryLevel,
        levels: &mut Levels,
        configuration: u64,
    ) -> Result<DecisionCommit, DecideError> {
        let now = self.clock.now();
        let position = document.position();
        let channel = self.routes.channel(document.channel());
        let as_of = match dated(&level, &document, channel) {
            Ok(as_of) => as_of,
            Err([code, found, expected]) => {
                let exception = self.of_level(&document, &code, &format!("found {found}, expected {expected}"));
                return self.not_counted(document, crossing, exception, configuration);
            }
        };
        let (item, said) = (ItemId::derive(document.channel(), &level.node, &level.sku), said(&level));
        let before = levels.get(&item).copied();
        let outcome = match before.map(|before| (as_of.cmp(&before.as_of), before.said == said)) {
            None | Some((std::cmp::Ordering::Greater, _)) => LevelOutcome::Applied,
            Some((std::cmp::Ordering::Less, _)) => LevelOutcome::Outdated,
            Some((std::cmp::Ordering::Equal, true)) => LevelOutcome::Again,
            Some((std::cmp::Ordering::Equal, false)) => {
                let detail = format!(
                    "found another level of the item as of {as_of} than was said first, expected the same, or another time: the first one counts; find out which is right, and have it said with a time of its own"
                );
                let exception = self.of_level(&document, "said-otherwise", &detail);
                return self.not_counted(document, crossing, exception, configuration);
            }
        };
        let counts = outcome == LevelOutcome::Applied;
        if counts {
            levels.insert(item, ItemStanding { as_of, said, position });
        }
        let (sku, node) = (level.sku.clone(), level.node.clone());
        let event_json =
            Event::InventoryLevel(level).to_json().map_err(|error| DecideError::Event(error.to_string()))?;
        // It names nobody; whoever erases what a sender said finds it by that.
        let event = NewPayload::seal(&event_json, Some(Digest::of(document.sender().as_str().as_bytes())))?;
        let told = self.routes.effects.iter().filter(|effect| counts && effect.tells_levels_of(document.channel()));
        let outbox: Vec<NewOutbox> = told
            .filter_map(|effect| {
                let (target, kind) = (effect.target.clone(), self.routes.kind_of(effect)?.to_owned());
                Some(NewOutbox { target, kind, content: Content::Level(position) })
            })
            .collect();
        let effects: Vec<String> = outbox.iter().map(|row| format!("{} {}", row.target, row.kind)).collect();
        let fingerprint =
            Digest::of_parts(&[event_json.as_slice(), outcome.as_str().as_bytes(), effects.join("\n").as_bytes()]);
        let leaf = leaf::decide(
            &self.host,
            now,
            &DecideFacts {
                order: None,
                about: Some(item.into()),
                document: &document,
                event: Some(event.sealed.commitment()),
                configuration,
                mapping: crossing.as_ref(),
                key: &event.key,
                scoring: &[],
                verdicts: &[],
                policy_holds: &[],
                cancel_requested: false,
                state: decided_as(outcome),
                told: false,
                decision: None,
                clock: now,
            },
        )?;
        let decided = Decided::Level(Box::new(NewLevel {
            item,
            sku,
            node,
            as_of,
            said,
            outcome,
            after: before.map(|before| before.position),
            event: event.sealed.commitment(),
            fingerprint,
            outbox,
        }));
        Ok(DecisionCommit { document, decided, payloads: vec![event], configuration, at: now, leaf })
    }

    fn of_level(&self, document: &Journaled, code: &str, detail: &str) -> NewException {
        let exception = for_a_person(self.queue(document), code, detail);
        let channel = self.routes.channel(document.channel()).map(|channel| (channel, document.received_at()));
        let exception = NewException { kind: ExceptionKind::Document, ..exception };
        self.dated(exception, self.clock.now(), Limits { channel, ..Limits::default() })
    }

    fn not_counted(
        &self,
        document: Journaled,
        crossing: Option<(Crossing, Option<String>)>,
        exception: NewException,
        configuration: u64,
    ) -> Result<DecisionCommit, DecideError> {
        let without = Without { about: None, state: DecidedState::Exception, configuration, now: self.clock.now() };
        self.decided_without(document, crossing.as_ref(), Decided::Unmapped(exception), without)
    }
}

fn decided_as(outcome: LevelOutcome) -> DecidedState {
    match outcome {
        LevelOutcome::Applied => DecidedState::Applied,
        LevelOutcome::Again => DecidedState::Again,
        LevelOutcome::Outdated => DecidedState::Outdated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: i64, scale: u8, unit: &str) -> InventoryLevel {
        let quantity = Quantity { value, scale, unit: unit.to_owned() };
        InventoryLevel {
            sku: "FST-1007".to_owned(),
            node: "DC-EAST".to_owned(),
            on_hand: quantity.clone(),
            available: quantity,
            as_of: Some(Instant(1)),
            extensions: Vec::new(),
        }
    }

    #[test]
    fn a_level_says_the_same_however_its_numbers_are_written_and_in_another_unit_something_else() {
        assert_eq!(said(&of(50, 0, "BX")), said(&of(5_000, 2, "BX")));
        assert_eq!(said(&of(0, 0, "BX")), said(&of(0, 4, "BX")));
        for other in [of(51, 0, "BX"), of(50, 1, "BX"), of(50, 0, "EA"), of(-50, 0, "BX")] {
            assert_ne!(said(&of(50, 0, "BX")), said(&other), "{other:?}");
        }
    }
}
