//! The directories of a watched folder and the steps on them, each of which may be
//! the last one before a crash.
//!
//! A step either happened or did not: files move by rename, and what is written gets
//! its name when it is whole and on the disk. Every handle is a capability for one
//! directory: a link in it leads nowhere else.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, FileType, FileTypeExt, Metadata, MetadataExt, OpenOptions};
use portreeve_api::INPUT_BYTES_MAX;
use portreeve_model::Digest;

use super::Refusal;
use crate::config::FolderEntry;

/// Bytes of a name: ours add a key and an ending, and systems allow 255.
pub(super) const NAME_BYTES_MAX: usize = 200;

/// Where files are that were taken and have come to no end yet. In the inbox, so that
/// taking is a rename, and beginning with a dot, so that it is no file of a sender.
const TAKEN: &str = ".taken";

/// Names that a sender writes under until the file is whole.
pub(super) const UNFINISHED: [&str; 4] = [".tmp", ".part", ".partial", ".filepart"];

/// Names of one list. An inbox with a million files would otherwise be as many in
/// memory.
const NAMES_MAX: usize = 10_000;

/// Files that wait at once. More would hide in `.taken` what operators look for in
/// the inbox.
const TAKEN_MAX: usize = 1_000;

/// What a file turned out to be.
#[derive(Debug)]
pub(super) enum Taken {
    /// All of it.
    Bytes(Vec<u8>),
    /// Somebody else moved it.
    Gone,
    /// Nothing that can be an input.
    Unusable(Refusal),
}

/// The directories of a watched folder.
pub(super) struct Places {
    inbox: Dir,
    taken: Dir,
    outbox: Dir,
    failed: Dir,
    archive: Option<Dir>,
    suffix: Option<String>,
    /// The inbox's path.
    inbox_path: PathBuf,
    /// All of them by name, the inbox first.
    paths: Vec<(&'static str, PathBuf)>,
    /// Held as long as the folder is watched: a second host would take the same files.
    _lock: std::fs::File,
}

impl Places {
    /// Opens the directories, which have to be there: an inbox that the host made by
    /// itself would be the one below a mount point that is not mounted.
    pub(super) fn open(entry: &FolderEntry, base: &Path) -> anyhow::Result<Self> {
        let (inbox, inbox_path) = directory("inbox", base, &entry.inbox)?;
        let (outbox, outbox_path) = directory("outbox", base, &entry.outbox)?;
        let (failed, failed_path) = directory("failed", base, &entry.failed)?;
        let archive = entry.archive.as_ref().map(|archive| directory("archive", base, archive)).transpose()?;
        let mut paths = vec![("inbox", inbox_path.clone()), ("outbox", outbox_path), ("failed", failed_path)];
        paths.extend(archive.as_ref().map(|(_, path)| ("archive", path.clone())));
        apart(&paths)?;

        let taken = taken(&inbox).with_context(|| format!("`{}` cannot be made in the inbox", TAKEN))?;
        let lock = lock(&taken)?;
        let archive = archive.map(|(archive, _)| archive);
        let moved_to = [("failed", Some(&failed)), ("archive", archive.as_ref())];
        for (name, place) in moved_to.into_iter().filter_map(|(name, place)| Some((name, place?))) {
            if place.dir_metadata()?.dev() != taken.dir_metadata()?.dev() {
                bail!(
                    "`{name}` is on another file system than `inbox`, where files cannot be moved at once; put both on one"
                );
            }
        }
        for (name, place) in [("outbox", Some(&outbox)), ("failed", Some(&failed)), ("archive", archive.as_ref())] {
            if let Some(place) = place {
                writable(place)
                    .with_context(|| format!("`{name}` cannot be written; let the host's user write there"))?;
            }
        }
        let suffix = entry.suffix.clone();
        Ok(Self { inbox, taken, outbox, failed, archive, suffix, inbox_path, paths, _lock: lock })
    }

    /// Whether each one's inbox is apart from all places of the other. The rest they may
    /// share: nobody here takes what lies in an outbox or among the failed ones.
    pub(super) fn apart_from(&self, other: &Self) -> anyhow::Result<()> {
        for (one, another) in [(self, other), (other, self)] {
            let inbox = &one.inbox_path;
            let mut places = another.paths.iter();
            if let Some((name, path)) = places.find(|(_, path)| path.starts_with(inbox) || inbox.starts_with(path)) {
                bail!(
                    "the inbox `{}` of a watched folder is, holds or lies in `{}`, the `{name}` of another one: what the host puts there would come back as an input; keep them apart",
                    inbox.display(),
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// What is to be taken: what was taken before and came to no end, then what is
    /// whole in the inbox, each in the order of names.
    pub(super) fn list(&self) -> io::Result<Vec<OsString>> {
        let left = names(&self.taken, |name| !name.as_encoded_bytes().starts_with(b"."))?;
        // While a namesake is under way, the later one waits.
        let mut whole = names(&self.inbox, |name| self.is_whole(name) && !left.contains(name))?;
        if left.len() >= TAKEN_MAX {
            whole.clear();
        }
        Ok(left.into_iter().chain(whole).collect())
    }

    fn is_whole(&self, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        !name.starts_with(b".")
            && !UNFINISHED.iter().any(|ending| name.ends_with(ending.as_bytes()))
            && self.suffix.as_ref().is_none_or(|suffix| name.ends_with(suffix.as_bytes()))
    }

    /// Takes a file out of the inbox, where it still is there, and reads it.
    pub(super) fn take(&self, name: &OsStr) -> io::Result<Taken> {
        if self.taken.symlink_metadata(name).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            match self.inbox.rename(name, &self.taken, name) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Taken::Gone),
                moved => moved?,
            }
        }
        if plain(name).is_none() {
            return Ok(Taken::Unusable(Refusal::Name));
        }
        let metadata = self.taken.symlink_metadata(name)?;
        if !metadata.is_file() {
            return Ok(Taken::Unusable(Refusal::NotAFile { found: kind(metadata.file_type()) }));
        }
        let limit = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
        if metadata.len() > limit {
            return Ok(Taken::Unusable(Refusal::TooLarge { found_bytes: metadata.len() }));
        }
        let mut body = Vec::new();
        match self.taken.open(name).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut body)) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Ok(Taken::Unusable(Refusal::Unreadable(error.to_string())));
            }
            read => read?,
        };
        // It may have grown since.
        match u64::try_from(body.len()) {
            Ok(found_bytes) if found_bytes > limit => Ok(Taken::Unusable(Refusal::TooLarge { found_bytes })),
            _ => Ok(Taken::Bytes(body)),
        }
    }

    /// Puts the reply to a file that is on record into the outbox, whole and on the
    /// disk, and only then the file away. Doing it again does the same.
    pub(super) fn answer_and_archive(&self, name: &OsStr, key: &str, reply: &[u8]) -> io::Result<()> {
        let stem = plain(name).unwrap_or(UNNAMED);
        write_whole(&self.outbox, &format!("{stem}.{key}.reply"), reply)?;
        match &self.archive {
            Some(archive) => self.put_away(name, archive, &format!("{stem}.{key}")),
            None => self.taken.remove_file(name),
        }
    }

    /// Puts a file that nothing was taken of among the failed ones, with the reason
    /// before it and, before that, what its sender is told in the outbox. Doing it again does the same.
    pub(super) fn set_aside(&self, name: &OsStr, reason: &[u8], reply: Option<&[u8]>) -> io::Result<()> {
        let metadata = match self.taken.symlink_metadata(name) {
            // It could not even be taken.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.inbox.rename(name, &self.taken, name)?;
                self.taken.symlink_metadata(name)?
            }
            metadata => metadata?,
        };
        let (stem, key) = (plain(name).unwrap_or(UNNAMED), key(name, &metadata));
        if let Some(reply) = reply {
            write_whole(&self.outbox, &format!("{stem}.{key}.reply"), reply)?;
        }
        write_whole(&self.failed, &format!("{stem}.{key}.reason.json"), reason)?;
        self.put_away(name, &self.failed, &format!("{stem}.{key}"))
    }

    fn put_away(&self, name: &OsStr, place: &Dir, to: &str) -> io::Result<()> {
        self.taken.rename(name, place, to)?;
        // Where both names are links to one file, renaming does nothing and says so to nobody.
        match self.taken.remove_file(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// What stands for a name that cannot be part of others.
const UNNAMED: &str = "unnamed";

/// A name that can be part of others, and of a message.
fn plain(name: &OsStr) -> Option<&str> {
    name.to_str().filter(|name| name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control))
}

/// Tells files of one name apart, the same way after a crash: their bytes may be too
/// many to read.
fn key(name: &OsStr, metadata: &Metadata) -> String {
    let (seconds, nanoseconds) = (metadata.mtime().to_be_bytes(), metadata.mtime_nsec().to_be_bytes());
    let (length, inode) = (metadata.len().to_be_bytes(), metadata.ino().to_be_bytes());
    Digest::of_parts(&[name.as_encoded_bytes(), &length, &inode, &seconds, &nanoseconds]).short()
}

fn kind(found: FileType) -> &'static str {
    if found.is_symlink() {
        "link"
    } else if found.is_dir() {
        "directory"
    } else if found.is_fifo() {
        "pipe"
    } else {
        "device or socket"
    }
}

fn names(place: &Dir, wanted: impl Fn(&OsStr) -> bool) -> io::Result<BTreeSet<OsString>> {
    let mut names = BTreeSet::new();
    for entry in place.entries()? {
        let name = entry?.file_name();
        if wanted(&name) {
            names.insert(name);
        }
        if names.len() == NAMES_MAX {
            break;
        }
    }
    Ok(names)
}

/// Writes a file that is there as a whole or not at all, also after a power cut.
fn write_whole(place: &Dir, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unfinished = format!(".{name}.part");
    // A crash may have left one, and somebody else may have put a link there.
    match place.remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = place.open_with(&unfinished, OpenOptions::new().write(true).create_new(true))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    place.rename(&unfinished, place, name)?;
    place.open(".")?.sync_all()
}

fn directory(name: &str, base: &Path, path: &Path) -> anyhow::Result<(Dir, PathBuf)> {
    let path = base.join(path);
    let what = || format!("`{name}` is `{}`, which is no folder that can be opened; make it first", path.display());
    let opened = Dir::open_ambient_dir(&path, ambient_authority()).with_context(what)?;
    Ok((opened, path.canonicalize().with_context(what)?))
}

/// One within another would have the host take its own replies for orders.
fn apart(paths: &[(&str, PathBuf)]) -> anyhow::Result<()> {
    for (index, (name, path)) in paths.iter().enumerate() {
        for (other, folder) in paths.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, other)| other) {
            if path.starts_with(folder) {
                bail!("`{name}` is `{}`, which is in or the same as `{other}`; keep them apart", path.display());
            }
        }
    }
    Ok(())
}

fn taken(inbox: &Dir) -> io::Result<Dir> {
    // Nobody but the host changes what is under way.
    match inbox.create_dir_with(TAKEN, DirBuilder::new().mode(0o700)) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    inbox.open_dir(TAKEN)
}

fn lock(taken: &Dir) -> anyhow::Result<std::fs::File> {
    let options = OpenOptions::new().write(true).create(true).clone();
    let lock = taken.open_with(".lock", &options).context("`.taken/.lock` cannot be made in the inbox")?.into_std();
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another process watches the inbox; stop it, or give each an inbox of its own")
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).context("the inbox cannot be locked"),
    }
}

/// A place that cannot be written is found at the start and not with the first order.
fn writable(place: &Dir) -> io::Result<()> {
    let probe = ".portreeve.part";
    place.open_with(probe, OpenOptions::new().write(true).create(true))?;
    place.remove_file(probe)
}
