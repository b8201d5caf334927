//! HardSwish: x · max(0, min(1, x / 6 + 1/2)). ONNX HardSwish-22; Howard et al., "Searching for
//! MobileNetV3", 2019.

use super::{Call, Kind, Operator, Ties, unary};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct HardSwish;

impl Operator for HardSwish {
    fn name(&self) -> &'static str {
        "HardSwish"
    }
    fn summary(&self) -> &'static str {
        "A cheap, smooth-looking bend: zero far below, the value itself far above."
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
        unary::map(inputs, outputs, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0));
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let x = super::required(call.node, inputs, 0)?;

        Ok(vec![crate::map_value!(x, t => t.clone() * (t / 6.0 + 0.5).clamp(0.0, 1.0))])
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
    fn zero_below_minus_three_the_value_above_three() {
        let y = run(&HardSwish, &[], &[(&[7], &[-4.0, -3.0, -1.5, 0.0, 1.0, 3.0, 4.0])]);
        // -1.5 · 1/4; 1 · 2/3.
        assert_eq!(y, [(vec![7], vec![0.0, 0.0, -0.375, 0.0, 1.0 / 6.0 + 0.5, 3.0, 4.0])]);
    }
}
