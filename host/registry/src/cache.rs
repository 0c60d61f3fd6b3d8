//! Compiled code on disk, keyed by component digest and engine.
//!
//! Compiled code is machine code: whoever can change it owns the host. So every
//! entry is sealed with a key that is kept outside the cache folder, and what was
//! verified is what is loaded, never the file again. Entries are written to a new
//! name and renamed: a half-written or overwritten file is never mapped.
//!
//! A cache only saves time. Whatever lies in an entry's place, the component is compiled
//! again; what cannot be put there is compiled at each start.

use std::io::Write;
use std::path::{Path, PathBuf};

use portreeve_model::{Digest, PluginKind};
use portreeve_sandbox::{CacheError, CompiledCode, Sandbox, SealingKey};

use crate::file::{self, FileError, SMALL_BYTES_MAX};

/// Bytes of an entry. Machine code is some ten times as large as the component that it was
/// made from, and a larger entry is compiled again.
const ENTRY_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CodeCacheError {
    /// A file or folder does not behave.
    #[error("the cache of compiled code at `{path}` cannot be used: {source}; check the folder's owner and free space")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file with the key is none.
    #[error("the key of the cache of compiled code cannot be used: {0}; delete it to have a new one made")]
    Key(FileError),
    /// An entry is not what this host wrote.
    #[error("compiled code at `{path}` is not what this host wrote: {source}")]
    Rejected {
        /// The entry.
        path: PathBuf,
        /// What differs.
        source: CacheError,
    },
    /// What lies in an entry's place cannot be read.
    #[error("no compiled code can be read: {0}")]
    Unreadable(FileError),
    /// The system has no random numbers.
    #[error("no random key could be made: {0}")]
    NoRandom(String),
}

/// A folder of sealed compiled code.
pub struct CodeCache {
    folder: PathBuf,
    key: SealingKey,
}

impl CodeCache {
    /// Opens a cache; makes the folder and the key where they are missing.
    ///
    /// # Errors
    /// When either cannot be read or made.
    pub fn open(folder: &Path, key_file: &Path) -> Result<Self, CodeCacheError> {
        std::fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
        let key = match file::read(key_file, SMALL_BYTES_MAX) {
            Ok(bytes) => bytes.try_into().map_err(|_| {
                io(key_file, std::io::Error::other("the key file does not hold 32 bytes; delete it to make a new one"))
            })?,
            Err(error) if error.is_not_found() => make_key(key_file)?,
            Err(error) => return Err(CodeCacheError::Key(error)),
        };
        Ok(Self { folder: folder.to_owned(), key: SealingKey::new(key) })
    }

    /// The entry of a component, if it is there.
    ///
    /// # Errors
    /// [`CodeCacheError::Rejected`] when it is there and not what this host wrote,
    /// [`CodeCacheError::Unreadable`] when it is no file or cannot be read. Either way the
    /// component can be compiled.
    pub fn read(
        &self,
        sandbox: &Sandbox,
        kind: PluginKind,
        component: Digest,
    ) -> Result<Option<CompiledCode>, CodeCacheError> {
        let path = self.path(sandbox, kind, component);
        let bytes = match file::read(&path, ENTRY_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(CodeCacheError::Unreadable(error)),
        };
        CompiledCode::open(&bytes, &self.key, component, sandbox.engine_hash(kind))
            .map(Some)
            .map_err(|source| CodeCacheError::Rejected { path, source })
    }

    /// Adds or replaces an entry.
    ///
    /// # Errors
    /// When it cannot be written; the old entry, if any, is still whole.
    pub fn write(
        &self,
        sandbox: &Sandbox,
        kind: PluginKind,
        component: Digest,
        code: &CompiledCode,
    ) -> Result<(), CodeCacheError> {
        let path = self.path(sandbox, kind, component);
        write_renamed(&path, &code.seal(&self.key))
    }

    fn path(&self, sandbox: &Sandbox, kind: PluginKind, component: Digest) -> PathBuf {
        let name = Digest::of_parts(&[component.as_bytes(), sandbox.engine_hash(kind).as_bytes()]);
        self.folder.join(format!("{}.code", name.short()))
    }
}

fn make_key(file: &Path) -> Result<[u8; 32], CodeCacheError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| CodeCacheError::NoRandom(error.to_string()))?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
    }
    write_renamed(file, &key)?;
    Ok(key)
}

/// New name, owner-only rights, fsync, rename.
fn write_renamed(path: &Path, bytes: &[u8]) -> Result<(), CodeCacheError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|source| io(folder, source))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|source| io(path, source))?;
    file.persist(path).map_err(|error| io(path, error.error))?;
    Ok(())
}

fn io(path: &Path, source: std::io::Error) -> CodeCacheError {
    CodeCacheError::Io { path: path.to_owned(), source }
}
