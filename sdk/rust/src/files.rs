//! Files, named as in a [`crate::Need`]. Only regular files are opened.

use crate::{Failure, backend};

/// How a file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Permission bits, whatever the umask: `0o640`.
    pub mode: u32,
    /// Name or number. None: the agent's.
    pub owner: Option<String>,
    /// Name or number. None: the agent's.
    pub group: Option<String>,
    /// A new file, or the old one rewritten.
    pub placement: Placement,
}

/// Where the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A new file beside it, complete and synced, takes its name.
    Replace,
    /// The file itself is rewritten: for a single file mounted into a container, whose name
    /// can't be taken. A reader may see it half written.
    InPlace,
}

impl WriteOptions {
    /// A new file with these permission bits, owned by the agent's user.
    pub fn mode(mode: u32) -> Self {
        Self { mode, owner: None, group: None, placement: Placement::Replace }
    }
}

/// The whole file, at most 1 MiB.
pub fn read(path: &str) -> Result<Vec<u8>, Failure> {
    backend::read(path)
}

/// The whole file as text without the white space around it: for credentials.
///
/// A file that is empty then is `unavailable`, `file.empty`; one that isn't UTF-8 is
/// `unavailable`, `file.not-text`: both may be written properly later.
pub fn read_trimmed(path: &str) -> Result<String, Failure> {
    let text = String::from_utf8(read(path)?).map_err(|_| {
        Failure::unavailable("file.not-text", format!("{path} is not text (UTF-8)"))
            .detail("file", path)
    })?;
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Failure::unavailable(
            "file.empty",
            format!("{path} is empty; it is read again as soon as something is written to it"),
        )
        .detail("file", path));
    }
    Ok(trimmed.to_owned())
}

/// Writes the whole file.
pub fn write(path: &str, content: &[u8], options: &WriteOptions) -> Result<(), Failure> {
    backend::write(path, content, options)
}

/// Whether [`write()`] could work: tries it beside the path, leaves nothing.
pub fn check_write(path: &str, options: &WriteOptions) -> Result<(), Failure> {
    backend::check_write(path, options)
}

/// Removes the name itself, also if it is a symbolic link. Not there is a success.
pub fn remove(path: &str) -> Result<(), Failure> {
    backend::remove(path)
}

/// Removes what a symbolic link leads to, if that is granted too.
pub fn remove_target(path: &str) -> Result<(), Failure> {
    backend::remove_target(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::testing::Host;

    #[test]
    fn a_credential_is_read_without_white_space() {
        let host = Host::install();
        host.allow_everything();
        host.put_file("/r", " \tabc\r\n\n");
        assert_eq!(read_trimmed("/r").unwrap(), "abc");
    }

    #[test]
    fn an_empty_or_binary_credential_is_unavailable() {
        let host = Host::install();
        host.allow_everything();
        host.put_file("/blank", " \n");
        host.put_file("/binary", b"\xff\xfe");
        for (path, code) in [("/blank", "file.empty"), ("/binary", "file.not-text")] {
            let failure = read_trimmed(path).unwrap_err();
            assert_eq!((failure.kind, failure.code.as_str()), (Kind::Unavailable, code));
        }
    }
}
