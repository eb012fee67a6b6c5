//! Workload identity federation: a token of another issuer is exchanged for one of Google's.
//!
//! <https://google.aip.dev/auth/4117> describes the file.

use crate::Config;
use crate::credentials::{Document, Origin};
use crate::google::{self, SCOPE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use usher_plugin::http::Request;
use usher_plugin::{Failure, Kind, files};
use usher_plugin_lib::{AccessToken, percent_encode, refusal};

/// Credentials of the type `external_account`.
pub(crate) struct External {
    audience: String,
    subject_token_type: String,
    pub(crate) token_url: String,
    source: CredentialSource,
    pub(crate) impersonation_url: Option<String>,
    /// Seconds for which an impersonation is good.
    impersonation_lifetime: u64,
    client: Option<(String, String)>,
    workforce_pool_user_project: Option<String>,
    pub(crate) quota_project_id: Option<String>,
}

struct CredentialSource {
    file: Option<String>,
    url: Option<String>,
    headers: Vec<(String, String)>,
    /// Of JSON: what holds the token.
    field: Option<String>,
    of_aws: bool,
}

/// All that a federated identity needs to impersonate a service account.
const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";

/// Where the subject token is.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    File(&'a str),
    Url(&'a str),
}

impl<'a> Source<'a> {
    /// A URL, or else a path.
    pub(crate) fn of(text: &'a str) -> Self {
        if text.contains("://") { Self::Url(text) } else { Self::File(text) }
    }
}

impl External {
    pub(crate) fn new(document: &Document<'_>) -> Result<Self, Failure> {
        let impersonation = &document.value["service_account_impersonation"];
        let client = document.optional("client_id").map(|id| {
            let secret = document.optional("client_secret").unwrap_or_default();
            (id, secret)
        });
        Ok(Self {
            audience: document.required("audience")?,
            subject_token_type: document.required("subject_token_type")?,
            token_url: document.required("token_url")?,
            source: CredentialSource::new(document),
            impersonation_url: document.optional("service_account_impersonation_url"),
            impersonation_lifetime: impersonation["token_lifetime_seconds"]
                .as_u64()
                .unwrap_or(3600),
            client,
            workforce_pool_user_project: document.optional("workforce_pool_user_project"),
            quota_project_id: document.optional("quota_project_id"),
        })
    }

    /// An access token, of the impersonated service account if there is one.
    pub(crate) fn access_token(
        &self,
        config: &Config,
        origin: &Origin,
    ) -> Result<AccessToken, Failure> {
        let subject_token = self.subject_token(config, origin)?;
        let options = match &self.workforce_pool_user_project {
            // The client's id says enough.
            Some(project) if self.client.is_none() => {
                percent_encode(&serde_json::json!({"userProject": project}).to_string())
            }
            _ => String::new(),
        };
        let mut fields = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &*self.audience),
            ("scope", if self.impersonation_url.is_some() { IAM_SCOPE } else { SCOPE }),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token", &*subject_token),
            ("subject_token_type", &*self.subject_token_type),
        ];
        if !options.is_empty() {
            fields.push(("options", &*options));
        }
        let authorization = self
            .client
            .as_ref()
            .map(|(id, secret)| format!("Basic {}", STANDARD.encode(format!("{id}:{secret}"))));
        let what = "Google's security token service";
        let token = google::exchange(what, &self.token_url, &fields, authorization)?;
        match &self.impersonation_url {
            Some(url) => self.impersonate(url, &token.access_token),
            None => Ok(token),
        }
    }

    /// The service account that the access token will be of, if it is one.
    pub(crate) fn account(&self) -> Option<&str> {
        let url = self.impersonation_url.as_deref()?;
        url.strip_suffix(":generateAccessToken")?.rsplit_once('/').map(|(_, account)| account)
    }

    /// Where the subject token is; other ways of getting one are refused by name.
    pub(crate) fn source<'a>(
        &'a self,
        config: &'a Config,
        origin: &Origin,
    ) -> Result<Source<'a>, Failure> {
        let source = &self.source;
        if source.of_aws {
            let what = "takes its subject token from AWS, which can't be done yet; use the aws method, or a token in a file";
            return Err(origin.unusable(what));
        }
        if !config.subject_token_source.is_empty() {
            return Ok(Source::of(&config.subject_token_source));
        }
        match (&source.file, &source.url) {
            (Some(file), _) => Ok(Source::File(file)),
            (None, Some(url)) => Ok(Source::Url(url)),
            (None, None) => {
                let what = "has a `credential_source` that is neither a file nor a URL; programs and certificates can't be used";
                Err(origin.unusable(what))
            }
        }
    }

    fn subject_token(&self, config: &Config, origin: &Origin) -> Result<String, Failure> {
        let source = self.source(config, origin)?;
        let (text, place) = match source {
            Source::File(path) => {
                let text = files::read_trimmed(path).map_err(|failure| beyond(failure, path))?;
                (text, path.to_owned())
            }
            Source::Url(url) => self.fetched(url)?,
        };
        let Some(field) = self.source.field.as_deref() else { return Ok(text) };
        let value: Option<Value> = serde_json::from_slice(text.as_bytes()).ok();
        let token = value.as_ref().and_then(|value| value.get(field)).and_then(Value::as_str);
        token.filter(|token| !token.is_empty()).map(str::to_owned).ok_or_else(|| {
            let message = format!("{place} is no JSON with a subject token in {field:?}");
            Failure::unavailable("gcp.subject-token", message)
        })
    }

    fn fetched(&self, url: &str) -> Result<(String, String), Failure> {
        const WHAT: &str = "the issuer of the subject token";
        let mut request = Request::get(url);
        for (name, value) in &self.source.headers {
            request = request.header(name, value);
        }
        let response = google::send(WHAT, request).map_err(|failure| beyond(failure, "its URL"))?;
        if response.status != 200 {
            return Err(refusal("gcp.subject-token", WHAT, &response));
        }
        let text = String::from_utf8(response.body).ok().map(|text| text.trim().to_owned());
        let message = format!("{WHAT} answered without a token");
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Failure::unavailable("gcp.subject-token", message))?;
        Ok((text, format!("the answer of {WHAT}")))
    }

    fn impersonate(&self, url: &str, token: &str) -> Result<AccessToken, Failure> {
        const WHAT: &str = "Google's service for impersonation";
        let seconds = self.impersonation_lifetime;
        let body = serde_json::json!({
            "scope": [SCOPE],
            "lifetime": format!("{seconds}s"),
        });
        let request =
            Request::post_json(url, &body)?.header("authorization", format!("Bearer {token}"));
        let response = google::send(WHAT, request)?;
        if !response.is_success() {
            let remedy = match response.status {
                403 => format!(
                    "give the federated identity roles/iam.workloadIdentityUser on {}",
                    self.account().unwrap_or("the service account")
                ),
                _ => String::new(),
            };
            return Err(google::refused("gcp.impersonation-refused", WHAT, &response, &remedy));
        }
        let access_token = google::text_of(WHAT, &response, "accessToken")?;
        Ok(AccessToken { access_token, expires_in: Some(seconds) })
    }
}

impl CredentialSource {
    fn new(document: &Document<'_>) -> Self {
        let value = &document.value["credential_source"];
        let source = Document { value, origin: document.origin };
        let headers = value["headers"].as_object().into_iter().flatten();
        let format = Document { value: &value["format"], origin: document.origin };
        let is_json = format.optional("type").is_some_and(|name| name == "json");
        let field = || format.optional("subject_token_field_name");
        Self {
            file: source.optional("file"),
            url: source.optional("url"),
            headers: headers
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
            field: is_json.then(|| field().unwrap_or_else(|| "access_token".to_owned())),
            of_aws: source.optional("environment_id").is_some(),
        }
    }
}

/// A place that is named only in a file of credentials can't be granted before it is read.
fn beyond(failure: Failure, place: &str) -> Failure {
    match (failure.kind, failure.code.as_str()) {
        (_, "grant.missing") => {
            let message = format!(
                "the subject token is at {place}, which only the credentials name: write it in `subject_token_source`, or the credentials' JSON in `credentials`"
            );
            Failure { kind: Kind::Config, message, ..failure }
        }
        (Kind::Config, _) => failure.into_kind(Kind::Unavailable),
        _ => failure,
    }
}
