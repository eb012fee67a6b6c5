// A sink that leaves the token where systemd looks for credentials.
//
//   sink {
//     type = "systemd-credential"
//     config = { name = "app.vault-token" }
//   }
//
// A unit then has `LoadCredential=app.vault-token` and reads $CREDENTIALS_DIRECTORY/app.vault-token,
// also when its user may not read the credential store. It gets a newer token when it is started
// again. `directory` is "/run/credstore" unless said otherwise (systemd.exec(5), "Credentials").
// What it needs; the agent runs as root, or as the owner of the directory:
//
//   plugin "systemd-credential" {
//     allow {
//       write  = ["/run/credstore/app.vault-token"]
//       remove = ["/run/credstore/app.vault-token"]
//     }
//   }
import { checkWrite, remove, write } from "usher:plugin/files@0.1.0";

// Only its owner, and systemd, may read it.
const OPTIONS = { mode: 0o600, owner: undefined, group: undefined, placement: "replace" };

const refuse = (code, message) => ({
  kind: "config",
  code,
  message,
  retryAfterMs: undefined,
  details: [],
});

const path = (config) => {
  const { name, directory = "/run/credstore" } = JSON.parse(config);
  // What systemd takes as the name of a credential, and what is one file.
  if (!/^[!-9;-~]{1,255}$/.test(name ?? "") || name.includes("/") || name === "." || name === "..") {
    throw refuse("systemd-credential.name", "`name` must be 1 to 255 printable characters without \":\", \"/\" and spaces");
  }
  if (!directory.startsWith("/")) {
    throw refuse("systemd-credential.directory", "`directory` must be absolute");
  }
  return `${directory.replace(/\/+$/, "")}/${name}`;
};

export const plugin = {
  describe() {
    return {
      name: "systemd-credential",
      version: "1.0.0",
      summary: "Leaves the token in systemd's credential store",
      configSchema: JSON.stringify({
        type: "object",
        required: ["name"],
        additionalProperties: false,
        properties: {
          name: { type: "string" },
          directory: { type: "string", default: "/run/credstore" },
        },
      }),
      attributes: [],
    };
  },

  prepare(config) {
    return [
      { capability: "write", target: path(config) },
      { capability: "remove", target: path(config) },
    ];
  },
};

export const sink = {
  check(config) {
    checkWrite(path(config), OPTIONS);
  },

  deliver(config, { content }) {
    write(path(config), content, OPTIONS);
  },

  withdraw(config) {
    remove(path(config));
  },
};
