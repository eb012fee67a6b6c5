//! Each crate of the host uses only crates on floors below it: the manifests beside ARCHITECTURE.md.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers fail the test that calls them")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn each_crates_imports_point_downward() {
    let floors = floors(&read("ARCHITECTURE.md"));
    let crates = crates();
    let mut upward = Vec::new();
    for (name, uses) in &crates {
        for used in uses {
            let (above, below) = (floor(&floors, name), floor(&floors, used));
            if above <= below {
                upward.push(format!("{name} (floor {above}) uses {used} (floor {below})"));
            }
        }
    }
    assert_eq!(upward, [""; 0], "not downward");
}

#[test]
fn the_floors_hold_every_crate_of_the_host_and_no_other() {
    let floors = floors(&read("ARCHITECTURE.md"));
    let on_floors: Vec<&str> = floors.keys().map(String::as_str).collect();
    let crates = crates();
    let there: Vec<&str> = crates.keys().map(String::as_str).collect();
    assert_eq!(on_floors, there, "ARCHITECTURE.md on the left, host/ on the right");
}

/// The number of each crate's floor, from the top of the list: the lowest has 0.
fn floors(architecture: &str) -> BTreeMap<String, usize> {
    let (_, section) = architecture.split_once("## Floors").expect("the floors");
    let block = section.split("```").nth(1).expect("a block with the floors");
    let floors: Vec<&str> = block.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut numbers = BTreeMap::new();
    for (number, line) in floors.iter().rev().enumerate() {
        // A remark in brackets follows a name.
        let names = line.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
        for name in names.flat_map(str::split_whitespace) {
            let before = numbers.insert(name.to_owned(), number);
            assert_eq!(before, None, "{name} is on two floors");
        }
    }
    numbers
}

#[track_caller]
fn floor(floors: &BTreeMap<String, usize>, name: &str) -> usize {
    *floors.get(name).unwrap_or_else(|| panic!("ARCHITECTURE.md has no floor for host/{name}"))
}

/// The crates of `host/` by their directory, each with those that it uses: to run, to be built and to be
/// tested.
fn crates() -> BTreeMap<String, Vec<String>> {
    let packages = packages();
    let directory = |package: &Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
        let directory = manifest.parent().expect("a directory");
        let name = directory.strip_prefix(workspace().join("host")).ok()?;
        Some(name.display().to_string())
    };
    packages.iter().filter_map(|package| Some((directory(package)?, used(package)))).collect()
}

/// Directories in `host/` of the crates that a package depends on.
fn used(package: &Value) -> Vec<String> {
    let host = workspace().join("host");
    package["dependencies"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|dependency| {
            let path = Path::new(dependency["path"].as_str()?);
            Some(path.strip_prefix(&host).ok()?.display().to_string())
        })
        .collect()
}

/// The packages of the workspace, as Cargo reads their manifests.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn read(page: &str) -> String {
    std::fs::read_to_string(workspace().join(page))
        .unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}
