//! Plug-ins from source: JavaScript and Python through their own tools, and hostile ones in
//! WebAssembly text.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// A `plugin_directory` with plug-ins of the test's choice.
pub struct PluginDirectory(TempDir);

impl PluginDirectory {
    /// An empty one, private to this user as the agent demands.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Puts a component in under this name.
    pub fn add(&self, name: &str, component: &[u8]) -> PathBuf {
        self.write(&format!("{name}.wasm"), component)
    }

    /// Puts a component in as one should: under another name first.
    pub fn replace(&self, name: &str, component: &[u8]) -> PathBuf {
        self.rename_to(&format!("{name}.wasm"), component)
    }

    /// Puts a script in under this name.
    pub fn add_script(&self, name: &str, text: &str) -> PathBuf {
        self.write(&format!("{name}.js"), text.as_bytes())
    }

    /// Writes a file in place.
    pub fn write(&self, file: &str, content: &[u8]) -> PathBuf {
        let file = self.0.path().join(file);
        fs::write(&file, content).expect("a plug-in file");
        file
    }

    /// Writes a file under another name first.
    pub fn rename_to(&self, file: &str, content: &[u8]) -> PathBuf {
        let unfinished = self.write("unfinished", content);
        let file = self.0.path().join(file);
        fs::rename(&unfinished, &file).expect("the plug-in takes its name");
        file
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// What `cargo xtask setup` installed: named by `USHER_TEST_SETUP`, else `setup` in the target
/// directory of this test.
pub fn setup_directory() -> PathBuf {
    let directory = std::env::var_os("USHER_TEST_SETUP").map_or_else(
        || {
            let test = std::env::current_exe().expect("the path of this test");
            test.ancestors().nth(3).expect("target/PROFILE/deps/TEST").join("setup")
        },
        PathBuf::from,
    );
    assert!(
        directory.join("bao").exists(),
        "{} has no OpenBao; run `cargo xtask setup` or `cargo xtask test`",
        directory.display()
    );
    directory
}

/// Where [`crate::agent::Launch::keep_code`] has agents keep compiled plug-ins.
pub fn code_directory() -> PathBuf {
    setup_directory().join("code/plugins")
}

/// The text of `tests/plugins/SOURCE.js`: a script as it is.
pub fn script(source: &str) -> String {
    let file = sources().join(format!("{source}.js"));
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Builds a method from `tests/plugins/SOURCE.js`, once for each content.
pub fn javascript(source: &str) -> Vec<u8> {
    let file = sources().join(format!("{source}.js"));
    cached(&file, |output| {
        run(Command::new("node")
            .arg(setup_directory().join("node/componentize.mjs"))
            .args([&file, &contract()])
            .arg("auth-method-plugin")
            .arg(output));
    })
}

/// Builds a method from `tests/plugins/SOURCE.py`, once for each content.
pub fn python(source: &str) -> Vec<u8> {
    let file = sources().join(format!("{source}.py"));
    cached(&file, |output| {
        // Python leaves its bytecode beside the source: not in the checkout.
        let copy = tempfile::tempdir().expect("a temporary directory");
        fs::copy(&file, copy.path().join(format!("{source}.py"))).expect("a copy of the source");
        run(Command::new(setup_directory().join("python/bin/componentize-py"))
            .arg("-d")
            .arg(contract())
            .args(["-w", "auth-method-plugin", "componentize", source, "-p"])
            .arg(copy.path())
            .arg("-o")
            .arg(output));
    })
}

/// What a hostile plug-in does when it should do its work.
#[derive(Clone, Copy, Debug)]
pub enum Mischief {
    /// Executes `unreachable`.
    Trap,
    /// Never returns.
    LoopForEver,
    /// Calls itself until the stack ends.
    Recurse,
    /// Asks for nearly 4 GiB, and traps when it doesn't get them.
    AskForFourGibibytes,
    /// Fills three memories of 48 MiB, and traps when it doesn't get them.
    FillThreeMemories,
}

impl Mischief {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Trap,
        Self::LoopForEver,
        Self::Recurse,
        Self::AskForFourGibibytes,
        Self::FillThreeMemories,
    ];

    fn instructions(self) -> &'static str {
        match self {
            Self::Trap => "unreachable",
            Self::LoopForEver => "(loop $again (br $again)) unreachable",
            // The addition keeps it from being a tail call.
            Self::Recurse => "(i32.add (call $mischief) (i32.const 1))",
            Self::AskForFourGibibytes => {
                "(if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then unreachable)) (i32.const 2048)"
            }
            Self::FillThreeMemories => {
                "(if (i32.eq (memory.grow $first (i32.const 768)) (i32.const -1)) (then unreachable))
                 (memory.fill $first (i32.const 0) (i32.const 1) (i32.const 50331648))
                 (if (i32.eq (memory.grow $second (i32.const 768)) (i32.const -1)) (then unreachable))
                 (memory.fill $second (i32.const 0) (i32.const 1) (i32.const 50331648))
                 (if (i32.eq (memory.grow $third (i32.const 768)) (i32.const -1)) (then unreachable))
                 (memory.fill $third (i32.const 0) (i32.const 1) (i32.const 50331648))
                 (i32.const 2048)"
            }
        }
    }
}

/// A method that describes itself well, and does mischief in `authenticate`.
pub fn hostile_method(mischief: Mischief) -> Vec<u8> {
    component(
        "auth-method-plugin",
        mischief,
        r#"(func (export "usher:plugin/auth-method@0.1.0#authenticate") (param i32 i32) (result i32)
             (call $mischief))
           (func (export "usher:plugin/auth-method@0.1.0#authenticated") (param i32 i32) (result i32)
             (i32.const 2048))"#,
    )
}

/// A sink that checks well, and does mischief in `deliver`.
pub fn hostile_sink(mischief: Mischief) -> Vec<u8> {
    component(
        "sink-plugin",
        mischief,
        r#"(func (export "usher:plugin/sink@0.1.0#check") (param i32 i32) (result i32)
             (i32.const 2048))
           (func (export "usher:plugin/sink@0.1.0#deliver")
             (param i32 i32 i32 i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
             (call $mischief))
           (func (export "usher:plugin/sink@0.1.0#withdraw") (param i32 i32) (result i32)
             (i32.const 2048))"#,
    )
}

/// A component written by hand against the canonical ABI: it imports nothing, `describe`
/// returns the record at 1024, and 2048 is a zeroed "success" of any result.
fn component(world: &str, mischief: Mischief, exports: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
             (memory (export "memory") 2)
             (memory $first 0)
             (memory $second 0)
             (memory $third 0)
             (global $next (mut i32) (i32.const 65536))
             (data (i32.const 0) "hostile")
             (data (i32.const 16) "1.0.0")
             (data (i32.const 1024) "\00\00\00\00\07\00\00\00\10\00\00\00\05\00\00\00")
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
               (local $at i32)
               (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
               (global.set $next (i32.add (local.get $at) (local.get 3)))
               (local.get $at))
             (func $mischief (result i32) {})
             (func (export "usher:plugin/plugin@0.1.0#describe") (result i32) (i32.const 1024))
             (func (export "usher:plugin/plugin@0.1.0#prepare") (param i32 i32) (result i32)
               (i32.const 2048))
             {exports})"#,
        mischief.instructions()
    );
    encode(&text, world)
}

/// Makes a component of a module in WebAssembly text.
pub(crate) fn encode(text: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).expect("well-formed WebAssembly text");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(contract()).expect("the contract");
    let world = resolve.select_world(&[package], Some(world)).expect("a world of the contract");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .expect("metadata fits");
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .expect("the module fits the world")
}

/// The component made from `source` and the contract, built at most once on this machine.
fn cached(source: &Path, build: impl FnOnce(&Path)) -> Vec<u8> {
    let mut hasher = DefaultHasher::new();
    let mut inputs = vec![source.to_owned()];
    let wit = fs::read_dir(contract()).expect("the contract");
    inputs.extend(wit.map(|entry| entry.expect("a file of the contract").path()));
    inputs.sort();
    for tool in ["node/usher-setup", "python/usher-setup"] {
        inputs.push(setup_directory().join(tool));
    }
    for input in &inputs {
        fs::read(input)
            .unwrap_or_else(|error| panic!("{}: {error}", input.display()))
            .hash(&mut hasher);
    }
    let directory = setup_directory().join("plugins");
    fs::create_dir_all(&directory).expect("a directory for built plug-ins");
    let name = source.file_name().expect("a file").to_string_lossy().replace('.', "-");
    let output = directory.join(format!("{name}-{:016x}.wasm", hasher.finish()));
    // Tests run in parallel: the first one builds, the others wait for it.
    let lock = File::create(directory.join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("a lock");
    if !output.exists() {
        let unfinished = output.with_extension("unfinished");
        build(&unfinished);
        fs::rename(&unfinished, &output).expect("the built plug-in");
    }
    fs::read(&output).expect("the built plug-in")
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins")
}

fn contract() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")
}
