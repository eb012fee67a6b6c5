"""AWS's IAM and STS as moto has them, with signatures checked: the judge of logins of method aws.

    aws_cloud.py

Prints one line of JSON (the port, a user's access key, session credentials of a role, the role's
ARN) and serves until it is ended. The first calls after a POST to /moto-api/reset-auth, as many
as its body says, go unchecked, as moto can't serve unsigned ones otherwise.
"""

import json
import logging
import os
import threading

SETUP_CALLS = 6
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(SETUP_CALLS)

import botocore.session  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402

logging.getLogger("werkzeug").setLevel(logging.ERROR)

POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"],
                "Principal": "*",
            }
        ],
    }
)

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()


def client(service: str):
    return botocore.session.Session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="setup",
        aws_secret_access_key="setup",
    )


iam = client("iam")
iam.create_user(UserName="app")
iam.put_user_policy(UserName="app", PolicyName="all", PolicyDocument=POLICY)
key = iam.create_access_key(UserName="app")["AccessKey"]
role = iam.create_role(RoleName="app", AssumeRolePolicyDocument=TRUST)["Role"]
iam.put_role_policy(RoleName="app", PolicyName="all", PolicyDocument=POLICY)
session = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
print(
    json.dumps(
        {
            "port": port,
            "role": role["Arn"],
            "user": {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]},
            "session": {
                "key": session["AccessKeyId"],
                "secret": session["SecretAccessKey"],
                "token": session["SessionToken"],
            },
        }
    ),
    flush=True,
)
threading.Event().wait()
