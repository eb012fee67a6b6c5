//! What the host needs of a `krb5.conf`: the key distribution centres of one realm.
//!
//! The syntax is MIT Kerberos' (`krb5.conf(5)`): sections, `name = value`, and `name = {` … `}`.

use std::fmt;

use crate::failure::{Failure, FailureKind};

/// Where Kerberos answers unless the file says otherwise (RFC 4120 §7.2).
const DEFAULT_PORT: u16 = 88;

/// One server, as the file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

/// The servers of `realm` in the order of `content`, which was read from `path`. A file without
/// any is `unavailable`: it may be corrected while the agent runs.
pub(crate) fn servers(path: &str, content: &str, realm: &str) -> Result<Vec<Server>, Failure> {
    let found = scan(content, realm);
    if !found.servers.is_empty() {
        return Ok(found.servers);
    }
    let mut why = if !found.realm {
        format!("{path} has no realm {realm} in its [realms] section")
    } else if found.passed_over.is_empty() {
        format!("{path} names no `kdc` for the realm {realm}")
    } else {
        format!(
            "{path} names no `kdc` for the realm {realm} that is asked over TCP ({})",
            found.passed_over.join(", ")
        )
    };
    why.push_str("; write `kdc = host` there (servers are not looked up in DNS");
    why.push_str(if found.includes { ", and included files are not read)" } else { ")" });
    Err(Failure::new(FailureKind::Unavailable, "kdc.unknown-realm", why)
        .detail("file", path)
        .detail("realm", realm))
}

#[derive(Default)]
struct Found {
    servers: Vec<Server>,
    /// Whether the realm is there at all.
    realm: bool,
    /// Servers of the realm that can't be asked over TCP.
    passed_over: Vec<String>,
    /// Whether the file refers to others.
    includes: bool,
}

fn scan(content: &str, realm: &str) -> Found {
    let mut found = Found::default();
    let mut in_realms = false;
    // Names of the blocks that are open.
    let mut blocks: Vec<&str> = Vec::new();
    for line in content.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            in_realms = section.trim() == "realms";
            blocks.clear();
            continue;
        }
        let first_word = line.split_whitespace().next().unwrap_or_default();
        if ["include", "includedir"].contains(&first_word) && !line.contains('=') {
            found.includes = true;
            continue;
        }
        if line.starts_with('}') {
            blocks.pop();
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        // A "*" only says that other files add nothing.
        let name = name.trim().trim_end_matches('*').trim_end();
        let value = value.trim();
        if let Some(inline) = value.strip_prefix('{') {
            if !inline.trim_end().ends_with('}') {
                blocks.push(name);
                found.realm |= in_realms && blocks == [realm];
            }
            continue;
        }
        if in_realms && name == "kdc" && blocks == [realm] {
            match server(unquoted(value)) {
                Some(server) => found.servers.push(server),
                None => found.passed_over.push(unquoted(value).to_owned()),
            }
        }
    }
    found
}

fn unquoted(value: &str) -> &str {
    match value.strip_prefix('"') {
        Some(rest) => rest.split('"').next().unwrap_or_default().trim(),
        None => value,
    }
}

/// `host`, `host:port`, `[address]:port` or a bare IPv6 address; Heimdal writes `tcp/` before it.
fn server(value: &str) -> Option<Server> {
    let value = value.split_whitespace().next()?;
    let value = value.strip_prefix("tcp/").unwrap_or(value);
    let (host, port) = if let Some(rest) = value.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        (address, rest.strip_prefix(':'))
    } else if value.matches(':').count() > 1 {
        (value, None)
    } else {
        match value.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (value, None),
        }
    };
    // "udp/…" and "https://…" name other transports.
    if host.is_empty() || host.contains('/') || value.contains("//") {
        return None;
    }
    let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|port| *port != 0));
    Some(Server { host: host.to_owned(), port: port? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str) -> Vec<String> {
        servers("/etc/krb5.conf", content, "EXAMPLE.ORG")
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_servers_of_the_realm_are_taken_in_order() {
        let content = r#"
# [realms]
[libdefaults]
    default_realm = EXAMPLE.ORG
    kdc = not.this.one
[realms]
    OTHER.ORG = {
        kdc = not.this.either
    }
    EXAMPLE.ORG = {
        kdc = kdc1.example.org
        ; kdc = not.a.comment
        kdc* = kdc2.example.org:750
        admin_server = not.an.admin.server
        auth_to_local_names = {
            kdc = not.in.a.block
        }
        kdc = "tcp/kdc3.example.org"
        kdc = [2001:db8::1]:8888
        kdc = [2001:db8::2]
        kdc = 2001:db8::3
        kdc = https://proxy.example.org/KdcProxy
        kdc = udp/not.over.tcp
    }
[domain_realm]
    EXAMPLE.ORG = {
        kdc = not.of.this.section
    }
[realms]
    EXAMPLE.ORG = {
        kdc = kdc4.example.org:88
    }
"#;
        assert_eq!(
            found(content),
            [
                "kdc1.example.org:88",
                "kdc2.example.org:750",
                "kdc3.example.org:88",
                "[2001:db8::1]:8888",
                "[2001:db8::2]:88",
                "[2001:db8::3]:88",
                "kdc4.example.org:88",
            ]
        );
    }

    #[test]
    fn a_file_without_a_server_says_what_to_write() {
        let failure = |content: &str| {
            let failure = servers("/etc/krb5.conf", content, "EXAMPLE.ORG").unwrap_err();
            assert_eq!(
                (failure.kind, failure.code.as_str()),
                (FailureKind::Unavailable, "kdc.unknown-realm")
            );
            failure.message
        };
        let other = failure("includedir /etc/krb5.conf.d/\n[realms]\nexample.org = {\n kdc = a\n}");
        assert!(other.contains("no realm EXAMPLE.ORG"), "{other}");
        assert!(other.contains("included files are not read"), "{other}");
        let none = failure("[realms]\nEXAMPLE.ORG = {\n admin_server = a\n}");
        assert!(none.contains("names no `kdc`") && none.contains("`kdc = host`"), "{none}");
        let proxy = failure("[realms]\nEXAMPLE.ORG = {\n kdc = https://proxy/KdcProxy\n}");
        assert!(proxy.contains("https://proxy/KdcProxy"), "{proxy}");
    }

    #[test]
    fn a_malformed_file_has_no_servers() {
        for content in ["", "[realms", "EXAMPLE.ORG = {\nkdc = a", "[realms]\n}\n}\nkdc = a", "="] {
            assert_eq!(found(content), [""; 0], "{content:?}");
        }
        for value in ["", ":88", "a:0", "a:port", "a:65536", "[::1", "[]", "/etc", "a/b"] {
            let content = format!("[realms]\nEXAMPLE.ORG = {{\nkdc = {value}\n}}");
            assert_eq!(found(&content), [""; 0], "{value:?}");
        }
    }
}
