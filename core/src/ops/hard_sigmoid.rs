//! HardSigmoid: max(0, min(1, alpha · x + beta)). ONNX HardSigmoid-22.

use super::{Call, Kind, Operator, Ties, unary};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct HardSigmoid;

impl Operator for HardSigmoid {
    fn name(&self) -> &'static str {
        "HardSigmoid"
    }
    fn summary(&self) -> &'static str {
        "A sigmoid of three straight lines: 0, a slope, and 1."
    }
    fn kind(&self) -> Kind {
        Kind::Activation
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, _node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        Ok(vec![inputs[0].to_vec()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let (alpha, beta) = slope(call.node);
        unary::map(inputs, outputs, |x| (alpha * x + beta).clamp(0.0, 1.0));
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let x = super::required(call.node, inputs, 0)?;
        let (alpha, beta) = slope(call.node);
        Ok(vec![crate::map_value!(x, t => (t * alpha + beta).clamp(0.0, 1.0))])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
}

/// Slope and offset; ONNX's defaults.
fn slope(node: &Node) -> (f32, f32) {
    (node.float("alpha", 0.2), node.float("beta", 0.5))
}
