//! Geometry of the pooling operators' windows, shared by MaxPool and AveragePool.

use super::conv::{padding, pair};
use super::{Call, Slot, Ties};
use crate::model::Node;
use crate::{Error, Result};

/// Geometry of a 2-D pooling window, all axes as (height, width).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Kernel size.
    pub kernel: [usize; 2],
    /// Strides.
    pub strides: [usize; 2],
    /// Dilations.
    pub dilations: [usize; 2],
    /// Padding before the first row and column.
    pub begin: [usize; 2],
    /// Padding after the last row and column, as the node states it.
    pub end: [usize; 2],
    /// Rows and columns beyond the input's end that the last windows touch: at most `end` without
    /// `ceil_mode`, and more with it.
    pub reach: [usize; 2],
    /// Input size.
    pub input: [usize; 2],
    /// Output size.
    pub out: [usize; 2],
}

/// The geometry of a pooling node on N, C, H, W.
///
/// # Errors
/// Names what does not fit, with the shapes.
pub fn window(node: &Node, x: &[usize]) -> Result<Window> {
    let [_, _, h, w] = x else {
        return Err(Error::shape(node, format!("input {x:?}: 2-D pooling takes N, C, H, W")));
    };
    let input = [*h, *w];
    if node.ints("kernel_shape").is_none() {
        return Err(Error::shape(node, "the attribute kernel_shape is missing"));
    }
    let kernel = pair(node, "kernel_shape", [1, 1])?;
    let strides = pair(node, "strides", [1, 1])?;
    let dilations = pair(node, "dilations", [1, 1])?;
    let span = [0, 1].map(|i| (kernel[i] - 1).saturating_mul(dilations[i]).saturating_add(1));
    let [top, left, bottom, right] = padding(node, input, span, strides)?;
    let (begin, end) = ([top, left], [bottom, right]);
    let ceil = node.int("ceil_mode", 0) != 0;
    let same = node.str("auto_pad", "NOTSET").starts_with("SAME");
    let (mut out, mut reach) = ([0; 2], [0; 2]);
    for i in 0..2 {
        let padded = input[i] + begin[i] + end[i];
        if input[i] == 0 || padded < span[i] {
            return Err(Error::shape(
                node,
                format!("a window of {span:?} does not fit into {x:?} with padding {begin:?} and {end:?}"),
            ));
        }
        // A window of padding alone has no maximum and no mean.
        if !same && (begin[i] >= span[i] || end[i] >= span[i]) {
            return Err(Error::shape(
                node,
                format!("padding {begin:?} and {end:?} must be smaller than the window {span:?}"),
            ));
        }
        let steps = padded - span[i];
        out[i] = if ceil { steps.div_ceil(strides[i]) } else { steps / strides[i] } + 1;
        if ceil && (out[i] - 1) * strides[i] >= input[i] + begin[i] {
            // The last window would start in the padding.
            out[i] -= 1;
        }
        reach[i] = ((out[i] - 1) * strides[i] + span[i]).saturating_sub(input[i] + begin[i]);
    }
    Ok(Window { kernel, strides, dilations, begin, end, reach, input, out })
}

impl Window {
    /// The places along axis `i` (0 is height) inside the input that window `o` looks at.
    pub fn places(&self, i: usize, o: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (start, begin, input) = (o * self.strides[i], self.begin[i], self.input[i]);
        let step = self.dilations[i];
        (0..self.kernel[i]).map(move |k| (start + k * step).wrapping_sub(begin)).filter(move |p| *p < input)
    }

    /// How many places along axis `i` window `o` counts when padding is included: what lies
    /// within the stated padding, not what `ceil_mode` adds beyond it.
    pub fn padded_places(&self, i: usize, o: usize) -> usize {
        let limit = self.input[i] + self.begin[i] + self.end[i];
        (0..self.kernel[i]).filter(|k| o * self.strides[i] + k * self.dilations[i] < limit).count()
    }

    /// Whether Burn's own padding does: alike on both sides, and no window goes beyond it.
    #[cfg(feature = "compute")]
    pub fn symmetric(&self) -> bool {
        self.begin == self.end && self.reach[0] <= self.end[0] && self.reach[1] <= self.end[1]
    }

    /// The input with exactly the padding that the windows touch.
    #[cfg(feature = "compute")]
    pub fn pad(&self, x: burn::tensor::Tensor<4>, value: f32) -> burn::tensor::Tensor<4> {
        let ([top, left], [bottom, right]) = (self.begin, self.reach);
        if [top, left, bottom, right] == [0; 4] {
            return x;
        }
        x.pad((left, right, top, bottom), burn::tensor::ops::PadMode::Constant(value))
    }
}

/// Channels pass through a pool unmixed; rows and columns do not.
pub fn ties(call: &Call, ties: &mut Ties) {
    let x = call.inputs[0];
    for (axis, len) in x.iter().enumerate().take(2) {
        ties.same((Slot::In(0), axis), (Slot::Out(0), axis), *len);
    }
    for axis in 2..x.len() {
        ties.lock(Slot::In(0), axis);
        ties.lock(Slot::Out(0), axis);
    }
}
