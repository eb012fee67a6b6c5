//! Logs in with a JWT from a file or an environment variable: the `jwt` method.
//!
//! The configuration is the incumbents', and a variable besides. Unlike theirs, the file is
//! removed only after the server has accepted the login, and white space is no part of the JWT.

use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::config::{WeakBool, WeakDuration};
use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate, env};
use usher_plugin_lib::{
    CredentialFile, Removal, Text, looks_like_jwt, named_role, one_file, refused, revision,
};

/// The method.
#[derive(Debug)]
pub struct Jwt;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// File with the JWT. Either this or `environment_variable` is required.
    #[serde(default)]
    path: String,
    /// Environment variable with the JWT, instead of a file.
    #[serde(default)]
    environment_variable: String,
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
    /// Remove the file after the first login with it has succeeded.
    #[serde(default = "WeakBool::yes")]
    remove_jwt_after_reading: WeakBool,
    /// If `path` is a symbolic link, remove the file that it leads to, and leave the link.
    #[serde(default)]
    remove_jwt_follows_symlinks: WeakBool,
    /// Look for a new JWT this often. Not needed: the file is watched.
    jwt_read_period: Option<WeakDuration>,
}

impl AuthMethod for Jwt {
    type Config = Config;

    const ABOUT: About = About::new(
        "jwt",
        env!("CARGO_PKG_VERSION"),
        "Logs in with a JWT from a file or an environment variable",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::Yes)
    .identifies("role, path, environment_variable");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        if config.jwt_read_period.is_some_and(|period| period.0.is_zero()) {
            return Err(refused("jwt_read_period", "invalid", "must be longer than 0"));
        }
        match (config.path.is_empty(), config.environment_variable.is_empty()) {
            (false, true) => {
                one_file("path", &config.path)?;
                Ok(config.file().needs(config.removal()))
            }
            (true, false) => Ok(vec![Need::env(&config.environment_variable)]),
            (true, true) => Err(refused(
                "path",
                "missing",
                "is missing; write the path of the JWT's file, or an environment_variable",
            )),
            (false, false) => Err(refused(
                "environment_variable",
                "invalid",
                "can't be used together with `path`; leave one of them out",
            )),
        }
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let (jwt, revision) = if config.path.is_empty() {
            let jwt = from_environment(&config.environment_variable)?;
            let revision = revision(&[&jwt, &config.role]);
            (jwt, revision)
        } else {
            config.file().read_or_recall(&[&config.role])?
        };
        let body = serde_json::json!({"jwt": jwt, "role": config.role});
        let answer = Answer::login(Login::new("login", body)).revision(revision);
        Ok(match config.jwt_read_period {
            Some(period) => answer.check_after(period.0),
            None => answer,
        })
    }

    fn authenticated(config: &Config) -> Result<(), Failure> {
        match config.removal() {
            Some(removal) if !config.path.is_empty() => config.file().remove_used(removal),
            _ => Ok(()),
        }
    }
}

usher_plugin::export!(auth_method: Jwt);

impl Config {
    fn file(&self) -> CredentialFile<'_> {
        CredentialFile {
            path: &self.path,
            what: "JWT",
            text: Text::Trimmed,
            accept: looks_like_jwt,
        }
    }

    fn removal(&self) -> Option<Removal> {
        self.remove_jwt_after_reading.0.then_some(Removal {
            key: "remove_jwt_after_reading",
            follow_symlinks: self.remove_jwt_follows_symlinks.0,
        })
    }
}

/// What an agent was started with changes only with a new start.
fn from_environment(name: &str) -> Result<String, Failure> {
    let value = env::get(name)?.unwrap_or_default();
    let jwt = value.trim();
    if looks_like_jwt(jwt) {
        return Ok(jwt.to_owned());
    }
    let (code, what) = if jwt.is_empty() {
        ("env.unset", "is not set")
    } else {
        ("env.not-a-jwt", "holds no JWT")
    };
    let message = format!("the environment variable {name} {what}; set it before the agent starts");
    Err(Failure::config(code, message).detail("key", "config.environment_variable"))
}

#[cfg(test)]
mod tests;
