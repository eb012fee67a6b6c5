//! Where a redirect leads, if it is followed at all: once, never away from TLS, and never out of the
//! path that the server's address names.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode, Uri};
use url::Url;

use crate::settings::Settings;
use crate::trouble::{Trouble, TroubleKind, clean};

/// How far a redirect may lead.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leeway {
    /// Nowhere: the operator wants none followed.
    None,
    /// Within the origin.
    Origin,
    /// To another origin too, as a standby names the active node, unless that gives up TLS.
    ActiveNode,
}

impl Leeway {
    pub(crate) fn of(settings: &Settings) -> Self {
        if settings.disable_redirects {
            Self::None
        } else if settings.address.socket().is_some() || settings.tls.server_name.is_some() {
            // A socket, or a name that isn't the address's, leads nowhere else.
            Self::Origin
        } else {
            Self::ActiveNode
        }
    }
}

/// Whether a request was answered before with a redirect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redirected {
    Never,
    Once,
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads, if it is followed. `base` is the server's, `asked` what was sent.
pub(crate) fn follow(
    base: &Url,
    asked: &Uri,
    status: StatusCode,
    headers: &HeaderMap,
    redirected: Redirected,
    leeway: Leeway,
) -> Result<Url, Trouble> {
    let status = status.as_u16();
    let failed = |kind, why: String, remedy: &str| {
        Err(Trouble { status: Some(status), ..Trouble::new(kind, why, remedy) })
    };
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let url = Url::parse(&asked.to_string()).ok();
    let next = url.as_ref().zip(location).and_then(|(url, location)| url.join(location).ok());
    let (Some(url), Some(mut next)) = (url, next) else {
        return failed(TroubleKind::Redirect, "the server redirects to nowhere".into(), "");
    };
    let origin = clean(&next.origin().ascii_serialization());
    // Another request than was made: no server of secrets asks for that, but a portal does.
    if status == 303 {
        return failed(
            TroubleKind::Redirect,
            format!("the answer is to look at a page of {origin} (303 See Other)"),
            "a secrets server doesn't answer this: check vault.address, and whether a portal or proxy that wants a login stands between the agent and the server",
        );
    }
    if leeway == Leeway::None {
        return failed(
            TroubleKind::RedirectElsewhere,
            format!("the server redirects to {origin}, and redirects are disabled"),
            "write the address of the active node in vault.address, or unset BAO_DISABLE_REDIRECTS",
        );
    }
    if redirected == Redirected::Once {
        return failed(
            TroubleKind::Redirect,
            format!("the server redirects again, to {origin}"),
            "check vault.address, and what stands between the agent and the server",
        );
    }
    let insecure = url.scheme() == "https" && next.scheme() != "https";
    let elsewhere = next.origin() != url.origin();
    let is_http = matches!(next.scheme(), "http" | "https");
    let other_request = !is_http || next.path() != url.path();
    let refused = if elsewhere && insecure {
        Some(("without TLS", "check what stands between the agent and the server"))
    } else if elsewhere && (leeway == Leeway::Origin || other_request) {
        Some(("elsewhere", IF_YOURS))
    } else if !next.path().starts_with(base.path()) {
        Some(("out of the address's path", IF_YOURS))
    } else if has_dot_segment(asked.path()) {
        // The path that was asked for isn't the one that was compared and would be sent.
        Some(("a path with dot segments", "write the path without them"))
    } else {
        None
    };
    if let Some((why, remedy)) = refused {
        return failed(
            TroubleKind::RedirectElsewhere,
            format!("the server redirects {why}, to {origin}; credentials are not sent there"),
            remedy,
        );
    }
    // The server says where it is, not who is let in there (RFC 9110, §4.2.4). Only a URL without a
    // host takes neither.
    let _ = next.set_username("");
    let _ = next.set_password(None);
    Ok(next)
}

/// Whether a parser of URLs would take a segment for a step.
fn has_dot_segment(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    })
}

const IF_YOURS: &str = "if that is your server, write it in vault.address";

#[cfg(test)]
mod tests {
    use super::*;

    fn follow_below(base: &str, from: &str, to: &str, leeway: Leeway) -> Result<Url, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, to.parse().unwrap());
        let (base, from) = (base.parse().unwrap(), from.parse().unwrap());
        let status = StatusCode::TEMPORARY_REDIRECT;
        super::follow(&base, &from, status, &headers, Redirected::Never, leeway)
    }

    fn follow(from: &str, to: &str, leeway: Leeway) -> Result<Url, Trouble> {
        follow_below(&from.replace("/v1/x", "/"), from, to, leeway)
    }

    #[test]
    fn a_redirect_never_gives_up_tls_or_leaves_http() {
        assert!(
            follow("https://a.example/v1/x", "https://b.example/v1/x", Leeway::ActiveNode).is_ok()
        );
        assert!(
            follow("http://a.example/v1/x", "http://b.example/v1/x", Leeway::ActiveNode).is_ok()
        );
        let within = follow("http://a.example/v1/x", "http://a.example/v1/y", Leeway::Origin);
        assert!(within.is_ok());
        for (from, to, leeway) in [
            ("http://a.example/v1/x", "http://a.example/v1/y", Leeway::None),
            ("https://a.example/v1/x", "http://a.example/v1/x", Leeway::ActiveNode),
            ("https://a.example/v1/x", "http://b.example/v1/x", Leeway::ActiveNode),
            ("http://a.example/v1/x", "ftp://b.example/v1/x", Leeway::ActiveNode),
            ("http://a.example/v1/x", "httpx://b.example/v1/x", Leeway::ActiveNode),
            ("https://a.example/v1/x", "https://b.example/v1/x", Leeway::Origin),
            ("https://a.example/v1/x", "https://b.example/v1/y", Leeway::ActiveNode),
        ] {
            let refused = follow(from, to, leeway).unwrap_err();
            assert_eq!(refused.kind, TroubleKind::RedirectElsewhere, "{to}");
            assert!(!refused.kind.is_passing());
        }
    }

    #[test]
    fn a_redirect_never_leaves_the_path_of_the_address() {
        let base = "http://a.example/behind/it/";
        let to = |to| follow_below(base, "http://a.example/behind/it/v1/x", to, Leeway::ActiveNode);
        for (location, path) in [
            ("/behind/it/v1/y", "/behind/it/v1/y"),
            ("y?list=true", "/behind/it/v1/y"),
            ("http://b.example/behind/it/v1/x", "/behind/it/v1/x"),
            ("http://b.example/behind/it/v1/z/../x", "/behind/it/v1/x"),
        ] {
            assert_eq!(to(location).unwrap().path(), path, "{location}");
        }
        for location in [
            "/v1/x",
            "/behind/it/../v1/x",
            "../../../v1/x",
            "/behind/it/%2e%2E/.%2e/v1/x",
            "/behind/it\\..\\..\\v1\\x",
            "/behind/italy/v1/x",
            "http://b.example/v1/x",
            "http://b.example/behind/it/v1/../x",
        ] {
            let refused = to(location).unwrap_err();
            assert_eq!(refused.kind, TroubleKind::RedirectElsewhere, "{location}");
        }
    }

    #[test]
    fn whom_a_redirect_names_is_left_out() {
        for to in ["http://u:hunter22@b.example/v1/x", "//u@b.example/v1/x"] {
            let next = follow("http://a.example/v1/x", to, Leeway::ActiveNode).unwrap();
            assert_eq!(next.as_str(), "http://b.example/v1/x");
        }
    }

    #[test]
    fn a_path_that_a_parser_changes_is_not_sent_again() {
        for steps in ["/v1/a/../x", "/v1/a/%2e%2E/x", "/v1/./x", "/v1/x/.."] {
            let from = format!("http://a.example{steps}");
            for to in [format!("http://b.example{steps}"), steps.to_owned(), "/v1/y".to_owned()] {
                let refused = follow_below("http://a.example/", &from, &to, Leeway::ActiveNode);
                let refused = refused.unwrap_err();
                assert_eq!(refused.kind, TroubleKind::RedirectElsewhere, "{from} {to}");
            }
        }
    }
}
