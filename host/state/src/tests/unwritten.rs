//! What can't be written is made up for.

use super::*;

fn put(store: &Store, name: &str, record: &str) -> Result<(), Error> {
    store.put(name, Secret::new(record.as_bytes().to_vec()))
}

/// Until the return value is dropped nothing can be written: where the new file goes is no file. Unlike
/// a mode it stops root, too.
fn obstacle(home: &Home) -> TempDir {
    let directory = home.home.path().join("state");
    tempfile::Builder::new().prefix("usher-state.new").rand_bytes(0).tempdir_in(directory).unwrap()
}

#[test]
fn what_cannot_be_written_leaves_what_was_kept() {
    let home = Home::new();
    let (store, _) = home.open();
    put(&store, "one", "old").unwrap();
    let in_the_way = obstacle(&home);
    let error = put(&store, "one", "new").unwrap_err().to_string();
    assert!(error.contains("state/usher-state: "), "{error}");
    drop((store, in_the_way));
    assert_eq!(text(&home.open().0, "one").as_deref(), Some("old"));
}

#[test]
fn what_could_not_be_removed_goes_when_it_is_asked_again() {
    let home = Home::new();
    let (store, _) = home.open();
    put(&store, "one", "revoked").unwrap();
    let in_the_way = obstacle(&home);
    assert!(store.remove("one").is_err());
    assert!(store.remove("one").is_err(), "it is still kept");
    drop(in_the_way);
    store.remove("one").unwrap();
    drop(store);
    assert!(home.open().0.names().is_empty());
}

#[test]
fn a_record_that_is_too_large_keeps_out_no_other() {
    let home = Home::new();
    let (store, _) = home.open();
    put(&store, "one", "old").unwrap();
    let large = || Secret::new(vec![0; records::LARGEST]);
    for name in ["one", "two"] {
        let error = store.put(name, large()).unwrap_err();
        assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
    }
    put(&store, "three", "small").unwrap();
    drop(store);
    let (store, _) = home.open();
    assert_eq!(store.names(), ["one", "three"]);
    assert_eq!(text(&store, "one").as_deref(), Some("old"));
}

#[test]
fn the_largest_that_is_taken_is_there_again() {
    let home = Home::new();
    let (store, _) = home.open();
    // Version, and the two lengths with the name.
    let length = records::LARGEST - 1 - 4 - 3 - 4;
    store.put("one", Secret::new(vec![7; length])).unwrap();
    drop(store);
    assert_eq!(home.open().0.get("one").unwrap().expose().len(), length);
}

#[test]
fn half_of_a_new_file_is_no_state_and_is_in_nobodys_way() {
    let home = Home::new();
    home.with(&[("one", "old")]);
    let half = home.home.path().join("state/usher-state.new");
    let sealed = fs::read(home.file()).unwrap();
    fs::write(&half, &sealed[..sealed.len() / 2]).unwrap();
    let (store, found) = home.open();
    assert_eq!((found, text(&store, "one").as_deref()), (Found::State, Some("old")));
    put(&store, "one", "new").unwrap();
    assert!(!half.exists());
    drop(store);
    assert_eq!(text(&home.open().0, "one").as_deref(), Some("new"));
}

#[test]
fn what_fails_half_way_leaves_no_half_file() {
    let home = Home::new();
    let (store, _) = home.open();
    // The new file can't take the place of a directory.
    fs::create_dir(home.file()).unwrap();
    assert!(put(&store, "one", "record").is_err());
    let left: Vec<_> = fs::read_dir(home.home.path().join("state")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
