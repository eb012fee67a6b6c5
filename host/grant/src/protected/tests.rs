//! Who may touch an output, and who may reserve it, before, during and after a reload.

use super::*;

/// A use that lives.
struct Living {
    usage: String,
    identity: String,
    holder: Arc<()>,
    change: u64,
}

impl Living {
    fn new(protected: &Protected, identity: &str, role: &str) -> Self {
        Self {
            usage: format!("{identity}/{role}"),
            identity: identity.to_owned(),
            holder: Arc::default(),
            change: protected.change(),
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            usage: &self.usage,
            identity: &self.identity,
            holder: &self.holder,
            change: self.change,
        }
    }

    fn claim(&self, output: &str, naming: Naming) -> Claim<'_> {
        Claim { asker: self.asker(), output: output.to_owned(), naming }
    }

    fn reserves(&self, protected: &Protected, output: &str, naming: Naming) -> bool {
        protected.reserve(&[self.claim(output, naming)], CONFIRMED).is_ok()
    }

    fn may_touch(&self, protected: &Protected, path: &str) -> bool {
        protected.refuses(Path::new(path), self.asker()).is_none()
    }
}

const TOKEN: &str = "/run/token";

/// What a use that has nothing more to ask answers.
const CONFIRMED: fn() -> Result<(), Conflict> = || Ok(());

#[test]
fn nobody_touches_the_agents_own_files_or_anothers_output() {
    let protected = Protected::new(vec!["/etc/usher/plugins".into()]);
    let sink = Living::new(&protected, "default", "sink/0");
    let method = Living::new(&protected, "default", "method");
    assert!(sink.reserves(&protected, TOKEN, Naming::ByOperator));
    for path in ["/proc/self/environ", "/sys/kernel", "/dev/sda", "/etc/usher/plugins/x.wasm"] {
        assert!(!sink.may_touch(&protected, path), "{path}");
    }
    for path in [TOKEN, "/dev/shm/token", "/process/x"] {
        assert!(sink.may_touch(&protected, path), "{path}");
    }
    assert!(!method.may_touch(&protected, TOKEN));
    // While it is written it has another name.
    assert!(!method.may_touch(&protected, "/run/.token.usher-0123456789abcdef"));
    assert!(sink.may_touch(&protected, "/run/.token.usher-0123456789abcdef"));
    assert!(method.may_touch(&protected, "/run/.token.usher-0123"));
    drop(sink);
    assert!(method.may_touch(&protected, TOKEN), "nothing was written there");
}

#[test]
fn the_first_one_keeps_its_output_and_both_are_named() {
    let protected = Protected::default();
    let good = Living::new(&protected, "good", "sink/0");
    let evil = Living::new(&protected, "evil", "sink/0");
    assert!(good.reserves(&protected, TOKEN, Naming::ByOperator));
    let claims = [evil.claim(TOKEN, Naming::ByOperator)];
    let refused = protected.reserve(&claims, CONFIRMED).unwrap_err();
    let expected = Conflict {
        usage: "evil/sink/0".into(),
        output: TOKEN.into(),
        holder: "good/sink/0".into(),
        held: TOKEN.into(),
    };
    assert_eq!(refused, expected);
    assert!(good.may_touch(&protected, TOKEN));
    assert!(!evil.may_touch(&protected, TOKEN));
    // All or none: the other file isn't taken either, and two at once are in each other's way.
    let claims = [evil.claim("/run/free", Naming::ByPlugin), evil.claim(TOKEN, Naming::ByPlugin)];
    assert!(protected.reserve(&claims, CONFIRMED).is_err());
    let third = Living::new(&protected, "third", "sink/0");
    assert!(third.may_touch(&protected, "/run/free"));
    let claims =
        [third.claim("/run/free", Naming::ByPlugin), evil.claim("/run/free", Naming::ByPlugin)];
    assert!(protected.reserve(&claims, CONFIRMED).is_err());
    // Again is no conflict.
    assert!(good.reserves(&protected, TOKEN, Naming::ByOperator));
}

/// Why something isn't reserved.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Taken,
    Unconfirmed,
}

impl From<Conflict> for Refused {
    fn from(_: Conflict) -> Self {
        Self::Taken
    }
}

#[test]
fn who_is_refused_changes_nothing_and_who_does_not_confirm_reserves_nothing() {
    let protected = Protected::default();
    let [first, second] = ["first", "second"].map(|name| Living::new(&protected, name, "sink/0"));
    let claims = [first.claim(TOKEN, Naming::ByOperator)];
    let unconfirmed = protected.reserve(&claims, || Err(Refused::Unconfirmed));
    assert_eq!(unconfirmed, Err(Refused::Unconfirmed));
    assert!(second.reserves(&protected, TOKEN, Naming::ByOperator), "nobody has it");
    let taken: Result<(), Refused> =
        protected.reserve(&claims, || panic!("this use changes, and is refused then"));
    assert_eq!(taken, Err(Refused::Taken));
}

#[test]
fn a_pattern_is_reserved_as_a_pattern() {
    let protected = Protected::default();
    let wide = Living::new(&protected, "wide", "sink/0");
    let other = Living::new(&protected, "other", "sink/0");
    assert!(wide.reserves(&protected, "/x/*", Naming::ByPlugin));
    for path in ["/x/a", "/x/a/b", "/x/.a.usher-0123456789abcdef"] {
        assert!(!other.may_touch(&protected, path), "{path}");
        assert!(wide.may_touch(&protected, path), "{path}");
    }
    for (output, taken) in
        [("/x/a", true), ("/*", true), ("/x/*.jwt", true), ("/*/a", true), ("/y/*", false)]
    {
        assert_eq!(!other.reserves(&protected, output, Naming::ByOperator), taken, "{output}");
    }
}

#[test]
fn in_a_reload_only_the_successor_gets_what_is_leaving() {
    let protected = Protected::default();
    let old = Living::new(&protected, "good", "sink/0");
    let stranger = Living::new(&protected, "evil", "sink/0");
    let method = Living::new(&protected, "evil", "method");
    assert!(old.reserves(&protected, TOKEN, Naming::ByOperator));
    protected.leaving(vec!["good".to_owned()]);
    // Those in force gain nothing, not even by being replaced meanwhile.
    for in_force in [&stranger, &method] {
        assert!(!in_force.may_touch(&protected, TOKEN));
        assert!(!in_force.reserves(&protected, TOKEN, Naming::ByOperator));
    }
    // Nor does another one that comes with the same reload.
    let newcomer = Living::new(&protected, "evil", "sink/0");
    assert!(!newcomer.reserves(&protected, TOKEN, Naming::ByPlugin));
    assert!(!newcomer.reserves(&protected, "/run/*", Naming::ByPlugin));
    assert!(!newcomer.may_touch(&protected, TOKEN));
    let new = Living::new(&protected, "good", "sink/1");
    assert!(!new.may_touch(&protected, TOKEN), "not before it has reserved it");
    assert!(new.reserves(&protected, TOKEN, Naming::ByPlugin));
    assert!(new.may_touch(&protected, TOKEN) && old.may_touch(&protected, TOKEN));
    let twice = Living::new(&protected, "good", "sink/2");
    assert!(!twice.reserves(&protected, TOKEN, Naming::ByOperator), "two of the same reload");
    // The reload is over. Until the old one has gone, the new one may be replaced.
    protected.leaving(Vec::new());
    assert!(new.reserves(&protected, TOKEN, Naming::ByPlugin));
    drop(old);
    assert!(new.may_touch(&protected, TOKEN));
    assert!(!stranger.may_touch(&protected, TOKEN) && !newcomer.may_touch(&protected, TOKEN));
}

#[test]
fn a_renamed_identity_takes_its_file_over_if_the_operator_names_it() {
    let protected = Protected::default();
    let old = Living::new(&protected, "old", "sink/0");
    assert!(old.reserves(&protected, TOKEN, Naming::ByOperator));
    protected.is_written(Path::new(TOKEN), old.asker());
    protected.leaving(vec!["old".to_owned()]);
    let new = Living::new(&protected, "new", "sink/0");
    assert!(new.reserves(&protected, TOKEN, Naming::ByOperator));
    protected.leaving(Vec::new());
    drop(old);
    assert!(new.may_touch(&protected, TOKEN));
}

#[test]
fn a_reload_that_is_refused_leaves_everything_as_it_was() {
    let protected = Protected::default();
    let old = Living::new(&protected, "good", "sink/0");
    assert!(old.reserves(&protected, TOKEN, Naming::ByOperator));
    protected.leaving(vec!["good".to_owned()]);
    let new = Living::new(&protected, "good", "sink/0");
    assert!(new.reserves(&protected, TOKEN, Naming::ByOperator));
    assert!(new.reserves(&protected, "/run/never", Naming::ByOperator));
    drop(new);
    protected.leaving(Vec::new());
    let method = Living::new(&protected, "other", "method");
    assert!(old.may_touch(&protected, TOKEN) && !method.may_touch(&protected, TOKEN));
    assert!(method.may_touch(&protected, "/run/never"));
}

#[test]
fn what_an_identity_left_behind_stays_protected_while_it_exists() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    let path = file.display().to_string();
    std::fs::write(&file, "s.left").unwrap();
    let protected = Protected::default();
    let removed = Living::new(&protected, "good", "sink/0");
    assert!(removed.reserves(&protected, &path, Naming::ByOperator));
    protected.is_written(&file, removed.asker());
    protected.leaving(vec!["good".to_owned()]);
    protected.leaving(Vec::new());
    drop(removed);
    let stranger = Living::new(&protected, "evil", "sink/0");
    assert!(!stranger.may_touch(&protected, &path));
    assert!(!stranger.reserves(&protected, &path, Naming::ByPlugin));
    // The identity comes back: it is its own, and protected as before.
    let back = Living::new(&protected, "good", "sink/0");
    assert!(back.reserves(&protected, &path, Naming::ByOperator));
    drop(back);
    assert!(!stranger.may_touch(&protected, &path));
    std::fs::remove_file(&file).unwrap();
    assert!(stranger.reserves(&protected, &path, Naming::ByPlugin), "nothing is left there");
}
