//! The settings that no file says: only variables of the environment do, and a flag.

use super::Block;
use super::Change::{Nothing, Server};
use super::Kind::{Boolean, Duration, Text};
use super::key::built;

const PEM_TEXT: &str = "PEM text instead of a file.";

/// No block of a file.
pub(crate) static ENVIRONMENT: Block = Block {
    name: "the environment",
    closed: true,
    hint: "",
    keys: &[
        built("ca_cert_bytes", Text, PEM_TEXT).variables(&["CACERT_BYTES"]).change(Server),
        built("client_cert_bytes", Text, PEM_TEXT).variables(&["CLIENT_CERT_BYTES"]).change(Server),
        built("client_key_bytes", Text, PEM_TEXT).variables(&["CLIENT_KEY_BYTES"]).change(Server),
        built("client_timeout", Duration, "Time for one request. Default 60s.")
            .variables(&["CLIENT_TIMEOUT"])
            .change(Server),
        built("rate_limit", Text, "Requests a second, and how many at once: `5` or `5:10`.")
            .variables(&["RATE_LIMIT"])
            .change(Server),
        built("srv_lookup", Boolean, "The host of the address names an SRV record.")
            .variables(&["SRV_LOOKUP"])
            .change(Server),
        built("disable_redirects", Boolean, "Follow no redirect.")
            .variables(&["DISABLE_REDIRECTS"])
            .flag("disable-redirects", "BOOL", "Follow no redirect of the server.")
            .change(Server),
        built(
            "proxy",
            Text,
            "Proxy for every address, `http://`, `https://` or `socks5://`; the first goes before \
             the second.",
        )
        .variables(&["PROXY_ADDR", "HTTP_PROXY"])
        .change(Server),
        built("config", Text, "Comma-separated paths, if there is no `--config`.")
            .variables(&["AGENT_CONFIG_PATH"])
            .change(Nothing),
    ],
};
