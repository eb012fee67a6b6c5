//! The shares of the way to the server.

/// Who sends a request, and so how long it may have to wait for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Logins, renewals and checks: 20 a second, 100 at once, and first whenever there is a choice.
    Tokens,
    /// Secrets that are read for templates and cached leases: 100 a second, 200 at once.
    Secrets,
    /// Requests of others, forwarded. No ceiling of ours: the server's own limits and its
    /// `Retry-After` count. While the server is in trouble they are turned away, not queued.
    Proxied,
}
