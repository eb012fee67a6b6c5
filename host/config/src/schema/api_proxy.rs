//! The table of `api_proxy`: what becomes of the requests that listeners get.

use super::Block;
use super::Kind::{Any, Boolean, Text, TokenUse};
use super::key::{OTHER_PRODUCT, built, no_effect};

pub(crate) static API_PROXY: Block = Block {
    name: "api_proxy",
    closed: false,
    hint: "",
    keys: &[
        built(
            "use_auto_auth_token",
            TokenUse,
            "Requests get the agent's token; \"force\": even those with one of their own. Default \
             false.",
        ),
        built("namespace", Text, "Namespace of requests that name none. Default: none is added."),
        built(
            "prepend_configured_namespace",
            Boolean,
            "The namespace above, else that of vault.namespace, goes before the one that a \
             request names. Default false.",
        ),
        no_effect("enforce_consistency", Any, OTHER_PRODUCT),
        no_effect("when_inconsistent", Any, OTHER_PRODUCT),
    ],
};
