//! Decides about connections: scheme, host, port and the beginning of the path.

use std::net::IpAddr;

use url::{Host, Url};
use usher_secret::redactor::without_userinfo;

use crate::Named;

/// `scheme://host[:port][/path-prefix]`; the host may start with `*.`.
pub(crate) struct Origin {
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
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            let shown = without_userinfo(text);
            format!("{shown:?} {what}; write \"https://host[:port][/path]\"")
        };
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

    pub(crate) fn permits(&self, url: &Url) -> bool {
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

    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.port == other.port
            && self.host.covers(&other.host)
            && below(&self.path, &other.path)
    }

    pub(crate) fn named(&self) -> Named {
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
