//! Every key that the incumbents know, and ours: which block takes it, what value it takes, what it
//! does, and whether it works yet.
//!
//! One table for all: reading, judging, suggestions, `usher config schema` and
//! `docs/configuration.md` come from it.

mod blocks;
pub(crate) mod built_ins;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod document;
mod json;
mod places;
mod unbuilt;

pub(crate) use blocks::{
    ALLOW, AUTO_AUTH, FILE, IDENTITY, IDENTITY_METHOD, IDENTITY_SINK, IDENTITY_SINKS, LIMITS,
    METHOD, PLUGIN, RETRY, SINK, SINKS, TELEMETRY, VAULT,
};
pub use json::json_schema;
pub(crate) use unbuilt::{
    API_PROXY, CACHE, ENV_TEMPLATE, EXEC, LISTENER, PERSIST, TEMPLATE, TEMPLATE_CONFIG, WAIT,
};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Built,
    /// Judged, then refused by name: leaving it out silently would change what the agent does.
    /// Holds the help.
    NotBuilt(&'static str),
    /// Judged, and says something only of blocks that aren't built, which are refused.
    Beside,
    /// It works under another name too. Holds the help.
    Deprecated(&'static str),
    /// The incumbents' parser takes it and their agent has no use for it. Holds the reason.
    NoEffect(&'static str),
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A string; a whole number counts as its text.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// `true` or `false` and nothing else.
    Boolean,
    /// Also numbers and strings, as Go's `ParseBool`.
    WeakBoolean,
    /// Seconds, or a string with units.
    Duration,
    /// A whole number, also in a string.
    Integer,
    /// Bytes, or a string with a unit.
    Size,
    /// A list of strings.
    Strings,
    /// At most one block.
    Block(&'static Block),
    /// Blocks whose label is their type.
    Typed(&'static Block),
    /// Blocks whose label is their name.
    Named(&'static Block),
    /// The settings of a plug-in, which has its own schema.
    Settings,
    /// Whether requests get the agent's token: a weak boolean or "force".
    TokenUse,
    /// A string and nothing else.
    StrictText,
    /// A whole number without quotes.
    StrictInteger,
    /// A string with units; the incumbents take a number for nanoseconds.
    GoDuration,
    /// A string or a list of strings.
    Command,
    /// The name of a signal.
    Signal,
    /// File permissions: an octal string or a number.
    Permissions,
    /// "MIN:MAX", or a block of both.
    Wait,
    /// Whatever.
    Any,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) kind: Kind,
    /// One line for the reference, with the default.
    pub(crate) description: &'static str,
}

/// A kind of block.
#[derive(Debug)]
pub(crate) struct Block {
    /// For messages.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
    /// The incumbents ignore unknown keys, so in their blocks one is a warning; in ours it is an
    /// error.
    pub(crate) closed: bool,
    /// Added to the message about an unknown key that resembles none.
    pub(crate) hint: &'static str,
}

impl Block {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name.eq_ignore_ascii_case(name))
    }
}

const fn built(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key { name, state: State::Built, kind, description }
}

const fn not_built(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    description: &'static str,
) -> Key {
    Key { name, state: State::NotBuilt(help), kind, description }
}

const fn beside(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key { name, state: State::Beside, kind, description }
}

const fn deprecated(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    description: &'static str,
) -> Key {
    Key { name, state: State::Deprecated(help), kind, description }
}

const fn no_effect(name: &'static str, kind: Kind, reason: &'static str) -> Key {
    Key { name, state: State::NoEffect(reason), kind, description: "" }
}

#[cfg(test)]
mod tests {
    use usher_grant::Capability;

    use super::*;

    #[test]
    fn each_capability_can_be_allowed_and_is_named_to_whoever_errs() {
        let keys = ALLOW.keys.iter().map(|key| key.name);
        let names = Capability::ALL.map(Capability::name);
        assert!(keys.eq(names));
        assert!(ALLOW.hint.ends_with(&format!(": {}", names.join(", "))), "{}", ALLOW.hint);
    }

    #[test]
    fn no_block_has_a_key_twice_and_each_key_is_described() {
        for block in blocks::ALL {
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
