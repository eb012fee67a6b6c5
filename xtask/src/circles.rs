//! Finds files of one crate that import each other in a circle, so that none can be understood alone.
//!
//! Most circles come from a data type in the file of its first user; a file of its own cuts them. What
//! is looked at is `use` of `crate::`, `self::`, `super::` and of child modules. What is re-exported
//! counts as imported from where it is defined. What is for tests alone doesn't count, and neither does
//! the crate's root, which joins its modules.

mod modules;
mod tokens;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::{Result, process};
use modules::Modules;

/// Circles that cost nobody anything: one type's implementation in a file and its parts. A circle of
/// some of these files is harmless too.
const HARMLESS: &[&[&str]] = &[
    &[
        "host/agent/src/driver.rs",
        "host/agent/src/driver/feed.rs",
        "host/agent/src/driver/outcome.rs",
    ],
    &["host/engine/src/files.rs", "host/engine/src/files/writing.rs"],
    &["plugins/gcp/src/credentials.rs", "plugins/gcp/src/federation.rs"],
    &["plugins/kerberos/src/client.rs", "plugins/kerberos/src/refusal.rs"],
    // Each capability calls the machine's ABI, or the backend of a test, by one alias.
    &[
        "sdk/rust/src/abi.rs",
        "sdk/rust/src/abi/convert.rs",
        "sdk/rust/src/abi/exports.rs",
        "sdk/rust/src/crypto.rs",
        "sdk/rust/src/files.rs",
        "sdk/rust/src/http.rs",
        "sdk/rust/src/log.rs",
    ],
];

/// Fails if there is a circle that isn't among the harmless ones, or one of those is no more.
pub(crate) fn check() -> Result<()> {
    let workspace = process::workspace();
    let mut circles = Vec::new();
    for source in sources(&workspace)? {
        for root in ["lib.rs", "main.rs"].map(|root| source.join(root)) {
            if root.exists() {
                circles.extend(circles_of(&Modules::read(&root)?, &workspace));
            }
        }
    }
    judge(&circles, HARMLESS)
}

/// The `src` of every crate.
fn sources(workspace: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = vec![workspace.join("tests/src"), workspace.join("xtask/src")];
    for place in ["host", "plugins", "sdk"] {
        let directory = workspace.join(place);
        let entries = std::fs::read_dir(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        sources.extend(entries.filter_map(|entry| Some(entry.ok()?.path().join("src"))));
    }
    sources.sort();
    Ok(sources)
}

/// Files each of which leads to all the others.
struct Circle {
    files: Vec<String>,
    /// Who imports whom.
    imports: Vec<(String, String)>,
}

impl Circle {
    fn is_of(&self, files: &[&str]) -> bool {
        self.files.iter().all(|file| files.contains(&file.as_str()))
    }
}

fn judge(circles: &[Circle], harmless: &[&[&str]]) -> Result<()> {
    let mut told = String::new();
    for circle in circles {
        if harmless.iter().any(|files| circle.is_of(files)) {
            continue;
        }
        told.push_str("a circle of files; move what they share into a file of its own:\n");
        for (importer, imported) in &circle.imports {
            let _ = writeln!(told, "  {importer} imports {imported}");
        }
    }
    for files in harmless {
        if !circles.iter().any(|circle| circle.is_of(files)) {
            let files = files.join(", ");
            let _ = writeln!(told, "no circle any more, strike it off in circles.rs: {files}");
        }
    }
    if told.is_empty() { Ok(()) } else { Err(told.trim_end().to_owned()) }
}

/// With the names of the files below `directory`.
fn circles_of(modules: &Modules, directory: &Path) -> Vec<Circle> {
    let imports = modules.imports();
    let name = |file: usize| {
        let path = &modules.files()[file];
        path.strip_prefix(directory).unwrap_or(path).display().to_string()
    };
    let reached: Vec<_> = (0..imports.len()).map(|file| reached(&imports, file)).collect();
    let mut placed: BTreeSet<usize> = BTreeSet::new();
    let mut circles = Vec::new();
    for (file, others) in reached.iter().enumerate() {
        if !others.contains(&file) || placed.contains(&file) {
            continue;
        }
        let members: BTreeSet<usize> =
            others.iter().copied().filter(|other| reached[*other].contains(&file)).collect();
        placed.extend(&members);
        let within = |importer: usize| imports[importer].intersection(&members).copied();
        circles.push(Circle {
            files: members.iter().map(|member| name(*member)).collect(),
            imports: members
                .iter()
                .flat_map(|importer| within(*importer).map(|imported| (*importer, imported)))
                .map(|(importer, imported)| (name(importer), name(imported)))
                .collect(),
        });
    }
    circles
}

/// All that a file imports, by itself or by others: itself too, if it is in a circle.
fn reached(imports: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut pending: Vec<usize> = imports[from].iter().copied().collect();
    while let Some(file) = pending.pop() {
        if reached.insert(file) {
            pending.extend(&imports[file]);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_refused_unless_it_is_known_to_be_harmless() {
        let circle = |files: &[&str]| Circle {
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            imports: vec![("a.rs".into(), "b.rs".into())],
        };
        let circles = [circle(&["a.rs", "b.rs"])];
        assert!(judge(&circles, &[]).is_err_and(|told| told.contains("a.rs imports b.rs")));
        assert_eq!(judge(&circles, &[&["a.rs", "b.rs", "c.rs"]]), Ok(()));
        assert!(judge(&circles, &[&["a.rs", "c.rs"]]).is_err());
        assert!(judge(&[], &[&["a.rs", "b.rs"]]).is_err_and(|told| told.contains("strike it off")));
    }

    #[test]
    fn what_leads_back_is_a_circle_and_what_does_not_is_none() {
        let found = |files: &[(&str, &str)]| -> Vec<Vec<String>> {
            let home = process::TemporaryDirectory::create().expect("a directory");
            for (name, text) in files {
                let file = home.path().join(name);
                std::fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
                std::fs::write(file, text).expect("a file");
            }
            let modules = Modules::read(&home.path().join("lib.rs")).expect("modules");
            circles_of(&modules, home.path()).into_iter().map(|circle| circle.files).collect()
        };
        let root = ("lib.rs", "mod a; mod b; mod c; pub use c::C;");
        // Straight, through a list, over a third, by a parent and by what the root re-exports.
        let two = [
            root,
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use crate::a::{self, A};"),
            ("c.rs", ""),
        ];
        assert_eq!(found(&two), [["a.rs", "b.rs"]]);
        let three = [
            root,
            ("a.rs", "use super::b;"),
            ("b.rs", "use crate::C as Other;"),
            ("c.rs", "fn f() { use crate::a::*; }"),
        ];
        assert_eq!(found(&three), [["a.rs", "b.rs", "c.rs"]]);
        let parent = [
            ("lib.rs", "mod a; use a::A; pub struct Root;"),
            ("a.rs", "mod part; use crate::Root; use part::Part; pub struct A;"),
            ("a/part.rs", "use super::A;"),
        ];
        assert_eq!(found(&parent), [["a.rs", "a/part.rs"]]);
        // A comment, a text, a test, another crate and the root lead nowhere.
        let straight = [
            root,
            ("a.rs", "use crate::b::B; use c::thing; // use crate::c::C;"),
            (
                "b.rs",
                "const T: &str = r#\"\"; use crate::a::A;\"#; #[cfg(test)] mod tests { use crate::a::A; }",
            ),
            (
                "c.rs",
                "#[cfg(test)] use crate::a::A; /* use crate::a; */ fn f<'a>() -> char { '\"' } use crate::b;",
            ),
        ];
        assert_eq!(found(&straight), [[""; 0]; 0]);
    }
}
