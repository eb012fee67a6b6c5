//! The two halves of an X25519 key pair and their form in a file.

use std::fmt;

use rand::TryRngCore as _;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use usher_secret::Secret;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::error::{Document, Error};
use crate::json::{self, Text};

/// A public key, as its 32 bytes came: RFC 7748's masked bit included, since both sides derive
/// keys from these bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// A private key. No `Debug`; wiped on drop.
pub struct PrivateKey {
    secret: StaticSecret,
    public: PublicKey,
}

impl PublicKey {
    /// Reads `{"curve25519_public_key": "<base64>"}`, the incumbents' form. Other members are
    /// ignored.
    ///
    /// Every error names the expected form; a key that would protect nothing is refused.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Form<'a> {
            #[serde(borrow)]
            curve25519_public_key: Option<Text<'a>>,
            #[serde(borrow)]
            curve25519_private_key: Option<Text<'a>>,
        }
        let form: Form<'_> = json::read(Document::PublicKey, text)?;
        match (form.curve25519_public_key, form.curve25519_private_key) {
            (Some(key), _) => Self::from_text(Document::PublicKey, &key),
            (None, Some(_)) => Err(Error::PrivateInsteadOfPublic),
            (None, None) => Err(Error::Member(Document::PublicKey, PUBLIC, "is missing")),
        }
    }

    /// The one-line form that [`PublicKey::from_json`] reads, with a line break.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Form<'a> {
            curve25519_public_key: &'a str,
        }
        let key = json::base64(&self.0);
        json::line(&Form { curve25519_public_key: &key }, KEY_FILE).to_vec()
    }

    /// The key's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_text(document: Document, text: &Text<'_>) -> Result<Self, Error> {
        let bytes = text.bytes(document, PUBLIC)?;
        let key = Self(exactly(document, PUBLIC, &bytes)?);
        // A point of low order gives the same all-zero secret with every private key, as each is
        // a multiple of the cofactor.
        let any = StaticSecret::from([1; 32]);
        if !any.diffie_hellman(&key.0.into()).was_contributory() {
            return Err(Error::LowOrder);
        }
        Ok(key)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&json::base64(&self.0))
    }
}

impl PrivateKey {
    /// A new key from the operating system's random numbers.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(&mut *bytes).map_err(|_| Error::NoRandom)?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Reads `{"curve25519_private_key": "<base64>"}`. Other members are ignored.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Form<'a> {
            #[serde(borrow)]
            curve25519_private_key: Option<Text<'a>>,
        }
        let form: Form<'_> = json::read(Document::PrivateKey, text)?;
        let Some(key) = form.curve25519_private_key else {
            return Err(Error::Member(Document::PrivateKey, PRIVATE, "is missing"));
        };
        let bytes = key.bytes(Document::PrivateKey, PRIVATE)?;
        Ok(Self::from_bytes(&Zeroizing::new(exactly(Document::PrivateKey, PRIVATE, &bytes)?)))
    }

    /// The one-line form that [`PrivateKey::from_json`] reads, with a line break.
    pub fn to_json(&self) -> Secret<Vec<u8>> {
        #[derive(Serialize)]
        struct Form<'a> {
            curve25519_private_key: &'a str,
        }
        let key = json::base64(self.secret.as_bytes());
        let mut line = json::line(&Form { curve25519_private_key: &key }, KEY_FILE);
        Secret::new(std::mem::take(&mut *line))
    }

    /// The other half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret that both sides share (RFC 7748 section 6.1).
    pub(crate) fn shared_with(&self, other: &PublicKey) -> Result<Zeroizing<[u8; 32]>, Error> {
        let shared = self.secret.diffie_hellman(&other.0.into());
        if !shared.was_contributory() {
            return Err(Error::LowOrder);
        }
        Ok(Zeroizing::new(*shared.as_bytes()))
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let secret = StaticSecret::from(*bytes);
        let public = PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes());
        Self { secret, public }
    }
}

fn exactly(document: Document, member: &'static str, bytes: &[u8]) -> Result<[u8; 32], Error> {
    bytes.try_into().map_err(|_| Error::Length {
        document,
        member,
        found: bytes.len(),
        expected: 32,
    })
}

const PUBLIC: &str = "curve25519_public_key";
const PRIVATE: &str = "curve25519_private_key";

/// More bytes than a key's JSON takes.
const KEY_FILE: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hexadecimal: &str) -> [u8; 32] {
        std::array::from_fn(|at| {
            u8::from_str_radix(&hexadecimal[2 * at..2 * at + 2], 16).expect("hexadecimal")
        })
    }

    fn problem(text: &str) -> String {
        PublicKey::from_json(text.as_bytes()).expect_err("refused").to_string()
    }

    fn json_of(bytes: &[u8]) -> String {
        format!("{{\"curve25519_public_key\":\"{}\"}}", &*json::base64(bytes))
    }

    #[test]
    fn keys_and_shared_secret_are_those_of_rfc_7748_section_6_1() {
        let alice = PrivateKey::from_bytes(&bytes(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        ));
        let bob = PrivateKey::from_bytes(&bytes(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ));
        let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        assert_eq!(alice.public().as_bytes(), &bytes(public));
        let public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
        assert_eq!(bob.public().as_bytes(), &bytes(public));
        let shared = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
        assert_eq!(*alice.shared_with(&bob.public()).expect("a secret"), shared);
        assert_eq!(*bob.shared_with(&alice.public()).expect("a secret"), shared);
    }

    #[test]
    fn both_keys_survive_their_files() {
        let private = PrivateKey::generate().expect("a key");
        let again = PrivateKey::from_json(private.to_json().expose()).expect("readable");
        assert_eq!(again.secret.as_bytes(), private.secret.as_bytes());
        let public = PublicKey::from_json(&private.public().to_json()).expect("readable");
        assert_eq!(public, again.public());
        assert!(private.to_json().expose().len() <= KEY_FILE);
        let other = PrivateKey::generate().expect("a key");
        assert_ne!(other.public(), public);
    }

    #[test]
    fn a_public_key_file_may_hold_more_and_break_lines() {
        let key = json::base64(&[9; 32]);
        let (first, second) = key.split_at(20);
        let text = format!(
            " {{ \"owner\": \"app\", \"curve25519_public_key\": \"{first}\\n{second}\" }} \n"
        );
        let read = PublicKey::from_json(text.as_bytes()).expect("readable");
        assert_eq!(read.as_bytes(), &[9; 32]);
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_the_expected_form() {
        let form = Document::PublicKey.form();
        for (text, expected) in [
            (String::new(), "is empty"),
            (" \n".into(), "is empty"),
            ("-----BEGIN PUBLIC KEY-----".into(), "it is a PEM file"),
            ("hello".into(), "it is not a JSON object"),
            ("[1]".into(), "it is not a JSON object"),
            ("{\"curve25519_public_key\"".into(), "cut short"),
            ("{]".into(), "it is not JSON"),
            ("{}".into(), "\"curve25519_public_key\" is missing"),
            ("{\"curve25519_public_key\":null}".into(), "is missing"),
            ("{\"curve25519_public_key\":7}".into(), "another shape"),
            ("{\"curve25519_public_key\":\"*\"}".into(), "is not base64"),
            ("{\"curve25519_public_key\":\"\"}".into(), "holds 0 bytes instead of 32"),
            (json_of(&[9; 31]), "holds 31 bytes instead of 32"),
            (json_of(&[9; 33]), "holds 33 bytes instead of 32"),
        ] {
            let problem = problem(&text);
            assert!(problem.contains(expected), "{text}: {problem}");
            assert!(problem.contains(form), "{text}: {problem}");
        }
    }

    #[test]
    fn a_public_key_that_protects_nothing_is_refused() {
        let low_order = [
            [0; 32],
            {
                let mut one = [0; 32];
                one[0] = 1;
                one
            },
            bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
            bytes("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
            bytes("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        ];
        for key in low_order {
            assert_eq!(PublicKey::from_json(json_of(&key).as_bytes()), Err(Error::LowOrder));
        }
    }

    #[test]
    fn a_private_key_in_the_public_ones_place_is_named_and_not_shown() {
        let private = PrivateKey::generate().expect("a key").to_json();
        let text = String::from_utf8(private.expose().clone()).expect("text");
        let problem = problem(&text);
        assert!(problem.contains("this is a private key"), "{problem}");
        assert!(!problem.contains(text.split('"').nth(3).expect("the key")), "{problem}");
    }
}
