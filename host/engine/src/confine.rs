//! What the compiler child gives up before it reads a component.
//!
//! A component is a stranger's work, and the compiler is a large program: one that hangs, wants all
//! memory or takes the compiler over must not get further than this child.

use std::fs;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};
use rustix::thread::set_no_new_privs;

/// Address space in bytes. 12 MB of JavaScript take 370 MB.
pub(crate) const MOST_MEMORY: u64 = 2 << 30;
/// Processor time in seconds. 12 MB of JavaScript take 5 s.
pub(crate) const MOST_SECONDS: u64 = 120;
/// The code of one component in bytes: about 3.5 times its size.
pub(crate) const LARGEST_CODE: u64 = 512 << 20;
/// The three it works with, and a few for the kernel's files about memory and processors.
const MOST_DESCRIPTORS: u64 = 16;
/// The agent's renewals go first.
const NICENESS: i32 = 5;

/// Gives up what compiling doesn't take. Called once, by a process that has just begun.
///
/// # Errors
/// The limit that the kernel refused.
pub(crate) fn confine() -> Result<(), String> {
    let refused = |what: &str, error| format!("the compiler can't be confined ({what}): {error}");
    set_no_new_privs(true).map_err(|error| refused("no_new_privs", error))?;
    close_inherited();
    for (resource, most, name) in [
        (Resource::As, MOST_MEMORY, "memory"),
        (Resource::Fsize, LARGEST_CODE, "file size"),
        (Resource::Nofile, MOST_DESCRIPTORS, "descriptors"),
        (Resource::Core, 0, "core dump"),
    ] {
        limit(resource, most, most).map_err(|error| refused(name, error))?;
    }
    // The first one is a signal that tells what happened; the second one is SIGKILL.
    limit(Resource::Cpu, MOST_SECONDS, MOST_SECONDS + 1)
        .map_err(|error| refused("processor time", error))?;
    // Neither is worth failing for.
    let _ = nice(NICENESS);
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: Resource, soft: u64, hard: u64) -> rustix::io::Result<()> {
    let maximum = getrlimit(resource).maximum.map_or(hard, |maximum| maximum.min(hard));
    setrlimit(resource, Rlimit { current: Some(soft.min(maximum)), maximum: Some(maximum) })
}

/// Closes every descriptor but standard input, output and error. The agent marks its own so that
/// a child doesn't get them; these are what the agent itself inherited.
fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let descriptors: Vec<RawFd> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > 2)
        .collect();
    for descriptor in descriptors {
        // The one with which the directory was read is closed already.
        if fs::symlink_metadata(format!("/proc/self/fd/{descriptor}")).is_ok() {
            #[allow(unsafe_code, reason = "see the SAFETY comment")]
            // SAFETY: it is open, and nothing in this process owns it: the process has just begun
            // and has opened nothing that it still holds.
            drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
        }
    }
}
