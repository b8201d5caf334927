//! `digits`: the shipped handwritten digits, in the compact form that `static/data/README.md`
//! describes: records of 64 pixels of an 8×8 image (0 to 16, row by row) and the label.
//!
//! E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
//! Repository, 1998.

use super::Dataset;
use super::split::Samples;
use crate::{Error, Result};

const PIXELS: usize = 64;
const RECORD: usize = PIXELS + 1;
const WHITE: u8 = 16;

/// Reads the records; pixels are scaled to [0, 1].
///
/// # Errors
/// The length is not one of whole records, or a pixel or a label is out of range.
pub(super) fn open(name: &str, bytes: &[u8]) -> Result<Dataset> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
        return Err(Error::format(
            name,
            format!(
                "{} bytes are not whole records of {RECORD} (64 pixels and a label); the file is cut short or another one",
                bytes.len()
            ),
        ));
    }
    let mut inputs = Vec::with_capacity(bytes.len() / RECORD * PIXELS);
    let mut labels = Vec::with_capacity(bytes.len() / RECORD);
    for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
        let (pixels, label) = record.split_at(PIXELS);
        if let Some(p) = pixels.iter().position(|v| *v > WHITE) {
            return Err(Error::format(
                name,
                format!("record {i}: pixel {p} is {}; 0 to {WHITE} belong there", pixels[p]),
            ));
        }
        if label[0] > 9 {
            return Err(Error::format(
                name,
                format!("record {i}: its label is {}; 0 to 9 belong there", label[0]),
            ));
        }
        inputs.extend(pixels.iter().map(|v| f32::from(*v) / f32::from(WHITE)));
        labels.push(u32::from(label[0]));
    }
    let classes = (0..10).map(|d| d.to_string()).collect();
    Samples { name: name.into(), shape: vec![1, 8, 8], inputs, labels, classes }.split()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::order::Order;

    const FILE: &[u8] = include_bytes!("../../../static/data/digits.bin");

    #[test]
    fn the_shipped_file_splits_1197_300_300_and_stratified() {
        let data = open("digits", FILE).unwrap();
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (1197, 300, 300));
        assert_eq!(data.shape, [1, 8, 8]);
        let mut all: Vec<u32> = [&data.train[..], &data.validation, &data.test].concat();
        all.order();
        assert_eq!(all, (0..1797).collect::<Vec<_>>(), "every sample is in exactly one split");
        for split in [Split::Validation, Split::Test] {
            for class in 0..10 {
                let n = data.split(split).iter().filter(|i| data.labels[**i as usize] == class).count();
                assert!((28..=32).contains(&n), "{split:?}: class {class} has {n} of 300");
            }
        }
        assert!(data.inputs.iter().all(|v| (0.0..=1.0).contains(v)));
        assert_eq!(open("digits", FILE).unwrap(), data);
    }

    #[test]
    fn bad_files_are_answered_with_the_place() {
        let message = |bytes: &[u8]| open("digits", bytes).unwrap_err().to_string();
        assert!(message(&FILE[..1000]).contains("1000 bytes are not whole records"));
        let mut file = FILE.to_vec();
        file[65 * 3 + 7] = 99;
        assert!(message(&file).contains("record 3: pixel 7 is 99"));
        let mut file = FILE.to_vec();
        file[65 * 5 + 64] = 10;
        assert!(message(&file).contains("record 5: its label is 10"));
    }
}
