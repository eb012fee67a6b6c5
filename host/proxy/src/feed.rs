//! Where the tokens come from that requests are made with, and where doubts about them go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::watch;
use usher_lifecycle::Generation;
use usher_server::Session;

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
}

/// The server refused a request that was made with this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which one.
    pub generation: Generation,
    /// The answer says "invalid token".
    pub invalid_token: bool,
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
    /// `None`: no header can carry the token.
    pub fn new(session: Session, generation: Generation) -> Option<Self> {
        let header = session.header()?;
        Some(Self { session, generation, header })
    }

    /// The token, and how it must be used.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// As `X-Vault-Token`.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
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

    /// The token in use.
    pub(crate) fn current(&self) -> Option<Arc<Given>> {
        self.given.borrow().clone()
    }

    /// The token in use, or the first one within `patience`.
    pub(crate) async fn first(&self, patience: Duration) -> Option<Arc<Given>> {
        self.wait(patience, |_| true).await
    }

    /// Answers the doubts about a token that were there when a look at it began: nothing says that it
    /// is dead.
    pub fn vouch(&self, generation: Generation, began: Instant) {
        let doubt = *self.doubts.borrow();
        let of_doubt =
            doubt.is_some_and(|doubt| doubt.generation == generation && doubt.at <= began);
        self.verdicts.send_replace(Some(Verdict { generation, began, of_doubt }));
    }

    /// Says that a request with this token was refused.
    pub(crate) fn doubt(&self, given: &Given, invalid_token: bool) {
        let generation = given.generation;
        self.doubts.send_replace(Some(Doubt { generation, invalid_token, at: Instant::now() }));
    }

    /// What comes of a doubt about a request made at `sent`. Where the token was looked at for
    /// another doubt a moment ago, nobody waits for the next look.
    pub(crate) async fn outcome(
        &self,
        old: &Arc<Given>,
        sent: Instant,
        patience: Duration,
    ) -> Outcome {
        let stands = |verdict: &Option<Verdict>| {
            verdict.is_some_and(|verdict| {
                let looked_into = verdict.of_doubt && verdict.began.elapsed() < LASTING;
                verdict.generation == old.generation && (verdict.began >= sent || looked_into)
            })
        };
        let mut verdicts = self.verdicts.subscribe();
        tokio::select! {
            biased;
            next = self.wait(patience, |given| !Arc::ptr_eq(given, old)) => {
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

/// How long a verdict answers further doubts: as long as the lifecycle waits from one look to another
/// that is made for doubts.
const LASTING: Duration = Duration::from_secs(5);
