//! The method against the SDK's fake host and a realm that checks what it is asked.

mod realm;

use super::*;
use crate::encryption::{Enctype, Key, Usage};
use crate::keytab::tests::keytab;
use realm::{EXAMPLE, REALM, Realm, SERVICE, USER, decoded, session_key};
use serde_json::{Value, json};
use std::time::Duration;
use usher_plugin::testing::{self, Host};
use usher_plugin::{Credential, Failure};

const KEYTAB: &str = "/etc/app.keytab";
const KRB5_CONF: &str = "/etc/krb5.conf";
const AES256: [u8; 32] = [1; 32];
const AES128: [u8; 16] = [2; 16];

fn config() -> Value {
    json!({
        "username": USER,
        "service": SERVICE,
        "realm": REALM,
        "keytab_path": KEYTAB,
        "krb5conf_path": KRB5_CONF,
    })
}

/// A host whose realm has these keys of the user, and whose keytab has those, by their types.
fn host(realm: &[&Key], kept: &[&Key]) -> (Host, Realm) {
    let host = Host::install();
    let realm = Realm::new(realm.iter().copied().cloned().collect());
    let answering = realm.clone();
    host.answer_kdc(move |name, request| {
        assert_eq!(name, REALM);
        Ok(answering.answer(request))
    });
    host.put_file(KRB5_CONF, "");
    write_keytab(&host, 1, kept);
    (host, realm)
}

fn write_keytab(host: &Host, version: u32, keys: &[&Key]) {
    let entries: Vec<(&str, u32, i64, &[u8])> = keys
        .iter()
        .map(|key| ("app@EXAMPLE.ORG", version, key.enctype().number(), key.bytes()))
        .collect();
    host.put_file(KEYTAB, keytab(&entries));
}

fn key(enctype: Enctype) -> Key {
    let bytes = match enctype {
        Enctype::Aes256Sha1 | Enctype::Aes256Sha2 => &AES256[..],
        Enctype::Aes128Sha1 | Enctype::Aes128Sha2 => &AES128,
    };
    Key::new(enctype, bytes).unwrap()
}

fn good() -> (Host, Realm) {
    let key = key(Enctype::Aes256Sha1);
    host(&[&key], &[&key])
}

/// The token of the login, and its revision.
fn authenticate() -> Result<(Vec<u8>, String), Failure> {
    let answer = testing::authenticate::<Kerberos>(&config())?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!((login.path.as_str(), login.body), ("login", json!({})));
    let [(name, value)] = &login.headers[..] else { panic!("not one header") };
    assert_eq!(name, "Authorization");
    let token = value.strip_prefix("Negotiate ").expect("a SPNEGO token");
    Ok((STANDARD.decode(token).unwrap(), answer.revision))
}

fn failure() -> Failure {
    authenticate().unwrap_err()
}

#[test]
fn the_token_presents_the_ticket_with_a_fresh_authenticator() {
    let (_host, realm) = good();
    let first = decoded(&authenticate().unwrap().0);
    assert_eq!(first.ticket, realm.service_ticket());
    // RFC 4121 §4.1.1: sixteen bytes of no bindings, confidentiality and integrity.
    let mut checksum = [0; 24];
    checksum[0] = 16;
    checksum[20] = 0x30;
    assert_eq!(first.checksum, (0x8003, checksum.to_vec()));
    assert_eq!(first.seconds, EXAMPLE);
    let second = decoded(&authenticate().unwrap().0);
    assert_eq!(second.ticket, first.ticket);
    assert_ne!(second.authenticator, first.authenticator);
}

#[test]
fn each_type_of_key_logs_in() {
    for enctype in Enctype::ALL {
        let key = key(enctype);
        let (_host, realm) = host(&[&key], &[&key]);
        authenticate().unwrap();
        assert_eq!(realm.requests(), ["AS", "TGS"], "{enctype:?}: without a detour");
    }
}

#[test]
fn another_key_of_the_keytab_is_tried_where_the_realm_lacks_the_first() {
    let (strong, weak) = (key(Enctype::Aes256Sha1), key(Enctype::Aes128Sha1));
    for (theirs, ours) in [(&weak, [&strong, &weak]), (&strong, [&weak, &strong])] {
        let (_host, _realm) = host(&[theirs], &ours);
        authenticate().unwrap();
    }
}

#[test]
fn types_that_have_nothing_in_common_are_named() {
    let (theirs, ours) = (key(Enctype::Aes256Sha2), key(Enctype::Aes128Sha1));
    let (_host, realm) = host(&[&theirs], &[&ours]);
    for silent in [false, true] {
        realm.say_nothing_of_types(silent);
        let failure = failure();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "kerberos.enctype"));
        for part in ["(17), and the realm takes", "(20);", KEYTAB] {
            assert!(failure.message.contains(part), "{part}: {failure}");
        }
    }
}

#[test]
fn a_wrong_key_is_denied_with_its_version() {
    let wrong = Key::new(Enctype::Aes256Sha1, &[9; 32]).unwrap();
    let (_host, realm) = host(&[&key(Enctype::Aes256Sha1)], &[&wrong]);
    let refused = failure();
    assert_eq!((refused.kind, refused.code.as_str()), (Kind::Denied, "kerberos.wrong-key"));
    assert!(refused.message.contains("version 1") && refused.message.contains(KEYTAB), "{refused}");
    assert!(refused.message.contains("export the keytab again"), "{refused}");
    // A realm that doesn't look at the pre-authentication says which version it has.
    realm.trust_everybody(3);
    let newer = failure();
    assert_eq!(newer.code, "kerberos.wrong-key");
    assert!(newer.message.contains("the realm has version 3"), "{newer}");
}

#[test]
fn the_ticket_serves_until_shortly_before_its_end() {
    let (host, realm) = good();
    authenticate().unwrap();
    host.advance(Duration::from_mins(54));
    authenticate().unwrap();
    assert_eq!(realm.requests().len(), 2, "one exchange of each kind");
    host.advance(Duration::from_mins(2));
    authenticate().unwrap();
    assert_eq!(realm.requests().len(), 4);
}

#[test]
fn a_refused_ticket_is_not_presented_again() {
    let (host, realm) = good();
    authenticate().unwrap();
    host.set_previous_failure(Some(Failure::unavailable("server.unreachable", "down")));
    authenticate().unwrap();
    assert_eq!(realm.requests().len(), 2);
    host.set_previous_failure(Some(Failure::denied("server.refused", "no")));
    authenticate().unwrap();
    assert_eq!(realm.requests().len(), 4);
}

#[test]
fn another_key_or_principal_is_another_credential() {
    let (host, realm) = good();
    let (_, first) = authenticate().unwrap();
    assert_eq!(authenticate().unwrap().1, first);
    write_keytab(&host, 2, &[&key(Enctype::Aes256Sha1)]);
    assert_eq!(authenticate().unwrap().1, first, "the same key exported again");
    let other = Key::new(Enctype::Aes256Sha1, &[7; 32]).unwrap();
    write_keytab(&host, 3, &[&other]);
    assert_eq!(failure().code, "kerberos.wrong-key");
    realm.change_keys(vec![other]);
    assert_ne!(authenticate().unwrap().1, first);
}

#[test]
fn explaining_remembers_nothing() {
    let (host, _realm) = good();
    host.set_reason("explain");
    authenticate().unwrap();
    assert_eq!(host.state(), b"");
}

#[test]
fn a_ticket_too_large_to_be_kept_is_asked_for_each_time() {
    let (host, realm) = good();
    realm.make_tickets_of(50 << 10);
    let (_, first) = authenticate().unwrap();
    assert_eq!(authenticate().unwrap().1, first);
    assert_eq!(realm.requests().len(), 4);
    assert_eq!(host.logs(), []);
}

#[test]
fn clocks_that_differ_are_both_shown() {
    let (host, realm) = good();
    realm.keep_time();
    host.advance(Duration::from_hours(1));
    let failure = failure();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "kerberos.clock-skew"));
    for part in ["3600 s", "2026-01-01T01:00:00Z", "2026-01-01T00:00:00Z", "NTP"] {
        assert!(failure.message.contains(part), "{part}: {failure}");
    }
}

#[test]
fn what_the_realm_refuses_is_told_by_name() {
    for (in_tgs, number, code, kind, parts) in [
        (
            false,
            6,
            "unknown-principal",
            Kind::Denied,
            &["no principal app", "`username`", "KDC_ERR_C_PRINCIPAL_UNKNOWN (6)"][..],
        ),
        (
            true,
            7,
            "unknown-service",
            Kind::Denied,
            &["no service principal HTTP/", "`service`", "KDC_ERR_S_PRINCIPAL_UNKNOWN (7)"],
        ),
        (true, 14, "enctype", Kind::Denied, &["no encryption type in common", "(18)"]),
        (true, 37, "clock-skew", Kind::Denied, &["clocks", "KRB_AP_ERR_SKEW (37)"]),
        (false, 18, "disabled", Kind::Denied, &["KDC_ERR_CLIENT_REVOKED (18)"]),
        (false, 12, "policy", Kind::Denied, &["policy", "KDC_ERR_POLICY (12)"]),
        (false, 29, "refused", Kind::Unavailable, &["KDC_ERR_SVC_UNAVAILABLE (29)"]),
        (true, 9999, "refused", Kind::Denied, &["Kerberos error 9999"]),
    ] {
        let (_host, realm) = good();
        realm.refuse(in_tgs, number);
        let failure = failure();
        assert_eq!((failure.kind, failure.code), (kind, format!("kerberos.{code}")), "{number}");
        for part in parts {
            assert!(failure.message.contains(part), "{number} lacks {part:?}: {}", failure.message);
        }
        assert!(failure.message.contains("\"SAID BY THE KDC\""), "{}", failure.message);
    }
}

#[test]
fn a_request_that_was_changed_on_its_way_is_noticed() {
    let (_host, realm) = good();
    realm.confirm_requests();
    authenticate().unwrap();
    // The ticket is kept for the old host alone.
    let (_host, realm) = good();
    realm.confirm_another_request();
    let failure = failure();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "kerberos.request-changed"));
    assert!(failure.message.contains("disable_fast_negotiation"), "{failure}");
    let mut config = config();
    config["disable_fast_negotiation"] = json!(true);
    testing::authenticate::<Kerberos>(&config).unwrap();
    assert!(!realm.was_asked_to_confirm());
}

#[test]
fn an_answer_to_another_request_is_refused() {
    let (_host, realm) = good();
    realm.answer_another_nonce();
    assert_eq!(failure().code, "kerberos.replay");
}

#[test]
fn a_ticket_for_another_service_is_refused() {
    let (_host, realm) = good();
    realm.answer_for_service("krbtgt/OTHER.ORG");
    let failure = failure();
    assert_eq!(failure.code, "kerberos.referral");
    assert!(failure.message.contains("krbtgt/OTHER.ORG"), "{failure}");
}

#[test]
fn a_truncated_answer_is_malformed_wherever_it_ends() {
    for exchange in ["AS", "TGS"] {
        let mut length = 0;
        loop {
            let (_host, realm) = good();
            if !realm.truncate(exchange, length) {
                break;
            }
            match authenticate() {
                Ok(_) => break,
                Err(failure) => {
                    assert_eq!(failure.code, "kerberos.malformed", "{exchange} {length}");
                    assert_eq!(failure.kind, Kind::Unavailable);
                }
            }
            length += 1;
        }
        assert!(length > 100, "{exchange} {length}");
    }
}

#[test]
fn an_answer_with_one_changed_byte_never_panics_nor_changes_the_key() {
    for exchange in ["AS", "TGS"] {
        for at in 0..400 {
            let (_host, realm) = good();
            realm.change_byte(exchange, at);
            if let Ok((token, _)) = authenticate() {
                // What was changed is not secret: names, the ticket itself, times of errors.
                assert!(
                    session_key()
                        .decrypt(Usage::AUTHENTICATOR, &decoded(&token).authenticator)
                        .is_some()
                );
            }
        }
    }
}

#[test]
fn without_a_keytab_nobody_is_asked() {
    let (host, realm) = good();
    host.delete_file(KEYTAB);
    let failure = failure();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, "file.not-found"));
    assert!(failure.message.contains("there is no keytab"), "{failure}");
    assert_eq!(realm.requests(), [""; 0]);
}

#[test]
fn needs_follow_the_configuration() {
    let _host = Host::install();
    assert_eq!(
        testing::prepare_method::<Kerberos>(&config()).unwrap(),
        [Need::watch(KEYTAB), Need::watch(KRB5_CONF), Need::kdc(REALM)]
    );
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for key in ["username", "service", "realm", "keytab_path", "krb5conf_path"] {
        for value in [json!(""), json!(7), json!(null)] {
            let mut config = config();
            config[key] = value;
            let failure = testing::prepare_method::<Kerberos>(&config).unwrap_err();
            assert_eq!(failure.kind, Kind::Config);
            assert!(failure.message.contains(key), "{failure}");
        }
    }
    for (key, value) in [
        ("username", json!("app@EXAMPLE.ORG")),
        ("keytab_path", json!("/run/*")),
        ("disable_fast_negotiation", json!("maybe")),
    ] {
        let mut config = config();
        config[key] = value;
        assert_eq!(testing::prepare_method::<Kerberos>(&config).unwrap_err().kind, Kind::Config);
    }
}

#[test]
fn no_secret_is_ever_logged() {
    let (host, realm) = good();
    authenticate().unwrap();
    realm.refuse(false, 60);
    host.set_state(b"");
    let shown = format!("{:?} {:?}", host.logs(), failure());
    for secret in ["AQEBAQEB", "01010101", "1, 1, 1, 1"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(Kerberos::CONFIG_SCHEMA);
}
