//! The agent's private cache of machine code, so that a plug-in is compiled once.
//!
//! What lies here runs outside of any sandbox, so nothing is loaded that another user could have
//! put here: the directory and each file belong to the agent's user and nobody else can write
//! them. A file's name holds the digest of its component and a hash over engine version, settings
//! and processor, so that nothing is ever out of date.

use std::fmt;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use crate::compatibility::Compatibility;
use crate::digest::Digest;
use crate::error::LoadError;

/// What the cache may hold, in bytes. A component in JavaScript takes about 40 MB.
const LARGEST: u64 = 512 << 20;
/// An unfinished file that is older was abandoned: no compilation takes as long.
const LONGEST_UNFINISHED: Duration = Duration::from_hours(1);
const EXTENSION: &str = "cwasm";

/// A directory of machine code that only the agent's user can write.
#[derive(Clone, Debug)]
pub struct Cache(PathBuf);

/// A file that is not in the cache yet; removed when dropped.
pub(crate) struct Unfinished {
    cache: Cache,
    path: PathBuf,
    file: File,
}

/// What the cache calls the code of a component: "PLUGIN-COMPILER".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeName {
    /// Of the component.
    pub(crate) plugin: Digest,
    /// What made code of it.
    pub(crate) compiler: Compatibility,
}

/// Text that names no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoCodeName;

impl Cache {
    /// Where the cache is: below `$CACHE_DIRECTORY`, else below the user's cache directory (XDG
    /// Base Directory Specification), root's in `/var/cache`. None: there is no place for it.
    pub fn place(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let absolute = |text: String| Some(PathBuf::from(text)).filter(|path| path.is_absolute());
        // systemd sets it; with several directories it is a colon list.
        let given = environment("CACHE_DIRECTORY")
            .and_then(|list| absolute(list.split(':').next()?.to_owned()));
        let place = given.or_else(|| {
            if rustix::process::geteuid().is_root() {
                return Some("/var/cache/usher".into());
            }
            environment("XDG_CACHE_HOME")
                .and_then(absolute)
                .or_else(|| Some(absolute(environment("HOME")?)?.join(".cache")))
                .map(|cache| cache.join("usher"))
        })?;
        Some(place.join("plugins"))
    }

    /// The cache in `directory`, which is made if it isn't there.
    ///
    /// # Errors
    /// It can't be made, or others can use it too.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let metadata = fs::symlink_metadata(&directory)?;
        if !metadata.is_dir() || !is_own(&metadata) || metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!(
                "{} must be a directory of user {} with mode 0700",
                directory.display(),
                rustix::process::geteuid().as_raw()
            )));
        }
        Ok(Self(directory))
    }

    /// The code for the component with this digest that is there and ours, by whatever engine.
    pub(crate) fn find(&self, digest: Digest) -> Vec<File> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let names = entries.filter_map(Result::ok).map(|entry| entry.path());
        let names = names.filter(|path| named(path).is_some_and(|name| name.plugin == digest));
        let files: Vec<File> = names.filter_map(|path| open_own(&path)).collect();
        for file in &files {
            // The oldest are removed first, so that what is used stays.
            let _ = file.set_modified(SystemTime::now());
        }
        files
    }

    /// Where it is.
    #[cfg(not(feature = "compile"))]
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// A file for the compiler to write.
    pub(crate) fn begin(&self) -> io::Result<Unfinished> {
        let path = self.0.join(format!(".{:016x}", rand::random::<u64>()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(no_follow())
            .open(&path)?;
        Ok(Unfinished { cache: self.clone(), path, file })
    }

    fn path(&self, name: CodeName) -> PathBuf {
        self.0.join(name.to_string()).with_extension(EXTENSION)
    }

    /// Removes what another engine made, and the oldest until the rest fits.
    fn tidy(&self, newest: CodeName) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let is_code = path.extension().is_some_and(|extension| extension == EXTENSION);
            let remove = if is_code {
                named(&path).is_none_or(|name| name.compiler != newest.compiler)
            } else {
                modified.elapsed().is_ok_and(|age| age > LONGEST_UNFINISHED)
            };
            if remove {
                let _ = fs::remove_file(&path);
            } else if is_code {
                kept.push((modified, metadata.len(), path));
            }
        }
        kept.sort_by(|one, other| other.cmp(one));
        let mut total = 0;
        for (_, size, path) in kept {
            total += size;
            if total > LARGEST && path != self.path(newest) {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

impl Unfinished {
    /// For the compiler's standard output.
    pub(crate) fn output(&self) -> Result<File, LoadError> {
        self.file
            .try_clone()
            .map_err(|error| LoadError::Compile(format!("no file handle: {error}")))
    }

    /// Puts the file, which is whole, in place.
    pub(crate) fn finish(self, name: CodeName) -> io::Result<File> {
        let path = self.cache.path(name);
        fs::rename(&self.path, &path)?;
        self.cache.tidy(name);
        // Without a handle that can write, as if it had been there before.
        open_own(&path).ok_or_else(|| io::Error::other("it is gone again"))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl fmt::Display for CodeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.plugin, self.compiler)
    }
}

impl FromStr for CodeName {
    type Err = NoCodeName;

    fn from_str(text: &str) -> Result<Self, NoCodeName> {
        let (plugin, compiler) = text.split_once('-').ok_or(NoCodeName)?;
        let plugin = plugin.parse().map_err(|_| NoCodeName)?;
        let compiler = compiler.parse().map_err(|_| NoCodeName)?;
        Ok(Self { plugin, compiler })
    }
}

/// What a file of the cache holds, by its name; None: no code.
fn named(path: &Path) -> Option<CodeName> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

fn open_own(path: &Path) -> Option<File> {
    let file = File::options().read(true).custom_flags(no_follow()).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && is_own(&metadata) && metadata.mode() & 0o022 == 0).then_some(file)
}

fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

fn no_follow() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn cache() -> (tempfile::TempDir, Cache) {
        let home = tempfile::tempdir().unwrap();
        let cache = Cache::open(home.path().join("a/b/plugins")).unwrap();
        (home, cache)
    }

    fn plugin(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// "PLUGIN-COMPILER", with a short name and a small number.
    fn name(short: &str) -> CodeName {
        let (name, number) = short.split_once('-').unwrap();
        let compiler = Compatibility::made_up(number.parse().unwrap());
        CodeName { plugin: plugin(name), compiler }
    }

    fn put(cache: &Cache, short: &str) {
        let name = name(short);
        let unfinished = cache.begin().unwrap();
        unfinished.output().unwrap().write_all(short.as_bytes()).unwrap();
        unfinished.finish(name).unwrap();
    }

    #[test]
    fn the_place_is_the_services_or_the_users_own() {
        let place = |variables: &[(&str, &str)]| {
            Cache::place(&|name| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let given = place(&[("CACHE_DIRECTORY", "/a:/b"), ("HOME", "/h")]);
        assert_eq!(given, Some("/a/plugins".into()));
        if rustix::process::geteuid().is_root() {
            assert_eq!(place(&[("HOME", "/h")]), Some("/var/cache/usher/plugins".into()));
        } else {
            let xdg = place(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]);
            assert_eq!(xdg, Some("/x/usher/plugins".into()));
            assert_eq!(place(&[("HOME", "/h")]), Some("/h/.cache/usher/plugins".into()));
            assert_eq!(place(&[]), None);
        }
    }

    #[test]
    fn the_name_of_code_is_read_as_it_is_written() {
        let name = name("aa-1");
        assert_eq!(name.to_string().parse(), Ok(name));
        assert_eq!(name.to_string(), format!("{}-0000000000000001", plugin("aa")));
        for text in ["", "aa-1", &plugin("aa").to_string(), &format!("{name}0")] {
            assert_eq!(text.parse::<CodeName>(), Err(NoCodeName), "{text}");
        }
    }

    #[test]
    fn what_was_finished_is_found_and_what_was_not_leaves_nothing() {
        let (_home, cache) = cache();
        put(&cache, "aa-1");
        assert_eq!(cache.find(plugin("aa")).len(), 1);
        assert_eq!(cache.find(plugin("bb")).len(), 0);
        drop(cache.begin().unwrap());
        assert_eq!(fs::read_dir(&cache.0).unwrap().count(), 1);
    }

    #[test]
    fn what_others_could_have_written_is_not_loaded() {
        let (_home, cache) = cache();
        put(&cache, "aa-1");
        let file = cache.path(name("aa-1"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(cache.find(plugin("aa")).len(), 0);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&file, cache.path(name("bb-1"))).unwrap();
        assert_eq!(cache.find(plugin("bb")).len(), 0);
        fs::set_permissions(&cache.0, fs::Permissions::from_mode(0o750)).unwrap();
        let error = Cache::open(cache.0.clone()).unwrap_err().to_string();
        assert!(error.contains("mode 0700"), "{error}");
    }

    #[test]
    fn another_engines_code_and_abandoned_files_go() {
        let (_home, cache) = cache();
        put(&cache, "aa-1");
        for (name, age) in [(".old", LONGEST_UNFINISHED * 2), (".new", Duration::ZERO)] {
            let file = File::create(cache.0.join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        put(&cache, "bb-2");
        assert_eq!(cache.find(plugin("aa")).len(), 0);
        assert_eq!(cache.find(plugin("bb")).len(), 1);
        assert!(!cache.0.join(".old").exists());
        assert!(cache.0.join(".new").exists());
    }

    #[test]
    fn the_oldest_code_goes_when_there_is_too_much() {
        let (_home, cache) = cache();
        let now = SystemTime::now();
        for (short, age) in [("aa-1", 3), ("bb-1", 2), ("cc-1", 1)] {
            put(&cache, short);
            let file = File::options().write(true).open(cache.path(name(short))).unwrap();
            // Sparse: it takes no space.
            file.set_len(LARGEST / 2).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        put(&cache, "dd-1");
        let found = ["aa", "bb", "cc", "dd"].map(|digest| !cache.find(plugin(digest)).is_empty());
        assert_eq!(found, [false, false, true, true]);
    }
}
