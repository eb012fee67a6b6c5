//! Prepares listeners: binds what is new in a configuration, and makes ready what a reload changes of
//! those that it leaves where they are.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;
use usher_config::{
    ApiProxy, ClientCertificates, Diagnostic, ListenerPlace, ListenerRole, ListenerTls, Settings,
    StaticSecrets, TlsVersion, TokenUse,
};
use usher_listen::{Access, Allowed, Manner, Place, Socket, Tally, Tls, TlsFiles};
use usher_proxy::{Gate, Proxy, StaticSettings};
use usher_server::Client;

use crate::listener_part::ListenerPart;
use crate::part::{Part, PartId};
use crate::proxy_runtime;
use crate::reception::Reception;
use crate::status::ListenerEntry;
use crate::surroundings::Surroundings;
use crate::traffic::Traffic;

/// A listener that is in force: what it serves can be changed while it does. Clones are the same.
#[derive(Clone)]
pub(crate) struct Open {
    settings: usher_config::Listener,
    bound: Bound,
    manner: watch::Sender<Manner>,
    reception: watch::Sender<Reception>,
    /// What comes here, as long as it stays open.
    traffic: Arc<Traffic>,
    tally: Tally,
}

impl Open {
    /// A defect may have ended it, or a lack of files; its socket is gone with it.
    fn is_served(&self) -> bool {
        !self.manner.is_closed()
    }
}

/// Where a socket is. The socket itself belongs to whoever serves it: once it is let go, nobody can
/// connect.
#[derive(Clone)]
struct Bound {
    name: String,
    is_loopback: bool,
}

impl Bound {
    fn of(socket: &Socket) -> Self {
        let is_loopback = socket.address().is_some_and(|address| is_loopback(address.ip()));
        Self { name: socket.to_string(), is_loopback }
    }
}

/// Also of one that is written as an IPv6 address (`[::ffff:127.0.0.1]`).
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// What a reload does to a listener that stays where it is.
pub(crate) struct Change {
    open: Open,
    manner: Option<Manner>,
    reception: Reception,
}

impl Change {
    /// Puts it in force, for the next request of anybody. Where others than before may connect, or
    /// TLS is another, those who are there have to connect anew.
    pub(crate) fn apply(self) {
        if let Some(manner) = self.manner {
            self.open.manner.send_replace(manner);
        }
        self.reception.takes_over();
        self.open.reception.send_replace(self.reception);
    }
}

/// The listeners of a configuration, as far as they are prepared.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) open: Vec<Open>,
    pub(crate) parts: Vec<Box<dyn Part>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) closing: Vec<PartId>,
}

/// Binds what is new, and makes ready what changes. `old`: what is in force, with its settings.
///
/// # Errors
/// Everything that keeps a listener from being served.
pub(crate) async fn prepare(
    settings: &Settings,
    client: &Client,
    old: Option<(&Settings, &[Open])>,
    server_changed: bool,
    surroundings: &Surroundings,
) -> Result<Prepared, Vec<Diagnostic>> {
    let mut prepared = Prepared::default();
    let mut problems = Vec::new();
    let open = old.map(|(_, open)| open).unwrap_or_default();
    let proxy_changed = server_changed
        || old.is_some_and(|(before, _)| {
            before.api_proxy != settings.api_proxy
                || before.cache != settings.cache
                || before.server.num_retries != settings.server.num_retries
        });
    for listener in &settings.listeners {
        let known =
            open.iter().find(|open| open.settings.place == listener.place && open.is_served());
        let made = match known {
            Some(known) => change(known, listener, settings, client, proxy_changed, surroundings)
                .map(|(open, change)| {
                    prepared.open.push(open);
                    prepared.changes.extend(change);
                }),
            None => bind(listener, settings, client, surroundings).await.map(|(open, part)| {
                prepared.open.push(open);
                prepared.parts.push(Box::new(part));
            }),
        };
        problems.extend(made.err());
    }
    let stays = |open: &&Open| {
        settings.listeners.iter().any(|listener| listener.place == open.settings.place)
    };
    let closing = open.iter().filter(|open| !stays(open));
    prepared.closing.extend(closing.map(|open| part_id(&open.settings.place)));
    if problems.is_empty() { Ok(prepared) } else { Err(problems) }
}

/// What becomes of a listener that stays where it is.
fn change(
    known: &Open,
    listener: &usher_config::Listener,
    settings: &Settings,
    client: &Client,
    proxy_changed: bool,
    surroundings: &Surroundings,
) -> Result<(Open, Option<Change>), Diagnostic> {
    let open = Open { settings: listener.clone(), ..known.clone() };
    let before = &known.settings;
    let receives_alike = before.tls == listener.tls
        && before.allow_users == listener.allow_users
        && before.allow_groups == listener.allow_groups;
    let manner = if receives_alike {
        // Certificates are looked at again, as at each reload.
        if let Some(tls) = &known.manner.borrow().tls
            && let Err(error) = tls.reload()
        {
            tracing::error!(listener = known.bound.name, "the certificate in use stays: {error}");
        }
        None
    } else {
        Some(manner(listener, &known.bound)?)
    };
    if before.same_settings(listener) && !proxy_changed {
        return Ok((open, None));
    }
    let traffic = Arc::clone(&known.traffic);
    let reception = reception(listener, &known.bound, settings, client, surroundings, traffic);
    let change = Change { open: open.clone(), manner, reception };
    Ok((open, Some(change)))
}

/// What the board says of the listeners in force.
pub(crate) fn entries(settings: &Settings, listeners: &[Open]) -> Vec<ListenerEntry> {
    let token_use = settings.api_proxy.token_use;
    let entry = |open: &Open| {
        let listener = &open.settings;
        let required = |tls: &ListenerTls| tls.client_certificates == ClientCertificates::Required;
        ListenerEntry {
            place: listener.place.to_string(),
            bound: open.bound.name.clone(),
            tls: match &listener.tls {
                None => "off",
                Some(tls) if required(tls) => "mutual",
                Some(_) => "on",
            },
            role: match listener.role {
                ListenerRole::Default => "default",
                ListenerRole::MetricsOnly => "metrics_only",
            },
            identity: listener.identity.clone().filter(|_| token_use != TokenUse::Never),
            token_use: match token_use {
                TokenUse::Never => "never",
                TokenUse::WhenAbsent => "when_absent",
                TokenUse::Always => "always",
            },
            traffic: Arc::clone(&open.traffic),
            tally: open.tally.clone(),
        }
    };
    listeners.iter().map(entry).collect()
}

async fn bind(
    listener: &usher_config::Listener,
    settings: &Settings,
    client: &Client,
    surroundings: &Surroundings,
) -> Result<(Open, ListenerPart), Diagnostic> {
    let problem = |what: String, help: &str| {
        Diagnostic::new_error("listener", what, help, Some(&listener.location))
    };
    let runtime = proxy_runtime::handle()
        .map_err(|error| problem(format!("no thread for listeners: {error}"), ""))?;
    let socket = place(&listener.place).bind().await.map_err(|error| {
        problem(format!("the listener can't be opened: {error}"), error.remedy())
    })?;
    let bound = Bound::of(&socket);
    let manner = watch::Sender::new(manner(listener, &bound)?);
    let (traffic, tally) = (Arc::new(Traffic::default()), socket.tally().clone());
    let counted = Arc::clone(&traffic);
    let reception = reception(listener, &bound, settings, client, surroundings, counted);
    reception.takes_over();
    let reception = watch::Sender::new(reception);
    let part = ListenerPart {
        id: part_id(&listener.place),
        socket: Arc::new(socket),
        manner: manner.subscribe(),
        reception: reception.subscribe(),
        runtime,
    };
    Ok((Open { settings: listener.clone(), bound, manner, reception, traffic, tally }, part))
}

fn part_id(place: &ListenerPlace) -> PartId {
    PartId::Listener(place.to_string())
}

fn place(place: &ListenerPlace) -> Place {
    match place.clone() {
        ListenerPlace::Tcp { address } => Place::Tcp { address },
        ListenerPlace::Unix { path, mode, user, group } => {
            Place::Unix { path, access: Access { mode, user, group } }
        }
    }
}

fn manner(listener: &usher_config::Listener, bound: &Bound) -> Result<Manner, Diagnostic> {
    let tls = listener.tls.as_ref().map(|tls| {
        Tls::load(files(tls)).map_err(|error| {
            let what = format!("the listener {} can't use its certificate: {error}", bound.name);
            Diagnostic::new_error("listener", what, "", Some(&listener.location))
        })
    });
    let allowed =
        Allowed { users: listener.allow_users.clone(), groups: listener.allow_groups.clone() };
    Ok(Manner { tls: tls.transpose()?.map(Arc::new), allowed })
}

fn files(tls: &ListenerTls) -> TlsFiles {
    let version = |version| match version {
        TlsVersion::V12 => usher_listen::TlsVersion::Tls12,
        TlsVersion::V13 => usher_listen::TlsVersion::Tls13,
    };
    TlsFiles {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        client_ca: tls.client_ca.clone(),
        client_certificates: match tls.client_certificates {
            ClientCertificates::NotAsked => usher_listen::ClientCertificates::NotAsked,
            ClientCertificates::Asked => usher_listen::ClientCertificates::Asked,
            ClientCertificates::Required => usher_listen::ClientCertificates::Required,
        },
        oldest: version(tls.oldest),
        newest: version(tls.newest),
        cipher_suites: tls.cipher_suites.clone(),
    }
}

fn reception(
    listener: &usher_config::Listener,
    bound: &Bound,
    settings: &Settings,
    client: &Client,
    surroundings: &Surroundings,
    traffic: Arc<Traffic>,
) -> Reception {
    let forwards = listener.role == ListenerRole::Default;
    let gate = Gate {
        request_header: listener.require_request_header && forwards,
        no_web_page: bound.is_loopback,
        // With TLS nobody gets here under a name that isn't the certificate's.
        this_machine: bound.is_loopback && listener.tls.is_none(),
    };
    let proxy = forwards.then(|| {
        let identity = listener.identity.as_deref();
        let takes_token = settings.api_proxy.token_use != TokenUse::Never;
        let feed = identity.filter(|_| takes_token).map(|name| surroundings.feeds.of(name));
        let proxy = Proxy::new(client, proxy_settings(settings), feed);
        // It is there since the first listener was bound.
        if let Ok(runtime) = proxy_runtime::handle() {
            runtime.spawn(proxy.keep());
        }
        proxy
    });
    let (quit, desk) = (listener.enable_quit, surroundings.desk.clone());
    Reception::new(gate, proxy, quit, settings.dialect, desk, traffic)
}

fn proxy_settings(settings: &Settings) -> usher_proxy::Settings {
    let ApiProxy { token_use, namespace, prepend_namespace } = &settings.api_proxy;
    usher_proxy::Settings {
        token_use: match token_use {
            TokenUse::Never => usher_proxy::TokenUse::Never,
            TokenUse::WhenAbsent => usher_proxy::TokenUse::WhenAbsent,
            TokenUse::Always => usher_proxy::TokenUse::Always,
        },
        namespace: namespace.clone().unwrap_or_default(),
        prepend_namespace: *prepend_namespace,
        retries: match settings.server.num_retries {
            None | Some(0) => RETRIES,
            // Negative: none.
            Some(number) => u32::try_from(number).unwrap_or(0),
        },
        patience: settings.server.proxied_timeout(),
        cache: settings.cache.is_some(),
        static_secrets: settings.cache.and_then(|cache| cache.static_secrets).map(static_secrets),
    }
}

fn static_secrets(settings: StaticSecrets) -> StaticSettings {
    let StaticSecrets { ttl, max_stale, proof, entries, bytes } = settings;
    StaticSettings { ttl, max_stale, proof, entries, bytes }
}

/// As the incumbents: `vault.retry.num_retries` is 12 where it is not set.
const RETRIES: u32 = 12;

#[cfg(test)]
mod tests {
    use usher_config::{Overrides, load};

    use super::*;
    use crate::bind;

    #[tokio::test]
    async fn a_listener_that_has_ended_by_itself_is_opened_by_the_next_reload() {
        let directory = tempfile::tempdir().unwrap();
        let (file, socket) = (directory.path().join("usher.hcl"), directory.path().join("s"));
        let text = format!(
            "vault {{\n  address = \"http://127.0.0.1:9\"\n}}\nlistener \"unix\" {{\n  address = \"{}\"\n  tls_disable = true\n}}\n",
            socket.display()
        );
        std::fs::write(&file, text).unwrap();
        let loaded = load(std::slice::from_ref(&file), &Overrides::default(), &|_| None);
        let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
        let client = bind::client(&settings).unwrap();
        let (surroundings, _inbox) = Surroundings::of_test();
        let mut open: Vec<Open> = Vec::new();
        for round in 0..3 {
            let old = (round > 0).then_some((&settings, &open[..]));
            let prepared = prepare(&settings, &client, old, false, &surroundings).await;
            let prepared = prepared.unwrap_or_else(|problems| panic!("{problems:?}"));
            assert_eq!(prepared.parts.len(), 1, "it is bound");
            assert!(socket.exists());
            // With it goes whoever would serve it.
            drop(prepared.parts);
            assert!(!socket.exists());
            open = prepared.open;
        }
    }

    #[test]
    fn loopback_is_loopback_however_it_is_written() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.0.0.1", false),
            ("0.0.0.0", false),
            ("::", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }
}
