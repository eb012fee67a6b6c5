//! Starts and stops parts, and alone owns their tasks.
//!
//! A start is a reload from nothing: [`Supervisor::apply`] does both. A part that panics ends
//! alone. One that ignores its order to end is ended by force, and the log names it; the others
//! don't wait for it longer than the patience that they share.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::part::{Ending, Leaves, Order, Part, PartId, Seat, Tier};

/// What runs, and what belongs to it.
#[derive(Default)]
pub(crate) struct Supervisor {
    tasks: JoinSet<Leaves>,
    seats: HashMap<Id, Taken>,
    /// Parts that ended though nobody had asked them to, and of which nobody knows yet.
    lost: VecDeque<PartId>,
    /// Grows with each configuration and each plug-in that comes into force.
    changes: u64,
}

/// A seat that a part has.
struct Taken {
    id: PartId,
    tier: Tier,
    orders: watch::Sender<Order>,
    task: AbortHandle,
}

/// What a configuration changes about the parts. Those that it doesn't name go on.
#[derive(Default)]
pub(crate) struct Plan {
    /// Parts that end, and how. Those that have a successor in `starting` leave it what they have.
    pub(crate) ending: BTreeMap<PartId, Ending>,
    /// Ready to run: whatever can fail has been done.
    pub(crate) starting: Vec<Box<dyn Part>>,
}

impl Supervisor {
    /// Puts a plan in force: ends what it says, within `patience`, tells the others that something
    /// came into force, and starts what is ready. Doors aren't waited for, since their last answer
    /// may be the one about this very plan.
    pub(crate) async fn apply(&mut self, plan: Plan, patience: Duration) {
        // The plan says what becomes of it.
        self.lost.retain(|part| !plan.ending.contains_key(part));
        let mut awaited = Vec::new();
        for (task, seat) in &self.seats {
            if let Some(&how) = plan.ending.get(&seat.id) {
                seat.orders.send_replace(Order::End(how));
                if seat.tier == Tier::Identity {
                    awaited.push(*task);
                }
            }
        }
        let mut leaves = self.wait(awaited, Instant::now() + patience).await;
        self.tell(|_| true);
        for part in plan.starting {
            let inherited = leaves.remove(&part.id()).unwrap_or_default();
            self.start(part, inherited);
        }
    }

    /// Starts a part beside those that run, which need not know of it.
    pub(crate) fn add(&mut self, part: Box<dyn Part>) {
        self.start(part, Leaves::Nothing);
    }

    /// Tells those parts to go on that `concerned` names: something came into force.
    pub(crate) fn tell(&mut self, concerned: impl Fn(&PartId) -> bool) {
        self.changes += 1;
        let order = Order::Run { changes: self.changes };
        for seat in self.seats.values().filter(|seat| concerned(&seat.id)) {
            // One that is told to end isn't called back.
            seat.orders.send_if_modified(|current| {
                let runs = matches!(current, Order::Run { .. });
                if runs {
                    *current = order;
                }
                runs
            });
        }
    }

    /// Waits for a part that ends though nobody asked it to, be it while a plan was put in force.
    /// Never returns without one.
    pub(crate) async fn next(&mut self) -> PartId {
        loop {
            if let Some(lost) = self.lost.pop_front() {
                return lost;
            }
            let Some(ended) = self.tasks.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            if let Some((_, seat)) = self.take(ended)
                && seat.was_not_asked()
            {
                return seat.id;
            }
        }
    }

    /// Ends everything, tier by tier, within `patience`.
    pub(crate) async fn stop(mut self, how: Ending, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut tiers_to_come = Tier::ALL.len();
        for tier in Tier::ALL {
            tiers_to_come -= 1;
            let mut awaited = Vec::new();
            for (task, seat) in self.seats.iter().filter(|(_, seat)| seat.tier == tier) {
                seat.orders.send_replace(Order::End(how));
                awaited.push(*task);
            }
            // One that hangs must not take the time of those whose turn is still to come.
            let reserve = u32::try_from(tiers_to_come)
                .map_or(Duration::ZERO, |to_come| RESERVE.min(patience / 8) * to_come);
            self.wait(awaited, deadline - reserve).await;
        }
    }

    fn start(&mut self, part: Box<dyn Part>, inherited: Leaves) {
        let (id, tier) = (part.id(), part.tier());
        let (orders, received) = watch::channel(Order::Run { changes: self.changes });
        let seat = Seat { orders: received, inherited };
        // What it does at once is done here, where a panic would end all.
        let Ok(work) = catch_unwind(AssertUnwindSafe(|| part.run(seat))) else {
            say_defect(&id);
            self.lost.push_back(id);
            return;
        };
        let task = self.tasks.spawn(work);
        self.seats.insert(task.id(), Taken { id, tier, orders, task });
    }

    /// Waits for these tasks until the deadline, and then ends them by force. What they leave.
    async fn wait(&mut self, mut awaited: Vec<Id>, deadline: Instant) -> BTreeMap<PartId, Leaves> {
        let mut leaves = BTreeMap::new();
        let all = async {
            while !awaited.is_empty()
                && let Some(ended) = self.tasks.join_next_with_id().await
            {
                let task = ended.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
                awaited.retain(|other| *other != task);
                let Some((left, seat)) = self.take(ended) else { continue };
                if seat.was_not_asked() {
                    self.lost.push_back(seat.id);
                } else {
                    leaves.insert(seat.id, left);
                }
            }
        };
        if timeout_at(deadline, all).await.is_err() {
            for task in awaited {
                let Some(seat) = self.seats.remove(&task) else { continue };
                tracing::warn!(part = %seat.id, "it takes too long to end, and is ended by force");
                // It must not do anything over what its successor does.
                seat.task.abort();
            }
        }
        leaves
    }

    /// Takes the seat of a task that has ended. None: it was ended by force.
    fn take(&mut self, ended: Result<(Id, Leaves), JoinError>) -> Option<(Leaves, Taken)> {
        let (task, left) = match ended {
            Ok((task, left)) => (task, left),
            Err(error) => {
                let seat = self.seats.get(&error.id())?;
                say_defect(&seat.id);
                (error.id(), Leaves::Nothing)
            }
        };
        self.seats.remove(&task).map(|seat| (left, seat))
    }
}

impl Taken {
    fn was_not_asked(&self) -> bool {
        matches!(*self.orders.borrow(), Order::Run { .. })
    }
}

fn say_defect(part: &PartId) {
    tracing::error!(%part, "a defect ended it; the others go on");
}

/// What the parts of each tier have at least to end in, if there is so much.
const RESERVE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Write as _};
    use std::sync::{Arc, Mutex};

    use tracing::field::Field;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;
    use crate::part::Work;

    /// What happened, in order.
    type Record = Arc<Mutex<Vec<String>>>;

    /// How a part of a test behaves.
    #[derive(Clone, Copy)]
    enum Conduct {
        Obeys,
        PanicsInStart,
        PanicsAtOnce,
        PanicsAtTheEnd,
        HangsInStart,
        IgnoresTheEnd,
        EndsSlowly,
        EndsByItself,
    }

    struct Fake {
        name: &'static str,
        tier: Tier,
        conduct: Conduct,
        record: Record,
    }

    impl Part for Fake {
        fn id(&self) -> PartId {
            PartId::Test(self.name)
        }

        fn tier(&self) -> Tier {
            self.tier
        }

        fn run(self: Box<Self>, mut seat: Seat) -> Work {
            let is_broken = matches!(self.conduct, Conduct::PanicsInStart);
            assert!(!is_broken, "a defect of {}", self.name);
            Box::pin(async move {
                match self.conduct {
                    Conduct::PanicsAtOnce => panic!("a defect of {}", self.name),
                    Conduct::HangsInStart => std::future::pending().await,
                    Conduct::EndsByItself => return Leaves::Nothing,
                    Conduct::EndsSlowly => self.note("begins"),
                    _ => {}
                }
                let how = seat.end().await;
                match self.conduct {
                    Conduct::PanicsAtTheEnd => panic!("a defect of {}", self.name),
                    Conduct::IgnoresTheEnd => std::future::pending().await,
                    Conduct::EndsSlowly => tokio::time::sleep(Duration::from_millis(30)).await,
                    _ => {}
                }
                self.note(&format!("{how:?}"));
                Leaves::Nothing
            })
        }
    }

    impl Fake {
        fn note(&self, what: &str) {
            self.record.lock().unwrap().push(format!("{} {what}", self.name));
        }
    }

    async fn running(parts: &[(&'static str, Tier, Conduct)]) -> (Supervisor, Record) {
        let record = Record::default();
        let mut supervisor = Supervisor::default();
        let starting = parts.iter().map(|&(name, tier, conduct)| {
            Box::new(Fake { name, tier, conduct, record: Arc::clone(&record) }) as Box<dyn Part>
        });
        let plan = Plan { starting: starting.collect(), ..Plan::default() };
        supervisor.apply(plan, Duration::ZERO).await;
        tokio::task::yield_now().await;
        (supervisor, record)
    }

    fn recorded(record: &Record) -> Vec<String> {
        record.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn parts_end_tier_by_tier() {
        let (supervisor, record) = running(&[
            ("pid file", Tier::Process, Conduct::Obeys),
            ("socket", Tier::Door, Conduct::Obeys),
            ("app", Tier::Identity, Conduct::Obeys),
        ])
        .await;
        supervisor.stop(Ending::Final, Duration::from_secs(10)).await;
        assert_eq!(recorded(&record), ["app Final", "socket Final", "pid file Final"]);
    }

    #[tokio::test]
    async fn parts_that_hang_or_panic_keep_nobody_from_ending_in_order() {
        let (supervisor, record) = running(&[
            ("stubborn", Tier::Identity, Conduct::IgnoresTheEnd),
            ("late", Tier::Identity, Conduct::PanicsAtTheEnd),
            ("app", Tier::Identity, Conduct::Obeys),
            ("stuck", Tier::Door, Conduct::HangsInStart),
            ("socket", Tier::Door, Conduct::Obeys),
            ("pid file", Tier::Process, Conduct::Obeys),
        ])
        .await;
        let (start, patience) = (Instant::now(), Duration::from_millis(800));
        supervisor.stop(Ending::Final, patience).await;
        assert!(start.elapsed() < patience + Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(recorded(&record), ["app Final", "socket Final", "pid file Final"]);
    }

    #[tokio::test]
    async fn a_part_that_panics_or_ends_by_itself_is_told_of_and_ends_alone() {
        let (mut supervisor, record) = running(&[
            ("app", Tier::Identity, Conduct::Obeys),
            ("broken", Tier::Identity, Conduct::PanicsAtOnce),
            ("done", Tier::Door, Conduct::EndsByItself),
            ("stillborn", Tier::Identity, Conduct::PanicsInStart),
        ])
        .await;
        let mut ended = Vec::new();
        for _ in 0..3 {
            ended.push(supervisor.next().await);
        }
        ended.sort();
        assert_eq!(ended, ["broken", "done", "stillborn"].map(PartId::Test));
        let more = tokio::time::timeout(Duration::from_millis(20), supervisor.next()).await;
        assert!(more.is_err(), "{more:?}");
        supervisor.stop(Ending::Leave, Duration::from_secs(10)).await;
        assert_eq!(recorded(&record), ["app Leave"]);
    }

    #[tokio::test]
    async fn a_part_that_is_lost_while_a_plan_is_put_in_force_is_told_of_unless_the_plan_ends_it() {
        let (mut supervisor, _record) = running(&[
            ("stubborn", Tier::Identity, Conduct::IgnoresTheEnd),
            ("broken", Tier::Identity, Conduct::PanicsAtOnce),
            ("replaced", Tier::Identity, Conduct::PanicsAtOnce),
        ])
        .await;
        for name in ["stubborn", "replaced"] {
            let ending = [(PartId::Test(name), Ending::Final)].into();
            let plan = Plan { ending, ..Plan::default() };
            supervisor.apply(plan, Duration::from_millis(50)).await;
        }
        assert_eq!(supervisor.next().await, PartId::Test("broken"));
        let more = tokio::time::timeout(Duration::from_millis(20), supervisor.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    #[tokio::test]
    async fn a_successor_begins_once_its_predecessor_has_ended_and_no_door_is_waited_for() {
        let (mut supervisor, record) = running(&[
            ("app", Tier::Identity, Conduct::EndsSlowly),
            ("socket", Tier::Door, Conduct::IgnoresTheEnd),
        ])
        .await;
        let how = Ending::HandOver { patience: Duration::from_secs(1) };
        let ending = ["app", "socket"].map(|name| (PartId::Test(name), how));
        let successor = Fake {
            name: "app",
            tier: Tier::Identity,
            conduct: Conduct::EndsSlowly,
            record: Arc::clone(&record),
        };
        let plan = Plan { ending: ending.into(), starting: vec![Box::new(successor)] };
        let start = Instant::now();
        supervisor.apply(plan, Duration::from_secs(10)).await;
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        tokio::task::yield_now().await;
        let ended = "app HandOver { patience: 1s }";
        assert_eq!(recorded(&record), ["app begins", ended, "app begins"]);
    }

    #[tokio::test]
    async fn what_is_ended_by_force_does_nothing_more() {
        let (mut supervisor, record) = running(&[
            ("slow", Tier::Identity, Conduct::EndsSlowly),
            ("app", Tier::Identity, Conduct::Obeys),
        ])
        .await;
        let ending = [(PartId::Test("slow"), Ending::Final)].into();
        let plan = Plan { ending, ..Plan::default() };
        supervisor.apply(plan, Duration::from_millis(1)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(recorded(&record), ["slow begins"]);
        supervisor.stop(Ending::Final, Duration::from_secs(10)).await;
        assert_eq!(recorded(&record), ["slow begins", "app Final"]);
    }

    /// What is logged, a line for each event, with its fields.
    struct Log(Record);

    impl<S: tracing::Subscriber> Layer<S> for Log {
        fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
            let mut line = String::new();
            event.record(&mut |field: &Field, value: &dyn Debug| {
                let _ = write!(line, "{}={value:?} ", field.name());
            });
            self.0.lock().unwrap().push(line);
        }
    }

    #[tokio::test]
    async fn the_log_names_the_part_that_panicked_and_the_one_that_was_ended_by_force() {
        let log = Record::default();
        let subscriber = tracing_subscriber::registry().with(Log(Arc::clone(&log)));
        let _guard = tracing::subscriber::set_default(subscriber);
        let (supervisor, _record) = running(&[
            ("stubborn", Tier::Identity, Conduct::IgnoresTheEnd),
            ("broken", Tier::Identity, Conduct::PanicsAtTheEnd),
        ])
        .await;
        supervisor.stop(Ending::Final, Duration::from_millis(100)).await;
        let log = recorded(&log);
        for (part, why) in [("broken", "a defect ended it"), ("stubborn", "is ended by force")] {
            let named = format!("part={part} ");
            let tells = |line: &&String| line.contains(&named) && line.contains(why);
            assert_eq!(log.iter().filter(tells).count(), 1, "{part}: {log:?}");
        }
    }

    #[tokio::test]
    async fn a_plan_ends_what_it_names_before_the_successor_starts_and_leaves_the_rest() {
        let (mut supervisor, record) = running(&[
            ("app", Tier::Identity, Conduct::Obeys),
            ("other", Tier::Identity, Conduct::Obeys),
            ("stubborn", Tier::Identity, Conduct::IgnoresTheEnd),
        ])
        .await;
        let how = Ending::HandOver { patience: Duration::from_secs(1) };
        let ending = [(PartId::Test("app"), how), (PartId::Test("stubborn"), Ending::Final)];
        let successor = Fake {
            name: "app",
            tier: Tier::Identity,
            conduct: Conduct::Obeys,
            record: Arc::clone(&record),
        };
        let plan = Plan { ending: ending.into(), starting: vec![Box::new(successor)] };
        supervisor.apply(plan, Duration::from_millis(50)).await;
        assert_eq!(recorded(&record), ["app HandOver { patience: 1s }"]);
        supervisor.stop(Ending::Final, Duration::from_secs(10)).await;
        let mut rest = recorded(&record).split_off(1);
        rest.sort();
        assert_eq!(rest, ["app Final", "other Final"]);
    }
}
