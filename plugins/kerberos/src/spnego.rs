//! The token of `Authorization: Negotiate …` (RFC 4178, RFC 4121, RFC 4559).

use usher_plugin_lib::der::{application, explicit, object_identifier, octets, sequence};

/// 1.2.840.113554.1.2.2, Kerberos.
const KERBEROS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
/// 1.3.6.1.5.5.2, SPNEGO.
const SPNEGO: [u8; 6] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x02];
/// Before an AP-REQ (RFC 4121 §4.1).
const AP_REQ: [u8; 2] = [1, 0];

/// The type of [`checksum`].
pub(crate) const CHECKSUM_TYPE: i64 = 0x8003;

/// What stands for a checksum in the authenticator (RFC 4121 §4.1.1): no channel bindings, and
/// the flags of a context with confidentiality and integrity.
pub(crate) fn checksum() -> Vec<u8> {
    const CONFIDENTIALITY_AND_INTEGRITY: u32 = 0x30;
    let mut checksum = 16_u32.to_le_bytes().to_vec();
    checksum.extend([0; 16]);
    checksum.extend(CONFIDENTIALITY_AND_INTEGRITY.to_le_bytes());
    checksum
}

/// `NegTokenInit` that offers Kerberos alone, with this AP-REQ.
pub(crate) fn token(ap_request: &[u8]) -> Vec<u8> {
    let kerberos = object_identifier(&KERBEROS);
    let mechanism_token = application(0, &[&kerberos, &AP_REQ[..], ap_request].concat());
    let init = sequence(&[
        explicit(0, sequence(std::slice::from_ref(&kerberos))),
        explicit(2, octets(&mechanism_token)),
    ]);
    application(0, &[object_identifier(&SPNEGO), explicit(0, init)].concat())
}
