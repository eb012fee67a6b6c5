//! Asks the server what lies at a path: whether its answers are static secrets.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Uri};
use usher_connector::{Body, Connector, Lane, TlsIdentity};

use crate::cache::{Found, found};
use crate::feed::Given;
use crate::headers::{NAMESPACE, TOKEN};

/// A question, asked with the token of who has read what lies there. `sys/internal/ui/mounts` tells
/// only who may do something in a mount, and takes no use from a token.
pub(crate) struct MountQuestion {
    pub(crate) uri: Uri,
    pub(crate) token: HeaderValue,
    /// Whose it is, if it is the agent's.
    pub(crate) given: Option<Arc<Given>>,
    pub(crate) namespace: Option<HeaderValue>,
}

impl MountQuestion {
    /// `path`: as the request was sent, with "/v1/" and without query.
    pub(crate) fn uri(path: &str) -> Option<Uri> {
        let path = path.strip_prefix("/v1/")?;
        format!("/v1/sys/internal/ui/mounts/{path}").parse().ok()
    }

    /// `None`: the server says nothing of a mount.
    pub(crate) async fn ask(self, connector: &Connector) -> Option<Found> {
        let mut request = Request::new(Body::default());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.uri;
        let headers = request.headers_mut();
        headers.insert(TOKEN, self.token);
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        headers.extend(self.namespace.map(|namespace| (NAMESPACE, namespace)));
        let plain = TlsIdentity::default();
        let identity = self.given.as_ref().map_or(&plain, |given| given.session().tls());
        let response = connector.send(Lane::Secrets, identity, request).await.ok()?;
        let success = response.status().is_success();
        let read = response.into_body().read(LARGEST).await.ok()?;
        found(&read).filter(|_| success)
    }
}

/// Of an answer, in bytes.
const LARGEST: usize = 64 << 10;
