//! Each key is named by the test of what it is for: one that makes a setting, by the test that all
//! settings arrive; any other, by what is asked of `usher validate` and of `OpenBao` Agent alike.
//! And how many files a key touches.

use std::path::Path;

use super::blocks::ALL;
use super::{Block, Change, FILE, Key, State};

const FORMS: &str = include_str!("../tests/forms.rs");
/// What is read into a setting.
const ARRIVES: &str = "fn every_built_setting_arrives() {";
/// What `usher validate` and `OpenBao` Agent are both asked about.
const BOTH_ASKED: &str =
    "fn what_openbao_agent_takes_is_taken_but_for_the_differences_that_are_told(";
const JUDGED: [&str; 2] = [
    include_str!("../../../../tests/tests/config/differential/cases.rs"),
    include_str!("../../../../tests/tests/config/differential.rs"),
];

#[test]
fn each_key_has_a_test_that_names_it() {
    let (_, arrives) = FORMS.split_once(ARRIVES).expect("the test that all settings arrive");
    let (arrives, _) = arrives.split_once("\n}\n").expect("its end");
    let arrives = arrives.to_ascii_lowercase();
    assert!(JUDGED.iter().any(|source| source.contains(BOTH_ASKED)));
    for block in ALL {
        for key in block.keys {
            let makes_a_setting = is_in_force(block) && key.state == State::Built;
            let named = if makes_a_setting {
                names(&arrives, key.name)
            } else {
                JUDGED.iter().any(|source| names(source, key.name))
            };
            assert!(named, "no test names `{}` of {}", key.name, block.name);
        }
    }
}

/// Whether settings are made of what stands in the block.
fn is_in_force(block: &'static Block) -> bool {
    let in_force = |key: &Key| key.state == State::Built && key.change != Change::Nothing;
    std::ptr::eq(block, &raw const FILE) || block.top_key().is_some_and(in_force)
}

/// Whether the text has the key as a whole word.
fn names(source: &str, key: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source.match_indices(key).any(|(at, _)| {
        !source[..at].ends_with(part_of_word) && !source[at + key.len()..].starts_with(part_of_word)
    })
}

/// Keys, one for each place where settings are read, and the files that name them: all that a new
/// key like them touches, besides a use for its value.
const TOUCHED: [(&str, [&str; 3]); 9] = [
    ("pid_file", ["schema/top.rs", "settings.rs", "part.rs"]),
    ("log_rotate_bytes", ["schema/top.rs", "settings/log.rs", "logging.rs"]),
    ("ca_path", ["schema/server.rs", "settings.rs", "connection.rs"]),
    ("token_check_interval", ["schema/identity.rs", "settings.rs", "identity.rs"]),
    ("derive_key", ["schema/identity.rs", "settings.rs", "encryption.rs"]),
    ("socket_mode", ["schema/listener.rs", "settings/listener.rs", "listener.rs"]),
    ("tls_cipher_suites", ["schema/listener.rs", "settings/listener.rs", "listener/tls.rs"]),
    ("keep_after_import", ["schema/cache.rs", "settings/persist.rs", "persist.rs"]),
    ("sha256", ["schema/plugin.rs", "settings.rs", "plugins.rs"]),
];

#[test]
fn a_key_touches_five_files_and_the_architecture_names_them() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = sources(&crate_root.join("src"));
    let text = |file: &str| std::fs::read_to_string(crate_root.join("../..").join(file)).unwrap();
    let (reference, architecture) = (text("docs/configuration.md"), text("ARCHITECTURE.md"));
    let row = architecture.lines().find(|line| line.starts_with("| a configuration key |"));
    let row = row.expect("the row of a configuration key");
    for (key, files) in TOUCHED {
        let mut expected = files.to_vec();
        expected.push("tests/forms.rs");
        let mut named: Vec<&str> = sources
            .iter()
            .filter(|(_, text)| names(text, key))
            .map(|(file, _)| file.as_str())
            .collect();
        expected.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, expected, "{key}");
        assert!(names(&reference, key), "{key}: the fifth is the reference, which a test writes");
        for file in expected {
            assert!(row.contains(&format!("`{file}`")), "{file} in {row}");
        }
    }
}

/// What is compiled into the crate, and the test that each setting arrives; by the path below
/// `src`.
fn sources(root: &Path) -> Vec<(String, String)> {
    fn walk(directory: &Path, root: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let is_test = name.starts_with("tests/") && name != "tests/forms.rs";
            if !is_test && name != "schema/coverage.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                found.push((name, code.to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found
}
