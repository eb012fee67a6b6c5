//! What requests, tokens and accessors are known by here: digests under a key of the process.
//!
//! So no index holds a token, and nobody outside of the process can say which request or token a
//! digest stands for. None of them has a `Debug`: not even a secret's digest is written anywhere.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use usher_secret::Secret;

/// Makes the digests.
pub(crate) struct Keyring(Secret<[u8; 64]>);

/// All that matters of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key([u8; 16]);

impl Key {
    /// No other stands before it.
    pub(super) const LEAST: Self = Self([0; 16]);
    /// No other stands behind it.
    pub(super) const GREATEST: Self = Self([u8::MAX; 16]);

    /// From 0 to 1, evenly spread over all keys.
    pub(super) fn share(&self) -> f64 {
        f64::from(self.0[0]) / f64::from(u8::MAX)
    }
}

/// A token, without being it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenId([u8; 16]);

/// A token's accessor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AccessorId([u8; 16]);

impl Keyring {
    /// `random` must come from the system, and differ from process to process.
    pub(crate) fn new(random: Secret<[u8; 64]>) -> Self {
        Self(random)
    }

    /// Digests the parts of a request, in this order and each in its bounds.
    pub(crate) fn request<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        Key(self.digest(b"request", parts))
    }

    /// The same of a request whose answer isn't one token's alone.
    pub(crate) fn shared<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
        Key(self.digest(b"shared", parts))
    }

    pub(crate) fn token(&self, token: &[u8]) -> TokenId {
        TokenId(self.digest(b"token", [token]))
    }

    pub(crate) fn accessor(&self, accessor: &[u8]) -> AccessorId {
        AccessorId(self.digest(b"accessor", [accessor]))
    }

    /// HMAC-SHA-256, of which the first half is more than anybody can find two alike of who can't
    /// compute it (RFC 2104, §5).
    fn digest<'a>(&self, kind: &'a [u8], parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new(self.0.expose().into());
        for part in [kind].into_iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        std::array::from_fn(|at| digest[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_differ_by_key_kind_and_bounds() {
        let [one, other] = [1, 2].map(|byte| Keyring::new(Secret::new([byte; 64])));
        let key = |keyring: &Keyring, parts: &[&[u8]]| keyring.request(parts.iter().copied());
        assert!(key(&one, &[b"a", b"b"]) == key(&one, &[b"a", b"b"]));
        for parts in [&[&b"ab"[..]][..], &[b"ab", b""], &[b"", b"ab"], &[b"b", b"a"]] {
            assert!(key(&one, &[b"a", b"b"]) != key(&one, parts));
        }
        assert!(key(&one, &[b"a"]) != key(&other, &[b"a"]));
        assert!(one.token(b"a") == one.token(b"a") && one.token(b"a") != other.token(b"a"));
        assert!(one.token(b"a").0 != one.accessor(b"a").0);
    }
}
