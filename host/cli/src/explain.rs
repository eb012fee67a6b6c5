//! `usher explain`: one login, or one request to a listener, step by step, with what is wrong and what to
//! do about it.

mod claims;
mod request;
mod steps;
mod way;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use clap::Args;
use usher_address::MountPath;
use usher_agent::{Exit, below_the_mount, bind, forbid_core_dumps};
use usher_config::{Identity, Settings, load};
use usher_engine::{Answer, AuthMethod, Call, Credential, FailureKind, Reason};
use usher_secret::redactor::{self, Live};
use usher_server::{Client, Scope, Session};

use self::request::Wanted;
use self::steps::{bad, exit, good, note};
use crate::flags::Flags;
use crate::runtime::block_on;
use crate::stop::{failure, usage};
use crate::terminal::{REPORTER, complain};

#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = format!("A credential that works once (a wrapped secret-id, a secret-id whose file is removed) is left
unused unless --consume is given. The token that the login brings is revoked at once, unless it
was handed over (token_file).

With --request there is no login: the running agent is asked as a caller asks who brings no token.
The request is really made, so one for dynamic credentials makes some. Nothing of its answer is
shown but what went wrong.

Exit status: {} the login or the request works, or only a one-shot credential was left unused; {} it
can't be tried now; {} wrong usage or configuration; {} it is refused.",
        Exit::Done, Exit::Failed, Exit::Configuration, Exit::Refused)
)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    flags: Flags,
    /// The identity; that of `auto_auth` is called default.
    #[arg(long, value_name = "NAME", default_value = "default")]
    identity: String,
    /// Use a one-shot credential, and remove its file as the agent does.
    #[arg(long)]
    consume: bool,
    /// Make a request that reads (GET, LIST, HEAD) through a listener of the running agent.
    #[arg(
        long,
        num_args = 2,
        value_names = ["METHOD", "PATH"],
        conflicts_with_all = ["identity", "consume"]
    )]
    request: Vec<String>,
    /// The listener's address or socket; by default the first one that forwards requests.
    #[arg(long, value_name = "PLACE", requires = "request")]
    listener: Option<String>,
}

pub(crate) fn run(arguments: ExplainArguments) -> Exit {
    forbid_core_dumps();
    let (config, overrides) = arguments.flags.into_parts();
    let loaded = load(&config, &overrides, &|name| std::env::var(name).ok());
    for problem in &loaded.diagnostics {
        complain(&problem.to_string());
    }
    let Some(settings) = loaded.settings else { return Exit::Configuration };
    if !arguments.request.is_empty() {
        let wanted = match Wanted::parse(&arguments.request) {
            Ok(wanted) => wanted,
            Err(problem) => return usage(problem).tell(),
        };
        let at = arguments.listener.as_deref();
        return block_on(async { Ok(request::explain(&settings, &wanted, at).await) })
            .unwrap_or_else(|error| failure(error).tell());
    }
    let mut names = settings.identities.iter().map(|identity| identity.name.as_str());
    if !names.clone().any(|name| name == arguments.identity) {
        let known: Vec<&str> = names.by_ref().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let name = &arguments.identity;
        return usage(format!("no identity is called {name:?}; there is {known}")).tell();
    }
    block_on(async { Ok(explain(&settings, &arguments.identity, arguments.consume).await) })
        .unwrap_or_else(|error| failure(error).tell())
}

/// The exit status, once every step is told.
async fn explain(settings: &Settings, name: &str, consume: bool) -> Exit {
    let Some(identity) = settings.identities.iter().find(|identity| identity.name == name) else {
        return Exit::Configuration;
    };
    let method = &identity.method;
    let scope = Scope::new(method.namespace.clone());
    let mut about = format!("identity {name}: {} at {}", method.kind, method.mount_path);
    if !scope.namespace().is_root() {
        let _ = write!(about, " in namespace {}", scope.namespace());
    }
    let _ = write!(about, " on {}", settings.server.address);
    good("configuration", &about);
    let (client, bound) = match bound(settings, identity).await {
        Ok(bound) => bound,
        Err(problem) => {
            bad("plug-in", &problem);
            return Exit::Configuration;
        }
    };
    let watched = bound.watched();
    let files: Vec<String> = watched.iter().map(|path| path.display().to_string()).collect();
    let reads = if files.is_empty() { "reads no file".into() } else { files.join(", ") };
    good("plug-in", &reads);
    let reason = if consume { Reason::Login } else { Reason::Explain };
    let answer = match bound.authenticate(Call { reason, previous_failure: None }).await {
        Ok(answer) => answer,
        // What it works with is there, and that is all that can be said without using it.
        Err(failure) if failure.left_one_shot_unused() => {
            good("credential", &failure.message);
            good("login", "not tried");
            return Exit::Done;
        }
        Err(failure) => {
            bad("credential", &failure.to_string());
            return match failure.kind {
                FailureKind::Config => Exit::Configuration,
                FailureKind::Denied => Exit::Refused,
                FailureKind::Unavailable | FailureKind::Internal => Exit::Failed,
            };
        }
    };
    let _live = tell_credential(&answer);
    let (session, ours) = match log_in(&client, &scope, &method.mount_path, answer).await {
        Ok(logged_in) => logged_in,
        Err(exit) => return exit,
    };
    if consume
        && let Err(failure) = {
            let call = Call { reason: Reason::Login, previous_failure: None };
            bound.authenticated(call).await
        }
    {
        bad("removal", &failure.to_string());
    }
    if !ours {
        good("revocation", "not done: the token was handed over");
        return Exit::Done;
    }
    match client.revoke_self(&session).await {
        Ok(()) => good("revocation", "the token is revoked"),
        Err(error) => bad("revocation", &error.to_string()),
    }
    Exit::Done
}

async fn bound(
    settings: &Settings,
    identity: &Identity,
) -> Result<(Client, std::sync::Arc<dyn AuthMethod>), String> {
    let show = |problem: usher_config::Diagnostic| problem.to_string();
    let engine = bind::engine(settings, usher_builtins::built_ins()).map_err(show)?;
    let client = bind::client(settings).map_err(show)?;
    let method = bind::method(settings, identity, &engine, &client, REPORTER).await;
    let method = method.map_err(|problems| {
        let problems: Vec<String> = problems.into_iter().map(show).collect();
        problems.join("\n")
    })?;
    Ok((client, method))
}

/// What would be sent, without any of it; and keeps it out of what follows.
fn tell_credential(answer: &Answer) -> Vec<Live> {
    let login = match &answer.credential {
        Credential::Token(token) => {
            good("credential", "a token that is looked up and used");
            return vec![redactor::keep_out_of_logs(token)];
        }
        Credential::Login(login) => login,
    };
    let mut live = Vec::new();
    let mut told = Vec::new();
    let body: serde_json::Value = serde_json::from_str(login.body.expose()).unwrap_or_default();
    let mut notes = Vec::new();
    for (name, value) in body.as_object().into_iter().flatten() {
        let Some(text) = value.as_str() else { continue };
        if name == "role" || name == "name" {
            told.push(format!("{name} {text:?}"));
            continue;
        }
        live.push(redactor::keep_text_out_of_logs(text));
        told.push(format!("{name} ({} bytes)", text.len()));
        notes.extend(claims::describe(text, SystemTime::now()));
    }
    for (name, value) in &login.headers {
        live.push(redactor::keep_text_out_of_logs(value));
        told.push(header(name, value));
    }
    if login.certificate.is_some() {
        told.push("a client certificate".to_owned());
    }
    if login.ca_pem.is_some() {
        told.push("authorities of its own for the server".to_owned());
    }
    let told = if told.is_empty() { "nothing".to_owned() } else { told.join(", ") };
    good("credential", &format!("sends {told} to {}", login.path));
    for told in notes {
        match told {
            Ok(told) => note(&told),
            Err(problem) => bad("credential", &problem),
        }
    }
    live
}

/// A header of the login, without its value.
fn header(name: &str, value: &str) -> String {
    if name.eq_ignore_ascii_case("authorization") && value.starts_with("Negotiate ") {
        return format!("a Kerberos ticket ({} bytes)", value.len());
    }
    format!("the header {name} ({} bytes)", value.len())
}

/// A session, and whether its token is the agent's own; else the exit status.
async fn log_in(
    client: &Client,
    scope: &Scope,
    mount_path: &MountPath,
    answer: Answer,
) -> Result<(Session, bool), Exit> {
    let (step, result) = match answer.credential {
        Credential::Login(login) => {
            let result = async {
                let login = below_the_mount(mount_path, login)?;
                client.login(scope, &login).await
            };
            let result = result.await.map(|(session, auth)| {
                let told = token(auth.ttl(), auth.renewable, &auth.token_type, &auth.policies);
                (session, told, true)
            });
            ("login", result)
        }
        Credential::Token(token_of_another) => {
            let session = client.session(scope, token_of_another);
            let result = client.lookup_self(&session).await.map(|lookup| {
                let told =
                    token(lookup.ttl, lookup.renewable, &lookup.token_type, &lookup.policies);
                (session, told, false)
            });
            ("lookup", result)
        }
    };
    match result {
        Ok((session, told, ours)) => {
            good("server", "answers");
            good(step, "accepted");
            good("token", &told);
            Ok((session, ours))
        }
        Err(error) => {
            // Without a status there was no answer.
            if error.status.is_some() {
                good("server", "answers");
                bad(step, &error.to_string());
            } else {
                bad("server", &error.to_string());
            }
            Err(exit(error.class))
        }
    }
}

fn token(ttl: Option<Duration>, renewable: bool, kind: &str, policies: &[String]) -> String {
    let ttl = ttl.map_or("never expires".to_owned(), |ttl| format!("for {} s", ttl.as_secs()));
    let renewable = if renewable { "renewable" } else { "not renewable" };
    format!("{kind}, {ttl}, {renewable}, policies {}", policies.join(", "))
}
