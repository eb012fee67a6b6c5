//! What one use of a plug-in may ask of the host: every decision in one pure type.
//!
//! A plug-in says what it *needs* for a configuration (`prepare`). The operator says what it is
//! *allowed* (`plugin "NAME" { allow { … } }`); built-ins are allowed what they ask. The [`Grant`]
//! is the needs, within what is allowed, and is asked again at every host call. Nothing here
//! opens a file or a connection: callers resolve names first and pass what they found; only the
//! directory before a `*` is resolved here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use url::{Host, Url};

use crate::address::Named;

/// A kind of thing that a plug-in can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Read a file.
    Read,
    /// Read a file and be called when it changes.
    Watch,
    /// Write a file.
    Write,
    /// Remove a file.
    Remove,
    /// Read an environment variable.
    Env,
    /// Connect to an origin.
    Connect,
    /// Ask something of the secrets server: "unwrap", "token", "trust".
    Server,
    /// Talk with the key distribution centre of a Kerberos realm.
    Kdc,
}

/// One thing that a configuration needs from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What kind of thing.
    pub capability: Capability,
    /// Which one; see `wit/plugin.wit`.
    pub target: String,
}

/// What the operator's `allow` block lists, by capability.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(pub BTreeMap<Capability, Vec<String>>);

/// Where relative names and variables in needs and allowances lead.
pub struct Surroundings<'a> {
    /// The agent's working directory, absolute.
    pub working_directory: &'a Path,
    /// The agent's home directory.
    pub home: Option<&'a Path>,
    /// Environment variables.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// What is never granted to anyone, besides the fixed list.
#[derive(Debug, Default)]
pub struct Protected {
    /// The agent's own directories and files: plug-in directory, lock, caches, sockets.
    own: Vec<PathBuf>,
    outputs: RwLock<Outputs>,
}

#[derive(Debug, Default)]
struct Outputs {
    reserved: Vec<Reservation>,
    /// Identities that a reload is about to replace: what they write is free for others.
    leaving: Vec<String>,
}

/// A sink's output. Ends with the use that reserved it.
#[derive(Debug)]
struct Reservation {
    path: PathBuf,
    usage: String,
    identity: String,
    holder: Weak<()>,
}

/// What one use may ask of the host.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    needs: Vec<Need>,
    /// None: a built-in, allowed what it asks.
    allowed: Option<Vec<Need>>,
}

/// Why a configuration gets no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The plug-in asked for a capability that this host doesn't have.
    UnknownCapability(String),
    /// A need that can't be understood, or is never granted, and why.
    Never(Need, String),
    /// Needs that the `plugin` block doesn't allow.
    NotAllowed {
        /// The plug-in's name, as in `plugin "NAME"`.
        plugin: String,
        /// All needs of the configuration.
        needs: Vec<Need>,
        /// Those that aren't allowed.
        missing: Vec<Need>,
    },
}

impl Capability {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Read,
        Self::Watch,
        Self::Write,
        Self::Remove,
        Self::Env,
        Self::Server,
        Self::Kdc,
    ];

    /// The name used in `prepare` and in `allow`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Watch => "watch",
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Env => "env",
            Self::Connect => "connect",
            Self::Server => "server",
            Self::Kdc => "kdc",
        }
    }

    fn is_file(self) -> bool {
        matches!(self, Self::Read | Self::Watch | Self::Write | Self::Remove)
    }
}

impl Protected {
    /// Protects the agent's own `paths`, and what is below them.
    pub fn new(own: Vec<PathBuf>) -> Self {
        Self { own, outputs: RwLock::default() }
    }

    /// Reserves `path` for the use that writes it there, for as long as `holder` lives.
    pub(crate) fn reserve(&self, path: PathBuf, usage: &str, identity: &str, holder: &Arc<()>) {
        let mut outputs = self.outputs.write().unwrap_or_else(PoisonError::into_inner);
        outputs.reserved.retain(|reservation| reservation.holder.strong_count() > 0);
        outputs.reserved.push(Reservation {
            path,
            usage: usage.to_owned(),
            identity: identity.to_owned(),
            holder: Arc::downgrade(holder),
        });
    }

    /// From now on these identities' outputs, and no others, are free for their successors.
    pub(crate) fn leaving(&self, identities: Vec<String>) {
        self.outputs.write().unwrap_or_else(PoisonError::into_inner).leaving = identities;
    }

    /// Why nobody, or not this use, may touch `path` (resolved).
    pub(crate) fn refuses(&self, path: &Path, usage: &str) -> Option<&'static str> {
        const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];
        // A RAM disk for ordinary files; the usual place for a token that must not reach a disk.
        if !path.starts_with("/dev/shm") && SYSTEM.iter().any(|system| path.starts_with(system)) {
            return Some("/proc, /sys and /dev are never granted");
        }
        if self.own.iter().any(|own| path.starts_with(own)) {
            return Some("it belongs to the agent itself");
        }
        let outputs = self.outputs.read().unwrap_or_else(PoisonError::into_inner);
        let taken = outputs.reserved.iter().any(|reservation| {
            reservation.path == path
                && reservation.usage != usage
                && reservation.holder.strong_count() > 0
                && !outputs.leaving.contains(&reservation.identity)
        });
        if taken {
            return Some("it is the output of another sink");
        }
        None
    }
}

impl Grant {
    /// The grant for `needs` (capability and target, as `prepare` returned them) of the plug-in
    /// called `plugin`, within `allow`; None for built-ins.
    pub fn decide(
        plugin: &str,
        needs: Vec<(String, String)>,
        allow: Option<&Allow>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, Refusal> {
        let mut asked: Vec<Need> = Vec::new();
        for (name, target) in needs {
            let capability = Capability::ALL
                .into_iter()
                .find(|capability| capability.name() == name)
                .ok_or(Refusal::UnknownCapability(name))?;
            let (expanded, variables) = if capability.is_file() || capability == Capability::Connect
            {
                surroundings.expand(&target)
            } else {
                (Some(target.clone()), Vec::new())
            };
            for variable in variables {
                asked.push(Need { capability: Capability::Env, target: variable });
            }
            // A need that names an unset variable is void.
            let Some(target) = expanded else { continue };
            let target = if capability.is_file() { surroundings.absolute(&target) } else { target };
            asked.push(Need { capability, target });
        }
        asked.dedup();
        for need in &asked {
            if let Some(why) = malformed(need) {
                return Err(Refusal::Never(need.clone(), why));
            }
        }
        let allowed = allow.map(|allow| allow.needs(surroundings));
        if let Some(allowed) = &allowed {
            let missing: Vec<Need> = asked
                .iter()
                .filter(|need| !allowed.iter().any(|allowed| covers(allowed, need)))
                .cloned()
                .collect();
            if !missing.is_empty() {
                return Err(Refusal::NotAllowed {
                    plugin: plugin.to_owned(),
                    needs: asked,
                    missing,
                });
            }
        }
        Ok(Self { needs: asked, allowed })
    }

    /// What is granted, as absolute targets.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// The files to watch, absolute.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        self.targets(Capability::Watch).map(Path::new)
    }

    /// The files to write, absolute.
    pub fn written(&self) -> impl Iterator<Item = &Path> {
        self.targets(Capability::Write).map(Path::new)
    }

    /// Granted file targets for a capability; "watch" includes "read".
    fn targets(&self, capability: Capability) -> impl Iterator<Item = &str> {
        self.needs
            .iter()
            .filter(move |need| gives(need.capability, capability))
            .map(|need| need.target.as_str())
    }

    /// Whether the file `path` may be used so. `path` is resolved; `resolve` resolves a granted
    /// path in the same way.
    pub(crate) fn permits_file(
        &self,
        capability: Capability,
        path: &Path,
        resolve: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> bool {
        let matches = |needs: &[Need]| {
            needs
                .iter()
                .filter(|need| gives(need.capability, capability))
                .any(|need| pattern_matches(&need.target, path, resolve))
        };
        matches(&self.needs) && self.allowed.as_ref().is_none_or(|allowed| matches(allowed))
    }

    /// Whether the environment variable may be read.
    pub(crate) fn permits_env(&self, name: &str) -> bool {
        self.needs.iter().any(|need| need.capability == Capability::Env && need.target == name)
    }

    /// Whether the server or Kerberos capability is granted.
    pub(crate) fn permits_named(&self, capability: Capability, target: &str) -> bool {
        self.needs.iter().any(|need| need.capability == capability && need.target == target)
    }

    /// How the grant names the host of `url`, if it permits the request.
    pub(crate) fn permits_connect(&self, url: &Url) -> Option<Named> {
        let find = |needs: &[Need]| {
            needs
                .iter()
                .filter(|need| need.capability == Capability::Connect)
                .filter_map(|need| Origin::parse(&need.target).ok())
                .filter(|origin| origin.permits(url))
                .map(|origin| origin.named())
                .max_by_key(|named| usize::from(*named != Named::Name))
        };
        let named = find(&self.needs)?;
        match &self.allowed {
            None => Some(named),
            Some(allowed) => find(allowed),
        }
    }
}

impl Allow {
    fn needs(&self, surroundings: &Surroundings<'_>) -> Vec<Need> {
        let mut needs = Vec::new();
        for (&capability, targets) in &self.0 {
            for target in targets {
                let target = if capability.is_file() {
                    match surroundings.expand(target).0 {
                        Some(target) => surroundings.absolute(&target),
                        None => continue,
                    }
                } else {
                    target.clone()
                };
                needs.push(Need { capability, target });
            }
        }
        needs
    }
}

impl Surroundings<'_> {
    /// `${NAME}` replaced; None when a variable is unset. Also the variables named.
    fn expand(&self, target: &str) -> (Option<String>, Vec<String>) {
        let mut expanded = Some(String::new());
        let mut variables = Vec::new();
        let mut rest = target;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            variables.push(name.to_owned());
            if let Some(text) = &mut expanded {
                text.push_str(&rest[..start]);
            }
            match (&mut expanded, (self.environment)(name)) {
                (Some(text), Some(value)) => text.push_str(&value),
                _ => expanded = None,
            }
            rest = &rest[start + length + 1..];
        }
        if let Some(text) = &mut expanded {
            text.push_str(rest);
        }
        (expanded, variables)
    }

    /// An absolute path without `.` and `..`, as text because it may hold a `*`.
    fn absolute(&self, path: &str) -> String {
        self.absolute_path(path).to_string_lossy().into_owned()
    }

    /// The file that a plug-in names, absolute but not resolved.
    pub(crate) fn absolute_path(&self, path: &str) -> PathBuf {
        let path = match (path.strip_prefix("~/"), self.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => PathBuf::from(path),
        };
        normal(&self.working_directory.join(path))
    }
}

/// Whether a grant of `granted` gives `asked` as well.
fn gives(granted: Capability, asked: Capability) -> bool {
    granted == asked || (granted == Capability::Watch && asked == Capability::Read)
}

/// Whether an allowance covers a need.
fn covers(allowed: &Need, need: &Need) -> bool {
    if !gives(allowed.capability, need.capability) {
        return false;
    }
    match need.capability {
        Capability::Read | Capability::Watch | Capability::Write | Capability::Remove => {
            glob(&allowed.target, &need.target)
        }
        Capability::Connect => {
            match (Origin::parse(&allowed.target), Origin::parse(&need.target)) {
                (Ok(allowed), Ok(need)) => allowed.covers(&need),
                _ => false,
            }
        }
        Capability::Env | Capability::Server | Capability::Kdc => allowed.target == need.target,
    }
}

/// Why a need can never be granted, if so.
fn malformed(need: &Need) -> Option<String> {
    match need.capability {
        Capability::Env if ["VAULT_TOKEN", "BAO_TOKEN"].contains(&need.target.as_str()) => {
            Some("the agent's own token is never handed to a plug-in".to_owned())
        }
        Capability::Env if need.target.is_empty() => Some("the name is empty".to_owned()),
        Capability::Connect => Origin::parse(&need.target).err(),
        Capability::Server if !["unwrap", "token", "trust"].contains(&need.target.as_str()) => {
            Some("\"server\" takes \"unwrap\", \"token\" or \"trust\"".to_owned())
        }
        _ => None,
    }
}

/// Whether a resolved `path` is what a granted path means. One without `*` is resolved like the
/// path itself; in one with `*` the part before it is resolved.
fn pattern_matches(granted: &str, path: &Path, resolve: &dyn Fn(&Path) -> Option<PathBuf>) -> bool {
    let Some(star) = granted.find('*') else {
        return resolve(Path::new(granted)).as_deref() == Some(path);
    };
    let Some(slash) = granted[..star].rfind('/') else { return false };
    let directory = if slash == 0 { "/" } else { &granted[..slash] };
    let Ok(directory) = std::fs::canonicalize(directory) else { return false };
    let (Some(directory), Some(path)) = (directory.to_str(), path.to_str()) else { return false };
    glob(&format!("{}{}", directory.trim_end_matches('/'), &granted[slash..]), path)
}

/// `*` matches anything, `/` too.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// `.` and `..` removed without looking at the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// `scheme://host[:port][/path-prefix]`; the host may start with `*.`.
struct Origin {
    scheme: String,
    host: HostPattern,
    port: u16,
    /// Without the trailing slash; "" for everything.
    path: String,
}

#[derive(PartialEq, Eq)]
enum HostPattern {
    /// What follows "*."; matches one or more labels before it.
    Below(String),
    Name(String),
    Address(IpAddr),
}

impl Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let explain = |what: &str| format!("{text:?} {what}; write \"https://host[:port][/path]\"");
        let (wildcard, plain) = match text.split_once("://*.") {
            Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
            None => (false, text.to_owned()),
        };
        let url = Url::parse(&plain).map_err(|_| explain("is no origin"))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(explain("is neither http nor https"));
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(explain("has more than scheme, host, port and path"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if name.contains('*') => {
                return Err(explain("has a \"*\" that doesn't stand for whole leading labels"));
            }
            Some(Host::Domain(name)) if wildcard => {
                if !name.contains('.') {
                    return Err(explain("would match a whole top-level domain"));
                }
                HostPattern::Below(name.to_owned())
            }
            Some(Host::Domain(name)) => HostPattern::Name(name.trim_end_matches('.').to_owned()),
            Some(Host::Ipv4(address)) if !wildcard => HostPattern::Address(address.into()),
            Some(Host::Ipv6(address)) if !wildcard => {
                HostPattern::Address(IpAddr::V6(address).to_canonical())
            }
            _ => return Err(explain("has no host")),
        };
        Ok(Self {
            scheme: url.scheme().to_owned(),
            host,
            port: url.port_or_known_default().unwrap_or_default(),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    fn permits(&self, url: &Url) -> bool {
        let host = match url.host() {
            Some(Host::Domain(name)) => HostPattern::Name(name.trim_end_matches('.').to_owned()),
            Some(Host::Ipv4(address)) => HostPattern::Address(address.into()),
            Some(Host::Ipv6(address)) => HostPattern::Address(IpAddr::V6(address).to_canonical()),
            None => return false,
        };
        url.scheme() == self.scheme
            && url.port_or_known_default() == Some(self.port)
            && self.host.covers(&host)
            && (self.path.is_empty() || !has_hidden_slash(url.path()))
            && below(&self.path, url.path())
    }

    fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.port == other.port
            && self.host.covers(&other.host)
            && below(&self.path, &other.path)
    }

    fn named(&self) -> Named {
        match &self.host {
            HostPattern::Address(address) => Named::Address(*address),
            HostPattern::Name(name) if name == "localhost" => Named::Localhost,
            _ => Named::Name,
        }
    }
}

impl HostPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Below(suffix), Self::Name(name)) => {
                name.strip_suffix(suffix.as_str()).is_some_and(|labels| labels.ends_with('.'))
            }
            (Self::Below(suffix), Self::Below(other)) => {
                suffix == other
                    || other
                        .strip_suffix(suffix.as_str())
                        .is_some_and(|labels| labels.ends_with('.'))
            }
            (one, other) => one == other,
        }
    }
}

/// Whether a server might see more segments in a path than are written.
fn has_hidden_slash(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    path.contains("%2f") || path.contains("%5c")
}

/// Whether `path` is `prefix` or lies below it, by whole segments.
fn below(prefix: &str, path: &str) -> bool {
    match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?}", self.capability.name(), self.target)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCapability(name) => write!(
                formatter,
                "it needs the capability {name:?}, which this version of Usher doesn't have; update Usher or use an older version of the plug-in"
            ),
            Self::Never(need, why) => {
                write!(formatter, "it needs {need}, which can't be granted: {why}")
            }
            Self::NotAllowed { plugin, needs, missing } => {
                let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
                write!(
                    formatter,
                    "its configuration needs {}, which isn't allowed; if you trust the plug-in, write\n{}",
                    list.join(", "),
                    block(plugin, needs)
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// The `plugin` block that allows `needs`, ready to paste.
pub(crate) fn block(plugin: &str, needs: &[Need]) -> String {
    let mut lines = vec![format!("plugin {plugin:?} {{"), "  allow {".to_owned()];
    for capability in Capability::ALL {
        let targets: Vec<String> = needs
            .iter()
            .filter(|need| need.capability == capability)
            .map(|need| format!("{:?}", need.target))
            .collect();
        if !targets.is_empty() {
            lines.push(format!("    {} = [{}]", capability.name(), targets.join(", ")));
        }
    }
    lines.extend(["  }".to_owned(), "}".to_owned()]);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings<T>(run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let environment = |name: &str| (name == "ROLE_DIR").then(|| "/run/role".to_owned());
        run(&Surroundings {
            working_directory: Path::new("/srv/agent"),
            home: Some(Path::new("/home/agent")),
            environment: &environment,
        })
    }

    fn needs(needs: &[(&str, &str)]) -> Vec<(String, String)> {
        needs.iter().map(|(capability, target)| ((*capability).into(), (*target).into())).collect()
    }

    fn allow(list: &[(Capability, &str)]) -> Allow {
        let mut allow = Allow::default();
        for (capability, target) in list {
            allow.0.entry(*capability).or_default().push((*target).to_owned());
        }
        allow
    }

    fn decide(
        asked: &[(&str, &str)],
        allowed: Option<&[(Capability, &str)]>,
    ) -> Result<Grant, Refusal> {
        let allowed = allowed.map(allow);
        surroundings(|around| Grant::decide("acme", needs(asked), allowed.as_ref(), around))
    }

    #[test]
    fn a_need_is_granted_only_when_the_operator_allows_it() {
        use Capability::{Connect, Env, Kdc, Read, Remove, Server, Watch, Write};
        let table: &[(&str, &str, Capability, &str, bool)] = &[
            ("read", "/run/a", Read, "/run/a", true),
            ("read", "/run/a", Read, "/run/*", true),
            ("read", "/run/a/b", Read, "/run/*", true),
            ("read", "/run/../etc/shadow", Read, "/run/*", false),
            ("read", "/run/a", Watch, "/run/a", true),
            ("watch", "/run/a", Read, "/run/a", false),
            ("write", "/run/a", Read, "/run/a", false),
            ("write", "/run/a", Write, "/run/a", true),
            ("remove", "/run/a", Write, "/run/a", false),
            ("remove", "/run/a", Remove, "/run/a", true),
            ("read", "role", Read, "/srv/agent/role", true),
            ("read", "~/role", Read, "~/role", true),
            ("env", "ACME", Env, "ACME", true),
            ("env", "ACME_2", Env, "ACME", false),
            ("connect", "https://sso.acme.example", Connect, "https://sso.acme.example", true),
            (
                "connect",
                "https://sso.acme.example/token",
                Connect,
                "https://sso.acme.example",
                true,
            ),
            (
                "connect",
                "https://sso.acme.example",
                Connect,
                "https://sso.acme.example/token",
                false,
            ),
            (
                "connect",
                "https://sso.acme.example/tokens",
                Connect,
                "https://sso.acme.example/token",
                false,
            ),
            ("connect", "http://sso.acme.example", Connect, "https://sso.acme.example", false),
            (
                "connect",
                "https://sso.acme.example:8443",
                Connect,
                "https://sso.acme.example",
                false,
            ),
            ("connect", "https://sso.acme.example:443", Connect, "https://sso.acme.example", true),
            ("connect", "https://SSO.acme.example", Connect, "https://sso.ACME.example", true),
            ("connect", "https://sso.acme.example", Connect, "https://*.acme.example", true),
            ("connect", "https://acme.example", Connect, "https://*.acme.example", false),
            ("connect", "https://evilacme.example", Connect, "https://*.acme.example", false),
            ("connect", "https://*.acme.example", Connect, "https://sso.acme.example", false),
            ("server", "unwrap", Server, "unwrap", true),
            ("server", "token", Server, "unwrap", false),
            ("kdc", "ACME.EXAMPLE", Kdc, "ACME.EXAMPLE", true),
        ];
        for (capability, target, allowed, pattern, granted) in table {
            let decision = decide(&[(capability, target)], Some(&[(*allowed, pattern)]));
            assert_eq!(
                decision.is_ok(),
                *granted,
                "{capability} {target} within {} {pattern}",
                allowed.name()
            );
        }
    }

    #[test]
    fn a_refusal_prints_the_block_to_paste() {
        let refusal =
            decide(&[("read", "/run/a"), ("env", "ACME")], Some(&[(Capability::Env, "ACME")]))
                .unwrap_err();
        let text = refusal.to_string();
        assert!(text.contains("plugin \"acme\" {\n  allow {\n    read = [\"/run/a\"]\n    env = [\"ACME\"]\n  }\n}"), "{text}");
        let allowed = [(Capability::Read, "/run/a"), (Capability::Env, "ACME")];
        assert!(decide(&[("read", "/run/a"), ("env", "ACME")], Some(&allowed)).is_ok());
    }

    #[test]
    fn the_agents_own_token_is_never_granted() {
        for name in ["VAULT_TOKEN", "BAO_TOKEN"] {
            assert!(matches!(decide(&[("env", name)], None), Err(Refusal::Never(..))));
        }
    }

    #[test]
    fn an_unknown_capability_is_refused_by_name() {
        let refusal = decide(&[("exec", "/bin/sh")], None).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownCapability("exec".to_owned()));
    }

    #[test]
    fn a_variable_in_a_path_asks_for_the_variable_too() {
        let grant = decide(&[("read", "${ROLE_DIR}/id")], None).unwrap();
        assert_eq!(
            grant.needs(),
            [
                Need { capability: Capability::Env, target: "ROLE_DIR".into() },
                Need { capability: Capability::Read, target: "/run/role/id".into() },
            ]
        );
        let void = decide(&[("read", "${UNSET}/id")], None).unwrap();
        assert_eq!(void.needs(), [Need { capability: Capability::Env, target: "UNSET".into() }]);
    }

    #[test]
    fn a_request_is_judged_by_the_origin_it_goes_to() {
        let grant = decide(
            &[
                ("connect", "https://sso.acme.example/oauth"),
                ("connect", "http://127.0.0.1:8080"),
                ("connect", "http://localhost:99"),
            ],
            None,
        )
        .unwrap();
        let named = |url: &str| grant.permits_connect(&Url::parse(url).unwrap());
        assert_eq!(named("https://sso.acme.example/oauth/token?x=1"), Some(Named::Name));
        assert_eq!(named("https://sso.acme.example/oauth/../admin"), None);
        assert_eq!(named("https://sso.acme.example/oauth%2f..%2fadmin"), None);
        assert_eq!(named("https://sso.acme.example/oauth/..%2Fadmin"), None);
        assert_eq!(named("https://sso.acme.example/oauth/..%5cadmin"), None);
        assert_eq!(named("https://user@sso.acme.example.evil.example/oauth"), None);
        assert_eq!(named("http://127.0.0.1:8080/x"), Some(Named::Address([127, 0, 0, 1].into())));
        assert_eq!(named("http://2130706433:8080/x"), Some(Named::Address([127, 0, 0, 1].into())));
        assert_eq!(named("http://localhost:99/"), Some(Named::Localhost));
        assert_eq!(named("http://localhost:98/"), None);
    }

    #[test]
    fn nobody_touches_the_agents_own_files_or_anothers_output() {
        let protected = Protected::new(vec!["/etc/usher/plugins".into()]);
        let holder = Arc::new(());
        protected.reserve("/run/token".into(), "default/sink/0", "default", &holder);
        for path in ["/proc/self/environ", "/sys/kernel", "/dev/sda", "/etc/usher/plugins/x.wasm"] {
            assert!(protected.refuses(Path::new(path), "default/sink/0").is_some(), "{path}");
        }
        assert!(protected.refuses(Path::new("/run/token"), "default/method").is_some());
        assert!(protected.refuses(Path::new("/run/token"), "default/sink/0").is_none());
        assert!(protected.refuses(Path::new("/dev/shm/token"), "default/sink/0").is_none());
        assert!(protected.refuses(Path::new("/process/x"), "default/sink/0").is_none());
        // A reload frees what it replaces, and what no longer exists is free anyway.
        protected.leaving(vec!["default".to_owned()]);
        assert!(protected.refuses(Path::new("/run/token"), "other/sink/0").is_none());
        protected.leaving(Vec::new());
        assert!(protected.refuses(Path::new("/run/token"), "other/sink/0").is_some());
        drop(holder);
        assert!(protected.refuses(Path::new("/run/token"), "other/sink/0").is_none());
    }

    #[test]
    fn a_path_with_a_star_matches_below_its_resolved_directory_only() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let granted = format!("{}/*", link.display());
        let resolve = |path: &Path| std::fs::canonicalize(path).ok();
        let real = std::fs::canonicalize(real).unwrap();
        assert!(pattern_matches(&granted, &real.join("a/b"), &resolve));
        assert!(!pattern_matches(&granted, &real.parent().unwrap().join("other"), &resolve));
    }
}
