//! Writes the token to a file: the `file` sink.
//!
//! The configuration is the incumbents'. Unlike theirs, the permission bits hold whatever the
//! umask, nothing half written is ever left or seen, and `mode` may be an octal string.

mod owner;
mod permissions;

use owner::Owner;
use permissions::Mode;
use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::files::{self, Placement, WriteOptions};
use usher_plugin::{About, Delivery, Failure, Kind, Need, Sink};

/// The sink.
#[derive(Debug)]
pub struct FileSink;

/// The `config` block of the sink.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// The file that holds the token: its exact bytes, without a newline.
    #[schemars(length(min = 1))]
    path: String,
    /// Permission bits of the file.
    #[serde(default)]
    mode: Mode,
    /// Owner of the file. Absent or -1: the agent's user.
    #[serde(default)]
    uid: Owner,
    /// Group of the file. Absent or -1: the agent's group.
    #[serde(default)]
    gid: Owner,
    /// Rewrite the file itself instead of putting a new one in its place: for a single file
    /// mounted into a container. A reader may then see it half written.
    #[serde(default)]
    in_place: bool,
}

impl Sink for FileSink {
    type Config = Config;

    const ABOUT: About =
        About::new("file", env!("CARGO_PKG_VERSION"), "Writes the token to a file")
            .licence("Apache-2.0");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        if config.path.is_empty() || config.path.ends_with('/') {
            let message = "`config.path` must name a file, such as /run/app/token";
            return Err(Failure::config("config.invalid", message).detail("key", "config.path"));
        }
        if config.path.contains('*') || config.path.contains("${") {
            let message = "`config.path` must name one file: in what a sink may write \"*\" and \
                           \"${\" stand for others, which nobody else could use any more; write \
                           the whole path without them";
            return Err(Failure::config("config.invalid", message).detail("key", "config.path"));
        }
        Ok(vec![Need::write(&config.path), Need::remove(&config.path)])
    }

    fn check(config: &Config) -> Result<(), Failure> {
        files::check_write(&config.path, &config.options()).map_err(|failure| {
            let failure = config.advise(failure);
            // No directory, no permission, a read-only file system: start-up is the time to say
            // so. What may pass by itself, such as a full disk, is left to `deliver`.
            match failure.code.as_str() {
                "file.not-found" | "file.permission" | "file.not-regular" | "file.busy"
                | "grant.missing" => failure.into_kind(Kind::Config).detail("key", "config.path"),
                _ => failure,
            }
        })
    }

    fn deliver(config: &Config, delivery: &Delivery) -> Result<(), Failure> {
        files::write(&config.path, &delivery.content, &config.options()).map_err(|failure| {
            let failure = config.advise(failure);
            // It worked at start, so it may work again.
            if failure.code.starts_with("file.") {
                failure.into_kind(Kind::Unavailable)
            } else {
                failure
            }
        })
    }

    fn withdraw(config: &Config) -> Result<(), Failure> {
        match files::remove(&config.path) {
            // The name of a mounted file can't be removed; its content can.
            Err(failure) if config.in_place && failure.code == "file.busy" => {
                files::write(&config.path, b"", &config.options())
            }
            result => result,
        }
    }
}

usher_plugin::export!(sink: FileSink);

impl Config {
    fn options(&self) -> WriteOptions {
        WriteOptions {
            mode: self.mode.0,
            owner: self.uid.0.clone(),
            group: self.gid.0.clone(),
            placement: if self.in_place { Placement::InPlace } else { Placement::Replace },
        }
    }

    /// The host doesn't know the keys of this configuration.
    fn advise(&self, failure: Failure) -> Failure {
        if failure.code != "file.busy" || self.in_place {
            return failure;
        }
        let message = format!(
            "{} can't be replaced, probably because this single file is mounted: set in_place = \
             true in the sink's config, or mount its directory instead",
            self.path
        );
        let cause = failure.message.clone();
        Failure { message, ..failure }.detail("cause", cause)
    }
}

#[cfg(test)]
mod tests;
