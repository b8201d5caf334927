//! The settings of the run `quantize`, as a form and a URL show them.

use super::{Calibration, Scheme};
use crate::params::{Config, ParamSpec};

/// The settings of the run `quantize`.
pub static PARAMS: &[ParamSpec] = &[
    ParamSpec::int("quant.weight_bits", "Weights", 2, 8, 8, "Bits of each weight.").unit("bits"),
    ParamSpec::int("quant.activation_bits", "Activations", 2, 8, 8, "Bits of each activation.").unit("bits"),
    ParamSpec::bool(
        "quant.per_channel",
        "Per channel",
        true,
        "Gives every output channel of a weight its own scale.",
    ),
    ParamSpec::bool("quant.symmetric", "Symmetric weights", true, "Puts the zero point of weights at 0."),
    ParamSpec::bool(
        "quant.symmetric_activations",
        "Symmetric activations",
        false,
        "Puts the zero point of activations at 0; after a ReLU half of the integers are then unused.",
    ),
    ParamSpec::choice(
        "quant.calibration",
        "Calibration",
        &[("min-max", "smallest and largest"), ("mse", "least squared error"), ("percentile", "percentile")],
        "min-max",
        "How ranges are chosen from what the network computes on calibration samples.",
    ),
    ParamSpec::float(
        "quant.percentile",
        "Percentile",
        90.0,
        100.0,
        99.9,
        "What the percentile calibration covers, on both sides.",
    )
    .unit("%"),
    ParamSpec::int(
        "quant.samples",
        "Calibration samples",
        1,
        4096,
        128,
        "Training samples that are run to see activations.",
    )
    .unit("samples"),
    ParamSpec::int(
        "quant.epochs",
        "Training",
        0,
        200,
        0,
        "Epochs of quantization-aware training before; 0 is none.",
    )
    .unit("epochs"),
    ParamSpec::float(
        "quant.rate",
        "Learning rate",
        1e-5,
        1.0,
        0.001,
        "Peak learning rate of the quantization-aware training.",
    )
    .log(),
];

impl Scheme {
    /// From settings under the keys of [`PARAMS`]; absent ones have their defaults.
    pub fn from_params(config: &Config) -> Self {
        let bits = |key: &str| u8::try_from(config.int(PARAMS, key)).unwrap_or(8);
        Self {
            weight_bits: bits("quant.weight_bits"),
            activation_bits: bits("quant.activation_bits"),
            per_channel: config.bool(PARAMS, "quant.per_channel"),
            symmetric_weights: config.bool(PARAMS, "quant.symmetric"),
            symmetric_activations: config.bool(PARAMS, "quant.symmetric_activations"),
            calibration: match config.text(PARAMS, "quant.calibration").as_str() {
                "mse" => Calibration::Mse,
                "percentile" => Calibration::Percentile(config.float(PARAMS, "quant.percentile") as f32),
                _ => Calibration::MinMax,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_s_defaults_are_int8() {
        Config::defaults(PARAMS).check(PARAMS).unwrap();
        assert_eq!(Scheme::from_params(&Config::default()), Scheme::int8());
    }
}
