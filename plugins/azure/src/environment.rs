//! The credential that the environment describes, in the order of the vendor's
//! `DefaultAzureCredential`: a service principal, workload identity federation, a managed identity.
//!
//! The first one that is configured is used; its failure is told, and no other one is tried. What
//! starts another program (the Azure CLI and the like) is left out: a plug-in starts none.
//!
//! <https://learn.microsoft.com/dotnet/azure/sdk/authentication/credential-chains>

use crate::certificate::Certificate;
use crate::entra::Application;
use crate::identity::Identity;
use crate::managed_identity::{self, ManagedIdentity};
use crate::metadata::MetadataService;
use crate::variable::variable;
use usher_plugin::{Failure, Need, log};
use usher_plugin_lib::{CredentialFile, Text, looks_like_jwt, nothing_to_use};

/// Where the access token comes from.
pub(crate) enum Source {
    /// An application that proves itself.
    Application(Application, Proof),
    /// What the platform itself hands out.
    Platform(ManagedIdentity),
}

/// How an application proves itself.
pub(crate) enum Proof {
    /// With its secret.
    Secret(String),
    /// With a certificate and its key, in the file of this name.
    Certificate(String),
    /// With a JWT of an issuer that it trusts, in the file of this name.
    Federation(String),
}

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const SEND_CHAIN: &str = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN";
const FEDERATED_TOKEN: &str = "AZURE_FEDERATED_TOKEN_FILE";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const ALLOWED: &str = "AZURE_TOKEN_CREDENTIALS";

/// Of the public cloud. Another one is named by the environment.
const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

type NewProof = fn(String) -> Proof;

/// To look at every variable, read the files and reach the endpoints that some of them name.
pub(crate) fn needs() -> Vec<Need> {
    let variables =
        [TENANT, CLIENT, SECRET, CERTIFICATE, SEND_CHAIN, FEDERATED_TOKEN, AUTHORITY, ALLOWED];
    let mut needs: Vec<Need> = variables.into_iter().map(Need::env).collect();
    needs.extend([
        Need::watch(format!("${{{CERTIFICATE}}}")),
        Need::watch(format!("${{{FEDERATED_TOKEN}}}")),
        Need::connect(PUBLIC_AUTHORITY),
        Need::connect(format!("${{{AUTHORITY}}}")),
    ]);
    needs.extend(managed_identity::needs());
    needs
}

impl Source {
    /// What the environment describes; `configured` is the managed identity that the method's
    /// configuration means.
    pub(crate) fn find(configured: Identity) -> Result<Self, Failure> {
        let allowed = Allowed::find()?;
        let ways: [(&str, bool, NewProof); 3] = [
            (SECRET, allowed.service_principal, Proof::Secret),
            (CERTIFICATE, allowed.service_principal, Proof::Certificate),
            (FEDERATED_TOKEN, allowed.federation, Proof::Federation),
        ];
        for (name, allowed, proof) in ways {
            let Some(value) = variable(name)?.filter(|_| allowed) else { continue };
            match (variable(TENANT)?, variable(CLIENT)?) {
                (Some(tenant), Some(client)) => {
                    let authority = variable(AUTHORITY)?;
                    let authority = authority.as_deref().unwrap_or(PUBLIC_AUTHORITY);
                    let application = Application::new(authority, &tenant, client)?;
                    return Ok(Self::Application(application, proof(value)));
                }
                (tenant, _) => {
                    let unset = if tenant.is_none() { TENANT } else { CLIENT };
                    let message =
                        format!("{name} is set, but not used, because {unset} is not set");
                    log::warn(&message, &[]);
                }
            }
        }
        if !allowed.platform {
            let message = format!(
                "{ALLOWED} allows only a credential that the environment does not describe; set \
                 {TENANT}, {CLIENT} and one of {SECRET}, {CERTIFICATE} and {FEDERATED_TOKEN}, or \
                 unset it"
            );
            return Err(Failure::config("azure.no-credential", message));
        }
        let identity = match (configured, variable(CLIENT)?) {
            (Identity::System, Some(client)) => Identity::Client(client),
            (configured, _) => configured,
        };
        ManagedIdentity::find(identity).map(Self::Platform)
    }

    /// An access token for the scope.
    pub(crate) fn token(&self, service: &MetadataService, scope: &str) -> Result<String, Failure> {
        match self {
            Self::Platform(identity) => identity.token(service, resource(scope)),
            Self::Application(application, Proof::Secret(secret)) => {
                application.token(scope, &[("client_secret", secret)])
            }
            Self::Application(application, Proof::Certificate(path)) => {
                let certificate = Certificate::read(path)?;
                let assertion = application.assertion(&certificate, sends_chain()?)?;
                application.token_for_assertion(scope, &assertion)
            }
            Self::Application(application, Proof::Federation(path)) => {
                application.token_for_assertion(scope, &federated_token(path)?)
            }
        }
    }
}

/// The resource of a scope, which managed identities take instead.
fn resource(scope: &str) -> &str {
    scope.strip_suffix("/.default").unwrap_or(scope)
}

/// As the vendor's SDK for Go reads it.
fn sends_chain() -> Result<bool, Failure> {
    let value = variable(SEND_CHAIN)?.unwrap_or_default();
    Ok(value == "1" || value.eq_ignore_ascii_case("true"))
}

/// Replaced by the platform long before it expires, so read for each login.
fn federated_token(path: &str) -> Result<String, Failure> {
    let file = CredentialFile {
        path,
        what: "federated token",
        text: Text::Trimmed,
        accept: looks_like_jwt,
    };
    file.read().map_err(|failure| nothing_to_use(file.what, failure))
}

/// Which credentials may be used at all.
struct Allowed {
    service_principal: bool,
    federation: bool,
    platform: bool,
}

impl Allowed {
    fn find() -> Result<Self, Failure> {
        let names = variable(ALLOWED)?.unwrap_or_default().trim().to_ascii_lowercase();
        let only = |name| names == name || ["", "prod"].contains(&names.as_str());
        let allowed = Self {
            service_principal: only("environmentcredential"),
            federation: only("workloadidentitycredential"),
            platform: only("managedidentitycredential"),
        };
        if allowed.service_principal || allowed.federation || allowed.platform {
            return Ok(allowed);
        }
        let message = format!(
            "{ALLOWED} allows only credentials that another program has; set it to prod, \
             EnvironmentCredential, WorkloadIdentityCredential or ManagedIdentityCredential, or \
             unset it"
        );
        Err(Failure::config("azure.no-credential", message))
    }
}
