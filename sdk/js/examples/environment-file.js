// A sink that writes the token as a variable: an EnvironmentFile of systemd, a dotenv file or JSON.
//
//   sink {
//     type = "environment-file"
//     config = { path = "/run/app/vault.env", variable = "VAULT_TOKEN", format = "systemd" }
//   }
//
// `format` is "systemd" (the default), "dotenv" or "json"; `mode` is the file's, "0640" by default.
// What it needs:
//
//   plugin "environment-file" {
//     allow {
//       write  = ["/run/app/vault.env"]
//       remove = ["/run/app/vault.env"]
//     }
//   }
import { checkWrite, remove, write } from "usher:plugin/files@0.1.0";

const FORMATS = {
  // systemd.exec(5): double quotes, and a backslash before what is special within them.
  systemd: (name, value) => `${name}="${value.replace(/["\\`$]/g, "\\$&")}"\n`,
  // No dotenv reader expands or unescapes within single quotes.
  dotenv: (name, value) => `${name}='${value}'\n`,
  json: (name, value) => `${JSON.stringify({ [name]: value })}\n`,
};

const refuse = (code, message) => ({
  kind: "config",
  code,
  message,
  retryAfterMs: undefined,
  details: [],
});

const settings = (config) => {
  const { path, variable = "VAULT_TOKEN", format = "systemd", mode = "0640" } = JSON.parse(config);
  if (!path) throw refuse("environment-file.path", "`path` is missing: name the file to write");
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) {
    throw refuse("environment-file.variable", `${variable} is no name of a variable`);
  }
  if (!Object.hasOwn(FORMATS, format)) {
    throw refuse("environment-file.format", `write one of ${Object.keys(FORMATS).join(", ")} as \`format\``);
  }
  if (!/^0?[0-7]{3}$/.test(mode)) {
    throw refuse("environment-file.mode", "write `mode` as octal digits: \"0640\"");
  }
  const options = { mode: parseInt(mode, 8), owner: undefined, group: undefined, placement: "replace" };
  return { path, variable, format: FORMATS[format], options };
};

export const plugin = {
  describe() {
    return {
      name: "environment-file",
      version: "1.0.0",
      summary: "Writes the token as a variable of an environment, dotenv or JSON file",
      configSchema: JSON.stringify({
        type: "object",
        required: ["path"],
        additionalProperties: false,
        properties: {
          path: { type: "string" },
          variable: { type: "string", default: "VAULT_TOKEN" },
          format: { enum: Object.keys(FORMATS), default: "systemd" },
          mode: { type: "string", default: "0640" },
        },
      }),
      attributes: [],
    };
  },

  prepare(config) {
    const { path } = settings(config);
    return [
      { capability: "write", target: path },
      { capability: "remove", target: path },
    ];
  },
};

export const sink = {
  check(config) {
    const { path, options } = settings(config);
    checkWrite(path, options);
  },

  deliver(config, { content }) {
    const { path, variable, format, options } = settings(config);
    const value = new TextDecoder().decode(content);
    if (/[\r\n']/.test(value)) {
      throw refuse("environment-file.value", "what is delivered doesn't fit on one line; use the file sink");
    }
    write(path, new TextEncoder().encode(format(variable, value)), options);
  },

  withdraw(config) {
    remove(settings(config).path);
  },
};
