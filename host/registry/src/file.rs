//! Reading a file that somebody else names or writes.
//!
//! Danger: the file is not what its name says. One of many gigabytes, or a device without
//! an end, would be in memory before anybody compared its size; a pipe would be waited for
//! as long as nobody writes to it. So what is opened is looked at first, at its name and
//! again once it is open, and never more is read than is allowed, and one byte.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use portreeve_sandbox::limits::COMPONENT_BYTES_MAX;

/// Bytes of a small file: a manifest, a signature, a key, a token, a certificate.
pub const SMALL_BYTES_MAX: usize = 64 * 1024;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not give it.
    #[error("`{}` cannot be read: {}", .path.display(), self.why())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is something else.
    #[error("`{}` cannot be read: {}", .path.display(), self.why())]
    NotRegular {
        /// What was named.
        path: PathBuf,
        /// `a folder`, `a pipe` and the like.
        found: &'static str,
    },
    /// It is larger than such a file can be.
    #[error("`{}` cannot be read: {}", .path.display(), self.why())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size; where it grew meanwhile, what was read of it.
        found: u64,
        /// The limit.
        allowed: usize,
    },
    /// It is to hold text.
    #[error("`{}` cannot be read: {}", .path.display(), self.why())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where it is no text any more.
        at: usize,
    },
}

impl FileError {
    /// The same without the file's name, for a log that does not name files.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Unreadable { error, .. } => error.to_string(),
            Self::NotRegular { found, .. } => {
                format!("it is {found}; expected a regular file, so name one or put one there")
            }
            Self::TooLarge { found, allowed, .. } => format!("it has {found} bytes; expected at most {allowed}"),
            Self::NotText { at, .. } => format!("it is not UTF-8 from byte {at} on; expected text"),
        }
    }

    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { error, .. } if error.kind() == ErrorKind::NotFound)
    }
}

/// Reads a regular file of at most so many bytes.
///
/// # Errors
/// When there is none, it is something else, or it is larger.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
    // Looked at before it is opened, since opening alone makes a device do something.
    fits(path, &std::fs::metadata(path).map_err(unreadable)?, bytes_max)?;
    let file = open(path).map_err(unreadable)?;
    // Another one may have taken its place in between.
    let metadata = file.metadata().map_err(unreadable)?;
    fits(path, &metadata, bytes_max)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // One byte more than allowed, to see that it is too large, should it grow.
    file.take(to_u64(bytes_max).saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > bytes_max {
        let found = to_u64(bytes.len());
        return Err(FileError::TooLarge { path: path.to_owned(), found, allowed: bytes_max });
    }
    Ok(bytes)
}

/// Reads a component, which has a size of its own.
///
/// # Errors
/// As [`read`].
pub fn read_component(path: &Path) -> Result<Vec<u8>, FileError> {
    read(path, usize::try_from(COMPONENT_BYTES_MAX).unwrap_or(usize::MAX))
}

/// The same of a file that holds text.
///
/// # Errors
/// As [`read`], and when it is no UTF-8.
pub fn read_text(path: &Path, bytes_max: usize) -> Result<String, FileError> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|error| FileError::NotText { path: path.to_owned(), at: error.utf8_error().valid_up_to() })
}

fn fits(path: &Path, metadata: &Metadata, bytes_max: usize) -> Result<(), FileError> {
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path.to_owned(), found: kind(metadata.file_type()) });
    }
    if metadata.len() > to_u64(bytes_max) {
        return Err(FileError::TooLarge { path: path.to_owned(), found: metadata.len(), allowed: bytes_max });
    }
    Ok(())
}

fn to_u64(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// A pipe that took the file's place is opened without waiting for its writer.
#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
fn kind(found: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match found {
        found if found.is_dir() => "a folder",
        found if found.is_fifo() => "a pipe",
        found if found.is_socket() => "a socket",
        found if found.is_block_device() || found.is_char_device() => "a device",
        _ => "no file",
    }
}

#[cfg(not(unix))]
fn kind(found: FileType) -> &'static str {
    if found.is_dir() { "a folder" } else { "no file" }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_refused_beyond_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (bytes, allowed) in [(0, 0), (1, 0), (1, 1), (5, 4), (4, 4), (4, 5), (4, usize::MAX)] {
            std::fs::write(&path, vec![b'x'; bytes]).unwrap();
            match read(&path, allowed) {
                Ok(read) => assert!(read.len() == bytes && bytes <= allowed),
                Err(error) => {
                    let expected = format!("cannot be read: it has {bytes} bytes; expected at most {allowed}");
                    assert!(error.to_string().ends_with(&expected), "{error}");
                    assert!(bytes > allowed && !error.is_not_found());
                }
            }
        }
        // As large as a disk, and nothing of it is read.
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read(&path, 100), Err(FileError::TooLarge { found, .. }) if found == 1 << 40));
    }

    #[test]
    fn what_is_no_regular_file_is_named_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&folder.path().join("none"), 9).unwrap_err();
        assert!(missing.is_not_found() && missing.to_string().contains("cannot be read: No such file"), "{missing}");
        let said = read(folder.path(), 9).unwrap_err().to_string();
        assert!(said.ends_with("it is a folder; expected a regular file, so name one or put one there"), "{said}");
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
            let socket = folder.path().join("socket");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&pipe, &link).unwrap();
            for (path, found) in
                [(&pipe, "a pipe"), (&link, "a pipe"), (&socket, "a socket"), (&"/dev/zero".into(), "a device")]
            {
                let said = read(path, 9).unwrap_err().to_string();
                assert!(said.contains(&format!("it is {found};")), "{said}");
            }
            // Opening alone does not wait either, should one take the file's place.
            assert!(!open(&pipe).unwrap().metadata().unwrap().is_file());
        }
    }

    #[test]
    fn a_link_to_a_file_is_the_file_and_what_is_no_text_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"ab\xff").unwrap();
        let said = read_text(&path, 9).unwrap_err().to_string();
        assert!(said.contains("not UTF-8 from byte 2 on"), "{said}");
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert_eq!(read(&link, 3).unwrap(), b"ab\xff");
        }
    }
}
