//! `usher explain --request`: one request of a caller without a token, through a listener of the running
//! agent, and what its answer means.

use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use usher_agent::Exit;
use usher_config::{ClientCertificates, Listener, ListenerRole, Settings, TokenUse};
use usher_server::refusal_of_another;

use super::steps::{bad, exit, good, note};
use super::way::Way;
use crate::exchange::exchange;
use crate::stop::usage;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    method: Method,
    /// Below "v1/", with the query.
    path: String,
    uri: Uri,
}

impl Wanted {
    /// Of the method and the path, as they were typed.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let [method, path] = words else {
            return Err("one request can be explained: --request GET secret/data/app".to_owned());
        };
        let method = method.to_ascii_uppercase();
        let known = READING.contains(&&*method).then(|| Method::from_bytes(method.as_bytes()).ok());
        let Some(method) = known.flatten() else {
            let known = READING.join(", ");
            return Err(format!(
                "{method:?} may change something, and the request is really made: explain takes {known}"
            ));
        };
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("v1/").unwrap_or(path).to_owned();
        let before_query = path.split('?').next().unwrap_or_default();
        if before_query.trim_end_matches('/').split('/').any(|step| matches!(step, "" | "." | ".."))
        {
            return Err(format!(
                "{path:?} is no path of the server's API: write one without empty and dotted steps, such as secret/data/app"
            ));
        }
        let uri = format!("/v1/{path}").parse::<Uri>();
        let uri = uri.map_err(|error| {
            format!("the path {path:?} can't be sent: {error}; write it percent-encoded")
        })?;
        Ok(Self { method, path, uri })
    }
}

/// The exit status, once every step is told.
pub(super) async fn explain(settings: &Settings, wanted: &Wanted, at: Option<&str>) -> Exit {
    let listener = match chosen(settings, at) {
        Ok(listener) => listener,
        Err(problem) => return usage(problem).tell(),
    };
    let tls = if listener.tls.is_some() { "with TLS" } else { "without TLS" };
    let server = &settings.server.address;
    good("configuration", &format!("listener {}, {tls}; the server is {server}", listener.place));
    let lent = lent(settings, listener);
    good("token", &whose(settings, lent));
    let answer = match asked(settings, listener, wanted).await {
        Ok(answer) => answer,
        Err(problem) => {
            bad("listener", &problem);
            return Exit::Failed;
        }
    };
    good("listener", "answers");
    judge(wanted, lent, &answer)
}

/// The listener of this place, or the first one that forwards requests.
fn chosen<'a>(settings: &'a Settings, at: Option<&str>) -> Result<&'a Listener, String> {
    let forwards = |listener: &&Listener| listener.role == ListenerRole::Default;
    let mut forwarding = settings.listeners.iter().filter(forwards);
    let known: Vec<String> =
        forwarding.clone().map(|listener| listener.place.to_string()).collect();
    if known.is_empty() {
        return Err("no listener of this configuration forwards requests".to_owned());
    }
    let is_it = |listener: &&Listener| at.is_none_or(|at| at == listener.place.to_string());
    forwarding.find(is_it).ok_or_else(|| {
        let at = at.unwrap_or_default();
        format!("no listener that forwards requests is at {at:?}; there is {}", known.join(", "))
    })
}

/// The identity whose token a request without one gets.
fn lent<'a>(settings: &Settings, listener: &'a Listener) -> Option<&'a str> {
    let is_lent = settings.api_proxy.token_use != TokenUse::Never;
    listener.identity.as_deref().filter(|_| is_lent)
}

fn whose(settings: &Settings, lent: Option<&str>) -> String {
    match (lent, settings.api_proxy.token_use) {
        (None, _) => "none: each caller brings one of his own, and explain brings none".to_owned(),
        (Some(name), TokenUse::Always) => {
            format!("that of the identity {name}, whatever a caller brings (\"force\")")
        }
        (Some(name), _) => {
            format!("that of the identity {name}, for a caller who brings none, as explain")
        }
    }
}

async fn asked(
    settings: &Settings,
    listener: &Listener,
    wanted: &Wanted,
) -> Result<Response<Bytes>, String> {
    let tls = listener.tls.as_ref();
    if tls.is_some_and(|tls| tls.client_certificates == ClientCertificates::Required) {
        return Err("it wants a certificate of every client, and explain has none: ask with a client that has one, such as curl --cert".to_owned());
    }
    let way = Way::find(settings, listener).await?;
    let request = Request::builder()
        .method(wanted.method.clone())
        .uri(wanted.uri.clone())
        .header("host", way.host())
        .header("x-vault-request", "true")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let asking = async {
        let stream = way.connect(listener).await?;
        exchange(stream, request).await
    };
    let patience = settings.server.proxied_timeout().saturating_add(FIRST_LOGIN);
    let in_time = tokio::time::timeout(patience, asking).await;
    in_time.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs())))
}

/// What the answer means.
fn judge(wanted: &Wanted, lent: Option<&str>, answer: &Response<Bytes>) -> Exit {
    let Wanted { method, path, .. } = wanted;
    let (status, body) = (answer.status(), answer.body());
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    if answer.headers().get("proxy-status").is_some_and(|speaker| speaker == "usher") {
        let why = texts(&json["errors"]).join(", ");
        bad("request", &format!("{method} {path}: the agent answers {status} itself: {why}"));
        return if status.is_server_error() { Exit::Failed } else { Exit::Refused };
    }
    good("server", "answers");
    if status.is_success() {
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("no content type");
        good("request", &format!("{method} {path}: {status}, {} bytes, {kind}", body.len()));
        for warning in texts(&json["warnings"]) {
            note(&format!("the server warns: {warning}"));
        }
        if json["lease_id"].as_str().is_some_and(|lease| !lease.is_empty()) {
            let seconds = json["lease_duration"].as_u64().unwrap_or_default();
            note(&format!("a lease was made for it, and nobody keeps it: it ends in {seconds} s"));
        }
        return Exit::Done;
    }
    let error = refusal_of_another(method, path, status, body);
    let wants_token = matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    if lent.is_none() && wants_token {
        let remedy = "the request had no token: bring one, or have the listener lend the agent's with use_auto_auth_token = true in api_proxy";
        bad("request", &format!("{}; {remedy}", error.message));
    } else {
        bad("request", &error.to_string());
    }
    exit(error.class)
}

/// The texts of a list, fit for a line.
fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    let plain =
        |text: &str| text.chars().filter(|character| !character.is_control()).collect::<String>();
    texts.map(plain).collect()
}

/// What changes nothing, but for leases. LIST is the servers' own method.
const READING: [&str; 3] = ["GET", "LIST", "HEAD"];
/// The agent waits for a token before it goes on, and for another one if that is refused.
const FIRST_LOGIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(method: &str, path: &str) -> Result<Wanted, String> {
        Wanted::parse(&[method.to_owned(), path.to_owned()])
    }

    fn answer(
        status: u16,
        headers: &[(&'static str, &str)],
        body: &'static str,
    ) -> Response<Bytes> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer.body(Bytes::from_static(body.as_bytes())).unwrap()
    }

    #[test]
    fn a_path_is_taken_as_people_write_it() {
        for path in
            ["secret/data/app", "/secret/data/app", "v1/secret/data/app", "/v1/secret/data/app"]
        {
            let wanted = wanted("get", path).unwrap();
            assert_eq!(
                (&*wanted.path, wanted.uri.path()),
                ("secret/data/app", "/v1/secret/data/app")
            );
            assert_eq!(wanted.method, Method::GET);
        }
        assert_eq!(wanted("LIST", "secret/metadata").unwrap().method.as_str(), "LIST");
        assert_eq!(wanted("GET", "x?version=1").unwrap().uri.query(), Some("version=1"));
        assert_eq!(wanted("LIST", "secret/metadata/").unwrap().path, "secret/metadata/");
    }

    #[test]
    fn what_may_change_something_or_is_no_path_is_refused() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "GET it"] {
            assert!(wanted(method, "x").unwrap_err().contains("may change something"), "{method}");
        }
        assert!(wanted("GET", "a b").unwrap_err().contains("percent-encoded"));
        for path in ["", "/", "v1/", "../x", "a/./b", "a//b", "?list=true"] {
            assert!(wanted("GET", path).unwrap_err().contains("no path of"), "{path:?}");
        }
    }

    #[test]
    fn the_exit_status_says_who_refused_and_whether_it_may_pass() {
        let wanted = wanted("GET", "secret/data/app").unwrap();
        let own = [("proxy-status", "usher")];
        let denied = r#"{"errors":["permission denied"]}"#;
        for (answer, expected) in [
            (answer(200, &[], r#"{"lease_id":"a/b","lease_duration":5}"#), Exit::Done),
            (answer(403, &[], denied), Exit::Refused),
            (answer(404, &[], r#"{"errors":[]}"#), Exit::Refused),
            (answer(503, &[], r#"{"errors":["Vault is sealed"]}"#), Exit::Failed),
            (answer(500, &own, r#"{"errors":["no route"]}"#), Exit::Failed),
            (answer(412, &own, r#"{"errors":["no header"]}"#), Exit::Refused),
        ] {
            assert_eq!(judge(&wanted, Some("default"), &answer), expected, "{answer:?}");
        }
    }
}
