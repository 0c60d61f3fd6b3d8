//! Which money moved: the canonical event of a charge, a refund or a dispute.
//!
//! A payment has one source of truth, its charge. The payment intent that it belongs to says
//! the same again, and so does the charge of a refund: both would count once more what is
//! counted already.
//!
//! The same thing is told twice all the same, in events of different ids: a refund that
//! succeeded is updated when its bank has a reference. So nothing goes into a canonical event
//! that differs from one telling to the next, such as the event's own time; otherwise the
//! second would contradict the first.

use portreeve_sdk::transformer::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::amount::{self, Uneven};
use crate::field::{self, Member, Metadata, Object, Read, flag, identifier, instant, named, problem, reference, whole};

/// The extension that names the payment intent of a payment. A refund of it takes it from there.
pub(crate) const PAYMENT_INTENT: &str = "stripe:payment-intent";
/// The same for a charge.
pub(crate) const CHARGE: &str = "stripe:charge";
/// The extension with Stripe's own id of a refund: one that Stripe told of is not asked for again.
pub(crate) const REFUND: &str = "stripe:refund";

/// Bytes of a dispute's balance transactions: two of some hundred. A list of a million of
/// tiny ones would fill the plugin's memory.
const TRANSACTIONS_BYTES_MAX: usize = 64 * 1024;

/// Which way the money of a dispute goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispute {
    Withdrawn,
    Reinstated,
}

/// A movement on the account's balance, where it is there and no identifier of one.
#[derive(Deserialize)]
struct Transaction<'a> {
    #[serde(borrow)]
    amount: Member<'a>,
    #[serde(borrow)]
    currency: Member<'a>,
    #[serde(borrow)]
    fee: Member<'a>,
}

/// A charge: money moved when it was captured, and as much as was.
pub(crate) fn charge(charge: &Object<'_>, at_once: bool) -> Read<Event> {
    of_kind(charge, "charge")?;
    if identifier(charge.status, "status")? != "succeeded" {
        return nothing("a charge that has not succeeded", "status");
    }
    if !flag(charge.captured, "captured")? {
        return nothing("an authorisation", "captured");
    }
    let metadata = field::metadata(charge.metadata)?;
    let payment_intent = reference(charge.payment_intent, "payment_intent")?;
    Ok(Event::PaymentSettled(Settlement {
        payment_reference: identifier(charge.id, "id")?,
        order_number: Some(order(&metadata, None)?),
        invoice_number: None,
        amount: above_nothing(money(charge.amount_captured, charge.currency, "amount_captured")?, "amount_captured")?,
        fee: fee(charge.balance_transaction, "balance_transaction")?,
        // Of a charge that was captured later `created` is the day of the authorisation, and
        // the other day is not in it.
        settled_at: at_once.then(|| instant(charge.created, "created")).transpose()?,
        extensions: payment_intent.map(|id| extension(PAYMENT_INTENT, id)).into_iter().collect(),
    }))
}

/// A refund that has succeeded.
pub(crate) fn refund(refund: &Object<'_>, failed: bool) -> Read<Event> {
    of_kind(refund, "refund")?;
    match (failed, identifier(refund.status, "status")?.as_str()) {
        (false, "succeeded") => {}
        (false, "pending" | "requires_action" | "canceled") => {
            return nothing("a refund that has not succeeded", "status");
        }
        _ => {
            let message = "found a refund that failed, whose money is back at Stripe; expected one that reached the \
                           customer: pay it in another way, and correct what counted it";
            return Err(problem("refund-failed", message, "status"));
        }
    }
    let metadata = field::metadata(refund.metadata)?;
    let (id, charge) = (identifier(refund.id, "id")?, reference(refund.charge, "charge")?);
    let payment_intent = reference(refund.payment_intent, "payment_intent")?;
    let of = [(CHARGE, charge.clone()), (PAYMENT_INTENT, payment_intent), (REFUND, Some(id.clone()))];
    Ok(Event::RefundIssued(Refund {
        refund_number: named(metadata.refund_number, "metadata.refund_number")?.unwrap_or(id),
        order_number: order(&metadata, charge.as_deref())?,
        cause: cause(metadata.cause)?,
        return_number: named(metadata.return_number, "metadata.return_number")?,
        amount: above_nothing(money(refund.amount, refund.currency, "amount")?, "amount")?,
        issued_at: Some(instant(refund.created, "created")?),
        extensions: of.into_iter().filter_map(|(name, id)| Some(extension(name, id?))).collect(),
    }))
}

/// A dispute whose money left the account, or came back to it: a payment below nothing, and
/// one above again. They are two movements, so each has a reference of its own.
pub(crate) fn dispute(dispute: &Object<'_>, way: Dispute) -> Read<Event> {
    of_kind(dispute, "dispute")?;
    // `warning_…` is an inquiry: somebody asks, and nothing is withdrawn.
    if identifier(dispute.status, "status")?.starts_with("warning_") {
        return nothing("an inquiry, which withdraws nothing", "status");
    }
    let metadata = field::metadata(dispute.metadata)?;
    let (id, charge) = (identifier(dispute.id, "id")?, reference(dispute.charge, "charge")?);
    let disputed = above_nothing(money(dispute.amount, dispute.currency, "amount")?, "amount")?;
    let (moved, fee) = withdrawn_or_reinstated(dispute, &disputed, way)?;
    let (payment_reference, minor) = match way {
        Dispute::Withdrawn => (id, moved.saturating_neg()),
        Dispute::Reinstated => (reinstated(&id), moved),
    };
    Ok(Event::PaymentSettled(Settlement {
        payment_reference,
        order_number: Some(order(&metadata, charge.as_deref())?),
        invoice_number: None,
        amount: Money { minor, currency: disputed.currency },
        fee,
        settled_at: None,
        extensions: charge.map(|id| extension(CHARGE, id)).into_iter().collect(),
    }))
}

/// By what the payment is known that a dispute gives back.
pub(crate) fn reinstated(dispute: &str) -> String {
    format!("{dispute}-reinstated")
}

/// How much moved, and what it cost. The movement on the balance says it, where it is in the
/// order's own currency; otherwise it is what is in dispute. Less may come back than went, and
/// how much less is then told in the account's currency alone.
fn withdrawn_or_reinstated(dispute: &Object<'_>, disputed: &Money, way: Dispute) -> Read<(i64, Option<Money>)> {
    let name = "balance_transactions";
    let (mut out, mut back) = (None, None);
    for text in transactions(dispute.balance_transactions)? {
        let Some(transaction) = field::object::<Transaction<'_>>(text) else {
            return Err(problem("wrong-value", "found something else; expected balance transactions", name));
        };
        let amount = money(transaction.amount, transaction.currency, name)?;
        let slot = if amount.minor < 0 { &mut out } else { &mut back };
        if slot.replace((amount, fee(Some(text), name)?)).is_some() {
            let message = "found money that moved the same way twice; expected it once, or there and back";
            return Err(problem("moved-twice", message, name));
        }
    }
    let this = if way == Dispute::Withdrawn { &out } else { &back };
    let Some((amount, fee)) = this else { return Ok((disputed.minor, None)) };
    if amount.currency == disputed.currency {
        return Ok((amount.minor.saturating_abs(), fee.clone()));
    }
    let in_part = |(gone, _): &(Money, Option<Money>)| gone.minor.saturating_neg() != amount.minor;
    if way == Dispute::Reinstated && out.as_ref().is_some_and(in_part) {
        let message = "found another amount come back than was withdrawn, in another currency than the order's; \
                       expected the same: see in Stripe how much of the order's it is";
        return Err(problem("reinstated-in-part", message, name));
    }
    Ok((disputed.minor, fee.clone()))
}

fn transactions(found: Member<'_>) -> Read<Vec<&RawValue>> {
    let Some(found) = found else { return Ok(Vec::new()) };
    let small = Some(found.get()).filter(|text| text.len() <= TRANSACTIONS_BYTES_MAX);
    small
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| problem("wrong-value", "found something else; expected a short list", "balance_transactions"))
}

/// What a movement cost, where it is there; mostly there is only its identifier.
fn fee(found: Member<'_>, name: &str) -> Read<Option<Money>> {
    let Some(found) = found.filter(|found| found.get().starts_with('{')) else { return Ok(None) };
    let Some(transaction) = field::object::<Transaction<'_>>(found) else {
        return Err(problem("wrong-value", "found something else; expected a balance transaction", name));
    };
    transaction.fee.map(|fee| money(Some(fee), transaction.currency, name)).transpose()
}

/// Whose order it is: the id that the host gave it, or else the number that its sender did.
fn order(metadata: &Metadata<'_>, charge: Option<&str>) -> Read<String> {
    if let Some(id) = named(metadata.order_id, "metadata.order_id")? {
        return Ok(id);
    }
    named(metadata.order_number, "metadata.order_number")?.ok_or_else(|| {
        let of = charge.map_or_else(String::new, |charge| format!("; it is about charge {charge}"));
        let message = format!("found no order; expected its id in `order_id`, or its number in `order_number`{of}");
        problem("order-missing", message, "metadata.order_id")
    })
}

fn cause(found: Member<'_>) -> Read<RefundCause> {
    let cause = named(found, "metadata.cause")?;
    let known = CAUSES.iter().find(|(_, word)| cause.as_deref().unwrap_or("other") == *word);
    known.map(|(cause, _)| *cause).ok_or_else(|| {
        let words: Vec<String> = CAUSES.iter().map(|(_, word)| format!("`{word}`")).collect();
        let message = format!("found another text; expected one of {}", words.join(", "));
        problem("wrong-value", message, "metadata.cause")
    })
}

/// Causes and their words.
pub(crate) const CAUSES: [(RefundCause, &str); 5] = [
    (RefundCause::GoodsReturn, "goods-return"),
    (RefundCause::CancelledPrepayment, "cancelled-prepayment"),
    (RefundCause::ShortShipment, "short-shipment"),
    (RefundCause::PriceCorrection, "price-correction"),
    (RefundCause::Other, "other"),
];

fn of_kind(object: &Object<'_>, expected: &str) -> Read<()> {
    if identifier(object.object, "object")? == expected {
        return Ok(());
    }
    Err(problem("wrong-object", format!("found another object; expected a {expected}, as the type says"), "object"))
}

fn money(amount: Member<'_>, currency: Member<'_>, name: &str) -> Read<Money> {
    let (found, currency) = (whole(amount, name)?, identifier(currency, "currency")?);
    amount::from_stripe(found, &currency).map_err(|error| match error {
        Uneven::Currency => {
            problem("wrong-currency", "found another text; expected a currency that Stripe takes", "currency")
        }
        Uneven::Fraction => {
            problem("wrong-amount", "found a part of the currency's smallest unit; expected whole ones", name)
        }
        Uneven::TooLarge => problem("wrong-amount", "found an amount beyond 64 bits; expected a smaller one", name),
    })
}

fn above_nothing(amount: Money, name: &str) -> Read<Money> {
    match amount.minor {
        1.. => Ok(amount),
        _ => Err(problem("wrong-amount", "found an amount of nothing or less; expected more", name)),
    }
}

fn nothing<T>(found: &str, name: &str) -> Read<T> {
    Err(problem("nothing-moved", format!("found {found}; expected nothing to do, since no money has moved"), name))
}

fn extension(name: &str, value: String) -> Extension {
    Extension { name: name.to_owned(), value }
}
