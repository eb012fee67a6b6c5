//! Sites for auth methods beside AppRole: what the server knows of the workload, and the
//! credential in a file of the site.

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::issuer::{Issuer, claims, in_seconds};
use crate::openbao::OpenBao;
use crate::site::{Configuration, Site};
use crate::token_review::{REVIEWER, TokenReview, uid};

/// A site at which a workload logs in with one method.
pub struct MethodSite {
    site: Site,
    /// Type of the method.
    pub method: &'static str,
    /// Settings in the method's `config`, the credential file kept after reading.
    pub config: String,
    /// Below "/v1/": what a login is sent to.
    pub login_path: &'static str,
    /// Where the credential is.
    pub credential_file: PathBuf,
    /// Signs JWTs that the server trusts, where the method has such.
    pub issuer: Issuer,
    /// Asked by the server, where the method is `kubernetes`.
    pub reviewer: TokenReview,
}

impl Deref for MethodSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl MethodSite {
    /// `jwt`: the role "app" for the audience "usher"; the file "jwt".
    pub fn jwt(role: Value) -> Self {
        let site = Self::of("jwt", "auth/jwt/login", "jwt", |file| {
            format!("path = \"{file}\"\nrole = \"app\"\nremove_jwt_after_reading = false")
        });
        site.mount_jwt("", role);
        site.write_credential(&site.issuer.sign(&claims()));
        site
    }

    /// `kubernetes`: the role "app" for the service account "web" of "shop"; the file "sa-token".
    pub fn kubernetes(role: Value) -> Self {
        let site = Self::of("kubernetes", "auth/kubernetes/login", "sa-token", |file| {
            format!("token_path = \"{file}\"\nrole = \"app\"")
        });
        site.bao.enable("kubernetes", "kubernetes");
        site.bao.write(
            "auth/kubernetes/config",
            json!({
                "kubernetes_host": site.reviewer.address(),
                "kubernetes_ca_cert": site.reviewer.ca_pem(),
                "token_reviewer_jwt": REVIEWER,
                "disable_local_ca_jwt": true,
            }),
        );
        let mut settings = json!({
            "bound_service_account_names": ["web"],
            "bound_service_account_namespaces": ["shop"],
            "audience": "usher",
            "token_policies": ["app"],
        });
        merge(&mut settings, role);
        site.bao.write("auth/kubernetes/role/app", settings);
        site.write_credential(&site.service_account_token("shop", "web", "usher"));
        site
    }

    /// `userpass`: the user "app" with a password; the file "password".
    pub fn userpass(user: Value) -> Self {
        let site = Self::of("userpass", "auth/userpass/login/app", "password", |file| {
            format!(
                "username = \"app\"\npassword_file_path = \"{file}\"\n\
                 remove_password_after_reading = false"
            )
        });
        site.bao.enable("userpass", "userpass");
        let mut settings = json!({ "password": PASSWORD, "token_policies": ["app"] });
        merge(&mut settings, user);
        site.bao.write("auth/userpass/users/app", settings);
        site.write_credential(PASSWORD);
        site
    }

    fn of(
        method: &'static str,
        login_path: &'static str,
        file: &str,
        config: impl Fn(&str) -> String,
    ) -> Self {
        let site = Site::new(json!({}));
        let credential_file = site.file(file);
        Self {
            config: config(&credential_file.display().to_string()),
            site,
            method,
            login_path,
            credential_file,
            issuer: Issuer::new(),
            reviewer: TokenReview::start(),
        }
    }

    /// Mounts `jwt` with the role "app" in a namespace: "", "team/".
    pub fn mount_jwt(&self, namespace: &str, role: Value) {
        self.bao.write(&format!("{namespace}sys/auth/jwt"), json!({ "type": "jwt" }));
        let keys = json!({ "jwt_validation_pubkeys": [self.issuer.public_pem()] });
        self.bao.write(&format!("{namespace}auth/jwt/config"), keys);
        let mut settings = json!({
            "role_type": "jwt",
            "bound_audiences": ["usher"],
            "user_claim": "sub",
            "token_policies": ["app"],
        });
        merge(&mut settings, role);
        self.bao.write(&format!("{namespace}auth/jwt/role/app"), settings);
    }

    /// A projected token as the kubelet writes it, known to the reviewer.
    pub fn service_account_token(&self, namespace: &str, account: &str, audience: &str) -> String {
        let token = self.issuer.sign(&service_account_claims(namespace, account, audience));
        self.reviewer.register(&token, namespace, account, audience);
        token
    }

    /// Replaces the credential in its file, in one step.
    pub fn write_credential(&self, credential: &str) {
        let new = self.credential_file.with_extension("new");
        std::fs::write(&new, credential).expect("a file of the site");
        std::fs::rename(new, &self.credential_file).expect("in one step");
    }

    /// What is in the credential's file.
    pub fn credential(&self) -> String {
        std::fs::read_to_string(&self.credential_file).expect("the credential")
    }

    /// The method on its file, one file sink, quick retries.
    pub fn configuration(&self) -> Configuration {
        let mut configuration = self.site.configuration();
        configuration.method = self.method.into();
        configuration.method_config.clone_from(&self.config);
        configuration
    }

    /// From now on the server is not there.
    pub fn take_down(&mut self) {
        self.site.proxy.down();
    }

    /// How many logins arrived at the proxy, answered or not.
    pub fn attempts(&self) -> usize {
        self.proxy.count(self.login_path)
    }

    /// The body of the newest login that arrived at the proxy.
    pub fn sent(&self) -> Value {
        self.proxy.requests(self.login_path).pop().expect("a login").body
    }
}

/// The claims of a projected service-account token.
pub fn service_account_claims(namespace: &str, account: &str, audience: &str) -> Value {
    json!({
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
        "aud": [audience],
        "iat": in_seconds(0),
        "nbf": in_seconds(0),
        "exp": in_seconds(3600),
        "jti": uuid(),
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": { "name": account, "uid": uid(account) },
        },
    })
}

/// Makes tokens of the same second differ.
fn uuid() -> String {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    format!("token-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

fn merge(settings: &mut Value, more: Value) {
    for (name, value) in more.as_object().expect("settings") {
        settings[name] = value.clone();
    }
}

impl OpenBao {
    /// Mounts a method of this type at "auth/MOUNT".
    pub fn enable(&self, method: &str, mount: &str) {
        self.write(&format!("sys/auth/{mount}"), json!({ "type": method }));
    }
}

/// Of the user "app".
pub const PASSWORD: &str = "correct horse battery staple";
