//! Plug-ins that trap, loop, recurse, want all memory or what is another's harm nobody but
//! themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch};
use usher_tests::components::Method;
use usher_tests::eventually::{always, eventually_true};
use usher_tests::plugins::{Mischief, PluginDirectory, hostile_method, hostile_sink};
use usher_tests::site::{Site, delivered, file_sink};

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

#[test]
fn all_memories_of_a_call_count_against_its_limit() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add("hostile", &hostile_method(Mischief::FillThreeMemories));
    let mut configuration = site.configuration();
    configuration.top = allowed(&directory);
    configuration.method = "hostile".into();
    configuration.method_config = String::new();
    let agent = Agent::start(&configuration.text());
    agent.wait_for_log("raise limits.memory");
    agent.stop();
}

#[test]
fn secrets_of_a_login_freeze_nobody() {
    // Thousands of strings with one beginning: flat, nested, and as headers.
    for (login, headers) in [
        ("Object.fromEntries(texts(60000).map((text, index) => [`k${index}`, text]))", "[]"),
        ("{ all: [texts(15000)] }", "[]"),
        ("{}", "texts(60000).map((text) => [\"x-a\", text])"),
    ] {
        let hostile = Hostile::method(
            "",
            "[]",
            &format!(
                r#"const texts = (count) => Array.from({{ length: count }}, (_, index) => "AAAAAA" + String(index).padStart(34, "0"));
    return {{ credential: {{ tag: "login", val: {{ path: "login", body: JSON.stringify({login}), headers: {headers} }} }}, revision: "" }};"#
            ),
        );
        let agent = hostile.start("");
        agent.wait_for_log("limit.exceeded");
        hostile.harms_nobody(&agent);
        agent.stop();
    }
}

#[test]
fn a_long_line_full_of_beginnings_of_secrets_freezes_nobody() {
    let hostile = Hostile::method(
        r#"import { write } from "usher:plugin/log@0.1.0";"#,
        "[]",
        r#"write("info", "A".repeat(3 << 20), []);
    for (let line = 0; line < 50; line++) write("info", "A".repeat(60000), [["a", "A".repeat(10000)]]);
    const body = {};
    for (let length = 32; length < 96; length++) body[`k${length}`] = "A".repeat(length) + "B";
    return { credential: { tag: "login", val: { path: "login", body: JSON.stringify(body), headers: [] } }, revision: "" };"#,
    );
    let agent = hostile.start("");
    agent.wait_for_log("AAAA");
    hostile.harms_nobody(&agent);
    agent.stop();
}

#[test]
fn one_file_under_many_names_takes_no_memory() {
    let site_file = |hostile: &Hostile| hostile.site.file("granted").display().to_string();
    let mut hostile = Hostile::method(
        r#"import { read } from "usher:plugin/files@0.1.0";"#,
        r#"[{ capability: "read", target: JSON.parse(config).file }]"#,
        r#"const { file } = JSON.parse(config);
    for (let turn = 1; turn <= 20; turn++) read("/".repeat(1000000 + turn) + file);
    throw { kind: "unavailable", code: "probe.done", message: "read it all", details: [] };"#,
    );
    let file = site_file(&hostile);
    hostile.site.write("granted", "what-is-granted-to-the-plug-in");
    hostile.settings = format!("file = \"{file}\"");
    let agent = hostile.start(&format!("read = [\"{file}\"]"));
    // 300 MB, if each name were kept.
    eventually_true("its calls", LIMIT, || agent.log().matches("probe.done").count() >= 15);
    assert!(agent.most_memory() < 200 << 20, "{}", agent.most_memory());
    hostile.harms_nobody(&agent);
    agent.stop();
}

#[test]
fn a_sink_that_would_write_anothers_file_is_refused_and_both_are_named() {
    // The very file, and a pattern that matches it.
    for target in ["token", "tok*"] {
        let site = Site::new(json!({ "token_ttl": "1h" }));
        let directory = PluginDirectory::new();
        let target = site.file(target).display().to_string();
        directory.add_script("hostile", &claiming(&target));
        let mut configuration = site.configuration();
        configuration.top = allowing(&directory, &everything(&site));
        configuration.sinks.push(("hostile".into(), String::new()));
        let ended = Launch::agent(&configuration.text()).run(LIMIT);
        assert_eq!(ended.status, 2, "{ended:?}");
        for words in ["default/sink/1", "default/sink/0", "give each a file of its own", &target] {
            assert!(ended.log.contains(words), "{words}: {ended:?}");
        }
    }
}

#[test]
fn a_sink_that_is_replaced_cannot_cut_another_off() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let directory = PluginDirectory::new();
    directory.add_script("hostile", &claiming(&site.file("its-own").display().to_string()));
    let mut configuration = site.configuration().token_check_interval("300ms");
    configuration.top = allowing(&directory, &everything(&site));
    configuration.sinks.push(("hostile".into(), String::new()));
    let agent = Agent::start(&configuration.text());
    let first = site.wait_for_token();
    directory
        .rename_to("hostile.js", claiming(&site.file("token").display().to_string()).as_bytes());
    agent.wait_for_log("would write");
    site.bao.revoke(&first);
    let second = site.wait_for_token_after(&first);
    assert!(site.bao.is_valid(&second));
    assert!(!agent.log().contains("is never granted"), "{}", agent.log());
    agent.stop();
}

#[test]
fn during_a_reload_nobody_reads_the_tokens_of_what_changes() {
    let mut hostile = Hostile::method(
        r#"import { read } from "usher:plugin/files@0.1.0";
import { write } from "usher:plugin/log@0.1.0";"#,
        r#"[{ capability: "read", target: JSON.parse(config).files }]"#,
        r#"const { file } = JSON.parse(config);
    try {
      write("info", `stolen ${read(file).length} bytes`, []);
    } catch (error) {
      write("info", `refused ${error.payload.code}`, []);
    }
    throw { kind: "unavailable", code: "probe.again", message: "again", details: [] };"#,
    );
    let directory = hostile.site.file("").display().to_string();
    let token = hostile.site.file("token").display().to_string();
    hostile.settings = format!("files = \"{directory}*\"\nfile = \"{token}\"");
    let mut agent = hostile.start(&format!("read = [\"{directory}*\"]"));
    hostile.site.wait_for_token();
    agent.wait_for_log("refused grant.missing");
    // The good identity changes, and a new component takes its time to compile.
    let body = json!({ "role_id": "none", "secret_id": "none" });
    hostile.directory.add("slow", &Method::new(&body).kilobytes(3000).build());
    let mut slow = hostile.site.configuration();
    slow.method = "slow".into();
    slow.method_config = String::new();
    slow.sinks = vec![file_sink(&hostile.site.file("slow"))];
    let changed = hostile
        .text(&format!("read = [\"{directory}*\"]"), "\ntoken_check_interval = \"5s\"")
        + &slow.identity("identity \"slow\"");
    let log = agent.log().len();
    agent.reload(&(changed + "\nplugin \"slow\" {\n  allow {\n  }\n}\n"));
    eventually_true("the end of the reload", LIMIT, || agent.log()[log..].contains("is in force"));
    let during = agent.log()[log..].matches("refused grant.missing").count();
    assert!(during >= 1, "it tried while the reload was under way: {}", agent.log());
    // Removed, the file stays, and stays protected.
    let token_before = delivered(&hostile.site.file("token"));
    let log = agent.log().len();
    agent.reload(&hostile.alone(&format!("read = [\"{directory}*\"]")));
    eventually_true("the end of the reload", LIMIT, || agent.log()[log..].contains("is in force"));
    let log = agent.log().len();
    eventually_true("more attempts", LIMIT, || {
        agent.log()[log..].matches("refused grant.missing").count() >= 2
    });
    assert_eq!(delivered(&hostile.site.file("token")), token_before);
    assert!(!agent.log().contains("stolen"), "{}", agent.log());
    agent.stop();
}

/// A site with a good identity, whose token lives for seconds, and a hostile one, whose method is a
/// script.
struct Hostile {
    site: Site,
    directory: PluginDirectory,
    /// Of the method.
    settings: String,
    /// Each takes a processor for itself: beside another one, time would run out for the good one.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl Hostile {
    fn method(imports: &str, needs: &str, authenticate: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let site = Site::new(json!({ "token_ttl": "3s", "token_max_ttl": "1h" }));
        let directory = PluginDirectory::new();
        directory.add_script(
            "hostile",
            &format!(
                r#"{imports}
export const plugin = {{
  describe: () => ({{ name: "hostile", version: "1.0.0", summary: "", configSchema: "", attributes: [] }}),
  prepare(config) {{ return {needs}; }},
}};
export const authMethod = {{
  authenticate(config) {{
    {authenticate}
  }},
  authenticated() {{}},
}};
"#
            ),
        );
        Self { site, directory, settings: String::new(), _turn: turn }
    }

    fn identity(&self, head: &str) -> String {
        let mut configuration = self.site.configuration();
        configuration.method = "hostile".into();
        configuration.method_settings += "\nmount_path = \"auth/approle\"";
        configuration.method_config.clone_from(&self.settings);
        configuration.sinks = vec![file_sink(&self.site.file("never"))];
        configuration.identity(head)
    }

    /// Both identities; the hostile one is allowed this, the good one has these settings.
    fn text(&self, allow: &str, good: &str) -> String {
        let mut configuration = self.site.configuration();
        configuration.top = allowing(&self.directory, allow);
        configuration.auto_auth += good;
        configuration.text() + &self.identity("identity \"hostile\"")
    }

    /// The hostile identity without the good one.
    fn alone(&self, allow: &str) -> String {
        let mut configuration = self.site.configuration();
        configuration.top = allowing(&self.directory, allow);
        let text = configuration.text();
        let before = text.split("auto_auth").next().unwrap_or_default();
        before.to_owned() + &self.identity("identity \"hostile\"")
    }

    fn start(&self, allow: &str) -> Agent {
        Agent::start(&self.text(allow, ""))
    }

    /// The good identity's token is renewed all the while.
    #[track_caller]
    fn harms_nobody(&self, agent: &Agent) {
        let token = self.site.wait_for_token();
        always("the token is renewed all the while", Duration::from_secs(6), || {
            self.site.bao.is_valid(&token) && self.site.token().as_ref() == Some(&token)
        });
        assert!(!agent.log().contains("panicked"), "{}", agent.log());
    }
}

/// A script that is a sink and needs to write `target`.
fn claiming(target: &str) -> String {
    format!(
        r#"export const plugin = {{
  describe: () => ({{ name: "hostile", version: "1.0.0", summary: "", configSchema: "", attributes: [] }}),
  prepare: () => [{{ capability: "write", target: "{target}" }}],
}};
export const sink = {{ check() {{}}, deliver() {{}}, withdraw() {{}} }};
"#
    )
}

/// What allows a sink to write all files of the site.
fn everything(site: &Site) -> String {
    format!("write = [\"{}*\"]", site.file("").display())
}

fn allowing(directory: &PluginDirectory, allow: &str) -> String {
    format!(
        "plugin_directory = \"{}\"\nplugin \"hostile\" {{\n  allow {{\n    {allow}\n  }}\n}}",
        directory.path().display()
    )
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
