//! Hashes, random values, and passwords.

mod password;

use aes::Aes256;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut as _, BlockEncryptMut as _, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore as _;
use rand::seq::SliceRandom as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::eval::Evaluator;
use crate::function::Kind::{Int, Text, Uint32};
use crate::function::{Arguments, Function, fixed};
use crate::functions::consul::hexadecimal;
use crate::value::Value;

pub(crate) const FUNCTIONS: &[Function] = &[
    fixed("sprig_sha1sum", &[Text], |_, arguments| {
        Ok(Value::string(hexadecimal(&Sha1::digest(arguments.bytes(0)))))
    }),
    fixed("sprig_sha256sum", &[Text], |_, arguments| {
        Ok(Value::string(hexadecimal(&Sha256::digest(arguments.bytes(0)))))
    }),
    fixed("sprig_adler32sum", &[Text], |_, arguments| {
        let (mut low, mut high) = (1_u32, 0_u32);
        for byte in arguments.bytes(0) {
            low = (low + u32::from(*byte)) % 65521;
            high = (high + low) % 65521;
        }
        Ok(Value::string((high << 16 | low).to_string()))
    }),
    fixed("sprig_bcrypt", &[Text], |evaluator, arguments| {
        bcrypted(evaluator, arguments.bytes(0)).map(Value::string)
    }),
    fixed("sprig_htpasswd", &[Text, Text], |evaluator, arguments| {
        let user = arguments.text(0);
        if user.contains(':') {
            return Ok(Value::string(format!("invalid username: {user}")));
        }
        Ok(Value::string(format!("{user}:{}", bcrypted(evaluator, arguments.bytes(1))?)))
    }),
    fixed("sprig_derivePassword", &[Uint32, Text, Text, Text, Text], |evaluator, arguments| {
        evaluator.meter.spend(SLOW)?;
        password::derive(arguments).map(Value::string)
    }),
    fixed("sprig_encryptAES", &[Text, Text], |_, arguments| {
        let mut text = [0; BLOCK].to_vec();
        rand::rng().fill_bytes(&mut text);
        let cipher = cbc::Encryptor::<Aes256>::new(
            key(arguments.bytes(0)).as_slice().into(),
            text.as_slice().into(),
        );
        text.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(arguments.bytes(1)));
        Ok(Value::string(STANDARD.encode(text)))
    }),
    fixed("sprig_decryptAES", &[Text, Text], |_, arguments| {
        if arguments.bytes(1).is_empty() {
            return Ok(Value::string(""));
        }
        let text = STANDARD.decode(arguments.bytes(1)).map_err(|_| "illegal base64 data")?;
        let Some((start, text)) = text.split_at_checked(BLOCK) else {
            return Err("the encrypted text is too short".to_owned());
        };
        let cipher =
            cbc::Decryptor::<Aes256>::new(key(arguments.bytes(0)).as_slice().into(), start.into());
        match cipher.decrypt_padded_vec_mut::<Pkcs7>(text) {
            Ok(plain) => Ok(Value::string(plain)),
            Err(_) => Err("the text cannot be decrypted with this password".to_owned()),
        }
    }),
    fixed("sprig_randBytes", &[Int], |evaluator, arguments| {
        let mut bytes = vec![0; count(evaluator, arguments)?];
        rand::rng().fill_bytes(&mut bytes);
        Ok(Value::string(STANDARD.encode(bytes)))
    }),
    fixed("sprig_randAlphaNum", &[Int], |evaluator, arguments| {
        random(evaluator, arguments, u8::is_ascii_alphanumeric)
    }),
    fixed("sprig_randAlpha", &[Int], |evaluator, arguments| {
        random(evaluator, arguments, u8::is_ascii_alphabetic)
    }),
    fixed("sprig_randAscii", &[Int], |evaluator, arguments| {
        random(evaluator, arguments, |byte| matches!(byte, b' '..=b'~'))
    }),
    fixed("sprig_randNumeric", &[Int], |evaluator, arguments| {
        random(evaluator, arguments, u8::is_ascii_digit)
    }),
    fixed("sprig_uuidv4", &[], |_, _| {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = hexadecimal(&bytes);
        let (a, b, c) = (&text[..8], &text[8..12], &text[12..16]);
        Ok(Value::string(format!("{a}-{b}-{c}-{}-{}", &text[16..20], &text[20..])))
    }),
    fixed("sprig_shuffle", &[Text], |_, arguments| {
        let mut chars: Vec<char> = arguments.text(0).chars().collect();
        chars.shuffle(&mut rand::rng());
        Ok(Value::string(chars.into_iter().collect::<String>()))
    }),
];

/// The bytes of a block of AES.
const BLOCK: usize = 16;

/// The steps of what takes a tenth of a second on purpose.
const SLOW: u64 = 200_000;

/// What Go's library takes for the cost.
const BCRYPT_COST: u32 = 10;

fn bcrypted(evaluator: &mut Evaluator<'_>, password: &[u8]) -> Result<String, String> {
    evaluator.meter.spend(SLOW)?;
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let hash = bcrypt::hash_with_salt(password, BCRYPT_COST, salt);
    let hash = hash.map_err(|error| format!("failed to encrypt string with bcrypt: {error}"))?;
    Ok(hash.format_for_version(bcrypt::Version::TwoA))
}

/// The password as a key: cut, or with zeros behind it.
fn key(password: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    for (byte, from) in key.iter_mut().zip(password) {
        *byte = *from;
    }
    key
}

fn count(evaluator: &mut Evaluator<'_>, arguments: Arguments<'_>) -> Result<usize, String> {
    let count = usize::try_from(arguments.int(0)).unwrap_or(0);
    evaluator.meter.afford(count.saturating_mul(2))?;
    Ok(count)
}

fn random(
    evaluator: &mut Evaluator<'_>,
    arguments: Arguments<'_>,
    wanted: fn(&u8) -> bool,
) -> Result<Value, String> {
    let set: Vec<u8> = (0..128).filter(wanted).collect();
    let count = count(evaluator, arguments)?;
    let text: Vec<u8> = (0..count).map(|_| set[rand::random_range(0..set.len())]).collect();
    Ok(Value::string(text))
}
