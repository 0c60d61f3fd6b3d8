//! Corrections: other words at some places of a message that a target would not take.
//!
//! ```json
//! [{"at": "/shipToName", "was": "Halle 4, Tor 2, Rampe 17 hinten links", "is": "Halle 4, Rampe 17"}]
//! ```
//!
//! A message is made of what the host decided on, so whatever is changed in it is said to a target
//! by people and not by the decision. Dangers, and what stops them:
//!
//! - *Money, quantities, units.* Only a text in quotes is ever replaced, only at a place that the
//!   target's owner listed (`correctable`), and no place whose name speaks of such a thing can be
//!   listed. Nothing else of the message is read or written again: its bytes stay.
//! - *Another order.* A place that holds the host's identifier of the order is not corrected:
//!   targets find the effect by it.
//! - *A message that is another one by now.* Each correction says what stood there. Where something
//!   else does, nothing is sent, and people hear of it.
//! - *One person's idea.* Whoever approves sees what stood there and what is to.
//!
//! Of a message that is no JSON, such as a set of X12, whole lines are corrected, by rules of their
//! own (`correction/line.rs`).
//!
//! It is kept for the one delivery that it is about, sealed, in the words of whoever proposed it.

mod editing;

mod line;

use std::ops::Range;

use portreeve_model::Matter;
use serde::{Deserialize, Serialize};

pub use self::editing::edited;
use crate::route::Target;

/// Places that are corrected at once, at most: more is another message.
const CORRECTIONS_MAX: usize = 16;

/// Bytes of a word.
const WORDS_BYTES_MAX: usize = 1_000;

/// Lists and objects within each other, at most: a message is a target's, and a guest wrote it.
const DEPTH_MAX: usize = 32;

/// What names of places speak of that nobody corrects.
const NEVER: [&str; 11] =
    ["amount", "price", "cost", "total", "tax", "discount", "currency", "quantity", "qty", "unit", "rate"];

/// Other words at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// The place, as a JSON pointer; where the message is no JSON a line, from 1: `line 9`.
    pub at: String,
    /// What stands there.
    pub was: String,
    /// What is to stand there.
    pub is: String,
}

/// What is wrong with a place that an owner lists; none where nothing is.
pub(crate) fn problem(place: &str) -> Option<String> {
    let expected = "expected a place such as `/shipToName` or `/lines/0/text`, or of X12 and EDIFACT how a line of names, addresses or notes begins, such as `N3*`";
    if line::listed(place).is_some() {
        return None;
    }
    let Some(names) = place.strip_prefix('/') else { return Some(format!("found `{place}`, {expected}")) };
    for name in names.split('/') {
        if name.is_empty() || name.contains(['~', '"', '\\']) {
            return Some(format!("found `{place}`, {expected}"));
        }
        let lower = name.to_ascii_lowercase();
        if NEVER.iter().any(|never| lower.contains(never)) {
            return Some(format!(
                "found `{place}`, and `{name}` speaks of money, a quantity or a unit, which nobody corrects; take it out"
            ));
        }
    }
    None
}

/// Reads what somebody wants corrected.
///
/// # Errors
/// What it lacks, to be said of the action.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Correction>, String> {
    let expected = r#"expected a list such as [{"at": "/shipToName", "was": "…", "is": "…"}]"#;
    let corrections: Vec<Correction> =
        serde_json::from_slice(bytes).map_err(|error| format!("needs corrections, {expected}: {error}"))?;
    if !(1..=CORRECTIONS_MAX).contains(&corrections.len()) {
        return Err(format!("needs 1 to {CORRECTIONS_MAX} corrections, found {}", corrections.len()));
    }
    for (index, correction) in corrections.iter().enumerate() {
        let Correction { at, was, is } = correction;
        if was == is {
            return Err(format!("needs other words at `{at}` than those that stand there"));
        }
        let fit = |words: &str| words.len() <= WORDS_BYTES_MAX && !words.chars().any(char::is_control);
        if is.trim().is_empty() || !fit(is) || !fit(was) {
            return Err(format!("needs 1 to {WORDS_BYTES_MAX} bytes of text in one line at `{at}`"));
        }
        if corrections.iter().take(index).any(|earlier| earlier.at == *at) {
            return Err(format!("needs each place once, found `{at}` twice"));
        }
    }
    Ok(corrections)
}

/// Check: these places are the target's to be corrected, and none of them is the order's name.
///
/// # Errors
/// One sentence that says which is not, and what is.
pub(crate) fn may_be_made(corrections: &[Correction], target: &Target, matter: Matter) -> Result<(), String> {
    for Correction { at, was, is } in corrections {
        let is_listed = match line::number(at) {
            Some(_) => match line::may_be(was, is, &target.correctable) {
                Ok(()) => true,
                Err(None) => false,
                Err(Some(why)) => return Err(format!("`{at}`: {why}")),
            },
            // How lines begin is listed beside pointers, and names no place of its own.
            None => at.starts_with('/') && target.correctable.contains(at),
        };
        if !is_listed {
            let listed: Vec<&str> = target.correctable.iter().map(String::as_str).collect();
            let listed = if listed.is_empty() { "nothing".to_owned() } else { listed.join(", ") };
            return Err(format!(
                "`{at}` is not `correctable` at target `{}`, whose owner lets people correct {listed}",
                target.id
            ));
        }
        if bare(was).contains(&bare(&matter.to_string())) {
            return Err(format!("`{at}` has the order's identifier, by which the target knows it"));
        }
    }
    Ok(())
}

fn bare(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The message with other words.
///
/// # Errors
/// One sentence when it is no text, or something else stands at a place.
pub(crate) fn applied(corrections: &[Correction], message: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = std::str::from_utf8(message).map_err(|_| "the message is no text".to_owned())?.to_owned();
    for Correction { at, was, is } in corrections {
        let (place, was, is) = match line::number(at) {
            Some(number) => (line::place_of(&text, number), was.clone(), is.clone()),
            None => (place_of(&text, at), written(was)?, written(is)?),
        };
        let place = place.ok_or_else(|| format!("the message has no text at `{at}`"))?;
        if text.get(place.clone()) != Some(was.as_str()) {
            return Err(format!("the message has other words at `{at}` than those that were to be corrected"));
        }
        text.replace_range(place, &is);
    }
    Ok(text.into_bytes())
}

/// A text as JSON has it.
fn written(words: &str) -> Result<String, String> {
    serde_json::to_string(words).map_err(|error| error.to_string())
}

/// Where the text at a place stands, with its quotes; none where nothing or something else does.
fn place_of(text: &str, pointer: &str) -> Option<Range<usize>> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    for name in pointer.strip_prefix('/')?.split('/') {
        match reader.peek()? {
            b'{' => reader.enter_member(text, name)?,
            b'[' => reader.enter_item(name.parse().ok()?)?,
            _ => return None,
        }
    }
    if reader.peek()? == b'"' { reader.string() } else { None }
}

/// A place in a JSON text. It reads what is well-formed; of anything else it finds nothing, or
/// what the comparison with the words that stood there refuses.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no space, which stays where it is.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at = self.at.saturating_add(1);
        }
        self.bytes.get(self.at).copied()
    }

    /// Takes this byte.
    fn take(&mut self, expected: u8) -> Option<()> {
        let found = self.peek()?;
        self.at = self.at.saturating_add(1);
        (found == expected).then_some(())
    }

    /// Goes to the value of a member of the object that begins here.
    fn enter_member(&mut self, text: &str, name: &str) -> Option<()> {
        self.take(b'{')?;
        loop {
            let key = self.string()?;
            self.take(b':')?;
            // Names of places need no escapes, so the key is written just so.
            let key = text.get(key)?.strip_prefix('"')?.strip_suffix('"')?;
            if key == name {
                return Some(());
            }
            self.skip(0)?;
            self.take(b',')?;
        }
    }

    /// Goes to an item of the list that begins here.
    fn enter_item(&mut self, index: usize) -> Option<()> {
        self.take(b'[')?;
        for _ in 0..index {
            self.skip(0)?;
            self.take(b',')?;
        }
        Some(())
    }

    /// Takes a text, and says where it stands with its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        self.peek()?;
        let begin = self.at;
        self.take(b'"')?;
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at = self.at.saturating_add(if byte == b'\\' { 2 } else { 1 });
            if byte == b'"' {
                return Some(begin..self.at);
            }
        }
    }

    /// Takes a value, whatever it is.
    fn skip(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' => self.skip_all(b'{', b'}', depth),
            b'[' => self.skip_all(b'[', b']', depth),
            b',' | b']' | b'}' | b':' => None,
            _ => {
                let is_end = |byte: &u8| byte.is_ascii_whitespace() || b",]}".contains(byte);
                while self.bytes.get(self.at).is_some_and(|byte| !is_end(byte)) {
                    self.at = self.at.saturating_add(1);
                }
                Some(())
            }
        }
    }

    fn skip_all(&mut self, begin: u8, end: u8, depth: usize) -> Option<()> {
        self.take(begin)?;
        if self.peek()? == end {
            return self.take(end);
        }
        loop {
            if begin == b'{' {
                self.string()?;
                self.take(b':')?;
            }
            self.skip(depth.saturating_add(1))?;
            if self.peek()? == end {
                return self.take(end);
            }
            self.take(b',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const MESSAGE: &str = r#"{ "number":"A-1", "price": 1.1790, "to": {"name":"Ada \"L\" Löw","zip":"4"},
        "lines":[[],{"text":"a"},{"text":"b","n":[1,{"x":"]"}]}], "note" : "" }"#;

    fn correction(at: &str, was: &str, is: &str) -> Correction {
        Correction { at: at.to_owned(), was: was.to_owned(), is: is.to_owned() }
    }

    fn corrected(at: &str, was: &str, is: &str) -> Result<String, String> {
        applied(&[correction(at, was, is)], MESSAGE.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn words_change_where_they_stand_and_no_other_byte_does() {
        for (at, was, is) in [
            ("/number", "A-1", "B \"2\""),
            ("/to/name", "Ada \"L\" Löw", "Ada"),
            ("/to/zip", "4", "50667"),
            ("/lines/1/text", "a", "\\"),
            ("/lines/2/text", "b", "]},"),
            ("/lines/2/n/1/x", "]", "é"),
            ("/note", "", "ring twice"),
        ] {
            let found = corrected(at, was, is).unwrap();
            assert_eq!(found, MESSAGE.replacen(&written(was).unwrap(), &written(is).unwrap(), 1), "{at}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&found).unwrap().pointer(at).unwrap(), is);
        }
    }

    #[test]
    fn what_is_no_text_or_another_one_is_not_corrected() {
        for (at, was) in [
            ("/price", "1.1790"),
            ("/to", "4"),
            ("/lines", "a"),
            ("/lines/0/text", "a"),
            ("/lines/3/text", "a"),
            ("/lines/one/text", "a"),
            ("/number/0", "A"),
            ("/missing", "a"),
            ("/number", "A-2"),
        ] {
            assert!(corrected(at, was, "x").is_err(), "{at}");
        }
        // What is cut anywhere has no note at its end.
        for (at, _) in MESSAGE.char_indices().filter(|(at, _)| *at + 6 < MESSAGE.len()) {
            assert_eq!(place_of(MESSAGE.get(..at).unwrap(), "/note"), None, "{at}");
        }
        let deep = format!("{{\"a\":{}{},\"b\":\"x\"}}", "[".repeat(4_000), "]".repeat(4_000));
        assert_eq!(place_of(&deep, "/b"), None);
    }

    #[test]
    fn a_line_of_a_message_that_is_no_json_changes_where_it_stands_and_no_other_byte_does() {
        let message = "ST*855*0001~\nN3*Halle 4, Tor 2~\nN3*Tor 2~\nSE*4*0001~\n";
        let at = |at: &str, was: &str, is: &str| {
            let found = applied(&[correction(at, was, is)], message.as_bytes());
            found.map(|bytes| String::from_utf8(bytes).unwrap())
        };
        let found = at("line 3", "N3*Tor 2~", "N3*Tor 3~").unwrap();
        assert_eq!(found, "ST*855*0001~\nN3*Halle 4, Tor 2~\nN3*Tor 3~\nSE*4*0001~\n");
        for (place, was) in [("line 2", "N3*Tor 2~"), ("line 3", "N3*Tor 2"), ("line 5", ""), ("/line", "N3*Tor 2~")] {
            assert!(at(place, was, "N3*Tor 3~").is_err(), "{place}");
        }
        let edited = edited(message, &message.replacen("Halle 4, Tor 2", "Halle 4", 1)).unwrap();
        let found = String::from_utf8(applied(&edited, message.as_bytes()).unwrap()).unwrap();
        assert_eq!(found, message.replacen("Halle 4, Tor 2", "Halle 4", 1));
    }

    #[test]
    fn a_line_is_corrected_where_the_owner_lists_how_it_begins_and_as_a_line_of_its_kind() {
        let target: Target = serde_json::from_value(serde_json::json!({
            "id": "partner", "connector": "x12-send", "transformer": "x12-out", "kind": "x12/855",
            "find": false, "origin": "https://partner.example", "exception_queue": "integration", "correctable": ["N3*", "/shipToName"],
        }))
        .unwrap();
        let matter = Matter::Order(portreeve_model::OrderId::parse("62a62da1-dd67-5df3-9650-8f4b016fd91e").unwrap());
        let may = |at: &str, was: &str, is: &str| may_be_made(&[correction(at, was, is)], &target, matter);
        assert_eq!(may("line 9", "N3*Halle 4~", "N3*Halle 5~"), Ok(()));
        assert_eq!(may("/shipToName", "Halle 4", "Halle 5"), Ok(()));
        for (at, was, is, told) in [
            ("line 9", "TDS*4270~", "TDS*4280~", "`line 9` is not `correctable` at target `partner`"),
            ("line 9", "N3*Halle 4~", "N3*Halle 4~TDS*1~", "`line 9`: found it changed beyond its words"),
            ("line 9", "N3*62a62da1-dd67-5df3-9650-8f4b016fd91e~", "N3*x~", "has the order's identifier"),
            ("N3*", "N3*Halle 4~", "N3*Halle 5~", "`N3*` is not `correctable` at target `partner`"),
        ] {
            let error = may(at, was, is).err();
            let is_told = error.as_ref().is_some_and(|error| error.contains(told));
            assert!(is_told, "`{told}` in {error:?}");
        }
    }

    #[test]
    fn an_owner_lists_places_of_words_and_none_of_money() {
        for place in ["/shipToName", "/lines/0/text", "/to/name", "N3*", "FTX+"] {
            assert_eq!(problem(place), None, "{place}");
        }
        for place in [
            "",
            "shipToName",
            "/",
            "/a//b",
            "/a~1b",
            "/unitPrice",
            "/lines/0/unitOfMeasureCode",
            "/discountAmount",
            "/Quantity/x",
            "IT1*",
            "MOA+",
            "NAD+",
        ] {
            assert!(problem(place).is_some(), "{place}");
        }
    }

    #[test]
    fn a_list_of_corrections_says_what_was_and_what_is() {
        let one = r#"{"at":"/a","was":"x","is":"y"}"#;
        assert_eq!(read(format!("[{one}]").as_bytes()).unwrap(), [correction("/a", "x", "y")]);
        for wrong in [
            "{}".to_owned(),
            "[]".to_owned(),
            format!("[{one},{one}]"),
            r#"[{"at":"/a","is":"y"}]"#.to_owned(),
            r#"[{"at":"/a","was":"x","is":"x"}]"#.to_owned(),
            r#"[{"at":"/a","was":"x","is":" "}]"#.to_owned(),
            r#"[{"at":"/a","was":"x","is":"a\nb"}]"#.to_owned(),
            r#"[{"at":"/a","was":"x","is":"y","why":"z"}]"#.to_owned(),
            format!(r#"[{{"at":"/a","was":"x","is":"{}"}}]"#, "y".repeat(1_001)),
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
