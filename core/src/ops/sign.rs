//! Sign: −1, 0 or 1. ONNX Sign-13.
//!
//! Its true gradient is zero almost everywhere, so the backward pass is that of a polynomial
//! that approximates it, the straight-through surrogate of Liu et al., "Bi-Real Net", ECCV 2018,
//! arXiv:1808.00278: F(x) = 2x − x|x| on [−1, 1], whose derivative 2 − 2|x| is piecewise linear.

use super::{Call, Kind, Operator, Ties};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct Sign;

/// The surrogate whose derivative the backward pass takes.
#[cfg(feature = "compute")]
fn surrogate<const D: usize>(x: burn::tensor::Tensor<D>) -> burn::tensor::Tensor<D> {
    let c = x.clamp(-1.0, 1.0);
    // Only the derivative counts: with |c| off the tape, 2c − 2c·|c| has 2 − 2|c| too.
    c.clone().mul_scalar(2.0) - (c.clone() * c.detach().abs()).mul_scalar(2.0)
}

impl Operator for Sign {
    fn name(&self) -> &'static str {
        "Sign"
    }
    fn summary(&self) -> &'static str {
        "Keeps only the sign: 1 for positive values, −1 for negative ones."
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
        super::unary::map(inputs, outputs, |x| f32::from(i8::from(x > 0.0) - i8::from(x < 0.0)));
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let x = super::required(call.node, inputs, 0)?;
        Ok(vec![crate::map_value!(x, t => {
            let sign = t.clone().detach().sign();
            if t.is_tracked() {
                let smooth = surrogate(t);
                // Exactly the sign in the forward pass: smooth − smooth is 0 in floating point.
                sign + (smooth.clone() - smooth.detach())
            } else {
                sign
            }
        })])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
}

#[cfg(all(test, feature = "compute"))]
mod tests {
    use crate::model::{Attrs, Node};
    use crate::ops::{Call, Forward, Operator, Value};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn forward_is_the_sign_and_backward_the_triangle() {
        let node = Node {
            name: "s".into(),
            op: "Sign".into(),
            inputs: vec!["x".into()],
            outputs: vec!["y".into()],
            attrs: Attrs::new(),
        };
        let x: [f32; 7] = [-3.0, -1.0, -0.75, -0.1, 0.1, 0.5, 1.5];
        let call = Call { node: &node, inputs: &[&[7]], outputs: &[&[7]] };
        let leaf = Tensor::<1>::from_floats(x, &Device::flex()).autodiff().require_grad();
        let y = super::Sign.forward(&call, &[Some(Value::R1(leaf.clone()))], &mut Forward::default());
        let Ok([Value::R1(y)]) = y.as_deref() else { panic!("rank 1") };
        let values: Vec<f32> = y.clone().into_data().try_to_vec().unwrap();
        assert_eq!(values, [-1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
        let grads = y.clone().sum().backward();
        let grad: Vec<f32> = leaf.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        for (x, g) in x.iter().zip(&grad) {
            let want = if x.abs() < 1.0 { 2.0 - 2.0 * x.abs() } else { 0.0 };
            assert!((g - want).abs() < 1e-6, "{x}: {g} {want}");
        }
    }
}
