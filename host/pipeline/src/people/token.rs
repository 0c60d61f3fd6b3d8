//! Tokens: 256 random bits, with a word before them that says what was found where it should
//! not be.
//!
//! ```text
//! portreeve-session-4bq…   portreeve-key-Zk0…      43 characters of base64url
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve_model::Digest;
use portreeve_store::contract::CredentialKind;

/// Longer ones are not hashed: none that we made is.
const TOKEN_BYTES_MAX: usize = 128;

/// What somebody shows. Printed by nobody but its owner.
pub struct Token(String);

impl Token {
    /// Makes one.
    pub(super) fn new(kind: CredentialKind) -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        Ok(Self(format!("portreeve-{}-{}", kind.as_str(), URL_SAFE_NO_PAD.encode(bits))))
    }

    /// Hands it to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a token is looked up by; none for what is none.
pub(super) fn digest(token: &str) -> Option<Digest> {
    (1..=TOKEN_BYTES_MAX).contains(&token.len()).then(|| Digest::of(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_token_is_found_by_its_digest_and_not_printed() {
        let (one, other) = (Token::new(CredentialKind::Key).unwrap(), Token::new(CredentialKind::Session).unwrap());
        assert!(one.reveal().starts_with("portreeve-key-") && other.reveal().starts_with("portreeve-session-"));
        assert_eq!(digest(one.reveal()), Some(one.digest()));
        assert_ne!(one.digest(), other.digest());
        assert_eq!(format!("{one:?}"), "Token(…)");
        for none in ["", &"x".repeat(129)] {
            assert_eq!(digest(none), None);
        }
    }
}
