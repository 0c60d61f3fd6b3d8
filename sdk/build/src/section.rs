//! The manifest's place in a component: one custom section at component level,
//! so that one digest covers the code and what it asks for.
//!
//! ```text
//! 00                      custom section
//! LEB128                  bytes that follow
//! LEB128 "portreeve:manifest"
//! plugin.toml, verbatim
//! ```
//!
//! It is appended behind the last section, where the binary format allows one
//! in any component; nothing else of the component changes.

/// The section's name.
pub const SECTION_NAME: &str = "portreeve:manifest";

/// `\0asm`, version 13, layer 1: a component, where a core module has version 1, layer 0.
const COMPONENT_PREAMBLE: [u8; 8] = [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00];
const CUSTOM_SECTION_ID: u8 = 0;

/// Why a manifest can't be embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionError {
    /// Not a component.
    #[error(
        "it is no component; the crate needs `crate-type = [\"cdylib\"]` and one of the macros `connector!`, `transformer!`, `scorer!`"
    )]
    NotAComponent,
    /// A section's length runs over the end.
    #[error("its section at byte {offset} is longer than the file; build it again")]
    Truncated {
        /// Where the section starts.
        offset: usize,
    },
    /// There is a manifest in it.
    #[error("it has a manifest already; embed into what the compiler wrote")]
    Embedded,
}

/// The component with `manifest` embedded.
///
/// # Errors
/// When the bytes are no component, or one that has a manifest.
pub fn embed(component: &[u8], manifest: &[u8]) -> Result<Vec<u8>, SectionError> {
    refuse_second_manifest(component)?;
    let mut content = Vec::with_capacity(manifest.len() + SECTION_NAME.len() + 1);
    push_leb128(&mut content, SECTION_NAME.len());
    content.extend_from_slice(SECTION_NAME.as_bytes());
    content.extend_from_slice(manifest);

    let mut embedded = component.to_vec();
    embedded.push(CUSTOM_SECTION_ID);
    push_leb128(&mut embedded, content.len());
    embedded.extend_from_slice(&content);
    Ok(embedded)
}

/// Walks the top-level sections; what is nested in them has no say.
fn refuse_second_manifest(component: &[u8]) -> Result<(), SectionError> {
    let mut rest = component.strip_prefix(&COMPONENT_PREAMBLE).ok_or(SectionError::NotAComponent)?;
    while let Some((id, after_id)) = rest.split_first() {
        let truncated = SectionError::Truncated { offset: component.len() - rest.len() };
        let (length, after_length) = take_leb128(after_id).ok_or(truncated)?;
        let (content, next) = after_length.split_at_checked(length).ok_or(truncated)?;
        if *id == CUSTOM_SECTION_ID && section_name(content) == Some(SECTION_NAME.as_bytes()) {
            return Err(SectionError::Embedded);
        }
        rest = next;
    }
    Ok(())
}

fn section_name(content: &[u8]) -> Option<&[u8]> {
    let (length, rest) = take_leb128(content)?;
    rest.get(..length)
}

/// Unsigned LEB128: seven bits a byte, lowest first, the high bit says that more follow.
fn push_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// A section's length has 32 bits, so at most five bytes.
fn take_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn appends_the_manifest_behind_an_empty_component() {
        let embedded = embed(&COMPONENT_PREAMBLE, b"[plugin]").unwrap();
        let mut expected = COMPONENT_PREAMBLE.to_vec();
        expected.extend_from_slice(&[0, 27, 18]);
        expected.extend_from_slice(b"portreeve:manifest[plugin]");
        assert_eq!(embedded, expected);
    }

    #[test]
    fn writes_lengths_over_127_in_several_bytes() {
        for value in [0, 127, 128, 16_383, 16_384, 70_000] {
            let mut bytes = Vec::new();
            push_leb128(&mut bytes, value);
            bytes.push(0xff);
            assert_eq!(take_leb128(&bytes), Some((value, &[0xff_u8][..])));
        }
    }

    #[test]
    fn refuses_core_modules_broken_components_and_second_manifests() {
        let module = [0x00, b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00];
        assert_eq!(embed(&module, b""), Err(SectionError::NotAComponent));

        let mut broken = COMPONENT_PREAMBLE.to_vec();
        broken.extend_from_slice(&[1, 200, 1, 0]);
        assert_eq!(embed(&broken, b""), Err(SectionError::Truncated { offset: 8 }));

        let embedded = embed(&COMPONENT_PREAMBLE, b"[plugin]").unwrap();
        assert_eq!(embed(&embedded, b"[plugin]"), Err(SectionError::Embedded));
    }
}
