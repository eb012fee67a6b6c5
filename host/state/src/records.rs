//! Records by name, and how they are written: a version, and for each its name and its content, each
//! after its length in four bytes, least significant first.

use std::collections::BTreeMap;

use usher_secret::Secret;

use crate::error::Error;

/// Of all records as they are written, in bytes.
pub(crate) const LARGEST: usize = 16 << 20;

#[derive(Default)]
pub(crate) struct Records(BTreeMap<String, Secret<Vec<u8>>>);

impl Records {
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Secret<Vec<u8>>> {
        self.0.get(name).cloned()
    }

    /// Puts this in place of the former record, which it returns; `None`: there is none.
    pub(crate) fn replace(
        &mut self,
        name: &str,
        record: Option<Secret<Vec<u8>>>,
    ) -> Option<Secret<Vec<u8>>> {
        match record {
            Some(record) => self.0.insert(name.to_owned(), record),
            None => self.0.remove(name),
        }
    }

    pub(crate) fn encode(&self) -> Result<Secret<Vec<u8>>, Error> {
        let parts = || {
            self.0.iter().flat_map(|(name, record)| [name.as_bytes(), record.expose().as_slice()])
        };
        let length = 1 + parts().map(|part| 4 + part.len()).sum::<usize>();
        if length > LARGEST {
            return Err(Error::TooLarge);
        }
        // As long as it will be: one that grows would leave copies behind.
        let mut bytes = Vec::with_capacity(length);
        bytes.push(VERSION);
        for part in parts() {
            let length = u32::try_from(part.len()).map_err(|_| Error::TooLarge)?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(part);
        }
        Ok(Secret::new(bytes))
    }

    /// `Err`: what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Some((&version, mut rest)) = bytes.split_first() else {
            return Err("it is empty".to_owned());
        };
        if version != VERSION {
            return Err(format!("it is of another version of the agent (format {version})"));
        }
        let mut records = BTreeMap::new();
        while !rest.is_empty() {
            let (name, record) = (part(&mut rest), part(&mut rest));
            let name = name.and_then(|name| std::str::from_utf8(name).ok());
            let (Some(name), Some(record)) = (name, record) else {
                return Err("it is cut off".to_owned());
            };
            records.insert(name.to_owned(), Secret::new(record.to_vec()));
        }
        Ok(Self(records))
    }
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) =
        after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}

const VERSION: u8 = 1;
