//! AWS Signature Version 4: the `Authorization` header of a request.
//!
//! As AWS documents it ("Create a signed AWS API request", IAM User Guide). The caller sends what it
//! has signed: the headers of [`Request`], and a `Host` that is one of them.

use crate::percent_encode;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Who signs, when, and for which service.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// Id of the access key.
    pub access_key: &'a str,
    /// The secret access key.
    pub secret_key: &'a str,
    /// "eu-west-1".
    pub region: &'a str,
    /// "sts".
    pub service: &'a str,
    /// As [`crate::basic_date_time`] writes it: the `X-Amz-Date` that is sent too.
    pub date_time: &'a str,
}

/// What is signed.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// "POST".
    pub method: &'a str,
    /// Percent-encoded, and without "." and ".." segments: "/".
    pub path: &'a str,
    /// Names and values, not encoded.
    pub query: &'a [(&'a str, &'a str)],
    /// Names in any case, and values. "host" must be among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// As it is sent.
    pub body: &'a [u8],
}

impl Signer<'_> {
    /// The value of the request's `Authorization` header.
    pub fn authorization(&self, request: &Request<'_>) -> String {
        let headers = canonical_headers(request.headers);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let scope = format!("{}/{}/{}/aws4_request", self.date(), self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.date_time,
            hex(&Sha256::digest(canonical_request(request, &headers, &names)))
        );
        let signature = hex(&hmac(&self.key(), to_sign.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )
    }

    fn key(&self) -> Vec<u8> {
        let secret = ["AWS4", self.secret_key].concat().into_bytes();
        [self.date(), self.region, self.service, "aws4_request"]
            .iter()
            .fold(secret, |key, part| hmac(&key, part.as_bytes()))
    }

    fn date(&self) -> &str {
        self.date_time.get(..8).unwrap_or(self.date_time)
    }
}

/// Lower-case names with trimmed values, in order.
fn canonical_headers(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    in_order(headers.iter().map(|(name, value)| {
        let words = value.split([' ', '\t']).filter(|word| !word.is_empty());
        (name.to_ascii_lowercase(), words.collect::<Vec<_>>().join(" "))
    }))
}

fn canonical_request(request: &Request<'_>, headers: &[(String, String)], names: &str) -> String {
    let query = in_order(
        request.query.iter().map(|(name, value)| (percent_encode(name), percent_encode(value))),
    );
    let joined = |pairs: &[(String, String)], sign, end| {
        let lines = pairs.iter().map(|(name, value)| [name.as_str(), value].join(sign));
        lines.collect::<Vec<_>>().join(end)
    };
    format!(
        "{}\n{}\n{}\n{}\n\n{names}\n{}",
        request.method,
        request.path,
        joined(&query, "=", "&"),
        joined(headers, ":", "\n"),
        hex(&Sha256::digest(request.body))
    )
}

/// They are few, and the library's sorting is large.
fn in_order(pairs: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut sorted = Vec::new();
    for pair in pairs {
        sorted.insert(sorted.partition_point(|before| *before <= pair), pair);
    }
    sorted
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of AWS's own test suite for Signature Version 4: everything but the request.
    const SUITE: Signer<'_> = Signer {
        access_key: "AKIDEXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        region: "us-east-1",
        service: "service",
        date_time: "20150830T123600Z",
    };
    const HOST: (&str, &str) = ("Host", "example.amazonaws.com");
    const DATE: (&str, &str) = ("X-Amz-Date", "20150830T123600Z");

    fn signature(signer: &Signer<'_>, request: &Request<'_>) -> String {
        let authorization = signer.authorization(request);
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn the_published_test_suite_is_signed_as_published() {
        let get = |query, headers| Request { method: "GET", path: "/", query, headers, body: b"" };
        let post = |headers, body| Request { method: "POST", query: &[], path: "/", headers, body };
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        for (name, request, expected) in [
            (
                "get-vanilla",
                get(&[], &[HOST, DATE]),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                get(&[("Param2", "value2"), ("Param1", "value1")], &[HOST, DATE]),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-header-value-trim",
                get(
                    &[],
                    &[HOST, ("My-Header1", " value1"), ("My-Header2", " \"a   b   c\""), DATE],
                ),
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            (
                "post-vanilla",
                post(&[HOST, DATE], b""),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                post(&[form, HOST, DATE], b"Param1=value1"),
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            assert_eq!(signature(&SUITE, &request), expected, "{name}");
        }
    }

    #[test]
    fn the_example_of_the_user_guide_is_signed_as_printed() {
        let signer = Signer { service: "iam", ..SUITE };
        let request = Request {
            method: "GET",
            path: "/",
            query: &[("Action", "ListUsers"), ("Version", "2010-05-08")],
            headers: &[
                ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                ("host", "iam.amazonaws.com"),
                DATE,
            ],
            body: b"",
        };
        assert_eq!(
            signer.authorization(&request),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn each_part_of_the_request_and_of_the_signer_counts() {
        let headers = [HOST, DATE];
        let request =
            Request { method: "POST", path: "/", query: &[], headers: &headers, body: b"a" };
        let first = signature(&SUITE, &request);
        for changed in [
            Request { method: "PUT", ..request },
            Request { path: "/x", ..request },
            Request { query: &[("a", "")], ..request },
            Request { headers: &headers[..1], ..request },
            Request { body: b"b", ..request },
        ] {
            assert_ne!(signature(&SUITE, &changed), first);
        }
        for changed in [
            Signer { secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEX", ..SUITE },
            Signer { region: "us-east-2", ..SUITE },
            Signer { service: "sts", ..SUITE },
            Signer { date_time: "20150830T123601Z", ..SUITE },
        ] {
            assert_ne!(signature(&changed, &request), first);
        }
    }
}
