//! What one login costs inside, for each built-in method, and how large its component is.

use std::process::Command;

use super::{Limit, Row, Site, Table};
use crate::{Result, process};

/// Measured inside one process, by an example of the built-ins', which prints a line for each.
pub(super) fn measure(_: &Site<'_>, table: &mut Table) -> Result<()> {
    let example = process::target_directory().join("release/examples/method_figures");
    let free = process::free_address()?;
    let printed = process::output(
        // The example answers there.
        Command::new(example).env("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{free}")),
    )?;
    for &(name, time, size) in METHODS {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let figures: Option<(f64, f64)> = line.and_then(|line| {
            let (microseconds, kilobytes) = line.split_once(' ')?;
            Some((microseconds.parse().ok()?, kilobytes.parse().ok()?))
        });
        let (microseconds, kilobytes) =
            figures.ok_or_else(|| format!("the example printed nothing of {name}: {printed}"))?;
        let time_limit = match name {
            "approle" => 200.0,
            // Two sign, the third includes an exchange over loopback.
            "alicloud" | "aws" | "azure" => 1000.0,
            // Most of it is one RSA signature.
            "gcp" => 3000.0,
            _ => 300.0,
        };
        let row =
            |what, usher, limit| Row { what, bao: None, usher, limit: Limit::Absolute(limit) };
        table.add(row(time, microseconds, time_limit));
        table.add(row(size, kilobytes, 250.0));
    }
    for &(name, what, limit) in SIZES {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let kilobytes = line.and_then(|kilobytes| kilobytes.parse().ok());
        table.add(Row {
            what,
            bao: None,
            usher: kilobytes.ok_or_else(|| format!("nothing of {name}: {printed}"))?,
            limit: Limit::Absolute(limit),
        });
    }
    Ok(())
}

/// Methods of which there is only the size: name, row and limit.
const SIZES: &[(&str, &str, f64)] = &[
    ("cf", "component, cf (kB)", 250.0),
    ("kerberos", "component, kerberos (kB)", 900.0),
    ("oci", "component, oci (kB)", 250.0),
];

/// Name, and what the rows are called. `ldap` and `radius` are `userpass`.
const METHODS: &[(&str, &str, &str)] = &[
    ("alicloud", "fresh instance + authenticate, alicloud (µs)", "component, alicloud (kB)"),
    ("approle", "fresh instance + authenticate, approle (µs)", "component, approle (kB)"),
    ("aws", "fresh instance + authenticate, aws (µs)", "component, aws (kB)"),
    ("azure", "fresh instance + authenticate, azure (µs)", "component, azure (kB)"),
    ("cert", "fresh instance + authenticate, cert (µs)", "component, cert (kB)"),
    ("gcp", "fresh instance + authenticate, gcp with RS256 (µs)", "component, gcp (kB)"),
    ("jwt", "fresh instance + authenticate, jwt (µs)", "component, jwt (kB)"),
    ("kubernetes", "fresh instance + authenticate, kubernetes (µs)", "component, kubernetes (kB)"),
    ("token_file", "fresh instance + authenticate, token_file (µs)", "component, token_file (kB)"),
    ("userpass", "fresh instance + authenticate, userpass (µs)", "component, userpass (kB)"),
];
