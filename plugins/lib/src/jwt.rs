//! JWTs: tells them from what is none, so that no error page is sent as a credential, and makes
//! them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use usher_plugin::{Failure, crypto};

/// A JWT of these claims, signed (RFC 7515, section 3.1). The header gets "alg" and "typ" besides
/// what is in `header`, an object; `algorithm` and `key_pem` are those of [`crypto::sign`].
pub fn sign_jwt(
    algorithm: &str,
    key_pem: &str,
    mut header: Value,
    claims: &Value,
) -> Result<String, Failure> {
    header["alg"] = algorithm.into();
    header["typ"] = "JWT".into();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = crypto::sign(algorithm, key_pem, signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Whether the text has the form of a signed JWT (RFC 7519, compact): three parts of base64url,
/// joined by dots. Only the server can say whether it is a good one.
pub fn looks_like_jwt(text: &str) -> bool {
    let mut parts = 0;
    text.split('.').all(|part| {
        parts += 1;
        let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !part.is_empty() && part.bytes().all(base64url)
    }) && parts == 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use usher_plugin::testing::Host;

    #[test]
    fn a_jwt_is_made_of_header_claims_and_the_signature_of_both() {
        let host = Host::install();
        host.sign_with(|algorithm, key, data| {
            Ok([algorithm.as_bytes(), key.as_bytes(), data].concat())
        });
        let jwt = sign_jwt("RS256", "KEY", json!({"kid": "1"}), &json!({"aud": "x"})).unwrap();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |part| URL_SAFE_NO_PAD.decode(part).unwrap();
        let json = |part| serde_json::from_slice::<Value>(&decode(part)).unwrap();
        assert_eq!(json(header), json!({"alg": "RS256", "kid": "1", "typ": "JWT"}));
        assert_eq!(json(claims), json!({"aud": "x"}));
        assert_eq!(decode(signature), format!("RS256KEY{signed}").into_bytes());
        assert!(looks_like_jwt(&jwt));
    }

    #[test]
    fn a_jwt_is_told_from_what_is_none() {
        assert!(looks_like_jwt("eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln-_"));
        for other in ["", "..", "a.b", "a.b.", "a.b.c.d", "<html>", "a.b.c=", "a b.c.d", "a.b.c\n"]
        {
            assert!(!looks_like_jwt(other), "{other:?}");
        }
    }
}
