//! Preview: what a document of a kept input says, without deciding anything.
//!
//! It runs the first stage of deciding alone and writes nothing. Whoever brings a
//! file by hand sees what became of it at once; the decision follows in its turn, and only
//! that counts against a transformer that fails.

use portreeve_model::document::MappingRequest;
use portreeve_model::{Event, Failure};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, CallError};
use portreeve_store::contract::DocumentView;

use crate::accept::call_error_code;
use crate::decide::as_change;
use crate::plugins::{Absent, Stopped};
use crate::{Pipeline, leaf, route};

/// Problems of one document that are listed: of a document with a slip in every line nobody mends more at
/// once.
const PROBLEMS_MAX: usize = 100;

/// What a document says.
#[derive(Debug)]
pub enum Preview {
    /// These events.
    Says(Vec<Event>),
    /// Nothing: an earlier document of this business key has the same content.
    Repeats,
    /// Nothing that could be read: all that is wrong with it, at least one thing.
    Unmapped(Vec<Unmapped>),
}

/// Why a document says nothing.
#[derive(Debug)]
pub struct Unmapped {
    /// Stable code.
    pub code: String,
    /// Where in the document: the nearest place that is known; empty for all of it.
    pub place: String,
    /// One sentence.
    pub detail: String,
}

impl Pipeline {
    /// Reads a document as deciding will read it.
    pub async fn preview(&self, document: &DocumentView) -> Preview {
        // Deciding asks no transformer about it either.
        if document.first.as_ref().is_some_and(|first| first.same_content) {
            return Preview::Repeats;
        }
        match self.map(document).await {
            Ok(events) => Preview::Says(events),
            Err(unmapped) => Preview::Unmapped(unmapped),
        }
    }

    async fn map(&self, document: &DocumentView) -> Result<Vec<Event>, Vec<Unmapped>> {
        let channel = self.routes.channel(&document.channel);
        let name = channel.and_then(|channel| channel.documents.get(&document.kind));
        let nobody = || {
            let detail = format!("no transformer reads `{}` on channel `{}`", document.kind, document.channel);
            vec![Unmapped::of_whole("no-transformer".to_owned(), detail)]
        };
        let (channel, name) = channel.zip(name).ok_or_else(nobody)?;
        let active = self.plugins.now();
        let looking = Cause::Looking { channel: &document.channel, sender: Some(&document.sender) };
        let transformer = self.plugin(&active, name, Call::ToCanonical, looking).map_err(|absent| match absent {
            Absent::NotInstalled => nobody(),
            Absent::Stopped(stopped) => not_called(&stopped),
        })?;
        let mut context = active.context(document.received_at);
        context.lookup = self.tables.of(&self.store, &transformer.manifest.imports.lookup).await;
        let request = MappingRequest {
            kind: document.kind.clone(),
            body: document.body.clone(),
            received_at: document.received_at,
            sender: document.sender.clone(),
            settings: route::settings(&channel.settings),
        };
        let reading = transformer.plugin.to_canonical(&context, &request);
        let crossed = self.call(transformer, Call::ToCanonical, looking, reading).await;
        let crossed = crossed.map_err(|stopped| not_called(&stopped))?;
        let changes = document.first.is_some();
        let events = crossed
            .outcome
            .map_err(|error: CallError| vec![Unmapped::of_whole(call_error_code(&error), error.to_string())])?
            .map_err(|failure| unmapped(&failure))?;
        Ok(events.into_iter().map(|event| as_change(event, changes)).collect())
    }
}

impl Unmapped {
    /// About all of the document.
    fn of_whole(code: String, detail: String) -> Self {
        Self { code, place: String::new(), detail }
    }
}

fn not_called(stopped: &Stopped) -> Vec<Unmapped> {
    vec![Unmapped::of_whole(stopped.code().to_owned(), stopped.to_string())]
}

fn unmapped(failure: &Failure) -> Vec<Unmapped> {
    let problems = match failure {
        Failure::Invalid(problems) if !problems.is_empty() => problems,
        failure => {
            let (code, detail) = leaf::failure_words(failure);
            return vec![Unmapped::of_whole(code, detail)];
        }
    };
    let shown = problems.iter().take(PROBLEMS_MAX).map(|problem| Unmapped {
        code: problem.code.clone(),
        place: problem.position.place().unwrap_or_default(),
        detail: problem.message.clone(),
    });
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    let detail = || format!("{more} more problem(s) were found and are not listed; mend these first");
    let rest = (more > 0).then(|| Unmapped::of_whole("more-problems".to_owned(), detail()));
    shown.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use portreeve_model::Problem;
    use portreeve_model::document::Position;

    use super::*;

    fn problems(count: usize) -> Failure {
        let problem = |line: usize| Problem {
            code: "price-missing".to_owned(),
            message: "PO104 is empty; expected the price".to_owned(),
            position: Position { offset_bytes: None, segment: None, path: format!("PO1[{line}]/04") },
        };
        Failure::Invalid((1..=count).map(problem).collect())
    }

    #[test]
    fn each_problem_of_a_document_is_told_and_of_very_many_the_rest_is_counted() {
        let told = unmapped(&problems(2));
        let places: Vec<&str> = told.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["PO1[1]/04", "PO1[2]/04"]);
        let told = unmapped(&problems(PROBLEMS_MAX + 7));
        let codes: Vec<&str> = told.iter().map(|one| one.code.as_str()).collect();
        assert_eq!((codes.len(), codes.last()), (PROBLEMS_MAX + 1, Some(&"more-problems")));
        assert!(told.iter().any(|one| one.detail.starts_with("7 more problem(s)")), "{told:?}");
    }

    #[test]
    fn a_problem_without_a_path_is_told_with_its_segment() {
        let position = Position { offset_bytes: Some(90), segment: Some(9), path: String::new() };
        let problem = Problem { code: "set-cut".to_owned(), message: "the set ends early".to_owned(), position };
        let told = unmapped(&Failure::Invalid(vec![problem]));
        let places: Vec<&str> = told.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["segment 9"]);
    }

    #[test]
    fn a_failure_without_problems_is_told_of_the_whole_document() {
        let told = unmapped(&Failure::Permanent("the table is empty".to_owned()));
        let told: Vec<_> =
            told.iter().map(|one| (one.code.as_str(), one.place.as_str(), one.detail.as_str())).collect();
        assert_eq!(told, [("permanent", "", "the table is empty")]);
    }
}
