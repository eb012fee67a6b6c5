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
  sink "file" { wrap_ttl = "x" config { path = ["/s"] mode = 640 } }
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
        "!type@9:19",
        "!duration@11:28",
        "!sink.file.mode@11:62",
        "!type@13:19",
        "!unknown-key@14:14",
        "!unsupported@15:1",
    ] {
        assert!(brief.iter().any(|found| found == expected), "{expected} in {brief:?}");
    }
    assert_eq!(brief.len(), 9, "{}", shown(&problems));
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
        (with_top("metrics_address = \"localhost\""), "!metrics_address@7:19"),
        (with_top("log_rotate_bytes = \"10mb\""), "!type@7:20"),
        (with_top("log_rotate_max_files = 1.5"), "!type@7:24"),
        (with_top("log_rotate_duration = \"1.5d\""), "!duration@7:23"),
        (with_top("disable_keep_alives = [\"foo\"]"), "!disable_keep_alives@7:24"),
        (with_top("disable_idle_connections = \"auto-auth\""), "!type@7:28"),
        (with_top("vault { address = \"127.0.0.1:8200\" }"), "!vault.address@7:19"),
        (with_top("vault { client_cert = \"/c\" }"), "!vault.client_cert@7:23"),
        (with_top("vault { retry { num_retries = \"many\" } }"), "!type@7:31"),
        (with_method("min_backoff = \"5m\""), "!method.backoff@3:19"),
        (with_method("min_backoff = 8 max_backoff = 8"), "!method.backoff@3:19"),
        (with_method("max_backoff = 1"), "!method.backoff@3:19"),
        (with_method("mount_path = \"/\""), "!method.mount_path@3:18"),
        (with_method("mount_path = \"auth/../sys\""), "!method.mount_path@3:18"),
        (with_method("namespace = \"a b\""), "!method.namespace@3:17"),
        (with_top("vault { namespace = \"t\u{fc}r\" }"), "!vault.namespace@7:21"),
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
    for key in ["template", "env_template", "exec"] {
        let text = with_top(&format!("{key} \"tcp\" {{ }}"));
        let problems = Case::new(&text).load().diagnostics;
        let problem = problems.iter().find(|problem| problem.code == "unsupported").unwrap();
        assert_eq!(problem.location.as_ref().map(crate::Location::line), Some(7));
        assert!(problem.message.contains(&format!("`{key}`")) && !problem.help.is_empty());
    }
}

#[test]
fn what_all_templates_share_says_nothing_without_one() {
    let alone = with_top("template_config { exit_on_retry_failure = true }");
    let case = Case::new(&alone);
    case.settings();
    assert_eq!(brief(&case.load().diagnostics), ["no-effect@7:1"]);
    let wrong = with_top("template_config { exit_on_retry_failure = 1 }");
    assert!(brief(&Case::new(&wrong).refused()).contains(&"!type@7:43".to_owned()));
    // In whichever file the template is.
    let template = "template { contents = \"x\" destination = \"/x\" }";
    for files in [
        [("a.hcl", alone.as_str()), ("b.hcl", template)],
        [("a.hcl", template), ("b.hcl", alone.as_str())],
    ] {
        assert_eq!(brief(&Case::files(&files).refused()), ["!unsupported@1:1"]);
    }
    // What needs something else to be of any use is refused, as the incumbents refuse it.
    for text in ["cache { }", "api_proxy { }"] {
        let found = brief(&Case::new(&with_top(text)).refused());
        assert!(found.contains(&"!blocks@7:1".to_owned()), "{found:?}");
    }
}

#[test]
fn a_password_in_an_address_is_never_shown() {
    for address in [
        "http://u:hunter2@bao:port",
        "u:hunter2@bao:8200",
        "ftp://u:hunter2@bao",
        "http://u:hunter2/x@bao",
        "http://u:hunter2#x@bao",
        "http://u:hunter2@bao/v1",
        "http://u:${hunter2}@bao",
    ] {
        let text = with_top(&format!("vault {{ address = \"{address}\" }}"));
        let problems = Case::new(&text).refused();
        assert!(!shown(&problems).contains("hunter2"), "{}", shown(&problems));
        let problems = Case::new(GOOD).env("BAO_ADDR", address).refused();
        assert!(!shown(&problems).contains("hunter2"), "{}", shown(&problems));
        let flag = Case::new(GOOD).flag("address", address);
        assert!(!shown(&flag.refused()).contains("hunter2"));
    }
    for variable in ["BAO_PROXY_ADDR", "VAULT_HTTP_PROXY", "HTTPS_PROXY"] {
        let case =
            Case::new(GOOD).env("BAO_ADDR", "https://bao").env(variable, "http://u:hunter2@");
        let problems = case.refused();
        assert!(!shown(&problems).contains("hunter2"), "{}", shown(&problems));
    }
    let settings = Case::new(GOOD).env("BAO_ADDR", "http://u:hunter2@bao").settings();
    assert_eq!(settings.server.address.to_string(), "http://bao");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn the_lock_lies_outside_of_the_plug_in_directory() {
    for (lock, refused) in
        [("/p/usher.lock", true), ("/p/../p/a/b", true), ("/p.lock", false), ("/etc/lock", false)]
    {
        let text = with_top(&format!("plugin_directory = \"/p\" plugin_lock = \"{lock}\""));
        let found = Case::new(&text).load().diagnostics;
        let expected: &[&str] = if refused { &["!plugin_lock@7:39"] } else { &[] };
        assert_eq!(brief(&found), expected, "{lock}\n{}", shown(&found));
    }
}

#[test]
fn what_makes_no_sense_together_is_refused_in_every_form() {
    for (sink, code) in [
        ("dh_type = \"curve25519\"", "!sink.dh_type"),
        ("dh_path = \"/k\"", "!sink.dh_type"),
        ("dh_type = \"rsa\" dh_path = \"/k\"", "!sink.dh_type"),
        ("aad = \"x\"", "!sink.dh_type"),
        ("derive_key = true", "!sink.dh_type"),
        ("derive_key = \"true\"", "!type"),
        ("aad_env_var = \"AAD\"", "!sink.dh_type"),
        ("on_exit = \"revoke\"", "!on_exit"),
        ("wrap_ttl = \"5 minutes\"", "!duration"),
    ] {
        for sink in [sink.to_owned(), format!("}} sinks {{ sink \"file\" {{ {sink} }}")] {
            let problems = Case::new(&with_sink(&sink)).env("AAD", "x").refused();
            let found = brief(&problems);
            assert_eq!(found.len(), 1, "{sink}: {}", shown(&problems));
            assert!(found[0].starts_with(&format!("{code}@5:")), "{sink}: {found:?}");
        }
    }
    let text = GOOD.replace("  method", "  on_exit = \"remove\"\n  method");
    assert_eq!(brief(&Case::new(&text).refused()), ["!on_exit@2:13"]);
    let wrapped = with_method("wrap_ttl = \"5m\"");
    Case::new(&wrapped).settings();
    let twice = wrapped.replace("mode = 0640 } }", "} wrap_ttl = 60 }");
    assert_eq!(brief(&Case::new(&twice).refused()), ["!method.wrap_ttl@3:5"]);
    let two = wrapped.replace("  sink", "  sink \"x\" { }\n  sink");
    assert_eq!(brief(&Case::new(&two).refused()), ["!method.wrap_ttl@3:5"]);
}

#[test]
fn identities_have_names_and_no_unknown_keys_and_share_no_path() {
    let identity = |name: &str, more: &str| {
        format!(
            r#"identity {name} {{ method "approle" {{ }} sink "file" {{ config {{ path = "/other" }} }} {more} }}"#
        )
    };
    for (text, problem) in [
        (identity("\"default\"", ""), "!identity.name@7:1"),
        (identity("", ""), "!identity.name@7:1"),
        (identity("\"a\" \"b\"", ""), "!identity.name@7:1"),
        (identity("\"a b\"", ""), "!identity.name@7:1"),
        (identity("\"a\"", "zzz = 1"), "!unknown-key@7:80"),
        (identity("\"a\"", "sink \"x\" { pth = 1 }"), "!unknown-key@7:91"),
        (identity("\"a\"", "method \"x\" { }"), "!identity.method@7:80"),
        ("identity \"a\" { method \"x\" { } }".to_owned(), "!identity.sink@7:1"),
        (identity("\"a\"", "") + "\n" + &identity("\"a\"", ""), "!duplicate-block@8:1"),
        (identity("\"a\"", "").replace("/other", "//s"), "!sink.file.path@7:67"),
    ] {
        let problems = Case::new(&with_top(&text)).refused();
        assert_eq!(
            brief(&problems).first().map(String::as_str),
            Some(problem),
            "{text}\n{}",
            shown(&problems)
        );
    }
}

#[test]
fn what_the_incumbents_ignore_is_named_and_loads() {
    for (text, problem) in [
        (with_top("zzz = 1"), "unknown-key@7:1"),
        (with_top("cluster_name = \"x\""), "no-effect@7:1"),
        (with_top("disable_mlock = true"), "no-effect@7:1"),
        (with_top("telemetry { }"), "telemetry@7:1"),
        (
            with_top("metrics_address = \"[::1]:9\" telemetry { statsd_address = \"x\" }"),
            "no-effect@7:41",
        ),
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
fn the_help_for_an_unknown_key_leads_to_the_nearest_place_that_knows_it() {
    for (text, problem, help) in [
        (
            with_sink("path = \"/s\""),
            "unknown-key@5:42",
            "`path` is a setting of the sink itself; write it into the sink's block: config { path = … }",
        ),
        (
            with_method("role_id_file_path = \"/r\""),
            "unknown-key@3:5",
            "`role_id_file_path` is a setting of the method itself; write it into the method's block: config { role_id_file_path = … }",
        ),
        (
            with_method("secret_id_path = \"/r\""),
            "unknown-key@3:5",
            "did you mean `secret_id_file_path`? It goes into the block config { … }",
        ),
        (
            with_method("role = \"app\""),
            "unknown-key@3:5",
            "settings of the method itself go into its block: config { … }",
        ),
        (
            with_method("token_check_interval = \"5m\""),
            "unknown-key@3:5",
            "`token_check_interval` belongs in auto_auth",
        ),
        (
            with_sink("mount_path = \"auth/x\""),
            "unknown-key@5:42",
            "`mount_path` belongs in method",
        ),
        (with_top("role = \"app\""), "unknown-key@7:1", ""),
        (
            with_top("ADDRESS = \"https://bao\""),
            "unknown-key@7:1",
            "`address` belongs in vault or listener",
        ),
        (
            with_method("wrap_ttl = 30 s"),
            "unknown-key@3:19",
            "a number with a unit is a string: put both in double quotes",
        ),
        (
            with_method("wrap_ttl = 30s"),
            "unknown-key@3:18",
            "a number with a unit is a string: put both in double quotes",
        ),
        (
            with_method("wrap_ttl = 0o60"),
            "unknown-key@3:17",
            "write 060: a leading 0 alone makes a number octal",
        ),
    ] {
        let found = Case::new(&text).load().diagnostics;
        assert_eq!(brief(&found).first().map(String::as_str), Some(problem), "{text}");
        assert_eq!(found[0].help, help, "{text}");
    }
    // Of a type that isn't built in nothing is known.
    let acme = GOOD
        .replace("\"approle\"", "\"acme\"")
        .replace("    config {", "    role_id = 1\n    config {");
    let found = Case::new(&acme).load().diagnostics;
    assert_eq!(found[0].help, "settings of the method itself go into its block: config { … }");
    let json = r#"{"auto_auth":{"method":[{"type":"jwt","role":"a"}],"sink":[{"type":"file","path":"/s"}]}}"#;
    let found = Case::files(&[("a.json", json)]).load().diagnostics;
    let helps: Vec<bool> = found.iter().map(|p| p.help.contains("config { ")).collect();
    assert_eq!(helps, [true, true], "{}", shown(&found));
}

#[test]
fn a_misspelt_type_is_noticed_as_such() {
    let text = "auto_auth { method { typ = \"approle\" } sink { tpye = \"file\" } }";
    let found = Case::new(text).refused();
    let help = "did you mean `type`?";
    assert_eq!(found.iter().filter(|problem| problem.help == help).count(), 2, "{}", shown(&found));
}

#[test]
fn the_help_for_a_value_says_what_was_meant() {
    for (text, problem, help) in [
        (
            with_top("exit_after_auth = \"yes\""),
            "!type@7:19",
            "write exit_after_auth = true, without quotes",
        ),
        (
            with_top("exit_after_auth = 0"),
            "!type@7:19",
            "write exit_after_auth = false, without quotes",
        ),
        (
            with_top("vault { tls_skip_verify = \"on\" }"),
            "!type@7:27",
            "write tls_skip_verify = true",
        ),
        (with_method("min_backoff = \"5 s\""), "!duration@3:19", "write min_backoff = \"5s\""),
        (with_method("wrap_ttl = \"5 minutes\""), "!duration@3:16", "write wrap_ttl = \"5m\""),
        (with_method("wrap_ttl = \"1d12h\""), "!duration@3:16", "write wrap_ttl = \"36h\""),
        (
            with_method("wrap_ttl = \"soon\""),
            "!duration@3:16",
            "write seconds (300), or a string: \"300ms\", \"1h30m\", \"2d\"",
        ),
        (
            with_top("plugin \"a\" { limits { memory = \"64Mi\" } }"),
            "!size@7:32",
            "write memory = \"64MiB\"",
        ),
        (GOOD.replace("0640", "0o640"), "!syntax@5:47", "write 0640"),
        (GOOD.replace("0640", "600"), "!sink.file.mode@5:47", "write 0600"),
        (
            with_method("wrap_ttl = 30s\n mount_path = \"auth/x\""),
            "!syntax@3:18",
            "put the whole in double quotes: \"30s\"",
        ),
        (
            with_method("wrap_ttl = 30 s\n mount_path = \"auth/x\""),
            "!syntax@3:19",
            "put the whole in double quotes: \"30s\"",
        ),
    ] {
        let found = Case::new(&text).refused();
        assert_eq!(brief(&found).first().map(String::as_str), Some(problem), "{text}");
        assert_eq!(found[0].help, help, "{text}");
    }
    for (setting, help) in [
        ("wait = \"5 s\"", ""),
        ("perms = \"0o640\"", "write perms = \"0640\""),
        ("command_timeout = \"30\"", "write command_timeout = \"30s\""),
        ("command_timeout = \"1 min\"", "write command_timeout = \"1m\""),
        ("exec { kill_signal = \"TERM\" }", "write kill_signal = \"SIGTERM\""),
        ("exec { kill_signal = \"SIGSTOPP\" }", ""),
    ] {
        let text =
            with_top(&format!("template {{ contents = \"x\" destination = \"/x\" {setting} }}"));
        let found = Case::new(&text).refused();
        let problem = found.iter().find(|problem| problem.code == "type");
        assert_eq!(problem.map(|problem| problem.help.as_str()), Some(help), "{}", shown(&found));
    }
}

#[test]
fn what_was_pasted_and_can_not_be_seen_is_named() {
    for (text, problem, said) in [
        (
            GOOD.replace("path = \"/s\"", "path\u{a0}= \"/s\""),
            "!syntax@5:32",
            "no-break space (U+00A0)",
        ),
        (format!("\u{feff}{GOOD}"), "!syntax@1:1", "byte order mark"),
        (GOOD.replace("\"/s\"", "“/s”"), "!syntax@5:35", "straight double quotes"),
        (GOOD.replace("\"/s\"", "\"/s”"), "!syntax@5:35", "straight double quote"),
        (with_top("log–level = \"info\""), "!syntax@7:4", "plain hyphen"),
        (with_top("vault { … }"), "!syntax@7:9", "left out"),
    ] {
        let found = Case::new(&text).refused();
        assert_eq!(brief(&found), [problem], "{text}");
        assert!(found[0].to_string().contains(said), "{}", shown(&found));
    }
    for (text, problem, said) in [
        (
            GOOD.replace("\"/s\"", "\"/s\u{200b}\""),
            "invisible-character@5:35",
            "zero-width space (U+200B)",
        ),
        (
            GOOD.replace("\"/r\"", "\"/r\u{a0}\""),
            "invisible-character@3:34",
            "no-break space (U+00A0)",
        ),
        (
            GOOD.replace("\"approle\"", "\"app\u{ad}role\""),
            "invisible-character@2:10",
            "soft hyphen (U+00AD)",
        ),
    ] {
        let case = Case::new(&text);
        case.settings();
        let found = case.load().diagnostics;
        assert_eq!(brief(&found), [problem], "{text}");
        let shown = found[0].to_string();
        assert!(
            shown.contains(said) && !shown.contains("/s") && !shown.contains("/r\u{a0}"),
            "{shown}"
        );
    }
    // Written as an escape it is meant, and a text of several lines is for people.
    for text in [
        GOOD.replace("\"/s\"", "\"/s\\u00a0\""),
        with_sink("dh_type = \"curve25519\" dh_path = \"/k\" aad = <<E\na\u{a0}b\nE\n"),
        GOOD.replace("method", "# a\u{a0}comment\n  method"),
        GOOD.replace("    config", "\t\tconfig"),
    ] {
        assert_eq!(brief(&Case::new(&text).load().diagnostics), [""; 0], "{text}");
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
fn the_old_name_of_a_method_is_warned_of() {
    for (method, warned) in [("cf", false), ("pcf", true), ("PCF", true)] {
        let text = format!(
            "vault {{ }}\nauto_auth {{ method \"{method}\" {{ }} sink \"file\" {{ config {{ path = \"/s\" }} }} }}"
        );
        let warnings = Case::new(&text).load().diagnostics;
        assert_eq!(brief(&warnings).contains(&"method.pcf@2:13".to_owned()), warned, "{method}");
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
