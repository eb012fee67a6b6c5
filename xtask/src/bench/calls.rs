//! What a call costs of a plug-in that isn't built in: a script, and components in JavaScript and
//! Python.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Limit, Row, Site, Table, median};
use crate::{Result, process};

/// Measured inside one process, by an example of the built-ins'.
pub(super) fn measure(site: &Site<'_>, table: &mut Table) -> Result<()> {
    println!("\nCalls of plug-ins …");
    let home = site.home.join("calls");
    std::fs::create_dir(&home).map_err(|error| error.to_string())?;
    let mut row = |what, usher, limit| {
        table.add(Row { what, bao: None, usher, limit: Limit::Absolute(limit) });
    };
    let scripts: Result<Vec<f64>> = (0..SCRIPT_RUNS).map(|_| microseconds(&[])).collect();
    row("fresh instance + call of a script (µs)", median(scripts?), 1000.0);
    let config = r#"{"role_id_file": "/role-id", "secret_id_file": "/secret-id"}"#;
    for (what, component) in [
        (
            "fresh instance + trivial call, JavaScript component (µs)",
            javascript(site.setup, &home)?,
        ),
        ("fresh instance + trivial call, Python component (µs)", python(site.setup, &home)?),
    ] {
        row(what, microseconds(&[&component, config])?, f64::INFINITY);
    }
    Ok(())
}

/// The number that the example prints.
fn microseconds(arguments: &[&str]) -> Result<f64> {
    let example = process::target_directory().join("release/examples/call_microseconds");
    let printed = process::output(Command::new(example).args(arguments))?;
    printed.parse().map_err(|_| format!("the example printed {printed:?}"))
}

/// The tests' method in JavaScript, as a component.
fn javascript(setup: &Path, home: &Path) -> Result<String> {
    let output = home.join("javascript.wasm");
    let source = process::workspace().join("tests/plugins/files_login.js");
    super::plugins::componentize(setup, &source, &output)?;
    Ok(output.display().to_string())
}

/// The same in Python.
fn python(setup: &Path, home: &Path) -> Result<String> {
    let output = home.join("python.wasm");
    let workspace = process::workspace();
    // Python leaves its bytecode beside the source: not in the checkout.
    std::fs::copy(workspace.join("tests/plugins/files_login.py"), home.join("files_login.py"))
        .map_err(|error| error.to_string())?;
    process::run(
        Command::new(setup.join("python/bin/componentize-py"))
            .arg("-d")
            .arg(workspace.join("wit"))
            .args(["-w", "auth-method-plugin", "componentize", "files_login", "-p"])
            .arg(home)
            .arg("-o")
            .arg(&output)
            .stdout(Stdio::null()),
    )?;
    Ok(output.display().to_string())
}

/// One run can meet a moment in which the machine is busy.
const SCRIPT_RUNS: usize = 5;
