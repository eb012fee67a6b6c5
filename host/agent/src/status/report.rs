//! What `usher status --json` prints: the agent and its identities at one moment.
//!
//! The format is documented in `docs/status.md`. Fields are added, never changed or taken away, so
//! the command also understands an agent that is newer or older than itself.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Of the agent.
    pub(crate) version: String,
    #[serde(with = "moment")]
    pub(crate) started_at: SystemTime,
    /// Whether every sink of every identity holds a good token.
    pub(crate) ready: bool,
    /// Absent from agents that don't count yet.
    #[serde(default)]
    pub(crate) server: ServerReport,
    /// In the order in which they were set up.
    pub(crate) identities: Vec<IdentityReport>,
    /// Those in use, methods first. Absent from agents that don't tell yet.
    #[serde(default)]
    pub(crate) plugins: Vec<PluginReport>,
}

/// A plug-in in use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PluginReport {
    /// As in the configuration.
    pub(crate) name: String,
    /// "auth-method" or "sink".
    pub(crate) kind: String,
    /// Whether it serves its uses; else they wait for it.
    pub(crate) loaded: bool,
    /// "built-in", or the path of the file. Of one that is loaded, as the next two.
    pub(crate) origin: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) sha256: Option<String>,
    /// When a file took its place while the agent ran.
    #[serde(with = "moment::optional")]
    pub(crate) last_load_at: Option<SystemTime>,
    /// Files that took their place while the agent ran, and files that couldn't.
    pub(crate) loads: Counts,
    pub(crate) last_error: Option<PluginErrorReport>,
}

/// What was wrong with a plug-in's file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PluginErrorReport {
    pub(crate) message: String,
    #[serde(with = "moment")]
    pub(crate) at: SystemTime,
    /// Whether it is still so.
    pub(crate) current: bool,
}

/// Requests to the secrets server, since the agent got to know it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ServerReport {
    /// Held to one request a second until the server answers again.
    pub(crate) in_trouble: bool,
    pub(crate) succeeded: u64,
    pub(crate) refused: u64,
    /// Without an answer, or with one that says that the server is in trouble.
    pub(crate) passing: u64,
}

/// One identity.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IdentityReport {
    pub(crate) name: String,
    /// The auth method's type, such as "approle".
    pub(crate) method: String,
    /// One of [`STATES`](super::STATES).
    pub(crate) state: String,
    /// Whether every sink holds the good token.
    pub(crate) ready: bool,
    /// None: no login has succeeded yet.
    pub(crate) token: Option<TokenReport>,
    /// None while an answer is awaited.
    pub(crate) next_action: Option<ActionReport>,
    #[serde(with = "moment::optional")]
    pub(crate) last_login_at: Option<SystemTime>,
    pub(crate) logins: Counts,
    pub(crate) renewals: Counts,
    /// Look-ups of the token, to see whether it still lives.
    pub(crate) checks: Counts,
    pub(crate) last_error: Option<ErrorReport>,
    pub(crate) sinks: Vec<SinkReport>,
}

/// The newest token, good or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenReport {
    pub(crate) accessor: String,
    /// Counts the identity's tokens from 1.
    pub(crate) generation: u64,
    /// Its deadline; None: it never expires.
    #[serde(with = "moment::optional")]
    pub(crate) expires_at: Option<SystemTime>,
}

/// What comes next.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ActionReport {
    /// "login", "look", "renewal", "check", "delivery" or "expiry".
    pub(crate) action: String,
    #[serde(with = "moment")]
    pub(crate) at: SystemTime,
}

/// How often something went well and failed, since the identity was set up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}

/// The last failure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ErrorReport {
    /// "login", "renewal", "check" or "delivery".
    pub(crate) action: String,
    /// "passing", "refused" or "configuration".
    pub(crate) class: String,
    pub(crate) code: String,
    pub(crate) message: String,
    /// The first failure in this row.
    #[serde(with = "moment")]
    pub(crate) since: SystemTime,
    /// The last one.
    #[serde(with = "moment")]
    pub(crate) at: SystemTime,
    /// Failures in a row.
    pub(crate) count: u64,
    /// Whether it still matters; false: what failed has succeeded since.
    pub(crate) current: bool,
}

/// One sink.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SinkReport {
    /// "file" or, with several sinks, "file 2".
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Whether it waits for a good token that it doesn't hold yet.
    pub(crate) pending: bool,
    /// Which token it holds.
    pub(crate) generation: Option<u64>,
    #[serde(with = "moment::optional")]
    pub(crate) last_delivery_at: Option<SystemTime>,
    pub(crate) deliveries: Counts,
    pub(crate) last_error: Option<ErrorReport>,
}

/// A time as RFC 3339 has it, in UTC with milliseconds: "2026-11-22T04:17:21.632Z".
pub(crate) mod moment {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use time::OffsetDateTime;
    use time::format_description::BorrowedFormatItem;
    use time::format_description::well_known::Rfc3339;
    use time::macros::format_description;

    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

    pub(crate) fn text(at: SystemTime) -> String {
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
