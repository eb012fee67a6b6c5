//! The shared credentials and config files, and the profile in them.
//!
//! As in AWS's "SDKs and Tools Reference Guide" (shared config and credentials files): of a setting
//! in both files, that in the credentials file counts.

use crate::credentials::{Credentials, end};
use crate::environment::{Needs, variable};
use crate::failed;
use crate::region::Region;
use crate::web_identity::WebIdentity;
use usher_plugin::{Failure, Kind, files};
use usher_plugin_lib::ini::{Ini, Malformed};
use usher_plugin_lib::nothing_to_use;

/// One of the two files.
struct SharedFile {
    /// Names it instead.
    variable: &'static str,
    usual: &'static str,
    /// What sections of profiles other than "default" begin with.
    prefix: &'static str,
}

/// What both files say of a profile. Secret: not shown, not logged.
pub(crate) struct Profile {
    pub(crate) name: String,
    /// The environment names it, so it must be there.
    is_named: bool,
    is_there: bool,
    settings: Vec<Setting>,
}

struct Setting {
    key: &'static str,
    value: String,
    /// "~/.aws/credentials line 3".
    place: String,
    /// Where it stands.
    file: String,
}

pub(crate) const NEEDS: Needs = &[
    ("env", PROFILE),
    ("env", FILES[0].variable),
    ("env", FILES[1].variable),
    ("watch", "${AWS_SHARED_CREDENTIALS_FILE}"),
    ("watch", "${AWS_CONFIG_FILE}"),
    ("watch", FILES[0].usual),
    ("watch", FILES[1].usual),
];

/// The profile's region.
pub(crate) fn region() -> Result<Option<String>, Failure> {
    Ok(Profile::read()?.get(REGION).map(|setting| setting.value.clone()))
}

impl Profile {
    /// From both files, as far as they are there.
    pub(crate) fn read() -> Result<Self, Failure> {
        let name = variable(PROFILE)?;
        let mut profile = Self {
            is_named: name.is_some(),
            name: name.unwrap_or_else(|| DEFAULT.to_owned()),
            is_there: false,
            settings: Vec::new(),
        };
        for file in FILES {
            profile.read_file(file)?;
        }
        Ok(profile)
    }

    /// The access key, if the profile has one.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        // Both of one file: a half of another key would make signatures that nobody accepts.
        let half = |key, file: &str| {
            self.settings.iter().find(|setting| setting.key == key && setting.file == file)
        };
        let Some(any) = self.get(KEY).or(self.get(SECRET)) else { return Ok(None) };
        let (Some(key), Some(secret)) = (half(KEY, &any.file), half(SECRET, &any.file)) else {
            let missing = if any.key == KEY { SECRET } else { KEY };
            let message = format!(
                "{} sets {}, but the profile {:?} there has no {missing}; the file is read again \
                 as soon as it changes",
                any.place, any.key, self.name
            );
            return Err(failed(Kind::Unavailable, "aws.partial", &message));
        };
        let value = |key| half(key, &any.file).map(|setting: &Setting| setting.value.clone());
        Ok(Some(Credentials {
            access_key: key.value.clone(),
            secret_key: secret.value.clone(),
            session_token: value(TOKEN).unwrap_or_default(),
            // Not the SDKs', but what tools write beside session credentials.
            expires_at: EXPIRATIONS.into_iter().find_map(value).as_deref().and_then(end),
            whose: format!("profile {} {}", self.name, key.value),
            source: String::new(),
        }))
    }

    /// The profile's role, if it is assumed with a web identity.
    ///
    /// What else a profile without keys may want isn't built: told, rather than to go on as
    /// somebody else.
    pub(crate) fn web_identity(&self, region: &Region) -> Result<Option<WebIdentity>, Failure> {
        let files = [0, 1].map(|file| FILES[file].usual).join(" and ");
        if self.is_named && !self.is_there {
            let message = format!(
                "there is no profile {:?}, which AWS_PROFILE names, in {files} (or the files that \
                 {} and {} name)",
                self.name, FILES[0].variable, FILES[1].variable
            );
            return Err(failed(Kind::Unavailable, "aws.profile", &message));
        }
        if let (Some(role), Some(file)) = (self.get(ROLE), self.get(TOKEN_FILE)) {
            let session = self.get(SESSION).map(|setting| setting.value.clone());
            return WebIdentity::new(&role.value, &file.value, session, region).map(Some);
        }
        let Some(unknown) = UNSUPPORTED.into_iter().find_map(|key| self.get(key)) else {
            return Ok(None);
        };
        let message = format!(
            "{} sets {}, which this method can't use: give the profile an access key, or a \
             web_identity_token_file with its role_arn",
            unknown.place, unknown.key
        );
        Err(failed(Kind::Unavailable, "aws.profile", &message))
    }

    fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    fn read_file(&mut self, file: &SharedFile) -> Result<(), Failure> {
        let named = variable(file.variable)?;
        let path = named.as_deref().unwrap_or(file.usual);
        let content = match files::read(path) {
            Ok(content) => content,
            Err(failure) if failure.code == "file.not-found" => return Ok(()),
            Err(failure) => return Err(nothing_to_use("AWS profile", failure)),
        };
        // A path that the environment names may be left out of logs.
        let shown = match &named {
            Some(path) => format!("{path} ({})", file.variable),
            None => path.to_owned(),
        };
        let unreadable = |code: &str, what: &str| {
            let message = format!("{shown} {what}; it is read again as soon as it changes");
            failed(Kind::Unavailable, code, &message).detail("file", path)
        };
        let text = str::from_utf8(&content)
            .map_err(|_| unreadable("file.not-text", "is not text (UTF-8)"))?;
        let ini = Ini::parse(text).map_err(|Malformed { line, what }| {
            unreadable("aws.file", &format!("is half written or damaged: line {line} {what}"))
        })?;
        for section in ini.sections() {
            if !self.is_section(section.name, file.prefix) {
                continue;
            }
            self.is_there = true;
            for &key in KEYS {
                if let Some(entry) = section.get(key) {
                    self.settings.push(Setting {
                        key,
                        value: entry.value.to_owned(),
                        place: format!("{shown} line {}", entry.line),
                        file: path.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    fn is_section(&self, section: &str, prefix: &str) -> bool {
        if section == self.name && (prefix.is_empty() || section == DEFAULT) {
            return true;
        }
        !prefix.is_empty()
            && section
                .strip_prefix(prefix)
                .filter(|rest| rest.starts_with([' ', '\t']))
                .is_some_and(|name| name.trim().trim_matches('"') == self.name)
    }
}

/// The first counts for more.
const FILES: &[SharedFile] = &[
    SharedFile { variable: "AWS_SHARED_CREDENTIALS_FILE", usual: "~/.aws/credentials", prefix: "" },
    SharedFile { variable: "AWS_CONFIG_FILE", usual: "~/.aws/config", prefix: "profile" },
];

const PROFILE: &str = "AWS_PROFILE";
const DEFAULT: &str = "default";

const KEY: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";
const REGION: &str = "region";
const ROLE: &str = "role_arn";
const TOKEN_FILE: &str = "web_identity_token_file";
const SESSION: &str = "role_session_name";
const EXPIRATIONS: [&str; 3] = ["aws_expiration", "x_security_token_expires", "expiration"];
const UNSUPPORTED: [&str; 5] =
    ["source_profile", "credential_source", "credential_process", "sso_session", "sso_start_url"];

const KEYS: &[&str] = &[
    KEY,
    SECRET,
    TOKEN,
    REGION,
    ROLE,
    TOKEN_FILE,
    SESSION,
    EXPIRATIONS[0],
    EXPIRATIONS[1],
    EXPIRATIONS[2],
    UNSUPPORTED[0],
    UNSUPPORTED[1],
    UNSUPPORTED[2],
    UNSUPPORTED[3],
    UNSUPPORTED[4],
];
