"""Finds credentials and region as AWS's own SDK for Python does, by the environment.

    aws_sdk.py > credentials        JSON: key, secret, token, found_by

So a stand-in for a metadata service is shown to be one.
"""

import json

import botocore.session

credentials = botocore.session.Session().get_credentials()
frozen = credentials.get_frozen_credentials()
print(
    json.dumps(
        {
            "key": frozen.access_key,
            "secret": frozen.secret_key,
            "token": frozen.token,
            "found_by": credentials.method,
        }
    )
)
