//! What a path of the servers' API is about, as far as the proxy must know.

use http::Method;

/// Whether the servers answer this without a token. Such a request doesn't wait for the first login,
/// which may depend on it.
pub(crate) fn needs_no_token(method: &Method, whole: &str) -> bool {
    let Some(path) = whole.strip_prefix("/v1/") else { return false };
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
    path == "sys/wrapping/lookup" || is_login(whole)
}

/// Whether the status is what was asked for: `sys/health` answers a monitor with the one that it wants
/// to see, or with that of a state which doesn't pass.
pub(crate) fn asks_for_a_status(path: &str) -> bool {
    path == "/v1/sys/health"
}

/// "/v1/auth/MOUNT/login" and what is below it; the mount may have slashes.
pub(crate) fn is_login(path: &str) -> bool {
    path.strip_prefix("/v1/auth/").is_some_and(|rest| {
        let mut segments = rest.split('/').skip(1);
        segments.any(|segment| segment == "login")
    })
}

/// Whether an answer may show the token that it is asked with: the server looks one up, or renews
/// it. A namespace may stand before. The server decodes a path before it looks at it, and sends
/// whoever wrote one with empty segments or steps in it to the one without, which is followed.
pub(crate) fn may_show_token(path: &str) -> bool {
    let path = decoded(path);
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let [.., "auth", "token", operation] = segments[..] else { return false };
    matches!(operation, "lookup" | "lookup-self" | "renew" | "renew-self")
}

/// A path without percent-encoding. What is no UTF-8 then is none of the names that are looked for.
fn decoded(path: &str) -> String {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] => hexadecimal(*high).zip(hexadecimal(*low)),
            _ => None,
        };
        if let Some((high, low)) = code {
            decoded.push((high << 4) | low);
            rest = &after[2..];
        } else {
            decoded.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
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
            "/v1/auth/token/lookup%2Dself",
            "/v1/%61uth/token%2flookup",
            "/v1//auth//token/lookup-self",
            "/v1/auth/token/./x/../renew",
            "/v1/auth/token/../../auth/token/lookup-self",
        ] {
            assert!(may_show_token(path), "{path}");
        }
        for path in [
            "/v1/auth/token/create",
            "/v1/xauth/token/lookup",
            "/v1/auth/token/lookup-accessor",
            "/v1/auth/token/lookup%252dself",
            "/v1/auth/token/lookup%2",
            "/v1/auth/token/lookup%ff",
            "/",
        ] {
            assert!(!may_show_token(path), "{path}");
        }
    }
}
