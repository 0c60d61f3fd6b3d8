//! What a person is shown of an exception, and its digest.
//!
//! A decision names the digest of what was shown. So it is about that and nothing else: when
//! another hold opens, the sender cancels, or the delivery is tried again meanwhile, the digest
//! is another one, and whoever decided looks again. Who works on an exception, and what people
//! say about it, is not a part of it.

use portreeve_model::{Digest, Instant, Money, OrderId};
use portreeve_record::{RecordError, canonical_json};
use portreeve_store::StoreError;
use portreeve_store::contract::{ExceptionTrail, KeptBack, OrderView};
use serde::Serialize;

use super::ExceptionError;
use crate::Pipeline;

/// An exception with everything that a decision about it depends on.
#[derive(Debug)]
pub struct Shown {
    /// The exception with its steps.
    pub trail: ExceptionTrail,
    /// Its order.
    pub order: Option<OrderView>,
    /// What keeps the order back, where it is kept back.
    pub kept: Option<KeptBack>,
    /// What is at stake, where that can be told.
    pub value: Option<Money>,
    /// Owners of the grants under which models asked for the order's open holds.
    pub owners: Vec<String>,
    /// The digest of what is shown: a decision names it.
    pub digest: Digest,
}

/// What the digest is of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Evidence<'a> {
    v: u8,
    exception: String,
    kind: &'a str,
    code: &'a str,
    detail: &'a str,
    queue: &'a str,
    order: Option<OrderEvidence<'a>>,
    input: Option<Digest>,
    delivery: Option<DeliveryEvidence<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<PluginEvidence<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderEvidence<'a> {
    id: OrderId,
    number: &'a str,
    state: &'a str,
    why: &'a str,
    value: Money,
    event: Digest,
    cancel_requested: bool,
    changed: bool,
    holds: Vec<HoldEvidence<'a>>,
    deliveries: Vec<(&'a str, &'a str)>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldEvidence<'a> {
    number: String,
    owner: &'a str,
    plugin: Option<&'a str>,
    reason: &'a str,
    queue: &'a str,
    lines: &'a [String],
    expires_at: Instant,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryEvidence<'a> {
    outbox: &'a str,
    target: &'a str,
    state: &'a str,
    attempts: u32,
    replays: u32,
}

/// Not until when, nor how often: that it fails still is what was shown already.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PluginEvidence<'a> {
    plugin: &'a str,
    component: Digest,
    cause: Option<&'a str>,
    failure: &'a str,
}

impl Pipeline {
    /// Everything that a decision about an exception depends on, as it is now.
    ///
    /// # Errors
    /// [`StoreError::NoException`], or when the store cannot be read.
    pub async fn show_exception(&self, exception: u64) -> Result<Shown, ExceptionError> {
        let trail = self.store.exception(exception).await?.ok_or(StoreError::NoException { exception })?;
        let (order, kept) = match trail.exception.order {
            Some(order) => (self.store.order(order).await?, self.store.kept_back_order(order).await?),
            None => (None, None),
        };
        let digest = digest_of(&trail, order.as_ref(), kept.as_ref())?;
        let value = order.as_ref().map(|order| order.value);
        let owners = kept.as_ref().map(|kept| self.owners_of(kept)).unwrap_or_default();
        Ok(Shown { trail, order, kept, value, owners, digest })
    }

    /// Owners of the grants of the models whose holds keep the order back.
    fn owners_of(&self, kept: &KeptBack) -> Vec<String> {
        let asks = |plugin: &str| kept.open_holds().any(|hold| hold.plugin.as_deref() == Some(plugin));
        let mut owners: Vec<String> = self
            .authority
            .grants()
            .iter()
            .filter(|grant| asks(grant.plugin.as_str()))
            .map(|grant| grant.owner.clone())
            .collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

fn digest_of(
    trail: &ExceptionTrail,
    order: Option<&OrderView>,
    kept: Option<&KeptBack>,
) -> Result<Digest, RecordError> {
    let exception = &trail.exception;
    let evidence = Evidence {
        v: 1,
        exception: exception.id.to_string(),
        kind: exception.kind.as_str(),
        code: &exception.code,
        detail: &exception.detail,
        queue: &exception.queue,
        order: order.map(|order| of_order(order, kept)),
        input: trail.about.input.map(|(_, content)| content.commitment),
        delivery: trail.about.delivery.as_ref().map(|delivery| DeliveryEvidence {
            outbox: &delivery.outbox.0,
            target: &delivery.target,
            state: &delivery.state,
            attempts: delivery.attempts,
            replays: delivery.replays,
        }),
        plugin: trail.about.plugin.as_ref().map(|pause| PluginEvidence {
            plugin: pause.plugin.as_str(),
            component: pause.component,
            cause: pause.cause.as_deref(),
            failure: &pause.failure,
        }),
    };
    Ok(Digest::of(&canonical_json(&evidence)?))
}

fn of_order<'a>(order: &'a OrderView, kept: Option<&'a KeptBack>) -> OrderEvidence<'a> {
    let holds = kept.into_iter().flat_map(KeptBack::open_holds);
    OrderEvidence {
        id: order.id,
        number: &order.number,
        state: order.state.as_str(),
        why: &order.why,
        value: order.value,
        event: order.event.commitment,
        cancel_requested: kept.is_some_and(|kept| kept.cancel_requested),
        changed: kept.is_some_and(|kept| kept.changed),
        holds: holds
            .map(|hold| HoldEvidence {
                number: hold.number.to_string(),
                owner: &hold.owner,
                plugin: hold.plugin.as_deref(),
                reason: &hold.reason,
                queue: &hold.queue,
                lines: &hold.lines,
                expires_at: hold.expires_at,
            })
            .collect(),
        deliveries: order
            .deliveries
            .iter()
            .map(|delivery| (delivery.target.as_str(), delivery.state.as_str()))
            .collect(),
    }
}

impl Shown {
    /// Numbers of the holds that keep its order back.
    #[must_use]
    pub fn open_holds(&self) -> Vec<u64> {
        self.kept.iter().flat_map(KeptBack::open_holds).map(|hold| hold.number).collect()
    }

    /// Where the exception stands, in one line, for somebody who saw something else.
    #[must_use]
    pub fn standing(&self) -> String {
        let exception = &self.trail.exception;
        let mut parts = vec![format!("`{}` in queue `{}`", exception.code, exception.queue)];
        if let Some(order) = &self.order {
            parts.push(format!("order {} is {}", order.number, order.state.as_str()));
        }
        if let Some(kept) = &self.kept {
            let holds: Vec<String> =
                kept.open_holds().map(|hold| format!("{} ({})", hold.number, hold.reason)).collect();
            parts.push(if holds.is_empty() {
                "no hold is open".to_owned()
            } else {
                format!("open holds {}", holds.join(", "))
            });
            if kept.cancel_requested {
                parts.push("its sender wants it cancelled".to_owned());
            }
            if kept.changed {
                parts.push("its sender sent other content".to_owned());
            }
        }
        if let Some(delivery) = &self.trail.about.delivery {
            parts.push(format!(
                "the delivery to `{}` is {} after {} attempt(s)",
                delivery.target, delivery.state, delivery.attempts
            ));
        }
        if let Some(pause) = &self.trail.about.plugin {
            parts.push(format!("`{}` failed with `{}`, paused until {}", pause.plugin, pause.failure, pause.until));
        }
        if let Some(step) = self.trail.steps.last() {
            let who = step.who.as_deref().unwrap_or("the host");
            parts.push(format!("last `{}` by {who} at {}", step.step, step.at));
        }
        parts.join("; ")
    }
}
