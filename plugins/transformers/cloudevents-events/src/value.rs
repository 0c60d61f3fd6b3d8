//! The values of the data that only canonical events have, each checked against what the
//! contract promises of it.

use portreeve_guest_json::value::names_one;
use portreeve_guest_json::{word, written};
use portreeve_sdk::date;
use portreeve_sdk::transformer as contract;

/// Bytes of an extension's name: the contract's limit.
const EXTENSION_NAME_BYTES_MAX: usize = 128;

/// Decimal places of a quantity or a price.
const PLACES_MAX: u8 = 9;

written!(pub(crate) ExtensionName, str => String, "a name: a text of 1 to 128 bytes without control characters", |text| names_one(
    text,
    EXTENSION_NAME_BYTES_MAX
));

written!(pub(crate) CurrencyCode, str => String, "a currency code of ISO 4217 such as `USD`", |text| {
    iso_currency::Currency::from_code(text).map(|_| text.to_owned())
});

// Amounts, quantities and milliseconds since 1970: a reader that uses floating-point
// numbers would change them silently beyond 2^53, so none of them is a JSON number.
written!(pub(crate) Whole, str => i64, "a whole number of 64 bits as text, such as `\"12\"`", |text| text.parse().ok());

written!(pub(crate) Day, str => contract::Date, "a date such as `2026-03-02`", |text| {
    text.contains('-').then(|| date::parse(text))?
});

written!(pub(crate) Places, u64 => u8, "a number of decimal places from 0 to 9", |places| {
    u8::try_from(*places).ok().filter(|places| *places <= PLACES_MAX)
});

written!(pub(crate) PriceUnits, u64 => u32, "the number of units that the price is for, 1 or more", |units| {
    u32::try_from(*units).ok().filter(|units| *units > 0)
});

word!(LineStatus => contract::LineStatus {
    "accepted" => Accepted,
    "backordered" => Backordered,
    "quantity-changed" => QuantityChanged,
    "price-changed" => PriceChanged,
    "date-changed" => DateChanged,
    "substituted" => Substituted,
    "rejected" => Rejected,
});

word!(ShortReason => contract::ShortReason {
    "none" => None,
    "backorder" => Backorder,
    "no-backorder" => NoBackorder,
    "substitution" => Substitution,
    "damaged" => Damaged,
    "unknown" => Unknown,
});

word!(RefundCause => contract::RefundCause {
    "goods-return" => GoodsReturn,
    "cancelled-prepayment" => CancelledPrepayment,
    "short-shipment" => ShortShipment,
    "price-correction" => PriceCorrection,
    "other" => Other,
});
