//! Machine code of a component that is safe to load.
//!
//! Loading precompiled code is the only `unsafe` here: its bytes run outside of any sandbox. A
//! [`Precompiled`] exists only for bytes that came from our own compiler.

use std::fs::File;
use std::os::fd::AsRawFd;

use wasmtime::component::Component;

/// What our own compiler made, as part of this program or just now in its child.
pub struct Precompiled(Source);

enum Source {
    Bytes(&'static [u8]),
    /// An anonymous file that nobody else can open or change.
    Anonymous(File),
}

impl Precompiled {
    /// Code that was compiled by [`compile`](crate::compile()) when the program was built, and is
    /// part of it.
    ///
    /// # Safety
    /// `bytes` must be the unchanged output of this crate's `compile`.
    #[allow(unsafe_code, reason = "the caller promises where the bytes come from")]
    pub const unsafe fn embedded(bytes: &'static [u8]) -> Self {
        Self(Source::Bytes(bytes))
    }

    /// Code that our compiler child wrote into an anonymous file that only it and we hold.
    pub(crate) fn from_child(file: File) -> Self {
        Self(Source::Anonymous(file))
    }

    #[allow(unsafe_code, reason = "see Precompiled: these bytes come from our own compiler")]
    pub(crate) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        match &self.0 {
            // SAFETY: `embedded` demands the unchanged output of our compiler.
            Source::Bytes(bytes) => unsafe { Component::deserialize(engine, bytes) },
            // SAFETY: the file was written by our own child; it is anonymous and the child has
            // ended, so nothing else can change it while it is mapped.
            Source::Anonymous(file) => unsafe {
                Component::deserialize_file(engine, format!("/proc/self/fd/{}", file.as_raw_fd()))
            },
        }
    }
}
