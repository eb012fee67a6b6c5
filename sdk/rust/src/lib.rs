//! Write auth methods and sinks for Usher as WebAssembly components.
//!
//! Implement [`AuthMethod`] or [`Sink`], name the type in [`export!`], and build a `cdylib` for
//! `wasm32-unknown-unknown`. The modules here are what a plug-in can ask of the host. This is a
//! complete method, with its test:
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//! use serde_json::json;
//! use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, files, http};
//!
//! /// Logs in with a badge that the company's sign-on service gives for an API key.
//! struct Acme;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// URL of the sign-on service.
//!     url: String,
//!     /// File with the API key.
//!     key_file: String,
//! }
//!
//! #[derive(Deserialize)]
//! struct Badge {
//!     id: String,
//!     jwt: String,
//! }
//!
//! impl AuthMethod for Acme {
//!     type Config = Config;
//!     const ABOUT: About =
//!         About::new("acme", env!("CARGO_PKG_VERSION"), "Logs in with the Acme sign-on service");
//!
//!     fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
//!         if !config.url.starts_with("https://") {
//!             return Err(Failure::config("acme.url", "`url` must start with https://"));
//!         }
//!         Ok(vec![Need::connect(&config.url), Need::watch(&config.key_file)])
//!     }
//!
//!     fn authenticate(config: &Config) -> Result<Answer, Failure> {
//!         let key = files::read_trimmed(&config.key_file)?;
//!         let request = http::Request::get(&config.url).header("x-api-key", key);
//!         let response = request.send()?;
//!         if response.status == 403 {
//!             return Err(Failure::denied("acme.key", "Acme refused the key; renew it"));
//!         }
//!         let badge: Badge = response.json()?;
//!         let login = Login::new("login", json!({"role": "app", "jwt": badge.jwt}));
//!         Ok(Answer::login(login).revision(badge.id))
//!     }
//! }
//!
//! usher_plugin::export!(auth_method: Acme);
//!
//! use usher_plugin::testing::{self, Host};
//!
//! let host = Host::install();
//! host.put_file("/run/key", "s3cret\n");
//! host.answer_http("GET", "https://acme.test/", |request| {
//!     assert_eq!(request.headers, [("x-api-key".into(), "s3cret".into())]);
//!     Ok(http::Response::new(200, r#"{"id": "7", "jwt": "e30"}"#))
//! });
//! let config = json!({"url": "https://acme.test/", "key_file": "/run/key"});
//! assert_eq!(testing::authenticate::<Acme>(&config)?.revision, "7");
//! # Ok::<(), Failure>(())
//! ```

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod abi;
pub mod clock;
pub mod config;
pub mod context;
pub mod crypto;
pub mod env;
mod failure;
pub mod files;
pub mod http;
pub mod json;
pub mod kdc;
pub mod log;
mod method;
mod plugin;
pub mod random;
pub mod server;
mod sink;
pub mod state;
mod suggestion;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use failure::{Failure, Kind};
pub use method::{Answer, AuthMethod, ClientCertificate, Credential, Login};
pub use plugin::{About, Need, Reauthenticate};
pub use sink::{Delivery, Form, Sink};

#[cfg(target_arch = "wasm32")]
use abi::backend;
#[cfg(not(target_arch = "wasm32"))]
use testing::backend;

/// Makes the crate's `cdylib` a plug-in: `export!(auth_method: Type)` for an [`AuthMethod`],
/// `export!(sink: Type)` for a [`Sink`]. Once in a crate. Does nothing in native builds.
#[macro_export]
macro_rules! export {
    (auth_method: $plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::abi::AuthMethodExports<$plugin>;
    $crate::abi::plugin::export_plugin!(Exported with_types_in $crate::abi::plugin);
            $crate::abi::auth_method::export_auth_method!(
                Exported with_types_in $crate::abi::auth_method
            );
        };
    };
    (sink: $plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = $crate::abi::SinkExports<$plugin>;
    $crate::abi::plugin::export_plugin!(Exported with_types_in $crate::abi::plugin);
    $crate::abi::sink::export_sink!(Exported with_types_in $crate::abi::sink);
        };
    };
}
