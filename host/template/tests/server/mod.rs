//! Stands in for the server, the environment and the folder of the cases: key-value mounts as the
//! setup fills them, and fixed answers of the other engines.

pub(crate) mod raw;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use usher_template::{Answer, Certificate, Query, Values};

/// What has been asked for so far is there.
pub(crate) struct Served {
    root: PathBuf,
    environment: BTreeMap<String, String>,
    /// Versions of the mounts by their paths, which end in a slash.
    mounts: BTreeMap<String, u8>,
    /// Versions of each secret, as JSON; the last may be deleted.
    secrets: BTreeMap<String, Vec<Option<String>>>,
    metadata: BTreeMap<String, String>,
    known: BTreeMap<Query, Stored>,
}

enum Stored {
    Secret(String),
    Names(Vec<String>),
    Certificate(Certificate),
    Bytes(Vec<u8>),
    Failed(String),
}

const PEM: &str = "-----BEGIN CERTIFICATE-----<PEM>-----END CERTIFICATE-----";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----<PEM>-----END EC PRIVATE KEY-----";

impl Served {
    pub(crate) fn new(root: &Path, setups: &[&String]) -> Self {
        let mut served = Self {
            root: root.to_owned(),
            environment: BTreeMap::new(),
            mounts: BTreeMap::from([("secret/".to_owned(), 2)]),
            secrets: BTreeMap::new(),
            metadata: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        for setup in setups {
            let setup = raw::entries(setup);
            let environment = setup.get("env").copied().unwrap_or("{}");
            served
                .environment
                .extend(serde_json::from_str::<BTreeMap<String, String>>(environment).unwrap());
            for request in raw::parts(setup["requests"]) {
                served.take(&raw::entries(request));
            }
        }
        served
    }

    fn take(&mut self, request: &BTreeMap<String, &str>) {
        let path: String = serde_json::from_str(request["path"]).unwrap();
        let body = request.get("body").copied().unwrap_or("{}");
        if let Some(mount) = path.strip_prefix("sys/mounts/") {
            if body.contains("\"kv\"") {
                let version = if body.contains("\"2\"") { 2 } else { 1 };
                self.mounts.insert(format!("{mount}/"), version);
            }
            return;
        }
        let Some((mount, version)) = self.mount(&path) else { return };
        let rest = path[mount.len()..].to_owned();
        if version == 1 {
            self.secrets.insert(path, vec![Some(body.to_owned())]);
        } else if let Some(name) = rest.strip_prefix("metadata/") {
            let fields = raw::entries(body);
            self.metadata.insert(format!("{mount}{name}"), fields["custom_metadata"].to_owned());
        } else if let Some(name) = rest.strip_prefix("data/") {
            let versions = self.secrets.entry(format!("{mount}{name}")).or_default();
            if request["method"] == "\"DELETE\"" {
                *versions.last_mut().unwrap() = None;
            } else {
                // What is written there passes through floats.
                versions.push(Some(raw::entries(body)["data"].replace(": 1.0", ": 1")));
            }
        }
    }

    fn mount(&self, path: &str) -> Option<(String, u8)> {
        let found = self.mounts.iter().filter(|(mount, _)| path.starts_with(mount.as_str()));
        found.max_by_key(|(mount, _)| mount.len()).map(|(mount, version)| (mount.clone(), *version))
    }

    /// Finds the answer of a query, for the next pass.
    pub(crate) fn serve(&mut self, query: &Query) -> bool {
        let stored = match query {
            Query::Read { path } => self.read(path).map(Stored::Secret),
            Query::Write { path, data } => write(path, data).map(Stored::Secret),
            Query::List { path } => Some(Stored::Names(self.list(path))),
            Query::Certificate { data, .. } => {
                let name = &data["common_name"];
                Some(Stored::Certificate(Certificate {
                    certificate: if name.contains("two.test") { format!("{PEM}{PEM}\n") } else { format!("{PEM}\n") },
                    key: format!("{KEY}\n"),
                    authority: format!("{PEM}\n"),
                }))
            }
            Query::File { path } => std::fs::read(self.root.join(path)).ok().map(Stored::Bytes),
            Query::Plugin { command, arguments } => {
                let output = Command::new(command).args(arguments).output().unwrap();
                Some(Stored::Bytes(output.stdout.trim_ascii().to_vec()))
            }
            Query::Addresses { expression } if expression == "Bogus" => Some(Stored::Failed(
                "unable to parse template \"{{ Bogus }}\": template: sockaddr.Parse:1: function \"Bogus\" not defined"
                    .to_owned(),
            )),
            Query::Host { .. } | Query::Addresses { .. } => {
                Some(Stored::Bytes(b"127.0.0.1".to_vec()))
            }
        };
        let Some(stored) = stored else { return false };
        self.known.insert(query.clone(), stored);
        true
    }

    fn read(&self, path: &str) -> Option<String> {
        if path == "auth/token/lookup-self" {
            return Some(answer(0, r#"{"id":"root","policies":["root"],"ttl":0}"#));
        }
        let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
        let (mount, version) = self.mount(path)?;
        if version == 1 {
            let data = self.secrets.get(path)?.first()?.as_ref()?;
            let ttl = raw::entries(data).get("ttl").map_or(2_764_800, |ttl| {
                ttl.trim_matches('"').trim_end_matches('s').parse().unwrap()
            });
            return Some(answer(ttl, data));
        }
        let rest = &path[mount.len()..];
        if let Some(name) = rest.strip_prefix("metadata/") {
            let name = format!("{mount}{name}");
            let count = self.secrets.get(&name)?.len();
            let versions: Vec<_> = (1..=count).map(|number| format!("\"{number}\":{{}}")).collect();
            let custom = self.metadata.get(&name).map_or("null", String::as_str);
            let data = format!(
                r#"{{"current_version":{count},"custom_metadata":{custom},"versions":{{{}}}}}"#,
                versions.join(",")
            );
            return Some(answer(0, &data));
        }
        let name = format!("{mount}{}", rest.strip_prefix("data/").unwrap_or(rest));
        let versions = self.secrets.get(&name)?;
        let version = match parameters.strip_prefix("version=") {
            Some(version) => version.parse().unwrap(),
            None => versions.len(),
        };
        let data = versions.get(version - 1)?.as_ref()?;
        let data = format!(
            r#"{{"data":{data},"metadata":{{"created_time":"2026-01-02T03:04:05.678Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":{version}}}}}"#
        );
        Some(answer(0, &data))
    }

    fn list(&self, path: &str) -> Vec<String> {
        let Some((mount, version)) = self.mount(&format!("{path}/")) else { return Vec::new() };
        let rest = path.strip_prefix(&mount).unwrap_or("");
        let rest = if version == 2 { rest.strip_prefix("metadata/").unwrap_or(rest) } else { rest };
        let folder = format!("{mount}{rest}/");
        let mut names: Vec<String> = self
            .secrets
            .keys()
            .filter_map(|name| {
                let name = name.strip_prefix(&folder)?;
                Some(name.split_inclusive('/').next().unwrap().to_owned())
            })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Values for Served {
    fn answer(&self, query: &Query) -> Answer<'_> {
        match self.known.get(query) {
            None => Answer::Missing,
            Some(Stored::Secret(body)) => Answer::Secret(body.as_bytes()),
            Some(Stored::Names(names)) => Answer::Names(names),
            Some(Stored::Certificate(certificate)) => Answer::Certificate(certificate),
            Some(Stored::Bytes(bytes)) => Answer::Bytes(bytes),
            Some(Stored::Failed(why)) => Answer::Failed(why),
        }
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

fn answer(ttl: u64, data: &str) -> String {
    format!(
        r#"{{"request_id":"9f0d2f7a-3c7c-4f0e-8f4b-2a4f6f0c9d11","lease_id":"","lease_duration":{ttl},"renewable":false,"data":{data},"warnings":null,"auth":null,"wrap_info":null}}"#
    )
}

fn write(path: &str, data: &BTreeMap<String, String>) -> Option<String> {
    let data = match path {
        "auth/token/create" => {
            return Some(
                r#"{"request_id":"9f0d2f7a-3c7c-4f0e-8f4b-2a4f6f0c9d11","lease_id":"","lease_duration":0,"renewable":false,"data":null,"auth":{"client_token":"s.created","accessor":"a","policies":["reader"],"metadata":null,"lease_duration":3600,"renewable":true}}"#
                    .to_owned(),
            );
        }
        "auth/approle/role/app/secret-id" => {
            r#"{"secret_id":"0f0d2f7a-3c7c-4f0e-8f4b-2a4f6f0c9d11","secret_id_ttl":3600}"#
                .to_owned()
        }
        "sys/tools/hash" | "sys/tools/hash/sha2-256" => {
            let sum = if data.contains_key("format") {
                "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
            } else {
                "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
            };
            format!("{{\"sum\":\"{sum}\"}}")
        }
        "transit/encrypt/k" => r#"{"ciphertext":"vault:v1:abc"}"#.to_owned(),
        "transit/random/4" => r#"{"random_bytes":"0a0b0c0d"}"#.to_owned(),
        "pki/issue/web" => format!(
            r#"{{"certificate":"{PEM}","private_key":"{KEY}","private_key_type":"ec","issuing_ca":"{PEM}","ca_chain":["{PEM}"],"expiration":1767323045,"serial_number":"01"}}"#
        ),
        "pki/issue/leased" => {
            return Some(
                answer(259_200, &format!(r#"{{"certificate":"{PEM}","private_key":"{KEY}"}}"#))
                    .replace(r#""lease_id":"""#, r#""lease_id":"pki/issue/leased/abc""#),
            );
        }
        _ => return None,
    };
    Some(answer(0, &data))
}
