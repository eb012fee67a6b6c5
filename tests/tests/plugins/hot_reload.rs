//! Plug-ins under a running agent: dropped, replaced, broken and removed files.

#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Launch, binary};
use usher_tests::components::Method;
use usher_tests::eventually::eventually_true;
use usher_tests::operator::{command, status_when};
use usher_tests::plugins::PluginDirectory;
use usher_tests::site::Site;

#[test]
fn a_component_is_replaced_under_logins_and_none_fails() {
    let place = Place::new();
    let version = |marker: &str| place.method(marker).kilobytes(100).build();
    place.replaces_under_logins("made.wasm", version, "partly written");
}

#[test]
fn a_script_is_replaced_under_logins_and_none_fails() {
    let place = Place::new();
    place.replaces_under_logins("made.js", |marker| place.script(marker), "SyntaxError");
}

#[test]
fn a_broken_file_changes_nothing_and_says_what_to_do() {
    let place = Place::new();
    let good = place.method("one").build();
    let file = place.directory.replace("made", &good);
    let agent = place.start();
    place.wait_for_login("one");
    let code = compiled(&agent);
    for (what, bytes, words) in [
        ("empty", Vec::new(), "the file is empty"),
        ("text", b"#!/bin/sh".to_vec(), "no WebAssembly"),
        ("partly written", good[..good.len() / 2].to_vec(), "only partly written"),
        ("a core module", place.method("two").build_module(), "wasm-tools component new"),
        ("machine code", code, "never loaded from outside"),
        ("another contract", renamed(&good, "@0.1.0", "@0.9.0"), "rebuild it with the SDK"),
        ("a missing import", renamed(&good, "/clock@", "/cloak@"), "can't be linked"),
        ("a trap", place.method("two").that_traps_at_its_start().build(), "doesn't start"),
        (
            "needs beyond the grant",
            place.method("two").needs("read", "/etc/shadow").build(),
            "read = [\"/etc/shadow\"]",
        ),
    ] {
        let log = agent.log().len();
        place.directory.replace("made", &bytes);
        eventually_true(what, LIMIT, || agent.log()[log..].contains(words));
        let report = place.plugin("its error", |plugin| {
            plugin["last_error"]["message"].as_str().is_some_and(|text| text.contains(words))
        });
        assert_eq!(report["last_error"]["current"], true, "{what}");
        assert_eq!(report["loaded"], true, "{what}");
        place.wait_for_login("one");
    }
    let status = command("status", &place.socket(), &[]);
    assert!(status.results.contains("what is loaded goes on"), "{}", status.results);

    // Who may change it counts as well.
    place.directory.replace("made", &good);
    place.plugin("that all is well", |plugin| plugin["last_error"]["current"] == false);
    for path in [file.as_path(), place.directory.path()] {
        let mode = std::fs::metadata(path).expect("it is there").permissions().mode();
        set_mode(path, 0o777);
        place.plugin("the mode", |plugin| {
            let message = plugin["last_error"]["message"].as_str().unwrap_or_default();
            plugin["last_error"]["current"] == true
                && message.contains(&format!("chmod go-w {}", path.display()))
        });
        place.wait_for_login("one");
        set_mode(path, mode);
        place.plugin("that all is well", |plugin| plugin["last_error"]["current"] == false);
    }
    let script = place.directory.path().join("made.js");
    std::fs::write(&script, "").expect("a script");
    place.plugin("both names", |plugin| {
        let message = plugin["last_error"]["message"].as_str().unwrap_or_default();
        message.contains("made.js") && message.contains("made.wasm")
    });
    std::fs::remove_file(script).expect("the script");

    place.directory.replace("made", &place.method("two").build());
    place.wait_for_login("two");
    place.assert_no_login_failed();
    agent.stop();
}

#[test]
fn a_file_that_is_removed_goes_on_serving() {
    let place = Place::new();
    let file = place.directory.replace("made", &place.method("one").build());
    let agent = place.start();
    place.wait_for_login("one");
    std::fs::remove_file(&file).expect("the file");
    agent.wait_for_log("its file is gone");
    place.wait_for_login("one");
    let report = place.plugin("the warning", |plugin| plugin["last_error"]["current"] == true);
    assert_eq!(report["loaded"], true);
    // Under another name it is no longer this plug-in.
    place.directory.replace("other", &place.method("other").build());
    place.directory.replace("made", &place.method("two").build());
    place.wait_for_login("two");
    assert!(!place.markers().contains(&"other".to_owned()));
    agent.stop();
}

#[test]
fn a_method_waits_for_its_plug_in() {
    let place = Place::new();
    let agent = place.start();
    agent.wait_for_log("waits for its plug-in");
    let report = place.plugin("what is missing", |plugin| plugin["loaded"] == false);
    assert!(
        report["last_error"]["message"].to_string().contains("has neither made.wasm"),
        "{report}"
    );
    let shown = command("status", &place.socket(), &[]);
    assert!(shown.results.contains("waited for"), "{}", shown.results);
    // What comes first is of no use, and says so.
    place.directory.replace("made", b"no component");
    place.plugin("what is wrong", |plugin| {
        plugin["last_error"]["message"].to_string().contains("no WebAssembly")
    });
    assert_eq!(place.site.token(), None);
    place.directory.replace("made", &place.method("one").build());
    place.site.wait_for_token();
    let status = status_when(&place.socket(), "readiness", |status| status["ready"] == true);
    let plugin = &status["plugins"][0];
    assert_eq!(plugin["loaded"], true);
    assert_eq!(plugin["version"], "1.0.0");
    assert_eq!(plugin["last_error"]["current"], false);
    assert_eq!(plugin["loads"]["succeeded"], 1);
    agent.stop();
}

#[test]
fn a_one_shot_login_waits_for_its_plug_in_only_with_a_timeout() {
    let place = Place::new();
    let launch = || Launch::agent(&place.configuration()).argument("--exit-after-auth");
    let ended = launch().run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("has neither made.wasm"), "{ended:?}");

    let ended = launch().argument("--timeout=1s").run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");

    let agent = launch().argument("--timeout=60s").start();
    agent.wait_for_log("waits for its plug-in");
    place.directory.replace("made", &place.method("one").build());
    let ended = agent.ended(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(place.site.token().is_some());
}

#[test]
fn a_configuration_that_names_no_plug_in_there_is_is_refused_at_a_reload() {
    let place = Place::new();
    place.directory.replace("made", &place.method("one").build());
    let mut agent = place.start();
    place.wait_for_login("one");
    agent.reload(&place.configuration().replace("method \"made\"", "method \"mode\""));
    agent.wait_for_log("stays as it is");
    assert!(agent.log().contains("has neither mode.wasm"));
    place.wait_for_login("one");
    agent.stop();
}

#[test]
fn a_wider_grant_admits_the_plug_in_that_waits_for_it() {
    let place = Place::new();
    place.directory.replace("made", &place.method("one").build());
    let mut agent = place.start();
    place.wait_for_login("one");
    place.directory.replace("made", &place.method("two").needs("env", "ACME").build());
    agent.wait_for_log("env = [\"ACME\"]");
    place.wait_for_login("one");
    agent.reload(&place.configuration().replace("allow {", "allow { env = [\"ACME\"]"));
    place.wait_for_login("two");
    place.assert_no_login_failed();
    agent.stop();
}

#[test]
fn compiled_code_is_used_again_and_never_what_others_could_write() {
    let place = Place::new();
    place.directory.replace("made", &place.method("one").build());
    let cache = tempfile::tempdir().expect("a temporary directory");
    let directory = cache.path().join("plugins");
    let run = || {
        let _ = std::fs::remove_file(place.site.file("token"));
        let ended = Launch::agent(&place.configuration())
            .environment("CACHE_DIRECTORY", &cache.path().display().to_string())
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
        ended.log
    };
    let compiles = "compiling the plug-in";
    assert!(run().contains(compiles));
    assert!(!run().contains(compiles), "the second time it is in the cache");
    let code = std::fs::read_dir(&directory).expect("the cache").next();
    let code = code.expect("a file").expect("a file").path();
    set_mode(&code, 0o666);
    assert!(run().contains(compiles), "others could have written it");
    std::fs::write(&code, "damaged").expect("the file");
    assert!(run().contains(compiles), "what can't be loaded is compiled anew");
    assert!(!run().contains(compiles));
    set_mode(&directory, 0o755);
    let log = run();
    assert!(log.contains(compiles) && log.contains("no cache for compiled plug-ins"), "{log}");
}

#[test]
fn the_compiler_confines_itself_before_it_reads() {
    // Descriptor 9 comes from whoever started the agent. It reads until its input ends with us.
    let mut child = Command::new("sh")
        .args(["-c", "exec 9</dev/null; exec \"$0\" plugin compile"])
        .arg(binary())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a shell");
    let process = child.id();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}"));
    eventually_true("the limits", LIMIT, || {
        read("oom_score_adj").is_ok_and(|score| score.trim() == "1000")
    });
    let limits = read("limits").expect("limits");
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).expect(name);
        line[name.len()..].split_whitespace().next().expect(name).to_owned()
    };
    assert_eq!(limit("Max address space"), (2_u64 << 30).to_string());
    assert_eq!(limit("Max cpu time"), "120");
    assert_eq!(limit("Max open files"), "16");
    assert_eq!(limit("Max core file size"), "0");
    let status = read("status").expect("status");
    assert!(status.lines().any(|line| line.starts_with("NoNewPrivs:") && line.ends_with('1')));
    // proc(5): the niceness is field 19, the 17th after the name in brackets.
    let stat = read("stat").expect("stat");
    let fields = stat.rsplit(')').next().expect("fields");
    assert_eq!(fields.split_whitespace().nth(16), Some("5"));
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).expect("descriptors");
    assert_eq!(descriptors.count(), 3);
    drop(child.stdin.take());
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(1), "nothing is no component");
}

/// A site with the plug-in method "made" and its directory.
struct Place {
    site: Site,
    directory: PluginDirectory,
}

impl Place {
    fn new() -> Self {
        Self { site: Site::new(json!({ "token_ttl": "1h" })), directory: PluginDirectory::new() }
    }

    /// What a login sends.
    fn body(&self, marker: &str) -> Value {
        let mut body = self.site.login_body();
        body["marker"] = marker.into();
        body
    }

    fn method(&self, marker: &str) -> Method {
        Method::new(&self.body(marker)).logs_in_every(200)
    }

    /// The same method as a script.
    fn script(&self, marker: &str) -> Vec<u8> {
        let body = Value::from(self.body(marker).to_string());
        format!(
            r#"import {{ now }} from "usher:plugin/clock@0.1.0";

export const plugin = {{
  describe: () => ({{ name: "made", version: "1.0.0", summary: "", configSchema: "", attributes: [] }}),
  prepare: () => [],
}};

export const authMethod = {{
  authenticate: () => ({{
    credential: {{ tag: "login", val: {{ path: "login", body: {body}, headers: [] }} }},
    revision: String(now()),
    checkAfterMs: 200,
  }}),
  authenticated() {{}},
}};
"#
        )
        .into_bytes()
    }

    /// Puts five versions into a file of the directory, one after the other, while the agent logs
    /// in. The last one is written in two halves, and `broken` is what the log says of the first.
    fn replaces_under_logins(&self, file: &str, version: impl Fn(&str) -> Vec<u8>, broken: &str) {
        self.directory.rename_to(file, &version("one"));
        let agent = self.start();
        self.wait_for_login("one");
        for marker in ["two", "three", "four"] {
            self.directory.rename_to(file, &version(marker));
            self.wait_for_login(marker);
        }
        let five = version("five");
        self.directory.write(file, &five[..five.len() / 2]);
        agent.wait_for_log(broken);
        self.wait_for_login("four");
        let log = agent.log().len();
        self.directory.write(file, &five);
        self.wait_for_login("five");
        eventually_true("the last in the log", LIMIT, || {
            agent.log()[log..].contains("plug-in replaced")
        });

        let markers = self.markers();
        let mut sorted = markers.clone();
        sorted.sort_by_key(|marker| {
            ["one", "two", "three", "four", "five"].iter().position(|of| of == marker)
        });
        assert_eq!(markers, sorted, "each login after a swap uses the new one");
        self.assert_no_login_failed();
        assert!(!agent.log().contains("error authenticating"), "no call failed");
        agent.stop();
    }

    fn configuration(&self) -> String {
        let mut configuration = self.site.plugin_login(&self.directory, "made", "");
        let top = configuration.top;
        configuration.top = format!("{top}\nadmin_socket = \"{}\"", self.socket().display());
        configuration.auto_auth += "\nenable_reauth_on_new_credentials = true";
        configuration.method_settings =
            "min_backoff = \"100ms\"\nmax_backoff = \"500ms\"\nmount_path = \"auth/approle\""
                .into();
        configuration.text()
    }

    fn start(&self) -> Agent {
        Agent::start(&self.configuration())
    }

    fn socket(&self) -> PathBuf {
        self.site.file("usher.sock")
    }

    /// What each login so far was marked with.
    fn markers(&self) -> Vec<String> {
        let logins = self.site.proxy.requests(LOGIN);
        logins.iter().map(|login| login.body["marker"].as_str().expect("a marker").into()).collect()
    }

    /// The last login may have no answer yet.
    #[track_caller]
    fn assert_no_login_failed(&self) {
        let logins = self.site.proxy.requests(LOGIN);
        let (last, earlier) = logins.split_last().expect("a login");
        assert!(earlier.iter().all(|login| login.status == Some(200)), "no login failed");
        assert!(last.status.is_none_or(|status| status == 200), "no login failed");
    }

    /// Waits for one more login that is marked so.
    #[track_caller]
    fn wait_for_login(&self, marker: &str) {
        let before = self.markers().len();
        eventually_true(&format!("a login of {marker:?}"), LIMIT, || {
            self.markers()[before..].iter().any(|found| found == marker)
        });
    }

    /// Waits until the status shows this of the plug-in.
    #[track_caller]
    fn plugin(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let find = |status: &Value| {
            let plugins = status["plugins"].as_array().cloned().unwrap_or_default();
            plugins.into_iter().find(|plugin| plugin["name"] == "made")
        };
        let status =
            status_when(&self.socket(), what, |status| find(status).is_some_and(|it| wanted(&it)));
        find(&status).expect("the plug-in")
    }
}

/// The machine code of the plug-in, from the agent's cache.
fn compiled(agent: &Agent) -> Vec<u8> {
    let cache = agent.home().join("cache/plugins");
    let files = std::fs::read_dir(cache).expect("the cache");
    let file = files
        .filter_map(Result::ok)
        .find(|file| file.path().extension().is_some_and(|extension| extension == "cwasm"));
    std::fs::read(file.expect("machine code").path()).expect("machine code")
}

/// The component with each `old` made `new`, which is as long.
fn renamed(component: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut component = component.to_vec();
    let mut at = 0;
    while at + old.len() <= component.len() {
        if &component[at..at + old.len()] == old.as_bytes() {
            component[at..at + old.len()].copy_from_slice(new.as_bytes());
        }
        at += 1;
    }
    component
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("its mode");
}

const LOGIN: &str = "/v1/auth/approle/login";
const LIMIT: Duration = Duration::from_mins(1);
