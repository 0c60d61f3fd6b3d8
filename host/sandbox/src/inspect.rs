//! Reads a component's outside without compiling it: what it imports, what it
//! exports, what it begins with ([`crate::needs`]), and the manifest that is embedded in it.
//!
//! Of names and manifest only the outermost level counts. A manifest inside a nested module is somebody
//! else's; two manifests are a choice that a signature does not settle, so both are
//! refused. Function bodies are not validated here: compiling does that.

use std::ops::Range;

use portreeve_model::id::Digest;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

use crate::limits::{COMPONENT_BYTES_MAX, to_u64};
use crate::needs::{Count, NESTING_MAX, Needs};

/// The name of the custom section that holds the manifest.
pub const MANIFEST_SECTION: &str = "portreeve:manifest";

/// Bytes of a manifest. It is parsed before anything is trusted.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// Bytes of one function. The time to compile a function grows faster than its length, and one
/// of a megabyte takes most of a minute; the largest of CPython's has 427 kilobytes.
pub const FUNCTION_BYTES_MAX: u64 = 512 * 1024;

/// Imports and exports of a component, each. They are listed, stored and compared
/// with grants.
const NAMES_MAX: usize = 256;

/// A component's outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Digest of the whole file: code and manifest.
    pub digest: Digest,
    /// Names of what it imports: interfaces with their versions, without mere
    /// names of types.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
    /// What it takes before its first instruction runs.
    pub needs: Needs,
    /// The manifest, TOML as `wit/README.md` describes it. Not parsed.
    pub manifest: String,
}

/// Why a file is no plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// It is too large to look at.
    #[error("the component has {found} bytes; at most {COMPONENT_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size.
        found: u64,
    },
    /// It is a core module.
    #[error("this is a core module; build a component, for Rust with the linker `wasm-component-ld`")]
    CoreModule,
    /// It is cut off, or no WebAssembly at all.
    #[error("this is no component: {message}")]
    Malformed {
        /// What is wrong and where.
        message: String,
    },
    /// One of its functions is too large to compile.
    #[error(
        "the component has a function of {found} bytes at byte {at}; at most {FUNCTION_BYTES_MAX} are allowed; split it, or keep its tables in data"
    )]
    FunctionTooLarge {
        /// Bytes of its body.
        found: u64,
        /// Where the body begins in the file.
        at: u64,
    },
    /// Its parts are in one another without an end.
    #[error("the component has parts within parts more than {NESTING_MAX} deep")]
    TooDeep,
    /// It imports or exports too much.
    #[error("the component has more than {NAMES_MAX} {what}")]
    TooMany {
        /// Imports or exports.
        what: &'static str,
    },
    /// There is no manifest.
    #[error("the component has no section `{MANIFEST_SECTION}`; build it with `portreeve plugin build`")]
    NoManifest,
    /// There is more than one.
    #[error("the component has more than one section `{MANIFEST_SECTION}`; expected exactly one")]
    SeveralManifests,
    /// It is too large to read.
    #[error("the manifest has {found} bytes; at most {MANIFEST_BYTES_MAX} are allowed")]
    ManifestTooLarge {
        /// Its size.
        found: u64,
    },
    /// It is not text.
    #[error("the manifest is not UTF-8")]
    ManifestNotText,
}

/// Reads a component's outside.
///
/// # Errors
/// One sentence when the bytes are no component, or have not exactly one manifest.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    if to_u64(bytes.len()) > COMPONENT_BYTES_MAX {
        return Err(InspectError::TooLarge { found: to_u64(bytes.len()) });
    }

    let mut outside = Outside::default();
    let mut count = Count::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(malformed)?;
        let outermost = count.depth() == 0;
        if outermost && matches!(payload, Payload::Version { encoding: Encoding::Module, .. }) {
            return Err(InspectError::CoreModule);
        }
        count.note(&payload).map_err(malformed)?;
        if count.depth() > NESTING_MAX {
            return Err(InspectError::TooDeep);
        }
        if let Payload::CodeSectionEntry(body) = &payload {
            check_function(&body.range())?;
        }
        if outermost {
            outside.note(payload)?;
        }
    }

    let manifest = outside.manifest.take().ok_or(InspectError::NoManifest)?;
    let Outside { imports, exports, .. } = outside;
    Ok(Inspection { digest: Digest::of(bytes), imports, exports, needs: count.needs(), manifest })
}

fn check_function(body: &Range<usize>) -> Result<(), InspectError> {
    let found = to_u64(body.len());
    if found > FUNCTION_BYTES_MAX {
        return Err(InspectError::FunctionTooLarge { found, at: to_u64(body.start) });
    }
    Ok(())
}

/// What was seen at the outermost level so far.
#[derive(Default)]
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
    manifest: Option<String>,
}

impl Outside {
    fn note(&mut self, payload: Payload<'_>) -> Result<(), InspectError> {
        match payload {
            Payload::ComponentImportSection(section) => {
                for import in section {
                    let import = import.map_err(malformed)?;
                    // The name of a type gives no access to anything.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        push("imports", &mut self.imports, import.name.name)?;
                    }
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    push("exports", &mut self.exports, export.map_err(malformed)?.name.name)?;
                }
            }
            Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                if self.manifest.is_some() {
                    return Err(InspectError::SeveralManifests);
                }
                self.manifest = Some(manifest(section.data())?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn push(what: &'static str, names: &mut Vec<String>, name: &str) -> Result<(), InspectError> {
    if names.len() >= NAMES_MAX {
        return Err(InspectError::TooMany { what });
    }
    names.push(name.to_owned());
    Ok(())
}

fn manifest(data: &[u8]) -> Result<String, InspectError> {
    if data.len() > MANIFEST_BYTES_MAX {
        return Err(InspectError::ManifestTooLarge { found: to_u64(data.len()) });
    }
    String::from_utf8(data.to_vec()).map_err(|_| InspectError::ManifestNotText)
}

fn malformed(error: wasmparser::BinaryReaderError) -> InspectError {
    // The reader lists bytes over several lines; a sentence is one.
    let message: Vec<&str> = error.message().split_whitespace().collect();
    InspectError::Malformed { message: format!("{} at byte {}", message.join(" "), error.offset()) }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn component(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn finds_the_manifest_the_imports_and_the_exports() {
        let bytes = component(
            r#"(component
                (import "portreeve:plugin/log@0.1.0" (instance))
                (import "order" (type (sub resource)))
                (core module (@custom "portreeve:manifest" "somebody else's"))
                (@custom "portreeve:manifest" "[plugin]"))"#,
        );
        let seen = inspect(&bytes).unwrap();
        assert_eq!(seen.manifest, "[plugin]");
        assert_eq!(seen.imports, ["portreeve:plugin/log@0.1.0"]);
        assert_eq!(seen.digest, Digest::of(&bytes));
    }

    #[test]
    fn refuses_what_is_no_component_with_one_manifest() {
        let twice = component(r#"(component (@custom "portreeve:manifest" "a") (@custom "portreeve:manifest" "b"))"#);
        assert_eq!(inspect(&twice), Err(InspectError::SeveralManifests));
        assert_eq!(inspect(&component("(component)")), Err(InspectError::NoManifest));
        assert_eq!(inspect(&component("(module)")), Err(InspectError::CoreModule));
        let nested = component(r#"(component (core module (@custom "portreeve:manifest" "a")))"#);
        assert_eq!(inspect(&nested), Err(InspectError::NoManifest));
    }

    #[test]
    fn refuses_a_function_that_would_take_a_minute_to_compile() {
        let of = |nops: usize| {
            component(&format!(
                r#"(component (@custom "portreeve:manifest" "[plugin]") (core module (func {})))"#,
                "nop ".repeat(nops)
            ))
        };
        // Beside them the body has the number of its locals and its end.
        let most = usize::try_from(FUNCTION_BYTES_MAX).unwrap() - 2;
        assert!(inspect(&of(most)).is_ok());
        let error = inspect(&of(most + 1)).unwrap_err();
        assert!(matches!(error, InspectError::FunctionTooLarge { found: 524_289, .. }), "{error}");
    }

    #[test]
    fn parts_within_parts_are_refused_before_they_fill_the_memory() {
        // A component of nothing but the beginnings of components, each as long as the rest.
        let preamble = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        let mut bytes = preamble.to_vec();
        for _ in 0..1_000 {
            let length = u32::try_from(bytes.len()).unwrap();
            let leb128 = [length & 127 | 128, length >> 7 & 127 | 128, length >> 14 & 127]
                .map(|byte| u8::try_from(byte).unwrap());
            bytes = [&preamble[..], &[4], &leb128, &bytes].concat();
        }
        assert_eq!(inspect(&bytes), Err(InspectError::TooDeep));
    }

    #[test]
    fn refuses_every_cut_and_every_garbage_without_panicking() {
        let whole = component(r#"(component (core module (func)) (@custom "portreeve:manifest" "[plugin]"))"#);
        for length in 0..whole.len() {
            let cut: Vec<u8> = whole.iter().copied().take(length).collect();
            assert!(inspect(&cut).is_err(), "cut to {length} bytes");
        }
        assert!(matches!(inspect(b"not wasm"), Err(InspectError::Malformed { .. })));
    }
}
