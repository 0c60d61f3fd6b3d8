//! What an upgrade asks for beyond what the version before it asked for.
//!
//! A version number says nothing about it: it is a new import that widens a plugin, in a
//! patch version as well. So two manifests are compared, key by key and whatever keys there
//! are, and an upgrade that asks for more is taken only with a grant that was given for it.

use std::fmt;

use portreeve_sandbox::{LimitChoices, Limits};
use serde::Serialize;
use toml::Value;

use crate::manifest::Manifest;

/// One thing that an upgrade asks for and its predecessor did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// The manifest's key, for example `imports.lookup`.
    pub key: String,
    /// What the predecessor asked for.
    pub before: String,
    /// What this one asks for.
    pub now: String,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}, before {}", self.key, self.now, self.before)
    }
}

/// Everything that grew.
#[must_use]
pub fn growth(before: &Manifest, now: &Manifest) -> Vec<Growth> {
    let mut grown = Vec::new();
    let (was, is) = (&before.plugin, &now.plugin);
    for (key, before, now) in [
        ("plugin.publisher", was.publisher.clone(), is.publisher.clone()),
        ("plugin.kind", was.kind.to_string(), is.kind.to_string()),
    ] {
        if before != now {
            grown.push(Growth { key: key.to_owned(), before, now });
        }
    }
    compare("imports", tree(&before.imports), tree(&now.imports), &mut grown);
    grown.extend(limits(&before.limits, &now.limits));
    compare("handles", tree(&before.handles), tree(&now.handles), &mut grown);
    grown
}

/// Limits that a call may use more of: an absent one is the default.
fn limits(before: &LimitChoices, now: &LimitChoices) -> impl Iterator<Item = Growth> + use<> {
    let asked = |choices: &LimitChoices| Limits::smallest(choices, choices);
    let pairs = asked(before).named().zip(asked(now).named());
    pairs.filter(|((_, before), (_, now))| now > before).map(|((name, before), (_, now))| Growth {
        key: format!("limits.{name}"),
        before: before.to_string(),
        now: now.to_string(),
    })
}

/// A section as TOML. What has no TOML cannot be compared, and then counts as grown.
fn tree(section: &impl Serialize) -> Value {
    Value::try_from(section).unwrap_or_else(|error| Value::String(format!("unreadable: {error}")))
}

fn compare(key: &str, before: Value, now: Value, grown: &mut Vec<Growth>) {
    let mut more = |before: String, now: String| grown.push(Growth { key: key.to_owned(), before, now });
    match (before, now) {
        (Value::Table(mut before), Value::Table(now)) => {
            for (name, now) in now {
                let was = before.remove(&name).unwrap_or_else(|| nothing_like(&now));
                compare(&format!("{key}.{name}"), was, now, grown);
            }
        }
        (Value::Array(before), Value::Array(now)) => {
            let new: Vec<String> = now.iter().filter(|one| !before.contains(one)).map(shown).collect();
            if !new.is_empty() {
                more(
                    format!("[{}]", before.iter().map(shown).collect::<Vec<_>>().join(", ")),
                    format!("also {}", new.join(", ")),
                );
            }
        }
        (Value::Boolean(before), Value::Boolean(now)) if before || !now => {}
        (Value::Integer(before), Value::Integer(now)) if now <= before => {}
        (before, now) if before == now => {}
        (before, now) => more(shown(&before), shown(&now)),
    }
}

/// What an absent key means.
fn nothing_like(value: &Value) -> Value {
    match value {
        Value::Table(_) => Value::Table(toml::Table::new()),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Boolean(_) => Value::Boolean(false),
        Value::Integer(_) => Value::Integer(0),
        _ => Value::String("nothing".to_owned()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().take(80).collect(),
        other => other.to_string().chars().take(80).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn manifest(rest: &str) -> Manifest {
        let plugin = "[plugin]\nname = \"a\"\nversion = \"0.1.0\"\nkind = \"connector\"\ncontract = \"portreeve:plugin@0.1.0\"\ndescription = \"d\"\npublisher = \"p\"\nlicense = \"l\"\n";
        Manifest::parse(&format!("{plugin}{rest}")).unwrap()
    }

    fn grown(before: &str, now: &str) -> Vec<String> {
        growth(&manifest(before), &manifest(now)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn whatever_an_upgrade_asks_for_beyond_its_predecessor_is_named() {
        assert_eq!(
            grown(
                "[imports]\nlookup = [\"item\"]\n",
                "[imports]\nlog = true\nlookup = [\"item\", \"customer\"]\nhttp = [\"GET\"]\n[handles]\nreceives = [\"x12/850\"]\n"
            ),
            [
                "`imports.http`: also GET, before []",
                "`imports.log`: true, before false",
                "`imports.lookup`: also customer, before [item]",
                "`handles.receives`: also x12/850, before []",
            ]
        );
        let other = manifest("").plugin;
        let mut now = manifest("");
        now.plugin.publisher = "q".to_owned();
        assert_eq!(growth(&manifest(""), &now).len(), 1, "{other:?}");
    }

    #[test]
    fn a_limit_grows_from_the_default_where_nothing_was_asked_for() {
        let default = Limits::DEFAULT.cpu_ms;
        let more = format!("[limits]\ncpu_ms = {}\n", default + 1);
        assert_eq!(grown("", &more), [format!("`limits.cpu_ms`: {}, before {default}", default + 1)]);
        assert!(grown("", &format!("[limits]\ncpu_ms = {default}\n")).is_empty());
        assert!(grown(&more, "").is_empty(), "less is no growth");
        assert_eq!(grown("[limits]\nwall_ms = 100\n", "").len(), 1, "the default is more than a small ask");
    }

    #[test]
    fn less_is_no_growth() {
        assert!(
            grown("[imports]\nlog = true\nkv = true\nnumbers = [\"a\", \"b\"]\n", "[imports]\nnumbers = [\"b\"]\n")
                .is_empty()
        );
    }
}
