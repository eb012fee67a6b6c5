//! What OpenBao Agent takes and refuses, `usher validate` takes and refuses; each difference is
//! wanted, listed here, and told in `docs/compatibility.md`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use usher_tests::agent::{Launch, is_root};
use usher_tests::authority::Authority;
use usher_tests::plugins::setup_directory;
use usher_tests::site::Site;

mod cases;
mod effects;
mod proxy;

use cases::{Case, DIRECTORY, cases};

/// A wanted difference.
struct Difference {
    /// Stands in `docs/compatibility.md`, at the start of a line of one of its lists.
    told: &'static str,
    /// Whether we take what OpenBao Agent refuses.
    taken: bool,
    /// Names of the cases that show it.
    cases: &'static [&'static str],
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        told: "`=` between key and value in JSON",
        taken: true,
        cases: &["JSON as documented"],
    },
    Difference {
        told: "A block alone in its place in JSON",
        taken: true,
        cases: &["JSON", "JSON method alone"],
    },
    Difference {
        told: "A type written as a key",
        taken: true,
        cases: &["method type as key", "JSON method as key"],
    },
    Difference {
        told: "A list of blocks in HCL",
        taken: true,
        cases: &["sink list", "template list"],
    },
    Difference {
        told: "`identity` blocks without `auto_auth`",
        taken: true,
        cases: &["only identity"],
    },
    Difference { told: "`\\/` in a JSON string", taken: true, cases: &["JSON escaped slash"] },
    Difference { told: "`disable_mlock = false`", taken: true, cases: &["disable_mlock false"] },
    Difference {
        told: "`env` and signals in the `exec` of a `template`",
        taken: true,
        cases: &["template exec environment", "template exec signal"],
    },
    Difference {
        told: "A `cache` for identities alone",
        taken: true,
        cases: &["cache persist for identities alone"],
    },
    Difference {
        told: "An unknown method or sink",
        taken: false,
        cases: &["method unknown", "method misspelt", "method type number", "sink unknown"],
    },
    Difference {
        told: "Missing or wrong settings of a method or sink",
        taken: false,
        cases: &["method without settings", "sink without path"],
    },
    Difference {
        told: "A `mode` that is no file mode",
        taken: false,
        cases: &["sink mode not octal"],
    },
    Difference { told: "Two sinks with one path", taken: false, cases: &["sink paths equal"] },
    Difference {
        told: "`min_backoff` not less than `max_backoff`",
        taken: false,
        cases: &["backoff reversed", "backoff equal"],
    },
    Difference {
        told: "A `mount_path` without a path",
        taken: false,
        cases: &["mount_path slash"],
    },
    Difference {
        told: "An `address` that is none",
        taken: false,
        cases: &[
            "vault address without scheme",
            "vault address with v1",
            "vault address with variable",
        ],
    },
    Difference {
        told: "A `ca_cert`, `ca_path`, `client_cert` or `client_key` that can't be used",
        taken: false,
        cases: &[
            "vault ca_cert missing",
            "vault ca_cert without certificate",
            "vault ca_path missing",
            "vault client_cert missing",
        ],
    },
    Difference {
        told: "A client certificate without its key",
        taken: false,
        cases: &["vault client_cert alone"],
    },
    Difference {
        told: "What `sink` refuses, inside `sinks`",
        taken: false,
        cases: &["sinks dh_type unknown", "sinks wrap_ttl bad", "sinks without type"],
    },
    Difference { told: "A label on `config`", taken: false, cases: &["method config labelled"] },
    Difference {
        told: "One of `client_cert` and `client_key` alone",
        taken: false,
        cases: &["method cert without its key"],
    },
    Difference {
        told: "A `jwt_read_period` of 0",
        taken: false,
        cases: &["method jwt period zero"],
    },
    Difference { told: "A user name of dots", taken: false, cases: &["method ldap user of dots"] },
    Difference {
        told: "A key without a value at the end of a file",
        taken: false,
        cases: &["value missing at the end"],
    },
    Difference {
        told: "JSON that is cut off, lacks a comma or goes on after its end",
        taken: false,
        cases: &[
            "JSON goes on",
            "JSON goes on with a comment",
            "JSON goes on with an object",
            "JSON cut off",
            "JSON comma missing",
        ],
    },
    Difference {
        told: "A certificate without its key, or a key without its certificate, in a `listener`",
        taken: false,
        cases: &["listener certificate without key", "listener key without certificate"],
    },
    Difference {
        told: "A certificate or a key of a `listener` that can't be used",
        taken: false,
        cases: &["listener certificate missing"],
    },
    Difference {
        told: "TLS versions of a `listener` that are none, or reversed",
        taken: false,
        cases: &["listener version unknown", "listener versions reversed"],
    },
    Difference {
        told: "A cipher suite that isn't safe",
        taken: false,
        cases: &["listener cipher suite weak"],
    },
    Difference {
        told: "Client certificates that are required of nobody's signing, or also not asked for",
        taken: false,
        cases: &[
            "listener client certificates without authority",
            "listener client certificates required and not asked for",
        ],
    },
    Difference {
        told: "An `address` of a `listener` without a port or a path",
        taken: false,
        cases: &["listener address without port", "listener socket without path"],
    },
    Difference {
        told: "A `socket_mode` that is no mode",
        taken: false,
        cases: &["listener socket mode wrong"],
    },
    Difference {
        told: "Two listeners at one place",
        taken: false,
        cases: &["listeners at one place"],
    },
    Difference {
        told: "A `persist` without a path, or of a type that there isn't",
        taken: false,
        cases: &["cache persist without path", "cache persist of another type"],
    },
    Difference {
        told: "Mistakes in keys of our own",
        taken: false,
        cases: &[
            "ours misspelt",
            "our metrics_address bad",
            "our on_exit bad",
            "our identity unknown",
            "our allow_users of a port",
            "our namespace bad",
            "our key of persist beside its file",
            "our key of persist for another type",
        ],
    },
];

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn what_openbao_agent_takes_is_taken_but_for_the_differences_that_are_told() {
    let cases = cases();
    assert!(cases.len() >= 80, "{}", cases.len());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts: Vec<_> = cases
            .chunks(cases.len().div_ceil(4))
            .map(|part| scope.spawn(|| part.iter().filter_map(disagreement).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for name in DIFFERENCES.iter().flat_map(|difference| difference.cases) {
        assert!(cases.iter().any(|case| case.name == *name), "there is no case {name:?}");
    }
}

/// What is not as it should be: one takes it and the other doesn't, and nothing tells so.
fn disagreement(Case { name, file, text }: &Case) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file);
    if text.contains(DIRECTORY) {
        let server = Authority::new("listeners").issue_for_server("127.0.0.1");
        std::fs::write(directory.path().join("c"), server.certificate).unwrap();
        std::fs::write(directory.path().join("k"), server.key).unwrap();
    }
    let text = text.replace(DIRECTORY, &directory.path().display().to_string());
    std::fs::write(&path, text).unwrap();
    let theirs = is_taken_by_openbao(&path);
    let (verdict, problems) = verdict(&path);
    let ours = verdict != "invalid";
    let told = DIFFERENCES.iter().find(|difference| difference.cases.contains(name));
    let as_told = match told {
        None => ours == theirs,
        Some(difference) => ours == difference.taken && theirs != difference.taken,
    };
    for problem in problems.as_array().unwrap() {
        assert!(problem["message"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
    (!as_told).then(|| format!("{name}: OpenBao Agent takes it: {theirs}; {verdict}: {problems}"))
}

#[test]
fn the_documentation_tells_every_difference_and_no_other() {
    for (heading, taken) in [("## Taken here", true), ("## Refused here", false)] {
        let listed: Vec<&str> = DIFFERENCES
            .iter()
            .filter(|difference| difference.taken == taken)
            .map(|difference| difference.told)
            .collect();
        assert_eq!(told_below(heading), listed, "{heading}");
    }
}

/// What stands in bold at the start of each item below a heading of the documentation.
fn told_below(heading: &str) -> Vec<&'static str> {
    let document = include_str!("../../../docs/compatibility.md");
    let (_, after) = document.split_once(&format!("{heading}\n")).expect("the heading");
    let section = after.split("\n## ").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**"))
        .map(|(told, _)| told)
        .collect()
}

#[test]
fn random_layouts_of_one_configuration_are_read_like_openbao_agent_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.hcl");
    for seed in 1..=40 {
        let text = Layout { state: seed }.text();
        std::fs::write(&path, &text).unwrap();
        assert!(is_taken_by_openbao(&path), "OpenBao Agent refuses\n{text}");
        let (verdict, problems) = verdict(&path);
        assert_eq!(verdict, "valid", "{problems}\n{text}");
    }
}

#[test]
fn files_have_the_form_mode_and_owner_that_openbao_agent_gives_them() {
    let site = Site::new(serde_json::json!({ "token_ttl": "1h" }));
    // A public key of RFC 7748, section 6.1.
    let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
    site.write("public.json", &format!("{{\"curve25519_public_key\":\"{key}\"}}"));
    let encrypted =
        format!("dh_type = \"curve25519\" dh_path = \"{}\"", site.file("public.json").display());
    let mut sinks = vec![
        ("plain", String::new(), ""),
        ("mode 0600", String::new(), "mode = 0600"),
        ("mode 0444", String::new(), "mode = 0444"),
        ("wrapped", "wrap_ttl = \"5m\"".to_owned(), ""),
        ("encrypted", encrypted.clone(), ""),
        ("derived", format!("{encrypted} derive_key = true aad = \"app\""), "mode = 0400"),
        ("wrapped and encrypted", format!("{encrypted} wrap_ttl = 300"), ""),
    ];
    if is_root() {
        sinks.push(("owned", String::new(), "uid = 65534 gid = 65534"));
    }
    let configuration = |agent: &str, around: bool| {
        let blocks: String = sinks
            .iter()
            // Inside `sinks` the incumbents take no notice of labels and of most settings.
            .filter(|(_, settings, _)| !around || settings.is_empty())
            .map(|(name, settings, config)| {
                let path = site.file(&format!("{agent} {name}"));
                let path = path.display();
                format!("sink {{ type = \"file\" {settings} config {{ path = \"{path}\" {config} }} }}\n")
            })
            .collect::<Vec<_>>()
            .concat();
        let blocks = if around { format!("sinks {{\n{blocks}}}\n") } else { blocks };
        format!(
            "exit_after_auth = true\nvault {{ address = \"{}\" }}\nauto_auth {{\nmethod \"approle\" {{ config {{ role_id_file_path = \"{}\" secret_id_file_path = \"{}\" remove_secret_id_file_after_reading = false }} }}\n{blocks}}}\n",
            site.bao.address(),
            site.file("role-id").display(),
            site.file("secret-id").display(),
        )
    };
    for around in [false, true] {
        let theirs = site.file("theirs.hcl");
        std::fs::write(&theirs, configuration("theirs", around)).unwrap();
        run_openbao_agent(&theirs);
        let ended = Launch::agent(&configuration("ours", around)).run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
        for (name, settings, _) in &sinks {
            if around && !settings.is_empty() {
                continue;
            }
            let theirs = Form::of(&site.file(&format!("theirs {name}")));
            let ours = Form::of(&site.file(&format!("ours {name}")));
            assert_eq!(ours, theirs, "{name}, in sinks: {around}");
        }
    }
}

/// What readers of a sink's file depend on.
#[derive(Debug, PartialEq, Eq)]
struct Form {
    mode: u32,
    owner: (u32, u32),
    ends_with_newline: bool,
    /// Keys in order with the type of their values; `None`: a bare token.
    members: Option<Vec<(String, &'static str)>>,
}

impl Form {
    fn of(path: &Path) -> Self {
        let metadata =
            std::fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).unwrap();
        let members = serde_json::from_str::<Value>(&text).ok().map(|value| {
            let object = value.as_object().expect("an object");
            let mut members: Vec<(usize, String, &'static str)> = object
                .iter()
                .map(|(key, value)| {
                    let place = text.find(&format!("\"{key}\":")).expect("the key");
                    let kind = match value {
                        Value::String(_) => "string",
                        Value::Number(number) if number.is_u64() => "whole number",
                        _ => "something else",
                    };
                    (place, key.clone(), kind)
                })
                .collect();
            members.sort();
            members.into_iter().map(|(_, key, kind)| (key, kind)).collect()
        });
        assert!(members.is_some() || text.starts_with("s."), "no token: {}", path.display());
        Self {
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            ends_with_newline: text.ends_with('\n'),
            members,
        }
    }
}

/// Until it ends by itself.
fn run_openbao_agent(file: &Path) {
    run_openbao_agent_with("022", file);
}

/// The same with another umask.
fn run_openbao_agent_with(umask: &str, file: &Path) {
    let output = Command::new("timeout")
        .args(["--signal=KILL", "60"])
        .args(["sh", "-c", "umask \"$0\"; exec \"$@\"", umask])
        .arg(setup_directory().join("bao"))
        .args(["agent", "-exit-after-auth"])
        .arg(format!("-config={}", file.display()))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", file.parent().unwrap())
        .output()
        .expect("OpenBao can be started");
    assert!(output.status.success(), "{output:?}");
}

/// Whether OpenBao Agent would start with it, as far as it can say without starting.
fn is_taken_by_openbao(file: &Path) -> bool {
    let output = Command::new(setup_directory().join("bao"))
        .args(["agent", "-test-verify-only"])
        .arg(format!("-config={}", file.display()))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", file.parent().unwrap())
        .output()
        .expect("OpenBao can be started");
    output.status.success()
}

fn verdict(file: &Path) -> (String, Value) {
    let ended =
        Launch::command(&["validate", "--format", "json", "--config"]).argument(file).run(LIMIT);
    let mut answer: Value =
        serde_json::from_str(&ended.results).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let verdict = answer["verdict"].as_str().unwrap_or_default().to_owned();
    assert_eq!(ended.status, if verdict == "valid" { 0 } else { 2 }, "{ended:?}");
    (verdict, answer["problems"].take())
}

/// Writes one configuration in random ways that HCL 1 allows.
struct Layout {
    state: u64,
}

impl Layout {
    fn text(mut self) -> String {
        let role = self.attribute("role_id_file_path", "\"/r\"");
        let remove = self.attribute("remove_secret_id_file_after_reading", "false");
        let config = self.block("config", &[role, remove]);
        let backoff = self.attribute("min_backoff", "\"2s\"");
        let method = self.typed("method", "approle", vec![config, backoff]);
        let path = self.attribute("path", "\"/s\"");
        let mode = self.attribute("mode", "0640");
        let config = self.block("config", &[path, mode]);
        let sink = self.typed("sink", "file", vec![config]);
        let auto_auth = self.block("auto_auth", &[method, sink]);
        let pid_file = self.attribute("pid_file", "\"/p ${x} \\\" \\\\\"");
        let level = self.attribute("log_level", "\"warn\"");
        let mut items = [auto_auth, pid_file, level];
        let last = self.choose(items.len());
        items.swap(0, last);
        let blanks: Vec<String> = items.iter().map(|_| self.blank()).collect();
        items.iter().zip(&blanks).flat_map(|(item, blank)| [item.as_str(), blank]).collect()
    }

    /// Among so many ways; the constants are Knuth's (MMIX).
    fn choose(&mut self, count: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).unwrap() % count
    }

    fn blank(&mut self) -> String {
        const BLANKS: [&str; 6] = [" ", "\n", "\t", " # x = { \"\n", " // ]\n", " /* a = \" */ "];
        BLANKS[self.choose(BLANKS.len())].to_owned()
    }

    /// As it is, in another case, or quoted.
    fn key(&mut self, name: &str) -> String {
        match self.choose(4) {
            0 => format!("\"{name}\""),
            1 => name.to_uppercase(),
            _ => name.to_owned(),
        }
    }

    /// Keys of a plug-in's settings keep their case.
    fn attribute(&mut self, name: &str, value: &str) -> String {
        let key = match self.choose(3) {
            0 => format!("\"{name}\""),
            _ => name.to_owned(),
        };
        let (before, after) = (self.blank(), self.blank());
        let comma = if before.contains('#') || self.choose(3) > 0 { "" } else { "," };
        let blank = if before.contains(['#', '/']) { " " } else { before.as_str() };
        format!("{key}{blank}={blank}{value}{comma}{after}")
    }

    fn block(&mut self, name: &str, items: &[String]) -> String {
        let key = self.key(name);
        let equals = if self.choose(2) == 0 { " =" } else { "" };
        format!("{key}{equals} {{{}{}}}{}", self.blank(), items.concat(), self.blank())
    }

    fn typed(&mut self, name: &str, kind: &str, mut items: Vec<String>) -> String {
        match self.choose(4) {
            0 => {
                let attribute = self.attribute("type", &format!("\"{kind}\""));
                items.push(attribute);
                self.block(name, &items)
            }
            1 => format!("{} {kind} {{{}}}{}", self.key(name), items.concat(), self.blank()),
            _ => format!("{} \"{kind}\" {{{}}}{}", self.key(name), items.concat(), self.blank()),
        }
    }
}
