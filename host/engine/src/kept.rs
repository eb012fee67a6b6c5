//! What the host keeps on behalf of one use, counted.
//!
//! A plug-in chooses the size of what outlives its calls: its state, the secrets that it makes
//! known, what it said about itself and its failures. All of it counts against one ceiling, and
//! what doesn't fit is refused before it is kept.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use usher_secret::redactor::{self, Live};
use zeroize::Zeroizing;

use crate::failure::{Failure, FailureKind};
use crate::grant::Need;

/// Bytes that are kept for one use.
pub(crate) const MOST_KEPT: usize = 256 << 10;
/// Bytes of state.
const MOST_STATE: usize = 64 << 10;
/// Texts kept out of logs.
const MOST_TEXTS: usize = 64;
/// Bytes of these texts.
const MOST_TEXT_BYTES: usize = 64 << 10;
/// Longer texts are certificates or documents, whose lines would not be found anyway.
pub(crate) const LONGEST_TEXT: usize = 8 << 10;

/// What is kept for one use.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    state: Zeroizing<Vec<u8>>,
    /// Keeps what the plug-in has read out of every log.
    secrets: HashMap<Source, Vec<Text>>,
    /// Counts the calls.
    call: u64,
    /// Of each [`Item`].
    bytes: [usize; 6],
}

/// One thing that is kept; there is one of each.
#[derive(Clone, Copy)]
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
            return Err(exceeded("the plug-in tried to save more than 64 KiB of state"));
        }
        let mut inner = self.inner();
        inner.count(Item::State, value.len())?;
        inner.state = value;
        Ok(())
    }

    /// Keeps `texts`, which came from `source`, out of logs until a later call brings others from
    /// there. If the source is many things at once, the others stay as long as there is room.
    pub(crate) fn keep_out_of_logs<'a>(
        &self,
        source: Source,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<(), Failure> {
        let mut inner = self.inner();
        let call = inner.call;
        let mut held = inner.secrets.remove(&source).unwrap_or_default();
        let others = inner.secrets.values().flatten();
        let others = others.fold((0, 0), |(texts, bytes), text| (texts + 1, bytes + text.bytes));
        let mut kept = Ok(());
        for text in texts.filter(|text| text.len() <= LONGEST_TEXT) {
            let live = redactor::keep_text_out_of_logs(text);
            if live.is_idle() {
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
                kept = Err(exceeded(
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
        kept.and_then(|()| inner.count(Item::Secrets, others.1 + bytes))
    }
}

/// Whether these texts are too many, together with `others`: how many, and their bytes.
fn exceed((texts, bytes): (usize, usize), held: &[Text]) -> bool {
    let held_bytes: usize = held.iter().map(|text| text.bytes).sum();
    texts + held.len() > MOST_TEXTS || bytes + held_bytes > MOST_TEXT_BYTES
}

impl Inner {
    fn count(&mut self, item: Item, bytes: usize) -> Result<(), Failure> {
        let mut all = self.bytes;
        all[item as usize] = bytes;
        if all.iter().sum::<usize>() > MOST_KEPT {
            return Err(exceeded(
                "the plug-in makes the agent keep more than 256 KiB for one method or sink: state, secrets, revision, certificate, failure, schema and needs together; let it keep less",
            ));
        }
        self.bytes = all;
        Ok(())
    }
}

fn exceeded(message: &str) -> Failure {
    Failure::new(FailureKind::Internal, "limit.exceeded", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Capability;

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
}
