//! Cryptographically strong randomness from the host.

use crate::backend;

/// At most 65,536 bytes a call; more ends the call.
pub fn bytes(length: u32) -> Vec<u8> {
    backend::random(length)
}
