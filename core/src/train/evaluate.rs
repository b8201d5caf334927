//! How good a model is on a split: loss, accuracy, confusion, every answer.

use super::interpret::{Hook, NoHook, Plan, Shapes};
use super::{Loss, loss};
use crate::data::{Dataset, Split};
use crate::job::{Host, JobCtx, Task};
use crate::model::{Graph, Model};
use crate::ops::{Forward, Value};
use crate::protocol::Event;
use crate::{Error, Result};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// MACs in one chunk of samples, so that a chunk takes well below 50 ms.
const CHUNK_MACS: u64 = 20_000_000;
const CHUNK_SAMPLES: u64 = 512;
/// Right answers that a confusion matrix shows beside all wrong ones.
const RIGHT_SHOWN: usize = 24;

/// Evaluation as a job: the float network with a model's (dequantized) weights. Grids of
/// activations are the engine's matter and are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluateTask {
    /// For the progress line.
    pub label: String,
    /// The model.
    pub model: Box<Model>,
    /// Name of the data set.
    pub data: String,
    /// Which part of it.
    pub split: Split,
}

/// What came of an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy in nats.
    pub loss: f32,
    /// Part of right answers, 0 to 1.
    pub accuracy: f32,
    /// Class names.
    pub classes: Vec<String>,
    /// `confusion[truth][answer]`: counts.
    pub confusion: Vec<Vec<u32>>,
    /// `(sample index in the data set, truth, answer)` of every sample of the split.
    pub answers: Vec<(u32, u32, u32)>,
}

impl Evaluation {
    /// The confusion matrix for the page: every wrong answer and one page of right ones.
    pub fn event(&self) -> Event {
        let right = self.answers.iter().filter(|(_, truth, answer)| truth == answer).count();
        let every = right.div_ceil(RIGHT_SHOWN).max(1);
        let mut nth = 0;
        let shown = |(_, truth, answer): &&(u32, u32, u32)| {
            if truth != answer {
                return true;
            }
            nth += 1;
            (nth - 1) % every == 0
        };
        Event::Confusion {
            classes: self.classes.clone(),
            counts: self.confusion.clone(),
            samples: self.answers.iter().filter(shown).copied().collect(),
        }
    }
}

impl Task for EvaluateTask {
    const NAME: &'static str = "evaluate";
    type Output = Evaluation;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Evaluation> {
        let data = ctx.dataset(&self.data)?;
        check(&self.model.graph, &data)?;
        self.model.check()?;
        let plan = Plan::new(&self.model.graph)?;
        let params = plan.upload(&self.model, &ctx.device)?;
        let mut passes = Passes::new(&plan, &ctx.device, ctx.host);
        let indices = data.split(self.split);
        let logits = passes.logits(&params, &data, indices, &NoHook).await?;
        Ok(judge(&data, indices, &logits))
    }
}

/// Checks that a graph can learn a data set, before any tensor exists.
///
/// # Errors
/// Says what the graph takes or gives, and what the data set has.
pub fn check(graph: &Graph, data: &Dataset) -> Result<()> {
    let wrong = |message: String| Err(Error::Graph { graph: graph.name.clone(), message });
    let plan = Plan::new(graph)?;
    match plan.input_shape() {
        Some(shape) if shape == data.shape => {}
        shape => {
            let takes = shape.map_or("another kind of input".to_owned(), |s| format!("samples of {s:?}"));
            return wrong(format!(
                "it takes {takes}; the data set “{}” has samples of {:?}",
                data.name, data.shape
            ));
        }
    }
    // Two samples, so that a batch axis is told from an axis of length 1.
    let shapes = graph.analyze(2)?.shapes;
    let output = graph.outputs.first().and_then(|o| shapes.get(o)).cloned().unwrap_or_default();
    if output != [2, data.classes.len()] {
        return wrong(format!(
            "for 2 samples it gives {output:?}; the data set “{}” has {} classes, so [2, {}] belongs there",
            data.name,
            data.classes.len(),
            data.classes.len()
        ));
    }
    Ok(())
}

/// Forward passes without gradients, in chunks small enough to pause between.
pub(super) struct Passes<'a> {
    plan: &'a Plan,
    device: &'a Device,
    host: &'a dyn Host,
    shapes: BTreeMap<usize, Shapes>,
    chunk: usize,
}

impl<'a> Passes<'a> {
    pub fn new(plan: &'a Plan, device: &'a Device, host: &'a dyn Host) -> Self {
        let chunk = (CHUNK_MACS / plan.macs().max(1)).clamp(1, CHUNK_SAMPLES) as usize;
        Self { plan, device, host, shapes: BTreeMap::new(), chunk }
    }

    /// The logits of some samples, row-major `[samples, classes]`.
    pub async fn logits(
        &mut self,
        params: &[Value],
        data: &Dataset,
        indices: &[u32],
        hook: &dyn Hook,
    ) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(indices.len() * data.classes.len());
        for part in indices.chunks(self.chunk) {
            self.host.checkpoint().await?;
            if !self.shapes.contains_key(&part.len()) {
                self.shapes.insert(part.len(), self.plan.shapes(part.len())?);
            }
            let Some(shapes) = self.shapes.get(&part.len()) else { continue };
            let (inputs, _) = data.gather(part);
            let input = upload(inputs, part.len(), data, self.device)?;
            let mut ctx = Forward::default();
            let outputs = self.plan.forward(params, input, shapes, &mut ctx, hook)?;
            if let Some(output) = outputs.first() {
                logits.extend(output.to_host().await?);
            }
        }
        Ok(logits)
    }
}

/// A batch of samples on the device: `[batch, ...shape]`.
pub(crate) fn upload(inputs: Vec<f32>, batch: usize, data: &Dataset, device: &Device) -> Result<Value> {
    let mut shape = vec![batch];
    shape.extend(&data.shape);
    Value::from_host(inputs, &shape, device)
}

/// Loss, accuracy, confusion and answers from logits.
pub(super) fn judge(data: &Dataset, indices: &[u32], logits: &[f32]) -> Evaluation {
    let n = data.classes.len();
    let labels: Vec<u32> = indices.iter().map(|i| data.labels[*i as usize]).collect();
    let (sum, right) = loss::tally(Loss::CrossEntropy, logits, &labels, n);
    let mut confusion = vec![vec![0; n]; n];
    let mut answers = Vec::with_capacity(indices.len());
    for ((row, index), truth) in logits.chunks_exact(n).zip(indices).zip(&labels) {
        let answer = loss::argmax(row);
        confusion[*truth as usize][answer] += 1;
        answers.push((*index, *truth, answer as u32));
    }
    let count = indices.len().max(1) as f64;
    Evaluation {
        loss: (sum / count) as f32,
        accuracy: (right as f64 / count) as f32,
        classes: data.classes.clone(),
        confusion,
        answers,
    }
}
