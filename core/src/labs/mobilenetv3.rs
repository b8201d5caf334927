//! Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le and Adam, "Searching for
//! MobileNetV3", ICCV 2019, arXiv:1905.02244.
//!
//! Block by block, a controller trained by REINFORCE chooses kernels, expansions and squeeze-and-excitation
//! for accuracy × (latency / target)^−0.15 (Tan et al., "MnasNet", CVPR 2019, with the paper's exponent for
//! small models). NetAdapt (Yang et al., ECCV 2018) then adapts single widths: every step proposes, for each
//! expansion layer and for all blocks that share a bottleneck's size, the widest one that cuts the latency by
//! at least δ; each proposal takes its weights from the network before, truncated, and is trained briefly;
//! the one with the largest change of accuracy per latency stays, until the target is met; then the network is
//! trained from scratch. Latencies come from a table of steps measured on this machine ([`crate::engine::table`]).
//! Beside it: the network that was searched, made narrower by a width multiplier to the same latency; a
//! MobileNetV2; the last stage as it was before; and, for segmentation, the decoder R-ASPP of MobileNetV2
//! beside LR-ASPP. Both decoders scale by repeating pixels, where the paper interpolates.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("mobilenetv3.seeds", 1),
    ParamSpec::int(
        "mobilenetv3.candidates",
        "Candidates",
        4,
        200,
        12,
        "Networks that the block search trains briefly, four at a time.",
    ),
    ParamSpec::int(
        "mobilenetv3.brief",
        "Brief epochs",
        1,
        20,
        1,
        "Passes over the training data of a candidate and of a proposal of NetAdapt.",
    ),
    ParamSpec::int(
        "mobilenetv3.epochs",
        "Epochs",
        1,
        100,
        16,
        "Passes over the training data of every network that is compared.",
    ),
    ParamSpec::int(
        "mobilenetv3.segment",
        "Epochs of segmentation",
        1,
        100,
        8,
        "Passes over the scenes of either decoder.",
    ),
    ParamSpec::int("mobilenetv3.width", "Width", 4, 32, 8, "Channels of the first layers.").unit("channels"),
    ParamSpec::float(
        "mobilenetv3.multiplier",
        "Width multiplier",
        0.2,
        0.95,
        0.5,
        "Of the baseline, whose latency in the table is NetAdapt's target.",
    ),
    ParamSpec::float(
        "mobilenetv3.delta",
        "Cut δ",
        0.01,
        0.5,
        0.08,
        "What a proposal of NetAdapt cuts at least, as a part of the latency at the start.",
    ),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "mobilenetv3",
        name: "MobileNetV3",
        sentence: "Blocks are searched for this machine's latency, then single widths are adapted to a target.",
        formula: "max acc·(lat/target)^−0.15, then max Δacc/|Δlat| of proposals with |Δlat| ≥ δ;  h-swish(x) = x·ReLU6(x + 3)/6",
        citation: Citation {
            authors: "Howard, Sandler, Chu, Chen, Chen, Tan, Wang, Zhu, Pang, Vasudevan, Le and Adam",
            title: "Searching for MobileNetV3",
            year: 2019,
            venue: "ICCV, arXiv:1905.02244",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "A controller chooses kernel, expansion and squeeze-and-excitation of four inverted bottlenecks on 8×8 digits, for accuracy and for the latency that a table of steps, measured on this machine, predicts. NetAdapt then shrinks one expansion, or the bottlenecks of one size, at a time: each proposal cuts the latency by at least δ, starts from the truncated weights, and is trained briefly; the best change of accuracy per latency stays. Later blocks have h-swish, squeeze-and-excitation has a hard sigmoid, the last stage widens only after pooling, and LR-ASPP segments scenes of shapes.",
    baseline: "The searched network narrowed by a width multiplier, whose latency is the target; a MobileNetV2 (ReLU, kernels of 3, no squeeze-and-excitation) within that latency; the last stage before pooling; R-ASPP.",
    claim: "Within the table latency of the width-multiplier network, NetAdapt's network is at least as accurate; h-swish differs from swish by less than 0.15 everywhere; and the new last stage has a lower latency than the old one, at most 0.5 points of accuracy below it.",
    breaks: "After 8 epochs in place of 16 the new last stage was 0.9 points below the old one, the mean over five seeds. And as wide as in the paper, six and eight times what it is given, it saved no time here: with only 2×2 pixels before pooling, reading its weights costs as much as the old stage.",
    #[cfg(feature = "compute")]
    jobs: &[
        crate::job::JobKind::of::<crate::search::netadapt::ProposeTask>(),
        crate::job::JobKind::of::<crate::train::segment::SegmentTask>(),
        crate::job::JobKind::of::<crate::search::netadapt::TimesTask>(),
    ],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::engine::reference;
    use crate::engine::table::LatencyTable;
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::{Attrs, Graph, GraphBuilder, Model};
    use crate::params::{Config, ParamValue};
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::search::netadapt::{Part, ProposeTask, TimesTask, truncated};
    use crate::search::policy::Policy;
    use crate::search::run::{DescribeTask, Described};
    use crate::space::mobile::{self, Last, Mobile, Net};
    use crate::space::{Genome, Space};
    use crate::train::segment::{SegmentTask, segmenter};
    use crate::train::{Start, TrainConfig, TrainTask, Trained};
    use crate::{Error, Result};

    const BATCH: u32 = 32;
    /// Candidates of the block search that are drawn before their rewards are known.
    const ROUND: usize = 4;
    /// The exponent of the latency in the reward: the paper's for small models.
    const EXPONENT: f64 = -0.15;
    /// LSTM units, learning rate, memory of the baseline and entropy bonus of the controller.
    const HIDDEN: usize = 16;
    const POLICY_RATE: f64 = 0.03;
    const MEMORY: f64 = 0.8;
    const ENTROPY: f64 = 1e-3;
    /// Steps of NetAdapt at most.
    const MOST_STEPS: u32 = 30;
    /// Trainings of each last stage: what is told apart, half a point, is one or two test images.
    const TRAININGS: u64 = 3;
    /// Half a point of accuracy.
    const TOLERANCE: f64 = 0.005;
    /// The bound on |h-swish − swish|.
    const CLOSE: f64 = 0.15;

    /// The largest |h-swish − swish| from −20 to 20, as this code's operators compute them: beyond, both are 0 or x
    /// to rounding.
    fn swish_gap() -> Result<f64> {
        let points: Vec<f32> = (-20_000..=20_000).map(|i| i as f32 / 1000.0).collect();
        let answers = |hard: bool| -> Result<Vec<f32>> {
            let mut b = GraphBuilder::new("swish", &[1]);
            let x = b.input();
            let y = if hard {
                b.unary("HardSwish", &x)?
            } else {
                let s = b.unary("Sigmoid", &x)?;
                b.node("Mul", &[&x, &s], Attrs::new(), 1)?.swap_remove(0)
            };
            reference::run(&Model::init(b.finish(&y)?, 0), &points)
        };
        let (hard, soft) = (answers(true)?, answers(false)?);
        Ok(hard.iter().zip(&soft).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max))
    }

    struct Settings {
        config: Config,
        described: Described,
        data: String,
        candidates: usize,
        brief: u32,
        epochs: u32,
        segment: u32,
        multiplier: f64,
        delta: f64,
    }

    impl Settings {
        fn graph(&self, net: &Net) -> Result<Graph> {
            Ok(net.placed(&self.described.shape, self.described.classes)?.0)
        }

        fn train(&self, what: &str, seed: u64, start: Start, epochs: u32) -> TrainTask {
            TrainTask {
                label: format!("{what}, seed {seed}"),
                start,
                data: self.data.clone(),
                config: TrainConfig {
                    epochs,
                    batch: BATCH,
                    rate: 0.01,
                    recalibrate: 8,
                    ..TrainConfig::default()
                },
                seed: rng::derive(seed, "train"),
                test: epochs == self.epochs,
            }
        }

        fn fresh(&self, what: &str, seed: u64, net: &Net) -> Result<TrainTask> {
            Ok(self.train(what, seed, Start::Fresh(self.graph(net)?), self.epochs))
        }

        /// A MobileNetV2: kernels of 3, expansions by 3, no squeeze and excitation, ReLU, and the last stage before
        /// pooling.
        fn second(&self) -> Net {
            let genes = Mobile.genes(&self.config).len();
            let mut net =
                mobile::net(&self.config, &Genome((0..genes).map(|g| u8::from(g % 3 == 1)).collect()));
            net.name = "MobileNetV2".into();
            net.swish = false;
            net.blocks.iter_mut().for_each(|b| b.swish = false);
            old_last(&net)
        }
    }

    /// The same network with the last stage that MobileNetV3 replaces: as in the paper, its bottleneck is a third
    /// as wide as its middle.
    fn old_last(net: &Net) -> Net {
        let last = match net.last {
            Last::Pooled { wide, features } => Last::Full { wide, narrow: (wide / 3).max(1), features },
            other => other,
        };
        Net { last, ..net.clone() }
    }

    /// Accuracy × (latency / target)^w.
    fn reward(accuracy: f64, ms: f64, target: f64) -> f64 {
        accuracy * (ms / target).powf(EXPONENT)
    }

    /// One step of NetAdapt as the page shows it.
    struct Adapted {
        part: Part,
        width: usize,
        ms: f64,
        accuracy: f64,
    }

    /// A network that was trained for the comparison, with its table latency.
    struct Compared {
        trained: Trained,
        ms: f64,
    }

    struct Outcome {
        rewards: Vec<f64>,
        steps: Vec<Adapted>,
        start_ms: f64,
        /// NetAdapt's, the width multiplier's, MobileNetV2, the searched one, and that with the old last stage.
        nets: Vec<Compared>,
        /// Test accuracy of the searched one and of that with the old last stage, over [`TRAININGS`].
        stages: [f64; 2],
        /// Mean intersection over union and milliseconds of LR-ASPP and R-ASPP.
        decoders: Vec<(f64, f64)>,
        steps_known: usize,
    }

    /// The block search: the network of the best reward, its genome and all rewards.
    async fn search(lane: &Lane, settings: &Settings, table: &mut LatencyTable) -> Result<(Net, Vec<f64>)> {
        let genes = Mobile.genes(&settings.config);
        let mut rng = Rng::stream(lane.seed, "controller");
        let mut policy = Policy::new(genes.iter().map(|g| g.options.len()).collect(), HIDDEN, &mut rng);
        let (known, times) = lane
            .spawn(&TimesTask { graphs: vec![settings.graph(&settings.second())?], table: table.clone() })
            .await?;
        *table = known;
        let target = times.first().copied().unwrap_or(f64::NAN);
        let (mut baseline, mut rewards) = (None, Vec::new());
        let mut best: Option<(f64, Genome)> = None;
        while rewards.len() < settings.candidates {
            let round: Vec<Genome> = (0..ROUND).map(|_| policy.sample(&mut rng)).collect();
            let graphs = round.iter().map(|g| settings.graph(&mobile::net(&settings.config, g)));
            let graphs = graphs.collect::<Result<Vec<_>>>()?;
            // Timed before anything of this seed trains beside it.
            let (known, times) =
                lane.spawn(&TimesTask { graphs: graphs.clone(), table: table.clone() }).await?;
            *table = known;
            let tasks: Vec<TrainTask> = graphs
                .into_iter()
                .map(|graph| settings.train("candidate", lane.seed, Start::Fresh(graph), settings.brief))
                .collect();
            let trained = lane.all(&tasks).await?;
            for ((genome, trained), ms) in round.into_iter().zip(trained).zip(times) {
                let r = reward(f64::from(trained.val_accuracy), ms, target);
                let b = baseline.map_or(r, |b: f64| MEMORY * b + (1.0 - MEMORY) * r);
                baseline = Some(b);
                let gradient = policy.gradient(&genome, r - b, ENTROPY);
                policy.ascend(&gradient, POLICY_RATE);
                rewards.push(r);
                if best.as_ref().is_none_or(|(best, _)| r > *best) {
                    best = Some((r, genome));
                }
            }
        }
        let genome = best.map(|(_, genome)| genome).unwrap_or_default();
        Ok((mobile::net(&settings.config, &genome), rewards))
    }

    /// NetAdapt from a trained network down to a target in milliseconds.
    async fn adapt(
        lane: &Lane,
        settings: &Settings,
        table: &mut LatencyTable,
        seed_net: &Net,
        trained: &Trained,
        [start, target]: [f64; 2],
    ) -> Result<(Net, f64, Vec<Adapted>)> {
        let (mut net, mut ms) = (seed_net.clone(), start);
        let (mut model, mut accuracy) = (trained.model.clone(), f64::from(trained.val_accuracy));
        let mut steps = Vec::new();
        while ms > target && (steps.len() as u32) < MOST_STEPS {
            // The last step cuts no more than it must.
            let limit = (ms - settings.delta * start).max(target);
            let task = ProposeTask {
                net: net.clone(),
                input: settings.described.shape.clone(),
                classes: settings.described.classes,
                limit,
                table: table.clone(),
            };
            let (known, proposals) = lane.spawn(&task).await?;
            *table = known;
            let mut tasks = Vec::with_capacity(proposals.len());
            for proposal in &proposals {
                let start = truncated(&model, settings.graph(&proposal.net)?);
                tasks.push(settings.train(
                    "proposal",
                    lane.seed,
                    Start::Model(Box::new(start)),
                    settings.brief,
                ));
            }
            let tried = lane.all(&tasks).await?;
            let gain = |i: usize| (f64::from(tried[i].val_accuracy) - accuracy) / (ms - proposals[i].ms);
            let Some(best) = (0..proposals.len()).reduce(|a, b| if gain(b) > gain(a) { b } else { a }) else {
                // Nothing is wide enough to give so much.
                break;
            };
            let chosen = &proposals[best];
            let width = chosen.part.width(&net);
            (ms, accuracy) = (chosen.ms, f64::from(tried[best].val_accuracy));
            let now = match chosen.part {
                Part::Expansion(i) => chosen.net.blocks[i].middle,
                Part::Bottleneck(_) => {
                    let i = net.blocks.iter().position(|b| b.out == width).unwrap_or(0);
                    chosen.net.blocks[i].out
                }
            };
            steps.push(Adapted { part: chosen.part, width: now, ms, accuracy });
            net = chosen.net.clone();
            model = tried[best].model.clone();
        }
        net.name = "NetAdapt".into();
        Ok((net, ms, steps))
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let mut table = LatencyTable::default();
        let (mut found, rewards) = search(&lane, settings, &mut table).await?;
        lane.progress(1, format!("seed {}: blocks chosen", lane.seed));
        let blocks = found.name.clone();
        found.name = format!("searched: {blocks}");
        let mut narrow = found.scaled(settings.multiplier);
        narrow.name = format!("width × {}", settings.multiplier);
        let mut old = old_last(&found);
        old.name = "old last stage".into();
        // Of the MobileNetV2 as many widths as may fit.
        let second = settings.second();
        let widths: Vec<Net> = (2..=9).map(|n| second.scaled(f64::from(n) / 10.0)).collect();
        let mut nets = vec![found.clone(), narrow.clone(), old.clone()];
        nets.extend(widths.iter().cloned());
        let graphs = nets.iter().map(|n| settings.graph(n)).collect::<Result<Vec<_>>>()?;
        let mut decoded = vec![segmenter(&found, true)?, segmenter(&found, false)?];
        let all = [graphs, std::mem::take(&mut decoded)].concat();
        let count = all.len();
        let (known, times) = lane.spawn(&TimesTask { graphs: all, table }).await?;
        let mut table = known;
        let (start_ms, target, old_ms) = (times[0], times[1], times[2]);
        let within = (0..widths.len()).rev().find(|i| times[3 + i] <= target).unwrap_or(0);

        let found_task = settings.fresh("searched", lane.seed, &found)?;
        let searched = lane.spawn(&found_task);
        let rest = [
            settings.fresh("width multiplier", lane.seed, &narrow)?,
            settings.fresh("MobileNetV2", lane.seed, &widths[within])?,
            settings.fresh("old last stage", lane.seed, &old)?,
        ];
        let rest: Vec<_> = rest.iter().map(|t| lane.spawn(t)).collect();
        let mut again = Vec::new();
        for i in 1..TRAININGS {
            for (what, net) in [("searched", &found), ("old last stage", &old)] {
                let task = settings.fresh(what, lane.seed, net)?;
                again.push(lane.spawn(&TrainTask { seed: task.seed.wrapping_add(i), ..task }));
            }
        }
        let segments = [true, false].map(|lite| {
            let name = if lite { "LR-ASPP" } else { "R-ASPP" };
            lane.spawn(&SegmentTask {
                label: format!("{name}, seed {}", lane.seed),
                net: found.clone(),
                lite,
                epochs: settings.segment,
                seed: rng::derive(lane.seed, "segment"),
            })
        });
        let searched = searched.await?;
        let mut others = Vec::new();
        for ticket in rest {
            others.push(ticket.await?);
        }
        let mut stages = [test_accuracy(&searched), others.last().map_or(0.0, test_accuracy)];
        for (i, ticket) in again.into_iter().enumerate() {
            stages[i % 2] += test_accuracy(&ticket.await?);
        }
        let stages = stages.map(|sum| sum / TRAININGS as f64);
        let mut decoders = Vec::new();
        for (i, ticket) in segments.into_iter().enumerate() {
            decoders.push((ticket.await?.0, times[count - 2 + i]));
        }
        lane.progress(2, format!("seed {}: baselines", lane.seed));
        let (net, ms, steps) =
            adapt(&lane, settings, &mut table, &found, &searched, [start_ms, target]).await?;
        let adapted = lane.spawn(&settings.fresh("NetAdapt", lane.seed, &net)?).await?;
        lane.progress(3, format!("seed {}: NetAdapt", lane.seed));
        let [narrow, second, old]: [Trained; 3] =
            others.try_into().map_err(|_| Error::Unsupported("a baseline is missing".into()))?;
        let nets = vec![
            Compared { trained: adapted, ms },
            Compared { trained: narrow, ms: target },
            Compared { trained: second, ms: times[3 + within] },
            Compared { trained: searched, ms: start_ms },
            Compared { trained: old, ms: old_ms },
        ];
        Ok(Outcome { rewards, steps, start_ms, nets, stages, decoders, steps_known: table.0.len() })
    }

    const SIDES: [(&str, Tone); 5] = [
        ("NetAdapt", Tone::Grow),
        ("width multiplier", Tone::Baseline),
        ("MobileNetV2", Tone::Baseline),
        ("searched", Tone::Prune),
        ("searched, old last stage", Tone::Baseline),
    ];

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        let settings = Settings {
            config: Config::default().with("mobile.width", ParamValue::Int(study.count("width") as i64)),
            described,
            data: study.spec.data.clone(),
            candidates: study.count("candidates"),
            brief: study.count("brief") as u32,
            epochs: study.count("epochs") as u32,
            segment: study.count("segment") as u32,
            multiplier: study.float("multiplier"),
            delta: study.float("delta"),
        };
        let title = format!("A mobile network for this machine, on {}", study.spec.data);
        let outcomes = study.compare(title, &[()], 3, |lane, ()| line(lane, &settings)).await?;
        report(&study, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn micro(ms: f64) -> String {
        format!("{:.1} µs", 1000.0 * ms)
    }

    fn report(study: &Study, outcomes: &[Outcome]) -> Result<()> {
        let gap = swish_gap()?;
        let mut rows = Vec::new();
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            for ((side, tone), net) in SIDES.iter().zip(&outcome.nets) {
                let label = net.trained.model.graph.name.clone();
                study.network(side, &label, *tone, &net.trained, i == 0)?;
                let cost = net.trained.model.graph.analyze(1)?.total;
                rows.push(vec![
                    seed.to_string(),
                    format!("{side}: {label}"),
                    cost.params.to_string(),
                    cost.macs.to_string(),
                    micro(net.ms),
                    percent(test_accuracy(&net.trained)),
                ]);
            }
        }
        let columns = ["seed", "network", "parameters", "MACs", "table latency", "test accuracy"];
        study.table("Networks trained from scratch", &columns, rows);
        if let Some(first) = outcomes.first() {
            let rewards = (1..).zip(&first.rewards).map(|(i, r)| (f64::from(i), *r)).collect();
            let axes = ["candidate", "accuracy × (latency / target)^−0.15"];
            study.series("Block search, first seed", "reward", Tone::Grow, axes, rewards);
            let path = first.steps.iter().map(|s| (1000.0 * s.ms, s.accuracy)).collect();
            let axes = ["table latency (µs)", "validation accuracy after a brief training"];
            study.series("NetAdapt, first seed", "best proposal", Tone::Prune, axes, path);
            let rows = (1..).zip(&first.steps).map(|(i, s): (u32, _)| {
                let what = match s.part {
                    Part::Expansion(block) => format!("expansion of block {}", block + 1),
                    Part::Bottleneck(size) => format!("bottlenecks of {size} channels"),
                };
                vec![i.to_string(), what, s.width.to_string(), micro(s.ms), percent(s.accuracy)]
            });
            let columns = ["step", "made narrower", "channels", "table latency", "validation accuracy"];
            study.table("What NetAdapt chose, first seed", &columns, rows.collect());
            for ((side, tone), net) in SIDES.iter().zip(&first.nets) {
                study.curve("validation accuracy", side, *tone, &net.trained, |e| e.val_accuracy);
            }
        }
        let by_seed = |f: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(f).collect::<Vec<f64>>();
        let rows = ["LR-ASPP", "R-ASPP"].iter().enumerate().map(|(d, name)| {
            vec![
                (*name).to_owned(),
                percent(mean(&by_seed(&|o| o.decoders[d].0))),
                micro(mean(&by_seed(&|o| o.decoders[d].1))),
            ]
        });
        let columns = ["decoder", "mean intersection over union", "table latency with the blocks"];
        study.table("Segmentation of shapes, 16×16, means over seeds", &columns, rows.collect());

        let accuracy = |i: usize| by_seed(&|o| test_accuracy(&o.nets[i].trained));
        let ms = |i: usize| by_seed(&|o| o.nets[i].ms);
        let mut claim = Claim::default();
        let paired = claim.not_worse("accuracy: NetAdapt >= width multiplier", &accuracy(0), &accuracy(1));
        claim.always(
            "NetAdapt's table latency at most that of the width multiplier",
            outcomes.iter().map(|o| o.nets[0].ms <= o.nets[1].ms),
        );
        claim.always("|h-swish − swish| below 0.15", outcomes.iter().map(|_| gap < CLOSE));
        claim.better("table latency: old last stage > new", &ms(4), &ms(3));
        let loss = by_seed(&|o| o.stages[1] - o.stages[0]);
        claim.at_most("new last stage at most 0.5 points below the old", &loss, TOLERANCE);
        let sentence = format!(
            "Within the table latency of the width multiplier's network ({}; the searched one takes {}), NetAdapt's reaches {} of the test digits and the width multiplier's {} ({}), a MobileNetV2 {}. \
             h-swish differs from swish by at most {gap:.4}. The old last stage takes {} in place of {}, and the new one is {:+.1} points off in accuracy, each trained {TRAININGS} times a seed. \
             Shapes are segmented with a mean intersection over union of {} by LR-ASPP and {} by R-ASPP. The table holds {:.0} measured steps a seed.",
            micro(mean(&ms(1))),
            micro(mean(&by_seed(&|o| o.start_ms))),
            percent(mean(&accuracy(0))),
            percent(mean(&accuracy(1))),
            paired.points(),
            percent(mean(&accuracy(2))),
            micro(mean(&ms(4))),
            micro(mean(&ms(3))),
            -100.0 * mean(&loss),
            percent(mean(&by_seed(&|o| o.decoders[0].0))),
            percent(mean(&by_seed(&|o| o.decoders[1].0))),
            mean(&by_seed(&|o| o.steps_known as f64)),
        );
        study.conclude(claim, sentence, "Every network is timed, trained and tested.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn hard_swish_is_close_to_swish_but_not_the_same() {
            // At 3: 3 − 3·σ(3) = 3·(1 − 0.952574).
            let gap = swish_gap().unwrap();
            assert!((gap - 3.0 * (1.0 - 1.0 / (1.0 + (-3.0f64).exp()))).abs() < 1e-3, "{gap}");
        }

        #[test]
        fn the_reward_prefers_the_faster_of_equals() {
            assert_eq!(reward(0.9, 2.0, 2.0), 0.9);
            assert!((reward(0.9, 4.0, 2.0) - 0.9 * 2f64.powf(-0.15)).abs() < 1e-12);
        }
    }
}
