//! `usher proxy`: the agent under the names of Vault Proxy and OpenBao Proxy, and without what they
//! don't have.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use usher_tests::agent::{Agent, Launch, binary};
use usher_tests::api_client::{ApiClient, Reply, Request};
use usher_tests::incumbent::Incumbent;
use usher_tests::listeners::{free_authority, tcp, unix};
use usher_tests::upstream::Upstream;

const LIMIT: Duration = Duration::from_secs(30);
const QUIT: &str = "proxy_api {\n    enable_quit = true\n  }";
const QUIT_OF_AGENT: &str = "agent_api {\n    enable_quit = true\n  }";

/// Where a listener's socket is, and what is asked there.
fn socket(home: &TempDir, name: &str) -> (PathBuf, ApiClient) {
    let path = home.path().join(name);
    let client = ApiClient::unix(&path);
    (path, client)
}

#[track_caller]
fn assert_forwarded(client: &ApiClient, method: &str, target: &str) {
    let reply = client.send(&Request::new(method, target));
    assert_eq!((reply.status, &reply.json()["target"]), (200, &target.into()), "{reply:?}");
}

#[test]
fn each_serves_its_own_paths_and_forwards_those_of_the_other() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    for (name, other) in [("proxy", "agent"), ("agent", "proxy")] {
        let (every, client) = socket(&home, &format!("{name}.sock"));
        let (metrics, only_metrics) = socket(&home, &format!("{name}-metrics.sock"));
        let blocks = unix(&every, "") + &unix(&metrics, "role = \"metrics_only\"");
        let configuration = upstream.configuration(&blocks);
        let agent = match name {
            "proxy" => Launch::proxy(&configuration).start(),
            _ => Agent::start(&configuration),
        };
        let before = upstream.count();
        for client in [&client, &only_metrics] {
            client.wait_until_open();
            let reply = client.get(&format!("/{name}/v1/metrics"));
            assert_eq!(reply.status, 200, "{reply:?}");
            assert!(reply.text().contains("usher_"), "{reply:?}");
        }
        let ask = |method: &str, path: &str| {
            client.send(&Request::new(method, &format!("/{name}/v1/{path}")))
        };
        assert_eq!(ask("POST", "metrics").status, 405);
        assert_eq!(ask("POST", "cache-clear").status, 200);
        let refused = ask("POST", "quit");
        assert_eq!(refused.status, 404, "{refused:?}");
        assert_eq!(refused.errors(), format!("{name}_api.enable_quit is not set in this listener"));
        assert_eq!(upstream.count(), before, "the server isn't asked");

        for (method, path) in [("GET", "metrics"), ("POST", "cache-clear"), ("POST", "quit")] {
            assert_forwarded(&client, method, &format!("/{other}/v1/{path}"));
        }
        assert_forwarded(&client, "GET", &format!("/{name}/v1/nothing"));
        let before = upstream.count();
        assert_eq!(only_metrics.get(&format!("/{other}/v1/metrics")).status, 404);
        assert_eq!(upstream.count(), before);
        agent.stop();
    }
}

#[test]
fn a_proxy_can_be_told_to_end_only_by_its_own_block() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let (other, of_agent) = socket(&home, "other.sock");
    let (own, of_proxy) = socket(&home, "own.sock");
    let blocks = unix(&other, QUIT_OF_AGENT) + &unix(&own, QUIT);
    let agent = Launch::proxy(&upstream.configuration(&blocks)).start();
    of_agent.wait_until_open();
    of_proxy.wait_until_open();
    agent.wait_for_log("`agent_api` has no effect for `usher proxy`");
    assert_eq!(of_agent.send(&Request::new("POST", "/proxy/v1/quit")).status, 404);
    assert_eq!(of_proxy.get("/proxy/v1/quit").status, 405);
    let reply = of_proxy.send(&Request::new("POST", "/proxy/v1/quit"));
    assert_eq!(reply.status, 200, "{reply:?}");
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.log.contains("proxy_api.enable_quit"), "{ended:?}");
}

#[test]
fn a_reload_keeps_the_names() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let (path, client) = socket(&home, "proxy.sock");
    let mut agent = Launch::proxy(&upstream.configuration(&unix(&path, ""))).start();
    client.wait_until_open();
    assert_eq!(client.send(&Request::new("POST", "/proxy/v1/quit")).status, 404);
    agent.reload(&upstream.configuration(&unix(&path, QUIT)));
    agent.wait_for_log("the new configuration is in force");
    assert_forwarded(&client, "POST", "/agent/v1/quit");
    assert_eq!(client.send(&Request::new("POST", "/proxy/v1/quit")).status, 200);
    assert_eq!(agent.ended(LIMIT).status, 0);
}

#[test]
fn templates_and_processes_are_passed_over_with_a_warning() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let (path, client) = socket(&home, "proxy.sock");
    let file = home.path().join("rendered");
    let blocks = format!(
        "{}template {{\n  contents = \"x\"\n  destination = \"{1}\"\n}}\n\
         template_config {{ exit_on_retry_failure = true }}\n\
         env_template \"NAME\" {{ contents = \"x\" }}\n\
         exec {{ command = [\"touch\", \"{1}\"] }}\n",
        unix(&path, ""),
        file.display()
    );
    let configuration = upstream.configuration(&blocks);
    let agent = Launch::proxy(&configuration).start();
    client.wait_until_open();
    assert_eq!(client.get("/v1/x").status, 200);
    for key in ["template", "template_config", "env_template", "exec"] {
        agent.wait_for_log(&format!("`{key}` has no effect for `usher proxy`"));
    }
    agent.stop();
    assert!(!file.exists());
    let strict = Launch::proxy(&configuration).argument("--strict").run(LIMIT);
    assert_eq!(strict.status, 2, "{strict:?}");
    let written = home.path().join("proxy.hcl");
    std::fs::write(&written, &configuration).unwrap();
    for (command, status, verdict) in [
        (&["validate", "--proxy", "--config"], 0, "\nvalid\n"),
        (&["validate", "--format=text", "--config"], 2, "\ninvalid\n"),
    ] {
        let judged = Launch::command(command).argument(&written).run(LIMIT);
        assert_eq!(judged.status, status, "{judged:?}");
        assert!(judged.results.ends_with(verdict), "{judged:?}");
    }
}

#[test]
fn the_environment_names_the_configuration_in_the_proxys_words() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let (path, client) = socket(&home, "proxy.sock");
    let file = home.path().join("proxy.hcl");
    std::fs::write(&file, upstream.configuration(&unix(&path, ""))).unwrap();
    let launch = |variable: &str| {
        Launch::command(&["proxy"]).environment(variable, &file.display().to_string())
    };
    for variable in ["BAO_PROXY_CONFIG_PATH", "VAULT_PROXY_CONFIG_PATH"] {
        let agent = launch(variable).start();
        client.wait_until_open();
        agent.stop();
    }
    let ended = launch("BAO_AGENT_CONFIG_PATH").run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
}

#[test]
fn it_goes_by_the_names_of_the_incumbents_and_takes_their_flags() {
    let (upstream, home) = (Upstream::echo(), tempfile::tempdir().unwrap());
    let (path, client) = socket(&home, "proxy.sock");
    let file = home.path().join("proxy.hcl");
    std::fs::write(&file, upstream.configuration(&unix(&path, ""))).unwrap();
    for name in ["bao", "vault"] {
        let program = home.path().join(name);
        symlink(binary(), &program).unwrap();
        let agent = Launch::command(&["proxy", "-log-level=debug", "-non-interactive"])
            .program(program)
            .argument(format!("-config={}", file.display()))
            .start();
        client.wait_until_open();
        assert_eq!(client.get("/proxy/v1/metrics").status, 200);
        agent.stop();
    }
}

#[test]
fn help_says_what_differs_from_the_agent() {
    let help = |command: &str| {
        let ended = Launch::command(&[command, "--help"]).run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
        ended.results
    };
    let (proxy, agent) = (help("proxy"), help("agent"));
    for said in
        ["proxy_api", "/proxy/v1/metrics", "BAO_PROXY_CONFIG_PATH", "--config", "Exit status"]
    {
        assert!(proxy.contains(said), "{said}: {proxy}");
    }
    assert!(!agent.contains("proxy_api"), "{agent}");
    let flags = |help: &str| {
        let words = help.split_whitespace().filter(|word| word.starts_with("--"));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let without_prose = |help: &str| flags(help.split("Exit status").next().unwrap());
    let (proxy, agent) = (without_prose(&proxy), without_prose(&agent));
    assert!(agent.iter().all(|flag| proxy.contains(flag)), "{agent:?} {proxy:?}");
}

#[test]
fn openbao_proxy_answers_the_same() {
    let upstream = Upstream::echo();
    let (theirs, ours) = (free_authority(), free_authority());
    // What isn't theirs has no effect for them either.
    let configuration = |authority: &str| {
        let template = "template {\n  contents = \"x\"\n  destination = \"/nowhere/x\"\n}\n";
        upstream.configuration(&(tcp(authority, &format!("{QUIT}\n  {QUIT_OF_AGENT}")) + template))
    };
    let incumbent = Incumbent::start_proxy(&configuration(&theirs));
    let agent = Launch::proxy(&configuration(&ours)).start();
    let (theirs, ours) = (ApiClient::tcp(&theirs), ApiClient::tcp(&ours));
    theirs.wait_until_open();
    ours.wait_until_open();
    let compared = |reply: Reply| (reply.status, reply.json()["target"].clone());
    for (method, target) in [
        ("GET", "/proxy/v1/metrics"),
        ("GET", "/proxy/v1/metrics?format=x"),
        ("POST", "/proxy/v1/metrics"),
        ("POST", "/proxy/v1/cache-clear"),
        ("GET", "/proxy/v1/quit"),
        ("GET", "/proxy/v1/nothing"),
        ("GET", "/agent/v1/metrics"),
        ("POST", "/agent/v1/cache-clear"),
        ("POST", "/agent/v1/quit"),
        ("GET", "/v1/secret/data/app"),
        // The last: both end.
        ("POST", "/proxy/v1/quit"),
    ] {
        let request = Request::new(method, target);
        let answers = [&theirs, &ours].map(|client| compared(client.send(&request)));
        assert_eq!(answers[0], answers[1], "{method} {target}");
    }
    incumbent.succeeds(LIMIT);
    assert_eq!(agent.ended(LIMIT).status, 0);
}
