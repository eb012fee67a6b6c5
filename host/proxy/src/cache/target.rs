//! Where a request goes: its namespace and path as one.

use usher_address::Namespace;

/// Namespace and path. The server takes a namespace from the header and from the beginning of the
/// path alike, so that both forms are one here.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// "team/database/creds/app": as sent, without "/v1/" and query.
    full: Box<str>,
    /// How much of it the header named.
    named: usize,
}

impl Target {
    /// `path` is what stands behind "/v1/".
    pub(crate) fn new(namespace: &Namespace, path: &str) -> Self {
        let full = format!("{namespace}{path}").into_boxed_str();
        Self { full, named: namespace.as_str().len() }
    }

    /// Namespace and path.
    pub(crate) fn full(&self) -> &str {
        &self.full
    }

    /// The namespace that the header named, "" or "team/".
    pub(crate) fn namespace(&self) -> &str {
        self.full.get(..self.named).unwrap_or_default()
    }

    /// Whether it may lie in this namespace, and below this path there. Nothing tells a namespace at
    /// the beginning of a path from a mount.
    pub(crate) fn may_lie_in(&self, namespace: &str, path: &str) -> bool {
        let rest = self.full.strip_prefix(namespace);
        namespace.starts_with(self.namespace()) && rest.is_some_and(|rest| rest.starts_with(path))
    }

    /// The namespace, where what stands behind it begins so: it may reach into the path. Without
    /// that, what the header named.
    pub(crate) fn namespace_before(&self, path: &str) -> &str {
        let boundaries = self.full.match_indices('/').map(|(at, _)| at + 1);
        let starts = [0].into_iter().chain(boundaries).filter(|start| *start >= self.named);
        let mut namespaces = starts.map(|start| self.full.split_at(start));
        let found = namespaces.find(|(_, rest)| !path.is_empty() && rest.starts_with(path));
        found.map_or(self.namespace(), |(namespace, _)| namespace)
    }

    pub(crate) fn weight(&self) -> usize {
        self.full.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(namespace: &str, path: &str) -> Target {
        Target::new(&Namespace::parse(namespace).unwrap(), path)
    }

    #[test]
    fn a_namespace_may_stand_in_the_header_or_in_the_path() {
        assert_eq!(target("team", "web/db/a").full(), target("team/web/", "db/a").full());
        for (header, path, begins, namespace) in [
            ("", "db/creds/a", "db/creds/a", ""),
            ("", "team/web/db/creds/a", "db/creds/a", "team/web/"),
            ("team", "web/db/creds/a", "db/creds/a", "team/web/"),
            ("team", "web/db/creds/a", "kv/a", "team/"),
            ("team", "db/creds/a", "", "team/"),
            ("", "team/auth/approle/login", "auth/", "team/"),
            ("auth", "auth/approle/login", "auth/", "auth/"),
        ] {
            let target = target(header, path);
            assert_eq!(target.namespace_before(begins), namespace, "{header} {path} {begins}");
        }
        assert_eq!(target("", "team/web/db/a").full(), target("team/web/", "db/a").full());
        for (header, path, namespace, below, lies) in [
            ("", "db/a", "", "db/", true),
            ("", "db/a", "", "", true),
            ("", "db/a", "", "kv/", false),
            ("", "db/a", "team/", "db/", false),
            ("team", "db/a", "team/", "db/", true),
            ("", "team/db/a", "team/", "db/", true),
            ("team", "web/db/a", "team/web/", "db/", true),
            // Of another namespace than the root.
            ("team", "db/a", "", "", false),
            ("team", "db/a", "te", "", false),
        ] {
            let target = target(header, path);
            assert_eq!(target.may_lie_in(namespace, below), lies, "{header} {path} {namespace}");
        }
    }
}
