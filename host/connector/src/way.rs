//! From an address to a stream: TCP or a unix socket, through a proxy or not, with TLS or without.

use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{HeaderMap, USER_AGENT};
use http::uri::{Scheme, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::body::BoxError;
use crate::outbound::Outbound;
use crate::resolve::{Names, Resolve};

/// How connections are made. A clone is the same way.
#[derive(Clone)]
pub(crate) struct Way(Arc<Inner>);

/// What a [`Way`] is made of.
pub(crate) struct Means {
    pub(crate) resolver: Arc<dyn Resolve>,
    /// Where everything goes, whatever the request is for.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) proxy: Option<Arc<Outbound>>,
    /// `None`: only http is spoken, to the server and to the proxy.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// In the certificate, instead of the request's.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// From nothing to the end of the handshake.
    pub(crate) connect_timeout: Duration,
}

struct Inner {
    tcp: HttpConnector<Names>,
    /// The same trust and certificate for either.
    to_server: Option<TlsConnector>,
    to_proxy: Option<TlsConnector>,
    means: Means,
}

/// Who is at the other end of a TLS connection.
#[derive(Clone, Copy)]
enum Peer {
    Server,
    Proxy,
}

/// No connection within [`Means::connect_timeout`].
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub(crate) struct TooSlow;

/// The proxy isn't reached. The tunnels of the HTTP library would keep the cause to themselves.
#[derive(Debug, thiserror::Error)]
#[error("no connection to the proxy")]
pub(crate) struct NoProxy(#[source] BoxError);

impl Way {
    pub(crate) fn new(means: Means) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Names(Arc::clone(&means.resolver)));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // A peer that vanishes without a word is noticed within a minute.
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(3));
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        // Shared evenly by a name's addresses, so that one that swallows packets leaves time for the
        // next.
        tcp.set_connect_timeout(Some(means.connect_timeout));
        let to_server = means.tls.clone().map(TlsConnector::from);
        let to_proxy = means.tls.as_ref().map(|tls| {
            let mut tls = ClientConfig::clone(tls);
            tls.alpn_protocols.clear();
            TlsConnector::from(Arc::new(tls))
        });
        Self(Arc::new(Inner { tcp, to_server, to_proxy, means }))
    }

    async fn connect(self, to: Uri) -> Result<Stream, BoxError> {
        let secure = to.scheme() == Some(&Scheme::HTTPS);
        let means = &self.0.means;
        let io: Io = match (&means.socket, means.proxy.as_deref()) {
            (Some(socket), _) => Box::new(UnixStream::connect(socket).await?),
            (None, None) => self.tcp(to.clone()).await?,
            (None, Some(Outbound::Http { url, authorization, user_agent })) => {
                let io = self.to_proxy(url.clone()).await.map_err(NoProxy)?;
                if !secure {
                    return Ok(Stream { io: TokioIo::new(io), proxied: true });
                }
                let named = HeaderMap::from_iter([(USER_AGENT, user_agent.clone())]);
                let mut tunnel = Tunnel::new(url.clone(), AtProxy::new(io)).with_headers(named);
                if let Some(authorization) = authorization {
                    tunnel = tunnel.with_auth(authorization.header().clone());
                }
                tunnel.call(to.clone()).await?.io.into_inner()
            }
            (None, Some(Outbound::Socks { url, user, .. })) => {
                let io = self.to_proxy(url.clone()).await.map_err(NoProxy)?;
                let mut tunnel = SocksV5::new(url.clone(), AtProxy::new(io));
                if let Some((user, password)) = user {
                    // The library wants copies, which last as long as the handshake.
                    tunnel = tunnel.with_auth(user.clone(), password.expose().clone());
                }
                tunnel.call(with_port(&to)?).await?.io.into_inner()
            }
        };
        let io = if secure { self.tls(io, &to, Peer::Server).await? } else { io };
        Ok(Stream { io: TokioIo::new(io), proxied: false })
    }

    async fn tls(&self, io: Io, to: &Uri, peer: Peer) -> Result<Io, BoxError> {
        let (tls, expected) = match peer {
            Peer::Server => (&self.0.to_server, self.0.means.server_name.clone()),
            Peer::Proxy => (&self.0.to_proxy, None),
        };
        let Some(tls) = tls else {
            return Err(io::Error::other("https is not spoken on this way").into());
        };
        let name = if let Some(name) = expected {
            name
        } else {
            let host = to.host().unwrap_or_default().trim_matches(['[', ']']);
            ServerName::try_from(host.to_owned())?
        };
        Ok(Box::new(tls.connect(name, io).await?))
    }

    async fn tcp(&self, to: Uri) -> Result<Io, BoxError> {
        Ok(Box::new(self.0.tcp.clone().call(to).await?.into_inner()))
    }

    /// Up to the point where the proxy can be spoken to.
    async fn to_proxy(&self, proxy: Uri) -> Result<Io, BoxError> {
        let secure = proxy.scheme() == Some(&Scheme::HTTPS);
        let io = self.tcp(proxy.clone()).await?;
        if secure { self.tls(io, &proxy, Peer::Proxy).await } else { Ok(io) }
    }
}

impl Service<Uri> for Way {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Connecting {
        let way = self.clone();
        Box::pin(async move {
            let patience = way.0.means.connect_timeout;
            match tokio::time::timeout(patience, way.connect(to)).await {
                Ok(connected) => connected,
                Err(_) => Err(TooSlow.into()),
            }
        })
    }
}

type Connecting = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

/// A connection to the proxy, for what makes one tunnel of it.
struct AtProxy(Option<Stream>);

impl AtProxy {
    fn new(io: Io) -> Self {
        Self(Some(Stream { io: TokioIo::new(io), proxied: false }))
    }
}

impl Service<Uri> for AtProxy {
    type Response = Stream;
    type Error = BoxError;
    type Future = Ready<Result<Stream, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| "it is in use".into()))
    }
}

/// A connection, whatever it is made of.
pub(crate) struct Stream {
    io: TokioIo<Io>,
    /// The other end is a proxy that wants to be told the whole address with each request.
    proxied: bool,
}

type Io = Box<dyn ReadWrite>;

trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }
}

/// A SOCKS proxy is told the port, which a URL leaves out where it is the scheme's own.
fn with_port(to: &Uri) -> Result<Uri, BoxError> {
    let secure = to.scheme() == Some(&Scheme::HTTPS);
    let port = to.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let host = to.host().unwrap_or_default();
    let scheme = if secure { "https" } else { "http" };
    Ok(format!("{scheme}://{host}:{port}/").parse::<Uri>()?)
}

const KEEPALIVE: Duration = Duration::from_secs(15);
/// Of what was sent.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
