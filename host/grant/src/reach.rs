//! Which network addresses a granted origin may lead to.
//!
//! A name is granted by the operator, but DNS decides where it leads. Private ranges are reachable
//! through any granted host; loopback, link-local and cloud metadata addresses only through a
//! grant that names them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How the grant that permits a request names its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By a DNS name, perhaps a wildcard.
    Name,
    /// `localhost`.
    Localhost,
    /// By this address.
    Address(IpAddr),
}

/// Whether `address` may be connected to through a host that the grant names so.
pub fn reachable(address: IpAddr, named: &Named) -> bool {
    let address = address.to_canonical();
    match class(address) {
        Class::Never => false,
        Class::Ordinary => true,
        Class::Loopback => *named == Named::Localhost || *named == Named::Address(address),
        Class::Special => *named == Named::Address(address),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Ordinary,
    Loopback,
    /// Link-local and cloud metadata.
    Special,
    /// Unspecified, multicast, broadcast, reserved.
    Never,
}

/// Metadata services outside of the link-local range: Alibaba Cloud's, Oracle Cloud's second one,
/// and Azure's platform address.
const METADATA: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => {
            if address.is_loopback() {
                Class::Loopback
            } else if address.is_link_local() || METADATA.contains(&address) {
                Class::Special
            } else if address.octets()[0] == 0
                || address.is_multicast()
                || address.octets()[0] >= 240
            {
                Class::Never
            } else {
                Class::Ordinary
            }
        }
        IpAddr::V6(address) => {
            if address.is_loopback() {
                Class::Loopback
            } else if address.is_unicast_link_local() || is_ec2_metadata(address) {
                Class::Special
            } else if address.is_unspecified() || address.is_multicast() {
                Class::Never
            } else if let Some(inner) = embedded(address) {
                // NAT64 and 6to4 carry an IPv4 address; it is judged as itself.
                class(IpAddr::V4(inner))
            } else {
                Class::Ordinary
            }
        }
    }
}

/// Amazon's metadata services live in `fd00:ec2::/32`.
fn is_ec2_metadata(address: Ipv6Addr) -> bool {
    address.segments()[..2] == [0xfd00, 0x0ec2]
}

fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let octets = address.octets();
    let at = |start: usize| {
        Ipv4Addr::new(octets[start], octets[start + 1], octets[start + 2], octets[start + 3])
    };
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] || segments[..3] == [0x64, 0xff9b, 1] {
        Some(at(12))
    } else if segments[0] == 0x2002 {
        Some(at(2))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reachable_only_as_the_grant_names_them() {
        let table: &[(&str, bool, bool, bool)] = &[
            // address, through a name, through localhost, through a grant naming it
            ("203.0.113.7", true, true, true),
            ("10.1.2.3", true, true, true),
            ("192.168.1.1", true, true, true),
            ("fd12::1", true, true, true),
            ("127.0.0.1", false, true, true),
            ("127.9.9.9", false, true, true),
            ("::1", false, true, true),
            ("::ffff:127.0.0.1", false, true, true),
            ("169.254.169.254", false, false, true),
            ("::ffff:169.254.169.254", false, false, true),
            ("64:ff9b::a9fe:a9fe", false, false, false),
            ("2002:7f00:1::", false, true, false),
            ("100.100.100.200", false, false, true),
            ("192.0.0.192", false, false, true),
            ("168.63.129.16", false, false, true),
            ("64:ff9b:1::a9fe:a9fe", false, false, false),
            ("100.100.100.201", true, true, true),
            ("fd00:ec2::254", false, false, true),
            ("fe80::1", false, false, true),
            ("0.0.0.0", false, false, false),
            ("::", false, false, false),
            ("224.0.0.1", false, false, false),
            ("255.255.255.255", false, false, false),
            ("ff02::1", false, false, false),
        ];
        for (text, by_name, by_localhost, by_address) in table {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(reachable(address, &Named::Name), *by_name, "{text} by name");
            assert_eq!(reachable(address, &Named::Localhost), *by_localhost, "{text} by localhost");
            if !text.starts_with("64:") && !text.starts_with("2002:") {
                let named = Named::Address(address.to_canonical());
                assert_eq!(reachable(address, &named), *by_address, "{text} by address");
            }
        }
    }
}
