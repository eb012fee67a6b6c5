//! What a new configuration changes: which identities go on untouched by a reload, and what only a
//! restart can change.
//!
//! What a change of a key takes stands in the key's definition.

use std::collections::{BTreeMap, BTreeSet};

use crate::field::Field;
use crate::schema::{self, Block, Change, FILE};
use crate::settings::{Identity, Listener, Log, Method, Plugin, Server, Settings, Sink};

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
    /// Keys that say something else, which a running agent takes up.
    pub live: Vec<&'static str>,
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
    let mut diff =
        Diff { server_changed: !old.server.same_settings(&new.server), ..Diff::default() };
    for (name, identity) in &after {
        let other_plugin = || identity.plugins().any(|plugin| plugins.contains(plugin));
        let list = match before.get(name).map(|earlier| earlier.change_to(identity)) {
            None => &mut diff.added,
            Some(_) if other_plugin() => &mut diff.changed,
            Some(None) => &mut diff.unchanged,
            Some(Some(Change::Adjust)) => &mut diff.adjusted,
            Some(Some(_)) => &mut diff.changed,
        };
        list.push(name.clone());
    }
    diff.removed = before.into_keys().filter(|name| !after.contains_key(name)).collect();
    let fields = differing(Settings::FIELDS, old, new);
    for field in fields.chain(differing(Log::FIELDS, &old.log, &new.log)) {
        match FILE.change(field) {
            Change::Restart => diff.needs_restart.push(field),
            Change::Live => diff.live.push(field),
            _ => {}
        }
    }
    diff.needs_restart.sort_unstable();
    diff
}

/// The names of the fields in which two differ.
fn differing<'a, T: 'static>(
    fields: &'static [Field<T>],
    old: &'a T,
    new: &'a T,
) -> impl Iterator<Item = &'static str> + use<'a, T> {
    let differs = |field: &&Field<T>| !(field.is_same)(old, new);
    fields.iter().filter(differs).filter_map(|field| field.keys.first().copied())
}

fn changed_plugins<'a>(
    old: &'a BTreeMap<String, Plugin>,
    new: &'a BTreeMap<String, Plugin>,
) -> BTreeSet<&'a str> {
    old.keys()
        .chain(new.keys())
        .filter(|name| match (old.get(*name), new.get(*name)) {
            (Some(old), Some(new)) => differing(Plugin::FIELDS, old, new).next().is_some(),
            _ => true,
        })
        .map(String::as_str)
        .collect()
}

impl Settings {
    /// These, but for what only a restart can change: that is as it was in `old`.
    #[must_use]
    pub fn without_what_takes_a_restart(mut self, old: &Self) -> Self {
        carry(Self::FIELDS, &mut self, old);
        carry(Log::FIELDS, &mut self.log, &old.log);
        self
    }
}

fn carry<T: 'static>(fields: &[Field<T>], to: &mut T, from: &T) {
    for field in fields {
        let key = field.keys.first();
        if key.is_some_and(|key| FILE.change(key) == Change::Restart) {
            (field.carry)(to, from);
        }
    }
}

impl Identity {
    /// What it takes to become `new`. None: only places in the file differ, if anything.
    fn change_to(&self, new: &Self) -> Option<Change> {
        let own = changes(Self::FIELDS, &schema::AUTO_AUTH, self, new);
        let method = changes(Method::FIELDS, &schema::METHOD, &self.method, &new.method);
        let sinks = self.sinks.iter().zip(&new.sinks);
        let sinks = sinks.flat_map(|(sink, new)| changes(Sink::FIELDS, &schema::SINK, sink, new));
        let others = (self.sinks.len() != new.sinks.len()).then_some(Change::Identity);
        let all = own.chain(method).chain(sinks).chain(others);
        all.reduce(|one, other| if one == Change::Adjust { other } else { one })
    }

    /// Names of the plug-ins in use.
    fn plugins(&self) -> impl Iterator<Item = &str> {
        let sinks = self.sinks.iter().map(|sink| sink.kind.as_str());
        std::iter::once(self.method.kind.as_str()).chain(sinks)
    }
}

/// What the differences between two take.
fn changes<'a, T: 'static>(
    fields: &'static [Field<T>],
    block: &'static Block,
    old: &'a T,
    new: &'a T,
) -> impl Iterator<Item = Change> + use<'a, T> {
    differing(fields, old, new).map(|key| block.change(key))
}

impl Sink {
    /// Whether only the place in the file differs, if anything.
    pub fn same_settings(&self, other: &Self) -> bool {
        differing(Self::FIELDS, self, other).next().is_none()
    }
}

impl Listener {
    /// Whether only the place in the file differs, if anything.
    pub fn same_settings(&self, other: &Self) -> bool {
        differing(Self::FIELDS, self, other).next().is_none()
    }
}

impl Server {
    /// Whether the same server is reached in the same way. What the named files hold doesn't
    /// count.
    pub fn same_settings(&self, other: &Self) -> bool {
        differing(Self::FIELDS, self, other).next().is_none()
    }
}
