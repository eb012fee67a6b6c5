//! What becomes of answers that a real server doesn't give on request: a stub speaks them.

// The lint's exception for tests doesn't reach the functions that tests share.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use usher_address::{ApiPath, Namespace, ServerAddress};
use usher_secret::Secret;
use usher_server::{Certificate, Class, Client, Error, Governor, Login, Reason, Scope, Settings};

const AUTH: &str = r#"{"auth":{"client_token":"hvs.the-token-itself","accessor":"a","lease_duration":60,"renewable":true}}"#;

/// Gives one prepared answer to each connection, in order, and keeps what was asked.
struct Stub {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    async fn answering(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, own) = (Arc::clone(&requests), address.clone());
        let answers: Vec<_> =
            answers.into_iter().map(|answer| answer.replace("{self}", &own)).collect();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                seen.lock().unwrap().push(request);
                if answer == "hang" {
                    // Until the client gives up.
                    let _ = stream.read(&mut [0]).await;
                    continue;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { address, requests }
    }

    fn client(&self) -> Client {
        client(&self.address, |_| {})
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // A TLS handshake has no end that an HTTP server would wait for.
    while request.first() != Some(&0x16) {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if request.len() >= end + 4 + length {
                break;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}

fn client(address: &str, change: impl FnOnce(&mut Settings)) -> Client {
    let mut settings = Settings::new(ServerAddress::parse(address).unwrap());
    settings.timeout = Duration::from_secs(20);
    change(&mut settings);
    Client::new(settings, Governor::new()).unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    )
}

fn login() -> Login {
    Login {
        path: ApiPath::constant("auth/approle/login"),
        body: Secret::new(
            r#"{"role_id":"web","secret_id":"7d5e2a52-ffff-4b0c-aaaa-canary"}"#.into(),
        ),
        headers: Vec::new(),
        certificate: None,
        ca_pem: None,
    }
}

async fn failed_login(client: &Client, login: &Login) -> Error {
    match client.login(&Scope::default(), login).await {
        Ok(_) => panic!("the login succeeded"),
        Err(error) => error,
    }
}

async fn failed_with(answer: String) -> Error {
    let stub = Stub::answering([answer]).await;
    failed_login(&stub.client(), &login()).await
}

#[tokio::test]
async fn a_login_carries_what_the_server_wants_and_no_token() {
    let stub = Stub::answering([answer("200 OK", "", AUTH)]).await;
    let mut login = login();
    login.headers.push(("Authorization".into(), "Negotiate YII=".into()));
    let client = stub.client();
    let (session, auth) = client
        .login(&Scope::new(Namespace::parse("/team").unwrap()), &login)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(auth.token.expose(), "hvs.the-token-itself");
    assert_eq!(session.token().expose(), "hvs.the-token-itself");
    assert_eq!(session.scope().namespace().as_str(), "team/");
    let request = &stub.requests()[0];
    assert!(request.starts_with("PUT /v1/auth/approle/login HTTP/1.1\r\n"), "{request}");
    for header in [
        "x-vault-request: true",
        "x-vault-namespace: team/",
        "user-agent: Usher/",
        "authorization: Negotiate YII=",
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
    assert!(!request.contains("x-vault-token"), "{request}");
    assert!(request.ends_with(login.body.expose()), "{request}");
}

#[tokio::test]
async fn later_requests_carry_token_and_namespace_of_their_session() {
    let wrapped = r#"{"wrap_info":{"token":"hvs.wrapping","ttl":90}}"#;
    let stub = Stub::answering([
        answer("200 OK", "", AUTH),
        answer("200 OK", "", AUTH),
        answer("200 OK", "", wrapped),
        answer("204 No Content", "", ""),
    ])
    .await;
    let client = stub.client();
    let scope = Scope::new(Namespace::parse("team").unwrap());
    let (session, _) = client.login(&scope, &login()).await.unwrap_or_else(|e| panic!("{e}"));
    client.renew_self(&session).await.unwrap_or_else(|e| panic!("{e}"));
    let ttl = Duration::from_secs(90);
    client.wrap(&session, ttl).await.unwrap_or_else(|e| panic!("{e}"));
    client.revoke_self(&session).await.unwrap();
    let requests = stub.requests();
    for request in &requests[1..] {
        assert!(request.contains("x-vault-token: hvs.the-token-itself\r\n"), "{request}");
        assert!(request.contains("x-vault-namespace: team/\r\n"), "{request}");
    }
    assert!(requests[1].starts_with("PUT /v1/auth/token/renew-self "));
    assert!(requests[1].ends_with(r#"{"increment":0}"#));
    assert!(requests[2].contains("x-vault-wrap-ttl: 90s\r\n"));
    assert!(requests[2].ends_with(r#"{"token":"hvs.the-token-itself"}"#));
    assert!(requests[3].starts_with("PUT /v1/auth/token/revoke-self "));
}

#[tokio::test]
async fn a_unix_socket_is_spoken_to_in_plain_http() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bao.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(answer("200 OK", "", AUTH).as_bytes()).await.unwrap();
        request
    });
    let client = client(&format!("unix://{}", path.display()), |_| {});
    client.login(&Scope::default(), &login()).await.unwrap_or_else(|error| panic!("{error}"));
    let request = server.await.unwrap();
    assert!(request.starts_with("PUT /v1/auth/approle/login HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: localhost\r\n"), "{request}");
}

#[tokio::test]
async fn answers_that_are_not_the_servers_are_passing_and_never_quoted() {
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{AUTH}");
    for (answer, why) in [
        (answer("200 OK", "Content-Type: text/html\r\n", "<html>hvs.x</html>"), "web page"),
        (answer("200 OK", "", &AUTH[..AUTH.len() - 2]), "cut short"),
        (answer("200 OK", "", r#"{"auth":null}"#), "holds no token"),
        (answer("204 No Content", "", ""), "empty"),
        (cut, "cut short"),
        (answer("200 OK", "", &" ".repeat(1024 * 1024 + 1)), "larger than 1 MiB"),
    ] {
        let error = failed_with(answer).await;
        assert_eq!((error.class, error.reason), (Class::Passing, Reason::Unreadable), "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(!error.to_string().contains("hvs."), "{error}");
    }
}

#[tokio::test]
async fn no_request_takes_garbage_for_an_answer() {
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{AUTH}");
    let empty = r#"{"auth":{"client_token":""},"wrap_info":{"token":""},"data":null}"#;
    for garbage in [
        answer("200 OK", "Content-Type: text/html\r\n", "<html>hvs.x</html>"),
        answer("200 OK", "", &AUTH[..AUTH.len() - 2]),
        answer("200 OK", "", "{}"),
        answer("200 OK", "", r#"{"auth":7,"wrap_info":[],"data":"text"}"#),
        answer("200 OK", "", empty),
        answer("204 No Content", "", ""),
        cut,
        answer("200 OK", "", &" ".repeat(1024 * 1024 + 1)),
    ] {
        let stub = Stub::answering((0..6).map(|_| garbage.clone())).await;
        let client = stub.client();
        let scope = Scope::default();
        let session = client.session(&scope, Secret::new("hvs.some-token".into()));
        let ttl = Duration::from_mins(1);
        let errors = [
            ("login", client.login(&scope, &login()).await.err()),
            ("wrapped login", client.login_wrapped(&scope, &login(), ttl).await.err()),
            ("renewal", client.renew_self(&session).await.err()),
            ("look-up", client.lookup_self(&session).await.err()),
            ("wrapping", client.wrap(&session, ttl).await.err()),
            // Past the breaker, which is open by now.
            (
                "wrapping look-up",
                stub.client().wrapping_lookup(&scope, session.token()).await.err(),
            ),
        ];
        for (request, error) in errors {
            let error = error.unwrap_or_else(|| panic!("the {request} took {garbage:.80}"));
            assert_eq!(
                (error.class, error.reason),
                (Class::Passing, Reason::Unreadable),
                "{error}"
            );
            assert!(!error.to_string().contains("hvs."), "{error}");
        }
        assert!(client.governor().is_open());
    }
}

#[tokio::test]
async fn a_refusal_that_is_not_in_the_servers_words_says_nothing_of_the_token() {
    for (body, expected) in [
        (r#"{"errors":["permission denied"]}"#, true),
        (r#"{"errors":[]}"#, true),
        ("", true),
        ("<html>Forbidden by the proxy</html>", false),
    ] {
        let stub = Stub::answering([answer("403 Forbidden", "", body)]).await;
        let client = stub.client();
        let session = client.session(&Scope::default(), Secret::new("hvs.some-token".into()));
        let error = client.lookup_self(&session).await.unwrap_err();
        assert_eq!((error.class, error.permission_denied()), (Class::Refused, expected), "{body}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let error = failed_with(format!("{head}{}", chunk.repeat(40))).await;
    assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_passing() {
    for broken in ["", "HTTP/1.1 2", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let error = failed_with(broken.into()).await;
        assert_eq!((error.class, error.reason), (Class::Passing, Reason::Connection), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_the_setting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = failed_login(&client(&address, |_| {}), &login()).await;
    assert_eq!((error.class, error.reason), (Class::Passing, Reason::Connection));
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("vault.address"), "{text}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_passing() {
    let client = client("http://usher-test.invalid:8200", |_| {});
    let error = failed_login(&client, &login()).await;
    assert_eq!((error.class, error.reason), (Class::Passing, Reason::Dns), "{error}");
}

#[tokio::test]
async fn silence_is_a_time_out() {
    let stub = Stub::answering([String::from("hang")]).await;
    let client = client(&stub.address, |settings| settings.timeout = Duration::from_millis(200));
    let error = failed_login(&client, &login()).await;
    assert_eq!((error.class, error.reason), (Class::Passing, Reason::Timeout), "{error}");
}

#[tokio::test]
async fn retry_after_is_handed_on() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let error = failed_with(answer(status, "Retry-After: 17\r\n", "")).await;
        assert_eq!(error.class, Class::Passing);
        assert_eq!(error.retry_after, Some(Duration::from_secs(17)));
    }
}

#[tokio::test]
async fn retry_after_is_handed_on_from_a_page_of_a_proxy_too() {
    let page = "<html><h1>Down for maintenance</h1></html>";
    for (asked, at_least) in [("3600", 3600), ("99999999999999999999", 1 << 40)] {
        let header = format!("Content-Type: text/html\r\nRetry-After: {asked}\r\n");
        let error = failed_with(answer("503 Service Unavailable", &header, page)).await;
        assert_eq!(error.class, Class::Passing);
        assert!(error.retry_after >= Some(Duration::from_secs(at_least)), "{asked}");
    }
}

#[tokio::test]
async fn only_the_servers_own_word_makes_a_token_invalid() {
    let vault =
        r#"{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}"#;
    let openbao = r#"{"errors":["permission denied"]}"#;
    for (body, invalid) in [(vault, true), (openbao, false), ("<html>invalid token", false)] {
        let stub = Stub::answering([answer("403 Forbidden", "", body)]).await;
        let client = stub.client();
        let session = client.session(&Scope::default(), Secret::new("hvs.some-token".into()));
        let error = client.lookup_self(&session).await.unwrap_err();
        assert_eq!(error.class, Class::Refused);
        assert_eq!(error.status, Some(403));
        assert_eq!(error.invalid_token(), invalid, "{error}");
    }
}

#[tokio::test]
async fn a_used_wrapping_token_is_told_from_other_refusals() {
    let used = r#"{"errors":["wrapping token is not valid or does not exist"]}"#;
    for (body, expected) in [(used, true), (r#"{"errors":["bad request"]}"#, false)] {
        let stub = Stub::answering([answer("400 Bad Request", "", body)]).await;
        let error = stub
            .client()
            .unwrap(&Scope::default(), &Secret::new("hvs.wrapping".into()))
            .await
            .err()
            .unwrap();
        assert_eq!((error.class, error.wrapping_used()), (Class::Refused, expected), "{error}");
    }
}

#[tokio::test]
async fn a_credential_that_the_server_echoes_is_not_shown() {
    let body = r#"{"errors":["no such secret id: 7d5e2a52-ffff-4b0c-aaaa-canary"]}"#;
    let error = failed_with(answer("400 Bad Request", "", body)).await;
    assert!(error.to_string().contains("no such secret id: [redacted]"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn one_redirect_within_the_origin_is_followed_with_method_and_body() {
    let redirect = answer("307 Temporary Redirect", "Location: {self}/v1/auth/other/login\r\n", "");
    let stub = Stub::answering([redirect, answer("200 OK", "", AUTH)]).await;
    let (_, auth) = stub
        .client()
        .login(&Scope::default(), &login())
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(auth.lease_duration, Duration::from_mins(1));
    let requests = stub.requests();
    assert!(requests[1].starts_with("PUT /v1/auth/other/login "), "{}", requests[1]);
    assert!(requests[1].ends_with(login().body.expose()));
}

#[tokio::test]
async fn a_second_redirect_is_not_followed() {
    let redirect = || answer("302 Found", "Location: /v1/auth/other/login\r\n", "");
    let stub = Stub::answering([redirect(), redirect()]).await;
    let error = failed_login(&stub.client(), &login()).await;
    assert_eq!((error.class, error.reason), (Class::Passing, Reason::Redirect), "{error}");
    assert_eq!(stub.requests().len(), 2);
}

#[tokio::test]
async fn a_standby_is_followed_to_the_active_node_that_it_names() {
    let active = Stub::answering([answer("200 OK", "", AUTH)]).await;
    let location = format!("Location: {}/v1/auth/approle/login\r\n", active.address);
    let stub = Stub::answering([answer("307 Temporary Redirect", &location, "")]).await;
    let answered = stub.client().login(&Scope::default(), &login()).await;
    assert!(answered.is_ok(), "{:?}", answered.err());
    assert!(active.requests()[0].ends_with(login().body.expose()));
}

#[tokio::test]
async fn an_answer_that_sends_to_a_page_is_told_and_not_followed() {
    for (status, headers, parts) in [
        ("303 See Other", "Location: https://portal.test/login\r\n", &["https://portal.test"][..]),
        ("303 See Other", "Location: {self}/ui/\r\n", &["http://127.0.0.1", "a page"]),
        ("300 Multiple Choices", "", &["300 Multiple Choices"]),
        ("304 Not Modified", "", &["304 Not Modified"]),
    ] {
        let stub = Stub::answering([answer(status, headers, "")]).await;
        let error = failed_login(&stub.client(), &login()).await;
        assert_eq!((error.class, error.reason), (Class::Passing, Reason::Redirect), "{error}");
        for part in parts.iter().chain(&["check vault.address"]) {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        assert_eq!(stub.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_for_the_address_says_what_to_extend() {
    let on =
        |what: &str| format!(r#"{{"errors":["source address \"10.1.2.3\" unauthorized {what}"]}}"#);
    for (status, body, remedy) in [
        (
            "400 Bad Request",
            on("by CIDR restrictions on the role: %!w(<nil>)"),
            "the role's secret_id_bound_cidrs",
        ),
        (
            "400 Bad Request",
            on("through CIDR restrictions on the secret ID"),
            "the secret-id's cidr_list",
        ),
        (
            "403 Forbidden",
            r#"{"errors":["permission denied"]}"#.to_owned(),
            "token_bound_cidrs hold the address",
        ),
    ] {
        let error = failed_with(answer(status, "", &body)).await;
        assert_eq!(error.class, Class::Refused);
        assert!(error.to_string().contains(remedy), "{error}");
    }
    let stub =
        Stub::answering([answer("403 Forbidden", "", r#"{"errors":["permission denied"]}"#)]);
    let stub = stub.await;
    let client = stub.client();
    let session = client.session(&Scope::default(), Secret::new("hvs.some-token".into()));
    let error = client.renew_self(&session).await.err().unwrap();
    assert!(error.to_string().contains("bound to other addresses"), "{error}");
}

#[tokio::test]
async fn headers_and_paths_against_the_rules_are_not_sent() {
    let stub = Stub::answering([]).await;
    let client = stub.client();
    for (name, value) in [
        ("X-Vault-Token", "x"),
        ("x-vault-namespace", "other/"),
        ("Host", "elsewhere"),
        ("content-length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("a b", "x"),
        ("x-good", "a\r\nX-Vault-Token: x"),
    ] {
        let mut login = login();
        login.headers.push((name.into(), value.into()));
        let error = failed_login(&client, &login).await;
        assert_eq!((error.class, error.reason), (Class::Configuration, Reason::Request), "{name}");
    }
    for path in [
        "",
        "/auth/x",
        "auth/../sys/seal",
        "auth/%2e%2E/sys",
        "auth//x",
        "auth/x y",
        "auth/x?y=z",
        "auth/x#y",
    ] {
        let error = Error::from(ApiPath::parse(path).unwrap_err());
        assert_eq!((error.class, error.reason), (Class::Configuration, Reason::Request), "{path}");
    }
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn a_token_with_control_characters_is_not_sent() {
    let stub = Stub::answering([]).await;
    let client = stub.client();
    for token in ["", "hvs.a\nX-Vault-Namespace: b", "hvs.\u{fc}"] {
        let session = client.session(&Scope::default(), Secret::new(token.into()));
        let error = client.lookup_self(&session).await.unwrap_err();
        assert_eq!(error.class, Class::Refused, "{error}");
    }
    assert!(stub.requests().is_empty());
}

#[tokio::test]
async fn five_failures_open_the_breaker_for_all_clones_and_a_success_closes_it() {
    let broken = || answer("500 Internal Server Error", "", "");
    let answers = [broken(), broken(), broken(), broken(), broken(), answer("200 OK", "", AUTH)];
    let stub = Stub::answering(answers).await;
    let client = stub.client();
    for _ in 0..5 {
        assert!(!client.governor().is_open());
        failed_login(&client.clone(), &login()).await;
    }
    assert!(client.governor().is_open());
    client.login(&Scope::default(), &login()).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!client.governor().is_open());
}

#[tokio::test]
async fn refusals_do_not_open_the_breaker() {
    let stub = Stub::answering((0..10).map(|_| answer("403 Forbidden", "", ""))).await;
    let client = stub.client();
    for _ in 0..10 {
        assert_eq!(failed_login(&client, &login()).await.class, Class::Refused);
    }
    assert!(!client.governor().is_open());
}

#[tokio::test]
async fn http_spoken_to_an_https_port_says_what_to_write() {
    let go = "Client sent an HTTP request to an HTTPS server.\n";
    let error = failed_with(answer("400 Bad Request", "", go)).await;
    assert_eq!(error.reason, Reason::Tls);
    assert!(error.to_string().contains("https:// in vault.address"), "{error}");
}

#[tokio::test]
async fn https_spoken_to_an_http_port_says_what_to_write() {
    let stub = Stub::answering([answer("400 Bad Request", "", "")]).await;
    let address = stub.address.replace("http://", "https://");
    let client = client(&address, |settings| settings.tls.skip_verify = true);
    let error = failed_login(&client, &login()).await;
    assert_eq!((error.class, error.reason), (Class::Passing, Reason::Tls), "{error}");
    assert!(error.to_string().contains("doesn't speak TLS"), "{error}");
}

#[tokio::test]
async fn a_missing_authority_file_is_named_and_read_again_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let client =
        client("https://127.0.0.1:1", |settings| settings.tls.ca_cert = Some(path.clone()));
    for content in ["", "nonsense"] {
        if !content.is_empty() {
            std::fs::write(&path, content).unwrap();
        }
        let error = failed_login(&client, &login()).await;
        assert_eq!((error.class, error.reason), (Class::Passing, Reason::TlsFiles), "{error}");
        assert!(error.to_string().contains("vault.ca_cert"), "{error}");
        assert!(error.to_string().contains("ca.pem"), "{error}");
        let early = client.check_files().unwrap_err().to_string();
        assert!(early.contains("vault.ca_cert") && early.contains("ca.pem"), "{early}");
    }
    assert!(!client.governor().is_open());
}

#[tokio::test]
async fn a_methods_certificate_that_can_not_be_used_is_refused_without_showing_the_key() {
    let client = client("https://127.0.0.1:1", |settings| settings.tls.skip_verify = true);
    let login = Login {
        certificate: Some(Certificate {
            chain_pem: "no certificate".into(),
            key_pem: Secret::new("no-key-but-secret".into()),
        }),
        ..login()
    };
    let error = failed_login(&client, &login).await;
    assert_eq!((error.class, error.reason), (Class::Refused, Reason::TlsFiles), "{error}");
    assert!(!error.to_string().contains("no-key-but-secret"), "{error}");
}
