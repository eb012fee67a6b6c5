"""Alibaba Cloud's own SDK signs what the agent signed.

Reads one JSON object a line, {"url", "secret"}, and prints the signature for each.
"""

import json
import sys
from unittest.mock import patch
from urllib.parse import parse_qsl, urlsplit


def sign(url, secret):
    from aliyunsdkcore.auth.composer import rpc_signature_composer as composer

    parameters = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    with (
        patch.object(composer.helper, "get_iso_8061_date", lambda: parameters["Timestamp"]),
        patch.object(composer.helper, "get_uuid", lambda: parameters["SignatureNonce"]),
    ):
        signed, _ = composer.get_signed_url(
            dict(parameters), parameters["AccessKeyId"], secret, "JSON", "POST", {}
        )
    return dict(parse_qsl(urlsplit(signed).query, keep_blank_values=True))["Signature"]


for line in sys.stdin:
    asked = json.loads(line)
    print(sign(asked["url"], asked["secret"]))
