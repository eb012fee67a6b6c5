//! TLS of a listener: its files, versions and cipher suites, and whether clients show certificates.

use std::path::PathBuf;
use std::time::Duration;

use super::Reader;
use crate::diagnostic::Diagnostic;
use crate::fields::{Located, Report};
use crate::settings::{ClientCertificates, ListenerTls, TlsVersion};

const SHORTEST_RELOAD: Duration = Duration::from_secs(5);
/// In their order.
const VERSIONS: [&str; 4] = ["tls10", "tls11", "tls12", "tls13"];
/// Those of rustls, in its order.
const CIPHER_SUITES: [&str; 9] = [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// What the names of some of them lack in Go's older spelling.
const HASH: &str = "_SHA256";
/// The incumbents would ask for a certificate, at an authority that they choose.
const NO_CERTIFICATE: &str = "this listener has no certificate for TLS, and none is got for it";
const CERTIFICATE_HELP: &str =
    "write tls_disable = true, or name both files: tls_cert_file = \"…\" and tls_key_file = \"…\"";

/// None: without TLS, or with problems that are in the report.
pub(super) fn read(reader: &Reader<'_>, is_tcp: bool, report: &mut Report) -> Option<ListenerTls> {
    check_reload(reader, report);
    let cipher_suites = cipher_suites(reader, report);
    // Of one that is neither true nor false nobody knows whether there is TLS; null is not set.
    let disabled = reader.fields.weak_boolean("tls_disable", &mut Report::new());
    let said = reader.fields.last("tls_disable", &mut Report::new()).is_some();
    if disabled.map_or(said, |disabled| disabled.value) {
        return None;
    }
    let (certificate, key) = files(reader, is_tcp, report)?;
    let (oldest, newest) = versions(reader, report);
    let client_ca = reader.text("tls_client_ca_file");
    Some(ListenerTls {
        certificate,
        key,
        client_certificates: client_certificates(reader, client_ca.as_ref(), report),
        client_ca: client_ca.map(|file| PathBuf::from(file.value)),
        oldest,
        newest,
        cipher_suites,
    })
}

/// What the incumbents ask of keys that nothing is done with.
fn check_reload(reader: &Reader<'_>, report: &mut Report) {
    let reload = reader.switch("tls_auto_reload");
    if let Some(reload) = reload.filter(|_| reader.text("tls_cert_file").is_none()) {
        let message = "`tls_auto_reload` without `tls_cert_file`";
        let help = "name the certificate: tls_cert_file = \"…\"";
        report.push(reader.error("tls_auto_reload", message, help, Some(&reload.location)));
    }
    let interval = reader.fields.duration("tls_auto_reload_interval", &mut Report::new());
    if let Some(interval) = interval.filter(|interval| interval.value < SHORTEST_RELOAD) {
        let message = "`tls_auto_reload_interval` is less than 5s";
        let help = "write 5s or more";
        let place = Some(&interval.location);
        report.push(reader.error("tls_auto_reload_interval", message, help, place));
    }
}

/// The certificate and its key.
fn files(reader: &Reader<'_>, is_tcp: bool, report: &mut Report) -> Option<(PathBuf, PathBuf)> {
    let alone = match (reader.text("tls_cert_file"), reader.text("tls_key_file")) {
        (Some(certificate), Some(key)) => {
            return Some((certificate.value.into(), key.value.into()));
        }
        (None, None) => None,
        (Some(certificate), None) => {
            Some((certificate, "`tls_cert_file` without its key", "name it: tls_key_file = \"…\""))
        }
        (None, Some(key)) => {
            Some((key, "`tls_key_file` without its certificate", "name it: tls_cert_file = \"…\""))
        }
    };
    // That it is not there for ACME is said at its keys.
    let acme = || {
        let mut keys = reader.fields.block.keys.iter();
        keys.any(|key| key.name.starts_with("tls_acme_") && reader.fields.has(key.name))
    };
    let required = reader.switch("tls_require_and_verify_client_cert");
    if let Some((file, message, help)) = alone {
        report.push(reader.error("tls_cert_file", message, help, Some(&file.location)));
    } else if let Some(required) = required.filter(|_| !is_tcp) {
        let message = "certificates of clients without one of the listener";
        let place = Some(&required.location);
        report.push(reader.error("tls_cert_file", message, CERTIFICATE_HELP, place));
    } else if is_tcp && !acme() {
        report.push(Diagnostic::new_error(
            "unsupported",
            NO_CERTIFICATE,
            CERTIFICATE_HELP,
            Some(reader.location),
        ));
    }
    None
}

fn versions(reader: &Reader<'_>, report: &mut Report) -> (TlsVersion, TlsVersion) {
    let mut version = |key: &str, default: &str| {
        let text = reader.text(key);
        let found = VERSIONS
            .iter()
            .position(|known| *known == text.as_ref().map_or(default, |text| text.value.as_str()));
        if let (None, Some(text)) = (found, &text) {
            let message = format!("there is no TLS version {:?}", text.value);
            report.push(reader.error(key, &message, "write tls12 or tls13", Some(&text.location)));
        }
        found.map(|index| (index, text.map(|text| text.location)))
    };
    let oldest = version("tls_min_version", "tls12");
    let newest = version("tls_max_version", "tls13");
    let (Some((oldest, oldest_place)), Some((newest, newest_place))) = (oldest, newest) else {
        return (TlsVersion::V12, TlsVersion::V13);
    };
    let raised = oldest.max(2);
    if raised > oldest {
        report.push(Diagnostic::new_warning(
            "listener.tls_min_version",
            "`tls_min_version` is raised to tls12: what is older is broken",
            "write tls_min_version = \"tls12\", or leave it out",
            oldest_place.as_ref(),
        ));
    }
    if newest < raised {
        let message = format!("`tls_max_version` is older than {}", VERSIONS[raised]);
        let help = "write tls_max_version = \"tls13\", or leave it out";
        let place = newest_place.as_ref().or(oldest_place.as_ref());
        report.push(reader.error("tls_max_version", &message, help, place));
    }
    let version = |index: usize| if index < 3 { TlsVersion::V12 } else { TlsVersion::V13 };
    (version(raised), version(newest.max(raised)))
}

fn client_certificates(
    reader: &Reader<'_>,
    client_ca: Option<&Located<String>>,
    report: &mut Report,
) -> ClientCertificates {
    let required = reader.switch("tls_require_and_verify_client_cert");
    let disabled = reader.switch("tls_disable_client_certs");
    match (required, disabled) {
        (None, None) => ClientCertificates::Asked,
        (None, Some(_)) => ClientCertificates::NotAsked,
        (Some(_), Some(disabled)) => {
            report.push(reader.error(
                "tls_disable_client_certs",
                "`tls_disable_client_certs` and `tls_require_and_verify_client_cert` exclude each other",
                "keep one of them",
                Some(&disabled.location),
            ));
            ClientCertificates::Required
        }
        (Some(required), None) => {
            if client_ca.is_none() {
                report.push(reader.error(
                    "tls_client_ca_file",
                    "`tls_require_and_verify_client_cert` without `tls_client_ca_file`",
                    "name who signs the certificates of clients: tls_client_ca_file = \"…\"",
                    Some(&required.location),
                ));
            }
            ClientCertificates::Required
        }
    }
}

/// Of what rustls has, which has none that is broken.
fn cipher_suites(reader: &Reader<'_>, report: &mut Report) -> Vec<String> {
    let mut suites: Vec<String> = Vec::new();
    let Some(text) = reader.text("tls_cipher_suites") else { return suites };
    for name in text.value.split(',').map(str::trim) {
        let known = |known: &&&str| {
            **known == name
                || (name.ends_with("_POLY1305") && known.strip_suffix(HASH) == Some(name))
        };
        match CIPHER_SUITES.iter().find(known) {
            Some(known) if suites.iter().any(|earlier| earlier == known) => {}
            Some(known) => suites.push((*known).to_owned()),
            None => report.push(reader.error(
                "tls_cipher_suites",
                &format!("the cipher suite {name:?} is unknown or not safe"),
                &format!("leave `tls_cipher_suites` out, or write {}", CIPHER_SUITES.join(", ")),
                Some(&text.location),
            )),
        }
    }
    suites
}
