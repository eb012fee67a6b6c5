//! `usher validate` and `usher config schema`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::components::Method;
use usher_tests::plugins::PluginDirectory;
use usher_tests::site::Site;

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
            // Of a proxy the scheme may be left out.
            let valid = variable == "VAULT_PROXY_ADDR" && url.starts_with("u:");
            assert_eq!(ended.status, if valid { 0 } else { 2 }, "{ended:?}");
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
fn a_setting_that_a_built_in_does_not_have_is_named_where_it_stands() {
    let text = GOOD
        .replace("\"/run/usher/token\"", "\"/run/usher/token\"\n      perms = \"0600\"")
        .replace("role-id\"", "role-id\"\n      remove_secret_id_file_reading = false");
    let ended = validate(&[("usher.hcl", &text)], &[]);
    assert_eq!(ended.status, 0, "{ended:?}");
    for part in [
        "usher.hcl:5:7: warning: the config of method \"approle\" has no key `remove_secret_id_file_reading`; it is ignored",
        "did you mean `remove_secret_id_file_after_reading`?",
        "usher.hcl:11:7: warning: the config of sink \"file\" has no key `perms`; it is ignored",
        "it takes gid, in_place, mode, path, uid",
        "valid\n",
    ] {
        assert!(ended.results.contains(part), "{part}: {}", ended.results);
    }
    let strict = validate(&[("usher.hcl", &text)], &["--strict", "--format=json"]);
    assert_eq!(strict.status, 2, "{strict:?}");
    let problems = judgement(&strict)["problems"].clone();
    assert_eq!(problems.as_array().map(Vec::len), Some(2), "{problems}");
    assert_eq!(
        (&problems[0]["code"], &problems[0]["severity"]),
        (&"unknown-key".into(), &"error".into())
    );
}

#[test]
fn a_setting_beside_its_config_block_is_sent_into_it() {
    let text = "auto_auth {\n  method \"jwt\" {\n    role = \"app\"\n    path = \"/jwt\"\n  }\n  sink \"file\" {\n    path = \"/t\"\n  }\n}\n";
    let ended = validate(&[("usher.hcl", text)], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in ["config { role = … }", "config { path = … }"] {
        assert!(ended.results.contains(part), "{part}: {}", ended.results);
    }
    for far in ["listener", "cache"] {
        assert!(!ended.results.contains(far), "{far}: {}", ended.results);
    }
}

#[test]
fn a_plug_in_that_is_not_there_is_invalid() {
    let directory = PluginDirectory::new();
    let text = with_plug_in(&directory, "", "acme");
    let ended = validate(&[("usher.hcl", &text)], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in ["has neither acme.wasm nor acme.js", "usher.hcl:3:3: error", "invalid\n"] {
        assert!(ended.results.contains(part), "{part}: {}", ended.results);
    }
    assert!(!ended.results.contains("no effect"), "{}", ended.results);
}

#[test]
fn a_script_that_is_not_allowed_what_it_needs_is_invalid_and_the_block_to_paste_is_printed() {
    let directory = PluginDirectory::new();
    directory.add_script("acme", ACME);
    let text = with_plug_in(&directory, "badge = \"/run/badge\"", "acme");
    let ended = validate(&[("usher.hcl", &text)], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    let block = "plugin \"acme\" {\n  allow {\n    watch = [\"/run/badge\"]\n  }\n}";
    assert!(ended.results.contains(block), "{}", ended.results);
    let text = format!("{text}{block}\n");
    let ended = validate(&[("usher.hcl", &text)], &["--strict"]);
    assert_eq!((ended.status, ended.results.as_str()), (0, "valid\n"), "{ended:?}");
}

#[test]
fn a_script_that_refuses_its_settings_is_invalid() {
    let directory = PluginDirectory::new();
    directory.add_script("acme", ACME);
    let ended = validate(&[("usher.hcl", &with_plug_in(&directory, "badge = \"\"", "acme"))], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    for part in ["usher.hcl:5:15: error", "write the path of the badge"] {
        assert!(ended.results.contains(part), "{part}: {}", ended.results);
    }
}

#[test]
fn the_settings_of_a_script_are_compared_with_its_schema() {
    let directory = PluginDirectory::new();
    directory.add_script("acme", ACME);
    directory.add_script("open", &ACME.replace("configSchema: SCHEMA", "configSchema: \"\""));
    let settings =
        "badge = \"/run/badge\"\n      bage = 1\n      x-own = 1\n      tls { ca = 1 nmae = 1 }";
    let allow =
        |name: &str| format!("plugin \"{name}\" {{ allow {{ watch = [\"/run/badge\"] }} }}\n");
    let text = with_plug_in(&directory, settings, "acme") + &allow("acme");
    let ended = validate(&[("usher.hcl", &text)], &["--format=json"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let problems = judgement(&ended)["problems"].clone();
    let found: Vec<(&str, u64)> = problems
        .as_array()
        .expect("a list")
        .iter()
        .map(|problem| {
            let help = problem["help"].as_str().expect("a text");
            (help, problem["line"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(found, [("did you mean `badge`?", 6), ("did you mean `name`?", 8)]);
    let text = with_plug_in(&directory, settings, "open") + &allow("open");
    let ended = validate(&[("usher.hcl", &text)], &[]);
    assert_eq!((ended.status, ended.results.as_str()), (0, "valid\n"), "{ended:?}");
}

#[test]
fn a_component_is_compiled_to_be_validated_and_nothing_is_sent_or_written() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("made", &Method::new(&json!({ "role_id": "r" })).build());
    let mut configuration = site.configuration();
    configuration.top = format!("plugin_directory = \"{}\"", directory.path().display());
    configuration.method = "made".into();
    configuration.method_config = String::new();
    let ended = validate(&[("usher.hcl", &configuration.text())], &[]);
    assert_eq!((ended.status, ended.results.as_str()), (0, "valid\n"), "{ended:?}");
    assert!(ended.log.contains("compiling ") && ended.log.contains("made.wasm"), "{ended:?}");
    assert_eq!(site.proxy.count("/v1/"), 0);
    assert!(site.token().is_none() && !site.file("token").exists());
    directory.add("made", b"no component");
    let ended = validate(&[("usher.hcl", &configuration.text())], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.results.contains("made.wasm"), "{ended:?}");
}

#[test]
fn two_sinks_that_would_write_the_same_are_invalid_as_they_are_for_the_agent() {
    const CLAIMS: &str = r#"export const plugin = {
  describe: () => ({ name: "copy", version: "1.0.0", summary: "", configSchema: "", attributes: [] }),
  prepare: (config) => [{ capability: "write", target: JSON.parse(config).to }],
};
export const sink = { check() {}, deliver() {}, withdraw() {} };
"#;
    let directory = PluginDirectory::new();
    directory.add_script("copy", CLAIMS);
    let text = |second: &str| {
        let sink = |to| format!("  sink \"copy\" {{ config {{ to = \"{to}\" }} }}\n");
        format!(
            "plugin_directory = \"{}\"\nplugin \"copy\" {{ allow {{ write = [\"/run/copies/*\"] }} }}\nauto_auth {{\n  method \"approle\" {{ config {{ role_id_file_path = \"/run/role-id\" }} }}\n{}{}}}\n",
            directory.path().display(),
            sink("/run/copies/a"),
            sink(second),
        )
    };
    let ended = validate(&[("usher.hcl", &text("/run/copies/b"))], &[]);
    assert_eq!((ended.status, ended.results.as_str()), (0, "valid\n"), "{ended:?}");
    let ended = validate(&[("usher.hcl", &text("/run/copies/a"))], &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    for words in ["default/sink/1", "default/sink/0", "give each a file of its own", "invalid\n"] {
        assert!(ended.results.contains(words), "{words}: {ended:?}");
    }
}

/// Logs in with a file, takes keys that begin with `x-`, and a block `tls`.
const ACME: &str = r#"const SCHEMA = JSON.stringify({
  type: "object",
  properties: { badge: {}, tls: { properties: { ca: {}, name: {} } } },
  patternProperties: { "^x-": {} },
  additionalProperties: false,
});
export const plugin = {
  describe: () => ({ name: "acme", version: "1.0.0", summary: "Logs in with a badge", configSchema: SCHEMA, attributes: [] }),
  prepare(config) {
    const { badge } = JSON.parse(config);
    if (badge === "") {
      throw { kind: "config", code: "acme.badge", message: "write the path of the badge", details: [["key", "config.badge"]] };
    }
    return [{ capability: "watch", target: badge ?? "/run/badge" }];
  },
};
export const authMethod = {
  authenticate: () => { throw { kind: "internal", code: "acme.called", message: "called", details: [] }; },
  authenticated() {},
};
"#;

/// A configuration whose method is the plug-in `name` of this directory.
fn with_plug_in(directory: &PluginDirectory, settings: &str, name: &str) -> String {
    format!(
        "plugin_directory = \"{}\"\nauto_auth {{\n  method \"{name}\" {{\n    config {{\n      {settings}\n    }}\n  }}\n  sink \"file\" {{ config {{ path = \"/run/usher/token\" }} }}\n}}\n",
        directory.path().display()
    )
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

#[test]
fn what_keeps_a_listener_from_being_opened_is_said_as_at_a_start() {
    let missing = "listener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_cert_file = \"/nowhere/c\"\n  tls_key_file = \"/nowhere/k\"\n}\n";
    let unknown = "listener \"unix\" {\n  address = \"/nowhere/s\"\n  socket_user = \"nobody-of-this-name\"\n}\n";
    let template =
        "listener \"tcp\" {\n  address = \"{{ GetIP }}:8200\"\n  tls_disable = true\n}\n";
    let vault = "vault {\n  address = \"http://127.0.0.1:9\"\n}\n";
    for (listener, told) in [
        (missing, "the certificate \"/nowhere/c\" can't be read"),
        (unknown, "there is no user named \"nobody-of-this-name\""),
        (template, "the template {{ GetIP }} isn't known"),
    ] {
        let text = format!("{vault}{listener}");
        let ended = validate(&[("usher.hcl", &text)], &[]);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.results.contains(told) && ended.results.contains("help: "), "{ended:?}");
        let started = Launch::agent(&text).run(LIMIT);
        assert_eq!(started.status, 2, "{started:?}");
        assert!(started.log.contains(told), "{started:?}");
    }
}
