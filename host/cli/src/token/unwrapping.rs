//! Unwraps a token at the server, after asking where the wrapping token comes from.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use usher_agent::bind::connect;
use usher_config::Overrides;
use usher_envelope::WrapInfo;
use usher_secret::{Secret, redactor};
use usher_server::{Class, Scope};

use crate::runtime::runtime;
use crate::stop::{Stop, failure, usage};
use crate::terminal::complain;

/// Where sinks wrap.
const WRAP: &str = "sys/wrapping/wrap";

/// The token inside. Leaves it wrapped if the wrapping token was made elsewhere than expected.
pub(super) fn unwrap(
    file: &Path,
    info: &WrapInfo,
    expected: Option<&str>,
    overrides: Overrides,
) -> Result<Secret<String>, Stop> {
    let _live = redactor::keep_out_of_logs(&info.token);
    let (connection, problems) =
        usher_config::connection(&overrides, &|name| std::env::var(name).ok());
    for problem in problems {
        complain(&problem.to_string());
    }
    let Some(connection) = connection else {
        return Err(usage("--unwrap: the server can't be asked with these settings"));
    };
    let client = connect(&connection.server).map_err(failure)?;
    let scope = Scope::new(connection.namespace);
    let runtime = runtime().map_err(failure)?;
    let shown = file.display();
    let answer = runtime.block_on(async {
        let lookup = client.wrapping_lookup(&scope, &info.token).await;
        let found = lookup.map_err(|error| {
            failure(if error.wrapping_used() {
                gone(file, info, OffsetDateTime::now_utc())
            } else {
                format!("{shown}: {error}; it is still wrapped, try again")
            })
        })?;
        check(&found.creation_path, expected, &info.creation_path)
            .map_err(|problem| failure(format!("{shown}: {problem}")))?;
        client.unwrap(&scope, &info.token).await.map_err(|error| {
            failure(if error.wrapping_used() {
                gone(file, info, OffsetDateTime::now_utc())
            } else if error.class == Class::Passing {
                format!("{shown}: {error}; the wrapping token may be used up now: try again, and if it is, have the agent deliver a new one")
            } else {
                format!("{shown}: {error}")
            })
        })
    })?;
    token_of(&answer).ok_or_else(|| {
        failure(format!("{shown}: what was wrapped is no token of a sink or a login; it is used up now, find out who wrapped it"))
    })
}

/// Whether the path that made the wrapping token is the right one. `written` is what the file
/// says, and whoever can write the file can write that.
fn check(found: &str, expected: Option<&str>, written: &str) -> Result<(), String> {
    let (right, rule) = match expected {
        Some(path) => {
            let path = path.trim_matches('/');
            let path = path.strip_prefix("v1/").unwrap_or(path);
            (found == path, format!("not by {path} as --creation-path demands"))
        }
        None if !written.is_empty() && written != found => {
            (false, format!("not by {written:?} as the file says"))
        }
        None => (
            found == WRAP || is_login(found),
            format!(
                "neither by {WRAP} nor by a login; if that is right, give --creation-path {found}"
            ),
        ),
    };
    if right {
        return Ok(());
    }
    Err(format!(
        "the wrapping token was made by {found}, {rule}. Somebody may have intercepted the token and wrapped another one; it was left wrapped, find out where it comes from"
    ))
}

/// "auth/approle/login", "auth/team/ldap/login/ann".
fn is_login(path: &str) -> bool {
    path.strip_prefix("auth/")
        .is_some_and(|rest| rest.split('/').skip(1).any(|part| part == "login"))
}

/// What to say of a wrapping token that is gone. `now` tells a used one from an old one, as far
/// as the file is to be believed.
fn gone(file: &Path, info: &WrapInfo, now: OffsetDateTime) -> String {
    let end = OffsetDateTime::parse(&info.creation_time, &Rfc3339)
        .ok()
        .filter(|_| info.ttl > Duration::ZERO)
        .and_then(|start| start.checked_add(info.ttl.try_into().ok()?));
    let shown = file.display();
    match end.and_then(|end| Some((end, end.format(&Rfc3339).ok()?))) {
        Some((end, text)) if end <= now => format!(
            "{shown}: the wrapping token expired at {text}, or somebody used it before then. Have the agent deliver a new one (it does at its next login), or choose a longer wrap_ttl. If it should have been read in time, treat this as a possible interception: find out from the server's audit log whether it was unwrapped"
        ),
        end => {
            let valid = end.map(|(_, text)| format!(", which was valid until {text},"));
            format!(
                "{shown}: POSSIBLE INTERCEPTION: the wrapping token{} was already used, or this server doesn't know it (check --address and --namespace). Unless you unwrapped it yourself, somebody else has the token: revoke it (by its accessor, if the file has a wrapped_accessor), find out from the server's audit log who unwrapped it, and have the agent log in again",
                valid.unwrap_or_default()
            )
        }
    }
}

/// A sink wraps `{"token": …}`, a method its login's answer.
fn token_of(answer: &Secret<String>) -> Option<Secret<String>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Data>,
        auth: Option<Auth>,
    }
    #[derive(Deserialize)]
    struct Data {
        token: Option<String>,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: Option<String>,
    }
    let answer: Answer = serde_json::from_str(answer.expose()).ok()?;
    let token = match (answer.auth, answer.data) {
        (Some(auth), _) => auth.client_token,
        (None, data) => data?.token,
    }?;
    (!token.is_empty()).then(|| Secret::new(token))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn token(answer: &str) -> Option<String> {
        token_of(&Secret::new(answer.into())).map(|token| token.expose().clone())
    }

    #[test]
    fn the_token_is_found_in_what_a_sink_or_a_method_wrapped() {
        assert_eq!(token(r#"{"data":{"token":"s.t"},"auth":null}"#).as_deref(), Some("s.t"));
        assert_eq!(token(r#"{"data":null,"auth":{"client_token":"s.t"}}"#).as_deref(), Some("s.t"));
        for answer in ["{}", "[]", r#"{"data":{"token":""}}"#, r#"{"data":{"token":7}}"#] {
            assert_eq!(token(answer), None, "{answer}");
        }
    }

    #[test]
    fn without_creation_path_a_sinks_wrapping_and_a_login_are_right() {
        for path in [WRAP, "auth/approle/login", "auth/team/ldap/login/ann"] {
            assert_eq!(check(path, None, path), Ok(()));
            assert_eq!(check(path, None, ""), Ok(()));
        }
        for path in ["auth/token/create", "secret/data/login", "auth/login", "sys/wrapping/rewrap"]
        {
            let problem = check(path, None, path).expect_err("refused");
            assert!(problem.contains(&format!("--creation-path {path}")), "{problem}");
        }
        let problem = check(WRAP, None, "auth/approle/login").expect_err("refused");
        assert!(problem.contains("as the file says"), "{problem}");
    }

    #[test]
    fn a_given_creation_path_is_the_only_right_one_whatever_the_file_says() {
        for written in ["/auth/token/create", "v1/auth/token/create", "auth/token/create/"] {
            assert_eq!(check("auth/token/create", Some(written), WRAP), Ok(()));
        }
        let problem = check(WRAP, Some("auth/approle/login"), WRAP).expect_err("refused");
        assert!(
            problem.contains("made by sys/wrapping/wrap, not by auth/approle/login"),
            "{problem}"
        );
    }

    #[test]
    fn a_wrapping_token_that_is_gone_too_early_is_an_interception() {
        let info = |time: &str, ttl| WrapInfo {
            token: Secret::new("s.w".into()),
            accessor: String::new(),
            ttl: Duration::from_secs(ttl),
            creation_time: time.into(),
            creation_path: WRAP.into(),
            wrapped_accessor: String::new(),
        };
        let now = datetime!(2026-11-22 01:00:00 UTC);
        let said = |time, ttl| gone(Path::new("/run/token"), &info(time, ttl), now);
        let early = said("2026-11-22T00:59:00.871311956Z", 300);
        assert!(early.contains("POSSIBLE INTERCEPTION"), "{early}");
        assert!(early.contains("valid until 2026-11-22T01:04:00.871311956Z"), "{early}");
        let late = said("2026-11-22T00:54:00Z", 300);
        assert!(late.contains("expired at 2026-11-22T00:59:00Z"), "{late}");
        for unknown in [said("", 300), said("2026-11-22T00:54:00Z", 0)] {
            assert!(unknown.contains("POSSIBLE INTERCEPTION"), "{unknown}");
        }
    }
}
