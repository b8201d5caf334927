//! LayerNormalization over the trailing axes. ONNX LayerNormalization-17; Ba, Kiros and Hinton,
//! "Layer Normalization", 2016 (arXiv:1607.06450).

use super::{Call, Kind, Operator, Slot, Ties, axis};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct LayerNormalization;

const EPSILON: f32 = 1e-5;

/// The first normalized axis, the number of rows before it, the length of a row from it on.
fn rows(node: &Node, x: &[usize]) -> Result<(usize, usize, usize)> {
    let axis = axis(node, node.int("axis", -1), x.len())?;
    Ok((axis, x[..axis].iter().product(), x[axis..].iter().product()))
}

impl Operator for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }
    fn summary(&self) -> &'static str {
        "Brings every sample's own features to zero mean and unit variance, then scales and shifts them."
    }
    fn kind(&self) -> Kind {
        Kind::Norm
    }
    fn arity(&self) -> RangeInclusive<usize> {
        2..=3
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let x = inputs[0];
        let axis = axis(node, node.int("axis", -1), x.len())?;
        if x[axis..].contains(&0) {
            return Err(Error::shape(node, format!("input {x:?}: the axes from {axis} on are empty")));
        }
        let scale = inputs[1];
        let bias = inputs.get(2).filter(|_| node.inputs.get(2).is_some_and(|n| !n.is_empty()));
        for (name, shape) in [("scale", Some(&scale)), ("bias", bias)] {
            if shape.is_some_and(|s| **s != x[axis..]) {
                return Err(Error::shape(
                    node,
                    format!(
                        "{name} {:?} where the input {x:?} has {:?}",
                        shape.unwrap_or(&scale),
                        &x[axis..]
                    ),
                ));
            }
        }
        if node.outputs.len() > 3 {
            return Err(Error::shape(node, "it makes three outputs: Y, Mean and InvStdDev"));
        }
        let mut reduced = x.to_vec();
        reduced[axis..].fill(1);
        let mut out = vec![x.to_vec()];
        out.resize(node.outputs.len().max(1), reduced);
        Ok(out)
    }
    // One for the variance, one for the scale.
    fn macs(&self, _node: &Node, inputs: &[&[usize]], _outputs: &[&[usize]]) -> u64 {
        2 * inputs[0].iter().product::<usize>() as u64
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok((_, _, len)) = rows(call.node, call.inputs[0]) else { return };
        let epsilon = call.node.float("epsilon", EPSILON);
        let bias = inputs.get(2).copied().unwrap_or(&[]);
        for (r, x) in inputs[0].chunks_exact(len.max(1)).enumerate() {
            let mean = x.iter().sum::<f32>() / len as f32;
            let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / len as f32;
            let inverse = 1.0 / (variance + epsilon).sqrt();
            for (i, out) in outputs[0][r * len..][..len].iter_mut().enumerate() {
                *out = (x[i] - mean) * inverse * inputs[1][i] + bias.get(i).copied().unwrap_or(0.0);
            }
            for (output, value) in outputs[1..].iter_mut().zip([mean, inverse]) {
                // An output that nobody asked for has no room.
                if let Some(slot) = output.get_mut(r) {
                    *slot = value;
                }
            }
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
        let (_, count, len) = rows(call.node, call.inputs[0])?;
        let matrix = || Error::shape(call.node, "rows of features expected");
        let vector = |v: Value| v.reshape(&[len])?.r1().ok_or_else(matrix);
        let x = super::required(call.node, inputs, 0)?.reshape(&[count, len])?.r2().ok_or_else(matrix)?;
        let scale = vector(super::required(call.node, inputs, 1)?)?;
        let bias = inputs.get(2).cloned().flatten().map(vector).transpose()?;
        let epsilon = call.node.float("epsilon", EPSILON);
        let y = burn::tensor::module::layer_norm(x.clone(), scale, bias, f64::from(epsilon));
        let mut values = vec![Value::R2(y).reshape(call.outputs[0])?];
        if call.outputs.len() > 1 {
            let mean = x.clone().mean_dim(1);
            let centered = x - mean.clone();
            let inverse = (centered.clone() * centered).mean_dim(1).add_scalar(epsilon).sqrt().recip();
            for (value, shape) in [mean, inverse].into_iter().zip(&call.outputs[1..]) {
                values.push(Value::R2(value).reshape(shape)?);
            }
        }
        Ok(values)
    }
    /// The normalized axes are locked: a feature that is removed changes the mean and the variance
    /// of all the others, where a feature masked to zero still counts. The shrunk network would be
    /// another function than the masked one.
    fn ties(&self, call: &Call, ties: &mut Ties) {
        let x = call.inputs[0];
        let Ok((first, _, _)) = rows(call.node, x) else { return ties.lock_all(call) };
        for (axis, len) in x.iter().enumerate() {
            for output in 0..call.outputs.len() {
                if axis < first {
                    ties.same((Slot::In(0), axis), (Slot::Out(output), axis), *len);
                } else {
                    ties.lock(Slot::Out(output), axis);
                }
            }
            if axis >= first {
                ties.lock(Slot::In(0), axis);
                ties.lock(Slot::In(1), axis - first);
                if call.inputs.get(2).is_some_and(|b| !b.is_empty()) {
                    ties.lock(Slot::In(2), axis - first);
                }
            }
        }
    }
    fn import(&self, node: &mut Node, _constants: &[Option<super::Constant>], _opset: i64) -> Result<usize> {
        // The precision of the statistics: always f32 here, which is its default.
        node.attrs.remove("stash_type");
        Ok(node.inputs.len())
    }
}
