//! X12 over HTTP or a watched folder: purchase orders in, acknowledgements out.
//!
//! One input may hold several interchanges of several partners. Each readable
//! interchange is answered by one of its own, with a 997 per group; an ISA that
//! cannot be delimited by a TA1, or by plain text when it does not even say who
//! sent it. Acknowledgements are not answered, and acknowledge nothing here.
//!
//! The default agreement: wrong trailer counts and control numbers are reported
//! as problems, answered `E`, and the order is taken. What is answered `R` makes
//! no document, because the partner will send it again.

mod document;

use portreeve_guest_x12::acknowledge::{self, FUNCTIONAL_ACKNOWLEDGEMENT, ReplyNumbers};
use portreeve_guest_x12::clock::Stamp;
use portreeve_guest_x12::write::NumberTooLarge;
use portreeve_guest_x12::{Fault, FaultCode, Group, GroupOutcome, Interchange, Set, SetOutcome, Status, check, read};
use portreeve_sdk::connector::*;

use crate::document::PURCHASE_ORDER;

/// ISA13 of replies.
const INTERCHANGE_NUMBERS: &str = "x12-interchange";
/// GS06 of replies.
const GROUP_NUMBERS: &str = "x12-group";

const CONTENT_TYPE: &str = "application/edi-x12";

struct X12;

impl Connector for X12 {
    fn receive(input: Inbound) -> Result<Received, Failure> {
        let reading = read(&input.body);
        let mut taken = Taken::at(Stamp::at(input.received_at));
        taken.note(&reading.faults);
        for interchange in &reading.interchanges {
            taken.interchange(interchange)?;
        }
        for undelimited in &reading.undelimited {
            taken.note([&undelimited.fault]);
            if acknowledge::can_refuse(undelimited) {
                let number = numbers::next(INTERCHANGE_NUMBERS)?;
                let answer = acknowledge::refusal(undelimited, number, taken.stamp).map_err(too_large)?;
                taken.reply.extend(answer);
            }
        }
        let readable = !reading.interchanges.is_empty();
        Ok(taken.into_received(readable))
    }
}

/// What has been made of the input so far.
struct Taken {
    stamp: Stamp,
    envelopes: Vec<String>,
    documents: Vec<Document>,
    problems: Vec<Problem>,
    reply: Vec<u8>,
}

impl Taken {
    fn at(stamp: Stamp) -> Self {
        Self { stamp, envelopes: vec![], documents: vec![], problems: vec![], reply: vec![] }
    }

    fn note<'a>(&mut self, faults: impl IntoIterator<Item = &'a Fault>) {
        self.problems.extend(faults.into_iter().map(problem));
    }

    fn interchange(&mut self, interchange: &Interchange) -> Result<(), Failure> {
        let sender = interchange.isa.sender().unwrap_or_default();
        self.envelopes.push(format!("{sender}/{}", interchange.isa.control()));
        self.note(&interchange.faults);
        let mut outcomes = Vec::new();
        for group in &interchange.groups {
            self.note(&group.faults);
            if group.functional() != FUNCTIONAL_ACKNOWLEDGEMENT {
                let sets = group.sets.iter().map(|set| self.set(interchange, group, set)).collect();
                outcomes.push(GroupOutcome::of(group, sets));
            }
        }
        if acknowledge::needs_reply(interchange) {
            let group = if outcomes.is_empty() { 0 } else { numbers::next(GROUP_NUMBERS)? };
            let numbers = ReplyNumbers { interchange: numbers::next(INTERCHANGE_NUMBERS)?, group };
            let answer = acknowledge::reply(interchange, &outcomes, numbers, self.stamp).map_err(too_large)?;
            self.reply.extend(answer);
        }
        Ok(())
    }

    /// Judges a set, and takes it as a document unless it is rejected.
    fn set(&mut self, interchange: &Interchange, group: &Group, set: &Set) -> SetOutcome {
        let (segments, content) = match set.kind() {
            PURCHASE_ORDER => check::purchase_order(set),
            _ => (vec![], vec![unsupported(set)]),
        };
        self.note(set.faults.iter().chain(&content));
        let mut outcome = SetOutcome::of(set, segments, &content);
        if outcome.status == Status::Rejected {
            return outcome;
        }
        match document::of(interchange, group, set) {
            Ok(document) => self.documents.push(document),
            Err(problem) => {
                outcome.status = Status::Rejected;
                self.problems.push(problem);
            }
        }
        outcome
    }

    fn into_received(self, readable: bool) -> Received {
        let reply = if !self.reply.is_empty() {
            answer(200, CONTENT_TYPE, self.reply)
        } else if readable {
            Reply { status: 200, headers: vec![], body: vec![] }
        } else {
            let why = self.problems.first().map_or("the input is empty", |problem| problem.message.as_str());
            answer(400, "text/plain; charset=utf-8", format!("{why}\n").into_bytes())
        };
        Received { envelopes: self.envelopes, documents: self.documents, problems: self.problems, reply }
    }
}

fn answer(status: u16, content_type: &str, body: Vec<u8>) -> Reply {
    let headers = vec![Header { name: "content-type".to_owned(), value: content_type.to_owned() }];
    Reply { status, headers, body }
}

fn unsupported(set: &Set) -> Fault {
    Fault {
        code: FaultCode::UnsupportedTransaction,
        message: "this transaction set is not handled here; expected 850".to_owned(),
        offset: set.header.offset,
        segment: set.header.number,
        path: set.path.clone(),
    }
}

fn problem(fault: &Fault) -> Problem {
    Problem::new(fault.code.as_str(), fault.message.clone(), fault.path.clone())
        .at_offset(u64::try_from(fault.offset).unwrap_or(u64::MAX))
        .at_segment(fault.segment)
}

fn too_large(error: NumberTooLarge) -> Failure {
    Failure::permanent(error.to_string())
}

portreeve_sdk::connector!(X12);
