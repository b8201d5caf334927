//! The bundles' limits, gzipped.

use espalier_tests::bundles::{Bundle, files, weight};
use std::path::Path;

#[test]
fn bundles_stay_within_their_limits() {
    let Some(dist) = std::env::var_os("ESPALIER_DIST") else {
        eprintln!("skipped: no built page; `cargo xtask test` builds it and runs this");
        return;
    };
    let dist = Path::new(&dist);
    let files = files(dist).unwrap();
    for (path, bundle, size) in &files {
        println!("{size:>9} B gzipped  {bundle:?}  {}", path.strip_prefix(dist).unwrap().display());
    }
    for bundle in Bundle::ALL {
        let size = weight(&files, bundle);
        println!("{}: {size} B", bundle.name());
        assert!(size <= bundle.limit(), "{}: {size} B, over {} B", bundle.name(), bundle.limit());
        match bundle {
            Bundle::Gpu if size == 0 => println!("note: this page was built without its GPU engine"),
            Bundle::Gpu => {}
            _ => assert!(size > 10_000, "the build is incomplete: {} is {size} B", bundle.name()),
        }
    }
}
