//! Replaces live secrets in text that is about to leave the process.
//!
//! A secret is *live* while a [`Live`] guard for it exists. Besides the raw text the redactor
//! knows its base64 (RFC 4648, both alphabets, padded or not), hexadecimal, JSON-escaped and
//! percent-encoded (RFC 3986) forms.
//!
//! The user and password of a URL are replaced too, whoever wrote it and whether anybody said that
//! they are secret.
//!
//! Plug-ins choose what is live and what is written, so neither the number of secrets nor what they
//! have in common may cost time. No form is kept, only its length and a hash; at each place of a
//! text one look tells whether anything begins there, and then one look for each length that is
//! live tells what. Lengths from 64 bytes on are rounded down, at most by a ninth, so there are
//! never many more than a hundred: of a form that is longer than its rounded length the beginning
//! and the end of that length are looked for. They overlap, and together are the form.

mod fingerprint;
mod forms;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock};

use crate::Secret;
use fingerprint::{ByHash, Length, Pieces, hash};
use forms::forms;

/// Shown instead of a secret.
pub const REDACTED: &str = "[redacted]";

/// Shorter texts are not redacted: they would blank ordinary words, and are no secrets.
const SHORTEST: usize = 6;

/// From this length on not every length is told apart.
const ROUNDED_FROM: usize = 64;

/// What ends a URL in a text.
const BETWEEN_URLS: [char; 9] = [' ', '\t', '\r', '\n', '"', '\'', '`', '<', '>'];

/// So far behind the end of what is shown the `@` of a URL is looked for.
const LONGEST_USERINFO: usize = 4 << 10;

/// Places of a text that are looked at in one go.
const STRETCH: usize = 16 << 10;

/// Keeps a secret out of logs for as long as it exists. Two are equal if their secrets are.
#[derive(PartialEq, Eq)]
#[must_use = "a secret is redacted only while this guard exists"]
pub struct Live(Option<Key>);

impl Live {
    /// Whether its text is so short that it is not redacted at all.
    pub fn is_idle(&self) -> bool {
        self.0.is_none()
    }
}

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
    redact_beginning(text, text.len())
}

/// The first `limit` bytes of `text`, up to the end of a character, with every live secret replaced
/// that begins in them. Takes time by `limit`, however long the text is.
pub fn redact_beginning(text: &str, limit: usize) -> Cow<'_, str> {
    LIVE.read().unwrap_or_else(PoisonError::into_inner).redact(text, limit)
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

/// What stands between the scheme and the `@` of each URL. Takes time by the length of the text.
fn userinfos(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut first = 0;
    for word in text.split(BETWEEN_URLS) {
        if let Some(last_at) = word.rfind('@') {
            for (colon, _) in word.match_indices(':') {
                let Some(url) = behind_slashes(&word[colon + 1..]) else { continue };
                let start = word.len() - url.len();
                let Some(last_at) = last_at.checked_sub(start) else { break };
                if let Some(end) = userinfo_end(url, last_at) {
                    found.push(first + start..first + start + end);
                }
            }
        }
        // Every character between words is one byte.
        first += word.len() + 1;
    }
    found
}

/// What follows `//`, also as JSON may have it: `\/\/`.
fn behind_slashes(text: &str) -> Option<&str> {
    behind_slash(behind_slash(text)?)
}

fn behind_slash(text: &str) -> Option<&str> {
    text.trim_start_matches('\\').strip_prefix('/')
}

/// Where the user and password end in a URL without its scheme, whose word has its last `@` at
/// `last_at`. Looks at what stands before the second slash only: there may be many URLs in a word.
fn userinfo_end(url: &str, last_at: usize) -> Option<usize> {
    const DELIMITERS: [char; 3] = ['/', '?', '#'];
    let (authority, rest) = url.split_at(url.find(DELIMITERS).unwrap_or(url.len()));
    if let Some(at) = authority.rfind('@') {
        return Some(at);
    }
    // The slash may be `\/`.
    let host = authority.trim_end_matches('\\');
    let literal = host.strip_prefix('[').and_then(|literal| literal.split_once(']'));
    let (_, port) = literal.map_or(host, |(_, behind)| behind).split_once(':')?;
    if !is_port(port) {
        // A password that isn't encoded goes on behind the slash.
        return Some(last_at);
    }
    if literal.is_some() {
        return None;
    }
    // So may one that begins like a port. A path of several segments or a query is no password: else
    // no address of a user could be shown.
    let segment = rest.get(1..)?.split(DELIMITERS).next().unwrap_or_default();
    let at = segment.rfind('@').filter(|&at| at > 0)?;
    let is_field = !rest.starts_with('/') && segment[..at].contains('=');
    (!is_field).then_some(authority.len() + 1 + at)
}

fn is_port(text: &str) -> bool {
    !text.starts_with(['0', '+']) && text.parse::<u16>().is_ok()
}

/// Every live secret.
#[derive(Default)]
struct AllLive {
    secrets: HashMap<Key, Registered>,
    /// How many windows have a beginning of [`SHORTEST`] bytes with this hash.
    beginnings: ByHash<u32>,
    /// All windows, by length.
    windows: BTreeMap<usize, OfLength>,
}

/// A secret, by the length and the hash of its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    bytes: usize,
    hash: u64,
}

struct Registered {
    guards: usize,
    windows: Box<[Window]>,
}

/// What is looked for: so many bytes with this hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    bytes: usize,
    hash: u64,
    /// Of the first bytes.
    beginning: u64,
}

struct OfLength {
    length: Length,
    /// How often each hash is live.
    hashes: ByHash<u32>,
}

/// What was found in a text.
struct Found {
    /// From the first to the last; what overlaps is one.
    places: Vec<Range<usize>>,
    /// How often something was looked up.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count the work, since time lies"))]
    looks: usize,
}

impl AllLive {
    /// Counts one guard more. False: the secret isn't known yet.
    fn guard(&mut self, key: Key) -> bool {
        let known = self.secrets.get_mut(&key);
        known.map(|secret| secret.guards += 1).is_some()
    }

    fn add(&mut self, key: Key, windows: Box<[Window]>) {
        if self.guard(key) {
            return;
        }
        for window in &windows {
            let of_length = self.windows.entry(window.bytes).or_insert_with(|| OfLength {
                length: Length::new(window.bytes),
                hashes: ByHash::default(),
            });
            *of_length.hashes.entry(window.hash).or_default() += 1;
            *self.beginnings.entry(window.beginning).or_default() += 1;
        }
        self.secrets.insert(key, Registered { guards: 1, windows });
    }

    fn remove(&mut self, key: Key) {
        let Some(secret) = self.secrets.get_mut(&key) else { return };
        secret.guards -= 1;
        if secret.guards > 0 {
            return;
        }
        let Some(secret) = self.secrets.remove(&key) else { return };
        for window in &secret.windows {
            take_one(&mut self.beginnings, window.beginning);
            if let Some(of_length) = self.windows.get_mut(&window.bytes) {
                take_one(&mut of_length.hashes, window.hash);
                if of_length.hashes.is_empty() {
                    self.windows.remove(&window.bytes);
                }
            }
        }
    }

    fn redact<'a>(&self, text: &'a str, limit: usize) -> Cow<'a, str> {
        let end = text.floor_char_boundary(limit);
        let places = self.places(text, end);
        if places.is_empty() {
            return Cow::Borrowed(&text[..end]);
        }
        let mut result = String::with_capacity(end);
        let mut rest = 0;
        for place in places {
            // The rounded end of a secret may stand alone, and begin within a character.
            let start = text.floor_char_boundary(place.start);
            result.push_str(text.get(rest..start).unwrap_or_default());
            result.push_str(REDACTED);
            rest = text.ceil_char_boundary(place.end);
        }
        result.push_str(text.get(rest..end).unwrap_or_default());
        Cow::Owned(result)
    }

    /// What is not to be shown of the first `end` bytes of `text`.
    fn places(&self, text: &str, end: usize) -> Vec<Range<usize>> {
        let mut places = self.find(text.as_bytes(), end).places;
        let seen = &text[..text.floor_char_boundary(end.saturating_add(LONGEST_USERINFO))];
        let in_urls = userinfos(seen);
        if in_urls.is_empty() {
            return places;
        }
        places.extend(in_urls.into_iter().filter(|userinfo| userinfo.start < end));
        places.sort_by_key(|place| place.start);
        let mut apart = Vec::new();
        for place in places {
            add(&mut apart, place);
        }
        apart
    }

    /// Whatever is live and begins in the first `end` bytes of `text`.
    fn find(&self, text: &[u8], end: usize) -> Found {
        let mut found = Found { places: Vec::new(), looks: 0 };
        let Some((&longest, _)) = self.windows.last_key_value() else { return found };
        let beginning = Length::new(SHORTEST);
        for first in (0..end).step_by(STRETCH) {
            let stretch = STRETCH.min(end - first);
            let seen = &text[first..(first + stretch + longest).min(text.len())];
            let pieces = Pieces::of(seen);
            for start in 0..stretch {
                let Some(hash) = pieces.hash(start, beginning) else { break };
                found.looks += 1;
                if self.beginnings.contains_key(&hash) {
                    self.look(&pieces, start, first, &mut found);
                }
            }
        }
        found
    }

    /// Looks for what begins at `start` of a stretch, which begins at `first`. What ends within a
    /// place that is known already adds nothing.
    fn look(&self, pieces: &Pieces, start: usize, first: usize, found: &mut Found) {
        let at = first + start;
        let covered = found.places.last().map_or(0, |last| last.end);
        for (&bytes, of_length) in self.windows.range(covered.saturating_sub(at) + 1..).rev() {
            let Some(hash) = pieces.hash(start, of_length.length) else { continue };
            found.looks += 1;
            if !of_length.hashes.contains_key(&hash) {
                continue;
            }
            match found.places.last_mut() {
                Some(last) if at < last.end => last.end = at + bytes,
                _ => found.places.push(at..at + bytes),
            }
            return;
        }
    }
}

fn take_one(counts: &mut ByHash<u32>, hash: u64) {
    if let Some(count) = counts.get_mut(&hash) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&hash);
        }
    }
}

static LIVE: LazyLock<RwLock<AllLive>> = LazyLock::new(RwLock::default);

fn register(text: &str) -> Live {
    let text = text.trim();
    if text.len() < SHORTEST {
        return Live(None);
    }
    let key = key(text);
    let write = || LIVE.write().unwrap_or_else(PoisonError::into_inner);
    let known = write().guard(key);
    if !known {
        // Made while others may read.
        let windows = windows(text);
        write().add(key, windows);
    }
    Live(Some(key))
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(key) = self.0.take() {
            LIVE.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        }
    }
}

fn key(text: &str) -> Key {
    Key { bytes: text.len(), hash: hash(text.as_bytes()) }
}

/// What is looked for to find a secret.
fn windows(text: &str) -> Box<[Window]> {
    let mut windows = Vec::new();
    for form in forms(text) {
        let form = form.as_bytes();
        let bytes = rounded(form.len());
        for window in [&form[..bytes], &form[form.len() - bytes..]] {
            windows.push(Window {
                bytes,
                hash: hash(window),
                beginning: hash(&window[..SHORTEST]),
            });
        }
    }
    windows.sort_unstable();
    windows.dedup();
    windows.into()
}

/// The length, if it is short; else the length with all but its four highest bits cleared.
fn rounded(bytes: usize) -> usize {
    if bytes < ROUNDED_FROM {
        return bytes;
    }
    let dropped = bytes.ilog2() - 3;
    bytes >> dropped << dropped
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    impl AllLive {
        fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
            let mut all = Self::default();
            for secret in secrets {
                all.add(key(secret), windows(secret));
            }
            all
        }
    }

    /// Every place of every form of every secret, one after the other.
    fn naive(text: &str, secrets: &[String]) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            for start in 0..text.len() {
                if text.as_bytes()[start..].starts_with(form.as_bytes()) {
                    places.push(start..start + form.len());
                }
            }
        }
        places.sort_by_key(|place| (place.start, place.end));
        places.into_iter().fold(Vec::new(), |mut merged: Vec<Range<usize>>, place| {
            match merged.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => merged.push(place),
            }
            merged
        })
    }

    /// Secrets of this pattern, and a text of pieces of their forms.
    fn secrets_and_text(pattern: &'static str) -> impl Strategy<Value = (Vec<String>, String)> {
        let pieces = vec((any::<prop::sample::Index>(), 0..9_usize, 0..4_usize, "[ab]{0,3}"), 0..8);
        (vec(pattern, 1..6), pieces).prop_map(|(secrets, pieces)| {
            let mut text = String::new();
            for (secret, form, cut, between) in pieces {
                let secret: &String = secret.get(&secrets);
                let forms = forms(secret);
                let form = forms[form % forms.len()].as_str();
                text.push_str(&form[form.ceil_char_boundary(cut)..]);
                text.push_str(&between);
            }
            (secrets, text)
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_search_for_each_form_finds(
            (secrets, text) in secrets_and_text(r"[ab/\\é]{6,10}")
        ) {
            let all = AllLive::of(secrets.iter().map(String::as_str));
            prop_assert_eq!(all.find(text.as_bytes(), text.len()).places, naive(&text, &secrets));
        }

        #[test]
        fn of_long_secrets_nothing_is_left(
            (secrets, text) in secrets_and_text("[ab/é]{20,300}"), limit in 0..1000_usize
        ) {
            let all = AllLive::of(secrets.iter().map(String::as_str));
            let found = all.find(text.as_bytes(), text.len()).places;
            for place in naive(&text, &secrets) {
                let covers = |found: &Range<usize>| found.start <= place.start && place.end <= found.end;
                prop_assert!(found.iter().any(covers), "{place:?} in {found:?}");
            }
            let whole = all.redact(&text, text.len());
            let beginning = all.redact(&text, limit);
            let same = beginning.trim_end_matches(REDACTED).trim_end_matches('\u{FFFD}');
            prop_assert!(whole.starts_with(same), "{same:?} of {whole:?}");
        }

        #[test]
        fn what_is_live_is_forgotten_in_any_order(
            secrets in vec("[ab]{6,80}", 1..6), order in any::<u64>()
        ) {
            let mut all = AllLive::of(secrets.iter().map(String::as_str));
            let mut keys: Vec<Key> = secrets.iter().map(|secret| key(secret)).collect();
            let middle = usize::try_from(order % keys.len() as u64).unwrap();
            keys.rotate_left(middle);
            for key in keys {
                all.remove(key);
            }
            prop_assert!(all.secrets.is_empty() && all.windows.is_empty());
            prop_assert!(all.beginnings.is_empty());
        }
    }

    /// The looks that a line takes whose every place begins like a secret.
    fn looks(secrets: impl Iterator<Item = String>, text: &str) -> usize {
        let secrets: Vec<String> = secrets.collect();
        AllLive::of(secrets.iter().map(String::as_str)).find(text.as_bytes(), text.len()).looks
    }

    #[test]
    fn neither_the_number_of_secrets_nor_what_they_share_costs_time() {
        let text = "A".repeat(4096);
        let few = looks((0..60).map(|number| format!("AAAAAA{number:034}")), &text);
        let alike = looks((0..60_000).map(|number| format!("AAAAAA{number:034}")), &text);
        let different = looks((0..60_000).map(|number| format!("{number:034}AAAAAA")), &text);
        assert_eq!(few, alike);
        assert!(different <= alike, "{different} {alike}");
        assert!(alike <= text.len() * 8, "{alike}");
    }

    #[test]
    fn secrets_of_every_length_cost_a_bounded_number_of_looks() {
        // Each is the beginning of the next.
        let text = "A".repeat(4096);
        let nested = |longest: usize| (6..longest).map(|length| "A".repeat(length) + "B");
        let (some, all) = (looks(nested(200), &text), looks(nested(2000), &text));
        assert!(all < some * 2, "{some} {all}");
        assert!(all < text.len() * 130, "{all}");
    }

    #[test]
    fn a_beginning_costs_by_its_own_length() {
        let all = AllLive::of(["AAAAAAB"]);
        let (short, long) = ("A".repeat(4096), "A".repeat(4 << 20));
        let looks = |text: &str| all.find(text.as_bytes(), 1000).looks;
        assert_eq!(looks(&short), looks(&long));
    }

    #[test]
    fn a_secret_that_goes_on_beyond_the_beginning_is_replaced() {
        let secret = format!("begins-{}", "x".repeat(500));
        let all = AllLive::of([secret.as_str()]);
        let text = format!("<{secret}> and more");
        assert_eq!(all.redact(&text, 4), "<[redacted]");
        assert_eq!(all.redact(&text, 1), "<");
        assert_eq!(all.redact(&text, text.len()), "<[redacted]> and more");
    }

    #[test]
    fn text_is_searched_beyond_one_stretch() {
        let all = AllLive::of(["between-two-stretches"]);
        for before in [STRETCH - 22, STRETCH - 5, STRETCH, STRETCH + 1] {
            let text = format!("{}between-two-stretches.", " ".repeat(before));
            assert_eq!(all.redact(&text, text.len()).trim_start(), "[redacted].", "{before}");
        }
    }

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
            ("http://u:12/34@host", "http://[redacted]@host"),
            ("http://u:12/34@host/v1/a@b", "http://[redacted]@host/v1/a@b"),
            ("http://u:12?34@host", "http://[redacted]@host"),
            ("http://u:65536/3/4@host", "http://[redacted]@host"),
            ("http://u:012/3/4@host", "http://[redacted]@host"),
            ("http://u:/3/4@host", "http://[redacted]@host"),
            ("http://u:p]:80/w@host", "http://[redacted]@host"),
            (r#"{"at":"http:\/\/u:p@h\/x"}"#, r#"{"at":"http:\/\/[redacted]@h\/x"}"#),
            (r"http:\/\/u:p\/w@h", r"http:\/\/[redacted]@h"),
            (r"http:\/\/u:12\/34@h", r"http:\/\/[redacted]@h"),
            (r"http:\\\/\\\/u:p@h", r"http:\\\/\\\/[redacted]@h"),
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
            "https://host:8200?q=a@b",
            "http://host:8200/path?mail=a@b.c",
            "http://host/@x",
            "http://host:8200/@x",
            "https://host:443/users/me@example.org",
            r"http:\/\/host:8200\/path?mail=a@b.c",
            r"https:\/\/host:443\/users\/me@example.org",
            r"http:\/\/host\/@x",
            "at 12:34 for a@b",
            "://",
            "user@host",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn of_many_urls_in_one_word_each_is_looked_at_once() {
        for url in ["a://", "a:/", ":\\", "a://b:1/", "a://b:1/c@", "a://[", "a://b:x/"] {
            let text = url.repeat(200_000) + "@";
            assert!(userinfos(&text).len() <= 200_000, "{url}");
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
