//! The host's random bytes, for `Math.random`. Nothing asks before a script runs: what the build
//! ships would have it for good.

use getrandom::Error;

use crate::bindings::usher::plugin::random;

/// What `getrandom` calls on a target that it has no source for.
///
/// # Safety
/// `destination` is valid for writes of `length` bytes, which `getrandom` promises.
#[cfg(getrandom_backend = "custom")]
#[allow(unsafe_code, reason = "the interface that getrandom prescribes")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    destination: *mut u8,
    length: usize,
) -> Result<(), Error> {
    let bytes = bytes(length)?;
    // SAFETY: the caller promises room for `length` bytes, and the host gave as many.
    unsafe { destination.copy_from_nonoverlapping(bytes.as_ptr(), length) };
    Ok(())
}

/// As many bytes from the host; at most 64 KiB.
pub(crate) fn bytes(length: usize) -> Result<Vec<u8>, Error> {
    let bytes = random::bytes(u32::try_from(length).map_err(|_| Error::UNEXPECTED)?);
    if bytes.len() == length { Ok(bytes) } else { Err(Error::UNEXPECTED) }
}
