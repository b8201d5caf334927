//! Concat: joins tensors along an axis. ONNX Concat-13.

use super::{Call, Kind, Operator, Slot, Ties};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct Concat;

/// The axis, as a position.
fn position(node: &Node, rank: usize) -> Result<usize> {
    match node.attrs.get("axis") {
        Some(crate::model::Attr::Int(axis)) => super::axis(node, *axis, rank),
        _ => Err(Error::shape(node, "the attribute axis is missing")),
    }
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }
    fn summary(&self) -> &'static str {
        "Lays tensors side by side along one axis; branches meet in it."
    }
    fn kind(&self) -> Kind {
        Kind::Merge
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=usize::MAX
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let mut out = inputs[0].to_vec();
        let axis = position(node, out.len())?;
        out[axis] = 0;
        for shape in inputs {
            let fits = shape.len() == out.len()
                && shape.iter().zip(inputs[0]).enumerate().all(|(i, (a, b))| i == axis || a == b);
            if !fits {
                return Err(Error::shape(
                    node,
                    format!(
                        "{:?} and {shape:?} cannot be joined along axis {axis}: every other length must be equal",
                        inputs[0]
                    ),
                ));
            }
            out[axis] += shape[axis];
        }
        Ok(vec![out])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok(axis) = position(call.node, call.outputs[0].len()) else { return };
        let inner: usize = call.outputs[0][axis + 1..].iter().product();
        let row = call.outputs[0][axis] * inner;
        let mut offset = 0;
        for (x, shape) in inputs.iter().zip(call.inputs) {
            let len = shape[axis] * inner;
            if len > 0 {
                for (from, to) in x.chunks_exact(len).zip(outputs[0].chunks_exact_mut(row)) {
                    to[offset..offset + len].copy_from_slice(from);
                }
            }
            offset += len;
        }
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        use super::Value;
        use burn::tensor::Tensor;
        let axis = position(call.node, call.outputs[0].len())?;
        let values: Vec<Value> =
            (0..inputs.len()).map(|i| super::required(call.node, inputs, i)).collect::<Result<_>>()?;
        macro_rules! cat {
            ($variant:ident) => {
                Value::$variant(Tensor::cat(
                    values
                        .into_iter()
                        .filter_map(|v| if let Value::$variant(t) = v { Some(t) } else { None })
                        .collect(),
                    axis,
                ))
            };
        }
        Ok(vec![match &values[0] {
            Value::R1(_) => cat!(R1),
            Value::R2(_) => cat!(R2),
            Value::R3(_) => cat!(R3),
            Value::R4(_) => cat!(R4),
            Value::R5(_) => cat!(R5),
        }])
    }
    /// Along the joined axis an input's indices are a window of the output's; along every other
    /// axis all tensors go together.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let out = call.outputs[0];
        let Ok(joined) = position(call.node, out.len()) else { return ties.lock_all(call) };
        let mut offset = 0;
        for (i, shape) in call.inputs.iter().enumerate() {
            for (axis, len) in shape.iter().enumerate() {
                if axis == joined {
                    let start = offset;
                    ties.pairs((Slot::In(i), axis), (Slot::Out(0), axis), (0..*len).map(|x| (x, start + x)));
                    offset += len;
                } else {
                    ties.same((Slot::In(i), axis), (Slot::Out(0), axis), *len);
                }
            }
        }
    }
}
