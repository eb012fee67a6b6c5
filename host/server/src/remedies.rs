//! Puts refusals and failed handshakes into plain words, with what to do about them.

use http::{Method, StatusCode};

use crate::answer;
use crate::error::{Class, Error, Reason, class_of};
use crate::operation::Operation;

/// An answer that isn't a success, to a request that the agent passed on for somebody: what the
/// server says, and what to do about it. `path` is below "v1/".
pub fn refusal_of_another(method: &Method, path: &str, status: StatusCode, body: &[u8]) -> Error {
    refusal(Operation::Passed { method, path }, status, body, true)
}

/// An answer that isn't a success: what the server says, and what to do about it.
pub(crate) fn refusal(
    operation: Operation<'_>,
    status: StatusCode,
    body: &[u8],
    tls: bool,
) -> Error {
    let code = status.as_u16();
    let class = class_of(code);
    let said = answer::errors(body);
    let text = said.as_deref().unwrap_or_default();
    let known = known_remedy(operation, text);
    // Of a version of a secret that is deleted the server tells when.
    let is_deleted = code == 404
        && matches!(operation, Operation::Passed { .. })
        && said.is_none()
        && answer::raw(body).is_ok();
    let (reason, remedy) = match code {
        400 if !tls && is_plain_http_complaint(body) => {
            (Reason::Tls, "the server speaks TLS on this port: write https:// in vault.address")
        }
        400 if operation.opens_a_wrapping() && text.contains("wrapping token is not valid") => (
            Reason::WrappingUsed,
            "it was already used, has expired or is unknown: find out who unwrapped it, and issue a new one",
        ),
        403 if text.contains("invalid token") => {
            (Reason::InvalidToken, "the token was revoked or has expired")
        }
        404 if text.contains("namespace not found") => (Reason::Status, "check the namespace"),
        407 => (Reason::Status, "the proxy wants a user and a password: write them in its URL"),
        _ if known.is_some() => (Reason::Status, known.unwrap_or_default()),
        503 if text.contains("sealed") => (Reason::Status, "unseal the server"),
        429 => (Reason::Status, "the server limits requests: check its quotas"),
        472 | 473 => {
            (Reason::Status, "the server is a standby: write the active cluster's address")
        }
        300..400 => (
            Reason::Redirect,
            "a secrets server doesn't answer this: check vault.address, and what stands between the agent and the server",
        ),
        _ if is_deleted => {
            (Reason::Status, "what was there is deleted: write it anew, or have it undeleted")
        }
        // What stands between says nothing of the token, whatever its status.
        _ if said.is_none() && !body.is_empty() => (
            Reason::Unreadable,
            "check vault.address, and what stands between the agent and the server",
        ),
        500.. => (Reason::Status, "the server's own log says more"),
        _ => (Reason::Status, remedy_for_refusal(operation, code)),
    };
    let explanation = match &said {
        Some(text) if !text.is_empty() => format!(": {text}"),
        Some(_) => String::new(),
        None if reason == Reason::Tls => String::from(": http was spoken to an https port"),
        None if body.is_empty() || is_deleted => String::new(),
        None => {
            String::from(", and not in the server's own words: something between may have answered")
        }
    };
    let verb = if class == Class::Refused { "refused" } else { "failed" };
    let error = Error::new(
        class,
        reason,
        format_args!("{operation} {verb} ({status}){explanation}"),
        remedy,
    );
    Error { status: Some(code), ..error }
}

fn remedy_for_refusal(operation: Operation<'_>, status: u16) -> &'static str {
    match (operation, status) {
        (Operation::Login { .. }, 400) => "check the credential and the role's name",
        (Operation::Login { .. }, 403) => {
            "check that the method is mounted at this path, that the credential is valid, and that the role's token_bound_cidrs hold the address that the server sees"
        }
        (Operation::Login { .. }, 404 | 405) => {
            "check mount_path, the method's type and the namespace"
        }
        (Operation::Renew | Operation::Lookup | Operation::Wrap | Operation::Revoke, 403) => {
            "the token is revoked or expired, bound to other addresses (token_bound_cidrs), or its policies don't allow this"
        }
        (Operation::Passed { .. }, 404) => {
            "nothing is there: check the path, which in version 2 of the KV engine is MOUNT/data/NAME, and the namespace"
        }
        (Operation::WrappingLookup | Operation::Unwrap, _) => {
            "check that this is a wrapping token of this server and namespace"
        }
        _ => "",
    }
}

/// What to do about a login that the server's own auth method refuses, or about a request that was
/// passed on, by words of the answer.
fn known_remedy(operation: Operation<'_>, text: &str) -> Option<&'static str> {
    let remedies = match operation {
        Operation::Login { .. } => LOGIN_REMEDIES,
        Operation::Passed { .. } => PASSED_REMEDIES,
        _ => return None,
    };
    let known = remedies.iter().find(|(words, _)| text.contains(words));
    known.map(|(_, remedy)| *remedy)
}

/// Words of `OpenBao` 2.7 and Vault 1.x.
const PASSED_REMEDIES: &[(&str, &str)] = &[
    ("no handler for route", "no engine is mounted there: check the path and the namespace"),
    ("versioned K/V", "write data/ after the mount, or metadata/ to list: secret/data/app"),
    ("unsupported operation", "the path takes another method: GET reads, LIST lists"),
    ("unsupported path", "the engine has no such path: compare it with the engine's API"),
    (
        "permission denied",
        "give the token a policy with the capability for this path, read or for LIST list; in version 2 of the KV engine the path has data/ or metadata/ after the mount. A path where nothing is mounted is refused alike",
    ),
];

/// Words of `OpenBao` 2.7 and Vault 1.x, the more telling ones first.
const LOGIN_REMEDIES: &[(&str, &str)] = &[
    (
        "token is expired",
        "have a new credential issued, or check the clocks of this machine and the server",
    ),
    (
        "token not yet valid",
        "check the clocks of the issuer and the server, or give the role a not_before_leeway",
    ),
    (
        "audience",
        "have the token issued for an audience of the role: bound_audiences, of kubernetes audience",
    ),
    // approle, whose answer names the address that the server sees.
    (
        "CIDR restrictions on the secret ID",
        "add that address to the secret-id's cidr_list and the role's secret_id_bound_cidrs; behind a proxy or a load balancer it is theirs",
    ),
    (
        "CIDR restrictions on the role",
        "add that address to the role's secret_id_bound_cidrs; behind a proxy or a load balancer it is theirs",
    ),
    (
        "invalid role or secret ID",
        "check that the role-id is this role's, and that the secret-id isn't used up, expired, another role's, or still wrapped (secret_id_response_wrapping_path)",
    ),
    (
        "invalid secret id",
        "check that the secret-id isn't used up, expired, another role's, or still wrapped (secret_id_response_wrapping_path)",
    ),
    ("invalid subject", "compare the token's subject with the role's bound_subject"),
    ("bound claim", "compare the token's claims with the role's bound_claims"),
    (
        "verifying token signature",
        "check that the token is whole, and that the method knows its issuer's key",
    ),
    ("could not be found", "create the role on the server, or correct its name"),
    ("invalid role name", "create the role on the server, or correct its name"),
    (
        "service account name not authorized",
        "add the pod's service account to the role's bound_service_account_names",
    ),
    (
        "namespace not authorized",
        "add the pod's namespace to the role's bound_service_account_namespaces",
    ),
    (
        "subscription_id and resource_group_name are required",
        "the role is bound to the machine: let the agent reach Azure's metadata service, or set both in the method's config",
    ),
    (
        "service principal not authorized",
        "add the identity's object id to the role's bound_service_principal_ids",
    ),
    (
        "token object id does not match",
        "the token must be of an identity that is assigned to the machine which the login names",
    ),
    // AWS's STS, as the server's aws method passes its words on, and that method itself.
    (
        "Signature expired",
        "set this machine's clock, or the server's: AWS accepts a signature for 15 minutes",
    ),
    (
        "Signature not yet current",
        "set this machine's clock, or the server's: AWS accepts a signature for 15 minutes",
    ),
    ("Credential should be scoped", "set the method's region to that of the server's sts_endpoint"),
    (
        "SignatureDoesNotMatch",
        "check the secret access key, and that the server's sts_endpoint is of the method's region",
    ),
    (
        "InvalidClientTokenId",
        "the access key is gone or disabled, or is of another partition: China and GovCloud need their region",
    ),
    ("ExpiredToken", "have new session credentials issued"),
    ("IAM-Server-ID", "set header_value to what the server's mount expects"),
    ("entry for role", "create the role on the server, or correct its name"),
    (
        "does not belong to the role",
        "add the workload's IAM principal to the role's bound_iam_principal_arn",
    ),
    (
        "client nonce mismatch",
        "log in with the nonce of the instance's first login (nonce, state_file), or remove the instance from the server's identity-accesslist",
    ),
    // cf.
    (
        "request is too old",
        "check the clocks of this machine and the server; the method allows a few minutes",
    ),
    (
        "request is too far in the future",
        "check the clocks of this machine and the server; the method allows a few minutes",
    ),
    ("no matching role", "create the role on the server, or correct its name"),
    (
        "crypto/rsa: verification error",
        "check that CF_INSTANCE_KEY names the key of the certificate in CF_INSTANCE_CERT; one may have been replaced before the other",
    ),
    // oci.
    ("Role is not found", "create the role on the server, or correct its name"),
    (
        "OCI authentication failed",
        "check the user's API key and its fingerprint, and this machine's clock; Oracle tolerates five minutes",
    ),
    (
        "incorrect (request-target)",
        "mount the method below auth/, and write a namespace as `namespace`, not in mount_path",
    ),
    ("Wrong principal type", "log in as a user or an instance; the method takes no others"),
    ("Home Tenancy is invalid", "write the tenancy's OCID on the server: home_tenancy_id"),
    ("Invalid Tenancy", "compare the tenancy with the server's home_tenancy_id"),
    (
        "No membership OCIDs found",
        "add a group of the user, or a dynamic group of the instance, to the role's ocid_list",
    ),
    (
        "not a part of any of the Role OCIDs",
        "add a group of the user, or a dynamic group of the instance, to the role's ocid_list",
    ),
    (
        "Opc request id",
        "Oracle refuses the server: its dynamic group needs AUTHENTICATION_INSPECT and GROUP_MEMBERSHIP_INSPECT in the tenancy; else check the key and this machine's clock",
    ),
    // cert.
    ("no client certificate found", "set client_cert and client_key of the method"),
    (
        "invalid certificate or no client certificate",
        "check that a role of this name exists, and that the client certificate is trusted by it",
    ),
    (
        "no chain matching all constraints",
        "compare the client certificate with what the role allows: allowed_common_names and the like",
    ),
    (
        "certificate has expired or is not yet valid",
        "renew the client certificate, or check the server's clock",
    ),
    ("tls connection required", "write https:// in vault.address"),
    (
        "invalid username or password",
        "check the credential: the name, and the password in its file",
    ),
    (
        "authentication required",
        "have the mount let the header through: passthrough_request_headers=Authorization",
    ),
    (
        "Unauthorised.",
        "the server can't read the ticket, or its clock is off: give the method the newest keytab of the service, and compare the clocks; its log says more",
    ),
    ("connect to LDAP", "let the server reach the directory that the method's configuration names"),
    // gcp.
    ("\" not found", "create the role on the server, or correct its name"),
    ("JWTs expire within", "lower jwt_exp of the method, or raise the role's max_jwt_exp"),
    (
        "does not have proper 'exp' claim",
        "check the clocks of this machine and the server: the JWT was made just now",
    ),
    (
        "is not authorized for role",
        "add the service account to the role's bound_service_accounts, or set service_account",
    ),
    ("not in bound projects", "add the project to the role's bound_projects"),
    (
        "no Google OAuth2 provider key found for GCE role",
        "the role is of the type gce: set type = \"gce\", or make a role of the type iam",
    ),
    (
        "expected JWT to have claims with GCE metadata",
        "GKE's metadata server leaves them out: set type = \"iam\" with such a role, or use kubernetes",
    ),
    ("does not allow GCE inference", "set type = \"iam\", or allow_gce_inference of the role"),
    (
        "claim 'aud' must end in",
        "the server reads another role's name than is in the JWT: check role",
    ),
];

/// What Go's TLS listener answers to plain HTTP.
fn is_plain_http_complaint(body: &[u8]) -> bool {
    body.starts_with(b"Client sent an HTTP request to an HTTPS server")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(method: &str, path: &str, status: u16, body: &str) -> Error {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        refusal_of_another(&method, path, status, body.as_bytes())
    }

    #[test]
    fn a_refusal_of_anothers_request_is_told_with_what_to_do() {
        let denied = r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#;
        let deleted = r#"{"request_id":"1","data":{"data":null,"metadata":{}},"warnings":null}"#;
        let wrong =
            r#"{"request_id":"1","warnings":["Invalid path for a versioned K/V secrets engine."]}"#;
        for (method, path, status, body, words) in [
            (
                "GET",
                "secret/data/x",
                403,
                denied,
                &[
                    "GET secret/data/x refused (403 Forbidden): permission denied; give the token a policy",
                ][..],
            ),
            (
                "LIST",
                "secret/app",
                404,
                wrong,
                &["LIST secret/app", "Invalid path", "data/ after the mount"],
            ),
            (
                "GET",
                "secret/data/x",
                404,
                deleted,
                &["refused (404 Not Found); what was there is deleted"],
            ),
            ("GET", "secret/data/x", 404, r#"{"errors":[]}"#, &["nothing is there"]),
            (
                "GET",
                "none/x",
                404,
                r#"{"errors":["no handler for route \"none/x\". route entry not found."]}"#,
                &["no engine is mounted"],
            ),
            ("GET", "x", 404, "<html>", &["something between may have answered"]),
            ("GET", "x", 503, r#"{"errors":["Vault is sealed"]}"#, &["unseal the server"]),
        ] {
            let error = told(method, path, status, body).to_string();
            for words in words {
                assert!(error.contains(words), "{words}: {error}");
            }
        }
        assert_eq!(told("GET", "x", 403, denied).class, Class::Refused);
        assert_eq!(told("GET", "x", 502, "").class, Class::Passing);
    }
}
