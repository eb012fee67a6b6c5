//! A script: a plug-in in JavaScript, run by the script component that is part of the program.

use crate::kind::Kind;

/// What an instance of the script component runs.
pub(crate) struct Script {
    /// "acme.js".
    pub(crate) file: String,
    pub(crate) text: String,
    /// None until the script has said it, in `describe`.
    pub(crate) kind: Option<Kind>,
}

impl Script {
    /// A sink must not call what only methods may, and the component has it all.
    pub(crate) fn is_sink(&self) -> bool {
        self.kind == Some(Kind::Sink)
    }
}
