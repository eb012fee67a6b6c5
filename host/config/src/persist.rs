//! Reads `persist` in `cache`: what outlives the process, and where.

use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Location};
use crate::fields::{Fields, Located, Nested, Report};
use crate::plugins::without_dots;
use crate::schema::PERSIST;
use crate::settings::{Persist, PersistKey, PersistPlace};
use crate::tree::Value;
use crate::typed_block::lower_kind;

/// The type that the incumbents know, too.
const KUBERNETES: &str = "kubernetes";
const FILE: &str = "file";
const SYSTEMD: &str = "systemd";

/// Where Kubernetes puts it.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The keys that not every type has, and the types that have them.
const KEYS: [(&str, &[&str]); 5] = [
    ("path", &[KUBERNETES, FILE]),
    ("service_account_token_file", &[KUBERNETES]),
    ("keep_after_import", &[KUBERNETES]),
    ("key_credential", &[FILE]),
    ("key_file", &[FILE]),
];

/// The `persist` block.
pub(crate) struct PersistBlock {
    pub(crate) location: Location,
    /// It is as the incumbents have it, who keep with it what listeners cache. Other types are ours,
    /// and are of use to identities alone.
    pub(crate) needs_listener: bool,
    /// None: its problems are in the report.
    pub(crate) setting: Option<Persist>,
}

impl PersistBlock {
    /// Whether the values fit the keys' types is judged already.
    pub(crate) fn read(cache: &Fields<'_>, report: &mut Report) -> Option<Self> {
        let blocks = cache.typed_blocks("persist", &PERSIST, &mut Report::new());
        if let [first, second, ..] = blocks.as_slice() {
            report.push(Diagnostic::new_error(
                "duplicate-block",
                format!("a second `persist` block; the first is at {}", first.location),
                "keep one `persist` block",
                Some(second.location),
            ));
        }
        let read: Vec<Self> = blocks.iter().map(|block| persist(block, report)).collect();
        read.into_iter().next()
    }
}

fn persist(block: &Nested<'_>, report: &mut Report) -> PersistBlock {
    let fields = Fields::of(block.object, &PERSIST, &mut Report::new());
    let kind = lower_kind(&fields, block);
    let reader = Reader { fields, block };
    let problems = report.len();
    reader.refuse_other_types(&kind, report);
    let place = reader.place(&kind, report).filter(|_| report.len() == problems);
    let exit_on_err = reader.is_on("exit_on_err");
    let location = block.location.clone();
    PersistBlock {
        location: location.clone(),
        needs_listener: matches!(kind.as_str(), KUBERNETES | ""),
        setting: place.map(|place| Persist { place, exit_on_err, location }),
    }
}

/// A block that is judged already: what doesn't fit a key's type is in the report.
struct Reader<'a> {
    fields: Fields<'a>,
    block: &'a Nested<'a>,
}

impl Reader<'_> {
    /// A key that is for other types would have no effect here, which with a key to seal with would
    /// be the last thing that is meant.
    fn refuse_other_types(&self, kind: &str, report: &mut Report) {
        if ![KUBERNETES, FILE, SYSTEMD].contains(&kind) {
            return;
        }
        // Null is "not set".
        let items = self.block.object.items.iter();
        for item in items.filter(|item| !matches!(item.node.value, Value::Null)) {
            let name = PERSIST.key(&item.key.text).map(|key| key.name);
            let found = KEYS.iter().find(|(key, _)| Some(*key) == name);
            let Some((key, types)) = found.filter(|(_, types)| !types.contains(&kind)) else {
                continue;
            };
            let types = types.join("\" or \"");
            report.push(self.error(
                format!("`{key}` is for persist \"{types}\", and this one is \"{kind}\""),
                "take it out, or write the other type",
                Some(&item.key.location),
            ));
        }
    }

    fn place(&self, kind: &str, report: &mut Report) -> Option<PersistPlace> {
        match kind {
            KUBERNETES => {
                let token_file = self.text("service_account_token_file");
                Some(PersistPlace::Kubernetes {
                    path: self.path(kind, report)?.value.into(),
                    service_account_token_file: token_file
                        .map_or_else(|| TOKEN_FILE.into(), |text| text.value.into()),
                    keep_after_import: self.is_on("keep_after_import"),
                })
            }
            FILE => {
                let path = self.path(kind, report);
                let key = self.key(path.as_ref(), report);
                Some(PersistPlace::File { path: path?.value.into(), key: key? })
            }
            SYSTEMD => Some(PersistPlace::Systemd),
            "" => {
                let help = "write persist \"file\" { … }, \"systemd\" or \"kubernetes\"";
                report.push(self.error("this persist has no type", help, None));
                None
            }
            other => {
                let said = self.text("type").map(|text| text.location);
                let label = self.block.labels.first().map(|label| &label.location);
                report.push(self.error(
                    format!("there is no persist type {other:?}"),
                    "write \"kubernetes\", \"file\" or \"systemd\"",
                    said.as_ref().or(label),
                ));
                None
            }
        }
    }

    fn path(&self, kind: &str, report: &mut Report) -> Option<Located<String>> {
        let path = self.text("path");
        if path.is_none() && self.is_open("path") {
            let help = match kind {
                KUBERNETES => {
                    "write path = \"/vault/agent-cache\", a volume that the containers share"
                }
                _ => "write path = \"/var/lib/usher\", a directory of the agent's own",
            };
            report.push(self.error(format!("this persist {kind:?} has no path"), help, None));
        }
        path
    }

    /// Exactly one, and not where it would be lost with what it seals.
    fn key(&self, directory: Option<&Located<String>>, report: &mut Report) -> Option<PersistKey> {
        match (self.text("key_credential"), self.text("key_file")) {
            (Some(_), Some(file)) => {
                report.push(self.error(
                    "this persist \"file\" has two keys",
                    "keep one of `key_credential` and `key_file`",
                    Some(&file.location),
                ));
                None
            }
            (Some(credential), None) => {
                if credential.value.starts_with('.') || credential.value.contains(['/', ':']) {
                    report.push(self.error(
                        "`key_credential` is no name of a credential",
                        "write the name alone, as it stands before the colon of LoadCredentialEncrypted=",
                        Some(&credential.location),
                    ));
                }
                Some(PersistKey::Credential(credential.value))
            }
            (None, Some(file)) => {
                let beside = |directory: &&Located<String>| {
                    without_dots(&file.value).starts_with(without_dots(&directory.value))
                };
                if let Some(directory) = directory.filter(beside) {
                    report.push(self.error(
                        format!("`key_file` lies in {}: whoever takes what is kept there, such as a backup, has its key, too", directory.value),
                        "write a path elsewhere: key_file = \"/etc/usher/persist.key\"",
                        Some(&file.location),
                    ));
                }
                Some(PersistKey::File(PathBuf::from(file.value)))
            }
            (None, None) => {
                if self.is_open("key_credential") && self.is_open("key_file") {
                    report.push(self.error(
                        "this persist \"file\" has no key",
                        "write key_credential = \"NAME\", a credential of systemd's, or key_file = \"PATH\"",
                        None,
                    ));
                }
                None
            }
        }
    }

    /// "" is not set.
    fn text(&self, key: &str) -> Option<Located<String>> {
        self.fields.string(key, &mut Report::new()).filter(|text| !text.value.is_empty())
    }

    /// It says nothing, rather than something that is refused already.
    fn is_open(&self, key: &str) -> bool {
        let mut refused = Report::new();
        self.fields.string(key, &mut refused);
        refused.is_empty()
    }

    fn is_on(&self, key: &str) -> bool {
        self.fields.strict_boolean(key, &mut Report::new()).unwrap_or(false)
    }

    fn error(
        &self,
        message: impl Into<String>,
        help: &str,
        place: Option<&Location>,
    ) -> Diagnostic {
        let place = place.unwrap_or(self.block.location);
        Diagnostic::new_error("cache.persist", message, help, Some(place))
    }
}
