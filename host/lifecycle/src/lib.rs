//! The life of one identity's token as a pure state machine: events in, actions out.
//!
//! One [`Lifecycle`] stands for one identity: one auth method, the token it yields and the sinks
//! that receive it. It does no I/O and has no clock, no tasks and no randomness of its own: time
//! is given by the caller with each call, and jitter comes from a seed. So the agent, the
//! property tests and simulations of whole fleets drive the same code.
//!
//! # Driving it
//!
//! ```
//! # use std::time::{Duration, Instant};
//! # use usher_lifecycle::{Action, Event, Lifecycle, Settings, Token};
//! let now = Instant::now();
//! let mut lifecycle = Lifecycle::new(now, Settings { sinks: 1, ..Settings::default() }, 42);
//! let Some(Action::LogIn { generation }) = lifecycle.poll_action() else { panic!() };
//! assert_eq!(lifecycle.poll_action(), None);
//!
//! // … the login is made, the secret kept under that number, and the outcome handed in …
//! let token = Token { ttl: Some(Duration::from_hours(1)), renewable: true, use_limited: false };
//! lifecycle.handle(now, Event::LoggedIn { generation, token, check_after: None });
//! assert_eq!(lifecycle.poll_action(), Some(Action::Deliver { sink: 0, generation }));
//! ```
//!
//! After `new` and after each call of [`Lifecycle::handle`] or [`Lifecycle::handle_timeout`],
//! call [`Lifecycle::poll_action`] until it returns `None` and start what it returns, then sleep
//! until [`Lifecycle::next_timeout`] or the next event. Each action that asks for something is
//! answered by exactly one event; [`Action`] says which.
//!
//! The machine never sees a token. Each one has a [`Generation`] that the machine chose when it asked
//! for the login; the caller keeps the secret under it until [`Action::Forget`].

#![forbid(unsafe_code)]

mod backoff;
mod delivery;
mod event;
mod generation;
mod granted;
mod lease;
mod logins;
mod looks;
mod machine;
mod settings;
mod token_life;
mod tokens;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use event::{Action, Class, Event, Failure, NextStep, Notice, State, Step, Token, Worth};
pub use generation::Generation;
use granted::Granted;
pub use machine::Lifecycle;
pub use settings::{Settings, TokenCheck};
