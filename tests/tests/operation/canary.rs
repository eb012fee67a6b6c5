//! No secret leaves the agent except to where it belongs, on any path, at any log level.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::eventually_true;
use usher_tests::leaks::leaks;
use usher_tests::plugins::{self, PluginDirectory};
use usher_tests::proxy::Fault;
use usher_tests::site::Site;
use usher_tests::stand_in::{Answer, StandIn};

#[test]
fn a_life_with_renewal_revocation_and_outage_leaks_nothing() {
    for format in ["standard", "json"] {
        let mut site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "1h" }));
        let configuration = site.configuration().token_check_interval("300ms");
        let agent = traced(&configuration.text(), format);
        let first = site.wait_for_token();
        let mut arguments = agent.arguments();
        eventually_true("a renewal", LIMIT, || site.proxy.count("renew-self") > 0);
        site.proxy.fail(
            "renew-self",
            Fault::Body(400, format!("{{\"errors\":[\"bad token {first}\"]}}")),
        );
        let renewals = site.proxy.count("renew-self");
        eventually_true("failed renewals", LIMIT, || site.proxy.count("renew-self") > renewals);
        site.proxy.heal();
        let current = site.token().expect("a token");
        if site.bao.is_valid(&current) {
            site.bao.revoke(&current);
        }
        let second = site.wait_for_token_after(&current);
        arguments += &agent.arguments();
        site.proxy.down();
        eventually_true("the end of the second token", LIMIT, || !site.bao.is_valid(&second));
        site.proxy.up();
        site.wait_for_token_after(&second);
        arguments += &agent.arguments();
        clean(&site, agent, &arguments);
    }
}

#[test]
fn failed_logins_leak_nothing_even_if_the_server_repeats_the_request() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let secret_id = std::fs::read_to_string(site.file("secret-id")).expect("a secret-id");
    for status in [200, 400, 403, 500] {
        let body = format!("{{\"errors\":[\"invalid secret_id {secret_id}\"]}}");
        site.proxy.fail_times("auth/approle/login", Fault::Body(status, body), 1);
    }
    site.proxy.fail_times("auth/approle/login", Fault::Body(200, secret_id.clone()), 1);
    let agent = traced(&site.configuration().text(), "standard");
    site.wait_for_token();
    assert_eq!(site.login_attempts(), 6);
    let arguments = agent.arguments();
    clean(&site, agent, &arguments);
}

#[test]
fn wrapped_secret_ids_leak_nothing() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.method_config +=
        "\nsecret_id_response_wrapping_path = \"auth/approle/role/app/secret-id\"";
    // Wrong creation path, used, and good.
    site.write("secret-id", &site.bao.wrapped("sys/wrapping/wrap", &json!({ "secret_id": "x" })));
    let agent = traced(&configuration.text(), "standard");
    agent.wait_for_log("creation path");
    let used = site.bao.wrapped_secret_id("app");
    let mut secrets = vec![site.bao.unwrap(&used).body["data"]["secret_id"].to_string()];
    site.write("secret-id", &used);
    let before = agent.log().len();
    eventually_true("another failure", LIMIT, || agent.log().len() > before);
    site.write("secret-id", &site.bao.wrapped_secret_id("app"));
    site.wait_for_token();
    // The secret-id that the agent itself unwrapped went through the proxy.
    for exchange in site.proxy.requests("sys/wrapping/unwrap") {
        secrets.push(exchange.answer["data"]["secret_id"].to_string());
    }
    secrets.retain(|secret| secret.len() > 8);
    assert!(secrets.len() >= 2, "the unwrapped secret-id was seen");
    let secrets: Vec<String> = secrets.iter().map(|s| s.trim_matches('"').to_owned()).collect();
    assert_eq!(leaks(&agent.log(), &secrets), [""; 0]);
    let arguments = agent.arguments();
    clean(&site, agent, &arguments);
}

#[test]
fn a_sink_that_fails_leaks_nothing() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("broken")).expect("a directory");
    let mut configuration = site.configuration();
    configuration.sinks.push(usher_tests::site::file_sink(&site.file("broken/token")));
    site.proxy.fail_times("auth/approle/login", Fault::Status(503), 3);
    let agent = traced(&configuration.text(), "standard");
    eventually_true("a login", LIMIT, || site.login_attempts() > 0);
    std::fs::remove_dir_all(site.file("broken")).expect("the directory");
    site.wait_for_token();
    agent.wait_for_log("broken");
    let arguments = agent.arguments();
    clean(&site, agent, &arguments);
}

#[test]
fn the_check_fails_when_a_plugin_leaks() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("leak", &plugins::javascript("leak"));
    let canary = "canary-7f3a9c51e2d84b60";
    let mut configuration = site.configuration();
    let role_id = site.file("role-id").display().to_string();
    let secret_id = site.file("secret-id").display().to_string();
    configuration.top = format!(
        "plugin_directory = \"{}\"\nplugin \"leak\" {{\n  allow {{\n    read = [\"{role_id}\", \"{secret_id}\"]\n  }}\n}}",
        directory.path().display()
    );
    configuration.method = "leak".into();
    configuration.method_settings += "\nmount_path = \"auth/approle\"";
    configuration.method_config = format!(
        "role_id_file = \"{role_id}\"\nsecret_id_file = \"{secret_id}\"\ncanary = \"{canary}\""
    );
    let agent = traced(&configuration.text(), "standard");
    eventually_true("the token", Duration::from_mins(2), || site.token().is_some());
    let found = leaks(&agent.log(), &[canary.into()]);
    assert!(found.contains(&"hex of secret 0".to_owned()), "{found:?}");
    // What the host does know is kept back all the same.
    assert_eq!(leaks(&agent.log(), &site.secrets()), [""; 0]);
}

#[test]
fn what_a_plugin_gets_over_http_leaks_nothing() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let secrets = [
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJsZWFreSJ9.c2lnbmF0dXJlLW9mLWxlYWt5",
        "opaque-access-token-1",
        "header-vault-token-1",
        "cookie-of-a-session-1",
    ];
    let service = StandIn::http(move |_| {
        let [jwt, access_token, vault_token, cookie] = secrets;
        let body = json!({ "id": "badge-7", "jwt": jwt, "access_token": access_token });
        Answer::json(200, &body)
            .header("x-vault-token", vault_token)
            .header("set-cookie", &format!("session={cookie}; Path=/"))
    });
    let directory = PluginDirectory::new();
    directory.add_script("leaky", &leaky(&service.url()));
    let mut configuration = site.configuration();
    configuration.top = format!(
        "plugin_directory = \"{}\"\nplugin \"leaky\" {{\n  allow {{\n    connect = [\"{}\"]\n  }}\n}}",
        directory.path().display(),
        service.url()
    );
    configuration.method = "leaky".into();
    configuration.method_config = String::new();
    for format in ["standard", "json"] {
        let agent = traced(&configuration.text(), format);
        // Each call does something else, and what it does is remembered for the next one.
        for done in ["logged badge-7", "thrown badge-7", "failed badge-7", "printed badge-7"] {
            agent.wait_for_log(done);
        }
        let ended = agent.stop();
        assert!(ended.log.contains("[redacted]"), "{}", ended.log);
        assert_eq!(leaks(&ended.log, &secrets.map(String::from)), [""; 0], "{format}");
    }
}

/// A script that writes the answer of a service in every way it has.
fn leaky(address: &str) -> String {
    format!(
        r#"import {{ send }} from "usher:plugin/http@0.1.0";
import {{ load, save }} from "usher:plugin/state@0.1.0";
import {{ write }} from "usher:plugin/log@0.1.0";
export const plugin = {{
  describe: () => ({{ name: "leaky", version: "1.0.0", summary: "", configSchema: "", attributes: [] }}),
  prepare: () => [{{ capability: "connect", target: "{address}" }}],
}};
export const authMethod = {{
  authenticate() {{
    const calls = load().length;
    save(new Uint8Array(calls + 1));
    const answer = send({{ method: "GET", url: "{address}/badge", headers: [], body: new Uint8Array() }});
    const text = new TextDecoder().decode(answer.body);
    const all = `${{JSON.parse(text).id}} ${{text}} ${{answer.headers}} ${{btoa(JSON.parse(text).jwt)}}`;
    switch (calls % 4) {{
      case 0:
        write("trace", `logged ${{all}}`, [["answer", text], ["headers", `${{answer.headers}}`]]);
        throw {{ kind: "unavailable", code: "leaky", message: "again", details: [] }};
      case 1:
        throw new Error(`thrown ${{all}}`);
      case 2:
        throw {{ kind: "denied", code: "leaky", message: `failed ${{all}}`, details: [["answer", text]] }};
      default:
        console.log(`printed ${{all}}`);
        return {{ credential: {{ tag: "login", val: {{ path: all, body: text, headers: [] }} }}, revision: text }};
    }}
  }},
  authenticated() {{}},
}};
"#
    )
}

#[test]
fn foreign_crates_log_at_warn_at_most() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let agent = traced(&site.configuration().text(), "json");
    site.wait_for_token();
    let ended = agent.stop();
    for line in ended.log.lines() {
        let low = ["trace", "debug", "info"]
            .iter()
            .any(|level| line.to_lowercase().contains(&format!("\"{level}\"")));
        for foreign in ["hyper", "reqwest", "rustls", "wasmtime", "cranelift", "h2::", "mio"] {
            assert!(!(low && line.contains(&format!("\"{foreign}"))), "{line}");
        }
    }
}

fn traced(configuration: &str, format: &str) -> Agent {
    let launch = Launch::agent_at(configuration, "trace").keep_code();
    launch.argument("--log-format").argument(format).start()
}

/// Stops the agent; neither its output nor the arguments may hold a secret of the site.
#[track_caller]
fn clean(site: &Site, agent: Agent, arguments: &str) {
    let secrets = site.secrets();
    assert!(secrets.len() >= 2, "there are secrets to look for");
    let ended = agent.stop();
    assert!(ended.log.len() > 100, "there is a log to look through");
    assert_eq!(leaks(&ended.log, &secrets), [""; 0], "in the log");
    assert_eq!(leaks(&ended.results, &secrets), [""; 0], "on standard output");
    assert!(arguments.contains("agent"), "there are arguments to look through");
    assert_eq!(leaks(arguments, &secrets), [""; 0], "in the arguments");
}

const LIMIT: Duration = Duration::from_secs(20);
