//! Adversarial examples: inputs changed a little, in the sup norm, so that a network answers otherwise.
//!
//! FGSM: Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015,
//! arXiv:1412.6572. One step towards the least likely class: Kurakin, Goodfellow and Bengio, "Adversarial Machine
//! Learning at Scale", ICLR 2017, arXiv:1611.01236. Projected gradient descent from a random start: Madry et al.,
//! "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, arXiv:1706.06083.
//!
//! All of them follow the sign of the gradient of the cross-entropy with a class t, which is ln(1 + exp(m)) for
//! m = ln Σ_{j≠t} exp(z_j) − z_t. Its gradient is that of m times 1/(1 + exp(−m)), a positive number, so both have the
//! same signs. Here m is differentiated: where a softmax is so sure that the cross-entropy is 0 in single precision,
//! the attack goes on, and a network that is merely sure does not pass for a robust one.

use super::evaluate::check;
use super::interpret::{NoHook, Plan, Shapes};
use super::loss;
use crate::data::{Dataset, Split};
use crate::job::{JobCtx, Task};
use crate::model::Model;
use crate::ops::{Forward, Value};
use crate::rng::Rng;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// MACs of a chunk of samples, forward and backward.
const CHUNK_MACS: u64 = 20_000_000;
const CHUNK_SAMPLES: u64 = 256;
/// A step of projected gradient descent, in parts of the perturbation's size over the number of steps.
const STRIDE: f32 = 2.5;
/// A small step, in parts of the data's range.
const NUDGE: f32 = 1e-3;
/// What takes a class out of a sum of exponentials.
const NEVER: f32 = 1e9;

/// How inputs are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attack {
    /// The fast gradient sign method: one step up the loss of the true class.
    Fgsm,
    /// One step down the loss of the class that is least likely.
    LeastLikely,
    /// Projected gradient descent: from a random start, steps up the loss of the true class, each brought back into
    /// the ball around the input.
    Pgd {
        /// Steps.
        steps: u32,
    },
}

/// Attacks a model on parts of a data set, as a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttackTask {
    /// For the progress line.
    pub label: String,
    /// The model.
    pub model: Box<Model>,
    /// Name of the data set.
    pub data: String,
    /// Which parts of it.
    pub splits: Vec<Split>,
    /// How.
    pub attack: Attack,
    /// Whether what the model answers without a perturbation counts as the truth; else the labels do.
    pub own: bool,
    /// Largest change of a value, for each measurement; of the data's units.
    pub sizes: Vec<f32>,
    /// Seed of random starts.
    pub seed: u64,
}

/// A sample before the attack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Clean {
    /// Whether it is answered rightly.
    pub right: bool,
    /// The logit of the true class less the largest of the others: negative where the answer is wrong.
    pub margin: f32,
    /// The largest logit less the second.
    pub lead: f32,
    /// How fast m changes with the size of the perturbation, to first order: the sum of the absolute values of its
    /// gradient, without those that would lead out of the data's range.
    pub slope: f32,
}

/// What came of an attack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attacked {
    /// Part of wrong answers without a perturbation, 0 to 1.
    pub clean: f64,
    /// Part of wrong answers for each size.
    pub errors: Vec<f64>,
    /// Part of answers that were right and are wrong, for each size.
    pub misled: Vec<f64>,
    /// Every sample, in the order of the splits.
    pub samples: Vec<Clean>,
}

impl Task for AttackTask {
    const NAME: &'static str = "attack";
    type Output = Attacked;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Attacked> {
        let data = ctx.dataset(&self.data)?;
        check(&self.model.graph, &data)?;
        self.model.check()?;
        if let Some(size) = self.sizes.iter().find(|s| !(0.0..=1e6).contains(*s)) {
            return Err(Error::config("size", format!("{size} is not the size of a perturbation")));
        }
        let mut target = Target::new(&self.model, &data, &ctx.device)?;
        let mut starts: Vec<Rng> =
            (0..self.sizes.len()).map(|i| Rng::stream(self.seed, &format!("start {i}"))).collect();
        let mut samples = Vec::new();
        // Wrong answers, and those that were right before, by size.
        let mut counts = vec![(0, 0); self.sizes.len()];
        let indices: Vec<u32> = self.splits.iter().flat_map(|s| data.split(*s).iter().copied()).collect();
        let chunk = (CHUNK_MACS / (3 * target.plan.macs()).max(1)).clamp(1, CHUNK_SAMPLES) as usize;
        for part in indices.chunks(chunk) {
            ctx.host.checkpoint().await?;
            let (inputs, mut labels) = data.gather(part);
            let x = target.tensor(inputs);
            let logits = Value::R2(target.logits(x.clone())?).to_host().await?;
            if self.own {
                labels = logits.chunks_exact(target.classes).map(|row| loss::argmax(row) as u32).collect();
            }
            let aims: Vec<u32> = match self.attack {
                Attack::LeastLikely => logits.chunks_exact(target.classes).map(least).collect(),
                _ => labels.clone(),
            };
            let aims = target.one_hot(&aims);
            let gradient = target.gradient(x.clone(), &aims)?;
            let up = match self.attack {
                Attack::LeastLikely => gradient.clone().sign().neg(),
                _ => gradient.clone().sign(),
            };
            let slopes = Value::R2(target.slopes(&x, &up, gradient)).to_host().await?;
            let from = samples.len();
            for ((row, label), slope) in logits.chunks_exact(target.classes).zip(&labels).zip(slopes) {
                samples.push(Clean { slope, ..clean(row, *label as usize) });
            }
            for ((size, counts), start) in self.sizes.iter().zip(&mut counts).zip(&mut starts) {
                ctx.host.checkpoint().await?;
                let moved = match self.attack {
                    Attack::Pgd { steps } => {
                        let n = part.len() * target.len;
                        let jump = (0..n).map(|_| start.uniform(-*size, *size)).collect();
                        let mut at = target.within(x.clone() + target.tensor(jump), &x, *size);
                        for _ in 0..steps {
                            ctx.host.checkpoint().await?;
                            let up = target.gradient(at.clone(), &aims)?.sign();
                            at = at + up.mul_scalar(STRIDE * size / steps as f32);
                            at = target.within(at, &x, *size);
                        }
                        at
                    }
                    _ => target.within(x.clone() + up.clone().mul_scalar(*size), &x, *size),
                };
                let logits = Value::R2(target.logits(moved)?).to_host().await?;
                let answers = logits.chunks_exact(target.classes).map(loss::argmax).zip(&labels);
                for ((answer, label), before) in answers.zip(&samples[from..]) {
                    let wrong = answer != *label as usize;
                    counts.0 += usize::from(wrong);
                    counts.1 += usize::from(wrong && before.right);
                }
            }
        }
        let part = |n: usize| n as f64 / indices.len().max(1) as f64;
        Ok(Attacked {
            clean: part(samples.iter().filter(|s| !s.right).count()),
            errors: counts.iter().map(|c| part(c.0)).collect(),
            misled: counts.iter().map(|c| part(c.1)).collect(),
            samples,
        })
    }
}

/// The class of the smallest logit, the first of equals.
fn least(row: &[f32]) -> u32 {
    let negated: Vec<f32> = row.iter().map(|v| -v).collect();
    loss::argmax(&negated) as u32
}

/// Margin and lead of some logits.
fn clean(row: &[f32], label: usize) -> Clean {
    let largest = |without: usize| {
        let others = row.iter().enumerate().filter(|(i, _)| *i != without);
        others.map(|(_, v)| *v).fold(f32::NEG_INFINITY, f32::max)
    };
    let best = loss::argmax(row);
    let of = |i: usize| row.get(i).copied().unwrap_or(0.0);
    let (margin, lead) = (of(label) - largest(label), of(best) - largest(best));
    Clean { right: best == label, margin, lead, slope: 0.0 }
}

/// A network under attack. Inputs are `[samples, values]`, whatever the graph's shape.
struct Target<'a> {
    plan: Plan,
    params: Vec<Value>,
    shapes: Option<Shapes>,
    shape: &'a [usize],
    /// Values of a sample, and their range over the whole data set.
    len: usize,
    range: (f32, f32),
    classes: usize,
    device: &'a Device,
}

impl<'a> Target<'a> {
    fn new(model: &Model, data: &'a Dataset, device: &'a Device) -> Result<Self> {
        let plan = Plan::new(&model.graph)?;
        let params = plan.upload(model, device)?;
        let range =
            data.inputs.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let (len, classes) = (data.sample_len(), data.classes.len());
        Ok(Self { plan, params, shapes: None, shape: &data.shape, len, range, classes, device })
    }

    fn tensor(&self, values: Vec<f32>) -> Tensor<2> {
        let rows = values.len() / self.len.max(1);
        Tensor::from_data(TensorData::new(values, [rows, self.len]), self.device)
    }

    fn one_hot(&self, classes: &[u32]) -> Tensor<2> {
        let hot = loss::targets(classes, self.classes, 0.0);
        Tensor::from_data(TensorData::new(hot, [classes.len(), self.classes]), self.device)
    }

    /// The logits, `[samples, classes]`, with running statistics.
    fn logits(&mut self, x: Tensor<2>) -> Result<Tensor<2>> {
        let rows = x.dims()[0];
        let shapes = match self.shapes.take().filter(|s| s.batch == rows) {
            Some(shapes) => shapes,
            None => self.plan.shapes(rows)?,
        };
        let shape = [&[rows], self.shape].concat();
        let input = Value::R2(x).reshape(&shape)?;
        let outputs = self.plan.forward(&self.params, input, &shapes, &mut Forward::default(), &NoHook)?;
        self.shapes = Some(shapes);
        outputs.first().and_then(Value::r2).ok_or_else(|| Error::Graph {
            graph: self.plan.graph().name.clone(),
            message: "its output is not of rank 2 (batch, classes)".into(),
        })
    }

    /// The gradient of each sample's m by its values, for the classes in `aims` (one-hot).
    fn gradient(&mut self, x: Tensor<2>, aims: &Tensor<2>) -> Result<Tensor<2>> {
        let leaf = x.clone().autodiff().require_grad();
        let m = excess(self.logits(leaf.clone())?, aims.clone()).sum();
        let found = if m.is_tracked() { leaf.grad(&m.backward()) } else { None };
        // Whatever does not depend on its input is not misled either.
        Ok(found.unwrap_or_else(|| x.zeros_like()))
    }

    /// How fast each sample's m changes along the signs `up`, where they do not lead out of the range; `[samples, 1]`.
    fn slopes(&self, x: &Tensor<2>, up: &Tensor<2>, gradient: Tensor<2>) -> Tensor<2> {
        let step = (NUDGE * (self.range.1 - self.range.0)).max(f32::MIN_POSITIVE);
        let moved = self.within(x.clone() + up.clone().mul_scalar(step), x, step);
        ((moved - x.clone()) * gradient).sum_dim(1).abs().div_scalar(step)
    }

    /// Brought back to within `size` of `x`, and into the range of the data.
    fn within(&self, moved: Tensor<2>, x: &Tensor<2>, size: f32) -> Tensor<2> {
        let moved = moved.max_pair(x.clone().sub_scalar(size)).min_pair(x.clone().add_scalar(size));
        moved.clamp(self.range.0, self.range.1)
    }
}

/// m = ln Σ_{j≠t} exp(z_j) − z_t of every row, `[rows, 1]`; `aims` is one-hot at t.
fn excess(logits: Tensor<2>, aims: Tensor<2>) -> Tensor<2> {
    let own = (logits.clone() * aims.clone()).sum_dim(1);
    let others = logits - aims.mul_scalar(NEVER);
    let most = others.clone().max_dim(1).detach();
    (others - most.clone()).exp().sum_dim(1).log() + most - own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::reference;
    use crate::job::NullHost;
    use crate::model::{ConvOptions, Graph, GraphBuilder, Weight};
    use crate::train::tests::block_on as wait;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn data(shape: &[usize], inputs: Vec<f32>, labels: Vec<u32>, classes: usize) -> Dataset {
        let all: Vec<u32> = (0..labels.len() as u32).collect();
        Dataset {
            name: "t".into(),
            shape: shape.to_vec(),
            inputs,
            labels,
            classes: (0..classes).map(|c| c.to_string()).collect(),
            train: all.clone(),
            validation: all.clone(),
            test: all,
            table: None,
        }
    }

    fn cnn() -> Graph {
        let mut b = GraphBuilder::new("cnn", &[1, 4, 4]);
        let x = b.conv("x", 3, 3, ConvOptions::default()).unwrap();
        let x = b.batch_norm(&x).unwrap();
        // Smooth, so that finite differences are derivatives.
        let x = b.unary("Tanh", &x).unwrap();
        let x = b.unary("Flatten", &x).unwrap();
        let y = b.linear(&x, 4).unwrap();
        b.finish(&y).unwrap()
    }

    #[test]
    fn gradients_are_those_of_finite_differences_and_have_the_signs_of_the_cross_entropys() {
        let device = Device::flex();
        let model = Model::init(cnn(), 5);
        let mut rng = Rng::new(2);
        let inputs: Vec<f32> = (0..3 * 16).map(|_| rng.f32()).collect();
        let labels = [0, 3, 1];
        let data = data(&[1, 4, 4], inputs.clone(), labels.to_vec(), 4);
        let mut target = Target::new(&model, &data, &device).unwrap();
        let aims = target.one_hot(&labels);
        let x = target.tensor(inputs.clone());
        let got = Value::R2(target.gradient(x, &aims).unwrap());
        let got = wait(got.to_host()).unwrap();
        for (n, label) in labels.into_iter().enumerate() {
            let sample = &inputs[n * 16..][..16];
            let at = |i: usize, by: f32| {
                let mut moved = sample.to_vec();
                moved[i] += by;
                let z: Vec<f64> =
                    reference::run(&model, &moved).unwrap().into_iter().map(f64::from).collect();
                let t = label as usize;
                let others: f64 = z.iter().enumerate().filter(|(j, _)| *j != t).map(|(_, z)| z.exp()).sum();
                let m = others.ln() - z[t];
                (m, z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[t])
            };
            let (m, _) = at(0, 0.0);
            for i in 0..16 {
                let (high, low) = (at(i, 1e-2), at(i, -1e-2));
                let have = f64::from(got[n * 16 + i]);
                let want = (high.0 - low.0) / 2e-2;
                assert!((have - want).abs() < 2e-3 * (1.0 + want.abs()), "{n}, {i}: {have} and {want}");
                let entropy = (high.1 - low.1) / 2e-2;
                let factor = 1.0 / (1.0 + (-m).exp());
                assert!((have * factor - entropy).abs() < 2e-3, "{n}, {i}: {entropy}");
            }
        }
    }

    #[test]
    fn a_sure_softmax_hides_nothing() {
        let device = Device::flex();
        let logits: Tensor<2> =
            Tensor::from_data(TensorData::new(vec![90.0f32, -60.0, -61.0], [1, 3]), &device);
        let aims: Tensor<2> = Tensor::from_data(TensorData::new(vec![1.0f32, 0.0, 0.0], [1, 3]), &device);
        let m = wait(Value::R2(excess(logits, aims)).to_host()).unwrap()[0];
        assert!((m - (-60.0 + (1.0f32 + (-1.0f32).exp()).ln() - 90.0)).abs() < 1e-4, "{m}");
    }

    /// Two classes, two values: z = (a·x, 0).
    fn line() -> (Model, [f32; 2]) {
        let a = [3.0, -1.0];
        let mut b = GraphBuilder::new("line", &[2]);
        let x = b.input();
        let y = b.linear(&x, 2).unwrap();
        let mut model = Model::init(b.finish(&y).unwrap(), 1);
        model.weights.insert("gemm0.weight".into(), Weight::dense(vec![2, 2], vec![a[0], a[1], 0.0, 0.0]));
        model.weights.insert("gemm0.bias".into(), Weight::dense(vec![2], vec![0.0, 0.0]));
        (model, a)
    }

    fn attack(model: &Model, data: &Dataset, attack: Attack, sizes: &[f32]) -> Attacked {
        let all = BTreeMap::from([("t".to_owned(), Arc::new(data.clone()))]);
        let ctx = JobCtx { data: &all, host: &NullHost, device: Device::flex() };
        let task = AttackTask {
            label: String::new(),
            model: Box::new(model.clone()),
            data: "t".into(),
            splits: vec![Split::Test],
            attack,
            own: false,
            sizes: sizes.to_vec(),
            seed: 4,
        };
        wait(task.run(&ctx)).unwrap()
    }

    #[test]
    fn a_line_is_crossed_exactly_where_its_margin_ends() {
        let (model, a) = line();
        // Of class 0, at margins 0.4, 0.8 … 4 (half of them by each value); the last two bound the range.
        let mut inputs = Vec::new();
        for n in 1..=10 {
            let margin = 0.4 * n as f32;
            inputs.extend(if n % 2 == 0 { [margin / a[0], 0.0] } else { [0.0, margin / a[1]] });
        }
        inputs.extend([9.0, -9.0, 9.0, 9.0]);
        let data = data(&[2], inputs, vec![0; 12], 2);
        // A step of size s takes s·(|3| + |−1|) from the margin.
        let sizes = [0.0, 0.099, 0.101, 0.45, 0.95];
        let want = [0, 0, 1, 4, 9].map(|n| f64::from(n) / 12.0);
        for how in [Attack::Fgsm, Attack::LeastLikely, Attack::Pgd { steps: 4 }] {
            let got = attack(&model, &data, how, &sizes);
            assert_eq!(got.errors, want, "{how:?}");
            assert_eq!((got.clean, got.samples.len()), (0.0, 12));
            for (n, s) in got.samples.iter().take(10).enumerate() {
                assert!(
                    (s.margin - 0.4 * (n + 1) as f32).abs() < 1e-5 && s.margin == s.lead,
                    "{how:?} {s:?}"
                );
                assert!((s.slope - 4.0).abs() < 1e-2, "{how:?} {s:?}");
            }
        }
    }

    #[test]
    fn perturbations_stay_within_their_size_and_the_range_of_the_data() {
        let device = Device::flex();
        let (model, _) = line();
        let data = data(&[2], vec![0.0, 1.0, 0.5, 0.5], vec![0, 1], 2);
        let target = Target::new(&model, &data, &device).unwrap();
        assert_eq!(target.range, (0.0, 1.0));
        let x = target.tensor(data.inputs.clone());
        let moved = target.within(x.clone() + target.tensor(vec![-3.0, 3.0, 3.0, -0.1]), &x, 0.2);
        assert_eq!(wait(Value::R2(moved).to_host()).unwrap(), [0.0, 1.0, 0.7, 0.4]);
    }

    #[test]
    fn several_steps_mislead_at_least_as_often_as_one_and_the_least_likely_class_is_found() {
        assert_eq!(least(&[2.0, -1.0, 0.5, -1.0]), 1);
        assert_eq!(clean(&[2.0, -1.0, 0.5], 2), Clean { right: false, margin: -1.5, lead: 1.5, slope: 0.0 });
        let model = Model::init(cnn(), 9);
        let mut rng = Rng::new(6);
        let inputs: Vec<f32> = (0..400 * 16).map(|_| rng.f32()).collect();
        let mut data = data(&[1, 4, 4], inputs, vec![0; 400], 4);
        // Labels are the network's own answers, so that it is right before.
        for i in 0..400 {
            data.labels[i] = loss::argmax(&reference::run(&model, data.sample(i as u32)).unwrap()) as u32;
        }
        let sizes = [0.02, 0.1];
        let one = attack(&model, &data, Attack::Fgsm, &sizes);
        let many = attack(&model, &data, Attack::Pgd { steps: 8 }, &sizes);
        assert_eq!((one.clean, many.clean), (0.0, 0.0));
        assert!(one.errors[0] > 0.0 && one.errors[1] > one.errors[0], "{:?}", one.errors);
        // m is not the margin where several classes are near, so a few images may differ.
        let enough = many.errors.iter().zip(&one.errors).all(|(m, o)| *m >= o - 0.03);
        assert!(enough, "{:?} {:?}", one.errors, many.errors);
        assert!(many == attack(&model, &data, Attack::Pgd { steps: 8 }, &sizes), "two runs differ");
    }
}
