//! The modules of one crate: which file each is in, and what it imports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tokens::tokens;
use crate::Result;

/// The modules of a crate, as they are declared from its root on; those of tests aren't among them.
#[derive(Default)]
pub(crate) struct Modules {
    modules: Vec<Module>,
    files: Vec<PathBuf>,
}

#[derive(Default)]
struct Module {
    file: usize,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    imports: Vec<Import>,
}

/// One name that a `use` brings in.
#[derive(Clone)]
struct Import {
    path: Vec<String>,
    /// As it is called here; "*" for all that there is.
    name: String,
}

impl Modules {
    /// Those of the crate with this root.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut modules = Self::default();
        let directory = root.parent().unwrap_or(root).to_owned();
        modules.read_file(root, &directory, None)?;
        Ok(modules)
    }

    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// For each file those that it imports from, itself never. The root is said to import nothing: it
    /// joins its modules, and what it defines is for all of them.
    pub(crate) fn imports(&self) -> Vec<BTreeSet<usize>> {
        let mut imports = vec![BTreeSet::new(); self.files.len()];
        for (number, module) in self.modules.iter().enumerate() {
            let found = module.imports.iter().filter_map(|import| {
                self.defined(number, &import.path, FEW).map(|found| self.modules[found].file)
            });
            if module.file != ROOT {
                imports[module.file].extend(found.filter(|file| *file != module.file));
            }
        }
        imports
    }

    /// The module that defines what this path names as seen from a module; `None`: another crate does.
    fn defined(&self, from: usize, path: &[String], left: usize) -> Option<usize> {
        let mut segments = path.iter().map(String::as_str).peekable();
        let mut at = from;
        match *segments.peek()? {
            "crate" => at = ROOT,
            "self" | "super" => {}
            child if self.modules[from].children.contains_key(child) => {}
            _ => return None,
        }
        while let Some(segment) = segments.next() {
            match segment {
                "crate" | "self" => {}
                "super" => at = self.modules[at].parent?,
                name => {
                    let Some(child) = self.modules[at].children.get(name) else {
                        let rest: Vec<String> = segments.map(str::to_owned).collect();
                        return Some(self.exported(at, name, &rest, left));
                    };
                    at = *child;
                }
            }
        }
        Some(at)
    }

    /// Where a name of a module comes from: the module itself, unless it has imported the name.
    fn exported(&self, module: usize, name: &str, rest: &[String], left: usize) -> usize {
        let import = self.modules[module].imports.iter().find(|import| import.name == name);
        let Some(import) = import.filter(|_| left > 0) else { return module };
        let path: Vec<String> = import.path.iter().chain(rest).cloned().collect();
        self.defined(module, &path, left - 1).unwrap_or(module)
    }

    /// `directory` is where the files of its children are.
    fn read_file(&mut self, file: &Path, directory: &Path, parent: Option<usize>) -> Result<usize> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        self.files.push(file.to_owned());
        let module = self.add(self.files.len() - 1, parent);
        self.read_items(&mut Reader::new(&text), module, directory)?;
        Ok(module)
    }

    fn add(&mut self, file: usize, parent: Option<usize>) -> usize {
        self.modules.push(Module { file, parent, ..Module::default() });
        self.modules.len() - 1
    }

    /// Up to the end of the text or of the module's braces.
    fn read_items(
        &mut self,
        reader: &mut Reader<'_>,
        module: usize,
        directory: &Path,
    ) -> Result<()> {
        let mut depth = 0;
        while let Some(token) = reader.next() {
            match token {
                "#" if reader.is_for_tests() => reader.skip_item(),
                "{" => depth += 1,
                "}" if depth == 0 => return Ok(()),
                "}" => depth -= 1,
                // `impl Trait + use<'a>` imports nothing.
                "use" if reader.peek(0) != "<" => {
                    let mut imports = Vec::new();
                    reader.tree(&mut Vec::new(), &mut imports);
                    self.modules[module].imports.append(&mut imports);
                }
                "mod" => {
                    let Some(name) = reader.next() else { return Ok(()) };
                    let inside = directory.join(name);
                    let child = match reader.next() {
                        Some(";") => {
                            let alone = directory.join(format!("{name}.rs"));
                            let file = if alone.exists() { alone } else { inside.join("mod.rs") };
                            self.read_file(&file, &inside, Some(module))?
                        }
                        Some("{") => {
                            let child = self.add(self.modules[module].file, Some(module));
                            self.read_items(reader, child, &inside)?;
                            child
                        }
                        _ => continue,
                    };
                    self.modules[module].children.insert(name.to_owned(), child);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The number of the first file, and of its module.
const ROOT: usize = 0;

/// So many times a name is followed from one re-export to the next.
const FEW: usize = 8;

/// The tokens that are left.
struct Reader<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { tokens: tokens(text), at: 0 }
    }

    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).copied().unwrap_or_default()
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    /// After `#`: whether the attribute is `[cfg(test)]`.
    fn is_for_tests(&self) -> bool {
        ["[", "cfg", "(", "test", ")", "]"]
            .iter()
            .enumerate()
            .all(|(ahead, token)| self.peek(ahead) == *token)
    }

    /// Past the item that begins here, with its attributes: a `;` or braces end it.
    fn skip_item(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.next() {
            match token {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                ";" if depth == 0 => return,
                _ => continue,
            }
            if token == "}" && depth == 0 {
                return;
            }
        }
    }

    /// A tree of imports up to its `;`, or to the `,` or `}` of the list that it is in.
    fn tree(&mut self, path: &mut Vec<String>, imports: &mut Vec<Import>) {
        let before = path.len();
        let mut name = None;
        loop {
            match self.peek(0) {
                ":" => self.at += 1,
                "{" => {
                    while matches!(self.next(), Some("{" | ",")) {
                        if self.peek(0) != "}" {
                            self.tree(path, imports);
                        }
                    }
                    path.truncate(before);
                    return;
                }
                "as" => {
                    name = Some(self.peek(1).to_owned());
                    self.at += 2;
                }
                "*" => {
                    name = Some("*".to_owned());
                    self.at += 1;
                }
                // "r#type" is a name too; its "r" and "#" name nothing that there is.
                "," | "}" | ";" | "" => break,
                segment => {
                    path.push(segment.to_owned());
                    self.at += 1;
                }
            }
        }
        // `{self}` is the module itself.
        let last = path.iter().rev().find(|segment| *segment != "self");
        let name = name.or_else(|| last.cloned()).unwrap_or_default();
        imports.push(Import { path: path.clone(), name });
        path.truncate(before);
    }
}
