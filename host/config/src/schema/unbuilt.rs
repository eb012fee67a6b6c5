//! The tables of what isn't built yet, and judged all the same: proxy, cache, templates, process
//! supervisor.

use super::Kind::{
    Any, Boolean, Choice, Command, Duration, GoDuration, Integer, Permissions, Signal,
    StrictInteger, StrictText, Strings, Text, TokenUse, Typed, Wait, WeakBoolean,
};
use super::key::{built, deprecated, no_effect};
use super::{Block, Key};

const OTHER_PRODUCT: &str = "OpenBao Agent has no use for it";
const SERVER_PART: &str = "the agent has no use for it";

pub(crate) static API_PROXY: Block = Block {
    name: "api_proxy",
    closed: false,
    hint: "",
    keys: &[
        built(
            "use_auto_auth_token",
            TokenUse,
            "Requests get the agent's token; \"force\": even those with one of their own. Default false.",
        ),
        no_effect("enforce_consistency", Any, OTHER_PRODUCT),
        no_effect("when_inconsistent", Any, OTHER_PRODUCT),
        no_effect("prepend_configured_namespace", Any, OTHER_PRODUCT),
    ],
};

pub(crate) static CACHE: Block = Block {
    name: "cache",
    closed: false,
    hint: "",
    keys: &[
        deprecated(
            "use_auto_auth_token",
            TokenUse,
            "write it into an api_proxy block",
            "What it is in api_proxy.",
        ),
        built("persist", Typed(&PERSIST), "Keep the cache over restarts; only kubernetes."),
        no_effect("enforce_consistency", Any, OTHER_PRODUCT),
        no_effect("when_inconsistent", Any, OTHER_PRODUCT),
        no_effect("cache_static_secrets", Any, OTHER_PRODUCT),
        no_effect("static_secret_token_capability_refresh_interval", Any, OTHER_PRODUCT),
        no_effect("static_secret_token_capability_refresh_behavior", Any, OTHER_PRODUCT),
        no_effect("disable_caching_dynamic_secrets", Any, OTHER_PRODUCT),
    ],
};

pub(crate) static PERSIST: Block = Block {
    name: "cache.persist",
    closed: false,
    hint: "",
    keys: &[
        built("type", Text, "\"kubernetes\", instead of a label."),
        built("path", Text, "Directory of the cache file."),
        built("keep_after_import", Boolean, "Keep the file once it is read. Default false."),
        built("exit_on_err", Boolean, "End if the file can't be read. Default false."),
        built(
            "service_account_token_file",
            Text,
            "File whose content is authenticated with the cache. Default: that of the service account.",
        ),
    ],
};

pub(crate) static LISTENER: Block = Block {
    name: "listener",
    closed: false,
    hint: "",
    keys: &[
        built("type", Text, "\"tcp\" or \"unix\", instead of a label."),
        built("address", Text, "Address and port, or the socket's path. Default 127.0.0.1:8200."),
        built("role", Text, "\"default\" or \"metrics_only\". Default \"default\"."),
        built(
            "require_request_header",
            WeakBoolean,
            "Refuse requests without X-Vault-Request: true. Default false.",
        ),
        built("agent_api", Typed(&AGENT_API), "What of the agent itself may be asked."),
        built("tls_disable", WeakBoolean, "Serve without TLS. Default false."),
        built("tls_cert_file", Text, "PEM file with the certificate."),
        built("tls_key_file", Text, "PEM file with its key."),
        built("tls_client_ca_file", Text, "PEM file of authorities for client certificates."),
        built("tls_min_version", Text, "Oldest TLS version. Default tls12."),
        built("tls_max_version", Text, "Newest TLS version. Default tls13."),
        built("tls_cipher_suites", Text, "Comma-separated cipher suites."),
        built("tls_key_exchange_preferences", Strings, "Key exchanges in order."),
        built(
            "tls_require_and_verify_client_cert",
            WeakBoolean,
            "Only clients with a certificate. Default false.",
        ),
        built("tls_disable_client_certs", WeakBoolean, "Ask for no certificate. Default false."),
        built("tls_auto_reload", WeakBoolean, "Reload changed certificates. Default false."),
        built("tls_auto_reload_interval", Duration, "How often that is looked. Default 30s."),
        built("tls_acme_domains", Strings, "Names to get a certificate for."),
        built("socket_mode", Text, "Mode of the Unix socket, octal."),
        built("socket_user", Text, "Owner of the Unix socket."),
        built("socket_group", Text, "Group of the Unix socket."),
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

pub(crate) static AGENT_API: Block = Block {
    name: "listener.agent_api",
    closed: false,
    hint: "",
    keys: &[built("enable_quit", Boolean, "The agent can be ended by a request. Default false.")],
};

static TEMPLATE_KEYS: [Key; 21] = [
    built("source", StrictText, "File with the template; or contents."),
    built("contents", StrictText, "The template itself; or source."),
    built("destination", StrictText, "File that gets what the template makes."),
    built("create_dest_dirs", Boolean, "Make the directories of destination. Default true."),
    built("perms", Permissions, "Mode of destination. Default: as it was, else 0644."),
    built("user", StrictText, "Owner of destination."),
    built("uid", StrictInteger, "Owner of destination, by number."),
    built("group", StrictText, "Group of destination."),
    built("gid", StrictInteger, "Group of destination, by number."),
    built("backup", Boolean, "Keep what was there before as FILE.bak. Default false."),
    deprecated("command", Command, "write exec { command = … }", "Command to run after a change."),
    deprecated(
        "command_timeout",
        GoDuration,
        "write exec { timeout = … }",
        "Longest run of command. Default 30s.",
    ),
    built("exec", Typed(&TEMPLATE_EXEC), "Command to run after a change."),
    built("wait", Wait, "How long changes are gathered: \"MIN:MAX\" or a block. Default: not."),
    built("error_on_missing_key", Boolean, "A missing key is an error. Default false."),
    built("error_fatal", Boolean, "An error ends all templates. Default true."),
    built("left_delimiter", StrictText, "Default \"{{\"."),
    built("right_delimiter", StrictText, "Default \"}}\"."),
    built("sandbox_path", StrictText, "Directory that `file` in the template can't leave."),
    built("function_denylist", Command, "Functions that the template can't call."),
    deprecated(
        "function_blacklist",
        Command,
        "write function_denylist",
        "The former name of function_denylist.",
    ),
];

/// What goes into `template`.
pub(crate) static TEMPLATE: Block =
    Block { name: "template", closed: true, hint: "", keys: &TEMPLATE_KEYS };

pub(crate) static TEMPLATE_EXEC: Block = Block {
    name: "template.exec",
    closed: true,
    hint: "",
    keys: &[
        built("command", Command, "The command, a list or a string."),
        built("enabled", Boolean, "Run it. Default true."),
        built("env", Typed(&TEMPLATE_EXEC_ENV), "Its environment."),
        built("kill_signal", Signal, "Ends it. Default SIGINT."),
        built("kill_timeout", GoDuration, "Then it is killed. Default 30s."),
        built("reload_signal", Signal, "Tells it of a change."),
        built("splay", GoDuration, "A random wait before it runs. Default 0."),
        built("timeout", GoDuration, "Longest run. Default 30s."),
    ],
};

pub(crate) static TEMPLATE_EXEC_ENV: Block = Block {
    name: "template.exec.env",
    closed: true,
    hint: "",
    keys: &[
        built("pristine", Boolean, "Start from an empty environment. Default false."),
        built("custom", Strings, "Variables to set: \"NAME=VALUE\"."),
        built("allowlist", Strings, "Variables that are handed on."),
        built("denylist", Strings, "Variables that are not handed on."),
    ],
};

pub(crate) static WAIT: Block = Block {
    name: "template.wait",
    closed: true,
    hint: "",
    keys: &[
        built("enabled", Boolean, "Gather changes. Default: if there is a min."),
        built("min", GoDuration, "Shortest wait."),
        built("max", GoDuration, "Longest wait. Default four times min."),
    ],
};

pub(crate) static TEMPLATE_CONFIG: Block = Block {
    name: "template_config",
    closed: false,
    hint: "",
    keys: &[
        built(
            "exit_on_retry_failure",
            Boolean,
            "A template that fails ends the agent. Default false.",
        ),
        built(
            "static_secret_render_interval",
            Duration,
            "How often secrets without lease are read again. Default 5m.",
        ),
        no_effect("max_connections_per_host", Any, OTHER_PRODUCT),
        no_effect("lease_renewal_threshold", Any, OTHER_PRODUCT),
    ],
};

/// Refused by the rules are the keys that only a file has.
pub(crate) static ENV_TEMPLATE: Block =
    Block { name: "env_template", closed: true, hint: "", keys: &TEMPLATE_KEYS };

pub(crate) static EXEC: Block = Block {
    name: "exec",
    closed: true,
    hint: "",
    keys: &[
        built("command", Strings, "The process and its arguments."),
        built(
            "restart_on_secret_changes",
            Choice(&["always", "never"]),
            "Start it anew when a secret changes. Default \"always\".",
        ),
        built("restart_stop_signal", Signal, "Ends it then. Default SIGTERM."),
    ],
};
