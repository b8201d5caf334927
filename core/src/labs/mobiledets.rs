//! Xiong, Liu, Gupta, Akin, Bender, Wang, Kindermans, Tan, Singh and Chen, "MobileDets: Searching for Object
//! Detection Architectures for Mobile Accelerators", CVPR 2021, arXiv:2004.14525.
//!
//! Blocks with regular convolutions (fused inverted bottlenecks, Tucker convolutions) join the depthwise
//! inverted bottlenecks; which stands where is searched on detection itself, by weight sharing as in TuNAS
//! (Bender et al., CVPR 2020, arXiv:2008.06120): every step draws a network from a policy and trains its
//! shared weights on a batch; after a warm-up it also judges a drawn network on a validation batch, and
//! REINFORCE raises its probability by AP − τ·|cost / target − 1|. The cost is a sum over blocks of what was
//! measured: on the CPU with this project's engine (Wasm in the browser), and on the GPU only where the lab's
//! jobs run on one. Without a GPU there is no table of it, and what is claimed for it stays undecided.
//! Of a search comes the likeliest network at the target cost, and it is trained from scratch. Beside it: the same
//! search among depthwise blocks only, with the same target. The target is a part of the mean cost of the whole
//! space on the device, so that on each it asks for a choice: one that is set by depthwise blocks asks for nothing
//! where regular convolutions cost less than they do.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("mobiledets.seeds", 1),
    ParamSpec::int(
        "mobiledets.steps",
        "Steps of the search",
        4,
        5000,
        300,
        "Training steps of the shared weights; the first quarter is a warm-up, in which the policy stays.",
    ),
    ParamSpec::int(
        "mobiledets.epochs",
        "Epochs",
        1,
        100,
        6,
        "Passes over the training scenes of a network that was found.",
    ),
    ParamSpec::int("mobiledets.width", "Width", 4, 32, 8, "Channels of the first block.").unit("channels"),
    ParamSpec::float(
        "mobiledets.penalty",
        "Penalty τ",
        0.0,
        10.0,
        3.0,
        "What a cost twice the target takes away from the reward, in parts of AP.",
    ),
    ParamSpec::float(
        "mobiledets.target",
        "Target",
        0.2,
        3.0,
        0.9,
        "The cost that is aimed at, as a part of the mean cost of all networks with all kinds of blocks.",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "mobiledets",
        name: "MobileDets",
        sentence: "Detectors are searched for the hardware they run on, with regular convolutions among the choices.",
        formula: "max E[AP(a) − τ·|c(a)/c₀ − 1|],  a ~ π",
        citation: Citation {
            authors: "Xiong, Liu, Gupta, Akin, Bender, Wang, Kindermans, Tan, Singh and Chen",
            title: "MobileDets: Searching for Object Detection Architectures for Mobile Accelerators",
            year: 2021,
            venue: "CVPR, arXiv:2004.14525",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Each of five blocks is a depthwise inverted bottleneck, a fused one whose expansion is a full convolution, or a Tucker convolution that squeezes, convolves and expands. SSDLite heads on two resolutions find shapes in scenes of 32×32 pixels. Every step trains a drawn network's share of the weights; a policy learns by REINFORCE which blocks give a high AP at a cost close to the target. Costs are sums over blocks, measured on this machine's CPU, and on its GPU where the engine runs there.",
    baseline: "The same search, with the same target, among depthwise inverted bottlenecks only; where none of them costs as little as the target, the one whose cost is closest to it.",
    claim: "At a cost on the GPU that is equal or lower, AP with all kinds of blocks is at least that with depthwise ones only; and the search takes regular convolutions more often for the GPU's costs than for the CPU's.",
    breaks: "The GPU's costs are measured only where the jobs run on it: start the lab with the WebGPU engine; on the CPU engine all checks stay undecided. With a penalty of 1 in place of 3, and a policy that learned twice as fast, regular convolutions were more frequent for the GPU's costs on only 3 of 5 seeds.",
    #[cfg(feature = "compute")]
    jobs: &[
        crate::job::JobKind::of::<run::CostsTask>(),
        crate::job::JobKind::of::<run::DetectTask>(),
        crate::job::JobKind::of::<run::SearchTask>(),
    ],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::data::Dataset;
    use crate::data::generated::scenes::{self, Scene};
    use crate::engine::table::LatencyTable;
    use crate::job::{Device, JobCtx, Task};
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent};
    use crate::model::{Anatomy, Graph, Model};
    use crate::ops::Value;
    use crate::params::{Config, ParamValue};
    use crate::protocol::{Event, JobProgress, Metric, Tone};
    use crate::rng::{self, Rng};
    use crate::search::policy::Policy;
    use crate::space::{Genome, Space, mobiledets};
    use crate::supernet::{Spec, Supernet, Trainer};
    use crate::train::custom::Custom;
    use crate::train::detect::{self, Detector, Map};
    use crate::train::device_time;
    use crate::train::{TrainConfig, schedule};
    use crate::{Error, Result};
    use serde::{Deserialize, Serialize};

    const SIDE: usize = 32;
    const SHAPES: usize = 3;
    /// Scenes to learn from, to choose by and to test on.
    const SCENES: [usize; 3] = [600, 200, 200];
    const BATCH: usize = 16;
    /// Scenes on which a drawn network is judged.
    const JUDGED: usize = 32;
    /// The part of the search in which the policy stays as it is.
    const WARM: f64 = 0.25;
    const POLICY_RATE: f64 = 0.05;
    const MEMORY: f64 = 0.95;
    const RATE: f32 = 0.01;
    /// Networks drawn from the policy at the end, to take the likeliest at the target cost from.
    const DRAWN: usize = 4000;
    /// How far its cost may be from the target, as a part of it: two searches are compared at equal cost.
    const EQUAL: f64 = 0.03;
    /// Images at once, when a GPU is timed.
    const GPU_BATCH: usize = 16;

    fn detector() -> Detector {
        let maps = vec![Map { cells: 8, stride: 4.0, size: 9.0 }, Map { cells: 4, stride: 8.0, size: 14.0 }];
        Detector { maps, classes: scenes::CLASSES.len() - 1 }
    }

    fn spec(width: usize, all: bool) -> Spec {
        let text = |t: &str| ParamValue::Text(t.into());
        let config = Config::default()
            .with("mobiledets.width", ParamValue::Int(width as i64))
            .with("mobiledets.head", text("boxes"))
            .with("mobiledets.kinds", text(if all { "all" } else { "depthwise" }));
        Spec { space: "mobiledets".into(), config }
    }

    fn net(spec: &Spec) -> Result<Supernet> {
        Supernet::new(spec, &[1, SIDE, SIDE], detector().classes)
    }

    /// Scenes as a data set of images; of labels there are none.
    fn images(scenes: &[Scene]) -> Dataset {
        Dataset {
            name: "scenes".into(),
            shape: vec![1, SIDE, SIDE],
            inputs: scenes.iter().flat_map(|s| s.pixels.iter().copied()).collect(),
            labels: vec![0; scenes.len()],
            classes: scenes::CLASSES[1..].iter().map(|c| (*c).to_owned()).collect(),
            train: (0..scenes.len() as u32).collect(),
            validation: Vec::new(),
            test: Vec::new(),
            table: None,
        }
    }

    fn pixels(scenes: &[&Scene]) -> Vec<f32> {
        scenes.iter().flat_map(|s| s.pixels.iter().copied()).collect()
    }

    /// What networks cost: a base, and for each block what each choice adds to it.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct Costs {
        /// With the first choice everywhere, milliseconds.
        pub base: f64,
        /// By block, then by choice, milliseconds more than with the first one.
        pub extra: Vec<Vec<f64>>,
    }

    impl Costs {
        fn of(&self, genome: &Genome) -> f64 {
            let each = self.extra.iter().enumerate().filter_map(|(i, e)| e.get(genome.at(i)));
            self.base + each.sum::<f64>()
        }

        /// The mean over all networks.
        fn mean(&self) -> f64 {
            self.base + self.extra.iter().map(|e| mean(e)).sum::<f64>()
        }
    }

    /// Measures what blocks cost where it runs, as a job: on the CPU with the engine, and on the device of jobs
    /// where that is a GPU.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct CostsTask {
        /// Channels of the first block.
        pub width: usize,
    }

    impl Task for CostsTask {
        const NAME: &'static str = "lab.mobiledets.costs";
        /// On the CPU; on the GPU, where there is one.
        type Output = (Costs, Option<Costs>);

        fn label(&self) -> String {
            "timing every kind of block".into()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Self::Output> {
            let net = net(&spec(self.width, true))?;
            let first = Genome(vec![0; net.genes().len()]);
            let gpu = ctx.device != Device::flex();
            let mut table = LatencyTable::default();
            let (mut cpu_costs, mut gpu_costs) = (Costs::default(), Costs::default());
            for block in 0..=net.genes().len() {
                let choices = if block == 0 { 1 } else { net.genes()[block - 1].options.len() };
                let mut rows = [Vec::new(), Vec::new()];
                for choice in 0..choices {
                    ctx.host.checkpoint().await?;
                    let mut genome = first.clone();
                    if let Some(gene) = block.checked_sub(1).and_then(|b| genome.0.get_mut(b)) {
                        *gene = choice as u8;
                    }
                    let graph = net.subnet(&genome)?.graph;
                    let model = Model::init(graph, 1);
                    table.learn(&model, 1, &|| ctx.host.now_ms())?;
                    rows[0].push(table.predict(&model, 1)?.unwrap_or(f64::NAN));
                    if gpu {
                        rows[1].push(device_time::network(&model, GPU_BATCH, &ctx.device, ctx.host).await?);
                    }
                }
                for (costs, row) in [&mut cpu_costs, &mut gpu_costs].into_iter().zip(rows) {
                    match (block, row.first()) {
                        (_, None) => {}
                        (0, Some(base)) => costs.base = *base,
                        // The first choice is timed anew beside the others: a machine does not stay as fast.
                        (_, Some(first)) => costs.extra.push(row.iter().map(|ms| ms - first).collect()),
                    }
                }
            }
            Ok((cpu_costs, gpu.then_some(gpu_costs)))
        }
    }

    /// AP − τ·|cost / target − 1|.
    fn reward(ap: f64, cost: f64, target: f64, penalty: f64) -> f64 {
        ap - penalty * (cost / target - 1.0).abs()
    }

    /// Searches by weight sharing, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct SearchTask {
        /// For the progress line.
        pub label: String,
        /// Channels of the first block.
        pub width: usize,
        /// Whether there are regular convolutions among the choices.
        pub all: bool,
        /// What networks cost.
        pub costs: Costs,
        /// The cost that is aimed at, milliseconds.
        pub target: f64,
        /// The penalty τ.
        pub penalty: f64,
        /// Training steps.
        pub steps: u32,
        /// The seed, also of the scenes.
        pub seed: u64,
    }

    /// What a search found.
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    pub struct Searched {
        /// The likeliest network.
        pub genome: Genome,
        /// The policy at the end: by block, then by choice.
        pub policy: Vec<Vec<f64>>,
        /// Step, AP and milliseconds of every network that was judged.
        pub judged: Vec<(u32, f64, f64)>,
        /// MACs spent in training.
        pub macs: u64,
    }

    /// The likeliest of some networks whose cost, as a part of the target, is close to 1; of none the closest.
    fn likeliest(
        drawn: impl Iterator<Item = Genome>,
        policy: &[Vec<f64>],
        cost: &dyn Fn(&Genome) -> f64,
    ) -> Genome {
        let worth = |g: &Genome| {
            let off = (cost(g) - 1.0).abs();
            let chance: f64 = policy.iter().enumerate().map(|(i, p)| p[g.at(i)].ln()).sum();
            if off <= EQUAL { (true, chance) } else { (false, -off) }
        };
        let better = |a: &(bool, f64), b: &(bool, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).is_gt();
        let mut best: Option<((bool, f64), Genome)> = None;
        for genome in drawn {
            let worth = worth(&genome);
            if best.as_ref().is_none_or(|(known, _)| better(&worth, known)) {
                best = Some((worth, genome));
            }
        }
        best.map(|(_, genome)| genome).unwrap_or_default()
    }

    /// Where detectors are trained: on the CPU, also where the engine of the GPU runs, which is asked what blocks
    /// cost there. Steps of networks as small as these wait for a GPU longer than they take.
    fn device() -> Device {
        Device::flex()
    }

    fn data(seed: u64) -> Vec<Scene> {
        scenes::draw(rng::derive(seed, "scenes"), SCENES.iter().sum(), SIDE, SHAPES)
    }

    fn some<'a>(scenes: &'a [Scene], count: usize, rng: &mut Rng) -> Vec<&'a Scene> {
        (0..count).filter_map(|_| scenes.get(rng.below(scenes.len()))).collect()
    }

    impl Task for SearchTask {
        const NAME: &'static str = "lab.mobiledets.search";
        type Output = Searched;

        fn label(&self) -> String {
            self.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Searched> {
            let scenes = data(self.seed);
            let (train, rest) = scenes.split_at(SCENES[0]);
            let validation = &rest[..SCENES[1]];
            let (detector, net, images) = (detector(), net(&spec(self.width, self.all))?, images(train));
            let config = TrainConfig { epochs: 1, rate: RATE, ..TrainConfig::default() };
            let store = net.store(rng::derive(self.seed, "shared"));
            let device = device();
            let mut trainer = Trainer::new(&net, &store, &images, &config, &device)?;
            let sizes = net.genes().iter().map(|g| g.options.len()).collect();
            let mut policy = Policy::new(sizes, 0, &mut Rng::stream(self.seed, "policy"));
            let [mut draws, mut order, mut judge] =
                ["draws", "order", "judge"].map(|name| Rng::stream(self.seed, name));
            let mut done = Searched::default();
            let mut baseline = None;
            for step in 0..self.steps {
                ctx.host.checkpoint().await?;
                let genome = policy.sample(&mut draws);
                let batch = some(train, BATCH, &mut order);
                let targets = detector.targets(&batch);
                let rate = schedule::rate(&config, step, self.steps);
                let loss = |answers| detect::loss(answers, &targets, &device);
                trainer.step_on(&genome, pixels(&batch), rate, &loss)?;
                if f64::from(step) < WARM * f64::from(self.steps) {
                    continue;
                }
                let genome = policy.sample(&mut draws);
                let batch = some(validation, JUDGED, &mut judge);
                let answers = trainer.answers(&genome, pixels(&batch)).await?;
                if answers.iter().any(|v| !v.is_finite()) {
                    return Err(Error::Numeric("the shared detectors stopped giving numbers".into()));
                }
                let (ap, ms) = (detector.average_precision(&batch, &answers), self.costs.of(&genome));
                let r = reward(ap, ms, self.target, self.penalty);
                let b = baseline.map_or(r, |b: f64| MEMORY * b + (1.0 - MEMORY) * r);
                baseline = Some(b);
                let gradient = policy.gradient(&genome, r - b, 0.0);
                policy.ascend(&gradient, POLICY_RATE);
                done.judged.push((step + 1, ap, ms));
                let fraction = f64::from(step + 1) / f64::from(self.steps);
                ctx.host.progress(JobProgress { fraction, values: vec![("AP".into(), ap)] });
            }
            done.policy = policy.probabilities(&Genome::default());
            let drawn = (0..DRAWN).map(|_| policy.sample(&mut draws));
            done.genome = likeliest(drawn, &done.policy, &|g| self.costs.of(g) / self.target);
            done.macs = trainer.macs;
            Ok(done)
        }
    }

    /// Trains a network from scratch on scenes and tests it, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct DetectTask {
        /// For the progress line.
        pub label: String,
        /// The architecture.
        pub graph: Graph,
        /// Passes over the training scenes.
        pub epochs: u32,
        /// The seed, also of the scenes.
        pub seed: u64,
    }

    impl Task for DetectTask {
        const NAME: &'static str = "lab.mobiledets.detect";
        /// AP on the test scenes, and the model.
        type Output = (f64, Model);

        fn label(&self) -> String {
            self.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Self::Output> {
            let scenes = data(self.seed);
            let (train, rest) = scenes.split_at(SCENES[0]);
            let test = &rest[SCENES[1]..];
            let detector = detector();
            let config = TrainConfig { epochs: self.epochs, rate: RATE, ..TrainConfig::default() };
            let device = device();
            let mut custom = Custom::new(Model::init(self.graph, self.seed), &config, &device)?;
            let mut order: Vec<usize> = (0..train.len()).collect();
            let mut rng = Rng::stream(self.seed, "order");
            let per_epoch = (train.len() / BATCH) as u32;
            for epoch in 0..self.epochs {
                rng.shuffle(&mut order);
                let mut last = None;
                for (i, part) in order.chunks_exact(BATCH).enumerate() {
                    ctx.host.checkpoint().await?;
                    let batch: Vec<&Scene> = part.iter().map(|i| &train[*i]).collect();
                    let targets = detector.targets(&batch);
                    let loss = |outputs: &[Value]| match outputs.first() {
                        Some(Value::R2(answers)) => detect::loss(answers.clone(), &targets, &device),
                        _ => Err(Error::Unsupported("a detector has an output of rank 2".into())),
                    };
                    let samples: Vec<&[f32]> = batch.iter().map(|s| s.pixels.as_slice()).collect();
                    let rate = schedule::rate(&config, epoch * per_epoch + i as u32, per_epoch);
                    last = Some(custom.step(&samples, rate, &loss)?);
                }
                if let Some(last) = last {
                    let loss = Value::R1(last).to_host().await?.first().copied().unwrap_or(f32::NAN);
                    if !loss.is_finite() {
                        return Err(Error::Numeric("the detector's loss stopped being a number".into()));
                    }
                    let fraction = f64::from(epoch + 1) / f64::from(self.epochs);
                    ctx.host.progress(JobProgress { fraction, values: vec![("loss".into(), loss.into())] });
                }
            }
            custom.refresh()?;
            let mut answers = Vec::new();
            for part in test.chunks(50) {
                ctx.host.checkpoint().await?;
                let samples: Vec<&[f32]> = part.iter().map(|s| s.pixels.as_slice()).collect();
                answers.extend(custom.outputs(&samples).await?.swap_remove(0));
            }
            let ap = detector.average_precision(&test.iter().collect::<Vec<_>>(), &answers);
            Ok((ap, custom.finish().await?))
        }
    }

    struct Settings {
        width: usize,
        cpu: Costs,
        gpu: Option<Costs>,
        steps: u32,
        epochs: u32,
        penalty: f64,
        target: f64,
    }

    /// A search and its network, trained from scratch.
    struct Side {
        searched: Searched,
        label: String,
        ms: f64,
        target: f64,
        ap: f64,
        model: Model,
    }

    impl Side {
        /// The part of the blocks that have a regular convolution, as the policy would draw them.
        fn regular(&self) -> f64 {
            let part = |p: &Vec<f64>| p.iter().skip(mobiledets::DEPTHWISE).fold(0.0, |sum, p| sum + p);
            mean(&self.searched.policy.iter().map(part).collect::<Vec<_>>())
        }
    }

    /// What came of a seed: on the CPU, then on the GPU; of each all kinds, then depthwise only.
    type Outcome = Vec<[Side; 2]>;

    async fn side(lane: &Lane, settings: &Settings, costs: &Costs, all: bool, what: &str) -> Result<Side> {
        let spec = spec(settings.width, all);
        let net = net(&spec)?;
        let target = settings.target * costs.mean();
        let label = format!("{}, {what}, seed {}", if all { "all kinds" } else { "depthwise" }, lane.seed);
        let searched = lane
            .spawn(&SearchTask {
                label: format!("search: {label}"),
                width: settings.width,
                all,
                costs: costs.clone(),
                target,
                penalty: settings.penalty,
                steps: settings.steps,
                seed: lane.seed,
            })
            .await?;
        let graph = net.subnet(&searched.genome)?.graph;
        let task = DetectTask { label, graph, epochs: settings.epochs, seed: lane.seed };
        let (ap, model) = lane.spawn(&task).await?;
        let label = mobiledets::Mobiledets.label(&spec.config, &searched.genome);
        Ok(Side { ms: costs.of(&searched.genome), searched, label, target, ap, model })
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let mut outcome = Vec::new();
        let tables = std::iter::once(("CPU", &settings.cpu)).chain(settings.gpu.iter().map(|g| ("GPU", g)));
        for (what, costs) in tables {
            let all = side(&lane, settings, costs, true, what).await?;
            let depthwise = side(&lane, settings, costs, false, what).await?;
            outcome.push([all, depthwise]);
            lane.progress(outcome.len() as u32, format!("seed {}: {what}", lane.seed));
        }
        Ok(outcome)
    }

    const SIDES: [(&str, Tone); 2] = [("all kinds", Tone::Grow), ("depthwise only", Tone::Baseline)];

    pub(super) async fn run(study: Study) -> Result<()> {
        let width = study.count("width");
        let (cpu, gpu) = study.spawn(&CostsTask { width }).await?;
        let settings = Settings {
            width,
            cpu,
            gpu,
            steps: study.count("steps") as u32,
            epochs: study.count("epochs") as u32,
            penalty: study.float("penalty"),
            target: study.float("target"),
        };
        let tables = 1 + u32::from(settings.gpu.is_some());
        let title = "Detectors for this machine, on scenes of shapes".to_owned();
        let outcomes = study.compare(title, &[()], tables, |lane, ()| line(lane, &settings)).await?;
        report(&study, &settings, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, settings: &Settings, outcomes: &[Outcome]) -> Result<()> {
        let names = ["CPU", "GPU"];
        let mut rows = Vec::new();
        let mut id = 0;
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            for (table, sides) in names.iter().zip(outcome) {
                for ((name, tone), side) in SIDES.iter().zip(sides) {
                    let cost = side.model.graph.analyze(1)?.total;
                    rows.push(vec![
                        seed.to_string(),
                        format!("{name}, {table}"),
                        side.label.clone(),
                        cost.params.to_string(),
                        cost.macs.to_string(),
                        format!("{:.3} ms ({:.3} ms)", side.ms, side.target),
                        percent(side.regular()),
                        percent(side.ap),
                    ]);
                    let metrics =
                        vec![(Metric::Params, cost.params as f64), (Metric::Macs, cost.macs as f64)];
                    study.emit(Event::Point {
                        group: (*name).into(),
                        tone: *tone,
                        id,
                        label: side.label.clone(),
                        metrics: metrics.clone(),
                        parents: Vec::new(),
                    });
                    if i == 0 {
                        study.emit(Event::graph(id, side.model.graph.clone()));
                        study.emit(Event::Model {
                            name: format!("{name}, {table} #{id}"),
                            tone: *tone,
                            made_by: format!("lab mobiledets, {name}"),
                            anatomy: Anatomy::of(&side.model.graph),
                            model: Box::new(side.model.clone()),
                            metrics,
                        });
                    }
                    id += 1;
                }
            }
        }
        let columns = [
            "seed",
            "search",
            "blocks found",
            "parameters",
            "MACs",
            "cost (target)",
            "regular convolutions in the policy",
            "AP at an overlap of 0.5",
        ];
        study.table("Detectors trained from scratch", &columns, rows);
        let mut rows = Vec::new();
        for (table, costs) in names.iter().zip([Some(&settings.cpu), settings.gpu.as_ref()]) {
            let Some(costs) = costs else { continue };
            for (block, extra) in (1..).zip(&costs.extra) {
                let mut row = vec![format!("block {block}, {table}")];
                row.extend(extra.iter().map(|ms: &f64| format!("{:+.1} µs", 1000.0 * ms)));
                rows.push(row);
            }
        }
        let choices = mobiledets::Mobiledets.genes(&Config::default());
        let mut columns = vec!["where"];
        columns.extend(choices.first().iter().flat_map(|g| g.options.iter().map(String::as_str)));
        study.table("What a block costs more than the first choice", &columns, rows);
        if let Some(first) = outcomes.first().and_then(|o| o.first()) {
            for ((name, tone), side) in SIDES.iter().zip(first) {
                let judged = &side.searched.judged;
                let window = (judged.len() / 20).max(1);
                let points = judged.chunks(window).map(|c| {
                    let ap = mean(&c.iter().map(|j| j.1).collect::<Vec<_>>());
                    (c.last().map_or(0.0, |j| f64::from(j.0)), ap)
                });
                let axes = ["step", "AP of drawn networks, shared weights"];
                study.series("Search, first seed", name, *tone, axes, points.collect());
                let costs = judged.chunks(window).map(|c| {
                    let ms = mean(&c.iter().map(|j| j.2).collect::<Vec<_>>());
                    (c.last().map_or(0.0, |j| f64::from(j.0)), ms)
                });
                let axes = ["step", "cost of drawn networks (ms)"];
                study.series("Search: cost, first seed", name, *tone, axes, costs.collect());
            }
        }
        let by_seed = |table: usize, f: &dyn Fn(&[Side; 2]) -> f64| -> Vec<f64> {
            outcomes.iter().filter_map(|o| o.get(table)).map(f).collect()
        };
        let mut claim = Claim::default();
        let gpu = claim.not_worse(
            "AP at an equal or lower GPU cost: all kinds >= depthwise only",
            &by_seed(1, &|s| s[0].ap),
            &by_seed(1, &|s| s[1].ap),
        );
        claim.at_most(
            format!("GPU cost of all kinds at most {:.0} % above depthwise only", 100.0 * EQUAL),
            &by_seed(1, &|s| s[0].ms / s[1].ms),
            1.0 + EQUAL,
        );
        let more = claim.better(
            "regular convolutions: more often for the GPU's costs than for the CPU's",
            &by_seed(1, &|s| s[0].regular()),
            &if settings.gpu.is_some() { by_seed(0, &|s| s[0].regular()) } else { Vec::new() },
        );
        let (all, depthwise) = (by_seed(0, &|s| s[0].ap), by_seed(0, &|s| s[1].ap));
        let found = match settings.gpu {
            Some(_) => format!(
                "For the GPU's costs, AP is {} with all kinds of blocks ({:.3} ms on average) and {} with depthwise ones only ({:.3} ms; {}); the policy takes a regular convolution for {:+.1} points more of the blocks than for the CPU's.",
                percent(mean(&by_seed(1, &|s| s[0].ap))),
                mean(&by_seed(1, &|s| s[0].ms)),
                percent(mean(&by_seed(1, &|s| s[1].ap))),
                mean(&by_seed(1, &|s| s[1].ms)),
                gpu.points(),
                100.0 * more.difference
            ),
            None => "The jobs ran on the CPU: no GPU's costs could be measured, and nothing about them is decided.".into(),
        };
        let sentence = format!(
            "{found} For the CPU's costs, AP is {} with all kinds ({:.3} ms on average) and {} with depthwise blocks only ({:.3} ms); the policy takes a regular convolution for {} of the blocks.",
            percent(mean(&all)),
            mean(&by_seed(0, &|s| s[0].ms)),
            percent(mean(&depthwise)),
            mean(&by_seed(0, &|s| s[1].ms)),
            percent(mean(&by_seed(0, &|s| s[0].regular()))),
        );
        study.conclude(claim, sentence, "Every detector is searched, trained and tested.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn costs_add_up_and_the_reward_falls_on_both_sides_of_the_target() {
            let costs = Costs { base: 1.0, extra: vec![vec![0.0, 0.5], vec![0.0, -0.25]] };
            assert_eq!(costs.of(&Genome(vec![1, 1])), 1.25);
            let all = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|g| costs.of(&Genome(g.into())));
            assert_eq!(costs.mean(), mean(&all));
            let r = |cost| reward(0.5, cost, 2.0, 0.4);
            assert_eq!(r(2.0), 0.5);
            assert!((r(1.0) - 0.3).abs() < 1e-12 && (r(3.0) - 0.3).abs() < 1e-12);
        }

        #[test]
        fn the_likeliest_network_is_one_at_the_target_cost() {
            let costs = Costs { base: 1.0, extra: vec![vec![0.0, 0.5], vec![0.0, 1.0]] };
            let policy = [vec![0.9, 0.1], vec![0.4, 0.6]];
            let all = || (0..4u8).map(|i| Genome(vec![i & 1, i >> 1]));
            let at = |target: f64| likeliest(all(), &policy, &|g| costs.of(g) / target).0;
            assert_eq!(at(2.0), [0, 1]);
            assert_eq!(at(1.52), [1, 0], "unlikely, and the only one");
            assert_eq!(at(9.0), [1, 1], "the closest");
            let even = Costs { base: 1.0, extra: vec![vec![0.0; 2]; 2] };
            assert_eq!(likeliest(all(), &policy, &|g| even.of(g)).0, [0, 1], "the likeliest of equals");
        }

        #[test]
        fn the_answers_of_a_network_are_those_that_the_detector_reads() {
            let net = net(&spec(4, true)).unwrap();
            let graph = net.subnet(&net.largest()).unwrap().graph;
            assert_eq!(graph.analyze(1).unwrap().shapes[&graph.outputs[0]], [1, detector().values()]);
        }
    }
}
