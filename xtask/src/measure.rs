//! What the kernel knows about a process: its times, its memory and how often it woke.
#![allow(
    unsafe_code,
    reason = "wait4 is the only way to the resources of one ended child, and a clock to those of a \
              living one without ticks"
)]

use std::ffi::{c_int, c_long};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// One run of a program from start to end.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// From before the fork until the child has been waited for.
    pub(crate) wall: Duration,
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// Peak resident memory in kibibytes.
    pub(crate) peak_kib: u64,
}

/// Runs the command, which must succeed.
///
/// The kernel counts the memory of the forking parent towards the child's peak, so that no
/// peak below this program's own (2 to 3 MiB) can be seen; both agents are far above it.
pub(crate) fn run(command: &mut Command) -> Result<Run> {
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", crate::process::line_of(command)))?;
    let (status, usage) = wait(&child)?;
    let wall = started.elapsed();
    if status != 0 {
        return Err(format!("{} failed, wait status {status}", crate::process::line_of(command)));
    }
    Ok(Run {
        wall,
        cpu: usage.user.duration() + usage.system.duration(),
        peak_kib: u64::try_from(usage.peak_kib).unwrap_or(0),
    })
}

/// What a living process has used so far.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Time on a CPU, all threads, from the scheduler's own nanosecond count.
    pub(crate) cpu: Duration,
    /// How often its threads went to sleep by themselves.
    pub(crate) voluntary_switches: u64,
    /// Resident memory in kibibytes: also what is mapped of files, and shared with whoever maps them.
    pub(crate) resident_kib: u64,
    /// Of that, what the process has written to and so has alone, in kibibytes.
    pub(crate) private_kib: u64,
}

/// Reads the usage of the process from `/proc`.
pub(crate) fn usage(process: u32) -> Result<Usage> {
    let mut total =
        Usage { cpu: Duration::ZERO, voluntary_switches: 0, resident_kib: 0, private_kib: 0 };
    let tasks = format!("/proc/{process}/task");
    for task in std::fs::read_dir(&tasks).map_err(|error| format!("{tasks}: {error}"))? {
        let task = task.map_err(|error| error.to_string())?.path();
        let read = |name| {
            std::fs::read_to_string(task.join(name))
                .map_err(|error| format!("{}/{name}: {error}", task.display()))
        };
        let nanoseconds = read("schedstat")?
            .split_whitespace()
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0);
        total.cpu += Duration::from_nanos(nanoseconds);
        total.voluntary_switches += field(&read("status")?, "voluntary_ctxt_switches:");
    }
    let read = |name| {
        std::fs::read_to_string(format!("/proc/{process}/{name}"))
            .map_err(|error| format!("/proc/{process}/{name}: {error}"))
    };
    total.resident_kib = field(&read("status")?, "VmRSS:");
    // Not `Private_Clean`: that is pages of the program that no other process maps just now.
    total.private_kib = field(&read("smaps_rollup")?, "Private_Dirty:");
    Ok(total)
}

/// What a living process has spent on a CPU, its ended threads as well: `utime` and `stime` of its
/// `/proc/PID/stat`, which are in ticks of 10 ms, from the clock that the kernel makes them of.
pub(crate) fn cpu(process: u32) -> Result<Duration> {
    let id = c_int::try_from(process).map_err(|error| error.to_string())?;
    let mut clock = 0;
    // SAFETY: the pointer is to a live value of the type that is written.
    let failure = unsafe { clock_getcpuclockid(id, &raw mut clock) };
    if failure != 0 {
        let error = std::io::Error::from_raw_os_error(failure);
        return Err(format!("process {process} has no clock: {error}"));
    }
    let mut time = ClockTime::default();
    // SAFETY: the pointer is to a live value of the layout that the kernel writes.
    if unsafe { clock_gettime(clock, &raw mut time) } != 0 {
        let error = std::io::Error::last_os_error();
        return Err(format!("the clock of process {process} can't be read: {error}"));
    }
    Ok(time.duration())
}

/// Resident memory of a living process in kibibytes, as in [`Usage`], without keeping it from work.
pub(crate) fn resident_kib(process: u32) -> Result<u64> {
    let status = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&status).map_err(|error| format!("{status}: {error}"))?;
    Ok(field(&status, "VmRSS:"))
}

fn field(status: &str, name: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|value| value.split_whitespace().next())
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

fn wait(child: &Child) -> Result<(c_int, ResourceUsage)> {
    let id = c_int::try_from(child.id()).map_err(|error| error.to_string())?;
    let mut status = 0;
    let mut usage = ResourceUsage::default();
    loop {
        // SAFETY: both pointers are to live values of the layout that the kernel writes; the
        // child has not been waited for and never will be by `std`.
        let waited = unsafe { wait4(id, &raw mut status, 0, &raw mut usage) };
        if waited == id {
            return Ok((status, usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(format!("wait4: {error}"));
        }
    }
}

/// `struct timeval`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct TimeValue {
    seconds: c_long,
    microseconds: c_long,
}

impl TimeValue {
    fn duration(self) -> Duration {
        Duration::from_secs(u64::try_from(self.seconds).unwrap_or(0))
            + Duration::from_micros(u64::try_from(self.microseconds).unwrap_or(0))
    }
}

/// `struct timespec`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ClockTime {
    seconds: c_long,
    nanoseconds: c_long,
}

impl ClockTime {
    fn duration(self) -> Duration {
        Duration::from_secs(u64::try_from(self.seconds).unwrap_or(0))
            + Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }
}

/// `struct rusage` of 64-bit Linux.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ResourceUsage {
    user: TimeValue,
    system: TimeValue,
    peak_kib: c_long,
    others: [c_long; 13],
}

unsafe extern "C" {
    fn wait4(
        process: c_int,
        status: *mut c_int,
        options: c_int,
        usage: *mut ResourceUsage,
    ) -> c_int;
    fn clock_getcpuclockid(process: c_int, clock: *mut c_int) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut ClockTime) -> c_int;
}
