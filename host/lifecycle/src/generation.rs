//! The number by which a token is known to everybody who mustn't see it.

use std::fmt;
use std::num::NonZeroU64;

/// Which of an identity's tokens: the first one is 1, the next one 2.
///
/// Only the machine makes them. It says with each [`Action::LogIn`](crate::Action::LogIn) and
/// [`Action::Look`](crate::Action::Look) which one the token gets that may come of it, so that
/// nothing has to be guessed, and no token is filed under another one's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(NonZeroU64);

impl Generation {
    pub(crate) const FIRST: Self = Self(NonZeroU64::MIN);

    /// The one that follows.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// As people and plug-ins see it.
    pub fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
