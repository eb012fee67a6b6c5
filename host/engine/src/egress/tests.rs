//! Which requests leave, against servers on loopback.

use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use usher_grant::Surroundings;

use super::*;

async fn server(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

fn grant(targets: &[String]) -> Grant {
    let needs = targets.iter().map(|target| ("connect".to_owned(), target.clone())).collect();
    let surroundings =
        Surroundings { working_directory: Path::new("/"), home: None, environment: &|_| None };
    Grant::decide("acme", needs, None, &surroundings).unwrap()
}

fn get(url: String) -> Request {
    Request {
        method: "GET".into(),
        url,
        headers: Vec::new(),
        body: Zeroizing::default(),
        timeout: Some(Duration::from_secs(2)),
        tls: None,
    }
}

async fn code(grant: &Grant, url: String) -> Result<u16, String> {
    Arc::new(Egress::default())
        .send("acme", grant, get(url))
        .await
        .map(|response| response.status)
        .map_err(|failure| failure.code)
}

#[tokio::test]
async fn no_half_of_a_secret_stands_in_what_is_shown_of_a_url_or_a_method() {
    let secret =
        "a-secret-that-is-longer-than-what-is-shown-of-a-url-and-begins-within-that-part-of-it";
    let _live = usher_secret::redactor::keep_text_out_of_logs(secret);
    let granted = grant(&["http://127.0.0.1:1".to_owned()]);
    for request in [
        get(format!("no URL: {secret}")),
        Request { method: format!("no method: {secret}"), ..get("http://127.0.0.1:1/".into()) },
    ] {
        let failure = Egress::default().send("acme", &granted, request).await.err().unwrap();
        assert!(failure.message.contains("[redacted]"), "{failure}");
        assert!(!failure.message.contains("a-secret"), "{failure}");
    }
}

#[tokio::test]
async fn only_granted_origins_are_reached() {
    let port = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    let granted = grant(&[format!("http://127.0.0.1:{port}")]);
    assert_eq!(code(&granted, format!("http://127.0.0.1:{port}/x")).await, Ok(204));
    assert_eq!(
        code(&granted, format!("http://localhost:{port}/x")).await,
        Err("grant.missing".into())
    );
    assert_eq!(
        code(&Grant::default(), format!("http://127.0.0.1:{port}/x")).await,
        Err("grant.missing".into())
    );
}

#[tokio::test]
async fn a_name_that_leads_to_loopback_is_no_way_around() {
    let port = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(
        code(&grant(&[format!("http://localhost:{port}")]), format!("http://localhost:{port}/"))
            .await,
        Ok(204)
    );
    // Resolves to loopback by convention (RFC 6761), but isn't named `localhost` in the grant.
    let sneaky = format!("http://ip6-localhost:{port}");
    let refused =
        code(&grant(std::slice::from_ref(&sneaky)), format!("{sneaky}/")).await.unwrap_err();
    assert!(["grant.missing", "http.dns"].contains(&refused.as_str()), "{refused}");
}

#[tokio::test]
async fn a_redirect_is_returned_not_followed() {
    let port = server(
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(
        code(&grant(&[format!("http://127.0.0.1:{port}")]), format!("http://127.0.0.1:{port}/"))
            .await,
        Ok(302)
    );
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    assert_eq!(
        code(&grant(&[format!("http://127.0.0.1:{port}")]), format!("http://127.0.0.1:{port}/"))
            .await,
        Err("http.too-large".into())
    );
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let port = { TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port() };
    assert_eq!(
        code(&grant(&[format!("http://127.0.0.1:{port}")]), format!("http://127.0.0.1:{port}/"))
            .await,
        Err("http.connect".into())
    );
}

#[tokio::test]
async fn connection_headers_are_refused() {
    let mut request = get("http://127.0.0.1:9/".into());
    request.headers.push(("Transfer-Encoding".into(), "chunked".into()));
    let failure = Egress::default()
        .send("acme", &grant(&["http://127.0.0.1:9".into()]), request)
        .await
        .err()
        .unwrap();
    assert_eq!(failure.code, "http.header");
}

/// A certificate for `localhost` as `openssl req -x509` makes it: an authority's own.
fn made_by_openssl() -> (rcgen::Certificate, rcgen::KeyPair) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (parameters.self_signed(&key).unwrap(), key)
}

async fn tls_server(certificate: &rcgen::Certificate, key: &rcgen::KeyPair) -> u16 {
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    port
}

async fn over_tls(port: u16, ca_pem: Option<String>) -> Result<u16, Failure> {
    let origin = format!("https://localhost:{port}");
    let tls = Some(Tls { ca_pem, certificate_pem: None, key_pem: None });
    let request = Request { tls, ..get(format!("{origin}/")) };
    let answer = Egress::default().send("acme", &grant(&[origin]), request).await;
    answer.map(|response| response.status)
}

#[tokio::test]
async fn requests_with_a_client_certificate_share_what_the_platform_trusts() {
    let (certificate, key) = made_by_openssl();
    let port = tls_server(&certificate, &key).await;
    let origin = format!("https://localhost:{port}");
    let mut platform = Authorities::default();
    platform.add_pem("the platform's", certificate.pem().as_bytes());
    let egress = Egress::default();
    assert!(egress.platform.set(platform).is_ok());
    for _ in 0..2 {
        let tls = Some(Tls {
            ca_pem: None,
            certificate_pem: Some(certificate.pem()),
            key_pem: Some(Zeroizing::new(key.serialize_pem())),
        });
        let request = Request { tls, ..get(format!("{origin}/")) };
        let answer = egress.send("acme", &grant(std::slice::from_ref(&origin)), request).await;
        // It is trusted only by what was read before.
        assert_eq!(answer.ok().map(|response| response.status), Some(204));
    }
}

#[tokio::test]
async fn a_certificate_that_a_plug_in_trusts_is_taken_whatever_it_says_of_itself() {
    let (certificate, key) = made_by_openssl();
    let port = tls_server(&certificate, &key).await;
    assert_eq!(over_tls(port, Some(certificate.pem())).await.ok(), Some(204));
    // A broken one among good ones spoils nothing.
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let both = format!("{broken}{}", certificate.pem());
    assert_eq!(over_tls(port, Some(both)).await.ok(), Some(204));

    let (other, _) = made_by_openssl();
    let failure = over_tls(port, Some(other.pem())).await.unwrap_err();
    assert_eq!(failure.code, "http.tls", "{}", failure.message);
    assert!(failure.message.contains("CA:TRUE"), "{}", failure.message);
    assert!(!failure.message.contains("CaUsedAsEndEntity"), "{}", failure.message);

    let failure = over_tls(port, Some(broken.to_owned())).await.unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Config, "http.tls"));
    assert!(failure.message.contains("certificate 1 (line 1)"), "{}", failure.message);
}

#[tokio::test]
async fn a_password_in_a_url_is_not_shown() {
    for url in ["http://u:hunter2@[/", "u:hunter2@host", "ftp://u:hunter2@host"] {
        let failure =
            Egress::default().send("acme", &Grant::default(), get(url.into())).await.err().unwrap();
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    }
}
