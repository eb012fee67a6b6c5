//! What nobody is granted, whatever the operator allows.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// What is never granted to anyone, besides the fixed list.
#[derive(Debug, Default)]
pub struct Protected {
    /// The agent's own directories and files: plug-in directory, lock, caches, sockets.
    own: Vec<PathBuf>,
    outputs: RwLock<Outputs>,
}

#[derive(Debug, Default)]
struct Outputs {
    reserved: Vec<Reservation>,
    /// Identities that a reload is about to replace: what they write is free for others.
    leaving: Vec<String>,
}

/// A sink's output. Ends with the use that reserved it.
#[derive(Debug)]
struct Reservation {
    path: PathBuf,
    usage: String,
    identity: String,
    holder: Weak<()>,
}

impl Protected {
    /// Protects the agent's own `paths`, and what is below them.
    pub fn new(own: Vec<PathBuf>) -> Self {
        Self { own, outputs: RwLock::default() }
    }

    /// Reserves `path` for the use that writes it there, for as long as `holder` lives.
    pub(crate) fn reserve(&self, path: PathBuf, usage: &str, identity: &str, holder: &Arc<()>) {
        let mut outputs = self.outputs.write().unwrap_or_else(PoisonError::into_inner);
        let held = Arc::downgrade(holder);
        outputs.reserved.retain(|reservation| {
            let again = reservation.path == path && reservation.holder.ptr_eq(&held);
            reservation.holder.strong_count() > 0 && !again
        });
        outputs.reserved.push(Reservation {
            path,
            usage: usage.to_owned(),
            identity: identity.to_owned(),
            holder: held,
        });
    }

    /// From now on these identities' outputs, and no others, are free for their successors.
    pub(crate) fn leaving(&self, identities: Vec<String>) {
        self.outputs.write().unwrap_or_else(PoisonError::into_inner).leaving = identities;
    }

    /// Why nobody, or not this use, may touch `path` (resolved).
    pub(crate) fn refuses(&self, path: &Path, usage: &str) -> Option<&'static str> {
        const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];
        // A RAM disk for ordinary files; the usual place for a token that must not reach a disk.
        if !path.starts_with("/dev/shm") && SYSTEM.iter().any(|system| path.starts_with(system)) {
            return Some("/proc, /sys and /dev are never granted");
        }
        if self.own.iter().any(|own| path.starts_with(own)) {
            return Some("it belongs to the agent itself");
        }
        let outputs = self.outputs.read().unwrap_or_else(PoisonError::into_inner);
        let taken = outputs.reserved.iter().any(|reservation| {
            reservation.path == path
                && reservation.usage != usage
                && reservation.holder.strong_count() > 0
                && !outputs.leaving.contains(&reservation.identity)
        });
        if taken {
            return Some("it is the output of another sink");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_touches_the_agents_own_files_or_anothers_output() {
        let protected = Protected::new(vec!["/etc/usher/plugins".into()]);
        let holder = Arc::new(());
        protected.reserve("/run/token".into(), "default/sink/0", "default", &holder);
        for path in ["/proc/self/environ", "/sys/kernel", "/dev/sda", "/etc/usher/plugins/x.wasm"] {
            assert!(protected.refuses(Path::new(path), "default/sink/0").is_some(), "{path}");
        }
        assert!(protected.refuses(Path::new("/run/token"), "default/method").is_some());
        assert!(protected.refuses(Path::new("/run/token"), "default/sink/0").is_none());
        assert!(protected.refuses(Path::new("/dev/shm/token"), "default/sink/0").is_none());
        assert!(protected.refuses(Path::new("/process/x"), "default/sink/0").is_none());
        // A reload frees what it replaces, and what no longer exists is free anyway.
        protected.leaving(vec!["default".to_owned()]);
        assert!(protected.refuses(Path::new("/run/token"), "other/sink/0").is_none());
        protected.leaving(Vec::new());
        assert!(protected.refuses(Path::new("/run/token"), "other/sink/0").is_some());
        drop(holder);
        assert!(protected.refuses(Path::new("/run/token"), "other/sink/0").is_none());
    }
}
