//! The road's facts as audit records: codes, digests and positions.
//!
//! What a guest said or was told is blinded with the key of a payload that it is
//! about: the input's for `receive`, the document's for a mapping, the decision's
//! for scorers, the event's for a delivery. So one erasure forgets them all.

use portreeve_authority::rules::Finding;
use portreeve_authority::{Outcome, Verdict};
use portreeve_model::{ChannelId, Digest, Failure, Instant, Matter, OrderId, Problem, SenderId};
use portreeve_record::leaf::{
    AcceptLeaf, AcceptOutcome, AttemptLeaf, Code, CrossingRecord, DecideLeaf, DecidedState, DocumentPosition,
    DocumentRecord, EnvelopeOutcome, EnvelopeRecord, Label, Listed, NumberRecord, Place, ProblemRecord,
    ProposalOutcome, ProposalRecord, REDACTED, ReceiptLeaf, ReceiptOutcome, RequestRecord,
};
use portreeve_record::{Leaf, LeafBody, PayloadKey, RecordError};
use portreeve_sandbox::{Crossing, RecordedRequest, RequestOutcome};
use portreeve_store::contract::{Content, GONE, NewDocument, OrderState};
use portreeve_store::{Journaled, Permit};

use crate::decide::CANCEL_REQUESTED;
use crate::decision::Weighed;
use crate::told;

/// What an accept leaf is made of.
pub(crate) struct AcceptFacts<'a> {
    pub(crate) channel: &'a ChannelId,
    pub(crate) sender: &'a SenderId,
    pub(crate) content: Digest,
    pub(crate) key: &'a PayloadKey,
    pub(crate) crossing: Option<&'a Crossing>,
    pub(crate) failure: Option<&'a str>,
    /// Kinds that the host knows. A guest may say any other.
    pub(crate) kinds: &'a dyn Fn(&str) -> bool,
    pub(crate) documents: &'a [NewDocument],
    pub(crate) problems: &'a [Problem],
    /// Keys of envelopes that came before.
    pub(crate) settled: &'a [(String, EnvelopeOutcome)],
    pub(crate) outcome: AcceptOutcome,
}

/// The record of an input that was taken.
pub(crate) fn accept(facts: &AcceptFacts<'_>) -> Result<AcceptLeaf, RecordError> {
    let documents = facts
        .documents
        .iter()
        .zip(0_u32..)
        .map(|(document, index)| DocumentRecord {
            index,
            key_digest: document.payload.key.blind(&document.key),
            kind: if (facts.kinds)(&document.kind) {
                Code::of(&document.kind)
            } else {
                Code::of_guest(&document.kind, facts.key)
            },
            commitment: document.payload.sealed.commitment(),
        })
        .collect();
    let problems = facts
        .problems
        .iter()
        .map(|problem| ProblemRecord {
            code: Code::of_guest(&problem.code, facts.key),
            offset_bytes: problem.position.offset_bytes,
            segment: problem.position.segment,
            path: Place::of(&problem.position.path),
        })
        .collect();
    let envelopes = facts
        .settled
        .iter()
        .map(|(key, outcome)| EnvelopeRecord { key_digest: facts.key.blind(key), outcome: *outcome });
    // The input's digest is not in the leaf: unsalted, it could be guessed. The
    // commitment to the sealed input stands for it.
    let crossing = facts.crossing.map(|crossing| crossed(crossing, facts.content, None, facts.failure, facts.key));
    let crossing = crossing.transpose()?;
    Ok(AcceptLeaf {
        input: facts.content,
        channel: facts.channel.clone(),
        sender: Label::of(facts.sender.as_str()),
        content: facts.content,
        crossing,
        documents: Listed::of(documents)?,
        problems: Listed::of(problems)?,
        numbers: numbers(facts.crossing)?,
        envelopes: Listed::of(envelopes.collect())?,
        outcome: facts.outcome,
    })
}

/// The record of the same input after it was refused: none of its documents
/// remain, and its numbers only where the answer to the refusal names them.
pub(crate) fn refused(taken: AcceptLeaf, answered: bool) -> Result<AcceptLeaf, RecordError> {
    let documents = Listed::of(Vec::new())?;
    let numbers = if answered { taken.numbers } else { Listed::of(Vec::new())? };
    Ok(AcceptLeaf { documents, numbers, outcome: AcceptOutcome::DuplicateRefused, ..taken })
}

/// A crossing as a record. `input` and `output` are commitments, or blinded.
pub(crate) fn crossed(
    crossing: &Crossing,
    input: Digest,
    output: Option<Digest>,
    failure: Option<&str>,
    key: &PayloadKey,
) -> Result<CrossingRecord, RecordError> {
    Ok(CrossingRecord {
        plugin: crossing.plugin.clone(),
        component: crossing.digest,
        call: Code::of(crossing.call.as_str()),
        input,
        output,
        transcript: key.blind_digest(&crossing.transcript),
        host_calls: u32::try_from(crossing.host_calls).unwrap_or(u32::MAX),
        fuel_used: crossing.fuel_used,
        failure: failure.map(|code| Code::of_guest(code, key)),
        requests: Listed::of(crossing.requests.iter().map(|request| requested(request, key)).collect())?,
    })
}

/// A request as a record. What a guest put into its URL and bodies is blinded.
fn requested(request: &RecordedRequest, key: &PayloadKey) -> RequestRecord {
    let (status, answered, answered_bytes) = match &request.outcome {
        RequestOutcome::Answered { status, body, body_bytes } => (Some(*status), Some(body), *body_bytes),
        _ => (None, None, 0),
    };
    let (place, path) = place_and_path(&request.url);
    RequestRecord {
        // The sandbox lets six methods through; any other word is the guest's.
        method: match request.authority {
            Some(_) => Code::of(&request.method.to_ascii_lowercase()),
            None => Code::of_guest(&request.method, key),
        },
        host: match &request.authority {
            Some(authority) => Label::of(authority),
            None => Label::of(&key.blind(place).to_string()),
        },
        path: key.blind(path),
        outcome: Code::of(request.outcome.code()),
        status,
        sent_bytes: request.body_bytes,
        answered_bytes,
        sent: request.body.as_ref().map(|body| key.blind_digest(body)),
        answered: answered.map(|body| key.blind_digest(body)),
        duration_ms: request.duration_ms,
    }
}

/// `http://HOST:PORT` and what follows.
fn place_and_path(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |scheme| scheme.saturating_add(3));
    let path = url.get(host..).and_then(|rest| rest.find('/')).map_or(url.len(), |path| host.saturating_add(path));
    url.split_at_checked(path).unwrap_or((url, ""))
}

pub(crate) fn numbers(crossing: Option<&Crossing>) -> Result<Listed<NumberRecord>, RecordError> {
    let drawn = crossing.map(|crossing| crossing.numbers.as_slice()).unwrap_or_default();
    Listed::of(drawn.iter().map(|(range, number)| NumberRecord { range: Code::of(range), number: *number }).collect())
}

/// What [`GONE`] is called where a plugin says it.
const SAID_GONE: &str = "said-gone";

/// A plugin's failure as a code and a sentence. That somebody wants to hear no more is the host's own
/// word, by which a target is sent nothing any more: it goes by the answer that it saw, and not by
/// what a plugin makes of one.
pub(crate) fn failure_words(failure: &Failure) -> (String, String) {
    match failure {
        Failure::Invalid(problems) => {
            let Some(first) = problems.first() else {
                return ("invalid".to_owned(), "refused without saying why".to_owned());
            };
            let code = Code::of(&first.code).to_string();
            let code = if code == GONE { SAID_GONE.to_owned() } else { code };
            (code, told::all(problems.iter().map(told::in_words)))
        }
        Failure::Retry(ms) => ("retry".to_owned(), format!("asks to try again after {ms} ms")),
        Failure::Permanent(why) => ("permanent".to_owned(), why.clone()),
        Failure::UnknownOutcome(why) => ("unknown-outcome".to_owned(), why.clone()),
    }
}

/// What a decide leaf is made of.
pub(crate) struct DecideFacts<'a> {
    pub(crate) order: Option<OrderId>,
    /// The order or the item that the document says something about.
    pub(crate) about: Option<Matter>,
    pub(crate) document: &'a Journaled,
    pub(crate) event: Option<Digest>,
    pub(crate) configuration: u64,
    pub(crate) mapping: Option<&'a (Crossing, Option<String>)>,
    /// Blinds what scorers were asked and said.
    pub(crate) key: &'a PayloadKey,
    pub(crate) scoring: &'a [(Crossing, Digest, Option<Digest>, Option<String>)],
    pub(crate) verdicts: &'a [Weighed],
    pub(crate) policy_holds: &'a [Finding],
    /// Whether a request to cancel keeps the order back.
    pub(crate) cancel_requested: bool,
    pub(crate) state: DecidedState,
    /// Whether somebody hears of an order that is kept back.
    pub(crate) told: bool,
    pub(crate) decision: Option<Digest>,
    pub(crate) clock: Instant,
}

pub(crate) fn decide(host: &str, at: Instant, facts: &DecideFacts<'_>) -> Result<Leaf, RecordError> {
    let document = DocumentPosition { input: facts.document.input_commitment(), index: facts.document.index() };
    // The document stands under its commitment in the accept leaf; here its
    // place is enough, so the crossing's input is the digest of that place.
    let place = Digest::of_parts(&[document.input.as_bytes(), &document.index.to_be_bytes()]);
    let mapping = facts.mapping.map(|(crossing, failure)| {
        crossed(crossing, place, facts.event, failure.as_deref(), facts.document.payload_key())
    });
    let scoring = facts.scoring.iter().map(|(crossing, input, output, failure)| {
        let (input, output) = (facts.key.blind_digest(input), output.map(|output| facts.key.blind_digest(&output)));
        crossed(crossing, input, output, failure.as_deref(), facts.key)
    });
    let proposals = facts
        .verdicts
        .iter()
        .map(|weighed| &weighed.verdict)
        .map(|verdict| ProposalRecord {
            scorer: verdict.plugin().clone(),
            proposal: Code::of(proposed(verdict)),
            outcome: match verdict.outcome() {
                Outcome::Granted => ProposalOutcome::Granted,
                Outcome::Narrowed => ProposalOutcome::Narrowed,
                Outcome::Refused => ProposalOutcome::Refused,
            },
            policy: deciding(verdict),
            effect: Code::of(verdict.effect().rung().map_or("record-only", |rung| rung.as_str())),
            clause: verdict.unmet().map(Code::of),
        })
        .collect();
    let cancel_requested = facts.cancel_requested.then(|| Code::of(CANCEL_REQUESTED));
    let findings = facts.policy_holds.iter().map(|finding| Code::of(finding.code));
    let policy_holds = cancel_requested.into_iter().chain(findings).collect();
    Leaf::new(
        host,
        at,
        LeafBody::Decide(DecideLeaf {
            order: facts.order,
            about: facts.about.and_then(Matter::order),
            item: facts.about.and_then(Matter::item),
            document,
            event: facts.event,
            configuration: facts.configuration,
            crossings: Listed::of(mapping.into_iter().chain(scoring).collect::<Result<_, _>>()?)?,
            proposals: Listed::of(proposals)?,
            policy_holds: Listed::of(policy_holds)?,
            state: facts.state,
            told: facts.told,
            decision: facts.decision,
            clock: facts.clock,
        }),
    )
}

/// What a scorer proposed, in one word.
pub(crate) fn proposed(verdict: &Verdict) -> &'static str {
    verdict.proposed().map_or("unknown", |rung| rung.as_str())
}

/// The grant and the policies that decided, or the code where neither did. Where
/// they are too many for a code, the first; the decision's record has them all.
fn deciding(verdict: &Verdict) -> Code {
    let mut names: Vec<&str> = verdict.grant().into_iter().collect();
    names.extend(verdict.policies().iter().map(String::as_str));
    let all = Code::of(&names.join(":"));
    match names.first() {
        None => Code::of(verdict.code().as_str()),
        Some(first) if all.as_str() == REDACTED => Code::of(first),
        Some(_) => all,
    }
}

pub(crate) fn decided_state(state: OrderState) -> DecidedState {
    match state {
        OrderState::Released => DecidedState::Released,
        OrderState::Held => DecidedState::Held,
        OrderState::Routed => DecidedState::Routed,
        OrderState::Refused => DecidedState::Refused,
        OrderState::Exception => DecidedState::Exception,
    }
}

/// A message and what it was made of.
pub(crate) struct Rendered<'a> {
    /// Commitment to the event, and to the order where that was told with it.
    pub(crate) input: Digest,
    /// Digest of what the transformer made, blinded.
    pub(crate) made: Digest,
    /// Digest of the message, blinded: the same, unless people corrected it.
    pub(crate) message: Digest,
    /// Commitment to their words.
    pub(crate) corrected: Option<Digest>,
    pub(crate) crossing: &'a Crossing,
}

/// The leaf that commits before a message leaves.
pub(crate) fn attempt(
    host: &str,
    at: Instant,
    permit: &Permit,
    key: &PayloadKey,
    looked_up: Option<CrossingRecord>,
    rendered: &Rendered<'_>,
) -> Result<Leaf, RecordError> {
    let Rendered { input, made, message, corrected, crossing } = *rendered;
    Leaf::new(
        host,
        at,
        LeafBody::Attempt(AttemptLeaf {
            outbox: outbox(permit),
            order: permit.matter().order(),
            item: permit.matter().item(),
            event: said(permit),
            target: Code::of(permit.target()),
            attempt: permit.attempt(),
            message: Some(message),
            looked_up,
            crossing: Some(crossed(crossing, input, Some(made), None, key)?),
            corrected,
            numbers: attempt_numbers(permit, crossing)?,
        }),
    )
}

/// Numbers that the message carries: of its rendering, and the one by which its receiver knows
/// it. Receivers are the sender's words; the target is the host's.
fn attempt_numbers(permit: &Permit, crossing: &Crossing) -> Result<Listed<NumberRecord>, RecordError> {
    let drawn = crossing.numbers.iter().map(|(range, number)| NumberRecord { range: Code::of(range), number: *number });
    let own = permit.interchange().map(|own| NumberRecord { range: Code::of(permit.target()), number: own.number });
    Listed::of(drawn.chain(own).collect())
}

/// The leaf that commits with an outcome.
pub(crate) fn receipt(
    host: &str,
    at: Instant,
    permit: &Permit,
    outcome: ReceiptOutcome,
    external_id: Option<Digest>,
    crossing: Option<CrossingRecord>,
) -> Result<Leaf, RecordError> {
    Leaf::new(
        host,
        at,
        LeafBody::Receipt(ReceiptLeaf {
            outbox: outbox(permit),
            order: permit.matter().order(),
            item: permit.matter().item(),
            event: said(permit),
            attempt: permit.attempt(),
            outcome,
            external_id,
            crossing,
        }),
    )
}

/// An outbox row in records: its id can be longer than a code.
pub(crate) fn outbox(permit: &Permit) -> Digest {
    Digest::of(permit.outbox().0.as_bytes())
}

/// What was said of the order or the item, where that is delivered and not the order as it came.
fn said(permit: &Permit) -> Option<Digest> {
    matches!(permit.content(), Content::Said(_) | Content::Level(_)).then_some(permit.event().commitment)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use portreeve_model::document::Position;
    use portreeve_sandbox::Call;

    use super::*;
    use crate::plugins::tests::uneventful;

    #[test]
    fn no_plugin_says_in_the_hosts_own_word_that_a_target_is_gone() {
        let position = || Position { offset_bytes: None, segment: None, path: String::new() };
        let problem = |code: &str| Problem { code: code.to_owned(), message: "no".to_owned(), position: position() };
        for (said, code) in [(GONE, SAID_GONE), ("gone-fishing", "gone-fishing"), ("refused", "refused")] {
            assert_eq!(failure_words(&Failure::Invalid(vec![problem(said), problem("other")])).0, code);
        }
        // Nor where its word becomes that only as the record writes it.
        for said in ["Gone", "GONE", " gone", "gone ", "gone\n"] {
            assert_ne!(failure_words(&Failure::Invalid(vec![problem(said)])).0, GONE, "{said:?}");
        }
    }

    #[test]
    fn whoever_is_to_mend_a_document_reads_where_it_is_wrong() {
        let problem = |path: &str| Problem {
            code: "price-missing".to_owned(),
            message: "PO104 is empty; expected the price".to_owned(),
            position: Position { offset_bytes: None, segment: None, path: path.to_owned() },
        };
        let told = |problems: Vec<Problem>| failure_words(&Failure::Invalid(problems)).1;
        let placed = told(vec![problem("PO1[2]/04"), problem("PO1[3]/04")]);
        let sentence = "PO104 is empty; expected the price";
        assert_eq!(placed, format!("2 problem(s): (1) `PO1[2]/04`: {sentence} (2) `PO1[3]/04`: {sentence}"));
        assert_eq!(told(vec![problem("")]), "1 problem(s): PO104 is empty; expected the price");
    }

    #[test]
    fn a_guest_cannot_write_a_person_into_a_leaf() {
        let person = "ada-lovelace-12-st-james-square";
        let crossing = Crossing {
            transcript: Digest::of(person.as_bytes()),
            host_calls: 1,
            requests: vec![
                RecordedRequest {
                    method: person.to_owned(),
                    url: format!("http://{person}/{person}"),
                    authority: None,
                    body: None,
                    body_bytes: 0,
                    duration_ms: 0,
                    outcome: RequestOutcome::Refused(person.to_owned()),
                },
                RecordedRequest {
                    method: "POST".to_owned(),
                    url: format!("https://erp.example:8443/orders/{person}"),
                    authority: Some("erp.example:8443".to_owned()),
                    body: Some(Digest::of(person.as_bytes())),
                    body_bytes: 31,
                    duration_ms: 7,
                    outcome: RequestOutcome::Answered {
                        status: 201,
                        body: Digest::of(person.as_bytes()),
                        body_bytes: 31,
                    },
                },
            ],
            ..uneventful(Call::Receive)
        };
        let payload = portreeve_store::contract::NewPayload::seal(person.as_bytes(), None).unwrap();
        let key = payload.key.clone();
        let document = NewDocument {
            key: person.to_owned(),
            partner: person.to_owned(),
            kind: person.to_owned(),
            content: Digest::of(person.as_bytes()),
            payload,
        };
        let problem = |code: &str, path: &str| Problem {
            code: code.to_owned(),
            message: person.to_owned(),
            position: Position { offset_bytes: Some(7), segment: Some(3), path: path.to_owned() },
        };
        let record = accept(&AcceptFacts {
            channel: &ChannelId::parse("edi").unwrap(),
            sender: &SenderId::authenticated("edi-gateway"),
            content: document.payload.sealed.commitment(),
            key: &key,
            crossing: Some(&crossing),
            failure: Some(person),
            kinds: &|_| false,
            documents: &[document],
            settled: &[(person.to_owned(), EnvelopeOutcome::Changed)],
            problems: &[problem(person, "items[Ada.Lovelace]"), problem("set-count-mismatch", "ISA[1]/GS[1]/ST[2]")],
            outcome: AcceptOutcome::Documents,
        })
        .unwrap();
        let leaf = Leaf::new("host-1", Instant(0), LeafBody::Accept(record)).unwrap();
        let text = String::from_utf8(leaf.bytes().to_vec()).unwrap();
        for guess in [person.to_owned(), "Ada".to_owned(), Digest::of(person.as_bytes()).to_string()] {
            assert!(!text.contains(&guess), "`{guess}` in {text}");
        }
        for known in ["\"post\"", "\"erp.example:8443\"", "\"status\":201", "\"refused\"", "\"answered\""] {
            assert!(text.contains(known), "no {known} in {text}");
        }
        assert!(!text.contains("orders/"), "{text}");
        for structure in ["\"items[_._]\"", "\"set-count-mismatch\"", "\"ISA[1]/GS[1]/ST[2]\""] {
            assert!(text.contains(structure), "no {structure} in {text}");
        }
    }
}
