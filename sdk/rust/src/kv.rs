//! Small state of a connector, scoped to the order or poll of the call.
//!
//! What a call writes is committed with its journal entry or receipt, and
//! dropped when the call fails: a half-done step leaves no state behind.
//! The manifest declares it: `[imports] kv = true`.

use crate::bindings::shared::portreeve::plugin::kv;

pub use kv::KvError;

/// The value of a key, if it was set.
///
/// # Errors
/// When the key is over 256 bytes or the state can't be read now.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, KvError> {
    kv::get(key)
}

/// Sets a key.
///
/// # Errors
/// When the key is over 256 bytes, the value over 64 KiB, or there are too many keys.
pub fn set(key: &str, value: &[u8]) -> Result<(), KvError> {
    kv::set(key, value)
}

/// Forgets a key; one that isn't set is fine.
///
/// # Errors
/// When the state can't be written now.
pub fn delete(key: &str) -> Result<(), KvError> {
    kv::delete(key)
}
