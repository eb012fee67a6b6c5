//! The table of what a plug-in can ask for; contract, configuration and documents follow it.

/// A kind of thing that a plug-in can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Connect to an origin.
    Connect,
    /// Read a file.
    Read,
    /// Read a file and be called when it changes.
    Watch,
    /// Write a file.
    Write,
    /// Remove a file.
    Remove,
    /// Read an environment variable.
    Env,
    /// Ask something of the secrets server.
    Server,
    /// Talk with the key distribution centre of a Kerberos realm.
    Kdc,
}

/// What stands behind a capability's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `scheme://host[:port][/path-prefix]`; the host may start with `*.`.
    Origin,
    /// A path; `*` matches anything below it.
    File,
    /// The name of an environment variable.
    Variable,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A Kerberos realm.
    Realm,
}

/// One row of the table.
struct Row {
    capability: Capability,
    name: &'static str,
    target: Target,
    hint: &'static str,
}

/// In the order of the type, which is that of the documents.
const TABLE: [Row; 8] = [
    Row {
        capability: Capability::Connect,
        name: "connect",
        target: Target::Origin,
        hint: "Origins that it may send requests to: \"https://HOST:PORT\".",
    },
    Row {
        capability: Capability::Read,
        name: "read",
        target: Target::File,
        hint: "Files that it may read; * matches anything below.",
    },
    Row {
        capability: Capability::Watch,
        name: "watch",
        target: Target::File,
        hint: "Files whose changes wake it.",
    },
    Row {
        capability: Capability::Write,
        name: "write",
        target: Target::File,
        hint: "Files that it may write.",
    },
    Row {
        capability: Capability::Remove,
        name: "remove",
        target: Target::File,
        hint: "Files that it may remove.",
    },
    Row {
        capability: Capability::Env,
        name: "env",
        target: Target::Variable,
        hint: "Environment variables that it may read.",
    },
    Row {
        capability: Capability::Server,
        name: "server",
        target: Target::Word(&["unwrap", "token", "trust"]),
        hint: "What it may do with the secrets server: \"unwrap\", \"token\", \"trust\".",
    },
    Row {
        capability: Capability::Kdc,
        name: "kdc",
        target: Target::Realm,
        hint: "Kerberos realms whose key distribution centre it may ask.",
    },
];

impl Capability {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 8] = {
        let mut all = [Self::Connect; 8];
        let mut index = 0;
        while index < all.len() {
            all[index] = TABLE[index].capability;
            index += 1;
        }
        all
    };

    /// The name used in `prepare` and in `allow`.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].name
    }

    /// The capability of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capability| capability.name() == name)
    }

    /// What its targets are.
    pub const fn target(self) -> Target {
        TABLE[self as usize].target
    }

    /// One sentence for the operator who allows it.
    pub const fn hint(self) -> &'static str {
        TABLE[self as usize].hint
    }

    /// Whether a grant of this gives `asked` as well.
    pub(crate) fn gives(self, asked: Self) -> bool {
        self == asked || (self == Self::Watch && asked == Self::Read)
    }

    pub(crate) fn is_file(self) -> bool {
        self.target() == Target::File
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_where_its_capability_looks_for_it() {
        for (index, capability) in Capability::ALL.into_iter().enumerate() {
            assert_eq!(capability as usize, index);
            assert_eq!(Capability::named(capability.name()), Some(capability));
        }
    }

    #[test]
    fn the_hint_names_each_word_that_is_taken() {
        for capability in Capability::ALL {
            if let Target::Word(words) = capability.target() {
                for word in words {
                    assert!(capability.hint().contains(&format!("{word:?}")), "{word}");
                }
            }
        }
    }
}
