"""Asks for access tokens with Microsoft's own `azure-identity` and `msal`, so that a test can compare
their requests with the agent's. Endpoints and credentials come from the environment, as for the agent.

    azure_identity.py default SCOPE                 DefaultAzureCredential, less what starts programs
    azure_identity.py managed SCOPE [NAME VALUE]    a managed identity: client_id or object_id
    azure_identity.py assertion SCOPE               msal with AZURE_CLIENT_CERTIFICATE_PATH: PS256

Prints the access token.
"""

import os
import sys

import msal
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential


def with_assertion(scope: str) -> str:
    with open(os.environ["AZURE_CLIENT_CERTIFICATE_PATH"], encoding="ascii") as file:
        pem = file.read()
    application = msal.ConfidentialClientApplication(
        os.environ["AZURE_CLIENT_ID"],
        authority=os.environ["AZURE_AUTHORITY_HOST"] + "/" + os.environ["AZURE_TENANT_ID"],
        client_credential={"private_key": pem, "public_certificate": pem},
        instance_discovery=False,
    )
    answer = application.acquire_token_for_client([scope])
    if "access_token" not in answer:
        sys.exit(str(answer))
    return answer["access_token"]


kind, scope, *identity = sys.argv[1:]
if kind == "assertion":
    token = with_assertion(scope)
elif kind == "managed":
    config = {identity[0]: identity[1]} if identity else {}
    token = ManagedIdentityCredential(identity_config=config).get_token(scope).token
else:
    credential = DefaultAzureCredential(
        disable_instance_discovery=True,
        exclude_developer_cli_credential=True,
        exclude_cli_credential=True,
        exclude_powershell_credential=True,
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_broker_credential=True,
    )
    token = credential.get_token(scope).token
print(token, end="")
