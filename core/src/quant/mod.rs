//! Quantization: affine arithmetic (shared) and one method per file.

pub mod affine;
pub mod calibration;
pub mod fold;
pub mod params;
pub mod post_training;
#[cfg(feature = "compute")]
pub mod run;
#[cfg(feature = "compute")]
pub mod task;

pub use fold::fold_batch_norm;
pub use post_training::quantize;

use serde::{Deserialize, Serialize};

/// How ranges are chosen from calibration data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Calibration {
    /// Smallest and largest value seen.
    MinMax,
    /// The given percentile on both sides, e.g. 99.9.
    Percentile(f32),
    /// The range with the least mean squared error.
    Mse,
}

/// What is quantized and how.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scheme {
    /// Bits of weights, 2 to 8.
    pub weight_bits: u8,
    /// Bits of activations, 2 to 8.
    pub activation_bits: u8,
    /// Whether each output channel of a weight has its own scale.
    pub per_channel: bool,
    /// Whether weights are symmetric around zero (zero point 0).
    pub symmetric_weights: bool,
    /// Whether activations are symmetric around zero.
    pub symmetric_activations: bool,
    /// How activation ranges are chosen.
    pub calibration: Calibration,
}

impl Scheme {
    /// Eight bits throughout: weights symmetric per output channel, activations asymmetric.
    pub const fn int8() -> Self {
        Self {
            weight_bits: 8,
            activation_bits: 8,
            per_channel: true,
            symmetric_weights: true,
            symmetric_activations: false,
            calibration: Calibration::MinMax,
        }
    }
}
