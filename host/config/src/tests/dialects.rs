//! What differs between `usher agent` and `usher proxy`: names, and what only one of them does.

use super::*;

const LISTENER: &str = "listener \"unix\" { address = \"/l\" }\n";

fn with_api(inner: &str) -> Case {
    Case::new(&format!("listener \"unix\" {{ address = \"/l\" {inner} }}"))
}

#[test]
fn each_dialect_is_asked_under_its_own_name_and_says_that_the_other_has_no_effect() {
    for (inner, agent, proxy) in [
        ("", (false, &[][..]), (false, &[][..])),
        ("agent_api { enable_quit = true }", (true, &[]), (false, &["no-effect@1:34"])),
        ("proxy_api { enable_quit = true }", (false, &["no-effect@1:34"]), (true, &[])),
        (
            "agent_api { enable_quit = true } PROXY_API { enable_quit = false }",
            (true, &["no-effect@1:67"]),
            (false, &["no-effect@1:34"]),
        ),
    ] {
        for (case, (may_quit, problems)) in
            [(with_api(inner), agent), (with_api(inner).proxy(), proxy)]
        {
            let settings = case.settings();
            assert_eq!(settings.listeners[0].enable_quit, may_quit, "{inner}");
            assert_eq!(settings.dialect, case.overrides.dialect);
            assert_eq!(brief(&case.load().diagnostics), problems, "{inner}");
        }
    }
    let warning = with_api("proxy_api { }").load().diagnostics.remove(0);
    assert_eq!(warning.message, "`proxy_api` has no effect for `usher agent`");
    assert_eq!(warning.help, "it is for `usher proxy`; write agent_api");
    // The incumbents judge both in either.
    for api in ["agent_api", "proxy_api"] {
        let quoted = || with_api(&format!("{api} {{ enable_quit = \"true\" }}"));
        for case in [quoted(), quoted().proxy()] {
            assert!(brief(&case.refused()).contains(&"!type@1:60".to_owned()), "{api}");
        }
    }
}

#[test]
fn a_proxy_warns_of_templates_and_processes_and_passes_them_over() {
    for text in [
        "template { contents = \"x\" destination = \"/x\" }",
        "template { colour = 1 }",
        "template = 4",
        "template_config { exit_on_retry_failure = true }",
        "env_template \"A\" { contents = \"x\" }",
        "exec { command = [\"true\"] }",
        "EXEC = 5",
    ] {
        let case = Case::new(&with_top(text)).proxy();
        case.settings();
        assert_eq!(brief(&case.load().diagnostics), ["no-effect@7:1"], "{text}");
    }
    let json = r#"{"listener": {"unix": {"address": "/l"}}, "template": [{"contents": "x"}]}"#;
    let case = Case::files(&[("proxy.json", json)]).proxy();
    assert_eq!(case.settings().listeners.len(), 1);
    let problems = case.load().diagnostics;
    assert_eq!(brief(&problems), ["no-effect@1:43"]);
    assert_eq!(problems[0].message, "`template` has no effect for `usher proxy`");
    assert_eq!(problems[0].help, "it is for `usher agent`; take it out");
    // They give nobody a token, and don't start anything.
    let login = "auto_auth { method \"approle\" { } }\n";
    let template = "template { contents = \"x\" destination = \"/x\" }";
    for (text, problem) in [
        (format!("{login}{LISTENER}{template}"), "!auto_auth.sink@1:1"),
        (template.to_owned(), "!auto_auth"),
    ] {
        let problems = brief(&Case::new(&text).proxy().refused());
        assert!(problems.contains(&problem.to_owned()), "{problems:?}");
    }
    assert!(brief(&Case::new(&with_top(template)).refused()).contains(&"!unsupported@7:1".into()));
}

#[test]
fn a_cache_says_nothing_of_tokens_to_a_proxy() {
    let login = "auto_auth { method \"approle\" { } }\n";
    let cache = "cache { use_auto_auth_token = true }\n";
    let problems = |text: &str, proxy: bool| {
        let case = Case::new(text);
        let case = if proxy { case.proxy() } else { case };
        let errors = case.load().diagnostics.into_iter().filter(Diagnostic::is_error);
        errors.map(|error| error.code).filter(|code| code != "unsupported").collect::<Vec<_>>()
    };
    let alone = format!("{login}{LISTENER}{cache}");
    assert_eq!(problems(&alone, false), [""; 0]);
    assert_eq!(problems(&alone, true), ["auto_auth.sink"]);
    let twice = format!("{alone}api_proxy {{ use_auto_auth_token = true }}");
    assert_eq!(problems(&twice, false), ["blocks"]);
    assert_eq!(problems(&twice, true), [""; 0]);
}

#[test]
fn the_variables_of_the_agent_have_the_proxys_name_in_theirs() {
    let case = Case::new(GOOD);
    let path = case.paths[0].display().to_string();
    let named = |variable: &str| Case { paths: Vec::new(), ..Case::new("") }.env(variable, &path);
    for prefix in ["BAO", "VAULT"] {
        let (agent, proxy) =
            (format!("{prefix}_AGENT_CONFIG_PATH"), format!("{prefix}_PROXY_CONFIG_PATH"));
        named(&agent).settings();
        named(&proxy).proxy().settings();
        assert_eq!(brief(&named(&proxy).refused()), ["!config.missing"]);
        assert_eq!(brief(&named(&agent).proxy().refused()), ["!config.missing"]);
    }
    let good = || Case::new(GOOD).env("BAO_PROXY_DISABLE_IDLE_CONNECTIONS", "auto-auth");
    assert!(good().proxy().settings().server.disable_idle_connections);
    assert!(!good().settings().server.disable_idle_connections);
    let wrong = Case::new(GOOD).env("VAULT_PROXY_DISABLE_KEEP_ALIVES", "zzz").proxy().refused();
    assert!(wrong[0].message.starts_with("VAULT_PROXY_DISABLE_KEEP_ALIVES"), "{}", shown(&wrong));
    // Of another meaning.
    let server = Case::new(GOOD).env("BAO_PROXY_ADDR", "http://p:1").proxy().settings().server;
    assert!(server.proxy.is_some());
}
