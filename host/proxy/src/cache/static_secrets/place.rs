//! Where static secrets lie in their mount, and which of them change together.
//!
//! A version 2 of KV shows one secret at several paths (`data/`, `metadata/`, …), and a folder lists
//! what lies in it. What is written at one of these paths changes what is read at the others. In
//! version 1 a folder may have the same name: then more is forgotten than need be, and a mount can
//! change its version without anybody asking which it has.

/// What of a path lies below a mount ("team/secret/").
pub(crate) fn below<'path>(mount: &str, path: &'path str) -> Option<&'path str> {
    match path.strip_prefix(mount) {
        // The mount itself, as a version 1 is listed.
        None => (mount.strip_suffix('/') == Some(path)).then_some(""),
        below => below,
    }
}

/// The place of a path below a mount, by which all that shows one secret is known: "" is all of it.
pub(crate) fn place(below: &str) -> &str {
    let below = below.strip_suffix('/').unwrap_or(below);
    let (first, rest) = below.split_once('/').unwrap_or((below, ""));
    match first {
        "config" if rest.is_empty() => "",
        first if OF_VERSION_2.contains(&first) => rest,
        _ => below,
    }
}

/// A place, and the folders that it lies in.
pub(crate) fn with_folders(place: &str) -> impl Iterator<Item = &str> {
    let folders = place.rmatch_indices('/').filter_map(|(at, _)| place.get(..at));
    let root = (!place.is_empty()).then_some("");
    [place].into_iter().chain(folders).chain(root)
}

/// Whether a path lies at another or below it.
pub(crate) fn lies_at_or_below(path: &str, other: &str) -> bool {
    let other = other.strip_suffix('/').unwrap_or(other);
    let rest = path.strip_prefix(other);
    rest.is_some_and(|rest| rest.is_empty() || other.is_empty() || rest.starts_with('/'))
}

const OF_VERSION_2: [&str; 7] =
    ["data", "delete", "destroy", "detailed-metadata", "metadata", "subkeys", "undelete"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_shows_one_secret_lies_at_one_place() {
        for (mount, path, expected) in [
            ("secret/", "secret/data/app/db", Some("app/db")),
            ("secret/", "secret/metadata/app/db", Some("app/db")),
            ("secret/", "secret/subkeys/app/db", Some("app/db")),
            ("secret/", "secret/metadata/app/", Some("app")),
            ("secret/", "secret/metadata", Some("")),
            ("secret/", "secret/config", Some("")),
            ("secret/", "secret/config/a", Some("config/a")),
            ("secret/", "secret/app/db", Some("app/db")),
            ("secret/", "secret", Some("")),
            ("team/secret/", "team/secret/data/a", Some("a")),
            ("secret/", "secrets/data/a", None),
            ("secret/", "team/secret/data/a", None),
        ] {
            assert_eq!(below(mount, path).map(place), expected, "{path}");
        }
    }

    #[test]
    fn a_place_lies_in_its_folders() {
        assert_eq!(with_folders("a/b/c").collect::<Vec<_>>(), ["a/b/c", "a/b", "a", ""]);
        assert_eq!(with_folders("").collect::<Vec<_>>(), [""]);
        for (path, other, lies) in [
            ("secret/data/a", "secret/data/a", true),
            ("secret/data/a/b", "secret/data/a/", true),
            ("secret/data/ab", "secret/data/a", false),
            ("secret/data", "secret/data/a", false),
            ("secret/data", "", true),
        ] {
            assert_eq!(lies_at_or_below(path, other), lies, "{path} {other}");
        }
    }
}
