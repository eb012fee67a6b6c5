//! Thousands of machines and one timer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::ceiling::{Ceiling, Pace};

/// A pure machine: it is told what happened and asked what to do. It has no clock of its own.
pub trait Machine {
    /// What it is told.
    type Event;
    /// What it asks for.
    type Action;

    /// Takes note of what happened.
    fn handle(&mut self, now: Instant, event: Self::Event);

    /// The next thing to do, `None` if nothing is due. What is returned has begun.
    fn poll_action(&mut self, now: Instant) -> Option<Self::Action>;

    /// When [`Self::poll_action`] has something to do if no event comes first. Once that time has
    /// come and it was polled, it is a later one. `None`: only an event leads on.
    fn next_deadline(&self) -> Option<Instant>;

    /// Whether an action waits for its answer.
    fn is_busy(&self) -> bool;

    /// When something is lost unless what it does next succeeds before; `None`: nothing is.
    fn lost_at(&self) -> Option<Instant>;
}

/// Machines by key, kept together below one ceiling.
///
/// Drive it as one machine: after each [`Self::handle`] call [`Self::poll_action`] until it returns
/// `None`, start what it returns, then sleep until [`Self::next_timeout`] or the next event.
///
/// While more is due than the ceiling allows, who loses something goes first, in the order in which
/// it would be lost; but each second turn is for the rest, in the order in which it was due, so that
/// neither starves.
#[derive(Debug)]
pub struct Many<K, M> {
    /// Boxed, since the nodes of the tree are half empty where keys come in order.
    machines: BTreeMap<K, Box<Slot<M>>>,
    /// By deadline.
    waiting: BTreeSet<(Instant, K)>,
    /// Due, by what is lost when.
    losing: BTreeSet<(Instant, K)>,
    /// Due, and nothing is lost. By deadline.
    patient: BTreeSet<(Instant, K)>,
    /// When those that are due were looked for.
    lined_up_at: Option<Instant>,
    /// Whose turn it is when both wait.
    patience_next: bool,
    busy: usize,
    most_busy: usize,
    pace: Pace,
}

#[derive(Debug)]
struct Slot<M> {
    machine: M,
    place: Place,
    busy: bool,
}

/// In which of the sets a machine stands, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    Waiting(Instant),
    Losing(Instant),
    Patient(Instant),
}

impl<K: Ord + Clone, M: Machine> Many<K, M> {
    /// None yet.
    pub fn new(ceiling: Ceiling) -> Self {
        Self {
            machines: BTreeMap::new(),
            waiting: BTreeSet::new(),
            losing: BTreeSet::new(),
            patient: BTreeSet::new(),
            lined_up_at: None,
            patience_next: false,
            busy: 0,
            most_busy: ceiling.in_flight.max(1),
            pace: Pace::new(ceiling),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.machines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.machines.is_empty()
    }

    /// The machine of this key.
    pub fn get(&self, key: &K) -> Option<&M> {
        self.machines.get(key).map(|slot| &slot.machine)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &M)> {
        self.machines.iter().map(|(key, slot)| (key, &slot.machine))
    }

    /// Adds a machine; the one that had this key is returned and driven no more.
    pub fn insert(&mut self, key: K, machine: M) -> Option<M> {
        let former = self.remove(&key);
        let slot = Slot { machine, place: Place::Nowhere, busy: false };
        self.machines.insert(key.clone(), Box::new(slot));
        self.update(&key);
        former
    }

    /// Takes a machine out. An answer that it waits for is of no use any more.
    pub fn remove(&mut self, key: &K) -> Option<M> {
        let slot = self.machines.remove(key)?;
        self.busy -= usize::from(slot.busy);
        self.stand(key, slot.place, Place::Nowhere);
        Some(slot.machine)
    }

    /// Tells one machine what happened; nobody, if none has this key.
    pub fn handle(&mut self, now: Instant, key: &K, event: M::Event) {
        if let Some(slot) = self.machines.get_mut(key) {
            slot.machine.handle(now, event);
            self.update(key);
        }
    }

    /// Tells all of them.
    pub fn handle_all(&mut self, now: Instant, event: &M::Event)
    where
        M::Event: Clone,
    {
        let mut changed = Vec::new();
        for (key, slot) in &mut self.machines {
            slot.machine.handle(now, event.clone());
            if slot.is_stale() {
                changed.push(key.clone());
            }
        }
        for key in changed {
            self.update(&key);
        }
    }

    /// The next thing to do and who wants it, `None` when there is nothing more for now.
    pub fn poll_action(&mut self, now: Instant) -> Option<(K, M::Action)> {
        self.collect_due(now);
        while self.busy < self.most_busy && self.pace.free_at().is_none_or(|at| at <= now) {
            let key = self.most_urgent()?;
            let slot = self.machines.get_mut(&key)?;
            let action = slot.machine.poll_action(now);
            self.update(&key);
            if let Some(action) = action {
                self.pace.take(now);
                return Some((key, action));
            }
        }
        None
    }

    /// When to call [`Self::poll_action`] if no event comes first; `None`: only an event leads on.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.busy >= self.most_busy {
            return None;
        }
        let lined_up = !self.losing.is_empty() || !self.patient.is_empty();
        let due = match self.lined_up_at {
            Some(at) if lined_up => at,
            _ => self.waiting.first()?.0,
        };
        Some(self.pace.free_at().map_or(due, |free| free.max(due)))
    }

    /// Lines up what is due by now.
    fn collect_due(&mut self, now: Instant) {
        self.lined_up_at = Some(now);
        // What is lost is in no hurry any more, and not in the way of what isn't.
        while let Some((at, key)) = self.losing.first().filter(|(at, _)| *at <= now).cloned() {
            self.line_up(&key, Place::Patient(at));
        }
        while let Some((at, key)) = self.waiting.first().filter(|(at, _)| *at <= now).cloned() {
            let lost_at = self.get(&key).and_then(M::lost_at).filter(|lost_at| *lost_at > now);
            self.line_up(&key, lost_at.map_or(Place::Patient(at), Place::Losing));
        }
    }

    fn line_up(&mut self, key: &K, place: Place) {
        let Some(slot) = self.machines.get_mut(key) else { return };
        let before = std::mem::replace(&mut slot.place, place);
        self.stand(key, before, place);
    }

    /// Whose turn it is.
    fn most_urgent(&mut self) -> Option<K> {
        let (losing, patient) = (self.losing.first(), self.patient.first());
        let (first, second) =
            if self.patience_next { (patient, losing) } else { (losing, patient) };
        let key = first.or(second).map(|(_, key)| key.clone())?;
        self.patience_next = !self.patience_next;
        Some(key)
    }

    /// Lets a machine stand where it belongs by now.
    fn update(&mut self, key: &K) {
        let Some(slot) = self.machines.get_mut(key) else { return };
        let busy = slot.machine.is_busy();
        let was_busy = std::mem::replace(&mut slot.busy, busy);
        let place = slot.machine.next_deadline().map_or(Place::Nowhere, Place::Waiting);
        let before = std::mem::replace(&mut slot.place, place);
        self.busy = self.busy + usize::from(busy) - usize::from(was_busy);
        self.stand(key, before, place);
    }

    /// Moves a key from one set to another.
    fn stand(&mut self, key: &K, before: Place, place: Place) {
        if before == place {
            return;
        }
        match before {
            Place::Nowhere => false,
            Place::Waiting(at) => self.waiting.remove(&(at, key.clone())),
            Place::Losing(at) => self.losing.remove(&(at, key.clone())),
            Place::Patient(at) => self.patient.remove(&(at, key.clone())),
        };
        match place {
            Place::Nowhere => false,
            Place::Waiting(at) => self.waiting.insert((at, key.clone())),
            Place::Losing(at) => self.losing.insert((at, key.clone())),
            Place::Patient(at) => self.patient.insert((at, key.clone())),
        };
    }
}

impl<M: Machine> Slot<M> {
    /// Whether it stands where it doesn't belong any more.
    fn is_stale(&self) -> bool {
        let deadline = self.machine.next_deadline();
        let stands = match self.place {
            Place::Nowhere => deadline.is_none(),
            Place::Waiting(at) | Place::Patient(at) => deadline == Some(at),
            // It would have to be looked up what it stood there for.
            Place::Losing(_) => false,
        };
        !stands || self.busy != self.machine.is_busy()
    }
}
