"""An application's certificate, and what Entra ID checks of an assertion that is signed with it.

    azure_application.py make FILE                          certificate and key, one PEM file
    azure_application.py check FILE AUDIENCE CLIENT_ID      < assertion > "", or what is wrong with it

With PyPI's `cryptography` and `PyJWT`; the rules are those of
https://learn.microsoft.com/entra/identity-platform/certificate-credentials
"""

import base64
import datetime
import sys
import time

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def make(file: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "application")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    with open(file, "wb") as out:
        out.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        out.write(certificate.public_bytes(serialization.Encoding.PEM))


def unpadded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def check(file: str, audience: str, client_id: str, assertion: str) -> str:
    with open(file, "rb") as source:
        certificate = x509.load_pem_x509_certificate(source.read())
    header = jwt.get_unverified_header(assertion)
    if header["alg"] == "PS256":
        named, own = header.get("x5t#S256"), certificate.fingerprint(hashes.SHA256())
    else:
        named, own = header.get("x5t"), certificate.fingerprint(hashes.SHA1())
    if not named or named.rstrip("=") != unpadded(own):
        return "AADSTS700027: The certificate with identifier used to sign is not registered."
    try:
        claims = jwt.decode(
            assertion,
            certificate.public_key(),
            algorithms=["PS256", "RS256"],
            audience=audience,
            issuer=client_id,
            subject=client_id,
            options={"require": ["aud", "exp", "iat", "iss", "jti", "sub"]},
        )
    except jwt.InvalidSignatureError:
        return "AADSTS700027: The signature of the client assertion is not valid."
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
        return "AADSTS700024: Client assertion is not within its valid time range."
    except jwt.InvalidTokenError as error:
        return f"AADSTS50027: JWT token is invalid or malformed: {error}."
    if claims["exp"] > time.time() + 3600:
        return "AADSTS700024: Client assertion is not within its valid time range."
    return ""


task, file, *expected = sys.argv[1:]
if task == "make":
    make(file)
else:
    print(check(file, *expected, sys.stdin.read()), end="")
