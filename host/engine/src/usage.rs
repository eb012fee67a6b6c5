//! One use of a plug-in: an identity's method, or one sink.

use std::path::PathBuf;
use std::sync::Arc;

use usher_grant::{Allow, Asker, Grant, Limits, Protected};
use zeroize::Zeroizing;

use crate::egress::{Egress, Request, Response};
use crate::failure::Failure;
use crate::kept::{Item, Kept, Source};
use crate::process::Process;
use crate::received::credentials;
use crate::traits::{StateKeeper, Unwrapper};

/// What the agent says about one use when it binds a plug-in to it.
#[derive(Clone)]
pub struct Use {
    /// Unique in the agent: "default/method", "default/sink/0".
    pub name: String,
    /// Name of the identity: "default" for `auto_auth`.
    pub identity: String,
    /// URL of the secrets server, without trailing slash.
    pub server_address: String,
    /// "" or "team/".
    pub namespace: String,
    /// "auth/approle"; "" for a sink.
    pub mount_path: String,
    /// The JSON object of the `config` block.
    pub config: String,
    /// The operator's `allow` block; ignored for built-ins, which are allowed what they ask.
    pub allow: Allow,
    /// Limits of each call.
    pub limits: Limits,
    /// Unwraps for methods; None for sinks.
    pub unwrapper: Option<Arc<dyn Unwrapper>>,
    /// Gets what a method saves before its call goes on. None: it doesn't outlive the process.
    pub state_keeper: Option<Arc<dyn StateKeeper>>,
}

/// A use with its grant and memory: what all its calls share.
pub(crate) struct Usage {
    pub(crate) plugin: String,
    pub(crate) usage: Use,
    pub(crate) grant: Grant,
    pub(crate) protected: Arc<Protected>,
    egress: Arc<Egress>,
    pub(crate) process: Arc<Process>,
    /// Held by a file operation, also by one that outlives its call.
    pub(crate) files: Arc<tokio::sync::Mutex<()>>,
    /// Holds the reservations of this use.
    pub(crate) holder: Arc<()>,
    /// The change of the configuration that brought it.
    change: u64,
    kept: Arc<Kept>,
}

impl Usage {
    pub(crate) fn new(
        plugin: String,
        usage: Use,
        grant: Grant,
        protected: Arc<Protected>,
        egress: Arc<Egress>,
        process: Arc<Process>,
    ) -> Self {
        Self {
            plugin,
            usage,
            grant,
            change: protected.change(),
            protected,
            egress,
            process,
            files: Arc::default(),
            holder: Arc::default(),
            kept: Arc::default(),
        }
    }

    /// The same use served by another plug-in: with its grant, and all that the use keeps.
    pub(crate) fn with_grant(&self, grant: Grant) -> Self {
        Self {
            plugin: self.plugin.clone(),
            usage: self.usage.clone(),
            grant,
            protected: Arc::clone(&self.protected),
            egress: Arc::clone(&self.egress),
            process: Arc::clone(&self.process),
            files: Arc::clone(&self.files),
            holder: Arc::clone(&self.holder),
            change: self.change,
            kept: Arc::clone(&self.kept),
        }
    }

    /// Who asks when this use wants a file.
    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker {
            usage: &self.usage.name,
            identity: &self.usage.identity,
            holder: &self.holder,
            change: self.change,
        }
    }

    /// Another call begins.
    pub(crate) fn begin_call(&self) {
        self.kept.begin_call();
    }

    pub(crate) fn load_state(&self) -> Vec<u8> {
        self.kept.load_state()
    }

    pub(crate) fn save_state(&self, value: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
        self.kept.save_state(value)
    }

    /// Counts what else the host keeps for this use.
    pub(crate) fn count(&self, item: Item, bytes: usize) -> Result<(), Failure> {
        self.kept.count(item, bytes)
    }

    /// Keeps `texts`, which came from `source`, out of logs until a later call brings others from
    /// there. More than the host keeps for one use are refused.
    pub(crate) fn keep_out_of_logs<'a>(
        &self,
        source: impl Into<Source>,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        self.kept.keep_out_of_logs(source.into(), texts)
    }

    /// Keeps `texts` out of logs, the last ones if not all fit; refuses nothing.
    pub(crate) fn keep_newest_out_of_logs<'a>(
        &self,
        texts: impl DoubleEndedIterator<Item = &'a str>,
    ) {
        self.kept.keep_newest_out_of_logs(texts);
    }

    /// Sends what the plug-in may send. The credentials in the answer are kept out of logs before
    /// the plug-in has it.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failure> {
        let answer = self.egress.send(&self.plugin, &self.grant, request).await?;
        self.keep_newest_out_of_logs(credentials(&answer).iter().map(|text| text.as_str()));
        Ok(answer)
    }

    pub(crate) fn absolute(&self, path: &str) -> PathBuf {
        self.process.surroundings(|surroundings| surroundings.absolute_path(path))
    }
}
