//! What `usher status --json` prints: the agent, its identities and its listeners at one moment.
//!
//! The format is documented in `docs/status.md`. Fields are added, never changed or taken away, so
//! the command also understands an agent that is newer or older than itself.

use std::collections::BTreeMap;
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
    /// In the order of the configuration. Absent from agents that have none yet.
    #[serde(default)]
    pub listeners: Vec<ListenerReport>,
}

/// A listener, with counts from the moment it was bound.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerReport {
    /// An address or the path of a socket, as in the configuration.
    pub place: String,
    /// Where that is: without template, and with the port that it got.
    pub bound: String,
    /// "off", "on", or "mutual": every client shows a certificate.
    pub tls: String,
    /// "default" or "`metrics_only`".
    pub role: String,
    /// Whose token its requests get. None: nobody's, each caller brings one of his own.
    pub identity: Option<String>,
    /// When they get it: "never", "`when_absent`" or "always".
    pub token_use: String,
    /// All of `answers`.
    pub requests: u64,
    /// Those of them that nobody wants: "5xx", "refused" and "gone".
    pub errors: u64,
    /// How many requests met with what: the server's answer, "1xx" to "5xx"; "refused" by the agent;
    /// "gone", the caller left before there was an answer.
    pub answers: BTreeMap<String, u64>,
    /// Open now.
    pub connections: u64,
    /// From clients.
    pub received_bytes: u64,
    /// To clients.
    pub sent_bytes: u64,
    /// Only for the metrics.
    #[serde(skip)]
    pub durations: DurationsReport,
    /// None: there is no cache.
    #[serde(default)]
    pub cache: Option<CacheReport>,
    /// None: nothing went wrong yet.
    pub last_error: Option<ListenerErrorReport>,
}

/// A listener's cache, with counts since it began.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CacheReport {
    /// How many answers are kept.
    pub entries: usize,
    /// What they take.
    pub bytes: usize,
    /// How long the oldest has been kept, in seconds.
    pub oldest_s: Option<u64>,
    /// Requests by what became of them: "hit", "miss", "joined" (waited for another like it), "passed"
    /// (none of the cache's business).
    pub requests: BTreeMap<String, u64>,
    /// Answers that were kept.
    pub stored: u64,
    /// Renewals that succeeded.
    pub renewed: u64,
    /// What went, by cause.
    pub evictions: BTreeMap<String, u64>,
}

/// How long requests took that went on to the server, to the head of their answer.
#[derive(Clone, Debug, Default)]
pub struct DurationsReport {
    /// Seconds, and how many took no longer.
    pub within: Vec<(f64, u64)>,
    /// All of them.
    pub count: u64,
    /// The sum of them all.
    pub seconds: f64,
}

/// The last error at a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerErrorReport {
    /// For people, redacted.
    pub message: String,
    /// What the caller was answered. None: he had left.
    pub status: Option<u16>,
    /// When.
    #[serde(with = "moment")]
    pub at: SystemTime,
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
