//! Calibrating, quantizing and evaluating as a job.

use super::{Scheme, quantize};
use crate::data::Split;
use crate::engine;
use crate::job::{JobCtx, Task};
use crate::model::Model;
use crate::rng::Rng;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Quantizes a model and measures both on the engine: the float one in f32, the quantized one on
/// its integers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantizeTask {
    /// For the progress line.
    pub label: String,
    /// The float model.
    pub model: Box<Model>,
    /// Name of the data set.
    pub data: String,
    /// What is quantized and how.
    pub scheme: Scheme,
    /// Calibration samples, from the training split.
    pub samples: u32,
    /// Seed of their choice.
    pub seed: u64,
}

/// What came of quantizing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantized {
    /// The model on integers.
    pub model: Model,
    /// Accuracies of the float model in f32.
    pub float: Accuracies,
    /// Accuracies of the quantized model on integers.
    pub integer: Accuracies,
}

/// Accuracies on two splits, measured on the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracies {
    /// On the validation split, 0 to 1.
    pub validation: f64,
    /// On the test split, 0 to 1.
    pub test: f64,
}

impl Task for QuantizeTask {
    const NAME: &'static str = "quantize";
    type Output = Quantized;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Quantized> {
        let data = ctx.dataset(&self.data)?;
        let mut indices = data.split(Split::Train).to_vec();
        Rng::stream(self.seed, "quant.calibration").shuffle(&mut indices);
        indices.truncate(self.samples as usize);
        if indices.is_empty() {
            return Err(Error::Data {
                name: data.name.clone(),
                message: "it has no samples to calibrate on".into(),
            });
        }
        let (inputs, _) = data.gather(&indices);
        ctx.host.checkpoint().await?;
        let model = quantize(&self.model, &inputs, &self.scheme)?;
        let mut measured = [Accuracies::default(); 2];
        for (model, accuracies) in [&*self.model, &model].into_iter().zip(&mut measured) {
            ctx.host.checkpoint().await?;
            accuracies.validation = engine::evaluate(model, &data, Split::Validation)?.accuracy;
            ctx.host.checkpoint().await?;
            accuracies.test = engine::evaluate(model, &data, Split::Test)?.accuracy;
        }
        let [float, integer] = measured;
        Ok(Quantized { model, float, integer })
    }
}
