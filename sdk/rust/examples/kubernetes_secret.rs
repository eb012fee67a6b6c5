//! A sink that keeps the token in a Secret of Kubernetes, by server-side apply.
//!
//! It owns the one key that it writes; others may keep theirs in the same Secret. The service
//! account needs the verbs `create` and `patch` for the Secret.
//!
//! ```hcl
//! sink {
//!   type = "kubernetes-secret"
//!   config = { namespace = "app", name = "vault-token", key = "token" }
//! }
//!
//! plugin "kubernetes-secret" {
//!   allow {
//!     connect = ["https://kubernetes.default.svc"]
//!     read = [
//!       "/var/run/secrets/kubernetes.io/serviceaccount/token",
//!       "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
//!     ]
//!   }
//! }
//! ```

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use usher_plugin::http::{Request, Tls};
use usher_plugin::{About, Delivery, Failure, Need, Sink, files};

/// The sink.
pub struct KubernetesSecret;

/// The `config` block.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Namespace of the Secret.
    namespace: String,
    /// Name of the Secret.
    name: String,
    /// Key of the token within it.
    #[serde(default = "key")]
    key: String,
    /// The API server.
    #[serde(default = "api_server")]
    api_server: String,
    /// Holds `token` and `ca.crt`.
    #[serde(default = "service_account_directory")]
    service_account_directory: String,
}

fn key() -> String {
    "token".to_owned()
}

fn api_server() -> String {
    "https://kubernetes.default.svc".to_owned()
}

fn service_account_directory() -> String {
    "/var/run/secrets/kubernetes.io/serviceaccount".to_owned()
}

impl Sink for KubernetesSecret {
    type Config = Config;
    const ABOUT: About = About::new(
        "kubernetes-secret",
        env!("CARGO_PKG_VERSION"),
        "Keeps the token in a Secret of Kubernetes",
    );

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        for (setting, value) in [("namespace", &config.namespace), ("name", &config.name)] {
            let taken = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let within = |byte: u8| taken(byte) || byte == b'-' || byte == b'.';
            let bytes = value.as_bytes();
            let ends = [bytes.first(), bytes.last()].into_iter().flatten().copied().all(taken);
            if bytes.is_empty() || !ends || !bytes.iter().copied().all(within) {
                let message = format!("`{setting}` must be a name as Kubernetes has them");
                return Err(Failure::config("kubernetes-secret.name", message));
            }
        }
        Ok(vec![
            Need::connect(&config.api_server),
            Need::read(config.file("token")),
            Need::read(config.file("ca.crt")),
        ])
    }

    /// Asks whether it could, and changes nothing.
    fn check(config: &Config) -> Result<(), Failure> {
        config.apply(json!({ &*config.key: "" }), "&dryRun=All")
    }

    fn deliver(config: &Config, delivery: &Delivery) -> Result<(), Failure> {
        config.apply(json!({ &*config.key: STANDARD.encode(&delivery.content) }), "")
    }

    /// What this manager applied and doesn't any more, Kubernetes removes.
    fn withdraw(config: &Config) -> Result<(), Failure> {
        config.apply(json!({}), "")
    }
}

impl Config {
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.service_account_directory)
    }

    /// Makes `data` all that this sink has in the Secret.
    fn apply(&self, data: Value, query: &str) -> Result<(), Failure> {
        let Self { namespace, name, api_server, .. } = self;
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "namespace": namespace },
            "type": "Opaque",
            "data": data,
        });
        let url = format!(
            "{api_server}/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager=usher&force=true{query}"
        );
        let token = files::read_trimmed(&self.file("token"))?;
        let ca_pem = Some(files::read_trimmed(&self.file("ca.crt"))?);
        let mut request = Request::new("PATCH", url)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/apply-patch+yaml")
            .header("accept", "application/json")
            .tls(Tls { ca_pem, ..Tls::default() });
        request.body = serde_json::to_vec(&manifest)?;
        let response = request.send()?;
        if response.is_success() {
            return Ok(());
        }
        let said = format!("Kubernetes answered {}", response.status);
        Err(match response.status {
            401 => Failure::denied(
                "kubernetes-secret.token",
                format!("{said}: it doesn't know the service account's token"),
            ),
            403 => Failure::denied(
                "kubernetes-secret.role",
                format!(
                    "{said}: allow the service account \"create\" and \"patch\" of secrets in {namespace}"
                ),
            ),
            400 | 422 => Failure::config(
                "kubernetes-secret.refused",
                format!("{said}: it doesn't take this Secret; check its type and names"),
            ),
            _ => {
                let failure = Failure::unavailable("kubernetes-secret.unavailable", said);
                match response.header("retry-after").and_then(|wait| wait.parse().ok()) {
                    Some(seconds) => failure.retry_after(Duration::from_secs(seconds)),
                    None => failure,
                }
            }
        })
    }
}

usher_plugin::export!(sink: KubernetesSecret);

#[cfg(test)]
mod tests {
    use usher_plugin::Kind;
    use usher_plugin::http::Response;
    use usher_plugin::testing::{self, Host};

    use super::*;

    const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    const SECRET: &str = "https://kubernetes.default.svc/api/v1/namespaces/app/secrets/vault-token?fieldManager=usher&force=true";

    fn host() -> Host {
        let host = Host::install();
        host.put_file(&format!("{ACCOUNT}/token"), "account-token\n");
        host.put_file(&format!("{ACCOUNT}/ca.crt"), "CA\n");
        host
    }

    fn config() -> Value {
        json!({ "namespace": "app", "name": "vault-token" })
    }

    #[test]
    fn the_secret_is_applied_as_the_service_account() {
        let host = host();
        host.answer_http("PATCH", SECRET, |request| {
            let header = |name: &str| {
                let found = request.headers.iter().find(|(key, _)| key == name);
                found.map(|(_, value)| value.clone())
            };
            assert_eq!(header("authorization").as_deref(), Some("Bearer account-token"));
            assert_eq!(header("content-type").as_deref(), Some("application/apply-patch+yaml"));
            let tls = request.tls.as_ref().and_then(|tls| tls.ca_pem.as_deref());
            assert_eq!(tls, Some("CA"));
            let manifest: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(manifest["metadata"], json!({ "name": "vault-token", "namespace": "app" }));
            // base64 of "s.a".
            assert_eq!(manifest["data"], json!({ "token": "cy5h" }));
            Ok(Response::new(200, "{}"))
        });
        testing::deliver::<KubernetesSecret>(&config(), &Delivery::token("s.a")).unwrap();
        assert_eq!(host.requests().len(), 1);
    }

    #[test]
    fn a_check_changes_nothing_and_withdraw_gives_the_key_up() {
        let host = host();
        host.answer_http("PATCH", &format!("{SECRET}&dryRun=All"), |_| Ok(Response::new(200, "")));
        testing::check::<KubernetesSecret>(&config()).unwrap();
        host.answer_http("PATCH", SECRET, |request| {
            let manifest: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(manifest["data"], json!({}));
            Ok(Response::new(200, ""))
        });
        testing::withdraw::<KubernetesSecret>(&config()).unwrap();
    }

    #[test]
    fn an_answer_decides_what_happens_next() {
        for (status, kind) in [
            (401, Kind::Denied),
            (403, Kind::Denied),
            (422, Kind::Config),
            (429, Kind::Unavailable),
            (500, Kind::Unavailable),
        ] {
            let host = host();
            host.answer_http("PATCH", SECRET, move |_| Ok(Response::new(status, "")));
            let delivery = Delivery::token("s.a");
            let failure = testing::deliver::<KubernetesSecret>(&config(), &delivery).unwrap_err();
            assert_eq!(failure.kind, kind, "{status}");
        }
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", "a/b", "../x", "A", "a?b"] {
            let config = json!({ "namespace": "app", "name": name });
            let failure = testing::prepare_sink::<KubernetesSecret>(&config).unwrap_err();
            assert_eq!(failure.code, "kubernetes-secret.name", "{name}");
        }
    }
}
