//! Listens over TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpSocket;

use crate::bind_error::BindError;
use crate::sockaddr;

/// Binds the first address of the host that can be bound.
pub(crate) async fn bind(written: &str) -> Result<TcpListener, BindError> {
    let (host, port) = host_and_port(written)?;
    let unresolved = |source| BindError::Unresolved { host: host.clone(), source };
    let addresses: Vec<SocketAddr> = if host.is_empty() {
        // All interfaces: IPv6's "any" takes IPv4 too, where there is IPv6.
        [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
            .map(|any| SocketAddr::new(any, port))
            .to_vec()
    } else {
        let found = tokio::net::lookup_host((&*host, port)).await;
        found.map_err(unresolved)?.collect()
    };
    let mut first_error = None;
    for address in addresses {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) if host.is_empty() && is_without_ipv6(address, &error) => {}
            Err(error) => {
                first_error.get_or_insert_with(|| told(address, error));
            }
        }
    }
    Err(first_error.unwrap_or_else(|| unresolved(io::Error::other("it has no address"))))
}

/// What an address stands for: the host, without brackets, and the port.
pub(crate) fn host_and_port(written: &str) -> Result<(String, u16), BindError> {
    let address = written.to_owned();
    let expanded = sockaddr::expand(written, sockaddr::of_this_machine)
        .map_err(|source| BindError::Template { address: address.clone(), source })?;
    match split(&expanded) {
        Some((host, port)) => Ok((host.to_owned(), port)),
        None if expanded == written => Err(BindError::Malformed { address }),
        None => Err(BindError::MalformedTemplate { address, stands_for: expanded }),
    }
}

/// Host and port. The host without its brackets.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.trim().rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    Some((host, port.parse().ok()?))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // Linux hands these down to each connection.
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEP_ALIVE)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// The system has no IPv6, or it is switched off.
fn is_without_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let absent = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL];
    address.is_ipv6()
        && absent.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn told(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::PortInUse { address },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { address },
        io::ErrorKind::PermissionDenied => BindError::Forbidden { address, source },
        _ => BindError::Tcp { address, source },
    }
}

/// As Go's.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// As tokio's.
const BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockaddr::TemplateError;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (address, expected) in [
            ("127.0.0.1:8200", Some(("127.0.0.1", 8200))),
            ("localhost:0", Some(("localhost", 0))),
            (":8200", Some(("", 8200))),
            ("[::1]:8200", Some(("::1", 8200))),
            ("::1:8200", None),
            ("[::1:8200", None),
            ("127.0.0.1", None),
            ("127.0.0.1:", None),
            ("127.0.0.1:http", None),
            ("127.0.0.1:70000", None),
            ("", None),
        ] {
            assert_eq!(split(address), expected, "{address}");
        }
    }

    #[tokio::test]
    async fn connections_have_no_delay_and_are_kept_alive() {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (connection, _) = listener.accept().unwrap();
        assert!(sockopt::tcp_nodelay(&connection).unwrap());
        assert!(sockopt::socket_keepalive(&connection).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&connection).unwrap(), KEEP_ALIVE);
    }

    #[tokio::test]
    async fn an_address_without_a_host_is_every_interface() {
        let listener = bind(":0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[tokio::test]
    async fn why_an_address_can_not_be_listened_on_is_told_with_a_remedy() {
        let taken = bind("localhost:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        for (address, said) in [
            (format!("localhost:{port}"), "another process listens on"),
            ("192.0.2.77:0".to_owned(), "isn't an address of this machine"),
            ("nothing.invalid:1".to_owned(), "no address is found"),
            ("8200".to_owned(), "isn't a host and a port"),
            ("{{ GetIP }}:1".to_owned(), "isn't known"),
            ("{{ GetPrivateIP }}".to_owned(), "isn't a host and a port"),
        ] {
            let error = match bind(&address).await {
                Err(BindError::Template { source: TemplateError::None(_), .. }) => continue,
                bound => bound.unwrap_err(),
            };
            assert!(error.to_string().contains(said), "{address}: {error}");
            assert!(!error.remedy().is_empty());
        }
    }
}
