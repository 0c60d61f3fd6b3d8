//! Acknowledging: what receivers say of interchanges that they got from the host.
//!
//! An acknowledgement is about transport: it moves no order along its process. It says that a
//! message can be read, or that it is as if it had not come, and then a person has to know,
//! with what the receiver found wrong. The danger is whoever acknowledges what is not his: names
//! and numbers stand in what he sends, and anybody can write them. So it is he who was authenticated
//! that counts: a number counts only with its receiver's name, on the channel that its target says,
//! and of the sender who speaks for that receiver there.
//!
//! The first answer counts. The same once more is a repetition, and another one is a person's.

use portreeve_model::acknowledgement::Said;
use portreeve_model::{Acknowledgement, ExceptionKind, OrderId};
use portreeve_record::leaf::DecidedState;
use portreeve_sandbox::Crossing;
use portreeve_store::Journaled;
use portreeve_store::contract::{Decided, DecisionCommit, InterchangeAnswer, InterchangeView, NewAnswer, NewException};

use super::reading::{Mapped, Reading, for_a_person};
use super::{DecideError, Without};
use crate::Pipeline;
use crate::exception::Limits;
use crate::route::Interchanges;

/// The code of an exception about what its receiver rejected.
const REJECTED: &str = "interchange-rejected";

/// An acknowledgement with what it is about.
pub(super) struct Answer {
    said: Acknowledgement,
    about: InterchangeView,
}

impl Answer {
    /// The order of the delivery that it is about.
    pub(super) fn order(&self) -> OrderId {
        self.about.order
    }
}

impl Pipeline {
    /// Finds what acknowledgements are about.
    pub(super) async fn find_acknowledged(&self, mapped: &mut [Mapped]) -> Result<(), DecideError> {
        for mapped in mapped {
            let Ok(Reading::Acknowledged(said)) = &mapped.outcome else { continue };
            let said = said.clone();
            let known = self.store.interchange(&said.partner, said.number).await?;
            mapped.outcome = self.judged(&mapped.document, said, known);
        }
        Ok(())
    }

    fn judged(
        &self,
        document: &Journaled,
        said: Acknowledgement,
        known: Option<InterchangeView>,
    ) -> Result<Reading, NewException> {
        let Acknowledgement { partner, number, .. } = &said;
        let person = |code: &str, detail: String| Err(for_a_person(self.queue(document), code, &detail));
        let Some(about) = known.filter(|about| about.sent) else {
            let detail = format!(
                "found an acknowledgement of interchange {number} by `{partner}`, expected one that the host sent: ask the partner what it means"
            );
            return person("unknown-interchange", detail);
        };
        let agreed = self.routes.target(&about.target).and_then(|target| target.interchange.as_ref());
        let agreed = agreed.filter(|entry| entry.acknowledged_on.as_ref() == Some(document.channel()));
        let Some(agreed) = agreed else {
            let detail = format!(
                "found an acknowledgement of interchange {number} on this channel, expected it on the one that `acknowledged_on` of target `{}` names",
                about.target
            );
            return person("may-not-acknowledge", detail);
        };
        if !speaks_for(document, agreed, &about) {
            let detail = format!(
                "found an acknowledgement of interchange {number} of `{partner}` by sender `{}`, expected it by the one who speaks for that partner (`acknowledged_by` of target `{}`, otherwise the sender of the order): ask the sender what it means",
                document.sender(),
                about.target
            );
            return person("may-not-acknowledge", detail);
        }
        let Some(answer) = answer(said.said) else {
            return Ok(Reading::Answer(Box::new(Answer { said, about })));
        };
        match (about.interchange.answer, about.said) {
            (None, _) => Ok(Reading::Answer(Box::new(Answer { said, about }))),
            (Some(first), Some(position)) if first == answer => Ok(Reading::Duplicate(position)),
            (Some(first), _) => {
                let detail = format!(
                    "found interchange {number} to be {} by `{partner}`, expected {}, as it said first, which counts: ask the partner which is right",
                    answer.as_str(),
                    first.as_str()
                );
                person("acknowledged-otherwise", detail)
            }
        }
    }

    /// Decides what a receiver says.
    pub(super) fn acknowledge(
        &self,
        document: Journaled,
        crossing: Option<(Crossing, Option<String>)>,
        found: Answer,
        configuration: u64,
    ) -> Result<DecisionCommit, DecideError> {
        let now = self.clock.now();
        let Answer { said, about } = found;
        let answer = answer(said.said);
        let rejected = (answer == Some(InterchangeAnswer::Rejected)).then(|| {
            let target = self.routes.target(&about.target);
            let queue = target.map_or("integration", |target| target.exception_queue.as_str());
            let faults = if said.faults.is_empty() { "nothing said of why".to_owned() } else { said.faults.join(", ") };
            let detail = format!(
                "found interchange {} (`{}`) rejected by `{}` ({faults}), expected it accepted: it counts as not sent, and nothing is sent again from here; agree with the partner on what is wrong, and send it a right one by hand",
                said.number, about.kind, said.partner
            );
            let exception = NewException { kind: ExceptionKind::Order, ..for_a_person(queue, REJECTED, &detail) };
            self.dated(exception, now, Limits::default())
        });
        let without =
            Without { about: Some(about.order.into()), state: DecidedState::Acknowledged, configuration, now };
        let decided = Decided::Answered(NewAnswer {
            partner: said.partner,
            number: said.number,
            order: about.order,
            answer,
            exceptions: rejected.into_iter().collect(),
        });
        self.decided_without(document, crossing.as_ref(), decided, without)
    }
}

/// Whether whoever sent a document speaks for the receiver of an interchange.
fn speaks_for(document: &Journaled, agreed: &Interchanges, about: &InterchangeView) -> bool {
    match &agreed.acknowledged_by {
        Some(sender) => document.sender().as_str() == sender,
        // A receiver that is named is nobody who sent an order.
        None => agreed.partner.is_none() && (document.channel(), document.sender()) == (&about.channel, &about.sender),
    }
}

/// What it means for the interchange; none where that is still to come.
fn answer(said: Said) -> Option<InterchangeAnswer> {
    match said {
        Said::Received => None,
        Said::Accepted => Some(InterchangeAnswer::Accepted),
        Said::AcceptedWithErrors => Some(InterchangeAnswer::AcceptedWithErrors),
        Said::Rejected => Some(InterchangeAnswer::Rejected),
    }
}
