//! The servers behind the server: what OpenBao and the agent ask about users, LDAP, RADIUS and
//! Kerberos, where it makes users; and what asks it more than any user would.
//!
//! Debian's packages are unpacked below the set-up directory, not installed: that takes no root,
//! and no daemon begins to serve on the machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Stamp, read};
use crate::{Result, process};

/// `slapd` (LDAP), `freeradius` and MIT Kerberos' `krb5kdc`, with those of their libraries that
/// the system lacks; `libfaketime`, for clocks that differ; `postgresql`, for leases; and `wrk`, for
/// load.
pub(super) fn unpack(directory: &Path) -> Result<()> {
    let unpacked = directory.join("debian");
    // Libraries of one release are of no use to the next.
    let release = read(Path::new("/etc/os-release")).unwrap_or_default();
    let stamp = Stamp::new(&unpacked, &format!("{}\n{release}", PACKAGES.join(" ")));
    if stamp.is_current() {
        return Ok(());
    }
    println!("Unpacking slapd, freeradius, krb5kdc, postgresql and wrk …");
    let missing = missing_packages()?;
    let archives = directory.join("archives");
    for made in [&unpacked, &archives] {
        let _ = fs::remove_dir_all(made);
        fs::create_dir_all(made)
            .map_err(|error| format!("cannot create {}: {error}", made.display()))?;
    }
    if !missing.is_empty() {
        process::output(
            Command::new("apt-get").arg("download").args(&missing).current_dir(&archives),
        )?;
    }
    for archive in fs::read_dir(&archives).map_err(|error| error.to_string())?.flatten() {
        process::output(Command::new("dpkg-deb").arg("-x").arg(archive.path()).arg(&unpacked))?;
    }
    let _ = fs::remove_dir_all(&archives);
    stamp.write()
}

/// The packages and what they need, as far as the system hasn't got them.
fn missing_packages() -> Result<Vec<String>> {
    let simulate = || {
        process::output(
            Command::new("apt-get")
                .args(["install", "--simulate", "--no-install-recommends"])
                .args(PACKAGES),
        )
    };
    let simulated = simulate().or_else(|_| {
        // A fresh machine knows of no package before its first update, which is root's to make.
        let _ = process::succeeds(Command::new("apt-get").arg("update"));
        simulate().map_err(|error| {
            format!(
                "slapd, freeradius, krb5kdc, postgresql and wrk can't be had: {error}\nOn Debian run apt-get update \
                 as root and then this again"
            )
        })
    })?;
    let installed = simulated.lines().filter_map(|line| line.strip_prefix("Inst "));
    Ok(installed.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

const PACKAGES: [&str; 7] =
    ["slapd", "freeradius", "krb5-kdc", "krb5-admin-server", "libfaketime", "postgresql", "wrk"];
