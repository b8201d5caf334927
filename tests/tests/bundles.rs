//! The bundles' limits, gzipped.

use std::io::Write;
use std::path::Path;

/// What the page with its CSS and first data should weigh.
const PAGE_GOAL: u64 = 250 * 1024;

/// What it may not grow beyond until it meets its goal: only ever lowered.
const PAGE_LIMIT: u64 = 410 * 1024;

/// The same for the CPU engine.
const ENGINE_GOAL: u64 = 1300 * 1024;
const ENGINE_LIMIT: u64 = ENGINE_GOAL;

fn gzipped(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&bytes).unwrap();
    encoder.finish().unwrap().len() as u64
}

#[test]
fn bundles_stay_within_their_limits() {
    let Some(dist) = std::env::var_os("ESPALIER_DIST") else {
        eprintln!("skipped: no built page; `cargo xtask test` builds it and runs this");
        return;
    };
    let dist = Path::new(&dist);
    let mut page = 0;
    let mut engine = 0;
    let mut gpu = 0;
    let mut files: Vec<_> =
        std::fs::read_dir(dist).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    for folder in ["static", "static/data", "data"] {
        if let Ok(entries) = std::fs::read_dir(dist.join(folder)) {
            files.extend(entries.map(|e| e.unwrap().path()).filter(|p| p.is_file()));
        }
    }
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let size = gzipped(&file);
        println!("{size:>9} B gzipped  {}", file.strip_prefix(dist).unwrap().display());
        if name.starts_with("engine") {
            engine += size;
        } else if name.starts_with("gpu") {
            gpu += size;
        } else {
            page += size;
        }
    }
    println!("page {page} B, CPU engine {engine} B, GPU engine {gpu} B");
    assert!(page > 10_000 && engine > 100_000, "the build is incomplete");
    assert!(page <= PAGE_LIMIT, "page with CSS and first data: {page} B gzipped, over {PAGE_LIMIT} B");
    if page > PAGE_GOAL {
        println!("note: the page is {page} B gzipped; its goal of {PAGE_GOAL} B is not met yet");
    }
    assert!(engine <= ENGINE_LIMIT, "CPU engine: {engine} B gzipped, over {ENGINE_LIMIT} B");
    if engine > ENGINE_GOAL {
        println!("note: the CPU engine is {engine} B gzipped; its goal of {ENGINE_GOAL} B is not met yet");
    }
    if gpu == 0 {
        println!("note: this page was built without its GPU engine");
    }
    assert!(gpu <= 4 * 1024 * 1024, "GPU engine: {gpu} B gzipped, over 4 MiB");
}
