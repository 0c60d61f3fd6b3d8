//! The document that the X12 connector makes of a transaction set, as transformers read it:
//! tags and elements, without delimiters and without the envelope's numbers.
//!
//! ```json
//! {"version":"004010","usage":"P","sender":"ZZ:ACME","receiver":"ZZ:PORTREEVE",
//!  "groupSender":"ACME","groupReceiver":"PORTREEVE",
//!  "segments":[["W06","F","4711"],["LX","1"],["W12","CC","5","5","","EA","","VN","PUMP-40"]]}
//! ```
//!
//! The danger is twofold. What has no field in a canonical event is easily lost without a
//! word, so it is kept as an extension or is a problem ([`keep`]). And an element that is too
//! long for the contract makes the host refuse the plugin's whole result and count it as the
//! plugin's failure, though the sender chose it: identifiers are judged here, as the sender's.

mod address;

use portreeve_sdk::types::{Extension, Failure, Problem};
use serde::Deserialize;

pub use crate::address::{Place, country, no_address};

/// The contract's longest extension.
const EXTENSION_BYTES_MAX: usize = 4_096;
/// The contract's longest name of one.
const EXTENSION_NAME_BYTES_MAX: usize = 128;
/// The contract's longest identifier.
const IDENTIFIER_BYTES_MAX: usize = 256;

/// Problems of one document that are reported.
const PROBLEMS_MAX: usize = 100;

/// A transaction set as it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransactionSet {
    /// GS08.
    pub version: String,
    /// ISA15: `P` for production, `T` for a test.
    pub usage: String,
    /// `ISA05:ISA06`.
    pub sender: String,
    #[serde(rename = "receiver")]
    _receiver: String,
    #[serde(rename = "groupSender")]
    _group_sender: String,
    #[serde(rename = "groupReceiver")]
    _group_receiver: String,
    /// What stands between ST and SE.
    pub segments: Vec<Segment>,
}

impl TransactionSet {
    /// Reads the body of a document.
    ///
    /// # Errors
    /// `malformed-document` with the place, when it is not what the connector makes.
    pub fn read(body: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(body).map_err(|error| {
            let message = format!("the document cannot be read at line {}, column {}", error.line(), error.column());
            Failure::invalid(Problem::new("malformed-document", message, ""))
        })
    }

    /// The first segment with this tag.
    #[must_use]
    pub fn first(&self, tag: &str) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.tag() == tag)
    }

    /// The identifier of the interchange's sender, for documents that name no party.
    #[must_use]
    pub fn sender_id(&self) -> &str {
        self.sender.split_once(':').map_or(self.sender.as_str(), |(_, id)| id)
    }

    /// The currency of the CUR above the first segment of the tag `line`, else the one that is
    /// agreed with the partner, which is the channel's setting `currency`. A CUR of a line is
    /// that line's alone.
    ///
    /// # Errors
    /// `currency-missing`, when neither says one: amounts in another currency than the sender's
    /// would be charged and paid. `currency-twice`, when the header says several.
    /// `unknown-currency`, when it is no code of ISO 4217, of which nobody can say how many
    /// decimal places it has.
    pub fn currency(&self, line: &str, agreed: Option<&str>) -> Result<String, Failure> {
        let header = self.segments.iter().take_while(|segment| segment.tag() != line);
        let stated = header.filter(|segment| segment.tag() == "CUR").map(|segment| segment.element(2));
        let mut stated: Vec<&str> = stated.filter(|code| !code.is_empty()).collect();
        stated.dedup();
        let (currency, place) = match (stated.as_slice(), agreed) {
            ([code], _) => (*code, "CUR/02"),
            ([], Some(code)) => (code, "settings.currency"),
            ([], None) => {
                let message = "found no currency in the header; expected CUR02 with a code such as `USD`, or the \
                               channel's setting `currency` with the one that is agreed with the partner";
                return Err(Failure::invalid(Problem::new("currency-missing", message, "CUR/02")));
            }
            _ => {
                let message = "found several currencies in the header; expected one, in which all amounts are";
                return Err(Failure::invalid(Problem::new("currency-twice", message, "CUR/02")));
            }
        };
        if iso_currency::Currency::from_code(currency).is_some() {
            return Ok(currency.to_owned());
        }
        let message = "found another text; expected a currency code of ISO 4217 such as `USD`";
        Err(Failure::invalid(Problem::new("unknown-currency", message, place)))
    }

    /// A test's document would move a real order or settle a real invoice: no field of those
    /// events says that they are none. The setting `tests = "accept"` is for channels of tests.
    ///
    /// # Errors
    /// `test-interchange`, when ISA15 is not `P` and the setting is not given.
    pub fn check_production(&self, tests: Option<&str>) -> Result<(), Failure> {
        if self.usage == "P" || tests == Some("accept") {
            return Ok(());
        }
        let message = "ISA15 does not say production; expected P, or the setting `tests` of the channel to be `accept`";
        Err(Failure::invalid(Problem::new("test-interchange", message, "ISA/15")))
    }
}

/// A tag and its elements.
#[derive(Deserialize)]
pub struct Segment(Vec<String>);

impl Segment {
    /// The tag, for example `PO1`.
    #[must_use]
    pub fn tag(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Element `number`, from 1, without blanks around it; empty when it is not there.
    #[must_use]
    pub fn element(&self, number: usize) -> &str {
        if number == 0 { "" } else { self.0.get(number).map_or("", |text| text.trim()) }
    }

    /// Element `number`, when it says something.
    #[must_use]
    pub fn filled(&self, number: usize) -> Option<String> {
        Some(self.element(number)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Element `number` as an identifier of the contract, when it says something; one that
    /// the contract does not take is a problem `at` this segment.
    pub fn identifier(&self, number: usize, at: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let text = self.filled(number)?;
        if text.len() <= IDENTIFIER_BYTES_MAX && !text.chars().any(char::is_control) {
            return Some(text);
        }
        let message = format!(
            "found an identifier of {} bytes; expected at most {IDENTIFIER_BYTES_MAX}, without control characters",
            text.len()
        );
        problems.push(Problem::new("identifier-unusable", message, format!("{at}/{number:02}")));
        None
    }

    /// The number of elements after the tag.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Whether there is nothing but a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements after the tag as one text.
    #[must_use]
    pub fn elements(&self) -> String {
        self.0.get(1..).unwrap_or_default().join("*")
    }

    /// Keeps the segment under its tag, as one of at most `count_max`; a problem when it
    /// does not fit.
    #[must_use = "what could not be kept is a problem of the document"]
    pub fn keep(&self, extensions: &mut Vec<Extension>, count_max: usize, path: &str) -> Option<Problem> {
        keep(extensions, count_max, &format!("x12:{}", self.tag()), &self.elements(), path)
    }

    /// Whether a SAC changes what is to be paid: an allowance or charge with an
    /// amount, percentage or rate. `N` only informs.
    #[must_use]
    pub fn is_money(&self) -> bool {
        matches!(self.element(1), "A" | "C" | "P" | "Q") && [5, 7, 8].iter().any(|at| !self.element(*at).is_empty())
    }
}

/// Adds an extension. What is beyond `count_max` or the contract's limits would be lost
/// without a word, so it is a problem of the document.
#[must_use = "what could not be kept is a problem of the document"]
pub fn keep(extensions: &mut Vec<Extension>, count_max: usize, name: &str, value: &str, path: &str) -> Option<Problem> {
    let message = if extensions.len() >= count_max {
        format!("more than {count_max} segments have no field in the canonical event; the rest cannot be kept")
    } else if value.len() > EXTENSION_BYTES_MAX || name.len() > EXTENSION_NAME_BYTES_MAX {
        format!("a segment that has no field in the canonical event is longer than {EXTENSION_BYTES_MAX} bytes")
    } else {
        extensions.push(Extension { name: name.to_owned(), value: value.to_owned() });
        return None;
    };
    Some(Problem::new("too-much-to-keep", message, path))
}

/// Every problem once per place, and no more than a person reads: a document
/// can be wrong in fifty thousand segments.
#[must_use]
pub fn listed(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.dedup_by(|next, first| next.code == first.code && next.position.path == first.position.path);
    problems.truncate(PROBLEMS_MAX);
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A set of these tags and, where it is a CUR, its second element.
    fn set(segments: &[(&str, &str)]) -> TransactionSet {
        let segment =
            |(tag, code): &(&str, &str)| Segment(vec![(*tag).to_owned(), "BY".to_owned(), (*code).to_owned()]);
        TransactionSet {
            version: "004010".to_owned(),
            usage: "P".to_owned(),
            sender: "ZZ:ACME".to_owned(),
            _receiver: "ZZ:PORTREEVE".to_owned(),
            _group_sender: "ACME".to_owned(),
            _group_receiver: "PORTREEVE".to_owned(),
            segments: segments.iter().map(segment).collect(),
        }
    }

    /// The currency, or code and place of what is wrong with it.
    fn currency(segments: &[(&str, &str)], agreed: Option<&str>) -> Result<String, (String, String)> {
        set(segments).currency("PO1", agreed).map_err(|failure| match failure {
            Failure::Invalid(problems) => problems
                .first()
                .map(|problem| (problem.code.clone(), problem.position.path.clone()))
                .unwrap_or_default(),
            other => (format!("{other:?}"), String::new()),
        })
    }

    #[test]
    fn amounts_are_in_what_the_header_says_and_otherwise_in_what_is_agreed() {
        let header = [("BEG", ""), ("CUR", "CAD"), ("PO1", "")];
        for agreed in [None, Some("USD")] {
            assert_eq!(currency(&header, agreed).as_deref(), Ok("CAD"));
        }
        for silent in [&[("BEG", ""), ("PO1", "")][..], &[("CUR", ""), ("PO1", "")], &[("PO1", ""), ("CUR", "CAD")]] {
            assert_eq!(currency(silent, Some("EUR")).as_deref(), Ok("EUR"), "{silent:?}");
        }
        assert_eq!(currency(&[("CUR", "CAD"), ("CUR", "CAD")], None).as_deref(), Ok("CAD"));
    }

    #[test]
    fn a_currency_that_nobody_says_or_that_is_none_is_refused_with_its_place() {
        let wrong = |code: &str, place: &str| Err((code.to_owned(), place.to_owned()));
        for silent in [&[("BEG", ""), ("PO1", "")][..], &[("CUR", ""), ("PO1", "")], &[("PO1", ""), ("CUR", "CAD")]] {
            assert_eq!(currency(silent, None), wrong("currency-missing", "CUR/02"), "{silent:?}");
        }
        for code in ["ZZZ", "usd", "US", "dollars"] {
            assert_eq!(currency(&[("CUR", code)], Some("USD")), wrong("unknown-currency", "CUR/02"), "{code}");
            assert_eq!(currency(&[], Some(code)), wrong("unknown-currency", "settings.currency"), "{code}");
        }
        let several = [("CUR", "USD"), ("CUR", "CAD")];
        assert_eq!(currency(&several, Some("USD")), wrong("currency-twice", "CUR/02"));
    }
}
