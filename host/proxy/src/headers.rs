//! Which headers go on, and which belong to one connection or are the agent's to write.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use usher_address::Namespace;

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// The answer is wanted in a token that it can be had for once.
pub(crate) const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
pub(crate) const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

/// What belongs to one connection (RFC 9110, §7.6.1; RFC 9112, §9.6 for the older ones).
const OF_CONNECTION: [HeaderName; 7] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Takes out what belongs to the connection, and whatever `Connection` names. What the protocol
/// changes to stays if it is to be changed: see [`upgrade`].
pub(crate) fn drop_connections(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let Ok(text) = value.to_str() else { continue };
        named.extend(text.split(',').filter_map(|name| name.trim().parse().ok()));
    }
    // Nobody gets rid of these by naming them: how long a body is, and whose request it is.
    named.retain(|name| *name != CONTENT_LENGTH && *name != TOKEN && *name != NAMESPACE);
    let trailers = headers.get(TE).is_some_and(|value| names(value, "trailers"));
    for name in named.iter().chain(&OF_CONNECTION).chain([&TE]) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// The protocol that a request or an answer wants to go on with (RFC 9110, §7.8).
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let wanted = headers.get_all(CONNECTION).iter().any(|value| names(value, "upgrade"));
    headers.get(UPGRADE).filter(|_| wanted).cloned()
}

/// Prepares the headers of a request for the server.
pub(crate) fn rewrite(headers: &mut HeaderMap, namespace: &NamespaceRule) {
    // The listener has answered it already, when the body was asked for.
    headers.remove(EXPECT);
    let agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let agent = if agent.is_empty() {
        Ok(HeaderValue::from_static(OWN_AGENT))
    } else {
        HeaderValue::from_bytes(&[OWN_AGENT.as_bytes(), b"; ", agent].concat())
    };
    if let Ok(agent) = agent {
        headers.insert(USER_AGENT, agent);
    }
    namespace.apply(headers);
}

/// What becomes of `X-Vault-Namespace`.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamespaceRule {
    /// For requests that name none.
    pub(crate) default: Namespace,
    /// It stands before the one that a request names.
    pub(crate) prepend: bool,
}

impl NamespaceRule {
    fn apply(&self, headers: &mut HeaderMap) {
        if self.default.is_root() {
            return;
        }
        let own = headers.get(NAMESPACE).map(HeaderValue::as_bytes).unwrap_or_default();
        let whole = match (own.is_empty(), self.prepend) {
            (false, false) => return,
            (false, true) => [self.default.as_str().as_bytes(), own.trim_ascii_start()].concat(),
            (true, _) => self.default.as_str().as_bytes().to_vec(),
        };
        if let Ok(whole) = HeaderValue::from_bytes(&whole) {
            headers.insert(NAMESPACE, whole);
        }
    }
}

/// Whether a list of tokens has this one.
fn names(value: &HeaderValue, token: &str) -> bool {
    value.to_str().is_ok_and(|text| {
        text.split(',').any(|part| {
            part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(token)
        })
    })
}

const OWN_AGENT: &str = concat!("Usher API Proxy/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn what_belongs_to_the_connection_does_not_go_on() {
        let mut sent = headers(&[
            ("connection", "keep-alive, X-Hop"),
            ("connection", "content-length, x-vault-token"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic dTpw"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers;q=1, gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("x-vault-token", "hvs.own"),
            ("trailer", "x-sum"),
            ("accept-encoding", "gzip"),
        ]);
        drop_connections(&mut sent, None);
        let rest = headers(&[
            ("te", "trailers"),
            ("content-length", "3"),
            ("x-vault-token", "hvs.own"),
            ("trailer", "x-sum"),
            ("accept-encoding", "gzip"),
        ]);
        assert_eq!(sent, rest);
    }

    #[test]
    fn a_protocol_changes_only_where_both_headers_say_so() {
        let mut sent = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        let wanted = upgrade(&sent);
        assert_eq!(wanted.as_ref().unwrap(), "websocket");
        drop_connections(&mut sent, wanted.as_ref());
        assert_eq!(sent, headers(&[("connection", "upgrade"), ("upgrade", "websocket")]));
        assert_eq!(upgrade(&headers(&[("upgrade", "websocket")])), None);
        assert_eq!(upgrade(&headers(&[("connection", "upgrade")])), None);
    }

    #[test]
    fn the_server_is_told_through_whom_a_request_comes() {
        let rule = NamespaceRule::default();
        let mut sent = headers(&[("user-agent", "curl/8"), ("expect", "100-continue")]);
        rewrite(&mut sent, &rule);
        assert_eq!(sent[USER_AGENT], format!("{OWN_AGENT}; curl/8"));
        assert!(!sent.contains_key(EXPECT));
        let mut sent = headers(&[]);
        rewrite(&mut sent, &rule);
        assert_eq!(sent[USER_AGENT], OWN_AGENT);
    }

    #[test]
    fn the_namespace_is_the_requests_own_unless_another_stands_before_it() {
        for (default, prepend, own, sent) in [
            ("", true, None, None),
            ("", true, Some("web"), Some("web")),
            ("team", false, None, Some("team/")),
            ("team", false, Some(""), Some("team/")),
            ("team", false, Some("web/"), Some("web/")),
            ("team", true, None, Some("team/")),
            ("team", true, Some("web/"), Some("team/web/")),
        ] {
            let rule = NamespaceRule { default: Namespace::parse(default).unwrap(), prepend };
            let mut headers = HeaderMap::new();
            if let Some(own) = own {
                headers.insert(NAMESPACE, own.parse().unwrap());
            }
            rule.apply(&mut headers);
            let found = headers.get(NAMESPACE).map(|value| value.to_str().unwrap());
            assert_eq!(found, sent, "{default} {prepend} {own:?}");
        }
    }
}
