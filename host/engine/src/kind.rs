//! The two kinds of plug-in.

/// What a plug-in is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Proves who the workload is.
    AuthMethod,
    /// Puts the token where it belongs.
    Sink,
}

impl Kind {
    /// "auth-method" or "sink".
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthMethod => "auth-method",
            Self::Sink => "sink",
        }
    }

    /// "an auth method" or "a sink".
    pub fn with_article(self) -> &'static str {
        match self {
            Self::AuthMethod => "an auth method",
            Self::Sink => "a sink",
        }
    }
}
