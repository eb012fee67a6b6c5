//! How a listener receives new connections.

use std::sync::Arc;

use crate::allowed::Allowed;
use crate::tls::Tls;

/// What may change while a socket stays bound. A change is for connections that come after it; the
/// others end when what is under way is answered.
#[derive(Clone, Default, Debug)]
pub struct Manner {
    /// Without: in plain text.
    pub tls: Option<Arc<Tls>>,
    /// Who may ask, on a unix socket; without effect over TCP, where nobody is known.
    pub allowed: Allowed,
}
