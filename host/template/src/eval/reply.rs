//! What queries are answered, as values: secrets as the structs that templates know.

use zeroize::Zeroizing;

use super::Evaluator;
use super::field::PEM;
use crate::json::{self, Numbers};
use crate::query::{Answer, Query};
use crate::value::{Map, MapType, Str, Struct, Value};

impl Evaluator<'_> {
    /// The value that a query has in this evaluation. There is none while the answer is missing,
    /// and then the pass isn't ready.
    pub(crate) fn ask(&mut self, query: Query) -> Result<Option<Value>, String> {
        if let Some(value) = self.answers.get(&query) {
            return Ok(Some(value.clone()));
        }
        let value = match self.values.answer(&query) {
            Answer::Missing => {
                self.missing.insert(query);
                return Ok(None);
            }
            Answer::Nothing => Value::Nil,
            Answer::Failed(why) => return Err(why.to_owned()),
            Answer::Secret(body) => secret(body)?,
            Answer::Names(names) => Value::strings(names.iter().map(String::as_str)),
            Answer::Bytes(bytes) => Value::string(bytes),
            Answer::Certificate(certificate) => Struct::value(
                PEM,
                vec![
                    ("Cert", Value::string(certificate.certificate.as_str())),
                    ("Key", Value::String(Str::from(certificate.key.as_str()).secret())),
                    ("CA", Value::string(certificate.authority.as_str())),
                ],
            ),
        };
        self.answers.insert(query, value.clone());
        Ok(Some(value))
    }

    /// The message without the text of any secret that this evaluation has read. Short ones stay:
    /// they are in every text, and what is known to be a secret was never written into it.
    pub(super) fn without_secrets(&self, mut message: String) -> String {
        let mut secrets = Vec::new();
        let mut left = LOOKED_AT;
        for value in self.answers.values() {
            collect_secrets(value, &mut secrets, &mut left);
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            if message.contains(secret.as_str()) {
                message = message.replace(secret.as_str(), "[redacted]");
            }
        }
        message
    }
}

/// How many bytes a secret has at least that is taken out of messages by its text.
pub(super) const SHORTEST: usize = 4;

/// How many values are looked at for secrets: a template can make many of few.
const LOOKED_AT: usize = 100_000;

fn collect_secrets(value: &Value, found: &mut Vec<Zeroizing<String>>, left: &mut usize) {
    let mut next = vec![value.clone()];
    while let Some(value) = next.pop() {
        let Some(fewer) = left.checked_sub(1) else { return };
        *left = fewer;
        match value {
            Value::String(text) | Value::Number(text)
                if text.is_secret() && text.len() >= SHORTEST =>
            {
                found.push(Zeroizing::new(text.text().into_owned()));
            }
            Value::List(list) => next.extend_from_slice(list.items()),
            Value::Map(map) => next.extend(map.entries().into_iter().map(|(_, item)| item)),
            Value::Object(object) => {
                next.extend(object.fields().iter().map(|(_, item)| item.clone()));
            }
            _ => (),
        }
    }
}

/// The body of an answer as `*dependency.Secret`.
fn secret(body: &[u8]) -> Result<Value, String> {
    let Value::Map(body) = json::parse(body, Numbers::Text, true)? else {
        return Err("the server's answer is no JSON object".to_owned());
    };
    Ok(Struct::value(
        "*dependency.Secret",
        vec![
            ("RequestID", plain_text(&body, "request_id")),
            ("LeaseID", plain_text(&body, "lease_id")),
            ("LeaseDuration", integer(&body, "lease_duration")),
            ("Renewable", flag(&body, "renewable")),
            ("Data", map(&body, "data")),
            ("Warnings", texts(&body, "warnings")),
            ("Auth", auth(&body)),
            ("WrapInfo", wrap_info(&body)),
        ],
    ))
}

fn auth(body: &Map) -> Value {
    const TYPE: &str = "*dependency.SecretAuth";
    let Some(Value::Map(auth)) = body.get_text("auth") else { return Value::NilPointer(TYPE) };
    let metadata = match auth.get_text("metadata") {
        Some(Value::Map(map)) => map.entries(),
        _ => Vec::new(),
    };
    Struct::value(
        TYPE,
        vec![
            ("ClientToken", auth.get_text("client_token").unwrap_or(Value::string(""))),
            ("Accessor", plain_text(&auth, "accessor")),
            ("Policies", texts(&auth, "policies")),
            ("Metadata", Value::Map(Map::new(MapType::StringString, metadata))),
            ("LeaseDuration", integer(&auth, "lease_duration")),
            ("Renewable", flag(&auth, "renewable")),
        ],
    )
}

fn wrap_info(body: &Map) -> Value {
    const TYPE: &str = "*dependency.SecretWrapInfo";
    let Some(Value::Map(info)) = body.get_text("wrap_info") else {
        return Value::NilPointer(TYPE);
    };
    Struct::value(
        TYPE,
        vec![
            ("Token", info.get_text("token").unwrap_or(Value::string(""))),
            ("TTL", integer(&info, "ttl")),
            ("CreationTime", plain_text(&info, "creation_time")),
            ("WrappedAccessor", plain_text(&info, "wrapped_accessor")),
        ],
    )
}

fn plain_text(body: &Map, key: &str) -> Value {
    match body.get_text(key) {
        Some(Value::String(text)) => Value::string(text.bytes()),
        _ => Value::string(""),
    }
}

fn integer(body: &Map, key: &str) -> Value {
    match body.get_text(key) {
        Some(Value::Number(text)) => Value::int(text.text().parse().unwrap_or(0)),
        _ => Value::int(0),
    }
}

fn flag(body: &Map, key: &str) -> Value {
    Value::Bool(matches!(body.get_text(key), Some(Value::Bool(true))))
}

fn map(body: &Map, key: &str) -> Value {
    match body.get_text(key) {
        Some(Value::Map(map)) => Value::Map(map),
        _ => Value::Map(Map::new(MapType::StringAny, [])),
    }
}

fn texts(body: &Map, key: &str) -> Value {
    let items = match body.get_text(key) {
        Some(Value::List(list)) => list.items().to_vec(),
        _ => Vec::new(),
    };
    Value::List(crate::value::List::new(crate::value::ListType::String, items))
}
