//! What there is to measure with: the two programs, a server with credentials, and a directory.

use std::path::{Path, PathBuf};

use crate::openbao::OpenBao;

pub(super) struct Site<'a> {
    pub(super) usher: PathBuf,
    pub(super) bao: PathBuf,
    /// The directory of everything that set-up made.
    pub(super) setup: &'a Path,
    pub(super) server: &'a OpenBao,
    /// The directory with `role-id` and `secret-id` of AppRole's role `app`.
    pub(super) credentials: &'a Path,
    /// For files; each part makes its own below.
    pub(super) home: &'a Path,
}
