//! What a reload changes.

use super::*;
use crate::{Diff, diff};

const TWO: &str = r#"
identity "a" { method "acme" { } sink "file" { config { path = "/a" } } }
identity "b" { method "approle" { } sink "file" { config { path = "/b" } } }
plugin "acme" { limits { memory = "1MiB" } }
"#;

fn changes(old: &str, new: &str) -> Diff {
    diff(&Case::new(old).settings(), &Case::new(new).settings())
}

fn unchanged(names: &[&str]) -> Diff {
    Diff { unchanged: names.iter().map(|&name| name.to_owned()).collect(), ..Diff::default() }
}

#[test]
fn only_places_that_move_change_nothing() {
    let moved = format!("# a comment\n\n{}", TWO.replace(" sink", "\n  sink"));
    let found = changes(TWO, &moved);
    assert_eq!(found, unchanged(&["a", "b"]));
    assert!(found.is_empty());
}

#[test]
fn identities_are_matched_by_their_names() {
    let new = TWO.replace("\"b\"", "\"c\"");
    let added = Diff { added: vec!["c".into()], removed: vec!["b".into()], ..unchanged(&["a"]) };
    assert_eq!(changes(TWO, &new), added);
    let other_path = TWO.replace("\"/b\"", "\"/c\"");
    for new in [
        other_path,
        TWO.replace("\"/b\" }", "\"/b\" } wrap_ttl = 60"),
        TWO.replace("\"/b\" }", "\"/b\" } on_exit = \"remove\""),
        TWO.replace("\"approle\" {", "\"approle\" { mount_path = \"auth/x\""),
        TWO.replace("\"approle\" {", "\"approle\" { wrap_ttl = 60"),
        TWO.replace("\"b\" {", "\"b\" { on_exit = \"revoke\""),
    ] {
        let changed = Diff { changed: vec!["b".into()], ..unchanged(&["a"]) };
        assert_eq!(changes(TWO, &new), changed, "{new}");
    }
}

#[test]
fn how_long_to_wait_and_when_to_look_are_adjusted_while_an_identity_runs() {
    for new in [
        TWO.replace("\"approle\" {", "\"approle\" { min_backoff = \"2s\""),
        TWO.replace("\"approle\" {", "\"approle\" { max_backoff = \"5s\""),
        TWO.replace("\"approle\" {", "\"approle\" { exit_on_err = true"),
        TWO.replace("\"b\" {", "\"b\" { enable_reauth_on_new_credentials = false"),
        TWO.replace("\"b\" {", "\"b\" { token_check_interval = \"1m\""),
    ] {
        let adjusted = Diff { adjusted: vec!["b".into()], ..unchanged(&["a"]) };
        assert_eq!(changes(TWO, &new), adjusted, "{new}");
        assert!(!adjusted.is_empty());
        // With anything else, or with another grant, it is more than that.
        let more = new.replace("\"/b\"", "\"/c\"");
        assert_eq!(changes(TWO, &more), Diff { changed: vec!["b".into()], ..unchanged(&["a"]) });
    }
    let plugin = TWO.replace("1MiB", "2MiB");
    let new = plugin.replace("\"acme\" { }", "\"acme\" { max_backoff = \"5s\" }");
    assert_eq!(changes(TWO, &new), Diff { changed: vec!["a".into()], ..unchanged(&["b"]) });
}

#[test]
fn another_plugin_block_changes_the_identities_that_use_the_plugin() {
    let changed = Diff { changed: vec!["a".into()], ..unchanged(&["b"]) };
    assert_eq!(changes(TWO, &TWO.replace("1MiB", "2MiB")), changed);
    let without = TWO.lines().filter(|line| !line.starts_with("plugin")).collect::<Vec<_>>();
    assert_eq!(changes(TWO, &without.join("\n")), changed);
}

#[test]
fn what_concerns_all_is_said_apart() {
    let new = format!("{TWO}vault {{ address = \"http://x\" }}");
    assert_eq!(changes(TWO, &new), Diff { server_changed: true, ..unchanged(&["a", "b"]) });
    let new = format!("{TWO}log_level = \"debug\"");
    assert_eq!(changes(TWO, &new), Diff { live: vec!["log_level"], ..unchanged(&["a", "b"]) });
    // A running agent takes these up.
    for (key, value) in [
        ("admin_socket", "\"/s\""),
        ("log_file", "\"/l\""),
        ("log_format", "\"json\""),
        ("metrics_address", "\"127.0.0.1:1\""),
    ] {
        let found = changes(TWO, &format!("{TWO}{key} = {value}"));
        assert_eq!(found, Diff { live: vec![key], ..unchanged(&["a", "b"]) });
    }
    for (key, value) in [
        ("exit_after_auth", "true"),
        ("pid_file", "\"/p\""),
        ("plugin_directory", "\"/d\""),
        ("plugin_lock", "\"/k\""),
    ] {
        let found = changes(TWO, &format!("{TWO}{key} = {value}"));
        assert_eq!(found, Diff { needs_restart: vec![key], ..unchanged(&["a", "b"]) });
        assert!(!found.is_empty());
    }
}
