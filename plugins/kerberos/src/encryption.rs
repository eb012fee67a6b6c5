//! The encryption types of Kerberos that are in use: AES with SHA-1 (RFC 3961, RFC 3962) and AES
//! with SHA-2 (RFC 8009).

use aes::cipher::{Block, BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes256};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384};
use std::fmt;

/// Bytes of a block, and of a confounder.
const BLOCK: usize = 16;

/// An encryption type, by its number in the IANA registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enctype {
    Aes128Sha1 = 17,
    Aes256Sha1 = 18,
    Aes128Sha2 = 19,
    Aes256Sha2 = 20,
}

/// What a key is used for (RFC 4120 §7.5.1, RFC 6806 §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage(u32);

impl Usage {
    pub(crate) const TIMESTAMP: Self = Self(1);
    pub(crate) const AS_REPLY: Self = Self(3);
    pub(crate) const TGS_REQUEST_CHECKSUM: Self = Self(6);
    pub(crate) const TGS_REQUEST_AUTHENTICATOR: Self = Self(7);
    pub(crate) const TGS_REPLY: Self = Self(8);
    pub(crate) const AUTHENTICATOR: Self = Self(11);
    pub(crate) const AS_REQUEST_CHECKSUM: Self = Self(56);
}

impl Enctype {
    /// All of them, the one that every service knows first; the order of MIT Kerberos.
    pub(crate) const ALL: [Self; 4] =
        [Self::Aes256Sha1, Self::Aes128Sha1, Self::Aes256Sha2, Self::Aes128Sha2];

    pub(crate) fn of(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|enctype| enctype.number() == number)
    }

    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    /// The checksum that goes with it.
    pub(crate) fn checksum_type(self) -> i64 {
        match self {
            Self::Aes128Sha1 => 15,
            Self::Aes256Sha1 => 16,
            Self::Aes128Sha2 => 19,
            Self::Aes256Sha2 => 20,
        }
    }

    fn key_length(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes128Sha2 => 16,
            Self::Aes256Sha1 | Self::Aes256Sha2 => 32,
        }
    }

    /// Bytes of a checksum, and of what proves that a ciphertext is whole.
    fn mac_length(self) -> usize {
        match self {
            Self::Aes128Sha1 | Self::Aes256Sha1 => 12,
            Self::Aes128Sha2 => 16,
            Self::Aes256Sha2 => 24,
        }
    }
}

/// As people know it: "aes256-cts-hmac-sha1-96 (18)".
pub(crate) fn name(number: i64) -> String {
    let name = match number {
        1 => "des-cbc-crc",
        3 => "des-cbc-md5",
        16 => "des3-cbc-sha1",
        17 => "aes128-cts-hmac-sha1-96",
        18 => "aes256-cts-hmac-sha1-96",
        19 => "aes128-cts-hmac-sha256-128",
        20 => "aes256-cts-hmac-sha384-192",
        23 => "arcfour-hmac",
        25 => "camellia128-cts-cmac",
        26 => "camellia256-cts-cmac",
        _ => return format!("type {number}"),
    };
    format!("{name} ({number})")
}

/// A key; not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key {
    enctype: Enctype,
    bytes: Vec<u8>,
}

impl Key {
    /// None: the length is wrong for the type.
    pub(crate) fn new(enctype: Enctype, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == enctype.key_length()).then(|| Self { enctype, bytes: bytes.to_owned() })
    }

    pub(crate) fn enctype(&self) -> Enctype {
        self.enctype
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `confounder` is random, used once.
    pub(crate) fn encrypt(&self, usage: Usage, confounder: [u8; BLOCK], plain: &[u8]) -> Vec<u8> {
        let cipher = Cipher::new(&self.derive(usage, Purpose::Encryption));
        let integrity = self.derive(usage, Purpose::Integrity);
        let mut text = [&confounder, plain].concat();
        match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => {
                let mac = self.mac(&integrity, &[&text]);
                cipher.encrypt(&mut text);
                text.extend(mac);
            }
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => {
                cipher.encrypt(&mut text);
                let mac = self.mac(&integrity, &[&[0; BLOCK], &text]);
                text.extend(mac);
            }
        }
        text
    }

    /// None: it was encrypted with another key, or changed.
    pub(crate) fn decrypt(&self, usage: Usage, encrypted: &[u8]) -> Option<Vec<u8>> {
        let end = encrypted.len().checked_sub(self.enctype.mac_length())?;
        let (text, mac) = encrypted.split_at(end);
        if text.len() < BLOCK {
            return None;
        }
        let cipher = Cipher::new(&self.derive(usage, Purpose::Encryption));
        let integrity = self.derive(usage, Purpose::Integrity);
        let mut plain = text.to_owned();
        cipher.decrypt(&mut plain);
        let expected = match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => self.mac(&integrity, &[&plain]),
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => self.mac(&integrity, &[&[0; BLOCK], text]),
        };
        is_same(&expected, mac).then(|| plain.split_off(BLOCK))
    }

    /// The keyed checksum of the type.
    pub(crate) fn checksum(&self, usage: Usage, data: &[u8]) -> Vec<u8> {
        self.mac(&self.derive(usage, Purpose::Checksum), &[data])
    }

    pub(crate) fn verify(&self, usage: Usage, data: &[u8], checksum: &[u8]) -> bool {
        is_same(&self.checksum(usage, data), checksum)
    }

    fn mac(&self, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => hmac::<Hmac<Sha1>>(key, parts),
            Enctype::Aes128Sha2 => hmac::<Hmac<Sha256>>(key, parts),
            Enctype::Aes256Sha2 => hmac::<Hmac<Sha384>>(key, parts),
        };
        mac.truncate(self.enctype.mac_length());
        mac
    }

    /// A key for one purpose of one usage (RFC 3961 §5.3, RFC 8009 §5).
    fn derive(&self, usage: Usage, purpose: Purpose) -> Vec<u8> {
        let mut constant = usage.0.to_be_bytes().to_vec();
        constant.push(purpose as u8);
        match self.enctype {
            Enctype::Aes128Sha1 | Enctype::Aes256Sha1 => derive_by_aes(&self.bytes, &constant),
            Enctype::Aes128Sha2 | Enctype::Aes256Sha2 => {
                let length = match purpose {
                    Purpose::Encryption => self.enctype.key_length(),
                    Purpose::Integrity | Purpose::Checksum => self.enctype.mac_length(),
                };
                let bits = u32::from(length.to_le_bytes()[0]) * 8;
                let input = [&1_u32.to_be_bytes(), &constant[..], &[0], &bits.to_be_bytes()];
                let mut key = if self.enctype == Enctype::Aes128Sha2 {
                    hmac::<Hmac<Sha256>>(&self.bytes, &input)
                } else {
                    hmac::<Hmac<Sha384>>(&self.bytes, &input)
                };
                key.truncate(length);
                key
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Key").field("enctype", &self.enctype).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Purpose {
    Encryption = 0xaa,
    Integrity = 0x55,
    Checksum = 0x99,
}

/// `DK` of RFC 3961 §5.1, for AES.
fn derive_by_aes(base: &[u8], constant: &[u8]) -> Vec<u8> {
    let cipher = Cipher::new(base);
    let mut block = n_fold(constant, BLOCK);
    let mut key = Vec::new();
    while key.len() < base.len() {
        cipher.encrypt_block(&mut block);
        key.extend(&block);
    }
    key
}

fn hmac<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes a key of any length, so this never fails.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key) else { return Vec::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Takes the same time wherever they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    !one.is_empty()
        && one.len() == other.len()
        && one.iter().zip(other).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// AES-CBC with ciphertext stealing (CBC-CS3, RFC 3962 §5) and an initial vector of zeroes.
enum Cipher {
    Aes128(Box<Aes128>),
    Aes256(Box<Aes256>),
}

impl Cipher {
    fn new(key: &[u8]) -> Self {
        if let Ok(key) = <[u8; 32]>::try_from(key) {
            return Self::Aes256(Box::new(Aes256::new(&key.into())));
        }
        let mut short = [0; 16];
        short.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self::Aes128(Box::new(Aes128::new(&short.into())))
    }

    /// `text` has at least one block.
    fn encrypt(&self, text: &mut Vec<u8>) {
        let length = text.len();
        text.resize(length.next_multiple_of(BLOCK), 0);
        let mut previous = [0; BLOCK];
        for block in text.chunks_exact_mut(BLOCK) {
            xor(block, &previous);
            self.encrypt_block(block);
            previous.copy_from_slice(block);
        }
        swap_last_blocks(text);
        text.truncate(length);
    }

    /// `text` has at least one block.
    fn decrypt(&self, text: &mut Vec<u8>) {
        let length = text.len();
        let whole = length.next_multiple_of(BLOCK);
        if length > BLOCK {
            // The last block but one was encrypted last, and holds what fills up the last one.
            let last = length - (whole - BLOCK);
            let mut block = [0; BLOCK];
            block.copy_from_slice(&text[whole - 2 * BLOCK..whole - BLOCK]);
            self.decrypt_block(&mut block);
            text.extend(&block[last..]);
            swap_last_blocks(text);
        }
        let mut previous = [0; BLOCK];
        for block in text.chunks_exact_mut(BLOCK) {
            let mut encrypted = [0; BLOCK];
            encrypted.copy_from_slice(block);
            self.decrypt_block(block);
            xor(block, &previous);
            previous = encrypted;
        }
        text.truncate(length);
    }

    fn encrypt_block(&self, block: &mut [u8]) {
        match self {
            Self::Aes128(cipher) => cipher.encrypt_block(Block::<Aes128>::from_mut_slice(block)),
            Self::Aes256(cipher) => cipher.encrypt_block(Block::<Aes256>::from_mut_slice(block)),
        }
    }

    fn decrypt_block(&self, block: &mut [u8]) {
        match self {
            Self::Aes128(cipher) => cipher.decrypt_block(Block::<Aes128>::from_mut_slice(block)),
            Self::Aes256(cipher) => cipher.decrypt_block(Block::<Aes256>::from_mut_slice(block)),
        }
    }
}

fn xor(block: &mut [u8], other: &[u8]) {
    block.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

/// Of whole blocks, if there are two.
fn swap_last_blocks(text: &mut [u8]) {
    if let Some(start) = text.len().checked_sub(2 * BLOCK) {
        text[start..].rotate_left(BLOCK);
    }
}

/// Stretches or shrinks `input` to `length` bytes, all of which depend on all of it (RFC 3961
/// §5.1): copies, each rotated by 13 bits more, are added in ones' complement.
fn n_fold(input: &[u8], length: usize) -> Vec<u8> {
    let (mut multiple, bits) = (length, input.len() * 8);
    while multiple % input.len() != 0 {
        multiple += length;
    }
    let mut sums = vec![0_u32; length];
    for at in 0..multiple {
        let (copy, byte) = (at / input.len(), at % input.len());
        // Where this byte of the rotated copy begins in the input.
        let start = (byte * 8 + bits - 13 * copy % bits) % bits;
        let (high, low) = (input[start / 8], input[(start / 8 + 1) % input.len()]);
        let shifted = u16::from_be_bytes([high, low]) << (start % 8);
        sums[at % length] += u32::from(shifted.to_be_bytes()[0]);
    }
    let mut carry = 0;
    loop {
        for sum in sums.iter_mut().rev() {
            *sum += carry;
            carry = *sum >> 8;
            *sum &= 0xff;
        }
        if carry == 0 {
            return sums.iter().map(|sum| sum.to_le_bytes()[0]).collect();
        }
    }
}

#[cfg(test)]
mod tests;
