//! `gce`: the metadata server, good and bad.

use super::*;

const URL: &str = "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Fvault.test%3A8200%2Fvault%2Fapp&format=full";

/// As the metadata server answers.
pub(super) fn flavoured(status: u16, body: &str) -> Response {
    let mut response = Response::new(status, body);
    response.headers.push(("metadata-flavor".into(), "Google".into()));
    response
}

fn machine(response: impl Fn() -> Result<Response, Failure> + 'static) -> Host {
    let host = Host::install();
    host.answer_http("GET", URL, move |_| response());
    host
}

#[test]
fn the_identity_of_the_machine_is_sent_with_the_role() {
    let host = machine(|| Ok(flavoured(200, &format!("{IDENTITY}\n"))));
    let (body, revision) = authenticate(&gce()).unwrap();
    assert_eq!(body, json!({"jwt": IDENTITY, "role": "app"}));
    let request = &host.requests()[0];
    assert_eq!(header(request, "metadata-flavor"), Some("Google"));
    // Another JWT of the same machine is no other credential.
    host.answer_http("GET", URL, |_| Ok(flavoured(200, SIGNED)));
    assert_eq!(authenticate(&gce()).unwrap().1, revision);
}

#[test]
fn a_service_account_of_the_machine_is_asked_for_by_name() {
    let host = Host::install();
    let url = URL.replace("default", ACCOUNT);
    host.answer_http("GET", &url, |_| Ok(flavoured(200, IDENTITY)));
    authenticate(&with(gce(), "service_account", json!(ACCOUNT))).unwrap();
    // An empty name is none: never an empty part of the path.
    let host = machine(|| Ok(flavoured(200, IDENTITY)));
    authenticate(&with(gce(), "service_account", json!(""))).unwrap();
    assert_eq!(host.requests()[0].url, URL);
}

#[test]
fn the_environment_says_where_the_metadata_server_is() {
    let host = Host::install();
    for (name, value, used) in [
        // As it has to stand in a URL.
        ("GCE_METADATA_IP", "[fd20:ce::254]", "[fd20:ce::254]"),
        ("GCE_METADATA_HOST", "127.0.0.1:8080", "127.0.0.1:8080"),
        // The name leads to the same address, which the sandbox wants to see.
        ("GCE_METADATA_HOST", "metadata.google.internal", "[fd20:ce::254]"),
        ("GCE_METADATA_IP", "", "169.254.169.254"),
    ] {
        host.set_env(name, value);
        let url = URL.replace("169.254.169.254", used);
        host.answer_http("GET", &url, |_| Ok(flavoured(200, IDENTITY)));
        authenticate(&gce()).unwrap();
        assert_eq!(host.requests().pop().unwrap().url, url);
    }
    host.set_env("GCE_METADATA_HOST", "http://127.0.0.1");
    fails(&host, &gce(), Kind::Config, "metadata.host", &["GCE_METADATA_HOST", "host:port"]);
}

#[test]
fn each_bad_answer_of_the_metadata_server_has_its_kind_and_sends_nothing() {
    use Kind::{Denied, Unavailable};
    for (status, body, kind, parts) in [
        (401, "no", Denied, &["401"][..]),
        (403, "no", Denied, &["403"]),
        (404, "Not Found", Denied, &["404", "service account"]),
        (410, "updating", Unavailable, &["410"]),
        (429, "slow down", Unavailable, &["429"]),
        (500, "<html>marker-page", Unavailable, &["500"]),
        (503, "", Unavailable, &["503"]),
    ] {
        let host = machine(move || Ok(flavoured(status, body)));
        fails(&host, &gce(), kind, "metadata.refused", parts);
    }
    let redirect = machine(|| Ok(Response::new(302, "")));
    fails(&redirect, &gce(), Denied, "metadata.redirect", &["302", "not followed"]);
    for page in ["<html>marker-page</html>", "", "marker-token", "a.b"] {
        let host = machine(move || Ok(flavoured(200, page)));
        fails(&host, &gce(), Unavailable, "metadata.not-a-jwt", &["no JWT", "nothing was sent"]);
    }
    let binary = machine(|| {
        let mut response = flavoured(200, "");
        response.body = vec![0xff, 0xfe];
        Ok(response)
    });
    fails(&binary, &gce(), Unavailable, "metadata.not-a-jwt", &[]);
    let large = machine(|| Ok(flavoured(200, &"x".repeat(65 << 10))));
    fails(&large, &gce(), Unavailable, "http.too-large", &["64 KiB"]);
}

#[test]
fn what_is_not_googles_is_never_used() {
    for flavour in [None, Some("google"), Some("Amazon")] {
        let host = machine(move || {
            let mut response = Response::new(200, IDENTITY);
            let flavour = flavour.map(|flavour| ("metadata-flavor".into(), flavour.into()));
            response.headers.extend(flavour);
            Ok(response)
        });
        let parts = ["169.254.169.254", "Metadata-Flavor"];
        fails(&host, &gce(), Kind::Denied, "metadata.flavor", &parts);
    }
    // Another cloud's service at the same address.
    let host = machine(|| Ok(Response::new(404, "<html>marker-page")));
    fails(&host, &gce(), Kind::Denied, "metadata.refused", &["404", "not Google's"]);
}

#[test]
fn a_metadata_server_that_is_not_there_or_hangs_is_unavailable() {
    let host = Host::install();
    let parts = ["can't be reached", "type = \"iam\""];
    fails(&host, &gce(), Kind::Unavailable, "http.connect", &parts);
    host.answer_http("GET", URL, |request| {
        assert!(request.timeout.unwrap() <= std::time::Duration::from_secs(2));
        Err(Failure::unavailable("http.timeout", "no answer in 2 s"))
    });
    fails(&host, &gce(), Kind::Unavailable, "http.timeout", &parts);
}
