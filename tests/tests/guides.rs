//! The guides of `docs/` work as they are written.

use serde_json::json;
use usher_tests::guide::Guide;

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
    Guide::read("trusted-orchestrator.md").follow();
}

#[test]
fn systemd() {
    let printed = Guide::read("systemd.md").follow();
    assert!(printed.contains("INTERCEPTION"), "{printed}");
}

#[test]
fn kubernetes() {
    let guide = Guide::read("kubernetes.md");
    guide.follow();
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
