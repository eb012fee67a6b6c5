//! The table of the top level of a file.

use super::Change::{Identity, Live, Nothing, Restart, Server};
use super::Kind::{
    Any, Block as One, Boolean, Choice, Duration, Integer, Named, Strings, Text, Typed, WeakBoolean,
};
use super::Merge::{Add, Filled, Later, StaysOn, Whole};
use super::key::{SERVER_PART, beside, built, no_effect, not_built};
use super::{
    API_PROXY, AUTO_AUTH, Block, CACHE, IDENTITY, LISTENER, PLUGIN, TELEMETRY, VAULT, unbuilt,
};
use crate::dialect::Dialect::Agent;

pub(super) const TOP: &str = "the configuration";
const TEMPLATES: &str = "take it out; this version renders no templates: deliver the token with a sink, and keep a template tool beside it";

/// The top level of a file.
pub(crate) static FILE: Block = Block {
    name: TOP,
    closed: false,
    hint: "",
    keys: &[
        built("vault", One(&VAULT), "The secrets server and how to trust it.")
            .merge(Whole)
            .change(Server),
        built(
            "auto_auth",
            One(&AUTO_AUTH),
            "One method, its token and its sinks; the identity called \"default\".",
        )
        .merge(Whole)
        .change(Identity),
        built(
            "identity",
            Named(&IDENTITY),
            "A further method with its token and its sinks, under a name of its own; takes what \
             auto_auth takes.",
        )
        .merge(Add)
        .change(Identity),
        built("pid_file", Text, "File that gets the process id. Default: none.")
            .merge(Filled)
            .change(Restart),
        built("exit_after_auth", Boolean, "End once every sink has its token. Default false.")
            .flag("exit-after-auth", "BOOL", "End once every sink has its token.")
            .merge(StaysOn)
            .change(Restart),
        built(
            "log_level",
            Choice(&["trace", "debug", "info", "notice", "warn", "warning", "error", "err"]),
            "From this level on is logged; notice is info. Default info.",
        )
        .variables(&["LOG_LEVEL"])
        .flag("log-level", "LEVEL", "trace, debug, info, warn or error.")
        .merge(Filled)
        .change(Live),
        built(
            "log_format",
            Choice(&["standard", "json"]),
            "How a log line looks. Default standard.",
        )
        .variables(&["LOG_FORMAT"])
        .flag("log-format", "FORMAT", "standard or json.")
        .merge(Filled)
        .change(Live),
        built(
            "log_file",
            Text,
            "File that gets the log besides standard error; with a slash at its end a directory, \
             in which the file is usher.log. Default: none.",
        )
        .flag("log-file", "FILE", "Log to a file too; with a slash at its end a directory.")
        .merge(Filled)
        .change(Live),
        built(
            "log_rotate_bytes",
            Integer,
            "A log file larger than this is rotated; 0 is no limit. Default 0.",
        )
        .flag("log-rotate-bytes", "BYTES", "Rotate a log file larger than this.")
        .merge(Later)
        .change(Live),
        built(
            "log_rotate_duration",
            Duration,
            "A log file older than this is rotated. Default 24h.",
        )
        .flag(
            "log-rotate-duration",
            "DURATION",
            "Rotate a log file older than this; 24h by default.",
        )
        .merge(Later)
        .change(Live),
        built(
            "log_rotate_max_files",
            Integer,
            "How many rotated log files are kept; 0: all, negative: none. Default 0.",
        )
        .flag("log-rotate-max-files", "NUMBER", "Keep so many rotated log files; 0: all, -1: none.")
        .merge(Later)
        .change(Live),
        built(
            "disable_idle_connections",
            Strings,
            "Parts that keep no idle connections: \"auto-auth\" counts; \"caching\", \"proxying\" \
             and \"templating\" are taken. Default [].",
        )
        .variables(&["AGENT_DISABLE_IDLE_CONNECTIONS"])
        .merge(StaysOn)
        .change(Server),
        built(
            "disable_keep_alives",
            Strings,
            "Parts that open a connection for each request; names as above. Default [].",
        )
        .variables(&["AGENT_DISABLE_KEEP_ALIVES"])
        .merge(StaysOn)
        .change(Server),
        built(
            "telemetry",
            One(&TELEMETRY),
            "How the incumbents send metrics; here see metrics_address.",
        )
        .merge(Later)
        .change(Nothing),
        built(
            "metrics_address",
            Text,
            "IP address and port that serve Prometheus metrics, /livez and /readyz, such as \
             \"127.0.0.1:9102\". Default: off.",
        )
        .merge(Filled)
        .change(Live),
        built(
            "admin_socket",
            Text,
            "Socket for usher status, reload and wait; \"\" is off. Default \
             $RUNTIME_DIRECTORY/usher.sock, without that variable off.",
        )
        .merge(Later)
        .change(Live),
        built(
            "plugin_directory",
            Text,
            "Where plug-ins other than the built-in ones are. Default: none.",
        )
        .merge(Filled)
        .change(Restart),
        built("plugin", Named(&PLUGIN), "What the plug-in of this name may do.")
            .merge(Add)
            .change(Identity),
        built(
            "plugin_lock",
            Text,
            "File that lists the digests of plug-ins that may be loaded; `usher plugin lock` \
             writes it. Default: all may.",
        )
        .merge(Filled)
        .change(Restart),
        built(
            "api_proxy",
            One(&API_PROXY),
            "What becomes of the requests that listeners get, the token above all.",
        )
        .merge(Whole)
        .change(Live),
        built(
            "listener",
            Typed(&LISTENER),
            "A TCP or Unix socket whose requests go to the server; may be written several times.",
        )
        .merge(Add)
        .change(Live),
        built(
            "cache",
            One(&CACHE),
            "Keeps tokens and leased answers for proxied requests, and renews them.",
        )
        .merge(Whole)
        .change(Live),
        not_built("template", Typed(&unbuilt::TEMPLATE), TEMPLATES, "A file made of secrets.")
            .only(Agent),
        beside("template_config", One(&unbuilt::TEMPLATE_CONFIG), "What all templates share.")
            .only(Agent),
        not_built(
            "env_template",
            Named(&unbuilt::ENV_TEMPLATE),
            TEMPLATES,
            "An environment variable, made of secrets, of the process under `exec`.",
        )
        .only(Agent),
        not_built(
            "exec",
            One(&unbuilt::EXEC),
            TEMPLATES,
            "A process to run with secrets in its environment.",
        )
        .only(Agent),
        no_effect("cluster_name", Text, SERVER_PART),
        no_effect("default_max_request_duration", Duration, SERVER_PART),
        no_effect("disable_mlock", WeakBoolean, "the agent locks no memory; take it out"),
        no_effect("hsm", Any, SERVER_PART),
        no_effect("kms", Any, SERVER_PART),
        no_effect("seal", Any, SERVER_PART),
        no_effect("user_lockout", Any, SERVER_PART),
    ],
};
