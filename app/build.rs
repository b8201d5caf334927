//! What is later split into two modules must keep its relocations.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let wasm = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    if wasm && std::env::var_os("CARGO_FEATURE_PAGE").is_some() {
        println!("cargo:rustc-link-arg-bin=page=--emit-relocs");
    }
}
