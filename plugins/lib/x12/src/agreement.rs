//! What was agreed with a partner: which faults of an envelope its orders survive.
//!
//! A quarter of the public samples count or number something wrongly, and so do
//! real partners for years. The default takes their orders and tells both sides;
//! a partner that has agreed to send right ones can be held to it. Settings of
//! the channel say so, for all partners or for one:
//!
//! ```text
//! count-mismatch   = "accept"             SE01, GE01, IEA01; GE or IEA missing
//! control-mismatch = "reject"             SE02, GE02, IEA02; ST02 or GS06 repeated
//! isa-repair       = "accept"             padding, ISA15, ISA16, framing
//! control-mismatch@ZZ:ACME = "accept"     for ISA05:ISA06 only
//! ```
//!
//! Whatever was agreed: an ISA that cannot be delimited, or that does not say
//! whose it is, is rejected, and so is a set that is cut or lacks what X12 requires.
//! A name or number that could not be part of a key (see [`crate::key`]) costs what it
//! names: the set, the group or the interchange.

use crate::fault::{FaultCode, Faults};

/// The agreement with one partner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    rejects_counts: bool,
    rejects_controls: bool,
    rejects_repairs: bool,
}

/// A setting says neither `accept` nor `reject`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRuling {
    /// The setting's name.
    pub setting: String,
}

impl std::fmt::Display for UnknownRuling {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "setting `{}` is neither `accept` nor `reject`; write one of them", self.setting)
    }
}

impl std::error::Error for UnknownRuling {}

impl Agreement {
    /// Reads the agreement with `partner` (`ISA05:ISA06`) out of settings.
    ///
    /// # Errors
    /// [`UnknownRuling`] when a setting has another value than `accept` and `reject`.
    pub fn with<'a>(partner: &str, setting: impl Fn(&str) -> Option<&'a str>) -> Result<Self, UnknownRuling> {
        let rejects = |name: &str| {
            let own = format!("{name}@{partner}");
            let (name, value) = match setting(&own) {
                Some(value) => (own, value),
                None => (name.to_owned(), setting(name).unwrap_or("accept")),
            };
            match value {
                "accept" => Ok(false),
                "reject" => Ok(true),
                _ => Err(UnknownRuling { setting: name }),
            }
        };
        Ok(Self {
            rejects_counts: rejects("count-mismatch")?,
            rejects_controls: rejects("control-mismatch")?,
            rejects_repairs: rejects("isa-repair")?,
        })
    }

    /// The note of the TA1 that rejects an interchange with these faults; none when it is taken.
    #[must_use]
    pub fn refuses(self, envelope: &Faults) -> Option<&'static str> {
        use FaultCode as F;
        // A premature end says more than that nothing came before it.
        let empty =
            if envelope.has(F::InterchangeTrailerMissing) { F::InterchangeTrailerMissing } else { F::InterchangeEmpty };
        if envelope.has(F::InterchangeEmpty) {
            return empty.ta1_note();
        }
        // Padding has no note of its own: the control structure is invalid.
        envelope.codes().find(|code| self.rejects(*code)).map(|code| code.ta1_note().unwrap_or("022"))
    }

    /// Whether a set, group or interchange with this fault is rejected as a whole.
    #[must_use]
    pub fn rejects(self, code: FaultCode) -> bool {
        use FaultCode as F;
        match code {
            // A trailer that is missing counts nothing.
            F::SetCountMismatch
            | F::GroupCountMismatch
            | F::GroupTrailerMissing
            | F::InterchangeCountMismatch
            | F::InterchangeTrailerMissing => self.rejects_counts,
            F::SetControlMismatch
            | F::SetControlRepeated
            | F::GroupControlMismatch
            | F::GroupControlRepeated
            | F::InterchangeControlMismatch => self.rejects_controls,
            F::IsaElementLength | F::IsaComponentSeparator | F::IsaUsage | F::MixedFraming => self.rejects_repairs,
            F::IsaIdentity
            | F::IsaSender
            | F::IsaReceiver
            | F::UnknownReceiver
            | F::TooManyAddresses
            | F::InterchangeEmpty => true,
            F::GroupIdentity
            | F::UnsupportedTransaction
            | F::SetTrailerMissing
            | F::SetControlMissing
            | F::SegmentUnterminated
            | F::TooManySegments
            | F::TooManyElements
            | F::ElementTooLong
            | F::SegmentMissing
            | F::ElementMissing
            | F::ElementInvalid => true,
            F::NoInterchange
            | F::DataOutsideInterchange
            | F::TooManyInterchanges
            | F::IsaTruncated
            | F::IsaSeparator
            | F::IsaElementCount
            | F::IsaTerminator
            | F::SetOutsideGroup
            | F::SegmentOutsideSet
            | F::MoreFaults => false,
        }
    }
}
