//! What a hundred thousand leases take, and how their renewals are spread.

use super::super::entry::OWN_WEIGHT;
use super::world::*;
use crate::cache::*;

const ENTRIES: usize = 100_000;

/// Of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_hundred_thousand_leases_take_a_kilobyte_each_beside_their_answers() {
    let mut world = World::new(Settings { entries: ENTRIES, bytes: usize::MAX, ..settings() });
    let before = resident();
    let mut answers = 0;
    for nth in 0..ENTRIES {
        let ask = world.ask("hvs.agent", &format!("/v1/database/creds/application-{nth:06}"));
        let id = format!("database/creds/application-{nth:06}/Rni6gNWy0lbqOhFDWbKZ6Ejk");
        let body = lease(&id, 3600);
        answers += body.len();
        world.fetch(&ask, &body).unwrap();
    }
    let each = (resident().saturating_sub(before)).saturating_sub(answers) / ENTRIES;
    assert_eq!(world.cache.len(), ENTRIES);
    println!("{each} bytes each");
    assert!(each > 256, "{each} bytes each, which can't be");
    assert!(each <= OWN_WEIGHT, "{each} bytes each");

    // One timer, and what was granted at once isn't renewed at once.
    let start = world.now;
    let mut minutes = [0_usize; 60];
    while let Some(at) = world.cache.next_timeout().filter(|at| *at < start + secs(3600)) {
        world.now = at;
        let due = world.actions().len();
        minutes[usize::try_from((at - start).as_secs() / 60).unwrap()] += due;
    }
    assert_eq!(minutes.iter().sum::<usize>(), ENTRIES);
    assert!(minutes.iter().all(|due| *due <= ENTRIES / 5), "{minutes:?}");
}
