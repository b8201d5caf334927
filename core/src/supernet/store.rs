//! The shared tensors, and the pieces of them that are a subnet's weights.

use crate::map_value;
use crate::model::Weight;
use crate::ops::Value;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The shared weights of a supernet, by place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Store {
    /// Dense tensors.
    pub weights: BTreeMap<String, Weight>,
}

/// A box cut out of a shared tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The shared tensor.
    pub place: String,
    /// Where it starts on each axis; its lengths are those of the parameter's shape.
    pub start: Vec<usize>,
    /// Whether it is the whole tensor.
    pub whole: bool,
}

/// The rule of slices: of outputs and inputs (the first two axes) the leading ones, of what comes after
/// them, a kernel's height and width, the centre. Yu et al., "BigNAS", arXiv:2003.11142, section 3.1;
/// Cai et al., "Once-for-All", ICLR 2020, take kernels likewise. `None` where the shape is no part of
/// the shared one, or a kernel of it has no centre.
pub(super) fn piece(place: &str, shared: &[usize], shape: &[usize]) -> Option<Piece> {
    if shared.len() != shape.len() {
        return None;
    }
    let mut start = Vec::with_capacity(shape.len());
    for (axis, (all, part)) in shared.iter().zip(shape).enumerate() {
        let rest = all.checked_sub(*part)?;
        if axis >= 2 && rest % 2 == 1 {
            return None;
        }
        start.push(if axis < 2 { 0 } else { rest / 2 });
    }
    Some(Piece { place: place.into(), start, whole: shared == shape })
}

impl Piece {
    /// The piece of host values, row-major.
    pub fn take(&self, values: &[f32], shared: &[usize], shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        let mut taken = Vec::with_capacity(count);
        let mut at = vec![0; shape.len()];
        for _ in 0..count {
            let index = shared.iter().zip(&self.start).zip(&at).fold(0, |i, ((n, s), a)| i * n + s + a);
            taken.push(values.get(index).copied().unwrap_or(0.0));
            for axis in (0..at.len()).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        taken
    }

    /// The piece of a tensor on the device; gradients flow back into the tensor.
    pub(super) fn slice(&self, shared: &Value, shape: &[usize]) -> Value {
        if self.whole {
            return shared.clone();
        }
        let ends = self.start.iter().zip(shape);
        let ranges: Vec<std::ops::Range<usize>> = ends.map(|(s, n)| *s..s + n).collect();
        map_value!(shared.clone(), t => t.slice(ranges.as_slice()))
    }
}
