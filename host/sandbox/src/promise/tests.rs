//! Each promise at its bound and just beyond, by tables.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use portreeve_model::document::{CheckReport, Failure, Message, Polled, Receipt, Received};

use super::*;
use crate::bindings::{advice as wit_advice, documents as wit_documents, events as wit_events, values};
use crate::convert::{FromGuest, Meter};
use crate::limits::Limits;

/// What a changed result is refused for; none when it is taken.
fn refusal<G, T: FromGuest<G>>(mut guest: G, change: impl FnOnce(&mut G)) -> Option<String> {
    change(&mut guest);
    match T::from_guest(guest, &mut Meter::new(&Limits::DEFAULT)) {
        Ok(_) => None,
        Err(Refused::Broken { path, problem }) => Some(Refused::describe(&path, &problem)),
        Err(Refused::TooLarge { what, .. }) => Some(what.to_owned()),
    }
}

/// One row of a table: what is changed, and the field that is named; none fits.
type Row<G> = (Option<&'static str>, fn(&mut G));

fn check<G: Clone, T: FromGuest<G>>(guest: &G, rows: &[Row<G>]) {
    assert_eq!(refusal::<G, T>(guest.clone(), |_| {}), None);
    for (index, (field, change)) in rows.iter().enumerate() {
        let refused = refusal::<G, T>(guest.clone(), change);
        let named = refused.as_ref().map(|why| why.split(':').next().unwrap().trim_matches('`').to_owned());
        assert_eq!(named.as_deref(), *field, "row {index}: {refused:?}");
    }
}

fn of(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn position() -> values::Position {
    values::Position { offset_bytes: None, segment: None, path: "PO1".to_owned() }
}

fn problem() -> values::Problem {
    values::Problem { code: "bad-date".to_owned(), message: "bad".to_owned(), position: position() }
}

fn document() -> wit_documents::Document {
    wit_documents::Document {
        key: "a".to_owned(),
        partner: String::new(),
        kind: "x12/850".to_owned(),
        position: position(),
        envelope: None,
        body: vec![],
    }
}

fn money(currency: &str) -> values::Money {
    values::Money { minor: 1, currency: currency.to_owned() }
}

fn line(number: &str) -> wit_events::OrderLine {
    let price = values::UnitPrice { amount: 1, scale: 2, currency: "USD".to_owned(), per_quantity: 1 };
    wit_events::OrderLine {
        number: number.to_owned(),
        sku: "A".to_owned(),
        buyer_sku: None,
        description: None,
        quantity: values::Quantity { value: 1, scale: 0, unit: "EA".to_owned() },
        unit_price: price,
        extended: Some(money("USD")),
        requested_delivery: None,
        extensions: vec![],
    }
}

fn order() -> wit_events::Order {
    let address = values::Address {
        id: None,
        name: None,
        lines: vec![],
        city: None,
        region: None,
        postal_code: None,
        country: Some("US".to_owned()),
    };
    wit_events::Order {
        number: "PO-1".to_owned(),
        release: None,
        customer: values::Customer { id: "C".to_owned(), name: None, email: None, phone: None },
        bill_to: None,
        ship_to: Some(address),
        placed_at: None,
        requested_delivery: None,
        cancel_after: None,
        currency: "USD".to_owned(),
        lines: vec![line("1"), line("2")],
        totals: wit_events::OrderTotals {
            lines: None,
            shipping: None,
            tax: None,
            discount: None,
            grand: Some(money("USD")),
        },
        payment: Some(wit_events::Payment {
            method: "card".to_owned(),
            state: None,
            authorised: Some(money("USD")),
            authorisation_expires_at: None,
            issuer_country: Some("US".to_owned()),
            address_check: None,
            terms: None,
        }),
        sender_state: None,
        notes: vec![],
        extensions: vec![],
    }
}

#[test]
fn an_order_keeps_what_the_contract_promises() {
    check::<_, event::Order>(
        &order(),
        &[
            (None, |o| o.number = of(IDENTIFIER_BYTES_MAX)),
            (Some("number"), |o| o.number = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("number"), |o| o.number = "PO\n1".to_owned()),
            (Some("lines.number"), |o| o.lines[1].number = "1".to_owned()),
            (Some("lines.number"), |o| o.lines[1].number = "2\u{1b}".to_owned()),
            (Some("lines.sku"), |o| o.lines[1].sku = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("lines.quantity.unit"), |o| o.lines[1].quantity.unit = of(KIND_BYTES_MAX + 1)),
            (None, |o| o.lines[1].description = Some(of(TEXT_BYTES_MAX))),
            (Some("lines.description"), |o| o.lines[1].description = Some(of(TEXT_BYTES_MAX + 1))),
            (Some("lines.unit-price.currency"), |o| o.lines[1].unit_price.currency = "EUR".to_owned()),
            (Some("lines.extended.currency"), |o| o.lines[0].extended = Some(money("EUR"))),
            (Some("totals.grand.currency"), |o| o.totals.grand = Some(money("EUR"))),
            (Some("totals.tax.currency"), |o| o.totals.tax = Some(money("EUR"))),
            (Some("payment.authorised.currency"), |o| {
                o.payment.as_mut().unwrap().authorised = Some(money("EUR"));
            }),
            (Some("payment.issuer-country"), |o| {
                o.payment.as_mut().unwrap().issuer_country = Some("us".to_owned());
            }),
            (Some("ship-to.country"), |o| o.ship_to.as_mut().unwrap().country = Some("USA".to_owned())),
            (Some("customer.id"), |o| o.customer.id = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("customer.name"), |o| o.customer.name = Some(of(TEXT_BYTES_MAX + 1))),
            (Some("notes"), |o| o.notes = vec![of(TEXT_BYTES_MAX + 1)]),
        ],
    );
}

fn envelope() -> wit_documents::Envelope {
    wit_documents::Envelope { key: "1".to_owned(), part: None, answer: None, refusal: None }
}

#[test]
fn what_a_connector_received_is_short_where_a_sender_chose_it() {
    let reply = wit_documents::Reply { status: 200, headers: vec![], body: vec![] };
    let received = wit_documents::Received {
        envelopes: vec![envelope()],
        documents: vec![document()],
        problems: vec![problem()],
        reply,
    };
    fn header(value: String) -> wit_documents::Header {
        wit_documents::Header { name: "x-a".to_owned(), value }
    }
    check::<_, Received>(
        &received,
        &[
            (Some("envelopes.key"), |r| r.envelopes[0].key = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("envelopes.key"), |r| r.envelopes[0].key = " ".to_owned()),
            (Some("documents.key"), |r| r.documents[0].key = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("documents.key"), |r| r.documents[0].key = "a\0b".to_owned()),
            (Some("documents.partner"), |r| r.documents[0].partner = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("documents.kind"), |r| r.documents[0].kind = of(KIND_BYTES_MAX + 1)),
            (Some("documents.position.path"), |r| r.documents[0].position.path = of(SENTENCE_BYTES_MAX + 1)),
            (None, |r| r.problems[0].message = of(SENTENCE_BYTES_MAX)),
            (Some("problems.message"), |r| r.problems[0].message = of(SENTENCE_BYTES_MAX + 1)),
            (Some("problems.position.path"), |r| r.problems[0].position.path = of(SENTENCE_BYTES_MAX + 1)),
            (Some("problems.code"), |r| r.problems[0].code = of(CODE_BYTES_MAX + 1)),
            (None, |r| r.reply.headers = vec![header(of(TEXT_BYTES_MAX)); REPLY_HEADERS_MAX]),
            (Some("reply.headers.value"), |r| r.reply.headers = vec![header(of(TEXT_BYTES_MAX + 1))]),
            (Some("reply.headers"), |r| r.reply.headers = vec![header(String::new()); REPLY_HEADERS_MAX + 1]),
            (Some("reply.status"), |r| r.reply.status = 100),
        ],
    );
    let polled = wit_documents::Polled { documents: vec![document()], problems: vec![problem()], cursor: None };
    check::<_, Polled>(
        &polled,
        &[
            (Some("documents.key"), |p| p.documents[0].key = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("problems.message"), |p| p.problems[0].message = of(SENTENCE_BYTES_MAX + 1)),
        ],
    );
}

fn span(offset_bytes: u64, length_bytes: u64) -> Option<wit_documents::Span> {
    Some(wit_documents::Span { offset_bytes, length_bytes })
}

#[test]
fn an_answer_is_a_part_of_the_reply_that_no_other_envelope_has() {
    let reply = wit_documents::Reply { status: 200, headers: vec![], body: vec![b'x'; 10] };
    let answered = |answer| wit_documents::Envelope { answer, refusal: Some(vec![b'R']), ..envelope() };
    let received = wit_documents::Received {
        envelopes: vec![answered(span(6, 4)), answered(span(0, 6)), envelope()],
        documents: vec![document()],
        problems: vec![],
        reply,
    };
    check::<_, Received>(
        &received,
        &[
            (None, |r| r.envelopes[0].answer = span(10, 0)),
            (None, |r| r.envelopes[0].answer = span(6, 0)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(6, 5)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(11, 0)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(u64::MAX, 2)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(2, u64::MAX)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(5, 5)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(0, 1)),
            (Some("envelopes.answer"), |r| r.envelopes[0].answer = span(3, 0)),
            (Some("envelopes.refusal"), |r| r.envelopes[0].answer = None),
            (None, |r| r.documents[0].envelope = Some(2)),
            (Some("documents.envelope"), |r| r.documents[0].envelope = Some(3)),
            (Some("documents.envelope"), |r| r.documents[0].envelope = Some(u32::MAX)),
        ],
    );
}

#[test]
fn an_envelope_takes_bytes_that_the_input_has() {
    let part = |part| document::Envelope { key: "1".to_owned(), part, answer: None, refusal: None };
    let received = |one| Received {
        envelopes: vec![part(None), part(one)],
        documents: vec![],
        problems: vec![],
        reply: document::Reply { status: 200, headers: vec![], body: vec![] },
    };
    let of = |offset_bytes, length_bytes| received(Some(document::Span { offset_bytes, length_bytes }));
    for (fits, received) in
        [(true, received(None)), (true, of(0, 3)), (true, of(3, 0)), (false, of(1, 3)), (false, of(4, 0))]
    {
        assert_eq!(parts_are_of(&received, b"abc").is_ok(), fits, "{received:?}");
    }
}

#[test]
fn what_a_target_or_a_failure_says_is_short() {
    let receipt = wit_documents::Receipt { external_id: "1".to_owned(), detail: Some("ok".to_owned()) };
    check::<_, Receipt>(
        &receipt,
        &[
            (Some("external-id"), |r| r.external_id = of(IDENTIFIER_BYTES_MAX + 1)),
            (None, |r| r.detail = Some(of(SENTENCE_BYTES_MAX))),
            (Some("detail"), |r| r.detail = Some(of(SENTENCE_BYTES_MAX + 1))),
        ],
    );
    let report = wit_documents::CheckReport { ok: true, detail: String::new() };
    check::<_, CheckReport>(&report, &[(Some("detail"), |r| r.detail = of(SENTENCE_BYTES_MAX + 1))]);
    let message =
        wit_documents::Message { kind: "a/b".to_owned(), content_type: "text/plain".to_owned(), body: vec![] };
    check::<_, Message>(
        &message,
        &[
            (Some("kind"), |m| m.kind = of(KIND_BYTES_MAX + 1)),
            (Some("content-type"), |m| m.content_type = of(IDENTIFIER_BYTES_MAX + 1)),
            (Some("content-type"), |m| m.content_type = "a\r\nb: c".to_owned()),
        ],
    );
    let failures: [fn(String) -> values::Failure; 2] = [values::Failure::Permanent, values::Failure::UnknownOutcome];
    for failure in failures {
        let refused = |bytes| refusal::<_, Failure>(failure(of(bytes)), |_| {});
        assert_eq!(refused(SENTENCE_BYTES_MAX), None);
        assert!(refused(SENTENCE_BYTES_MAX + 1).is_some());
    }
}

#[test]
fn an_assessments_reasons_are_in_order_and_its_words_short() {
    let reason =
        |code: &str, contribution_bp| wit_advice::Reason { code: code.to_owned(), contribution_bp, line_number: None };
    let hold = wit_advice::Hold {
        scope: wit_advice::HoldScope::Lines(vec!["1".to_owned()]),
        minutes: 1,
        reason: "a".to_owned(),
    };
    let assessment = wit_advice::Assessment {
        score_bp: 1,
        reasons: vec![reason("a", -20), reason("b", 10)],
        proposals: vec![wit_advice::Proposal::Hold(hold), wit_advice::Proposal::Route("desk".to_owned())],
        model: None,
    };
    check::<_, advice::Assessment>(
        &assessment,
        &[
            (Some("reasons"), |a| a.reasons.reverse()),
            (Some("reasons.line-number"), |a| a.reasons[0].line_number = Some(of(IDENTIFIER_BYTES_MAX + 1))),
            (Some("proposals"), |a| a.proposals[1] = wit_advice::Proposal::Route(of(IDENTIFIER_BYTES_MAX + 1))),
            (Some("proposals.scope.lines"), |a| {
                let wit_advice::Proposal::Hold(hold) = &mut a.proposals[0] else { return };
                hold.scope = wit_advice::HoldScope::Lines(vec![of(IDENTIFIER_BYTES_MAX + 1)]);
            }),
            (Some("proposals"), |a| {
                let review = wit_advice::Recommendation::Review(of(IDENTIFIER_BYTES_MAX + 1));
                a.proposals[1] = wit_advice::Proposal::Recommend(review);
            }),
        ],
    );
}
