//! The tables of what isn't built yet, and judged all the same: templates, process supervisor.

use super::Kind::{
    Any, Boolean, Choice, Command, Duration, GoDuration, Permissions, Signal, StrictInteger,
    StrictText, Strings, Typed, Wait,
};
use super::key::{OTHER_PRODUCT, built, deprecated, no_effect};
use super::{Block, Key};

static TEMPLATE_KEYS: [Key; 21] = [
    built("source", StrictText, "File with the template; or contents."),
    built("contents", StrictText, "The template itself; or source."),
    built("destination", StrictText, "File that gets what the template makes."),
    built("create_dest_dirs", Boolean, "Make the directories of destination. Default true."),
    built("perms", Permissions, "Mode of destination. Default: as it was, else 0644."),
    built("user", StrictText, "Owner of destination."),
    built("uid", StrictInteger, "Owner of destination, by number."),
    built("group", StrictText, "Group of destination."),
    built("gid", StrictInteger, "Group of destination, by number."),
    built("backup", Boolean, "Keep what was there before as FILE.bak. Default false."),
    deprecated("command", Command, "write exec { command = … }", "Command to run after a change."),
    deprecated(
        "command_timeout",
        GoDuration,
        "write exec { timeout = … }",
        "Longest run of command. Default 30s.",
    ),
    built("exec", Typed(&TEMPLATE_EXEC), "Command to run after a change."),
    built("wait", Wait, "How long changes are gathered: \"MIN:MAX\" or a block. Default: not."),
    built("error_on_missing_key", Boolean, "A missing key is an error. Default false."),
    built("error_fatal", Boolean, "An error ends all templates. Default true."),
    built("left_delimiter", StrictText, "Default \"{{\"."),
    built("right_delimiter", StrictText, "Default \"}}\"."),
    built("sandbox_path", StrictText, "Directory that `file` in the template can't leave."),
    built("function_denylist", Command, "Functions that the template can't call."),
    deprecated(
        "function_blacklist",
        Command,
        "write function_denylist",
        "The former name of function_denylist.",
    ),
];

/// What goes into `template`.
pub(crate) static TEMPLATE: Block =
    Block { name: "template", closed: true, hint: "", keys: &TEMPLATE_KEYS };

pub(crate) static TEMPLATE_EXEC: Block = Block {
    name: "template.exec",
    closed: true,
    hint: "",
    keys: &[
        built("command", Command, "The command, a list or a string."),
        built("enabled", Boolean, "Run it. Default true."),
        built("env", Typed(&TEMPLATE_EXEC_ENV), "Its environment."),
        built("kill_signal", Signal, "Ends it. Default SIGINT."),
        built("kill_timeout", GoDuration, "Then it is killed. Default 30s."),
        built("reload_signal", Signal, "Tells it of a change."),
        built("splay", GoDuration, "A random wait before it runs. Default 0."),
        built("timeout", GoDuration, "Longest run. Default 30s."),
    ],
};

pub(crate) static TEMPLATE_EXEC_ENV: Block = Block {
    name: "template.exec.env",
    closed: true,
    hint: "",
    keys: &[
        built("pristine", Boolean, "Start from an empty environment. Default false."),
        built("custom", Strings, "Variables to set: \"NAME=VALUE\"."),
        built("allowlist", Strings, "Variables that are handed on."),
        built("denylist", Strings, "Variables that are not handed on."),
    ],
};

pub(crate) static WAIT: Block = Block {
    name: "template.wait",
    closed: true,
    hint: "",
    keys: &[
        built("enabled", Boolean, "Gather changes. Default: if there is a min."),
        built("min", GoDuration, "Shortest wait."),
        built("max", GoDuration, "Longest wait. Default four times min."),
    ],
};

pub(crate) static TEMPLATE_CONFIG: Block = Block {
    name: "template_config",
    closed: false,
    hint: "",
    keys: &[
        built(
            "exit_on_retry_failure",
            Boolean,
            "A template that fails ends the agent. Default false.",
        ),
        built(
            "static_secret_render_interval",
            Duration,
            "How often secrets without lease are read again. Default 5m.",
        ),
        no_effect("max_connections_per_host", Any, OTHER_PRODUCT),
        no_effect("lease_renewal_threshold", Any, OTHER_PRODUCT),
    ],
};

/// Refused by the rules are the keys that only a file has.
pub(crate) static ENV_TEMPLATE: Block =
    Block { name: "env_template", closed: true, hint: "", keys: &TEMPLATE_KEYS };

pub(crate) static EXEC: Block = Block {
    name: "exec",
    closed: true,
    hint: "",
    keys: &[
        built("command", Strings, "The process and its arguments."),
        built(
            "restart_on_secret_changes",
            Choice(&["always", "never"]),
            "Start it anew when a secret changes. Default \"always\".",
        ),
        built("restart_stop_signal", Signal, "Ends it then. Default SIGTERM."),
    ],
};
