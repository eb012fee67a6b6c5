//! How the agents that are measured are started: what they are told, and by which command.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::openbao::clean;

/// The block of the server.
pub(super) fn vault(address: &str) -> String {
    format!("vault {{\n  address = \"{address}\"\n}}\n")
}

/// A block that logs in at the mount of AppRole with these credentials, by this method with `settings`
/// of its own, and writes the token to these files.
pub(super) fn identity(
    block: &str,
    method: &str,
    settings: &str,
    credentials: &Path,
    tokens: &[PathBuf],
) -> String {
    let mut text = format!(
        r#"{block} {{
  method "{method}" {{
    mount_path = "auth/approle"
    {settings}
    config = {{
      role_id_file_path = "{credentials}/role-id"
      secret_id_file_path = "{credentials}/secret-id"
      remove_secret_id_file_after_reading = false
    }}
  }}
"#,
        credentials = credentials.display(),
    );
    for token in tokens {
        let _ = write!(
            text,
            "  sink \"file\" {{\n    config = {{\n      path = \"{}\"\n    }}\n  }}\n",
            token.display()
        );
    }
    text + "}\n"
}

/// The command that runs an agent, at home in `home`.
pub(super) fn command(program: &Path, home: &Path, configuration: &Path) -> Command {
    let mut command = Command::new(program);
    clean(&mut command, home).arg("agent").arg(format!("-config={}", configuration.display()));
    command
}
