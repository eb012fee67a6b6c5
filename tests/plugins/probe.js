// An auth method that does to the host what its configuration says, and reports each answer.
// Configuration: {"needs": [[CAPABILITY, TARGET], …], "calls": [[FUNCTION, ARGUMENT, …], …],
// "answer": {…} (of `authenticate`; else its failure holds the answers)}.
import { get } from "usher:plugin/env@0.1.0";
import { checkWrite, read, remove, removeTarget, write } from "usher:plugin/files@0.1.0";
import { send } from "usher:plugin/http@0.1.0";
import { exchange } from "usher:plugin/kdc@0.1.0";
import { write as log } from "usher:plugin/log@0.1.0";
import { unwrap } from "usher:plugin/server@0.1.0";

const options = { mode: 0o600, owner: undefined, group: undefined, placement: "replace" };
const request = (url) => ({ method: "GET", url, headers: [], body: new Uint8Array(), timeoutMs: undefined, tls: undefined });

const functions = {
  "read": (path) => `${read(path).length} bytes`,
  "write": (path, text) => write(path, new TextEncoder().encode(text), options),
  "check-write": (path) => checkWrite(path, options),
  "remove": (path) => remove(path),
  "remove-target": (path) => removeTarget(path),
  "env": (name) => (get(name) === undefined ? "not set" : "set"),
  "connect": (url) => send(request(url)).status,
  "unwrap": (token) => (unwrap(token, undefined) ? "unwrapped" : "nothing"),
  "kdc": (realm, file, request) => exchange(file, realm, Uint8Array.from(request.split(" ").map(Number))),
};

const answer = ([name, ...parameters]) => {
  try {
    return `${functions[name](...parameters) ?? "done"}`;
  } catch (error) {
    return error.payload ? error.payload.code : `${error}`;
  }
};

export const plugin = {
  describe() {
    return { name: "probe", version: "1.0.0", summary: "Does what it is told", configSchema: "", attributes: [] };
  },
  prepare(config) {
    return (JSON.parse(config).needs ?? []).map(([capability, target]) => ({ capability, target }));
  },
};

export const authMethod = {
  authenticate(config) {
    const settings = JSON.parse(config);
    log("info", `answers |${(settings.calls ?? []).map(answer).join("|")}|`, []);
    if (settings.answer) {
      const { token, ca_pem: caPem, body } = settings.answer;
      const credential = token
        ? { tag: "token", val: token }
        : { tag: "login", val: { path: "login", body: body ?? "{}", headers: [], certificate: undefined, caPem } };
      return { credential, revision: "", checkAfterMs: undefined };
    }
    throw { kind: "unavailable", code: "probe", message: "nothing to log in with", retryAfterMs: undefined, details: [] };
  },
  authenticated() {},
};
