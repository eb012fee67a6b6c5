//! Which of the operations a path stands for that the cache must know.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// What is done where the path stands for one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    /// What stands before it in the path: a namespace, or else it is no such operation but a secret
    /// whose path looks like one. "" or "team/".
    pub(crate) before: String,
    /// What stands behind it: a token, an accessor, a lease or a prefix of leases.
    pub(crate) argument: String,
}

/// The operations that are no use of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of a token or a lease.
    Renewal,
    /// What can be read once.
    Wrapping,
    /// What belongs to one token alone.
    Cubbyhole,
    RevokeToken,
    RevokeSelf,
    RevokeAccessor,
    /// Its children live on.
    RevokeOrphan,
    RevokeLease,
    /// All below a prefix, whether or not what they are for is really revoked.
    RevokeLeases,
}

/// A path that the server may read otherwise than it is written: it cleans some, and redirects for
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unclear;

/// A path as the server reads it, from one as it is sent, without query: what stands behind "/v1/",
/// decoded.
pub(crate) fn server_path(path: &str) -> Result<Cow<'_, str>, Unclear> {
    let path = path.strip_prefix("/v1/").ok_or(Unclear)?;
    let path = percent_decode_str(path).decode_utf8().map_err(|_| Unclear)?;
    if segments(&path).any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(Unclear);
    }
    Ok(path)
}

/// Reads a path as it is sent, without query. `None`: it is none of these operations.
pub(crate) fn operation(path: &str) -> Result<Option<Operation>, Unclear> {
    let path = server_path(path)?;
    let starts = segments(&path).scan(0, |at, segment| {
        let start = *at;
        *at += segment.len() + 1;
        Some(start)
    });
    for start in starts {
        let (before, rest) = path.split_at(start);
        if let Some((kind, argument)) = table(rest) {
            let (before, argument) = (before.to_owned(), argument.to_owned());
            return Ok(Some(Operation { kind, before, argument }));
        }
    }
    Ok(None)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_suffix('/').unwrap_or(path).split('/')
}

fn table(path: &str) -> Option<(Kind, &str)> {
    // Those of which there are more with every version of the server.
    if path.starts_with("auth/token/renew") {
        return Some((Kind::Renewal, ""));
    }
    OPERATIONS.iter().find_map(|(operation, kind)| {
        let rest = path.strip_prefix(operation)?;
        let argument = if rest.is_empty() { rest } else { rest.strip_prefix('/')? };
        Some((*kind, argument))
    })
}

/// Those below "sys/" without "leases/" are what old clients use.
const OPERATIONS: [(&str, Kind); 14] = [
    ("sys/leases/renew", Kind::Renewal),
    ("sys/renew", Kind::Renewal),
    ("sys/wrapping", Kind::Wrapping),
    ("cubbyhole", Kind::Cubbyhole),
    ("auth/token/revoke", Kind::RevokeToken),
    ("auth/token/revoke-self", Kind::RevokeSelf),
    ("auth/token/revoke-accessor", Kind::RevokeAccessor),
    ("auth/token/revoke-orphan", Kind::RevokeOrphan),
    ("sys/leases/revoke", Kind::RevokeLease),
    ("sys/leases/revoke-prefix", Kind::RevokeLeases),
    ("sys/leases/revoke-force", Kind::RevokeLeases),
    ("sys/revoke", Kind::RevokeLease),
    ("sys/revoke-prefix", Kind::RevokeLeases),
    ("sys/revoke-force", Kind::RevokeLeases),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_known_wherever_their_namespace_stands() {
        use Kind::*;
        for (path, kind, before, argument) in [
            ("auth/token/renew", Renewal, "", ""),
            ("auth/token/renew-self", Renewal, "", ""),
            ("auth/token/renew-accessor/", Renewal, "", ""),
            ("auth/token/%72enew-self", Renewal, "", ""),
            ("auth%2Ftoken%2Frenew-self", Renewal, "", ""),
            ("team/web/auth/token/renew-self", Renewal, "team/web/", ""),
            ("sys/leases/renew", Renewal, "", ""),
            ("sys/leases/renew/a/b", Renewal, "", "a/b"),
            ("sys/renew/a", Renewal, "", "a"),
            ("sys/wrapping/unwrap", Wrapping, "", "unwrap"),
            ("cubbyhole/a", Cubbyhole, "", "a"),
            ("team/cubbyhole", Cubbyhole, "team/", ""),
            ("auth/token/revoke", RevokeToken, "", ""),
            ("auth/token/revoke/hvs.a", RevokeToken, "", "hvs.a"),
            ("auth/token/revoke-self", RevokeSelf, "", ""),
            ("auth/token/revoke-accessor", RevokeAccessor, "", ""),
            ("auth/token/revoke-orphan", RevokeOrphan, "", ""),
            ("sys/leases/revoke", RevokeLease, "", ""),
            ("sys/leases/revoke/db/creds/a/1", RevokeLease, "", "db/creds/a/1"),
            ("sys/revoke/db/creds/a/1", RevokeLease, "", "db/creds/a/1"),
            ("sys/leases/revoke-prefix/db/", RevokeLeases, "", "db/"),
            ("team/sys/leases/revoke-force/db", RevokeLeases, "team/", "db"),
            ("sys/revoke-prefix/db", RevokeLeases, "", "db"),
        ] {
            let (before, argument) = (before.to_owned(), argument.to_owned());
            let expected = Operation { kind, before, argument };
            assert_eq!(operation(&format!("/v1/{path}")), Ok(Some(expected)), "{path}");
        }
    }

    #[test]
    fn everything_else_is_none_of_them() {
        for path in [
            "/v1/database/creds/app",
            "/v1/auth/approle/login",
            "/v1/auth/token/create",
            "/v1/auth/token/revocation",
            "/v1/xauth/token/renew",
            "/v1/mycubbyhole/a",
            "/v1/sys/leases/lookup",
            "/v1/secret/data/a%20b/",
        ] {
            assert_eq!(operation(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn a_path_that_may_be_read_otherwise_is_said_to_be_unclear() {
        for path in [
            "/",
            "/v1",
            "/v1/",
            "/ui/",
            "/v2/a",
            "v1/a",
            "/v1//a",
            "/v1/a//b",
            "/v1/a/./b",
            "/v1/a/../b",
            "/v1/a/%2e%2e/b",
            "/v1/a%2F%2Fb",
            "/v1/a//",
            "/v1/%ff",
        ] {
            assert_eq!(operation(path), Err(Unclear), "{path}");
        }
    }
}
