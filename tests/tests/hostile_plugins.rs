//! Plug-ins that trap, loop, recurse or want all memory harm nobody but themselves.

use std::time::Duration;

use serde_json::json;
use usher_tests::agent::Agent;
use usher_tests::eventually::{always, eventually_true};
use usher_tests::plugins::{Mischief, PluginDirectory, hostile_method, hostile_sink};
use usher_tests::site::Site;

#[test]
fn a_hostile_method_is_one_failed_attempt_after_the_other() {
    for mischief in Mischief::ALL {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let directory = PluginDirectory::new();
        directory.add("hostile", &hostile_method(mischief));
        let mut configuration = site.configuration();
        configuration.top = allowed(&directory);
        configuration.method = "hostile".into();
        configuration.method_config = String::new();
        let mut agent = Agent::start(&configuration.text());
        // Two failures, so it was called again after the first.
        eventually_true("two failures in the log", LIMIT, || {
            agent.log().lines().filter(|line| is_failure(line)).count() >= 2
        });
        assert!(agent.is_running(), "{mischief:?}");
        assert!(!agent.log().contains("panicked"), "{mischief:?}: {}", agent.log());
        assert_eq!(site.token(), None);
        agent.stop();
    }
}

#[test]
fn a_hostile_sink_does_not_keep_the_token_from_the_other_sink() {
    for mischief in Mischief::ALL {
        let site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "1h" }));
        let directory = PluginDirectory::new();
        directory.add("hostile", &hostile_sink(mischief));
        let mut configuration = site.configuration();
        configuration.top = allowed(&directory);
        configuration.sinks.insert(0, ("hostile".into(), String::new()));
        let mut agent = Agent::start(&configuration.text());
        let token = site.wait_for_token();
        eventually_true("two failures in the log", LIMIT, || {
            agent.log().lines().filter(|line| is_failure(line)).count() >= 2
        });
        always("the token is renewed all the while", Duration::from_secs(3), || {
            site.bao.is_valid(&token) && site.token().as_ref() == Some(&token)
        });
        assert!(agent.is_running(), "{mischief:?}");
        assert!(!agent.log().contains("panicked"), "{mischief:?}: {}", agent.log());
        assert_eq!(site.login_attempts(), 1);
        agent.stop();
    }
}

/// A warning or an error about the plug-in.
fn is_failure(line: &str) -> bool {
    let line = line.to_lowercase();
    line.contains("hostile") && (line.contains("warn") || line.contains("error"))
}

fn allowed(directory: &PluginDirectory) -> String {
    format!(
        "plugin_directory = \"{}\"\nplugin \"hostile\" {{\n  allow {{\n  }}\n  limits {{\n    timeout = \"500ms\"\n    memory = \"64MiB\"\n  }}\n}}",
        directory.path().display()
    )
}

const LIMIT: Duration = Duration::from_secs(30);
