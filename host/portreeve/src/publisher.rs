//! A publisher: whoever has a key and signs packages with it.
//!
//! The key is a file that only its owner can read, in the text form of signed notes
//! (`PRIVATE+KEY+name+…`). It is written once and never shown; what others need is the
//! verifying key, which goes into their `trust.toml`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portreeve_record::{NoteKey, VerifierKey};
use portreeve_registry::file::{SMALL_BYTES_MAX, read_component};
use portreeve_registry::{Package, Signature, Statement};

use crate::files;

/// Whoever signs packages.
#[derive(Debug)]
pub struct Publisher(NoteKey);

impl Publisher {
    /// Makes a key and the file that keeps it, which must not be there yet: a key that
    /// is overwritten is lost, with every signature that could follow.
    ///
    /// # Errors
    /// When the file is there or cannot be written, or the name is none.
    pub fn generate(name: &str, file: &Path) -> anyhow::Result<Self> {
        let key = NoteKey::generate(name)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = || format!("the key cannot be written to `{}`", file.display());
        // The temporary file is its owner's alone from the first byte on (mode 0600).
        let mut written = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
        writeln!(written, "{}", key.to_text()).with_context(failed)?;
        written.as_file().sync_all().with_context(failed)?;
        if let Err(error) = written.persist_noclobber(file) {
            if error.error.kind() == std::io::ErrorKind::AlreadyExists {
                bail!(
                    "`{}` is there already; choose another file, for a key that is overwritten is lost",
                    file.display()
                );
            }
            return Err(error.error).with_context(failed);
        }
        Ok(Self(key))
    }

    /// Reads a key's file.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it holds no key.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            portreeve_registry::file::read_text(file, SMALL_BYTES_MAX).context("there is no key to sign with")?;
        others_cannot_read(file)?;
        let key = NoteKey::from_text(&text).with_context(|| format!("`{}` holds no key", file.display()))?;
        Ok(Self(key))
    }

    /// What others put into `trust.toml`.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        self.0.verifier()
    }

    /// Signs a component, in a file beside it. A file that is there keeps the lines of
    /// others, so this also countersigns; one about another component is refused.
    ///
    /// # Errors
    /// When the component or the file cannot be read or written.
    pub fn sign(&self, component: &Path) -> anyhow::Result<(PathBuf, Signature)> {
        let (package, path) = read_package(component)?;
        let statement = Statement::of(package.manifest(), package.digest());
        let signature = match package.signature() {
            Some(there) if *there.statement() == statement => there.countersigned(&self.0)?,
            Some(there) => bail!(
                "`{}` is the signature of {} {} ({}), and `{}` is {} {} ({}); remove the file to sign anew",
                path.display(),
                there.statement().name,
                there.statement().version,
                there.statement().digest,
                component.display(),
                statement.name,
                statement.version,
                statement.digest
            ),
            None => Signature::made(statement, &self.0),
        };
        files::write_private(&path, signature.as_str().as_bytes())?;
        shared(&path)?;
        Ok((path, signature))
    }

    /// Signs a component as its only signer, whatever was beside it before.
    ///
    /// # Errors
    /// As [`Publisher::sign`].
    pub fn sign_anew(&self, component: &Path) -> anyhow::Result<Signature> {
        let path = Signature::beside(component);
        if path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
        }
        Ok(self.sign(component)?.1)
    }
}

/// A component with the signature beside it, where there is one, and where that lies.
///
/// # Errors
/// When one of them cannot be read or understood.
pub fn read_package(component: &Path) -> anyhow::Result<(Package, PathBuf)> {
    let bytes = read_component(component)?;
    let path = Signature::beside(component);
    let signature = read_signature(component)?;
    let package = Package::read(&bytes, signature.as_deref())
        .with_context(|| format!("`{}` cannot be used", component.display()))?;
    Ok((package, path))
}

/// The signature file beside a component, where there is one.
///
/// # Errors
/// When it is there and cannot be read, or is no text.
pub fn read_signature(component: &Path) -> anyhow::Result<Option<String>> {
    let path = Signature::beside(component);
    let bytes = files::read_if_there(&path)?;
    let text = bytes.map(String::from_utf8).transpose();
    text.with_context(|| {
        format!("`{}` is no text; sign the component again with `portreeve plugin sign`", path.display())
    })
}

/// Whoever can read the key can sign as its owner.
#[cfg(unix)]
fn others_cannot_read(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode =
        std::fs::metadata(file).with_context(|| format!("`{}` cannot be used", file.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "`{}` can be read by others (mode {:o}); run `chmod 600` on it, or make a new key",
            file.display(),
            mode & 0o777
        );
    }
    Ok(())
}

#[cfg(not(unix))]
fn others_cannot_read(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// A signature is for everybody; the temporary file that it was is not.
#[cfg(unix)]
fn shared(file: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let failed = || format!("`{}` cannot be shared", file.display());
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).with_context(failed)
}

#[cfg(not(unix))]
fn shared(_: &Path) -> anyhow::Result<()> {
    Ok(())
}
