//! What can be wrong with an interchange: one code, one sentence, one place.
//!
//! Codes are stable, since partners' agreements and exception queues name them.
//! Messages carry counts, control numbers and tags, never other contents of the
//! input: they end up in records that outlive it.

use std::collections::BTreeSet;
use std::fmt;

/// A kind of fault, with the codes that X12 has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultCode {
    /// Nothing in the input starts an interchange.
    NoInterchange,
    /// Bytes between or after interchanges.
    DataOutsideInterchange,
    /// More interchanges than are read.
    TooManyInterchanges,
    /// The ISA ends early.
    IsaTruncated,
    /// The byte after `ISA` cannot separate elements.
    IsaSeparator,
    /// The ISA has not sixteen elements.
    IsaElementCount,
    /// No terminator can be told.
    IsaTerminator,
    /// ISA elements are not padded to their widths.
    IsaElementLength,
    /// ISA16 is missing, too long, or the terminator itself.
    IsaComponentSeparator,
    /// ISA15 is neither production, test nor information.
    IsaUsage,
    /// The ISA does not say who sends, who receives, or its number; or the number is none.
    IsaIdentity,
    /// ISA05 or ISA06 is no name.
    IsaSender,
    /// ISA07 or ISA08 is no name.
    IsaReceiver,
    /// ISA07 and ISA08 name nobody that this channel receives for.
    UnknownReceiver,
    /// The ISA ends otherwise than the segments after it.
    MixedFraming,
    /// The interchange has no groups and no acknowledgements.
    InterchangeEmpty,
    /// More groups that are to be answered apart than an interchange may have.
    TooManyAddresses,
    /// The interchange ends without IEA.
    InterchangeTrailerMissing,
    /// IEA01 is not the number of groups.
    InterchangeCountMismatch,
    /// IEA02 is not ISA13.
    InterchangeControlMismatch,
    /// GS02 is no name.
    GroupIdentity,
    /// The group ends without GE.
    GroupTrailerMissing,
    /// GE01 is not the number of sets.
    GroupCountMismatch,
    /// GE02 is not GS06.
    GroupControlMismatch,
    /// GS06 is that of an earlier group of the interchange.
    GroupControlRepeated,
    /// The set ends without SE.
    SetTrailerMissing,
    /// SE01 is not the number of segments.
    SetCountMismatch,
    /// SE02 is not ST02.
    SetControlMismatch,
    /// ST02 is that of an earlier set of the group.
    SetControlRepeated,
    /// ST02 is empty.
    SetControlMissing,
    /// Nothing here handles this transaction set.
    UnsupportedTransaction,
    /// A transaction set that no group holds.
    SetOutsideGroup,
    /// A segment where none may be.
    SegmentOutsideSet,
    /// The input ends within a segment.
    SegmentUnterminated,
    /// More segments than are read.
    TooManySegments,
    /// More elements than are read.
    TooManyElements,
    /// A longer element than is read.
    ElementTooLong,
    /// A segment that the set must have is not there.
    SegmentMissing,
    /// An element that the segment must have is not there.
    ElementMissing,
    /// An element is not of its type.
    ElementInvalid,
    /// More faults than are kept.
    MoreFaults,
}

impl FaultCode {
    /// The stable code: lower case, with dashes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoInterchange => "no-interchange",
            Self::DataOutsideInterchange => "data-outside-interchange",
            Self::TooManyInterchanges => "too-many-interchanges",
            Self::IsaTruncated => "isa-truncated",
            Self::IsaSeparator => "isa-separator",
            Self::IsaElementCount => "isa-element-count",
            Self::IsaTerminator => "isa-terminator",
            Self::IsaElementLength => "isa-element-length",
            Self::IsaComponentSeparator => "isa-component-separator",
            Self::IsaUsage => "isa-usage",
            Self::IsaIdentity => "isa-identity",
            Self::IsaSender => "isa-sender",
            Self::IsaReceiver => "isa-receiver",
            Self::UnknownReceiver => "unknown-receiver",
            Self::MixedFraming => "mixed-framing",
            Self::InterchangeEmpty => "interchange-empty",
            Self::TooManyAddresses => "too-many-addresses",
            Self::InterchangeTrailerMissing => "interchange-trailer-missing",
            Self::InterchangeCountMismatch => "interchange-count-mismatch",
            Self::InterchangeControlMismatch => "interchange-control-mismatch",
            Self::GroupIdentity => "group-identity",
            Self::GroupTrailerMissing => "group-trailer-missing",
            Self::GroupCountMismatch => "group-count-mismatch",
            Self::GroupControlMismatch => "group-control-mismatch",
            Self::GroupControlRepeated => "group-control-repeated",
            Self::SetTrailerMissing => "set-trailer-missing",
            Self::SetCountMismatch => "set-count-mismatch",
            Self::SetControlMismatch => "set-control-mismatch",
            Self::SetControlRepeated => "set-control-repeated",
            Self::SetControlMissing => "set-control-missing",
            Self::UnsupportedTransaction => "unsupported-transaction",
            Self::SetOutsideGroup => "set-outside-group",
            Self::SegmentOutsideSet => "segment-outside-set",
            Self::SegmentUnterminated => "segment-unterminated",
            Self::TooManySegments => "too-many-segments",
            Self::TooManyElements => "too-many-elements",
            Self::ElementTooLong => "element-too-long",
            Self::SegmentMissing => "segment-missing",
            Self::ElementMissing => "element-missing",
            Self::ElementInvalid => "element-invalid",
            Self::MoreFaults => "more-faults",
        }
    }

    /// The note code of TA105 (I18), for faults of an envelope.
    #[must_use]
    pub fn ta1_note(self) -> Option<&'static str> {
        match self {
            Self::InterchangeControlMismatch => Some("001"),
            Self::IsaTerminator | Self::MixedFraming => Some("004"),
            Self::IsaSender => Some("006"),
            Self::IsaReceiver => Some("008"),
            Self::UnknownReceiver => Some("009"),
            Self::IsaIdentity => Some("018"),
            Self::IsaUsage => Some("020"),
            Self::InterchangeCountMismatch => Some("021"),
            Self::IsaElementCount | Self::InterchangeEmpty => Some("022"),
            Self::IsaTruncated | Self::InterchangeTrailerMissing | Self::TooManySegments => Some("023"),
            Self::SetOutsideGroup | Self::TooManyAddresses => Some("024"),
            Self::IsaSeparator => Some("026"),
            Self::IsaComponentSeparator => Some("027"),
            _ => None,
        }
    }

    /// The syntax error code of AK5 (718), for faults of a set.
    #[must_use]
    pub fn set_syntax(self) -> Option<u8> {
        match self {
            Self::UnsupportedTransaction => Some(1),
            Self::SetTrailerMissing | Self::SegmentUnterminated => Some(2),
            Self::SetControlMismatch => Some(3),
            Self::SetCountMismatch => Some(4),
            Self::SegmentMissing
            | Self::ElementMissing
            | Self::ElementInvalid
            | Self::ElementTooLong
            | Self::TooManyElements => Some(5),
            Self::SetControlMissing => Some(7),
            Self::SetControlRepeated => Some(23),
            _ => None,
        }
    }

    /// The syntax error code of AK9 (716), for faults of a group.
    #[must_use]
    pub fn group_syntax(self) -> Option<u8> {
        match self {
            Self::GroupTrailerMissing => Some(3),
            Self::GroupControlMismatch => Some(4),
            Self::GroupCountMismatch => Some(5),
            Self::GroupControlRepeated => Some(19),
            _ => None,
        }
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault it is.
    pub code: FaultCode,
    /// One sentence: found, expected, what to do.
    pub message: String,
    /// Byte offset from the start of the input.
    pub offset: usize,
    /// One-based number of the segment in the input; 0 where there is none.
    pub segment: u32,
    /// Where it is in the envelope: `ISA[1]/GS[1]/ST[2]/SE01`.
    pub path: String,
}

/// The faults of one part of an input: every kind that occurred, and the first messages.
///
/// A verdict rests on the kinds. The messages are limited over the whole input,
/// and a set whose missing trailer came after that limit would otherwise be
/// acknowledged and released without its last lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    codes: BTreeSet<FaultCode>,
    listed: Vec<Fault>,
}

impl Faults {
    /// Whether a fault of this kind occurred, listed or not.
    #[must_use]
    pub fn has(&self, code: FaultCode) -> bool {
        self.codes.contains(&code)
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Every kind that occurred, listed or not.
    pub fn codes(&self) -> impl Iterator<Item = FaultCode> {
        self.codes.iter().copied()
    }

    /// The faults that are listed.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.listed.iter()
    }

    /// Notes a fault and lists it while `left` lasts, the last one as [`FaultCode::MoreFaults`].
    pub fn note(&mut self, mut fault: Fault, left: &mut usize) {
        self.codes.insert(fault.code);
        if *left == 0 {
            return;
        }
        *left -= 1;
        if *left == 0 {
            fault.code = FaultCode::MoreFaults;
            fault.message = format!("more than {} faults; the rest is not listed", crate::FAULTS_MAX);
        }
        self.listed.push(fault);
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
