//! What a TLS library says, in the operator's words: what happened, and what to do about it.

use rustls::pki_types::CertificateDer;
use rustls::{
    AlertDescription as Alert, CertificateError, Error, OtherError, PeerIncompatible as Peer,
};

/// How the settings are called that the remedies speak of.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Holds the trusted authorities: `vault.ca_cert`.
    pub authorities: &'static str,
    /// Says which name the server's certificate must bear: `vault.address`.
    pub server_name: &'static str,
    /// Where the server's address is written: `vault.address`.
    pub address: &'static str,
    /// Holds the client's certificate and key.
    pub client_certificate: &'static str,
}

/// A failed handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What happened.
    pub what: String,
    /// What to do; "" if there is nothing to say.
    pub remedy: String,
}

/// A certificate that is accepted, from openssl.
const MAKE: &str = "openssl req -x509 -newkey rsa:2048 -sha256 -days 365 -nodes -keyout key.pem -out cert.pem -subj /CN=HOST -addext subjectAltName=DNS:HOST";

/// The TLS library's error in a cause, however it is wrapped.
pub fn tls_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    if let Some(error) = cause.downcast_ref::<Error>() {
        return Some(error);
    }
    // An I/O error shows its inner error's causes, but not the inner error itself.
    let mut inner = cause.downcast_ref::<std::io::Error>()?.get_ref()?;
    loop {
        if let Some(error) = inner.downcast_ref::<Error>() {
            return Some(error);
        }
        inner = inner.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// Why the handshake with a server failed.
pub fn handshake(error: &Error, names: &Names) -> Trouble {
    let Names { authorities, address, client_certificate, .. } = names;
    let (what, remedy) = match error {
        Error::InvalidCertificate(error) => return server_certificate(error, names),
        Error::InvalidMessage(_) => (
            "the server doesn't speak TLS on this port",
            format!("write http:// in {address} if that is intended, else correct the port"),
        ),
        Error::AlertReceived(alert) => return refused(*alert, names),
        Error::PeerIncompatible(peer) => return incompatible(peer),
        Error::NoCertificatesPresented => {
            ("the server shows no certificate", "give the server one".to_owned())
        }
        Error::NoApplicationProtocol => {
            ("the server speaks no HTTP/1.1 on this port", format!("correct the port in {address}"))
        }
        Error::InconsistentKeys(_) => (
            "the client certificate and its key don't belong together",
            format!("check {client_certificate}"),
        ),
        Error::FailedToGetCurrentTime => {
            ("this machine's clock can't be read", "set it".to_owned())
        }
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::DecryptError
        | Error::PeerSentOversizedRecord => (
            "the other side breaks the rules of TLS",
            format!("check {address}, and what stands between"),
        ),
        Error::UnsupportedNameType => (
            "the server's name can't be verified",
            format!("write a host name or an IP address in {address}"),
        ),
        Error::InvalidCertRevocationList(_) => {
            ("a list of revoked certificates can't be used", format!("check {authorities}"))
        }
        other => {
            return Trouble {
                what: format!("the TLS handshake failed: {}", library(other)),
                remedy: String::new(),
            };
        }
    };
    Trouble { what: what.to_owned(), remedy }
}

fn server_certificate(error: &CertificateError, names: &Names) -> Trouble {
    use CertificateError as E;
    let authorities = names.authorities;
    let server_name = names.server_name;
    let remedy = match error {
        E::UnknownIssuer => {
            return Trouble {
                what: "the server's certificate is signed by an unknown authority".to_owned(),
                remedy: format!("set {authorities} to the file with that authority's certificate"),
            };
        }
        E::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            let presented: Vec<&str> =
                presented.iter().filter_map(|name| plain_name(name)).collect();
            if presented.is_empty() {
                return Trouble {
                    what: format!(
                        "the server's certificate names no host, and is asked for {expected}"
                    ),
                    remedy: format!("make one that names it: {MAKE}"),
                };
            }
            return Trouble {
                what: format!(
                    "the server's certificate is for another name: it is asked for {expected}, and is for {}",
                    presented.join(", ")
                ),
                remedy: format!("write the certificate's name in {server_name}"),
            };
        }
        E::NotValidForName => format!("write the certificate's name in {server_name}"),
        E::Expired | E::ExpiredContext { .. } => {
            "renew it, or check this machine's clock".to_owned()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => "check the clocks".to_owned(),
        E::Revoked => "renew it".to_owned(),
        E::BadSignature => format!(
            "the authority may have a new key: set {authorities} to its present certificate"
        ),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "have one issued for serverAuth".to_owned()
        }
        E::Other(inner) if is(inner, &webpki::Error::CaUsedAsEndEntity) => format!(
            "trust this very certificate in {authorities}, or have the server show one that is issued for it"
        ),
        E::Other(inner) if is(inner, &webpki::Error::NameConstraintViolation) => {
            "have it issued by an authority that may".to_owned()
        }
        _ => format!("replace it: have one issued, or {MAKE}"),
    };
    Trouble { what: format!("the server's certificate {}", fault(error)), remedy }
}

/// What is wrong with a certificate that was to be trusted: "isn't well formed".
pub(crate) fn certificate(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => fault(error),
        _ => "can't be used".to_owned(),
    }
}

/// What is wrong with a certificate, after "the certificate".
fn fault(error: &CertificateError) -> String {
    use CertificateError as E;
    #[allow(deprecated, reason = "it may still come")]
    let fault = match error {
        E::BadEncoding => "isn't well formed",
        E::Expired | E::ExpiredContext { .. } => "has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "isn't valid yet",
        E::Revoked => "is revoked",
        E::UnknownRevocationStatus
        | E::ExpiredRevocationList
        | E::ExpiredRevocationListContext { .. } => "may be revoked: no list says",
        E::UnhandledCriticalExtension => "makes a demand (a critical extension) that isn't known",
        E::UnknownIssuer => "is signed by an unknown authority",
        E::BadSignature => "isn't signed by the authority that it names",
        E::UnsupportedSignatureAlgorithm => "is signed in a way that isn't supported",
        E::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { signature_algorithm_id, .. } => {
            match weakness(signature_algorithm_id) {
                Some(hash) => {
                    return format!(
                        "is signed with {hash}, or one that it depends on is; that can be forged"
                    );
                }
                None => "is signed in a way that isn't supported",
            }
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => "is for another name",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "isn't meant for servers (extendedKeyUsage)"
        }
        E::InvalidOcspResponse => "comes with a proof of validity that can't be used (OCSP)",
        E::Other(inner) => webpki_fault(inner),
        _ => "can't be accepted",
    };
    fault.to_owned()
}

fn webpki_fault(inner: &OtherError) -> &'static str {
    use webpki::Error as E;
    match inner.0.downcast_ref::<E>() {
        Some(E::CaUsedAsEndEntity) => "is an authority's own (CA:TRUE), not a server's",
        Some(E::EndEntityUsedAsCa) => "is issued by one that is no authority's (CA:FALSE)",
        Some(E::UnsupportedCertVersion) => "is of X.509 version 1, which can't name a host",
        Some(E::NameConstraintViolation) => "has a name that its authority may not certify",
        Some(E::UnsupportedCriticalExtension) => {
            "makes a demand (a critical extension) that isn't known"
        }
        Some(
            E::PathLenConstraintViolated
            | E::MaximumPathDepthExceeded
            | E::MaximumPathBuildCallsExceeded
            | E::MaximumSignatureChecksExceeded,
        ) => "is too many certificates away from a trusted authority",
        Some(
            E::EmptyEkuExtension
            | E::ExtensionValueInvalid
            | E::InvalidSerialNumber
            | E::MalformedDnsIdentifier
            | E::MalformedExtensions
            | E::MalformedNameConstraint
            | E::SignatureAlgorithmMismatch,
        ) => "isn't well formed",
        _ => "can't be accepted",
    }
}

/// The server ended the handshake, and said why.
fn refused(alert: Alert, names: &Names) -> Trouble {
    let client_certificate = names.client_certificate;
    let check_client = format!("check {client_certificate}, or the auth method's certificate");
    let (what, remedy) = match alert {
        Alert::CertificateRequired => {
            ("the server asks for a client certificate", format!("set {client_certificate}"))
        }
        Alert::BadCertificate
        | Alert::NoCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied => {
            ("the server refuses the agent's client certificate", check_client)
        }
        Alert::UnknownCA => (
            "the server refuses the agent's client certificate: it doesn't know its authority",
            check_client,
        ),
        Alert::CertificateExpired => {
            ("the server refuses the agent's client certificate: it has expired", check_client)
        }
        Alert::CertificateRevoked => {
            ("the server refuses the agent's client certificate: it is revoked", check_client)
        }
        Alert::UnrecognisedName => {
            ("the server doesn't know this name", format!("correct {}", names.server_name))
        }
        Alert::ProtocolVersion => {
            ("the server speaks no TLS 1.2 or 1.3", "update the server".to_owned())
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => (
            "the server has no cipher in common with the agent, or wants a client certificate",
            format!("check the server's TLS settings and {client_certificate}"),
        ),
        Alert::NoApplicationProtocol => (
            "the server speaks no HTTP/1.1 on this port",
            format!("correct the port in {}", names.address),
        ),
        Alert::InternalError => {
            ("the server failed during the TLS handshake", "its own log says more".to_owned())
        }
        _ => ("the server ended the TLS handshake", "its own log says why".to_owned()),
    };
    Trouble { what: what.to_owned(), remedy }
}

fn incompatible(peer: &Peer) -> Trouble {
    let (what, remedy) = match peer {
        Peer::ServerDoesNotSupportTls12Or13
        | Peer::ServerTlsVersionIsDisabledByOurConfig
        | Peer::Tls12NotOffered
        | Peer::Tls12NotOfferedOrEnabled
        | Peer::SupportedVersionsExtensionRequired => {
            ("the server speaks no TLS 1.2 or 1.3", "update the server")
        }
        Peer::NoCipherSuitesInCommon
        | Peer::NoKxGroupsInCommon
        | Peer::NoSignatureSchemesInCommon
        | Peer::NoEcPointFormatsInCommon
        | Peer::NoCertificateRequestSignatureSchemesInCommon => (
            "the server has no cipher or signature in common with the agent",
            "check the server's TLS settings",
        ),
        _ => ("the server speaks TLS in a way that isn't supported", "update the server"),
    };
    Trouble { what: what.to_owned(), remedy: remedy.to_owned() }
}

/// What the library says of itself and of what it is given, where no handshake is under way.
pub fn library(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(_) => {
            "the certificate and the key don't belong together".to_owned()
        }
        Error::InvalidCertificate(error) => format!("the certificate {}", fault(error)),
        Error::NoCertificatesPresented => "there is no certificate".to_owned(),
        Error::FailedToGetRandomBytes => "the system gives no random numbers".to_owned(),
        Error::FailedToGetCurrentTime => "this machine's clock can't be read".to_owned(),
        // A sentence of its authors', or of the system's.
        Error::General(text) if is_a_sentence(text) => text.clone(),
        _ => "for a reason that the TLS library doesn't tell".to_owned(),
    }
}

/// As it stands in a certificate, which the library prints with its type: `DnsName("a.example")`.
/// `None`: it is the name of no host.
fn plain_name(name: &str) -> Option<&str> {
    let Some((kind, rest)) = name.split_once('(') else {
        return (name != "DirectoryName").then_some(name);
    };
    let inner = rest.strip_suffix(')')?;
    ["DnsName", "IpAddress"].contains(&kind).then(|| inner.trim_matches('"'))
}

/// Prose, not what a program prints for its author.
fn is_a_sentence(text: &str) -> bool {
    !text.contains(['{', '[', '(', '"', '\\', '\n']) && text.len() < 200
}

fn is(inner: &OtherError, error: &webpki::Error) -> bool {
    inner.0.downcast_ref() == Some(error)
}

/// The algorithm that a certificate is signed with, if others could sign so too.
pub(crate) fn weak_signature<'a>(certificate: &'a CertificateDer<'_>) -> Option<&'a [u8]> {
    let (certificate, _) = value(certificate)?;
    let (_, signature) = value(certificate)?;
    let (algorithm, _) = value(signature)?;
    weakness(algorithm).map(|_| algorithm)
}

/// The hash in a signature's `AlgorithmIdentifier` that no longer protects it.
fn weakness(algorithm: &[u8]) -> Option<&'static str> {
    WEAK.iter().find(|(identifier, _)| algorithm.starts_with(identifier)).map(|(_, hash)| *hash)
}

/// Object identifiers in DER, of RFC 3279 (section 2.2) and, the last, of OIW.
const WEAK: [(&[u8], &str); 6] = [
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "SHA-1"),
    (b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01", "SHA-1"),
    (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x03", "SHA-1"),
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "MD5"),
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02", "MD2"),
    (b"\x06\x05\x2b\x0e\x03\x02\x1d", "SHA-1"),
];

/// The content of the DER value (X.690, section 8.1) at the start, and what follows it.
fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(*length & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::server::ParsedCertificate;

    use super::*;

    const NAMES: Names = Names {
        authorities: "vault.ca_cert",
        server_name: "vault.address or vault.tls_server_name",
        address: "vault.address",
        client_certificate: "vault.client_cert and vault.client_key",
    };

    /// What is printed for programmers: names of variants and fields, brackets, quoted types.
    #[track_caller]
    fn assert_in_words(trouble: &Trouble) {
        for text in [&trouble.what, &trouble.remedy] {
            assert!(!text.contains(['{', '[', '\\']), "{trouble:?}");
            // No CamelCase but that of the commands to type.
            let words = text.split(|c: char| !c.is_alphanumeric());
            for word in words
                .filter(|word| !["subjectAltName", "extendedKeyUsage", "serverAuth"].contains(word))
            {
                let humps = word.chars().zip(word.chars().skip(1));
                let camel = humps.filter(|(a, b)| a.is_lowercase() && b.is_uppercase()).count();
                assert!(camel == 0, "{word}: {trouble:?}");
            }
        }
        assert!(!trouble.what.is_empty());
    }

    fn other(error: webpki::Error) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(error)))
    }

    #[test]
    fn every_fault_of_a_certificate_is_told_in_words_with_a_remedy() {
        use CertificateError as E;
        let time = rustls::pki_types::UnixTime::now();
        let algorithm = |bytes: &[u8]| E::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: bytes.to_vec(),
            supported_algorithms: vec![rustls::pki_types::alg_id::ED25519],
        };
        let named = |presented: &[&str]| E::NotValidForNameContext {
            expected: "bao.example".try_into().unwrap(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        for (error, said) in [
            (E::BadEncoding, "well formed"),
            (E::Expired, "expired"),
            (E::ExpiredContext { time, not_after: time }, "expired"),
            (E::NotValidYetContext { time, not_before: time }, "yet"),
            (E::Revoked, "revoked"),
            (E::UnhandledCriticalExtension, "demand"),
            (E::UnknownIssuer, "unknown authority"),
            (E::UnknownRevocationStatus, "revoked"),
            (E::ExpiredRevocationListContext { time, next_update: time }, "revoked"),
            (E::BadSignature, "isn't signed"),
            (algorithm(WEAK[0].0), "SHA-1"),
            (algorithm(WEAK[1].0), "SHA-1"),
            (algorithm(WEAK[3].0), "MD5"),
            (algorithm(b"\x06\x03\x2b\x65\x70"), "isn't supported"),
            (named(&[]), "names no host"),
            (named(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]), "a.example, 127.0.0.1"),
            (named(&["*.a.example", "DirectoryName"]), "is for *.a.example"),
            (named(&["DirectoryName", "Unsupported(0x81)"]), "names no host"),
            (E::InvalidPurpose, "for servers"),
            (E::InvalidOcspResponse, "OCSP"),
            (E::ApplicationVerificationFailure, "can't be accepted"),
            (other(webpki::Error::CaUsedAsEndEntity), "CA:TRUE"),
            (other(webpki::Error::EndEntityUsedAsCa), "CA:FALSE"),
            (other(webpki::Error::UnsupportedCertVersion), "version 1"),
            (other(webpki::Error::NameConstraintViolation), "may not certify"),
            (other(webpki::Error::MaximumPathDepthExceeded), "too many"),
            (other(webpki::Error::MalformedExtensions), "well formed"),
            (other(webpki::Error::CertDistrusted), "can't be accepted"),
            (E::Other(OtherError(Arc::new(std::io::Error::other("Foo { bar: [1] }")))), "can't be"),
        ] {
            let trouble = handshake(&error.into(), &NAMES);
            assert_in_words(&trouble);
            assert!(trouble.what.contains(said), "{said}: {trouble:?}");
            assert!(!trouble.remedy.is_empty(), "{trouble:?}");
        }
        for weak in [algorithm(WEAK[0].0), other(webpki::Error::UnsupportedCertVersion)] {
            assert!(handshake(&weak.into(), &NAMES).remedy.contains("openssl req -x509"));
        }
    }

    #[test]
    fn every_other_failure_is_told_in_words() {
        use rustls::{InconsistentKeys, InvalidMessage, PeerMisbehaved};
        for error in [
            Error::InappropriateMessage {
                expect_types: vec![rustls::ContentType::Alert],
                got_type: rustls::ContentType::Handshake,
            },
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::NoCertificatesPresented,
            Error::UnsupportedNameType,
            Error::DecryptError,
            Error::EncryptError,
            Error::PeerIncompatible(Peer::ServerDoesNotSupportTls12Or13),
            Error::PeerIncompatible(Peer::NoCipherSuitesInCommon),
            Error::PeerIncompatible(Peer::NullCompressionRequired),
            Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare),
            Error::General("Foo { bar: [1, 2] }".into()),
            Error::General("something went wrong".into()),
            Error::FailedToGetCurrentTime,
            Error::FailedToGetRandomBytes,
            Error::HandshakeNotComplete,
            Error::PeerSentOversizedRecord,
            Error::NoApplicationProtocol,
            Error::BadMaxFragmentSize,
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
            Error::Other(OtherError(Arc::new(std::io::Error::other("Foo(Bar)")))),
        ] {
            assert_in_words(&handshake(&error, &NAMES));
        }
        for code in 0..=u8::MAX {
            let trouble = handshake(&Error::AlertReceived(Alert::from(code)), &NAMES);
            assert_in_words(&trouble);
            assert!(!trouble.remedy.is_empty(), "{trouble:?}");
        }
    }

    #[test]
    fn names_that_the_library_gives_are_shown_as_they_are_written() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned(), "127.0.0.1".into()]);
        let made = made.unwrap();
        let parsed = ParsedCertificate::try_from(made.cert.der()).unwrap();
        let name = "b.example".try_into().unwrap();
        let error = rustls::client::verify_server_name(&parsed, &name).unwrap_err();
        let trouble = handshake(&error, &NAMES);
        assert_in_words(&trouble);
        assert!(
            trouble.what.ends_with("asked for b.example, and is for a.example, 127.0.0.1"),
            "{trouble:?}"
        );
    }
}
