//! What is refused or warned of, and where.

use std::fs;

use super::*;

#[test]
fn all_problems_come_at_once_each_with_its_place() {
    let problems = Case::new(
        r#"vault {
  addres = "http://x"
  tls_skip_verify = "maybe"
}
auto_auth {
  method "approle" {
    min_backoff = "soon"
    wrap_ttl = "5m"
    exit_on_err = "true"
  }
  sink "file" { wrap_ttl = 300 config { path = ["/s"] mode = 640 } }
}
exit_after_auth = 1
plugin "x" { alow { } }
template { }
"#,
    )
    .refused();
    let brief = brief(&problems);
    for expected in [
        "unknown-key@2:3",
        "!type@3:21",
        "!duration@7:19",
        "!unsupported@8:5",
        "!type@9:19",
        "!unsupported@11:17",
        "!sink.file.mode@11:62",
        "!type@13:19",
        "!unknown-key@14:14",
        "!unsupported@15:1",
    ] {
        assert!(brief.iter().any(|found| found == expected), "{expected} in {brief:?}");
    }
    assert_eq!(brief.len(), 10, "{}", shown(&problems));
    let typing_error = problems.iter().find(|p| p.code == "unknown-key").unwrap();
    assert_eq!(typing_error.help, "did you mean `address`?");
}

#[test]
fn what_cannot_work_is_refused_with_one_message() {
    for (text, problem) in [
        ("auto_auth {".to_owned(), "!syntax@1:11"),
        (String::new(), "!auto_auth"),
        ("vault { }".to_owned(), "!auto_auth"),
        ("auto_auth { method \"approle\" { } }".to_owned(), "!auto_auth.sink@1:1"),
        ("auto_auth { method \"approle\" { } sinks { } }".to_owned(), "!auto_auth.sink@1:1"),
        ("auto_auth { sink \"file\" { } }".to_owned(), "!auto_auth.method@1:1"),
        (
            "auto_auth { method \"a\" { } method \"b\" { } sink \"f\" { } }".to_owned(),
            "!auto_auth.method@1:28",
        ),
        ("auto_auth { method { } sink \"f\" { } }".to_owned(), "!method.type@1:13"),
        ("auto_auth { method \"a\" \"b\" { } sink \"f\" { } }".to_owned(), "!method.type@1:13"),
        ("auto_auth { method \"a\" { } sink { } }".to_owned(), "!sink.type@1:28"),
        ("auto_auth = 5".to_owned(), "!type@1:13"),
        (with_top(GOOD), "!duplicate-block@7:1"),
        (with_top("vault { } vault { }"), "!duplicate-block@7:11"),
        (with_top("plugin \"a\" { } plugin \"a\" { }"), "!duplicate-block@7:16"),
        (with_top("plugin { sha256 = \"\" }"), "!plugin.name@7:1"),
        (with_top("plugin \"a\" { sha256 = \"12\" }"), "!plugin.sha256@7:23"),
        (with_top("plugin \"a\" { allow { server = [\"all\"] } }"), "!plugin.allow.server@7:32"),
        (with_top("plugin \"a\" { allow { read = \"/x\" } }"), "!type@7:29"),
        (with_top("plugin \"a\" { limits { memory = \"lots\" } }"), "!size@7:32"),
        (with_top("plugin \"a\" { limits { timeout = 0 } }"), "!plugin.limits.timeout@7:33"),
        (with_top("plugin \"a\" { override = \"yes\" }"), "!type@7:25"),
        (with_top("plugin \"a\" { limits { memory = \"1GiB\" } }"), "!plugin.limits.memory@7:14"),
        (with_top("log_level = \"loud\""), "!log_level@7:13"),
        (with_top("log_format = \"xml\""), "!log_format@7:14"),
        (with_top("disable_keep_alives = [\"foo\"]"), "!disable_keep_alives@7:24"),
        (with_top("disable_idle_connections = \"auto-auth\""), "!type@7:28"),
        (with_top("vault { address = \"127.0.0.1:8200\" }"), "!vault.address@7:19"),
        (with_top("vault { client_cert = \"/c\" }"), "!vault.client_cert@7:23"),
        (with_top("vault { retry { num_retries = \"many\" } }"), "!type@7:31"),
        (with_method("min_backoff = \"5m\""), "!method.backoff@3:19"),
        (with_method("min_backoff = 8 max_backoff = 8"), "!method.backoff@3:19"),
        (with_method("max_backoff = 1"), "!method.backoff@3:19"),
        (with_method("mount_path = \"/\""), "!method.mount_path@3:18"),
        (with_method("mount_path = true"), "!type@3:18"),
        (with_method("namespace = [\"a\"]"), "!type@3:17"),
        (with_sink("} sink \"file\" { config { path = \"//s/.\" } "), "!sink.file.path@5:74"),
    ] {
        let problems = Case::new(&text).refused();
        assert_eq!(brief(&problems), [problem], "{text}\n{}", shown(&problems));
        assert!(!problems[0].message.is_empty());
    }
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    for key in [
        "api_proxy",
        "listener",
        "cache",
        "template",
        "template_config",
        "env_template",
        "exec",
        "telemetry",
        "identity",
        "plugin_lock",
        "admin_socket",
        "metrics_address",
        "log_file",
        "log_rotate_bytes",
        "log_rotate_duration",
        "log_rotate_max_files",
    ] {
        let problems = Case::new(&with_top(&format!("{key} \"x\" {{ }}"))).refused();
        assert_eq!(brief(&problems), ["!unsupported@7:1"], "{}", shown(&problems));
        assert!(problems[0].message.contains(&format!("`{key}`")) && !problems[0].help.is_empty());
    }
    for key in ["wrap_ttl", "dh_type", "dh_path", "derive_key", "aad", "aad_env_var", "on_exit"] {
        for sink in [format!("{key} = 1"), format!("}} sinks {{ sink \"file\" {{ {key} = 1 }}")] {
            let problems = Case::new(&with_sink(&sink)).refused();
            assert_eq!(problems.len(), 1, "{}", shown(&problems));
            assert_eq!(problems[0].code, "unsupported");
            assert!(problems[0].message.contains(&format!("`{key}`")));
        }
    }
    let problems = Case::new(&with_method("wrap_ttl = \"5m\"")).refused();
    assert_eq!(brief(&problems), ["!unsupported@3:5"]);
    let text = GOOD.replace("  method", "  on_exit = \"remove\"\n  method");
    assert_eq!(brief(&Case::new(&text).refused()), ["!on_exit@2:13"]);
    let flag = Case::new(GOOD).flags(|flags| flags.log_file = Some("/x".into()));
    assert_eq!(brief(&flag.refused()), ["!unsupported"]);
}

#[test]
fn what_the_incumbents_ignore_is_named_and_loads() {
    for (text, problem) in [
        (with_top("zzz = 1"), "unknown-key@7:1"),
        (with_top("cluster_name = \"x\""), "no-effect@7:1"),
        (with_top("disable_mlock = true"), "no-effect@7:1"),
        (with_method("role_id_file_path = \"/r\""), "unknown-key@3:5"),
        (with_sink("path = \"/s\""), "unknown-key@5:42"),
        (GOOD.replace("auto_auth {", "auto_auth \"x\" {"), "label@1:11"),
    ] {
        let case = Case::new(&text);
        case.settings();
        assert_eq!(brief(&case.load().diagnostics), [problem], "{text}");
    }
}

#[test]
fn a_mode_that_was_meant_octal_is_noticed() {
    for (file, written, problems, help) in [
        ("a.hcl", "0640", vec![], ""),
        ("a.hcl", "416", vec![], ""),
        ("a.hcl", "\"0640\"", vec![], ""),
        ("a.hcl", "0", vec![], ""),
        ("a.hcl", "0777", vec![], ""),
        ("a.hcl", "640", vec!["!sink.file.mode"], "write 0640"),
        ("a.hcl", "01777", vec!["!sink.file.mode"], "write mode = 0640"),
        ("a.hcl", "999", vec!["!sink.file.mode"], "write mode = 0640"),
        ("a.hcl", "400", vec!["sink.file.mode"], "write 0400"),
        ("a.hcl", "440", vec!["sink.file.mode"], "write 0440"),
        ("a.json", "416", vec![], ""),
        ("a.json", "640", vec!["!sink.file.mode"], "write 416, or the string \"0640\""),
        ("a.json", "400", vec!["sink.file.mode"], "write 256, or the string \"0400\""),
    ] {
        let text = if file == "a.json" {
            format!(
                r#"{{"auto_auth":{{"method":[{{"type":"a"}}],"sink":[{{"type":"file","config":{{"path":"/s","mode":{written}}}}}]}}}}"#
            )
        } else {
            GOOD.replace("0640", written)
        };
        let found = Case::files(&[(file, &text)]).load().diagnostics;
        let codes: Vec<String> = brief(&found)
            .iter()
            .map(|b| b.split('@').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(codes, problems, "{file} {written}");
        assert_eq!(found.first().map_or("", |problem| &problem.help), help, "{file} {written}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let missing = Case { paths: vec!["/does/not/exist.hcl".into()], ..Case::new(GOOD) };
    let problems = missing.refused();
    assert_eq!(brief(&problems), ["!config.read"]);
    assert!(problems[0].message.contains("/does/not/exist.hcl"));
    let nothing = Case { paths: Vec::new(), ..Case::new(GOOD) };
    assert_eq!(brief(&nothing.refused()), ["!config.missing"]);
    let binary = Case::new(GOOD);
    fs::write(&binary.paths[0], b"a = \"\xff\"").unwrap();
    assert_eq!(brief(&binary.refused()), ["!config.read"]);
    let two = Case::files(&[("a.hcl", "a = ;"), ("b.hcl", "b = ;"), ("c.hcl", GOOD)]);
    assert_eq!(brief(&two.refused()), ["!syntax@1:5", "!syntax@1:5"]);
}
