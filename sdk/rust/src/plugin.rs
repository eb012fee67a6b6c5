//! What every plug-in says about itself: a name, a configuration schema and its needs.

use schemars::JsonSchema;
use serde_json::Value;
use std::fmt;

/// Who made what: shown to people by `usher plugin list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Shown to people. The name used in configuration is the file's own.
    pub name: &'static str,
    /// Of the plug-in, semantic versioning.
    pub version: &'static str,
    /// One line.
    pub summary: &'static str,
    /// SPDX expression; empty when not said.
    pub licence: &'static str,
    /// Where the source is; empty when not said.
    pub source: &'static str,
    /// Of a method; yes when not said.
    pub reauthenticate: Option<Reauthenticate>,
    /// Settings of a method that make another identity when they change, separated by commas;
    /// empty when not said.
    pub identifies: &'static str,
}

/// Whether a new credential (another `revision`) is a reason to log in while the token is good.
/// The operator's `enable_reauth_on_new_credentials` goes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reauthenticate {
    /// A watched file that changes, and `check_after`, lead to a call that looks for it.
    Yes,
    /// The platform replaces the credential all the time: it is looked at when the token needs it.
    No,
}

impl About {
    /// `version` is usually `env!("CARGO_PKG_VERSION")`.
    pub const fn new(name: &'static str, version: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            version,
            summary,
            licence: "",
            source: "",
            reauthenticate: None,
            identifies: "",
        }
    }

    /// Adds the licence, an SPDX expression.
    #[must_use]
    pub const fn licence(mut self, licence: &'static str) -> Self {
        self.licence = licence;
        self
    }

    /// Adds the address of the source.
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    /// Says whether a new credential is a reason to log in while the token is good.
    #[must_use]
    pub const fn reauthenticate(mut self, reauthenticate: Reauthenticate) -> Self {
        self.reauthenticate = Some(reauthenticate);
        self
    }

    /// Names the settings of a method that say who logs in, separated by commas: `"role, type"`.
    /// When a reload changes none of them, the agent keeps its token; without this it logs in anew
    /// whenever the configuration of the method changes.
    #[must_use]
    pub const fn identifies(mut self, settings: &'static str) -> Self {
        self.identifies = settings;
        self
    }
}

/// One thing that a configuration needs from the host. The operator decides what is granted.
///
/// Files are absolute, start with `~/`, or are relative to the agent's working directory. The
/// host puts environment variables in for `${NAME}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Need {
    /// `read`, `connect`, …: the names of the contract.
    pub capability: String,
    /// What of: a path, a URL, a name.
    pub target: String,
}

impl Need {
    /// Read a file.
    pub fn read(path: impl Into<String>) -> Self {
        Self::new("read", path)
    }

    /// Read a file, and be called when it changes.
    pub fn watch(path: impl Into<String>) -> Self {
        Self::new("watch", path)
    }

    /// Write a file, and the temporary file beside it.
    pub fn write(path: impl Into<String>) -> Self {
        Self::new("write", path)
    }

    /// Remove a file.
    pub fn remove(path: impl Into<String>) -> Self {
        Self::new("remove", path)
    }

    /// Read an environment variable.
    pub fn env(name: impl Into<String>) -> Self {
        Self::new("env", name)
    }

    /// Send HTTP requests to `scheme://host[:port][/path-prefix]`; the host may start `*.`.
    pub fn connect(origin: impl Into<String>) -> Self {
        Self::new("connect", origin)
    }

    /// Unwrap tokens at the secrets server.
    pub fn unwrap() -> Self {
        Self::new("server", "unwrap")
    }

    /// Answer with a token instead of a login.
    pub fn token() -> Self {
        Self::new("server", "token")
    }

    /// Replace the roots trusted for the secrets server.
    pub fn trust() -> Self {
        Self::new("server", "trust")
    }

    /// Talk to the key distribution centres of a Kerberos realm.
    pub fn kdc(realm: impl Into<String>) -> Self {
        Self::new("kdc", realm)
    }

    fn new(capability: &str, target: impl Into<String>) -> Self {
        Self { capability: capability.to_owned(), target: target.into() }
    }
}

impl fmt::Debug for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.capability, self.target)
    }
}

/// The JSON Schema (2020-12) of a plug-in's configuration.
pub(crate) fn config_schema<C: JsonSchema>() -> Value {
    schemars::schema_for!(C).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_schema_is_2020_12_and_marks_secrets() {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Config {
            /// Who logs in.
            name: String,
            password: crate::config::Secret,
            #[schemars(extend("writeOnly" = true))]
            pin: u32,
        }

        let schema = config_schema::<Config>();

        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["properties"]["name"]["description"], "Who logs in.");
        assert_eq!(schema["properties"]["password"]["writeOnly"], true);
        assert_eq!(schema["properties"]["pin"]["writeOnly"], true);
        assert_eq!(schema["required"], json!(["name", "password", "pin"]));
    }
}
