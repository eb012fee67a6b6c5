//! Replaces live secrets in text that is about to leave the process.
//!
//! A secret is *live* while a [`Live`] guard for it exists. Besides the raw text the redactor
//! knows its base64 (RFC 4648, both alphabets, padded or not), hexadecimal, JSON-escaped and
//! percent-encoded (RFC 3986) forms.
//!
//! The user and password of a URL are replaced too, whoever wrote it and whether anybody said that
//! they are secret.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::Secret;

/// Shown instead of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shorter texts are not redacted: they would blank ordinary words, and are no secrets.
const SHORTEST: usize = 6;

/// Keeps a secret out of logs for as long as it exists.
#[must_use = "a secret is redacted only while this guard exists"]
pub struct Live(Option<Key>);

/// Redacts `secret` everywhere until the guard is dropped. Surrounding white space is not part
/// of it. Registering the same secret twice is fine.
pub fn keep_out_of_logs(secret: &Secret<String>) -> Live {
    register(secret.expose())
}

/// The same for text that is not held as a [`Secret`], such as a file that a plug-in has read.
pub fn keep_text_out_of_logs(text: &str) -> Live {
    register(text)
}

/// `text` with every live secret, and the user and password of every URL, replaced by
/// [`REDACTED`]. Takes time by the length of the text, however many secrets there are.
pub fn redact(text: &str) -> Cow<'_, str> {
    let live = LIVE.read().unwrap_or_else(PoisonError::into_inner);
    // What overlaps is replaced together: a form may hold the beginning of another one.
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, beginning) in text.as_bytes().windows(SHORTEST).enumerate() {
        let Some(length) = live.longest_at(&text.as_bytes()[start..], beginning) else { continue };
        let end = start + length;
        add(&mut found, start..end);
    }
    let in_urls = userinfos(text);
    if !in_urls.is_empty() {
        found.extend(in_urls);
        found.sort_by_key(|range| range.start);
        let mut apart = Vec::new();
        for range in found {
            add(&mut apart, range);
        }
        found = apart;
    }
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = 0;
    for range in found {
        result.push_str(&text[rest..range.start]);
        result.push_str(REDACTED);
        rest = range.end;
    }
    result.push_str(&text[rest..]);
    Cow::Owned(result)
}

/// A URL, whole or without its scheme, with [`REDACTED`] for all that stands before its last `@`:
/// for text that is meant as a URL, and may be none.
pub fn without_userinfo(url: &str) -> Cow<'_, str> {
    let Some(at) = url.rfind('@') else { return Cow::Borrowed(url) };
    let is_scheme =
        |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let start = match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) && rest.contains('@') => url.len() - rest.len(),
        _ => 0,
    };
    Cow::Owned(format!("{}{REDACTED}{}", &url[..start], &url[at..]))
}

/// Appends a range that starts no earlier than the last one, and joins the two if they overlap.
fn add(found: &mut Vec<Range<usize>>, range: Range<usize>) {
    match found.last_mut() {
        Some(last) if range.start < last.end => last.end = last.end.max(range.end),
        _ => found.push(range),
    }
}

/// What stands between the scheme and the `@` of each URL.
fn userinfos(text: &str) -> Vec<Range<usize>> {
    let schemes = text.match_indices("://").map(|(at, scheme)| at + scheme.len());
    let ranges = schemes.filter_map(|start| {
        let rest = &text[start..];
        let url = rest.split([' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>']).next()?;
        let authority = url.split(['/', '?', '#']).next()?;
        let at = match authority.rfind('@') {
            Some(at) => at,
            // Where a port should stand there is none: a password that isn't encoded goes on
            // behind the slash.
            None if !ends_like_a_host(authority) => url.rfind('@')?,
            None => return None,
        };
        Some(start..start + at)
    });
    ranges.collect()
}

fn ends_like_a_host(authority: &str) -> bool {
    let after_literal = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    after_literal
        .split_once(':')
        .is_none_or(|(_, port)| port.chars().all(|digit| digit.is_ascii_digit()))
}

/// Every live secret.
#[derive(Default)]
struct AllLive {
    guards: HashMap<Key, usize>,
    /// The forms of each, by the hash of their first [`SHORTEST`] bytes.
    forms: HashMap<u64, Vec<Zeroizing<String>>>,
    hasher: RandomState,
}

impl AllLive {
    fn add(&mut self, key: Key) {
        let guards = self.guards.entry(key.clone()).or_default();
        *guards += 1;
        if *guards == 1 {
            for form in forms(&key.0) {
                let hash = self.hash(&form.as_bytes()[..SHORTEST]);
                self.forms.entry(hash).or_default().push(form);
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(guards) = self.guards.get_mut(key) else { return };
        *guards -= 1;
        if *guards > 0 {
            return;
        }
        self.guards.remove(key);
        for form in forms(&key.0) {
            let hash = self.hash(&form.as_bytes()[..SHORTEST]);
            let Some(alike) = self.forms.get_mut(&hash) else { continue };
            // Another secret may have the same form; one of the two stays.
            if let Some(index) = alike.iter().position(|other| *other == form) {
                alike.swap_remove(index);
            }
            if alike.is_empty() {
                self.forms.remove(&hash);
            }
        }
    }

    /// Length of the longest form that `text`, which starts with `beginning`, starts with.
    fn longest_at(&self, text: &[u8], beginning: &[u8]) -> Option<usize> {
        let alike = self.forms.get(&self.hash(beginning))?;
        let starting = alike.iter().filter(|form| text.starts_with(form.as_bytes()));
        starting.map(|form| form.len()).max()
    }

    fn hash(&self, beginning: &[u8]) -> u64 {
        self.hasher.hash_one(beginning)
    }
}

/// A secret as the key of the map; wiped like every other copy.
#[derive(Clone, PartialEq, Eq)]
struct Key(Zeroizing<String>);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

static LIVE: LazyLock<RwLock<AllLive>> = LazyLock::new(RwLock::default);

fn register(text: &str) -> Live {
    let text = text.trim();
    if text.len() < SHORTEST {
        return Live(None);
    }
    let key = Key(Zeroizing::new(text.to_owned()));
    LIVE.write().unwrap_or_else(PoisonError::into_inner).add(key.clone());
    Live(Some(key))
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(key) = self.0.take() {
            LIVE.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

fn forms(text: &str) -> Vec<Zeroizing<String>> {
    let mut hexadecimal = String::with_capacity(text.len() * 2);
    let mut percent = String::with_capacity(text.len());
    let mut percent_lower = String::with_capacity(text.len());
    let mut json = String::with_capacity(text.len());
    for byte in text.bytes() {
        let _ = write!(hexadecimal, "{byte:02x}");
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            percent.push(char::from(byte));
            percent_lower.push(char::from(byte));
        } else {
            let _ = write!(percent, "%{byte:02X}");
            let _ = write!(percent_lower, "%{byte:02x}");
        }
    }
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            other => json.push(other),
        }
    }
    let mut forms: Vec<_> = [
        text.to_owned(),
        hexadecimal.to_uppercase(),
        hexadecimal,
        percent_lower,
        percent,
        json.replace('/', "\\/"),
        json,
        STANDARD_NO_PAD.encode(text),
        URL_SAFE_NO_PAD.encode(text),
    ]
    .map(Zeroizing::new)
    .into();
    forms.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_live_secret_is_replaced() {
        let secret = Secret::new(String::from("hvs.CA\"ES/+IJ\\k"));
        let _live = keep_out_of_logs(&secret);
        let raw = secret.expose();
        for form in forms(raw) {
            let line = format!("before {} after", *form);
            assert_eq!(redact(&line), "before [redacted] after", "{}", *form);
        }
    }

    #[test]
    fn a_secret_is_forgotten_with_its_last_guard() {
        let secret = Secret::new(String::from("forgotten-with-its-last-guard"));
        let first = keep_out_of_logs(&secret);
        let second = keep_out_of_logs(&secret);
        drop(first);
        assert_eq!(redact(secret.expose()), REDACTED);
        drop(second);
        assert_eq!(redact(secret.expose()), secret.expose().as_str());
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_either() {
        let _lives =
            ["overlap-first-second", "second-third", "overlap-fi"].map(keep_text_out_of_logs);
        assert_eq!(redact("a overlap-first-second-third b"), "a [redacted] b");
        assert_eq!(redact("a overlap-fiasco"), "a [redacted]asco");
    }

    #[test]
    fn text_of_many_bytes_a_character_is_cut_between_characters() {
        let _live = keep_text_out_of_logs("päßwörter");
        assert_eq!(redact("ä päßwörter ö"), "ä [redacted] ö");
    }

    #[test]
    fn white_space_around_a_secret_is_not_part_of_it() {
        let _live = keep_text_out_of_logs("  white-space-around\n");
        assert_eq!(redact("<white-space-around>"), "<[redacted]>");
    }

    #[test]
    fn a_secret_that_contains_another_is_replaced_whole() {
        let _short = keep_text_out_of_logs("contained-secret");
        let _long = keep_text_out_of_logs("a-contained-secret-and-its-tail");
        assert_eq!(redact("<a-contained-secret-and-its-tail>"), "<[redacted]>");
    }

    #[test]
    fn short_texts_are_left_alone() {
        let _live = keep_text_out_of_logs("token");
        assert_eq!(redact("token"), "token");
    }

    #[test]
    fn user_and_password_of_a_url_are_replaced_wherever_it_stands() {
        for (text, redacted) in [
            ("to https://u:p@host:1/x failed", "to https://[redacted]@host:1/x failed"),
            ("http://token@a http://u:p%40@b", "http://[redacted]@a http://[redacted]@b"),
            ("\"socks5://u:p@ss@host\"", "\"socks5://[redacted]@host\""),
            ("http://u:p/w@host/", "http://[redacted]@host/"),
            ("http://u:p?w#x@host", "http://[redacted]@host"),
            ("http://[redacted]@host", "http://[redacted]@host"),
        ] {
            assert_eq!(redact(text), redacted, "{text}");
        }
    }

    #[test]
    fn what_is_no_user_of_a_url_stays() {
        for text in [
            "mail a@b about https://host/ and c@d",
            "https://host/tenant@example/x",
            "https://[::1]:8200/a@b",
            "https://host:8200/?q=a@b",
            "://",
            "user@host",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn a_live_secret_beside_the_user_of_a_url_is_replaced_too() {
        let _live = keep_text_out_of_logs("beside-the-user");
        assert_eq!(redact("beside-the-user http://u:p@h"), "[redacted] http://[redacted]@h");
        assert_eq!(redact("http://u:beside-the-user@h/"), "http://[redacted]@h/");
        assert_eq!(redact("http://u:beside-the-user"), "http://u:[redacted]");
    }

    #[test]
    fn of_what_is_meant_as_a_url_all_before_the_last_at_sign_is_replaced() {
        for (text, redacted) in [
            ("https://u:p@host:1/x", "https://[redacted]@host:1/x"),
            ("u:p@host:1", "[redacted]@host:1"),
            ("u:a://b@host", "[redacted]@host"),
            ("https://u:p/q@host", "https://[redacted]@host"),
            ("https://host:1/x", "https://host:1/x"),
            ("u@a://host", "[redacted]@a://host"),
        ] {
            assert_eq!(without_userinfo(text), redacted, "{text}");
        }
    }

    #[test]
    fn text_without_secrets_is_borrowed() {
        assert!(matches!(redact("nothing here"), Cow::Borrowed(_)));
    }
}
