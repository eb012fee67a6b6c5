//! What happens to the static secrets of the model: any schedule.

use proptest::prelude::*;

use super::world::*;
use crate::cache::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Somebody asks for a secret, or wants a new answer.
    Request {
        token: usize,
        target: usize,
        fresh: bool,
    },
    /// The server does what a request asks; the answer is on its way.
    Serve {
        flight: usize,
    },
    /// The answer comes.
    Land {
        flight: usize,
    },
    /// The server can't be reached for a request.
    Fail {
        flight: usize,
    },
    GiveUp {
        flight: usize,
    },
    Write {
        target: usize,
        how: usize,
        deletes: bool,
    },
    /// Somebody changes what has no place: the mount's settings, or policies.
    WriteAll {
        policies: bool,
    },
    /// The server does what a request to write asks.
    DoWrite {
        write: usize,
    },
    /// Its answer comes, or nobody waits for it any more.
    EndWrite {
        write: usize,
        answered: bool,
    },
    WriteElsewhere {
        target: usize,
    },
    /// A policy comes or goes, elsewhere.
    Permit {
        token: usize,
        target: usize,
        allowed: bool,
    },
    Revoke {
        token: usize,
        elsewhere: bool,
    },
    /// The agent has another token.
    LogIn {
        limited: bool,
    },
    Clear {
        what: usize,
        token: usize,
        target: usize,
    },
    Sleep(u64),
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let (token, target, flight) = (0_usize..4, 0_usize..TARGETS, 0_usize..6);
    let weighted = prop::bool::weighted;
    prop_oneof![
        30 => (token.clone(), target.clone(), weighted(0.1))
            .prop_map(|(token, target, fresh)| Step::Request { token, target, fresh }),
        10 => flight.clone().prop_map(|flight| Step::Serve { flight }),
        24 => flight.clone().prop_map(|flight| Step::Land { flight }),
        4 => flight.clone().prop_map(|flight| Step::Fail { flight }),
        1 => flight.clone().prop_map(|flight| Step::GiveUp { flight }),
        6 => (target.clone(), 0_usize..6, weighted(0.2))
            .prop_map(|(target, how, deletes)| Step::Write { target, how, deletes }),
        1 => weighted(0.5).prop_map(|policies| Step::WriteAll { policies }),
        6 => flight.clone().prop_map(|write| Step::DoWrite { write }),
        6 => (flight, weighted(0.8))
            .prop_map(|(write, answered)| Step::EndWrite { write, answered }),
        2 => target.clone().prop_map(|target| Step::WriteElsewhere { target }),
        3 => (token.clone(), target.clone(), weighted(0.7))
            .prop_map(|(token, target, allowed)| Step::Permit { token, target, allowed }),
        1 => (token.clone(), weighted(0.5))
            .prop_map(|(token, elsewhere)| Step::Revoke { token, elsewhere }),
        1 => weighted(0.2).prop_map(|limited| Step::LogIn { limited }),
        1 => (0_usize..3, token, target)
            .prop_map(|(what, token, target)| Step::Clear { what, token, target }),
        10 => (0_u64..40).prop_map(Step::Sleep),
    ]
}

pub(super) fn any_settings() -> impl Strategy<Value = StaticSettings> {
    let max_stale = prop_oneof![Just(0_u64), 1_u64..300];
    let entries = prop_oneof![3 => Just(1000_usize), 1 => 1_usize..4];
    (10_u64..120, max_stale, 10_u64..200, entries).prop_map(|(ttl, max_stale, proof, entries)| {
        StaticSettings {
            ttl: secs(ttl),
            max_stale: secs(max_stale),
            proof: secs(proof),
            entries,
            ..static_settings()
        }
    })
}

/// How many things can be read: see the model.
pub(super) const TARGETS: usize = 5;
