//! Hashes of the pieces of a text, under a key of this process.
//!
//! A polynomial over the prime field of 2⁶¹ − 1: the hash of each piece follows from those of the
//! beginnings of the text in two steps, however long it is. The base is random, so nobody outside
//! can make two texts with one hash; two that happen to have one are as likely as one in 2⁶¹ by
//! the length of the piece, and cost a few needless `[redacted]`.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::LazyLock;

const PRIME: u64 = (1 << 61) - 1;

static BASE: LazyLock<u64> = LazyLock::new(|| {
    const BYTES: u64 = 256;
    BYTES + RandomState::new().hash_one(PRIME) % (PRIME - BYTES)
});

/// The hash of a whole text.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let base = *BASE;
    bytes.iter().fold(0, |hash, &byte| append(hash, byte, base))
}

/// The hashes of all pieces of a text.
pub(super) struct Pieces {
    /// Of each beginning, the empty one first.
    beginnings: Vec<u64>,
}

impl Pieces {
    pub(super) fn of(text: &[u8]) -> Self {
        let base = *BASE;
        let mut beginnings = Vec::with_capacity(text.len() + 1);
        let mut hash = 0;
        beginnings.push(hash);
        for &byte in text {
            hash = append(hash, byte, base);
            beginnings.push(hash);
        }
        Self { beginnings }
    }

    /// The hash of `length` bytes from `start` on; None: the text is shorter.
    pub(super) fn hash(&self, start: usize, length: Length) -> Option<u64> {
        let end = *self.beginnings.get(start + length.bytes)?;
        let before = multiply(self.beginnings[start], length.power);
        Some(if end >= before { end - before } else { end + PRIME - before })
    }
}

/// How long a piece is, with what its hash takes.
#[derive(Clone, Copy)]
pub(super) struct Length {
    pub(super) bytes: usize,
    power: u64,
}

impl Length {
    pub(super) fn new(bytes: usize) -> Self {
        let (mut power, mut square, mut rest) = (1, *BASE, bytes);
        while rest > 0 {
            if rest % 2 == 1 {
                power = multiply(power, square);
            }
            square = multiply(square, square);
            rest /= 2;
        }
        Self { bytes, power }
    }
}

/// A map by hashes, which need no hashing.
pub(super) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// The map looks at the highest bits as well, of which these hashes have three too few.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }
}

/// Zero bytes count too.
fn append(hash: u64, byte: u8, base: u64) -> u64 {
    reduce(multiply(hash, base) + u64::from(byte) + 1)
}

fn multiply(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    reduce(low(product & u128::from(PRIME)) + low(product >> 61))
}

/// What is less than twice the prime.
fn reduce(sum: u64) -> u64 {
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// Of a number that fits.
fn low(number: u128) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_has_the_same_hash_wherever_it_stands() {
        let text = "ab\0\0cab\0\0c";
        let pieces = Pieces::of(text.as_bytes());
        for bytes in 1..=5 {
            let length = Length::new(bytes);
            let expected = Some(hash(&text.as_bytes()[..bytes]));
            assert_eq!(pieces.hash(0, length), expected);
            assert_eq!(pieces.hash(5, length), expected);
        }
        assert_ne!(hash(b"\0"), hash(b"\0\0"));
        assert_eq!(pieces.hash(6, Length::new(5)), None);
    }

    #[test]
    fn products_are_those_of_the_field() {
        for (one, other, product) in
            [(PRIME - 1, PRIME - 1, 1), (1 << 60, 2, 1), (1 << 60, 4, 2), (PRIME - 1, 2, PRIME - 2)]
        {
            assert_eq!(multiply(one, other), product, "{one} {other}");
        }
    }
}
