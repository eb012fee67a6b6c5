//! The API proxy in front of a real server: whose token goes along, and what happens while there is none
//! or when it is revoked.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::api_client::{ApiClient, Request};
use usher_tests::eventually::{always, eventually, eventually_true};
use usher_tests::listeners::{PASSWORD, ProxiedSite, api_proxy, configuration, site, socket, unix};
use usher_tests::openbao::text;
use usher_tests::proxy::Fault;
use usher_tests::site::{Site, delivered, file_sink};
use usher_tests::upstream::Upstream;

const LIMIT: Duration = Duration::from_secs(30);

const SECRET: &str = "/v1/secret/data/app";
const FORBIDDEN: &str = "/v1/secret/data/other";
const LOOKUP: &str = "/v1/auth/token/lookup-self";

/// A header of each request that reached the server with this path.
fn sent(site: &Site, path: &str, header: &str) -> Vec<Option<String>> {
    let value = |headers: Vec<(String, String)>| {
        headers.into_iter().find(|(name, _)| name == header).map(|(_, value)| value)
    };
    site.proxy.requests(path).into_iter().map(|exchange| value(exchange.headers)).collect()
}

/// A token of the caller's own, which may read the secret.
fn own_token(site: &Site) -> String {
    let token = site.bao.write("auth/token/create", json!({ "policies": ["app"], "ttl": "1h" }));
    text(&token["auth"]["client_token"])
}

#[test]
fn a_caller_without_token_acts_with_the_agents() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    for request in [Request::get(SECRET), Request::get(SECRET).token("")] {
        let reply = client.send(&request);
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json()["data"]["data"]["password"], PASSWORD);
    }
    let token = site.token();
    assert_eq!(sent(&site, SECRET, "x-vault-token"), [token.clone(), token]);
}

#[test]
fn a_caller_without_token_has_none_unless_the_configuration_lends_it() {
    for settings in ["use_auto_auth_token = false", ""] {
        let ProxiedSite { agent: _agent, client, site } = ProxiedSite::start(settings);
        let reply = client.get(SECRET);
        assert_eq!(reply.status, 403, "{reply:?}");
        let own = own_token(&site);
        assert_eq!(client.get_as(&own, SECRET).status, 200);
        assert_eq!(sent(&site, SECRET, "x-vault-token"), [None, Some(own)]);
    }
}

#[test]
fn a_callers_own_token_is_kept() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let own = own_token(&site);
    let reply = client.get_as(&own, LOOKUP);
    assert_eq!(reply.json()["data"]["id"], own.as_str(), "{reply:?}");
    // One that is none is the caller's own as well: the agent's doesn't step in.
    assert_eq!(client.get_as("s.none", SECRET).status, 403);
    assert_eq!(sent(&site, SECRET, "x-vault-token"), [Some("s.none".to_owned())]);
}

#[test]
fn a_bearer_is_the_callers_own_token() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let own = own_token(&site);
    let bearer = |token: &str, target| {
        client.send(&Request::get(target).header("Authorization", &format!("Bearer {token}")))
    };
    assert_eq!(bearer(&own, LOOKUP).json()["data"]["id"], own.as_str());
    assert_eq!(bearer("s.none", SECRET).status, 403);
    assert_eq!(sent(&site, SECRET, "x-vault-token"), [None::<String>]);
    assert_eq!(sent(&site, SECRET, "authorization"), [Some("Bearer s.none".to_owned())]);
    // Another scheme is no token.
    let basic = Request::get(SECRET).header("Authorization", "Basic dXNlcjpwYXNz");
    assert_eq!(client.send(&basic).status, 200);
}

#[test]
fn force_lets_nobody_bring_a_token() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = \"force\"");
    let own = own_token(&site);
    let bearer = format!("Bearer {own}");
    for request in [
        Request::get(SECRET),
        Request::get(SECRET).token(&own),
        Request::get(SECRET).token("s.none"),
        Request::get(SECRET).header("Authorization", &bearer),
        Request::get(SECRET).header("Authorization", &bearer).token(&own),
    ] {
        let reply = client.send(&request);
        assert_eq!(reply.status, 200, "{request:?}: {reply:?}");
    }
    assert_eq!(sent(&site, SECRET, "x-vault-token"), vec![site.token(); 5]);
    assert_eq!(sent(&site, SECRET, "authorization"), vec![None::<String>; 5]);
}

#[test]
fn each_listener_lends_the_token_of_its_identity() {
    let site = site();
    let mut web = site.configuration();
    web.sinks = vec![file_sink(&site.file("web-token"))];
    let web_socket = site.file("web.sock");
    let listener = unix(&web_socket, "identity = \"web\"");
    let blocks = api_proxy("use_auto_auth_token = true") + &listener;
    let text = configuration(&site, &blocks).text() + &web.identity("identity \"web\"");
    let _agent = Agent::start(&text);
    let ours = site.wait_for_token();
    let webs = eventually("the other token", LIMIT, || delivered(&site.file("web-token")));
    for path in [socket(&site), web_socket] {
        let client = ApiClient::unix(&path);
        client.wait_until_open();
        assert_eq!(client.get(SECRET).status, 200);
    }
    assert_eq!(sent(&site, SECRET, "x-vault-token"), [Some(ours), Some(webs)]);
}

#[test]
fn the_first_login_is_waited_for() {
    let site = site();
    site.proxy.fail_times("auth/approle/login", Fault::Status(503), 2);
    let configuration = configuration(&site, &api_proxy("use_auto_auth_token = true"));
    let _agent = Agent::start(&configuration.text());
    let client = ApiClient::unix(&socket(&site));
    client.wait_until_open();
    let reply = client.get(SECRET);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(sent(&site, SECRET, "x-vault-token"), [Some(site.wait_for_token())]);
}

#[test]
fn without_a_login_nothing_is_forwarded_but_what_needs_none() {
    let site = site();
    let good = site.login_body();
    // A wrong one would have the server lock the role.
    std::fs::remove_file(site.file("secret-id")).unwrap();
    let configuration = configuration(&site, &api_proxy("use_auto_auth_token = true"));
    let _agent = Agent::start(&configuration.text());
    let client = ApiClient::unix(&socket(&site));
    client.wait_until_open();

    let started = Instant::now();
    let reply = client.get(SECRET);
    assert_eq!(reply.status, 503, "{reply:?}");
    reply.errors();
    let retry_after = reply.header("retry-after").and_then(|after| after.parse::<u32>().ok());
    assert!(retry_after.is_some_and(|after| after >= 1), "{reply:?}");
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(15), "{waited:?}");
    assert_eq!(site.proxy.count(SECRET), 0, "nothing went to the server");

    let wrapped = site.bao.wrapped("sys/wrapping/wrap", &json!({ "a": "b" }));
    let own = own_token(&site);
    for (request, status) in [
        (Request::get("/v1/sys/health"), 200),
        (Request::get("/v1/sys/seal-status"), 200),
        (Request::new("POST", "/v1/auth/approle/login").json(&good), 200),
        (Request::new("POST", "/v1/sys/wrapping/lookup").json(&json!({ "token": wrapped })), 200),
        (Request::new("POST", "/v1/sys/wrapping/unwrap").token(&wrapped), 200),
        (Request::get(SECRET).token(&own), 200),
        (Request::get(SECRET).header("Authorization", &format!("Bearer {own}")), 200),
    ] {
        let started = Instant::now();
        let reply = client.send(&request);
        assert_eq!(reply.status, status, "{request:?}: {reply:?}");
        assert!(started.elapsed() < Duration::from_secs(2), "{request:?}: {:?}", started.elapsed());
    }
}

#[test]
fn a_read_with_a_revoked_token_is_answered_after_a_new_login() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let first = site.wait_for_token();
    assert_eq!(client.get(SECRET).status, 200);
    site.bao.revoke(&first);
    let reply = client.get(SECRET);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["data"]["data"]["password"], PASSWORD);
    let second = site.wait_for_token_after(&first);
    assert_eq!(site.login_attempts(), 2);
    let tokens = [Some(first.clone()), Some(first), Some(second)];
    assert_eq!(sent(&site, SECRET, "x-vault-token"), tokens);
}

#[test]
fn a_write_with_a_revoked_token_is_never_sent_twice() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let first = site.wait_for_token();
    let write = || client.post("/v1/secret/data/write/one", &json!({ "data": { "a": "b" } }));
    assert_eq!(write().status, 200);
    site.bao.revoke(&first);
    let reply = write();
    assert_eq!(reply.status, 403, "{reply:?}");
    assert_eq!(site.proxy.count("secret/data/write/one"), 2);
    site.wait_for_token_after(&first);
    assert_eq!(write().status, 200);
    assert_eq!(site.proxy.count("secret/data/write/one"), 3);
}

#[test]
fn what_is_forbidden_costs_neither_a_login_nor_a_look_each() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let token = site.wait_for_token();
    let started = Instant::now();
    for _ in 0..40 {
        assert_eq!(client.get(FORBIDDEN).status, 403);
    }
    // The one after the login, one for the first refusal, and one for each five seconds.
    let most = 3 + usize::try_from(started.elapsed().as_secs() / 5).unwrap();
    let looks = site.proxy.count("lookup-self");
    assert!(looks <= most, "{looks} looks in {:?}", started.elapsed());
    always("the token stays", Duration::from_secs(1), || site.token().as_ref() == Some(&token));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn who_is_refused_while_the_token_is_looked_up_does_not_wait_for_the_next_look() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    site.wait_for_token();
    let looks = || site.proxy.requests("lookup-self");
    eventually_true("the look after the login", LIMIT, || {
        looks().first().is_some_and(|look| look.status == Some(200))
    });
    site.proxy.fail("lookup-self", Fault::LateAnswer(Duration::from_secs(1)));
    let (before, started) = (looks().len(), Instant::now());
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.get(FORBIDDEN).status);
        eventually_true("the look for the first", LIMIT, || looks().len() > before);
        let others = [(); 4].map(|()| scope.spawn(|| client.get(FORBIDDEN).status));
        for refused in others.into_iter().chain([first]) {
            assert_eq!(refused.join().unwrap(), 403);
        }
    });
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn a_callers_revoked_token_is_the_callers_affair() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let token = site.wait_for_token();
    let own = own_token(&site);
    site.bao.revoke(&own);
    assert_eq!(client.get_as(&own, SECRET).status, 403);
    always("the agent's token stays", Duration::from_secs(1), || {
        site.token().as_ref() == Some(&token)
    });
    assert_eq!(site.proxy.count(SECRET), 1, "not repeated");
    assert!(site.proxy.count("lookup-self") <= 1, "none but the one after the login");
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn a_revoked_token_costs_a_hundred_readers_one_failure_each_at_most_and_one_login() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let first = site.wait_for_token();
    let readers: Vec<(AtomicUsize, AtomicUsize)> =
        (0..100).map(|_| (AtomicUsize::new(0), AtomicUsize::new(0))).collect();
    let is_over = AtomicBool::new(false);
    let reads_of_each = |least: usize| {
        let reached = || readers.iter().all(|(good, _)| good.load(Ordering::SeqCst) >= least);
        eventually("reads of each", Duration::from_mins(2), || {
            (reached() || is_over.load(Ordering::SeqCst)).then_some(())
        });
    };
    std::thread::scope(|scope| {
        let (client, is_over) = (&client, &is_over);
        for (good, bad) in &readers {
            scope.spawn(move || {
                let mut talk = client.connect().unwrap();
                while !is_over.load(Ordering::SeqCst) {
                    let status = talk.ask(&Request::get(SECRET)).map(|reply| reply.status);
                    if status.is_err() {
                        talk = client.connect().unwrap();
                    }
                    let count = if status.is_ok_and(|status| status == 200) { good } else { bad };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _over = Over(is_over);
        reads_of_each(2);
        site.bao.revoke(&first);
        site.wait_for_token_after(&first);
        let so_far = readers.iter().map(|(good, _)| good.load(Ordering::SeqCst)).max();
        reads_of_each(so_far.unwrap() + 2);
    });
    let failures: Vec<usize> = readers.iter().map(|(_, bad)| bad.load(Ordering::SeqCst)).collect();
    assert!(failures.iter().all(|failures| *failures <= 1), "{failures:?}");
    assert_eq!(site.login_attempts(), 2);
    assert_eq!(site.bao.living_approle_tokens(), 1);
}

/// Ends the readers also when a wait fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn without_an_identity_callers_bring_their_tokens() {
    let site = site();
    let file = format!(
        "vault {{\n  address = \"{}\"\n}}\n{}",
        site.proxy.address(),
        unix(&socket(&site), "")
    );
    let agent = Agent::start(&file);
    let client = ApiClient::unix(&socket(&site));
    client.wait_until_open();
    let own = own_token(&site);
    assert_eq!(client.get_as(&own, SECRET).json()["data"]["data"]["password"], PASSWORD);
    assert_eq!(client.get(SECRET).status, 403);
    // As the CSI provider does it: a login through the agent, and reads with what it gave.
    let login = client.post("/v1/auth/approle/login", &site.login_body());
    let token = text(&login.json()["auth"]["client_token"]);
    assert_eq!(client.get_as(&token, SECRET).status, 200);
    assert_eq!(client.get("/v1/sys/health").status, 200);
    let tokens = [Some(own), None, Some(token)];
    assert_eq!(sent(&site, SECRET, "x-vault-token"), tokens);
    agent.stop();
}

#[test]
fn the_agents_token_is_kept_back_where_an_answer_would_tell_it() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let token = site.wait_for_token();
    let accessor = text(&site.bao.lookup(&token).unwrap()["accessor"]);
    let own = own_token(&site);
    let post = |target: &str, body| client.post(target, &body);
    for reply in [
        client.get(LOOKUP),
        post("/v1/auth/token/lookup", json!({})),
        post("/v1/auth/token/lookup", json!({ "token": "" })),
        post("/v1/auth/token/lookup", json!({ "token": token })),
        post("/v1/auth/token/renew-self", json!({ "increment": 0 })),
        post("/v1/auth/token/renew", json!({ "token": token })),
    ] {
        assert_eq!(reply.status, 200, "{reply:?}");
        let answer = reply.json();
        let is_renewal = answer["auth"].is_object();
        assert!(is_renewal || answer["data"]["ttl"].is_number(), "the rest is there: {reply:?}");
        assert!(!reply.text().contains(&token), "{reply:?}");
        assert!(!reply.text().contains(&accessor), "{reply:?}");
        if is_renewal {
            assert_eq!(answer["auth"]["client_token"], "", "{reply:?}");
            assert_eq!(answer["auth"]["accessor"], "", "{reply:?}");
        } else {
            assert!(answer["data"].get("id").is_none(), "{reply:?}");
            assert!(answer["data"].get("accessor").is_none(), "{reply:?}");
        }
    }
    // What is another's is shown.
    for reply in
        [client.get_as(&own, LOOKUP), post("/v1/auth/token/lookup", json!({ "token": own }))]
    {
        assert_eq!(reply.json()["data"]["id"], own.as_str(), "{reply:?}");
    }
    for reply in [
        client.send(&Request::new("POST", "/v1/auth/token/renew-self").token(&own)),
        post("/v1/auth/token/renew", json!({ "token": own })),
    ] {
        assert_eq!(reply.json()["auth"]["client_token"], own.as_str(), "{reply:?}");
    }
}

#[test]
fn neither_another_spelling_nor_wrapping_gets_the_agents_token() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let token = site.wait_for_token();
    for target in [
        "/v1/auth/token/lookup%2Dself",
        "/v1/auth%2ftoken/%6cookup-self",
        "/v1//auth//token//lookup-self",
        "/v1/auth/./token/x/../lookup-self",
        "/v1/auth/token/lookup-self/",
    ] {
        let reply = client.get(target);
        assert!(!reply.text().contains(&token), "{target}: {reply:?}");
    }
    let reply = client.send(&Request::get(LOOKUP).header("X-Vault-Wrap-TTL", "5m"));
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.errors().contains("wrapped"), "{reply:?}");
    // Of his own token the caller may have it.
    let own = own_token(&site);
    let wrapping = Request::get(LOOKUP).token(&own).header("X-Vault-Wrap-TTL", "5m");
    assert!(client.send(&wrapping).json()["wrap_info"]["token"].is_string());
}

#[test]
fn wrapping_goes_through() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    let reply = client.send(&Request::get(SECRET).header("X-Vault-Wrap-TTL", "5m"));
    let token = text(&reply.json()["wrap_info"]["token"]);
    assert!(site.bao.is_wrapped(&token));
    let unwrapped = client.send(&Request::new("POST", "/v1/sys/wrapping/unwrap").token(&token));
    assert_eq!(unwrapped.json()["data"]["data"]["password"], PASSWORD);
}

#[test]
fn requests_leave_no_line_in_the_log() {
    let site = site();
    let configuration = configuration(&site, &api_proxy("use_auto_auth_token = true"));
    let agent = Launch::agent_at(&configuration.text(), "info").start();
    site.wait_for_token();
    let client = ApiClient::unix(&socket(&site));
    client.wait_until_open();
    assert_eq!(client.get(SECRET).status, 200);
    let before = agent.log();
    for _ in 0..50 {
        assert_eq!(client.get(SECRET).status, 200);
        assert_eq!(client.get_as("s.none", SECRET).status, 403);
        assert_eq!(client.get_as("s.none", "/v1/nowhere").status, 403);
    }
    always("the log is as it was", Duration::from_millis(500), || agent.log() == before);
}

#[test]
fn reads_are_tried_again_and_writes_are_not() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    for status in [500, 502, 503, 412, 429] {
        let before = site.proxy.count(SECRET);
        site.proxy.fail_times(SECRET, Fault::Status(status), 1);
        assert_eq!(client.get(SECRET).status, 200, "{status}");
        assert_eq!(site.proxy.count(SECRET), before + 2, "{status}");
    }
    site.proxy.fail_times(SECRET, Fault::RetryAfter(429, 2), 1);
    let started = Instant::now();
    assert_eq!(client.get(SECRET).status, 200);
    assert!(started.elapsed() >= Duration::from_millis(1900), "{:?}", started.elapsed());

    let path = "/v1/secret/data/write/one";
    site.proxy.fail(path, Fault::Status(503));
    let reply = client.post(path, &json!({ "data": { "a": "b" } }));
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.errors(), "injected fault");
    assert_eq!(site.proxy.count(path), 1);
}

#[test]
fn a_status_that_a_monitor_asks_for_is_no_trouble_of_the_server() {
    let ProxiedSite { agent: _agent, client, site } =
        ProxiedSite::start("use_auto_auth_token = true");
    for count in 1..=6 {
        let reply = client.get("/v1/sys/health?activecode=503");
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_eq!(reply.json()["initialized"], true, "{reply:?}");
        assert_eq!(site.proxy.count("sys/health"), count);
    }
    assert_eq!(client.get(SECRET).status, 200);
}

#[test]
fn a_number_of_retries_is_kept_to() {
    let site = site();
    let mut configuration = configuration(&site, &api_proxy("use_auto_auth_token = true"));
    configuration.vault = "retry {\n  num_retries = -1\n}".into();
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let client = ApiClient::unix(&socket(&site));
    client.wait_until_open();
    site.proxy.fail(SECRET, Fault::Status(503));
    assert_eq!(client.get(SECRET).status, 503);
    assert_eq!(site.proxy.count(SECRET), 1);
}

#[test]
fn a_standbys_redirect_is_followed_once() {
    let active = Upstream::echo();
    let location = active.url();
    let standby = Upstream::start(move |head, peer| {
        peer.read_body(head)?;
        let location = format!("{location}{}", head.target);
        peer.answer(307, &[("Location", &location)], "")
    });
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agent.sock");
    let blocks = unix(&path, "") + &api_proxy("use_auto_auth_token = true");
    let _agent = Agent::start(&standby.configuration_with_login(&blocks));
    let client = ApiClient::unix(&path);
    client.wait_until_open();
    let reply = client.get("/v1/secret/data/app?version=1");
    assert_eq!(reply.status, 200, "{reply:?}");
    let heads = active.heads("/v1/secret/data/app?version=1");
    assert_eq!(heads.len(), 1);
    assert_eq!(heads[0].header("x-vault-token"), Some(Upstream::TOKEN));
    assert_eq!(heads[0].header("host"), Some(active.authority().as_str()));
}

#[test]
fn a_redirect_to_another_redirect_is_the_callers_to_follow() {
    let upstream = Upstream::start(|head, peer| {
        peer.read_body(head)?;
        peer.answer(307, &[("Location", "/v1/round")], "")
    });
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("agent.sock");
    let _agent = Agent::start(&upstream.configuration(&unix(&path, "")));
    let client = ApiClient::unix(&path);
    client.wait_until_open();
    let reply = client.get("/v1/round");
    assert_eq!(reply.status, 307, "{reply:?}");
    assert_eq!(upstream.heads("/v1/round").len(), 2);
}

#[test]
fn a_namespace_is_added_where_the_configuration_names_one() {
    let upstream = Upstream::echo();
    let home = tempfile::tempdir().unwrap();
    let namespaces = |client: &ApiClient, own: Option<&str>| -> Vec<String> {
        let request = own
            .iter()
            .fold(Request::get("/v1/x"), |request, own| request.header("X-Vault-Namespace", own));
        let reply = client.send(&request).json();
        let headers = reply["headers"].as_array().unwrap();
        let named = headers.iter().filter(|header| header[0] == "x-vault-namespace");
        named.map(|header| text(&header[1]).trim_matches('/').to_owned()).collect()
    };
    let prepending = "prepend_configured_namespace = true";
    let cases: [(&str, &str, Option<&str>, &[&str]); 6] = [
        ("", "", None, &[]),
        ("", "", Some("team"), &["team"]),
        ("", "namespace = \"team\"", None, &["team"]),
        ("", "namespace = \"team\"", Some("other"), &["other"]),
        ("namespace = \"team\"", prepending, None, &["team"]),
        ("namespace = \"team\"", prepending, Some("below"), &["team/below"]),
    ];
    for (number, (vault, settings, own, sent)) in cases.into_iter().enumerate() {
        let path = home.path().join(format!("{number}.sock"));
        let file = upstream.configuration(&(unix(&path, "") + &api_proxy(settings)));
        let file = file.replacen("vault {", &format!("vault {{\n{vault}"), 1);
        let _agent = Agent::start(&file);
        let client = ApiClient::unix(&path);
        client.wait_until_open();
        assert_eq!(namespaces(&client, own), sent, "{vault} {settings} {own:?}");
    }
}

#[test]
fn a_namespace_of_the_real_server_is_reached() {
    let site = site();
    site.bao.write("sys/namespaces/team", json!({}));
    let own = site.bao.write("team/auth/token/create", json!({ "policies": ["default"] }));
    let own = text(&own["auth"]["client_token"]);
    let blocks = api_proxy("namespace = \"team\"");
    let _agent = Agent::start(&configuration(&site, &blocks).text());
    site.wait_for_token();
    let client = ApiClient::unix(&socket(&site));
    client.wait_until_open();
    let reply = client.get_as(&own, LOOKUP);
    assert_eq!(reply.json()["data"]["namespace_path"], "team/", "{reply:?}");
}
