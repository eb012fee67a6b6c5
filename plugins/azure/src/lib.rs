//! Logs in with an access token of Microsoft Entra ID: the `azure` method.
//!
//! The configuration is the incumbents', and the machine's own names besides. Unlike there, a
//! workload that proves itself from its environment needs no instance metadata service, and nothing
//! but a JWT is ever sent.

mod certificate;
mod entra;
mod environment;
mod identity;
mod managed_identity;
mod metadata;
mod variable;

use environment::Source;
use identity::Identity;
use metadata::{Instance, MetadataService};
use schemars::JsonSchema;
use serde::Deserialize;
use usher_plugin::config::WeakBool;
use usher_plugin::{About, Answer, AuthMethod, Failure, Login, Need, Reauthenticate};
use usher_plugin_lib::{looks_like_jwt, named_role, refused};

/// The method.
#[derive(Debug)]
pub struct Azure;

/// The `config` block of the method.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Config {
    /// Role of the method on the server.
    #[schemars(length(min = 1))]
    role: String,
    /// What the access token is for: the App ID URI that the server's method has as `resource`.
    #[schemars(length(min = 1))]
    resource: String,
    /// Object id of a user-assigned managed identity.
    #[serde(default)]
    object_id: String,
    /// Client id of a user-assigned managed identity, instead of `object_id`.
    #[serde(default)]
    client_id: String,
    /// With `authenticate_from_environment`: the scope asked for. Empty: `resource` followed by
    /// "/.default".
    #[serde(default)]
    scope: String,
    /// Take the credential from the environment: a service principal, workload identity
    /// federation, or the managed identity of the platform.
    #[serde(default)]
    authenticate_from_environment: WeakBool,
    /// Instead of what the instance metadata service says.
    subscription_id: Option<String>,
    /// Instead of what the instance metadata service says.
    resource_group_name: Option<String>,
    /// Name of the virtual machine, instead of what the instance metadata service says.
    vm_name: Option<String>,
    /// Name of the scale set, instead of what the instance metadata service says.
    vmss_name: Option<String>,
}

impl AuthMethod for Azure {
    type Config = Config;

    const ABOUT: About = About::new(
        "azure",
        env!("CARGO_PKG_VERSION"),
        "Logs in with an access token of Microsoft Entra ID",
    )
    .licence("Apache-2.0")
    .reauthenticate(Reauthenticate::No)
    .identifies("role, object_id, client_id, authenticate_from_environment");

    const CONFIG_SCHEMA: Option<&'static str> = Some(include_str!("../config.schema.json"));

    fn prepare(config: &Config) -> Result<Vec<Need>, Failure> {
        named_role(&config.role)?;
        if config.resource.is_empty() {
            let what = "is empty; write the resource of the server's method";
            return Err(refused("resource", "empty", what));
        }
        if !config.object_id.is_empty() && !config.client_id.is_empty() {
            let what = "can't be used together with `client_id`; leave one of them out";
            return Err(refused("object_id", "invalid", what));
        }
        let mut needs = metadata::needs();
        if config.authenticate_from_environment.0 {
            needs.extend(environment::needs());
        }
        Ok(needs)
    }

    fn authenticate(config: &Config) -> Result<Answer, Failure> {
        let service = MetadataService::find()?;
        let instance = config.instance(&service)?;
        let token = if config.authenticate_from_environment.0 {
            let source = Source::find(config.identity())?;
            source.token(&service, &config.scope())?
        } else {
            service.token(&config.resource, &config.identity())?
        };
        if !looks_like_jwt(&token) {
            let message = "the access token is no JWT: something else answers in place of the \
                           service, or the resource is one whose tokens are not readable";
            return Err(Failure::unavailable("azure.not-a-jwt", message));
        }
        let body = serde_json::json!({
            "jwt": token,
            "resource_group_name": instance.resource_group_name,
            "role": config.role,
            "subscription_id": instance.subscription_id,
            "vm_name": instance.vm_name,
            "vmss_name": instance.vmss_name,
        });
        // Without revision: each token differs from the last one, and who it is of never changes
        // while the agent runs.
        Ok(Answer::login(Login::new("login", body)))
    }
}

usher_plugin::export!(auth_method: Azure);

impl Config {
    /// The managed identity that is meant.
    fn identity(&self) -> Identity {
        match (self.object_id.as_str(), self.client_id.as_str()) {
            ("", "") => Identity::System,
            ("", client_id) => Identity::Client(client_id.to_owned()),
            (object_id, _) => Identity::Object(object_id.to_owned()),
        }
    }

    /// A slash at the end of the resource stays: the audience of some resources has it too.
    fn scope(&self) -> String {
        if self.scope.is_empty() {
            format!("{}/.default", self.resource)
        } else {
            self.scope.clone()
        }
    }

    /// What the configuration says of the machine, and what it leaves open from the metadata
    /// service. Only a token from the service itself makes it certain that there is one.
    fn instance(&self, service: &MetadataService) -> Result<Instance, Failure> {
        let configured =
            [&self.subscription_id, &self.resource_group_name, &self.vm_name, &self.vmss_name];
        let found = if configured.iter().all(|field| field.is_some()) {
            Instance::default()
        } else if self.authenticate_from_environment.0 {
            service.instance_if_there()
        } else {
            service.instance()?
        };
        let or = |configured: &Option<String>, found| configured.clone().unwrap_or(found);
        Ok(Instance {
            subscription_id: or(&self.subscription_id, found.subscription_id),
            resource_group_name: or(&self.resource_group_name, found.resource_group_name),
            vm_name: or(&self.vm_name, found.vm_name),
            vmss_name: or(&self.vmss_name, found.vmss_name),
        })
    }
}

#[cfg(test)]
mod tests;
