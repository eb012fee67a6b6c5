//! The host side of every imported interface.
//!
//! Each function asks the grant of the call's use first; outside of a use (`describe`, `prepare`)
//! nothing is granted. Secrets pass through as bytes of the guest's memory and are converted to
//! wiped types at once.

mod script_source;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::RngCore;
use usher_grant::{Capability, Need};
use usher_secret::Secret;
use wasmtime::Result;
use zeroize::Zeroizing;

use crate::bindings::usher::plugin::{
    clock, context, crypto, env, files, http, kdc, log, random, server, state, types,
};
use crate::egress::{Request, Tls};
use crate::failure::{Failure, FailureKind, missing};
use crate::files::{Files, WriteOptions};
use crate::kept::LONGEST_CREDENTIAL;
use crate::krb5_conf;
use crate::limits::MOST_RANDOM;
use crate::received;
use crate::store::State;
use crate::text;
use crate::usage::Usage;

/// What a host function answers: a typed failure goes to the guest, the outer error is a trap.
type Answer<T> = Result<std::result::Result<T, types::Failure>>;

#[allow(clippy::unnecessary_wraps, reason = "every host function may trap; these don't")]
fn answer<T>(result: std::result::Result<T, Failure>) -> Answer<T> {
    Ok(result.map_err(Into::into))
}

impl State {
    fn usage(&self) -> std::result::Result<Arc<Usage>, Failure> {
        self.usage.clone().ok_or_else(|| {
            Failure::new(
                FailureKind::Config,
                "grant.missing",
                "nothing is granted while a plug-in is described or prepared",
            )
        })
    }

    /// A component that is a sink can't import these interfaces; a script that is one can, and
    /// no grant gives it what they do.
    fn only_for_methods(&self, interface: &str) -> std::result::Result<(), Failure> {
        if !self.script.as_ref().is_some_and(|script| script.is_sink()) {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::Denied,
            "grant.missing",
            format!("only an auth method may use {interface:?}, and this script is a sink"),
        ))
    }

    /// Runs a file operation where it may block.
    async fn on_files<T: Send + 'static>(
        &mut self,
        operation: impl FnOnce(&Usage, &Files<'_>) -> std::result::Result<T, Failure> + Send + 'static,
    ) -> std::result::Result<T, Failure> {
        let usage = self.usage()?;
        // A file system can hang, and then the operation outlives the call that asked for it. The
        // next one waits its turn, so that an older write never undoes a newer one.
        let Ok(turn) = Arc::clone(&usage.files).try_lock_owned() else {
            return Err(Failure::new(
                FailureKind::Unavailable,
                "file.busy",
                "an earlier file operation still hangs; check the file system behind it",
            ));
        };
        let abandoned = Arc::new(AtomicBool::new(false));
        let _abandon = Abandon(Arc::clone(&abandoned));
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let files = Files {
                abandoned: &abandoned,
                grant: &usage.grant,
                protected: &usage.protected,
                plugin: &usage.plugin,
                asker: usage.asker(),
            };
            operation(&usage, &files)
        })
        .await
        .unwrap_or_else(|_| {
            Err(Failure::new(
                FailureKind::Internal,
                "host.failed",
                "the host failed at a file; please report it",
            ))
        })
    }

    fn warn(&self, warnings: Vec<String>) {
        let identity = self.usage.as_ref().map(|usage| usage.usage.identity.as_str());
        for warning in warnings {
            tracing::warn!(plugin = self.plugin, identity, "{warning}");
        }
    }
}

/// Tells a file operation that its call has ended.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl types::Host for State {}

impl context::Host for State {
    async fn identity(&mut self) -> Result<String> {
        Ok(self.usage.as_ref().map(|usage| usage.usage.identity.clone()).unwrap_or_default())
    }

    async fn server_address(&mut self) -> Result<String> {
        Ok(self.usage.as_ref().map(|usage| usage.usage.server_address.clone()).unwrap_or_default())
    }

    async fn namespace(&mut self) -> Result<String> {
        Ok(self.usage.as_ref().map(|usage| usage.usage.namespace.clone()).unwrap_or_default())
    }

    async fn mount_path(&mut self) -> Result<String> {
        Ok(self.usage.as_ref().map(|usage| usage.usage.mount_path.clone()).unwrap_or_default())
    }

    async fn reason(&mut self) -> Result<String> {
        Ok(self.call.as_ref().map_or("test", |call| call.reason.name()).to_owned())
    }

    async fn previous_failure(&mut self) -> Result<Option<types::Failure>> {
        Ok(self.call.as_ref().and_then(|call| call.previous_failure.clone()).map(Into::into))
    }
}

impl state::Host for State {
    async fn load(&mut self) -> Result<Vec<u8>> {
        Ok(self.usage.as_ref().map(|usage| usage.load_state()).unwrap_or_default())
    }

    async fn save(&mut self, value: Vec<u8>) -> Answer<()> {
        let value = Zeroizing::new(value);
        let saved = self.usage().and_then(|usage| usage.save_state(value).map(|()| usage));
        if let Ok(usage) = &saved
            && let Some(keeper) = &usage.usage.state_keeper
        {
            keeper.keep(Secret::new(usage.load_state())).await;
        }
        answer(saved.map(|_| ()))
    }
}

impl log::Host for State {
    async fn write(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> Result<()> {
        self.output.note(&message, &fields);
        if self.log_lines_left == 0 {
            return Ok(());
        }
        self.log_lines_left -= 1;
        let plugin = self.plugin.as_str();
        let identity = self.usage.as_ref().map(|usage| usage.usage.identity.as_str());
        let message = if self.log_lines_left == 0 {
            "more lines of this call are suppressed".to_owned()
        } else {
            text::line(&message)
        };
        let fields = text::fields(&fields);
        let fields = (!fields.is_empty()).then(|| text::joined(&fields));
        let fields = fields.as_deref();
        match level {
            log::Level::Error => tracing::error!(plugin, identity, fields, "{message}"),
            log::Level::Warn => tracing::warn!(plugin, identity, fields, "{message}"),
            log::Level::Info => tracing::info!(plugin, identity, fields, "{message}"),
            log::Level::Debug => tracing::debug!(plugin, identity, fields, "{message}"),
            log::Level::Trace => tracing::trace!(plugin, identity, fields, "{message}"),
        }
        Ok(())
    }
}

impl clock::Host for State {
    async fn now(&mut self) -> Result<u64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }
}

impl random::Host for State {
    async fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        if length > MOST_RANDOM {
            return Err(wasmtime::Error::msg(format!(
                "the plug-in asked for {length} random bytes; {MOST_RANDOM} is the most"
            )));
        }
        let mut bytes = vec![0; length as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

impl env::Host for State {
    async fn get(&mut self, name: String) -> Answer<Option<String>> {
        answer(self.usage().and_then(|usage| {
            if !usage.grant.permits_env(&name) {
                let target = text::line(&name);
                let what = format!("the environment variable {target:?}");
                let need = Need { capability: Capability::Env, target };
                return Err(missing(&usage.plugin, &what, need));
            }
            match std::env::var(&name) {
                Ok(value) => {
                    let need = Need { capability: Capability::Env, target: name };
                    usage.keep_out_of_logs(need, std::iter::once(value.as_str()))?;
                    Ok(Some(value))
                }
                Err(std::env::VarError::NotPresent) => Ok(None),
                Err(std::env::VarError::NotUnicode(_)) => Err(Failure::new(
                    FailureKind::Config,
                    "env.not-unicode",
                    format!("the environment variable {name:?} isn't UTF-8"),
                )),
            }
        }))
    }
}

impl files::Host for State {
    async fn read(&mut self, path: String) -> Answer<Vec<u8>> {
        let result = self
            .on_files(move |usage, files| {
                let (content, need) = files.read(&usage.absolute(&path))?;
                if let Ok(text) = std::str::from_utf8(&content) {
                    usage.keep_out_of_logs(need, std::iter::once(text))?;
                }
                Ok(content)
            })
            .await;
        answer(result.map(|mut content| std::mem::take(&mut *content)))
    }

    async fn write(
        &mut self,
        path: String,
        content: Vec<u8>,
        options: files::WriteOptions,
    ) -> Answer<()> {
        let content = Zeroizing::new(content);
        let result = self
            .on_files(move |usage, files| {
                files.write(&usage.absolute(&path), &content, &options.into())
            })
            .await;
        answer(result.map(|warnings| self.warn(warnings)))
    }

    async fn check_write(&mut self, path: String, options: files::WriteOptions) -> Answer<()> {
        let result = self
            .on_files(move |usage, files| {
                files.check_write(&usage.absolute(&path), &options.into())
            })
            .await;
        answer(result.map(|warnings| self.warn(warnings)))
    }

    async fn remove(&mut self, path: String) -> Answer<()> {
        answer(self.on_files(move |usage, files| files.remove(&usage.absolute(&path))).await)
    }

    async fn remove_target(&mut self, path: String) -> Answer<()> {
        answer(self.on_files(move |usage, files| files.remove_target(&usage.absolute(&path))).await)
    }
}

impl From<files::WriteOptions> for WriteOptions {
    fn from(options: files::WriteOptions) -> Self {
        Self {
            mode: options.mode & 0o777,
            owner: options.owner,
            group: options.group,
            in_place: matches!(options.placement, files::Placement::InPlace),
        }
    }
}

impl http::Host for State {
    async fn send(&mut self, request: http::Request) -> Answer<http::Response> {
        let usage = match self.usage() {
            Ok(usage) => usage,
            Err(failure) => return answer(Err(failure)),
        };
        let request = Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: Zeroizing::new(request.body),
            timeout: request.timeout_ms.map(|ms| Duration::from_millis(ms.into())),
            tls: request.tls.map(|tls| Tls {
                ca_pem: tls.ca_pem,
                certificate_pem: tls.certificate_pem,
                key_pem: tls.key_pem.map(Zeroizing::new),
            }),
        };
        let result = usage.send(request).await;
        answer(result.map(|response| http::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        }))
    }
}

/// What the host doesn't do for this use.
fn unsupported<T>(interface: &str) -> Answer<T> {
    answer(Err(Failure::new(
        FailureKind::Config,
        "host.unsupported",
        format!("this version of Usher has no {interface:?} interface; use a newer one"),
    )))
}

impl crypto::Host for State {
    async fn digest(&mut self, algorithm: String, data: Vec<u8>) -> Answer<Vec<u8>> {
        let data = Zeroizing::new(data);
        answer(crate::crypto::digest(&algorithm, &data))
    }

    async fn hmac(&mut self, algorithm: String, key: Vec<u8>, data: Vec<u8>) -> Answer<Vec<u8>> {
        let (key, data) = (Zeroizing::new(key), Zeroizing::new(data));
        answer(crate::crypto::hmac(&algorithm, &key, &data))
    }

    async fn sign(&mut self, algorithm: String, key_pem: String, data: Vec<u8>) -> Answer<Vec<u8>> {
        let (key_pem, data) = (Zeroizing::new(key_pem), Zeroizing::new(data));
        answer(crate::crypto::sign(&algorithm, &key_pem, &data))
    }

    async fn generate(&mut self, algorithm: String) -> Answer<crypto::KeyPair> {
        // An RSA key takes long enough to hold up other identities.
        let made = tokio::task::spawn_blocking(move || crate::crypto::generate(&algorithm)).await;
        let made = made.unwrap_or_else(|_| {
            Err(Failure::new(
                FailureKind::Internal,
                "host.failed",
                "the host failed to make a key; please report it",
            ))
        });
        answer(made.map(|pair| crypto::KeyPair {
            private_pem: pair.private_pem.to_string(),
            public_pem: pair.public_pem,
        }))
    }
}

impl kdc::Host for State {
    async fn exchange(
        &mut self,
        krb5_conf: String,
        realm: String,
        request: Vec<u8>,
    ) -> Answer<Vec<u8>> {
        answer(self.ask_kdc(krb5_conf, realm, request).await)
    }
}

impl State {
    async fn ask_kdc(
        &mut self,
        krb5_conf: String,
        realm: String,
        request: Vec<u8>,
    ) -> std::result::Result<Vec<u8>, Failure> {
        self.only_for_methods("kdc")?;
        let usage = self.usage()?;
        let shown = text::line(&realm);
        if !usage.grant.permits_named(Capability::Kdc, &realm) {
            let what = format!("an exchange with the realm {shown:?}");
            let need = Need { capability: Capability::Kdc, target: shown };
            return Err(missing(&usage.plugin, &what, need));
        }
        crate::kdc::check_request(&request)?;
        let path = krb5_conf.clone();
        let (content, _) =
            self.on_files(move |usage, files| files.read(&usage.absolute(&krb5_conf))).await?;
        let content = String::from_utf8_lossy(&content);
        let servers = krb5_conf::servers(&text::line(&path), &content, &realm)?;
        crate::kdc::exchange(&shown, servers, request).await
    }
}

impl server::Host for State {
    async fn unwrap(&mut self, token: String, creation_path: Option<String>) -> Answer<String> {
        let token = Secret::new(token);
        if let Err(failure) = self.only_for_methods("server") {
            return answer(Err(failure));
        }
        let usage = match self.usage() {
            Ok(usage) => usage,
            Err(failure) => return answer(Err(failure)),
        };
        if !usage.grant.permits_named(Capability::Server, "unwrap") {
            let need = Need { capability: Capability::Server, target: "unwrap".to_owned() };
            return answer(Err(missing(&usage.plugin, "unwrapping", need)));
        }
        let Some(unwrapper) = usage.usage.unwrapper.clone() else {
            return unsupported("server");
        };
        // A longer one couldn't be sent, and would be searched for in every line.
        if token.expose().len() > LONGEST_CREDENTIAL {
            return answer(Err(Failure::exceeded(
                "the plug-in wants something unwrapped that is longer than 8 KiB, and no token",
            )));
        }
        let token_text = std::iter::once(token.expose().as_str());
        if let Err(failure) = usage.keep_out_of_logs("wrapping token", token_text) {
            return answer(Err(failure));
        }
        let result = unwrapper.unwrap(token, creation_path).await;
        answer(result.map(|unwrapped| {
            let parsed: serde_json::Value =
                serde_json::from_str(unwrapped.expose()).unwrap_or_default();
            // The wrapping token is spent: whatever it brought, the plug-in has to have it.
            let texts = received::secrets_last([&parsed["data"], &parsed["auth"]]);
            usage.keep_newest_out_of_logs(texts.into_iter());
            unwrapped.expose().clone()
        }))
    }
}

#[cfg(test)]
mod tests;
