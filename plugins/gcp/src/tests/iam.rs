//! `iam`: credentials wherever they are, access tokens, and who signs.

use super::machine::flavoured;
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

const METADATA: &str =
    "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default";
const SCOPES: &str = "scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform";
const HOME: &str = "~/.gcp/credentials";
const GCLOUD: &str = "~/.config/gcloud/application_default_credentials.json";

fn user() -> Value {
    json!({
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "marker-secret",
        "refresh_token": "marker-token-r",
        "quota_project_id": "billing",
    })
}

/// Header and claims of a JWT that the fake key has signed.
#[track_caller]
fn opened(jwt: &str) -> (Value, Value) {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part| URL_SAFE_NO_PAD.decode(part).unwrap();
    assert_eq!(decode(signature), format!("of: {signed}").into_bytes());
    let json = |part| serde_json::from_slice(&decode(part)).unwrap();
    (json(header), json(claims))
}

#[test]
fn a_key_is_exchanged_for_a_token_and_google_signs() {
    let host = google();
    let (body, _) = authenticate(&holding(&key())).unwrap();
    assert_eq!(body, json!({"jwt": SIGNED, "role": "app"}));
    let [exchange, signing] = &host.requests()[..] else { panic!("two requests") };
    assert_eq!(exchange.url, TOKEN_URI);
    let fields = fields(exchange);
    assert_eq!(fields[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (header_of, claims) = opened(&fields[1].1);
    assert_eq!(header_of, json!({"alg": "RS256", "kid": "kid-1", "typ": "JWT"}));
    assert_eq!(
        claims,
        json!({
            "iss": ACCOUNT,
            "aud": TOKEN_URI,
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "iat": now(),
            "exp": now() + 3600,
        })
    );
    assert_eq!(header(signing, "authorization"), Some("Bearer marker-token-1"));
    let payload =
        format!(r#"{{"aud":"http://vault/app","exp":{},"sub":"{ACCOUNT}"}}"#, now() + 900);
    let body: Value = serde_json::from_slice(&signing.body).unwrap();
    assert_eq!(body, json!({"payload": payload}));
}

#[test]
fn the_life_of_the_jwt_and_the_account_are_as_configured() {
    let host = google();
    let other = "other@shop.iam.gserviceaccount.com";
    host.answer_http("POST", &SIGN_JWT.replace(ACCOUNT, other), |_| Ok(signed()));
    for minutes in [json!(7), json!("7")] {
        let config = with(holding(&key()), "jwt_exp", minutes);
        authenticate(&with(config, "service_account", json!(other))).unwrap();
        let body: Value = serde_json::from_slice(&host.requests().pop().unwrap().body).unwrap();
        let claims: Value = serde_json::from_str(body["payload"].as_str().unwrap()).unwrap();
        assert_eq!((&claims["exp"], &claims["sub"]), (&json!(now() + 420), &json!(other)));
    }
}

#[test]
fn the_incumbents_jwt_is_another_audience_with_each_role() {
    let host = google();
    authenticate(&with(holding(&key()), "role", json!("other"))).unwrap();
    let body = host.requests().pop().unwrap().body;
    assert!(String::from_utf8(body).unwrap().contains("http://vault/other\\\""));
}

#[test]
fn another_endpoint_signs_if_configured() {
    let host = google();
    let url = SIGN_JWT.replace("iamcredentials.googleapis.com", "psc.test:8443");
    host.answer_http("POST", &url, |_| Ok(signed()));
    let config = with(holding(&key()), "iam_credentials_endpoint", json!("https://psc.test:8443/"));
    authenticate(&config).unwrap();
    assert_eq!(host.requests().pop().unwrap().url, url);
}

#[test]
fn a_key_signs_alone_if_configured() {
    let host = google();
    let config = with(holding(&key()), "sign_locally", json!(true));
    let (body, _) = authenticate(&config).unwrap();
    let (header, claims) = opened(body["jwt"].as_str().unwrap());
    assert_eq!(header["kid"], "kid-1");
    assert_eq!(claims, json!({"aud": "http://vault/app", "exp": now() + 900, "sub": ACCOUNT}));
    assert!(host.requests().is_empty());
    let other = with(config, "service_account", json!("other@shop.iam.gserviceaccount.com"));
    fails(&host, &other, Kind::Config, "config.invalid", &["service_account", "key"]);
    let user = with(holding(&user()), "sign_locally", json!(true));
    let failure = testing::prepare_method::<Gcp>(&user).unwrap_err();
    assert!(failure.message.contains("service-account key"), "{failure}");
    let none = with(iam(), "sign_locally", json!(true));
    fails(&host, &none, Kind::Unavailable, "gcp.no-credentials", &["there is none"]);
}

#[test]
fn a_users_refresh_token_is_exchanged_for_the_account_that_is_asked_for() {
    let host = google();
    let config = with(holding(&user()), "service_account", json!(ACCOUNT));
    authenticate(&config).unwrap();
    let [exchange, signing] = &host.requests()[..] else { panic!("two requests") };
    let expected = [
        ("grant_type", "refresh_token"),
        ("client_id", "id"),
        ("client_secret", "marker-secret"),
        ("refresh_token", "marker-token-r"),
    ];
    assert_eq!(fields(exchange), expected.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(header(signing, "x-goog-user-project"), Some("billing"));
    fails(&host, &holding(&user()), Kind::Config, "config.missing", &["service_account"]);
}

#[test]
fn without_credentials_the_machines_own_account_is_used() {
    let host = google();
    host.answer_http("GET", &format!("{METADATA}/email"), |_| Ok(flavoured(200, ACCOUNT)));
    host.answer_http("GET", &format!("{METADATA}/token?{SCOPES}"), |_| {
        Ok(flavoured(200, r#"{"access_token":"marker-token-m","expires_in":3000}"#))
    });
    authenticate(&iam()).unwrap();
    let signing = host.requests().pop().unwrap();
    assert_eq!(
        (signing.url.as_str(), header(&signing, "authorization")),
        (SIGN_JWT, Some("Bearer marker-token-m"))
    );
    // "default" is a name to the metadata server alone.
    authenticate(&with(iam(), "service_account", json!("default"))).unwrap();
    assert_eq!(host.requests().pop().unwrap().url, SIGN_JWT);
    host.answer_http("GET", &format!("{METADATA}/email"), |_| Ok(flavoured(200, "<html>")));
    fails(&host, &iam(), Kind::Unavailable, "metadata.no-account", &["service_account"]);
}

#[test]
fn the_first_credentials_in_the_incumbents_order_are_used() {
    let host = google();
    let put = |place: &str| {
        let account = format!("{}@shop.iam.gserviceaccount.com", place.replace(['/', '~'], "-"));
        let url = SIGN_JWT.replace(ACCOUNT, &account);
        host.answer_http("POST", &url, |_| Ok(signed()));
        (with(key(), "client_email", json!(account)).to_string(), url)
    };
    let used = || {
        authenticate(&iam()).unwrap();
        host.requests().pop().unwrap().url
    };
    // From the last to the first.
    for file in [GCLOUD, "/sdk/application_default_credentials.json", "/adc.json", HOME] {
        let (credentials, url) = put(file);
        host.put_file(file, credentials);
        match file {
            "/sdk/application_default_credentials.json" => host.set_env("CLOUDSDK_CONFIG", "/sdk"),
            "/adc.json" => host.set_env("GOOGLE_APPLICATION_CREDENTIALS", file),
            _ => {}
        }
        assert_eq!(used(), url);
    }
    for variable in ["GOOGLE_CLOUD_KEYFILE_JSON", "GOOGLE_CREDENTIALS"] {
        let (credentials, url) = put(variable);
        host.set_env(variable, &credentials);
        assert_eq!(used(), url);
    }
    let (credentials, url) = put("/key.json");
    host.put_file("/key.json", credentials);
    host.set_env("GOOGLE_CREDENTIALS", "/key.json");
    assert_eq!(used(), url);
    authenticate(&holding(&key())).unwrap();
    assert_eq!(host.requests().pop().unwrap().url, SIGN_JWT);
}

#[test]
fn a_token_is_kept_until_shortly_before_its_end() {
    let host = google();
    let exchanges = || host.requests().iter().filter(|request| request.url == TOKEN_URI).count();
    let first = authenticate(&holding(&key())).unwrap();
    host.advance(Duration::from_secs(3298));
    assert_eq!(authenticate(&holding(&key())).unwrap(), first);
    assert_eq!(exchanges(), 1);
    host.advance(Duration::from_secs(2));
    authenticate(&holding(&key())).unwrap();
    assert_eq!(exchanges(), 2);
    // Other credentials get their own.
    let rotated = with(key(), "private_key_id", json!("kid-2"));
    assert_ne!(authenticate(&holding(&rotated)).unwrap().1, first.1);
    assert_eq!(exchanges(), 3);
    let denied = Failure::denied("server.refused", "no");
    host.set_previous_failure(Some(denied));
    authenticate(&holding(&rotated)).unwrap();
    assert_eq!(exchanges(), 4);
    host.set_previous_failure(Some(Failure::unavailable("server.unreachable", "no")));
    authenticate(&holding(&rotated)).unwrap();
    assert_eq!(exchanges(), 4);
}

#[test]
fn a_kept_token_that_was_revoked_is_replaced_at_once() {
    let host = google();
    authenticate(&holding(&key())).unwrap();
    host.answer_http("POST", TOKEN_URI, |_| Ok(token("marker-token-2")));
    host.answer_http("POST", SIGN_JWT, |request| {
        let revoked = header(request, "authorization") == Some("Bearer marker-token-1");
        Ok(if revoked { Response::new(401, "{}") } else { signed() })
    });
    authenticate(&holding(&key())).unwrap();
    assert_eq!(host.requests().len(), 5);
}

#[test]
fn a_token_that_ends_soon_or_says_nothing_of_its_end_is_not_kept() {
    for body in [r#"{"access_token":"x","expires_in":300}"#, r#"{"access_token":"x"}"#] {
        // Longer than time itself is no reason to break off.
        let endless = google();
        let answer = r#"{"access_token":"x","expires_in":18446744073709551615}"#;
        endless.answer_http("POST", TOKEN_URI, move |_| Ok(Response::new(200, answer)));
        authenticate(&holding(&key())).unwrap();
        drop(endless);
        let host = google();
        host.answer_http("POST", TOKEN_URI, move |_| Ok(Response::new(200, body)));
        for _ in 0..2 {
            authenticate(&holding(&key())).unwrap();
        }
        assert_eq!(host.requests().len(), 4);
    }
}

#[test]
fn explaining_remembers_nothing() {
    let host = google();
    host.set_reason("explain");
    authenticate(&holding(&key())).unwrap();
    assert_eq!(host.state(), b"");
}
