//! What an input amounts to, whatever the connector did.

use portreeve_model::document::Position;
use portreeve_model::{ExceptionKind, Failure, Problem, Received, Reply};
use portreeve_record::leaf::{AcceptOutcome, EnvelopeOutcome};
use portreeve_sandbox::{Crossed, Crossing};
use portreeve_store::contract::{Disposition, InputId, NewEnvelope, NewException};

use super::call_error_code;
use super::envelopes::{Memory, Sorted, repeated_whole};
use crate::leaf;
use crate::plugins::Absent;
use crate::reply;
use crate::route::Channel;
use crate::told;

/// How the code of a problem begins that says that there is more than is read, see
/// `problem` in `wit/types.wit`.
const BEYOND: &str = "too-many-";

/// What an input amounts to.
pub(crate) struct Judged<'a> {
    pub(crate) disposition: Disposition,
    pub(crate) outcome: AcceptOutcome,
    pub(crate) envelopes: Vec<NewEnvelope>,
    pub(crate) settled: Vec<(String, EnvelopeOutcome)>,
    pub(crate) again: Again,
    pub(crate) documents: Vec<&'a portreeve_model::Document>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) reply: Reply,
    pub(crate) exceptions: Vec<NewException>,
    pub(crate) crossing: Option<&'a Crossing>,
    pub(crate) failure: Option<String>,
}

/// How far an input came before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Something in it is new.
    No,
    /// Nothing in it is new: it is answered as it was the first time.
    Repeated {
        /// The first input, where its whole reply is the answer.
        whole: Option<InputId>,
    },
    /// An envelope has other content than before, and nothing beside it is new, or the
    /// connector cannot refuse it alone: the whole input is refused.
    Conflict {
        /// The key of the envelope.
        envelope: String,
        /// Whether the reply says so in the protocol's own words.
        answered: bool,
    },
}

impl<'a> Judged<'a> {
    pub(crate) fn of(
        channel: &Channel,
        input: &[u8],
        received: &'a Result<Crossed<Result<Received, Failure>>, Absent>,
        memory: &Memory,
    ) -> Self {
        let Crossed { outcome, crossing } = match received {
            Ok(crossed) => crossed,
            Err(Absent::NotInstalled) => {
                let why = "the channel's connector is not installed".to_owned();
                return Self::unparsed(channel, None, "connector-missing".to_owned(), why);
            }
            Err(Absent::Stopped(stopped)) => {
                return Self::unparsed(channel, None, stopped.code().to_owned(), stopped.to_string());
            }
        };
        match outcome {
            Ok(Ok(received)) => match Sorted::of(received, input, memory) {
                Ok(sorted) => Self::received(channel, received, sorted, repeated_whole(received, memory), crossing),
                Err(error) => Self::unparsed(channel, Some(crossing), error.code().to_owned(), error.to_string()),
            },
            Ok(Err(Failure::Invalid(problems))) => Self::rejected(problems, crossing),
            Ok(Err(failure)) => {
                let (code, detail) = leaf::failure_words(failure);
                Self::unparsed(channel, Some(crossing), code, detail)
            }
            Err(error) => Self::unparsed(channel, Some(crossing), call_error_code(error), error.to_string()),
        }
    }

    /// What whoever brings it is told is wrong. Of an input that could not be read
    /// nobody wrote problems down: the exception says why.
    pub(super) fn told(&self) -> Vec<Problem> {
        if self.disposition != Disposition::Unparsed {
            return self.problems.clone();
        }
        let nowhere = || Position { offset_bytes: None, segment: None, path: String::new() };
        let why = |exception: &NewException| Problem {
            code: exception.code.clone(),
            message: exception.detail.clone(),
            position: nowhere(),
        };
        self.exceptions.iter().map(why).collect()
    }

    fn received(
        channel: &Channel,
        received: &'a Received,
        sorted: Sorted<'_>,
        whole: Option<InputId>,
        crossing: &'a Crossing,
    ) -> Self {
        let documents: Vec<_> = received.documents.iter().filter(|document| sorted.takes(document)).collect();
        let problems = sorted.problems(received);
        let changed = sorted.changed(received);
        let nothing_new = sorted.new.is_empty() && documents.is_empty() && !received.envelopes.is_empty();
        let again = match (sorted.unrefusable(), sorted.first_changed()) {
            (Some(envelope), _) => Again::Conflict { envelope: envelope.to_owned(), answered: false },
            (None, Some(envelope)) if nothing_new => Again::Conflict { envelope: envelope.to_owned(), answered: true },
            (None, None) if nothing_new && problems.is_empty() => Again::Repeated { whole },
            (None, _) => Again::No,
        };
        let nothing_usable = documents.is_empty() && !problems.is_empty();
        let (disposition, outcome) = if nothing_usable {
            (Disposition::Rejected, AcceptOutcome::Rejected)
        } else {
            (Disposition::Documents, AcceptOutcome::Documents)
        };
        // Accepted with problems: somebody has to know, though nothing stops.
        let mut exceptions: Vec<NewException> = Vec::new();
        // What is wrong with envelopes that changed is told apart.
        let others = problems.get(..problems.len().saturating_sub(changed.len())).unwrap_or_default();
        if !nothing_usable && !others.is_empty() {
            exceptions.push(accepted_with_problems(channel, others));
        }
        let beyond = problems.iter().find(|problem| nothing_usable && problem.code.starts_with(BEYOND));
        exceptions.extend(beyond.map(|problem| not_read(channel, problem)));
        exceptions.extend(envelopes_changed(channel, &changed, received.envelopes.len()));
        let status = if matches!(again, Again::Conflict { .. }) { 422 } else { received.reply.status };
        Self {
            disposition,
            outcome,
            settled: sorted.settled(),
            envelopes: sorted.new,
            again,
            documents,
            problems,
            reply: Reply { status, headers: received.reply.headers.clone(), body: sorted.reply },
            exceptions,
            crossing: Some(crossing),
            failure: None,
        }
    }

    /// The connector could not make a protocol's answer; the host makes one.
    fn rejected(problems: &[Problem], crossing: &'a Crossing) -> Self {
        Self {
            disposition: Disposition::Rejected,
            outcome: AcceptOutcome::Rejected,
            envelopes: Vec::new(),
            settled: Vec::new(),
            again: Again::No,
            documents: Vec::new(),
            problems: problems.to_vec(),
            reply: reply::rejected(problems),
            exceptions: Vec::new(),
            crossing: Some(crossing),
            failure: Some("invalid".to_owned()),
        }
    }

    /// The connector failed: the bytes are kept for a person, and the sender
    /// hears success with the input's id, for sending again would change nothing.
    fn unparsed(channel: &Channel, crossing: Option<&'a Crossing>, code: String, detail: String) -> Self {
        Self {
            disposition: Disposition::Unparsed,
            outcome: AcceptOutcome::Unparsed,
            envelopes: Vec::new(),
            settled: Vec::new(),
            again: Again::No,
            documents: Vec::new(),
            problems: Vec::new(),
            reply: reply::kept(),
            exceptions: vec![NewException {
                kind: ExceptionKind::Input,
                due_at: None,
                stage: "accept",
                code: code.clone(),
                detail,
                queue: channel.exception_queue.clone(),
            }],
            crossing,
            failure: Some(code),
        }
    }
}

fn accepted_with_problems(channel: &Channel, problems: &[Problem]) -> NewException {
    NewException {
        kind: ExceptionKind::Input,
        due_at: None,
        stage: "accept",
        code: "accepted-with-problems".to_owned(),
        detail: told::all(problems.iter().map(told::by_code)),
        queue: channel.exception_queue.clone(),
    }
}

/// What was not read may be orders, and a reply need not say so: where nothing of the
/// input is taken, nobody would look at it again.
fn not_read(channel: &Channel, problem: &Problem) -> NewException {
    let place = problem.position.offset_bytes.map_or("the end".to_owned(), |offset| format!("byte {offset}"));
    NewException {
        kind: ExceptionKind::Input,
        due_at: None,
        stage: "accept",
        code: problem.code.clone(),
        detail: format!(
            "found more than the connector reads, from {place} on; what is beyond is kept with the input and was not taken: ask the sender for it in smaller inputs"
        ),
        queue: channel.exception_queue.clone(),
    }
}

/// The sender was told. But it may have meant what is left out as an order, and its
/// numbers may go wrong for longer.
fn envelopes_changed(channel: &Channel, changed: &[Problem], envelopes: usize) -> Option<NewException> {
    let first = changed.first()?;
    let detail = format!(
        "found other content than before in {} of {envelopes} envelope(s), the first at byte {}; expected a new control number for it: it was refused and nothing of it is kept, ask the sender",
        changed.len(),
        first.position.offset_bytes.unwrap_or_default(),
    );
    let (code, queue) = (first.code.clone(), channel.exception_queue.clone());
    Some(NewException { kind: ExceptionKind::Input, stage: "accept", code, detail, queue, due_at: None })
}
