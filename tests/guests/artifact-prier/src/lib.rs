//! The attack of a scorer on model files: paths in the place of a digest, and files that
//! its manifest does not name. It traps when one of them is read; its score is the length
//! of the one file that it may read.

use portreeve_sdk::artifact;
use portreeve_sdk::scorer::*;

/// What the manifest names.
const OWN: &str = "sha256:846f9135add0a085d8f1142876db7953cc2675860d753abc19748dfe439aa53d";

/// Other files of the folder, other places, and other spellings of the own one.
const OTHERS: [&str; 12] = [
    "../secret",
    "../../etc/passwd",
    "/etc/passwd",
    "sha256:../secret",
    "sha256:/etc/passwd",
    "sha256:846f9135add0a085d8f1142876db7953cc2675860d753abc19748dfe439aa53d/../secret",
    "sha256:846f9135add0a085d8f1142876db7953cc2675860d753abc19748dfe439aa53d\0",
    "846f9135add0a085d8f1142876db7953cc2675860d753abc19748dfe439aa53d",
    "sha256:846F9135ADD0A085D8F1142876DB7953CC2675860D753ABC19748DFE439AA53D",
    "sha256:link",
    "",
    // SHA-256 of nothing: a good digest that nobody declared.
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

struct ArtifactPrier;

impl Scorer for ArtifactPrier {
    fn score(_: ScoringRequest) -> Result<Assessment, Failure> {
        for other in OTHERS {
            let (size, read) = (artifact::size(other), artifact::read(other, 0, 10));
            assert!(size.is_err() && read.is_err(), "{other} was read");
        }
        let model = artifact::read_all(OWN).unwrap();
        assert_eq!(artifact::size(OWN).unwrap(), model.len() as u64);
        assert!(artifact::read(OWN, u64::MAX, u32::MAX).unwrap().is_empty());
        let mut card = Scorecard::new();
        card.add("model-bytes", i32::try_from(model.len()).unwrap());
        Ok(card.into_assessment())
    }
}

portreeve_sdk::scorer!(ArtifactPrier);
