//! Who has the place that a listener can't have, where it is this very agent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use usher_config::{Listener, ListenerPlace, Location, Settings};
use usher_listen::BindError;

use crate::bind::resolved;

/// A listener that is bound.
pub(crate) struct Held<'a> {
    pub(crate) settings: &'a Listener,
    /// As people know it: the address with its port, or the path.
    pub(crate) name: &'a str,
    /// Over TCP, with the port that it got.
    pub(crate) address: Option<SocketAddr>,
}

/// What is in the way, and what to do.
pub(crate) type Holder = (String, &'static str);

/// Why a socket can't be bound, if it isn't another process. `wanted` is the new configuration,
/// `held` what is bound for it or in force, and `before` what is in force.
pub(crate) fn of<'a>(
    error: &BindError,
    wanted: &Settings,
    held: impl IntoIterator<Item = Held<'a>>,
    before: Option<&Settings>,
) -> Option<Holder> {
    const CLOSING: &str = "take this listener out and reload, then put it back and reload again; or restart the agent";
    let spot = match error {
        BindError::PortInUse { address } => Spot::Port(*address),
        BindError::SocketInUse { path } => Spot::socket(path),
        _ => return None,
    };
    let mut held = held.into_iter();
    let holder = held.find(|one| Spot::of(one).is_some_and(|own| own.overlaps(&spot)));
    // Also one that stays.
    if let Some(holder) = &holder
        && let Some(other) =
            wanted.listeners.iter().find(|other| is_same(&holder.settings.place, &other.place))
    {
        return Some(beside(&other.location));
    }
    if let Some(key) = door(&spot, wanted) {
        return Some(beside_door(key));
    }
    let what = match holder {
        Some(holder) => format!("listener {}", holder.name),
        None => format!("`{}` of before", door(&spot, before?)?),
    };
    let what = format!(
        "the agent's own {what} is in the way, which closes only once this configuration is in force"
    );
    Some((what, CLOSING))
}

/// The same of what is written, before anything is bound: for the listener at this index, what these
/// settings have at its place besides.
pub(crate) fn in_writing(settings: &Settings, index: usize) -> Option<Holder> {
    let spot = Spot::written(settings.listeners.get(index)?)?;
    let mut earlier = settings.listeners.iter().take(index);
    let same = |other: &&Listener| Spot::written(other).is_some_and(|own| own.overlaps(&spot));
    match earlier.find(same) {
        Some(other) => Some(beside(&other.location)),
        None => door(&spot, settings).map(beside_door),
    }
}

/// Whether two are the same place, whoever may connect there.
pub(crate) fn is_same(one: &ListenerPlace, other: &ListenerPlace) -> bool {
    match (one, other) {
        (ListenerPlace::Tcp { address: one }, ListenerPlace::Tcp { address: other }) => {
            one == other
        }
        // It may have another name (/var/run, /run).
        (ListenerPlace::Unix { path: one, .. }, ListenerPlace::Unix { path: other, .. }) => {
            resolved(one) == resolved(other)
        }
        _ => false,
    }
}

fn beside(other: &Location) -> Holder {
    (format!("the one at {other} listens there, too"), "give each listener an address of its own")
}

fn beside_door(key: &str) -> Holder {
    (format!("`{key}` is at the same place"), "write another place in one of the two")
}

/// The key of the door that these settings put there.
fn door(spot: &Spot, settings: &Settings) -> Option<&'static str> {
    let metrics = settings.metrics_address.map(|own| (Spot::Port(own), "metrics_address"));
    let admin = settings.admin_socket.as_deref().map(|own| (Spot::socket(own), "admin_socket"));
    let doors = metrics.into_iter().chain(admin);
    doors.filter(|(own, _)| own.overlaps(spot)).map(|(_, key)| key).next()
}

/// Where one can listen, and nobody else meanwhile.
enum Spot {
    Port(SocketAddr),
    /// By the name that it has without links.
    Socket(PathBuf),
}

impl Spot {
    fn socket(path: &Path) -> Self {
        Self::Socket(resolved(path))
    }

    fn of(held: &Held<'_>) -> Option<Self> {
        let socket = || held.settings.socket().map(Self::socket);
        held.address.map(Self::Port).or_else(socket)
    }

    /// `None`: it isn't known yet, or any port will do.
    fn written(listener: &Listener) -> Option<Self> {
        let address = match &listener.place {
            ListenerPlace::Unix { path, .. } => return Some(Self::socket(path)),
            ListenerPlace::Tcp { address } => address.trim(),
        };
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let address = match host {
            "" => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
            "localhost" => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            _ => address.parse().ok()?,
        };
        Some(Self::Port(address))
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Port(one), Self::Port(other)) => overlap(*one, *other),
            (Self::Socket(one), Self::Socket(other)) => one == other,
            _ => false,
        }
    }
}

/// Whether nobody can listen on the one while somebody listens on the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |all: IpAddr, other: IpAddr| match all {
        // Where IPv4 comes in, too.
        IpAddr::V6(all) => all.is_unspecified(),
        IpAddr::V4(all) => all.is_unspecified() && other.is_ipv4(),
    };
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && (a == b || takes(a, b) || takes(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_as_the_system_has_it() {
        for (one, other, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("[::]:1", "127.0.0.1:1", true),
            ("[::]:1", "[::1]:1", true),
            ("[::]:1", "0.0.0.0:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
        ] {
            let parsed = |text: &str| text.parse::<SocketAddr>().unwrap();
            assert_eq!(overlap(parsed(one), parsed(other)), expected, "{one} {other}");
            assert_eq!(overlap(parsed(other), parsed(one)), expected, "{other} {one}");
        }
    }
}
