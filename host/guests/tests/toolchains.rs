//! Each toolchain that can build the guests on this machine does.

#[path = "../build/nested.rs"]
#[allow(dead_code, reason = "the build script's file")]
mod nested;
#[path = "../build/toolchain.rs"]
#[allow(dead_code, reason = "the build script's file")]
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use toolchain::{TARGET, Toolchain};

/// Of a crate or a directory that names a toolchain nobody has, rustup's proxy of the compiler would
/// ask for that one.
#[test]
fn a_file_that_names_another_toolchain_changes_nothing() {
    let crate_directory = scratch("pinned");
    fs::create_dir_all(crate_directory.join("src")).unwrap();
    fs::write(
        crate_directory.join("rust-toolchain.toml"),
        "[toolchain]\nchannel = \"1.0.0\"\ntargets = [\"wasm32-unknown-unknown\"]\n",
    )
    .unwrap();
    fs::write(
        crate_directory.join("Cargo.toml"),
        "[workspace]\n[package]\nname = \"pinned\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n[profile.plugin]\ninherits = \"release\"\n",
    )
    .unwrap();
    fs::write(
        crate_directory.join("src/lib.rs"),
        "#[unsafe(no_mangle)]\npub extern \"C\" fn seven() -> i32 { 7 }\n",
    )
    .unwrap();
    for (name, toolchain) in here() {
        let target = scratch(&format!("pinned-{name}"));
        toolchain.build(&crate_directory, &target, &[]).unwrap();
        assert!(target.join(TARGET).join("plugin/pinned.wasm").exists(), "{name}");
    }
}

/// Of all guests the script component has the most crates, among them one that names a toolchain.
#[test]
fn the_script_component_is_built_by_each() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let script = ["--manifest-path=plugins/script/Cargo.toml".to_owned()];
    for (name, toolchain) in here() {
        // The first is what this build itself used, unless there is only the other one.
        let target = match name {
            "installed" => Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("plugins/script"),
            _ => scratch("script"),
        };
        toolchain.build(root, &target, &script).unwrap();
        let module = fs::read(target.join(TARGET).join("plugin/usher_plugin_script.wasm")).unwrap();
        assert!(module.starts_with(b"\0asm"), "{name}");
    }
}

/// The toolchains of this machine; the build would have failed without any.
#[allow(clippy::print_stderr, reason = "a toolchain that isn't here should be seen to be skipped")]
fn here() -> Vec<(&'static str, Toolchain)> {
    let all = [("installed", Toolchain::installed()), ("debian", Toolchain::debian())];
    for (name, found) in &all {
        eprintln!("toolchain {name}: {}", if found.is_some() { "builds" } else { "isn't here" });
    }
    let here: Vec<_> = all.into_iter().filter_map(|(name, found)| Some((name, found?))).collect();
    assert!(!here.is_empty());
    here
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests").join(name)
}
