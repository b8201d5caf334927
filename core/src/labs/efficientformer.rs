//! Li, Yuan, Wen, Hu, Evangelidis, Tulyakov, Wang and Ren, "EfficientFormer: Vision Transformers at
//! MobileNet Speed", NeurIPS 2022, arXiv:2206.01191.
//!
//! A dimension-consistent network: blocks on images first (pooling mixes tokens, an MLP of 1×1
//! convolutions with batch norms), then one reshape, then blocks on tokens (attention, an MLP with layer
//! norms). A supernet mixes at every place what may stand there, an image block, in the second stage a
//! token block, or nothing, by Gumbel softmax weights whose logits α are trained with all else. Then
//! it is slimmed: a place counts for (α₄D + α₃D)/αI, as softmax parts, a stage for the sum of its places.
//! There are three actions: drop the place that counts least, turn the first token block into an image
//! block, narrow the stage that counts least; the one that loses the least accuracy per latency saved is
//! taken, until the target is met. Latencies come from a table of steps measured on this machine. What an
//! action loses is seen after a brief training with the weights of the network before, of narrowed layers
//! the leading channels (our reading). What is left trains anew. Beside it, at the same latency by the same
//! table: the whole network scaled uniformly, a plain vision transformer, a MobileNetV2. Stages, widths and
//! their step are smaller here than in the paper.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("efficientformer.seeds", 1),
    ParamSpec::int(
        "efficientformer.search",
        "Epochs of the supernet",
        1,
        100,
        5,
        "Passes in which paths and weights are learned.",
    ),
    ParamSpec::int(
        "efficientformer.brief",
        "Brief epochs",
        1,
        20,
        1,
        "Passes after each action of slimming, with the weights that are left, before its accuracy is judged.",
    ),
    ParamSpec::int(
        "efficientformer.epochs",
        "Epochs",
        1,
        200,
        10,
        "Passes of every network that is compared.",
    ),
    ParamSpec::float(
        "efficientformer.rate",
        "Learning rate",
        1e-4,
        0.1,
        0.01,
        "At its peak, of every training.",
    )
    .log(),
    ParamSpec::float(
        "efficientformer.target",
        "Target latency",
        0.1,
        1.0,
        0.5,
        "As a part of the latency of the network before slimming.",
    ),
    ParamSpec::int(
        "efficientformer.measure",
        "Measure latency",
        0,
        1,
        1,
        "1 measures every step of the networks on this machine; 0 counts multiply-accumulates in its place, the same everywhere.",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "efficientformer",
        name: "EfficientFormer",
        sentence: "A network of pooling blocks and, at its end, attention blocks, slimmed until it is as fast as asked.",
        formula: "x ← Σₙ softmax((α + g)/τ)ₙ · MPₙ(x);  slim argmin (accuracy lost)/(latency saved)",
        citation: Citation {
            authors: "Li, Yuan, Wen, Hu, Evangelidis, Tulyakov, Wang and Ren",
            title: "EfficientFormer: Vision Transformers at MobileNet Speed",
            year: 2022,
            venue: "NeurIPS, arXiv:2206.01191",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Blocks on images (average pooling and 1×1 convolutions) come first, then one reshape, then blocks of attention on tokens. In a supernet every place mixes its candidates by Gumbel softmax weights, trained with all else. Slimming then drops the least important block, turns the first attention block into an image block, or narrows the least important stage, always what loses the least accuracy, after a brief training, per latency saved, by a table of latencies measured on this machine. The slimmed network trains anew.",
    baseline: "The whole network with all stages scaled alike, in width and in depth; plain vision transformers; MobileNetV2s; of each kind the largest that is at most 5 % slower than the slimmed network by the table.",
    claim: "At equal measured latency the slimmed network is at least as accurate as a plain vision transformer, as a MobileNetV2, and as uniform scaling.",
    breaks: "On 16 tokens attention is slow for what it adds: on none of five seeds did slimming keep a block of it. Then what is left is pooling and convolutions alone, and uniform scaling is as good.",
    #[cfg(feature = "compute")]
    jobs: &[crate::job::JobKind::of::<run::PathTask>()],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::engine::measure::StepTimesTask;
    use crate::engine::table::LatencyTable;
    use crate::job::{JobCtx, Task};
    use crate::labs::checks::{Claim, mean};
    use crate::labs::efficientformer_nets::{
        Design, PLACES, STEP, WIDTHS, corners, families, inherit, supernet as supernet_graph,
    };
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::{Graph, Model, Places};
    use crate::ops::Value;
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::search::run::DescribeTask;
    use crate::train::interpret::{Callback, Hook, Moment, Plan};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result};
    use burn::tensor::activation::softmax;
    use burn::tensor::{Device, Tensor, TensorData};
    use serde::{Deserialize, Serialize};
    use std::cell::{Cell, RefCell};

    /// Temperature at the beginning and at the end of the search.
    const TAU: [f32; 2] = [1.0, 0.2];
    const BATCH: u32 = 32;
    /// How much slower a network may be that counts as equally fast.
    const EQUAL: f64 = 1.05;

    /// Softmax parts at a temperature.
    fn parts(alphas: &[f32]) -> Vec<f64> {
        let most = alphas.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: Vec<f64> = alphas.iter().map(|a| f64::from(a - most).exp()).collect();
        let sum: f64 = all.iter().sum();
        all.into_iter().map(|a| a / sum).collect()
    }

    /// Stands between the αs and the mixtures: softmax((α + g)/τ), with fresh Gumbel noise g in every
    /// training step and none in validation. Jang, Gu and Poole, "Categorical Reparameterization with
    /// Gumbel-Softmax", ICLR 2017, arXiv:1611.01144.
    struct Paths {
        rng: RefCell<Rng>,
        tau: Cell<f32>,
        /// By parameter: how many ways there are, 0 where it is no path; and the next step's noise.
        ways: Vec<usize>,
        noise: RefCell<Vec<Option<Vec<f32>>>>,
        device: Device,
    }

    impl Paths {
        fn new(seed: u64, device: Device) -> Self {
            let rng = RefCell::new(Rng::stream(seed, "gumbel"));
            Self { rng, tau: Cell::new(TAU[0]), ways: Vec::new(), noise: RefCell::default(), device }
        }
    }

    impl Hook for Paths {
        fn weight(&self, index: usize, value: Value) -> Result<Value> {
            let ways = self.ways.get(index).copied().unwrap_or(0);
            let Value::R4(alphas) = value else { return Ok(value) };
            if ways == 0 {
                return Ok(Value::R4(alphas));
            }
            let noise = self.noise.borrow_mut().get_mut(index).and_then(Option::take);
            let noise = noise.unwrap_or_else(|| vec![0.0; ways]);
            let noise = Tensor::<4>::from_data(TensorData::new(noise, [ways, 1, 1, 1]), &self.device);
            Ok(Value::R4(softmax((alphas + noise).div_scalar(self.tau.get()), 0)))
        }
    }

    impl Callback for Paths {
        fn begin(&mut self, plan: &Plan) -> Result<()> {
            let ways = |name: &String| match plan.graph().params.get(name) {
                Some(p) if name.starts_with("path") => p.shape.first().copied().unwrap_or(0),
                _ => 0,
            };
            self.ways = plan.params().iter().map(ways).collect();
            self.noise.replace(vec![None; self.ways.len()]);
            Ok(())
        }

        /// Asked before every step: no weight is edited, but noise is drawn and τ moves on.
        fn due(&self, at: Moment) -> bool {
            if at.step < at.steps {
                let part = at.step as f32 / at.steps as f32;
                self.tau.set(TAU[0] + part * (TAU[1] - TAU[0]));
                let mut rng = self.rng.borrow_mut();
                let mut gumbel = || -(-(rng.f64().max(1e-12)).ln()).ln() as f32;
                let drawn = self.ways.iter().map(|n| (*n > 0).then(|| (0..*n).map(|_| gumbel()).collect()));
                self.noise.replace(drawn.collect());
            }
            false
        }
    }

    /// Training the supernet, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct PathTask {
        /// For the progress line.
        pub label: String,
        /// Name of the data set.
        pub data: String,
        /// Epochs.
        pub epochs: u32,
        /// Peak learning rate.
        pub rate: f32,
        /// The seed.
        pub seed: u64,
    }

    impl Task for PathTask {
        const NAME: &'static str = "lab.efficientformer";
        /// Of every place its αs: nothing, an image block, and in the second stage a token block.
        type Output = (Vec<Vec<f32>>, Trained);

        fn label(&self) -> String {
            self.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Self::Output> {
            let data = ctx.dataset(&self.data)?;
            let task = TrainTask {
                label: self.label,
                start: Start::Fresh(supernet_graph(&data.shape, data.classes.len())?.0),
                data: self.data,
                config: training(self.epochs, self.rate),
                seed: self.seed,
                test: false,
            };
            let trained = task.run_with(ctx, &mut Paths::new(self.seed, ctx.device.clone())).await?;
            let places = PLACES.iter().sum::<usize>();
            let alphas = (0..places).map(|i| trained.model.values(&format!("path{i}.weight"))).collect();
            Ok((alphas, trained))
        }
    }

    fn training(epochs: u32, rate: f32) -> TrainConfig {
        TrainConfig {
            epochs,
            batch: BATCH,
            rate,
            weight_decay: 0.0,
            recalibrate: 8,
            ..TrainConfig::default()
        }
    }

    /// A network on its way from the supernet to the target.
    #[derive(Debug, Clone, PartialEq)]
    struct Slim {
        widths: [usize; 2],
        /// Of each stage its places: importance, and which of the supernet's it is.
        places: [Vec<(f64, usize)>; 2],
        /// How many of the last places of the second stage are token blocks.
        tokens: usize,
    }

    impl Slim {
        /// Every place stays; token blocks are the last of the second stage, as many as make the αs of
        /// what stands there most likely.
        fn new(alphas: &[Vec<f32>]) -> Self {
            let all: Vec<Vec<f64>> = alphas.iter().map(|a| parts(a)).collect();
            let at = |place: &Vec<f64>, way: usize| place.get(way).copied().unwrap_or(0.0);
            let score =
                |place: &Vec<f64>| (at(place, 1) + at(place, 2)) / at(place, 0).max(f64::MIN_POSITIVE);
            let (first, second) = all.split_at(PLACES[0].min(all.len()));
            let likely = |tokens: usize| -> f64 {
                let split = second.len() - tokens;
                let way = |i: usize| if i < split { 1 } else { 2 };
                second.iter().enumerate().map(|(i, p)| at(p, way(i)).max(f64::MIN_POSITIVE).ln()).sum()
            };
            let tokens = (0..=second.len()).max_by(|a, b| likely(*a).total_cmp(&likely(*b))).unwrap_or(0);
            let scored = |places: &[Vec<f64>]| places.iter().map(score).zip(0..).collect();
            Self { widths: WIDTHS, places: [scored(first), scored(second)], tokens }
        }

        fn design(&self) -> Design {
            let images = [self.places[0].len(), self.places[1].len() - self.tokens];
            Design { widths: self.widths, images, tokens: self.tokens }
        }

        /// The network, and where its parameters stand in the supernet.
        fn graph(&self, shape: &[usize], classes: usize) -> Result<(Graph, Places)> {
            let stand = [0, 1].map(|s: usize| self.places[s].iter().map(|p| p.1).collect());
            self.design().placed(&stand, shape, classes)
        }

        /// What may be done, by importance: each action's result and its name.
        fn actions(&self) -> Vec<(Self, String)> {
            let mut actions = Vec::new();
            let all = self.places.iter().enumerate().flat_map(|(s, p)| (0..p.len()).map(move |i| (s, i)));
            let least = all.min_by(|a, b| self.places[a.0][a.1].0.total_cmp(&self.places[b.0][b.1].0));
            if let Some((stage, i)) = least {
                let mut next = self.clone();
                next.places[stage].remove(i);
                if stage == 1 && i >= self.places[1].len() - self.tokens {
                    next.tokens -= 1;
                }
                actions.push((next, format!("drop a block of stage {}", stage + 1)));
            }
            if self.tokens > 0 {
                let next = Self { tokens: self.tokens - 1, ..self.clone() };
                actions.push((next, "attention becomes pooling".into()));
            }
            let worth = |s: usize| self.places[s].iter().map(|p| p.0).sum::<f64>();
            let narrow = (0..2).filter(|s| self.widths[*s] > STEP);
            if let Some(stage) = narrow.min_by(|a, b| worth(*a).total_cmp(&worth(*b))) {
                let mut next = self.clone();
                next.widths[stage] -= STEP;
                actions.push((next, format!("narrow stage {}", stage + 1)));
            }
            actions
        }
    }

    /// Of actions (accuracy lost, latency saved) the one that loses least per latency; those that save
    /// nothing are left out.
    fn pick(actions: &[(f64, f64)]) -> Option<usize> {
        let saving = (0..actions.len()).filter(|i| actions[*i].1 > 0.0);
        saving.min_by(|a, b| {
            let per = |i: usize| actions[i].0 / actions[i].1;
            per(*a).total_cmp(&per(*b))
        })
    }

    /// What networks cost: milliseconds by the table, or MACs where nothing is measured.
    struct Costs {
        table: Option<LatencyTable>,
        shape: Vec<usize>,
        classes: usize,
    }

    impl Costs {
        fn of(&self, graph: &Graph) -> Result<f64> {
            match &self.table {
                None => Ok(graph.analyze(1)?.total.macs as f64),
                Some(table) => {
                    let model = Model::init(graph.clone(), 0);
                    table.predict(&model, 1)?.ok_or_else(|| {
                        Error::Unsupported(format!("a step of “{}” was not measured", graph.name))
                    })
                }
            }
        }

        /// Of a family's members that are at most [`EQUAL`] times slower, the one of most MACs; the fastest
        /// where all are slower.
        fn match_of(&self, family: &[Graph], cost: f64) -> Result<Option<Graph>> {
            let mut best: Option<(u64, &Graph)> = None;
            let mut fastest: Option<(f64, &Graph)> = None;
            for graph in family {
                let (have, macs) = (self.of(graph)?, graph.analyze(1)?.total.macs);
                if have <= EQUAL * cost && best.is_none_or(|(b, _)| macs > b) {
                    best = Some((macs, graph));
                }
                if fastest.is_none_or(|(b, _)| have < b) {
                    fastest = Some((have, graph));
                }
            }
            Ok(best.map(|b| b.1).or(fastest.map(|f| f.1)).cloned())
        }
    }

    const NAMES: [&str; 4] = ["EfficientFormer", "uniform scaling", "plain ViT", "MobileNetV2"];
    const TONES: [Tone; 4] = [Tone::Grow, Tone::Prune, Tone::Baseline, Tone::Quantize];

    /// What came of one seed.
    struct Outcome {
        alphas: Vec<Vec<f32>>,
        supernet: Trained,
        /// The network before slimming, and what every action made of it.
        steps: Vec<Slimmed>,
        /// By [`NAMES`]: each network and its cost.
        sides: Vec<(Trained, f64)>,
    }

    /// A network between two actions.
    struct Slimmed {
        action: String,
        design: Design,
        cost: f64,
        /// On the validation split, after a brief training.
        accuracy: f64,
    }

    struct Settings {
        data: String,
        search: u32,
        brief: u32,
        epochs: u32,
        rate: f32,
        target: f64,
    }

    async fn line(lane: Lane, settings: &Settings, costs: &Costs) -> Result<Outcome> {
        let (alphas, supernet) = lane
            .spawn(&PathTask {
                label: format!("supernet, seed {}", lane.seed),
                data: settings.data.clone(),
                epochs: settings.search,
                rate: settings.rate,
                seed: rng::derive(lane.seed, "supernet"),
            })
            .await?;
        lane.progress(1, format!("seed {}: supernet", lane.seed));
        let mut slim = Slim::new(&alphas);
        let full = slim.design();
        // From one network to the next: weights, and where they stand in the supernet.
        let (_, mut places) = supernet_graph(&costs.shape, costs.classes)?;
        let mut model = supernet.model.clone();
        let brief = |of: &Slim, name: &str, model: &Model, places: &Places| {
            let (graph, at) = of.graph(&costs.shape, costs.classes)?;
            let cost = costs.of(&graph)?;
            let ticket = lane.spawn(&TrainTask {
                label: format!("{name}, seed {}", lane.seed),
                start: Start::Model(Box::new(inherit(model, places, (graph, &at)))),
                data: settings.data.clone(),
                config: training(settings.brief, settings.rate),
                seed: rng::derive(lane.seed, "brief"),
                test: false,
            });
            Ok::<_, Error>((ticket, at, cost))
        };
        let (ticket, at, whole) = brief(&slim, "before slimming", &model, &places)?;
        let trained = ticket.await?;
        let mut now = Slimmed {
            action: "before slimming".into(),
            design: full.clone(),
            cost: whole,
            accuracy: f64::from(trained.val_accuracy),
        };
        (model, places) = (trained.model, at);
        let mut steps = Vec::new();
        while now.cost > settings.target * whole {
            let actions = slim.actions();
            let mut tickets = Vec::with_capacity(actions.len());
            for (next, name) in &actions {
                tickets.push(brief(next, name, &model, &places)?);
            }
            let (mut tried, mut saved) = (Vec::new(), Vec::new());
            for (ticket, at, cost) in tickets {
                let trained = ticket.await?;
                saved.push((now.accuracy - f64::from(trained.val_accuracy), now.cost - cost));
                tried.push((trained, at, cost));
            }
            let Some(i) = pick(&saved) else { break };
            let (trained, at, cost) = tried.swap_remove(i);
            let (next, action) = actions[i].clone();
            let accuracy = f64::from(trained.val_accuracy);
            let after = Slimmed { action, design: next.design(), cost, accuracy };
            steps.push(std::mem::replace(&mut now, after));
            (slim, model, places) = (next, trained.model, at);
        }
        lane.progress(2, format!("seed {}: slimmed", lane.seed));
        let cost = now.cost;
        let mut graphs = vec![now.design.graph(&costs.shape, costs.classes)?];
        steps.push(now);
        for family in families(&full, &costs.shape, costs.classes)? {
            graphs.extend(costs.match_of(&family, cost)?);
        }
        let tickets: Vec<_> = graphs
            .iter()
            .map(|graph| {
                lane.spawn(&TrainTask {
                    label: format!("{}, seed {}", graph.name, lane.seed),
                    start: Start::Fresh(graph.clone()),
                    data: settings.data.clone(),
                    config: training(settings.epochs, settings.rate),
                    seed: rng::derive(lane.seed, "train"),
                    test: true,
                })
            })
            .collect();
        let mut sides = Vec::with_capacity(tickets.len());
        for (ticket, graph) in tickets.into_iter().zip(&graphs) {
            sides.push((ticket.await?, costs.of(graph)?));
        }
        lane.progress(3, format!("seed {}: trained", lane.seed));
        Ok(Outcome { alphas, supernet, steps, sides })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let settings = Settings {
            data: study.spec.data.clone(),
            search: study.count("search") as u32,
            brief: study.count("brief") as u32,
            epochs: study.count("epochs") as u32,
            rate: study.float("rate") as f32,
            target: study.float("target"),
        };
        let described = study.spawn(&DescribeTask { data: settings.data.clone() }).await?;
        let (shape, classes) = (described.shape, described.classes);
        let mut costs = Costs { table: None, shape: shape.clone(), classes };
        if study.count("measure") > 0 {
            let mut all = corners(&shape, classes)?;
            for tokens in [0, 1] {
                let full = Design { widths: WIDTHS, images: [1, 1], tokens };
                all.extend(families(&full, &shape, classes)?.into_iter().flatten());
            }
            let mut table = LatencyTable::default();
            // One after the other, before anything else runs: two at once would time each other.
            for graph in all {
                let model = Box::new(Model::init(graph, 0));
                table = study.spawn(&StepTimesTask { model, batch: 1, table, kept: false }).await?;
            }
            study.log(format!("{} steps were timed on this machine.", table.0.len()));
            costs.table = Some(table);
        }
        let title = format!(
            "Networks of pooling and attention slimmed to {} of their latency",
            percent(settings.target)
        );
        let outcomes = study.compare(title, &[()], 3, |lane, ()| line(lane, &settings, &costs)).await?;
        report(&study, &costs, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, costs: &Costs, outcomes: &[Outcome]) -> Result<()> {
        let cost = |v: f64| match costs.table {
            Some(_) => format!("{:.1} µs", 1000.0 * v),
            None => format!("{v:.0} MACs"),
        };
        let mut rows = Vec::new();
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            for ((name, tone), (trained, latency)) in NAMES.iter().zip(TONES).zip(&outcome.sides) {
                study.network(name, &trained.model.graph.name, tone, trained, i == 0)?;
                let total = trained.model.graph.analyze(1)?.total;
                rows.push(vec![
                    seed.to_string(),
                    (*name).into(),
                    trained.model.graph.name.clone(),
                    cost(*latency),
                    total.params.to_string(),
                    total.macs.to_string(),
                    percent(test_accuracy(trained)),
                ]);
                if i == 0 {
                    study.curve("validation accuracy", name, tone, trained, |e| e.val_accuracy);
                }
            }
        }
        let columns = ["seed", "kind", "network", "cost by the table", "parameters", "MACs", "test accuracy"];
        study.table("Networks of equal cost", &columns, rows);
        if let Some(first) = outcomes.first() {
            let part = |a: &Vec<f32>, i: usize| parts(a).get(i).map_or(String::new(), |p| format!("{p:.2}"));
            let rows = first.alphas.iter().enumerate().map(|(i, a)| {
                let stage = if i < PLACES[0] { "1" } else { "2" };
                vec![format!("{}", i + 1), stage.into(), part(a, 0), part(a, 1), part(a, 2)]
            });
            let columns = ["place", "stage", "nothing", "pooling", "attention"];
            study.table("What the paths weigh, first seed", &columns, rows.collect());
            let rows = first
                .steps
                .iter()
                .map(|s| vec![s.action.clone(), s.design.label(), cost(s.cost), percent(s.accuracy)]);
            let columns = ["action", "network", "cost by the table", "validation accuracy, brief"];
            study.table("Slimming, first seed", &columns, rows.collect());
            study.curve("validation accuracy", "supernet", Tone::Prune, &first.supernet, |e| e.val_accuracy);
        }
        let accuracy = |side: usize| -> Vec<f64> {
            outcomes.iter().map(|o| o.sides.get(side).map_or(0.0, |s| test_accuracy(&s.0))).collect()
        };
        let ours = accuracy(0);
        let mut claim = Claim::default();
        let told: Vec<String> = [2, 3, 1]
            .iter()
            .map(|side| {
                let theirs = accuracy(*side);
                let what = format!("accuracy at equal cost: EfficientFormer >= {}", NAMES[*side]);
                let paired = claim.not_worse(what, &ours, &theirs);
                format!(
                    "{} {} ({} for EfficientFormer)",
                    NAMES[*side],
                    percent(mean(&theirs)),
                    paired.points()
                )
            })
            .collect();
        let spent = |side: usize| {
            let all: Vec<f64> = outcomes.iter().filter_map(|o| o.sides.get(side)).map(|s| s.1).collect();
            cost(mean(&all))
        };
        let sentence = format!(
            "Slimmed networks reach {} on the test digits at {}; {}. Their costs: uniform scaling {}, plain ViT {}, MobileNetV2 {}.",
            percent(mean(&ours)),
            spent(0),
            told.join(", "),
            spent(1),
            spent(2),
            spent(3),
        );
        study.conclude(claim, sentence, "Every network is slimmed, trained and timed.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn slim() -> Slim {
            // Nothing, image block, token block.
            let place = |n: f32, i: f32, t: f32| vec![n.ln(), i.ln(), t.ln()];
            let alphas = vec![
                vec![0.5f32.ln(), 0.5f32.ln()],
                vec![0.2f32.ln(), 0.8f32.ln()],
                place(0.2, 0.6, 0.2),
                place(0.1, 0.5, 0.4),
                place(0.4, 0.2, 0.4),
                place(0.1, 0.3, 0.6),
            ];
            Slim::new(&alphas)
        }

        #[test]
        fn importance_and_layout_are_the_papers() {
            let slim = slim();
            assert_eq!(slim.tokens, 2, "0.6 · 0.5 · 0.4 · 0.6 is the most likely split");
            let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
            let scores: Vec<f64> = slim.places.iter().flatten().map(|p| p.0).collect();
            for (have, want) in scores.iter().zip([1.0, 4.0, 4.0, 9.0, 1.5, 9.0]) {
                assert!(close(*have, want), "{scores:?}");
            }
            assert_eq!(slim.design(), Design { widths: WIDTHS, images: [2, 2], tokens: 2 });
            let actions = slim.actions();
            assert_eq!(actions[0].0.design(), Design { widths: WIDTHS, images: [1, 2], tokens: 2 });
            assert_eq!(actions[0].0.places[0], [(slim.places[0][1].0, 1)], "the second place stays");
            assert_eq!(actions[1].0.design(), Design { widths: WIDTHS, images: [2, 3], tokens: 1 });
            assert_eq!(actions[2].0.design(), Design { widths: [8, 24], images: [2, 2], tokens: 2 });
        }

        #[test]
        fn what_loses_least_accuracy_per_latency_goes_first() {
            assert_eq!(pick(&[(1.0, 2.0), (0.4, 1.0), (0.1, 0.0), (0.0, -1.0)]), Some(1));
            assert_eq!(pick(&[(1.0, 0.0)]), None);
            // By MACs, down to the smallest: every action saves some.
            let costs = Costs { table: None, shape: vec![1, 8, 8], classes: 10 };
            let of = |s: &Slim| costs.of(&s.design().graph(&[1, 8, 8], 10).unwrap()).unwrap();
            let mut at = slim();
            let mut before = of(&at);
            loop {
                let actions = at.actions();
                let saved: Vec<_> = actions.iter().map(|a| (0.01, before - of(&a.0))).collect();
                let Some(i) = pick(&saved) else { break };
                at = actions[i].0.clone();
                assert!(of(&at) < before && at.tokens <= at.places[1].len());
                before = of(&at);
            }
            assert_eq!((at.widths, at.places[0].len() + at.places[1].len()), ([STEP; 2], 0));
        }

        #[test]
        fn paths_weigh_by_softmax_and_noise_comes_with_each_step_only() {
            let device = Device::flex();
            let mut paths = Paths::new(3, device.clone());
            let graph = supernet_graph(&[1, 8, 8], 10).unwrap().0;
            let plan = Plan::new(&graph).unwrap();
            paths.begin(&plan).unwrap();
            let index = plan.params().iter().position(|p| p == "path5.weight").unwrap();
            let alphas = [0.0, 2.0f32.ln(), 5.0f32.ln()];
            let weigh = |paths: &Paths| -> Vec<f32> {
                let value = Value::from_host(alphas.to_vec(), &[3, 1, 1, 1], &device).unwrap();
                let Value::R4(t) = paths.weight(index, value).unwrap() else { panic!("rank 4") };
                t.into_data().try_to_vec().unwrap()
            };
            let off =
                |have: &[f32], want: [f32; 3]| have.iter().zip(want).map(|(a, b)| (a - b).abs()).sum::<f32>();
            assert!(off(&weigh(&paths), [0.125, 0.25, 0.625]) < 1e-5);
            let mut sums = [0.0; 3];
            for step in 0..2000 {
                assert!(!paths.due(Moment { step, steps: 1_000_000 }));
                let noisy = weigh(&paths);
                // The largest of α + g is drawn with the softmax of α: the Gumbel-max trick.
                let most = (0..3).max_by(|a, b| noisy[*a].total_cmp(&noisy[*b])).unwrap();
                sums[most] += 1.0 / 2000.0;
                assert!((noisy.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
            assert!(off(&sums, [0.125, 0.25, 0.625]) < 0.08, "{sums:?}");
            assert!(off(&weigh(&paths), [0.125, 0.25, 0.625]) < 1e-2, "no noise in validation");
            paths.due(Moment { step: 99, steps: 100 });
            weigh(&paths);
            assert!(weigh(&paths)[2] > 0.95, "colder at the end");
        }
    }
}
