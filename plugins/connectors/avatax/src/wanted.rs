//! What a message wants: which transaction, and by what it is known again.

use portreeve_sdk::connector::*;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Effect;
use crate::answer::{Stated, Transaction};

/// A message, as far as it is looked at.
pub(crate) struct Wanted {
    pub(crate) code: String,
    pub(crate) document_type: String,
    /// Whether the transaction is committed with its creation.
    pub(crate) commits: bool,
    /// The bytes that are posted.
    pub(crate) model: Vec<u8>,
    /// What the transaction is of; of a void nothing is said but its number.
    stated: Option<Stated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Model {
    #[serde(rename = "type")]
    document_type: String,
    code: String,
    description: String,
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
    description: Option<String>,
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
            Effect::Commit | Effect::Void => change(body, effect),
        };
        read.filter(|wanted| is_segment(&wanted.code)).ok_or_else(|| {
            Failure::permanent("the message is no transaction as the transformer `avatax-transactions` renders it")
        })
    }

    /// A transaction that there is, where it has type, currency, amount and tax of the one that
    /// is wanted.
    ///
    /// # Errors
    /// When it is another one.
    pub(crate) fn is_it(&self, found: Transaction) -> Result<Transaction, Failure> {
        if found.document_type() != Some(self.document_type.as_str()) {
            return Err(found.another());
        }
        found.compared(self.stated.as_ref())
    }
}

/// Whether a code can be a part of a path. Dots alone are a way out of it, however escaped: what
/// is created under them could never be looked up, and a commit would go to another resource.
pub(crate) fn is_segment(code: &str) -> bool {
    !matches!(code, "" | "." | "..")
}

fn creation(body: &[u8]) -> Option<Wanted> {
    let Model { document_type, code, description, commit, lines } = serde_json::from_slice(body).ok()?;
    let amounts = lines.iter().map(|line| money::decimal(line.amount.get()).ok()).collect::<Option<Vec<_>>>()?;
    let stated = Stated::read(&description).filter(|stated| stated.is_of(&amounts))?;
    Some(Wanted { code, document_type, commits: commit, model: body.to_vec(), stated: Some(stated) })
}

fn change(body: &[u8], effect: Effect) -> Option<Wanted> {
    let Change { code, document_type, description, model } = serde_json::from_slice(body).ok()?;
    let commits = effect == Effect::Commit;
    let stated = description.as_deref().and_then(Stated::read);
    if stated.is_some() != commits {
        return None;
    }
    Some(Wanted { code, document_type, commits, model: model.get().as_bytes().to_vec(), stated })
}
