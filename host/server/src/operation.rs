//! What is asked of the server.

use std::fmt;

use http::Method;

/// What is asked of the server. Shown as people would say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation<'a> {
    Login {
        path: &'a str,
    },
    Renew,
    Lookup,
    Wrap,
    WrappingLookup,
    Unwrap,
    Revoke,
    /// Somebody else's request, which the agent passed on.
    Passed {
        method: &'a Method,
        path: &'a str,
    },
}

impl<'a> Operation<'a> {
    /// Below "v1/".
    pub(crate) fn path(self) -> &'a str {
        match self {
            Self::Login { path } | Self::Passed { path, .. } => path,
            Self::Renew => "auth/token/renew-self",
            Self::Lookup => "auth/token/lookup-self",
            Self::Wrap => "sys/wrapping/wrap",
            Self::WrappingLookup => "sys/wrapping/lookup",
            Self::Unwrap => "sys/wrapping/unwrap",
            Self::Revoke => "auth/token/revoke-self",
        }
    }

    pub(crate) fn method(self) -> Method {
        match self {
            Self::Lookup => Method::GET,
            Self::Passed { method, .. } => method.clone(),
            _ => Method::PUT,
        }
    }

    /// Whether it concerns a wrapping token.
    pub(crate) fn opens_a_wrapping(self) -> bool {
        matches!(self, Self::WrappingLookup | Self::Unwrap)
    }
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login { path } => write!(f, "login at {path}"),
            Self::Renew => f.write_str("renewal of the token"),
            Self::Lookup => f.write_str("look-up of the token"),
            Self::Wrap => f.write_str("wrapping of the token"),
            Self::WrappingLookup => f.write_str("look-up of the wrapping token"),
            Self::Unwrap => f.write_str("unwrapping"),
            Self::Revoke => f.write_str("revocation of the token"),
            Self::Passed { method, path } => write!(f, "{method} {path}"),
        }
    }
}
