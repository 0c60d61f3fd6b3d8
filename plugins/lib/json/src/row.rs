//! A row of a list that cannot be read, told in the place of its event, so that all others still are:
//! whoever compares lists judges it by itself.
//!
//! The host says how it is written (`list.unreadable-row`, in its crate `portreeve-model`). A row that
//! cannot be named has no such event: it ends the list.

use portreeve_sdk::types::{Event, OtherEvent, Problem};
use serde::Serialize;

const KIND: &str = "list.unreadable-row";

/// Bytes of an identifier and of a sentence, the host's limits: beyond them it takes nothing of the list.
const NAME_BYTES_MAX: usize = 256;
const WHY_BYTES_MAX: usize = 1_024;

/// What names a row of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ListRow {
    /// The event that it would be, for example `invoice.posted`.
    pub of: &'static str,
    /// Its number, reference or item.
    pub number: String,
    /// The order that it is about, where that is not it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Where an item is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    #[serde(flatten)]
    row: &'a ListRow,
    code: &'a str,
    why: String,
}

impl ListRow {
    /// The row in the place of its event.
    ///
    /// # Errors
    /// The problem itself, where the row has no name that anybody could compare.
    pub fn unreadable(&self, problem: Box<Problem>) -> Result<Event, Box<Problem>> {
        let names = |text: &String| (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        let are_names = names(&self.number) && [&self.order, &self.node].into_iter().flatten().all(names);
        if !are_names {
            return Err(problem);
        }
        let (code, path) = (problem.code.as_str(), problem.position.path.as_str());
        let mut why = format!("{} (`{code}` at {path})", problem.message);
        why.retain(|letter| !letter.is_control());
        let end = why.floor_char_boundary(WHY_BYTES_MAX);
        why.truncate(end);
        match serde_json::to_vec(&Unreadable { row: self, code, why }) {
            Ok(body) => Ok(Event::Other(OtherEvent { kind: KIND.to_owned(), body })),
            Err(_) => Err(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn a_row_with_a_name_is_told_and_one_without_is_the_problem_that_it_was() {
        let problem = || Box::new(Problem::new("currency-missing", "found no currency\u{7}", "value[3].currencyCode"));
        let row = ListRow { of: "invoice.posted", number: "I-1".to_owned(), order: Some("O".to_owned()), node: None };
        let Ok(Event::Other(OtherEvent { kind, body })) = row.unreadable(problem()) else { panic!("no event") };
        let written = r#"{"of":"invoice.posted","number":"I-1","order":"O","code":"currency-missing","why":"found no currency (`currency-missing` at value[3].currencyCode)"}"#;
        assert_eq!((kind.as_str(), String::from_utf8(body).unwrap().as_str()), (KIND, written));
        for nameless in
            [ListRow { number: String::new(), ..row.clone() }, ListRow { order: Some("\n".to_owned()), ..row }]
        {
            assert_eq!(nameless.unreadable(problem()).unwrap_err().code, "currency-missing");
        }
    }
}
