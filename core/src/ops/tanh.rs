//! Tanh: hyperbolic tangent. ONNX Tanh-13.

use super::{Call, Kind, Operator, Ties, unary};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct Tanh;

impl Operator for Tanh {
    fn name(&self) -> &'static str {
        "Tanh"
    }
    fn summary(&self) -> &'static str {
        "Squeezes every value into the range from -1 to 1."
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
        unary::map(inputs, outputs, f32::tanh);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let x = super::required(call.node, inputs, 0)?;
        Ok(vec![crate::map_value!(x, t => t.tanh())])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::run;

    #[test]
    fn known_values() {
        let y = run(&Tanh, &[], &[(&[2, 3], &[0.0, 0.5, -0.5, 1.0, -30.0, 30.0])]);
        // tanh 1/2 = (e - 1) / (e + 1); tanh 1 = (e² - 1) / (e² + 1).
        let want = [0.0, 0.462_117_16, -0.462_117_16, 0.761_594_2, -1.0, 1.0];
        for (y, want) in y[0].1.iter().zip(want) {
            assert!((y - want).abs() <= 1e-7, "{y} where {want} belongs");
        }
    }
}
