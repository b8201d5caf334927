//! The settings of a training, as a form and a URL show them.

use super::{Loss, Optimizer, Schedule, TrainConfig};
use crate::params::{Config, ParamSpec};

/// The settings of the run `train`.
pub static PARAMS: &[ParamSpec] = &[
    ParamSpec::int("train.epochs", "Epochs", 1, 500, 10, "Passes over the training split."),
    ParamSpec::int("train.batch", "Batch", 1, 1024, 32, "Samples in a step.").unit("samples"),
    ParamSpec::float("train.rate", "Learning rate", 1e-5, 10.0, 0.02, "How far a step goes, at its peak.")
        .log(),
    ParamSpec::choice(
        "train.optimizer",
        "Optimizer",
        &[("adamw", "AdamW"), ("sgd", "SGD with momentum 0.9")],
        "adamw",
        "How a gradient becomes a step.",
    ),
    ParamSpec::choice(
        "train.schedule",
        "Schedule",
        &[("cosine", "cosine"), ("constant", "constant"), ("step", "halved five times")],
        "cosine",
        "How the learning rate changes over time.",
    ),
    ParamSpec::choice(
        "train.loss",
        "Loss",
        &[("cross-entropy", "cross-entropy"), ("squared", "squared error")],
        "cross-entropy",
        "What training minimises.",
    ),
    ParamSpec::float(
        "train.smoothing",
        "Label smoothing",
        0.0,
        0.5,
        0.0,
        "The part of each target that is spread over all classes.",
    ),
    ParamSpec::int("train.shift", "Shift", 0, 4, 0, "Images are moved by up to so many pixels, at random.")
        .unit("pixels"),
    ParamSpec::float(
        "train.decay",
        "Weight decay",
        0.0,
        1.0,
        0.01,
        "Pulls weights towards zero at every step.",
    ),
    ParamSpec::int(
        "train.patience",
        "Patience",
        0,
        100,
        0,
        "Stops when the validation loss has not improved for so many epochs; 0 is never.",
    )
    .unit("epochs"),
];

impl TrainConfig {
    /// From settings under the keys of [`PARAMS`]; absent ones have their defaults.
    pub fn from_params(config: &Config) -> Self {
        let int = |key: &str| u32::try_from(config.int(PARAMS, key)).unwrap_or(0);
        let float = |key: &str| config.float(PARAMS, key) as f32;
        let epochs = int("train.epochs");
        Self {
            loss: match config.text(PARAMS, "train.loss").as_str() {
                "squared" => Loss::SquaredError,
                _ => Loss::CrossEntropy,
            },
            epochs,
            batch: int("train.batch"),
            rate: float("train.rate"),
            optimizer: match config.text(PARAMS, "train.optimizer").as_str() {
                "sgd" => Optimizer::Sgd { momentum: 0.9 },
                _ => Optimizer::AdamW,
            },
            schedule: match config.text(PARAMS, "train.schedule").as_str() {
                "constant" => Schedule::Constant,
                "step" => Schedule::Step { every: epochs.div_ceil(6).max(1), factor: 0.5 },
                _ => Schedule::Cosine { warmup: 0.1 },
            },
            weight_decay: float("train.decay"),
            label_smoothing: float("train.smoothing"),
            shift: int("train.shift"),
            patience: int("train.patience"),
            recalibrate: 0,
            quantize: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_s_defaults_are_the_configuration_s() {
        assert_eq!(TrainConfig::from_params(&Config::default()), TrainConfig::default());
        assert_eq!(TrainConfig::from_params(&Config::defaults(PARAMS)), TrainConfig::default());
        Config::defaults(PARAMS).check(PARAMS).unwrap();
    }
}
