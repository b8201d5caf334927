//! Where things are, and how commands are run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Errors are sentences for the person at the terminal.
pub type Result<T> = std::result::Result<T, String>;

/// The folders this project uses.
pub struct Env {
    /// The checkout.
    pub root: PathBuf,
    /// Tools and compiled dependencies, outside the checkout, so that a clean one reuses them.
    pub cache: PathBuf,
}

impl Env {
    /// Reads the environment: `ESPALIER_CACHE`, else `XDG_CACHE_HOME/espalier`, else
    /// `~/.cache/espalier`.
    pub fn detect() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_else(|| PathBuf::from("."));
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache = var("ESPALIER_CACHE")
            .or_else(|| var("XDG_CACHE_HOME").map(|p| p.join("espalier")))
            .or_else(|| var("HOME").map(|p| p.join(".cache/espalier")))
            .unwrap_or_else(|| root.join("target/espalier"));
        Self { root, cache }
    }

    /// The built page.
    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// `cargo install`'s root for Trunk and wasm-bindgen.
    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Target folder of native builds; apart from the Wasm one, so that two compilers never
    /// share one.
    pub fn target_native(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.cache.join("native"), PathBuf::from)
    }

    /// Target folder of Wasm builds.
    pub fn target_wasm(&self) -> PathBuf {
        self.cache.join("wasm")
    }

    /// A command that runs in the checkout with our tools first on the PATH.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut path = self.tools().join("bin").into_os_string();
        if let Some(old) = std::env::var_os("PATH") {
            path.push(":");
            path.push(old);
        }
        command.current_dir(&self.root).env("PATH", path);
        // Set by the cargo that runs us; it would pin the wrong toolchain in nested cargos.
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Cargo for native builds.
    pub fn cargo(&self) -> Command {
        let mut command = self.command("cargo");
        command.env("CARGO_TARGET_DIR", self.target_native());
        command
    }
}

/// Runs a command, showing it, and fails with its name when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    eprintln!("· {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("`{shown}` could not start: {error}")),
    }
}

/// Runs a command quietly; its standard output if it succeeded.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program is on the PATH.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|p| p.join(program).is_file()))
}

fn show(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
