//! Ashok, Rhinehart, Beainy and Kitani, "N2N Learning: Network to Network Compression via Policy Gradient
//! Reinforcement Learning", ICLR 2018, arXiv:1709.06030.
//!
//! Two policies make a student of a teacher. The first, a bidirectional LSTM over the layers, keeps or removes each.
//! The second starts from the best student of the first: an LSTM goes along its layers and shrinks each one's
//! configuration, knowing what it chose before. A student learns from labels and from the teacher's logits (Ba and
//! Caruana, NIPS 2014); its reward is C(2 − C)·A/A_teacher, C the part of parameters that are gone. REINFORCE, with a
//! moving average. Policies of a small teacher are used again on a larger one.
//! Beside it: the same two stages with actions drawn uniformly, and a network shrunk by hand.
//!
//! Ours: a configuration is a width, in tenths of what it was, and for a convolution a kernel of 3 or 1.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("n2n.seeds", 1),
    ParamSpec::int(
        "n2n.removal",
        "Batches of removal",
        1,
        40,
        6,
        "How often the first policy draws a batch of students; half as often on the larger teacher.",
    ),
    ParamSpec::int(
        "n2n.shrinkage",
        "Batches of shrinkage",
        1,
        40,
        8,
        "How often the second policy does; half as often on the larger teacher.",
    ),
    ParamSpec::int("n2n.students", "Students", 2, 20, 5, "How many students a batch has."),
    ParamSpec::int(
        "n2n.epochs",
        "Epochs of a student",
        1,
        20,
        1,
        "Passes over the training data after which a student is rewarded.",
    ),
    ParamSpec::float(
        "n2n.rate",
        "Policies' rate",
        0.001,
        0.5,
        0.05,
        "Learning rate of both policies (Adam).",
    )
    .log(),
    ParamSpec::int(
        "n2n.final",
        "Epochs in the end",
        1,
        100,
        16,
        "Passes over the training data of the teachers, of the best student and of the one shrunk by hand.",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "n2n",
        name: "N2N",
        sentence: "Two policies learn how to make a small network of a large one: which layers go, and how thin the others become.",
        formula: "R = C(2 − C) · A / A_teacher,  C = 1 − |student| / |teacher|",
        citation: Citation {
            authors: "Ashok, Rhinehart, Beainy and Kitani",
            title: "N2N Learning: Network to Network Compression via Policy Gradient Reinforcement Learning",
            year: 2018,
            venue: "ICLR, arXiv:1709.06030",
        },
        params: PARAMS,
    },
    family: "Prune and sparsify",
    mechanism: "A bidirectional LSTM reads the teacher's layers and keeps or removes each. A second LSTM goes along the layers of the best student so far and shrinks each: its width in tenths, its kernel. Each student trains for an epoch on labels and on the teacher's logits. What it loses in accuracy and gains in compression is its reward, C(2 − C)·A/A_teacher, and both policies learn from it by REINFORCE. What they have learned on one teacher serves for another.",
    baseline: "As many students whose actions are drawn uniformly; a network shrunk by hand, every second layer and 40 % of the width; and on the larger teacher, policies that have learned nothing yet.",
    claim: "The best student has at most a fifth of the teacher's parameters and at least 95 % of its accuracy; the second half of the policies' students earns more than of those drawn uniformly; and policies from the smaller teacher need fewer students on the larger one, counted in each stage, to earn what fresh ones do in the second half of it.",
    breaks: "Of a teacher whose last layers have 16 channels and 32 units, not 24 and 64, the best student keeps about a quarter of the parameters (26 % over five seeds): students are rewarded after one epoch, when thin ones are still far behind.",
    #[cfg(feature = "compute")]
    jobs: &[crate::job::JobKind::of::<run::StudentTask>()],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::job::{JobCtx, Task};
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::{ConvOptions, Graph, GraphBuilder, Model};
    use crate::ops::{Forward, Value};
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::run::RunCtx;
    use crate::search::actor::{Baseline, Encoder, Head, Lstm};
    use crate::search::tape::{Matrix, Pick, Tape, Theta, draw};
    use crate::train::interpret::{Callback, Hook, NoHook, Passed, Plan, Shapes};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result};
    use burn::tensor::Tensor;
    use serde::{Deserialize, Serialize};

    /// Units of both policies, length of embeddings.
    const UNITS: usize = 30;
    const EMBEDDING: usize = 16;
    /// Widths that a layer may shrink to, in tenths.
    const TENTHS: usize = 10;
    /// Widths are told to the policies in steps of so many channels, up to so many steps.
    const STEP: usize = 4;
    const STEPS: usize = 20;
    /// Weight of the policies' entropy, memory of their baselines.
    const ENTROPY: f64 = 0.01;
    const MEMORY: f64 = 0.9;
    /// Weight of the squared distance to the teacher's logits.
    const DISTIL: f32 = 0.1;

    /// A layer of a teacher or a student.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
    pub enum Layer {
        /// A convolution with batch norm and ReLU: channels, kernel.
        Conv(u32, u32),
        /// Maximum pooling by 2, which stays.
        Pool,
        /// Fully connected with ReLU: units.
        Dense(u32),
    }

    impl Layer {
        /// Kind and width, as the policies read them.
        fn words(self) -> Vec<usize> {
            let width = |n: u32| (n as usize / STEP).min(STEPS - 1);
            match self {
                Self::Conv(n, kernel) => vec![usize::from(kernel > 1), width(n)],
                Self::Dense(n) => vec![2, width(n)],
                Self::Pool => vec![3, 0],
            }
        }
    }

    /// VGG-like teachers of two sizes: as in VGG, most parameters are in the wide layers at the end.
    fn teacher(large: bool) -> Vec<Layer> {
        let (depth, width) = if large { (3, [12, 24, 64]) } else { (2, [8, 24, 64]) };
        let mut layers = vec![Layer::Conv(width[0], 3); depth];
        layers.push(Layer::Pool);
        layers.extend(vec![Layer::Conv(width[1], 3); depth]);
        layers.extend([Layer::Pool, Layer::Dense(width[2])]);
        layers
    }

    /// "c3×12 | c1×5 | 19".
    fn describe(layers: &[Layer]) -> String {
        let word = |l: &Layer| match l {
            Layer::Conv(n, k) => format!("c{k}×{n}"),
            Layer::Pool => "|".to_owned(),
            Layer::Dense(n) => n.to_string(),
        };
        layers.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn graph(layers: &[Layer]) -> Result<Graph> {
        let mut b = GraphBuilder::new(&describe(layers), &[1, 8, 8]);
        let mut x = b.input();
        for layer in layers {
            x = match layer {
                Layer::Conv(n, k) => {
                    let y = b.conv(&x, *n as usize, *k as usize, ConvOptions::default())?;
                    let y = b.batch_norm(&y)?;
                    b.unary("Relu", &y)?
                }
                Layer::Pool => b.pool("MaxPool", &x, 2, 2)?,
                Layer::Dense(n) => {
                    let y = if b.shape(&x).len() > 2 { b.unary("Flatten", &x)? } else { x };
                    let y = b.linear(&y, *n as usize)?;
                    b.unary("Relu", &y)?
                }
            };
        }
        let x = if b.shape(&x).len() > 2 { b.unary("Flatten", &x)? } else { x };
        let y = b.linear(&x, 10)?;
        b.finish(&y)
    }

    /// C(2 − C)·A/A_teacher.
    fn reward(params: (u64, u64), accuracy: (f64, f64)) -> f64 {
        let c = 1.0 - params.0 as f64 / params.1.max(1) as f64;
        c * (2.0 - c) * accuracy.0 / accuracy.1.max(f64::MIN_POSITIVE)
    }

    /// Trains a student, or a teacher where it has none, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct StudentTask {
        /// For the progress line.
        pub label: String,
        /// Its layers.
        pub layers: Vec<Layer>,
        /// Whose logits it learns.
        pub teacher: Option<Box<Model>>,
        /// Passes over the training data.
        pub epochs: u32,
        /// The seed.
        pub seed: u64,
    }

    impl Task for StudentTask {
        const NAME: &'static str = "lab.n2n";
        type Output = Trained;

        fn label(&self) -> String {
            self.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Trained> {
            let config = TrainConfig { epochs: self.epochs, rate: 0.01, ..TrainConfig::default() };
            let data = ctx.dataset("digits")?;
            let teacher = match &self.teacher {
                None => None,
                Some(model) => {
                    crate::train::evaluate::check(&model.graph, &data)?;
                    let plan = Plan::new(&model.graph)?;
                    let params = plan.upload(model, &ctx.device)?;
                    let shapes = plan.shapes((config.batch as usize).min(data.train.len()))?;
                    Some((plan, params, shapes))
                }
            };
            let train = TrainTask {
                label: self.label,
                start: Start::Fresh(graph(&self.layers)?),
                data: "digits".into(),
                config,
                seed: self.seed,
                test: true,
            };
            train.run_with(ctx, &mut Lesson { teacher }).await
        }
    }

    /// Adds the squared distance to the teacher's logits to the loss.
    struct Lesson {
        teacher: Option<(Plan, Vec<Value>, Shapes)>,
    }

    impl Hook for Lesson {}

    impl Callback for Lesson {
        fn objective(&self, passed: &Passed<'_>) -> Result<Option<Tensor<1>>> {
            let (Some((plan, params, shapes)), [Value::R2(logits)]) = (&self.teacher, passed.outputs) else {
                return Ok(None);
            };
            let told =
                plan.forward(params, passed.input.clone(), shapes, &mut Forward::default(), &NoHook)?;
            let [Value::R2(answers)] = told.as_slice() else { return Ok(None) };
            Ok(Some((logits.clone() - answers.clone()).square().mean().mul_scalar(DISTIL)))
        }
    }

    /// Both policies, each with parameters of its own.
    #[derive(Clone)]
    struct Policies {
        theta: [Theta; 2],
        encoder: Encoder,
        keep: Head,
        lstm: Lstm,
        tables: [Matrix; 2],
        width: Head,
        kernel: Head,
        /// Embeddings of the width and of the kernel that were chosen before.
        before: [Matrix; 2],
    }

    impl Policies {
        fn new(embedding: usize, units: usize, rng: &mut Rng) -> Self {
            let mut theta = [Theta::default(), Theta::default()];
            let [removal, shrinkage] = &mut theta;
            let encoder = Encoder::new(removal, &[4, STEPS], embedding, units, rng);
            let keep = Head::new(removal, 2 * units, 1, rng);
            let tables = [4, STEPS].map(|n| shrinkage.matrix(n, embedding, 0.1, rng));
            let before = [TENTHS + 1, 3].map(|n| shrinkage.matrix(n, embedding, 0.1, rng));
            let lstm = Lstm::new(shrinkage, embedding, units, rng);
            let width = Head::new(shrinkage, units, TENTHS, rng);
            let kernel = Head::new(shrinkage, units, 2, rng);
            Self { theta, encoder, keep, lstm, tables, width, kernel, before }
        }

        /// The first stage: what stays of a network.
        fn remove(&self, tape: &mut Tape, layers: &[Layer], pick: &mut Pick) -> Vec<Layer> {
            let words: Vec<Vec<usize>> = layers.iter().map(|l| l.words()).collect();
            let read = self.encoder.read(tape, &words);
            let mut kept = Vec::new();
            for (layer, state) in layers.iter().zip(read.items) {
                let stays = *layer == Layer::Pool || {
                    let logit = self.keep.logits(tape, state);
                    tape.decide_whether(logit, pick)
                };
                kept.extend(stays.then_some(*layer));
            }
            kept
        }

        /// The second stage: every layer's configuration, one after the other.
        fn shrink(&self, tape: &mut Tape, layers: &[Layer], pick: &mut Pick) -> Vec<Layer> {
            let (mut state, mut before) = (self.lstm.start(tape), [TENTHS, 2]);
            let mut shrunk = Vec::with_capacity(layers.len());
            for layer in layers {
                let mut x = tape.row(self.before[0], before[0]);
                let kernel = (self.before[1], before[1]);
                for (table, row) in self.tables.into_iter().zip(layer.words()).chain([kernel]) {
                    let row = tape.row(table, row);
                    x = tape.add(x, row);
                }
                state = self.lstm.step(tape, x, state);
                before = [TENTHS, 2];
                let mut thin = |tape: &mut Tape, width: u32, before: &mut [usize; 2]| {
                    let logits = self.width.logits(tape, state.out);
                    before[0] = tape.decide(logits, pick);
                    (width * (before[0] as u32 + 1)).div_ceil(TENTHS as u32).max(1)
                };
                shrunk.push(match *layer {
                    Layer::Pool => Layer::Pool,
                    Layer::Dense(n) => Layer::Dense(thin(tape, n, &mut before)),
                    Layer::Conv(n, kernel) => {
                        let n = thin(tape, n, &mut before);
                        if kernel > 1 {
                            let logits = self.kernel.logits(tape, state.out);
                            before[1] = tape.decide(logits, pick);
                        }
                        Layer::Conv(n, if before[1] == 1 { 1 } else { kernel })
                    }
                });
            }
            shrunk
        }
    }

    /// The settings of a run.
    struct Settings {
        batches: [usize; 2],
        students: usize,
        epochs: u32,
        last: u32,
        rate: f64,
    }

    impl Settings {
        /// Batches of each stage: on the larger teacher, whose students take longer, half as many.
        fn batches(&self, large: bool) -> [usize; 2] {
            self.batches.map(|n| if large { n.div_ceil(2) } else { n })
        }
    }

    /// A teacher, trained.
    struct Teacher {
        large: bool,
        layers: Vec<Layer>,
        trained: Trained,
        params: u64,
    }

    /// What came of one search.
    struct Found {
        /// The reward of every student, in order.
        rewards: Vec<f64>,
        best: (Vec<Layer>, f64),
        policies: Policies,
    }

    /// Both stages on a teacher. `learns` says whether the policies decide and learn, or chance decides.
    async fn search(
        ctx: &RunCtx,
        settings: &Settings,
        (name, seed): (&str, u64),
        teacher: &Teacher,
        mut policies: Policies,
        learns: bool,
    ) -> Result<Found> {
        let mut rng = Rng::stream(seed, name);
        let mut rewards = Vec::new();
        let mut best: Option<(Vec<Layer>, f64)> = None;
        for (stage, batches) in settings.batches(teacher.large).into_iter().enumerate() {
            let mut baseline = Baseline::new(MEMORY);
            // The second stage shrinks what the first has found.
            let start = best.as_ref().map_or(teacher.layers.clone(), |b| b.0.clone());
            for _ in 0..batches {
                let (mut tapes, mut tickets) = (Vec::new(), Vec::new());
                for _ in 0..settings.students {
                    let mut tape = Tape::new(&policies.theta[stage]);
                    let mut pick = |p: &[f64]| if learns { draw(&mut rng, p) } else { rng.below(p.len()) };
                    let layers = match stage {
                        0 => policies.remove(&mut tape, &start, &mut pick),
                        _ => policies.shrink(&mut tape, &start, &mut pick),
                    };
                    let number = rewards.len() + tickets.len();
                    let ticket = ctx.spawn(&StudentTask {
                        label: format!("{name}, student {}: {}", number + 1, describe(&layers)),
                        layers: layers.clone(),
                        teacher: Some(Box::new(teacher.trained.model.clone())),
                        epochs: settings.epochs,
                        seed: rng::derive(seed, &format!("{name} {number}")),
                    });
                    tickets.push((layers, ticket));
                    tapes.push(tape);
                }
                let mut batch = Vec::new();
                for (layers, ticket) in tickets {
                    let student = ticket.await?;
                    let params = student.model.graph.trainable_params();
                    let accuracy = (f64::from(student.val_accuracy), f64::from(teacher.trained.val_accuracy));
                    let earned = reward((params, teacher.params), accuracy);
                    batch.push(earned);
                    if best.as_ref().is_none_or(|b| earned > b.1) {
                        best = Some((layers, earned));
                    }
                }
                if learns {
                    let mut gradient = vec![0.0; policies.theta[stage].values.len()];
                    for (tape, advantage) in tapes.iter().zip(baseline.advantages(&batch)) {
                        let share = 1.0 / batch.len() as f64;
                        let one = tape.gradient(share * advantage, share * ENTROPY);
                        gradient.iter_mut().zip(one).for_each(|(g, o)| *g += o);
                    }
                    drop(tapes);
                    policies.theta[stage].ascend(&gradient, settings.rate);
                }
                rewards.extend(batch);
            }
        }
        let best = best.ok_or_else(|| Error::Unsupported("no student was drawn".into()))?;
        Ok(Found { rewards, best, policies })
    }

    /// Shrunk by hand: every second layer, 40 % of the width.
    fn by_hand(layers: &[Layer]) -> Vec<Layer> {
        let (thin, mut nth) = (|n: u32| (2 * n).div_ceil(5), 0);
        let shrink = |layer: &Layer| {
            nth = if *layer == Layer::Pool { 0 } else { nth + 1 };
            match *layer {
                Layer::Conv(n, k) => (nth % 2 == 1).then_some(Layer::Conv(thin(n), k)),
                Layer::Pool => Some(Layer::Pool),
                Layer::Dense(n) => Some(Layer::Dense(thin(n))),
            }
        };
        layers.iter().filter_map(shrink).collect()
    }

    /// The means of the batches of students.
    fn batches(rewards: &[f64], students: usize) -> Vec<f64> {
        rewards.chunks(students.max(1)).map(mean).collect()
    }

    /// How many students it takes until a batch earns, on average, what fresh policies do in the second half of their
    /// batches: for each stage, in both together. One batch more than all where none does.
    fn needed(rewards: &[f64], fresh: &[f64], students: usize, stages: [usize; 2]) -> usize {
        let (all, fresh) = (batches(rewards, students), batches(fresh, students));
        let (mut from, mut count) = (0, 0);
        for n in stages {
            let part = |b: &[f64]| b.iter().skip(from).take(n).copied().collect::<Vec<f64>>();
            let target = mean(second_half(&part(&fresh)));
            // A mean of equal numbers may be rounded up.
            let reached = part(&all).iter().position(|b| *b >= target - 1e-9);
            count += 1 + reached.unwrap_or(n);
            from += n;
        }
        students * count
    }

    /// What came of one seed.
    struct Outcome {
        teachers: [Teacher; 2],
        policy: Found,
        chance: Found,
        /// On the larger teacher: fresh policies, and those of the smaller one.
        fresh: Found,
        reused: Found,
        /// The best student and the one by hand, trained to the end; both of the smaller teacher.
        student: Trained,
        hand: Trained,
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let seed = lane.seed;
        let task = |name: &str, layers: Vec<Layer>, teacher: Option<&Teacher>| StudentTask {
            label: format!("{name}, seed {seed}"),
            layers,
            teacher: teacher.map(|t| Box::new(t.trained.model.clone())),
            epochs: settings.last,
            seed: rng::derive(seed, name),
        };
        let tickets = [false, true].map(|large| lane.spawn(&task("teacher", teacher(large), None)));
        let mut teachers = Vec::new();
        for (ticket, large) in tickets.into_iter().zip([false, true]) {
            let trained = ticket.await?;
            let params = trained.model.graph.trainable_params();
            teachers.push(Teacher { large, layers: teacher(large), trained, params });
        }
        let Ok([small, large]) = <[Teacher; 2]>::try_from(teachers) else {
            return Err(Error::Unsupported("there are two teachers".into()));
        };
        lane.progress(1, format!("seed {seed}: teachers"));
        let policies = Policies::new(EMBEDDING, UNITS, &mut Rng::stream(seed, "policies"));
        // The larger teacher's fresh policies do not wait for those of the smaller.
        let mut found = lane
            .side_by_side(3, |i, ctx| {
                let policies = policies.clone();
                let (small, large) = (&small, &large);
                async move {
                    match i {
                        0 => search(&ctx, settings, ("policies", seed), small, policies, true).await,
                        1 => search(&ctx, settings, ("chance", seed), small, policies, false).await,
                        _ => search(&ctx, settings, ("fresh policies", seed), large, policies, true).await,
                    }
                }
            })
            .await?
            .into_iter();
        let (Some(policy), Some(chance), Some(fresh)) = (found.next(), found.next(), found.next()) else {
            return Err(Error::Unsupported("three searches belong to a seed".into()));
        };
        let student = lane.spawn(&task("best student", policy.best.0.clone(), Some(&small)));
        let hand = lane.spawn(&task("by hand", by_hand(&small.layers), Some(&small)));
        let reused =
            search(&lane, settings, ("reused policies", seed), &large, policy.policies.clone(), true).await?;
        let (student, hand) = (student.await?, hand.await?);
        lane.progress(2, format!("seed {seed}: the larger teacher"));
        Ok(Outcome { teachers: [small, large], policy, chance, fresh, reused, student, hand })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let settings = Settings {
            batches: [study.count("removal"), study.count("shrinkage")],
            students: study.count("students"),
            epochs: study.count("epochs") as u32,
            last: study.count("final") as u32,
            rate: study.float("rate"),
        };
        let title = "Students of a network, made by policies".to_owned();
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        report(&study, &settings, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, settings: &Settings, outcomes: &[Outcome]) -> Result<()> {
        let n = settings.students;
        let (mut nets, mut searches) = (Vec::new(), Vec::new());
        for (i, (o, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            let [small, large] = &o.teachers;
            let rows = [
                ("teacher", Tone::Baseline, &small.trained),
                ("larger teacher", Tone::Baseline, &large.trained),
                ("best student", Tone::Prune, &o.student),
                ("by hand", Tone::Quantize, &o.hand),
            ];
            for (name, tone, trained) in rows {
                study.network(name, &format!("{name}, seed {seed}"), tone, trained, i == 0)?;
                let cost = trained.model.graph.analyze(1)?.total;
                nets.push(vec![
                    seed.to_string(),
                    name.to_owned(),
                    trained.model.graph.name.clone(),
                    cost.params.to_string(),
                    cost.macs.to_string(),
                    percent(test_accuracy(trained)),
                ]);
            }
            let runs = [
                ("policies", Tone::Grow, &o.policy),
                ("chance", Tone::Baseline, &o.chance),
                ("larger teacher, fresh policies", Tone::Quantize, &o.fresh),
                ("larger teacher, reused policies", Tone::Prune, &o.reused),
            ];
            for (name, tone, found) in runs {
                searches.push(vec![
                    seed.to_string(),
                    name.to_owned(),
                    format!("{:.3}", mean(&found.rewards)),
                    format!("{:.3}", mean(second_half(&found.rewards))),
                    format!("{:.3}", found.best.1),
                    describe(&found.best.0),
                ]);
                if i == 0 {
                    let points = (1..).zip(batches(&found.rewards, n));
                    let points = points.map(|(b, r)| (f64::from(b) * n as f64, r)).collect();
                    study.series(
                        "What students earn",
                        name,
                        tone,
                        ["students", "mean reward of a batch"],
                        points,
                    );
                }
            }
        }
        let columns = ["seed", "network", "layers", "parameters", "MACs", "test accuracy"];
        study.table("Teachers and students, trained to the end", &columns, nets);
        let columns = ["seed", "search", "mean reward", "of the second half", "best", "its layers"];
        study.table("What the searches earned", &columns, searches);

        let each = |f: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(f).collect::<Vec<f64>>();
        let part = each(&|o| o.student.model.graph.trainable_params() as f64 / o.teachers[0].params as f64);
        let kept = each(&|o| test_accuracy(&o.student) / test_accuracy(&o.teachers[0].trained).max(1e-9));
        let lost: Vec<f64> = kept.iter().map(|k| 1.0 - k).collect();
        let learned = each(&|o| mean(second_half(&o.policy.rewards)));
        let chance = each(&|o| mean(second_half(&o.chance.rewards)));
        let stages = settings.batches(true);
        let fresh = each(&|o| needed(&o.fresh.rewards, &o.fresh.rewards, n, stages) as f64);
        let reused = each(&|o| needed(&o.reused.rewards, &o.fresh.rewards, n, stages) as f64);
        let mut claim = Claim::default();
        claim.at_most("best student: at most a fifth of the teacher's parameters", &part, 0.2);
        claim.at_most("best student: at least 95 % of the teacher's accuracy", &lost, 0.05);
        let paired = claim.better("reward of the second half: policies > chance", &learned, &chance);
        claim.better("students needed on the larger teacher: fresh > reused policies", &fresh, &reused);
        let hand = each(&|o| test_accuracy(&o.hand));
        let hand_part = each(&|o| o.hand.model.graph.trainable_params() as f64 / o.teachers[0].params as f64);
        let sentence = format!(
            "The best student has {} of the teacher's parameters and {} of its test accuracy; shrunk by hand, {} of the parameters and an accuracy of {}. \
             In the second half of {} students policies earn {:.3}, chance {:.3} ({:+.3}). \
             On the larger teacher reused policies need {:.0} students to earn what fresh ones do in the second half of each stage, these {:.0}.",
            percent(mean(&part)),
            percent(mean(&kept)),
            percent(mean(&hand_part)),
            percent(mean(&hand)),
            n * (settings.batches[0] + settings.batches[1]),
            mean(&learned),
            mean(&chance),
            paired.difference,
            mean(&reused),
            mean(&fresh),
        );
        study.conclude(claim, sentence, "The policies have learned; the best student is trained.");
        Ok(())
    }

    fn second_half(rewards: &[f64]) -> &[f64] {
        &rewards[rewards.len() / 2..]
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::search::tape::check_gradient;

        #[test]
        fn rewards_are_the_papers() {
            assert_eq!(reward((0, 10), (0.9, 0.9)), 1.0);
            assert!((reward((5, 10), (0.8, 1.0)) - 0.5 * 1.5 * 0.8).abs() < 1e-12);
            assert_eq!(reward((10, 10), (1.0, 1.0)), 0.0, "nothing is gained by a copy");
            assert!(reward((1, 10), (0.9, 0.95)) > reward((3, 10), (0.92, 0.95)));
        }

        #[test]
        fn students_are_parts_of_their_teacher() {
            let mut rng = Rng::new(1);
            let policies = Policies::new(EMBEDDING, UNITS, &mut rng);
            for large in [false, true] {
                let layers = teacher(large);
                for _ in 0..30 {
                    let mut tape = Tape::new(&policies.theta[0]);
                    let kept = policies.remove(&mut tape, &layers, &mut |p| draw(&mut rng, p));
                    assert_eq!(tape.probabilities().len(), layers.len() - 2, "poolings stay");
                    let mut rest = layers.iter();
                    assert!(kept.iter().all(|k| rest.any(|l| l == k)), "a part, in order");
                    let mut tape = Tape::new(&policies.theta[1]);
                    let thin = policies.shrink(&mut tape, &kept, &mut |p| draw(&mut rng, p));
                    assert_eq!(thin.len(), kept.len());
                    let before = graph(&kept).unwrap().trainable_params();
                    assert!(graph(&thin).unwrap().trainable_params() <= before);
                }
            }
            assert_eq!(describe(&by_hand(&teacher(true))), "c3×5 c3×5 | c3×10 c3×10 | 26");
        }

        #[test]
        fn both_policies_have_the_gradients_of_finite_differences() {
            let layers = [Layer::Conv(12, 3), Layer::Pool, Layer::Dense(48)];
            let mut rng = Rng::new(3);
            // Small ones, since every parameter is moved.
            let policies = Policies::new(3, 4, &mut rng);
            let [mut removal, mut shrinkage] = policies.theta.clone();
            check_gradient(&mut removal, |tape, pick| {
                policies.remove(tape, &layers, pick);
            });
            check_gradient(&mut shrinkage, |tape, pick| {
                policies.shrink(tape, &layers, pick);
            });
        }

        #[test]
        fn students_needed_are_counted_in_whole_batches() {
            let rewards = [0.1, 0.3, 0.5, 0.5, 0.9, 0.9];
            assert_eq!(batches(&rewards, 2), [0.2, 0.5, 0.9]);
            // Stages of one and two batches; fresh policies end at 0.2 and at 0.9.
            assert_eq!(needed(&rewards, &rewards, 2, [1, 2]), 2 + 4);
            assert_eq!(needed(&[0.3, 0.3, 1.0, 1.0, 0.0, 0.0], &rewards, 2, [1, 2]), 2 + 2);
            assert_eq!(needed(&[0.0; 6], &rewards, 2, [1, 2]), 4 + 6, "never");
            assert_eq!(second_half(&rewards), [0.5, 0.9, 0.9]);
        }
    }
}
