//! Hands over a token that something else has put into a file: the `token_file` method.
//!
//! The configuration is the incumbents'. The host looks the token up and renews it if it can be.
//! Unlike the incumbents' the file is watched: another token in it is taken at once.

use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::{About, Answer, AuthMethod, Failure, Need, Reauthenticate};
use usher_plugin_lib::{CredentialFile, Text, one_file};

/// The method.
#[derive(Debug)]
pub struct TokenFile;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// File with the token. It is never removed.
    #[schemars(length(min = 1))]
    token_file_path: String,
}

impl AuthMethod for TokenFile {
    type Config = Config;

    const ABOUT: About =
        About::new("token_file", env!("CARGO_PKG_VERSION"), "Takes over a token from a file")
            .licence("Apache-2.0")
            .reauthenticate(Reauthenticate::Yes)
            .identifies("token_file_path");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        one_file("token_file_path", &config.token_file_path)?;
        let mut needs = config.file().needs(None);
        needs.push(Need::token());
        Ok(needs)
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let (token, revision) = config.file().read_or_recall(&[])?;
        Ok(Answer::token(token).revision(revision))
    }
}

usher_plugin::export!(auth_method: TokenFile);

impl Config {
    fn file(&self) -> CredentialFile<'_> {
        CredentialFile {
            path: &self.token_file_path,
            what: "token",
            text: Text::Trimmed,
            accept: is_one_word,
        }
    }
}

/// A token is sent as a header: anything else can't be one.
fn is_one_word(text: &str) -> bool {
    text.len() <= 8 << 10 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
