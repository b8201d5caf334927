//! Flatten: to a matrix; the axes before `axis` become rows, the others columns. ONNX Flatten-25.

use super::{Call, Kind, Operator, Ties, reshape};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Flatten;

impl Operator for Flatten {
    fn name(&self) -> &'static str {
        "Flatten"
    }
    fn summary(&self) -> &'static str {
        "Lays all values of an example in one row, for the fully connected layers behind it."
    }
    fn kind(&self) -> Kind {
        Kind::Shape
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let (shape, axis) = (inputs[0], node.int("axis", 1));
        // Unlike elsewhere, the rank itself is allowed: everything becomes rows.
        let rank = shape.len() as i64;
        if !(-rank..=rank).contains(&axis) {
            return Err(Error::shape(node, format!("axis {axis} of a tensor of shape {shape:?}")));
        }
        let at = if axis < 0 { axis + rank } else { axis } as usize;
        Ok(vec![vec![shape[..at].iter().product(), shape[at..].iter().product()]])
    }
    fn eval(&self, _call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        outputs[0].copy_from_slice(inputs[0]);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        Ok(vec![super::required(call.node, inputs, 0)?.reshape(call.outputs[0])?])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        reshape::regroup(call, ties);
    }
}
