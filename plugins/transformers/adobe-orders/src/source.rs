//! The fields of an order that are read, each as the token that stands in the JSON.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A value as it was written.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Token<'a>(#[serde(borrow)] &'a RawValue);

impl Token<'_> {
    /// The text of a string, or the digits of a number; nothing for the rest and for blanks.
    pub(crate) fn text(self) -> Option<String> {
        let raw = self.0.get();
        let text = match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(raw).ok()?,
            b'-' | b'0'..=b'9' => raw.to_owned(),
            _ => return None,
        };
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A list of texts, or one text as a list of one.
    pub(crate) fn texts(self) -> Vec<String> {
        match serde_json::from_str::<Vec<Token<'_>>>(self.0.get()) {
            Ok(tokens) => tokens.into_iter().filter_map(Token::text).collect(),
            Err(_) => self.text().into_iter().collect(),
        }
    }

    /// Whether it is `true`, `1` or `"1"`.
    pub(crate) fn is_set(self) -> bool {
        matches!(self.0.get().trim_matches('"'), "1" | "true")
    }
}

/// A field that may be missing.
pub(crate) type Field<'a> = Option<Token<'a>>;

/// An order, GET `V1/orders/{id}`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourceOrder<'a> {
    #[serde(borrow)]
    pub(crate) increment_id: Field<'a>,
    pub(crate) state: Field<'a>,
    pub(crate) status: Field<'a>,
    pub(crate) store_id: Field<'a>,
    pub(crate) created_at: Field<'a>,
    pub(crate) order_currency_code: Field<'a>,
    pub(crate) customer_id: Field<'a>,
    pub(crate) customer_is_guest: Field<'a>,
    pub(crate) customer_group_id: Field<'a>,
    pub(crate) customer_email: Field<'a>,
    pub(crate) customer_firstname: Field<'a>,
    pub(crate) customer_lastname: Field<'a>,
    pub(crate) customer_note: Field<'a>,
    pub(crate) relation_parent_real_id: Field<'a>,
    pub(crate) coupon_code: Field<'a>,
    pub(crate) remote_ip: Field<'a>,
    pub(crate) subtotal: Field<'a>,
    pub(crate) shipping_amount: Field<'a>,
    pub(crate) tax_amount: Field<'a>,
    pub(crate) discount_amount: Field<'a>,
    pub(crate) grand_total: Field<'a>,
    pub(crate) items: Vec<SourceItem<'a>>,
    pub(crate) billing_address: Option<SourceAddress<'a>>,
    pub(crate) payment: Option<SourcePayment<'a>>,
    pub(crate) extension_attributes: Option<SourceExtensions<'a>>,
}

/// A line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourceItem<'a> {
    #[serde(borrow)]
    pub(crate) item_id: Field<'a>,
    pub(crate) parent_item_id: Field<'a>,
    pub(crate) product_type: Field<'a>,
    pub(crate) sku: Field<'a>,
    pub(crate) name: Field<'a>,
    pub(crate) qty_ordered: Field<'a>,
    pub(crate) price: Field<'a>,
    pub(crate) row_total: Field<'a>,
    pub(crate) discount_amount: Field<'a>,
    pub(crate) tax_amount: Field<'a>,
}

/// A billing or shipping address.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourceAddress<'a> {
    #[serde(borrow)]
    pub(crate) customer_address_id: Field<'a>,
    pub(crate) company: Field<'a>,
    pub(crate) firstname: Field<'a>,
    pub(crate) lastname: Field<'a>,
    pub(crate) street: Field<'a>,
    pub(crate) city: Field<'a>,
    pub(crate) region: Field<'a>,
    pub(crate) region_code: Field<'a>,
    pub(crate) postcode: Field<'a>,
    pub(crate) country_id: Field<'a>,
    pub(crate) telephone: Field<'a>,
}

/// The payment.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourcePayment<'a> {
    #[serde(borrow)]
    pub(crate) method: Field<'a>,
    pub(crate) cc_type: Field<'a>,
    pub(crate) cc_last4: Field<'a>,
    pub(crate) cc_avs_status: Field<'a>,
    pub(crate) cc_status: Field<'a>,
    pub(crate) amount_authorized: Field<'a>,
    pub(crate) po_number: Field<'a>,
}

/// What Commerce keeps apart from the order.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SourceExtensions<'a> {
    #[serde(borrow)]
    pub(crate) shipping_assignments: Option<Vec<ShippingAssignment<'a>>>,
    pub(crate) payment_additional_info: Option<Vec<AdditionalInfo<'a>>>,
    pub(crate) requested_delivery_date: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ShippingAssignment<'a> {
    #[serde(borrow)]
    pub(crate) shipping: Option<Shipping<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Shipping<'a> {
    #[serde(borrow)]
    pub(crate) address: Option<SourceAddress<'a>>,
    pub(crate) method: Field<'a>,
}

/// One fact that the payment extension adds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct AdditionalInfo<'a> {
    #[serde(borrow)]
    pub(crate) key: Field<'a>,
    pub(crate) value: Field<'a>,
}
