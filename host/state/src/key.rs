//! Where the key comes from.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use usher_secret::Secret;

use crate::Key;
use crate::error::Error;

/// What the key is derived from.
pub(crate) struct Material(Secret<Vec<u8>>);

impl Material {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Secret::new(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl Key {
    /// `beside`: the directory of what is sealed with it, where it must not lie.
    pub(crate) fn read(&self, beside: &Path) -> Result<Material, Error> {
        let (material, metadata) = self.find(beside)?;
        // systemd's are as it makes them.
        if let Self::File(path) = self {
            ours(path, &metadata)?;
        }
        Ok(material)
    }

    /// The same, whoever it belongs to.
    pub(crate) fn find(&self, beside: &Path) -> Result<(Material, fs::Metadata), Error> {
        let (path, missing) = match self {
            Self::Credential(name) => {
                if name.is_empty() || name.contains('/') || name.starts_with('.') {
                    return Err(Error::Key(format!("{name:?} is no name of a credential")));
                }
                let help = format!(
                    "add LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name} to the service, made with `head -c 32 /dev/urandom | systemd-creds encrypt --name={name} - /etc/credstore.encrypted/{name}`"
                );
                let Some(directory) = env::var_os("CREDENTIALS_DIRECTORY") else {
                    let message = format!("systemd hands over no credentials ({help})");
                    return Err(Error::Key(message));
                };
                (PathBuf::from(directory).join(name), help)
            }
            Self::File(path) => {
                if lies_in(path, beside) {
                    return Err(Error::Key(format!(
                        "the key {} lies beside what it seals, where whoever takes the one has the other: move it elsewhere",
                        path.display()
                    )));
                }
                let make = format!(
                    "make it with `(umask 077 && head -c 32 /dev/urandom > {})`",
                    path.display()
                );
                (path.clone(), make)
            }
        };
        let metadata = fs::metadata(&path).map_err(|error| {
            Error::Key(format!("the key {} can't be read: {error}; {missing}", path.display()))
        })?;
        if !metadata.is_file() {
            return Err(Error::Key(format!("the key {} is no file; {missing}", path.display())));
        }
        if matches!(self, Self::File(_)) {
            closed(&path, &metadata, 0o077, "chmod 600 it")?;
        }
        let bytes = fs::read(&path).map_err(Error::of(&path))?;
        if bytes.len() < SHORTEST {
            return Err(Error::Key(format!(
                "the key {} has {} bytes, and must have {SHORTEST} at least; {missing}",
                path.display(),
                bytes.len()
            )));
        }
        Ok((Material::new(bytes), metadata))
    }
}

/// Refuses what isn't ours, or what others have one of these permissions for.
pub(crate) fn only_ours(
    path: &Path,
    metadata: &fs::Metadata,
    forbidden: u32,
    remedy: &str,
) -> Result<(), Error> {
    ours(path, metadata)?;
    closed(path, metadata, forbidden, remedy)
}

fn ours(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() == user {
        return Ok(());
    }
    Err(Error::Foreign { path: path.to_owned(), owner: metadata.uid(), user })
}

/// Refuses what others have one of these permissions for.
pub(crate) fn closed(
    path: &Path,
    metadata: &fs::Metadata,
    forbidden: u32,
    remedy: &str,
) -> Result<(), Error> {
    if metadata.permissions().mode() & forbidden != 0 {
        return Err(Error::Open { path: path.to_owned(), remedy: remedy.to_owned() });
    }
    Ok(())
}

fn lies_in(path: &Path, directory: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    let parent =
        path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
    let inside = |path: Option<PathBuf>| match (path, real(directory)) {
        (Some(path), Some(directory)) => path.starts_with(directory),
        _ => false,
    };
    // A link to a place elsewhere counts as what it leads to, and as where it stands.
    inside(real(path)) || inside(parent.and_then(real))
}

/// Of a key, in bytes.
const SHORTEST: usize = 32;
