//! Where the static secrets stand, each way to find them, and who has shown that it may read them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use super::place;
use crate::cache::answer::Answer;
use crate::cache::key::{Key, TokenId};

/// What was read, and by whom. No `Debug`: it holds a secret.
pub(super) struct StaticSecret {
    pub(super) path: Arc<str>,
    pub(super) mount: Arc<str>,
    /// `None`: it isn't the one any more, but those who may read it are the same.
    pub(super) answer: Option<Answer>,
    /// When the last request was sent that it answers: it is no older. No proof is younger.
    pub(super) read_at: Instant,
    /// Nobody is given the answer any more from then on; without one no proof counts.
    pub(super) ends_at: Instant,
    /// The tokens that have read the same themselves, and when the last request for it was sent.
    proofs: BTreeMap<TokenId, Instant>,
    /// When it was used last, as the shelf counts.
    used: u64,
    /// It isn't read ahead of its end before then.
    refresh_from: Option<Instant>,
}

impl StaticSecret {
    pub(super) fn new(
        path: Arc<str>,
        mount: Arc<str>,
        answer: Answer,
        read_at: Instant,
        ends_at: Instant,
    ) -> Self {
        let (answer, proofs) = (Some(answer), BTreeMap::new());
        let (used, refresh_from) = (0, None);
        Self { path, mount, answer, read_at, ends_at, proofs, used, refresh_from }
    }

    /// When this token has last shown that it may read it.
    pub(super) fn proof(&self, token: TokenId) -> Option<Instant> {
        self.proofs.get(&token).copied()
    }

    fn place(&self) -> &str {
        place::below(&self.mount, &self.path).map_or("", place::place)
    }

    /// In bytes.
    pub(super) fn weight(&self) -> usize {
        let answer = self.answer.as_ref().map_or(0, Answer::weight);
        OWN_WEIGHT + self.path.len() + answer + self.proofs.len() * PROOF_WEIGHT
    }
}

/// All that was read. What nobody has a proof for doesn't stay.
#[derive(Default)]
pub(super) struct Shelf {
    secrets: BTreeMap<Key, Box<StaticSecret>>,
    /// By mount, and by their place in it.
    places: BTreeMap<Arc<str>, BTreeMap<Box<str>, BTreeSet<Key>>>,
    /// By the tokens that have a proof.
    proven: BTreeSet<(TokenId, Key)>,
    ends: BTreeSet<(Instant, Key)>,
    /// By their last use.
    used: BTreeMap<u64, Key>,
    uses: u64,
    answers: usize,
    weight: usize,
}

impl Shelf {
    pub(super) fn len(&self) -> usize {
        self.secrets.len()
    }

    /// How many of them have an answer.
    pub(super) fn answers(&self) -> usize {
        self.answers
    }

    /// Of all, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn get(&self, key: &Key) -> Option<&StaticSecret> {
        self.secrets.get(key).map(|secret| &**secret)
    }

    pub(super) fn least_used(&self) -> Option<Key> {
        self.used.first_key_value().map(|(_, key)| *key)
    }

    /// One that has ended by now.
    pub(super) fn ended(&self, now: Instant) -> Option<Key> {
        self.ends.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// When the oldest answer was read.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let answers = self.secrets.values().filter(|secret| secret.answer.is_some());
        answers.map(|secret| secret.read_at).min()
    }

    /// Keeps one in place of the former of this key, whose proofs it takes over.
    pub(super) fn insert(&mut self, key: Key, mut secret: StaticSecret) {
        if let Some(former) = self.take(key) {
            secret.proofs = former.proofs;
        }
        self.weight += secret.weight();
        self.answers += usize::from(secret.answer.is_some());
        self.ends.insert((secret.ends_at, key));
        let places = self.places.entry(Arc::clone(&secret.mount)).or_default();
        places.entry(secret.place().into()).or_default().insert(key);
        self.secrets.insert(key, Box::new(secret));
        self.touch(key);
    }

    /// Whether it had an answer.
    pub(super) fn remove(&mut self, key: Key) -> bool {
        let Some(secret) = self.take(key) else { return false };
        for token in secret.proofs.into_keys() {
            self.proven.remove(&(token, key));
        }
        secret.answer.is_some()
    }

    /// Lets go of an answer, but not of who may read it until then. Whether there was one.
    pub(super) fn empty(&mut self, key: Key, proven_until: Instant) -> bool {
        let Some(secret) = self.secrets.get_mut(&key) else { return false };
        self.weight -= secret.weight();
        let had = secret.answer.take().is_some();
        self.answers -= usize::from(had);
        self.ends.remove(&(secret.ends_at, key));
        secret.ends_at = proven_until;
        self.ends.insert((proven_until, key));
        self.weight += secret.weight();
        had
    }

    /// Takes note that somebody uses it.
    pub(super) fn touch(&mut self, key: Key) {
        let Some(secret) = self.secrets.get_mut(&key) else { return };
        self.used.remove(&secret.used);
        self.uses += 1;
        secret.used = self.uses;
        self.used.insert(self.uses, key);
    }

    /// Whether it may be read ahead of its end now; then not again before `next`.
    pub(super) fn may_refresh(&mut self, key: Key, now: Instant, next: Instant) -> bool {
        let Some(secret) = self.secrets.get_mut(&key) else { return false };
        let may = secret.refresh_from.is_none_or(|from| from <= now);
        if may {
            secret.refresh_from = Some(next);
        }
        may
    }

    /// Takes note that a token may read it, as a request that was sent then has shown. Those that are
    /// `older` count no more.
    pub(super) fn prove(
        &mut self,
        key: Key,
        token: TokenId,
        sent_at: Instant,
        older: Option<Instant>,
    ) {
        let Some(secret) = self.secrets.get_mut(&key) else { return };
        self.weight -= secret.weight();
        let proof = secret.proofs.entry(token).or_insert(sent_at);
        *proof = sent_at.max(*proof);
        self.proven.insert((token, key));
        secret.proofs.retain(|token, at| {
            let counts = older.is_none_or(|older| *at > older);
            if !counts {
                self.proven.remove(&(*token, key));
            }
            counts
        });
        self.weight += secret.weight();
    }

    /// From now on a token has to show again that it may read what it has read at a path, or below
    /// it. Tells what nobody is left for.
    pub(super) fn disprove(&mut self, token: TokenId, path: &str) -> Vec<Key> {
        let keys: Vec<Key> = if path.is_empty() { self.proven_by(token) } else { self.below(path) };
        let mut left = Vec::new();
        for key in keys {
            let Some(secret) = self.secrets.get_mut(&key) else { continue };
            if !place::lies_at_or_below(&secret.path, path) || !self.proven.remove(&(token, key)) {
                continue;
            }
            secret.proofs.remove(&token);
            self.weight -= PROOF_WEIGHT;
            if secret.proofs.is_empty() {
                left.push(key);
            }
        }
        left
    }

    /// What is read at the place of a path changes with it, and what lists it.
    pub(super) fn touched_by(&self, path: &str) -> Vec<Key> {
        let mut touched = Vec::new();
        for (mount, places) in &self.places {
            match place::below(mount, path).map(place::place) {
                None => {}
                Some("") => touched.extend(places.values().flatten()),
                Some(place) => {
                    let read = place::with_folders(place).filter_map(|place| places.get(place));
                    touched.extend(read.flatten());
                }
            }
        }
        touched
    }

    /// All whose paths this is true of.
    pub(super) fn with_paths(&self, mut wanted: impl FnMut(&str) -> bool) -> Vec<Key> {
        let found = self.secrets.iter().filter(|(_, secret)| wanted(&secret.path));
        found.map(|(key, _)| *key).collect()
    }

    fn proven_by(&self, token: TokenId) -> Vec<Key> {
        self.proven
            .range((token, Key::LEAST)..=(token, Key::GREATEST))
            .map(|(_, key)| *key)
            .collect()
    }

    /// At least those whose paths lie at or below this one.
    fn below(&self, path: &str) -> Vec<Key> {
        let mut found = Vec::new();
        for (mount, places) in &self.places {
            match place::below(mount, path).map(place::place) {
                Some(place) => {
                    let from = places.range::<str, _>((Bound::Included(place), Bound::Unbounded));
                    let below = from.take_while(|(other, _)| other.starts_with(place));
                    found.extend(below.flat_map(|(_, keys)| keys));
                }
                None if place::lies_at_or_below(mount, path) => {
                    found.extend(places.values().flatten());
                }
                None => {}
            }
        }
        found
    }

    /// Takes one out, but for its proofs.
    fn take(&mut self, key: Key) -> Option<Box<StaticSecret>> {
        let secret = self.secrets.remove(&key)?;
        self.weight -= secret.weight();
        self.answers -= usize::from(secret.answer.is_some());
        self.ends.remove(&(secret.ends_at, key));
        self.used.remove(&secret.used);
        if let Some(places) = self.places.get_mut(&secret.mount) {
            if let Some(keys) = places.get_mut(secret.place()) {
                keys.remove(&key);
                if keys.is_empty() {
                    places.remove(secret.place());
                }
            }
            if places.is_empty() {
                self.places.remove(&secret.mount);
            }
        }
        Some(secret)
    }
}

/// What one takes beside its answer, in all indexes.
const OWN_WEIGHT: usize = 768;
const PROOF_WEIGHT: usize = 128;
