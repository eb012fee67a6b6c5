//! The cache of the API proxy: what the server grants is given again to whoever asks the same with the
//! same token, kept alive, and forgotten when it ends.

use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch};
use usher_tests::api_client::{ApiClient, Reply, Request};
use usher_tests::eventually::eventually_true;
use usher_tests::listeners::{api_proxy, configuration, site, socket};
use usher_tests::openbao::text;
use usher_tests::postgres::Postgres;
use usher_tests::site::Site;

const LIMIT: Duration = Duration::from_secs(30);

const RULES: &str = r#"
path "auth/token/create" { capabilities = ["create", "update", "sudo"] }
path "auth/token/revoke" { capabilities = ["update"] }
path "sys/leases/revoke" { capabilities = ["update"] }
path "database/creds/app" { capabilities = ["read"] }
"#;

struct Cached {
    _agent: Agent,
    client: ApiClient,
    site: Site,
}

impl Cached {
    fn start() -> Self {
        let site = site();
        site.bao.policy("cached", RULES);
        site.bao.write(
            "auth/approle/role/app",
            json!({ "token_policies": ["app", "proxied", "cached"] }),
        );
        let blocks = api_proxy("use_auto_auth_token = true") + "cache {}\n";
        let agent = Launch::agent(&configuration(&site, &blocks).text()).start();
        site.wait_for_token();
        let client = ApiClient::unix(&socket(&site));
        client.wait_until_open();
        Self { _agent: agent, client, site }
    }

    /// A token that is the agent's child, with this TTL.
    fn create(&self, ttl: &str) -> Reply {
        let reply = self.client.post(CREATE, &json!({ "policies": ["app"], "ttl": ttl }));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply
    }

    fn clear(&self, order: &Value) {
        let reply = self.client.post("/agent/v1/cache-clear", order);
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

const CREATE: &str = "/v1/auth/token/create";
const SECRET: &str = "/v1/secret/data/app";

fn token(reply: &Reply) -> String {
    text(&reply.json()["auth"]["client_token"])
}

#[track_caller]
fn assert_cached(reply: &Reply, said: &str) {
    assert_eq!(reply.header("x-cache"), Some(said), "{reply:?}");
    assert_eq!(reply.header("age").is_some(), said == "HIT", "{reply:?}");
}

#[test]
fn a_token_is_given_again_to_whoever_asks_the_same() {
    let cached = Cached::start();
    let first = cached.create("1h");
    assert_cached(&first, "MISS");
    let again = cached.create("1h");
    assert_cached(&again, "HIT");
    assert_eq!(first.body, again.body);
    assert_eq!(cached.site.proxy.count(CREATE), 1);
    // Another body, and another token that asks.
    assert_ne!(token(&cached.create("2h")), token(&first));
    let own = text(&cached.site.bao.write("auth/token/create", json!({}))["auth"]["client_token"]);
    let body = json!({ "policies": ["app"], "ttl": "1h" });
    let other = cached.client.send(&Request::new("POST", CREATE).token(&own).json(&body));
    assert_ne!(token(&other), token(&first));
}

#[test]
fn what_grants_nothing_is_asked_each_time_and_headers_of_the_client_make_no_difference() {
    let cached = Cached::start();
    for agent in ["a/1", "b/2"] {
        let reply = cached.client.send(&Request::get(SECRET).header("User-Agent", agent));
        assert_cached(&reply, "MISS");
    }
    assert_eq!(cached.site.proxy.count(SECRET), 2);
    cached.create("1h");
    let body = json!({ "policies": ["app"], "ttl": "1h" });
    let request = Request::new("POST", CREATE).header("User-Agent", "other").json(&body);
    assert_cached(&cached.client.send(&request), "HIT");
}

#[test]
fn a_login_is_kept_with_its_children_and_goes_with_them() {
    let cached = Cached::start();
    let login = || cached.client.post("/v1/auth/approle/login", &cached.site.login_body());
    let first = login();
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(token(&first), token(&login()));
    let parent = token(&first);
    let child = || {
        let body = json!({ "ttl": "30m" });
        cached.client.send(&Request::new("POST", CREATE).token(&parent).json(&body))
    };
    let of_first = token(&child());
    assert_eq!(token(&child()), of_first);
    // Its own, through the agent: nothing that depends on it is given any more.
    let revoke = Request::new("POST", "/v1/auth/token/revoke-self").token(&parent);
    assert_eq!(cached.client.send(&revoke).status, 204);
    assert_eq!(child().status, 403);
    assert_ne!(token(&login()), parent);
}

#[test]
fn a_token_that_is_kept_is_kept_alive() {
    let cached = Cached::start();
    let first = token(&cached.create("4s"));
    std::thread::sleep(Duration::from_secs(8));
    let again = cached.create("4s");
    assert_cached(&again, "HIT");
    assert_eq!(token(&again), first);
    assert_eq!(cached.client.get_as(&first, SECRET).status, 200);
}

#[test]
fn a_lease_is_given_again_renewed_and_asked_for_anew_when_it_ends_or_is_revoked() {
    let cached = Cached::start();
    let postgres = Postgres::start();
    let write = |path: &str, body: Value| cached.site.bao.write(path, body);
    write("sys/mounts/database", json!({ "type": "database" }));
    let engine = json!({
        "plugin_name": "postgresql-database-plugin",
        "allowed_roles": "app",
        "connection_url": postgres.url(),
    });
    write("database/config/users", engine);
    let role = json!({
        "db_name": "users",
        "creation_statements": "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        "default_ttl": "4s",
        "max_ttl": "14s",
    });
    write("database/roles/app", role);
    let ask = || {
        let reply = cached.client.get("/v1/database/creds/app");
        assert_eq!(reply.status, 200, "{reply:?}");
        let lease = text(&reply.json()["lease_id"]);
        (reply, lease)
    };
    let (first, lease) = ask();
    assert_cached(&first, "MISS");
    // Twice as long as it was granted for.
    std::thread::sleep(Duration::from_secs(8));
    let (again, same) = ask();
    assert_cached(&again, "HIT");
    assert_eq!(same, lease);
    let known = write("sys/leases/lookup", json!({ "lease_id": lease }));
    assert!(known["data"]["ttl"].as_i64().is_some_and(|left| left > 0), "{known}");
    assert!(cached.site.proxy.count("/v1/sys/leases/renew") > 0);
    eventually_true("another lease near the end of the first", LIMIT, || ask().1 != lease);
    let (_, lease) = ask();
    let revoke = Request::new("PUT", "/v1/sys/leases/revoke").json(&json!({ "lease_id": lease }));
    assert_eq!(cached.client.send(&revoke).status, 204);
    let (revoked, other) = ask();
    assert_cached(&revoked, "MISS");
    assert_ne!(other, lease);
}

#[test]
fn an_order_clears_what_it_names() {
    let cached = Cached::start();
    for (order, cleared) in [
        (json!({ "type": "all" }), true),
        (json!({ "type": "request_path", "value": "/v1/auth/token" }), true),
        (json!({ "type": "request_path", "value": "/v1/auth/other" }), false),
        (json!({ "type": "lease", "value": "database/" }), false),
    ] {
        cached.create("1h");
        assert_cached(&cached.create("1h"), "HIT");
        cached.clear(&order);
        assert_cached(&cached.create("1h"), if cleared { "MISS" } else { "HIT" });
    }
    let created = token(&cached.create("1h"));
    cached.clear(&json!({ "type": "token", "value": created }));
    assert_cached(&cached.create("1h"), "MISS");
    for order in [json!({}), json!({ "type": "all_of_it", "value": "x" })] {
        let reply = cached.client.post("/agent/v1/cache-clear", &order);
        assert_eq!(reply.status, 400, "{reply:?}");
        reply.errors();
    }
}

#[test]
fn with_another_token_of_the_agents_nothing_of_the_old_one_is_given() {
    let cached = Cached::start();
    let first = cached.create("1h");
    cached.site.bao.revoke(&cached.site.token().unwrap());
    // The first request that the server gets with it shows that it is dead.
    assert_eq!(cached.client.get(SECRET).status, 200);
    eventually_true("another token", LIMIT, || {
        let reply = cached.client.post(CREATE, &json!({ "policies": ["app"], "ttl": "1h" }));
        reply.status == 200 && token(&reply) != token(&first)
    });
}

#[test]
fn the_same_at_once_is_asked_once() {
    let cached = Cached::start();
    let (client, body) = (&cached.client, json!({ "policies": ["app"], "ttl": "1h" }));
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| token(&client.post(CREATE, &body)));
        let asking: Vec<_> = (0..20).map(|_| ask()).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{}", tokens.len());
    assert_eq!(cached.site.proxy.count(CREATE), 1);
}
