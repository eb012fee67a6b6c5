//! Certificates as openssl makes them, judged at fixed times and for fixed names.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::{Names, Trouble, handshake};

/// `openssl req -x509 -addext subjectAltName=DNS:localhost,IP:127.0.0.1`
const DEFAULT: &str = include_str!("../fixtures/default.pem");
/// The same with `-sha1`.
const SHA1: &str = include_str!("../fixtures/sha1.pem");
/// The same with `-sha1 -addext basicConstraints=critical,CA:FALSE`.
const SHA1_LEAF: &str = include_str!("../fixtures/sha1leaf.pem");
/// Without `-addext`: it names no host.
const WITHOUT_NAME: &str = include_str!("../fixtures/noname.pem");
/// `openssl x509 -req` of a request, without extensions.
const VERSION_1: &str = include_str!("../fixtures/v1.pem");

/// In 2027, when all of them are valid.
const NOW: u64 = 1_800_000_000;

fn names() -> Names {
    Names {
        authorities: "vault.ca_cert",
        server_name: "vault.address",
        address: "vault.address",
        client_certificate: "vault.client_cert",
    }
}

fn judged(trusted: &str, shown: &str, name: &str, now: u64) -> Result<(), Trouble> {
    let mut authorities = Authorities::default();
    authorities.add_pem("F", trusted.as_bytes());
    assert_eq!(authorities.broken(), [""; 0]);
    let verifier = Verifier::new(authorities, crate::provider()).unwrap();
    let mut chain = CertificateDer::pem_slice_iter(shown.as_bytes()).map(Result::unwrap);
    let leaf = chain.next().unwrap();
    let rest: Vec<_> = chain.collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let verified = verifier.verify_server_cert(&leaf, &rest, &name, &[], now);
    verified.map(drop).map_err(|error| handshake(&error, &names()))
}

#[track_caller]
fn refused(trusted: &str, shown: &str, name: &str, now: u64) -> Trouble {
    judged(trusted, shown, name, now).unwrap_err()
}

/// An authority of the test.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn issued(by: &CertifiedIssuer<'_, KeyPair>) -> String {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.signed_by(&key, by).unwrap().pem()
}

#[test]
fn the_certificate_that_openssl_makes_is_taken_for_its_name_and_dates() {
    assert_eq!(judged(DEFAULT, DEFAULT, "localhost", NOW), Ok(()));
    assert_eq!(judged(DEFAULT, DEFAULT, "127.0.0.1", NOW), Ok(()));
    // One of many, and with others shown beside it.
    let many = format!("{}{DEFAULT}{SHA1}", authority("one").pem());
    assert_eq!(judged(&many, &format!("{DEFAULT}{SHA1}"), "localhost", NOW), Ok(()));

    let other_name = refused(DEFAULT, DEFAULT, "bao.example", NOW);
    assert!(other_name.what.contains("for another name"), "{other_name:?}");
    let too_early = refused(DEFAULT, DEFAULT, "localhost", NOW - 100_000_000);
    assert!(too_early.what.contains("isn't valid yet"), "{too_early:?}");
    let too_late = refused(DEFAULT, DEFAULT, "localhost", NOW + 10_000_000_000);
    assert!(too_late.what.contains("has expired"), "{too_late:?}");
}

#[test]
fn only_the_very_certificate_is_taken() {
    let (one, other) = (authority("localhost"), authority("localhost"));
    let trouble = refused(&one.pem(), DEFAULT, "localhost", NOW);
    assert!(trouble.what.contains("CA:TRUE"), "{trouble:?}");
    assert!(trouble.remedy.contains("vault.ca_cert"), "{trouble:?}");
    // An authority of the same name doesn't make it the same.
    let leaf = issued(&other);
    let trouble = refused(&one.pem(), &leaf, "localhost", NOW);
    assert!(trouble.what.contains("isn't signed by the authority"), "{trouble:?}");
    let trouble = refused(DEFAULT, &issued(&authority("elsewhere")), "localhost", NOW);
    assert!(trouble.what.contains("unknown authority"), "{trouble:?}");
}

#[test]
fn a_certificate_whose_authority_is_not_known_is_taken_if_it_is_trusted_itself() {
    let (one, other) = (authority("one"), authority("one"));
    let leaf = issued(&one);
    assert_eq!(judged(&leaf, &leaf, "localhost", NOW), Ok(()));
    assert_eq!(judged(&leaf, &format!("{leaf}{}", one.pem()), "localhost", NOW), Ok(()));
    assert_eq!(judged(&format!("{}{leaf}", other.pem()), &leaf, "localhost", NOW), Ok(()));
    let trouble = refused(&leaf, &leaf, "bao.example", NOW);
    assert!(trouble.what.contains("for another name"), "{trouble:?}");
    // It is no authority for others.
    let below = issued(&other);
    assert!(judged(&leaf, &below, "localhost", NOW).is_err());
}

#[test]
fn a_certificate_by_a_trusted_authority_is_taken_as_ever() {
    let one = authority("one");
    assert_eq!(judged(&one.pem(), &issued(&one), "localhost", NOW), Ok(()));
}

#[test]
fn what_can_be_forged_or_names_no_host_is_refused_with_the_command_that_makes_a_good_one() {
    for (shown, said) in [
        (SHA1, "SHA-1"),
        (SHA1_LEAF, "SHA-1"),
        (WITHOUT_NAME, "names no host"),
        (VERSION_1, "version 1"),
    ] {
        let trouble = refused(shown, shown, "localhost", NOW);
        assert!(trouble.what.contains(said), "{said}: {trouble:?}");
        assert!(trouble.remedy.contains("openssl req -x509"), "{trouble:?}");
    }
}
