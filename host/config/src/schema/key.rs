//! A block of the configuration and its keys: all that is known of them besides typed values.

use crate::dialect::Dialect;

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
    /// In any case, as with the incumbents.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name.eq_ignore_ascii_case(name))
    }
}

/// One key of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) state: State,
    pub(crate) kind: Kind,
    /// One line for the reference, with the default.
    pub(crate) description: &'static str,
    /// Environment variables that go before files, without `BAO_` or `VAULT_`; the first goes
    /// before the second.
    pub(crate) variables: &'static [&'static str],
    /// Goes before the environment.
    pub(crate) flag: Option<Flag>,
    /// The other dialect has no use for it.
    pub(crate) only: Option<Dialect>,
    pub(crate) merge: Merge,
    pub(crate) change: Change,
}

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
    /// A weak boolean, or a block, which is true.
    SwitchOrBlock(&'static Block),
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

/// What a later file makes of what an earlier one says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Merge {
    /// What it makes of the block that the key stands in.
    #[default]
    AsBlock,
    /// The later value counts, be it "".
    Later,
    /// The later value counts, unless it is "".
    Filled,
    /// What is on stays on.
    StaysOn,
    /// The later block replaces all of the earlier one, and that is warned of.
    Whole,
    /// Both count.
    Add,
}

/// What it takes that a running agent does what the key says now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// What it takes for the block that the key stands in.
    AsBlock,
    /// Nothing is done with it.
    Nothing,
    /// The agent does it at the reload.
    Live,
    /// The identity does it, and goes on.
    Adjust,
    /// Another identity takes the place of the one that it concerns.
    Identity,
    /// Other identities take the places of all: their way to the server is another one.
    Server,
    /// A restart of the agent, which the reload asks for by the key's name.
    Restart,
}

/// A flag of the command line that says what a key says.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without dashes before it.
    pub name: &'static str,
    /// Stands for the value in the help.
    pub value: &'static str,
    /// One line.
    pub help: &'static str,
    /// What its value is.
    pub form: FlagForm,
}

/// What the value of a [`Flag`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagForm {
    /// Any text.
    Text,
    /// A whole number, negative ones too.
    Number,
    /// Whether; without a value it is true.
    Switch,
}

/// Why a key has no effect.
pub(super) const OTHER_PRODUCT: &str = "OpenBao Agent has no use for it";
/// The same.
pub(super) const SERVER_PART: &str = "a key of the server's configuration; take it out";

pub(super) const fn built(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key {
        name,
        state: State::Built,
        kind,
        description,
        variables: &[],
        flag: None,
        only: None,
        merge: Merge::AsBlock,
        change: Change::AsBlock,
    }
}

pub(super) const fn not_built(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    description: &'static str,
) -> Key {
    Key { state: State::NotBuilt(help), ..built(name, kind, description) }
}

pub(super) const fn beside(name: &'static str, kind: Kind, description: &'static str) -> Key {
    Key { state: State::Beside, ..built(name, kind, description) }
}

pub(super) const fn deprecated(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    description: &'static str,
) -> Key {
    Key { state: State::Deprecated(help), ..built(name, kind, description) }
}

pub(super) const fn no_effect(name: &'static str, kind: Kind, reason: &'static str) -> Key {
    Key { state: State::NoEffect(reason), ..built(name, kind, "") }
}

impl Key {
    /// Also said by the first of these environment variables that is set.
    pub(super) const fn variables(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    /// Also said by a flag of the command line.
    pub(super) const fn flag(
        self,
        name: &'static str,
        value: &'static str,
        help: &'static str,
    ) -> Self {
        let form = match self.kind {
            Kind::Boolean | Kind::WeakBoolean => FlagForm::Switch,
            Kind::Integer => FlagForm::Number,
            _ => FlagForm::Text,
        };
        Self { flag: Some(Flag { name, value, help, form }), ..self }
    }

    /// Only for one of the two programs.
    pub(super) const fn only(self, dialect: Dialect) -> Self {
        Self { only: Some(dialect), ..self }
    }

    /// What a later file makes of it.
    pub(super) const fn merge(self, merge: Merge) -> Self {
        Self { merge, ..self }
    }

    /// What a change of it takes.
    pub(super) const fn change(self, change: Change) -> Self {
        Self { change, ..self }
    }
}
