//! Sigmoid: 1 / (1 + exp(-x)). ONNX Sigmoid-13.

use super::{Call, Kind, Operator, Ties, unary};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct Sigmoid;

impl Operator for Sigmoid {
    fn name(&self) -> &'static str {
        "Sigmoid"
    }
    fn summary(&self) -> &'static str {
        "Squeezes every value into the range from 0 to 1; gates are made of it."
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
    fn eval(&self, _call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        unary::map(inputs, outputs, |x| 1.0 / (1.0 + (-x).exp()));
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let x = super::required(call.node, inputs, 0)?;
        Ok(vec![crate::map_value!(x, t => burn::tensor::activation::sigmoid(t))])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
}
