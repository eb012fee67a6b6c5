//! What a JWT says of itself, as far as the server will judge it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Of a JWT (RFC 7519) whose claims can be read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Each claim that matters, and as an error what is wrong with it by this machine's clock.
/// Nothing of a text that is no JWT.
pub(super) fn describe(text: &str, now: SystemTime) -> Vec<Result<String, String>> {
    let Some(claims) = read(text) else { return Vec::new() };
    let mut notes = Vec::new();
    let audience = claims.aud.map(|audience| match audience {
        Audience::One(audience) => audience,
        Audience::Several(audiences) => audiences.join(", "),
    });
    for (name, value) in [("issuer", claims.iss), ("subject", claims.sub), ("audience", audience)] {
        notes.extend(value.map(|value| Ok(format!("{name} {}", clean(&value)))));
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = |time: f64| Duration::try_from_secs_f64(time.max(0.0)).unwrap_or(Duration::MAX);
    if let Some(end) = claims.exp.map(seconds) {
        notes.push(if end <= now {
            Err(format!(
                "it expired {} s ago by this machine's clock: have a new one issued, or correct the clock",
                now.saturating_sub(end).as_secs()
            ))
        } else {
            Ok(format!("expires in {} s", end.saturating_sub(now).as_secs()))
        });
    }
    for (name, time) in [("valid", claims.nbf), ("issued", claims.iat)] {
        if let Some(start) = time.map(seconds).filter(|start| *start > now + TOLERANCE) {
            notes.push(Err(format!(
                "it is {name} only in {} s by this machine's clock: compare the clocks of the issuer and of this machine",
                start.saturating_sub(now).as_secs()
            )));
        }
    }
    notes
}

/// Clocks may differ a little.
const TOLERANCE: Duration = Duration::from_secs(5);

fn read(text: &str) -> Option<Claims> {
    let mut parts = text.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn clean(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn claims_are_told_with_the_time_that_is_left() {
        let notes =
            describe(&jwt(r#"{"sub":"web","aud":["a","b"],"exp":1100,"nbf":900}"#), at(1000));
        let notes: Vec<String> = notes.into_iter().map(Result::unwrap).collect();
        assert_eq!(notes, ["subject web", "audience a, b", "expires in 100 s"]);
    }

    #[test]
    fn a_skewed_clock_is_told() {
        let late = describe(&jwt(r#"{"exp":1000}"#), at(4600));
        assert!(late[0].as_ref().unwrap_err().contains("expired 3600 s ago"));
        let early = describe(&jwt(r#"{"nbf":4600,"iat":4600}"#), at(1000));
        assert!(early.iter().all(|note| note.as_ref().unwrap_err().contains("3600 s")));
        assert_eq!(early.len(), 2);
    }

    #[test]
    fn what_is_no_jwt_says_nothing() {
        for text in ["", "password", "a.b", "a.b.c", "e30.bm90IGpzb24.c2ln"] {
            assert!(describe(text, at(0)).is_empty(), "{text}");
        }
    }
}
