//! Gelu: x · Φ(x), exact or by its tanh approximation. ONNX Gelu-20; Hendrycks and Gimpel,
//! "Gaussian Error Linear Units", 2016.

use super::{Call, Kind, Operator, Ties, unary};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Gelu;

impl Operator for Gelu {
    fn name(&self) -> &'static str {
        "Gelu"
    }
    fn summary(&self) -> &'static str {
        "Weighs every value by how likely a normal random number is to lie below it."
    }
    fn kind(&self) -> Kind {
        Kind::Activation
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        tanh(node)?;
        Ok(vec![inputs[0].to_vec()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        if tanh(call.node) == Ok(true) {
            unary::map(inputs, outputs, |x| {
                0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + CUBIC * x * x * x)).tanh())
            });
        } else {
            unary::map(inputs, outputs, |x| {
                0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
            });
        }
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let x = super::required(call.node, inputs, 0)?;
        if tanh(call.node)? {
            // x · x · x and not a power: a negative base is undefined in WGSL's `pow`.
            return Ok(vec![crate::map_value!(x, t => {
                let cube = t.clone() * t.clone() * t.clone();
                let inner = (t.clone() + cube * CUBIC) * SQRT_2_OVER_PI;
                t * (inner.tanh() + 1.0) * 0.5
            })]);
        }
        Ok(vec![crate::map_value!(x, t => burn::tensor::activation::gelu(t))])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
}

/// sqrt(2 / pi).
const SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
/// The cubic coefficient of the approximation.
const CUBIC: f32 = 0.044_715;

/// Whether the approximation is asked for.
fn tanh(node: &Node) -> Result<bool> {
    match node.str("approximate", "none") {
        "none" => Ok(false),
        "tanh" => Ok(true),
        other => Err(Error::shape(node, format!("approximate “{other}”: “none” or “tanh” belongs there"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_an_unknown_approximation() {
        let attrs = [("approximate".to_owned(), "cosine".into())].into();
        let node = Node { name: "g".into(), op: "Gelu".into(), inputs: vec![], outputs: vec![], attrs };
        let message = Gelu.infer(&node, &[&[2]]).unwrap_err().to_string();
        assert!(message.contains("“g”") && message.contains("cosine"), "{message}");
    }
}
