//! Unwraps for auth methods, over the agent's own connection and without any token of its own.

use async_trait::async_trait;
use usher_engine::{Failure, FailureKind, Unwrapper};
use usher_secret::{Secret, redactor};
use usher_server::{Client, Scope};

use crate::trouble::told;

/// Unwraps through the agent's client, where the method logs in.
pub(crate) struct ServerUnwrapper {
    pub(crate) client: Client,
    pub(crate) scope: Scope,
}

#[async_trait]
impl Unwrapper for ServerUnwrapper {
    async fn unwrap(
        &self,
        token: Secret<String>,
        creation_path: Option<String>,
    ) -> Result<Secret<String>, Failure> {
        let _live = redactor::keep_out_of_logs(&token);
        let Self { client, scope } = self;
        if let Some(expected) = creation_path {
            let found =
                client.wrapping_lookup(scope, &token).await.map_err(|error| told(&error))?;
            if found.creation_path != expected {
                return Err(Failure::new(
                    FailureKind::Denied,
                    "wrapping.creation-path",
                    format!(
                        "the wrapping token was made by {}, not by {expected}: somebody may have intercepted the secret and wrapped another one; it was left wrapped, find out where it comes from",
                        found.creation_path
                    ),
                ));
            }
        }
        client.unwrap(scope, &token).await.map_err(|error| told(&error))
    }
}
