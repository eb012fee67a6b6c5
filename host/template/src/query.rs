//! What a template asks for, and what it is answered: the only way to anything outside of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// Something that a template needs, as far as it can be told apart: equal queries have one answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Query {
    /// `secret "path"`, with the query parameters in the path.
    Read {
        /// Without slashes at its ends.
        path: String,
    },
    /// `secret "path" "key=value"`
    Write {
        /// Without slashes at its ends.
        path: String,
        /// What is written.
        data: BTreeMap<String, String>,
    },
    /// `secrets "path"`
    List {
        /// Without slashes at its ends.
        path: String,
    },
    /// `pkiCert "path" "key=value"`
    Certificate {
        /// Without slashes at its ends.
        path: String,
        /// What is written.
        data: BTreeMap<String, String>,
    },
    /// `file "path"`
    File {
        /// As the template has it.
        path: String,
    },
    /// `plugin "command" "argument"`
    Plugin {
        /// The program.
        command: String,
        /// Its arguments, none of them empty.
        arguments: Vec<String>,
    },
    /// `sprig_getHostByName "name"`
    Host {
        /// The name to be looked up.
        name: String,
    },
    /// `sockaddr "expression"`
    Addresses {
        /// The expression, in go-sockaddr's language.
        expression: String,
    },
}

/// What there is for a query.
pub enum Answer<'a> {
    /// Not yet anything: the pass is not ready.
    Missing,
    /// It can't be had as long as the template asks for this: a program that fails, for example.
    Failed(&'a str),
    /// The body of the server's answer to [`Query::Read`] or [`Query::Write`], as JSON.
    Secret(&'a [u8]),
    /// The server answered [`Query::Write`] without a body.
    Nothing,
    /// Names, for [`Query::List`].
    Names(&'a [String]),
    /// A certificate, for [`Query::Certificate`].
    Certificate(&'a Certificate),
    /// Bytes, for every other query.
    Bytes(&'a [u8]),
}

/// A certificate with its key, each as PEM with a newline at its end.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
    /// The certificate of the authority.
    pub authority: String,
}

/// Where a template's data comes from.
pub trait Values {
    /// What there is for a query.
    fn answer(&self, query: &Query) -> Answer<'_>;

    /// A variable of the agent's environment.
    fn environment(&self, name: &str) -> Option<String>;

    /// The time that `timestamp` and `sprig_now` tell.
    fn now(&self) -> SystemTime;
}
