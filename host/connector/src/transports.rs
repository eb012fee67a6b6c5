//! The transports in use: one for each lane of each TLS identity that a login or session still
//! holds, made when first needed.
//!
//! A lane's connections are its own, so that nothing waits for one that another lane has in use. A
//! transport is made anew when one of the configured files has changed, or after a failed handshake.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::pki_types::ServerName;
use usher_address::OutboundProxy;

use crate::identity::{TlsIdentity, WeakIdentity};
use crate::lane::Lane;
use crate::outbound::Outbound;
use crate::resolve::System;
use crate::settings::Settings;
use crate::tls::BuildError;
use crate::transport::{Keeping, Transport};
use crate::trouble::Trouble;
use crate::way::{Means, Way};

pub(crate) struct Transports {
    settings: Settings,
    proxy: Option<Arc<Outbound>>,
    server_name: Option<ServerName<'static>>,
    /// The settings' own, which is always in use.
    own: TlsIdentity,
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    identity: WeakIdentity,
    files: Vec<Stamp>,
    way: Way,
    lanes: Vec<(Lane, Transport)>,
}

impl Transports {
    pub(crate) fn new(
        settings: Settings,
        proxy: Option<Outbound>,
        server_name: Option<ServerName<'static>>,
    ) -> Self {
        let (own, entries) = (TlsIdentity::default(), Mutex::default());
        Self { settings, proxy: proxy.map(Arc::new), server_name, own, entries }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Of a proxy that requests to an http address are forwarded by.
    pub(crate) fn proxy(&self) -> Option<&Outbound> {
        self.proxy.as_deref()
    }

    /// Whether any connection is TLS: to the server, or to the proxy.
    pub(crate) fn use_tls(&self) -> bool {
        let proxy = self.settings.proxy.as_ref().filter(|_| self.proxy.is_some());
        self.settings.address.uses_tls() || proxy.is_some_and(OutboundProxy::uses_tls)
    }

    /// The transport for this identity's requests in this lane, made if there is none or the
    /// identity's files have changed.
    pub(crate) async fn get(
        self: &Arc<Self>,
        lane: Lane,
        identity: &TlsIdentity,
    ) -> Result<Transport, Trouble> {
        let identity = if identity.is_own() { &self.own } else { identity };
        let files = self.stamps();
        if let Some(known) = self.known(lane, identity, &files) {
            return Ok(known);
        }
        let way = if self.use_tls() {
            let (transports, wanted) = (Arc::clone(self), identity.clone());
            let built = tokio::task::spawn_blocking(move || transports.secure_way(&wanted)).await;
            built.unwrap_or_else(|stopped| Err(BuildError::Client(stopped.to_string())))?
        } else {
            self.way(None)
        };
        let transport = Transport::new(way.clone(), self.keeping(lane));
        let lanes = vec![(lane, transport.clone())];
        let identity = identity.downgrade();
        self.entries().push(Entry { identity, files, way, lanes });
        Ok(transport)
    }

    /// Forgets all transports of this identity: its trust or certificate was of no use.
    pub(crate) fn forget(&self, identity: &TlsIdentity) {
        self.entries().retain(|entry| !entry.identity.is(identity));
    }

    fn known(&self, lane: Lane, identity: &TlsIdentity, files: &[Stamp]) -> Option<Transport> {
        let mut entries = self.entries();
        entries.retain(|entry| entry.identity.is_in_use());
        let position = entries.iter().position(|entry| entry.identity.is(identity))?;
        if entries[position].files != files {
            entries.swap_remove(position);
            return None;
        }
        let entry = &mut entries[position];
        if let Some((_, known)) = entry.lanes.iter().find(|(of, _)| *of == lane) {
            return Some(known.clone());
        }
        let transport = Transport::new(entry.way.clone(), self.keeping(lane));
        entry.lanes.push((lane, transport.clone()));
        Some(transport)
    }

    fn secure_way(&self, identity: &TlsIdentity) -> Result<Way, BuildError> {
        self.settings.tls.build(identity.given()).map(|tls| self.way(Some(Arc::new(tls))))
    }

    fn way(&self, tls: Option<Arc<rustls::ClientConfig>>) -> Way {
        let address = &self.settings.address;
        Way::new(Means {
            resolver: Arc::new(System),
            socket: address.socket().map(Path::to_owned),
            proxy: self.proxy.clone(),
            tls,
            server_name: self.server_name.clone().filter(|_| address.uses_tls()),
            connect_timeout: self.settings.timeout.min(CONNECT_TIMEOUT),
        })
    }

    fn keeping(&self, lane: Lane) -> Keeping {
        let one_each = self.settings.disable_idle_connections || self.settings.disable_keep_alives;
        let (most_idle, idle, read_ahead) = match lane {
            // Between renewals a connection would only go stale.
            Lane::Tokens | Lane::Secrets => (usize::MAX, IDLE, None),
            Lane::Proxied => (MOST_IDLE_PROXIED, IDLE_PROXIED, Some(READ_AHEAD_PROXIED)),
        };
        Keeping { most_idle: if one_each { 0 } else { most_idle }, idle, read_ahead }
    }

    fn stamps(&self) -> Vec<Stamp> {
        if !self.use_tls() {
            return Vec::new();
        }
        self.settings.tls.files().map(stamp).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells one version of a file from the next.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE: Duration = Duration::from_secs(10);
const IDLE_PROXIED: Duration = Duration::from_mins(1);
const MOST_IDLE_PROXIED: usize = 64;
/// Room for the largest head of an answer that servers and what stands before them send.
const READ_AHEAD_PROXIED: usize = 64 << 10;
