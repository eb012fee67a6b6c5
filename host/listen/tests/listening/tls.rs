//! TLS: who is let in, and certificates that change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use usher_listen::{ClientCertificates, Limits, Manner, Tls, TlsError, TlsFiles, TlsVersion};

use crate::listener::{Listener, ask, loopback, mirror, request, rest, soon};

type Issuer = CertifiedIssuer<'static, KeyPair>;
type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// In PEM form.
fn issue(authority: &Issuer) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn pair(authority: &Issuer) -> Pair {
    let (certificate, key) = issue(authority);
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    (certificate, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

struct Setup {
    directory: TempDir,
    authority: Issuer,
}

impl Setup {
    fn new() -> Self {
        let setup = Self { directory: tempfile::tempdir().unwrap(), authority: authority() };
        setup.renew();
        std::fs::write(setup.path("ca.pem"), setup.authority.pem()).unwrap();
        setup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A new certificate for the server.
    fn renew(&self) {
        let (certificate, key) = issue(&self.authority);
        std::fs::write(self.path("cert.pem"), certificate).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.path("cert.pem"),
            key: self.path("key.pem"),
            client_ca: None,
            client_certificates: ClientCertificates::Asked,
            oldest: TlsVersion::Tls12,
            newest: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
        }
    }

    async fn listen(&self, files: TlsFiles) -> (Listener, Arc<Tls>) {
        let tls = Arc::new(Tls::load(files).unwrap());
        let manner = Manner { tls: Some(Arc::clone(&tls)), ..Manner::default() };
        (Listener::start(loopback(), manner, Limits::default(), mirror).await, tls)
    }

    async fn connect(
        &self,
        listener: &Listener,
        shown: Option<Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> io::Result<TlsStream<tokio::net::TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(usher_trust::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, listener.connect().await).await
    }

    /// A whole request, with whatever goes wrong on the way.
    async fn ask(&self, listener: &Listener, shown: Option<Pair>) -> io::Result<String> {
        let mut stream = self.connect(listener, shown, rustls::ALL_VERSIONS).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await?;
        let mut told = Vec::new();
        stream.read_to_end(&mut told).await?;
        Ok(String::from_utf8(told).unwrap())
    }

    /// What the server shows.
    async fn shown(&self, listener: &Listener) -> Vec<u8> {
        let stream = self.connect(listener, None, rustls::ALL_VERSIONS).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

fn der(path: &Path) -> Vec<u8> {
    CertificateDer::from_pem_file(path).unwrap().to_vec()
}

#[tokio::test]
async fn a_required_certificate_must_be_signed_by_the_authority() {
    let setup = Setup::new();
    let mut files = setup.files();
    files.client_ca = Some(setup.path("ca.pem"));
    files.client_certificates = ClientCertificates::Required;
    let (listener, _) = setup.listen(files).await;
    setup.ask(&listener, None).await.unwrap_err();
    setup.ask(&listener, Some(pair(&authority()))).await.unwrap_err();
    let told = setup.ask(&listener, Some(pair(&setup.authority))).await.unwrap();
    assert!(told.contains("certificate: Verified"), "{told}");
}

#[tokio::test]
async fn a_certificate_that_is_only_asked_for_is_verified_if_there_is_an_authority() {
    let setup = Setup::new();
    let (listener, _) = setup.listen(setup.files()).await;
    let told = setup.ask(&listener, None).await.unwrap();
    assert!(told.contains("certificate: None"), "{told}");
    let told = setup.ask(&listener, Some(pair(&authority()))).await.unwrap();
    assert!(told.contains("certificate: Unverified"), "{told}");

    let files = TlsFiles { client_ca: Some(setup.path("ca.pem")), ..setup.files() };
    let (listener, _) = setup.listen(files.clone()).await;
    let told = setup.ask(&listener, None).await.unwrap();
    assert!(told.contains("certificate: None"), "{told}");
    setup.ask(&listener, Some(pair(&authority()))).await.unwrap_err();
    let told = setup.ask(&listener, Some(pair(&setup.authority))).await.unwrap();
    assert!(told.contains("certificate: Verified"), "{told}");

    let files = TlsFiles { client_certificates: ClientCertificates::NotAsked, ..files };
    let (listener, _) = setup.listen(files).await;
    let told = setup.ask(&listener, Some(pair(&authority()))).await.unwrap();
    assert!(told.contains("certificate: None"), "{told}");
}

#[tokio::test]
async fn versions_and_suites_are_those_that_are_chosen() {
    let setup = Setup::new();
    let (old, new) = (&rustls::version::TLS12, &rustls::version::TLS13);
    let suites = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    for (oldest, newest, names, speaks_old, speaks_new) in [
        (TlsVersion::Tls12, TlsVersion::Tls13, &[][..], true, true),
        (TlsVersion::Tls13, TlsVersion::Tls13, &[], false, true),
        (TlsVersion::Tls12, TlsVersion::Tls12, &[], true, false),
        (TlsVersion::Tls12, TlsVersion::Tls13, &["TLS_AES_128_GCM_SHA256"], false, true),
        (
            TlsVersion::Tls12,
            TlsVersion::Tls13,
            &["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"],
            true,
            true,
        ),
    ] {
        let cipher_suites = suites(names);
        let files = TlsFiles { oldest, newest, cipher_suites, ..setup.files() };
        let (listener, _) = setup.listen(files).await;
        for (version, speaks) in [(old, speaks_old), (new, speaks_new)] {
            let connected = setup.connect(&listener, None, &[version]).await;
            assert_eq!(connected.is_ok(), speaks, "{oldest:?} {newest:?} {names:?} {version:?}");
        }
    }
    let load = |files: TlsFiles| Tls::load(files).unwrap_err();
    let files = TlsFiles { cipher_suites: suites(&["AES128-SHA"]), ..setup.files() };
    assert!(matches!(load(files), TlsError::UnknownSuite(_)));
    let cipher_suites = suites(&["TLS_RSA_WITH_AES_128_CBC_SHA"]);
    let files = TlsFiles { cipher_suites, newest: TlsVersion::Tls12, ..setup.files() };
    assert!(matches!(load(files), TlsError::NoSuite));
    let files = TlsFiles { oldest: TlsVersion::Tls13, newest: TlsVersion::Tls12, ..setup.files() };
    assert!(matches!(load(files), TlsError::Versions));
}

#[tokio::test]
async fn files_that_make_no_tls_are_told_in_words() {
    let setup = Setup::new();
    let told = |files: TlsFiles| {
        let error = Tls::load(files).unwrap_err();
        assert!(!error.remedy().is_empty(), "{error}");
        let said = error.to_string();
        assert!(said.matches("can't").count() <= 1, "{said}");
        said
    };
    let said = told(TlsFiles { certificate: setup.path("none.pem"), ..setup.files() });
    assert!(said.starts_with("the certificate \"") && said.contains("can't be read"), "{said}");
    let said = told(TlsFiles { key: setup.path("cert.pem"), ..setup.files() });
    assert!(said.contains("no private key"), "{said}");
    std::fs::write(setup.path("other.pem"), issue(&setup.authority).1).unwrap();
    let said = told(TlsFiles { key: setup.path("other.pem"), ..setup.files() });
    assert!(said.contains("don't belong together"), "{said}");
    let said = told(TlsFiles { client_ca: Some(setup.path("key.pem")), ..setup.files() });
    assert!(said.contains("authorities of clients") && said.contains("no certificate"), "{said}");
    let client_certificates = ClientCertificates::Required;
    let said = told(TlsFiles { client_certificates, ..setup.files() });
    assert!(said.contains("no authority is named"), "{said}");
}

#[tokio::test]
async fn changed_files_are_taken_and_broken_ones_change_nothing() {
    let setup = Setup::new();
    let (listener, tls) = setup.listen(setup.files()).await;
    let certificate = setup.path("cert.pem");
    let first = setup.shown(&listener).await;
    assert_eq!(first, der(&certificate));
    setup.renew();
    let second = der(&certificate);
    soon(async { while setup.shown(&listener).await != second {} }).await;

    for broken in [&b"-----BEGIN CERTIFICATE-----\n"[..], issue(&setup.authority).0.as_bytes()] {
        std::fs::write(&certificate, broken).unwrap();
        tls.reload().unwrap_err();
        assert_eq!(setup.shown(&listener).await, second);
    }
    setup.renew();
    tls.reload().unwrap();
    assert_eq!(setup.shown(&listener).await, der(&certificate));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let setup = Setup::new();
    let tls = Some(Arc::new(Tls::load(setup.files()).unwrap()));
    let limits = Limits { header: Duration::from_millis(150), ..Limits::default() };
    let manner = Manner { tls, ..Manner::default() };
    let listener = Listener::start(loopback(), manner, limits, mirror).await;
    let mut silent = listener.connect().await;
    let begin = Instant::now();
    assert_eq!(soon(rest(&mut silent)).await, "");
    assert!(begin.elapsed().as_millis() >= 130);
}

#[tokio::test]
async fn whoever_speaks_http_without_tls_is_told_so() {
    let setup = Setup::new();
    let (listener, _) = setup.listen(setup.files()).await;
    let mut plain = listener.connect().await;
    plain.write_all(request("/").as_bytes()).await.unwrap();
    let told = soon(rest(&mut plain)).await;
    assert!(told.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{told}");
    assert!(
        told.ends_with(
            "{\"errors\":[\"this listener speaks TLS: write https:// in the address\"]}\n"
        ),
        "{told}"
    );
    setup.connect(&listener, None, rustls::ALL_VERSIONS).await.unwrap();
}

#[tokio::test]
async fn a_stopping_listener_says_that_its_tls_is_over() {
    let setup = Setup::new();
    let (listener, _) = setup.listen(setup.files()).await;
    let mut stream = setup.connect(&listener, None, rustls::ALL_VERSIONS).await.unwrap();
    ask(&mut stream, "/").await;
    let served = listener.stop();
    // Without it this is an error: the stream may have been cut.
    assert_eq!(soon(rest(&mut stream)).await, "");
    drop(stream);
    soon(served).await.unwrap();
}
