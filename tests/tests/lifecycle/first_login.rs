//! From credentials to a token in a file, in every way to start the agent.

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::{always, eventually_true};
use usher_tests::site::Site;

#[test]
fn the_token_reaches_the_file_and_the_server_accepts_it() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    let known = site.bao.lookup(&token).expect("a valid token");
    assert_eq!(known["path"], "auth/approle/login");
    assert_eq!(known["policies"], json!(["app", "default"]));
    assert_eq!(token, token.trim(), "the file holds the token and nothing else");
    assert_eq!(site.bao.logins(), 1);
    assert_eq!(agent.results(), "", "logs belong on standard error");
    agent.stop();
    assert!(site.bao.is_valid(&token), "a delivered token outlives the agent");
    assert_eq!(site.token(), Some(token), "the file outlives the agent");
}

#[test]
fn exit_after_auth_ends_with_status_0_once_the_token_is_there() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    let ended = Launch::agent(&configuration.text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.token().expect("a token")));

    std::fs::remove_file(site.file("token")).expect("the token file");
    configuration.top = "exit_after_auth = true".into();
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.bao.is_valid(&site.token().expect("a token")));
}

#[test]
fn options_are_taken_in_the_style_of_existing_unit_files() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    site.write("usher.hcl", &configuration.text());
    let file = site.file("usher.hcl").display().to_string();
    for arguments in [
        vec!["agent".into(), format!("-config={file}"), "-exit-after-auth".into()],
        vec!["agent".into(), "-config".into(), file.clone(), "-exit-after-auth=true".into()],
        vec!["agent".into(), format!("--config={file}"), "--exit-after-auth=1".into()],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = Launch::command(&arguments).run(LIMIT);
        assert_eq!(ended.status, 0, "{arguments:?}: {ended:?}");
    }
    configuration.top = "exit_after_auth = true".into();
    let mut agent = Launch::agent(&configuration.text()).argument("-exit-after-auth=false").start();
    eventually_true("the login", LIMIT, || site.bao.logins() == 4);
    always("it stays", Duration::from_secs(1), || agent.is_running());
}

#[test]
fn a_directory_of_files_and_a_json_file_are_configurations_too() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let configuration = site.configuration();
    let (vault, auto_auth) = configuration.text().split_once("auto_auth").map_or_else(
        || panic!("both blocks"),
        |(vault, rest)| (vault.to_owned(), format!("auto_auth{rest}")),
    );
    std::fs::create_dir(site.file("conf.d")).expect("a directory");
    site.write("conf.d/10-vault.hcl", &vault);
    site.write("conf.d/20-auto-auth.hcl", &auto_auth);
    site.write("conf.d/30-backup.hcl~", "this is not { HCL");
    let directory = site.file("conf.d").display().to_string();
    let ended = Launch::command(&["agent", "--config", &directory, "--exit-after-auth"]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");

    let json = json!({
        "exit_after_auth": true,
        "vault": { "address": site.proxy.address() },
        "auto_auth": {
            "method": [{
                "type": "approle",
                "config": {
                    "role_id_file_path": site.file("role-id"),
                    "secret_id_file_path": site.file("secret-id"),
                    "remove_secret_id_file_after_reading": false
                }
            }],
            "sinks": [{ "sink": { "type": "file", "config": { "path": site.file("json-token") } } }]
        }
    });
    site.write("usher.json", &json.to_string());
    let file = site.file("usher.json").display().to_string();
    let ended = Launch::command(&["agent", "--config", &file]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let token = std::fs::read_to_string(site.file("json-token")).expect("a token file");
    assert!(site.bao.is_valid(&token));
}

#[test]
fn later_files_replace_blocks_of_earlier_ones() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut wrong = site.configuration();
    wrong.address = "http://127.0.0.1:1".into();
    site.write("first.hcl", &wrong.text());
    site.write("second.hcl", &format!("vault {{ address = \"{}\" }}", site.proxy.address()));
    let ended = Launch::command(&["agent", "--exit-after-auth"])
        .argument("--config")
        .argument(site.file("first.hcl"))
        .argument("--config")
        .argument(site.file("second.hcl"))
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn the_address_comes_from_flag_then_bao_then_vault_variables_then_the_file() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.address = NOWHERE.into();
    let right = site.proxy.address();
    let launches: [fn(Launch, &str) -> Launch; 3] = [
        |launch, right| launch.environment("VAULT_ADDR", right),
        |launch, right| launch.environment("VAULT_ADDR", NOWHERE).environment("BAO_ADDR", right),
        |launch, right| {
            launch.environment("BAO_ADDR", NOWHERE).argument("--address").argument(right)
        },
    ];
    for (number, launch) in launches.into_iter().enumerate() {
        let ended = launch(Launch::agent(&configuration.text()), &right)
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{number}: {ended:?}");
    }
    assert_eq!(site.bao.logins(), 3);
}

#[test]
fn a_server_on_a_unix_socket_is_reached() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.address = site.bao.socket_address();
    let _agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    assert!(site.bao.is_valid(&token));
    assert_eq!(site.login_attempts(), 0, "nothing went over TCP");
}

#[test]
fn an_ambient_token_is_never_sent() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let ended = Launch::agent(&site.configuration().text())
        .environment("VAULT_TOKEN", "s.ambient-vault-token")
        .environment("BAO_TOKEN", "s.ambient-bao-token")
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    for exchange in site.proxy.exchanges() {
        assert!(!format!("{:?}", exchange.headers).contains("s.ambient"), "{exchange:?}");
    }
    let logins = site.proxy.requests("auth/approle/login");
    assert!(logins[0].headers.iter().all(|(name, _)| name != "x-vault-token"), "{logins:?}");
}

#[test]
fn the_namespace_is_sent_with_the_login() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_settings += "\nnamespace = \"/team\"";
    // The server has no such namespace and refuses; what counts is what it was sent.
    let _agent = Agent::start(&configuration.text());
    eventually_true("a login", LIMIT, || site.login_attempts() > 0);
    let login = &site.proxy.requests("auth/approle/login")[0];
    let namespace = login.headers.iter().find(|(name, _)| name == "x-vault-namespace");
    assert_eq!(namespace.map(|(_, value)| value.as_str()), Some("team/"));
}

#[test]
fn a_role_without_secret_id_needs_only_its_role_id() {
    let site = Site::new(json!({
        "token_ttl": "1h", "bind_secret_id": false, "token_bound_cidrs": ["127.0.0.0/8"]
    }));
    let mut configuration = site.configuration();
    configuration.method_config =
        format!("role_id_file_path = \"{}\"", site.file("role-id").display());
    let _agent = Agent::start(&configuration.text());
    assert!(site.bao.is_valid(&site.wait_for_token()));
}

#[test]
fn the_pid_file_is_there_while_the_agent_runs() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = format!("pid_file = \"{}\"", site.file("pid").display());
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let id = std::fs::read_to_string(site.file("pid")).expect("a pid file");
    let command = std::fs::read_to_string(format!("/proc/{}/comm", id.trim())).expect("a process");
    assert_eq!(command.trim(), "usher");
    agent.stop();
    assert!(!site.file("pid").exists());
}

#[test]
fn json_logs_have_one_object_a_line() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let ended = Launch::agent(&site.configuration().text())
        .argument("--log-format")
        .argument("json")
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_ne!(ended.log.trim(), "");
    for line in ended.log.lines() {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_object(), "{line}");
    }
}

#[test]
fn help_describes_the_exit_status() {
    let ended = Launch::command(&["agent", "--help"]).run(LIMIT);
    assert_eq!(ended.status, 0);
    let help = ended.results.to_lowercase();
    assert!(help.contains("exit status"), "{help}");
    assert!(help.contains("--config"), "{help}");
}

const LIMIT: Duration = Duration::from_secs(20);
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:1";
