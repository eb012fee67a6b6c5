//! The rules of static secrets, one by one.

use super::world::*;
use crate::cache::*;

const PATH: &str = "/v1/secret/data/app";

fn world() -> World {
    with(static_settings())
}

fn with(statics: StaticSettings) -> World {
    World::new(Settings { static_secrets: Some(statics), ..settings() })
}

impl World {
    /// Reads it, and gets this.
    fn read(&mut self, ask: &Ask, body: &str) -> Result<(), Unkept> {
        let flight = self.miss(ask);
        self.landed(flight, body)
    }

    fn landed(&mut self, flight: FlightId, body: &str) -> Result<(), Unkept> {
        if self.cache.nature(self.now, flight).is_none() {
            self.cache.mount_found(self.now, flight, mount("secret/", "kv"));
        }
        self.cache.read(self.now, flight, kept(body))
    }

    /// Reads something that is kept.
    fn secret(&mut self, token: &str, path: &str) -> Ask {
        let ask = self.ask(token, path);
        self.read(&ask, "{}").expect("it is kept");
        ask
    }

    fn write(&mut self, path: &str) {
        let ask = self.ask_with("PUT", "hvs.writer", path, &[], "{}");
        if let Reply::Miss(flight) = self.request(&ask) {
            self.cache.gave_up(flight);
        }
        self.cache.written(self.now, ask.writing().expect("it writes"));
    }

    fn stale(&mut self, ask: &Ask) -> bool {
        self.cache.stale(self.now, ask).is_some()
    }
}

#[test]
fn a_secret_is_given_to_those_who_have_read_it_and_to_nobody_else() {
    let mut world = world();
    let one = world.secret("hvs.one", PATH);
    let other = world.ask("hvs.other", PATH);
    assert!(world.hit(&one).is_some());
    assert!(world.hit(&other).is_none());
    world.sleep(30);
    world.read(&other, r#"{"new":1}"#).unwrap();
    for ask in [&one, &other] {
        assert_eq!(world.hit(ask).as_deref(), Some(r#"{"new":1}"#));
    }
    world.sleep(59);
    assert!(world.hit(&one).is_some());
    world.sleep(1);
    assert!(world.hit(&one).is_none(), "it is too old");
    // Others keep it fresh, but show nothing of this one.
    for _ in 0..4 {
        world.read(&other, "{}").unwrap();
        assert!(world.hit(&one).is_some());
        world.sleep(60);
    }
    world.read(&other, "{}").unwrap();
    assert!(world.hit(&one).is_none(), "its proof is too old");
    assert!(world.hit(&other).is_some());
}

#[test]
fn what_differs_in_anything_but_the_token_is_another_secret() {
    let mut world = world();
    let pairs = [("x-vault-namespace", "team")];
    let flight = {
        let ask = world.ask_with("GET", "hvs.one", "/v1/secret/data/app", &pairs, "");
        world.miss(&ask)
    };
    world.cache.mount_found(world.now, flight, mount("secret/", "kv"));
    world.cache.read(world.now, flight, kept("{}")).unwrap();
    let in_path = world.ask("hvs.one", "/v1/team/secret/data/app");
    assert!(world.hit(&in_path).is_some(), "a namespace may stand in the path");
    for (method, path, pairs) in [
        ("GET", "/v1/secret/data/app", &[][..]),
        ("GET", "/v1/team/secret/data/app?version=1", &[]),
        ("LIST", "/v1/team/secret/data/app", &[]),
        ("GET", "/v1/team/secret/data/app/", &[]),
        ("GET", "/v1/team/secret/data/app", &[("x-forwarded-for", "10.0.0.1")]),
    ] {
        let ask = world.ask_with(method, "hvs.one", path, pairs, "");
        assert!(world.hit(&ask).is_none(), "{method} {path}");
    }
    // A write in either form is one.
    world.write("/v1/team/secret/data/app");
    assert!(world.hit(&in_path).is_none());
}

#[test]
fn what_may_be_no_static_secret_is_not_kept() {
    let mut world = world();
    for (method, path, pairs, body) in [
        ("GET", "/v1/sys/policies/acl/app", &[][..], ""),
        ("GET", "/v1/identity/entity/id/a", &[], ""),
        ("GET", "/v1/auth/approle/role/app", &[], ""),
        ("POST", "/v1/secret/data/app", &[], "{}"),
        ("GET", PATH, &[], "{}"),
    ] {
        let ask = world.ask_with(method, "hvs.one", path, pairs, body);
        assert_eq!(world.read(&ask, "{}"), Err(Unkept::Nothing), "{method} {path}");
    }
    for (header, value) in [("x-vault-wrap-ttl", "60"), ("x-vault-mfa", "a:1")] {
        let ask = world.ask_with("GET", "hvs.one", PATH, &[(header, value)], "");
        assert!(matches!(world.request(&ask), Reply::Pass), "{header}");
    }
    let nobody = world.ask("", PATH);
    assert_eq!(world.read(&nobody, "{}"), Err(Unkept::Nothing));
    let other = world.ask("hvs.one", "/v1/pki/ca_chain");
    let flight = world.miss(&other);
    world.cache.mount_found(world.now, flight, mount("pki/", "pki"));
    assert_eq!(world.cache.read(world.now, flight, kept("{}")), Err(Unkept::Nothing));
    assert_eq!(world.cache.len(), 0);
    // Without the setting nothing is.
    let mut world = World::new(settings());
    let ask = world.ask("hvs.one", PATH);
    assert_eq!(world.read(&ask, "{}"), Err(Unkept::Nothing));
}

#[test]
fn a_token_that_is_good_for_so_many_requests_reads_each_time() {
    let mut world = world();
    let login = world.ask_with("POST", "", "/v1/auth/approle/login", &[], "a");
    let body = auth("hvs.counted", 60, true).replace(r#""num_uses":0"#, r#""num_uses":9"#);
    assert_eq!(world.fetch(&login, &body), Err(Unkept::LimitedUses));
    world.log_in_for(2, "hvs.second", Uses::Limited);
    for token in ["hvs.counted", "hvs.second"] {
        let ask = world.ask(token, PATH);
        assert_eq!(world.read(&ask, "{}"), Err(Unkept::LimitedUses), "{token}");
    }
}

#[test]
fn what_is_written_takes_out_what_it_may_change_and_nothing_else() {
    for (path, left) in [
        ("/v1/secret/data/app/db", [false, false, false, true, true]),
        ("/v1/secret/metadata/app/db", [false, false, false, true, true]),
        ("/v1/secret/destroy/app/db", [false, false, false, true, true]),
        ("/v1/secret/undelete/app/db", [false, false, false, true, true]),
        ("/v1/secret/app/db", [false, false, false, true, true]),
        ("/v1/secret/data/app%2Fdb", [false, false, false, true, true]),
        ("/v1/secret/data/new", [true, true, true, true, true]),
        ("/v1/secret/data/app/new", [true, true, false, true, true]),
        ("/v1/secret/config", [false; 5]),
        ("/v1/sys/remount", [false; 5]),
        ("/v1/secret//data/app/db", [false; 5]),
        ("/secret/data/app/db", [false; 5]),
        ("/v1/secrets/data/app/db", [true; 5]),
        ("/v1/auth/approle/login", [true; 5]),
    ] {
        let mut world = world();
        let asks = [
            world.secret("hvs.one", "/v1/secret/data/app/db"),
            world.secret("hvs.one", "/v1/secret/metadata/app/db"),
            world.secret("hvs.one", "/v1/secret/metadata/app?list=true"),
            world.secret("hvs.one", "/v1/secret/data/app/dbx"),
            world.secret("hvs.one", "/v1/secret/data/app/db/below"),
        ];
        world.write(path);
        let found = asks.each_ref().map(|ask| world.hit(ask).is_some());
        assert_eq!(found, left, "{path}");
    }
}

#[test]
fn who_may_read_what_is_written_need_not_show_it_again() {
    let mut world = world();
    let [one, other] = ["hvs.one", "hvs.other"].map(|token| world.secret(token, PATH));
    world.write(PATH);
    assert_eq!(world.cache.len(), 0);
    assert!(world.hit(&one).is_none() && world.hit(&other).is_none());
    world.read(&other, r#"{"new":1}"#).unwrap();
    assert_eq!(world.hit(&one).as_deref(), Some(r#"{"new":1}"#));
    // Unless the policies may be others.
    world.write("/v1/sys/policies/acl/app");
    world.read(&other, "{}").unwrap();
    assert!(world.hit(&one).is_none());
}

#[test]
fn what_was_read_while_it_was_written_is_not_kept() {
    for known in [false, true] {
        for (path, is_kept) in
            [("/v1/secret/data/app", false), ("/v1/secret/data/other", known), ("/v1/kv/app", true)]
        {
            let mut world = world();
            if known {
                world.secret("hvs.one", "/v1/secret/data/first");
            }
            let ask = world.ask("hvs.one", PATH);
            let flight = world.miss(&ask);
            world.write(path);
            let kept = world.landed(flight, "{}");
            assert_eq!(kept.is_ok(), is_kept, "{path}, its mount is known: {known}");
        }
    }
}

#[test]
fn what_is_used_shortly_before_its_end_is_read_again_ahead_of_it() {
    let mut world = world();
    let ask = world.secret("hvs.one", PATH);
    world.sleep(40);
    assert!(world.hit(&ask).is_some() && world.cache.refresh(world.now, &ask).is_none(), "young");
    world.sleep(15);
    assert!(world.hit(&ask).is_some());
    let ahead = world.cache.refresh(world.now, &ask).expect("it ends soon");
    assert!(world.cache.refresh(world.now, &ask).is_none(), "it is on its way");
    world.cache.gave_up(ahead);
    assert!(world.cache.refresh(world.now, &ask).is_none(), "it was tried just now");
    let other = world.ask("hvs.other", PATH);
    assert!(world.cache.refresh(world.now, &other).is_none(), "no proof of its own");
    world.sleep(6);
    // It has ended meanwhile, and is read because somebody asks.
    assert!(world.hit(&ask).is_none());
    world.read(&ask, r#"{"new":1}"#).unwrap();
    world.sleep(55);
    let ahead = world.cache.refresh(world.now, &ask).expect("it ends soon");
    world.landed(ahead, r#"{"new":2}"#).unwrap();
    world.sleep(30);
    assert_eq!(world.hit(&ask).as_deref(), Some(r#"{"new":2}"#), "longer than the first");
}

#[test]
fn a_refusal_of_what_every_token_may_takes_all_that_a_token_has_shown() {
    for (path, taken) in [
        ("/v1/auth/token/lookup-self", true),
        ("/v1/auth/token/renew-self", true),
        ("/v1/auth/token/lookup", false),
        ("/v1/oauth/token/lookup-self", false),
    ] {
        let mut world = world();
        let one = world.secret("hvs.one", PATH);
        let other = world.secret("hvs.other", PATH);
        let refused = world.ask("hvs.one", path);
        world.cache.refused(world.now, &refused);
        assert_eq!(world.hit(&one).is_none(), taken, "{path}");
        assert!(world.hit(&other).is_some(), "{path}");
    }
}

#[test]
fn a_refusal_takes_a_tokens_proofs_there_and_below() {
    let mut world = world();
    let paths = ["/v1/secret/data/app", "/v1/secret/data/app/db", "/v1/secret/data/apps"];
    let asks = paths.map(|path| world.secret("hvs.one", path));
    let others = paths.map(|path| {
        let ask = world.ask("hvs.other", path);
        world.read(&ask, "{}").unwrap();
        ask
    });
    let below = world.ask("hvs.one", "/v1/secret/data/app/late");
    let flight = world.miss(&below);
    let refused = world.ask_with("LIST", "hvs.one", "/v1/secret/data/app/", &[], "");
    world.cache.refused(world.now, &refused);
    assert_eq!(asks.each_ref().map(|ask| world.hit(ask).is_some()), [false, false, true]);
    assert!(others.each_ref().iter().all(|ask| world.hit(ask).is_some()));
    assert_eq!(world.landed(flight, "{}"), Err(Unkept::Withdrawn));
    let unclear = world.ask("hvs.one", "/v1/secret//data");
    world.cache.refused(world.now, &unclear);
    assert!(world.hit(&asks[2]).is_none());
    let token = world.token("hvs.other");
    world.cache.denied(world.now, token, Denial::InvalidToken);
    assert!(others.iter().all(|ask| world.hit(ask).is_none()));
    assert_eq!(world.cache.len(), 0, "nobody is left for them");
}

#[test]
fn a_token_that_ends_leaves_no_proof() {
    type End = fn(&mut World);
    let ends: [(&str, End); 4] = [
        ("hvs.agent", |world| world.log_in(2, "hvs.second")),
        ("hvs.agent", |world| world.cache.token_replaced(world.now, None)),
        ("hvs.a", |world| world.revoke("hvs.a", "/v1/auth/token/revoke-self", "")),
        ("hvs.a", |world| {
            world.revoke("x", "/v1/auth/token/revoke-accessor", r#"{"accessor":"of hvs.a"}"#);
        }),
    ];
    for (token, end) in ends {
        let mut world = world();
        world.login("a", "hvs.a");
        let ask = world.secret(token, PATH);
        let late = world.ask(token, "/v1/secret/data/late");
        let flight = world.miss(&late);
        end(&mut world);
        assert!(world.hit(&ask).is_none(), "{token}");
        assert_eq!(world.landed(flight, "{}"), Err(Unkept::Withdrawn), "{token}");
    }
}

#[test]
fn what_is_out_of_date_is_given_only_while_the_server_is_away() {
    let stale = StaticSettings { max_stale: secs(3600), ..static_settings() };
    let mut world = with(stale);
    let ask = world.secret("hvs.one", PATH);
    let other = world.ask("hvs.other", PATH);
    let fresh = world.ask_with("GET", "hvs.one", PATH, &[("cache-control", "no-cache")], "");
    world.sleep(600);
    assert!(world.hit(&ask).is_none());
    assert!(world.stale(&ask) && !world.stale(&other) && !world.stale(&fresh));
    assert_eq!(world.cache.counts().stale, 1);
    world.sleep(3000);
    assert!(world.stale(&ask));
    world.sleep(60);
    assert!(!world.stale(&ask), "it is too old");

    // Whose proof had ended before the server went may be refused by now.
    let mut world = with(stale);
    let ask = world.secret("hvs.one", PATH);
    world.sleep(299);
    world.cache.reached(world.now);
    assert!(world.stale(&ask));
    world.sleep(1);
    world.cache.reached(world.now);
    assert!(!world.stale(&ask));

    let mut world = self::world();
    let ask = world.secret("hvs.one", PATH);
    assert!(!world.stale(&ask), "it isn't asked for");
}

#[test]
fn a_secret_that_is_gone_is_given_to_nobody() {
    let stale = StaticSettings { max_stale: secs(3600), ..static_settings() };
    for outcome in [Outcome::Missing, Outcome::Nothing] {
        let mut world = with(stale);
        let one = world.secret("hvs.one", PATH);
        let other = world.ask("hvs.other", PATH);
        let flight = world.miss(&other);
        assert!(world.cache.answered(world.now, flight, outcome).is_err());
        assert!(world.hit(&one).is_none() && !world.stale(&one));
    }
    let mut world = with(stale);
    let one = world.secret("hvs.one", PATH);
    let other = world.ask("hvs.other", PATH);
    for outcome in [Outcome::Failure, Outcome::Unreachable] {
        let flight = world.miss(&other);
        assert!(world.cache.answered(world.now, flight, outcome).is_err());
        assert!(world.hit(&one).is_some(), "that says nothing of the secret");
    }
}

#[test]
fn the_older_of_two_answers_does_not_take_the_place_of_the_newer() {
    let mut world = world();
    let [one, other] = ["hvs.one", "hvs.other"].map(|token| world.ask(token, PATH));
    let first = world.miss(&one);
    world.sleep(1);
    let second = world.miss(&other);
    world.landed(second, r#"{"new":1}"#).unwrap();
    world.landed(first, "{}").unwrap();
    for ask in [&one, &other] {
        assert_eq!(world.hit(ask).as_deref(), Some(r#"{"new":1}"#));
    }
}

#[test]
fn those_who_wait_for_a_secret_get_it() {
    let mut world = world();
    let ask = world.ask("hvs.one", PATH);
    let flight = world.miss(&ask);
    assert_eq!(world.join(&ask), flight);
    let other = world.ask("hvs.other", PATH);
    assert!(matches!(world.request(&other), Reply::Miss(_)), "it shows for itself what it may");
    world.landed(flight, "{}").unwrap();
    assert!(matches!(world.actions()[..], [Action::Wake { how: Woken::Again, .. }]));
    assert!(world.hit(&ask).is_some());
}

#[test]
fn static_secrets_have_bounds_of_their_own() {
    let mut world = with(StaticSettings { entries: 2, ..static_settings() });
    let lease = world.lease("hvs.agent", "/v1/database/creds/app", "a/1");
    let paths = ["/v1/secret/data/1", "/v1/secret/data/2"];
    let [one, two] = paths.map(|path| world.secret("hvs.one", path));
    assert!(world.hit(&one).is_some());
    let three = world.secret("hvs.one", "/v1/secret/data/3");
    let found = [&one, &two, &three, &lease].map(|ask| world.hit(ask).is_some());
    assert_eq!(found, [true, false, true, true]);
    assert_eq!(world.cache.counts().evictions(Cause::Bounds), 1);

    let mut world = with(StaticSettings { bytes: 2500, ..static_settings() });
    let one = world.secret("hvs.one", PATH);
    let large = world.ask("hvs.one", "/v1/secret/data/large");
    let body = "x".repeat(2500);
    assert_eq!(world.read(&large, &body), Err(Unkept::TooLarge));
    assert!(world.hit(&one).is_some());
    // Each token that has read it takes some room.
    for nth in 0..100 {
        let ask = world.ask(&format!("hvs.{nth}"), PATH);
        let _ = world.read(&ask, "{}");
        assert!(world.cache.weight() <= 2500);
    }
}

#[test]
fn times_beyond_all_reckoning_are_only_long() {
    let long = std::time::Duration::MAX;
    let mut world =
        with(StaticSettings { ttl: long, max_stale: long, proof: long, ..static_settings() });
    let ask = world.secret("hvs.one", PATH);
    world.sleep(1_000_000);
    assert!(world.hit(&ask).is_some() && world.stale(&ask));
}
