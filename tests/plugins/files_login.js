// An auth method in JavaScript: logs in with the role-id and secret-id of two files.
// Configuration: {"role_id_file": PATH, "secret_id_file": PATH}.
import { read } from "usher:plugin/files@0.1.0";
import { write } from "usher:plugin/log@0.1.0";

const text = (path) => new TextDecoder().decode(read(path)).trim();

export const plugin = {
  describe() {
    return { name: "files-login", version: "1.0.0", summary: "Logs in with two files", configSchema: "", attributes: [] };
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
    write("info", "hello from JavaScript", []);
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
