//! What the fake host allows: the needs of the configuration at hand, by their text alone, with
//! environment variables put in.

use crate::{Failure, Need};
use std::collections::BTreeMap;

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
    pub(super) fn replace(&mut self, needs: Vec<Need>, env: &BTreeMap<String, String>) {
        if let Self::Needs(granted) = self {
            *granted = needs.into_iter().flat_map(|need| expanded(need, env)).collect();
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

/// The need with `${NAME}` replaced, void if a variable is unset or empty, and the variables named.
fn expanded(need: Need, env: &BTreeMap<String, String>) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut target = Some(String::new());
    let mut rest = need.target.as_str();
    while let Some((before, (name, after))) =
        rest.split_once("${").and_then(|(before, from)| Some((before, from.split_once('}')?)))
    {
        needs.push(Need::env(name));
        let value = env.get(name).filter(|value| !value.is_empty());
        target = target.zip(value).map(|(target, value)| target + before + value);
        rest = after;
    }
    needs.extend(target.map(|target| Need { target: target + rest, ..need }));
    needs
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
    fn variables_in_a_need_are_put_in_and_granted() {
        let mut grants = Grants::default();
        let env = [("DIR", "/run/a"), ("EMPTY", "")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let needs = ["${DIR}/${DIR}x", "${UNSET}/b", "${EMPTY}/c"].map(Need::read).to_vec();
        grants.replace(needs, &env);
        for (capability, target, granted) in [
            ("read", "/run/a//run/ax", true),
            ("env", "DIR", true),
            ("env", "UNSET", true),
            ("read", "/b", false),
            ("read", "/c", false),
        ] {
            assert_eq!(grants.check(capability, target).is_ok(), granted, "{capability} {target}");
        }
    }

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
