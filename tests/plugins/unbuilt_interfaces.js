// An auth method that calls what the host doesn't do yet, and reports each answer.
import { digest, hmac, sign, generate } from "usher:plugin/crypto@0.1.0";
import { exchange } from "usher:plugin/kdc@0.1.0";

const calls = {
  digest: () => digest("sha256", new Uint8Array()),
  hmac: () => hmac("sha256", new Uint8Array(), new Uint8Array()),
  sign: () => sign("ES256", "no key", new Uint8Array()),
  generate: () => generate("P-256"),
  exchange: () => exchange("/etc/krb5.conf", "EXAMPLE.ORG", new Uint8Array()),
};

const answer = (call) => {
  try {
    call();
    return "no failure";
  } catch (error) {
    return `${error.payload.kind} ${error.payload.code}`;
  }
};

export const plugin = {
  describe() {
    return { name: "unbuilt-interfaces", version: "1.0.0", summary: "Calls what isn't built", configSchema: "", attributes: [] };
  },
  prepare() {
    return [{ capability: "kdc", target: "EXAMPLE.ORG" }];
  },
};

export const authMethod = {
  authenticate() {
    const answers = Object.entries(calls).map(([name, call]) => `${name}: ${answer(call)}`);
    throw { kind: "unavailable", code: "probe", message: answers.join("; "), retryAfterMs: undefined, details: [] };
  },
  authenticated() {},
};
