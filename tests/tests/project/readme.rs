//! What the table of methods says is backed by what it names; the README names every method, and
//! ARCHITECTURE.md files that exist.
#![allow(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use usher_tests::agent::Launch;

#[test]
fn every_cell_of_the_method_table_names_a_test_that_exists() {
    let text = read(TABLE);
    assert!(rows(&text).count() > 0, "{TABLE} has a table of methods");
    for row in rows(&text) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 4, "{row}");
        for cell in &cells[1..] {
            assert!(!tests_named(cell).is_empty(), "{cell:?} names no test: {row}");
        }
    }
    for (file, test) in tests_named(&text) {
        let code = std::fs::read_to_string(workspace().join(METHODS).join(&file));
        let code = code.unwrap_or_else(|error| panic!("{file}: {error}"));
        let head = format!("#[test]\nfn {test}() {{");
        assert!(code.contains(&head), "{file} has no test {test}");
    }
}

#[test]
fn every_built_in_method_has_its_row_and_no_other() {
    let ended = Launch::command(&["plugin", "list", "--json"]).run(Duration::from_secs(30));
    let listed: Value = serde_json::from_str(&ended.results).expect("JSON");
    let listed = listed.as_array().expect("a list").iter();
    let methods = listed.filter(|plugin| plugin["kind"] == "auth-method");
    let built: BTreeSet<&str> =
        methods.map(|plugin| plugin["name"].as_str().expect("a name")).collect();
    let text = read(TABLE);
    let named: BTreeSet<&str> =
        rows(&text).filter_map(|row| row.strip_prefix("| [")?.split(']').next()).collect();
    assert_eq!(named, built);
    let readme = read("README.md");
    let pages = readme.split('[').filter_map(|link| link.split_once("](docs/methods/"));
    let of_methods = pages.filter(|(_, page)| !page.starts_with("README.md"));
    let named: BTreeSet<&str> = of_methods.map(|(name, _)| name).collect();
    assert_eq!(named, built);
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = read("ARCHITECTURE.md");
    let quoted = text.split('`').skip(1).step_by(2);
    // The directory that was named last: what follows may lie in it.
    let mut directory = workspace();
    for name in quoted.filter(|name| {
        name.contains('/') || Path::new(name).extension().is_some_and(|found| found == "rs")
    }) {
        let mut paths = [workspace().join(name), directory.join(name)].into_iter();
        let path = paths.find(|path| path.exists());
        let path = path.unwrap_or_else(|| panic!("there is no {name}"));
        if path.is_dir() {
            directory = path;
        }
    }
}

/// Where the pages of the methods are, and the table whose links lead on from there.
const METHODS: &str = "docs/methods";
const TABLE: &str = "docs/methods/README.md";

/// The table's lines, without its head.
fn rows(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| line.starts_with("| ["))
}

/// Links such as `(../../tests/tests/methods/jwt.rs#a_name_of_a_test)`: file and test.
fn tests_named(text: &str) -> Vec<(String, String)> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let tests = targets.filter_map(|target| target.split_once(".rs#"));
    tests.map(|(file, test)| (format!("{file}.rs"), test.to_owned())).collect()
}

fn read(page: &str) -> String {
    std::fs::read_to_string(workspace().join(page))
        .unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}
