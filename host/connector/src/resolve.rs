//! Names to addresses: by the system, or by whoever has a say in where connections may go.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::body::BoxError;

/// Finds the addresses of a host. An address that is written as such is never asked for.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses, best first, with port 0. The error is found among the causes of
    /// [`crate::Failed`].
    fn resolve(&self, host: String) -> Resolving;
}

/// A look-up under way.
pub type Resolving = Pin<Box<dyn Future<Output = Result<Vec<SocketAddr>, BoxError>> + Send>>;

/// As the system resolves names.
pub(crate) struct System;

/// The system knows no address.
#[derive(Debug, thiserror::Error)]
#[error("the name can't be resolved")]
pub(crate) struct Unresolved(#[source] pub(crate) io::Error);

impl Resolve for System {
    fn resolve(&self, host: String) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await.map_err(Unresolved)?;
            Ok(found.collect())
        })
    }
}

/// What the TCP connector asks.
#[derive(Clone)]
pub(crate) struct Names(pub(crate) Arc<dyn Resolve>);

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.resolve(name.as_str().to_owned());
        Box::pin(async { Ok(found.await?.into_iter()) })
    }
}
