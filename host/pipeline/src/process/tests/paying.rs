//! Payments that are too small: which of them people hear of, and when that is over.

use portreeve_model::event::{Remittance, RemittanceLine};

use super::*;

fn shipped_and_invoiced() -> Vec<Event> {
    vec![accepted(), confirmed("S-1", [10, 4]), invoice("I-1", [10, 4], 1_400)]
}

/// What is found by the standard process after these events; nothing where nothing is wrong.
fn found(events: &[Event]) -> Option<String> {
    by(STANDARD, events).map(|concern| concern.found)
}

fn by(process: &str, events: &[Event]) -> Option<Concern> {
    let process = Process::load(&SourceFile { name: "process.toml", text: process }).unwrap();
    process.contradiction(&after(events).0)
}

fn with(more: &[Event]) -> Vec<Event> {
    [shipped_and_invoiced().as_slice(), more].concat()
}

#[test]
fn a_payment_that_is_too_small_is_told_with_what_is_open_until_the_rest_comes() {
    let short = with(&[paid("P-1", Some("I-1"), 1_000)]);
    let concern = by(STANDARD, &short).unwrap();
    assert_eq!((concern.code, state(&short)), ("paid-too-little", ProcessState::Invoiced));
    assert_eq!(concern.found, "10.00 USD paid of invoice `I-1` and 4.00 USD open");
    assert!(concern.expected.starts_with("14.00 USD, which is invoiced"), "{}", concern.expected);
    assert_eq!(after(&short).0.money.open_minor(), 400);

    let less_short = with(&[paid("P-1", Some("I-1"), 1_000), paid("P-2", Some("I-1"), 300)]);
    assert_eq!(found(&less_short).unwrap(), "13.00 USD paid of invoice `I-1` and 1.00 USD open");
    let whole = [less_short.as_slice(), &[paid("P-3", Some("I-1"), 100)]].concat();
    assert_eq!((found(&whole), state(&whole)), (None, ProcessState::Settled));
    assert_eq!(after(&whole).0.money.open_minor(), 0);
    // A credit memo for the rest ends it, too.
    let credited = [short.as_slice(), &[memo("M-1", "I-1", [0, 0], -400)]].concat();
    assert_eq!((found(&credited), state(&credited)), (None, ProcessState::Settled));
}

#[test]
fn a_payment_on_account_is_too_small_when_all_that_left_is_invoiced_and_more_than_it() {
    assert_eq!(found(&with(&[])), None, "nobody has paid yet, and it need not be due");
    let of_order = Some("10.00 USD paid of the order and 4.00 USD open".to_owned());
    assert_eq!(found(&with(&[paid("P-1", None, 1_000)])), of_order);
    // So is one for an invoice that nobody has posted.
    assert_eq!(found(&with(&[paid("P-1", Some("I-7"), 1_000)])), of_order);
    let two = with(&[paid("P-1", Some("I-1"), 1_000), paid("P-2", None, 400)]);
    assert_eq!((found(&two), state(&two)), (None, ProcessState::Settled), "together they are enough");
    let prepaid = [accepted(), paid("P-1", None, 1_000), confirmed("S-1", [5, 0]), invoice("I-1", [5, 0], 500)];
    assert_eq!(found(&prepaid), None);

    // What a dispute takes back is open again.
    let disputed = with(&[paid("P-1", None, 1_400), paid("D-1", None, -1_400)]);
    assert_eq!(found(&disputed).unwrap(), "0.00 USD paid of the order and 14.00 USD open");
    // What is paid back is no payment that is missing, though it is open until it is credited.
    let refunded = with(&[paid("P-1", None, 1_400), refund("F-1", RefundCause::PriceCorrection, None, 100)]);
    assert_eq!((found(&refunded), state(&refunded)), (None, ProcessState::Invoiced));
    assert_eq!(after(&refunded).0.money.open_minor(), 100);
}

#[test]
fn an_invoice_that_is_paid_is_no_payment_too_small_for_the_next_one() {
    let mut said = vec![accepted(), confirmed("S-1", [5, 0]), invoice("I-1", [5, 0], 500)];
    said.push(paid("P-1", Some("I-1"), 400));
    assert_eq!(state(&said), ProcessState::PartShipped);
    assert_eq!(found(&said).unwrap(), "4.00 USD paid of invoice `I-1` and 1.00 USD open", "at once, as it is named");
    said.push(paid("P-2", Some("I-1"), 100));
    assert_eq!(found(&said), None);
    said.extend([confirmed("S-2", [5, 4]), invoice("I-2", [5, 4], 900)]);
    assert_eq!((found(&said), state(&said)), (None, ProcessState::Invoiced), "of the second nothing is paid yet");
    said.push(paid("P-3", Some("I-2"), 899));
    assert_eq!(found(&said).unwrap(), "8.99 USD paid of invoice `I-2` and 0.01 USD open");
    // The payment is heard before what it is for.
    said.swap(2, 3);
    assert_eq!(found(&said).unwrap(), "8.99 USD paid of invoice `I-2` and 0.01 USD open");
}

#[test]
fn a_payment_that_is_too_small_stays_somebodys_while_goods_come_back_and_after_they_are_credited() {
    let mut said = with(&[paid("P-1", Some("I-1"), 1_000), Event::ReturnRequested(goods("R-1", [1, 0]))]);
    let short = "10.00 USD paid of invoice `I-1` and 4.00 USD open";
    assert_eq!((found(&said).as_deref(), state(&said)), (Some(short), ProcessState::Returning));
    said.push(Event::ReturnReceived(goods("R-1", [1, 0])));
    assert_eq!((found(&said).as_deref(), state(&said)), (Some(short), ProcessState::Returned));
    said.push(memo("M-1", "I-1", [1, 0], -100));
    let less_short = "10.00 USD paid of invoice `I-1` and 3.00 USD open";
    assert_eq!((found(&said).as_deref(), state(&said)), (Some(less_short), ProcessState::Credited));
    said.push(paid("P-2", Some("I-1"), 300));
    assert_eq!((found(&said), state(&said)), (None, ProcessState::Credited));

    let on_account = with(&[paid("P-1", None, 1_000), Event::ReturnRequested(goods("R-1", [1, 0]))]);
    assert_eq!(found(&on_account).unwrap(), "10.00 USD paid of the order and 4.00 USD open");
}

/// What is found where the first part of the order is invoiced with 5.00, these things are said
/// then, and the rest of it is invoiced with 9.00.
fn found_of_two(more: &[Event]) -> Option<String> {
    let first = [accepted(), confirmed("S-1", [5, 0]), invoice("I-1", [5, 0], 500)];
    let second = [confirmed("S-2", [5, 4]), invoice("I-2", [5, 4], 900)];
    let said = [first.as_slice(), more, second.as_slice()].concat();
    assert_eq!(state(&said), ProcessState::Invoiced);
    found(&said)
}

#[test]
fn what_names_no_invoice_is_for_one_after_the_other_and_an_invoice_of_which_nothing_is_paid_is_not_told() {
    assert_eq!(found_of_two(&[paid("P-1", None, 500)]), None, "the first is paid, and of the second nothing");
    let rest_on_account = [paid("P-1", Some("I-1"), 400), paid("P-2", None, 100)];
    assert_eq!(found_of_two(&rest_on_account), None);
    // A credit memo that does not say what it corrects.
    let rest_credited = [paid("P-1", Some("I-1"), 400), invoice("M-1", [0, 0], -100)];
    assert_eq!(found_of_two(&rest_credited), None);

    let into_the_second = Some("5.01 USD paid of the order and 8.99 USD open".to_owned());
    assert_eq!(found_of_two(&[paid("P-1", None, 501)]), into_the_second);
    assert_eq!(found_of_two(&[paid("P-1", Some("I-1"), 501)]), into_the_second);
    let not_the_first = Some("4.99 USD paid of the order and 9.01 USD open".to_owned());
    assert_eq!(found_of_two(&[paid("P-1", None, 499)]), not_the_first);
    // What is paid by name in part is paid first.
    let by_name = [paid("P-1", Some("I-2"), 800), paid("P-2", None, 50)];
    assert_eq!(found_of_two(&by_name).unwrap(), "8.50 USD paid of invoice `I-2` and 0.50 USD open");
}

#[test]
fn what_is_taken_back_of_several_invoices_is_told_and_what_was_paid_again_is_not() {
    let mut said = vec![accepted(), confirmed("S-1", [5, 0]), invoice("I-1", [5, 0], 500)];
    said.extend([confirmed("S-2", [5, 4]), invoice("I-2", [5, 4], 900)]);
    let then = |more: &[Event]| found(&[said.as_slice(), more].concat());
    let on_account = [paid("P-1", None, 1_400), paid("D-1", None, -900)];
    assert_eq!(then(&on_account).unwrap(), "5.00 USD paid of the order and 9.00 USD open");
    let by_name = [paid("P-1", Some("I-1"), 500), paid("P-2", Some("I-2"), 900), paid("D-1", Some("I-1"), -500)];
    assert_eq!(then(&by_name).unwrap(), "9.00 USD paid of the order and 5.00 USD open");
    let again = [paid("P-1", None, 500), paid("D-1", None, -500), paid("P-2", None, 500)];
    assert_eq!(found_of_two(&again), None);
}

proptest! {
    #[test]
    fn only_an_invoice_that_is_paid_in_part_is_told_whatever_is_paid_whole_by_name_or_on_account(
        invoices in proptest::collection::vec((2..900_i64, any::<bool>()), 1..6),
        whole in 0..6_usize,
        part in 0..900_i64,
        keys in proptest::collection::vec(any::<u32>(), 11),
    ) {
        let (mut events, mut on_account) = (Vec::new(), Vec::new());
        for (index, (total, is_named)) in invoices.iter().enumerate() {
            let number = format!("I-{}", index + 1);
            let counts = if index == 0 { [10, 4] } else { [0, 0] };
            events.push(invoice(&number, counts, *total));
            if *is_named {
                events.push(paid(&format!("P-{number}"), Some(&number), *total));
            } else {
                on_account.push(*total);
            }
        }
        // So many of those that nobody names, and a part of the next one.
        let part = on_account.get(whole).map_or(0, |next| part % next);
        let amount = on_account.iter().take(whole).sum::<i64>() + part;
        if amount > 0 {
            events.push(paid("P-0", None, amount));
        }
        prop_assert!(events.len() <= keys.len());
        let mut said: Vec<(u32, Event)> = keys.into_iter().zip(events).collect();
        said.sort_by_key(|(key, _)| *key);
        let shipped = [accepted(), confirmed("S-1", [10, 4])].into_iter();
        let said: Vec<Event> = shipped.chain(said.into_iter().map(|(_, event)| event)).collect();
        let told = found(&said);
        prop_assert_eq!(told.is_some(), part > 0, "{:?}", told);
    }
}

#[test]
fn where_parts_are_agreed_nobody_is_told_of_one_and_the_word_has_to_be_one_that_is_there() {
    let short = with(&[paid("P-1", Some("I-1"), 1_000)]);
    let too_much = with(&[paid("P-1", Some("I-1"), 1_500)]);
    let expected = STANDARD.replace("part_payments = \"told\"", "part_payments = \"expected\"");
    let unsaid = STANDARD.replace("part_payments = \"told\"", "");
    assert!(expected != STANDARD && unsaid != STANDARD);
    let codes = |process: &str| [&short, &too_much].map(|said| by(process, said).map(|concern| concern.code));
    assert_eq!(codes(expected.as_str()), [None, Some("paid-too-much")]);
    assert_eq!(codes(unsaid.as_str()), [Some("paid-too-little"), Some("paid-too-much")]);
    let wrong = STANDARD.replace("part_payments = \"told\"", "part_payments = \"sometimes\"");
    let error = Process::load(&SourceFile { name: "process.toml", text: &wrong }).unwrap_err().to_string();
    assert!(error.contains("`part_payments` is `sometimes`; expected one of `told`, `expected`"), "{error}");
}

#[test]
fn invoices_that_an_earlier_version_counted_are_paid_on_account() {
    let mut before = after(&shipped_and_invoiced()).0;
    before.money.invoices.clear();
    let text = serde_json::to_string(&before).unwrap();
    assert!(!text.contains("invoices"), "{text}");
    let before: Progress = serde_json::from_str(&text).unwrap();
    let process = Process::standard().unwrap();
    let Step::Applied { after, .. } = apply(&process, &before, &paid("P-1", Some("I-1"), 1_000)) else { panic!() };
    assert_eq!(process.contradiction(&after).unwrap().found, "10.00 USD paid of the order and 4.00 USD open");
}

#[test]
fn who_follows_an_order_again_that_an_earlier_version_followed_counts_as_that_did() {
    let said = with(&[paid("P-1", Some("I-1"), 1_400), paid("D-1", Some("I-1"), -1_400)]);
    let now = after(&said).0;
    let mut then = now.clone();
    then.money.invoices.clear();
    then.money.taken_back_minor = 0;
    let mut again = now.clone();
    again.as_counted_in(&then);
    assert!(again == then && again != now);
    let mut again = now.clone();
    again.as_counted_in(&now);
    assert_eq!(again, now, "nothing is left out of what this version counted");
}

// --- advices ---

fn line(invoice: &str, minor: i64, adjustment: Option<i64>) -> RemittanceLine {
    RemittanceLine {
        invoice_number: invoice.to_owned(),
        paid: money(minor),
        adjustment: adjustment.map(money),
        adjustment_reason: adjustment.map(|_| "59".to_owned()),
    }
}

fn advice(reference: &str, lines: Vec<RemittanceLine>) -> Event {
    Event::RemittanceReceived(Remittance {
        reference: reference.to_owned(),
        payer: Customer { id: "C-1".to_owned(), name: None, email: None, phone: None },
        total: money(lines.iter().map(|line| line.paid.minor).sum()),
        lines,
        pays_on: None,
        extensions: vec![],
    })
}

/// What is found of the last advice; nothing where it is as invoiced.
fn advised(before: &[Event], advice: &Event) -> Vec<String> {
    let Step::Applied { concerns, .. } = then(before, advice) else { panic!("it does not count") };
    assert!(concerns.iter().all(|concern| concern.code == "advised-otherwise"), "{concerns:?}");
    concerns.into_iter().map(|concern| concern.found).collect()
}

#[test]
fn an_advice_of_what_is_invoiced_moves_nothing_and_asks_nobody() {
    let invoiced = shipped_and_invoiced();
    let whole = advice("R-1", vec![line("I-1", 1_400, None)]);
    assert_eq!(advised(&invoiced, &whole), Vec::<String>::new());
    let said = [invoiced.as_slice(), &[whole]].concat();
    let (progress, codes) = after(&said);
    assert_eq!((progress.state, codes), (ProcessState::Invoiced, vec![]));
    assert_eq!((progress.money.paid_minor, progress.money.open_minor()), (0, 1_400), "the money is the bank's word");
    assert_eq!(progress.money.invoices["I-1"].advised_minor, 1_400);
    assert_eq!(state(&[said.as_slice(), &[paid("P-1", Some("I-1"), 1_400)]].concat()), ProcessState::Settled);
    assert_eq!(found(&said), None);

    // In two lines, with a memo that is named by itself, or with what the memo leaves.
    let in_two = advice("R-1", vec![line("I-1", 1_000, None), line("I-1", 400, None)]);
    assert_eq!(advised(&invoiced, &in_two), Vec::<String>::new());
    let credited = [invoiced.as_slice(), &[memo("M-1", "I-1", [0, 0], -100)]].concat();
    for lines in [
        vec![line("I-1", 1_400, None), line("M-1", -100, Some(-100))],
        vec![line("I-1", 1_400, None), line("M-1", -100, None)],
        vec![line("I-1", 1_300, None)],
    ] {
        assert_eq!(advised(&credited, &advice("R-1", lines)), Vec::<String>::new());
    }
    let nothing_taken_off = advice("R-1", vec![line("I-1", 1_400, Some(0))]);
    assert_eq!(advised(&invoiced, &nothing_taken_off), Vec::<String>::new());
}

#[test]
fn an_advice_of_something_else_than_is_invoiced_is_told_with_both_amounts() {
    let invoiced = shipped_and_invoiced();
    for (lines, expected) in [
        (vec![line("I-1", 1_300, None)], "13.00 USD of invoice `I-1` advised by `R-1`"),
        (vec![line("I-1", 1_401, None)], "14.01 USD of invoice `I-1` advised by `R-1`"),
        (
            vec![line("I-1", 1_300, Some(-100))],
            "13.00 USD of invoice `I-1` advised by `R-1`, with an adjustment of -1.00 USD (59)",
        ),
        (
            vec![line("I-1", 1_400, Some(-100))],
            "14.00 USD of invoice `I-1` advised by `R-1`, with an adjustment of -1.00 USD (59)",
        ),
    ] {
        assert_eq!(advised(&invoiced, &advice("R-1", lines)), [expected]);
    }
    // Of two halves the first is told, and the second makes it whole; a third is too much.
    let half = |reference| advice(reference, vec![line("I-1", 700, None)]);
    assert_eq!(advised(&invoiced, &half("R-1")), ["7.00 USD of invoice `I-1` advised by `R-1`"]);
    let first = [invoiced.as_slice(), &[half("R-1")]].concat();
    assert_eq!(advised(&first, &half("R-2")), Vec::<String>::new());
    let both = [first.as_slice(), &[half("R-2")]].concat();
    assert_eq!(advised(&both, &half("R-3")), ["21.00 USD of invoice `I-1` advised by `R-3`"]);
    assert_eq!(then(&both, &half("R-2")), Step::Again);
    assert_eq!(code(&then(&both, &advice("R-2", vec![line("I-1", 701, None)]))), "said-otherwise");

    let mut in_euro = advice("R-9", vec![line("I-1", 1_400, None)]);
    if let Event::RemittanceReceived(advice) = &mut in_euro {
        advice.lines[0].paid.currency = Currency::parse("EUR").unwrap();
    }
    assert_eq!(code(&then(&invoiced, &in_euro)), "other-currency");
}

#[test]
fn an_advice_that_nothing_is_paid_is_one_and_one_after_the_money_says_that_it_is_here() {
    let invoiced = shipped_and_invoiced();
    let nothing = advice("R-1", vec![line("I-1", 0, Some(-1_400))]);
    assert_eq!(
        advised(&invoiced, &nothing),
        ["0.00 USD of invoice `I-1` advised by `R-1`, with an adjustment of -14.00 USD (59)"]
    );
    assert!(!after(&invoiced).0.has_advices());
    assert!(after(&[invoiced.as_slice(), &[nothing]].concat()).0.has_advices());

    let expected = |before: &[Event]| {
        let Step::Applied { mut concerns, .. } = then(before, &advice("R-1", vec![line("I-1", 1_300, None)])) else {
            panic!("it does not count")
        };
        concerns.remove(0).expected
    };
    assert!(expected(&invoiced).ends_with("the money itself is compared when it comes"));
    let settled = with(&[paid("P-1", Some("I-1"), 1_400)]);
    assert_eq!(
        expected(&settled),
        "14.00 USD, which is invoiced, and all of it is paid already: ask the payer what the advice is of"
    );
}

#[test]
fn an_advice_of_an_invoice_that_does_not_count_yet_waits_for_it() {
    let early = advice("R-1", vec![line("I-1", 1_400, None)]);
    let shipped = [accepted(), confirmed("S-1", [10, 4])];
    let Step::Early { waits_for } = then(&shipped, &early) else { panic!("it does not wait") };
    assert_eq!(waits_for, "invoice.posted `I-1`, which the advice is of");
    // A payment that names it does not make it one.
    let paid_before = [shipped.as_slice(), &[paid("P-1", Some("I-1"), 1_400)]].concat();
    assert_eq!(code(&then(&paid_before, &early)), "early");
    let posted = [paid_before.as_slice(), &[invoice("I-1", [10, 4], 1_400)]].concat();
    assert_eq!(advised(&posted, &early), Vec::<String>::new());
}
