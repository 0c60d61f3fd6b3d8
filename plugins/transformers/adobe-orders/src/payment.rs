//! How an Adobe order is paid for, and what the processor said about it.
//!
//! The core knows a method code and a few card fields. Issuer country and
//! address verification come from the payment extensions, each under names of
//! its own, as `payment_additional_info`.

use portreeve_sdk::transformer::*;

use crate::order::{Reader, country, text};
use crate::source::{SourceOrder, SourcePayment};

/// Names under which extensions state the issuer's country.
const ISSUER_COUNTRY: [&str; 4] = ["issuer_country", "card_issuer_country", "country_of_issuance", "card_country"];
/// Names under which they state the address verification.
const ADDRESS_CHECK: [&str; 4] =
    ["avs_result", "avs_status", "address_line1_check", "avs_street_address_response_code"];
/// Names under which they state the payment's state.
const STATE: [&str; 3] = ["payment_status", "transaction_status", "fraud_status"];

/// The payment of an order, where it has one.
pub(crate) fn read(source: &SourceOrder<'_>, reader: &mut Reader) -> Option<Payment> {
    let payment = source.payment.as_ref()?;
    let code = text(payment.method)?;
    Some(Payment {
        method: method(&code, payment).to_owned(),
        state: text(payment.cc_status).or_else(|| info(source, &STATE)),
        authorised: reader.amount(payment.amount_authorized, "payment.amount_authorized"),
        authorisation_expires_at: None,
        issuer_country: info(source, &ISSUER_COUNTRY).and_then(|code| country(code.to_ascii_uppercase())),
        address_check: text(payment.cc_avs_status).or_else(|| info(source, &ADDRESS_CHECK)),
        terms: (code == "companycredit").then(|| "company credit".to_owned()),
    })
}

/// The contract's word for a method code; the code itself where there is none.
fn method<'a>(code: &'a str, payment: &SourcePayment<'_>) -> &'a str {
    let card = text(payment.cc_type).is_some() || text(payment.cc_last4).is_some();
    match code {
        "banktransfer" => "bank-transfer",
        "purchaseorder" | "companycredit" | "checkmo" => "invoice",
        "free" => "prepaid",
        _ if card => "card",
        other => other,
    }
}

/// The first of some facts that the payment extension states.
fn info(source: &SourceOrder<'_>, names: &[&str]) -> Option<String> {
    let facts = source.extension_attributes.as_ref()?.payment_additional_info.as_ref()?;
    names.iter().find_map(|name| {
        let fact = facts.iter().find(|fact| text(fact.key).is_some_and(|key| normal(&key) == *name))?;
        text(fact.value)
    })
}

/// `Issuer Country` and `issuer-country` are `issuer_country`.
fn normal(key: &str) -> String {
    key.chars()
        .map(|character| if character.is_alphanumeric() { character.to_ascii_lowercase() } else { '_' })
        .collect()
}
