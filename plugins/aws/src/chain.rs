//! Where credentials come from, and how long they are kept.
//!
//! The order is the incumbents': the configuration, the environment, the shared files, web identity,
//! the container, the instance. A place that is set up but doesn't work ends the search, so that no
//! login is made as somebody else.

use crate::container::Container;
use crate::credentials::{Credentials, end};
use crate::environment::Needs;
use crate::failed;
use crate::imds::Imds;
use crate::memory::Memory;
use crate::profile::Profile;
use crate::web_identity::WebIdentity;
use crate::{Config, container, environment, imds, profile, web_identity};
use std::time::Duration;
use usher_plugin::context::{self, Reason};
use usher_plugin::{Failure, Kind, log};
use usher_plugin_lib::Saved;

/// A place that hands out session credentials.
enum Source {
    WebIdentity(WebIdentity),
    Container(Container),
    Instance(Imds),
}

/// What finding credentials needs, whatever the environment is, but for the STS of a region that is
/// configured.
pub(crate) const NEEDS: [Needs; 5] =
    [environment::NEEDS, profile::NEEDS, web_identity::NEEDS, container::NEEDS, imds::NEEDS];

/// The credentials to sign with.
pub(crate) fn credentials(
    config: &Config,
    memory: &mut Saved<Memory>,
) -> Result<Credentials, Failure> {
    if let Some((access_key, secret_key, session_token)) = config.own_keys() {
        return Ok(Credentials {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            session_token: session_token.unwrap_or_default().to_owned(),
            expires_at: None,
            whose: format!("configuration {access_key}"),
            source: String::new(),
        });
    }
    if let Some(credentials) = of_environment()? {
        return credentials.unexpired("the environment", "restart the agent with new ones");
    }
    let profile = Profile::read()?;
    if let Some(credentials) = profile.credentials()? {
        return credentials.unexpired(
            &format!("the profile {:?}", profile.name),
            "they are read again as soon as the file changes",
        );
    }
    let source = if let Some(identity) = WebIdentity::of_environment(&config.region)? {
        Source::WebIdentity(identity)
    } else if let Some(identity) = profile.web_identity(&config.region)? {
        Source::WebIdentity(identity)
    } else if let Some(container) = Container::of_environment()? {
        Source::Container(container)
    } else if let Some(imds) = Imds::of_environment()? {
        Source::Instance(imds)
    } else {
        let message = "no AWS credentials are set: not in the configuration, not in the environment, \
                       not in the shared files, no web identity, no container, and \
                       AWS_EC2_METADATA_DISABLED is true; set one of them";
        return Err(failed(Kind::Unavailable, "aws.no-credentials", message));
    };
    source.session(memory)
}

impl Source {
    /// Credentials that are good for a while: those kept, or new ones.
    fn session(&self, memory: &mut Saved<Memory>) -> Result<Credentials, Failure> {
        let source = self.name();
        let refused = context::previous_failure().is_some_and(|last| last.kind == Kind::Denied);
        let kept = memory
            .session
            .take()
            .filter(|kept| !refused && kept.source == source && kept.is_valid(Duration::ZERO));
        if kept.as_ref().is_some_and(|kept| kept.is_valid(EARLY)) {
            memory.session.clone_from(&kept);
        }
        if let Some(kept) = &memory.session {
            return Ok(kept.clone());
        }
        if refused && context::reason() != Reason::Explain {
            // For good, also if there are no others yet.
            memory.save();
        }
        let mut credentials = match (self.fetch(), kept) {
            (Ok(credentials), _) => credentials,
            (Err(failure), Some(kept)) => {
                let reason = failure.message.as_str();
                log::warn("new AWS credentials can't be had yet", &[("reason", reason)]);
                memory.session = Some(kept.clone());
                return Ok(kept);
            }
            (Err(failure), None) => return Err(failure),
        }
        .unexpired(self.what(), "check this machine's clock")?;
        credentials.source = source;
        if credentials.expires_at.is_some() && context::reason() != Reason::Explain {
            memory.session = Some(credentials.clone());
            // Also if the rest of the call fails.
            memory.save();
        }
        Ok(credentials)
    }

    fn fetch(&self) -> Result<Credentials, Failure> {
        match self {
            Self::WebIdentity(identity) => identity.credentials(),
            Self::Container(container) => container.credentials(),
            Self::Instance(imds) => imds.open()?.credentials(),
        }
    }

    /// Tells it from other places.
    fn name(&self) -> String {
        match self {
            Self::WebIdentity(identity) => identity.name(),
            Self::Container(container) => format!("container {}", container.url),
            Self::Instance(imds) => format!("instance {}", imds.endpoint),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Self::WebIdentity(_) => web_identity::WHAT,
            Self::Container(_) => container::WHAT,
            Self::Instance(_) => imds::WHAT,
        }
    }
}

/// Those of the environment; of a pair without the other one, a failure.
fn of_environment() -> Result<Option<Credentials>, Failure> {
    let key = environment::first(&environment::KEY)?;
    let secret = environment::first(&environment::SECRET)?;
    let (access_key, secret_key) = match (key, secret) {
        (None, None) => return Ok(None),
        (Some(key), Some(secret)) => (key, secret),
        (key, _) => {
            let names = [environment::KEY[0], environment::SECRET[0]];
            let [set, missing] = if key.is_some() { names } else { [names[1], names[0]] };
            let message = format!("{set} is set, but not {missing}: set both, or none");
            return Err(failed(Kind::Config, "aws.partial", &message));
        }
    };
    let expiration = environment::variable(environment::EXPIRATION)?;
    Ok(Some(Credentials {
        whose: format!("environment {access_key}"),
        access_key,
        secret_key,
        session_token: environment::variable(environment::TOKEN)?.unwrap_or_default(),
        expires_at: expiration.as_deref().and_then(end),
        source: String::new(),
    }))
}

/// New session credentials are asked for this long before the old ones expire.
const EARLY: Duration = Duration::from_mins(5);
