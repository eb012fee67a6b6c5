// An auth method to start from: `acme.js` in the plug-in directory is the method "acme".
// It asks a service for a badge and logs in with it.
/// <reference path="../usher.d.ts" />
import { read } from "usher:plugin/files@0.1.0";
import { send } from "usher:plugin/http@0.1.0";

/** @type {import("usher:plugin/plugin@0.1.0").Plugin} */
export const plugin = {
  describe() {
    return {
      name: "acme",
      version: "0.1.0",
      summary: "Logs in with a badge of Acme's",
      configSchema: JSON.stringify({
        type: "object",
        required: ["url", "key_file"],
        additionalProperties: false,
        properties: { url: { type: "string" }, key_file: { type: "string" }, role: { type: "string" } },
      }),
      attributes: [],
    };
  },

  // Called without any grant: what this configuration needs from the host.
  prepare(config) {
    const { url, key_file: keyFile } = JSON.parse(config);
    return [
      { capability: "connect", target: new URL(url).origin },
      { capability: "watch", target: keyFile },
    ];
  },
};

/** @type {import("usher:plugin/auth-method@0.1.0").AuthMethod} */
export const authMethod = {
  authenticate(config) {
    const { url, key_file: keyFile, role = "app" } = JSON.parse(config);
    const key = new TextDecoder().decode(read(keyFile)).trim();
    const answer = send({ method: "GET", url, headers: [["x-api-key", key]], body: new Uint8Array() });
    if (answer.status !== 200) {
      /** @type {import("usher:plugin/types@0.1.0").Failure} */
      const failure = {
        kind: answer.status === 403 ? "denied" : "unavailable",
        code: "acme.badge",
        message: `Acme answered ${answer.status}`,
        details: [],
      };
      throw failure;
    }
    const badge = JSON.parse(new TextDecoder().decode(answer.body));
    return {
      credential: {
        tag: "login",
        val: { path: "login", body: JSON.stringify({ role, jwt: badge.jwt }), headers: [] },
      },
      revision: badge.id,
    };
  },

  authenticated() {},
};
