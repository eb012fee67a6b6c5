//! Where a request goes: to the address as it is written, or to what its SRV record names.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use url::Url;
use usher_address::ServerAddress;

use crate::srv::{Resolver, Target};
use crate::trouble::{Trouble, TroubleKind};

/// Knows the server's whereabouts.
pub(crate) struct Locator {
    base: Url,
    /// For an address that names a record.
    record: Option<Record>,
}

struct Record {
    name: String,
    resolver: Resolver,
    /// The record's target, and until when it may be used.
    known: Mutex<Option<(Target, Instant)>>,
}

impl Locator {
    pub(crate) fn new(address: &ServerAddress, srv_lookup: bool) -> Self {
        let name = address.srv_name().filter(|_| srv_lookup);
        let record = name.map(|name| Record {
            name: name.to_owned(),
            resolver: Resolver::default(),
            known: Mutex::default(),
        });
        Self { base: address.base().clone(), record }
    }

    /// The address's own URL, with the host and port to send requests to.
    pub(crate) async fn locate(&self) -> Result<Url, Trouble> {
        let mut url = self.base.clone();
        let Some(record) = &self.record else { return Ok(url) };
        let name = &record.name;
        let known = record.known().clone().filter(|(_, until)| Instant::now() < *until);
        let target = if let Some((target, _)) = known {
            Some(target)
        } else {
            let found = record.resolver.target(name).await.map_err(|error| {
                let what = format_args!("the SRV record of {name} can't be looked up: {error}");
                Trouble::new(TroubleKind::SrvRecord, what, REMEDY)
            })?;
            *record.known() = found.clone().map(|target| {
                let until = Instant::now() + target.ttl.min(LONGEST_KNOWN);
                (target, until)
            });
            found
        };
        if let Some(target) = target {
            let unusable = || {
                let what = format_args!("the SRV record of {name} names no host and port");
                Trouble::new(TroubleKind::SrvRecord, what, REMEDY)
            };
            url.set_host(Some(&target.host)).map_err(|_| unusable())?;
            url.set_port(Some(target.port)).map_err(|()| unusable())?;
        } else {
            tracing::debug!(name, "there is no SRV record: the address itself is used");
        }
        Ok(url)
    }

    /// The server wasn't there: the record is looked up again.
    pub(crate) fn forget(&self) {
        if let Some(record) = &self.record {
            *record.known() = None;
        }
    }
}

impl Record {
    fn known(&self) -> MutexGuard<'_, Option<(Target, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const REMEDY: &str = "check vault.address, the record, and the name servers in /etc/resolv.conf; or unset BAO_SRV_LOOKUP";

/// However long a record lives, its servers may be replaced sooner.
const LONGEST_KNOWN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srv::tests::{Behaviour, name_server};

    fn locator(address: &str) -> Locator {
        Locator::new(&ServerAddress::parse(address).unwrap(), true)
    }

    #[tokio::test]
    async fn requests_go_where_the_record_of_an_address_without_port_leads() {
        let records = &[(10, 0, 8243, "a.example")];
        let name = "_http._tcp.vault.example";
        let server = name_server(name, Behaviour::Records(records)).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "nameserver 127.0.0.1\n").unwrap();
        let by_record = |address| {
            let mut locator = locator(address);
            let record = locator.record.as_mut().unwrap();
            record.resolver = Resolver::new(file.path().into(), server.port());
            locator
        };
        let found = by_record("https://vault.example/behind/it");
        assert_eq!(found.locate().await.unwrap().as_str(), "https://a.example:8243/behind/it/");
        // Known for as long as the record lives, or until the server isn't there.
        assert!(found.record.as_ref().unwrap().known().is_some());
        found.forget();
        assert!(found.record.as_ref().unwrap().known().is_none());
        // Without a record the address itself is used.
        let other = by_record("https://other.example");
        assert_eq!(other.locate().await.unwrap().as_str(), "https://other.example/");
    }

    #[tokio::test]
    async fn a_name_server_that_fails_is_an_error_and_not_a_way_elsewhere() {
        let code = Behaviour::Code(simple_dns::RCODE::ServerFailure);
        let server = name_server("_http._tcp.vault.example", code).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "nameserver 127.0.0.1\n").unwrap();
        let mut locator = locator("https://vault.example");
        locator.record.as_mut().unwrap().resolver =
            Resolver::new(file.path().into(), server.port());
        let trouble = locator.locate().await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::SrvRecord);
        assert!(trouble.remedy.contains("BAO_SRV_LOOKUP"), "{trouble}");
    }

    #[test]
    fn an_address_with_a_port_or_without_a_name_has_no_record() {
        for address in ["https://vault:8200", "https://192.0.2.1", "unix:///run/bao.sock"] {
            assert!(locator(address).record.is_none(), "{address}");
        }
    }
}
