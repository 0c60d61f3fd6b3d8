//! Values that JSON and TOML carry as a text.
//!
//! They are in every record many times. So they are written from their own form and read
//! from the text where it lies, without a `String` in between, which is what serde's
//! `into` and `try_from` make.

use std::fmt::{self, Display};

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// Reads a text and makes the value of it.
///
/// # Errors
/// When it is no text, or `parse` does not take it.
pub fn read<'de, D, T, E>(deserializer: D, parse: fn(&str) -> Result<T, E>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: Display,
{
    deserializer.deserialize_str(Parse(parse))
}

struct Parse<T, E>(fn(&str) -> Result<T, E>);

impl<T, E: Display> Visitor<'_> for Parse<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<F: Error>(self, text: &str) -> Result<T, F> {
        (self.0)(text).map_err(F::custom)
    }
}

/// Has serde write a type as its `Display` does and read it with this function.
#[macro_export]
macro_rules! as_text {
    ($type:ty, $parse:expr) => {
        impl ::serde::Serialize for $type {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $type {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::as_text::read(deserializer, $parse)
            }
        }
    };
}
