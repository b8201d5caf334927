//! ReduceMean: the mean over some axes. ONNX ReduceMean-18, the axes as an attribute.

use super::{Call, Constant, Kind, Operator, Slot, Ties, axis, constants};
use crate::model::{Attr, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct ReduceMean;

/// Which axes are reduced. No axes, or none named, are all of them, unless the node says that an
/// empty list is to do nothing.
fn reduced(node: &Node, rank: usize) -> Result<Vec<bool>> {
    let axes = node.ints("axes").unwrap_or(&[]);
    let mut reduced = vec![axes.is_empty() && node.int("noop_with_empty_axes", 0) == 0; rank];
    for a in axes {
        let a = axis(node, *a, rank)?;
        if std::mem::replace(&mut reduced[a], true) {
            return Err(Error::shape(node, format!("axis {a} is named twice in {axes:?}")));
        }
    }
    Ok(reduced)
}

impl Operator for ReduceMean {
    fn name(&self) -> &'static str {
        "ReduceMean"
    }
    fn summary(&self) -> &'static str {
        "Replaces all values along some axes by their mean."
    }
    fn kind(&self) -> Kind {
        Kind::Pool
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let x = inputs[0];
        let reduced = reduced(node, x.len())?;
        if x.iter().zip(&reduced).any(|(len, r)| *r && *len == 0) {
            return Err(Error::shape(node, format!("input {x:?}: the mean of nothing is not a number")));
        }
        let keep = node.int("keepdims", 1) != 0;
        let out = x.iter().zip(reduced).filter(|(_, r)| keep || !r).map(|(n, r)| if r { 1 } else { *n });
        Ok(vec![out.collect()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let shape = call.inputs[0];
        let Ok(reduced) = reduced(call.node, shape.len()) else { return };
        let mut strides = vec![0; shape.len()];
        let (mut step, mut count) = (1, 1);
        for axis in (0..shape.len()).rev() {
            if reduced[axis] {
                count *= shape[axis];
            } else {
                strides[axis] = step;
                step *= shape[axis];
            }
        }
        outputs[0].fill(0.0);
        for (i, value) in inputs[0].iter().enumerate() {
            let (mut rest, mut at) = (i, 0);
            for axis in (0..shape.len()).rev() {
                at += rest % shape[axis] * strides[axis];
                rest /= shape[axis];
            }
            outputs[0][at] += value;
        }
        outputs[0].iter_mut().for_each(|v| *v /= count as f32);
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let reduced = reduced(call.node, call.inputs[0].len())?;
        let mut x = super::required(call.node, inputs, 0)?;
        for (axis, _) in reduced.iter().enumerate().filter(|(_, r)| **r) {
            x = crate::map_value!(x, t => t.mean_dim(axis));
        }
        Ok(vec![x.reshape(call.outputs[0])?])
    }
    /// Reduced axes are locked: the mean of fewer values is another mean, where a value masked to
    /// zero still counts. The others pass through.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let Ok(reduced) = reduced(call.node, call.inputs[0].len()) else { return ties.lock_all(call) };
        let keep = call.node.int("keepdims", 1) != 0;
        let mut out_axis = 0;
        for (axis, len) in call.inputs[0].iter().enumerate() {
            if reduced[axis] {
                ties.lock(Slot::In(0), axis);
                if keep {
                    ties.lock(Slot::Out(0), out_axis);
                }
            } else {
                ties.same((Slot::In(0), axis), (Slot::Out(0), out_axis), *len);
            }
            out_axis += usize::from(keep || !reduced[axis]);
        }
    }
    fn import(&self, node: &mut Node, given: &[Option<Constant>], _opset: i64) -> Result<usize> {
        if let Some(axes) = constants::ints(node, given, 1)? {
            node.attrs.insert("axes".into(), Attr::Ints(axes));
        }
        Ok(node.inputs.len().min(1))
    }
}
