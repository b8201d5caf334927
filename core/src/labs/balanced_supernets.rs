//! Javan, Toews and Pedersoli, "Balanced Mixture of SuperNets for Learning the CNN Pooling Architecture",
//! AutoML 2023, arXiv:2306.11982.
//!
//! Which blocks of a ResNet halve the resolution is searched by weight sharing. A single supernet shares
//! all its weights among all placements, which want different ones. Several supernets divide the
//! placements among themselves, by a balanced mixture ([`crate::supernet::MixtureTask`]). A placement is
//! then estimated by its validation accuracy with the weights of its likeliest supernet, as in the
//! authors' code. Beside it: one supernet; a mixture that is not balanced; and every placement trained
//! alone, whose order is what the estimates should tell.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("balanced-supernets.seeds", 1),
    ParamSpec::int(
        "balanced-supernets.models",
        "Supernets",
        2,
        6,
        2,
        "Among how many sets of weights the mixture divides the placements.",
    ),
    ParamSpec::int(
        "balanced-supernets.epochs",
        "Epochs of sharing",
        1,
        400,
        36,
        "Passes over the training data in all, of one supernet or of a mixture: each step trains one placement in one supernet.",
    ),
    ParamSpec::int(
        "balanced-supernets.alone",
        "Epochs alone",
        1,
        100,
        6,
        "Passes over the training data of every placement that is trained alone.",
    ),
    ParamSpec::int(
        "balanced-supernets.trainings",
        "Trainings alone",
        1,
        10,
        2,
        "How often every placement is trained alone, from other weights; the mean is its accuracy. Placements differ by a point, as one training does from the next.",
    ),
    ParamSpec::int(
        "balanced-supernets.width",
        "Width",
        1,
        16,
        4,
        "Channels of the first blocks; each next stage has half as many more.",
    )
    .unit("channels"),
    ParamSpec::float(
        "balanced-supernets.temperature",
        "Temperature",
        0.0,
        1000.0,
        100.0,
        "The last factor T of W in the softmax; it rises from 1. At 0 supernets are drawn blindly.",
    ),
    ParamSpec::float(
        "balanced-supernets.threshold",
        "Threshold",
        1e-8,
        1.0,
        1e-4,
        "The divergence of the supernets' marginal from the uniform one, in nats, at which balancing stops.",
    )
    .log(),
    super::shifts("balanced-supernets.shift", 0),
    ParamSpec::float(
        "balanced-supernets.rate",
        "Learning rate",
        1e-4,
        1.0,
        0.1,
        "At its peak, of every training, with momentum 0.9.",
    )
    .log(),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "balanced-supernets",
        name: "Balanced mixture of supernets",
        sentence: "Several supernets divide the places where a network may pool among themselves, each getting its share.",
        formula: "p(m|a) ∝ softmax(T·W[a,m]) / p(m), until KL(p(m) ‖ uniform) < ε;  W[a,m] ← μ·W[a,m] + (1 − μ)·accuracy",
        citation: Citation {
            authors: "Javan, Toews and Pedersoli",
            title: "Balanced Mixture of SuperNets for Learning the CNN Pooling Architecture",
            year: 2023,
            venue: "AutoML, arXiv:2306.11982",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "A small ResNet of five blocks on 16×16 digits halves its resolution at three of them: 10 placements, all with the same weights. Several supernets hold such weights. W keeps a moving average of the validation accuracy of each placement in each supernet. A softmax of T·W says which supernet a placement likes; it is divided by the supernets' marginal and normalised until all are used alike. Each step draws a placement uniformly and a supernet by that probability, and trains this one only. In the end a placement is judged in its likeliest supernet.",
    baseline: "One supernet for all placements; the same mixture without balance; the placement where a ResNet halves by default; every placement trained alone, several times.",
    claim: "The order of the estimates agrees better with that of training alone (Kendall's τ) for the balanced mixture than for one supernet; trained alone, the placement that it chooses is at least as accurate as the default one; and the marginal of its supernets is within the threshold of uniform in every epoch.",
    breaks: "With 12 epochs of sharing each of two supernets is not done learning: on the three seeds tried, with every placement trained alone once, τ was 0.33 for the mixture and 0.51 for one supernet.",
    #[cfg(feature = "compute")]
    jobs: &[],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::params::{Config, ParamValue};
    use crate::protocol::Tone;
    use crate::search::run::{DescribeTask, Described};
    use crate::space::Genome;
    use crate::space::pooling::{placements, usual};
    use crate::supernet::{JudgeTask, Judged, Mixture, MixtureTask, MixtureTrained, Spec, Supernet};
    use crate::train::{Optimizer, Start, TrainConfig, TrainTask, Trained};
    use crate::{Result, rank, rng};

    const BATCH: u32 = 16;
    /// Batches of 64 samples over which statistics are taken: a quarter of the training samples.
    const RECALIBRATE: u32 = 4;
    /// As in the authors' code: what stays of an entry of W, and the temperature that it begins with.
    const MEMORY: f64 = 0.95;
    const FIRST_TEMPERATURE: f64 = 1.0;

    struct Settings {
        spec: Spec,
        described: Described,
        data: String,
        genomes: Vec<Genome>,
        usual: usize,
        models: u32,
        epochs: u32,
        alone: u32,
        trainings: usize,
        shift: u32,
        rate: f32,
        temperature: f64,
        threshold: f64,
    }

    /// The ways to share weights: name, whether there are several supernets, whether they are balanced.
    const WAYS: [(&str, Tone, bool, bool); 3] = [
        ("balanced mixture", Tone::Grow, true, true),
        ("one supernet", Tone::Baseline, false, true),
        ("unbalanced mixture", Tone::Prune, true, false),
    ];

    impl Settings {
        fn training(&self, epochs: u32) -> TrainConfig {
            TrainConfig {
                epochs,
                batch: BATCH,
                rate: self.rate,
                shift: self.shift,
                optimizer: Optimizer::Sgd { momentum: 0.9 },
                weight_decay: 0.0,
                recalibrate: RECALIBRATE,
                ..TrainConfig::default()
            }
        }

        fn sharing(&self, seed: u64, way: usize) -> MixtureTask {
            let (name, _, several, balanced) = WAYS[way];
            MixtureTask {
                label: format!("{name}, seed {seed}"),
                net: self.spec.clone(),
                genomes: self.genomes.clone(),
                mixture: Mixture {
                    models: if several { self.models } else { 1 },
                    temperature: (FIRST_TEMPERATURE.min(self.temperature), self.temperature),
                    memory: MEMORY,
                    threshold: balanced.then_some(self.threshold),
                },
                data: self.data.clone(),
                config: self.training(self.epochs),
                seed: rng::derive(seed, "sharing"),
            }
        }
    }

    /// What came of one seed.
    struct Outcome {
        /// Every placement trained alone, one or several times.
        alone: Vec<Vec<Trained>>,
        /// Of each way: the shared training, and the estimates by placement.
        ways: Vec<(MixtureTrained, Vec<Judged>)>,
    }

    impl Outcome {
        /// Test accuracy by placement, the mean of its trainings.
        fn truth(&self) -> Vec<f64> {
            let of = |trained: &Vec<Trained>| mean(&trained.iter().map(test_accuracy).collect::<Vec<_>>());
            self.alone.iter().map(of).collect()
        }

        /// Estimates by placement: validation accuracy with shared weights.
        fn estimates(&self, way: usize) -> Vec<f64> {
            self.ways[way].1.iter().map(|j| f64::from(j.val_accuracy)).collect()
        }

        fn tau(&self, way: usize) -> f64 {
            rank::kendall(&self.estimates(way), &self.truth()).unwrap_or(0.0)
        }

        fn name(&self, placement: usize) -> String {
            self.alone[placement].first().map_or_else(String::new, |t| t.model.graph.name.clone())
        }

        /// The placement of the best estimate; of equals the one with the lowest validation loss.
        fn chosen(&self, way: usize) -> usize {
            let judged = &self.ways[way].1;
            let order = |a: &Judged, b: &Judged| {
                a.val_accuracy.total_cmp(&b.val_accuracy).then(b.val_loss.total_cmp(&a.val_loss))
            };
            let better = |a: usize, b: usize| order(&judged[a], &judged[b]).is_gt();
            (0..judged.len()).fold(0, |best, i| if better(i, best) { i } else { best })
        }
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let Described { shape, classes, .. } = &settings.described;
        let net = Supernet::new(&settings.spec, shape, *classes)?;
        let sharing: Vec<_> =
            (0..WAYS.len()).map(|way| lane.spawn(&settings.sharing(lane.seed, way))).collect();
        let mut trainings = Vec::new();
        for genome in &settings.genomes {
            let graph = net.subnet(genome)?.graph;
            let training = |i: usize| {
                lane.spawn(&TrainTask {
                    label: format!("{} alone, seed {}", graph.name, lane.seed),
                    start: Start::Fresh(graph.clone()),
                    data: settings.data.clone(),
                    config: settings.training(settings.alone),
                    seed: rng::derive(lane.seed, "alone").wrapping_add(i as u64),
                    test: true,
                })
            };
            trainings.push((0..settings.trainings).map(training).collect::<Vec<_>>());
        }
        let mut ways = Vec::new();
        for (way, ticket) in sharing.into_iter().enumerate() {
            let shared = ticket.await?;
            let mut judging = Vec::new();
            for (m, store) in shared.stores.iter().enumerate() {
                let here = (0..settings.genomes.len()).filter(|a| shared.likeliest(*a) == m);
                let here: Vec<usize> = here.collect();
                let task = JudgeTask {
                    label: format!("{}, seed {}: estimates", WAYS[way].0, lane.seed),
                    net: settings.spec.clone(),
                    store: store.clone(),
                    genomes: here.iter().map(|a| settings.genomes[*a].clone()).collect(),
                    data: settings.data.clone(),
                    recalibrate: RECALIBRATE,
                    seed: rng::derive(lane.seed, "judge"),
                    test: false,
                };
                judging.push((here, lane.spawn(&task)));
            }
            let mut estimates = vec![Judged::default(); settings.genomes.len()];
            for (here, ticket) in judging {
                for (a, judged) in here.into_iter().zip(ticket.await?) {
                    estimates[a] = judged;
                }
            }
            ways.push((shared, estimates));
        }
        lane.progress(1, format!("seed {}: shared weights", lane.seed));
        let mut alone = Vec::new();
        for tickets in trainings {
            let mut trained = Vec::new();
            for ticket in tickets {
                trained.push(ticket.await?);
            }
            alone.push(trained);
        }
        lane.progress(2, format!("seed {}: trained alone", lane.seed));
        Ok(Outcome { alone, ways })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        let config = Config::default().with("pooling.width", ParamValue::Int(study.count("width") as i64));
        let genomes = placements(&config);
        let usual = usual(&config);
        let settings = Settings {
            usual: genomes.iter().position(|g| *g == usual).unwrap_or(0),
            spec: Spec { space: "pooling".into(), config },
            described,
            data: study.spec.data.clone(),
            genomes,
            models: study.count("models") as u32,
            epochs: study.count("epochs") as u32,
            alone: study.count("alone") as u32,
            trainings: study.count("trainings"),
            shift: study.count("shift") as u32,
            rate: study.float("rate") as f32,
            temperature: study.float("temperature"),
            threshold: study.float("threshold"),
        };
        let title = format!("Where to pool: {} placements, on {}", settings.genomes.len(), study.spec.data);
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        report(&study, &settings, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, settings: &Settings, outcomes: &[Outcome]) -> Result<()> {
        let seeds = study.seeds();
        let mut rows = Vec::new();
        for (outcome, seed) in outcomes.iter().zip(&seeds) {
            let truth = outcome.truth();
            let chosen = outcome.chosen(0);
            let mut row = vec![seed.to_string()];
            row.extend((0..WAYS.len()).map(|way| format!("{:.2}", outcome.tau(way))));
            row.extend([outcome.name(chosen), percent(truth[chosen]), percent(truth[settings.usual])]);
            row.push(percent(truth.iter().copied().fold(0.0, f64::max)));
            rows.push(row);
        }
        let columns = [
            "seed",
            "τ, balanced mixture",
            "τ, one supernet",
            "τ, unbalanced mixture",
            "chosen by the balanced mixture",
            "chosen, alone",
            "default, alone",
            "best, alone",
        ];
        study.table("Ranking of placements and the choice", &columns, rows);
        let rows = (0..settings.genomes.len()).map(|a| {
            let name = outcomes.first().map_or_else(String::new, |o| o.name(a));
            let cells = outcomes.iter().map(|o| percent(o.truth()[a]));
            std::iter::once(name).chain(cells).collect()
        });
        let columns: Vec<String> =
            std::iter::once("placement".into()).chain(seeds.iter().map(|s| format!("seed {s}"))).collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        study.table(
            "Test accuracy of every placement trained alone, mean of its trainings",
            &columns,
            rows.collect(),
        );
        if let Some(first) = outcomes.first() {
            let truth = first.truth();
            let chosen = first.chosen(0);
            for (i, trained) in first.alone.iter().enumerate().filter_map(|(i, t)| Some((i, t.first()?))) {
                let (group, tone) = match i {
                    i if i == chosen => ("chosen by the balanced mixture", Tone::Grow),
                    i if i == settings.usual => ("default", Tone::Baseline),
                    _ => ("other placements", Tone::Prune),
                };
                let whole = i == chosen || i == settings.usual;
                study.network(group, &trained.model.graph.name, tone, trained, whole)?;
            }
            for (way, (name, tone, ..)) in WAYS.iter().enumerate() {
                let points = first.estimates(way).into_iter().zip(truth.iter().copied()).collect();
                let axes = ["estimate: validation accuracy with shared weights", "test accuracy alone"];
                study.series("Estimated and alone, first seed", name, *tone, axes, points);
                let losses = (1..).zip(&first.ways[way].0.losses).map(|(e, l)| (f64::from(e), f64::from(*l)));
                study.series(
                    "Sharing: training loss",
                    name,
                    *tone,
                    ["epoch", "loss (nats)"],
                    losses.collect(),
                );
                if WAYS[way].2 {
                    let kl = (1..).zip(&first.ways[way].0.divergence).map(|(e, d)| (f64::from(e), d.1));
                    let axes = ["epoch", "divergence of the supernets' marginal (nats)"];
                    study.series("Balance", name, *tone, axes, kl.collect());
                }
            }
            let shared = &first.ways[0].0;
            let rows = (0..settings.genomes.len()).map(|a| {
                let mut row = vec![first.name(a)];
                row.extend(shared.assigned[a].iter().map(|p| format!("{p:.3}")));
                row.push(shared.trained[a].iter().map(u32::to_string).collect::<Vec<_>>().join(", "));
                row.extend([
                    percent(first.estimates(0)[a]),
                    percent(first.estimates(1)[a]),
                    percent(truth[a]),
                ]);
                row
            });
            let supernets: Vec<String> = (1..=settings.models).map(|m| format!("p(supernet {m})")).collect();
            let mut columns = vec!["placement"];
            columns.extend(supernets.iter().map(String::as_str));
            columns.extend(["steps in each", "estimate", "estimate by one supernet", "test accuracy alone"]);
            study.table("Who took which placement, first seed", &columns, rows.collect());
        }

        let by_seed = |f: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(f).collect::<Vec<f64>>();
        let taus: Vec<Vec<f64>> = (0..WAYS.len()).map(|way| by_seed(&|o| o.tau(way))).collect();
        let chosen = by_seed(&|o| o.truth()[o.chosen(0)]);
        let default = by_seed(&|o| o.truth()[settings.usual]);
        let largest =
            |way: usize, o: &Outcome| o.ways[way].0.divergence.iter().map(|d| d.1).fold(0.0, f64::max);
        let mut claim = Claim::default();
        let what = format!("Kendall's τ of estimates: {} supernets > 1", settings.models);
        let tau = claim.better(what, &taus[0], &taus[1]);
        let choice = claim.not_worse("chosen placement >= default, both trained alone", &chosen, &default);
        claim.always(
            "divergence of the supernets' marginal below the threshold in every epoch",
            outcomes.iter().map(|o| largest(0, o) <= settings.threshold),
        );
        let gmacs = |f: &dyn Fn(&Outcome) -> u64| mean(&by_seed(&|o| f(o) as f64 / 1e9));
        let sentence = format!(
            "Kendall's τ between the estimates of the {} placements and their test accuracy when trained alone: {:.2} for the balanced mixture of {}, {:.2} for one supernet ({:+.2}, better on {} of {} seeds), {:.2} for the unbalanced mixture, whose marginal is up to {:.3} nats from uniform (balanced: {:.1e}). \
             Trained alone, the chosen placement reaches {} of the test digits, the default one {} ({}). \
             Sharing took {:.1} thousand million MACs, training all placements alone {:.1}.",
            settings.genomes.len(),
            mean(&taus[0]),
            settings.models,
            mean(&taus[1]),
            tau.difference,
            tau.held,
            tau.seeds,
            mean(&taus[2]),
            by_seed(&|o| largest(2, o)).into_iter().fold(0.0, f64::max),
            by_seed(&|o| largest(0, o)).into_iter().fold(0.0, f64::max),
            percent(mean(&chosen)),
            percent(mean(&default)),
            choice.points(),
            gmacs(&|o| o.ways[0].0.macs),
            gmacs(&|o| o.alone.iter().flatten().map(|t| t.macs).sum()),
        );
        study.conclude(claim, sentence, "Every placement is estimated and trained alone.");
        Ok(())
    }
}
