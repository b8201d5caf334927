//! GlobalAveragePool: the mean over all spatial axes. ONNX GlobalAveragePool-22; Lin et al.,
//! "Network in Network", ICLR 2014 (arXiv:1312.4400).

use super::{Call, Kind, Operator, Ties, window};
use crate::model::Node;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// See the module.
pub struct GlobalAveragePool;

impl Operator for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "GlobalAveragePool"
    }
    fn summary(&self) -> &'static str {
        "Replaces every channel's image by its mean: one number per channel."
    }
    fn kind(&self) -> Kind {
        Kind::Pool
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let x = inputs[0];
        if x.len() < 3 || x[2..].contains(&0) {
            return Err(Error::shape(
                node,
                format!("input {x:?}: it takes N, C and one or more axes that are not empty"),
            ));
        }
        let mut out = vec![1; x.len()];
        out[..2].copy_from_slice(&x[..2]);
        Ok(vec![out])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let plane: usize = call.inputs[0][2..].iter().product();
        for (out, values) in outputs[0].iter_mut().zip(inputs[0].chunks_exact(plane)) {
            *out = values.iter().sum::<f32>() / plane as f32;
        }
    }
    #[cfg(feature = "compute")]
    fn forward(
        &self,
        call: &Call,
        inputs: &[Option<super::Value>],
        _ctx: &mut super::Forward,
    ) -> Result<Vec<super::Value>> {
        let shape = call.inputs[0];
        let plane = shape[2..].iter().product();
        let x = super::required(call.node, inputs, 0)?.reshape(&[shape[0], shape[1], plane])?;
        let mean = crate::map_value!(x, t => t.mean_dim(2));
        Ok(vec![mean.reshape(call.outputs[0])?])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        window::ties(call, ties);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::tests::run;

    #[test]
    fn one_mean_per_image_and_channel() {
        let x = [1.0, 2.0, 3.0, 6.0, -1.0, -1.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5];
        let y = run(&GlobalAveragePool, &[], &[(&[2, 2, 2, 2], &x)]);
        assert_eq!(y, [(vec![2, 2, 1, 1], vec![3.0, -0.5, 2.0, 0.5])]);
        let y = run(&GlobalAveragePool, &[], &[(&[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 9.0])]);
        assert_eq!(y, [(vec![1, 2, 1], vec![2.0, 6.0])]);
    }
}
