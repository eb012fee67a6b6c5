//! What must outlive the process, as one sealed value: whole, or absent.
//!
//! A [`Store`] keeps records by name. All of them together are encrypted and authenticated as one
//! value, which is replaced as a whole: in a file, or in systemd's file descriptor store.
//! What can't be opened any more is set aside and said; a store that can't work is an [`Error`].

#![deny(unsafe_code)]

mod check;
mod error;
mod file;
mod key;
mod records;
mod seal;
mod service_account;
mod systemd;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use usher_secret::Secret;

pub use error::Error;

use self::file::Directory;
use self::key::Material;
use self::records::Records;
use self::systemd::DescriptorStore;

/// Where what outlives the process is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file in a directory of its own.
    File {
        /// Made, with mode 0700, if it isn't there.
        directory: PathBuf,
        /// What it is sealed with.
        key: Key,
    },
    /// A file in a volume in memory that the containers of a pod share, with its key beside it, as the
    /// incumbents have it. It is opened only in the pod that made it.
    Kubernetes {
        /// Made, with mode 0700, if it isn't there.
        directory: PathBuf,
        /// Says which pod this is.
        service_account_token_file: PathBuf,
        /// Keep the file once it was read, and go on with it; else it is removed, and nothing is kept
        /// any more.
        keep_after_import: bool,
    },
    /// systemd's file descriptor store (systemd.service(5), `FileDescriptorStoreMax=`): nothing is
    /// written to any disk.
    Systemd,
}

/// Where the key of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// A credential of systemd's, by its name (systemd.exec(5), `LoadCredentialEncrypted=`).
    Credential(String),
    /// A file that nobody else can read.
    File(PathBuf),
}

/// What an earlier process has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Records.
    State,
    /// Nothing of ours. Another agent has left this file, which has its own format: it stays, unread.
    OfIncumbent {
        /// Where it is.
        file: PathBuf,
    },
    /// Something that can't be opened.
    Damaged {
        /// What is wrong with it.
        why: String,
        /// Where it is now. `None`: it is gone.
        set_aside: Option<PathBuf>,
    },
}

/// The records that are kept. Clones share them.
#[derive(Clone)]
pub struct Store(Arc<Mutex<Inner>>);

struct Inner {
    records: Records,
    backing: Backing,
    /// The last write failed: what is kept is older than `records`.
    is_behind: bool,
}

/// What holds the sealed value.
enum Backing {
    Directory {
        directory: Directory,
        key: Material,
        /// Whom it is for, besides.
        binding: Vec<u8>,
        /// It is removed once it was taken over.
        is_for_one_reader: bool,
    },
    Descriptors(DescriptorStore),
    /// Nothing: what is kept ends with the process.
    Process,
}

impl Store {
    /// Opens a place, and reads what an earlier process has left there.
    ///
    /// # Errors
    /// Nothing could ever be kept there, and why.
    pub fn open(place: &Place) -> Result<(Self, Found), Error> {
        let (backing, found, records) = match place {
            Place::File { directory, key } => {
                let key = key.read(directory)?;
                let directory = Directory::open_own(directory)?;
                open(directory, key, Vec::new(), false)?
            }
            Place::Kubernetes { directory, service_account_token_file, keep_after_import } => {
                let binding = service_account::binding(service_account_token_file)?;
                let directory = Directory::open(directory)?;
                let key = directory.key_beside()?;
                let other = directory.of_incumbent();
                let (backing, found, records) = open(directory, key, binding, !keep_after_import)?;
                let found = match (found, other) {
                    (Found::Nothing, Some(file)) => Found::OfIncumbent { file },
                    (found, _) => found,
                };
                (backing, found, records)
            }
            Place::Systemd => {
                let (descriptors, contents) = DescriptorStore::open()?;
                let (found, records) = newest(contents);
                (Backing::Descriptors(descriptors), found, records)
            }
        };
        Ok((Self(Arc::new(Mutex::new(Inner { records, backing, is_behind: false }))), found))
    }

    /// What an earlier process left is taken over: where it was for one reader only, it goes, and
    /// nothing is kept any more.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn taken_over(&self) -> Result<(), Error> {
        let mut inner = self.inner();
        if let Backing::Directory { directory, is_for_one_reader: true, .. } = &inner.backing {
            let removed = directory.remove();
            inner.backing = Backing::Process;
            return removed;
        }
        Ok(())
    }

    /// The names of all records.
    pub fn names(&self) -> Vec<String> {
        self.inner().records.names()
    }

    /// A record; `None`: there is none of that name.
    pub fn get(&self, name: &str) -> Option<Secret<Vec<u8>>> {
        self.inner().records.get(name)
    }

    /// Keeps a record in place of the former of that name: when this returns, it outlives the process.
    /// It takes as long as the disk does.
    ///
    /// # Errors
    /// What was kept before is still what is kept; the next change writes this one, too, unless it is
    /// too large.
    pub fn put(&self, name: &str, record: Secret<Vec<u8>>) -> Result<(), Error> {
        let mut inner = self.inner();
        let former = inner.records.replace(name, Some(record));
        let written = inner.write();
        if matches!(written, Err(Error::TooLarge)) {
            // It would keep out all others, too.
            inner.records.replace(name, former);
        }
        written
    }

    /// Keeps a record no more.
    ///
    /// # Errors
    /// As for [`Self::put`].
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let mut inner = self.inner();
        let was_there = inner.records.replace(name, None).is_some();
        if was_there || inner.is_behind { inner.write() } else { Ok(()) }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self) -> Result<(), Error> {
        let plain = self.records.encode()?;
        self.is_behind = true;
        match &mut self.backing {
            Backing::Directory { directory, key, binding, .. } => {
                directory.replace(&seal::seal(key, binding, &plain)?)?;
            }
            Backing::Descriptors(descriptors) => descriptors.replace(&plain)?,
            Backing::Process => {}
        }
        self.is_behind = false;
        Ok(())
    }
}

fn open(
    directory: Directory,
    key: Material,
    binding: Vec<u8>,
    is_for_one_reader: bool,
) -> Result<(Backing, Found, Records), Error> {
    let sealed = directory.read()?;
    let opened = sealed.map(|sealed| {
        let plain = seal::open(&key, &binding, &sealed)?;
        Records::decode(plain.expose())
    });
    let (found, records) = match opened {
        None => (Found::Nothing, Records::default()),
        Some(Ok(records)) => (Found::State, records),
        Some(Err(why)) => {
            let set_aside = directory.set_aside()?;
            (Found::Damaged { why, set_aside }, Records::default())
        }
    };
    // The first of several containers finds nothing, and leaves what it has to the others.
    let is_for_one_reader = is_for_one_reader && found == Found::State;
    Ok((Backing::Directory { directory, key, binding, is_for_one_reader }, found, records))
}

/// The records of the first that has some.
fn newest(contents: Vec<systemd::Content>) -> (Found, Records) {
    let mut damage = None;
    for content in contents {
        match content.and_then(|plain| Records::decode(plain.expose())) {
            Ok(records) => return (Found::State, records),
            Err(why) => {
                damage.get_or_insert(why);
            }
        }
    }
    let found = damage.map_or(Found::Nothing, |why| Found::Damaged { why, set_aside: None });
    (found, Records::default())
}

#[cfg(test)]
mod tests;
