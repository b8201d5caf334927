//! Softmax along one axis. ONNX Softmax-13.

use super::{Call, Constant, Kind, Operator, Slot, Ties, axis};
use crate::model::{Attr, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Softmax;

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "Softmax"
    }
    fn summary(&self) -> &'static str {
        "Turns scores into shares that are positive and sum to one."
    }
    fn kind(&self) -> Kind {
        Kind::Activation
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let x = inputs[0];
        let axis = axis(node, node.int("axis", -1), x.len())?;
        if node.int("flatten", 0) != 0 && x[axis + 1..].iter().any(|n| *n != 1) {
            return Err(Error::shape(
                node,
                format!(
                    "input {x:?}: before opset 13, Softmax takes all axes from {axis} on as one, which is not done here"
                ),
            ));
        }
        Ok(vec![x.to_vec()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let shape = call.inputs[0];
        let Ok(axis) = axis(call.node, call.node.int("axis", -1), shape.len()) else { return };
        let (len, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
        if len * inner == 0 {
            return;
        }
        let blocks = inputs[0].chunks_exact(len * inner);
        for (x, out) in blocks.zip(outputs[0].chunks_exact_mut(len * inner)) {
            for i in 0..inner {
                let lane = || (i..len * inner).step_by(inner);
                // The largest score is taken off first, so that no exponential overflows.
                let max = lane().map(|j| x[j]).fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for j in lane() {
                    out[j] = (x[j] - max).exp();
                    sum += out[j];
                }
                for j in lane() {
                    out[j] /= sum;
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
        let axis = axis(call.node, call.node.int("axis", -1), call.inputs[0].len())?;
        let x = super::required(call.node, inputs, 0)?;
        Ok(vec![crate::map_value!(x, t => burn::tensor::activation::softmax(t, axis))])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let shape = call.inputs[0];
        let normalized = axis(call.node, call.node.int("axis", -1), shape.len());
        for (axis, len) in shape.iter().enumerate() {
            if Ok(axis) == normalized {
                // A score that goes takes its share from the sum: a zero is not an absence here.
                ties.lock(Slot::In(0), axis);
                ties.lock(Slot::Out(0), axis);
            } else {
                ties.same((Slot::In(0), axis), (Slot::Out(0), axis), *len);
            }
        }
    }
    fn import(&self, node: &mut Node, _constants: &[Option<Constant>], opset: i64) -> Result<usize> {
        if opset < 13 {
            // Softmax-1 and -11 flatten to a matrix at `axis`, whose default is 1.
            node.attrs.entry("axis".into()).or_insert(Attr::Int(1));
            node.attrs.insert("flatten".into(), Attr::Int(1));
        }
        Ok(node.inputs.len())
    }
}
