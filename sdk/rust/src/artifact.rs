//! Read-only model files of transformers and scorers, named by digest.
//!
//! The manifest declares them: `[imports] artifact = ["sha256:…"]`.

use crate::bindings::shared::portreeve::plugin::artifact;

pub use artifact::ArtifactError;

/// Bytes per read: below the host's limit for one answer.
const CHUNK_BYTES: u32 = 64 * 1024;

/// Size in bytes of a file.
///
/// # Errors
/// When it is not granted or the host doesn't have it.
pub fn size(digest: &str) -> Result<u64, ArtifactError> {
    artifact::size(digest)
}

/// Up to `length` bytes from `offset`; fewer at the end.
///
/// # Errors
/// As [`size`].
pub fn read(digest: &str, offset: u64, length: u32) -> Result<Vec<u8>, ArtifactError> {
    artifact::read(digest, offset, length)
}

/// The whole file. It has to fit the plugin's memory.
///
/// # Errors
/// As [`size`].
pub fn read_all(digest: &str) -> Result<Vec<u8>, ArtifactError> {
    let mut bytes = Vec::new();
    let mut offset = 0_u64;
    loop {
        let chunk = artifact::read(digest, offset, CHUNK_BYTES)?;
        if chunk.is_empty() {
            return Ok(bytes);
        }
        offset += chunk.len() as u64;
        bytes.extend_from_slice(&chunk);
    }
}
