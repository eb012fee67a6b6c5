//! Finds what is a credential, by its name or its looks, in the answers that a plug-in gets: an
//! access token of a login service, a session's cookie, a bare JWT.

use serde_json::Value;
use zeroize::Zeroizing;

use crate::egress::Response;

/// Shorter ones are words.
const SHORTEST: usize = 8;

/// The credentials in an answer, as they stand there.
pub(crate) fn credentials(answer: &Response) -> Vec<Zeroizing<String>> {
    let mut found = Found(Vec::new());
    for (name, value) in &answer.headers {
        found.in_header(name, value);
    }
    let body = String::from_utf8_lossy(&answer.body);
    found.in_body(body.trim());
    // By its looks and by its name.
    found.0.dedup();
    found.0
}

/// Every string of these values; those that are secrets by their names are the last ones.
pub(crate) fn secrets_last(values: [&Value; 2]) -> Vec<&str> {
    let (mut harmless, mut secret) = (Vec::new(), Vec::new());
    for value in values {
        sort(value, Named::Harmlessly, &mut harmless, &mut secret);
    }
    harmless.append(&mut secret);
    harmless
}

fn sort<'a>(
    value: &'a Value,
    named: Named,
    harmless: &mut Vec<&'a str>,
    secret: &mut Vec<&'a str>,
) {
    match value {
        Value::String(text) if named == Named::Secret || looks_random(text) => secret.push(text),
        Value::String(text) => harmless.push(text),
        Value::Array(items) => items.iter().for_each(|item| sort(item, named, harmless, secret)),
        Value::Object(members) => {
            for (name, value) in members {
                // A secret of a KV store is in "data".
                let is_secret = name == "data" || is_secret(name);
                let named = if is_secret { Named::Secret } else { named };
                sort(value, named, harmless, secret);
            }
        }
        _ => {}
    }
}

struct Found(Vec<Zeroizing<String>>);

impl Found {
    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.len() >= SHORTEST {
            self.0.push(Zeroizing::new(text.to_owned()));
        }
    }

    fn in_header(&mut self, name: &str, value: &str) {
        self.jwts(value);
        if name.eq_ignore_ascii_case("set-cookie") {
            // NAME=VALUE; ATTRIBUTE; …
            let cookie = value.split(';').next().unwrap_or_default();
            self.add(cookie.split_once('=').map_or(cookie, |(_, value)| value));
        } else if name.eq_ignore_ascii_case("location") {
            let (_, parameters) = value.split_once(['?', '#']).unwrap_or_default();
            self.in_pairs(parameters);
        } else if is_secret(name) {
            // After the scheme, if there is one: "Bearer …".
            self.add(value.trim().rsplit(' ').next().unwrap_or_default());
        }
    }

    fn in_body(&mut self, body: &str) {
        self.jwts(body);
        if body.starts_with('<') {
            return self.in_markup(body);
        }
        // One value, or one a line.
        let mut values = serde_json::Deserializer::from_str(body).into_iter::<Value>();
        let mut is_json = false;
        while let Some(Ok(value)) = values.next() {
            is_json = true;
            self.in_value(&value, Named::Harmlessly);
        }
        if is_json {
            return;
        }
        if looks_random(body) {
            self.add(body);
        }
        for line in body.lines() {
            self.in_pairs(line);
        }
    }

    fn in_value(&mut self, value: &Value, named: Named) {
        match value {
            Value::String(text) if named == Named::Secret || looks_random(text) => self.add(text),
            Value::Array(items) => items.iter().for_each(|item| self.in_value(item, named)),
            Value::Object(members) => {
                for (name, value) in members {
                    let named = if is_secret(name) { Named::Secret } else { named };
                    self.in_value(value, named);
                }
            }
            _ => {}
        }
    }

    /// `<SessionToken>…</SessionToken>`, with or without a namespace.
    fn in_markup(&mut self, text: &str) {
        for element in text.split('<').skip(1) {
            let Some((tag, content)) = element.split_once('>') else { continue };
            let name = tag.split_whitespace().next().unwrap_or_default();
            if is_secret(name.rsplit(':').next().unwrap_or_default()) {
                self.add(content);
            }
        }
    }

    /// `access_token=…&scope=…`
    fn in_pairs(&mut self, text: &str) {
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            if is_secret(&name) {
                self.add(&value);
            }
        }
    }

    /// Three or more parts of base64url, of which the first begins like a JSON object (RFC 7515).
    fn jwts(&mut self, text: &str) {
        const BEGINNING: &str = "eyJ";
        const SHORTEST_JWT: usize = 24;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let mut rest = text;
        while let Some(start) = rest.find(BEGINNING) {
            let token = &rest[start..];
            let end = token.bytes().position(|byte| !is_part(byte)).unwrap_or(token.len());
            let (token, after) = token.split_at(end);
            if token.len() >= SHORTEST_JWT && token.matches('.').count() >= 2 {
                self.add(token.trim_end_matches('.'));
            }
            rest = after;
        }
    }
}

/// What the name of a value, or of something around it, says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Secret,
    Harmlessly,
}

/// Whether values of this name are secrets: `access_token`, `X-Vault-Token`, `SecretAccessKey`.
fn is_secret(name: &str) -> bool {
    const ENDINGS: [&str; 14] = [
        "accesskey",
        "apikey",
        "assertion",
        "authorization",
        "cookie",
        "devicecode",
        "jwt",
        "passphrase",
        "password",
        "privatekey",
        "secret",
        "secretid",
        "secretkey",
        "token",
    ];
    let name: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// A word that nobody chose: what an endpoint answers that hands out one opaque token.
fn looks_random(text: &str) -> bool {
    const SHORTEST_TOKEN: usize = 40;
    text.len() >= SHORTEST_TOKEN
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_.~".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_uppercase())
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ3b3JrbG9hZCJ9.c2lnbmF0dXJlLW9mLWl0";

    fn answer(headers: &[(&str, &str)], body: &str) -> Response {
        Response {
            status: 200,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            body: body.into(),
        }
    }

    fn found(headers: &[(&str, &str)], body: &str) -> Vec<String> {
        credentials(&answer(headers, body)).iter().map(|text| text.as_str().to_owned()).collect()
    }

    #[test]
    fn credentials_are_found_by_their_names() {
        for body in [
            r#"{"access_token":"opaque-token-1","token_type":"Bearer","expires_in":3600}"#,
            r#"{"id_token": "opaque-token-1"}"#,
            r#"{"auth":{"client_token":"opaque-token-1","accessor":"not-a-secret"}}"#,
            r#"{"status":{"token":"opaque-token-1","expirationTimestamp":"2026-11-30T20:00:00Z"}}"#,
            r#"{"Token":"opaque-token-1","AccessKeyId":"ASIAEXAMPLE0EXAMPLE"}"#,
            r#"{"SecretAccessKey":"opaque-token-1"}"#,
            r#"[{"refreshToken":["opaque-token-1"]}]"#,
            r#"{"token":{"value":"opaque-token-1"}}"#,
            "{\"type\":\"progress\"}\n{\"token\":\"opaque-token-1\"}\n",
            "access_token=opaque%2Dtoken%2D1&token_type=bearer&scope=repository-read",
            "HOST=sso.example.org\nSESSION_TOKEN=opaque-token-1\n",
            "<r><Name>session-of-app</Name><SessionToken>opaque-token-1</SessionToken></r>",
            "<a:r xmlns:a=\"urn:x\"><a:Token a:kind=\"short-lived\">opaque-token-1</a:Token></a:r>",
        ] {
            assert_eq!(found(&[], body), ["opaque-token-1"], "{body}");
        }
    }

    #[test]
    fn credentials_are_found_in_headers() {
        for (name, value) in [
            ("authorization", "Bearer opaque-token-1"),
            ("x-vault-token", "opaque-token-1"),
            ("X-Subject-Token", "opaque-token-1"),
            ("set-cookie", "session=opaque-token-1; Path=/; HttpOnly"),
            ("location", "https://app.example.org/cb#access_token=opaque-token-1&state=some-state"),
        ] {
            assert_eq!(found(&[(name, value)], ""), ["opaque-token-1"], "{name}");
        }
        assert_eq!(
            found(&[("x-amzn-requestid", "0f1e2d3c4b5a"), ("date", "Mon, 30 Nov")], ""),
            [""; 0]
        );
    }

    #[test]
    fn a_jwt_is_found_wherever_it_stands() {
        for body in [
            JWT.to_owned(),
            format!("{JWT}\n"),
            format!(r#"{{"data": "{JWT}"}}"#),
            format!(r#"{{"inner": "{{\"it\": \"{JWT}\"}}"}}"#),
            format!("<p>use {JWT}.</p>"),
            format!("\u{FFFD}{JWT}\u{FFFD}"),
        ] {
            assert_eq!(found(&[], &body), [JWT], "{body}");
        }
        assert!(found(&[("x-anything", &format!("v={JWT}"))], "").contains(&JWT.to_owned()));
        // Names of files and the beginnings of JSON in base64 are none.
        assert_eq!(found(&[], "eyJust.a.. eyJhbGciOiJFUzI1NiJ9 eyJ"), [""; 0]);
    }

    #[test]
    fn a_bare_opaque_token_is_found_and_a_bare_name_is_not() {
        let token = "AQAEAKvRGfzVcTHfXuOBmtV5yPEUZvBTq0AoQfPhSWhG3LJwkQ3vDA==";
        assert_eq!(found(&[], token), [token]);
        assert_eq!(found(&[], &format!("{token}\n")), [token]);
        for name in
            ["eksctl-prod-cluster-NodeInstanceRole-1A2B3C4D5E6F", "i-0123456789abcdef0", "ok"]
        {
            assert_eq!(found(&[], name), [""; 0], "{name}");
        }
    }

    #[test]
    fn words_and_what_is_no_text_are_left_alone() {
        for body in
            [r#"{"token":"none","password":""}"#, r#"{"token":12345678}"#, "", "{", "<", "a=b"]
        {
            assert_eq!(found(&[], body), [""; 0], "{body}");
        }
        let bytes = Response { status: 200, headers: Vec::new(), body: vec![0xff; 64] };
        assert!(credentials(&bytes).is_empty());
    }

    #[test]
    fn of_what_was_unwrapped_the_likely_secrets_are_the_last() {
        let parsed = serde_json::json!({
            "data": { "secret_id": "the-secret", "ttl": "1h", "data": { "user": "the-user" } },
            "auth": { "client_token": "the-token", "policies": ["default"] },
        });
        let mut texts = secrets_last([&parsed["data"], &parsed["auth"]]);
        assert_eq!(texts.len(), 5);
        let mut secrets = texts.split_off(2);
        secrets.sort_unstable();
        assert_eq!(secrets, ["the-secret", "the-token", "the-user"]);
    }
}
