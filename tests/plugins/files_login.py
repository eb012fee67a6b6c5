"""An auth method in Python: logs in with the role-id and secret-id of two files.

Configuration: {"role_id_file": PATH, "secret_id_file": PATH}.
"""

import json

from wit_world import exports
from wit_world.exports.auth_method import Answer, Credential_Login, Login
from wit_world.exports.plugin import Info, Need
from wit_world.imports import files, log


def text(path):
    return files.read(path).decode().strip()


class Plugin(exports.Plugin):
    def describe(self):
        return Info("files-login", "1.0.0", "Logs in with two files", "", [])

    def prepare(self, config):
        settings = json.loads(config)
        return [Need("read", settings["role_id_file"]), Need("read", settings["secret_id_file"])]


class AuthMethod(exports.AuthMethod):
    def authenticate(self, config):
        settings = json.loads(config)
        log.write(log.Level.INFO, "hello from Python", [])
        body = {
            "role_id": text(settings["role_id_file"]),
            "secret_id": text(settings["secret_id_file"]),
        }
        login = Login("login", json.dumps(body), [], None, None)
        return Answer(Credential_Login(login), "", None)

    def authenticated(self, config):
        pass
