//! The last checkpoint, kept away from the data.
//!
//! Whoever restores an old copy of the data folder, or rewrites it and has the
//! key, produces a log that is consistent in itself. Only something outside can
//! contradict it. This file is the smallest such thing: it protects against
//! whoever reaches the data folder and not this folder. Witnesses on other
//! machines protect against more.
//!
//! **Durability.** When [`OutsideCheckpoint::keep`] returns `Ok`, the checkpoint
//! (or a later one) survives the loss of power: it is written to a new file,
//! fsynced, renamed over the old one, and the folder is fsynced. After an error
//! the old one or the new one is there, never a mixture.
//!
//! **Ordering.** Within a process the file never goes back to a smaller tree.
//! It is written after the head is committed, so it is never ahead of the data
//! unless the data went back.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portreeve_record::SignedCheckpoint;
use portreeve_record::checkpoint::CHECKPOINT_BYTES_MAX;

use crate::error::AuditError;

/// The file that holds the last checkpoint of one log.
#[derive(Debug, Clone)]
pub struct OutsideCheckpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Leaves under the checkpoint that this process last saw in the file.
    kept_size: Mutex<Option<u64>>,
}

impl OutsideCheckpoint {
    /// Keeps it in this file. The folder is made when needed.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { inner: Arc::new(Inner { path: path.into(), kept_size: Mutex::new(None) }) }
    }

    /// Keeps it in this folder, in a file named after the log's origin. Two logs
    /// with one folder need two origins.
    #[must_use]
    pub fn in_folder(folder: &Path, origin: &str) -> Self {
        // An origin may have slashes and cannot have a plus sign, so that no two
        // origins share a file.
        Self::at(folder.join(format!("{}.checkpoint", origin.replace('/', "+"))))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What is there; none when nothing was ever kept here.
    ///
    /// # Errors
    /// When the file cannot be read or is no checkpoint.
    pub fn read(&self) -> Result<Option<SignedCheckpoint>, AuditError> {
        let failed = |reason| self.file_error("read", reason);
        let file = match File::open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut text = String::new();
        let bytes_max = u64::try_from(CHECKPOINT_BYTES_MAX).unwrap_or(u64::MAX);
        // One byte more than allowed, so that the parser sees that it is too long.
        file.take(bytes_max.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
        SignedCheckpoint::parse(&text)
            .map(Some)
            .map_err(|reason| AuditError::OutsideCheckpoint { path: self.path().to_owned(), reason })
    }

    /// Keeps a checkpoint over `size` leaves, unless this process has kept one
    /// over as many or more already. Blocks until it is durable.
    ///
    /// # Errors
    /// When the file cannot be written; the same call may be repeated.
    pub fn keep(&self, checkpoint: &SignedCheckpoint, size: u64) -> Result<(), AuditError> {
        // Two sequencers of one process may come here in the wrong order. A
        // panic cannot leave the number wrong: it is set after the write.
        let mut kept_size = self.inner.kept_size.lock().unwrap_or_else(PoisonError::into_inner);
        if kept_size.is_some_and(|kept| kept >= size) {
            return Ok(());
        }
        write_durably(self.path(), checkpoint.as_str()).map_err(|reason| self.file_error("written", reason))?;
        *kept_size = Some(size);
        Ok(())
    }

    fn file_error(&self, action: &'static str, reason: io::Error) -> AuditError {
        AuditError::OutsideFile { path: self.path().to_owned(), action, reason }
    }
}

/// New name → fsync → rename → fsync of the folder: without the last one the
/// rename itself may be lost with the power.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_model::Digest;
    use portreeve_record::LogKey;

    use super::*;

    fn checkpoint(size: u64) -> SignedCheckpoint {
        let key = LogKey::from_bytes("example.com/log", &[1; 32]).unwrap();
        key.sign(size, Digest::of(b"root"))
    }

    #[test]
    fn keeps_the_latest_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let outside = OutsideCheckpoint::at(folder.path().join("a/b/log.checkpoint"));
        assert_eq!(outside.read().unwrap(), None);
        outside.keep(&checkpoint(5), 5).unwrap();
        outside.keep(&checkpoint(9), 9).unwrap();
        outside.clone().keep(&checkpoint(7), 7).unwrap();
        assert_eq!(outside.read().unwrap(), Some(checkpoint(9)));
        let left_over = std::fs::read_dir(folder.path().join("a/b")).unwrap().count();
        assert_eq!(left_over, 1);
    }

    #[test]
    fn refuses_a_file_that_is_no_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.checkpoint");
        std::fs::write(&path, "hello").unwrap();
        assert!(matches!(OutsideCheckpoint::at(&path).read(), Err(AuditError::OutsideCheckpoint { .. })));
        std::fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
        assert!(OutsideCheckpoint::at(&path).read().is_err());
    }

    #[test]
    fn keeps_the_checkpoints_of_two_logs_apart() {
        let folder = tempfile::tempdir().unwrap();
        for origin in ["a/b", "a_b", "a-b", "a.b", "a/b/c", "a/b.c"] {
            let outside = OutsideCheckpoint::in_folder(folder.path(), origin);
            assert_eq!(outside.read().unwrap(), None, "`{origin}` shares its file with another log");
            let key = LogKey::from_bytes(origin, &[1; 32]).unwrap();
            outside.keep(&key.sign(1, Digest::of(b"root")), 1).unwrap();
            assert_eq!(outside.path().parent(), Some(folder.path()));
        }
    }
}
