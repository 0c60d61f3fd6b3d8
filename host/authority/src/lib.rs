//! Bounded authority: what a plugin's advice may cause.
//!
//! A scorer says "hold this order"; whether anything is held is decided here, by
//! people's written words: a *grant* (who may cause what, under which ceilings,
//! until when) and *policies* in Cedar (conditions that a ceiling cannot express).
//! Both must agree, and the answer explains itself: a [`Verdict`] names the grant,
//! the policies and every clause with what was found and what was required.
//!
//! ```text
//! proposal ─▶ grant's clauses ─▶ ceilings ─▶ budget ─▶ Cedar ─▶ Verdict
//!             who, when, where   narrow or   queue or   allow, without
//!                                fall        release    a single error
//! ```
//!
//! The ladder has four rungs: hold, route, recommend, record only. A proposal never
//! climbs; above a ceiling it is narrowed, or falls to a lower rung that the grant
//! allows and Cedar permits, or is refused, as the grant says. Hold and route both keep
//! the order back, each within a value, minutes and a number per hour of its own.
//!
//! INVARIANT: there is no rung, and no Cedar action, for release, cancel, allocate,
//! re-price or priority. What cannot be said needs no check.
//!
//! Beside it, [`rules`] holds the host's own deterministic rules; they consume no
//! model's budget; [`people`] says what a person may do about what waits. Nothing here reads a file or a clock or keeps a counter: the
//! caller supplies texts, the time and the counters, and reserves the budget in the
//! transaction that commits the effect. [`Authority::decide`] is a pure function, so
//! a decision can be derived again from its record.

mod decide;

mod verdict;

mod grant;

mod policy;

mod known;

mod terms;

mod data;

pub mod people;

pub mod rules;

#[cfg(test)]
mod tests;

pub use data::{DataGrant, Field, Fields, changes_of_data};
pub use decide::{Advice, Authority, Counters, Subject};
pub use grant::{Beyond, BudgetSpent, Grant, HoldCeiling, Hours, RecommendKind, RouteCeiling, Rung};
pub use known::Known;
pub use portreeve_model::ShareCeiling;
pub use portreeve_model::strict::{LoadError, LoadErrors, SourceFile};
pub use terms::{Change, Direction, Term, changes};
pub use verdict::{Clause, Code, Effect, Outcome, Reserve, Verdict};
