//! Training: a graph interpreted on Burn with autodiff, losses, optimizers, the loop.
//!
//! What a training is (its configuration) is plain data, known to the page too; what it does needs
//! the `compute` feature.

#[cfg(feature = "compute")]
pub mod attack;
#[cfg(feature = "compute")]
pub(crate) mod batches;
#[cfg(feature = "compute")]
pub mod custom;
#[cfg(feature = "compute")]
pub mod detect;
#[cfg(feature = "compute")]
pub mod device_time;
#[cfg(feature = "compute")]
pub mod evaluate;
#[cfg(feature = "compute")]
pub mod fake_quant;
#[cfg(feature = "compute")]
pub mod interpret;
#[cfg(feature = "compute")]
pub mod loss;
#[cfg(feature = "compute")]
pub mod optimize;
pub mod params;
#[cfg(feature = "compute")]
pub mod population;
#[cfg(feature = "compute")]
pub mod run;
#[cfg(feature = "compute")]
pub(crate) mod schedule;
#[cfg(feature = "compute")]
pub mod segment;
#[cfg(feature = "compute")]
pub mod self_test;
pub mod step_time;
#[cfg(feature = "compute")]
mod task;

use crate::model::{Graph, Model};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Optimizers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Optimizer {
    /// Stochastic gradient descent with momentum (Polyak, 1964).
    Sgd {
        /// Momentum, 0 to 1.
        momentum: f32,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    AdamW,
}

/// Learning-rate schedules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Schedule {
    /// The same rate throughout.
    Constant,
    /// Half a cosine down to zero (Loshchilov and Hutter, 2017), after a linear warm-up over the
    /// first part of training.
    Cosine {
        /// Part of training that warms up, 0 to 1.
        warmup: f32,
    },
    /// Multiplied by `factor` every `every` epochs.
    Step {
        /// Epochs between drops.
        every: u32,
        /// What the rate is multiplied by.
        factor: f32,
    },
    /// Falls by `factor` with every epoch, evenly over its steps, down to `floor` times the peak, and
    /// stays there (Yu et al., "BigNAS", 2020, arXiv:2003.11142, section 3.3); over the first part of training it
    /// is held below by a linear warm-up.
    Exponential {
        /// Part of training that warms up, 0 to 1.
        warmup: f32,
        /// What the rate is multiplied by in an epoch, 0 to 1.
        factor: f32,
        /// The part of the peak rate at which it stays, 0 to 1.
        floor: f32,
    },
}

/// What training minimises.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub enum Loss {
    /// Cross-entropy of the softmax of the outputs with the labels.
    #[default]
    CrossEntropy,
    /// Mean squared error of the outputs against the one-hot labels (Hui and Belkin, "Evaluation
    /// of Neural Architectures Trained with Square Loss vs Cross-Entropy", ICLR 2021).
    SquaredError,
}

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// What is minimised.
    pub loss: Loss,
    /// Passes over the training split; 0 only evaluates.
    pub epochs: u32,
    /// Samples in a step.
    pub batch: u32,
    /// Peak learning rate.
    pub rate: f32,
    /// Optimizer.
    pub optimizer: Optimizer,
    /// Schedule.
    pub schedule: Schedule,
    /// Weight decay; not on biases and norms.
    pub weight_decay: f32,
    /// Label smoothing, 0 to 1 (Szegedy et al., 2016).
    pub label_smoothing: f32,
    /// Images are shifted by up to so many pixels, at random, each axis. Tables have no
    /// neighbours to shift to and are left as they are.
    pub shift: u32,
    /// Stops when the validation loss has not improved for so many epochs; 0 is never. The best
    /// weights are kept.
    pub patience: u32,
    /// Batches of the training split over which batch-norm statistics are taken anew after
    /// training; 0 is not at all.
    pub recalibrate: u32,
    /// Trains with fake quantization and straight-through gradients, where set. Batch norms are
    /// folded first; the trained model is the folded float one, ready for `quant::quantize`, and
    /// its figures are those of the fake-quantized network.
    pub quantize: Option<crate::quant::Scheme>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            loss: Loss::CrossEntropy,
            epochs: 10,
            batch: 32,
            rate: 0.02,
            optimizer: Optimizer::AdamW,
            schedule: Schedule::Cosine { warmup: 0.1 },
            weight_decay: 0.01,
            label_smoothing: 0.0,
            shift: 0,
            patience: 0,
            recalibrate: 0,
            quantize: None,
        }
    }
}

impl TrainConfig {
    /// Checks every number.
    ///
    /// # Errors
    /// Names the first one that is out of range.
    pub fn check(&self) -> Result<()> {
        let within = |key: &str, value: f32, range: std::ops::RangeInclusive<f32>| {
            if range.contains(&value) {
                return Ok(());
            }
            let (low, high) = range.into_inner();
            Err(Error::config(key, format!("{value} is not a number between {low} and {high}")))
        };
        if self.batch == 0 {
            return Err(Error::config("batch", "a step takes at least one sample"));
        }
        within("rate", self.rate, 1e-9..=100.0)?;
        within("weight decay", self.weight_decay, 0.0..=10.0)?;
        within("label smoothing", self.label_smoothing, 0.0..=0.99)?;
        if let Optimizer::Sgd { momentum } = self.optimizer {
            within("momentum", momentum, 0.0..=0.9999)?;
        }
        match self.schedule {
            Schedule::Constant => Ok(()),
            Schedule::Cosine { warmup } => within("warm-up", warmup, 0.0..=1.0),
            Schedule::Step { factor, .. } => within("step factor", factor, 0.0..=1.0),
            Schedule::Exponential { warmup, factor, floor } => {
                within("warm-up", warmup, 0.0..=1.0)?;
                within("factor", factor, 0.0..=1.0)?;
                within("floor", floor, 0.0..=1.0)
            }
        }
    }
}

/// What training starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Start {
    /// Fresh weights, from the task's seed.
    Fresh(Graph),
    /// A model's weights and masks; masked weights stay zero.
    Model(Box<Model>),
}

/// Training as a job. Implements `job::Task` (with the `compute` feature) under the name `train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainTask {
    /// For the progress line.
    pub label: String,
    /// What it starts from.
    pub start: Start,
    /// Name of the data set.
    pub data: String,
    /// How.
    pub config: TrainConfig,
    /// Seed of initialisation, order and augmentation, by named substreams.
    pub seed: u64,
    /// Whether to evaluate on the test split at the end.
    pub test: bool,
}

/// One epoch's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss over the epoch's steps.
    pub train_loss: f32,
    /// Accuracy over the epoch's steps, 0 to 1.
    pub train_accuracy: f32,
    /// Validation loss after it.
    pub val_loss: f32,
    /// Validation accuracy after it, 0 to 1.
    pub val_accuracy: f32,
}

/// What comes of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The trained model (the best one where patience is set).
    pub model: Model,
    /// Every epoch.
    pub history: Vec<Epoch>,
    /// Validation loss of `model`.
    pub val_loss: f32,
    /// Validation accuracy of `model`, 0 to 1.
    pub val_accuracy: f32,
    /// Test accuracy of `model`, 0 to 1, where asked for.
    pub test_accuracy: Option<f32>,
    /// MACs spent: forward MACs × samples seen × 3 (forward, and backward as two forwards).
    pub macs: u64,
}

#[cfg(test)]
#[cfg(feature = "compute")]
mod tests;
