//! Canonical bytes in one pass, for what records are made of: named fields, lists,
//! texts and exact integers. Every record that is kept or hashed comes through here,
//! several for each order, which is why it is not left to a tree of values.
//!
//! Members are written as they come; when an object ends in another order than its
//! names want, its members are moved. Whatever records are not made of (fractions,
//! raw JSON, names that are no texts, a name twice) is refused without saying why:
//! the caller goes the long way, which does.

use std::fmt::{self, Write as _};

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::INTEGER_MAX;

/// The canonical bytes of a value; none when it takes the long way.
pub(super) fn written(value: &impl Serialize) -> Option<Vec<u8>> {
    let mut out = Out::default();
    value.serialize(&mut out).ok()?;
    Some(out.bytes)
}

/// What was written so far.
#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    /// Members of the objects that are still open, innermost last.
    members: Vec<Member>,
    /// Where members are put in order; kept for the next object.
    moved: Vec<u8>,
}

/// A member of an open object: where its name begins and ends, without quotes, and
/// where the member ends. All of it after the comma.
#[derive(Clone, Copy)]
struct Member {
    name_begin: usize,
    name_end: usize,
    end: usize,
    /// Its name is ASCII without escapes.
    plain: bool,
}

/// The value takes the long way.
#[derive(Debug)]
struct Elsewhere;

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is not written directly")
    }
}

impl std::error::Error for Elsewhere {}

impl ser::Error for Elsewhere {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Written = Result<(), Elsewhere>;

impl Out {
    /// RFC 8785 section 3.2.2.2: the short escapes, lower-case hexadecimal for the
    /// other control characters, and nothing else.
    fn text(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.bytes.push(b'"');
        let mut rest = text.as_bytes();
        while let Some(at) = first_special(rest) {
            let (plain, special) = rest.split_at(at);
            self.bytes.extend_from_slice(plain);
            let Some((byte, after)) = special.split_first() else { break };
            match byte {
                b'"' => self.bytes.extend_from_slice(b"\\\""),
                b'\\' => self.bytes.extend_from_slice(b"\\\\"),
                0x08 => self.bytes.extend_from_slice(b"\\b"),
                b'\t' => self.bytes.extend_from_slice(b"\\t"),
                b'\n' => self.bytes.extend_from_slice(b"\\n"),
                0x0c => self.bytes.extend_from_slice(b"\\f"),
                b'\r' => self.bytes.extend_from_slice(b"\\r"),
                other => {
                    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                    self.bytes.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(other >> 4), digit(other & 15)]);
                }
            }
            rest = after;
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.push(b'"');
    }

    fn integer(&mut self, negative: bool, magnitude: u64) -> Written {
        if magnitude > INTEGER_MAX {
            return Err(Elsewhere);
        }
        let sign = if negative { "-" } else { "" };
        write!(self, "{sign}{magnitude}").map_err(|_| Elsewhere)
    }

    fn name(&mut self, name: &str) -> Member {
        let name_begin = self.bytes.len().saturating_add(1);
        self.text(name);
        let name_end = self.bytes.len().saturating_sub(1);
        self.bytes.push(b':');
        let plain = name.is_ascii() && name_end.checked_sub(name_begin) == Some(name.len());
        Member { name_begin, name_end, end: 0, plain }
    }

    fn name_of(&self, member: &Member) -> &[u8] {
        self.bytes.get(member.name_begin..member.name_end).unwrap_or_default()
    }
}

/// Where the first byte is that does not stand for itself in a text. Sixteen bytes at a
/// time: nearly no text has one.
fn first_special(text: &[u8]) -> Option<usize> {
    let special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let (blocks, rest) = text.as_chunks::<16>();
    let block = blocks.iter().position(|block| block.iter().fold(false, |any, byte| any | special(byte)));
    let (before, within) = match block {
        Some(block) => (block.saturating_mul(16), blocks.get(block)?.as_slice()),
        None => (text.len().saturating_sub(rest.len()), rest),
    };
    within.iter().position(special).map(|at| before.saturating_add(at))
}

/// Appends text as it is.
impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A list under way.
struct List<'a> {
    out: &'a mut Out,
    first: bool,
    /// What closes it: one bracket, or more where a variant's name stands around it.
    close: &'static [u8],
}

impl<'a> List<'a> {
    fn open(out: &'a mut Out, close: &'static [u8]) -> Self {
        out.bytes.push(b'[');
        Self { out, first: true, close }
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        if !std::mem::take(&mut self.first) {
            self.out.bytes.push(b',');
        }
        value.serialize(&mut *self.out)
    }
}

/// An object under way.
struct Object<'a> {
    out: &'a mut Out,
    /// Where its bytes begin, after the brace.
    begin: usize,
    /// Where its members begin among those of all open objects.
    members: usize,
    close: &'static [u8],
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Out, close: &'static [u8]) -> Self {
        out.bytes.push(b'{');
        let (begin, members) = (out.bytes.len(), out.members.len());
        Self { out, begin, members, close }
    }

    fn name(&mut self, name: &str) {
        if self.out.members.len() > self.members {
            self.out.bytes.push(b',');
        }
        let member = self.out.name(name);
        self.out.members.push(member);
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        value.serialize(&mut *self.out)?;
        let end = self.out.bytes.len();
        self.out.members.last_mut().ok_or(Elsewhere)?.end = end;
        Ok(())
    }

    fn end(self) -> Written {
        let Self { out, begin, members, close } = self;
        let own = out.members.get(members..).unwrap_or_default();
        // RFC 8785 compares UTF-16 code units, which for plain ASCII is the order of the bytes.
        if !own.iter().all(|member| member.plain) {
            return Err(Elsewhere);
        }
        if !own.is_sorted_by(|left, right| out.name_of(left) < out.name_of(right)) {
            out.put_in_order(begin, members)?;
        }
        out.members.truncate(members);
        out.bytes.extend_from_slice(close);
        Ok(())
    }
}

impl Out {
    fn put_in_order(&mut self, begin: usize, members: usize) -> Written {
        let (mut moved, mut all) = (std::mem::take(&mut self.moved), std::mem::take(&mut self.members));
        let order = all.get_mut(members..).unwrap_or_default();
        order.sort_unstable_by(|left, right| self.name_of(left).cmp(self.name_of(right)));
        // A name twice.
        if !order.is_sorted_by(|left, right| self.name_of(left) < self.name_of(right)) {
            return Err(Elsewhere);
        }
        moved.clear();
        for member in order {
            if !moved.is_empty() {
                moved.push(b',');
            }
            // A quote stands before the name.
            let bytes = self.bytes.get(member.name_begin.saturating_sub(1)..member.end);
            moved.extend_from_slice(bytes.unwrap_or_default());
        }
        self.bytes.truncate(begin);
        self.bytes.extend_from_slice(&moved);
        (self.moved, self.members) = (moved, all);
        Ok(())
    }
}

impl<'a> Serializer for &'a mut Out {
    type Ok = ();
    type Error = Elsewhere;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    fn serialize_bool(self, value: bool) -> Written {
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Written {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Written {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Written {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Written {
        self.integer(value.is_negative(), value.unsigned_abs())
    }
    fn serialize_u8(self, value: u8) -> Written {
        self.serialize_u64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Written {
        self.serialize_u64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Written {
        self.serialize_u64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Written {
        self.integer(false, value)
    }
    fn serialize_f32(self, _: f32) -> Written {
        Err(Elsewhere)
    }
    fn serialize_f64(self, _: f64) -> Written {
        Err(Elsewhere)
    }
    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Written {
        self.text(value);
        Ok(())
    }
    fn serialize_bytes(self, _: &[u8]) -> Written {
        Err(Elsewhere)
    }
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Written {
        self.bytes.push(b'"');
        let begin = self.bytes.len();
        write!(self, "{value}").map_err(|_| Elsewhere)?;
        if first_special(self.bytes.get(begin..).unwrap_or_default()).is_some() {
            self.bytes.truncate(begin.saturating_sub(1));
            return self.serialize_str(&value.to_string());
        }
        self.bytes.push(b'"');
        Ok(())
    }
    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Written {
        self.bytes.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.bytes.push(b'{');
        self.name(variant);
        value.serialize(&mut *self)?;
        self.bytes.push(b'}');
        Ok(())
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, Elsewhere> {
        Ok(List::open(self, b"]"))
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'a>, Elsewhere> {
        Ok(List::open(self, b"]"))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, Elsewhere> {
        Ok(List::open(self, b"]"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, Elsewhere> {
        self.bytes.push(b'{');
        self.name(variant);
        Ok(List::open(self, b"]}"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>, Elsewhere> {
        Ok(Object::open(self, b"}"))
    }
    /// Raw JSON is a text to serde, and not canonical.
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Object<'a>, Elsewhere> {
        if name.starts_with("$serde_json::private") {
            return Err(Elsewhere);
        }
        Ok(Object::open(self, b"}"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'a>, Elsewhere> {
        self.bytes.push(b'{');
        self.name(variant);
        Ok(Object::open(self, b"}}"))
    }
}

/// A list of values, whatever serde calls it.
macro_rules! list {
    ($trait:ident, $item:ident) => {
        impl ser::$trait for List<'_> {
            type Ok = ();
            type Error = Elsewhere;
            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                self.item(value)
            }
            fn end(self) -> Written {
                self.out.bytes.extend_from_slice(self.close);
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
        impl ser::$trait for Object<'_> {
            type Ok = ();
            type Error = Elsewhere;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
                self.name(name);
                self.value(value)
            }
            fn end(self) -> Written {
                Object::end(self)
            }
        }
    };
}

fields!(SerializeStruct);
fields!(SerializeStructVariant);

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Elsewhere;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        key.serialize(Name(self))
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.value(value)
    }
    fn end(self) -> Written {
        Object::end(self)
    }
}

/// A map's key: a text, or it takes the long way.
struct Name<'a, 'b>(&'a mut Object<'b>);

/// Kinds of keys that are no texts.
macro_rules! no_name {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, _: $type) -> Written {
            Err(Elsewhere)
        })*
    };
}

impl Serializer for Name<'_, '_> {
    type Ok = ();
    type Error = Elsewhere;
    type SerializeSeq = Impossible<(), Elsewhere>;
    type SerializeTuple = Impossible<(), Elsewhere>;
    type SerializeTupleStruct = Impossible<(), Elsewhere>;
    type SerializeTupleVariant = Impossible<(), Elsewhere>;
    type SerializeMap = Impossible<(), Elsewhere>;
    type SerializeStruct = Impossible<(), Elsewhere>;
    type SerializeStructVariant = Impossible<(), Elsewhere>;

    fn serialize_str(self, name: &str) -> Written {
        self.0.name(name);
        Ok(())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }
    no_name!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_f32: f32, serialize_f64: f64, serialize_char: char, serialize_bytes: &[u8],
        serialize_unit_struct: &'static str
    );
    fn serialize_none(self) -> Written {
        Err(Elsewhere)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Written {
        Err(Elsewhere)
    }
    fn serialize_unit(self) -> Written {
        Err(Elsewhere)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Written {
        Err(Elsewhere)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Elsewhere> {
        Err(Elsewhere)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Elsewhere> {
        Err(Elsewhere)
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Elsewhere> {
        Err(Elsewhere)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Elsewhere> {
        Err(Elsewhere)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Elsewhere> {
        Err(Elsewhere)
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Elsewhere> {
        Err(Elsewhere)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Elsewhere> {
        Err(Elsewhere)
    }
}
