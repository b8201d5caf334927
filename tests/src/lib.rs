//! Shared by the tests: where reference data is, and how a test says that it was skipped.

pub mod bundles;
pub mod cases;
pub mod claims;
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

/// Spearman's rank correlation of two lists of equal length; not a number where one does not vary.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    espalier_core::rank::spearman(a, b).unwrap_or(f64::NAN)
}
