//! The number by which a receiver knows a delivery.
//!
//! It is on record before anything is sent, and each attempt has the same, with the same time:
//! a receiver that looks numbers up takes what was sent again for what it has. And whoever
//! acknowledges the number has it: then nothing is sent again, and nobody is asked.

use portreeve_model::document::Setting;
use portreeve_store::Permit;
use portreeve_store::contract::{Interchange, InterchangeAnswer, Numbering};

use super::DeliverError;
use super::order::Told;
use crate::Pipeline;
use crate::route::{INTERCHANGE_AT, INTERCHANGE_NUMBER, INTERCHANGE_PARTNER, Interchanges, Target};

/// Whom a message goes to.
pub(super) struct Receiver {
    /// As the connector is told.
    partner: String,
    /// Whose numbers count.
    counted: String,
}

/// What a receiver's answer means for a delivery that is not done.
pub(super) enum Acknowledged {
    /// It has it.
    Arrived(String),
    /// It has refused it under this number, which it would take for known.
    Refused(String),
}

impl Pipeline {
    /// The permit with the number of its delivery; none where its target numbers nothing.
    pub(super) async fn numbered(
        &self,
        permit: Permit,
        target: &Target,
        receiver: Option<&Receiver>,
    ) -> Result<Permit, DeliverError> {
        let Some(receiver) = receiver else { return Ok(permit) };
        let within_ms = target.interchange.as_ref().and_then(Interchanges::within_ms);
        let numbering = Numbering { partner: receiver.counted.clone(), within_ms };
        Ok(self.store.number_delivery(permit, numbering, self.clock.now()).await?)
    }
}

/// Whom the messages of a target go to; none where they have no numbers.
///
/// # Errors
/// One sentence when nobody can tell, or it has the number of another receiver.
pub(super) fn receiver(target: &Target, told: &Told, permit: &Permit) -> Result<Option<Receiver>, String> {
    let Some(entry) = &target.interchange else { return Ok(None) };
    let receiver = of_partner(entry, told).ok_or_else(|| {
        format!(
            "the order came from one sender and names no partner, and target `{}` goes to the order's; say `partner` in its [target.interchange]",
            target.id
        )
    })?;
    match permit.interchange() {
        Some(known) if known.partner != receiver.counted => Err(format!(
            "the delivery has number {} of `{}`, and target `{}` goes to `{}` now; enter it by hand, or let the target go where it went",
            known.number, known.partner, target.id, receiver.counted
        )),
        Some(_) | None => Ok(Some(receiver)),
    }
}

fn of_partner(entry: &Interchanges, told: &Told) -> Option<Receiver> {
    if let Some(partner) = &entry.partner {
        return Some(Receiver { partner: partner.clone(), counted: entry.receiver(partner) });
    }
    let partner = told.partner.clone().filter(|partner| !partner.is_empty())?;
    Some(Receiver { counted: entry.receiver(&partner), partner })
}

impl Receiver {
    /// What the connector is told of the number.
    pub(super) fn settings(&self, interchange: &Interchange) -> Vec<Setting> {
        let told = [
            (INTERCHANGE_PARTNER, self.partner.clone()),
            (INTERCHANGE_NUMBER, interchange.number.to_string()),
            (INTERCHANGE_AT, interchange.numbered_at.0.to_string()),
        ];
        told.into_iter().map(|(name, value)| Setting { name: name.to_owned(), value }).collect()
    }
}

/// What the receiver said of the number, where something may have been sent under it: whoever
/// answers a number that nobody sent knows nothing. What is sent again since its receiver lost it
/// counts from then on: until something left, an answer is of what was lost.
pub(super) fn acknowledged(permit: &Permit) -> Option<Acknowledged> {
    let may_be_there = permit.doubts() > 0 || (permit.unresolved() && !permit.taken_before());
    let interchange = permit.interchange().filter(|_| may_be_there)?;
    let number = interchange.number.to_string();
    Some(match interchange.answer? {
        InterchangeAnswer::Accepted | InterchangeAnswer::AcceptedWithErrors => Acknowledged::Arrived(number),
        InterchangeAnswer::Rejected => Acknowledged::Refused(format!(
            "its receiver `{}` rejected interchange {number}, and would take it for known if it came again; see the exception of its order",
            interchange.partner
        )),
    })
}
