//! What one use of a plug-in may ask of the host.

use std::path::{Path, PathBuf};

use url::Url;

use crate::origin::Origin;
use crate::paths::{glob, pattern_matches, resolved};
use crate::{Allow, Capability, Links, Named, Naming, Need, Refusal, Surroundings, Target};

/// What one use may ask of the host.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    needs: Vec<Need>,
    /// None: a built-in, allowed what it asks.
    allowed: Option<Vec<Need>>,
}

impl Grant {
    /// The grant for `needs` (capability and target, as `prepare` returned them) of the plug-in
    /// called `plugin`, within `allow`; None for built-ins.
    pub fn decide(
        plugin: &str,
        needs: Vec<(String, String)>,
        allow: Option<&Allow>,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, Refusal> {
        let mut asked: Vec<Need> = Vec::new();
        for (name, target) in needs {
            let capability = Capability::named(&name).ok_or(Refusal::UnknownCapability(name))?;
            let (expanded, variables) = if capability.is_file() || capability == Capability::Connect
            {
                surroundings.expand(&target)
            } else {
                (Some(target.clone()), Vec::new())
            };
            for variable in variables {
                asked.push(Need { capability: Capability::Env, target: variable });
            }
            // A need that names an unset or empty variable is void.
            let Some(target) = expanded else { continue };
            let target = if capability.is_file() { surroundings.absolute(&target) } else { target };
            asked.push(Need { capability, target });
        }
        asked.dedup();
        for need in &asked {
            if let Some(why) = malformed(need) {
                return Err(Refusal::Never(need.clone(), why));
            }
        }
        let allowed = allow.map(|allow| allow.needs(surroundings));
        if let Some(allowed) = &allowed {
            let missing: Vec<Need> = asked
                .iter()
                .filter(|need| !allowed.iter().any(|allowed| covers(allowed, need)))
                .cloned()
                .collect();
            if !missing.is_empty() {
                return Err(Refusal::NotAllowed {
                    plugin: plugin.to_owned(),
                    needs: asked,
                    missing,
                });
            }
        }
        Ok(Self { needs: asked, allowed })
    }

    /// What is granted, as absolute targets.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// The files to watch, absolute.
    pub fn watched(&self) -> impl Iterator<Item = &Path> {
        self.targets(Capability::Watch).map(Path::new)
    }

    /// The files to write, absolute.
    pub fn written(&self) -> impl Iterator<Item = &Path> {
        self.targets(Capability::Write).map(Path::new)
    }

    /// Granted file targets for a capability; "watch" includes "read".
    fn targets(&self, capability: Capability) -> impl Iterator<Item = &str> {
        self.needs
            .iter()
            .filter(move |need| need.capability.gives(capability))
            .map(|need| need.target.as_str())
    }

    /// What a sink is going to write, in directories that are where `directory` says, and who chose
    /// it.
    pub fn outputs(
        &self,
        directory: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> impl Iterator<Item = (String, Naming)> {
        self.targets(Capability::Write).map(move |target| {
            let by_operator = match &self.allowed {
                None => !target.contains('*'),
                Some(allowed) => allowed.iter().any(|allowed| {
                    allowed.capability == Capability::Write
                        && allowed.target == target
                        && !target.contains('*')
                }),
            };
            let naming = if by_operator { Naming::ByOperator } else { Naming::ByPlugin };
            (resolved(target, directory), naming)
        })
    }

    /// Bytes of all needs.
    pub fn size(&self) -> usize {
        self.needs.iter().map(|need| size_of::<Need>() + need.target.len()).sum()
    }

    /// The need by which the file `path` may be used so; None: it may not. `path` is resolved;
    /// `links` resolve a granted path in the same way.
    pub fn permits_file(
        &self,
        capability: Capability,
        path: &Path,
        links: Links<'_>,
    ) -> Option<&Need> {
        let matching = |needs: &'_ [Need]| {
            needs.iter().position(|need| {
                need.capability.gives(capability) && pattern_matches(&need.target, path, links)
            })
        };
        let need = &self.needs[matching(&self.needs)?];
        match &self.allowed {
            Some(allowed) => matching(allowed).map(|_| need),
            None => Some(need),
        }
    }

    /// Whether the environment variable may be read.
    pub fn permits_env(&self, name: &str) -> bool {
        self.needs.iter().any(|need| need.capability == Capability::Env && need.target == name)
    }

    /// Whether the server or Kerberos capability is granted.
    pub fn permits_named(&self, capability: Capability, target: &str) -> bool {
        self.needs.iter().any(|need| need.capability == capability && need.target == target)
    }

    /// How the grant names the host of `url`, if it permits the request.
    pub fn permits_connect(&self, url: &Url) -> Option<Named> {
        let find = |needs: &[Need]| {
            needs
                .iter()
                .filter(|need| need.capability == Capability::Connect)
                .filter_map(|need| Origin::parse(&need.target).ok())
                .filter(|origin| origin.permits(url))
                .map(|origin| origin.named())
                .max_by_key(|named| usize::from(*named != Named::Name))
        };
        let named = find(&self.needs)?;
        match &self.allowed {
            None => Some(named),
            Some(allowed) => find(allowed),
        }
    }
}

/// Whether an allowance covers a need.
fn covers(allowed: &Need, need: &Need) -> bool {
    if !allowed.capability.gives(need.capability) {
        return false;
    }
    match need.capability.target() {
        Target::File => glob(&allowed.target, &need.target),
        Target::Origin => match (Origin::parse(&allowed.target), Origin::parse(&need.target)) {
            (Ok(allowed), Ok(need)) => allowed.covers(&need),
            _ => false,
        },
        Target::Variable | Target::Word(_) | Target::Realm => allowed.target == need.target,
    }
}

/// Why a need can never be granted, if so.
fn malformed(need: &Need) -> Option<String> {
    match need.capability.target() {
        Target::Variable if ["VAULT_TOKEN", "BAO_TOKEN"].contains(&need.target.as_str()) => {
            Some("the agent's own token is never handed to a plug-in".to_owned())
        }
        Target::Variable if need.target.is_empty() => Some("the name is empty".to_owned()),
        Target::Origin => Origin::parse(&need.target).err(),
        Target::Word(words) if !words.contains(&need.target.as_str()) => {
            Some(format!("{:?} takes {}", need.capability.name(), one_of(words)))
        }
        _ => None,
    }
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings<T>(run: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let environment = |name: &str| match name {
            "ROLE_DIR" => Some("/run/role".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        run(&Surroundings {
            working_directory: Path::new("/srv/agent"),
            home: Some(Path::new("/home/agent")),
            environment: &environment,
        })
    }

    fn needs(needs: &[(&str, &str)]) -> Vec<(String, String)> {
        needs.iter().map(|(capability, target)| ((*capability).into(), (*target).into())).collect()
    }

    fn allow(list: &[(Capability, &str)]) -> Allow {
        let mut allow = Allow::default();
        for (capability, target) in list {
            allow.0.entry(*capability).or_default().push((*target).to_owned());
        }
        allow
    }

    fn decide(
        asked: &[(&str, &str)],
        allowed: Option<&[(Capability, &str)]>,
    ) -> Result<Grant, Refusal> {
        let allowed = allowed.map(allow);
        surroundings(|around| Grant::decide("acme", needs(asked), allowed.as_ref(), around))
    }

    #[test]
    fn a_need_is_granted_only_when_the_operator_allows_it() {
        use Capability::{Connect, Env, Kdc, Read, Remove, Server, Watch, Write};
        let table: &[(&str, &str, Capability, &str, bool)] = &[
            ("read", "/run/a", Read, "/run/a", true),
            ("read", "/run/a", Read, "/run/*", true),
            ("read", "/run/a/b", Read, "/run/*", true),
            ("read", "/run/../etc/shadow", Read, "/run/*", false),
            ("read", "/run/a", Watch, "/run/a", true),
            ("watch", "/run/a", Read, "/run/a", false),
            ("write", "/run/a", Read, "/run/a", false),
            ("write", "/run/a", Write, "/run/a", true),
            ("remove", "/run/a", Write, "/run/a", false),
            ("remove", "/run/a", Remove, "/run/a", true),
            ("read", "role", Read, "/srv/agent/role", true),
            ("read", "~/role", Read, "~/role", true),
            ("env", "ACME", Env, "ACME", true),
            ("env", "ACME_2", Env, "ACME", false),
            ("connect", "https://sso.acme.example", Connect, "https://sso.acme.example", true),
            (
                "connect",
                "https://sso.acme.example/token",
                Connect,
                "https://sso.acme.example",
                true,
            ),
            (
                "connect",
                "https://sso.acme.example",
                Connect,
                "https://sso.acme.example/token",
                false,
            ),
            (
                "connect",
                "https://sso.acme.example/tokens",
                Connect,
                "https://sso.acme.example/token",
                false,
            ),
            ("connect", "http://sso.acme.example", Connect, "https://sso.acme.example", false),
            (
                "connect",
                "https://sso.acme.example:8443",
                Connect,
                "https://sso.acme.example",
                false,
            ),
            ("connect", "https://sso.acme.example:443", Connect, "https://sso.acme.example", true),
            ("connect", "https://SSO.acme.example", Connect, "https://sso.ACME.example", true),
            ("connect", "https://sso.acme.example", Connect, "https://*.acme.example", true),
            ("connect", "https://acme.example", Connect, "https://*.acme.example", false),
            ("connect", "https://evilacme.example", Connect, "https://*.acme.example", false),
            ("connect", "https://*.acme.example", Connect, "https://sso.acme.example", false),
            ("server", "unwrap", Server, "unwrap", true),
            ("server", "token", Server, "unwrap", false),
            ("kdc", "ACME.EXAMPLE", Kdc, "ACME.EXAMPLE", true),
        ];
        for (capability, target, allowed, pattern, granted) in table {
            let decision = decide(&[(capability, target)], Some(&[(*allowed, pattern)]));
            assert_eq!(
                decision.is_ok(),
                *granted,
                "{capability} {target} within {} {pattern}",
                allowed.name()
            );
        }
    }

    #[test]
    fn a_refusal_prints_the_block_to_paste() {
        let refusal =
            decide(&[("read", "/run/a"), ("env", "ACME")], Some(&[(Capability::Env, "ACME")]))
                .unwrap_err();
        let text = refusal.to_string();
        assert!(text.contains("plugin \"acme\" {\n  allow {\n    read = [\"/run/a\"]\n    env = [\"ACME\"]\n  }\n}"), "{text}");
        let allowed = [(Capability::Read, "/run/a"), (Capability::Env, "ACME")];
        assert!(decide(&[("read", "/run/a"), ("env", "ACME")], Some(&allowed)).is_ok());
    }

    #[test]
    fn the_agents_own_token_is_never_granted() {
        for name in ["VAULT_TOKEN", "BAO_TOKEN"] {
            assert!(matches!(decide(&[("env", name)], None), Err(Refusal::Never(..))));
        }
    }

    #[test]
    fn an_unknown_capability_is_refused_by_name() {
        let refusal = decide(&[("exec", "/bin/sh")], None).unwrap_err();
        assert_eq!(refusal, Refusal::UnknownCapability("exec".to_owned()));
    }

    #[test]
    fn a_variable_in_a_path_asks_for_the_variable_too() {
        let grant = decide(&[("read", "${ROLE_DIR}/id")], None).unwrap();
        assert_eq!(
            grant.needs(),
            [
                Need { capability: Capability::Env, target: "ROLE_DIR".into() },
                Need { capability: Capability::Read, target: "/run/role/id".into() },
            ]
        );
        let void = decide(&[("read", "${UNSET}/id")], None).unwrap();
        assert_eq!(void.needs(), [Need { capability: Capability::Env, target: "UNSET".into() }]);
        let void = decide(&[("connect", "${EMPTY}")], None).unwrap();
        assert_eq!(void.needs(), [Need { capability: Capability::Env, target: "EMPTY".into() }]);
    }

    #[test]
    fn a_request_is_judged_by_the_origin_it_goes_to() {
        let grant = decide(
            &[
                ("connect", "https://sso.acme.example/oauth"),
                ("connect", "http://127.0.0.1:8080"),
                ("connect", "http://localhost:99"),
            ],
            None,
        )
        .unwrap();
        let named = |url: &str| grant.permits_connect(&Url::parse(url).unwrap());
        assert_eq!(named("https://sso.acme.example/oauth/token?x=1"), Some(Named::Name));
        assert_eq!(named("https://sso.acme.example/oauth/../admin"), None);
        assert_eq!(named("https://sso.acme.example/oauth%2f..%2fadmin"), None);
        assert_eq!(named("https://sso.acme.example/oauth/..%2Fadmin"), None);
        assert_eq!(named("https://sso.acme.example/oauth/..%5cadmin"), None);
        assert_eq!(named("https://user@sso.acme.example.evil.example/oauth"), None);
        assert_eq!(named("http://127.0.0.1:8080/x"), Some(Named::Address([127, 0, 0, 1].into())));
        assert_eq!(named("http://2130706433:8080/x"), Some(Named::Address([127, 0, 0, 1].into())));
        assert_eq!(named("http://localhost:99/"), Some(Named::Localhost));
        assert_eq!(named("http://localhost:98/"), None);
    }
}
