//! Collects the causes of a score and the proposals that follow from it.
//!
//! The score is the sum of the signed contributions, clamped to 0 to 10000
//! basis points, so that an assessment always explains itself. The contract's
//! limits on counts are kept here: a scorer can't overrun them by accident.

use crate::types::{Assessment, Hold, HoldScope, Proposal, Reason, Recommendation};

/// The highest score, in basis points.
pub const SCORE_BP_MAX: u16 = 10_000;
/// The contract's limit; the smallest contributions are left out beyond it.
pub const REASONS_MAX: usize = 32;
/// The contract's limit; proposals made later are left out beyond it.
pub const PROPOSALS_MAX: usize = 8;

/// An assessment in the making.
#[derive(Debug, Default)]
pub struct Scorecard {
    reasons: Vec<Reason>,
    proposals: Vec<Proposal>,
    model: Option<String>,
}

impl Scorecard {
    /// No reasons, score 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a cause with its signed contribution in basis points.
    pub fn add(&mut self, code: &str, contribution_bp: i32) {
        self.push(code, contribution_bp, None);
    }

    /// Adds a cause that is about one order line.
    pub fn add_for_line(&mut self, code: &str, contribution_bp: i32, line_number: &str) {
        self.push(code, contribution_bp, Some(line_number.to_owned()));
    }

    /// Adds the cause where it holds; says whether it did.
    pub fn add_if(&mut self, holds: bool, code: &str, contribution_bp: i32) -> bool {
        if holds {
            self.add(code, contribution_bp);
        }
        holds
    }

    /// The score so far: the sum of the contributions, 0 to [`SCORE_BP_MAX`].
    #[must_use]
    pub fn score_bp(&self) -> u16 {
        let sum: i64 = self.reasons.iter().map(|reason| i64::from(reason.contribution_bp)).sum();
        u16::try_from(sum.clamp(0, i64::from(SCORE_BP_MAX))).unwrap_or(SCORE_BP_MAX)
    }

    /// The code of the largest contribution, for a hold's reason.
    #[must_use]
    pub fn main_reason(&self) -> Option<&str> {
        self.reasons.iter().max_by_key(|reason| reason.contribution_bp).map(|reason| reason.code.as_str())
    }

    /// Asks to keep the whole order for some minutes, for one of the reasons.
    pub fn hold_order(&mut self, minutes: u32, reason: &str) {
        self.hold(HoldScope::Order, minutes, reason);
    }

    /// Asks to keep these lines for some minutes, for one of the reasons.
    pub fn hold_lines(&mut self, line_numbers: Vec<String>, minutes: u32, reason: &str) {
        self.hold(HoldScope::Lines(line_numbers), minutes, reason);
    }

    /// Asks to send the order to a queue before it is released.
    pub fn route(&mut self, queue: &str) {
        self.proposals.push(Proposal::Route(queue.to_owned()));
    }

    /// Advises a person.
    pub fn recommend(&mut self, recommendation: Recommendation) {
        self.proposals.push(Proposal::Recommend(recommendation));
    }

    /// Names the model file behind the score (`sha256:…`).
    pub fn model(&mut self, digest: &str) {
        self.model = Some(digest.to_owned());
    }

    /// The assessment: reasons by size of contribution, then in the order they were added.
    #[must_use]
    pub fn into_assessment(mut self) -> Assessment {
        let score_bp = self.score_bp();
        self.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.contribution_bp.unsigned_abs()));
        self.reasons.truncate(REASONS_MAX);
        self.proposals.truncate(PROPOSALS_MAX);
        Assessment { score_bp, reasons: self.reasons, proposals: self.proposals, model: self.model }
    }

    fn push(&mut self, code: &str, contribution_bp: i32, line_number: Option<String>) {
        self.reasons.push(Reason { code: code.to_owned(), contribution_bp, line_number });
    }

    fn hold(&mut self, scope: HoldScope, minutes: u32, reason: &str) {
        self.proposals.push(Proposal::Hold(Hold { scope, minutes, reason: reason.to_owned() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clamps_the_score_and_puts_the_largest_contribution_first() {
        let mut card = Scorecard::new();
        card.add("small", 500);
        card.add("huge", 20_000);
        card.add("relief", -900);
        let assessment = card.into_assessment();
        assert_eq!(assessment.score_bp, SCORE_BP_MAX);
        let codes: Vec<&str> = assessment.reasons.iter().map(|r| r.code.as_str()).collect();
        assert_eq!(codes, ["huge", "relief", "small"]);
    }

    #[test]
    fn never_scores_below_zero_and_keeps_the_contracts_counts() {
        let mut card = Scorecard::new();
        for _ in 0..100 {
            card.add("relief", -1);
            card.route("somewhere");
        }
        let assessment = card.into_assessment();
        assert_eq!(assessment.score_bp, 0);
        assert_eq!(assessment.reasons.len(), REASONS_MAX);
        assert_eq!(assessment.proposals.len(), PROPOSALS_MAX);
    }
}
