//! Reads `plugin "NAME"`: what the operator pins, allows and limits.

use std::path::{Component, Path, PathBuf};

use usher_grant::{Allow, Capability, LARGEST_MEMORY, Limits, Target};

use crate::diagnostic::Diagnostic;
use crate::fields::{Fields, Located, Nested, Report};
use crate::schema;
use crate::settings::Plugin;

/// Every plug-in of a file, in order; a name may repeat.
pub(crate) fn plugins(file: &Fields<'_>, report: &mut Report) -> Vec<(String, Plugin)> {
    let blocks = file.named_blocks("plugin", &schema::PLUGIN, report);
    blocks.into_iter().map(|(name, block)| (name, plugin(&block, report))).collect()
}

/// Whoever can replace a plug-in must not be able to replace what admits it.
pub(crate) fn check_lock(
    directory: Option<&Located<String>>,
    lock: Option<&Located<String>>,
    report: &mut Report,
) {
    let (Some(directory), Some(lock)) = (directory, lock) else { return };
    if lock.value.is_empty() || directory.value.is_empty() {
        return;
    }
    if without_dots(&lock.value).starts_with(without_dots(&directory.value)) {
        report.push(Diagnostic::new_error(
            "plugin_lock",
            "`plugin_lock` lies in `plugin_directory`, with what it is to keep watch over",
            "write a path beside it: plugin_lock = \"/etc/usher/usher.lock\"",
            Some(&lock.location),
        ));
    }
}

/// A path without `.` and `..`, read as it stands.
pub(crate) fn without_dots(path: &str) -> PathBuf {
    Path::new(path).components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
        path
    })
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
    let mut allow = Allow::default();
    for capability in Capability::ALL {
        let targets = fields.strings(capability.name(), report).unwrap_or_default();
        if let Target::Word(words) = capability.target() {
            for target in targets.iter().filter(|target| !words.contains(&target.value.as_str())) {
                let name = capability.name();
                let known: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                report.push(Diagnostic::new_error(
                    format!("plugin.allow.{name}"),
                    format!("`{name}` knows no \"{}\"", target.value),
                    format!("write some of {}", known.join(", ")),
                    Some(&target.location),
                ));
            }
        }
        if !targets.is_empty() {
            allow.0.insert(capability, targets.into_iter().map(|target| target.value).collect());
        }
    }
    allow
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
    let default = Limits::default();
    let timeout = timeout.map(|timeout| timeout.value);
    Limits {
        memory: memory.unwrap_or(default.memory),
        method_timeout: timeout.unwrap_or(default.method_timeout),
        sink_timeout: timeout.unwrap_or(default.sink_timeout),
    }
}
