//! What the built-in methods say of a new credential, and that the documentation says the same.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use usher_engine::{Engine, Info, Kind, Protected};

/// Each built-in method's name, and what it says of itself.
fn methods() -> Vec<(&'static str, Info)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = Engine::new(Protected::default()).unwrap();
        let mut methods = Vec::new();
        for one in usher_builtins::ALL.iter().filter(|one| one.kind == Kind::AuthMethod) {
            let plugin = engine.load_built_in(one);
            methods.push((one.name, plugin.await.unwrap().info.clone()));
        }
        methods
    })
}

fn document(path: &str) -> String {
    let file = format!("{}/../../docs/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    // However its lines are broken.
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_built_in_method_says_whether_it_logs_in_for_a_new_credential() {
    for (name, info) in methods() {
        let said = info.attributes.iter().find(|(attribute, _)| attribute == "reauthenticate");
        let expected = if info.reauthenticates() { "yes" } else { "no" };
        assert_eq!(said.map(|(_, value)| value.as_str()), Some(expected), "{name}");
    }
}

#[test]
fn only_where_the_platform_replaces_the_credential_all_the_time_it_is_no_reason_to_log_in() {
    let methods = methods();
    let not = methods.iter().filter(|(_, info)| !info.reauthenticates());
    let not: Vec<&str> = not.map(|(name, _)| *name).collect();
    assert_eq!(not, ["azure", "cf", "kubernetes", "pcf"]);
    let quoted: Vec<String> = not.iter().map(|name| format!("`{name}`")).collect();
    let (last, others) = quoted.split_last().unwrap();
    let told = format!("Every method wants it but {} and {last},", others.join(", "));
    assert!(document("tokens.md").contains(&told), "docs/tokens.md doesn't say: {told}");
}

#[test]
fn each_methods_page_says_what_the_method_says() {
    const YES: &str =
        "A new credential brings a new login, unless `enable_reauth_on_new_credentials = false`";
    const NO: &str = "A new credential is no reason to log in again while the token is good, unless `enable_reauth_on_new_credentials = true`";
    for (name, info) in methods() {
        let page = match name {
            "ldap" | "radius" => "userpass",
            "pcf" => "cf",
            name => name,
        };
        let text = document(&format!("methods/{page}.md"));
        let (told, contrary) = if info.reauthenticates() { (YES, NO) } else { (NO, YES) };
        assert!(text.contains(told), "docs/methods/{page}.md doesn't say: {told}");
        assert!(!text.contains(contrary), "docs/methods/{page}.md says: {contrary}");
    }
}
