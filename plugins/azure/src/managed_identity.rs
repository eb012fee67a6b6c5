//! Tokens of a managed identity, from what the platform has for it.
//!
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview>

use crate::entra;
use crate::identity::Identity;
use crate::metadata::MetadataService;
use crate::variable::variable;
use serde::Deserialize;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind, Need, files, json};
use usher_plugin_lib::{access_token, ask_metadata, form};

/// An identity, and who hands out its tokens here.
pub(crate) struct ManagedIdentity {
    identity: Identity,
    place: Place,
}

enum Place {
    /// App Service, Functions, Container Apps.
    AppService { endpoint: String, header: String },
    /// Azure Arc: a machine outside of Azure.
    Arc { endpoint: String },
    /// Machine Learning.
    MachineLearning { endpoint: String, secret: String },
    /// Cloud Shell.
    CloudShell { endpoint: String },
    /// A virtual machine: the instance metadata service.
    Machine,
}

const IDENTITY_ENDPOINT: &str = "IDENTITY_ENDPOINT";
const IDENTITY_HEADER: &str = "IDENTITY_HEADER";
const THUMBPRINT: &str = "IDENTITY_SERVER_THUMBPRINT";
const IMDS_ENDPOINT: &str = "IMDS_ENDPOINT";
const MSI_ENDPOINT: &str = "MSI_ENDPOINT";
const MSI_SECRET: &str = "MSI_SECRET";

/// Where Azure Arc's agent puts the secrets that prove that one may read its files.
const ARC_DIRECTORY: &str = "/var/opt/azcmagent/tokens/";
/// Bytes of one of them.
const LARGEST_SECRET: usize = 4096;

/// To look for each place and ask it.
pub(crate) fn needs() -> Vec<Need> {
    let variables =
        [IDENTITY_ENDPOINT, IDENTITY_HEADER, THUMBPRINT, IMDS_ENDPOINT, MSI_ENDPOINT, MSI_SECRET];
    let mut needs: Vec<Need> = variables.into_iter().map(Need::env).collect();
    needs.extend([
        Need::connect(format!("${{{IDENTITY_ENDPOINT}}}")),
        Need::connect(format!("${{{MSI_ENDPOINT}}}")),
        Need::read(format!("{ARC_DIRECTORY}*.key")),
    ]);
    needs
}

impl ManagedIdentity {
    /// At the place that the environment tells of.
    pub(crate) fn find(identity: Identity) -> Result<Self, Failure> {
        let place = match (variable(IDENTITY_ENDPOINT)?, variable(MSI_ENDPOINT)?) {
            (Some(endpoint), _) => match variable(IDENTITY_HEADER)? {
                Some(_) if variable(THUMBPRINT)?.is_some() => {
                    let message = "the managed identities of Service Fabric are not supported; \
                                   give the service principal's secret or certificate";
                    return Err(Failure::config("azure.service-fabric", message));
                }
                Some(header) => Place::AppService { endpoint, header },
                None if variable(IMDS_ENDPOINT)?.is_some() => Place::Arc { endpoint },
                None => Place::Machine,
            },
            (None, Some(endpoint)) => match variable(MSI_SECRET)? {
                Some(secret) => Place::MachineLearning { endpoint, secret },
                None => Place::CloudShell { endpoint },
            },
            (None, None) => Place::Machine,
        };
        Ok(Self { identity, place })
    }

    /// A token for a resource.
    pub(crate) fn token(
        &self,
        service: &MetadataService,
        resource: &str,
    ) -> Result<String, Failure> {
        let get = |endpoint: &str, version: &str, identity: Option<(&str, &str)>| {
            let mut fields = vec![("api-version", version), ("resource", resource)];
            fields.extend(identity);
            Request::get(format!("{endpoint}?{}", form(&fields)))
        };
        match &self.place {
            Place::Machine => service.token(resource, &self.identity),
            Place::AppService { endpoint, header } => {
                let what = "App Service's identity endpoint";
                let request = get(endpoint, "2019-08-01", self.identity.field())
                    .header("X-IDENTITY-HEADER", header)
                    // Azure Automation, which is asked in the same way, wants it.
                    .header("Metadata", "true");
                token(what, &ask_metadata(what, request)?)
            }
            Place::MachineLearning { endpoint, secret } => {
                let what = "Machine Learning's identity endpoint";
                let identity = self.identity.field();
                let identity = identity
                    .map(|(name, id)| (if name == "client_id" { "clientid" } else { name }, id));
                let request = get(endpoint, "2017-09-01", identity).header("secret", secret);
                token(what, &ask_metadata(what, request)?)
            }
            Place::CloudShell { endpoint } => {
                let what = "Cloud Shell's identity endpoint";
                let request = Request::post(endpoint, form(&[("resource", resource)]))
                    .header("content-type", "application/x-www-form-urlencoded")
                    .header("Metadata", "true");
                token(what, &ask_metadata(what, request)?)
            }
            Place::Arc { endpoint } => {
                let request = get(endpoint, "2020-06-01", self.identity.field());
                self.of_arc(request.header("Metadata", "true"))
            }
        }
    }

    /// Arc's agent first asks for the content of a file that only those may read who may have a
    /// token.
    fn of_arc(&self, request: Request) -> Result<String, Failure> {
        let what = "Azure Arc's agent";
        let response = ask_metadata(what, request.clone())?;
        if response.status != 401 {
            return token(what, &response);
        }
        let challenge = response.header("www-authenticate").unwrap_or_default();
        let secret = arc_secret(challenge)?;
        let response =
            ask_metadata(what, request.header("Authorization", format!("Basic {secret}")))?;
        let token = token(what, &response)?;
        // An old agent knows only the machine's own identity, whatever it is asked for.
        if let Some((name, id)) = self.identity.field() {
            let used: Used = json::read(&response.body).unwrap_or_default();
            let used = if name == "client_id" { used.client_id } else { used.object_id };
            if !used.eq_ignore_ascii_case(id) {
                let message = format!(
                    "{what} answered with a token of another identity than the one that {name} \
                     means; it may know only the machine's own: update it, or leave {name} out"
                );
                return Err(Failure::denied("arc.identity", message));
            }
        }
        Ok(token)
    }
}

/// Whose token it is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Used {
    client_id: String,
    object_id: String,
}

fn token(what: &str, response: &Response) -> Result<String, Failure> {
    let token = access_token(what, response).map_err(entra::with_remedy)?;
    Ok(token.access_token)
}

/// The content of the file that the challenge names, if it is one of the agent's own.
fn arc_secret(challenge: &str) -> Result<String, Failure> {
    let file = challenge.split_once('=').map(|(_, file)| file.trim().trim_matches('"'));
    let name = file.and_then(|file| file.strip_prefix(ARC_DIRECTORY)?.strip_suffix(".key"));
    let Some(file) = file.filter(|_| name.is_some_and(|name| !name.contains(['/', '\\']))) else {
        let message = format!(
            "Azure Arc's agent asked for another file than one of {ARC_DIRECTORY}*.key: \
             something else answers in its place"
        );
        return Err(Failure::denied("arc.challenge", message));
    };
    let secret = files::read_trimmed(file).map_err(|failure| {
        let message = format!(
            "{}; the agent's user must be in the group himds to prove itself to Azure Arc",
            failure.message
        );
        Failure { kind: Kind::Unavailable, message, ..failure }
    })?;
    if secret.len() > LARGEST_SECRET {
        let message = format!("{file} is larger than 4096 bytes, so it is no secret of Azure Arc");
        return Err(Failure::denied("arc.challenge", message).detail("file", file));
    }
    Ok(secret)
}
