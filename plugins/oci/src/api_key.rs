//! The API signing key of a user: from the environment, else from the file of Oracle's SDKs.
//!
//! As the incumbents have it, each setting is looked for by itself, so that the environment may have
//! some and the file the others:
//! <https://docs.oracle.com/en-us/iaas/Content/API/Concepts/sdkconfig.htm>.

use crate::private_key;
use crate::signature::Signer;
use usher_plugin::{Failure, Kind, Need, env, files};
use usher_plugin_lib::ini::{Ini, Malformed};
use usher_plugin_lib::nothing_to_use;

/// A setting: its variable, and its key in the file.
type Setting = (&'static str, &'static str);

const TENANCY: Setting = ("OCI_tenancy_ocid", "tenancy");
const USER: Setting = ("OCI_user_ocid", "user");
const FINGERPRINT: Setting = ("OCI_fingerprint", "fingerprint");
const KEY_FILE: Setting = ("OCI_private_key_path", "key_file");
const PASS_PHRASE: Setting = ("OCI_pass_phrase", "pass_phrase");
/// As Oracle's SDK for Go calls it too.
const ALSO_PASS_PHRASE: Setting = ("OCI_pass_phrase", "passphrase");

/// Names the file where the usual one isn't.
const FILE: &str = "OCI_CONFIG_FILE";

const USUAL: &str = "~/.oci/config";
const OLD: &str = "~/.oraclebmc/config";
const PROFILE: &str = "DEFAULT";

/// Where a key file that the file names may be. A need can't say what only the file knows.
const KEYS: [&str; 5] =
    ["~/.oci/*", "~/.oraclebmc/*", "/etc/oci/*", "/run/secrets/*", "/var/run/secrets/*"];

pub(crate) fn needs() -> Vec<Need> {
    let settings = [TENANCY, USER, FINGERPRINT, KEY_FILE, PASS_PHRASE];
    let mut needs: Vec<Need> = settings.iter().map(|(variable, _)| Need::env(*variable)).collect();
    needs.push(Need::env(FILE));
    needs.extend([USUAL, "${OCI_CONFIG_FILE}", OLD, "${OCI_private_key_path}"].map(Need::watch));
    needs.extend(KEYS.map(Need::read));
    needs
}

/// The user's key.
pub(crate) fn signer() -> Result<Signer, Failure> {
    let file = File::read()?;
    let pass_phrase = match file.find(PASS_PHRASE)? {
        Some(pass_phrase) => Some(pass_phrase),
        None => file.find(ALSO_PASS_PHRASE)?,
    };
    let [tenancy, user, fingerprint, path] =
        [TENANCY, USER, FINGERPRINT, KEY_FILE].map(|setting| file.demand(setting));
    let key_id = format!("{}/{}/{}", tenancy?, user?, fingerprint?);
    let path = path?;
    if key_id.contains(|character: char| character == '"' || !character.is_ascii_graphic()) {
        let message = format!(
            "tenancy, user or fingerprint of {} has a character that none of them can have; correct it",
            file.shown()
        );
        return Err(Failure::unavailable("oci.key-id", message));
    }
    let content = files::read(&path).map_err(|failure| {
        if failure.code == "grant.missing" {
            let message = format!(
                "the method may not read {path}; put the private key below ~/.oci or /etc/oci, or \
                 name it in the variable {}",
                KEY_FILE.0
            );
            // Another key may be put in its place.
            return Failure { kind: Kind::Unavailable, message, ..failure };
        }
        nothing_to_use("private key", failure)
    })?;
    let text = String::from_utf8_lossy(&content);
    let key_pem = private_key::open(&text, pass_phrase.as_deref(), &path)?;
    Ok(Signer { key_id, key_pem, key_name: path })
}

/// The file with the settings, as far as there is one. It may hold a passphrase: not shown.
struct File {
    path: String,
    content: Option<String>,
}

impl File {
    fn read() -> Result<Self, Failure> {
        let named = env::get(FILE)?.filter(|path| !path.is_empty());
        for path in [Some(USUAL), named.as_deref(), Some(OLD)].into_iter().flatten() {
            match files::read(path) {
                Ok(content) => {
                    let content = String::from_utf8(content).map_err(|_| {
                        Failure::unavailable("file.not-text", format!("{path} is not text (UTF-8)"))
                    })?;
                    return Ok(Self { path: path.to_owned(), content: Some(content) });
                }
                Err(failure) if failure.code == "file.not-found" => {}
                Err(failure) => return Err(nothing_to_use("OCI configuration", failure)),
            }
        }
        Ok(Self { path: USUAL.to_owned(), content: None })
    }

    /// What the environment says, else the file.
    fn find(&self, (variable, key): Setting) -> Result<Option<String>, Failure> {
        if let Some(value) = env::get(variable)?.filter(|value| !value.is_empty()) {
            return Ok(Some(value));
        }
        let Some(content) = &self.content else { return Ok(None) };
        let ini = Ini::parse(content).map_err(|Malformed { line, what }| {
            let message = format!(
                "{} is half written or damaged: line {line} {what}; it is read again as soon as it changes",
                self.path
            );
            Failure::unavailable("oci.file", message).detail("file", &self.path)
        })?;
        let value = ini
            .sections()
            .filter(|section| section.name == PROFILE)
            .find_map(|section| section.get(key))
            .map(|entry| entry.value.to_owned());
        Ok(value)
    }

    /// The same of what must be there.
    fn demand(&self, setting: Setting) -> Result<String, Failure> {
        let (variable, key) = setting;
        self.find(setting)?.ok_or_else(|| {
            let message = format!(
                "there is no {key}: neither {variable} is set nor does {} have it; set it there, or \
                 use type = \"instance\" on an instance of Oracle's",
                self.shown()
            );
            Failure::unavailable("oci.no-credentials", message)
        })
    }

    fn shown(&self) -> String {
        let place = format!("the profile {PROFILE} of {}", self.path);
        if self.content.is_some() { place } else { format!("{place}, which isn't there,") }
    }
}
