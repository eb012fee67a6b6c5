//! The way to the server, and what happens while there is none.

mod connection;
mod outage;
mod tls;
