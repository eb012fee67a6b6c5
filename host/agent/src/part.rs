//! A part: whatever runs until it is told to end. The supervisor alone starts and stops them.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::watch;

use crate::inheritance::Estate;

/// Something that runs.
pub(crate) trait Part: Send + 'static {
    /// Its name. Of two parts with one name, the later one takes the place of the earlier.
    fn id(&self) -> PartId;

    /// When its turn to end comes.
    fn tier(&self) -> Tier;

    /// Takes its place, and runs until the seat's order to end, or until there is nothing left to
    /// do. What is to be seen of it at once is done before the first await.
    fn run(self: Box<Self>, seat: Seat) -> Work;
}

/// What a part does, to what it leaves.
pub(crate) type Work = Pin<Box<dyn Future<Output = Leaves> + Send>>;

/// The name of a part, for the log and for its successor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartId {
    /// An identity, by its name.
    Identity(String),
    /// Follows the plug-in directory.
    PluginFollower,
    /// Where requests to the secrets server come in: the address with its port, or the path.
    Listener(String),
    /// Where requests come in, by the key that names it.
    Door(&'static str),
    /// Answers an operator's signal with the status.
    Questions,
    /// Tells the service manager how far the agent is.
    Notifier,
    /// The pid file.
    PidFile,
    /// A part of a test.
    #[cfg(test)]
    Test(&'static str),
}

impl fmt::Display for PartId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(name) => write!(formatter, "identity {name}"),
            Self::Listener(place) => write!(formatter, "listener {place}"),
            Self::PluginFollower => formatter.write_str("plug-in directory"),
            Self::Door(key) => formatter.write_str(key),
            Self::Questions => formatter.write_str("status in the log"),
            Self::Notifier => formatter.write_str("service manager"),
            Self::PidFile => formatter.write_str("pid_file"),
            #[cfg(test)]
            Self::Test(name) => formatter.write_str(name),
        }
    }
}

/// Parts of one tier end together, and the next tier after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// What makes requests with the identities' tokens.
    Listener,
    /// Identities, and what brings them new plug-ins.
    Identity,
    /// What is asked of the agent is answered until the identities have ended.
    Door,
    /// What shows that there is an agent at all.
    Process,
}

impl Tier {
    /// In the order in which they end.
    pub(crate) const ALL: [Self; 4] = [Self::Listener, Self::Identity, Self::Door, Self::Process];
}

/// A part's place: what it is told, and what was left for it.
pub(crate) struct Seat {
    pub(crate) orders: watch::Receiver<Order>,
    /// What the part left in whose place it comes.
    pub(crate) inherited: Leaves,
}

impl Seat {
    /// Returns once the part is told to end, and how.
    pub(crate) async fn end(&mut self) -> Ending {
        loop {
            if let Order::End(how) = *self.orders.borrow_and_update() {
                return how;
            }
            if self.orders.changed().await.is_err() {
                return Ending::Final;
            }
        }
    }

    /// Returns once the agent ends, whoever was to go on before.
    pub(crate) async fn end_for_good(&mut self) {
        let is_final = |order: &Order| matches!(order, Order::End(Ending::Leave | Ending::Final));
        // Without a supervisor it is the end, too.
        let _ = self.orders.wait_for(is_final).await;
    }
}

/// What a part is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on. `changes` grows with each configuration or plug-in that came into force.
    Run {
        /// Only tells one order from another.
        changes: u64,
    },
    /// End in good order.
    End(Ending),
}

/// What becomes of what a part has, when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A successor goes on with it, and waits for what is under way no longer than this.
    HandOver { patience: Duration },
    /// It is for somebody else: after `exit_after_auth`.
    Leave,
    /// What `on_exit` says.
    Final,
}

/// What a part leaves to its successor.
#[derive(Default)]
pub(crate) enum Leaves {
    /// Nothing: also what one leaves that panicked, or was ended by force.
    #[default]
    Nothing,
    /// What an identity leaves.
    Estate(Box<Estate>),
}

impl Leaves {
    /// What an identity left, if anything.
    pub(crate) fn estate(self) -> Estate {
        match self {
            Self::Nothing => Estate::default(),
            Self::Estate(estate) => *estate,
        }
    }
}
