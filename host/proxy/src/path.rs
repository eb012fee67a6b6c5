//! What a path of the servers' API is about, as far as the proxy must know.

use http::Method;

/// Whether the servers answer this without a token. Such a request doesn't wait for the first login,
/// which may depend on it.
pub(crate) fn needs_no_token(method: &Method, path: &str) -> bool {
    let Some(path) = path.strip_prefix("/v1/") else { return false };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let status = [
        "sys/health",
        "sys/seal-status",
        "sys/leader",
        "sys/init",
        "sys/internal/ui/mounts",
        "sys/internal/ui/namespaces",
    ];
    if status.contains(&path) {
        return reads;
    }
    path == "sys/wrapping/lookup" || is_login(path)
}

/// "auth/MOUNT/login" and what is below it; the mount may have slashes.
fn is_login(path: &str) -> bool {
    path.strip_prefix("auth/").is_some_and(|rest| {
        let mut segments = rest.split('/').skip(1);
        segments.any(|segment| segment == "login")
    })
}

/// Whether an answer may show the token that it is asked with: the server looks one up, or renews
/// it. A namespace may stand before.
pub(crate) fn may_show_token(path: &str) -> bool {
    let Some(path) = path.strip_prefix("/v1/") else { return false };
    let path = path.trim_end_matches('/');
    ["lookup", "lookup-self", "renew", "renew-self"].iter().any(|operation| {
        path.strip_suffix(operation)
            .and_then(|rest| rest.strip_suffix("auth/token/"))
            .is_some_and(|namespace| namespace.is_empty() || namespace.ends_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_does_not_wait_for_a_token() {
        for path in [
            "/v1/sys/health",
            "/v1/sys/seal-status",
            "/v1/auth/approle/login",
            "/v1/auth/userpass/login/web",
            "/v1/auth/team/k8s/login",
            "/v1/sys/wrapping/lookup",
        ] {
            assert!(needs_no_token(&Method::GET, path), "{path}");
        }
        for path in [
            "/v1/secret/data/sys/health",
            "/v1/auth/login",
            "/v1/sys/wrapping/unwrap",
            "/v1/auth/token/lookup-self",
            "/sys/health",
            "/",
        ] {
            assert!(!needs_no_token(&Method::GET, path), "{path}");
        }
        assert!(!needs_no_token(&Method::PUT, "/v1/sys/init"));
    }

    #[test]
    fn look_ups_and_renewals_show_tokens() {
        for path in [
            "/v1/auth/token/lookup-self",
            "/v1/auth/token/lookup",
            "/v1/auth/token/renew/",
            "/v1/team/auth/token/renew-self",
        ] {
            assert!(may_show_token(path), "{path}");
        }
        for path in
            ["/v1/auth/token/create", "/v1/xauth/token/lookup", "/v1/auth/token/lookup-accessor"]
        {
            assert!(!may_show_token(path), "{path}");
        }
    }
}
