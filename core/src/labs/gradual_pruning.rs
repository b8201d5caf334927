//! Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
//! compression", 2017, arXiv:1710.01878.
//!
//! While a network trains, its sparsity follows s_t = s_f + (s_i − s_f)(1 − (t − t₀)/(n·Δt))³:
//! every Δt steps each layer's mask sets its smallest magnitudes to zero. Masked weights count as
//! zero and get no update, but keep the value they had: when the mask is taken anew, one may come
//! back. Between the steps the network trains on, and after the last one with that mask to the end.
//! As in the paper, where first convolutions and depthwise ones stay dense for holding so few of the
//! weights, layers with less than a twentieth of them are left alone here. Beside it: a small dense
//! network with as many parameters as the large one has non-zeros (those of dense layers counted),
//! and the large one trained dense for half of the epochs, pruned once, and fine-tuned for the rest.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("gradual-pruning.seeds", 1),
    ParamSpec::choice(
        "gradual-pruning.task",
        "Task",
        &[("both", "Digits and strings"), ("digits", "Digits, CNN"), ("strings", "Token strings, LSTM")],
        "both",
        "What the networks learn.",
    ),
    ParamSpec::choice(
        "gradual-pruning.sparsity",
        "Sparsity",
        &[
            ("claim", "75 % and 90 %"),
            ("50", "50 %"),
            ("75", "75 %"),
            ("87.5", "87.5 %"),
            ("90", "90 %"),
            ("95", "95 %"),
        ],
        "claim",
        "The part of every layer's weights that is gone at the end.",
    ),
    ParamSpec::int(
        "gradual-pruning.epochs",
        "Epochs",
        2,
        100,
        32,
        "Passes over the training data, of every network.",
    ),
    ParamSpec::int(
        "gradual-pruning.steps",
        "Pruning steps",
        1,
        100,
        40,
        "How often masks are taken anew (n).",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "gradual-pruning",
        name: "Gradual pruning",
        sentence: "A large network is pruned while it trains, and beats a small one with as many weights.",
        formula: "s_t = s_f + (s_i − s_f)(1 − (t − t₀)/(n·Δt))³",
        citation: Citation {
            authors: "Zhu and Gupta",
            title: "To prune, or not to prune: exploring the efficacy of pruning for model compression",
            year: 2017,
            venue: "arXiv:1710.01878",
        },
        params: PARAMS,
    },
    family: "Prune and sparsify",
    mechanism: "Every Δt training steps each layer's mask sets its smallest weights to zero; how many follows a cubic schedule, fast at first, then ever more slowly. Masked weights get no update, the others train on. At the final sparsity the masks are frozen and training goes on to its end. Layers with less than a twentieth of the weights stay dense.",
    baseline: "A small dense network with as many parameters as the large one has non-zeros; one-shot pruning: train dense, prune once, fine-tune, in as many epochs.",
    claim: "At equal non-zero parameters the large sparse network has a higher test accuracy than the small dense one, at 75 % and at 90 % sparsity.",
    breaks: "Two or three epochs leave the network no time to train between the pruning steps; at 50 % on digits the advantage halves, and not every seed shows it.",
    #[cfg(feature = "compute")]
    jobs: &[crate::job::JobKind::of::<run::GradualTask>()],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::data::generated;
    use crate::job::{JobCtx, Task};
    use crate::labs::checks::{Claim, mean};
    use crate::labs::nets;
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::{ConvOptions, Graph, GraphBuilder};
    use crate::order::Order;
    use crate::protocol::Tone;
    use crate::prune::{Schedule as Sparsity, Scope, criteria, select};
    use crate::train::interpret::{Callback, Held, Hook, Moment, Plan};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result};
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    /// Pruning begins after this part of training and ends after that one; then masks are frozen.
    const BEGIN: f64 = 0.15;
    const END: f64 = 0.6;
    /// Layers with a smaller part of the network's weights are not pruned.
    const FEW: f64 = 0.05;
    /// Width of the large networks: channels of the last convolutions; units of the LSTM.
    const LARGE_CNN: usize = 16;
    const LARGE_LSTM: usize = 40;

    /// A task with its family of networks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Digits,
        Strings,
    }

    impl Kind {
        fn name(self) -> &'static str {
            match self {
                Self::Digits => "digits",
                Self::Strings => "strings",
            }
        }

        fn large(self) -> Result<Graph> {
            match self {
                Self::Digits => cnn(4 * LARGE_CNN),
                Self::Strings => lstm(LARGE_LSTM),
            }
        }

        /// The smallest dense network of the family with at least so many parameters: the baseline
        /// never has fewer.
        fn small(self, params: u64) -> Result<Graph> {
            let mut size = 1;
            loop {
                let graph = if self == Self::Digits { cnn(size) } else { lstm(size) }?;
                if graph.trainable_params() >= params {
                    return Ok(graph);
                }
                size += 1;
            }
        }
    }

    /// The layers that are pruned: every matrix and filter bank with enough of the weights.
    fn pruned_layers(graph: &Graph) -> Vec<String> {
        let maskable: Vec<&String> = graph.params.keys().filter(|n| select::maskable(graph, n)).collect();
        let all: usize = maskable.iter().map(|name| graph.param_len(name)).sum();
        let few = |name: &&&String| (graph.param_len(name) as f64) < FEW * all as f64;
        maskable.iter().filter(|name| !few(name)).map(|name| (*name).clone()).collect()
    }

    /// How many of `n` weights are gone.
    fn gone(n: usize, sparsity: f64) -> usize {
        (sparsity * n as f64 + 1e-9).floor() as usize
    }

    /// Parameters that are not zero when `sparsity` of every pruned layer is gone.
    fn nonzeros(graph: &Graph, sparsity: f64) -> u64 {
        let gone = pruned_layers(graph).into_iter().map(|name| gone(graph.param_len(&name), sparsity) as u64);
        graph.trainable_params() - gone.sum::<u64>()
    }

    /// Three convolutions, a global average and a classifier on 8x8 digits. `size` is four times the
    /// width: from one size to the next at most one layer has one channel more.
    fn cnn(size: usize) -> Result<Graph> {
        let [first, second, third] = [(size + 3) / 8, size / 4, (size + 2) / 4].map(|n| n.max(1));
        let mut b = GraphBuilder::new(&format!("CNN, {first}-{second}-{third}"), &[1, 8, 8]);
        let mut x = b.input();
        for (channels, stride) in [(first, 1), (second, 2), (third, 2)] {
            let y = b.conv(&x, channels, 3, ConvOptions { stride, ..ConvOptions::default() })?;
            let y = b.batch_norm(&y)?;
            x = b.unary("Relu", &y)?;
        }
        let x = b.unary("GlobalAveragePool", &x)?;
        let x = b.unary("Flatten", &x)?;
        let x = b.linear(&x, 10)?;
        b.finish(&x)
    }

    /// An LSTM over a string of tokens, and a classifier on its last state.
    fn lstm(units: usize) -> Result<Graph> {
        use generated::automaton::{LENGTH, STATES, TOKENS};
        let mut b = GraphBuilder::new(&format!("LSTM, {units} units"), &[LENGTH, TOKENS]);
        let x = b.input();
        let h = nets::lstm(&mut b, &x, units)?;
        let y = b.linear(&h, STATES)?;
        b.finish(&y)
    }

    /// Training with gradual pruning, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct GradualTask {
        /// The training.
        pub train: TrainTask,
        /// Final sparsity of every pruned layer, 0 to 1.
        pub sparsity: f64,
        /// Pruning steps (n).
        pub steps: u32,
    }

    impl Task for GradualTask {
        const NAME: &'static str = "lab.gradual-pruning";
        type Output = Trained;

        fn label(&self) -> String {
            self.train.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Trained> {
            let mut method = Gradual { sparsity: self.sparsity, steps: self.steps, ..Gradual::default() };
            self.train.run_with(ctx, &mut method).await
        }
    }

    /// The schedule and the masks.
    #[derive(Default)]
    struct Gradual {
        sparsity: f64,
        steps: u32,
        layers: Vec<String>,
        /// Of every pruned layer, the weights with those behind the mask as they were last.
        latent: BTreeMap<String, Vec<f32>>,
    }

    impl Gradual {
        /// Which pruning step is due, 1 to n.
        fn pruning_step(&self, at: Moment) -> Option<u32> {
            let when = |k: u32| {
                let part = BEGIN + (END - BEGIN) * f64::from(k) / f64::from(self.steps);
                (part * f64::from(at.steps)).round() as u32
            };
            // Where trainings are short, several fall on one step: the last of them counts.
            (1..=self.steps).rev().find(|k| when(*k) == at.step)
        }
    }

    impl Hook for Gradual {}

    impl Callback for Gradual {
        fn begin(&mut self, plan: &Plan) -> Result<()> {
            self.layers = pruned_layers(plan.graph());
            Ok(())
        }

        fn due(&self, at: Moment) -> bool {
            self.pruning_step(at).is_some()
        }

        fn edit(&mut self, at: Moment, weights: &mut [Held]) -> Result<()> {
            let Some(step) = self.pruning_step(at) else { return Ok(()) };
            let sparsity = Sparsity::Cubic.sparsity(step, self.steps, 0.0, self.sparsity);
            for held in weights.iter_mut().filter(|h| self.layers.contains(&h.name)) {
                let kept = |i: usize| held.keep.as_ref().is_none_or(|keep| keep[i]);
                let latent = self.latent.entry(held.name.clone()).or_insert_with(|| held.values.clone());
                for (i, value) in latent.iter_mut().enumerate().filter(|(i, _)| kept(*i)) {
                    *value = held.values[i];
                }
                let mut order: Vec<usize> = (0..latent.len()).collect();
                // Ties go by position: deterministic.
                order.order_by(|a, b| latent[*a].abs().total_cmp(&latent[*b].abs()).then(a.cmp(b)));
                let mut keep = vec![true; order.len()];
                order.iter().take(gone(keep.len(), sparsity)).for_each(|i| keep[*i] = false);
                held.values.clone_from(latent);
                held.keep = Some(keep);
            }
            Ok(())
        }
    }

    /// One sparsity's networks.
    struct At {
        sparse: Trained,
        small: Trained,
        once: Trained,
    }

    /// One seed's networks on one task.
    struct Line {
        dense: Trained,
        at: Vec<At>,
    }

    struct Settings {
        sparsities: Vec<f64>,
        epochs: u32,
        steps: u32,
    }

    /// All networks of a seed: every one takes as many steps on the same samples.
    async fn line(lane: Lane, settings: &Settings, kind: Kind) -> Result<Line> {
        let seed = lane.seed;
        let large = kind.large()?;
        let data = match kind {
            Kind::Digits => "digits".to_owned(),
            Kind::Strings => generated::name("automaton", seed),
        };
        let (batch, rate) = if kind == Kind::Digits { (64, 0.01) } else { (32, 0.02) };
        let task = |what: String, start: Start, epochs: u32, stream: &str| TrainTask {
            label: format!("{}, seed {seed}: {what}", kind.name()),
            start,
            data: data.clone(),
            config: TrainConfig { epochs, batch, rate, weight_decay: 0.0, ..TrainConfig::default() },
            seed: crate::rng::derive(seed, stream),
            test: true,
        };
        let fresh = |graph: &Graph| Start::Fresh(graph.clone());
        let (all, half) = (settings.epochs, settings.epochs / 2);
        let dense = lane.spawn(&task("dense".into(), fresh(&large), all, "train"));
        let first_half = lane.spawn(&task("dense, half".into(), fresh(&large), half, "train"));
        let mut tickets = Vec::new();
        for s in &settings.sparsities {
            let train = task(format!("pruned to {} %", 100.0 * s), fresh(&large), all, "train");
            let sparse = lane.spawn(&GradualTask { train, sparsity: *s, steps: settings.steps });
            let small = fresh(&kind.small(nonzeros(&large, *s))?);
            tickets
                .push((sparse, lane.spawn(&task(format!("small for {} %", 100.0 * s), small, all, "train"))));
        }
        let trained = first_half.await?.model;
        let l1 = criteria::get("magnitude-l1")
            .ok_or_else(|| Error::Unsupported("there is no criterion of magnitudes".into()))?;
        let layers = pruned_layers(&large);
        let mut tuned = Vec::new();
        for s in &settings.sparsities {
            let mut pruned = select::weights(l1, &trained, *s, Scope::Layer, seed)?;
            pruned.weights.retain(|name, _| layers.contains(name));
            for (name, weight) in &trained.weights {
                pruned.weights.entry(name.clone()).or_insert_with(|| weight.clone());
            }
            let start = Start::Model(Box::new(pruned));
            tuned.push(lane.spawn(&task(format!("one-shot {} %", 100.0 * s), start, all - half, "tune")));
        }
        let mut at = Vec::new();
        for ((sparse, small), once) in tickets.into_iter().zip(tuned) {
            at.push(At { sparse: sparse.await?, small: small.await?, once: once.await? });
        }
        let dense = dense.await?;
        lane.progress(1, format!("{}, seed {seed}", kind.name()));
        Ok(Line { dense, at })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let kinds = match study.text("task").as_str() {
            "digits" => vec![Kind::Digits],
            "strings" => vec![Kind::Strings],
            _ => vec![Kind::Digits, Kind::Strings],
        };
        let settings = Settings {
            sparsities: match study.text("sparsity").parse::<f64>() {
                Ok(percent) => vec![percent / 100.0],
                Err(_) => vec![0.75, 0.9],
            },
            epochs: study.count("epochs") as u32,
            steps: study.count("steps") as u32,
        };
        let title = "Gradual pruning beside small dense networks".to_owned();
        let by_kind = study.compare(title, &kinds, 1, |lane, kind| line(lane, &settings, kind)).await?;
        let (mut claim, mut told, mut rows) = (Claim::default(), Vec::new(), Vec::new());
        for (kind, lines) in kinds.iter().zip(&by_kind) {
            for (i, line) in lines.iter().enumerate() {
                show(&study, &settings, *kind, line, i == 0)?;
            }
            let of = |net: &dyn Fn(&Line) -> &Trained| -> Vec<f64> {
                lines.iter().map(|line| test_accuracy(net(line))).collect()
            };
            let dense = of(&|l| &l.dense);
            for (n, s) in settings.sparsities.iter().enumerate() {
                let sparse = of(&|l| &l.at[n].sparse);
                let small = of(&|l| &l.at[n].small);
                let once = of(&|l| &l.at[n].once);
                for (i, (line, seed)) in lines.iter().zip(study.seeds()).enumerate() {
                    let At { sparse: a, small: b, .. } = &line.at[n];
                    let mut row = vec![kind.name().into(), format!("{} %", 100.0 * s), seed.to_string()];
                    row.extend([dense[i], sparse[i], small[i], once[i]].map(percent));
                    row.extend([parameters(a), parameters(b)].map(|n| n.to_string()));
                    rows.push(row);
                }
                for (name, tone, values) in [
                    ("large, pruned gradually", Tone::Prune, &sparse),
                    ("small, dense", Tone::Baseline, &small),
                    ("large, pruned once", Tone::Quantize, &once),
                    ("large, dense", Tone::Grow, &dense),
                ] {
                    let axes = ["sparsity (%)", "test accuracy, mean over seeds"];
                    let chart = format!("Test accuracy, {}", kind.name());
                    study.series(&chart, name, tone, axes, vec![(100.0 * s, mean(values))]);
                }
                let at = format!("{} at {} %", kind.name(), 100.0 * s);
                let paired = claim.better(format!("{at}: large-sparse > small-dense"), &sparse, &small);
                let fair = |l: &Line| parameters(&l.at[n].small) >= parameters(&l.at[n].sparse);
                claim.always(format!("{at}: small-dense has no fewer parameters"), lines.iter().map(fair));
                told.push(format!(
                    "{at}: {} against {} ({}, {} of {} seeds; pruned once {})",
                    percent(mean(&sparse)),
                    percent(mean(&small)),
                    paired.points(),
                    paired.held,
                    paired.seeds,
                    percent(mean(&once)),
                ));
            }
        }
        let columns = [
            "task",
            "sparsity",
            "seed",
            "large, dense",
            "pruned gradually",
            "small, dense",
            "pruned once",
            "non-zero parameters, pruned",
            "parameters, small",
        ];
        study.table("Test accuracy by seed", &columns, rows);
        let does = if claim.holds() == Some(true) { "beats" } else { "does not always beat" };
        let sentence = format!(
            "At equal non-zero parameters the large sparse network {does} the small dense one. {}.",
            told.join("; ")
        );
        study.conclude(claim, sentence, "Every network is trained and tested.");
        Ok(())
    }

    /// Trainable parameters that no mask hides.
    fn parameters(trained: &Trained) -> usize {
        let Graph { params, .. } = &trained.model.graph;
        let trainable =
            trained.model.weights.iter().filter(|(n, _)| params.get(*n).is_some_and(|p| p.trainable));
        trainable.map(|(_, weight)| (0..weight.len()).filter(|i| weight.kept(*i)).count()).sum()
    }

    /// Every network as a point; of the first seed also curves, graphs and models.
    fn show(study: &Study, settings: &Settings, kind: Kind, line: &Line, first: bool) -> Result<()> {
        let mut all = vec![("large, dense", Tone::Grow, String::new(), &line.dense)];
        for (s, at) in settings.sparsities.iter().zip(&line.at) {
            let name = format!(" {} %", 100.0 * s);
            all.push(("large, pruned gradually", Tone::Prune, name.clone(), &at.sparse));
            all.push(("small, dense", Tone::Baseline, name.clone(), &at.small));
            all.push(("large, pruned once", Tone::Quantize, name, &at.once));
        }
        for (side, tone, s, trained) in all {
            let group = format!("{}: {side}", kind.name());
            study.network(&group, &format!("{group}{s}"), tone, trained, first)?;
            if first {
                let what = format!("validation accuracy, {}", kind.name());
                study.curve(&what, &format!("{side}{s}"), tone, trained, |e| e.val_accuracy);
            }
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_baseline_has_never_fewer_parameters_and_hardly_more() {
            for kind in [Kind::Digits, Kind::Strings] {
                let large = kind.large().unwrap();
                for sparsity in [0.5, 0.75, 0.9, 0.95] {
                    let nonzero = nonzeros(&large, sparsity);
                    let small = kind.small(nonzero).unwrap().trainable_params();
                    assert!(
                        small >= nonzero && (small as f64) < 1.15 * nonzero as f64,
                        "{kind:?} {sparsity}: {small} {nonzero}"
                    );
                }
            }
        }

        #[test]
        fn layers_with_few_weights_stay_dense() {
            assert_eq!(pruned_layers(&Kind::Digits.large().unwrap()), ["conv1.weight", "conv2.weight"]);
            assert_eq!(pruned_layers(&Kind::Strings.large().unwrap()), ["lstm.kernel"]);
        }

        #[test]
        fn masks_follow_the_schedule_and_a_masked_weight_may_come_back() {
            let at = |step| Moment { step, steps: 100 };
            let mut method =
                Gradual { sparsity: 0.5, steps: 3, layers: vec!["w".into()], ..Gradual::default() };
            let due: Vec<u32> = (0..=100).filter(|s| method.due(at(*s))).collect();
            assert_eq!(due, [30, 45, 60], "n steps, Δt apart, from t₀ on");
            let held = |values: Vec<f32>, keep| Held { name: "w".into(), shape: vec![2, 2], values, keep };
            let mut weights = [held(vec![0.3, -0.1, 0.2, 0.4], None)];
            method.edit(at(30), &mut weights).unwrap();
            let keep = |w: &[Held; 1]| w[0].keep.clone().unwrap();
            assert_eq!(keep(&weights), [true, false, true, true], "s = 0.5 - 0.5·(2/3)³ = 0.35 of 4 is 1");
            method.edit(at(60), &mut weights).unwrap();
            assert_eq!(keep(&weights), [true, false, false, true]);
            // Training has shrunk the first weight below the value that the third had when it was masked.
            weights[0].values = vec![0.15, 0.0, 0.0, 0.4];
            method.edit(at(60), &mut weights).unwrap();
            assert_eq!(keep(&weights), [false, false, true, true]);
            assert_eq!(weights[0].values[2], 0.2, "with the value that it had");
        }
    }
}
