//! Lives in time as pure state machines: of an identity's token, and of secrets.
//!
//! One [`Lifecycle`] stands for one identity: one auth method, the token it yields and the sinks
//! that receive it. One [`SecretLease`] stands for one secret that is read and kept good, one
//! [`HeldLease`] for one that somebody else holds, and [`Many`] drives thousands of those with one
//! timer. None of them does I/O or has a clock, tasks or
//! randomness of its own: time is given by the caller with each call, and jitter comes from a seed.
//! So the agent, the property tests and simulations of whole fleets drive the same code.
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
//!
//! # Many secrets
//!
//! ```
//! # use std::time::{Duration, Instant};
//! # use usher_lifecycle::{
//! #     Ceiling, Granted, Many, SecretAction, SecretEvent, SecretLease, SecretSettings, Validity,
//! # };
//! let now = Instant::now();
//! let mut secrets = Many::new(Ceiling::default());
//! for (seed, path) in [(1, "database/creds/app"), (2, "secret/data/app")] {
//!     secrets.insert(path, SecretLease::new(now, SecretSettings::default(), seed));
//! }
//! assert_eq!(secrets.poll_action(now), Some(("database/creds/app", SecretAction::Read)));
//! assert_eq!(secrets.poll_action(now), Some(("secret/data/app", SecretAction::Read)));
//! assert_eq!(secrets.poll_action(now), None);
//!
//! // … both are read, and the outcomes handed in …
//! let granted = Granted { ttl: Some(Duration::from_hours(1)), renewable: true };
//! secrets.handle(now, &"database/creds/app", SecretEvent::Read(Validity::Leased(granted)));
//! secrets.handle(now, &"secret/data/app", SecretEvent::Read(Validity::Unleased));
//! let next = secrets.next_timeout().expect("the second is read again within five minutes");
//! assert_eq!(secrets.poll_action(next), Some(("secret/data/app", SecretAction::Read)));
//! ```

#![forbid(unsafe_code)]

mod backoff;
mod ceiling;
mod delivery;
mod event;
mod generation;
mod granted;
mod held_lease;
mod lease;
mod logins;
mod looks;
mod machine;
mod many;
mod secret_event;
mod secret_lease;
mod secret_settings;
mod settings;
mod token_life;
mod tokens;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use ceiling::Ceiling;
pub use event::{Action, Class, Event, Failure, NextStep, Notice, State, Step, Token, Worth};
pub use generation::Generation;
pub use granted::Granted;
pub use held_lease::{HeldAction, HeldEvent, HeldLease};
pub use machine::Lifecycle;
pub use many::{Machine, Many};
pub use secret_event::{SecretAction, SecretEvent, Validity};
pub use secret_lease::SecretLease;
pub use secret_settings::SecretSettings;
pub use settings::{Settings, TokenCheck};
pub use token_life::BETWEEN_SUSPICIONS;
