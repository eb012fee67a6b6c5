//! What runs as `usher agent`: identities, doors, status and reload. It writes to no terminal: what
//! people at one should see goes to a [`Reporter`].

#![forbid(unsafe_code)]

mod admin;
mod agent;
pub mod bind;
mod driver;
mod exit;
mod identity;
mod inheritance;
mod live;
pub mod lock;
mod log_file;
pub mod logging;
mod metrics;
mod notify;
mod payload;
pub mod plugin_files;
pub mod plugins;
mod process;
mod reload;
mod reporter;
mod signals;
pub mod status;
mod trouble;
mod unwrapper;

pub use agent::run;
pub use exit::Exit;
pub use identity::below_the_mount;
pub use process::forbid_core_dumps;
pub use reporter::Reporter;
pub use signals::Signals;
