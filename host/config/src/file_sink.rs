//! What is said of the built-in file sink before it runs: modes that were meant octal, and paths
//! that two sinks share.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::diagnostic::Diagnostic;
use crate::fields::Report;
use crate::settings::{Identity, Sink};
use crate::tree::{Number, NumberValue, Object, Value};

/// All permission bits.
const MODE_BITS: i64 = 0o777;
/// Decimal numbers that are modes to a human only if they are read as octal.
const OCTAL_IN_MIND: [i64; 4] = [400, 440, 444, 500];

/// The file plug-in refuses what can't be a mode; here the writer learns what was meant.
pub(crate) fn check_mode(config: &Object, report: &mut Report) {
    let Some(item) = config.items.iter().rfind(|item| item.key.text == "mode") else { return };
    let Value::Number(Number { text, value: NumberValue::Integer(value) }) = &item.node.value
    else {
        return;
    };
    let value = *value;
    let place = Some(&item.node.location);
    let octal = i64::from_str_radix(text, 8).ok().filter(|mode| (0..=MODE_BITS).contains(mode));
    let is_json = item.node.location.file_is_json();
    let spelled = |octal: i64| {
        if is_json {
            format!("write {octal}, or the string \"0{text}\"")
        } else {
            format!("write 0{text}")
        }
    };
    if value > MODE_BITS {
        let (message, help) = match octal.filter(|_| !text.starts_with('0')) {
            Some(octal) => (format!("{text} is not octal here"), spelled(octal)),
            None => (format!("{text} has bits beyond 0777"), "write mode = 0640".to_owned()),
        };
        report.push(Diagnostic::new_error("sink.file.mode", message, help, place));
    } else if let Some(octal) =
        octal.filter(|_| OCTAL_IN_MIND.contains(&value) && !text.starts_with('0'))
    {
        report.push(Diagnostic::new_warning(
            "sink.file.mode",
            format!("{text} is not octal here: the file gets mode 0{value:o}"),
            spelled(octal),
            place,
        ));
    }
}

/// Two sinks that write one file would overwrite each other for ever.
pub(crate) fn check_paths<'a>(identities: impl Iterator<Item = &'a Identity>, report: &mut Report) {
    let mut seen: BTreeMap<PathBuf, &Sink> = BTreeMap::new();
    let sinks = identities.flat_map(|identity| &identity.sinks);
    for sink in sinks.filter(|sink| sink.kind == "file") {
        let Some(path) =
            sink.config.to_map().remove("path").and_then(|path| path.as_str().map(str::to_owned))
        else {
            continue;
        };
        match seen.get(&normal(Path::new(&path))) {
            Some(first) => report.push(Diagnostic::new_error(
                "sink.file.path",
                format!(
                    "two sinks write {path}: this one and the one at {}",
                    first.config.locate(&["path"])
                ),
                "give each sink a path of its own",
                Some(sink.config.locate(&["path"])),
            )),
            None => {
                seen.insert(normal(Path::new(&path)), sink);
            }
        }
    }
}

/// Without `.` and doubled slashes.
pub(crate) fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}
