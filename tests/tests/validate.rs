//! `usher validate` and `usher config schema`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use usher_tests::agent::{Ended, Launch};

const GOOD: &str = r#"auto_auth {
  method "approle" {
    config {
      role_id_file_path = "/etc/usher/role-id"
    }
  }
  sink "file" {
    config {
      path = "/run/usher/token"
    }
  }
}
"#;
const LIMIT: Duration = Duration::from_secs(30);

fn validate(files: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let mut launch = Launch::command(&["validate"]);
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        launch = launch.argument("-config").argument(path);
    }
    for argument in arguments {
        launch = launch.argument(*argument);
    }
    launch.run(LIMIT)
}

fn judgement(ended: &Ended) -> Value {
    serde_json::from_str(&ended.results).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_good_configuration_is_valid_and_no_file_it_names_need_exist() {
    let ended = validate(&[("usher.hcl", GOOD)], &[]);
    assert_eq!((ended.status, ended.results.as_str()), (0, "valid\n"), "{ended:?}");
}

#[test]
fn every_problem_is_printed_with_its_place_its_line_and_the_remedy() {
    let text = format!(
        "exit_after_auth = \"true\"\nvault {{ addres = \"x\" }}\n{}",
        GOOD.replace("role_id_file_path", "role_id_path").replace("sink \"file\"", "sink \"flie\"")
    );
    let ended = validate(&[("usher.hcl", &text)], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in [
        "usher.hcl:1:19: error: ",
        "  1 | exit_after_auth = \"true\"",
        "usher.hcl:2:9: warning: ",
        "did you mean `address`?",
        "role_id_file_path",
        "did you mean \"file\"?",
        "invalid\n",
    ] {
        assert!(ended.results.contains(part), "{part}: {}", ended.results);
    }
}

#[test]
fn a_refused_value_is_shown_unless_its_plug_in_calls_it_a_secret() {
    let text = GOOD
        .replace("approle", "gcp")
        .replace(
            "role_id_file_path = \"/etc/usher/role-id\"",
            "type = \"iam\"\nrole = \"dev\"\ncredentials = \"hunter2\"",
        )
        .replace("path = \"/run/usher/token\"", "path = \"/run/usher/token\"\nmode = \"rw-r\"");
    let ended = validate(&[("usher.hcl", &text)], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.results.contains("credentials = \"*******\""), "{}", ended.results);
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    assert!(ended.results.contains("mode = \"rw-r\""), "{}", ended.results);
}

#[test]
fn programs_get_one_json_object() {
    let ended = validate(&[("usher.hcl", &format!("zzz = 1\n{GOOD}"))], &["-format=json"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let answer = judgement(&ended);
    assert_eq!(answer["verdict"], "valid");
    let problem = &answer["problems"][0];
    assert_eq!(
        (&problem["severity"], &problem["code"]),
        (&"warning".into(), &"unknown-key".into())
    );
    assert_eq!((&problem["line"], &problem["column"]), (&1.into(), &1.into()));
    assert!(problem["file"].as_str().is_some_and(|file| Path::new(file).ends_with("usher.hcl")));
    assert!(problem["message"].is_string() && problem["help"].is_string());
    let nowhere = judgement(&validate(&[], &["--format=json"]));
    assert_eq!(nowhere["verdict"], "invalid");
    assert!(nowhere["problems"][0]["file"].is_null());
}

#[test]
fn what_is_not_built_is_unsupported_and_with_an_error_beside_it_invalid() {
    let template = "template { contents = \"x\" destination = \"/x\" }\n";
    for (text, verdict) in [
        (format!("{GOOD}{template}"), "unsupported"),
        (GOOD.replace("approle", "approll"), "invalid"),
        (format!("{GOOD}{template}pid_file = true\n"), "invalid"),
        (format!("{GOOD}{}", template.replace("contents", "content")), "invalid"),
        (format!("{}{template}", GOOD.replace("role_id_file_path", "x")), "invalid"),
    ] {
        let ended = validate(&[("usher.hcl", &text)], &["--format", "json"]);
        assert_eq!(judgement(&ended)["verdict"], verdict, "{text}\n{}", ended.results);
        assert_eq!(ended.status, 2, "{ended:?}");
    }
}

#[test]
fn only_a_way_to_the_server_that_works_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let make = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    let good = write("good.pem", &one.cert.pem());
    let key = write("key.pem", &one.signing_key.serialize_pem());
    let other_key = write("other-key.pem", &other.signing_key.serialize_pem());
    let note = write("note.txt", "no certificate here");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let mixed = write("mixed.pem", &format!("{}{broken}", one.cert.pem()));
    let broken = write("broken.pem", broken);
    for (vault, verdict, said) in [
        ("address = \"https://bao:8200/v1\"".to_owned(), "invalid", "/v1"),
        ("address = \"https://${BAO_HOST}:8200\"".to_owned(), "invalid", "variable"),
        ("address = \"https://bao:8200/${BASE}\"".to_owned(), "invalid", "variable"),
        ("address = \"https://u:p@bao:8200\"".to_owned(), "valid", ""),
        (format!("ca_cert = \"{good}\""), "valid", ""),
        ("ca_cert = \"/nowhere/ca.pem\"".to_owned(), "invalid", "/nowhere/ca.pem"),
        (format!("ca_cert = \"{note}\""), "invalid", "no certificate in PEM form"),
        (format!("ca_cert = \"{broken}\""), "invalid", "certificate 1 (line 1)"),
        (format!("ca_cert = \"{mixed}\""), "valid", "certificate 2 (line "),
        (format!("ca_cert = \"{}\"", directory.path().display()), "invalid", "vault.ca_path"),
        (format!("ca_path = \"{}\"", directory.path().display()), "valid", "broken.pem"),
        (format!("ca_path = \"{good}\""), "valid", ""),
        ("ca_path = \"/nowhere/ca\"".to_owned(), "invalid", "/nowhere/ca"),
        (format!("client_cert = \"{good}\" client_key = \"{key}\""), "valid", ""),
        (
            format!("client_cert = \"{good}\" client_key = \"{other_key}\""),
            "invalid",
            "don't belong together",
        ),
        (format!("client_cert = \"{note}\" client_key = \"{key}\""), "invalid", "note.txt"),
        (format!("client_cert = \"{good}\" client_key = \"/nowhere/k\""), "invalid", "/nowhere/k"),
        // No file of these is read for an address without TLS.
        ("address = \"http://bao\" ca_cert = \"/nowhere\"".to_owned(), "valid", ""),
    ] {
        let text = format!("{GOOD}vault {{ {vault} }}\n");
        let ended = validate(&[("usher.hcl", &text)], &["--format=json"]);
        assert_eq!(judgement(&ended)["verdict"], verdict, "{vault}\n{}", ended.results);
        assert!(ended.results.contains(said), "{said}: {}", ended.results);
    }
    let proxy =
        Launch::command(&["validate", "--config"]).environment("BAO_PROXY_ADDR", "socks4://p");
    let ended = proxy.argument(write("usher.hcl", GOOD)).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.results.contains("socks5://"), "{ended:?}");
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    for url in [
        "http://u:hunter2@bao:port",
        "u:hunter2@bao:8200",
        "http://u:hunter2/x@bao",
        "ftp://u:hunter2@bao",
    ] {
        let text = format!("{GOOD}vault {{ address = \"{url}\" }}\n");
        for format in ["--format=json", "--format=text"] {
            let ended = validate(&[("usher.hcl", &text)], &[format]);
            assert_eq!(ended.status, 2, "{ended:?}");
            assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
        }
        for variable in ["BAO_ADDR", "VAULT_PROXY_ADDR"] {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("usher.hcl");
            std::fs::write(&file, GOOD).unwrap();
            let launch = Launch::command(&["validate", "--config"]).argument(&file);
            let ended = launch.environment(variable, url).run(LIMIT);
            assert_eq!(ended.status, 2, "{ended:?}");
            assert!(!format!("{ended:?}").contains("hunter2"), "{variable}: {ended:?}");
        }
    }
    let allowed = format!(
        "{GOOD}plugin_directory = \"/nowhere\"\nplugin \"x\" {{ alow {{ }} allow {{ connect = [\"https://u:hunter2@host\"] }} }}\n"
    );
    let ended = validate(&[("usher.hcl", &allowed)], &[]);
    assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
}

#[test]
fn strict_takes_warnings_for_errors() {
    let text = format!("zzz = 1\n{GOOD}");
    let ended = validate(&[("usher.hcl", &text)], &["--strict", "--format=json"]);
    assert_eq!(ended.status, 2, "{ended:?}");
    let answer = judgement(&ended);
    assert_eq!(
        (&answer["verdict"], &answer["problems"][0]["severity"]),
        (&"invalid".into(), &"error".into())
    );
    assert_eq!(validate(&[("usher.hcl", GOOD)], &["-strict"]).status, 0);
}

#[test]
fn flags_environment_and_several_files_count_as_for_the_agent() {
    let vault = "vault { address = \"nonsense\" }";
    let files = [("a.hcl", vault), ("b.hcl", GOOD)];
    assert_eq!(validate(&files, &[]).status, 2);
    assert_eq!(validate(&files, &["-address", "https://bao:8200"]).status, 0);
    let directory = tempfile::tempdir().unwrap();
    let validate_directory = |launch: Launch| launch.argument(directory.path()).run(LIMIT);
    let empty = validate_directory(Launch::command(&["validate", "--config"]));
    assert_eq!(empty.status, 2, "{empty:?}");
    assert!(empty.results.contains("no file that ends in .hcl or .json"), "{empty:?}");
    std::fs::write(directory.path().join("usher.hcl"), GOOD).unwrap();
    assert_eq!(validate_directory(Launch::command(&["validate", "--config"])).status, 0);
    let bad = Launch::command(&["validate", "--config"]).environment("BAO_RATE_LIMIT", "fast");
    let bad = validate_directory(bad);
    assert_eq!(bad.status, 2, "{bad:?}");
    assert!(bad.results.contains("BAO_RATE_LIMIT"), "{bad:?}");
}

#[test]
fn the_schema_is_printed_as_json() {
    let ended = Launch::command(&["config", "schema"]).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let schema: Value = serde_json::from_str(&ended.results).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["exit_after_auth"]["type"], "boolean");
    assert!(schema["$defs"]["sink"]["properties"]["wrap_ttl"].is_object());
}
