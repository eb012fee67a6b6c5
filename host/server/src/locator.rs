//! Where a request goes: to the address as it is written, or to what its SRV record names.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::dns::{Name, Resolve, Resolving};
use url::{Host, Url};

use crate::error::{Class, Error, Reason};
use crate::settings::Address;
use crate::srv::{Resolver, Target};

/// Knows the server's whereabouts.
pub(crate) struct Locator {
    base: Url,
    /// For an address that names a record.
    resolver: Option<Resolver>,
    /// The record's target, and until when it may be used.
    known: Mutex<Option<(Target, Instant)>>,
    /// Where connections go to, whatever name the request is for.
    host: Arc<Mutex<String>>,
}

impl Locator {
    pub(crate) fn new(address: &Address, srv_lookup: bool) -> Self {
        let by_name = matches!(address.base.host(), Some(Host::Domain(_)));
        let by_record = srv_lookup && by_name && !address.has_port && address.socket.is_none();
        Self {
            base: address.base.clone(),
            resolver: by_record.then(Resolver::default),
            known: Mutex::default(),
            host: Arc::new(Mutex::new(host(&address.base))),
        }
    }

    /// A URL at the address, with the host and port to send it to.
    pub(crate) async fn locate(&self, mut url: Url) -> Result<Url, Error> {
        let Some(resolver) = &self.resolver else { return Ok(url) };
        let name = self.base.host_str().unwrap_or_default();
        let known = lock(&self.known).clone().filter(|(_, until)| Instant::now() < *until);
        let target = if let Some((target, _)) = known {
            Some(target)
        } else {
            let found = resolver.target(name).await.map_err(|error| {
                let message = format_args!("the SRV record of {name} can't be looked up: {error}");
                Error::new(Class::Passing, Reason::Dns, message, REMEDY)
            })?;
            *lock(&self.known) = found.clone().map(|target| {
                let until = Instant::now() + target.ttl.min(LONGEST_KNOWN);
                (target, until)
            });
            found
        };
        if let Some(target) = target {
            let unusable = || {
                let message = format_args!("the SRV record of {name} names no host and port");
                Error::new(Class::Passing, Reason::Dns, message, REMEDY)
            };
            url.set_host(Some(&target.host)).map_err(|_| unusable())?;
            url.set_port(Some(target.port)).map_err(|()| unusable())?;
        } else {
            tracing::debug!(name, "there is no SRV record: the address itself is used");
        }
        *lock(&self.host) = host(&url);
        Ok(url)
    }

    /// The server wasn't there: the record is looked up again.
    pub(crate) fn forget(&self) {
        *lock(&self.known) = None;
    }

    /// Resolves every name to where requests go: for those that are sent for the name in the
    /// certificate.
    pub(crate) fn resolve_all(&self) -> Arc<dyn Resolve> {
        Arc::new(ResolveAll { host: Arc::clone(&self.host) })
    }
}

struct ResolveAll {
    host: Arc<Mutex<String>>,
}

impl Resolve for ResolveAll {
    fn resolve(&self, _: Name) -> Resolving {
        let host = lock(&self.host).clone();
        Box::pin(async move {
            // Port 0 is replaced by the URL's.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

/// As the system's resolver takes it: an IPv6 address without brackets.
fn host(url: &Url) -> String {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).to_string(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_string(),
        Some(Host::Domain(name)) => name.to_owned(),
        None => String::new(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const REMEDY: &str = "check vault.address, the record, and the name servers in /etc/resolv.conf; or unset BAO_SRV_LOOKUP";

/// However long a record lives, its servers may be replaced sooner.
const LONGEST_KNOWN: Duration = Duration::from_mins(1);
