//! How long an exchange may take: as a whole, or without anything moving.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// How long to wait for an exchange.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// From sending to the last byte of the answer.
    Whole(Duration),
    /// From one piece to the next, of the request or of the answer, however many there are.
    EachPiece(Duration),
}

impl Patience {
    /// The same, as far as instants can be reckoned with it.
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::Whole(whole) => Self::Whole(whole.min(NEVER)),
            Self::EachPiece(piece) => Self::EachPiece(piece.min(NEVER)),
        }
    }
}

/// How far a request is: who is waited for, and since when.
pub(crate) struct Progress(Mutex<(Awaited, Instant)>);

/// Who has to go on with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Who makes the body: everything that there was of it has been taken.
    Sender,
    Server,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Mutex::new((Awaited::Server, Instant::now())))
    }

    /// There was another piece of the body, or its end.
    pub(crate) fn moved(&self) {
        *self.state() = (Awaited::Server, Instant::now());
    }

    /// There could be another piece of the body by now.
    pub(crate) fn wants_more(&self) {
        let mut state = self.state();
        if state.0 == Awaited::Server {
            *state = (Awaited::Sender, Instant::now());
        }
    }

    /// Returns when nothing has moved for `patience`, and who was waited for.
    pub(crate) async fn stands_still(&self, patience: Duration) -> Awaited {
        loop {
            let (awaited, since) = *self.state();
            if since.elapsed() >= patience {
                return awaited;
            }
            sleep_until(since + patience).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, (Awaited, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the body of an answer may take.
pub(crate) enum Limit {
    Whole(Pin<Box<Sleep>>),
    EachPiece {
        patience: Duration,
        /// Since the next piece is waited for: whoever reads may take his time.
        waiting: Option<Pin<Box<Sleep>>>,
    },
}

impl Limit {
    pub(crate) fn until(deadline: Instant) -> Self {
        Self::Whole(Box::pin(sleep_until(deadline)))
    }

    pub(crate) fn each_piece(patience: Duration) -> Self {
        Self::EachPiece { patience, waiting: None }
    }

    /// The time of the whole is over.
    pub(crate) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Whole(deadline) => deadline.as_mut().poll(cx).is_ready(),
            Self::EachPiece { .. } => false,
        }
    }

    /// There is no next piece yet: whether it was waited for too long.
    pub(crate) fn stands_still(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Whole(_) => false,
            Self::EachPiece { patience, waiting } => {
                let waiting = waiting.get_or_insert_with(|| Box::pin(sleep(*patience)));
                waiting.as_mut().poll(cx).is_ready()
            }
        }
    }

    /// There is a next piece.
    pub(crate) fn moved(&mut self) {
        if let Self::EachPiece { waiting, .. } = self {
            *waiting = None;
        }
    }
}

/// As good as never.
const NEVER: Duration = Duration::from_hours(24 * 365);
