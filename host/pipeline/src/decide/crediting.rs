//! What orders take of credit accounts: what the store says when the batch is weighed, and
//! what the batch is going to release up to here. The transaction of the release counts
//! once more, and fails where this came out too little.

use std::collections::BTreeMap;

use portreeve_authority::rules::{Account, CreditRoom};
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
fn account_digest(account: &Account) -> Digest {
    Digest::of_parts(&[b"credit-account", account.name.as_bytes()])
}

/// The question for what was released on an account; none where there are no figures.
pub(crate) fn query(account: &Account) -> Option<CreditQuery> {
    let facts = account.facts.found()?;
    Some(CreditQuery { account: account_digest(account), currency: facts.currency, since: facts.since() })
}

/// What a release takes within its room.
pub(crate) fn within(account: &Account, room: &CreditRoom, amount: Money) -> CreditReservation {
    let (most_minor, since) = (Some(room.most_minor), room.since);
    CreditReservation { account: account_digest(account), amount, most_minor, since }
}

/// What a release takes that a person answers for: it counts for all that come after.
pub(crate) fn answered_for(account: &Account, amount: Money, now: Instant) -> CreditReservation {
    CreditReservation { account: account_digest(account), amount, most_minor: None, since: now }
}

impl Pipeline {
    /// Asks the store about the accounts of a batch, once each.
    pub(super) async fn reserved(&self, orders: &[Scored]) -> Result<Reserved, DecideError> {
        let found = orders.iter().filter_map(|order| query(order.validated.account.as_ref()?));
        let queries: BTreeMap<(Digest, String), CreditQuery> =
            found.map(|query| ((query.account, query.currency.code().to_owned()), query)).collect();
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
        let reserved_minor = query(account).map_or(0, |query| reserved.of(query.account, query.currency.code()));
        let checked = self.rules.check_credit(order.value, account, reserved_minor, now);
        order.findings.extend(checked.findings);
        Credit {
            reservation: checked.room.map(|room| within(account, &room, order.value)),
            record: Some(CreditRecord { reserved_minor }),
        }
    }
}
