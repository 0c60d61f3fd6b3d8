//! A row of a list that cannot be read, told in the place of its event, so that all others still are:
//! whoever compares lists judges it by itself.
//!
//! The host says how it is written (`list.unreadable-row`, in its crate `portreeve-model`). A row that
//! cannot be named has no such event: it ends the list.

use portreeve_sdk::types::{Event, InstantMs, OtherEvent, Problem};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::moment;

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
    /// When it changed last, where it says so: what did a moment ago is not told yet.
    #[serde(rename = "changedAt", skip_serializing_if = "Option::is_none", serialize_with = "in_digits")]
    pub changed_at: Option<InstantMs>,
}

/// Milliseconds as text, as the host reads them.
fn in_digits<S: Serializer>(at: &Option<InstantMs>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// The time in a member of a row that cannot be read, where it is one.
#[must_use]
pub fn changed_at(member: Option<&RawValue>) -> Option<InstantMs> {
    let text: String = serde_json::from_str(member?.get()).ok()?;
    moment::parse(&text)
}

#[derive(Serialize)]
struct Unreadable<'a> {
    #[serde(flatten)]
    row: &'a ListRow,
    code: &'a str,
    why: String,
}

impl ListRow {
    /// The row in the place of its event. `place` is the path of the row within its list, empty where it has
    /// none: the sentence leaves it out, since a row that comes in front moves it, and what is wrong is the same.
    ///
    /// # Errors
    /// The problem itself, where the row has no name that anybody could compare.
    pub fn unreadable(&self, problem: Box<Problem>, place: &str) -> Result<Event, Box<Problem>> {
        let names = |text: &String| (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        let are_names = names(&self.number) && [&self.order, &self.node].into_iter().flatten().all(names);
        if !are_names {
            return Err(problem);
        }
        let (code, path) = (problem.code.as_str(), problem.position.path.as_str());
        let path = path.strip_prefix(place).unwrap_or(path).trim_start_matches('.');
        let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
        let mut why = format!("{} (`{code}`{at})", problem.message);
        why.retain(|letter| !letter.is_control());
        let end = why.floor_char_boundary(WHY_BYTES_MAX);
        why.truncate(end);
        match serde_json::to_vec(&Unreadable { row: self, code, why }) {
            Ok(body) => Ok(Event::Other(OtherEvent { kind: KIND.to_owned(), body })),
            Err(_) => Err(problem),
        }
    }
}

/// The events of the rows of a list; a row may be none. One that cannot be read is told by its name, and the
/// others as what they are: whoever compares lists judges it by itself. `list` is what paths call the list.
///
/// # Errors
/// Everything that is wrong with rows that have no name.
pub fn events(
    rows: &[&RawValue],
    list: &str,
    name: impl Fn(&RawValue) -> Option<ListRow>,
    read: impl Fn(&RawValue, &str) -> Result<Option<Event>, Box<Problem>>,
) -> Result<Vec<Event>, Vec<Problem>> {
    let (mut events, mut problems) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().copied().enumerate() {
        let place = format!("{list}[{index}]");
        let found = read(row, &place).or_else(|problem| match name(row) {
            Some(name) => name.unreadable(problem, &place).map(Some),
            None => Err(problem),
        });
        match found {
            Ok(event) => events.extend(event),
            Err(problem) => problems.push(*problem),
        }
    }
    if problems.is_empty() { Ok(events) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn a_row_with_a_name_is_told_and_one_without_is_the_problem_that_it_was() {
        let problem = || Box::new(Problem::new("currency-missing", "found no currency\u{7}", "value[3].currencyCode"));
        let row = ListRow {
            of: "invoice.posted",
            number: "I-1".to_owned(),
            order: Some("O".to_owned()),
            changed_at: Some(1_772_438_402_000),
            ..ListRow::default()
        };
        let told = row.unreadable(problem(), "value[3]");
        let Ok(Event::Other(OtherEvent { kind, body })) = told else { panic!("no event") };
        let written = r#"{"of":"invoice.posted","number":"I-1","order":"O","changedAt":"1772438402000","code":"currency-missing","why":"found no currency (`currency-missing` at currencyCode)"}"#;
        assert_eq!((kind.as_str(), String::from_utf8(body).unwrap().as_str()), (KIND, written));
        for nameless in
            [ListRow { number: String::new(), ..row.clone() }, ListRow { order: Some("\n".to_owned()), ..row }]
        {
            assert_eq!(nameless.unreadable(problem(), "value[3]").unwrap_err().code, "currency-missing");
        }
    }

    #[test]
    fn a_time_is_one_of_rfc_3339_and_anything_else_is_none() {
        let at = |text: &str| changed_at(Some(&RawValue::from_string(text.to_owned()).unwrap()));
        assert_eq!(at(r#""2026-03-02T08:00:02Z""#), Some(1_772_438_402_000));
        assert_eq!((at("7"), at(r#""yesterday""#), changed_at(None)), (None, None, None));
    }

    #[test]
    fn a_row_in_front_changes_nothing_about_one_that_cannot_be_read() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
        let (readable, broken, nameless) = (raw("1"), raw("\"I-1\""), raw("null"));
        let name = |row: &RawValue| {
            let number: String = serde_json::from_str(row.get()).ok()?;
            Some(ListRow { of: "invoice.posted", number, ..ListRow::default() })
        };
        let read = |row: &RawValue, path: &str| match row.get() {
            "1" => Ok(None),
            _ => Err(Box::new(Problem::new("bad", "found no number, expected one", format!("{path}.lines[2].price")))),
        };
        let told = |rows: &[&RawValue]| {
            let events = events(rows, "value", name, read).unwrap();
            let bodies = events.into_iter().map(|event| match event {
                Event::Other(OtherEvent { body, .. }) => String::from_utf8(body).unwrap(),
                _ => panic!("another event"),
            });
            bodies.collect::<Vec<_>>()
        };
        let alone = told(&[&broken]);
        assert_eq!(alone.len(), 1);
        assert!(alone.iter().all(|body| body.contains("(`bad` at lines[2].price)")), "{alone:?}");
        assert_eq!(told(&[&readable, &broken]), alone);
        let problems = events(&[&broken, &nameless], "value", name, read).unwrap_err();
        let paths: Vec<&str> = problems.iter().map(|problem| problem.position.path.as_str()).collect();
        assert_eq!(paths, ["value[1].lines[2].price"], "what has no name is found by its place");
    }
}
