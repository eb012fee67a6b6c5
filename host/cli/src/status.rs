//! `usher status`: what a running agent does, for people and for programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use clap::Args;
use hyper::{Method, StatusCode};
use usher_agent::Exit;
use usher_agent::status::{
    ErrorReport, IdentityReport, ListenerReport, PluginReport, Report, moment,
};

use crate::runtime::block_on;
use crate::socket::{SocketArguments, ask, refused};
use crate::stop::failure;
use crate::terminal::table;

/// Flags of `usher status`.
#[derive(Args)]
#[command(after_help = format!("Exit status:
  {}  the agent answered, ready or not (usher wait --for ready tells that)
  {}  there is no agent, or it can't be asked; why is printed

The JSON is described in docs/status.md.", Exit::Done, Exit::Failed))]
pub(crate) struct StatusArguments {
    #[command(flatten)]
    socket: SocketArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &StatusArguments) -> Exit {
    let result = block_on(async {
        let socket = arguments.socket.find()?;
        match ask(&socket, Method::GET, "/v1/status").await {
            Ok((StatusCode::OK, text)) => show(&text, arguments.json),
            Ok((status, text)) => Err(refused(status, &text)),
            Err(unreachable) => Err(unreachable.into_text()),
        }
    });
    match result {
        Ok(text) => {
            // A closed pipe (`| head`) is no failure worth a message.
            let _ = std::io::stdout().write_all(text.as_bytes());
            Exit::Done
        }
        Err(message) => failure(message).tell(),
    }
}

fn show(answer: &str, json: bool) -> Result<String, String> {
    // Printed as it came: a newer agent may say more than this command knows.
    if json {
        return Ok(answer.to_owned());
    }
    Ok(for_people(&parse(answer)?))
}

/// The report that an agent answered with.
pub(crate) fn parse(answer: &str) -> Result<Report, String> {
    serde_json::from_str(answer).map_err(|error| format!("the agent's answer isn't clear: {error}"))
}

/// The report as it is printed now.
pub(crate) fn for_people(report: &Report) -> String {
    text(report, SystemTime::now())
}

/// The whole report for people.
fn text(report: &Report, now: SystemTime) -> String {
    let ready = report.identities.iter().filter(|identity| identity.ready).count();
    let mut text = format!(
        "usher {}, running for {}; {}\n\n",
        report.version,
        brief(now.duration_since(report.started_at).unwrap_or_default()),
        match (report.ready, report.identities.len()) {
            (true, _) => "ready".to_owned(),
            (false, 0) => "starting".to_owned(),
            (false, all) => format!("not ready: {ready} of {all} identities have delivered"),
        }
    );
    let identities = report.identities.iter().map(|identity| {
        let token = identity.token.as_ref();
        [
            identity.name.clone(),
            identity.method.clone(),
            identity.state.clone(),
            match token.map(|token| token.expires_at) {
                None => "no token".to_owned(),
                Some(None) => "never".to_owned(),
                Some(Some(at)) => moment_text(at, now),
            },
            identity.next_action.as_ref().map_or_else(
                || "-".to_owned(),
                |next| format!("{} {}", next.action, distance(next.at, now)),
            ),
        ]
    });
    let head = ["IDENTITY", "METHOD", "STATE", "TOKEN EXPIRES", "NEXT"].map(str::to_owned);
    text += &table(&std::iter::once(head).chain(identities).collect::<Vec<_>>());
    text.push('\n');
    let sinks = report.identities.iter().flat_map(|identity| {
        identity.sinks.iter().map(|sink| {
            [
                identity.name.clone(),
                sink.name.clone(),
                if sink.pending { "pending" } else { "delivered" }.to_owned(),
                sink.last_delivery_at.map_or_else(|| "never".to_owned(), |at| distance(at, now)),
            ]
        })
    });
    let head = ["IDENTITY", "SINK", "TOKEN", "LAST DELIVERY"].map(str::to_owned);
    text += &table(&std::iter::once(head).chain(sinks).collect::<Vec<_>>());
    if !report.listeners.is_empty() {
        text.push('\n');
        text += &listeners(report, now);
    }
    if !report.plugins.is_empty() {
        text.push('\n');
        text += &plugins(report, now);
    }
    let problems = problems(report);
    if !problems.is_empty() {
        text += "\nProblems:\n";
        text += &problems;
    }
    text
}

/// The table of listeners.
fn listeners(report: &Report, now: SystemTime) -> String {
    let head = ["LISTENER", "TLS", "TOKEN", "REQUESTS", "ERRORS", "OPEN", "LAST ERROR"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(report.listeners.iter().map(|listener| {
        [
            listener.bound.clone(),
            listener.tls.clone(),
            whose_token(listener),
            listener.requests.to_string(),
            listener.errors.to_string(),
            listener.connections.to_string(),
            listener.last_error.as_ref().map_or_else(
                || "-".to_owned(),
                |error| format!("{}: {}", distance(error.at, now), on_one_line(&error.message)),
            ),
        ]
    }));
    table(&rows)
}

/// Whose token a listener's requests get.
fn whose_token(listener: &ListenerReport) -> String {
    match (&listener.identity, &*listener.token_use) {
        _ if listener.role == "metrics_only" => "metrics only".to_owned(),
        (None, _) => "the caller's".to_owned(),
        (Some(name), "always") => format!("{name}, always"),
        (Some(name), _) => name.clone(),
    }
}

fn on_one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// The table of plug-ins.
fn plugins(report: &Report, now: SystemTime) -> String {
    let mut rows = vec![["PLUG-IN", "KIND", "VERSION", "SHA256", "LOADED"].map(str::to_owned)];
    rows.extend(report.plugins.iter().map(|plugin| {
        let sha256 = plugin.sha256.as_deref().unwrap_or("-");
        [
            plugin.name.clone(),
            plugin.kind.clone(),
            plugin.version.clone().unwrap_or_else(|| "-".to_owned()),
            sha256.chars().take(16).collect(),
            match plugin.last_load_at {
                _ if !plugin.loaded => "waited for".to_owned(),
                Some(at) => distance(at, now),
                None => "at the start".to_owned(),
            },
        ]
    }));
    table(&rows)
}

/// What is amiss and what to do, an identity or sink after the other; empty if nothing is.
pub(crate) fn problems(report: &Report) -> String {
    let now = SystemTime::now();
    let mut text = String::new();
    if report.identities.is_empty() && !report.ready {
        text.push_str("the agent is starting\n");
    }
    for identity in &report.identities {
        let error = identity.last_error.as_ref().filter(|error| error.current);
        if let Some(error) = error {
            let _ = writeln!(text, "  {}: {}", identity.name, told(error, now));
            let _ = writeln!(text, "    {}", advice(report, identity, error, now));
        } else if identity.state == "failed" {
            let _ = writeln!(
                text,
                "  {}: a defect in Usher ended this identity\n    restart the agent, and report what its log says",
                identity.name
            );
        } else if !identity.ready && identity.token.is_none() {
            let _ =
                writeln!(text, "  {}: {}, no login has ended yet", identity.name, identity.state);
        }
        for sink in &identity.sinks {
            if let Some(error) = sink.last_error.as_ref().filter(|error| error.current) {
                let _ = writeln!(
                    text,
                    "  {}, sink {}: {}\n    it is tried again until it succeeds",
                    identity.name,
                    sink.name,
                    told(error, now)
                );
            }
        }
    }
    for plugin in &report.plugins {
        if let Some(error) = plugin.last_error.as_ref().filter(|error| error.current) {
            let serves = if plugin.loaded { "what is loaded goes on" } else { "its uses wait" };
            let _ = writeln!(
                text,
                "  {} plug-in {}, {}: {}\n    {serves}; another file is taken as soon as it is there",
                plugin.kind,
                plugin.name,
                distance(error.at, now),
                error.message.trim_end().replace('\n', "\n    ")
            );
        }
    }
    text.chars().filter(|character| *character == '\n' || !character.is_control()).collect()
}

fn told(error: &ErrorReport, now: SystemTime) -> String {
    let times = if error.count == 1 { "time" } else { "times in a row" };
    format!(
        "{} failed {} {times}, last {} ({}, {}): {}",
        error.action,
        error.count,
        distance(error.at, now),
        error.class,
        error.code,
        error.message.trim_end().replace('\n', "\n    ")
    )
}

fn advice(
    report: &Report,
    identity: &IdentityReport,
    error: &ErrorReport,
    now: SystemTime,
) -> String {
    let is_awaited = |plugin: &PluginReport| {
        plugin.kind == "auth-method" && plugin.name == identity.method && !plugin.loaded
    };
    let deadline = identity.token.as_ref().and_then(|token| token.expires_at);
    let token = match (identity.state.as_str(), deadline) {
        ("degraded", Some(at)) => format!("the token stays valid until {}", moment_text(at, now)),
        ("degraded", None) => "the token stays valid".to_owned(),
        ("expired", _) => "the token is no longer valid".to_owned(),
        _ => "there is no token yet".to_owned(),
    };
    let next = match (&*error.class, &identity.next_action) {
        _ if report.plugins.iter().any(is_awaited) => {
            "it goes on as soon as the plug-in is there".to_owned()
        }
        ("configuration", _) => {
            "correct the configuration, then run `usher reload` or restart the agent".to_owned()
        }
        (_, Some(next)) if next.action != "expiry" => {
            format!("next: {} {}", next.action, distance(next.at, now))
        }
        _ => "an attempt is under way".to_owned(),
    };
    format!("{token}; {next}")
}

/// "04:17:21Z, in 59m 3s"; with the date if it is another day.
fn moment_text(at: SystemTime, now: SystemTime) -> String {
    let (at_text, now_text) = (moment::text(at), moment::text(now));
    let day = |text: &str| text.get(..10).unwrap_or_default().to_owned();
    let from = if day(&at_text) == day(&now_text) { 11 } else { 0 };
    let shown = at_text.get(from..19).unwrap_or_default();
    format!("{shown}Z ({})", distance(at, now))
}

/// "in 5s", "5s ago" or "now".
fn distance(at: SystemTime, now: SystemTime) -> String {
    match at.duration_since(now) {
        Ok(ahead) if ahead < Duration::from_secs(1) => "now".to_owned(),
        Ok(ahead) => format!("in {}", brief(ahead)),
        Err(error) => format!("{} ago", brief(error.duration())),
    }
}

/// The two largest units: "3d 4h", "59m 3s", "0s".
fn brief(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown = parts.iter().skip(first).take(2).filter(|(count, _)| *count > 0);
    let text: Vec<String> = shown.map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text.join(" ") }
}

#[cfg(test)]
mod tests {
    use usher_agent::status::{DurationsReport, ListenerErrorReport, ServerReport};

    use super::*;

    fn listener(identity: Option<&str>, token_use: &str) -> ListenerReport {
        ListenerReport {
            place: "{{ GetPrivateIP }}:8200".to_owned(),
            bound: "10.0.0.7:8200".to_owned(),
            tls: "on".to_owned(),
            role: "default".to_owned(),
            identity: identity.map(str::to_owned),
            token_use: token_use.to_owned(),
            requests: 12,
            errors: 1,
            answers: [("2xx".to_owned(), 11), ("5xx".to_owned(), 1)].into(),
            connections: 3,
            received_bytes: 0,
            sent_bytes: 0,
            durations: DurationsReport::default(),
            cache: None,
            last_error: Some(ListenerErrorReport {
                message: "the server\nis away".to_owned(),
                status: Some(500),
                at: SystemTime::UNIX_EPOCH,
            }),
        }
    }

    #[test]
    fn a_listener_is_one_line_with_whose_token_it_lends() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        for (identity, token_use, whose) in [
            (Some("app"), "when_absent", "app"),
            (Some("app"), "always", "app, always"),
            (None, "never", "the caller's"),
        ] {
            let report = Report {
                version: String::new(),
                started_at: now,
                ready: true,
                server: ServerReport::default(),
                identities: Vec::new(),
                plugins: Vec::new(),
                listeners: vec![listener(identity, token_use)],
            };
            let text = listeners(&report, now);
            let line = text.lines().nth(1).unwrap();
            let cells: Vec<&str> = line.split("  ").filter(|cell| !cell.is_empty()).collect();
            let cells: Vec<&str> = cells.into_iter().map(str::trim).collect();
            let error = "5s ago: the server is away";
            assert_eq!(cells, ["10.0.0.7:8200", "on", whose, "12", "1", "3", error], "{text}");
        }
    }

    #[test]
    fn times_are_brief() {
        let table = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m 59s"),
            (3605, "1h"),
            (273_600, "3d 4h"),
        ];
        for (seconds, shown) in table {
            assert_eq!(brief(Duration::from_secs(seconds)), shown);
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(distance(now, now), "now");
        assert_eq!(distance(now + Duration::from_secs(90), now), "in 1m 30s");
        assert_eq!(distance(now - Duration::from_secs(5), now), "5s ago");
    }

    #[test]
    fn a_deadline_on_another_day_has_its_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(moment_text(now + Duration::from_secs(20), now), "00:02:00Z (in 20s)");
        let tomorrow = now + Duration::from_hours(24);
        assert_eq!(moment_text(tomorrow, now), "1970-01-02T00:01:40Z (in 1d)");
    }
}
