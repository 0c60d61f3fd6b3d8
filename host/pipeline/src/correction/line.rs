//! Lines of a message that is no JSON, such as a set of X12, by their numbers:
//!
//! ```text
//! line 9    N3*Halle 4, Tor 2, Rampe 17 hinten links~    N3*Halle 4, Rampe 17~
//! ```
//!
//! The host does not read such a message: it is a partner's, and a guest wrote it. So an owner lists
//! how lines begin, with their name and what stands between their fields (`N3*`). Dangers, and what
//! stops them:
//!
//! - *Money, quantities, units.* Only lines can be listed whose names are those of names, addresses,
//!   contacts and notes, in X12 and EDIFACT.
//! - *Accounts.* A line that says who somebody is (N1) has the number by which its receiver knows him as
//!   well: its name alone can be corrected. EDIFACT's (NAD) cannot be listed.
//! - *Another line.* A corrected one keeps its beginning, how many fields it has, and its end: words
//!   that end it early, and begin another, are no words. Nor are words that cut a field into parts: what
//!   stands between those is `>` as a guest writes a set, whatever its partner uses.

use std::collections::BTreeSet;
use std::ops::Range;

/// Names of lines that hold words alone: of X12 parties with their addresses (N1 to N4), contacts
/// (PER) and texts (MSG, NTE), of EDIFACT contacts and texts (CTA, COM, FTX).
const NAMES: [&str; 10] = ["COM", "CTA", "FTX", "MSG", "N1", "N2", "N3", "N4", "NTE", "PER"];

/// Names of lines that have more than words, with the field that is words, counted from the name on.
const NAMED: [(&str, usize); 1] = [("N1", 2)];

/// What stands between the fields of EDIFACT. Within a field there are parts, and escapes.
const EDIFACT: char = '+';

/// What stands between the parts of a field elsewhere.
const PARTS: char = '>';

/// What an owner lists: the whole of it, and what stands between the fields.
pub(super) fn listed(place: &str) -> Option<char> {
    let separator = place.chars().next_back()?;
    let name = place.strip_suffix(separator)?;
    (separator.is_ascii_punctuation() && NAMES.contains(&name)).then_some(separator)
}

/// The number of a line, from 1, by which a correction names it.
pub(super) fn number(at: &str) -> Option<usize> {
    let number = at.strip_prefix("line ")?.parse().ok()?;
    (number > 0 && named(number) == at).then_some(number)
}

/// How a correction names a line.
pub(super) fn named(number: usize) -> String {
    format!("line {number}")
}

/// Check: the line is one that the owner lists, and stays one.
///
/// # Errors
/// One sentence; none of what is listed fits, where it has nothing of it.
pub(super) fn may_be(was: &str, is: &str, correctable: &BTreeSet<String>) -> Result<(), Option<String>> {
    let mut beginnings = correctable.iter().filter_map(|place| Some((place.as_str(), listed(place)?)));
    let Some((begins, separator)) = beginnings.find(|(begins, _)| was.starts_with(*begins)) else { return Err(None) };
    let end = |line: &str| line.chars().next_back().filter(|end| !end.is_alphanumeric());
    let mut kept = vec![separator];
    kept.extend(end(was).filter(|end| *end != separator));
    match separator {
        EDIFACT => kept.extend([':', '?']),
        _ if kept.contains(&PARTS) => {}
        _ => kept.push(PARTS),
    }
    let counted = |line: &str, kept: char| line.chars().filter(|found| *found == kept).count();
    let is_same = |kept: &char| counted(was, *kept) == counted(is, *kept);
    if is.starts_with(begins) && kept.iter().all(is_same) && (end(was).is_none() || end(was) == end(is)) {
        let named = begins.strip_suffix(separator).unwrap_or(begins);
        let words = NAMED.iter().find(|(name, _)| *name == named).map(|(_, words)| *words);
        return words.map_or(Ok(()), |words| keeps_others(was, is, separator, words));
    }
    let kept: Vec<String> = kept.iter().map(|kept| format!("`{kept}`")).collect();
    Err(Some(format!(
        "found it changed beyond its words, expected it to begin with `{begins}`, to end as it did, and to have as many of {} as before",
        kept.join(", ")
    )))
}

/// Check: of a line with as many fields as before, no other one is changed than the words.
fn keeps_others(was: &str, is: &str, separator: char, words: usize) -> Result<(), Option<String>> {
    let fields = was.split(separator).zip(is.split(separator)).zip(0_usize..);
    match fields.filter(|((was, is), at)| *at != words && was != is).map(|(_, at)| at).next() {
        None => Ok(()),
        Some(at) => Err(Some(format!(
            "found it changed in its field {at}, expected it changed in field {words} alone: the others say who it is, and are no words"
        ))),
    }
}

/// Where a line stands, without its end.
pub(super) fn place_of(text: &str, wanted: usize) -> Option<Range<usize>> {
    let mut begin = 0_usize;
    for (line, number) in text.split_inclusive('\n').zip(1_usize..) {
        if number == wanted {
            return Some(begin..begin.saturating_add(line.trim_end_matches(['\r', '\n']).len()));
        }
        begin = begin.saturating_add(line.len());
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn check(listed: &[&str], was: &str, is: &str) -> Result<(), Option<String>> {
        may_be(was, is, &listed.iter().map(|place| (*place).to_owned()).collect())
    }

    #[test]
    fn a_line_is_found_by_its_number_whatever_ends_it() {
        let text = "ST*810*0001~\nN3*Dock 4~\r\nSE*3*0001~";
        let at = |number| place_of(text, number).and_then(|place| text.get(place));
        assert_eq!([at(1), at(2), at(3), at(4)], [Some("ST*810*0001~"), Some("N3*Dock 4~"), Some("SE*3*0001~"), None]);
        assert_eq!(number("line 2"), Some(2));
        for wrong in ["line 0", "line 02", "line", "line -1", "/line", "Line 2"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_owner_lists_lines_of_words_and_none_of_amounts() {
        assert_eq!([listed("N3*"), listed("FTX+")], [Some('*'), Some('+')]);
        for wrong in ["IT1*", "TDS*", "QTY+", "NAD+", "N3", "N3*Dock", "*", "", "N3 ", "N34"] {
            assert_eq!(listed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_corrected_line_keeps_its_beginning_its_fields_and_its_end() {
        let lines = ["N3*", "FTX+"];
        for (was, is) in [
            ("N3*Halle 4, Tor 2*links~", "N3*Halle 4*rechts~"),
            ("N3*Halle 4", "N3*Halle 5"),
            ("FTX+AAI+++Tor 2:links'", "FTX+AAI+++Tor 3:rechts'"),
        ] {
            assert_eq!(check(&lines, was, is), Ok(()), "{is}");
        }
        for (was, is) in [
            ("N3*Halle 4~", "N4*Halle 4~"),
            ("N3*Halle 4~", "N3*Halle*4~"),
            ("N3*Halle 4~", "N3*Halle 4"),
            ("N3*Halle 4~", "N3*Halle 4~TDS*1~"),
            ("N3*Halle 4~", "N3*Halle~4"),
            ("N3*Tor 2~", "N3*Tor > 2~"),
            ("FTX+AAI+++Tor 2:links'", "FTX+AAI+++Tor 2:links:hinten'"),
            ("FTX+AAI+++Tor 2:links'", "FTX+AAI+++Tor 2:links?'"),
        ] {
            let told = check(&lines, was, is).unwrap_err().unwrap();
            assert!(told.contains("as many of"), "{is}: {told}");
        }
        // Of who somebody is the name alone, and not the number by which he is known.
        let party = |is| check(&["N1*"], "N1*BT*ACME*92*1001~", is);
        assert_eq!(party("N1*BT*Acme Ltd*92*1001~"), Ok(()));
        for is in ["N1*BT*ACME*92*2002~", "N1*BT*ACME*91*1001~", "N1*ST*ACME*92*1001~"] {
            let told = party(is).unwrap_err().unwrap();
            assert!(told.contains("expected it changed in field 2 alone"), "{is}: {told}");
        }
        for was in ["TDS*4270~", "N4*Köln~", ""] {
            assert_eq!(check(&lines, was, "N3*x~"), Err(None), "{was}");
        }
        // What is no line at all lets none be corrected.
        assert_eq!(check(&["/N3", "IT1*"], "IT1*10*3*EA~", "IT1*10*4*EA~"), Err(None));
    }
}
