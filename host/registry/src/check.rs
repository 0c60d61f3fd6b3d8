//! Everything that is wrong with a package, at once: what a partner wants to know before
//! it is sent, and not one thing a day.

use std::fmt;

use portreeve_model::Instant;
use portreeve_sandbox::{Inspection, LimitChoices, Limits, PluginSpec, Sandbox};
use serde::Serialize;

use crate::grant::{PlatformGrant, without_effect};
use crate::manifest::Manifest;
use crate::package::Package;
use crate::signature::Signature;
use crate::trust::{Occasion, TrustPolicy};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it is about: `component`, `manifest`, `signature`, `trust`, `grant`, `imports-and-exports`.
    pub about: &'static str,
    /// One sentence: what was found, what was expected, what to do.
    pub sentence: String,
}

impl Problem {
    fn of(about: &'static str, sentence: impl fmt::Display) -> Self {
        Self { about, sentence: sentence.to_string() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.about, self.sentence)
    }
}

/// What a package was checked against; what is absent is not asked.
#[derive(Debug, Default)]
pub struct Against<'a> {
    /// Whose packages are taken.
    pub trust: Option<&'a TrustPolicy>,
    /// What the platform team would grant it.
    pub grant: Option<&'a PlatformGrant>,
}

/// Everything that is wrong with a component and its signature file. Nothing of it runs;
/// it is compiled, as a host would, once it can be told what it is for.
#[must_use]
pub fn check(
    sandbox: &Sandbox,
    component: &[u8],
    signature: Option<&str>,
    against: &Against<'_>,
    now: Instant,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let inspected =
        portreeve_sandbox::inspect(component).map_err(|error| problems.push(Problem::of("component", error)));
    let manifest = inspected.as_ref().ok().and_then(|seen| read_manifest(seen, &mut problems));
    problems.extend(signature_problems(component, signature, manifest.as_ref(), against, now));
    if let Some(manifest) = &manifest {
        if let Some(grant) = against.grant {
            let gaps = grant.gaps(&manifest.plugin.name, &manifest.imports);
            problems.extend(gaps.iter().map(|gap| Problem::of("grant", gap)));
            problems.extend(limit_problems(sandbox, manifest, grant));
        }
        problems.extend(loading(sandbox, component, manifest));
    }
    problems
}

fn read_manifest(seen: &Inspection, problems: &mut Vec<Problem>) -> Option<Manifest> {
    match Manifest::read(&seen.manifest) {
        Ok(manifest) => Some(manifest),
        Err(errors) => {
            problems.extend(errors.iter().map(|error| Problem::of("manifest", error)));
            None
        }
    }
}

/// What the signature file gets wrong by itself, and what a trust policy says to it.
fn signature_problems(
    component: &[u8],
    signature: Option<&str>,
    manifest: Option<&Manifest>,
    against: &Against<'_>,
    now: Instant,
) -> Vec<Problem> {
    if let Some(error) = signature.and_then(|text| Signature::parse(text).err()) {
        return vec![Problem::of("signature", error)];
    }
    if let (Some(trust), Ok(package)) = (against.trust, Package::read(component, signature)) {
        let reasons = trust.judge(&package, Occasion::New, now).err();
        let reasons = reasons.iter().flat_map(|untrusted| untrusted.reasons());
        return reasons.map(|reason| Problem::of("trust", reason)).collect();
    }
    match (signature.and_then(|text| Signature::parse(text).ok()), manifest) {
        (None, _) => vec![Problem::of("signature", "it is not signed; sign it with `portreeve plugin sign`")],
        (Some(signature), Some(manifest)) => {
            let differs = signature.differs_from(manifest, portreeve_model::Digest::of(component));
            differs.iter().map(|error| Problem::of("signature", error)).collect()
        }
        (Some(_), None) => Vec::new(),
    }
}

/// Limits of the grant that can have no effect, and what an ask or a grant does not change.
fn limit_problems(sandbox: &Sandbox, manifest: &Manifest, grant: &PlatformGrant) -> Vec<Problem> {
    let about = &manifest.plugin;
    match grant.settle(&about.name, about.kind, &manifest.limits, &sandbox.most()) {
        Ok(settled) => {
            without_effect(&about.name, &settled).iter().map(|remark| Problem::of("grant", remark)).collect()
        }
        Err(error) => vec![Problem::of("grant", error)],
    }
}

/// What compiling and loading it finds.
fn loading(sandbox: &Sandbox, component: &[u8], manifest: &Manifest) -> Vec<Problem> {
    let kind = manifest.plugin.kind;
    let code = match sandbox.compile(kind, component) {
        Ok(code) => code,
        Err(error) => return vec![Problem::of("component", error)],
    };
    let limits = Limits::smallest(&manifest.limits, &LimitChoices::default());
    let spec = PluginSpec {
        name: manifest.plugin.name.clone(),
        kind,
        digest: code.component(),
        limits,
        declared: manifest.declared(),
    };
    sandbox.problems(&spec, &code).iter().map(|error| Problem::of("imports-and-exports", error)).collect()
}
