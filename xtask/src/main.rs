//! `cargo xtask <command>`: everything a person or CI does with this repository.
//!
//! Standard library only, so that the first command on a fresh machine compiles in seconds.

mod build;
mod env;
mod http;
mod setup;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  setup               install what is missing: a Wasm toolchain, Trunk, wasm-bindgen, Chromium
  build [--no-gpu]    leave a dist/ that any static host can serve from any sub-path
  serve [--port N] [--no-gpu]
                      build, then serve the page on this machine (default port 8080)
  test [--no-browser] set up, build, and run every test: native and in headless Chromium
  bench [parts]       measure in headless Chromium on the release build; prints one table
                      (parts: sizes, page, search, quality, kernels; all of them by default)
  run CONFIG.json     run a search or a lab natively; prints its events as JSON lines
  claims [ids]        run labs natively over several seeds and write the report the gallery shows
  claims --gpu ids    the same of claims about a GPU, by the page's engines in headless Chromium

Environment:
  ESPALIER_CACHE      folder for tools and compiled code (default ~/.cache/espalier)
  ESPALIER_WASM=debian
                      compile Wasm with Debian's rustc-web and a `std` built from its source, as
                      happens by itself where rustup cannot fetch the wasm32 target
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|a| a == flag);
    let value =
        |flag: &str| args.iter().position(|a| a == flag).and_then(|i| args.get(i + 1)).map(String::as_str);
    let env = env::Env::detect();
    let result = match args.first().map(String::as_str) {
        Some("setup") => setup::all(&env),
        Some("build") => setup::for_build(&env).and_then(|t| build::dist(&env, &t, !has("--no-gpu"))),
        Some("serve") => match value("--port").unwrap_or("8080").parse() {
            Ok(port) => setup::for_build(&env)
                .and_then(|t| build::dist(&env, &t, !has("--no-gpu")))
                .and_then(|()| http::serve(&env.dist(), port)),
            Err(_) => Err("--port needs a number between 1 and 65535".into()),
        },
        Some("test") => test::all(&env, !has("--no-browser")),
        Some("bench") => test::bench(&env, &args[1..]),
        Some("claims") if has("--gpu") => test::claims_on_the_gpu(&env, &args[1..]),
        Some(command @ ("run" | "claims")) => test::native(&env, command, &args[1..]),
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(format!("there is no command `{other}`.\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
