//! Encrypted and wrapped sinks: an independent client and `usher token read` open what agents
//! write.
#![allow(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers fail the test that calls them"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use usher_tests::agent::{Ended, Launch};
use usher_tests::incumbent::Incumbent;
use usher_tests::oracle::{open_envelope, seal_envelope};
use usher_tests::site::Site;

#[test]
fn an_independent_client_and_token_read_open_what_the_real_agent_writes() {
    check_all(|configuration| {
        Incumbent::start(configuration, &[(VARIABLE, AAD)]).succeeds(LIMIT);
    });
}

#[test]
fn an_independent_client_and_token_read_open_what_usher_writes() {
    check_all(|configuration| {
        let ended = Launch::agent(configuration).environment(VARIABLE, AAD).run(LIMIT);
        assert_eq!(ended.status, 0, "{}", ended.log);
    });
}

#[test]
fn token_read_opens_what_an_independent_client_seals() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let [private, public, file] = ["key", "public.json", "token"].map(|n| directory.path().join(n));
    make_keys(&private, &public);
    for derive_key in [false, true] {
        for aad in [Aad::None, Aad::Text, Aad::Variable] {
            let line = seal_envelope(&public, derive_key, aad.text(), b"s.sealed-by-python");
            std::fs::write(&file, line).expect("the token file");
            let read = Reading { file: &file, private: Some(&private), aad };
            let ended = read.command().run(LIMIT);
            assert_eq!((ended.status, ended.results.as_str()), (0, "s.sealed-by-python\n"));
        }
    }
}

/// Has an agent write every combination, with sinks that wrap and with a method that does, and
/// opens each.
fn check_all(run_agent: impl Fn(&str)) {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let [private, public] = ["key", "public.json"].map(|name| site.file(name));
    make_keys(&private, &public);
    let configuration = |method_settings: &str, rows: &[Row]| {
        let mut configuration = site.configuration();
        configuration.top = "exit_after_auth = true".into();
        configuration.auto_auth = String::new();
        configuration.sinks.clear();
        configuration.method_settings += method_settings;
        let text = configuration.text();
        let mut text = text.strip_suffix("}\n").expect("the end of auto_auth").to_owned();
        for row in rows {
            text += &row.sink(&site.file(&row.name()), &public);
        }
        text + "}\n"
    };
    let mut rows = Row::all(false);
    rows.extend(Row::all(true));
    run_agent(&configuration("", &rows));
    for row in rows {
        row.check(&site, &private, row.wrapped.then_some("sys/wrapping/wrap"));
    }
    // A method that wraps may have one sink only.
    for row in Row::all(false) {
        std::fs::remove_file(site.file(&row.name())).expect("the file of the run before");
        run_agent(&configuration("\nwrap_ttl = \"5m\"", &[row]));
        row.check(&site, &private, Some("auth/approle/login"));
    }
}

/// One sink.
#[derive(Clone, Copy, Debug)]
struct Row {
    encrypted: bool,
    derive_key: bool,
    aad: Aad,
    /// By the sink.
    wrapped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Aad {
    None,
    Text,
    Variable,
}

impl Row {
    fn all(wrapped: bool) -> Vec<Self> {
        let mut rows = vec![Self { encrypted: false, derive_key: false, aad: Aad::None, wrapped }];
        for derive_key in [false, true] {
            for aad in [Aad::None, Aad::Text, Aad::Variable] {
                rows.push(Self { encrypted: true, derive_key, aad, wrapped });
            }
        }
        rows
    }

    fn name(self) -> String {
        let Self { encrypted, derive_key, aad, wrapped } = self;
        format!("token-{encrypted}-{derive_key}-{aad:?}-{wrapped}")
    }

    fn sink(self, file: &Path, public: &Path) -> String {
        let mut text = String::from("sink \"file\" {\n");
        if self.wrapped {
            text += "  wrap_ttl = \"5m\"\n";
        }
        if self.encrypted {
            let public = public.display();
            writeln!(text, "  dh_type = \"curve25519\"\n  dh_path = \"{public}\"").expect("text");
        }
        if self.derive_key {
            text += "  derive_key = true\n";
        }
        match self.aad {
            Aad::None => {}
            Aad::Text => writeln!(text, "  aad = \"{AAD}\"").expect("text"),
            Aad::Variable => writeln!(text, "  aad_env_var = \"{VARIABLE}\"").expect("text"),
        }
        writeln!(text, "  config = {{ path = \"{}\" }}\n}}", file.display()).expect("text");
        text
    }

    /// `wrapped_by`: the creation path, if what the sink got or made is a wrapping token.
    fn check(self, site: &Site, private: &Path, wrapped_by: Option<&str>) {
        eprintln!("{self:?}, wrapped by {wrapped_by:?}");
        let file = site.file(&self.name());
        let written = std::fs::read(&file).expect("the sink's file");
        let plaintext = if self.encrypted {
            assert_envelope(&written);
            open_envelope(private, self.derive_key, self.aad.text(), &written)
        } else {
            written
        };
        let plaintext = String::from_utf8(plaintext).expect("text");
        let private = self.encrypted.then_some(private);
        let read = Reading { file: &file, private, aad: self.aad };
        let Some(path) = wrapped_by else {
            assert!(site.bao.is_valid(&plaintext), "{self:?}: the token is not valid");
            let ended = read.command().run(LIMIT);
            assert_eq!(
                (ended.status, ended.results),
                (0, format!("{plaintext}\n")),
                "{}",
                ended.log
            );
            return;
        };
        assert_wrap_info(&plaintext, path);
        let unwrap = || -> Ended {
            let command = read.command().argument("--unwrap");
            command.environment("BAO_ADDR", site.bao.address()).run(LIMIT)
        };
        let ended = read.command().run(LIMIT);
        assert_eq!((ended.status, ended.results.as_str()), (1, ""), "wrapped, and printed");
        assert!(ended.log.contains("--unwrap"), "{}", ended.log);
        let ended = unwrap();
        assert_eq!(ended.status, 0, "{}", ended.log);
        let token = ended.results.strip_suffix('\n').expect("a line");
        assert!(site.bao.is_valid(token), "{self:?}: the unwrapped token is not valid");
        let ended = unwrap();
        assert_eq!((ended.status, ended.results.as_str()), (1, ""), "{}", ended.log);
        assert!(ended.log.contains("POSSIBLE INTERCEPTION"), "{}", ended.log);
    }
}

impl Aad {
    fn text(self) -> &'static str {
        if self == Self::None { "" } else { AAD }
    }
}

/// What `usher token read` needs to open a file.
struct Reading<'a> {
    file: &'a Path,
    private: Option<&'a Path>,
    aad: Aad,
}

impl Reading<'_> {
    /// The additional data comes from a file with a line break, or from the environment.
    fn command(&self) -> Launch {
        let mut command = Launch::command(&["token", "read"]).argument(self.file);
        if let Some(private) = self.private {
            command = command.argument("--private-key").argument(private);
        }
        match self.aad {
            Aad::None => command,
            Aad::Text => {
                let file = self.file.with_extension("aad");
                std::fs::write(&file, format!("{AAD}\n")).expect("the file of the aad");
                command.argument("--aad-file").argument(file)
            }
            Aad::Variable => {
                command.argument("--aad-env").argument(VARIABLE).environment(VARIABLE, AAD)
            }
        }
    }
}

fn make_keys(private: &Path, public: &Path) {
    let command = Launch::command(&["token", "keygen", "--private-key"]).argument(private);
    let ended = command.argument("--public-key").argument(public).run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
}

/// One line, these members in this order, no space between them.
fn assert_envelope(line: &[u8]) {
    let text = std::str::from_utf8(line).expect("text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    let member = |name: &str| value[name].as_str().expect("text");
    let expected = format!(
        "{{\"curve25519_public_key\":\"{}\",\"nonce\":\"{}\",\"encrypted_payload\":\"{}\"}}\n",
        member("curve25519_public_key"),
        member("nonce"),
        member("encrypted_payload")
    );
    assert_eq!(text, expected);
}

/// The same for a wrapping token's JSON, whose `ttl` is a number.
fn assert_wrap_info(text: &str, path: &str) {
    let value: Value = serde_json::from_str(text).expect("JSON");
    let member = |name: &str| value[name].as_str().expect("text");
    let expected = format!(
        "{{\"token\":\"{}\",\"accessor\":\"{}\",\"ttl\":300,\"creation_time\":\"{}\",\
         \"creation_path\":\"{path}\",\"wrapped_accessor\":\"{}\"}}\n",
        member("token"),
        member("accessor"),
        member("creation_time"),
        member("wrapped_accessor")
    );
    assert_eq!(text, expected);
    let time = member("creation_time");
    assert!(time.ends_with('Z') && time.contains('.'), "nanoseconds in UTC: {time}");
    assert_eq!(member("wrapped_accessor").is_empty(), path == "sys/wrapping/wrap");
}

const AAD: &str = "app=web, région=eu";
const VARIABLE: &str = "SINK_AAD";
const LIMIT: Duration = Duration::from_mins(1);
