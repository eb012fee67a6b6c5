//! What the fake host allows: the needs of the configuration at hand, by their text alone.

use crate::{Failure, Need};

pub(super) enum Grants {
    Everything,
    Needs(Vec<Need>),
}

impl Default for Grants {
    fn default() -> Self {
        Self::Needs(Vec::new())
    }
}

impl Grants {
    /// The needs of the next call, unless everything is allowed.
    pub(super) fn replace(&mut self, needs: Vec<Need>) {
        if let Self::Needs(granted) = self {
            *granted = needs;
        }
    }

    /// A failure, `grant.missing`, unless a need covers this use.
    pub(super) fn check(&self, capability: &str, target: &str) -> Result<(), Failure> {
        let Self::Needs(needs) = self else {
            return Ok(());
        };
        if needs.iter().any(|need| covers(need, capability, target)) {
            return Ok(());
        }
        let message = format!("`prepare` did not ask for {capability} {target}");
        Err(Failure::config("grant.missing", message))
    }
}

fn covers(need: &Need, capability: &str, target: &str) -> bool {
    match (need.capability.as_str(), capability) {
        ("connect", "connect") => leads_to(&need.target, target),
        (asked, used) if asked == used || (asked, used) == ("watch", "read") => {
            is_like(&need.target, target)
        }
        _ => false,
    }
}

/// Whether the URL lies at or below the origin and path.
fn leads_to(origin: &str, url: &str) -> bool {
    let inside = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
    let (prefix, suffix) = origin.split_once("*.").unwrap_or((origin, ""));
    let Some(rest) = url.strip_prefix(prefix) else {
        return false;
    };
    if suffix.is_empty() {
        return prefix.ends_with('/') || inside(rest);
    }
    rest.find(suffix).and_then(|at| rest.get(at + suffix.len()..)).is_some_and(inside)
}

/// Whether the name is the pattern, with `*` for any text.
fn is_like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|end| is_like(after, end)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_need_names_is_covered() {
        let grants = Grants::Needs(vec![
            Need::watch("/run/a"),
            Need::write("/out/*"),
            Need::connect("https://sso.test"),
            Need::connect("https://*.cloud.test/v1"),
            Need::unwrap(),
        ]);
        for (capability, target) in [
            ("read", "/run/a"),
            ("write", "/out/deep/b"),
            ("connect", "https://sso.test/path"),
            ("connect", "https://eu.cloud.test/v1?x=y"),
            ("server", "unwrap"),
        ] {
            assert!(grants.check(capability, target).is_ok(), "{capability} {target}");
        }
        for (capability, target) in [
            ("read", "/run/b"),
            ("read", "/out/b"),
            ("remove", "/run/a"),
            ("connect", "https://sso.test.evil.test/"),
            ("connect", "https://eu.cloud.test/v10"),
            ("server", "token"),
        ] {
            assert_eq!(grants.check(capability, target).unwrap_err().code, "grant.missing");
        }
    }
}
