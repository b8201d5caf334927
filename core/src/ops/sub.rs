//! Sub: elementwise difference with broadcasting. ONNX Sub-14.

use super::{Call, Kind, Operator, Ties, broadcast};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct Sub;

impl Operator for Sub {
    fn name(&self) -> &'static str {
        "Sub"
    }
    fn summary(&self) -> &'static str {
        "Subtracts one tensor from another value by value."
    }
    fn kind(&self) -> Kind {
        Kind::Merge
    }
    fn arity(&self) -> RangeInclusive<usize> {
        2..=2
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        Ok(vec![broadcast::shape(node, inputs[0], inputs[1])?])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let out = (&mut *outputs[0], call.outputs[0]);
        broadcast::zip((inputs[0], call.inputs[0]), (inputs[1], call.inputs[1]), out, |a, b| a - b);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let (a, b) = (super::required(call.node, inputs, 0)?, super::required(call.node, inputs, 1)?);
        Ok(vec![crate::zip_values!(a, b, x, y => x - y)])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
}
