//! The templates that an address may hold: `{{ GetPrivateIP }}:8200`.
//!
//! Of go-sockaddr's language the functions that give one address. What they mean is told in
//! go-sockaddr's `ifaddr.go`, and which networks are private or lead nowhere in its `rfc.go`.
//! Everything else of that language is an error that names what is known.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex_lite::Regex;

/// Why a template stands for no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("a template has no end")]
    Unfinished,
    /// Something else than the functions that are known.
    #[error("the template {{{{ {0} }}}} isn't known")]
    Unknown(String),
    /// Not a name of interfaces.
    #[error("\"{0}\" is neither an interface nor a regular expression for names of interfaces")]
    BadExpression(String),
    /// No interface has an address of the kind.
    #[error("the template {{{{ {0} }}}} finds no address of this machine")]
    None(String),
    /// A listener has one address.
    #[error("the template {{{{ {template} }}}} stands for several addresses: {addresses}")]
    Several {
        /// As it is written.
        template: String,
        /// Separated by spaces.
        addresses: String,
    },
}

impl TemplateError {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unfinished => "end it with }}",
            Self::Unknown(_) => {
                "known are {{ GetPrivateIP }}, {{ GetPublicIP }}, {{ GetInterfaceIP \"eth0\" }}, and the same with IPs where there is just one; or write the address itself"
            }
            Self::BadExpression(_) => "write the name of an interface, as \"ip address\" shows it",
            Self::None(_) => "see \"ip address\", or write the address itself",
            Self::Several { .. } => "use the function that gives one, or write the address itself",
        }
    }
}

/// An address of an interface.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    /// The length of its network's prefix, in bits.
    pub(crate) prefix: u8,
    pub(crate) is_up: bool,
    /// The default route leads through it.
    pub(crate) has_default_route: bool,
}

/// The text with each template replaced by its address; the interfaces are only asked for if there
/// is one. An IPv6 address that a port follows is put in brackets.
pub(crate) fn expand(
    text: &str,
    interfaces: impl FnOnce() -> Vec<Interface>,
) -> Result<String, TemplateError> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let interfaces = interfaces();
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (template, after) = after.split_once("}}").ok_or(TemplateError::Unfinished)?;
        let address = evaluate(template.trim(), &interfaces)?;
        expanded.push_str(before);
        let has_port = after.starts_with(':');
        match address {
            IpAddr::V6(address) if has_port => expanded.extend(["[", &address.to_string(), "]"]),
            address => expanded.push_str(&address.to_string()),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Those of this machine; without any that can't be found out.
pub(crate) fn of_this_machine() -> Vec<Interface> {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let default = default_interface(&routes);
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let interface = |found: if_addrs::Interface| Interface {
        address: found.ip(),
        prefix: match &found.addr {
            if_addrs::IfAddr::V4(address) => address.prefixlen,
            if_addrs::IfAddr::V6(address) => address.prefixlen,
        },
        is_up: found.is_oper_up(),
        has_default_route: default == Some(found.name.as_str()),
        name: found.name,
    };
    found.into_iter().map(interface).collect()
}

/// The interface of the cheapest default route in `/proc/net/route`.
fn default_interface(routes: &str) -> Option<&str> {
    let defaults = routes.lines().skip(1).filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [name, "00000000", _, _, _, _, metric, "00000000", ..] = columns[..] else {
            return None;
        };
        Some((metric.parse::<u32>().ok()?, name))
    });
    defaults.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

fn evaluate(template: &str, interfaces: &[Interface]) -> Result<IpAddr, TemplateError> {
    let unknown = || TemplateError::Unknown(template.to_owned());
    let (function, argument) = match template.split_once(char::is_whitespace) {
        None => (template, None),
        Some((function, argument)) => {
            let argument = argument.trim();
            let inner = [('"', '"'), ('`', '`')]
                .into_iter()
                .find_map(|(open, close)| argument.strip_prefix(open)?.strip_suffix(close));
            let inner = inner.filter(|inner| !inner.contains(['"', '`', '\\']));
            (function, Some(inner.ok_or_else(unknown)?))
        }
    };
    let usable = |interface: &&Interface| interface.is_up && is_forwardable(interface.address);
    let (mut found, is_one): (Vec<&Interface>, bool) = match (function, argument) {
        ("GetPrivateIP" | "GetPublicIP", None) => {
            let private = function == "GetPrivateIP";
            let of_kind = |found: &&Interface| is_special(found.address) == private;
            let mut found: Vec<_> = interfaces.iter().filter(usable).filter(of_kind).collect();
            sort(&mut found);
            found.sort_by_key(|found| Reverse(found.has_default_route));
            (found, true)
        }
        ("GetPrivateIPs", None) => {
            let private =
                |found: &&Interface| is_special(found.address) && is_forwardable(found.address);
            (interfaces.iter().filter(private).collect(), false)
        }
        ("GetPublicIPs", None) => {
            (interfaces.iter().filter(|found| !is_special(found.address)).collect(), false)
        }
        ("GetInterfaceIP", Some(name)) => {
            let mut found = named(name, interfaces)?;
            found.retain(|found| is_forwardable(found.address));
            sort(&mut found);
            (found, true)
        }
        ("GetInterfaceIPs", Some(name)) => (named(name, interfaces)?, false),
        _ => return Err(unknown()),
    };
    if !is_one && found.len() > 1 {
        sort(&mut found);
        let addresses: Vec<String> = found.iter().map(|found| found.address.to_string()).collect();
        let addresses = addresses.join(" ");
        return Err(TemplateError::Several { template: template.to_owned(), addresses });
    }
    let first = found.first().map(|found| found.address);
    first.ok_or_else(|| TemplateError::None(template.to_owned()))
}

/// The interface of that name, or those that the regular expression finds.
fn named<'a>(name: &str, interfaces: &'a [Interface]) -> Result<Vec<&'a Interface>, TemplateError> {
    let exactly: Vec<_> = interfaces.iter().filter(|found| found.name == name).collect();
    if !exactly.is_empty() {
        return Ok(exactly);
    }
    let expression = Regex::new(name).map_err(|_| TemplateError::BadExpression(name.to_owned()))?;
    Ok(interfaces.iter().filter(|found| expression.is_match(&found.name)).collect())
}

/// IPv4 first, then the largest network.
fn sort(interfaces: &mut [&Interface]) {
    interfaces.sort_by_key(|found| (found.address.is_ipv6(), found.prefix));
}

/// Of special purpose (RFC 6890), to which private ones belong.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => in_any_v4(address, &SPECIAL_V4),
        IpAddr::V6(address) => in_any_v6(address, &SPECIAL_V6),
    }
}

/// Not only for this machine or this link, nor for examples.
fn is_forwardable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !in_any_v4(address, &NOT_FORWARDABLE_V4),
        IpAddr::V6(address) => !in_any_v6(address, &NOT_FORWARDABLE_V6),
    }
}

fn in_any_v4(address: Ipv4Addr, networks: &[(Ipv4Addr, u32)]) -> bool {
    networks
        .iter()
        .any(|(network, prefix)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *prefix)
}

fn in_any_v6(address: Ipv6Addr, networks: &[(Ipv6Addr, u32)]) -> bool {
    networks
        .iter()
        .any(|(network, prefix)| (address.to_bits() ^ network.to_bits()).leading_zeros() >= *prefix)
}

const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::BROADCAST, 32),
];

const NOT_FORWARDABLE_V4: [(Ipv4Addr, u32); 9] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::BROADCAST, 32),
];

/// `2001::/16` as go-sockaddr has it, which is wider than RFC 6890's `2001::/23`.
const SPECIAL_V6: [(Ipv6Addr, u32); 9] = [
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

const NOT_FORWARDABLE_V6: [(Ipv6Addr, u32); 6] = [
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, address: &str, prefix: u8) -> Interface {
        Interface {
            name: name.to_owned(),
            address: address.parse().unwrap(),
            prefix,
            is_up: !name.starts_with("down"),
            has_default_route: name == "eth0",
        }
    }

    fn machine() -> Vec<Interface> {
        vec![
            interface("lo", "127.0.0.1", 8),
            interface("lo", "::1", 128),
            interface("docker0", "172.17.0.1", 16),
            interface("down0", "10.9.9.9", 8),
            interface("eth0", "fe80::1", 64),
            interface("eth0", "fd00::5", 64),
            interface("eth0", "10.1.2.3", 24),
            interface("eth1", "8.8.4.4", 24),
        ]
    }

    #[test]
    fn a_template_stands_for_the_address_that_the_incumbents_choose() {
        for (text, expected) in [
            ("127.0.0.1:8200", "127.0.0.1:8200"),
            ("{{ GetPrivateIP }}:8200", "10.1.2.3:8200"),
            ("{{GetPrivateIP}}", "10.1.2.3"),
            ("{{ GetPublicIP }}:1", "8.8.4.4:1"),
            ("{{ GetPublicIPs }}:1", "8.8.4.4:1"),
            ("{{ GetInterfaceIP \"docker0\" }}:8200", "172.17.0.1:8200"),
            ("{{ GetInterfaceIP `eth0` }}:8200", "10.1.2.3:8200"),
            ("{{ GetInterfaceIP \"^dock\" }}:8200", "172.17.0.1:8200"),
            ("{{ GetInterfaceIP \"eth\" }}:8200", "10.1.2.3:8200"),
            ("{{ GetInterfaceIPs \"docker0\" }}:8200", "172.17.0.1:8200"),
        ] {
            assert_eq!(expand(text, machine).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_default_route_and_ipv6_count() {
        let only_v6 = || vec![interface("eth0", "fd00::5", 64)];
        assert_eq!(expand("{{ GetPrivateIP }}:1", only_v6).as_deref(), Ok("[fd00::5]:1"));
        assert_eq!(expand("[{{ GetPrivateIP }}]:1", only_v6).as_deref(), Ok("[fd00::5]:1"));
        let larger_elsewhere =
            || vec![interface("wg0", "10.0.0.1", 8), interface("eth0", "192.168.1.2", 24)];
        assert_eq!(expand("{{ GetPrivateIP }}", larger_elsewhere).as_deref(), Ok("192.168.1.2"));
        let without_route =
            || vec![interface("b", "192.168.1.2", 24), interface("wg0", "10.0.0.1", 8)];
        assert_eq!(expand("{{ GetPrivateIP }}", without_route).as_deref(), Ok("10.0.0.1"));
    }

    #[test]
    fn what_stands_for_no_single_address_is_told() {
        for (text, said) in [
            ("{{ GetPrivateIP", "has no end"),
            ("{{ GetAllInterfaces | attr \"address\" }}:1", "isn't known"),
            ("{{ GetInterfaceIP eth0 }}:1", "isn't known"),
            ("{{ GetInterfaceIP }}:1", "isn't known"),
            ("{{ GetPrivateIP \"x\" }}:1", "isn't known"),
            ("{{ }}:1", "isn't known"),
            ("{{ GetInterfaceIP \"(\" }}:1", "regular expression"),
            ("{{ GetInterfaceIP \"wlan\" }}:1", "no address"),
            ("{{ GetInterfaceIP \"lo\" }}:1", "no address"),
            ("{{ GetPrivateIPs }}:1", "10.9.9.9 172.17.0.1 10.1.2.3 fd00::5"),
            ("{{ GetInterfaceIPs \"eth0\" }}:1", "10.1.2.3 fe80::1 fd00::5"),
        ] {
            let error = expand(text, machine).unwrap_err();
            assert!(error.to_string().contains(said), "{text}: {error}");
            assert!(!error.remedy().is_empty());
        }
        let nothing = expand("{{ GetPublicIP }}", Vec::new).unwrap_err();
        assert!(matches!(nothing, TemplateError::None(_)), "{nothing}");
    }

    #[test]
    fn the_cheapest_default_route_is_taken() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n";
        let routes = format!(
            "{head}wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\neth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\neth1\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\n"
        );
        assert_eq!(default_interface(&routes), Some("eth0"));
        assert_eq!(default_interface(head), None);
        assert_eq!(default_interface(""), None);
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let found = of_this_machine();
        assert!(found.iter().any(|found| found.address.is_loopback()), "{found:?}");
    }
}
