//! What `usher status --json` prints: the agent and its identities at one moment.
//!
//! The format is documented in `docs/status.md`. Fields are added, never changed or taken away, so
//! the command also understands an agent that is newer or older than itself.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of the agent.
    pub version: String,
    /// When it was started.
    #[serde(with = "moment")]
    pub started_at: SystemTime,
    /// Whether every sink of every identity holds a good token.
    pub ready: bool,
    /// Absent from agents that don't count yet.
    #[serde(default)]
    pub server: ServerReport,
    /// In the order in which they were set up.
    pub identities: Vec<IdentityReport>,
    /// Those in use, methods first. Absent from agents that don't tell yet.
    #[serde(default)]
    pub plugins: Vec<PluginReport>,
}

/// A plug-in in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginReport {
    /// As in the configuration.
    pub name: String,
    /// "auth-method" or "sink".
    pub kind: String,
    /// Whether it serves its uses; else they wait for it.
    pub loaded: bool,
    /// "built-in", or the path of the file. Of one that is loaded, as the next two.
    pub origin: Option<String>,
    /// As the plug-in says.
    pub version: Option<String>,
    /// Of the file, in hexadecimal digits.
    pub sha256: Option<String>,
    /// When a file took its place while the agent ran.
    #[serde(with = "moment::optional")]
    pub last_load_at: Option<SystemTime>,
    /// Files that took their place while the agent ran, and files that couldn't.
    pub loads: Counts,
    /// What was last wrong with its file.
    pub last_error: Option<PluginErrorReport>,
}

/// What was wrong with a plug-in's file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PluginErrorReport {
    /// For people, redacted.
    pub message: String,
    /// When.
    #[serde(with = "moment")]
    pub at: SystemTime,
    /// Whether it is still so.
    pub current: bool,
}

/// Requests to the secrets server, since the agent got to know it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ServerReport {
    /// Held to one request a second until the server answers again.
    pub in_trouble: bool,
    /// With an answer that does what was asked.
    pub succeeded: u64,
    /// With an answer that says no.
    pub refused: u64,
    /// Without an answer, or with one that says that the server is in trouble.
    pub passing: u64,
}

/// One identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentityReport {
    /// As in the configuration.
    pub name: String,
    /// The auth method's type, such as "approle".
    pub method: String,
    /// One of `super::STATES`.
    pub state: String,
    /// Whether every sink holds the good token.
    pub ready: bool,
    /// None: no login has succeeded yet.
    pub token: Option<TokenReport>,
    /// None while an answer is awaited.
    pub next_action: Option<ActionReport>,
    /// None: no login has succeeded yet.
    #[serde(with = "moment::optional")]
    pub last_login_at: Option<SystemTime>,
    /// Attempts to log in.
    pub logins: Counts,
    /// Attempts to renew the token.
    pub renewals: Counts,
    /// Look-ups of the token, to see whether it still lives.
    pub checks: Counts,
    /// Of logins, renewals and checks.
    pub last_error: Option<ErrorReport>,
    /// In the order of the configuration.
    pub sinks: Vec<SinkReport>,
}

/// The newest token, good or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenReport {
    /// As the server calls it.
    pub accessor: String,
    /// Counts the identity's tokens from 1.
    pub generation: u64,
    /// Its deadline; None: it never expires.
    #[serde(with = "moment::optional")]
    pub expires_at: Option<SystemTime>,
}

/// What comes next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActionReport {
    /// "login", "look", "renewal", "check", "delivery" or "expiry".
    pub action: String,
    /// When it is due.
    #[serde(with = "moment")]
    pub at: SystemTime,
}

/// How often something went well and failed, since the identity was set up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Went well.
    pub succeeded: u64,
    /// Failed.
    pub failed: u64,
}

/// The last failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorReport {
    /// "login", "renewal", "check" or "delivery".
    pub action: String,
    /// "passing", "refused" or "configuration".
    pub class: String,
    /// What failed, for programs.
    pub code: String,
    /// What failed, for people; redacted.
    pub message: String,
    /// The first failure in this row.
    #[serde(with = "moment")]
    pub since: SystemTime,
    /// The last one.
    #[serde(with = "moment")]
    pub at: SystemTime,
    /// Failures in a row.
    pub count: u64,
    /// Whether it still matters; false: what failed has succeeded since.
    pub current: bool,
}

/// One sink.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SinkReport {
    /// "file" or, with several sinks, "file 2".
    pub name: String,
    /// Its type, such as "file".
    pub kind: String,
    /// Whether it waits for a good token that it doesn't hold yet.
    pub pending: bool,
    /// Which token it holds.
    pub generation: Option<u64>,
    /// None: nothing was delivered yet.
    #[serde(with = "moment::optional")]
    pub last_delivery_at: Option<SystemTime>,
    /// Attempts to deliver.
    pub deliveries: Counts,
    /// Of deliveries.
    pub last_error: Option<ErrorReport>,
}

/// A time as RFC 3339 has it, in UTC with milliseconds: "2026-11-22T04:17:21.632Z".
pub mod moment {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use time::OffsetDateTime;
    use time::format_description::BorrowedFormatItem;
    use time::format_description::well_known::Rfc3339;
    use time::macros::format_description;

    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

    /// The text of this time.
    pub fn text(at: SystemTime) -> String {
        OffsetDateTime::from(at).format(FORMAT).unwrap_or_default()
    }

    pub(super) fn serialize<S: Serializer>(
        at: &SystemTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*at))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map(SystemTime::from).map_err(D::Error::custom)
    }

    pub(super) mod optional {
        use std::time::SystemTime;

        use serde::{Deserialize, Deserializer, Serializer};

        #[allow(clippy::ref_option, reason = "serde hands it over like this")]
        pub(crate) fn serialize<S: Serializer>(
            at: &Option<SystemTime>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match at {
                Some(at) => super::serialize(at, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<SystemTime>, D::Error> {
            #[derive(Deserialize)]
            struct Moment(#[serde(with = "super")] SystemTime);
            Ok(Option::<Moment>::deserialize(deserializer)?.map(|moment| moment.0))
        }
    }
}
