//! Signatures of requests, version 1 of Oracle Cloud Infrastructure:
//! <https://docs.oracle.com/en-us/iaas/Content/API/Concepts/signingrequests.htm>, which follows
//! draft-cavage-http-signatures-08.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use usher_plugin::{Failure, crypto};

/// A key, and what it is known by. Secret: not shown, not logged.
pub(crate) struct Signer {
    /// What Oracle finds the public key by.
    pub(crate) key_id: String,
    /// RSA, PEM.
    pub(crate) key_pem: String,
    /// As messages call the key: where it is.
    pub(crate) key_name: String,
}

impl Signer {
    /// The value of `Authorization` that signs these headers, names in lower case, in this order.
    pub(crate) fn authorization(&self, headers: &[(&str, &str)]) -> Result<String, Failure> {
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        // RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2).
        let signature = crypto::sign("RS256", &self.key_pem, lines.join("\n").as_bytes());
        let signature = signature.map_err(|failure| {
            let message = format!("{}: {}", self.key_name, failure.message);
            Failure { message, ..failure }
        })?;
        Ok(format!(
            "Signature version=\"1\",headers=\"{}\",keyId=\"{}\",algorithm=\"rsa-sha256\",signature=\"{}\"",
            names.join(" "),
            self.key_id,
            STANDARD.encode(signature)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_plugin::testing::Host;

    /// Of oci-go-sdk, `common/http_signer_test.go`.
    #[test]
    fn the_published_headers_make_the_published_text() {
        let host = Host::install();
        host.sign_with(|algorithm, key, text| {
            assert_eq!((algorithm, key), ("RS256", "PEM"));
            assert_eq!(
                str::from_utf8(text).unwrap(),
                "date: Thu, 05 Jan 2014 21:31:40 GMT\n\
                 (request-target): post /20160918/volumeAttachments\n\
                 host: iaas.us-phoenix-1.oraclecloud.com\n\
                 content-length: 316\n\
                 content-type: application/json\n\
                 x-content-sha256: V9Z20UJTvkvpJ50flBzKE32+6m2zJjweHpDMX/U4Uy0="
            );
            Ok(b"signature".to_vec())
        });
        let signer =
            Signer { key_id: "t/u/f".into(), key_pem: "PEM".into(), key_name: "the key".into() };
        let authorization = signer.authorization(&[
            ("date", "Thu, 05 Jan 2014 21:31:40 GMT"),
            ("(request-target)", "post /20160918/volumeAttachments"),
            ("host", "iaas.us-phoenix-1.oraclecloud.com"),
            ("content-length", "316"),
            ("content-type", "application/json"),
            ("x-content-sha256", "V9Z20UJTvkvpJ50flBzKE32+6m2zJjweHpDMX/U4Uy0="),
        ]);
        assert_eq!(
            authorization.unwrap(),
            "Signature version=\"1\",headers=\"date (request-target) host content-length content-type \
             x-content-sha256\",keyId=\"t/u/f\",algorithm=\"rsa-sha256\",signature=\"c2lnbmF0dXJl\""
        );
    }
}
