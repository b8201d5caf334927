//! Clip: values kept between two bounds; ReLU6 is one. ONNX Clip-13; the constant inputs `min`
//! and `max` are attributes here, as they were up to Clip-6.

use super::{Call, Constant, Kind, Operator, Ties, constants, unary};
use crate::Result;
use crate::model::{Attr, Node};
use std::ops::RangeInclusive;

/// See the module.
pub struct Clip;

/// The bounds; infinite where there are none.
fn bounds(node: &Node) -> (f32, f32) {
    (node.float("min", f32::NEG_INFINITY), node.float("max", f32::INFINITY))
}

impl Operator for Clip {
    fn name(&self) -> &'static str {
        "Clip"
    }
    fn summary(&self) -> &'static str {
        "Keeps every value between a lower and an upper bound."
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
        let (min, max) = bounds(call.node);
        // Not `clamp`, which panics on min > max; ONNX then gives max everywhere.
        unary::map(inputs, outputs, |x| x.max(min).min(max));
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let (min, max) = bounds(call.node);
        let mut x = super::required(call.node, inputs, 0)?;
        if min > f32::NEG_INFINITY {
            x = crate::map_value!(x, t => t.clamp_min(min));
        }
        if max < f32::INFINITY {
            x = crate::map_value!(x, t => t.clamp_max(max));
        }
        Ok(vec![x])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        ties.elementwise(call);
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], _opset: i64) -> Result<usize> {
        for (i, key) in ["min", "max"].into_iter().enumerate() {
            if let Some(bound) = constants::float(node, given, i + 1)? {
                node.attrs.insert(key.into(), Attr::Float(bound));
            }
        }
        Ok(1)
    }
}
