//! A refund as the form that `POST /v1/refunds` takes.
//!
//! ```text
//! payment_intent=pi_…&amount=754&reason=requested_by_customer&metadata[order_id]=…
//! &metadata[refund_number]=RF-7&metadata[cause]=goods-return&metadata[return_number]=RMA-3
//! ```
//!
//! What is refunded is the payment that an extension of the event names; where none does, the
//! connector finds the order's. By the metadata an
//! earlier attempt is found again, and the event that Stripe sends about the refund says to
//! which order, refund and return it belongs.

use portreeve_sdk::transformer::*;

use crate::amount::{self, Uneven};
use crate::moved::{CAUSES, CHARGE, PAYMENT_INTENT, REFUND};

/// Characters of a value in metadata (docs.stripe.com/api/metadata).
const METADATA_CHARS_MAX: usize = 500;

/// The form.
///
/// # Errors
/// Everything that is wrong with the refund.
pub(crate) fn form(refund: &Refund, order_id: &str) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let amount = amount(&refund.amount).map_err(|problem| problems.push(*problem)).unwrap_or_default();
    let payment = payment(&refund.extensions).map_err(|problem| problems.push(*problem)).unwrap_or_default();
    let cause = CAUSES.iter().find(|(cause, _)| *cause == refund.cause).map_or("other", |(_, word)| *word);
    let metadata = [
        ("metadata[order_id]", Some(order_id)),
        ("metadata[refund_number]", Some(refund.refund_number.as_str())),
        ("metadata[cause]", Some(cause)),
        ("metadata[return_number]", refund.return_number.as_deref()),
    ];

    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(payment).append_pair("amount", &amount.to_string());
    if let Some(reason) = reason(refund.cause) {
        form.append_pair("reason", reason);
    }
    for (name, value) in metadata.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        if value.chars().count() > METADATA_CHARS_MAX {
            let message = format!("found more than {METADATA_CHARS_MAX} characters; Stripe takes no more");
            problems.push(Problem::new("length", message, name));
        }
        form.append_pair(name, value);
    }
    if problems.is_empty() { Ok(form.finish()) } else { Err(problems) }
}

fn amount(amount: &Money) -> Result<i64, Box<Problem>> {
    let wrong = |message: &str| Err(Box::new(Problem::new("wrong-amount", message, "amount")));
    match amount::to_stripe(amount) {
        Ok(amount @ 1..) => Ok(amount),
        Ok(_) => wrong("found an amount of nothing or less; expected more"),
        Err(Uneven::Currency) => wrong("found a currency that Stripe does not take; expected another one"),
        Err(Uneven::Fraction) => wrong("found a fraction that Stripe does not take; expected a rounder amount"),
        Err(Uneven::TooLarge) => wrong("found an amount beyond 64 bits; expected a smaller one"),
    }
}

/// What is refunded, and the name of the form's field for it; none where that is to be found.
fn payment(extensions: &[Extension]) -> Result<Option<(&'static str, &str)>, Box<Problem>> {
    let named = |name| extensions.iter().find(|extension| extension.name == name).map(|found| found.value.as_str());
    // The danger is money that goes back twice: an effect of `refund.issued` sees this one as well.
    if named(REFUND).is_some() {
        let message = format!("found a refund that Stripe told of (`{REFUND}`); expected one that is still to be made");
        return Err(Box::new(Problem::new("refunded-already", message, "extensions")));
    }
    let intent = named(PAYMENT_INTENT).map(|id| ("payment_intent", id));
    Ok(intent.or_else(|| named(CHARGE).map(|id| ("charge", id))))
}

/// Stripe's word for a cause, where it has one. `fraudulent` would block the customer's card.
fn reason(cause: RefundCause) -> Option<&'static str> {
    match cause {
        RefundCause::GoodsReturn | RefundCause::CancelledPrepayment => Some("requested_by_customer"),
        RefundCause::ShortShipment | RefundCause::PriceCorrection | RefundCause::Other => None,
    }
}
