//! JSON objects whose members are known, one table each.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};

/// What is read out of the members of an object.
pub trait Shape: Sized {
    /// What the object is, for whoever sent something else.
    const EXPECTED: &'static str;

    /// Reads the members.
    ///
    /// # Errors
    /// When one is missing, unknown or wrong.
    fn of<'de, D: Deserializer<'de>>(members: D) -> Result<Self, D::Error>;
}

/// Reads an object, and refuses what is none.
#[derive(Debug)]
pub struct Object<S>(PhantomData<S>);

impl<S> Object<S> {
    /// A reader.
    #[must_use]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<S> Default for Object<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'de, S: Shape> Visitor<'de> for Object<S> {
    type Value = S;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::EXPECTED)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<S, A::Error> {
        S::of(MapAccessDeserializer::new(members))
    }
}

/// A JSON object of these fields, in camel case, and no others. A list that may be missing
/// says so with `default`; nothing else has one. The crate that uses it has `serde`.
///
/// What serde derives takes a list as well, its elements in the order of the fields here.
/// That order means nothing to a sender, so the trait is implemented beside it, for objects.
#[macro_export]
macro_rules! object {
    ($(#[$doc:meta])* $vis:vis $name:ident, $expected:literal { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(serde::Deserialize)]
        #[serde(remote = "Self", rename_all = "camelCase", deny_unknown_fields)]
        $vis struct $name {
            $($(#[$attribute])* $field: $type,)*
        }

        impl $crate::object::Shape for $name {
            const EXPECTED: &'static str = $expected;

            fn of<'de, D: serde::Deserializer<'de>>(members: D) -> Result<Self, D::Error> {
                // The one that is derived, not the trait's.
                Self::deserialize(members)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($crate::object::Object::<$name>::new())
            }
        }
    };
}
