//! What a receiver says of an interchange that it got: that it can be read, or not. It never
//! says that it agrees with what is in it.
//!
//! ```json
//! {"partner":"ZZ:ACME","number":"17","said":"rejected","faults":["AK3 BIG 2 8","AK4 2 373 8"]}
//! ```
//!
//! It is the body of an event of kind [`Acknowledgement::KIND`], by which transformers tell the
//! host: no event of the contract is about what the host itself sent.

use serde::{Deserialize, Serialize};

use crate::legible::is_legible;
use crate::value::text;

/// Bytes of a partner, as of any identifier.
const PARTNER_BYTES_MAX: usize = 256;

/// Faults of one acknowledgement. The first ones name the cause.
const FAULTS_MAX: usize = 32;

/// Bytes of a fault: codes and places. A receiver's copy of a value has no room in it.
const FAULT_BYTES_MAX: usize = 64;

/// What a receiver says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Acknowledgement {
    /// Who says it, as receivers of interchanges are named.
    pub partner: String,
    /// The number of the interchange, from 1.
    #[serde(with = "text")]
    pub number: u64,
    /// What.
    pub said: Said,
    /// What is wrong, in codes and places.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// What is said of an interchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    /// It came; what is in it was not looked at yet.
    Received,
    /// It can be read.
    Accepted,
    /// It can be read, though something is wrong with it.
    AcceptedWithErrors,
    /// It cannot be used: as if it had not come.
    Rejected,
}

/// Why some bytes are no acknowledgement.
#[derive(Debug, thiserror::Error)]
pub enum NotAcknowledging {
    /// They are no such JSON.
    #[error("an acknowledgement cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A text is too long, or none that a person should read.
    #[error("`{0}` of an acknowledgement is empty, too long or has other characters than codes and places have")]
    Text(&'static str),
}

impl Acknowledgement {
    /// The kind of the event that has one as its body.
    pub const KIND: &str = "interchange.acknowledged";

    /// Reads one.
    ///
    /// # Errors
    /// When it is none, or says more than codes and places.
    pub fn from_json(bytes: &[u8]) -> Result<Self, NotAcknowledging> {
        let read: Self = serde_json::from_slice(bytes)?;
        if !is_legible(&read.partner, PARTNER_BYTES_MAX) {
            return Err(NotAcknowledging::Text("partner"));
        }
        let is_code = |fault: &String| {
            is_legible(fault, FAULT_BYTES_MAX)
                && fault.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'/' | b'.'))
        };
        if read.faults.len() > FAULTS_MAX || !read.faults.iter().all(is_code) {
            return Err(NotAcknowledging::Text("faults"));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn codes_and_places_are_read_and_nothing_else() {
        let read = |text: &str| Acknowledgement::from_json(text.as_bytes());
        let said = read(r#"{"partner":"ZZ:ACME","number":"17","said":"rejected","faults":["AK3 BIG 2 8"]}"#).unwrap();
        assert_eq!(
            (said.number, said.said, said.faults.as_slice()),
            (17, Said::Rejected, &["AK3 BIG 2 8".to_owned()][..])
        );
        let fault =
            |fault: &str| format!(r#"{{"partner":"ZZ:ACME","number":"17","said":"rejected","faults":["{fault}"]}}"#);
        for text in [
            r#"{"partner":"","number":"17","said":"accepted"}"#.to_owned(),
            r#"{"partner":"ZZ:ACME","number":"-1","said":"accepted"}"#.to_owned(),
            r#"{"partner":"ZZ:ACME","number":"17","said":"agreed"}"#.to_owned(),
            r#"{"partner":"ZZ:ACME","number":"17","said":"accepted","more":1}"#.to_owned(),
            fault("ada@example.org"),
            fault(&"x".repeat(65)),
            fault(""),
        ] {
            assert!(read(&text).is_err(), "{text}");
        }
    }
}
