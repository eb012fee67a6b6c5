//! What is refused, and what is left alone.

use super::*;

#[test]
fn a_state_that_others_can_write_to_is_refused() {
    let home = Home::new();
    home.with(&[("one", "record")]);
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o620)).unwrap();
    let error = home.error();
    assert!(
        error.contains("usher-state is open to others") && error.contains("chmod 600"),
        "{error}"
    );
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(home.open().1, Found::State);
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    let home = Home::new();
    home.with(&[("one", "record")]);
    let directory = home.home.path().join("state");
    for path in [home.file(), directory, home.home.path().join("key")] {
        // Only root can give a file away.
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            return;
        }
        let error = home.error();
        assert!(error.contains("belongs to user 12345") && error.contains("chown"), "{error}");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    assert_eq!(home.open().1, Found::State);
}

#[test]
fn an_agent_that_is_about_to_end_is_waited_for() {
    let home = Home::new();
    let (store, _) = home.open();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| home.open());
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(store);
        assert_eq!(next.join().unwrap().1, Found::Nothing);
    });
}

#[test]
fn what_is_no_file_is_neither_followed_nor_waited_for() {
    for home in [Home::new(), Home::kubernetes(true)] {
        home.with(&[("one", "record")]);
        let elsewhere = home.home.path().join("elsewhere");
        fs::rename(home.file(), &elsewhere).unwrap();
        let refused = || {
            let error = home.error();
            assert!(error.contains("is no regular file") && error.contains("move it"), "{error}");
        };
        std::os::unix::fs::symlink(&elsewhere, home.file()).unwrap();
        refused();
        fs::remove_file(home.file()).unwrap();
        fs::create_dir(home.file()).unwrap();
        refused();
        fs::remove_dir(home.file()).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, home.file(), mode).unwrap();
        refused();
        fs::remove_file(home.file()).unwrap();
        let socket = std::os::unix::net::UnixListener::bind(home.file()).unwrap();
        refused();
        drop(socket);
        assert!(elsewhere.is_file());
    }
}

#[test]
fn a_volume_that_all_containers_of_a_pod_can_write_to_is_as_it_is() {
    let home = Home::kubernetes(true);
    home.with(&[("one", "record")]);
    // As the kubelet makes it, with a group for the pod.
    let directory = home.home.path().join("state");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o2777)).unwrap();
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o660)).unwrap();
    assert_eq!(home.open().1, Found::State);
}

#[test]
fn another_version_is_said() {
    let home = Home::new();
    home.with(&[("one", "record")]);
    let mut sealed = fs::read(home.file()).unwrap();
    sealed["usher-state".len()] = 2;
    fs::write(home.file(), sealed).unwrap();
    let Found::Damaged { why, .. } = home.open().1 else { panic!("it opens") };
    assert!(why.contains("another version"), "{why}");
}

#[test]
fn what_was_set_aside_last_is_what_is_there() {
    let home = Home::new();
    for content in ["one", "two"] {
        home.with(&[]);
        fs::write(home.file(), content).unwrap();
        fs::set_permissions(home.file(), fs::Permissions::from_mode(0o600)).unwrap();
        let Found::Damaged { set_aside, .. } = home.open().1 else { panic!("{content}") };
        assert_eq!(fs::read_to_string(set_aside.unwrap()).unwrap(), content);
    }
    assert_eq!(home.open().1, Found::Nothing);
}

#[test]
fn what_an_incumbent_has_left_stays_and_is_said() {
    for keep_after_import in [true, false] {
        let home = Home::kubernetes(keep_after_import);
        let file = home.home.path().join("state/vault-agent-cache.db");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "bbolt").unwrap();
        let (store, found) = home.open();
        assert_eq!(found, Found::OfIncumbent { file: file.clone() });
        store.taken_over().unwrap();
        store.put("one", Secret::new(b"record".to_vec())).unwrap();
        drop(store);
        assert_eq!(home.open().1, Found::State);
        assert_eq!(fs::read_to_string(&file).unwrap(), "bbolt");
    }
}

#[test]
fn a_service_account_token_that_is_missing_or_empty_is_refused_with_what_to_do() {
    let home = Home::kubernetes(true);
    let token = home.home.path().join("token");
    fs::write(&token, " \n").unwrap();
    assert!(
        home.error()
            .contains("is empty: mount it, or name another with service_account_token_file")
    );
    fs::remove_file(&token).unwrap();
    assert!(home.error().contains("can't be read (No such file"));
}
