//! The method against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use usher_plugin::testing::{self, Host, Operation};
use usher_plugin::{Credential, Kind};

const ROLE: &str = "/run/role-id";
const SECRET: &str = "/run/secret-id";
const CREATION_PATH: &str = "auth/approle/role/app/secret-id";

fn plain() -> Value {
    json!({"role_id_file_path": ROLE, "secret_id_file_path": SECRET})
}

fn wrapped() -> Value {
    json!({
        "role_id_file_path": ROLE,
        "secret_id_file_path": SECRET,
        "secret_id_response_wrapping_path": CREATION_PATH,
    })
}

fn host() -> Host {
    let host = Host::install();
    host.put_file(ROLE, "role\n");
    host
}

fn wrap(host: &Host, token: &str, secret_id: &str) {
    host.wrap(token, CREATION_PATH, json!({"data": {"secret_id": secret_id}}));
    host.put_file(SECRET, token);
}

fn authenticate(config: &Value) -> Result<(Value, String), Failure> {
    let answer = testing::authenticate::<AppRole>(config)?;
    let Credential::Login(login) = answer.credential else { panic!("not a login") };
    assert_eq!(login.path, "login");
    Ok((login.body, answer.revision))
}

fn body(config: &Value) -> Value {
    authenticate(config).unwrap().0
}

fn failure(config: &Value) -> Failure {
    authenticate(config).unwrap_err()
}

#[test]
fn both_credentials_are_sent_without_white_space() {
    let host = host();
    host.put_file(SECRET, "\t secret \r\n");
    assert_eq!(body(&plain()), json!({"role_id": "role", "secret_id": "secret"}));
}

#[test]
fn without_a_secret_id_file_the_role_id_goes_alone() {
    let _host = host();
    assert_eq!(body(&json!({"role_id_file_path": ROLE})), json!({"role_id": "role"}));
    let empty = json!({"role_id_file_path": ROLE, "secret_id_file_path": ""});
    assert_eq!(body(&empty), json!({"role_id": "role"}));
}

#[test]
fn needs_follow_the_configuration() {
    let _host = host();
    let needs = |config: Value| testing::prepare_method::<AppRole>(&config).unwrap();
    assert_eq!(needs(json!({"role_id_file_path": ROLE})), [Need::watch(ROLE)]);
    let both = [Need::watch(ROLE), Need::watch(SECRET)];
    assert_eq!(needs(plain())[..2], both);
    assert_eq!(needs(plain())[2..], [Need::remove(SECRET)]);
    assert_eq!(needs(wrapped())[2..], [Need::remove(SECRET), Need::unwrap()]);
    let mut keep = plain();
    keep["remove_secret_id_file_after_reading"] = json!("f");
    assert_eq!(needs(keep), both);
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = host();
    for (config, key) in [
        (json!({}), "role_id_file_path"),
        (json!({"role_id_file_path": ""}), "role_id_file_path"),
        (json!({"role_id_file_path": 7}), "role_id_file_path"),
        (
            json!({"role_id_file_path": ROLE, "secret_id_response_wrapping_path": ""}),
            "secret_id_response_wrapping_path",
        ),
        (
            json!({"role_id_file_path": ROLE, "remove_secret_id_file_after_reading": "maybe"}),
            "remove_secret_id_file_after_reading",
        ),
    ] {
        let failure = testing::prepare_method::<AppRole>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config);
        assert!(failure.message.contains(key), "{failure}");
    }
}

#[test]
fn a_key_that_the_incumbents_ignore_is_no_failure() {
    let _host = host();
    let config = json!({"role_id_file_path": ROLE, "comment": "x"});
    assert!(testing::prepare_method::<AppRole>(&config).is_ok());
}

#[test]
fn a_missing_empty_or_unreadable_file_is_unavailable_and_named() {
    let host = Host::install();
    let missing = failure(&plain());
    assert_eq!((missing.kind, missing.code.as_str()), (Kind::Unavailable, "file.not-found"));
    assert!(missing.message.contains("role-id") && missing.message.contains(ROLE), "{missing}");

    host.put_file(ROLE, " \n");
    assert_eq!(failure(&plain()).code, "file.empty");

    host.put_file(ROLE, "role");
    let forbidden = Failure::config("file.not-regular", format!("{SECRET} is a directory"));
    host.fail(Operation::Read, SECRET, forbidden);
    let unreadable = failure(&plain());
    assert_eq!(unreadable.kind, Kind::Unavailable);
    assert!(unreadable.message.contains(SECRET), "{unreadable}");
}

#[test]
fn values_read_before_serve_while_their_files_are_gone() {
    let host = host();
    host.put_file(SECRET, "secret");
    let (first, revision) = authenticate(&plain()).unwrap();
    host.delete_file(ROLE);
    host.put_file(SECRET, "");
    assert_eq!(authenticate(&plain()).unwrap(), (first, revision));
}

#[test]
fn a_value_of_another_file_does_not_serve() {
    let host = host();
    host.put_file(SECRET, "secret");
    body(&plain());
    let other = json!({"role_id_file_path": ROLE, "secret_id_file_path": "/run/other"});
    assert_eq!(failure(&other).kind, Kind::Unavailable);
}

#[test]
fn a_new_file_counts_for_more_than_what_was_read_before() {
    let host = host();
    host.put_file(SECRET, "old");
    body(&plain());
    host.set_previous_failure(Some(Failure::denied("server.refused", "invalid secret id")));
    assert_eq!(body(&plain())["secret_id"], "old");
    host.put_file(SECRET, "new");
    assert_eq!(body(&plain())["secret_id"], "new");
    host.delete_file(SECRET);
    assert_eq!(body(&plain())["secret_id"], "new");
}

#[test]
fn a_stale_secret_id_is_not_offered_when_a_new_one_cannot_be_unwrapped() {
    let host = host();
    wrap(&host, "token-1", "first");
    body(&wrapped());
    host.put_file(SECRET, "token-2");
    let lost = Failure::unavailable("server.unreachable", "no answer");
    host.fail(Operation::Unwrap, "token-2", lost);
    let failure = failure(&wrapped());
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, "server.unreachable"));
}

#[test]
fn the_revision_changes_with_the_credentials_and_only_then() {
    let host = host();
    host.put_file(SECRET, "secret");
    let revision = || authenticate(&plain()).unwrap().1;
    let first = revision();
    assert_eq!(revision(), first);
    host.put_file(SECRET, "secret\n");
    assert_eq!(revision(), first, "white space is no change");
    host.put_file(SECRET, "other");
    let second = revision();
    assert_ne!(second, first);
    host.put_file(ROLE, "other");
    assert_ne!(revision(), second);
    host.put_file(ROLE, "role");
    host.put_file(SECRET, "secret");
    assert_eq!(revision(), first, "the first credentials are back");
}

#[test]
fn the_revision_of_a_wrapped_secret_id_stays_when_its_file_is_removed() {
    let host = host();
    wrap(&host, "token-1", "first");
    let (_, revision) = authenticate(&wrapped()).unwrap();
    testing::authenticated::<AppRole>(&wrapped()).unwrap();
    assert_eq!(host.file(SECRET), None);
    host.set_reason("check");
    assert_eq!(authenticate(&wrapped()).unwrap().1, revision);
    wrap(&host, "token-2", "second");
    let (body, next) = authenticate(&wrapped()).unwrap();
    assert_eq!(body["secret_id"], "second");
    assert_ne!(next, revision);
}

#[test]
fn the_revision_is_no_plain_digest() {
    let revision_of_one_use = || {
        let host = host();
        host.put_file(SECRET, "secret");
        host.set_state(b"");
        let first = authenticate(&plain()).unwrap().1;
        host.set_state(b"");
        (first, authenticate(&plain()).unwrap().1)
    };
    let (one, other) = revision_of_one_use();
    assert_ne!(one, other, "two uses of the same credentials have different revisions");
}

#[test]
fn nothing_is_saved_again_when_nothing_changed() {
    let host = host();
    host.put_file(SECRET, "secret");
    body(&plain());
    host.fail(Operation::Save, "", Failure::internal("test.saved", "saved again"));
    authenticate(&plain()).unwrap();
    assert_eq!(host.logs(), []);
}

#[test]
fn the_secret_id_file_is_removed_only_after_a_proven_login() {
    let host = host();
    host.put_file(SECRET, "secret\n");
    body(&plain());
    assert!(host.file(SECRET).is_some());
    testing::authenticated::<AppRole>(&plain()).unwrap();
    assert_eq!(host.file(SECRET), None);
    assert!(host.file(ROLE).is_some());
    testing::authenticated::<AppRole>(&plain()).unwrap();
}

#[test]
fn a_secret_id_that_was_not_used_yet_is_not_removed() {
    let host = host();
    host.put_file(SECRET, "secret");
    body(&plain());
    host.put_file(SECRET, "new");
    testing::authenticated::<AppRole>(&plain()).unwrap();
    assert_eq!(host.file(SECRET).unwrap().content, b"new");
}

#[test]
fn the_file_stays_when_the_configuration_says_so() {
    for value in [json!(false), json!("0"), json!(0), json!("False")] {
        let host = host();
        host.put_file(SECRET, "secret");
        let mut config = plain();
        config["remove_secret_id_file_after_reading"] = value;
        body(&config);
        testing::authenticated::<AppRole>(&config).unwrap();
        assert!(host.file(SECRET).is_some());
    }
}

#[test]
fn a_file_that_cannot_be_removed_is_a_failure_with_the_remedy() {
    let host = host();
    host.put_file(SECRET, "secret");
    body(&plain());
    let read_only = Failure::unavailable("file.permission", "read-only file system");
    host.fail(Operation::Remove, SECRET, read_only);
    let failure = testing::authenticated::<AppRole>(&plain()).unwrap_err();
    assert_eq!(failure.code, "file.permission");
    assert!(failure.message.contains("remove_secret_id_file_after_reading = false"), "{failure}");
}

#[test]
fn a_wrapped_secret_id_is_unwrapped_once_and_kept() {
    let host = host();
    wrap(&host, "token-1", "first");
    assert_eq!(body(&wrapped()), json!({"role_id": "role", "secret_id": "first"}));
    let passing = Failure::unavailable("server.unreachable", "connection refused");
    host.set_previous_failure(Some(passing));
    assert_eq!(body(&wrapped())["secret_id"], "first");
    host.delete_file(SECRET);
    assert_eq!(body(&wrapped())["secret_id"], "first");
    host.put_file(SECRET, "token-1\n");
    assert_eq!(body(&wrapped())["secret_id"], "first");
    assert_eq!(host.unwrapped(), ["token-1"]);
}

#[test]
fn a_secret_id_stays_wrapped_while_there_is_no_role_id() {
    let host = Host::install();
    wrap(&host, "token-1", "first");
    assert_eq!(failure(&wrapped()).kind, Kind::Unavailable);
    assert_eq!(host.unwrapped(), [""; 0]);
}

#[test]
fn a_secret_id_that_cannot_be_remembered_is_used_all_the_same() {
    let host = host();
    wrap(&host, "token-1", "first");
    host.fail(Operation::Save, "", Failure::internal("limit.exceeded", "too large"));
    let (body, revision) = authenticate(&wrapped()).unwrap();
    assert_eq!(body["secret_id"], "first");
    assert_eq!(revision, "", "nothing to compare with next time");
    assert!(host.logs().iter().any(|line| line.level == log::Level::Warn));
}

#[test]
fn a_used_wrapping_token_is_denied_as_a_possible_interception() {
    let host = host();
    host.put_file(SECRET, "token-used");
    let failure = failure(&wrapped());
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "wrapping.used"));
    assert!(failure.message.contains("intercepted"), "{failure}");
    assert!(!format!("{failure:?}").contains("token-used"));
}

#[test]
fn a_plain_secret_id_in_place_of_a_wrapped_one_is_called_that_and_nothing_is_unwrapped() {
    let host = host();
    for plain in ["0b05a32a-31d9-9ed2-04e4-7d61ff72f68c", "0B05A32A-31D9-9ED2-04E4-7D61FF72F68C\n"]
    {
        host.put_file(SECRET, plain);
        let failure = failure(&wrapped());
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "approle.not-wrapped"));
        assert!(failure.message.contains("plain secret-id"), "{failure}");
        assert!(!format!("{failure:?}").contains("31d9"), "{failure:?}");
        host.set_reason("explain");
        assert_eq!(self::failure(&wrapped()).code, "approle.not-wrapped");
        host.set_reason("login");
    }
    assert_eq!(host.unwrapped(), [""; 0]);
    // One of another form may be a token of whatever server.
    host.put_file(SECRET, "0b05a32a-31d9-9ed2-04e4-7d61ff72f68g");
    assert_eq!(failure(&wrapped()).code, "wrapping.used");
}

#[test]
fn a_wrapped_secret_id_in_place_of_a_plain_one_is_sent_with_a_warning() {
    let host = host();
    host.put_file(SECRET, "0b05a32a-31d9-9ed2-04e4-7d61ff72f68c");
    body(&plain());
    host.put_file(SECRET, "s.own-choice");
    body(&plain());
    assert_eq!(host.logs().len(), 0, "these may be secret-ids");
    for token in ["s.04ZSyxasnE41JVCpK88XPUfF", "hvs.CAESIJlWh04ZSyxasnE41JVCpK88XPUfF"] {
        host.put_file(SECRET, token);
        assert_eq!(body(&plain())["secret_id"], token);
        let lines = host.logs();
        let line = lines.last().unwrap();
        assert_eq!(line.level, log::Level::Warn);
        assert!(line.message.contains("secret_id_response_wrapping_path"), "{}", line.message);
        assert!(!line.message.contains(token));
    }
}

#[test]
fn a_wrapping_token_from_elsewhere_is_denied_and_stays_wrapped() {
    let host = host();
    host.wrap("token-1", "cubbyhole/evil", json!({"data": {"secret_id": "evil"}}));
    host.put_file(SECRET, "token-1");
    for _ in 0..2 {
        let failure = failure(&wrapped());
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Denied, "wrapping.creation-path"));
        assert!(failure.message.contains(CREATION_PATH), "{failure}");
    }
}

#[test]
fn a_token_that_wraps_something_else_is_denied_and_not_called_intercepted() {
    let host = host();
    host.wrap("token-1", CREATION_PATH, json!({"data": {"password": "x"}}));
    host.put_file(SECRET, "token-1");
    for _ in 0..2 {
        let failure = failure(&wrapped());
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (Kind::Denied, "approle.not-a-secret-id")
        );
    }
    assert_eq!(host.unwrapped(), ["token-1"]);
}

#[test]
fn explaining_leaves_what_works_once_unused_and_remembers_nothing() {
    let host = host();
    wrap(&host, "token-1", "first");
    host.set_reason("explain");
    for config in [wrapped(), plain()] {
        let failure = failure(&config);
        assert_eq!(failure.code, "explain.one-shot");
        assert!(failure.message.contains(SECRET), "{failure}");
    }
    assert_eq!(host.unwrapped(), [""; 0]);
    host.put_file(SECRET, "secret");
    let mut keep = plain();
    keep["remove_secret_id_file_after_reading"] = json!(false);
    assert_eq!(body(&keep)["secret_id"], "secret");
    assert_eq!(host.state(), b"");
    host.delete_file(SECRET);
    assert_eq!(failure(&plain()).code, "file.not-found");
}

#[test]
fn state_of_another_version_is_as_none() {
    let host = host();
    host.put_file(SECRET, "secret");
    host.set_state(br#"{"secret_id": "from an older version"}"#);
    assert_eq!(body(&plain())["secret_id"], "secret");
}

#[test]
fn no_secret_is_ever_logged() {
    let host = host();
    wrap(&host, "token-marker", "secret-marker");
    body(&wrapped());
    testing::authenticated::<AppRole>(&wrapped()).unwrap();
    host.put_file(SECRET, "token-marker-2");
    let failure = failure(&wrapped());
    let shown = format!("{:?} {failure:?}", host.logs());
    assert!(!shown.contains("marker"), "{shown}");
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(AppRole::CONFIG_SCHEMA);
}
