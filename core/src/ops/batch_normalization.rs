//! BatchNormalization over axis 1. ONNX BatchNormalization-15; Ioffe and Szegedy, "Batch
//! Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift", ICML
//! 2015 (arXiv:1502.03167).
//!
//! Evaluation uses the running statistics (inputs 3 and 4). Training normalizes with the batch's
//! own and leaves new running ones in `Forward::statistics` under the names of those inputs:
//! running ← momentum · running + (1 − momentum) · batch, with the biased variance, as ONNX says.

use super::{Call, Kind, Operator, Slot, Ties};
use crate::model::{Attr, Node};
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct BatchNormalization;

const EPSILON: f32 = 1e-5;
#[cfg(feature = "compute")]
const MOMENTUM: f32 = 0.9;

impl Operator for BatchNormalization {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }
    fn summary(&self) -> &'static str {
        "Brings every channel to zero mean and unit variance over the batch, then scales and shifts it."
    }
    fn kind(&self) -> Kind {
        Kind::Norm
    }
    fn arity(&self) -> RangeInclusive<usize> {
        5..=5
    }
    // No MACs: at inference it folds into the layer before it, and published counts leave it out.
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let x = inputs[0];
        let Some(channels) = x.get(1) else {
            return Err(Error::shape(
                node,
                format!("input {x:?}: axis 1 holds the channels; rank 2 or more"),
            ));
        };
        for (name, shape) in ["scale", "bias", "mean", "variance"].iter().zip(&inputs[1..]) {
            if **shape != [*channels] {
                return Err(Error::shape(node, format!("{name} {shape:?} for {channels} channels of {x:?}")));
            }
        }
        Ok(vec![x.to_vec()])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let channels = call.inputs[0][1];
        let plane: usize = call.inputs[0][2..].iter().product();
        if channels == 0 || plane == 0 {
            return;
        }
        let epsilon = call.node.float("epsilon", EPSILON);
        let planes = outputs[0].chunks_exact_mut(plane).zip(inputs[0].chunks_exact(plane));
        for (i, (out, x)) in planes.enumerate() {
            let c = i % channels;
            let scale = inputs[1][c] / (inputs[4][c] + epsilon).sqrt();
            let shift = inputs[2][c] - inputs[3][c] * scale;
            for (o, x) in out.iter_mut().zip(x) {
                *o = x * scale + shift;
            }
        }
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        use super::Value;
        use burn::tensor::module::{batch_norm, batch_norm_train};
        let node = call.node;
        let vector = |i: usize| {
            super::required(node, inputs, i)?
                .r1()
                .ok_or_else(|| Error::shape(node, format!("input {i} must be a vector")))
        };
        let (scale, bias, mean, var) = (vector(1)?, vector(2)?, vector(3)?, vector(4)?);
        let epsilon = f64::from(node.float("epsilon", EPSILON));
        let x = super::required(node, inputs, 0)?;
        if x.dims().len() < 2 {
            return Err(Error::shape(node, "axis 1 holds the channels; rank 2 or more"));
        }
        if !ctx.training {
            return Ok(vec![crate::map_value!(x, t => batch_norm(t, scale, bias, mean, var, epsilon))]);
        }
        let (batch_mean, batch_var);
        let y = crate::map_value!(x, t => {
            let out = batch_norm_train(t, scale, bias, epsilon);
            (batch_mean, batch_var) = (out.mean, out.variance);
            out.output
        });
        let momentum = node.float("momentum", MOMENTUM);
        for (i, running, batch) in [(3, mean, batch_mean), (4, var, batch_var)] {
            let new = running.mul_scalar(momentum) + batch.mul_scalar(1.0 - momentum);
            ctx.statistics.insert(node.inputs[i].clone(), Value::R1(new));
        }
        Ok(vec![y])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        for (axis, len) in call.inputs[0].iter().enumerate() {
            ties.same((Slot::In(0), axis), (Slot::Out(0), axis), *len);
        }
        for i in 1..5 {
            ties.same((Slot::In(i), 0), (Slot::Out(0), 1), call.inputs[0][1]);
        }
    }
    fn import(&self, node: &mut Node, _constants: &[Option<super::Constant>], opset: i64) -> Result<usize> {
        if node.int("training_mode", 0) != 0 {
            return Err(Error::Unsupported(format!(
                "node “{}” (BatchNormalization) is in training mode; export the network for inference",
                node.name
            )));
        }
        if opset < 9 && node.int("spatial", 1) == 0 {
            return Err(Error::Unsupported(format!(
                "node “{}” (BatchNormalization) normalizes every position by itself (spatial 0), which opset 9 took out of ONNX",
                node.name
            )));
        }
        // Left over from opsets 1 to 14, without a meaning at inference.
        for key in ["training_mode", "spatial", "is_test", "consumed_inputs"] {
            node.attrs.remove(key);
        }
        node.attrs.entry("momentum".into()).or_insert(Attr::Float(0.9));
        // Opsets below 14 may list saved statistics as outputs; nothing reads them at inference.
        node.outputs.truncate(1);
        Ok(node.inputs.len())
    }
}
