//! Which managed identity is meant.

/// Which one of the identities that a machine may have.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Its own; or, where there is none, the only one assigned to it.
    System,
    /// The one with this client id.
    Client(String),
    /// The one with this object id.
    Object(String),
}

impl Identity {
    /// The field that names it, as the instance metadata service calls it.
    pub(crate) fn field(&self) -> Option<(&str, &str)> {
        match self {
            Self::System => None,
            Self::Client(id) => Some(("client_id", id)),
            Self::Object(id) => Some(("object_id", id)),
        }
    }
}
