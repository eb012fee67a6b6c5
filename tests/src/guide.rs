//! Runs a guide of `docs/`: writes its files and executes its commands, in the reader's order.
//!
//! A fenced block whose info string is a language and an absolute path is a file. A block of `sh` is
//! executed, one of `sh refused` must fail; `console` is for what can't run here and is only read.
//! Absolute paths below `/etc`, `/run` and `/var` lie in a directory of the test's, and the server is
//! the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::agent::binary;
use crate::openbao::OpenBao;
use crate::plugins::setup_directory;

/// A guide in the hands of a reader.
pub struct Guide {
    /// The reader's server.
    pub bao: OpenBao,
    root: TempDir,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    File { path: String, content: String },
    Run { script: String, refused: bool },
}

impl Guide {
    /// Reads `docs/NAME.md`.
    pub fn read(name: &str) -> Self {
        Self::read_at(name, OpenBao::start())
    }

    /// The same for a server that speaks TLS, with an authority that the reader trusts.
    pub fn read_with_tls(name: &str) -> Self {
        Self::read_at(name, OpenBao::start_with_tls())
    }

    fn read_at(name: &str, bao: OpenBao) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let steps = steps(&text);
        assert!(
            steps.iter().any(|step| matches!(step, Step::Run { .. })),
            "{name} has nothing to run"
        );
        let root = tempfile::tempdir().expect("a temporary directory");
        for directory in ["etc", "run", "var"] {
            std::fs::create_dir(root.path().join(directory)).expect("a directory");
        }
        Self { bao, root, steps }
    }

    /// Where a path of the guide lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Follows the guide to its end. Returns what its commands printed.
    #[track_caller]
    pub fn follow(&self) -> String {
        let mut printed = String::new();
        for step in &self.steps {
            match step {
                Step::File { path, content } => {
                    let file = self.path(path);
                    let directory = file.parent().expect("an absolute path");
                    std::fs::create_dir_all(directory).expect("the directory of a file");
                    std::fs::write(file, self.adapted(content)).expect("a file of the guide");
                }
                Step::Run { script, refused } => {
                    let output = self.shell(script);
                    assert_ne!(
                        output.status.success(),
                        *refused,
                        "{script}\n{}{}",
                        String::from_utf8_lossy(&output.stdout),
                        String::from_utf8_lossy(&output.stderr)
                    );
                    printed += &String::from_utf8_lossy(&output.stdout);
                    printed += &String::from_utf8_lossy(&output.stderr);
                }
            }
        }
        printed
    }

    /// Runs commands as the reader does, with the server's root token at hand.
    pub fn shell(&self, script: &str) -> std::process::Output {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = [
            binary().parent().expect("a directory").display().to_string(),
            setup_directory().display().to_string(),
        ];
        let script = format!("set -euo pipefail\n{}", self.adapted(script));
        let mut command = Command::new("bash");
        command.env_clear();
        if self.bao.address().starts_with("https://") {
            command.env("BAO_CACERT", self.bao.ca_file());
        }
        command
            .args(["-c", &script])
            .current_dir(self.root.path())
            .env("PATH", format!("{}:{path}", programs.join(":")))
            .env("HOME", self.root.path())
            .env("BAO_ADDR", self.bao.address())
            .env("BAO_TOKEN", self.bao.root_token())
            .output()
            .expect("bash can be started")
    }

    /// With the test's places instead of the guide's.
    fn adapted(&self, text: &str) -> String {
        let root = self.root.path().display();
        let mut adapted = text
            .replace("https://vault.example.org:8200", self.bao.address())
            .replace("/usr/local/bin/usher", &binary().display().to_string());
        for directory in ["/etc/", "/run/", "/var/"] {
            for before in [" ", "\"", "=", "|", ">", ":"] {
                adapted = adapted.replace(
                    &format!("{before}{directory}"),
                    &format!("{before}{root}{directory}"),
                );
            }
        }
        adapted
    }
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let content: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let content = content.join("\n") + "\n";
        match info.split_once(' ').unwrap_or((info, "")) {
            ("sh", "") => steps.push(Step::Run { script: content, refused: false }),
            ("sh", "refused") => steps.push(Step::Run { script: content, refused: true }),
            ("console", "") => {}
            (_, path) if path.starts_with('/') => {
                steps.push(Step::File { path: path.into(), content });
            }
            _ => panic!("a block of {info:?}: the test can't tell what it is for"),
        }
    }
    steps
}
