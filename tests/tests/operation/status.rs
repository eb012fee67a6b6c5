//! `usher status`, `usher wait` and `usher reload` over the admin socket, and who may use it.

use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch, is_root};
use usher_tests::eventually::{eventually, eventually_true};
use usher_tests::metrics::get;
use usher_tests::operator::{command, open_directory, seconds_apart, status, status_when};
use usher_tests::site::{Configuration, Site, file_sink};

#[test]
fn the_status_of_a_ready_agent_says_all_that_operators_ask() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    let _agent = Agent::start(&configuration.text());
    let token = site.wait_for_token();
    // The first check, right after the login, is over.
    let status = status_when(&socket, "readiness", |status| {
        status["ready"] == true && status["identities"][0]["checks"]["succeeded"] == 1
    });
    let identity = &status["identities"][0];
    assert_eq!(identity["name"], "default", "{status:#}");
    assert_eq!(identity["method"], "approle", "{status:#}");
    assert_eq!(identity["state"], "valid", "{status:#}");
    assert_eq!(identity["logins"], json!({ "succeeded": 1, "failed": 0 }), "{status:#}");
    assert_eq!(identity["last_error"], Value::Null, "{status:#}");
    assert!(identity["last_login_at"].is_string(), "{status:#}");
    let on_server = site.bao.lookup(&token).expect("a valid token");
    assert_eq!(identity["token"]["accessor"], on_server["accessor"], "{status:#}");
    assert_eq!(identity["token"]["generation"], 1, "{status:#}");
    let (expected, shown) = (&on_server["expire_time"], &identity["token"]["expires_at"]);
    assert!(seconds_apart(expected, shown) <= 10, "the server's own word: {expected} {shown}");
    assert_eq!(identity["next_action"]["action"], "renewal", "{status:#}");
    let sink = &identity["sinks"][0];
    assert_eq!(sink["name"], "file", "{status:#}");
    assert_eq!(sink["pending"], false, "{status:#}");
    assert_eq!(sink["generation"], 1, "{status:#}");
    assert_eq!(sink["deliveries"], json!({ "succeeded": 1, "failed": 0 }), "{status:#}");
    assert!(sink["last_delivery_at"].is_string(), "{status:#}");

    let people = command("status", &socket, &[]);
    assert_eq!(people.status, 0, "{people:?}");
    for word in ["default", "approle", "valid", "file", "delivered", "ready", "renewal in"] {
        assert!(people.results.contains(word), "{word}: {}", people.results);
    }
    assert!(!people.results.contains("Problems"), "{}", people.results);
    for secret in site.secrets() {
        assert!(!people.results.contains(&secret) && !status.to_string().contains(&secret));
    }
}

#[test]
fn sigusr1_writes_the_status_to_the_log_whatever_its_level_and_without_a_secret() {
    for format in ["standard", "json"] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        site.write("secret-id", "wrong-secret-id");
        let (configuration, socket) = with_socket(&site);
        let mut agent = Launch::agent_at(&configuration.text(), "error")
            .argument("--log-format")
            .argument(format)
            .start();
        status_when(&socket, "a failure", |status| {
            status["identities"][0]["last_error"]["count"].as_u64() >= Some(1)
        });
        // While an attempt is under way nothing is due.
        eventually_true("the last of its lines", LIMIT, || {
            agent.signal(Signal::USR1);
            agent.log().contains("there is no token yet; next: login")
        });
        let log = agent.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("usher.sigusr1")).collect();
        for word in ["not ready", "default", "approle", "pending", "Problems:", "login failed"] {
            assert!(told.iter().any(|line| line.contains(word)), "{word}: {log}");
        }
        assert!(!log.contains("wrong-secret-id"), "{log}");
        agent.stop();
    }
}

#[test]
fn an_outage_shows_its_errors_and_the_deadline_of_the_token_that_stays() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, socket) = with_socket(&site);
    configuration = configuration.token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    site.wait_for_token();
    let well = status_when(&socket, "readiness", |status| status["ready"] == true);
    let deadline = &well["identities"][0]["token"]["expires_at"];
    site.proxy.down();
    let degraded = status_when(&socket, "two failures", |status| {
        status["identities"][0]["last_error"]["count"].as_u64() >= Some(2)
    });
    let identity = &degraded["identities"][0];
    assert_eq!(identity["state"], "degraded", "{degraded:#}");
    assert_eq!(identity["ready"], true, "the token is still good: {degraded:#}");
    let shown = &identity["token"]["expires_at"];
    assert!(seconds_apart(deadline, shown) <= 10, "{deadline} {shown}");
    let error = &identity["last_error"];
    assert_eq!(error["action"], "check", "{degraded:#}");
    assert_eq!(error["class"], "passing", "{degraded:#}");
    assert_eq!(error["code"], "server.unreachable", "{degraded:#}");
    assert_eq!(error["current"], true, "{degraded:#}");
    let people = command("status", &socket, &[]);
    assert_eq!(people.status, 0, "{people:?}");
    assert!(people.results.contains("the token stays valid until"), "{}", people.results);
    site.proxy.up();
    let after = status_when(&socket, "the end of the outage", |status| {
        status["identities"][0]["state"] == "valid"
    });
    let error = &after["identities"][0]["last_error"];
    assert_eq!(error["current"], false, "the past error stays for who asks: {after:#}");
    let people = command("status", &socket, &[]);
    assert!(!people.results.contains("Problems"), "{}", people.results);
}

#[test]
fn a_refused_login_is_shown_with_its_class_count_and_next_attempt() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("secret-id", "wrong-secret-id");
    let (configuration, socket) = with_socket(&site);
    let _agent = Agent::start(&configuration.text());
    let status = status_when(&socket, "two failures", |status| {
        status["identities"][0]["last_error"]["count"].as_u64() >= Some(2)
    });
    let identity = &status["identities"][0];
    assert_eq!(identity["last_error"]["action"], "login", "{status:#}");
    assert_eq!(identity["last_error"]["class"], "refused", "{status:#}");
    assert_eq!(identity["token"], Value::Null, "{status:#}");
    assert_eq!(identity["sinks"][0]["pending"], true, "{status:#}");
    assert_eq!(status["ready"], false, "{status:#}");
    let people = command("status", &socket, &[]);
    assert_eq!(people.status, 0, "reachable, though not ready: {people:?}");
    for word in ["Problems", "login failed", "refused", "not ready"] {
        assert!(people.results.contains(word), "{word}: {}", people.results);
    }
    assert!(!people.results.contains("wrong-secret-id"), "{}", people.results);
}

#[test]
fn a_broken_sink_is_pending_and_says_why_while_the_other_one_is_served() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("broken")).expect("a directory");
    let (mut configuration, socket) = with_socket(&site);
    configuration.sinks.push(file_sink(&site.file("broken/token")));
    let configuration = configuration.token_check_interval("300ms");
    let _agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    status_when(&socket, "readiness", |status| status["ready"] == true);
    std::fs::remove_dir_all(site.file("broken")).expect("the directory");
    site.bao.revoke(&first);
    let status = status_when(&socket, "a failed delivery", |status| {
        status["identities"][0]["sinks"][1]["last_error"]["current"] == true
            && status["identities"][0]["sinks"][0]["generation"] == 2
    });
    let sinks = &status["identities"][0]["sinks"];
    assert_eq!(sinks[0]["pending"], false, "{status:#}");
    assert_eq!(sinks[0]["name"], "file 1", "{status:#}");
    assert_eq!(sinks[1]["pending"], true, "{status:#}");
    assert_eq!(sinks[1]["generation"], 1, "what it still holds: {status:#}");
    assert_eq!(status["ready"], false, "{status:#}");
    let people = command("status", &socket, &[]);
    assert!(people.results.contains("sink file 2: delivery failed"), "{}", people.results);
    std::fs::create_dir(site.file("broken")).expect("a directory");
    status_when(&socket, "the delivery", |status| status["ready"] == true);
}

#[test]
fn the_socket_is_private_and_gone_with_the_agent() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    // Whatever the umask leaves open.
    let agent = Launch::agent(&configuration.text()).umask("000").start();
    status(&socket);
    let metadata = std::fs::symlink_metadata(&socket).expect("the socket");
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert!(metadata.file_type().is_socket());
    agent.stop();
    assert!(!socket.exists());
    let ended = command("status", &socket, &[]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("no agent listens at"), "{ended:?}");
}

#[test]
fn another_user_is_refused_even_where_the_socket_lets_everybody_in() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, _) = with_socket(&site);
    // The site's own directory is closed to others.
    let open = open_directory();
    let socket = open.path().join("usher.sock");
    configuration.top = admin_socket(&socket);
    let _agent = Agent::start(&configuration.text());
    status(&socket);
    let as_nobody =
        || Launch::command(&["status", "--socket"]).argument(&socket).user(NOBODY).run(LIMIT);
    let ended = as_nobody();
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("run this as root or as the agent's own user"), "{ended:?}");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).expect("the mode");
    let ended = as_nobody();
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("uid 65534 may not use the admin socket"), "{ended:?}");
    assert_eq!(ended.results, "");
    let ended = Launch::command(&["reload", "--socket"]).argument(&socket).user(NOBODY).run(LIMIT);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("uid 65534 may not use the admin socket"), "{ended:?}");
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    drop(UnixListener::bind(&socket).expect("a socket"));
    assert!(socket.exists(), "left over");
    let ended = command("status", &socket, &[]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("left over"), "{ended:?}");
    let _agent = Agent::start(&configuration.text());
    status_when(&socket, "readiness", |status| status["ready"] == true);
}

#[test]
fn a_socket_of_another_agent_is_left_to_it() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    let _first = Agent::start(&configuration.text());
    status(&socket);
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("admin_socket"), "{ended:?}");
    assert!(ended.log.contains("another process listens on it"), "{ended:?}");
    status(&socket);
}

#[test]
fn a_file_in_the_place_of_the_socket_is_never_deleted() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    std::fs::write(&socket, "precious").expect("a file");
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("admin_socket"), "{ended:?}");
    assert!(ended.log.contains("something else than a socket"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&socket).expect("the file"), "precious");
    assert_eq!(site.login_attempts(), 0);
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, _) = with_socket(&site);
    configuration.top = admin_socket(&site.file("missing/usher.sock"));
    let ended = Launch::agent(&configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("create its directory"), "{ended:?}");
}

#[test]
fn the_run_time_directory_holds_the_socket_unless_the_configuration_names_one() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = site.file("run");
    std::fs::create_dir(&directory).expect("a directory");
    let directory = directory.display().to_string();
    let agent = Launch::agent(&site.configuration().text())
        .environment("RUNTIME_DIRECTORY", &directory)
        .start();
    site.wait_for_token();
    let ended =
        Launch::command(&["status"]).environment("RUNTIME_DIRECTORY", &directory).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    agent.stop();
    // And the other way to find it: by the configuration.
    let (configuration, _) = with_socket(&site);
    let file = site.file("usher.hcl");
    std::fs::write(&file, configuration.text()).expect("the configuration");
    let _agent = Agent::start(&configuration.text());
    eventually_true("an answer", LIMIT, || {
        Launch::command(&["status", "--config"]).argument(&file).run(LIMIT).status == 0
    });
}

#[test]
fn a_command_that_cannot_know_the_socket_names_the_key() {
    for name in ["status", "wait", "reload"] {
        let ended = Launch::command(&[name]).run(LIMIT);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.log.contains("admin_socket ="), "{ended:?}");
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let file = site.file("usher.hcl");
    std::fs::write(&file, site.configuration().text()).expect("the configuration");
    let ended = Launch::command(&["status", "--config"]).argument(&file).run(LIMIT);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("admin_socket ="), "{ended:?}");
}

#[test]
fn wait_returns_once_every_sink_has_its_token_wherever_it_starts_from() {
    let mut site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    site.proxy.down();
    let arguments = ["wait", "--for", "ready", "--timeout", "60s", "--socket"];
    // Before there is a socket.
    let mut waiting = Launch::command(&arguments).argument(&socket).start();
    let _agent = Agent::start(&configuration.text());
    status(&socket);
    let ended = command("wait", &socket, &["--for", "ready", "--timeout", "1s"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("not ready after 1 s"), "{ended:?}");
    assert!(ended.log.contains("default"), "{ended:?}");
    assert!(waiting.is_running(), "there is no token yet");
    assert_eq!(site.token(), None);
    site.proxy.up();
    let ended = waiting.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(site.token().is_some());
    // And when it is ready already.
    let ended = command("wait", &socket, &["--timeout", "20s"]);
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn wait_gives_up_in_time_when_there_is_no_agent() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let started = Instant::now();
    let ended = command("wait", &site.file("usher.sock"), &["--timeout", "1s"]);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("not ready after 1 s: no agent listens at"), "{ended:?}");
}

#[test]
fn reload_says_what_changed_or_why_nothing_did() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, socket) = with_socket(&site);
    let agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    let file = agent.home().join("usher.hcl");
    std::fs::write(&file, configuration.text().replace("approle\"", "aprole\"")).expect("a file");
    let ended = command("reload", &socket, &[]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("aprole") && ended.log.contains("stays as it is"), "{ended:?}");
    assert_eq!(ended.results, "");
    configuration.top += "\npid_file = \"/tmp/usher.pid\"";
    let more = format!(
        "identity \"more\" {{\nmethod \"approle\" {{\nconfig = {{\n{}\n}}\n}}\n\
         sink \"file\" {{ config = {{ path = \"{}\" }} }}\n}}\n",
        configuration.method_config,
        site.file("more").display()
    );
    std::fs::write(&file, configuration.text() + &more).expect("a file");
    let ended = command("reload", &socket, &[]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.results.contains("added more; 1 unchanged"), "{ended:?}");
    assert!(ended.results.contains("restart of the agent: pid_file"), "{ended:?}");
    let both = status_when(&socket, "two ready identities", |status| {
        status["ready"] == true && status["identities"].as_array().map(Vec::len) == Some(2)
    });
    assert_eq!(both["identities"][1]["name"], "more", "{both:#}");
    assert_eq!(site.token(), Some(first), "the other one goes on");
    std::fs::write(&file, configuration.text()).expect("a file");
    let ended = command("reload", &socket, &[]);
    assert!(ended.results.contains("removed more; 1 unchanged"), "{ended:?}");
    let status = status(&socket);
    assert_eq!(status["identities"].as_array().map(Vec::len), Some(1), "{status:#}");
    assert_eq!(status["ready"], true, "{status:#}");
}

#[test]
fn the_socket_answers_nothing_but_what_it_knows() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    let _agent = Agent::start(&configuration.text());
    status(&socket);
    let answer = |request: &str| {
        use std::io::{Read, Write};
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("the socket");
        stream.set_read_timeout(Some(LIMIT)).expect("a time-out");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        // It may close the connection before it has read everything.
        let _ = stream.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    };
    assert!(answer("GET /v1/other HTTP/1.1\r\nhost: usher\r\n\r\n").contains("404"));
    assert!(answer("GET /v1/reload HTTP/1.1\r\nhost: usher\r\n\r\n").contains("405"));
    assert!(answer("POST /v1/status HTTP/1.1\r\nhost: usher\r\n\r\n").contains("405"));
    assert!(answer("nonsense\r\n\r\n").contains("400"));
    let long = format!("GET /v1/status HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(!answer(&long).contains("200"), "a header without end");
    status(&socket);
}

#[test]
fn an_agent_that_is_not_asked_stays_asleep() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (configuration, socket) = with_socket(&site);
    let agent = Agent::start(&configuration.text());
    status_when(&socket, "readiness", |status| status["ready"] == true);
    // The last answers are over; then a second in which the agent is not woken once.
    eventually("a second of sleep", LIMIT, || {
        let before = agent.context_switches();
        std::thread::sleep(Duration::from_secs(1));
        (agent.context_switches() == before).then_some(())
    });
}

#[test]
fn a_reload_moves_the_doors_and_the_log_file() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, socket) = with_socket(&site);
    let agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    let (other, log) = (site.file("other.sock"), site.file("agent.log"));
    configuration.top = format!(
        "{}\nmetrics_address = \"127.0.0.1:0\"\nlog_file = \"{}\"\nlog_format = \"json\"",
        admin_socket(&other),
        log.display()
    );
    let file = agent.home().join("usher.hcl");
    std::fs::write(&file, configuration.text()).expect("a file");
    let ended = command("reload", &socket, &[]);
    assert_eq!(ended.status, 0, "the closing door answers: {ended:?}");
    assert!(!ended.results.contains("restart"), "{ended:?}");
    assert!(!socket.exists(), "the old door is closed");
    status_when(&other, "readiness at the new door", |status| status["ready"] == true);
    let address = eventually("the address", LIMIT, || {
        let log = std::fs::read_to_string(&log).ok()?;
        let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.find_map(|line| Some(line["metrics_address"].as_str()?.to_owned()))
    });
    assert_eq!(get(&address, "/livez").expect("an answer").0, 200);

    configuration.top = admin_socket(&other);
    std::fs::write(&file, configuration.text()).expect("a file");
    let ended = command("reload", &other, &[]);
    assert_eq!(ended.status, 0, "{ended:?}");
    eventually_true("the end of the address", LIMIT, || get(&address, "/livez").is_err());
    let size = std::fs::metadata(&log).expect("the log file").len();
    assert_eq!(command("reload", &other, &[]).status, 0);
    assert_eq!(std::fs::metadata(&log).expect("the log file").len(), size, "nobody writes there");
    assert_eq!(site.token(), Some(first));
    assert_eq!(site.login_attempts(), 1);
}

#[test]
fn a_socket_that_only_has_another_name_stays_open() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (mut configuration, socket) = with_socket(&site);
    let agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    let directory = socket.parent().expect("a directory");
    std::os::unix::fs::symlink(directory, site.file("link")).expect("a link");
    let renamed = site.file("link/usher.sock");
    configuration.top = admin_socket(&renamed);
    std::fs::write(agent.home().join("usher.hcl"), configuration.text()).expect("a file");
    for socket in [&socket, &renamed] {
        let ended = command("reload", socket, &[]);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    assert_eq!(status(&socket)["ready"], true);
    assert_eq!(site.token(), Some(first));
    agent.stop();
    assert!(!socket.exists());
}

#[test]
fn a_reload_whose_new_door_or_log_file_can_not_be_opened_changes_nothing() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let (good, socket) = with_socket(&site);
    let agent = Agent::start(&good.text());
    let first = site.wait_for_token();
    let (other, second) = (site.file("other.sock"), site.file("second"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    for (key, bad) in [
        ("metrics_address", format!("metrics_address = \"{address}\"")),
        ("log_file", format!("log_file = \"{}\"", site.file("missing/agent.log").display())),
    ] {
        let mut configuration = site.configuration();
        configuration.top = format!("{}\n{bad}", admin_socket(&other));
        configuration.sinks.push(file_sink(&second));
        std::fs::write(agent.home().join("usher.hcl"), configuration.text()).expect("a file");
        let ended = command("reload", &socket, &[]);
        assert_eq!(ended.status, 1, "{key}: {ended:?}");
        assert!(ended.log.contains("stays as it is"), "{key}: {ended:?}");
        assert!(!other.exists(), "{key}: the door that could be opened is closed again");
    }
    assert_eq!(status(&socket)["identities"][0]["sinks"].as_array().map(Vec::len), Some(1));
    assert!(!second.exists());
    assert_eq!(site.token(), Some(first));
    assert_eq!(site.login_attempts(), 1);
}

fn with_socket(site: &Site) -> (Configuration, PathBuf) {
    let socket = site.file("usher.sock");
    let mut configuration = site.configuration();
    configuration.top = admin_socket(&socket);
    (configuration, socket)
}

fn admin_socket(path: &Path) -> String {
    format!("admin_socket = \"{}\"", path.display())
}

const NOBODY: u32 = 65534;
const LIMIT: Duration = Duration::from_secs(30);
