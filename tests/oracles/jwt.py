"""Signs JWTs with PyPI's `cryptography`: the independent issuer of the tests for jwt and kubernetes.

    jwt.py key PRIVATE_KEY_FILE > public key, PEM      makes a key
    jwt.py sign PRIVATE_KEY_FILE < claims > JWT        ES256 (RFC 7515, appendix A.3)
"""

import base64
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def make_key(file: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    with open(file, "wb") as out:
        out.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def sign(file: str, claims: bytes) -> bytes:
    with open(file, "rb") as source:
        key = serialization.load_pem_private_key(source.read(), None)
    header = json.dumps({"alg": "ES256", "typ": "JWT"}).encode()
    signed = encoded(header) + b"." + encoded(claims)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return signed + b"." + encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


task, file = sys.argv[1:]
result = make_key(file) if task == "key" else sign(file, sys.stdin.buffer.read())
sys.stdout.buffer.write(result)
