//! X12 interchanges: read as partners really send them, and acknowledged.
//!
//! ```text
//! ISA … one interchange, its own delimiters        IEA   counted, numbered
//!   GS … one functional group, its own version     GE    counted, numbered
//!     ST … one transaction set                     SE    counted, numbered
//! ```
//!
//! The danger: the delimiters of an interchange are declared by the position of
//! bytes in its first segment, and many senders get that segment wrong. Public
//! samples carry byte order marks, lost padding, missing component separators,
//! newlines and multi-byte characters as terminators, indented segments and
//! wrong trailer counts. A reader that trusts byte 106 turns such files into
//! silence or into somebody else's order. This one counts the element
//! separators of each ISA, says of everything that is wrong which code it has
//! and where it is, and gives up on an interchange only where its segments
//! cannot be told apart.
//!
//! No input makes it panic, loop or keep more than the limits below. What a set
//! *means* is not judged here; [`check`] goes as far as X12's own syntax goes.

pub mod acknowledge;
pub mod agreement;
pub mod check;
pub mod clock;
pub mod fault;
pub mod isa;
pub mod key;
pub mod kind;
pub mod outbound;
pub mod read;
pub mod set;
pub mod write;

#[cfg(test)]
mod properties;

pub use acknowledge::{Addressed, GroupOutcome, SetOutcome, Status};
pub use agreement::Agreement;
pub use fault::{Fault, FaultCode, Faults};
pub use isa::{Delimiters, Isa, Unread};
pub use kind::{Kind, Kinds};
pub use read::{Group, Interchange, Reading, Segment, Set, read};

/// Segments of one input. A file of `A~` repeated would otherwise cost a
/// hundred bytes of memory for every two bytes sent. An interchange that does not
/// end within them is refused by a TA1, and so is each that follows.
pub const SEGMENTS_MAX: u32 = 50_000;

/// Elements of one segment. No segment of any X12 version has more than forty;
/// a line of separators would otherwise become a million empty texts.
pub const ELEMENTS_MAX: usize = 128;

/// Bytes of one element. The longest of any version that carries text has 4,096
/// characters; an element of megabytes would be copied into every record of its order.
pub const ELEMENT_BYTES_MAX: usize = 8_192;

/// Interchanges of one input, readable or not. Each costs a reply and two
/// control numbers, so a file of a thousand ISA segments would drain a range.
pub const INTERCHANGES_MAX: usize = 64;

/// Senders, receivers and versions of the groups of one interchange (GS02, GS03, GS08)
/// that differ. Each costs a group of the reply with a number of its own; 64 interchanges
/// of as many draw 960 numbers, and no call may draw more than 1000.
pub const ADDRESSES_MAX: usize = 14;

/// Faults that are kept of one input. The first ones name the cause; a file
/// that is wrong in every segment would fill the exception with the rest.
pub const FAULTS_MAX: usize = 200;

/// Bytes of one ISA element. The widest has fifteen characters; more than this
/// means that the separators are not where the ISA ends.
pub const ISA_ELEMENT_BYTES_MAX: usize = 64;
