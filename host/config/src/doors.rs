//! Where a running agent is asked: the admin socket and the metrics.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Located, Report};
use crate::variables::Environment;

/// Where the admin socket is by default, below `$RUNTIME_DIRECTORY`.
const ADMIN_SOCKET: &str = "usher.sock";

/// systemd sets the variable; with several directories it is a colon list.
pub(crate) fn admin_socket(
    said: Option<&Located<String>>,
    environment: &Environment<'_>,
) -> Option<PathBuf> {
    match said {
        Some(path) => Some(PathBuf::from(&path.value)),
        None => environment.plain("RUNTIME_DIRECTORY").and_then(|list| {
            let first = list.split(':').next().filter(|directory| !directory.is_empty())?;
            Some(Path::new(first).join(ADMIN_SOCKET))
        }),
    }
    .filter(|path| !path.as_os_str().is_empty())
}

/// `telemetry` is where the block is that asks for metrics elsewhere.
pub(crate) fn metrics_address(
    said: Option<&Located<String>>,
    telemetry: Option<&Location>,
    report: &mut Report,
) -> Option<SocketAddr> {
    const HELP: &str = "write an IP address and a port: metrics_address = \"127.0.0.1:9102\"";
    let text = said.filter(|text| !text.value.is_empty());
    let address = text.and_then(|text| text.value.parse().ok());
    if let (Some(text), None) = (text, address) {
        let message = "`metrics_address` is no IP address with a port";
        report.push(Diagnostic::new_error("metrics_address", message, HELP, Some(&text.location)));
    }
    if let Some(telemetry) = telemetry.filter(|_| text.is_none()) {
        report.push(Diagnostic::new_warning(
            "telemetry",
            "the metrics are served at `metrics_address`, which is not set",
            HELP,
            Some(telemetry),
        ));
    }
    address
}
