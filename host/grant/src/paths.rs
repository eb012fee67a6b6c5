//! Decides about files: whether a granted path means one.
//!
//! A path without `*` is resolved like the path itself, so a link leads where it leads; in one with
//! `*` the part before it is resolved, and `*` matches anything below it.

use std::path::{Path, PathBuf};

use crate::Links;

/// Whether a resolved `path` is what a granted path means. One without `*` is resolved like the
/// path itself; in one with `*` the part before it is resolved.
pub(crate) fn pattern_matches(granted: &str, path: &Path, links: Links<'_>) -> bool {
    let Some(star) = granted.find('*') else {
        return (links.file)(Path::new(granted)).as_deref() == Some(path);
    };
    let Some(slash) = granted[..star].rfind('/') else { return false };
    let directory = if slash == 0 { "/" } else { &granted[..slash] };
    let Some(directory) = (links.directory)(Path::new(directory)) else { return false };
    let (Some(directory), Some(path)) = (directory.to_str(), path.to_str()) else { return false };
    glob(&format!("{}{}", directory.trim_end_matches('/'), &granted[slash..]), path)
}

/// A path that a plug-in is going to write, with its directory resolved, or what stands before its
/// `*`. What isn't there yet stays as it is.
pub(crate) fn resolved(granted: &str, directory: &dyn Fn(&Path) -> Option<PathBuf>) -> String {
    let fixed = granted.find('*').unwrap_or(granted.len());
    let Some(slash) = granted[..fixed].rfind('/') else { return granted.to_owned() };
    let before = if slash == 0 { "/" } else { &granted[..slash] };
    match directory(Path::new(before)).as_deref().and_then(Path::to_str) {
        Some(directory) => format!("{}{}", directory.trim_end_matches('/'), &granted[slash..]),
        None => granted.to_owned(),
    }
}

/// `*` matches anything, `/` too.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
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

/// Whether some path matches both patterns. A `*` takes whatever the other one wants, so what
/// stands before the first and after the last decides.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let parts = |pattern: &'_ str| pattern.find('*').zip(pattern.rfind('*'));
    let (Some((first, last)), Some((other_first, other_last))) = (parts(one), parts(other)) else {
        // One of them is a path, which may itself hold no `*`.
        return if one.contains('*') { glob(one, other) } else { glob(other, one) };
    };
    let (begins, ends) = (&one[..first], &one[last + 1..]);
    let (other_begins, other_ends) = (&other[..other_first], &other[other_last + 1..]);
    (begins.starts_with(other_begins) || other_begins.starts_with(begins))
        && (ends.ends_with(other_ends) || other_ends.ends_with(ends))
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
    fn patterns_overlap_where_a_path_matches_both() {
        for (one, other, overlaps) in [
            ("/run/a", "/run/a", true),
            ("/run/a", "/run/b", false),
            ("/run/*", "/run/a/b", true),
            ("/run/*", "/running", false),
            ("/run/*", "/*", true),
            ("/run/*/id", "/run/a*", true),
            ("/run/*.jwt", "/run/*.pem", false),
            ("/run/*.jwt", "/run/a*", true),
            ("/run/a*", "/run/b*", false),
        ] {
            assert_eq!(overlap(one, other), overlaps, "{one} {other}");
            assert_eq!(overlap(other, one), overlaps, "{other} {one}");
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
        let links = Links { file: &resolve, directory: &resolve };
        let real = std::fs::canonicalize(real).unwrap();
        assert!(pattern_matches(&granted, &real.join("a/b"), links));
        assert!(!pattern_matches(&granted, &real.parent().unwrap().join("other"), links));
    }
}
