//! Where an identity's token goes: out through a sink plug-in, or to whoever needs it in this process.
//!
//! To the lifecycle both are sinks. So a consumer in this process has its part in everything that
//! holds for sinks: the old token lives until it has taken the new one, readiness waits for it, and
//! nothing that it holds is revoked under it.

use std::path::PathBuf;
use std::sync::Arc;

use usher_config::SinkOnExit;
use usher_engine::Sink;
use usher_proxy::Feed;

use crate::payload::Payload;

/// A target with a name for the log.
pub(crate) struct NamedTarget {
    /// "file" or, with several, "file 2".
    pub(crate) name: String,
    /// "file"
    pub(crate) kind: String,
    pub(crate) target: Target,
}

/// Who takes the token.
pub(crate) enum Target {
    /// A sink plug-in, which gets it in the form that its settings ask for.
    Plugin(Box<PluginSink>),
    /// Somebody in this process who makes requests with it: always with the last one. A login that
    /// the server wraps brings nothing to make requests with, and is refused.
    Feed(Feed),
}

/// A sink plug-in, bound and checked.
pub(crate) struct PluginSink {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) payload: Payload,
    pub(crate) on_exit: SinkOnExit,
    /// As configured, to find it again after a reload.
    pub(crate) settings: usher_config::Sink,
}

impl NamedTarget {
    /// Requests in the identity's name, as the API proxy makes them.
    pub(crate) fn feed(feed: Feed) -> Self {
        let name = "api_proxy".to_owned();
        Self { kind: name.clone(), name, target: Target::Feed(feed) }
    }

    /// The sink plug-in, if it is one.
    pub(crate) fn plugin(&self) -> Option<&PluginSink> {
        match &self.target {
            Target::Plugin(plugin) => Some(plugin),
            Target::Feed(_) => None,
        }
    }

    /// The files that it may write.
    pub(crate) fn written(&self) -> Vec<PathBuf> {
        self.plugin().map(|plugin| plugin.sink.written()).unwrap_or_default()
    }

    /// Whether the token is taken out of it in the end.
    pub(crate) fn is_removed_on_exit(&self) -> bool {
        self.plugin().is_some_and(|plugin| plugin.on_exit == SinkOnExit::Remove)
    }

    /// Whether what one holds the other does, as far as the configuration says.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        match (self.plugin(), other.plugin()) {
            (Some(one), Some(other)) => one.settings.same_settings(&other.settings),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use async_trait::async_trait;
    use tokio::sync::{mpsc, watch};
    use tokio::task::{JoinHandle, JoinSet};
    use usher_address::{MountPath, Namespace};
    use usher_engine::{Answer, AuthMethod, Call, Failure, FailureKind, Reason};
    use usher_lifecycle::{Action, Generation, Lifecycle, Settings, Token, Worth};
    use usher_proxy::Given;
    use usher_secret::Secret;
    use usher_server::{Client, Governor, Scope, WrapInfo};
    use usher_watch::Watcher;

    use super::*;
    use crate::driver::{self, Report, Start};
    use crate::identity::{CalledOff, Identity, Life};
    use crate::inheritance::{Estate, Inheritance};
    use crate::part::{Ending, Order};
    use crate::status::Board;
    use crate::token::{Content, Held, Wrapped};
    use crate::trouble::Trouble;

    /// A method that has no credential.
    struct Waiting;

    #[async_trait]
    impl AuthMethod for Waiting {
        async fn authenticate(&self, _: Call) -> Result<Answer, Failure> {
            Err(Failure::new(FailureKind::Unavailable, "file.not-found", "not there yet"))
        }

        async fn authenticated(&self, _: Call) -> Result<(), Failure> {
            Ok(())
        }

        fn watched(&self) -> Vec<PathBuf> {
            Vec::new()
        }

        fn reauthenticates(&self) -> bool {
            false
        }

        fn state(&self) -> Secret<Vec<u8>> {
            Secret::new(Vec::new())
        }

        fn restore(&self, _: Secret<Vec<u8>>) {}

        fn identifying(&self) -> Secret<String> {
            Secret::new(String::new())
        }
    }

    type Fed = watch::Receiver<Option<Arc<Given>>>;

    /// An identity whose only target is a feed. Its server is never reached.
    fn identity() -> (Arc<Identity>, Fed) {
        let address = usher_address::ServerAddress::parse("http://127.0.0.1:9").unwrap();
        let settings = usher_server::Settings::new(address);
        let feed = Feed::default();
        let fed = feed.given();
        let identity = Identity {
            name: "app".to_owned(),
            kind: "waiting".to_owned(),
            method: Arc::new(Waiting),
            sinks: vec![NamedTarget::feed(feed)],
            client: Client::new(settings, Governor::new()).unwrap(),
            scope: Scope::new(Namespace::parse("").unwrap()),
            mount_path: MountPath::parse("auth/waiting").unwrap(),
            wrap_ttl: None,
            life: Arc::new(Life { settings: Settings::default(), reauthenticate: None }),
            revoke_on_exit: false,
            kept: None,
        };
        (Arc::new(identity), fed)
    }

    /// Neither renewed nor checked.
    const GRANTED: Token =
        Token { ttl: Some(Duration::from_hours(1)), renewable: false, use_limited: true };

    fn held(identity: &Identity, content: Content) -> Held {
        let (origin, client) = (identity.origin(), identity.client.clone());
        Held::new(content, "accessor".to_owned(), Vec::new(), GRANTED, origin, client)
    }

    /// What the first token is called.
    fn first() -> Generation {
        let mut machine = Lifecycle::new(Instant::now(), Settings::default(), 1);
        let Some(Action::LogIn { generation }) = machine.poll_action() else { panic!("a login") };
        generation
    }

    /// An identity at work.
    struct Running {
        board: Board,
        orders: watch::Sender<Order>,
        reports: mpsc::UnboundedReceiver<Report>,
        work: JoinHandle<Estate>,
        _life: watch::Sender<Arc<Life>>,
    }

    /// Runs one that has inherited "hvs.fed", and has something else under way.
    fn run(identity: Arc<Identity>, aside: JoinSet<()>) -> Running {
        let session = identity.client.session(&identity.scope, Secret::new("hvs.fed".to_owned()));
        let inherited = Inheritance {
            held: Arc::new(held(&identity, Content::Token(session))),
            token: GRANTED,
            revision: "1".to_owned(),
            check_after: None,
            memory: Secret::new(Vec::new()),
            holders: Vec::new(),
            worth: Worth::Own,
        };
        let board = Board::new();
        let sinks = [("proxy".to_owned(), "proxy".to_owned())];
        let place = board.identity("app", "waiting", sinks);
        let (orders, received) = watch::channel(Order::Run { changes: 0 });
        let (reports, heard) = mpsc::unbounded_channel();
        let (lives, life) = watch::channel(Arc::clone(&identity.life));
        let work = tokio::spawn(driver::run(Start {
            number: 1,
            identity,
            inherited: Some(inherited),
            watcher: Watcher::default(),
            board: place,
            reports,
            orders: received,
            life,
            aside,
        }));
        Running { board, orders, reports: heard, work, _life: lives }
    }

    #[tokio::test]
    async fn a_feed_takes_a_token_like_a_sink_and_the_successor_knows_that_it_has_it() {
        let (identity, mut fed) = identity();
        let mut running = run(identity, JoinSet::new());
        let given = fed.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        assert_eq!(given.session().token().expose(), "hvs.fed");
        while !matches!(running.reports.recv().await.unwrap(), Report::Delivered { .. }) {}
        let mut readiness = running.board.readiness();
        readiness.wait_for(|readiness| readiness.is_complete()).await.unwrap();
        let patience = Duration::from_secs(1);
        running.orders.send_replace(Order::End(Ending::HandOver { patience }));
        let left = running.work.await.unwrap();
        assert_eq!(left.token.expect("a token").holders, [0]);
        assert!(left.under_way.is_empty());
    }

    #[tokio::test]
    async fn a_token_is_handed_over_though_the_server_hangs_in_something_else() {
        let (identity, mut fed) = identity();
        let mut aside = JoinSet::new();
        aside.spawn(std::future::pending());
        let running = run(identity, aside);
        fed.wait_for(Option::is_some).await.unwrap();
        let patience = Duration::from_millis(50);
        running.orders.send_replace(Order::End(Ending::HandOver { patience }));
        let left = tokio::time::timeout(Duration::from_secs(5), running.work).await;
        let left = left.expect("an end").unwrap();
        assert!(left.token.is_some());
        assert_eq!(left.under_way.len(), 1);
    }

    #[tokio::test]
    async fn a_feed_takes_no_wrapping_token() {
        let (identity, fed) = identity();
        let info = WrapInfo {
            token: Secret::new("hvs.wrapping".to_owned()),
            accessor: String::new(),
            ttl: Duration::from_mins(1),
            creation_time: String::new(),
            creation_path: "auth/waiting/login".to_owned(),
            wrapped_accessor: String::new(),
        };
        let held = held(&identity, Content::Wrapped(Wrapped::new(&info, 0)));
        let call = Call { reason: Reason::Deliver, previous_failure: None };
        let (_calls_off, called_off) = watch::channel(CalledOff::default());
        let delivered = identity.deliver(0, call, &held, first(), None, called_off).await;
        assert!(matches!(delivered, Err(Trouble::Defect)), "{delivered:?}");
        assert!(fed.borrow().is_none());
    }
}
