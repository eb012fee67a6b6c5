//! The log file: appended to, rotated by size or age, and never in the agent's way.
//!
//! A file that can't be written (a full disk, a directory that is gone) loses lines, which standard
//! error still gets; that is said once, and the file is tried again with each line. A file that was
//! moved or removed by somebody else is opened anew, so nothing has to be told to the agent.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use usher_config::LogFile as Settings;

/// An open log file, or one that is waited for.
pub(crate) struct LogFile {
    path: PathBuf,
    rotate_bytes: Option<u64>,
    rotate_duration: Duration,
    rotate_max_files: i64,
    open: Option<Open>,
    /// Lines that the file didn't get since it was last written.
    lost: u64,
    /// What went wrong with rotating was said.
    rotation_failed: bool,
}

/// What an operator should know, besides the line.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The file can't be written; from now on lines are lost.
    Failed(io::Error),
    /// It is written again; so many lines are missing.
    Recovered(u64),
    /// It grows on.
    NotRotated(io::Error),
}

struct Open {
    file: File,
    /// Device and number: tells whether the path still leads here.
    identity: (u64, u64),
    size: u64,
    since: SystemTime,
    regular: bool,
    /// The last line is not whole.
    torn: bool,
}

impl LogFile {
    /// Opens the file, which is made if it isn't there; its directory must be.
    pub(crate) fn open(settings: &Settings) -> Result<Self, String> {
        let path = settings.path.clone();
        let open = Open::new(&path).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::NotFound => "make its directory, which the agent doesn't",
                io::ErrorKind::IsADirectory => "a path to a directory ends with a slash",
                _ => "correct log_file or the permissions",
            };
            format!("the log file \"{}\" can't be written ({error}); {remedy}", path.display())
        })?;
        Ok(Self {
            path,
            rotate_bytes: settings.rotate_bytes.filter(|&limit| limit > 0),
            rotate_duration: settings.rotate_duration,
            rotate_max_files: settings.rotate_max_files,
            open: Some(open),
            lost: 0,
            rotation_failed: false,
        })
    }

    /// Appends a line with its end.
    pub(crate) fn write(&mut self, line: &[u8]) -> Option<Notice> {
        let mut notice = None;
        if self.open.as_ref().is_some_and(|open| self.is_due(open, line.len())) {
            match self.rotate() {
                Ok(()) => self.rotation_failed = false,
                Err(error) if !self.rotation_failed => {
                    self.rotation_failed = true;
                    notice = Some(Notice::NotRotated(error));
                }
                Err(_) => {}
            }
        }
        match self.append(line) {
            Ok(()) if self.lost > 0 => {
                notice = Some(Notice::Recovered(std::mem::take(&mut self.lost)));
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += 1;
                if self.lost == 1 {
                    notice = Some(Notice::Failed(error));
                }
            }
        }
        notice
    }

    /// Opens the path anew, at the next line.
    pub(crate) fn reopen(&mut self) {
        self.open = None;
    }

    /// As it is written to.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|open| !open.is_at(&self.path)) {
            // If this fails, the old file is nobody's any more.
            self.open = None;
            self.open = Some(Open::new(&self.path)?);
        }
        match &mut self.open {
            Some(open) => open.append(line),
            None => Ok(()),
        }
    }

    fn is_due(&self, open: &Open, length: usize) -> bool {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let large = self.rotate_bytes.is_some_and(|limit| open.size.saturating_add(length) > limit);
        // A clock that was set back says nothing.
        let old = open.since.elapsed().is_ok_and(|age| age >= self.rotate_duration);
        // An empty file isn't worth an archive, and a device or pipe can have none.
        open.regular && open.size > 0 && (large || old)
    }

    /// Renames the file, opens a new one, and removes the archives that are too many.
    fn rotate(&mut self) -> io::Result<()> {
        let names = Names::new(&self.path);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        std::fs::rename(&self.path, self.path.with_file_name(names.archive(now)))?;
        self.open = None;
        let keep = match self.rotate_max_files {
            0 => return Ok(()),
            keep => usize::try_from(keep).unwrap_or(0),
        };
        let directory = self.path.parent().filter(|parent| *parent != Path::new(""));
        let mut archives: Vec<(u128, PathBuf)> =
            std::fs::read_dir(directory.unwrap_or(Path::new(".")))?
                .flatten()
                .filter_map(|entry| Some((names.time(&entry.file_name())?, entry.path())))
                .collect();
        archives.sort_unstable();
        archives.truncate(archives.len().saturating_sub(keep));
        archives.iter().try_for_each(|(_, path)| std::fs::remove_file(path))
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            // A pipe that nobody reads must not keep the agent waiting.
            .custom_flags(nonblocking)
            .open(path)?;
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        Ok(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            since: metadata.created().unwrap_or_else(|_| SystemTime::now()),
            regular: kind.is_file() && !kind.is_fifo(),
            torn: false,
        })
    }

    fn is_at(&self, path: &Path) -> bool {
        std::fs::metadata(path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.size += u64::try_from(written).unwrap_or_default();
                    rest = &rest[written..];
                    self.torn = !rest.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// `usher.log` and its archives: `usher-1763765000000000000.log`, nanoseconds since 1970.
struct Names {
    stem: String,
    extension: String,
}

impl Names {
    fn new(path: &Path) -> Self {
        let text = |part: Option<&OsStr>| part.map(|part| part.to_string_lossy().into_owned());
        Self {
            stem: text(path.file_stem()).unwrap_or_default(),
            extension: text(path.extension()).unwrap_or_else(|| "log".into()),
        }
    }

    fn archive(&self, nanoseconds: u128) -> String {
        format!("{}-{nanoseconds}.{}", self.stem, self.extension)
    }

    /// The time in an archive's name; `None`: it is no archive of this file.
    fn time(&self, name: &OsStr) -> Option<u128> {
        let time = name
            .to_str()?
            .strip_prefix(&self.stem)?
            .strip_prefix('-')?
            .strip_suffix(&self.extension)?
            .strip_suffix('.')?;
        time.bytes().all(|byte| byte.is_ascii_digit()).then(|| time.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "usher.log";

    fn settings(path: PathBuf) -> Settings {
        let rotate_duration = Duration::from_hours(24);
        Settings { path, rotate_bytes: None, rotate_duration, rotate_max_files: 0 }
    }

    fn open(settings: Settings) -> LogFile {
        LogFile::open(&settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn lines(file: &mut LogFile, lines: &[&str]) {
        for line in lines {
            let notice = file.write(format!("{line}\n").as_bytes());
            assert!(notice.is_none(), "{notice:?}");
        }
    }

    fn archives(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
        let mut archives: Vec<_> = entries
            .filter(|entry| entry.file_name() != NAME)
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                assert!(Names::new(Path::new(NAME)).time(entry.file_name().as_ref()).is_some());
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        archives.sort();
        archives.into_iter().map(|(_, content)| content).collect()
    }

    #[test]
    fn lines_are_appended_to_a_file_that_only_its_owner_may_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        std::fs::write(&path, "earlier\n").unwrap();
        let mut file = open(settings(path.clone()));
        lines(&mut file, &["one", "two"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "earlier\none\ntwo\n");
        let fresh = directory.path().join("fresh");
        open(settings(fresh.clone()));
        assert_eq!(std::fs::metadata(fresh).unwrap().mode() & 0o137, 0);
    }

    #[test]
    fn a_file_that_can_not_be_made_is_an_error_that_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let error =
            LogFile::open(&settings(directory.path().join("none/usher.log"))).err().unwrap();
        assert!(
            error.contains("make its directory") && error.contains("none/usher.log"),
            "{error}"
        );
        let error = LogFile::open(&settings(directory.path().into())).err().unwrap();
        assert!(error.contains("ends with a slash"), "{error}");
    }

    #[test]
    fn a_file_is_rotated_before_it_grows_too_large() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let mut file = open(Settings { rotate_bytes: Some(10), ..settings(path.clone()) });
        lines(&mut file, &["1111", "2222", "3333", "a line that is longer than all"]);
        assert_eq!(archives(directory.path()), ["1111\n2222\n", "3333\n"]);
        lines(&mut file, &["5"]);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "5\n");
    }

    #[test]
    fn a_file_is_rotated_when_it_is_old() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let mut file = open(Settings { rotate_duration: Duration::ZERO, ..settings(path.clone()) });
        lines(&mut file, &["one", "two"]);
        assert_eq!(archives(directory.path()), ["one\n"]);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn as_many_archives_are_kept_as_asked_for() {
        for (keep, left) in [(0, 4), (2, 2), (-1, 0), (9, 4)] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(NAME);
            for other in ["usher-.log", "usher-old.log", "other-1.log", "usher-1.txt"] {
                std::fs::write(directory.path().join(other), "").unwrap();
            }
            let rotate = Settings { rotate_bytes: Some(1), ..settings(path) };
            let mut file = open(Settings { rotate_max_files: keep, ..rotate });
            lines(&mut file, &["1", "2", "3", "4", "5"]);
            for other in ["usher-.log", "usher-old.log", "other-1.log", "usher-1.txt"] {
                std::fs::remove_file(directory.path().join(other)).unwrap();
            }
            let all = ["1\n", "2\n", "3\n", "4\n"];
            assert_eq!(archives(directory.path()), all[4 - left..], "{keep}");
        }
    }

    #[test]
    fn archives_are_named_after_the_file() {
        for (path, archive) in [
            ("/var/log/usher.log", "usher-7.log"),
            ("agent", "agent-7.log"),
            ("/x/agent.out", "agent-7.out"),
            ("/x/a.b.txt", "a.b-7.txt"),
        ] {
            let names = Names::new(Path::new(path));
            assert_eq!(names.archive(7), archive);
            assert_eq!(names.time(archive.as_ref()), Some(7));
        }
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let mut file = open(settings(path.clone()));
        lines(&mut file, &["one"]);
        std::fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        lines(&mut file, &["two"]);
        std::fs::remove_file(&path).unwrap();
        lines(&mut file, &["three"]);
        file.reopen();
        lines(&mut file, &["four"]);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\nfour\n");
    }

    #[test]
    fn a_file_that_can_not_be_written_loses_lines_and_says_so_once() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("log");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join(NAME);
        let mut file = open(settings(path.clone()));
        std::fs::remove_dir_all(&inner).unwrap();
        assert!(matches!(file.write(b"one\n"), Some(Notice::Failed(_))));
        assert!(file.write(b"two\n").is_none());
        std::fs::create_dir(&inner).unwrap();
        assert!(matches!(file.write(b"three\n"), Some(Notice::Recovered(2))));
        assert!(file.write(b"four\n").is_none());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\nfour\n");
    }

    #[test]
    fn a_full_device_is_not_waited_for_and_never_renamed() {
        let full = Settings { rotate_bytes: Some(1), ..settings("/dev/full".into()) };
        let mut file = open(full);
        assert!(matches!(file.write(b"one\n"), Some(Notice::Failed(_))));
        assert!(file.write(b"two\n").is_none());
        assert!(Path::new("/dev/full").exists());
    }

    #[test]
    fn a_directory_that_forbids_renaming_lets_the_file_grow_and_says_so_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let mut file = open(Settings { rotate_bytes: Some(4), ..settings(path.clone()) });
        lines(&mut file, &["one"]);
        // Nothing can be renamed over a path whose last part is too long for a file name.
        file.path = directory.path().join("x".repeat(250));
        std::fs::rename(&path, &file.path).unwrap();
        assert!(matches!(file.write(b"two\n"), Some(Notice::NotRotated(_))));
        assert!(file.write(b"three\n").is_none());
        assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "one\ntwo\nthree\n");
    }
}
