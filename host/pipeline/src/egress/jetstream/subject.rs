//! Under which subject an event is published.
//!
//! ```text
//! orders.{event}.{order}   ─▶   orders.shipment.confirmed.0f6c…    (`{event}` is two tokens)
//! ```
//!
//! The attack is a text that becomes part of a subject: a dot in it makes another token, and a
//! wildcard makes everybody's. So only words of the host's own may stand in one, the name of a
//! canonical event and the host's id of the order, and each token is looked at all the same.

use portreeve_model::Matter;

/// Bytes of a subject. Servers take some 4,000; people read these.
const SUBJECT_BYTES_MAX: usize = 255;

const EVENT: &str = "{event}";
const ORDER: &str = "{order}";

/// A subject with places for what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(String);

impl Template {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words behind its key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let template = Self(text.to_owned());
        match template.filled("order.created", "0") {
            Some(_) => Ok(template),
            None => Err(format!(
                "is no subject; expected tokens of letters, digits, `-` and `_` with dots between them, {SUBJECT_BYTES_MAX} bytes at most, in which `{EVENT}` and `{ORDER}` may stand"
            )),
        }
    }

    /// The subject of an event about a matter; none where the event's name is no subject.
    pub(crate) fn subject(&self, event: &str, matter: Matter) -> Option<String> {
        self.filled(event, &matter.to_string())
    }

    fn filled(&self, event: &str, order: &str) -> Option<String> {
        let subject = self.0.replace(EVENT, event).replace(ORDER, order);
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let safe = |token: &str| !token.is_empty() && token.bytes().all(letter);
        (subject.len() <= SUBJECT_BYTES_MAX && subject.split('.').all(safe)).then_some(subject)
    }
}

/// Whether a stream that takes this pattern takes the subject: `*` stands for one token, `>` for
/// all that follow, one at least.
pub(super) fn covers(pattern: &str, subject: &str) -> bool {
    let (mut asked, mut tokens) = (pattern.split('.'), subject.split('.'));
    loop {
        match (asked.next(), tokens.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]

    use portreeve_model::OrderId;

    use super::*;

    #[test]
    fn a_subject_holds_the_events_name_and_the_orders_id_and_nothing_else() {
        let order = Matter::Order(OrderId::parse("0f6c2d1e-0000-5000-8000-000000000001").unwrap());
        let template = Template::parse("shop_1.{event}.{order}").unwrap();
        let subject = template.subject("shipment.confirmed", order).unwrap();
        assert_eq!(subject, "shop_1.shipment.confirmed.0f6c2d1e-0000-5000-8000-000000000001");
        for smuggled in ["a.>", "*", "a b", "a\r\nPUB x 0", "", "a..b", "ä"] {
            assert_eq!(template.subject(smuggled, order), None, "{smuggled}");
        }
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for wrong in ["", "a.", ".a", "a..b", "a.*", "a.>", "$JS.API", "a b", "a.{number}", "{event", &"a".repeat(256)]
        {
            assert!(Template::parse(wrong).unwrap_err().contains("`{event}`"), "{wrong}");
        }
        for right in ["orders", "orders.{event}", "{order}", "a.{order}.{event}.b-c_D"] {
            Template::parse(right).unwrap();
        }
    }

    #[test]
    fn a_pattern_covers_what_a_server_says_it_does() {
        for (pattern, subject, expected) in [
            ("orders.>", "orders.a.b", true),
            ("orders.>", "orders", false),
            ("orders.*", "orders.a", true),
            ("orders.*", "orders.a.b", false),
            ("orders.a", "orders.a", true),
            ("orders.a", "orders.b", false),
            (">", "orders", true),
        ] {
            assert_eq!(covers(pattern, subject), expected, "{pattern} {subject}");
        }
    }
}
