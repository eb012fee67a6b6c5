//! Flags that several commands take: where the server is, and what the configuration is.

use std::path::PathBuf;

use clap::Args;
use usher_config::Overrides;

/// They win over the environment (`BAO_…`, then `VAULT_…`), which wins over the files.
#[derive(Args)]
pub(crate) struct Flags {
    /// Configuration file or directory, HCL or JSON; may be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerFlags,
    /// trace, debug, info, warn or error.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// standard or json.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log to a file too; with a slash at its end a directory.
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// End once every sink has its token.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    exit_after_auth: Option<bool>,
    /// Rotate a log file larger than this.
    #[arg(long, value_name = "BYTES")]
    log_rotate_bytes: Option<String>,
    /// Rotate a log file older than this; 24h by default.
    #[arg(long, value_name = "DURATION")]
    log_rotate_duration: Option<String>,
    /// Keep so many rotated log files; 0: all, -1: none.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    log_rotate_max_files: Option<String>,
    /// Follow no redirect of the server.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    disable_redirects: Option<bool>,
}

impl Flags {
    /// The files, and what goes before them.
    pub(crate) fn into_parts(self) -> (Vec<PathBuf>, Overrides) {
        let overrides = Overrides {
            log_level: self.log_level,
            log_format: self.log_format,
            log_file: self.log_file,
            log_rotate_bytes: self.log_rotate_bytes,
            log_rotate_duration: self.log_rotate_duration,
            log_rotate_max_files: self.log_rotate_max_files,
            exit_after_auth: self.exit_after_auth,
            disable_redirects: self.disable_redirects,
            ..self.server.into_overrides()
        };
        (self.config, overrides)
    }
}

/// Where the server is and how to reach it.
#[derive(Args)]
pub(crate) struct ServerFlags {
    /// Address of the server: https://, http:// or unix://.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// File with the certificate authorities to trust, PEM.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<String>,
    /// Directory with the certificate authorities to trust.
    #[arg(long, value_name = "DIRECTORY")]
    ca_path: Option<String>,
    /// Client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    client_cert: Option<String>,
    /// Key of the client certificate, PEM.
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
    /// Name to expect in the server's certificate.
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Don't verify the server's certificate.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    tls_skip_verify: Option<bool>,
    /// Namespace (also --ns).
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

impl ServerFlags {
    /// What goes before the environment.
    pub(crate) fn into_overrides(self) -> Overrides {
        Overrides {
            address: self.address,
            ca_cert: self.ca_cert,
            ca_path: self.ca_path,
            client_cert: self.client_cert,
            client_key: self.client_key,
            tls_server_name: self.tls_server_name,
            tls_skip_verify: self.tls_skip_verify,
            namespace: self.namespace,
            ..Overrides::default()
        }
    }
}

/// Go's `strconv.ParseBool`, which the incumbents use for flags.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".to_owned()),
    }
}
