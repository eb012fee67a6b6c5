//! The rules one by one.

use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use usher_lifecycle::{Class as FailureClass, Failure, Granted};
use usher_secret::Secret;

use super::world::*;
use crate::cache::*;

const PATH: &str = "/v1/database/creds/app";

fn world() -> World {
    World::new(settings())
}

#[test]
fn a_lease_is_given_again_with_its_age() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "database/creds/app/1");
    world.sleep(7);
    world.now += Duration::from_millis(900);
    let Reply::Hit(hit) = world.request(&ask) else { panic!() };
    assert_eq!(hit.age, secs(7));
    assert_eq!(hit.answer.headers()["content-type"], "application/json");
    assert_eq!(hit.answer.body(), lease("database/creds/app/1", 3600));
}

#[test]
fn only_what_is_renewable_and_whose_end_is_known_is_kept() {
    use Unkept::*;
    for (token, body, kept) in [
        ("hvs.agent", lease("a/1", 60), Ok(())),
        ("hvs.own", lease("a/1", 60), Err(ForeignToken)),
        ("", lease("a/1", 60), Err(ForeignToken)),
        ("hvs.agent", lease("a/1", 0), Err(Ended)),
        ("hvs.agent", r#"{"lease_id":"a/1","renewable":true}"#.into(), Err(Ended)),
        ("hvs.agent", r#"{"lease_id":"a/1","lease_duration":60}"#.into(), Err(NotRenewable)),
        ("hvs.agent", r#"{"data":{"a":"b"}}"#.into(), Err(Nothing)),
        ("", auth("hvs.new", 60, true), Ok(())),
        ("hvs.own", auth("hvs.new", 60, true), Ok(())),
        ("hvs.agent", auth("hvs.new", 60, true), Ok(())),
        ("hvs.agent", auth("hvs.new", 60, false), Ok(())),
        ("hvs.own", auth("hvs.new", 60, false), Err(ForeignToken)),
        ("", auth("hvs.new", 60, false), Err(ForeignToken)),
        ("hvs.agent", auth("hvs.agent", 60, true), Err(Known)),
        ("", auth("b", 60, true).replace(r#""num_uses":0"#, r#""num_uses":3"#), Err(LimitedUses)),
        ("", auth("b", 60, true).replace(r#""renewable":true"#, "\"a\":1"), Err(NotRenewable)),
    ] {
        let mut world = world();
        let ask = world.ask(token, PATH);
        assert_eq!(world.fetch(&ask, &body).map(|_| ()), kept, "{token} {body}");
        assert_eq!(world.hit(&ask).is_some(), kept.is_ok(), "{token} {body}");
    }
}

#[test]
fn what_is_known_is_not_kept_twice() {
    let mut world = world();
    world.lease("hvs.agent", PATH, "a/1");
    let again = world.ask("hvs.agent", "/v1/other");
    assert_eq!(world.fetch(&again, &lease("a/1", 60)), Err(Unkept::Known));
    world.login("a", "hvs.a");
    assert_eq!(world.fetch(&again, &auth("hvs.a", 60, true)), Err(Unkept::Known));
}

#[test]
fn a_request_differs_by_what_matters_alone() {
    let mut world = world();
    let base = ["GET", "hvs.agent", "/v1/database/creds/app?a=1", ""];
    let ask = |world: &World, parts: [&str; 4], pairs: &[(&str, &str)]| {
        let [method, token, path, body] = parts;
        world.ask_with(method, token, path, pairs, body)
    };
    let first = ask(&world, base, &[]);
    world.fetch(&first, &lease("a/1", 3600)).unwrap();
    for pairs in [
        &[("user-agent", "curl")][..],
        &[("accept-encoding", "gzip"), ("traceparent", "00-1-2-00"), ("host", "a")],
        &[("x-vault-request", "true"), ("x-vault-namespace", "/")],
        &[("x-vault-namespace", "root")],
    ] {
        let same = ask(&world, base, pairs);
        assert!(world.hit(&same).is_some(), "{pairs:?}");
    }
    for (parts, pairs) in [
        (["PUT", base[1], base[2], base[3]], &[][..]),
        (["GET", "hvs.other", base[2], base[3]], &[]),
        (["GET", "", base[2], base[3]], &[]),
        (["GET", base[1], "/v1/database/creds/app", base[3]], &[]),
        (["GET", base[1], "/v1/database/creds/app?a=2", base[3]], &[]),
        (["GET", base[1], "/v1/database/creds/%61pp?a=1", base[3]], &[]),
        (["GET", base[1], base[2], "{}"], &[]),
        (base, &[("x-vault-namespace", "team")]),
        (base, &[("x-forwarded-for", "10.0.0.1")]),
        (base, &[("x-vault-aws-iam-server-id", "a")]),
    ] {
        let other = ask(&world, parts, pairs);
        assert!(world.hit(&other).is_none(), "{parts:?} {pairs:?}");
    }
    let no_query = world.ask("hvs.agent", "/v1/a");
    let empty_query = world.ask("hvs.agent", "/v1/a?");
    world.fetch(&no_query, &lease("a/2", 3600)).unwrap();
    assert!(world.hit(&empty_query).is_none());
}

#[test]
fn a_namespace_in_the_path_is_the_one_in_the_header() {
    let mut world = world();
    world.lease("hvs.agent", "/v1/team/web/database/creds/app", "database/creds/app/1.x");
    for (namespace, path) in
        [("team", "/v1/web/database/creds/app"), ("/team/web/", "/v1/database/creds/app")]
    {
        let ask = world.ask_with("GET", "hvs.agent", path, &[("x-vault-namespace", namespace)], "");
        assert!(world.hit(&ask).is_some(), "{namespace} {path}");
    }
}

#[test]
fn a_bearer_and_the_agents_token_are_tokens_like_any() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let bearer = world.ask_with("GET", "", PATH, &[("authorization", "bearer  hvs.agent")], "");
    assert!(world.hit(&bearer).is_some());
    let (path, headers) = (PathAndQuery::from_static(PATH), HeaderMap::new());
    let token = Secret::new("hvs.agent".to_owned());
    let head = Head { method: &Method::GET, path: &path, headers: &headers, given: Some(&token) };
    let given = Ask::new(world.cache.keyring(), head, Some(b""));
    assert!(world.hit(&given).is_some());
    assert!(given.asker() == ask.asker());
    let streamed = Ask::new(world.cache.keyring(), head, None);
    assert_eq!(*streamed.class(), Class::Passing(Why::Body));
}

#[test]
fn the_same_request_is_on_its_way_once() {
    let mut world = world();
    let ask = world.ask("hvs.agent", PATH);
    let flight = world.miss(&ask);
    assert_eq!(world.join(&ask), flight);
    assert_eq!(world.join(&ask), flight);
    world.answer(flight, &lease("a/1", 60)).unwrap();
    let [Action::Wake { flight: woken, how: Woken::Again }] = world.actions()[..] else { panic!() };
    assert_eq!(woken, flight);
    assert!(world.hit(&ask).is_some());
    assert_eq!(world.answer(flight, &lease("a/2", 60)), Err(Unkept::Nothing), "it has ended");
}

#[test]
fn those_that_waited_in_vain_go_on_together() {
    for outcome in [Outcome::Nothing, Outcome::Failure] {
        let mut world = world();
        let ask = world.ask("hvs.agent", PATH);
        let flight = world.miss(&ask);
        world.join(&ask);
        assert_eq!(world.cache.answered(world.now, flight, outcome), Err(Unkept::Nothing));
        let [Action::Wake { how: Woken::Apart, .. }] = world.actions()[..] else { panic!() };
        let Reply::Miss(one) = world.cache.apart(world.now, &ask) else { panic!() };
        let Reply::Miss(other) = world.cache.apart(world.now, &ask) else { panic!() };
        assert_ne!(one, other);
        // Each has an answer of its own: all are renewed, the last is given to others.
        world.answer(one, &lease("a/1", 60)).unwrap();
        world.answer(other, &lease("a/2", 60)).unwrap();
        assert!(world.actions().is_empty());
        assert_eq!(world.hit(&ask), Some(lease("a/2", 60)));
        assert!(matches!(world.cache.apart(world.now, &ask), Reply::Hit(_)));
        assert!(world.renewal(60).is_some() && world.renewal(60).is_some());
    }
}

#[test]
fn what_is_not_worth_keeping_is_not_waited_for_again_soon() {
    let mut world = world();
    let ask = world.ask("hvs.agent", "/v1/secret/data/app");
    world.fetch(&ask, r#"{"data":{}}"#).unwrap_err();
    world.miss(&ask);
    world.miss(&ask);
    world.sleep(60);
    let flight = world.miss(&ask);
    assert_eq!(world.join(&ask), flight);
    // An error says nothing about the next answer.
    let other = world.ask("hvs.agent", PATH);
    let flight = world.miss(&other);
    world.cache.answered(world.now, flight, Outcome::Failure).unwrap_err();
    world.miss(&other);
    world.join(&other);
}

#[test]
fn when_the_first_gives_up_another_takes_over() {
    let mut world = world();
    let ask = world.ask("hvs.agent", PATH);
    let flight = world.miss(&ask);
    world.join(&ask);
    world.cache.gave_up(flight);
    let [Action::Wake { how: Woken::Again, .. }] = world.actions()[..] else { panic!() };
    let next = world.miss(&ask);
    assert_eq!(world.join(&ask), next);
    world.cache.gave_up(flight);
    assert!(world.actions().is_empty());
}

#[test]
fn a_caller_that_wants_a_new_answer_gets_one_and_leaves_it_to_others() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let fresh = world.ask_with("GET", "hvs.agent", PATH, &[("cache-control", "no-cache")], "");
    assert_eq!(world.hit(&ask), Some(lease("a/1", 3600)));
    world.fetch(&fresh, &lease("a/2", 3600)).unwrap();
    assert_eq!(world.hit(&ask), Some(lease("a/2", 3600)));
    // Who has the first still does.
    assert_eq!(world.cache.len(), 2);
}

#[test]
fn renewals_and_what_is_for_one_request_only_pass() {
    let mut world = world();
    for (path, pairs) in [
        ("/v1/auth/token/renew-self", &[][..]),
        ("/v1/auth/token/renew", &[]),
        ("/v1/sys/leases/renew", &[]),
        (PATH, &[("x-vault-wrap-ttl", "60")]),
    ] {
        let ask = world.ask_with("PUT", "hvs.agent", path, pairs, "");
        assert!(matches!(world.request(&ask), Reply::Pass), "{path}");
        assert!(ask.revocation().is_none());
    }
}

#[test]
fn a_lease_is_renewed_with_the_token_that_it_belongs_to() {
    let mut world = world();
    world.lease("hvs.agent", PATH, "database/creds/app/1");
    let renewal = world.renewal(3600).unwrap();
    let Renewed::Lease { id, owner: Owner::Agent(generation) } = renewal.what else { panic!() };
    assert_eq!((&*id, generation.number()), ("database/creds/app/1", 1));
    assert!(renewal.namespace.is_root());
    let granted = Granted { ttl: Some(secs(3600)), renewable: true };
    world.handle(Event::Renewed(renewal.entry, granted));
    assert_eq!(world.cache.counts().renewed, 1);

    world.login("a", "hvs.a");
    world.lease("hvs.a", "/v1/team/database/creds/app", "database/creds/app/2");
    let mut renewed = Vec::new();
    while let Some(Renewal { namespace, what, .. }) = world.renewal(3000) {
        match what {
            Renewed::Token(token) => renewed.push(("token", token.expose().clone(), namespace)),
            Renewed::Lease { owner: Owner::Token(token), .. } => {
                renewed.push(("lease", token.expose().clone(), namespace));
            }
            Renewed::Lease { .. } => renewed.push(("agent's", String::new(), namespace)),
        }
    }
    renewed.sort();
    let renewed: Vec<_> =
        renewed.iter().map(|(what, token, at)| (*what, token.as_str(), at.as_str())).collect();
    let expected = [("agent's", "", ""), ("lease", "hvs.a", "team/"), ("token", "hvs.a", "")];
    assert_eq!(renewed, expected);
}

#[test]
fn an_entry_ends_when_the_server_says_and_no_later_than_its_credential() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let renewal = world.renewal(3600).unwrap();
    let granted = Granted { ttl: Some(secs(7200)), renewable: true };
    world.handle(Event::Renewed(renewal.entry, granted));
    world.sleep(7199);
    assert!(world.hit(&ask).is_some());
    world.sleep(1);
    assert!(world.hit(&ask).is_none());
    assert_eq!(world.cache.counts().evictions(Cause::Ended), 1);

    let login = world.ask_with("POST", "", "/v1/auth/jwt/login", &[], "jwt");
    let login = login.ending_by(world.now + secs(100));
    world.fetch(&login, &auth("hvs.a", 3600, true)).unwrap();
    world.lease("hvs.a", PATH, "a/2");
    world.sleep(99);
    assert!(world.hit(&login).is_some());
    assert_eq!(world.cache.next_timeout(), Some(world.now + secs(1)));
    world.sleep(1);
    assert_eq!(world.cache.poll_action(world.now).map(|_| ()), None);
    assert_eq!(world.cache.len(), 0, "its lease goes with it");
    let late = world.ask("", PATH).ending_by(world.now);
    assert_eq!(world.fetch(&late, &auth("hvs.b", 60, true)), Err(Unkept::Ended));
}

#[test]
fn what_can_be_renewed_no_more_is_given_to_nobody_shortly_before_its_end() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let renewal = world.renewal(3600).unwrap();
    let granted = Granted { ttl: Some(secs(1000)), renewable: false };
    world.handle(Event::Renewed(renewal.entry, granted));
    assert!(world.hit(&ask).is_some());
    world.sleep(950);
    assert!(world.hit(&ask).is_none());
    assert_eq!(world.cache.len(), 1);
    world.fetch(&ask, &lease("a/2", 60)).unwrap();
    assert_eq!(world.hit(&ask), Some(lease("a/2", 60)));
}

#[test]
fn a_refused_renewal_evicts_at_once_and_a_passing_failure_does_not() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let renewal = world.renewal(3600).unwrap();
    let passing = Failure::new(FailureClass::Passing);
    world.handle(Event::RenewalFailed(renewal.entry, passing));
    assert!(world.hit(&ask).is_some());
    // Nothing is in flight that this could answer.
    world.handle(Event::RenewalFailed(renewal.entry, refused()));
    assert!(world.hit(&ask).is_some());
    let renewal = world.renewal(60).unwrap();
    world.handle(Event::RenewalFailed(renewal.entry, refused()));
    assert!(world.hit(&ask).is_none());
    assert_eq!(world.cache.counts().evictions(Cause::RenewalRefused), 1);
    assert!(world.renewal(10_000).is_none());
}

#[test]
fn what_nobody_asks_for_is_no_longer_renewed_until_somebody_does() {
    let mut world = World::new(Settings { idle_ttl: Some(secs(1800)), ..settings() });
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let other = world.lease("hvs.agent", "/v1/other", "a/2");
    world.sleep(1000);
    assert!(world.hit(&other).is_some());
    let renewal = world.renewal(2500).expect("one is wanted");
    let Renewed::Lease { id, .. } = renewal.what else { panic!() };
    assert_eq!(&*id, "a/2");
    assert!(world.renewal(3000 - 2520).is_none());
    assert!(world.hit(&ask).is_some(), "it is still good");
    let Renewed::Lease { id, .. } = world.renewal(0).expect("it is due").what else { panic!() };
    assert_eq!(&*id, "a/1");
}

#[test]
fn whoever_uses_a_token_wants_its_login() {
    let mut world = World::new(Settings { idle_ttl: Some(secs(1800)), ..settings() });
    world.login("a", "hvs.a");
    for _ in 0..4 {
        world.sleep(500);
        let used = world.ask("hvs.a", "/v1/auth/token/lookup-self");
        let flight = world.miss(&used);
        world.cache.gave_up(flight);
    }
    assert!(world.renewal(1000).is_some());
}

#[test]
fn the_least_used_go_when_there_is_no_room() {
    let mut world = World::new(Settings { entries: 2, ..settings() });
    let one = world.lease("hvs.agent", "/v1/1", "a/1");
    world.sleep(1);
    let two = world.lease("hvs.agent", "/v1/2", "a/2");
    world.sleep(1);
    assert!(world.hit(&one).is_some());
    world.sleep(1);
    let three = world.lease("hvs.agent", "/v1/3", "a/3");
    let found = [&one, &two, &three].map(|ask| world.hit(ask).is_some());
    assert_eq!(found, [true, false, true]);
    assert_eq!(world.cache.counts().evictions(Cause::Bounds), 1);
    assert!(world.renewal(2500).is_some() && world.renewal(300).is_some());

    let mut world = World::new(Settings { bytes: 2500, ..settings() });
    world.lease("hvs.agent", "/v1/1", "a/1");
    world.lease("hvs.agent", "/v1/2", "a/2");
    assert!(world.cache.weight() <= 2500);
    world.lease("hvs.agent", "/v1/3", "a/3");
    assert_eq!(world.cache.len(), 2);
    let large = world.ask("hvs.agent", "/v1/4");
    let body = lease("a/4", 60).replace("{}", &format!("{:?}", "x".repeat(2500)));
    assert_eq!(world.fetch(&large, &body), Err(Unkept::TooLarge));
    assert_eq!(world.cache.len(), 2);

    let mut world = World::new(Settings { entries: 1, ..settings() });
    world.login("a", "hvs.a");
    let lone = world.ask("hvs.a", PATH);
    world.join_after_overflow(&lone);
    let mut world = World::new(Settings { entries: 0, ..settings() });
    let ask = world.ask("hvs.agent", PATH);
    assert_eq!(world.fetch(&ask, &lease("a/1", 60)), Err(Unkept::TooLarge));
}

impl World {
    /// The only place is taken by what the answer depends on.
    fn join_after_overflow(&mut self, ask: &Ask) {
        let flight = self.miss(ask);
        self.join(ask);
        assert_eq!(self.answer(flight, &lease("a/1", 60)), Err(Unkept::TooLarge));
        assert_eq!(self.cache.len(), 1);
        assert!(matches!(self.actions()[..], [Action::Wake { how: Woken::Apart, .. }]));
    }
}

#[test]
fn renewals_that_wait_for_the_server_go_on_when_it_is_back() {
    let mut world = world();
    world.lease("hvs.agent", PATH, "a/1");
    let failure = Failure::new(FailureClass::Passing);
    for _ in 0..8 {
        let renewal = world.renewal(3600).unwrap();
        world.handle(Event::RenewalFailed(renewal.entry, failure));
    }
    world.handle(Event::ServerReached);
    assert!(world.renewal(1).is_some());
}
