//! The transaction sets that are taken, and what of each is its key, is required, or is a number.
//!
//! ```text
//! 850  BEG  purchase order              from customers
//! 860  BCH  change of a purchase order  from customers
//! 820  TRN  remittance advice           from customers
//! 945  W06  warehouse shipping advice   from warehouses
//! 997  AK1  functional acknowledgement  from everybody, never acknowledged
//! ```
//!
//! 855, 856, 810 and 940 go out from a distributor. Whoever sends one takes us for somebody
//! else, so there is no way to have them taken.
//!
//! The danger: two sets with one key are one thing to the host, the second a duplicate or a
//! conflict. So what tells sets of a kind apart is required here, also where X12 leaves it
//! open (TRN of an 820, W0602 of a 945).

use crate::key::{NUMBER_BYTES_MAX, ORDER_NUMBER_BYTES_MAX, PURPOSE_BYTES_MAX, REFERENCE_BYTES_MAX, RELEASE_BYTES_MAX};
use crate::read::Set;

/// A transaction set that can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 850.
    PurchaseOrder,
    /// 860.
    OrderChange,
    /// 820.
    Remittance,
    /// 945.
    ShippingAdvice,
    /// 997.
    Acknowledgement,
}

/// An element of a set's key.
#[derive(Debug, Clone, Copy)]
pub struct KeyPart {
    /// Its place in the segment, from 1.
    pub position: usize,
    /// Data element reference number.
    pub reference: u16,
    /// Bytes that it may have in a key.
    pub bytes_max: usize,
    /// What it is called, where it may not be empty.
    pub required: Option<&'static str>,
}

const fn required(position: usize, reference: u16, bytes_max: usize, name: &'static str) -> KeyPart {
    KeyPart { position, reference, bytes_max, required: Some(name) }
}

const fn optional(position: usize, reference: u16, bytes_max: usize) -> KeyPart {
    KeyPart { position, reference, bytes_max, required: None }
}

/// Elements of segments with a tag that are numbers: their places and reference numbers.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// The tag of the segments.
    pub tag: &'static str,
    /// Place and data element reference number of each.
    pub elements: &'static [(usize, u16)],
}

/// What X12 and the host's keys ask of a kind of set.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The segment that names the set.
    pub begin: &'static str,
    /// The elements of that segment that are the set's key.
    pub key: &'static [KeyPart],
    /// Another segment that must be there.
    pub also: Option<&'static str>,
    /// Segments with numbers.
    pub numbers: &'static [Numbers],
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::PurchaseOrder, Self::OrderChange, Self::Remittance, Self::ShippingAdvice, Self::Acknowledgement];

    /// The kind with this ST01.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// ST01.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::PurchaseOrder => "850",
            Self::OrderChange => "860",
            Self::Remittance => "820",
            Self::ShippingAdvice => "945",
            Self::Acknowledgement => "997",
        }
    }

    /// Whether a set needs the segments that its kind must have beside the first: the lines
    /// of an order are left out by partners who cancel it.
    #[must_use]
    pub fn cancels(self, set: &Set) -> bool {
        self == Self::PurchaseOrder
            && set.segments.iter().any(|segment| segment.tag == "BEG" && segment.trimmed(1) == "01")
    }

    /// What is asked of sets of this kind.
    #[must_use]
    pub fn form(self) -> Form {
        match self {
            Self::PurchaseOrder => PURCHASE_ORDER,
            Self::OrderChange => ORDER_CHANGE,
            Self::Remittance => REMITTANCE,
            Self::ShippingAdvice => SHIPPING_ADVICE,
            Self::Acknowledgement => ACKNOWLEDGEMENT,
        }
    }
}

const PURCHASE_ORDER: Form = Form {
    begin: "BEG",
    key: &[
        required(1, 353, PURPOSE_BYTES_MAX, "purpose"),
        required(3, 324, ORDER_NUMBER_BYTES_MAX, "purchase order number"),
        optional(4, 328, RELEASE_BYTES_MAX),
    ],
    also: Some("PO1"),
    numbers: &[Numbers { tag: "PO1", elements: &[(2, 330), (4, 212)] }],
};

const ORDER_CHANGE: Form = Form {
    begin: "BCH",
    key: &[
        required(1, 353, PURPOSE_BYTES_MAX, "purpose"),
        required(3, 324, REFERENCE_BYTES_MAX, "purchase order number"),
        optional(4, 328, NUMBER_BYTES_MAX),
        optional(5, 327, PURPOSE_BYTES_MAX),
    ],
    also: None,
    numbers: &[Numbers { tag: "POC", elements: &[(3, 330), (6, 212)] }],
};

const REMITTANCE: Form = Form {
    begin: "TRN",
    key: &[
        required(1, 481, PURPOSE_BYTES_MAX, "type of the trace"),
        required(2, 127, REFERENCE_BYTES_MAX, "reference of the payment"),
    ],
    also: Some("BPR"),
    numbers: &[
        Numbers { tag: "BPR", elements: &[(2, 782)] },
        Numbers { tag: "RMR", elements: &[(4, 782), (5, 782), (6, 782), (8, 782)] },
        Numbers { tag: "ADX", elements: &[(1, 782)] },
    ],
};

const SHIPPING_ADVICE: Form = Form {
    begin: "W06",
    key: &[
        required(1, 514, PURPOSE_BYTES_MAX, "reporting code"),
        required(2, 285, NUMBER_BYTES_MAX, "depositor order number"),
        optional(4, 145, NUMBER_BYTES_MAX),
    ],
    also: None,
    numbers: &[
        Numbers { tag: "W12", elements: &[(2, 330), (3, 382), (4, 383)] },
        Numbers { tag: "W03", elements: &[(1, 382)] },
    ],
};

const ACKNOWLEDGEMENT: Form = Form {
    begin: "AK1",
    key: &[
        required(1, 479, NUMBER_BYTES_MAX, "functional identifier"),
        required(2, 28, NUMBER_BYTES_MAX, "group control number"),
    ],
    also: None,
    numbers: &[],
};

/// The kinds that a channel takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(Vec<Kind>);

/// A set that cannot be taken, or none at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSet {
    /// What the setting names.
    pub found: String,
}

impl std::fmt::Display for UnknownSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "setting `sets` names `{}`; expected some of 850, 860, 820, 945 and 997", self.found)
    }
}

impl std::error::Error for UnknownSet {}

impl Default for Kinds {
    /// Purchase orders.
    fn default() -> Self {
        Self(vec![Kind::PurchaseOrder])
    }
}

impl Kinds {
    /// Reads the setting `sets`, for example `850,860`; purchase orders without it.
    ///
    /// # Errors
    /// [`UnknownSet`] when it names a set that cannot be taken, or no set.
    pub fn named(setting: Option<&str>) -> Result<Self, UnknownSet> {
        let Some(setting) = setting else { return Ok(Self::default()) };
        let names = setting.split([',', ' ']).filter(|name| !name.is_empty());
        let kinds: Vec<Kind> = names
            .map(|name| Kind::of(name).ok_or_else(|| UnknownSet { found: name.to_owned() }))
            .collect::<Result<_, _>>()?;
        if kinds.is_empty() { Err(UnknownSet { found: String::new() }) } else { Ok(Self(kinds)) }
    }

    /// Whether this kind is taken.
    #[must_use]
    pub fn take(&self, kind: Kind) -> bool {
        self.0.contains(&kind)
    }

    /// The sets as a person names them: `850 or 860`.
    #[must_use]
    pub fn listed(&self) -> String {
        let codes: Vec<&str> = self.0.iter().map(|kind| kind.code()).collect();
        codes.join(" or ")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_channel_takes_what_it_names_and_orders_where_it_names_nothing() {
        let orders = Kinds::named(None).unwrap();
        assert!(orders.take(Kind::PurchaseOrder) && !orders.take(Kind::ShippingAdvice));
        let some = Kinds::named(Some("945, 997")).unwrap();
        assert!(some.take(Kind::ShippingAdvice) && some.take(Kind::Acknowledgement) && !some.take(Kind::PurchaseOrder));
        assert_eq!(some.listed(), "945 or 997");
    }

    #[test]
    fn what_cannot_be_taken_is_a_slip_of_the_settings() {
        for (setting, found) in [("850,855", "855"), ("orders", "orders"), ("", ""), (" , ", "")] {
            let slip = Kinds::named(Some(setting)).unwrap_err();
            assert_eq!(slip, UnknownSet { found: found.to_owned() });
            assert!(slip.to_string().contains("850, 860, 820, 945 and 997"));
        }
    }
}
