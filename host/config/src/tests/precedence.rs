//! Flags, environment, several files: which one counts.

use std::fs;
use std::time::Duration;

use super::*;
use crate::{LogLevel, RateLimit, connection};

#[test]
fn flags_go_before_environment_before_files_before_defaults() {
    let text =
        with_top("vault { address = \"http://file\" ca_cert = \"file\" } log_level = \"warn\"")
            .replace("config { role", "namespace = \"file\" config { role");
    let address = |case: Case| case.settings().server.address.to_string();
    assert_eq!(address(Case::new(&text)), "http://file");
    assert_eq!(address(Case::new(&text).env("VAULT_ADDR", "http://vault")), "http://vault");
    let both = || Case::new(&text).env("VAULT_ADDR", "http://vault").env("BAO_ADDR", "http://bao");
    assert_eq!(address(both()), "http://bao");
    assert_eq!(address(both().flag("address", "http://flag")), "http://flag");
    // Present but empty: wins over VAULT_ADDR, blanks the file, and leaves the default.
    assert_eq!(address(both().env("BAO_ADDR", "")), "https://127.0.0.1:8200");
    assert_eq!(Case::new(&text).settings().server.ca_cert.as_deref(), Some("file"));
    assert_eq!(Case::new(&text).env("BAO_CACERT", "").settings().server.ca_cert, None);

    let namespace = |case: Case| case.settings().identities.remove(0).method.namespace.to_string();
    assert_eq!(namespace(Case::new(&text)), "file/");
    assert_eq!(namespace(Case::new(&text).env("VAULT_NAMESPACE", "/env/")), "env/");
    assert_eq!(namespace(Case::new(&text).env("VAULT_NAMESPACE", "")), "file/");
    let level = |case: Case| case.settings().log.level;
    assert_eq!(level(Case::new(&text)), LogLevel::Warn);
    assert_eq!(level(Case::new(&text).env("BAO_LOG_LEVEL", "trace")), LogLevel::Trace);
    let exit = || Case::new(&with_top("exit_after_auth = true"));
    assert!(exit().settings().exit_after_auth);
    assert!(!exit().flag("exit-after-auth", "false").settings().exit_after_auth);
}

#[test]
fn a_methods_namespace_goes_before_that_of_vault_and_behind_flag_and_environment() {
    let namespaces = |case: Case| {
        let identities = case.settings().identities;
        identities
            .into_iter()
            .map(|identity| identity.method.namespace.to_string())
            .collect::<Vec<_>>()
    };
    let web = |own: &str| {
        format!(
            "identity \"web\" {{ method \"approle\" {{ {own} }} sink \"file\" {{ config {{ path = \"/w\" }} }} }}"
        )
    };
    let text = |vault: &str, own: &str, web_own: &str| {
        with_method(own) + &format!("vault {{ {vault} }}\n{}", web(web_own))
    };
    let vault = "namespace = \"vault\"";
    for (own, expected) in [
        ("namespace = \"own\"", "own/"),
        ("namespace = \"/own/\"", "own/"),
        // The root by its name is a namespace too; none at all is not.
        ("namespace = \"root\"", ""),
        ("namespace = \"\"", "vault/"),
        ("", "vault/"),
    ] {
        let case = || Case::new(&text(vault, own, ""));
        assert_eq!(namespaces(case()), [expected, "vault/"], "{own}");
        assert_eq!(namespaces(case().env("BAO_NAMESPACE", "env")), ["env/", "env/"], "{own}");
        let flag = case().env("BAO_NAMESPACE", "env").flag("namespace", "flag");
        assert_eq!(namespaces(flag), ["flag/", "flag/"], "{own}");
    }
    let case = || Case::new(&text(vault, "", "namespace = \"web\""));
    assert_eq!(namespaces(case()), ["vault/", "web/"]);
    // A variable that is set but empty blanks the block's.
    assert_eq!(namespaces(case().env("VAULT_NAMESPACE", "")), ["", "web/"]);
    assert_eq!(namespaces(Case::new(&text("", "", "namespace = \"web\""))), ["", "web/"]);
    // In whichever file the block is.
    let files = [("a.hcl", "vault { namespace = \"vault\" }"), ("b.hcl", GOOD)];
    assert_eq!(namespaces(Case::files(&files)), ["vault/"]);
}

#[test]
fn verification_is_off_only_if_something_says_so_and_then_it_is_said() {
    let text = |value: &str| with_top(&format!("vault {{ tls_skip_verify = {value} }}"));
    for (case, skip) in [
        (Case::new(GOOD), false),
        (Case::new(&text("true")), true),
        (Case::new(&text("\"t\"")), true),
        (Case::new(&text("2")), true),
        (Case::new(&text("\"\"")), false),
        (Case::new(&text("true")).env("BAO_SKIP_VERIFY", "false"), false),
        (Case::new(&text("true")).env("BAO_SKIP_VERIFY", ""), false),
        (Case::new(GOOD).env("BAO_SKIP_VERIFY", "false").env("VAULT_SKIP_VERIFY", "true"), false),
        (Case::new(GOOD).env("VAULT_SKIP_VERIFY", "1"), true),
        (Case::new(GOOD).flag("tls-skip-verify", "true"), true),
        (Case::new(&text("true")).flag("tls-skip-verify", "false"), false),
    ] {
        assert_eq!(case.settings().server.tls_skip_verify, skip);
        let warned = case.load().diagnostics.iter().any(|p| p.code == "tls-skip-verify");
        assert_eq!(warned, skip);
    }
    assert_eq!(brief(&Case::new(GOOD).env("BAO_SKIP_VERIFY", "no").refused()), ["!environment"]);
}

#[test]
fn the_rest_of_the_environment_counts_too() {
    let server = Case::new(GOOD)
        .env("BAO_CLIENT_TIMEOUT", "90s")
        .env("BAO_MAX_RETRIES", "3")
        .env("VAULT_CACERT_BYTES", "PEM")
        .env("BAO_AGENT_DISABLE_KEEP_ALIVES", "Caching, AUTO-AUTH")
        .env("BAO_CLIENT_CERT_BYTES", "CERTIFICATE")
        .env("BAO_CLIENT_KEY_BYTES", "KEY")
        .env("VAULT_RATE_LIMIT", "2.5:7")
        .env("VAULT_SRV_LOOKUP", "1")
        .env("BAO_DISABLE_REDIRECTS", "true")
        .env("BAO_HTTP_PROXY", "http://one:3128")
        .env("VAULT_PROXY_ADDR", "two:3128")
        .settings()
        .server;
    assert_eq!(server.client_timeout, Some(Duration::from_secs(90)));
    assert_eq!(server.num_retries, Some(3));
    assert_eq!(server.ca_cert_bytes.as_deref(), Some("PEM"));
    assert!(server.disable_keep_alives && !server.disable_idle_connections);
    let pem = server.client_pem.as_ref().unwrap();
    assert_eq!((pem.certificate.as_str(), pem.key.expose().as_str()), ("CERTIFICATE", "KEY"));
    assert_eq!(server.rate_limit, Some(RateLimit { per_second: 2.5, burst: 7 }));
    assert!(server.srv_lookup && server.disable_redirects);
    assert_eq!(server.proxy.as_ref().unwrap().to_string(), "http://two:3128");
    let other = Case::new(GOOD).env("BAO_RATE_LIMIT", "0.5").settings().server;
    assert_eq!(other.rate_limit, Some(RateLimit { per_second: 0.5, burst: 1 }));
    assert!(!server.same_settings(&other) && other.same_settings(&other.clone()));
    let flag =
        Case::new(GOOD).env("BAO_DISABLE_REDIRECTS", "true").flag("disable-redirects", "false");
    assert!(!flag.settings().server.disable_redirects);
    for (name, value) in [
        ("BAO_CLIENT_TIMEOUT", "soon"),
        ("BAO_MAX_RETRIES", "many"),
        ("BAO_AGENT_DISABLE_KEEP_ALIVES", "all"),
        ("BAO_LOG_LEVEL", "loud"),
        ("VAULT_ADDR", "bao:8200"),
        ("VAULT_CLIENT_CERT", "/c"),
        ("BAO_CLIENT_KEY_BYTES", "PEM"),
        ("BAO_RATE_LIMIT", "fast"),
        ("BAO_RATE_LIMIT", "0"),
        ("BAO_RATE_LIMIT", "5:x"),
        ("VAULT_SRV_LOOKUP", "maybe"),
        ("BAO_DISABLE_REDIRECTS", "no"),
        ("BAO_PROXY_ADDR", "http://"),
    ] {
        let problems = Case::new(GOOD).env(name, value).refused();
        assert_eq!(problems.len(), 1, "{}", shown(&problems));
        assert!(problems[0].message.contains(name), "{}", shown(&problems));
    }
}

#[test]
fn the_admin_socket_is_in_the_run_time_directory_unless_said_otherwise() {
    let socket = |text: &str, directory: &str| {
        Case::new(&with_top(text)).env("RUNTIME_DIRECTORY", directory).settings().admin_socket
    };
    assert_eq!(Case::new(GOOD).settings().admin_socket, None);
    assert_eq!(socket("", "/run/usher"), Some("/run/usher/usher.sock".into()));
    assert_eq!(socket("", "/run/a:/run/b"), Some("/run/a/usher.sock".into()));
    assert_eq!(socket("", ""), None);
    assert_eq!(socket("admin_socket = \"\"", "/run/usher"), None);
    assert_eq!(socket("admin_socket = \"/s\"", "/run/usher"), Some("/s".into()));
}

#[test]
fn flags_of_the_log_file_go_before_the_file() {
    let text = with_top("log_file = \"/a\" log_rotate_bytes = 5 log_rotate_max_files = -1");
    let case = || Case::new(&text);
    let file = case().settings().log.file.unwrap();
    assert_eq!((file.path, file.rotate_bytes), ("/a".into(), Some(5)));
    assert_eq!((file.rotate_max_files, file.rotate_duration), (-1, Duration::from_hours(24)));
    let other = case()
        .flag("log-file", "/b")
        .flag("log-rotate-bytes", "0")
        .flag("log-rotate-duration", "1h")
        .flag("log-rotate-max-files", "2");
    let file = other.settings().log.file.unwrap();
    assert_eq!((file.path, file.rotate_bytes), ("/b".into(), None));
    assert_eq!((file.rotate_max_files, file.rotate_duration), (2, Duration::from_hours(1)));
    assert_eq!(case().flag("log-file", "").settings().log.file, None);
    let wrong = case().flag("log-rotate-bytes", "10mb");
    assert_eq!(brief(&wrong.refused()), ["!log_rotate"]);
}

#[test]
fn a_directory_is_read_by_name_and_only_what_belongs() {
    let case = Case::files(&[
        ("20.hcl", "pid_file = \"late\""),
        ("10.json", r#"{"pid_file": "early", "exit_after_auth": true}"#),
        ("30.hcl", GOOD),
        ("40.hcl~", "{{"),
        (".#50.hcl", "{{"),
        ("#60.hcl#", "{{"),
        ("README", "{{"),
    ]);
    fs::create_dir(case.directory.path().join("70.hcl")).unwrap();
    let directory = Case { paths: vec![case.directory.path().to_owned()], ..case };
    let settings = directory.settings();
    assert_eq!(settings.pid_file, Some("late".into()));
    assert!(settings.exit_after_auth);
    let named = Case { paths: Vec::new(), ..directory };
    let list = format!("{},", named.directory.path().display());
    assert_eq!(
        named.env("VAULT_AGENT_CONFIG_PATH", &list).settings().pid_file,
        Some("late".into())
    );
}

#[test]
fn of_several_files_the_later_replaces_blocks_and_switches_stay_on() {
    let case = Case::files(&[
        (
            "a.hcl",
            &with_top(
                "vault { address = \"http://a\" ca_cert = \"/a\" } exit_after_auth = true pid_file = \"/a\" plugin \"a\" { }",
            ),
        ),
        (
            "b.hcl",
            &format!(
                "vault {{ address = \"http://b\" }} exit_after_auth = false pid_file = \"\" plugin \"b\" {{ }}\n{}",
                GOOD.replace("\"/s\"", "\"/t\"")
            ),
        ),
    ]);
    let settings = case.settings();
    assert_eq!(settings.server.address.to_string(), "http://b");
    assert_eq!(settings.server.ca_cert, None);
    assert!(settings.exit_after_auth);
    assert_eq!(settings.pid_file, Some("/a".into()));
    assert_eq!(settings.plugins.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(settings.identities.len(), 1);
    assert_eq!(settings.identities[0].sinks[0].config.to_map()["path"], "/t");
    assert_eq!(brief(&case.load().diagnostics), ["replaced-block@1:1", "replaced-block@2:1"]);
}

#[test]
fn a_command_without_files_finds_the_server_by_flags_and_environment() {
    let settle = |overrides: &Overrides, variables: &[(&str, &str)]| {
        let look = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        connection(overrides, &look)
    };
    let (found, problems) = settle(&Overrides::default(), &[]);
    let found = found.expect("a connection");
    assert_eq!(
        (found.server.address.to_string().as_str(), found.namespace.as_str()),
        ("https://127.0.0.1:8200", "")
    );
    assert!(problems.is_empty());

    let variables = [
        ("VAULT_ADDR", "http://vault"),
        ("BAO_ADDR", "http://bao/"),
        ("VAULT_NAMESPACE", "/team"),
        ("BAO_SKIP_VERIFY", "true"),
    ];
    let (found, problems) = settle(&Overrides::default(), &variables);
    let found = found.expect("a connection");
    assert_eq!(
        (found.server.address.to_string().as_str(), found.namespace.as_str()),
        ("http://bao", "team/")
    );
    assert!(found.server.tls_skip_verify);
    assert_eq!(problems.len(), 1, "verification is off, and it is said: {problems:?}");

    let mut flags = Overrides::default();
    give(&mut flags, "address", "flag:8200");
    let (found, problems) = settle(&flags, &variables);
    assert!(found.is_none());
    assert!(
        problems.iter().any(|problem| problem.to_string().contains("--address")),
        "{problems:?}"
    );
}
