//! The directory of the sealed file, which one process has at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng as _;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::key::{Material, only_ours};
use crate::records::LARGEST;

/// A directory of ours.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Locked, as long as this value lives.
    lock: File,
    /// Nobody else may have a hand in it. A pod's volume is open to all of its containers, and the
    /// kubelet gives what lies there to the group of the pod.
    is_own: bool,
}

impl Directory {
    /// Makes it if need be, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::of(path))?;
        let lock = File::open(path).map_err(Error::of(path))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { path: path.to_owned(), lock, is_own: false }),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => return Err(Error::InUse { path: path.to_owned() }),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::of(path)(error.into())),
            }
        }
    }

    /// The same of one in which nobody else may change anything.
    pub(crate) fn open_own(path: &Path) -> Result<Self, Error> {
        let this = Self::open(path)?;
        let metadata = this.lock.metadata().map_err(Error::of(path))?;
        only_ours(path, &metadata, 0o022, "chmod 700 it")?;
        Ok(Self { is_own: true, ..this })
    }

    /// The key that lies beside the file, made if there is none.
    pub(crate) fn key_beside(&self) -> Result<Material, Error> {
        let path = self.path.join(KEY);
        match self.read_file(&path)? {
            Some(key) if key.len() == KEY_LENGTH => Ok(Material::new(key.to_vec())),
            _ => {
                let mut key = Zeroizing::new(vec![0; KEY_LENGTH]);
                rand::rng().fill(&mut key[..]);
                self.write(KEY, &key)?;
                Ok(Material::new(key.to_vec()))
            }
        }
    }

    /// What is in the file; `None`: there is none.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, Error> {
        let content = self.read_file(&self.path.join(STATE))?;
        Ok(content.map(|mut sealed| std::mem::take(&mut *sealed)))
    }

    /// What one of the incumbents has left here.
    pub(crate) fn of_incumbent(&self) -> Option<PathBuf> {
        let path = self.path.join(INCUMBENTS);
        path.is_file().then_some(path)
    }

    /// Puts this in place of the file, which is whole at any moment.
    pub(crate) fn replace(&self, sealed: &[u8]) -> Result<(), Error> {
        self.write(STATE, sealed)
    }

    /// Puts the file where it isn't read any more. Tells where.
    pub(crate) fn set_aside(&self) -> Result<Option<PathBuf>, Error> {
        let aside = self.path.join(DAMAGED);
        fs::rename(self.path.join(STATE), &aside).map_err(Error::of(&self.path))?;
        Ok(Some(aside))
    }

    /// Removes the file, and a key beside it.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        for name in [STATE, KEY] {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::of(path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Error> {
        for step in STEPS {
            if let Err(error) = step(&self.path, name, content) {
                // A full disk gets its room back.
                let _ = fs::remove_file(unfinished(&self.path, name));
                return Err(Error::of(self.path.join(name))(error));
            }
        }
        Ok(())
    }

    /// A file's content; `None`: it isn't there.
    fn read_file(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        // Neither a link that leads elsewhere, nor a pipe that keeps its reader waiting.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(no_file(path)),
            Err(error) => return Err(Error::of(path)(error.into())),
        };
        let metadata = file.metadata().map_err(Error::of(path))?;
        if !metadata.is_file() {
            return Err(no_file(path));
        }
        if self.is_own {
            only_ours(
                path,
                &metadata,
                0o022,
                "chmod 600 it if you trust what it holds, else remove it",
            )?;
        }
        let mut content = Zeroizing::new(Vec::new());
        // More than there can be is damaged anyway.
        let most = LARGEST as u64 + 4096;
        file.take(most).read_to_end(&mut content).map_err(Error::of(path))?;
        Ok(Some(content))
    }
}

fn no_file(path: &Path) -> Error {
    let error = io::Error::other("it is no regular file, as the agent makes it: move it away");
    Error::of(path)(error)
}

type Step = fn(&Path, &str, &[u8]) -> io::Result<()>;

/// How a file is replaced: after each of these it is the former one or the new one as a whole.
pub(crate) const STEPS: [Step; 3] = [write_new, put_in_place, make_durable];

fn write_new(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = unfinished(directory, name);
    // One that was left behind may be a link to somewhere else.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn put_in_place(directory: &Path, name: &str, _: &[u8]) -> io::Result<()> {
    fs::rename(unfinished(directory, name), directory.join(name))
}

fn make_durable(directory: &Path, _: &str, _: &[u8]) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn unfinished(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.new"))
}

/// In the directory.
pub(crate) const STATE: &str = "usher-state";
const KEY: &str = "usher-state.key";
const DAMAGED: &str = "usher-state.damaged";
const INCUMBENTS: &str = "vault-agent-cache.db";
/// In bytes.
const KEY_LENGTH: usize = 32;
/// With an agent that is about to end, and with a lock that a child has inherited until it runs its own
/// program. The incumbents wait as long.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
