//! Replies with other answers in the place of some: what stands where, and what a
//! connector may say about it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use portreeve_model::Reply;
use proptest::prelude::*;

use super::*;

fn span(offset: usize, length: usize) -> Span {
    Span { offset_bytes: bytes(offset), length_bytes: bytes(length) }
}

fn envelope(key: &str, part: Option<Span>, answer: Option<Span>) -> Envelope {
    Envelope { key: key.to_owned(), part, answer, refusal: answer.map(|_| b"<no>".to_vec()) }
}

fn received(envelopes: Vec<Envelope>, reply: &[u8]) -> Received {
    let reply = Reply { status: 200, headers: Vec::new(), body: reply.to_vec() };
    Received { envelopes, documents: Vec::new(), problems: Vec::new(), reply }
}

/// Key, content and answer.
type Known<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);

fn knowing(known: &[Known<'_>]) -> Memory {
    let mut memory = Memory::default();
    for (key, content, answer) in known {
        let input = InputId(Digest::of(key.as_bytes()));
        let answer = answer.map(<[u8]>::to_vec);
        memory.bytes += answer.as_ref().map_or(0, Vec::len);
        memory.known.insert((*key).to_owned(), Remembered { input, content: Digest::of(content), answer });
    }
    memory
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn each_envelope_gets_its_own_answer_wherever_the_others_end() {
    // Four parts of one byte, answered in another order than they came in.
    let envelopes = vec![
        envelope("same", Some(span(0, 1)), Some(span(7, 2))),
        envelope("new", Some(span(1, 1)), Some(span(1, 2))),
        envelope("other", Some(span(2, 1)), Some(span(3, 3))),
        envelope("new", Some(span(3, 1)), Some(span(9, 2))),
    ];
    let received = received(envelopes, b"[aabbb-ccdd]");
    let memory = knowing(&[("same", b"S", Some(b"FIRST")), ("other", b"x", Some(b"never"))]);
    let sorted = Sorted::of(&received, b"SNON", &memory).unwrap();
    assert_eq!(text(&sorted.reply), "[aa<no>-FIRSTaa]");
    assert_eq!(sorted.new.len(), 1);
    assert_eq!(text(sorted.new[0].answer.unwrap().of(&sorted.reply).unwrap()), "aa");
    let settled = sorted.settled();
    let expected =
        [("same", EnvelopeOutcome::Repeated), ("other", EnvelopeOutcome::Changed), ("new", EnvelopeOutcome::Repeated)];
    assert_eq!(settled, expected.map(|(key, outcome)| (key.to_owned(), outcome)));
    let problems = sorted.problems(&received);
    assert_eq!((problems.len(), problems[0].position.offset_bytes), (1, Some(2)));
}

#[test]
fn the_first_of_two_envelopes_with_one_key_counts() {
    let twice =
        vec![envelope("k", Some(span(0, 1)), Some(span(0, 1))), envelope("k", Some(span(1, 1)), Some(span(1, 1)))];
    let received = received(twice, b"ab");
    for (input, reply) in [(b"ss", "aa"), (b"st", "a<no>")] {
        assert_eq!(text(&Sorted::of(&received, input, &Memory::default()).unwrap().reply), reply);
    }
}

#[test]
fn a_problem_goes_with_the_envelope_that_it_is_about() {
    let position = |offset_bytes| Position { offset_bytes, segment: None, path: String::new() };
    let problem = |offset| Problem { code: "c".to_owned(), message: "m".to_owned(), position: position(offset) };
    let mut received = received(vec![envelope("known", Some(span(2, 3)), None)], b"");
    received.problems = [Some(1), Some(2), Some(5), Some(6), None].map(problem).to_vec();
    let memory = knowing(&[("known", b"cde", None)]);
    let left = Sorted::of(&received, b"abcdefg", &memory).unwrap().problems(&received);
    assert_eq!(left, [Some(1), Some(6), None].map(problem));
}

#[test]
fn a_reply_is_never_torn_apart_nor_filled_without_end() {
    let one =
        |answer| received(vec![envelope("a", None, Some(span(0, 3))), envelope("b", None, Some(answer))], b"abcdef");
    for answer in [span(2, 2), span(6, 1), span(7, 0), Span { offset_bytes: u64::MAX, length_bytes: 2 }] {
        let (received, memory) = (one(answer), Memory::default());
        assert_eq!(Sorted::of(&received, b"", &memory).unwrap_err(), Unsortable::Broken, "{answer:?}");
    }
    let beyond = received(vec![envelope("a", Some(span(1, 3)), None)], b"");
    assert_eq!(Sorted::of(&beyond, b"abc", &Memory::default()).unwrap_err(), Unsortable::Broken);

    let half = vec![b'x'; REPEATED_BYTES_MAX / 2];
    let memory = knowing(&[("k", b"", Some(&half))]);
    for (envelopes, fits) in [(2, true), (3, false)] {
        let many = received(vec![envelope("k", None, Some(span(0, 0))); envelopes], b"");
        assert_eq!(Sorted::of(&many, b"", &memory).is_ok(), fits);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_piece_is_found_again_where_the_splice_says(
        pieces in proptest::collection::vec(("[a-z]{1,4}", "[a-z]{0,6}", proptest::option::of("[A-Z]{0,9}")), 0..8),
        order in any::<u64>(),
    ) {
        // Text between the answers, the answers, and what stands instead of some.
        let (mut body, mut expected, mut envelopes, mut instead) = (String::new(), String::new(), Vec::new(), Vec::new());
        for (between, answer, other) in &pieces {
            body.push_str(between);
            expected.push_str(between);
            envelopes.push(envelope("k", None, Some(span(body.len(), answer.len()))));
            body.push_str(answer);
            expected.push_str(other.as_ref().unwrap_or(answer));
            instead.push((answer, other));
        }
        // In any order: envelopes come as they were sent, not as they are answered.
        let turn = usize::try_from(order).unwrap() % envelopes.len().max(1);
        envelopes.rotate_left(turn);
        instead.rotate_left(turn);
        let fates: Vec<Fate<'_>> = instead
            .iter()
            .map(|(_, other)| other.as_ref().map_or(Fate::New, |other| Fate::Repeated(Some(other.as_bytes()))))
            .collect();
        let (reply, places) = spliced(body.as_bytes(), &envelopes, &fates).unwrap();
        prop_assert_eq!(text(&reply), expected);
        for ((answer, other), place) in instead.iter().zip(places) {
            let found = text(place.unwrap().of(&reply).unwrap());
            prop_assert_eq!(&found, other.as_ref().unwrap_or(answer));
        }
    }
}
