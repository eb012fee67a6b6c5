//! Logs in with a name and a password from a file: the methods `userpass`, `ldap` and `radius`,
//! whose logins are alike.
//!
//! The configuration is that of Vault's `ldap`. Unlike there, the file is removed only after the
//! server has accepted the login, a line end after the password is no part of it, and a name may
//! hold any character.

use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;
use usher_plugin::config::{WeakBool, WeakDuration};
use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate};
use usher_plugin_lib::{CredentialFile, Removal, Text, one_file, refused};

/// The method.
#[derive(Debug)]
pub struct UserPass;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Name of the user on the server.
    #[schemars(length(min = 1))]
    username: String,
    /// File with the password. One line end after it is no part of it.
    #[schemars(length(min = 1))]
    password_file_path: String,
    /// Remove the file after the first login with it has succeeded.
    #[serde(default = "WeakBool::yes")]
    remove_password_after_reading: WeakBool,
    /// If the file is a symbolic link, remove the file that it leads to, and leave the link.
    #[serde(default)]
    remove_password_follows_symlinks: WeakBool,
    /// Look for a new password this often. Not needed: the file is watched.
    password_read_period: Option<WeakDuration>,
}

impl AuthMethod for UserPass {
    type Config = Config;

    const ABOUT: About = About::new(
        "userpass",
        env!("CARGO_PKG_VERSION"),
        "Logs in with a name and a password from a file (userpass, ldap, radius)",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::Yes)
    .identifies("username");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        match config.username.as_str() {
            "" => return Err(refused("username", "empty", "is empty; write the user's name")),
            // In a URL these lead elsewhere, percent-encoded or not.
            "." | ".." => return Err(refused("username", "invalid", "can't be a name of dots")),
            _ => {}
        }
        if config.password_read_period.is_some_and(|period| period.0.is_zero()) {
            return Err(refused("password_read_period", "invalid", "must be longer than 0"));
        }
        one_file("password_file_path", &config.password_file_path)?;
        Ok(config.file().needs(config.removal()))
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let (password, revision) = config.file().read_or_recall(&[&config.username])?;
        let path = format!("login/{}", percent_encoded(&config.username));
        let login = Login::new(path, serde_json::json!({"password": password}));
        let answer = Answer::login(login).revision(revision);
        Ok(match config.password_read_period {
            Some(period) => answer.check_after(period.0),
            None => answer,
        })
    }

    fn authenticated(config: &Config) -> Result<(), Failure> {
        config.removal().map_or(Ok(()), |removal| config.file().remove_used(removal))
    }
}

usher_plugin::export!(auth_method: UserPass);

impl Config {
    fn file(&self) -> CredentialFile<'_> {
        CredentialFile {
            path: &self.password_file_path,
            what: "password",
            text: Text::Line,
            accept: |_| true,
        }
    }

    fn removal(&self) -> Option<Removal> {
        self.remove_password_after_reading.0.then_some(Removal {
            key: "remove_password_after_reading",
            follow_symlinks: self.remove_password_follows_symlinks.0,
        })
    }
}

/// As one segment of a path (RFC 3986, §2.3: unreserved characters stay).
fn percent_encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            // Writing to a String can't fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests;
