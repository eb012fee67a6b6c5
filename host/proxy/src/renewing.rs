//! Renews what the cache holds: tokens by themselves, leases with the token that they belong to.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use usher_connector::{Body, Connector, Lane, Outcome, TlsIdentity};
use usher_lifecycle::{Class, Failure, Granted};
use usher_secret::Secret;
use usher_server::token_header;
use zeroize::Zeroizing;

use crate::cache::{Event, Facts, Owner, Renewal, Renewed, facts};
use crate::feed::Given;
use crate::headers::{NAMESPACE, TOKEN};

/// Renews one entry; what came of it. `agent`: the agent's token, if it has one.
pub(crate) async fn renew(connector: &Connector, agent: Option<&Given>, renewal: Renewal) -> Event {
    let entry = renewal.entry;
    match granted(connector, agent, renewal).await {
        Ok(granted) => Event::Renewed(entry, granted),
        Err(failure) => Event::RenewalFailed(entry, failure),
    }
}

async fn granted(
    connector: &Connector,
    agent: Option<&Given>,
    renewal: Renewal,
) -> Result<Granted, Failure> {
    let own = TlsIdentity::default();
    let passing = || Failure::new(Class::Passing);
    let with = |token: &Secret<String>| token_header(token).ok_or_else(passing);
    let (path, body, token, identity) = match &renewal.what {
        Renewed::Token(token) => {
            ("/v1/auth/token/renew-self", serde_json::json!({ "increment": 0 }), with(token)?, &own)
        }
        Renewed::Lease { id, owner } => {
            let body = serde_json::json!({ "lease_id": &**id, "increment": 0 });
            let (token, identity) = match owner {
                Owner::Token(token) => (with(token)?, &own),
                Owner::Agent(generation) => {
                    let given = agent.filter(|given| given.generation() == *generation);
                    let given = given.ok_or_else(passing)?;
                    (given.header().clone(), given.session().tls())
                }
            };
            ("/v1/sys/leases/renew", body, token, identity)
        }
    };
    let body = Zeroizing::new(body.to_string().into_bytes());
    let mut request = Request::new(Body::from(Bytes::from_owner(body)));
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(TOKEN, token);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    if !renewal.namespace.is_root() {
        let namespace = HeaderValue::from_str(renewal.namespace.as_str());
        headers.insert(NAMESPACE, namespace.map_err(|_| passing())?);
    }
    let response = connector.send(Lane::Secrets, identity, request).await;
    let response = response.map_err(|trouble| Failure {
        retry_after: trouble.retry_after,
        ..Failure::new(if trouble.kind.is_passing() { Class::Passing } else { Class::Refused })
    })?;
    let (head, body) = response.into_parts();
    let read = body.read(LARGEST).await;
    let result = match read {
        Ok(read) if head.status.is_success() => match facts(head.status, &head.headers, &read) {
            Some(Facts::Lease { granted, .. } | Facts::Auth { granted, .. }) => Ok(granted),
            Some(Facts::Data) | None => Err(passing()),
        },
        Ok(read) => Err(failure(head.status, &head.headers, &read)),
        Err(_) => Err(passing()),
    };
    connector.governor().record(match &result {
        Ok(_) => Outcome::Success,
        Err(failure) if failure.class == Class::Passing => Outcome::Passing,
        Err(_) => Outcome::Refused,
    });
    result
}

/// What a refusal means: 412, 429, 472, 473 and 5xx pass, and so does what stands between.
fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let class = match status.as_u16() {
        412 | 429 | 472 | 473 => Class::Passing,
        400..500 => Class::Refused,
        _ => Class::Passing,
    };
    let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let denied = status == StatusCode::FORBIDDEN;
    Failure {
        class,
        retry_after: asked.map(Duration::from_secs),
        permission_denied: denied,
        invalid_token: denied && says_invalid_token(body),
    }
}

/// Whether an error says that the token is no good, in the servers' words.
pub(crate) fn says_invalid_token(body: &[u8]) -> bool {
    const INVALID: &[u8] = b"invalid token";
    body.windows(INVALID.len()).any(|window| window == INVALID)
}

/// Of an answer, in bytes.
const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_final_where_the_server_says_no_and_passes_where_it_is_in_trouble() {
        for (status, body, class, invalid_token) in [
            (400, "lease not found", Class::Refused, false),
            (403, "permission denied", Class::Refused, false),
            (403, "2 errors: permission denied, invalid token", Class::Refused, true),
            (400, "invalid token", Class::Refused, false),
            (429, "", Class::Passing, false),
            (472, "", Class::Passing, false),
            (503, "", Class::Passing, false),
            (302, "", Class::Passing, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let found = failure(status, &HeaderMap::new(), body.as_bytes());
            assert_eq!((found.class, found.invalid_token), (class, invalid_token), "{status}");
        }
    }
}
