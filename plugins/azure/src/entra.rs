//! Microsoft Entra ID: access tokens for an application that proves itself (OAuth 2.0 client
//! credentials).
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>

use crate::certificate::Certificate;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use usher_plugin::{Failure, clock, random};
use usher_plugin_lib::{request_token, sign_jwt};

/// An application (a service principal) of a tenant.
pub(crate) struct Application {
    /// URL of the token endpoint of its tenant.
    endpoint: String,
    client_id: String,
}

impl Application {
    /// `authority` is the URL of a cloud's login service.
    pub(crate) fn new(authority: &str, tenant: &str, client_id: String) -> Result<Self, Failure> {
        let authority = authority.trim_end_matches([' ', '/']);
        if !is_safe(authority) {
            let message = "AZURE_AUTHORITY_HOST must start with https://, as in \
                           https://login.microsoftonline.us; what is sent there is a credential";
            return Err(Failure::config("azure.authority", message));
        }
        let of_tenant = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if !tenant.bytes().all(of_tenant) {
            let message = "AZURE_TENANT_ID is no tenant: write its id, or one of its domains";
            return Err(Failure::config("azure.tenant", message));
        }
        Ok(Self { endpoint: format!("{authority}/{tenant}/oauth2/v2.0/token"), client_id })
    }

    /// An access token for the scope; `proof` is the rest of the form, all of it secret.
    pub(crate) fn token(&self, scope: &str, proof: &[(&str, &str)]) -> Result<String, Failure> {
        let mut fields = vec![
            ("client_id", self.client_id.as_str()),
            ("grant_type", "client_credentials"),
            ("scope", scope),
        ];
        fields.extend(proof);
        let token = request_token(WHAT, &self.endpoint, &fields).map_err(|mut failure| {
            for (_, secret) in proof {
                failure.message = failure.message.replace(secret, "[redacted]");
            }
            with_remedy(failure)
        })?;
        Ok(token.access_token)
    }

    /// The same with a JWT that vouches for the application (RFC 7523, section 2.2).
    pub(crate) fn token_for_assertion(
        &self,
        scope: &str,
        assertion: &str,
    ) -> Result<String, Failure> {
        self.token(
            scope,
            &[("client_assertion", assertion), ("client_assertion_type", ASSERTION_TYPE)],
        )
    }

    /// A JWT that only the owner of the certificate's key can make, good for ten minutes.
    ///
    /// <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>
    pub(crate) fn assertion(
        &self,
        certificate: &Certificate,
        with_chain: bool,
    ) -> Result<String, Failure> {
        let mut header = json!({ "x5t#S256": certificate.thumbprint() });
        if with_chain {
            header["x5c"] = certificate.chain().into();
        }
        let now = seconds(clock::now());
        let claims = json!({
            "aud": self.endpoint,
            "exp": now + 600,
            "iat": now,
            "iss": self.client_id,
            "jti": uuid(),
            "nbf": now,
            "sub": self.client_id,
        });
        sign_jwt("PS256", certificate.key_pem(), header, &claims)
            .map_err(|failure| certificate.unusable(failure))
    }
}

/// As in messages.
const WHAT: &str = "Microsoft Entra ID";

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The failure with what to do about it, where the answer says enough.
pub(crate) fn with_remedy(failure: Failure) -> Failure {
    // What follows helps only the vendor.
    let said = failure.message.split(" Trace ID:").next().unwrap_or_default().trim_end();
    let known = REMEDIES.iter().find(|(words, _)| said.contains(words));
    let message = match known {
        Some((_, remedy)) => format!("{}; {remedy}", said.trim_end_matches('.')),
        None => said.to_owned(),
    };
    Failure { message, ..failure }
}

/// Words of an answer, and what to do.
///
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
const REMEDIES: [(&str, &str); 17] = [
    (
        "AADSTS7000215",
        "AZURE_CLIENT_SECRET must be the secret's value, not its id; make a new secret if it is lost",
    ),
    ("AADSTS7000222", "the secret has expired; make a new one for the application"),
    (
        "AADSTS700024",
        "compare this machine's clock with the right time: an assertion is good for ten minutes",
    ),
    (
        "AADSTS700027",
        "register this certificate with the application, or set AZURE_CLIENT_CERTIFICATE_PATH to the one that is",
    ),
    ("AADSTS700016", "compare AZURE_CLIENT_ID and AZURE_TENANT_ID with the application's"),
    (
        "AADSTS700211",
        "the application trusts no such issuer; give it a federated credential with the token's iss, sub and aud",
    ),
    (
        "AADSTS700212",
        "the token's audience must be that of the application's federated credential, as api://AzureADTokenExchange",
    ),
    ("AADSTS700213", "the token's subject must be that of the application's federated credential"),
    (
        "AADSTS70021",
        "give the application a federated credential with the token's iss, sub and aud",
    ),
    (
        "AADSTS90002",
        "check AZURE_TENANT_ID, and AZURE_AUTHORITY_HOST if the tenant is in a national cloud",
    ),
    ("AADSTS900023", "AZURE_TENANT_ID must be the id of the tenant, or one of its domains"),
    (
        "AADSTS500011",
        "`config.resource` must be the App ID URI of an application in this tenant, as the server's method has it",
    ),
    ("AADSTS1002012", "`config.scope` must end with /.default"),
    ("AADSTS70011", "`config.scope` must end with /.default"),
    (
        "Identity not found",
        "assign a managed identity to this machine, or correct client_id or object_id",
    ),
    (
        "Multiple user assigned identities",
        "say which one: set client_id or object_id in the method's config",
    ),
    (
        "invalid_resource",
        "`config.resource` must be the App ID URI that the server's method has as resource",
    ),
];

/// Credentials are sent there: over TLS, or to the machine itself.
fn is_safe(authority: &str) -> bool {
    if authority.starts_with("https://") {
        return true;
    }
    let Some(rest) = authority.strip_prefix("http://") else { return false };
    ["127.0.0.1", "localhost", "[::1]"].into_iter().any(|host| {
        rest.strip_prefix(host)
            .is_some_and(|after| after.is_empty() || after.starts_with([':', '/']))
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Version 4 (RFC 9562, section 5.4).
fn uuid() -> String {
    let mut bytes = [0; 16];
    for (byte, random) in bytes.iter_mut().zip(random::bytes(16)) {
        *byte = random;
    }
    let number = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (4 << 76) | (2 << 62);
    let digits = format!("{number:032x}");
    let (head, rest) = digits.split_at(8);
    let (a, rest) = rest.split_at(4);
    let (b, rest) = rest.split_at(4);
    let (c, node) = rest.split_at(4);
    format!("{head}-{a}-{b}-{c}-{node}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_plugin::testing::Host;

    #[test]
    fn a_credential_goes_over_tls_or_stays_on_the_machine() {
        for (authority, safe) in [
            ("https://login.microsoftonline.us", true),
            ("http://127.0.0.1:8080", true),
            ("http://localhost", true),
            ("http://[::1]:80/x", true),
            ("http://login.microsoftonline.com", false),
            ("http://127.0.0.1.evil.example", false),
            ("http://localhost@evil.example", false),
            ("http://localhost.evil.example", false),
            ("login.microsoftonline.com", false),
        ] {
            assert_eq!(is_safe(authority), safe, "{authority}");
        }
    }

    #[test]
    fn an_id_is_a_random_uuid() {
        let _host = Host::install();
        let (one, two) = (uuid(), uuid());
        assert_ne!(one, two);
        let parts: Vec<&str> = one.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{one}");
    }
}
