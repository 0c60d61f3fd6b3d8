//! Where a plugin may go, and whether a request goes there. Pure: no name is
//! resolved and nothing is sent.
//!
//! ```toml
//! [[plugin.egress]]
//! origin = "https://erp.example:8443"     # scheme, host and port, each exactly
//! methods = ["GET", "POST"]               # without it every method that `http` grants
//! paths = ["/api/v2.0"]                   # without it every path
//! addresses = ["10.20.0.0/16"]            # special networks that the name may lead to
//! window = { requests_max = 6000, seconds = 300 }   # what it takes in some minutes, of everybody here
//! ```
//!
//! The attack is a URL that two readers read differently: this check and the target.
//! So there is one reader, the WHATWG's, and what it made of the URL is what is sent.
//! What a target might read in another way still (an encoded slash, a dot behind two
//! encodings or before a semicolon) is refused where paths are limited.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::address;
use super::window::WindowEntry;

/// Where a plugin may go, as the platform team states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Scheme, host and port.
    pub origin: Origin,
    /// Upper case; empty means all that the plugin was granted in `http`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Whole segments from the beginning of a path; empty means all.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Networks that are not public and may be reached. A literal address in `origin`
    /// is granted by standing there.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// Requests that all plugins together may begin there in a second.
    #[serde(default = "super::pace::host_requests_per_second_default")]
    pub requests_per_second: u32,
    /// Requests that it takes within some minutes, where it counts so: whatever this host sends to
    /// the origin for any plugin, with sessions and tokens; notices and streams are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowEntry>,
    /// Failures in a row after which nothing is sent there for a while.
    #[serde(default = "super::pace::breaker_failures_default")]
    pub breaker_failures: u32,
    /// How long nothing is sent, milliseconds; then one request tries.
    #[serde(default = "super::pace::breaker_open_ms_default")]
    pub breaker_open_ms: u32,
}

/// Scheme, host and port, normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    https: bool,
    host: Host<String>,
    port: u16,
}

portreeve_model::as_text!(Origin, Origin::parse);

/// Why a request does not leave. Each says what would allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URL, or one of another kind.
    #[error("`{0}` is no http or https URL with a host; write it out as `https://HOST/PATH`")]
    NoUrl(String),
    /// Credentials are the host's.
    #[error("the URL has a user or a password in it; credentials are the host's, so leave them out")]
    UserInfo,
    /// The target is another one.
    #[error(
        "`{found}` is not the origin of this target, `{origin}`; another `origin` in its [[target]] would allow it"
    )]
    OtherOrigin {
        /// Where it wanted to go.
        found: String,
        /// Where it may.
        origin: Origin,
    },
    /// The platform team did not grant it.
    #[error("`{plugin}` is not granted {asked} at `{origin}`; `{key}` of a [[plugin.egress]] would allow it")]
    NotGranted {
        /// Who asks.
        plugin: String,
        /// For what.
        asked: String,
        /// Where.
        origin: Origin,
        /// The line that would allow it.
        key: &'static str,
    },
    /// Two readers could read its path differently.
    #[error("the path has a segment that can be read in two ways; write slashes and dots without encoding")]
    AmbiguousPath,
    /// It leads into a network that is not public.
    #[error("`{host}` leads to the {what} address {address}; `addresses` beside its `origin` or `url` would allow it")]
    Address {
        /// The name, or the address itself.
        host: String,
        /// The kind of network.
        what: &'static str,
        /// Where it leads.
        address: IpAddr,
    },
    /// Nobody knows where it is.
    #[error("the name `{host}` cannot be resolved: {why}")]
    Unresolved {
        /// The name.
        host: String,
        /// In one word.
        why: String,
    },
}

/// What a request asks for, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) origin: Origin,
    /// Path and query, normalised: what is sent.
    pub(crate) path_and_query: String,
    path: String,
}

impl Asked {
    /// Reads a URL.
    pub(crate) fn read(url: &str) -> Result<Self, Refused> {
        let no_url = || Refused::NoUrl(shown(url));
        let parsed = Url::parse(url).map_err(|_| no_url())?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let origin = Origin::of(&parsed).ok_or_else(no_url)?;
        let path = parsed.path().to_owned();
        let path_and_query = parsed.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        Ok(Self { origin, path_and_query, path })
    }
}

impl Destination {
    /// The destinations among these that the request is for.
    pub(crate) fn judge<'a>(
        plugin: &str,
        destinations: &'a [Self],
        method: &str,
        asked: &Asked,
    ) -> Result<&'a Self, Refused> {
        let refused = |what: String, key| Refused::NotGranted {
            plugin: plugin.to_owned(),
            asked: what,
            origin: asked.origin.clone(),
            key,
        };
        let mut there = destinations.iter().filter(|granted| granted.origin == asked.origin).peekable();
        if there.peek().is_none() {
            return Err(refused("anything".to_owned(), "origin"));
        }
        let mut with_method = there.filter(|granted| granted.takes_method(method)).peekable();
        if with_method.peek().is_none() {
            return Err(refused(method.to_owned(), "methods"));
        }
        // Where any path will do, no reading of it is a danger.
        let mut ambiguous = false;
        for granted in with_method {
            if granted.paths.is_empty() {
                return Ok(granted);
            }
            ambiguous |= is_ambiguous(&asked.path);
            if !ambiguous && granted.paths.iter().any(|prefix| begins_with(&asked.path, prefix)) {
                return Ok(granted);
            }
        }
        if ambiguous {
            return Err(Refused::AmbiguousPath);
        }
        Err(refused("this path".to_owned(), "paths"))
    }

    fn takes_method(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|granted| granted == method)
    }

    /// The addresses that were resolved, all of them checked, with the port.
    pub(crate) fn pin(&self, found: &[IpAddr]) -> Result<Vec<SocketAddr>, Refused> {
        let host = || self.origin.host_text();
        if found.is_empty() {
            return Err(Refused::Unresolved { host: host(), why: "it has no address".to_owned() });
        }
        let literal = self.origin.address();
        found
            .iter()
            .map(|address| {
                let address = address::canonical(*address);
                if literal != Some(address) {
                    address::judge(address, &self.addresses).map_err(|what| Refused::Address {
                        host: host(),
                        what,
                        address,
                    })?;
                }
                Ok(SocketAddr::new(address, self.origin.port))
            })
            .collect()
    }

    /// What is wrong with it beyond its grammar.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        for method in self.methods.iter().filter(|method| !methods.contains(&method.as_str())) {
            problems.push(format!("`methods` has `{method}`; expected one of {}", methods.join(", ")));
        }
        for path in &self.paths {
            let read = Asked::read(&format!("{}{path}", self.origin));
            if !path.starts_with('/') || read.map_or(true, |asked| asked.path != *path) || is_ambiguous(path) {
                problems.push(format!(
                    "`paths` has `{path}`; expected the beginning of a path, from its `/` on, as it is sent"
                ));
            }
        }
        for (key, value) in [
            ("requests_per_second", self.requests_per_second),
            ("breaker_failures", self.breaker_failures),
            ("breaker_open_ms", self.breaker_open_ms),
        ] {
            if value == 0 {
                problems.push(format!("`{key}` is 0; expected 1 or more"));
            }
        }
        problems.extend(self.window.into_iter().flat_map(WindowEntry::problems));
        problems
    }
}

impl Origin {
    /// Reads scheme, host and port; nothing may follow them.
    ///
    /// # Errors
    /// One sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no origin; expected `https://HOST` or `http://HOST:PORT`", shown(text));
        let parsed = Url::parse(text).map_err(|_| wrong())?;
        let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none();
        let anonymous = parsed.username().is_empty() && parsed.password().is_none();
        // A slash at the end is a path to whoever compares texts.
        if !bare || !anonymous || text.ends_with('/') {
            return Err(wrong());
        }
        Self::of(&parsed).ok_or_else(wrong)
    }

    fn of(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = match url.host()? {
            // `erp.example.` is the same name, written out.
            Host::Domain(name) => match name.strip_suffix('.').unwrap_or(name) {
                "" => return None,
                name => Host::Domain(name.to_owned()),
            },
            Host::Ipv4(address) => Host::Ipv4(address),
            Host::Ipv6(address) => match address::canonical(IpAddr::V6(address)) {
                IpAddr::V4(address) => Host::Ipv4(address),
                IpAddr::V6(address) => Host::Ipv6(address),
            },
        };
        Some(Self { https, host, port: url.port_or_known_default()? })
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether nobody on the way can read what is sent: it is encrypted, or stays on this machine.
    pub(crate) fn is_private(&self) -> bool {
        self.https
            || match &self.host {
                Host::Domain(_) => false,
                Host::Ipv4(address) => address.is_loopback(),
                Host::Ipv6(address) => address.is_loopback(),
            }
    }

    /// The name to resolve; none for a literal address.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// The literal address, where it is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The host without brackets, as a certificate names it.
    pub(crate) fn host_text(&self) -> String {
        self.address().map_or_else(|| self.host.to_string(), |address| address.to_string())
    }

    /// As in a `host` header: the port only where it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        let own = if self.https { 443 } else { 80 };
        if self.port == own { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }
}

/// Whole segments: `/api/v2` does not let `/api/v20` through.
fn begins_with(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a segment turns into a step up or into two segments for somebody who
/// decodes once or twice, or who cuts what stands behind a semicolon.
fn is_ambiguous(path: &str) -> bool {
    path.split('/').any(|segment| {
        let once = decoded(segment.as_bytes());
        let twice = decoded(&once);
        [once, twice].iter().any(|bytes| {
            let before = bytes.split(|byte| *byte == b';').next().unwrap_or_default();
            before == b"."
                || before == b".."
                || bytes.iter().any(|byte| b"/\\".contains(byte) || byte.is_ascii_control())
        })
    })
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let pair = after.split_at_checked(2).filter(|_| *first == b'%');
        let byte = pair.and_then(|(pair, _)| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))
        });
        match (byte, pair) {
            (Some(byte), Some((_, after))) => {
                decoded.push(byte);
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// A guest's text in a sentence: short, and on one line.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests;
