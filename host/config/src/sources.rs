//! Finds and reads the configuration files that a command line names.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source};
use crate::fields::Report;

/// More is a mistake: nobody writes it, and a device file has no end.
const MAX_BYTES: u64 = 16 << 20;

/// The files in the order in which they merge: paths as given, the files of a directory by name.
/// Of a directory only `*.hcl` and `*.json` count, not those of editors (`*~`, `.#*`, `#*#`) and
/// not those in directories below.
pub(crate) fn read(paths: &[PathBuf], report: &mut Report) -> Vec<Arc<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        let files = match files_of(path) {
            Ok(files) => files,
            Err(error) => {
                report.push(unreadable(path, &error));
                continue;
            }
        };
        if files.is_empty() {
            report.push(Diagnostic::new_warning(
                "config.empty",
                format!("{} holds no file that ends in .hcl or .json", path.display()),
                "name the file itself, or rename it",
                None,
            ));
        }
        for file in files {
            match read_text(&file) {
                Ok(text) => sources.push(Arc::new(Source { path: file, text })),
                Err(error) => report.push(unreadable(&file, &error)),
            }
        }
    }
    sources
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "name an existing file or directory",
        io::ErrorKind::PermissionDenied => "let the agent's user read it",
        io::ErrorKind::InvalidData => "save it as UTF-8 text",
        _ => "",
    };
    Diagnostic::new_error(
        "config.read",
        format!("can't read {}: {error}", path.display()),
        help,
        None,
    )
}

fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        // Through symbolic links: a projected volume has nothing else.
        if is_configuration(&file) && !fs::metadata(&file)?.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn is_configuration(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let of_editor = name.ends_with('~')
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'));
    !of_editor && path.extension().is_some_and(|ending| ending == "hcl" || ending == "json")
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    Ok(text)
}
