//! What the fake host allows: the needs of the configuration at hand, judged as the agent judges
//! them, in a file system without links.

use crate::{Answer, Credential, Failure, Need};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use url::Url;
use usher_grant::{
    Asker, Capability, Grant, Links, Missing, Named, Protected, Surroundings, reachable,
};

/// Where the fake agent was started.
const WORKING_DIRECTORY: &str = "/";

/// Stands in messages for the name that the operator gives to the plug-in.
const NAME: &str = "NAME";

pub(super) enum Grants {
    Everything,
    Needs(Grant),
}

impl Default for Grants {
    fn default() -> Self {
        Self::Needs(Grant::default())
    }
}

impl Grants {
    /// The needs of the next call, unless everything is allowed. A failure, `grant.refused`, if the
    /// agent would never grant them.
    pub(super) fn replace(
        &mut self,
        needs: Vec<Need>,
        env: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        if let Self::Needs(granted) = self {
            let needs = needs.into_iter().map(|need| (need.capability, need.target)).collect();
            let decided = around(env, |around| Grant::decide(NAME, needs, None, around));
            *granted =
                decided.map_err(|refusal| Failure::config("grant.refused", refusal.to_string()))?;
        }
        Ok(())
    }

    /// A failure, `grant.missing`, unless a need covers this use of a file; `path` is absolute.
    pub(super) fn check_file(&self, capability: Capability, path: &str) -> Result<(), Failure> {
        let Self::Needs(grant) = self else {
            return Ok(());
        };
        let verb = capability.name();
        if grant.permits_file(capability, Path::new(path), Links::NONE).is_none() {
            return Err(missing(&format!("{verb} of {path}"), capability, path));
        }
        let holder = Arc::default();
        let asker = Asker { usage: NAME, identity: NAME, holder: &holder, change: 0 };
        match Protected::default().refuses(Path::new(path), asker) {
            Some(why) => Err(Failure::config(
                Missing::CODE,
                format!("{verb} of {path} is never granted: {why}"),
            )),
            None => Ok(()),
        }
    }

    /// The same for an environment variable.
    pub(super) fn check_env(&self, name: &str) -> Result<(), Failure> {
        match self {
            Self::Needs(grant) if !grant.permits_env(name) => {
                Err(missing(&format!("the environment variable {name}"), Capability::Env, name))
            }
            _ => Ok(()),
        }
    }

    /// The same for a word of the secrets server, or a Kerberos realm.
    pub(super) fn check_named(&self, capability: Capability, target: &str) -> Result<(), Failure> {
        match self {
            Self::Needs(grant) if !grant.permits_named(capability, target) => {
                Err(missing(&format!("{} {target}", capability.name()), capability, target))
            }
            _ => Ok(()),
        }
    }

    /// The same for a request; `http.url` if the URL is none. Names aren't resolved: of a host that
    /// is granted by its name, the agent also refuses addresses that the grant doesn't name.
    pub(super) fn check_url(&self, text: &str) -> Result<(), Failure> {
        let Self::Needs(grant) = self else {
            return Ok(());
        };
        let no_url = |_| Failure::config("http.url", "this is no URL; write \"https://host/path\"");
        let url = Url::parse(text).map_err(no_url)?;
        match grant.permits_connect(&url) {
            Some(named @ Named::Address(address)) if !reachable(address, &named) => {
                let message = format!("a connection to {text} is never granted");
                Err(Failure::config(Missing::CODE, message))
            }
            Some(_) => Ok(()),
            None => {
                let what = format!("a connection to {text}");
                Err(missing(&what, Capability::Connect, &url.origin().ascii_serialization()))
            }
        }
    }

    /// What an answer takes for granted.
    pub(super) fn check_answer(&self, answer: &Answer) -> Result<(), Failure> {
        match &answer.credential {
            Credential::Token(_) => self.check_named(Capability::Server, "token"),
            Credential::Login(login) if login.ca_pem.is_some() => {
                self.check_named(Capability::Server, "trust")
            }
            Credential::Login(_) => Ok(()),
        }
    }
}

/// The file that the plug-in, or a test, names.
pub(super) fn absolute(path: &str, env: &BTreeMap<String, String>) -> String {
    around(env, |around| around.absolute_path(path)).to_string_lossy().into_owned()
}

/// As the agent's own: the home directory is the one that the environment names.
fn around<T>(env: &BTreeMap<String, String>, run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    run(&Surroundings {
        working_directory: Path::new(WORKING_DIRECTORY),
        home: env.get("HOME").map(Path::new),
        environment: &|name| env.get(name).cloned(),
    })
}

fn missing(what: &str, capability: Capability, target: &str) -> Failure {
    let need = usher_grant::Need { capability, target: target.to_owned() };
    Failure::config(Missing::CODE, Missing { plugin: NAME, what, need }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A use of the host, as a need of the same words would ask for it.
    fn check(grants: &Grants, capability: &str, target: &str) -> Result<(), Failure> {
        match capability {
            "read" => grants.check_file(Capability::Read, target),
            "write" => grants.check_file(Capability::Write, target),
            "remove" => grants.check_file(Capability::Remove, target),
            "connect" => grants.check_url(target),
            "env" => grants.check_env(target),
            "server" => grants.check_named(Capability::Server, target),
            other => panic!("no use of {other}"),
        }
    }

    #[test]
    fn variables_in_a_need_are_put_in_and_granted() {
        let mut grants = Grants::default();
        let env = [("DIR", "/run/a"), ("EMPTY", "")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let needs = ["${DIR}/${DIR}x", "${UNSET}/b", "${EMPTY}/c"].map(Need::read).to_vec();
        grants.replace(needs, &env).unwrap();
        for (capability, target, granted) in [
            ("read", "/run/a/run/ax", true),
            ("env", "DIR", true),
            ("env", "UNSET", true),
            ("read", "/b", false),
            ("read", "/c", false),
        ] {
            assert_eq!(
                check(&grants, capability, target).is_ok(),
                granted,
                "{capability} {target}"
            );
        }
    }

    #[test]
    fn only_what_a_need_names_is_covered() {
        let mut grants = Grants::default();
        let needs = vec![
            Need::watch("/run/a"),
            Need::write("/out/*"),
            Need::connect("https://sso.test"),
            Need::connect("https://*.cloud.test/v1"),
            Need::unwrap(),
        ];
        grants.replace(needs, &BTreeMap::new()).unwrap();
        for (capability, target) in [
            ("read", "/run/a"),
            ("write", "/out/deep/b"),
            ("connect", "https://sso.test/path"),
            ("connect", "https://eu.cloud.test/v1?x=y"),
            ("server", "unwrap"),
        ] {
            assert!(check(&grants, capability, target).is_ok(), "{capability} {target}");
        }
        for (capability, target) in [
            ("read", "/run/b"),
            ("read", "/out/b"),
            ("remove", "/run/a"),
            ("connect", "https://sso.test.evil.test/"),
            ("connect", "https://eu.cloud.test/v10"),
            ("server", "token"),
        ] {
            assert_eq!(check(&grants, capability, target).unwrap_err().code, "grant.missing");
        }
    }
}
