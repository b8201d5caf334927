//! Installs what is missing, once.
//!
//! There are two ways to a Wasm toolchain: (a) `rustup target add`; (b) where that cannot be
//! fetched, on Debian, its `rustc-web` packages and a standard library built from their source.
//! `ESPALIER_WASM=debian` takes (b) even where (a) works.

use crate::env::{Env, Result, has, output, run};
use std::fs;
use std::path::{Path, PathBuf};

/// Debian's packages for way (b).
const DEBIAN_RUST: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// 0.22 needs a newer Rust than Debian has.
const TRUNK: &str = "0.21.14";
const TARGET: &str = "wasm32-unknown-unknown";
/// Takes the page's module apart; its other half is `wasm_split_helpers`, of the same series.
const SPLIT: &str = "0.2.3";
/// The accessibility checker of the browser tests, from npm.
const AXE: &str = "4.14.1";
/// The name under which Debian's toolchain is linked into rustup.
const DEBIAN_TOOLCHAIN: &str = "deb";

/// How Wasm is compiled here.
pub struct WasmToolchain {
    /// Value for `RUSTUP_TOOLCHAIN`; `None` means the default toolchain.
    pub name: Option<&'static str>,
}

impl WasmToolchain {
    /// Makes a command use it.
    pub fn apply(&self, command: &mut std::process::Command) {
        if let Some(name) = self.name {
            command.env("RUSTUP_TOOLCHAIN", name);
        }
    }
}

/// Everything, the browser included.
pub fn all(env: &Env) -> Result<()> {
    for_build(env)?;
    axe(env);
    browser()
}

/// What `build` and `serve` need.
pub fn for_build(env: &Env) -> Result<WasmToolchain> {
    fs::create_dir_all(&env.cache).map_err(|e| format!("cannot create {}: {e}", env.cache.display()))?;
    let toolchain = wasm_toolchain(env)?;
    cargo_tool(env, "wasm-bindgen", "wasm-bindgen-cli", &locked_version(env, "wasm-bindgen")?, &[])?;
    let options = ["--locked", "--features", "build-binary"];
    cargo_tool(env, "wasm-split-cli", "wasm_split_cli_support", SPLIT, &options)?;
    // Without its default features Trunk needs no OpenSSL headers and carries no self-updater.
    cargo_tool(env, "trunk", "trunk", TRUNK, &["--locked", "--no-default-features", "--features", "rustls"])?;
    Ok(toolchain)
}

/// Chromium and its driver, for the browser tests.
pub fn browser() -> Result<()> {
    if has("chromium") && has("chromedriver") {
        return Ok(());
    }
    apt(&["chromium", "chromium-driver"]).map_err(|why| {
        format!("the browser tests need `chromium` and `chromedriver` on the PATH, and installing them failed: {why}")
    })
}

/// The accessibility checker's script, fetched once; `None`, said aloud, where npm or its registry
/// cannot be had.
pub fn axe(env: &Env) -> Option<PathBuf> {
    let folder = env.cache.join(format!("axe-core-{AXE}"));
    let script = folder.join("package/axe.min.js");
    if script.is_file() {
        return Some(script);
    }
    let skipped = |why: &str| {
        eprintln!("skipped: axe-core {AXE} cannot be had ({why}); the accessibility check is left out");
        None
    };
    if !has("npm") {
        return skipped("npm is not installed");
    }
    if fs::create_dir_all(&folder).is_err() {
        return skipped("the cache folder cannot be written");
    }
    let package = format!("axe-core@{AXE}");
    let packed = output(env.command("npm").current_dir(&folder).args(["pack", "--silent", &package]));
    let Some(archive) = packed.as_deref().and_then(|text| text.lines().last()) else {
        return skipped("npm cannot fetch it");
    };
    let unpack = ["-xzf", archive, "package/axe.min.js"];
    if output(env.command("tar").current_dir(&folder).args(unpack)).is_none() || !script.is_file() {
        return skipped("its archive cannot be unpacked");
    }
    Some(script)
}

fn wasm_toolchain(env: &Env) -> Result<WasmToolchain> {
    let forced = debian_is_forced()?;
    let installed = output(env.command("rustup").args(["target", "list", "--installed"]));
    if !forced && installed.is_some_and(|list| list.lines().any(|line| line == TARGET)) {
        return Ok(WasmToolchain { name: None });
    }
    let debian = WasmToolchain { name: Some(DEBIAN_TOOLCHAIN) };
    let stamp = env.cache.join("wasm-std");
    if let (Ok(stamped), Some(version)) = (fs::read_to_string(&stamp), debian_rustc_version(env))
        && stamped == version
        && debian_is_linked(env)
    {
        return Ok(debian);
    }
    eprintln!("Setting up a Rust toolchain for {TARGET} (once).");
    if !forced {
        if env.command("rustup").args(["target", "add", TARGET]).status().is_ok_and(|s| s.success()) {
            return Ok(WasmToolchain { name: None });
        }
        eprintln!("rustup cannot fetch {TARGET} here.");
    }
    eprintln!("Using Debian's packages and building `std` from their source.");
    debian_toolchain(env, &stamp)?;
    Ok(debian)
}

/// Whether the person asked for way (b) by `ESPALIER_WASM`.
fn debian_is_forced() -> Result<bool> {
    match std::env::var("ESPALIER_WASM").as_deref() {
        Err(_) | Ok("") => Ok(false),
        Ok("debian") => Ok(true),
        Ok(other) => Err(format!("ESPALIER_WASM is `{other}`; leave it out, or set it to `debian`")),
    }
}

fn debian_rustc_version(env: &Env) -> Option<String> {
    output(env.command("/usr/bin/rustc").arg("-V"))
}

fn debian_is_linked(env: &Env) -> bool {
    output(env.command("rustup").args(["run", DEBIAN_TOOLCHAIN, "rustc", "-V"])).is_some()
}

fn debian_toolchain(env: &Env, stamp: &Path) -> Result<()> {
    if !Path::new("/usr/bin/cargo").is_file() || !Path::new("/usr/lib/rustlib/src").exists() {
        apt(&DEBIAN_RUST).map_err(|why| {
            format!(
                "no Wasm toolchain: `rustup target add {TARGET}` failed, and so did Debian's packages: {why}"
            )
        })?;
    }
    let sysroot = output(env.command("/usr/bin/rustc").args(["--print", "sysroot"]))
        .map(PathBuf::from)
        .ok_or("Debian's /usr/bin/rustc does not run")?;

    // A throw-away crate whose build compiles `std` from source. The bitcode lets `lto` work.
    let scratch = env.cache.join("std-build");
    let _ = fs::remove_dir_all(&scratch);
    write(
        &scratch.join("Cargo.toml"),
        "[package]\nname = \"std-build\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
    )?;
    write(&scratch.join("src/lib.rs"), "")?;
    run(env
        .command("/usr/bin/cargo")
        .current_dir(&scratch)
        .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET])
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env("CARGO_TARGET_DIR", scratch.join("target")))?;

    let library = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    sudo("mkdir", &["-p", &library.to_string_lossy()])?;
    // Older copies of std beside newer ones would be ambiguous.
    for old in rlibs(&library) {
        sudo("rm", &["-f", &old.to_string_lossy()])?;
    }
    let built = rlibs(&scratch.join("target").join(TARGET).join("release/deps"));
    if built.is_empty() {
        return Err("building `std` for Wasm left no libraries".into());
    }
    for rlib in built.iter().filter(|p| !p.to_string_lossy().contains("std_build")) {
        sudo("cp", &[&rlib.to_string_lossy(), &library.to_string_lossy()])?;
    }

    // Debian has no rust-lld; a rustup toolchain does.
    let bin = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
    if !bin.join("rust-lld").exists() {
        let lld = output(env.command("rustc").args(["--print", "sysroot"]))
            .map(|s| PathBuf::from(s).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"))
            .filter(|p| p.is_file())
            .ok_or(
                "no rust-lld in the default rustup toolchain; `rustup toolchain install stable` brings one",
            )?;
        sudo("mkdir", &["-p", &bin.to_string_lossy()])?;
        sudo("ln", &["-sf", &lld.to_string_lossy(), &bin.join("rust-lld").to_string_lossy()])?;
    }
    run(env.command("rustup").args(["toolchain", "link", DEBIAN_TOOLCHAIN]).arg(&sysroot))?;
    let _ = fs::remove_dir_all(&scratch);
    let version = debian_rustc_version(env).unwrap_or_default();
    write(stamp, &version)
}

fn rlibs(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "rlib"))
        .collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| format!("cannot create {}: {e}", parent.display()))?;
    }
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn cargo_tool(env: &Env, program: &str, package: &str, version: &str, options: &[&str]) -> Result<()> {
    let path = env.tools().join("bin").join(program);
    // Cargo's own record of what it installed there; not every tool tells its version.
    let installed = fs::read_to_string(env.tools().join(".crates.toml")).unwrap_or_default();
    if path.is_file() && installed.contains(&format!("\"{package} {version} (")) {
        return Ok(());
    }
    eprintln!("Installing {package} {version} (once, a few minutes).");
    let mut command = env.command("cargo");
    command
        .args(["install", package, "--version", version, "--root"])
        .arg(env.tools())
        .args(options)
        .env("CARGO_TARGET_DIR", env.cache.join("tools-target"))
        // These tools run for seconds; what counts is how long they take to build.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    run(&mut command)
}

/// The version of a package in Cargo.lock: the wasm-bindgen tool must match the crate exactly.
pub fn locked_version(env: &Env, package: &str) -> Result<String> {
    let lock = fs::read_to_string(env.root.join("Cargo.lock"))
        .map_err(|e| format!("cannot read Cargo.lock: {e}"))?;
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        if line == format!("name = \"{package}\"")
            && let Some(version) = lines.next().and_then(|l| l.strip_prefix("version = \""))
        {
            return Ok(version.trim_end_matches('"').to_owned());
        }
    }
    Err(format!("Cargo.lock names no package `{package}`"))
}

fn apt(packages: &[&str]) -> Result<()> {
    if !has("apt-get") {
        return Err(format!("this is not a Debian system; please install {}", packages.join(", ")));
    }
    sudo("apt-get", &["update", "-q"])?;
    let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
    args.extend(packages);
    sudo("apt-get", &args)
}

/// Runs a command as root: directly where we are root, else through sudo.
fn sudo(program: &str, args: &[&str]) -> Result<()> {
    let root = output(std::process::Command::new("id").arg("-u")).is_some_and(|id| id == "0");
    let mut command = std::process::Command::new(if root { program } else { "sudo" });
    if !root {
        command.arg(program);
    }
    run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}
