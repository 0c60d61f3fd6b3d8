//! Packages of a publisher whom a benchmark trusts: installed as in a host, signature
//! and all.

use anyhow::Result;
use portreeve_model::strict::SourceFile;
use portreeve_model::{Instant, PluginName};
use portreeve_record::NoteKey;
use portreeve_registry::{Installed, Occasion, Package, PlatformGrant, Registry, Signature, Statement, TrustPolicy};

/// Signs a component and makes it callable.
///
/// # Errors
/// When it is no package, or cannot be installed with this grant.
pub(crate) fn install(
    registry: &Registry,
    name: &PluginName,
    component: &[u8],
    grant: &PlatformGrant,
) -> Result<Installed> {
    let unsigned = Package::read(component, None)?;
    let publisher = &unsigned.manifest().plugin.publisher;
    let key = NoteKey::from_bytes(publisher, &[7; 32])?;
    let policy = format!(
        "[[publisher]]\nname = \"{publisher}\"\nplugins = [\"*\"]\nkinds = [\"connector\", \"transformer\", \"scorer\"]\nimports = [\"log\", \"lookup\", \"http\"]\n[[publisher.key]]\nkey = \"{}\"\n",
        key.verifier()
    );
    let trust = TrustPolicy::load(&SourceFile { name: "trust.toml", text: &policy })?;
    let signature = Signature::made(Statement::of(unsigned.manifest(), unsigned.digest()), &key);
    let package = Package::read(component, Some(signature.as_str()))?;
    let trusted = trust.judge(&package, Occasion::New, Instant(0))?;
    Ok(registry.install(name, &package, &trusted, component, grant)?)
}
