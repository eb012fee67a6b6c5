//! The lean flavour, which has no compiler. `cargo xtask lean` builds and names it.

#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Launch;
use usher_tests::components::Method;
use usher_tests::plugins::{self, PluginDirectory};
use usher_tests::site::Site;

#[test]
#[ignore = "needs the lean flavour: cargo xtask lean"]
fn built_ins_deliver() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let agent = Launch::agent(&site.configuration().text()).program(lean()).start();
    assert!(site.bao.is_valid(&site.wait_for_token()));
    agent.stop();
}

#[test]
#[ignore = "needs the lean flavour: cargo xtask lean"]
fn a_script_delivers() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add_script("files-login", &plugins::script("files_login"));
    let configuration = site.files_login(&directory).text();
    let agent = Launch::agent(&configuration).program(lean()).start();
    assert!(site.bao.is_valid(&site.wait_for_token()));
    agent.stop();
}

#[test]
#[ignore = "needs the lean flavour: cargo xtask lean"]
fn a_component_is_used_once_the_full_flavour_has_compiled_it() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    let file = directory.replace("made", &Method::new(&site.login_body()).build());
    let configuration = site.plugin_login(&directory, "made", "");
    let mut agent = Launch::agent(&configuration.text()).program(lean()).start();
    let command = format!("usher plugin inspect {}", file.display());
    agent.wait_for_log(&format!("run `{command}` with the full build of this version"));
    assert_eq!(site.login_attempts(), 0);

    let cache = agent.home().join("cache");
    let inspected = Launch::command(&["plugin", "inspect"])
        .argument(file)
        .environment("CACHE_DIRECTORY", &cache.display().to_string())
        .run(LIMIT);
    assert_eq!(inspected.status, 0, "{inspected:?}");
    agent.hang_up();
    assert!(site.bao.is_valid(&site.wait_for_token()));
    agent.stop();
}

#[test]
#[ignore = "needs the lean flavour: cargo xtask lean"]
fn a_configuration_is_validated_as_far_as_there_is_code() {
    let directory = PluginDirectory::new();
    directory.add_script("files-login", &plugins::script("files_login"));
    directory.add("made", &Method::new(&json!({ "role_id": "r" })).build());
    let text = |method: &str, config: &str| {
        format!(
            "plugin_directory = \"{}\"\nplugin \"files-login\" {{ allow {{ read = [\"/run/*\"] }} }}\nauto_auth {{ method \"{method}\" {{ config {{ {config} }} }} sink \"file\" {{ config {{ path = \"/run/t\" }} }} }}\n",
            directory.path().display()
        )
    };
    let script = "role_id_file = \"/run/a\" secret_id_file = \"/run/b\"";
    for (method, config, status, said) in [
        ("approle", "role_id_file_path = \"/run/a\"", 0, "valid\n"),
        ("files-login", script, 0, "valid\n"),
        ("made", "", 2, "this build of Usher has no compiler"),
    ] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text(method, config)).expect("the configuration");
        let launch = Launch::command(&["validate", "--config"]).argument(file.path());
        let ended = launch.program(lean()).run(LIMIT);
        assert_eq!(ended.status, status, "{method}: {ended:?}");
        assert!(ended.results.contains(said), "{method}: {ended:?}");
    }
}

fn lean() -> PathBuf {
    std::env::var_os("USHER_LEAN").expect("USHER_LEAN names the lean flavour").into()
}

const LIMIT: Duration = Duration::from_mins(1);
