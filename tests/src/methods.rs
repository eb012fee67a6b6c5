//! Sites for auth methods beside AppRole: what the server knows of the workload, and the
//! credential in a file of the site.

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::agent::Ended;
use crate::issuer::{Issuer, claims, in_seconds};
use crate::leaks::leaks;
use crate::openbao::{OpenBao, text};
use crate::site::{Configuration, Site};
use crate::token_review::{REVIEWER, TokenReview, uid};
use crate::user_servers::{FreeRadius, Slapd};

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
    /// Asked by the server, where the method is `ldap`.
    pub slapd: Option<Slapd>,
    /// Asked by the server, where the method is `radius`.
    pub freeradius: Option<FreeRadius>,
}

impl Deref for MethodSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl MethodSite {
    /// `approle`: the role "app" with these settings; the file "secret-id".
    pub fn approle(role: Value) -> Self {
        let site = Site::new(role);
        let config = site.configuration().method_config;
        Self::of(site, "approle", "auth/approle/login", "secret-id", |_| config.clone())
    }

    /// `token_file`: a token with these settings, of the policy "app"; the file "handed-over".
    pub fn token_file(token: Value) -> Self {
        let site = Site::new(json!({}));
        let site = Self::of(site, "token_file", "auth/token/lookup-self", "handed-over", |file| {
            format!("token_file_path = \"{file}\"")
        });
        let mut settings = json!({ "policies": ["app"] });
        merge(&mut settings, token);
        let created = site.bao.write("auth/token/create", settings);
        site.write_credential(&text(&created["auth"]["client_token"]));
        site
    }

    /// `jwt`: the role "app" for the audience "usher"; the file "jwt".
    pub fn jwt(role: Value) -> Self {
        let site = Site::new(json!({}));
        let site = Self::of(site, "jwt", "auth/jwt/login", "jwt", |file| {
            format!("path = \"{file}\"\nrole = \"app\"\nremove_jwt_after_reading = false")
        });
        site.mount_jwt("", role);
        site.write_credential(&site.issuer.sign(&claims()));
        site
    }

    /// `kubernetes`: the role "app" for the service account "web" of "shop"; the file "sa-token".
    pub fn kubernetes(role: Value) -> Self {
        let site = Site::new(json!({}));
        let site = Self::of(site, "kubernetes", "auth/kubernetes/login", "sa-token", |file| {
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
        let site = Self::with_password(Site::new(json!({})), "userpass", "auth/userpass/login/app");
        let mut settings = json!({ "password": PASSWORD, "token_policies": ["app"] });
        merge(&mut settings, user);
        site.bao.write("auth/userpass/users/app", settings);
        site
    }

    /// `ldap`: the user "app" and others in a real directory; the file "password". The server is
    /// `OpenBao` 2.6.
    pub fn ldap(settings: Value) -> Self {
        let slapd = Slapd::start(&USERS);
        let site = Site::with_openbao_2_6(json!({}));
        let mut site = Self::with_password(site, "ldap", "auth/ldap/login/app");
        let mut of_mount = json!({
            "url": slapd.address(),
            "userattr": "uid",
            "userdn": Slapd::BASE,
            "groupdn": Slapd::BASE,
            "token_policies": ["app"],
        });
        merge(&mut of_mount, settings);
        site.bao.write("auth/ldap/config", of_mount);
        site.slapd = Some(slapd);
        site
    }

    /// `radius`: the user "app" and others of a real RADIUS server; the file "password". The
    /// server is `OpenBao` 2.6.
    pub fn radius(settings: Value) -> Self {
        let freeradius = FreeRadius::start(&USERS);
        let site = Site::with_openbao_2_6(json!({}));
        let mut site = Self::with_password(site, "radius", "auth/radius/login/app");
        let mut of_mount = json!({
            "host": "127.0.0.1",
            "port": freeradius.port(),
            "secret": FreeRadius::SECRET,
            "unregistered_user_policies": "app",
            "token_policies": ["app"],
        });
        merge(&mut of_mount, settings);
        site.bao.write("auth/radius/config", of_mount);
        site.freeradius = Some(freeradius);
        site
    }

    /// Mounts the method, and has the user "app" log in with what is in the file "password".
    fn with_password(site: Site, method: &'static str, login_path: &'static str) -> Self {
        let site = Self::of(site, method, login_path, "password", |file| {
            format!(
                "username = \"app\"\npassword_file_path = \"{file}\"\n\
                 remove_password_after_reading = false"
            )
        });
        site.bao.enable(method, method);
        site.write_credential(PASSWORD);
        site
    }

    fn of(
        site: Site,
        method: &'static str,
        login_path: &'static str,
        file: &str,
        config: impl Fn(&str) -> String,
    ) -> Self {
        let credential_file = site.file(file);
        Self {
            config: config(&credential_file.display().to_string()),
            site,
            method,
            login_path,
            credential_file,
            issuer: Issuer::new(),
            reviewer: TokenReview::start(),
            slapd: None,
            freeradius: None,
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

    /// One attempt, whose failure ends the agent; of a configuration in which this is different.
    pub fn log_in_once(&self, change: impl FnOnce(&mut Configuration)) -> Ended {
        let mut configuration = self.configuration();
        change(&mut configuration);
        configuration.log_in_once()
    }

    /// Panics unless the login was refused and the log has these parts (in any case), and nothing
    /// of the credential.
    #[track_caller]
    pub fn assert_refused(&self, what: &str, ended: &Ended, parts: &[&str]) {
        let what = format!("{}, {what}", self.method);
        assert_eq!(ended.status, 3, "{what}: {ended:?}");
        let log = ended.log.to_lowercase();
        for part in parts {
            assert!(log.contains(&part.to_lowercase()), "{what} lacks {part:?}: {ended:?}");
        }
        assert_eq!(leaks(&ended.log, &[self.credential()]), [""; 0], "{what}");
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

/// In the directory and of the RADIUS server.
const USERS: [(&str, &str); 2] = [("app", PASSWORD), ("web@shop.test", PASSWORD)];
