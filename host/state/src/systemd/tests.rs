//! The store against what stands in for systemd.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tempfile::TempDir;

use super::*;
use crate::records::Records;
use crate::{Found, Place, Store, newest};

/// What stands in for systemd: it keeps what it is told to, in this order.
struct Manager {
    _home: Option<TempDir>,
    /// As in `NOTIFY_SOCKET`.
    name: OsString,
    kept: Arc<Mutex<HashMap<String, Vec<OwnedFd>>>>,
}

impl Manager {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Self { _home: Some(home), name: path.into(), kept: keep(socket) }
    }

    fn start_abstract() -> Self {
        let name = format!("usher-state-test-{:x}", rand::random::<u64>());
        let socket =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self { _home: None, name: format!("@{name}").into(), kept: keep(socket) }
    }

    fn open(&self) -> (DescriptorStore, Vec<Content>) {
        let kept = self.kept.lock().unwrap();
        let handed = kept.values().flatten().map(|kept| File::from(kept.try_clone().unwrap()));
        DescriptorStore::at(&self.name, handed.collect()).unwrap()
    }

    fn values(&self) -> Vec<Vec<u8>> {
        let kept = self.kept.lock().unwrap();
        let all = kept.values().flatten();
        all.map(|kept| {
            let (_, plain) = read(File::from(kept.try_clone().unwrap()));
            plain.unwrap().expose().clone()
        })
        .collect()
    }
}

fn keep(socket: UnixDatagram) -> Arc<Mutex<HashMap<String, Vec<OwnedFd>>>> {
    let kept: Arc<Mutex<HashMap<String, Vec<OwnedFd>>>> = Arc::default();
    let keeping = Arc::clone(&kept);
    std::thread::spawn(move || {
        loop {
            let mut text = [0; 4096];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [IoSliceMut::new(&mut text)];
            let Ok(received) = recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)
            else {
                return;
            };
            let descriptors: Vec<OwnedFd> = control
                .drain()
                .filter_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                    _ => None,
                })
                .flatten()
                .collect();
            let text = std::str::from_utf8(&text[..received.bytes]).unwrap().to_owned();
            let value =
                |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            let mut kept = keeping.lock().unwrap();
            if value("FDSTOREREMOVE") == Some("1") {
                kept.remove(value("FDNAME").unwrap());
            } else if value("FDSTORE") == Some("1") {
                let name = value("FDNAME").unwrap().to_owned();
                kept.entry(name).or_default().extend(descriptors);
                let all: usize = kept.values().map(Vec::len).sum();
                assert!(all <= 2, "FileDescriptorStoreMax=2");
            }
        }
    });
    kept
}

fn value(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

fn first(contents: Vec<Content>) -> Option<Vec<u8>> {
    contents.into_iter().next().map(|content| content.unwrap().expose().clone())
}

/// Records with one, as they are written.
fn records(record: &str) -> Secret<Vec<u8>> {
    let mut records = Records::default();
    records.replace("one", Some(value(record)));
    records.encode().unwrap()
}

#[test]
fn the_manager_has_the_last_value_and_hands_it_over() {
    for manager in [Manager::start(), Manager::start_abstract()] {
        let (mut store, found) = manager.open();
        assert!(found.is_empty());
        for text in ["one", "two", "three"] {
            store.replace(&value(text)).unwrap();
            assert!(manager.values().contains(&text.as_bytes().to_vec()), "it is there at once");
        }
        // A process that was killed in between leaves two.
        let (mut next, found) = manager.open();
        assert_eq!(first(found).unwrap(), b"three");
        next.replace(&value("four")).unwrap();
        store.wait().unwrap();
        assert_eq!(manager.values(), [b"four"]);
        let (_, found) = manager.open();
        assert_eq!(first(found).unwrap(), b"four");
    }
}

#[test]
fn a_process_that_is_killed_while_it_replaces_a_value_leaves_one_whole() {
    // What has been told by then, and what the next process finds.
    for (told, expected) in [(0, "old"), (1, "old"), (2, "new"), (3, "new")] {
        let manager = Manager::start();
        let (mut store, _) = manager.open();
        for text in ["oldest", "old"] {
            store.replace(&value(text)).unwrap();
        }
        let next = store.number + 1;
        let memory = sealed(next, b"new").unwrap();
        let remove = |number| format!("FDSTOREREMOVE=1\nFDNAME={}", name(number));
        let add = format!("FDSTORE=1\nFDNAME={}", name(next));
        let steps =
            [(remove(next), None), (add, Some(memory.as_fd())), (remove(store.number), None)];
        for (message, descriptor) in steps.into_iter().take(told) {
            store.tell(&message, descriptor).unwrap();
        }
        store.wait().unwrap();
        let (mut store, found) = manager.open();
        assert_eq!(first(found).unwrap(), expected.as_bytes(), "after {told}");
        store.replace(&value("newest")).unwrap();
        store.wait().unwrap();
        assert_eq!(manager.values(), [b"newest"], "after {told}");
    }
}

#[test]
fn the_newest_that_can_be_read_is_what_counts() {
    let file = |number, plain: &[u8]| File::from(sealed(number, plain).unwrap());
    let old = || file(8, records("old").expose());
    let new = || file(9, records("new").expose());
    let other_version = || file(10, b"\x09");
    let cut_off = || File::from(sealed(0, b"").unwrap());
    let open = |files: Vec<File>| {
        let (store, contents) = DescriptorStore::at(OsStr::new("@none"), files).unwrap();
        let (found, records) = newest(contents);
        let record = records.get("one").map(|one| String::from_utf8(one.expose().clone()).unwrap());
        (found, record, store.number)
    };
    assert_eq!(open(vec![]), (Found::Nothing, None, 0));
    assert_eq!(open(vec![old(), new()]), (Found::State, Some("new".to_owned()), 9));
    assert_eq!(open(vec![new(), old()]), (Found::State, Some("new".to_owned()), 9));
    // The next value must be newer than all that is there.
    let found = open(vec![old(), other_version()]);
    assert_eq!(found, (Found::State, Some("old".to_owned()), 10));
    for (files, expected) in [
        (vec![other_version()], "another version"),
        (vec![cut_off()], "it is empty"),
        (vec![tempfile::tempfile().unwrap()], "no sealed memory"),
    ] {
        let (found, record, _) = open(files);
        let Found::Damaged { why, set_aside: None } = found else { panic!("{expected}") };
        assert!(why.contains(expected) && record.is_none(), "{why}");
    }
}

#[test]
fn memory_that_others_could_still_change_is_not_read() {
    let open = File::from(memory().unwrap());
    (&open).write_all(&[0; 100]).unwrap();
    let short = File::from(memory().unwrap());
    (&short).write_all(&[0; 7]).unwrap();
    fcntl_add_seals(&short, SEALS).unwrap();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    for (file, expected) in [
        (open, "no sealed memory"),
        (short, "cut off"),
        (File::from(OwnedFd::from(ours)), "no sealed memory"),
    ] {
        let (number, content) = read(file);
        let why = content.err().unwrap();
        assert!(number == 0 && why.contains(expected), "{why}");
    }
}

#[test]
fn what_is_kept_cannot_be_changed() {
    let memory = sealed(1, b"value").unwrap();
    let mut file = File::from(memory.try_clone().unwrap());
    assert!(file.write_all(b"other").is_err() && file.set_len(0).is_err());
    let flags = rustix::io::fcntl_getfd(&memory).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "no child gets it");
}

#[test]
fn a_manager_that_is_not_there_or_does_not_answer_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let (mut store, _) = DescriptorStore::at(path.as_os_str(), Vec::new()).unwrap();
    let error = store.replace(&value("one")).unwrap_err().to_string();
    assert!(error.contains("systemd doesn't take"), "{error}");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let error = store.replace(&value("one")).unwrap_err().to_string();
    assert!(error.contains("no answer in 5 s"), "{error}");
    assert_eq!(store.number, 0, "the next one takes its place");
}

#[test]
fn a_manager_that_takes_no_more_does_not_stop_the_agent() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let others = UnixDatagram::unbound().unwrap();
    others.set_nonblocking(true).unwrap();
    while others.send_to(b"STATUS=", &path).is_ok() {}
    let (mut store, _) = DescriptorStore::at(path.as_os_str(), Vec::new()).unwrap();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(store.replace(&value("one")).unwrap_err().to_string()));
    let error = ended.recv_timeout(Duration::from_mins(1)).expect("it goes on waiting");
    assert!(error.contains("no answer in 5 s"), "{error}");
}

#[test]
fn a_name_that_is_no_socket_is_refused_with_what_to_do() {
    for name in ["vsock:2:1234", "notify"] {
        let error = DescriptorStore::at(OsStr::new(name), Vec::new()).err().unwrap().to_string();
        for part in ["NOTIFY_SOCKET", "Type=notify", "FileDescriptorStoreMax=2"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

/// In a process of its own, since descriptors have fixed numbers and the environment is one for all.
#[test]
fn a_process_takes_over_what_systemd_hands_to_it_and_nothing_else() {
    let manager = Manager::start();
    let (old, new) = (sealed(8, records("old").expose()), sealed(9, records("new").expose()));
    let (old, new) = (old.unwrap(), new.unwrap());
    let path = |memory: &OwnedFd| format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let script = r#"exec 3</dev/null 4<"$1" 5<"$2"
        LISTEN_PID=$$ exec "$0" --exact systemd::tests::what_that_process_does --ignored --nocapture"#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(env::current_exe().unwrap())
        .args([path(&new), path(&old)])
        .env("LISTEN_FDS", "3")
        .env("LISTEN_FDNAMES", "usher-state.socket:usher-state-1:usher-state-0")
        .env("NOTIFY_SOCKET", &manager.name)
        .env("FDSTORE", "2")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    // It doesn't wait until the old one is removed, but the manager does things in turn.
    manager.open().0.wait().unwrap();
    assert_eq!(manager.values(), [records("newest").expose().as_slice()]);

    let refused = |name: &str, value: Option<&str>| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "systemd::tests::what_that_process_says", "--ignored"]);
        command.arg("--nocapture").env("NOTIFY_SOCKET", &manager.name);
        let command = match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let said = refused("NOTIFY_SOCKET", None);
    assert!(said.contains("NOTIFY_SOCKET isn't set; run as a service with Type=notify"), "{said}");
    let said = refused("FDSTORE", Some("1"));
    assert!(said.contains("FileDescriptorStoreMax is 1"), "{said}");
    // What is handed to another process is not this one's.
    let said = refused("LISTEN_PID", Some("1"));
    assert!(said.contains("Nothing"), "{said}");
}

#[test]
#[ignore = "a_process_takes_over_what_systemd_hands_to_it_and_nothing_else starts it"]
fn what_that_process_does() {
    if env::var_os("LISTEN_FDNAMES").is_none() {
        return;
    }
    let link = |descriptor: i32| std::fs::read_link(format!("/proc/self/fd/{descriptor}"));
    assert!(link(4).unwrap().to_string_lossy().contains("memfd:usher-state"));
    let (store, found) = Store::open(&Place::Systemd).unwrap();
    assert_eq!(found, Found::State);
    assert_eq!(store.get("one").unwrap().expose(), b"new");
    for descriptor in [4, 5] {
        let there = link(descriptor).is_ok_and(|link| link.to_string_lossy().contains("memfd"));
        assert!(!there, "{descriptor} is left open");
    }
    assert_eq!(link(3).unwrap().to_string_lossy(), "/dev/null", "somebody else's");
    store.put("one", value("newest")).unwrap();
    // By now their numbers may be other files.
    assert_eq!(Store::open(&Place::Systemd).unwrap().1, Found::Nothing);
}

#[test]
#[ignore = "a_process_takes_over_what_systemd_hands_to_it_and_nothing_else starts it"]
fn what_that_process_says() {
    match Store::open(&Place::Systemd) {
        Ok((_, found)) => println!("{found:?}"),
        Err(error) => println!("{error}"),
    }
}
