//! AveragePool: the mean of each window. ONNX AveragePool-22, 2-D.

use super::window::{self, Window, window};
use super::{Call, Kind, Operator, Ties};
use crate::Result;
use crate::model::Node;
use std::ops::RangeInclusive;

/// See the module.
pub struct AveragePool;

/// The number of values that the mean at (`oy`, `ox`) divides by.
fn count(g: &Window, include_pad: bool, oy: usize, ox: usize) -> usize {
    let along = |i, o| if include_pad { g.padded_places(i, o) } else { g.places(i, o).count() };
    (along(0, oy) * along(1, ox)).max(1)
}

fn include_pad(node: &Node) -> bool {
    node.int("count_include_pad", 0) != 0
}

impl Operator for AveragePool {
    fn name(&self) -> &'static str {
        "AveragePool"
    }
    fn summary(&self) -> &'static str {
        "Replaces each small window by its mean and so shrinks the image."
    }
    fn kind(&self) -> Kind {
        Kind::Pool
    }
    fn arity(&self) -> RangeInclusive<usize> {
        1..=1
    }
    fn infer(&self, node: &Node, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>> {
        let g = window(node, inputs[0])?;
        Ok(vec![vec![inputs[0][0], inputs[0][1], g.out[0], g.out[1]]])
    }
    fn eval(&self, call: &Call, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) {
        let Ok(g) = window(call.node, call.inputs[0]) else { return };
        let include = include_pad(call.node);
        let planes = inputs[0].chunks_exact(g.input[0] * g.input[1]);
        for (plane, out) in planes.zip(outputs[0].chunks_exact_mut(g.out[0] * g.out[1])) {
            for oy in 0..g.out[0] {
                for ox in 0..g.out[1] {
                    let columns = g.places(1, ox);
                    let sum: f32 = g
                        .places(0, oy)
                        .flat_map(|y| columns.clone().map(move |x| plane[y * g.input[1] + x]))
                        .sum();
                    out[oy * g.out[1] + ox] = sum / count(&g, include, oy, ox) as f32;
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
        use burn::tensor::{
            Tensor, TensorData,
            module::{avg_pool2d, conv2d},
            ops::{AvgPoolOptions, ConvOptions},
        };
        let g = window(call.node, call.inputs[0])?;
        let include = include_pad(call.node);
        let x = super::required(call.node, inputs, 0)?
            .r4()
            .ok_or_else(|| crate::Error::shape(call.node, "2-D pooling takes a tensor of rank 4"))?;
        let [n, c, _, _] = x.dims();
        let [oh, ow] = g.out;
        let options = AvgPoolOptions::new(g.kernel).with_stride(g.strides);
        if g.symmetric() && g.dilations == [1, 1] {
            let options = options.with_padding(g.begin).with_count_include_pad(include);
            return Ok(vec![super::Value::R4(avg_pool2d(x, options))]);
        }
        // Padded by hand, averaged over the whole window, then put right where a window holds less.
        let device = x.device();
        let area = g.kernel[0] * g.kernel[1];
        let x = g.pad(x, 0.0);
        let y = if g.dilations == [1, 1] {
            avg_pool2d(x, options)
        } else {
            // A dilated mean is a convolution of every plane with the same constant filter.
            let [_, _, h, w] = x.dims();
            let filter = Tensor::<4>::ones([1, 1, g.kernel[0], g.kernel[1]], &device).div_scalar(area as f32);
            let y = conv2d(
                x.reshape([n * c, 1, h, w]),
                filter,
                None,
                ConvOptions::new(g.strides, [0, 0], g.dilations, 1),
            );
            let [_, _, h, w] = y.dims();
            y.reshape([n, c, h, w])
        };
        let correction: Vec<f32> =
            (0..oh * ow).map(|i| area as f32 / count(&g, include, i / ow, i % ow) as f32).collect();
        if correction.iter().all(|f| *f == 1.0) {
            return Ok(vec![super::Value::R4(y)]);
        }
        let correction = Tensor::<4>::from_data(TensorData::new(correction, [1, 1, oh, ow]), &device);
        Ok(vec![super::Value::R4(y * correction)])
    }
    fn ties(&self, call: &Call, ties: &mut Ties) {
        window::ties(call, ties);
    }
}
