//! What an answer of the server says that the cache must know: what it grants, and for how long.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use usher_lifecycle::Granted;
use usher_secret::Secret;
use zeroize::Zeroizing;

use super::wiped::Wiped;

/// What an answer grants. No `Debug`: it may hold a token.
pub(crate) enum Facts {
    /// A secret that has a lease.
    Lease {
        /// As the server names it.
        id: String,
        /// `None` for its TTL: it never ends.
        granted: Granted,
    },
    /// A token.
    Auth {
        token: Secret<String>,
        /// `None`: it has none, as batch tokens.
        accessor: Option<Zeroizing<String>>,
        /// `None` for its TTL: it never ends.
        granted: Granted,
        /// Whether it lives on without the token that asked for it.
        parentage: Parentage,
        uses: Uses,
    },
    /// Data without a lease.
    Data,
}

/// Whose child a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parentage {
    Orphan,
    /// It ends with the token that asked for it.
    Child,
}

/// How often a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uses {
    Unlimited,
    /// Each request with it, a renewal too, takes one away.
    Limited,
}

/// Reads an answer. `None`: it is no success in JSON, it can't be read, or it grants nothing for a
/// time.
pub(crate) fn facts(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Option<Facts> {
    if !status.is_success() || !may_have_facts(headers) {
        return None;
    }
    // The error would quote the answer.
    let Parsed { lease_id, lease_duration, renewable, auth, wrap_info, data } =
        serde_json::from_slice(body).ok()?;
    if wrap_info.is_some() {
        return None;
    }
    let granted = |seconds: Option<u64>, renewable: Option<bool>| Granted {
        ttl: seconds.map(Duration::from_secs),
        renewable: renewable.unwrap_or_default(),
    };
    match (lease_id.filter(|id| !id.is_empty()), auth) {
        (Some(id), _) => Some(Facts::Lease { id, granted: granted(lease_duration, renewable) }),
        (None, Some(auth)) => {
            let Wiped(token) = auth.client_token.filter(|Wiped(text)| !text.is_empty())?;
            let accessor = auth.accessor.map(|Wiped(text)| text).filter(|text| !text.is_empty());
            let orphan = auth.orphan.unwrap_or_default();
            // The server shows -1 on the last one.
            let limited = auth.num_uses.is_some_and(|uses| uses != 0);
            Some(Facts::Auth {
                token: Secret::new(String::clone(&token)),
                accessor,
                granted: granted(auth.lease_duration, auth.renewable),
                parentage: if orphan { Parentage::Orphan } else { Parentage::Child },
                uses: if limited { Uses::Limited } else { Uses::Unlimited },
            })
        }
        (None, None) if status == StatusCode::OK => data.map(|_| Facts::Data),
        (None, None) => None,
    }
}

/// Whether a success with these headers is worth reading.
pub(crate) fn may_have_facts(headers: &HeaderMap) -> bool {
    let json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let media_type = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    json && !headers.contains_key(CONTENT_ENCODING)
}

#[derive(Deserialize)]
struct Parsed {
    lease_id: Option<String>,
    lease_duration: Option<u64>,
    renewable: Option<bool>,
    auth: Option<ParsedAuth>,
    wrap_info: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct ParsedAuth {
    client_token: Option<Wiped>,
    accessor: Option<Wiped>,
    lease_duration: Option<u64>,
    renewable: Option<bool>,
    orphan: Option<bool>,
    num_uses: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, content_type: &str, body: &str) -> Option<Facts> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        facts(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    fn json(body: &str) -> Option<Facts> {
        read(200, "application/json", body)
    }

    #[test]
    fn a_lease_is_read() {
        let body = r#"{"request_id":"r","lease_id":"database/creds/app/1","renewable":true,
            "lease_duration":3600,"data":{"password":"p"},"wrap_info":null,"auth":null}"#;
        let Some(Facts::Lease { id, granted }) = json(body) else { panic!() };
        assert_eq!(id, "database/creds/app/1");
        let ttl = Some(Duration::from_hours(1));
        assert_eq!(granted, Granted { ttl, renewable: true });
    }

    #[test]
    fn a_token_is_read() {
        let body = r#"{"lease_id":"","renewable":false,"lease_duration":0,"data":null,"auth":{
            "client_token":"hvs.a","accessor":"acc","policies":["default"],"lease_duration":60,
            "renewable":true,"orphan":true,"num_uses":0,"mfa_requirement":null}}"#;
        let facts = json(body);
        let Some(Facts::Auth { token, accessor, granted, parentage, uses }) = facts else {
            panic!()
        };
        assert_eq!(token.expose(), "hvs.a");
        assert_eq!(accessor.unwrap().as_str(), "acc");
        assert_eq!(granted, Granted { ttl: Some(Duration::from_mins(1)), renewable: true });
        assert_eq!((parentage, uses), (Parentage::Orphan, Uses::Unlimited));
        let body = r#"{"auth":{"client_token":"b","accessor":"","num_uses":-1}}"#;
        let facts = json(body);
        let Some(Facts::Auth { accessor, granted, parentage, uses, .. }) = facts else { panic!() };
        assert!(accessor.is_none());
        assert_eq!(granted, Granted { ttl: None, renewable: false });
        assert_eq!((parentage, uses), (Parentage::Child, Uses::Limited));
    }

    #[test]
    fn data_without_a_lease_is_known() {
        for body in [
            r#"{"data":{"a":"b"},"auth":null}"#,
            r#"{"lease_id":"","lease_duration":2764800,"renewable":false,"data":{}}"#,
        ] {
            assert!(matches!(json(body), Some(Facts::Data)), "{body}");
            assert!(read(201, "application/json", body).is_none(), "it was written: {body}");
        }
    }

    #[test]
    fn what_grants_nothing_has_no_facts() {
        let lease = r#"{"lease_id":"a/1","lease_duration":1,"renewable":true}"#;
        assert!(json(lease).is_some());
        assert!(read(201, "Application/JSON; charset=utf-8", lease).is_some());
        for (status, content_type) in
            [(300, "application/json"), (403, "application/json"), (200, "text/html")]
        {
            assert!(read(status, content_type, lease).is_none(), "{status} {content_type}");
        }
        for body in [
            "",
            "null",
            "[]",
            "<html>",
            r#"{"data":null,"auth":null}"#,
            r#"{"data":{},"wrap_info":{"token":"hvs.w"}}"#,
            r#"{"data":{},"auth":{"client_token":""}}"#,
            r#"{"lease_id":"a/1","lease_duration":-1}"#,
            r#"{"lease_id":"a/1","lease_id":"b/1"}"#,
            r#"{"lease_id":"a/1","wrap_info":{"token":"hvs.w"}}"#,
            r#"{"auth":{"client_token":"","mfa_requirement":{}}}"#,
            r#"{"auth":{}}"#,
        ] {
            assert!(json(body).is_none(), "{body}");
        }
        let mut compressed = HeaderMap::new();
        compressed.insert(CONTENT_TYPE, "application/json".parse().unwrap());
        compressed.insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert!(facts(StatusCode::OK, &compressed, lease.as_bytes()).is_none());
    }
}
