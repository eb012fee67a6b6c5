//! What the rest of the agent sees: an auth method, a sink, and what they exchange.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use usher_secret::Secret;

use crate::failure::Failure;

/// Proves who the workload is. Calls for one use never overlap: they queue.
#[async_trait]
pub trait AuthMethod: Send + Sync {
    /// Makes the credential for one login.
    async fn authenticate(&self, call: Call) -> Result<Answer, Failure>;
    /// The server accepted the last answer; one-shot files may go.
    async fn authenticated(&self, call: Call) -> Result<(), Failure>;
    /// Files whose change should wake the identity, absolute.
    fn watched(&self) -> Vec<PathBuf>;
    /// Whether a new credential is a reason to log in while the token is good. Another version of
    /// the plug-in may see it differently.
    fn reauthenticates(&self) -> bool;
    /// What the plug-in keeps between calls; may hold a credential.
    fn state(&self) -> Secret<Vec<u8>>;
    /// Puts that in force for a successor with the same settings.
    fn restore(&self, state: Secret<Vec<u8>>);
    /// The settings that make a login this identity's and no other's, as text to compare; may hold
    /// a credential.
    fn identifying(&self) -> Secret<String>;
}

/// Puts a token where the workload finds it. Calls for one use never overlap: they queue.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Whether the sink can work at all; leaves nothing behind.
    async fn check(&self, call: Call) -> Result<(), Failure>;
    /// Puts it in place, whole or not at all.
    async fn deliver(&self, call: Call, delivery: Delivery) -> Result<(), Failure>;
    /// Takes away what `deliver` left.
    async fn withdraw(&self, call: Call) -> Result<(), Failure>;
    /// The files that it may write.
    fn written(&self) -> Vec<PathBuf>;
}

/// What the secrets server does for a method, over the agent's own connection and never with a
/// token of the agent's.
#[async_trait]
pub trait Unwrapper: Send + Sync {
    /// The JSON answer of `sys/wrapping/unwrap` in the method's namespace. With `creation_path` the wrapping
    /// token is looked up first and left alone if it was made elsewhere.
    async fn unwrap(
        &self,
        token: Secret<String>,
        creation_path: Option<String>,
    ) -> Result<Secret<String>, Failure>;
}

/// Where a method's state goes besides, so that it outlives the process.
#[async_trait]
pub trait StateKeeper: Send + Sync {
    /// Keeps it; what can't be kept is said, and costs the plug-in nothing.
    async fn keep(&self, state: Secret<Vec<u8>>);
}

/// What one call is for.
#[derive(Clone, Debug)]
pub struct Call {
    /// Why the host calls.
    pub reason: Reason,
    /// What went wrong last time, since the last success.
    pub previous_failure: Option<Failure>,
}

/// Why the host calls a plug-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A login is due.
    Login,
    /// Has the credential changed? A poll, or a watched file changed.
    Check,
    /// To show what would be done: one-shot credentials stay unused.
    Explain,
    /// A sink gets its delivery, is checked or withdrawn.
    Deliver,
    /// Nothing is at stake: a test.
    Test,
}

/// The credential for one login.
pub struct Answer {
    /// What to send or use.
    pub credential: Credential,
    /// Tells one credential from the next; "" when unknown.
    pub revision: String,
    /// Look again after this.
    pub check_after: Option<Duration>,
}

/// A login to send, or a token that the platform handed over.
pub enum Credential {
    /// The host sends this to the mount path and receives the token.
    Login(Login),
    /// The host looks this token up and uses it.
    Token(Secret<String>),
}

/// A login request below the mount path.
pub struct Login {
    /// "login", "login/web": no leading slash, no "." or ".." segment.
    pub path: String,
    /// A JSON object.
    pub body: Secret<String>,
    /// Sent with the login.
    pub headers: Vec<(String, String)>,
    /// Presented for this login and whatever is done with its token.
    pub certificate: Option<Certificate>,
    /// Trusted for the server instead of the agent's own roots. PEM.
    pub ca_pem: Option<String>,
}

/// A client certificate with its key.
pub struct Certificate {
    /// Leaf first, PEM.
    pub chain_pem: String,
    /// Unencrypted, PEM.
    pub key_pem: Secret<String>,
}

/// What a sink is given; see `wit/sink.wit`.
pub struct Delivery {
    /// The exact bytes.
    pub content: Secret<Vec<u8>>,
    /// What the bytes are.
    pub form: Form,
    /// Of the token; "" when unknown.
    pub accessor: String,
    /// When the content stops being of use. None: never.
    pub expires_at: Option<SystemTime>,
    /// Grows with each new token of the identity.
    pub generation: u64,
    /// Never a secret.
    pub attributes: Vec<(String, String)>,
}

/// What the bytes of a delivery are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The token.
    Token,
    /// The JSON of a wrap info.
    Wrapped,
    /// The JSON envelope of either.
    Encrypted,
}

impl Reason {
    /// As the contract spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Check => "check",
            Self::Explain => "explain",
            Self::Deliver => "deliver",
            Self::Test => "test",
        }
    }
}
