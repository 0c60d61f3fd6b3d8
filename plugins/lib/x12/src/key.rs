//! The keys that the host knows an interchange, a partner and an order by.
//!
//! ```text
//! interchange   ISA05:ISA06>ISA07:ISA08/ISA13
//! partner       ISA05:ISA06:GS02
//! order         PARTNER/BEG03/BEG01/BEG04
//! ```
//!
//! The danger: the host refuses a result with a key that is too long or has a
//! control character, whole. One order number with a tab in it would take every
//! other order of its file along. So whoever reads a part judges it by [`unfit`],
//! and what is wrong costs the set, the group or the interchange that it names.
//! The parts' limits are far above those of any X12 version, and together within
//! the host's.

use crate::read::{Group, Interchange, Set};

/// Bytes of a key, as the host allows them for an identifier.
#[cfg(test)]
const KEY_BYTES_MAX: usize = 256;

/// Bytes of ISA05 or ISA07 in a key. A qualifier has two characters.
pub const QUALIFIER_BYTES_MAX: usize = 12;

/// Bytes of ISA06, ISA08 or GS02 in a key. Fifteen characters, escaped or not ASCII.
pub const PARTY_BYTES_MAX: usize = 48;

/// Bytes of ISA13 in a key. A control number has nine digits.
pub const CONTROL_BYTES_MAX: usize = 32;

/// Bytes of BEG01 in a key. A purpose has two characters.
pub const PURPOSE_BYTES_MAX: usize = 12;

/// Bytes of BEG03 in a key. X12 allows 22 characters; partners send more.
pub const ORDER_NUMBER_BYTES_MAX: usize = 80;

/// Bytes of BEG04 in a key. X12 allows 30 characters.
pub const RELEASE_BYTES_MAX: usize = 48;

/// Why a text cannot be part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is longer than its place.
    TooLong,
    /// It has a control character, with which it would look like another.
    Control,
}

impl Unfit {
    /// The data element syntax error code (723) of AK4: 5 too long, 6 invalid character.
    #[must_use]
    pub fn element_syntax(self) -> u8 {
        match self {
            Self::TooLong => 5,
            Self::Control => 6,
        }
    }

    /// What was found, and what is expected instead.
    #[must_use]
    pub fn sentence(self, element: &str, bytes_max: usize) -> String {
        match self {
            Self::TooLong => format!("{element} is too long; expected at most {bytes_max} bytes"),
            Self::Control => format!("{element} has a control character; expected letters, digits and punctuation"),
        }
    }
}

/// Why `part` cannot have its place of `bytes_max` in a key; none when it can.
#[must_use]
pub fn unfit(part: &str, bytes_max: usize) -> Option<Unfit> {
    if part.chars().any(char::is_control) {
        return Some(Unfit::Control);
    }
    (escaped(part).len() > bytes_max).then_some(Unfit::TooLong)
}

/// `ISA05:ISA06>ISA07:ISA08/ISA13`. None when one of them is missing, since a key
/// with a blank part would be shared with strangers.
#[must_use]
pub fn of_interchange(interchange: &Interchange) -> Option<String> {
    let isa = &interchange.isa;
    let parts = [isa.element(5), isa.element(6), isa.element(7), isa.element(8), isa.control()].map(escaped);
    let [from, of, to, for_whom, control] = &parts;
    parts.iter().all(|part| !part.is_empty()).then(|| format!("{from}:{of}>{to}:{for_whom}/{control}"))
}

/// `ISA05:ISA06:GS02`: who sends orders through the gateway.
#[must_use]
pub fn of_partner(interchange: &Interchange, group: &Group) -> String {
    [interchange.isa.element(5), interchange.isa.element(6), group.sender()].map(escaped).join(":")
}

/// `PARTNER/BEG03/BEG01/BEG04`: partner, order number, purpose, release.
#[must_use]
pub fn of_order(partner: &str, set: &Set) -> String {
    let begin = set.segments.iter().find(|segment| segment.tag == "BEG");
    let element = |number| escaped(begin.map_or("", |segment| segment.trimmed(number)));
    [partner.to_owned(), element(3), element(1), element(4)].join("/")
}

/// A part of a key in which the key's own separators cannot occur: an order
/// number `1/05` would otherwise be a change of order `1`.
fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F").replace(':', "%3A").replace('>', "%3E")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::read;

    #[test]
    fn keys_of_the_longest_parts_are_what_the_host_takes() {
        let (qualifier, party) = ("Q".repeat(QUALIFIER_BYTES_MAX), "P".repeat(PARTY_BYTES_MAX));
        let control = "9".repeat(CONTROL_BYTES_MAX);
        let begin = [
            "P".repeat(PURPOSE_BYTES_MAX),
            "SA".to_owned(),
            "O".repeat(ORDER_NUMBER_BYTES_MAX),
            "R".repeat(RELEASE_BYTES_MAX),
        ];
        let input = format!(
            "ISA*00* *00* *{qualifier}*{party}*{qualifier}*{party}*260302*0915*U*00401*{control}*0*P*>~\
             GS*PO*{party}*S*20260302*0915*77*X*004010~ST*850*0001~BEG*{}~SE*3*0001~GE*1*77~IEA*1*{control}~",
            begin.join("*")
        );
        let interchange = &read(input.as_bytes()).interchanges[0];
        let group = &interchange.groups[0];
        assert!(group.faults.is_empty() && !interchange.faults.has(crate::FaultCode::IsaIdentity));
        let partner = of_partner(interchange, group);
        let order = of_order(&partner, &group.sets[0]);
        assert!(order.ends_with(&begin[3]));
        for key in [of_interchange(interchange).unwrap(), partner, order] {
            assert!(key.len() <= KEY_BYTES_MAX, "{} bytes", key.len());
        }
    }

    #[test]
    fn a_separator_of_the_key_counts_as_it_is_written() {
        assert_eq!(unfit(&"/".repeat(16), PARTY_BYTES_MAX), None);
        assert_eq!(unfit(&"/".repeat(17), PARTY_BYTES_MAX), Some(Unfit::TooLong));
        assert_eq!(unfit("PO\t1", ORDER_NUMBER_BYTES_MAX), Some(Unfit::Control));
    }
}
