//! Signatures beside botocore's.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, clock};
use usher_tests::openbao::text;
use usher_tests::oracle::{ask, clouds_python};

use crate::Aws;

#[test]
fn botocore_signs_240_logins_byte_by_byte_the_same() {
    let cases = cases();
    assert_eq!(cases.len(), 240);
    let asked = Value::from(cases.clone()).to_string();
    let signed_by_botocore = ask(&mut clouds_python("aws_sigv4.py"), asked);
    let expected: Vec<Value> = serde_json::from_slice(&signed_by_botocore).expect("JSON");
    for (case, expected) in cases.iter().zip(&expected) {
        let (url, headers) = signed(case);
        assert_eq!(url, text(&expected["url"]), "{case}");
        assert_eq!(Value::from(headers), expected["headers"], "{case}");
    }
    // The comparison is no formality.
    for (key, value) in [
        ("secret", json!("another")),
        ("time", json!(1_795_264_497)),
        ("region", json!("us-west-2")),
        ("id", json!("x")),
    ] {
        let mut changed = cases[0].clone();
        changed[key] = value;
        assert_ne!(Value::from(signed(&changed).1), expected[0]["headers"], "{key}");
    }
}

/// URL and headers that the method signs, their names in lower case.
fn signed(case: &Value) -> (String, Map<String, Value>) {
    let host = Host::install();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(case["time"].as_u64().expect("a time"));
    host.advance(time.duration_since(clock::now()).expect("a later time"));
    let config = json!({
        "type": "iam",
        "role": "app",
        "access_key": case["key"],
        "secret_key": case["secret"],
        "session_token": case["token"],
        "header_value": case["id"],
        "region": case["region"],
    });
    let answer = testing::authenticate::<Aws>(&config).expect("a login");
    let Credential::Login(login) = answer.credential else { panic!("no login") };
    let decoded = |name: &str| STANDARD.decode(text(&login.body[name])).expect("base64");
    let headers: Map<String, Value> =
        serde_json::from_slice(&decoded("iam_request_headers")).expect("JSON");
    let headers =
        headers.into_iter().map(|(name, values)| (name.to_lowercase(), values[0].clone()));
    (String::from_utf8(decoded("iam_request_url")).expect("text"), headers.collect())
}

/// What differs from case to case: every region's partition, with and without session token and
/// server id, odd characters, day and year boundaries.
fn cases() -> Vec<Value> {
    const REGIONS: [&str; 12] = [
        "us-east-1",
        "us-east-2",
        "eu-west-1",
        "ap-southeast-5",
        "mx-central-1",
        "us-gov-west-1",
        "cn-northwest-1",
        "eusc-de-east-1",
        "us-iso-east-1",
        "us-isob-east-1",
        "eu-isoe-west-1",
        "us-isof-south-1",
    ];
    const TOKENS: [&str; 4] =
        ["", "FwoGZXIvYXdzEXAMPLE//token==", "IQoJb3JpZ2luX2Vj%2B/=+", "~!@#$^&*()_ é ü 秘"];
    const IDS: [&str; 5] =
        ["", "vault.example.com", "  spaced   id  ", "https://vault:8200/?a=b&c", "Ünïcode; \"q\""];
    const SECRETS: [&str; 3] =
        ["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "+/+/+/+/====", "s p a c e & ünï % \\ \" '"];
    const TIMES: [u64; 5] =
        [1_795_264_496, 1_798_761_599, 1_798_761_600, 1_835_395_199, 4_107_542_400];
    let mut cases = Vec::new();
    for (one, region) in REGIONS.iter().enumerate() {
        for (two, token) in TOKENS.iter().enumerate() {
            for (three, id) in IDS.iter().enumerate() {
                cases.push(json!({
                    "key": format!("AKID{one}{two}{three}EXAMPLE"),
                    "secret": SECRETS[(one + two + three) % SECRETS.len()],
                    "token": token,
                    "id": id,
                    "region": region,
                    "time": TIMES[(one + 2 * two + three) % TIMES.len()],
                }));
            }
        }
    }
    cases
}
