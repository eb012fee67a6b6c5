//! What goes wrong: each has its kind and says what to do, and none shows a credential.

use super::managed_identity::{ARC_KEY, arc};
use super::*;
use usher_plugin::testing::Operation;

/// Panics unless it failed in this way; the message, in which no credential is.
#[track_caller]
fn failed(result: Result<Value, Failure>, kind: Kind, code: &str) -> String {
    let failure = result.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (kind, code), "{failure}");
    let shown = format!("{failure:?}");
    for secret in [TOKEN, FEDERATED, "s3cret", "marker"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    failure.message
}

#[test]
fn a_metadata_service_that_is_not_there_or_hangs_is_told() {
    for code in ["http.connect", "http.timeout"] {
        let host = Host::install();
        let fail = move |_: &Request| Err(Failure::unavailable(code, "no answer"));
        host.answer_http("GET", INSTANCE, fail);
        let said = failed(authenticate(&config()), Kind::Unavailable, code);
        assert!(said.contains("can't be reached"), "{said}");
        assert!(said.contains("authenticate_from_environment"), "{said}");
    }
}

#[test]
fn each_answer_of_the_metadata_service_has_its_kind() {
    let page = "<html>marker</html>";
    let no_identity =
        json!({"error": "invalid_request", "error_description": "Identity not found"});
    let no_resource = json!({
        "error": "invalid_resource",
        "error_description": "AADSTS500011: The resource principal named x was not found. Trace ID: marker",
    });
    let several = json!({
        "error": "invalid_request",
        "error_description": "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request",
    });
    for (status, body, kind, code, part) in [
        (
            400,
            no_identity.to_string(),
            Kind::Denied,
            "oauth.invalid-request",
            "assign a managed identity",
        ),
        (400, no_resource.to_string(), Kind::Denied, "oauth.invalid-resource", "config.resource"),
        (400, several.to_string(), Kind::Denied, "oauth.invalid-request", "client_id or object_id"),
        (401, page.to_owned(), Kind::Denied, "oauth.refused", "401"),
        (403, "unreachable network".to_owned(), Kind::Denied, "oauth.refused", "unreachable"),
        (404, page.to_owned(), Kind::Unavailable, "oauth.refused", "404"),
        (410, String::new(), Kind::Unavailable, "oauth.refused", "410"),
        (429, String::new(), Kind::Unavailable, "oauth.refused", "429"),
        (500, page.to_owned(), Kind::Unavailable, "oauth.refused", "500"),
        (302, page.to_owned(), Kind::Denied, "metadata.redirect", "redirect"),
        (200, page.to_owned(), Kind::Unavailable, "http.body", "not as expected"),
        (200, "{\"access_token\":\"\"}".to_owned(), Kind::Unavailable, "oauth.no-token", "without"),
        (
            200,
            "{\"access_token\":\"marker\"}".to_owned(),
            Kind::Unavailable,
            "azure.not-a-jwt",
            "no JWT",
        ),
        (200, "x".repeat(70_000), Kind::Unavailable, "http.too-large", "64 KiB"),
    ] {
        let host = machine();
        host.answer_http("GET", &format!("{IMDS}{RESOURCE}"), move |_| {
            Ok(Response::new(status, body.as_str()))
        });
        let said = failed(authenticate(&config()), kind, code);
        assert!(said.contains(part), "{status}: {said}");
    }
}

#[test]
fn the_names_of_the_machine_are_required_of_a_machine_alone() {
    let page = "<html>marker</html>";
    for (status, body, kind, code) in [
        (400, page, Kind::Denied, "imds.refused"),
        (404, page, Kind::Unavailable, "imds.refused"),
        (429, "", Kind::Unavailable, "imds.refused"),
        (503, "", Kind::Unavailable, "imds.refused"),
        (302, "", Kind::Denied, "metadata.redirect"),
        (200, page, Kind::Unavailable, "http.body"),
        (200, "{}", Kind::Unavailable, "http.body"),
    ] {
        let host = machine();
        host.answer_http("GET", INSTANCE, move |_| Ok(Response::new(status, body)));
        let said = failed(authenticate(&config()), kind, code);
        assert!(said.contains("subscription_id"), "{said}");

        let host = application("AZURE_CLIENT_SECRET", "s3cret");
        host.answer_http("GET", INSTANCE, move |_| Ok(Response::new(status, body)));
        assert_eq!(authenticate(&from_environment()).unwrap(), body_elsewhere());
        let logs = format!("{:?}", host.logs());
        assert!(logs.contains("without the names of the machine") && !logs.contains("marker"));
    }
}

#[test]
fn what_entra_id_refuses_is_told_with_the_remedy() {
    for (status, error, description, kind, part) in [
        (
            401,
            "invalid_client",
            "AADSTS7000215: Invalid client secret provided.",
            Kind::Denied,
            "not its id",
        ),
        (
            401,
            "invalid_client",
            "AADSTS7000222: The provided client secret keys are expired.",
            Kind::Denied,
            "new one",
        ),
        (
            401,
            "invalid_client",
            "AADSTS700024: Client assertion is not within its valid time range.",
            Kind::Denied,
            "clock",
        ),
        (
            401,
            "invalid_client",
            "AADSTS700027: The certificate is not registered.",
            Kind::Denied,
            "register this certificate",
        ),
        (
            401,
            "invalid_client",
            "AADSTS700211: No matching federated identity record found.",
            Kind::Denied,
            "iss, sub and aud",
        ),
        (
            400,
            "invalid_request",
            "AADSTS700212: No matching federated identity record found.",
            Kind::Denied,
            "audience",
        ),
        (
            400,
            "unauthorized_client",
            "AADSTS700016: Application was not found.",
            Kind::Denied,
            "AZURE_CLIENT_ID",
        ),
        (
            400,
            "invalid_request",
            "AADSTS90002: Tenant 'x' not found.",
            Kind::Denied,
            "AZURE_TENANT_ID",
        ),
        (
            400,
            "invalid_resource",
            "AADSTS500011: The resource principal was not found.",
            Kind::Denied,
            "config.resource",
        ),
        (
            400,
            "invalid_scope",
            "AADSTS1002012: The provided value for scope is not valid.",
            Kind::Denied,
            "/.default",
        ),
        (
            400,
            "temporarily_unavailable",
            "AADSTS90033: A transient error.",
            Kind::Unavailable,
            "transient",
        ),
        (429, "throttled", "", Kind::Unavailable, "429"),
        (503, "server_error", "", Kind::Unavailable, "503"),
    ] {
        let host = application("AZURE_CLIENT_SECRET", "s3cret");
        let description = format!("{description} Trace ID: marker Correlation ID: marker");
        let body = json!({"error": error, "error_description": description});
        answer(&host, "POST", ENDPOINT, status, &body);
        let code = format!("oauth.{}", error.replace('_', "-"));
        let said = failed(authenticate(&from_environment()), kind, &code);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn an_endpoint_that_echoes_or_answers_nonsense_shows_no_credential() {
    for (status, body, kind, code) in [
        (
            400,
            r#"{"error":"bad","error_description":"got s3cret"}"#.to_owned(),
            Kind::Denied,
            "oauth.bad",
        ),
        (403, "got s3cret".to_owned(), Kind::Denied, "oauth.refused"),
        (302, "got s3cret".to_owned(), Kind::Denied, "oauth.refused"),
        (200, "<html>s3cret</html>".to_owned(), Kind::Unavailable, "http.body"),
        (200, r#"{"access_token":"s3cret"}"#.to_owned(), Kind::Unavailable, "azure.not-a-jwt"),
    ] {
        let host = application("AZURE_CLIENT_SECRET", "s3cret");
        host.answer_http("POST", ENDPOINT, move |_| Ok(Response::new(status, body.as_str())));
        failed(authenticate(&from_environment()), kind, code);
    }
    let host = application("AZURE_FEDERATED_TOKEN_FILE", "/t");
    host.put_file("/t", FEDERATED);
    let body = json!({"error": "bad", "error_description": format!("got {FEDERATED}")});
    answer(&host, "POST", ENDPOINT, 400, &body);
    failed(authenticate(&from_environment()), Kind::Denied, "oauth.bad");
}

#[test]
fn an_authority_without_tls_and_a_tenant_that_is_none_are_refused() {
    let host = application("AZURE_CLIENT_SECRET", "s3cret");
    host.set_env("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com");
    failed(authenticate(&from_environment()), Kind::Config, "azure.authority");
    host.set_env("AZURE_AUTHORITY_HOST", "");
    host.set_env("AZURE_TENANT_ID", "x/../../evil?");
    failed(authenticate(&from_environment()), Kind::Config, "azure.tenant");
    assert!(host.requests().iter().all(|request| request.method == "GET"), "nothing was sent");
}

#[test]
fn a_federated_token_that_is_missing_or_half_written_may_still_come() {
    let host = application("AZURE_FEDERATED_TOKEN_FILE", "/t");
    for (content, code) in [
        (None, "file.not-found"),
        (Some(""), "file.empty"),
        (Some("eyJhbGciOiJSUzI1NiJ9.marker"), "file.not-a-credential"),
    ] {
        if let Some(content) = content {
            host.put_file("/t", content);
        }
        let said = failed(authenticate(&from_environment()), Kind::Unavailable, code);
        assert!(said.contains("/t"), "{said}");
    }
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_told() {
    let host = application("AZURE_CLIENT_CERTIFICATE_PATH", "/app.pem");
    let certificate = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PRIVATE KEY-----\nbWFya2Vy\n-----END PRIVATE KEY-----\n";
    let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let old = key.replace("KEY-----\nb", "KEY-----\nProc-Type: 4,ENCRYPTED\n\nb");
    let broken = certificate.replace("QUJD", "!!");
    for (content, kind, code, part) in [
        (None, Kind::Unavailable, "file.not-found", "/app.pem"),
        (
            Some(b"\x30\x82marker".to_vec()),
            Kind::Unavailable,
            "certificate.not-pem",
            "openssl pkcs12",
        ),
        (
            Some(b"\xff\xfemarker".to_vec()),
            Kind::Unavailable,
            "certificate.not-pem",
            "openssl pkcs12",
        ),
        (Some(certificate.into()), Kind::Unavailable, "certificate.no-key", "private key"),
        (Some(key.into()), Kind::Unavailable, "certificate.none", "no certificate"),
        (
            Some((key.to_owned() + &broken).into()),
            Kind::Unavailable,
            "certificate.none",
            "no certificate",
        ),
        (Some((encrypted + certificate).into()), Kind::Config, "certificate.encrypted", "password"),
        (Some((old + certificate).into()), Kind::Config, "certificate.encrypted", "password"),
    ] {
        if let Some(content) = content {
            host.put_file("/app.pem", content);
        }
        let said = failed(authenticate(&from_environment()), kind, code);
        assert!(said.contains(part), "{said}");
    }
    host.put_file("/app.pem", key.to_owned() + certificate);
    host.sign_with(|_, _, _| Err(Failure::unavailable("crypto.key", "it is no key for PS256")));
    let said = failed(authenticate(&from_environment()), Kind::Unavailable, "crypto.key");
    assert!(said.contains("/app.pem"), "{said}");
}

#[test]
fn azure_arc_gets_no_other_file_than_its_own() {
    for challenge in [
        "",
        "Basic",
        "Basic realm=",
        "Basic realm=/etc/shadow",
        "Basic realm=/var/opt/azcmagent/tokens/../../../etc/a.key",
        "Basic realm=/var/opt/azcmagent/tokens/a.txt",
        "Basic realm=/var/opt/azcmagent/tokens/deep/a.key",
    ] {
        let host = arc(challenge, "own");
        failed(authenticate(&from_environment()), Kind::Denied, "arc.challenge");
        assert_eq!(host.requests().len(), 2, "only one without a secret, beside the names");
    }
    let host = arc(&format!("Basic realm={ARC_KEY}"), "own");
    host.put_file(ARC_KEY, "x".repeat(4097));
    failed(authenticate(&from_environment()), Kind::Denied, "arc.challenge");
    host.fail(Operation::Read, ARC_KEY, Failure::config("file.permission", "no permission"));
    let said = failed(authenticate(&from_environment()), Kind::Unavailable, "file.permission");
    assert!(said.contains("himds"), "{said}");
}

#[test]
fn service_fabric_is_refused_by_name() {
    let _host = elsewhere(&[
        ("IDENTITY_ENDPOINT", "https://localhost:2377/token"),
        ("IDENTITY_HEADER", "marker"),
        ("IDENTITY_SERVER_THUMBPRINT", "00"),
    ]);
    let said = failed(authenticate(&from_environment()), Kind::Config, "azure.service-fabric");
    assert!(said.contains("Service Fabric"), "{said}");
}

#[test]
fn what_app_service_refuses_is_told() {
    let host = elsewhere(&[
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:41234/token"),
        ("IDENTITY_HEADER", "s3cret"),
    ]);
    let url = format!("http://127.0.0.1:41234/token?api-version=2019-08-01{RESOURCE}");
    answer(
        &host,
        "GET",
        &url,
        400,
        &json!({"statusCode": 400, "message": "No Managed Identity found"}),
    );
    let said = failed(authenticate(&from_environment()), Kind::Denied, "oauth.refused");
    assert!(said.contains("App Service") && said.contains("No Managed Identity found"), "{said}");
}
