//! Three sizes that are often confused, kept apart, all in bytes of weights:
//!
//! * *dense*: as stored, zeros included; what a masked network costs in a plain file;
//! * *compressed*: the real length of a lossless encoding (below), which decodes to the same
//!   weights; what a masked network costs to send. It runs no faster for it;
//! * *shrunk*: dense, after removing the channels that are gone altogether; what is saved in
//!   memory and time too.
//!
//! The encoding: per weight, a bitmap of its non-zero values and those values, where that is
//! shorter than all of them; f32 values by byte planes (all exponents together), which deflate
//! likes better; then DEFLATE (RFC 1951) over the whole.

use super::Groups;
use crate::model::{Model, Storage, Weight};
use crate::{Error, Result};

/// The sizes of a model's weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// As stored, zeros included.
    pub dense_bytes: u64,
    /// Encoded without loss.
    pub compressed_bytes: u64,
    /// Dense, without the channels whose weights are all zero.
    pub shrunk_bytes: u64,
}

impl Sizes {
    /// Measures a model.
    ///
    /// # Errors
    /// The graph is not sound.
    pub fn of(model: &Model) -> Result<Self> {
        let float = model.weights.values().all(|w| matches!(w.storage, Storage::F32(_)));
        let shrunk_bytes = if float { dense_bytes(&remove_dead(model)?) } else { dense_bytes(model) };
        Ok(Self {
            dense_bytes: dense_bytes(model),
            compressed_bytes: compress(model).len() as u64,
            shrunk_bytes,
        })
    }
}

/// Bytes of all weights as stored.
pub fn dense_bytes(model: &Model) -> u64 {
    model.weights.values().map(|w| w.stored_bytes() as u64).sum()
}

/// The model without the channels whose trainable weights are zero throughout.
///
/// # Errors
/// The graph is not sound, or the model is quantized.
pub fn remove_dead(model: &Model) -> Result<Model> {
    let groups = Groups::of(&model.graph)?;
    let dead: Vec<usize> = (0..groups.classes.len())
        .filter(|c| {
            groups.classes[*c].slices.iter().all(|slice| {
                let axis = &groups.axes[slice.axis];
                if !model.graph.params.get(&axis.tensor).is_some_and(|p| p.trainable) {
                    return true;
                }
                let Some(weight) = model.weights.get(&axis.tensor) else { return false };
                let Storage::F32(values) = &weight.storage else { return false };
                super::groups::slice_offsets(&weight.shape, axis.axis, slice.index)
                    .all(|i| values.get(i) == Some(&0.0))
            })
        })
        .collect();
    groups.shrink(model, &groups.removable(&dead))
}

/// Bytes of a weight that go into the file besides its values: scales and zero points.
fn header(weight: &Weight, out: &mut Vec<u8>) {
    if let Storage::Int(packed) = &weight.storage {
        packed.grid.scale.iter().for_each(|s| out.extend(s.to_le_bytes()));
        packed.grid.zero_point.iter().for_each(|z| out.extend(z.to_le_bytes()));
    }
}

/// Byte planes: the first byte of every value, then the second ...
fn planes(values: &[f32], out: &mut Vec<u8>) {
    for byte in 0..4 {
        out.extend(values.iter().map(|v| v.to_le_bytes()[byte]));
    }
}

/// The lossless encoding of a model's weights, in the order of their names.
pub fn compress(model: &Model) -> Vec<u8> {
    let mut raw = Vec::new();
    for weight in model.weights.values() {
        header(weight, &mut raw);
        match &weight.storage {
            Storage::Int(packed) => raw.extend(&packed.bytes),
            Storage::F32(values) => {
                // The bits decide: minus zero is a value.
                let full: Vec<bool> = values.iter().map(|v| v.to_bits() != 0).collect();
                let kept: Vec<f32> = values.iter().copied().filter(|v| v.to_bits() != 0).collect();
                let sparse = kept.len() * 4 + values.len().div_ceil(8) < values.len() * 4;
                raw.push(u8::from(sparse));
                if sparse {
                    raw.extend(super::pack_mask(&full));
                    planes(&kept, &mut raw);
                } else {
                    planes(values, &mut raw);
                }
            }
        }
    }
    miniz_oxide::deflate::compress_to_vec(&raw, 9)
}

/// Puts weights that [`compress`] encoded back into a model of the same graph and storage.
///
/// # Errors
/// The bytes are not of this model.
pub fn decompress(bytes: &[u8], model: &mut Model) -> Result<()> {
    let wrong = || Error::format("compressed weights", "they are damaged, or of another network");
    let raw = miniz_oxide::inflate::decompress_to_vec(bytes).map_err(|_| wrong())?;
    let mut at = 0;
    let mut take = |n: usize| {
        let part = raw.get(at..at + n).ok_or_else(wrong)?;
        at += n;
        Ok::<&[u8], Error>(part)
    };
    let word = |b: &[u8]| <[u8; 4]>::try_from(b).unwrap_or_default();
    for weight in model.weights.values_mut() {
        match &mut weight.storage {
            Storage::Int(packed) => {
                for scale in &mut packed.grid.scale {
                    *scale = f32::from_le_bytes(word(take(4)?));
                }
                for zero in &mut packed.grid.zero_point {
                    *zero = i32::from_le_bytes(word(take(4)?));
                }
                let n = packed.bytes.len();
                packed.bytes.copy_from_slice(take(n)?);
            }
            Storage::F32(values) => {
                let sparse = take(1)?[0] == 1;
                let map = if sparse { take(values.len().div_ceil(8))? } else { &[] };
                let full = |i: usize| !sparse || map[i / 8] >> (i % 8) & 1 == 1;
                let count = (0..values.len()).filter(|i| full(*i)).count();
                let bytes = take(4 * count)?;
                let mut nth = 0;
                for (i, value) in values.iter_mut().enumerate() {
                    *value = 0.0;
                    if full(i) {
                        *value = f32::from_le_bytes([0, 1, 2, 3].map(|b| bytes[b * count + nth]));
                        nth += 1;
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder};
    use crate::prune::{Budget, Scope, criteria, select};
    use crate::quant::{Scheme, post_training::quantize_weights};

    fn model() -> Model {
        let mut b = GraphBuilder::new("g", &[2, 8, 8]);
        let x = b.input();
        let a = b.conv(&x, 16, 3, ConvOptions { bias: true, ..ConvOptions::default() }).unwrap();
        let a = b.unary("Relu", &a).unwrap();
        let y = b.conv(&a, 4, 3, ConvOptions { bias: true, ..ConvOptions::default() }).unwrap();
        Model::init(b.finish(&y).unwrap(), 3)
    }

    #[test]
    fn the_sizes_say_different_things() {
        let model = model();
        let l1 = criteria::get("magnitude-l1").unwrap();
        let whole = Sizes::of(&model).unwrap();
        assert_eq!(whole.dense_bytes, 4 * (2 * 16 * 9 + 16 + 16 * 4 * 9 + 4));
        // Unstructured: the file shrinks, the network does not.
        let sparse = Sizes::of(&select::weights(l1, &model, 0.8, Scope::Global, 0).unwrap()).unwrap();
        assert_eq!((sparse.dense_bytes, sparse.shrunk_bytes), (whole.dense_bytes, whole.dense_bytes));
        assert!(sparse.compressed_bytes * 3 < whole.compressed_bytes, "{sparse:?} {whole:?}");
        // Structured: both do.
        let groups = Groups::of(&model.graph).unwrap();
        let gone = select::channels(l1, &model, &groups, (Budget::Channels, 0.5), (Scope::Global, false), 0)
            .unwrap();
        let half = Sizes::of(&groups.mask(&model, &gone).unwrap()).unwrap();
        assert_eq!(half.dense_bytes, whole.dense_bytes);
        assert_eq!(half.shrunk_bytes, dense_bytes(&groups.shrink(&model, &gone).unwrap()));
        assert_eq!(half.shrunk_bytes, 4 * (2 * 8 * 9 + 8 + 8 * 4 * 9 + 4));
        assert!(half.compressed_bytes < whole.compressed_bytes);
    }

    #[test]
    fn the_encoding_is_lossless_and_says_when_it_is_damaged() {
        let l1 = criteria::get("magnitude-l1").unwrap();
        let sparse = select::weights(l1, &model(), 0.7, Scope::Layer, 0).unwrap();
        for model in [model(), quantize_weights(&sparse, &Scheme::int8()).unwrap(), sparse] {
            let bytes = compress(&model);
            let mut back = model.clone();
            for weight in back.weights.values_mut() {
                match &mut weight.storage {
                    Storage::F32(v) => v.fill(7.0),
                    Storage::Int(p) => p.bytes.fill(7),
                }
            }
            decompress(&bytes, &mut back).unwrap();
            assert_eq!(back, model);
            assert!(decompress(&bytes[..bytes.len() / 2], &mut back).is_err());
        }
    }
}
