//! Why a configuration gets no grant, in words that end in the block to paste.

use std::fmt;

use crate::{Capability, Need};

/// Why a configuration gets no grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The plug-in asked for a capability that this host doesn't have.
    UnknownCapability(String),
    /// A need that can't be understood, or is never granted, and why.
    Never(Need, String),
    /// Needs that the `plugin` block doesn't allow.
    NotAllowed {
        /// The plug-in's name, as in `plugin "NAME"`.
        plugin: String,
        /// All needs of the configuration.
        needs: Vec<Need>,
        /// Those that aren't allowed.
        missing: Vec<Need>,
    },
}

/// A call of the host that isn't granted. The needs of a configuration are allowed before anything
/// runs, so the plug-in did more than it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<'a> {
    /// The plug-in's name, as in `plugin "NAME"`.
    pub plugin: &'a str,
    /// What it wanted to do.
    pub what: &'a str,
    /// What it should have asked for.
    pub need: Need,
}

impl Missing<'_> {
    /// The code of the failure that such a call answers with.
    pub const CODE: &'static str = "grant.missing";
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCapability(name) => write!(
                formatter,
                "it needs the capability {name:?}, which this version of Usher doesn't have; update Usher or use an older version of the plug-in"
            ),
            Self::Never(need, why) => {
                write!(formatter, "it needs {need}, which can't be granted: {why}")
            }
            Self::NotAllowed { plugin, needs, missing } => {
                let list: Vec<String> = missing.iter().map(ToString::to_string).collect();
                write!(
                    formatter,
                    "its configuration needs {}, which isn't allowed; if you trust the plug-in, write\n{}",
                    list.join(", "),
                    block(plugin, needs)
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, what, need } = self;
        write!(
            formatter,
            "{what} isn't granted; if the plug-in should have it, its `prepare` must ask for {need}, and the configuration allow it: {}",
            block(plugin, std::slice::from_ref(need))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        )
    }
}

impl std::error::Error for Missing<'_> {}

/// The `plugin` block that allows `needs`, ready to paste.
fn block(plugin: &str, needs: &[Need]) -> String {
    let mut lines = vec![format!("plugin {plugin:?} {{"), "  allow {".to_owned()];
    for capability in Capability::ALL {
        let targets: Vec<String> = needs
            .iter()
            .filter(|need| need.capability == capability)
            .map(|need| format!("{:?}", need.target))
            .collect();
        if !targets.is_empty() {
            lines.push(format!("    {} = [{}]", capability.name(), targets.join(", ")));
        }
    }
    lines.extend(["  }".to_owned(), "}".to_owned()]);
    lines.join("\n")
}
