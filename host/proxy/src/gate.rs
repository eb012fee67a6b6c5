//! What is asked of every request before anything is done with it.

use std::net::IpAddr;

use http::header::{HOST, HeaderMap, ORIGIN};
use http::uri::Authority;
use http::{Method, Response, StatusCode, request};
use usher_connector::Body;

use crate::answer::refuse;

/// What a listener asks of every request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// The header `X-Vault-Request: true`, which no form of a web page can send.
    pub request_header: bool,
    /// The request comes from no web page. Whoever listens on loopback is reached by every browser of
    /// the machine.
    pub no_web_page: bool,
    /// It is meant for this machine: a browser comes here under any name that leads here.
    pub this_machine: bool,
}

impl Gate {
    /// The refusal, if it isn't let through.
    pub fn refusal(&self, head: &request::Parts) -> Option<Response<Body>> {
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            let why = format!("the agent passes on no {}", head.method);
            return Some(refuse(StatusCode::METHOD_NOT_ALLOWED, &why));
        }
        if self.no_web_page && is_of_a_web_page(&head.headers) {
            let why = "a web page may not make requests here: the listener is for programs of this machine, which leave out the headers Origin and Sec-Fetch-Site";
            return Some(refuse(StatusCode::FORBIDDEN, why));
        }
        if self.this_machine && !names_this_machine(head) {
            let why = "the request is for another host; write localhost or 127.0.0.1 in the address (header Host)";
            return Some(refuse(StatusCode::FORBIDDEN, why));
        }
        if self.request_header && !has_request_header(&head.headers) {
            // In the incumbents' words.
            let why = "missing \"X-Vault-Request\" header";
            return Some(refuse(StatusCode::PRECONDITION_FAILED, why));
        }
        None
    }
}

/// Browsers say so in `Origin`; where they leave it out (a picture, a script, a frame), in
/// `Sec-Fetch-Site`, which is "none" if it is the user who wrote the address. A page can't read such
/// an answer, but the secret that it has the server make, or the lease, is made all the same.
fn is_of_a_web_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    headers.contains_key(ORIGIN) || sites.any(|site| site != "none")
}

/// Exactly one, in this very spelling, as the incumbents have it.
fn has_request_header(headers: &HeaderMap) -> bool {
    let mut found = headers.get_all("x-vault-request").iter();
    found.next().is_some_and(|value| value == "true") && found.next().is_none()
}

/// An address of loopback, or a name that always leads there (RFC 6761, §6.3).
fn names_this_machine(head: &request::Parts) -> bool {
    let hosts = head.headers.get_all(HOST).iter();
    let mut hosts = hosts.map(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let own = |authority: &Authority| is_loopback(authority.host());
    head.uri.authority().is_none_or(own) && hosts.all(|host| host.as_ref().is_some_and(own))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn status(gate: Gate, method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        gate.refusal(&head).map(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn on_loopback_only_programs_of_this_machine_are_answered() {
        let gate = Gate { this_machine: true, no_web_page: true, ..Gate::default() };
        for (host, refused) in [
            ("127.0.0.1:8200", None),
            ("127.9.9.9", None),
            ("localhost", None),
            ("LOCALHOST.:8200", None),
            ("vault.localhost", None),
            ("[::1]:8200", None),
            ("[::ffff:127.0.0.1]", None),
            ("rebound.example", Some(403)),
            ("localhost.example", Some(403)),
            ("10.0.0.1:8200", Some(403)),
            ("", Some(403)),
            ("a b", Some(403)),
        ] {
            assert_eq!(status(gate, "GET", "/v1/a", &[("host", host)]), refused, "{host:?}");
        }
        assert_eq!(status(gate, "GET", "/v1/a", &[]), None, "HTTP/1.0");
        assert_eq!(status(gate, "GET", "http://rebound.example/v1/a", &[]), Some(403));
        for origin in ["http://localhost:8200", "null", ""] {
            let headers = [("host", "localhost"), ("origin", origin)];
            assert_eq!(status(gate, "GET", "/v1/a", &headers), Some(403), "{origin:?}");
        }
        for (site, refused) in [
            ("cross-site", Some(403)),
            ("same-site", Some(403)),
            ("same-origin", Some(403)),
            ("none", None),
        ] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            assert_eq!(status(gate, "GET", "/v1/a", &headers), refused, "{site:?}");
        }
        let open = Gate::default();
        let headers = [("host", "agent.example"), ("origin", "https://agent.example")];
        assert_eq!(status(open, "GET", "/v1/a", &headers), None);
    }

    #[test]
    fn the_header_of_requests_is_one_and_true() {
        let gate = Gate { request_header: true, ..Gate::default() };
        for (sent, refused) in [
            (&[][..], Some(412)),
            (&[("x-vault-request", "true")], None),
            (&[("x-vault-request", "True")], Some(412)),
            (&[("x-vault-request", "false")], Some(412)),
            (&[("x-vault-request", "true"), ("x-vault-request", "true")], Some(412)),
        ] {
            assert_eq!(status(gate, "GET", "/v1/a", sent), refused, "{sent:?}");
        }
    }

    #[test]
    fn a_tunnel_and_an_echo_are_not_to_be_had() {
        for method in ["CONNECT", "TRACE"] {
            let uri = if method == "CONNECT" { "vault:8200" } else { "/v1/a" };
            assert_eq!(status(Gate::default(), method, uri, &[]), Some(405));
        }
        assert_eq!(status(Gate::default(), "LIST", "/v1/a", &[]), None);
    }
}
