//! The rules of what must not be given to anybody any more, one by one.

use usher_lifecycle::Failure;

use super::world::*;
use crate::cache::*;

const PATH: &str = "/v1/database/creds/app";

fn world() -> World {
    World::new(settings())
}

#[test]
fn a_renewal_that_proves_a_token_dead_ends_all_that_it_asked_for() {
    let mut world = world();
    let login = world.login("a", "hvs.a");
    let one = world.lease("hvs.a", PATH, "a/1");
    let other = world.lease("hvs.a", "/v1/other", "a/2");
    let own = world.lease("hvs.agent", PATH, "a/3");
    let renewal = std::iter::from_fn(|| world.renewal(3600))
        .find(|renewal| {
            let Renewed::Lease { owner, .. } = &renewal.what else { return false };
            matches!(owner, Owner::Token(_))
        })
        .unwrap();
    let dead = Failure { invalid_token: true, ..refused() };
    world.handle(Event::RenewalFailed(renewal.entry, dead));
    for gone in [login, one, other] {
        assert!(world.hit(&gone).is_none());
    }
    assert!(world.hit(&own).is_some());
}

#[test]
fn nothing_of_a_replaced_token_is_given_or_renewed() {
    let mut world = world();
    let lease_ask = world.lease("hvs.agent", PATH, "a/1");
    let child = world.ask_with("POST", "hvs.agent", "/v1/auth/token/create", &[], "");
    world.fetch(&child, &auth("hvs.child", 3600, false)).unwrap();
    let of_child = world.lease("hvs.child", PATH, "a/2");
    let login = world.login("a", "hvs.a");
    let asked = world.ask_with("POST", "hvs.agent", "/v1/auth/approle/login", &[], "b");
    world.fetch(&asked, &auth("hvs.b", 3600, true)).unwrap();
    let late = world.ask("hvs.agent", "/v1/late");
    let flight = world.miss(&late);
    world.log_in(2, "hvs.second");
    for gone in [&lease_ask, &child, &of_child, &asked] {
        assert!(world.hit(gone).is_none());
    }
    assert_eq!(world.answer(flight, &lease("a/9", 60)), Err(Unkept::ForeignToken));
    assert!(world.hit(&login).is_some(), "a login is nobody's child");
    // The second login isn't given again, but whoever has its token keeps it.
    let mut renewed = Vec::new();
    while let Some(renewal) = world.renewal(3500) {
        let Renewed::Token(token) = renewal.what else { panic!("a lease") };
        renewed.push(token.expose().clone());
    }
    renewed.sort();
    assert_eq!(renewed, ["hvs.a", "hvs.b"]);
    let again = world.ask("hvs.second", PATH);
    world.fetch(&again, &lease("a/3", 60)).unwrap();
    world.cache.token_replaced(world.now, None);
    assert!(world.hit(&again).is_none());
}

#[test]
fn the_same_token_in_another_generation_keeps_what_it_has() {
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    world.log_in(2, "hvs.agent");
    assert!(world.hit(&ask).is_some());
    let renewal = world.renewal(3600).unwrap();
    let Renewed::Lease { owner: Owner::Agent(generation), .. } = renewal.what else { panic!() };
    assert_eq!(generation.number(), 2);
}

/// A family: a login, its child, a grandchild that is an orphan, and a lease of each.
fn family(world: &mut World) -> [Ask; 6] {
    let login = world.login("a", "hvs.a");
    let child = world.ask_with("POST", "hvs.a", "/v1/auth/token/create", &[], "");
    world.fetch(&child, &auth("hvs.child", 3600, false)).unwrap();
    let orphan = world.ask_with("POST", "hvs.child", "/v1/auth/token/create-orphan", &[], "");
    world.fetch(&orphan, &auth("hvs.orphan", 3600, true)).unwrap();
    let leases = [("hvs.a", "db/1"), ("hvs.child", "db/2"), ("hvs.orphan", "db/3")]
        .map(|(token, id)| world.lease(token, "/v1/db", id));
    let [of_login, of_child, of_orphan] = leases;
    [login, child, orphan, of_login, of_child, of_orphan]
}

#[test]
fn what_is_revoked_through_the_agent_goes_with_what_depends_on_it() {
    let revocations: &[(&str, &str, &str, [bool; 6])] = &[
        // Nobody is given an orphan for a token that is no more; what has it keeps it.
        (
            "x",
            "auth/token/revoke",
            r#"{"token":"hvs.a"}"#,
            [false, false, false, false, false, true],
        ),
        ("x", "auth/token/revoke/hvs.a", "", [false, false, false, false, false, true]),
        ("hvs.a", "auth/token/revoke-self", "", [false, false, false, false, false, true]),
        (
            "x",
            "auth/token/revoke-accessor",
            r#"{"accessor":"of hvs.child"}"#,
            [true, false, false, true, false, true],
        ),
        (
            "x",
            "auth/token/revoke-orphan",
            r#"{"token":"hvs.a"}"#,
            [false, false, true, false, true, true],
        ),
        (
            "x",
            "auth/token/revoke",
            r#"{"token":"hvs.orphan"}"#,
            [true, true, false, true, true, false],
        ),
        ("x", "sys/leases/revoke", r#"{"lease_id":"db/1"}"#, [true, true, true, false, true, true]),
        ("x", "sys/leases/revoke/db/1", "", [true, true, true, false, true, true]),
        ("x", "sys/revoke/db/1", "", [true, true, true, false, true, true]),
        ("x", "sys/revoke", r#"{"lease_id":"db/1"}"#, [true, true, true, false, true, true]),
        ("x", "sys/leases/revoke-prefix/db", "", [true, true, true, false, false, false]),
        ("x", "sys/leases/revoke-prefix/db/", "", [true, true, true, false, false, false]),
        ("x", "sys/leases/revoke-force/db/3", "", [true, true, true, true, true, false]),
        ("x", "sys/revoke-prefix/kv", "", [true; 6]),
        ("x", "auth/token/revoke", r#"{"token":"hvs.unknown"}"#, [true; 6]),
    ];
    for (token, path, body, left) in revocations {
        let mut world = world();
        let family = family(&mut world);
        world.revoke(token, &format!("/v1/{path}"), body);
        let found = family.each_ref().map(|ask| world.hit(ask).is_some());
        assert_eq!(found, *left, "{path} {body}");
        assert!(
            world.cache.counts().evictions(Cause::Revoked) > 0 || left.iter().all(|left| *left)
        );
    }
}

#[test]
fn a_revocation_without_an_argument_revokes_nothing() {
    let world = world();
    for (token, path, body) in [
        ("x", "auth/token/revoke", ""),
        ("x", "auth/token/revoke", "[]"),
        ("x", "auth/token/revoke", r#"{"token":""}"#),
        ("x", "auth/token/revoke-accessor", r#"{"token":"a"}"#),
        ("", "auth/token/revoke-self", ""),
        ("x", "sys/leases/revoke", "lease_id=a"),
    ] {
        let ask = world.ask_with("PUT", token, &format!("/v1/{path}"), &[], body);
        assert!(ask.revocation().is_none(), "{path} {body}");
    }
}

#[test]
fn what_only_looks_like_a_revocation_costs_nobody_a_renewal() {
    for (path, body) in [
        ("cubbyhole2/auth/token/revoke-accessor", r#"{"accessor":"of hvs.a"}"#),
        ("secret/auth/token/revoke", r#"{"token":"hvs.a"}"#),
        ("team/sys/leases/revoke/db/1", ""),
    ] {
        let mut world = world();
        let family = family(&mut world);
        let flight_ask = world.ask("hvs.a", "/v1/late");
        let flight = world.miss(&flight_ask);
        world.revoke("x", &format!("/v1/{path}"), body);
        assert!(world.hit(&family[3]).is_none(), "{path}");
        assert_eq!(world.cache.len(), 6, "{path}");
        world.answer(flight, &lease("db/9", 3600)).unwrap();
        assert_eq!(world.hit(&flight_ask).is_none(), !path.ends_with("db/1"), "{path}");
        assert_eq!(std::iter::from_fn(|| world.renewal(3500)).count(), 7, "{path}");
    }
}

#[test]
fn leases_are_revoked_in_their_namespace_alone() {
    let mut world = world();
    let mut ask = |namespace: &str, path: &str, id: &str| {
        let pairs = [("x-vault-namespace", namespace)];
        let ask = world.ask_with("GET", "hvs.agent", path, &pairs, "");
        world.fetch(&ask, &lease(id, 3600)).unwrap();
        ask
    };
    let root = ask("", "/v1/db/a", "db/a/1");
    let team = ask("team", "/v1/db/a", "db/a/2.x");
    let in_path = ask("", "/v1/team/db/b", "db/b/3.x");
    let pairs = [("x-vault-namespace", "team")];
    let path = "/v1/sys/leases/revoke-prefix/db/";
    let revoking = world.ask_with("PUT", "x", path, &pairs, "");
    world.cache.revoked(world.now, revoking.revocation().unwrap());
    assert!(world.hit(&root).is_some());
    assert!(world.hit(&team).is_none() && world.hit(&in_path).is_none());
}

#[test]
fn an_answer_that_is_older_than_its_revocation_is_not_kept() {
    for (path, body, answer) in [
        ("sys/leases/revoke-prefix/db/", "", lease("db/1", 60)),
        ("sys/leases/revoke", r#"{"lease_id":"db/1"}"#, lease("db/1", 60)),
        ("auth/token/revoke", r#"{"token":"hvs.new"}"#, auth("hvs.new", 60, true)),
        ("auth/token/revoke-accessor", r#"{"accessor":"of hvs.new"}"#, auth("hvs.new", 60, true)),
    ] {
        let mut world = world();
        let ask = world.ask("hvs.agent", "/v1/db");
        let flight = world.miss(&ask);
        let other = world.ask("hvs.agent", "/v1/other");
        let unconcerned = world.miss(&other);
        world.revoke("x", &format!("/v1/{path}"), body);
        assert_eq!(world.answer(flight, &answer), Err(Unkept::Withdrawn), "{path}");
        world.answer(unconcerned, &lease("kv/2", 60)).unwrap();
        // A revocation is no matter of what is asked for later.
        let later = world.ask("hvs.agent", "/v1/later");
        world.fetch(&later, &answer).unwrap();
    }
    let mut world = world();
    world.login("a", "hvs.a");
    let ask = world.ask("hvs.a", "/v1/auth/token/create-orphan");
    let flight = world.miss(&ask);
    world.revoke("hvs.a", "/v1/auth/token/revoke-self", "");
    assert_eq!(world.answer(flight, &auth("hvs.b", 60, true)), Err(Unkept::Withdrawn));
}

#[test]
fn more_revocations_than_are_remembered_withdraw_what_is_on_its_way() {
    let mut world = world();
    let ask = world.ask("hvs.agent", "/v1/db");
    let flight = world.miss(&ask);
    for nth in 0..1025 {
        world.revoke("x", &format!("/v1/sys/leases/revoke/kv/{nth}"), "");
    }
    assert_eq!(world.answer(flight, &lease("db/1", 60)), Err(Unkept::Withdrawn));
}

#[test]
fn a_login_is_not_given_again_once_its_token_was_refused() {
    let mut world = world();
    let family = family(&mut world);
    let token = world.token("hvs.a");
    world.cache.denied(world.now, token, Denial::Unsaid);
    let found = family.each_ref().map(|ask| world.hit(ask).is_some());
    assert_eq!(found, [false, true, true, true, true, true], "it may be the policies");
    world.fetch(&family[0], &auth("hvs.again", 3600, true)).unwrap();
    assert!(world.hit(&family[0]).is_some());
    world.cache.denied(world.now, token, Denial::InvalidToken);
    let found = family.each_ref().map(|ask| world.hit(ask).is_some());
    assert_eq!(found, [true, false, false, false, false, true]);
    // Neither says anything of the agent's token but that it is dead.
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let agent = world.token("hvs.agent");
    world.cache.denied(world.now, agent, Denial::Unsaid);
    assert!(world.hit(&ask).is_some());
    world.cache.denied(world.now, agent, Denial::InvalidToken);
    assert!(world.hit(&ask).is_none());
    assert_eq!(world.fetch(&ask, &lease("a/2", 60)), Err(Unkept::ForeignToken));
}

#[test]
fn what_is_cleared_is_forgotten_and_the_agents_token_is_not() {
    for (order_body, left) in [
        (r#"{"type":"all"}"#, [false; 6]),
        (r#"{"type":"token","value":"hvs.a"}"#, [false, false, true, false, false, true]),
        (
            r#"{"type":"token_accessor","value":"of hvs.child"}"#,
            [true, false, true, true, false, true],
        ),
        (r#"{"type":"lease","value":"db/"}"#, [true, true, true, false, false, false]),
        (r#"{"type":"lease","value":"db/2"}"#, [true, true, true, true, false, true]),
        (
            r#"{"type":"request_path","value":"/v1/auth/token"}"#,
            [true, false, false, true, false, false],
        ),
        (r#"{"type":"request_path","value":"/v1/db","namespace":"team"}"#, [true; 6]),
        (
            r#"{"type":"request_path","value":"/v1/db","namespace":"root/"}"#,
            [true, true, true, false, false, false],
        ),
        (r#"{"type":"request_path","value":"/v1"}"#, [false; 6]),
        (r#"{"type":"request_path","value":"db"}"#, [true, true, true, false, false, false]),
    ] {
        let mut world = world();
        let family = family(&mut world);
        let selection = order(world.cache.keyring(), order_body.as_bytes());
        world.cache.clear(world.now, &selection.unwrap_or_else(|why| panic!("{why}")));
        let found = family.each_ref().map(|ask| world.hit(ask).is_some());
        assert_eq!(found, left, "{order_body}");
        world.lease("hvs.agent", PATH, "a/1");
    }
    let mut world = world();
    let ask = world.lease("hvs.agent", PATH, "a/1");
    let flight_ask = world.ask("hvs.agent", "/v1/late");
    let flight = world.miss(&flight_ask);
    let selection = order(world.cache.keyring(), br#"{"type":"token","value":"hvs.agent"}"#);
    world.cache.clear(world.now, &selection.unwrap_or_else(|why| panic!("{why}")));
    assert!(world.hit(&ask).is_none());
    assert_eq!(world.answer(flight, &lease("a/2", 60)), Err(Unkept::Withdrawn));
    world.fetch(&ask, &lease("a/3", 60)).unwrap();
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let world = world();
    for (body, why) in [
        ("", Disorder::Body),
        ("all", Disorder::Body),
        ("{}", Disorder::TypeMissing),
        (r#"{"type":"everything"}"#, Disorder::TypeUnknown),
        (r#"{"type":"token"}"#, Disorder::ValueMissing),
        (r#"{"type":"request_path","namespace":"team"}"#, Disorder::ValueMissing),
        (r#"{"type":"request_path","value":"/v1/a","namespace":"a b"}"#, Disorder::Namespace),
    ] {
        assert_eq!(order(world.cache.keyring(), body.as_bytes()).err(), Some(why), "{body}");
    }
}
