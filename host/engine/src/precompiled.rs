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
    /// Deflated (RFC 1951).
    #[cfg(not(feature = "compile"))]
    Packed(&'static [u8]),
    /// A file that nobody else can change: an anonymous one, or one of the agent's cache.
    Own(File),
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

    /// The same, deflated (RFC 1951): less than half as large, and a few hundredths of a second
    /// later at hand.
    ///
    /// # Safety
    /// `bytes` must be the unchanged output of this crate's `compile`, deflated.
    #[cfg(not(feature = "compile"))]
    #[allow(unsafe_code, reason = "the caller promises where the bytes come from")]
    pub const unsafe fn packed(bytes: &'static [u8]) -> Self {
        Self(Source::Packed(bytes))
    }

    /// Code that our compiler child wrote into an anonymous file that only it and we hold.
    pub(crate) fn from_child(file: File) -> Self {
        Self(Source::Own(file))
    }

    /// Code that our compiler child wrote into the agent's cache, where only the agent's user can
    /// write.
    pub(crate) fn from_cache(file: File) -> Self {
        Self(Source::Own(file))
    }

    #[allow(unsafe_code, reason = "see Precompiled: these bytes come from our own compiler")]
    pub(crate) fn load(&self, engine: &wasmtime::Engine) -> wasmtime::Result<Component> {
        match &self.0 {
            // SAFETY: `embedded` demands the unchanged output of our compiler.
            Source::Bytes(bytes) => unsafe { Component::deserialize(engine, bytes) },
            #[cfg(not(feature = "compile"))]
            Source::Packed(bytes) => {
                let code = miniz_oxide::inflate::decompress_to_vec(bytes)
                    .map_err(|error| wasmtime::Error::msg(error.to_string()))?;
                // SAFETY: `packed` demands the output of our compiler, and deflating lost nothing.
                unsafe { Component::deserialize(engine, code) }
            }
            // SAFETY: the file was written by our own child, which has ended. It is anonymous, or
            // only the agent's user could change it, who replaces such files and never writes into
            // them: so it doesn't change while it is mapped.
            Source::Own(file) => unsafe {
                Component::deserialize_file(engine, format!("/proc/self/fd/{}", file.as_raw_fd()))
            },
        }
    }
}
