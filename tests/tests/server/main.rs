//! The way to the server, for the agent itself and for whoever asks it; and what happens while there is
//! none.

mod api_cache;
mod api_clients;
mod api_proxy;
mod api_proxy_bytes;
mod api_proxy_faults;
mod connection;
mod listener;
mod listener_callers;
mod listener_explained;
mod listener_reload;
mod listener_seen;
mod outage;
mod proxy_dialect;
mod static_secrets;
mod tls;
