//! Every key that the incumbents know, and ours: which block takes it, and whether it works yet.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Built,
    /// Refused by name: leaving it out silently would change what the agent does. Holds the help.
    NotBuilt(&'static str),
    /// The incumbents' parser takes it and their agent has no use for it. Holds the reason.
    NoEffect(&'static str),
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) state: State,
}

/// A kind of block.
#[derive(Debug)]
pub(crate) struct Block {
    /// For messages.
    pub(crate) name: &'static str,
    pub(crate) keys: &'static [Key],
    /// The incumbents ignore unknown keys, so in their blocks one is a warning; in ours it is an
    /// error.
    pub(crate) ours: bool,
    /// Added to the message about an unknown key that resembles none.
    pub(crate) hint: &'static str,
}

impl Block {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name.eq_ignore_ascii_case(name))
    }

    /// What to write instead of an unknown key; may be empty.
    pub(crate) fn suggestion(&self, name: &str) -> String {
        let lower = name.to_ascii_lowercase();
        let distance = |key: &&Key| strsim::damerau_levenshtein(key.name, &lower);
        if let Some(key) = self.keys.iter().min_by_key(distance)
            && distance(&key) <= (key.name.len() / 3).clamp(1, 3)
        {
            return format!("did you mean `{}`?", key.name);
        }
        if let Some(block) = BLOCKS.iter().find(|block| block.key(name).is_some()) {
            return match block.name {
                TOP => format!("`{lower}` belongs at the top level"),
                other => format!("`{lower}` belongs in {other}"),
            };
        }
        self.hint.to_owned()
    }
}

const fn built(name: &'static str) -> Key {
    Key { name, state: State::Built }
}

const fn not_built(name: &'static str, help: &'static str) -> Key {
    Key { name, state: State::NotBuilt(help) }
}

const fn no_effect(name: &'static str, reason: &'static str) -> Key {
    Key { name, state: State::NoEffect(reason) }
}

const TOP: &str = "the configuration";
const KEEP: &str = "take it out, and let the agent you have go on doing this part";
const PROXY: &str =
    "take it out; this version is no API proxy: clients talk to the server themselves";
const TEMPLATES: &str = "take it out; this version renders no templates: deliver the token with a sink, and keep a template tool beside it";
const STANDARD_ERROR: &str =
    "take it out; the log goes to standard error, for systemd or the container's log driver";
const PLAIN_SINK: &str = "take it out only if the bare token may stand in the sink; this version neither wraps nor encrypts";
const LISTENING: &str = "take it out; this version opens no socket of its own";
const SERVER_PART: &str = "a key of the server's configuration; take it out";

/// The top level of a file.
pub(crate) static FILE: Block = Block {
    name: TOP,
    ours: false,
    hint: "",
    keys: &[
        built("vault"),
        built("auto_auth"),
        built("pid_file"),
        built("exit_after_auth"),
        built("log_level"),
        built("log_format"),
        built("disable_idle_connections"),
        built("disable_keep_alives"),
        built("plugin_directory"),
        built("plugin"),
        not_built("api_proxy", PROXY),
        not_built("listener", PROXY),
        not_built("cache", PROXY),
        not_built("template", TEMPLATES),
        not_built("template_config", TEMPLATES),
        not_built("env_template", TEMPLATES),
        not_built("exec", TEMPLATES),
        not_built("telemetry", KEEP),
        not_built("log_file", STANDARD_ERROR),
        not_built("log_rotate_bytes", STANDARD_ERROR),
        not_built("log_rotate_duration", STANDARD_ERROR),
        not_built("log_rotate_max_files", STANDARD_ERROR),
        not_built(
            "identity",
            "write one `auto_auth` block, and start an agent for each further identity",
        ),
        not_built("plugin_lock", "pin each plug-in instead: plugin \"NAME\" { sha256 = \"…\" }"),
        not_built("admin_socket", LISTENING),
        not_built("metrics_address", LISTENING),
        no_effect("cluster_name", SERVER_PART),
        no_effect("default_max_request_duration", SERVER_PART),
        no_effect("disable_mlock", "the agent locks no memory; take it out"),
        no_effect("hsm", SERVER_PART),
        no_effect("kms", SERVER_PART),
        no_effect("seal", SERVER_PART),
        no_effect("user_lockout", SERVER_PART),
    ],
};

pub(crate) static VAULT: Block = Block {
    name: "vault",
    ours: false,
    hint: "",
    keys: &[
        built("address"),
        built("ca_cert"),
        built("ca_path"),
        built("client_cert"),
        built("client_key"),
        built("tls_skip_verify"),
        built("tls_server_name"),
        built("namespace"),
        built("retry"),
    ],
};

pub(crate) static RETRY: Block =
    Block { name: "vault.retry", ours: false, hint: "", keys: &[built("num_retries")] };

pub(crate) static AUTO_AUTH: Block = Block {
    name: "auto_auth",
    ours: false,
    hint: "",
    keys: &[
        built("method"),
        built("sink"),
        built("sinks"),
        built("enable_reauth_on_new_credentials"),
        built("token_check_interval"),
        built("on_exit"),
    ],
};

pub(crate) static METHOD: Block = Block {
    name: "method",
    ours: false,
    hint: "settings of the method itself go into its block: config { … }",
    keys: &[
        built("type"),
        built("mount_path"),
        built("namespace"),
        built("min_backoff"),
        built("max_backoff"),
        built("exit_on_err"),
        built("config"),
        not_built(
            "wrap_ttl",
            "take it out only if the sinks may hold the bare token; this version doesn't wrap",
        ),
    ],
};

pub(crate) static SINKS: Block =
    Block { name: "sinks", ours: false, hint: "", keys: &[built("sink")] };

pub(crate) static SINK: Block = Block {
    name: "sink",
    ours: false,
    hint: "settings of the sink itself go into its block: config { … }",
    keys: &[
        built("type"),
        built("config"),
        not_built("wrap_ttl", PLAIN_SINK),
        not_built("dh_type", PLAIN_SINK),
        not_built("dh_path", PLAIN_SINK),
        not_built("derive_key", PLAIN_SINK),
        not_built("aad", PLAIN_SINK),
        not_built("aad_env_var", PLAIN_SINK),
        not_built("on_exit", "take it out; what the sink wrote stays when the agent ends"),
    ],
};

pub(crate) static PLUGIN: Block = Block {
    name: "plugin",
    ours: true,
    hint: "",
    keys: &[built("sha256"), built("override"), built("allow"), built("limits")],
};

pub(crate) static ALLOW: Block = Block {
    name: "plugin.allow",
    ours: true,
    hint: "a plug-in may be allowed: connect, read, watch, write, remove, env, server, kdc",
    keys: &[
        built("connect"),
        built("read"),
        built("watch"),
        built("write"),
        built("remove"),
        built("env"),
        built("server"),
        built("kdc"),
    ],
};

pub(crate) static LIMITS: Block = Block {
    name: "plugin.limits",
    ours: true,
    hint: "",
    keys: &[built("memory"), built("timeout")],
};

/// All of them, for suggestions.
static BLOCKS: [&Block; 10] =
    [&FILE, &VAULT, &RETRY, &AUTO_AUTH, &METHOD, &SINKS, &SINK, &PLUGIN, &ALLOW, &LIMITS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_gets_the_key_that_was_meant() {
        for (block, written, suggested) in [
            (&FILE, "auto_atuh", "did you mean `auto_auth`?"),
            (&FILE, "PIDFILE", "did you mean `pid_file`?"),
            (&VAULT, "adress", "did you mean `address`?"),
            (&VAULT, "tls_skip_verfy", "did you mean `tls_skip_verify`?"),
            (&VAULT, "method", "`method` belongs in auto_auth"),
            (&AUTO_AUTH, "pid_file", "`pid_file` belongs at the top level"),
            (
                &METHOD,
                "role_id_file_path",
                "settings of the method itself go into its block: config { … }",
            ),
            (&VAULT, "colour", ""),
        ] {
            assert_eq!(block.suggestion(written), suggested, "{written}");
        }
    }

    #[test]
    fn no_block_has_a_key_twice() {
        for block in BLOCKS {
            for (index, key) in block.keys.iter().enumerate() {
                assert!(
                    !block.keys[..index].iter().any(|other| other.name == key.name),
                    "{}",
                    key.name
                );
            }
        }
    }
}
