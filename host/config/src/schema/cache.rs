//! The tables of `cache`: what is kept of answers to proxied requests.

use super::Block;
use super::Change::Restart;
use super::Kind::{
    Any, Boolean, Choice, Duration, Integer, Size, SwitchOrBlock, Text, TokenUse, Typed,
};
use super::key::{OTHER_PRODUCT, built, deprecated, no_effect};

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
        built(
            "persist",
            Typed(&PERSIST),
            "Keeps over a restart what identities need: their tokens, and what their methods remember. \
             The cache's own answers and leases aren't kept yet.",
        )
        .change(Restart),
        no_effect("enforce_consistency", Any, OTHER_PRODUCT),
        no_effect("when_inconsistent", Any, OTHER_PRODUCT),
        built(
            "cache_static_secrets",
            SwitchOrBlock(&STATIC_SECRETS),
            "Keeps what is read of KV mounts, too, for tokens that have read it themselves. Default \
             false.",
        ),
        built(
            "static_secret_token_capability_refresh_interval",
            Duration,
            "Vault's name for proof in cache_static_secrets, which goes before it.",
        ),
        no_effect(
            "static_secret_token_capability_refresh_behavior",
            Choice(&["optimistic", "pessimistic"]),
            "no token is taken for allowed longer than the interval",
        ),
        no_effect("disable_caching_dynamic_secrets", Any, OTHER_PRODUCT),
    ],
};

pub(crate) static STATIC_SECRETS: Block = Block {
    name: "cache.cache_static_secrets",
    closed: true,
    hint: "",
    keys: &[
        built("ttl", Duration, "How old an answer may be that is given. Default 1m."),
        built(
            "max_stale",
            Duration,
            "How much older it may be while the server can't be reached. Default 0: none is given \
             then.",
        ),
        built(
            "proof",
            Duration,
            "How long a token that has read something is given it without asking the server. \
             Default 5m.",
        ),
        built("entries", Integer, "How many answers are kept. Default 10000."),
        built("bytes", Size, "How much memory they take. Default 64MiB."),
    ],
};

pub(crate) static PERSIST: Block = Block {
    name: "cache.persist",
    closed: false,
    hint: "",
    keys: &[
        built("type", Text, "\"kubernetes\", \"file\" or \"systemd\", instead of a label."),
        built(
            "path",
            Text,
            "Directory of what is kept; required, but for systemd, which has none. With file it is the \
             agent's own; with kubernetes the containers of a pod share it.",
        ),
        built(
            "key_credential",
            Text,
            "With file: the name of the systemd credential that it is sealed with. This or key_file.",
        ),
        built(
            "key_file",
            Text,
            "With file: a file of at least 32 bytes that only the agent can read, not below path.",
        ),
        built(
            "keep_after_import",
            Boolean,
            "With kubernetes: what an earlier container left stays once it is read. Default false: it is \
             removed, and nothing more is kept.",
        ),
        built(
            "exit_on_err",
            Boolean,
            "End if what an earlier run left can't be read. Default false: that is logged, and \
             identities log in anew.",
        ),
        built(
            "service_account_token_file",
            Text,
            "With kubernetes: the token that says which pod this is; another pod can't read what is \
             kept. Default /var/run/secrets/kubernetes.io/serviceaccount/token.",
        ),
    ],
};
