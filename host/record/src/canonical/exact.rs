//! Whether all numbers of a value are integers that a double holds, found out
//! without building anything: each record that is hashed comes through here.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};

use super::INTEGER_MAX;

/// Whether every number in the value is an integer of at most [`INTEGER_MAX`] in
/// magnitude. What cannot be serialised is not exact either; the caller finds out why.
pub(super) fn is_exact(value: &impl Serialize) -> bool {
    value.serialize(Numbers).is_ok()
}

/// Goes through a value and stops at the first number that is not exact.
struct Numbers;

/// There is such a number. Where, nobody needs to know here.
#[derive(Debug)]
struct Inexact;

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number is not exact")
    }
}

impl std::error::Error for Inexact {}

impl ser::Error for Inexact {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Found = Result<(), Inexact>;

fn exact(magnitude: u64) -> Found {
    if magnitude <= INTEGER_MAX { Ok(()) } else { Err(Inexact) }
}

impl Serializer for Numbers {
    type Ok = ();
    type Error = Inexact;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, _: bool) -> Found {
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Found {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Found {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Found {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Found {
        exact(value.unsigned_abs())
    }
    fn serialize_i128(self, value: i128) -> Found {
        u64::try_from(value.unsigned_abs()).map_err(|_| Inexact).and_then(exact)
    }
    fn serialize_u8(self, value: u8) -> Found {
        exact(value.into())
    }
    fn serialize_u16(self, value: u16) -> Found {
        exact(value.into())
    }
    fn serialize_u32(self, value: u32) -> Found {
        exact(value.into())
    }
    fn serialize_u64(self, value: u64) -> Found {
        exact(value)
    }
    fn serialize_u128(self, value: u128) -> Found {
        u64::try_from(value).map_err(|_| Inexact).and_then(exact)
    }
    fn serialize_f32(self, _: f32) -> Found {
        Err(Inexact)
    }
    fn serialize_f64(self, _: f64) -> Found {
        Err(Inexact)
    }
    fn serialize_char(self, _: char) -> Found {
        Ok(())
    }
    fn serialize_str(self, _: &str) -> Found {
        Ok(())
    }
    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Found {
        Ok(())
    }
    fn serialize_bytes(self, _: &[u8]) -> Found {
        Ok(())
    }
    fn serialize_none(self) -> Found {
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Found {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Found {
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Found {
        Ok(())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Found {
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Found {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Found {
        value.serialize(self)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Inexact> {
        Ok(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self, Inexact> {
        Ok(self)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Inexact> {
        Ok(self)
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Inexact> {
        Ok(self)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, Inexact> {
        Ok(self)
    }
    /// Raw JSON hides its numbers in a text: the caller has to look for itself.
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, Inexact> {
        if name.starts_with("$serde_json::private") { Err(Inexact) } else { Ok(self) }
    }
    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Inexact> {
        Ok(self)
    }
}

/// A list of values, whatever serde calls it.
macro_rules! list {
    ($trait:ident, $item:ident) => {
        impl ser::$trait for Numbers {
            type Ok = ();
            type Error = Inexact;
            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Found {
                value.serialize(Numbers)
            }
            fn end(self) -> Found {
                Ok(())
            }
        }
    };
}

list!(SerializeSeq, serialize_element);
list!(SerializeTuple, serialize_element);
list!(SerializeTupleStruct, serialize_field);
list!(SerializeTupleVariant, serialize_field);

/// Named values.
macro_rules! fields {
    ($trait:ident) => {
        impl ser::$trait for Numbers {
            type Ok = ();
            type Error = Inexact;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Found {
                value.serialize(Numbers)
            }
            fn end(self) -> Found {
                Ok(())
            }
        }
    };
}

fields!(SerializeStruct);
fields!(SerializeStructVariant);

impl ser::SerializeMap for Numbers {
    type Ok = ();
    type Error = Inexact;
    /// A key is written as text, whatever number it is.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Found {
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Found {
        value.serialize(Numbers)
    }
    fn end(self) -> Found {
        Ok(())
    }
}
