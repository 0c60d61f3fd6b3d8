//! The message of a delivery, as its transformer makes it; and what becomes of the delivery where
//! there is none. It is the same whether a connector or the host itself sends it then.

use portreeve_model::document::{Message, Setting};
use portreeve_model::{Digest, Event};
use portreeve_record::PayloadKey;
use portreeve_record::leaf::CrossingRecord;
use portreeve_registry::Installed;
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, CallContext, Crossed, Crossing};
use portreeve_store::{Permit, Settled, StoreError};

use super::{DeliverError, Subject, Wait, failed};
use crate::passing::passing;
use crate::plugins::Stopped;
use crate::route::Target;
use crate::{Pipeline, leaf};

/// Why there is no message.
pub(super) enum NoMessage {
    /// The store failed: later.
    NotNow(StoreError),
    /// The transformer is not called.
    Stopped(Stopped),
    /// It was called and made none.
    Failed {
        /// Whether that may pass.
        passing: bool,
        code: String,
        why: String,
        crossing: Box<CrossingRecord>,
    },
}

impl Pipeline {
    /// The message, with what its call was. `told` is what the transformer is told beside the event,
    /// and the commitment to all that the message is made of.
    pub(super) async fn message(
        &self,
        permit: &Permit,
        target: &Target,
        event: Event,
        (told, input): (&[Setting], Digest),
        (transformer, context): (&Installed, &CallContext),
        key: &PayloadKey,
    ) -> Result<Result<(Message, Crossing), NoMessage>, DeliverError> {
        let rendering = match self.rendering(Subject::of(permit), target, event, told).await {
            Ok(rendering) => rendering,
            Err(error) => return Ok(Err(NoMessage::NotNow(error))),
        };
        let rendering = transformer.plugin.from_canonical(context, &rendering);
        match self.call(transformer, Call::FromCanonical, Cause::Target(&target.id), rendering).await {
            Ok(Crossed { outcome: Ok(Ok(message)), crossing }) => Ok(Ok((message, crossing))),
            Ok(Crossed { outcome, crossing }) => {
                let passing = passing(&outcome).is_some();
                let (code, why) = failed(outcome);
                let crossing = Box::new(leaf::crossed(&crossing, input, None, Some(&code), key)?);
                Ok(Err(NoMessage::Failed { passing, code, why, crossing }))
            }
            Err(stopped) => Ok(Err(NoMessage::Stopped(stopped))),
        }
    }

    /// Nothing was sent, since there is no message. That the target was asked before is on record
    /// all the same, unless the transformer's call is.
    pub(super) async fn without_message(
        &self,
        permit: Permit,
        target: &Target,
        why: NoMessage,
        looked_up: Option<CrossingRecord>,
    ) -> Result<Settled, DeliverError> {
        match why {
            NoMessage::NotNow(error) => self.give_back(permit, target, &error, looked_up).await,
            NoMessage::Stopped(stopped) => self.not_called(permit, target, &stopped, looked_up).await,
            NoMessage::Failed { passing: true, code, crossing, .. } => {
                self.later(permit, target, Wait::ForMessage, code, Some(*crossing)).await
            }
            NoMessage::Failed { code, why, crossing, .. } => {
                self.give_up(permit, Some(target), &code, &why, Some(*crossing)).await
            }
        }
    }
}
