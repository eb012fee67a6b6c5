//! Tells a JWT from what isn't one, so that no error page is sent as a credential.

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

    #[test]
    fn a_jwt_is_told_from_what_is_none() {
        assert!(looks_like_jwt("eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln-_"));
        for other in ["", "..", "a.b", "a.b.", "a.b.c.d", "<html>", "a.b.c=", "a b.c.d", "a.b.c\n"]
        {
            assert!(!looks_like_jwt(other), "{other:?}");
        }
    }
}
