//! What the cache may do with a request, as its method, path and headers say.

use http::header::{AUTHORIZATION, CACHE_CONTROL, UPGRADE};
use http::{HeaderMap, HeaderName, Method};

use super::operation::{Kind, Operation, operation};
use crate::headers::{NAMESPACE, TOKEN};

/// What may be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// An answer that is kept will do, and its own may be kept.
    Cacheable,
    /// None that is kept will do, but its own may be kept: the caller asks for a new one.
    Refresh,
    /// It goes on, and nothing is kept of it. If the server does what it asks, others may not be
    /// good any more.
    Revoking(Operation),
    /// It goes on, and nothing is kept of it.
    Passing(Why),
}

/// Why a request only passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The server may read the path otherwise than it is written, or it is none of its API.
    Path,
    /// A renewal: whoever asks for one wants it done.
    Renewal,
    /// It is about a wrapping token, which is good for once.
    Wrapping,
    /// It is about what belongs to one token alone.
    Cubbyhole,
    /// The answer is for this request alone: wrapped, with a second factor, a login within, for a
    /// server with a certain state.
    Header,
    /// The caller wants nothing to be kept.
    NoStore,
    /// It bears several tokens or namespaces, or one that can't be read.
    Ambiguous,
    /// It wants to go on with another protocol.
    Upgrade,
    /// It is a method that asks for no secret.
    Method,
    /// Its body is too large to be looked at, or comes bit by bit.
    Body,
}

/// What may be done with a request of this method, path (as sent, without query) and headers (as the
/// caller sent them).
pub(crate) fn classify(method: &Method, path: &str, headers: &HeaderMap) -> Class {
    if matches!(*method, Method::HEAD | Method::OPTIONS | Method::CONNECT | Method::TRACE) {
        return Class::Passing(Why::Method);
    }
    let Ok(operation) = operation(path) else { return Class::Passing(Why::Path) };
    match operation {
        Some(Operation { kind: Kind::Renewal, .. }) => return Class::Passing(Why::Renewal),
        Some(Operation { kind: Kind::Wrapping, .. }) => return Class::Passing(Why::Wrapping),
        Some(Operation { kind: Kind::Cubbyhole, .. }) => return Class::Passing(Why::Cubbyhole),
        Some(operation) => return Class::Revoking(operation),
        None => {}
    }
    if headers.contains_key(UPGRADE) {
        return Class::Passing(Why::Upgrade);
    }
    if headers.keys().any(is_for_itself) {
        return Class::Passing(Why::Header);
    }
    if is_ambiguous(headers) {
        return Class::Passing(Why::Ambiguous);
    }
    let asks = |directive| {
        let values = headers.get_all(CACHE_CONTROL).iter();
        let mut directives = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        directives.any(|found| found.trim_ascii().eq_ignore_ascii_case(directive))
    };
    if asks(b"no-store") {
        Class::Passing(Why::NoStore)
    } else if asks(b"no-cache") {
        Class::Refresh
    } else {
        Class::Cacheable
    }
}

/// Whether a header makes the answer one for this request alone.
fn is_for_itself(name: &HeaderName) -> bool {
    const OF_ONE: [&str; 5] = [
        "x-vault-wrap-ttl",
        "x-vault-mfa",
        "x-vault-index",
        "x-vault-inconsistent",
        "x-vault-policy-override",
    ];
    OF_ONE.contains(&name.as_str()) || name.as_str().starts_with("x-vault-inline-auth-")
}

/// Whether it can't be said for sure whose request it is and where it goes: servers and what stands
/// before them may choose differently.
fn is_ambiguous(headers: &HeaderMap) -> bool {
    let several = |name: &HeaderName| headers.get_all(name).iter().count() > 1;
    let other_scheme = headers.get(AUTHORIZATION).is_some_and(|value| {
        !value.as_bytes().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "))
    });
    several(&TOKEN)
        || several(&AUTHORIZATION)
        || several(&NAMESPACE)
        || other_scheme
        || (headers.contains_key(TOKEN) && headers.contains_key(AUTHORIZATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(method: &Method, path: &str, pairs: &[(&'static str, &'static str)]) -> Class {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        classify(method, path, &headers)
    }

    #[test]
    fn a_request_is_cacheable_whatever_says_who_asks() {
        for method in [Method::GET, Method::POST, Method::PUT, "LIST".parse().unwrap()] {
            for headers in [
                &[][..],
                &[("user-agent", "curl/8"), ("traceparent", "00-1-2-00"), ("host", "a")],
                &[("x-vault-token", "hvs.a"), ("x-vault-namespace", "team")],
                &[("authorization", "bearer hvs.a"), ("x-vault-request", "true")],
                &[("cache-control", "max-age=0")],
            ] {
                let class = class(&method, "/v1/database/creds/app", headers);
                assert_eq!(class, Class::Cacheable, "{method} {headers:?}");
            }
        }
    }

    #[test]
    fn a_request_for_itself_only_passes() {
        for (name, value, why) in [
            ("x-vault-wrap-ttl", "60", Why::Header),
            ("x-vault-mfa", "a:1", Why::Header),
            ("x-vault-index", "a", Why::Header),
            ("x-vault-inconsistent", "forward-active-node", Why::Header),
            ("x-vault-policy-override", "true", Why::Header),
            ("x-vault-inline-auth-path", "auth/jwt/login", Why::Header),
            ("X-Vault-Inline-Auth-Parameter-1", "a", Why::Header),
            ("cache-control", "no-store", Why::NoStore),
            ("cache-control", "no-cache, No-Store", Why::NoStore),
            ("authorization", "Basic dTpw", Why::Ambiguous),
            ("authorization", "Bearer", Why::Ambiguous),
            ("upgrade", "websocket", Why::Upgrade),
        ] {
            let class = class(&Method::GET, "/v1/database/creds/app", &[(name, value)]);
            assert_eq!(class, Class::Passing(why), "{name}: {value}");
        }
        for headers in [
            [("x-vault-token", "a"), ("x-vault-token", "b")],
            [("x-vault-token", "a"), ("authorization", "Bearer b")],
            [("x-vault-namespace", "a"), ("x-vault-namespace", "b")],
        ] {
            let class = class(&Method::GET, "/v1/database/creds/app", &headers);
            assert_eq!(class, Class::Passing(Why::Ambiguous), "{headers:?}");
        }
        let head = class(&Method::HEAD, "/v1/database/creds/app", &[]);
        assert_eq!(head, Class::Passing(Why::Method));
    }

    #[test]
    fn a_request_that_wants_no_kept_answer_asks_for_a_new_one() {
        for value in ["no-cache", "max-age=0, NO-CACHE"] {
            let class = class(&Method::GET, "/v1/database/creds/app", &[("cache-control", value)]);
            assert_eq!(class, Class::Refresh, "{value}");
        }
    }

    #[test]
    fn some_paths_only_pass_or_revoke() {
        for (path, why) in [
            ("/v1/auth/token/renew-self", Why::Renewal),
            ("/v1/team/sys/leases/renew", Why::Renewal),
            ("/v1/sys/wrapping/unwrap", Why::Wrapping),
            ("/v1/cubbyhole/a", Why::Cubbyhole),
            ("/ui/", Why::Path),
            ("/v1/a/../auth/token/renew-self", Why::Path),
        ] {
            assert_eq!(class(&Method::PUT, path, &[]), Class::Passing(why), "{path}");
        }
        let revoking = class(&Method::PUT, "/v1/auth/token/revoke-self", &[]);
        assert!(matches!(revoking, Class::Revoking(Operation { kind: Kind::RevokeSelf, .. })));
    }
}
