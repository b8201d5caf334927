//! Wong, Abbasi and Nair, "TurboViT: Generating Fast Vision Transformers via Generative Architecture
//! Search", 2023, arXiv:2308.11421.
//!
//! A family of hierarchical vision transformers: attention in windows (mask units) in the first two
//! stages, over all tokens in the others, pooled queries at three points, as in Hiera (Ryali et al.,
//! arXiv:2306.00989). A generator proposes widths, heads and depths; an inquisitor turns down what has too
//! many MACs, trains the rest for a short time, and scores it; the scores update the generator. The
//! abstract says no more than that, so this is a reading: the generator is a distribution over the options
//! of every choice, which after each round moves toward those of the best designs so far (the
//! cross-entropy method, Rubinstein, 1999; a fifth of all choices stay even), and the score is the first author's (Wong, "NetScore", 2018,
//! arXiv:1806.05512): 20·log₁₀(a²/√(p·m)), a the accuracy in percent, p and m millions of parameters and
//! of MACs. A design is accepted that has at most half the MACs of a network set by hand and loses at
//! most a point of validation accuracy to it after equal short trainings; accepted ones go by score, the
//! others by accuracy. A short training says little, and the best of many owes some of it to luck: hence
//! accepted designs train to the end in order of their scores until one is within the point there too, on the
//! validation split, three at most.
//!
//! Beside it: that network set by hand, and random search within the same limit on MACs, with as many
//! trained designs, the same order of preference and the same end. The first round, in which the generator
//! knows nothing yet, is one for both.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("turbovit.seeds", 1),
    ParamSpec::int(
        "turbovit.rounds",
        "Rounds",
        1,
        20,
        3,
        "How often the generator proposes and is updated; as often again at most while no design is accepted.",
    ),
    ParamSpec::int(
        "turbovit.designs",
        "Designs of a round",
        1,
        20,
        4,
        "Designs within the limit that a round trains; random search trains as many in all.",
    ),
    ParamSpec::int(
        "turbovit.short",
        "Short epochs",
        1,
        50,
        3,
        "How long a design trains before it is scored.",
    )
    .unit("epochs"),
    ParamSpec::int("turbovit.epochs", "Final epochs", 1, 200, 9, "How long the best designs train.")
        .unit("epochs"),
    ParamSpec::float(
        "turbovit.macs",
        "Limit on MACs",
        0.1,
        1.0,
        0.5,
        "As a part of what the network set by hand has.",
    ),
    ParamSpec::float(
        "turbovit.points",
        "Accuracy given up",
        0.0,
        20.0,
        1.0,
        "By how much an accepted design may be below the network set by hand, after equal trainings.",
    )
    .unit("points"),
    ParamSpec::float(
        "turbovit.step",
        "Generator's step",
        0.0,
        1.0,
        0.6,
        "How far its probabilities move to the best designs' frequencies after a round; 0 is random search.",
    ),
    ParamSpec::int("turbovit.width", "Width", 4, 32, 16, "Features of a token in the first stage at most.")
        .unit("features"),
    ParamSpec::float("turbovit.rate", "Learning rate", 1e-4, 0.1, 0.006, "At its peak, of every training.")
        .log(),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "turbovit",
        name: "TurboViT",
        sentence: "A generator proposes fast vision transformers, an inquisitor scores them, and the scores teach the generator.",
        formula: "max_G U(G(s))  s.t.  MACs ≤ ½·MACs(hand),  accuracy ≥ accuracy(hand) − 1 point",
        citation: Citation {
            authors: "Wong, Abbasi and Nair",
            title: "TurboViT: Generating Fast Vision Transformers via Generative Architecture Search",
            year: 2023,
            venue: "arXiv:2308.11421",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Four stages of attention blocks on 8 × 8, 4 × 4, 2 × 2 tokens and one: within windows in the first two stages, over all tokens later; queries are pooled between stages. A generator draws every stage's width, heads and depth from its distributions. The inquisitor turns down designs with too many MACs, trains the others for a short time, as it did three times with the network set by hand, and scores them by accuracy, parameters and MACs; after each round the distributions move toward the best designs; there are more rounds while nothing is accepted. In the end accepted designs are trained on, the best score first, until one is as accurate as asked; it and the network set by hand are trained three times.",
    baseline: "A hierarchical vision transformer set by hand; random search within the same limit, with as many trained designs; its first round is the generator's.",
    claim: "All accepted designs meet the constraints, and there are some; the best design, trained to the end, has at most half the MACs of the network set by hand and loses at most 1 point of test accuracy to it; its score is at least that of random search's best.",
    breaks: "Where the accepted design of the best score is taken without a second look, it ends 1.7 points below the network set by hand on the seeds tried: after short trainings the best of many owes some of it to luck. Measured by a single short training of the network set by hand, which was a lucky one on one seed of five, no design of that seed was accepted.",
    #[cfg(feature = "compute")]
    jobs: &[],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::Graph;
    use crate::order::Order;
    use crate::params::{Config, ParamValue};
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::run::RunCtx;
    use crate::search::run::{DescribeTask, Described};
    use crate::space::{self, Gene, Genome, Space};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result};

    const STAGES: usize = 4;
    const DEPTH: i64 = 2;
    /// Samples in a step: short trainings need steps more than large batches.
    const BATCH: u32 = 16;
    /// Label smoothing, usual for vision transformers.
    const SMOOTHING: f32 = 0.1;
    /// Trainings whose mean counts: the network set by hand's, short ones, by which designs are measured, and long
    /// ones; and those of the best designs to the end. A single one may be lucky by more than a point.
    const TRAININGS: u64 = 3;
    /// The probability that a choice of a design is drawn evenly whatever was learned.
    const EXPLORE: f64 = 0.2;
    /// Designs that the generator learns from.
    const ELITE: usize = 4;
    /// Designs of a search that train to the end at most.
    const FINALISTS: usize = 3;
    /// Draws for a design within the limit before a round is left as small as it is.
    const DRAWS: usize = 400;

    /// A distribution over the options of every gene.
    #[derive(Debug, Clone, PartialEq)]
    struct Generator {
        chances: Vec<Vec<f64>>,
    }

    impl Generator {
        fn new(genes: &[Gene]) -> Self {
            Self {
                chances: genes.iter().map(|g| vec![1.0 / g.options.len() as f64; g.options.len()]).collect(),
            }
        }

        /// A design; each choice is left to chance alone with the probability `explore`, so that no option is lost
        /// for good after few, noisy trainings.
        fn draw(&self, rng: &mut Rng, explore: f64) -> Genome {
            let option = |chances: &Vec<f64>| {
                if rng.f64() < explore {
                    return rng.below(chances.len()) as u8;
                }
                let mut left = rng.f64();
                let found = chances.iter().position(|c| {
                    left -= c;
                    left < 0.0
                });
                found.unwrap_or(chances.len() - 1) as u8
            };
            Genome(self.chances.iter().map(option).collect())
        }

        /// The mean probability of a genome's options.
        fn sure(&self, of: &Genome) -> f64 {
            mean(&self.chances.iter().enumerate().map(|(g, c)| c[of.at(g)]).collect::<Vec<_>>())
        }

        /// Moves by `step` toward the frequencies of the options in `best`.
        fn learn(&mut self, best: &[&Genome], step: f64) {
            for (gene, chances) in self.chances.iter_mut().enumerate() {
                for (option, chance) in chances.iter_mut().enumerate() {
                    let with = best.iter().filter(|g| g.at(gene) == option).count();
                    let frequency = with as f64 / best.len().max(1) as f64;
                    *chance += step * (frequency - *chance);
                }
            }
        }
    }

    /// NetScore: 20·log₁₀(a²/√(p·m)), of accuracy in percent, millions of parameters and of MACs.
    fn netscore(accuracy: f64, params: u64, macs: u64) -> f64 {
        let (p, m) = (params as f64 / 1e6, macs as f64 / 1e6);
        20.0 * ((100.0 * accuracy).powi(2) / (p * m).sqrt().max(f64::MIN_POSITIVE)).max(1e-9).log10()
    }

    /// A design after its short training.
    #[derive(Clone)]
    struct Design {
        genome: Genome,
        graph: Graph,
        macs: u64,
        params: u64,
        accuracy: f64,
        score: f64,
        accepted: bool,
    }

    /// Which of two designs comes first: accepted ones by score, then the others by accuracy.
    fn preference(a: &Design, b: &Design) -> std::cmp::Ordering {
        let worth = |d: &Design| if d.accepted { d.score } else { d.accuracy };
        b.accepted.cmp(&a.accepted).then(worth(b).total_cmp(&worth(a)))
    }

    struct Settings {
        space: &'static dyn Space,
        config: Config,
        genes: Vec<Gene>,
        described: Described,
        data: String,
        rounds: usize,
        designs: usize,
        step: f64,
        /// What is given up of accuracy, as a part of one.
        points: f64,
        /// Of the network set by hand.
        limit: u64,
        hand: Graph,
        short: TrainConfig,
        long: TrainConfig,
    }

    impl Settings {
        fn new(study: &Study, described: Described) -> Result<Self> {
            let space = space::get("vit").ok_or_else(|| Error::config("space", "there is no space “vit”"))?;
            let int = |v: usize| ParamValue::Int(v as i64);
            let config = Config::default()
                .with("vit.patch", int(2))
                .with("vit.stages", int(STAGES))
                .with("vit.depth", ParamValue::Int(DEPTH))
                .with("vit.width", int(study.count("width")))
                .with("vit.heads", int(1))
                .with("vit.free-hidden", ParamValue::Bool(false))
                .with("vit.reduction", ParamValue::Text("queries".into()))
                .with("vit.windows", int(2))
                .with("vit.window", int(4));
            let genes = space.genes(&config);
            // As Hiera: most blocks in the middle, all widths and heads at their largest.
            let shallow = ["stage 1 depth", "stage 4 depth"];
            let by_hand = genes
                .iter()
                .map(|g| if shallow.contains(&g.name.as_str()) { 0 } else { (g.options.len() - 1) as u8 });
            let by_hand = Genome(by_hand.collect());
            let hand = space.graph(&config, &by_hand, &described.shape, described.classes)?;
            let limit = (study.float("macs") * hand.analyze(1)?.total.macs as f64) as u64;
            let training = |epochs: &str| TrainConfig {
                epochs: study.count(epochs) as u32,
                rate: study.float("rate") as f32,
                batch: BATCH,
                label_smoothing: SMOOTHING,
                ..TrainConfig::default()
            };
            Ok(Self {
                space,
                config,
                genes,
                described,
                data: study.spec.data.clone(),
                rounds: study.count("rounds"),
                designs: study.count("designs"),
                step: study.float("step"),
                points: study.float("points") / 100.0,
                limit,
                hand,
                short: training("short"),
                long: training("epochs"),
            })
        }

        fn training(&self, seed: u64, label: String, graph: Graph, long: bool) -> TrainTask {
            TrainTask {
                label,
                start: Start::Fresh(graph),
                data: self.data.clone(),
                config: if long { self.long.clone() } else { self.short.clone() },
                seed: rng::derive(seed, if long { "final" } else { "short" }),
                test: long,
            }
        }
    }

    /// What one way of proposing found.
    #[derive(Clone, Default)]
    struct Searched {
        /// The best first.
        designs: Vec<Design>,
        /// Proposals that had too many MACs.
        turned_down: u32,
        /// By round the mean score of its designs.
        scores: Vec<f64>,
    }

    impl Searched {
        /// Proposes, turns down, trains and scores once.
        async fn round(
            &mut self,
            ctx: &RunCtx,
            settings: &Settings,
            (seed, target): (u64, f64),
            generator: &Generator,
            (rng, what): (&mut Rng, &str),
        ) -> Result<()> {
            let mut proposed: Vec<(Genome, Graph, u64, u64)> = Vec::new();
            for _ in 0..DRAWS {
                if proposed.len() == settings.designs {
                    break;
                }
                let genome = generator.draw(rng, EXPLORE);
                let known =
                    self.designs.iter().any(|d| d.genome == genome) || proposed.iter().any(|p| p.0 == genome);
                if known {
                    continue;
                }
                let Described { shape, classes, .. } = &settings.described;
                let graph = settings.space.graph(&settings.config, &genome, shape, *classes)?;
                let cost = graph.analyze(1)?.total;
                if cost.macs > settings.limit {
                    self.turned_down += 1;
                    continue;
                }
                proposed.push((genome, graph, cost.macs, cost.params));
            }
            let tickets: Vec<_> = proposed
                .iter()
                .map(|p| {
                    let label = format!("{what}, round {}, seed {seed}", self.scores.len() + 1);
                    ctx.spawn(&settings.training(seed, label, p.1.clone(), false))
                })
                .collect();
            let mut scores = Vec::new();
            for (ticket, (genome, graph, macs, params)) in tickets.into_iter().zip(proposed) {
                let trained = ticket.await?;
                let accuracy = f64::from(trained.val_accuracy);
                let score = netscore(accuracy, params, macs);
                let accepted = accuracy >= target;
                scores.push(score);
                self.designs.push(Design { genome, graph, macs, params, accuracy, score, accepted });
            }
            self.scores.push(mean(&scores));
            self.designs.order_by(preference);
            Ok(())
        }

        /// The designs that the inquisitor may look at again, the best first: accepted ones, or else the
        /// most accurate one.
        fn finalists(&self) -> impl Iterator<Item = &Design> {
            let accepted = self.designs.iter().filter(|d| d.accepted).count();
            self.designs.iter().take(accepted.clamp(1, FINALISTS))
        }
    }

    /// Goes on from the first `round`, whose designs every generator draws alike, for as many rounds as there are to
    /// be. What `learns` has as many rounds again at most while none of its designs is accepted: a generator has
    /// done nothing until the inquisitor accepts. What does not learn is random search.
    async fn search(
        ctx: &RunCtx,
        settings: &Settings,
        (seed, target): (u64, f64),
        first: &Searched,
        (rounds, learns): (usize, bool),
    ) -> Result<(Searched, Generator)> {
        let what = if learns { "generated" } else { "drawn at random" };
        let mut rng = Rng::stream(seed, what);
        let mut generator = Generator::new(&settings.genes);
        let mut found = first.clone();
        loop {
            let best: Vec<&Genome> = found.designs.iter().take(ELITE).map(|d| &d.genome).collect();
            if learns && !best.is_empty() {
                generator.learn(&best, settings.step);
            }
            let accepted = found.designs.iter().any(|d| d.accepted);
            let more = learns && !accepted && found.scores.len() < 2 * rounds;
            if found.scores.len() >= rounds && !more {
                break;
            }
            found.round(ctx, settings, (seed, target), &generator, (&mut rng, what)).await?;
        }
        Ok((found, generator))
    }

    /// A network trained to the end, and how it was found.
    struct Last {
        trained: Trained,
        /// On the test split, the mean of its trainings.
        accuracy: f64,
        /// Designs that were trained to the end.
        tried: usize,
        /// The mean probability that the generator gives its options at the end.
        sure: f64,
    }

    /// Trains finalists to the end, one after the other, until one meets the constraint there too; where none
    /// does, the one of the best validation accuracy counts.
    async fn finish(
        ctx: &RunCtx,
        settings: &Settings,
        seed: u64,
        (searched, generator): (&Searched, &Generator),
        target: f64,
    ) -> Result<Last> {
        let mut last: Option<Last> = None;
        for (tried, design) in (1..).zip(searched.finalists()) {
            let label = format!("finalist {tried}, seed {seed}");
            let trained = ctx.spawn(&settings.training(seed, label, design.graph.clone(), true)).await?;
            let meets = f64::from(trained.val_accuracy) >= target;
            match &mut last {
                Some(before) if !meets && trained.val_accuracy <= before.trained.val_accuracy => {
                    before.tried = tried;
                }
                _ => {
                    last = Some(Last { trained, accuracy: 0.0, tried, sure: generator.sure(&design.genome) });
                }
            }
            if meets {
                break;
            }
        }
        let none = || Error::config("turbovit.macs", "no design of this family has so few MACs");
        let mut last = last.ok_or_else(none)?;
        let graph = &last.trained.model.graph;
        let again = (1..TRAININGS).map(|i| {
            let label = format!("finalist once more, seed {seed}");
            let task = settings.training(seed, label, graph.clone(), true);
            TrainTask { seed: task.seed.wrapping_add(i), ..task }
        });
        let mut reached = vec![test_accuracy(&last.trained)];
        reached.extend(ctx.all(&again.collect::<Vec<_>>()).await?.iter().map(test_accuracy));
        last.accuracy = mean(&reached);
        Ok(last)
    }

    /// What came of one seed.
    struct Outcome {
        /// What an accepted design reaches after the short training at least.
        target: f64,
        by_hand: Trained,
        /// On the test split, the mean of its trainings.
        by_hand_accuracy: f64,
        /// By the generator, and at random.
        found: [(Searched, Last); 2],
    }

    impl Outcome {
        fn trained(&self) -> [&Trained; 3] {
            [&self.by_hand, &self.found[0].1.trained, &self.found[1].1.trained]
        }

        /// Test accuracy, in the same order: means of trainings.
        fn accuracies(&self) -> [f64; 3] {
            [self.by_hand_accuracy, self.found[0].1.accuracy, self.found[1].1.accuracy]
        }

        /// NetScore on the test split, likewise.
        fn scores(&self) -> Result<Vec<f64>> {
            let score = |(trained, accuracy): (&Trained, f64)| -> Result<f64> {
                let cost = trained.model.graph.analyze(1)?.total;
                Ok(netscore(accuracy, cost.params, cost.macs))
            };
            self.trained().into_iter().zip(self.accuracies()).map(score).collect()
        }
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let seed = lane.seed;
        let hand = |long: bool| -> Vec<TrainTask> {
            let label = format!("set by hand, seed {seed}");
            let task = settings.training(seed, label, settings.hand.clone(), long);
            (0..TRAININGS).map(|i| TrainTask { seed: task.seed.wrapping_add(i), ..task.clone() }).collect()
        };
        let reached = |all: &[Trained]| -> f64 {
            mean(&all.iter().map(|t| f64::from(t.val_accuracy)).collect::<Vec<_>>()) - settings.points
        };
        let target = reached(&lane.all(&hand(false)).await?);
        let mut first = Searched::default();
        let (even, mut rng) = (Generator::new(&settings.genes), Rng::stream(seed, "first round"));
        first.round(&lane, settings, (seed, target), &even, (&mut rng, "drawn for both")).await?;
        let mut by_hand = lane.all(&hand(true)).await?;
        let target_last = reached(&by_hand);
        let by_hand_accuracy = mean(&by_hand.iter().map(test_accuracy).collect::<Vec<_>>());
        lane.progress(1, format!("seed {seed}: set by hand, first round"));
        let (first, task) = (&first, (seed, target));
        let generated = search(&lane, settings, task, first, (settings.rounds, true)).await?;
        // Random search has as many rounds as the generator took.
        let (generated, rounds) = (&generated, generated.0.scores.len());
        let both = lane.side_by_side(2, |i, ctx| async move {
            let (found, generator) = match i {
                0 => generated.clone(),
                _ => search(&ctx, settings, task, first, (rounds, false)).await?,
            };
            let last = finish(&ctx, settings, seed, (&found, &generator), target_last).await?;
            Ok((found, last))
        });
        let found: Result<[_; 2], _> = both.await?.try_into();
        let Ok(found) = found else {
            return Err(Error::Unsupported("a search is missing".into()));
        };
        lane.progress(2, format!("seed {seed}: searched and trained to the end"));
        Ok(Outcome { target, by_hand: by_hand.swap_remove(0), by_hand_accuracy, found })
    }

    const SIDES: [(&str, Tone); 3] = [
        ("set by hand", Tone::Baseline),
        ("best generated", Tone::Grow),
        ("best of random search", Tone::Prune),
    ];

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        let settings = Settings::new(&study, described)?;
        let title = format!("Hierarchical vision transformers, generated, on {}", study.spec.data);
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        report(&study, &settings, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, settings: &Settings, outcomes: &[Outcome]) -> Result<()> {
        let (mut rows, mut designs, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            let [generated, random] = &outcome.found;
            let searched = [None, Some(generated), Some(random)];
            let by_side = outcome.scores()?;
            let measured = outcome.accuracies().into_iter().zip(by_side.clone());
            let sides = SIDES.iter().zip(outcome.trained()).zip(searched).zip(measured);
            for ((((side, tone), trained), searched), (accuracy, score)) in sides {
                study.network(side, &trained.model.graph.name, *tone, trained, i == 0)?;
                let cost = trained.model.graph.analyze(1)?.total;
                let of = |n: &dyn Fn(&(Searched, Last)) -> usize| {
                    searched.map_or(String::new(), |s| n(s).to_string())
                };
                rows.push(vec![
                    seed.to_string(),
                    (*side).to_owned(),
                    trained.model.graph.name.clone(),
                    cost.params.to_string(),
                    cost.macs.to_string(),
                    percent(accuracy),
                    format!("{score:.1}"),
                    of(&|s| s.0.designs.len()),
                    of(&|s| s.0.designs.iter().filter(|d| d.accepted).count()),
                    of(&|s| s.0.turned_down as usize),
                    of(&|s| s.1.tried),
                ]);
            }
            scores.push(by_side);
            if i == 0 {
                for d in &generated.0.designs {
                    designs.push(vec![
                        d.graph.name.clone(),
                        d.params.to_string(),
                        d.macs.to_string(),
                        percent(d.accuracy),
                        format!("{:.1}", d.score),
                        if d.accepted { "yes" } else { "no" }.into(),
                    ]);
                }
                for (line, tone, searched) in
                    [("generator", Tone::Grow, &generated.0), ("random search", Tone::Baseline, &random.0)]
                {
                    let points = (1..).zip(&searched.scores).map(|(r, s)| (f64::from(r), *s)).collect();
                    study.series("Mean score of a round", line, tone, ["round", "NetScore"], points);
                }
            }
        }
        let columns = [
            "seed",
            "network",
            "choices",
            "parameters",
            "MACs",
            "test accuracy, mean of three",
            "NetScore",
            "designs trained",
            "accepted",
            "turned down for MACs",
            "trained to the end",
        ];
        study.table("Trained to the end", &columns, rows);
        let columns = ["design", "parameters", "MACs", "validation accuracy, short", "NetScore", "accepted"];
        study.table("Generated designs, first seed, the best first", &columns, designs);

        let hand_macs = settings.hand.analyze(1)?.total.macs;
        let meets = |o: &Outcome| -> Result<bool> {
            let mut some = false;
            let all = o.found.iter().flat_map(|f| &f.0.designs);
            for d in all.filter(|d| d.accepted) {
                some = true;
                if d.graph.analyze(1)?.total.macs > settings.limit || d.accuracy < o.target {
                    return Ok(false);
                }
            }
            Ok(some && o.found[0].0.designs.iter().any(|d| d.accepted))
        };
        let all_meet = outcomes.iter().map(meets).collect::<Result<Vec<bool>>>()?;
        let half = outcomes
            .iter()
            .map(|o| Ok(2 * o.trained()[1].model.graph.analyze(1)?.total.macs <= hand_macs))
            .collect::<Result<Vec<bool>>>()?;
        let accuracy = |side: usize| -> Vec<f64> { outcomes.iter().map(|o| o.accuracies()[side]).collect() };
        let score = |side: usize| -> Vec<f64> { scores.iter().map(|s| s[side]).collect() };
        let (hand, best, random) = (accuracy(0), accuracy(1), accuracy(2));
        let lost: Vec<f64> = hand.iter().zip(&best).map(|(a, b)| a - b).collect();
        let mut claim = Claim::default();
        claim.always("accepted designs: MACs and accuracy within the constraints, at least one", all_meet);
        claim.always("best design: at most half the MACs of the network set by hand", half);
        claim.at_most("best design: at most 1 point of accuracy below it", &lost, 0.01);
        let paired =
            claim.not_worse("NetScore of the best: generated >= random search", &score(1), &score(2));
        let macs = |side: usize| -> Result<f64> {
            let each =
                outcomes.iter().map(|o| Ok(o.trained()[side].model.graph.analyze(1)?.total.macs as f64));
            Ok(mean(&each.collect::<Result<Vec<f64>>>()?))
        };
        let accepted = |side: usize| {
            let count = |o: &Outcome| o.found[side].0.designs.iter().filter(|d| d.accepted).count() as f64;
            mean(&outcomes.iter().map(count).collect::<Vec<_>>())
        };
        let sentence = format!(
            "The best generated designs reach {} on the test digits with {:.0} MACs, {:.2} times those of the network set by hand ({}); random search's best {} with {:.0}. \
             NetScore: {:.1} against {:.1} ({:+.1} ± {:.1}). Of {:.1} trained designs, {:.1} were accepted with the generator and {:.1} at random; in the end it gives the best design's options a probability of {:.2}.",
            percent(mean(&best)),
            macs(1)?,
            macs(1)? / hand_macs.max(1) as f64,
            percent(mean(&hand)),
            percent(mean(&random)),
            macs(2)?,
            mean(&score(1)),
            mean(&score(2)),
            paired.difference,
            paired.error,
            mean(&outcomes.iter().map(|o| o.found[0].0.designs.len() as f64).collect::<Vec<_>>()),
            accepted(0),
            accepted(1),
            mean(&outcomes.iter().map(|o| o.found[0].1.sure).collect::<Vec<_>>()),
        );
        study.conclude(claim, sentence, "Designs are generated, scored and trained.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_generator_moves_to_the_best_designs() {
            let vit = space::get("vit").unwrap();
            let genes = vit.genes(&Config::default());
            let mut generator = Generator::new(&genes);
            let mut rng = Rng::new(1);
            let first = generator.draw(&mut rng, 0.0);
            space::check(&genes, &first).unwrap();
            let best = [Genome(vec![1, 0, 0, 2, 1, 1, 0, 0]), Genome(vec![1, 2, 0, 2, 0, 1, 1, 2])];
            generator.learn(&[&best[0], &best[1]], 0.5);
            // Two options, both designs have the second; three options, each design has another.
            assert_eq!(generator.chances[0], [0.25, 0.75]);
            let third = 1.0 / 3.0;
            let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
            assert!(near(generator.chances[1][0], third + 0.5 * (0.5 - third)));
            assert!(near(generator.chances[1][1], third / 2.0));
            assert!(generator.chances.iter().all(|c| near(c.iter().sum(), 1.0)));
            generator.learn(&[&best[0]], 1.0);
            assert!((0..20).all(|_| generator.draw(&mut rng, 0.0) == best[0]), "it is sure");
            let other = (0..200).filter(|_| generator.draw(&mut rng, 0.2) != best[0]).count();
            assert!((100..200).contains(&other), "{other} of 200 explore");
        }

        #[test]
        fn scores_and_preferences_by_hand() {
            // 90 % with 10,000 parameters and 40,000 MACs: 8100 / √(0.01·0.04) = 405,000.
            assert!((netscore(0.9, 10_000, 40_000) - 20.0 * 405_000f64.log10()).abs() < 1e-9);
            let design = |score: f64, accuracy: f64, accepted: bool| Design {
                genome: Genome::default(),
                graph: Graph::default(),
                macs: 0,
                params: 0,
                accuracy,
                score,
                accepted,
            };
            let mut designs = [
                design(9.0, 0.5, false),
                design(3.0, 0.90, true),
                design(8.0, 0.6, false),
                design(4.0, 0.89, true),
            ];
            designs.order_by(preference);
            assert_eq!(designs.map(|d| d.score), [4.0, 3.0, 8.0, 9.0]);
        }
    }
}
