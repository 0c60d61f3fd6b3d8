//! The texts that a leaf may hold.
//!
//! Danger: a guest chooses codes and places, and `ada-lovelace-12-st-james-square`
//! has the form of a code, `items[Ada.Lovelace]` that of a place. Form proves
//! nothing, so a guest's word stands in a leaf only if it is one of the words
//! below, which the host knows by itself. Any other code is blinded with the salt
//! of the payload that it is about: who has the payload can check it, and nobody
//! once it is erased. Of a place, the structure is kept and every unknown name
//! is left out.
//!
//! The words of the host and of its configuration need a form only, so that no
//! leaf grows beyond its bounds. Numbers stay: a guest that is bent on it can
//! spell something out in indexes, offsets or fuel.

use std::fmt;

use portreeve_model::Digest;

use crate::seal::PayloadKey;

/// What stands where a text was that does not belong in a leaf.
pub const REDACTED: &str = "redacted";

/// What stands in a place where a name was that the host does not know.
const UNKNOWN_NAME: &str = "_";

/// Digits of one number in a place. Longer ones are telephone or card numbers
/// rather than the index of a line.
const PLACE_DIGITS_MAX: usize = 6;

/// Words for what can be wrong, known to the host: its own and those of the
/// plugins that come with it. Sorted.
const CODES: &[&str] = &[
    "attempts-exhausted",
    "bad-amount",
    "bad-date",
    "bad-number",
    "budget-contended",
    "busy",
    "cancel-requested",
    "changed-order",
    "connector-missing",
    "content-type",
    "contract-violation",
    "count-mismatch",
    "currency-missing",
    "data-outside-interchange",
    "deadline",
    "deferred",
    "disabled",
    "document-unwritable",
    "element-invalid",
    "element-missing",
    "element-too-long",
    "envelope-changed",
    "event-unreadable",
    "field-missing",
    "group-control-mismatch",
    "group-control-repeated",
    "group-count-mismatch",
    "group-identity",
    "group-trailer-missing",
    "halted",
    "host-fault",
    "host-out-of-time",
    "interchange-control-mismatch",
    "interchange-count-mismatch",
    "interchange-empty",
    "interchange-trailer-missing",
    "invalid",
    "isa-component-separator",
    "isa-element-count",
    "isa-element-length",
    "isa-identity",
    "isa-receiver",
    "isa-sender",
    "isa-separator",
    "isa-terminator",
    "isa-truncated",
    "isa-usage",
    "item-missing",
    "line-count-mismatch",
    "line-number-twice",
    "lines-missing",
    "malformed-document",
    "malformed-json",
    "mixed-framing",
    "more-faults",
    "no-event",
    "no-interchange",
    "no-lines",
    "no-target",
    "no-transformer",
    "not-an-order",
    "not-automatic",
    "not-installed",
    "not-trusted",
    "order-exists",
    "order-missing",
    "order-number-missing",
    "out-of-memory",
    "out-of-time",
    "permanent",
    "price-per-quantity",
    "quarantined",
    "refused-by-erp",
    "refused-import",
    "retry",
    "segment-missing",
    "segment-outside-set",
    "segment-unterminated",
    "set-control-mismatch",
    "set-control-missing",
    "set-control-repeated",
    "set-count-mismatch",
    "set-outside-group",
    "set-trailer-missing",
    "several-events",
    "ship-to-twice",
    "stack-overflow",
    "store-malformed",
    "too-large",
    "too-many-addresses",
    "too-many-elements",
    "too-many-interchanges",
    "too-many-orders",
    "too-many-segments",
    "too-often",
    "trap",
    "unexpected",
    "unit-missing",
    "unknown-currency",
    "unknown-outcome",
    "unknown-receiver",
    "unsupported-purpose",
    "unsupported-transaction",
    "value",
];

/// Names in places, known to the host: X12 segments and the fields of orders in
/// JSON. Sorted.
const NAMES: &[&str] = &[
    "AK1",
    "AK2",
    "AK3",
    "AK4",
    "AK5",
    "AK9",
    "AMT",
    "BEG",
    "CTP",
    "CTT",
    "CUR",
    "DTM",
    "FOB",
    "GE",
    "GS",
    "IEA",
    "ISA",
    "IT1",
    "ITD",
    "MSG",
    "N1",
    "N2",
    "N3",
    "N4",
    "N9",
    "PER",
    "PID",
    "PO1",
    "PO3",
    "PO4",
    "REF",
    "SAC",
    "SCH",
    "SDQ",
    "SE",
    "ST",
    "TA1",
    "TAX",
    "TD5",
    "address",
    "amount",
    "created_at",
    "currency",
    "customer",
    "date",
    "discount",
    "grand_total",
    "id",
    "increment_id",
    "item",
    "items",
    "lines",
    "number",
    "order",
    "orders",
    "price",
    "quantity",
    "ship_to",
    "sku",
    "unit",
];

/// Declares a text that a leaf may hold.
macro_rules! leaf_text {
    ($(#[$doc:meta])* $type:ident, $bytes_max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        portreeve_model::as_text!($type, $type::parse);

        impl $type {
            /// The text that stands in the leaf.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            fn parse(text: &str) -> Result<Self, String> {
                if Self::fits(text) || Digest::parse(text).is_ok() {
                    Ok(Self(text.to_owned()))
                } else {
                    let shown: String = text.chars().take(80).collect();
                    Err(format!("`{shown}` does not belong in a leaf; expected a code or a digest"))
                }
            }

            fn if_it_fits(text: &str) -> Self {
                Self(if Self::fits(text) { text } else { REDACTED }.to_owned())
            }

            fn fits(text: &str) -> bool {
                let allowed: fn(u8) -> bool = $allowed;
                (1..=$bytes_max).contains(&text.len()) && text.bytes().all(allowed)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

    };
}

leaf_text!(
    /// A code: at most 64 lower-case letters, digits and `-./_:`.
    Code,
    64,
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-./_:".contains(&byte)
);
leaf_text!(
    /// A place in an input, in the format's notation (`PO1[3]/04`,
    /// `items[2].price`), without names that the host does not know: at most 96
    /// letters, digits and `-._/[]:#*`.
    Place,
    96,
    |byte| byte.is_ascii_alphanumeric() || b"-._/[]:#*".contains(&byte)
);
leaf_text!(
    /// A host, an account or an authenticated sender: at most 96 printable
    /// ASCII characters, without quotes and backslashes.
    Label,
    96,
    |byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\'
);

impl Code {
    /// A word of the host or of its configuration; [`REDACTED`] if it is no code.
    /// Never for a guest's word.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::if_it_fits(text)
    }

    /// A word that a guest may have chosen: as it is if the host knows it,
    /// otherwise blinded (`sha256:…`) with the key of the payload that it is about.
    #[must_use]
    pub fn of_guest(text: &str, key: &PayloadKey) -> Self {
        if Self::is_known(text) { Self(text.to_owned()) } else { Self(key.blind(text).to_string()) }
    }

    /// Whether a guest's word stands in a leaf as it is.
    #[must_use]
    pub fn is_known(text: &str) -> bool {
        CODES.binary_search(&text).is_ok()
    }

    /// What stands in a leaf for a word that must not.
    #[must_use]
    pub fn redacted() -> Self {
        Self(REDACTED.to_owned())
    }
}

impl Label {
    /// A name from the configuration; [`REDACTED`] if it has another form.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::if_it_fits(text)
    }
}

impl Place {
    /// The structure of a place that a guest named: separators, indexes and the
    /// names that the host knows. Every other name becomes `_`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut place = String::new();
        let mut rest = text;
        while !rest.is_empty() && place.len() < 128 {
            let separators = rest.len() - rest.trim_start_matches(is_separator).len();
            let (between, after) = rest.split_at(separators);
            let (name, after) = after.split_at(after.find(is_separator).unwrap_or(after.len()));
            place.push_str(between);
            place.push_str(if is_structural(name) { name } else { UNKNOWN_NAME });
            rest = after;
        }
        Self::if_it_fits(&place)
    }
}

fn is_separator(character: char) -> bool {
    "./[]:#*".contains(character)
}

/// Nothing, an index, or a known name with at most the two digits of an element behind it.
fn is_structural(name: &str) -> bool {
    let without_digits = name.trim_end_matches(|character: char| character.is_ascii_digit());
    let digits = name.len() - without_digits.len();
    let element =
        || name.len().checked_sub(2).and_then(|at| name.split_at_checked(at)).map_or("", |(segment, _)| segment);
    (without_digits.is_empty() && digits <= PLACE_DIGITS_MAX)
        || NAMES.binary_search(&name).is_ok()
        || (digits >= 2 && NAMES.binary_search(&element()).is_ok())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use super::*;

    #[test]
    fn knows_words_in_the_order_that_the_search_needs() {
        assert!(CODES.is_sorted() && NAMES.is_sorted());
        assert!(CODES.iter().all(|code| Code::fits(code)));
        assert!(NAMES.iter().all(|name| Place::of(name).as_str() == *name));
    }

    #[test]
    fn shows_a_guests_code_only_if_the_host_knows_it() {
        let key = PayloadKey::random().unwrap();
        assert_eq!(Code::of_guest("set-count-mismatch", &key).as_str(), "set-count-mismatch");
        for text in ["ada-lovelace-12-st-james-square", "Ada Lovelace", "", "ada@example.com", &"x".repeat(65)] {
            let code = Code::of_guest(text, &key);
            assert_eq!(code.as_str(), key.blind(text).to_string());
            assert_ne!(code.as_str(), Digest::of(text.as_bytes()).to_string(), "anybody could guess that one");
            assert_eq!(Code::parse(code.as_str()).unwrap(), code);
        }
    }

    #[test]
    fn replaces_text_without_the_form_by_a_word_that_says_nothing() {
        for text in ["Ada Lovelace", "", "a b", "ada@example.com", &"x".repeat(65)] {
            assert_eq!(Code::of(text).as_str(), REDACTED);
        }
        assert_eq!(Code::of("grant-1").as_str(), "grant-1");
        assert_eq!(Label::of("a\"b").as_str(), REDACTED);
        assert_eq!(Label::of("edi gateway").as_str(), "edi gateway");
    }

    #[test]
    fn keeps_the_structure_of_a_place_and_no_unknown_name() {
        for (text, expected) in [
            ("ISA[1]/GS[2]/ST[3]/PO104", "ISA[1]/GS[2]/ST[3]/PO104"),
            ("PO1[3]/04", "PO1[3]/04"),
            ("orders[0].items[2].price", "orders[0].items[2].price"),
            ("orders[0].increment_id", "orders[0].increment_id"),
            ("items[Ada.Lovelace]", "items[_._]"),
            ("items[Ada Lovelace]", "items[_]"),
            ("ada-lovelace-12-st-james-square", "_"),
            ("items[4915112345678]", "items[_]"),
            ("lovelace04", "_"),
            ("", REDACTED),
            (&"a.".repeat(100), REDACTED),
            (&"é".repeat(100), "_"),
        ] {
            assert_eq!(Place::of(text).as_str(), expected, "{text}");
        }
    }
}
