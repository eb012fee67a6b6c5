// A sink that keeps the token in a Secret of Kubernetes, by server-side apply.
//
//   sink {
//     type = "kubernetes-secret"
//     config = { namespace = "app", name = "vault-token", key = "token" }
//   }
//
// It owns the one key that it writes; others may keep theirs in the same Secret. The service
// account needs the verbs "create" and "patch" for the Secret. `api_server` and
// `service_account_directory` have the defaults of a pod. What it needs:
//
//   plugin "kubernetes-secret" {
//     allow {
//       connect = ["https://kubernetes.default.svc"]
//       read = [
//         "/var/run/secrets/kubernetes.io/serviceaccount/token",
//         "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
//       ]
//     }
//   }
import { read } from "usher:plugin/files@0.1.0";
import { send } from "usher:plugin/http@0.1.0";

const fail = (kind, code, message, retryAfterMs) => ({ kind, code, message, retryAfterMs, details: [] });

const settings = (config) => {
  const {
    namespace,
    name,
    key = "token",
    api_server: server = "https://kubernetes.default.svc",
    service_account_directory: directory = "/var/run/secrets/kubernetes.io/serviceaccount",
  } = JSON.parse(config);
  for (const [setting, value] of Object.entries({ namespace, name })) {
    if (!/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(value ?? "")) {
      throw fail("config", `kubernetes-secret.${setting}`, `\`${setting}\` must be a name as Kubernetes has them`);
    }
  }
  if (!/^[-._a-zA-Z0-9]+$/.test(key)) {
    throw fail("config", "kubernetes-secret.key", "`key` may have letters, digits, \"-\", \"_\" and \".\"");
  }
  return { namespace, name, key, server, token: `${directory}/token`, ca: `${directory}/ca.crt` };
};

const text = (path) => new TextDecoder().decode(read(path)).trim();

const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

// Makes `data` all that this sink has in the Secret.
const apply = ({ namespace, name, server, token, ca }, data, query = "") => {
  const manifest = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace },
    type: "Opaque",
    data,
  };
  const answer = send({
    method: "PATCH",
    url: `${server}/api/v1/namespaces/${namespace}/secrets/${name}?fieldManager=usher&force=true${query}`,
    headers: [
      ["authorization", `Bearer ${text(token)}`],
      ["content-type", "application/apply-patch+yaml"],
      ["accept", "application/json"],
    ],
    body: new TextEncoder().encode(JSON.stringify(manifest)),
    timeoutMs: undefined,
    tls: { caPem: text(ca), certificatePem: undefined, keyPem: undefined },
  });
  if (answer.status >= 200 && answer.status < 300) return;
  const said = `Kubernetes answered ${answer.status}`;
  switch (answer.status) {
    case 401:
      throw fail("denied", "kubernetes-secret.token", `${said}: it doesn't know the service account's token`);
    case 403:
      throw fail("denied", "kubernetes-secret.role", `${said}: allow the service account "create" and "patch" of secrets in ${namespace}`);
    case 400:
    case 422:
      throw fail("config", "kubernetes-secret.refused", `${said}: it doesn't take this Secret; check its type and names`);
    default: {
      const [, wait] = answer.headers.find(([header]) => header === "retry-after") ?? [];
      const seconds = Number(wait);
      const retry = wait && seconds >= 0 ? Math.min(seconds * 1000, 3_600_000) : undefined;
      throw fail("unavailable", "kubernetes-secret.unavailable", said, retry);
    }
  }
};

export const plugin = {
  describe() {
    return {
      name: "kubernetes-secret",
      version: "1.0.0",
      summary: "Keeps the token in a Secret of Kubernetes",
      configSchema: JSON.stringify({
        type: "object",
        required: ["namespace", "name"],
        additionalProperties: false,
        properties: {
          namespace: { type: "string" },
          name: { type: "string" },
          key: { type: "string", default: "token" },
          api_server: { type: "string", default: "https://kubernetes.default.svc" },
          service_account_directory: { type: "string" },
        },
      }),
      attributes: [],
    };
  },

  prepare(config) {
    const { server, token, ca } = settings(config);
    return [
      { capability: "connect", target: server },
      { capability: "read", target: token },
      { capability: "read", target: ca },
    ];
  },
};

export const sink = {
  // Asks whether it could, and changes nothing.
  check(config) {
    const chosen = settings(config);
    apply(chosen, { [chosen.key]: "" }, "&dryRun=All");
  },

  deliver(config, { content }) {
    const chosen = settings(config);
    apply(chosen, { [chosen.key]: base64(content) });
  },

  // What this manager applied and doesn't any more, Kubernetes removes.
  withdraw(config) {
    apply(settings(config), {});
  },
};
