//! What a key distribution centre's refusal means, and what to do about it.

use crate::client::Client;
use crate::encryption::{self, Enctype, Key};
use crate::keytab::names;
use crate::messages::{Exchange, Refusal};
use std::time::{Duration, SystemTime};
use usher_plugin::Failure;
use usher_plugin_lib::date_time;

pub(crate) const ETYPE_NOSUPP: i64 = 14;
pub(crate) const PREAUTH_FAILED: i64 = 24;
pub(crate) const PREAUTH_REQUIRED: i64 = 25;

/// What the key distribution centre has for the client, as far as it says so.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) enctypes: Vec<i64>,
    pub(crate) version: Option<i64>,
}

impl Client<'_> {
    /// Why there is no ticket.
    pub(crate) fn refused(&self, exchange: Exchange, refusal: &Refusal, now: i64) -> Failure {
        let Client { user, realm, service, .. } = self;
        let (code, message) = match refusal.code {
            6 => (
                "unknown-principal",
                format!(
                    "the realm {realm} has no principal {user}; correct `username` or `realm`, or create it"
                ),
            ),
            7 if exchange == Exchange::Tgs => (
                "unknown-service",
                format!(
                    "the realm {realm} has no service principal {service}; correct `service`, or create it"
                ),
            ),
            1 | 18 | 23 => (
                "disabled",
                format!(
                    "the principal {user}@{realm} or its password is disabled or expired; renew it in the realm"
                ),
            ),
            ETYPE_NOSUPP => (
                "enctype",
                format!(
                    "the realm {realm} has no encryption type in common with {} for {service}",
                    names(Enctype::ALL.into_iter().map(Enctype::number))
                ),
            ),
            37 => {
                let apart = (now - refusal.server_time).unsigned_abs();
                (
                    "clock-skew",
                    format!(
                        "the clocks are {apart} s apart: here it is {}, there {}; set the clock (NTP)",
                        shown(now),
                        shown(refusal.server_time)
                    ),
                )
            }
            12 => (
                "policy",
                format!("the policy of the realm {realm} forbids {user} a ticket for {service}"),
            ),
            _ => ("refused", format!("the realm {realm} gave {user} no ticket for {service}")),
        };
        let mut message = format!("{message} ({}", name(refusal.code));
        if let Some(text) = refusal.text.as_ref().filter(|text| !text.is_empty()) {
            message = format!("{message}, \"{text}\"");
        }
        message.push(')');
        let code = format!("kerberos.{code}");
        // It is busy, or another one should be asked.
        if [29, 52].contains(&refusal.code) {
            Failure::unavailable(code, message)
        } else {
            Failure::denied(code, message)
        }
    }

    /// Why the key of the keytab gets no ticket.
    pub(crate) fn wrong_key(&self, key: &Key, known: &Known) -> Failure {
        let Client { user, realm, keytab, keys, .. } = self;
        let ours = keys.version;
        let what = match known.version {
            Some(version) if version != i64::from(ours) => {
                format!("has version {version} of it")
            }
            Some(_) => "has another key of the same version".to_owned(),
            None => "has another one, probably of a newer version".to_owned(),
        };
        Failure::denied(
            "kerberos.wrong-key",
            format!(
                "the key of {user}@{realm} in {keytab} (version {ours}, {}) is refused: the realm \
                 {what}; export the keytab again",
                encryption::name(key.enctype().number())
            ),
        )
        .detail("file", *keytab)
    }

    /// Why no key of the keytab will do.
    pub(crate) fn no_common_enctype(&self, known: &Known) -> Failure {
        let Client { user, realm, keytab, keys, .. } = self;
        let theirs = if known.enctypes.is_empty() {
            "others".to_owned()
        } else {
            names(known.enctypes.iter().copied())
        };
        Failure::denied(
            "kerberos.enctype",
            format!(
                "the keys of {user}@{realm} in {keytab} are of the types {}, and the realm takes \
                 {theirs}; export a key of a type that both have",
                keys.names()
            ),
        )
        .detail("file", *keytab)
    }
}

fn shown(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    date_time(SystemTime::UNIX_EPOCH + since)
}

/// As in RFC 4120 §7.5.9: "`KDC_ERR_POLICY` (12)".
fn name(code: i64) -> String {
    let name = match code {
        1 => "KDC_ERR_NAME_EXP",
        2 => "KDC_ERR_SERVICE_EXP",
        3 => "KDC_ERR_BAD_PVNO",
        4 => "KDC_ERR_C_OLD_MAST_KVNO",
        5 => "KDC_ERR_S_OLD_MAST_KVNO",
        6 => "KDC_ERR_C_PRINCIPAL_UNKNOWN",
        7 => "KDC_ERR_S_PRINCIPAL_UNKNOWN",
        8 => "KDC_ERR_PRINCIPAL_NOT_UNIQUE",
        9 => "KDC_ERR_NULL_KEY",
        10 => "KDC_ERR_CANNOT_POSTDATE",
        11 => "KDC_ERR_NEVER_VALID",
        12 => "KDC_ERR_POLICY",
        13 => "KDC_ERR_BADOPTION",
        14 => "KDC_ERR_ETYPE_NOSUPP",
        15 => "KDC_ERR_SUMTYPE_NOSUPP",
        16 => "KDC_ERR_PADATA_TYPE_NOSUPP",
        17 => "KDC_ERR_TRTYPE_NOSUPP",
        18 => "KDC_ERR_CLIENT_REVOKED",
        19 => "KDC_ERR_SERVICE_REVOKED",
        20 => "KDC_ERR_TGT_REVOKED",
        21 => "KDC_ERR_CLIENT_NOTYET",
        22 => "KDC_ERR_SERVICE_NOTYET",
        23 => "KDC_ERR_KEY_EXPIRED",
        24 => "KDC_ERR_PREAUTH_FAILED",
        25 => "KDC_ERR_PREAUTH_REQUIRED",
        26 => "KDC_ERR_SERVER_NOMATCH",
        27 => "KDC_ERR_MUST_USE_USER2USER",
        28 => "KDC_ERR_PATH_NOT_ACCEPTED",
        29 => "KDC_ERR_SVC_UNAVAILABLE",
        31 => "KRB_AP_ERR_BAD_INTEGRITY",
        32 => "KRB_AP_ERR_TKT_EXPIRED",
        33 => "KRB_AP_ERR_TKT_NYV",
        34 => "KRB_AP_ERR_REPEAT",
        35 => "KRB_AP_ERR_NOT_US",
        36 => "KRB_AP_ERR_BADMATCH",
        37 => "KRB_AP_ERR_SKEW",
        38 => "KRB_AP_ERR_BADADDR",
        39 => "KRB_AP_ERR_BADVERSION",
        40 => "KRB_AP_ERR_MSG_TYPE",
        41 => "KRB_AP_ERR_MODIFIED",
        44 => "KRB_AP_ERR_BADKEYVER",
        45 => "KRB_AP_ERR_NOKEY",
        50 => "KRB_AP_ERR_INAPP_CKSUM",
        52 => "KRB_ERR_RESPONSE_TOO_BIG",
        60 => "KRB_ERR_GENERIC",
        61 => "KRB_ERR_FIELD_TOOLONG",
        68 => "KDC_ERR_WRONG_REALM",
        _ => return format!("Kerberos error {code}"),
    };
    format!("{name} ({code})")
}
