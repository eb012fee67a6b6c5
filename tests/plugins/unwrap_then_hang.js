// An auth method that unwraps its secret-id, saves it, and then never returns; the next call
// finds what was saved and logs in.
// Configuration: {"role_id_file": PATH, "wrapper_file": PATH}.
import { read } from "usher:plugin/files@0.1.0";
import { unwrap } from "usher:plugin/server@0.1.0";
import { load, save } from "usher:plugin/state@0.1.0";

const decode = (bytes) => new TextDecoder().decode(bytes).trim();

export const plugin = {
  describe() {
    return { name: "unwrap-then-hang", version: "1.0.0", summary: "Unwraps, then hangs", configSchema: "", attributes: [] };
  },
  prepare(config) {
    const settings = JSON.parse(config);
    return [
      { capability: "read", target: settings.role_id_file },
      { capability: "read", target: settings.wrapper_file },
      { capability: "server", target: "unwrap" },
    ];
  },
};

export const authMethod = {
  authenticate(config) {
    const settings = JSON.parse(config);
    const saved = load();
    if (saved.length === 0) {
      const answer = JSON.parse(unwrap(decode(read(settings.wrapper_file)), "auth/approle/role/app/secret-id"));
      save(new TextEncoder().encode(answer.data.secret_id));
      for (;;) {}
    }
    const body = { role_id: decode(read(settings.role_id_file)), secret_id: decode(saved) };
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
