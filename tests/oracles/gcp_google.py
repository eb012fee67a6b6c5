"""Google, as far as the `gcp` method talks to it: checks what Google would check, and signs.

A line of JSON in is a request or a command, a line of JSON out its answer; the first line out tells
the keys. Signatures are made and verified by PyPI's PyJWT and cryptography. What a real Google
would refuse is answered as it does and told in "complaint".
"""

import json
import sys
import time
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ACCOUNT = "web@shop.iam.gserviceaccount.com"
AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k8s"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METADATA = "/computeMetadata/v1/instance/service-accounts/"
# Access tokens, by whose they are.
TOKENS = {name: f"ya29.{name}-marker" for name in ("key", "user", "machine", "federated", "account")}
USER = {"client_id": "id", "client_secret": "marker-of-a-client", "refresh_token": "1//marker-of-a-user"}


class Key:
    def __init__(self, kid):
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def private_pem(self):
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return pem.decode()

    def public_pem(self):
        pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem.decode()

    def sign(self, claims):
        return jwt.encode(claims, self.private_pem(), "RS256", headers={"kid": self.kid})


class Refusal(Exception):
    def __init__(self, status, body, complaint):
        super().__init__(complaint)
        self.answer = answer(status, body, complaint=complaint)


def answer(status, body, headers=None, complaint=None):
    text = body if isinstance(body, str) else json.dumps(body)
    return {"status": status, "headers": headers or {}, "body": text, "complaint": complaint}


def oauth(name, description):
    return Refusal(400, {"error": name, "error_description": description}, description)


def api(status, name, message):
    return Refusal(status, {"error": {"code": status, "message": message, "status": name}}, message)


google, account, issuer = Key("google-1"), Key("account-1"), Key("issuer-1")
# How far Google's clock is ahead, in seconds; whether the account may sign with itself.
skew, creator = 0, True


def now():
    return int(time.time()) + skew


def metadata(request, url):
    if request["headers"].get("metadata-flavor") != "Google":
        raise Refusal(403, "Missing Metadata-Flavor:Google header.", "no Metadata-Flavor")
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    path = unquote(url.path)
    if not path.startswith(METADATA):
        raise Refusal(404, "<html>not here</html>", f"asked for {path}")
    name, _, what = path[len(METADATA) :].partition("/")
    if name not in ("default", ACCOUNT):
        return answer(404, "<html>Not Found</html>", TEXT)
    if what == "identity":
        if query.get("format") != "full" or not query.get("audience"):
            raise Refusal(400, "non-empty audience parameter required", f"query {query}")
        claims = {
            "iss": "https://accounts.google.com",
            "aud": query["audience"],
            "azp": "1",
            "sub": "1",
            "email": ACCOUNT,
            "email_verified": True,
            "iat": now(),
            "exp": now() + 3600,
            "google": {"compute_engine": {"instance_id": "1", "project_id": "shop", "zone": "z"}},
        }
        return answer(200, google.sign(claims), TEXT)
    if what == "token":
        if query.get("scopes") != SCOPE:
            raise Refusal(400, "scopes", f"scopes {query}")
        return answer(200, token("machine"), FLAVOUR)
    if what == "email":
        return answer(200, ACCOUNT, TEXT)
    if what == "" and query == {"recursive": "true"}:
        return answer(200, {"email": ACCOUNT, "scopes": [SCOPE], "aliases": ["default"]}, FLAVOUR)
    raise Refusal(404, "<html>not here</html>", f"asked for {path}")


FLAVOUR = {"Metadata-Flavor": "Google", "Content-Type": "application/json"}
TEXT = {"Metadata-Flavor": "Google", "Content-Type": "text/html"}


def token(name):
    return {"access_token": TOKENS[name], "expires_in": 3599, "token_type": "Bearer"}


def form(request):
    if request["headers"].get("content-type") != "application/x-www-form-urlencoded":
        raise oauth("invalid_request", f"content type {request['headers'].get('content-type')}")
    fields = parse_qs(request["body"], strict_parsing=True)
    return {name: values[0] for name, values in fields.items()}


def own_url(request, url):
    return f"http://{request['headers']['host']}{url.path}"


def token_endpoint(request, url):
    fields = form(request)
    if fields.get("grant_type") == "refresh_token":
        if fields != {"grant_type": "refresh_token", **USER}:
            raise oauth("invalid_grant", "Bad Request")
        return answer(200, token("user"))
    if fields.keys() != {"grant_type", "assertion"}:
        raise oauth("invalid_request", f"fields {sorted(fields)}")
    if fields["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer":
        raise oauth("unsupported_grant_type", "Invalid grant_type")
    assertion = fields["assertion"]
    header = jwt.get_unverified_header(assertion)
    if header.get("kid") != account.kid:
        raise oauth("invalid_grant", "Invalid JWT Signature.")
    try:
        claims = jwt.decode(
            assertion,
            account.public_pem(),
            ["RS256"],
            audience=own_url(request, url),
            options={"verify_exp": False, "verify_iat": False},
        )
    except jwt.InvalidTokenError as error:
        raise oauth("invalid_grant", f"Invalid JWT Signature. ({error})") from error
    if claims["iss"] != ACCOUNT:
        raise oauth("invalid_grant", "Invalid grant: account not found")
    if claims.keys() != {"iss", "scope", "aud", "iat", "exp"} or claims["scope"] != SCOPE:
        raise oauth("invalid_scope", f"claims {claims}")
    lifetime = claims["exp"] - claims["iat"]
    if not 0 < lifetime <= 3600 or not claims["iat"] - 300 <= now() <= claims["exp"]:
        raise oauth(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
            "timeframe. Check your iat and exp values in the JWT claim.",
        )
    return answer(200, token("key"))


def security_tokens(request, _):
    fields = form(request)
    subject_token = fields.pop("subject_token", "")
    if fields != {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": AUDIENCE,
        # All that impersonation needs.
        "scope": "https://www.googleapis.com/auth/iam",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }:
        raise oauth("invalid_request", f"fields {fields}")
    try:
        jwt.decode(subject_token, issuer.public_pem(), ["RS256"], audience="gcp")
    except jwt.InvalidAudienceError as error:
        raise oauth(
            "invalid_grant", "The audience in ID Token [x] does not match the expected audience."
        ) from error
    except jwt.InvalidTokenError as error:
        raise oauth("invalid_grant", f"The ID Token can't be verified: {error}") from error
    return answer(200, token("federated"))


def credentials(request, url):
    bearer = request["headers"].get("authorization", "").removeprefix("Bearer ")
    caller = next((name for name, value in TOKENS.items() if value == bearer), None)
    if caller is None:
        raise api(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    if request["headers"].get("content-type") != "application/json":
        raise api(400, "INVALID_ARGUMENT", "content type")
    name, _, what = unquote(url.path).rpartition("/")[2].partition(":")
    if name != ACCOUNT:
        raise api(404, "NOT_FOUND", "Not found; Gaia id not found for email")
    body = json.loads(request["body"])
    if body.pop("delegates", None):
        raise api(400, "INVALID_ARGUMENT", "delegates")
    if what == "generateAccessToken":
        if caller != "federated":
            raise api(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied")
        if body != {"scope": [SCOPE], "lifetime": "3600s"}:
            raise api(400, "INVALID_ARGUMENT", f"body {body}")
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now() + 3600))
        return answer(200, {"accessToken": TOKENS["account"], "expireTime": ends})
    if what != "signJwt" or body.keys() != {"payload"}:
        raise api(400, "INVALID_ARGUMENT", f"{what} {body}")
    if not creator or caller == "federated":
        raise api(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.signJwt' denied on resource (or it may not exist).")
    claims = json.loads(body["payload"])
    if not isinstance(claims.get("exp"), int) or not now() < claims["exp"] <= now() + 12 * 3600:
        raise api(400, "INVALID_ARGUMENT", f"exp {claims.get('exp')}")
    return answer(200, {"keyId": google.kid, "signedJwt": google.sign(claims)})


def ask(request):
    url = urlsplit(request["target"])
    if url.path.startswith("/computeMetadata/"):
        wanted, respond = "GET", metadata
    elif url.path == "/token":
        wanted, respond = "POST", token_endpoint
    elif url.path == "/v1/token":
        wanted, respond = "POST", security_tokens
    else:
        wanted, respond = "POST", credentials
    if request["method"] != wanted:
        raise Refusal(405, "", f"{request['method']} {request['target']}")
    return respond(request, url)


def handle(line):
    global skew, creator
    if "skew" in line:
        skew = line["skew"]
        return {}
    if "creator" in line:
        creator = line["creator"]
        return {}
    if "subject" in line:
        claims = {"iss": "https://k8s", "sub": "web", "aud": line["subject"], "exp": now() + 600}
        return {"token": issuer.sign(claims)}
    try:
        return ask(line)
    except Refusal as refusal:
        return refusal.answer


def tell(value):
    print(json.dumps(value), flush=True)


tell(
    {
        "google": google.public_pem(),
        "account": account.public_pem(),
        "private": account.private_pem(),
        "kid": account.kid,
        "email": ACCOUNT,
        "audience": AUDIENCE,
        "user": USER,
        "tokens": list(TOKENS.values()),
    }
)
for text in sys.stdin:
    tell(handle(json.loads(text)))
