// The plug-in contract for editors and tsc, as scripts and componentize-js see it.
// Made from wit/: `USHER_WRITE_DOCS=1 cargo test --release --workspace --test project typescript`
// writes it anew.

/** What a function of an imported module throws: an `Error` with the failure in `payload`. */
interface ComponentError extends Error {
  payload: import('usher:plugin/types@0.1.0').Failure;
}

/** How to prove who the workload is. The host sends the login and keeps the token. */
declare module 'usher:plugin/auth-method@0.1.0' {
  import type { Failure, Fields } from 'usher:plugin/types@0.1.0';

  /**
   * A client certificate that the host presents for this login and for everything
   * it does with the token that comes of it (the server binds renewals to it).
   */
  export interface ClientCertificate {
    /** Leaf first, PEM. */
    chainPem: string;
    /** Unencrypted PKCS#8, PKCS#1 or SEC1, PEM. */
    keyPem: string;
  }

  export interface Login {
    /**
     * Below the mount path, no leading slash, no "." or ".." segment, segments
     * percent-encoded: "login", "login/web".
     */
    path: string;
    /** A JSON object. */
    body: string;
    /**
     * Sent with the login. Refused: names that start "x-vault-", and what belongs
     * to the connection (host, content-length, transfer-encoding, connection, …).
     */
    headers: Fields;
    /** None: the agent's own, if its `vault` block has one. */
    certificate?: ClientCertificate;
    /**
     * Trusted for the server instead of the agent's own roots, for this login and for
     * what is done with its token. PEM. Needs "server" "trust".
     */
    caPem?: string;
  }

  export type Credential =
    /** The host sends this to the mount path and receives the token. */
    | { tag: 'login'; val: Login }
    /**
     * The platform handed over a token itself; the host looks it up and uses it.
     * Needs "server" "token".
     */
    | { tag: 'token'; val: string };

  export interface Answer {
    credential: Credential;
    /**
     * Tells one credential from the next: changes when, and only when, what is
     * behind the login changed (a key id, a digest; never a secret itself). The host
     * compares it and never shows it. "": unknown, so never a reason to log in.
     */
    revision: string;
    /**
     * Look again after this many milliseconds: the host then calls `authenticate`
     * and logs in only if `revision` differs. None: only when the token needs it or
     * a watched file changed. While the token is good both count only where a new
     * credential is a reason to log in: attribute "reauthenticate".
     */
    checkAfterMs?: number;
  }

  /** How to prove who the workload is. The host sends the login and keeps the token. */
  export interface AuthMethod {
    /**
     * Make the credential for one login. `state` may hold what an earlier call saved.
     * @throws {Failure}
     */
    authenticate(config: string): Answer;
    /**
     * The server accepted the last answer: now remove one-shot files. A failure is
     * logged, and never costs the token.
     * @throws {Failure}
     */
    authenticated(config: string): void;
  }
}

declare module 'usher:plugin/clock@0.1.0' {

  /** Milliseconds since 1970-01-01 UTC. */
  export function now(): bigint;
}

/** What the call is for. Nothing here is secret, nothing needs a grant. */
declare module 'usher:plugin/context@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  /** Name of the identity: "default" for `auto_auth`. */
  export function identity(): string;
  /** URL of the secrets server, without trailing slash: "https://vault.example.org:8200". */
  export function serverAddress(): string;
  /** Namespace of the identity, as sent: "" or "team/". */
  export function namespace(): string;
  /** Where the method is mounted, no slash at either end: "auth/approle". */
  export function mountPath(): string;
  /**
   * Why the host calls. Open set: "login", "check" (poll, or a watched file changed),
   * "explain" (leave every one-shot credential unused), "deliver", "test".
   */
  export function reason(): string;
  /**
   * What went wrong last time, since the last success. A cached credential that the
   * server `denied` should be dropped, not offered again.
   */
  export function previousFailure(): Failure | undefined;
}

/** Primitives that are slow, large or unsafe to carry in a plug-in. No grant needed. */
declare module 'usher:plugin/crypto@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  export interface KeyPair {
    /** PKCS#8, PEM. */
    privatePem: string;
    /** SubjectPublicKeyInfo, PEM. */
    publicPem: string;
  }

  /**
   * "sha1", "sha256", "sha384", "sha512".
   * @throws {ComponentError}
   */
  export function digest(algorithm: string, data: Uint8Array): Uint8Array;
  /**
   * The same names.
   * @throws {ComponentError}
   */
  export function hmac(algorithm: string, key: Uint8Array, data: Uint8Array): Uint8Array;
  /**
   * JOSE names (RFC 7518, RFC 8037): "RS256", "PS256", "ES256" (r and s, 64 bytes),
   * "EdDSA". `key-pem`: PKCS#8, PKCS#1 or SEC1, unencrypted.
   * @throws {ComponentError}
   */
  export function sign(algorithm: string, keyPem: string, data: Uint8Array): Uint8Array;
  /**
   * "RSA-2048", "P-256".
   * @throws {ComponentError}
   */
  export function generate(algorithm: string): KeyPair;
}

declare module 'usher:plugin/env@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  /**
   * None: not set. Not UTF-8, or not granted: a failure. The agent's own token
   * (VAULT_TOKEN, BAO_TOKEN) can't be granted.
   * @throws {ComponentError}
   */
  export function get(name: string): string | undefined;
}

/**
 * Files, named as in a `need`. `read` resolves links and checks where they led; `write`
 * and `remove` resolve the directory only. Only regular files are opened.
 */
declare module 'usher:plugin/files@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  export type Placement =
    /** A new file beside it, complete and synced, takes its name. */
    | 'replace'
    /**
     * The file itself is rewritten: for a single file mounted into a container,
     * whose name can't be taken. A reader may see it half written.
     */
    | 'in-place';

  export interface WriteOptions {
    /** Permission bits, whatever the umask: 0o640. */
    mode: number;
    /** Name or number. None: the agent's. */
    owner?: string;
    group?: string;
    placement: Placement;
  }

  /**
   * The whole file, at most 1 MiB.
   * @throws {ComponentError}
   */
  export function read(path: string): Uint8Array;
  /** @throws {ComponentError} */
  export function write(path: string, content: Uint8Array, options: WriteOptions): void;
  /**
   * Whether `write` could work: tries it beside the path, leaves nothing.
   * @throws {ComponentError}
   */
  export function checkWrite(path: string, options: WriteOptions): void;
  /**
   * Removes the name itself, also if it is a symbolic link. Not there is a success.
   * @throws {ComponentError}
   */
  export function remove(path: string): void;
  /**
   * Removes what a symbolic link leads to, if that is granted too.
   * @throws {ComponentError}
   */
  export function removeTarget(path: string): void;
}

/**
 * One request, one response. Redirects are returned, not followed; no cookies. Link-local
 * and cloud metadata addresses (100.100.100.200, fd00:ec2::/32) are never reached through
 * a proxy.
 */
declare module 'usher:plugin/http@0.1.0' {
  import type { Failure, Fields } from 'usher:plugin/types@0.1.0';

  export interface Tls {
    /** Trusted instead of the system's roots. PEM. */
    caPem?: string;
    /** Client certificate chain and key. PEM; both or neither. */
    certificatePem?: string;
    keyPem?: string;
  }

  export interface Request {
    /** "GET", "PUT", … */
    method: string;
    url: string;
    headers: Fields;
    /** At most 1 MiB. */
    body: Uint8Array;
    /** For the whole exchange. None, or more than the host allows: the host's (10 s). */
    timeoutMs?: number;
    tls?: Tls;
  }

  export interface Response {
    status: number;
    /** Names in lower case. */
    headers: Fields;
    /** At most 1 MiB, else "http.too-large". */
    body: Uint8Array;
  }

  /**
   * Any status is a success. A failure means that there was no answer.
   * @throws {ComponentError}
   */
  export function send(request: Request): Response;
}

/** Talk with a Kerberos key distribution centre. */
declare module 'usher:plugin/kdc@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  /**
   * One AS-REQ or TGS-REQ (DER), one answer. The host takes the realm's servers from
   * the `[realms]` section of `krb5-conf`, a file the plug-in may read, and tries them
   * in order over TCP, the next one as well when one takes longer than a second. Nothing but
   * the two request types is sent.
   * @throws {ComponentError}
   */
  export function exchange(krb5Conf: string, realm: string, request: Uint8Array): Uint8Array;
}

/**
 * Lines for the agent's log. The host adds plug-in, identity and call, removes control
 * characters and live secrets, and cuts long lines and floods.
 */
declare module 'usher:plugin/log@0.1.0' {
  import type { Fields } from 'usher:plugin/types@0.1.0';

  export type Level =
    | 'error'
    | 'warn'
    | 'info'
    | 'debug'
    | 'trace';

  export function write(level: Level, message: string, fields: Fields): void;
}

/** Exported by every plug-in. */
declare module 'usher:plugin/plugin@0.1.0' {
  import type { Failure, Fields } from 'usher:plugin/types@0.1.0';

  export interface Info {
    /** Shown to people. The name used in configuration is the file's own. */
    name: string;
    /** Of the plug-in, semantic versioning. */
    version: string;
    /** One line. */
    summary: string;
    /**
     * JSON Schema (2020-12) of `config`; "" accepts any object. Mark what is secret
     * with "writeOnly": true; the host never shows its value.
     */
    configSchema: string;
    /**
     * Open set: "licence", "source", "kind" ("auth-method" or "sink"; scripts only), and of a
     * method "reauthenticate": whether another `revision` is a reason to log in while the
     * token is good, "yes" or "no"; "yes" where it isn't said. The operator may overrule it.
     * And "identifies": the keys of `config` that say who logs in, separated by commas; when a
     * reload changes no such key, the token is kept.
     */
    attributes: Fields;
  }

  /**
   * One thing that this configuration needs from the host.
   *
   * | capability | target                                                        |
   * | ---------- | ------------------------------------------------------------- |
   * | "read"     | a file                                                        |
   * | "watch"    | a file; "read", and the agent acts when it changes            |
   * | "write"    | a file; also the temporary file beside it                     |
   * | "remove"   | a file                                                        |
   * | "env"      | an environment variable                                       |
   * | "connect"  | "scheme://host[:port][/path-prefix]"; the host may start "*." |
   * | "server"   | "unwrap": unwrap tokens; "token": answer with a token instead |
   * |            | of a login; "trust": replace the roots trusted for the server |
   * | "kdc"      | a Kerberos realm                                              |
   *
   * Files are absolute, start with "~/" (the agent's home directory), or are relative to
   * the agent's working directory. The
   * host puts environment variables in for `${NAME}`, which asks for "env" NAME too;
   * a need that names an unset or empty variable is void. A capability that the host doesn't
   * know is refused by name.
   */
  export interface Need {
    capability: string;
    target: string;
  }

  /** Exported by every plug-in. */
  export interface Plugin {
    describe(): Info;
    /**
     * Checks the configuration and says what it needs. Called without any grant: the
     * answer depends on `config` alone. `config` is the JSON object of the `config`
     * block, "{}" when there is none.
     * @throws {Failure}
     */
    prepare(config: string): Need[];
  }
}

declare module 'usher:plugin/random@0.1.0' {

  /** Cryptographically strong. At most 65,536 bytes a call; more ends the call. */
  export function bytes(length: number): Uint8Array;
}

/**
 * What a method may ask of the secrets server, over the host's own connection and
 * never with a token of the agent's.
 */
declare module 'usher:plugin/server@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  /**
   * The JSON answer of `sys/wrapping/unwrap`. With `creation-path` the host looks the
   * wrapping token up first; another path is `denied`, "wrapping.creation-path", and
   * leaves it wrapped. Already used, expired or unknown is `denied`, "wrapping.used".
   * @throws {ComponentError}
   */
  export function unwrap(token: string, creationPath?: string): string;
}

/** Where the token goes. The host has wrapped and encrypted it already. */
declare module 'usher:plugin/sink@0.1.0' {
  import type { Failure, Fields } from 'usher:plugin/types@0.1.0';

  export type Form =
    /** `content` is the token. */
    | 'token'
    /** `content` is the JSON of a wrap info, one line. */
    | 'wrapped'
    /** `content` is the JSON envelope, one line, of either of the above. */
    | 'encrypted';

  export interface Delivery {
    /** The exact bytes; what the incumbents' file sink would write. */
    content: Uint8Array;
    form: Form;
    /** Of the token, not a secret; "" when unknown (wrapped by the method). */
    accessor: string;
    /**
     * When `content` stops being of use, in milliseconds since 1970-01-01 UTC:
     * the token's expiry, or the wrapping token's. None: never.
     */
    expiresAtMs?: bigint;
    /**
     * Grows with each new token of the identity, also across sinks; the same number
     * comes again when a delivery is tried again.
     */
    generation: bigint;
    /**
     * Open set, never a secret: "renewable", "ttl-s", "entity-id", "policies",
     * "token-type", "creation-path".
     */
    attributes: Fields;
  }

  /** Where the token goes. The host has wrapped and encrypted it already. */
  export interface Sink {
    /**
     * At start and after a reload, before any login: can this sink work at all?
     * Must leave nothing behind. A `config` failure stops the agent at start and refuses a reload; any other
     * is logged, and `deliver` retries.
     * @throws {Failure}
     */
    check(config: string): void;
    /**
     * Put it in place, whole or not at all. Called again until it succeeds or a newer
     * token supersedes it; never two calls at once for one sink.
     * @throws {Failure}
     */
    deliver(config: string, delivery: Delivery): void;
    /**
     * Take away what `deliver` left, when the operator asked for that (at exit, or
     * when the sink leaves the configuration). Nothing there is a success.
     * @throws {Failure}
     */
    withdraw(config: string): void;
  }
}

/**
 * A plug-in's only memory: every call gets a new instance. One value for each use of
 * the plug-in (an identity's method, one sink), never shared. It outlives failed
 * calls, traps, time-outs and a reload of the plug-in, and is wiped when the use
 * leaves the configuration or the agent ends; the operator may have a method's kept
 * over a restart. What can't be understood (an older version wrote it) must be
 * treated as absent.
 */
declare module 'usher:plugin/state@0.1.0' {
  import type { Failure } from 'usher:plugin/types@0.1.0';

  /** What was saved last; empty at first. */
  export function load(): Uint8Array;
  /**
   * In force at once, also if this call fails later: save a one-shot secret the
   * moment it has been received. At most 64 KiB, else "limit.exceeded".
   * @throws {ComponentError}
   */
  export function save(value: Uint8Array): void;
}

/**
 * Types shared by every interface. Types are closed for ever within a major
 * version: hosts and guests must agree on them exactly. What may grow is an
 * open string (`code`, `capability`) or a `fields` list.
 */
declare module 'usher:plugin/types@0.1.0' {

  /** Names and values in order; a name may repeat. Unknown names are ignored. */
  export type Fields = [string, string][];

  /** Decides what the agent does next. Closed for ever. */
  export type FailureKind =
    /**
     * The configuration can't work, now or later. Not retried before it, or the
     * plug-in, changes. A file or service that may still appear is `unavailable`.
     */
    | 'config'
    /**
     * The platform or the server said no. Retried on the schedule of `unavailable`, logged as
     * an error.
     */
    | 'denied'
    /** Not there yet, busy or unreachable. Retried with back-off. */
    | 'unavailable'
    /** A defect in the plug-in. Retried like `unavailable`, counted as a fault. */
    | 'internal';

  export interface Failure {
    kind: FailureKind;
    /**
     * For logs, metrics and tests: lower-case words joined by dots and hyphens,
     * at most 64 bytes ("imds.hop-limit"). Open set. Codes the host itself returns:
     * "grant.missing", "limit.exceeded", "file.not-found", "file.permission",
     * "file.not-regular", "file.full", "file.busy", "http.timeout", "http.connect",
     * "http.tls", "http.dns", "http.too-large", "wrapping.used",
     * "wrapping.creation-path", "server.unreachable", "server.refused",
     * "host.unsupported", "kdc.unreachable", "kdc.unknown-realm", "kdc.request",
     * "crypto.key", "crypto.algorithm". One code tells the host something: a method
     * that is called to explain ("reason" of `context`) and finds a credential that
     * works once leaves it unused and answers `unavailable`, "explain.one-shot".
     */
    code: string;
    /** One sentence for people: what happened and what to do. Never a secret. */
    message: string;
    /** Not before this many milliseconds. Honoured for `denied` and `unavailable`. */
    retryAfterMs?: number;
    /** More for people and logs ("url", "status", "file"). Never a secret. */
    details: Fields;
  }
}
