//! What holds for each method alike: what is sent, bad credential files, the server's bad answers.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::eventually_true;
use usher_tests::leaks::leaks;
use usher_tests::methods::MethodSite;
use usher_tests::proxy::Fault;

/// What it is, how it is made, and what is said of it.
type BadFile = (&'static str, fn(&Path), &'static str);

const SITES: [fn() -> MethodSite; 7] = [
    || MethodSite::approle(json!({ "token_ttl": "1h" })),
    || MethodSite::jwt(json!({ "token_ttl": "1h" })),
    || MethodSite::kubernetes(json!({ "token_ttl": "1h" })),
    || MethodSite::token_file(json!({ "ttl": "1h" })),
    || MethodSite::userpass(json!({ "token_ttl": "1h" })),
    || MethodSite::ldap(json!({ "token_ttl": "1h" })),
    || MethodSite::radius(json!({ "token_ttl": "1h" })),
];

#[test]
fn each_byte_that_is_sent_counts() {
    for site in SITES {
        let site = site();
        let ended = site.log_in_once(|_| {});
        assert_eq!(ended.status, 0, "{}: {ended:?}", site.method);
        let login = site.proxy.requests(site.login_path).remove(0);
        let credential = site.credential();
        let expected = match site.method {
            "approle" => {
                let role_id = std::fs::read_to_string(site.file("role-id")).expect("a role-id");
                json!({ "role_id": role_id, "secret_id": credential })
            }
            "jwt" | "kubernetes" => json!({ "jwt": credential, "role": "app" }),
            "token_file" => {
                let token = ("x-vault-token".to_owned(), credential);
                assert!(login.headers.contains(&token), "the token as it stands in the file");
                Value::Null
            }
            _ => json!({ "password": credential }),
        };
        assert_eq!(login.body, expected, "{}", site.method);
        // The server is no formality: it refuses each value with another byte.
        for (name, value) in expected.as_object().into_iter().flatten() {
            let value = value.as_str().expect("a text");
            for at in [0, value.len() / 2] {
                let other = if value.as_bytes()[at] == b'x' { "y" } else { "x" };
                let mut changed = expected.clone();
                changed[name] = format!("{}{other}{}", &value[..at], &value[at + 1..]).into();
                let (status, _) =
                    site.proxy.send("POST", &login.path, &changed).expect("an answer");
                assert!((400..500).contains(&status), "{}: {name} at {at}", site.method);
            }
        }
    }
}

#[test]
fn each_bad_credential_file_is_named_nothing_is_sent_and_a_good_one_ends_it() {
    for site in SITES {
        let site = site();
        let good = site.credential();
        let file = site.credential_file.as_path();
        let mut bad: Vec<BadFile> = vec![
            ("missing", |_| {}, "doesn't exist"),
            ("empty", |file| std::fs::write(file, "").expect("a file"), "is empty"),
            ("a directory", |file| std::fs::create_dir(file).expect("a directory"), "directory"),
            ("binary", |file| std::fs::write(file, b"\xff\xfe").expect("a file"), "is not text"),
            (
                "oversized",
                |file| std::fs::write(file, "x".repeat((1 << 20) + 1)).expect("a file"),
                "larger than 1 MiB",
            ),
        ];
        // A secret-id or password may be any text.
        if ["jwt", "kubernetes", "token_file"].contains(&site.method) {
            let garbage = |file: &Path| std::fs::write(file, "<html>no-such token</html>").unwrap();
            bad.push(("garbage", garbage, "holds no"));
        }
        for (what, make, said) in bad {
            remove(file);
            make(file);
            let before = site.attempts();
            let ended = site.log_in_once(|_| {});
            let context = format!("{}, {what}: {ended:?}", site.method);
            // Not a refusal: it may still appear.
            assert_eq!(ended.status, 1, "{context}");
            assert!(ended.log.contains(said), "{context}");
            assert!(ended.log.contains(&file.display().to_string()), "{context}");
            assert!(!ended.log.contains("no-such token"), "{context}");
            assert_eq!(site.attempts(), before, "{context}");
        }
        remove(file);
        let agent = Agent::start(&site.configuration().text());
        agent.wait_for_log("error authenticating");
        site.write_credential(&good);
        site.wait_for_token();
    }
}

#[test]
fn an_unreadable_credential_file_is_told() {
    if !usher_tests::agent::is_root() {
        return;
    }
    for site in SITES {
        let site = site();
        let directory = site.file("");
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777)).expect("ours");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&site.credential_file, mode).expect("ours");
        let mut configuration = site.configuration();
        configuration.method_settings += "\nexit_on_err = true";
        let ended = Launch::agent(&configuration.text())
            .user(65534)
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 1, "{ended:?}");
        let file = site.credential_file.display().to_string();
        assert!(ended.log.contains(&file) && ended.log.contains("ermission"), "{ended:?}");
    }
}

#[test]
fn each_bad_answer_has_its_class_and_shows_no_credential() {
    for site in SITES {
        let site = site();
        // Refused is an error, passing a warning; each is tried again.
        let expected = [
            (400, "[ERROR]"),
            (403, "[ERROR]"),
            (404, "[ERROR]"),
            (429, "[WARN]"),
            (500, "[WARN]"),
        ];
        for (status, _) in expected {
            site.proxy.fail_times(site.login_path, Fault::Status(status), 1);
        }
        let echo = format!("{{\"errors\":[\"no: {}\"]}}", site.credential());
        site.proxy.fail_times(site.login_path, Fault::Body(400, echo), 1);
        let agent = Agent::start(&site.configuration().text());
        site.wait_for_token();
        let log = agent.log();
        let failures: Vec<&str> =
            log.lines().filter(|line| line.contains("error authenticating")).collect();
        assert_eq!(failures.len(), expected.len() + 1, "{log}");
        for ((status, level), line) in expected.iter().zip(&failures) {
            assert!(line.contains(level) && line.contains(&format!("({status}")), "{line}");
        }
        assert_eq!(leaks(&log, &[site.credential()]), [""; 0], "{}", site.method);
    }
}

#[test]
fn a_wrong_mount_or_namespace_is_refused_and_told() {
    for site in SITES {
        let site = site();
        if site.method != "token_file" {
            let ended = site.log_in_once(|configuration| {
                configuration.method_settings += "\nmount_path = \"auth/nowhere\"";
            });
            site.assert_refused("another mount", &ended, &["auth/nowhere", "mounted"]);
        }
        let ended = site.log_in_once(|configuration| {
            configuration.method_settings += "\nnamespace = \"nowhere\"";
        });
        site.assert_refused("another namespace", &ended, &["namespace"]);
    }
}

#[test]
fn one_shot_files_stay_while_the_server_says_no() {
    for (site, setting) in [
        (MethodSite::approle(json!({})), "remove_secret_id_file_after_reading"),
        (MethodSite::jwt(json!({})), "remove_jwt_after_reading"),
        (MethodSite::userpass(json!({})), "remove_password_after_reading"),
    ] {
        let mut configuration = site.configuration();
        configuration.method_config =
            configuration.method_config.replace(&format!("{setting} = false"), "");
        site.proxy.fail(site.login_path, Fault::Status(403));
        let _agent = Agent::start(&configuration.text());
        eventually_true("two attempts", LIMIT, || site.attempts() >= 2);
        assert!(site.credential_file.exists(), "{}", site.method);
        site.proxy.heal();
        eventually_true("the removal", LIMIT, || !site.credential_file.exists());
        site.wait_for_token();
    }
}

fn remove(file: &Path) {
    let _ = std::fs::remove_file(file);
    let _ = std::fs::remove_dir(file);
}

const LIMIT: Duration = Duration::from_secs(30);
