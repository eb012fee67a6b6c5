//! The platforms that hand out tokens of managed identities, each asked in its way.

use super::*;

#[test]
fn app_service_is_asked_with_its_header() {
    let host = elsewhere(&[
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:41234/msi/token"),
        ("IDENTITY_HEADER", "853b9a84"),
        ("AZURE_CLIENT_ID", "my-client"),
    ]);
    let url =
        "http://127.0.0.1:41234/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.test";
    answer(&host, "GET", &format!("{url}&client_id=my-client"), 200, &token());
    assert_eq!(authenticate(&from_environment()).unwrap(), body_elsewhere());
    let header = ("X-IDENTITY-HEADER".to_owned(), "853b9a84".to_owned());
    assert!(last(&host).headers.contains(&header));
    // What the configuration says goes before the environment.
    answer(&host, "GET", &format!("{url}&object_id=mine"), 200, &token());
    let mut config = from_environment();
    config["object_id"] = json!("mine");
    authenticate(&config).unwrap();
}

#[test]
fn machine_learning_and_cloud_shell_are_asked_in_their_ways() {
    let host = elsewhere(&[
        ("MSI_ENDPOINT", "http://127.0.0.1:46808/MSI/auth"),
        ("MSI_SECRET", "shared"),
        ("AZURE_CLIENT_ID", "my-client"),
    ]);
    let url = "http://127.0.0.1:46808/MSI/auth?api-version=2017-09-01&resource=https%3A%2F%2Fvault.test&clientid=my-client";
    answer(&host, "GET", url, 200, &token());
    authenticate(&from_environment()).unwrap();
    assert_eq!(last(&host).headers, [("secret".to_owned(), "shared".to_owned())]);

    let host = elsewhere(&[("MSI_ENDPOINT", "http://localhost:50342/oauth2/token")]);
    answer(&host, "POST", "http://localhost:50342/oauth2/token", 200, &token());
    authenticate(&from_environment()).unwrap();
    let request = last(&host);
    assert_eq!(form_of(&request), json!({"resource": "https://vault.test"}));
    assert!(request.headers.contains(&("Metadata".to_owned(), "true".to_owned())));
}

const ARC: &str = "http://localhost:40342/metadata/identity/oauth2/token";
pub(super) const ARC_KEY: &str = "/var/opt/azcmagent/tokens/3e2b.key";

/// Azure Arc's agent, which hands out a token of `client_id` to whom reads its file.
pub(super) fn arc(challenge: &str, client_id: &str) -> Host {
    let host =
        elsewhere(&[("IDENTITY_ENDPOINT", ARC), ("IMDS_ENDPOINT", "http://localhost:40342")]);
    let (challenge, client_id) = (challenge.to_owned(), client_id.to_owned());
    let respond = move |request: &Request| {
        let authorized =
            request.headers.contains(&("Authorization".to_owned(), "Basic proof".to_owned()));
        let mut body = token();
        body["client_id"] = json!(client_id);
        let mut response = Response::new(if authorized { 200 } else { 401 }, body.to_string());
        response.headers.push(("www-authenticate".to_owned(), challenge.clone()));
        Ok(response)
    };
    let url = format!("{ARC}?api-version=2020-06-01{RESOURCE}");
    host.answer_http("GET", &url, respond.clone());
    host.answer_http("GET", &format!("{url}&client_id=mine"), respond);
    host.put_file(ARC_KEY, "proof");
    host
}

#[test]
fn azure_arc_is_shown_the_content_of_its_file() {
    let host = arc(&format!("Basic realm={ARC_KEY}"), "own");
    assert_eq!(authenticate(&from_environment()).unwrap(), body_elsewhere());
    for request in &host.requests()[1..] {
        assert!(request.headers.contains(&("Metadata".to_owned(), "true".to_owned())));
    }
    let mut config = from_environment();
    config["client_id"] = json!("mine");
    let failure = authenticate(&config).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "arc.identity"));
    let _host = arc(&format!("Basic realm={ARC_KEY}"), "MINE");
    authenticate(&config).unwrap();
}
