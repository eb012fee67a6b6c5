//! Static secrets in the cache of the API proxy: what is read of a KV mount is given again to tokens that
//! have read it themselves, and to nobody else.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::api_client::{ApiClient, Reply, Request};
use usher_tests::eventually::eventually_true;
use usher_tests::listeners::{PASSWORD, api_proxy, configuration, site, socket};
use usher_tests::openbao::text;
use usher_tests::site::Site;

const LIMIT: Duration = Duration::from_secs(30);
const SECRET: &str = "/v1/secret/data/app";
const WRITTEN: &str = "/v1/secret/data/write/app";

struct Cached {
    _agent: Agent,
    client: ApiClient,
    site: Site,
}

impl Cached {
    /// With these keys in `cache`.
    fn start(cache: &str) -> Self {
        Self::at(site(), cache)
    }

    fn at(site: Site, cache: &str) -> Self {
        let blocks = api_proxy("use_auto_auth_token = true") + &format!("cache {{\n{cache}\n}}\n");
        let agent = Launch::agent(&configuration(&site, &blocks).text()).start();
        site.wait_for_token();
        let client = ApiClient::unix(&socket(&site));
        client.wait_until_open();
        Self { _agent: agent, client, site }
    }

    /// A token of these policies.
    fn token(&self, policies: &[&str]) -> String {
        let created = self.site.bao.write("auth/token/create", json!({ "policies": policies }));
        text(&created["auth"]["client_token"])
    }

    /// How often the server was asked for a path.
    fn asked(&self, path: &str) -> usize {
        let exchanges = self.site.proxy.exchanges();
        exchanges.iter().filter(|exchange| exchange.path == path).count()
    }
}

#[track_caller]
fn assert_said(reply: &Reply, status: u16, said: Option<&str>) {
    assert_eq!((reply.status, reply.header("x-cache")), (status, said), "{reply:?}");
}

fn password(reply: &Reply) -> String {
    text(&reply.json()["data"]["data"]["password"])
}

#[test]
fn a_secret_is_given_again_to_those_who_have_read_it_themselves() {
    let cached = Cached::start("cache_static_secrets = true");
    let [one, other] = [(); 2].map(|()| cached.token(&["app"]));
    let stranger = cached.token(&["default"]);
    let first = cached.client.get_as(&one, SECRET);
    assert_said(&first, 200, Some("MISS"));
    assert_eq!(password(&first), PASSWORD);
    let again = cached.client.get_as(&one, SECRET);
    assert_said(&again, 200, Some("HIT"));
    assert!(again.header("age").is_some() && again.body == first.body);
    // Of the same policies, and yet it has to show it.
    assert_said(&cached.client.get_as(&other, SECRET), 200, Some("MISS"));
    assert_said(&cached.client.get_as(&other, SECRET), 200, Some("HIT"));
    assert_said(&cached.client.get_as(&stranger, SECRET), 403, None);
    // The agent's own token is one as any.
    assert_said(&cached.client.get(SECRET), 200, Some("MISS"));
    assert_said(&cached.client.get(SECRET), 200, Some("HIT"));
    assert_eq!(cached.asked(SECRET), 4);
    assert_eq!(cached.asked(&SECRET.replace("/v1/", "/v1/sys/internal/ui/mounts/")), 1);
    let fresh = Request::get(SECRET).token(&one).header("Cache-Control", "no-cache");
    assert_said(&cached.client.send(&fresh), 200, Some("MISS"));
}

#[test]
fn what_is_written_through_the_agent_is_read_at_once() {
    let cached = Cached::start("cache_static_secrets { ttl = \"1h\" proof = \"1h\" }");
    let write = |value: &str| {
        let body = json!({ "data": { "password": value } });
        let reply = cached.client.post(WRITTEN, &body);
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    for value in ["one", "two", "three"] {
        write(value);
        let read = cached.client.get(WRITTEN);
        assert_said(&read, 200, Some("MISS"));
        assert_eq!(password(&read), value);
        eventually_true("it is kept", LIMIT, || {
            let read = cached.client.get(WRITTEN);
            assert_eq!(password(&read), value);
            read.header("x-cache") == Some("HIT")
        });
    }
}

#[test]
fn a_token_that_is_refused_is_given_nothing_more() {
    let cached = Cached::start("cache_static_secrets { ttl = \"1h\" proof = \"1h\" }");
    let token = cached.token(&["app"]);
    for said in ["MISS", "HIT"] {
        assert_said(&cached.client.get_as(&token, SECRET), 200, Some(said));
    }
    let revoke = Request::new("POST", "/v1/auth/token/revoke-self").token(&token);
    let allowed = cached.client.send(&revoke);
    assert_eq!(allowed.status, 204, "{allowed:?}");
    assert_said(&cached.client.get_as(&token, SECRET), 403, None);

    let token = cached.token(&["app"]);
    for said in ["MISS", "HIT"] {
        assert_said(&cached.client.get_as(&token, SECRET), 200, Some(said));
    }
    cached.site.bao.revoke(&token);
    // Nobody has told the agent, until the server refuses the token for something else.
    assert_said(&cached.client.get_as(&token, SECRET), 200, Some("HIT"));
    assert_eq!(cached.client.get_as(&token, "/v1/auth/token/lookup-self").status, 403);
    assert_said(&cached.client.get_as(&token, SECRET), 403, None);
}

#[test]
fn while_the_server_is_away_what_may_be_out_of_date_is_given_and_marked() {
    let mut cached = Cached::start("cache_static_secrets { ttl = \"1s\" max_stale = \"1h\" }");
    let [one, other] = [(); 2].map(|()| cached.token(&["app"]));
    eventually_true("it is kept", LIMIT, || {
        cached.client.get_as(&one, SECRET).header("x-cache") == Some("HIT")
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_said(&cached.client.get_as(&one, SECRET), 200, Some("MISS"));
    cached.site.proxy.down();
    std::thread::sleep(Duration::from_secs(1));
    let stale = cached.client.get_as(&one, SECRET);
    assert_said(&stale, 200, Some("STALE"));
    assert_eq!(password(&stale), PASSWORD);
    assert!(stale.header("age").is_some());
    assert_eq!(stale.header("warning"), Some("110 usher \"Response is Stale\""));
    let unproven = cached.client.get_as(&other, SECRET);
    assert!(unproven.status >= 500, "{unproven:?}");
    cached.site.proxy.up();
    eventually_true("the server's own answer", LIMIT, || {
        cached.client.get_as(&one, SECRET).header("x-cache") == Some("MISS")
    });
}

#[test]
fn each_use_of_a_token_that_has_so_many_is_the_servers_to_count() {
    let site = site();
    site.bao.write(
        "auth/approle/role/app",
        json!({ "token_policies": ["app", "proxied"], "token_num_uses": 50 }),
    );
    let cached = Cached::at(site, "cache_static_secrets = true");
    for _ in 0..3 {
        assert_said(&cached.client.get(SECRET), 200, Some("MISS"));
    }
    assert_eq!(cached.asked(SECRET), 3);
}

#[test]
fn what_lies_in_another_mount_is_no_static_secret() {
    let site = site();
    site.bao.write("sys/mounts/transit", json!({ "type": "transit" }));
    site.bao.write("transit/keys/app", json!({}));
    site.bao.policy("transit", r#"path "transit/keys/app" { capabilities = ["read"] }"#);
    let cached = Cached::at(site, "cache_static_secrets = true");
    let token = cached.token(&["transit"]);
    for _ in 0..3 {
        assert_said(&cached.client.get_as(&token, "/v1/transit/keys/app"), 200, Some("MISS"));
    }
}
