//! Lets HTTP/1.1 requests in: over TCP, unix sockets and TLS.
//!
//! A [`Place`] is bound to a [`Socket`], and [`serve`] accepts what comes there until it is told to
//! stop; then it drains. Who may come and whether TLS is spoken is the [`Manner`], which may change
//! while the socket stays. The service gets each request with its [`Peer`]; what the request means,
//! and everything about tokens, is the service's.
//!
//! Nothing that a client does holds more than its [`Limits`]: neither half a head, nor a connection
//! on which nothing happens, nor an answer that nobody reads. A request costs no timer.

#![forbid(unsafe_code)]

mod access;
mod accounts;
mod allowed;
mod answer;
mod bind_error;
mod client_certificates;
mod connection;
mod connection_stream;
mod life;
mod limits;
mod log_throttle;
mod manner;
mod peer;
mod place;
mod refusal;
mod serve;
mod sockaddr;
mod socket;
mod socket_file;
mod stream;
mod suites;
mod tally;
mod tcp;
mod tls;
mod watchdog;

pub use access::{Access, AccessChange};
pub use allowed::Allowed;
pub use answer::BoxError;
pub use bind_error::BindError;
pub use client_certificates::ClientCertificates;
pub use limits::Limits;
pub use manner::Manner;
pub use peer::{Certificate, Origin, Peer};
pub use place::Place;
pub use serve::serve;
pub use sockaddr::TemplateError;
pub use socket::Socket;
pub use socket_file::SocketFile;
pub use tally::Tally;
pub use tls::{Tls, TlsError, TlsFiles, TlsVersion};
