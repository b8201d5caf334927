//! Population-batched training: many small networks of one shape family as one computation.
//!
//! Small networks leave a device idle: each of their operators costs more to begin than to compute. Networks
//! that differ in their sizes alone are one network of parallel branches: their channels side by side, their
//! convolutions one grouped convolution, their fully connected layers one batched product. The idea is that of
//! grouped convolutions as parallel models (Krizhevsky, Sutskever and Hinton, 2012) and of vectorised ensembles
//! (functorch's model ensembling, 2022). Narrower members are padded to the widest with weights that are masked:
//! a masked weight is zero and stays so, hence whatever stands in a padded channel reaches nobody.
//!
//! Each member sees the batches that it would see alone, and its loss reaches only its own weights; so it trains
//! as it would alone, up to rounding.

use super::batches::Batches;
use super::custom::Custom;
use super::evaluate::{Passes, check};
use super::interpret::NoHook;
use super::{Epoch, Start, TrainConfig, Trained, loss, schedule};
use crate::data::{Dataset, Split};
use crate::job::{JobCtx, Task};
use crate::model::{Analysis, Attr, Attrs, Graph, Init, Model, Node, Param, Storage};
use crate::ops::Value;
use crate::protocol::JobProgress;
use crate::{Error, Result};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Where a member's values stand in a parameter of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Its rows (axis 0) after those of the members before it.
    Rows,
    /// A matrix of its own, transposed: `[outputs, inputs]` stands in `[members, inputs, outputs]`.
    Matrix,
}

/// Networks of one family as one network: input `[batch, ...]` as theirs, output `[batch, members·classes]`.
pub struct Population {
    graph: Graph,
    members: usize,
    /// Of every parameter: where, and the sizes that each member is padded to.
    places: BTreeMap<String, (Place, Vec<usize>)>,
}

/// Operators that treat every channel by itself.
const CHANNELWISE: [&str; 15] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Gelu",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "MaxPool",
    "Mul",
    "Relu",
    "Sigmoid",
    "Sub",
    "Tanh",
];

/// Whether networks may be one family: everything but their sizes is the same. A cheap test that [`Population::new`]
/// refines.
pub fn alike(a: &Graph, b: &Graph) -> bool {
    let depthwise = |node: &Node| node.int("group", 1) > 1;
    a.inputs == b.inputs
        && a.outputs == b.outputs
        && a.params.keys().eq(b.params.keys())
        && a.nodes.len() == b.nodes.len()
        && a.nodes.iter().zip(&b.nodes).all(|(a, b)| {
            let rest = |n: &Node| -> Attrs {
                n.attrs.iter().filter(|(k, _)| *k != "group").map(|(k, v)| (k.clone(), v.clone())).collect()
            };
            a.op == b.op
                && a.inputs == b.inputs
                && a.outputs == b.outputs
                && depthwise(a) == depthwise(b)
                && rest(a) == rest(b)
        })
}

/// The largest of each axis.
fn widest(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let mut most = shapes.first()?.to_vec();
    for shape in shapes {
        if shape.len() != most.len() {
            return None;
        }
        most.iter_mut().zip(*shape).for_each(|(m, n)| *m = (*m).max(*n));
    }
    Some(most)
}

/// Joins node by node; `None` anywhere ends it.
struct Joiner<'a> {
    graphs: &'a [&'a Graph],
    analyses: Vec<Analysis>,
    joined: Graph,
    places: BTreeMap<String, (Place, Vec<usize>)>,
    /// Activations of which every member has one of its own.
    split: BTreeSet<&'a str>,
}

impl<'a> Joiner<'a> {
    fn shapes(&self, tensor: &str) -> Vec<&[usize]> {
        self.analyses.iter().map(|a| a.shapes.get(tensor).map_or(&[][..], Vec::as_slice)).collect()
    }

    /// A parameter of all, each member's padded to `most`.
    fn param(&mut self, name: &str, place: Place, most: Vec<usize>) -> Option<()> {
        let members = self.graphs.len();
        let shape = match (place, most.as_slice()) {
            (Place::Rows, [rows, rest @ ..]) => [&[members * rows], rest].concat(),
            (Place::Matrix, [outputs, inputs]) => vec![members, *inputs, *outputs],
            _ => return None,
        };
        let trainable = self.graphs[0].params.get(name)?.trainable;
        let known = self.places.insert(name.into(), (place, most.clone()));
        if known.is_some_and(|known| known != (place, most)) {
            return None;
        }
        // The members' own weights are put there before it is used.
        self.joined.params.insert(name.into(), Param { shape, init: Init::Constant(0.0), trainable });
        Some(())
    }

    fn rows(&mut self, name: &str) -> Option<()> {
        if name.is_empty() {
            return Some(());
        }
        let most = widest(&self.shapes(name))?;
        self.param(name, Place::Rows, most)
    }

    fn node(&mut self, index: usize) -> Option<()> {
        let node = self.graphs.first()?.nodes.get(index)?;
        let members = self.graphs.len();
        let is_param = |name: &String| self.graphs[0].params.contains_key(name);
        let first = node.inputs.first()?;
        let split = self.split.contains(first.as_str());
        let mut joined = node.clone();
        match node.op.as_str() {
            "Conv" => {
                let weights = self.shapes(node.inputs.get(1)?);
                let inputs = self.shapes(first);
                let channels = |i: usize| inputs[i].get(1).copied().unwrap_or(0);
                let group = |g: &&Graph| g.nodes.get(index).map_or(0, |n| n.int("group", 1) as usize);
                let groups: Vec<usize> = self.graphs.iter().map(group).collect();
                let group = match split {
                    _ if groups.iter().all(|g| *g == 1) => {
                        if split {
                            members
                        } else {
                            1
                        }
                    }
                    // Depthwise, one filter a channel.
                    true if (0..members)
                        .all(|i| groups[i] == channels(i) && weights[i].first() == Some(&groups[i])) =>
                    {
                        members * widest(&inputs)?.get(1)?
                    }
                    _ => return None,
                };
                joined.attrs.insert("group".into(), Attr::Int(group as i64));
                node.inputs.iter().skip(1).try_for_each(|name| self.rows(name))?;
            }
            "Gemm" => {
                let plain = node.int("transB", 0) == 1
                    && node.int("transA", 0) == 0
                    && node.float("alpha", 1.0) == 1.0
                    && node.float("beta", 1.0) == 1.0;
                if !plain || !node.inputs.iter().skip(1).all(|n| n.is_empty() || is_param(n)) {
                    return None;
                }
                if !split {
                    node.inputs.iter().skip(1).try_for_each(|name| self.rows(name))?;
                } else {
                    return self.batched(node);
                }
            }
            "Flatten" if node.int("axis", 1) == 1 => {
                // Features are channel by channel, so padded channels stand behind the member's own; their sizes
                // in space must agree.
                let shapes = self.shapes(first);
                if shapes.iter().any(|s| s.get(2..) != shapes[0].get(2..)) {
                    return None;
                }
            }
            "Resize" if !split => {}
            op if CHANNELWISE.contains(&op) => {
                // All of them split, or none; parameters by rows where the channels are.
                for input in node.inputs.iter().filter(|n| !n.is_empty()) {
                    if is_param(input) && split && self.shapes(input).iter().all(|s| s.len() == 1) {
                        self.rows(input)?;
                    } else if is_param(input) || self.split.contains(input.as_str()) != split {
                        return None;
                    }
                }
                let shapes = self.shapes(first);
                if split && shapes.iter().any(|s| s.get(2..) != shapes[0].get(2..)) {
                    return None;
                }
            }
            _ => return None,
        }
        if split || matches!(node.op.as_str(), "Conv" | "Gemm") {
            self.split.extend(node.outputs.iter().map(String::as_str));
        }
        self.joined.nodes.push(joined);
        Some(())
    }

    /// A fully connected layer as a product of matrices, one for each member.
    fn batched(&mut self, node: &'a Node) -> Option<()> {
        let members = self.graphs.len();
        let (x, weight, y) = (node.inputs.first()?, node.inputs.get(1)?, node.outputs.first()?);
        let most = widest(&self.shapes(weight))?;
        let [outputs, inputs] = most[..] else { return None };
        self.param(weight, Place::Matrix, most)?;
        let bias = node.inputs.get(2).filter(|n| !n.is_empty());
        bias.map_or(Some(()), |bias| self.rows(bias))?;
        let made = |part: &str| format!("{}.{part}", node.name);
        let mut add = |op: &str, inputs: &[&str], output: &str, attrs: &[(&str, Vec<i64>)]| {
            let attrs = attrs.iter().map(|(k, v)| ((*k).to_owned(), Attr::Ints(v.clone()))).collect();
            let inputs = inputs.iter().map(|n| (*n).to_owned()).collect();
            self.joined.nodes.push(Node {
                name: output.into(),
                op: op.into(),
                inputs,
                outputs: vec![output.into()],
                attrs,
            });
        };
        let [apart, turned, product, back] = ["apart", "turned", "product", "back"].map(made);
        add("Reshape", &[x], &apart, &[("shape", vec![0, members as i64, inputs as i64])]);
        add("Transpose", &[&apart], &turned, &[("perm", vec![1, 0, 2])]);
        add("MatMul", &[&turned, weight], &product, &[]);
        add("Transpose", &[&product], &back, &[("perm", vec![1, 0, 2])]);
        let joined = if bias.is_some() { made("joined") } else { y.clone() };
        add("Reshape", &[&back], &joined, &[("shape", vec![0, (members * outputs) as i64])]);
        if let Some(bias) = bias {
            add("Add", &[&joined, bias], y, &[]);
        }
        self.split.insert(y);
        Some(())
    }
}

impl Population {
    /// Networks as one; `None` where they are no family, or hold what cannot be joined (an operator that mixes
    /// channels in another way, such as Concat or LayerNormalization).
    pub fn new(graphs: &[&Graph]) -> Option<Self> {
        let (first, rest) = graphs.split_first()?;
        if !rest.iter().all(|g| alike(first, g)) || first.outputs.len() != 1 {
            return None;
        }
        let analyses = graphs.iter().map(|g| g.analyze(1).ok()).collect::<Option<Vec<_>>>()?;
        let joined = Graph {
            name: format!("{} networks like {}", graphs.len(), first.name),
            inputs: first.inputs.clone(),
            outputs: first.outputs.clone(),
            ..Graph::default()
        };
        let mut joiner = Joiner { graphs, analyses, joined, places: BTreeMap::new(), split: BTreeSet::new() };
        (0..first.nodes.len()).try_for_each(|index| joiner.node(index))?;
        let output = first.outputs[0].as_str();
        if !joiner.split.contains(output) || joiner.places.len() != first.params.len() {
            return None;
        }
        // Members answer with equally many classes.
        let answers = joiner.shapes(output);
        if answers.iter().any(|s| *s != answers[0]) {
            return None;
        }
        let Joiner { joined, places, .. } = joiner;
        joined.analyze(2).ok()?;
        Some(Self { graph: joined, members: graphs.len(), places })
    }

    /// The joined network.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Calls with (index in the parameter of all, index in the member's own) for every value of a member.
    fn each(&self, name: &str, member: usize, shape: &[usize], mut call: impl FnMut(usize, usize)) {
        let Some((place, most)) = self.places.get(name) else { return };
        for own in 0..shape.iter().product() {
            let (mut rest, mut at, mut step) = (own, 0, 1);
            match place {
                Place::Rows => {
                    for (axis, len) in shape.iter().enumerate().rev() {
                        let index = rest % len + if axis == 0 { member * most[0] } else { 0 };
                        at += index * step;
                        step *= most[axis];
                        rest /= len;
                    }
                }
                Place::Matrix => {
                    let (row, column) = (own / shape[1], own % shape[1]);
                    at = (member * most[1] + column) * most[0] + row;
                }
            }
            call(at, own);
        }
    }

    /// The members' weights as one model; padding is masked.
    pub fn join(&self, models: &[Model]) -> Model {
        let mut all = Model::init(self.graph.clone(), 0);
        for (name, weight) in &mut all.weights {
            let mut values = vec![0.0; weight.len()];
            let mut keep = vec![false; values.len()];
            // A padded channel's variance: what it is normalized by.
            if name.ends_with(".var") {
                values.fill(1.0);
            }
            for (member, model) in models.iter().enumerate() {
                let Some(own) = model.weights.get(name) else { continue };
                let from = own.to_f32();
                self.each(name, member, &own.shape, |at, i| {
                    values[at] = from[i];
                    keep[at] = own.kept(i);
                });
            }
            weight.storage = Storage::F32(values);
            if self.graph.params.get(name).is_some_and(|p| p.trainable) && keep.contains(&false) {
                weight.mask = Some(crate::prune::pack_mask(&keep));
            }
        }
        all
    }

    /// Puts the joined weights back into the members' models.
    pub fn part(&self, all: &Model, models: &mut [Model]) {
        for (member, model) in models.iter_mut().enumerate() {
            for (name, weight) in &mut model.weights {
                let from = all.values(name);
                let mut values = vec![0.0; weight.len()];
                self.each(name, member, &weight.shape, |at, i| {
                    values[i] = from.get(at).copied().unwrap_or(0.0)
                });
                weight.storage = Storage::F32(values);
            }
        }
    }
}

/// Training of a population as a job, under the name `population`. Each member comes out as
/// [`super::TrainTask`] would leave it, up to rounding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PopulationTask {
    /// For the progress line.
    pub label: String,
    /// The members.
    pub starts: Vec<Start>,
    /// Name of the data set.
    pub data: String,
    /// How. Without `quantize`, `patience` and `recalibrate`.
    pub config: TrainConfig,
    /// Seed of initialisation, order and augmentation, the same for all.
    pub seed: u64,
}

impl Task for PopulationTask {
    const NAME: &'static str = "population";
    /// In the order of the members; one whose loss stops being a number fails alone.
    type Output = Vec<std::result::Result<Trained, String>>;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Self::Output> {
        let data = ctx.dataset(&self.data)?;
        self.config.check()?;
        let TrainConfig { quantize, patience, recalibrate, .. } = &self.config;
        if quantize.is_some() || *patience > 0 || *recalibrate > 0 {
            return Err(Error::Unsupported(
                "networks train side by side without quantization, early stopping and recalibration".into(),
            ));
        }
        let mut models = Vec::new();
        for start in self.starts {
            models.push(match start {
                Start::Fresh(graph) => Model::init(graph, self.seed),
                Start::Model(model) => *model,
            });
            if let Some(model) = models.last() {
                check(&model.graph, &data)?;
                model.check()?;
            }
        }
        let graphs: Vec<&Graph> = models.iter().map(|m| &m.graph).collect();
        let population = Population::new(&graphs).ok_or_else(|| {
            Error::Unsupported(
                "these networks differ in more than their sizes, and cannot train side by side".into(),
            )
        })?;
        let all = population.join(&models);
        let custom = Custom::new(all, &self.config, &ctx.device)?;
        let mut side = Side { custom, members: population.members, data: &data, config: &self.config, ctx };
        let mut batches = Batches::new(&data, self.config.batch, self.config.shift, self.seed);
        let mut histories = vec![Vec::new(); models.len()];
        for epoch in 0..self.config.epochs {
            let train = side.epoch(epoch, &mut batches).await?;
            side.custom.refresh()?;
            let val = side.judge(Split::Validation).await?;
            for ((history, train), val) in histories.iter_mut().zip(train).zip(val) {
                history.push(Epoch {
                    train_loss: train.0,
                    train_accuracy: train.1,
                    val_loss: val.0,
                    val_accuracy: val.1,
                });
            }
            let best = histories.iter().filter_map(|h| h.last()).map(|e| e.val_accuracy).fold(0.0, f32::max);
            ctx.host.progress(JobProgress {
                fraction: f64::from(epoch + 1) / f64::from(self.config.epochs.max(1)),
                values: vec![
                    ("epoch".into(), f64::from(epoch + 1)),
                    ("best val accuracy".into(), f64::from(best)),
                ],
            });
        }
        population.part(&side.custom.finish().await?, &mut models);
        let steps = u64::from(self.config.epochs) * batches.per_epoch() as u64;
        let mut trained = Vec::new();
        for (mut model, history) in models.into_iter().zip(histories) {
            let macs = 3 * steps * batches.size() as u64 * model.graph.analyze(1)?.total.macs;
            let last = history.last().copied().unwrap_or_default();
            let finite = history.iter().all(|e: &Epoch| e.train_loss.is_finite() && e.val_loss.is_finite());
            if !finite {
                trained.push(Err(format!(
                    "the loss of “{}” stopped being a number; a learning rate below {} usually helps",
                    model.graph.name, self.config.rate
                )));
                continue;
            }
            model.activations.clear();
            trained.push(Ok(Trained {
                model,
                history,
                val_loss: last.val_loss,
                val_accuracy: last.val_accuracy,
                test_accuracy: None,
                macs,
            }));
        }
        Ok(trained)
    }
}

/// `[batch, members·classes]` as `[batch·members, classes]`.
fn rows(outputs: &[Value], (members, classes): (usize, usize)) -> Result<Tensor<2>> {
    let logits = outputs.first().and_then(Value::r2);
    let logits = logits.ok_or_else(|| Error::Unsupported("a classifier has an output of rank 2".into()))?;
    let rows = logits.dims()[0] * members;
    Ok(logits.reshape([rows, classes]))
}

/// The training loop of all.
struct Side<'a> {
    custom: Custom<'a>,
    members: usize,
    data: &'a Dataset,
    config: &'a TrainConfig,
    ctx: &'a JobCtx<'a>,
}

impl Side<'_> {
    /// Every member's mean loss and accuracy on `samples` rows of logits, members side by side.
    fn tally(&self, logits: &[f32], labels: &[u32]) -> Vec<(f32, f32)> {
        let classes = self.data.classes.len();
        let mut own: Vec<Vec<f32>> = vec![Vec::with_capacity(labels.len() * classes); self.members];
        for (i, row) in logits.chunks_exact(classes).enumerate() {
            own[i % self.members].extend_from_slice(row);
        }
        let count = labels.len().max(1) as f64;
        let mean = |logits: Vec<f32>| {
            let (sum, right) = loss::tally(self.config.loss, &logits, labels, classes);
            ((sum / count) as f32, (right as f64 / count) as f32)
        };
        own.into_iter().map(mean).collect()
    }

    async fn epoch(&mut self, epoch: u32, batches: &mut Batches<'_>) -> Result<Vec<(f32, f32)>> {
        batches.shuffle();
        let steps = batches.per_epoch();
        let (mut outputs, mut truths) = (Vec::with_capacity(steps), Vec::new());
        for i in 0..steps {
            self.ctx.host.checkpoint().await?;
            let (inputs, labels) = batches.get(i);
            let rate = schedule::rate(self.config, epoch * steps as u32 + i as u32, steps as u32);
            outputs.push(self.step(&inputs, &labels, rate)?);
            truths.extend(labels);
        }
        let all = Value::R2(Tensor::cat(outputs, 0)).to_host().await?;
        Ok(self.tally(&all, &truths))
    }

    /// One step; gives the logits it was taken on, members side by side.
    fn step(&mut self, inputs: &[f32], labels: &[u32], rate: f32) -> Result<Tensor<2>> {
        let classes = self.data.classes.len();
        let each: Vec<u32> = labels.iter().flat_map(|l| std::iter::repeat_n(*l, self.members)).collect();
        let targets = loss::targets(&each, classes, self.config.label_smoothing);
        let targets =
            Tensor::<2>::from_data(TensorData::new(targets, [each.len(), classes]), &self.ctx.device);
        let samples: Vec<&[f32]> = inputs.chunks_exact(self.data.sample_len().max(1)).collect();
        let side = (self.members, classes);
        let seen = RefCell::new(None);
        self.custom.step(&samples, rate, &|outputs| {
            let logits = rows(outputs, side)?;
            seen.replace(Some(logits.clone().inner()));
            // The mean over all rows is that over members and samples; each member's own mean counts in full.
            Ok(loss::loss(self.config.loss, logits, targets.clone()).mul_scalar(self.members as f32))
        })?;
        Ok(seen.into_inner().unwrap_or_else(|| Tensor::zeros([0, classes], &self.ctx.device)))
    }

    async fn judge(&self, split: Split) -> Result<Vec<(f32, f32)>> {
        let indices = self.data.split(split);
        let mut passes = Passes::new(self.custom.plan(), &self.ctx.device, self.ctx.host);
        let logits = passes.logits(self.custom.params(), self.data, indices, &NoHook).await?;
        let labels: Vec<u32> = indices.iter().map(|i| self.data.labels[*i as usize]).collect();
        Ok(self.tally(&logits, &labels))
    }
}

#[cfg(test)]
#[path = "population_tests.rs"]
mod tests;
