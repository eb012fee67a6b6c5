//! `usher token keygen` and `usher token read`.
#![allow(clippy::expect_used, reason = "helpers fail the test that calls them")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use usher_tests::agent::{Ended, Launch};
use usher_tests::leaks::leaks;
use usher_tests::openbao::OpenBao;
use usher_tests::oracle::seal_envelope;

#[test]
fn keygen_writes_both_halves_with_their_modes_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let desk = Desk::new();
        let ended = desk.keygen("key", "public").umask(umask).run(LIMIT);
        assert_eq!((ended.status, ended.results.as_str(), ended.log.as_str()), (0, "", ""));
        assert_eq!(desk.mode("key"), 0o600);
        assert_eq!(desk.mode("public"), 0o644);
        assert_eq!(desk.files(), ["key", "public"]);
        let member = |file: &str, name: &str| {
            let value: Value = serde_json::from_str(&desk.content(file)).expect("JSON");
            value[name].as_str().expect("text").len()
        };
        assert_eq!(member("key", "curve25519_private_key"), 44);
        assert_eq!(member("public", "curve25519_public_key"), 44);
    }
}

#[test]
fn keygen_overwrites_nothing_and_leaves_no_half_behind() {
    for existing in ["key", "public"] {
        let desk = Desk::new();
        desk.write(existing, "precious");
        let ended = desk.keygen("key", "public").run(LIMIT);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.log.contains("is there already"), "{ended:?}");
        assert!(ended.log.contains(&desk.file(existing).display().to_string()), "{ended:?}");
        assert_eq!(desk.content(existing), "precious");
        assert_eq!(desk.files(), [existing]);
    }
    let desk = Desk::new();
    let ended = desk.keygen("key", "no-such-directory/public").run(LIMIT);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.log.contains("make the directory first"), "{ended:?}");
    assert_eq!(desk.files(), [""; 0]);
    assert_eq!(desk.keygen("key", "key").run(LIMIT).status, 2);
    assert_eq!(Launch::command(&["token", "keygen"]).run(LIMIT).status, 2);
}

#[test]
fn a_bare_token_is_printed_with_one_line_break() {
    let desk = Desk::new();
    for content in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("  {TOKEN}\r\n\n")] {
        desk.write("token", &content);
        let ended = desk.read("token", &[]);
        assert_eq!((ended.status, ended.results), (0, format!("{TOKEN}\n")), "{}", ended.log);
        assert_eq!(ended.log, "");
    }
}

#[test]
fn what_holds_no_token_is_one_clear_error() {
    let desk = Desk::with_keys();
    desk.write("empty", "\n");
    std::fs::create_dir(desk.file("directory")).expect("a directory");
    std::fs::write(desk.file("binary"), b"\xff\x00\x80").expect("a file");
    desk.write("words", "the token is s.secret-token-1234");
    desk.write("large", &"x".repeat(1024 * 1024 + 1));
    desk.write("other", r#"{"data":{"token":"s.secret-token-1234"}}"#);
    desk.write("cut", r#"{"token":"s.secret-token-1234"#);
    desk.write("token", TOKEN);
    desk.write("wrapped", &wrap_info(TOKEN, "sys/wrapping/wrap", "2026-11-22T01:06:41Z"));
    desk.seal("sealed", "app", TOKEN);
    let envelope = desk.content("sealed");
    desk.write("cut-envelope", &envelope[..envelope.len() - 9]);
    let mut changed: Value = serde_json::from_str(&envelope).expect("JSON");
    changed["nonce"] = "AAAAAAAAAAAAAAAA".into();
    desk.write("changed-envelope", &changed.to_string());
    desk.seal("twice", "", &envelope);
    desk.write("aad", "app");
    desk.write("other-aad", "web");
    let aad = desk.path("aad");
    let [key, other_key, public] = ["key", "other-key", "public"].map(|name| desk.path(name));
    let with_key = ["--private-key", key.as_str()];
    let sealed_with = |key: &str, aad: &str| {
        ["--private-key", key, "--aad-file", aad].map(str::to_owned).to_vec()
    };
    let plain = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().map(|&argument| argument.to_owned()).collect()
    };
    for (file, arguments, expected) in [
        ("missing", plain(&[]), "No such file"),
        ("empty", plain(&[]), "the token is empty"),
        ("directory", plain(&[]), "directory"),
        ("binary", plain(&[]), "it is not text"),
        ("words", plain(&[]), "one word"),
        ("large", plain(&[]), "larger than 1 MiB"),
        ("other", plain(&[]), "it is other JSON"),
        ("cut", plain(&[]), "cut short"),
        ("key", plain(&[]), "it is a private key"),
        ("public", plain(&[]), "it is a public key"),
        ("wrapped", plain(&[]), "give --unwrap"),
        ("sealed", plain(&[]), "give --private-key"),
        ("token", plain(&["--unwrap"]), "not wrapped, though --unwrap is given"),
        ("token", plain(&with_key), "not encrypted, though --private-key is given"),
        ("wrapped", plain(&with_key), "not encrypted, though --private-key is given"),
        ("sealed", plain(&with_key), "give --aad-file or --aad-env"),
        ("twice", plain(&with_key), "encrypted twice"),
        ("sealed", sealed_with(&other_key, &aad), "check --private-key"),
        ("sealed", sealed_with(&key, &desk.path("other-aad")), "doesn't open"),
        ("sealed", sealed_with(&key, &desk.path("no-aad")), "the additional data"),
        ("sealed", sealed_with(&public, &aad), "\"curve25519_private_key\" is missing"),
        ("sealed", sealed_with(&desk.path("no-key"), &aad), "the private key"),
        ("sealed", sealed_with(&desk.path("binary"), &aad), "this is no private key"),
        ("cut-envelope", sealed_with(&key, &aad), "cut short"),
        ("changed-envelope", sealed_with(&key, &aad), "doesn't open"),
        ("sealed", plain(&[&with_key[..], &["--aad-env", "NOT_SET"]].concat()), "NOT_SET"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = desk.read(file, &[&arguments[..], &["--remove"]].concat());
        let case = format!("{file} {arguments:?}: {ended:?}");
        assert_eq!((ended.status, ended.results.as_str()), (1, ""), "{case}");
        assert_eq!(ended.log.lines().count(), 1, "{case}");
        assert!(ended.log.starts_with("error: ") && ended.log.contains(expected), "{case}");
        let private: Value = serde_json::from_str(&desk.content("key")).expect("JSON");
        let private = private["curve25519_private_key"].as_str().expect("text").to_owned();
        let secrets = [TOKEN.to_owned(), private];
        assert_eq!(leaks(&ended.log, &secrets), [""; 0], "{case}");
        // Nothing was removed.
        assert_eq!(file == "missing", !desk.file(file).exists(), "{case}");
    }
    let aad = ["--aad-file", &aad, "--aad-env", "A"];
    for wrong in [
        &[][..],
        &["--aad-file", "x"],
        &[&with_key[..], &aad[..]].concat(),
        &["--creation-path", "auth/approle/login"],
        &["--no-such-flag"],
    ] {
        let file = if wrong.is_empty() { &[][..] } else { &["file"] };
        let ended = Launch::command(&[&["token", "read"], file, wrong].concat()).run(LIMIT);
        assert_eq!(ended.status, 2, "{wrong:?}: {ended:?}");
    }
}

#[test]
fn the_file_is_removed_once_the_token_is_printed_and_with_a_link_what_it_leads_to() {
    let desk = Desk::new();
    desk.write("token", TOKEN);
    let ended = desk.read("token", &["--remove"]);
    assert_eq!((ended.status, ended.results), (0, format!("{TOKEN}\n")), "{}", ended.log);
    assert_eq!(desk.files(), [""; 0]);
    desk.write("version-1", TOKEN);
    std::os::unix::fs::symlink("version-1", desk.file("token")).expect("a link");
    let ended = desk.read("token", &["--remove"]);
    assert_eq!((ended.status, ended.results), (0, format!("{TOKEN}\n")), "{}", ended.log);
    assert_eq!(desk.files(), ["token"]);
}

#[test]
fn a_token_that_nobody_could_read_stays() {
    let desk = Desk::new();
    desk.write("token", TOKEN);
    let status = std::process::Command::new("sh")
        .args(["-c", "exec \"$@\" > /dev/full", "sh"])
        .arg(usher_tests::agent::binary())
        .args(["token", "read", "--remove", &desk.path("token")])
        .status()
        .expect("a shell");
    assert_eq!(status.code(), Some(1));
    assert_eq!(desk.content("token"), TOKEN);
}

#[test]
fn a_wrapped_token_is_unwrapped_once_and_then_reported() {
    let bao = OpenBao::start();
    let desk = Desk::new();
    let wrapping = bao.wrapped("sys/wrapping/wrap", &json!({ "token": TOKEN }));
    desk.write("token", &wrap_info(&wrapping, "sys/wrapping/wrap", &created(&bao, &wrapping)));
    let unwrap = |more: &[&str]| {
        desk.read("token", &[&["--unwrap", "--address", bao.address()], more].concat())
    };
    let ended = unwrap(&[]);
    assert_eq!((ended.status, ended.results), (0, format!("{TOKEN}\n")), "{}", ended.log);
    let ended = unwrap(&["--remove"]);
    assert_eq!((ended.status, ended.results.as_str()), (1, ""), "{}", ended.log);
    for part in ["POSSIBLE INTERCEPTION", "valid until 20", "revoke", "audit log"] {
        assert!(ended.log.contains(part), "{}", ended.log);
    }
    assert_eq!(leaks(&ended.log, &[wrapping.clone(), TOKEN.into()]), [""; 0]);
    assert!(desk.file("token").exists(), "removed without success");
    // The same of one that is too old, as far as the file is to be believed.
    desk.write("token", &wrap_info(&wrapping, "sys/wrapping/wrap", "2020-02-20T02:20:20.5Z"));
    let ended = unwrap(&[]);
    assert_eq!(ended.status, 1, "{}", ended.log);
    assert!(ended.log.contains("expired at 2020-02-20T02:25:20.5Z"), "{}", ended.log);
}

#[test]
fn a_wrapping_token_from_elsewhere_is_left_wrapped() {
    let bao = OpenBao::start();
    bao.enable_approle("approle");
    bao.create_role("app", json!({}));
    let desk = Desk::new();
    let wrapping = bao.wrapped_secret_id("app");
    let path = "auth/approle/role/app/secret-id";
    let refused = |written: &str, more: &[&str], expected: &str| {
        desk.write("token", &wrap_info(&wrapping, written, &created(&bao, &wrapping)));
        let ended = desk
            .command("token", &[&["--unwrap"], more].concat())
            .environment("VAULT_ADDR", bao.address())
            .run(LIMIT);
        assert_eq!((ended.status, ended.results.as_str()), (1, ""), "{}", ended.log);
        assert!(ended.log.contains(expected), "{}", ended.log);
        assert_eq!(leaks(&ended.log, std::slice::from_ref(&wrapping)), [""; 0]);
    };
    let login = ["--creation-path", "auth/approle/login"];
    for (written, more, expected) in [
        ("sys/wrapping/wrap", &[][..], "not by \"sys/wrapping/wrap\" as the file says"),
        (path, &[], "neither by sys/wrapping/wrap nor by a login"),
        (path, &login, "not by auth/approle/login as --creation-path demands"),
    ] {
        refused(written, more, expected);
        assert!(bao.is_wrapped(&wrapping), "{more:?}");
    }
    // It may be unwrapped on demand; no token is in it.
    refused(path, &["--creation-path", path], "no token of a sink or a login");
    assert!(!bao.is_wrapped(&wrapping));
}

#[test]
fn a_server_that_cannot_be_reached_costs_nothing() {
    let bao = OpenBao::start();
    let desk = Desk::new();
    let wrapping = bao.wrapped("sys/wrapping/wrap", &json!({ "token": TOKEN }));
    desk.write("token", &wrap_info(&wrapping, "sys/wrapping/wrap", &created(&bao, &wrapping)));
    let unwrap = |address: &str| desk.read("token", &["--unwrap", "--address", address]);
    let ended = unwrap("http://127.0.0.1:1");
    assert_eq!((ended.status, ended.results.as_str()), (1, ""), "{}", ended.log);
    assert!(ended.log.contains("still wrapped, try again"), "{}", ended.log);
    assert!(!ended.log.contains("INTERCEPTION"), "{}", ended.log);
    assert_eq!(leaks(&ended.log, std::slice::from_ref(&wrapping)), [""; 0]);
    let ended = unwrap("no-scheme:8200");
    assert_eq!(ended.status, 2, "{}", ended.log);
    assert!(ended.log.contains("https://HOST:8200"), "{}", ended.log);
    let ended = unwrap(bao.address());
    assert_eq!((ended.status, ended.results), (0, format!("{TOKEN}\n")), "{}", ended.log);
}

/// A directory for one reader's files.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// With "key" and "public", and the "other-key" and "other-public" of somebody else.
    fn with_keys() -> Self {
        let desk = Self::new();
        for (private, public) in [("key", "public"), ("other-key", "other-public")] {
            assert_eq!(desk.keygen(private, public).run(LIMIT).status, 0);
        }
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.file(name), content).expect("a file");
    }

    /// For the owner of "key".
    fn seal(&self, name: &str, aad: &str, plaintext: &str) {
        let envelope = seal_envelope(&self.file("public"), true, aad, plaintext.as_bytes());
        std::fs::write(self.file(name), envelope).expect("a file");
    }

    fn content(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).expect("a file")
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = std::fs::metadata(self.file(name)).expect("a file");
        metadata.permissions().mode() & 0o7777
    }

    fn files(&self) -> Vec<String> {
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        let entries = std::fs::read_dir(self.0.path()).expect("a directory");
        let mut names: Vec<String> =
            entries.map(|entry| name(&entry.expect("an entry").path())).collect();
        names.sort();
        names
    }

    fn keygen(&self, private: &str, public: &str) -> Launch {
        Launch::command(&["token", "keygen"])
            .argument("--private-key")
            .argument(self.file(private))
            .argument("--public-key")
            .argument(self.file(public))
    }

    fn command(&self, file: &str, arguments: &[&str]) -> Launch {
        Launch::command(&[&["token", "read"], arguments].concat()).argument(self.file(file))
    }

    fn read(&self, file: &str, arguments: &[&str]) -> Ended {
        self.command(file, arguments).run(LIMIT)
    }
}

/// What a wrapping sink delivers, valid for five minutes.
fn wrap_info(token: &str, path: &str, created: &str) -> String {
    format!(
        "{{\"token\":\"{token}\",\"accessor\":\"a\",\"ttl\":300,\"creation_time\":\"{created}\",\"creation_path\":\"{path}\",\"wrapped_accessor\":\"\"}}\n"
    )
}

fn created(bao: &OpenBao, wrapping: &str) -> String {
    let answer = bao.write("sys/wrapping/lookup", json!({ "token": wrapping }));
    answer["data"]["creation_time"].as_str().expect("a time").to_owned()
}

const TOKEN: &str = "s.secret-token-1234";
const LIMIT: Duration = Duration::from_mins(1);
