//! Advised: what a payer says a payment is for, such as an X12 820.
//!
//! An advice settles nothing: the money is the bank's word, or the processor's. It names invoices, and
//! a customer pays many of them at once, whose orders may be as many. So it is taken apart by the
//! orders that its invoices are of, and stands in the story of each: the document itself in that of
//! the first, and in the others' what the host says there of its own (`own_word`), in the transaction
//! that decides on the document. Each order then compares it with what was invoiced of it
//! (`process/progress/paying.rs`), and people hear only where the two differ.
//!
//! The danger is money that is taken for another's. So an advice that does not add up, or names an
//! invoice that no order has or more than one, is a person's as a whole, and nothing of it counts.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::event::{Remittance, RemittanceLine};
use portreeve_model::{Event, Instant, Money, OrderId};
use portreeve_store::Journaled;
use portreeve_store::contract::{JournalEntry, OrderName};

use crate::Pipeline;
use crate::own_word::{OwnWord, Unsaid};
use crate::process::Concern;
use crate::route::OwnChannel;

/// Invoices that are named to a person who has to see to them.
const NAMED_MAX: usize = 8;

/// The invoices that an advice is of, each once.
///
/// # Errors
/// When it names none, or its lines do not make up the payment.
pub(super) fn invoices(advice: &Remittance) -> Result<Vec<OrderName>, Concern> {
    let concern = |code, found: String, expected: &str| Err(Concern { code, found, expected: expected.to_owned() });
    let reference = &advice.reference;
    if advice.lines.is_empty() || advice.lines.iter().any(|line| line.invoice_number.is_empty()) {
        let found = format!("an advice `{reference}` of {} that does not say for which invoice it is", advice.total);
        return concern("advice-without-invoice", found, "the number of one on each line: ask the payer");
    }
    let found = match sum(&advice.lines, advice.total) {
        Some(sum) if sum == advice.total => {
            let numbers: BTreeSet<&str> = advice.lines.iter().map(|line| line.invoice_number.as_str()).collect();
            let name = |number: &str| OrderName::Invoice { number: number.to_owned() };
            return Ok(numbers.into_iter().map(name).collect());
        }
        Some(sum) => format!("an advice `{reference}` of {}, and lines of {sum}", advice.total),
        None => format!("an advice `{reference}` of {}, and lines that cannot be added to that", advice.total),
    };
    concern("advice-sum", found, "lines of one currency that make up the payment: ask the payer")
}

/// The sum of lines; none where one is in another currency, or they are more than can be counted.
fn sum(lines: &[RemittanceLine], total: Money) -> Option<Money> {
    let add = |sum: i64, line: &RemittanceLine| {
        Some(line.paid.minor).filter(|_| line.paid.currency == total.currency).and_then(|paid| sum.checked_add(paid))
    };
    let minor = lines.iter().try_fold(0_i64, add)?;
    Some(Money { minor, currency: total.currency })
}

/// What an advice says of each of its orders, whose invoices are known by now.
///
/// # Errors
/// When an invoice is no order's, or not one order's alone.
pub(super) fn by_order(
    advice: &Remittance,
    known: &BTreeMap<OrderName, Vec<OrderId>>,
) -> Result<BTreeMap<OrderId, Remittance>, Concern> {
    let mut lines: BTreeMap<OrderId, Vec<RemittanceLine>> = BTreeMap::new();
    let (mut unknown, mut several) = (BTreeSet::new(), BTreeSet::new());
    for line in &advice.lines {
        let number = line.invoice_number.as_str();
        let name = OrderName::Invoice { number: number.to_owned() };
        match known.get(&name).map_or(&[][..], Vec::as_slice) {
            [order] => lines.entry(*order).or_default().push(line.clone()),
            [] => {
                unknown.insert(number);
            }
            _ => {
                several.insert(number);
            }
        }
    }
    let reference = &advice.reference;
    let concern = |code, numbers: &BTreeSet<&str>, what: &str, expected: &str| {
        let found = format!("an advice `{reference}` of {}, {what}", listed(numbers));
        Err(Concern { code, found, expected: expected.to_owned() })
    };
    if !unknown.is_empty() {
        let expected = "invoices that were posted to orders here, and nothing of it counts: see whether they are still to come, and retry then, or ask the payer";
        return concern("unknown-invoice", &unknown, "which no order has", expected);
    }
    if !several.is_empty() {
        let expected = "one, and nothing of it counts: ask the payer which is meant";
        return concern("ambiguous-invoice", &several, "which more than one order has", expected);
    }
    if lines.len() == 1 {
        return Ok(lines.into_keys().map(|order| (order, advice.clone())).collect());
    }
    Ok(lines.into_iter().map(|(order, lines)| (order, part(advice, lines))).collect())
}

/// The part of an advice that has these lines. What it says more of other invoices stays with them.
fn part(advice: &Remittance, lines: Vec<RemittanceLine>) -> Remittance {
    let numbers: BTreeSet<&str> = lines.iter().map(|line| line.invoice_number.as_str()).collect();
    let others = advice.lines.iter().map(|line| line.invoice_number.as_str());
    let others: BTreeSet<&str> = others.filter(|number| !numbers.contains(number)).collect();
    let is_others = |name: &str| name.rsplit_once(':').is_some_and(|(_, number)| others.contains(number));
    let extensions = advice.extensions.iter().filter(|extension| !is_others(&extension.name));
    // The whole was added up, so a part of it can be.
    let total = sum(&lines, advice.total).unwrap_or(advice.total);
    Remittance {
        reference: advice.reference.clone(),
        payer: advice.payer.clone(),
        total,
        lines,
        pays_on: advice.pays_on,
        extensions: extensions.cloned().collect(),
    }
}

/// The first of these invoices, for people.
fn listed(numbers: &BTreeSet<&str>) -> String {
    let first: Vec<String> = numbers.iter().take(NAMED_MAX).map(|number| format!("`{number}`")).collect();
    let what = if numbers.len() == 1 { "invoice" } else { "invoices" };
    match numbers.len().saturating_sub(NAMED_MAX) {
        0 => format!("{what} {}", first.join(", ")),
        more => format!("{what} {} and {more} more", first.join(", ")),
    }
}

impl Pipeline {
    /// The host's own words on what an advice says of these other orders, as an input that commits with
    /// the decision on it.
    pub(super) fn advice_said(
        &self,
        others: &[Remittance],
        document: &Journaled,
        now: Instant,
    ) -> Result<JournalEntry, Unsaid> {
        let events: Vec<Event> = others.iter().cloned().map(Event::RemittanceReceived).collect();
        let key = document.position().0.to_string();
        // Whoever sees to the channel gets what cannot be decided.
        let word = OwnWord { channel: OwnChannel::Advices, by: document.channel().as_str(), key };
        word.of_each(&events, &self.host, now)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Currency;
    use portreeve_model::value::{Customer, Extension};

    use super::*;

    const FIRST: &str = "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f10";
    const SECOND: &str = "6f1b1a0e-6f3c-5c1f-9a57-0d1c5a7e2f11";

    fn money(minor: i64, currency: &str) -> Money {
        Money { minor, currency: Currency::parse(currency).unwrap() }
    }

    fn advice(total: i64, lines: &[(&str, i64, &str)]) -> Remittance {
        let line = |(invoice, minor, currency): &(&str, i64, &str)| RemittanceLine {
            invoice_number: (*invoice).to_owned(),
            paid: money(*minor, currency),
            adjustment: None,
            adjustment_reason: None,
        };
        let discount = |invoice: &str| Extension { name: format!("x12:RMR06:{invoice}"), value: "1".to_owned() };
        Remittance {
            reference: "R-1".to_owned(),
            payer: Customer { id: "C-1".to_owned(), name: None, email: None, phone: None },
            total: money(total, "USD"),
            lines: lines.iter().map(line).collect(),
            pays_on: None,
            extensions: vec![
                discount("A"),
                discount("B"),
                Extension { name: "x12:REF".to_owned(), value: "7".to_owned() },
            ],
        }
    }

    fn of(orders: &[(&str, &[&str])]) -> BTreeMap<OrderName, Vec<OrderId>> {
        let order = |id: &&str| OrderId::parse(id).unwrap();
        let name = |number: &str| OrderName::Invoice { number: number.to_owned() };
        orders.iter().map(|&(invoice, ids)| (name(invoice), ids.iter().map(order).collect())).collect()
    }

    #[test]
    fn an_advice_that_names_no_invoice_or_does_not_add_up_is_a_persons() {
        let code =
            |total, lines: &[(&str, i64, &str)]| invoices(&advice(total, lines)).err().map(|concern| concern.code);
        assert_eq!(code(0, &[]), Some("advice-without-invoice"));
        assert_eq!(code(3, &[("A", 1, "USD"), ("", 2, "USD")]), Some("advice-without-invoice"));
        assert_eq!(code(4, &[("A", 1, "USD"), ("B", 2, "USD")]), Some("advice-sum"));
        assert_eq!(code(3, &[("A", 1, "USD"), ("B", 2, "EUR")]), Some("advice-sum"));
        assert_eq!(code(3, &[("A", i64::MAX, "USD"), ("B", 1, "USD")]), Some("advice-sum"));
        let named = invoices(&advice(3, &[("B", 1, "USD"), ("A", 1, "USD"), ("B", 1, "USD")])).unwrap();
        assert_eq!(named, of(&[("A", &[]), ("B", &[])]).into_keys().collect::<Vec<_>>(), "each once");
    }

    #[test]
    fn each_order_gets_its_own_lines_and_nothing_that_is_said_of_anothers_invoices() {
        let whole = advice(6, &[("A", 1, "USD"), ("B", 2, "USD"), ("A", 3, "USD")]);
        let parts = by_order(&whole, &of(&[("A", &[FIRST]), ("B", &[SECOND])])).unwrap();
        let shown = |part: &Remittance| {
            let names: Vec<String> = part.extensions.iter().map(|extension| extension.name.clone()).collect();
            (part.lines.len(), part.total.minor, names.join(" "))
        };
        let expected = [(2, 4, "x12:RMR06:A x12:REF".to_owned()), (1, 2, "x12:RMR06:B x12:REF".to_owned())];
        assert_eq!(parts.values().map(shown).collect::<Vec<_>>(), expected);
        let of_one = by_order(&whole, &of(&[("A", &[FIRST]), ("B", &[FIRST])])).unwrap();
        assert_eq!(of_one.into_values().collect::<Vec<_>>(), [whole]);
    }

    #[test]
    fn an_invoice_of_no_order_or_of_several_is_named_and_nothing_counts() {
        let whole = advice(3, &[("A", 1, "USD"), ("B", 2, "USD")]);
        let wrong = by_order(&whole, &of(&[("A", &[FIRST]), ("B", &[])])).unwrap_err();
        assert_eq!(
            (wrong.code, wrong.found.as_str()),
            ("unknown-invoice", "an advice `R-1` of invoice `B`, which no order has")
        );
        let wrong = by_order(&whole, &of(&[("A", &[FIRST, SECOND]), ("B", &[FIRST])])).unwrap_err();
        assert_eq!(wrong.code, "ambiguous-invoice");
        let numbers: Vec<String> = (10..20).map(|number| format!("I-{number}")).collect();
        let lines: Vec<(&str, i64, &str)> = numbers.iter().map(|number| (number.as_str(), 1, "USD")).collect();
        let wrong = by_order(&advice(10, &lines), &BTreeMap::new()).unwrap_err();
        assert!(
            wrong.found.contains("of invoices `I-10`, ") && wrong.found.contains("`I-17` and 2 more, which"),
            "{}",
            wrong.found
        );
    }
}
