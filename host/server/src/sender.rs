//! One exchange with the server: sent, read in full, judged.

use std::sync::Arc;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use usher_connector::{Body, Connector, Interrupted, Lane, Outcome, Unread, clean, innermost};
use usher_secret::redactor;
use zeroize::Zeroizing;

use crate::answer::Unusable;
use crate::error::{Class, Error, Reason, retry_after};
use crate::operation::Operation;
use crate::remedies::refusal;
use crate::request::{Request, headers};

/// Sends requests, and tells the governor what their answers were worth.
#[derive(Clone)]
pub(crate) struct Sender {
    connector: Arc<Connector>,
}

impl Sender {
    pub(crate) fn new(connector: Arc<Connector>) -> Self {
        Self { connector }
    }

    pub(crate) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    /// The body of a successful answer. Whoever reads it says with [`Sender::usable`] or
    /// [`Sender::succeeded`] whether it was any good.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Zeroizing<Vec<u8>>, Error> {
        let _live = request.token.map(redactor::keep_out_of_logs);
        let operation = request.operation;
        let identity = request.identity;
        let request = http_request(request)?;
        let response = self.connector.send(Lane::Tokens, identity, request).await;
        let response = response.map_err(|trouble| Error::unanswered(operation, trouble))?;
        let result = self.judge(operation, response).await;
        if let Err(error) = &result {
            self.record(error);
            if error.reason == Reason::Timeout {
                self.connector.answer_was_late();
            }
        }
        result
    }

    /// What was made of an answer.
    pub(crate) fn usable<T>(
        &self,
        operation: Operation<'_>,
        made: Result<T, Unusable>,
    ) -> Result<T, Error> {
        let error = match made {
            Ok(made) => {
                self.succeeded();
                return Ok(made);
            }
            Err(Unusable::Unreadable(why)) => unreadable(operation, &why),
            Err(Unusable::SecondFactor) => Error::new(
                Class::Refused,
                Reason::SecondFactor,
                format_args!("{operation}: the server asks for a second factor"),
                "exempt this login from MFA: an agent has nobody to ask",
            ),
        };
        self.record(&error);
        Err(error)
    }

    /// The answer was good.
    pub(crate) fn succeeded(&self) {
        self.connector.governor().record(Outcome::Success);
    }

    fn record(&self, error: &Error) {
        self.connector.governor().record(match error.class {
            Class::Passing => Outcome::Passing,
            Class::Refused | Class::Configuration => Outcome::Refused,
        });
    }

    /// Reads the answer, and says what is wrong with it.
    async fn judge(
        &self,
        operation: Operation<'_>,
        response: Response<Body>,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, time::OffsetDateTime::now_utc()));
        let body = read(operation, status, response.into_body()).await;
        if status.is_success() {
            return body;
        }
        // The status says enough, should the explanation be lost.
        let body = body.unwrap_or_default();
        let error = refusal(operation, status, &body, self.connector.address().uses_tls());
        Err(Error { retry_after, ..error })
    }
}

fn http_request(request: Request<'_>) -> Result<http::Request<Body>, Error> {
    let headers = headers(&request)?;
    let path = format!("/v1/{}", request.operation.path());
    let body = request.body.map(Bytes::from_owner).map(Body::from).unwrap_or_default();
    let mut made = http::Request::new(body);
    *made.method_mut() = request.operation.method();
    *made.uri_mut() = path.parse().map_err(|_| {
        let what = format!("the path \"{}\" can't be sent", clean(&path));
        Error::against_the_rules(what, "write it as a path of HTTP, percent-encoded")
    })?;
    *made.headers_mut() = headers;
    Ok(made)
}

/// The body, at most [`LARGEST`] bytes.
async fn read(
    operation: Operation<'_>,
    status: StatusCode,
    body: Body,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let error = match body.read(LARGEST).await {
        Ok(body) => return Ok(body),
        Err(Unread::TooLarge) => unreadable(operation, "it is larger than 1 MiB"),
        Err(Unread::Interrupted(Interrupted::Timeout)) => {
            let message = format_args!("{operation}: the answer didn't end in time");
            let remedy = "check how busy the server is";
            Error::new(Class::Passing, Reason::Timeout, message, remedy)
        }
        Err(Unread::Interrupted(broken @ Interrupted::Broken(_))) => {
            unreadable(operation, &format!("it is cut short: {}", clean(&innermost(&broken))))
        }
    };
    Err(Error { status: Some(status.as_u16()), ..error })
}

fn unreadable(operation: Operation<'_>, why: &str) -> Error {
    Error::new(
        Class::Passing,
        Reason::Unreadable,
        format_args!("{operation}: the answer can't be read: {why}"),
        "check vault.address, and what stands between the agent and the server",
    )
}

/// Of an answer, in bytes.
const LARGEST: usize = 1024 * 1024;
