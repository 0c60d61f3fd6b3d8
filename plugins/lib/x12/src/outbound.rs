//! Puts one transaction set into an interchange of its own, ISA to IEA.
//!
//! ```text
//! ISA*00*…*ZZ*PORTREEVE      *ZZ*ACME           *260302*0915*U*00401*000000017*0*P*>~
//! GS*IN*PORTREEVE*ACME*20260302*0915*17*X*004010~
//! ST*810*0001~ … SE*12*0001~
//! GE*1*17~
//! IEA*1*000000017~
//! ```
//!
//! One set to a group and one group to an interchange: so ISA13 and GS06 are one number, and a
//! 997 or TA1 that names it names one message. The number and the time come from outside and
//! are the same whenever the set is sent again, and then so are the bytes.
//!
//! The danger is a set that is not what it says: whoever reads it would count to its SE and no
//! further. So only a set as [`crate::set`] writes it is taken, and separators that were agreed
//! on otherwise are put in only where no value has one of them.

use std::fmt;

use crate::clock::Stamp;
use crate::write::{CONTROL_NUMBER_MAX, Envelope, Writer};

/// ISA12 and GS08 of the sets that [`crate::set`] writes.
const VERSION: (&str, &str) = ("00401", "004010");

/// Characters of ISA06 and ISA08, and of GS02 and GS03.
const IDENTITY_CHARS_MAX: usize = 15;

/// Who sends an interchange, or gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// ISA05 or ISA07.
    pub qualifier: String,
    /// ISA06 or ISA08.
    pub id: String,
    /// GS02 or GS03.
    pub group: String,
}

impl Party {
    /// Reads `QUALIFIER:ID` or `QUALIFIER:ID:GROUP`, as keys write parties; without its own
    /// identity a group has that of the interchange.
    ///
    /// # Errors
    /// When it is not two or three parts that an envelope can carry.
    pub fn parse(text: &str) -> Result<Self, Unwrappable> {
        let parts: Vec<String> = text.split(':').map(unescaped).collect();
        let party = match parts.as_slice() {
            [qualifier, id] => Self { qualifier: qualifier.clone(), id: id.clone(), group: id.clone() },
            [qualifier, id, group] => Self { qualifier: qualifier.clone(), id: id.clone(), group: group.clone() },
            _ => return Err(Unwrappable::Party(text.to_owned())),
        };
        let fits = |part: &str, least: usize, most: usize| {
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>' | b'~');
            (least..=most).contains(&part.len()) && part.bytes().all(|byte| is_plain(byte) || byte == b' ')
        };
        let whole = fits(&party.qualifier, 2, 2)
            && fits(&party.id, 1, IDENTITY_CHARS_MAX)
            && fits(&party.group, 2, IDENTITY_CHARS_MAX);
        if whole { Ok(party) } else { Err(Unwrappable::Party(text.to_owned())) }
    }
}

/// The separators of an interchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    element: char,
    component: char,
    terminator: char,
}

impl Default for Separators {
    fn default() -> Self {
        Self { element: '*', component: '>', terminator: '~' }
    }
}

impl Separators {
    /// Reads three characters: of elements, of components, and the end of a segment, behind
    /// which a line ends.
    ///
    /// # Errors
    /// When they are no three different marks of punctuation.
    pub fn parse(text: &str) -> Result<Self, Unwrappable> {
        let marks: Vec<char> = text.chars().collect();
        let &[element, component, terminator] = marks.as_slice() else {
            return Err(Unwrappable::Separators(text.to_owned()));
        };
        let differ = element != component && element != terminator && component != terminator;
        if !differ || !marks.iter().all(char::is_ascii_punctuation) {
            return Err(Unwrappable::Separators(text.to_owned()));
        }
        Ok(Self { element, component, terminator })
    }

    /// The same interchange with these separators.
    fn put_into(self, interchange: &str) -> Result<String, Unwrappable> {
        if self == Self::default() {
            return Ok(interchange.to_owned());
        }
        let written = Self::default();
        let put = |character: char| match character {
            mark if mark == written.element => Ok(self.element),
            mark if mark == written.component => Ok(self.component),
            mark if mark == written.terminator => Ok(self.terminator),
            mark if [self.element, self.component, self.terminator].contains(&mark) => {
                Err(Unwrappable::SeparatorInText(mark))
            }
            other => Ok(other),
        };
        interchange.chars().map(put).collect()
    }
}

/// Where an interchange goes and what it is numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Who sends it.
    pub sender: Party,
    /// Who gets it.
    pub receiver: Party,
    /// ISA15: whether it is for a test.
    pub test: bool,
    /// ISA13 and GS06.
    pub number: u64,
    /// ISA09 and ISA10, GS04 and GS05.
    pub stamp: Stamp,
    /// As they were agreed on.
    pub separators: Separators,
}

/// Why a set cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwrappable {
    /// No set that belongs into a group of its own.
    Kind(String),
    /// Not ST to SE, or another set than it is said to be.
    Set,
    /// Not two or three parts that an envelope can carry.
    Party(String),
    /// No three different marks.
    Separators(String),
    /// One of them stands in a value.
    SeparatorInText(char),
    /// More than nine digits.
    Number(u64),
}

impl fmt::Display for Unwrappable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(found) => {
                write!(formatter, "found a message of kind `{found}`; expected a set such as `x12/810`")
            }
            Self::Set => {
                write!(formatter, "found something else than one set from ST to SE; look at the target's transformer")
            }
            Self::Party(found) => write!(
                formatter,
                "found the party `{found}`; expected `QUALIFIER:ID` or `QUALIFIER:ID:GROUP`, with 2, 1 to 15 and 2 to 15 characters"
            ),
            Self::Separators(found) => {
                write!(formatter, "found the separators `{found}`; expected three different marks such as `*>~`")
            }
            Self::SeparatorInText(found) => write!(
                formatter,
                "found `{found}`, which was agreed on as a separator, within a value; agree on another one, or have the value changed"
            ),
            Self::Number(found) => {
                write!(
                    formatter,
                    "control number {found} is above {CONTROL_NUMBER_MAX}; agree with the partner on where to begin again"
                )
            }
        }
    }
}

impl std::error::Error for Unwrappable {}

impl Outbound {
    /// The interchange of a set, ST to SE, of a kind such as `x12/810`.
    ///
    /// # Errors
    /// When it is no such set, or the envelope cannot carry it.
    pub fn wrap(&self, kind: &str, set: &[u8]) -> Result<Vec<u8>, Unwrappable> {
        let code = kind.strip_prefix("x12/").unwrap_or_default();
        let functional = functional_identifier(code).ok_or_else(|| Unwrappable::Kind(kind.to_owned()))?;
        let set = std::str::from_utf8(set).ok().filter(|set| is_one_set(set, code)).ok_or(Unwrappable::Set)?;
        let too_large = || Unwrappable::Number(self.number);
        let mut opening = Writer::default();
        opening
            .isa(&Envelope {
                sender: (&self.sender.qualifier, &self.sender.id),
                receiver: (&self.receiver.qualifier, &self.receiver.id),
                version: VERSION.0,
                usage: if self.test { "T" } else { "P" },
                number: self.number,
                stamp: self.stamp,
            })
            .map_err(|_| too_large())?;
        let number = self.number.to_string();
        let (sender, receiver) = (self.sender.group.as_str(), self.receiver.group.as_str());
        let (date, time) = (self.stamp.date(), self.stamp.time());
        opening.segment("GS", &[functional, sender, receiver, &date, &time, &number, "X", VERSION.1]);
        let mut closing = Writer::default();
        closing.segment("GE", &["1", &number]);
        closing.segment("IEA", &["1", &format!("{:09}", self.number)]);
        let mut text = String::from_utf8(opening.finish()).map_err(|_| Unwrappable::Set)?;
        text.push_str(set);
        text.push_str(&String::from_utf8(closing.finish()).map_err(|_| Unwrappable::Set)?);
        self.separators.put_into(&text).map(String::into_bytes)
    }
}

/// GS01 of a set that goes out from a distributor (element 479).
#[must_use]
pub fn functional_identifier(code: &str) -> Option<&'static str> {
    Some(match code {
        "810" => "IN",
        "820" => "RA",
        "850" => "PO",
        "855" => "PR",
        "856" => "SH",
        "860" => "PC",
        "865" => "CA",
        "940" => "OW",
        _ => return None,
    })
}

/// Whether a text is one set of this kind with the writer's own delimiters: it begins with its
/// ST and ends with its SE, which count and number it, and has neither between.
fn is_one_set(text: &str, code: &str) -> bool {
    let segments: Vec<&str> = text.trim_end().split_terminator("~\n").map(|end| end.trim_end_matches('~')).collect();
    let count = segments.len();
    let bounds = |segment: &&str| ["ST*", "SE*", "ISA*", "GS*"].iter().any(|tag| segment.starts_with(tag));
    let inner = segments.get(1..count.saturating_sub(1)).unwrap_or_default();
    segments.first() == Some(&format!("ST*{code}*0001").as_str())
        && segments.last() == Some(&format!("SE*{count}*0001").as_str())
        && !inner.iter().any(|segment| segment.contains('~') || bounds(segment))
}

/// A part of a key as it was sent.
fn unescaped(part: &str) -> String {
    part.replace("%3E", ">").replace("%3A", ":").replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::read;
    use crate::set::{Element, SetWriter, value};

    fn outbound() -> Outbound {
        Outbound {
            sender: Party::parse("ZZ:PORTREEVE").unwrap(),
            receiver: Party::parse("01:123456789:ACME").unwrap(),
            test: false,
            number: 17,
            stamp: Stamp::at(1_772_443_800_000),
            separators: Separators::default(),
        }
    }

    fn a_set(text: &str) -> Vec<u8> {
        let mut set = SetWriter::open("810");
        set.segment("BIG", &[Element::Code("20260304"), value(text, 22, "number")]);
        set.close().unwrap()
    }

    #[test]
    fn what_is_sent_is_read_back_with_its_number_in_all_three_places() {
        for separators in ["*>~", "|:!", "^<'"] {
            let outbound = Outbound { separators: Separators::parse(separators).unwrap(), ..outbound() };
            let bytes = outbound.wrap("x12/810", &a_set("INV-1")).unwrap();
            let reading = read(&bytes);
            assert!(reading.faults.is_empty() && reading.unread.is_empty(), "{separators}");
            let interchange = &reading.interchanges[0];
            assert!(interchange.faults.is_empty(), "{:?}", interchange.faults);
            assert_eq!(interchange.key().unwrap(), "ZZ:PORTREEVE>01:123456789/000000017");
            let group = &interchange.groups[0];
            let header = [1, 2, 3, 4, 5, 6, 8].map(|number| group.header.trimmed(number));
            assert_eq!(header, ["IN", "PORTREEVE", "ACME", "20260302", "0930", "17", "004010"]);
            assert!(group.faults.is_empty() && group.sets[0].faults.is_empty());
            assert_eq!(group.sets[0].segments[0].trimmed(2), "INV-1");
        }
    }

    #[test]
    fn the_same_set_under_the_same_number_has_the_same_bytes() {
        let again = || outbound().wrap("x12/810", &a_set("INV-1")).unwrap();
        assert_eq!(again(), again());
    }

    #[test]
    fn what_would_not_arrive_as_it_is_is_not_sent() {
        let refused = |kind: &str, set: &[u8]| outbound().wrap(kind, set).unwrap_err();
        assert_eq!(refused("x12/997", &a_set("A")), Unwrappable::Kind("x12/997".to_owned()));
        for set in [
            "",
            "ST*810*0001~\nSE*3*0001~\n",
            "ST*810*0001~\nSE*2*0001~\nSE*3*0001~\n",
            "ST*855*0001~\nSE*2*0001~\n",
            "ST*810*0001~\nBIG*1~IEA*1~\nSE*3*0001~\n",
        ] {
            assert_eq!(refused("x12/810", set.as_bytes()), Unwrappable::Set, "{set}");
        }
        let barred = Outbound { separators: Separators::parse("|:!").unwrap(), ..outbound() };
        assert_eq!(barred.wrap("x12/810", &a_set("A|B")), Err(Unwrappable::SeparatorInText('|')));
        let late = Outbound { number: CONTROL_NUMBER_MAX + 1, ..outbound() };
        assert_eq!(late.wrap("x12/810", &a_set("A")), Err(Unwrappable::Number(CONTROL_NUMBER_MAX + 1)));
    }

    #[test]
    fn a_party_is_what_an_envelope_can_carry() {
        assert_eq!(Party::parse("ZZ:A%3AB:A").unwrap_err(), Unwrappable::Party("ZZ:A%3AB:A".to_owned()));
        assert_eq!(Party::parse("ZZ:A%3AB").unwrap().id, "A:B");
        for text in ["", "ZZ", "ZZ:", "Z:ACME", "ZZ:ACME:", "ZZ:ACME:AC:ME", "ZZ:0123456789ABCDEF", "ZZ:A*B"] {
            assert!(Party::parse(text).is_err(), "{text}");
        }
        for text in ["", "*>", "**~", "*>~!", "a>~", "* ~"] {
            assert!(Separators::parse(text).is_err(), "{text}");
        }
    }
}
