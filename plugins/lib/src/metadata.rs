//! Requests to the metadata service of a cloud, which only the machine itself can reach.

use std::time::Duration;
use usher_plugin::http::{Request, Response};
use usher_plugin::{Failure, Kind};

/// Sends a request to a metadata service: two seconds, an answer of 64 KiB at most, no redirect.
///
/// `what` names the service in messages: "the EC2 metadata service". Any status but a redirect is
/// a success; [`refusal`] makes a failure of those that are none to the caller.
pub fn ask_metadata(what: &str, request: Request) -> Result<Response, Failure> {
    let url = request.url.clone();
    let response = request.timeout(LONGEST).send().map_err(|failure| unreachable(what, failure))?;
    if (300..400).contains(&response.status) {
        let message = format!(
            "{what} answered with a redirect ({}), which is not followed: something else answers in its place",
            response.status
        );
        return Err(Failure::denied("metadata.redirect", message).detail("url", url));
    }
    if response.body.len() > LARGEST {
        let message = format!(
            "the answer of {what} is larger than 64 KiB: something else answers in its place"
        );
        return Err(Failure::unavailable("http.too-large", message).detail("url", url));
    }
    Ok(response)
}

/// The failure that a service's answer means, by its status: what may be over in a moment (408,
/// 410, 429, 5xx) is `unavailable`, anything else `denied`.
///
/// Of the answer only a short line of text is repeated, and none of a success: it may hold a
/// credential.
pub fn refusal(code: &str, what: &str, response: &Response) -> Failure {
    let passing = matches!(response.status, 408 | 410 | 429 | 500..);
    let kind = if passing { Kind::Unavailable } else { Kind::Denied };
    let said = if response.is_success() { None } else { said(&response.body) };
    let message = match said {
        Some(said) => format!("{what} answered {}: {said}", response.status),
        None => format!("{what} answered {}", response.status),
    };
    let failure = Failure { kind, ..Failure::denied(code, message) };
    let failure = failure.detail("status", response.status.to_string());
    match response.header("retry-after").and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) if passing => failure.retry_after(Duration::from_secs(seconds)),
        _ => failure,
    }
}

/// What an answer says, if it is text and no page: one line of at most 200 characters.
pub(crate) fn said(body: &[u8]) -> Option<String> {
    let text = str::from_utf8(body).ok()?.trim();
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|character| !character.is_control()).take(200).collect();
    (!line.is_empty() && !line.starts_with('<')).then_some(line)
}

fn unreachable(what: &str, failure: Failure) -> Failure {
    match failure.code.as_str() {
        "http.timeout" | "http.connect" | "http.dns" => {
            let message = format!("{what} can't be reached: {}", failure.message);
            Failure { message, ..failure }
        }
        _ => failure,
    }
}

/// For a whole exchange: the service is on the machine or its host.
const LONGEST: Duration = Duration::from_secs(2);

/// Bytes of an answer.
const LARGEST: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_what_may_pass_from_what_was_refused() {
        for (status, kind) in [
            (400, Kind::Denied),
            (401, Kind::Denied),
            (404, Kind::Denied),
            (410, Kind::Unavailable),
            (429, Kind::Unavailable),
            (500, Kind::Unavailable),
            (503, Kind::Unavailable),
        ] {
            let failure = refusal("imds.refused", "the service", &Response::new(status, "no"));
            assert_eq!((failure.kind, status), (kind, status));
            assert_eq!(failure.message, format!("the service answered {status}: no"));
        }
    }

    #[test]
    fn a_page_is_not_repeated_and_a_success_never() {
        let message = |status, body: &str| refusal("x", "it", &Response::new(status, body)).message;
        assert_eq!(message(502, "<html>\nlong"), "it answered 502");
        assert_eq!(message(200, "hunter2"), "it answered 200");
        assert_eq!(message(400, "a\n\u{1b}[31mb"), "it answered 400: a [31mb");
        assert_eq!(message(400, &"x".repeat(5000)).len(), "it answered 400: ".len() + 200);
    }
}
