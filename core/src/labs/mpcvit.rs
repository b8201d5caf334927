//! Zeng, Li, Xiong, Tong, Lu, Tan, Wang and Huang, "MPCViT: Searching for Accurate and Efficient
//! MPC-Friendly Vision Transformer with Heterogeneous Attention", ICCV 2023, arXiv:2211.13955; code at
//! github.com/PKU-SEC-Lab/mpcvit.
//!
//! Two parties who compute a network on secret shares pay for every comparison, exponential and division
//! in rounds of messages. Each head of a vision transformer is a mixture α·ReLU-softmax + (1 − α)·scaling
//! attention: scores through a ReLU, divided by their sum; or scores divided by the number of tokens,
//! which costs nothing. α starts at 1 and is learned with the weights under an L1 penalty; of all
//! heads, the fraction μ with the largest α keep the ReLU-softmax, the others get scaling attention, and
//! the network is trained anew with a softmax teacher: cross-entropy with the labels and with the teacher's
//! answers, and half the mean squared distance to its last tokens. MPCViT+ also learns for every layer a
//! β·GELU(x) + (1 − β)·x; where β is small the GELU goes, the two matrices around it become one, and a
//! ReLU follows them, as in the paper's code. What a network costs is counted ([`super::secure`]).
//! Heads of a layer are alike before training, so what a search decides is how many keep their
//! ReLU-softmax in which layer.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("mpcvit.seeds", 1),
    ParamSpec::int(
        "mpcvit.epochs",
        "Epochs",
        1,
        200,
        20,
        "Passes over the training data, of every network: teacher, search, and all that are trained anew.",
    ),
    ParamSpec::float("mpcvit.rate", "Learning rate", 1e-4, 0.1, 0.004, "At its peak, of every training.")
        .log(),
    super::shifts("mpcvit.shift", 0),
    ParamSpec::int("mpcvit.width", "Width", 8, 64, 16, "Features of a token.").unit("features"),
    ParamSpec::int("mpcvit.layers", "Layers", 1, 6, 2, "Each has four heads."),
    ParamSpec::float(
        "mpcvit.keep",
        "Heads that keep ReLU-softmax (μ)",
        0.0,
        1.0,
        0.5,
        "The part of all heads, those with the largest α.",
    ),
    ParamSpec::float(
        "mpcvit.penalty",
        "Penalty (λ)",
        0.0,
        1.0,
        0.01,
        "What each unit of α adds to the loss of the search: a head's ReLU-softmax costs the same everywhere.",
    ),
    ParamSpec::float(
        "mpcvit.round",
        "Round trip",
        0.1,
        500.0,
        40.0,
        "Of the connection, for the seconds in the table.",
    )
    .unit("ms"),
    ParamSpec::float("mpcvit.bandwidth", "Bandwidth", 1.0, 1000.0, 44.0, "Of the connection, likewise.")
        .unit("MB/s"),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "mpcvit",
        name: "MPCViT",
        sentence: "Which heads of a vision transformer need a softmax when two parties compute it on secret shares.",
        formula: "A = α·ReLU(S)/(Σ ReLU(S) + ε) + (1 − α)·S/n,  L = CE + λ·Σ|α|",
        citation: Citation {
            authors: "Zeng, Li, Xiong, Tong, Lu, Tan, Wang and Huang",
            title: "MPCViT: Searching for Accurate and Efficient MPC-Friendly Vision Transformer with Heterogeneous Attention",
            year: 2023,
            venue: "ICCV, arXiv:2211.13955",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Every head mixes two attentions by a learned α: scores through a ReLU and divided by their sum, or divided by the number of tokens, which needs no message between the parties. An L1 penalty on α stands for latency. The half of the heads with the largest α keep the ReLU-softmax, and the network is trained anew on labels, on a softmax teacher's answers and on its last tokens. MPCViT+ learns in the same way which layers need their GELU. Rounds and bytes are counted by CrypTen's published protocols.",
    baseline: "The softmax network that teaches; all heads with ReLU-softmax; all with scaling attention; as many ReLU-softmax heads in random places; all trained with the same teacher.",
    claim: "With half of the heads, the searched network is more accurate than with scaling attention alone, within 1 point of all ReLU-softmax at a lower modelled cost, and at least as accurate as with random heads.",
    breaks: "With training images shifted by a pixel these epochs are too few: on the two seeds tried the networks reached 74 to 88 %, and which attention was best changed with the seed.",
    #[cfg(feature = "compute")]
    jobs: &[crate::job::JobKind::of::<run::VitTask>()],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::Result;
    use crate::job::{JobCtx, Task};
    use crate::labs::checks::{Claim, mean};
    use crate::labs::mpcvit_nets::{Attend, Design, HEADS, Layer, Middle, fused, graph};
    use crate::labs::secure::{self, Secure};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::Model;
    use crate::ops::{Forward, Value};
    use crate::order::Order;
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::train::interpret::{Callback, Hook, NoHook, Passed, Plan, Shapes};
    use crate::train::{Loss, Start, TrainConfig, TrainTask, Trained, loss};
    use burn::tensor::Tensor;
    use burn::tensor::activation::softmax;
    use serde::{Deserialize, Serialize};

    /// Weight of the distance between tokens, as in the paper's code.
    const TOKENS: f32 = 0.5;
    const BATCH: u32 = 32;
    const POINT: f64 = 0.01;

    /// Training one of the networks, as a job.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct VitTask {
        /// For the progress line.
        pub label: String,
        /// The network.
        pub design: Design,
        /// Who teaches, where somebody does.
        pub teacher: Option<Box<Model>>,
        /// λ, on every α and β.
        pub penalty: f32,
        /// Name of the data set.
        pub data: String,
        /// Epochs.
        pub epochs: u32,
        /// Peak learning rate.
        pub rate: f32,
        /// Pixels that images are shifted by at most.
        pub shift: u32,
        /// The seed.
        pub seed: u64,
    }

    /// What comes of it.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Vit {
        /// The network, with both outputs.
        pub trained: Trained,
        /// Of every layer the αs of its heads, where it has some.
        pub alphas: Vec<Vec<f32>>,
        /// Of every layer its β, likewise.
        pub betas: Vec<f32>,
    }

    impl Task for VitTask {
        const NAME: &'static str = "lab.mpcvit";
        type Output = Vit;

        fn label(&self) -> String {
            self.label.clone()
        }

        async fn run(self, ctx: &JobCtx<'_>) -> Result<Vit> {
            let data = ctx.dataset(&self.data)?;
            let layers = self.design.layers.len();
            let graph = graph(&self.design, &data.shape, data.classes.len())?;
            let batch = data.train.len().clamp(1, BATCH as usize);
            let ready = |model: &Model| -> Result<Teacher> {
                let plan = Plan::new(&model.graph)?;
                let (params, shapes) = (plan.upload(model, &ctx.device)?, plan.shapes(batch)?);
                Ok(Teacher { plan, params, shapes })
            };
            let teacher = self.teacher.as_deref().map(ready).transpose()?;
            let mut lesson = Lesson { penalty: self.penalty, penalized: Vec::new(), teacher };
            let task = TrainTask {
                label: self.label,
                start: Start::Fresh(graph),
                data: self.data,
                config: TrainConfig {
                    epochs: self.epochs,
                    batch: BATCH,
                    rate: self.rate,
                    shift: self.shift,
                    ..TrainConfig::default()
                },
                seed: self.seed,
                test: true,
            };
            let trained = task.run_with(ctx, &mut lesson).await?;
            let of = |name: &str, i: usize| trained.model.values(&format!("{name}{i}.weight"));
            let alphas = (0..layers).map(|i| of("alpha", i)).filter(|a| !a.is_empty()).collect();
            let betas = (0..layers).filter_map(|i| of("beta", i).first().copied()).collect();
            Ok(Vit { trained, alphas, betas })
        }
    }

    /// Who teaches, made ready to run on batches of one size.
    struct Teacher {
        plan: Plan,
        params: Vec<Value>,
        shapes: Shapes,
    }

    /// What is added to the loss: the penalty, the teacher.
    struct Lesson {
        penalty: f32,
        /// Indices of the αs and βs.
        penalized: Vec<usize>,
        teacher: Option<Teacher>,
    }

    impl Hook for Lesson {}

    impl Callback for Lesson {
        fn begin(&mut self, plan: &Plan) -> Result<()> {
            let mixed = |name: &String| name.starts_with("alpha") || name.starts_with("beta");
            self.penalized = (0..).zip(plan.params()).filter(|(_, n)| mixed(n)).map(|(i, _)| i).collect();
            Ok(())
        }

        fn objective(&self, passed: &Passed<'_>) -> Result<Option<Tensor<1>>> {
            let mut sum: Option<Tensor<1>> = None;
            let mut add = |term: Tensor<1>| sum = Some(sum.take().map_or(term.clone(), |sum| sum + term));
            for i in self.penalized.iter().filter(|_| self.penalty > 0.0) {
                if let Some(value) = passed.params.get(*i) {
                    let norm = crate::with_value!(value.clone(), t => t.abs().sum());
                    add(norm.mul_scalar(self.penalty));
                }
            }
            if let (Some(teacher), [Value::R2(logits), Value::R3(last)]) = (&self.teacher, passed.outputs) {
                let Teacher { plan, params, shapes } = teacher;
                let input = passed.input.clone();
                let told = plan.forward(params, input, shapes, &mut Forward::default(), &NoHook)?;
                if let [Value::R2(answers), Value::R3(tokens)] = told.as_slice() {
                    add(loss::loss(Loss::CrossEntropy, logits.clone(), softmax(answers.clone(), 1)));
                    add((last.clone() - tokens.clone()).square().mean().mul_scalar(TOKENS));
                }
            }
            Ok(sum)
        }
    }

    /// How many heads of each layer are among the `keep` with the largest α of all.
    fn kept(alphas: &[Vec<f32>], keep: usize) -> Vec<u8> {
        let mut all: Vec<(usize, f32)> =
            alphas.iter().enumerate().flat_map(|(layer, a)| a.iter().map(move |a| (layer, *a))).collect();
        all.order_by(|a, b| b.1.total_cmp(&a.1));
        let mut counts = vec![0; alphas.len()];
        all.iter().take(keep).for_each(|(layer, _)| counts[*layer] += 1);
        counts
    }

    /// The same of heads drawn at random.
    fn drawn(layers: usize, keep: usize, seed: u64) -> Vec<u8> {
        let mut heads: Vec<usize> = (0..layers * HEADS).collect();
        Rng::stream(seed, "random heads").shuffle(&mut heads);
        let mut counts = vec![0; layers];
        heads.iter().take(keep).for_each(|head| counts[head / HEADS] += 1);
        counts
    }

    /// As it is handed on: one output, matrices fused.
    fn finished(vit: &Vit) -> Result<Trained> {
        let mut trained = vit.trained.clone();
        trained.model.graph.outputs.truncate(1);
        trained.model = fused(&trained.model)?;
        trained.model.check()?;
        Ok(trained)
    }

    struct Settings {
        data: String,
        epochs: u32,
        rate: f32,
        shift: u32,
        width: u32,
        layers: usize,
        keep: f64,
        penalty: f32,
    }

    impl Settings {
        fn kept(&self) -> usize {
            (self.keep * (self.layers * HEADS) as f64).round() as usize
        }

        fn task(&self, lane: &Lane, name: &str, layers: Vec<Layer>) -> VitTask {
            VitTask {
                label: format!("{name}, seed {}", lane.seed),
                design: Design { name: name.into(), width: self.width, layers },
                teacher: None,
                penalty: 0.0,
                data: self.data.clone(),
                epochs: self.epochs,
                rate: self.rate,
                shift: self.shift,
                seed: rng::derive(lane.seed, "train"),
            }
        }
    }

    const NAMES: [&str; 6] = ["softmax", "ReLU-softmax", "scaling", "random heads", "MPCViT", "MPCViT+"];
    const TONES: [Tone; 6] =
        [Tone::Grow, Tone::Baseline, Tone::Baseline, Tone::Prune, Tone::Quantize, Tone::Quantize];
    const RELU: usize = 1;
    const SCALING: usize = 2;
    const RANDOM: usize = 3;
    const SEARCHED: usize = 4;

    /// What came of one seed: the searches, and by [`NAMES`] every network with its design's heads.
    struct Outcome {
        search: Vit,
        plus: Vit,
        sides: Vec<(Trained, Secure, String)>,
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let n = settings.layers;
        let all = |attend, middle| vec![(attend, middle); n];
        let teacher = lane.spawn(&settings.task(&lane, NAMES[0], all(Attend::Softmax, Middle::Gelu)));
        let search = |name, middle| {
            let task = settings.task(&lane, name, all(Attend::Mixed, middle));
            lane.spawn(&VitTask { penalty: settings.penalty, seed: rng::derive(lane.seed, "search"), ..task })
        };
        let (search, plus) = (search("search", Middle::Gelu), search("search of MPCViT+", Middle::Mixed));
        let (search, plus, teacher) = (search.await?, plus.await?, teacher.await?);
        lane.progress(1, format!("seed {}: teacher and searches", lane.seed));
        let keep = settings.kept();
        let linear: Vec<Middle> = {
            let layers: Vec<Vec<f32>> = plus.betas.iter().map(|b| vec![*b]).collect();
            let gelu = kept(&layers, (settings.keep * n as f64).round() as usize);
            gelu.iter().map(|kept| if *kept > 0 { Middle::Gelu } else { Middle::Nothing }).collect()
        };
        let split = |counts: &[u8]| -> Vec<Layer> {
            counts.iter().map(|n| (Attend::Split(*n), Middle::Gelu)).collect()
        };
        let with: Vec<Layer> = kept(&plus.alphas, keep)
            .iter()
            .zip(linear)
            .map(|(n, middle)| (Attend::Split(*n), middle))
            .collect();
        let designs = [
            split(&vec![HEADS as u8; n]),
            split(&vec![0; n]),
            split(&drawn(n, keep, lane.seed)),
            split(&kept(&search.alphas, keep)),
            with,
        ];
        let students: Vec<_> = designs
            .iter()
            .zip(&NAMES[1..])
            .map(|(layers, name)| {
                let task = settings.task(&lane, name, layers.clone());
                lane.spawn(&VitTask { teacher: Some(Box::new(teacher.trained.model.clone())), ..task })
            })
            .collect();
        let mut sides = vec![(finished(&teacher)?, String::new())];
        for (student, layers) in students.into_iter().zip(&designs) {
            let told = layers.iter().map(|(attend, middle)| {
                let heads = if let Attend::Split(n) = attend { usize::from(*n) } else { HEADS };
                format!("{heads}{}", if *middle == Middle::Nothing { " linear" } else { "" })
            });
            sides.push((finished(&student.await?)?, told.collect::<Vec<_>>().join(", ")));
        }
        lane.progress(2, format!("seed {}: trained anew", lane.seed));
        let costed = |(t, told): (Trained, String)| -> Result<_> {
            let cost = secure::cost(&t.model.graph)?;
            Ok((t, cost, told))
        };
        let sides = sides.into_iter().map(costed).collect::<Result<_>>()?;
        Ok(Outcome { search, plus, sides })
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let settings = Settings {
            data: study.spec.data.clone(),
            epochs: study.count("epochs") as u32,
            rate: study.float("rate") as f32,
            shift: study.count("shift") as u32,
            width: (study.count("width").next_multiple_of(HEADS)) as u32,
            layers: study.count("layers"),
            keep: study.float("keep"),
            penalty: study.float("penalty") as f32,
        };
        let title = format!(
            "Vision transformers on secret shares, {} of {} heads with a ReLU-softmax",
            settings.kept(),
            settings.layers * HEADS
        );
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        report(&study, &outcomes.into_iter().flatten().collect::<Vec<_>>())
    }

    fn report(study: &Study, outcomes: &[Outcome]) -> Result<()> {
        let seconds = |c: &Secure| c.seconds(study.float("round"), 1e6 * study.float("bandwidth"));
        let mut rows = Vec::new();
        for (i, (outcome, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            for (((name, tone), side), (trained, cost, told)) in
                NAMES.iter().zip(TONES).zip(0..).zip(&outcome.sides)
            {
                study.network(name, name, tone, trained, i == 0)?;
                if i == 0 {
                    study.curve("validation accuracy", name, tone, trained, |e| e.val_accuracy);
                }
                if i == 0 || side >= RANDOM {
                    rows.push(vec![
                        seed.to_string(),
                        (*name).into(),
                        told.clone(),
                        percent(test_accuracy(trained)),
                        cost.rounds.to_string(),
                        format!("{:.2} MB", cost.bytes as f64 / 1e6),
                        format!("{:.2} s", seconds(cost)),
                    ]);
                }
            }
        }
        let columns = [
            "seed",
            "network",
            "ReLU-softmax heads, by layer",
            "test accuracy",
            "rounds",
            "sent",
            "by the connection",
        ];
        study.table("Networks and what they cost on secret shares", &columns, rows);
        if let Some(first) = outcomes.first() {
            let rows = first.search.alphas.iter().enumerate().map(|(i, alphas)| {
                let mut row = vec![(i + 1).to_string()];
                row.extend(alphas.iter().map(|a| format!("{a:.2}")));
                row.push(first.plus.betas.get(i).map_or(String::new(), |b| format!("{b:.2}")));
                row
            });
            let columns = ["layer", "α, head 1", "head 2", "head 3", "head 4", "β of MPCViT+"];
            study.table("What the searches found, first seed", &columns, rows.collect());
        }
        let accuracy = |side: usize| -> Vec<f64> {
            outcomes.iter().map(|o| o.sides.get(side).map_or(0.0, |s| test_accuracy(&s.0))).collect()
        };
        let all: Vec<Vec<f64>> = (0..NAMES.len()).map(accuracy).collect();
        let rows = outcomes.iter().zip(study.seeds()).enumerate().map(|(i, (_, seed))| {
            std::iter::once(seed.to_string()).chain(all.iter().map(|side| percent(side[i]))).collect()
        });
        let mut columns = vec!["seed"];
        columns.extend(NAMES);
        study.table("Test accuracy by seed", &columns, rows.collect());

        let mut claim = Claim::default();
        let scaling = claim.better(
            "accuracy: half of the heads > scaling attention alone",
            &all[SEARCHED],
            &all[SCALING],
        );
        let short: Vec<f64> = all[RELU].iter().zip(&all[SEARCHED]).map(|(a, b)| a - b).collect();
        claim.at_most("at most 1 point below ReLU-softmax everywhere", &short, POINT);
        claim.always(
            "modelled cost below that of ReLU-softmax everywhere",
            outcomes.iter().map(|o| seconds(&o.sides[SEARCHED].1) < seconds(&o.sides[RELU].1)),
        );
        let random =
            claim.not_worse("accuracy: searched heads >= random heads", &all[SEARCHED], &all[RANDOM]);
        let cost = |side: usize| {
            mean(
                &outcomes.iter().filter_map(|o| o.sides.get(side)).map(|s| seconds(&s.1)).collect::<Vec<_>>(),
            )
        };
        let told = |side: usize| format!("{} ({:.1} s)", percent(mean(&all[side])), cost(side));
        let sentence = format!(
            "With half of the heads MPCViT reaches {} on the test digits; scaling attention alone {} ({}), ReLU-softmax everywhere {}, random heads {} ({}), MPCViT+ {}, and the softmax teacher {}. Seconds are those of the connection.",
            told(SEARCHED),
            told(SCALING),
            scaling.points(),
            told(RELU),
            told(RANDOM),
            random.points(),
            told(5),
            told(0),
        );
        study.conclude(claim, sentence, "Every network is trained, tested and counted.");
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_largest_alphas_keep_their_softmax() {
            let alphas = [vec![0.9, 0.1, 0.5, 0.2], vec![0.6, 0.7, 0.8, -0.1]];
            assert_eq!(kept(&alphas, 4), [1, 3]);
            assert_eq!(kept(&alphas, 8), [4, 4]);
            for seed in 0..20 {
                let counts = drawn(3, 6, seed);
                assert_eq!(counts.iter().sum::<u8>(), 6);
                assert!(counts.iter().all(|n| usize::from(*n) <= HEADS));
            }
        }
    }
}
