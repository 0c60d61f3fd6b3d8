//! What the platform team grants a plugin: one method per act, and a denial
//! names the act and the line that would allow it.
//!
//! Declared *and* granted: the manifest asks, this answers. An ask beyond the
//! grant refuses the installation, so a new import in an upgrade is noticed even
//! in a patch version.
//!
//! A limit that can never have an effect refuses it, too: whoever wrote it believes in
//! it. One that has none with this component is a remark ([`without_effect`]), for the
//! next version may ask for it.

use portreeve_model::{Digest, PluginKind, PluginName};
use portreeve_sandbox::{LimitChoices, Limits, Settled};
use serde::{Deserialize, Serialize};

use crate::InstallError;
use crate::manifest::Imports;

/// A grant, as the configuration states it. Everything is off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformGrant {
    /// Exact components; empty means any of that name.
    #[serde(default)]
    pub digests: Vec<Digest>,
    /// May write log lines.
    #[serde(default)]
    pub log: bool,
    /// Reference tables it may read.
    #[serde(default)]
    pub lookup: Vec<String>,
    /// Number ranges it may take from.
    #[serde(default)]
    pub numbers: Vec<String>,
    /// Model files it may read.
    #[serde(default)]
    pub artifact: Vec<Digest>,
    /// May keep small state.
    #[serde(default)]
    pub kv: bool,
    /// HTTP methods it may send.
    #[serde(default)]
    pub http: Vec<String>,
    /// Limits: less than the default counts by itself, more only when the manifest
    /// asks for it as well.
    #[serde(default)]
    pub limits: LimitChoices,
}

impl PlatformGrant {
    /// Checks that every ask is granted.
    ///
    /// # Errors
    /// [`InstallError::NotGranted`] for the first ask that is not; [`PlatformGrant::gaps`] has all.
    pub fn covers(&self, name: &PluginName, asks: &Imports) -> Result<(), InstallError> {
        self.gaps(name, asks).into_iter().next().map_or(Ok(()), Err)
    }

    /// The limits of a plugin of this kind, each with who set it; `most` is the sandbox's
    /// hard maximum.
    ///
    /// # Errors
    /// [`InstallError::Limit`] for the first granted limit that the kind does not have,
    /// or that is more than anybody gets. 0 is a grant of none, and binds.
    pub fn settle(
        &self,
        name: &PluginName,
        kind: PluginKind,
        asks: &LimitChoices,
        most: &Limits,
    ) -> Result<Vec<Settled>, InstallError> {
        let refused = |limit: &'static str, found: String, expected: String| {
            Err(InstallError::Limit { name: name.clone(), limit, found, expected })
        };
        for limit in self.limits.named().filter_map(|(limit, granted)| granted.map(|_| limit)) {
            if !limit.binds.binds(kind) {
                let found = format!("for a {kind}");
                return refused(limit.name, found, format!("it for a {} only; remove it", limit.binds.who()));
            }
        }
        let settled = Limits::settled(kind, asks, &self.limits, most);
        let beyond =
            settled.iter().find_map(|one| Some((one.limit, one.granted.filter(|more| *more > one.limit.max)?)));
        match beyond {
            None => Ok(settled),
            Some((limit, granted)) => refused(
                limit.name,
                format!("as {granted}"),
                format!("at most {}, which is this host's hard maximum", limit.max),
            ),
        }
    }

    /// Every ask that is not granted, as [`InstallError::NotGranted`].
    #[must_use]
    pub fn gaps(&self, name: &PluginName, asks: &Imports) -> Vec<InstallError> {
        let mut gaps = Vec::new();
        self.cover_flag(name, "log", asks.log, self.log, &mut gaps);
        self.cover_flag(name, "kv", asks.kv, self.kv, &mut gaps);
        self.cover_list(name, "lookup", &asks.lookup, &self.lookup, &mut gaps);
        self.cover_list(name, "numbers", &asks.numbers, &self.numbers, &mut gaps);
        self.cover_list(name, "artifact", &asks.artifact, &self.artifact, &mut gaps);
        self.cover_list(name, "http", &asks.http, &self.http, &mut gaps);
        gaps
    }

    fn cover_flag(&self, name: &PluginName, act: &str, asked: bool, granted: bool, gaps: &mut Vec<InstallError>) {
        if asked && !granted {
            gaps.push(InstallError::NotGranted {
                name: name.clone(),
                asked: format!("`{act}`"),
                allow: format!("`{act} = true` in its grant would allow it"),
            });
        }
    }

    fn cover_list<T: PartialEq + std::fmt::Display>(
        &self,
        name: &PluginName,
        act: &str,
        asked: &[T],
        granted: &[T],
        gaps: &mut Vec<InstallError>,
    ) {
        let missing = asked.iter().filter(|ask| !granted.contains(ask));
        gaps.extend(missing.map(|ask| InstallError::NotGranted {
            name: name.clone(),
            asked: format!("`{act}` of `{ask}`"),
            allow: format!("`{ask}` in `{act}` of its grant would allow it"),
        }));
    }
}

/// What an ask or a grant does not change, one sentence each: somebody may believe in it.
#[must_use]
pub fn without_effect(name: &PluginName, settled: &[Settled]) -> Vec<String> {
    settled.iter().filter_map(|one| without_effect_of(name, one)).collect()
}

fn without_effect_of(name: &PluginName, settled: &Settled) -> Option<String> {
    let Settled { limit, value, asked, granted, .. } = settled;
    let more = |choice: &Option<u64>| choice.filter(|choice| *choice > limit.default);
    match (more(asked), more(granted)) {
        (None, Some(granted)) => Some(format!(
            "the grant of `{name}` gives `{}` = {granted} and the manifest asks for no more than {value}, so it gets that; remove the line, or have the plugin ask for more",
            limit.name
        )),
        (Some(asked), None) => Some(format!(
            "`{name}` asks for `{}` = {asked} and gets {value}; grant it under `limits`, or have the plugin ask for less",
            limit.name
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use portreeve_sandbox::SandboxOptions;

    use super::*;

    /// Settles what a plugin of this kind asks for and is granted.
    fn settle(kind: PluginKind, asks: &str, grant: &str) -> Result<Vec<Settled>, String> {
        let grant: PlatformGrant = toml::from_str(&format!("limits = {{ {grant} }}")).unwrap();
        let asks: LimitChoices = toml::from_str(asks).unwrap();
        let most = SandboxOptions::default().most();
        grant.settle(&name(), kind, &asks, &most).map_err(|error| error.to_string())
    }

    fn name() -> PluginName {
        PluginName::parse("some").unwrap()
    }

    #[test]
    fn a_granted_limit_that_can_have_no_effect_is_refused_with_what_is_expected() {
        for (kind, grant, expected) in [
            (
                PluginKind::Connector,
                "fuel = 5",
                "`limits.fuel` for a connector; expected it for a transformer or scorer only",
            ),
            (
                PluginKind::Scorer,
                "http_bytes = 5",
                "`limits.http_bytes` for a scorer; expected it for a connector only",
            ),
            (PluginKind::Scorer, "wall_ms = 300001", "expected at most 300000"),
            // Of 64 sandboxes.
            (PluginKind::Scorer, "calls_at_once = 33", "expected at most 32"),
        ] {
            let error = settle(kind, "", grant).unwrap_err();
            assert!(error.contains(expected), "{grant}: {error}");
        }
        assert!(toml::from_str::<PlatformGrant>("limits = { wall = 5 }").is_err(), "an unknown one");
    }

    #[test]
    fn an_ask_without_a_grant_and_a_grant_without_an_ask_are_remarked_upon() {
        let remarks =
            |asks: &str, grant: &str| without_effect(&name(), &settle(PluginKind::Scorer, asks, grant).unwrap());
        assert!(remarks("", "wall_ms = 5001").join("").contains("asks for no more than 5000"));
        assert!(remarks("wall_ms = 100", "wall_ms = 5001").join("").contains("asks for no more than 100"));
        assert!(remarks("wall_ms = 5001", "").join("").contains("gets 5000"));
        assert!(remarks("wall_ms = 5001", "wall_ms = 100").join("").contains("gets 100"));
        for (asks, grant) in
            [("", ""), ("", "wall_ms = 100"), ("wall_ms = 100", "wall_ms = 200"), ("wall_ms = 9000", "wall_ms = 8000")]
        {
            assert_eq!(remarks(asks, grant), Vec::<String>::new(), "{asks} {grant}");
        }
    }
}
