//! Identifiers: the host's own are made here, a sender's are wrapped here.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::as_text;

/// The namespace under which order ids are derived (RFC 9562 version 5); chosen
/// once, at random, and never changed: every order id depends on it.
const ORDER_NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x8f4e_1b0a_5d7c_4c3e_9a52_6d1f_0c7b_e2a4);

/// The same of items: no item has the id of an order.
const ITEM_NAMESPACE: uuid::Uuid = uuid::Uuid::from_u128(0x2c91_7ad4_e36b_4f08_b1d7_59e0_84fa_3c65);

/// What is wrong with an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A name with characters that names cannot have.
    #[error("`{0}` is not a name; use 1 to 64 lower-case letters, digits and dashes, a letter first")]
    Name(String),
    /// A name with characters that accounts cannot have.
    #[error(
        "`{0}` is not the name of an account; use 1 to 64 lower-case letters, digits, dots and dashes, a letter first"
    )]
    Person(String),
    /// Text that is no digest.
    #[error("`{0}` is not a digest; expected `sha256:` and 64 lower-case hexadecimal digits")]
    Digest(String),
    /// Text that is no order id.
    #[error("`{0}` is not an order id; expected a UUID such as `3f0c…`")]
    OrderId(String),
    /// Text that is no item's id.
    #[error("`{0}` is not an item's id; expected a UUID such as `3f0c…`")]
    ItemId(String),
    /// A kind of plugin that does not exist.
    #[error("`{0}` is not a kind of plugin; expected `connector`, `transformer` or `scorer`")]
    Kind(String),
}

/// SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

as_text!(Digest, Digest::parse);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of several parts; each is preceded by its length, so that
    /// moving a byte from one part to the next changes the result.
    #[must_use]
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Wraps 32 bytes that a hash function made.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Parses `sha256:…`.
    ///
    /// # Errors
    /// When the text has another form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::Digest(text.chars().take(80).collect());
        let digits = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        if digits.len() != 64 || digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }

    /// The first 12 hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
        f.write_str("sha256:")?;
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The host's identifier of an order: UUIDv5 of channel, authenticated sender
/// and the sender's business key, so that the same order has the same id on
/// every host and in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(uuid::Uuid);

as_text!(OrderId, OrderId::parse);

impl OrderId {
    /// Derives the id. `partner` tells the parties behind one authenticated
    /// sender apart; it is empty when there is only one. The parts are framed by
    /// their lengths, so that no sender can move text from one part to another
    /// and claim somebody else's order; an order number may hold a slash, and is no
    /// number with a release for that.
    #[must_use]
    pub fn derive(
        channel: &ChannelId,
        sender: &SenderId,
        partner: &str,
        order_number: &str,
        release: Option<&str>,
    ) -> Self {
        let mut parts =
            vec![channel.as_str().as_bytes(), sender.as_str().as_bytes(), partner.as_bytes(), order_number.as_bytes()];
        parts.extend(release.map(str::as_bytes));
        let name = Digest::of_parts(&parts);
        Self(uuid::Uuid::new_v5(&ORDER_NAMESPACE, name.as_bytes()))
    }

    /// Parses the hyphenated form.
    ///
    /// # Errors
    /// When the text is no UUID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::parse_str(text).map(Self).map_err(|_| IdError::OrderId(text.chars().take(48).collect()))
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

/// The host's identifier of an item at a place, as one channel tells of it: UUIDv5 of the three.
/// Two channels may count by two clocks, so what they say is never put into one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(uuid::Uuid);

as_text!(ItemId, ItemId::parse);

impl ItemId {
    /// Derives the id. The parts are framed by their lengths, as those of an order's are.
    #[must_use]
    pub fn derive(channel: &ChannelId, node: &str, sku: &str) -> Self {
        let name = Digest::of_parts(&[channel.as_str().as_bytes(), node.as_bytes(), sku.as_bytes()]);
        Self(uuid::Uuid::new_v5(&ITEM_NAMESPACE, name.as_bytes()))
    }

    /// Parses the hyphenated form.
    ///
    /// # Errors
    /// When the text is no UUID.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::parse_str(text).map(Self).map_err(|_| IdError::ItemId(text.chars().take(48).collect()))
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

/// What a delivery is about, and in whose line it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// An order.
    Order(OrderId),
    /// How much there is of an item.
    Item(ItemId),
}

impl Matter {
    /// The order, where it is one.
    #[must_use]
    pub fn order(self) -> Option<OrderId> {
        match self {
            Self::Order(order) => Some(order),
            Self::Item(_) => None,
        }
    }

    /// The item, where it is one.
    #[must_use]
    pub fn item(self) -> Option<ItemId> {
        match self {
            Self::Item(item) => Some(item),
            Self::Order(_) => None,
        }
    }
}

impl fmt::Display for Matter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(order) => order.fmt(f),
            Self::Item(item) => item.fmt(f),
        }
    }
}

impl From<OrderId> for Matter {
    fn from(order: OrderId) -> Self {
        Self::Order(order)
    }
}

impl From<ItemId> for Matter {
    fn from(item: ItemId) -> Self {
        Self::Item(item)
    }
}

/// Declares an identifier that is a name: lower-case letters, digits, and these signs.
macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $signs:literal, $wrong:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        as_text!($type, $type::parse);

        impl $type {
            /// Checks the form.
            ///
            /// # Errors
            /// When the text is not 1 to 64 lower-case letters, digits and signs that it may have,
            /// a letter first.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let well_formed = (1..=64).contains(&text.len())
                    && text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || $signs.contains(&b));
                if well_formed { Ok(Self(text.to_owned())) } else { Err($wrong(text.chars().filter(|c| !c.is_control()).take(80).collect())) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

    };
}

name!(
    /// A channel that orders come in by, as the configuration names it.
    ChannelId,
    b"-",
    IdError::Name
);
name!(
    /// A plugin, as its manifest names it.
    PluginName,
    b"-",
    IdError::Name
);
name!(
    /// An account of a person, or of a machine that acts as one.
    PersonName,
    b"-.",
    IdError::Person
);

/// The sender as the host authenticated it: never what the payload claims.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SenderId(String);

impl SenderId {
    /// Wraps the name that authentication established.
    #[must_use]
    pub fn authenticated(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SenderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a plugin is for; each kind has a world of its own in `wit/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Speaks a protocol with an outside system.
    Connector,
    /// Turns documents into canonical events and back.
    Transformer,
    /// Assesses orders.
    Scorer,
}

impl PluginKind {
    /// The word used in manifests, logs and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Transformer => "transformer",
            Self::Scorer => "scorer",
        }
    }
}

impl std::str::FromStr for PluginKind {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        [Self::Connector, Self::Transformer, Self::Scorer]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| IdError::Kind(text.chars().take(48).collect()))
    }
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_order_number_with_a_slash_is_no_number_with_a_release() {
        let channel = ChannelId::parse("edi").unwrap();
        let sender = SenderId::authenticated("gateway");
        let id = |number, release| OrderId::derive(&channel, &sender, "ACME", number, release);
        assert_ne!(id("A/1", None), id("A", Some("1")));
        assert_ne!(id("A", None), id("A", Some("")));
        assert_eq!(id("A", Some("1")), id("A", Some("1")));
    }

    #[test]
    fn an_account_has_a_name_that_can_stand_anywhere() {
        for name in ["anna", "o.fallon-2", &"a".repeat(64)] {
            assert_eq!(PersonName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", ".anna", "2anna", "Anna", "an na", "anna\n", "<b>", "änna", &"a".repeat(65)] {
            let error = PersonName::parse(name).unwrap_err().to_string();
            assert!(error.contains("letters, digits, dots and dashes"), "{error}");
        }
        assert!(ChannelId::parse("a.b").is_err());
    }
}
