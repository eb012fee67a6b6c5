//! `usher explain --request`: a request through a running agent, with what its answer means.
#![allow(clippy::unwrap_used, reason = "helpers fail the test that calls them")]

use std::time::Duration;

use usher_tests::agent::{Agent, Ended, Launch};
use usher_tests::api_client::ApiClient;
use usher_tests::authority::Authority;
use usher_tests::leaks::leaks;
use usher_tests::listeners::{
    PASSWORD, api_proxy, configuration, free_authority, site, socket, tcp, unix,
};
use usher_tests::operator::status_when;
use usher_tests::site::{Configuration, Site};

/// The site's configuration, with more blocks; nothing is tried again.
fn configured(site: &Site, blocks: &str) -> Configuration {
    let mut configuration = configuration(site, blocks);
    configuration.vault = "retry {\n  num_retries = -1\n}".into();
    configuration
}

/// An agent that has logged in and listens.
fn started(site: &Site, configuration: &Configuration) -> Agent {
    let agent = Agent::start(&configuration.text());
    site.wait_for_token();
    ApiClient::unix(&socket(site)).wait_until_open();
    agent
}

fn explain(configuration: &Configuration, arguments: &[&str]) -> Ended {
    Launch::explain(&configuration.text()).arguments(arguments).run(LIMIT)
}

#[test]
fn a_request_is_told_with_whose_token_it_had_and_what_the_server_said() {
    let mut site = site();
    let configuration = configured(&site, &api_proxy("use_auto_auth_token = true"));
    let agent = started(&site, &configuration);
    let ask = |path: &str| explain(&configuration, &["--request", "GET", path]);
    let place = socket(&site).display().to_string();
    for path in ["secret/data/app", "/v1/secret/data/app"] {
        let ended = ask(path);
        ended.says(
            0,
            &[
                "token           ok      that of the identity default",
                &format!("listener {place}, without TLS"),
                "listener        ok      answers",
                "server          ok      answers",
                "request         ok      GET secret/data/app: 200 OK",
            ],
        );
        let secrets = [PASSWORD.to_owned(), site.token().unwrap()];
        assert_eq!(leaks(&(ended.log + &ended.results), &secrets), [""; 0]);
    }
    ask("secret/data/other")
        .says(3, &["request         FAILED", "permission denied", "give the token a policy"]);
    ask("secret/data/write/none").says(3, &["nothing is there"]);

    site.proxy.down();
    ask("secret/data/app").says(1, &["the agent answers 50", "itself: "]);
    agent.stop();
    ask("secret/data/app").says(1, &["listener        FAILED", "nobody listens at"]);
}

#[test]
fn a_request_without_token_is_told_where_it_could_get_one() {
    let site = site();
    let configuration = configured(&site, "");
    let _agent = started(&site, &configuration);
    let ended = explain(&configuration, &["--request", "GET", "secret/data/app"]);
    ended.says(3, &["token           ok      none", "use_auto_auth_token = true"]);
}

#[test]
fn a_listener_is_named_and_found_where_only_the_agent_knows_its_port() {
    let site = site();
    let admin = site.file("admin.sock");
    let blocks = format!("admin_socket = {admin:?}\n") + &tcp("127.0.0.1:0", "");
    let configuration = configured(&site, &(blocks + &api_proxy("use_auto_auth_token = true")));
    let _agent = started(&site, &configuration);
    status_when(&admin, "a listener", |status| status["listeners"][1]["bound"].is_string());
    let request = ["--request", "GET", "secret/data/app", "--listener"];
    let at = |place: &'static str| explain(&configuration, &[&request[..], &[place][..]].concat());
    at("127.0.0.1:0").says(0, &["listener 127.0.0.1:0, without TLS", "200 OK"]);
    let nowhere = at("127.0.0.1:1");
    assert_eq!(nowhere.status, 2, "{nowhere:?}");
    assert!(nowhere.log.contains("there is "), "{nowhere:?}");
    let writing = explain(&configuration, &["--request", "POST", "secret/data/app"]);
    assert_eq!(writing.status, 2, "{writing:?}");
    assert!(writing.log.contains("may change something"), "{writing:?}");
}

#[test]
fn a_listener_with_tls_is_asked_unless_it_wants_a_certificate() {
    let site = site();
    let server = Authority::new("listeners").issue_for_server("127.0.0.1");
    site.write("server.pem", &server.certificate);
    site.write("server.key", &server.key);
    site.write("ca.pem", &Authority::new("clients").pem());
    let (open, closed) = (free_authority(), free_authority());
    let file = |name: &str| site.file(name).display().to_string();
    let certificate = format!(
        "tls_cert_file = \"{}\"\ntls_key_file = \"{}\"",
        file("server.pem"),
        file("server.key")
    );
    let required = format!(
        "{certificate}\ntls_require_and_verify_client_cert = true\ntls_client_ca_file = \"{}\"",
        file("ca.pem")
    );
    let blocks = tcp(&open, &certificate) + &tcp(&closed, &required);
    let blocks = blocks + &unix(&site.file("other.sock"), "require_request_header = true");
    let configuration = configured(&site, &(blocks + &api_proxy("use_auto_auth_token = true")));
    let _agent = started(&site, &configuration);
    let at = |place: &str| {
        let arguments = ["--request", "GET", "secret/data/app", "--listener", place];
        explain(&configuration, &arguments)
    };
    at(&open).says(0, &["with TLS", "200 OK"]);
    at(&closed).says(1, &["listener        FAILED", "wants a certificate of every client"]);
    at(&file("other.sock")).says(0, &["200 OK"]);
}

const LIMIT: Duration = Duration::from_mins(1);
