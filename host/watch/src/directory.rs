//! Watches all files of one directory, for a plug-in directory.
//!
//! A file that takes its name by renaming is whole, so that is told at once; one that is written in
//! place is told when the writing has paused. Where the kernel gives no events, or only those of
//! this machine, the directory is looked at every few seconds.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::network::is_path_on_network;
use crate::{Changes, POLL, START, directories, is_reading};

/// A file that is written in place is taken for whole after this long without an event.
const QUIET: Duration = Duration::from_millis(100);
/// But not even constant writing holds a look back for longer.
const LONGEST_NOISE: Duration = Duration::from_secs(5);

/// What tells one content of a directory from the next without reading its files: of each entry,
/// and of the directory itself, what is at its end.
type Listing = BTreeMap<OsString, Option<Fingerprint>>;

/// Also who may change the file, which decides whether it is trusted.
#[derive(PartialEq, Eq)]
struct Fingerprint {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    owner: (u32, u32),
    mode: u32,
}

/// Whether a look can wait for more of the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// A name was taken: what has it is whole.
    Renamed,
    /// Anything else.
    Changed,
}

/// Watches the files of `directory` for as long as the result lives. It may come into being later,
/// and may be reached over links that are swapped. The first change is told when watching begins,
/// for whoever has read the files before. Needs a tokio runtime.
pub fn watch_directory(directory: &Path) -> Changes {
    let (changed, changes) = mpsc::channel(1);
    tokio::spawn(run(directory.to_owned(), changed));
    Changes(changes)
}

async fn run(directory: PathBuf, changed: mpsc::Sender<()>) {
    // An agent that logs in once and ends needs no events.
    tokio::time::sleep(START).await;
    // More than one, so that a rename isn't lost among other hints.
    let (hint, mut hints) = mpsc::channel(64);
    let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let kind = event.map_or(EventKind::Any, |event| event.kind);
        if !is_reading(kind) {
            let renamed = matches!(kind, EventKind::Modify(ModifyKind::Name(_)));
            // A full channel means that a look is due already.
            let _ = hint.try_send(if renamed { Hint::Renamed } else { Hint::Changed });
        }
    });
    let mut notify = notify
        .inspect_err(|error| {
            tracing::warn!(%error, "the kernel gives no file events; the plug-in directory is polled");
        })
        .ok();
    let mut followed = HashSet::new();
    let mut before = Listing::new();
    loop {
        let polling = match &mut notify {
            Some(notify) => {
                !follow(notify, &directory, &mut followed) || is_path_on_network(&directory)
            }
            None => true,
        };
        let now = listing(&directory);
        if now != before {
            before = now;
            let _ = changed.try_send(());
        }
        let hint = tokio::select! {
            () = changed.closed() => return,
            hint = hints.recv(), if notify.is_some() => hint.unwrap_or(Hint::Changed),
            () = tokio::time::sleep(POLL), if polling => Hint::Renamed,
        };
        settle(hint, &mut hints).await;
    }
}

/// Waits until nothing more is to be expected.
async fn settle(mut hint: Hint, hints: &mut mpsc::Receiver<Hint>) {
    let latest = Instant::now() + LONGEST_NOISE;
    while hint == Hint::Changed && Instant::now() < latest {
        match tokio::time::timeout(QUIET, hints.recv()).await {
            Ok(Some(next)) => hint = next,
            _ => return,
        }
    }
    // One look is enough for all that happened before it.
    while hints.try_recv().is_ok() {}
}

/// Watches the directory and what leads to it. False: something can't be watched.
fn follow(
    notify: &mut RecommendedWatcher,
    directory: &Path,
    followed: &mut HashSet<PathBuf>,
) -> bool {
    // Those of any file in it are its own, and those of the links on the way to it.
    let mut wanted: HashSet<PathBuf> = directories(&directory.join("file")).into_iter().collect();
    wanted.extend(directories(directory));
    // A directory that was replaced has lost its watch, and a second one of the same does nothing.
    for gone in followed.difference(&wanted) {
        let _ = notify.unwatch(gone);
    }
    let mut complete = true;
    followed.clear();
    for path in wanted {
        if notify.watch(&path, RecursiveMode::NonRecursive).is_ok() {
            followed.insert(path);
        } else {
            complete = false;
        }
    }
    complete
}

fn listing(directory: &Path) -> Listing {
    let mut listing = Listing::new();
    listing.insert(OsString::new(), fs::metadata(directory).ok().map(|found| of_directory(&found)));
    for entry in fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok) {
        let found = fs::metadata(entry.path()).ok().map(|found| of_file(&found));
        listing.insert(entry.file_name(), found);
    }
    listing
}

fn of_file(found: &Metadata) -> Fingerprint {
    Fingerprint {
        file: (found.dev(), found.ino()),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
        owner: (found.uid(), found.gid()),
        mode: found.mode(),
    }
}

/// Its times change with each file in it, which have fingerprints of their own.
fn of_directory(found: &Metadata) -> Fingerprint {
    Fingerprint { size: 0, modified: (0, 0), changed: (0, 0), ..of_file(found) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tokio::time::timeout;

    use super::*;

    /// Longer than any event takes, shorter than anybody's patience.
    const SOON: Duration = Duration::from_secs(10);
    /// Long enough for an event that must not come.
    const WHILE: Duration = Duration::from_millis(500);

    async fn comes(changes: &mut Changes) -> bool {
        timeout(SOON, changes.changed()).await.is_ok()
    }

    async fn stays(changes: &mut Changes) -> bool {
        timeout(WHILE, changes.changed()).await.is_err()
    }

    #[tokio::test]
    async fn files_that_come_go_and_change_are_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("acme.wasm");
        let mut changes = watch_directory(directory.path());
        assert!(comes(&mut changes).await && stays(&mut changes).await);
        fs::write(&file, "one").unwrap();
        assert!(comes(&mut changes).await);
        fs::read(&file).unwrap();
        assert!(stays(&mut changes).await);
        fs::write(directory.path().join("new"), "two").unwrap();
        assert!(comes(&mut changes).await);
        fs::rename(directory.path().join("new"), &file).unwrap();
        assert!(comes(&mut changes).await);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(comes(&mut changes).await);
        fs::remove_file(&file).unwrap();
        assert!(comes(&mut changes).await);
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let plugins = directory.path().join("a/plugins");
        let mut changes = watch_directory(&plugins);
        assert!(comes(&mut changes).await && stays(&mut changes).await);
        fs::create_dir_all(&plugins).unwrap();
        assert!(comes(&mut changes).await);
        fs::write(plugins.join("acme.wasm"), "one").unwrap();
        assert!(comes(&mut changes).await);
    }

    #[tokio::test]
    async fn a_directory_behind_a_swapped_link_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        for version in ["..1", "..2"] {
            fs::create_dir(directory.path().join(version)).unwrap();
            fs::write(directory.path().join(version).join("acme.wasm"), version).unwrap();
        }
        let link = directory.path().join("plugins");
        symlink("..1", &link).unwrap();
        let mut changes = watch_directory(&link);
        assert!(comes(&mut changes).await && stays(&mut changes).await);
        symlink("..2", directory.path().join("new")).unwrap();
        fs::rename(directory.path().join("new"), &link).unwrap();
        assert!(comes(&mut changes).await);
    }

    #[tokio::test]
    async fn only_a_rename_is_told_before_the_writing_pauses() {
        let (sender, mut hints) = mpsc::channel(64);
        // Without time it ends only if it has nothing to wait for.
        assert!(timeout(Duration::ZERO, settle(Hint::Renamed, &mut hints)).await.is_ok());
        assert!(timeout(Duration::ZERO, settle(Hint::Changed, &mut hints)).await.is_err());
        sender.try_send(Hint::Changed).unwrap();
        sender.try_send(Hint::Renamed).unwrap();
        assert!(timeout(Duration::ZERO, settle(Hint::Changed, &mut hints)).await.is_ok());
        settle(Hint::Changed, &mut hints).await;
    }

    #[test]
    fn writing_in_place_changes_the_listing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("acme.js");
        fs::write(&file, "one").unwrap();
        let before = listing(directory.path());
        let mut open = fs::File::options().append(true).open(&file).unwrap();
        open.write_all(b" and more").unwrap();
        assert!(before != listing(directory.path()));
    }
}
