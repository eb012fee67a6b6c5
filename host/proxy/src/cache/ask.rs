//! A request, as the cache sees it: what may be done with it, what it is known by, who asks, and what
//! it revokes.

use std::sync::Arc;
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use usher_address::Namespace;
use usher_secret::Secret;
use zeroize::Zeroizing;

use super::class::{Class, Why, classify};
use super::key::{Key, Keyring, TokenId};
use super::operation::{Kind, Operation, server_path};
use super::selection::{Certainty, Revocation, Selection};
use super::static_secrets::{Reading, Writing, may_read, writing};
use super::target::Target;
use super::wiped::Wiped;
use crate::headers::{NAMESPACE, TOKEN};

/// A request. It holds neither token nor body.
pub(crate) struct Ask {
    class: Class,
    key: Key,
    asker: Option<TokenId>,
    target: Target,
    revocation: Option<Revocation>,
    ends_by: Option<Instant>,
    secret: SecretAsk,
}

/// What of a request is a matter of static secrets.
#[derive(Default)]
struct SecretAsk {
    /// Namespace and path as the server reads them, if that can be said.
    path: Option<Arc<str>>,
    reading: Option<Reading>,
    writing: Option<Writing>,
}

/// A request's head, as it goes on to the server but for the agent's token.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a PathAndQuery,
    pub(crate) headers: &'a HeaderMap,
    /// The agent's token, if it goes on with that.
    pub(crate) given: Option<&'a Secret<String>>,
}

impl Ask {
    /// `body`: `None` if it isn't here as a whole.
    pub(crate) fn new(keyring: &Keyring, head: Head<'_>, body: Option<&[u8]>) -> Self {
        let Head { method, path, headers, given } = head;
        let token = given.map(|token| token.expose().as_bytes()).or_else(|| own_token(headers));
        let named = headers.get(NAMESPACE).map(|value| value.to_str().map(Namespace::parse));
        let (namespace, class) = match (named, classify(method, path.path(), headers)) {
            (None, class) => (Namespace::default(), class),
            (Some(Ok(Ok(namespace))), class) => (namespace, class),
            (Some(_), _) => (Namespace::default(), Class::Passing(Why::Ambiguous)),
        };
        let class = match class {
            Class::Cacheable | Class::Refresh if body.is_none() => Class::Passing(Why::Body),
            class => class,
        };
        let asker = token.map(|token| keyring.token(token));
        let body = body.unwrap_or_default();
        let target = Target::new(&namespace, path.path().strip_prefix("/v1/").unwrap_or_default());
        let revocation = match &class {
            Class::Revoking(operation) => revocation(keyring, operation, &namespace, asker, body),
            _ => None,
        };
        let of_token = [token.map_or(&b""[..], |_| b"token"), token.unwrap_or_default(), body];
        let key = keyring.request(parts(head, &target).into_iter().chain(of_token));
        let secret = SecretAsk::default();
        Self { class, key, asker, target, revocation, ends_by: None, secret }
    }

    /// The same where static secrets are kept: `head` and `body` are those of the request.
    pub(crate) fn among_secrets(
        self,
        keyring: &Keyring,
        head: Head<'_>,
        body: Option<&[u8]>,
    ) -> Self {
        let whither = server_path(head.path.path());
        let whither = whither.ok().filter(|_| self.class != Class::Passing(Why::Ambiguous));
        let path = whither.map(|path| {
            let path = path.strip_suffix('/').unwrap_or(&path);
            Arc::from(format!("{}{path}", self.target.namespace()))
        });
        let reads = matches!(self.class, Class::Cacheable | Class::Refresh)
            && self.asker.is_some()
            && body.is_some_and(<[u8]>::is_empty);
        let read = path.clone().filter(|path| reads && may_read(head.method, path));
        let reading = read.map(|path| {
            let key = keyring.shared(parts(head, &self.target));
            Reading { key, path }
        });
        let writing = writing(head.method, path.as_deref());
        Self { secret: SecretAsk { path, reading, writing }, ..self }
    }

    /// What it grants ends then at the latest, as the credential does that it shows.
    pub(crate) fn ending_by(self, end: Instant) -> Self {
        Self { ends_by: Some(end), ..self }
    }

    pub(crate) fn class(&self) -> &Class {
        &self.class
    }

    /// The token that asks. `None`: it has none.
    pub(crate) fn asker(&self) -> Option<TokenId> {
        self.asker
    }

    /// What is revoked if the server does it.
    pub(crate) fn revocation(&self) -> Option<&Revocation> {
        self.revocation.as_ref()
    }

    /// What it may change, where static secrets are kept.
    pub(crate) fn writing(&self) -> Option<&Writing> {
        self.secret.writing.as_ref()
    }

    /// `Some`: it asks for what may be a static secret.
    pub(crate) fn reading(&self) -> Option<&Reading> {
        self.secret.reading.as_ref()
    }

    /// Where static secrets are kept: namespace and path as the server reads them, if that can be
    /// said.
    pub(super) fn server_path(&self) -> Option<&str> {
        self.secret.path.as_deref()
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn ends_by(&self) -> Option<Instant> {
        self.ends_by
    }
}

/// What an answer may depend on but the token and the body.
fn parts<'a>(head: Head<'a>, target: &'a Target) -> Vec<&'a [u8]> {
    let Head { method, path, headers, .. } = head;
    let mut parts = vec![
        method.as_str().as_bytes(),
        target.full().as_bytes(),
        path.query().map_or(b"", |_| b"?"),
        path.query().unwrap_or_default().as_bytes(),
    ];
    let mut others: Vec<_> = headers.iter().filter(|(name, _)| matters(name)).collect();
    others.sort_by_key(|(name, _)| name.as_str());
    let pair = |(name, value): (&'a HeaderName, &'a HeaderValue)| {
        [name.as_str().as_bytes(), value.as_bytes()]
    };
    parts.extend(others.into_iter().flat_map(pair));
    parts
}

/// The token that a request bears. An empty one is none.
pub(crate) fn own_token(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = || {
        let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
    };
    let own = headers.get(TOKEN).map(HeaderValue::as_bytes);
    own.filter(|token| !token.is_empty()).or_else(bearer).filter(|token| !token.is_empty())
}

/// Whether the answer may depend on a header that the rest doesn't tell.
fn matters(name: &HeaderName) -> bool {
    const KNOWN: [&str; 3] = ["x-vault-token", "x-vault-namespace", "x-vault-request"];
    // Tokens may be bound to addresses, and logins to certificates.
    const WHENCE: [&str; 4] =
        ["forwarded", "x-forwarded-for", "x-forwarded-client-cert", "x-real-ip"];
    let name = name.as_str();
    let of_server = name.starts_with("x-vault-") || name.starts_with("x-bao-");
    WHENCE.contains(&name) || (of_server && !KNOWN.contains(&name))
}

fn revocation(
    keyring: &Keyring,
    operation: &Operation,
    namespace: &Namespace,
    asker: Option<TokenId>,
    body: &[u8],
) -> Option<Revocation> {
    let named = Named::read(body);
    // What stands in the path counts more for the servers, too.
    let argument = |named: &Option<Wiped>| {
        let in_path = Some(operation.argument.as_str()).filter(|argument| !argument.is_empty());
        let in_body = named.as_ref().map(|Wiped(text)| text.as_str());
        let text = in_path.or(in_body).filter(|text| !text.is_empty())?;
        Some(Zeroizing::new(text.to_owned()))
    };
    let selection = match operation.kind {
        Kind::RevokeSelf => Selection::Token(asker?),
        Kind::RevokeToken => Selection::Token(keyring.token(argument(&named.token)?.as_bytes())),
        Kind::RevokeOrphan => {
            Selection::TokenAlone(keyring.token(argument(&named.token)?.as_bytes()))
        }
        Kind::RevokeAccessor => {
            Selection::Accessor(keyring.accessor(argument(&named.accessor)?.as_bytes()))
        }
        Kind::RevokeLease => Selection::Lease(argument(&named.lease_id)?.as_str().into()),
        Kind::RevokeLeases => Selection::Leases {
            namespace: Some(format!("{namespace}{}", operation.before).into()),
            prefix: operation.argument.as_str().into(),
        },
        Kind::Renewal | Kind::Wrapping | Kind::Cubbyhole => return None,
    };
    let certainty = match operation.before.as_str() {
        "" => Certainty::Certain,
        _ => Certainty::Possible,
    };
    Some(Revocation { selection, certainty })
}

/// What a body names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    token: Option<Wiped>,
    accessor: Option<Wiped>,
    lease_id: Option<Wiped>,
}

impl Named {
    fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}
