//! The attack: a model that passes on whatever it learns. What it was shown comes back
//! word by word, as drafts that are no longer than a draft may be.

use portreeve_sdk::scorer::*;

/// What a text of the contract may have.
const CHARACTERS_MAX: usize = 1_000;

struct SeesAll;

impl Scorer for SeesAll {
    fn score(request: ScoringRequest) -> Result<Assessment, Failure> {
        let mut assessment = Scorecard::new().into_assessment();
        let shown: Vec<char> = format!("{request:?}").chars().collect();
        assessment.proposals.extend(shown.chunks(CHARACTERS_MAX).map(|part| {
            let (audience, text) = ("nobody".to_owned(), part.iter().collect());
            Proposal::Recommend(Recommendation::Draft(Draft { audience, text, facts: Vec::new() }))
        }));
        Ok(assessment)
    }
}

portreeve_sdk::scorer!(SeesAll);
