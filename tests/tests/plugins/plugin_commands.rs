//! `usher plugin list` and `usher plugin inspect`.

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::Launch;
use usher_tests::plugins::{Mischief, PluginDirectory, hostile_sink};
use usher_tests::site::Site;

#[test]
fn the_built_ins_are_listed() {
    let ended = Launch::command(&["plugin", "list"]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    for name in ["approle", "file"] {
        assert!(ended.results.contains(name), "{ended:?}");
    }
}

#[test]
fn the_list_is_had_as_json() {
    let ended = Launch::command(&["plugin", "list", "--json"]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let list: Value = serde_json::from_str(&ended.results).expect("JSON");
    let find = |name: &str| {
        let plugins = list.as_array().expect("a list");
        plugins.iter().find(|plugin| plugin["name"] == name).cloned().unwrap_or_default()
    };
    for (name, kind) in [("approle", "auth-method"), ("file", "sink")] {
        let plugin = find(name);
        assert_eq!(plugin["kind"], kind, "{plugin}");
        for key in ["version", "origin", "digest"] {
            assert!(plugin[key].is_string(), "{key}: {plugin}");
        }
        assert!(plugin["size"].as_u64().is_some_and(|size| size > 1000), "{plugin}");
    }
}

#[test]
fn a_built_in_and_a_file_are_inspected() {
    let ended = Launch::command(&["plugin", "inspect", "approle"]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    for part in ["auth-method", "usher:plugin/files", "role_id_file_path", "0.1.0"] {
        assert!(ended.results.contains(part), "{part}: {ended:?}");
    }
    let directory = PluginDirectory::new();
    let file = directory.add("hostile", &hostile_sink(Mischief::Trap)).display().to_string();
    let ended = Launch::command(&["plugin", "inspect", &file]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.results.contains("sink"), "{ended:?}");
}

#[test]
fn what_a_plugin_needs_is_shown_for_a_configuration() {
    let site = Site::new(json!({}));
    site.write("usher.hcl", &site.configuration().text());
    let file = site.file("usher.hcl").display().to_string();
    let ended = Launch::command(&["plugin", "inspect", "approle", "--config", &file]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.results.contains(&site.file("role-id").display().to_string()), "{ended:?}");
}

#[test]
fn an_unknown_name_is_a_usage_error() {
    let ended = Launch::command(&["plugin", "inspect", "no-such-plugin"]).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("no-such-plugin"), "{ended:?}");
}

const LIMIT: Duration = Duration::from_secs(20);
