//! With whose token a request goes on.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName};

use crate::headers::TOKEN;

/// When requests get the agent's token: `use_auto_auth_token`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenUse {
    /// Never: false.
    #[default]
    Never,
    /// Where they bring none of their own: true.
    WhenAbsent,
    /// Always, whatever they bring: "force".
    Always,
}

/// Whose token a request goes on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// The caller's own, or none at all: as the request is.
    Caller,
    /// The agent's, and no other.
    Agent,
}

/// Who a request is made as. `Authorization: Bearer` is as good as `X-Vault-Token`, as it is for the
/// servers; an empty one is none.
pub(crate) fn admit(headers: &HeaderMap, token_use: TokenUse) -> Bearer {
    match token_use {
        TokenUse::Never => Bearer::Caller,
        TokenUse::WhenAbsent if brings_token(headers) || logs_in(headers) => Bearer::Caller,
        TokenUse::WhenAbsent | TokenUse::Always => Bearer::Agent,
    }
}

/// Takes every token out of a request, and every login that would bring one.
pub(crate) fn strip(headers: &mut HeaderMap) {
    headers.remove(TOKEN);
    let logins: Vec<HeaderName> =
        headers.keys().filter(|name| is_of_a_login(name)).cloned().collect();
    for name in logins {
        headers.remove(name);
    }
    let bears =
        headers.get_all(AUTHORIZATION).iter().any(|value| bearer(value.as_bytes()).is_some());
    if bears {
        headers.remove(AUTHORIZATION);
    }
}

fn brings_token(headers: &HeaderMap) -> bool {
    headers.get_all(TOKEN).iter().any(|value| !value.is_empty())
        || headers
            .get_all(AUTHORIZATION)
            .iter()
            .filter_map(|value| bearer(value.as_bytes()))
            .any(|token| !token.is_empty())
}

/// Whether a login comes with the request (OpenBao's inline authentication), which the server refuses
/// beside a token.
fn logs_in(headers: &HeaderMap) -> bool {
    headers.keys().any(is_of_a_login)
}

fn is_of_a_login(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-vault-inline-auth-")
}

/// What stands behind "Bearer" (RFC 6750, §2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let separated = token.is_empty() || token.starts_with(b" ");
    (scheme.eq_ignore_ascii_case(SCHEME) && separated).then(|| token.trim_ascii())
}

const SCHEME: &[u8] = b"Bearer";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_request_keeps_its_own_token_unless_that_is_overruled() {
        use Bearer::{Agent, Caller};
        for (sent, when_absent) in [
            (&[][..], Agent),
            (&[("x-vault-token", "hvs.own")], Caller),
            (&[("x-vault-token", "")], Agent),
            (&[("authorization", "Bearer hvs.own")], Caller),
            (&[("authorization", "bEARER   hvs.own")], Caller),
            (&[("authorization", "Bearer ")], Agent),
            (&[("authorization", "Bearer")], Agent),
            (&[("authorization", "Bearerhvs.own")], Agent),
            (&[("authorization", "Basic dTpw")], Agent),
            (&[("x-vault-inline-auth-path", "auth/approle/login")], Caller),
            (&[("x-vault-token", ""), ("authorization", "Bearer a")], Caller),
        ] {
            let headers = headers(sent);
            assert_eq!(admit(&headers, TokenUse::WhenAbsent), when_absent, "{sent:?}");
            assert_eq!(admit(&headers, TokenUse::Never), Caller, "{sent:?}");
            assert_eq!(admit(&headers, TokenUse::Always), Agent, "{sent:?}");
        }
    }

    #[test]
    fn no_token_stays_beside_the_agents() {
        let mut sent = headers(&[
            ("x-vault-token", "a"),
            ("authorization", "Bearer b"),
            ("x-vault-inline-auth-path", "auth/approle/login"),
            ("x-vault-inline-auth-parameter-a", "c"),
            ("x", "y"),
        ]);
        strip(&mut sent);
        assert_eq!(sent, headers(&[("x", "y")]));
        // What a proxy in front of the server wants.
        let mut sent = headers(&[("authorization", "Basic dTpw")]);
        strip(&mut sent);
        assert_eq!(sent.len(), 1);
    }
}
