//! What a wrapping sink delivers instead of the token.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use usher_secret::Secret;

use crate::error::{Document, Error};
use crate::json::{self, Text};

/// A wrapping token and what the server says of it. No `Debug`: it holds the token.
#[derive(Clone, PartialEq, Eq)]
pub struct WrapInfo {
    /// The wrapping token.
    pub token: Secret<String>,
    /// Names the wrapping token without being it.
    pub accessor: String,
    /// How long it can be unwrapped; whole seconds are written.
    pub ttl: Duration,
    /// RFC 3339 with nanoseconds, written as it is.
    pub creation_time: String,
    /// What was wrapped: "sys/wrapping/wrap" by a sink, "auth/approle/login" by a method.
    pub creation_path: String,
    /// Accessor of the token inside; "" when a sink wrapped it.
    pub wrapped_accessor: String,
}

impl WrapInfo {
    /// The incumbents' one-line JSON, with a line break.
    pub fn to_json(&self) -> Secret<Vec<u8>> {
        #[derive(Serialize)]
        struct Form<'a> {
            token: &'a str,
            accessor: &'a str,
            ttl: u64,
            creation_time: &'a str,
            creation_path: &'a str,
            wrapped_accessor: &'a str,
        }
        let form = Form {
            token: self.token.expose(),
            accessor: &self.accessor,
            ttl: self.ttl.as_secs(),
            creation_time: &self.creation_time,
            creation_path: &self.creation_path,
            wrapped_accessor: &self.wrapped_accessor,
        };
        let texts = [
            form.token,
            form.accessor,
            form.creation_time,
            form.creation_path,
            form.wrapped_accessor,
        ];
        let capacity = NAMES + LONGEST_ESCAPE * texts.iter().map(|text| text.len()).sum::<usize>();
        Secret::new(std::mem::take(&mut *json::line(&form, capacity)))
    }

    /// Reads it back. Only the token must be there; other members are ignored.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Form<'a> {
            #[serde(borrow)]
            token: Option<Text<'a>>,
            #[serde(default)]
            accessor: Option<String>,
            #[serde(default)]
            ttl: Option<i64>,
            #[serde(default)]
            creation_time: Option<String>,
            #[serde(default)]
            creation_path: Option<String>,
            #[serde(default)]
            wrapped_accessor: Option<String>,
        }
        let form: Form<'_> = json::read(Document::WrapInfo, text)?;
        let token = form.token.as_ref().map_or("", Text::as_str);
        if token.is_empty() {
            return Err(Error::Member(Document::WrapInfo, "token", "is missing"));
        }
        Ok(Self {
            token: Secret::new(token.to_owned()),
            accessor: form.accessor.unwrap_or_default(),
            ttl: Duration::from_secs(form.ttl.unwrap_or(0).try_into().unwrap_or(0)),
            creation_time: form.creation_time.unwrap_or_default(),
            creation_path: form.creation_path.unwrap_or_default(),
            wrapped_accessor: form.wrapped_accessor.unwrap_or_default(),
        })
    }
}

/// More bytes than the members' names, the number and the punctuation take.
const NAMES: usize = 160;

/// Bytes that one byte takes at most: `\u0001`.
const LONGEST_ESCAPE: usize = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info() -> WrapInfo {
        WrapInfo {
            token: Secret::new("s.wrapping".into()),
            accessor: "accessor".into(),
            ttl: Duration::from_mins(5),
            creation_time: "2026-11-22T01:06:41.871311956Z".into(),
            creation_path: "auth/approle/login".into(),
            wrapped_accessor: "inner".into(),
        }
    }

    #[test]
    fn the_json_has_the_incumbents_members_types_and_order() {
        let text = String::from_utf8(info().to_json().expose().clone()).expect("text");
        assert_eq!(
            text,
            "{\"token\":\"s.wrapping\",\"accessor\":\"accessor\",\"ttl\":300,\
             \"creation_time\":\"2026-11-22T01:06:41.871311956Z\",\
             \"creation_path\":\"auth/approle/login\",\"wrapped_accessor\":\"inner\"}\n"
        );
    }

    #[test]
    fn a_token_alone_is_enough_and_no_token_is_not() {
        let read = WrapInfo::from_json(br#"{"token":"s.w","ttl":null,"more":[1]}"#);
        let read = read.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.token.expose(), "s.w");
        assert_eq!(read.ttl, Duration::ZERO);
        for text in ["{}", r#"{"token":""}"#, r#"{"token":null}"#] {
            let problem = WrapInfo::from_json(text.as_bytes()).err().expect("refused").to_string();
            assert!(problem.contains("\"token\" is missing"), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn it_reads_back_as_it_was_written(token in ".{1,60}", path in ".{0,60}", ttl: u32) {
            let ttl = Duration::from_secs(ttl.into());
            let token = Secret::new(token);
            let info = WrapInfo { token, creation_path: path, ttl, ..info() };
            let text = info.to_json();
            let read = WrapInfo::from_json(text.expose()).unwrap_or_else(|error| panic!("{error}"));
            prop_assert!(read == info);
        }
    }
}
