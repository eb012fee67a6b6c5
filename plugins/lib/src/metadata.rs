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

/// A metadata service that hands out tokens, without which it says nothing: a request that another
/// program was tricked into can't bring one along.
pub struct MetadataTokens<'a> {
    /// As messages call it: "the EC2 metadata service".
    pub what: &'a str,
    /// Its URL, without slash at the end.
    pub base: &'a str,
    /// Asks for the token's lifetime in seconds.
    pub ttl_header: &'a str,
    /// Brings the token along.
    pub token_header: &'a str,
}

impl MetadataTokens<'_> {
    /// A token, by `PUT /latest/api/token`. None: the service knows none (403, 404, 405).
    pub fn token(&self) -> Result<Option<String>, Failure> {
        let url = format!("{}/latest/api/token", self.base);
        let request = Request::new("PUT", url).header(self.ttl_header, TOKEN_SECONDS);
        let response = ask_metadata(self.what, request)?;
        if matches!(response.status, 403..=405) {
            return Ok(None);
        }
        if !response.is_success() {
            return Err(refusal("metadata.refused", self.what, &response));
        }
        let token = String::from_utf8(response.body).unwrap_or_default().trim().to_owned();
        // An error page is no token, and couldn't be sent in a header.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!(
                "{} answered with no token: something else answers in its place",
                self.what
            );
            return Err(Failure::unavailable("metadata.no-token", message));
        }
        Ok(Some(token))
    }

    /// What is at a path, with the token.
    pub fn get(&self, path: &str, token: Option<&str>) -> Result<Response, Failure> {
        let mut request = Request::get(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header(self.token_header, token);
        }
        ask_metadata(self.what, request)
    }
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
pub fn said(body: &[u8]) -> Option<String> {
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

/// What the services allow at most, and their SDKs ask for.
const TOKEN_SECONDS: &str = "21600";

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
