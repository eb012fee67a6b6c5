//! What is signed, and with what.

use super::*;

#[test]
fn each_published_vector_is_signed_as_published() {
    const GLOBAL: (&str, &str) = ("us-east-1", "sts.amazonaws.com");
    const IRELAND: (&str, &str) = ("eu-west-1", "sts.eu-west-1.amazonaws.com");
    const CHINA: (&str, &str) = ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn");
    let host = host();
    for ((region, name), token, id, signature) in [
        (GLOBAL, "", "", "86cf9f76e45ec97a458f346cff6b03c7e31469b6007b5802e1216d86e1dbe718"),
        (
            GLOBAL,
            "",
            "vault.example.com",
            "723c86cb76c1b96cfbf68efd6824459d2d5e28bd0bef8e3241ba5ee4103257ee",
        ),
        (
            GLOBAL,
            "",
            "  spaced   id  ",
            "0c29cdfbfbc14cada78842a474a5aeb0c1cd0301af6feffc5961b74734f73e76",
        ),
        (GLOBAL, TOKEN, "", "eff9b0ac7c7f3ebf6aeb518696aba15583f3ddb934f80cda1f65e6672ecb80e7"),
        (
            GLOBAL,
            TOKEN,
            "vault.example.com",
            "c4aad14ab948638ff5a19d113167334dd233f60870503a117c4bd86b64ed9755",
        ),
        (IRELAND, "", "", "528e0655a9c2271f62daeb5c6c7422a7187930ac61142abb890d6f5709282c70"),
        (
            IRELAND,
            "",
            "vault.example.com",
            "7260e2143f8a977c98a8b4bf6f3f2de4134691f4cc4ea8be1507d22bdfe32063",
        ),
        (
            CHINA,
            TOKEN,
            "vault.example.com",
            "2569996d2badac9e8934cfcc27f4dc2f0732123b342715ad45006d2e7ecececc",
        ),
    ] {
        let sent = log_in(&with(json!({
            "access_key": KEY,
            "secret_key": SECRET,
            "session_token": token,
            "header_value": id,
            "region": region,
        })))
        .unwrap();
        assert_eq!(sent.url, format!("https://{name}/"));
        let mut names = "content-length;content-type;host;x-amz-date".to_owned();
        names += if token.is_empty() { "" } else { ";x-amz-security-token" };
        names += if id.is_empty() { "" } else { ";x-vault-aws-iam-server-id" };
        assert_eq!(
            sent.authorization,
            format!(
                "AWS4-HMAC-SHA256 Credential={KEY}/20261121/{region}/sts/aws4_request, \
                 SignedHeaders={names}, Signature={signature}"
            )
        );
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        assert_eq!(sent.header("X-Amz-Date"), Some("20261121T123456Z"));
        assert_eq!(sent.header("Content-Length"), Some("43"));
        assert_eq!(
            sent.header("Content-Type"),
            Some("application/x-www-form-urlencoded; charset=utf-8")
        );
        assert_eq!(sent.header("X-Amz-Security-Token"), some(token));
        assert_eq!(sent.header("X-Vault-Aws-Iam-Server-Id"), some(id));
        let expected = 4 + usize::from(!token.is_empty()) + usize::from(!id.is_empty());
        assert_eq!(sent.headers.len(), expected, "no other header");
    }
    assert_eq!(host.requests().len(), 0, "nothing is asked for");
}

#[test]
fn variables_of_the_environment_serve_in_either_spelling() {
    for (key, secret) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY"),
    ] {
        let host = host();
        host.set_env(key, KEY);
        host.set_env(secret, SECRET);
        let sent = log_in(&iam()).unwrap();
        assert_eq!(sent.key(), KEY);
        assert!(sent.authorization.ends_with(
            "Signature=86cf9f76e45ec97a458f346cff6b03c7e31469b6007b5802e1216d86e1dbe718"
        ));
        host.set_env("AWS_SESSION_TOKEN", TOKEN);
        assert_eq!(log_in(&iam()).unwrap().header("X-Amz-Security-Token"), Some(TOKEN));
    }
}

#[test]
fn half_a_pair_of_variables_is_told() {
    for (set, missing) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"),
    ] {
        let host = host();
        host.set_env(set, SECRET);
        assert_fails(&host, &iam(), Kind::Config, "aws.partial", &[set, missing]);
    }
}

#[test]
fn expired_variables_are_told() {
    let host = host();
    host.set_env("AWS_ACCESS_KEY_ID", KEY);
    host.set_env("AWS_SECRET_ACCESS_KEY", SECRET);
    host.set_env("AWS_CREDENTIAL_EXPIRATION", "2026-11-21T12:34:55Z");
    assert_fails(&host, &iam(), Kind::Unavailable, "aws.expired", &["environment", "restart"]);
    host.set_env("AWS_CREDENTIAL_EXPIRATION", SOON);
    assert_eq!(log_in(&iam()).unwrap().key(), KEY);
}
