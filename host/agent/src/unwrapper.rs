//! Unwraps for auth methods, over the agent's own connection and without any token of its own.

use async_trait::async_trait;
use usher_engine::{Failure, FailureKind, Unwrapper};
use usher_secret::{Secret, redactor};
use usher_server::{Client, Scope};

use crate::trouble::failure;

/// Unwraps through the agent's client.
pub(crate) struct ServerUnwrapper(pub(crate) Client);

#[async_trait]
impl Unwrapper for ServerUnwrapper {
    async fn unwrap(
        &self,
        namespace: &str,
        token: Secret<String>,
        creation_path: Option<String>,
    ) -> Result<Secret<String>, Failure> {
        let _live = redactor::keep_out_of_logs(&token);
        let scope = Scope::new(namespace);
        if let Some(expected) = creation_path {
            let found =
                self.0.wrapping_lookup(&scope, &token).await.map_err(|error| failure(&error))?;
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
        self.0.unwrap(&scope, &token).await.map_err(|error| failure(&error))
    }
}
