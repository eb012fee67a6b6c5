//! What outlives the process: `persist` in `cache`.

use super::*;
use crate::{Cache, Diff, Persist, PersistKey, PersistPlace, diff};

const LISTENER: &str = "listener \"tcp\" { tls_disable = true }";
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// With an identity and a listener; what is given begins in line 9.
fn cached(persist: &str) -> Case {
    Case::new(&with_top(&format!("{LISTENER}\ncache {{\n{persist}\n}}\n")))
}

#[track_caller]
fn kept(case: &Case) -> Persist {
    let settings = case.settings();
    assert_eq!(brief(&case.load().diagnostics), [""; 0]);
    settings.persist.expect("something is kept")
}

fn kubernetes(path: &str) -> PersistPlace {
    PersistPlace::Kubernetes {
        path: path.into(),
        service_account_token_file: TOKEN_FILE.into(),
        keep_after_import: false,
    }
}

#[test]
fn nothing_is_kept_unless_a_cache_says_so() {
    assert_eq!(Case::new(GOOD).settings().persist, None);
    for nothing in ["", "cache_static_secrets = true"] {
        assert_eq!(cached(nothing).settings().persist, None, "{nothing}");
    }
    let json = in_json("null");
    assert_eq!(json.settings().persist, None, "null is not set");
}

#[test]
fn what_the_incumbents_write_for_kubernetes_is_read_in_every_spelling() {
    for persist in [
        "persist \"kubernetes\" { path = \"/p\" }",
        "persist kubernetes { path = \"/p\" }",
        "PERSIST \"Kubernetes\" { Path = \"/p\" }",
        "persist { type = \"kubernetes\" path = \"/p\" }",
        "persist = { type = \"Kubernetes\" path = \"/p\" }",
        "persist \"file\" { type = \"kubernetes\" path = \"/p\" }",
        "persist \"kubernetes\" { path = \"/x\" path = \"/p\" service_account_token_file = \"\" }",
    ] {
        let kept = kept(&cached(persist));
        assert_eq!(kept.place, kubernetes("/p"), "{persist}");
        assert!(!kept.exit_on_err, "{persist}");
        assert_eq!((kept.location.line(), kept.location.column()), (9, 1), "{persist}");
    }
    for persist in [
        r#"{"type": "kubernetes", "path": "/p"}"#,
        r#"[{"type": "kubernetes", "path": "/p"}]"#,
        r#"{"kubernetes": {"path": "/p"}}"#,
        r#"[{"kubernetes": [{"path": "/p"}]}]"#,
    ] {
        assert_eq!(kept(&in_json(persist)).place, kubernetes("/p"), "{persist}");
    }
}

fn in_json(persist: &str) -> Case {
    let method = r#"{"type": "approle", "config": {"role_id_file_path": "/r"}}"#;
    let text = format!(
        r#"{{"auto_auth": {{"method": {method}, "sink": [{{"type": "file", "config": {{"path": "/s"}}}}]}}, "listener": [{{"type": "tcp", "tls_disable": true}}], "cache": {{"persist": {persist}}}}}"#
    );
    Case::files(&[("agent.json", &text)])
}

#[test]
fn each_key_arrives_at_the_type_that_it_is_for() {
    let all = "persist \"kubernetes\" { path = \"/p\" keep_after_import = true exit_on_err = true service_account_token_file = \"/t\" }";
    let kept_there = kept(&cached(all));
    let place = PersistPlace::Kubernetes {
        path: "/p".into(),
        service_account_token_file: "/t".into(),
        keep_after_import: true,
    };
    assert_eq!((kept_there.place, kept_there.exit_on_err), (place, true));
    for (keys, key) in [
        ("key_credential = \"usher\"", PersistKey::Credential("usher".to_owned())),
        ("key_file = \"/k\"", PersistKey::File("/k".into())),
        // No part of the directory's name.
        ("key_file = \"/pk\"", PersistKey::File("/pk".into())),
        ("key_file = \"/p/../k\"", PersistKey::File("/p/../k".into())),
        ("key_file = \"/k\" key_credential = \"\"", PersistKey::File("/k".into())),
    ] {
        let persist = format!("persist \"file\" {{ path = \"/p\" {keys} }}");
        let place = PersistPlace::File { path: "/p".into(), key };
        assert_eq!(kept(&cached(&persist)).place, place, "{persist}");
    }
    for (keys, exit_on_err) in [("", false), ("exit_on_err = true", true)] {
        let kept = kept(&cached(&format!("persist \"systemd\" {{ {keys} }}")));
        assert_eq!((kept.place, kept.exit_on_err), (PersistPlace::Systemd, exit_on_err));
    }
}

/// Problems at what they are about, with what is said of them.
#[test]
fn what_cannot_be_meant_is_refused_where_it_stands() {
    for (persist, problems, said) in [
        ("persist { path = \"/p\" }", &["!cache.persist@9:1"][..], "has no type"),
        ("persist \"a\" \"b\" { }", &["!cache.persist@9:1"], "has no type"),
        (
            "persist \"disk\" { path = \"/p\" }",
            &["!cache.persist@9:9"],
            "write \"kubernetes\", \"file\" or \"systemd\"",
        ),
        ("persist { type = \"disk\" }", &["!cache.persist@9:18"], "no persist type \"disk\""),
        ("persist \"kubernetes\" { }", &["!cache.persist@9:1"], "has no path"),
        ("persist \"kubernetes\" { path = \"\" }", &["!cache.persist@9:1"], "/vault/agent-cache"),
        ("persist \"file\" { key_file = \"/k\" }", &["!cache.persist@9:1"], "/var/lib/usher"),
        ("persist \"file\" { path = \"/p\" }", &["!cache.persist@9:1"], "has no key"),
        ("persist \"file\" { }", &["!cache.persist@9:1", "!cache.persist@9:1"], "has no key"),
        (
            "persist \"file\" { path = \"/p\" key_credential = \"c\" key_file = \"/k\" }",
            &["!cache.persist@9:62"],
            "keep one of `key_credential` and `key_file`",
        ),
        (
            "persist \"file\" { path = \"/p\" key_file = \"/p/k\" }",
            &["!cache.persist@9:41"],
            "such as a backup, has its key",
        ),
        (
            "persist \"file\" { path = \"/p/\" key_file = \"/x/..//p/./k\" }",
            &["!cache.persist@9:42"],
            "lies in /p/",
        ),
        (
            "persist \"file\" { path = \"/p\" key_credential = \"usher:/etc/usher.cred\" }",
            &["!cache.persist@9:47"],
            "no name of a credential",
        ),
        (
            "persist \"systemd\" { path = \"/p\" }",
            &["!cache.persist@9:21"],
            "\"kubernetes\" or \"file\"",
        ),
        (
            "persist \"kubernetes\" { path = \"/p\" key_file = \"/k\" }",
            &["!cache.persist@9:36"],
            "`key_file` is for persist \"file\", and this one is \"kubernetes\"",
        ),
        (
            "persist \"file\" { path = \"/p\" key_file = \"/k\" Keep_After_Import = false service_account_token_file = \"/t\" }",
            &["!cache.persist@9:46", "!cache.persist@9:72"],
            "is for persist \"kubernetes\", and this one is \"file\"",
        ),
        // One thing is said of what has another type.
        ("persist \"kubernetes\" { path = true }", &["!type@9:31"], "takes a string"),
        ("persist \"file\" { path = \"/p\" key_file = [] }", &["!type@9:41"], "takes a string"),
        (
            "persist \"kubernetes\" { path = \"/p\" keep_after_import = \"true\" }",
            &["!type@9:56"],
            "without quotes",
        ),
        ("persist = \"systemd\"", &["!type@9:11"], "write persist { … }"),
        (
            "persist \"systemd\" { }\npersist \"kubernetes\" { }",
            &["!duplicate-block@10:1", "!cache.persist@10:1"],
            "a second `persist` block",
        ),
    ] {
        let refused = cached(persist).refused();
        assert_eq!(brief(&refused), problems, "{persist}");
        assert!(shown(&refused).contains(said), "{persist}: {}", shown(&refused));
    }
}

#[test]
fn an_unknown_key_is_ignored_with_a_warning_as_by_the_incumbents() {
    let case = cached("persist \"systemd\" { exit_on_error = true }");
    assert!(case.settings().persist.is_some());
    assert_eq!(brief(&case.load().diagnostics), ["unknown-key@9:21"]);
    assert!(shown(&case.load().diagnostics).contains("did you mean `exit_on_err`?"));
}

#[test]
fn what_is_kept_of_identities_needs_no_listener() {
    for (persist, problems) in [
        ("persist \"systemd\" { }", &[][..]),
        ("persist \"file\" { path = \"/p\" key_file = \"/k\" }", &[]),
        // It says what is wrong and no more.
        ("persist \"file\" { path = \"/p\" }", &["!cache.persist@8:1"]),
        // As the incumbents have it.
        ("persist \"kubernetes\" { path = \"/p\" }", &["!blocks@7:1"]),
        ("", &["!blocks@7:1"]),
    ] {
        let case = Case::new(&with_top(&format!("cache {{\n{persist}\n}}\n")));
        assert_eq!(brief(&case.load().diagnostics), problems, "{persist}");
    }
    for identity in [
        "identity \"web\" { method \"approle\" { } sink \"file\" { config { path = \"/w\" } } }",
        "identity \"web\" { method \"approle\" { } }",
    ] {
        let text = format!("{identity}\ncache {{ persist \"systemd\" {{ }} }}");
        let codes = brief(&Case::new(&text).load().diagnostics);
        assert!(!codes.iter().any(|code| code.starts_with("!blocks")), "{codes:?}");
    }
}

#[test]
fn without_an_identity_there_is_nothing_to_keep() {
    let case = |persist: &str| format!("{LISTENER}\ncache {{\n{persist}\n}}\n");
    for persist in ["persist \"systemd\" { }", "persist \"kubernetes\" { path = \"/p\" }"] {
        let case = Case::new(&case(persist));
        assert!(case.settings().cache.is_some(), "{persist}");
        assert_eq!(brief(&case.load().diagnostics), ["no-effect@3:1"], "{persist}");
    }
    let alone = Case::new("cache { persist \"systemd\" { } }").refused();
    assert_eq!(brief(&alone), ["no-effect@1:9", "!blocks@1:1"]);
}

#[test]
fn a_later_file_replaces_what_is_kept_with_the_rest_of_the_cache() {
    let first = with_top("cache { persist \"systemd\" { } }\n");
    let later = format!("{LISTENER}\ncache {{ cache_static_secrets = true }}\n");
    let settings = Case::files(&[("1.hcl", &first), ("2.hcl", &later)]).settings();
    assert_eq!(settings.persist, None);
    assert!(settings.cache.is_some_and(|cache| cache.static_secrets.is_some()));
}

#[test]
fn a_proxy_keeps_the_same() {
    let case = cached("persist \"file\" { path = \"/p\" key_file = \"/k\" }").proxy();
    let key = PersistKey::File("/k".into());
    assert_eq!(kept(&case).place, PersistPlace::File { path: "/p".into(), key });
}

#[test]
fn only_a_restart_puts_it_elsewhere() {
    let text = |persist: &str| with_top(&format!("{LISTENER}\ncache {{ {persist} }}"));
    let one = "persist \"file\" { path = \"/p\" key_file = \"/k\" }";
    let old = Case::new(&text(one)).settings();
    let change = |to: &str| diff(&old, &Case::new(to).settings());
    let restart = Diff {
        unchanged: vec!["default".into()],
        needs_restart: vec!["cache.persist"],
        ..Diff::default()
    };
    for other in [
        "persist \"file\" { path = \"/q\" key_file = \"/k\" }",
        "persist \"file\" { path = \"/p\" key_file = \"/l\" }",
        "persist \"file\" { path = \"/p\" key_file = \"/k\" exit_on_err = true }",
        "persist \"systemd\" { }",
        "",
    ] {
        assert_eq!(change(&text(other)), restart, "{other}");
    }
    // Another place in the file is no change.
    assert!(change(&text(&one.replace(" }", "\n}"))).is_empty());
    assert!(change(&format!("# first\n{}", text(one))).is_empty());
    // What the cache does besides is taken up all the same.
    let both = text("persist \"systemd\" { } cache_static_secrets = true");
    assert_eq!(change(&both), Diff { live: vec!["cache"], ..restart });
    let carried = Case::new(&both).settings().without_what_takes_a_restart(&old);
    assert_eq!(carried.persist, old.persist);
    assert_ne!(carried.cache, Some(Cache { static_secrets: None }));
}
