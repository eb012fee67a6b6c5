//! One identity: its method, its sinks, and what is asked of the server in its name.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use usher_address::{Malformed, MountPath};
use usher_engine::{Answer, AuthMethod, Call, Credential, Delivery, Failure, Reason};
use usher_lifecycle::{Generation, Settings, Token};
use usher_proxy::{Feed, Given};
use usher_secret::Secret;
use usher_secret::redactor;
use usher_server::{Auth, Certificate, Client, Login, Lookup, Scope, Session, WrapInfo};

use crate::origin::Origin;
use crate::persistence::{Kept, SavedToken};
use crate::target::{NamedTarget, PluginSink, Target};
use crate::token::{Content, Held, Wrapped};
use crate::trouble::Trouble;

/// One method and its sinks, bound and checked.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) method: Arc<dyn AuthMethod>,
    pub(crate) sinks: Vec<NamedTarget>,
    pub(crate) client: Client,
    pub(crate) scope: Scope,
    /// "auth/approle"
    pub(crate) mount_path: MountPath,
    /// The server wraps what a login grants; the token itself is never seen.
    pub(crate) wrap_ttl: Option<Duration>,
    pub(crate) life: Arc<Life>,
    /// Revoke the delivered token when the agent ends.
    pub(crate) revoke_on_exit: bool,
    /// What of it outlives the process.
    pub(crate) kept: Option<Arc<Kept>>,
}

/// How an identity lives, as it is configured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// But for new credentials: [`Self::with`] has it all.
    pub(crate) settings: Settings,
    /// Whether new credentials are a reason to log in; `None`: as the method says.
    pub(crate) reauthenticate: Option<bool>,
}

impl Life {
    /// With the method that the identity has now.
    pub(crate) fn with(&self, method: &dyn AuthMethod) -> Settings {
        let reauthenticate = self.reauthenticate.unwrap_or_else(|| method.reauthenticates());
        Settings { reauthenticate_on_new_credentials: reauthenticate, ..self.settings.clone() }
    }
}

/// How a login or a look ended.
pub(crate) enum LoginOutcome {
    /// The server granted a token.
    LoggedIn(Box<LoggedIn>),
    /// No token, and why.
    Failed(Trouble),
    /// The look found the credential already used.
    Unchanged {
        /// When the method wants to be looked at again.
        check_after: Option<Duration>,
    },
    /// The method had nothing to look at.
    LookFailed(Failure),
}

/// A new token and the credential behind it.
pub(crate) struct LoggedIn {
    pub(crate) held: Held,
    pub(crate) token: Token,
    pub(crate) revision: String,
    pub(crate) check_after: Option<Duration>,
    /// Whether what a restart needs of it is kept, if anything is to be kept.
    pub(crate) is_kept: bool,
}

impl Identity {
    /// Whose tokens its logins bring.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            server_address: self.client.address().to_string(),
            namespace: self.scope.namespace().clone(),
            mount_path: self.mount_path.clone(),
            kind: self.kind.clone(),
            settings: self.method.identifying(),
            wraps: self.wrap_ttl.is_some(),
        }
    }

    /// One login, or with a `known` revision one look. When it is called off, the
    /// plug-in and then the server have until the deadlines that it names.
    pub(crate) async fn log_in(
        &self,
        call: Call,
        known: Option<String>,
        mut called_off: watch::Receiver<CalledOff>,
    ) -> LoginOutcome {
        let looking = known.is_some();
        let answer = tokio::select! {
            answer = self.method.authenticate(call) => answer,
            () = login_called_off(&mut called_off, |deadlines| deadlines.method) => {
                return LoginOutcome::Failed(Trouble::Stopping);
            }
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) if looking => return LoginOutcome::LookFailed(failure),
            Err(failure) => return LoginOutcome::Failed(failure.into()),
        };
        if known.is_some_and(|known| answer.revision.is_empty() || answer.revision == known) {
            return LoginOutcome::Unchanged { check_after: answer.check_after };
        }
        if let Some(kept) = &self.kept {
            kept.login_begins(&self.origin(), self.method.state()).await;
        }
        let mut outcome = tokio::select! {
            outcome = self.send(answer) => outcome,
            () = login_called_off(&mut called_off, |deadlines| deadlines.server) => {
                LoginOutcome::Failed(Trouble::Stopping)
            }
        };
        if let (LoginOutcome::LoggedIn(new), Some(kept)) = (&mut outcome, &self.kept) {
            let token = new.held.lasting().map(|token| SavedToken {
                token,
                revision: new.revision.clone(),
                check_after: new.check_after,
            });
            new.is_kept = kept.logged_in(&self.origin(), token, self.method.state()).await;
        }
        outcome
    }

    /// Goes on with a token that an earlier process has left, if the server knows it.
    pub(crate) async fn go_on_with(
        &self,
        saved: Option<SavedToken>,
        mut called_off: watch::Receiver<CalledOff>,
    ) -> Result<LoggedIn, Trouble> {
        let saved = saved.ok_or(Trouble::Defect)?;
        let SavedToken { token, revision, check_after } = saved.clone();
        let (held, token) = tokio::select! {
            taken = self.take_over(token, None) => taken?,
            () = login_called_off(&mut called_off, |deadlines| deadlines.server) => {
                return Err(Trouble::Stopping);
            }
        };
        if let Some(kept) = &self.kept {
            kept.logged_in(&self.origin(), Some(saved), self.method.state()).await;
        }
        // The process may have ended before it did this.
        self.confirm().await;
        Ok(LoggedIn { held, token, revision, check_after, is_kept: true })
    }

    /// Tells the method that its login is proven and safe: now it removes one-shot credentials.
    pub(crate) async fn confirm(&self) {
        let call = Call { reason: Reason::Login, previous_failure: None };
        if let Err(failure) = self.method.authenticated(call).await {
            tracing::warn!(identity = self.name, method = self.kind, "after the login: {failure}");
        }
    }

    /// Tries on until what a restart needs is kept. False: the agent ends before it is.
    pub(crate) async fn keep_token(&self, called_off: &mut watch::Receiver<CalledOff>) -> bool {
        let Some(kept) = &self.kept else { return true };
        loop {
            tokio::select! {
                () = tokio::time::sleep(KEEPING_AGAIN) => if kept.catch_up().await {
                    return true;
                },
                () = deliveries_called_off(called_off) => return kept.catch_up().await,
            }
        }
    }

    /// Renews a token; what the server now grants.
    pub(crate) async fn renew(&self, held: &Held, patience: Duration) -> Result<Token, Trouble> {
        let session = held.session().ok_or(Trouble::Defect)?;
        within(patience, held.client.renew_self(session)).await.map(|auth| of_auth(&auth))
    }

    /// Looks a token up; what is left of it.
    pub(crate) async fn check(&self, held: &Held, patience: Duration) -> Result<Token, Trouble> {
        let session = held.session().ok_or(Trouble::Defect)?;
        within(patience, held.client.lookup_self(session)).await.map(|lookup| of_lookup(&lookup))
    }

    /// Revokes a token; one that is still wrapped is unwrapped for it.
    pub(crate) async fn revoke(&self, held: &Held) -> Result<(), Trouble> {
        let wrapped = match &held.content {
            Content::Token(session) => return Ok(held.client.revoke_self(session).await?),
            Content::Wrapped(wrapped) => wrapped,
        };
        let Some(wrapping_token) = wrapped.token() else { return Err(Trouble::Defect) };
        let answer = match held.client.unwrap(&self.scope, &wrapping_token).await {
            Ok(answer) => answer,
            Err(error) if error.wrapping_used() => return Err(Trouble::OutOfReach),
            Err(error) => return Err(error.into()),
        };
        let Some(token) = token_within(&answer) else { return Err(Trouble::Defect) };
        let session = held.client.session(&self.scope, token);
        Ok(held.client.revoke_self(&session).await?)
    }

    /// Hands a token to a sink in the form that the sink wants. `expires_at` is the token's own.
    /// That it is called off is obeyed until there is something to write.
    pub(crate) async fn deliver(
        &self,
        sink: usize,
        call: Call,
        held: &Held,
        generation: Generation,
        expires_at: Option<SystemTime>,
        mut called_off: watch::Receiver<CalledOff>,
    ) -> Result<(), Trouble> {
        if self.wrap_ttl.is_some() && matches!(held.content, Content::Token(_)) {
            return Err(Trouble::WrappingAwaited);
        }
        let PluginSink { sink, payload, .. } = match &self.sinks[sink].target {
            Target::Plugin(plugin) => &**plugin,
            Target::Feed(feed) => {
                let session = held.session().ok_or(Trouble::Defect)?;
                let given = Given::new(session.clone(), generation, &self.client);
                let given = given.ok_or(Trouble::Defect)?;
                let limited = held.granted.use_limited;
                feed.give(Some(if limited { given.with_limited_uses() } else { given }));
                return Ok(());
            }
        };
        let generation = generation.number();
        let made = tokio::select! {
            made = payload.make(&held.client, held, generation) => made?,
            () = deliveries_called_off(&mut called_off) => return Err(Trouble::Stopping),
        };
        let delivery = Delivery {
            content: made.content,
            form: made.form,
            accessor: held.accessor.clone(),
            expires_at: made.expires_at.or(expires_at),
            generation,
            attributes: held.attributes.clone(),
        };
        sink.deliver(call, delivery).await?;
        payload.forget().await;
        Ok(())
    }

    /// Where its tokens go that requests are made with, if they are.
    pub(crate) fn feed(&self) -> Option<&Feed> {
        self.sinks.iter().find_map(|sink| match &sink.target {
            Target::Feed(feed) => Some(feed),
            Target::Plugin(_) => None,
        })
    }

    /// Takes the token out of the sinks that `leaving` names.
    pub(crate) async fn withdraw(&self, leaving: impl Fn(&NamedTarget) -> bool) {
        let identity = self.name.as_str();
        for sink in self.sinks.iter().filter(|sink| leaving(sink)) {
            let Some(PluginSink { sink: plugin, .. }) = sink.plugin() else { continue };
            let call = Call { reason: Reason::Deliver, previous_failure: None };
            match plugin.withdraw(call).await {
                Ok(()) => {
                    tracing::info!(identity, sink = sink.name, "token removed, as on_exit asks");
                }
                Err(failure) => tracing::warn!(
                    identity,
                    sink = sink.name,
                    "the token stays in the sink, it can't be removed: {failure}"
                ),
            }
        }
    }

    async fn send(&self, answer: Answer) -> LoginOutcome {
        let Answer { credential, revision, check_after } = answer;
        let result = match (credential, self.wrap_ttl) {
            (Credential::Login(login), None) => self.log_in_with(login).await,
            (Credential::Login(login), Some(wrap_ttl)) => {
                self.log_in_wrapped(login, wrap_ttl).await
            }
            (Credential::Token(token), wrap_ttl) => self.take_over(token, wrap_ttl).await,
        };
        match result {
            Ok((held, token)) => {
                let is_kept = self.kept.is_none();
                let new = LoggedIn { held, token, revision, check_after, is_kept };
                LoginOutcome::LoggedIn(Box::new(new))
            }
            Err(error) => LoginOutcome::Failed(error.into()),
        }
    }

    async fn log_in_with(
        &self,
        login: usher_engine::Login,
    ) -> Result<(Held, Token), usher_server::Error> {
        let login = below_the_mount(&self.mount_path, login)?;
        let (session, auth) = self.client.login(&self.scope, &login).await?;
        let token = of_auth(&auth);
        let said = [&auth.token_type, &auth.policies.join(","), &auth.entity_id];
        Ok((self.hold(session, auth.accessor, &token, said), token))
    }

    /// Logs in, and has the server wrap the token.
    async fn log_in_wrapped(
        &self,
        login: usher_engine::Login,
        wrap_ttl: Duration,
    ) -> Result<(Held, Token), usher_server::Error> {
        let login = below_the_mount(&self.mount_path, login)?;
        Ok(self.hold_wrapped(&self.client.login_wrapped(&self.scope, &login, wrap_ttl).await?))
    }

    /// Uses a token that the platform handed over.
    async fn take_over(
        &self,
        token: Secret<String>,
        wrap_ttl: Option<Duration>,
    ) -> Result<(Held, Token), usher_server::Error> {
        let session = self.client.session(&self.scope, token);
        let _live = redactor::keep_out_of_logs(session.token());
        if let Some(wrap_ttl) = wrap_ttl {
            let (mut held, token) = self.hold_wrapped(&self.client.wrap(&session, wrap_ttl).await?);
            held.taken_over = true;
            return Ok((held, token));
        }
        let lookup = self.client.lookup_self(&session).await?;
        let token = of_lookup(&lookup);
        let said = [&lookup.token_type, &lookup.policies.join(","), &lookup.entity_id];
        let mut held = self.hold(session, lookup.accessor, &token, said);
        held.taken_over = true;
        Ok((held, token))
    }

    /// `said` of the token: its type, policies and entity.
    fn hold(&self, session: Session, accessor: String, token: &Token, said: [&String; 3]) -> Held {
        let [token_type, policies, entity_id] = said.map(String::clone);
        let mut attributes = vec![
            ("renewable".to_owned(), token.renewable.to_string()),
            ("token-type".to_owned(), token_type),
            ("policies".to_owned(), policies),
            ("entity-id".to_owned(), entity_id),
        ];
        if let Some(ttl) = token.ttl {
            attributes.push(("ttl-s".to_owned(), ttl.as_secs().to_string()));
        }
        let content = Content::Token(session);
        Held::new(content, accessor, attributes, *token, self.origin(), self.client.clone())
    }

    /// A wrapped token lives as long as it lives: it is neither renewed nor checked, and replaced
    /// only when the credential changes.
    fn hold_wrapped(&self, info: &WrapInfo) -> (Held, Token) {
        let attributes = vec![
            ("wrap-ttl-s".to_owned(), info.ttl.as_secs().to_string()),
            ("creation-path".to_owned(), info.creation_path.clone()),
        ];
        let granted = Token { ttl: None, renewable: false, use_limited: true };
        let content = Content::Wrapped(Wrapped::new(info, 0));
        let accessor = info.wrapped_accessor.clone();
        let (origin, client) = (self.origin(), self.client.clone());
        (Held::new(content, accessor, attributes, granted, origin, client), granted)
    }
}

/// The login as the client sends it.
pub fn below_the_mount(
    mount_path: &MountPath,
    login: usher_engine::Login,
) -> Result<Login, Malformed> {
    Ok(Login {
        path: mount_path.join(&login.path)?,
        body: login.body,
        headers: login.headers,
        certificate: login.certificate.map(|certificate| Certificate {
            chain_pem: certificate.chain_pem,
            key_pem: certificate.key_pem,
        }),
        ca_pem: login.ca_pem,
    })
}

/// The token in an unwrapped answer: of a login, or of `sys/wrapping/wrap`.
fn token_within(answer: &Secret<String>) -> Option<Secret<String>> {
    let answer: serde_json::Value = serde_json::from_str(answer.expose()).ok()?;
    let token = answer["auth"]["client_token"].as_str().or(answer["data"]["token"].as_str())?;
    Some(Secret::new(token.to_owned()))
}

/// The answer of the server, if it comes in time.
async fn within<T>(
    patience: Duration,
    request: impl Future<Output = Result<T, usher_server::Error>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(patience, request).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(Trouble::NoAnswer(patience)),
    }
}

fn of_auth(auth: &Auth) -> Token {
    Token { ttl: auth.ttl(), renewable: auth.renewable, use_limited: auth.num_uses != 0 }
}

fn of_lookup(lookup: &Lookup) -> Token {
    Token { ttl: lookup.ttl, renewable: lookup.renewable, use_limited: lookup.num_uses != 0 }
}

async fn deliveries_called_off(called_off: &mut watch::Receiver<CalledOff>) {
    if called_off.wait_for(|called_off| called_off.deliveries).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Returns at one of the deadlines of a login that is called off.
async fn login_called_off(
    called_off: &mut watch::Receiver<CalledOff>,
    which: fn(Deadlines) -> Instant,
) {
    let called_off = called_off.wait_for(|called_off| called_off.login.is_some()).await;
    match called_off.map(|called_off| called_off.login) {
        Ok(Some(deadlines)) => tokio::time::sleep_until(which(deadlines).into()).await,
        _ => std::future::pending().await,
    }
}

/// What of an identity's work is to end. One channel for all: an idle identity is mostly that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CalledOff {
    /// The login that is under way, by these deadlines.
    pub(crate) login: Option<Deadlines>,
    /// What deliveries still wait for.
    pub(crate) deliveries: bool,
}

/// Until when what a login waits for may answer once it is called off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// The method's plug-in.
    pub(crate) method: Instant,
    /// The server, from there on.
    pub(crate) server: Instant,
}

impl Deadlines {
    /// When the agent stops: nobody needs what the plug-in finds any more, but the token of a
    /// request that is on its way can be revoked.
    pub(crate) fn stopping(now: Instant) -> Self {
        Self { method: now, server: now + STOPPING_LOGIN }
    }

    /// When a successor waits for what it brings: the credential may be of no more use, or a
    /// wrapped one be lost on the way. `patience`: how long the tokens in use can wait.
    pub(crate) fn handing_over(now: Instant, patience: Duration) -> Self {
        let end = now + HANDING_OVER_LOGIN.min(patience);
        Self { method: end, server: end }
    }
}

/// Between attempts to write what a restart needs.
const KEEPING_AGAIN: Duration = Duration::from_secs(2);

const STOPPING_LOGIN: Duration = Duration::from_secs(2);

const HANDING_OVER_LOGIN: Duration = Duration::from_secs(8);
