//! What is wrong with a document, in one sentence for people.
//!
//! Whoever mends it wants to know all of it at once: of what is told one by one he hears the second only
//! when the sender has sent it again. Danger: a document with a slip in every line, each of which a plugin
//! may describe at length. So a sentence tells as much as anybody mends, and counts the rest.

use portreeve_model::Problem;

/// Problems that a sentence tells.
const TOLD_MAX: usize = 20;

/// Bytes of problems behind which a sentence tells no other one: it stands in lists and on pages.
const TOLD_BYTES_MAX: usize = 2_000;

/// How many there are, and each of them as it is put; the first always, however long.
pub(crate) fn all(problems: impl ExactSizeIterator<Item = String>) -> String {
    let (count, mut bytes) = (problems.len(), 0_usize);
    let mut told: Vec<String> = Vec::new();
    for problem in problems.take(TOLD_MAX) {
        bytes = bytes.saturating_add(problem.len());
        if bytes > TOLD_BYTES_MAX && !told.is_empty() {
            break;
        }
        let number = told.len().saturating_add(1);
        told.push(if count == 1 { problem } else { format!("({number}) {problem}") });
    }
    let more = match count.saturating_sub(told.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{count} problem(s): {}{more}", told.join(" "))
}

/// A problem in its finder's words, with its place.
pub(crate) fn in_words(problem: &Problem) -> String {
    match place(problem) {
        Some(place) => format!("{place}: {}", problem.message),
        None => problem.message.clone(),
    }
}

/// A problem by its code, with its place.
pub(crate) fn by_code(problem: &Problem) -> String {
    match place(problem) {
        Some(place) => format!("`{}` at {place}", problem.code),
        None => format!("`{}`", problem.code),
    }
}

/// The nearest place that is known; a path is no word of ours, and is quoted.
fn place(problem: &Problem) -> Option<String> {
    let place = problem.position.place()?;
    Some(if problem.position.path.is_empty() { place } else { format!("`{place}`") })
}

#[cfg(test)]
mod tests {
    use portreeve_model::document::Position;
    use proptest::prelude::*;

    use super::*;

    fn problem(path: &str, segment: Option<u32>, offset_bytes: Option<u64>) -> Problem {
        Problem {
            code: "price-missing".to_owned(),
            message: "PO104 is empty; expected the price".to_owned(),
            position: Position { offset_bytes, segment, path: path.to_owned() },
        }
    }

    #[test]
    fn a_problem_is_told_with_the_nearest_place_that_is_known() {
        for (found, place) in [
            (problem("PO1[2]/04", Some(9), Some(90)), "`PO1[2]/04`"),
            (problem("", Some(9), Some(90)), "segment 9"),
            (problem("", None, Some(90)), "byte 90"),
        ] {
            assert_eq!(in_words(&found), format!("{place}: PO104 is empty; expected the price"));
            assert_eq!(by_code(&found), format!("`price-missing` at {place}"));
        }
        let nowhere = problem("", None, None);
        assert_eq!((in_words(&nowhere), by_code(&nowhere)), (nowhere.message.clone(), "`price-missing`".to_owned()));
    }

    #[test]
    fn one_problem_has_no_number_and_several_have() {
        let told = |problems: &[&str]| all(problems.iter().map(|problem| (*problem).to_owned()));
        assert_eq!(told(&["no date"]), "1 problem(s): no date");
        assert_eq!(told(&["no date", "no price"]), "2 problem(s): (1) no date (2) no price");
    }

    #[test]
    fn the_first_problem_is_told_however_long_it_is() {
        let long = "x".repeat(TOLD_BYTES_MAX + 1);
        let told = all([long.clone(), "no price".to_owned()].into_iter());
        assert_eq!(told, format!("2 problem(s): (1) {long} and 1 more"));
    }

    proptest! {
        /// Each is told or counted, in their order, and the sentence has an end.
        #[test]
        fn every_problem_is_told_or_counted(lengths in prop::collection::vec(1_usize..300, 1..60)) {
            let problems: Vec<String> =
                lengths.iter().zip(0..).map(|(length, number)| format!("<{number}>{}", "x".repeat(*length))).collect();
            let said = all(problems.iter().cloned());
            let told = (0..problems.len()).take_while(|number| said.contains(&format!("<{number}>"))).count();
            let more = problems.len() - told;
            prop_assert!((1..=TOLD_MAX).contains(&told));
            prop_assert_eq!(said.ends_with(&format!(" and {more} more")), more > 0);
            prop_assert!(!(told..problems.len()).any(|number| said.contains(&format!("<{number}>"))), "in their order");
            let bytes: usize = problems.iter().map(String::len).sum();
            if problems.len() <= TOLD_MAX && bytes <= TOLD_BYTES_MAX {
                prop_assert_eq!(more, 0, "nothing is left out that has room");
            }
            prop_assert!(said.len() < TOLD_BYTES_MAX + 300 + 8 * TOLD_MAX);
        }
    }
}
