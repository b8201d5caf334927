//! Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang and Le, "BigNAS: Scaling Up Neural
//! Architecture Search with Big Single-Stage Models", ECCV 2020, arXiv:2003.11142.
//!
//! One set of shared weights is trained so that any network sliced out of it can be used as it is.
//! Every step takes the largest network, the smallest and two drawn ones (the sandwich rule); only the
//! largest sees labels, the others learn its answers (inplace distillation). Residual branches start at
//! zero. The learning rate falls exponentially to a twentieth and stays there, after a warm-up. Only the largest is
//! regularised: label smoothing reaches the one that sees labels, and weight decay is taken once a step,
//! on all shared weights, as by a loss of the largest alone (there is no dropout here). Children take
//! their batch-norm statistics anew and are not fine-tuned. Training images are shifted at random, on
//! all sides: the authors augment theirs too, and without it a thousand digits are learned so soon that
//! no way of sharing weights is better than another. Coarse-to-fine selection judges networks whose
//! stages are alike, then those one choice away from the best within a limit on MACs.
//! Beside it: the same weights shared by the uniform single path (Guo et al., arXiv:1904.00420), which
//! trains one subnet a step, in as many steps; a setting gives it as many passes of subnets instead. And
//! every child trained alone, for as many epochs. The children that are compared are drawn, not selected
//! by either side.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("bignas.seeds", 1),
    ParamSpec::int(
        "bignas.epochs",
        "Epochs",
        1,
        200,
        45,
        "Passes over the training data, of the shared weights and of every child that is trained alone.",
    ),
    ParamSpec::int("bignas.width", "Width", 4, 32, 24, "Channels of the first stage of the largest network.")
        .unit("channels"),
    ParamSpec::int("bignas.depth", "Depth", 1, 4, 2, "Blocks of each of the two stages at most."),
    ParamSpec::int(
        "bignas.resolution",
        "Resolution",
        8,
        32,
        16,
        "Of the largest network; the others have a half and three quarters of it.",
    )
    .unit("pixels"),
    ParamSpec::int(
        "bignas.random",
        "Drawn subnets",
        0,
        6,
        2,
        "Subnets that a step takes besides the largest and the smallest.",
    ),
    ParamSpec::choice(
        "bignas.uniform",
        "The uniform single path trains",
        &[("steps", "as many steps"), ("passes", "as many passes of subnets")],
        "steps",
        "BigNAS takes several subnets a step, the single path one: what it is given as much of.",
    ),
    ParamSpec::int("bignas.batch", "Batch", 4, 256, 32, "Samples of a step, of every training.")
        .unit("samples"),
    super::shifts("bignas.shift", 1),
    ParamSpec::float("bignas.rate", "Learning rate", 1e-4, 0.1, 0.06, "At its peak, of every training.")
        .log(),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "bignas",
        name: "BigNAS",
        sentence: "One training gives the weights of every network of a space, small ones and large ones, to be used as they are.",
        formula: "∇ CE(y, p_max) + Σ_{a ∈ {min, a₁, a₂}} ∇ CE(p_max, p_a),  a ~ Uniform(A)",
        citation: Citation {
            authors: "Yu, Jin, Liu, Bender, Kindermans, Tan, Huang, Song, Pang and Le",
            title: "BigNAS: Scaling Up Neural Architecture Search with Big Single-Stage Models",
            year: 2020,
            venue: "ECCV, arXiv:2003.11142",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Networks of a MobileNet space (resolution, and per stage depth, width, kernel) are slices of one set of weights. Every step trains the largest on the labels and the smallest and two drawn ones on the largest one's answers. Residual branches start at zero; the rate falls exponentially to a constant; only the largest is regularised; training images are shifted at random. A child takes its slices, gets batch-norm statistics of its own, and is done. Networks for a limit on MACs are found coarse to fine, without any training.",
    baseline: "The same shared weights trained by a uniform single path, one subnet a step, in as many steps (a quarter of the subnet passes); every child trained alone, for as many epochs.",
    claim: "Five drawn children with recalibrated batch norms and no fine-tuning are, on average, at most 2 points of test accuracy below the same networks trained alone, and better than with the weights that a uniform single path has learned in as many steps.",
    breaks: "With 16 channels in place of 24 BigNAS's children are 2.2 points below training alone on the four seeds tried (1.2 above the uniform single path's), and after 70 epochs the uniform single path is as good as BigNAS (two seeds). Without shifted training images a thousand digits are learned so soon that both reach 98 %.",
    #[cfg(feature = "compute")]
    jobs: &[],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::order::Order;
    use crate::params::{Config, ParamValue};
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::search::run::{DescribeTask, Described};
    use crate::space::{Gene, Genome};
    use crate::supernet::{JudgeTask, Spec, Store, SuperTask, SuperTrained, Supernet, recalibrated};
    use crate::train::{Schedule, Start, TrainConfig, TrainTask, Trained};
    use crate::{Result, rank};
    use std::collections::BTreeSet;

    /// Children that are compared.
    const CHILDREN: usize = 5;
    /// Networks drawn to take the children from.
    const DRAWN: usize = 50;
    /// Batches of 64 samples over which statistics are taken: all training samples once.
    const RECALIBRATE: u32 = 18;
    /// The part of the peak rate at which BigNAS's stays.
    const FLOOR: f32 = 0.05;
    /// The part of the training in which it rises.
    const WARMUP: f32 = 0.1;
    /// Limits of the selection, as parts of the MACs of the largest network.
    const LIMITS: [f64; 3] = [0.15, 0.35, 1.0];
    /// Two points of accuracy.
    const TOLERANCE: f64 = 0.02;

    struct Settings {
        spec: Spec,
        described: Described,
        data: String,
        epochs: u32,
        batch: u32,
        random: usize,
        /// Whether the uniform supernet gets as many passes; else as many steps.
        uniform_passes: bool,
        shift: u32,
        rate: f32,
    }

    impl Settings {
        fn net(&self) -> Result<Supernet> {
            Supernet::new(&self.spec, &self.described.shape, self.described.classes)
        }

        fn training(&self) -> TrainConfig {
            TrainConfig {
                epochs: self.epochs,
                batch: self.batch,
                rate: self.rate,
                shift: self.shift,
                label_smoothing: 0.1,
                recalibrate: RECALIBRATE,
                ..TrainConfig::default()
            }
        }

        fn supernet(&self, lane: &Lane, big: bool) -> Result<SuperTask> {
            let net = self.net()?;
            let passes = if self.uniform_passes { 2 + self.random as u32 } else { 1 };
            let training = self.training();
            // It reaches the floor when nine tenths of the training are over.
            let factor = FLOOR.powf(1.0 / (0.9 * self.epochs as f32));
            Ok(SuperTask {
                label: format!("{}, seed {}", if big { "BigNAS" } else { "uniform single path" }, lane.seed),
                net: self.spec.clone(),
                start: None,
                data: self.data.clone(),
                config: match big {
                    true => TrainConfig {
                        schedule: Schedule::Exponential { warmup: WARMUP, factor, floor: FLOOR },
                        ..training
                    },
                    false => TrainConfig { epochs: passes * self.epochs, ..training },
                },
                sampler: if big { "sandwich" } else { "single-path" }.into(),
                sampling: match big {
                    true => Config::default().with("sandwich.random", ParamValue::Int(self.random as i64)),
                    false => Config::default(),
                },
                watch: if big && lane.index == 0 { vec![net.largest(), net.smallest()] } else { Vec::new() },
                seed: rng::derive(lane.seed, "supernet"),
            })
        }
    }

    /// Forward MACs of a sample.
    fn macs(net: &Supernet, genome: &Genome) -> Result<u64> {
        Ok(net.subnet(genome)?.graph.analyze(1)?.total.macs)
    }

    /// Networks drawn from the space, the middle ones of equal parts by MACs: small ones and large ones.
    fn children(net: &Supernet, seed: u64) -> Result<Vec<Genome>> {
        let mut rng = Rng::stream(seed, "children");
        let mut drawn = Vec::with_capacity(DRAWN);
        for _ in 0..DRAWN {
            let genome = net.draw(&mut rng)?;
            drawn.push((macs(net, &genome)?, genome));
        }
        drawn.order();
        let middle = |i: usize| drawn[(2 * i + 1) * DRAWN / (2 * CHILDREN)].1.clone();
        Ok((0..CHILDREN).map(middle).collect())
    }

    /// The coarse grid: networks whose stages make the same choices.
    fn coarse(genes: &[Gene]) -> Vec<Genome> {
        let per_stage = genes.len().saturating_sub(1) / 2;
        let mut grid = vec![Vec::new()];
        for gene in genes.iter().take(1 + per_stage) {
            let longer = grid
                .iter()
                .flat_map(|g: &Vec<u8>| (0..gene.options.len()).map(|o| [g.as_slice(), &[o as u8]].concat()));
            grid = longer.collect();
        }
        grid.into_iter().map(|g| Genome([&g[..], &g[1..]].concat())).collect()
    }

    /// What is one choice away.
    fn neighbours(genes: &[Gene], genome: &Genome) -> Vec<Genome> {
        let mut all = Vec::new();
        for (i, gene) in genes.iter().enumerate() {
            for option in (0..gene.options.len() as u8).filter(|o| usize::from(*o) != genome.at(i)) {
                let mut next = genome.clone();
                next.0[i] = option;
                all.push(next);
            }
        }
        all
    }

    /// A selected network: its limit, and itself without any training of its own.
    struct Selected {
        limit: f64,
        judged: usize,
        trained: Trained,
    }

    /// Coarse-to-fine selection under every limit, by validation accuracy; ties go to fewer MACs.
    async fn select(
        lane: &Lane,
        settings: &Settings,
        net: &Supernet,
        store: &Store,
    ) -> Result<Vec<Selected>> {
        let judge = async |genomes: Vec<Genome>, what: &str| -> Result<Vec<(f32, u64, Genome)>> {
            let tickets: Vec<_> = genomes
                .chunks(12)
                .map(|part| {
                    lane.spawn(&JudgeTask {
                        label: format!("{what} selection, seed {}", lane.seed),
                        net: settings.spec.clone(),
                        store: store.clone(),
                        genomes: part.to_vec(),
                        data: settings.data.clone(),
                        recalibrate: 4,
                        seed: rng::derive(lane.seed, "judge"),
                        test: false,
                    })
                })
                .collect();
            let mut judged = Vec::new();
            for (ticket, part) in tickets.into_iter().zip(genomes.chunks(12)) {
                for (j, genome) in ticket.await?.iter().zip(part) {
                    judged.push((j.val_accuracy, macs(net, genome)?, genome.clone()));
                }
            }
            Ok(judged)
        };
        let top = macs(net, &net.largest())? as f64;
        let best = |judged: &[(f32, u64, Genome)], limit: f64| {
            let within = judged.iter().filter(|j| j.1 as f64 <= limit * top);
            within.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))).map(|j| j.2.clone())
        };
        let mut judged = judge(coarse(net.genes()), "coarse").await?;
        let mut fine = BTreeSet::new();
        for limit in LIMITS {
            for next in best(&judged, limit).iter().flat_map(|g| neighbours(net.genes(), g)) {
                if macs(net, &next)? as f64 <= limit * top && judged.iter().all(|j| j.2 != next) {
                    fine.insert(next);
                }
            }
        }
        judged.extend(judge(fine.into_iter().collect(), "fine").await?);
        let mut selected = Vec::new();
        for limit in LIMITS {
            let Some(genome) = best(&judged, limit) else { continue };
            let trained = lane.spawn(&child(lane, settings, net, store, &genome)?).await?;
            selected.push(Selected { limit, judged: judged.len(), trained });
        }
        Ok(selected)
    }

    /// A child as it comes: its slices, statistics of its own, and a test.
    fn child(
        lane: &Lane,
        settings: &Settings,
        net: &Supernet,
        store: &Store,
        genome: &Genome,
    ) -> Result<TrainTask> {
        let model = net.inherit(store, genome)?;
        Ok(recalibrated(model, &settings.data, RECALIBRATE, rng::derive(lane.seed, "child"), true))
    }

    /// What came of one seed.
    struct Outcome {
        big: SuperTrained,
        uniform: SuperTrained,
        /// Of each child: sliced from BigNAS, sliced from the uniform supernet, trained alone.
        children: Vec<[Trained; 3]>,
        selected: Vec<Selected>,
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let net = settings.net()?;
        let genomes = children(&net, lane.seed)?;
        let big = lane.spawn(&settings.supernet(&lane, true)?);
        let uniform = lane.spawn(&settings.supernet(&lane, false)?);
        let mut alone = Vec::new();
        for (i, genome) in genomes.iter().enumerate() {
            alone.push(lane.spawn(&TrainTask {
                label: format!("child {} alone, seed {}", i + 1, lane.seed),
                start: Start::Fresh(net.subnet(genome)?.graph),
                data: settings.data.clone(),
                config: settings.training(),
                seed: rng::derive(lane.seed, "alone"),
                test: true,
            }));
        }
        let (big, uniform) = (big.await?, uniform.await?);
        lane.progress(1, format!("seed {}: shared weights", lane.seed));
        let mut tickets = Vec::new();
        for genome in &genomes {
            let of = |store| child(&lane, settings, &net, store, genome);
            tickets.push((lane.spawn(&of(&big.store)?), lane.spawn(&of(&uniform.store)?)));
        }
        let selected = select(&lane, settings, &net, &big.store).await?;
        let mut children = Vec::new();
        for ((a, b), alone) in tickets.into_iter().zip(alone) {
            children.push([a.await?, b.await?, alone.await?]);
        }
        lane.progress(2, format!("seed {}: children", lane.seed));
        Ok(Outcome { big, uniform, children, selected })
    }

    const SIDES: [(&str, Tone); 3] = [
        ("BigNAS child", Tone::Grow),
        ("uniform supernet's child", Tone::Baseline),
        ("trained alone", Tone::Prune),
    ];

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        let int = |key: &str| ParamValue::Int(study.count(key) as i64);
        let settings = Settings {
            spec: Spec {
                space: "elastic".into(),
                config: Config::default()
                    .with("elastic.depth", int("depth"))
                    .with("elastic.width", int("width"))
                    .with("elastic.resolution", int("resolution")),
            },
            described,
            data: study.spec.data.clone(),
            epochs: study.count("epochs") as u32,
            batch: study.count("batch") as u32,
            random: study.count("random"),
            uniform_passes: study.text("uniform") == "passes",
            shift: study.count("shift") as u32,
            rate: study.float("rate") as f32,
        };
        let title = format!("Shared weights of elastic networks, on {}", study.spec.data);
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        report(&study, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, outcomes: &[Outcome]) -> Result<()> {
        let mut rows = Vec::new();
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            for child in &outcome.children {
                let cost = child[0].model.graph.analyze(1)?.total;
                let mut row = vec![seed.to_string(), child[0].model.graph.name.clone()];
                row.extend([cost.params.to_string(), cost.macs.to_string()]);
                row.extend(child.iter().map(|t| percent(test_accuracy(t))));
                rows.push(row);
                for ((side, tone), trained) in SIDES.iter().zip(child) {
                    let label = format!("{side}: {}", trained.model.graph.name);
                    study.network(side, &label, *tone, trained, false)?;
                }
            }
            for Selected { limit, trained, .. } in &outcome.selected {
                let label =
                    format!("at most {:.0} % of the MACs: {}", 100.0 * limit, trained.model.graph.name);
                study.network("selected coarse to fine", &label, Tone::Quantize, trained, i == 0)?;
            }
        }
        let mut columns = vec!["seed", "child", "parameters", "MACs"];
        columns.extend(SIDES.map(|(side, _)| side));
        study.table("Test accuracy of the children", &columns, rows);
        if let Some(first) = outcomes.first() {
            let axes = ["epoch", "validation accuracy"];
            for (i, name) in ["largest", "smallest"].iter().enumerate() {
                let points = (1..).zip(&first.big.history);
                let points = points.filter_map(|(e, h)| Some((f64::from(e), f64::from(*h.watched.get(i)?))));
                let tone = if i == 0 { Tone::Grow } else { Tone::Prune };
                study.series("While the weights are shared", name, tone, axes, points.collect());
            }
            if let Some(child) = first.children.last() {
                study.curve("validation accuracy", "a child alone", Tone::Baseline, &child[2], |e| {
                    e.val_accuracy
                });
            }
            let row = |s: &Selected| {
                let cost = s.trained.model.graph.analyze(1).map(|a| a.total).unwrap_or_default();
                vec![
                    format!("{:.0} %", 100.0 * s.limit),
                    s.trained.model.graph.name.clone(),
                    cost.params.to_string(),
                    cost.macs.to_string(),
                    percent(test_accuracy(&s.trained)),
                    s.judged.to_string(),
                ]
            };
            let columns =
                ["limit on MACs", "network", "parameters", "MACs", "test accuracy", "networks judged"];
            let title = "Selected coarse to fine, first seed: no training of their own";
            study.table(title, &columns, first.selected.iter().map(row).collect());
        }

        let side = |i: usize| -> Vec<f64> {
            let of = |o: &Outcome| mean(&o.children.iter().map(|c| test_accuracy(&c[i])).collect::<Vec<_>>());
            outcomes.iter().map(of).collect()
        };
        let (big, uniform, alone) = (side(0), side(1), side(2));
        let short: Vec<f64> = alone.iter().zip(&big).map(|(a, b)| a - b).collect();
        let mut claim = Claim::default();
        claim.at_most("children at most 2 points below training alone", &short, TOLERANCE);
        let as_many = if study.text("uniform") == "passes" { "passes" } else { "steps" };
        let what = format!("children: BigNAS > uniform single path in as many {as_many}");
        let paired = claim.better(what, &big, &uniform);
        let spent = |macs: &dyn Fn(&Outcome) -> u64| {
            mean(&outcomes.iter().map(|o| macs(o) as f64 / 1e9).collect::<Vec<_>>())
        };
        let tau = |i: usize| {
            let accuracy = |c: &[Trained; 3], i: usize| -f64::from(c[i].val_loss);
            let taus = outcomes.iter().filter_map(|o| {
                let list = |i| o.children.iter().map(|c| accuracy(c, i)).collect::<Vec<f64>>();
                rank::kendall(&list(i), &list(2))
            });
            mean(&taus.collect::<Vec<_>>())
        };
        let sentence = format!(
            "Children with BigNAS's weights reach {} on the test digits without fine-tuning, trained alone {} ({:+.1} points), with the weights of a uniform single path in as many {as_many} {} ({} for BigNAS, better on {} of {} seeds). \
             Sharing took {:.1} thousand million training MACs (uniform {:.1}), the five children alone {:.1}. \
             Kendall's τ of the children's order by validation loss with that of training alone: {:.2} (uniform {:.2}).",
            percent(mean(&big)),
            percent(mean(&alone)),
            -100.0 * mean(&short),
            percent(mean(&uniform)),
            paired.points(),
            paired.held,
            paired.seeds,
            spent(&|o| o.big.macs),
            spent(&|o| o.uniform.macs),
            spent(&|o| o.children.iter().map(|c| c[2].macs).sum()),
            tau(0),
            tau(1),
        );
        study.conclude(claim, sentence, "The shared weights are trained; every child is judged.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_grid_is_coarse_and_fine_is_one_choice_away() {
            let spec = Spec { space: "elastic".into(), config: Config::default() };
            let net = Supernet::new(&spec, &[1, 8, 8], 10).unwrap();
            let grid = coarse(net.genes());
            assert_eq!(grid.len(), 3 * 2 * 3 * 2);
            assert!(grid.contains(&net.largest()) && grid.contains(&net.smallest()));
            assert!(grid.iter().all(|g| g.0[1..4] == g.0[4..7] && net.subnet(g).is_ok()));
            let near = neighbours(net.genes(), &net.smallest());
            assert_eq!(near.len(), 2 + 2 * (1 + 2 + 1));
            assert!(near.iter().all(|g| g.0.iter().sum::<u8>() <= 2 && net.subnet(g).is_ok()));
            let five = children(&net, 1).unwrap();
            let costs: Vec<u64> = five.iter().map(|g| macs(&net, g).unwrap()).collect();
            assert!(five.len() == 5 && costs.is_sorted() && costs[4] > 2 * costs[0], "{costs:?}");
            assert_ne!(five, children(&net, 2).unwrap());
        }
    }
}
