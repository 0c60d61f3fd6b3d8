//! Compiled code, and how it comes back from a cache.
//!
//! ```text
//! sealed:  "PRTRVE01"  HMAC-SHA256 (32 bytes)  code
//! tag over: component digest (32)  engine hash (32)  code
//! ```
//!
//! Compiled code is machine code: whoever can write the cache folder could run
//! anything in the host. So a [`CompiledCode`] comes only from compiling, or from
//! sealed bytes whose tag was made with a key that is kept elsewhere, for this
//! component and this engine; and exactly the verified bytes are loaded, never a
//! file that can change in between.

use hmac::{Hmac, KeyInit, Mac};
use portreeve_model::id::{Digest, PluginKind};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::{Engines, Pool};
use crate::limits::{COMPONENT_BYTES_MAX, to_u64};

const MAGIC: &[u8; 8] = b"PRTRVE01";
const TAG_BYTES: usize = 32;

/// Bytes of a page of linear memory.
const WASM_PAGE_BYTES: u64 = 65_536;

/// Bytes of a block of SHA-256.
const BLOCK_BYTES: usize = 64;

/// The secret that authenticates cached code. Kept outside the cache folder.
pub struct SealingKey([u8; BLOCK_BYTES]);

impl SealingKey {
    /// Wraps 32 secret random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        // HMAC fills a short key up with zeros to the hash's block; done here, it
        // cannot fail later.
        let mut block = [0; BLOCK_BYTES];
        block.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Self(block)
    }
}

/// Machine code of a component, made or verified by this host.
pub struct CompiledCode {
    component: Digest,
    engine: Digest,
    code: Vec<u8>,
}

/// A component that does not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is too large to try.
    #[error("the component has {found} bytes; at most {COMPONENT_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size.
        found: u64,
    },
    /// It is invalid, or uses what the sandbox does not offer.
    #[error("the component does not compile: {message}")]
    Invalid {
        /// In the compiler's words.
        message: String,
    },
}

/// Cached code that is not to be used. Compile again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// It has another format.
    #[error("the cached code has no known format; compile the component again")]
    Format,
    /// It was changed, or made with another key, for another component or engine.
    #[error("the cached code is not what this host made for this component and engine; compile it again")]
    Forged,
}

impl CompiledCode {
    pub(crate) fn compile(engines: &Engines, kind: PluginKind, bytes: &[u8]) -> Result<Self, CompileError> {
        if to_u64(bytes.len()) > COMPONENT_BYTES_MAX {
            return Err(CompileError::TooLarge { found: to_u64(bytes.len()) });
        }
        let pool = engines.pool(kind);
        let invalid = |error: wasmtime::Error| CompileError::Invalid { message: error.root_cause().to_string() };
        let code = pool.engine.precompile_component(bytes).map_err(invalid)?;
        Ok(Self { component: Digest::of(bytes), engine: pool.hash, code })
    }

    /// The bytes for the cache.
    #[must_use]
    pub fn seal(&self, key: &SealingKey) -> Vec<u8> {
        let tag = mac(key, &self.component, &self.engine, &self.code).finalize().into_bytes();
        [MAGIC.as_slice(), &tag, &self.code].concat()
    }

    /// Takes code from the cache.
    ///
    /// # Errors
    /// When the bytes are not what [`seal`](Self::seal) made with this key for
    /// this component and this engine.
    pub fn open(sealed: &[u8], key: &SealingKey, component: Digest, engine: Digest) -> Result<Self, CacheError> {
        let rest = sealed.strip_prefix(MAGIC.as_slice()).ok_or(CacheError::Format)?;
        let (tag, code) = rest.split_at_checked(TAG_BYTES).ok_or(CacheError::Format)?;
        // Compares in constant time.
        mac(key, &component, &engine, code).verify_slice(tag).map_err(|_| CacheError::Forged)?;
        Ok(Self { component, engine, code: code.to_vec() })
    }

    /// The component that it was made from.
    #[must_use]
    pub fn component(&self) -> Digest {
        self.component
    }

    /// The engine that it was made for.
    #[must_use]
    pub fn engine(&self) -> Digest {
        self.engine
    }

    /// Maps the code into the host, for the engine that fits the component's memory.
    pub(crate) fn load(&self, pool: &Pool) -> wasmtime::Result<Component> {
        let component = self.load_for(&pool.engine)?;
        let engine = pool.engine_for(memory_bytes(&component));
        if Engine::same(engine, &pool.engine) { Ok(component) } else { self.load_for(engine) }
    }

    fn load_for(&self, engine: &Engine) -> wasmtime::Result<Component> {
        deserialize(engine, &self.code)
    }
}

/// The same component for another engine of its kind, from the code that is mapped already.
pub(crate) fn load_again(component: &Component, engine: &Engine) -> wasmtime::Result<Component> {
    deserialize(engine, &component.serialize()?)
}

fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were made by `precompile_component` in this process, carry a
    // tag that only a holder of the key could make over such bytes, or come from a
    // component that was loaded from either; they are in our memory and were not read
    // again since. Wasmtime itself refuses code of another version or other settings.
    #[expect(unsafe_code, reason = "loading compiled code, authenticated by `compile` or `open`")]
    unsafe {
        Component::deserialize(engine, code)
    }
}

/// What the component's largest memory begins with. What cannot be known counts as small.
pub(crate) fn memory_bytes(component: &Component) -> u64 {
    let pages = component.resources_required().and_then(|resources| resources.max_initial_memory_size);
    pages.unwrap_or(0).saturating_mul(WASM_PAGE_BYTES)
}

fn mac(key: &SealingKey, component: &Digest, engine: &Digest, code: &[u8]) -> Hmac<Sha256> {
    // Both digests have a fixed length, so the three parts cannot run into each other.
    Hmac::<Sha256>::new(&key.0.into())
        .chain_update(component.as_bytes())
        .chain_update(engine.as_bytes())
        .chain_update(code)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn opens_only_what_the_same_key_sealed_for_the_same_component_and_engine() {
        let made = CompiledCode { component: Digest::of(b"c"), engine: Digest::of(b"e"), code: b"code".to_vec() };
        let key = SealingKey::new([7; 32]);
        let sealed = made.seal(&key);
        let open = |bytes: &[u8], key: &SealingKey, component: &[u8], engine: &[u8]| {
            CompiledCode::open(bytes, key, Digest::of(component), Digest::of(engine)).err()
        };
        assert_eq!(open(&sealed, &key, b"c", b"e"), None);
        assert_eq!(open(&sealed, &SealingKey::new([8; 32]), b"c", b"e"), Some(CacheError::Forged));
        assert_eq!(open(&sealed, &key, b"x", b"e"), Some(CacheError::Forged));
        assert_eq!(open(&sealed, &key, b"c", b"x"), Some(CacheError::Forged));
        assert_eq!(open(b"", &key, b"c", b"e"), Some(CacheError::Format));
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            *changed.get_mut(position).unwrap() ^= 1;
            assert!(open(&changed, &key, b"c", b"e").is_some(), "byte {position}");
        }
    }
}
