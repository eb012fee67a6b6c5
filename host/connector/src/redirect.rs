//! Where a redirect leads, if it is followed at all: once, and never away from TLS.

use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
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

/// Where a redirect leads, if it is followed.
pub(crate) fn follow(
    url: &Url,
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
    let Some(next) = location.and_then(|location| url.join(location).ok()) else {
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
    let other_request = !next.scheme().starts_with("http") || next.path() != url.path();
    if elsewhere && (leeway == Leeway::Origin || insecure || other_request) {
        let (why, remedy) = if insecure {
            ("without TLS", "check what stands between the agent and the server")
        } else {
            ("elsewhere", "if that is your server, write it in vault.address")
        };
        return failed(
            TroubleKind::RedirectElsewhere,
            format!("the server redirects {why}, to {origin}; credentials are not sent there"),
            remedy,
        );
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, to: &str, leeway: Leeway) -> Result<Url, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, to.parse().unwrap());
        let from = from.parse().unwrap();
        let status = StatusCode::TEMPORARY_REDIRECT;
        super::follow(&from, status, &headers, Redirected::Never, leeway)
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
            ("https://a.example/v1/x", "https://b.example/v1/x", Leeway::Origin),
            ("https://a.example/v1/x", "https://b.example/v1/y", Leeway::ActiveNode),
        ] {
            let refused = follow(from, to, leeway).unwrap_err();
            assert_eq!(refused.kind, TroubleKind::RedirectElsewhere, "{to}");
            assert!(!refused.kind.is_passing());
        }
    }
}
