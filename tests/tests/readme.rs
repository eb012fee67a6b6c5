//! What the README says is backed by what it names.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use usher_tests::agent::Launch;

#[test]
fn every_cell_of_the_method_table_names_a_test_that_exists() {
    let text = readme();
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("](docs/methods/")).collect();
    assert!(!rows.is_empty(), "the README has a table of methods");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 4, "{row}");
        for cell in &cells[1..] {
            assert!(!tests_named(cell).is_empty(), "{cell:?} names no test: {row}");
        }
    }
    for (file, test) in tests_named(&text) {
        let code = std::fs::read_to_string(workspace().join(&file));
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
    let text = readme();
    let rows = text.lines().filter(|line| line.contains("](docs/methods/"));
    let named: BTreeSet<&str> =
        rows.filter_map(|row| row.strip_prefix("| [")?.split(']').next()).collect();
    assert_eq!(named, built);
}

/// Links such as `(tests/tests/jwt.rs#a_name_of_a_test)`: file and test.
fn tests_named(text: &str) -> Vec<(String, String)> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let tests = targets.filter_map(|target| target.split_once(".rs#"));
    tests.map(|(file, test)| (format!("{file}.rs"), test.to_owned())).collect()
}

fn readme() -> String {
    std::fs::read_to_string(workspace().join("README.md")).expect("the README")
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}
