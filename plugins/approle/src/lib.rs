//! Logs in with a role-id and a secret-id from files: the `AppRole` method.
//!
//! The configuration is the incumbents'. Unlike theirs, the secret-id file is removed only after
//! the server has accepted the login, an unwrapped secret-id survives whatever happens after
//! unwrapping, and a new file always counts for more than what was read before.

mod memory;

use memory::{Memory, Remembered};
use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::config::WeakBool;
use usher_plugin::context::{self, Reason};
use usher_plugin::{
    About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate, files, json, log, server,
};
use usher_plugin_lib::{Saved, nothing_to_use, one_file};

/// The method.
#[derive(Debug)]
pub struct AppRole;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// File with the role-id.
    #[schemars(length(min = 1))]
    role_id_file_path: String,
    /// File with the secret-id, or with its wrapping token. Absent or empty: log in with the
    /// role-id alone.
    #[serde(default)]
    secret_id_file_path: String,
    /// Remove the secret-id file after the first login with it has succeeded.
    #[serde(default = "WeakBool::yes")]
    remove_secret_id_file_after_reading: WeakBool,
    /// The secret-id file holds a wrapping token that must have been made at exactly this path,
    /// such as `auth/approle/role/app/secret-id`.
    #[schemars(length(min = 1))]
    secret_id_response_wrapping_path: Option<String>,
}

impl AuthMethod for AppRole {
    type Config = Config;

    const ABOUT: About = About::new(
        "approle",
        env!("CARGO_PKG_VERSION"),
        "Logs in with a role-id and a secret-id from files",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::Yes)
    .identifies("role_id_file_path");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        one_file("role_id_file_path", &config.role_id_file_path)?;
        if let Some(path) = config.secret_id_file() {
            one_file("secret_id_file_path", path)?;
        }
        let wrapping_path = config.secret_id_response_wrapping_path.as_deref();
        if wrapping_path == Some("") {
            let key = "config.secret_id_response_wrapping_path";
            let message = format!(
                "`{key}` is empty; write the path that the secret-id was requested from, or leave it out"
            );
            return Err(Failure::config("config.empty", message).detail("key", key));
        }
        let mut needs = vec![Need::watch(&config.role_id_file_path)];
        if let Some(path) = config.secret_id_file() {
            needs.push(Need::watch(path));
            if config.remove_secret_id_file_after_reading.0 {
                needs.push(Need::remove(path));
            }
            if wrapping_path.is_some() {
                needs.push(Need::unwrap());
            }
        } else if wrapping_path.is_some() {
            log::warn(
                "secret_id_response_wrapping_path has no effect without secret_id_file_path",
                &[],
            );
        }
        Ok(needs)
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let mut memory = Saved::<Memory>::load();
        // The role-id first: without it the secret-id must stay wrapped.
        let role_id = role_id(config, &mut memory)?;
        let secret_id = match config.secret_id_file() {
            Some(path) if context::reason() == Reason::Explain && config.is_one_shot() => {
                return Err(left_unused(config, path));
            }
            Some(path) => Some(secret_id(config, path, &mut memory)?),
            None => None,
        };
        let mut body = serde_json::json!({"role_id": role_id});
        if let Some(secret_id) = &secret_id {
            body["secret_id"] = serde_json::json!(secret_id);
        }
        let answer = Answer::login(Login::new("login", body));
        if context::reason() == Reason::Explain {
            return Ok(answer);
        }
        let used = config.secret_id_file().and(memory.secret_id.as_ref());
        let content = used.map(|used| used.content.clone()).unwrap_or_default();
        let revision = memory.revision_key.revision(&[&role_id, &content]);
        Ok(if memory.save() { answer.revision(revision) } else { answer })
    }

    fn authenticated(config: &Config) -> Result<(), Failure> {
        let Some(path) = config.secret_id_file() else {
            return Ok(());
        };
        if !config.remove_secret_id_file_after_reading.0 {
            return Ok(());
        }
        let memory = Saved::<Memory>::load();
        let Some(used) = memory.secret_id.as_ref().filter(|used| used.path == path) else {
            return Ok(());
        };
        match files::read_trimmed(path) {
            Ok(content) if content == used.content => files::remove(path).map_err(|failure| {
                let message = format!(
                    "the used secret-id file was not removed: {}; if it is mounted read-only, set \
                     remove_secret_id_file_after_reading = false",
                    failure.message
                );
                Failure { message, ..failure }
            }),
            // Someone has put a new one there, which is still to be used.
            Ok(_) => Ok(()),
            Err(failure) if ["file.not-found", "file.empty"].contains(&failure.code.as_str()) => {
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

usher_plugin::export!(auth_method: AppRole);

impl Config {
    /// Whether the secret-id is gone once it was used.
    fn is_one_shot(&self) -> bool {
        self.remove_secret_id_file_after_reading.0
            || self.secret_id_response_wrapping_path.is_some()
    }

    /// None: role-id only, and the other keys have no effect.
    fn secret_id_file(&self) -> Option<&str> {
        Some(self.secret_id_file_path.as_str()).filter(|path| !path.is_empty())
    }
}

/// From the file, else what the file held last.
fn role_id(config: &Config, memory: &mut Saved<Memory>) -> Result<String, Failure> {
    let path = &config.role_id_file_path;
    match files::read_trimmed(path) {
        Ok(content) => {
            memory.role_id = Some(Remembered::plain(path, content.clone()));
            Ok(content)
        }
        Err(failure) => last_value(memory.role_id.as_ref(), path, false)
            .map(|last| last.value.clone())
            .ok_or_else(|| nothing_to_use("role-id", failure)),
    }
}

/// That the secret-id is there, or why not; it may work only once.
fn left_unused(config: &Config, path: &str) -> Failure {
    let content = match files::read_trimmed(path) {
        Ok(content) => content,
        Err(failure) => return nothing_to_use("secret-id", failure),
    };
    if config.secret_id_response_wrapping_path.is_some()
        && let Err(failure) = refuse_plain(path, &content)
    {
        return failure;
    }
    Failure::unavailable(
        "explain.one-shot",
        format!(
            "the role-id is there; what is in {path} may work only once and was left unused, --consume uses it"
        ),
    )
}

/// From the file, unwrapped if need be, else what the file held last.
fn secret_id(config: &Config, path: &str, memory: &mut Saved<Memory>) -> Result<String, Failure> {
    let creation_path = config.secret_id_response_wrapping_path.as_deref();
    let last = last_value(memory.secret_id.as_ref(), path, creation_path.is_some());
    let last_content = last.map(|last| last.content.clone());
    match (files::read_trimmed(path), last_content) {
        (Err(failure), None) => return Err(nothing_to_use("secret-id", failure)),
        (Err(_), Some(_)) => {}
        (Ok(content), Some(known)) if content == known => {}
        (Ok(content), _) => {
            if let Some(creation_path) = creation_path {
                let value = unwrap(path, &content, creation_path)?;
                memory.secret_id = Some(Remembered::unwrapped(path, content, value));
                memory.save();
            } else {
                if looks_wrapped(&content) {
                    log::warn(
                        &format!(
                            "what is in {path} looks like a wrapping token and is sent as it is; to \
                             have it unwrapped set secret_id_response_wrapping_path"
                        ),
                        &[],
                    );
                }
                memory.secret_id = Some(Remembered::plain(path, content));
            }
        }
    }
    match &memory.secret_id {
        Some(known) if !known.value.is_empty() => Ok(known.value.clone()),
        _ => Err(Failure::denied(
            "approle.not-a-secret-id",
            format!("what the wrapping token in {path} held is no secret-id; write a new wrapped one there"),
        )
        .detail("file", path)),
    }
}

/// What was remembered of this file, in case it was of the same use.
fn last_value<'m>(
    remembered: Option<&'m Remembered>,
    path: &str,
    wrapped: bool,
) -> Option<&'m Remembered> {
    remembered.filter(|known| known.path == path && known.wrapped == wrapped)
}

/// The secret-id behind a wrapping token; empty if there is none, so that the token, which is
/// used now, can be remembered as used.
fn unwrap(path: &str, token: &str, creation_path: &str) -> Result<String, Failure> {
    refuse_plain(path, token)?;
    let answer = server::unwrap(token, Some(creation_path)).map_err(|failure| {
        let message = match failure.code.as_str() {
            "wrapping.used" => format!(
                "the wrapping token in {path} was used before or has expired: if it was not used \
                 by you, the secret-id may have been intercepted; have it revoked and write a new \
                 wrapped one to {path}"
            ),
            "wrapping.creation-path" => format!(
                "the creation path of the wrapping token in {path} is not {creation_path}: it may \
                 have been put there by somebody else, and stays wrapped; write a new one, or \
                 correct secret_id_response_wrapping_path"
            ),
            _ => return failure.detail("file", path),
        };
        let cause = failure.message.clone();
        Failure { message, ..failure }.detail("file", path).detail("cause", cause)
    })?;
    let answer: Unwrapped = json::read(answer.as_bytes()).unwrap_or_default();
    Ok(answer.data.secret_id)
}

/// A secret-id as the server makes it is a UUID, which no wrapping token is; the server needn't see
/// it to know.
fn refuse_plain(path: &str, content: &str) -> Result<(), Failure> {
    let is_of_uuid = |(at, c): (usize, char)| match at {
        8 | 13 | 18 | 23 => c == '-',
        _ => c.is_ascii_hexdigit(),
    };
    if content.len() != 36 || !content.char_indices().all(is_of_uuid) {
        return Ok(());
    }
    let message = format!(
        "what is in {path} is a plain secret-id and no wrapping token: have it issued wrapped \
         (-wrap-ttl), or leave secret_id_response_wrapping_path out"
    );
    Err(Failure::denied("approle.not-wrapped", message).detail("file", path))
}

/// Whether it has the form of a token, not that of a secret-id which the server made.
fn looks_wrapped(content: &str) -> bool {
    let of_token = ["hvs.", "hvb.", "s.", "b."].iter().find_map(|form| content.strip_prefix(form));
    of_token.is_some_and(|rest| rest.len() >= 24)
}

#[derive(Default, Deserialize)]
struct Unwrapped {
    data: SecretId,
}

#[derive(Default, Deserialize)]
struct SecretId {
    secret_id: String,
}

#[cfg(test)]
mod tests;
