//! A token in the agent's hands, with what the server said of it; or the wrapping token of one that
//! isn't.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use usher_lifecycle::Token;
use usher_secret::Secret;
use usher_secret::redactor::{self, Live};
use usher_server::{Client, Session, WrapInfo};

use crate::origin::Origin;

/// What a login brought and what the server said of it.
pub(crate) struct Held {
    pub(crate) content: Content,
    pub(crate) accessor: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// As it was granted.
    pub(crate) granted: Token,
    /// The platform handed it over, or an earlier life of this identity delivered it: it may be in
    /// use elsewhere.
    pub(crate) taken_over: bool,
    /// Whose it is.
    pub(crate) origin: Origin,
    /// To the server that knows it.
    pub(crate) client: Client,
    _live: Option<Live>,
}

/// A token, in the agent's hands or not.
pub(crate) enum Content {
    Token(Session),
    /// Only the reader can unwrap it: it is delivered, and that is all.
    Wrapped(Wrapped),
}

/// A wrapping token with what the server said of it, as the sink gets it.
pub(crate) struct Wrapped {
    generation: u64,
    /// What the sink gets.
    pub(crate) json: Secret<Vec<u8>>,
    made: Instant,
    ttl: Duration,
    pub(crate) expires_at: SystemTime,
    _live: Live,
}

impl Held {
    /// Keeps the token out of the log from now on.
    pub(crate) fn new(
        content: Content,
        accessor: String,
        attributes: Vec<(String, String)>,
        granted: Token,
        origin: Origin,
        client: Client,
    ) -> Self {
        let live = content.keep_out_of_logs();
        Self {
            content,
            accessor,
            attributes,
            granted,
            taken_over: false,
            origin,
            client,
            _live: live,
        }
    }

    /// The same in the hands of a successor, which reaches the server with `client`. None: it stays
    /// as it is, since it is wrapped.
    pub(crate) fn for_successor(&self, client: Client, delivered: bool) -> Option<Self> {
        let content = Content::Token(self.session()?.clone());
        let (accessor, attributes) = (self.accessor.clone(), self.attributes.clone());
        let held =
            Self::new(content, accessor, attributes, self.granted, self.origin.clone(), client);
        Some(Self { taken_over: self.taken_over || delivered, ..held })
    }

    /// The token, unless it is wrapped.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.content {
            Content::Token(session) => Some(session),
            Content::Wrapped(_) => None,
        }
    }

    /// The token as another process could go on with it. `None`: it is wrapped, each use of it counts,
    /// or it is bound to a certificate that the method has made.
    pub(crate) fn lasting(&self) -> Option<Secret<String>> {
        let session = self.session().filter(|session| session.tls().is_own())?;
        (!self.granted.use_limited).then(|| session.token().clone())
    }

    /// Gives the token up, but keeps it out of the log a while longer.
    pub(crate) fn into_past(self: Arc<Self>) -> Option<Live> {
        self.content.keep_out_of_logs()
    }
}

impl Content {
    /// A wrapping token keeps itself out of them.
    fn keep_out_of_logs(&self) -> Option<Live> {
        match self {
            Self::Token(session) => Some(redactor::keep_out_of_logs(session.token())),
            Self::Wrapped(_) => None,
        }
    }
}

impl Wrapped {
    /// Of the token with this number; 0: the server wrapped the login itself.
    pub(crate) fn new(info: &WrapInfo, generation: u64) -> Self {
        let live = redactor::keep_out_of_logs(&info.token);
        Self {
            generation,
            json: usher_envelope::WrapInfo {
                token: info.token.clone(),
                accessor: info.accessor.clone(),
                ttl: info.ttl,
                creation_time: info.creation_time.clone(),
                creation_path: info.creation_path.clone(),
                wrapped_accessor: info.wrapped_accessor.clone(),
            }
            .to_json(),
            made: Instant::now(),
            ttl: info.ttl,
            expires_at: SystemTime::now() + info.ttl,
            _live: live,
        }
    }

    /// The wrapping token itself.
    pub(crate) fn token(&self) -> Option<Secret<String>> {
        usher_envelope::WrapInfo::from_json(self.json.expose()).ok().map(|info| info.token)
    }

    /// Whether nobody can unwrap it any more.
    pub(crate) fn has_expired(&self) -> bool {
        self.made.elapsed() >= self.ttl
    }

    /// Whether the reader still has time to unwrap it.
    pub(crate) fn is_fresh(&self, generation: u64) -> bool {
        self.generation == generation && self.made.elapsed() < self.ttl / 2
    }
}
