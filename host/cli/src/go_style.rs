//! Flags as the incumbents take them: one dash or two, as existing unit files have them.

use std::ffi::{OsStr, OsString};

/// `-config=x` and `-config x` become `--config=x` and `--config x`; `-ns` becomes `--namespace`.
/// Everything after `--` is left alone.
pub(crate) fn normalize(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut verbatim = false;
    arguments
        .map(|argument| {
            verbatim |= argument == OsStr::new("--");
            match argument.to_str() {
                Some(text) if !verbatim => normal(text).map_or(argument.clone(), OsString::from),
                _ => argument,
            }
        })
        .collect()
}

fn normal(text: &str) -> Option<String> {
    let flag = text.strip_prefix('-')?;
    let flag = flag.strip_prefix('-').unwrap_or(flag);
    let (name, value) = match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    };
    // A single letter is a short flag, and a number a value.
    if name.len() < 2 || !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    let name = if name == "ns" { "namespace" } else { name };
    Some(match value {
        Some(value) => format!("--{name}={value}"),
        None => format!("--{name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_flag_becomes_one() {
        let table = [
            ("-config=/etc/agent.hcl", "--config=/etc/agent.hcl"),
            ("-config", "--config"),
            ("--config", "--config"),
            ("-exit-after-auth=false", "--exit-after-auth=false"),
            ("-ns=team", "--namespace=team"),
            ("-h", "-h"),
            ("-", "-"),
            ("--", "--"),
            ("-5s", "-5s"),
            ("agent", "agent"),
            ("/etc/-x", "/etc/-x"),
        ];
        for (written, meant) in table {
            let normal = normalize([OsString::from(written)].into_iter());
            assert_eq!(normal, [OsString::from(meant)], "{written}");
        }
    }

    #[test]
    fn what_follows_two_dashes_is_left_alone() {
        let arguments = ["--", "-config"].map(OsString::from);
        assert_eq!(normalize(arguments.clone().into_iter()), arguments);
    }
}
