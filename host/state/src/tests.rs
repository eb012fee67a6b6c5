mod credential;
mod refused;
mod unwritten;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::file::{STATE, STEPS};

struct Home {
    home: TempDir,
    place: Place,
}

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key");
        write_key(&key, &[7; 32]);
        let place = Place::File { directory: home.path().join("state"), key: Key::File(key) };
        Self { home, place }
    }

    fn kubernetes(keep_after_import: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        let this = Self {
            place: Place::Kubernetes {
                directory: home.path().join("state"),
                service_account_token_file: home.path().join("token"),
                keep_after_import,
            },
            home,
        };
        this.service_account("pod-1", "first");
        this
    }

    fn service_account(&self, pod: &str, signature: &str) {
        use base64::Engine as _;
        let claims = format!(
            r#"{{"iss":"https://k8s","sub":"system:serviceaccount:team:app","exp":{},"kubernetes.io":{{"pod":{{"uid":"{pod}"}},"serviceaccount":{{"uid":"account"}}}}}}"#,
            signature.len()
        );
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
        fs::write(self.home.path().join("token"), format!("e30.{claims}.{signature}\n")).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("state").join(STATE)
    }

    fn open(&self) -> (Store, Found) {
        Store::open(&self.place).unwrap()
    }

    fn error(&self) -> String {
        match Store::open(&self.place) {
            Ok(_) => panic!("it opens"),
            Err(error) => error.to_string(),
        }
    }

    fn with(&self, records: &[(&str, &str)]) {
        let (store, _) = self.open();
        for (name, record) in records {
            store.put(name, Secret::new(record.as_bytes().to_vec())).unwrap();
        }
    }
}

fn write_key(path: &Path, key: &[u8]) {
    fs::write(path, key).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn text(store: &Store, name: &str) -> Option<String> {
    store.get(name).map(|record| String::from_utf8(record.expose().clone()).unwrap())
}

#[test]
fn what_is_kept_is_there_again() {
    let home = Home::new();
    assert_eq!(home.open().1, Found::Nothing);
    home.with(&[("one", "first"), ("two", ""), ("one", "second")]);
    let (store, found) = home.open();
    assert_eq!(found, Found::State);
    assert_eq!(store.names(), ["one", "two"]);
    assert_eq!(
        (text(&store, "one").as_deref(), text(&store, "two").as_deref()),
        (Some("second"), Some(""))
    );
    store.remove("one").unwrap();
    drop(store);
    assert_eq!(home.open().0.names(), ["two"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home.file()), mode(home.file().parent().unwrap())), (0o600, 0o700));
    let sealed = fs::read(home.file()).unwrap();
    for secret in ["second", "two"] {
        assert!(!sealed.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[test]
fn whatever_is_changed_or_cut_off_is_set_aside() {
    let home = Home::new();
    home.with(&[("one", "record")]);
    let sealed = fs::read(home.file()).unwrap();
    let flipped = (0..sealed.len()).map(|at| {
        let mut other = sealed.clone();
        other[at] ^= 1;
        other
    });
    let cut = (0..sealed.len()).map(|end| sealed[..end].to_vec());
    let longer = [sealed.as_slice(), b"x"].concat();
    for other in flipped.chain(cut).chain([longer, b"garbage".to_vec()]) {
        fs::write(home.file(), &other).unwrap();
        let (store, found) = home.open();
        let Found::Damaged { why, set_aside } = found else { panic!("{found:?}") };
        assert!(!why.is_empty() && store.names().is_empty());
        assert_eq!(fs::read(set_aside.unwrap()).unwrap(), other);
        assert!(!home.file().exists());
    }
    fs::write(home.file(), &sealed).unwrap();
    assert_eq!(text(&home.open().0, "one").as_deref(), Some("record"));
}

#[test]
fn another_key_opens_nothing() {
    let home = Home::new();
    home.with(&[("one", "record")]);
    write_key(&home.home.path().join("key"), &[8; 32]);
    assert!(matches!(home.open().1, Found::Damaged { .. }));
}

#[test]
fn after_each_step_of_writing_one_value_is_whole() {
    for done in 0..=STEPS.len() {
        let home = Home::new();
        home.with(&[("one", "old")]);
        let other = Home::new();
        other.with(&[("one", "new")]);
        let new = fs::read(other.file()).unwrap();
        for step in &STEPS[..done] {
            step(home.file().parent().unwrap(), STATE, &new).unwrap();
        }
        let expected = if done < 2 { "old" } else { "new" };
        assert_eq!(text(&home.open().0, "one").as_deref(), Some(expected), "{done} steps");
        home.with(&[("one", "newest")]);
        assert_eq!(text(&home.open().0, "one").as_deref(), Some("newest"), "{done} steps");
    }
}

#[test]
fn what_cannot_be_written_is_written_with_the_next_change() {
    let home = Home::new();
    let (store, _) = home.open();
    store.put("one", Secret::new(b"1".to_vec())).unwrap();
    let (directory, gone) = (home.home.path().join("state"), home.home.path().join("gone"));
    fs::rename(&directory, &gone).unwrap();
    let error = store.put("one", Secret::new(b"2".to_vec())).unwrap_err().to_string();
    assert!(error.contains("usher-state"), "{error}");
    fs::rename(&gone, &directory).unwrap();
    store.put("two", Secret::new(b"3".to_vec())).unwrap();
    drop(store);
    let (store, _) = home.open();
    assert_eq!(
        (text(&store, "one").as_deref(), text(&store, "two").as_deref()),
        (Some("2"), Some("3"))
    );
    let large = Secret::new(vec![0; records::LARGEST]);
    assert!(matches!(store.put("large", large), Err(Error::TooLarge)));
}

#[test]
fn one_process_has_a_directory_at_a_time() {
    let home = Home::new();
    let (store, _) = home.open();
    let error = home.error();
    assert!(error.contains("is in use by another agent"), "{error}");
    drop(store);
    home.open();
}

#[test]
fn a_key_that_is_none_or_not_safe_is_refused_with_what_to_do() {
    let home = Home::new();
    let key = home.home.path().join("key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(home.error().contains("chmod 600"));
    write_key(&key, &[7; 31]);
    assert!(home.error().contains("31 bytes, and must have 32"));
    fs::remove_file(&key).unwrap();
    assert!(home.error().contains("head -c 32 /dev/urandom"));
    let directory = home.home.path().join("state");
    let beside = |key: PathBuf| {
        let place = Place::File { directory: directory.clone(), key: Key::File(key) };
        Store::open(&place).err().map(|error| error.to_string()).unwrap_or_default()
    };
    fs::create_dir_all(&directory).unwrap();
    write_key(&directory.join("key"), &[7; 32]);
    assert!(beside(directory.join("key")).contains("move it elsewhere"));
    std::os::unix::fs::symlink(directory.join("key"), home.home.path().join("link")).unwrap();
    assert!(beside(home.home.path().join("link")).contains("move it elsewhere"));
    let credential = |name: &str| {
        let key = Key::Credential(name.to_owned());
        let place = Place::File { directory: directory.clone(), key };
        Store::open(&place).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(credential("usher-state").contains("LoadCredentialEncrypted=usher-state:"));
    assert!(credential("../key").contains("no name of a credential"));
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let home = Home::new();
    home.with(&[("one", "record")]);
    let directory = home.home.path().join("state");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(home.error().contains("chmod 700"));
}

#[test]
fn a_sidecar_takes_over_what_its_init_container_left() {
    let home = Home::kubernetes(false);
    let (store, found) = home.open();
    assert_eq!(found, Found::Nothing);
    store.taken_over().unwrap();
    store.put("one", Secret::new(b"record".to_vec())).unwrap();
    drop(store);
    // The kubelet has replaced the token.
    home.service_account("pod-1", "second");
    let (store, found) = home.open();
    assert_eq!((found, text(&store, "one").as_deref()), (Found::State, Some("record")));
    assert!(home.file().exists(), "it can still fail to start");
    store.taken_over().unwrap();
    assert!(fs::read_dir(home.home.path().join("state")).unwrap().next().is_none());
    store.put("one", Secret::new(b"later".to_vec())).unwrap();
    assert!(!home.file().exists(), "nothing is kept any more");
}

#[test]
fn what_is_kept_after_the_import_is_kept_on() {
    let home = Home::kubernetes(true);
    home.with(&[("one", "record")]);
    let (store, _) = home.open();
    store.taken_over().unwrap();
    store.put("one", Secret::new(b"later".to_vec())).unwrap();
    drop(store);
    assert_eq!(text(&home.open().0, "one").as_deref(), Some("later"));
}

#[test]
fn another_pod_opens_nothing() {
    let home = Home::kubernetes(true);
    home.with(&[("one", "record")]);
    home.service_account("pod-2", "first");
    let Found::Damaged { why, .. } = home.open().1 else { panic!() };
    assert!(why.contains("another pod"), "{why}");
    fs::write(home.home.path().join("token"), "no JWT").unwrap();
    assert_eq!(home.open().1, Found::Nothing);
    home.with(&[("one", "record")]);
    assert_eq!(home.open().1, Found::State);
    fs::remove_file(home.home.path().join("token")).unwrap();
    assert!(home.error().contains("token"));
}

#[test]
fn what_would_keep_a_place_from_being_opened_is_known_without_touching_it() {
    let home = Home::new();
    let (directory, key) = (home.home.path().join("state"), home.home.path().join("key"));
    let said = |home: &Home| home.place.check().err().map(|error| error.to_string());
    assert_eq!(said(&home), None);
    assert!(!directory.exists(), "it is only asked");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said(&home).unwrap().contains("chmod 600"));
    fs::remove_file(&key).unwrap();
    assert!(said(&home).unwrap().contains("head -c 32 /dev/urandom"));
    write_key(&key, &[7; 32]);
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(said(&home).unwrap().contains("chmod 700"));
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    let (_store, _) = home.open();
    assert_eq!(said(&home), None, "a running agent has it");
    let other = Home::kubernetes(false);
    assert_eq!(said(&other), None);
    fs::write(other.home.path().join("state"), "").unwrap();
    assert!(said(&other).unwrap().contains("not a directory"));
    fs::remove_file(other.home.path().join("token")).unwrap();
    assert!(said(&other).unwrap().contains("token"));
    // What only the service has.
    let key = Key::Credential("usher-state".to_owned());
    for place in [Place::Systemd, Place::File { directory, key }] {
        assert!(place.check().is_ok(), "{place:?}");
    }
}

proptest! {
    #[test]
    fn what_is_no_record_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Records::decode(&bytes);
        let mut versioned = vec![1];
        versioned.extend(&bytes);
        if let Ok(records) = Records::decode(&versioned) {
            let again = records.encode().unwrap();
            prop_assert!(Records::decode(again.expose()).is_ok());
        }
        prop_assert!(seal::open(&Material::new(vec![1; 32]), b"", &bytes).is_err());
    }
}
