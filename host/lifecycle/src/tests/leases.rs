//! Ten thousand secrets, one timer and one server that is away for a while.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::driver::{forbidden, passing, secs};
use crate::{
    Ceiling, Granted, Many, SecretAction, SecretEvent, SecretLease, SecretSettings, Validity,
};

const SECRETS: usize = 10_000;

/// What the server grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A lease of an hour that can be renewed.
    Renewable,
    /// A lease of an hour that can't.
    Fixed,
    Unleased,
}

/// Of ten secrets six have a lease that can be renewed, two have one that can't.
fn kind(key: usize) -> Kind {
    match key % 10 {
        0..6 => Kind::Renewable,
        6..8 => Kind::Fixed,
        _ => Kind::Unleased,
    }
}

const TTL: Duration = Duration::from_hours(1);

/// A secret as the server knows it.
#[derive(Clone, Copy, Default)]
struct Issued {
    /// When its lease ends.
    expires: Option<Duration>,
    /// The token that it belongs to.
    token: usize,
}

struct World {
    many: Many<usize, SecretLease>,
    /// When the server is not there, since the start.
    outage: Range<Duration>,
    issued: Vec<Issued>,
    /// When each token ends.
    tokens: Vec<Duration>,
    requests: Vec<(Duration, usize, SecretAction)>,
    /// Which secrets ended before another value was had, and when.
    lost: Vec<(Duration, usize)>,
    start: Instant,
    now: Duration,
    in_flight: BTreeMap<(Duration, usize), (usize, SecretAction, usize)>,
    failing: bool,
    /// The calls of the timer, answers not counted.
    wakings: usize,
}

impl World {
    fn new(ceiling: Ceiling, outage: Range<Duration>) -> Self {
        let start = Instant::now();
        let mut many = Many::new(ceiling);
        for key in 0..SECRETS {
            many.insert(key, SecretLease::new(start, SecretSettings::default(), key as u64));
        }
        Self {
            many,
            outage,
            issued: vec![Issued::default(); SECRETS],
            tokens: vec![Duration::MAX],
            requests: Vec::new(),
            lost: Vec::new(),
            start,
            now: Duration::ZERO,
            in_flight: BTreeMap::new(),
            failing: false,
            wakings: 0,
        }
    }

    fn run_until(&mut self, end: Duration) {
        loop {
            while let Some((key, action)) = self.many.poll_action(self.start + self.now) {
                let answered_at = self.now + Duration::from_millis(20 + key as u64 % 60);
                self.requests.push((self.now, key, action));
                let asked = (key, action, self.tokens.len() - 1);
                self.in_flight.insert((answered_at, self.requests.len()), asked);
            }
            let timeout = self.many.next_timeout().map(|at| at - self.start);
            assert!(timeout.is_none_or(|at| at > self.now), "a time-out that is over");
            let answer = self.in_flight.keys().next().map(|(at, _)| *at);
            let next = timeout.into_iter().chain(answer).min().expect("something is due");
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if answer == Some(next) {
                let (_, (key, action, token)) = self.in_flight.pop_first().expect("just seen");
                self.answer(key, action, token);
            } else {
                self.wakings += 1;
            }
        }
    }

    fn answer(&mut self, key: usize, action: SecretAction, token: usize) {
        let now = self.start + self.now;
        if self.outage.contains(&self.now) {
            self.failing = true;
            let event = match action {
                SecretAction::Read => SecretEvent::ReadFailed(passing()),
                SecretAction::Renew => SecretEvent::RenewalFailed(passing()),
                SecretAction::Revoke => SecretEvent::RevocationFailed(passing()),
            };
            self.many.handle(now, &key, event);
            return;
        }
        let granted = Granted { ttl: Some(TTL), renewable: kind(key) == Kind::Renewable };
        let ended = self.ends(key).filter(|end| *end <= self.now);
        let event = match action {
            SecretAction::Read => {
                self.lost.extend(ended.map(|end| (end, key)));
                let leased = kind(key) != Kind::Unleased;
                self.issued[key] = Issued { expires: leased.then_some(self.now + TTL), token };
                SecretEvent::Read(if leased {
                    Validity::Leased(granted)
                } else {
                    Validity::Unleased
                })
            }
            SecretAction::Renew if ended.is_some() => SecretEvent::RenewalFailed(forbidden()),
            SecretAction::Renew => {
                assert_eq!(kind(key), Kind::Renewable);
                self.issued[key].expires = Some(self.now + TTL);
                SecretEvent::Renewed(granted)
            }
            SecretAction::Revoke => panic!("nobody asked for it"),
        };
        self.many.handle(now, &key, event);
        if std::mem::take(&mut self.failing) {
            self.many.handle_all(now, &SecretEvent::ServerReached);
        }
    }

    /// Another token is in use from now on; the old one ends after this time.
    fn replace_token(&mut self, left: Duration) {
        let ends = self.now + left;
        *self.tokens.last_mut().expect("never empty") = ends;
        self.tokens.push(Duration::MAX);
        let old_ends = Some(self.start + ends);
        let event = SecretEvent::TokenReplaced { old_ends };
        self.many.handle_all(self.start + self.now, &event);
    }

    fn ends(&self, key: usize) -> Option<Duration> {
        let Issued { expires, token } = self.issued[key];
        expires.map(|at| at.min(self.tokens[token]))
    }

    /// All secrets that were lost by now.
    fn lost(&self) -> Vec<(Duration, usize)> {
        let ended = |key| self.ends(key).filter(|end| *end <= self.now).map(|end| (end, key));
        self.lost.iter().copied().chain((0..SECRETS).filter_map(ended)).collect()
    }

    /// Fails where requests were ever more than a full bucket and its inflow allow.
    fn assert_below(&self, ceiling: Ceiling) {
        let (rate, burst) = (f64::from(ceiling.per_second), f64::from(ceiling.burst));
        let (mut left, mut before) = (burst, Duration::ZERO);
        for (at, key, action) in &self.requests {
            left = ((*at - before).as_secs_f64().mul_add(rate, left)).min(burst) - 1.0;
            assert!(left > -0.001, "{action:?} of {key} at {at:?} is one too many");
            before = *at;
        }
    }
}

#[test]
fn ten_thousand_secrets_outlive_an_outage_below_the_ceiling() {
    let ceiling = Ceiling::default();
    let outage = secs(7200)..secs(8100);
    let mut world = World::new(ceiling, outage.clone());
    world.run_until(outage.start);
    assert_eq!(world.lost(), []);
    let quiet = world.requests.iter().filter(|(at, ..)| *at > secs(3600)).count();
    let a_second = quiet / 3600;
    assert!((8..16).contains(&a_second), "{a_second} a second when nothing is amiss");

    world.run_until(outage.end);
    let mut ends: Vec<(Duration, usize)> = (0..SECRETS)
        .filter_map(|key| world.ends(key).map(|end| (end, key)))
        .filter(|(end, _)| *end > outage.end)
        .collect();
    ends.sort_unstable();
    world.run_until(secs(4 * 3600));
    world.assert_below(ceiling);

    let lost = world.lost();
    let renewable = lost.iter().filter(|(_, key)| kind(*key) == Kind::Renewable).count();
    assert_eq!(renewable, 0, "15 minutes are less than a renewal has left");
    assert!(lost.iter().all(|(at, _)| *at > outage.start), "{lost:?}");
    // What still lived when the server came back is lost only if it would have been whatever had
    // gone first: its turn comes once it was noticed that the server is back, and at half the
    // ceiling, since secrets that lose nothing have the other half.
    let half = ceiling.per_second / 2;
    for (turn, (end, key)) in ends.iter().enumerate() {
        let by = outage.end + secs(3) + secs(turn as u64) / half;
        let could_be_kept = *end > by;
        assert!(!(could_be_kept && lost.contains(&(*end, *key))), "{key} at {end:?}");
    }

    // And once that is over, it is as before.
    let late = world.requests.iter().filter(|(at, ..)| *at > secs(3 * 3600)).count() / 3600;
    assert!((8..16).contains(&late), "{late} a second when all is over");
    assert!(
        world
            .many
            .iter()
            .all(|(key, secret)| { (kind(*key) == Kind::Unleased) == secret.ends_at().is_none() })
    );
    let calls = world.requests.len() * 3;
    assert!(world.wakings < calls, "{} for {calls} requests: the timer idles", world.wakings);
}

#[test]
fn the_requests_of_an_outage_stay_few_however_long_it_is() {
    let ceiling = Ceiling::default();
    let outage = secs(7200)..secs(7200 + 3 * 3600);
    let mut world = World::new(ceiling, outage.clone());
    world.run_until(outage.end + secs(3600));
    world.assert_below(ceiling);
    let readable = world
        .many
        .iter()
        .filter(|(key, secret)| kind(**key) == Kind::Unleased || secret.ends_at().is_some());
    assert_eq!(readable.count(), SECRETS, "all are back within the hour");
    let back = outage.end + secs(1 + 10_000 / 20 + 20);
    let first_values = world.lost().iter().filter(|(at, _)| *at > back).count();
    assert_eq!(first_values, 0);
}

#[test]
fn ten_thousand_secrets_change_over_to_another_token_before_the_old_one_ends() {
    let ceiling = Ceiling::default();
    let mut world = World::new(ceiling, secs(0)..secs(0));
    world.run_until(secs(5000));
    world.replace_token(secs(720));
    world.run_until(secs(5000 + 720));
    assert!(world.many.iter().all(|(_, secret)| !secret.needs_the_old_token()));
    world.run_until(secs(12_000));
    assert_eq!(world.lost(), []);
    world.assert_below(ceiling);
    let unleased = world.requests.iter().filter(|(at, key, _)| {
        kind(*key) == Kind::Unleased && (secs(5000)..secs(5720)).contains(at)
    });
    let expected = SECRETS / 5 * 720 / 285;
    let unleased = unleased.count();
    assert!(unleased < expected * 11 / 10, "{unleased} instead of {expected}");
}

#[test]
fn a_server_that_hangs_is_asked_only_so_much_at_a_time() {
    let ceiling = Ceiling { in_flight: 10, ..Ceiling::default() };
    let start = Instant::now();
    let mut many = Many::new(ceiling);
    for key in 0..100_usize {
        many.insert(key, SecretLease::new(start, SecretSettings::default(), key as u64));
    }
    let asked: Vec<usize> =
        std::iter::from_fn(|| many.poll_action(start)).map(|(key, _)| key).collect();
    assert_eq!(asked.len(), 10);
    assert_eq!(many.next_timeout(), None, "only an answer leads on");
    many.handle(start, &asked[0], SecretEvent::Read(Validity::Unleased));
    assert!(many.poll_action(start).is_some());
    assert!(many.poll_action(start).is_none());
    many.remove(&asked[1]);
    assert!(many.poll_action(start).is_some(), "who is gone waits for nothing");
}
