//! Optimizers over all parameters at once: they live in one flat vector, so that an update is a
//! dozen operations however many layers there are.
//!
//! SGD with momentum: Polyak, 1964; decay is added to the gradient. AdamW: Loshchilov and Hutter,
//! "Decoupled Weight Decay Regularization", ICLR 2019, arXiv:1711.05101.

use super::interpret::Plan;
use super::{Optimizer, TrainConfig};
use crate::Result;
use crate::map_value;
use crate::model::{Model, Weight};
use crate::ops::Value;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// What an optimizer remembers, on the host: to go on later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// Momentum; Adam's first moment.
    pub first: Vec<f32>,
    /// Adam's second moment.
    pub second: Vec<f32>,
    /// Steps taken.
    pub steps: i32,
}

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// The trainable parameters with their optimizer's state, flat.
pub struct Flat {
    shapes: Vec<Vec<usize>>,
    values: Tensor<1>,
    /// Momentum; Adam's first moment.
    first: Tensor<1>,
    /// Adam's second moment.
    second: Tensor<1>,
    /// 1 where decay applies: not on biases and norms, which have rank 1.
    decays: Tensor<1>,
    /// 1 where a pruning mask keeps the weight; `None` where nothing is masked.
    keeps: Option<Tensor<1>>,
    steps: i32,
}

impl Flat {
    /// The trainable parameters of a model, with its pruning masks, in the order of [`Plan::params`]. `None` where
    /// there are none.
    pub fn of(model: &Model, plan: &Plan, device: &Device) -> Option<Self> {
        let trained = plan.params().iter().zip(plan.trainable()).filter(|(_, trained)| **trained);
        let weights: Vec<&Weight> = trained.filter_map(|(name, _)| model.weights.get(name)).collect();
        let mask = |w: &&Weight| {
            w.mask.is_some().then(|| (0..w.len()).map(|i| f32::from(w.kept(i))).collect::<Vec<f32>>())
        };
        let values: Vec<Vec<f32>> = weights.iter().map(|w| w.to_f32()).collect();
        let masks: Vec<Option<Vec<f32>>> = weights.iter().map(mask).collect();
        Self::new(weights.iter().map(|w| w.shape.clone()).collect(), &values, &masks, device)
    }

    /// Parameters by shape and host values; `masks[i]` gives 1 for kept and 0 for masked weights.
    /// `None` where there are none.
    pub fn new(
        shapes: Vec<Vec<usize>>,
        values: &[Vec<f32>],
        masks: &[Option<Vec<f32>>],
        device: &Device,
    ) -> Option<Self> {
        let upload = |v: Vec<f32>| {
            let n = v.len();
            Tensor::<1>::from_data(TensorData::new(v, [n]), device)
        };
        let total: usize = values.iter().map(Vec::len).sum();
        if total == 0 {
            return None;
        }
        let decays = shapes
            .iter()
            .zip(values)
            .flat_map(|(shape, v)| std::iter::repeat_n(if shape.len() > 1 { 1.0 } else { 0.0 }, v.len()));
        let decays = upload(decays.collect());
        let keeps = masks.iter().any(Option::is_some).then(|| {
            let mask = masks.iter().zip(values).flat_map(|(mask, v)| match mask {
                Some(mask) => mask.clone(),
                None => vec![1.0; v.len()],
            });
            upload(mask.collect())
        });
        let mut flat = upload(values.concat());
        if let Some(keeps) = &keeps {
            flat = flat * keeps.clone();
        }
        let zeros = upload(vec![0.0; total]);
        Some(Self { shapes, values: flat, first: zeros.clone(), second: zeros, decays, keeps, steps: 0 })
    }

    /// The parameters, each in its shape, as leaves whose gradients are kept.
    ///
    /// # Errors
    /// A parameter's rank is above 5.
    pub fn leaves(&self) -> Result<Vec<Value>> {
        let leaf = |v: Value| map_value!(v, t => t.autodiff().require_grad());
        Ok(self.tensors()?.into_iter().map(leaf).collect())
    }

    /// The parameters, each in its shape, without autodiff.
    ///
    /// # Errors
    /// A parameter's rank is above 5.
    pub fn tensors(&self) -> Result<Vec<Value>> {
        let mut start = 0;
        let part = |shape: &Vec<usize>| {
            let end = start + shape.iter().product::<usize>();
            let part = Value::R1(self.values.clone().slice(start..end));
            start = end;
            part.reshape(shape)
        };
        self.shapes.iter().map(part).collect()
    }

    /// One step down the gradients of `leaves` (as [`Flat::leaves`] made them).
    pub fn step(&mut self, leaves: &[Value], mut grads: Gradients, config: &TrainConfig, rate: f32) {
        let gradient = |leaf: &Value| {
            let n: usize = leaf.dims().iter().product();
            let grad = crate::with_value!(leaf, t => t.grad_remove(&mut grads).map(|g| g.reshape([n])));
            // A parameter that no output depends on has none.
            grad.unwrap_or_else(|| Tensor::zeros([n], &self.values.device()))
        };
        let grad = Tensor::cat(leaves.iter().map(gradient).collect(), 0);
        // A masked weight is not part of the network: nothing of it may reach the moments, from
        // which it would jump where a method takes it back.
        let grad = match &self.keeps {
            Some(keeps) => grad * keeps.clone(),
            None => grad,
        };
        self.steps += 1;
        let values = self.values.clone();
        let decay = (config.weight_decay > 0.0).then(|| self.decays.clone() * values.clone());
        let next = match config.optimizer {
            Optimizer::Sgd { momentum } => {
                let grad = match decay {
                    Some(decay) => grad + decay.mul_scalar(config.weight_decay),
                    None => grad,
                };
                self.first = self.first.clone().mul_scalar(momentum) + grad;
                values - self.first.clone().mul_scalar(rate)
            }
            Optimizer::AdamW => {
                let (old1, old2) = (self.first.clone(), self.second.clone());
                self.first = old1.mul_scalar(BETA1) + grad.clone().mul_scalar(1.0 - BETA1);
                self.second = old2.mul_scalar(BETA2) + grad.square().mul_scalar(1.0 - BETA2);
                let (c1, c2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
                let root = self.second.clone().sqrt().div_scalar(c2.sqrt()).add_scalar(EPSILON);
                let next = values - (self.first.clone() / root).mul_scalar(rate / c1);
                match decay {
                    Some(decay) => next - decay.mul_scalar(rate * config.weight_decay),
                    None => next,
                }
            }
        };
        self.values = match &self.keeps {
            Some(keeps) => next * keeps.clone(),
            None => next,
        };
    }

    /// Takes over values and masks that were changed on the host; masked values become zero. The
    /// optimizer's moments stay.
    pub fn replace(&mut self, held: &[super::interpret::Held], device: &Device) {
        let upload = |v: Vec<f32>| {
            let n = v.len();
            Tensor::<1>::from_data(TensorData::new(v, [n]), device)
        };
        self.values = upload(held.iter().flat_map(|h| h.values.iter().copied()).collect());
        self.keeps = held.iter().any(|h| h.keep.is_some()).then(|| {
            let keep = held.iter().flat_map(|h| {
                let kept = |i: usize| h.keep.as_ref().is_none_or(|k| k[i]);
                (0..h.values.len()).map(move |i| f32::from(kept(i)))
            });
            upload(keep.collect())
        });
        if let Some(keeps) = &self.keeps {
            self.values = self.values.clone() * keeps.clone();
        }
    }

    /// Reads the optimizer's moments back.
    ///
    /// # Errors
    /// The device failed.
    pub async fn moments(&self) -> Result<Moments> {
        let first = Value::R1(self.first.clone()).to_host().await?;
        let second = Value::R1(self.second.clone()).to_host().await?;
        Ok(Moments { first, second, steps: self.steps })
    }

    /// Goes on with moments of as many values; others are left aside.
    pub fn resume(&mut self, moments: &Moments, device: &Device) {
        let n = self.first.dims()[0];
        if moments.first.len() == n && moments.second.len() == n {
            let upload = |v: &Vec<f32>| Tensor::<1>::from_data(TensorData::new(v.clone(), [n]), device);
            (self.first, self.second) = (upload(&moments.first), upload(&moments.second));
            self.steps = moments.steps;
        }
    }

    /// A copy of the values as they are now, for going back to them.
    pub fn snapshot(&self) -> Tensor<1> {
        self.values.clone()
    }

    /// Goes back to a snapshot.
    pub fn restore(&mut self, snapshot: Tensor<1>) {
        self.values = snapshot;
    }

    /// Reads the values back, one list per parameter.
    ///
    /// # Errors
    /// The device failed.
    pub async fn to_host(&self) -> Result<Vec<Vec<f32>>> {
        let all = Value::R1(self.values.clone()).to_host().await?;
        let mut rest = all.as_slice();
        let part = |shape: &Vec<usize>| {
            let (part, tail) = rest.split_at(shape.iter().product());
            rest = tail;
            part.to_vec()
        };
        Ok(self.shapes.iter().map(part).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows the published update rules in f64 on f(w) = Σ a·w², whose gradient is 2·a·w.
    fn by_hand(config: &TrainConfig, steps: i32) -> Vec<f64> {
        let a = [0.5, 2.0, 1.0];
        let mut w = [1.0f64, -2.0, 3.0];
        let (mut m, mut v) = ([0.0f64; 3], [0.0f64; 3]);
        let (rate, wd) = (f64::from(config.rate), f64::from(config.weight_decay));
        for t in 1..=steps {
            for i in 0..3 {
                let g = 2.0 * a[i] * w[i];
                // The first two are a matrix and decay; the third is a bias and does not.
                let decay = if i < 2 { wd } else { 0.0 };
                match config.optimizer {
                    Optimizer::Sgd { momentum } => {
                        m[i] = f64::from(momentum) * m[i] + g + decay * w[i];
                        w[i] -= rate * m[i];
                    }
                    Optimizer::AdamW => {
                        m[i] = 0.9 * m[i] + 0.1 * g;
                        v[i] = 0.999 * v[i] + 0.001 * g * g;
                        let (mh, vh) = (m[i] / (1.0 - 0.9f64.powi(t)), v[i] / (1.0 - 0.999f64.powi(t)));
                        w[i] -= rate * (mh / (vh.sqrt() + 1e-8) + decay * w[i]);
                    }
                }
            }
        }
        w.to_vec()
    }

    fn run(config: &TrainConfig, steps: i32, masks: &[Option<Vec<f32>>]) -> Vec<f32> {
        let device = Device::flex();
        let shapes = vec![vec![1, 2], vec![1]];
        let mut flat = Flat::new(shapes, &[vec![1.0, -2.0], vec![3.0]], masks, &device).unwrap();
        for _ in 0..steps {
            let leaves = flat.leaves().unwrap();
            let (Value::R2(w), Value::R1(b)) = (&leaves[0], &leaves[1]) else { panic!("ranks") };
            let a = Tensor::<2>::from_floats([[0.5, 2.0]], &device);
            let loss = (w.clone().square() * a).sum() + b.clone().square().sum();
            flat.step(&leaves, loss.backward(), config, config.rate);
        }
        flat.values.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn updates_follow_the_published_rules() {
        for optimizer in [Optimizer::Sgd { momentum: 0.9 }, Optimizer::AdamW] {
            let config = TrainConfig { optimizer, rate: 0.05, weight_decay: 0.1, ..TrainConfig::default() };
            let (have, want) = (run(&config, 20, &[None, None]), by_hand(&config, 20));
            for (h, w) in have.iter().zip(&want) {
                assert!((f64::from(*h) - w).abs() < 1e-4, "{optimizer:?}: {have:?} {want:?}");
            }
        }
    }

    #[test]
    fn masked_weights_stay_exactly_zero() {
        let masks = [Some(vec![1.0, 0.0]), None];
        for optimizer in [Optimizer::Sgd { momentum: 0.9 }, Optimizer::AdamW] {
            let config = TrainConfig { optimizer, ..TrainConfig::default() };
            let values = run(&config, 5, &masks);
            assert!(values[1] == 0.0 && values[0] != 1.0, "{values:?}");
        }
    }
}
