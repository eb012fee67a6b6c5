//! The guides of `docs/` work as they are written.

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::guide::Guide;
use usher_tests::issuer::Issuer;
use usher_tests::methods::service_account_claims;
use usher_tests::site::Site;
use usher_tests::token_review::{REVIEWER, TokenReview};

#[test]
fn migrating() {
    let guide = Guide::read("migrating.md");
    guide.bao.enable_approle("approle");
    guide.bao.create_role("app", json!({ "token_ttl": "20m" }));
    for directory in ["/etc/app", "/run/app"] {
        std::fs::create_dir_all(guide.path(directory)).expect("a directory");
    }
    std::fs::write(guide.path("/etc/app/role-id"), guide.bao.role_id("app")).expect("a role-id");
    std::fs::write(guide.path("/etc/app/secret-id"), guide.bao.secret_id("app"))
        .expect("a secret-id");
    guide.follow();
}

#[test]
fn trusted_orchestrator() {
    let guide = Guide::read_with_tls("trusted-orchestrator.md");
    guide.follow();
    // With the thief's copy, used by now: the agent says what the guide quotes.
    let said = guide.shell(
        "cp /run/app/copy-of-a-thief /run/app/secret-id
        usher agent --config /etc/app/agent.hcl --exit-after-auth --timeout 10s 2>&1",
    );
    assert!(!said.status.success());
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let text = include_str!("../../../docs/trusted-orchestrator.md");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let quotes: Vec<&str> = text.split('*').filter(|part| part.starts_with("was used")).collect();
    assert_eq!(quotes.len(), 1, "{quotes:?}");
    assert!(said.contains(quotes[0]), "{said}");
}

#[test]
fn systemd() {
    let guide = Guide::read("systemd.md");
    let printed = guide.follow();
    assert!(printed.contains("INTERCEPTION"), "{printed}");
    // The unit's own commands: the application starts with a token or not at all.
    let unit = std::fs::read_to_string(guide.path("/etc/systemd/system/app.service"));
    let unit = unit.expect("the unit");
    let command = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect("a command");
        line.replace("$$", "$")
    };
    let deliver = command("ExecStartPre=");
    let start = command("ExecStart=");
    let delivered = guide.shell(&format!("{deliver}\ncp /run/app/wrapped-token /run/app/copy"));
    assert!(delivered.status.success(), "{delivered:?}");
    let first = guide.shell(&start);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let second = guide.shell(&format!("mv /run/app/copy /run/app/wrapped-token\n{start}"));
    assert!(!second.status.success(), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("INTERCEPTION"), "{second:?}");
}

#[test]
fn kubernetes() {
    let guide = Guide::read("kubernetes.md");
    guide.follow();
    // As the kubelet and the server's administrator prepare it.
    let reviewer = TokenReview::start();
    guide.bao.write(
        "auth/kubernetes/config",
        json!({
            "kubernetes_host": reviewer.address(),
            "kubernetes_ca_cert": reviewer.ca_pem(),
            "token_reviewer_jwt": REVIEWER,
            "disable_local_ca_jwt": true,
        }),
    );
    let token = Issuer::new().sign(&service_account_claims("shop", "app", "vault"));
    reviewer.register(&token, "shop", "app", "vault");
    for directory in ["/var/run/secrets/usher", "/run/usher", "/run/usher-admin"] {
        std::fs::create_dir_all(guide.path(directory)).expect("a directory");
    }
    std::fs::write(guide.path("/var/run/secrets/usher/token"), token).expect("a token");
    let started = guide.shell(
        "sed -i '/^metrics_address/d' /etc/usher/agent.hcl
        usher agent --config /etc/usher/agent.hcl --exit-after-auth --timeout 30s
        BAO_TOKEN=$(cat /run/usher/token) bao token lookup",
    );
    assert!(started.status.success(), "{started:?}");
    // The manifest is YAML, and its probes are commands that exist.
    let pod = std::fs::read_to_string(guide.path("/etc/usher/pod.yaml")).expect("the manifest");
    for command in pod.lines().filter_map(|line| line.trim().strip_prefix("command: [\"usher\", "))
    {
        let mut arguments = command.trim_end_matches(']').split(", ");
        let subcommand = arguments.next().map(|name| name.trim_matches('"')).unwrap_or_default();
        let output = guide.shell(&format!("usher {subcommand} --help"));
        assert!(output.status.success(), "usher {subcommand}");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        for flag in arguments.filter(|argument| argument.starts_with("\"--")) {
            assert!(help.contains(flag.trim_matches('"')), "usher {subcommand} {flag}");
        }
    }
}

#[test]
fn status() {
    let guide = Guide::read("status.md");
    let socket = guide.path("/run/usher/usher.sock");
    std::fs::create_dir_all(socket.parent().expect("a directory")).expect("a directory");
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let mut configuration = site.configuration();
    configuration.top = format!("admin_socket = {socket:?}\n");
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let printed = guide.follow();
    assert!(printed.contains("\"started_at\": "), "{printed}");
    assert!(printed.contains("the new configuration is in force"), "{printed}");
}
