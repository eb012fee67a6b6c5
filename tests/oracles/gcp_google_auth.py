"""PyPI's google-auth, Google's own library, driven beside the `gcp` method.

    gcp_google_auth.py identity AUDIENCE             identity of the machine
    gcp_google_auth.py machine                       access token of the machine
    gcp_google_auth.py credentials < JSON            access token for these credentials
    gcp_google_auth.py sign PAYLOAD TOKEN URL        signature of Google's over a payload
    gcp_google_auth.py assertion IAT < KEY JSON      the assertion for a key at that time

An assertion of google-auth's has the claims in another order and blanks between them: what it says
is laid out as RFC 8785 has it (sorted, without blanks) and signed again by google-auth's own signer.
Its audience is a constant of google-auth's; here it is the key's own `token_uri`.
"""

import base64
import datetime
import json
import sys
from unittest import mock

from google.auth import _helpers, compute_engine, iam, identity_pool, impersonated_credentials
from google.auth.transport.requests import Request
from google.oauth2 import credentials as user
from google.oauth2 import service_account

# The audience of each assertion to google-auth, wherever a key says that it goes.
ENDPOINT = "_GOOGLE_OAUTH2_TOKEN_ENDPOINT"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def refreshed(credentials):
    credentials.refresh(Request())
    return credentials.token


def identity(audience):
    return refreshed(
        compute_engine.IDTokenCredentials(
            Request(), audience, use_metadata_identity_endpoint=True
        )
    )


def machine():
    return refreshed(compute_engine.Credentials(scopes=SCOPES))


def credentials():
    info = json.load(sys.stdin)
    if info["type"] == "authorized_user":
        # From a file it would take one endpoint alone.
        fields = ("refresh_token", "client_id", "client_secret", "token_uri")
        return refreshed(user.Credentials(None, **{name: info[name] for name in fields}))
    kinds = {"service_account": service_account.Credentials.from_service_account_info}
    kinds["external_account"] = identity_pool.Credentials.from_info
    with mock.patch.object(service_account, ENDPOINT, info.get("token_uri")):
        return refreshed(kinds[info["type"]](info, scopes=SCOPES))


def sign(payload, token, url):
    endpoint = url + "/v1/projects/-/serviceAccounts/{}:signJwt"
    with mock.patch.object(iam, "_IAM_SIGNJWT_ENDPOINT", endpoint):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        payload = json.loads(payload)
        return impersonated_credentials._sign_jwt_request(
            Request(), payload["sub"], headers, payload
        )


def assertion(iat):
    key = json.load(sys.stdin)
    made = service_account.Credentials.from_service_account_info(key, scopes=SCOPES)
    clock = datetime.datetime.fromtimestamp(int(iat), datetime.timezone.utc).replace(tzinfo=None)
    with mock.patch.object(_helpers, "utcnow", lambda: clock), mock.patch.object(
        service_account, ENDPOINT, key["token_uri"]
    ):
        parts = made._make_authorization_grant_assertion().split(b".")
    said = [json.loads(_helpers.padded_urlsafe_b64decode(part)) for part in parts[:2]]
    laid_out = [json.dumps(part, sort_keys=True, separators=(",", ":")) for part in said]
    encoded = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in laid_out]
    signed = b".".join(encoded)
    signature = base64.urlsafe_b64encode(made.signer.sign(signed)).rstrip(b"=")
    return (signed + b"." + signature).decode()


task, *arguments = sys.argv[1:]
print(globals()[task](*arguments), end="")
