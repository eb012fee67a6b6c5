//! Sprig's functions, each with `sprig_` before its name, group by group.

pub(super) mod convert;
mod crypto;
mod decimal;
mod dict;
mod encode;
mod list;
mod logic;
mod math;
mod text;
mod url;
mod version;

pub(super) use crypto::FUNCTIONS as CRYPTO;
pub(super) use dict::FUNCTIONS as DICTS;
pub(super) use encode::FUNCTIONS as ENCODINGS;
pub(super) use list::FUNCTIONS as LISTS;
pub(super) use logic::FUNCTIONS as LOGIC;
pub(super) use math::FUNCTIONS as MATH;
pub(super) use text::FUNCTIONS as TEXTS;
pub(super) use url::FUNCTIONS as URLS;
pub(super) use version::FUNCTIONS as VERSIONS;
