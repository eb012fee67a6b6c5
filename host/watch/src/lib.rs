//! Watches files for changes by watching the directories they lie in.
//!
//! A file that is replaced by renaming, a file that doesn't exist yet, and a link that is swapped
//! (Kubernetes' `..data`) all show up as events of a directory, never of the file. Events are only
//! hints: what counts is whether what the path leads to is another file, or has another time or
//! size, than before. Where the kernel gives no events the files are looked at every few seconds.

#![forbid(unsafe_code)]

mod directory;
mod network;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

pub use directory::watch_directory;
pub use network::is_on_network;

/// Events are asked for only after this long.
const START: Duration = Duration::from_millis(100);
/// Events are collected until there has been none for this long.
const QUIET: Duration = Duration::from_millis(50);
/// How often files are looked at where the kernel gives no events.
const POLL: Duration = Duration::from_secs(3);

/// Watches files for any number of listeners. Cheap to clone; needs a tokio runtime from the
/// first [`Watcher::watch`] on.
#[derive(Clone, Default)]
pub struct Watcher(Arc<Mutex<Inner>>);

/// Tells when something that is watched has changed, appeared or vanished.
pub struct Changes(mpsc::Receiver<()>);

#[derive(Default)]
struct Inner {
    started: bool,
    notify: Option<RecommendedWatcher>,
    directories: HashSet<PathBuf>,
    listeners: Vec<Listener>,
    /// A directory can't be watched: poll.
    polling: bool,
}

struct Listener {
    files: Vec<(PathBuf, Fingerprint)>,
    changed: mpsc::Sender<()>,
}

/// What tells one content of a file from the next without reading it. None: not there.
type Fingerprint = Option<(u64, u64, i64, i64, u64)>;

impl Watcher {
    /// Watches `files`, absolute paths, from now on.
    pub fn watch(&self, files: &[PathBuf]) -> Changes {
        let (changed, changes) = mpsc::channel(1);
        let files: Vec<_> = files.iter().map(|path| (path.clone(), fingerprint(path))).collect();
        let mut inner = self.lock();
        inner.listeners.push(Listener { files, changed });
        if !std::mem::replace(&mut inner.started, true) {
            tokio::spawn(run(Arc::downgrade(&self.0)));
        } else if inner.notify.is_some() {
            inner.follow();
        }
        Changes(changes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    /// Waits for a change. Several changes in quick succession are one. Without a file to watch
    /// it waits for ever.
    pub async fn changed(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

async fn run(watcher: Weak<Mutex<Inner>>) {
    // An agent that logs in once and ends needs no events, and they cost more than its login.
    tokio::time::sleep(START).await;
    let (hint, mut hints) = mpsc::channel(1);
    match watcher.upgrade() {
        Some(inner) => inner.lock().unwrap_or_else(PoisonError::into_inner).start(hint),
        None => return,
    }
    loop {
        let polling = match watcher.upgrade() {
            Some(inner) => inner.lock().unwrap_or_else(PoisonError::into_inner).polling,
            None => return,
        };
        if polling {
            // Without any events the channel is closed.
            if let Ok(None) = tokio::time::timeout(POLL, hints.recv()).await {
                tokio::time::sleep(POLL).await;
            }
        } else if hints.recv().await.is_none() {
            return;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, hints.recv()).await {}
        let Some(inner) = watcher.upgrade() else { return };
        inner.lock().unwrap_or_else(PoisonError::into_inner).look();
    }
}

impl Inner {
    /// Asks the kernel for events, and looks for what happened before there were any.
    fn start(&mut self, hint: mpsc::Sender<()>) {
        let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| is_reading(event.kind)) {
                // A full channel means that a look is due already.
                let _ = hint.try_send(());
            }
        });
        match notify {
            Ok(notify) => self.notify = Some(notify),
            Err(error) => {
                tracing::warn!(%error, "the kernel gives no file events; files are polled");
                self.polling = true;
            }
        }
        self.follow();
        self.look();
    }

    /// Tells each listener whose files changed, and follows links to where they lead now.
    fn look(&mut self) {
        self.listeners.retain_mut(|listener| {
            let mut changed = false;
            for (path, before) in &mut listener.files {
                let now = fingerprint(path);
                changed |= now != *before;
                *before = now;
            }
            if changed {
                let _ = listener.changed.try_send(());
            }
            !listener.changed.is_closed()
        });
        self.follow();
    }

    /// Watches every directory in which a change could show.
    fn follow(&mut self) {
        let wanted: HashSet<PathBuf> = self
            .listeners
            .iter()
            .flat_map(|listener| &listener.files)
            .flat_map(|(path, _)| directories(path))
            .collect();
        let Some(notify) = &mut self.notify else { return };
        for gone in self.directories.difference(&wanted) {
            let _ = notify.unwatch(gone);
        }
        let mut polling = false;
        let mut watched = HashSet::new();
        for directory in wanted {
            if self.directories.contains(&directory)
                || notify.watch(&directory, RecursiveMode::NonRecursive).is_ok()
            {
                watched.insert(directory);
            } else {
                polling = true;
            }
        }
        self.directories = watched;
        self.polling = polling;
    }
}

/// Being read is no change.
fn is_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The directory of `path` and of each link on the way to where it leads; for one that doesn't
/// exist yet, the nearest one above it that does.
fn directories(path: &Path) -> Vec<PathBuf> {
    /// As many links as the kernel follows.
    const MOST_LINKS: usize = 40;
    let mut directories = Vec::new();
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Some(parent) = path.parent().map(Path::to_owned) else { break };
        let existing = parent.ancestors().find(|ancestor| ancestor.is_dir());
        directories.extend(existing.map(Path::to_owned));
        match fs::read_link(&path) {
            Ok(link) => path = parent.join(link),
            // Kubernetes: token → ..data/token, where ..data is the link that is swapped.
            Err(_) => match parent.file_name().and_then(|_| fs::read_link(&parent).ok()) {
                Some(link) => {
                    let name = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
                    path = parent.parent().unwrap_or(Path::new("/")).join(link).join(name);
                    directories.extend(parent.parent().map(Path::to_owned));
                }
                None => break,
            },
        }
    }
    directories
}

fn fingerprint(path: &Path) -> Fingerprint {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.size()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Longer than any event takes, shorter than anybody's patience.
    const SOON: Duration = Duration::from_secs(10);
    /// Long enough for an event that must not come.
    const WHILE: Duration = Duration::from_millis(300);

    async fn changes(changes: &mut Changes) -> bool {
        tokio::time::timeout(SOON, changes.changed()).await.is_ok()
    }

    async fn stays(changes: &mut Changes) -> bool {
        tokio::time::timeout(WHILE, changes.changed()).await.is_err()
    }

    #[tokio::test]
    async fn a_file_that_appears_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("role-id");
        let mut watched = Watcher::default().watch_owned(&file);
        assert!(stays(&mut watched.1).await);
        fs::write(&file, "x").unwrap();
        assert!(changes(&mut watched.1).await);
    }

    #[tokio::test]
    async fn a_file_in_a_directory_that_appears_later_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a/b/role-id");
        let mut watched = Watcher::default().watch_owned(&file);
        fs::create_dir(directory.path().join("a")).unwrap();
        tokio::time::sleep(WHILE).await;
        fs::create_dir(directory.path().join("a/b")).unwrap();
        tokio::time::sleep(WHILE).await;
        fs::write(&file, "x").unwrap();
        assert!(changes(&mut watched.1).await);
    }

    #[tokio::test]
    async fn a_replaced_file_is_noticed_and_a_neighbour_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("role-id");
        fs::write(&file, "one").unwrap();
        let mut watched = Watcher::default().watch_owned(&file);
        fs::write(directory.path().join("neighbour"), "x").unwrap();
        fs::read(&file).unwrap();
        assert!(stays(&mut watched.1).await);
        fs::write(directory.path().join("new"), "two").unwrap();
        fs::rename(directory.path().join("new"), &file).unwrap();
        assert!(changes(&mut watched.1).await);
        fs::remove_file(&file).unwrap();
        assert!(changes(&mut watched.1).await);
    }

    #[tokio::test]
    async fn a_projected_volume_that_is_swapped_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        for (version, content) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(directory.path().join(version)).unwrap();
            fs::write(directory.path().join(version).join("token"), content).unwrap();
        }
        symlink("..1", directory.path().join("..data")).unwrap();
        symlink("..data/token", directory.path().join("token")).unwrap();
        let mut watched = Watcher::default().watch_owned(&directory.path().join("token"));
        symlink("..2", directory.path().join("..tmp")).unwrap();
        fs::rename(directory.path().join("..tmp"), directory.path().join("..data")).unwrap();
        assert!(changes(&mut watched.1).await);
    }

    impl Watcher {
        /// Keeps the watcher alive with its changes.
        fn watch_owned(self, file: &Path) -> (Self, Changes) {
            let changes = self.watch(&[file.to_owned()]);
            (self, changes)
        }
    }
}
