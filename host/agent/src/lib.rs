//! What runs as `usher agent` and `usher proxy`: identities, doors, status and reload. It writes to
//! no terminal: what people at one should see goes to a [`Reporter`].

#![deny(unsafe_code)]

mod agent;
pub mod bind;
mod desk;
mod door;
mod driver;
mod exit;
mod feeds;
mod identity;
mod identity_part;
mod inheritance;
mod listener;
mod listener_check;
mod listener_part;
mod listener_settings;
mod log_file;
pub mod logging;
mod metric;
mod metrics;
mod notify;
mod origin;
mod part;
mod payload;
mod persistence;
mod place_holder;
pub mod plugin_files;
mod plugin_follower;
pub mod plugins;
mod prepare;
mod process;
mod proxy_runtime;
mod reception;
mod reload;
mod reporter;
mod roster;
mod signals;
mod spare_memory;
pub mod status;
mod supervisor;
mod surroundings;
mod target;
mod token;
mod traffic;
mod trouble;
mod unwrapper;

pub use agent::run;
pub use exit::Exit;
pub use identity::below_the_mount;
pub use listener_check::check as check_listeners;
pub use persistence::check as check_persistence;
pub use process::forbid_core_dumps;
pub use reporter::Reporter;
pub use signals::Signals;
