//! Azure's instance metadata service (IMDS): what the machine is called, and tokens of the managed
//! identities assigned to it.
//!
//! <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>

use crate::entra;
use crate::identity::Identity;
use crate::variable::variable;
use serde::Deserialize;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind, Need, log};
use usher_plugin_lib::{access_token, ask_metadata, form, refusal};

/// Where the service answers.
pub(crate) struct MetadataService {
    /// Without trailing slash.
    address: String,
}

/// What the service knows of the machine, as the login names it. Empty: unknown, or not of one.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    pub(crate) subscription_id: String,
    pub(crate) resource_group_name: String,
    pub(crate) vm_name: String,
    pub(crate) vmss_name: String,
}

/// As in messages.
const WHAT: &str = "Azure's instance metadata service";
/// Only the machine itself reaches it.
const ADDRESS: &str = "http://169.254.169.254";
/// Another one in its place, in the vendor's SDKs too: a node's pod identity, or a test's.
const ADDRESS_VARIABLE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const API_VERSION: &str = "2018-02-01";

/// To ask the service.
pub(crate) fn needs() -> Vec<Need> {
    vec![
        Need::connect(format!("{ADDRESS}/metadata")),
        Need::connect(format!("${{{ADDRESS_VARIABLE}}}")),
        Need::env(ADDRESS_VARIABLE),
    ]
}

impl MetadataService {
    /// At its address, or the one that the environment names.
    pub(crate) fn find() -> Result<Self, Failure> {
        let address = variable(ADDRESS_VARIABLE)?.unwrap_or_else(|| ADDRESS.to_owned());
        Ok(Self { address: address.trim_end_matches('/').to_owned() })
    }

    /// A token of a managed identity for a resource.
    pub(crate) fn token(&self, resource: &str, identity: &Identity) -> Result<String, Failure> {
        let mut fields = vec![("api-version", API_VERSION)];
        fields.extend(identity.field());
        fields.push(("resource", resource));
        let response = self.ask("identity/oauth2/token", &fields)?;
        access_token(WHAT, &response).map(|token| token.access_token).map_err(|failure| {
            let failure = passing_if_not_found(&response, failure);
            entra::with_remedy(failure)
        })
    }

    /// What the machine is.
    pub(crate) fn instance(&self) -> Result<Instance, Failure> {
        self.ask_instance().map_err(|failure| {
            let message = format!(
                "{}; where it does not answer, use authenticate_from_environment, or set \
                 subscription_id, resource_group_name, vm_name and vmss_name",
                failure.message
            );
            Failure { message, ..failure }
        })
    }

    /// The same; nothing where no such service is, as in a pod that is kept from it. The server
    /// wants to know only where the role is bound to it.
    pub(crate) fn instance_if_there(&self) -> Instance {
        self.ask_instance().unwrap_or_else(|failure| {
            log::info(
                "the login is sent without the names of the machine",
                &[("reason", &failure.message)],
            );
            Instance::default()
        })
    }

    fn ask_instance(&self) -> Result<Instance, Failure> {
        let response = self.ask("instance", &[("api-version", API_VERSION)])?;
        if !response.is_success() {
            let failure = refusal("imds.refused", WHAT, &response);
            return Err(passing_if_not_found(&response, failure));
        }
        let Metadata { compute } = response.json()?;
        Ok(Instance {
            subscription_id: compute.subscription_id,
            resource_group_name: compute.resource_group_name,
            vm_name: compute.name,
            vmss_name: compute.vm_scale_set_name,
        })
    }

    fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Result<Response, Failure> {
        let url = format!("{}/metadata/{path}?{}", self.address, form(fields));
        ask_metadata(WHAT, Request::get(url).header("Metadata", "true"))
    }
}

/// A machine in the middle of an update of the service answers 404 for a moment.
fn passing_if_not_found(response: &Response, failure: Failure) -> Failure {
    if response.status == 404 { failure.into_kind(Kind::Unavailable) } else { failure }
}

#[derive(Deserialize)]
struct Metadata {
    compute: Compute,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Compute {
    subscription_id: String,
    resource_group_name: String,
    name: String,
    vm_scale_set_name: String,
}
