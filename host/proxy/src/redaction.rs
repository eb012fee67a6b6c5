//! Takes the agent's token out of an answer about it, where the incumbents do.

use serde_json::{Map, Value};
use usher_secret::Secret;
use zeroize::{Zeroize as _, Zeroizing};

/// The answer without the token and its accessor: both are left out of `data` and empty in `auth`, as
/// with the incumbents. `None`: it isn't about this token, and goes on as it is.
pub(crate) fn redact(body: &[u8], token: &Secret<String>) -> Option<Zeroizing<Vec<u8>>> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let fields = answer.as_object_mut()?;
    let mut about_it = false;
    if let Some(data) = fields.get_mut("data").and_then(Value::as_object_mut)
        && is(data, "id", token)
    {
        about_it = true;
        wipe(data.remove("id"));
        data.remove("accessor");
    }
    if let Some(auth) = fields.get_mut("auth").and_then(Value::as_object_mut)
        && is(auth, "client_token", token)
    {
        about_it = true;
        wipe(auth.insert("client_token".to_owned(), Value::from("")));
        auth.insert("accessor".to_owned(), Value::from(""));
    }
    if !about_it {
        return None;
    }
    let mut redacted = Zeroizing::new(serde_json::to_vec(&answer).ok()?);
    redacted.push(b'\n');
    Some(redacted)
}

fn is(fields: &Map<String, Value>, name: &str, token: &Secret<String>) -> bool {
    fields.get(name).and_then(Value::as_str).is_some_and(|text| text == token.expose())
}

fn wipe(value: Option<Value>) {
    if let Some(Value::String(mut text)) = value {
        text.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(body: &str) -> Option<String> {
        let token = Secret::new("hvs.agent".to_owned());
        let redacted = redact(body.as_bytes(), &token)?;
        Some(String::from_utf8(redacted.to_vec()).unwrap())
    }

    #[test]
    fn the_agents_token_and_its_accessor_are_taken_out() {
        let looked_up = r#"{"auth":null,"data":{"accessor":"a","id":"hvs.agent","ttl":5}}"#;
        let without = "{\"auth\":null,\"data\":{\"ttl\":5}}\n";
        assert_eq!(redacted(looked_up).as_deref(), Some(without));
        let renewed = r#"{"auth":{"accessor":"a","client_token":"hvs.agent","renewable":true}}"#;
        let without = "{\"auth\":{\"accessor\":\"\",\"client_token\":\"\",\"renewable\":true}}\n";
        assert_eq!(redacted(renewed).as_deref(), Some(without));
    }

    #[test]
    fn what_is_about_another_token_or_no_json_goes_on_as_it_is() {
        for body in [
            r#"{"data":{"id":"hvs.other","accessor":"a"}}"#,
            r#"{"auth":{"client_token":"","accessor":"a"}}"#,
            r#"{"data":null}"#,
            "[]",
            "<html>",
            "",
        ] {
            assert_eq!(redacted(body), None, "{body}");
        }
    }
}
