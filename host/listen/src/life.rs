//! What a connection is doing, and until when it may.
//!
//! The stream, the service and the body of each answer tell of what happens; the watchdog asks how
//! long it may go on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

pub(crate) struct Life(Mutex<State>);

struct State {
    phase: Phase,
    since: Instant,
    /// Something is to be written, and the client takes nothing.
    stuck_since: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No byte of the next request is here.
    Idle,
    /// Some bytes are.
    Head,
    /// A request is with the service, or its answer is on the way.
    Serving,
    /// The answer is complete, but not all of it is written.
    Answered,
    /// It speaks another protocol than HTTP, or will.
    Tunnel,
    /// All is written, and the client may still be writing.
    Closing,
}

/// Why a connection ends that nobody ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Late {
    /// Nothing was asked for too long.
    Idle,
    /// The head of a request isn't complete.
    Head,
    /// The client takes nothing of an answer.
    Stuck,
    /// The client goes on writing, or doesn't say that it is done.
    Closing,
}

impl Life {
    pub(crate) fn begin() -> Self {
        Self(Mutex::new(State::begin(Instant::now())))
    }

    /// Something came.
    pub(crate) fn read(&self) {
        self.state().read(Instant::now());
    }

    /// A request's head is complete.
    pub(crate) fn asked(&self) {
        self.state().phase = Phase::Serving;
    }

    /// Nothing more comes of the answer.
    pub(crate) fn answered(&self) {
        self.state().answered();
    }

    /// The answer changes the protocol.
    pub(crate) fn upgraded(&self) {
        self.state().phase = Phase::Tunnel;
    }

    /// Everything that was written is on its way.
    pub(crate) fn flushed(&self) {
        self.state().flushed(Instant::now());
    }

    /// The client took something.
    pub(crate) fn wrote(&self) {
        self.state().stuck_since = None;
    }

    /// The client takes nothing at the moment.
    pub(crate) fn stuck(&self) {
        self.state().stuck_since.get_or_insert_with(Instant::now);
    }

    /// The last word is said. Returns whether it was HTTP.
    pub(crate) fn close(&self) -> bool {
        self.state().close(Instant::now())
    }

    /// No request is with the service and no answer on the way: what is written now, the HTTP
    /// library says of itself.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.state().phase, Phase::Idle | Phase::Head)
    }

    /// When this has to end, and why; `None` as long as something happens.
    pub(crate) fn end(&self, limits: &Limits) -> Option<(Instant, Late)> {
        self.state().end(limits)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(now: Instant) -> Self {
        Self { phase: Phase::Idle, since: now, stuck_since: None }
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }

    fn read(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.enter(Phase::Head, now);
        }
    }

    fn answered(&mut self) {
        if self.phase == Phase::Serving {
            self.phase = Phase::Answered;
        }
    }

    fn flushed(&mut self, now: Instant) {
        self.stuck_since = None;
        if self.phase == Phase::Answered {
            self.enter(Phase::Idle, now);
        }
    }

    fn close(&mut self, now: Instant) -> bool {
        if !matches!(self.phase, Phase::Tunnel | Phase::Closing) {
            self.enter(Phase::Closing, now);
        }
        self.phase == Phase::Closing
    }

    fn end(&self, limits: &Limits) -> Option<(Instant, Late)> {
        let (since, limit, late) = match self.phase {
            Phase::Idle => (self.since, limits.idle, Late::Idle),
            Phase::Head => (self.since, limits.header, Late::Head),
            Phase::Serving | Phase::Answered | Phase::Tunnel => {
                (self.stuck_since?, limits.idle, Late::Stuck)
            }
            Phase::Closing => (self.since, LINGER, Late::Closing),
        };
        Some((since + limit, late))
    }
}

/// As Go's server: long enough for a client that is still sending to read what was said to it.
pub(crate) const LINGER: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_own_end() {
        let limits = Limits::default();
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut state = State::begin(begin);
        assert_eq!(state.end(&limits), Some((at(300), Late::Idle)));
        state.read(at(100));
        state.read(at(101));
        assert_eq!(state.end(&limits), Some((at(110), Late::Head)));

        state.phase = Phase::Serving;
        assert_eq!(state.end(&limits), None);
        state.stuck_since = Some(at(500));
        assert_eq!(state.end(&limits), Some((at(800), Late::Stuck)));
        state.answered();
        // Of the next request, already on the way.
        state.read(at(510));
        assert_eq!(state.end(&limits), Some((at(800), Late::Stuck)));
        state.flushed(at(600));
        assert_eq!(state.end(&limits), Some((at(900), Late::Idle)));

        assert!(state.close(at(700)));
        assert!(state.close(at(701)));
        assert_eq!(state.end(&limits), Some((at(700) + LINGER, Late::Closing)));
    }

    #[test]
    fn what_is_flushed_before_the_answer_is_complete_ends_nothing() {
        let mut state = State::begin(Instant::now());
        state.phase = Phase::Serving;
        state.flushed(Instant::now());
        assert_eq!(state.phase, Phase::Serving);
    }

    #[test]
    fn a_tunnel_is_never_taken_for_http_again() {
        let life = Life::begin();
        life.read();
        life.asked();
        life.upgraded();
        life.answered();
        life.flushed();
        life.read();
        assert!(!life.is_between_requests());
        assert!(!life.close());
        assert_eq!(life.end(&Limits::default()), None);
    }
}
