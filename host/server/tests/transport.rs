//! What goes over the wire below HTTP: TLS with client certificates, proxies, connections kept and
//! not kept, redirects. A TLS server and a proxy of the test's own see it all.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use usher_address::{ApiPath, OutboundProxy, ServerAddress};
use usher_secret::{Secret, redactor};
use usher_server::{Certificate, Client, Error, Governor, Login, Reason, Scope, Settings};

const AUTH: &str = r#"{"auth":{"client_token":"hvs.the-token-itself","accessor":"a","lease_duration":60,"renewable":true}}"#;

/// An authority that signs the server's certificate and those of clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority of the test");
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap());
        Self(issuer.unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name, with its key.
    fn issue(&self, name: &str) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        Certificate {
            chain_pem: parameters.signed_by(&key, &self.0).unwrap().pem(),
            key_pem: Secret::new(key.serialize_pem()),
        }
    }
}

/// A server over TLS that wants a client certificate, and answers every request with [`AUTH`].
struct TlsServer {
    port: u16,
    /// Of each request: the client's certificate, and what was asked.
    requests: Arc<Mutex<Vec<(CertificateDer<'static>, String)>>>,
}

impl TlsServer {
    async fn start(authority: &Authority, name: &str) -> Self {
        let own = authority.issue(name);
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let chain = CertificateDer::pem_slice_iter(own.chain_pem.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(own.key_pem.expose().as_bytes()).unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(clients);
        let config = config.with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let certificates = stream.get_ref().1.peer_certificates().unwrap();
                    let client = certificates[0].clone().into_owned();
                    while let Some(request) = read_request(&mut stream).await {
                        seen.lock().unwrap().push((client.clone(), request));
                        stream.write_all(answer("200 OK", "", AUTH).as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Self { port, requests }
    }

    fn requests(&self) -> Vec<(CertificateDer<'static>, String)> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers every request with [`AUTH`], in plain HTTP, and keeps the connection.
struct PlainServer {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl PlainServer {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::default(), Arc::default());
        let server = Self { port, connections, requests };
        let (connections, requests) =
            (Arc::clone(&server.connections), Arc::clone(&server.requests));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (requests, answer) = (Arc::clone(&requests), answer.clone());
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut stream).await {
                        requests.lock().unwrap().push(request);
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A proxy that lets in "usher" with the password "p@ss:word" and sends everybody to one port,
/// whatever name they ask for.
struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    while let Some(request) = read_request(&mut client).await {
                        seen.lock().unwrap().push(request.clone());
                        // base64 of "usher:p@ss:word"
                        if !request.contains("Basic dXNoZXI6cEBzczp3b3Jk\r\n") {
                            let refusal = answer("407 Proxy Authentication Required", "", "who?");
                            client.write_all(refusal.as_bytes()).await.unwrap();
                            continue;
                        }
                        let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                        if request.starts_with("CONNECT ") {
                            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                        } else {
                            server.write_all(request.as_bytes()).await.unwrap();
                        }
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                        return;
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// With user and password.
    fn url(&self) -> OutboundProxy {
        outbound(&format!("http://usher:p%40ss%3Aword@{}", self.address))
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A SOCKS5 proxy (RFC 1928, RFC 1929) that lets in "usher" with the password "p@ss:word" and sends
/// everybody to one port, whatever name they ask for.
struct Socks {
    address: String,
    targets: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let targets: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&targets);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let [_, count] = read_array(&mut client).await;
                    let methods = read_bytes(&mut client, count).await;
                    assert!(methods.contains(&2), "{methods:?}");
                    client.write_all(&[5, 2]).await.unwrap();
                    let [_, length] = read_array(&mut client).await;
                    let user = read_bytes(&mut client, length).await;
                    let [length] = read_array(&mut client).await;
                    let password = read_bytes(&mut client, length).await;
                    let let_in = (&user[..], &password[..]) == (b"usher", b"p@ss:word");
                    client.write_all(&[1, u8::from(!let_in)]).await.unwrap();
                    if !let_in {
                        return;
                    }
                    let [_, command, _, kind] = read_array(&mut client).await;
                    // CONNECT, and a name.
                    assert_eq!((command, kind), (1, 3));
                    let [length] = read_array(&mut client).await;
                    let name = String::from_utf8(read_bytes(&mut client, length).await).unwrap();
                    let port = u16::from_be_bytes(read_array(&mut client).await);
                    seen.lock().unwrap().push(format!("{name}:{port}"));
                    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, targets }
    }
}

fn outbound(text: &str) -> OutboundProxy {
    OutboundProxy::parse(text).unwrap()
}

async fn read_array<const LENGTH: usize>(stream: &mut TcpStream) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn read_bytes(stream: &mut TcpStream, length: u8) -> Vec<u8> {
    let mut bytes = vec![0; length.into()];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// `None`: the client is gone.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse::<usize>().unwrap());
            if request.len() >= end + 4 + length {
                return Some(String::from_utf8(request).unwrap());
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn client(address: String, change: impl FnOnce(&mut Settings)) -> Client {
    let mut settings = Settings::new(ServerAddress::parse(&address).unwrap());
    settings.timeout = Duration::from_secs(20);
    change(&mut settings);
    Client::new(settings, Governor::new()).unwrap()
}

fn login() -> Login {
    Login {
        path: ApiPath::constant("auth/cert/login"),
        body: Secret::new("{}".into()),
        headers: Vec::new(),
        certificate: None,
        ca_pem: None,
    }
}

async fn log_in(client: &Client, login: &Login) {
    let result = client.login(&Scope::default(), login).await;
    result.unwrap_or_else(|error| panic!("{error}"));
}

async fn failed_login(client: &Client) -> Error {
    client.login(&Scope::default(), &login()).await.err().unwrap()
}

/// The certificate as the server sees it.
fn der(certificate: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(certificate.chain_pem.as_bytes()).unwrap().into_owned()
}

#[tokio::test]
async fn a_client_certificate_is_shown_from_text_from_files_and_from_the_method() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "localhost").await;
    let address = || format!("https://localhost:{}", server.port);
    let (own, other) = (authority.issue("own"), authority.issue("other"));
    let trusting = |settings: &mut Settings| settings.tls.ca_pem = Some(authority.pem());

    let text = client(address(), |settings| {
        trusting(settings);
        settings.tls.client_pem = Some(own.clone());
        // The texts go before the files.
        settings.tls.client_cert = Some("/nowhere/cert.pem".into());
        settings.tls.client_key = Some("/nowhere/key.pem".into());
    });
    assert!(text.check_files().is_ok());
    log_in(&text, &login()).await;

    let directory = tempfile::tempdir().unwrap();
    let (chain, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&chain, &own.chain_pem).unwrap();
    std::fs::write(&key, own.key_pem.expose()).unwrap();
    let files = client(address(), |settings| {
        trusting(settings);
        settings.tls.client_cert = Some(chain.clone());
        settings.tls.client_key = Some(key.clone());
    });
    log_in(&files, &login()).await;

    // A method's own certificate counts for its login and for all that is done with its token.
    let method = Login { certificate: Some(other.clone()), ..login() };
    let (session, _) =
        files.login(&Scope::default(), &method).await.unwrap_or_else(|e| panic!("{e}"));
    files.renew_self(&session).await.unwrap_or_else(|error| panic!("{error}"));

    let shown: Vec<_> = server.requests().into_iter().map(|(shown, _)| shown).collect();
    assert_eq!(shown, [der(&own), der(&own), der(&other), der(&other)]);
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_says_so_when_there_is_none() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "localhost").await;
    let client = client(format!("https://localhost:{}", server.port), |settings| {
        settings.tls.ca_pem = Some(authority.pem());
    });
    let error = failed_login(&client).await;
    assert_eq!(error.reason, Reason::Tls, "{error}");
    assert!(error.to_string().contains("client_cert"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_as_text_that_can_not_be_used_is_found_early() {
    let client = client("https://localhost:1".into(), |settings| {
        settings.tls.client_pem = Some(Certificate {
            chain_pem: "no certificate".into(),
            key_pem: Secret::new("no-key-but-secret".into()),
        });
    });
    let error = client.check_files().unwrap_err().to_string();
    assert!(error.contains("BAO_CLIENT_CERT_BYTES"), "{error}");
    assert!(!error.contains("no-key-but-secret"), "{error}");
}

#[tokio::test]
async fn the_name_to_expect_may_differ_from_the_address() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "vault.example.org").await;
    let client = client(format!("https://127.0.0.1:{}", server.port), |settings| {
        settings.tls.ca_pem = Some(authority.pem());
        settings.tls.client_pem = Some(authority.issue("own"));
        settings.tls.server_name = Some("vault.example.org".into());
    });
    log_in(&client, &login()).await;
    let host = format!("host: 127.0.0.1:{}\r\n", server.port);
    assert!(server.requests()[0].1.contains(&host), "{:?}", server.requests());
}

#[tokio::test]
async fn an_https_address_is_reached_through_a_tunnel_that_shows_the_proxy_nothing_more() {
    let authority = Authority::new();
    let server = TlsServer::start(&authority, "vault.example.org").await;
    let proxy = Proxy::start(server.port).await;
    let own = authority.issue("own");
    // The name resolves nowhere but at the proxy.
    let client = client("https://vault.example.org:8200".into(), |settings| {
        settings.tls.ca_pem = Some(authority.pem());
        settings.tls.client_pem = Some(own.clone());
        settings.proxy = Some(proxy.url());
    });
    let mut with_header = login();
    with_header.headers.push(("x-secret".into(), "of-the-method".into()));
    log_in(&client, &with_header).await;
    let [head] = &proxy.heads()[..] else { panic!("{:?}", proxy.heads()) };
    assert!(head.starts_with("CONNECT vault.example.org:8200 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nuser-agent: Usher/"), "{head}");
    for secret in ["x-vault", "x-secret", "of-the-method", "auth/cert"] {
        assert!(!head.to_ascii_lowercase().contains(secret), "{head}");
    }
    let [(shown, request)] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
    assert_eq!(*shown, der(&own));
    assert!(request.contains("x-secret: of-the-method\r\n"), "{request}");
    // User and password are the proxy's, not the server's.
    assert!(!request.to_ascii_lowercase().contains("proxy-authorization"), "{request}");
}

#[tokio::test]
async fn requests_to_an_http_address_are_forwarded_whole() {
    let server = PlainServer::start(answer("200 OK", "", AUTH)).await;
    let proxy = Proxy::start(server.port).await;
    let client = client("http://vault.example.org:8200".into(), |settings| {
        settings.proxy = Some(proxy.url());
    });
    log_in(&client, &login()).await;
    let [head] = &proxy.heads()[..] else { panic!("{:?}", proxy.heads()) };
    let first = "PUT http://vault.example.org:8200/v1/auth/cert/login HTTP/1.1\r\n";
    assert!(head.starts_with(first), "{head}");
    assert!(head.contains("host: vault.example.org:8200\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let server = PlainServer::start(answer("200 OK", "", AUTH)).await;
    let proxy = Proxy::start(server.port).await;
    for address in ["http://vault.example.org:8200", "https://vault.example.org:8200"] {
        let wrong = outbound(&format!("http://usher:wrong-password@{}", proxy.address));
        let client = client(address.into(), |settings| {
            settings.tls.skip_verify = true;
            settings.proxy = Some(wrong);
        });
        let error = failed_login(&client).await;
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("the proxy wants a user and a password"), "{shown}");
        assert!(!shown.contains("wrong-password"), "{shown}");
        assert_eq!(redactor::redact("wrong-password"), "[redacted]");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_proxy_that_is_away_is_named_with_the_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let client = client("https://vault.example.org".into(), |settings| {
        settings.tls.skip_verify = true;
        settings.proxy = Some(outbound(&address));
    });
    let error = failed_login(&client).await;
    assert_eq!(error.reason, Reason::Connection);
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("HTTPS_PROXY"), "{text}");
}

#[tokio::test]
async fn a_socks_proxy_leads_to_https_and_http_and_looks_the_name_up() {
    let authority = Authority::new();
    let tls = TlsServer::start(&authority, "vault.example.org").await;
    let plain = PlainServer::start(answer("200 OK", "", AUTH)).await;
    for (scheme, server, port) in [
        ("socks5", "https", tls.port),
        ("socks5h", "https", tls.port),
        ("socks5", "http", plain.port),
    ] {
        let proxy = Socks::start(port).await;
        let client = client(format!("{server}://vault.example.org:8200"), |settings| {
            settings.tls.ca_pem = Some(authority.pem());
            settings.tls.client_pem = Some(authority.issue("own"));
            let url = format!("{scheme}://usher:p%40ss%3Aword@{}", proxy.address);
            settings.proxy = Some(outbound(&url));
        });
        log_in(&client, &login()).await;
        assert_eq!(*proxy.targets.lock().unwrap(), ["vault.example.org:8200"]);
    }
    for request in plain.requests() {
        assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");
    }
}

#[tokio::test]
async fn a_socks_proxy_that_refuses_is_named_without_its_password() {
    let proxy = Socks::start(1).await;
    let client = client("https://vault.example.org".into(), |settings| {
        settings.tls.skip_verify = true;
        let url = format!("socks5://usher:wrong-password@{}", proxy.address);
        settings.proxy = Some(outbound(&url));
    });
    let error = failed_login(&client).await;
    assert_eq!(error.reason, Reason::Connection, "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains(&proxy.address), "{text}");
    assert!(text.contains("the proxy wants a user and a password"), "{text}");
    assert!(!text.contains("wrong-password"), "{text}");
}

#[tokio::test]
async fn the_user_of_an_address_is_sent_to_it_and_to_no_other() {
    let active = PlainServer::start(answer("200 OK", "", AUTH)).await;
    let with_user = |server: &PlainServer| format!("http://u:p%40ss@127.0.0.1:{}", server.port);
    let own = |request: &str| request.contains("authorization: Basic dTpwQHNz\r\n");

    let direct = client(with_user(&active), |_| {});
    let (session, _) =
        direct.login(&Scope::default(), &login()).await.unwrap_or_else(|e| panic!("{e}"));
    direct.renew_self(&session).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(active.requests().iter().all(|request| own(request)), "{:?}", active.requests());
    assert_eq!(direct.address().to_string(), active.address());

    // The method's own header goes before it.
    let mut negotiating = login();
    negotiating.headers.push(("Authorization".into(), "Negotiate abc".into()));
    log_in(&direct, &negotiating).await;
    let last = active.requests().pop().unwrap();
    assert!(last.contains("authorization: Negotiate abc\r\n") && !own(&last), "{last}");

    // A standby's redirect leads to where nobody asked for it.
    let location = format!("Location: {}/v1/auth/cert/login\r\n", active.address());
    let standby = PlainServer::start(answer("307 Temporary Redirect", &location, "")).await;
    log_in(&client(with_user(&standby), |_| {}), &login()).await;
    assert!(own(&standby.requests()[0]), "{:?}", standby.requests());
    let last = active.requests().pop().unwrap();
    assert!(!last.to_ascii_lowercase().contains("authorization"), "{last}");
}

#[tokio::test]
async fn the_certificate_that_openssl_makes_is_trusted_if_it_is_given() {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = parameters.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![own.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            while read_request(&mut stream).await.is_some() {
                stream.write_all(answer("200 OK", "", AUTH).as_bytes()).await.unwrap();
            }
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("of/the/site");
    std::fs::create_dir_all(&below).unwrap();
    let file = below.join("server.pem");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&file, format!("{broken}{}", own.pem())).unwrap();
    std::fs::write(directory.path().join("README"), "of the site").unwrap();
    let address = || format!("https://localhost:{port}");
    let ways: [fn(&mut Settings, &Path, &Path); 3] = [
        |settings, _, file| settings.tls.ca_cert = Some(file.into()),
        |settings, _, file| settings.tls.ca_path = Some(file.into()),
        |settings, directory, _| settings.tls.ca_path = Some(directory.into()),
    ];
    for set in ways {
        let client = client(address(), |settings| set(settings, directory.path(), &file));
        let [warning] = &client.check_files().unwrap()[..] else { panic!("one is broken") };
        assert!(warning.contains("certificate 1 (line 1)"), "{warning}");
        assert!(warning.contains(&file.display().to_string()), "{warning}");
        log_in(&client, &login()).await;
    }
    // Another one of the same kind is not it.
    let other = Authority::new();
    let strange = client(address(), |settings| settings.tls.ca_pem = Some(other.pem()));
    let error = failed_login(&strange).await;
    assert_eq!(error.reason, Reason::Tls, "{error}");
    let text = error.to_string();
    assert!(text.contains("CA:TRUE") && text.contains("vault.ca_cert"), "{text}");
    assert!(!text.contains("CaUsedAsEndEntity"), "{text}");
}

#[tokio::test]
async fn what_can_not_be_trusted_is_said_before_the_first_connection() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let (own, other) = (Authority::new().issue("own"), Authority::new().issue("other"));
    let early = |change: &dyn Fn(&mut Settings)| {
        let client = client("https://localhost:1".into(), |settings| change(settings));
        client.check_files().map(|_| ()).unwrap_err().to_string()
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, said) in [("", "no certificate in PEM form"), (broken, "certificate 1 (line 1)")] {
        std::fs::write(&path, text).unwrap();
        let ways: [fn(&mut Settings, &Path); 2] = [
            |settings, path| settings.tls.ca_cert = Some(path.into()),
            |settings, path| settings.tls.ca_path = Some(path.into()),
        ];
        for set in ways {
            let error = early(&|settings| set(settings, &path));
            assert!(error.contains(said), "{said}: {error}");
        }
    }
    let error = early(&|settings| settings.tls.ca_cert = Some(directory.path().into()));
    assert!(error.contains("vault.ca_path"), "{error}");
    let error = early(&|settings| settings.tls.ca_path = Some("/nowhere/ca".into()));
    assert!(error.contains("/nowhere/ca"), "{error}");
    let error = early(&|settings| {
        settings.tls.client_pem =
            Some(Certificate { chain_pem: own.chain_pem.clone(), key_pem: other.key_pem.clone() });
    });
    assert!(error.contains("don't belong together"), "{error}");
}

#[tokio::test]
async fn a_unix_socket_is_spoken_to_past_the_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bao.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await.unwrap();
        stream.write_all(answer("200 OK", "", AUTH).as_bytes()).await.unwrap();
        request
    });
    let proxy = Proxy::start(1).await;
    let client = client(format!("unix://{}", path.display()), |settings| {
        settings.proxy = Some(proxy.url());
    });
    log_in(&client, &login()).await;
    let request = server.await.unwrap();
    assert!(request.starts_with("PUT /v1/auth/cert/login "), "{request}");
    assert!(!request.to_ascii_lowercase().contains("proxy"), "{request}");
    assert!(proxy.heads().is_empty());
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_unless_that_is_disabled() {
    for (idle, keep_alives, connections) in
        [(false, false, 1), (true, false, 3), (false, true, 3), (true, true, 3)]
    {
        let server = PlainServer::start(answer("200 OK", "", AUTH)).await;
        let client = client(server.address(), |settings| {
            settings.disable_idle_connections = idle;
            settings.disable_keep_alives = keep_alives;
        });
        for _ in 0..3 {
            log_in(&client, &login()).await;
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), connections, "{idle} {keep_alives}");
        for request in server.requests() {
            assert_eq!(request.contains("connection: close\r\n"), keep_alives, "{request}");
        }
    }
}

#[tokio::test]
async fn no_redirect_is_followed_when_redirects_are_disabled() {
    let active = PlainServer::start(answer("200 OK", "", AUTH)).await;
    let location = format!("Location: {}/v1/auth/cert/login\r\n", active.address());
    let standby = PlainServer::start(answer("307 Temporary Redirect", &location, "")).await;
    let client = client(standby.address(), |settings| settings.disable_redirects = true);
    let error = failed_login(&client).await;
    assert_eq!((error.reason, error.status), (Reason::Redirect, Some(307)), "{error}");
    let text = error.to_string();
    assert!(text.contains(&active.address()) && text.contains("DISABLE_REDIRECTS"), "{text}");
    assert!(active.requests().is_empty());
}

#[tokio::test]
async fn a_rate_limit_holds_requests_back() {
    let server = PlainServer::start(answer("200 OK", "", AUTH)).await;
    let governor = Governor::with_rate_limit(0.01, 2);
    let address = ServerAddress::parse(&server.address()).unwrap();
    let client = Client::new(Settings::new(address), governor).unwrap();
    log_in(&client, &login()).await;
    log_in(&client, &login()).await;
    // The third has to wait for 100 s.
    let login = login();
    let third = log_in(&client, &login);
    assert!(tokio::time::timeout(Duration::from_millis(300), third).await.is_err());
    assert_eq!(server.requests().len(), 2);
}
