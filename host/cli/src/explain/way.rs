//! The way to a listener of the running agent, as its configuration has it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hyper::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, pki_types::ServerName};
use usher_config::{Listener, ListenerPlace, Settings};
use usher_trust::{Trust, client_config, tls_error};

use crate::socket::{Unreachable, ask, refused};
use crate::status::parse;

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Where a listener is.
pub(super) enum Way {
    /// Host and port.
    Tcp(String),
    /// A socket.
    Unix(PathBuf),
}

impl Way {
    /// Only the agent knows what a template stands for, and which port was free.
    ///
    /// # Errors
    /// Why it isn't known where the listener is.
    pub(super) async fn find(settings: &Settings, listener: &Listener) -> Result<Self, String> {
        let address = match &listener.place {
            ListenerPlace::Unix { path, .. } => return Ok(Self::Unix(path.clone())),
            ListenerPlace::Tcp { address } if address.contains("{{") || address.ends_with(":0") => {
                bound(settings, address).await?
            }
            ListenerPlace::Tcp { address } => address.trim().to_owned(),
        };
        // All addresses of the machine.
        let host = if address.starts_with(':') { "localhost" } else { "" };
        Ok(Self::Tcp(format!("{host}{address}")))
    }

    /// For the header `Host`.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Tcp(authority) => authority,
            Self::Unix(_) => "localhost",
        }
    }

    /// Connects, with TLS if the listener has it.
    ///
    /// # Errors
    /// Why there is no connection, and what to do.
    pub(super) async fn connect(&self, listener: &Listener) -> Result<Box<dyn Stream>, String> {
        let at = listener.place.to_string();
        let stream: Box<dyn Stream> = match self {
            Self::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(|error| told(&at, &error))?)
            }
            Self::Tcp(authority) => {
                Box::new(TcpStream::connect(authority).await.map_err(|error| told(&at, &error))?)
            }
        };
        if listener.tls.is_none() {
            return Ok(stream);
        }
        // No secret is sent, and of what comes nothing is believed or shown.
        let tls = client_config(Trust::Anyone, None)?;
        let (name, _) = self.host().rsplit_once(':').unwrap_or((self.host(), ""));
        let name = name.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| format!("{at}: {error}"))?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await;
        let stream = stream.map_err(|error| no_tls(&at, &error))?;
        Ok(Box::new(stream))
    }
}

/// Where the running agent has bound this address.
async fn bound(settings: &Settings, address: &str) -> Result<String, String> {
    let Some(socket) = &settings.admin_socket else {
        return Err(format!(
            "only the agent knows where {address} is: set admin_socket, so that it can be asked"
        ));
    };
    let (status, text) =
        ask(socket, Method::GET, "/v1/status").await.map_err(Unreachable::into_text)?;
    if status != StatusCode::OK {
        return Err(refused(status, &text));
    }
    let found = parse(&text)?.listeners.into_iter().find(|listener| listener.place == address);
    let found = found.ok_or_else(|| {
        format!("the running agent has no listener at {address}: run `usher reload`")
    })?;
    Ok(found.bound)
}

fn no_tls(at: &str, error: &io::Error) -> String {
    let why = match tls_error(error) {
        Some(rustls::Error::InvalidMessage(_)) => "the agent speaks none there".to_owned(),
        // The library says it in a way that is for its own authors.
        Some(_) => "the handshake failed".to_owned(),
        None => error.to_string(),
    };
    format!(
        "no TLS with {at}: {why}; if the configuration has changed since the agent read it, run `usher reload`"
    )
}

fn told(at: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "nobody listens at {at}: {error}; start `usher agent` with this configuration, or run `usher reload` if it runs"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not connect to {at}: {error}; run this as one whom socket_mode, socket_user or socket_group let in"
        ),
        _ => format!("{at} can't be reached: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_with_a_listener_is_told_without_the_librarys_own_words() {
        let garbled = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let said = no_tls("127.0.0.1:1", &io::Error::new(io::ErrorKind::InvalidData, garbled));
        assert!(
            said.starts_with("no TLS with 127.0.0.1:1: the agent speaks none there;"),
            "{said}"
        );
        assert!(said.ends_with("run `usher reload`"), "{said}");
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion);
        let said = no_tls("127.0.0.1:1", &io::Error::new(io::ErrorKind::InvalidData, alert));
        assert!(!said.contains("ProtocolVersion"), "{said}");
    }
}
