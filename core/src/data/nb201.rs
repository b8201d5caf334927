//! The table of NAS-Bench-201 as a file of the visitor's; see [`crate::search::tabular`].

use super::Dataset;
use crate::Result;
use crate::search::tabular::Table;
use std::sync::Arc;

/// Whether CSV text is meant as this table: its header names a cell and an accuracy of it.
pub fn is_meant(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let header = String::from_utf8_lossy(line);
    let has = |key: &str| header.trim_start_matches('\u{feff}').split(',').any(|c| c.trim().starts_with(key));
    has("cell") && has("c10_")
}

/// Reads it: a data set without samples.
///
/// # Errors
/// As [`Table::parse`].
pub(super) fn open(name: &str, bytes: &[u8]) -> Result<Dataset> {
    let table = Table::parse(name, &String::from_utf8_lossy(bytes))?;
    Ok(Dataset {
        name: name.into(),
        shape: Vec::new(),
        inputs: Vec::new(),
        labels: Vec::new(),
        classes: Vec::new(),
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
        table: Some(Arc::new(table)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_told_from_a_data_set_and_opened() {
        let text =
            "cell,c10_val_200ep,c10_test_200ep\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,10,11\n";
        assert!(is_meant(text.as_bytes()) && is_meant(b"index,cell,params_M,c10_val_200ep\r\n"));
        assert!(!is_meant(b"cells,x,class\n1,2,3\n") && !is_meant(b""));
        let set = Dataset::open("t.csv", "nb201", text.as_bytes()).unwrap();
        assert_eq!(set.table.unwrap().iter().count(), 1);
        assert!(set.train.is_empty() && set.inputs.is_empty());
        let error = Dataset::open("t.csv", "nb201", b"cell,c10_val_12ep\n").unwrap_err().to_string();
        assert!(error.contains("c10_val_200ep") && error.contains("t.csv"), "{error}");
    }
}
