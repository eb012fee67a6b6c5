//! What the server's answers mean: typed, with the secrets in them taken into [`Secret`]s.
//!
//! A parse error never quotes the answer: it may hold a token.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use usher_connector::clean;
use usher_secret::Secret;

/// A token, as a login or a renewal answers it. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct Auth {
    /// The token itself.
    pub token: Secret<String>,
    /// Names the token without being it; "" for batch tokens.
    pub accessor: String,
    /// `lease_duration` as the server sent it; zero when the token never expires.
    pub lease_duration: Duration,
    /// Whether `renew-self` can prolong it.
    pub renewable: bool,
    /// "service" or "batch"; "" when an old server doesn't say.
    pub token_type: String,
    /// All policies, the token's and its entity's.
    pub policies: Vec<String>,
    /// "" when the token belongs to no entity.
    pub entity_id: String,
    /// What the auth method says about who logged in.
    pub metadata: BTreeMap<String, String>,
    /// Requests left; 0 for no limit. The server shows -1 on the last one.
    pub num_uses: i64,
    /// Whether it lives on when the token that made it is revoked.
    pub orphan: bool,
}

impl Auth {
    /// Time to live from the moment of the answer. `None`: never expires.
    pub fn ttl(&self) -> Option<Duration> {
        (!self.lease_duration.is_zero()).then_some(self.lease_duration)
    }
}

/// What the server knows of a token that looks itself up.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Names the token without being it; "" for batch tokens.
    pub accessor: String,
    /// Time to live from the moment of the answer. `None`: never expires.
    pub ttl: Option<Duration>,
    /// What it started with; zero when it never expires.
    pub creation_ttl: Duration,
    /// Whether `renew-self` can prolong it.
    pub renewable: bool,
    /// "service" or "batch".
    pub token_type: String,
    /// All policies, the token's and its entity's.
    pub policies: Vec<String>,
    /// "" when the token belongs to no entity.
    pub entity_id: String,
    /// Requests left; 0 for no limit. The server shows -1 on the last one.
    pub num_uses: i64,
    /// Whether it lives on when the token that made it is revoked.
    pub orphan: bool,
    /// Where it was made: "auth/approle/login".
    pub path: String,
    /// What the auth method said about who logged in.
    pub metadata: BTreeMap<String, String>,
}

/// A wrapping token. No `Debug`: it holds the token.
#[derive(Clone)]
pub struct WrapInfo {
    /// The wrapping token.
    pub token: Secret<String>,
    /// Names the wrapping token without being it.
    pub accessor: String,
    /// How long it can be unwrapped.
    pub ttl: Duration,
    /// RFC 3339, as the server sent it.
    pub creation_time: String,
    /// What was wrapped: "sys/wrapping/wrap", "auth/approle/login".
    pub creation_path: String,
    /// Accessor of the token inside, "" when there is none.
    pub wrapped_accessor: String,
}

/// Where a wrapping token comes from, looked at without unwrapping it.
#[derive(Clone, Debug)]
pub struct WrappingLookup {
    /// The path whose answer was wrapped.
    pub creation_path: String,
    /// RFC 3339, as the server sent it.
    pub creation_time: String,
    /// How long it could be unwrapped when it was made.
    pub creation_ttl: Duration,
}

/// Why an answer with a good status is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Not the JSON that was asked for. Never quotes it.
    Unreadable(String),
    /// The server wants a second factor before it gives a token.
    SecondFactor,
}

pub(crate) fn auth(body: &[u8]) -> Result<Auth, Unusable> {
    let answer: Answer = parse(body)?;
    let auth = answer.auth.ok_or_else(|| unreadable("it holds no token"))?;
    if auth.client_token.is_empty() {
        return Err(match auth.mfa_requirement {
            Some(_) => Unusable::SecondFactor,
            None => unreadable("its token is empty"),
        });
    }
    Ok(Auth {
        token: Secret::new(auth.client_token),
        accessor: auth.accessor,
        lease_duration: seconds(auth.lease_duration),
        renewable: auth.renewable,
        token_type: auth.token_type,
        policies: auth.policies,
        entity_id: auth.entity_id,
        metadata: auth.metadata,
        num_uses: auth.num_uses,
        orphan: auth.orphan,
    })
}

pub(crate) fn lookup(body: &[u8]) -> Result<Lookup, Unusable> {
    let answer: DataAnswer<LookupData> = parse(body)?;
    let data = answer.data.ok_or_else(|| unreadable("it holds no data"))?;
    let mut policies = data.policies;
    for policy in data.identity_policies {
        if !policies.contains(&policy) {
            policies.push(policy);
        }
    }
    // A ttl of 0 alone is also what a token shows in its last second.
    let expires = data.expire_time.is_some() || data.ttl > 0;
    Ok(Lookup {
        accessor: data.accessor,
        ttl: expires.then(|| seconds(data.ttl)),
        creation_ttl: seconds(data.creation_ttl),
        renewable: data.renewable,
        token_type: data.token_type,
        policies,
        entity_id: data.entity_id,
        num_uses: data.num_uses,
        orphan: data.orphan,
        path: data.path,
        metadata: data.meta,
    })
}

pub(crate) fn wrap_info(body: &[u8]) -> Result<WrapInfo, Unusable> {
    let answer: Answer = parse(body)?;
    let info = answer.wrap_info.ok_or_else(|| unreadable("it holds no wrapping token"))?;
    if info.token.is_empty() {
        return Err(unreadable("its wrapping token is empty"));
    }
    Ok(WrapInfo {
        token: Secret::new(info.token),
        accessor: info.accessor,
        ttl: seconds(info.ttl),
        creation_time: info.creation_time,
        creation_path: info.creation_path,
        wrapped_accessor: info.wrapped_accessor,
    })
}

pub(crate) fn wrapping_lookup(body: &[u8]) -> Result<WrappingLookup, Unusable> {
    let answer: DataAnswer<Creation> = parse(body)?;
    let data = answer.data.ok_or_else(|| unreadable("it holds no data"))?;
    if data.path.is_empty() {
        return Err(unreadable("it names no creation path"));
    }
    Ok(WrappingLookup {
        creation_path: data.path,
        creation_time: data.time,
        creation_ttl: seconds(data.ttl),
    })
}

/// The whole answer as text, once it is known to be a JSON object.
pub(crate) fn raw(body: &[u8]) -> Result<Secret<String>, Unusable> {
    parse::<serde::de::IgnoredAny>(body)?;
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(unreadable("its JSON has another shape than expected"));
    }
    let text = std::str::from_utf8(body).map_err(|_| unreadable("it is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

/// The server's own errors on one line, without control characters, at most [`usher_connector::LONGEST_LINE`] bytes.
/// `None`: the body isn't such an answer. Some auth methods refuse with a warning instead.
pub(crate) fn errors(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        #[serde(deserialize_with = "null_as_default")]
        errors: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Warnings {
        #[serde(rename = "request_id")]
        _request_id: String,
        warnings: Vec<String>,
    }
    let errors = serde_json::from_slice(body).map(|parsed: Errors| parsed.errors);
    let warnings = || serde_json::from_slice(body).map(|parsed: Warnings| parsed.warnings);
    let errors = errors.or_else(|_| warnings()).ok()?;
    let lines = errors.iter().flat_map(|error| error.lines());
    // Several errors come as "2 errors occurred:" and a list with stars.
    let lines = lines
        .map(|line| line.trim().trim_start_matches("* "))
        .filter(|line| !line.is_empty() && !line.ends_with("occurred:"));
    Some(clean(&lines.collect::<Vec<_>>().join(", ")))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    auth: Option<AuthData>,
    #[serde(default)]
    wrap_info: Option<WrapData>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct DataAnswer<T> {
    #[serde(default)]
    data: Option<T>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthData {
    #[serde(deserialize_with = "null_as_default")]
    client_token: String,
    #[serde(deserialize_with = "null_as_default")]
    accessor: String,
    #[serde(deserialize_with = "null_as_default")]
    lease_duration: i64,
    #[serde(deserialize_with = "null_as_default")]
    renewable: bool,
    #[serde(deserialize_with = "null_as_default")]
    token_type: String,
    #[serde(deserialize_with = "null_as_default")]
    policies: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    entity_id: String,
    #[serde(deserialize_with = "null_as_default")]
    metadata: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    num_uses: i64,
    #[serde(deserialize_with = "null_as_default")]
    orphan: bool,
    mfa_requirement: Option<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LookupData {
    #[serde(deserialize_with = "null_as_default")]
    accessor: String,
    #[serde(deserialize_with = "null_as_default")]
    ttl: i64,
    #[serde(deserialize_with = "null_as_default")]
    creation_ttl: i64,
    expire_time: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    renewable: bool,
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    token_type: String,
    #[serde(deserialize_with = "null_as_default")]
    policies: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    identity_policies: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    entity_id: String,
    #[serde(deserialize_with = "null_as_default")]
    num_uses: i64,
    #[serde(deserialize_with = "null_as_default")]
    orphan: bool,
    #[serde(deserialize_with = "null_as_default")]
    path: String,
    #[serde(deserialize_with = "null_as_default")]
    meta: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrapData {
    #[serde(deserialize_with = "null_as_default")]
    token: String,
    #[serde(deserialize_with = "null_as_default")]
    accessor: String,
    #[serde(deserialize_with = "null_as_default")]
    ttl: i64,
    #[serde(deserialize_with = "null_as_default")]
    creation_time: String,
    #[serde(deserialize_with = "null_as_default")]
    creation_path: String,
    #[serde(deserialize_with = "null_as_default")]
    wrapped_accessor: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Creation {
    #[serde(rename = "creation_path", deserialize_with = "null_as_default")]
    path: String,
    #[serde(rename = "creation_time", deserialize_with = "null_as_default")]
    time: String,
    #[serde(rename = "creation_ttl", deserialize_with = "null_as_default")]
    ttl: i64,
}

/// The server writes null for what is empty.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Unusable> {
    use serde_json::error::Category;
    serde_json::from_slice(body).map_err(|error| {
        // The error's own text may quote a value, and the value may be a token.
        unreadable(match error.classify() {
            _ if body.is_empty() => "it is empty",
            _ if looks_like_html(body) => "it is a web page, not the server's JSON",
            Category::Eof => "it is cut short",
            Category::Data => "its JSON has another shape than expected",
            Category::Syntax | Category::Io => "it is not JSON",
        })
    })
}

fn looks_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

fn unreadable(why: &str) -> Unusable {
    Unusable::Unreadable(why.to_owned())
}

fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why<T>(result: Result<T, Unusable>) -> String {
        match result {
            Err(Unusable::Unreadable(why)) => why,
            Err(Unusable::SecondFactor) => String::from("second factor"),
            Ok(_) => String::from("readable"),
        }
    }

    #[test]
    fn a_login_of_openbao_2_7_2_is_understood() {
        let auth = auth(
            br#"{"request_id":"","lease_id":"","renewable":false,"lease_duration":0,"data":null,
            "wrap_info":null,"warnings":null,"auth":{"client_token":"s.token","accessor":"acc",
            "policies":["default"],"token_policies":["default"],"metadata":{"username":"u"},
            "lease_duration":2764800,"renewable":true,"entity_id":"2be2","token_type":"service",
            "orphan":true,"mfa_requirement":null,"num_uses":0}}"#,
        )
        .unwrap_or_else(|_| panic!("not understood"));
        assert_eq!(auth.token.expose(), "s.token");
        assert_eq!(auth.ttl(), Some(Duration::from_hours(768)));
        assert!(auth.renewable && auth.orphan);
        assert_eq!(auth.metadata["username"], "u");
        assert_eq!(auth.policies, ["default"]);
    }

    #[test]
    fn nulls_and_missing_fields_are_empty() {
        let auth = auth(br#"{"auth":{"client_token":"t","policies":null,"metadata":null}}"#);
        let auth = auth.unwrap_or_else(|_| panic!("not understood"));
        assert!(auth.policies.is_empty() && auth.metadata.is_empty());
        assert_eq!(auth.ttl(), None);
    }

    #[test]
    fn a_token_in_its_last_second_is_not_one_that_never_expires() {
        let body = br#"{"data":{"ttl":0,"expire_time":"2026-11-22T01:06:41Z"}}"#;
        assert_eq!(lookup(body).unwrap().ttl, Some(Duration::ZERO));
        assert_eq!(lookup(br#"{"data":{"ttl":0,"expire_time":null}}"#).unwrap().ttl, None);
    }

    #[test]
    fn the_last_use_of_a_limited_token_is_understood() {
        assert_eq!(lookup(br#"{"data":{"num_uses":-1}}"#).unwrap().num_uses, -1);
    }

    #[test]
    fn policies_of_token_and_entity_are_one_list() {
        let body = br#"{"data":{"policies":["a","b"],"identity_policies":["b","c"]}}"#;
        assert_eq!(lookup(body).unwrap().policies, ["a", "b", "c"]);
    }

    #[test]
    fn a_wrapping_token_is_understood() {
        let info = wrap_info(
            br#"{"data":null,"wrap_info":{"token":"s.w","accessor":"a","ttl":300,
            "creation_time":"2026-11-22T01:06:41.871311956Z","creation_path":"sys/wrapping/wrap"},
            "auth":null}"#,
        )
        .unwrap_or_else(|_| panic!("not understood"));
        assert_eq!(info.token.expose(), "s.w");
        assert_eq!(info.ttl, Duration::from_mins(5));
        assert_eq!(info.wrapped_accessor, "");
    }

    #[test]
    fn what_is_not_an_answer_is_named_and_never_quoted() {
        for (body, expected) in [
            ("", "it is empty"),
            ("<html>hvs.secret</html>", "it is a web page, not the server's JSON"),
            ("hvs.secret", "it is not JSON"),
            (r#"{"auth":{"client_token":"hvs.sec"#, "it is cut short"),
            (r#"{"auth":{"client_token":7}}"#, "its JSON has another shape than expected"),
            (r#"{"auth":"hvs.secret"}"#, "its JSON has another shape than expected"),
            (r#"["hvs.secret"]"#, "its JSON has another shape than expected"),
            ("{}", "it holds no token"),
            (r#"{"auth":null}"#, "it holds no token"),
            (r#"{"auth":{"client_token":""}}"#, "its token is empty"),
            (r#"{"auth":{"client_token":"","mfa_requirement":{}}}"#, "second factor"),
        ] {
            assert_eq!(why(auth(body.as_bytes())), expected, "{body}");
        }
    }

    #[test]
    fn an_unwrapped_answer_must_be_a_whole_object() {
        let answer = raw(br#"{"data":{"secret_id":"x"}}"#).unwrap_or_else(|_| panic!("refused"));
        assert_eq!(answer.expose(), r#"{"data":{"secret_id":"x"}}"#);
        assert_eq!(why(raw(br#"{"data":{"secret_id":"x"}"#)), "it is cut short");
        assert_eq!(why(raw(b"[1]")), "its JSON has another shape than expected");
    }

    #[test]
    fn the_servers_errors_become_one_clean_line() {
        let body =
            br#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
        assert_eq!(errors(body).unwrap(), "permission denied, invalid token");
        assert_eq!(errors(br#"{"errors":["a\u001b[31m\r\nb"]}"#).unwrap(), "a[31m, b");
        let warned = br#"{"request_id":"7d1b","auth":null,"warnings":["Unauthorised.\n\n"]}"#;
        assert_eq!(errors(warned).unwrap(), "Unauthorised.");
        assert_eq!(errors(br#"{"request_id":"7d1b","auth":null,"warnings":null}"#), None);
        assert_eq!(errors(b"<html>"), None);
        let long = format!(r#"{{"errors":["{}"]}}"#, "\u{fc}".repeat(1000));
        let shown = errors(long.as_bytes()).unwrap();
        assert!(
            shown.len() <= usher_connector::LONGEST_LINE + '…'.len_utf8() && shown.ends_with('…')
        );
    }
}
