//! A sink that leaves the token where systemd looks for credentials.
//!
//! A unit then has `LoadCredential=app.vault-token` and reads
//! `$CREDENTIALS_DIRECTORY/app.vault-token`, also when its user may not read the credential store.
//! It gets a newer token when it is started again (systemd.exec(5), "Credentials"). The agent runs
//! as root, or as the owner of the directory.
//!
//! ```hcl
//! sink {
//!   type = "systemd-credential"
//!   config = { name = "app.vault-token" }
//! }
//!
//! plugin "systemd-credential" {
//!   allow {
//!     write  = ["/run/credstore/app.vault-token"]
//!     remove = ["/run/credstore/app.vault-token"]
//!   }
//! }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::files::{self, WriteOptions};
use usher_plugin::{About, Delivery, Failure, Need, Sink};

/// The sink.
pub struct SystemdCredential;

/// The `config` block.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the credential.
    name: String,
    /// The credential store.
    #[serde(default = "directory")]
    directory: String,
}

fn directory() -> String {
    "/run/credstore".to_owned()
}

impl Config {
    fn path(&self) -> String {
        format!("{}/{}", self.directory.trim_end_matches('/'), self.name)
    }
}

impl Sink for SystemdCredential {
    type Config = Config;
    const ABOUT: About = About::new(
        "systemd-credential",
        env!("CARGO_PKG_VERSION"),
        "Leaves the token in systemd's credential store",
    );

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        let name = &config.name;
        // What systemd takes as the name of a credential, and what is one file.
        let taken = |byte: u8| byte.is_ascii_graphic() && byte != b':' && byte != b'/';
        if name.is_empty() || name.len() > 255 || !name.bytes().all(taken) || name.starts_with('.')
        {
            let message = "`name` must be 1 to 255 printable characters without \":\", \"/\" and spaces, and not start with a dot";
            return Err(Failure::config("systemd-credential.name", message));
        }
        Ok(vec![Need::write(config.path()), Need::remove(config.path())])
    }

    fn check(config: &Config) -> Result<(), Failure> {
        files::check_write(&config.path(), &WriteOptions::mode(0o600))
    }

    fn deliver(config: &Config, delivery: &Delivery) -> Result<(), Failure> {
        files::write(&config.path(), &delivery.content, &WriteOptions::mode(0o600))
    }

    fn withdraw(config: &Config) -> Result<(), Failure> {
        files::remove(&config.path())
    }
}

usher_plugin::export!(sink: SystemdCredential);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use usher_plugin::testing::{self, Host};

    use super::*;

    #[test]
    fn the_credential_is_readable_by_its_owner_alone() {
        let host = Host::install();
        let config = json!({ "name": "app.vault-token" });
        testing::check::<SystemdCredential>(&config).unwrap();
        testing::deliver::<SystemdCredential>(&config, &Delivery::token("s.a")).unwrap();
        let file = host.file("/run/credstore/app.vault-token").unwrap();
        assert_eq!((file.content.as_slice(), file.mode), (&b"s.a"[..], 0o600));
        testing::withdraw::<SystemdCredential>(&config).unwrap();
        assert_eq!(host.file("/run/credstore/app.vault-token"), None);
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", "../passwd", "a/b", "a:b", "..", "a b"] {
            let config = json!({ "name": name });
            let failure = testing::prepare_sink::<SystemdCredential>(&config).unwrap_err();
            assert_eq!(failure.code, "systemd-credential.name", "{name}");
        }
    }
}
