//! The shipped data against its source, and real tables.

use espalier_core::data::Dataset;
use espalier_tests::shared;
use std::io::Read;

const DIGITS: &[u8] = include_bytes!("../../static/data/digits.bin");

#[test]
fn the_shipped_digits_are_those_of_the_source() {
    let Some(path) = shared("data/digits.csv.gz") else { return };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let numbers: Vec<u8> = text
        .split([',', '\n'])
        .filter(|f| !f.trim().is_empty())
        .map(|f| f.trim().parse::<f32>().unwrap() as u8)
        .collect();
    assert_eq!(numbers, DIGITS);
}

#[test]
fn tables_as_scikit_learn_ships_them() {
    for (name, rows, features, classes) in [
        ("iris", 150, 4, vec!["setosa", "versicolor", "virginica"]),
        ("wine_data", 178, 13, vec!["class_0", "class_1", "class_2"]),
        ("breast_cancer", 569, 30, vec!["malignant", "benign"]),
    ] {
        let Some(path) = shared(&format!("data/{name}.csv")) else { return };
        let data = Dataset::open(name, "csv", &std::fs::read(path).unwrap()).unwrap();
        assert_eq!(data.labels.len(), rows, "{name}");
        assert_eq!(data.shape, [features], "{name}");
        assert_eq!(data.classes, classes, "{name}");
        assert_eq!(data.train.len() + data.validation.len() + data.test.len(), rows, "{name}");
    }
}

#[test]
fn an_unknown_format_is_answered_with_the_known_ones() {
    let message = Dataset::open("x", "xlsx", &[]).unwrap_err().to_string();
    assert!(message.contains("csv, digits, idx"), "{message}");
}
