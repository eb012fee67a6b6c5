"""Signs JWTs with PyPI's `cryptography`: the independent issuer of the tests.

    jwt.py ES256 PRIVATE_KEY_FILE > public key, PEM    makes a key; also RS256
    jwt.py sign PRIVATE_KEY_FILE < claims > JWT        RFC 7515, appendices A.2 and A.3
"""

import base64
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


def make_key(algorithm: str, file: str) -> bytes:
    if algorithm == "RS256":
        key = rsa.generate_private_key(65537, 2048)
    else:
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
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    header = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    signed = encoded(header) + b"." + encoded(claims)
    if algorithm == "RS256":
        signature = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return signed + b"." + encoded(signature)


task, file = sys.argv[1:]
result = sign(file, sys.stdin.buffer.read()) if task == "sign" else make_key(task, file)
sys.stdout.buffer.write(result)
