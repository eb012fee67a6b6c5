//! Where relative names and variables lead.

use std::path::{Component, Path, PathBuf};

/// Where relative names and variables in needs and allowances lead.
pub struct Surroundings<'a> {
    /// The agent's working directory, absolute.
    pub working_directory: &'a Path,
    /// The agent's home directory.
    pub home: Option<&'a Path>,
    /// Environment variables.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    /// `${NAME}` replaced; None when a variable is unset or empty. Also the variables named.
    pub(crate) fn expand(&self, target: &str) -> (Option<String>, Vec<String>) {
        let mut expanded = Some(String::new());
        let mut variables = Vec::new();
        let mut rest = target;
        while let Some(start) = rest.find("${") {
            let Some(length) = rest[start..].find('}') else { break };
            let name = &rest[start + 2..start + length];
            variables.push(name.to_owned());
            if let Some(text) = &mut expanded {
                text.push_str(&rest[..start]);
            }
            let value = (self.environment)(name).filter(|value| !value.is_empty());
            match (&mut expanded, value) {
                (Some(text), Some(value)) => text.push_str(&value),
                _ => expanded = None,
            }
            rest = &rest[start + length + 1..];
        }
        if let Some(text) = &mut expanded {
            text.push_str(rest);
        }
        (expanded, variables)
    }

    /// An absolute path without `.` and `..`, as text because it may hold a `*`.
    pub(crate) fn absolute(&self, path: &str) -> String {
        self.absolute_path(path).to_string_lossy().into_owned()
    }

    /// The file that a plug-in names, absolute but not resolved.
    pub fn absolute_path(&self, path: &str) -> PathBuf {
        let path = match (path.strip_prefix("~/"), self.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => PathBuf::from(path),
        };
        normal(&self.working_directory.join(path))
    }
}

/// `.` and `..` removed without looking at the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}
