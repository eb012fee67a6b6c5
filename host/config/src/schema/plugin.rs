//! The tables of `plugin`: what the operator pins, allows and limits.

use usher_grant::{Capability, MEMORY_HINT, TIMEOUT_HINT};

use super::Kind::{Block as One, Boolean, Duration, Size, Strings, Text};
use super::key::built;
use super::{Block, Key};

pub(crate) static PLUGIN: Block = Block {
    name: "plugin",
    closed: true,
    hint: "",
    keys: &[
        built(
            "sha256",
            Text,
            "Digest of the plug-in's file, 64 hexadecimal digits; another file is refused.",
        ),
        built("override", Boolean, "It may take the name of a built-in. Default false."),
        built("allow", One(&ALLOW), "What the plug-in may ask of the host. Default: nothing."),
        built("limits", One(&LIMITS), "What one call may use."),
    ],
};

pub(crate) static ALLOW: Block = Block {
    name: "plugin.allow",
    closed: true,
    hint: "a plug-in may be allowed: connect, read, watch, write, remove, env, server, kdc",
    keys: &[
        allowed(Capability::Connect),
        allowed(Capability::Read),
        allowed(Capability::Watch),
        allowed(Capability::Write),
        allowed(Capability::Remove),
        allowed(Capability::Env),
        allowed(Capability::Server),
        allowed(Capability::Kdc),
    ],
};

const fn allowed(capability: Capability) -> Key {
    built(capability.name(), Strings, capability.hint())
}

pub(crate) static LIMITS: Block = Block {
    name: "plugin.limits",
    closed: true,
    hint: "",
    keys: &[built("memory", Size, MEMORY_HINT), built("timeout", Duration, TIMEOUT_HINT)],
};
