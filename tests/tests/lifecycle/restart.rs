//! What outlives the process: a restart, in whatever moment the last one ended, needs no new credential
//! where the old one would have done, and says what is lost where not.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::eventually::eventually_true;
use usher_tests::proxy::Fault;
use usher_tests::site::{Configuration, Site, delivered, file_sink};

const LIMIT: Duration = Duration::from_secs(30);
const LOGIN: &str = "/v1/auth/approle/login";
const LOOK_UP: &str = "/v1/auth/token/lookup-self";

/// A site whose secret-id works once, and where the agent keeps what a restart needs.
struct OneShot {
    site: Site,
    configuration: Configuration,
}

impl OneShot {
    fn new() -> Self {
        let site = Site::new(json!({
            "token_ttl": "1h", "secret_id_num_uses": 1, "token_no_default_policy": false
        }));
        Self::of(site)
    }

    fn of(site: Site) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let key = site.file("state.key");
        site.write("state.key", &"0123456789abcdef".repeat(4));
        let private = std::fs::Permissions::from_mode(0o600);
        assert!(std::fs::set_permissions(&key, private).is_ok(), "nobody else can read it");
        let mut configuration = site.configuration();
        configuration.top = persist(&site, "");
        configuration.method_config = configuration
            .method_config
            .replace("\nremove_secret_id_file_after_reading = false", "");
        Self { site, configuration }
    }

    /// The secret-id comes wrapped.
    fn wrapped() -> Self {
        let mut this = Self::new();
        this.site.write("secret-id", &this.site.bao.wrapped_secret_id("app"));
        this.configuration.method_config +=
            "\nsecret_id_response_wrapping_path = \"auth/approle/role/app/secret-id\"";
        this
    }

    fn start(&self) -> Agent {
        Launch::agent(&self.configuration.text()).start()
    }

    fn state(&self) -> PathBuf {
        self.site.file("state")
    }

    fn has_secret_id(&self) -> bool {
        self.site.file("secret-id").exists()
    }

    fn logins(&self) -> usize {
        self.site.proxy.count(LOGIN)
    }
}

fn persist(site: &Site, more: &str) -> String {
    format!(
        "cache {{\n  persist \"file\" {{\n    path = \"{}\"\n    key_file = \"{}\"\n    {more}\n  }}\n}}\n",
        site.file("state").display(),
        site.file("state.key").display()
    )
}

fn kill(mut agent: Agent) {
    agent.signal(Signal::KILL);
    agent.ended(LIMIT);
}

#[test]
fn a_restart_goes_on_with_the_token_of_a_one_shot_credential() {
    let one_shot = OneShot::new();
    let agent = one_shot.start();
    let token = one_shot.site.wait_for_token();
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    kill(agent);
    let state = std::fs::read(one_shot.state().join("usher-state")).unwrap();
    for secret in [&token, &one_shot.site.bao.role_id("app")] {
        let found = state.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "a secret in the file");
    }
    std::fs::remove_file(one_shot.site.file("token")).unwrap();
    let agent = one_shot.start();
    assert_eq!(one_shot.site.wait_for_token(), token);
    assert_eq!(one_shot.logins(), 1);
    agent.stop();
    // In order as well.
    let agent = one_shot.start();
    agent.wait_for_log("the token in use goes on");
    agent.stop();
    assert_eq!(one_shot.logins(), 1);
}

#[test]
fn killed_before_the_sink_has_it_the_next_run_delivers_the_token() {
    let mut one_shot = OneShot::new();
    let late = one_shot.site.file("later").join("token");
    one_shot.configuration.sinks = vec![file_sink(&late)];
    std::fs::create_dir(one_shot.site.file("later")).unwrap();
    one_shot.site.proxy.fail(LOGIN, Fault::LateAnswer(Duration::from_secs(2)));
    let agent = one_shot.start();
    eventually_true("the login is sent", LIMIT, || one_shot.logins() == 1);
    std::fs::remove_dir(one_shot.site.file("later")).unwrap();
    agent.wait_for_log("error delivering token");
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    kill(agent);
    std::fs::create_dir(one_shot.site.file("later")).unwrap();
    let _agent = one_shot.start();
    eventually_true("the token", LIMIT, || delivered(&late).is_some());
    assert_eq!(one_shot.logins(), 1);
    assert!(one_shot.site.bao.is_valid(&delivered(&late).unwrap()));
}

#[test]
fn killed_before_the_answer_came_the_next_run_says_what_is_lost() {
    let one_shot = OneShot::new();
    one_shot.site.proxy.fail(LOGIN, Fault::LateAnswer(Duration::from_mins(1)));
    let agent = one_shot.start();
    eventually_true("the login is sent", LIMIT, || one_shot.logins() == 1);
    eventually_true("the server has answered", LIMIT, || one_shot.site.bao.logins() == 1);
    kill(agent);
    assert!(one_shot.has_secret_id(), "nobody has said that it worked");
    one_shot.site.proxy.heal();
    let agent = one_shot.start();
    agent.wait_for_log("an earlier run was ended in the middle of a login");
    // A new one is all it takes.
    one_shot.site.replace("secret-id", &one_shot.site.bao.secret_id("app"));
    one_shot.site.wait_for_token();
    agent.stop();
}

#[test]
fn a_credential_stays_until_the_token_is_kept() {
    let one_shot = OneShot::new();
    one_shot.site.proxy.fail(LOGIN, Fault::LateAnswer(Duration::from_secs(2)));
    let agent = one_shot.start();
    eventually_true("the login is sent", LIMIT, || one_shot.logins() == 1);
    // As when the disk is gone.
    std::fs::rename(one_shot.state(), one_shot.site.file("gone")).unwrap();
    one_shot.site.write("state", "");
    let token = one_shot.site.wait_for_token();
    agent.wait_for_log("can't be kept, it is tried again");
    assert!(one_shot.has_secret_id());
    std::fs::remove_file(one_shot.state()).unwrap();
    std::fs::rename(one_shot.site.file("gone"), one_shot.state()).unwrap();
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    kill(agent);
    std::fs::remove_file(one_shot.site.file("token")).unwrap();
    let _agent = one_shot.start();
    assert_eq!(one_shot.site.wait_for_token(), token);
    assert_eq!(one_shot.logins(), 1);
}

#[test]
fn killed_after_unwrapping_the_next_run_has_the_secret_id() {
    let one_shot = OneShot::wrapped();
    one_shot.site.proxy.fail(LOGIN, Fault::Status(503));
    let agent = one_shot.start();
    eventually_true("it is unwrapped and tried", LIMIT, || one_shot.logins() >= 1);
    kill(agent);
    one_shot.site.proxy.heal();
    let agent = one_shot.start();
    let token = one_shot.site.wait_for_token();
    assert!(one_shot.site.bao.is_valid(&token));
    assert_eq!(one_shot.site.proxy.count("/v1/sys/wrapping/unwrap"), 1);
    agent.stop();
}

#[test]
fn killed_before_the_credential_was_removed_the_next_run_removes_it() {
    let one_shot = OneShot::new();
    let secret_id = std::fs::read_to_string(one_shot.site.file("secret-id")).unwrap();
    let agent = one_shot.start();
    let token = one_shot.site.wait_for_token();
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    kill(agent);
    one_shot.site.write("secret-id", &secret_id);
    let agent = one_shot.start();
    agent.wait_for_log("the token in use goes on");
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    assert_eq!(one_shot.site.wait_for_token(), token);
    assert_eq!(one_shot.logins(), 1);
    // One that was put there meanwhile is another's.
    one_shot.site.write("secret-id", "not used yet");
    kill(agent);
    let agent = one_shot.start();
    agent.wait_for_log("the token in use goes on");
    agent.wait_for_log("token written");
    assert!(one_shot.has_secret_id());
}

#[test]
fn a_token_that_was_revoked_meanwhile_is_replaced() {
    let one_shot = OneShot::of(Site::new(json!({ "token_ttl": "1h" })));
    let agent = one_shot.start();
    let token = one_shot.site.wait_for_token();
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    kill(agent);
    one_shot.site.bao.revoke(&token);
    let agent = one_shot.start();
    // The method remembers the secret-id, which works more than once.
    let next = one_shot.site.wait_for_token_after(&token);
    assert!(one_shot.site.bao.is_valid(&next));
    agent.wait_for_log("the token that an earlier run left is no longer valid on the server");
    agent.stop();
}

#[test]
fn a_server_that_is_away_at_the_restart_costs_no_login() {
    let mut one_shot = OneShot::new();
    let agent = one_shot.start();
    let token = one_shot.site.wait_for_token();
    eventually_true("the secret-id is used up", LIMIT, || !one_shot.has_secret_id());
    kill(agent);
    one_shot.site.proxy.down();
    let agent = one_shot.start();
    agent.wait_for_log("error authenticating");
    one_shot.site.proxy.up();
    agent.wait_for_log("the token in use goes on");
    assert_eq!(one_shot.site.wait_for_token(), token);
    assert_eq!(one_shot.logins(), 1);
    assert!(one_shot.site.proxy.count(LOOK_UP) >= 1);
}

#[test]
fn what_was_kept_for_another_identity_is_not_used() {
    let mut one_shot = OneShot::of(Site::new(json!({ "token_ttl": "1h" })));
    let agent = one_shot.start();
    let token = one_shot.site.wait_for_token();
    kill(agent);
    let looked_up = one_shot.site.proxy.count(LOOK_UP);
    one_shot.site.bao.enable_approle("other");
    one_shot.configuration.method_settings += "\nmount_path = \"auth/other\"";
    let agent = one_shot.start();
    agent.wait_for_log("error authenticating");
    assert!(!agent.log().contains(&token) && !agent.log().contains("the token in use goes on"));
    assert_eq!(one_shot.site.proxy.count(LOOK_UP), looked_up);
}

#[test]
fn an_init_container_hands_its_token_to_the_sidecar() {
    let mut one_shot = OneShot::new();
    one_shot.site.write("service-account", "of this pod");
    let socket = one_shot.site.file("vault.sock");
    let shared = format!(
        "listener \"unix\" {{\n  address = \"{}\"\n  tls_disable = true\n}}\ncache {{\n  persist \"kubernetes\" {{\n    path = \"{}\"\n    service_account_token_file = \"{}\"\n  }}\n}}\n",
        socket.display(),
        one_shot.state().display(),
        one_shot.site.file("service-account").display()
    );
    one_shot.configuration.top = format!("exit_after_auth = true\n{shared}");
    let ended = Launch::agent(&one_shot.configuration.text()).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let token = one_shot.site.token().expect("the init container's token");
    assert!(one_shot.state().join("usher-state").exists());
    one_shot.configuration.top = shared;
    let agent = one_shot.start();
    agent.wait_for_log("the token in use goes on");
    agent.wait_for_log("token written");
    assert_eq!(one_shot.site.token(), Some(token));
    assert_eq!(one_shot.logins(), 1);
    let left = std::fs::read_dir(one_shot.state()).unwrap().count();
    assert_eq!(left, 0, "it is for one reader");
}

#[test]
fn a_damaged_file_is_set_aside_and_said() {
    let one_shot = OneShot::of(Site::new(json!({ "token_ttl": "1h" })));
    let agent = one_shot.start();
    one_shot.site.wait_for_token();
    kill(agent);
    let file = one_shot.state().join("usher-state");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    one_shot.site.write("secret-id", &one_shot.site.bao.secret_id("app"));

    let mut strict = one_shot.configuration.clone();
    strict.top = persist(&one_shot.site, "exit_on_err = true");
    let ended = Launch::agent(&strict.text()).run(LIMIT);
    assert_ne!(ended.status, 0);
    assert!(ended.log.contains("what an earlier run kept can't be used"), "{ended:?}");
    assert!(!file.exists() && one_shot.state().join("usher-state.damaged").exists());

    std::fs::write(&file, &bytes).unwrap();
    let agent = one_shot.start();
    agent.wait_for_log("what an earlier run kept can't be used");
    agent.wait_for_log("token written");
    agent.stop();
}

#[test]
fn whenever_it_is_killed_one_credential_is_one_token_or_the_loss_is_said() {
    for after in (0..400).step_by(40) {
        let one_shot = OneShot::new();
        let agent = one_shot.start();
        std::thread::sleep(Duration::from_millis(after));
        kill(agent);
        let agent = one_shot.start();
        eventually_true("the token, or why there is none", LIMIT, || {
            delivered(&one_shot.site.file("token")).is_some()
                || agent.log().contains("an earlier run was ended in the middle of a login")
        });
        if delivered(&one_shot.site.file("token")).is_some() {
            assert_eq!(one_shot.site.bao.logins(), 1, "killed after {after} ms");
        }
        drop(agent);
    }
}
