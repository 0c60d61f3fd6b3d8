//! Where an order is on its way from receipt to payment.
//!
//! The words are those of the domain. Which of them follows which is the process's
//! definition, and not said here.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an order is. Of an order whose lines differ it is what holds for the order as a
/// whole; each line's quantities stand beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// In the journal.
    Received,
    /// The host's rules have seen it.
    Validated,
    /// Kept back until people have decided.
    Held,
    /// On its way to the system of record.
    Released,
    /// The system of record has taken it.
    Accepted,
    /// Stock is set aside for all of it.
    Allocated,
    /// All of it is picked.
    Picked,
    /// All of it is packed.
    Packed,
    /// Some of it has left, and more is to come.
    PartShipped,
    /// All that is to leave has left.
    Shipped,
    /// All that has left is invoiced.
    Invoiced,
    /// All that is invoiced is paid.
    Settled,
    /// It is to be undone, and not everything is yet.
    Cancelling,
    /// Nothing of it leaves.
    Cancelled,
    /// Goods are to come back.
    Returning,
    /// Goods have come back.
    Returned,
    /// The money for what came back has gone back.
    Credited,
}

impl ProcessState {
    /// All states, in the order of the way.
    pub const ALL: [Self; 17] = [
        Self::Received,
        Self::Validated,
        Self::Held,
        Self::Released,
        Self::Accepted,
        Self::Allocated,
        Self::Picked,
        Self::Packed,
        Self::PartShipped,
        Self::Shipped,
        Self::Invoiced,
        Self::Settled,
        Self::Cancelling,
        Self::Cancelled,
        Self::Returning,
        Self::Returned,
        Self::Credited,
    ];

    /// The word in files, records, tables and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Validated => "validated",
            Self::Held => "held",
            Self::Released => "released",
            Self::Accepted => "accepted",
            Self::Allocated => "allocated",
            Self::Picked => "picked",
            Self::Packed => "packed",
            Self::PartShipped => "part-shipped",
            Self::Shipped => "shipped",
            Self::Invoiced => "invoiced",
            Self::Settled => "settled",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Returning => "returning",
            Self::Returned => "returned",
            Self::Credited => "credited",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
