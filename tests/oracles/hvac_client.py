"""hvac at an agent that lends its token: hvac_client.py ADDRESS OWN_TOKEN. Prints what it saw."""

import json
import sys

import hvac


def status_of(read):
    try:
        read()
    except hvac.exceptions.InvalidPath:
        return 404
    except hvac.exceptions.Forbidden:
        return 403
    return 200


address, own = sys.argv[1:]
# No token at all, not even one from the environment.
client = hvac.Client(url=address, token="")
kv = client.secrets.kv.v2


def read(path):
    return kv.read_secret_version(path=path, raise_on_deleted_version=True)["data"]["data"]


seen = {"read": read("app")["password"]}
kv.create_or_update_secret(path="write/hvac", secret={"a": "b"})
seen["written"] = read("write/hvac")["a"]
seen["missing"] = status_of(lambda: read("write/missing"))
seen["forbidden"] = status_of(lambda: read("other"))
seen["own"] = hvac.Client(url=address, token=own).auth.token.lookup_self()["data"]["id"]
seen["sealed"] = client.sys.is_sealed()
print(json.dumps(seen))
