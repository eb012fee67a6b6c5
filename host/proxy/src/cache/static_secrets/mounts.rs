//! What lies where: whether a path is one of a KV mount, as `sys/internal/ui/mounts` says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::place;

/// What a mount holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Static secrets; the mount with its namespace, as "team/secret/".
    Kv(Arc<str>),
    Other,
}

/// The mount of a path, as the server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// In its namespace, as "secret/".
    path: String,
    is_kv: bool,
}

/// Reads the server's answer. `None`: it says nothing of a mount.
pub(crate) fn found(body: &[u8]) -> Option<Found> {
    let Parsed { data } = serde_json::from_slice(body).ok()?;
    let is_kv = matches!(data.kind.as_str(), "kv" | "generic");
    (data.path.len() > 1 && data.path.ends_with('/')).then_some(Found { path: data.path, is_kv })
}

#[derive(Deserialize)]
struct Parsed {
    data: Mount,
}

#[derive(Deserialize)]
struct Mount {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The mounts that are known.
#[derive(Default)]
pub(super) struct Mounts {
    known: BTreeMap<Arc<str>, Known>,
}

struct Known {
    is_kv: bool,
    until: Instant,
}

impl Mounts {
    /// What lies at a path; `None`: the server must be asked.
    pub(super) fn nature(&self, now: Instant, path: &str) -> Option<Nature> {
        let starts = path.match_indices('/').map(|(at, _)| at + 1);
        let whole = format!("{path}/");
        let mounts = starts.filter_map(|end| path.get(..end)).chain([whole.as_str()]);
        // What is known of a shorter one may only be that nothing is.
        let mut known = mounts.filter_map(|mount| self.known.get_key_value(mount));
        let (mount, known) = known.rfind(|(_, known)| now < known.until)?;
        Some(if known.is_kv { Nature::Kv(Arc::clone(mount)) } else { Nature::Other })
    }

    /// Takes note of the mount of a path, with its namespace. `found`: what the server said of it;
    /// `None`: nothing, and for a while it isn't asked again.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        namespace: &str,
        path: &str,
        found: Option<Found>,
    ) {
        let mount = found.map(|found| (format!("{namespace}{}", found.path), found.is_kv));
        let mount = mount.filter(|(mount, _)| place::below(mount, path).is_some());
        let (mount, is_kv, until) = if let Some((mount, is_kv)) = mount {
            (mount, is_kv, now + KNOWN_FOR)
        } else {
            let first = path.split('/').next().unwrap_or_default();
            (format!("{first}/"), false, now + UNKNOWN_FOR)
        };
        if self.known.len() >= MOST {
            self.known.retain(|_, known| now < known.until);
        }
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(mount.into(), Known { is_kv, until });
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

const KNOWN_FOR: Duration = Duration::from_mins(10);
const UNKNOWN_FOR: Duration = Duration::from_mins(1);
const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &str, kind: &str) -> Option<Found> {
        let answer = serde_json::json!({ "data": { "path": path, "type": kind, "options": null } });
        found(answer.to_string().as_bytes())
    }

    #[test]
    fn a_mount_is_known_for_all_that_lies_in_it_and_for_some_time() {
        let mut mounts = Mounts::default();
        let now = Instant::now();
        assert_eq!(mounts.nature(now, "team/secret/data/a"), None);
        mounts.learn(now, "team/", "team/secret/data/a", mount("secret/", "kv"));
        mounts.learn(now, "", "kv1/a", mount("kv1/", "generic"));
        mounts.learn(now, "", "pki/cert/a", mount("pki/", "pki"));
        let kv = |mount: &str| Some(Nature::Kv(mount.into()));
        for (path, nature) in [
            ("team/secret/metadata/b", kv("team/secret/")),
            ("team/secret", kv("team/secret/")),
            ("kv1/b", kv("kv1/")),
            ("pki/ca", Some(Nature::Other)),
            ("secret/data/a", None),
            ("team/other", None),
        ] {
            assert_eq!(mounts.nature(now, path), nature, "{path}");
            assert_eq!(mounts.nature(now + KNOWN_FOR, path), None, "{path}");
        }
    }

    #[test]
    fn where_the_server_says_nothing_of_use_it_is_not_asked_at_once_again() {
        let mut mounts = Mounts::default();
        let now = Instant::now();
        // The path begins with a namespace, which the answer leaves out.
        mounts.learn(now, "", "team/secret/data/a", mount("secret/", "kv"));
        mounts.learn(now, "", "other/a", None);
        assert_eq!(mounts.nature(now, "team/secret/data/a"), Some(Nature::Other));
        assert_eq!(mounts.nature(now, "other/b"), Some(Nature::Other));
        assert_eq!(mounts.nature(now + UNKNOWN_FOR, "other/b"), None);
        mounts.learn(now, "team/", "team/secret/data/a", mount("secret/", "kv"));
        assert!(matches!(mounts.nature(now, "team/secret/data/a"), Some(Nature::Kv(_))));
        for bad in ["", "{}", "[]", r#"{"data":{"path":"","type":"kv"}}"#] {
            assert_eq!(found(bad.as_bytes()), None, "{bad}");
        }
    }
}
