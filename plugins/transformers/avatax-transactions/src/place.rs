//! Where goods come from and where they go: that decides the rate.
//!
//! AvaTax finds a place by its postal code, or by street, city and region; the country is
//! always asked for here, because the account's own would be a guess.

use portreeve_sdk::transformer::*;
use serde::Serialize;

use crate::{extension, place_of};

/// An address in AvaTax's words (`AddressLocationInfo`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Address<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line1: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<&'a str>,
}

/// The addresses of all lines (`AddressesModel`).
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub(crate) enum Addresses<'a> {
    One { single_location: Address<'a> },
    Two { ship_from: Address<'a>, ship_to: Address<'a> },
}

/// The addresses of an invoice, as far as they are known.
pub(crate) fn addresses<'a>(
    invoice: &'a Invoice,
    settings: &'a [Setting],
    single: bool,
    problems: &mut Vec<Problem>,
) -> Addresses<'a> {
    let of_settings = |part: &str| setting(settings, &format!("ship-from-{part}")).filter(|value| !value.is_empty());
    let ship_from = address(of_settings, |part| format!("settings.ship-from-{part}"), problems);
    if single {
        return Addresses::One { single_location: ship_from };
    }
    let of_event = |part: &str| extension(invoice, &format!("avatax:ship-to-{part}"));
    let ship_to = address(of_event, |part| place_of(&format!("avatax:ship-to-{part}")), problems);
    Addresses::Two { ship_from, ship_to }
}

fn address<'a>(
    value: impl Fn(&str) -> Option<&'a str>,
    place: impl Fn(&str) -> String,
    problems: &mut Vec<Problem>,
) -> Address<'a> {
    let address = Address {
        line1: value("line1"),
        line2: value("line2"),
        city: value("city"),
        region: value("region"),
        country: value("country"),
        postal_code: value("postal-code"),
    };
    if address.country.is_none() {
        problems.push(missing("the two letters of a country", place("country")));
    }
    if address.postal_code.is_none() && (address.line1.is_none() || address.city.is_none() || address.region.is_none())
    {
        problems.push(missing("a postal code, or street, city and region", place("postal-code")));
    }
    address
}

fn missing(expected: &str, place: String) -> Problem {
    Problem::new("address-missing", format!("found none; expected {expected}"), place)
}
