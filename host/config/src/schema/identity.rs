//! The tables of `auto_auth` and `identity`: a method, its token and its sinks.

use super::Change::Adjust;
use super::Kind::{Block as One, Boolean, Choice, Duration, Settings, Text, Typed};
use super::key::built;
use super::{Block, Key};

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
            "Log in again when the credential changes, while the token is good. Default: as the \
             method says, which its page tells; yes for a plug-in that says nothing.",
        )
        .change(Adjust),
        built(
            "token_check_interval",
            Duration,
            "How often a token is looked up that was not renewed meanwhile; \"auto\" is a tenth \
             of its TTL, from 10s to 15m; 0 is never. Default \"auto\".",
        )
        .change(Adjust),
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
        "Namespace of the method, if no flag or variable names one. Default: that of \
         vault.namespace.",
    ),
    built(
        "wrap_ttl",
        Duration,
        "The server wraps the token at login, for this long; the one sink gets the wrapping \
         token, and nothing is renewed. Default: not wrapped.",
    ),
    built("min_backoff", Duration, "First wait after a failed login. Default 1s.").change(Adjust),
    built(
        "max_backoff",
        Duration,
        "Longest wait between logins, and between renewals or checks that fail; a Retry-After is \
         obeyed up to it. Default 5m.",
    )
    .change(Adjust),
    built("exit_on_err", Boolean, "The first failed login ends the agent. Default false.")
        .change(Adjust),
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
        "The sink gets a wrapping token that is good for this long; made anew when the token \
         changes. Default: not wrapped.",
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
        "Derive the key with HKDF-SHA256 instead of using the shared secret as it is. Default \
         false.",
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
        "What becomes of the sink's content when the agent ends or a reload moves the sink. \
         Default \"keep\".",
    ),
    built("config", Settings, "Settings of the sink itself."),
];

pub(crate) static SINK: Block =
    Block { name: "sink", closed: false, hint: SINK_HINT, keys: &SINK_KEYS };

pub(crate) static IDENTITY_SINK: Block =
    Block { name: "sink", closed: true, hint: SINK_HINT, keys: &SINK_KEYS };
