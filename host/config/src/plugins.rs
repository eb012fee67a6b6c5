//! Reads `plugin "NAME"`: what the operator pins, allows and limits.

use crate::diagnostic::Diagnostic;
use crate::fields::{Fields, Nested, Report};
use crate::schema;
use crate::settings::{Allow, Limits, Plugin};

/// What a plug-in may be allowed to do with the secrets server.
const SERVER_GRANTS: [&str; 3] = ["unwrap", "token", "trust"];

/// The most memory that a plug-in can be given, in bytes: the address space reserved for it.
const LARGEST_MEMORY: u64 = 256 << 20;

/// Every plug-in of a file, in order; a name may repeat.
pub(crate) fn plugins(file: &Fields<'_>, report: &mut Report) -> Vec<(String, Plugin)> {
    let blocks = file.named_blocks("plugin", &schema::PLUGIN, report);
    blocks.into_iter().map(|(name, block)| (name, plugin(&block, report))).collect()
}

fn plugin(block: &Nested<'_>, report: &mut Report) -> Plugin {
    let fields = Fields::of(block.object, &schema::PLUGIN, report);
    let sha256 = fields.string("sha256", report).and_then(|digest| {
        let text = digest.value.trim().to_ascii_lowercase();
        if text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()) {
            return Some(text);
        }
        report.push(Diagnostic::new_error(
            "plugin.sha256",
            "`sha256` takes 64 hexadecimal digits",
            "`sha256sum FILE` prints them",
            Some(&digest.location),
        ));
        None
    });
    let overrides = fields.strict_boolean("override", report).unwrap_or_default();
    let allow = fields.block("allow", report).map(|block| allow(&block, report));
    let limits = fields.block("limits", report).map(|block| limits(&block, report));
    Plugin {
        sha256,
        overrides,
        allow: allow.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        location: block.location.clone(),
    }
}

fn allow(block: &Nested<'_>, report: &mut Report) -> Allow {
    let fields = Fields::of(block.object, &schema::ALLOW, report);
    let server = fields.strings("server", report).unwrap_or_default();
    for grant in server.iter().filter(|grant| !SERVER_GRANTS.contains(&grant.value.as_str())) {
        report.push(Diagnostic::new_error(
            "plugin.allow.server",
            format!("`server` knows no \"{}\"", grant.value),
            "write some of \"unwrap\", \"token\", \"trust\"",
            Some(&grant.location),
        ));
    }
    let mut list = |key| {
        let values = fields.strings(key, report).unwrap_or_default();
        values.into_iter().map(|text| text.value).collect::<Vec<String>>()
    };
    Allow {
        connect: list("connect"),
        read: list("read"),
        watch: list("watch"),
        write: list("write"),
        remove: list("remove"),
        env: list("env"),
        kdc: list("kdc"),
        server: server.into_iter().map(|grant| grant.value).collect(),
    }
}

fn limits(block: &Nested<'_>, report: &mut Report) -> Limits {
    let fields = Fields::of(block.object, &schema::LIMITS, report);
    let timeout = fields.duration("timeout", report);
    if let Some(zero) = timeout.as_ref().filter(|timeout| timeout.value.is_zero()) {
        report.push(Diagnostic::new_error(
            "plugin.limits.timeout",
            "`timeout` must be more than 0",
            "write timeout = \"30s\"",
            Some(&zero.location),
        ));
    }
    let memory = fields.size("memory", report);
    if memory.is_some_and(|memory| memory == 0 || memory > LARGEST_MEMORY) {
        report.push(Diagnostic::new_error(
            "plugin.limits.memory",
            format!("`memory` must be more than 0 and at most {} MiB", LARGEST_MEMORY >> 20),
            "write memory = \"128MiB\"",
            Some(block.location),
        ));
    }
    Limits { memory, timeout: timeout.map(|timeout| timeout.value) }
}
