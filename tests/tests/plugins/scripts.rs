//! Scripts in the plug-in directory: a method logs in, and one that fails harms nobody else.

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::eventually_true;
use usher_tests::operator::command;
use usher_tests::plugins::{self, PluginDirectory};
use usher_tests::site::Site;

/// Its twin in `plugins_js_python.rs` builds the same file with componentize-js.
#[test]
fn a_method_as_a_script_logs_in() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add_script("files-login", &plugins::script("files_login"));
    let agent = Agent::start(&site.files_login(&directory).text());
    let token = site.wait_for_token();
    assert!(site.bao.is_valid(&token));
    assert!(agent.log().contains("hello from JavaScript"), "{}", agent.log());
    agent.stop();
}

#[test]
fn a_script_without_its_grants_stops_the_agent_with_the_block_to_paste() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add_script("files-login", &plugins::script("files_login"));
    let mut configuration = site.files_login(&directory);
    configuration.top = format!("plugin_directory = \"{}\"", directory.path().display());
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in
        ["plugin \"files-login\"", "allow", "read", &site.file("role-id").display().to_string()]
    {
        assert!(ended.log.contains(part), "{part}: {ended:?}");
    }
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_script_that_fails_is_one_failed_attempt_after_the_other_and_no_secret_is_logged() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    for (body, expected) in [
        // The secret-id that the script has read stands in its error.
        ("throw new Error(`no use for ${secret}`)", "broken.js:13:"),
        ("secret.missing()", "broken.js:13:"),
        ("for (;;) {}", "didn't answer within"),
        ("again()", "broken.js"),
    ] {
        let directory = PluginDirectory::new();
        directory.add_script("broken", &broken(body));
        let mut configuration = site.files_login(&directory);
        configuration.top = configuration.top.replace("files-login", "broken");
        configuration.top =
            configuration.top.replace("  allow {", "  limits { timeout = \"500ms\" }\n  allow {");
        configuration.method = "broken".into();
        let mut text = configuration.text();
        // Another identity of the same agent, which is all right.
        let mut other = site.configuration();
        other.sinks = vec![usher_tests::site::file_sink(&site.file("other"))];
        text += &other.identity("identity \"other\"");
        let mut agent = Agent::start(&text);
        eventually_true("the other identity's token", LIMIT, || site.file("other").exists());
        eventually_true("two failures in the log", LIMIT, || {
            agent.log().lines().filter(|line| line.contains(expected)).count() >= 2
        });
        assert!(agent.is_running(), "{body}");
        assert!(!agent.log().contains("panicked"), "{body}: {}", agent.log());
        let secret = std::fs::read_to_string(site.file("secret-id")).expect("the secret-id");
        assert!(!agent.log().contains(&secret), "{body}: {}", agent.log());
        assert_eq!(site.token(), None, "{body}");
        agent.stop();
        std::fs::remove_file(site.file("other")).expect("the other token");
    }
}

#[test]
fn what_a_script_wrote_last_stands_in_its_error_in_the_log_in_the_status_in_explain_and_in_inspect()
{
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    let body = "console.debug(`before ${secret}`); throw new Error('boom')";
    directory.add_script("broken", &broken(body));
    let mut configuration = site.files_login(&directory);
    configuration.top = configuration.top.replace("files-login", "broken");
    let socket = site.file("usher.sock");
    configuration.top = format!("{}\nadmin_socket = \"{}\"", configuration.top, socket.display());
    configuration.method = "broken".into();
    let agent = Launch::agent_at(&configuration.text(), "info").start();
    agent.wait_for_log("it last wrote");
    assert!(agent.log().contains("before [redacted]"), "{}", agent.log());
    let status = command("status", &socket, &[]);
    assert!(status.results.contains("\n      before [redacted]\n"), "{status:?}");
    agent.stop();
    Launch::explain(&configuration.text()).run(LIMIT).says(1, &["before [redacted]"]);
    let text =
        broken("").replace("describe: () => (", "describe: () => console.log('here') || no(");
    let file = directory.add_script("broken", &text);
    let ended = Launch::command(&["plugin", "inspect"]).argument(file).run(LIMIT);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("it last wrote:\n  here"), "{ended:?}");
}

#[test]
fn a_script_beside_a_component_of_the_same_name_is_refused_naming_both() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    let script = directory.add_script("files-login", &plugins::script("files_login"));
    let component = directory.add("files-login", b"");
    let agent = Agent::start(&site.files_login(&directory).text());
    for file in [script, component] {
        eventually_true("the name of each", LIMIT, || {
            agent.log().contains(&file.display().to_string())
        });
    }
    agent.stop();
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn scripts_are_listed_and_inspected_like_components() {
    let directory = PluginDirectory::new();
    directory.add_script("files-login", &plugins::script("files_login"));
    directory.add_script("broken", "export const plugin = {\n  describe( {\n};\n");
    let path = directory.path().display().to_string();
    let ended = Launch::command(&["plugin", "list", "--directory", &path]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let row = ended.results.lines().find(|line| line.contains("files-login")).expect("a row");
    assert!(row.contains("auth-method") && row.contains("1.0.0"), "{row}");
    let problem = ended.results.lines().find(|line| line.contains("broken.js")).expect("a line");
    assert!(problem.contains("broken.js:3:"), "{problem}");
    assert_eq!(problem.matches("broken.js").count(), 1, "{problem}");

    let arguments = ["plugin", "inspect", "files-login", "--directory", &path, "--json"];
    let ended = Launch::command(&arguments).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let shown: Value = serde_json::from_str(&ended.results).expect("JSON");
    assert_eq!(shown["kind"], "auth-method");
    assert_eq!(shown["world"], "usher:plugin/auth-method-plugin");
    assert_eq!(shown["imports"], json!(["usher:plugin/files@0.1.0", "usher:plugin/log@0.1.0"]));
}

/// Reads the secret-id, as `files_login.js` does, and then does `body` in line 13.
fn broken(body: &str) -> String {
    format!(
        r#"import {{ read }} from "usher:plugin/files@0.1.0";
const again = () => again() + 1;
export const plugin = {{
  describe: () => ({{ name: "broken", version: "1.0.0", summary: "", configSchema: "", attributes: [] }}),
  prepare(config) {{
    return [{{ capability: "read", target: JSON.parse(config).secret_id_file }}];
  }},
}};
export const authMethod = {{
  authenticate(config) {{
    const {{ secret_id_file: file }} = JSON.parse(config);
    const secret = new TextDecoder().decode(read(file));
    {body};
  }},
  authenticated() {{}},
}};
"#
    )
}

const LIMIT: Duration = Duration::from_mins(1);
