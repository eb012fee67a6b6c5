//! Every key that the incumbents know, and ours: which block takes it, what value it takes, what it
//! does, who else may say it, and what a change of it takes.
//!
//! One table for all: reading, judging, merging, suggestions, flags, what a reload does,
//! `usher config schema` and `docs/configuration.md` come from it. The typed values are in
//! [`crate::settings`].

mod api_proxy;
mod blocks;
pub(crate) mod built_ins;
mod cache;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod document;
mod environment;
mod identity;
mod json;
mod key;
mod listener;
mod places;
mod plugin;
mod server;
mod telemetry;
mod top;
mod unbuilt;

pub(crate) use api_proxy::API_PROXY;
pub use blocks::{flags, server_flags};
pub(crate) use cache::{CACHE, PERSIST, STATIC_SECRETS};
pub(crate) use environment::ENVIRONMENT;
pub(crate) use identity::{
    AUTO_AUTH, IDENTITY, IDENTITY_METHOD, IDENTITY_SINK, IDENTITY_SINKS, METHOD, SINK, SINKS,
};
pub use json::json_schema;
pub(crate) use key::{Block, Change, Key, Kind, Merge, State};
pub use key::{Flag, FlagForm};
pub(crate) use listener::{AGENT_API, LISTENER, PROXY_API};
pub(crate) use plugin::{ALLOW, LIMITS, PLUGIN};
pub(crate) use server::{RETRY, VAULT};
pub(crate) use telemetry::TELEMETRY;
pub(crate) use top::FILE;
pub(crate) use unbuilt::{ENV_TEMPLATE, EXEC, TEMPLATE, TEMPLATE_CONFIG, WAIT};

#[cfg(test)]
mod tests {
    use usher_grant::Capability;

    use super::blocks::ALL;
    use super::*;
    use crate::field::Field;
    use crate::settings::{Identity, Log, Method, Persist, Plugin, Server, Settings, Sink};

    /// Keys of the top level that no field of [`Settings`] or [`Log`] is of: blocks, which are
    /// compared as such, and what belongs to the server.
    const COMPARED_OTHERWISE: [Change; 3] = [Change::Identity, Change::Server, Change::Nothing];

    #[test]
    fn each_key_says_how_it_merges_and_what_a_change_takes() {
        for key in FILE.keys.iter().filter(|key| key.state == State::Built) {
            assert_ne!(key.merge, Merge::AsBlock, "{}: files merge at the top level", key.name);
            assert_ne!(key.change, Change::AsBlock, "{} stands in no block", key.name);
        }
        for key in ENVIRONMENT.keys {
            assert_ne!(key.change, Change::AsBlock, "{} stands in no block", key.name);
        }
        for block in ALL.into_iter().skip(1) {
            for key in block.keys {
                assert_eq!(key.merge, Merge::AsBlock, "{} merges with {}", key.name, block.name);
            }
        }
    }

    #[test]
    fn each_flag_has_the_name_of_its_key() {
        let keys = || VAULT.keys.iter().chain(FILE.keys).chain(ENVIRONMENT.keys);
        for key in keys() {
            if let Some(flag) = key.flag {
                assert_eq!(flag.name, key.name.replace('_', "-"));
                assert!(flag.help.ends_with('.'), "{}", flag.name);
            }
        }
        assert_eq!(
            keys().filter(|key| key.flag.is_some()).count(),
            server_flags().chain(flags()).count()
        );
    }

    /// What takes a change of a key is found at the field that it makes.
    #[test]
    fn each_key_that_makes_a_setting_is_compared_at_a_reload() {
        let top = || keys_of(Settings::FIELDS).into_iter().chain(keys_of(Log::FIELDS));
        for key in FILE.keys.iter().filter(|key| key.state == State::Built) {
            let compared = top().any(|name| name == key.name);
            assert_ne!(compared, COMPARED_OTHERWISE.contains(&key.change), "{}", key.name);
        }
        let server = keys_of(Server::FIELDS);
        let of_server = FILE.keys.iter().chain(ENVIRONMENT.keys);
        let of_server = of_server.filter(|key| key.change == Change::Server && key.name != "vault");
        for key in of_server.chain(VAULT.keys).chain(RETRY.keys) {
            let block = matches!(key.kind, Kind::Block(_));
            // It goes to the identities.
            let expected = !block && key.name != "namespace";
            assert_eq!(server.contains(&key.name), expected, "{}", key.name);
        }
        for (block, fields, blocks) in [
            (&AUTO_AUTH, keys_of(Identity::FIELDS), &["method", "sink", "sinks"][..]),
            (&METHOD, keys_of(Method::FIELDS), &[]),
            (&SINK, keys_of(Sink::FIELDS), &[]),
            (&PLUGIN, keys_of(Plugin::FIELDS), &[]),
            (&PERSIST, keys_of(Persist::FIELDS), &[]),
        ] {
            for key in block.keys {
                let compared = fields.contains(&key.name);
                assert_ne!(compared, blocks.contains(&key.name), "{}.{}", block.name, key.name);
            }
            assert!(fields.iter().all(|name| block.key(name).is_some()), "{}", block.name);
        }
    }

    fn keys_of<T>(fields: &[Field<T>]) -> Vec<&'static str> {
        fields.iter().flat_map(|field| field.keys).copied().collect()
    }

    #[test]
    fn the_keys_of_one_field_take_the_same_for_a_change() {
        fn check<T>(block: &'static Block, fields: &'static [Field<T>]) {
            for field in fields {
                let takes: Vec<Change> = field.keys.iter().map(|key| block.change(key)).collect();
                assert!(takes.iter().all(|change| *change == takes[0]), "{:?}", field.keys);
            }
        }
        check(&FILE, Settings::FIELDS);
        check(&FILE, Log::FIELDS);
        check(&SINK, Sink::FIELDS);
        check(&PERSIST, Persist::FIELDS);
    }

    #[test]
    fn what_a_change_takes_is_that_of_the_nearest_block_unless_the_key_says_so() {
        for (block, key, change) in [
            (&FILE, "pid_file", Change::Restart),
            (&FILE, "log_level", Change::Live),
            (&VAULT, "ca_cert", Change::Server),
            (&RETRY, "num_retries", Change::Server),
            (&ENVIRONMENT, "rate_limit", Change::Server),
            (&AUTO_AUTH, "on_exit", Change::Identity),
            (&METHOD, "max_backoff", Change::Adjust),
            (&IDENTITY_METHOD, "mount_path", Change::Identity),
            (&SINK, "wrap_ttl", Change::Identity),
            (&LIMITS, "memory", Change::Identity),
            (&TELEMETRY, "disable_hostname", Change::Nothing),
            (&LISTENER, "tls_cert_file", Change::Live),
            (&AGENT_API, "enable_quit", Change::Live),
            (&PROXY_API, "enable_quit", Change::Live),
            (&API_PROXY, "namespace", Change::Live),
            (&FILE, "cache.cache_static_secrets", Change::Live),
            (&FILE, "cache.persist", Change::Restart),
            (&PERSIST, "path", Change::Restart),
        ] {
            assert_eq!(block.change(key), change, "{key}");
        }
    }

    #[test]
    fn each_capability_can_be_allowed_and_is_named_to_whoever_errs() {
        let keys = ALLOW.keys.iter().map(|key| key.name);
        let names = Capability::ALL.map(Capability::name);
        assert!(keys.eq(names));
        assert!(ALLOW.hint.ends_with(&format!(": {}", names.join(", "))), "{}", ALLOW.hint);
    }

    #[test]
    fn no_block_has_a_key_twice_and_each_key_is_described() {
        for block in ALL {
            for (index, key) in block.keys.iter().enumerate() {
                let twice = block.keys[..index].iter().any(|other| other.name == key.name);
                assert!(!twice, "{}", key.name);
                let described = match key.state {
                    State::Built | State::Beside | State::NotBuilt(_) | State::Deprecated(_) => {
                        key.description.ends_with('.')
                    }
                    State::NoEffect(reason) => !reason.is_empty(),
                };
                assert!(described, "{}.{}", block.name, key.name);
            }
        }
    }
}
