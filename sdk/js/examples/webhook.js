// A sink that posts the token to a service of your own, signed.
//
//   sink {
//     type = "webhook"
//     config = { url = "https://hooks.acme.internal/usher", secret_file = "/etc/acme/webhook.key" }
//   }
//
// The body is JSON: `identity`, `generation`, `form`, `content`, `accessor` and `expires_at` (RFC
// 3339, or null). `x-usher-signature: t=SECONDS,v1=HEX` is the HMAC-SHA256, under the key in
// `secret_file`, of SECONDS, a dot and the body: compare it in constant time, and refuse what is
// older than a few minutes. The same `generation` may come twice. What it needs:
//
//   plugin "webhook" {
//     allow {
//       connect = ["https://hooks.acme.internal"]
//       read    = ["/etc/acme/webhook.key"]
//     }
//   }
//
// This version of Usher has no `crypto` for plug-ins yet, so HMAC-SHA256 is written out below.
import { now } from "usher:plugin/clock@0.1.0";
import { identity } from "usher:plugin/context@0.1.0";
import { read } from "usher:plugin/files@0.1.0";
import { send } from "usher:plugin/http@0.1.0";

const fail = (kind, code, message, retryAfterMs) => ({ kind, code, message, retryAfterMs, details: [] });

const settings = (config) => {
  const { url, secret_file: secretFile } = JSON.parse(config);
  if (!URL.canParse(url ?? "") || !["https:", "http:"].includes(new URL(url).protocol)) {
    throw fail("config", "webhook.url", "`url` must be an http or https URL");
  }
  if (!secretFile) {
    throw fail("config", "webhook.secret", "`secret_file` is missing: name the file with the key");
  }
  return { url, secretFile };
};

export const plugin = {
  describe() {
    return {
      name: "webhook",
      version: "1.0.0",
      summary: "Posts the token to a service, signed with HMAC-SHA256",
      configSchema: JSON.stringify({
        type: "object",
        required: ["url", "secret_file"],
        additionalProperties: false,
        properties: { url: { type: "string" }, secret_file: { type: "string" } },
      }),
      attributes: [],
    };
  },

  prepare(config) {
    const { url, secretFile } = settings(config);
    return [
      { capability: "connect", target: new URL(url).origin },
      { capability: "read", target: secretFile },
    ];
  },
};

export const sink = {
  check(config) {
    key(settings(config).secretFile);
  },

  deliver(config, delivery) {
    const { url, secretFile } = settings(config);
    const body = new TextEncoder().encode(
      JSON.stringify({
        identity: identity(),
        generation: Number(delivery.generation),
        form: delivery.form,
        content: new TextDecoder().decode(delivery.content),
        accessor: delivery.accessor,
        expires_at: delivery.expiresAtMs === undefined ? null : new Date(Number(delivery.expiresAtMs)).toISOString(),
      }),
    );
    const seconds = `${now() / 1000n}`;
    const signed = concatenated(new TextEncoder().encode(`${seconds}.`), body);
    const signature = hex(hmac(key(secretFile), signed));
    const answer = send({
      method: "POST",
      url,
      headers: [
        ["content-type", "application/json"],
        ["x-usher-signature", `t=${seconds},v1=${signature}`],
      ],
      body,
      timeoutMs: undefined,
      tls: undefined,
    });
    if (answer.status >= 200 && answer.status < 300) return;
    const kind = [401, 403].includes(answer.status) ? "denied" : "unavailable";
    throw fail(kind, "webhook.refused", `the webhook answered ${answer.status}`);
  },

  // There is nothing that a webhook could take back.
  withdraw() {},
};

const key = (file) => {
  const bytes = new TextEncoder().encode(new TextDecoder().decode(read(file)).trim());
  if (bytes.length < 16) {
    throw fail("unavailable", "webhook.secret", `${file} holds less than 16 bytes; write a random key into it`);
  }
  return bytes;
};

const concatenated = (first, second) => {
  const whole = new Uint8Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
};

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

// RFC 2104 with SHA-256, whose blocks have 64 bytes.
const hmac = (key, message) => {
  const block = new Uint8Array(64);
  block.set(key.length > 64 ? sha256(key) : key);
  const inner = sha256(concatenated(block.map((byte) => byte ^ 0x36), message));
  return sha256(concatenated(block.map((byte) => byte ^ 0x5c), inner));
};

// FIPS 180-4: the first 32 bits of the fractional parts of the square roots (H) and the cube roots
// (K) of the first primes.
const PRIMES = [];
for (let number = 2; PRIMES.length < 64; number += 1) {
  if (PRIMES.every((prime) => number % prime !== 0)) PRIMES.push(number);
}
const fraction = (number) => Math.floor((number - Math.floor(number)) * 2 ** 32);
const H = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));
const K = PRIMES.map((prime) => fraction(Math.cbrt(prime)));

const sha256 = (message) => {
  const length = Math.ceil((message.length + 9) / 64) * 64;
  const padded = new Uint8Array(length);
  padded.set(message);
  padded[message.length] = 0x80;
  new DataView(padded.buffer).setBigUint64(length - 8, BigInt(message.length) * 8n);
  const rotate = (word, by) => (word >>> by) | (word << (32 - by));
  const state = Uint32Array.from(H);
  const words = new Uint32Array(64);
  for (let start = 0; start < length; start += 64) {
    const block = new DataView(padded.buffer, start, 64);
    for (let index = 0; index < 64; index += 1) {
      if (index < 16) {
        words[index] = block.getUint32(index * 4);
      } else {
        const [a, b] = [words[index - 15], words[index - 2]];
        const first = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
        const second = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
        words[index] = words[index - 16] + first + words[index - 7] + second;
      }
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let index = 0; index < 64; index += 1) {
      const first = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + K[index] + words[index];
      const second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, index) => {
      state[index] += word;
    });
  }
  const digest = new Uint8Array(32);
  state.forEach((word, index) => new DataView(digest.buffer).setUint32(index * 4, word));
  return digest;
};
