//! From files, flags and environment to settings and problems, through the public interface.

mod changes;
mod dialects;
mod forms;
mod layouts;
mod listeners;
mod persist;
mod precedence;
mod problems;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use crate::{Diagnostic, Dialect, Loaded, Overrides, Settings, flags, load, server_flags};
use tempfile::TempDir;

const GOOD: &str = r#"auto_auth {
  method "approle" {
    config { role_id_file_path = "/r" }
  }
  sink "file" { config = { path = "/s" mode = 0640 } }
}
"#;

struct Case {
    directory: TempDir,
    paths: Vec<PathBuf>,
    overrides: Overrides,
    environment: HashMap<String, String>,
}

impl Case {
    fn new(text: &str) -> Self {
        Self::files(&[("agent.hcl", text)])
    }

    /// Each file is named on the command line.
    fn files(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let mut paths = Vec::new();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            paths.push(path);
        }
        Self { directory, paths, overrides: Overrides::default(), environment: HashMap::new() }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    #[track_caller]
    fn flag(mut self, name: &str, text: &str) -> Self {
        give(&mut self.overrides, name, text);
        self
    }

    /// As `usher proxy` reads it.
    fn proxy(mut self) -> Self {
        self.overrides.dialect = Dialect::Proxy;
        self
    }

    fn load(&self) -> Loaded {
        load(&self.paths, &self.overrides, &|name| self.environment.get(name).cloned())
    }

    #[track_caller]
    fn settings(&self) -> Settings {
        let loaded = self.load();
        let shown = shown(&loaded.diagnostics);
        loaded.settings.unwrap_or_else(|| panic!("refused:\n{shown}"))
    }

    #[track_caller]
    fn refused(&self) -> Vec<Diagnostic> {
        let loaded = self.load();
        assert!(loaded.settings.is_none(), "accepted");
        loaded.diagnostics
    }
}

/// `--NAME TEXT`
#[track_caller]
fn give(overrides: &mut Overrides, name: &str, text: &str) {
    let flag = server_flags().chain(flags()).find(|flag| flag.name == name);
    overrides.set(flag.expect("a flag"), text);
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|p| format!("[{}] {p}", p.code)).collect::<Vec<_>>().join("\n")
}

/// `code@line:column`, or the code alone without a place; `!` before an error.
fn brief(problems: &[Diagnostic]) -> Vec<String> {
    let place = |problem: &Diagnostic| {
        problem.location.as_ref().map_or(String::new(), |l| format!("@{}:{}", l.line(), l.column()))
    };
    problems
        .iter()
        .map(|p| format!("{}{}{}", if p.is_error() { "!" } else { "" }, p.code, place(p)))
        .collect()
}

/// `GOOD` with something more in its method, sink or at the top.
fn with_method(more: &str) -> String {
    GOOD.replace("    config {", &format!("    {more}\n    config {{"))
}

fn with_sink(more: &str) -> String {
    GOOD.replace("mode = 0640 } }", &format!("}} {more} }}"))
}

fn with_top(more: &str) -> String {
    format!("{GOOD}{more}")
}
