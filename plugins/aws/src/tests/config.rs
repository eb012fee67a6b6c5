//! What the configuration may say, and what it needs.

use super::*;

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = host();
    for (config, key) in [
        (json!({"type": "iam"}), "role"),
        (json!({"role": "app"}), "type"),
        (with(json!({"role": ""})), "role"),
        (with(json!({"type": "saml"})), "type"),
        (with(json!({"access_key": KEY})), "secret_key"),
        (with(json!({"secret_key": SECRET})), "access_key"),
        (with(json!({"access_key": KEY, "secret_key": ""})), "secret_key"),
        (with(json!({"session_token": TOKEN})), "session_token"),
        (with(json!({"credential_poll_interval": 0})), "credential_poll_interval"),
        (with(json!({"credential_poll_interval": "soon"})), "credential_poll_interval"),
        (with(json!({"header_value": "a\nb"})), "header_value"),
        (with(json!({"region": "eu-west-1.evil.test/"})), "region"),
        (with(json!({"region": "Ireland"})), "region"),
        (with(json!({"type": "ec2"})), "nonce"),
        (with(json!({"type": "ec2", "nonce": ""})), "nonce"),
        (with(json!({"type": "ec2", "nonce": "n", "state_file": "/s"})), "state_file"),
        (with(json!({"type": "ec2", "state_file": "/s/*"})), "state_file"),
    ] {
        let failure = testing::prepare_method::<Aws>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config, "{config}");
        assert!(failure.message.contains(key), "{failure}");
        assert!(!format!("{failure:?}").contains(SECRET), "{failure:?}");
    }
}

#[test]
fn looks_come_as_often_as_configured() {
    let _host = host();
    let keys = json!({"access_key": KEY, "secret_key": SECRET});
    let look = |config: &Value| testing::authenticate::<Aws>(config).unwrap().check_after;
    assert_eq!(look(&with(keys.clone())), Some(Duration::from_mins(1)));
    for spelling in [json!(90), json!("90"), json!("1m30s")] {
        let mut config = with(keys.clone());
        config["credential_poll_interval"] = spelling;
        assert_eq!(look(&config), Some(Duration::from_secs(90)));
    }
}

#[test]
fn needs_follow_the_configuration() {
    let _host = host();
    let needs = |changes| testing::prepare_method::<Aws>(&with(changes)).unwrap();
    // With keys of its own nothing is looked up.
    let keys = json!({"access_key": KEY, "secret_key": SECRET});
    assert_eq!(needs(keys), []);
    let found = needs(json!({}));
    for need in [
        Need::env("AWS_ACCESS_KEY_ID"),
        Need::watch("~/.aws/credentials"),
        Need::watch("${AWS_SHARED_CREDENTIALS_FILE}"),
        Need::watch("~/.aws/config"),
        Need::read("${AWS_WEB_IDENTITY_TOKEN_FILE}"),
        Need::connect("https://*.amazonaws.com"),
        Need::connect("http://169.254.170.2"),
        Need::connect("${AWS_CONTAINER_CREDENTIALS_FULL_URI}"),
        Need::connect("http://169.254.169.254/latest"),
        Need::connect("http://[fd00:ec2::254]/latest"),
        Need::connect("${AWS_EC2_METADATA_SERVICE_ENDPOINT}"),
    ] {
        assert!(found.contains(&need), "{need:?}");
    }
    assert!(!found.iter().any(|need| need.capability == "write"));
    // A region of its own leads to its STS only.
    let found = needs(json!({"region": "eu-west-1"}));
    let of_sts = |need: &&Need| need.target.starts_with("https://");
    assert_eq!(
        found.iter().filter(of_sts).collect::<Vec<_>>(),
        [&Need::connect("https://sts.eu-west-1.amazonaws.com")]
    );
    // The instance's identity comes from the metadata service alone.
    let found = needs(json!({"type": "ec2", "state_file": "/var/lib/usher/nonce"}));
    assert!(found.contains(&Need::read("/var/lib/usher/nonce")));
    assert!(found.contains(&Need::write("/var/lib/usher/nonce")));
    assert!(!found.iter().any(|need| need.capability == "watch"), "{found:?}");
}

#[test]
fn the_region_is_looked_up_only_when_it_is_empty() {
    let host = host();
    let url = |changes: &Value| {
        let mut config = json!({"access_key": KEY, "secret_key": SECRET});
        for (key, value) in changes.as_object().unwrap() {
            config[key] = value.clone();
        }
        log_in(&with(config)).unwrap().url
    };
    answer(&host, "PUT", "http://169.254.169.254/latest/api/token", 200, "imds-token");
    let placement = "http://169.254.169.254/latest/meta-data/placement/region";
    answer(&host, "GET", placement, 200, "us-gov-west-1");
    let looked_up = json!({"region": ""});
    assert_eq!(url(&looked_up), "https://sts.us-gov-west-1.amazonaws.com/");
    assert_eq!(host.requests().len(), 2);
    assert_eq!(url(&looked_up), "https://sts.us-gov-west-1.amazonaws.com/");
    assert_eq!(host.requests().len(), 2, "an instance stays where it is");
    host.put_file("~/.aws/config", "[default]\nregion = eu-central-1\n");
    assert_eq!(url(&looked_up), "https://sts.eu-central-1.amazonaws.com/");
    host.set_env("AWS_DEFAULT_REGION", "cn-north-1");
    assert_eq!(url(&looked_up), "https://sts.cn-north-1.amazonaws.com.cn/");
    host.set_env("AWS_REGION", "us-iso-east-1");
    assert_eq!(url(&looked_up), "https://sts.us-iso-east-1.c2s.ic.gov/");
    assert_eq!(url(&json!({})), "https://sts.amazonaws.com/", "the incumbents' default");
    assert_eq!(url(&json!({"region": "eu-west-1"})), "https://sts.eu-west-1.amazonaws.com/");
    host.set_env("AWS_REGION", "eu-west-1.evil.test/");
    let config = with(json!({"access_key": KEY, "secret_key": SECRET, "region": ""}));
    assert_fails(&host, &config, Kind::Unavailable, "aws.region", &["AWS_REGION"]);
}

#[test]
fn no_region_at_all_is_told() {
    let host = host();
    host.set_env("AWS_EC2_METADATA_DISABLED", "true");
    let config = with(json!({"access_key": KEY, "secret_key": SECRET, "region": ""}));
    assert_fails(&host, &config, Kind::Unavailable, "aws.region", &["`region`", "AWS_REGION"]);
}
