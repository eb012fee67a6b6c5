//! What a sink is handed: the token as it is, wrapped by the server, encrypted for its reader, or
//! both.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use usher_engine::{Failure, FailureKind, Form};
use usher_envelope::{PrivateKey, PublicKey};
use usher_secret::Secret;
use usher_server::Client;

use crate::token::{Content, Held, Wrapped};
use crate::trouble::Trouble;

/// Makes what one sink is handed.
pub(crate) struct Payload {
    wrap_ttl: Option<Duration>,
    encryption: Option<Encryption>,
    /// Kept between attempts to deliver the same token: each wrapping leaves a token on the
    /// server.
    wrapped: Mutex<Option<Wrapped>>,
}

/// For [`usher_engine::Delivery`].
pub(crate) struct Made {
    pub(crate) content: Secret<Vec<u8>>,
    pub(crate) form: Form,
    /// When the content stops being of use; `None`: with the token.
    pub(crate) expires_at: Option<SystemTime>,
}

struct Encryption {
    path: PathBuf,
    derive_key: bool,
    aad: String,
    private: PrivateKey,
    /// Trusted on first use: whoever can replace the file later gets nothing.
    reader: Arc<OnceLock<PublicKey>>,
}

impl Payload {
    /// Fails if the system has no randomness for a key.
    pub(crate) fn new(sink: &usher_config::Sink) -> Result<Self, usher_envelope::Error> {
        let encryption = match &sink.encryption {
            None => None,
            Some(configured) => Some(Encryption {
                path: configured.dh_path.clone(),
                derive_key: configured.derive_key,
                aad: configured.aad.clone(),
                private: PrivateKey::generate()?,
                reader: Arc::default(),
            }),
        };
        Ok(Self { wrap_ttl: sink.wrap_ttl, encryption, wrapped: Mutex::default() })
    }

    /// What to deliver of this token. The server is asked to wrap it only if the rest is ready.
    pub(crate) async fn make(
        &self,
        client: &Client,
        held: &Held,
        generation: u64,
    ) -> Result<Made, Trouble> {
        let reader = match &self.encryption {
            Some(encryption) => Some((encryption, encryption.reader().await?)),
            None => None,
        };
        let made = self.wrap(client, held, generation).await?;
        let Some((encryption, reader)) = reader else { return Ok(made) };
        let envelope = usher_envelope::seal(
            &encryption.private,
            &reader,
            encryption.derive_key,
            encryption.aad.as_bytes(),
            made.content.expose(),
        )
        .map_err(|error| {
            let why = error.to_string();
            Trouble::Payload(Failure::new(FailureKind::Unavailable, "encryption.failed", why))
        })?;
        Ok(Made { content: Secret::new(envelope), form: Form::Encrypted, ..made })
    }

    async fn wrap(&self, client: &Client, held: &Held, generation: u64) -> Result<Made, Trouble> {
        let session = match &held.content {
            Content::Wrapped(wrapped) if wrapped.has_expired() => {
                return Err(Trouble::WrapperExpired);
            }
            Content::Wrapped(wrapped) => return Ok(wrapped.into()),
            Content::Token(session) => session,
        };
        let Some(wrap_ttl) = self.wrap_ttl else {
            let token = session.token().expose().clone().into_bytes();
            return Ok(Made { content: Secret::new(token), form: Form::Token, expires_at: None });
        };
        let mut kept = self.wrapped.lock().await;
        if let Some(wrapped) = kept.as_ref().filter(|wrapped| wrapped.is_fresh(generation)) {
            return Ok(wrapped.into());
        }
        let info = client.wrap(session, wrap_ttl).await?;
        Ok((&*kept.insert(Wrapped::new(&info, generation))).into())
    }

    /// Every sink has the token: the reader has what it needs, and this copy is of no more use.
    pub(crate) async fn forget(&self) {
        *self.wrapped.lock().await = None;
    }
}

impl From<&Wrapped> for Made {
    fn from(wrapped: &Wrapped) -> Self {
        Self {
            content: wrapped.json.clone(),
            form: Form::Wrapped,
            expires_at: Some(wrapped.expires_at),
        }
    }
}

impl Encryption {
    /// The reader's public key, from its file the first time.
    async fn reader(&self) -> Result<PublicKey, Trouble> {
        if let Some(reader) = self.reader.get() {
            return Ok(*reader);
        }
        let (path, known) = (self.path.clone(), Arc::clone(&self.reader));
        let read = tokio::task::spawn_blocking(move || {
            let reader = read_public_key(&path)?;
            Ok::<_, Failure>(*known.get_or_init(|| reader))
        });
        match read.await {
            Ok(reader) => reader.map_err(Trouble::Payload),
            Err(_) => Err(Trouble::Defect),
        }
    }
}

fn read_public_key(path: &std::path::Path) -> Result<PublicKey, Failure> {
    let unavailable =
        |code: &str, message: String| Failure::new(FailureKind::Unavailable, code, message);
    let mut text = Vec::new();
    // Not a FIFO or a device, on which reading could wait for ever.
    let read = std::fs::metadata(path).and_then(|metadata| {
        if !metadata.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        std::fs::File::open(path)?.take(LARGEST_KEY_FILE + 1).read_to_end(&mut text)
    });
    match read {
        Ok(_) if text.len() as u64 > LARGEST_KEY_FILE => Err(unavailable(
            "encryption.key-file",
            format!("dh_path {} is larger than 64 KiB: it isn't a public key", path.display()),
        )),
        Ok(_) => PublicKey::from_json(&text).map_err(|error| {
            unavailable("encryption.key-file", format!("dh_path {}: {error}", path.display()))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(unavailable(
            "encryption.key-missing",
            format!(
                "waiting for the reader's public key: there is no {0}; the reader makes it with `usher token keygen --private-key FILE --public-key {0}`",
                path.display()
            ),
        )),
        Err(error) => Err(unavailable(
            "encryption.key-file",
            format!(
                "dh_path {} can't be read: {error}; let the agent's user read it",
                path.display()
            ),
        )),
    }
}

/// In bytes.
const LARGEST_KEY_FILE: u64 = 64 * 1024;
