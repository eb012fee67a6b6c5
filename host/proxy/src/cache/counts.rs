//! What the cache has done so far, for metrics.

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Requests that waited for another.
    pub(crate) joined: u64,
    /// Requests that were answered with what is out of date, since the server can't be reached.
    pub(crate) stale: u64,
    /// Requests that are none of the cache's business.
    pub(crate) passed: u64,
    pub(crate) stored: u64,
    pub(crate) renewed: u64,
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
    /// How many entries went for this.
    pub(crate) fn evictions(&self, cause: Cause) -> u64 {
        self.evictions[cause as usize]
    }

    pub(super) fn evicted(&mut self, cause: Cause) {
        self.evictions[cause as usize] += 1;
    }
}
