//! The folder of a target: what is sent there is a file, complete or not there.
//!
//! ```text
//! POST /NAME ─▶ outbox/.NAME.part, on the disk ─rename─▶ outbox/NAME
//! ```
//!
//! A partner, or a program that transfers files for him, takes files out and removes them. The
//! danger is a file that he takes while it grows, or that is half there after a power cut. So
//! it is written under another name, and gets its own when all of it is on the disk.
//!
//! **Answers** are those of an HTTP target, so that a delivery to a folder is a delivery as any
//! other: 201 when it is there, 200 when the same bytes are there already, 409 when a file of
//! that name has others, 400 for what is no name, 429 when the folder cannot be written now.
//! After 4xx there is no file. Where a disk fails after the rename nobody knows, and it is
//! written again, under the same name. Whoever has taken it by then finds it a second time,
//! with the same bytes: control numbers tell partners so.
//!
//! The folder is opened for each file: one that is mounted later is found, and one whose mount
//! point is empty is not made.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use portreeve_sandbox::OutTray;

use super::places::{NAME_BYTES_MAX, UNFINISHED};

/// A folder that takes a target's messages.
#[derive(Debug, Clone)]
pub struct Tray {
    folder: PathBuf,
    /// One file at a time: two of one name would meet between the look and the rename.
    turn: Arc<Mutex<()>>,
}

/// What was in the way.
enum Trouble {
    /// There is no file: a sentence for the log.
    NotThere(io::Error),
    /// There may be one.
    Unclear(io::Error),
}

impl Tray {
    /// That of a folder, which has to be there when something is sent.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), turn: Arc::default() }
    }

    /// Whether files can be put there.
    ///
    /// # Errors
    /// When it is no folder that can be written.
    pub fn check(&self) -> io::Result<()> {
        let probe = ".portreeve.part";
        let folder = self.open()?;
        folder.open_with(probe, OpenOptions::new().write(true).create(true))?;
        folder.remove_file(probe)
    }

    fn open(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(&self.folder, ambient_authority())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<u16, Trouble> {
        // Nothing is kept in it that a panic could have left half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.open().map_err(Trouble::NotThere)?;
        match there(&folder, name).map_err(Trouble::NotThere)? {
            Some(found) => return Ok(if found == bytes { 200 } else { 409 }),
            None => write_aside(&folder, name, bytes).map_err(Trouble::NotThere)?,
        }
        folder.rename(aside(name), &folder, name).map_err(Trouble::NotThere)?;
        // The name is there; whether it survives the loss of power is the disk's word.
        folder.open(".").and_then(|folder| folder.sync_all()).map_err(Trouble::Unclear)?;
        Ok(201)
    }
}

/// The bytes of a file that is there.
fn there(folder: &Dir, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match folder.open(name).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(|_| Some(bytes)),
    }
}

fn aside(name: &str) -> String {
    format!(".{name}.part")
}

/// Writes the file under a name that nobody takes, and waits for the disk.
fn write_aside(folder: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = aside(name);
    // A crash may have left one, and somebody else may have put a link there.
    match folder.remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = folder.open_with(&aside, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The name that a path ends with, where it can be a file's that others take.
fn name(path_and_query: &str) -> Option<&str> {
    let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let is_whole = !name.starts_with('.') && !UNFINISHED.iter().any(|ending| name.ends_with(ending));
    ((1..=NAME_BYTES_MAX).contains(&name.len()) && is_plain && is_whole).then_some(name)
}

#[async_trait]
impl OutTray for Tray {
    async fn take(&self, method: &str, path_and_query: &str, body: &[u8]) -> Result<u16, String> {
        if method != "POST" {
            return Ok(405);
        }
        let Some(name) = name(path_and_query) else { return Ok(400) };
        let (tray, name, body) = (self.clone(), name.to_owned(), body.to_vec());
        // Disks can hang: nobody else's work waits on this thread.
        match tokio::task::spawn_blocking(move || tray.put(&name, &body)).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(Trouble::NotThere(error))) => {
                tracing::warn!(%error, "the outbox of a target cannot be written; it is tried again");
                Ok(429)
            }
            Ok(Err(Trouble::Unclear(error))) => Err(format!("the file may be there or not: {error}")),
            Err(error) => Err(format!("writing was cut short: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    async fn taken(tray: &Tray, path: &str, body: &[u8]) -> u16 {
        tray.take("POST", path, body).await.unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_is_there_once_and_another_under_its_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tray = Tray::at(folder.path());
        tray.check().unwrap();
        assert_eq!(taken(&tray, "/out/810-000000001.edi", b"ISA one").await, 201);
        assert_eq!(taken(&tray, "/810-000000001.edi", b"ISA one").await, 200);
        assert_eq!(taken(&tray, "/810-000000001.edi", b"ISA two").await, 409);
        assert_eq!(files(folder.path()), ["810-000000001.edi"]);
        assert_eq!(std::fs::read(folder.path().join("810-000000001.edi")).unwrap(), b"ISA one");
    }

    #[tokio::test]
    async fn what_a_crash_left_half_is_written_anew_and_never_taken_for_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let tray = Tray::at(folder.path());
        std::fs::write(folder.path().join(".1.edi.part"), b"IS").unwrap();
        assert_eq!(taken(&tray, "/1.edi", b"ISA one").await, 201);
        assert_eq!(files(folder.path()), ["1.edi"]);
        // Somebody put a link where the host writes: it is not followed.
        let outside = folder.path().join("outside");
        std::fs::write(&outside, b"theirs").unwrap();
        std::os::unix::fs::symlink(&outside, folder.path().join(".2.edi.part")).unwrap();
        assert_eq!(taken(&tray, "/2.edi", b"ISA two").await, 201);
        assert_eq!(std::fs::read(outside).unwrap(), b"theirs");
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_waited_for_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let mounted = folder.path().join("mounted");
        let tray = Tray::at(&mounted);
        assert!(tray.check().is_err());
        assert_eq!(taken(&tray, "/1.edi", b"ISA").await, 429);
        assert!(!mounted.exists());
        std::fs::create_dir(&mounted).unwrap();
        assert_eq!(taken(&tray, "/1.edi", b"ISA").await, 201);
    }

    #[tokio::test]
    async fn no_path_leads_out_of_the_folder_or_to_a_name_that_is_taken_for_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        let tray = Tray::at(folder.path());
        for path in ["/", "/..", "/.hidden", "/a.tmp", "/a.part", "/a%2Fb", "/a b", "/ü.edi", "/?x=1"] {
            assert_eq!(taken(&tray, path, b"ISA").await, 400, "{path}");
        }
        assert_eq!(taken(&tray, "/../1.edi", b"ISA").await, 201, "the last part alone is the name");
        assert_eq!(tray.take("PUT", "/2.edi", b"ISA").await.unwrap(), 405);
        assert_eq!(files(folder.path()), ["1.edi"]);
    }
}
