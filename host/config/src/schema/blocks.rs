//! All blocks, and the flags that their keys define.

use super::{
    AGENT_API, ALLOW, API_PROXY, AUTO_AUTH, Block, CACHE, ENV_TEMPLATE, ENVIRONMENT, EXEC, FILE,
    Flag, LIMITS, LISTENER, METHOD, PERSIST, PLUGIN, PROXY_API, RETRY, SINK, SINKS, STATIC_SECRETS,
    TELEMETRY, TEMPLATE, TEMPLATE_CONFIG, VAULT, WAIT, unbuilt,
};

/// All of them, for suggestions, the JSON Schema and the reference. Blocks that share their keys
/// with one before are not repeated.
pub(super) static ALL: [&Block; 25] = [
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
    &API_PROXY,
    &LISTENER,
    &AGENT_API,
    &PROXY_API,
    &CACHE,
    &STATIC_SECRETS,
    &PERSIST,
    &TEMPLATE,
    &unbuilt::TEMPLATE_EXEC,
    &unbuilt::TEMPLATE_EXEC_ENV,
    &WAIT,
    &TEMPLATE_CONFIG,
    &ENV_TEMPLATE,
    &EXEC,
];

/// The flags that say where the server is and how to trust it.
pub fn server_flags() -> impl Iterator<Item = &'static Flag> {
    flags_of(&VAULT)
}

/// The other flags that say what the configuration says, or the environment.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    flags_of(&FILE).chain(flags_of(&ENVIRONMENT))
}

fn flags_of(block: &'static Block) -> impl Iterator<Item = &'static Flag> {
    block.keys.iter().filter_map(|key| key.flag.as_ref())
}
