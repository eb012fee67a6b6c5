//! The rules of one secret: reading, renewing, reading again, another token, revoking.

use std::time::{Duration, Instant};

use super::driver::{forbidden, passing, secs, within};
use crate::{
    Class, Failure, Granted, Machine, SecretAction, SecretEvent, SecretLease, SecretSettings,
    Validity,
};

/// Drives one secret by hand, answer by answer.
struct Reader {
    secret: SecretLease,
    start: Instant,
    now: Instant,
}

impl Reader {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let secret = SecretLease::new(now, SecretSettings::default(), seed);
        Self { secret, start: now, now }
    }

    /// One that was just read.
    fn with(validity: Validity) -> Self {
        let mut reader = Self::new(7);
        assert_eq!(reader.poll(), Some(SecretAction::Read));
        reader.event(SecretEvent::Read(validity));
        assert_eq!(reader.poll(), None);
        reader
    }

    fn poll(&mut self) -> Option<SecretAction> {
        let action = self.secret.poll_action(self.now);
        if action.is_some() {
            assert_eq!(self.secret.poll_action(self.now), None, "one at a time");
        }
        action
    }

    fn event(&mut self, event: SecretEvent) {
        self.secret.handle(self.now, event);
    }

    /// Sleeps until there is something to do; how long that took, and what it is.
    fn next(&mut self) -> (Duration, SecretAction) {
        let asleep = self.now;
        loop {
            if let Some(action) = self.poll() {
                return (self.now - asleep, action);
            }
            let deadline = self.secret.next_deadline().expect("something is due some time");
            assert!(deadline > self.now, "a deadline in the past would be a hot loop");
            self.now = deadline;
        }
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

fn granted(ttl: Duration) -> Granted {
    Granted { ttl: Some(ttl), renewable: true }
}

fn leased(ttl: Duration) -> Validity {
    Validity::Leased(granted(ttl))
}

fn fixed(ttl: Duration) -> Validity {
    Validity::Leased(Granted { ttl: Some(ttl), renewable: false })
}

#[test]
fn a_lease_is_renewed_after_60_to_70_percent_for_as_long_as_that_helps() {
    let mut reader = Reader::with(leased(secs(3600)));
    for _ in 0..50 {
        let (wait, action) = reader.next();
        assert_eq!(action, SecretAction::Renew);
        assert!(within(wait, secs(3600), 0.6, 0.7), "{wait:?}");
        reader.event(SecretEvent::Renewed(granted(secs(3600))));
    }
    // The maximum TTL is near.
    let (_, action) = reader.next();
    assert_eq!(action, SecretAction::Renew);
    reader.event(SecretEvent::Renewed(granted(secs(1000))));
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Read);
    assert!(wait < secs(900), "{wait:?}");
    assert!(reader.secret.ends_at().is_some_and(|end| end > reader.now));
}

#[test]
fn a_lease_that_can_t_be_renewed_is_read_again_after_80_to_90_percent() {
    let mut reader = Reader::with(fixed(secs(3600)));
    for _ in 0..20 {
        let (wait, action) = reader.next();
        assert_eq!(action, SecretAction::Read);
        assert!(within(wait, secs(3600), 0.8, 0.9), "{wait:?}");
        reader.event(SecretEvent::Read(fixed(secs(3600))));
    }
}

#[test]
fn a_secret_without_a_lease_is_read_again_on_an_interval() {
    let never_ends = Validity::Leased(Granted { ttl: None, renewable: false });
    let ended = fixed(Duration::ZERO);
    for validity in [Validity::Unleased, never_ends, ended] {
        let mut reader = Reader::with(validity);
        for _ in 0..20 {
            assert_eq!(reader.secret.ends_at(), None);
            let (wait, action) = reader.next();
            assert_eq!(action, SecretAction::Read);
            assert!(within(wait, secs(300), 0.9, 1.0), "{wait:?}");
            reader.event(SecretEvent::Read(validity));
        }
    }
}

#[test]
fn a_first_read_is_tried_on_the_back_off_whatever_it_fails_of() {
    let doubling = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
    for (class, nominals) in
        [(Class::Passing, doubling), (Class::Refused, doubling), (Class::Configuration, [300; 11])]
    {
        let mut reader = Reader::new(1);
        reader.poll();
        for nominal in nominals {
            reader.event(SecretEvent::ReadFailed(Failure::new(class)));
            let (wait, action) = reader.next();
            assert_eq!(action, SecretAction::Read);
            assert!(within(wait, secs(nominal), 0.75, 1.0), "{wait:?} for {nominal} s");
        }
    }
}

#[test]
fn an_outage_renews_what_it_can_at_its_end_and_reads_nothing_anew() {
    for seed in 0..50 {
        let mut reader = Reader::new(seed);
        reader.poll();
        reader.event(SecretEvent::Read(leased(secs(3600))));
        let mut attempts = 0;
        while reader.elapsed() < secs(3500) {
            match reader.next() {
                (_, SecretAction::Renew) => {
                    reader.event(SecretEvent::RenewalFailed(passing()));
                }
                (_, action) => {
                    assert_eq!(action, SecretAction::Read);
                    assert!(reader.elapsed() > secs(2880), "{:?}", reader.elapsed());
                    reader.event(SecretEvent::ReadFailed(passing()));
                }
            }
            attempts += 1;
        }
        assert!((5..25).contains(&attempts), "{attempts}");
        let end = reader.secret.ends_at();
        if end.is_none() {
            // The last attempt came after its end.
            continue;
        }
        reader.event(SecretEvent::ServerReached);
        let (wait, action) = reader.next();
        assert_eq!(action, SecretAction::Renew, "seed {seed}");
        assert!(wait <= secs(1), "{wait:?}");
        reader.event(SecretEvent::Renewed(granted(secs(3600))));
        let (wait, action) = reader.next();
        assert_eq!(action, SecretAction::Renew);
        assert!(within(wait, secs(3600), 0.6, 0.7), "{wait:?}");
    }
}

#[test]
fn a_renewal_that_keeps_failing_alone_is_no_reason_to_lose_the_secret() {
    let mut reader = Reader::with(leased(secs(3600)));
    loop {
        match reader.next() {
            (_, SecretAction::Renew) => reader.event(SecretEvent::RenewalFailed(passing())),
            (_, action) => {
                assert_eq!(action, SecretAction::Read);
                break;
            }
        }
    }
    assert!(within(reader.elapsed(), secs(3600), 0.8, 1.0), "{:?}", reader.elapsed());
    assert!(reader.secret.ends_at().is_some_and(|end| end > reader.now));
}

#[test]
fn a_lease_that_the_server_refuses_to_renew_twice_is_read_again_at_once() {
    let mut reader = Reader::with(leased(secs(3600)));
    assert_eq!(reader.next().1, SecretAction::Renew);
    reader.event(SecretEvent::RenewalFailed(forbidden()));
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Renew, "a second opinion");
    assert!(within(wait, secs(4), 0.75, 1.0), "{wait:?}");
    reader.event(SecretEvent::RenewalFailed(forbidden()));
    assert_eq!(reader.next(), (secs(0), SecretAction::Read), "it may be gone");
    reader.event(SecretEvent::ReadFailed(forbidden()));
    assert!(reader.secret.ends_at().is_some(), "and it may be not");
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Read);
    assert!(within(wait, secs(1), 0.75, 1.0), "{wait:?}");
}

#[test]
fn a_secret_that_has_ended_is_read_until_that_succeeds() {
    let mut reader = Reader::with(fixed(secs(100)));
    while reader.elapsed() < secs(1000) {
        assert_eq!(reader.next().1, SecretAction::Read);
        reader.event(SecretEvent::ReadFailed(passing()));
    }
    assert_eq!(reader.secret.ends_at(), None);
    reader.event(SecretEvent::ServerReached);
    let (wait, action) = reader.next();
    assert!(wait <= secs(1), "{wait:?}");
    assert_eq!(action, SecretAction::Read);
    reader.event(SecretEvent::Read(fixed(secs(100))));
    assert!(within(reader.next().0, secs(100), 0.8, 0.9));
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let busy = Failure { retry_after: Some(secs(60)), ..passing() };
    let mut reader = Reader::with(leased(secs(3600)));
    assert_eq!(reader.next().1, SecretAction::Renew);
    reader.event(SecretEvent::RenewalFailed(busy));
    reader.event(SecretEvent::ServerReached);
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Renew);
    assert!(wait >= secs(60), "{wait:?}");

    let mut reader = Reader::with(Validity::Unleased);
    reader.next();
    reader.event(SecretEvent::ReadFailed(busy));
    reader.event(SecretEvent::ServerReached);
    assert!(reader.next().0 >= secs(60));
}

#[test]
fn a_new_token_reads_leased_secrets_again_before_the_old_one_ends() {
    let mut waits = Vec::new();
    for seed in 0..200 {
        let mut reader = Reader::new(seed);
        reader.poll();
        reader.event(SecretEvent::Read(leased(secs(36_000))));
        let old_ends = Some(reader.now + secs(500));
        reader.event(SecretEvent::TokenReplaced { old_ends });
        assert!(reader.secret.needs_the_old_token());
        assert_eq!(reader.secret.ends_at(), old_ends);
        let (wait, action) = reader.next();
        assert_eq!(action, SecretAction::Read);
        waits.push(wait);
        reader.event(SecretEvent::Read(leased(secs(36_000))));
        assert!(!reader.secret.needs_the_old_token());
        assert_eq!(reader.next().1, SecretAction::Renew);
    }
    assert!(waits.iter().all(|wait| *wait <= secs(400)), "{waits:?}");
    let early = waits.iter().filter(|wait| **wait <= secs(200)).count();
    assert!((70..130).contains(&early), "spread: {early} of 200 in the first half");
}

#[test]
fn a_new_token_leaves_secrets_without_a_lease_as_they_are() {
    let mut reader = Reader::with(Validity::Unleased);
    reader.event(SecretEvent::TokenReplaced { old_ends: Some(reader.now + secs(5)) });
    assert!(!reader.secret.needs_the_old_token());
    assert!(within(reader.next().0, secs(300), 0.9, 1.0));

    let mut reader = Reader::with(leased(secs(3600)));
    reader.event(SecretEvent::TokenReplaced { old_ends: None });
    assert_eq!(reader.next().1, SecretAction::Renew, "the old one never ends");
}

#[test]
fn a_token_that_died_took_its_leases_with_it() {
    let mut reader = Reader::with(leased(secs(3600)));
    reader.now += secs(100);
    reader.event(SecretEvent::TokenReplaced { old_ends: Some(reader.now) });
    assert_eq!(reader.next(), (secs(0), SecretAction::Read));
    assert_eq!(reader.secret.ends_at(), None);
}

#[test]
fn what_is_being_read_while_the_token_is_replaced_is_read_again() {
    let mut reader = Reader::new(1);
    assert_eq!(reader.poll(), Some(SecretAction::Read));
    let old_ends = Some(reader.now + secs(500));
    reader.event(SecretEvent::TokenReplaced { old_ends });
    reader.event(SecretEvent::Read(leased(secs(3600))));
    assert_eq!(reader.secret.ends_at(), old_ends);
    assert!(reader.secret.needs_the_old_token());
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Read);
    assert!(wait <= secs(400), "{wait:?}");
    reader.event(SecretEvent::Read(leased(secs(3600))));
    assert!(!reader.secret.needs_the_old_token());
}

#[test]
fn what_the_old_token_was_refused_is_tried_with_the_new_one() {
    let mut reader = Reader::new(1);
    for _ in 0..12 {
        reader.next();
        reader.event(SecretEvent::ReadFailed(forbidden()));
    }
    reader.event(SecretEvent::TokenReplaced { old_ends: Some(reader.now + secs(500)) });
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Read);
    assert!(wait <= secs(1), "{wait:?}");
}

#[test]
fn a_secret_that_nobody_needs_any_more_is_revoked_if_it_has_a_lease() {
    let mut reader = Reader::with(leased(secs(3600)));
    reader.event(SecretEvent::Unwanted);
    assert_eq!(reader.next(), (secs(0), SecretAction::Revoke));
    reader.event(SecretEvent::RevocationFailed(passing()));
    let (wait, action) = reader.next();
    assert_eq!(action, SecretAction::Revoke);
    assert!(within(wait, secs(1), 0.75, 1.0), "{wait:?}");
    reader.event(SecretEvent::Revoked);
    assert!(reader.secret.is_over());
    assert_eq!((reader.poll(), reader.secret.next_deadline()), (None, None));

    for event in [SecretEvent::RevocationFailed(forbidden()), SecretEvent::Revoked] {
        let mut reader = Reader::with(leased(secs(3600)));
        reader.event(SecretEvent::Unwanted);
        assert_eq!(reader.poll(), Some(SecretAction::Revoke));
        reader.event(event);
        assert!(reader.secret.is_over());
    }

    let mut reader = Reader::with(Validity::Unleased);
    reader.event(SecretEvent::Unwanted);
    assert!(reader.secret.is_over());

    // What is on its way is revoked when it arrives.
    let mut reader = Reader::new(1);
    reader.poll();
    reader.event(SecretEvent::Unwanted);
    assert!(!reader.secret.is_over());
    reader.event(SecretEvent::Read(leased(secs(3600))));
    assert_eq!(reader.poll(), Some(SecretAction::Revoke));
}

#[test]
fn revoking_ends_with_the_lease_at_the_latest() {
    let mut reader = Reader::with(leased(secs(60)));
    reader.event(SecretEvent::Unwanted);
    while !reader.secret.is_over() {
        if reader.poll() == Some(SecretAction::Revoke) {
            reader.event(SecretEvent::RevocationFailed(passing()));
        } else if let Some(deadline) = reader.secret.next_deadline() {
            reader.now = deadline;
        }
    }
    assert!(reader.elapsed() <= secs(60), "{:?}", reader.elapsed());
}

#[test]
fn leases_of_an_instant_make_no_storm() {
    let mut reader = Reader::new(1);
    let mut reads = 0;
    while reader.elapsed() < secs(60) {
        assert_eq!(reader.next().1, SecretAction::Read);
        reader.event(SecretEvent::Read(leased(Duration::from_millis(1))));
        reads += 1;
    }
    assert!(reads <= 121, "{reads} in a minute");
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing_of_a_secret() {
    let mut reader = Reader::with(leased(secs(3600)));
    let before = (reader.secret.next_deadline(), reader.secret.ends_at());
    for event in [
        SecretEvent::Read(leased(secs(1))),
        SecretEvent::ReadFailed(passing()),
        SecretEvent::Renewed(granted(secs(1))),
        SecretEvent::RenewalFailed(forbidden()),
        SecretEvent::Revoked,
        SecretEvent::RevocationFailed(forbidden()),
    ] {
        reader.event(event);
        assert_eq!((reader.secret.next_deadline(), reader.secret.ends_at()), before);
    }
}
