//! A ticket with its session key, as it is kept between logins.

use crate::encryption::{Enctype, Key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A ticket is not used in the last part of its life, at most this many seconds: the server's
/// clock may be ahead.
const MARGIN: i64 = 5 * 60;

/// Issued by the realm, for one service.
pub(crate) struct Ticket {
    /// Of the client.
    pub(crate) realm: String,
    /// `PrincipalName`, encoded.
    pub(crate) client: Vec<u8>,
    /// Encoded, for the service alone to read.
    pub(crate) ticket: Vec<u8>,
    pub(crate) key: Key,
    /// Seconds since 1970.
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Ticket {
    /// Whether it will do for a login at this time.
    pub(crate) fn is_good(&self, now: i64) -> bool {
        // A clock that was set back makes it look as if it came from the future.
        now + MARGIN >= self.start && now + MARGIN.min((self.end - self.start) / 4) < self.end
    }
}

/// What is saved of a ticket. It holds secrets: not shown, not logged.
#[derive(Deserialize, Serialize)]
pub(crate) struct Kept {
    realm: String,
    client: String,
    ticket: String,
    enctype: i64,
    key: String,
    start: i64,
    end: i64,
}

impl Kept {
    /// None: too large to be kept beside the rest.
    pub(crate) fn of(ticket: &Ticket) -> Option<Self> {
        /// Bytes; the host keeps 64 KiB, and Base64 takes a third more.
        const LARGEST: usize = 40 << 10;
        (ticket.ticket.len() <= LARGEST).then(|| Self {
            realm: ticket.realm.clone(),
            client: STANDARD.encode(&ticket.client),
            ticket: STANDARD.encode(&ticket.ticket),
            enctype: ticket.key.enctype().number(),
            key: STANDARD.encode(ticket.key.bytes()),
            start: ticket.start,
            end: ticket.end,
        })
    }

    /// None: another version has saved it.
    pub(crate) fn ticket(&self) -> Option<Ticket> {
        let key = STANDARD.decode(&self.key).ok()?;
        Some(Ticket {
            realm: self.realm.clone(),
            client: STANDARD.decode(&self.client).ok()?,
            ticket: STANDARD.decode(&self.ticket).ok()?,
            key: Key::new(Enctype::of(self.enctype)?, &key)?,
            start: self.start,
            end: self.end,
        })
    }
}
