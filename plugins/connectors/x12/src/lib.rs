//! X12 over HTTP or a watched folder: orders, changes, remittances and shipping advice in,
//! acknowledgements out.
//!
//! One input may hold several interchanges of several partners, also one that
//! came before beside new ones: each is an envelope of its own, known by both
//! parties and its control number, and answered by an interchange of its own with
//! a 997 per group. An ISA that cannot be delimited, or whose interchange does not end
//! within what is read, is answered by a TA1. Where there is nobody to address one to, the
//! input is invalid, and the host says what is wrong and where. Acknowledgements are never
//! answered; a channel that takes 997 has each as a document, and each TA1.
//!
//! What is answered `R` makes no document, because the partner will send it again.
//! An interchange that is rejected as a whole leaves no envelope either: its
//! sender may mend it and keep the number. Nor does one without IEA, which may have been
//! cut: what was taken of it is known by the orders' own keys when the whole one comes.
//!
//! Settings of the channel, all optional:
//!
//! ```text
//! sets             = "850,860"                     of 850, 860, 820, 945 and 997; 850 without it
//! receivers        = "ZZ:PORTREEVE 01:123456789"   our own ISA07:ISA08; others get TA1 R 009
//! count-mismatch   = "accept"                      and the rest of the agreement with a partner,
//! control-mismatch@ZZ:ACME = "reject"              see `portreeve_guest_x12::agreement`
//! ```
//!
//! ISA15 goes on with the order: one for a test (`T`, `I`) says so in its extension
//! `x12:usage`, and the host's rules decide about it.

mod document;

use portreeve_guest_x12::acknowledge::{self, FUNCTIONAL_ACKNOWLEDGEMENT};
use portreeve_guest_x12::clock::Stamp;
use portreeve_guest_x12::write::NumberTooLarge;
use portreeve_guest_x12::{
    Addressed, Agreement, FAULTS_MAX, Fault, FaultCode, Group, GroupOutcome, Interchange, Kind, Kinds, Set, SetOutcome,
    Status, check, read,
};
use portreeve_sdk::connector::*;

use crate::document::Taking;

/// ISA13 of replies.
const INTERCHANGE_NUMBERS: &str = "x12-interchange";
/// GS06 of replies.
const GROUP_NUMBERS: &str = "x12-group";

const CONTENT_TYPE: &str = "application/edi-x12";

struct X12;

impl Connector for X12 {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        let reading = read(&input.body);
        let kinds =
            Kinds::named(setting(&input.settings, "sets")).map_err(|slip| Failure::permanent(slip.to_string()))?;
        let mut taken = Taken::new(Stamp::at(input.received_at), kinds, &input.settings);
        taken.note(&reading.faults);
        let readable = !reading.interchanges.is_empty();
        for interchange in reading.interchanges {
            taken.interchange(interchange)?;
        }
        for unread in &reading.unread {
            taken.note([&unread.fault]);
            if acknowledge::can_refuse(unread) {
                let number = numbers::next(INTERCHANGE_NUMBERS)?;
                let answer = acknowledge::refusal(unread, number, taken.stamp).map_err(too_large)?;
                taken.reply.extend(answer);
            }
        }
        taken.into_received(readable)
    }
}

/// What has been made of the input so far.
struct Taken<'a> {
    stamp: Stamp,
    kinds: Kinds,
    settings: &'a [Setting],
    envelopes: Vec<Envelope>,
    documents: Vec<Document>,
    problems: Vec<Problem>,
    reply: Vec<u8>,
}

impl<'a> Taken<'a> {
    fn new(stamp: Stamp, kinds: Kinds, settings: &'a [Setting]) -> Self {
        Self { stamp, kinds, settings, envelopes: vec![], documents: vec![], problems: vec![], reply: vec![] }
    }

    /// Lists faults. A file of thousands of sets that nobody handles has as many;
    /// an answer that is too long would be none at all.
    fn note<'f>(&mut self, faults: impl IntoIterator<Item = &'f Fault>) {
        for fault in faults {
            match self.problems.len() {
                listed if listed < FAULTS_MAX => self.problems.push(problem(fault)),
                FAULTS_MAX => {
                    let message = format!("more than {FAULTS_MAX} faults; the rest is not listed");
                    self.problems.push(Problem::new(FaultCode::MoreFaults.as_str(), message, fault.path.clone()));
                }
                _ => return,
            }
        }
    }

    fn interchange(&mut self, mut interchange: Interchange) -> Result<(), Failure> {
        let partner = interchange.isa.sender().unwrap_or_default();
        let agreement = Agreement::with(&partner, |name| setting(self.settings, name))
            .map_err(|error| Failure::permanent(error.to_string()))?;
        self.check_receiver(&mut interchange);
        self.note(&interchange.faults);
        let key = interchange.key().filter(|_| agreement.refuses(&interchange.faults).is_none());
        let whole = !interchange.faults.has(FaultCode::InterchangeTrailerMissing);
        let envelope = key.as_ref().filter(|_| whole).cloned().map(Envelope::of_input);
        // The envelope that is being read comes next in the list.
        let index = envelope.as_ref().map(|_| self.envelopes.len());
        let outcomes = if key.is_some() { self.groups(&interchange, index, agreement) } else { vec![] };
        if key.is_some() && self.kinds.take(Kind::Acknowledgement) {
            self.technical(&interchange, index)?;
        }
        let (start, number) = (self.reply.len(), self.answer(&interchange, outcomes, agreement)?);
        if let Some(mut envelope) = envelope {
            envelope.part = Some(span(interchange.bytes.start, interchange.bytes.len()));
            if let Some(number) = number {
                let refusal = acknowledge::repeated(&interchange, number, self.stamp).map_err(too_large)?;
                envelope.answer = Some(span(start, self.reply.len() - start));
                envelope.refusal = Some(refusal);
            }
            self.envelopes.push(envelope);
        }
        Ok(())
    }

    /// An interchange for somebody else must not become our order.
    fn check_receiver(&self, interchange: &mut Interchange) {
        let Some(receivers) = setting(self.settings, "receivers") else { return };
        let receiver = interchange.isa.receiver().unwrap_or_default();
        if receivers.split([' ', ',']).any(|ours| ours == receiver) {
            return;
        }
        let message = "ISA07 and ISA08 name none of the receivers of this channel; see its setting `receivers`";
        let fault = Fault {
            code: FaultCode::UnknownReceiver,
            message: message.to_owned(),
            offset: interchange.isa.offset,
            segment: 0,
            path: "ISA/08".to_owned(),
        };
        // Not within the limit of the reader: this one decides.
        let mut left = usize::MAX;
        interchange.faults.note(fault, &mut left);
    }

    /// TA1 segments stand between no ST and SE, and are about interchanges that were sent to this
    /// sender: each is a document.
    fn technical(&mut self, interchange: &Interchange, envelope: Option<usize>) -> Result<(), Failure> {
        let envelope = envelope.and_then(|index| u32::try_from(index).ok());
        for segment in &interchange.acknowledgements {
            match document::technical(interchange, envelope, segment) {
                Ok(document) => self.documents.push(document),
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(())
    }

    fn groups(
        &mut self,
        interchange: &Interchange,
        envelope: Option<usize>,
        agreement: Agreement,
    ) -> Vec<GroupOutcome> {
        let mut outcomes = Vec::new();
        for group in &interchange.groups {
            self.note(&group.faults);
            let refused = GroupOutcome::is_refused(group, agreement);
            let taking = Taking { interchange, group, envelope: envelope.and_then(|index| u32::try_from(index).ok()) };
            if group.functional() != FUNCTIONAL_ACKNOWLEDGEMENT {
                let sets = group.sets.iter().map(|set| self.set(&taking, set, agreement, refused)).collect();
                outcomes.push(GroupOutcome::of(group, sets, agreement));
            } else if self.kinds.take(Kind::Acknowledgement) {
                for set in &group.sets {
                    // Its outcome is for nobody: an acknowledgement is never acknowledged.
                    self.set(&taking, set, agreement, refused);
                }
            }
        }
        outcomes
    }

    /// Judges a set, and takes it as a document unless it or its group is rejected.
    fn set(&mut self, taking: &Taking<'_>, set: &Set, agreement: Agreement, refused: bool) -> SetOutcome {
        let kind = self.kind(taking.group, set);
        let (segments, content) = match kind {
            Some(kind) => check::set(kind, set),
            None => (vec![], vec![unsupported(set, &self.kinds)]),
        };
        self.note(set.faults.iter().chain(&content));
        let mut outcome = SetOutcome::of(set, segments, &content, agreement);
        let Some(kind) = kind.filter(|_| !refused && outcome.status != Status::Rejected) else { return outcome };
        match document::of(taking, kind, set) {
            Ok(document) => self.documents.push(document),
            Err(problem) => {
                outcome.status = Status::Rejected;
                self.problems.push(problem);
            }
        }
        outcome
    }

    /// What a set is taken as. Acknowledgements have groups of their own: in another one it
    /// would be acknowledged, among acknowledgements anything else would not.
    fn kind(&self, group: &Group, set: &Set) -> Option<Kind> {
        let among_acknowledgements = group.functional() == FUNCTIONAL_ACKNOWLEDGEMENT;
        let kind = Kind::of(set.kind()).filter(|kind| self.kinds.take(*kind))?;
        (among_acknowledgements == (kind == Kind::Acknowledgement)).then_some(kind)
    }

    /// Answers an interchange and returns the number of the answer; none when it gets none.
    fn answer(
        &mut self,
        interchange: &Interchange,
        outcomes: Vec<GroupOutcome>,
        agreement: Agreement,
    ) -> Result<Option<u64>, Failure> {
        if !acknowledge::needs_reply(interchange) {
            return Ok(None);
        }
        let numbered = |addressed| Ok((numbers::next(GROUP_NUMBERS)?, addressed));
        let groups: Vec<(u64, Addressed)> =
            Addressed::all(outcomes).into_iter().map(numbered).collect::<Result<_, Failure>>()?;
        let number = numbers::next(INTERCHANGE_NUMBERS)?;
        let answer = acknowledge::reply(interchange, &groups, agreement, number, self.stamp).map_err(too_large)?;
        self.reply.extend(answer);
        Ok(Some(number))
    }

    /// X12 has no words for an input that nobody can be answered about: the host says
    /// what is wrong with it, and where.
    fn into_received(self, readable: bool) -> Result<Received, Failure> {
        if self.reply.is_empty() && !readable {
            return Err(Failure::Invalid(self.problems));
        }
        let headers = match self.reply.is_empty() {
            true => vec![],
            false => vec![Header { name: "content-type".to_owned(), value: CONTENT_TYPE.to_owned() }],
        };
        let reply = Reply { status: 200, headers, body: self.reply };
        Ok(Received { envelopes: self.envelopes, documents: self.documents, problems: self.problems, reply })
    }
}

fn span(offset: usize, length: usize) -> Span {
    let bytes = |count| u64::try_from(count).unwrap_or(u64::MAX);
    Span { offset_bytes: bytes(offset), length_bytes: bytes(length) }
}

fn unsupported(set: &Set, kinds: &Kinds) -> Fault {
    Fault {
        code: FaultCode::UnsupportedTransaction,
        message: format!("this transaction set is not handled here; expected {}", kinds.listed()),
        offset: set.header.offset,
        segment: set.header.number,
        path: set.path.clone(),
    }
}

fn problem(fault: &Fault) -> Problem {
    let problem = Problem::new(fault.code.as_str(), fault.message.clone(), fault.path.clone())
        .at_offset(u64::try_from(fault.offset).unwrap_or(u64::MAX));
    if fault.segment == 0 { problem } else { problem.at_segment(fault.segment) }
}

fn too_large(error: NumberTooLarge) -> Failure {
    Failure::permanent(error.to_string())
}

portreeve_sdk::connector!(X12);
