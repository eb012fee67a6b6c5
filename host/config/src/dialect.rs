//! Which of the incumbents' two programs the agent stands for. They are one with two sets of names,
//! and the proxy renders no templates and runs no process.

use std::borrow::Cow;

/// As which program the agent runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `usher agent`: Vault Agent and OpenBao Agent.
    #[default]
    Agent,
    /// `usher proxy`: Vault Proxy and OpenBao Proxy.
    Proxy,
}

impl Dialect {
    /// What the command is called. Its own paths begin with it: `/agent/v1/metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Proxy => "proxy",
        }
    }

    /// The block of a listener that says what of the agent itself may be asked.
    pub fn api(self) -> &'static str {
        match self {
            Self::Agent => "agent_api",
            Self::Proxy => "proxy_api",
        }
    }

    /// The name of a variable as tables have it, which is the agent's.
    pub(crate) fn variable(self, name: &'static str) -> Cow<'static, str> {
        match (self, name.strip_prefix("AGENT_")) {
            (Self::Proxy, Some(rest)) => format!("PROXY_{rest}").into(),
            _ => name.into(),
        }
    }
}
