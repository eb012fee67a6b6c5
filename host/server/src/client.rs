//! The requests that a token's life needs, each one HTTP exchange.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use serde::Serialize;
use usher_address::{ApiPath, ServerAddress};
use usher_connector::{Certificate, Connector, Governor, Settings, SettingsError, TlsIdentity};
use usher_secret::Secret;
use usher_secret::redactor::{self, Live};
use zeroize::Zeroizing;

use crate::answer::{self, Auth, Lookup, WrapInfo, WrappingLookup};
use crate::error::Error;
use crate::operation::Operation;
use crate::request::{Request, header};
use crate::scope::Scope;
use crate::sender::Sender;

/// Talks to one secrets server. Clones are cheap and share connections and the [`Governor`].
#[derive(Clone)]
pub struct Client {
    sender: Sender,
    /// The settings' own certificate and trust.
    plain: TlsIdentity,
}

/// One login, as an auth method made it. No `Debug`: it holds a credential.
#[derive(Clone)]
pub struct Login {
    /// "auth/approle/login".
    pub path: ApiPath,
    /// A JSON object.
    pub body: Secret<String>,
    /// Sent with the login. Names that start with "x-vault-" and those that belong to the
    /// connection are refused.
    pub headers: Vec<(String, String)>,
    /// For this login and all that is done with its token. `None`: the settings' own.
    pub certificate: Option<Certificate>,
    /// Trusted instead of the settings' authorities, likewise. PEM.
    pub ca_pem: Option<String>,
}

/// A token, and how it must be used. No `Debug`. Clones share one token.
#[derive(Clone)]
pub struct Session {
    token: Arc<Secret<String>>,
    scope: Scope,
    identity: TlsIdentity,
}

impl Client {
    /// Checks the settings. Opens no file and no connection; see [`Client::check_files`].
    pub fn new(settings: Settings, governor: Governor) -> Result<Self, SettingsError> {
        let connector = Arc::new(Connector::new(settings, governor)?);
        Ok(Self { sender: Sender::new(connector), plain: TlsIdentity::default() })
    }

    /// The way to the server, which others may use too.
    pub fn connector(&self) -> &Arc<Connector> {
        self.sender.connector()
    }

    /// Reads the certificate and key files that the settings name, for an early complaint; see
    /// [`Connector::check_files`].
    pub fn check_files(&self) -> Result<Vec<String>, SettingsError> {
        self.connector().check_files()
    }

    /// The server's address as configured.
    pub fn address(&self) -> &ServerAddress {
        self.connector().address()
    }

    /// The ceiling and breaker that this client obeys.
    pub fn governor(&self) -> &Governor {
        self.connector().governor()
    }

    /// A session with a token that came from elsewhere; see [`Client::lookup_self`].
    pub fn session(&self, scope: &Scope, token: Secret<String>) -> Session {
        let token = Arc::new(token);
        Session { token, scope: scope.clone(), identity: self.plain.clone() }
    }

    /// Logs in. No token is sent with it.
    pub async fn login(&self, scope: &Scope, login: &Login) -> Result<(Session, Auth), Error> {
        let identity = self.identity_of(login);
        let operation = Operation::Login { path: login.path.as_str() };
        let body = self.send_login(scope, login, &identity, None).await?;
        let auth = self.sender.usable(operation, answer::auth(&body))?;
        let token = Arc::new(auth.token.clone());
        Ok((Session { token, scope: scope.clone(), identity }, auth))
    }

    /// Logs in, and has the server wrap the token: it is never seen here.
    pub async fn login_wrapped(
        &self,
        scope: &Scope,
        login: &Login,
        wrap_ttl: Duration,
    ) -> Result<WrapInfo, Error> {
        let identity = self.identity_of(login);
        let operation = Operation::Login { path: login.path.as_str() };
        let body = self.send_login(scope, login, &identity, Some(wrap_ttl)).await?;
        self.sender.usable(operation, answer::wrap_info(&body))
    }

    /// Prolongs the session's token by what its role allows.
    pub async fn renew_self(&self, session: &Session) -> Result<Auth, Error> {
        #[derive(Serialize)]
        struct Body {
            increment: u64,
        }
        let body = json(&Body { increment: 0 }, 16);
        let request = session.request(Operation::Renew).body(body);
        let body = self.sender.send(request).await?;
        self.sender.usable(Operation::Renew, answer::auth(&body))
    }

    /// What the server knows of the session's token.
    pub async fn lookup_self(&self, session: &Session) -> Result<Lookup, Error> {
        let body = self.sender.send(session.request(Operation::Lookup)).await?;
        self.sender.usable(Operation::Lookup, answer::lookup(&body))
    }

    /// Wraps the session's token: the wrapping token unwraps to `{"token": …}`, once.
    pub async fn wrap(&self, session: &Session, wrap_ttl: Duration) -> Result<WrapInfo, Error> {
        let body = token_body(&session.token);
        let request = session.request(Operation::Wrap).body(body).wrap_ttl(wrap_ttl);
        let body = self.sender.send(request).await?;
        self.sender.usable(Operation::Wrap, answer::wrap_info(&body))
    }

    /// Where a wrapping token comes from. Leaves it wrapped, and sends no other token.
    pub async fn wrapping_lookup(
        &self,
        scope: &Scope,
        wrapping_token: &Secret<String>,
    ) -> Result<WrappingLookup, Error> {
        let _live = redactor::keep_out_of_logs(wrapping_token);
        let operation = Operation::WrappingLookup;
        let body = token_body(wrapping_token);
        let request = Request::new(operation, scope, &self.plain).body(body);
        let body = self.sender.send(request).await?;
        self.sender.usable(operation, answer::wrapping_lookup(&body))
    }

    /// Unwraps, and gives the server's whole JSON answer. Uses the wrapping token up, even if
    /// the answer gets lost. No other token is sent.
    pub async fn unwrap(
        &self,
        scope: &Scope,
        wrapping_token: &Secret<String>,
    ) -> Result<Secret<String>, Error> {
        let _live = redactor::keep_out_of_logs(wrapping_token);
        let operation = Operation::Unwrap;
        let request = Request::new(operation, scope, &self.plain).token(wrapping_token);
        let body = self.sender.send(request).await?;
        self.sender.usable(operation, answer::raw(&body))
    }

    /// Revokes the session's token and all it has made.
    pub async fn revoke_self(&self, session: &Session) -> Result<(), Error> {
        self.sender.send(session.request(Operation::Revoke)).await?;
        self.sender.succeeded();
        Ok(())
    }

    fn identity_of(&self, login: &Login) -> TlsIdentity {
        if login.certificate.is_none() && login.ca_pem.is_none() {
            return self.plain.clone();
        }
        TlsIdentity::new(login.certificate.clone(), login.ca_pem.clone())
    }

    async fn send_login(
        &self,
        scope: &Scope,
        login: &Login,
        identity: &TlsIdentity,
        wrap_ttl: Option<Duration>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        // A server's error may echo the credential: it must be known when the text is cleaned.
        let _live = credentials(login);
        let operation = Operation::Login { path: login.path.as_str() };
        let body = Zeroizing::new(login.body.expose().as_bytes().to_vec());
        let mut request = Request::new(operation, scope, identity).body(body);
        request.method_headers = &login.headers;
        request.wrap_ttl = wrap_ttl;
        self.sender.send(request).await
    }
}

impl Session {
    /// The token.
    pub fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// The token as the header `X-Vault-Token`, whose memory is wiped when it is dropped. `None`: no
    /// header can carry it.
    pub fn header(&self) -> Option<HeaderValue> {
        token_header(&self.token)
    }

    /// The certificate that is shown, and the trust, with all that is done with the token.
    pub fn tls(&self) -> &TlsIdentity {
        &self.identity
    }

    /// The namespace in which it was made.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    fn request<'a>(&'a self, operation: Operation<'a>) -> Request<'a> {
        Request::new(operation, &self.scope, &self.identity).token(&self.token)
    }
}

/// A token as the header `X-Vault-Token`, whose memory is wiped when it is dropped. `None`: no header
/// can carry it.
pub fn token_header(token: &Secret<String>) -> Option<HeaderValue> {
    header(token.expose()).filter(|token| !token.is_empty())
}

/// Everything in a login that could be a credential. Short texts are more likely the name of a
/// role, which an error should be able to name.
fn credentials(login: &Login) -> Vec<Live> {
    let mut live = Vec::new();
    let mut look = |text: &str| {
        let is_credential = (SHORTEST_CREDENTIAL..=LONGEST_CREDENTIAL).contains(&text.len());
        if is_credential && live.len() < MOST_CREDENTIALS {
            live.push(redactor::keep_text_out_of_logs(text));
        }
    };
    for (_, value) in &login.headers {
        look(value);
    }
    if let Ok(Strings(found)) = serde_json::from_str(login.body.expose()) {
        for text in &found {
            look(text);
        }
    }
    live
}

/// The texts directly inside a JSON object.
struct Strings(Vec<Zeroizing<String>>);

impl<'de> serde::Deserialize<'de> for Strings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Value {
            Text(String),
            Other(serde::de::IgnoredAny),
        }
        let map = std::collections::HashMap::<String, Value>::deserialize(deserializer)?;
        let texts = map.into_values().filter_map(|value| match value {
            Value::Text(text) => Some(Zeroizing::new(text)),
            Value::Other(_) => None,
        });
        Ok(Self(texts.collect()))
    }
}

fn token_body(token: &Secret<String>) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Body<'a> {
        token: &'a str,
    }
    let token = token.expose();
    json(&Body { token }, token.len() * 2 + 16)
}

/// `capacity` is enough to hold the text: growing would leave copies behind.
fn json(body: &impl Serialize, capacity: usize) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(capacity));
    // Writing plain strings and numbers to memory can't fail.
    let written = serde_json::to_writer(&mut *text, body);
    debug_assert!(written.is_ok());
    text
}

const SHORTEST_CREDENTIAL: usize = 20;
/// Whoever makes the login chooses what stands in it, and each text costs time.
const MOST_CREDENTIALS: usize = 256;
/// A longer text would not be found in one line of an error.
const LONGEST_CREDENTIAL: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_whatever_is_in_the_token() {
        let body = token_body(&Secret::new(String::from("a\"b\\\n")));
        assert_eq!(&body[..], br#"{"token":"a\"b\\\n"}"#);
    }

    #[test]
    fn a_logins_credentials_are_live_while_it_is_sent_and_its_role_is_not() {
        let login = Login {
            path: ApiPath::constant("auth/jwt/login"),
            body: Secret::new(r#"{"role":"web","jwt":"header.payload.signature","n":1}"#.into()),
            headers: vec![("authorization".into(), "Negotiate 0123456789abcdef".into())],
            certificate: None,
            ca_pem: None,
        };
        let text = "web header.payload.signature Negotiate 0123456789abcdef";
        let live = credentials(&login);
        assert_eq!(redactor::redact(text), "web [redacted] [redacted]");
        drop(live);
        assert_eq!(redactor::redact(text), text);
    }
}
