"""Signs GetCallerIdentity with botocore, to be compared byte by byte with what method aws sends.

    aws_sigv4.py < cases > requests

Both are JSON lists. A case has key, secret, token ("" for none), id (the server-id header, "" for
none), region and time (seconds since 1970 UTC); a request has url and headers.
"""

import datetime
import json
import sys
from unittest import mock

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BODY = "Action=GetCallerIdentity&Version=2011-06-15"
resolver = botocore.session.Session().get_component("endpoint_resolver")


def host(region: str) -> str:
    # The one host that the method chooses otherwise: the global one, as the older SDKs do.
    if region == "us-east-1":
        return "sts.amazonaws.com"
    return resolver.construct_endpoint("sts", region)["hostname"]


def sign(case: dict) -> dict:
    url = f"https://{host(case['region'])}/"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Content-Length": str(len(BODY)),
    }
    if case["id"]:
        headers["X-Vault-AWS-IAM-Server-ID"] = case["id"]
    request = AWSRequest("POST", url, headers=headers, data=BODY)
    credentials = Credentials(case["key"], case["secret"], case["token"] or None)
    now = datetime.datetime.fromtimestamp(case["time"], datetime.timezone.utc).replace(tzinfo=None)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(credentials, "sts", case["region"]).add_auth(request)
    return {"url": url, "headers": {name.lower(): value for name, value in request.headers.items()}}


json.dump([sign(case) for case in json.load(sys.stdin)], sys.stdout)
