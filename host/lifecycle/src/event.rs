//! What goes into the machine and what comes out of it.

use std::time::{Duration, Instant};

use crate::Generation;

/// What a server said about a token: in the answer to a login, a renewal or a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What is left of its life. `None`: it never expires (the servers write that as TTL 0 of
    /// a root token). `Some(ZERO)`: it has expired already.
    pub ttl: Option<Duration>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Whether each use counts (`num_uses`): such a token is neither checked nor renewed.
    pub use_limited: bool,
}

/// Why something failed, as far as it decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// The earliest next attempt the other side allows (`Retry-After`), from now.
    pub retry_after: Option<Duration>,
    /// The server answered 403. Proof that a token is dead only if the same call succeeded
    /// with it before.
    pub permission_denied: bool,
    /// The server said "invalid token": proof that it is dead.
    pub invalid_token: bool,
}

impl Failure {
    /// A failure of this class about which nothing more is known.
    pub fn new(class: Class) -> Self {
        Self { class, retry_after: None, permission_denied: false, invalid_token: false }
    }
}

/// The kinds of failure that lead to different next steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Only the operator can mend it. A login waits for [`Event::ConfigurationChanged`] or
    /// [`Event::CredentialsChanged`]; a delivery is tried again, slowly.
    Configuration,
    /// Nobody said no: connection, DNS, TLS, 412, 429, 5xx, a plug-in that broke.
    Passing,
    /// The other side said no: any other 4xx, or a plug-in that said `denied`.
    Refused,
}

/// What happened. An event that answers nothing that is in flight changes nothing, except a
/// token nobody waits for, which is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answers [`Action::LogIn`], or [`Action::Look`] when it found a new credential.
    LoggedIn {
        /// The one that the action named. A second token under the same is no answer.
        generation: Generation,
        /// As the server granted it.
        token: Token,
        /// When the method wants to be looked at again, from now.
        check_after: Option<Duration>,
    },
    /// Answers [`Action::LogIn`]: a token that an earlier life of this identity left is still good.
    Inherited {
        /// The one that the action named, whatever the token was called in that life.
        generation: Generation,
        /// What is left of it.
        token: Token,
        /// When the method wants to be looked at again, from now.
        check_after: Option<Duration>,
        /// The sinks that have it already.
        holders: Vec<usize>,
        /// Whether this identity would have got the same.
        worth: Worth,
    },
    /// Answers [`Action::LogIn`], or [`Action::Look`] when it found a new credential with which
    /// the login then failed.
    LoginFailed(Failure),
    /// Answers [`Action::Look`]: the credential is the one already used.
    Unchanged {
        /// When the method wants to be looked at again, from now.
        check_after: Option<Duration>,
    },
    /// Answers [`Action::Look`]: the method had no credential to show. Changes nothing but
    /// that it is looked again later; not worth more than a debug line.
    LookFailed(Failure),
    /// Answers [`Action::Renew`].
    Renewed {
        /// The token renewed.
        generation: Generation,
        /// What the server now grants.
        token: Token,
    },
    /// Answers [`Action::Renew`].
    RenewalFailed {
        /// The token that was to be renewed.
        generation: Generation,
        /// Why not.
        failure: Failure,
    },
    /// Answers [`Action::Check`].
    Checked {
        /// The token looked up.
        generation: Generation,
        /// What the server says is left of it.
        token: Token,
    },
    /// Answers [`Action::Check`].
    CheckFailed {
        /// The token that was to be looked up.
        generation: Generation,
        /// Why it wasn't.
        failure: Failure,
    },
    /// Answers [`Action::Deliver`].
    Delivered {
        /// Index of the sink.
        sink: usize,
        /// The token it now holds.
        generation: Generation,
    },
    /// Answers [`Action::Deliver`].
    DeliveryFailed {
        /// Index of the sink.
        sink: usize,
        /// The token it did not take.
        generation: Generation,
        /// Why not.
        failure: Failure,
    },
    /// The server answered 403 to a request that somebody made with this token. That alone proves
    /// nothing, since its policies may forbid what was asked.
    RequestRefused {
        /// Which token.
        generation: Generation,
        /// The answer says "invalid token". Whoever the request was made to may have written that,
        /// so it proves nothing either; but it is worth a look even where look-ups are forbidden.
        invalid_token: bool,
    },
    /// A watched credential changed or appeared.
    CredentialsChanged,
    /// The configuration or the plug-in in use was replaced.
    ConfigurationChanged,
    /// After a passing failure the server did what it was asked, whoever asked for it.
    ServerReached,
    /// The agent stops. Nothing new is begun; [`Action::Finished`] follows.
    ShutDown,
    /// As [`Event::ShutDown`], but another life follows that inherits the token, so that one which
    /// nobody has received yet is kept, also if it arrives only now.
    HandOver,
}

/// What an inherited token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// As much as one of this identity's own.
    Own,
    /// It is another identity's: kept alive where it is until a login has brought one of its own,
    /// and given to no other sink.
    Foreign,
}

/// What the caller has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the method for a credential and log in. Answer: [`Event::LoggedIn`] or
    /// [`Event::LoginFailed`].
    LogIn {
        /// What the token is called that comes of it. If none comes, the next login gets the same.
        generation: Generation,
    },
    /// Ask the method for a credential, and log in only if it is a new one. Answer:
    /// [`Event::Unchanged`], [`Event::LookFailed`], [`Event::LoggedIn`] or
    /// [`Event::LoginFailed`].
    Look {
        /// What the token is called that may come of it, as for a login.
        generation: Generation,
    },
    /// Renew this token. Answer: [`Event::Renewed`] or [`Event::RenewalFailed`].
    Renew {
        /// Which token.
        generation: Generation,
    },
    /// Look this token up. Answer: [`Event::Checked`] or [`Event::CheckFailed`].
    Check {
        /// Which token.
        generation: Generation,
    },
    /// Deliver this token to this sink. Answer: [`Event::Delivered`] or
    /// [`Event::DeliveryFailed`].
    Deliver {
        /// Index of the sink.
        sink: usize,
        /// Which token.
        generation: Generation,
    },
    /// This life ends while a login or a look is in flight: end it early if that is safe, and
    /// answer it all the same, with [`Event::LoggedIn`] if a token did come.
    CancelLogin,
    /// Revoke this token on the server; nobody ever received it. Always followed by its
    /// `Forget`. No answer; see it through even after `Finished`.
    Revoke {
        /// Which token.
        generation: Generation,
    },
    /// Drop the secret. No answer.
    Forget {
        /// Which token.
        generation: Generation,
    },
    /// Tell the operator. No answer.
    Say(Notice),
    /// The last action after [`Event::ShutDown`] or [`Event::HandOver`]. Renewals and checks that
    /// still run are of no use. What is still remembered was delivered: it stays valid unless the
    /// operator wants it revoked on exit.
    Finished,
}

/// Something worth one line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The token's policies forbid `lookup-self`: it is not checked, and the renewal schedule
    /// alone rules. Said once in the life of an identity.
    CheckingForbidden,
    /// The server granted a token that has no life left; treated as a failed login.
    Lifeless {
        /// Which token.
        generation: Generation,
    },
    /// Renewal no longer helps (refused, or the token's maximum TTL is near): a new login
    /// follows in time before it expires.
    RenewalEnded {
        /// Which token.
        generation: Generation,
    },
    /// The server proved the token dead before its time: revoked, or the server lost it.
    Died {
        /// Which token.
        generation: Generation,
    },
    /// The token expired before another one could be had.
    Expired {
        /// Which token.
        generation: Generation,
    },
}

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No token yet, waiting to try again or for a change of configuration.
    Unauthenticated,
    /// No good token, a login is in flight.
    Authenticating,
    /// A good token, nothing amiss.
    Valid,
    /// A good token, and its renewal or replacement is in flight.
    Renewing,
    /// A good token, but the last attempt to check, renew or replace it failed.
    Degraded,
    /// The token expired or died, waiting to try again.
    Expired,
    /// The agent stops.
    ShutDown,
}

/// What comes next and when, for people to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// When it is due.
    pub at: Instant,
    /// What it is.
    pub step: Step,
}

/// A step to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A login.
    LogIn,
    /// A look at the credential.
    Look,
    /// A renewal.
    Renew,
    /// A check of the token.
    Check,
    /// A delivery.
    Deliver,
    /// The token expires.
    Expire,
}
