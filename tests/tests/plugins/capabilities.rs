//! Each capability: refused without a grant, usable with it, refused right beside it.

#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Ended, Launch};
use usher_tests::eventually::eventually;
use usher_tests::plugins::{PluginDirectory, code_directory, javascript};
use usher_tests::site::Site;

#[test]
fn read_is_granted_by_file() {
    let probe = Probe::new();
    probe.site.write("granted", "its content");
    probe.site.write("granted.beside", "other");
    let (granted, beside) = (probe.path("granted"), probe.path("granted.beside"));
    probe.refuses(&[("read", &granted)], &[], &format!("read = [\"{granted}\"]"));
    probe.answers(
        &[("read", &granted)],
        &[
            (&["read", &granted], "11 bytes"),
            (&["read", &beside], "grant.missing"),
            (&["read", &format!("{granted}/../granted.beside")], "grant.missing"),
            (&["remove", &granted], "grant.missing"),
            (&["write", &granted, "x"], "grant.missing"),
            (&["read", "/proc/self/environ"], "grant.missing"),
        ],
    );
    assert!(Path::new(&granted).exists());
}

#[test]
fn what_belongs_to_the_agent_is_never_granted() {
    let probe = Probe::new();
    let plugin = probe.directory.path().join("probe.wasm").display().to_string();
    let socket = probe.path("usher.sock");
    probe.answers(
        &[("read", "/*"), ("write", "/*"), ("remove", "/*")],
        &[
            (&["read", &plugin], "grant.missing"),
            (&["read", "/proc/self/environ"], "grant.missing"),
            (&["read", "/sys/kernel/uevent_seqnum"], "grant.missing"),
            (&["write", &plugin, "x"], "grant.missing"),
            (&["remove", &plugin], "grant.missing"),
            (&["remove", &socket], "grant.missing"),
            (&["write", &format!("{}/x", code_directory().display()), "x"], "grant.missing"),
            (&["remove", &probe.path("token")], "grant.missing"),
        ],
    );
}

#[test]
fn watch_is_granted_by_file_and_wakes_the_identity() {
    let probe = Probe::new();
    probe.site.write("granted", "one");
    let granted = probe.path("granted");
    probe.refuses(
        &[("watch", &granted)],
        &[("read", &granted)],
        &format!("watch = [\"{granted}\"]"),
    );
    let calls: Calls<'_> = &[(&["read", &granted], "3 bytes")];
    // Long pauses between attempts, so that only the change can bring the next one.
    let slow = |text: String| {
        text.replace("min_backoff = \"200ms\"", "min_backoff = \"1h\"")
            .replace("max_backoff = \"1s\"", "max_backoff = \"2h\"")
    };
    let agent = Probe::launch(&slow(probe.configuration(
        &[("watch", &granted)],
        &[("watch", &granted)],
        calls,
        None,
    )))
    .start();
    agent.wait_for_log("answers |3 bytes|");
    probe.site.write("granted", "three");
    agent.wait_for_log("answers |5 bytes|");
}

#[test]
fn write_is_granted_by_file() {
    let probe = Probe::new();
    let granted = probe.path("granted");
    probe.refuses(
        &[("write", &granted)],
        &[("read", &granted)],
        &format!("write = [\"{granted}\"]"),
    );
    probe.answers(
        &[("write", &granted)],
        &[
            (&["check-write", &granted], "done"),
            (&["write", &granted, "text"], "done"),
            (&["check-write", &probe.path("beside")], "grant.missing"),
            (&["write", &probe.path("beside"), "x"], "grant.missing"),
            (&["read", &granted], "grant.missing"),
            (&["remove", &granted], "grant.missing"),
        ],
    );
    assert_eq!(std::fs::read_to_string(&granted).expect("it is written"), "text");
    assert!(!Path::new(&probe.path("beside")).exists());
}

#[test]
fn remove_is_granted_by_file() {
    let probe = Probe::new();
    probe.site.write("granted", "");
    probe.site.write("beside", "");
    let granted = probe.path("granted");
    probe.refuses(
        &[("remove", &granted)],
        &[("write", &granted)],
        &format!("remove = [\"{granted}\"]"),
    );
    probe.answers(
        &[("remove", &granted)],
        &[
            (&["remove", &probe.path("beside")], "grant.missing"),
            (&["remove-target", &probe.path("beside")], "grant.missing"),
            (&["read", &granted], "grant.missing"),
            (&["remove", &granted], "done"),
        ],
    );
    assert!(!Path::new(&granted).exists());
    assert!(Path::new(&probe.path("beside")).exists());
}

#[test]
fn env_is_granted_by_name() {
    let probe = Probe::new();
    probe.refuses(&[("env", "PROBE")], &[("env", "PROB")], "env = [\"PROBE\"]");
    probe.refuses(
        &[("env", "VAULT_TOKEN")],
        &[("env", "VAULT_TOKEN")],
        "never handed to a plug-in",
    );
    probe.answers(
        &[("env", "PROBE"), ("env", "UNSET")],
        &[
            (&["env", "PROBE"], "set"),
            (&["env", "UNSET"], "not set"),
            (&["env", "PROBES"], "grant.missing"),
            (&["env", "VAULT_TOKEN"], "grant.missing"),
        ],
    );
}

#[test]
fn connect_is_granted_by_origin() {
    let probe = Probe::new();
    let origin = probe.site.proxy.address();
    let health = format!("{origin}/v1/sys/health");
    probe.refuses(&[("connect", &origin)], &[], &format!("connect = [\"{origin}\"]"));
    let beside = probe.site.bao.address().to_owned();
    probe.answers(
        &[("connect", &format!("{origin}/v1/sys"))],
        &[
            (&["connect", &health], "200"),
            (&["connect", &format!("{origin}/v1/system")], "grant.missing"),
            (&["connect", &format!("{origin}/v1/sys/..%2fauth")], "grant.missing"),
            (&["connect", &beside], "grant.missing"),
            (&["connect", &health.replace("127.0.0.1", "localhost")], "grant.missing"),
        ],
    );
    let passed = probe.site.proxy.requests("/v1/sys/health").len();
    assert_eq!(passed, 1, "what isn't granted isn't sent");
    assert_eq!(probe.site.proxy.count("/v1/system"), 0);
}

#[test]
fn kdc_is_granted_by_realm() {
    let probe = Probe::new();
    probe.refuses(&[("kdc", "A.EXAMPLE")], &[("kdc", "B.EXAMPLE")], "kdc = [\"A.EXAMPLE\"]");
    // Answers the tag and length of a KRB-ERROR, whatever the content.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 8];
        stream.read_exact(&mut request).expect("a request");
        stream.write_all(&[0, 0, 0, 4, 0x7e, 2, 0x30, 0]).expect("an answer");
        request
    });
    let realm = |name: &str| format!("{name} = {{\n kdc = 127.0.0.1:{port}\n}}\n");
    let content = format!("[realms]\n{}{}", realm("A.EXAMPLE"), realm("B.EXAMPLE"));
    probe.site.write("krb5.conf", &content);
    probe.site.write("krb5.conf.beside", &content);
    let (granted, beside) = (probe.path("krb5.conf"), probe.path("krb5.conf.beside"));
    let as_req = "106 2 48 0";
    probe.answers(
        &[("kdc", "A.EXAMPLE"), ("kdc", "C.EXAMPLE"), ("read", &granted)],
        &[
            (&["kdc", "A.EXAMPLE", &granted, as_req], "126,2,48,0"),
            (&["kdc", "A.EXAMPLE", &granted, "71 69 84 32"], "kdc.request"),
            (&["kdc", "A.EXAMPLE", &beside, as_req], "grant.missing"),
            (&["kdc", "B.EXAMPLE", &granted, as_req], "grant.missing"),
            (&["kdc", "C.EXAMPLE", &granted, as_req], "kdc.unknown-realm"),
        ],
    );
    let received = server.join().expect("one request");
    assert_eq!(received, [0, 0, 0, 4, 106, 2, 48, 0]);
}

#[test]
fn unwrapping_is_granted_apart() {
    let probe = Probe::new();
    probe.refuses(&[("server", "unwrap")], &[("server", "token")], "server = [\"unwrap\"]");
    let wrapped = probe.site.bao.wrapped_secret_id("app");
    let calls: Calls<'_> = &[(&["unwrap", &wrapped], "grant.missing")];
    probe.answers(&[("server", "token")], calls);
    assert!(probe.site.bao.is_wrapped(&wrapped), "nobody has touched it");
    let text = probe.configuration(
        &[("server", "unwrap")],
        &[("server", "unwrap")],
        &[(&["unwrap", &wrapped], "")],
        None,
    );
    let agent = Probe::launch(&text).start();
    eventually("the token to be unwrapped", LIMIT, || {
        (!probe.site.bao.is_wrapped(&wrapped)).then_some(())
    });
    agent.stop();
}

#[test]
fn a_token_as_the_answer_is_granted_apart() {
    let probe = Probe::new();
    probe.refuses(&[("server", "token")], &[("server", "unwrap")], "server = [\"token\"]");
    let answer = json!({ "token": probe.site.bao.root_token() });
    probe.answer_is_refused(&[("server", "unwrap")], &answer);
    probe.logs_in(&[("server", "token")], &answer);
    assert_eq!(probe.site.token().as_deref(), Some(probe.site.bao.root_token()));
}

#[test]
fn roots_for_the_server_are_granted_apart() {
    let probe = Probe::new();
    probe.refuses(&[("server", "trust")], &[("server", "token")], "server = [\"trust\"]");
    let body = probe.site.login_body().to_string();
    // The roots matter only for TLS; that they may be answered at all is what is granted.
    let tls = usher_tests::openbao::OpenBao::start_with_tls();
    let ca_pem = std::fs::read_to_string(tls.ca_file()).expect("a certificate");
    let answer = json!({ "body": body, "ca_pem": ca_pem });
    probe.answer_is_refused(&[("server", "token")], &answer);
    probe.logs_in(&[("server", "trust")], &answer);
}

#[test]
fn a_capability_that_there_is_not_is_refused_by_name() {
    let probe = Probe::new();
    probe.refuses(&[("exec", "/bin/sh")], &[], "the capability \"exec\"");
}

type Needs<'a> = &'a [(&'a str, &'a str)];
/// A function with its arguments, and a word of its answer.
type Calls<'a> = &'a [(&'a [&'a str], &'a str)];

/// A site whose method is the probe.
struct Probe {
    site: Site,
    directory: PluginDirectory,
}

impl Probe {
    fn new() -> Self {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let directory = PluginDirectory::new();
        directory.add("probe", &javascript("probe"));
        Self { site, directory }
    }

    fn path(&self, name: &str) -> String {
        self.site.file(name).display().to_string()
    }

    fn configuration(
        &self,
        needs: Needs<'_>,
        allowed: Needs<'_>,
        calls: Calls<'_>,
        answer: Option<&Value>,
    ) -> String {
        let mut configuration = self.site.configuration();
        let allowed: Vec<String> =
            ["connect", "read", "watch", "write", "remove", "env", "server", "kdc"]
                .iter()
                .map(|capability| {
                    let targets = allowed.iter().filter(|(of, _)| of == capability);
                    let targets: Vec<&str> = targets.map(|(_, target)| *target).collect();
                    format!("{capability} = {}", json!(targets))
                })
                .collect();
        configuration.top = format!(
            "plugin_directory = \"{}\"\nadmin_socket = \"{}\"\nplugin \"probe\" {{\n  allow {{\n{}\n  }}\n}}",
            self.directory.path().display(),
            self.path("usher.sock"),
            allowed.join("\n")
        );
        let calls: Vec<_> = calls.iter().map(|(call, _)| call).collect();
        configuration.method = "probe".into();
        configuration.method_settings += "\nmount_path = \"auth/approle\"";
        configuration.method_config = format!("needs = {}\ncalls = {}", json!(needs), json!(calls));
        if let Some(answer) = answer {
            let settings = answer.as_object().expect("settings").iter();
            let settings: Vec<String> =
                settings.map(|(name, value)| format!("{name} = {value}")).collect();
            configuration.method_config +=
                &["\nanswer = {\n", &settings.join("\n"), "\n}"].concat();
        }
        configuration.text()
    }

    fn launch(configuration: &str) -> Launch {
        Launch::agent(configuration)
            .environment("PROBE", "value")
            .environment("VAULT_TOKEN", "secret")
            .keep_code()
    }

    /// The agent doesn't start, and prints `words`.
    #[track_caller]
    fn refuses(&self, needs: Needs<'_>, allowed: Needs<'_>, words: &str) {
        let ended: Ended = Self::launch(&self.configuration(needs, allowed, &[], None)).run(LIMIT);
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.log.contains(words), "{words}: {ended:?}");
    }

    /// With these needs, which are allowed, each call has its answer.
    #[track_caller]
    fn answers(&self, needs: Needs<'_>, calls: Calls<'_>) {
        let agent = Self::launch(&self.configuration(needs, needs, calls, None)).start();
        let words: Vec<&str> = calls.iter().map(|(_, word)| *word).collect();
        wait_for_answers(&agent, &words);
        agent.stop();
    }

    #[track_caller]
    fn answer_is_refused(&self, needs: Needs<'_>, answer: &Value) {
        let agent = Self::launch(&self.configuration(needs, needs, &[], Some(answer))).start();
        agent.wait_for_log("grant.missing");
        assert_eq!(self.site.token(), None);
        agent.stop();
    }

    #[track_caller]
    fn logs_in(&self, needs: Needs<'_>, answer: &Value) {
        let ended = Self::launch(&self.configuration(needs, needs, &[], Some(answer)))
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
    }
}

/// Waits for a line of the probe with these answers, in order.
#[track_caller]
fn wait_for_answers(agent: &Agent, answers: &[&str]) {
    let found = eventually("the answers", LIMIT, || {
        let log = agent.log();
        log.lines().find(|line| line.contains("answers |")).map(str::to_owned)
    });
    let expected = format!("answers |{}|", answers.join("|"));
    assert!(found.contains(&expected), "{expected}: {found}");
}

/// Compiling the probe takes seconds, on a busy machine many.
const LIMIT: Duration = Duration::from_mins(2);
