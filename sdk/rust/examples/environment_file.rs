//! A sink that writes the token as a variable: an `EnvironmentFile` of systemd, a dotenv file or
//! JSON.
//!
//! ```hcl
//! sink {
//!   type = "environment-file"
//!   config = { path = "/run/app/vault.env", variable = "VAULT_TOKEN", format = "systemd" }
//! }
//!
//! plugin "environment-file" {
//!   allow {
//!     write  = ["/run/app/vault.env"]
//!     remove = ["/run/app/vault.env"]
//!   }
//! }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::files::{self, WriteOptions};
use usher_plugin::{About, Delivery, Failure, Need, Sink};

/// The sink.
pub struct EnvironmentFile;

/// The `config` block.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file to write.
    path: String,
    /// Name of the variable.
    #[serde(default = "variable")]
    variable: String,
    /// What reads the file.
    #[serde(default)]
    format: Format,
}

/// How a variable is written.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `NAME="value"` (systemd.exec(5)).
    #[default]
    Systemd,
    /// `NAME='value'`.
    Dotenv,
    /// `{"NAME": "value"}`.
    Json,
}

fn variable() -> String {
    "VAULT_TOKEN".to_owned()
}

impl Sink for EnvironmentFile {
    type Config = Config;
    const ABOUT: About = About::new(
        "environment-file",
        env!("CARGO_PKG_VERSION"),
        "Writes the token as a variable of an environment, dotenv or JSON file",
    );

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        let mut characters = config.variable.chars();
        let starts =
            characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
        if !starts || !characters.all(|each| each.is_ascii_alphanumeric() || each == '_') {
            let message = format!("{:?} is no name of a variable", config.variable);
            return Err(Failure::config("environment-file.variable", message));
        }
        Ok(vec![Need::write(&config.path), Need::remove(&config.path)])
    }

    fn check(config: &Config) -> Result<(), Failure> {
        files::check_write(&config.path, &WriteOptions::mode(0o640))
    }

    fn deliver(config: &Config, delivery: &Delivery) -> Result<(), Failure> {
        let value = str::from_utf8(&delivery.content)
            .ok()
            .filter(|value| !value.contains(['\n', '\r', '\'']))
            .ok_or_else(|| {
                let message = "what is delivered doesn't fit on one line; use the file sink";
                Failure::config("environment-file.value", message)
            })?;
        let line = config.format.line(&config.variable, value);
        files::write(&config.path, line.as_bytes(), &WriteOptions::mode(0o640))
    }

    fn withdraw(config: &Config) -> Result<(), Failure> {
        files::remove(&config.path)
    }
}

impl Format {
    fn line(self, name: &str, value: &str) -> String {
        match self {
            Self::Systemd => {
                let mut quoted = String::new();
                for character in value.chars() {
                    if ['"', '\\', '`', '$'].contains(&character) {
                        quoted.push('\\');
                    }
                    quoted.push(character);
                }
                format!("{name}=\"{quoted}\"\n")
            }
            // No dotenv reader expands or unescapes within single quotes.
            Self::Dotenv => format!("{name}='{value}'\n"),
            Self::Json => format!("{}\n", serde_json::json!({ name: value })),
        }
    }
}

usher_plugin::export!(sink: EnvironmentFile);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use usher_plugin::testing::{self, Host};

    use super::*;

    #[test]
    fn each_format_holds_the_token_and_withdraw_removes_it() {
        for (format, expected) in [
            ("systemd", "VAULT_TOKEN=\"s.\\$a\"\n"),
            ("dotenv", "VAULT_TOKEN='s.$a'\n"),
            ("json", "{\"VAULT_TOKEN\":\"s.$a\"}\n"),
        ] {
            let host = Host::install();
            let config = json!({ "path": "/run/app/vault.env", "format": format });
            testing::check::<EnvironmentFile>(&config).unwrap();
            testing::deliver::<EnvironmentFile>(&config, &Delivery::token("s.$a")).unwrap();
            let file = host.file("/run/app/vault.env").unwrap();
            assert_eq!((file.content.as_slice(), file.mode), (expected.as_bytes(), 0o640));
            testing::withdraw::<EnvironmentFile>(&config).unwrap();
            assert_eq!(host.file("/run/app/vault.env"), None);
        }
    }

    #[test]
    fn what_is_no_name_or_no_line_is_refused() {
        let _host = Host::install();
        let config = json!({ "path": "/e", "variable": "1A" });
        let failure = testing::prepare_sink::<EnvironmentFile>(&config).unwrap_err();
        assert_eq!(failure.code, "environment-file.variable");
        let config = json!({ "path": "/e" });
        let delivery = Delivery::token("a\nb");
        let failure = testing::deliver::<EnvironmentFile>(&config, &delivery).unwrap_err();
        assert_eq!(failure.code, "environment-file.value");
    }
}
