//! Listeners and what becomes of their requests: what is accepted and what it means, what is
//! refused or warned of, and what a reload changes.

use std::time::Duration;

use super::*;
use crate::{
    ApiProxy, Cache, ClientCertificates, Diff, Listener, ListenerPlace, ListenerRole, ListenerTls,
    StaticSecrets, TlsVersion, TokenUse, diff,
};

/// With a certificate.
const FILES: &str = "tls_cert_file = \"/c\" tls_key_file = \"/k\"";
const WEB: &str =
    "identity \"web\" { method \"approle\" { } sink \"file\" { config { path = \"/w\" } } }\n";
const TOKEN: &str = "api_proxy { use_auto_auth_token = true }";

fn listeners(text: &str) -> Vec<Listener> {
    Case::new(text).settings().listeners
}

/// The only one.
fn listener(kind: &str, inner: &str) -> Listener {
    let mut found = listeners(&format!("listener \"{kind}\" {{ {inner} }}"));
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn tcp(address: &str) -> ListenerPlace {
    ListenerPlace::Tcp { address: address.to_owned() }
}

fn tls(inner: &str) -> ListenerTls {
    listener("tcp", &format!("{FILES} {inner}")).tls.expect("TLS")
}

#[test]
fn a_listener_needs_nothing_else_and_its_defaults_are_the_incumbents() {
    let case = Case::new("listener \"tcp\" { tls_disable = true }");
    let settings = case.settings();
    assert_eq!(case.load().diagnostics, []);
    assert!(settings.identities.is_empty());
    assert_eq!(settings.api_proxy, ApiProxy::default());
    assert_eq!(settings.api_proxy.token_use, TokenUse::Never);
    let [listener] = settings.listeners.as_slice() else { panic!("{settings:?}") };
    assert_eq!(listener.place, tcp("127.0.0.1:8200"));
    assert_eq!((listener.role, &listener.identity), (ListenerRole::Default, &None));
    assert!(!listener.require_request_header && !listener.enable_quit && listener.tls.is_none());
    assert!(listener.allow_users.is_empty() && listener.allow_groups.is_empty());
    assert_eq!(listener.location.line(), 1);
    let tls = tls("");
    assert_eq!((tls.oldest, tls.newest), (TlsVersion::V12, TlsVersion::V13));
    assert_eq!(tls.client_certificates, ClientCertificates::Asked);
    assert!(tls.client_ca.is_none() && tls.cipher_suites.is_empty());
}

#[test]
fn every_form_of_a_listener_means_the_same() {
    let expected = listener("tcp", "address = \"127.0.0.1:1\" tls_disable = true");
    for text in [
        "listener tcp { address = \"127.0.0.1:1\" tls_disable = true }",
        "LISTENER \"TCP\" { ADDRESS = \"127.0.0.1:1\" tls_disable = \"1\" }",
        "listener { type = \"Tcp\" address = \"127.0.0.1:1\" tls_disable = 1 }",
        "listener \"unix\" { type = \"tcp\" address = \"127.0.0.1:1\" tls_disable = true }",
        "listener = [{ type = \"tcp\" address = \"127.0.0.1:1\" tls_disable = true }]",
        "listener \"tcp\" { address = \"127.0.0.1:1\" tls_disable = true role = \"default\" agent_api { enable_quit = true } agent_api { enable_quit = false } }",
        r#"{"listener": {"tcp": {"address": "127.0.0.1:1", "tls_disable": true}}}"#,
        r#"{"listener": [{"type": "tcp", "address": "127.0.0.1:1", "tls_disable": true, "allow_users": []}]}"#,
    ] {
        assert_eq!(listeners(text), std::slice::from_ref(&expected), "{text}");
        assert_eq!(brief(&Case::new(text).load().diagnostics), [""; 0], "{text}");
    }
    let two = r#"{"listener": [{"tcp": {"tls_disable": true}}, {"unix": {"address": "/s"}}]}"#;
    let kinds: Vec<bool> = listeners(two)
        .iter()
        .map(|found| matches!(found.place, ListenerPlace::Tcp { .. }))
        .collect();
    assert_eq!(kinds, [true, false]);
}

#[test]
fn an_address_stays_as_it_is_written() {
    for address in [
        "0.0.0.0:8200",
        ":8200",
        "[::1]:0",
        "localhost:8200",
        "{{ GetPrivateIP }}:8200",
        "{{ GetInterfaceIP \"eth0\" }}:8200",
    ] {
        let inner = format!("tls_disable = true address = {address:?}");
        assert_eq!(listener("tcp", &inner).place, tcp(address));
    }
    assert_eq!(listener("tcp", "tls_disable = true address = \"\"").place, tcp("127.0.0.1:8200"));
}

#[test]
fn each_of_mode_and_owner_of_a_socket_counts_by_itself() {
    let unix = |mode: Option<u32>, user: Option<&str>, group: Option<&str>| ListenerPlace::Unix {
        path: "run/s".into(),
        mode,
        user: user.map(str::to_owned),
        group: group.map(str::to_owned),
    };
    for (inner, place) in [
        ("", unix(None, None, None)),
        ("socket_mode = \"0660\"", unix(Some(0o660), None, None)),
        ("socket_mode = 0600", unix(Some(0o600), None, None)),
        ("socket_mode = \"777\"", unix(Some(0o777), None, None)),
        ("socket_mode = \"\" socket_user = \"\"", unix(None, None, None)),
        ("socket_user = \"app\"", unix(None, Some("app"), None)),
        ("socket_user = 0 socket_group = \"root\"", unix(None, Some("0"), Some("root"))),
    ] {
        assert_eq!(
            listener("unix", &format!("address = \"run/s\" {inner}")).place,
            place,
            "{inner}"
        );
    }
}

#[test]
fn a_socket_has_tls_only_with_a_certificate() {
    let tls = |inner: &str| listener("unix", &format!("address = \"/s\" {inner}")).tls;
    assert_eq!(tls(""), None);
    assert_eq!(tls("tls_disable = false tls_min_version = \"tls13\""), None);
    assert_eq!(tls(&format!("tls_disable = true {FILES}")), None);
    assert_eq!(tls(FILES).map(|tls| tls.key), Some("/k".into()));
}

#[test]
fn versions_client_certificates_and_cipher_suites_mean_what_they_say() {
    use TlsVersion::{V12, V13};
    for (inner, versions) in [
        ("tls_min_version = \"tls13\"", (V13, V13)),
        ("tls_max_version = \"tls12\"", (V12, V12)),
        ("tls_min_version = \"\" tls_max_version = \"\"", (V12, V13)),
    ] {
        let tls = tls(inner);
        assert_eq!((tls.oldest, tls.newest), versions, "{inner}");
    }
    let ca = "tls_client_ca_file = \"/ca\"";
    for (inner, wanted) in [
        (ca.to_owned(), ClientCertificates::Asked),
        (format!("{ca} tls_require_and_verify_client_cert = true"), ClientCertificates::Required),
        (format!("{ca} tls_disable_client_certs = \"t\""), ClientCertificates::NotAsked),
        (
            format!("{ca} tls_require_and_verify_client_cert = true tls_disable_client_certs = 0"),
            ClientCertificates::Required,
        ),
    ] {
        let tls = tls(&inner);
        assert_eq!(
            (tls.client_certificates, tls.client_ca),
            (wanted, Some("/ca".into())),
            "{inner}"
        );
    }
    for (written, suites) in [
        ("TLS_AES_128_GCM_SHA256", &["TLS_AES_128_GCM_SHA256"][..]),
        (
            " TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 ,TLS_CHACHA20_POLY1305_SHA256",
            &["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"],
        ),
        // The name that Go had for it before, and the same once more.
        (
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305,TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            &["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"],
        ),
        ("", &[]),
    ] {
        assert_eq!(tls(&format!("tls_cipher_suites = {written:?}")).cipher_suites, suites);
    }
}

#[test]
fn whose_token_requests_get_is_that_of_auto_auth_or_of_the_only_identity_or_said() {
    const PLAIN: &str = "listener \"unix\" { address = \"/a\" }\n";
    const SAID: &str = "listener \"unix\" { address = \"/b\" identity = \"web\" }\n";
    const METRICS: &str = "listener \"unix\" { address = \"/m\" role = \"metrics_only\" }\n";
    let other = WEB.replace("web", "db").replace("/w", "/d");
    for (text, expected) in [
        (format!("{GOOD}{PLAIN}{METRICS}"), vec![Some("default"), None]),
        (format!("{GOOD}{WEB}{PLAIN}{SAID}"), vec![Some("default"), Some("web")]),
        (format!("{WEB}{PLAIN}{SAID}"), vec![Some("web"), Some("web")]),
        (format!("{WEB}{other}{PLAIN}{SAID}"), vec![None, Some("web")]),
        (format!("{PLAIN}{METRICS}"), vec![None, None]),
    ] {
        let found = listeners(&text);
        let names: Vec<_> = found.iter().map(|listener| listener.identity.as_deref()).collect();
        assert_eq!(names, expected, "{text}");
    }
    // In whichever file the identity is.
    let case = Case::files(&[("a.hcl", SAID), ("b.hcl", WEB)]);
    assert_eq!(case.settings().listeners[0].identity.as_deref(), Some("web"));
}

#[test]
fn an_identity_whose_token_requests_get_needs_no_sink() {
    let plain = "listener \"unix\" { address = \"/a\" }\n";
    let said = "listener \"unix\" { address = \"/b\" identity = \"web\" }\n";
    let default = "auto_auth { method \"approle\" { } }\n";
    let web = "identity \"web\" { method \"approle\" { } }\n";
    let force = "api_proxy { use_auto_auth_token = \"Force\" }";
    for text in [
        format!("{default}{plain}{TOKEN}"),
        format!("{web}{plain}{force}"),
        format!("{default}{web}{plain}{said}{TOKEN}"),
        format!("{GOOD}{web}{said}{TOKEN}"),
    ] {
        let case = Case::new(&text);
        assert!(case.settings().identities.iter().any(|identity| identity.sinks.is_empty()));
        assert_eq!(brief(&case.load().diagnostics), [""; 0], "{text}");
    }
    for (text, problem) in [
        (format!("{default}{plain}"), "!auto_auth.sink@1:1"),
        (format!("{default}{plain}api_proxy {{ }}"), "!auto_auth.sink@1:1"),
        (format!("{default}{WEB}{said}{TOKEN}"), "!auto_auth.sink@1:1"),
        (format!("{web}{plain}"), "!identity.sink@1:1"),
        (format!("{web}{GOOD}{plain}{TOKEN}"), "!identity.sink@1:1"),
        (
            format!("{web}{}{TOKEN}", plain.replace('}', "role = \"metrics_only\" }")),
            "!identity.sink@1:1",
        ),
    ] {
        assert_eq!(brief(&Case::new(&text).refused()), [problem], "{text}");
    }
}

#[test]
fn whoever_has_a_listener_and_no_sink_is_told_how_the_token_is_lent() {
    let default = "auto_auth { method \"approle\" { } }\n";
    let listener = "listener \"tcp\" { tls_disable = true }\n";
    let help = |text: &str| Case::new(text).refused().remove(0).help;
    let lent = "api_proxy { use_auto_auth_token = true }";
    let alone = help(default);
    assert!(!alone.contains("lend"), "{alone}");
    let said = help(&format!("{default}{listener}"));
    assert!(said.contains(lent), "{said}");
    let web = "identity \"web\" { method \"approle\" { } }\n";
    let said = help(&format!("{web}{GOOD}{listener}"));
    assert!(said.contains(lent) && said.contains("identity = \"web\""), "{said}");
}

#[test]
fn what_a_listener_can_not_be_is_refused_with_one_message() {
    for (inner, problem) in [
        ("\"tcp\" { }".to_owned(), "!unsupported@1:1"),
        ("\"tcp\" { tls_disable = false }".to_owned(), "!unsupported@1:1"),
        ("\"tcp\" { tls_acme_domains = [\"a\"] }".to_owned(), "!unsupported@1:18"),
        (format!("\"tcp\" {{ {FILES} tls_acme_email = \"a\" }}"), "!unsupported@1:59"),
        ("\"udp\" { }".to_owned(), "!listener.type@1:1"),
        ("{ }".to_owned(), "!listener.type@1:1"),
        ("\"unix\" { }".to_owned(), "!listener.address@1:1"),
        ("\"unix\" { address = \"\" }".to_owned(), "!listener.address@1:1"),
        ("\"unix\" { address = \"unix:///s\" }".to_owned(), "!listener.address@1:29"),
        ("\"tcp\" { tls_cert_file = \"/c\" }".to_owned(), "!listener.tls_cert_file@1:34"),
        ("\"tcp\" { tls_key_file = \"/k\" }".to_owned(), "!listener.tls_cert_file@1:33"),
        (
            "\"unix\" { address = \"/s\" tls_key_file = \"/k\" }".to_owned(),
            "!listener.tls_cert_file@1:49",
        ),
        (
            "\"unix\" { address = \"/s\" tls_require_and_verify_client_cert = true }".to_owned(),
            "!listener.tls_cert_file@1:71",
        ),
        (
            format!("\"tcp\" {{ tls_min_version = \"TLS12\" {FILES} }}"),
            "!listener.tls_min_version@1:36",
        ),
        (
            format!("\"tcp\" {{ tls_max_version = \"ssl3\" {FILES} }}"),
            "!listener.tls_max_version@1:36",
        ),
        (
            format!("\"tcp\" {{ tls_max_version = \"tls11\" {FILES} }}"),
            "!listener.tls_max_version@1:36",
        ),
        (
            format!(
                "\"tcp\" {{ tls_max_version = \"tls12\" tls_min_version = \"tls13\" {FILES} }}"
            ),
            "!listener.tls_max_version@1:36",
        ),
        (
            format!("\"tcp\" {{ tls_require_and_verify_client_cert = true {FILES} }}"),
            "!listener.tls_client_ca_file@1:55",
        ),
        (
            format!(
                "\"tcp\" {{ tls_disable_client_certs = 1 tls_require_and_verify_client_cert = 1 {FILES} }}"
            ),
            "!listener.tls_disable_client_certs@1:45",
        ),
        (
            "\"tcp\" { tls_cipher_suites = \"ZZZ\" tls_disable = true }".to_owned(),
            "!listener.tls_cipher_suites@1:38",
        ),
        (
            format!("\"tcp\" {{ tls_cipher_suites = \"TLS_RSA_WITH_AES_128_CBC_SHA\" {FILES} }}"),
            "!listener.tls_cipher_suites@1:38",
        ),
        (
            "\"tcp\" { tls_disable = true tls_auto_reload = true }".to_owned(),
            "!listener.tls_auto_reload@1:55",
        ),
        (
            format!("\"tcp\" {{ tls_auto_reload_interval = \"4s\" {FILES} }}"),
            "!listener.tls_auto_reload_interval@1:45",
        ),
        ("\"tcp\" { tls_disable = true role = \"zzz\" }".to_owned(), "!listener.role@1:44"),
        (
            "\"tcp\" { tls_disable = true role = \"METRICS_ONLY\" }".to_owned(),
            "!listener.role@1:44",
        ),
        (
            "\"tcp\" { tls_disable = true agent_api { enable_quit = \"true\" } }".to_owned(),
            "!type@1:63",
        ),
        ("\"tcp\" { tls_disable = \"maybe\" }".to_owned(), "!type@1:32"),
        (
            "\"tcp\" { tls_disable = true allow_users = [\"app\"] }".to_owned(),
            "!listener.allow_users@1:52",
        ),
        (
            "\"tcp\" { tls_disable = true allow_groups = [\"0\"] }".to_owned(),
            "!listener.allow_groups@1:53",
        ),
        ("\"unix\" { address = \"/s\" allow_users = \"app\" }".to_owned(), "!type@1:48"),
        (
            "\"unix\" { address = \"/s\" socket_mode = \"rw\" }".to_owned(),
            "!listener.socket_mode@1:48",
        ),
        (
            "\"unix\" { address = \"/s\" socket_mode = 1777 }".to_owned(),
            "!listener.socket_mode@1:48",
        ),
        ("\"unix\" { address = \"/s\" identity = \"web\" }".to_owned(), "!listener.identity@1:45"),
    ] {
        let problems = Case::new(&format!("listener {inner}")).refused();
        assert_eq!(brief(&problems), [problem], "{inner}\n{}", shown(&problems));
        assert!(!problems[0].help.is_empty(), "{inner}");
    }
    for address in
        ["127.0.0.1", "127.0.0.1:https", "::1:8200", "[::1]", "[x]:1", "h:65536", "h:+1", " h:1"]
    {
        let inner = format!("listener \"tcp\" {{ tls_disable = true address = {address:?} }}");
        assert_eq!(brief(&Case::new(&inner).refused()), ["!listener.address@1:47"], "{address}");
    }
}

#[test]
fn without_a_certificate_it_is_said_what_to_write() {
    for (inner, said) in [
        ("", "tls_disable = true"),
        ("tls_acme_domains = [\"a\"]", "tls_disable = true"),
        ("tls_cipher_suites = \"x\" tls_disable = true", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("tls_cert_file = \"/c\"", "tls_key_file"),
    ] {
        let problems = Case::new(&format!("listener \"tcp\" {{ {inner} }}")).refused();
        assert!(problems[0].help.contains(said), "{}", shown(&problems));
    }
}

#[test]
fn what_has_no_effect_or_is_raised_is_warned_of() {
    for (text, problem) in [
        (
            format!("listener \"tcp\" {{ tls_min_version = \"tls10\" {FILES} }}"),
            "listener.tls_min_version@1:36",
        ),
        (
            format!("listener \"tcp\" {{ tls_min_version = \"tls11\" {FILES} }}"),
            "listener.tls_min_version@1:36",
        ),
        (
            format!("listener \"tcp\" {{ tls_key_exchange_preferences = [\"X25519\"] {FILES} }}"),
            "no-effect@1:18",
        ),
        (
            format!(
                "{WEB}listener \"unix\" {{ address = \"/s\" role = \"metrics_only\" identity = \"web\" }}"
            ),
            "no-effect@2:67",
        ),
    ] {
        let case = Case::new(&text);
        let settings = case.settings();
        assert_eq!(brief(&case.load().diagnostics), [problem], "{text}");
        assert_eq!(settings.listeners[0].identity, None);
        assert!(settings.listeners[0].tls.iter().all(|tls| tls.oldest == TlsVersion::V12));
    }
    // Changes of the files are always taken up.
    let reload = format!("tls_auto_reload = true tls_auto_reload_interval = \"5s\" {FILES}");
    assert_eq!(
        brief(&Case::new(&format!("listener \"tcp\" {{ {reload} }}")).load().diagnostics),
        [""; 0]
    );
}

#[test]
fn two_listeners_at_one_place_are_refused_with_both_places() {
    let unix = |path: &str| format!("listener \"unix\" {{ address = \"{path}\" }}\n");
    let tcp = |address: &str| {
        format!("listener \"tcp\" {{ tls_disable = true address = \"{address}\" }}\n")
    };
    let default = "listener \"tcp\" { tls_disable = true }\n";
    for (first, second, problem) in [
        (unix("/s"), unix("//./s"), "!listener.address@2:29"),
        (tcp("h:1"), tcp("h:1"), "!listener.address@2:47"),
        (default.to_owned(), tcp("127.0.0.1:8200"), "!listener.address@2:47"),
        (tcp("127.0.0.1:8200"), default.to_owned(), "!listener.address@2:1"),
    ] {
        let problems = Case::new(&format!("{first}{second}")).refused();
        assert_eq!(brief(&problems), [problem], "{}", shown(&problems));
        assert!(problems[0].message.contains("agent.hcl:1:1"), "{}", shown(&problems));
    }
    let files = Case::files(&[("a.hcl", default), ("b.hcl", default)]);
    assert!(files.refused()[0].message.contains("a.hcl:1:1"));
    for (first, second) in [(unix("/s"), unix("s")), (tcp("h:0"), tcp("h:0"))] {
        assert_eq!(listeners(&format!("{first}{second}")).len(), 2);
    }
}

#[test]
fn an_identity_that_there_is_not_is_named_with_the_one_that_was_meant() {
    let said =
        |name: &str| format!("listener \"unix\" {{ address = \"/s\" identity = \"{name}\" }}\n");
    for (text, help) in [
        (format!("{}{WEB}", said("wbe")), "did you mean \"web\"?"),
        (format!("{}{GOOD}{WEB}", said("database")), "write \"default\" or \"web\""),
        (format!("{}{WEB}", said("default")), "write \"web\""),
        (said("default"), "write an `auto_auth` or an `identity` block"),
    ] {
        let problems = Case::new(&text).refused();
        assert_eq!(brief(&problems), ["!listener.identity@1:45"], "{}", shown(&problems));
        assert_eq!(problems[0].help, help);
    }
    // Not if it may be the one that is broken.
    let broken = format!("{}{}", said("web"), WEB.replace("approle\" {", "approle\" { zzz = 1"));
    assert_eq!(brief(&Case::new(&broken).refused()), ["!unknown-key@2:37"]);
}

#[test]
fn whose_token_it_is_must_be_known_and_the_token_bare() {
    let plain = "listener \"unix\" { address = \"/a\" }\n";
    let said = "listener \"unix\" { address = \"/b\" identity = \"web\" }\n";
    let other = WEB.replace("web", "db").replace("/w", "/d");
    let wrapped = WEB.replace("approle\" {", "approle\" { wrap_ttl = 60");
    let default_wrapped = with_method("wrap_ttl = 60");
    for (text, problem) in [
        (format!("{plain}{WEB}{other}{TOKEN}"), "!listener.identity@1:1"),
        (format!("{plain}{wrapped}{TOKEN}"), "!listener.identity@1:1"),
        (format!("{said}{GOOD}{wrapped}{TOKEN}"), "!listener.identity@1:45"),
        (format!("{TOKEN}\n{plain}{default_wrapped}"), "!blocks@1:1"),
        (format!("{TOKEN}\n{plain}"), "!blocks@1:1"),
    ] {
        let problems = Case::new(&text).refused();
        assert_eq!(brief(&problems), [problem], "{text}\n{}", shown(&problems));
    }
    for text in [
        format!("{plain}{WEB}{other}"),
        format!("{plain}{wrapped}"),
        format!("{said}{default_wrapped}{WEB}{TOKEN}"),
        format!("{}{WEB}{other}{TOKEN}", plain.replace('}', "role = \"metrics_only\" }")),
    ] {
        assert_eq!(brief(&Case::new(&text).load().diagnostics), [""; 0], "{text}");
    }
}

#[test]
fn whoever_reaches_a_port_has_the_tokens_power_and_that_is_said() {
    let warned = |inner: &str, top: &str| {
        let text = format!("listener \"tcp\" {{ tls_disable = true {inner} }}\n{GOOD}{top}");
        let case = Case::new(&text);
        case.settings();
        brief(&case.load().diagnostics)
    };
    for address in [
        "0.0.0.0:8200",
        "[::]:8200",
        ":8200",
        "10.0.0.7:8200",
        "bao.internal:8200",
        "{{ GetPrivateIP }}:8200",
    ] {
        let inner = format!("address = {address:?}");
        assert_eq!(warned(&inner, TOKEN), ["listener.reach@1:47"], "{address}");
        assert_eq!(warned(&inner, ""), [""; 0], "{address}");
        assert_eq!(warned(&format!("{inner} role = \"metrics_only\""), TOKEN), [""; 0]);
    }
    for address in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "LocalHost:1",
        "{{ GetInterfaceIP \"lo\" }}:8200",
        "{{ GetAllInterfaces | include \"flags\" \"loopback\" | limit 1 | attr \"address\" }}:1",
    ] {
        assert_eq!(warned(&format!("address = {address:?}"), TOKEN), [""; 0], "{address}");
    }
    assert_eq!(warned("", TOKEN), [""; 0]);
    let certificates = format!(
        "listener \"tcp\" {{ address = \"0.0.0.0:1\" {FILES} tls_client_ca_file = \"/ca\" tls_require_and_verify_client_cert = true }}\n{GOOD}{TOKEN}"
    );
    assert_eq!(brief(&Case::new(&certificates).load().diagnostics), [""; 0]);
    let without = certificates.replace("tls_require_and_verify_client_cert = true", "");
    assert_eq!(brief(&Case::new(&without).load().diagnostics), ["listener.reach@1:28"]);
}

#[test]
fn what_becomes_of_requests_is_told_by_the_later_file() {
    let proxy = |inner: &str| {
        let text =
            format!("{GOOD}listener \"unix\" {{ address = \"/s\" }} api_proxy {{ {inner} }}");
        Case::new(&text).settings().api_proxy
    };
    for (inner, token_use) in [
        ("", TokenUse::Never),
        ("use_auto_auth_token = false", TokenUse::Never),
        ("use_auto_auth_token = \"true\"", TokenUse::WhenAbsent),
        ("use_auto_auth_token = 1", TokenUse::WhenAbsent),
        ("use_auto_auth_token = \"FORCE\"", TokenUse::Always),
    ] {
        assert_eq!(proxy(inner).token_use, token_use, "{inner}");
    }
    let case = Case::files(&[
        (
            "a.hcl",
            &with_top(
                "listener \"unix\" { address = \"/s\" }\napi_proxy { use_auto_auth_token = true namespace = \"a\" }",
            ),
        ),
        ("b.hcl", "api_proxy { namespace = \"b\" }\nlistener \"unix\" { address = \"/t\" }"),
    ]);
    let settings = case.settings();
    assert_eq!(settings.api_proxy.token_use, TokenUse::Never);
    assert_eq!(
        settings.api_proxy.namespace.as_ref().map(ToString::to_string).as_deref(),
        Some("b/")
    );
    assert_eq!(settings.listeners.len(), 2);
    assert_eq!(brief(&case.load().diagnostics), ["replaced-block@1:1"]);
}

#[test]
fn the_namespace_of_requests_is_their_own_unless_it_is_said() {
    const PREPEND: &str = "prepend_configured_namespace = true";
    let case = |inner: &str| {
        Case::new(&with_top(&format!(
            "vault {{ namespace = \"vault\" }} listener \"unix\" {{ address = \"/s\" }}\napi_proxy {{ {inner} }}"
        )))
    };
    let namespace = |case: Case| {
        let ApiProxy { namespace, prepend_namespace, .. } = case.settings().api_proxy;
        (namespace.map(|namespace| namespace.to_string()), prepend_namespace)
    };
    let said = |text: &str| Some(text.to_owned());
    assert_eq!(namespace(case("")), (None, false));
    assert_eq!(namespace(case("namespace = \"/team\"")), (said("team/"), false));
    assert_eq!(namespace(case("namespace = \" \"")), (None, false));
    assert_eq!(namespace(case(PREPEND)), (said("vault/"), true));
    assert_eq!(namespace(case(PREPEND).env("BAO_NAMESPACE", "env")), (said("env/"), true));
    let both = || case(&format!("{PREPEND} namespace = \"team\""));
    assert_eq!(namespace(both().env("BAO_NAMESPACE", "env")), (said("team/"), true));
    assert_eq!(brief(&both().load().diagnostics), [""; 0]);
    // Nothing to prepend.
    let none = case(PREPEND).env("BAO_NAMESPACE", "");
    assert_eq!(brief(&none.load().diagnostics), ["no-effect@8:44"]);
    for (inner, problem) in [
        ("namespace = \"a b\"", "!api_proxy.namespace@8:25"),
        ("prepend_configured_namespace = \"true\"", "!type@8:44"),
        ("use_auto_auth_token = \"maybe\"", "!type@8:35"),
    ] {
        assert_eq!(brief(&case(inner).refused()), [problem], "{inner}");
    }
}

#[test]
fn a_running_agent_takes_up_listeners_and_what_becomes_of_requests() {
    let text = format!("{GOOD}listener \"tcp\" {{ {FILES} }} {TOKEN}");
    let changes = |new: &str| diff(&Case::new(&text).settings(), &Case::new(new).settings());
    let live = |key: &'static str| Diff {
        unchanged: vec!["default".into()],
        live: vec![key],
        ..Diff::default()
    };
    assert!(changes(&format!("\n{text}")).is_empty());
    for (from, to) in [
        ("\"/k\"", "\"/l\""),
        ("\"/k\"", "\"/k\" address = \"127.0.0.1:1\""),
        ("\"/k\"", "\"/k\" role = \"metrics_only\""),
        ("\"/k\"", "\"/k\" require_request_header = true"),
        ("\"/k\"", "\"/k\" agent_api { enable_quit = true }"),
        ("\"/k\"", "\"/k\" tls_disable = true"),
        ("\"/k\" }", "\"/k\" } listener \"unix\" { address = \"/s\" }"),
    ] {
        assert_eq!(changes(&text.replace(from, to)), live("listener"), "{to}");
    }
    for to in ["use_auto_auth_token = \"force\"", "use_auto_auth_token = true namespace = \"a\""] {
        let new = text.replace("use_auto_auth_token = true", to);
        assert_eq!(changes(&new), live("api_proxy"), "{to}");
    }
    let (old, new) = (Case::new(&text).settings(), Case::new(GOOD).settings());
    assert!(new.without_what_takes_a_restart(&old).listeners.is_empty());
}

#[test]
fn a_cache_may_say_whose_token_requests_get() {
    let lent =
        with_top("listener \"tcp\" { tls_disable = true }\ncache { use_auto_auth_token = true }");
    let settings = Case::new(&lent).settings();
    assert_eq!(settings.cache, Some(Cache { static_secrets: None }));
    assert_eq!(settings.api_proxy.token_use, TokenUse::WhenAbsent);
    assert!(Case::new("listener \"tcp\" { tls_disable = true }").settings().cache.is_none());
}

#[test]
fn static_secrets_are_kept_where_a_cache_says_so_in_either_spelling() {
    let read = |cache: &str| {
        let text = format!("listener \"tcp\" {{ tls_disable = true }}\ncache {{ {cache} }}");
        Case::new(&with_top(&text)).settings().cache.unwrap().static_secrets
    };
    let default = StaticSecrets::default();
    for off in ["", "cache_static_secrets = false", "cache_static_secrets = \"0\""] {
        assert_eq!(read(off), None, "{off}");
    }
    for on in [
        "cache_static_secrets = true",
        "cache_static_secrets = \"true\"",
        "cache_static_secrets { }",
    ] {
        assert_eq!(read(on), Some(default), "{on}");
    }
    let proof = Duration::from_mins(1);
    let vaults =
        "cache_static_secrets = true\nstatic_secret_token_capability_refresh_interval = \"1m\"";
    assert_eq!(read(vaults), Some(StaticSecrets { proof, ..default }));
    let both = vaults.replace("= true", "{ proof = \"2m\" }");
    assert_eq!(read(&both).unwrap().proof, proof * 2);
}

#[test]
fn static_secrets_that_could_not_be_given_are_refused() {
    for (keys, codes) in [
        ("ttl = 0", &["!cache"][..]),
        ("proof = \"0s\"", &["!cache"]),
        ("entries = 0", &["!cache"]),
        ("entries = -1", &["!cache"]),
        ("bytes = 0", &["!size"]),
        ("max_stale = \"soon\"", &["!duration"]),
        ("max_age = 60", &["!unknown-key"]),
    ] {
        let text = format!(
            "listener \"tcp\" {{ tls_disable = true }}\ncache {{ cache_static_secrets {{ {keys} }} }}"
        );
        let found = brief(&Case::new(&with_top(&text)).refused());
        let found: Vec<&str> = found.iter().filter_map(|text| text.split('@').next()).collect();
        assert_eq!(found, codes, "{keys}");
    }
    let behavior = "listener \"tcp\" { tls_disable = true }\ncache { static_secret_token_capability_refresh_behavior = \"hopeful\" }";
    assert!(!Case::new(&with_top(behavior)).refused().is_empty());
}
