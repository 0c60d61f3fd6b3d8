//! What somebody changed in a message with an editor, as corrections.
//!
//! Nothing is decided here: the host holds the corrections to what the target's owner lists, as any.
//! What is changed beyond words has no correction, and is told instead of left out: whoever changed
//! it believes that it goes.

use serde_json::Value;

use super::{Correction, line};

/// What stands in the edited message in the place of what: of JSON texts, of anything else whole lines.
///
/// # Errors
/// One sentence, where something else than words was changed, or nothing.
pub fn edited(message: &str, edited: &str) -> Result<Vec<Correction>, String> {
    let mut corrections = Vec::new();
    match serde_json::from_str(message) {
        Ok(was @ (Value::Object(_) | Value::Array(_))) => {
            let is = serde_json::from_str(edited).map_err(|error| {
                format!("found what is no JSON any more, expected the message with other words: {error}")
            })?;
            texts(&was, &is, "", &mut corrections)?;
        }
        _ => lines(message, edited, &mut corrections)?,
    }
    if corrections.is_empty() {
        return Err("found nothing changed, expected other words than those of the message".to_owned());
    }
    Ok(corrections)
}

fn texts(was: &Value, is: &Value, at: &str, found: &mut Vec<Correction>) -> Result<(), String> {
    match (was, is) {
        (Value::String(was), Value::String(is)) => {
            if was != is {
                found.push(Correction { at: at.to_owned(), was: was.clone(), is: is.clone() });
            }
            Ok(())
        }
        (Value::Object(was), Value::Object(is)) if was.len() == is.len() => {
            for (name, was) in was {
                let place = format!("{at}/{name}");
                let is = is.get(name).ok_or_else(|| beyond_words(&place))?;
                texts(was, is, &place, found)?;
            }
            Ok(())
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            for (index, (was, is)) in was.iter().zip(is).enumerate() {
                texts(was, is, &format!("{at}/{index}"), found)?;
            }
            Ok(())
        }
        (was, is) if was == is => Ok(()),
        _ => Err(beyond_words(at)),
    }
}

fn beyond_words(at: &str) -> String {
    let at = if at.is_empty() { "/" } else { at };
    format!(
        "found something else than words changed at `{at}`, expected numbers, names and what is there at all as they were; put it back"
    )
}

fn lines(message: &str, edited: &str, found: &mut Vec<Correction>) -> Result<(), String> {
    let (before, after) = (message.lines().count(), edited.lines().count());
    if before != after {
        return Err(format!(
            "found {after} lines, expected the {before} of the message: words change within a line, and none comes or goes; put them back"
        ));
    }
    let both = message.lines().zip(edited.lines()).zip(1_usize..).filter(|((was, is), _)| was != is);
    found.extend(both.map(|((was, is), number)| Correction {
        at: line::named(number),
        was: was.to_owned(),
        is: is.to_owned(),
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn correction(at: &str, was: &str, is: &str) -> Correction {
        Correction { at: at.to_owned(), was: was.to_owned(), is: is.to_owned() }
    }

    #[test]
    fn of_json_texts_are_corrected_however_the_editor_wrote_it() {
        let message = r#"{"number":"A-1","price":1.179,"lines":[{"text":"a"},{"text":"b"}],"note":null}"#;
        let is = "{\n  \"lines\": [{\"text\": \"a\"}, {\"text\": \"c\"}],\n \"note\": null,\n \"number\": \"A-2\", \"price\": 1.179}\n";
        let expected = [correction("/lines/1/text", "b", "c"), correction("/number", "A-1", "A-2")];
        let mut found = edited(message, is).unwrap();
        found.sort_by(|one, other| one.at.cmp(&other.at));
        assert_eq!(found, expected);
        for (was, is, told) in [
            ("1.179", "1.18", "at `/price`"),
            ("1.179", "\"1.179\"", "at `/price`"),
            ("null", "\"ring twice\"", "at `/note`"),
            ("{\"text\":\"a\"},", "", "at `/lines`"),
            ("\"note\"", "\"remark\"", "at `/note`"),
            ("null", "null,\"more\":1", "at `/`"),
            ("}]", "}", "no JSON any more"),
            ("A-1", "A-1", "found nothing changed"),
        ] {
            let error = edited(message, &message.replacen(was, is, 1)).unwrap_err();
            assert!(error.contains(told), "`{told}` in {error}");
        }
    }

    #[test]
    fn of_anything_else_lines_are_corrected_whatever_ends_them() {
        let message = "ST*855*0001~\nN3*Halle 4, Tor 2~\nSE*3*0001~\n";
        let other = message.replace("Halle 4, Tor 2", "Halle 4").replace('\n', "\r\n");
        assert_eq!(edited(message, &other).unwrap(), [correction("line 2", "N3*Halle 4, Tor 2~", "N3*Halle 4~")]);
        assert_eq!(edited(message, other.trim_end()).unwrap().len(), 1);
        assert!(edited(message, message).unwrap_err().contains("found nothing changed"));
        let longer = message.replace("~\nSE", "~\nN3*Tor 2~\nSE");
        assert!(edited(message, &longer).unwrap_err().contains("found 4 lines, expected the 3 of the message"));
    }
}
