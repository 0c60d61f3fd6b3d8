//! The keys that the host knows an interchange, a partner and an order by.
//!
//! ```text
//! interchange   ISA05:ISA06>ISA07:ISA08/ISA13
//! partner       ISA05:ISA06:GS02
//! order         PARTNER/BEG03/BEG01/BEG04
//! other sets    PARTNER//ST01/and the elements that name it, see `kind`
//! ```
//!
//! BEG03 is never empty, so no order has the key of another set.
//!
//! The danger: the host refuses a result with a key that is too long or has a
//! control character, whole. One order number with a tab in it would take every
//! other order of its file along. So whoever reads a part judges it by [`unfit`],
//! and what is wrong costs the set, the group or the interchange that it names.
//! The parts' limits are far above those of any X12 version, and together within
//! the host's.

use crate::kind::Kind;
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

/// Bytes of an order number or payment's reference in the key of another set than an order.
/// X12 allows 30 characters.
pub const REFERENCE_BYTES_MAX: usize = 60;

/// Bytes of any other number in the key of such a set. X12 allows 30 characters at most.
pub const NUMBER_BYTES_MAX: usize = 40;

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

/// `PARTNER/BEG03/BEG01/BEG04`, or `PARTNER//ST01/…` with the elements that name the set.
#[must_use]
pub fn of_set(kind: Kind, partner: &str, set: &Set) -> String {
    let form = kind.form();
    let begin = set.segments.iter().find(|segment| segment.tag == form.begin);
    let element = |number| escaped(begin.map_or("", |segment| segment.trimmed(number)));
    let own = |numbers: &[usize]| numbers.iter().map(|number| element(*number)).collect::<Vec<_>>().join("/");
    match kind {
        Kind::PurchaseOrder => format!("{partner}/{}", own(&[3, 1, 4])),
        _ => {
            let places: Vec<usize> = form.key.iter().map(|part| part.position).collect();
            format!("{partner}//{}/{}", kind.code(), own(&places))
        }
    }
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

    /// The longest parts, each told apart by its first character.
    fn longest(kind: Kind) -> Vec<String> {
        let form = kind.form();
        let last = form.key.iter().map(|part| part.position).max().unwrap_or_default();
        let text = |position: usize| {
            let part = form.key.iter().find(|part| part.position == position);
            part.map_or_else(String::new, |part| position.to_string() + &"x".repeat(part.bytes_max - 1))
        };
        (1..=last).map(text).collect()
    }

    #[test]
    fn keys_of_the_longest_parts_are_what_the_host_takes() {
        let (qualifier, party) = ("Q".repeat(QUALIFIER_BYTES_MAX), "P".repeat(PARTY_BYTES_MAX));
        let control = "9".repeat(CONTROL_BYTES_MAX);
        for kind in ["850", "860", "820", "945", "997"].map(|code| Kind::of(code).unwrap()) {
            let (code, begin) = (kind.code(), kind.form().begin);
            let input = format!(
                "ISA*00* *00* *{qualifier}*{party}*{qualifier}*{party}*260302*0915*U*00401*{control}*0*P*>~\
                 GS*PO*{party}*S*20260302*0915*77*X*004010~ST*{code}*0001~{begin}*{}~SE*3*0001~GE*1*77~IEA*1*{control}~",
                longest(kind).join("*")
            );
            let interchange = &read(input.as_bytes()).interchanges[0];
            let group = &interchange.groups[0];
            assert!(group.faults.is_empty() && !interchange.faults.has(crate::FaultCode::IsaIdentity));
            let (_, faults) = crate::check::set(kind, &group.sets[0]);
            assert!(faults.iter().all(|fault| fault.code == crate::FaultCode::SegmentMissing), "{faults:?}");
            let partner = of_partner(interchange, group);
            let of_set = of_set(kind, &partner, &group.sets[0]);
            for part in longest(kind).iter().filter(|part| !part.is_empty()) {
                assert!(of_set.contains(part.as_str()), "{of_set}");
            }
            for key in [of_interchange(interchange).unwrap(), partner, of_set] {
                assert!(key.len() <= KEY_BYTES_MAX, "{code}: {} bytes", key.len());
            }
        }
    }

    #[test]
    fn no_set_of_another_kind_has_the_key_of_an_order() {
        let of = |code: &str, segment: &str| {
            let input = format!(
                "ISA*00*          *00*          *ZZ*A              *ZZ*B              *260302*0915*U*00401*000000001*0*P*>~\
                 GS*PO*A*B*20260302*0915*77*X*004010~ST*{code}*0001~{segment}~SE*3*0001~GE*1*77~IEA*1*000000001~"
            );
            let interchange = &read(input.as_bytes()).interchanges[0];
            let group = &interchange.groups[0];
            of_set(Kind::of(code).unwrap(), &of_partner(interchange, group), &group.sets[0])
        };
        assert_eq!(of("850", "BEG*00*SA*PO-1*R-1"), "ZZ:A:A/PO-1/00/R-1");
        assert_eq!(of("860", "BCH*05*CP*PO-1*R-1*3"), "ZZ:A:A//860/05/PO-1/R-1/3");
        assert_eq!(of("945", "W06*F*PO-1**SH-1"), "ZZ:A:A//945/F/PO-1/SH-1");
        assert_eq!(of("820", "TRN*1*45/2"), "ZZ:A:A//820/1/45%2F2");
        assert_eq!(of("997", "AK1*IN*17"), "ZZ:A:A//997/IN/17");
    }

    #[test]
    fn a_separator_of_the_key_counts_as_it_is_written() {
        assert_eq!(unfit(&"/".repeat(16), PARTY_BYTES_MAX), None);
        assert_eq!(unfit(&"/".repeat(17), PARTY_BYTES_MAX), Some(Unfit::TooLong));
        assert_eq!(unfit("PO\t1", ORDER_NUMBER_BYTES_MAX), Some(Unfit::Control));
    }
}
