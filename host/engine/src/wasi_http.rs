//! `wasi:http`, linked to the same door as our own `http` interface.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};
use zeroize::Zeroizing;

use crate::egress::Request;
use crate::failure::Failure;
use crate::usage::Usage;

/// Bytes of a request body.
const LARGEST_BODY: usize = 1 << 20;

/// Sends what the use's grant permits; outside of a use, nothing.
pub(crate) struct Hooks {
    usage: Option<Arc<Usage>>,
}

type Sent = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl Hooks {
    pub(crate) fn new(usage: Option<Arc<Usage>>) -> Self {
        Self { usage }
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _body_error: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        let usage = self.usage.clone();
        Box::new(async move {
            let usage = usage.ok_or(Error::HttpRequestDenied)?;
            send(&usage, request, options).await
        })
    }
}

async fn send(
    usage: &Usage,
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Sent, Error> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY)
        .collect()
        .await
        .map_err(|_| Error::HttpRequestBodySize(Some(LARGEST_BODY as u64)))?
        .to_bytes();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            value.to_str().map(|value| (name.as_str().to_owned(), value.to_owned()))
        })
        .collect::<Result<_, _>>()
        .map_err(|_| Error::HttpRequestDenied)?;
    let request = Request {
        method: parts.method.as_str().to_owned(),
        url: parts.uri.to_string(),
        headers,
        body: Zeroizing::new(body.to_vec()),
        timeout: options.and_then(|options| options.first_byte_timeout),
        tls: None,
    };
    let response = usage.send(request).await.map_err(|failure| {
        // The guest sees only a code; people should see why.
        tracing::warn!(
            plugin = usage.plugin,
            identity = usage.usage.identity,
            code = failure.code,
            "{}",
            failure.message
        );
        error(&failure)
    })?;
    let mut builder = http::Response::builder().status(response.status);
    for (name, value) in response.headers {
        builder = builder.header(name, value);
    }
    let body = Full::new(Bytes::from(response.body)).map_err(|never| match never {}).boxed_unsync();
    let response = builder.body(body).map_err(|_| Error::HttpProtocolError)?;
    Ok((response, Box::new(async { Ok(()) })))
}

fn error(failure: &Failure) -> Error {
    match failure.code.as_str() {
        "http.timeout" => Error::ConnectionReadTimeout,
        "http.connect" => Error::ConnectionRefused,
        "http.tls" => Error::TlsCertificateError,
        "http.dns" => Error::DnsError { rcode: None, info_code: None },
        "http.too-large" => Error::HttpResponseBodySize(None),
        _ => Error::HttpRequestDenied,
    }
}
