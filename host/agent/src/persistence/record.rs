//! What is kept of one identity, and how it is written: what is no secret as JSON, and each secret by
//! itself, so that no copy of one is left behind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use usher_secret::Secret;

/// What is kept of one identity.
#[derive(Clone)]
pub(super) struct Record {
    /// Whose logins it is of.
    pub(super) origin: [u8; 32],
    /// What the method remembers.
    pub(super) memory: Secret<Vec<u8>>,
    pub(super) token: Option<SavedToken>,
    /// Since when a login is under way.
    pub(super) login_began: Option<SystemTime>,
}

/// A token with what is needed to go on with it.
#[derive(Clone)]
pub(crate) struct SavedToken {
    pub(crate) token: Secret<String>,
    /// Of the credential behind it.
    pub(crate) revision: String,
    /// When the method wanted to be looked at again.
    pub(crate) check_after: Option<Duration>,
}

/// What is no secret of it.
#[derive(Serialize, Deserialize)]
struct Head {
    origin: [u8; 32],
    login_began_s: Option<u64>,
    revision: String,
    check_after_ms: Option<u64>,
}

impl Default for Record {
    fn default() -> Self {
        Self { origin: [0; 32], memory: Secret::new(Vec::new()), token: None, login_began: None }
    }
}

impl Record {
    /// From now on it is of these logins; what was of others goes.
    pub(super) fn claim(&mut self, origin: [u8; 32]) {
        if self.origin != origin {
            *self = Self { origin, ..Self::default() };
        }
    }

    pub(super) fn encode(&self) -> Secret<Vec<u8>> {
        let token = self.token.as_ref();
        let head = Head {
            origin: self.origin,
            login_began_s: self
                .login_began
                .map(|at| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()),
            revision: token.map(|token| token.revision.clone()).unwrap_or_default(),
            check_after_ms: token
                .and_then(|token| token.check_after)
                .map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let token = token.map_or(&[][..], |token| token.token.expose().as_bytes());
        let parts = [&head[..], token, self.memory.expose()];
        // As long as it will be: one that grows would leave copies behind.
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| 4 + part.len()).sum());
        for part in parts {
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Secret::new(bytes)
    }

    /// `None`: it is none.
    pub(super) fn decode(bytes: &Secret<Vec<u8>>) -> Option<Self> {
        let mut rest = bytes.expose().as_slice();
        let mut part = || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (part, after) =
                after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            rest = after;
            Some(part)
        };
        let (head, token, memory) = (part()?, part()?, part()?);
        if !rest.is_empty() {
            return None;
        }
        let Head { origin, login_began_s, revision, check_after_ms } =
            serde_json::from_slice(head).ok()?;
        let token = std::str::from_utf8(token).ok()?;
        let token = (!token.is_empty()).then(|| SavedToken {
            token: Secret::new(token.to_owned()),
            revision,
            check_after: check_after_ms.map(Duration::from_millis),
        });
        let login_began = match login_began_s {
            Some(seconds) => Some(UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?),
            None => None,
        };
        Some(Self { origin, memory: Secret::new(memory.to_vec()), token, login_began })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            origin: [7; 32],
            memory: Secret::new(b"what it remembers".to_vec()),
            token: Some(SavedToken {
                token: Secret::new("hvs.kept".to_owned()),
                revision: "r1".to_owned(),
                check_after: Some(Duration::from_millis(1500)),
            }),
            login_began: Some(UNIX_EPOCH + Duration::from_hours(500_000)),
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for record in [record(), Record::default(), Record { token: None, ..record() }] {
            let read = Record::decode(&record.encode()).unwrap();
            assert!(read.encode() == record.encode());
            assert_eq!(read.token.is_some(), record.token.is_some());
            assert_eq!(read.login_began, record.login_began);
        }
        let read = Record::decode(&record().encode()).unwrap();
        let token = read.token.unwrap();
        assert_eq!(token.token.expose(), "hvs.kept");
        assert_eq!(token.revision, "r1");
        assert_eq!(token.check_after, Some(Duration::from_millis(1500)));
        assert_eq!(read.memory.expose(), b"what it remembers");
    }

    #[test]
    fn a_part_of_a_record_is_none() {
        let whole = record().encode();
        let whole = whole.expose();
        for end in 0..whole.len() {
            assert!(Record::decode(&Secret::new(whole[..end].to_vec())).is_none(), "{end}");
        }
        let more = [whole.as_slice(), b"x"].concat();
        assert!(Record::decode(&Secret::new(more)).is_none());
    }
}
