//! The sink against the SDK's fake host.

use super::*;
use serde_json::{Value, json};
use usher_plugin::testing::{self, Host, Operation};

const PATH: &str = "/run/app/token";

fn config() -> Value {
    json!({"path": PATH})
}

fn with(key: &str, value: Value) -> Value {
    let mut config = config();
    config[key] = value;
    config
}

fn delivery() -> Delivery {
    Delivery::token("hvs.token")
}

#[test]
fn the_exact_bytes_are_written_readable_by_owner_and_group() {
    let host = Host::install();
    testing::deliver::<FileSink>(&config(), &Delivery::token(" a\0b\n ")).unwrap();
    let file = host.file(PATH).unwrap();
    assert_eq!(file.content, b" a\0b\n ");
    assert_eq!(file.mode, 0o640);
    assert_eq!((file.owner, file.group, file.placement), (None, None, Placement::Replace));
}

#[test]
fn mode_owner_group_and_placement_are_those_of_the_configuration() {
    let host = Host::install();
    let config = json!({"path": PATH, "mode": "0604", "uid": "app", "gid": 1000, "in_place": true});
    testing::deliver::<FileSink>(&config, &delivery()).unwrap();
    let file = host.file(PATH).unwrap();
    assert_eq!(file.mode, 0o604);
    assert_eq!(file.owner.as_deref(), Some("app"));
    assert_eq!(file.group.as_deref(), Some("1000"));
    assert_eq!(file.placement, Placement::InPlace);
}

#[test]
fn mode_0_means_no_permissions_as_with_the_incumbents() {
    let host = Host::install();
    testing::deliver::<FileSink>(&with("mode", json!(0)), &delivery()).unwrap();
    assert_eq!(host.file(PATH).unwrap().mode, 0);
}

#[test]
fn it_needs_to_write_and_remove_its_file_and_nothing_else() {
    let _host = Host::install();
    let needs = testing::prepare_sink::<FileSink>(&config()).unwrap();
    assert_eq!(needs, [Need::write(PATH), Need::remove(PATH)]);
}

#[test]
fn a_wrong_configuration_is_refused_by_key() {
    let _host = Host::install();
    for (config, key, remedy) in [
        (json!({}), "path", "required"),
        (json!({"path": ""}), "path", "name a file"),
        (json!({"path": "/run/app/"}), "path", "name a file"),
        (json!({"path": "/run/app/*"}), "path", "write the whole path"),
        (json!({"path": "/run/*/token"}), "path", "name one file"),
        (json!({"path": "/run/${HOME}/token"}), "path", "name one file"),
        (json!({"path": 1}), "path", "string"),
        (with("mode", json!(640)), "mode", "write 0640"),
        (with("mode", json!("rw")), "mode", "\"0640\""),
        (with("mode", json!(true)), "mode", "0640"),
        (with("uid", json!(-7)), "uid", "no user"),
        (with("gid", json!([])), "gid", "a name"),
        (with("in_place", json!("yes")), "in_place", "boolean"),
    ] {
        let failure = testing::prepare_sink::<FileSink>(&config).unwrap_err();
        assert_eq!(failure.kind, Kind::Config, "{config}");
        assert!(failure.message.contains(&format!("{key}`")), "{failure}");
        assert!(failure.message.contains(remedy), "{failure}");
    }
}

#[test]
fn a_key_that_the_incumbents_ignore_is_no_failure() {
    let _host = Host::install();
    assert!(testing::prepare_sink::<FileSink>(&with("dh_type", json!("x"))).is_ok());
}

#[test]
fn the_check_leaves_nothing_behind() {
    let host = Host::install();
    testing::check::<FileSink>(&config()).unwrap();
    assert_eq!(host.file(PATH), None);
}

#[test]
fn at_start_a_directory_that_cannot_take_the_file_is_a_wrong_configuration() {
    let host = Host::install();
    for code in ["file.not-found", "file.permission", "file.not-regular"] {
        let failure = Failure::unavailable(code, format!("{PATH}: no"));
        host.fail(Operation::CheckWrite, PATH, failure);
        let failure = testing::check::<FileSink>(&config()).unwrap_err();
        assert_eq!((failure.kind, failure.code.as_str()), (Kind::Config, code));
        assert!(failure.message.contains(PATH), "{failure}");
        // Tells the agent where the wrong setting stands.
        assert_eq!(failure.details, [("key".to_owned(), "config.path".to_owned())]);
    }
}

#[test]
fn at_start_a_full_disk_is_only_unavailable() {
    let host = Host::install();
    let full = Failure::unavailable("file.full", "no space left");
    host.fail(Operation::CheckWrite, PATH, full.clone());
    assert_eq!(testing::check::<FileSink>(&config()).unwrap_err(), full);
}

#[test]
fn later_a_directory_that_is_gone_is_tried_again() {
    let host = Host::install();
    let gone = Failure::config("file.not-regular", "it is a directory now");
    host.fail(Operation::Write, PATH, gone);
    let failure = testing::deliver::<FileSink>(&config(), &delivery()).unwrap_err();
    assert_eq!(failure.kind, Kind::Unavailable);
    host.heal(Operation::Write, PATH);
    testing::deliver::<FileSink>(&config(), &delivery()).unwrap();
}

#[test]
fn a_mounted_file_brings_the_advice_to_write_in_place() {
    let host = Host::install();
    host.fail(Operation::Write, PATH, Failure::unavailable("file.busy", "EBUSY"));
    let failure = testing::deliver::<FileSink>(&config(), &delivery()).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, "file.busy"));
    assert!(failure.message.contains("in_place = true"), "{failure}");
}

#[test]
fn withdrawing_removes_the_file() {
    let host = Host::install();
    testing::deliver::<FileSink>(&config(), &delivery()).unwrap();
    testing::withdraw::<FileSink>(&config()).unwrap();
    assert_eq!(host.file(PATH), None);
    testing::withdraw::<FileSink>(&config()).unwrap();
}

#[test]
fn withdrawing_empties_a_mounted_file() {
    let host = Host::install();
    let config = with("in_place", json!(true));
    testing::deliver::<FileSink>(&config, &delivery()).unwrap();
    host.fail(Operation::Remove, PATH, Failure::unavailable("file.busy", "EBUSY"));
    testing::withdraw::<FileSink>(&config).unwrap();
    assert_eq!(host.file(PATH).unwrap().content, b"");
}

#[test]
fn the_schema_in_the_file_is_that_of_the_configuration() {
    testing::check_config_schema::<Config>(FileSink::CONFIG_SCHEMA);
}
