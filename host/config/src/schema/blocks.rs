//! The tables of what works: connection, auto-auth, logging, and what is ours.

use usher_grant::{Capability, MEMORY_HINT, TIMEOUT_HINT};

use super::Kind::{
    Any, Block as One, Boolean, Choice, Duration, Integer, Named, Settings, Size, Strings, Text,
    Typed, WeakBoolean,
};
use super::{Block, Key, beside, built, no_effect, not_built, unbuilt};

pub(super) const TOP: &str = "the configuration";
const PROXY: &str =
    "take it out; this version is no API proxy: clients talk to the server themselves";
const TEMPLATES: &str = "take it out; this version renders no templates: deliver the token with a sink, and keep a template tool beside it";
const SERVER_PART: &str = "a key of the server's configuration; take it out";

/// The top level of a file.
pub(crate) static FILE: Block = Block {
    name: TOP,
    closed: false,
    hint: "",
    keys: &[
        built("vault", One(&VAULT), "The secrets server and how to trust it."),
        built(
            "auto_auth",
            One(&AUTO_AUTH),
            "One method, its token and its sinks; the identity called \"default\".",
        ),
        built(
            "identity",
            Named(&IDENTITY),
            "A further method with its token and its sinks, under a name of its own; takes what auto_auth takes.",
        ),
        built("pid_file", Text, "File that gets the process id. Default: none."),
        built("exit_after_auth", Boolean, "End once every sink has its token. Default false."),
        built(
            "log_level",
            Choice(&["trace", "debug", "info", "notice", "warn", "warning", "error", "err"]),
            "From this level on is logged; notice is info. Default info.",
        ),
        built(
            "log_format",
            Choice(&["standard", "json"]),
            "How a log line looks. Default standard.",
        ),
        built(
            "log_file",
            Text,
            "File that gets the log besides standard error; with a slash at its end a directory, in which the file is usher.log. Default: none.",
        ),
        built(
            "log_rotate_bytes",
            Integer,
            "A log file larger than this is rotated; 0 is no limit. Default 0.",
        ),
        built(
            "log_rotate_duration",
            Duration,
            "A log file older than this is rotated. Default 24h.",
        ),
        built(
            "log_rotate_max_files",
            Integer,
            "How many rotated log files are kept; 0: all, negative: none. Default 0.",
        ),
        built(
            "disable_idle_connections",
            Strings,
            "Parts that keep no idle connections: \"auto-auth\" counts; \"caching\", \"proxying\" and \"templating\" are taken. Default [].",
        ),
        built(
            "disable_keep_alives",
            Strings,
            "Parts that open a connection for each request; names as above. Default [].",
        ),
        built(
            "telemetry",
            One(&TELEMETRY),
            "How the incumbents send metrics; here see metrics_address.",
        ),
        built(
            "metrics_address",
            Text,
            "IP address and port that serve Prometheus metrics, /livez and /readyz, such as \"127.0.0.1:9102\". Default: off.",
        ),
        built(
            "admin_socket",
            Text,
            "Socket for usher status, reload and wait; \"\" is off. Default $RUNTIME_DIRECTORY/usher.sock, without that variable off.",
        ),
        built(
            "plugin_directory",
            Text,
            "Where plug-ins other than the built-in ones are. Default: none.",
        ),
        built("plugin", Named(&PLUGIN), "What the plug-in of this name may do."),
        built(
            "plugin_lock",
            Text,
            "File that lists the digests of plug-ins that may be loaded; `usher plugin lock` writes it. Default: all may.",
        ),
        not_built(
            "api_proxy",
            One(&unbuilt::API_PROXY),
            PROXY,
            "Whether proxied requests get the agent's token.",
        ),
        not_built(
            "listener",
            Typed(&unbuilt::LISTENER),
            PROXY,
            "A TCP or Unix socket on which requests are proxied.",
        ),
        not_built(
            "cache",
            One(&unbuilt::CACHE),
            PROXY,
            "Keeps leased answers for proxied requests.",
        ),
        not_built("template", Typed(&unbuilt::TEMPLATE), TEMPLATES, "A file made of secrets."),
        beside("template_config", One(&unbuilt::TEMPLATE_CONFIG), "What all templates share."),
        not_built(
            "env_template",
            Named(&unbuilt::ENV_TEMPLATE),
            TEMPLATES,
            "An environment variable, made of secrets, of the process under `exec`.",
        ),
        not_built(
            "exec",
            One(&unbuilt::EXEC),
            TEMPLATES,
            "A process to run with secrets in its environment.",
        ),
        no_effect("cluster_name", Text, SERVER_PART),
        no_effect("default_max_request_duration", Duration, SERVER_PART),
        no_effect("disable_mlock", WeakBoolean, "the agent locks no memory; take it out"),
        no_effect("hsm", Any, SERVER_PART),
        no_effect("kms", Any, SERVER_PART),
        no_effect("seal", Any, SERVER_PART),
        no_effect("user_lockout", Any, SERVER_PART),
    ],
};

pub(crate) static VAULT: Block = Block {
    name: "vault",
    closed: false,
    hint: "",
    keys: &[
        built(
            "address",
            Text,
            "https://, http:// or unix:// address of the server. Default https://127.0.0.1:8200.",
        ),
        built("ca_cert", Text, "PEM file of authorities, trusted instead of the system's."),
        built(
            "ca_path",
            Text,
            "Directory of PEM files with all below it, or one such file; ca_cert goes before it.",
        ),
        built("client_cert", Text, "PEM file with the client certificate; comes with client_key."),
        built("client_key", Text, "PEM file with the key of client_cert."),
        built(
            "tls_skip_verify",
            WeakBoolean,
            "Don't verify the server's certificate; warned of at each start. Default false.",
        ),
        built(
            "tls_server_name",
            Text,
            "Name to expect in the server's certificate. Default: the host of address.",
        ),
        built(
            "namespace",
            Text,
            "Namespace of the identities whose method names none. Default: the root.",
        ),
        built(
            "retry",
            One(&RETRY),
            "For proxied and template requests; logins have their back-off.",
        ),
    ],
};

pub(crate) static RETRY: Block = Block {
    name: "vault.retry",
    closed: false,
    hint: "",
    keys: &[built(
        "num_retries",
        Integer,
        "Attempts after the first; 0 is the default, negative none. Default 12.",
    )],
};

/// What `auto_auth` and `identity` take; they differ in what unknown keys do.
const fn identity_keys(
    method: &'static Block,
    sink: &'static Block,
    sinks: &'static Block,
) -> [Key; 6] {
    [
        built("method", Typed(method), "How the workload proves who it is; exactly one."),
        built("sink", Typed(sink), "Where the token goes; may be written several times."),
        built("sinks", One(sinks), "The same sinks in a block around them."),
        built(
            "enable_reauth_on_new_credentials",
            Boolean,
            "Log in again when the credential changes, while the token is good. Default: as the method says, which its page tells; yes for a plug-in that says nothing.",
        ),
        built(
            "token_check_interval",
            Duration,
            "How often a token is looked up that was not renewed meanwhile; \"auto\" is a tenth of its TTL, from 10s to 15m; 0 is never. Default \"auto\".",
        ),
        built(
            "on_exit",
            Choice(&["keep", "revoke"]),
            "What becomes of the token when the agent ends. Default \"keep\".",
        ),
    ]
}

static AUTO_AUTH_KEYS: [Key; 6] = identity_keys(&METHOD, &SINK, &SINKS);

static IDENTITY_KEYS: [Key; 6] = identity_keys(&IDENTITY_METHOD, &IDENTITY_SINK, &IDENTITY_SINKS);

pub(crate) static AUTO_AUTH: Block =
    Block { name: "auto_auth", closed: false, hint: "", keys: &AUTO_AUTH_KEYS };

pub(crate) static IDENTITY: Block =
    Block { name: "identity", closed: true, hint: "", keys: &IDENTITY_KEYS };

const METHOD_HINT: &str = "settings of the method itself go into its block: config { … }";

static METHOD_KEYS: [Key; 8] = [
    built("type", Text, "The method, instead of a label: \"approle\", or a plug-in's name."),
    built("mount_path", Text, "Where the method is mounted. Default auth/TYPE."),
    built(
        "namespace",
        Text,
        "Namespace of the method, if no flag or variable names one. Default: that of vault.namespace.",
    ),
    built(
        "wrap_ttl",
        Duration,
        "The server wraps the token at login, for this long; the one sink gets the wrapping token, and nothing is renewed. Default: not wrapped.",
    ),
    built("min_backoff", Duration, "First wait after a failed login. Default 1s."),
    built(
        "max_backoff",
        Duration,
        "Longest wait between logins, and between renewals or checks that fail; a Retry-After is obeyed up to it. Default 5m.",
    ),
    built("exit_on_err", Boolean, "The first failed login ends the agent. Default false."),
    built("config", Settings, "Settings of the method itself."),
];

pub(crate) static METHOD: Block =
    Block { name: "method", closed: false, hint: METHOD_HINT, keys: &METHOD_KEYS };

pub(crate) static IDENTITY_METHOD: Block =
    Block { name: "method", closed: true, hint: METHOD_HINT, keys: &METHOD_KEYS };

const fn sinks_keys(sink: &'static Block) -> [Key; 1] {
    [built("sink", Typed(sink), "Where the token goes; may be written several times.")]
}

static SINKS_KEYS: [Key; 1] = sinks_keys(&SINK);

static IDENTITY_SINKS_KEYS: [Key; 1] = sinks_keys(&IDENTITY_SINK);

pub(crate) static SINKS: Block =
    Block { name: "sinks", closed: false, hint: "", keys: &SINKS_KEYS };

pub(crate) static IDENTITY_SINKS: Block =
    Block { name: "sinks", closed: true, hint: "", keys: &IDENTITY_SINKS_KEYS };

const SINK_HINT: &str = "settings of the sink itself go into its block: config { … }";

static SINK_KEYS: [Key; 9] = [
    built("type", Text, "The sink, instead of a label: \"file\", or a plug-in's name."),
    built(
        "wrap_ttl",
        Duration,
        "The sink gets a wrapping token that is good for this long; made anew when the token changes. Default: not wrapped.",
    ),
    built(
        "dh_type",
        Choice(&["curve25519"]),
        "Encrypt what the sink gets for the key in dh_path. Default: not encrypted.",
    ),
    built(
        "dh_path",
        Text,
        "JSON file with the reader's public key, waited for; comes with dh_type.",
    ),
    built(
        "derive_key",
        Boolean,
        "Derive the key with HKDF-SHA256 instead of using the shared secret as it is. Default false.",
    ),
    built("aad", Text, "Text that is authenticated with the encrypted content. Default \"\"."),
    built(
        "aad_env_var",
        Text,
        "Name of the environment variable that holds the aad; goes before aad.",
    ),
    built(
        "on_exit",
        Choice(&["keep", "remove"]),
        "What becomes of the sink's content when the agent ends or a reload moves the sink. Default \"keep\".",
    ),
    built("config", Settings, "Settings of the sink itself."),
];

pub(crate) static SINK: Block =
    Block { name: "sink", closed: false, hint: SINK_HINT, keys: &SINK_KEYS };

pub(crate) static IDENTITY_SINK: Block =
    Block { name: "sink", closed: true, hint: SINK_HINT, keys: &SINK_KEYS };

pub(crate) static PLUGIN: Block = Block {
    name: "plugin",
    closed: true,
    hint: "",
    keys: &[
        built(
            "sha256",
            Text,
            "Digest of the plug-in's file, 64 hexadecimal digits; another file is refused.",
        ),
        built("override", Boolean, "It may take the name of a built-in. Default false."),
        built("allow", One(&ALLOW), "What the plug-in may ask of the host. Default: nothing."),
        built("limits", One(&LIMITS), "What one call may use."),
    ],
};

pub(crate) static ALLOW: Block = Block {
    name: "plugin.allow",
    closed: true,
    hint: "a plug-in may be allowed: connect, read, watch, write, remove, env, server, kdc",
    keys: &[
        allowed(Capability::Connect),
        allowed(Capability::Read),
        allowed(Capability::Watch),
        allowed(Capability::Write),
        allowed(Capability::Remove),
        allowed(Capability::Env),
        allowed(Capability::Server),
        allowed(Capability::Kdc),
    ],
};

const fn allowed(capability: Capability) -> Key {
    built(capability.name(), Strings, capability.hint())
}

pub(crate) static LIMITS: Block = Block {
    name: "plugin.limits",
    closed: true,
    hint: "",
    keys: &[built("memory", Size, MEMORY_HINT), built("timeout", Duration, TIMEOUT_HINT)],
};

const OTHER_TARGET: &str = "this agent sends no metrics; set metrics_address = \"127.0.0.1:9102\" and let Prometheus, or a collector that reads its format, fetch them there";
const OWN_NAMES: &str =
    "the metrics at metrics_address have names and labels of their own; take it out";

pub(crate) static TELEMETRY: Block = Block {
    name: "telemetry",
    closed: false,
    hint: "",
    keys: &[
        built(
            "prometheus_retention_time",
            Duration,
            "Taken without effect: what metrics_address serves is always up to date.",
        ),
        built(
            "disable_hostname",
            Boolean,
            "Taken without effect: no metric holds the host's name.",
        ),
        no_effect("enable_hostname_label", Boolean, OWN_NAMES),
        no_effect("metrics_prefix", Text, OWN_NAMES),
        no_effect("prefix_filter", Strings, OWN_NAMES),
        no_effect("filter_default", Boolean, OWN_NAMES),
        no_effect("usage_gauge_period", Duration, SERVER_PART),
        no_effect("maximum_gauge_cardinality", Integer, SERVER_PART),
        no_effect("lease_metrics_epsilon", Duration, SERVER_PART),
        no_effect("num_lease_metrics_buckets", Integer, SERVER_PART),
        no_effect("add_lease_metrics_namespace_labels", Boolean, SERVER_PART),
        no_effect("add_mount_point_rollback_metrics", Boolean, SERVER_PART),
        no_effect("statsd_address", Text, OTHER_TARGET),
        no_effect("statsite_address", Text, OTHER_TARGET),
        no_effect("dogstatsd_addr", Text, OTHER_TARGET),
        no_effect("dogstatsd_tags", Strings, OTHER_TARGET),
        no_effect("circonus_api_token", Text, OTHER_TARGET),
        no_effect("circonus_api_app", Text, OTHER_TARGET),
        no_effect("circonus_api_url", Text, OTHER_TARGET),
        no_effect("circonus_submission_interval", Text, OTHER_TARGET),
        no_effect("circonus_submission_url", Text, OTHER_TARGET),
        no_effect("circonus_check_id", Text, OTHER_TARGET),
        no_effect("circonus_check_force_metric_activation", Text, OTHER_TARGET),
        no_effect("circonus_check_instance_id", Text, OTHER_TARGET),
        no_effect("circonus_check_search_tag", Text, OTHER_TARGET),
        no_effect("circonus_check_tags", Text, OTHER_TARGET),
        no_effect("circonus_check_display_name", Text, OTHER_TARGET),
        no_effect("circonus_broker_id", Text, OTHER_TARGET),
        no_effect("circonus_broker_select_tag", Text, OTHER_TARGET),
        no_effect("stackdriver_project_id", Text, OTHER_TARGET),
        no_effect("stackdriver_location", Text, OTHER_TARGET),
        no_effect("stackdriver_namespace", Text, OTHER_TARGET),
        no_effect("stackdriver_debug_logs", Boolean, OTHER_TARGET),
    ],
};

/// All of them, for suggestions, the JSON Schema and the reference. Blocks that share their keys
/// with one before are not repeated.
pub(super) static ALL: [&Block; 23] = [
    &FILE,
    &VAULT,
    &RETRY,
    &AUTO_AUTH,
    &METHOD,
    &SINKS,
    &SINK,
    &PLUGIN,
    &ALLOW,
    &LIMITS,
    &TELEMETRY,
    &unbuilt::API_PROXY,
    &unbuilt::LISTENER,
    &unbuilt::AGENT_API,
    &unbuilt::CACHE,
    &unbuilt::PERSIST,
    &unbuilt::TEMPLATE,
    &unbuilt::TEMPLATE_EXEC,
    &unbuilt::TEMPLATE_EXEC_ENV,
    &unbuilt::WAIT,
    &unbuilt::TEMPLATE_CONFIG,
    &unbuilt::ENV_TEMPLATE,
    &unbuilt::EXEC,
];
