//! Everything that is wrong with a package, at once: what a partner wants to know before
//! it is sent, and not one thing a day.
//!
//! So no problem hides another: what a manifest with a slip still says is looked at
//! ([`Draft`]), an unsigned component is loaded all the same, and where something cannot be
//! looked at, that is said as well. Nor does one slip make two problems: what rests on a key
//! that is wrong is not asked.

use std::fmt;

use portreeve_model::{Digest, Instant};
use portreeve_sandbox::{Declared, Inspection, LimitChoices, Limits, PluginSpec, Sandbox, Settled};
use serde::Serialize;

use crate::grant::{PlatformGrant, without_effect};
use crate::manifest::Draft;
use crate::signature::{Signature, SignatureError};
use crate::trust::{Distrust, TrustPolicy};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What it is about: `component`, `manifest`, `signature`, `trust`, `grant`, `limits`,
    /// `imports-and-exports`.
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

/// Problems of one kind that are told; of more, only how many there are.
const TOLD_MAX: usize = 50;

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
    let inspected = portreeve_sandbox::inspect(component);
    let draft = match &inspected {
        Ok(seen) => read_manifest(seen, &mut problems),
        Err(error) => {
            problems.push(Problem::of("component", error));
            None
        }
    };
    signature_problems(component, signature, draft.as_ref(), against, now, &mut problems);
    if let (Ok(seen), Some(draft)) = (&inspected, &draft) {
        grant_problems(sandbox, draft, against, &mut problems);
        limit_problems(seen, draft, against, &mut problems);
        loading(sandbox, component, draft, &mut problems);
    }
    if inspected.is_ok() && draft.is_none_or(|draft| !draft.knows("plugin.kind")) {
        let sentence = "it does not say what kind of plugin it is, so nobody could look at what it imports and exports; mend that and check it again";
        problems.push(Problem::of("manifest", sentence));
    }
    problems
}

fn read_manifest(seen: &Inspection, problems: &mut Vec<Problem>) -> Option<Draft> {
    match Draft::read(&seen.manifest) {
        Ok(draft) => {
            problems.extend(draft.slips().iter().map(|error| Problem::of("manifest", error)));
            Some(draft)
        }
        Err(error) => {
            problems.push(Problem::of("manifest", error));
            None
        }
    }
}

/// What the signature file gets wrong by itself, and what a trust policy says to it.
fn signature_problems(
    component: &[u8],
    signature: Option<&str>,
    draft: Option<&Draft>,
    against: &Against<'_>,
    now: Instant,
    problems: &mut Vec<Problem>,
) {
    let digest = Digest::of(component);
    let read = signature.map(Signature::parse).transpose();
    let unusable = read.as_ref().err().map(|error| Problem::of("signature", error));
    let is_unusable = unusable.is_some();
    problems.extend(unusable);
    let signed = read.ok().flatten();

    // A policy says all about who, what and by whom, if that is known.
    let of_whom = ["plugin.name", "plugin.publisher", "plugin.kind"];
    let known = draft.filter(|draft| of_whom.iter().all(|key| draft.knows(key)));
    if let (Some(trust), Some(draft)) = (against.trust, known) {
        let doubts = trust.doubts(draft.manifest(), digest, signed.as_ref(), now);
        let doubts = doubts.into_iter().filter(|doubt| match doubt {
            Distrust::Unsigned => !is_unusable,
            Distrust::Signature(error) => rests_on_what_is_known(error, Some(draft)),
            _ => true,
        });
        tell("trust", doubts, problems);
        return;
    }
    match signed {
        Some(signed) => {
            let manifest = draft.map(Draft::manifest);
            let differs = manifest.map(|manifest| signed.differs_from(manifest, digest)).unwrap_or_default();
            tell("signature", differs.into_iter().filter(|error| rests_on_what_is_known(error, draft)), problems);
        }
        None if is_unusable => {}
        None => problems.push(Problem::of("signature", "it is not signed; sign it with `portreeve plugin sign`")),
    }
}

/// Whether a signature differs from what the author wrote, and not from what stands for it.
fn rests_on_what_is_known(error: &SignatureError, draft: Option<&Draft>) -> bool {
    let knows = |key| draft.is_some_and(|draft| draft.knows(key));
    match error {
        SignatureError::OtherPackage { what: "plugin", .. } => knows("plugin.name"),
        SignatureError::OtherPackage { what: "version", .. } => knows("plugin.version"),
        _ => true,
    }
}

/// What it asks for and would not be granted, limits that can have no effect, and what an ask
/// or a grant does not change.
fn grant_problems(sandbox: &Sandbox, draft: &Draft, against: &Against<'_>, problems: &mut Vec<Problem>) {
    let Some(grant) = against.grant else { return };
    let manifest = draft.manifest();
    let about = &manifest.plugin;
    tell("grant", grant.gaps(&about.name, &manifest.imports).iter(), problems);
    if !draft.knows("plugin.kind") {
        return;
    }
    match grant.settle(&about.name, about.kind, &manifest.limits, &sandbox.most()) {
        Ok(settled) => {
            // An ask that could not be read is no ask for less.
            let known: Vec<Settled> =
                settled.into_iter().filter(|one| draft.knows(&format!("limits.{}", one.limit.name))).collect();
            tell("grant", without_effect(&about.name, &known).iter(), problems);
        }
        Err(error) => problems.push(Problem::of("grant", error)),
    }
}

/// What it begins with beyond its limits. Where no grant is asked about, it has what it asks for.
fn limit_problems(seen: &Inspection, draft: &Draft, against: &Against<'_>, problems: &mut Vec<Problem>) {
    let asked = &draft.manifest().limits;
    let limits = Limits::smallest(asked, against.grant.map_or(asked, |grant| &grant.limits));
    let beyond = seen.needs.beyond(&limits).filter(|beyond| draft.knows(&format!("limits.{}", beyond.limit)));
    tell("limits", beyond, problems);
}

/// What compiling and loading it finds.
fn loading(sandbox: &Sandbox, component: &[u8], draft: &Draft, problems: &mut Vec<Problem>) {
    if !draft.knows("plugin.kind") {
        return;
    }
    let manifest = draft.manifest();
    let kind = manifest.plugin.kind;
    let code = match sandbox.compile(kind, component) {
        Ok(code) => code,
        Err(error) => return problems.push(Problem::of("component", error)),
    };
    let spec = PluginSpec {
        name: manifest.plugin.name.clone(),
        kind,
        digest: code.component(),
        limits: Limits::smallest(&manifest.limits, &LimitChoices::default()),
        declared: declared(draft),
    };
    tell("imports-and-exports", sandbox.problems(&spec, &code).iter(), problems);
}

/// What it declares. A key that is wrong was meant to declare something, and is a problem
/// already.
fn declared(draft: &Draft) -> Declared {
    let mut declared = draft.manifest().declared();
    let wrong = |key: &str| !draft.knows(&format!("imports.{key}"));
    let something = || vec!["something".to_owned()];
    declared.log |= wrong("log");
    declared.kv |= wrong("kv");
    if wrong("lookup") {
        declared.lookup = something();
    }
    if wrong("numbers") {
        declared.numbers = something();
    }
    if wrong("artifact") {
        declared.artifacts = vec![Digest::of(b"something")];
    }
    if wrong("http") {
        declared.http = something();
    }
    declared
}

/// Adds problems of one kind, so many as anybody reads.
fn tell(about: &'static str, sentences: impl Iterator<Item = impl fmt::Display>, problems: &mut Vec<Problem>) {
    let mut more = 0_usize;
    for (index, sentence) in sentences.enumerate() {
        if index < TOLD_MAX {
            problems.push(Problem::of(about, sentence));
        } else {
            more = more.saturating_add(1);
        }
    }
    if more > 0 {
        problems
            .push(Problem::of(about, format!("{more} more problem(s) of this kind are not listed; mend these first")));
    }
}
