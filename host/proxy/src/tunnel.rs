//! What follows when a request changes the protocol: bytes, both ways, until either side ends.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::watch;

/// Joins two connections once both have changed. The end of `open` ends them.
pub(crate) fn join(client: OnUpgrade, server: OnUpgrade, mut open: watch::Receiver<bool>) {
    tokio::spawn(async move {
        let (Ok(client), Ok(server)) = tokio::join!(client, server) else {
            tracing::debug!("the protocol was to change, and a connection ended instead");
            return;
        };
        let (mut client, mut server) = (TokioIo::new(client), TokioIo::new(server));
        tokio::select! {
            // Whoever hangs up ends it: nothing is amiss.
            _ = copy_bidirectional(&mut client, &mut server) => {}
            _ = open.wait_for(|open| !open) => {}
        }
    });
}
