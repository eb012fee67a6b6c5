//! Which test covers which key: a list that is complete, and whose tests exist and name the key.

use super::blocks::ALL;

/// Where the tests are.
const SOURCES: [&str; 7] = [
    include_str!("../tests/forms.rs"),
    include_str!("../tests/precedence.rs"),
    include_str!("../tests/problems.rs"),
    include_str!("../../../../tests/tests/config/differential/cases.rs"),
    include_str!("../../../../tests/tests/config/differential.rs"),
    include_str!("../../../../tests/tests/delivery/wrapping.rs"),
    include_str!("../../../../tests/tests/lifecycle/identities.rs"),
];

/// What `usher validate` and OpenBao Agent are both asked about.
const JUDGED: &str = "what_openbao_agent_takes_is_taken_but_for_the_differences_that_are_told";
/// What is read into a setting.
const ARRIVES: &str = "every_built_setting_arrives";

/// A test, and keys of blocks that it covers.
const COVERAGE: &[(&str, &str, &[&str])] = &[
    (
        JUDGED,
        "the configuration",
        &[
            "vault",
            "api_proxy",
            "listener",
            "cache",
            "template",
            "template_config",
            "env_template",
            "exec",
            "cluster_name",
            "default_max_request_duration",
            "disable_mlock",
            "hsm",
            "kms",
            "seal",
            "user_lockout",
        ],
    ),
    (
        ARRIVES,
        "the configuration",
        &[
            "auto_auth",
            "identity",
            "pid_file",
            "exit_after_auth",
            "log_level",
            "log_format",
            "log_file",
            "log_rotate_bytes",
            "log_rotate_duration",
            "log_rotate_max_files",
            "disable_idle_connections",
            "disable_keep_alives",
            "telemetry",
            "metrics_address",
            "admin_socket",
            "plugin_directory",
            "plugin_lock",
            "plugin",
        ],
    ),
    (
        ARRIVES,
        "vault",
        &[
            "address",
            "ca_cert",
            "ca_path",
            "client_cert",
            "client_key",
            "tls_skip_verify",
            "tls_server_name",
            "namespace",
            "retry",
        ],
    ),
    (ARRIVES, "vault.retry", &["num_retries"]),
    (
        ARRIVES,
        "auto_auth",
        &[
            "method",
            "sink",
            "sinks",
            "enable_reauth_on_new_credentials",
            "token_check_interval",
            "on_exit",
        ],
    ),
    (
        ARRIVES,
        "method",
        &[
            "type",
            "mount_path",
            "namespace",
            "wrap_ttl",
            "min_backoff",
            "max_backoff",
            "exit_on_err",
            "config",
        ],
    ),
    (ARRIVES, "sinks", &["sink"]),
    (
        ARRIVES,
        "sink",
        &[
            "type",
            "wrap_ttl",
            "dh_type",
            "dh_path",
            "derive_key",
            "aad",
            "aad_env_var",
            "on_exit",
            "config",
        ],
    ),
    (ARRIVES, "plugin", &["sha256", "allow", "limits"]),
    (JUDGED, "plugin", &["override"]),
    (ARRIVES, "plugin.allow", &["connect", "read", "remove", "env", "server", "kdc"]),
    (JUDGED, "plugin.allow", &["watch", "write"]),
    (ARRIVES, "plugin.limits", &["memory", "timeout"]),
    (
        JUDGED,
        "telemetry",
        &[
            "prometheus_retention_time",
            "disable_hostname",
            "enable_hostname_label",
            "metrics_prefix",
            "prefix_filter",
            "filter_default",
            "usage_gauge_period",
            "maximum_gauge_cardinality",
            "lease_metrics_epsilon",
            "num_lease_metrics_buckets",
            "add_lease_metrics_namespace_labels",
            "add_mount_point_rollback_metrics",
            "statsd_address",
            "statsite_address",
            "dogstatsd_addr",
            "dogstatsd_tags",
            "circonus_api_token",
            "circonus_api_app",
            "circonus_api_url",
            "circonus_submission_interval",
            "circonus_submission_url",
            "circonus_check_id",
            "circonus_check_force_metric_activation",
            "circonus_check_instance_id",
            "circonus_check_search_tag",
            "circonus_check_tags",
            "circonus_check_display_name",
            "circonus_broker_id",
            "circonus_broker_select_tag",
            "stackdriver_project_id",
            "stackdriver_location",
            "stackdriver_namespace",
            "stackdriver_debug_logs",
        ],
    ),
    (
        JUDGED,
        "api_proxy",
        &[
            "use_auto_auth_token",
            "enforce_consistency",
            "when_inconsistent",
            "prepend_configured_namespace",
        ],
    ),
    (
        JUDGED,
        "listener",
        &[
            "type",
            "address",
            "role",
            "require_request_header",
            "agent_api",
            "tls_disable",
            "tls_cert_file",
            "tls_key_file",
            "tls_client_ca_file",
            "tls_min_version",
            "tls_max_version",
            "tls_cipher_suites",
            "tls_key_exchange_preferences",
            "tls_require_and_verify_client_cert",
            "tls_disable_client_certs",
            "tls_auto_reload",
            "tls_auto_reload_interval",
            "tls_acme_domains",
            "socket_mode",
            "socket_user",
            "socket_group",
            "cluster_address",
            "purpose",
            "http_read_timeout",
            "http_read_header_timeout",
            "http_write_timeout",
            "http_idle_timeout",
            "max_request_size",
            "max_request_json_memory",
            "max_request_json_strings",
            "max_request_duration",
            "cors_enabled",
            "cors_allowed_origins",
            "cors_allowed_headers",
            "custom_response_headers",
            "telemetry",
            "profiling",
            "proxy_protocol_behavior",
            "proxy_protocol_authorized_addrs",
            "x_forwarded_for_authorized_addrs",
            "x_forwarded_for_hop_skips",
            "x_forwarded_for_reject_not_authorized",
            "x_forwarded_for_reject_not_present",
        ],
    ),
    (JUDGED, "listener.agent_api", &["enable_quit"]),
    (
        JUDGED,
        "cache",
        &[
            "use_auto_auth_token",
            "persist",
            "enforce_consistency",
            "when_inconsistent",
            "cache_static_secrets",
            "static_secret_token_capability_refresh_interval",
            "static_secret_token_capability_refresh_behavior",
            "disable_caching_dynamic_secrets",
        ],
    ),
    (
        JUDGED,
        "cache.persist",
        &["type", "path", "keep_after_import", "exit_on_err", "service_account_token_file"],
    ),
    (
        JUDGED,
        "template",
        &[
            "source",
            "contents",
            "destination",
            "create_dest_dirs",
            "perms",
            "user",
            "uid",
            "group",
            "gid",
            "backup",
            "command",
            "command_timeout",
            "exec",
            "wait",
            "error_on_missing_key",
            "error_fatal",
            "left_delimiter",
            "right_delimiter",
            "sandbox_path",
            "function_denylist",
            "function_blacklist",
        ],
    ),
    (
        JUDGED,
        "template.exec",
        &[
            "command",
            "enabled",
            "env",
            "kill_signal",
            "kill_timeout",
            "reload_signal",
            "splay",
            "timeout",
        ],
    ),
    (JUDGED, "template.exec.env", &["pristine", "custom", "allowlist", "denylist"]),
    (JUDGED, "template.wait", &["enabled", "min", "max"]),
    (
        JUDGED,
        "template_config",
        &[
            "exit_on_retry_failure",
            "static_secret_render_interval",
            "max_connections_per_host",
            "lease_renewal_threshold",
        ],
    ),
    (
        JUDGED,
        "env_template",
        &[
            "source",
            "contents",
            "destination",
            "create_dest_dirs",
            "perms",
            "user",
            "uid",
            "group",
            "gid",
            "backup",
            "command",
            "command_timeout",
            "exec",
            "wait",
            "error_on_missing_key",
            "error_fatal",
            "left_delimiter",
            "right_delimiter",
            "sandbox_path",
            "function_denylist",
            "function_blacklist",
        ],
    ),
    (JUDGED, "exec", &["command", "restart_on_secret_changes", "restart_stop_signal"]),
];

#[test]
fn each_key_has_a_test_that_names_it() {
    for block in ALL {
        for key in block.keys {
            let covering = COVERAGE
                .iter()
                .find(|(_, name, keys)| *name == block.name && keys.contains(&key.name));
            let Some((test, ..)) = covering else {
                panic!("no test covers `{}` in {}", key.name, block.name);
            };
            let function = format!("fn {test}(");
            assert!(SOURCES.iter().any(|source| source.contains(&function)), "{test}");
            let named = SOURCES.iter().any(|source| {
                (source.contains(&function) || *test == JUDGED) && names(source, key.name)
            });
            assert!(named, "{test} doesn't name `{}` of {}", key.name, block.name);
        }
    }
    for (_, name, keys) in COVERAGE {
        let block = ALL.iter().find(|block| block.name == *name);
        for key in *keys {
            assert!(block.is_some_and(|block| block.key(key).is_some()), "{name} has no `{key}`");
        }
    }
}

/// Whether the text has the key as a whole word.
fn names(source: &str, key: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source.match_indices(key).any(|(at, _)| {
        !source[..at].ends_with(part_of_word) && !source[at + key.len()..].starts_with(part_of_word)
    })
}
