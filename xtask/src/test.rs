//! The test command, the benchmark, and the native runs.

use crate::env::{Env, Result, has, run};
use crate::{build, setup};
use std::process::Command;

/// The same packages every time, so that features and with them compiled dependencies are the same.
const CARGO_TEST: [&str; 7] =
    ["test", "--locked", "--workspace", "--exclude", "espalier-app", "--exclude", "espalier-view"];

/// Every test. Set-up and the build come first, since the browser tests use the built page.
pub fn all(env: &Env, with_browser: bool) -> Result<()> {
    run(env.cargo().args(["fmt", "--all", "--check"]))?;
    deny(env)?;
    let toolchain = setup::for_build(env)?;
    run(env.cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--exclude",
        "espalier-app",
        // Its parser would change the features, and with them recompile Burn.
        "--exclude",
        "espalier-view",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(env.cargo().args([
        "clippy",
        "--locked",
        "--package",
        "espalier-app",
        "--package",
        "espalier-view",
        "--features",
        "espalier-app/page,espalier-app/engine",
        "--",
        "-D",
        "warnings",
    ]))?;
    build::dist(env, &toolchain, true)?;
    // The browser tests say here that they were skipped; they come last, alone.
    let native = run(env
        .cargo()
        .args(CARGO_TEST)
        .arg("--no-fail-fast")
        .env("ESPALIER_DIST", env.dist())
        .env("ESPALIER_NO_BROWSER", "1"));
    if !with_browser {
        return native;
    }
    setup::browser()?;
    let mut tests = env.cargo();
    tests
        .args(CARGO_TEST)
        .arg("--no-fail-fast")
        // One at a time: each browser has as many workers as there are cores.
        .args(["--test", "browser", "--", "--test-threads=1"])
        .env("ESPALIER_DIST", env.dist());
    if let Some(axe) = setup::axe(env) {
        tests.env("ESPALIER_AXE", axe);
    }
    let browser = run(&mut tests);
    native.and(browser)
}

/// Licences and advisories, where the tool and its database can be had.
fn deny(env: &Env) -> Result<()> {
    if !has("cargo-deny") {
        eprintln!("skipped: cargo-deny is not installed (`cargo install cargo-deny` brings it)");
        return Ok(());
    }
    let fetched = env.command("cargo").args(["deny", "fetch", "db"]).status().is_ok_and(|s| s.success());
    if !fetched {
        eprintln!("skipped: advisories (the database cannot be fetched here)");
    }
    let mut deny = env.command("cargo");
    // The bundles are features: what is licensed is all that any of them ships.
    deny.args(["deny", "--all-features", "--offline", "check", "licenses", "bans"]);
    if fetched {
        deny.arg("advisories");
    }
    run(&mut deny)
}

/// The parts of the benchmark, in its order.
pub const BENCH_PARTS: [&str; 5] = ["sizes", "page", "search", "quality", "kernels"];

/// The benchmark table, on the release build; all of it, or the parts asked for.
pub fn bench(env: &Env, parts: &[String]) -> Result<()> {
    if let Some(unknown) = parts.iter().find(|part| !BENCH_PARTS.contains(&part.as_str())) {
        return Err(format!(
            "the benchmark has no part `{unknown}`; its parts are {}",
            BENCH_PARTS.join(", ")
        ));
    }
    measured(env, "benchmark", ("ESPALIER_BENCH", &parts.join(" ")))
}

/// Runs one of the measurements in a browser on a release build of now; `wanted` tells it what to measure.
fn measured(env: &Env, measurement: &str, wanted: (&str, &str)) -> Result<()> {
    let toolchain = setup::for_build(env)?;
    setup::browser()?;
    build::dist(env, &toolchain, true)?;
    run(env
        .cargo()
        .args(CARGO_TEST)
        .args(["--test", "bench", "--", "--ignored", "--nocapture", "--exact", measurement])
        .env("ESPALIER_DIST", env.dist())
        .env(wanted.0, wanted.1))
}

/// Claims about a GPU, which the page's engines measure in a browser: in software, where it has no other.
pub fn claims_on_the_gpu(env: &Env, args: &[String]) -> Result<()> {
    let ids: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--gpu").collect();
    if ids.is_empty() {
        return Err("name the labs whose claims are about a GPU, e.g. `claims --gpu mobiledets`".into());
    }
    measured(env, "claims_on_the_gpu", ("ESPALIER_CLAIMS", &ids.join(" ")))
}

/// `run` and `claims`: the same machinery as in the page, natively.
pub fn native(env: &Env, command: &str, args: &[String]) -> Result<()> {
    let mut cargo: Command = env.cargo();
    cargo
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "espalier-tests",
            "--bin",
            "espalier",
            "--",
            command,
        ])
        .args(args);
    run(&mut cargo)
}
