//! Asking the scorers. What each was asked, with which seed, and what it looked up
//! is kept, so that asking again can be compared.

use std::sync::Arc;

use portreeve_authority::Fields;
use portreeve_authority::rules::Consequence;
use portreeve_model::advice::{CustomerHistory, ScoringRequest};
use portreeve_model::{Digest, Instant, Order, PluginKind, PluginName};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, Crossing};

use super::DecideError;
use super::masking::{self, Pseudonyms};
use super::set_aside::Party;
use super::validating::Validated;
use crate::accept::call_error_code;
use crate::decision::{Answers, Scoring};
use crate::passing::passing;
use crate::plugins::{Absent, Active, Stopped};
use crate::tables::Tables;
use crate::{Pipeline, leaf};

/// A validated order with what its scorers said.
pub(super) struct Scored {
    pub(super) validated: Validated,
    pub(super) scorings: Vec<Scoring>,
    pub(super) answers: Answers,
    /// What the host's rules looked up, among the answers.
    pub(super) looked_up: Vec<u32>,
    pub(super) crossings: Vec<(Crossing, Digest, Option<Digest>, Option<String>)>,
}

/// Why asking a scorer again may help.
pub(crate) enum AskAgain {
    /// Its failure passes; so many milliseconds were asked for.
    Passing { asked_ms: u32 },
    /// It is not called now.
    Stopped(Stopped),
}

/// What the scorers of an order are asked: the same for all of them but the seed, and what
/// each sees of the order.
pub(crate) struct Question<'a> {
    order: &'a Order,
    event: Digest,
    history: CustomerHistory,
    history_digest: Digest,
    received_at: Instant,
}

/// How much of an order a scorer sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sees {
    /// What its data grants show.
    Granted(Fields),
    /// All of it, as before there were data grants.
    AllAsBefore,
}

impl Sees {
    /// As a record has it. None where this version does not know one of the words.
    pub(crate) fn of_record(words: Option<&[String]>) -> Option<Self> {
        let Some(words) = words else { return Some(Self::AllAsBefore) };
        Fields::parse(words).map(Self::Granted)
    }

    fn words(&self) -> Option<Vec<String>> {
        match self {
            Self::Granted(fields) => Some(fields.words().into_iter().map(str::to_owned).collect()),
            Self::AllAsBefore => None,
        }
    }
}

impl<'a> Question<'a> {
    pub(crate) fn new(order: &'a Order, event: Digest, history: CustomerHistory, received_at: Instant) -> Self {
        Self { order, event, history_digest: history.digest(), history, received_at }
    }

    /// The request of one scorer, and its digest: over the event, what is shown of it, and by
    /// which secret the rest is masked.
    fn of(&self, plugin: &PluginName, seed: u64, sees: &Sees, pseudonyms: &Pseudonyms) -> (ScoringRequest, Digest) {
        let times = [self.received_at.0.to_be_bytes(), seed.to_be_bytes()];
        let asked = [self.event.as_bytes().as_slice(), self.history_digest.as_bytes(), times.as_flattened()];
        let (order, input) = match sees {
            Sees::AllAsBefore => (self.order.clone(), Digest::of_parts(&asked)),
            Sees::Granted(fields) => {
                let (shown, name) = (fields.words().join(","), pseudonyms.name());
                let view = [plugin.as_str().as_bytes(), shown.as_bytes(), name.as_bytes()];
                let input = Digest::of_parts(&[asked.as_slice(), view.as_slice()].concat());
                (masking::masked(self.order, fields, plugin, pseudonyms), input)
            }
        };
        let (received_at, history) = (self.received_at, self.history.clone());
        (ScoringRequest { order, received_at, history, seed, extensions: Vec::new() }, input)
    }
}

impl Pipeline {
    /// Asks every scorer of the channel. A refused order is not scored: there is
    /// nothing left for advice to add. None when one of them failed for a reason that
    /// passes: all of them are asked again later.
    pub(super) async fn score(
        &self,
        validated: Validated,
        tables: Arc<Tables>,
        active: Arc<Active>,
    ) -> Result<Option<Scored>, DecideError> {
        let mut answers = Answers::default();
        let looked_up = answers.places(&validated.looked_up);
        let mut scored = Scored { scorings: Vec::new(), crossings: Vec::new(), answers, looked_up, validated };
        let Some(history) = scored.validated.history.clone() else { return Ok(Some(scored)) };
        if scored.validated.findings.iter().any(|finding| matches!(finding.consequence, Consequence::Refuse { .. })) {
            return Ok(Some(scored));
        }
        let mut context = active.context(scored.validated.document.received_at());
        context.lookup = tables;
        let event = Digest::of(&scored.validated.event_json);
        let question = Question::new(&scored.validated.order, event, history, context.received_at);
        let now = self.clock.now();
        for name in self.scorers(&scored.validated.document) {
            let Validated { document, id, .. } = &scored.validated;
            let sees = Sees::Granted(self.authority.sees(name, now));
            let cause = Cause::Sender { channel: document.channel(), sender: document.sender() };
            let (mut scoring, crossing, later) =
                self.score_once(name, &active, cause, &question, &sees, &context).await;
            let waits = match later {
                None => false,
                Some(AskAgain::Passing { asked_ms }) => {
                    let (party, now) = (Party::of(document), self.clock.now());
                    self.set_aside.wait(document.position(), party, Some(*id), asked_ms, now)
                }
                Some(AskAgain::Stopped(stopped)) => self.waits_for(document, Some(*id), &stopped),
            };
            if waits {
                return Ok(None);
            }
            if let Some(crossing) = crossing {
                scoring.lookups = scored.answers.places(&crossing.lookups);
                let output = scoring.assessment.as_ref().map(portreeve_record::canonical_digest).transpose()?;
                scored.crossings.push((crossing, scoring.input, output, scoring.failure.clone()));
            }
            scored.scorings.push(scoring);
        }
        Ok(Some(scored))
    }

    /// One call of one scorer, with everything that doing it again needs but its
    /// look-ups, which the crossing has, and what to wait for where waiting may help.
    pub(crate) async fn score_once(
        &self,
        name: &PluginName,
        active: &Active,
        cause: Cause<'_>,
        question: &Question<'_>,
        sees: &Sees,
        context: &portreeve_sandbox::CallContext,
    ) -> (Scoring, Option<Crossing>, Option<AskAgain>) {
        let engine = self.engines.get(&PluginKind::Scorer).copied().unwrap_or_else(|| Digest::of(b"no engine"));
        let event = question.event;
        let not_asked = |component: Digest, failure: &str| Scoring {
            plugin: name.clone(),
            component,
            engine,
            seed: 0,
            input: event,
            sees: sees.words(),
            lookups: Vec::new(),
            transcript: Digest::of(b""),
            fuel_used: None,
            assessment: None,
            failure: Some(failure.to_owned()),
        };
        let installed = match self.plugin(active, name, Call::Score, cause) {
            Ok(installed) => installed,
            Err(Absent::NotInstalled) => return (not_asked(Digest::of(b""), "not-installed"), None, None),
            Err(Absent::Stopped(stopped)) => {
                return (not_asked(stopped.component, stopped.code()), None, Some(AskAgain::Stopped(stopped)));
            }
        };
        let seed = match sees {
            Sees::Granted(_) => first_bytes(self.pseudonyms.seed(installed.digest, question.event)),
            Sees::AllAsBefore => seed_of(installed.digest, question.event),
        };
        let (request, input) = question.of(name, seed, sees, &self.pseudonyms);
        let crossed = match self.call(installed, Call::Score, cause, installed.plugin.score(context, &request)).await {
            Ok(crossed) => crossed,
            Err(stopped) => {
                return (not_asked(stopped.component, stopped.code()), None, Some(AskAgain::Stopped(stopped)));
            }
        };
        let later = passing(&crossed.outcome).map(|asked_ms| AskAgain::Passing { asked_ms });
        let (assessment, failure) = match crossed.outcome {
            Ok(Ok(assessment)) => (Some(assessment), None),
            Ok(Err(failure)) => (None, Some(leaf::failure_words(&failure).0)),
            Err(error) => (None, Some(call_error_code(&error))),
        };
        let scoring = Scoring {
            plugin: name.clone(),
            component: installed.digest,
            engine,
            seed,
            input,
            sees: sees.words(),
            lookups: Vec::new(),
            transcript: crossed.crossing.transcript,
            fuel_used: crossed.crossing.fuel_used,
            assessment,
            failure,
        };
        (scoring, Some(crossed.crossing), later)
    }
}

/// Repeatable randomness as it was before anything was masked: the same component on the same
/// event gets the same.
fn seed_of(component: Digest, event: Digest) -> u64 {
    first_bytes(Digest::of_parts(&[b"seed", component.as_bytes(), event.as_bytes()]))
}

fn first_bytes(digest: Digest) -> u64 {
    let mut seed = [0; 8];
    seed.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(seed)
}
