//! What the built-in methods say identifies a login: settings that they have, as documented.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use usher_engine::{Engine, Kind, Protected};

#[tokio::test]
async fn every_built_in_method_names_settings_of_its_own_as_the_documentation_has_it() {
    let engine = Engine::new(Protected::new(Vec::new())).unwrap();
    let documentation = include_str!("../../../docs/tokens.md");
    let mut methods = 0;
    for built_in in usher_builtins::ALL.iter().filter(|found| found.kind == Kind::AuthMethod) {
        let name = built_in.name;
        let plugin =
            engine.load_built_in(built_in).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let named = plugin.info.attributes.iter().find(|(name, _)| name == "identifies");
        let (_, keys) = named.unwrap_or_else(|| panic!("{name} says nothing"));
        let schema: serde_json::Value = serde_json::from_str(&plugin.info.config_schema).unwrap();
        let keys: Vec<&str> = keys.split(',').map(str::trim).collect();
        for key in &keys {
            assert!(schema["properties"][key].is_object(), "{name} has no setting {key}");
        }
        let listed: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let method = format!("`{name}`");
        let row = documentation
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
            .find(|(methods, _)| methods.split(", ").any(|other| other == method));
        assert_eq!(row.map(|(_, settings)| settings), Some(&listed.join(", ")[..]), "{name}");
        methods += 1;
    }
    assert!(methods >= 13, "{methods}");
}
