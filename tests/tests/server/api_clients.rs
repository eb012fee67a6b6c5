//! Programs and libraries that people use, at the agent's listeners.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use usher_tests::agent::Agent;
use usher_tests::api_client::ApiClient;
use usher_tests::listeners::{
    PASSWORD, api_proxy, configuration, free_authority, site, socket, tcp,
};
use usher_tests::openbao::text;
use usher_tests::oracle::{ask_for_text, clouds_python};
use usher_tests::plugins::setup_directory;
use usher_tests::site::Site;

/// A site whose agent serves a socket and an address.
struct Served {
    // Dropped in this order: the agent ends before its server.
    _agent: Agent,
    site: Site,
    address: String,
}

impl Served {
    /// Lends its token; its address has these settings.
    fn start(settings: &str) -> Self {
        let site = site();
        let authority = free_authority();
        let blocks = tcp(&authority, settings) + &api_proxy("use_auto_auth_token = true");
        let agent = Agent::start(&configuration(&site, &blocks).text());
        site.wait_for_token();
        ApiClient::tcp(&authority).wait_until_open();
        ApiClient::unix(&socket(&site)).wait_until_open();
        Self { _agent: agent, site, address: format!("http://{authority}") }
    }

    fn own_token(&self) -> String {
        let settings = json!({ "policies": ["app", "proxied"], "ttl": "1h" });
        text(&self.site.bao.write("auth/token/create", settings)["auth"]["client_token"])
    }
}

/// `bao ARGUMENTS` with nothing but this in its environment.
fn bao(home: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(setup_directory().join("bao"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

#[track_caller]
fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn openbaos_own_client_reads_writes_and_lists_without_a_token() {
    let served = Served::start("require_request_header = true");
    let home = tempfile::tempdir().unwrap();
    let socket = format!("unix://{}", socket(&served.site).display());
    let addresses = [served.address.as_str(), socket.as_str()];
    for (variable, address) in
        ["BAO_AGENT_ADDR", "BAO_ADDR"].into_iter().flat_map(|name| addresses.map(|at| (name, at)))
    {
        let run = |arguments: &[&str]| bao(home.path(), &[(variable, address)], arguments);
        let read = json_of(&run(&["read", "-format=json", "secret/data/app"]));
        assert_eq!(read["data"]["data"]["password"], PASSWORD, "{variable} {address}");
        let got = json_of(&run(&["kv", "get", "-format=json", "-mount=secret", "app"]));
        assert_eq!(got["data"]["data"]["password"], PASSWORD, "{variable} {address}");
        json_of(&run(&["kv", "put", "-format=json", "-mount=secret", "write/one", "a=b"]));
        let one = json_of(&run(&["kv", "get", "-format=json", "-mount=secret", "write/one"]));
        assert_eq!(one["data"]["data"]["a"], "b");
        let wrapped = json_of(&run(&["read", "-format=json", "-wrap-ttl=5m", "secret/data/app"]));
        let token = text(&wrapped["wrap_info"]["token"]);
        let unwrapped = json_of(&run(&["unwrap", "-format=json", &token]));
        assert_eq!(unwrapped["data"]["data"]["password"], PASSWORD);
        let status = run(&["status", "-format=json"]);
        assert_eq!(json_of(&status)["sealed"], false);
        let refused = run(&["read", "secret/data/other"]);
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("permission denied"));
    }
    // Its own token, if it has one.
    let own = served.own_token();
    let environment = [("BAO_AGENT_ADDR", served.address.as_str()), ("BAO_TOKEN", own.as_str())];
    let looked_up = json_of(&bao(home.path(), &environment, &["token", "lookup", "-format=json"]));
    assert_eq!(looked_up["data"]["id"], own.as_str());
}

#[test]
fn curl_reads_from_the_address_and_from_the_socket() {
    let served = Served::start("");
    let socket = socket(&served.site).display().to_string();
    let url = format!("{}/v1/secret/data/app", served.address);
    for arguments in [
        vec![url.as_str()],
        vec!["--unix-socket", &socket, "http://localhost/v1/secret/data/app"],
        vec!["--http1.0", &url],
        vec!["--http2", &url],
        vec!["--compressed", "--header", "X-Vault-Request: true", &url],
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail"]).args(&arguments);
        let answer: Value = serde_json::from_str(&ask_for_text(&mut curl, "")).unwrap();
        assert_eq!(answer["data"]["data"]["password"], PASSWORD, "{arguments:?}");
    }
    // A body from a pipe goes in chunks, and one above a megabyte waits for leave to be sent.
    let url = format!("{}/v1/secret/data/write/one", served.address);
    let long = json!({ "data": { "text": "x".repeat(2 << 20) } }).to_string();
    for body in ["{\"data\":{\"a\":\"b\"}}", long.as_str()] {
        for header in ["Transfer-Encoding: chunked", "Expect: 100-continue"] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--fail", "--header", header]);
            curl.args(["--request", "POST", "--upload-file", "-", &url]);
            let answer: Value = serde_json::from_str(&ask_for_text(&mut curl, body)).unwrap();
            assert!(answer["data"]["version"].is_number(), "{header}: {answer}");
        }
    }
}

/// What both libraries do, each in its own words: they print what they saw as one JSON object.
#[track_caller]
fn assert_seen(served: &Served, seen: &str, own: &str) {
    let seen: Value = serde_json::from_str(seen).unwrap();
    let expected = json!({
        "read": PASSWORD,
        "written": "b",
        "missing": 404,
        "forbidden": 403,
        "own": own,
        "sealed": false,
    });
    assert_eq!(seen, expected);
    assert!(served.site.bao.is_valid(own));
}

#[test]
fn pythons_hvac_works_without_and_with_a_token() {
    let served = Served::start("require_request_header = true");
    let own = served.own_token();
    let mut program = clouds_python("hvac_client.py");
    program.args([&served.address, &own]);
    assert_seen(&served, &ask_for_text(&mut program, ""), &own);
}

#[test]
fn nodes_vault_client_works_without_and_with_a_token() {
    let served = Served::start("");
    let own = served.own_token();
    let mut program = Command::new("node");
    program
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("oracles/node_vault.cjs"))
        .args([&served.address, &own])
        // It would take a token from there.
        .env_remove("VAULT_TOKEN")
        .env("NODE_PATH", setup_directory().join("node/node_modules"));
    assert_seen(&served, &ask_for_text(&mut program, ""), &own);
}
