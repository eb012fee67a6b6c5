//! Private keys in PEM, also with a passphrase: PKCS#8 (RFC 5958) with PBES2, PBKDF2 with SHA-256 and
//! AES in CBC mode (RFC 8018), and the older form of OpenSSL, whose header says `Proc-Type: 4,ENCRYPTED`
//! (RFC 1421).
//!
//! The pkcs8 crate would do the first, and bring 60 kB of ciphers and formats along.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockCipher, BlockDecryptMut, KeyInit, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha2::Sha256;
use usher_plugin::Failure;
use usher_plugin_lib::der::{INTEGER, Malformed, Reader, SEQUENCE};

/// The key in the file at `path`, without its passphrase.
pub(crate) fn open(text: &str, pass_phrase: Option<&str>, path: &str) -> Result<String, Failure> {
    let refused = |code: &str, what: &str| {
        let message = format!("{path} {what}; it is read again with the next attempt");
        Failure::unavailable(code, message).detail("file", path)
    };
    let Some(block) = Block::find(text) else {
        let what = if text.contains("BEGIN PUBLIC KEY") {
            "holds a public key, and the private one is needed"
        } else {
            "holds no whole private key in PEM"
        };
        return Err(refused("oci.key", what));
    };
    if !block.is_encrypted() {
        return Ok(text.to_owned());
    }
    let Some(pass_phrase) = pass_phrase.filter(|pass_phrase| !pass_phrase.is_empty()) else {
        let what = "holds a key with a passphrase, and there is none; set pass_phrase beside \
                    key_file, or the variable OCI_pass_phrase";
        return Err(refused("oci.pass-phrase", what));
    };
    match block.decrypt(pass_phrase.as_bytes()) {
        Ok((label, der)) => Ok(pem(label, &der)),
        Err(Problem::PassPhrase) => {
            Err(refused("oci.pass-phrase", "holds a key with another passphrase than pass_phrase"))
        }
        Err(Problem::Cipher) => {
            let what = "holds a key encrypted otherwise than with AES-128 or AES-256 in CBC mode, in \
                        PKCS#8 with SHA-256; write it anew with openssl pkcs8 -topk8 -v2 \
                        aes-256-cbc -v2prf hmacWithSHA256";
            Err(refused("oci.key", what))
        }
        Err(Problem::Damaged) => Err(refused("oci.key", "holds a damaged private key")),
    }
}

/// What base64 stands for, whatever white space is in it.
pub(crate) fn decode(base64: &str) -> Option<Vec<u8>> {
    let bytes = base64.bytes().filter(|byte| !byte.is_ascii_whitespace());
    STANDARD.decode(bytes.collect::<Vec<u8>>()).ok()
}

/// A block of PEM with a private key.
struct Block<'a> {
    /// "RSA PRIVATE KEY".
    label: &'a str,
    /// Headers and base64.
    content: &'a str,
}

enum Problem {
    PassPhrase,
    Cipher,
    Damaged,
}

impl<'a> Block<'a> {
    fn find(text: &'a str) -> Option<Self> {
        text.split("-----BEGIN ").skip(1).find_map(|block| {
            let (label, rest) = block.split_once("-----")?;
            let (content, _) = rest.split_once("-----END ")?;
            label.ends_with("PRIVATE KEY").then_some(Self { label, content })
        })
    }

    fn is_encrypted(&self) -> bool {
        self.label.starts_with("ENCRYPTED") || self.content.contains("ENCRYPTED")
    }

    /// The key without encryption, DER, and the label it has then.
    fn decrypt(&self, pass_phrase: &[u8]) -> Result<(&'a str, Vec<u8>), Problem> {
        if self.label.starts_with("ENCRYPTED") {
            let der = decode(self.content).ok_or(Problem::Damaged)?;
            return Ok(("PRIVATE KEY", Encrypted::read(&der)?.decrypt(pass_phrase)?));
        }
        let (cipher, initial) = self
            .content
            .lines()
            .find_map(|line| line.strip_prefix("DEK-Info:"))
            .and_then(|info| info.trim().split_once(','))
            .ok_or(Problem::Damaged)?;
        let initial = hexadecimal(initial.trim()).ok_or(Problem::Damaged)?;
        let base64 = self.content.lines().filter(|line| !line.contains(':'));
        let der = decode(&base64.collect::<String>()).ok_or(Problem::Damaged)?;
        let length = match cipher {
            "AES-128-CBC" => 16,
            "AES-256-CBC" => 32,
            _ => return Err(Problem::Cipher),
        };
        let key = derive(pass_phrase, initial.get(..8).ok_or(Problem::Damaged)?, length);
        Ok((self.label, undo(&key, &initial, &der)?))
    }
}

/// `EncryptedPrivateKeyInfo` (RFC 5958, section 3).
struct Encrypted<'a> {
    salt: &'a [u8],
    iterations: u32,
    /// Bytes of the key.
    length: usize,
    initial: &'a [u8],
    content: &'a [u8],
}

impl<'a> Encrypted<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Problem> {
        let mut whole = Reader::new(der).only_sequence()?;
        let mut scheme = whole.inside(SEQUENCE)?;
        let content = whole.octets()?;
        expect(&mut scheme, &PBES2)?;
        let mut parameters = scheme.only_sequence()?;
        let mut derivation = parameters.inside(SEQUENCE)?;
        expect(&mut derivation, &PBKDF2)?;
        let mut derivation = derivation.only_sequence()?;
        let salt = derivation.octets()?;
        let iterations = u32::try_from(derivation.integer()?).unwrap_or_default();
        if iterations == 0 || iterations > MOST_ITERATIONS {
            return Err(Problem::Damaged);
        }
        // The length of the key, which the cipher tells too.
        if derivation.tag() == Some(INTEGER) {
            derivation.integer()?;
        }
        // None is SHA-1.
        if derivation.is_empty() {
            return Err(Problem::Cipher);
        }
        expect(&mut derivation.inside(SEQUENCE)?, &HMAC_SHA256)?;
        let mut cipher = parameters.only_sequence()?;
        let length = match cipher.object_identifier()? {
            AES_128_CBC => 16,
            AES_256_CBC => 32,
            _ => return Err(Problem::Cipher),
        };
        Ok(Self { salt, iterations, length, initial: cipher.octets()?, content })
    }

    fn decrypt(&self, pass_phrase: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut key = vec![0; self.length];
        pbkdf2::pbkdf2_hmac::<Sha256>(pass_phrase, self.salt, self.iterations, &mut key);
        undo(&key, self.initial, self.content)
    }
}

/// An object identifier that must be this one.
fn expect(reader: &mut Reader<'_>, identifier: &[u8]) -> Result<(), Problem> {
    if reader.object_identifier()? == identifier { Ok(()) } else { Err(Problem::Cipher) }
}

impl From<Malformed> for Problem {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

/// Many times what programs write, and seconds of computing.
const MOST_ITERATIONS: u32 = 5_000_000;

// RFC 8018, appendix C; RFC 3565, section 4.1.
const PBES2: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 9];
const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];

/// What AES in CBC mode has made this of: a key, DER.
fn undo(key: &[u8], initial: &[u8], content: &[u8]) -> Result<Vec<u8>, Problem> {
    if initial.len() != 16 {
        return Err(Problem::Damaged);
    }
    let plain = match key.len() {
        16 => decrypted::<aes::Aes128>(key, initial, content),
        _ => decrypted::<aes::Aes256>(key, initial, content),
    };
    // Padding may look right by chance, a whole SEQUENCE hardly.
    let plain = plain.filter(|plain| Reader::new(plain).only_sequence().is_ok());
    plain.ok_or(Problem::PassPhrase)
}

fn decrypted<C: BlockCipher + BlockDecryptMut + KeyInit>(
    key: &[u8],
    initial: &[u8],
    content: &[u8],
) -> Option<Vec<u8>> {
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, initial).ok()?;
    cipher.decrypt_padded_vec_mut::<Pkcs7>(content).ok()
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one iteration.
fn derive(pass_phrase: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut last = Vec::new();
    while key.len() < length {
        let digest = Md5::new().chain_update(&last).chain_update(pass_phrase).chain_update(salt);
        last = digest.finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// RFC 7468.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, character) in base64.char_indices() {
        if at > 0 && at % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text + "\n-----END " + label + "-----\n"
}

#[cfg(test)]
mod tests;
