//! What the API proxy of OpenBao Agent answers, ours answers as well: status, the headers that matter and
//! the body. Each difference is wanted, listed here, and told in `docs/compatibility.md`.

use std::time::Duration;

use serde_json::{Map, Value, json};
use usher_tests::agent::Agent;
use usher_tests::api_client::{ApiClient, Reply, Request};
use usher_tests::eventually::{eventually, eventually_true};
use usher_tests::incumbent::Incumbent;
use usher_tests::listeners::{api_proxy, free_authority, tcp};
use usher_tests::openbao::text;
use usher_tests::site::{Site, delivered, file_sink};

mod requests;

use requests::{REQUESTS, Row};

/// A wanted difference.
struct Difference {
    /// Stands in `docs/compatibility.md`, at the start of an item.
    told: &'static str,
    /// Names of the requests that show it, each with our status.
    requests: &'static [(&'static str, u16)],
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        told: "A path as it was written",
        requests: &[
            ("path with slash at the end", 500),
            ("write to a path with slash at the end", 400),
            ("v1 with slash", 403),
        ],
    },
    Difference {
        told: "`//`, `.` and `..` in a path",
        requests: &[
            ("path with double slash", 200),
            ("path with dot", 307),
            ("path with dots", 307),
        ],
    },
    Difference {
        told: "A `Bearer` token",
        requests: &[
            ("bearer looks itself up", 200),
            ("bearer in small letters", 403),
            ("bearer that is none", 403),
        ],
    },
    Difference {
        told: "A login that comes with the request",
        requests: &[("inline authentication", 500)],
    },
    Difference {
        told: "A renewal of the agent's token",
        requests: &[("renew-self", 200), ("renew-self without body", 200)],
    },
    Difference {
        told: "A wrapped answer about the agent's token",
        requests: &[("lookup-self wrapped", 403)],
    },
    Difference {
        told: "`sys/wrapping/wrap` without `X-Vault-Wrap-TTL`",
        requests: &[("wrap without time", 400)],
    },
    Difference {
        told: "The agent's own paths",
        requests: &[
            ("agent metrics", 200),
            ("agent metrics with POST", 405),
            ("agent quit disabled", 404),
            ("agent quit read", 404),
        ],
    },
    Difference {
        told: "An `Origin`, a `Sec-Fetch-Site`, or the `Host` of another",
        requests: &[("origin of a browser", 403), ("host of another", 403)],
    },
];

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn requests_are_answered_as_by_openbao_agent_but_for_the_differences_that_are_told() {
    assert!(REQUESTS.len() >= 150, "{}", REQUESTS.len());
    let site = prepared();
    let theirs = Side::new(&site, "side-theirs");
    let ours = Side::new(&site, "side-ours");
    let _incumbent = Incumbent::start(&theirs.configuration(&site), &[]);
    let _agent = Agent::start(&ours.configuration(&site));
    theirs.wait_until_ready(&site);
    ours.wait_until_ready(&site);
    let wrong: Vec<String> = REQUESTS
        .iter()
        .filter_map(|row| {
            let (name, method, target, ..) = row;
            let (theirs, ours) = (theirs.answer(&site, row), ours.answer(&site, row));
            let as_told = match status_told(name) {
                None => ours == theirs,
                Some(status) => ours != theirs && ours.status == Some(status),
            };
            (!as_told).then(|| {
                format!(
                    "{name} ({method} {target}):\n  OpenBao Agent: {theirs:?}\n  Usher: {ours:?}"
                )
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_documentation_tells_every_difference_of_the_proxy_and_no_other() {
    let listed: Vec<&str> = DIFFERENCES.iter().map(|difference| difference.told).collect();
    assert_eq!(super::told_below("## Answered otherwise by the API proxy"), listed);
    let named = DIFFERENCES.iter().flat_map(|difference| difference.requests);
    for (name, _) in named {
        let count = REQUESTS.iter().filter(|(other, ..)| other == name).count();
        assert_eq!(count, 1, "requests of the name {name:?}");
    }
    let document = include_str!("../../../../docs/compatibility.md");
    assert!(document.contains(&format!("sends {} requests to both", REQUESTS.len())));
}

/// Our status, if we answer otherwise.
fn status_told(name: &str) -> Option<u16> {
    let mut told = DIFFERENCES.iter().flat_map(|difference| difference.requests);
    told.find(|(other, _)| *other == name).map(|(_, status)| *status)
}

/// A server with everything that the requests ask for.
fn prepared() -> Site {
    let site = Site::new(json!({ "token_ttl": "1h", "token_policies": ["proxied"] }));
    let write = |path: &str, body: Value| site.bao.write(path, body);
    site.bao.policy("proxied", POLICY);
    write("sys/mounts/kv", json!({ "type": "kv" }));
    write("sys/mounts/transit", json!({ "type": "transit" }));
    write("transit/keys/app", json!({}));
    write("sys/mounts/pki", json!({ "type": "pki" }));
    write("pki/root/generate/internal", json!({ "common_name": "usher.test" }));
    let role = json!({
        "allowed_domains": ["usher.test"],
        "allow_subdomains": true,
        "generate_lease": true,
        "key_type": "ec",
    });
    write("pki/roles/app", role);
    write("sys/namespaces/team", json!({}));
    write("team/sys/policies/acl/proxied", json!({ "policy": POLICY }));
    write("team/sys/mounts/secret", json!({ "type": "kv", "options": { "version": "2" } }));
    let body = json!({ "data": { "a": "team" } });
    eventually_true("the new mount", LIMIT, || {
        let root = site.bao.root_token();
        site.bao.request("POST", "team/secret/data/app", root, &body).status < 300
    });
    site
}

/// One of the two agents, with what is its own.
struct Side {
    name: &'static str,
    authority: String,
    client: ApiClient,
    /// What stands for what.
    values: Vec<(&'static str, String)>,
}

impl Side {
    fn new(site: &Site, name: &'static str) -> Self {
        let authority = free_authority();
        let client = ApiClient::tcp(&authority);
        let revoked = token(site, "auth/token/create", "proxied").0;
        site.bao.revoke(&revoked);
        let credential = |name| std::fs::read_to_string(site.file(name)).unwrap();
        let values = vec![
            ("me", name.to_owned()),
            ("own", token(site, "auth/token/create", "proxied").0),
            ("team", token(site, "team/auth/token/create", "proxied").0),
            ("revoked", revoked),
            ("invalid", "s.AAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
            ("role_id", credential("role-id")),
            ("secret_id", credential("secret-id")),
            ("big", "0123456789".repeat(10_000)),
        ];
        Self { name, authority, client, values }
    }

    fn configuration(&self, site: &Site) -> String {
        let mut configuration = site.configuration();
        site.bao.address().clone_into(&mut configuration.address);
        // What the server says is what is compared.
        configuration.vault = "retry {\n  num_retries = -1\n}".into();
        configuration.sinks = vec![file_sink(&site.file(self.name))];
        configuration.top = tcp(&self.authority, "") + &api_proxy("use_auto_auth_token = true");
        configuration.text()
    }

    #[track_caller]
    fn wait_until_ready(&self, site: &Site) {
        eventually("a token", LIMIT, || delivered(&site.file(self.name)));
        self.client.wait_until_open();
    }

    fn answer(&self, site: &Site, row: &Row) -> Answer {
        let (name, method, target, headers, body) = row;
        let values = self.values_for(site, &format!("{target} {headers:?} {body}"));
        let fill = |text: &str| {
            values.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{name}}}"), value)
            })
        };
        let request = headers
            .iter()
            .fold(Request::new(method, &fill(target)), |request, (name, value)| {
                request.header(name, &fill(value))
            })
            .body(fill(body));
        let Ok(mut reply) = self.client.try_send(&request) else { return Answer::default() };
        if *name == "agent metrics" {
            // Each has its own.
            reply.body.clear();
        }
        Answer::of(&reply, &values)
    }

    /// What this side has, and what is made for this request alone.
    fn values_for(&self, site: &Site, text_of_request: &str) -> Vec<(&'static str, String)> {
        let mut values = self.values.clone();
        let names = |name: &str| text_of_request.contains(&format!("{{{name}}}"));
        if names("fresh") || names("accessor") {
            let (fresh, accessor) = token(site, "auth/token/create", "default");
            values.extend([("fresh", fresh), ("accessor", accessor)]);
        }
        if names("wrapped") {
            let wrapped = site.bao.wrapped("sys/wrapping/wrap", &json!({ "secret_id": "x" }));
            values.push(("wrapped", wrapped));
        }
        if names("lease") {
            let settings = json!({ "common_name": "app.usher.test", "ttl": "5m" });
            let lease = text(&site.bao.write("pki/issue/app", settings)["lease_id"]);
            values.push(("lease", lease));
        }
        values
    }
}

/// A new token and its accessor.
fn token(site: &Site, path: &str, policy: &str) -> (String, String) {
    let auth = site.bao.write(path, json!({ "policies": [policy], "ttl": "1h" }))["auth"].clone();
    (text(&auth["client_token"]), text(&auth["accessor"]))
}

/// What is compared of an answer.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    /// `None`: there was no answer.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    /// A text if it is no JSON.
    body: Value,
}

impl Answer {
    /// Without what differs by nature: the names of `values` stand for what they mean.
    fn of(reply: &Reply, values: &[(&'static str, String)]) -> Self {
        let plain = |text: &str| {
            values.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(value, &format!("{{{name}}}"))
            })
        };
        let mut headers: Vec<(String, String)> = reply
            .headers
            .iter()
            .filter(|(name, _)| HEADERS.contains(&&**name) || name.starts_with("x-vault-"))
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect();
        headers.sort();
        let body = match str::from_utf8(&reply.body) {
            Ok(body) => {
                let body = plain(body);
                serde_json::from_str(&body).map_or(Value::String(body), |body| comparable("", body))
            }
            Err(_) => Value::String(reply.body.escape_ascii().to_string()),
        };
        Self { status: Some(reply.status), headers, body }
    }
}

/// A body without what differs from answer to answer, of which the type remains. What is null counts as
/// what is absent: OpenBao Agent writes some answers anew.
fn comparable(key: &str, value: Value) -> Value {
    match value {
        Value::Object(members) => {
            // OpenBao Agent renews a token at once.
            let says =
                |key: &str, value: &Value| !value.is_null() && !key.starts_with("last_renewal");
            let members = members.into_iter().filter(|(key, value)| says(key, value));
            let members = members.map(|(key, value)| {
                let value = comparable(&key, value);
                (key, value)
            });
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(|item| comparable(key, item)).collect(),
        // A second may have begun meanwhile.
        Value::Number(number) if key == "lease_duration" => {
            json!(number.as_u64().map(|seconds| seconds.div_ceil(10) * 10))
        }
        Value::String(text) if BY_NATURE.contains(&key) && !text.is_empty() => json!("a text"),
        Value::Number(_) if BY_NATURE.contains(&key) => json!("a number"),
        other => other,
    }
}

const HEADERS: [&str; 8] = [
    "allow",
    "cache-control",
    "content-encoding",
    "content-type",
    "location",
    "retry-after",
    "strict-transport-security",
    "www-authenticate",
];

/// Keys of what is new in each answer: ids, tokens, times, what was made at random.
const BY_NATURE: [&str; 26] = [
    "accessor",
    "certificate",
    "ciphertext",
    "client_token",
    "created_time",
    "creation_time",
    "deletion_time",
    "entity_id",
    "expiration",
    "expire_time",
    "id",
    "issue_time",
    "lease_id",
    "private_key",
    "random_bytes",
    "request_id",
    "secret_id_accessor",
    "serial_number",
    "server_time_utc",
    "token",
    "ttl",
    "updated_time",
    "uuid",
    "wrapped_accessor",
    "echo_duration_ms",
    "clock_skew_ms",
];

/// Of both agents' tokens and of the callers'.
const POLICY: &str = r#"
path "secret/*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }
path "secret/data/forbidden" { capabilities = ["deny"] }
path "kv/*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }
path "auth/token/*" { capabilities = ["create", "read", "update", "list", "sudo"] }
path "pki/*" { capabilities = ["create", "read", "update", "list"] }
path "transit/*" { capabilities = ["create", "read", "update"] }
path "sys/leases/*" { capabilities = ["create", "read", "update", "sudo"] }
path "sys/wrapping/*" { capabilities = ["update"] }
path "sys/tools/*" { capabilities = ["update"] }
"#;
