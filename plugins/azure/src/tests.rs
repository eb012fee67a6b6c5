//! The method against the SDK's fake host: what each source asks for, and in which order.

mod failures;
mod managed_identity;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use usher_plugin::http::{Request, Response};
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Kind};

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJvbmUifQ.c2lnbmF0dXJl";
const FEDERATED: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwb2QifQ.c2lnbmF0dXJl";
const INSTANCE: &str = "http://169.254.169.254/metadata/instance?api-version=2018-02-01";
const IMDS: &str = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01";
const RESOURCE: &str = "&resource=https%3A%2F%2Fvault.test";
const ENDPOINT: &str = "https://login.microsoftonline.com/my-tenant/oauth2/v2.0/token";

fn config() -> Value {
    json!({"role": "app", "resource": "https://vault.test"})
}

fn from_environment() -> Value {
    with("authenticate_from_environment", json!(true))
}

fn with(key: &str, value: Value) -> Value {
    let mut config = config();
    config[key] = value;
    config
}

/// The body of the login.
fn authenticate(config: &Value) -> Result<Value, Failure> {
    let answer = testing::authenticate::<Azure>(config)?;
    assert_eq!((answer.revision.as_str(), answer.check_after), ("", None));
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok(login.body)
}

fn answer(host: &Host, method: &str, url: &str, status: u16, body: &Value) {
    let body = body.to_string();
    host.answer_http(method, url, move |_| Ok(Response::new(status, body.as_str())));
}

fn token() -> Value {
    json!({"access_token": TOKEN, "expires_in": "3599", "token_type": "Bearer"})
}

fn instance() -> Value {
    json!({"compute": {
        "name": "vm-1", "vmScaleSetName": "", "resourceGroupName": "group",
        "subscriptionId": "subscription", "location": "westeurope",
    }})
}

/// With the metadata service of a virtual machine.
fn machine() -> Host {
    let host = Host::install();
    answer(&host, "GET", INSTANCE, 200, &instance());
    answer(&host, "GET", &format!("{IMDS}{RESOURCE}"), 200, &token());
    host
}

/// With these variables, and Entra ID. No metadata service.
fn elsewhere(variables: &[(&str, &str)]) -> Host {
    let host = Host::install();
    for (name, value) in variables {
        host.set_env(name, value);
    }
    answer(&host, "POST", ENDPOINT, 200, &token());
    host
}

const APPLICATION: [(&str, &str); 2] =
    [("AZURE_TENANT_ID", "my-tenant"), ("AZURE_CLIENT_ID", "my-client")];

fn application(name: &str, value: &str) -> Host {
    elsewhere(&[APPLICATION[0], APPLICATION[1], (name, value)])
}

/// The last request.
fn last(host: &Host) -> Request {
    host.requests().pop().unwrap()
}

/// The fields of a form or a query, in order of their names.
fn fields(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            if first == b'%' {
                bytes.push(u8::from_str_radix(str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(first);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    };
    let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
    let mut fields: Vec<_> = pairs.map(|(name, value)| (decode(name), decode(value))).collect();
    fields.sort();
    fields
}

fn form_of(request: &Request) -> Value {
    let fields = fields(str::from_utf8(&request.body).unwrap());
    fields.into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

/// Without a metadata service, what the login says of the machine is empty.
fn body_elsewhere() -> Value {
    json!({
        "jwt": TOKEN, "role": "app", "resource_group_name": "", "subscription_id": "",
        "vm_name": "", "vmss_name": "",
    })
}

#[test]
fn a_machine_logs_in_with_its_token_and_its_names() {
    let host = machine();
    assert_eq!(
        authenticate(&config()).unwrap(),
        json!({
            "jwt": TOKEN, "role": "app", "resource_group_name": "group",
            "subscription_id": "subscription", "vm_name": "vm-1", "vmss_name": "",
        })
    );
    for request in host.requests() {
        assert_eq!(request.headers, [("Metadata".to_owned(), "true".to_owned())]);
        assert_eq!(request.timeout, Some(Duration::from_secs(2)));
    }
}

#[test]
fn a_user_assigned_identity_is_named_by_either_id() {
    for (key, field) in [("client_id", "client_id"), ("object_id", "object_id")] {
        let host = machine();
        let url = format!("{IMDS}&{field}=my%20id{RESOURCE}");
        answer(&host, "GET", &url, 200, &token());
        authenticate(&with(key, json!("my id"))).unwrap();
        assert_eq!(last(&host).url, url);
    }
}

#[test]
fn the_names_of_the_machine_can_be_configured() {
    let host = machine();
    let mut config = with("vm_name", json!("other"));
    config["vmss_name"] = json!("set");
    let body = authenticate(&config).unwrap();
    assert_eq!((&body["vm_name"], &body["vmss_name"]), (&json!("other"), &json!("set")));
    assert_eq!(body["resource_group_name"], "group");
    config["subscription_id"] = json!("");
    config["resource_group_name"] = json!("mine");
    let asked = host.requests().len();
    let body = authenticate(&config).unwrap();
    assert_eq!(
        (&body["subscription_id"], &body["resource_group_name"]),
        (&json!(""), &json!("mine"))
    );
    assert_eq!(host.requests().len(), asked + 1, "the token alone");
}

#[test]
fn the_metadata_service_is_where_the_environment_says() {
    let host = Host::install();
    host.set_env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:2579/");
    let at = |url: &str| url.replace("http://169.254.169.254", "http://127.0.0.1:2579");
    answer(&host, "GET", &at(INSTANCE), 200, &instance());
    answer(&host, "GET", &at(&format!("{IMDS}{RESOURCE}")), 200, &token());
    assert_eq!(authenticate(&config()).unwrap()["vm_name"], "vm-1");
}

#[test]
fn a_secret_is_exchanged_for_a_token() {
    let host = application("AZURE_CLIENT_SECRET", "s3cret+/=");
    assert_eq!(authenticate(&from_environment()).unwrap(), body_elsewhere());
    assert_eq!(
        form_of(&last(&host)),
        json!({
            "client_id": "my-client", "client_secret": "s3cret+/=",
            "grant_type": "client_credentials", "scope": "https://vault.test/.default",
        })
    );
}

#[test]
fn a_pod_logs_in_with_its_federated_token_as_it_is_now() {
    let host = application("AZURE_FEDERATED_TOKEN_FILE", "/run/azure/token");
    for token in [FEDERATED, TOKEN] {
        host.put_file("/run/azure/token", format!("{token}\n"));
        assert_eq!(authenticate(&from_environment()).unwrap(), body_elsewhere());
        assert_eq!(
            form_of(&last(&host)),
            json!({
                "client_assertion": token,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_id": "my-client",
                "grant_type": "client_credentials",
                "scope": "https://vault.test/.default",
            })
        );
    }
}

/// Two certificates and a key, which the fake host doesn't look into.
fn pem() -> String {
    let block = |label: &str, content: &str| {
        let base64 = STANDARD.encode(content);
        let (one, two) = base64.split_at(8);
        format!(
            "Bag Attributes\n-----BEGIN {label}-----\r\n{one}\r\n{two}\r\n-----END {label}-----\r\n"
        )
    };
    block("CERTIFICATE", "the certificate")
        + &block("PRIVATE KEY", "the key")
        + &block("CERTIFICATE", "its issuer")
}

#[test]
fn a_certificate_vouches_for_the_application() {
    for (chain, sent) in [("", false), ("false", false), ("1", true), ("True", true)] {
        let host = application("AZURE_CLIENT_CERTIFICATE_PATH", "/etc/app.pem");
        host.set_env("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", chain);
        host.put_file("/etc/app.pem", pem());
        host.sign_with(|algorithm, key, data| {
            assert_eq!(algorithm, "PS256");
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "{key}");
            assert!(key.ends_with("-----END PRIVATE KEY-----"), "{key}");
            Ok(Sha256::digest(data).to_vec())
        });
        assert_eq!(authenticate(&from_environment()).unwrap(), body_elsewhere());
        let mut form = form_of(&last(&host));
        let assertion = form["client_assertion"].take();
        assert_eq!(
            form,
            json!({
                "client_assertion": null,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_id": "my-client",
                "grant_type": "client_credentials",
                "scope": "https://vault.test/.default",
            })
        );
        let (signed, signature) = assertion.as_str().unwrap().rsplit_once('.').unwrap();
        assert_eq!(signature, URL_SAFE_NO_PAD.encode(Sha256::digest(signed)));
        let (header, claims) = signed.split_once('.').unwrap();
        let read = |part| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest("the certificate"));
        let mut expected = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint});
        if sent {
            let encoded = ["the certificate", "its issuer"].map(|text| STANDARD.encode(text));
            expected["x5c"] = json!(encoded);
        }
        assert_eq!(read(header), expected);
        let mut claims = read(claims);
        assert_eq!(claims["jti"].take().as_str().unwrap().len(), 36);
        // The fake host's time: 2026-01-01.
        let now = 1_767_225_600;
        assert_eq!(
            claims,
            json!({
                "aud": ENDPOINT, "iss": "my-client", "sub": "my-client", "jti": null,
                "iat": now, "nbf": now, "exp": now + 600,
            })
        );
    }
}

#[test]
fn the_first_credential_that_is_configured_is_used_and_no_other() {
    let host = application("AZURE_CLIENT_SECRET", "s3cret");
    host.set_env("AZURE_CLIENT_CERTIFICATE_PATH", "/etc/app.pem");
    host.set_env("AZURE_FEDERATED_TOKEN_FILE", "/run/azure/token");
    host.set_env("IDENTITY_ENDPOINT", "http://127.0.0.1:41234/token");
    host.set_env("IDENTITY_HEADER", "header");
    let refused = json!({"error": "invalid_client"});
    answer(&host, "POST", ENDPOINT, 401, &refused);
    assert_eq!(authenticate(&from_environment()).unwrap_err().code, "oauth.invalid-client");
    assert_eq!(form_of(&last(&host))["client_secret"], "s3cret");
    host.set_env("AZURE_CLIENT_SECRET", "");
    let failure = authenticate(&from_environment()).unwrap_err();
    assert!(failure.message.contains("/etc/app.pem"), "{failure}");
    host.set_env("AZURE_CLIENT_CERTIFICATE_PATH", "");
    let failure = authenticate(&from_environment()).unwrap_err();
    assert!(failure.message.contains("/run/azure/token"), "{failure}");
    host.set_env("AZURE_FEDERATED_TOKEN_FILE", "");
    let failure = authenticate(&from_environment()).unwrap_err();
    assert_eq!(failure.code, "http.connect");
    assert!(last(&host).url.starts_with("http://127.0.0.1:41234/token?"));
}

#[test]
fn which_credentials_count_can_be_narrowed() {
    for (allowed, used) in [
        ("prod", "client_secret"),
        ("EnvironmentCredential", "client_secret"),
        (" workloadidentitycredential ", "client_assertion"),
    ] {
        let host = application("AZURE_CLIENT_SECRET", "s3cret");
        host.set_env("AZURE_FEDERATED_TOKEN_FILE", "/run/azure/token");
        host.put_file("/run/azure/token", FEDERATED);
        host.set_env("AZURE_TOKEN_CREDENTIALS", allowed);
        authenticate(&from_environment()).unwrap();
        assert!(form_of(&last(&host)).get(used).is_some(), "{allowed}");
    }
    let host = application("AZURE_CLIENT_SECRET", "s3cret");
    host.set_env("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential");
    assert_eq!(authenticate(&from_environment()).unwrap_err().code, "http.connect");
    for (allowed, unset) in [("dev", ""), ("EnvironmentCredential", "AZURE_CLIENT_SECRET")] {
        host.set_env("AZURE_TOKEN_CREDENTIALS", allowed);
        host.set_env(unset, "");
        let failure = authenticate(&from_environment()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Config, "azure.no-credential"));
    }
}

#[test]
fn what_is_half_configured_is_told_and_the_platform_asked() {
    let host = elsewhere(&[("AZURE_TENANT_ID", "my-tenant"), ("AZURE_FEDERATED_TOKEN_FILE", "/t")]);
    answer(&host, "GET", INSTANCE, 200, &instance());
    answer(&host, "GET", &format!("{IMDS}{RESOURCE}"), 200, &token());
    authenticate(&from_environment()).unwrap();
    let logs = format!("{:?}", host.logs());
    assert!(logs.contains("AZURE_CLIENT_ID is not set"), "{logs}");
}

#[test]
fn another_cloud_is_named_by_its_authority() {
    let host = application("AZURE_CLIENT_SECRET", "s3cret");
    host.set_env("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/");
    let url = "https://login.microsoftonline.us/my-tenant/oauth2/v2.0/token";
    answer(&host, "POST", url, 200, &token());
    authenticate(&from_environment()).unwrap();
    assert_eq!(last(&host).url, url);
}

#[test]
fn a_scope_is_sent_as_it_is_and_a_slash_of_the_resource_stays() {
    let mut config = from_environment();
    for (resource, scope, sent) in [
        ("https://vault.test/", "", "https://vault.test//.default"),
        ("api://id", "", "api://id/.default"),
        ("https://vault.test", "api://other/.default", "api://other/.default"),
    ] {
        let host = application("AZURE_CLIENT_SECRET", "s3cret");
        config["resource"] = json!(resource);
        config["scope"] = json!(scope);
        authenticate(&config).unwrap();
        assert_eq!(form_of(&last(&host))["scope"], sent);
    }
    // A managed identity is asked for the resource of the scope.
    let host = Host::install();
    let url = format!("{IMDS}&resource=api%3A%2F%2Fother");
    answer(&host, "GET", &url, 200, &token());
    authenticate(&config).unwrap();
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    let needs = |config: Value| testing::prepare_method::<Azure>(&config).unwrap();
    let machine = [
        Need::connect("http://169.254.169.254/metadata"),
        Need::connect("${AZURE_POD_IDENTITY_AUTHORITY_HOST}"),
        Need::env("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
    ];
    assert_eq!(needs(config()), machine);
    let more = needs(from_environment());
    assert_eq!(more[..3], machine);
    for need in [
        Need::env("AZURE_CLIENT_SECRET"),
        Need::watch("${AZURE_CLIENT_CERTIFICATE_PATH}"),
        Need::watch("${AZURE_FEDERATED_TOKEN_FILE}"),
        Need::connect("https://login.microsoftonline.com"),
        Need::connect("${AZURE_AUTHORITY_HOST}"),
        Need::connect("${IDENTITY_ENDPOINT}"),
        Need::connect("${MSI_ENDPOINT}"),
        Need::read("/var/opt/azcmagent/tokens/*.key"),
    ] {
        assert!(more.contains(&need), "{need:?}");
    }
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    let mut both = with("object_id", json!("a"));
    both["client_id"] = json!("b");
    for (config, key) in [
        (json!({"resource": "r"}), "role"),
        (json!({"role": "app"}), "resource"),
        (with("role", json!("")), "role"),
        (with("resource", json!("")), "resource"),
        (both, "object_id"),
        (with("authenticate_from_environment", json!("maybe")), "authenticate_from_environment"),
        (with("vm_name", json!(1)), "vm_name"),
    ] {
        let failure = testing::prepare_method::<Azure>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains(key), "{failure}");
    }
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Azure::CONFIG_SCHEMA);
}
