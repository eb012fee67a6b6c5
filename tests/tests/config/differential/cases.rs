//! The configurations that both agents judge: every row of what is known of the incumbents' rules,
//! the inputs that they refuse, and what their documentation shows.

/// One configuration.
pub(crate) struct Case {
    /// For messages and for the list of differences.
    pub(crate) name: &'static str,
    /// The name of the file.
    pub(crate) file: &'static str,
    /// What is in it; [`DIRECTORY`] is that of the file.
    pub(crate) text: String,
}

/// Where the certificate "c" with its key "k" is.
pub(crate) const DIRECTORY: &str = "@DIRECTORY";

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let hcl = TOP.iter().map(|(name, text)| (*name, "agent.hcl", format!("@GOOD\n{text}\n")));
    let whole = WHOLE.iter().map(|(name, text)| (*name, "agent.hcl", (*text).to_owned()));
    let json = JSON.iter().map(|(name, text)| (*name, "agent.json", (*text).to_owned()));
    hcl.chain(whole)
        .chain(json)
        .map(|(name, file, mut text)| {
            for (short, long) in SHORT {
                text = text.replace(short, long);
            }
            Case { name, file, text }
        })
        .collect()
}

/// What stands for what; in this order.
const SHORT: [(&str, &str); 9] = [
    ("@GOOD", "auto_auth {\n  @METHOD\n  sink \"file\" { @PATH }\n}"),
    ("@METHOD", "method \"approle\" { @ROLE }"),
    ("@ROLE", "config { role_id_file_path = \"/r\" }"),
    ("@PATH", "config { path = \"/s\" }"),
    ("@LISTENER", "listener \"tcp\" { tls_disable = true }"),
    ("@TLS", "tls_cert_file = \"@DIRECTORY/c\" tls_key_file = \"@DIRECTORY/k\""),
    ("@FILES", "source = \"/x\" destination = \"/y\""),
    ("@ENV", "env_template \"A\" { contents = \"x\" }"),
    ("@EXEC", "exec { command = [\"env\"] }"),
];

/// Beside a good `auto_auth` block.
const TOP: &[(&str, &str)] = &[
    ("nothing more", ""),
    ("any key case", "EXIT_AFTER_AUTH = true Pid_File = \"/p\""),
    ("last scalar wins", "log_level = \"warn\" log_level = \"info\""),
    ("unknown key", "zzz = 1 vault { zzz = 2 }"),
    ("exit_after_auth quoted", "exit_after_auth = \"true\""),
    ("exit_after_auth number", "exit_after_auth = 1"),
    ("pid_file number", "pid_file = 5"),
    ("pid_file boolean", "pid_file = true"),
    ("log_level unknown", "log_level = \"loud\""),
    ("log_level upper case", "log_level = \"WARNING\""),
    ("log_format unknown", "log_format = \"xml\""),
    (
        "log_file and rotation",
        "log_file = \"/l\" log_rotate_bytes = \"10\" log_rotate_duration = \"12h\" log_rotate_max_files = -1",
    ),
    ("log_rotate_bytes with unit", "log_rotate_bytes = \"10mb\""),
    ("log_rotate_duration fraction of days", "log_rotate_duration = \"1.5d\""),
    ("log_rotate_max_files fraction", "log_rotate_max_files = 1.5"),
    (
        "disable_idle_connections",
        "disable_idle_connections = [\"auto-auth\", \"caching\", \"proxying\", \"templating\", \"\"]",
    ),
    ("disable_idle_connections unknown", "disable_idle_connections = [\"foo\"]"),
    ("disable_idle_connections upper case", "disable_idle_connections = [\"AUTO-AUTH\"]"),
    ("disable_idle_connections string", "disable_idle_connections = \"auto-auth\""),
    ("disable_keep_alives unknown", "disable_keep_alives = [\"foo\"]"),
    ("cluster_name", "cluster_name = \"x\""),
    ("cluster_name list", "cluster_name = [\"a\"]"),
    ("disable_mlock true", "disable_mlock = true"),
    ("disable_mlock false", "disable_mlock = false"),
    ("default_max_request_duration bad", "default_max_request_duration = \"x\""),
    ("blocks of the server", "seal \"x\" { } kms \"x\" { } hsm { }"),
    ("user_lockout", "user_lockout \"all\" { }"),
    ("telemetry", "telemetry { prometheus_retention_time = \"30s\" disable_hostname = true }"),
    ("telemetry other target", "telemetry { statsd_address = \"127.0.0.1:8125\" }"),
    (
        "telemetry in full",
        "telemetry { enable_hostname_label = true metrics_prefix = \"x\" filter_default = true prefix_filter = [\"+a\"] usage_gauge_period = \"5m\" maximum_gauge_cardinality = 5 lease_metrics_epsilon = \"1h\" num_lease_metrics_buckets = 5 add_lease_metrics_namespace_labels = true add_mount_point_rollback_metrics = true }",
    ),
    (
        "telemetry to others",
        "telemetry { statsite_address = \"x\" dogstatsd_addr = \"x\" dogstatsd_tags = [\"a\"] circonus_api_token = \"x\" circonus_api_app = \"x\" circonus_api_url = \"x\" circonus_submission_interval = \"x\" circonus_submission_url = \"x\" circonus_check_id = \"x\" circonus_check_force_metric_activation = \"x\" circonus_check_instance_id = \"x\" circonus_check_search_tag = \"x\" circonus_check_tags = \"x\" circonus_check_display_name = \"x\" circonus_broker_id = \"x\" circonus_broker_select_tag = \"x\" stackdriver_project_id = \"x\" stackdriver_location = \"x\" stackdriver_namespace = \"x\" stackdriver_debug_logs = true }",
    ),
    ("telemetry unknown key", "telemetry { foo = 1 }"),
    ("telemetry quoted boolean", "telemetry { disable_hostname = \"true\" }"),
    ("telemetry bad duration", "telemetry { prometheus_retention_time = \"x\" }"),
    ("telemetry prefix_filter string", "telemetry { prefix_filter = \"+a\" }"),
    ("telemetry twice", "telemetry { } telemetry { }"),
    (
        "vault in full",
        "vault { address = \"http://bao:8200\" ca_cert = \"/c\" ca_path = \"/d\" client_cert = \"/e\" client_key = \"/f\" tls_skip_verify = \"0\" tls_server_name = \"bao\" namespace = \"a\" retry { num_retries = \"5\" } }",
    ),
    ("vault twice", "vault { } vault { }"),
    ("vault labelled", "vault \"x\" { }"),
    ("vault no block", "vault = 5"),
    ("vault address boolean", "vault { address = true }"),
    ("vault address without scheme", "vault { address = \"bao:8200\" }"),
    ("vault address with v1", "vault { address = \"https://bao:8200/v1\" }"),
    ("vault address with variable", "vault { address = \"https://${HOST}:8200\" }"),
    ("vault address with user", "vault { address = \"https://user:password@bao:8200\" }"),
    ("vault ca_cert missing", "vault { ca_cert = \"/nowhere/ca.pem\" }"),
    ("vault ca_cert without certificate", "vault { ca_cert = \"/etc/hostname\" }"),
    ("vault ca_path missing", "vault { ca_path = \"/nowhere\" }"),
    (
        "vault client_cert missing",
        "vault { client_cert = \"/nowhere/c.pem\" client_key = \"/nowhere/k.pem\" }",
    ),
    ("template_config without template", "template_config { exit_on_retry_failure = true }"),
    ("vault client_cert alone", "vault { client_cert = \"/c\" }"),
    ("tls_skip_verify weak", "vault { tls_skip_verify = \"T\" }"),
    ("tls_skip_verify number", "vault { tls_skip_verify = 1 }"),
    ("tls_skip_verify bad", "vault { tls_skip_verify = \"maybe\" }"),
    ("retry twice", "vault { retry { } retry { } }"),
    ("num_retries negative", "vault { retry { num_retries = -1 } }"),
    ("num_retries fraction", "vault { retry { num_retries = 1.5 } }"),
    ("num_retries word", "vault { retry { num_retries = \"many\" } }"),
    ("auto_auth twice", "@GOOD"),
    ("listener tcp", "@LISTENER"),
    (
        "listener unix",
        "listener \"unix\" { address = \"/x\" socket_mode = \"0600\" socket_user = \"0\" socket_group = \"0\" }",
    ),
    ("listener udp", "listener \"udp\" { }"),
    ("listener without type", "listener { }"),
    ("listener type upper case", "listener { type = \"TCP\" }"),
    ("listener role metrics_only", "listener \"tcp\" { role = \"metrics_only\" }"),
    ("listener role unknown", "listener \"tcp\" { role = \"zzz\" }"),
    ("listener tls_disable bad", "listener \"tcp\" { tls_disable = \"maybe\" }"),
    ("listener address boolean", "listener \"tcp\" { address = true }"),
    ("listener quit quoted", "listener \"tcp\" { agent_api { enable_quit = \"true\" } }"),
    ("listener quit", "listener \"tcp\" { agent_api { enable_quit = true } }"),
    ("listener quit of a proxy", "listener \"tcp\" { proxy_api { enable_quit = true } }"),
    (
        "listener quit of a proxy quoted",
        "listener \"tcp\" { proxy_api { enable_quit = \"true\" } }",
    ),
    ("listener require_request_header weak", "listener \"tcp\" { require_request_header = \"t\" }"),
    ("listener reload without certificate", "listener \"tcp\" { tls_auto_reload = true }"),
    (
        "listener reload too often",
        "listener \"tcp\" { tls_cert_file = \"/c\" tls_auto_reload_interval = \"1s\" }",
    ),
    ("listener timeout bad", "listener \"tcp\" { http_read_timeout = \"x\" }"),
    ("listener max_request_size bad", "listener \"tcp\" { max_request_size = \"x\" }"),
    (
        "listener acme",
        "listener \"tcp\" { tls_acme_domains = [\"a\"] tls_key_exchange_preferences = [\"X25519\"] tls_client_ca_file = \"/c\" tls_require_and_verify_client_cert = true tls_disable_client_certs = false tls_min_version = \"tls12\" tls_max_version = \"tls13\" tls_cert_file = \"/c\" tls_key_file = \"/k\" tls_cipher_suites = \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\" }",
    ),
    (
        "listener acme in full",
        "listener \"tcp\" { tls_acme_ca_directory = \"https://a\" tls_acme_test_ca_directory = \"https://a\" tls_acme_ca_root = \"/r\" tls_acme_cache_path = \"/p\" tls_acme_email = \"a@b\" tls_acme_key_type = \"ed25519\" tls_acme_eab_key_id = \"a\" tls_acme_eab_mac_key = \"a\" tls_acme_challenge_host = \"a\" tls_acme_http_challenge_port = 80 tls_acme_alpn_challenge_port = 443 tls_acme_disable_http_challenge = true tls_acme_disable_alpn_challenge = false }",
    ),
    ("listener without certificate", "listener \"tcp\" { }"),
    ("listener certificate", "listener \"tcp\" { @TLS }"),
    (
        "listener certificate missing",
        "listener \"tcp\" { tls_cert_file = \"/nowhere/c\" tls_key_file = \"/nowhere/k\" }",
    ),
    ("listener certificate without key", "listener \"tcp\" { tls_cert_file = \"/c\" }"),
    ("listener key without certificate", "listener \"tcp\" { tls_key_file = \"/k\" }"),
    ("listener version unknown", "listener \"tcp\" { @TLS tls_min_version = \"zzz\" }"),
    ("listener version old", "listener \"tcp\" { @TLS tls_min_version = \"tls10\" }"),
    (
        "listener versions reversed",
        "listener \"tcp\" { @TLS tls_min_version = \"tls13\" tls_max_version = \"tls12\" }",
    ),
    ("listener cipher suite unknown", "listener \"tcp\" { @TLS tls_cipher_suites = \"ZZZ\" }"),
    (
        "listener cipher suite weak",
        "listener \"tcp\" { @TLS tls_cipher_suites = \"TLS_RSA_WITH_AES_128_CBC_SHA\" }",
    ),
    (
        "listener cipher suite former name",
        "listener \"tcp\" { @TLS tls_cipher_suites = \"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305, TLS_AES_128_GCM_SHA256\" }",
    ),
    (
        "listener client certificates without authority",
        "listener \"tcp\" { @TLS tls_require_and_verify_client_cert = true }",
    ),
    (
        "listener client certificates required and not asked for",
        "listener \"tcp\" { @TLS tls_client_ca_file = \"/c\" tls_require_and_verify_client_cert = true tls_disable_client_certs = true }",
    ),
    ("listener address without port", "listener \"tcp\" { tls_disable = true address = \"::1\" }"),
    (
        "listener address template",
        "listener \"tcp\" { tls_disable = true address = \"{{ GetPrivateIP }}:8100\" }",
    ),
    ("listener socket without path", "listener \"unix\" { }"),
    ("listener socket plain", "listener \"unix\" { address = \"/x\" }"),
    ("listener socket mode wrong", "listener \"unix\" { address = \"/x\" socket_mode = \"rw\" }"),
    ("listener socket mode number", "listener \"unix\" { address = \"/x\" socket_mode = 0600 }"),
    ("listeners at one place", "@LISTENER @LISTENER"),
    (
        "listener of the server",
        "listener \"tcp\" { cluster_address = \"x\" purpose = \"x\" http_read_header_timeout = \"1s\" http_write_timeout = 1 http_idle_timeout = \"1m\" max_request_json_memory = 5 max_request_json_strings = \"5\" max_request_duration = \"1m\" cors_enabled = true cors_allowed_origins = [\"*\"] cors_allowed_headers = [\"a\"] custom_response_headers { } profiling { } proxy_protocol_behavior = \"use_always\" proxy_protocol_authorized_addrs = \"10.0.0.1\" x_forwarded_for_authorized_addrs = \"10.0.0.1\" x_forwarded_for_hop_skips = 0 x_forwarded_for_reject_not_authorized = true x_forwarded_for_reject_not_present = true }",
    ),
    ("cache alone", "cache { }"),
    ("cache twice", "@LISTENER cache { } cache { }"),
    ("cache with template", "cache { } template { @FILES }"),
    ("cache token without listener", "cache { use_auto_auth_token = true } template { @FILES }"),
    ("cache token force", "@LISTENER cache { use_auto_auth_token = \"FORCE\" }"),
    ("cache token maybe", "@LISTENER cache { use_auto_auth_token = \"maybe\" }"),
    (
        "cache persist",
        "@LISTENER cache { persist \"kubernetes\" { path = \"@DIRECTORY/p\" keep_after_import = true exit_on_err = true service_account_token_file = \"@DIRECTORY/k\" } }",
    ),
    ("cache persist without type", "@LISTENER cache { persist { path = \"/p\" } }"),
    (
        "cache persist twice",
        "@LISTENER cache { persist \"kubernetes\" { } persist \"kubernetes\" { } }",
    ),
    ("cache persist without path", "@LISTENER cache { persist \"kubernetes\" { } }"),
    ("cache persist of another type", "@LISTENER cache { persist \"disk\" { path = \"/p\" } }"),
    ("cache persist for identities alone", "cache { persist \"systemd\" { } }"),
    (
        "our key of persist beside its file",
        "@LISTENER cache { persist \"file\" { path = \"/p\" key_file = \"/p/k\" } }",
    ),
    (
        "our key of persist for another type",
        "@LISTENER cache { persist \"kubernetes\" { path = \"@DIRECTORY/p\" service_account_token_file = \"@DIRECTORY/k\" key_credential = \"c\" } }",
    ),
    (
        "cache persist quoted boolean",
        "@LISTENER cache { persist \"kubernetes\" { keep_after_import = \"true\" } }",
    ),
    (
        "cache keys of Vault",
        "@LISTENER cache { enforce_consistency = \"always\" when_inconsistent = \"retry\" cache_static_secrets = true static_secret_token_capability_refresh_interval = \"5m\" static_secret_token_capability_refresh_behavior = \"optimistic\" disable_caching_dynamic_secrets = true }",
    ),
    ("api_proxy", "@LISTENER api_proxy { use_auto_auth_token = true }"),
    (
        "api_proxy keys of Vault",
        "@LISTENER api_proxy { enforce_consistency = \"always\" when_inconsistent = \"retry\" prepend_configured_namespace = true }",
    ),
    ("api_proxy twice", "@LISTENER api_proxy { } api_proxy { }"),
    ("api_proxy without listener", "api_proxy { }"),
    (
        "api_proxy and cache token",
        "@LISTENER api_proxy { use_auto_auth_token = true } cache { use_auto_auth_token = true }",
    ),
    ("api_proxy token maybe", "@LISTENER api_proxy { use_auto_auth_token = \"maybe\" }"),
    ("template", "template { @FILES }"),
    (
        "template in full",
        "template { contents = \"x\" destination = \"/y\" create_dest_dirs = false perms = \"0640\" user = \"root\" group = \"root\" backup = true error_on_missing_key = true error_fatal = false left_delimiter = \"<\" right_delimiter = \">\" sandbox_path = \"/\" function_denylist = [\"env\"] wait { min = \"2s\" max = \"10s\" } exec { command = [\"true\"] timeout = \"3s\" splay = \"1s\" kill_timeout = \"1s\" enabled = true } }",
    ),
    ("template owner by number", "template { @FILES uid = 0 gid = 0 }"),
    ("template uid quoted", "template { @FILES uid = \"0\" }"),
    ("template unknown key", "template { @FILES zzz = 1 }"),
    ("template perms number", "template { @FILES perms = 0640 }"),
    ("template perms fraction", "template { @FILES perms = 1.5 }"),
    ("value missing at the end", "pid_file ="),
    ("template perms word", "template { @FILES perms = \"rw\" }"),
    ("template quoted boolean", "template { @FILES create_dest_dirs = \"true\" }"),
    ("template command string", "template { @FILES command = \"a,b\" command_timeout = \"5s\" }"),
    ("template command number", "template { @FILES command = 5 }"),
    ("template command_timeout number", "template { @FILES command_timeout = 5 }"),
    ("template command_timeout digits", "template { @FILES command_timeout = \"5\" }"),
    ("template command_timeout days", "template { @FILES command_timeout = \"5d\" }"),
    ("template exec unknown key", "template { @FILES exec { zzz = 1 } }"),
    (
        "template exec environment",
        "template { @FILES exec { env { pristine = true custom = [\"A=b\"] allowlist = [\"C\"] denylist = [\"D\"] } } }",
    ),
    (
        "template exec signal",
        "template { @FILES exec { kill_signal = \"SIGINT\" reload_signal = \"SIGHUP\" } }",
    ),
    ("template exec no signal", "template { @FILES exec { kill_signal = \"NOPE\" } }"),
    ("template wait string", "template { @FILES wait = \"2s:10s\" }"),
    ("template wait reversed", "template { @FILES wait = \"10s:2s\" }"),
    ("template wait negative", "template { @FILES wait = \"-2s\" }"),
    ("template wait number", "template { @FILES wait = 5 }"),
    ("template wait unknown key", "template { @FILES wait { zzz = 1 } }"),
    ("template delimiter number", "template { @FILES left_delimiter = 5 }"),
    ("template former name", "template { @FILES function_blacklist = [\"env\"] }"),
    ("template list", "template = [{ @FILES }, { @FILES }]"),
    ("template no block", "template = 5"),
    (
        "template_config",
        "template_config { exit_on_retry_failure = true static_secret_render_interval = 60 max_connections_per_host = 5 lease_renewal_threshold = 0.9 }",
    ),
    ("template_config quoted boolean", "template_config { exit_on_retry_failure = \"true\" }"),
    ("template_config bad duration", "template_config { static_secret_render_interval = \"x\" }"),
    ("template_config twice", "template_config { } template_config { }"),
    ("exec and env_template", "@EXEC @ENV"),
    ("exec without env_template", "@EXEC"),
    ("env_template without exec", "@ENV"),
    ("exec with template", "@EXEC @ENV template { @FILES }"),
    ("exec with api_proxy", "@EXEC @ENV @LISTENER api_proxy { }"),
    ("exec command string", "exec { command = \"env\" } @ENV"),
    ("exec command empty", "exec { command = [] } @ENV"),
    (
        "exec restart sometimes",
        "exec { command = [\"env\"] restart_on_secret_changes = \"sometimes\" } @ENV",
    ),
    (
        "exec restart never",
        "exec { command = [\"env\"] restart_on_secret_changes = \"never\" restart_stop_signal = \"sigusr1\" } @ENV",
    ),
    (
        "exec signal unknown",
        "exec { command = [\"env\"] restart_stop_signal = \"notasignal\" } @ENV",
    ),
    ("exec unknown key", "exec { command = [\"env\"] zzz = 1 } @ENV"),
    ("exec twice", "@EXEC @EXEC @ENV"),
    ("env_template twice", "@EXEC @ENV @ENV"),
    ("env_template empty", "@EXEC env_template \"A\" { }"),
    ("env_template both", "@EXEC env_template \"A\" { contents = \"x\" source = \"/y\" }"),
    ("env_template without name", "@EXEC env_template { contents = \"x\" }"),
    ("env_template two names", "@EXEC env_template \"A\" \"B\" { contents = \"x\" }"),
    (
        "env_template destination",
        "@EXEC env_template \"A\" { contents = \"x\" destination = \"/y\" create_dest_dirs = true }",
    ),
    ("env_template unknown key", "@EXEC env_template \"A\" { contents = \"x\" zzz = 1 }"),
    (
        "env_template allowed keys",
        "@EXEC env_template \"A\" { contents = \"x\" error_on_missing_key = true left_delimiter = \"<\" function_denylist = [\"x\"] }",
    ),
    (
        "ours",
        "plugin_directory = \"/p\" plugin \"x\" { override = true limits { memory = \"1MiB\" timeout = \"1s\" } allow { connect = [\"https://x\"] read = [\"/a\"] watch = [\"/a\"] write = [\"/a\"] remove = [\"/a\"] env = [\"A\"] server = [\"unwrap\"] kdc = [\"R\"] } } admin_socket = \"/a\" metrics_address = \"127.0.0.1:9102\" identity \"web\" { method \"approle\" { @ROLE } sink \"file\" { config { path = \"/w\" } } }",
    ),
    ("ours misspelt", "plugin \"x\" { alow { } }"),
    ("our metrics_address bad", "metrics_address = \"localhost\""),
    (
        "ours of a listener",
        "listener \"unix\" { address = \"/x\" identity = \"default\" allow_users = [\"root\"] allow_groups = [\"0\"] } api_proxy { namespace = \"team\" }",
    ),
    ("our identity unknown", "listener \"unix\" { address = \"/x\" identity = \"web\" }"),
    (
        "our allow_users of a port",
        "listener \"tcp\" { tls_disable = true allow_users = [\"root\"] }",
    ),
    ("our namespace bad", "@LISTENER api_proxy { namespace = \"a b\" }"),
    ("our plugin_lock", "plugin_lock = \"/l\""),
];

/// On their own.
const WHOLE: &[(&str, &str)] = &[
    ("empty", ""),
    ("only vault", "vault { }"),
    ("only listener", "@LISTENER"),
    ("only cache and listener", "@LISTENER cache { }"),
    ("only template", "template { @FILES }"),
    ("only listener and template", "@LISTENER template { @FILES }"),
    ("cache token without auto_auth", "@LISTENER cache { use_auto_auth_token = true }"),
    ("cache force without auto_auth", "@LISTENER cache { use_auto_auth_token = \"force\" }"),
    ("cache no token without auto_auth", "@LISTENER cache { use_auto_auth_token = false }"),
    ("api_proxy token without auto_auth", "@LISTENER api_proxy { use_auto_auth_token = true }"),
    ("exec without auto_auth", "@EXEC @ENV"),
    ("exec with listener", "@LISTENER @EXEC @ENV"),
    ("unclosed", "auto_auth {"),
    ("equals twice", "auto_auth = = { }"),
    ("semicolon", "exit_after_auth = true; pid_file = \"x\""),
    ("comment before JSON", "# comment\n{ \"pid_file\": \"/p\" }"),
    ("no sink", "auto_auth { @METHOD }"),
    ("no sink but template", "auto_auth { @METHOD } template { @FILES }"),
    ("no sink but env_template", "auto_auth { @METHOD } @EXEC @ENV"),
    (
        "no sink but proxied token",
        "auto_auth { @METHOD } @LISTENER api_proxy { use_auto_auth_token = true }",
    ),
    (
        "no sink but cached token",
        "auto_auth { @METHOD } @LISTENER cache { use_auto_auth_token = true }",
    ),
    ("no sink but api_proxy", "auto_auth { @METHOD } @LISTENER api_proxy { }"),
    ("empty sinks", "auto_auth { @METHOD sinks { } }"),
    ("no method", "auto_auth { sink \"file\" { @PATH } }"),
    ("two methods", "auto_auth { @METHOD @METHOD sink \"file\" { @PATH } }"),
    ("method without type", "auto_auth { method { @ROLE } sink \"file\" { @PATH } }"),
    ("method with two labels", "auto_auth { method \"a\" \"b\" { } sink \"file\" { @PATH } }"),
    ("method label empty", "auto_auth { method \"\" { } sink \"file\" { @PATH } }"),
    ("method type number", "auto_auth { method { type = 5 } sink \"file\" { @PATH } }"),
    ("method unknown", "auto_auth { method \"pigeon\" { } sink \"file\" { @PATH } }"),
    ("method misspelt", "auto_auth { method \"appprole\" { @ROLE } sink \"file\" { @PATH } }"),
    (
        "method kubernetes",
        "auto_auth { method \"kubernetes\" { config { role = \"app\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method of Vault",
        "auto_auth { method \"aws\" { config { type = \"iam\" role = \"app\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method label upper case",
        "auto_auth { method \"AppRole\" { @ROLE } sink \"FILE\" { @PATH } }",
    ),
    ("method bare label", "auto_auth { method approle { @ROLE } sink file { @PATH } }"),
    ("method as value", "auto_auth { method = \"approle\" sink \"file\" { @PATH } }"),
    (
        "method as object",
        "auto_auth = { method = { type = \"approle\" @ROLE } sink = { type = \"file\" @PATH } }",
    ),
    ("method type as key", "auto_auth { method { approle { @ROLE } } sink \"file\" { @PATH } }"),
    (
        "method in full",
        "auto_auth { enable_reauth_on_new_credentials = true method \"approle\" { mount_path = \"auth/x/\" namespace = \"/a//b/\" min_backoff = \"2s\" max_backoff = 60 exit_on_err = true wrap_ttl = \"-5m\" @ROLE } sink \"file\" { @PATH } }",
    ),
    ("method without settings", "auto_auth { method \"approle\" { } sink \"file\" { @PATH } }"),
    (
        "method config twice",
        "auto_auth { method \"approle\" { @ROLE config { secret_id_file_path = \"/i\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method config labelled",
        "auto_auth { method \"approle\" { config \"x\" { role_id_file_path = \"/r\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method config string",
        "auto_auth { method \"approle\" { config = \"x\" } sink \"file\" { @PATH } }",
    ),
    (
        "exit_on_err quoted",
        "auto_auth { method \"approle\" { exit_on_err = \"true\" @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "reauth quoted",
        "auto_auth { enable_reauth_on_new_credentials = \"true\" @METHOD sink \"file\" { @PATH } }",
    ),
    (
        "min_backoff bad",
        "auto_auth { method \"approle\" { min_backoff = \"soon\" @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "backoff reversed",
        "auto_auth { method \"approle\" { min_backoff = 9 max_backoff = 3 @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "backoff equal",
        "auto_auth { method \"approle\" { min_backoff = \"5m\" @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "mount_path boolean",
        "auto_auth { method \"approle\" { mount_path = true @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "mount_path slash",
        "auto_auth { method \"approle\" { mount_path = \"/\" @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "namespace list",
        "auto_auth { method \"approle\" { namespace = [1] @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "method wrapped",
        "auto_auth { method \"approle\" { wrap_ttl = \"5m\" @ROLE } sink \"file\" { @PATH } }",
    ),
    (
        "method wrapped without sink",
        "auto_auth { method \"approle\" { wrap_ttl = \"5m\" @ROLE } } template { @FILES }",
    ),
    (
        "method wrapped with two sinks",
        "auto_auth { method \"approle\" { wrap_ttl = \"5m\" @ROLE } sink \"file\" { @PATH } sink \"file\" { config { path = \"/t\" } } }",
    ),
    (
        "method and sink wrapped",
        "auto_auth { method \"approle\" { wrap_ttl = \"5m\" @ROLE } sink \"file\" { wrap_ttl = 60 @PATH } }",
    ),
    (
        "method wrapped and cached token",
        "auto_auth { method \"approle\" { wrap_ttl = \"5m\" @ROLE } sink \"file\" { @PATH } } @LISTENER cache { use_auto_auth_token = true }",
    ),
    (
        "method wrapped and proxied token",
        "auto_auth { method \"approle\" { wrap_ttl = \"5m\" @ROLE } sink \"file\" { @PATH } } @LISTENER api_proxy { use_auto_auth_token = true }",
    ),
    (
        "sink in full",
        "auto_auth { @METHOD sink \"file\" { wrap_ttl = \"5m\" dh_type = \"curve25519\" dh_path = \"/k\" derive_key = true aad = \"x\" config { path = \"/s\" mode = 0600 } } }",
    ),
    (
        "sink aad variable",
        "auto_auth { @METHOD sink \"file\" { dh_type = \"curve25519\" dh_path = \"/k\" aad_env_var = \"PATH\" @PATH } }",
    ),
    (
        "sink aad variable not set",
        "auto_auth { @METHOD sink \"file\" { aad_env_var = \"NOT_SET_ANYWHERE\" @PATH } }",
    ),
    (
        "sink aad variable without dh_type",
        "auto_auth { @METHOD sink \"file\" { aad_env_var = \"PATH\" @PATH } }",
    ),
    (
        "sink dh_type alone",
        "auto_auth { @METHOD sink \"file\" { dh_type = \"curve25519\" @PATH } }",
    ),
    ("sink dh_path alone", "auto_auth { @METHOD sink \"file\" { dh_path = \"/k\" @PATH } }"),
    (
        "sink dh_type unknown",
        "auto_auth { @METHOD sink \"file\" { dh_type = \"rsa\" dh_path = \"/k\" @PATH } }",
    ),
    ("sink aad without dh_type", "auto_auth { @METHOD sink \"file\" { aad = \"x\" @PATH } }"),
    (
        "sink derive_key without dh_type",
        "auto_auth { @METHOD sink \"file\" { derive_key = true @PATH } }",
    ),
    ("sink no derive_key", "auto_auth { @METHOD sink \"file\" { derive_key = false @PATH } }"),
    ("sink wrap_ttl bad", "auto_auth { @METHOD sink \"file\" { wrap_ttl = \"5 minutes\" @PATH } }"),
    ("sink wrap_ttl boolean", "auto_auth { @METHOD sink \"file\" { wrap_ttl = true @PATH } }"),
    ("sink without type", "auto_auth { @METHOD sink { @PATH } }"),
    ("sink with two labels", "auto_auth { @METHOD sink \"file\" \"x\" { @PATH } }"),
    ("sink unknown", "auto_auth { @METHOD sink \"pigeon\" { @PATH } }"),
    ("sink without path", "auto_auth { @METHOD sink \"file\" { } }"),
    ("sink config number", "auto_auth { @METHOD sink \"file\" { config = 5 } }"),
    (
        "sink mode quoted",
        "auto_auth { @METHOD sink \"file\" { config { path = \"/s\" mode = \"0640\" } } }",
    ),
    (
        "sink mode not octal",
        "auto_auth { @METHOD sink \"file\" { config { path = \"/s\" mode = 640 } } }",
    ),
    (
        "sink list",
        "auto_auth { @METHOD sink = [{ type = \"file\" @PATH }, { type = \"file\" config { path = \"/t\" } }] }",
    ),
    ("sink paths equal", "auto_auth { @METHOD sink \"file\" { @PATH } sink \"file\" { @PATH } }"),
    (
        "sinks",
        "auto_auth { @METHOD sinks { sink \"file\" { @PATH } sink \"file\" { config { path = \"/t\" } } } }",
    ),
    (
        "sinks dh_type unknown",
        "auto_auth { @METHOD sinks { sink \"file\" { dh_type = \"rsa\" @PATH } } }",
    ),
    (
        "sinks wrap_ttl bad",
        "auto_auth { @METHOD sinks { sink \"file\" { wrap_ttl = \"x\" @PATH } } }",
    ),
    (
        "sinks derive_key quoted",
        "auto_auth { @METHOD sinks { sink \"file\" { derive_key = \"x\" @PATH } } }",
    ),
    ("sinks without type", "auto_auth { @METHOD sinks { sink { @PATH } } }"),
    (
        "our keys in auto_auth",
        "auto_auth { token_check_interval = \"auto\" on_exit = \"revoke\" @METHOD sink \"file\" { on_exit = \"remove\" @PATH } }",
    ),
    (
        "method cert",
        "auto_auth { method \"cert\" { config = { name = \"web\" client_cert = \"/c\" client_key = \"/k\" reload = true } } sink \"file\" { @PATH } }",
    ),
    (
        "method cert without its key",
        "auto_auth { method \"cert\" { config = { client_cert = \"/c\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method jwt",
        "auto_auth { method \"jwt\" { config = { path = \"/j\" role = \"app\" jwt_read_period = \"90s\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method jwt period zero",
        "auto_auth { method \"jwt\" { config = { path = \"/j\" role = \"app\" jwt_read_period = 0 } } sink \"file\" { @PATH } }",
    ),
    (
        "method kubernetes",
        "auto_auth { method \"kubernetes\" { config = { role = \"app\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method token_file",
        "auto_auth { method \"token_file\" { config = { token_file_path = \"/t\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method ldap",
        "auto_auth { method \"ldap\" { config = { username = \"app\" password_file_path = \"/p\" } } sink \"file\" { @PATH } }",
    ),
    (
        "method ldap user of dots",
        "auto_auth { method \"ldap\" { config = { username = \"..\" password_file_path = \"/p\" } } sink \"file\" { @PATH } }",
    ),
    ("our on_exit bad", "auto_auth { on_exit = \"later\" @METHOD sink \"file\" { @PATH } }"),
    ("only identity", "identity \"web\" { @METHOD sink \"file\" { @PATH } }"),
    (
        "documented sample",
        "pid_file = \"./pidfile\"\nvault {\n  address = \"https://vault-fqdn:8200\"\n  retry {\n    num_retries = 5\n  }\n}\nauto_auth {\n  method \"approle\" {\n    namespace = \"my-namespace/\"\n    config = {\n      role_id_file_path = \"/etc/role\"\n      secret_id_file_path = \"/etc/secret\"\n    }\n  }\n  sink \"file\" {\n    config = {\n      path = \"/tmp/file-foo\"\n    }\n  }\n  sink \"file\" {\n    wrap_ttl = \"5m\"\n    aad_env_var = \"TEST_AAD_ENV\"\n    dh_type = \"curve25519\"\n    dh_path = \"/tmp/file-foo-dhpath2\"\n    config = {\n      path = \"/tmp/file-bar\"\n    }\n  }\n}\ncache {\n}\nlistener \"unix\" {\n  address = \"/path/to/socket\"\n  tls_disable = true\n  agent_api {\n    enable_quit = true\n  }\n}\nlistener \"tcp\" {\n  address = \"127.0.0.1:8100\"\n  tls_disable = true\n}\ntemplate {\n  source = \"/etc/openbao/server.key.ctmpl\"\n  destination = \"/etc/openbao/server.key\"\n}\n",
    ),
];

/// In JSON.
const JSON: &[(&str, &str)] = &[
    (
        "JSON",
        r#"{"auto_auth": {"method": {"type": "approle", "config": {"role_id_file_path": "/r"}}, "sink": {"type": "file", "config": {"path": "/s", "mode": 384}}}}"#,
    ),
    (
        "JSON lists",
        r#"{"pid_file": "/p", "auto_auth": [{"method": [{"type": "approle", "config": [{"role_id_file_path": "/r"}]}], "sink": [{"type": "file", "config": {"path": "/s"}}]}]}"#,
    ),
    (
        "JSON method alone",
        r#"{"auto_auth": {"method": {"type": "approle", "config": {"role_id_file_path": "/r"}}}, "template": [{"contents": "x", "destination": "/a"}]}"#,
    ),
    (
        "JSON method list alone",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}]}, "template": {"contents": "x", "destination": "/a"}}"#,
    ),
    (
        "JSON method as key",
        r#"{"auto_auth": {"method": {"approle": {"config": {"role_id_file_path": "/r"}}}, "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON listener as key",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}, "listener": {"tcp": {"tls_disable": true}}}"#,
    ),
    (
        "JSON persist as key",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}, "listener": [{"type": "tcp", "tls_disable": true}], "cache": {"persist": {"kubernetes": {"path": "@DIRECTORY/p", "service_account_token_file": "@DIRECTORY/k"}}}}"#,
    ),
    (
        "JSON listener lists",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}, "listener": [{"tcp": {"tls_disable": true}}, {"unix": {"address": "/x"}}, {"type": "tcp", "address": "127.0.0.1:8100", "tls_disable": true}]}"#,
    ),
    (
        "JSON sinks",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sinks": [{"sink": {"type": "file", "config": {"path": "/s"}}}]}}"#,
    ),
    (
        "JSON env_template",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}, "exec": {"command": ["env"]}, "env_template": {"FOO": {"contents": "x"}, "BAR": {"contents": "y"}}}"#,
    ),
    (
        "JSON octal",
        r#"{"auto_auth": {"method": [{"type": "approle"}], "sink": [{"type": "file", "config": {"path": "/s", "mode": 0640}}]}}"#,
    ),
    ("JSON comma at the end", r#"{"pid_file": "/p",}"#),
    (
        "JSON as documented",
        r#"{"pid_file": "/p", "auto_auth" = {"method" = [{"type" = "approle", "config" = {"role_id_file_path" = "/r"}}], "sinks" = [{"sink" = {"type" = "file", "config" = {"path" = "/s"}}}]}}"#,
    ),
    (
        "JSON commas at the ends",
        r#"{"vault": {"address": "http://x",}, "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r",},},], "sink": [{"type": "file", "config": {"path": "/s",},},],},}"#,
    ),
    (
        "JSON commas in a list",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}, "disable_idle_connections": [,"auto-auth",,"caching"], "disable_keep_alives": ["auto-auth" "caching"]}"#,
    ),
    (
        "JSON comma too many",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]},,}"#,
    ),
    ("JSON comma alone", "{,}"),
    ("JSON comment", "{ // why\n}"),
    ("JSON comment with a hash", "{ # why\n}"),
    (
        "JSON comment within",
        r#"{ /* why */ "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON key twice",
        r#"{"pid_file": "/p", "pid_file": "/q", "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON block twice",
        r#"{"vault": {}, "vault": {}, "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON single quotes",
        r#"{"pid_file": '/p', "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON null",
        r#"{"pid_file": null, "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON tab",
        "{\"pid_file\": \"/p\tq\", \"auto_auth\": {\"method\": [{\"type\": \"approle\", \"config\": {\"role_id_file_path\": \"/r\"}}], \"sink\": [{\"type\": \"file\", \"config\": {\"path\": \"/s\"}}]}}",
    ),
    (
        "JSON escaped slash",
        r#"{"pid_file": "a\/b", "auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}"#,
    ),
    (
        "JSON goes on",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}} x"#,
    ),
    (
        "JSON goes on with a comment",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}} // why"#,
    ),
    (
        "JSON goes on with an object",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}}{}"#,
    ),
    (
        "JSON cut off",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]}, "pid_file": "/p""#,
    ),
    (
        "JSON comma missing",
        r#"{"auto_auth": {"method": [{"type": "approle", "config": {"role_id_file_path": "/r"}}], "sink": [{"type": "file", "config": {"path": "/s"}}]} "pid_file": "/p"}"#,
    ),
    ("JSON empty", "{}"),
];
