//! Cai, Zhu and Han, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", ICLR 2019,
//! arXiv:1812.00332.
//!
//! All candidate blocks of every layer share one over-parameterised network, of which a step computes one path,
//! opened by binary gates that are drawn from softmax(α). Steps of the weights and of α alternate. A step of
//! α draws two blocks of each layer and opens one: ∂L/∂αᵢ = Σⱼ ∂L/∂gⱼ · pⱼ(δᵢⱼ − pᵢ) over the two, after which
//! both are shifted so that the others keep their shares. The loss adds λ times the expected latency, Σ p ·
//! latency, from a table measured on this machine. α may also be learned by REINFORCE. Beside it: DARTS, which
//! computes all paths; a network drawn at random; MobileNetV2's block everywhere.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("proxylessnas.seeds", 3),
    ParamSpec::int(
        "proxylessnas.candidates",
        "Candidates",
        1,
        6,
        4,
        "How many blocks a layer chooses among, beside being skipped where it has a shortcut.",
    ),
    ParamSpec::int("proxylessnas.channels", "Channels", 2, 32, 4, "Channels of the first stage.")
        .unit("channels"),
    ParamSpec::int("proxylessnas.depth", "Layers a stage", 1, 6, 2, "Layers of each of the two stages."),
    ParamSpec::int(
        "proxylessnas.search",
        "Search epochs",
        1,
        100,
        4,
        "Passes over one half of the training data in which the paths learn.",
    )
    .unit("epochs"),
    ParamSpec::float(
        "proxylessnas.rate",
        "Architecture's rate",
        0.0001,
        1.0,
        0.1,
        "Learning rate of α (Adam). The published 0.001 is for a thousand times as many steps.",
    )
    .log(),
    ParamSpec::choice(
        "proxylessnas.by",
        "α learns by",
        &[("gradient", "Gradients of two paths"), ("reinforce", "REINFORCE")],
        "gradient",
        "How the architecture weights learn.",
    ),
    ParamSpec::int("proxylessnas.epochs", "Epochs", 1, 100, 8, "How long a network found is trained.")
        .unit("epochs"),
    ParamSpec::int(
        "proxylessnas.networks",
        "Networks timed",
        4,
        40,
        10,
        "How many networks are drawn and timed to see what the latency table is worth.",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "proxylessnas",
        name: "ProxylessNAS",
        sentence: "A search that computes one path of many at a time, and whose loss knows how long each block takes on this machine.",
        formula: "x ← Σ gₒ · o(x),  g ~ one-hot(softmax α),  L = CE + λ · Σₗ Σₒ pₗₒ · latencyₗₒ",
        citation: Citation {
            authors: "Cai, Zhu and Han",
            title: "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware",
            year: 2019,
            venue: "ICLR, arXiv:1812.00332",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "All candidate blocks share one network, but binary gates, drawn by the shares softmax(α), keep a single path in memory. The weights learn on one half of the training data. On the other half two blocks of each layer are drawn, one of them opened, and the gates' gradients move the shares of these two. The loss adds λ times the expected latency from a table of what every block was measured to take here. At the end each layer keeps its likeliest block, and the network is trained from fresh weights.",
    baseline: "DARTS, which computes all paths in every step; a network drawn at random; MobileNetV2's block in every layer.",
    claim: "The memory of the active path does not grow with the number of candidates; the latency of the network found falls as λ grows (Spearman's correlation at most −0.8); predicted and measured latencies correlate with r above 0.9.",
    breaks: "A large λ outweighs the loss: over five seeds the network found with λ = 3 reaches 74.3 % on the test digits, the one found with λ = 0 92.1 %.",
    #[cfg(feature = "compute")]
    jobs: &[],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::engine::measure::{LatencyTask, StepTimesTask};
    use crate::engine::table::LatencyTable;
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::{Graph, Model};
    use crate::order::Order;
    use crate::params::{Config, ParamValue};
    use crate::protocol::Tone;
    use crate::relax::{self, Form, Mixing, Over, RelaxTask, Relaxation, Relaxed};
    use crate::rng::{self, Rng};
    use crate::search::run::{DescribeTask, Described};
    use crate::space::{self, Genome};
    use crate::supernet::Spec;
    use crate::train::{Optimizer, Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result, rank};

    const SPACE: &str = "proxyless";
    /// Samples in a step of a search.
    const BATCH: u32 = 32;
    /// λ, for costs as parts of the latency of MobileNetV2's network.
    const LAMBDAS: [f32; 5] = [0.0, 0.1, 0.3, 1.0, 3.0];
    /// Candidates of a layer at which the memory of a step is counted.
    const COUNTS: [i64; 3] = [2, 4, 6];
    /// How often a network is timed: the least of the 10th percentiles counts, since what else runs on the machine only adds
    /// to it.
    const TIMES: usize = 3;
    /// Paths of a step of REINFORCE.
    const SAMPLES: u32 = 4;

    struct Settings {
        config: Config,
        described: Described,
        data: String,
        epochs: u32,
        rate: f32,
        reinforce: bool,
        last: u32,
        first: u64,
    }

    impl Settings {
        fn graph(&self, genome: &Genome) -> Result<Graph> {
            let space = space::get(SPACE).ok_or_else(|| Error::config("space", "there is no such space"))?;
            space.graph(&self.config, genome, &self.described.shape, self.described.classes)
        }

        fn how(&self, mixing: Mixing, costs: Vec<Vec<f32>>, lambda: f32) -> Relaxation {
            let published = Relaxation::published(self.epochs, BATCH);
            Relaxation {
                mixing,
                // As published for ProxylessNAS: Adam without momentum or decay.
                beta: 0.0,
                decay: 0.0,
                rate: self.rate,
                costs,
                lambda,
                weights: TrainConfig { rate: 0.01, optimizer: Optimizer::AdamW, ..published.weights },
                warmup: 0,
            }
        }

        fn search(&self, lane: &Lane, label: String, how: Relaxation, config: Config) -> RelaxTask {
            RelaxTask {
                label: format!("{label}, seed {}", lane.seed),
                net: Spec { space: SPACE.into(), config },
                form: Form::default(),
                epochs: how.weights.epochs,
                how,
                data: self.data.clone(),
                state: None,
                seed: rng::derive(lane.seed, "relax"),
            }
        }

        fn training(&self, lane: &Lane, genome: &Genome) -> Result<TrainTask> {
            let graph = self.graph(genome)?;
            Ok(TrainTask {
                label: format!("{}, seed {}", graph.name, lane.seed),
                start: Start::Fresh(graph),
                data: self.data.clone(),
                config: TrainConfig { epochs: self.last, rate: 0.01, ..TrainConfig::default() },
                seed: rng::derive(lane.seed, "train"),
                test: true,
            })
        }
    }

    /// What was measured before anything is searched: nothing else runs meanwhile.
    struct Timed {
        table: LatencyTable,
        /// Of every layer and option, its cost beside MobileNetV2's block, as a part of the latency of the
        /// network that has it everywhere.
        costs: Vec<Vec<f32>>,
        /// By seed, of drawn networks: predicted and measured milliseconds.
        drawn: Vec<Vec<(f64, f64)>>,
    }

    fn predict(table: &LatencyTable, graph: Graph) -> Result<f64> {
        let name = graph.name.clone();
        let model = Model::init(graph, 1);
        let unknown = || Error::Unsupported(format!("a step of “{name}” is not in the latency table"));
        table.predict(&model, 1)?.ok_or_else(unknown)
    }

    async fn time(study: &Study, settings: &Settings) -> Result<Timed> {
        let genes = space::get(SPACE).map(|s| s.genes(&settings.config)).unwrap_or_default();
        let base = Genome(vec![0; genes.len()]);
        let mut table = LatencyTable::default();
        // Every block of every layer, each in a network of MobileNetV2's blocks.
        let mut changed = vec![vec![base.clone()]];
        for (layer, gene) in genes.iter().enumerate() {
            let with = |option: usize| {
                let mut genome = base.clone();
                genome.0[layer] = option as u8;
                genome
            };
            changed.push((0..gene.options.len()).map(with).collect());
        }
        for genome in changed.iter().flatten() {
            let model = Box::new(Model::init(settings.graph(genome)?, 1));
            table = study.spawn(&StepTimesTask { model, batch: 1, table, kept: false }).await?;
        }
        let whole = predict(&table, settings.graph(&base)?)?;
        let mut costs = Vec::new();
        for layer in changed.iter().skip(1) {
            let cost =
                |genome: &Genome| Ok(((predict(&table, settings.graph(genome)?)? - whole) / whole) as f32);
            costs.push(layer.iter().map(cost).collect::<Result<Vec<f32>>>()?);
        }
        let mut drawn = Vec::new();
        for seed in study.seeds() {
            let mut rng = Rng::stream(seed, "networks timed");
            let mut pairs = Vec::new();
            for _ in 0..study.count("networks") {
                let graph = settings.graph(&space::sample(&genes, &mut rng))?;
                let model = Box::new(Model::init(graph.clone(), 1));
                learn(study, &mut table, graph.clone()).await?;
                let task = LatencyTask { model, batch: 1 };
                let mut least = f64::INFINITY;
                for _ in 0..TIMES {
                    least = least.min(study.spawn(&task).await?.p10_ms);
                }
                pairs.push((predict(&table, graph)?, least));
            }
            drawn.push(pairs);
        }
        Ok(Timed { table, costs, drawn })
    }

    /// What came of one seed.
    struct Outcome {
        /// Of every λ the network found.
        found: Vec<Genome>,
        /// Those of the smallest and the largest λ, trained; then DARTS's network, a random one, MobileNetV2's.
        trained: Vec<Trained>,
        /// With so many candidates, bytes that a step of the weights keeps, one of α, and computing all of them.
        memory: Vec<(u64, u64, u64)>,
        macs: (u64, u64),
        shares: Vec<Vec<f64>>,
    }

    /// Bytes of activations that computing all candidates keeps for one sample.
    fn whole_bytes(settings: &Settings, config: &Config) -> Result<u64> {
        let relaxable = relax::get(SPACE)?;
        let choices = relaxable.choices(config, Form::default());
        let all = choices.iter().map(|c| (0..c.options.len() as u8).collect()).collect();
        let Described { shape, classes, .. } = &settings.described;
        relaxable.mixture(config, Form::default(), &all, Over::All, shape, *classes)?.bytes()
    }

    async fn line(lane: Lane, settings: &Settings, timed: &Timed) -> Result<Outcome> {
        let relaxable = relax::get(SPACE)?;
        let mixing = match settings.reinforce {
            true => Mixing::Reinforce { samples: SAMPLES },
            false => Mixing::Binary,
        };
        let searches: Vec<RelaxTask> = LAMBDAS
            .iter()
            .map(|lambda| {
                let how = settings.how(mixing, timed.costs.clone(), *lambda);
                settings.search(&lane, format!("λ = {lambda}"), how, settings.config.clone())
            })
            .collect();
        let tickets: Vec<_> = searches.iter().map(|task| lane.spawn(task)).collect();
        let darts = settings.how(Mixing::Softmax, Vec::new(), 0.0);
        let darts = lane.spawn(&settings.search(&lane, "DARTS".into(), darts, settings.config.clone()));
        let mut counted = Vec::new();
        for count in COUNTS {
            let config = settings.config.clone().with("proxyless.candidates", ParamValue::Int(count));
            let mut how = settings.how(mixing, Vec::new(), 0.0);
            how.weights.epochs = 1;
            let all = whole_bytes(settings, &config)?;
            let task = settings.search(&lane, format!("memory with {count} candidates"), how, config);
            counted.push((lane.spawn(&task), all));
        }
        let mut found: Vec<Relaxed> = Vec::new();
        for ticket in tickets {
            found.push(ticket.await?);
        }
        let darts = darts.await?;
        lane.progress(1, format!("seed {}: searched", lane.seed));
        if lane.seed == settings.first {
            let choices = relaxable.choices(&settings.config, Form::default());
            for (lambda, relaxed) in LAMBDAS.iter().zip(&found) {
                let title = format!("Shares of the blocks, λ = {lambda}");
                lane.emit(relax::heat(&title, &choices, &relaxed.state.arch.shares()));
            }
        }
        let genome = |relaxed: &Relaxed| {
            relaxable.derive(&settings.config, Form::default(), &relaxed.state.arch.shares())
        };
        let genes = space::get(SPACE).map(|s| s.genes(&settings.config)).unwrap_or_default();
        let random = space::sample(&genes, &mut Rng::stream(lane.seed, "random network"));
        let genomes: Vec<Genome> = found.iter().map(genome).collect();
        let ends = genomes.first().into_iter().chain(genomes.last()).cloned();
        let ends = ends.chain([genome(&darts), random, Genome(vec![0; genes.len()])]);
        let tasks = ends.map(|g| settings.training(&lane, &g)).collect::<Result<Vec<_>>>()?;
        let trained = lane.all(&tasks).await?;
        let mut memory = Vec::new();
        for (path, all) in counted {
            let path = path.await?;
            memory.push((path.bytes.0, path.bytes.1, all));
        }
        lane.progress(2, format!("seed {}: trained", lane.seed));
        let macs = (found.first().map_or(0, |f| f.macs), darts.macs);
        let shares = found.first().map(|f| f.state.arch.shares()).unwrap_or_default();
        Ok(Outcome { found: genomes, trained, memory, macs, shares })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        let int = |key: &str| ParamValue::Int(study.count(key) as i64);
        let settings = Settings {
            config: Config::default()
                .with("proxyless.candidates", int("candidates"))
                .with("proxyless.channels", int("channels"))
                .with("proxyless.depth", int("depth")),
            described,
            data: study.spec.data.clone(),
            epochs: study.count("search") as u32,
            rate: study.float("rate") as f32,
            reinforce: study.text("by") == "reinforce",
            last: study.count("epochs") as u32,
            first: study.spec.seed,
        };
        study.log("Every block is timed before the search, while nothing else runs.");
        let mut timed = time(&study, &settings).await?;
        let title = format!("One path of many, on {}", study.spec.data);
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings, &timed)).await?;
        let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
        for genome in outcomes.iter().flat_map(|o| &o.found) {
            learn(&study, &mut timed.table, settings.graph(genome)?).await?;
        }
        for trained in outcomes.iter().flat_map(|o| &o.trained) {
            learn(&study, &mut timed.table, trained.model.graph.clone()).await?;
        }
        report(&study, &settings, &timed, &outcomes)
    }

    /// Times what is new of a network: two blocks that meet may be fused otherwise than each beside
    /// MobileNetV2's.
    async fn learn(study: &Study, table: &mut LatencyTable, graph: Graph) -> Result<()> {
        let model = Box::new(Model::init(graph, 1));
        if table.predict(&model, 1)?.is_none() {
            *table =
                study.spawn(&StepTimesTask { model, batch: 1, table: table.clone(), kept: false }).await?;
        }
        Ok(())
    }

    /// What is trained: the networks of the smallest and the largest λ, and the baselines.
    const TRAINED: [(&str, Tone); 5] = [
        ("λ smallest", Tone::Grow),
        ("λ largest", Tone::Grow),
        ("DARTS", Tone::Prune),
        ("random", Tone::Baseline),
        ("MobileNetV2's block", Tone::Quantize),
    ];

    fn report(study: &Study, settings: &Settings, timed: &Timed, outcomes: &[Outcome]) -> Result<()> {
        let (mut rows, mut falls) = (Vec::new(), Vec::new());
        let micro = |ms: f64| format!("{:.1}", 1000.0 * ms);
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            let mut latencies = Vec::new();
            for (lambda, genome) in LAMBDAS.iter().zip(&outcome.found) {
                let graph = settings.graph(genome)?;
                latencies.push(predict(&timed.table, graph.clone())?);
                let macs = graph.analyze(1)?.total.macs.to_string();
                let ms = latencies.last().map_or_else(String::new, |ms| micro(*ms));
                rows.push(vec![seed.to_string(), format!("λ = {lambda}"), graph.name, macs, ms, "–".into()]);
            }
            for ((name, tone), trained) in TRAINED.iter().zip(&outcome.trained) {
                let graph = &trained.model.graph;
                study.network(name, &format!("{name}: {}", graph.name), *tone, trained, i == 0)?;
                let accuracy = percent(test_accuracy(trained));
                let ms = micro(predict(&timed.table, graph.clone())?);
                let macs = graph.analyze(1)?.total.macs.to_string();
                rows.push(vec![seed.to_string(), (*name).to_owned(), graph.name.clone(), macs, ms, accuracy]);
            }
            let lambdas: Vec<f64> = LAMBDAS.iter().map(|l| f64::from(*l)).collect();
            // All equally fast is no fall.
            falls.push(rank::spearman(&lambdas, &latencies).unwrap_or(0.0));
            let points = lambdas.iter().zip(&latencies).map(|(l, ms)| (*l, 1000.0 * ms)).collect();
            let axes = ["λ", "predicted latency (µs)"];
            study.series("The network found", &format!("seed {seed}"), Tone::Grow, axes, points);
        }
        let columns = ["seed", "found with", "layers", "MACs", "predicted latency (µs)", "test accuracy"];
        study.table("Networks found and networks trained from fresh weights", &columns, rows);
        if let Some(first) = outcomes.first() {
            let kib = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0);
            let memory = COUNTS
                .iter()
                .zip(&first.memory)
                .map(|(count, (path, two, all))| vec![count.to_string(), kib(*path), kib(*two), kib(*all)]);
            study.table(
                "Activations that a step keeps for one sample, first seed",
                &["candidates", "one path (weights)", "step of α", "DARTS"],
                memory.collect(),
            );
        }
        if let Some(drawn) = timed.drawn.first() {
            let mut points: Vec<(f64, f64)> = drawn.iter().map(|(p, m)| (1000.0 * p, 1000.0 * m)).collect();
            points.order_by(|a, b| a.0.total_cmp(&b.0));
            let axes = ["predicted (µs)", "measured (µs)"];
            study.series("The latency table, first seed", "drawn networks", Tone::Quantize, axes, points);
        }

        let correlations: Vec<f64> = timed
            .drawn
            .iter()
            .map(|drawn| {
                let (predicted, measured): (Vec<f64>, Vec<f64>) = drawn.iter().copied().unzip();
                rank::pearson(&predicted, &measured).unwrap_or(0.0)
            })
            .collect();
        let mut claim = Claim::default();
        // The largest path of a few steps: with more candidates it may be met later, but never be larger.
        let grows =
            |memory: &[(u64, u64, u64)]| memory.iter().any(|m| memory.first().is_some_and(|f| m.0 > f.0));
        claim.always(
            format!("memory of the active path does not grow over {COUNTS:?} candidates"),
            outcomes.iter().map(|o| !grows(&o.memory)),
        );
        claim.at_most("Spearman of λ and the latency found at most −0.8", &falls, -0.8);
        let short: Vec<f64> = correlations.iter().map(|r| 0.9 - r).collect();
        claim.at_most("predicted and measured latency: r above 0.9 (what is missing to it)", &short, 0.0);
        let accuracy =
            |of: &dyn Fn(&Outcome) -> f64| percent(mean(&outcomes.iter().map(of).collect::<Vec<_>>()));
        let at = |i: usize| accuracy(&|o: &Outcome| o.trained.get(i).map_or(0.0, test_accuracy));
        let giga = |of: &dyn Fn(&Outcome) -> u64| {
            mean(&outcomes.iter().map(|o| of(o) as f64 / 1e9).collect::<Vec<_>>())
        };
        let most = outcomes.iter().flat_map(|o| &o.shares).flatten().copied().fold(0.0, f64::max);
        let sentence = format!(
            "Spearman's correlation of λ with the latency of the network found is {:.2}; predicted and measured latencies correlate with r = {:.3}. \
             The network found reaches {} on the test digits with λ = 0 and {} with λ = {}; DARTS's {}, a random one {}, MobileNetV2's block everywhere {}. \
             A search takes {:.1} thousand million MACs, that of DARTS {:.1}. With λ = 0 the largest share is {:.2}.",
            mean(&falls),
            mean(&correlations),
            at(0),
            at(1),
            LAMBDAS[LAMBDAS.len() - 1],
            at(2),
            at(3),
            at(4),
            giga(&|o| o.macs.0),
            giga(&|o| o.macs.1),
            most,
        );
        study.conclude(
            claim,
            sentence,
            "The searches are over; the networks found are trained and their latency is known.",
        );
        Ok(())
    }
}
