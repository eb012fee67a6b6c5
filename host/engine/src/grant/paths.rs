//! Decides about files: where a name leads, and whether a granted path means it.
//!
//! A path without `*` is resolved like the path itself, so a link leads where it leads; in one with
//! `*` the part before it is resolved, and `*` matches anything below it.

use std::path::{Component, Path, PathBuf};

/// Where relative names and variables in needs and allowances lead.
pub struct Surroundings<'a> {
    /// The agent's working directory, absolute.
    pub working_directory: &'a Path,
    /// The agent's home directory.
    pub home: Option<&'a Path>,
    /// Environment variables.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    /// `${NAME}` replaced; None when a variable is unset or empty. Also the variables named.
    pub(super) fn expand(&self, target: &str) -> (Option<String>, Vec<String>) {
        let mut expanded = Some(String::new());
        let mut variables = Vec::new();
        let mut rest = target;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            variables.push(name.to_owned());
            if let Some(text) = &mut expanded {
                text.push_str(&rest[..start]);
            }
            let value = (self.environment)(name).filter(|value| !value.is_empty());
            match (&mut expanded, value) {
                (Some(text), Some(value)) => text.push_str(&value),
                _ => expanded = None,
            }
            rest = &rest[start + length + 1..];
        }
        if let Some(text) = &mut expanded {
            text.push_str(rest);
        }
        (expanded, variables)
    }

    /// An absolute path without `.` and `..`, as text because it may hold a `*`.
    pub(super) fn absolute(&self, path: &str) -> String {
        self.absolute_path(path).to_string_lossy().into_owned()
    }

    /// The file that a plug-in names, absolute but not resolved.
    pub(crate) fn absolute_path(&self, path: &str) -> PathBuf {
        let path = match (path.strip_prefix("~/"), self.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => PathBuf::from(path),
        };
        normal(&self.working_directory.join(path))
    }
}

/// Whether a resolved `path` is what a granted path means. One without `*` is resolved like the
/// path itself; in one with `*` the part before it is resolved.
pub(super) fn pattern_matches(
    granted: &str,
    path: &Path,
    resolve: &dyn Fn(&Path) -> Option<PathBuf>,
) -> bool {
    let Some(star) = granted.find('*') else {
        return resolve(Path::new(granted)).as_deref() == Some(path);
    };
    let Some(slash) = granted[..star].rfind('/') else { return false };
    let directory = if slash == 0 { "/" } else { &granted[..slash] };
    let Ok(directory) = std::fs::canonicalize(directory) else { return false };
    let (Some(directory), Some(path)) = (directory.to_str(), path.to_str()) else { return false };
    glob(&format!("{}{}", directory.trim_end_matches('/'), &granted[slash..]), path)
}

/// `*` matches anything, `/` too.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(position) => rest = &rest[position + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// `.` and `..` removed without looking at the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_anything() {
        for (pattern, path, matches) in [
            ("/run/a", "/run/a", true),
            ("/run/a", "/run/ab", false),
            ("/run/*", "/run/a/b", true),
            ("/run/*", "/run/", true),
            ("/run/*", "/running", false),
            ("/run/*/id", "/run/a/b/id", true),
            ("/run/*/id", "/run/id", false),
            ("/run/a*b*c", "/run/axbyc", true),
            ("/run/a*b*c", "/run/axcyb", false),
            ("/run/*.jwt", "/run/a.jwt", true),
            ("/run/*.jwt", "/run/a.jwt.old", false),
        ] {
            assert_eq!(glob(pattern, path), matches, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_with_a_star_matches_below_its_resolved_directory_only() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let granted = format!("{}/*", link.display());
        let resolve = |path: &Path| std::fs::canonicalize(path).ok();
        let real = std::fs::canonicalize(real).unwrap();
        assert!(pattern_matches(&granted, &real.join("a/b"), &resolve));
        assert!(!pattern_matches(&granted, &real.parent().unwrap().join("other"), &resolve));
    }
}
