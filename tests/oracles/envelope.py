"""Opens and seals the envelopes of encrypted sinks with PyPI's `cryptography`: the independent
client of tests/tests/delivery/envelope.rs.

    envelope.py open PRIVATE_KEY_FILE DERIVE AAD < envelope > plaintext
    envelope.py seal PUBLIC_KEY_FILE DERIVE AAD < plaintext > envelope

DERIVE is "true" or "false", AAD is text.
"""

import base64
import json
import os
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def content_key(own: X25519PrivateKey, other: bytes, derive: bool) -> bytes:
    shared = own.exchange(X25519PublicKey.from_public_bytes(other))
    if not derive:
        return shared
    smaller, larger = sorted([own.public_key().public_bytes_raw(), other])
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=smaller, info=larger).derive(shared)


def open_envelope(key_file: str, derive: bool, aad: bytes, line: bytes) -> bytes:
    with open(key_file, encoding="ascii") as file:
        text = json.load(file)["curve25519_private_key"]
    own = X25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
    envelope = json.loads(line)
    sender, nonce, payload = (
        base64.b64decode(envelope[name], validate=True)
        for name in ["curve25519_public_key", "nonce", "encrypted_payload"]
    )
    return AESGCM(content_key(own, sender, derive)).decrypt(nonce, payload, aad)


def seal(key_file: str, derive: bool, aad: bytes, plaintext: bytes) -> bytes:
    with open(key_file, encoding="ascii") as file:
        reader = base64.b64decode(json.load(file)["curve25519_public_key"], validate=True)
    own = X25519PrivateKey.generate()
    nonce = os.urandom(12)
    payload = AESGCM(content_key(own, reader, derive)).encrypt(nonce, plaintext, aad)
    parts = [own.public_key().public_bytes_raw(), nonce, payload]
    names = ["curve25519_public_key", "nonce", "encrypted_payload"]
    texts = [base64.b64encode(part).decode() for part in parts]
    return json.dumps(dict(zip(names, texts))).encode() + b"\n"


def main() -> None:
    task, key_file, derive, aad = sys.argv[1:]
    work = {"open": open_envelope, "seal": seal}[task]
    result = work(key_file, derive == "true", os.fsencode(aad), sys.stdin.buffer.read())
    sys.stdout.buffer.write(result)


main()
