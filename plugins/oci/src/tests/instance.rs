//! Type `instance`.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use usher_plugin::crypto::KeyPair;
use usher_plugin::http::{Request, Response};

const METADATA: &str = "http://169.254.169.254/opc/v2";
const AUTH: &str = "https://auth.us-phoenix-1.oraclecloud.com/v1/x509";
const LEAF: &str = include_str!("leaf.pem");
const INTERMEDIATE: &str =
    "-----BEGIN CERTIFICATE-----\naW50ZXJtZWRpYXRl\n-----END CERTIFICATE-----\n";
const REGION: &str = r#"{"realmDomainComponent":"oraclecloud.com","realmKey":"oc1","regionIdentifier":"us-phoenix-1","regionKey":"PHX"}"#;

fn config() -> Value {
    json!({"type": "instance", "role": "dev"})
}

fn host_of_an_instance() -> Host {
    let host = host_that_signs();
    host.digest_with(|algorithm, _| match algorithm {
        "sha1" => Ok(vec![0x0a, 0xbc]),
        "sha256" => Ok(b"digest".to_vec()),
        other => panic!("{other}"),
    });
    host.generate_these(["first", "second", "third"].map(|name| KeyPair {
        private_pem: format!("private hunter2 {name}"),
        public_pem: format!("-----BEGIN PUBLIC KEY-----\n{name}\nkey\n-----END PUBLIC KEY-----\n"),
    }));
    for (path, body) in [
        ("identity/cert.pem", LEAF),
        ("identity/key.pem", KEY),
        ("identity/intermediate.pem", INTERMEDIATE),
        ("instance/regionInfo", REGION),
    ] {
        answer(&host, path, 200, body);
    }
    give_tokens(&host, 1_767_229_200);
    host
}

fn answer(host: &Host, path: &str, status: u16, body: &str) {
    let body = body.to_owned();
    host.answer_http("GET", &format!("{METADATA}/{path}"), move |request| {
        let known = request.headers.contains(&("authorization".into(), "Bearer Oracle".into()));
        Ok(if known { Response::new(status, body.as_str()) } else { Response::new(401, "") })
    });
}

/// Of the n-th session, that ends at this second.
fn give_tokens(host: &Host, exp: u64) {
    host.answer_http("POST", AUTH, move |request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let claims = json!({"exp": exp, "for": body["publicKey"]}).to_string();
        let token = format!("e30.{}.hunter2", URL_SAFE_NO_PAD.encode(claims));
        Ok(Response::new(200, json!({ "token": token }).to_string()))
    });
}

fn federations(host: &Host) -> Vec<Request> {
    let asked = host.requests().into_iter();
    asked.filter(|request| request.method == "POST").collect()
}

#[test]
fn the_certificate_gets_a_session_that_signs_the_login() {
    let host = host_of_an_instance();
    let (body, _) = log_in(&config()).unwrap();
    let key_id = parameter(header(&body, "Authorization"), "keyId");
    assert!(key_id.starts_with("ST$e30."), "{key_id}");
    assert!(signed(header(&body, "Authorization")).contains("get /v1/auth/oci/login/dev"));

    let asked = federations(&host).pop().unwrap();
    let sent: Value = serde_json::from_slice(&asked.body).unwrap();
    let leaf: String = LEAF.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(
        sent,
        json!({
            "certificate": leaf,
            "publicKey": "firstkey",
            "intermediateCertificates": ["aW50ZXJtZWRpYXRl"],
        })
    );
    let value = |name: &str| {
        let found = asked.headers.iter().find(|(candidate, _)| candidate == name);
        found.map_or_else(|| panic!("{name}"), |(_, value)| value.as_str())
    };
    let authorization = value("authorization");
    assert_eq!(parameter(authorization, "keyId"), "ocid1.tenancy.oc1..t/fed-x509/0A:BC");
    let headers = "date (request-target) content-length content-type x-content-sha256";
    assert_eq!(parameter(authorization, "headers"), headers);
    assert_eq!(value("x-content-sha256"), STANDARD.encode("digest"));
    assert_eq!(
        signed(authorization),
        format!(
            "date: Thu, 01 Jan 2026 00:00:00 GMT\n(request-target): post /v1/x509\n\
             content-length: {}\ncontent-type: application/json\nx-content-sha256: {}",
            asked.body.len(),
            STANDARD.encode("digest")
        )
    );
}

#[test]
fn a_session_is_kept_until_shortly_before_its_end_and_dropped_when_refused() {
    let host = host_of_an_instance();
    let (_, revision) = log_in(&config()).unwrap();
    host.advance(Duration::from_mins(50));
    assert_eq!(log_in(&config()).unwrap().1, revision);
    assert_eq!(federations(&host).len(), 1);
    host.set_previous_failure(Some(Failure::denied("login", "no")));
    assert_eq!(log_in(&config()).unwrap().1, revision, "another session of the same instance");
    assert_eq!(federations(&host).len(), 2);
    host.set_previous_failure(None);
    host.advance(Duration::from_mins(6));
    log_in(&config()).unwrap();
    assert_eq!(federations(&host).len(), 3);
}

#[test]
fn the_region_decides_which_service_is_asked() {
    let asked = |status: u16, info: &str, region: &str| {
        let host = host_of_an_instance();
        answer(&host, "instance/regionInfo", status, info);
        answer(&host, "instance/region", 200, region);
        let failure = log_in(&config()).err();
        let asked = federations(&host).pop().map(|request| request.url);
        (asked.unwrap_or_default(), failure.map(|failure| failure.message).unwrap_or_default())
    };
    let info = |region: &str, domain: &str| {
        json!({"regionIdentifier": region, "realmDomainComponent": domain}).to_string()
    };
    assert_eq!(asked(404, "", "phx").0, AUTH);
    assert_eq!(asked(404, "", "eu-zurich-1").0, "https://auth.eu-zurich-1.oraclecloud.com/v1/x509");
    assert_eq!(
        asked(200, &info("uk-gov-london-1", "oraclegovcloud.uk"), "").0,
        "https://auth.uk-gov-london-1.oraclegovcloud.uk/v1/x509"
    );
    for (region, domain) in [("x", "evil.example"), ("a.b", "oraclecloud.com"), ("", "")] {
        let (url, message) = asked(200, &info(region, domain), "");
        assert_eq!(url, "", "{message}");
        assert!(!message.is_empty());
    }
    let message = asked(200, &info("x-1", "oraclecloud99.com"), "").1;
    assert!(message.contains("OCI_SDK_AUTH_CLIENT_REGION_URL"), "{message}");
}

#[test]
fn variables_name_other_services() {
    let host = host_of_an_instance();
    host.set_env("OCI_METADATA_BASE_URL", "http://127.0.0.1:9/opc/v2/");
    host.set_env("OCI_SDK_AUTH_CLIENT_REGION_URL", "http://127.0.0.1:10/");
    for (path, body) in [("cert", LEAF), ("key", KEY), ("intermediate", INTERMEDIATE)] {
        host.answer_http(
            "GET",
            &format!("http://127.0.0.1:9/opc/v2/identity/{path}.pem"),
            move |_| Ok(Response::new(200, body)),
        );
    }
    assert_eq!(refused(&config(), "http.connect").kind, Kind::Unavailable);
    assert_eq!(federations(&host)[0].url, "http://127.0.0.1:10/v1/x509");
}

#[test]
fn a_metadata_service_in_trouble_is_told_from_one_that_is_no_oracles() {
    for (path, status, body, code, kind) in [
        ("identity/cert.pem", 404, "", "metadata.refused", Kind::Denied),
        ("identity/cert.pem", 503, "busy", "metadata.refused", Kind::Unavailable),
        ("identity/cert.pem", 302, "", "metadata.redirect", Kind::Denied),
        ("identity/cert.pem", 200, "<html>hunter2", "metadata.unusable", Kind::Unavailable),
        ("identity/cert.pem", 200, INTERMEDIATE, "metadata.unusable", Kind::Unavailable),
        ("identity/key.pem", 429, "", "metadata.refused", Kind::Unavailable),
        ("identity/intermediate.pem", 200, "", "metadata.unusable", Kind::Unavailable),
        ("instance/regionInfo", 200, "<html>", "metadata.unusable", Kind::Unavailable),
        ("instance/regionInfo", 500, "", "metadata.refused", Kind::Unavailable),
    ] {
        let host = host_of_an_instance();
        answer(&host, path, status, body);
        let failure = refused(&config(), code);
        assert_eq!(failure.kind, kind, "{path} {status}: {}", failure.message);
        assert!(federations(&host).is_empty(), "nothing is sent on");
    }
    // Replaced between two questions: the key is another certificate's.
    let host = host_of_an_instance();
    let times = std::cell::Cell::new(0);
    host.answer_http("GET", &format!("{METADATA}/identity/cert.pem"), move |_| {
        times.set(times.get() + 1);
        Ok(Response::new(200, if times.get() == 1 { LEAF } else { INTERMEDIATE }))
    });
    assert_eq!(refused(&config(), "metadata.replacing").kind, Kind::Unavailable);
    assert!(federations(&host).is_empty());
    let host = host_of_an_instance();
    host.answer_http("GET", &format!("{METADATA}/identity/cert.pem"), |_| {
        Err(Failure::unavailable("http.timeout", "no answer"))
    });
    let failure = refused(&config(), "http.timeout");
    assert!(failure.message.contains("type = \"apikey\""), "{}", failure.message);
}

#[test]
fn an_identity_service_that_refuses_is_told_with_the_remedy() {
    for (status, body, code, kind, part) in [
        (
            401,
            r#"{"code":"Not\u001b[31mAuthenticated","message":"no\u001b[31m"}"#,
            "oci.refused",
            Kind::Denied,
            "clock",
        ),
        (404, r#"{"code":"NotFound"}"#, "oci.refused", Kind::Denied, "tenancy"),
        (503, "<html>", "oci.refused", Kind::Unavailable, "503"),
        (200, "<html>", "http.body", Kind::Unavailable, ""),
        (200, r#"{"token":"<html>"}"#, "oci.no-session", Kind::Unavailable, "no token"),
        (200, r#"{"token":"a.b.c"}"#, "oci.no-session", Kind::Unavailable, "end"),
        // {"exp":1}
        (200, r#"{"token":"a.eyJleHAiOjF9.c"}"#, "oci.no-session", Kind::Unavailable, "clock"),
    ] {
        let host = host_of_an_instance();
        host.answer_http("POST", AUTH, move |_| Ok(Response::new(status, body)));
        let failure = refused(&config(), code);
        assert_eq!(failure.kind, kind, "{status} {body}");
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
        assert!(!failure.message.contains('\u{1b}'));
    }
}
