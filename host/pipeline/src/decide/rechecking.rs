//! Credit once more, before picking: when a warehouse has set stock aside for an order.
//!
//! An order was released within its account's limit, and may wait for days until there is stock. By
//! then finance may know of receivables that are overdue, or of a limit that is lower. So the rule is
//! asked again with the figures of now, and what it finds is for people: nothing is released, held
//! or stopped by itself, since by then the warehouse has the order.
//!
//! Only a warehouse that tells of allocations has an order looked at so, each time that one counts while
//! something of the order is still to leave: also for the rest of one of which a part has gone.
//!
//! What a person let pass a little while ago stays quiet, as it does in a review, and so does what people
//! have an open exception about.

use std::collections::BTreeMap;

use portreeve_authority::rules::{Account, Finding};
use portreeve_model::{Currency, Event, Instant, Order, OrderId, ProcessState};
use portreeve_sandbox::RecordedLookup;
use portreeve_store::StoreError;
use portreeve_store::contract::{NewException, OrderEventKind, PayloadRef};

use super::DecideError;
use super::crediting::query;
use super::facts::{RuleRows, credit_account_alone};
use super::following::Moved;
use super::reading::{Mapped, Reading, for_a_person};
use super::validating::Standings;
use crate::Pipeline;
use crate::decision::{CreditRecord, FindingRecord};
use crate::tables::Tables;

/// The code of an exception about an order whose credit would not release it any more.
const CREDIT_BEFORE_PICKING: &str = "credit-before-picking";

/// What is known of the credit of an order that is going to be picked.
pub(super) struct Rechecked {
    pub(super) asked: Vec<RecordedLookup>,
    pub(super) credit: CreditRecord,
    account: Account,
    currency: Currency,
    /// The codes of what speaks against it and people do not know.
    against: Vec<&'static str>,
}

/// By order, of those that a batch may set stock aside for.
pub(super) type Rechecks = BTreeMap<OrderId, Rechecked>;

/// An order whose account is known.
struct Asked {
    order: OrderId,
    currency: Currency,
    account: Account,
    rows: Vec<RecordedLookup>,
}

impl Pipeline {
    /// Looks at the credit of the orders for which a batch may set stock aside; of all of them at once.
    pub(super) async fn rechecks(
        &self,
        mapped: &[Mapped],
        standings: &Standings,
        tables: &Tables,
    ) -> Result<Rechecks, DecideError> {
        let mut rechecks = Rechecks::new();
        if !self.rules.rechecks_credit() {
            return Ok(rechecks);
        }
        let asked = self.accounts_of(mapped, standings, tables).await?;
        if asked.is_empty() {
            return Ok(rechecks);
        }
        let now = self.clock.now();
        let queries: Vec<_> = asked.iter().filter_map(|asked| query(&asked.account)).collect();
        let mut reserved = match queries.is_empty() {
            true => Vec::new(),
            false => self.store.credit_reserved(queries).await?,
        }
        .into_iter();
        for Asked { order, currency, account, rows } in asked {
            let reserved_minor = query(&account).and_then(|_| reserved.next()).unwrap_or(0);
            let mut findings = self.rules.check_credit_again(currency, &account, reserved_minor, now);
            if !findings.is_empty() {
                self.leave_out_known(order, &mut findings).await?;
            }
            let against = findings.iter().map(|finding| finding.code).collect();
            let credit = CreditRecord { reserved_minor };
            rechecks.insert(order, Rechecked { asked: rows, credit, account, currency, against });
        }
        Ok(rechecks)
    }

    /// The accounts of those orders. Of one that was erased nobody knows the customer any more, and of one
    /// that is damaged people hear by what follows it.
    async fn accounts_of(
        &self,
        mapped: &[Mapped],
        standings: &Standings,
        tables: &Tables,
    ) -> Result<Vec<Asked>, DecideError> {
        let places: BTreeMap<OrderId, PayloadRef> = mapped
            .iter()
            .filter_map(|mapped| {
                let order = mapped.follows()?;
                let standing = standings.of(order);
                // What waits may be an allocation, whose turn comes with this.
                let may_allocate = mapped.allocates() || standing.early > 0;
                standing.decided.filter(|_| may_allocate).map(|(_, event)| (order, event))
            })
            .collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.store.payloads(places.values().copied().collect()).await?;
        let answer = |table: &str, key: &str| tables.answer(table, key);
        let mut asked = Vec::new();
        for (order, kept) in places.into_keys().zip(opened) {
            let bytes = match kept {
                Ok((bytes, _)) => bytes,
                Err(StoreError::Erased(_) | StoreError::Damaged(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let Ok(Event::OrderCreated(own)) = Event::from_json(&bytes) else { continue };
            // It had a value when it was decided.
            let Ok(value) = own.value() else { continue };
            let mut rows = RuleRows::of(&answer);
            let account = credit_account_alone(&own, &mut rows);
            asked.push(Asked { order, currency: value.currency, account, rows: rows.asked().collect() });
        }
        Ok(asked)
    }

    async fn leave_out_known(&self, order: OrderId, findings: &mut Vec<Finding>) -> Result<(), DecideError> {
        let Some(trail) = self.store.order_trail(order).await? else { return Ok(()) };
        let is_open = trail.exceptions.iter().any(|open| open.code == CREDIT_BEFORE_PICKING && open.closed.is_none());
        let (now, grace_ms) = (self.clock.now(), self.rules.release_grace_ms());
        findings.retain(|finding| {
            let passed = trail.holds.iter().filter(|hold| hold.owner == "policy" && hold.reason == finding.code);
            let mut passed = passed.filter_map(|hold| hold.closed.as_ref()).filter(|ended| ended.who.is_some());
            !is_open && !passed.any(|ended| (ended.at..ended.at.plus_ms(grace_ms)).contains(&now))
        });
        Ok(())
    }

    /// What the rule finds on the rows and the clock of then, as a record has it.
    pub(crate) fn credit_found_again(
        &self,
        order: &Order,
        rows: &mut RuleRows<'_>,
        (credit, at): (CreditRecord, Instant),
    ) -> Vec<FindingRecord> {
        let Ok(value) = order.value() else { return Vec::new() };
        let account = credit_account_alone(order, rows);
        let found = self.rules.check_credit_again(value.currency, &account, credit.reserved_minor, at);
        found.iter().map(recorded).collect()
    }

    /// What speaks against it, by the clock of the decision that its record names.
    pub(super) fn found_before_picking(&self, rechecked: &Rechecked, now: Instant) -> Vec<Finding> {
        let Rechecked { credit, account, currency, against, .. } = rechecked;
        let mut found = self.rules.check_credit_again(*currency, account, credit.reserved_minor, now);
        found.retain(|finding| against.contains(&finding.code));
        found
    }

    /// What people have to know of it.
    pub(super) fn before_picking(&self, findings: &[Finding]) -> Option<NewException> {
        let (queue, _) = self.rules.hold_on_review(findings.first()?);
        let found: Vec<String> =
            findings.iter().map(|finding| format!("found {}, expected {}", finding.found, finding.expected)).collect();
        let detail = format!(
            "{}: the order was released before that and its stock is set aside now, so have the warehouse stop it, or let it be picked and close this",
            found.join("; ")
        );
        Some(for_a_person(&queue, CREDIT_BEFORE_PICKING, &detail))
    }
}

/// A finding as a record has it: it holds nothing by itself.
pub(super) fn recorded(finding: &Finding) -> FindingRecord {
    FindingRecord { consequence: "exception".to_owned(), ..FindingRecord::from(finding) }
}

/// Whether stock was set aside for an order of which something is still to leave: for the first of it, or
/// for what is left when a part has gone.
pub(super) fn is_allocated(moved: &[Moved]) -> bool {
    use ProcessState::{Accepted, Allocated, Packed, PartShipped, Picked};
    let allocated = OrderEventKind::Allocated.as_str();
    let is_open = |state: ProcessState| matches!(state, Accepted | Allocated | Picked | Packed | PartShipped);
    moved.iter().any(|moved| moved.event == allocated && is_open(moved.to))
}

impl Mapped {
    /// Whether it says that stock was set aside.
    fn allocates(&self) -> bool {
        matches!(&self.outcome, Ok(Reading::Later(later)) if later.kind() == OrderEventKind::Allocated)
    }
}
