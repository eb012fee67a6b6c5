//! systemd's file descriptor store: the value lies in sealed memory that the service manager keeps
//! while the process is gone (`sd_notify(3)`, `FDSTORE=1`; `sd_listen_fds(3)`; `systemd.service(5)`,
//! `FileDescriptorStoreMax=`). No disk has it, and so no key is needed.
//!
//! There are two names in turn, so that one whole value is there at any moment, and each begins with
//! its number.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSlice, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};
use usher_secret::Secret;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::records::LARGEST;

/// What was in a descriptor. `Err`: why it is none of our values.
pub(crate) type Content = Result<Secret<Vec<u8>>, String>;

/// The way to systemd's store.
pub(crate) struct DescriptorStore {
    socket: UnixDatagram,
    manager: SocketAddrUnix,
    /// Of the value that is there.
    number: u64,
}

impl DescriptorStore {
    /// With what the manager has handed over, the newest first.
    pub(crate) fn open() -> Result<(Self, Vec<Content>), Error> {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| unusable("NOTIFY_SOCKET isn't set"))?;
        // systemd says it since version 254.
        if let Some(most) = env::var("FDSTORE").ok().and_then(|most| most.parse::<u32>().ok())
            && most < 2
        {
            return Err(unusable(&format!("FileDescriptorStoreMax is {most}")));
        }
        Self::at(&name, handed_over())
    }

    /// `manager` listens there, and has handed these over.
    fn at(manager: &OsStr, handed_over: Vec<File>) -> Result<(Self, Vec<Content>), Error> {
        let manager = match manager.as_bytes() {
            [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
            name @ [b'/', ..] => SocketAddrUnix::new(name),
            _ => return Err(unusable("NOTIFY_SOCKET is neither an absolute path nor @name")),
        };
        let manager = manager.map_err(|error| unusable(&format!("NOTIFY_SOCKET: {error}")))?;
        let socket = UnixDatagram::unbound().and_then(|socket| {
            // A manager that reads nothing must not stop the agent.
            socket.set_write_timeout(Some(LONGEST))?;
            Ok(socket)
        });
        let socket = socket.map_err(|error| unusable(&error.to_string()))?;
        let mut values: Vec<(u64, Content)> = handed_over.into_iter().map(read).collect();
        values.sort_by_key(|(number, _)| Reverse(*number));
        let number = values.first().map_or(0, |(number, _)| *number);
        let contents = values.into_iter().map(|(_, content)| content).collect();
        Ok((Self { socket, manager, number }, contents))
    }

    /// Puts this in place of what is there.
    pub(crate) fn replace(&mut self, plain: &Secret<Vec<u8>>) -> Result<(), Error> {
        let next = self.number + 1;
        let replaced = (|| {
            let memory = sealed(next, plain.expose())?;
            // What a process that was killed here has left under this name is older.
            self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={}", name(next)), None)?;
            let store = format!("FDSTORE=1\nFDPOLL=0\nFDNAME={}", name(next));
            self.tell(&store, Some(memory.as_fd()))?;
            self.wait()?;
            self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={}", name(self.number)), None)
        })();
        replaced.map_err(|error: io::Error| {
            Error::Systemd(format!("systemd doesn't take what is to be kept: {error}"))
        })?;
        self.number = next;
        Ok(())
    }

    /// Waits until the manager has done all that it was told: it closes what comes with a barrier
    /// (`sd_notify_barrier(3)`).
    fn wait(&self) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        self.tell("BARRIER=1", Some(theirs.as_fd()))?;
        drop(theirs);
        ours.set_read_timeout(Some(LONGEST))?;
        // To its end: a signal that comes in between is no answer.
        match (&ours).read_to_end(&mut Vec::new()) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(late()),
            Err(error) => Err(error),
        }
    }

    fn tell(&self, message: &str, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptor.map(|descriptor| [descriptor]);
        if let Some(descriptors) = &descriptors {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let message = [IoSlice::new(message.as_bytes())];
        let sent = retry_on_intr(|| {
            sendmsg_addr(&self.socket, &self.manager, &message, &mut control, SendFlags::NOSIGNAL)
        });
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN) => Err(late()),
            Err(error) => Err(error.into()),
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {} s", LONGEST.as_secs()))
}

fn unusable(why: &str) -> Error {
    Error::Systemd(format!(
        "systemd's file descriptor store can't be used: {why}; run as a service with Type=notify and FileDescriptorStoreMax=2"
    ))
}

/// Memory that holds this and can't be changed any more.
fn sealed(number: u64, plain: &[u8]) -> io::Result<OwnedFd> {
    let mut memory = File::from(memory()?);
    memory.write_all(&number.to_le_bytes())?;
    memory.write_all(plain)?;
    fcntl_add_seals(&memory, SEALS)?;
    Ok(memory.into())
}

fn memory() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A kernel may insist on it (vm.memfd_noexec); one before 6.3 doesn't know it.
    match memfd_create(MEMORY, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(MEMORY, flags),
        memory => memory,
    }
}

/// The descriptors of ours that the manager has handed to this process; when asked again, none.
#[allow(unsafe_code, reason = "see the SAFETY comment")]
fn handed_over() -> Vec<File> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let number = |name: &str| env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) || TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let count = number("LISTEN_FDS").unwrap_or_default();
    (FIRST..)
        .zip(names.split(':'))
        .take(usize::try_from(count).unwrap_or_default())
        // A socket may be called something that begins alike.
        .filter(|(_, given)| [name(0), name(1)].iter().any(|ours| ours == given))
        .map(|(descriptor, _)| {
            // SAFETY: the manager has opened it for this process alone, for nobody but this store, as
            // its name says, and `TAKEN` sees to it that it gets one owner only.
            let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
            // No child gets it.
            let _ = rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC);
            File::from(descriptor)
        })
        .collect()
}

/// A value with its number. Of what can't be a value the number is 0.
fn read(memory: File) -> (u64, Content) {
    let mut number = 0;
    let content = content(memory).and_then(|content| {
        let (first, plain) = content.split_first_chunk::<8>().ok_or("it is cut off")?;
        number = u64::from_le_bytes(*first);
        Ok(Secret::new(plain.to_vec()))
    });
    (number, content)
}

fn content(mut memory: File) -> Result<Zeroizing<Vec<u8>>, String> {
    // Anything else could be changed by others, or keep its reader waiting.
    if !fcntl_get_seals(&memory).is_ok_and(|seals| seals.contains(SEALS)) {
        return Err("it is no sealed memory".to_owned());
    }
    let mut read = || {
        memory.rewind()?;
        let length = usize::try_from(memory.metadata()?.len()).unwrap_or(usize::MAX);
        // As long as it will be: one that grows would leave copies behind.
        let mut content = Zeroizing::new(Vec::with_capacity(length.min(LARGEST + 8)));
        (&memory).take(LARGEST as u64 + 8).read_to_end(&mut content)?;
        Ok(content)
    };
    read().map_err(|error: io::Error| format!("it can't be read: {error}"))
}

/// The names of two that follow each other differ.
fn name(number: u64) -> String {
    format!("{NAME}-{}", number % 2)
}

const NAME: &str = "usher-state";
/// As /proc shows it.
const MEMORY: &str = "usher-state";
const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);
/// `SD_LISTEN_FDS_START`
const FIRST: i32 = 3;
/// For the manager to do what it is told.
const LONGEST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
