//! Where a request applies.

use usher_address::Namespace;

/// Where a request applies. Default: the root namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    namespace: Namespace,
}

impl Scope {
    /// Everything in this namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }

    /// In which a request is made.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
