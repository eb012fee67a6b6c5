//! Which proxy leads to the server: the incumbents' own variables, else those that every program
//! knows, as Go's `httpproxy` reads them.

use std::net::IpAddr;

use usher_address::{OutboundProxy, ServerAddress};

use crate::choice::Choice;
use crate::diagnostic::Diagnostic;
use crate::fields::Report;
use crate::schema::ENVIRONMENT;
use crate::variables::Environment;

/// The proxy for the server at `address`. None: there is none, or `NO_PROXY` excludes the
/// server.
///
/// `*_PROXY_ADDR` and then `*_HTTP_PROXY` count for every address. Without them `HTTPS_PROXY` or
/// `HTTP_PROXY` by the address's scheme, unless `NO_PROXY` names the server or it is this host.
pub(crate) fn resolve(
    address: &ServerAddress,
    choice: &Choice<'_>,
    report: &mut Report,
) -> Option<OutboundProxy> {
    let server = Target::of(address)?;
    let (url, name) = match choice.variable(&ENVIRONMENT, "proxy") {
        Some(own) => own,
        None => general(&server, choice.environment)?,
    };
    match OutboundProxy::parse(&url) {
        Ok(proxy) => Some(proxy),
        Err(why) => {
            let message = format!("{name} {}", why.what);
            report.push(Diagnostic::new_error("environment", message, why.remedy, None));
            None
        }
    }
}

fn general(server: &Target, environment: &Environment<'_>) -> Option<(String, String)> {
    let either = |upper: &str| {
        [upper.to_owned(), upper.to_lowercase()].into_iter().find_map(|name| {
            let value = environment.plain(&name).filter(|value| !value.trim().is_empty())?;
            Some((value, name))
        })
    };
    let found = either(if server.secure { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    let excluded = either("NO_PROXY").is_some_and(|(list, _)| server.is_excluded(&list));
    (!excluded && !server.is_this_host()).then_some(found)
}

/// Where a request goes.
struct Target {
    secure: bool,
    /// In lower case, without brackets.
    host: String,
    port: u16,
}

impl Target {
    /// None: a socket.
    fn of(address: &ServerAddress) -> Option<Self> {
        if address.socket().is_some() {
            return None;
        }
        let url = address.base();
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Self { secure: address.uses_tls(), host, port: url.port_or_known_default()? })
    }

    fn is_this_host(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn is_excluded(&self, list: &str) -> bool {
        let address: Option<IpAddr> = self.host.parse().ok();
        list.split(',').map(|entry| entry.trim().to_lowercase()).any(|entry| {
            if entry == "*" {
                return true;
            }
            if let Some((network, bits)) = entry.split_once('/') {
                let (network, bits) = (network.parse(), bits.parse());
                return match (address, network, bits) {
                    (Some(address), Ok(network), Ok(bits)) => is_within(address, network, bits),
                    _ => false,
                };
            }
            let (host, port) = split_port(&entry);
            if host.is_empty() || port.is_some_and(|port| port != self.port) {
                return false;
            }
            if let Ok(excluded) = host.parse::<IpAddr>() {
                return address == Some(excluded);
            }
            // ".example.com" and "*.example.com" are what is below, "example.com" itself too.
            let host = host.strip_prefix('*').unwrap_or(host);
            match host.strip_prefix('.') {
                Some(_) => self.host.ends_with(host),
                None => {
                    self.host == host
                        || self.host.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'))
                }
            }
        })
    }
}

/// Host without brackets, and the port if there is one.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, after.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match authority.rsplit_once(':') {
        // A bare IPv6 address has several colons.
        Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}

/// Whether the first `bits` of both are equal.
fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |one: u128, other: u128, width: u32| {
        bits <= width && (bits == 0 || (one ^ other) >> (width - bits) == 0)
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            same(u32::from(one).into(), u32::from(other).into(), 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => same(one.into(), other.into(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::overrides::Overrides;

    fn proxy(address: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        let lookup = |name: &str| variables.get(name).map(|&value| value.to_owned());
        let mut report = Report::new();
        let address = ServerAddress::parse(address).unwrap();
        let (overrides, environment) = (&Overrides::default(), &Environment(&lookup));
        let found = resolve(&address, &Choice { overrides, environment }, &mut report);
        assert_eq!(report, []);
        found.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_scheme_of_the_address_chooses_the_variable() {
        let both = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2")];
        assert_eq!(proxy("https://bao", &both).as_deref(), Some("http://s:1"));
        assert_eq!(proxy("http://bao", &both).as_deref(), Some("http://p:2"));
        assert_eq!(proxy("unix:///run/bao.sock", &both), None);
        assert_eq!(proxy("https://bao", &[("HTTP_PROXY", "p:2")]), None);
        let upper_first = [("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:1")];
        assert_eq!(proxy("https://bao", &upper_first).as_deref(), Some("http://a:1"));
        assert_eq!(proxy("https://localhost:8200", &both), None);
        assert_eq!(proxy("https://127.0.0.7:8200", &both), None);
        assert_eq!(proxy("https://[::1]:8200", &both), None);
        let own = [("NO_PROXY", "*"), ("BAO_HTTP_PROXY", "a:1"), ("VAULT_PROXY_ADDR", "b:1")];
        assert_eq!(proxy("https://127.0.0.1", &own).as_deref(), Some("http://b:1"));
    }

    #[test]
    fn no_proxy_takes_names_suffixes_addresses_networks_and_ports() {
        for (list, address, excluded) in [
            ("*", "https://bao.example.com", true),
            ("example.com", "https://bao.example.com", true),
            ("example.com", "https://example.com", true),
            ("example.com", "https://notexample.com", false),
            (".example.com", "https://bao.example.com", true),
            (".example.com", "https://example.com", false),
            ("*.example.com", "https://bao.example.com", true),
            ("EXAMPLE.com ", "https://Bao.Example.COM", true),
            ("a, ,bao.example.com:8200", "https://bao.example.com:8200", true),
            ("bao.example.com:8200", "https://bao.example.com", false),
            ("bao.example.com:443", "https://bao.example.com", true),
            ("10.0.0.0/8", "https://10.9.8.7:8200", true),
            ("10.0.0.0/8", "https://11.0.0.1", false),
            ("0.0.0.0/0", "https://11.0.0.1", true),
            ("10.0.0.0/33", "https://10.0.0.1", false),
            ("10.0.0.1", "https://10.0.0.1:8200", true),
            ("10.0.0.1:1", "https://10.0.0.1:8200", false),
            ("fd00::/8", "https://[fd00::1]:8200", true),
            ("fd00::1", "https://[fd00::1]:8200", true),
            ("[fd00::1]:8200", "https://[fd00::1]:8200", true),
            ("", "https://bao", false),
        ] {
            let found = proxy(address, &[("HTTPS_PROXY", "p:1"), ("no_proxy", list)]);
            assert_eq!(found.is_none(), excluded, "{list} {address}");
        }
    }
}
