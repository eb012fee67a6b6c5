//! What the cache has done so far, for metrics.

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were answered with what was kept.
    pub hits: u64,
    /// Requests that went on, and whose answers could have been kept.
    pub misses: u64,
    /// Requests that waited for another one like them.
    pub joined: u64,
    /// Requests that were answered with what is out of date, since the server can't be reached.
    pub stale: u64,
    /// Requests that are none of the cache's business.
    pub passed: u64,
    /// Answers that were kept.
    pub stored: u64,
    /// Renewals that succeeded.
    pub renewed: u64,
    evictions: [u64; Cause::ALL.len()],
}

/// Why an entry goes. What depends on it goes for the same cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its time was over.
    Ended,
    /// The server doesn't renew it.
    RenewalRefused,
    Revoked,
    /// The server said that its token is none.
    TokenDied,
    /// The agent has another token.
    TokenReplaced,
    /// There was no room left.
    Bounds,
    Cleared,
    /// A static secret may have been changed through the agent.
    Written,
    /// A static secret is no more, or none that is kept.
    Gone,
    /// The last token that had shown that it may read a static secret may not any more.
    Refused,
}

impl Cause {
    pub(crate) const ALL: [Self; 10] = [
        Self::Ended,
        Self::RenewalRefused,
        Self::Revoked,
        Self::TokenDied,
        Self::TokenReplaced,
        Self::Bounds,
        Self::Cleared,
        Self::Written,
        Self::Gone,
        Self::Refused,
    ];

    /// For metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::RenewalRefused => "renewal_refused",
            Self::Revoked => "revoked",
            Self::TokenDied => "token_died",
            Self::TokenReplaced => "token_replaced",
            Self::Bounds => "bounds",
            Self::Cleared => "cleared",
            Self::Written => "written",
            Self::Gone => "gone",
            Self::Refused => "refused",
        }
    }

    /// Whether a token that goes for this is no good any more, or only isn't kept.
    pub(super) fn ends_the_token(self) -> bool {
        !matches!(self, Self::Bounds | Self::Cleared)
    }
}

impl Counts {
    /// What went, by cause.
    pub fn evictions_by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Cause::ALL.into_iter().map(|cause| (cause.name(), self.evictions(cause)))
    }

    /// How many entries went for this.
    pub(crate) fn evictions(&self, cause: Cause) -> u64 {
        self.evictions[cause as usize]
    }

    pub(super) fn evicted(&mut self, cause: Cause) {
        self.evictions[cause as usize] += 1;
    }
}
