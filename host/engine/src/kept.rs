//! What the host keeps on behalf of one use, counted.
//!
//! A plug-in chooses the size of what outlives its calls: its state, the secrets that it makes
//! known, what it said about itself and its failures. All of it counts against one ceiling, and
//! what doesn't fit is refused before it is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use usher_grant::Need;
use usher_secret::redactor::{self, Live};
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Bytes that are kept for one use.
const MOST_KEPT_BYTES: usize = 256 << 10;
/// Bytes of state.
const MOST_STATE: usize = 64 << 10;
/// Texts kept out of logs.
const MOST_TEXTS: usize = 64;
/// Bytes of these texts.
const MOST_TEXT_BYTES: usize = 64 << 10;
/// Of a longer text nothing is kept out of logs, or only its beginning.
const LONGEST_TEXT: usize = 64 << 10;
/// The longest token or wrapping token; longer texts are documents, whatever they hold.
pub(crate) const LONGEST_CREDENTIAL: usize = 8 << 10;

/// What is kept for one use.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    state: Zeroizing<Vec<u8>>,
    /// Keeps what the plug-in has read out of every log.
    secrets: HashMap<Source, Vec<Text>>,
    /// Does the same for what can't be refused, and makes room for all else: the first one goes
    /// first.
    newest: VecDeque<Text>,
    /// Counts the calls.
    call: u64,
    /// Without what makes room.
    bytes: HashMap<Item, usize>,
}

/// One thing that is kept; there is one of each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    /// What the plug-in remembers.
    State,
    /// Texts that are kept out of logs.
    Secrets,
    /// What tells one credential from the next.
    Revision,
    /// The certificate of the login in force, and its roots.
    Certificate,
    /// How the last call failed.
    Failure,
    /// The schema of the configuration, and what it needs.
    Plugin,
}

/// Where a secret came from. Never a text that a plug-in chose: it could choose another each time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// What the host does for the plug-in.
    Host(&'static str),
    /// Something that is granted.
    Granted(Need),
}

/// One text that is kept out of logs.
struct Text {
    live: Live,
    bytes: usize,
    /// The last call that brought it.
    call: u64,
}

impl Source {
    /// Whether each text is from a thing of its own, so that the next doesn't replace it.
    fn is_many(&self) -> bool {
        matches!(self, Self::Granted(need) if need.target.contains('*'))
    }
}

impl From<&'static str> for Source {
    fn from(what: &'static str) -> Self {
        Self::Host(what)
    }
}

impl From<Need> for Source {
    fn from(need: Need) -> Self {
        Self::Granted(need)
    }
}

impl Kept {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another call begins.
    pub(crate) fn begin_call(&self) {
        self.inner().call += 1;
    }

    /// Counts `bytes` for `item` instead of what it had before; too many are refused.
    pub(crate) fn count(&self, item: Item, bytes: usize) -> Result<(), Failure> {
        self.inner().count(item, bytes)
    }

    pub(crate) fn load_state(&self) -> Vec<u8> {
        self.inner().state.to_vec()
    }

    pub(crate) fn save_state(&self, value: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
        if value.len() > MOST_STATE {
            return Err(Failure::exceeded("the plug-in tried to save more than 64 KiB of state"));
        }
        let mut inner = self.inner();
        inner.count(Item::State, value.len())?;
        inner.state = value;
        Ok(())
    }

    /// Keeps `texts`, which came from `source`, out of logs until a later call brings others from
    /// there. If the source is many things at once, the others stay as long as there is room.
    ///
    /// Documents, such as a bundle of certificates with its key, stay as long as there is room too,
    /// and are never refused.
    pub(crate) fn keep_out_of_logs<'a>(
        &self,
        source: Source,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        let mut inner = self.inner();
        let call = inner.call;
        let mut held = inner.secrets.remove(&source).unwrap_or_default();
        let others = inner.secrets();
        let mut kept = Ok(());
        for text in texts.filter(|text| text.len() <= LONGEST_TEXT) {
            let live = redactor::keep_text_out_of_logs(text);
            if live.is_idle() {
                continue;
            }
            if text.len() > LONGEST_CREDENTIAL {
                inner.keep_document(Text { live, bytes: text.len(), call });
                continue;
            }
            if let Some(known) = held.iter_mut().find(|known| known.live == live) {
                known.call = call;
                continue;
            }
            held.push(Text { live, bytes: text.len(), call });
            if exceed(others, &held) {
                held.retain(|text| text.call == call);
            }
            if exceed(others, &held) {
                held.pop();
                kept = Err(Failure::exceeded(
                    "the plug-in has more than 64 secrets, or 64 KiB of them, which is more than the agent keeps out of its log for one method or sink; let it read, ask for and send less",
                ));
                break;
            }
        }
        if kept.is_ok() && !source.is_many() {
            held.retain(|text| text.call == call);
        }
        let bytes: usize = held.iter().map(|text| text.bytes).sum();
        inner.secrets.insert(source, held);
        inner.make_room();
        kept.and_then(|()| inner.count(Item::Secrets, others.1 + bytes))
    }

    /// Keeps `texts` out of logs until newer ones, or anything else that is kept, need their room.
    /// For what the plug-in gets in any case. Of a text that is too long the beginning is hidden: no
    /// line of a log shows more.
    pub(crate) fn keep_newest_out_of_logs<'a>(
        &self,
        texts: impl DoubleEndedIterator<Item = &'a str>,
    ) {
        let mut inner = self.inner();
        let call = inner.call;
        let (_, secret_bytes) = inner.secrets();
        let room = MOST_TEXT_BYTES
            .saturating_sub(secret_bytes)
            .min(MOST_KEPT_BYTES.saturating_sub(inner.counted()))
            .min(LONGEST_TEXT);
        let mut newest: Vec<Text> = Vec::new();
        let mut left = room;
        for text in texts.rev() {
            if newest.len() == MOST_TEXTS || left == 0 {
                break;
            }
            let text = &text[..text.floor_char_boundary(room)];
            let live = redactor::keep_text_out_of_logs(text);
            if !live.is_idle() && newest.iter().all(|known| known.live != live) {
                left = left.saturating_sub(text.len());
                newest.push(Text { live, bytes: text.len(), call });
            }
        }
        for text in newest.into_iter().rev() {
            // The same again is the newest now.
            inner.newest.retain(|known| known.live != text.live);
            inner.newest.push_back(text);
        }
        inner.make_room();
    }
}

/// How many texts these are, and their bytes.
fn sizes<'a>(texts: impl Iterator<Item = &'a Text>) -> (usize, usize) {
    texts.fold((0, 0), |(texts, bytes), text| (texts + 1, bytes + text.bytes))
}

/// Whether these texts are too many, together with `others`: how many, and their bytes.
fn exceed((texts, bytes): (usize, usize), held: &[Text]) -> bool {
    let held_bytes: usize = held.iter().map(|text| text.bytes).sum();
    texts + held.len() > MOST_TEXTS || bytes + held_bytes > MOST_TEXT_BYTES
}

impl Inner {
    fn count(&mut self, item: Item, bytes: usize) -> Result<(), Failure> {
        let before = self.bytes.get(&item).copied().unwrap_or_default();
        if self.counted() - before + bytes > MOST_KEPT_BYTES {
            return Err(Failure::exceeded(
                "the plug-in makes the agent keep more than 256 KiB for one method or sink: state, secrets, revision, certificate, failure, schema and needs together; let it keep less",
            ));
        }
        self.bytes.insert(item, bytes);
        self.make_room();
        Ok(())
    }

    /// Bytes of all that doesn't make room.
    fn counted(&self) -> usize {
        self.bytes.values().sum()
    }

    /// How many texts don't make room, and their bytes.
    fn secrets(&self) -> (usize, usize) {
        sizes(self.secrets.values().flatten())
    }

    /// Whether `more` bytes in one text fit beside all that is kept; with 0, whether this fits.
    fn has_room(&self, more: usize) -> bool {
        let (secrets, secret_bytes) = self.secrets();
        let (newest, newest_bytes) = sizes(self.newest.iter());
        let bytes = newest_bytes + more;
        secrets + newest + usize::from(more > 0) <= MOST_TEXTS
            && secret_bytes + bytes <= MOST_TEXT_BYTES
            && self.counted() + bytes <= MOST_KEPT_BYTES
    }

    fn make_room(&mut self) {
        while !self.has_room(0) && self.newest.pop_front().is_some() {}
    }

    /// Takes the place of no credential, only of other documents: these are the first to go.
    fn keep_document(&mut self, document: Text) {
        if self.newest.iter().any(|known| known.live == document.live) {
            return;
        }
        while !self.has_room(document.bytes)
            && self.newest.front().is_some_and(|first| first.bytes > LONGEST_CREDENTIAL)
        {
            self.newest.pop_front();
        }
        if self.has_room(document.bytes) {
            self.newest.push_front(document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usher_grant::Capability;

    fn code(result: Result<(), Failure>) -> Option<String> {
        result.err().map(|failure| failure.code)
    }

    fn texts(marker: &str, count: usize, length: usize) -> Vec<String> {
        (0..count)
            .map(|number| format!("{marker}{number:0width$}", width = length - marker.len()))
            .collect()
    }

    fn keep(kept: &Kept, source: impl Into<Source>, texts: &[String]) -> Result<(), Failure> {
        kept.keep_out_of_logs(source.into(), texts.iter().map(String::as_str))
    }

    #[test]
    fn more_secrets_than_the_ceiling_are_refused_and_the_others_stay_hidden() {
        let kept = Kept::default();
        assert_eq!(code(keep(&kept, "a", &texts("kept-a-", 40, 40))), None);
        let too_many = code(keep(&kept, "b", &texts("kept-b-", 25, 40)));
        assert_eq!(too_many.as_deref(), Some("limit.exceeded"));
        assert_eq!(code(keep(&kept, "b", &texts("kept-b-", 24, 40))), None);
        assert_eq!(redactor::redact(&texts("kept-a-", 1, 40)[0]), redactor::REDACTED);
        // By their bytes.
        let kept = Kept::default();
        let too_large = code(keep(&kept, "a", &texts("kept-c-", 9, 8 << 10)));
        assert_eq!(too_large.as_deref(), Some("limit.exceeded"));
        assert_eq!(code(keep(&kept, "a", &texts("kept-c-", 8, 8 << 10))), None);
        let again = &texts("kept-c-", 1, 8 << 10)[0];
        let more: Vec<String> = vec![again.clone(); 100];
        assert_eq!(code(keep(&kept, "a", &more)), None, "the same secret counts once");
    }

    #[test]
    fn what_is_refused_costs_no_more_than_the_ceiling() {
        let kept = Kept::default();
        let many = texts("kept-m-", 60_000, 40);
        let mut taken = 0;
        let counted = many.iter().map(|text| {
            taken += 1;
            text.as_str()
        });
        assert!(kept.keep_out_of_logs("a".into(), counted).is_err());
        assert!(taken <= MOST_TEXTS + 1, "{taken}");
    }

    #[test]
    fn what_one_pattern_brings_stays_hidden_while_there_is_room() {
        let kept = Kept::default();
        let need = || Need { capability: Capability::Read, target: "/run/acme/*".to_owned() };
        let texts = texts("kept-d-", 3, 40);
        for text in &texts[..2] {
            keep(&kept, need(), std::slice::from_ref(text)).unwrap();
        }
        let hidden = |text: &String| redactor::redact(text) == redactor::REDACTED;
        assert!(hidden(&texts[0]) && hidden(&texts[1]));
        kept.begin_call();
        keep(&kept, need(), &texts[2..]).unwrap();
        assert!(texts.iter().all(hidden), "they are different files");
        // A file whose name changes each time never fills it up.
        for text in self::texts("kept-f-", 1000, 40) {
            kept.begin_call();
            keep(&kept, need(), std::slice::from_ref(&text)).unwrap();
            assert!(hidden(&text));
        }
        assert!(!hidden(&texts[0]));
        let inner = kept.inner();
        assert!(
            inner.secrets.len() == 1 && inner.secrets[&Source::from(need())].len() <= MOST_TEXTS
        );
    }

    #[test]
    fn a_file_that_is_replaced_again_and_again_is_one_secret() {
        let kept = Kept::default();
        let need = || Need { capability: Capability::Read, target: "/run/acme/jwt".to_owned() };
        let texts = texts("kept-g-", 1000, 40);
        for text in &texts {
            kept.begin_call();
            keep(&kept, need(), std::slice::from_ref(text)).unwrap();
        }
        assert_eq!(kept.inner().secrets[&Source::from(need())].len(), 1);
        let hidden = |text: &String| redactor::redact(text) == redactor::REDACTED;
        assert!(!hidden(&texts[998]) && hidden(&texts[999]));
    }

    #[test]
    fn everything_counts_against_one_ceiling() {
        let kept = Kept::default();
        kept.save_state(Zeroizing::new(vec![0; MOST_STATE])).unwrap();
        kept.count(Item::Revision, 100 << 10).unwrap();
        assert!(kept.count(Item::Failure, 100 << 10).is_err());
        kept.count(Item::Failure, 20 << 10).unwrap();
        let secrets = texts("kept-e-", 8, 8 << 10);
        assert!(keep(&kept, "a", &secrets).is_ok());
        assert!(kept.count(Item::Plugin, 9 << 10).is_err());
        // What is smaller makes room, and state that is refused leaves the old one.
        kept.count(Item::Revision, 0).unwrap();
        kept.count(Item::Plugin, 9 << 10).unwrap();
        assert!(kept.save_state(Zeroizing::new(vec![1; MOST_STATE + 1])).is_err());
        assert_eq!(kept.load_state(), vec![0; MOST_STATE]);
    }

    #[test]
    fn the_newest_texts_stay_hidden_and_make_room_for_what_can_be_refused() {
        let kept = Kept::default();
        let hidden = |text: &String| redactor::redact(text) == redactor::REDACTED;
        let answers = texts("kept-h-", 200, 40);
        kept.keep_newest_out_of_logs(answers.iter().map(String::as_str));
        assert!(answers[200 - MOST_TEXTS..].iter().all(hidden), "as many as fit");
        assert!(!answers[..200 - MOST_TEXTS].iter().any(hidden));
        // The same again is the newest.
        kept.keep_newest_out_of_logs(std::iter::once(answers[200 - MOST_TEXTS].as_str()));
        keep(&kept, "a", &texts("kept-i-", MOST_TEXTS - 1, 40)).unwrap();
        assert!(hidden(&answers[200 - MOST_TEXTS]) && !hidden(&answers[199]));
        assert_eq!(kept.inner().newest.len(), 1);
    }

    #[test]
    fn the_newest_texts_are_within_the_ceilings_and_cost_no_more() {
        let kept = Kept::default();
        kept.count(Item::Revision, MOST_KEPT_BYTES - (20 << 10)).unwrap();
        let answers = texts("kept-j-", 500, 9000);
        let mut taken = 0;
        let counted = answers.iter().inspect(|_| taken += 1).map(String::as_str);
        kept.keep_newest_out_of_logs(counted);
        assert!(taken <= MOST_TEXTS + 1, "{taken}");
        assert_eq!(kept.inner().newest.len(), 2, "20 KiB of them");
        kept.count(Item::Revision, MOST_KEPT_BYTES - (10 << 10)).unwrap();
        assert_eq!(kept.inner().newest.len(), 1);
        assert_eq!(redactor::redact(&answers[499]), redactor::REDACTED);
        // Longer than there is room.
        let long = texts("kept-k-", 1, 60 << 10).remove(0);
        kept.keep_newest_out_of_logs(std::iter::once(long.as_str()));
        assert!(redactor::redact(&long).starts_with(redactor::REDACTED));
    }

    #[test]
    fn documents_are_hidden_while_there_is_room_and_refuse_nothing() {
        let kept = Kept::default();
        let hidden = |text: &String| redactor::redact(text) == redactor::REDACTED;
        let documents = texts("kept-l-", 2, 40 << 10);
        let tokens = texts("kept-n-", 1, 8 << 10);
        kept.keep_newest_out_of_logs(tokens.iter().map(String::as_str));
        keep(&kept, "a", &documents[..1]).unwrap();
        assert!(hidden(&documents[0]));
        keep(&kept, "a", &documents[1..]).unwrap();
        assert!(!hidden(&documents[0]) && hidden(&documents[1]) && hidden(&tokens[0]));
        keep(&kept, "b", &texts("kept-o-", 3, 8 << 10)).unwrap();
        assert!(!hidden(&documents[1]) && hidden(&tokens[0]), "a document is the first to go");
    }
}
