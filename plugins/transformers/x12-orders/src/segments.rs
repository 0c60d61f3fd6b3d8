//! The document that the X12 connector makes: tags and elements without delimiters.

use portreeve_sdk::transformer::*;
use serde::Deserialize;

/// Extensions of one order or line. An order of unknown segments only would
/// otherwise become an event several times its size.
const EXTENSIONS_MAX: usize = 64;
/// The contract's longest extension.
const EXTENSION_BYTES_MAX: usize = 4_096;
/// The contract's longest name of one.
const EXTENSION_NAME_BYTES_MAX: usize = 128;

/// Problems of one document that are reported.
const PROBLEMS_MAX: usize = 100;

/// A purchase order as it was sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PurchaseOrder {
    pub(crate) version: String,
    pub(crate) usage: String,
    /// `ISA05:ISA06`.
    pub(crate) sender: String,
    #[serde(rename = "receiver")]
    _receiver: String,
    #[serde(rename = "groupSender")]
    _group_sender: String,
    #[serde(rename = "groupReceiver")]
    _group_receiver: String,
    pub(crate) segments: Vec<Segment>,
}

/// A tag and its elements.
#[derive(Deserialize)]
pub(crate) struct Segment(Vec<String>);

impl Segment {
    pub(crate) fn tag(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Element `number`, from 1, without blanks around it; empty when it is not there.
    pub(crate) fn element(&self, number: usize) -> &str {
        if number == 0 { "" } else { self.0.get(number).map_or("", |text| text.trim()) }
    }

    /// Element `number`, when it says something.
    pub(crate) fn filled(&self, number: usize) -> Option<String> {
        Some(self.element(number)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// The number of elements after the tag.
    pub(crate) fn len(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Keeps the segment under its tag; a problem when it does not fit.
    pub(crate) fn keep(&self, extensions: &mut Vec<Extension>, path: &str) -> Option<Problem> {
        let value = self.0.get(1..).unwrap_or_default().join("*");
        keep(extensions, &format!("x12:{}", self.tag()), &value, path)
    }

    /// Whether a SAC changes what is to be paid: an allowance or charge with an
    /// amount, percentage or rate. `N` only informs.
    pub(crate) fn is_money(&self) -> bool {
        matches!(self.element(1), "A" | "C" | "P" | "Q") && [5, 7, 8].iter().any(|at| !self.element(*at).is_empty())
    }
}

/// Adds an extension. What is beyond the contract's limits would be lost without
/// a word, so it is a problem of the document.
pub(crate) fn keep(extensions: &mut Vec<Extension>, name: &str, value: &str, path: &str) -> Option<Problem> {
    let message = if extensions.len() >= EXTENSIONS_MAX {
        format!("more than {EXTENSIONS_MAX} segments have no field in the canonical order; the rest cannot be kept")
    } else if value.len() > EXTENSION_BYTES_MAX || name.len() > EXTENSION_NAME_BYTES_MAX {
        format!("a segment that has no field in the canonical order is longer than {EXTENSION_BYTES_MAX} bytes")
    } else {
        extensions.push(Extension { name: name.to_owned(), value: value.to_owned() });
        return None;
    };
    Some(Problem::new("too-much-to-keep", message, path))
}

/// Every problem once per place, and no more than a person reads: a document
/// can be wrong in fifty thousand segments.
pub(crate) fn listed(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.dedup_by(|next, first| next.code == first.code && next.position.path == first.position.path);
    problems.truncate(PROBLEMS_MAX);
    problems
}

impl PurchaseOrder {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(body).map_err(|error| {
            let message = format!("the document cannot be read at line {}, column {}", error.line(), error.column());
            Failure::invalid(Problem::new("malformed-document", message, ""))
        })
    }

    pub(crate) fn begin(&self) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.tag() == "BEG")
    }

    pub(crate) fn purpose(&self) -> &str {
        self.begin().map_or("", |begin| begin.element(1))
    }

    pub(crate) fn order_number(&self) -> Result<String, Failure> {
        self.begin().and_then(|begin| begin.filled(3)).ok_or_else(|| {
            Failure::invalid(Problem::new(
                "order-number-missing",
                "BEG03 is empty; expected the order number",
                "BEG/03",
            ))
        })
    }

    /// The sender's revision: its change order sequence (REF*CO), else the date of BEG.
    pub(crate) fn revision(&self) -> Option<String> {
        let sequence = self.segments.iter().find(|segment| segment.tag() == "REF" && segment.element(1) == "CO");
        sequence.and_then(|segment| segment.filled(2)).or_else(|| self.begin()?.filled(5))
    }

    /// The identifier of the interchange's sender, for orders that name no buyer.
    pub(crate) fn sender_id(&self) -> &str {
        self.sender.split_once(':').map_or(self.sender.as_str(), |(_, id)| id)
    }
}
