//! One key in all the forms that OpenSSL 3.0 writes with `openssl rsa -traditional` and
//! `openssl pkcs8 -topk8`; the passphrase is "hunter2".

use super::*;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!("keys/", $name, ".pem"))
    };
}

const RSA: &str = key!("rsa");
const PKCS8: &str = key!("pkcs8");

fn opened(text: &str, pass_phrase: &str) -> Result<String, Failure> {
    open(text, Some(pass_phrase), "/k.pem")
}

fn refused(text: &str, pass_phrase: Option<&str>) -> Failure {
    let failure = open(text, pass_phrase, "/k.pem").unwrap_err();
    assert!(failure.message.starts_with("/k.pem holds "), "{}", failure.message);
    assert!(!failure.message.contains("hunter"), "{}", failure.message);
    assert_eq!(failure.kind, usher_plugin::Kind::Unavailable);
    failure
}

#[test]
fn each_form_of_a_key_is_the_same_without_its_passphrase() {
    for text in [key!("rsa-aes-128"), key!("rsa-aes-256")] {
        assert_eq!(opened(text, "hunter2").unwrap(), RSA);
    }
    for text in [key!("pkcs8-aes-256"), key!("pkcs8-aes-128")] {
        assert_eq!(opened(text, "hunter2").unwrap(), PKCS8);
    }
}

#[test]
fn a_key_without_passphrase_stays_as_it_is() {
    for text in [RSA.to_owned(), PKCS8.to_owned(), format!("{RSA}OCI_API_KEY\n")] {
        assert_eq!(open(&text, None, "/k.pem").unwrap(), text);
        assert_eq!(opened(&text, "needless").unwrap(), text);
    }
    let windows = key!("rsa-aes-128").replace('\n', "\r\n") + "OCI_API_KEY\r\n";
    assert_eq!(opened(&windows, "hunter2").unwrap(), RSA);
}

#[test]
fn a_wrong_passphrase_is_told_from_none_and_from_a_damaged_key() {
    for text in [key!("rsa-aes-128"), key!("pkcs8-aes-256")] {
        for pass_phrase in [None, Some("")] {
            let failure = refused(text, pass_phrase);
            assert!(failure.message.contains("set pass_phrase"), "{}", failure.message);
            assert_eq!(failure.code, "oci.pass-phrase");
        }
        let failure = refused(text, Some("hunter3"));
        assert!(failure.message.contains("another passphrase"), "{}", failure.message);
        let cut: String = text.lines().filter(|line| !line.ends_with('n')).take(4).collect();
        assert_eq!(refused(&cut, Some("hunter2")).code, "oci.key");
    }
    // Iterations: 2048.
    let text = key!("pkcs8-aes-256");
    let (begin, rest) = text.split_once("-----\n").unwrap();
    let (base64, end) = rest.split_once("-----END").unwrap();
    let der = decode(base64).unwrap();
    let at = der.windows(4).position(|bytes| bytes == [2, 2, 8, 0]).unwrap() + 2;
    let mut none = der.clone();
    none[at..at + 2].fill(0);
    let none = format!("{begin}-----\n{}\n-----END{end}", STANDARD.encode(none));
    assert!(refused(&none, Some("hunter2")).message.contains("damaged"));
    let damaged = key!("rsa-aes-128").replace("AES-128-CBC,", "AES-128-CBC,?");
    assert!(refused(&damaged, Some("hunter2")).message.contains("damaged"));
}

#[test]
fn what_cannot_be_used_is_named() {
    for text in
        [key!("rsa-3des"), key!("rsa-aes-192"), key!("pkcs8-3des"), key!("pkcs8-aes-128-sha1")]
    {
        let failure = refused(text, Some("hunter2"));
        assert!(failure.message.contains("openssl pkcs8 -topk8"), "{}", failure.message);
    }
    let public = "-----BEGIN PUBLIC KEY-----\nMFww\n-----END PUBLIC KEY-----\n";
    assert!(refused(public, None).message.contains("public key"));
    for text in ["", "<html>", "-----BEGIN RSA PRIVATE KEY-----\nMIIB"] {
        assert!(refused(text, None).message.contains("no whole private key"), "{text:?}");
    }
}
