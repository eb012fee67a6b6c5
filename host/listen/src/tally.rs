//! What comes to a socket, counted as it comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedSemaphorePermit;

/// Counts since the socket was bound. Clones are the same, and outlive it.
#[derive(Clone, Default, Debug)]
pub struct Tally(Arc<Counts>);

#[derive(Default, Debug)]
struct Counts {
    connections: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Tally {
    /// Connections that are open now, also those that were upgraded.
    pub fn connections(&self) -> u64 {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// Requests that never reached the service: they can't be read, or their peer may not ask.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Bytes that clients sent. What TLS adds to them isn't counted.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Bytes that clients were sent.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// One more that never reaches the service.
    pub(crate) fn refuse(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection's place among those that there may be. It counts as long as it lasts.
pub(crate) struct Visit {
    tally: Tally,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    pub(crate) fn begin(tally: Tally, place: OwnedSemaphorePermit) -> Self {
        tally.0.connections.fetch_add(1, Ordering::Relaxed);
        Self { tally, _place: place }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// So many bytes came.
    pub(crate) fn received(&self, bytes: usize) {
        self.tally.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes went.
    pub(crate) fn sent(&self, bytes: usize) {
        self.tally.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.tally.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
