//! The promises of `wit/types.wit` that its types cannot make: how long a text may
//! be, what an identifier consists of, which numbers fit together.
//!
//! Most texts of a result were chosen by a sender, so the adversary is not only the
//! guest. A promise that is broken refuses the whole result; nothing is cut to fit,
//! since half an order number is another order's.

use std::cmp::Reverse;
use std::collections::HashSet;

use portreeve_model::advice::{HOLD_MINUTES_MAX, RANKED_NODES_MAX};
use portreeve_model::{advice, document, event, value};

use crate::convert::Refused;

/// Bytes of an extension's name: it becomes part of a feature's name.
const EXTENSION_NAME_BYTES_MAX: usize = 128;
/// Bytes of an extension's value: extensions go into every record of the event.
const EXTENSION_VALUE_BYTES_MAX: usize = 4096;
/// Bytes of a code. Codes go into audit leaves, where a guest must not be able to
/// put a name or an address.
const CODE_BYTES_MAX: usize = 64;
/// Bytes of an identifier: a sender chooses it, and it becomes a key that the store
/// indexes and a line of every page that shows the order.
const IDENTIFIER_BYTES_MAX: usize = 256;
/// Bytes of the name of a kind or a unit.
const KIND_BYTES_MAX: usize = 64;
/// Bytes of a sentence for a person, and of a path that goes with it: both go into
/// records of at most 16 KiB.
const SENTENCE_BYTES_MAX: usize = 1024;
/// Bytes of any other text. Without it a single field could be the whole result.
const TEXT_BYTES_MAX: usize = 4096;
/// Headers of a reply; they are kept with the input and sent again to a duplicate.
const REPLY_HEADERS_MAX: usize = 32;
/// Milliseconds that a failure may ask to wait: a day. Longer, and a guest could
/// park an order for ever.
const RETRY_MS_MAX: u32 = 86_400_000;
/// Reasons of an assessment; people read them.
const REASONS_MAX: usize = 32;
/// Proposals of an assessment; each is judged and recorded.
const PROPOSALS_MAX: usize = 8;
/// The whole, in basis points.
const BASIS_POINTS: u16 = 10_000;

/// What a text promises. The name of its field says which of these it is, so that a
/// field that is added to the contract is bounded before anybody thinks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Names one thing: no control characters, with which it would look like another.
    Identifier,
    /// Names a kind or a unit.
    Kind,
    /// One sentence, or the path that goes with it.
    Sentence,
    /// ISO 3166-1 alpha-2.
    Country,
    /// Anything else.
    Text,
}

impl Rule {
    /// The rule of a field or of a variant's case.
    pub(crate) const fn of(name: &str) -> Self {
        match name.as_bytes() {
            b"number" | b"release" | b"revision" | b"id" | b"reference" | b"order_number" | b"line_number"
            | b"line_numbers" | b"sku" | b"buyer_sku" | b"substitute_sku" | b"external_id" | b"node" | b"carrier"
            | b"tracking" | b"lot" | b"serials" | b"shipment_number" | b"invoice_number" | b"corrects"
            | b"payment_reference" | b"return_number" | b"refund_number" | b"purchase_order" | b"supplier_id"
            | b"key" | b"partner" | b"content_type" | b"approver_tier" | b"audience" | b"Route" | b"Review"
            | b"Disposition" => Self::Identifier,
            b"kind" | b"unit" => Self::Kind,
            b"message" | b"path" | b"detail" | b"Permanent" | b"UnknownOutcome" => Self::Sentence,
            b"country" | b"issuer_country" => Self::Country,
            _ => Self::Text,
        }
    }

    /// Refuses a text that breaks it.
    pub(crate) fn check(self, text: &str) -> Result<(), Refused> {
        let allowed = match self {
            Self::Identifier => IDENTIFIER_BYTES_MAX,
            Self::Kind => KIND_BYTES_MAX,
            Self::Sentence => SENTENCE_BYTES_MAX,
            Self::Text => TEXT_BYTES_MAX,
            Self::Country => return country(text),
        };
        if text.len() > allowed {
            return Err(Refused::broken(format!("{} bytes; at most {allowed} are allowed", text.len())));
        }
        if matches!(self, Self::Identifier | Self::Kind) && text.chars().any(char::is_control) {
            return Err(Refused::broken("a control character; expected none in an identifier"));
        }
        Ok(())
    }
}

fn country(code: &str) -> Result<(), Refused> {
    if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Refused::broken("no country; expected two upper-case letters of ISO 3166-1"));
    }
    Ok(())
}

/// What a scaled value promises beyond its scale.
pub(crate) trait Promise {
    fn promise(&self) -> Result<(), Refused> {
        Ok(())
    }
}

impl Promise for value::Decimal {}
impl Promise for value::Quantity {}
impl Promise for value::UnitPrice {
    fn promise(&self) -> Result<(), Refused> {
        if self.per_quantity == 0 {
            return Err(Refused::broken(value::ValueError::PriceForNothing).inside("per_quantity"));
        }
        Ok(())
    }
}

pub(crate) fn checked_scale(scale: u8) -> Result<u8, Refused> {
    if scale > value::SCALE_MAX {
        return Err(Refused::broken(value::ValueError::ScaleTooLarge(scale)).inside("scale"));
    }
    Ok(scale)
}

pub(crate) fn within(what: &'static str, found: u64, allowed: u64) -> Result<(), Refused> {
    if found > allowed {
        return Err(Refused::TooLarge { what, found, allowed });
    }
    Ok(())
}

fn at_most(field: &'static str, what: &'static str, found: usize, allowed: usize) -> Result<(), Refused> {
    if found > allowed {
        return Err(Refused::broken(format!("{found} {what}; at most {allowed} are allowed")).inside(field));
    }
    Ok(())
}

pub(crate) fn extension_is_short(extension: &value::Extension) -> Result<(), Refused> {
    at_most("name", "bytes", extension.name.len(), EXTENSION_NAME_BYTES_MAX)?;
    at_most("value", "bytes", extension.value.len(), EXTENSION_VALUE_BYTES_MAX)
}

/// A line number names one line in holds and answers, and sums need one currency.
pub(crate) fn order_is_consistent(order: &event::Order) -> Result<(), Refused> {
    let mut numbers = HashSet::with_capacity(order.lines.len());
    for line in &order.lines {
        if !numbers.insert(line.number.as_str()) {
            let problem = "a line number occurs twice; expected each once in an order";
            return Err(Refused::broken(problem).inside("number").inside("lines"));
        }
        in_currency(order, line.unit_price.currency).map_err(|r| r.inside("unit_price").inside("lines"))?;
        stated_in(order, line.extended).map_err(|r| r.inside("extended").inside("lines"))?;
    }
    let event::OrderTotals { lines, shipping, tax, discount, grand } = order.totals;
    for (field, amount) in
        [("lines", lines), ("shipping", shipping), ("tax", tax), ("discount", discount), ("grand", grand)]
    {
        stated_in(order, amount).map_err(|r| r.inside(field).inside("totals"))?;
    }
    let authorised = order.payment.as_ref().and_then(|payment| payment.authorised);
    stated_in(order, authorised).map_err(|r| r.inside("authorised").inside("payment"))
}

fn stated_in(order: &event::Order, amount: Option<value::Money>) -> Result<(), Refused> {
    amount.map_or(Ok(()), |amount| in_currency(order, amount.currency))
}

fn in_currency(order: &event::Order, found: value::Currency) -> Result<(), Refused> {
    if found != order.currency {
        let problem = format!("an amount in {found}; expected {}, the order's currency", order.currency);
        return Err(Refused::broken(problem).inside("currency"));
    }
    Ok(())
}

pub(crate) fn basis_points(value: u16) -> Result<(), Refused> {
    if value > BASIS_POINTS {
        return Err(Refused::broken(format!("{value} basis points; expected 0 to {BASIS_POINTS}")));
    }
    Ok(())
}

pub(crate) fn confidence_is_a_share(delay: &event::SupplierDelay) -> Result<(), Refused> {
    basis_points(delay.confidence_bp).map_err(|r| r.inside("confidence_bp"))
}

fn code(code: &str) -> Result<(), Refused> {
    let well_formed = (1..=CODE_BYTES_MAX).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well_formed {
        return Err(Refused::broken(format!("expected 1 to {CODE_BYTES_MAX} lower-case letters, digits and dashes"))
            .inside("code"));
    }
    Ok(())
}

pub(crate) fn problem_has_a_code(problem: &document::Problem) -> Result<(), Refused> {
    code(&problem.code)
}

pub(crate) fn reason_has_a_code(reason: &advice::Reason) -> Result<(), Refused> {
    code(&reason.code)
}

pub(crate) fn hold_is_bounded(hold: &advice::Hold) -> Result<(), Refused> {
    if !(1..=HOLD_MINUTES_MAX).contains(&hold.minutes) {
        let problem = format!("{} minutes; expected 1 to {HOLD_MINUTES_MAX}", hold.minutes);
        return Err(Refused::broken(problem).inside("minutes"));
    }
    Ok(())
}

pub(crate) fn nodes_are_few(recommendation: &advice::Recommendation) -> Result<(), Refused> {
    match recommendation {
        advice::Recommendation::AlternateShipNode(nodes) => {
            at_most("alternate-ship-node", "ship nodes", nodes.len(), RANKED_NODES_MAX)
        }
        _ => Ok(()),
    }
}

pub(crate) fn assessment_is_bounded(assessment: &advice::Assessment) -> Result<(), Refused> {
    basis_points(assessment.score_bp).map_err(|r| r.inside("score_bp"))?;
    at_most("reasons", "reasons", assessment.reasons.len(), REASONS_MAX)?;
    if !assessment.reasons.is_sorted_by_key(|reason| Reverse(reason.contribution_bp.unsigned_abs())) {
        return Err(Refused::broken("expected the largest contribution first").inside("reasons"));
    }
    at_most("proposals", "proposals", assessment.proposals.len(), PROPOSALS_MAX)?;
    for proposal in &assessment.proposals {
        if let advice::Proposal::Hold(hold) = proposal
            && !assessment.reasons.iter().any(|reason| reason.code == hold.reason)
        {
            let problem = "a hold names a reason that the assessment does not give";
            return Err(Refused::broken(problem).inside("reason").inside("proposals"));
        }
    }
    Ok(())
}

/// A blank key would be shared by every sender that leaves it out.
pub(crate) fn envelope_has_a_key(envelope: &document::Envelope) -> Result<(), Refused> {
    if envelope.key.trim().is_empty() {
        return Err(Refused::broken("expected a key that is not blank").inside("key"));
    }
    Ok(())
}

/// The host puts other bytes in the place of an answer. A place beyond the reply, or
/// one that two envelopes share, would have it tear an acknowledgement apart.
pub(crate) fn envelopes_fit(received: &document::Received) -> Result<(), Refused> {
    let mut answers: Vec<document::Span> = Vec::new();
    for envelope in &received.envelopes {
        let Some(answer) = envelope.answer else {
            if envelope.refusal.is_some() {
                let problem = "a refusal without an answer in whose place it could stand";
                return Err(Refused::broken(problem).inside("refusal").inside("envelopes"));
            }
            continue;
        };
        if answer.of(&received.reply.body).is_none() {
            let problem = format!("not within the {} bytes of the reply", received.reply.body.len());
            return Err(Refused::broken(problem).inside("answer").inside("envelopes"));
        }
        answers.push(answer);
    }
    answers.sort_by_key(|answer| (answer.offset_bytes, answer.length_bytes));
    let overlap = |pair: &[document::Span]| match pair {
        [first, second] => first.offset_bytes.saturating_add(first.length_bytes) > second.offset_bytes,
        _ => false,
    };
    if answers.windows(2).any(overlap) {
        return Err(Refused::broken("shares bytes with another one").inside("answer").inside("envelopes"));
    }
    let envelopes = received.envelopes.len();
    let inside = |index: u32| usize::try_from(index).is_ok_and(|index| index < envelopes);
    if let Some(beyond) =
        received.documents.iter().filter_map(|document| document.envelope).find(|index| !inside(*index))
    {
        let problem = format!("{beyond}; there are {envelopes} envelopes, counted from 0");
        return Err(Refused::broken(problem).inside("envelope").inside("documents"));
    }
    Ok(())
}

/// What an envelope takes is compared when its key comes again: bytes that the input
/// does not have are no content.
pub(crate) fn parts_are_of(received: &document::Received, input: &[u8]) -> Result<(), Refused> {
    match received.envelopes.iter().any(|envelope| envelope.part.is_some_and(|part| part.of(input).is_none())) {
        true => {
            let problem = format!("not within the {} bytes of the input", input.len());
            Err(Refused::broken(problem).inside("part").inside("envelopes"))
        }
        false => Ok(()),
    }
}

pub(crate) fn reply_is_sendable(reply: &document::Reply) -> Result<(), Refused> {
    if !(200..=599).contains(&reply.status) {
        return Err(
            Refused::broken(format!("{} is no final HTTP status; expected 200 to 599", reply.status)).inside("status")
        );
    }
    at_most("headers", "headers", reply.headers.len(), REPLY_HEADERS_MAX)
}

/// A name or value with a line break would write headers, or a body, of its own.
pub(crate) fn header_is_safe(header: &document::Header) -> Result<(), Refused> {
    if http::HeaderName::from_lowercase(header.name.as_bytes()).is_err() {
        return Err(Refused::broken("expected a lower-case header name").inside("name"));
    }
    header_value(&header.value).map_err(|r| r.inside("value"))
}

pub(crate) fn content_type_is_safe(message: &document::Message) -> Result<(), Refused> {
    header_value(&message.content_type).map_err(|r| r.inside("content_type"))
}

fn header_value(value: &str) -> Result<(), Refused> {
    if http::HeaderValue::from_str(value).is_err() {
        return Err(Refused::broken("expected a header value without control characters"));
    }
    Ok(())
}

pub(crate) fn failure_is_usable(failure: &document::Failure) -> Result<(), Refused> {
    match failure {
        document::Failure::Invalid(problems) if problems.is_empty() => {
            Err(Refused::broken("an invalid input without a problem; expected at least one").inside("invalid"))
        }
        document::Failure::Retry(ms) if *ms > RETRY_MS_MAX => {
            Err(Refused::broken(format!("{ms} ms; expected at most {RETRY_MS_MAX}")).inside("retry"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
