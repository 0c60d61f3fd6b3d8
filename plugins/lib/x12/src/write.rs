//! Writes segments of outbound interchanges.
//!
//! The host's own delimiters are fixed: `*`, `>` and `~`, each segment on a
//! line. Data that holds one of them would end an element or a segment early
//! and forge what follows, so a delimiter or control character in data becomes
//! a blank: what is written here are acknowledgements, which echo control
//! numbers and ids and carry no business values.

use crate::clock::Stamp;

/// Control numbers of an interchange have nine digits.
pub const CONTROL_NUMBER_MAX: u64 = 999_999_999;

/// A number range has run past what an envelope can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberTooLarge {
    /// The number that was drawn.
    pub found: u64,
}

impl std::fmt::Display for NumberTooLarge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "control number {} is above {CONTROL_NUMBER_MAX}; start the number range again", self.found)
    }
}

impl std::error::Error for NumberTooLarge {}

/// Who an interchange goes to and comes from, and what it is numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Qualifier and id of the sender (ISA05, ISA06).
    pub sender: (&'a str, &'a str),
    /// Qualifier and id of the receiver (ISA07, ISA08).
    pub receiver: (&'a str, &'a str),
    /// ISA12, five digits.
    pub version: &'a str,
    /// ISA15.
    pub usage: &'a str,
    /// ISA13.
    pub number: u64,
    /// ISA09 and ISA10.
    pub stamp: Stamp,
}

/// An interchange on its way out.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// Appends a segment; trailing empty elements are left out.
    pub fn segment(&mut self, tag: &str, elements: &[&str]) {
        let used = elements.iter().rposition(|element| !element.is_empty()).map_or(0, |last| last + 1);
        self.text.push_str(tag);
        for element in elements.iter().take(used) {
            self.text.push('*');
            self.text.extend(element.chars().map(harmless));
        }
        self.text.push_str("~\n");
    }

    /// Appends an ISA, padded to 106 bytes.
    ///
    /// # Errors
    /// [`NumberTooLarge`] when the control number has more than nine digits.
    pub fn isa(&mut self, envelope: &Envelope<'_>) -> Result<(), NumberTooLarge> {
        if envelope.number > CONTROL_NUMBER_MAX {
            return Err(NumberTooLarge { found: envelope.number });
        }
        let blank = " ".repeat(10);
        let (sender, receiver) = (padded(envelope.sender.1, 15), padded(envelope.receiver.1, 15));
        let (from, to) = (padded(envelope.sender.0, 2), padded(envelope.receiver.0, 2));
        let number = format!("{:09}", envelope.number);
        let (date, time) = (envelope.stamp.short_date(), envelope.stamp.time());
        let usage = padded(envelope.usage, 1);
        let version = padded(envelope.version, 5);
        let elements: [&str; 16] = [
            "00", &blank, "00", &blank, &from, &sender, &to, &receiver, &date, &time, "U", &version, &number, "0",
            &usage, "",
        ];
        self.segment("ISA", elements.get(..15).unwrap_or_default());
        // ISA16 is a delimiter, so it is written as one: before the terminator that `segment` put.
        self.text.truncate(self.text.len().saturating_sub(2));
        self.text.push_str("*>~\n");
        Ok(())
    }

    /// The bytes written so far.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }
}

fn harmless(character: char) -> char {
    if matches!(character, '*' | '>' | '~') || character.is_control() { ' ' } else { character }
}

/// Exactly `width` ASCII characters, so that the ISA has 106 bytes whatever was received.
fn padded(text: &str, width: usize) -> String {
    let ascii: String =
        text.chars().map(|character| if character.is_ascii() { character } else { ' ' }).take(width).collect();
    format!("{ascii:<width$}")
}
