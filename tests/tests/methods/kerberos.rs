//! The built-in `kerberos` method against MIT Kerberos and the method of OpenBao 2.6, whose own agent
//! logs in beside ours.
#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use usher_tests::agent::{Agent, Ended, Launch};
use usher_tests::eventually::eventually_true;
use usher_tests::incumbent::Incumbent;
use usher_tests::kerberos::{ENCTYPES, KerberosSite, Realm, SERVICE};
use usher_tests::leaks::leaks;
use usher_tests::proxy::Fault;

#[test]
fn a_ticket_of_a_real_realm_logs_in() {
    let site = KerberosSite::new();
    let _agent = Agent::start(&site.configuration().text());
    let token = site.wait_for_token();
    let lookup = site.bao.lookup(&token).expect("a valid token");
    assert_eq!(lookup["path"], "auth/kerberos/login");
    assert_eq!(lookup["policies"], json!(["app", "default"]));
    let login = site.proxy.requests(LOGIN).remove(0);
    assert_eq!(login.body, json!({}));
    assert!(authorization(&site).starts_with("Negotiate YI"), "a SPNEGO token");
    assert_eq!(site.realm.issued(), (1, 1), "one exchange of each kind");
}

#[test]
fn each_encryption_type_logs_in_with_a_keytab_that_has_no_other() {
    let site = KerberosSite::new();
    for enctype in ENCTYPES {
        site.realm.change_keys("app", &format!("-e {enctype}:normal"));
        site.realm.change_keys(SERVICE, &format!("-e {enctype}:normal"));
        site.write_keytab(&site.realm.keytab("app"));
        site.trust_service_keytab(&site.realm.keytab(SERVICE));
        let ended = site.log_in_once(|_| {});
        assert_eq!(ended.status, 0, "{enctype}: {ended:?}");
    }
}

#[test]
fn a_principal_that_must_prove_its_key_first_logs_in() {
    let site = KerberosSite::new();
    site.realm.add("strict/host", "+requires_preauth");
    site.write_keytab(&site.realm.keytab("strict/host"));
    for fast in ["false", "true"] {
        let ended = site.log_in_once(|configuration| {
            configuration.method_config =
                configuration.method_config.replace("\"app\"", "\"strict/host\"");
            let setting = format!("\ndisable_fast_negotiation = {fast}");
            configuration.method_config += &setting;
        });
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    assert_eq!(site.realm.issued(), (2, 2));
}

#[test]
fn openbao_agent_and_ours_become_the_same_with_one_configuration() {
    let site = KerberosSite::new();
    let entity = |token: &str| {
        let lookup = site.bao.lookup(token).expect("a valid token");
        assert_eq!(lookup["path"], "auth/kerberos/login");
        (lookup["entity_id"].clone(), lookup["display_name"].clone(), lookup["policies"].clone())
    };
    let text = site.configuration().text();
    let theirs = {
        let _agent = Incumbent::start_2_6(&text);
        entity(&site.wait_for_token())
    };
    let their_token = token(&site);
    std::fs::remove_file(site.file("token")).expect("its token");
    let _agent = Agent::start(&text);
    assert_eq!(entity(&site.wait_for_token()), theirs);
    // Both write the same, but for what is encrypted.
    let our_token = token(&site);
    assert_eq!(outline(&our_token), outline(&their_token));
    let ap_request = |token: &[u8]| {
        let at = token.windows(3).position(|window| window == [1, 0, 0x6e]).expect("an AP-REQ");
        outline(&token[at + 2..])
    };
    // Theirs also gives a version of the session key, which has none (RFC 4120 §5.2.9).
    let theirs = ap_request(&their_token).replace("a4(30(a0(02)a1(02)a2", "a4(30(a0(02)a2");
    assert_eq!(ap_request(&our_token), theirs);
}

#[test]
fn one_changed_byte_of_the_token_is_refused() {
    let site = KerberosSite::new();
    // So that nobody has seen the tokens yet: the server remembers those.
    site.proxy.fail(LOGIN, Fault::Status(503));
    let ended = site.log_in_once(|_| {});
    assert_ne!(ended.status, 0);
    let authorization = authorization(&site);
    let token = token(&site);
    // The last byte is the authenticator's, the other one in the ticket.
    for at in [token.len() - 1, token.len() / 3] {
        let mut changed = token.clone();
        changed[at] ^= 1;
        let answer = present(&site, &format!("Negotiate {}", STANDARD.encode(changed)));
        assert!(!answer.starts_with("HTTP/1.1 200"), "at {at}: {answer}");
    }
    assert!(present(&site, &authorization).starts_with("HTTP/1.1 200"));
    let again = present(&site, &authorization);
    assert!(again.starts_with("HTTP/1.1 401"), "a replay: {again}");
}

#[test]
fn a_ticket_serves_further_logins_while_the_realm_is_down() {
    let mut site = KerberosSite::new();
    let configuration = site.configuration().token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    site.realm.down();
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
    site.bao.revoke(&first);
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
    assert_eq!(site.realm.issued(), (1, 1));
}

#[test]
fn a_new_keytab_brings_a_new_login() {
    let site = KerberosSite::new();
    let _agent = Agent::start(&site.configuration().text());
    let first = site.wait_for_token();
    site.realm.change_keys("app", "");
    site.write_keytab(&site.realm.keytab("app"));
    assert!(site.bao.is_valid(&site.wait_for_token_after(&first)));
}

#[test]
fn what_the_realm_refuses_is_told_with_the_remedy() {
    let site = KerberosSite::new();
    let old = site.realm.keytab("app");
    site.realm.change_keys("app", "");
    site.write_keytab(&old);
    assert_refused(
        &site,
        "an old key",
        &site.log_in_once(|_| {}),
        &[
            "kerberos.wrong-key",
            "(version 1, aes256-cts-hmac-sha1-96 (18)) is refused",
            "export the keytab again",
        ],
    );
    site.realm.change_keys("app", "-e aes128-cts-hmac-sha1-96:normal");
    site.write_keytab(&site.realm.keytab("app"));
    site.realm.change_keys("app", "-e aes256-cts-hmac-sha384-192:normal");
    assert_refused(
        &site,
        "another type",
        &site.log_in_once(|_| {}),
        &[
            "kerberos.enctype",
            "aes128-cts-hmac-sha1-96 (17), and the realm takes aes256-cts-hmac-sha384-192 (20)",
        ],
    );
    site.write_keytab(&site.realm.keytab("app"));
    assert_refused(
        &site,
        "another service",
        &site.log_in_once(|configuration| {
            configuration.method_config =
                configuration.method_config.replace(SERVICE, "HTTP/other.example.org");
        }),
        &[
            "kerberos.unknown-service",
            "no service principal HTTP/other.example.org",
            "KDC_ERR_S_PRINCIPAL_UNKNOWN (7)",
        ],
    );
    site.realm.delete("app");
    assert_refused(
        &site,
        "a deleted principal",
        &site.log_in_once(|_| {}),
        &["kerberos.unknown-principal", "no principal app", "KDC_ERR_C_PRINCIPAL_UNKNOWN (6)"],
    );
    assert_eq!(site.proxy.count(LOGIN), 0, "nothing of it reached the server");
}

#[test]
fn clocks_that_differ_are_told_with_both_times() {
    let site = KerberosSite::of(Realm::start_ahead(3600));
    let ended = site.log_in_once(|_| {});
    assert_refused(
        &site,
        "an hour",
        &ended,
        &["kerberos.clock-skew", "KRB_AP_ERR_SKEW (37)", "the clocks are 3", "here it is", "NTP"],
    );
}

#[test]
fn what_the_server_refuses_is_told_with_the_remedy() {
    let site = KerberosSite::new();
    let old = site.realm.keytab(SERVICE);
    site.realm.change_keys(SERVICE, "");
    assert_refused(
        &site,
        "a server with an old keytab",
        &site.log_in_once(|_| {}),
        &["Unauthorised", "newest keytab of the service"],
    );
    site.trust_service_keytab(&site.realm.keytab(SERVICE));
    assert_eq!(site.log_in_once(|_| {}).status, 0);
    site.trust_service_keytab(&old);
    site.bao.write("sys/auth/kerberos/tune", json!({ "passthrough_request_headers": [] }));
    assert_refused(
        &site,
        "a mount that keeps the header back",
        &site.log_in_once(|_| {}),
        &["authentication required", "passthrough_request_headers=Authorization"],
    );
}

#[test]
fn a_refused_ticket_is_replaced_without_a_restart() {
    let site = KerberosSite::new();
    // The ticket that is kept is for a key that the server hasn't got.
    let new = {
        let old = site.realm.keytab(SERVICE);
        site.realm.change_keys(SERVICE, "");
        let new = site.realm.keytab(SERVICE);
        site.trust_service_keytab(&old);
        new
    };
    let agent = Agent::start(&site.configuration().text());
    agent.wait_for_log("Unauthorised");
    site.trust_service_keytab(&new);
    assert!(site.bao.is_valid(&site.wait_for_token()));
    assert!(site.realm.issued().0 > 1, "the refused ticket was not presented again");
}

#[test]
fn one_of_two_servers_down_costs_a_moment_and_both_down_are_named() {
    let mut site = KerberosSite::new();
    // Nobody listens there.
    let other = 1;
    let both = Realm::krb5_conf_of(&[other, site.realm.port()]);
    std::fs::write(site.file("krb5.conf"), both).expect("a file of the site");
    let ended = site.log_in_once(|_| {});
    assert_eq!(ended.status, 0, "{ended:?}");
    site.realm.down();
    std::fs::remove_file(site.file("token")).expect("the token");
    let agent = Agent::start(&site.configuration().text());
    agent.wait_for_log("kdc.unreachable");
    for port in [other, site.realm.port()] {
        agent.wait_for_log(&format!("127.0.0.1:{port} can't be reached"));
    }
    site.realm.up();
    assert!(site.bao.is_valid(&site.wait_for_token()));
}

#[test]
fn a_realm_without_servers_in_krb5_conf_is_told_and_a_corrected_file_ends_it() {
    let site = KerberosSite::new();
    let good = std::fs::read(site.file("krb5.conf")).expect("a krb5.conf");
    site.write("krb5.conf", "includedir /etc/krb5.conf.d/\n[realms]\n");
    let agent = Agent::start(&site.configuration().text());
    agent.wait_for_log("has no realm EXAMPLE.ORG in its [realms] section");
    agent.wait_for_log("included files are not read");
    std::fs::write(site.file("krb5.conf"), good).expect("a file of the site");
    assert!(site.bao.is_valid(&site.wait_for_token()));
}

#[test]
fn answers_that_are_cut_or_changed_harm_nothing() {
    let site = KerberosSite::new();
    let fault = FaultyKdc::start(site.realm.port());
    std::fs::write(site.file("krb5.conf"), Realm::krb5_conf_of(&[fault.port])).expect("a file");
    for (effect, said) in [
        (CUT_OFF, "broke off before its answer was complete"),
        (SHORTENED, "answered something that is not Kerberos"),
        (MISSHAPEN, "can't be read"),
        (CHANGED, "was changed on its way"),
    ] {
        fault.effect.store(effect, Ordering::Relaxed);
        let ended = site.log_in_once(|_| {});
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.log.contains(said), "{said}: {ended:?}");
    }
    fault.effect.store(NONE, Ordering::Relaxed);
    let ended = site.log_in_once(|_| {});
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn a_bad_keytab_is_named_and_a_good_one_ends_it() {
    let site = KerberosSite::new();
    let good = std::fs::read(site.file("keytab")).expect("a keytab");
    for (content, said) in [
        (&b""[..], "is empty"),
        (b"-----BEGIN", "is no keytab of format 0x0502"),
        (&good[..good.len() - 3], "is no keytab"),
        (
            &site.realm.keytab(SERVICE)[..],
            "has no key of app@EXAMPLE.ORG, but HTTP/vault.example.org@EXAMPLE.ORG",
        ),
    ] {
        std::fs::remove_file(site.file("keytab")).expect("the keytab");
        let _ = std::fs::remove_file(site.file("token"));
        let agent = Agent::start(&site.configuration().text());
        agent.wait_for_log("there is no keytab");
        site.write_keytab(content);
        agent.wait_for_log(said);
        site.write_keytab(&good);
        assert!(site.bao.is_valid(&site.wait_for_token()));
    }
}

#[test]
fn explain_goes_the_whole_way_and_leaves_nothing() {
    let site = KerberosSite::new();
    let explain = || Launch::explain(&site.configuration().text()).run(LIMIT);
    let good = explain();
    let parts = [
        "identity default: kerberos at auth/kerberos",
        "keytab",
        "sends a Kerberos ticket",
        "login           ok",
        "the token is revoked",
    ];
    good.says(0, &parts);
    assert_eq!(leaks(&good.results, &[authorization(&site)]), [""; 0]);
    site.realm.change_keys("app", "");
    explain().says(3, &["export the keytab again"]);
}

/// Panics unless the login was refused and the log has these parts, and no ticket.
#[track_caller]
fn assert_refused(site: &KerberosSite, what: &str, ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.status, 3, "{what}: {ended:?}");
    for part in parts {
        assert!(ended.log.contains(part), "{what} lacks {part:?}: {ended:?}");
    }
    if site.proxy.count(LOGIN) > 0 {
        assert_eq!(leaks(&ended.log, &[authorization(site)]), [""; 0], "{what}");
    }
}

/// The header of the newest login.
fn authorization(site: &KerberosSite) -> String {
    let login = site.proxy.requests(LOGIN).pop().expect("a login");
    let header = login.headers.into_iter().find(|(name, _)| name == "authorization");
    header.expect("a header of the method").1
}

/// The SPNEGO token of the newest login.
fn token(site: &KerberosSite) -> Vec<u8> {
    let authorization = authorization(site);
    let encoded = authorization.strip_prefix("Negotiate ").expect("SPNEGO");
    STANDARD.decode(encoded).expect("Base64")
}

/// Sends a login with this header, past the agent and the proxy.
fn present(site: &KerberosSite, authorization: &str) -> String {
    let authority = site.bao.address().strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(authority).expect("the server");
    let request = format!(
        "PUT /v1/{LOGIN} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: {authorization}\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The tags of a DER value and of all that is inside, without lengths and contents.
fn outline(der: &[u8]) -> String {
    let (start, end) = extent(der);
    let mut text = format!("{:02x}", der[0]);
    if der[0] & 0x20 != 0 {
        let mut content = &der[start..end];
        text.push('(');
        while !content.is_empty() {
            text += &outline(content);
            content = &content[extent(content).1..];
        }
        text.push(')');
    }
    text
}

/// Where the content of the first value begins and ends.
fn extent(der: &[u8]) -> (usize, usize) {
    match usize::from(der[1]) {
        short if short < 0x80 => (2, 2 + short),
        long => {
            let start = 2 + long - 0x80;
            let length = der[2..start].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (start, start + length)
        }
    }
}

/// Between the agent and the realm's server.
struct FaultyKdc {
    port: u16,
    effect: Arc<AtomicUsize>,
}

/// Answers pass as they are.
const NONE: usize = 0;
/// The connection ends in the middle of an answer.
const CUT_OFF: usize = 1;
/// An answer is half of what it should be.
const SHORTENED: usize = 2;
/// The first value in an answer to an AS-REQ has another tag.
const MISSHAPEN: usize = 3;
/// The last byte of an answer to a TGS-REQ is another one.
const CHANGED: usize = 4;

impl FaultyKdc {
    fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let effect = Arc::new(AtomicUsize::new(NONE));
        let shared = Arc::clone(&effect);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that gives up is none of the stand-in's business.
                let _ = Self::pass(stream, upstream, shared.load(Ordering::Relaxed));
            }
        });
        Self { port, effect }
    }

    fn pass(mut client: TcpStream, upstream: u16, effect: usize) -> std::io::Result<()> {
        let request = Self::message(&mut client)?;
        let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
        server.write_all(&Self::framed(&request))?;
        let mut answer = Self::message(&mut server)?;
        match effect {
            CUT_OFF => {
                let framed = Self::framed(&answer);
                return client.write_all(&framed[..framed.len() / 2]);
            }
            SHORTENED => answer.truncate(answer.len() / 2),
            MISSHAPEN if answer[0] == 0x6b => answer[4] = 0x31,
            CHANGED if answer[0] == 0x6d => *answer.last_mut().expect("a byte") ^= 1,
            _ => {}
        }
        client.write_all(&Self::framed(&answer))
    }

    fn message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).expect("32 bits")];
        stream.read_exact(&mut message)?;
        Ok(message)
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("32 bits");
        [&length.to_be_bytes(), message].concat()
    }
}

const LOGIN: &str = "auth/kerberos/login";
const LIMIT: Duration = Duration::from_secs(30);
