//! Model files: what scorers and transformers may read beside their input.
//!
//! A file lies in the configured folder under the hexadecimal digits of its SHA-256 and
//! nothing else. It is read once, at the start, compared with its name and kept in
//! memory: what decisions are made with cannot change under them, and a decision that is
//! made again reads the same bytes.
//!
//! The attack is a path. A guest never says one: it names a digest that its manifest
//! declares, and the name of the file is written by the host. The folder is a capability,
//! so a link in it leads nowhere else; a link itself is no model file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use async_trait::async_trait;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use portreeve_model::{Digest, PluginName};
use portreeve_registry::Installed;
use portreeve_sandbox::Artifacts;

/// The model files that installed plugins declare, by digest.
#[derive(Default)]
pub struct ModelFiles(BTreeMap<Digest, Arc<Vec<u8>>>);

impl ModelFiles {
    /// The files that these plugins declare. One that is held here already is not read
    /// again: a swap of one plugin asks nothing of the others' files.
    ///
    /// # Errors
    /// When one is missing, is no file, is another one than its name says, or is too large.
    pub fn next<'a>(
        &self,
        folder: Option<&Path>,
        plugins: impl IntoIterator<Item = (&'a PluginName, &'a Installed)>,
    ) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for (name, plugin) in plugins {
            let mut left = plugin.plugin.spec().limits.artifact_bytes;
            for digest in &plugin.manifest.imports.artifact {
                let held = self.0.get(digest).filter(|bytes| fits(bytes, left)).cloned();
                let bytes = match held {
                    Some(bytes) => bytes,
                    None => Arc::new(
                        read(folder, *digest, left).with_context(|| format!("plugin `{name}` reads model {digest}"))?,
                    ),
                };
                left = left.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                files.insert(*digest, bytes);
            }
        }
        Ok(Self(files))
    }
}

/// One file, if it is what its name says and fits into what is left of the limit.
fn read(folder: Option<&Path>, digest: Digest, left: u64) -> anyhow::Result<Vec<u8>> {
    let folder = folder.context("no folder has model files; name it as `models` in [host]")?;
    let name = hex::encode(digest.as_bytes());
    let path = || -> PathBuf { folder.join(&name) };
    let unreadable = || format!("`{}` cannot be read", path().display());
    let directory = Dir::open_ambient_dir(folder, ambient_authority())
        .with_context(|| format!("the folder `{}` cannot be opened", folder.display()))?;
    let metadata = directory.symlink_metadata(&name).with_context(unreadable)?;
    if !metadata.is_file() {
        bail!("`{}` is no file; put the model itself there, not a link to it", path().display());
    }
    let mut bytes = Vec::new();
    let file = directory.open(&name).with_context(unreadable)?;
    file.take(left.saturating_add(1)).read_to_end(&mut bytes).with_context(unreadable)?;
    if !fits(&bytes, left) {
        bail!(
            "`{}` has more than the {left} bytes that are left of the plugin's `artifact_bytes`; ask for more in its manifest and grant it",
            path().display()
        );
    }
    let found = Digest::of(&bytes);
    if found != digest {
        bail!("`{}` has digest {found}; put the file there that its name says", path().display());
    }
    Ok(bytes)
}

fn fits(bytes: &[u8], left: u64) -> bool {
    u64::try_from(bytes.len()).is_ok_and(|length| length <= left)
}

#[async_trait]
impl Artifacts for ModelFiles {
    async fn size(&self, digest: &Digest) -> Option<u64> {
        u64::try_from(self.0.get(digest)?.len()).ok()
    }

    async fn read(&self, digest: &Digest, offset_bytes: u64, length_bytes: u64) -> Option<Vec<u8>> {
        let bytes = self.0.get(digest)?;
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let (from, to) = (at(offset_bytes), at(offset_bytes.saturating_add(length_bytes)));
        Some(bytes.get(from..to)?.to_vec())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const MODEL: &[u8] = b"a model";

    fn named(digest: Digest) -> String {
        hex::encode(digest.as_bytes())
    }

    #[test]
    fn a_model_is_the_file_that_its_digest_says_and_no_link() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let digest = Digest::of(MODEL);
        let path = folder.path().join(named(digest));
        let refused = |left: u64| format!("{:#}", read(Some(folder.path()), digest, left).unwrap_err());
        assert!(refused(100).contains("cannot be read"));
        assert!(format!("{:#}", read(None, digest, 100).unwrap_err()).contains("`models` in [host]"));

        std::fs::write(outside.path().join("model"), MODEL).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outside.path().join("model"), &path).unwrap();
            assert!(refused(100).contains("is no file"));
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::create_dir(&path).unwrap();
        assert!(refused(100).contains("is no file"));
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, b"another").unwrap();
        assert!(refused(100).contains("has digest"));

        std::fs::write(&path, MODEL).unwrap();
        assert!(refused(6).contains("`artifact_bytes`"));
        assert_eq!(read(Some(folder.path()), digest, 7).unwrap(), MODEL);
    }

    #[tokio::test]
    async fn a_read_beyond_the_end_ends_there() {
        let digest = Digest::of(MODEL);
        let models = ModelFiles([(digest, Arc::new(MODEL.to_vec()))].into());
        assert_eq!(models.size(&digest).await, Some(7));
        for (offset, length, expected) in
            [(0, 7, &b"a model"[..]), (2, 3, b"mod"), (2, u64::MAX, b"model"), (7, 1, b""), (u64::MAX, u64::MAX, b"")]
        {
            assert_eq!(models.read(&digest, offset, length).await.unwrap(), expected);
        }
        assert_eq!(models.read(&Digest::of(b"other"), 0, 1).await, None);
    }
}
