//! Ends what goes on for too long, with one timer for each connection.
//!
//! The timer isn't moved when something happens, but looks what happened when it goes off. Only
//! when something has to end sooner it is set anew: when a head doesn't come in one piece.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::life::{Late, Life};
use crate::limits::Limits;

pub(crate) struct Watchdog {
    life: Arc<Life>,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
}

impl Watchdog {
    pub(crate) fn new(life: Arc<Life>, limits: Limits) -> Self {
        let timer = Box::pin(sleep_until(Instant::now() + limits.idle));
        Self { life, limits, timer }
    }

    /// Comes when something has gone on for too long. To be polled after what the connection does.
    pub(crate) async fn late(&mut self) -> Late {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        loop {
            let end = self.life.end(&self.limits);
            if let Some((end, _)) = end
                && end < self.timer.deadline()
            {
                self.timer.as_mut().reset(end);
            }
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            match end {
                Some((end, late)) if end <= now => return Poll::Ready(late),
                Some((end, _)) => self.timer.as_mut().reset(end),
                // What gets stuck from now on has that long.
                None => self.timer.as_mut().reset(now + self.limits.idle),
            }
        }
    }
}
