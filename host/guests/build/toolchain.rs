//! What compiles Rust to WebAssembly: the toolchain of this build, or Debian's own.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::nested;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

pub(crate) enum Toolchain {
    /// The toolchain of this build, with the target installed.
    Installed,
    /// Debian's own toolchain, which builds the standard library from source.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// The one to build with. An error says what to install.
    pub(crate) fn find() -> Result<Self, String> {
        Self::installed().or_else(Self::debian).ok_or_else(|| {
            format!(
                "no standard library for {TARGET}; run: rustup target add {TARGET}\n\
                 (without rustup, on Debian: apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src lld-22)"
            )
        })
    }

    /// The compiler of this build, if it has the target.
    pub(crate) fn installed() -> Option<Self> {
        nested::print(&["target-libdir", "--target", TARGET])?.exists().then_some(Self::Installed)
    }

    /// Debian's compiler, if it is there with the library's source and a linker.
    pub(crate) fn debian() -> Option<Self> {
        let linker = (20..40)
            .rev()
            .map(|version| PathBuf::from(format!("/usr/lib/llvm-{version}/bin/wasm-ld")))
            .find(|linker| linker.exists())?;
        let source = Path::new("/usr/lib/rustlib/src/rust/library/std").exists()
            || fs::read_dir("/usr/src").is_ok_and(|entries| {
                entries.filter_map(Result::ok).any(|entry| {
                    entry.file_name().to_string_lossy().starts_with("rustc-")
                        && entry.path().join("library/std").exists()
                })
            });
        (source && Path::new(DEBIAN_CARGO).exists()).then_some(Self::Debian { linker })
    }

    /// Builds crates to modules, below `target_directory`.
    pub(crate) fn build(
        &self,
        root: &Path,
        target_directory: &Path,
        what: &[String],
    ) -> Result<(), String> {
        let mut command = match self {
            Self::Installed => nested::cargo(root),
            Self::Debian { .. } => nested::of(root, DEBIAN_CARGO),
        };
        command
            .args(["build", "--quiet", "--profile", "plugin", "--target", TARGET, "--target-dir"])
            .arg(target_directory)
            .args(what)
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags());
        if let Self::Debian { linker } = self {
            // The rustup proxies would win over Debian's programs otherwise.
            let path = env::var_os("PATH").unwrap_or_default();
            let path = env::join_paths(
                std::iter::once(PathBuf::from("/usr/bin")).chain(env::split_paths(&path)),
            )
            .map_err(|error| error.to_string())?;
            command
                .arg("-Zbuild-std=std,panic_abort")
                .env("PATH", path)
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        let status = command
            .status()
            .map_err(|error| format!("the nested cargo can't be started: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err("the built-in plug-ins can't be built; see above".to_owned())
        }
    }
}

fn flags() -> String {
    // The script component takes its randomness from the host.
    let mut flags = "--cfg=getrandom_backend=\"custom\"".to_owned();
    // Panic messages name source files: by the same name wherever they are built. Those of a
    // workspace are relative anyway; naming its place here would compile all of it anew for
    // each checkout that shares a target directory.
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    if let Some(cargo_home) = cargo_home {
        let _ = write!(flags, " --remap-path-prefix={}=cargo", cargo_home.display());
    }
    flags
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
