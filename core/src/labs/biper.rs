//! Vargas, Correa, Hinojosa and Arguello, "BiPer: Binary Neural Networks using a Periodic
//! Function", CVPR 2024, arXiv:2404.01278.
//!
//! A weight is binarized by a periodic function of a latent weight w: stage 1 trains with the
//! smooth sin(ω₀w); stage 2 goes forward with its square wave sign(sin(ω₀w)) and backward with the
//! sine's derivative ω₀·cos(ω₀w). Activations are binarized by their sign, with the piecewise
//! linear surrogate gradient of the operator Sign. Every output channel has a learned scale. The
//! frequency ω₀ sets the quantization error, the mean squared gap between sine and square wave.
//! Beside it: sign(w) with the clipped straight-through gradient, and the float network.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("biper.seeds", 3),
    ParamSpec::float(
        "biper.frequency",
        "Frequency ω₀",
        0.5,
        100.0,
        20.0,
        "Of the sine: how often the binary weight changes its sign as the latent one grows.",
    )
    .log(),
    ParamSpec::int(
        "biper.epochs",
        "Epochs",
        2,
        100,
        16,
        "Passes over the training data, of every network; BiPer spends half in each stage.",
    ),
    ParamSpec::int(
        "biper.width",
        "Width",
        4,
        32,
        12,
        "Channels of the first convolution; the others have twice as many.",
    )
    .unit("channels"),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "biper",
        name: "BiPer",
        sentence: "Weights and activations of one bit, learned through a sine.",
        formula: "forward sign(sin(ω₀w)), backward ω₀·cos(ω₀w)",
        citation: Citation {
            authors: "Vargas, Correa, Hinojosa and Arguello",
            title: "BiPer: Binary Neural Networks using a Periodic Function",
            year: 2024,
            venue: "CVPR 2024, arXiv:2404.01278",
        },
        params: PARAMS,
    },
    family: "Quantize and compress jointly",
    mechanism: "Stage 1 trains a network whose weights are sin(ω₀w). Stage 2 goes on with the square wave of that sine, so that weights are −1 or 1, and takes the sine's derivative for the gradient. Activations keep only their sign; each output channel has a learned scale. The first and the last layer stay real.",
    baseline: "The same network with weights sign(w) and the clipped straight-through gradient; the same network in float, with ReLU.",
    claim: "BiPer is at least as accurate as the straight-through sign; and on weights of a Laplace distribution of scale b the mean squared gap between sine and square wave is 1 + 2u²/(1+4u²) − 2u·coth(π/(2u))/(1+u²), u = ω₀b, within 2 %.",
    breaks: "At a frequency of 1 the sine is nearly linear on these weights and far from its square wave: on the seed tried it cost 2.3 points.",
    #[cfg(feature = "compute")]
    jobs: &[crate::job::JobKind::of::<run::BinaryTask>(), crate::job::JobKind::of::<run::GapTask>()],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::job::{JobCtx, Task};
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Study, percent, test_accuracy};
    use crate::model::{Attrs, ConvOptions, Graph, GraphBuilder, Init, Model, Storage};
    use crate::ops::Value;
    use crate::protocol::Tone;
    use crate::rng::Rng;
    use crate::train::interpret::{Callback, Hook, Plan};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Result, map_value};
    use burn::tensor::Tensor;
    use serde::{Deserialize, Serialize};

    /// The mean squared gap between sin(ω₀w) and its square wave for w of a Laplace distribution of
    /// scale b, with u = ω₀b: E[(1 − |sin|)²] = 1 + E sin² − 2 E|sin|.
    fn expected_gap(u: f64) -> f64 {
        let coth = 1.0 / (std::f64::consts::PI / (2.0 * u)).tanh();
        1.0 + 2.0 * u * u / (1.0 + 4.0 * u * u) - 2.0 * u * coth / (1.0 + u * u)
    }

    /// The same, measured on weights.
    fn measured_gap(weights: impl Iterator<Item = f64>, frequency: f64) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0f64);
        for w in weights {
            let sine = (frequency * w).sin();
            sum += (1.0 - sine.abs()).powi(2);
            n += 1.0;
        }
        sum / n.max(1.0)
    }

    /// A value of a Laplace distribution of scale `b`, by inversion.
    fn laplace(rng: &mut crate::rng::Rng, b: f64) -> f64 {
        let u = rng.f64() - 0.5;
        -b * u.signum() * (1.0 - 2.0 * u.abs()).max(f64::MIN_POSITIVE).ln()
    }

    /// A real convolution, two binary ones with scales, the second with a shortcut (as in Bi-Real
    /// Net), and a real classifier, on 8x8 digits. In float, ReLU stands where Sign does.
    fn graph(width: usize, binary: bool) -> Result<Graph> {
        let name = if binary { "binary CNN" } else { "float CNN" };
        let mut b = GraphBuilder::new(&format!("{name}, {width} wide"), &[1, 8, 8]);
        let x = b.conv("x", width, 3, ConvOptions::default())?;
        let mut x = b.batch_norm(&x)?;
        for (stride, shortcut) in [(2, false), (1, true)] {
            let y = b.unary(if binary { "Sign" } else { "Relu" }, &x)?;
            let y = b.conv(&y, 2 * width, 3, ConvOptions { stride, ..ConvOptions::default() })?;
            let scale = format!("{y}.scale");
            let scale = b.param(scale, vec![1, 2 * width, 1, 1], Init::Constant(1.0), true);
            let y = b.node("Mul", &[&y, &scale], Attrs::new(), 1)?.swap_remove(0);
            let y = b.batch_norm(&y)?;
            x = if shortcut { b.add(&x, &y)? } else { y };
        }
        let x = b.unary("Relu", &x)?;
        let x = b.unary("GlobalAveragePool", &x)?;
        let x = b.unary("Flatten", &x)?;
        let x = b.linear(&x, 10)?;
        b.finish(&x)
    }

    /// The weights of convolutions whose input has one bit: those that are binarized.
    fn binary_weights(graph: &Graph) -> Vec<String> {
        let producers = graph.producers();
        let signed =
            |tensor: &String| producers.get(tensor.as_str()).is_some_and(|i| graph.nodes[*i].op == "Sign");
        let convolutions =
            graph.nodes.iter().filter(|n| n.op == "Conv" && n.inputs.first().is_some_and(signed));
        convolutions.filter_map(|n| n.inputs.get(1).cloned()).collect()
    }

    /// u = ω₀b at which the gap is sampled, and weights in a sample.
    const POINTS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0];
    const SAMPLES: u32 = 200_000;
    const TOLERANCE: f64 = 0.02;
    /// Batches over which batch-norm statistics are taken anew after each stage.
    const RECALIBRATE: u32 = 16;

    /// How weights become binary.
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    pub enum How {
        /// BiPer of this frequency.
        Periodic(f32),
        /// sign(w) with the clipped straight-through gradient (Courbariaux et al., 2016,
        /// arXiv:1602.02830).
        Sign,
        /// Not at all: the float network.
        Float,
    }

    /// Training one of the networks, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct BinaryTask {
        /// For the progress line.
        pub label: String,
        /// How weights become binary.
        pub how: How,
        /// Channels of the first convolution.
        pub width: u32,
        /// Epochs in all.
        pub epochs: u32,
        /// The seed.
        pub seed: u64,
    }

    /// What comes of it.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Binary {
        /// The network with its weights as it computes with them: −1 and 1 where they are binary.
        pub trained: Trained,
        /// Of every binary layer: its name, the mean |w| of its latent weights (the maximum-likelihood
        /// scale of a Laplace distribution), the measured gap between sine and square wave.
        pub layers: Vec<(String, f64, f64)>,
    }

    impl Task for BinaryTask {
        const NAME: &'static str = "lab.biper";
        type Output = Binary;

        fn label(&self) -> String {
            self.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Binary> {
            let graph = graph(self.width as usize, self.how != How::Float)?;
            let names = binary_weights(&graph);
            let train = |start, epochs, name: &str, test| TrainTask {
                label: self.label.clone(),
                start,
                data: "digits".into(),
                config: TrainConfig {
                    epochs,
                    rate: 0.005,
                    weight_decay: 0.0,
                    recalibrate: RECALIBRATE,
                    ..TrainConfig::default()
                },
                seed: crate::rng::derive(self.seed, name),
                test,
            };
            let mut trained = match self.how {
                How::Periodic(frequency) => {
                    let mut smooth = Binarize::new(&names, Shape::Sine(frequency));
                    let first = self.epochs / 2;
                    let one =
                        train(Start::Fresh(graph), first, "train", false).run_with(ctx, &mut smooth).await?;
                    let mut square = Binarize::new(&names, Shape::Square(frequency));
                    let start = Start::Model(Box::new(one.model));
                    let mut two =
                        train(start, self.epochs - first, "stage 2", true).run_with(ctx, &mut square).await?;
                    two.history = [one.history, two.history].concat();
                    two.macs += one.macs;
                    two
                }
                _ => {
                    let mut sign = Binarize::new(&names, Shape::Clipped);
                    train(Start::Fresh(graph), self.epochs, "train", true).run_with(ctx, &mut sign).await?
                }
            };
            let mut layers = Vec::new();
            for name in &names {
                let latent = trained.model.values(name);
                if let How::Periodic(frequency) = self.how {
                    let wide = || latent.iter().map(|w| f64::from(*w));
                    let b = wide().map(f64::abs).sum::<f64>() / latent.len().max(1) as f64;
                    layers.push((name.clone(), b, measured_gap(wide(), f64::from(frequency))));
                }
            }
            bake(&mut trained.model, &names, self.how);
            Ok(Binary { trained, layers })
        }
    }

    /// Writes the binary weights in place of the latent ones.
    fn bake(model: &mut Model, names: &[String], how: How) {
        for name in names {
            let Some(weight) = model.weights.get_mut(name) else { continue };
            let sign = |w: f32| match how {
                How::Periodic(frequency) => (frequency * w).sin(),
                _ => w,
            };
            // As the forward pass has it; exactly 0 does not happen.
            let values = weight.to_f32().into_iter().map(|w| if sign(w) < 0.0 { -1.0 } else { 1.0 });
            weight.storage = Storage::F32(values.collect());
        }
    }

    #[derive(Clone, Copy)]
    enum Shape {
        Sine(f32),
        Square(f32),
        Clipped,
    }

    /// Stands between latent weights and the convolutions that use them.
    struct Binarize<'a> {
        names: &'a [String],
        shape: Shape,
        /// By parameter index: whether it is binarized.
        chosen: Vec<bool>,
    }

    impl<'a> Binarize<'a> {
        fn new(names: &'a [String], shape: Shape) -> Self {
            Self { names, shape, chosen: Vec::new() }
        }
    }

    /// The sign of `smooth` forward, the derivative of `smooth` backward.
    fn straight_through<const D: usize>(smooth: Tensor<D>) -> Tensor<D> {
        let sign = smooth.clone().detach().sign();
        // smooth − smooth is exactly 0, so that weights are exactly −1 and 1.
        sign + (smooth.clone() - smooth.detach())
    }

    impl Hook for Binarize<'_> {
        fn weight(&self, index: usize, value: Value) -> Result<Value> {
            if !self.chosen.get(index).copied().unwrap_or(false) {
                return Ok(value);
            }
            Ok(map_value!(value, t => match self.shape {
                Shape::Sine(frequency) => t.mul_scalar(frequency).sin(),
                Shape::Square(frequency) => straight_through(t.mul_scalar(frequency).sin()),
                Shape::Clipped => straight_through(t.clamp(-1.0, 1.0)),
            }))
        }
    }

    impl Callback for Binarize<'_> {
        fn begin(&mut self, plan: &Plan) -> Result<()> {
            self.chosen = plan.params().iter().map(|name| self.names.contains(name)).collect();
            Ok(())
        }
    }

    /// Measures the gap on Laplacian weights, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct GapTask {
        /// Frequency ω₀.
        pub frequency: f64,
        /// The seed.
        pub seed: u64,
    }

    impl Task for GapTask {
        const NAME: &'static str = "lab.biper.gap";
        /// (u, measured, expected)
        type Output = Vec<(f64, f64, f64)>;

        fn label(&self) -> String {
            format!("gap of sine to square wave, seed {}", self.seed)
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Self::Output> {
            let mut gaps = Vec::new();
            for u in POINTS {
                ctx.host.checkpoint().await?;
                let mut rng = Rng::stream(self.seed, &format!("laplace {u}"));
                let weights = (0..SAMPLES).map(|_| laplace(&mut rng, u / self.frequency));
                gaps.push((u, measured_gap(weights, self.frequency), expected_gap(u)));
            }
            Ok(gaps)
        }
    }

    /// What runs side by side: the method, its baseline, and the float network.
    const SIDES: [(&str, Tone); 3] =
        [("BiPer", Tone::Quantize), ("sign, straight-through", Tone::Baseline), ("float", Tone::Grow)];

    pub(super) async fn run(study: Study) -> Result<()> {
        let frequency = study.float("frequency");
        let (width, epochs) = (study.count("width") as u32, study.count("epochs") as u32);
        let gaps: Vec<_> =
            study.seeds().into_iter().map(|seed| study.spawn(&GapTask { frequency, seed })).collect();
        let how = [How::Periodic(frequency as f32), How::Sign, How::Float];
        let title = format!("Binary networks through a sine of frequency {frequency}");
        let nets = study
            .compare(title, &[0, 1, 2], 1, async |lane, side| {
                let label = format!("{}, seed {}", SIDES[side].0, lane.seed);
                let task =
                    BinaryTask { label: label.clone(), how: how[side], width, epochs, seed: lane.seed };
                let net = lane.spawn(&task).await?;
                lane.progress(1, label);
                Ok(net)
            })
            .await?;
        for ((name, tone), nets) in SIDES.iter().zip(&nets) {
            for (i, net) in nets.iter().enumerate() {
                study.network(name, name, *tone, &net.trained, i == 0)?;
            }
            if let Some(first) = nets.first() {
                study.curve("validation accuracy", name, *tone, &first.trained, |e| e.val_accuracy);
                study.curve("training loss", name, *tone, &first.trained, |e| e.train_loss);
            }
        }
        let accuracy: Vec<Vec<f64>> =
            nets.iter().map(|side| side.iter().map(|n| test_accuracy(&n.trained)).collect()).collect();

        let mut errors = Vec::new();
        for (i, gap) in gaps.into_iter().enumerate() {
            let gap = gap.await?;
            errors.push(gap.iter().map(|(_, have, want)| (have / want - 1.0).abs()).fold(0.0, f64::max));
            if i == 0 {
                let axes = ["u = ω₀b", "mean squared gap, sine to square wave"];
                let line = |pick: fn(&(f64, f64, f64)) -> f64| gap.iter().map(|g| (g.0, pick(g))).collect();
                let chart = "Quantization error on Laplacian weights";
                study.series(chart, "measured", Tone::Quantize, axes, line(|g| g.1));
                study.series(chart, "formula", Tone::Baseline, axes, line(|g| g.2));
            }
        }
        let rows = study.seeds().into_iter().enumerate().map(|(i, seed)| {
            let mut row = vec![seed.to_string()];
            row.extend(accuracy.iter().map(|side| percent(side[i])));
            row.push(format!("{:.2} %", 100.0 * errors[i]));
            row
        });
        let columns = ["seed", SIDES[0].0, SIDES[1].0, SIDES[2].0, "largest error of the gap's formula"];
        study.table("Test accuracy by seed", &columns, rows.collect());
        let layers = nets[0].first().map(|net| net.layers.as_slice()).unwrap_or_default();
        let rows = layers.iter().map(|(name, b, gap)| {
            let u = frequency * b;
            let expected = expected_gap(u);
            vec![
                name.clone(),
                format!("{b:.4}"),
                format!("{u:.2}"),
                format!("{gap:.3}"),
                format!("{expected:.3}"),
            ]
        });
        let columns =
            ["layer", "mean |w|", "u = ω₀·mean |w|", "measured gap", "formula, were they Laplacian"];
        study.table("Latent weights of BiPer, first seed", &columns, rows.collect());

        let mut claim = Claim::default();
        let paired = claim.not_worse(
            "accuracy: BiPer >= sign with straight-through gradient",
            &accuracy[0],
            &accuracy[1],
        );
        claim.always(
            "gap of sine to square wave on Laplacian weights within 2 % of the formula",
            errors.iter().map(|e| *e <= TOLERANCE),
        );
        let sentence = format!(
            "Binary networks reach {} on the test digits with BiPer and {} with the straight-through sign ({}; at least as good on {} of {} seeds; {} in float). The gap between sine and square wave on Laplacian weights differs from the formula by at most {:.2} %.",
            percent(mean(&accuracy[0])),
            percent(mean(&accuracy[1])),
            paired.points(),
            paired.held,
            paired.seeds,
            percent(mean(&accuracy[2])),
            100.0 * errors.iter().copied().fold(0.0, f64::max),
        );
        study.conclude(claim, sentence, "Every network is trained and tested.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::rng::Rng;

        #[test]
        fn the_gap_on_laplacian_weights_is_the_formula() {
            for seed in 1..=3 {
                for u in [0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0] {
                    let (frequency, mut rng) = (20.0, Rng::new(seed));
                    let weights = (0..200_000).map(|_| laplace(&mut rng, u / frequency));
                    let (measured, expected) = (measured_gap(weights, frequency), expected_gap(u));
                    assert!((measured / expected - 1.0).abs() < 0.02, "u {u}: {measured} {expected}");
                }
            }
            // Far out the phase is uniform: 1 + 1/2 − 4/π.
            assert!((expected_gap(1e3) - (1.5 - 4.0 / std::f64::consts::PI)).abs() < 1e-4);
        }

        #[test]
        fn two_layers_are_binary_in_the_binary_network_and_none_in_the_float_one() {
            assert_eq!(binary_weights(&graph(4, true).unwrap()), ["conv1.weight", "conv2.weight"]);
            assert!(binary_weights(&graph(4, false).unwrap()).is_empty());
        }
    }
}
