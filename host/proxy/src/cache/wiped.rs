//! A text that is read from JSON and wiped, whatever becomes of the rest.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// It may be a secret. No `Debug`.
#[derive(Default)]
pub(super) struct Wiped(pub(super) Zeroizing<String>);

impl<'de> Deserialize<'de> for Wiped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}
