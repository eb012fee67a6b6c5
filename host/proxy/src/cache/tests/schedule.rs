//! What happens to the cache of the model: any schedule.

use proptest::prelude::*;

use super::world::*;
use crate::cache::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// With which token, where to, and whether it wants a new answer.
    Request {
        token: usize,
        path: usize,
        fresh: bool,
    },
    Answer {
        flight: usize,
        granted: Option<Grants>,
        ttl: u64,
        renewable: bool,
    },
    Fail {
        flight: usize,
    },
    GiveUp {
        flight: usize,
    },
    Revoke {
        what: Revokes,
        token: usize,
        path: usize,
    },
    Clear {
        what: Clears,
        token: usize,
        path: usize,
    },
    Denied {
        token: usize,
        denial: Denial,
    },
    Renewal {
        which: usize,
        outcome: RenewalOutcome,
    },
    LogIn,
    LogOut,
    ServerReached,
    Sleep(u64),
    SleepToTimeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grants {
    Lease,
    Child,
    Orphan,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Revokes {
    Token,
    Own,
    Accessor,
    Orphaning,
    Leases,
    /// It may be the path of a secret.
    PerhapsToken,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Clears {
    All,
    Token,
    Leases,
    Path,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum RenewalOutcome {
    Renewed(u64),
    Passing,
    Refused,
    InvalidToken,
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let (token, path, flight) = (0_usize..12, 0_usize..3, 0_usize..8);
    let granted = prop_oneof![
        6 => Just(Some(Grants::Lease)),
        3 => Just(Some(Grants::Child)),
        3 => Just(Some(Grants::Orphan)),
        2 => Just(None),
    ];
    let revokes = prop_oneof![
        Just(Revokes::Token),
        Just(Revokes::Own),
        Just(Revokes::Accessor),
        Just(Revokes::Orphaning),
        Just(Revokes::Leases),
        Just(Revokes::PerhapsToken),
    ];
    let clears = prop_oneof![
        Just(Clears::All),
        Just(Clears::Token),
        Just(Clears::Leases),
        Just(Clears::Path)
    ];
    let denials = prop_oneof![Just(Denial::InvalidToken), Just(Denial::Unsaid)];
    let renewal = prop_oneof![
        6 => (0_u64..2000).prop_map(RenewalOutcome::Renewed),
        2 => Just(RenewalOutcome::Passing),
        1 => Just(RenewalOutcome::Refused),
        1 => Just(RenewalOutcome::InvalidToken),
    ];
    prop_oneof![
        24 => (token.clone(), path.clone(), prop::bool::weighted(0.1))
            .prop_map(|(token, path, fresh)| Step::Request { token, path, fresh }),
        16 => (flight.clone(), granted, 0_u64..2000, prop::bool::weighted(0.95)).prop_map(
            |(flight, granted, ttl, renewable)| Step::Answer { flight, granted, ttl, renewable }
        ),
        1 => flight.clone().prop_map(|flight| Step::Fail { flight }),
        1 => flight.prop_map(|flight| Step::GiveUp { flight }),
        2 => (revokes, token.clone(), path.clone())
            .prop_map(|(what, token, path)| Step::Revoke { what, token, path }),
        1 => (clears, token.clone(), path)
            .prop_map(|(what, token, path)| Step::Clear { what, token, path }),
        1 => (token, denials).prop_map(|(token, denial)| Step::Denied { token, denial }),
        6 => (0_usize..8, renewal).prop_map(|(which, outcome)| Step::Renewal { which, outcome }),
        1 => Just(Step::LogIn),
        1 => prop::bool::weighted(0.3)
            .prop_map(|out| if out { Step::LogOut } else { Step::ServerReached }),
        4 => (0_u64..400).prop_map(Step::Sleep),
        4 => Just(Step::SleepToTimeout),
    ]
}

pub(super) fn any_settings() -> impl Strategy<Value = Settings> {
    let idle = prop::option::of((100_u64..1000).prop_map(secs));
    (idle, prop_oneof![Just(1000_usize), 1_usize..6]).prop_map(|(idle_ttl, entries)| Settings {
        entries,
        idle_ttl,
        ..settings()
    })
}
