//! The table of `listener`: where requests of others come in.

use super::Block;
use super::Key;
use super::Kind::{Any, Boolean, Duration, Integer, Strings, Text, Typed, WeakBoolean};
use super::key::{built, no_effect, not_built};
use crate::dialect::Dialect::{Agent, Proxy};

const SERVER_PART: &str = "the agent has no use for it";
const OWN_ORDER: &str = "key exchanges are tried in the order of the TLS library; take it out";
const ACME: &str = "name a certificate, tls_cert_file and tls_key_file, or write tls_disable = true; the agent asks no authority for one, for what it proves its name with would have to be reached from there";

pub(crate) static LISTENER: Block = Block {
    name: "listener",
    closed: false,
    hint: "",
    keys: &[
        built("type", Text, "\"tcp\" or \"unix\", instead of a label."),
        built(
            "address",
            Text,
            "Host and port, also as a template such as {{ GetPrivateIP }}:8200; of a Unix socket \
             its path. Default 127.0.0.1:8200.",
        ),
        built(
            "role",
            Text,
            "\"default\", or \"metrics_only\" for one that forwards nothing. Default \"default\".",
        ),
        built(
            "identity",
            Text,
            "Whose token requests get. Default: that of auto_auth, else of the only identity.",
        ),
        built(
            "require_request_header",
            WeakBoolean,
            "Refuse requests without X-Vault-Request: true. Default false.",
        ),
        built("agent_api", Typed(&AGENT_API), "What of the agent itself may be asked.").only(Agent),
        built("proxy_api", Typed(&PROXY_API), "What of the proxy itself may be asked.").only(Proxy),
        built(
            "tls_disable",
            WeakBoolean,
            "Serve without TLS, as a Unix socket without tls_cert_file does anyway. Default false.",
        ),
        built("tls_cert_file", Text, "PEM file with the certificate."),
        built("tls_key_file", Text, "PEM file with its key."),
        built(
            "tls_client_ca_file",
            Text,
            "PEM file of the authorities for client certificates that are required.",
        ),
        built("tls_min_version", Text, "Oldest TLS version, tls12 or tls13. Default tls12."),
        built("tls_max_version", Text, "Newest TLS version, tls12 or tls13. Default tls13."),
        built(
            "tls_cipher_suites",
            Text,
            "Comma-separated cipher suites, by the names that Go has for them. Default: all that \
             are safe.",
        ),
        built(
            "tls_require_and_verify_client_cert",
            WeakBoolean,
            "Only clients with a certificate of tls_client_ca_file. Default false.",
        ),
        built("tls_disable_client_certs", WeakBoolean, "Ask for no certificate. Default false."),
        built(
            "tls_auto_reload",
            WeakBoolean,
            "Taken without effect: changed certificates are always taken up.",
        ),
        built(
            "tls_auto_reload_interval",
            Duration,
            "Taken without effect: changes of the files are seen when they are made.",
        ),
        built(
            "socket_mode",
            Text,
            "Mode of the Unix socket, octal. Default: what the umask leaves of 0777.",
        ),
        built("socket_user", Text, "Owner of the Unix socket, by name or number."),
        built("socket_group", Text, "Group of the Unix socket, by name or number."),
        built(
            "allow_users",
            Strings,
            "Users, by name or number, whose processes the Unix socket serves, besides \
             allow_groups. Default: all that may open it.",
        ),
        built(
            "allow_groups",
            Strings,
            "Groups, by name or number, whose processes the Unix socket serves, besides \
             allow_users. Default: all that may open it.",
        ),
        no_effect("tls_key_exchange_preferences", Strings, OWN_ORDER),
        not_built("tls_acme_domains", Strings, ACME, "Names to get a certificate for."),
        not_built("tls_acme_ca_directory", Text, ACME, "The authority to get it from."),
        not_built("tls_acme_test_ca_directory", Text, ACME, "The authority for trials."),
        not_built(
            "tls_acme_ca_root",
            Text,
            ACME,
            "PEM file of who signed the authority's own certificate.",
        ),
        not_built("tls_acme_cache_path", Text, ACME, "Directory that keeps the certificate."),
        not_built("tls_acme_email", Text, ACME, "Whom the authority writes to."),
        not_built("tls_acme_key_type", Text, ACME, "Kind of the certificate's key."),
        not_built("tls_acme_eab_key_id", Text, ACME, "Account at the authority."),
        not_built("tls_acme_eab_mac_key", Text, ACME, "Key of that account."),
        not_built("tls_acme_challenge_host", Text, ACME, "Where challenges are answered."),
        not_built("tls_acme_http_challenge_port", Integer, ACME, "Port of HTTP challenges."),
        not_built("tls_acme_alpn_challenge_port", Integer, ACME, "Port of TLS challenges."),
        not_built("tls_acme_disable_http_challenge", WeakBoolean, ACME, "No HTTP challenges."),
        not_built("tls_acme_disable_alpn_challenge", WeakBoolean, ACME, "No TLS challenges."),
        no_effect("cluster_address", Text, SERVER_PART),
        no_effect("purpose", Any, SERVER_PART),
        no_effect("http_read_timeout", Duration, SERVER_PART),
        no_effect("http_read_header_timeout", Duration, SERVER_PART),
        no_effect("http_write_timeout", Duration, SERVER_PART),
        no_effect("http_idle_timeout", Duration, SERVER_PART),
        no_effect("max_request_size", Integer, SERVER_PART),
        no_effect("max_request_json_memory", Integer, SERVER_PART),
        no_effect("max_request_json_strings", Integer, SERVER_PART),
        no_effect("max_request_duration", Duration, SERVER_PART),
        no_effect("cors_enabled", WeakBoolean, SERVER_PART),
        no_effect("cors_allowed_origins", Any, SERVER_PART),
        no_effect("cors_allowed_headers", Any, SERVER_PART),
        no_effect("custom_response_headers", Any, SERVER_PART),
        no_effect("telemetry", Any, SERVER_PART),
        no_effect("profiling", Any, SERVER_PART),
        no_effect("proxy_protocol_behavior", Text, SERVER_PART),
        no_effect("proxy_protocol_authorized_addrs", Any, SERVER_PART),
        no_effect("x_forwarded_for_authorized_addrs", Any, SERVER_PART),
        no_effect("x_forwarded_for_hop_skips", Integer, SERVER_PART),
        no_effect("x_forwarded_for_reject_not_authorized", WeakBoolean, SERVER_PART),
        no_effect("x_forwarded_for_reject_not_present", WeakBoolean, SERVER_PART),
    ],
};

pub(crate) static AGENT_API: Block =
    Block { name: "listener.agent_api", closed: false, hint: "", keys: &API_KEYS };

pub(crate) static PROXY_API: Block =
    Block { name: "listener.proxy_api", closed: false, hint: "", keys: &API_KEYS };

static API_KEYS: [Key; 1] =
    [built("enable_quit", Boolean, "The agent can be ended by a request. Default false.")];
