//! The bundles' limits, gzipped.

use std::io::Write;
use std::path::Path;

/// The page with its CSS and first data: everything that is fetched before and for the first picture.
const PAGE_LIMIT: u64 = 250 * 1024;

/// What follows the first picture, beside the engine: the page's second module (`app/src/later.rs`), the data that
/// the engine learns from, the labs' report.
const LATER_LIMIT: u64 = 250 * 1024;

/// The CPU engine.
const ENGINE_LIMIT: u64 = 1300 * 1024;

/// The GPU engine.
const GPU_LIMIT: u64 = 4 * 1024 * 1024;

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
    let (mut page, mut later, mut engine, mut gpu) = (0, 0, 0, 0);
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
        } else if name.contains("_later.") || ["digits.bin", "claims.json"].contains(&name.as_str()) {
            later += size;
        } else {
            page += size;
        }
    }
    println!("page {page} B, after it {later} B, CPU engine {engine} B, GPU engine {gpu} B");
    assert!(page > 10_000 && later > 10_000 && engine > 100_000, "the build is incomplete");
    if gpu == 0 {
        println!("note: this page was built without its GPU engine");
    }
    let limits = [
        ("the page with CSS and first data", page, PAGE_LIMIT),
        ("what follows the first picture", later, LATER_LIMIT),
        ("the CPU engine", engine, ENGINE_LIMIT),
        ("the GPU engine", gpu, GPU_LIMIT),
    ];
    for (what, size, limit) in limits {
        assert!(size <= limit, "{what}: {size} B gzipped, over {limit} B");
    }
}
