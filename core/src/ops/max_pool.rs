//! MaxPool: the largest value in each window. ONNX MaxPool-22, 2-D, without the indices output.

use super::window::{self, window};
use super::{Call, Kind, Operator, Ties};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct MaxPool;

/// What padding counts as: smaller than any finite value, and finite, because not every shading
/// language can write an infinity.
const PADDING: f32 = f32::MIN;

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "MaxPool"
    }
    fn summary(&self) -> &'static str {
        "Keeps the largest value of each small window and so shrinks the image."
    }
    fn kind(&self) -> Kind {
        Kind::Pool
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        if node.outputs.len() > 1 {
            return Err(Error::shape(node, "the second output (the indices of the maxima) is not made here"));
        }
        let g = window(node, inputs[0])?;
        Ok(vec![vec![inputs[0][0], inputs[0][1], g.out[0], g.out[1]]])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok(g) = window(call.node, call.inputs[0]) else { return };
        let planes = inputs[0].chunks_exact(g.input[0] * g.input[1]);
        for (plane, out) in planes.zip(outputs[0].chunks_exact_mut(g.out[0] * g.out[1])) {
            for oy in 0..g.out[0] {
                for ox in 0..g.out[1] {
                    let mut max = PADDING;
                    for y in g.places(0, oy) {
                        for x in g.places(1, ox) {
                            let value = plane[y * g.input[1] + x];
                            // NaN stays visible.
                            if value > max || value.is_nan() {
                                max = value;
                            }
                        }
                    }
                    out[oy * g.out[1] + ox] = max;
                }
            }
        }
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        use burn::tensor::{module::max_pool2d, ops::MaxPoolOptions};
        let g = window(call.node, call.inputs[0])?;
        let x = super::required(call.node, inputs, 0)?
            .r4()
            .ok_or_else(|| Error::shape(call.node, "2-D pooling takes a tensor of rank 4"))?;
        let options = MaxPoolOptions::new(g.kernel).with_stride(g.strides).with_dilation(g.dilations);
        let y = if g.symmetric() {
            max_pool2d(x, options.with_padding(g.begin))
        } else {
            max_pool2d(g.pad(x, PADDING), options)
        };
        Ok(vec![super::Value::R4(y)])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        window::ties(call, ties);
    }
}
