//! Files under a grant, in a directory of each test.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;

use rustix::fs::Mode;
use usher_grant::{Claim, Conflict, Naming, Surroundings};

use super::*;

struct World {
    directory: tempfile::TempDir,
    grant: Grant,
    protected: Protected,
    holder: Arc<()>,
    abandoned: AtomicBool,
}

impl World {
    fn granting(needs: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let needs = needs
            .iter()
            .map(|(capability, name)| {
                ((*capability).to_owned(), root.join(name).display().to_string())
            })
            .collect();
        let surroundings =
            Surroundings { working_directory: Path::new("/"), home: None, environment: &|_| None };
        let grant = Grant::decide("acme", needs, None, &surroundings).unwrap();
        Self {
            directory,
            grant,
            protected: Protected::default(),
            holder: Arc::default(),
            abandoned: AtomicBool::new(false),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.directory.path()).unwrap().join(name)
    }

    fn files(&self) -> Files<'_> {
        Files {
            grant: &self.grant,
            protected: &self.protected,
            plugin: "acme",
            asker: Asker {
                usage: "default/sink/0",
                identity: "default",
                holder: &self.holder,
                change: 0,
            },
            abandoned: &self.abandoned,
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// Ends the writer also when an assertion fails.
struct Done<'a>(&'a AtomicBool);
impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn options(mode: u32) -> WriteOptions {
    WriteOptions { mode, owner: None, group: None, in_place: false }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_what_is_granted_is_read() {
    let world = World::granting(&[("read", "granted")]);
    fs::write(world.path("granted"), "yes").unwrap();
    fs::write(world.path("other"), "no").unwrap();
    assert_eq!(world.files().read(&world.path("granted")).unwrap().0.as_slice(), b"yes");
    let refused = world.files().read(&world.path("other")).unwrap_err();
    assert_eq!(refused.code, "grant.missing");
    assert!(refused.message.contains("plugin \"acme\" {"), "{refused}");
    assert_eq!(world.files().read(&world.path("absent")).unwrap_err().code, "grant.missing");
}

#[test]
fn a_granted_link_leads_where_it_leads_and_another_does_not() {
    let world = World::granting(&[("read", "link")]);
    fs::write(world.path("first"), "first").unwrap();
    fs::write(world.path("second"), "second").unwrap();
    symlink(world.path("first"), world.path("link")).unwrap();
    assert_eq!(world.files().read(&world.path("link")).unwrap().0.as_slice(), b"first");
    fs::remove_file(world.path("link")).unwrap();
    symlink(world.path("second"), world.path("link")).unwrap();
    assert_eq!(world.files().read(&world.path("link")).unwrap().0.as_slice(), b"second");
    symlink(world.path("link"), world.path("detour")).unwrap();
    assert_eq!(world.files().read(&world.path("detour")).unwrap().0.as_slice(), b"second");
    symlink("/etc/hostname", world.path("escape")).unwrap();
    assert_eq!(world.files().read(&world.path("escape")).unwrap_err().code, "grant.missing");
}

#[test]
fn a_file_that_is_not_there_yet_is_unavailable() {
    let world = World::granting(&[("watch", "later"), ("read", "dangling")]);
    let failure = world.files().read(&world.path("later")).unwrap_err();
    assert_eq!((failure.kind, failure.code.as_str()), (FailureKind::Unavailable, "file.not-found"));
    symlink(world.path("nowhere"), world.path("dangling")).unwrap();
    assert_eq!(world.files().read(&world.path("dangling")).unwrap_err().code, "file.not-found");
}

#[test]
fn special_files_are_not_opened() {
    let world = World::granting(&[("read", "pipe"), ("write", "pipe"), ("read", "")]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        world.path("pipe"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert_eq!(world.files().read(&world.path("pipe")).unwrap_err().code, "file.not-regular");
    let refused = world.files().write(&world.path("pipe"), b"x", &options(0o640)).unwrap_err();
    assert_eq!(refused.code, "file.not-regular");
}

#[test]
fn a_write_sets_the_mode_whatever_the_umask_and_leaves_nothing_beside() {
    let world = World::granting(&[("write", "token")]);
    for bits in [0o640, 0o666, 0o400, 0o000, 0o604] {
        assert_eq!(
            world.files().write(&world.path("token"), b"value", &options(bits)).unwrap(),
            Warnings::new()
        );
        assert_eq!(mode(&world.path("token")), bits);
    }
    assert_eq!(world.names(), ["token"]);
}

#[test]
fn a_link_at_the_path_is_replaced_not_followed() {
    let world = World::granting(&[("write", "token")]);
    fs::write(world.path("victim"), "untouched").unwrap();
    symlink(world.path("victim"), world.path("token")).unwrap();
    world.files().write(&world.path("token"), b"value", &options(0o640)).unwrap();
    assert_eq!(fs::read_to_string(world.path("victim")).unwrap(), "untouched");
    assert!(!fs::symlink_metadata(world.path("token")).unwrap().is_symlink());
    fs::remove_file(world.path("token")).unwrap();
    symlink(world.path("victim"), world.path("token")).unwrap();
    let in_place = WriteOptions { in_place: true, ..options(0o640) };
    assert!(world.files().write(&world.path("token"), b"value", &in_place).is_err());
    assert_eq!(fs::read_to_string(world.path("victim")).unwrap(), "untouched");
}

#[test]
fn a_write_in_place_keeps_the_file_itself() {
    let world = World::granting(&[("write", "token")]);
    fs::write(world.path("token"), "a longer earlier value").unwrap();
    let before = fs::metadata(world.path("token")).unwrap().ino();
    let in_place = WriteOptions { in_place: true, ..options(0o600) };
    world.files().check_write(&world.path("token"), &in_place).unwrap();
    world.files().write(&world.path("token"), b"value", &in_place).unwrap();
    assert_eq!(fs::read_to_string(world.path("token")).unwrap(), "value");
    assert_eq!(fs::metadata(world.path("token")).unwrap().ino(), before);
    assert_eq!(mode(&world.path("token")), 0o600);
}

#[test]
fn a_write_whose_call_has_ended_takes_no_effect() {
    let world = World::granting(&[("write", "token")]);
    world.files().write(&world.path("token"), b"newer", &options(0o640)).unwrap();
    world.abandoned.store(true, Ordering::Release);
    for in_place in [false, true] {
        let options = WriteOptions { in_place, ..options(0o640) };
        let failure = world.files().write(&world.path("token"), b"older", &options).unwrap_err();
        assert_eq!(failure.code, "file.busy");
    }
    assert_eq!(fs::read_to_string(world.path("token")).unwrap(), "newer");
    assert_eq!(world.names(), ["token"]);
}

#[test]
fn what_a_killed_agent_left_behind_is_removed() {
    let world = World::granting(&[("write", "token")]);
    for name in
        [".token.usher-0123456789abcdef", ".token.usher-notes", "token.usher-0123456789abcdef"]
    {
        fs::write(world.path(name), "x").unwrap();
    }
    world.files().check_write(&world.path("token"), &options(0o640)).unwrap();
    assert_eq!(world.names(), [".token.usher-notes", "token.usher-0123456789abcdef"]);
}

#[test]
fn a_file_that_is_replaced_all_the_time_is_read_or_busy_but_never_refused() {
    let world = World::granting(&[("read", "token"), ("read", "..data/token"), ("read", "link")]);
    fs::write(world.path("token"), "value").unwrap();
    // As Kubernetes does it: each version has a directory of its own.
    let publish = |version: usize| {
        let name = format!("..{version}");
        fs::create_dir(world.path(&name)).unwrap();
        fs::write(world.path(&name).join("token"), "value").unwrap();
        symlink(&name, world.path("..tmp")).unwrap();
        fs::rename(world.path("..tmp"), world.path("..data")).unwrap();
    };
    publish(0);
    symlink("..data/token", world.path("link")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _done = Done(&done);
        scope.spawn(|| {
            for version in 1.. {
                if done.load(Ordering::Acquire) {
                    return;
                }
                fs::write(world.path("new"), "value").unwrap();
                fs::rename(world.path("new"), world.path("token")).unwrap();
                publish(version);
                fs::remove_dir_all(world.path(&format!("..{}", version - 1))).unwrap();
            }
        });
        let mut read = 0;
        for _ in 0..2000 {
            for name in ["token", "link"] {
                match world.files().read(&world.path(name)) {
                    Ok((content, _)) => {
                        assert_eq!(content.as_slice(), b"value");
                        read += 1;
                    }
                    Err(failure) => {
                        assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
                    }
                }
            }
        }
        assert!(read > 0, "nothing could be read");
    });
}

#[test]
fn checking_a_write_leaves_nothing() {
    let world = World::granting(&[("write", "token"), ("write", "missing/token")]);
    world.files().check_write(&world.path("token"), &options(0o640)).unwrap();
    assert!(world.names().is_empty());
    let failure =
        world.files().check_write(&world.path("missing/token"), &options(0o640)).unwrap_err();
    assert_eq!(failure.code, "file.not-found");
}

#[test]
fn an_unknown_owner_is_a_configuration_failure() {
    let world = World::granting(&[("write", "token")]);
    let unknown = WriteOptions { owner: Some("no-such-user".into()), ..options(0o640) };
    let failure = world.files().write(&world.path("token"), b"value", &unknown).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Config);
    assert!(world.names().is_empty());
}

#[test]
fn a_name_is_removed_and_its_absence_is_a_success() {
    let world = World::granting(&[("remove", "secret-id"), ("remove", "link")]);
    fs::write(world.path("secret-id"), "x").unwrap();
    fs::write(world.path("kept"), "x").unwrap();
    symlink(world.path("kept"), world.path("link")).unwrap();
    world.files().remove(&world.path("secret-id")).unwrap();
    world.files().remove(&world.path("secret-id")).unwrap();
    assert_eq!(world.files().remove_target(&world.path("link")).unwrap_err().code, "grant.missing");
    world.files().remove(&world.path("link")).unwrap();
    assert_eq!(world.names(), ["kept"]);
    assert_eq!(world.files().remove(&world.path("kept")).unwrap_err().code, "grant.missing");
}

#[test]
fn the_output_of_another_sink_is_out_of_reach() {
    let world = World::granting(&[("read", "token"), ("write", "token")]);
    fs::write(world.path("token"), "x").unwrap();
    let holder = Arc::new(());
    let other = Asker { usage: "default/sink/1", identity: "default", holder: &holder, change: 0 };
    let output = world.path("token").display().to_string();
    let claim = Claim { asker: other, output, naming: Naming::ByOperator };
    world.protected.reserve(&[claim], || Ok::<_, Conflict>(())).unwrap();
    assert_eq!(world.files().read(&world.path("token")).unwrap_err().code, "grant.missing");
    assert_eq!(
        world.files().write(&world.path("token"), b"x", &options(0o640)).unwrap_err().code,
        "grant.missing"
    );
}
