//! What a message wants: which transaction, and by what it is known again.

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Effect;
use crate::answer::Transaction;

/// A message, as far as it is looked at.
pub(crate) struct Wanted {
    pub(crate) code: String,
    pub(crate) document_type: String,
    /// Whether the transaction is committed with its creation.
    pub(crate) commits: bool,
    /// The bytes that are posted.
    pub(crate) model: Vec<u8>,
    /// Of a creation, what it has in common with the transaction that it makes.
    sale: Option<Sale>,
}

struct Sale {
    currency: String,
    amounts: Vec<Decimal>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    #[serde(rename = "type")]
    document_type: String,
    code: String,
    currency_code: String,
    commit: bool,
    lines: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    amount: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    code: String,
    document_type: String,
    #[serde(borrow)]
    model: &'a RawValue,
}

impl Wanted {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is none of its kind: then another transformer made it.
    pub(crate) fn read(effect: Effect, body: &[u8]) -> Result<Self, Failure> {
        let read = match effect {
            Effect::Create => creation(body),
            Effect::Commit | Effect::Void => change(body, effect == Effect::Commit),
        };
        read.filter(|wanted| is_segment(&wanted.code)).ok_or_else(|| {
            Failure::permanent("the message is no transaction as the transformer `avatax-transactions` renders it")
        })
    }

    /// Whether a transaction that there is has type, currency and amount of the one that is
    /// wanted. A change to one has none to compare.
    pub(crate) fn is_like(&self, found: &Transaction) -> bool {
        let Some(Sale { currency, amounts }) = &self.sale else { return true };
        found.document_type() == Some(self.document_type.as_str())
            && found.currency_code() == Some(currency.as_str())
            && found.total_amount().is_some_and(|total| sum(amounts) == sum(&[total]))
    }
}

/// Whether a code can be a part of a path. Dots alone are a way out of it, however escaped: what
/// is created under them could never be looked up, and a commit would go to another resource.
pub(crate) fn is_segment(code: &str) -> bool {
    !matches!(code, "" | "." | "..")
}

fn creation(body: &[u8]) -> Option<Wanted> {
    let Model { document_type, code, currency_code, commit, lines } = serde_json::from_slice(body).ok()?;
    let amounts = lines.iter().map(|line| money::decimal(line.amount.get()).ok()).collect::<Option<Vec<_>>>()?;
    let sale = Some(Sale { currency: currency_code, amounts });
    Some(Wanted { code, document_type, commits: commit, model: body.to_vec(), sale })
}

fn change(body: &[u8], commits: bool) -> Option<Wanted> {
    let Change { code, document_type, model } = serde_json::from_slice(body).ok()?;
    Some(Wanted { code, document_type, commits, model: model.get().as_bytes().to_vec(), sale: None })
}

/// The sum in billionths of a major unit, the finest that a decimal has. A message's lines are
/// far too few for their sum not to fit.
fn sum(amounts: &[Decimal]) -> Option<i128> {
    amounts.iter().try_fold(0_i128, |sum, amount| {
        let places = money::SCALE_MAX.checked_sub(amount.scale)?;
        sum.checked_add(i128::from(amount.units).checked_mul(10_i128.checked_pow(u32::from(places))?)?)
    })
}
