"""Oracle Cloud, as far as the `oci` method talks to it: makes the keys and certificates of users and
instances, checks what its identity service would check, and gives out sessions.

A line of JSON in, a line of JSON out. What is expected is made by Oracle's own SDK, which first has
to reproduce a published signature.
"""

import base64
import datetime
import email.utils
import hashlib
import json
import os
import sys
import time

import jwt
import oci
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from oci._vendor import requests
from oci.auth.federation_client import AuthTokenRequestSigner

PEM = serialization.Encoding.PEM
TENANCY = "ocid1.tenancy.oc1..tenancy"
INSTANCE = "ocid1.instance.oc1.phx.instance"
# Of oci-go-sdk, common/http_signer_test.go, and Oracle's documentation of request signatures.
PUBLISHED_KEY = """-----BEGIN RSA PRIVATE KEY-----
MIICXgIBAAKBgQDCFENGw33yGihy92pDjZQhl0C36rPJj+CvfSC8+q28hxA161QF
NUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6Z4UMR7EOcpfdUE9Hf3m/hs+F
UR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJwoYi+1hqp1fIekaxsyQIDAQAB
AoGBAJR8ZkCUvx5kzv+utdl7T5MnordT1TvoXXJGXK7ZZ+UuvMNUCdN2QPc4sBiA
QWvLw1cSKt5DsKZ8UETpYPy8pPYnnDEz2dDYiaew9+xEpubyeW2oH4Zx71wqBtOK
kqwrXa/pzdpiucRRjk6vE6YY7EBBs/g7uanVpGibOVAEsqH1AkEA7DkjVH28WDUg
f1nqvfn2Kj6CT7nIcE3jGJsZZ7zlZmBmHFDONMLUrXR/Zm3pR5m0tCmBqa5RK95u
412jt1dPIwJBANJT3v8pnkth48bQo/fKel6uEYyboRtA5/uHuHkZ6FQF7OUkGogc
mSJluOdc5t6hI1VsLn0QZEjQZMEOWr+wKSMCQQCC4kXJEsHAve77oP6HtG/IiEn7
kpyUXRNvFsDE0czpJJBvL/aRFUJxuRK91jhjC68sA7NsKMGg5OXb5I5Jj36xAkEA
gIT7aFOYBFwGgQAQkWNKLvySgKbAZRTeLBacpHMuQdl1DfdntvAyqpAZ0lY0RKmW
G6aFKaqQfOXKCyWoUiVknQJAXrlgySFci/2ueKlIE1QqIiLSZ8V8OlpFLRnb1pzI
7U1yQXnTAEFYM560yJlzUpOb1V4cScGd365tiSMvxLOvTA==
-----END RSA PRIVATE KEY-----"""
PUBLISHED_URL = (
    "https://iaas.us-phoenix-1.oraclecloud.com/20160918/instances?availabilityDomain=Pjwf%3A%20PHX-AD-1"
    "&compartmentId=ocid1.compartment.oc1..aaaaaaaam3we6vgnherjq5q2idnccdflvjsnog7mlr6rtdb25gilchfeyjxa"
    "&displayName=TeamXInstances"
    "&volumeId=ocid1.volume.oc1.phx.abyhqljrgvttnlx73nmrwfaux7kcvzfs3s66izvxf2h4lgvyndsdsnoiwr5q"
)
PUBLISHED_SIGNATURE = (
    "GBas7grhyrhSKHP6AVIj/h5/Vp8bd/peM79H9Wv8kjoaCivujVXlpbKLjMPeDUhxkFIWtTtLBj3sUzaFj34XE6YZAHc9r2DmE4p"
    "MwOAy/kiITcZxa1oHPOeRheC0jP2dqbTll8fmTZVwKZOKHYPtrLJIJQHJjNvxFWeHQjMaR7M="
)

users = {}
sessions = {}
instance = {}


class Refused(Exception):
    pass


def check(good, why):
    if not good:
        raise Refused(why)


def parameters(authorization):
    check(authorization.startswith("Signature "), "no signature")
    found = dict(part.split("=", 1) for part in authorization[len("Signature ") :].split(","))
    return {name: value.strip('"') for name, value in found.items()}


def signed_by_sdk(signer, method, url, date, body=None):
    request = requests.Request(method, url, headers={"date": date}, data=body).prepare()
    request.headers.pop("content-length", None)
    if body is not None:
        request.headers["content-length"] = str(len(body))
        request.headers["content-type"] = "application/json"
    return parameters(signer(request).headers["authorization"])


def alike(ours, theirs):
    for name in ["version", "headers", "keyId", "algorithm", "signature"]:
        check(ours[name] == theirs[name], f"{name} is not what the SDK makes of it")


def recent(date):
    sent = email.utils.parsedate_to_datetime(date).timestamp()
    check(email.utils.formatdate(sent, usegmt=True) == date, "the date is written otherwise")
    check(abs(time.time() - sent) < 300, "the date is too far from now")


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key, form="TraditionalOpenSSL", pass_phrase=None):
    encryption = serialization.NoEncryption()
    if pass_phrase:
        encryption = serialization.BestAvailableEncryption(pass_phrase.encode())
    return key.private_bytes(PEM, getattr(serialization.PrivateFormat, form), encryption).decode()


def new_user(form, pass_phrase):
    key = new_key()
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    fingerprint = hashlib.md5(public).hexdigest()
    fingerprint = ":".join(fingerprint[at : at + 2] for at in range(0, 32, 2))
    user = f"ocid1.user.oc1..user{len(users)}"
    users[f"{TENANCY}/{user}/{fingerprint}"] = oci.signer.Signer(
        TENANCY, user, fingerprint, None, private_key_content=pem(key)
    )
    return {
        "tenancy": TENANCY,
        "user": user,
        "fingerprint": fingerprint,
        "key": pem(key, form, pass_phrase),
        "open": pem(key),
    }


def certificate(key, subject, issuer, issuer_key):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )
    return builder.sign(issuer_key, hashes.SHA256())


def new_instance():
    issuer_key, key = new_key(), new_key()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PKISVC Identity Intermediate")])
    units = [
        "opc-certtype:instance",
        "opc-compartment:ocid1.compartment.oc1..c",
        f"opc-instance:{INSTANCE}",
        f"opc-tenant:{TENANCY}",
    ]
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, INSTANCE)]
    subject += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    intermediate = certificate(issuer_key, issuer, issuer, issuer_key)
    leaf = certificate(key, x509.Name(subject), issuer, issuer_key)
    instance.update(leaf=leaf, key=key, intermediate=intermediate)
    return {
        "cert.pem": leaf.public_bytes(PEM).decode(),
        "key.pem": pem(key),
        "intermediate.pem": intermediate.public_bytes(PEM).decode(),
    }


def bare(public_pem):
    return "".join(line for line in public_pem.decode().splitlines() if "-----" not in line)


class Leaf:
    def get_private_key(self):
        return instance["key"]


def federate(asked):
    """As the identity service: a session for an instance that signs with its certificate's key."""
    headers, body = asked["headers"], asked["body"]
    sent = json.loads(body)
    leaf = instance["leaf"]
    try:
        check((asked["method"], asked["target"]) == ("POST", "/v1/x509"), "another request")
        recent(headers["date"])
        check(sorted(sent) == ["certificate", "intermediateCertificates", "publicKey"], "other parts")
        check(sent["certificate"] == bare(leaf.public_bytes(PEM)), "another certificate")
        intermediate = [bare(instance["intermediate"].public_bytes(PEM))]
        check(sent["intermediateCertificates"] == intermediate, "other intermediate certificates")
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        check(headers["x-content-sha256"] == digest, "another body")
        check(headers["content-type"] == "application/json", "another type")
        check(headers["content-length"] == str(len(body.encode())), "another length")
        fingerprint = leaf.fingerprint(hashes.SHA1()).hex(":").upper()
        signer = AuthTokenRequestSigner(TENANCY, fingerprint, Leaf())
        url = "https://auth.us-phoenix-1.oraclecloud.com" + asked["target"]
        ours = parameters(headers["authorization"])
        alike(ours, signed_by_sdk(signer, "POST", url, headers["date"], body))
    except (Refused, KeyError) as problem:
        refusal = {"code": "NotAuthenticated", "message": "The required information is wrong."}
        return {"status": 401, "body": json.dumps(refusal), "problem": repr(problem)}
    claims = {"exp": int(time.time()) + 1200, "sub": INSTANCE, "jti": str(len(sessions))}
    token = jwt.encode(claims, "a secret of the identity service, long enough", "HS256")
    public = serialization.load_der_public_key(base64.b64decode(sent["publicKey"]))
    sessions[f"ST${token}"] = public
    return {"status": 200, "body": json.dumps({"token": token}), "problem": None}


def judge(asked):
    """As the server's method and the identity service: what is wrong with a login, or None."""
    headers = asked["login"].get("request_headers", {})
    try:
        check(sorted(headers) == ["(request-target)", "Authorization", "Date", "Host"], "other headers")
        check(all(len(values) == 1 for values in headers.values()), "repeated headers")
        date, host, target = (headers[name][0] for name in ["Date", "Host", "(request-target)"])
        ours = parameters(headers["Authorization"][0])
        recent(date)
        check(host == asked["host"], "another host")
        check(target == "get /v1/auth/oci/login/dev", "incorrect (request-target) specified in header")
        check(ours["version"] == "1" and ours["algorithm"] == "rsa-sha256", "another algorithm")
        check(ours["headers"] == "date (request-target) host", "other headers are signed")
        url = f"http://{host}{target.removeprefix('get ')}"
        if ours["keyId"] in users:
            alike(ours, signed_by_sdk(users[ours["keyId"]], "GET", url, date))
        else:
            check(ours["keyId"] in sessions, "an unknown key")
            text = f"date: {date}\n(request-target): {target}\nhost: {host}".encode()
            signature = base64.b64decode(ours["signature"])
            sessions[ours["keyId"]].verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    except (Refused, KeyError, ValueError, InvalidSignature) as problem:
        return {"problem": repr(problem)}
    return {"problem": None}


def drive_sdk(asked):
    """Gets a session as the SDK does, at the same services."""
    os.environ["OCI_METADATA_BASE_URL"] = asked["metadata"]
    signer = oci.auth.signers.InstancePrincipalsSecurityTokenSigner(
        federation_endpoint=asked["federation"]
    )
    return {"token": signer.federation_client.get_security_token()}


published = oci.signer.Signer("t", "u", "f", None, private_key_content=PUBLISHED_KEY)
ours = signed_by_sdk(published, "GET", PUBLISHED_URL, "Thu, 05 Jan 2014 21:31:40 GMT")
assert ours["signature"] == PUBLISHED_SIGNATURE, "the SDK doesn't make the published signature"
TASKS = {
    "user": lambda asked: new_user(asked["form"], asked.get("pass_phrase")),
    "instance": lambda asked: new_instance(),
    "federate": federate,
    "judge": judge,
    "drive-sdk": drive_sdk,
}
print("{}", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(TASKS[asked["task"]](asked)), flush=True)
