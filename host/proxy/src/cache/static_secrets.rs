//! Static secrets: answers of KV mounts, which have no lease and nobody ends. They are given again for
//! a time that is set, and only to tokens that have shown a short time ago that they may read them.
//!
//! Whoever has read the same itself has a *proof*. Nothing else is one: neither another token's, even
//! of the same policies, nor one for another path. So the answer may be one that another token got.
//!
//! What is written through the same cache takes out what it may change, and whatever is read at that
//! time isn't kept.

mod access;
mod mounts;
mod place;
mod shelf;

use std::sync::Arc;
use std::time::{Duration, Instant};

use percent_encoding::percent_decode_str;

pub(crate) use access::{Reading, Writing, may_read, writing};
pub(crate) use mounts::{Found, Nature, found};

use self::mounts::Mounts;
pub(super) use self::place::lies_at_or_below;
use self::shelf::{Shelf, StaticSecret};
use super::answer::Answer;
use super::counts::{Cause, Counts};
use super::event::Unkept;
use super::key::{Key, TokenId};
use super::selection::Selection;

/// For how long static secrets are kept, and how many. Plain values: the configuration has checked
/// them, and has the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticSettings {
    /// How old an answer may be.
    pub ttl: Duration,
    /// How much older, while the server can't be reached.
    pub max_stale: Duration,
    /// How long a token that has read something is given it without showing again that it may.
    pub proof: Duration,
    /// How many answers.
    pub entries: usize,
    /// How much memory, with what each takes beside its answer.
    pub bytes: usize,
}

/// An answer that is kept, for somebody who may have it.
pub(super) struct Given {
    pub(super) answer: Answer,
    pub(super) age: Duration,
}

/// What a request has read.
pub(super) struct Read<'a> {
    pub(super) reading: &'a Reading,
    pub(super) mount: Arc<str>,
    pub(super) token: TokenId,
    /// The answer is no older than that.
    pub(super) sent_at: Instant,
    pub(super) answer: Answer,
}

/// The static secrets that are kept.
pub(super) struct StaticSecrets {
    settings: StaticSettings,
    shelf: Shelf,
    mounts: Mounts,
    /// When the server has last given an answer that counts.
    reached_at: Option<Instant>,
}

impl StaticSecrets {
    pub(super) fn new(settings: StaticSettings) -> Self {
        let StaticSettings { ttl, max_stale, proof, .. } = settings;
        // No sum of them is beyond all reckoning.
        let [ttl, max_stale, proof] = [ttl, max_stale, proof].map(|time| time.min(LONGEST));
        let settings = StaticSettings { ttl, max_stale, proof, ..settings };
        let (shelf, mounts) = (Shelf::default(), Mounts::default());
        Self { settings, shelf, mounts, reached_at: None }
    }

    /// What a token is given that asks for this; `None`: it has to ask the server.
    pub(super) fn hit(&mut self, now: Instant, key: Key, token: TokenId) -> Option<Given> {
        let secret = self.shelf.get(&key)?;
        let proof = secret.proof(token)?;
        let StaticSettings { ttl, proof: longest, .. } = self.settings;
        if now >= secret.read_at + ttl || now >= proof + longest {
            return None;
        }
        self.give(now, key)
    }

    /// Whether it is time to read again what this token is still given, so that nobody has to wait for
    /// that when it ends. Only once in a while: the server may be in trouble.
    pub(super) fn is_due(&mut self, now: Instant, key: Key, token: TokenId) -> bool {
        let StaticSettings { ttl, proof: longest, .. } = self.settings;
        let Some(secret) = self.shelf.get(&key) else { return false };
        let Some(proof) = secret.proof(token) else { return false };
        // Not all at once that were read at once.
        let part = DUE + (key.share() - 0.5) * DUE_SPREAD;
        let aged = now >= secret.read_at + ttl.mul_f64(part);
        let due = aged || now >= proof + longest.mul_f64(part);
        due && self.shelf.may_refresh(key, now, now + ttl.min(longest).mul_f64(DUE_AGAIN))
    }

    /// The same where the server can't be reached. A proof counts that counted when it was last.
    pub(super) fn stale(&mut self, now: Instant, key: Key, token: TokenId) -> Option<Given> {
        self.is_stale_for(now, key, token).then(|| self.give(now, key))?
    }

    /// Whether there is something for this token while the server can't be reached.
    pub(super) fn is_stale_for(&self, now: Instant, key: Key, token: TokenId) -> bool {
        let StaticSettings { ttl, max_stale, proof: longest, .. } = self.settings;
        let secret = self.shelf.get(&key).filter(|secret| secret.answer.is_some());
        let Some(secret) = secret.filter(|_| !max_stale.is_zero()) else { return false };
        secret.proof(token).is_some_and(|proof| {
            let counted = self.reached_at.is_some_and(|reached| reached < proof + longest);
            counted && now < proof + longest + max_stale && now < secret.read_at + ttl + max_stale
        })
    }

    /// Keeps what the server answered to a request that was sent then, as far as it is no older than
    /// what is kept, and takes it as a proof of this token's.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        read: Read<'_>,
        counts: &mut Counts,
    ) -> Result<(), Unkept> {
        let Read { reading, mount, token, sent_at, answer } = read;
        let StaticSettings { ttl, max_stale, proof, entries, bytes } = self.settings;
        // No proof is younger than the answer.
        let (key, ends_at) = (reading.key, sent_at + ttl.min(proof) + max_stale);
        if ends_at <= now {
            return Err(Unkept::Ended);
        }
        let path = Arc::clone(&reading.path);
        let secret = StaticSecret::new(path, mount, answer, sent_at, ends_at);
        if entries == 0 || secret.weight() > bytes {
            return Err(Unkept::TooLarge);
        }
        if self.shelf.get(&key).is_none_or(|former| former.read_at <= sent_at) {
            self.shelf.insert(key, secret);
        }
        self.shelf.prove(key, token, sent_at, now.checked_sub(proof + max_stale));
        while self.shelf.len() > entries || self.shelf.weight() > bytes {
            let Some(least_used) = self.shelf.least_used() else { break };
            self.evict([least_used], Cause::Bounds, counts);
        }
        self.shelf.get(&key).map(|_| ()).ok_or(Unkept::TooLarge)
    }

    /// The server has answered to a request that was sent then with something that isn't kept: the
    /// secret is gone, or is another one now.
    pub(super) fn superseded(
        &mut self,
        now: Instant,
        sent_at: Instant,
        key: Key,
        counts: &mut Counts,
    ) {
        if self.shelf.get(&key).is_some_and(|former| former.read_at <= sent_at) {
            self.empty(now, key, Cause::Gone, counts);
        }
    }

    /// Something is written, or was.
    pub(super) fn written(&mut self, now: Instant, writing: &Writing, counts: &mut Counts) {
        match writing {
            Writing::At(path) => {
                for key in self.shelf.touched_by(path) {
                    self.empty(now, key, Cause::Written, counts);
                }
            }
            Writing::Anything => {
                self.mounts.forget();
                let all = self.shelf.with_paths(|_| true);
                self.evict(all, Cause::Written, counts);
            }
        }
    }

    /// Whether what is read at this path may be another before and after this.
    pub(super) fn touches(&self, now: Instant, writing: &Writing, path: &str) -> bool {
        let Writing::At(written) = writing else { return true };
        let Some(Nature::Kv(mount)) = self.mounts.nature(now, path) else {
            // A mount that isn't known has its first segment in common with both.
            return written.split('/').next() == path.split('/').next();
        };
        let place_of = |path| place::below(&mount, path).map(place::place);
        let read = place_of(path).unwrap_or_default();
        place_of(written).is_some_and(|written| {
            written.is_empty() || place::with_folders(written).any(|folder| folder == read)
        })
    }

    /// The server refuses a token at this path; `None`: at any.
    pub(super) fn disprove(
        &mut self,
        token: TokenId,
        path: Option<&str>,
        cause: Cause,
        counts: &mut Counts,
    ) {
        let left = self.shelf.disprove(token, path.unwrap_or_default());
        self.evict(left, cause, counts);
    }

    /// Forgets what is meant, and who may read it.
    pub(super) fn clear(&mut self, selection: &Selection, counts: &mut Counts) {
        let meant = match selection {
            Selection::All => {
                self.mounts.forget();
                self.shelf.with_paths(|_| true)
            }
            Selection::RequestPath { namespace, path } => {
                let path = percent_decode_str(path).decode_utf8_lossy();
                self.shelf.with_paths(|found| {
                    let rest = found.strip_prefix(&**namespace);
                    rest.is_some_and(|rest| rest.starts_with(&*path))
                })
            }
            Selection::Token(token) | Selection::TokenAlone(token) => {
                return self.disprove(*token, None, Cause::Cleared, counts);
            }
            Selection::Accessor(_) | Selection::Lease(_) | Selection::Leases { .. } => return,
        };
        self.evict(meant, Cause::Cleared, counts);
    }

    /// The server has given an answer that counts.
    pub(super) fn reached(&mut self, now: Instant) {
        self.reached_at = Some(now);
    }

    /// What lies at a path; `None`: that isn't known.
    pub(super) fn nature(&self, now: Instant, path: &str) -> Option<Nature> {
        self.mounts.nature(now, path)
    }

    pub(super) fn learn(
        &mut self,
        now: Instant,
        namespace: &str,
        path: &str,
        found: Option<Found>,
    ) {
        self.mounts.learn(now, namespace, path, found);
    }

    /// Lets go of what has ended.
    pub(super) fn expire(&mut self, now: Instant, counts: &mut Counts) {
        while let Some(key) = self.shelf.ended(now) {
            self.empty(now, key, Cause::Ended, counts);
        }
    }

    pub(super) fn next_end(&self) -> Option<Instant> {
        self.shelf.next_end()
    }

    /// When the oldest was read.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.shelf.oldest()
    }

    pub(super) fn len(&self) -> usize {
        self.shelf.answers()
    }

    pub(super) fn weight(&self) -> usize {
        self.shelf.weight()
    }

    fn give(&mut self, now: Instant, key: Key) -> Option<Given> {
        self.shelf.touch(key);
        let secret = self.shelf.get(&key)?;
        let age = now.saturating_duration_since(secret.read_at);
        Some(Given { answer: secret.answer.clone()?, age })
    }

    /// Lets go of an answer. Who has shown that it may read it needn't do so again.
    fn empty(&mut self, now: Instant, key: Key, cause: Cause, counts: &mut Counts) {
        let Some(secret) = self.shelf.get(&key) else { return };
        let proven_until = secret.read_at + self.settings.proof;
        if proven_until <= now {
            self.evict([key], cause, counts);
        } else if self.shelf.empty(key, proven_until) {
            counts.evicted(cause);
        }
    }

    fn evict(&mut self, keys: impl IntoIterator<Item = Key>, cause: Cause, counts: &mut Counts) {
        for key in keys {
            if self.shelf.remove(key) {
                counts.evicted(cause);
            }
        }
    }
}

/// Ten years.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);
/// Of its life and of a proof's, after which it is read again ahead of its end: 0.7 to 0.9.
const DUE: f64 = 0.8;
const DUE_SPREAD: f64 = 0.2;
/// Of the same, until it is tried again.
const DUE_AGAIN: f64 = 0.1;
