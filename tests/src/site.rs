//! One place where an agent works: a server behind a proxy, an AppRole role with its
//! credential files, and the configuration that ties them together.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::{Ended, Launch};
use crate::eventually::eventually;
use crate::openbao::OpenBao;
use crate::plugins::PluginDirectory;
use crate::proxy::Proxy;

/// A server with the role "app", and files for the agent to read and write.
pub struct Site {
    /// The server.
    pub bao: OpenBao,
    /// In front of the server; [`Site::configuration`] goes through it.
    pub proxy: Proxy,
    address: String,
    home: TempDir,
}

/// The parts of a configuration in HCL; change what the test is about.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// At top level: `exit_after_auth = true`.
    pub top: String,
    /// `vault.address`.
    pub address: String,
    /// More settings in `vault`.
    pub vault: String,
    /// Settings in `auto_auth`.
    pub auto_auth: String,
    /// Type of the method.
    pub method: String,
    /// Settings in `method`, beside `config`.
    pub method_settings: String,
    /// Settings in the method's `config`.
    pub method_config: String,
    /// Each sink's type and the settings in its `config`.
    pub sinks: Vec<(String, String)>,
    /// Settings of every sink, beside `config`.
    pub sink_settings: String,
}

impl Site {
    /// A site whose role has these settings: `{"token_ttl": "6s"}`. Tokens have the policy
    /// "app" besides.
    pub fn new(role: Value) -> Self {
        let bao = OpenBao::start();
        let proxy = Proxy::start(bao.address());
        let address = proxy.address();
        Self::prepare(bao, proxy, address, role)
    }

    /// The same with a server of the last version whose own methods include `ldap` and `radius`.
    pub fn with_openbao_2_6(role: Value) -> Self {
        let bao = OpenBao::start_2_6();
        let proxy = Proxy::start(bao.address());
        let address = proxy.address();
        Self::prepare(bao, proxy, address, role)
    }

    /// The same with a server that speaks TLS; the agent goes to it directly, past the proxy.
    pub fn with_tls(role: Value) -> Self {
        let bao = OpenBao::start_with_tls();
        let proxy = Proxy::start(&bao.plain_address());
        let address = bao.address().to_owned();
        Self::prepare(bao, proxy, address, role)
    }

    fn prepare(bao: OpenBao, proxy: Proxy, address: String, role: Value) -> Self {
        bao.policy("app", r#"path "secret/data/app" { capabilities = ["read"] }"#);
        bao.enable_approle("approle");
        let mut settings = json!({ "token_policies": ["app"] });
        for (name, value) in role.as_object().expect("settings of the role") {
            settings[name] = value.clone();
        }
        let has_secret_id = settings["bind_secret_id"] != false;
        bao.create_role("app", settings);
        let home = tempfile::tempdir().expect("a temporary directory");
        let site = Self { bao, proxy, address, home };
        site.write("role-id", &site.bao.role_id("app"));
        if has_secret_id {
            site.write("secret-id", &site.bao.secret_id("app"));
        }
        site
    }

    /// A file of the site: "role-id", "secret-id", "token", …
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file of the site.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.file(name), content).expect("a file of the site");
    }

    /// Writes a file of the site in one step: whoever reads it meets what was or what is.
    pub fn replace(&self, name: &str, content: &str) {
        let new = format!("{name}.new");
        self.write(&new, content);
        std::fs::rename(self.file(&new), self.file(name)).expect("in one step");
    }

    /// Login with role-id and secret-id, kept after reading; one file sink; quick retries and
    /// no token check within the time of a test.
    pub fn configuration(&self) -> Configuration {
        Configuration {
            top: String::new(),
            address: self.address.clone(),
            vault: String::new(),
            auto_auth: "token_check_interval = \"1h\"".into(),
            method: "approle".into(),
            method_settings: "min_backoff = \"200ms\"\nmax_backoff = \"1s\"".into(),
            method_config: format!(
                "role_id_file_path = \"{}\"\nsecret_id_file_path = \"{}\"\n\
                 remove_secret_id_file_after_reading = false",
                self.file("role-id").display(),
                self.file("secret-id").display()
            ),
            sinks: vec![file_sink(&self.file("token"))],
            sink_settings: String::new(),
        }
    }

    /// The same with a method from this directory, which is allowed this and logs in at `approle`.
    pub fn plugin_login(
        &self,
        directory: &PluginDirectory,
        method: &str,
        allow: &str,
    ) -> Configuration {
        let mut configuration = self.configuration();
        configuration.top = format!(
            "plugin_directory = \"{}\"\nplugin \"{method}\" {{\n  allow {{\n    {allow}\n  }}\n}}",
            directory.path().display()
        );
        configuration.method = method.into();
        configuration.method_settings += "\nmount_path = \"auth/approle\"";
        configuration.method_config = String::new();
        configuration
    }

    /// The same with the example method `files-login` of this directory, and what it needs granted.
    pub fn files_login(&self, directory: &PluginDirectory) -> Configuration {
        let role_id = self.file("role-id").display().to_string();
        let secret_id = self.file("secret-id").display().to_string();
        let allow = format!("read = [\"{role_id}\", \"{secret_id}\"]");
        let mut configuration = self.plugin_login(directory, "files-login", &allow);
        configuration.method_config =
            format!("role_id_file = \"{role_id}\"\nsecret_id_file = \"{secret_id}\"");
        configuration
    }

    /// What the file sink has delivered; `None`: nothing there.
    pub fn token(&self) -> Option<String> {
        delivered(&self.file("token"))
    }

    /// Waits for the token file.
    #[track_caller]
    pub fn wait_for_token(&self) -> String {
        eventually("the token file", PATIENCE, || self.token())
    }

    /// Waits until the token file holds another token.
    #[track_caller]
    pub fn wait_for_token_after(&self, previous: &str) -> String {
        eventually("another token in the file", PATIENCE, || {
            self.token().filter(|token| token != previous)
        })
    }

    /// What a wrapping sink has delivered to the token file.
    #[track_caller]
    pub fn wrap_info(&self) -> Value {
        serde_json::from_str(&self.wait_for_token()).expect("JSON")
    }

    /// How many logins arrived at the proxy, answered or not.
    pub fn login_attempts(&self) -> usize {
        self.proxy.count("/v1/auth/approle/login")
    }

    /// What a login with the site's credentials sends.
    pub fn login_body(&self) -> Value {
        let read = |name| std::fs::read_to_string(self.file(name)).expect("a credential");
        json!({ "role_id": read("role-id"), "secret_id": read("secret-id") })
    }

    /// A login with the site's credentials as anybody could make it, through the proxy: the
    /// status and the answer. `None`: no answer.
    pub fn log_in(&self) -> Option<(u16, Value)> {
        self.proxy.send("POST", "/v1/auth/approle/login", &self.login_body())
    }

    /// Every secret that exists here: secret-ids, wrapping tokens, tokens.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = self.bao.secrets();
        secrets.extend(self.proxy.tokens());
        secrets.extend(self.token());
        secrets
    }
}

impl Configuration {
    /// As HCL.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let Self { top, address, vault, .. } = self;
        write!(
            text,
            "{top}\nvault {{\n  address = \"{address}\"\n{vault}\n}}\n{}",
            self.identity("auto_auth")
        )
        .expect("text can be written");
        text
    }

    /// Method and sinks in a block that begins like this: `auto_auth`, `identity "web"`.
    pub fn identity(&self, head: &str) -> String {
        let mut text = String::new();
        let Self {
            auto_auth, method, method_settings, method_config, sinks, sink_settings, ..
        } = self;
        write!(
            text,
            "{head} {{\n{auto_auth}\n\
             method \"{method}\" {{\n{method_settings}\nconfig = {{\n{method_config}\n}}\n}}\n"
        )
        .expect("text can be written");
        for (sink, config) in sinks {
            write!(text, "sink \"{sink}\" {{\n{sink_settings}\nconfig = {{\n{config}\n}}\n}}\n")
                .expect("text can be written");
        }
        text + "}\n"
    }

    /// With the agent looking at its token every so often: "500ms".
    #[must_use]
    pub fn token_check_interval(mut self, interval: &str) -> Self {
        self.auto_auth = format!("token_check_interval = \"{interval}\"");
        self
    }

    /// One attempt, whose failure ends the agent.
    #[track_caller]
    pub fn log_in_once(mut self) -> Ended {
        self.method_settings += "\nexit_on_err = true";
        let launch = Launch::agent(&self.text()).argument("--exit-after-auth");
        launch.run(Duration::from_secs(30))
    }
}

/// A file sink with default settings, for [`Configuration::sinks`].
pub fn file_sink(path: &Path) -> (String, String) {
    ("file".into(), format!("path = \"{}\"", path.display()))
}

/// The token in a sink file; `None`: nothing there.
pub fn delivered(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().filter(|token| !token.is_empty())
}

/// Long enough for a slow machine, short enough to fail in.
const PATIENCE: Duration = Duration::from_secs(20);
