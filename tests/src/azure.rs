//! A site at which a workload of Azure logs in: stand-ins for the instance metadata service and for
//! Entra ID, which hand out tokens that the server trusts, and refuse what the real ones refuse.

mod cloud;

use std::net::TcpListener;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::{Ended, Launch};
use crate::issuer::Issuer;
use crate::oracle::clouds_python;
use crate::site::{Configuration, Site};
use crate::stand_in::{Answer, Received, StandIn};

pub use cloud::{
    ASSIGNED, CLIENT, Fields, HEADER, RESOURCE, SECRET, TENANT, check_assertion, fields, part,
};
use cloud::{Cloud, claims, lock};

/// The method `jwt` mounted at "auth/azure", whose role "app" takes the site's tokens.
pub struct AzureSite {
    site: Site,
    /// The metadata service; also App Service's endpoint ("/msi/token"), and Arc's agent ("/arc").
    pub metadata: StandIn,
    /// Entra ID, over TLS.
    pub entra: StandIn,
    cloud: Arc<Cloud>,
}

impl Deref for AzureSite {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl AzureSite {
    /// A role with these settings beside the audience.
    pub fn new(role: &Value) -> Self {
        let site = Site::new(json!({}));
        let issuer = Issuer::rs256();
        site.bao.write("sys/auth/azure", json!({ "type": "jwt" }));
        let keys = json!({ "jwt_validation_pubkeys": [issuer.public_pem()] });
        site.bao.write("auth/azure/config", keys);
        let mut settings = json!({
            "role_type": "jwt",
            "bound_audiences": [RESOURCE],
            "user_claim": "sub",
            "token_policies": ["app"],
            "token_ttl": "1h",
        });
        for (name, value) in role.as_object().expect("settings") {
            settings[name] = value.clone();
        }
        site.bao.write("auth/azure/role/app", settings);
        let certificate = site.file("application.pem");
        make_certificate(&certificate);
        let federated = issuer.sign(&json!({ "sub": "system:serviceaccount:shop:web" }));
        let cloud = Arc::new(Cloud {
            issuer,
            certificate,
            federated,
            arc_secret: Mutex::default(),
            token_answer: Mutex::default(),
        });
        let for_metadata = Arc::clone(&cloud);
        let for_entra = Arc::clone(&cloud);
        Self {
            metadata: StandIn::http(move |request: &Received| for_metadata.metadata(request)),
            entra: StandIn::https(move |request: &Received| for_entra.entra(request)),
            site,
            cloud,
        }
    }

    /// Settings of the method, and one file sink.
    pub fn configuration(&self) -> Configuration {
        let mut configuration = self.site.configuration();
        configuration.method = "azure".into();
        configuration.method_config = format!("role = \"app\"\nresource = \"{RESOURCE}\"");
        configuration
    }

    /// The same with the credential from the environment.
    pub fn from_environment(&self) -> Configuration {
        let mut configuration = self.configuration();
        configuration.method_config += "\nauthenticate_from_environment = true";
        configuration
    }

    /// The environment of a machine with the metadata service.
    pub fn on_a_machine(&self) -> Environment {
        vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST".to_owned(), self.metadata.url())]
    }

    /// The environment of the application, with its proof: a variable. No metadata service.
    pub fn of_the_application(&self, name: &str, value: &str) -> Environment {
        std::fs::write(self.file("entra-ca.pem"), self.entra.ca_pem()).expect("a file of the site");
        let ca = self.file("entra-ca.pem").display().to_string();
        [
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_AUTHORITY_HOST", &self.entra.url()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &nobody()),
            ("SSL_CERT_FILE", &ca),
            ("REQUESTS_CA_BUNDLE", &ca),
            (name, value),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// A file with the federated token that the application trusts.
    pub fn federated_token(&self) -> PathBuf {
        let file = self.file("federated");
        std::fs::write(&file, &self.cloud.federated).expect("a file of the site");
        file
    }

    /// A federated token of the same issuer that the application doesn't trust.
    pub fn other_federated_token(&self) -> String {
        self.cloud.issuer.sign(&json!({ "sub": "system:serviceaccount:other:web" }))
    }

    /// The application's certificate and its key.
    pub fn certificate(&self) -> &Path {
        &self.cloud.certificate
    }

    /// What Arc's agent asks for: a file and what is in it.
    pub fn arc_secret(&self, file: &Path, content: &str) {
        *lock(&self.cloud.arc_secret) = (file.display().to_string(), content.to_owned());
    }

    /// From now on each request for a token is answered like this; None: with a token.
    pub fn answer_tokens_with(&self, answer: Option<Answer>) {
        *lock(&self.cloud.token_answer) = answer;
    }

    /// A token as Azure makes them, with another claim.
    pub fn token_with(&self, name: &str, value: Value) -> String {
        let mut claims = claims("someone");
        claims[name] = value;
        self.cloud.issuer.sign(&claims)
    }

    /// One attempt, whose failure ends the agent.
    pub fn log_in_once(&self, configuration: &Configuration, environment: &Environment) -> Ended {
        let mut configuration = configuration.clone();
        configuration.method_settings += "\nexit_on_err = true";
        launch(Launch::agent(&configuration.text()), environment)
            .argument("--exit-after-auth")
            .run(Duration::from_mins(1))
    }

    /// Panics unless one login works; who it was for, as the server knows it.
    #[track_caller]
    pub fn logs_in(&self, configuration: &Configuration, environment: &Environment) -> String {
        let ended = self.log_in_once(configuration, environment);
        assert_eq!(ended.status, 0, "{ended:?}");
        let token = self.token().expect("a token in the sink");
        let found = self.bao.lookup(&token).expect("a valid token");
        assert_eq!(found["path"], "auth/azure/login");
        found["display_name"].as_str().expect("a name").to_owned()
    }

    /// The body of the newest login.
    pub fn sent(&self) -> Value {
        self.proxy.requests("auth/azure/login").pop().expect("a login").body
    }

    /// Panics unless the vendor's SDK gets a token in this environment.
    #[track_caller]
    pub fn asks_like_the_vendor(&self, arguments: &[&str], environment: &Environment) {
        let output = clouds_python("azure_identity.py")
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::inherit())
            .output()
            .expect("Python can be started");
        assert!(output.status.success(), "azure-identity {arguments:?}");
        assert_eq!(output.stdout.split(|byte| *byte == b'.').count(), 3, "a JWT");
    }
}

/// Names and values.
pub type Environment = Vec<(String, String)>;

/// With this environment.
pub fn launch(launch: Launch, environment: &Environment) -> Launch {
    environment.iter().fold(launch, |launch, (name, value)| launch.environment(name, value))
}

/// The URL of a port where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port())
}

/// A certificate and its key in one file.
pub fn make_certificate(file: &Path) {
    let made = clouds_python("azure_application.py").arg("make").arg(file).status();
    assert!(made.expect("Python can be started").success());
}
