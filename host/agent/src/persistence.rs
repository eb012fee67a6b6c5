//! What outlives the process: the token of each identity, and what its method remembers.
//!
//! One record an identity, in this order: before a login is sent, a mark that it is under way; what
//! the method saves, while its call waits; the token, before any sink gets it and before a one-shot
//! credential is removed. So whenever the process is killed, the next one has the token, or what is
//! needed for another login, or says what is lost.

mod record;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use usher_config::{Diagnostic, Persist, Settings};
use usher_engine::StateKeeper;
use usher_secret::Secret;
use usher_state::{Found, Store};

use self::record::Record;
pub(crate) use self::record::SavedToken;
use crate::origin::Origin;

/// What identities keep over a restart. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Persistence(Option<Arc<Inner>>);

struct Inner {
    store: Store,
    kept: Mutex<HashMap<String, Arc<Kept>>>,
}

/// What one identity keeps.
pub(crate) struct Kept {
    identity: String,
    store: Store,
    /// As it is in the store, or should be. Locked while it is written.
    record: Arc<tokio::sync::Mutex<Written>>,
    /// What the last process left.
    left: Mutex<Option<Record>>,
    /// Whose logins the method makes, as far as is known.
    origin: Mutex<[u8; 32]>,
}

#[derive(Default)]
struct Written {
    record: Record,
    /// The last write failed.
    is_behind: bool,
}

/// What the last process left for an identity.
pub(crate) struct Left {
    /// What the method remembered.
    pub(crate) memory: Secret<Vec<u8>>,
    pub(crate) token: Option<SavedToken>,
    /// It ended while this login was under way.
    pub(crate) login_began: Option<SystemTime>,
}

/// What keeps the place that these settings name from being opened, as far as its files tell.
pub fn check(settings: &Settings) -> Option<Diagnostic> {
    let persist = settings.persist.as_ref()?;
    let error = place(&persist.place).check().err()?;
    Some(unusable(persist, error.to_string(), ""))
}

impl Persistence {
    /// Opens what the configuration names, if it names something.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Diagnostic> {
        let Some(persist) = &settings.persist else { return Ok(Self::default()) };
        let problem = |message: String, help: &str| unusable(persist, message, help);
        let place = place(&persist.place);
        let (store, found) = Store::open(&place).map_err(|error| problem(error.to_string(), ""))?;
        match found {
            Found::Nothing => tracing::info!("nothing is kept of an earlier run"),
            Found::State => tracing::info!("what an earlier run kept is there"),
            Found::OfIncumbent { file } => tracing::info!(
                file = %file.display(),
                "another agent has left its cache, which is of another format: it isn't read"
            ),
            Found::Damaged { why, .. } if persist.exit_on_err => {
                return Err(problem(
                    format!("what an earlier run kept can't be used: {why}"),
                    "leave exit_on_err out to begin without it",
                ));
            }
            Found::Damaged { why, set_aside } => tracing::error!(
                set_aside = set_aside.map(|path| path.display().to_string()),
                "what an earlier run kept can't be used, and identities log in anew: {why}"
            ),
        }
        let known = |name: &str| settings.identities.iter().any(|identity| identity.name == name);
        for name in store.names() {
            if !name.strip_prefix(RECORD).is_some_and(known)
                && let Err(error) = store.remove(&name)
            {
                tracing::warn!("what was kept of an identity that is gone stays: {error}");
            }
        }
        Ok(Self(Some(Arc::new(Inner { store, kept: Mutex::default() }))))
    }

    /// What an earlier run left is in the hands of a configuration that runs.
    pub(crate) fn taken_over(&self) {
        if let Some(inner) = &self.0
            && let Err(error) = inner.store.taken_over()
        {
            tracing::warn!("what an earlier run kept can't be removed: {error}");
        }
    }

    /// What this identity keeps, if anything is kept.
    pub(crate) fn of(&self, identity: &str) -> Option<Arc<Kept>> {
        let inner = self.0.as_ref()?;
        let mut kept = inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(identity) {
            return Some(Arc::clone(known));
        }
        let name = format!("{RECORD}{identity}");
        let left = inner.store.get(&name).and_then(|bytes| {
            let record = Record::decode(&bytes);
            if record.is_none() {
                tracing::warn!(identity, "what an earlier run kept of it can't be read");
            }
            record
        });
        let of_identity = Arc::new(Kept {
            identity: identity.to_owned(),
            store: inner.store.clone(),
            record: Arc::new(tokio::sync::Mutex::new(Written {
                record: left.clone().unwrap_or_default(),
                is_behind: false,
            })),
            left: Mutex::new(left),
            origin: Mutex::default(),
        });
        kept.insert(identity.to_owned(), Arc::clone(&of_identity));
        Some(of_identity)
    }

    /// The configuration has this identity no more.
    pub(crate) fn forget(&self, identity: &str) {
        let Some(inner) = &self.0 else { return };
        let mut kept = inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.remove(identity) {
            tokio::spawn(async move { kept.clear().await });
        }
    }
}

impl Kept {
    /// A method is about to make a login with this origin. What the last process left for it; only
    /// once, and for no other.
    pub(crate) fn left(&self, origin: &Origin) -> Option<Left> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = origin.digest();
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = origin;
        let Record { memory, token, login_began, .. } =
            left.take_if(|record| record.origin == origin)?;
        Some(Left { memory, token, login_began })
    }

    /// What was left is of no use any more: the identity has a token of its own.
    fn drop_left(&self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A login is about to be sent. A token that there is goes on until it has succeeded.
    pub(crate) async fn login_begins(&self, origin: &Origin, memory: Secret<Vec<u8>>) {
        let origin = origin.digest();
        self.change(|record| {
            record.claim(origin);
            record.memory = memory;
            record.login_began.get_or_insert_with(SystemTime::now);
        })
        .await;
    }

    /// There is a new token. `None`: one that can't be gone on with, since it is wrapped, its uses are
    /// counted, or it is bound to a certificate that the method made. Whether that is kept.
    pub(crate) async fn logged_in(
        &self,
        origin: &Origin,
        token: Option<SavedToken>,
        memory: Secret<Vec<u8>>,
    ) -> bool {
        self.drop_left();
        let origin = origin.digest();
        self.change(|record| *record = Record { origin, memory, token, login_began: None }).await
    }

    /// The token is revoked, or known to be no good.
    pub(crate) async fn token_is_gone(&self) {
        self.change(|record| record.token = None).await;
    }

    /// The identity ends in order: no login is under way any more.
    pub(crate) async fn ends(&self) {
        let marked = self.record.lock().await.record.login_began.is_some();
        if marked {
            self.change(|record| record.login_began = None).await;
        }
    }

    /// Tries again what couldn't be written. Whether all is kept now.
    pub(crate) async fn catch_up(&self) -> bool {
        self.change(|_| ()).await
    }

    async fn clear(&self) {
        let mut written = Arc::clone(&self.record).lock_owned().await;
        let (store, name) = (self.store.clone(), self.name());
        let _ = tokio::task::spawn_blocking(move || {
            *written = Written::default();
            if let Err(error) = store.remove(&name) {
                tracing::warn!("what was kept of an identity that is gone stays: {error}");
            }
        })
        .await;
    }

    /// Changes the record, and writes it if it differs. Whether all is kept now.
    async fn change(&self, change: impl FnOnce(&mut Record)) -> bool {
        let mut written = Arc::clone(&self.record).lock_owned().await;
        let before = written.record.encode();
        change(&mut written.record);
        let bytes = written.record.encode();
        if before == bytes && !written.is_behind {
            return true;
        }
        let (store, name, identity) = (self.store.clone(), self.name(), self.identity.clone());
        // It goes on, and keeps the lock, even if nobody waits for it any more.
        let writing = tokio::task::spawn_blocking(move || {
            let result = store.put(&name, bytes);
            if let Err(error) = &result
                && !written.is_behind
            {
                tracing::error!(
                    identity,
                    "what a restart would need can't be kept, it is tried again: {error}"
                );
            } else if result.is_ok() && written.is_behind {
                tracing::info!(identity, "what a restart needs is kept again");
            }
            written.is_behind = result.is_err();
            result.is_ok()
        });
        writing.await.unwrap_or(false)
    }

    fn name(&self) -> String {
        format!("{RECORD}{}", self.identity)
    }
}

#[async_trait]
impl StateKeeper for Kept {
    async fn keep(&self, state: Secret<Vec<u8>>) {
        let origin = *self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(|record| {
            record.claim(origin);
            record.memory = state;
        })
        .await;
    }
}

fn unusable(persist: &Persist, message: String, help: &str) -> Diagnostic {
    Diagnostic::new_error("cache.persist", message, help, Some(&persist.location))
}

fn place(place: &usher_config::PersistPlace) -> usher_state::Place {
    use usher_config::{PersistKey, PersistPlace};
    use usher_state::{Key, Place};
    match place {
        PersistPlace::Kubernetes { path, service_account_token_file, keep_after_import } => {
            Place::Kubernetes {
                directory: path.clone(),
                service_account_token_file: service_account_token_file.clone(),
                keep_after_import: *keep_after_import,
            }
        }
        PersistPlace::File { path, key } => Place::File {
            directory: path.clone(),
            key: match key {
                PersistKey::Credential(name) => Key::Credential(name.clone()),
                PersistKey::File(path) => Key::File(path.clone()),
            },
        },
        PersistPlace::Systemd => Place::Systemd,
    }
}

/// Before the name of an identity: what is kept of it.
const RECORD: &str = "identity/";
