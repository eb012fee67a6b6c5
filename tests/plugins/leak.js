// An auth method that logs a text of its own configuration and then logs in with two files.
// Configuration: {"role_id_file": PATH, "secret_id_file": PATH, "canary": TEXT}.
import { read } from "usher:plugin/files@0.1.0";
import { write } from "usher:plugin/log@0.1.0";

const text = (path) => new TextDecoder().decode(read(path)).trim();

export const plugin = {
  describe() {
    return { name: "leak", version: "1.0.0", summary: "Logs what it shouldn't", configSchema: "", attributes: [] };
  },
  prepare(config) {
    const settings = JSON.parse(config);
    return [
      { capability: "read", target: settings.role_id_file },
      { capability: "read", target: settings.secret_id_file },
    ];
  },
};

export const authMethod = {
  authenticate(config) {
    const settings = JSON.parse(config);
    const hex = [...new TextEncoder().encode(settings.canary)].map((byte) => byte.toString(16).padStart(2, "0"));
    write("info", `the canary is ${hex.join("")}`, []);
    const body = { role_id: text(settings.role_id_file), secret_id: text(settings.secret_id_file) };
    return {
      credential: {
        tag: "login",
        val: { path: "login", body: JSON.stringify(body), headers: [], certificate: undefined, caPem: undefined },
      },
      revision: "",
      checkAfterMs: undefined,
    };
  },
  authenticated() {},
};
