//! Shared by the tests: where reference data is, and how a test says that it was skipped.

pub mod bundles;
pub mod cases;
pub mod pool;

use std::path::PathBuf;

/// The folder of external reference data, where this checkout has one beside it
/// (`../shared/reference`). Tests that need it call this, and say that they were skipped when it
/// is absent.
pub fn reference(name: &str) -> Option<PathBuf> {
    shared(&format!("reference/{name}"))
}

/// A file of the folder `../shared`, where this checkout has one beside it; else says that what
/// needs it was skipped.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: `shared/{name}` is not beside this checkout");
    None
}

/// Ranks from 0; equals share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |v: &f64| values.iter().filter(|o| *o < v).count() as f64;
    let equal = |v: &f64| values.iter().filter(|o| *o == v).count() as f64;
    values.iter().map(|v| below(v) + (equal(v) - 1.0) / 2.0).collect()
}

/// Spearman's rank correlation of two lists of equal length.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}
