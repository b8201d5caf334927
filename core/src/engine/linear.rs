//! Layers with constant weights (Conv, Gemm, MatMul) on their way into a kernel: batch
//! normalization and ReLU folded in, weights as reals or as integers.

use super::kernels::conv_f32::ConvF32;
use super::kernels::conv_i8::ConvI8;
use super::kernels::gemm::{GemmF32, GemmI8};
use super::kernels::{Affine, Clamp, Finish, Kernel, Rescale};
use crate::model::{Model, Node, Storage};
use crate::ops::conv::{Geometry, geometry};
use crate::{Result, quant};

/// Weights, outputs first, row-major.
#[derive(Debug, Clone)]
enum Values {
    Float(Vec<f32>),
    /// Integers with their zero point taken off, and a scale per output channel.
    Int {
        values: Vec<i16>,
        scale: Vec<f64>,
    },
}

/// What the layer computes with its weights.
#[derive(Debug, Clone)]
enum Form {
    Conv { x: Vec<usize>, w: Vec<usize>, geometry: Geometry },
    Gemm { rows: usize, outputs: usize, features: usize },
}

/// A layer y = clamp(W x + b).
#[derive(Debug, Clone)]
pub struct Linear {
    form: Form,
    weights: Values,
    bias: Vec<f64>,
    /// Bounds of what was fused behind it.
    pub clamp: Clamp,
}

impl Linear {
    /// Reads a node; `None` where it is not such a layer (weights that are computed, a transposed
    /// input, a bias per row): the operator's own code serves it then.
    ///
    /// # Errors
    /// Shapes do not fit.
    pub fn new(model: &Model, node: &Node, inputs: &[&[usize]]) -> Result<Option<Self>> {
        let (x, w) = (inputs[0], inputs[1]);
        let transposed = node.op != "Conv" && node.int("transB", 0) == 0;
        let form = match node.op.as_str() {
            "Conv" => Form::Conv { x: x.to_vec(), w: w.to_vec(), geometry: geometry(node, x, w)? },
            _ if w.len() != 2 || x.is_empty() || node.int("transA", 0) != 0 => return Ok(None),
            _ => {
                let (outputs, features) = if transposed { (w[1], w[0]) } else { (w[0], w[1]) };
                let rows = x[..x.len() - 1].iter().product();
                Form::Gemm { rows, outputs, features }
            }
        };
        let outputs = match &form {
            Form::Conv { w, .. } => w[0],
            Form::Gemm { outputs, .. } => *outputs,
        };
        let bias = match node.inputs.get(2).filter(|name| !name.is_empty()) {
            None => vec![0.0; outputs],
            Some(name) if model.weights.contains_key(name) => {
                let beta = f64::from(node.float("beta", 1.0));
                let shape = inputs[2];
                let values: Vec<f64> = model.values(name).into_iter().map(|b| beta * f64::from(b)).collect();
                let one_row = shape.iter().rev().skip(1).all(|n| *n == 1);
                match values.len() {
                    n if n == outputs && one_row => values,
                    1 => vec![values[0]; outputs],
                    _ => return Ok(None),
                }
            }
            Some(_) => return Ok(None),
        };
        let Some(weights) = read(model, &node.inputs[1], w, transposed) else { return Ok(None) };
        let mut layer = Self { form, weights, bias: vec![0.0; outputs], clamp: Clamp::NONE };
        let alpha = if node.op == "Gemm" { f64::from(node.float("alpha", 1.0)) } else { 1.0 };
        layer.fold(&vec![alpha; outputs], &vec![0.0; outputs]);
        layer.bias = bias;
        Ok(Some(layer))
    }

    /// Folds y · factor + offset, per output channel, into the layer: batch normalization.
    pub fn fold(&mut self, factor: &[f64], offset: &[f64]) {
        for ((b, f), o) in self.bias.iter_mut().zip(factor).zip(offset) {
            *b = *b * f + o;
        }
        let rows = self.bias.len().max(1);
        match &mut self.weights {
            Values::Float(values) => {
                let row = (values.len() / rows).max(1);
                for (row, f) in values.chunks_exact_mut(row).zip(factor) {
                    row.iter_mut().for_each(|w| *w = (f64::from(*w) * f) as f32);
                }
            }
            Values::Int { values, scale } => {
                let row = (values.len() / rows).max(1);
                for ((row, scale), f) in values.chunks_exact_mut(row).zip(scale).zip(factor) {
                    *scale *= f.abs();
                    // Scales are positive: a negative factor turns the integers around.
                    if *f < 0.0 {
                        row.iter_mut().for_each(|w| *w = -*w);
                    }
                }
            }
        }
    }

    /// Whether the output's channels are its axis 1.
    pub fn channels_on_axis_1(&self, out: &[usize]) -> bool {
        matches!(self.form, Form::Conv { .. }) || out.len() == 2
    }

    /// As a kernel in f32.
    pub fn float(&self) -> Box<dyn Kernel> {
        let rows = self.bias.len().max(1);
        let weights = match &self.weights {
            Values::Float(values) => values.clone(),
            Values::Int { values, scale } => {
                let row = (values.len() / rows).max(1);
                let rows = values.chunks(row).zip(scale);
                rows.flat_map(|(row, s)| row.iter().map(move |w| (f64::from(*w) * s) as f32)).collect()
            }
        };
        let bias: Vec<f32> = self.bias.iter().map(|b| *b as f32).collect();
        match &self.form {
            Form::Conv { x, w, geometry } => {
                Box::new(ConvF32::new(x, w, &weights, &bias, *geometry, self.clamp))
            }
            Form::Gemm { outputs, features, .. } => {
                Box::new(GemmF32::new(*outputs, *features, &weights, &bias, self.clamp))
            }
        }
    }

    /// As a kernel on integers: `from` is the input's grid, `to` the output's, or `None` for reals.
    /// `None` where the weights are no integers or a sum could leave 32 bits.
    pub fn integer(&self, from: Affine, to: Option<Affine>) -> Option<Box<dyn Kernel>> {
        let Values::Int { values, scale } = &self.weights else { return None };
        let row = (values.len() / self.bias.len().max(1)).max(1);
        // One step of each sum, in reals.
        let steps: Vec<f64> = scale.iter().map(|s| f64::from(from.scale) * s).collect();
        for (row, step) in values.chunks(row).zip(&steps) {
            let largest = 255.0 * row.iter().map(|w| f64::from(w.unsigned_abs())).sum::<f64>();
            let scaled = to.map_or(0.0, |to| largest * step / f64::from(to.scale));
            if !(largest < f64::from(i32::MAX) && scaled < f64::from(1 << 30)) {
                return None;
            }
        }
        let finish = match to {
            None => Finish::F32 {
                scale: steps.iter().map(|s| *s as f32).collect(),
                bias: self.bias.iter().map(|b| *b as f32).collect(),
                clamp: self.clamp,
            },
            Some(to) => {
                let (low, high) = self.clamp.on(to);
                let out = f64::from(to.scale);
                let rescale = steps
                    .iter()
                    .zip(&self.bias)
                    .map(|(s, b)| Rescale::new(s / out, b / out + f64::from(to.zero_point)));
                Finish::I8 { rescale: rescale.collect::<Option<_>>()?, low, high }
            }
        };
        Some(match &self.form {
            Form::Conv { x, w, geometry } => {
                Box::new(ConvI8::new(x, from.zero_point, w, values, *geometry, finish))
            }
            Form::Gemm { rows, outputs, features } => {
                let shape = [*rows, *outputs, *features];
                Box::new(GemmI8::new(shape, from.zero_point, values, finish))
            }
        })
    }
}

/// A weight with outputs first; integers where they have one scale or one per output. `None` where
/// it is not constant.
fn read(model: &Model, name: &str, shape: &[usize], transposed: bool) -> Option<Values> {
    let weight = model.weights.get(name)?;
    let (axis, outputs) = if transposed { (1, shape[1]) } else { (0, shape[0]) };
    let turn = |i: usize| if transposed { i % shape[0] * shape[1] + i / shape[0] } else { i };
    if let Storage::Int(packed) = &weight.storage
        && packed.grid.axis.is_none_or(|a| a == axis)
    {
        let ints = quant::affine::unpack(packed, weight.len());
        let channel = |o: usize| if packed.grid.axis.is_some() { o } else { 0 };
        let row = (weight.len() / outputs.max(1)).max(1);
        let values = (0..weight.len()).map(|i| {
            let zero = packed.grid.zero_point.get(channel(i / row)).copied().unwrap_or(0);
            (ints[turn(i)] - zero) as i16
        });
        let scale = (0..outputs).map(|o| packed.grid.scale.get(channel(o)).map_or(1.0, |s| f64::from(*s)));
        return Some(Values::Int { values: values.collect(), scale: scale.collect() });
    }
    let values = weight.to_f32();
    Some(Values::Float((0..values.len()).map(|i| values[turn(i)]).collect()))
}
