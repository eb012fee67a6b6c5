//! How names in a file system are followed, which whoever asks for a decision has to say.

use std::path::{Path, PathBuf};

/// Where paths lead.
#[derive(Clone, Copy)]
pub struct Links<'a> {
    /// Where a granted path without `*` leads, by the same rules by which the path in question was
    /// found; None: nowhere.
    pub file: &'a dyn Fn(&Path) -> Option<PathBuf>,
    /// Where an existing directory really is: the one before the `*` of a granted path.
    pub directory: &'a dyn Fn(&Path) -> Option<PathBuf>,
}

impl Links<'_> {
    /// Where there are no links: every path leads where it says.
    pub const NONE: Links<'static> =
        Links { file: &|path| Some(path.to_owned()), directory: &|path| Some(path.to_owned()) };
}
