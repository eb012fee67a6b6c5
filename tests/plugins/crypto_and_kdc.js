// An auth method that calls `crypto` and `kdc`, and reports each answer.
import { digest, hmac, sign, generate } from "usher:plugin/crypto@0.1.0";
import { exchange } from "usher:plugin/kdc@0.1.0";

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (text) => new TextEncoder().encode(text);

const calls = {
  digest: () => hex(digest("sha256", bytes("abc"))).slice(0, 8),
  hmac: () => hex(hmac("sha256", bytes("Jefe"), bytes("what do ya want for nothing?"))).slice(0, 8),
  sign: () => `${sign("ES256", generate("P-256").privatePem, bytes("data")).length} bytes`,
  generate: () => generate("P-256").publicPem.split("\n")[0],
  misuse: () => sign("ES256", "no key", bytes("data")),
  exchange: () => exchange("/etc/krb5.conf", "EXAMPLE.ORG", new Uint8Array()),
};

const answer = (call) => {
  try {
    return call();
  } catch (error) {
    return `${error.payload.kind} ${error.payload.code}`;
  }
};

export const plugin = {
  describe() {
    return { name: "crypto-and-kdc", version: "1.0.0", summary: "Calls crypto and kdc", configSchema: "", attributes: [] };
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
