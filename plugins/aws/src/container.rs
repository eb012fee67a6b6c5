//! Credentials of a container: those of an ECS task, or of EKS's pod identity agent.
//!
//! As in AWS's "SDKs and Tools Reference Guide" (container credential provider).

use crate::credentials::{Credentials, Handed};
use crate::environment::{Needs, variable};
use crate::failed;
use std::net::Ipv4Addr;
use usher_plugin::http::Request;
use usher_plugin::{Failure, Kind, files};
use usher_plugin_lib::{ask_metadata, nothing_to_use, refusal};

/// As messages call who hands out the credentials.
pub(crate) const WHAT: &str = "the container's credential service";

/// Where a container's credentials are.
pub(crate) struct Container {
    pub(crate) url: String,
}

pub(crate) const NEEDS: Needs = &[
    ("env", RELATIVE),
    ("env", FULL),
    ("env", TOKEN),
    ("env", TOKEN_FILE),
    ("read", "${AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE}"),
    ("connect", ECS),
    ("connect", "${AWS_CONTAINER_CREDENTIALS_FULL_URI}"),
];

impl Container {
    /// The one that the environment names.
    pub(crate) fn of_environment() -> Result<Option<Self>, Failure> {
        // The relative one first, as SDKs but the oldest have it.
        if let Some(path) = variable(RELATIVE)? {
            if !path.starts_with('/') {
                let message = format!("{RELATIVE} must begin with \"/\"");
                return Err(failed(Kind::Config, "container.url", &message));
            }
            return Ok(Some(Self { url: format!("{ECS}{path}") }));
        }
        let Some(url) = variable(FULL)? else { return Ok(None) };
        if is_trusted(&url) {
            return Ok(Some(Self { url }));
        }
        let message = format!(
            "{FULL} leads elsewhere than to this machine without https, where anybody on the way \
             could read the credentials; write https://, or an address of ECS, EKS or loopback"
        );
        Err(failed(Kind::Config, "container.url", &message))
    }

    /// Asks for them.
    pub(crate) fn credentials(&self) -> Result<Credentials, Failure> {
        let mut request = Request::get(&self.url).header("accept", "application/json");
        let token = authorization()?;
        if let Some(token) = &token {
            request = request.header("authorization", token);
        }
        let response = ask_metadata(WHAT, request)?;
        if !response.is_success() {
            let failure = refusal("container.refused", WHAT, &response);
            let message = match &token {
                Some(token) => failure.message.replace(token, "…"),
                None => failure.message,
            };
            return Err(Failure { message, ..failure });
        }
        Handed::read(&response).credentials(
            "container.body",
            WHAT,
            &format!("container {}", self.url),
        )
    }
}

/// What the service wants to see. The file is read anew each time: it is replaced all the time.
fn authorization() -> Result<Option<String>, Failure> {
    let (token, name) = match variable(TOKEN_FILE)? {
        Some(file) => {
            let read = files::read_trimmed(&file);
            let token = read.map_err(|failure| nothing_to_use("authorization token", failure))?;
            (Some(token), TOKEN_FILE)
        }
        None => (variable(TOKEN)?, TOKEN),
    };
    if token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
        let message = format!("what {name} gives is more than one line, so no authorization token");
        return Err(failed(Kind::Unavailable, "container.token", &message));
    }
    Ok(token)
}

/// Over plain HTTP only addresses that never leave the machine.
fn is_trusted(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.split_once(']') {
        Some((address, _)) => address.trim_start_matches('['),
        None => authority.split(':').next().unwrap_or_default(),
    };
    !authority.contains('@')
        && (TRUSTED.contains(&host)
            || host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback()))
}

/// Loopback, ECS, and EKS's pod identity agent.
const TRUSTED: [&str; 5] = ["localhost", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"];

const ECS: &str = "http://169.254.170.2";

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_the_machine() {
        for url in [
            "http://127.0.0.1:8080/x",
            "http://127.9.9.9",
            "http://localhost/x",
            "http://[::1]:80/x",
            "http://169.254.170.2/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "https://credentials.example.org/x",
        ] {
            assert!(is_trusted(url), "{url}");
        }
        for url in [
            "http://credentials.example.org/x",
            "http://169.254.169.254/x",
            "http://10.0.0.1/x",
            "http://localhost@evil.test/x",
            "http://localhost.evil.test/x",
            "ftp://localhost/x",
            "localhost/x",
        ] {
            assert!(!is_trusted(url), "{url}");
        }
    }
}
