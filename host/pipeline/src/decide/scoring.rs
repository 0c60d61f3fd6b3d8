//! Asking the scorers. What each was asked, with which seed, and what it looked up
//! is kept, so that asking again can be compared.

use std::sync::Arc;

use portreeve_authority::rules::Consequence;
use portreeve_model::advice::{CustomerHistory, ScoringRequest};
use portreeve_model::{Digest, Instant, Order, PluginKind, PluginName};
use portreeve_registry::quarantine::Cause;
use portreeve_sandbox::{Call, Crossing};

use super::DecideError;
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

/// What the scorers of an order are asked: the same for all of them but the seed.
pub(crate) struct Question {
    request: ScoringRequest,
    event: Digest,
    history: Digest,
}

impl Question {
    pub(crate) fn new(order: Order, event: Digest, history: CustomerHistory, received_at: Instant) -> Self {
        let digest = history.digest();
        let request = ScoringRequest { order, received_at, history, seed: 0, extensions: Vec::new() };
        Self { request, event, history: digest }
    }

    /// The request of one scorer, and its digest.
    fn with_seed(&mut self, seed: u64) -> (&ScoringRequest, Digest) {
        self.request.seed = seed;
        let times = [self.request.received_at.0.to_be_bytes(), seed.to_be_bytes()];
        let input = Digest::of_parts(&[self.event.as_bytes(), self.history.as_bytes(), times.as_flattened()]);
        (&self.request, input)
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
        let order = Order::clone(&scored.validated.order);
        let event = Digest::of(&scored.validated.event_json);
        let mut question = Question::new(order, event, history, context.received_at);
        for name in self.scorers(&scored.validated.document) {
            let Validated { document, id, .. } = &scored.validated;
            let cause = Cause::Sender { channel: document.channel(), sender: document.sender() };
            let (mut scoring, crossing, later) = self.score_once(name, &active, cause, &mut question, &context).await;
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
        question: &mut Question,
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
        let seed = seed_of(installed.digest, question.event);
        let (request, input) = question.with_seed(seed);
        let crossed = match self.call(installed, Call::Score, cause, installed.plugin.score(context, request)).await {
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
            lookups: Vec::new(),
            transcript: crossed.crossing.transcript,
            fuel_used: crossed.crossing.fuel_used,
            assessment,
            failure,
        };
        (scoring, Some(crossed.crossing), later)
    }
}

/// Repeatable randomness: the same component on the same event gets the same.
fn seed_of(component: Digest, event: Digest) -> u64 {
    let digest = Digest::of_parts(&[b"seed", component.as_bytes(), event.as_bytes()]);
    let mut seed = [0; 8];
    seed.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(seed)
}
