//! What orders take of credit accounts: what the store says when the batch is weighed, and
//! what the batch is going to release up to here. The transaction of the release counts
//! once more, and fails where this came out too little.

use std::collections::BTreeMap;

use portreeve_authority::rules::{CreditFacts, CreditRoom};
use portreeve_model::{Digest, Instant, Money};
use portreeve_store::contract::{CreditQuery, CreditReservation, Decided, DecisionCommit};

use super::DecideError;
use super::scoring::Scored;
use super::validating::Validated;
use crate::Pipeline;
use crate::decision::CreditRecord;

/// What releases took of the accounts of a batch that their figures do not know.
#[derive(Default)]
pub(super) struct Reserved(BTreeMap<(Digest, String), i64>);

/// What was found about an order's credit.
#[derive(Default)]
pub(super) struct Credit {
    /// What its release takes; none where it has no account.
    pub(super) reservation: Option<CreditReservation>,
    /// What the finding was made of, beside the account's row.
    pub(super) record: Option<CreditRecord>,
}

impl Reserved {
    fn of(&self, account: Digest, currency: &str) -> i64 {
        self.0.get(&(account, currency.to_owned())).copied().unwrap_or(0)
    }

    /// Counts what a decision takes, if it releases its order.
    pub(super) fn released(&mut self, decision: Option<&DecisionCommit>) {
        let Some(Decided::Order(order)) = decision.map(|decision| &decision.decided) else { return };
        let Some(CreditReservation { account, amount, .. }) = &order.credit else { return };
        let reserved = self.0.entry((*account, amount.currency.code().to_owned())).or_default();
        *reserved = reserved.saturating_add(amount.minor.max(0));
    }
}

/// How the store names an account.
pub(crate) fn account_digest(account: &str) -> Digest {
    Digest::of_parts(&[b"credit-account", account.as_bytes()])
}

/// The question for what was released on an account.
pub(crate) fn query(facts: &CreditFacts) -> CreditQuery {
    CreditQuery { account: account_digest(&facts.account), currency: facts.currency, since: facts.since() }
}

/// What a release takes; `most` is none where a person answers for it.
pub(crate) fn reservation(room: &CreditRoom, amount: Money, bound: bool) -> CreditReservation {
    CreditReservation {
        account: account_digest(&room.account),
        amount,
        most_minor: bound.then_some(room.most_minor),
        since: room.since,
    }
}

impl Pipeline {
    /// Asks the store about the accounts of a batch, once each.
    pub(super) async fn reserved(&self, orders: &[Scored]) -> Result<Reserved, DecideError> {
        let found = orders.iter().filter_map(|order| order.validated.account.as_ref()?.found());
        let queries: BTreeMap<(Digest, String), CreditQuery> =
            found.map(query).map(|query| ((query.account, query.currency.code().to_owned()), query)).collect();
        if queries.is_empty() {
            return Ok(Reserved::default());
        }
        let reserved = self.store.credit_reserved(queries.values().cloned().collect()).await?;
        Ok(Reserved(queries.into_keys().zip(reserved).collect()))
    }

    /// Adds what speaks against an order's credit to its findings, with what was released
    /// before it.
    pub(super) fn credit(&self, order: &mut Validated, reserved: &Reserved, now: Instant) -> Credit {
        let Some(account) = &order.account else { return Credit::default() };
        let facts = account.found();
        let reserved_minor =
            facts.map_or(0, |facts| reserved.of(account_digest(&facts.account), facts.currency.code()));
        let checked = self.rules.check_credit(order.value, account, reserved_minor, now);
        order.findings.extend(checked.findings);
        Credit {
            reservation: checked.room.map(|room| reservation(&room, order.value, true)),
            record: Some(CreditRecord { reserved_minor }),
        }
    }
}
