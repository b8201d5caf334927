//! `idx`: the format of MNIST (LeCun, Cortes and Burges; <http://yann.lecun.com/exdb/mnist>): two
//! zero bytes, a type code, the number of axes, each axis' length as a big-endian u32, the values.
//!
//! Samples and labels are two files there. Here they come as one: the two one after the other, in
//! either order. The one with a single axis is the labels.

use super::Dataset;
use super::split::Samples;
use crate::order::Order;
use crate::{Error, Result};

/// As many values as a browser's worker holds without trouble (256 MiB as f32).
const MOST_VALUES: usize = 1 << 26;

struct Array {
    dims: Vec<usize>,
    values: Vec<f32>,
    bytes: bool,
}

/// Reads two arrays; unsigned bytes are scaled to [0, 1], floats are taken as they are. Samples of
/// two axes become one channel; of three, channels first.
///
/// # Errors
/// Says which of the two breaks, at which byte, and what was expected there.
pub(super) fn open(name: &str, bytes: &[u8]) -> Result<Dataset> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Error::format(name, "it is compressed (gzip); unpack it first"));
    }
    let mut rest = bytes;
    let first = array(name, bytes.len(), &mut rest)?;
    if rest.is_empty() {
        let missing = if first.dims.len() == 1 { "samples" } else { "labels" };
        return Err(Error::format(
            name,
            format!("there are no {missing}: give the image file and the label file together"),
        ));
    }
    let second = array(name, bytes.len(), &mut rest)?;
    if !rest.is_empty() {
        return Err(Error::format(
            name,
            format!("{} bytes are left over after samples and labels", rest.len()),
        ));
    }
    let (samples, labels) = if first.dims.len() == 1 { (second, first) } else { (first, second) };
    if labels.dims.len() != 1 || samples.dims.len() < 2 {
        return Err(Error::format(
            name,
            format!(
                "the two arrays are {:?} and {:?}: one of labels (one axis) and one of samples (more) belong there",
                samples.dims, labels.dims
            ),
        ));
    }
    if labels.dims[0] != samples.dims[0] {
        return Err(Error::format(
            name,
            format!("{} samples but {} labels", samples.dims[0], labels.dims[0]),
        ));
    }
    if !labels.bytes {
        return Err(Error::format(name, "labels must be unsigned bytes (type code 0x08)"));
    }
    let inputs = if samples.bytes {
        samples.values.iter().map(|v| v / 255.0).collect()
    } else {
        if let Some(i) = samples.values.iter().position(|v| !v.is_finite()) {
            return Err(Error::format(name, format!("value {i} of the samples is not a finite number")));
        }
        samples.values
    };
    let shape = match samples.dims[1..] {
        [features] => vec![features],
        [h, w] => vec![1, h, w],
        ref more => more.to_vec(),
    };
    let labels: Vec<u32> = labels.values.iter().map(|v| *v as u32).collect();
    // Labels that never occur in between (1 to 26 for letters) are no classes.
    let mut present = labels.clone();
    present.order();
    present.dedup();
    let labels = labels.iter().map(|l| present.partition_point(|p| p < l) as u32).collect();
    let classes = present.iter().map(u32::to_string).collect();
    Samples { name: name.into(), shape, inputs, labels, classes }.split()
}

fn array(name: &str, total: usize, rest: &mut &[u8]) -> Result<Array> {
    let start = total - rest.len();
    let [0, 0, code, axes, tail @ ..] = *rest else {
        let seen = &rest[..rest.len().min(4)];
        return Err(Error::format(
            name,
            format!("at byte {start}: {seen:02x?} where an IDX array begins with 00 00, a type and its axes"),
        ));
    };
    let width = match code {
        0x08 => 1,
        0x0d => 4,
        0x0e => 8,
        other => {
            return Err(Error::format(
                name,
                format!(
                    "at byte {}: type code 0x{other:02x}; unsigned bytes (0x08) and floats (0x0d, 0x0e) can be read",
                    start + 2
                ),
            ));
        }
    };
    let axes = usize::from(*axes);
    if !(1..=4).contains(&axes) {
        return Err(Error::format(name, format!("at byte {}: {axes} axes; 1 to 4 belong there", start + 3)));
    }
    if tail.len() < 4 * axes {
        return Err(Error::format(name, format!("it ends at byte {total}, amid the axes' lengths")));
    }
    let (lengths, tail) = tail.split_at(4 * axes);
    let dims: Vec<usize> =
        lengths.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();
    let count = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MOST_VALUES);
    let Some(count) = count.filter(|n| *n > 0) else {
        return Err(Error::format(
            name,
            format!("at byte {}: an array of {dims:?}; 1 to {MOST_VALUES} values can be read", start + 4),
        ));
    };
    if tail.len() < count * width {
        return Err(Error::format(
            name,
            format!(
                "it is cut short: an array of {dims:?} takes {} bytes, and {} are left",
                count * width,
                tail.len()
            ),
        ));
    }
    let (data, tail) = tail.split_at(count * width);
    let values = match width {
        1 => data.iter().map(|v| f32::from(*v)).collect(),
        4 => data.chunks_exact(4).map(|b| f32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect(),
        _ => data
            .chunks_exact(8)
            .map(|b| f64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
    };
    *rest = tail;
    Ok(Array { dims, values, bytes: width == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, dims.len() as u8];
        dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn images(n: u32) -> Vec<u8> {
        let pixels: Vec<u8> = (0..n * 6).map(|i| (i * 37 % 256) as u8).collect();
        file(8, &[n, 2, 3], &pixels)
    }

    fn labels(n: u32) -> Vec<u8> {
        file(8, &[n], &(0..n).map(|i| (i % 2 * 3) as u8).collect::<Vec<_>>())
    }

    #[test]
    fn reads_both_orders() {
        let a = open("mine", &[images(24), labels(24)].concat()).unwrap();
        let b = open("mine", &[labels(24), images(24)].concat()).unwrap();
        assert_eq!(a, b);
        assert_eq!((a.shape.as_slice(), a.inputs.len()), (&[1usize, 2, 3][..], 144));
        assert_eq!(a.inputs[1], 37.0 / 255.0);
        assert_eq!((a.labels[1], a.classes.clone()), (1, vec!["0".to_owned(), "3".into()]));
    }

    #[test]
    fn bad_files_are_answered_with_the_place() {
        let message = |bytes: &[u8]| open("mine", bytes).unwrap_err().to_string();
        let good = [images(24), labels(24)].concat();
        assert!(message(b"label,a\n1,2").contains("at byte 0"));
        assert!(message(&[]).contains("at byte 0"));
        assert!(message(&images(24)).contains("there are no labels"));
        assert!(message(&labels(24)).contains("there are no samples"));
        assert!(message(&good[..40]).contains("cut short"));
        assert!(message(&good[..good.len() - 1]).contains("cut short"));
        assert!(message(&good[..10]).contains("amid the axes"));
        assert!(message(&[good.clone(), vec![0]].concat()).contains("1 bytes are left over"));
        assert!(message(&[images(24), labels(23)].concat()).contains("24 samples but 23 labels"));
        assert!(message(&file(9, &[2], &[0, 0])).contains("type code 0x09"));
        assert!(message(&file(8, &[u32::MAX, u32::MAX, u32::MAX], &[])).contains("an array of"));
        assert!(message(&[0x1f, 0x8b, 8, 0]).contains("gzip"));
        let one = file(8, &[24], &[7; 24]);
        assert!(message(&[images(24), one].concat()).contains("1 class (7)"));
        let nan: Vec<u8> = std::iter::repeat_n(f32::NAN.to_be_bytes(), 48).flatten().collect();
        assert!(message(&[file(13, &[24, 2], &nan), labels(24)].concat()).contains("not a finite number"));
    }
}
