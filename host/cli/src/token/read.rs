//! Finds the token in what a sink delivered.

use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use usher_envelope::{Content, Error, PrivateKey, open_any};
use usher_secret::Secret;

use super::files::{self, ReadFile};
use super::{ReadArguments, unwrapping};
use crate::stop::{Stop, failure};

/// The token, and the file it was in.
pub(super) fn token(arguments: ReadArguments) -> Result<(Secret<String>, ReadFile), Stop> {
    let path = &arguments.file;
    let (bytes, file) = files::read("the token file", path).map_err(failure)?;
    if arguments.remove && !file.is_regular() {
        return Err(failure(format!(
            "{} is no regular file, so it can't be removed; leave out --remove",
            path.display()
        )));
    }
    let content = match (arguments.private_key.as_deref(), parse(path, bytes.expose())?) {
        (None, Content::Sealed) => {
            return Err(failure(format!(
                "{} is encrypted; give --private-key with the other half of the key that the sink's dh_path names",
                path.display()
            )));
        }
        (None, content) => content,
        (Some(key), Content::Sealed) => {
            let plaintext = decrypt(&arguments, key, bytes.expose())?;
            parse(path, plaintext.expose())?
        }
        (Some(_), _) => {
            return Err(failure(format!(
                "{} is not encrypted, though --private-key is given: somebody may have put it there, or the sink has no dh_type; if it should be so, leave out --private-key",
                path.display()
            )));
        }
    };
    let token = match content {
        Content::Token(token) if !arguments.unwrap => token,
        Content::Token(_) => {
            return Err(failure(format!(
                "{} holds a token that is not wrapped, though --unwrap is given: somebody may have put it there, or neither method nor sink has a wrap_ttl; if it should be so, leave out --unwrap",
                path.display()
            )));
        }
        Content::Wrapped(info) if arguments.unwrap => {
            let expected = arguments.creation_path.as_deref();
            unwrapping::unwrap(path, &info, expected, arguments.server.into_overrides())?
        }
        Content::Wrapped(_) => {
            return Err(failure(format!(
                "{} holds a wrapping token, not the token itself; give --unwrap to have the server unwrap it, which works once",
                path.display()
            )));
        }
        Content::Sealed => {
            return Err(failure(format!(
                "{} is encrypted twice, as no sink does it; find out where it comes from",
                path.display()
            )));
        }
    };
    Ok((token, file))
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Content, Stop> {
    Content::parse(bytes).map_err(|error| failure(format!("{}: {error}", path.display())))
}

fn decrypt(
    arguments: &ReadArguments,
    key_file: &Path,
    envelope: &[u8],
) -> Result<Secret<Vec<u8>>, Stop> {
    let (key, _) = files::read("the private key", key_file).map_err(failure)?;
    let key = PrivateKey::from_json(key.expose())
        .map_err(|error| failure(format!("{}: {error}", key_file.display())))?;
    let aad = additional_data(arguments)?;
    let mut result = open_any(&key, envelope, &aad);
    // Editors end a file with a line break that the configuration doesn't have.
    if let (Some(_), Err(Error::DoesNotOpen), Some(line)) =
        (&arguments.aad_file, &result, without_line_break(&aad))
    {
        result = open_any(&key, envelope, line);
    }
    result.map_err(|error| {
        let cure = match error {
            Error::DoesNotOpen if arguments.aad_file.is_none() && arguments.aad_env.is_none() => {
                "; check --private-key, and give --aad-file or --aad-env if the sink has an aad"
            }
            Error::DoesNotOpen => "; check --private-key and the sink's aad",
            _ => "",
        };
        failure(format!("{}: {error}{cure}", arguments.file.display()))
    })
}

fn additional_data(arguments: &ReadArguments) -> Result<Vec<u8>, Stop> {
    if let Some(file) = &arguments.aad_file {
        let (aad, _) = files::read("the additional data", file).map_err(failure)?;
        return Ok(aad.expose().clone());
    }
    let Some(variable) = &arguments.aad_env else { return Ok(Vec::new()) };
    match std::env::var_os(variable) {
        Some(aad) => Ok(aad.into_vec()),
        None => Err(failure(format!(
            "--aad-env: the environment variable {variable} is not set; set it to the sink's aad"
        ))),
    }
}

fn without_line_break(text: &[u8]) -> Option<&[u8]> {
    let line = text.strip_suffix(b"\n")?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}
