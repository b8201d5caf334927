//! Liao, Karaman and Sze, "Searching for Efficient Multi-Stage Vision Transformers", 2021,
//! arXiv:2109.00642.
//!
//! A vision transformer of several stages. Between them, residual spatial reduction: norm, a 3×3
//! convolution of stride 2 and positions, plus the mean of every 2×2 tokens with zeros for the new
//! channels, as in the authors' public code (without class tokens, which are not reduced: here the mean
//! of the tokens is classified). Networks of every depth, width, number of heads and hidden width are
//! slices of one set of weights, trained with multi-architectural sampling: every step splits its batch
//! among several drawn subnets, in one forward and backward pass. Evolution then finds a network within
//! a limit on MACs, with inherited weights; it trains from fresh ones.
//!
//! Beside it: the same networks without the pooled shortcut, at the same MACs but for the shortcut's own
//! sums; the same weights shared by a single subnet a step, in as many steps on as many samples; a vision
//! transformer of a single stage, as wide as gives it the MACs of the network that was found.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("vit-resnas.seeds", 1),
    ParamSpec::int("vit-resnas.epochs", "Epochs", 1, 200, 6, "Of every network that is trained alone.")
        .unit("epochs"),
    ParamSpec::int(
        "vit-resnas.shared-epochs",
        "Epochs of the shared weights",
        1,
        500,
        9,
        "Passes over the training data; every sample trains one subnet.",
    )
    .unit("epochs"),
    ParamSpec::int(
        "vit-resnas.subnets",
        "Subnets of a step",
        1,
        16,
        4,
        "Among how many subnets a batch is split by multi-architectural sampling.",
    ),
    ParamSpec::int(
        "vit-resnas.children",
        "Children",
        2,
        24,
        6,
        "Networks drawn from the space that are trained alone too, with and without the shortcut.",
    ),
    ParamSpec::int("vit-resnas.depth", "Depth", 2, 4, 3, "Blocks of each of the three stages at most."),
    ParamSpec::int("vit-resnas.width", "Width", 4, 64, 8, "Features of a token in the first stage at most.")
        .unit("features"),
    ParamSpec::int(
        "vit-resnas.patch",
        "Patch",
        2,
        8,
        4,
        "Side of the part of a 16 × 16 image that becomes a token.",
    )
    .unit("pixels"),
    ParamSpec::int("vit-resnas.batch", "Batch", 8, 256, 32, "Samples of a step.").unit("samples"),
    super::shifts("vit-resnas.shift", 0),
    ParamSpec::float("vit-resnas.rate", "Learning rate", 1e-4, 0.1, 0.008, "At its peak, of every training.")
        .log(),
    ParamSpec::float(
        "vit-resnas.limit",
        "Limit on MACs",
        0.1,
        1.0,
        0.4,
        "Of the network that evolution looks for, as a part of the largest one's.",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "vit-resnas",
        name: "ViT-ResNAS",
        sentence: "A vision transformer whose stages are joined by residual reductions, found among subnets that share every batch.",
        formula: "x ← [pool(x), 0] + conv(LN(x)) + p;   w ← w − η ∇ Σᵢ (|Bᵢ|/|B|) L(aᵢ, w, Bᵢ)",
        citation: Citation {
            authors: "Liao, Karaman and Sze",
            title: "Searching for Efficient Multi-Stage Vision Transformers",
            year: 2021,
            venue: "arXiv:2109.00642",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Three stages of attention blocks; between them a convolution of stride 2 makes a quarter of the tokens, and the mean of every 2 × 2 tokens, with zeros for the new channels, is added to it. Depth, width, heads and hidden width of every stage are free, and all networks are slices of one set of weights. Every training step splits its batch among several drawn networks. Evolution finds the best one within a limit on MACs by inherited weights; it is then trained from fresh ones.",
    baseline: "The same networks with the convolution alone, without the pooled shortcut; the same shared weights trained with one drawn network a step; a vision transformer of one stage with the MACs of the network that was found.",
    claim: "At equal MACs, networks with residual reductions are more accurate than those without the shortcut; the order that the shared weights give the networks, by Kendall's τ with training alone, is at least as good with several networks a step as with one, in as many steps.",
    breaks: "With four blocks a stage and a learning rate of 0.02 the shortcut helps no more: on the seed tried it cost 0.6 points.",
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
    use crate::search::run::{DescribeTask, Described};
    use crate::space::{self, Genome};
    use crate::supernet::{Evolution, JudgeTask, Judged, Spec, SuperTask, SuperTrained, Supernet};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result, rank};

    /// Networks drawn to take the children from.
    const DRAWN: usize = 40;
    const STAGES: usize = 3;
    /// Blocks of the single stage at most.
    const DEEPEST: usize = 6;
    /// Of the evolution.
    const POPULATION: usize = 12;
    const GENERATIONS: usize = 3;
    const PARENTS: usize = 6;
    const MUTATION: f64 = 0.3;

    struct Settings {
        residual: Spec,
        plain: Spec,
        described: Described,
        data: String,
        children: usize,
        shared_epochs: u32,
        subnets: i64,
        limit: f64,
        training: TrainConfig,
    }

    impl Settings {
        fn supernet(&self, lane: &Lane, multi: bool) -> SuperTask {
            SuperTask {
                label: format!("{} subnets a step, seed {}", if multi { self.subnets } else { 1 }, lane.seed),
                net: self.residual.clone(),
                start: None,
                data: self.data.clone(),
                config: TrainConfig { epochs: self.shared_epochs, ..self.training.clone() },
                sampler: if multi { "multi" } else { "single-path" }.into(),
                sampling: match multi {
                    true => Config::default().with("multi.subnets", ParamValue::Int(self.subnets)),
                    false => Config::default(),
                },
                watch: Vec::new(),
                seed: rng::derive(lane.seed, "supernet"),
            }
        }

        fn alone(&self, lane: &Lane, what: &str, graph: Graph) -> TrainTask {
            TrainTask {
                label: format!("{what}, seed {}", lane.seed),
                start: Start::Fresh(graph),
                data: self.data.clone(),
                config: self.training.clone(),
                seed: rng::derive(lane.seed, "alone"),
                test: true,
            }
        }

        /// A transformer of one stage with so many MACs, as nearly as widths allow, of the proportions of
        /// DeiT: 16 features for every block (Touvron et al., 2021, arXiv:2012.12877).
        fn isotropic(&self, macs: u64) -> Result<Graph> {
            let vit = space::get("vit").ok_or_else(|| Error::config("space", "there is no space “vit”"))?;
            let mut best: Option<(f64, Graph)> = None;
            for depth in 1..=DEEPEST {
                let mut nearest: Option<(u64, usize, Graph)> = None;
                for width in (4..=64).step_by(2) {
                    let int = |v: usize| ParamValue::Int(v as i64);
                    let config = self
                        .residual
                        .config
                        .clone()
                        .with("vit.stages", int(1))
                        .with("vit.depth", int(depth))
                        .with("vit.width", int(width));
                    let genome =
                        Genome(vit.genes(&config).iter().map(|g| (g.options.len() - 1) as u8).collect());
                    let graph = vit.graph(&config, &genome, &self.described.shape, self.described.classes)?;
                    let off = self::macs(&graph)?.abs_diff(macs);
                    if nearest.as_ref().is_none_or(|n| off < n.0) {
                        nearest = Some((off, width, graph));
                    }
                }
                if let Some((_, width, graph)) = nearest {
                    let proportions = (width as f64 / (16 * depth) as f64).ln().abs();
                    if best.as_ref().is_none_or(|b| proportions < b.0) {
                        best = Some((proportions, graph));
                    }
                }
            }
            best.map(|b| b.1).ok_or_else(|| Error::config("width", "no width was tried"))
        }
    }

    /// Forward MACs of a sample.
    fn macs(graph: &Graph) -> Result<u64> {
        Ok(graph.analyze(1)?.total.macs)
    }

    /// Networks drawn from the space, the middle ones of equal parts by MACs: small ones and large ones.
    fn children(net: &Supernet, seed: u64, count: usize) -> Result<Vec<Genome>> {
        let mut rng = Rng::stream(seed, "children");
        let mut drawn = Vec::with_capacity(DRAWN);
        for _ in 0..DRAWN {
            let genome = net.draw(&mut rng)?;
            drawn.push((macs(&net.subnet(&genome)?.graph)?, genome));
        }
        drawn.order();
        drawn.dedup();
        let middle =
            |i: usize| drawn[((2 * i + 1) * drawn.len() / (2 * count)).min(drawn.len() - 1)].1.clone();
        Ok((0..count).map(middle).collect())
    }

    /// A child: trained alone with and without the shortcut, and as the shared weights see it.
    struct Child {
        residual: Trained,
        plain: Trained,
        /// By several subnets a step, by one.
        shared: [Judged; 2],
    }

    /// What came of one seed.
    struct Outcome {
        children: Vec<Child>,
        multi: SuperTrained,
        /// Networks that evolution judged.
        judged: usize,
        found: Trained,
        isotropic: Trained,
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let Described { shape, classes, .. } = &settings.described;
        let net = Supernet::new(&settings.residual, shape, *classes)?;
        let bare = Supernet::new(&settings.plain, shape, *classes)?;
        let genomes = children(&net, lane.seed, settings.children)?;
        let shared = [true, false].map(|multi| lane.spawn(&settings.supernet(&lane, multi)));
        let mut alone = Vec::new();
        for (i, genome) in genomes.iter().enumerate() {
            let with = |what: &str, net: &Supernet| -> Result<_> {
                let what = format!("child {} {what} shortcut", i + 1);
                Ok(lane.spawn(&settings.alone(&lane, &what, net.subnet(genome)?.graph)))
            };
            alone.push((with("with", &net)?, with("without", &bare)?));
        }
        let [multi, single] = shared;
        let (multi, single) = (multi.await?, single.await?);
        lane.progress(1, format!("seed {}: shared weights", lane.seed));
        let judge = |store| {
            lane.spawn(&JudgeTask {
                label: format!("children with shared weights, seed {}", lane.seed),
                net: settings.residual.clone(),
                store,
                genomes: genomes.clone(),
                data: settings.data.clone(),
                recalibrate: 0,
                seed: 0,
                test: false,
            })
        };
        let (by_multi, by_single) = (judge(multi.store.clone()), judge(single.store));
        let top = macs(&net.subnet(&net.largest())?.graph)? as f64;
        let evolution = Evolution {
            net: &settings.residual,
            store: &multi.store,
            data: &settings.data,
            population: POPULATION,
            generations: GENERATIONS,
            parents: PARENTS,
            mutation: MUTATION,
            seed: rng::derive(lane.seed, "evolution"),
        };
        let within = |genome: &Genome| Ok(macs(&net.subnet(genome)?.graph)? as f64 <= settings.limit * top);
        let judged = evolution.run(&lane, &net, &within).await?;
        let Some((_, best)) = judged.first() else {
            return Err(Error::config("vit-resnas.limit", "no network is within the limit"));
        };
        let graph = net.subnet(best)?.graph;
        let isotropic = settings.isotropic(macs(&graph)?)?;
        let found = lane.spawn(&settings.alone(&lane, "found by evolution", graph));
        let isotropic = lane.spawn(&settings.alone(&lane, "one stage", isotropic));
        let mut children = Vec::new();
        let shared = by_multi.await?.into_iter().zip(by_single.await?);
        for ((residual, plain), (multi, single)) in alone.into_iter().zip(shared) {
            children.push(Child { residual: residual.await?, plain: plain.await?, shared: [multi, single] });
        }
        lane.progress(2, format!("seed {}: children", lane.seed));
        Ok(Outcome {
            children,
            multi,
            judged: judged.len(),
            found: found.await?,
            isotropic: isotropic.await?,
        })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        let int = |key: &str| ParamValue::Int(study.count(key) as i64);
        let spec = |reduction: &str| Spec {
            space: "vit".into(),
            config: Config::default()
                .with("vit.stages", ParamValue::Int(STAGES as i64))
                .with("vit.depth", int("depth"))
                .with("vit.width", int("width"))
                .with("vit.patch", int("patch"))
                .with("vit.reduction", ParamValue::Text(reduction.into())),
        };
        let settings = Settings {
            residual: spec("residual"),
            plain: spec("plain"),
            described,
            data: study.spec.data.clone(),
            children: study.count("children"),
            shared_epochs: study.count("shared-epochs") as u32,
            subnets: study.count("subnets") as i64,
            limit: study.float("limit"),
            training: TrainConfig {
                epochs: study.count("epochs") as u32,
                batch: study.count("batch") as u32,
                rate: study.float("rate") as f32,
                shift: study.count("shift") as u32,
                ..TrainConfig::default()
            },
        };
        let title = format!("Vision transformers of three stages, on {}", study.spec.data);
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        report(&study, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    /// Kendall's τ of the order that shared weights give the children with that of training alone, both by
    /// validation loss; 0 where there is no order.
    fn tau(outcome: &Outcome, side: usize) -> f64 {
        let alone: Vec<f64> = outcome.children.iter().map(|c| f64::from(c.residual.val_loss)).collect();
        let shared: Vec<f64> = outcome.children.iter().map(|c| f64::from(c.shared[side].val_loss)).collect();
        rank::kendall(&shared, &alone).unwrap_or(0.0)
    }

    fn report(study: &Study, outcomes: &[Outcome]) -> Result<()> {
        let mut rows = Vec::new();
        let mut found = Vec::new();
        let mut extra: f64 = 0.0;
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            for child in &outcome.children {
                let cost = child.residual.model.graph.analyze(1)?.total;
                extra = extra.max(cost.macs as f64 / macs(&child.plain.model.graph)? as f64 - 1.0);
                rows.push(vec![
                    seed.to_string(),
                    child.residual.model.graph.name.clone(),
                    cost.params.to_string(),
                    cost.macs.to_string(),
                    percent(test_accuracy(&child.residual)),
                    percent(test_accuracy(&child.plain)),
                    format!("{:.3}", child.residual.val_loss),
                    format!("{:.3}", child.shared[0].val_loss),
                    format!("{:.3}", child.shared[1].val_loss),
                ]);
                let name = &child.residual.model.graph.name;
                study.network("with the shortcut", name, Tone::Grow, &child.residual, false)?;
                study.network("without it", name, Tone::Baseline, &child.plain, false)?;
            }
            for (what, tone, trained) in [
                ("found by evolution", Tone::Quantize, &outcome.found),
                ("one stage", Tone::Prune, &outcome.isotropic),
            ] {
                study.network(what, &trained.model.graph.name, tone, trained, i == 0)?;
                let cost = trained.model.graph.analyze(1)?.total;
                found.push(vec![
                    seed.to_string(),
                    what.to_owned(),
                    trained.model.graph.name.clone(),
                    cost.params.to_string(),
                    cost.macs.to_string(),
                    percent(test_accuracy(trained)),
                    if tone == Tone::Quantize { outcome.judged.to_string() } else { String::new() },
                ]);
            }
        }
        let several = study.count("subnets");
        let shared = format!("validation loss, {several} subnets a step");
        study.table(
            "Networks drawn from the space",
            &[
                "seed",
                "network",
                "parameters",
                "MACs",
                "test accuracy with the shortcut",
                "without it",
                "validation loss, alone",
                &shared,
                "one subnet a step",
            ],
            rows,
        );
        study.table(
            "Within the limit on MACs, trained alone",
            &["seed", "network", "choices", "parameters", "MACs", "test accuracy", "judged by evolution"],
            found,
        );
        if let Some(first) = outcomes.first() {
            let points = (1..).zip(&first.multi.history).map(|(e, h)| (f64::from(e), f64::from(h.loss)));
            let axes = ["epoch", "training loss"];
            study.series(
                "While weights are shared",
                "several subnets a step",
                Tone::Grow,
                axes,
                points.collect(),
            );
            if let Some(child) = first.children.last() {
                for (line, tone, trained) in [
                    ("with the shortcut", Tone::Grow, &child.residual),
                    ("without it", Tone::Baseline, &child.plain),
                ] {
                    study.curve("validation loss", line, tone, trained, |e| e.val_loss);
                }
            }
        }

        let each = |value: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(value).collect::<Vec<f64>>();
        let accuracy = |of: fn(&Child) -> &Trained| {
            each(&|o| mean(&o.children.iter().map(|c| test_accuracy(of(c))).collect::<Vec<_>>()))
        };
        let (residual, plain) = (accuracy(|c| &c.residual), accuracy(|c| &c.plain));
        let (multi, single) = (each(&|o| tau(o, 0)), each(&|o| tau(o, 1)));
        let mut claim = Claim::default();
        let skip = claim.better("accuracy: residual reduction > no shortcut", &residual, &plain);
        let order = claim.not_worse(
            format!("Kendall's τ with training alone: {several} subnets a step >= one, in as many steps"),
            &multi,
            &single,
        );
        let sentence = format!(
            "{} drawn networks reach {} on the test digits with residual reductions and {} without the shortcut ({}, better on {} of {} seeds), which adds at most {:.1} % to the MACs. \
             Kendall's τ of the shared weights' order with that of training alone is {:.2} with {several} subnets a step and {:.2} with one in as many steps ({:+.2} ± {:.2}). \
             Found by evolution: {}; one stage with as many MACs: {}.",
            study.count("children"),
            percent(mean(&residual)),
            percent(mean(&plain)),
            skip.points(),
            skip.held,
            skip.seeds,
            100.0 * extra,
            mean(&multi),
            mean(&single),
            order.difference,
            order.error,
            percent(mean(&each(&|o| test_accuracy(&o.found)))),
            percent(mean(&each(&|o| test_accuracy(&o.isotropic)))),
        );
        study.conclude(claim, sentence, "Networks are trained and ranked; one is found.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn pairs_differ_in_the_shortcut_alone_and_children_are_small_and_large() {
            let spec = |reduction: &str| Spec {
                space: "vit".into(),
                config: Config::default()
                    .with("vit.stages", ParamValue::Int(3))
                    .with("vit.reduction", ParamValue::Text(reduction.into())),
            };
            let nets = ["residual", "plain"].map(|r| Supernet::new(&spec(r), &[1, 8, 8], 10).unwrap());
            let [with, without] = &nets;
            let genomes = children(with, 1, 6).unwrap();
            let costs: Vec<u64> =
                genomes.iter().map(|g| macs(&with.subnet(g).unwrap().graph).unwrap()).collect();
            assert!(costs.is_sorted() && costs[5] > costs[0], "{costs:?}");
            assert_ne!(genomes, children(with, 2, 6).unwrap());
            for genome in &genomes {
                let (a, b) = (with.subnet(genome).unwrap().graph, without.subnet(genome).unwrap().graph);
                assert_eq!(a.params, b.params, "the shortcut has no weights");
                let more = macs(&a).unwrap() as f64 / macs(&b).unwrap() as f64;
                assert!((1.0..1.01).contains(&more), "{more}");
                let count = |g: &Graph, op: &str| g.nodes.iter().filter(|n| n.op == op).count();
                assert_eq!([count(&a, "AveragePool"), count(&b, "AveragePool")], [2, 0]);
            }
        }
    }
}
