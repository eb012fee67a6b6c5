"""An auth method that prints what it reads and what it is answered, and then breaks off.

Configuration: {"file": PATH, "url": URL}.
"""

import json
import sys

from wit_world import exports
from wit_world.exports.plugin import Info, Need
from wit_world.imports import files, http


class Plugin(exports.Plugin):
    def describe(self):
        return Info("boom", "1.0.0", "Breaks off", "", [])

    def prepare(self, config):
        settings = json.loads(config)
        if "file" not in settings:
            print("no file in", config, file=sys.stderr)
            raise KeyError("file")
        return [Need("read", settings["file"]), Need("connect", settings["url"])]


class AuthMethod(exports.AuthMethod):
    def authenticate(self, config):
        settings = json.loads(config)
        secret = files.read(settings["file"]).decode()
        request = http.Request("GET", settings["url"], [], b"", None, None)
        answer = http.send(request).body.decode()
        for number in range(40):
            print("step", number)
        print("\x1b[31mread", secret, "answered", answer, "\x1b[0m", file=sys.stderr)
        raise RuntimeError("boom " + answer)

    def authenticated(self, config):
        pass
