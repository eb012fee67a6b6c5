//! Where the tokens come from that requests are made with, and where doubts about them go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::watch;
use usher_connector::Connector;
use usher_lifecycle::{BETWEEN_SUSPICIONS, Generation};
use usher_server::{Client, Session};

/// Leads from an identity to whoever makes requests in its name. Clones are the same feed; it
/// outlives the identity, which a reload may replace.
#[derive(Clone)]
pub struct Feed {
    given: watch::Sender<Option<Arc<Given>>>,
    doubts: watch::Sender<Option<Doubt>>,
    verdicts: watch::Sender<Option<Verdict>>,
}

/// A token in use. No `Debug`.
pub struct Given {
    session: Session,
    generation: Generation,
    header: HeaderValue,
    use_limited: bool,
    /// The way to the server that knows it. It is sent on no other: a reload can lead to another
    /// server while requests to the old one wait for a token.
    server: Arc<Connector>,
}

/// The server refused a request that was made with this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which one.
    pub generation: Generation,
    /// An answer says "invalid token".
    pub invalid_token: bool,
    /// Since when nobody has answered.
    at: Instant,
}

/// Nothing says that a token is dead, after it was looked into.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    generation: Generation,
    /// When the look began: it tells nothing of what was refused later.
    began: Instant,
    /// Somebody had doubted.
    of_doubt: bool,
}

/// What comes of a doubt.
pub(crate) enum Outcome {
    /// There is another token.
    Replaced(Arc<Given>),
    /// The token is as good as it was, as far as can be known.
    Stands,
}

impl Given {
    /// A token that is used with this client's server alone. `None`: no header can carry it.
    pub fn new(session: Session, generation: Generation, client: &Client) -> Option<Self> {
        let header = session.header()?;
        let server = Arc::clone(client.connector());
        Some(Self { session, generation, header, use_limited: false, server })
    }

    /// The same token, each use of which counts.
    #[must_use]
    pub fn with_limited_uses(self) -> Self {
        Self { use_limited: true, ..self }
    }

    /// The token, and how it must be used.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Which of its identity's tokens.
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// As `X-Vault-Token`.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether each use of it counts.
    pub(crate) fn is_use_limited(&self) -> bool {
        self.use_limited
    }

    fn is_of(&self, server: &Arc<Connector>) -> bool {
        Arc::ptr_eq(&self.server, server)
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            given: watch::Sender::new(None),
            doubts: watch::Sender::new(None),
            verdicts: watch::Sender::new(None),
        }
    }
}

impl Feed {
    /// Requests are made with this token from now on; `None`: with none, until there is one.
    pub fn give(&self, given: Option<Given>) {
        self.given.send_replace(given.map(Arc::new));
    }

    /// Follows what is given.
    pub fn given(&self) -> watch::Receiver<Option<Arc<Given>>> {
        self.given.subscribe()
    }

    /// Follows the doubts; those that came before aren't seen.
    pub fn doubts(&self) -> watch::Receiver<Option<Doubt>> {
        self.doubts.subscribe()
    }

    /// The token in use, if it is this server's.
    pub(crate) fn current(&self, server: &Arc<Connector>) -> Option<Arc<Given>> {
        self.given.borrow().clone().filter(|given| given.is_of(server))
    }

    /// The token in use, or the first one within `patience`; of this server.
    pub(crate) async fn first(
        &self,
        server: &Arc<Connector>,
        patience: Duration,
    ) -> Option<Arc<Given>> {
        self.wait(patience, |given| given.is_of(server)).await
    }

    /// Answers the doubts about a token, after a look at it that began then: nothing says that it is
    /// dead. Those that came meanwhile are answered, too, since the next look is some time away.
    pub fn vouch(&self, generation: Generation, began: Instant) {
        let doubt = *self.doubts.borrow();
        let of_doubt =
            doubt.is_some_and(|doubt| doubt.generation == generation && doubt.at <= began);
        self.verdicts.send_replace(Some(Verdict { generation, began, of_doubt }));
    }

    /// Says that a request with this token was refused.
    pub(crate) fn doubt(&self, given: &Given, invalid_token: bool) {
        let generation = given.generation;
        let verdict = self.verdicts.borrow().filter(|verdict| verdict.generation == generation);
        let is_answered = |at| verdict.is_some_and(|verdict| verdict.began >= at);
        self.doubts.send_modify(|doubt| {
            let open = doubt.filter(|doubt| doubt.generation == generation);
            let open = open.filter(|doubt| !is_answered(doubt.at));
            let at = open.map_or_else(Instant::now, |open| open.at);
            let invalid_token = invalid_token || open.is_some_and(|open| open.invalid_token);
            *doubt = Some(Doubt { generation, invalid_token, at });
        });
    }

    /// What comes of a doubt about a request made at `sent`. Where the token was looked at for
    /// another doubt, nobody waits as long as no other look follows.
    pub(crate) async fn outcome(
        &self,
        old: &Arc<Given>,
        sent: Instant,
        patience: Duration,
    ) -> Outcome {
        let stands = |verdict: &Option<Verdict>| {
            verdict.is_some_and(|verdict| {
                let looked_into = verdict.of_doubt && verdict.began.elapsed() < BETWEEN_SUSPICIONS;
                verdict.generation == old.generation && (verdict.began >= sent || looked_into)
            })
        };
        let is_next = |given: &Arc<Given>| !Arc::ptr_eq(given, old) && given.is_of(&old.server);
        let mut verdicts = self.verdicts.subscribe();
        tokio::select! {
            biased;
            next = self.wait(patience, is_next) => {
                next.map_or(Outcome::Stands, Outcome::Replaced)
            }
            _ = verdicts.wait_for(stands) => Outcome::Stands,
        }
    }

    async fn wait(
        &self,
        patience: Duration,
        wanted: impl Fn(&Arc<Given>) -> bool,
    ) -> Option<Arc<Given>> {
        let mut given = self.given();
        let found = given.wait_for(|given| given.as_ref().is_some_and(&wanted));
        match tokio::time::timeout(patience, found).await {
            Ok(Ok(given)) => given.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use usher_address::{Namespace, ServerAddress};
    use usher_lifecycle::{Action, Lifecycle};
    use usher_secret::Secret;
    use usher_server::{Governor, Scope};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn client(address: &str) -> Client {
        let settings = usher_server::Settings::new(ServerAddress::parse(address).unwrap());
        Client::new(settings, Governor::new()).unwrap()
    }

    fn given(client: &Client) -> Given {
        let mut machine = Lifecycle::new(Instant::now(), usher_lifecycle::Settings::default(), 1);
        let Some(Action::LogIn { generation }) = machine.poll_action() else { panic!("a login") };
        let token = Secret::new("hvs.agent".to_owned());
        let session = client.session(&Scope::new(Namespace::default()), token);
        Given::new(session, generation, client).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_for_requests_to_its_own_server() {
        let (before, now) = (client("http://127.0.0.1:9"), client("http://127.0.0.1:10"));
        let feed = Feed::default();
        feed.give(Some(given(&before)));
        let old = feed.current(before.connector()).unwrap();
        assert!(feed.current(now.connector()).is_none());
        assert!(feed.first(now.connector(), SOON).await.is_none());

        feed.give(Some(given(&now)));
        assert!(feed.current(now.connector()).is_some());
        assert!(feed.first(before.connector(), SOON).await.is_none());
        let outcome = feed.outcome(&old, Instant::now(), SOON).await;
        assert!(matches!(outcome, Outcome::Stands), "the other server's stands in for none");

        feed.give(Some(given(&before)));
        let outcome = feed.outcome(&old, Instant::now(), SOON).await;
        assert!(matches!(outcome, Outcome::Replaced(_)));
    }

    #[tokio::test]
    async fn a_look_answers_whoever_doubts_before_it_ends() {
        let client = client("http://127.0.0.1:9");
        let feed = Feed::default();
        feed.give(Some(given(&client)));
        let token = feed.current(client.connector()).unwrap();
        for _ in 0..2 {
            feed.doubt(&token, true);
            let began = Instant::now();
            tokio::time::sleep(Duration::from_millis(1)).await;
            let sent = Instant::now();
            feed.doubt(&token, false);
            assert!(
                feed.doubts.borrow().unwrap().invalid_token,
                "of the first, which is still open"
            );
            feed.vouch(token.generation, began);
            // Nobody waits for as long as that.
            let outcome = feed.outcome(&token, sent, Duration::from_mins(10));
            let outcome = tokio::time::timeout(Duration::from_secs(1), outcome).await;
            assert!(matches!(outcome, Ok(Outcome::Stands)));
            tokio::time::sleep(Duration::from_millis(1)).await;
            feed.doubt(&token, false);
            assert!(!feed.doubts.borrow().unwrap().invalid_token, "that was answered");
        }
    }
}
