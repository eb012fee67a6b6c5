//! Seals and opens the envelope of an encrypted sink.

use aes_gcm::aead::AeadInPlace as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hkdf::Hkdf;
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::error::{Document, Error};
use crate::json::{self, Text};
use crate::key::{PrivateKey, PublicKey};

/// Encrypts for `reader`: the incumbents' one-line JSON with a line break.
///
/// `private` is the agent's own key for the sink, `derive_key` the sink's setting, `aad` the
/// bytes of its `aad`, may be empty. Each call takes a new random nonce. Fails with
/// [`Error::SameKeys`] if `derive_key` meets one key pair on both sides.
pub fn seal(
    private: &PrivateKey,
    reader: &PublicKey,
    derive_key: bool,
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    #[derive(Serialize)]
    struct Form<'a> {
        curve25519_public_key: &'a str,
        nonce: &'a str,
        encrypted_payload: &'a str,
    }
    let key = content_key(private, reader, derive_key)?;
    let mut nonce = [0; NONCE];
    OsRng.try_fill_bytes(&mut nonce).map_err(|_| Error::NoRandom)?;
    let mut payload = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG));
    payload.extend_from_slice(plaintext);
    let tag = cipher(&key)
        .encrypt_in_place_detached(&nonce.into(), aad, &mut payload)
        .map_err(|_| Error::TooLarge)?;
    payload.extend_from_slice(&tag);
    let form = Form {
        curve25519_public_key: &json::base64(private.public().as_bytes()),
        nonce: &json::base64(&nonce),
        encrypted_payload: &json::base64(&payload),
    };
    Ok(std::mem::take(&mut *json::line(&form, 0)))
}

/// Decrypts what [`seal`] or an incumbent made for the public half of `private`, with the same
/// `derive_key` and `aad`.
pub fn open(
    private: &PrivateKey,
    envelope: &[u8],
    derive_key: bool,
    aad: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    Envelope::read(envelope)?.open(private, derive_key, aad)
}

/// Decrypts as [`open`] does, whatever `derive_key` was: the envelope doesn't say.
pub fn open_any(
    private: &PrivateKey,
    envelope: &[u8],
    aad: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let envelope = Envelope::read(envelope)?;
    match envelope.open(private, false, aad) {
        // With one key pair on both sides nothing is derived.
        Err(Error::DoesNotOpen) if private.public() != envelope.sender => {
            envelope.open(private, true, aad)
        }
        result => result,
    }
}

/// A parsed envelope.
pub(crate) struct Envelope {
    sender: PublicKey,
    nonce: [u8; NONCE],
    /// Ciphertext and tag.
    payload: Zeroizing<Vec<u8>>,
}

impl Envelope {
    pub(crate) fn read(text: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Form<'a> {
            #[serde(borrow)]
            curve25519_public_key: Option<Text<'a>>,
            #[serde(borrow)]
            nonce: Option<Text<'a>>,
            #[serde(borrow)]
            encrypted_payload: Option<Text<'a>>,
        }
        const DOCUMENT: Document = Document::Envelope;
        let missing = |member| Error::Member(DOCUMENT, member, "is missing");
        let form: Form<'_> = json::read(DOCUMENT, text)?;
        let sender = form.curve25519_public_key.ok_or(missing("curve25519_public_key"))?;
        let nonce = form.nonce.ok_or(missing("nonce"))?.bytes(DOCUMENT, "nonce")?;
        let payload = form.encrypted_payload.ok_or(missing("encrypted_payload"))?;
        let payload = payload.bytes(DOCUMENT, "encrypted_payload")?;
        Ok(Self {
            sender: PublicKey::from_text(DOCUMENT, &sender)?,
            nonce: nonce.as_slice().try_into().map_err(|_| Error::Length {
                document: DOCUMENT,
                member: "nonce",
                found: nonce.len(),
                expected: NONCE,
            })?,
            payload,
        })
    }

    fn open(
        &self,
        private: &PrivateKey,
        derive_key: bool,
        aad: &[u8],
    ) -> Result<Secret<Vec<u8>>, Error> {
        let key = content_key(private, &self.sender, derive_key)?;
        let (ciphertext, tag) = self.payload.split_last_chunk::<TAG>().ok_or(Error::DoesNotOpen)?;
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        cipher(&key)
            .decrypt_in_place_detached(&self.nonce.into(), aad, &mut plaintext, &(*tag).into())
            .map_err(|_| Error::DoesNotOpen)?;
        Ok(Secret::new(std::mem::take(&mut *plaintext)))
    }
}

/// The AES key: the shared secret as it is, or derived with both public keys, the
/// lexicographically smaller as salt and the larger as info.
fn content_key(
    private: &PrivateKey,
    other: &PublicKey,
    derive_key: bool,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    let shared = private.shared_with(other)?;
    if !derive_key {
        return Ok(shared);
    }
    let own = private.public();
    match own.as_bytes().cmp(other.as_bytes()) {
        std::cmp::Ordering::Less => Ok(derived(&*shared, own.as_bytes(), other.as_bytes())),
        std::cmp::Ordering::Equal => Err(Error::SameKeys),
        std::cmp::Ordering::Greater => Ok(derived(&*shared, other.as_bytes(), own.as_bytes())),
    }
}

/// The first 32 bytes of HKDF-SHA256 (RFC 5869).
fn derived(input: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // Only more than 255 hashes' worth of output is refused.
    let expanded = Hkdf::<Sha256>::new(Some(salt), input).expand(info, &mut *key);
    debug_assert!(expanded.is_ok());
    key
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

/// Bytes of the nonce and of the tag, as NIST SP 800-38D recommends.
const NONCE: usize = 12;
const TAG: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::generate().expect("a key")
    }

    fn member(envelope: &[u8], name: &str) -> String {
        let value: serde_json::Value = serde_json::from_slice(envelope).expect("JSON");
        value[name].as_str().expect("text").to_owned()
    }

    #[test]
    fn a_key_is_derived_as_in_rfc_5869_appendix_a_1() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let expected = [
            0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a, 0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36,
            0x2f, 0x2a, 0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c, 0x5d, 0xb0, 0x2d, 0x56,
            0xec, 0xc4, 0xc5, 0xbf,
        ];
        assert_eq!(*derived(&[0x0b; 22], &salt, &info), expected);
    }

    #[test]
    fn an_envelope_is_one_line_with_the_incumbents_members_in_their_order() {
        let (agent, reader) = (key(), key());
        let line = seal(&agent, &reader.public(), false, b"", b"s.token").expect("sealed");
        let expected = format!(
            "{{\"curve25519_public_key\":\"{}\",\"nonce\":\"{}\",\"encrypted_payload\":\"{}\"}}\n",
            &*json::base64(agent.public().as_bytes()),
            member(&line, "nonce"),
            member(&line, "encrypted_payload"),
        );
        assert_eq!(String::from_utf8(line).expect("text"), expected);
    }

    #[test]
    fn no_two_envelopes_are_the_same() {
        let (agent, reader) = (key(), key());
        let seal = || seal(&agent, &reader.public(), true, b"", b"s.token").expect("sealed");
        assert_ne!(member(&seal(), "nonce"), member(&seal(), "nonce"));
        assert_ne!(member(&seal(), "encrypted_payload"), member(&seal(), "encrypted_payload"));
    }

    #[test]
    fn only_the_readers_key_opens_it_with_the_same_derivation_and_additional_data() {
        let (agent, reader) = (key(), key());
        for derive in [false, true] {
            let line = seal(&agent, &reader.public(), derive, b"app", b"s.token").expect("sealed");
            let refused = |opened: Result<Secret<Vec<u8>>, Error>| {
                assert_eq!(opened.err(), Some(Error::DoesNotOpen));
            };
            refused(open(&key(), &line, derive, b"app"));
            refused(open(&reader, &line, !derive, b"app"));
            refused(open(&reader, &line, derive, b"app\n"));
            refused(open(&reader, &line, derive, b""));
            refused(open_any(&reader, &line, b""));
            let opened = open(&reader, &line, derive, b"app").expect("opened");
            assert_eq!(opened.expose(), b"s.token");
        }
    }

    #[test]
    fn one_key_pair_on_both_sides_is_refused_when_a_key_is_to_be_derived() {
        let both = key();
        let sealed = seal(&both, &both.public(), true, b"", b"s.token");
        assert_eq!(sealed.err(), Some(Error::SameKeys));
        let line = seal(&both, &both.public(), false, b"", b"s.token").expect("sealed");
        assert_eq!(open(&both, &line, true, b"").err(), Some(Error::SameKeys));
        assert_eq!(open_any(&both, &line, b"").expect("opened").expose(), b"s.token");
        assert_eq!(open_any(&both, &line, b"x").err(), Some(Error::DoesNotOpen));
    }

    #[test]
    fn what_is_no_envelope_is_named_and_not_quoted() {
        let public = &*json::base64(&[9; 32]);
        let table = [
            (String::new(), "is empty"),
            ("s.token".into(), "it is not a JSON object"),
            ("{\"nonce\":\"s.token\"}".into(), "\"curve25519_public_key\" is missing"),
            (format!("{{\"curve25519_public_key\":\"{public}\"}}"), "\"nonce\" is missing"),
            (
                format!("{{\"curve25519_public_key\":\"{public}\",\"nonce\":\"AAAA\"}}"),
                "\"encrypted_payload\" is missing",
            ),
            (
                format!(
                    "{{\"curve25519_public_key\":\"{public}\",\"nonce\":\"AAAA\",\"encrypted_payload\":\"AAAA\"}}"
                ),
                "\"nonce\" holds 3 bytes instead of 12",
            ),
            (
                format!(
                    "{{\"curve25519_public_key\":\"{public}\",\"nonce\":\"AAAAAAAAAAAAAAAA\",\"encrypted_payload\":\"AAAA\"}}"
                ),
                "doesn't open",
            ),
        ];
        for (text, expected) in table {
            let problem = open_any(&key(), text.as_bytes(), b"").err().expect("refused");
            let problem = problem.to_string();
            assert!(problem.contains(expected), "{text}: {problem}");
            assert!(!problem.contains("s.token"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_again(
            plaintext in prop::collection::vec(any::<u8>(), 0..300),
            aad in prop::collection::vec(any::<u8>(), 0..40),
            derive: bool,
        ) {
            let (agent, reader) = (key(), key());
            let line = seal(&agent, &reader.public(), derive, &aad, &plaintext).expect("sealed");
            let opened = open(&reader, &line, derive, &aad).expect("opened");
            prop_assert_eq!(opened.expose(), &plaintext);
            let opened = open_any(&reader, &line, &aad).expect("opened");
            prop_assert_eq!(opened.expose(), &plaintext);
        }

        /// The text's own last base64 character and the key's masked bit included.
        #[test]
        fn a_change_of_any_byte_is_noticed(at in 0_usize..10_000, to: u8, derive: bool) {
            let (agent, reader) = (key(), key());
            let line = seal(&agent, &reader.public(), derive, b"app", b"s.token").expect("sealed");
            // What follows the object is no part of it.
            let at = at % (line.len() - 1);
            prop_assume!(line[at] != to);
            let mut changed = line;
            changed[at] = to;
            // Without derivation the masked bit of the sender's key has no part in the secret.
            let masked = !derive && Envelope::read(&changed).is_ok_and(|changed| {
                changed.sender.as_bytes()[..31] == agent.public().as_bytes()[..31]
            });
            prop_assume!(!masked);
            prop_assert!(open(&reader, &changed, derive, b"app").is_err());
            prop_assert!(open_any(&reader, &changed, b"app").is_err());
        }

        #[test]
        fn any_bytes_at_all_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = open_any(&key(), &text, b"");
            let _ = PublicKey::from_json(&text);
            let _ = PrivateKey::from_json(&text);
        }
    }
}
