//! A new credential beside a good token: who decides whether it brings a new login.
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::components::Method;
use usher_tests::eventually::{always, eventually_true};
use usher_tests::plugins::PluginDirectory;
use usher_tests::site::{Configuration, Site};

#[test]
fn a_script_that_watches_its_credential_logs_in_with_a_new_one() {
    let places = Places::new();
    places.script("[]");
    let agent = places.start("");
    places.another_credential();
    places.logs_in(2);
    // The same again is none: looked at, and left alone.
    let looks = Places::looks(&agent);
    places.the_same_credential();
    eventually_true("a look", LIMIT, || Places::looks(&agent) > looks);
    places.stays_with(2);
    agent.stop();
}

#[test]
fn a_script_that_says_no_waits_until_the_token_needs_it() {
    let places = Places::new();
    places.script(r#"[["reauthenticate", "no"]]"#);
    let agent = places.start("");
    places.another_credential();
    places.stays_with(1);
    assert_eq!(Places::looks(&agent), 0);
    agent.stop();
}

#[test]
fn the_operator_overrules_what_the_plugin_says() {
    for (attributes, switch, logs_in) in [
        (r#"[["reauthenticate", "no"]]"#, "true", true),
        (r#"[["reauthenticate", "yes"]]"#, "false", false),
        ("[]", "false", false),
    ] {
        let places = Places::new();
        places.script(attributes);
        let agent = places.start(&format!("enable_reauth_on_new_credentials = {switch}"));
        places.another_credential();
        if logs_in {
            places.logs_in(2);
        } else {
            places.stays_with(1);
        }
        agent.stop();
    }
}

#[test]
fn another_version_that_says_otherwise_is_heard() {
    let places = Places::new();
    places.script(r#"[["reauthenticate", "no"]]"#);
    let agent = places.start("");
    places.another_credential();
    places.stays_with(1);
    // It is looked at as soon as it serves.
    places.script("[]");
    places.logs_in(2);
    places.script(r#"[["reauthenticate", "no"], ["version", "2"]]"#);
    eventually_true("another version", LIMIT, || {
        agent.log().matches("plug-in replaced").count() == 2
    });
    places.another_credential();
    places.stays_with(2);
    agent.stop();
}

#[test]
fn a_component_decides_likewise_for_files_and_for_what_it_looks_for_itself() {
    let watching = |credential: &Path, method: &Method| {
        let method = method.clone().with_a_new_credential_each_time();
        method.needs("watch", &credential.display().to_string())
    };
    let saying_no = |method: Method| method.attribute("reauthenticate", "no");
    for (looks_by_itself, says_no, switch, logs_in) in [
        (false, false, "", true),
        (false, true, "", false),
        (true, false, "", true),
        (true, true, "", false),
        (true, false, "enable_reauth_on_new_credentials = false", false),
        (true, true, "enable_reauth_on_new_credentials = true", true),
    ] {
        let places = Places::new();
        let method = Method::new(&places.site.login_body());
        let method = if looks_by_itself {
            method.logs_in_every(300)
        } else {
            watching(&places.site.file("credential"), &method)
        };
        let method = if says_no { saying_no(method) } else { method };
        places.directory.replace("acme", &method.build());
        let agent = places.start(switch);
        if !looks_by_itself {
            places.another_credential();
        }
        if logs_in {
            places.logs_in(2);
        } else {
            places.stays_with(1);
        }
        agent.stop();
    }
}

#[test]
fn a_value_that_is_neither_yes_nor_no_is_refused() {
    let places = Places::new();
    places.script(r#"[["reauthenticate", "false"]]"#);
    let agent = Agent::start(&places.configuration("").text());
    agent.wait_for_log("its attribute");
    let log = agent.log();
    for word in ["reauthenticate", "false", "yes", "no"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    assert_eq!(places.site.login_attempts(), 0);
    agent.stop();
}

/// A site whose method `acme` is a plug-in that logs in as the role does, and watches a credential.
struct Places {
    site: Site,
    directory: PluginDirectory,
}

impl Places {
    fn new() -> Self {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        site.write("credential", "first");
        Self { site, directory: PluginDirectory::new() }
    }

    /// A method whose revision is the credential's text, with these attributes.
    fn script(&self, attributes: &str) {
        let text = format!(
            r#"import {{ read }} from "usher:plugin/files@0.1.0";
import {{ reason }} from "usher:plugin/context@0.1.0";
export const plugin = {{
  describe: () => ({{ name: "acme", version: "1.0.0", summary: "", configSchema: "", attributes: {attributes} }}),
  prepare: (config) => [{{ capability: "watch", target: JSON.parse(config).credential }}],
}};
export const authMethod = {{
  authenticate(config) {{
    const revision = new TextDecoder().decode(read(JSON.parse(config).credential));
    console.log(`called to ${{reason()}}`);
    const body = JSON.stringify({login});
    return {{ credential: {{ tag: "login", val: {{ path: "login", body, headers: [] }} }}, revision }};
  }},
  authenticated() {{}},
}};
"#,
            login = self.site.login_body()
        );
        self.directory.rename_to("acme.js", text.as_bytes());
    }

    fn configuration(&self, auto_auth: &str) -> Configuration {
        let credential = self.site.file("credential").display().to_string();
        let allow = format!("watch = [\"{credential}\"]");
        let mut configuration = self.site.plugin_login(&self.directory, "acme", &allow);
        configuration.auto_auth = format!("{}\n{auto_auth}", configuration.auto_auth);
        configuration.method_config = format!("credential = \"{credential}\"");
        configuration
    }

    /// An agent that has logged in.
    #[track_caller]
    fn start(&self, auto_auth: &str) -> Agent {
        let agent = Agent::start(&self.configuration(auto_auth).text());
        self.site.wait_for_token();
        agent
    }

    fn another_credential(&self) {
        self.site.replace("credential", &format!("{}, another", self.credential()));
    }

    fn the_same_credential(&self) {
        self.site.replace("credential", &self.credential());
    }

    fn credential(&self) -> String {
        std::fs::read_to_string(self.site.file("credential")).expect("the credential")
    }

    /// Waits for that many logins since the start.
    #[track_caller]
    fn logs_in(&self, times: usize) {
        eventually_true(&format!("{times} logins"), LIMIT, || self.site.login_attempts() >= times);
    }

    #[track_caller]
    fn stays_with(&self, logins: usize) {
        always(&format!("{logins} logins"), Duration::from_secs(3), || {
            self.site.login_attempts() == logins
        });
    }

    /// How often the script was asked whether there is another credential.
    fn looks(agent: &Agent) -> usize {
        agent.log().matches("called to check").count()
    }
}

const LIMIT: Duration = Duration::from_secs(30);
