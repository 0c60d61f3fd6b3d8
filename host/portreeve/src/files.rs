//! Files that must be whole: written to a new name, synced, renamed. Reading within
//! limits is [`portreeve_registry::file`].

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use portreeve_registry::file;

/// Reads a small file that may be missing.
///
/// # Errors
/// When it is there and cannot be read, or has more than [`file::SMALL_BYTES_MAX`].
pub fn read_if_there(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match file::read(path, file::SMALL_BYTES_MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes a file that only its owner can read (mode 0600: the temporary file's).
///
/// # Errors
/// When the folder or the file cannot be made.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // A bare name has a parent, the empty one.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("`{}` cannot be written", path.display());
    std::fs::create_dir_all(folder).with_context(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(failed)?;
    Ok(())
}

/// As [`write_private`], unless the same bytes are already there.
///
/// # Errors
/// As [`write_private`].
pub fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    // What cannot be read, or is larger, is not the same.
    match file::read(path, bytes.len()) {
        Ok(there) if there == bytes => Ok(()),
        _ => write_private(path, bytes),
    }
}
