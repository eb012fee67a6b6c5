//! The tables of `cache`: what is kept of answers to proxied requests.

use super::Block;
use super::Kind::{
    Any, Boolean, Choice, Duration, Integer, Size, SwitchOrBlock, Text, TokenUse, Typed,
};
use super::key::{OTHER_PRODUCT, beside, built, deprecated, no_effect, not_built};

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
        not_built(
            "persist",
            Typed(&PERSIST),
            "take it out; after a restart this version's cache is empty",
            "Keep the cache over restarts; only kubernetes.",
        ),
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
        beside("type", Text, "\"kubernetes\", instead of a label."),
        beside("path", Text, "Directory of the cache file."),
        beside("keep_after_import", Boolean, "Keep the file once it is read. Default false."),
        beside("exit_on_err", Boolean, "End if the file can't be read. Default false."),
        beside(
            "service_account_token_file",
            Text,
            "File whose content is authenticated with the cache. Default: that of the service account.",
        ),
    ],
};
