//! Writes one transaction set, ST to SE, whose values have to arrive as they are.
//!
//! The danger: X12 has no escapes. An address with a `*` in it would end its element early,
//! move everything after it, and still look like X12; a `~` would forge a segment. The
//! acknowledgements of [`crate::write`] echo ids and put a blank instead. Here are names,
//! quantities and amounts, of which nobody is to guess what they were: a value that holds a
//! delimiter or a control character, or is longer than 004010 lets it be, is refused with
//! the path of the event that it came from, all of them at once.
//!
//! The delimiters are `*`, `>` and `~`, a segment a line. ST02 is `0001`: the set is alone in
//! its group, and the envelope's numbers are the sender's business.

use std::fmt;

/// ST02 and SE02.
const CONTROL: &str = "0001";

/// A value that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwritable {
    /// Where the value stands in the event: `lines[2].sku`.
    pub path: String,
    /// What is wrong with it.
    pub why: Why,
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It has a delimiter or control character, this one.
    Delimiter(char),
    /// It has so many characters, and may have from the first to the second.
    Length(usize, usize, usize),
}

impl Why {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Delimiter(_) => "delimiter-in-text",
            Self::Length(..) => "length",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delimiter(found) => {
                let found = found.escape_default();
                write!(
                    formatter,
                    "found `{found}`, which would end an element or a segment; expected a text without it"
                )
            }
            Self::Length(found, least, most) => {
                write!(formatter, "found {found} characters; X12 004010 takes {least} to {most}")
            }
        }
    }
}

/// An element of a segment.
#[derive(Debug, Clone, Copy)]
pub enum Element<'a> {
    /// Nothing.
    Empty,
    /// A code or a number that is written here and needs no check.
    Code(&'a str),
    /// A value of the event: the text, the fewest and the most characters, and its path.
    Value(&'a str, usize, usize, &'a str),
}

/// A value of 1 to `chars_max` characters.
#[must_use]
pub fn value<'a>(text: &'a str, chars_max: usize, path: &'a str) -> Element<'a> {
    Element::Value(text, 1, chars_max, path)
}

/// The same, or nothing where there is none.
#[must_use]
pub fn optional<'a>(text: Option<&'a str>, chars_max: usize, path: &'a str) -> Element<'a> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => value(text, chars_max, path),
        None => Element::Empty,
    }
}

/// A set on its way out.
#[derive(Debug)]
pub struct SetWriter {
    text: String,
    segments: usize,
    unwritable: Vec<Unwritable>,
}

impl SetWriter {
    /// Opens a set with this ST01.
    #[must_use]
    pub fn open(code: &str) -> Self {
        let mut writer = Self { text: String::new(), segments: 0, unwritable: vec![] };
        writer.segment("ST", &[Element::Code(code), Element::Code(CONTROL)]);
        writer
    }

    /// Appends a segment; empty elements at its end are left out.
    pub fn segment(&mut self, tag: &str, elements: &[Element<'_>]) {
        let used = elements.iter().rposition(|element| !matches!(element, Element::Empty)).map_or(0, |last| last + 1);
        self.segments += 1;
        self.text.push_str(tag);
        for element in elements.iter().take(used) {
            self.text.push('*');
            match element {
                Element::Empty => {}
                Element::Code(code) => self.text.push_str(code),
                Element::Value(text, least, most, path) => self.value(text.trim(), *least, *most, path),
            }
        }
        self.text.push_str("~\n");
    }

    fn value(&mut self, text: &str, least: usize, most: usize, path: &str) {
        let found = text.chars().count();
        let delimiter = text.chars().find(|character| matches!(character, '*' | '>' | '~') || character.is_control());
        let why = match delimiter {
            Some(delimiter) => Why::Delimiter(delimiter),
            None if !(least..=most).contains(&found) => Why::Length(found, least, most),
            None => return self.text.push_str(text),
        };
        self.unwritable.push(Unwritable { path: path.to_owned(), why });
    }

    /// Closes the set and returns its bytes.
    ///
    /// # Errors
    /// Every value that could not be written.
    pub fn close(mut self) -> Result<Vec<u8>, Vec<Unwritable>> {
        if !self.unwritable.is_empty() {
            return Err(self.unwritable);
        }
        let count = (self.segments + 1).to_string();
        self.segment("SE", &[Element::Code(&count), Element::Code(CONTROL)]);
        Ok(self.text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn counts_its_segments_and_leaves_empty_elements_at_the_end_out() {
        let mut writer = SetWriter::open("940");
        writer.segment("W05", &[Element::Code("N"), value(" PO-1 ", 22, "number"), Element::Empty]);
        writer.segment("N9", &[Element::Code("LI"), Element::Empty, optional(Some("1"), 45, "line")]);
        let text = String::from_utf8(writer.close().unwrap()).unwrap();
        assert_eq!(text, "ST*940*0001~\nW05*N*PO-1~\nN9*LI**1~\nSE*4*0001~\n");
    }

    #[test]
    fn a_value_that_would_not_arrive_is_refused_with_its_path_and_all_of_them_at_once() {
        let mut writer = SetWriter::open("940");
        let long = "x".repeat(23);
        let texts = ["a*b", "a>b", "a~b", "a\nb", long.as_str(), "", " "];
        for text in texts {
            writer.segment("W05", &[value(text, 22, text)]);
        }
        let unwritable = writer.close().unwrap_err();
        let found: Vec<(&str, &str)> = unwritable.iter().map(|value| (value.path.as_str(), value.why.code())).collect();
        let codes = ["delimiter-in-text"; 4].into_iter().chain(["length"; 3]);
        assert_eq!(found, texts.into_iter().zip(codes).collect::<Vec<_>>());
        assert!(unwritable.iter().all(|value| !value.why.to_string().contains("a*b")), "values are quoted nowhere");
    }
}
