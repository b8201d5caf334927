//! One pruning step as a job: score, choose, remove.

use super::select::{self, Budget, Scope};
use super::{Groups, criteria};
use crate::job::{JobCtx, Task};
use crate::model::{Graph, Model, Storage, Weight};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Whole channels, until the budget is met; the network shrinks.
    Channels(Budget),
    /// Single weights of products; masks come into force.
    Weights,
}

/// A pruning step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PruneTask {
    /// For the progress line.
    pub label: String,
    /// The model; masks in force stay so.
    pub model: Box<Model>,
    /// What goes.
    pub what: What,
    /// The part that is to be gone afterwards, 0 to 1: of this model's budget, or of all its
    /// weights (those masked already included).
    pub fraction: f64,
    /// A criterion's id.
    pub criterion: String,
    /// Whether layers compete.
    pub scope: Scope,
    /// Whether channel scores are divided by their layer's mean.
    pub normalize: bool,
    /// Seed of a random criterion.
    pub seed: u64,
}

/// The indices of every axis of every parameter that are left, in terms of another model's.
pub type Kept = BTreeMap<String, Vec<Vec<usize>>>;

/// What came of a pruning step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pruned {
    /// The pruned model.
    pub model: Model,
    /// What is left of the model's parameters.
    pub kept: Kept,
    /// Channel groups removed.
    pub channels: u32,
}

impl Task for PruneTask {
    const NAME: &'static str = "prune";
    type Output = Pruned;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Pruned> {
        ctx.host.checkpoint().await?;
        self.prune()
    }
}

impl PruneTask {
    /// Prunes.
    ///
    /// # Errors
    /// The criterion is unknown, the model is quantized or not sound, the fraction out of range.
    pub fn prune(&self) -> Result<Pruned> {
        self.model.check()?;
        let criterion = criteria::get(&self.criterion).ok_or_else(|| {
            Error::config("prune.criterion", format!("there is no criterion “{}”", self.criterion))
        })?;
        let model = &*self.model;
        match self.what {
            What::Weights => {
                let pruned = select::weights(criterion, model, self.fraction, self.scope, self.seed)?;
                Ok(Pruned { kept: everything(&model.graph), model: pruned, channels: 0 })
            }
            What::Channels(budget) => {
                let groups = Groups::of(&model.graph)?;
                if groups.classes.is_empty() {
                    return Err(Error::Unsupported(format!(
                        "“{}” has no channels that could go: they all belong to its input or its output",
                        model.graph.name
                    )));
                }
                let removed = select::channels(
                    criterion,
                    model,
                    &groups,
                    (budget, self.fraction),
                    (self.scope, self.normalize),
                    self.seed,
                )?;
                let mut kept = everything(&model.graph);
                for c in &removed {
                    for slice in &groups.classes[*c].slices {
                        let axis = &groups.axes[slice.axis];
                        if let Some(indices) = kept.get_mut(&axis.tensor).and_then(|k| k.get_mut(axis.axis)) {
                            indices.retain(|i| *i != slice.index);
                        }
                    }
                }
                let pruned = groups.shrink(model, &removed)?;
                Ok(Pruned { model: pruned, kept, channels: removed.len() as u32 })
            }
        }
    }
}

/// Every index of every axis of every parameter.
pub fn everything(graph: &Graph) -> Kept {
    let all = |shape: &Vec<usize>| shape.iter().map(|n| (0..*n).collect()).collect();
    graph.params.iter().map(|(name, p)| (name.clone(), all(&p.shape))).collect()
}

/// What is left after two steps: `second` speaks of what `first` left.
pub fn compose(first: &Kept, second: &Kept) -> Kept {
    let through = |name: &String, axes: &Vec<Vec<usize>>| {
        let before = first.get(name);
        axes.iter()
            .enumerate()
            .map(|(axis, kept)| {
                let old = before.and_then(|b| b.get(axis));
                kept.iter().filter_map(|i| old.map_or(Some(*i), |o| o.get(*i).copied())).collect()
            })
            .collect()
    };
    second.iter().map(|(name, axes)| (name.clone(), through(name, axes))).collect()
}

/// The masked twin of a shrunk model: its weights at their old places in the original, zero
/// elsewhere (statistics as they were). It computes the same function; see [`super::groups`].
pub fn masked_twin(original: &Model, shrunk: &Model, kept: &Kept) -> Model {
    let mut twin = original.clone();
    for (name, weight) in &mut twin.weights {
        let (Some(part), Some(axes)) = (shrunk.weights.get(name), kept.get(name)) else { continue };
        let trainable = original.graph.params.get(name).is_some_and(|p| p.trainable);
        let mut values = if trainable { vec![0.0; weight.len()] } else { weight.to_f32() };
        let mut offsets = vec![0];
        for (len, kept) in weight.shape.iter().zip(axes) {
            offsets = offsets.iter().flat_map(|o| kept.iter().map(move |i| o * len + i)).collect();
        }
        for (offset, value) in offsets.iter().zip(part.to_f32()) {
            if let Some(slot) = values.get_mut(*offset) {
                *slot = value;
            }
        }
        *weight = Weight { shape: weight.shape.clone(), storage: Storage::F32(values), mask: None };
    }
    twin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reference;
    use crate::model::{ConvOptions, GraphBuilder};
    use crate::prune::size::{compress, dense_bytes};

    #[test]
    fn steps_compose_and_the_masked_twin_computes_the_same() {
        let mut b = GraphBuilder::new("g", &[1, 6, 6]);
        let x = b.input();
        let options = ConvOptions { bias: true, ..ConvOptions::default() };
        let a = b.conv(&x, 12, 3, options).unwrap();
        let a = b.batch_norm(&a).unwrap();
        let a = b.unary("Relu", &a).unwrap();
        let c = b.conv(&a, 12, 3, options).unwrap();
        let s = b.add(&a, &c).unwrap();
        let s = b.unary("Flatten", &s).unwrap();
        let y = b.linear(&s, 3).unwrap();
        let original = Model::init(b.finish(&y).unwrap(), 6);
        let mut model = original.clone();
        let mut kept = everything(&original.graph);
        for fraction in [0.3, 0.4] {
            let task = PruneTask {
                label: String::new(),
                model: Box::new(model.clone()),
                what: What::Channels(Budget::Macs),
                fraction,
                criterion: "magnitude-l2".into(),
                scope: Scope::Global,
                normalize: true,
                seed: 0,
            };
            let pruned = task.prune().unwrap();
            kept = compose(&kept, &pruned.kept);
            model = pruned.model;
            // Stands for fine-tuning: the weights move.
            for weight in model.weights.values_mut() {
                if let Storage::F32(values) = &mut weight.storage {
                    values.iter_mut().for_each(|v| *v *= 1.01);
                }
            }
        }
        let macs = |m: &Model| m.graph.analyze(1).unwrap().total.macs as f64;
        assert!(macs(&model) <= 0.7 * 0.6 * macs(&original));
        let twin = masked_twin(&original, &model, &kept);
        twin.check().unwrap();
        let x: Vec<f32> = (0..36).map(|i| (i as f32 * 0.7).sin()).collect();
        let (a, b) = (reference::run(&model, &x).unwrap(), reference::run(&twin, &x).unwrap());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} {b:?}");
        assert_eq!(dense_bytes(&twin), dense_bytes(&original));
        assert!(compress(&twin).len() < compress(&original).len());
    }
}
