//! The lock: only listed digests load, and people decide what is listed.

#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Agent, Ended, Launch, binary};
use usher_tests::components::Method;
use usher_tests::eventually::eventually_true;
use usher_tests::plugins::{self, PluginDirectory, setup_directory};
use usher_tests::site::Site;

#[test]
fn only_what_is_listed_is_loaded_and_approval_takes_effect_at_once() {
    let place = Place::new();
    place.directory.replace("made", &place.method("1.0.0").build());
    // Without a lock nothing is loaded, and the agent says how to get one.
    let agent = Agent::start(&place.configuration());
    agent.wait_for_log("usher plugin lock");
    assert_eq!(place.site.token(), None);
    let ended = place.command("lock", &[]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let first = place.lock();
    assert_eq!(first["plugins"]["made"]["version"], "1.0.0");
    assert_eq!(first["plugins"]["made"]["kind"], "auth-method");
    assert_eq!(first["plugins"]["made"]["contract"], "0.1.0");
    assert_eq!(first["plugins"]["made"]["needs"], json!([]));
    // The running agent sees the lock come.
    place.wait_for_version("1.0.0");
    // The same again is the same text.
    let text = std::fs::read(place.lock_file()).expect("the lock");
    assert_eq!(place.command("lock", &[]).status, 0);
    assert_eq!(std::fs::read(place.lock_file()).expect("the lock"), text);

    let second = place.method("1.1.0").needs("env", "ACME").build();
    place.directory.replace("made", &second);
    agent.wait_for_log("usher plugin approve made");
    place.wait_for_version("1.0.0");
    // Nobody can be asked here.
    let ended = place.command("approve", &["made"]);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("--yes"), "{ended:?}");
    assert_eq!(place.lock(), first);
    let ended = place.command("approve", &["made", "--yes"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let old = first["plugins"]["made"]["sha256"].as_str().expect("a digest");
    for words in [old, "1.0.0 -> 1.1.0", "+ env \"ACME\""] {
        assert!(ended.results.contains(words), "{words}: {ended:?}");
    }
    place.wait_for_version("1.1.0");
    let ended = place.command("approve", &["made", "--yes"]);
    assert!(ended.results.contains("nothing to approve"), "{ended:?}");
    assert!(!agent.log().contains("error authenticating, attempt"), "{}", agent.log());
    agent.stop();
}

#[test]
fn at_a_terminal_a_person_is_asked_and_only_a_yes_counts() {
    let place = Place::new();
    place.directory.replace("made", &place.method("1.0.0").build());
    assert_eq!(place.command("lock", &[]).status, 0);
    let first = place.lock();
    place.directory.replace("made", &place.method("1.1.0").build());
    for answer in ["", "no", "x"] {
        let ended = place.approve_at_a_terminal(answer);
        assert!(ended.results.contains("Let the agent load made? [y/N]"), "{answer}: {ended:?}");
        assert!(ended.results.contains("1.0.0 -> 1.1.0"), "{answer}: {ended:?}");
        assert_eq!(place.lock(), first, "{answer}: {ended:?}");
    }
    let ended = place.approve_at_a_terminal("Y");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(place.lock()["plugins"]["made"]["version"], "1.1.0");
}

#[test]
fn a_lock_is_written_whole_or_not_at_all() {
    let place = Place::new();
    place.directory.replace("made", &place.method("1.0.0").build());
    place.directory.replace("broken", b"no component");
    let ended = place.command("lock", &[]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("broken.wasm"), "{ended:?}");
    assert!(!place.lock_file().exists());
    let ended = place.command("approve", &["nowhere", "--yes"]);
    assert_eq!(ended.status, 2, "{ended:?}");
}

#[test]
fn a_script_is_locked_like_a_component() {
    let place = Place::new();
    let script = place.directory.add_script("scripted", &plugins::script("files_login"));
    let ended = place.command("lock", &[]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let first = place.lock();
    assert_eq!(first["plugins"]["scripted"]["kind"], "auth-method");
    let text = std::fs::read_to_string(&script).expect("the script");
    place.directory.add_script("scripted", &(text + "\n"));
    let ended = place.command("approve", &["scripted", "--yes"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_ne!(place.lock(), first);
}

#[test]
fn a_lock_that_others_could_have_written_admits_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    place.directory.replace("made", &place.method("1.0.0").build());
    assert_eq!(place.command("lock", &[]).status, 0);
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.lock_file(), permissions).expect("its mode");
    };
    mode(0o666);
    let ended = Launch::agent(&place.configuration()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("chmod go-w"), "{ended:?}");
    mode(0o644);
    let ended = Launch::agent(&place.configuration()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
}

/// A site with the plug-in method "made", its directory and a place for the lock.
struct Place {
    site: Site,
    directory: PluginDirectory,
}

impl Place {
    fn new() -> Self {
        Self { site: Site::new(json!({ "token_ttl": "1h" })), directory: PluginDirectory::new() }
    }

    fn method(&self, version: &str) -> Method {
        let mut body = self.site.login_body();
        body["version"] = version.into();
        Method::new(&body).version(version).logs_in_every(200)
    }

    fn configuration(&self) -> String {
        let mut configuration = self.site.plugin_login(&self.directory, "made", "env = [\"ACME\"]");
        let top = configuration.top;
        configuration.top = format!("{top}\nplugin_lock = \"{}\"", self.lock_file().display());
        configuration.auto_auth += "\nenable_reauth_on_new_credentials = true";
        configuration.text()
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Ended {
        self.site.write("usher.hcl", &self.configuration());
        let mut launch =
            Launch::command(&["plugin", command, "--config"]).argument(self.site.file("usher.hcl"));
        for argument in arguments {
            launch = launch.argument(argument);
        }
        launch.run(LIMIT)
    }

    /// `usher plugin approve made`, by a person who gives this answer.
    fn approve_at_a_terminal(&self, answer: &str) -> Ended {
        self.site.write("usher.hcl", &self.configuration());
        Launch::command(&[])
            .program(setup_directory().join("python/bin/python"))
            .argument(concat!(env!("CARGO_MANIFEST_DIR"), "/oracles/terminal.py"))
            .argument(answer)
            .argument(binary())
            .argument("plugin")
            .argument("approve")
            .argument("made")
            .argument("--config")
            .argument(self.site.file("usher.hcl"))
            .run(LIMIT)
    }

    fn lock_file(&self) -> PathBuf {
        self.site.file("usher.lock")
    }

    fn lock(&self) -> Value {
        let text = std::fs::read(self.lock_file()).expect("the lock");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// Waits for one more login by this version.
    #[track_caller]
    fn wait_for_version(&self, version: &str) {
        let logins = || self.site.proxy.requests("/v1/auth/approle/login");
        let before = logins().len();
        eventually_true(&format!("a login by {version}"), LIMIT, || {
            logins()[before..].iter().any(|login| login.body["version"] == version)
        });
    }
}

const LIMIT: Duration = Duration::from_mins(1);
