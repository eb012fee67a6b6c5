//! Prepares listeners: binds what is new in a configuration, and makes ready what a reload changes of
//! those that it leaves where they are.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use usher_config::{
    ApiProxy, ClientCertificates, Diagnostic, ListenerRole, ListenerTls, Settings, StaticSecrets,
    TokenUse,
};
use usher_listen::{AccessChange, Manner, Socket, Tally};
use usher_proxy::{Gate, Proxy, StaticSettings};
use usher_server::Client;

use crate::listener_part::ListenerPart;
use crate::listener_settings::{access, allowed, place, tls, unknown_accounts, unopened};
use crate::part::{Part, PartId};
use crate::place_holder::{self, Held, is_same};
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
    socket: Weak<Socket>,
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

    fn held(&self) -> Held<'_> {
        Held { settings: &self.settings, name: &self.bound.name, address: self.bound.address }
    }

    fn part_id(&self) -> PartId {
        part_id(&self.bound)
    }
}

/// Where a socket is. The socket itself belongs to whoever serves it: once it is let go, nobody can
/// connect.
#[derive(Clone)]
struct Bound {
    name: String,
    /// Over TCP.
    address: Option<SocketAddr>,
    is_loopback: bool,
}

impl Bound {
    fn of(socket: &Socket) -> Self {
        let address = socket.address();
        let is_loopback = address.is_some_and(|address| is_loopback(address.ip()));
        Self { name: socket.to_string(), address, is_loopback }
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
    /// Of a unix socket that others than before may connect to.
    access: Option<AccessChange>,
    reception: Reception,
}

impl Change {
    /// Puts it in force, for the next request of anybody. Where others than before may connect, or
    /// TLS is another, those who are there have to connect anew.
    pub(crate) fn apply(self) {
        if let Some(Err(error)) = self.access.map(|access| access.apply()) {
            let (listener, remedy) = (&self.open.bound.name, error.remedy());
            tracing::error!(listener, remedy, "{error}");
        }
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
    // Each stays for one only: two can be written alike, with a port that the system chooses.
    let mut left: Vec<&Open> = open.iter().filter(|open| open.is_served()).collect();
    for listener in &settings.listeners {
        let known = left.iter().position(|open| is_same(&open.settings.place, &listener.place));
        let made = if let Some(known) = known.map(|index| left.remove(index)) {
            let made = change(known, listener, settings, client, proxy_changed, surroundings);
            made.map(|(open, change)| {
                prepared.open.push(open);
                prepared.changes.extend(change);
            })
        } else {
            let socket = socket(listener, settings, &prepared.open, old).await;
            let made =
                socket.and_then(|socket| set_up(socket, listener, settings, client, surroundings));
            made.map(|(open, part)| {
                prepared.open.push(open);
                prepared.parts.push(Box::new(part));
            })
        };
        problems.extend(made.err());
    }
    prepared.closing.extend(left.into_iter().map(Open::part_id));
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
            let (listener, remedy) = (&known.bound.name, error.remedy());
            tracing::error!(listener, remedy, "the certificate in use stays: {error}");
        }
        None
    } else {
        Some(manner(listener, surroundings)?)
    };
    let access = match (access(&before.place), access(&listener.place), known.socket.upgrade()) {
        (Some(before), Some(wanted), Some(socket)) if before != wanted => {
            socket.change_access(&before, &wanted).map_err(|error| {
                let (what, place) = (error.to_string(), Some(&listener.location));
                Diagnostic::new_error("listener", what, error.remedy(), place)
            })?
        }
        _ => None,
    };
    if before.same_settings(listener) && !proxy_changed {
        return Ok((open, None));
    }
    let traffic = Arc::clone(&known.traffic);
    let reception = reception(listener, &known.bound, settings, client, surroundings, traffic);
    let change = Change { open: open.clone(), manner, access, reception };
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

/// Binds what is written. `made` is what is bound for the same configuration, `old` is in force.
async fn socket(
    listener: &usher_config::Listener,
    settings: &Settings,
    made: &[Open],
    old: Option<(&Settings, &[Open])>,
) -> Result<Socket, Diagnostic> {
    place(&listener.place).bind().await.map_err(|error| {
        let (before, open) = old.unzip();
        let held = made.iter().chain(open.unwrap_or_default()).map(Open::held);
        match place_holder::of(&error, settings, held, before) {
            Some((what, help)) => unopened(listener, &what, help),
            None => unopened(listener, &error.to_string(), error.remedy()),
        }
    })
}

fn set_up(
    socket: Socket,
    listener: &usher_config::Listener,
    settings: &Settings,
    client: &Client,
    surroundings: &Surroundings,
) -> Result<(Open, ListenerPart), Diagnostic> {
    let runtime = proxy_runtime::handle().map_err(|error| {
        let help = "raise the limit of threads (TasksMax, ulimit -u)";
        unopened(listener, &format!("it gets no thread: {error}"), help)
    })?;
    let bound = Bound::of(&socket);
    let manner = watch::Sender::new(manner(listener, surroundings)?);
    let (traffic, tally) = (Arc::new(Traffic::default()), socket.tally().clone());
    let counted = Arc::clone(&traffic);
    let reception = reception(listener, &bound, settings, client, surroundings, counted);
    reception.takes_over();
    let reception = watch::Sender::new(reception);
    let socket = Arc::new(socket);
    let held = Arc::downgrade(&socket);
    let part = ListenerPart {
        id: part_id(&bound),
        socket,
        manner: manner.subscribe(),
        reception: reception.subscribe(),
        runtime,
    };
    let settings = listener.clone();
    Ok((Open { settings, bound, socket: held, manner, reception, traffic, tally }, part))
}

/// Of the socket, since two can be written alike with a port that the system chooses.
fn part_id(bound: &Bound) -> PartId {
    PartId::Listener(bound.name.clone())
}

/// Says which names let nobody in.
fn manner(
    listener: &usher_config::Listener,
    surroundings: &Surroundings,
) -> Result<Manner, Diagnostic> {
    let manner = Manner { tls: tls(listener)?.map(Arc::new), allowed: allowed(listener) };
    for warning in unknown_accounts(listener, &manner.allowed) {
        (surroundings.reporter.complain)(&warning.to_string());
    }
    Ok(manner)
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

    fn settings(blocks: &str) -> Settings {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("usher.hcl");
        std::fs::write(
            &file,
            format!("vault {{\n  address = \"http://127.0.0.1:9\"\n}}\n{blocks}"),
        )
        .unwrap();
        let loaded = load(std::slice::from_ref(&file), &Overrides::default(), &|_| None);
        loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    fn block(kind: &str, address: &str, more: &str) -> String {
        format!(
            "listener \"{kind}\" {{\n  address = \"{address}\"\n  tls_disable = true\n  {more}\n}}\n"
        )
    }

    async fn prepared(
        settings: &Settings,
        old: Option<(&Settings, &[Open])>,
    ) -> Result<Prepared, Vec<Diagnostic>> {
        let client = bind::client(settings).unwrap();
        prepare(settings, &client, old, false, &Surroundings::of_test().0).await
    }

    /// With whoever would serve them.
    async fn opened(settings: &Settings) -> Prepared {
        prepared(settings, None).await.unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// Why there is no such configuration.
    async fn told(blocks: &str, old: Option<(&Settings, &[Open])>) -> String {
        let problems = prepared(&settings(blocks), old).await.err().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].to_string()
    }

    #[tokio::test]
    async fn two_listeners_with_ports_that_the_system_chose_stay_each_by_itself() {
        let any = block("tcp", "127.0.0.1:0", "");
        let two = settings(&any.repeat(2));
        let first = opened(&two).await;
        let names = |prepared: &Prepared| -> Vec<String> {
            prepared.open.iter().map(|open| open.bound.name.clone()).collect()
        };
        assert_ne!(first.parts[0].id(), first.parts[1].id());
        let again = prepared(&two, Some((&two, &first.open))).await.unwrap_or_default();
        assert_eq!(names(&again), names(&first));
        assert!(again.parts.is_empty() && again.closing.is_empty());
        let one = settings(&any);
        let one = prepared(&one, Some((&two, &first.open))).await.unwrap_or_default();
        assert_eq!(names(&one), names(&first)[..1]);
        assert_eq!(one.closing, [first.parts[1].id()]);
    }

    #[tokio::test]
    async fn another_mode_of_a_socket_is_set_when_it_is_put_in_force_and_it_stays_open() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let path = socket.display().to_string();
        let mode = || std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
        let before = settings(&block("unix", &path, "socket_mode = \"0666\""));
        let first = opened(&before).await;
        let after = settings(&block("unix", &path, "socket_mode = \"0600\""));
        let next = prepared(&after, Some((&before, &first.open))).await.unwrap_or_default();
        assert!(next.parts.is_empty() && next.closing.is_empty());
        assert_eq!((next.changes.len(), mode()), (1, 0o666));
        for change in next.changes {
            change.apply();
        }
        assert_eq!(mode(), 0o600);

        let unknown = settings(&block("unix", &path, "socket_user = \"nobody-of-this-name\""));
        let problems = prepared(&unknown, Some((&before, &first.open))).await.err().unwrap();
        assert!(problems[0].message.contains("no user named"), "{problems:?}");
        assert_eq!(mode(), 0o600);
    }

    #[tokio::test]
    async fn whoever_has_the_place_is_named_where_it_is_the_agent_itself() {
        let directory = tempfile::tempdir().unwrap();
        let any = settings(&block("tcp", "127.0.0.1:0", ""));
        let first = opened(&any).await;
        let own = first.open[0].bound.name.clone();
        let (_, port) = own.rsplit_once(':').unwrap();
        let old = Some((&any, &first.open[..]));
        let everywhere = block("tcp", &format!("0.0.0.0:{port}"), "");
        let closing = told(&everywhere, old).await;
        assert!(closing.contains(&format!("own listener {own} is in the way")), "{closing}");
        let other = told(&everywhere, None).await;
        assert!(other.contains("another process listens on"), "{other}");
        let stays = block("tcp", "127.0.0.1:0", "") + &everywhere;
        let stays = told(&stays, old).await;
        assert!(stays.contains("usher.hcl:4:1 listens there, too"), "{stays}");
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let [real, link] =
            [real, link].map(|path| block("unix", &path.join("s").display().to_string(), ""));
        let twice = told(&(real + &link), None).await;
        assert!(twice.contains("usher.hcl:4:1 listens there, too"), "{twice}");
    }

    #[tokio::test]
    async fn a_listener_that_has_ended_by_itself_is_opened_by_the_next_reload() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let settings = settings(&block("unix", &socket.display().to_string(), ""));
        let (client, surroundings) = (bind::client(&settings).unwrap(), Surroundings::of_test().0);
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
