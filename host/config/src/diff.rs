//! What a new configuration changes: which identities go on untouched by a reload, and what only a
//! restart can change.

use std::collections::{BTreeMap, BTreeSet};

use crate::settings::{ClientPem, Identity, Method, Plugin, Server, Settings, Sink};

/// What differs between two configurations. Identities are matched by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Identities that are only in the new one.
    pub added: Vec<String>,
    /// Identities that are only in the old one.
    pub removed: Vec<String>,
    /// Identities with another setting, or whose method or sinks have another `plugin` block.
    pub changed: Vec<String>,
    /// Identities that only wait otherwise, take another failure for the end, or look at their token
    /// or their credential at other times: that is changed while they run.
    pub adjusted: Vec<String>,
    /// Identities that nothing concerns.
    pub unchanged: Vec<String>,
    /// Another address, other files or another way to the server.
    pub server_changed: bool,
    /// Another level.
    pub log_level_changed: bool,
    /// Keys that say something else and that a running agent can't change.
    pub needs_restart: Vec<&'static str>,
}

impl Diff {
    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self { unchanged: self.unchanged.clone(), ..Self::default() }
    }
}

/// What `new` changes.
pub fn diff(old: &Settings, new: &Settings) -> Diff {
    let named = |settings: &Settings| -> BTreeMap<String, Identity> {
        let identities = settings.identities.iter();
        identities.map(|identity| (identity.name.clone(), identity.clone())).collect()
    };
    let (before, after) = (named(old), named(new));
    let plugins = changed_plugins(&old.plugins, &new.plugins);
    let mut diff = Diff {
        server_changed: !old.server.same_settings(&new.server),
        log_level_changed: old.log.level != new.log.level,
        ..Diff::default()
    };
    for (name, identity) in &after {
        let list = match before.get(name) {
            None => &mut diff.added,
            Some(earlier)
                if earlier.same_settings(identity)
                    && !identity.plugins().any(|plugin| plugins.contains(plugin)) =>
            {
                &mut diff.unchanged
            }
            Some(earlier)
                if earlier.same_but_for_timing(identity)
                    && !identity.plugins().any(|plugin| plugins.contains(plugin)) =>
            {
                &mut diff.adjusted
            }
            Some(_) => &mut diff.changed,
        };
        list.push(name.clone());
    }
    diff.removed = before.into_keys().filter(|name| !after.contains_key(name)).collect();
    let differing = FIXED.iter().filter(|fixed| (fixed.differs)(old, new));
    diff.needs_restart = differing.map(|fixed| fixed.key).collect();
    diff
}

/// A setting that a running agent can't change.
struct Fixed {
    key: &'static str,
    differs: fn(&Settings, &Settings) -> bool,
    /// Puts the old value into the new settings.
    keep: fn(&Settings, &mut Settings),
}

/// All of them, by their keys.
const FIXED: [Fixed; 4] = [
    Fixed {
        key: "exit_after_auth",
        differs: |old, new| old.exit_after_auth != new.exit_after_auth,
        keep: |old, new| new.exit_after_auth = old.exit_after_auth,
    },
    Fixed {
        key: "pid_file",
        differs: |old, new| old.pid_file != new.pid_file,
        keep: |old, new| new.pid_file.clone_from(&old.pid_file),
    },
    Fixed {
        key: "plugin_directory",
        differs: |old, new| old.plugin_directory != new.plugin_directory,
        keep: |old, new| new.plugin_directory.clone_from(&old.plugin_directory),
    },
    Fixed {
        key: "plugin_lock",
        differs: |old, new| old.plugin_lock != new.plugin_lock,
        keep: |old, new| new.plugin_lock.clone_from(&old.plugin_lock),
    },
];

impl Settings {
    /// These, but for what only a restart can change: that is as it was in `old`.
    #[must_use]
    pub fn without_what_takes_a_restart(mut self, old: &Self) -> Self {
        for fixed in &FIXED {
            (fixed.keep)(old, &mut self);
        }
        self
    }
}

fn changed_plugins<'a>(
    old: &'a BTreeMap<String, Plugin>,
    new: &'a BTreeMap<String, Plugin>,
) -> BTreeSet<&'a str> {
    old.keys()
        .chain(new.keys())
        .filter(|name| match (old.get(*name), new.get(*name)) {
            (Some(old), Some(new)) => !old.same_settings(new),
            _ => true,
        })
        .map(String::as_str)
        .collect()
}

impl Identity {
    /// Whether only the place in the file differs, if anything.
    pub fn same_settings(&self, other: &Self) -> bool {
        let Self {
            name,
            method,
            sinks,
            token_check_interval,
            on_exit,
            enable_reauth_on_new_credentials,
            location: _,
        } = self;
        *name == other.name
            && method.same_settings(&other.method)
            && sinks.len() == other.sinks.len()
            && sinks.iter().zip(&other.sinks).all(|(sink, other)| sink.same_settings(other))
            && *token_check_interval == other.token_check_interval
            && *on_exit == other.on_exit
            && *enable_reauth_on_new_credentials == other.enable_reauth_on_new_credentials
    }

    /// Whether `other` differs in what can be changed while an identity runs, if in anything.
    fn same_but_for_timing(&self, other: &Self) -> bool {
        let method = Method {
            min_backoff: other.method.min_backoff,
            max_backoff: other.method.max_backoff,
            exit_on_err: other.method.exit_on_err,
            ..self.method.clone()
        };
        let adjusted = Self {
            method,
            token_check_interval: other.token_check_interval,
            enable_reauth_on_new_credentials: other.enable_reauth_on_new_credentials,
            ..self.clone()
        };
        adjusted.same_settings(other)
    }

    /// Names of the plug-ins in use.
    fn plugins(&self) -> impl Iterator<Item = &str> {
        let sinks = self.sinks.iter().map(|sink| sink.kind.as_str());
        std::iter::once(self.method.kind.as_str()).chain(sinks)
    }
}

impl Method {
    /// Whether only the place in the file differs, if anything.
    pub fn same_settings(&self, other: &Self) -> bool {
        let Self {
            kind,
            mount_path,
            namespace,
            names_namespace: _,
            min_backoff,
            max_backoff,
            exit_on_err,
            wrap_ttl,
            config,
            location: _,
        } = self;
        *kind == other.kind
            && *mount_path == other.mount_path
            && *namespace == other.namespace
            && *min_backoff == other.min_backoff
            && *max_backoff == other.max_backoff
            && *exit_on_err == other.exit_on_err
            && *wrap_ttl == other.wrap_ttl
            && config.same_settings(&other.config)
    }
}

impl Sink {
    /// Whether only the place in the file differs, if anything.
    pub fn same_settings(&self, other: &Self) -> bool {
        let Self { kind, wrap_ttl, encryption, on_exit, config, location: _ } = self;
        *kind == other.kind
            && *wrap_ttl == other.wrap_ttl
            && *encryption == other.encryption
            && *on_exit == other.on_exit
            && config.same_settings(&other.config)
    }
}

impl Plugin {
    /// Whether only the place in the file differs, if anything.
    pub fn same_settings(&self, other: &Self) -> bool {
        let Self { sha256, overrides, allow, limits, location: _ } = self;
        *sha256 == other.sha256
            && *overrides == other.overrides
            && *allow == other.allow
            && *limits == other.limits
    }
}

impl Server {
    /// Whether the same server is reached in the same way. What the named files hold doesn't
    /// count.
    pub fn same_settings(&self, other: &Self) -> bool {
        let Self {
            address,
            ca_cert,
            ca_cert_bytes,
            ca_path,
            client_cert,
            client_key,
            client_pem,
            tls_server_name,
            tls_skip_verify,
            client_timeout,
            disable_idle_connections,
            disable_keep_alives,
            num_retries,
            proxy,
            rate_limit,
            srv_lookup,
            disable_redirects,
        } = self;
        let same_pem = match (client_pem, &other.client_pem) {
            (None, None) => true,
            (Some(ClientPem { certificate, key }), Some(other)) => {
                *certificate == other.certificate && *key == other.key
            }
            _ => false,
        };
        *address == other.address
            && *ca_cert == other.ca_cert
            && *ca_cert_bytes == other.ca_cert_bytes
            && *ca_path == other.ca_path
            && *client_cert == other.client_cert
            && *client_key == other.client_key
            && same_pem
            && *tls_server_name == other.tls_server_name
            && *tls_skip_verify == other.tls_skip_verify
            && *client_timeout == other.client_timeout
            && *disable_idle_connections == other.disable_idle_connections
            && *disable_keep_alives == other.disable_keep_alives
            && *num_retries == other.num_retries
            && *proxy == other.proxy
            && *rate_limit == other.rate_limit
            && *srv_lookup == other.srv_lookup
            && *disable_redirects == other.disable_redirects
    }
}
