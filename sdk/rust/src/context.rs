//! What the call is for. Nothing here is secret, nothing needs a grant.

use crate::{Failure, backend};

/// Name of the identity: `default` for `auto_auth`.
pub fn identity() -> String {
    backend::identity()
}

/// URL of the secrets server, without trailing slash.
pub fn server_address() -> String {
    backend::server_address()
}

/// Namespace of the identity, as sent: empty or `team/`.
pub fn namespace() -> String {
    backend::namespace()
}

/// Where the method is mounted, no slash at either end: `auth/approle`.
pub fn mount_path() -> String {
    backend::mount_path()
}

/// Why the host calls.
pub fn reason() -> Reason {
    match backend::reason().as_str() {
        "login" => Reason::Login,
        "check" => Reason::Check,
        "explain" => Reason::Explain,
        "deliver" => Reason::Deliver,
        "test" => Reason::Test,
        _ => Reason::Other,
    }
}

/// What went wrong last time, since the last success.
pub fn previous_failure() -> Option<Failure> {
    backend::previous_failure()
}

/// Why the host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// To log in.
    Login,
    /// To look whether the credential changed: a poll, or a watched file changed.
    Check,
    /// To show what would be done: leave every one-shot credential unused.
    Explain,
    /// To deliver a token.
    Deliver,
    /// To test the plug-in.
    Test,
    /// One that this SDK doesn't know yet.
    Other,
}
