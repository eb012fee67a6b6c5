//! What the command line says, which goes before all else.

/// What the command line says; an empty text blanks the setting.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Overrides {
    pub address: Option<String>,
    pub ca_cert: Option<String>,
    pub ca_path: Option<String>,
    pub client_cert: Option<String>,
    pub client_key: Option<String>,
    pub tls_server_name: Option<String>,
    pub tls_skip_verify: Option<bool>,
    pub namespace: Option<String>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,
    pub log_file: Option<String>,
    pub log_rotate_bytes: Option<String>,
    pub log_rotate_duration: Option<String>,
    pub log_rotate_max_files: Option<String>,
    pub exit_after_auth: Option<bool>,
    pub disable_redirects: Option<bool>,
    /// Take warnings for errors.
    pub strict: bool,
}
