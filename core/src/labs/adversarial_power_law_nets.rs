//! What the lab `adversarial-power-law` trains and attacks: its data, its networks, the regulariser, and the exponents
//! of added errors.

use crate::Result;
use crate::data::generated;
use crate::data::{Dataset, Split};
use crate::job::{JobCtx, Task};
use crate::model::{ConvOptions, Graph, GraphBuilder};
use crate::ops::Value;
use crate::order::Order;
use crate::rng::{self, Rng};
use crate::train::attack::{Attack, AttackTask, Attacked, Clean};
use crate::train::interpret::{Callback, Hook, Passed};
use crate::train::{Start, TrainConfig, TrainTask, Trained};
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sizes of one-step attacks: from the smallest, each √2 times the one before.
const SMALLEST: f32 = 5e-4;
const SIZES: i32 = 21;
/// A size is small where FGSM misleads this part of the images: few, yet enough to be counted.
const SMALL: (f64, f64) = (0.01, 0.1);
/// What is attacked to measure small added errors; validation images too, by which nothing is chosen there.
const HELD_OUT: [Split; 2] = [Split::Test, Split::Validation];
/// The part of training over which the regulariser grows to its weight: one over so many.
const WARMUP: u32 = 4;
/// The most sizes at which PGD is measured.
const FEW: usize = 7;

/// What networks learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Handwritten digits.
    Digits,
    /// A disc, a square or a triangle on a noisy ground.
    Shapes,
    /// Uniform noise of ten classes.
    Random,
    /// Digits whose labels are shuffled.
    Shuffled,
}

/// Every source with its name.
pub const SOURCES: [(Source, &str); 4] = [
    (Source::Digits, "digits"),
    (Source::Shapes, "shapes"),
    (Source::Random, "random data"),
    (Source::Shuffled, "shuffled labels"),
];

impl Source {
    /// Whether held-out labels say nothing, so that what counts is whether an answer changes.
    fn unlearnable(self) -> bool {
        matches!(self, Self::Random | Self::Shuffled)
    }

    /// The data with so many training images; those that are left over are test images.
    fn make(self, ctx: &JobCtx<'_>, samples: usize, seed: u64) -> Result<Dataset> {
        let name = if self == Self::Shapes { generated::name("shapes", seed) } else { "digits".into() };
        let mut data = Dataset::clone(&*ctx.dataset(&name)?);
        let mut rng = Rng::stream(seed, "adversarial data");
        rng.shuffle(&mut data.train);
        let rest = data.train.split_off(samples.min(data.train.len()));
        data.test.extend(rest);
        if self == Self::Random {
            data.inputs.iter_mut().for_each(|v| *v = rng.f32());
        }
        if self.unlearnable() {
            let mut labels: Vec<u32> = data.train.iter().map(|i| data.labels[*i as usize]).collect();
            rng.shuffle(&mut labels);
            data.train.iter().zip(labels).for_each(|(i, l)| data.labels[*i as usize] = l);
        }
        Ok(data)
    }
}

/// Names of the networks.
pub const NETS: [&str; 3] = ["linear", "MLP", "CNN"];

/// A network by its place in [`NETS`], over images of `shape`.
///
/// # Errors
/// A layer does not fit.
pub fn graph(net: usize, shape: &[usize], classes: usize) -> Result<Graph> {
    let mut b = GraphBuilder::new(NETS.get(net).copied().unwrap_or("network"), shape);
    let mut x = b.input();
    if net == 2 {
        for (channels, stride) in [(8, 1), (16, 2), (16, 2)] {
            x = b.conv(&x, channels, 3, ConvOptions { stride, ..ConvOptions::default() })?;
            x = b.batch_norm(&x)?;
            x = b.unary("Relu", &x)?;
        }
    }
    x = b.unary("Flatten", &x)?;
    if net == 1 {
        for _ in 0..2 {
            x = b.linear(&x, 64)?;
            x = b.unary("Relu", &x)?;
        }
    }
    let y = b.linear(&x, classes)?;
    b.finish(&y)
}

/// Trains a network and attacks it, as a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetTask {
    /// For the progress line.
    pub label: String,
    /// What it learns, from how many images, and the seed of the data.
    pub data: (Source, u32, u64),
    /// The network.
    pub graph: Graph,
    /// Passes over the training data.
    pub epochs: u32,
    /// Weight of the entropy of its answers in the loss.
    pub entropy: f32,
    /// Whether its added error is measured where it is small.
    pub sweep: bool,
    /// PGD: steps, sizes, and what is attacked.
    pub pgd: (u32, Vec<f32>, Split),
    /// The seed.
    pub seed: u64,
}

/// An added error for each size.
pub type Curve = Vec<(f64, f64)>;

/// What came of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Net {
    /// The network.
    pub trained: Trained,
    /// Added errors of FGSM, of the step to the least likely class, of PGD.
    pub added: Vec<Curve>,
    /// Every image before FGSM.
    pub images: Vec<Clean>,
    /// Errors under PGD, at the sizes asked for; the first is without a perturbation.
    pub errors: Vec<f64>,
}

impl Task for NetTask {
    const NAME: &'static str = "lab.adversarial-power-law";
    type Output = Net;

    fn label(&self) -> String {
        self.label.clone()
    }

    async fn run(self, ctx: &JobCtx<'_>) -> Result<Net> {
        const NAME: &str = "adversarial";
        let (source, samples, seed) = self.data;
        let data = source.make(ctx, samples as usize, seed)?;
        let all = BTreeMap::from([(NAME.to_owned(), Arc::new(data))]);
        let ctx = &JobCtx { data: &all, host: ctx.host, device: ctx.device.clone() };
        let train = TrainTask {
            label: self.label.clone(),
            start: Start::Fresh(self.graph),
            data: NAME.into(),
            config: TrainConfig { epochs: self.epochs, rate: 0.01, ..TrainConfig::default() },
            seed: self.seed,
            test: true,
        };
        let steps = self.epochs * samples / train.config.batch.max(1);
        let trained = train.run_with(ctx, &mut Entropy::new(self.entropy, steps / WARMUP)).await?;
        let attack = async |attack: Attack, sizes: &[f32], splits: &[Split]| {
            let task = AttackTask {
                label: self.label.clone(),
                model: Box::new(trained.model.clone()),
                data: NAME.into(),
                splits: splits.to_vec(),
                attack,
                own: source.unlearnable(),
                sizes: sizes.to_vec(),
                seed: rng::derive(self.seed, "attack"),
            };
            task.run(ctx).await
        };
        let (mut added, mut images) = (Vec::new(), Vec::new());
        let pgd = Attack::Pgd { steps: self.pgd.0 };
        if self.sweep {
            let sizes: Vec<f32> = (0..SIZES).map(|i| SMALLEST * 2f32.powf(0.5 * i as f32)).collect();
            let fgsm = attack(Attack::Fgsm, &sizes, &HELD_OUT).await?;
            added.push(curve(&sizes, &fgsm));
            added.push(curve(&sizes, &attack(Attack::LeastLikely, &sizes, &HELD_OUT).await?));
            let near = few(&small(&added[0]), FEW);
            added.push(curve(&near, &attack(pgd, &near, &HELD_OUT).await?));
            images = fgsm.samples;
        }
        let mut errors = Vec::new();
        if !self.pgd.1.is_empty() {
            let found = attack(pgd, &self.pgd.1, &[self.pgd.2]).await?;
            errors = [vec![found.clean], found.errors].concat();
        }
        Ok(Net { trained, added, images, errors })
    }
}

fn curve(sizes: &[f32], found: &Attacked) -> Curve {
    sizes.iter().map(|s| f64::from(*s)).zip(found.misled.iter().copied()).collect()
}

/// The sizes at which FGSM's added error is small.
pub fn small(fgsm: &Curve) -> Vec<f64> {
    fgsm.iter().filter(|(_, a)| (SMALL.0..=SMALL.1).contains(a)).map(|(s, _)| *s).collect()
}

/// At most so many of some sizes, evenly chosen.
fn few(sizes: &[f64], most: usize) -> Vec<f32> {
    let n = sizes.len().min(most);
    (0..n).map(|i| sizes[i * (sizes.len() - 1) / (n - 1).max(1)] as f32).collect()
}

/// The exponent of a power law through points: the slope of a line through their logarithms, by least squares. A
/// logarithm of a count varies as one over the count, so each point weighs as much as its added error; `None` where
/// fewer than two are above 0.
pub fn exponent(points: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        points.filter(|(s, a)| *s > 0.0 && *a > 0.0).map(|(s, a)| (s.ln(), a.ln())).collect();
    let all = points.iter().map(|p| p.1.exp()).sum::<f64>();
    let weighed = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(|p| p.1.exp() / all * f(p)).sum::<f64>();
    let (mx, my) = (weighed(&|p| p.0), weighed(&|p| p.1));
    let (across, up) = (weighed(&|p| (p.0 - mx).powi(2)), weighed(&|p| (p.0 - mx) * (p.1 - my)));
    (across > 0.0).then(|| up / across)
}

impl Net {
    /// The exponent of the added error of an attack, as in [`Net::added`], over the sizes at which FGSM's is small.
    pub fn exponent(&self, attack: usize) -> Option<f64> {
        let sizes = small(self.added.first()?);
        // PGD's sizes went through single precision, as all did.
        exponent(self.added.get(attack)?.iter().copied().filter(|(s, _)| sizes.contains(s)))
    }

    /// The exponent of the distribution of leads where it is small.
    pub fn spread(&self) -> Option<f64> {
        exponent(leads(&self.images).into_iter().filter(|(_, part)| (SMALL.0..=SMALL.1).contains(part)))
    }
}

/// What logit differences predict to first order: an image is misled from the size on at which its margin is used
/// up.
pub fn predicted(images: &[Clean], size: f64) -> f64 {
    let misled = |c: &&Clean| c.right && f64::from(c.margin) < size * f64::from(c.slope);
    images.iter().filter(misled).count() as f64 / images.len().max(1) as f64
}

/// The distribution of leads as a curve: for each lead the part of images that have no larger one.
pub fn leads(images: &[Clean]) -> Curve {
    let mut leads: Vec<f32> = images.iter().map(|c| c.lead).collect();
    leads.order_by(|a, b| a.total_cmp(b));
    let n = leads.len() as f64;
    (1..).zip(leads).map(|(i, lead)| (f64::from(lead), f64::from(i) / n)).collect()
}

/// Adds the mean entropy of the softmax of the outputs to the loss, with a weight that grows over the first steps: from
/// the start, the lowest entropy would be one class for all.
pub struct Entropy {
    weight: f32,
    /// Steps until the weight is whole, and those that were taken.
    warmup: u32,
    step: Cell<u32>,
}

impl Entropy {
    /// Of this weight after so many steps.
    pub fn new(weight: f32, warmup: u32) -> Self {
        Self { weight, warmup, step: Cell::new(0) }
    }
}

impl Hook for Entropy {}

impl Callback for Entropy {
    fn objective(&self, passed: &Passed<'_>) -> Result<Option<Tensor<1>>> {
        let [Value::R2(logits)] = passed.outputs else { return Ok(None) };
        let part = (self.step.get() as f32 / self.warmup.max(1) as f32).min(1.0);
        self.step.set(self.step.get() + 1);
        if self.weight * part == 0.0 {
            return Ok(None);
        }
        let rows = logits.dims()[0] as f32;
        let log = log_softmax(logits.clone(), 1);
        Ok(Some((log.clone().exp() * log).sum().mul_scalar(-self.weight * part / rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::NullHost;
    use burn::tensor::{Device, TensorData};

    fn digits() -> Dataset {
        Dataset::digits("digits", include_bytes!("../../../static/data/digits.bin")).unwrap()
    }

    #[test]
    fn sources_have_their_training_images_and_leave_the_rest_to_test_on() {
        let all = BTreeMap::from([("digits".to_owned(), Arc::new(digits()))]);
        let ctx = JobCtx { data: &all, host: &NullHost, device: Device::flex() };
        let whole = digits();
        for (source, name) in SOURCES {
            let data = source.make(&ctx, 100, 3).unwrap();
            assert_eq!(data.train.len(), 100, "{name}");
            let mut every = [&data.train[..], &data.validation, &data.test].concat();
            every.order();
            assert!(every.into_iter().eq(0..data.labels.len() as u32), "{name}: each image once");
            assert!(data.test.len() > 1000 && data.inputs.iter().all(|v| (0.0..=1.0).contains(v)), "{name}");
            assert_eq!(data, source.make(&ctx, 100, 3).unwrap());
            assert_ne!(data.train, source.make(&ctx, 100, 4).unwrap().train);
            let same = data.train.iter().filter(|i| {
                source != Source::Shapes && whole.labels[**i as usize] == data.labels[**i as usize]
            });
            match source {
                Source::Digits => assert_eq!((same.count(), &data.inputs), (100, &whole.inputs)),
                Source::Shuffled => {
                    assert!(same.count() < 30);
                    let count = |d: &Dataset, label: u32| {
                        d.train.iter().filter(|i| d.labels[**i as usize] == label).count()
                    };
                    let kept = Dataset { labels: whole.labels.clone(), ..data.clone() };
                    assert!(
                        (0..10).all(|l| count(&data, l) == count(&kept, l)),
                        "the same labels, elsewhere"
                    );
                }
                Source::Random => assert_ne!(data.inputs, whole.inputs),
                Source::Shapes => assert_eq!(data.classes.len(), 3),
            }
        }
    }

    #[test]
    fn exponents_are_those_of_the_law_where_it_is_small() {
        let sizes = (0..SIZES).map(|i| 1e-3 * 2f64.powf(0.5 * f64::from(i)));
        // Beyond 10 % it bends.
        let law = |p: f64| move |s: f64| (s, if s.powf(p) < 0.1 { s.powf(p) } else { 0.5 });
        let added: Vec<Curve> =
            [1.0, 1.2, 0.8].iter().map(|p| sizes.clone().map(law(*p)).collect()).collect();
        let net = Net { trained: empty(), added, images: vec![], errors: vec![] };
        assert!((net.exponent(0).unwrap() - 1.0).abs() < 1e-9);
        // The sizes are FGSM's, and there the second one is a pure law too.
        assert!((net.exponent(1).unwrap() - 1.2).abs() < 1e-9);
        let sizes = small(&net.added[0]);
        assert!(sizes.iter().all(|s| (0.01..=0.1).contains(s)) && sizes.len() == 7, "{sizes:?}");
        assert_eq!(few(&sizes, 3), [sizes[0] as f32, sizes[3] as f32, sizes[6] as f32]);
        assert_eq!((few(&sizes[..1], 3).len(), few(&[], 3).len()), (1, 0));
        assert_eq!(exponent([(1.0, 0.0), (2.0, 0.1)].into_iter()), None);
        // By hand, with weights 1, 1 and 2 at ln s = 0, 1, 2 and ln a = 0, 0, ln 2: means 1.25 and ln 2 / 2.
        let points = (0..3).map(|i| (f64::from(i).exp(), if i == 2 { 2.0 } else { 1.0 }));
        assert!((exponent(points).unwrap() - 2f64.ln() * 0.375 / 0.6875).abs() < 1e-12);
    }

    fn empty() -> Trained {
        let model = crate::model::Model::default();
        Trained { model, history: vec![], val_loss: 0.0, val_accuracy: 0.0, test_accuracy: None, macs: 0 }
    }

    #[test]
    fn logit_differences_predict_who_is_misled() {
        let image = |right, margin, slope| Clean { right, margin, lead: f32::abs(margin), slope };
        let images =
            [image(true, 0.1, 2.0), image(true, 1.0, 2.0), image(false, -0.1, 9.0), image(true, 0.3, 1.0)];
        assert_eq!(predicted(&images, 0.06), 0.25);
        assert_eq!(predicted(&images, 0.4), 0.5);
        let parts: Vec<f64> = leads(&images).into_iter().map(|(_, part)| part).collect();
        assert_eq!(parts, [0.25, 0.5, 0.75, 1.0]);
        assert!(leads(&images).is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn the_regulariser_is_the_mean_entropy_and_grows_to_its_weight() {
        let device = Device::flex();
        let logits =
            Value::R2(Tensor::from_data(TensorData::new(vec![0.0f32, 0.0, 3f32.ln(), 0.0], [2, 2]), &device));
        // Of one half and one half, ln 2; of three quarters and a quarter.
        let want = (2f32.ln() - 0.75 * 0.75f32.ln() - 0.25 * 0.25f32.ln()) / 2.0;
        let entropy = Entropy::new(0.5, 2);
        let outputs = [logits.clone()];
        let passed = Passed { input: &logits, params: &[], outputs: &outputs };
        assert!(entropy.objective(&passed).unwrap().is_none(), "nothing at first");
        for part in [0.5, 1.0, 1.0] {
            let told = entropy.objective(&passed).unwrap().unwrap().into_scalar::<f32>();
            assert!((told - 0.5 * part * want).abs() < 1e-6, "{told}");
        }
        assert!(Entropy::new(0.0, 0).objective(&passed).unwrap().is_none());
    }
}
