//! What clients meet at a listener: HTTP, unix sockets, TLS, limits and the end.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

mod http;
mod listener;
mod stopping;
mod tls;
mod unix;
