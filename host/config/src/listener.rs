//! Reads `listener`: where it listens, for whom and with which TLS; and what must hold among all of
//! them and with what becomes of their requests.

mod tls;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Location};
use crate::dialect::Dialect;
use crate::fields::{Fields, Located, Nested, Report};
use crate::file_sink;
use crate::identity::DEFAULT_NAME;
use crate::judge::judge;
use crate::objection::objection;
use crate::resemblance::nearest;
use crate::schema::{AGENT_API, LISTENER};
use crate::settings::{
    ClientCertificates, Identity, Listener, ListenerPlace, ListenerRole, TokenUse,
};
use crate::typed_block::lower_kind;

const DEFAULT_ADDRESS: &str = "127.0.0.1:8200";
/// All permission bits of a socket.
const MODE_BITS: u32 = 0o777;

/// What files say of listeners.
#[derive(Default)]
pub(crate) struct Listeners {
    /// How many blocks there are, those included that were left out for their problems.
    pub(crate) count: usize,
    read: Vec<ListenerBlock>,
}

/// One that could be read.
struct ListenerBlock {
    /// `identity` is what the file says.
    listener: Listener,
    /// Where that stands.
    identity: Option<Location>,
    /// Where its address stands.
    place: Location,
}

/// The identities that there are.
pub(crate) struct Names<'a> {
    /// That of `auto_auth` is among them.
    pub(crate) has_default: bool,
    /// The others.
    pub(crate) others: &'a [Identity],
    /// Some of the others were left out for their problems.
    pub(crate) broken: bool,
}

impl Listeners {
    pub(crate) fn read(file: &Fields<'_>, dialect: Dialect, report: &mut Report) -> Self {
        let blocks = file.typed_blocks("listener", &LISTENER, report);
        let read = blocks.iter().filter_map(|nested| listener(nested, dialect, report)).collect();
        Self { count: blocks.len(), read }
    }

    /// A later file's come after these.
    pub(crate) fn merge(&mut self, later: Self) {
        self.count += later.count;
        self.read.extend(later.read);
    }

    /// Whether requests may get the token of this identity. `auto_auth` is asked for its token by
    /// the configuration as a whole, also where no listener could be read.
    pub(crate) fn serve(&self, identity: &str, names: &Names<'_>) -> bool {
        let mut forwarding = self.forwarding().peekable();
        let unsaid = forwarding.peek().is_none() && identity == DEFAULT_NAME;
        unsaid || forwarding.any(|block| block.whose(names) == Some(identity))
    }

    fn forwarding(&self) -> impl Iterator<Item = &ListenerBlock> {
        self.read.iter().filter(|block| block.listener.role == ListenerRole::Default)
    }

    /// What must hold among listeners, identities and `api_proxy`.
    pub(crate) fn check(&self, names: &Names<'_>, token_use: TokenUse, report: &mut Report) {
        check_places(&self.read, report);
        for block in &self.read {
            block.check_name(names, report);
        }
        if token_use == TokenUse::Never {
            return;
        }
        for block in self.forwarding() {
            block.check_token(names, report);
            block.warn_of_reach(report);
        }
    }

    pub(crate) fn settle(self, names: &Names<'_>) -> Vec<Listener> {
        let settle = |block: ListenerBlock| {
            let identity = match block.listener.role {
                ListenerRole::Default => block.whose(names).map(str::to_owned),
                ListenerRole::MetricsOnly => None,
            };
            Listener { identity, ..block.listener }
        };
        self.read.into_iter().map(settle).collect()
    }
}

impl ListenerBlock {
    /// Whose token its requests get.
    fn whose<'a>(&'a self, names: &Names<'a>) -> Option<&'a str> {
        if let Some(name) = &self.listener.identity {
            return Some(name);
        }
        match names.others {
            _ if names.has_default => Some(DEFAULT_NAME),
            [only] if !names.broken => Some(&only.name),
            _ => None,
        }
    }

    fn check_name(&self, names: &Names<'_>, report: &mut Report) {
        let (Some(name), Some(place)) = (&self.listener.identity, &self.identity) else { return };
        if self.listener.role == ListenerRole::MetricsOnly {
            report.push(Diagnostic::new_warning(
                "no-effect",
                "`identity` has no effect: a listener for metrics forwards no requests",
                "take it out, or the role",
                Some(place),
            ));
        }
        if names.broken || names.all().any(|known| known == name) {
            return;
        }
        let help = match nearest(name, names.all()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None if names.all().next().is_none() => {
                "write an `auto_auth` or an `identity` block".to_owned()
            }
            None => format!("write {}", names.quoted()),
        };
        report.push(Diagnostic::new_error(
            "listener.identity",
            format!("there is no identity \"{name}\""),
            help,
            Some(place),
        ));
    }

    /// There is a token, and it isn't wrapped.
    fn check_token(&self, names: &Names<'_>, report: &mut Report) {
        let place = self.identity.as_ref().unwrap_or(&self.listener.location);
        let whose = self.whose(names);
        let other = names.others.iter().find(|identity| Some(identity.name.as_str()) == whose);
        let (message, help) = match (whose, other) {
            // Without any identity it is the block `api_proxy` that can't be.
            (None, _) if !names.broken && !names.others.is_empty() => (
                "this listener doesn't say whose token its requests get".to_owned(),
                format!("write identity = {} in it", names.quoted()),
            ),
            (Some(name), Some(identity)) if identity.method.wrap_ttl.is_some() => (
                format!("requests would get the token of \"{name}\", whose method wraps it"),
                "take `wrap_ttl` out of the method, or name another identity".to_owned(),
            ),
            _ => return,
        };
        report.push(Diagnostic::new_error("listener.identity", message, help, Some(place)));
    }

    fn warn_of_reach(&self, report: &mut Report) {
        let ListenerPlace::Tcp { address } = &self.listener.place else { return };
        let tls = self.listener.tls.as_ref();
        let proven = tls.is_some_and(|tls| tls.client_certificates == ClientCertificates::Required);
        if !proven && !is_loopback(address) {
            report.push(Diagnostic::new_warning(
                "listener.reach",
                "whoever reaches this port has the power of the agent's token",
                "listen at 127.0.0.1 or on a Unix socket, or require certificates of clients: tls_require_and_verify_client_cert = true and tls_client_ca_file",
                Some(&self.place),
            ));
        }
    }
}

impl Names<'_> {
    fn all(&self) -> impl Iterator<Item = &str> {
        let default = self.has_default.then_some(DEFAULT_NAME);
        default.into_iter().chain(self.others.iter().map(|identity| identity.name.as_str()))
    }

    fn quoted(&self) -> String {
        self.all().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ")
    }
}

/// Only one can have a port or a socket.
fn check_places(blocks: &[ListenerBlock], report: &mut Report) {
    let mut seen: BTreeMap<PathBuf, &ListenerBlock> = BTreeMap::new();
    for block in blocks {
        let name = match &block.listener.place {
            // Any port that is free.
            ListenerPlace::Tcp { address } if address.ends_with(":0") => continue,
            ListenerPlace::Tcp { address } => PathBuf::from(format!("tcp:{address}")),
            ListenerPlace::Unix { path, .. } => file_sink::normal(path),
        };
        let Some(first) = seen.get(&name) else {
            seen.insert(name, block);
            continue;
        };
        report.push(Diagnostic::new_error(
            "listener.address",
            format!(
                "two listeners at one place: this one and the one at {}",
                first.listener.location
            ),
            "give each listener an address of its own",
            Some(&block.place),
        ));
    }
}

/// None: nobody knows where it would listen. Of other problems what stands in for what is wrong.
fn listener(nested: &Nested<'_>, dialect: Dialect, report: &mut Report) -> Option<ListenerBlock> {
    let fields = judge(nested, &LISTENER, report);
    let keys = nested.object.items.iter().map(|item| &item.key);
    report.extend(keys.filter_map(|key| objection(dialect, &LISTENER, key)));
    let reader = Reader { fields, location: nested.location };
    let place = reader.place(&lower_kind(&reader.fields, nested), report);
    let is_tcp = matches!(place, Some(ListenerPlace::Tcp { .. }));
    let tls = tls::read(&reader, is_tcp, report);
    let role = reader.role(report);
    let allow_users = reader.allowed("allow_users", is_tcp, report);
    let allow_groups = reader.allowed("allow_groups", is_tcp, report);
    let identity = reader.text("identity");
    Some(ListenerBlock {
        place: reader.text("address").map_or_else(|| nested.location.clone(), |text| text.location),
        identity: identity.as_ref().map(|name| name.location.clone()),
        listener: Listener {
            place: place?,
            role,
            require_request_header: reader.is_on("require_request_header"),
            enable_quit: reader.enable_quit(dialect),
            identity: identity.map(|name| name.value),
            allow_users,
            allow_groups,
            tls,
            location: nested.location.clone(),
        },
    })
}

/// A block that is judged already: what doesn't fit a key's type is in the report.
struct Reader<'a> {
    fields: Fields<'a>,
    location: &'a Location,
}

impl Reader<'_> {
    /// "" is not set.
    fn text(&self, key: &str) -> Option<Located<String>> {
        self.fields.string(key, &mut Report::new()).filter(|text| !text.value.is_empty())
    }

    fn switch(&self, key: &str) -> Option<Located<bool>> {
        self.fields.weak_boolean(key, &mut Report::new()).filter(|switch| switch.value)
    }

    fn is_on(&self, key: &str) -> bool {
        self.switch(key).is_some()
    }

    fn error(&self, key: &str, message: &str, help: &str, place: Option<&Location>) -> Diagnostic {
        let code = format!("listener.{key}");
        Diagnostic::new_error(code, message, help, Some(place.unwrap_or(self.location)))
    }

    fn place(&self, kind: &str, report: &mut Report) -> Option<ListenerPlace> {
        let address = self.text("address");
        let (message, help) = match kind {
            "tcp" => {
                if let Some(address) = &address {
                    self.check_address(address, report);
                }
                let address = address.map_or_else(|| DEFAULT_ADDRESS.to_owned(), |text| text.value);
                return Some(ListenerPlace::Tcp { address });
            }
            "unix" => {
                let Some(path) = address else {
                    let message = "this listener has no path for its socket";
                    let help = "write address = \"/run/…/usher-api.sock\"";
                    report.push(self.error("address", message, help, None));
                    return None;
                };
                if let Some(bare) = path.value.strip_prefix("unix:") {
                    let bare = bare.trim_start_matches('/');
                    report.push(self.error(
                        "address",
                        "`address` is a URL, and a socket has a path",
                        &format!("write address = \"/{bare}\"; clients take unix:///{bare}"),
                        Some(&path.location),
                    ));
                }
                return Some(ListenerPlace::Unix {
                    path: PathBuf::from(path.value),
                    mode: self.mode(report),
                    user: self.text("socket_user").map(|text| text.value),
                    group: self.text("socket_group").map(|text| text.value),
                });
            }
            "" => (
                "this listener has no type".to_owned(),
                "write listener \"tcp\" { … } or listener \"unix\" { … }",
            ),
            other => (format!("there is no listener type {other:?}"), "write \"tcp\" or \"unix\""),
        };
        report.push(self.error("type", &message, help, None));
        None
    }

    /// What a template makes is judged when it is known.
    fn check_address(&self, address: &Located<String>, report: &mut Report) {
        if !address.value.contains("{{") && host_of(&address.value).is_none() {
            report.push(self.error(
                "address",
                "`address` is no host with the number of a port",
                "write address = \"127.0.0.1:8200\"; brackets stand around an IPv6 address",
                Some(&address.location),
            ));
        }
    }

    fn mode(&self, report: &mut Report) -> Option<u32> {
        let text = self.text("socket_mode")?;
        let mode = u32::from_str_radix(&text.value, 8).ok().filter(|mode| *mode <= MODE_BITS);
        if mode.is_none() {
            report.push(self.error(
                "socket_mode",
                "`socket_mode` is no octal mode",
                "write socket_mode = \"0660\"",
                Some(&text.location),
            ));
        }
        mode
    }

    fn role(&self, report: &mut Report) -> ListenerRole {
        let Some(role) = self.text("role") else { return ListenerRole::Default };
        match role.value.as_str() {
            "default" => ListenerRole::Default,
            "metrics_only" => ListenerRole::MetricsOnly,
            other => {
                let message = format!("there is no role {other:?}");
                let help = "write \"default\" or \"metrics_only\"";
                report.push(self.error("role", &message, help, Some(&role.location)));
                ListenerRole::Default
            }
        }
    }

    /// The last that is said counts. Both blocks have the same keys.
    fn enable_quit(&self, dialect: Dialect) -> bool {
        let blocks = self.fields.blocks(dialect.api(), &mut Report::new());
        let mut said = blocks.iter().rev().filter_map(|block| {
            let fields = Fields::of(block.object, &AGENT_API, &mut Report::new());
            fields.strict_boolean("enable_quit", &mut Report::new())
        });
        said.next().unwrap_or(false)
    }

    /// Only of whoever connects to a socket it is known who it is.
    fn allowed(&self, key: &str, is_tcp: bool, report: &mut Report) -> Vec<String> {
        let names = self.fields.strings(key, &mut Report::new()).unwrap_or_default();
        if let Some(first) = names.first().filter(|_| is_tcp) {
            let message = format!("`{key}` is for Unix sockets: of a TCP client no user is known");
            let help = "take it out, or write listener \"unix\" { … }";
            report.push(self.error(key, &message, help, Some(&first.location)));
        }
        names.into_iter().map(|name| name.value).collect()
    }
}

/// The host of `HOST:PORT`, without brackets.
fn host_of(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    let number = port.parse::<u16>().is_ok() && port.bytes().all(|digit| digit.is_ascii_digit());
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => Some(inner).filter(|inner| inner.parse::<Ipv6Addr>().is_ok()),
        None => Some(host).filter(|host| !host.contains([':', '[', ']', ' ', '/'])),
    };
    host.filter(|_| number)
}

/// Of a template only that is known what it asks for.
fn is_loopback(address: &str) -> bool {
    if address.contains("{{") {
        let lower = address.to_ascii_lowercase();
        return lower.contains("loopback") || lower.contains("\"lo\"");
    }
    // What is no address at all is refused already.
    host_of(address).is_none_or(|host| {
        let ip = host.parse::<IpAddr>();
        ip.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip| ip.is_loopback())
    })
}
