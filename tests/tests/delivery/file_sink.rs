//! The built-in file sink: permissions, owners, and how the file takes its place.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use serde_json::json;
use usher_tests::agent::{Agent, Launch, is_root};
use usher_tests::eventually::eventually_true;
use usher_tests::site::{Site, delivered};

#[test]
fn the_mode_is_0640_whatever_the_umask() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    for umask in ["077", "000"] {
        let _ = std::fs::remove_file(site.file("token"));
        let ended = Launch::agent(&site.configuration().text())
            .umask(umask)
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
        assert_eq!(mode(&site), 0o640, "under umask {umask}");
    }
}

#[test]
fn a_mode_is_read_as_the_incumbents_do_and_as_octal_text() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    for (setting, expected) in [
        ("mode = 0600", 0o600),
        ("mode = 0444", 0o444),
        ("mode = \"0640\"", 0o640),
        ("mode = \"600\"", 0o600),
        ("mode = 416", 0o640),
    ] {
        let ended = Launch::agent(&with_setting(&site, setting))
            .umask("077")
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{setting}: {ended:?}");
        assert_eq!(mode(&site), expected, "{setting}");
    }
}

#[test]
fn a_decimal_mode_that_was_meant_as_octal_is_refused_with_what_to_write() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    let ended = Launch::agent(&with_setting(&site, "mode = 640")).run(LIMIT);
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.log.contains("write 0640"), "{ended:?}");
    assert_eq!(site.login_attempts(), 0);
}

#[test]
fn a_decimal_mode_that_happens_to_fit_is_warned_of() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    for number in ["400", "440"] {
        let ended = Launch::agent(&with_setting(&site, &format!("mode = {number}")))
            .argument("--exit-after-auth")
            .run(LIMIT);
        assert_eq!(ended.status, 0, "{ended:?}");
        assert!(ended.log.to_lowercase().contains("warn"), "{ended:?}");
        assert!(ended.log.contains(&format!("0{number}")), "{ended:?}");
    }
}

#[test]
fn owner_and_group_are_taken_by_number_and_by_name() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    for (setting, user, group) in
        [("uid = 12\ngid = 34", 12, 34), ("uid = \"nobody\"\ngid = \"nogroup\"", 65534, 65534)]
    {
        let ended =
            Launch::agent(&with_setting(&site, setting)).argument("--exit-after-auth").run(LIMIT);
        assert_eq!(ended.status, 0, "{setting}: {ended:?}");
        let metadata = std::fs::metadata(site.file("token")).expect("the token file");
        assert_eq!((metadata.uid(), metadata.gid()), (user, group), "{setting}");
    }
}

#[test]
fn the_file_is_replaced_in_one_step_and_nothing_else_is_left() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    std::fs::create_dir(site.file("out")).expect("a directory");
    let mut configuration = site.configuration().token_check_interval("300ms");
    let file = site.file("out/token");
    configuration.sinks[0].1 = format!("path = \"{}\"", file.display());
    let _agent = Agent::start(&configuration.text());
    eventually_true("the token", LIMIT, || delivered(&file).is_some());
    let first = delivered(&file).expect("a token");
    let inode = std::fs::metadata(&file).expect("the token file").ino();
    // A reader that has the old file open still reads the old token, whole.
    let open = std::fs::File::open(&file).expect("the token file");
    eventually_true("a check", LIMIT, || site.proxy.count("lookup-self") > 0);
    site.bao.revoke(&first);
    eventually_true("the next token", LIMIT, || {
        delivered(&file).is_some_and(|token| token != first)
    });
    assert_ne!(std::fs::metadata(&file).expect("the token file").ino(), inode);
    assert_eq!(std::io::read_to_string(open).expect("the old file"), first);
    let names: Vec<_> = std::fs::read_dir(site.file("out"))
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["token"]);
}

#[test]
fn a_symbolic_link_in_the_files_place_is_replaced_and_not_followed() {
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write("victim", "keep me");
    std::os::unix::fs::symlink(site.file("victim"), site.file("token")).expect("a link");
    let ended =
        Launch::agent(&site.configuration().text()).argument("--exit-after-auth").run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(std::fs::read_to_string(site.file("victim")).expect("the victim"), "keep me");
    let metadata = std::fs::symlink_metadata(site.file("token")).expect("the token file");
    assert!(metadata.is_file());
}

#[test]
fn a_single_file_mounted_into_place_is_rewritten_in_place() {
    if !is_root() {
        return;
    }
    let site = Site::new(json!({ "token_ttl": "1h" }));
    site.write(
        "outside",
        "longer than any token, so that a rewrite must cut it off: ".repeat(9).as_str(),
    );
    site.write("token", "");
    let mount =
        format!("mount --bind {} {}", site.file("outside").display(), site.file("token").display());
    let ended = Launch::agent(&with_setting(&site, "in_place = true\nmode = 0600"))
        .mounts(&mount)
        .argument("--exit-after-auth")
        .run(LIMIT);
    assert_eq!(ended.status, 0, "{ended:?}");
    let token = std::fs::read_to_string(site.file("outside")).expect("the mounted file");
    assert!(site.bao.is_valid(&token), "{token:?}");
    let metadata = std::fs::metadata(site.file("outside")).expect("the mounted file");
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);

    // Without the setting the name can't be taken: an error that names the remedy.
    let agent = Launch::agent(&site.configuration().text()).mounts(&mount).start();
    agent.wait_for_log("in_place");
}

fn with_setting(site: &Site, setting: &str) -> String {
    let mut configuration = site.configuration();
    configuration.sinks[0].1 += "\n";
    configuration.sinks[0].1 += setting;
    configuration.text()
}

/// Permission bits of the token file; 0 when it isn't there.
fn mode(site: &Site) -> u32 {
    std::fs::metadata(site.file("token"))
        .map_or(0, |metadata| metadata.permissions().mode() & 0o7777)
}

const LIMIT: Duration = Duration::from_secs(20);
