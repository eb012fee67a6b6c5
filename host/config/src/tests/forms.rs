//! What is accepted, and what it means.

use std::time::Duration;

use usher_address::Namespace;
use usher_grant::{Capability, Limits};

use super::*;
use crate::{
    Cache, ClientCertificates, Encryption, ListenerPlace, ListenerRole, ListenerTls, LogFile,
    LogFormat, LogLevel, OnExit, PersistKey, PersistPlace, SinkOnExit, StaticSecrets, TlsVersion,
    TokenCheck, TokenUse,
};

#[test]
fn the_defaults_are_the_incumbents() {
    let case = Case::new(GOOD);
    let settings = case.settings();
    assert_eq!(case.load().diagnostics, []);
    assert_eq!(settings.server.address.to_string(), "https://127.0.0.1:8200");
    assert!(!settings.server.tls_skip_verify);
    assert!(!settings.exit_after_auth);
    assert_eq!((settings.log.level, settings.log.format), (LogLevel::Info, LogFormat::Standard));
    let identity = &settings.identities[0];
    assert_eq!(identity.name, "default");
    assert_eq!(identity.token_check_interval, TokenCheck::Auto);
    assert_eq!(identity.enable_reauth_on_new_credentials, None);
    let method = &identity.method;
    assert_eq!((method.kind.as_str(), method.mount_path.as_str()), ("approle", "auth/approle"));
    assert!(method.namespace.is_root());
    assert_eq!(
        (method.min_backoff, method.max_backoff),
        (Duration::from_secs(1), Duration::from_mins(5))
    );
    assert!(!method.exit_on_err);
    assert_eq!(method.config.json(), r#"{"role_id_file_path":"/r"}"#);
    assert_eq!(identity.sinks[0].config.json(), r#"{"mode":416,"path":"/s"}"#);
    let at = identity.sinks[0].config.locate(&["mode"]);
    assert_eq!((at.line(), at.column()), (5, 47));
    assert_eq!(identity.sinks[0].config.locate(&["owner", "x"]).line(), 5);
}

#[test]
fn every_built_setting_arrives() {
    let settings = Case::new(
        r#"
        VAULT {
          address = "http://bao:8200/"  ca_cert = "/ca.pem"  ca_path = "/ca"
          client_cert = "/c.pem"  client_key = "/k.pem"  tls_server_name = "bao"
          tls_skip_verify = true
          namespace = "ignored/by/flag"
          retry { num_retries = "5" }
        }
        auto_auth {
          enable_reauth_on_new_credentials = true
          token_check_interval = "30s"
          method {
            type = "approle"  mount_path = "/auth/app/"  namespace = "/team"
            min_backoff = 2  max_backoff = "1m"  exit_on_err = true
          }
          on_exit = "revoke"
          sink "FILE" {
            wrap_ttl = "5m"  dh_type = "curve25519"  dh_path = "/pub.json"  derive_key = true
            aad = "shadowed"  aad_env_var = "AAD"  on_exit = "remove"
            config { path = "/a" }
          }
          sinks { sink "file" { config { path = "/b" } } sink { type = "file" config { path = "/c" } } }
        }
        identity "web" {
          method "approle" { wrap_ttl = 60 config { role_id_file_path = "/web" } }
          sink "file" { config { path = "/w" } }
        }
        pid_file = "/run/usher.pid"
        log_file = "/var/log/usher/"
        log_rotate_bytes = "1000"
        log_rotate_duration = "12h"
        log_rotate_max_files = 3
        admin_socket = "/run/u.sock"
        metrics_address = "127.0.0.1:9102"
        telemetry { prometheus_retention_time = "30s"  disable_hostname = true }
        exit_after_auth = true
        log_level = "WARNING"
        log_format = "json"
        disable_idle_connections = ["auto-auth", "caching"]
        disable_keep_alives = ["proxying"]
        listener "unix" {
          address = "/run/u-api.sock"  socket_mode = "0660"  socket_user = "app"  socket_group = 7
          allow_users = ["app", "0"]  allow_groups = ["web"]  identity = "default"
          require_request_header = true  agent_api { enable_quit = true }
        }
        listener {
          type = "tcp"  address = "127.0.0.1:8100"  role = "metrics_only"  tls_disable = false
          tls_cert_file = "/l.pem"  tls_key_file = "/l.key"  tls_client_ca_file = "/l-ca.pem"
          tls_min_version = "tls13"  tls_max_version = "tls13"
          tls_cipher_suites = "TLS_AES_256_GCM_SHA384"  tls_require_and_verify_client_cert = true
          tls_disable_client_certs = false  proxy_api { enable_quit = true }  tls_auto_reload = true  tls_auto_reload_interval = "30s"
        }
        cache {
          static_secret_token_capability_refresh_interval = "10m"
          cache_static_secrets {
            ttl = "30s"  max_stale = "1h"  proof = "2m"  entries = 100  bytes = "1MiB"
          }
          persist "kubernetes" {
            path = "/p"  keep_after_import = true  exit_on_err = true  service_account_token_file = "/t"
          }
        }
        api_proxy {
          use_auto_auth_token = "force"  namespace = "team"  prepend_configured_namespace = true
        }
        plugin_directory = "/etc/usher/plugins"
        plugin_lock = "/etc/usher/usher.lock"
        plugin "acme-sso" {
          sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"
          override = true
          allow {
            connect = ["https://sso"] read = ["/a", "/b/*"] env = ["X"] server = ["unwrap"] kdc = ["R"]
            watch = ["/a"] write = ["/w"] remove = ["/r"]
          }
          limits { memory = "64MiB" timeout = "30s" }
        }
        "#,
    )
    .env("AAD", "context")
    .flag("namespace", "ns")
    .settings();
    let server = &settings.server;
    assert_eq!(server.address.to_string(), "http://bao:8200");
    assert_eq!(server.ca_cert.as_deref(), Some("/ca.pem"));
    assert_eq!(server.ca_path.as_deref(), Some("/ca"));
    assert_eq!(server.client_cert.as_deref(), Some("/c.pem"));
    assert_eq!(server.client_key.as_deref(), Some("/k.pem"));
    assert_eq!(server.tls_server_name.as_deref(), Some("bao"));
    assert!(server.tls_skip_verify);
    assert_eq!(server.num_retries, Some(5));
    assert!(server.disable_idle_connections && !server.disable_keep_alives);
    let identity = &settings.identities[0];
    assert_eq!(identity.enable_reauth_on_new_credentials, Some(true));
    assert_eq!(identity.token_check_interval, TokenCheck::Every(Duration::from_secs(30)));
    assert_eq!(identity.method.mount_path.as_str(), "auth/app");
    assert_eq!(identity.method.namespace.as_str(), "ns/");
    assert_eq!(identity.method.min_backoff, Duration::from_secs(2));
    assert_eq!(identity.method.max_backoff, Duration::from_mins(1));
    assert!(identity.method.exit_on_err);
    let sinks: Vec<_> =
        identity.sinks.iter().map(|s| (s.kind.as_str(), s.config.json().to_owned())).collect();
    assert_eq!(
        sinks,
        [
            ("file", r#"{"path":"/a"}"#.to_owned()),
            ("file", r#"{"path":"/b"}"#.to_owned()),
            ("file", r#"{"path":"/c"}"#.to_owned())
        ]
    );
    assert_eq!(identity.on_exit, OnExit::Revoke);
    let sink = &identity.sinks[0];
    assert_eq!(sink.wrap_ttl, Some(Duration::from_mins(5)));
    let encryption =
        Encryption { dh_path: "/pub.json".into(), derive_key: true, aad: "context".to_owned() };
    assert_eq!(sink.encryption, Some(encryption));
    assert_eq!(sink.on_exit, SinkOnExit::Remove);
    let web = &settings.identities[1];
    assert_eq!((web.name.as_str(), web.method.namespace.as_str()), ("web", "ns/"));
    assert_eq!(web.method.wrap_ttl, Some(Duration::from_mins(1)));
    assert_eq!(settings.admin_socket, Some("/run/u.sock".into()));
    assert_eq!(settings.metrics_address, Some("127.0.0.1:9102".parse().unwrap()));
    let file = LogFile {
        path: "/var/log/usher/usher.log".into(),
        rotate_bytes: Some(1000),
        rotate_duration: Duration::from_hours(12),
        rotate_max_files: 3,
    };
    assert_eq!(settings.log.file, Some(file));
    assert_eq!(settings.pid_file, Some("/run/usher.pid".into()));
    assert!(settings.exit_after_auth);
    assert_eq!((settings.log.level, settings.log.format), (LogLevel::Warn, LogFormat::Json));
    let [socket, metrics] = settings.listeners.as_slice() else { panic!("two listeners") };
    let place = ListenerPlace::Unix {
        path: "/run/u-api.sock".into(),
        mode: Some(0o660),
        user: Some("app".to_owned()),
        group: Some("7".to_owned()),
    };
    assert_eq!((&socket.place, socket.role), (&place, ListenerRole::Default));
    assert_eq!(socket.allow_users, ["app", "0"]);
    assert_eq!(socket.allow_groups, ["web"]);
    assert_eq!(socket.identity.as_deref(), Some("default"));
    assert!(socket.require_request_header && socket.enable_quit && socket.tls.is_none());
    let place = ListenerPlace::Tcp { address: "127.0.0.1:8100".to_owned() };
    assert_eq!((&metrics.place, metrics.role), (&place, ListenerRole::MetricsOnly));
    let tls = ListenerTls {
        certificate: "/l.pem".into(),
        key: "/l.key".into(),
        client_ca: Some("/l-ca.pem".into()),
        client_certificates: ClientCertificates::Required,
        oldest: TlsVersion::V13,
        newest: TlsVersion::V13,
        cipher_suites: vec!["TLS_AES_256_GCM_SHA384".to_owned()],
    };
    assert_eq!(metrics.tls, Some(tls));
    let static_secrets = StaticSecrets {
        ttl: Duration::from_secs(30),
        max_stale: Duration::from_hours(1),
        proof: Duration::from_mins(2),
        entries: 100,
        bytes: 1 << 20,
    };
    assert_eq!(settings.cache, Some(Cache { static_secrets: Some(static_secrets) }));
    let place = PersistPlace::Kubernetes {
        path: "/p".into(),
        service_account_token_file: "/t".into(),
        keep_after_import: true,
    };
    assert!(settings.persist.is_some_and(|persist| persist.place == place && persist.exit_on_err));
    for (key, arrives) in [
        ("key_credential = \"c\"", PersistKey::Credential("c".to_owned())),
        ("key_file = \"/k\"", PersistKey::File("/k".into())),
    ] {
        let cache = format!("cache {{ persist {{ type = \"file\"  path = \"/p\"  {key} }} }}");
        let persist = Case::new(&with_top(&cache)).settings().persist;
        let place = PersistPlace::File { path: "/p".into(), key: arrives };
        assert_eq!(persist.map(|persist| persist.place), Some(place));
    }
    assert!(!metrics.enable_quit, "that is for `usher proxy`");
    let proxy = &settings.api_proxy;
    assert_eq!((proxy.token_use, proxy.prepend_namespace), (TokenUse::Always, true));
    assert_eq!(proxy.namespace.as_ref().map(Namespace::as_str), Some("team/"));
    assert_eq!(settings.plugin_directory, Some("/etc/usher/plugins".into()));
    assert_eq!(settings.plugin_lock, Some("/etc/usher/usher.lock".into()));
    let plugin = &settings.plugins["acme-sso"];
    assert!(plugin.overrides);
    assert_eq!(plugin.allow.targets(Capability::Read), ["/a", "/b/*"]);
    assert_eq!(plugin.allow.targets(Capability::Server), ["unwrap"]);
    let timeout = Duration::from_secs(30);
    let limits = Limits { memory: 64 << 20, method_timeout: timeout, sink_timeout: timeout };
    assert_eq!(plugin.limits, limits);
    assert!(plugin.sha256.as_deref().is_some_and(|digest| digest.starts_with("9f86")));
}

#[test]
fn every_form_of_method_and_sink_means_the_same() {
    let config = r#"config { role_id_file_path = "/r" }"#;
    for method in [
        format!(r#"method "approle" {{ {config} }}"#),
        format!(r"method approle {{ {config} }}"),
        format!(r#"METHOD "AppRole" {{ {config} }}"#),
        format!(r#"method {{ type = "approle" {config} }}"#),
        format!(r#"method = {{ type = "approle" {config} }}"#),
        format!(r#"method = [{{ type = "approle" {config} }}]"#),
        format!(r#"method "other" {{ type = "approle" {config} }}"#),
        format!(r"method {{ approle {{ {config} }} }}"),
    ] {
        let text =
            format!(r#"auto_auth {{ {method} sink "file" {{ config {{ path = "/s" }} }} }}"#);
        let identity = Case::new(&text).settings().identities.remove(0);
        assert_eq!(identity.method.kind, "approle", "{method}");
        assert_eq!(identity.method.config.json(), r#"{"role_id_file_path":"/r"}"#, "{method}");
    }
    for sink in [
        r#"sink "file" { config { path = "/s" } }"#,
        r#"sink file { config = { path = "/s" } }"#,
        r#"sink { type = "file" config { path = "/s" } }"#,
        r#"sink = { type = "file" config { path = "/s" } }"#,
        r#"sink = [{ type = "file" config { path = "/s" } }]"#,
        r#"sinks { sink "file" { config { path = "/s" } } }"#,
        r#"sinks = [{ sink "file" { config { path = "/s" } } }]"#,
        r#"sinks = [{ type = "file" config = [{ path = "/s" }] }]"#,
        r#"sink "file" { config { path = "/x" } config { path = "/s" } }"#,
    ] {
        let text = format!(r#"auto_auth = {{ method "approle" {{}} {sink} }}"#);
        let identity = Case::new(&text).settings().identities.remove(0);
        let sinks: Vec<_> =
            identity.sinks.iter().map(|s| (s.kind.as_str(), s.config.json().to_owned())).collect();
        assert_eq!(sinks, [("file", r#"{"path":"/s"}"#.to_owned())], "{sink}");
    }
}

#[test]
fn every_form_in_json_means_the_same() {
    let sink = r#""sink": {"type": "file", "config": {"path": "/s"}}"#;
    for (text, problems) in [
        (format!(r#"{{"auto_auth": {{"method": {{"type": "approle"}}, {sink}}}}}"#), vec![]),
        (format!(r#" {{"auto_auth": [{{"method": [{{"type": "approle"}}], {sink}}}]}}"#), vec![]),
        (
            format!(r#"{{"auto_auth": {{"method": {{"approle": {{}}}}, {sink}}}}}"#),
            vec!["type-as-key@1:27"],
        ),
        (
            format!(r#"{{"auto_auth": {{"method": [{{"approle": [{{}}]}}], {sink}}}}}"#),
            vec!["type-as-key@1:28"],
        ),
        (
            r#"{"auto_auth": {"method": [{"type": "approle"}], "sinks": [{"sink": {"type": "file", "config": {"path": "/s"}}}]}}"#
                .to_owned(),
            vec![],
        ),
        (
            r#"{"auto_auth": {"method": [{"type": "approle"}], "sinks": {"sink": [{"type": "file", "config": {"path": "/s"}}]}}}"#
                .to_owned(),
            vec![],
        ),
        (
            format!(r#"{{"pid_file": null, "auto_auth" = {{"method": {{"type": "approle", "mount_path": null}}, {sink}}}}}"#),
            vec!["json.equals-sign@1:32"],
        ),
    ] {
        let case = Case::new(&text);
        let identity = case.settings().identities.remove(0);
        assert_eq!(identity.method.kind, "approle", "{text}");
        assert_eq!(identity.method.mount_path.as_str(), "auth/approle", "{text}");
        assert_eq!(identity.sinks[0].config.json(), r#"{"path":"/s"}"#, "{text}");
        assert_eq!(brief(&case.load().diagnostics), problems, "{text}");
    }
    for identities in [
        r#"{"a": {"method": {"type": "x"}, "sink": {"type": "y"}}, "b": {"method": {"type": "x"}, "sink": {"type": "y"}}}"#,
        r#"[{"a": {"method": {"type": "x"}, "sink": {"type": "y"}}}, {"b": [{"method": {"type": "x"}, "sink": {"type": "y"}}]}]"#,
    ] {
        let settings = Case::new(&format!(r#"{{"identity": {identities}}}"#)).settings();
        let names: Vec<_> = settings.identities.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "{identities}");
    }
    let plugins = r#"{"plugin": {"a": {"limits": {"memory": "1MiB"}}, "b": {}}, "auto_auth": {"method": {"type": "a"}, "sink": {"type": "b"}}}"#;
    let settings = Case::new(plugins).settings();
    assert_eq!(settings.plugins.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(settings.plugins["a"].limits.memory, 1 << 20);
}

#[test]
fn formatting_settings_for_debugging_shows_no_configuration_value() {
    let text = GOOD.replace("/r\"", "/r\" password = \"hunter2\"");
    let loaded = Case::new(&text).load();
    let shown = format!("{loaded:?}");
    assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
}
