//! `usher validate`: every problem of a configuration, without running it.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde::Serialize;
use usher_agent::bind::{self, Named};
use usher_agent::plugins::{Absence, Patience, Plugins, permissions};
use usher_agent::{Exit, check_listeners, check_persistence};
use usher_config::{Diagnostic, Dialect, Identity, PluginConfig, Settings, Severity, load};
use usher_engine::{Kind, Use};

use crate::flags::Flags;
use crate::runtime::runtime;
use crate::stop::failure;
use crate::terminal::REPORTER;

/// Reads flags, environment and files as `usher agent` does, or `usher proxy`.
#[derive(Args)]
#[command(
    args_override_self = true,
    after_help = format!("Verdicts:
  valid        the agent starts with it
  unsupported  Vault Agent or OpenBao Agent know it, and this version refuses it by name
  invalid      it can't work

Plug-ins are loaded, those of the plug-in directory too, and asked whether their settings will do
and what they need; what is compiled for that goes into the agent's cache. Nothing is started: no
login, no delivery, no request, no listener. Of the files that settings name only certificates and
keys are looked at, of the connection and of listeners; the agent looks at the others at its start.

Exit status: {} valid, {} otherwise.", Verdict::Valid.exit(), Verdict::Invalid.exit())
)]
pub(crate) struct ValidateArguments {
    #[command(flatten)]
    flags: Flags,
    /// Judge it as usher proxy does.
    #[arg(long)]
    proxy: bool,
    /// Take warnings for errors.
    #[arg(long)]
    strict: bool,
    /// How problems are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// With the lines in question.
    Text,
    /// One JSON object.
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Valid,
    Unsupported,
    Invalid,
}

#[derive(Serialize)]
struct Judgement {
    verdict: Verdict,
    problems: Vec<Diagnostic>,
}

pub(crate) fn run(arguments: ValidateArguments) -> Exit {
    let (config, mut overrides) = arguments.flags.into_parts();
    if arguments.proxy {
        overrides.dialect = Dialect::Proxy;
    }
    let loaded = load(&config, &overrides, &|name| std::env::var(name).ok());
    let mut problems = loaded.diagnostics;
    let readable = loaded.settings.as_ref().or(loaded.draft.as_ref());
    problems.extend(check_connection(readable, &problems));
    problems.extend(loaded.settings.as_ref().map(check_listeners).unwrap_or_default());
    problems.extend(loaded.settings.as_ref().and_then(check_persistence));
    if let Some(settings) = loaded.settings.as_ref().or(loaded.draft.as_ref()) {
        let checked = runtime().and_then(|runtime| runtime.block_on(check_plugins(settings)));
        match checked {
            Ok(found) => problems.extend(found),
            Err(error) => return failure(format!("the plug-ins can't be checked: {error}")).tell(),
        }
    }
    if arguments.strict {
        for problem in &mut problems {
            problem.severity = Severity::Error;
        }
    }
    let judgement = Judgement { verdict: verdict(&problems), problems };
    let text = match arguments.format {
        Format::Json => serde_json::to_string_pretty(&judgement).unwrap_or_default(),
        Format::Text => text(&judgement),
    };
    // A closed pipe (`| head`) is no failure worth a message.
    let _ = writeln!(std::io::stdout(), "{}", usher_secret::redactor::redact(&text));
    judgement.verdict.exit()
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unsupported => "unsupported",
            Self::Invalid => "invalid",
        }
    }

    /// As `usher agent` ends with such a configuration.
    fn exit(self) -> Exit {
        match self {
            Self::Valid => Exit::Done,
            Self::Unsupported | Self::Invalid => Exit::Configuration,
        }
    }
}

fn verdict(problems: &[Diagnostic]) -> Verdict {
    let mut errors = problems.iter().filter(|problem| problem.is_error()).peekable();
    if errors.peek().is_none() {
        Verdict::Valid
    } else if errors.all(Diagnostic::is_unsupported) {
        Verdict::Unsupported
    } else {
        Verdict::Invalid
    }
}

fn text(judgement: &Judgement) -> String {
    let mut lines: Vec<String> = judgement.problems.iter().map(ToString::to_string).collect();
    lines.push(judgement.verdict.name().to_owned());
    lines.join("\n")
}

/// What the agent says of the way to the server when it starts. No connection is opened.
fn check_connection(settings: Option<&Settings>, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    // A draft has defaults in place of what is wrong, and more would be said of these.
    let known = |problem: &Diagnostic| {
        problem.is_error() && (problem.code == "environment" || problem.code.starts_with("vault"))
    };
    let Some(settings) = settings.filter(|_| !problems.iter().any(known)) else {
        return Vec::new();
    };
    match bind::connect_checked(&settings.server) {
        Ok((_, warnings)) => warnings
            .into_iter()
            .map(|warning| {
                let message = format!("a certificate of an authority is passed over: {warning}");
                Diagnostic::new_warning("vault", message, "take it out, or replace it", None)
            })
            .collect(),
        Err(problem) => vec![Diagnostic::new_error("vault", problem, "", None)],
    }
}

/// What the plug-ins say of their settings, and what keeps one from serving.
async fn check_plugins(settings: &Settings) -> Result<Vec<Diagnostic>, String> {
    let engine =
        bind::engine(settings, usher_builtins::built_ins()).map_err(|problem| problem.message)?;
    let mut plugins = Plugins::new(&engine, settings, Patience::Refuse, REPORTER);
    let mut problems = Vec::new();
    // To the end, since two sinks must not write the same.
    let (mut methods, mut sinks) = (Vec::new(), Vec::new());
    for identity in &settings.identities {
        let method = &identity.method;
        let uses = identity.sinks.iter().enumerate().map(|(index, sink)| {
            let role = format!("sink/{index}");
            (Kind::Sink, role, sink.kind.as_str(), &sink.config, &sink.location)
        });
        let uses = uses.chain([(
            Kind::AuthMethod,
            "method".to_owned(),
            method.kind.as_str(),
            &method.config,
            &method.location,
        )]);
        for (kind, role, name, config, location) in uses {
            let plugin = match plugins.find(kind, name, location).await {
                Ok(plugin) => plugin,
                Err(Absence::Problem(problem)) => {
                    problems.push(problem);
                    continue;
                }
                // Nothing is awaited here.
                Err(Absence::Awaited(_)) => continue,
            };
            plugins.judge(&plugin, config);
            problems.extend(plugins.found());
            let usage = usage(settings, identity, &role, name, config);
            let bound = match kind {
                Kind::Sink => engine.sink(&plugin, usage).await.map(|sink| sinks.push(sink)),
                Kind::AuthMethod => {
                    engine.auth_method(&plugin, usage).await.map(|method| methods.push(method))
                }
            };
            if let Err(error) = bound {
                let named = Named { kind, name, config, location };
                problems.push(named.refused(&error, &plugins));
            }
        }
    }
    problems.extend(plugins.without_effect());
    Ok(problems)
}

fn usage(
    settings: &Settings,
    identity: &Identity,
    role: &str,
    plugin: &str,
    config: &PluginConfig,
) -> Use {
    let (allow, limits) = permissions(settings, plugin);
    Use {
        name: format!("{}/{role}", identity.name),
        identity: identity.name.clone(),
        server_address: settings.server.address.to_string(),
        namespace: identity.method.namespace.to_string(),
        mount_path: identity.method.mount_path.to_string(),
        config: config.json().to_owned(),
        allow,
        limits,
        unwrapper: None,
        state_keeper: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_exit_status_of_a_verdict_is_its_own() {
        let document = include_str!("../../../docs/compatibility.md");
        for verdict in [Verdict::Valid, Verdict::Unsupported, Verdict::Invalid] {
            let start = format!("| `{}` |", verdict.name());
            let row = document.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
            assert!(row.ends_with(&format!("| {} |", verdict.exit())), "{row}");
        }
    }
}
