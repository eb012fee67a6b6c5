//! Agents with listeners: the blocks of their configuration, and one that is ready in front of a site.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::agent::{Agent, Launch};
use crate::api_client::ApiClient;
use crate::site::{Configuration, Site};

/// A `listener` block for this socket, without TLS.
pub fn unix(path: &Path, settings: &str) -> String {
    block("unix", &path.display().to_string(), settings)
}

/// A `listener` block for this address, without TLS.
pub fn tcp(authority: &str, settings: &str) -> String {
    block("tcp", authority, settings)
}

fn block(kind: &str, address: &str, settings: &str) -> String {
    let address = address.replace('"', "\\\"");
    let tls = if settings.contains("tls_cert_file") { "" } else { "tls_disable = true" };
    format!("listener \"{kind}\" {{\n  address = \"{address}\"\n  {tls}\n  {settings}\n}}\n")
}

/// An `api_proxy` block: `use_auto_auth_token = true`.
pub fn api_proxy(settings: &str) -> String {
    format!("api_proxy {{\n  {settings}\n}}\n")
}

/// "127.0.0.1:PORT" of a port that is free, and isn't among those that the kernel gives to connections.
pub fn free_authority() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number =
            std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let authority = format!("127.0.0.1:{}", 20_000 + number % 12_000);
        if TcpListener::bind(&authority).is_ok() {
            return authority;
        }
    }
}

/// An agent that has logged in and serves a socket in front of a site, where there is a secret.
pub struct ProxiedSite {
    /// With a log at debug level.
    pub agent: Agent,
    /// Speaks to the agent's socket.
    pub client: ApiClient,
    /// Where it goes from there.
    pub site: Site,
}

impl ProxiedSite {
    /// With these settings in `api_proxy`.
    #[track_caller]
    pub fn start(settings: &str) -> Self {
        let site = site();
        let configuration = configuration(&site, &api_proxy(settings));
        let agent = Launch::agent(&configuration.text()).start();
        site.wait_for_token();
        let client = ApiClient::unix(&socket(&site));
        client.wait_until_open();
        Self { agent, client, site }
    }
}

/// A site whose role may do what the tests of the proxy ask for; the secret is in `secret/data/app`.
pub fn site() -> Site {
    let site = Site::new(json!({ "token_ttl": "1h", "token_policies": ["app", "proxied"] }));
    let rules = r#"
path "secret/data/write/*" { capabilities = ["create", "update", "read"] }
path "auth/token/lookup" { capabilities = ["update"] }
path "auth/token/renew" { capabilities = ["update"] }
"#;
    site.bao.policy("proxied", rules);
    site.bao.write("secret/data/app", json!({ "data": { "password": PASSWORD } }));
    site
}

/// The site's configuration with a listener on [`socket`] and more blocks.
pub fn configuration(site: &Site, blocks: &str) -> Configuration {
    let mut configuration = site.configuration();
    configuration.top = unix(&socket(site), "") + blocks;
    configuration
}

/// Where the agent listens.
pub fn socket(site: &Site) -> PathBuf {
    site.file("agent.sock")
}

/// What `secret/data/app` says.
pub const PASSWORD: &str = "correct-horse-battery";
