//! What a component's machine code is got from: the cache, or the agent's own program as a
//! compiler.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cache::Cache;
use crate::digest::Digest;
#[cfg(not(feature = "compile"))]
use crate::error::LoadError;
use crate::found::Found;
use crate::precompiled::Precompiled;

/// How to start the compiler child: the agent's own program with the arguments that make it compile
/// from standard input to standard output.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where code is kept, so that a component is compiled once.
    pub cache: Option<Cache>,
    /// Told before a component is compiled, which takes from a tenth of a second to half a minute.
    pub announce: fn(&Found),
}

impl Compiler {
    /// What the cache has of the component with this digest. It may be another engine's, which
    /// wasmtime refuses to load.
    pub(crate) fn cached(&self, digest: Digest) -> impl Iterator<Item = Precompiled> {
        let found = self.cache.as_ref().map(|cache| cache.find(digest)).unwrap_or_default();
        found.into_iter().map(Precompiled::from_cache)
    }

    /// The lean flavour can't.
    #[cfg(not(feature = "compile"))]
    #[allow(clippy::unused_async, reason = "as with a compiler")]
    pub(crate) async fn compile(
        &self,
        found: &Found,
        _: &wasmtime::Engine,
    ) -> Result<Precompiled, LoadError> {
        let cache = self.cache.as_ref().map(|cache| cache.directory().to_owned());
        Err(LoadError::NoCompiler { file: found.path.clone(), cache })
    }
}
