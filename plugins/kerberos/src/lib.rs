//! Logs in with a Kerberos ticket for the server, which a key from a keytab brings: the `kerberos`
//! method.
//!
//! The configuration is the incumbents'. Unlike theirs, the encryption type is that of a key which
//! the keytab has, the ticket serves until shortly before its end, and a new keytab brings a new
//! login. The host talks with the key distribution centres (RFC 4120); everything that takes a key
//! happens here.

mod client;
mod encryption;
mod keytab;
mod messages;
mod refusal;
mod spnego;
mod ticket;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::Client;
use keytab::newest_keys;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ticket::{Kept, Ticket};
use usher_plugin::config::WeakBool;
use usher_plugin::context::{self, Reason};
use usher_plugin::{About, Answer, AuthMethod, Failure, Kind, Login, Need, Reauthenticate, files};
use usher_plugin_lib::{RevisionKey, Saved, nothing_to_use, one_file, refused};

/// The method.
#[derive(Debug)]
pub struct Kerberos;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Principal of the workload, without realm.
    #[schemars(length(min = 1))]
    username: String,
    /// Principal of the server, without realm: `HTTP/vault.example.org`.
    #[schemars(length(min = 1))]
    service: String,
    /// Realm of both principals, as a rule in capitals.
    #[schemars(length(min = 1))]
    realm: String,
    /// Keytab with a key of the workload's principal.
    #[schemars(length(min = 1))]
    keytab_path: String,
    /// `krb5.conf` that names the realm's key distribution centres.
    #[schemars(length(min = 1))]
    krb5conf_path: String,
    /// Don't ask the key distribution centre to confirm the request (RFC 6806). Some versions of
    /// Active Directory need this.
    #[serde(default)]
    disable_fast_negotiation: WeakBool,
}

impl AuthMethod for Kerberos {
    type Config = Config;

    const ABOUT: About = About::new(
        "kerberos",
        env!("CARGO_PKG_VERSION"),
        "Logs in with a Kerberos ticket, by a key from a keytab",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::Yes)
    .identifies("username, realm, service");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        for (key, value, example) in [
            ("username", &config.username, "write the principal's name, without realm"),
            (
                "service",
                &config.service,
                "write the server's principal, such as \"HTTP/vault.example.org\"",
            ),
            ("realm", &config.realm, "write the realm, as a rule in capitals"),
        ] {
            if value.is_empty() {
                return Err(refused(key, "empty", &format!("is empty; {example}")));
            }
            if value.contains('@') {
                let message = "must not contain \"@\"; the realm stands in `config.realm` alone";
                return Err(refused(key, "invalid", message));
            }
        }
        one_file("keytab_path", &config.keytab_path)?;
        one_file("krb5conf_path", &config.krb5conf_path)?;
        Ok(vec![
            Need::watch(&config.keytab_path),
            Need::watch(&config.krb5conf_path),
            Need::kdc(&config.realm),
        ])
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let keytab = files::read(&config.keytab_path)
            .map_err(|failure| nothing_to_use("keytab", failure))?;
        let keys = newest_keys(&config.keytab_path, &keytab, &config.username, &config.realm)?;
        let mut memory = Saved::<Memory>::load();
        let mut parts = vec![config.username.as_str(), &config.realm, &config.service];
        let encoded: Vec<String> =
            keys.keys.iter().map(|key| STANDARD.encode(key.bytes())).collect();
        parts.extend(encoded.iter().map(String::as_str));
        let revision = memory.revision_key.revision(&parts);
        let ticket = match memory.good_ticket(&revision) {
            Some(ticket) => ticket,
            None => Client {
                user: &config.username,
                realm: &config.realm,
                service: &config.service,
                krb5_conf: &config.krb5conf_path,
                keytab: &config.keytab_path,
                keys,
                protect_request: !config.disable_fast_negotiation.0,
            }
            .service_ticket()?,
        };
        let token = STANDARD.encode(client::token(&ticket));
        let login = Login::new("login", serde_json::json!({}))
            .header("Authorization", format!("Negotiate {token}"));
        if context::reason() == Reason::Explain {
            return Ok(Answer::login(login));
        }
        memory.last = Kept::of(&ticket).map(|ticket| Last { revision: revision.clone(), ticket });
        Ok(Answer::login(login).revision(if memory.save() { revision } else { String::new() }))
    }
}

usher_plugin::export!(auth_method: Kerberos);

/// What is kept between calls. It holds secrets: not shown, not logged.
#[derive(Default, Deserialize, Serialize)]
struct Memory {
    revision_key: RevisionKey,
    last: Option<Last>,
}

/// The newest ticket, and of which keys and principals.
#[derive(Deserialize, Serialize)]
struct Last {
    revision: String,
    ticket: Kept,
}

impl Memory {
    /// The last ticket, if it is for this and not refused.
    fn good_ticket(&self, revision: &str) -> Option<Ticket> {
        let was_refused =
            context::previous_failure().is_some_and(|failure| failure.kind == Kind::Denied);
        self.last
            .as_ref()
            .filter(|last| last.revision == revision && !was_refused)
            .and_then(|last| last.ticket.ticket())
            .filter(|ticket| ticket.is_good(client::now().seconds))
    }
}

#[cfg(test)]
mod tests;
