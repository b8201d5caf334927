//! Training with quantization in the loop: weights and activations are moved to their grids in the
//! forward pass, and gradients pass as if they had not been.
//!
//! Jacob et al., "Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference", CVPR 2018 (arXiv:1712.05877); the straight-through
//! estimator: Bengio, Léonard and Courville, 2013 (arXiv:1308.3432), here
//! x + stop_gradient(q(x) − x). Activations beyond their range are clipped and pass no gradient.
//!
//! Batch norms are folded first, so that what is trained is what the engine will run. Weights are
//! on the grid of their smallest and largest values at every step, whatever the calibration;
//! activations are on grids that are calibrated anew before every epoch.

use super::interpret::Hook;
use crate::data::Dataset;
use crate::model::{Grid, Model};
use crate::ops::Value;
use crate::quant::{Scheme, affine, fold, post_training};
use crate::{Result, map_value};
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// Training samples that activations are calibrated on.
const CALIBRATION_SAMPLES: usize = 32;

/// Fake quantization as a hook of the forward pass.
pub struct FakeQuant {
    scheme: Scheme,
    /// By parameter index: whether it is the weight of a product, and its channel axis where each
    /// channel has its own scale.
    weights: Vec<Option<Option<usize>>>,
    activations: BTreeMap<String, Grid>,
    samples: Vec<f32>,
}

/// The model as fake quantization trains it: without batch norms.
///
/// # Errors
/// The model is not sound.
pub fn prepare(model: &Model) -> Result<Model> {
    fold::fold_batch_norm(model)
}

impl FakeQuant {
    /// For a model that [`prepare`] made. `params` are the names of its parameters, in order.
    ///
    /// # Errors
    /// The scheme is out of range.
    pub fn new(model: &Model, params: &[String], data: &Dataset, scheme: Scheme) -> Result<Self> {
        scheme.check()?;
        let products = post_training::product_weights(model);
        let axis = |name: &String| products.get(name).map(|axis| axis.filter(|_| scheme.per_channel));
        let weights = params.iter().map(axis).collect();
        let every = data.train.len().div_ceil(CALIBRATION_SAMPLES).max(1);
        let indices: Vec<u32> = data.train.iter().step_by(every).copied().collect();
        let samples = data.gather(&indices).0;
        Ok(Self { scheme, weights, activations: BTreeMap::new(), samples })
    }

    /// Takes the ranges of activations anew, with the weights as they are now.
    ///
    /// # Errors
    /// An activation is not finite.
    pub fn calibrate(&mut self, model: &Model) -> Result<()> {
        self.activations = post_training::activation_grids(model, &self.samples, &self.scheme)?;
        Ok(())
    }
}

impl Hook for FakeQuant {
    fn weight(&self, index: usize, value: Value) -> Result<Value> {
        Ok(match self.weights.get(index) {
            Some(Some(axis)) => map_value!(value, t => fake_weight(t, *axis, &self.scheme)),
            _ => value,
        })
    }

    fn activation(&self, name: &str, value: Value) -> Result<Value> {
        Ok(match self.activations.get(name) {
            Some(grid) => map_value!(value, t => fake_activation(t, grid)),
            None => value,
        })
    }
}

/// Values to the grid of their smallest and largest values, straight through. As
/// [`affine::fit`], on tensors.
fn fake_weight<const D: usize>(w: Tensor<D>, axis: Option<usize>, scheme: &Scheme) -> Tensor<D> {
    let plain = w.clone().inner();
    let over =
        |t: Tensor<D>, f: fn(Tensor<D>, usize) -> Tensor<D>| (0..D).filter(|d| Some(*d) != axis).fold(t, f);
    let (low, high) = affine::limits(scheme.weight_bits, scheme.symmetric_weights);
    let usable = |scale: Tensor<D>| {
        let zero = scale.clone().equal_elem(0.0);
        scale.mask_fill(zero, 1.0)
    };
    let quantized = if scheme.symmetric_weights {
        let scale = usable(over(plain.clone().abs(), |t, d| t.max_dim(d)).div_scalar(high));
        (plain.clone() / scale.clone()).round().clamp(low, high) * scale
    } else {
        let least = over(plain.clone(), |t, d| t.min_dim(d)).clamp_max(0.0);
        let most = over(plain.clone(), |t, d| t.max_dim(d)).clamp_min(0.0);
        let scale = usable((most - least.clone()).div_scalar(high));
        let zero_point = (-least / scale.clone()).round().clamp(low, high);
        let ints = ((plain.clone() / scale.clone()).round() + zero_point.clone()).clamp(low, high);
        (ints - zero_point) * scale
    };
    // Both are outside the tape: to the gradient this is the identity.
    w + (quantized - plain)
}

/// Values to a grid of one scale: clipped to its range, then straight through.
fn fake_activation<const D: usize>(x: Tensor<D>, grid: &Grid) -> Tensor<D> {
    let (Some(scale), Some(zero_point)) = (grid.scale.first(), grid.zero_point.first()) else { return x };
    let (low, high) = affine::limits(grid.bits, grid.signed);
    let (low, high) = (low - zero_point, high - zero_point);
    let x = x.clamp(low as f32 * scale, high as f32 * scale);
    let plain = x.clone().inner();
    let quantized = plain.clone().div_scalar(*scale).round().clamp(low, high).mul_scalar(*scale);
    x + (quantized - plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Weight;
    use crate::rng::Rng;
    use burn::tensor::{Device, TensorData};

    fn scheme(symmetric: bool, per_channel: bool, bits: u8) -> Scheme {
        Scheme { symmetric_weights: symmetric, per_channel, weight_bits: bits, ..Scheme::int8() }
    }

    #[test]
    fn weights_land_on_the_grid_of_the_shared_arithmetic_and_gradients_pass() {
        let mut rng = Rng::new(4);
        let values: Vec<f32> = (0..24).map(|i| if i < 6 { 0.0 } else { rng.normal() }).collect();
        let device = Device::flex().autodiff();
        for (symmetric, per_channel, bits) in
            [(true, true, 8), (true, false, 4), (false, true, 3), (false, false, 2)]
        {
            let scheme = scheme(symmetric, per_channel, bits);
            let weight = Weight::dense(vec![4, 6], values.clone());
            let grid = post_training::weight_grid(&weight, Some(0), &scheme).unwrap();
            let want = affine::fake(&values, &[4, 6], &grid);
            let w = Tensor::<2>::from_data(TensorData::new(values.clone(), [4, 6]), &device).require_grad();
            let q = fake_weight(w.clone(), per_channel.then_some(0), &scheme);
            let have: Vec<f32> = q.clone().inner().into_data().try_to_vec().unwrap();
            for (h, w) in have.iter().zip(&want) {
                assert!((h - w).abs() < 1e-5, "{scheme:?}: {have:?} {want:?}");
            }
            let grads = q.mul_scalar(3.0).sum().backward();
            let grad: Vec<f32> = w.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
            assert_eq!(grad, [3.0; 24], "straight through");
        }
    }

    #[test]
    fn activations_are_clipped_and_pass_gradients_only_inside() {
        let device = Device::flex().autodiff();
        let grid = affine::per_tensor(-1.0, 3.0, 4, false).unwrap();
        let values = vec![-2.0, -0.9, 0.0, 0.37, 2.9, 9.0];
        let x = Tensor::<1>::from_data(TensorData::new(values.clone(), [6]), &device).require_grad();
        let q = fake_activation(x.clone(), &grid);
        let have: Vec<f32> = q.clone().inner().into_data().try_to_vec().unwrap();
        for (h, w) in have.iter().zip(affine::fake(&values, &[6], &grid)) {
            assert!((h - w).abs() < 1e-6, "{have:?}");
        }
        let grads = q.sum().backward();
        let grad: Vec<f32> = x.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        assert_eq!(grad, [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    }
}
