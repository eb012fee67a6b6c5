//! Which requests may read a static secret, and which may change one.

use std::sync::Arc;

use http::Method;

use crate::cache::key::Key;

/// A request for what may be a static secret.
#[derive(Clone)]
pub(crate) struct Reading {
    /// All that matters of it but the token: whoever has shown that it may read the same shares it.
    pub(crate) key: Key,
    /// Namespace and path as the server reads them.
    pub(crate) path: Arc<str>,
}

/// What a request may change that asks for more than to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// What lies there, and what lists it.
    At(Box<str>),
    /// Nobody can say what, or who may read it.
    Anything,
}

/// Whether a request for this path may read a static secret. What is none is told by its mount, but
/// some mounts are the same everywhere.
pub(crate) fn may_read(method: &Method, path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    (*method == Method::GET || method.as_str() == "LIST") && !NO_SECRETS.contains(&first)
}

/// What a request may change; `None`: it only reads. `path`: with its namespace, as the server reads
/// it, if that can be said.
pub(crate) fn writing(method: &Method, path: Option<&str>) -> Option<Writing> {
    if READS.contains(&method.as_str()) {
        return None;
    }
    let path = path.filter(|path| !changes_anything(path));
    Some(path.map_or(Writing::Anything, |path| Writing::At(path.into())))
}

/// Whether it is an operation that may change all secrets, or who may read them. A namespace may
/// stand before.
fn changes_anything(path: &str) -> bool {
    let starts = [0].into_iter().chain(path.match_indices('/').map(|(at, _)| at + 1));
    let mut rests = starts.filter_map(|start| path.get(start..));
    rests.any(|rest| {
        OF_ALL.iter().any(|operation| {
            let left = rest.strip_prefix(operation);
            left.is_some_and(|left| left.is_empty() || left.starts_with('/'))
        })
    })
}

/// Those that change nothing. SCAN is a LIST that goes down into folders.
const READS: [&str; 7] = ["GET", "HEAD", "LIST", "SCAN", "OPTIONS", "TRACE", "CONNECT"];
const NO_SECRETS: [&str; 4] = ["auth", "cubbyhole", "identity", "sys"];
const OF_ALL: [&str; 8] = [
    "sys/mounts",
    "sys/namespaces",
    "sys/plugins/reload",
    "sys/policies",
    "sys/policy",
    "sys/raw",
    "sys/remount",
    "sys/storage",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_what_is_the_servers_own_reads_no_static_secret() {
        let method = |name: &str| name.parse::<Method>().unwrap();
        for (name, path, may) in [
            ("GET", "secret/data/app", true),
            ("LIST", "team/secret/metadata", true),
            ("GET", "system/app", true),
            ("GET", "sys/policies/acl/app", false),
            ("GET", "auth/token/lookup-self", false),
            ("GET", "identity/entity/id/a", false),
            ("GET", "cubbyhole/a", false),
            ("HEAD", "secret/data/app", false),
            ("SCAN", "secret/metadata", false),
            ("POST", "secret/data/app", false),
        ] {
            assert_eq!(may_read(&method(name), path), may, "{name} {path}");
        }
    }

    #[test]
    fn whatever_does_not_only_read_writes() {
        let method = |name: &str| name.parse::<Method>().unwrap();
        let at = |path: &str| Some(Writing::At(path.into()));
        for (name, path, expected) in [
            ("POST", "secret/data/app", at("secret/data/app")),
            ("PATCH", "secret/data/app", at("secret/data/app")),
            ("DELETE", "secret/metadata/app", at("secret/metadata/app")),
            ("OTHER", "secret/app", at("secret/app")),
            ("PUT", "sys/mountsx", at("sys/mountsx")),
            ("PUT", "sys/leases/renew", at("sys/leases/renew")),
            ("DELETE", "sys/mounts/secret", Some(Writing::Anything)),
            ("POST", "team/sys/policies/acl/app", Some(Writing::Anything)),
            ("POST", "sys/remount", Some(Writing::Anything)),
            ("GET", "sys/mounts", None),
            ("LIST", "secret/metadata", None),
            ("SCAN", "secret/metadata", None),
            ("HEAD", "secret/data/app", None),
        ] {
            assert_eq!(writing(&method(name), Some(path)), expected, "{name} {path}");
        }
        assert_eq!(writing(&Method::PUT, None), Some(Writing::Anything));
        assert_eq!(writing(&Method::GET, None), None);
    }
}
