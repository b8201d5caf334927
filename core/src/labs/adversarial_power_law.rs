//! Cubuk, Zoph, Schoenholz and Le, "Intriguing Properties of Adversarial Examples", 2017, arXiv:1711.02846.
//!
//! How many images a network gets wrong more when each is changed by at most ε is proportional to ε while it is
//! small, whatever the network, the data and the attack: an image is misled where the difference of its two largest
//! logits is below what the attack can move, and the density of these differences is flat near 0. Measured here with
//! three attacks, on networks from linear to convolutional, on digits, rendered shapes, random data, and digits with
//! shuffled labels. Then two ways to a network that is harder to mislead: a regulariser that lowers the entropy of its
//! answers, and REINFORCE over architectures whose reward is the accuracy on attacked images.
//! Beside them: the same network without a defence, and random architectures.
//!
//! Ours: the added error is the part of test images that are answered rightly and are then misled; on random data and
//! shuffled labels, where no label of a test image means anything, the part whose answer changes. Sizes are small
//! where FGSM's added error is between 1 % and 10 %. The weight of the entropy grows over the first quarter of training.

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("adversarial-power-law.seeds", 1),
    ParamSpec::int(
        "adversarial-power-law.samples",
        "Training images",
        40,
        1000,
        400,
        "Images of digits and of shapes that networks learn from; the fewer, the more can be tested on.",
    )
    .unit("images"),
    ParamSpec::int(
        "adversarial-power-law.epochs",
        "Epochs",
        1,
        100,
        24,
        "Passes over the training data, of every network but those of the search.",
    ),
    ParamSpec::int(
        "adversarial-power-law.steps",
        "Steps of the attack",
        1,
        40,
        5,
        "Steps of projected gradient descent (PGD), the strongest of the attacks.",
    ),
    ParamSpec::float(
        "adversarial-power-law.size",
        "Size of the attack",
        0.01,
        0.5,
        0.075,
        "How much of a pixel's range the attack may change that defences are held against.",
    ),
    ParamSpec::float(
        "adversarial-power-law.entropy",
        "Weight of the entropy",
        0.0,
        10.0,
        2.0,
        "Of the entropy of answers, in nats, in the loss of the regularised network.",
    ),
    ParamSpec::int(
        "adversarial-power-law.batches",
        "Batches of the search",
        1,
        50,
        6,
        "How often the policy draws a batch of architectures and learns from their rewards.",
    ),
    ParamSpec::int(
        "adversarial-power-law.children",
        "Architectures in a batch",
        1,
        10,
        4,
        "How many architectures a batch has.",
    ),
    ParamSpec::int(
        "adversarial-power-law.brief",
        "Epochs in the search",
        1,
        50,
        6,
        "Passes over the training data before an architecture is rewarded.",
    ),
    ParamSpec::float(
        "adversarial-power-law.rate",
        "Policy's rate",
        0.001,
        1.0,
        0.2,
        "Learning rate of the policy (Adam).",
    )
    .log(),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "adversarial-power-law",
        name: "Adversarial power law",
        sentence: "How many more images a network gets wrong grows in proportion to the size of the perturbation, whatever the network.",
        formula: "error(ε) − error(0) ≈ ε · p(Δ = 0) · ⟨‖∇Δ‖₁⟩,  Δ = h₁ − h₂",
        citation: Citation {
            authors: "Cubuk, Zoph, Schoenholz and Le",
            title: "Intriguing Properties of Adversarial Examples",
            year: 2017,
            venue: "arXiv:1711.02846",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "Three attacks change every pixel by at most ε: one step along the sign of the loss's gradient (FGSM), one step towards the least likely class, and several steps from a random start, each brought back into range (PGD). The error that they add is drawn against ε, both as logarithms, beside what the distribution of logit differences predicts to first order. Then two defences. The first adds the entropy of the softmax to the loss. The second is a search: a policy draws chains of convolutions, each is trained for a few epochs, its accuracy on validation images attacked by PGD is its reward, and REINFORCE makes what did better than the moving average likelier.",
    baseline: "The convolutional network without a defence; random architectures of the same space; digits with shuffled labels and random data, where a network can only memorise.",
    claim: "While it is small, the added error is a power of ε with an exponent between 0.8 and 1.3, for every model with every attack; the entropy regulariser lowers the error under PGD, and the network that was searched for has a lower one than random architectures and than the undefended network.",
    breaks: "Attacked on a thousand random images that it had memorised, the convolutional network had an exponent of 2.3, on the one seed tried: none of their logit differences is near 0.",
    #[cfg(feature = "compute")]
    jobs: &[crate::job::JobKind::of::<super::adversarial_power_law_nets::NetTask>()],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::data::Split;
    use crate::data::generated::shapes::SIDE;
    use crate::labs::adversarial_power_law_nets::{
        Curve, NETS, Net, NetTask, SOURCES, Source, graph, leads, predicted, small,
    };
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::Graph;
    use crate::order::Order;
    use crate::params::{Config, ParamValue};
    use crate::protocol::Tone;
    use crate::rng::{self, Rng};
    use crate::run::{RunCtx, Ticket};
    use crate::search::actor::Baseline;
    use crate::search::policy::Policy;
    use crate::space::{self, Genome, Space};
    use crate::{Error, Result};

    /// What the exponents should be.
    const EXPONENTS: (f64, f64) = (0.8, 1.3);
    /// Sizes at which defences are compared, in parts of the one that counts.
    const PARTS: [f32; 6] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0];
    const WHOLE: usize = 3;
    /// Random architectures; and of the search those that are trained to the end.
    const RANDOM: usize = 4;
    const FINALISTS: usize = 2;
    /// Memory of the policy's baseline, weight of its entropy.
    const MEMORY: f64 = 0.8;
    const UNDECIDED: f64 = 0.001;

    /// The space of the search.
    struct Chains {
        space: &'static dyn Space,
        config: Config,
    }

    impl Chains {
        fn new() -> Result<Self> {
            let space =
                space::get("chain").ok_or_else(|| Error::Unsupported("there are no chains".into()))?;
            Ok(Self { space, config: Config::default().with("chain.width", ParamValue::Int(16)) })
        }

        fn graph(&self, genome: &Genome) -> Result<Graph> {
            self.space.graph(&self.config, genome, &[1, 8, 8], 10)
        }
    }

    struct Settings {
        samples: u32,
        epochs: u32,
        steps: u32,
        size: f32,
        entropy: f32,
        batches: usize,
        children: usize,
        brief: u32,
        rate: f64,
    }

    impl Settings {
        /// A network that is compared with others under PGD.
        fn net(&self, label: String, graph: Graph, seed: (u64, &str)) -> NetTask {
            NetTask {
                label: format!("{label}, seed {}", seed.0),
                data: (Source::Digits, self.samples, seed.0),
                graph,
                epochs: self.epochs,
                entropy: 0.0,
                sweep: false,
                pgd: (self.steps, PARTS.iter().map(|p| p * self.size).collect(), Split::Test),
                seed: rng::derive(seed.0, seed.1),
            }
        }
    }

    /// What came of one seed.
    struct Outcome {
        /// By source, then by network; the CNN on digits is the undefended one.
        models: Vec<Net>,
        regularised: Net,
        searched: Net,
        random: Vec<Net>,
        /// Every reward of the search, in order.
        rewards: Vec<f64>,
    }

    /// REINFORCE over architectures; gives every reward, and the best architectures by reward.
    async fn search(
        lane: &RunCtx,
        settings: &Settings,
        chains: &Chains,
        seed: u64,
    ) -> Result<(Vec<f64>, Vec<Genome>)> {
        let sizes = chains.space.genes(&chains.config).iter().map(|g| g.options.len()).collect();
        let mut rng = Rng::stream(seed, "policy");
        let mut policy = Policy::new(sizes, 0, &mut rng);
        let mut baseline = Baseline::new(MEMORY);
        let (mut rewards, mut drawn) = (Vec::new(), Vec::new());
        for batch in 0..settings.batches {
            let mut tickets = Vec::new();
            for child in 0..settings.children {
                let genome = chains.space.canonical(&chains.config, &policy.sample(&mut rng));
                let name = format!("child {batch} {child}");
                let mut task = settings.net(name.clone(), chains.graph(&genome)?, (seed, &name));
                task.epochs = settings.brief;
                task.pgd = (settings.steps, vec![settings.size], Split::Validation);
                tickets.push((genome, lane.spawn(&task)));
            }
            let mut earned = Vec::new();
            let from = drawn.len();
            for (genome, ticket) in tickets {
                let net = ticket.await?;
                earned.push(1.0 - net.errors.last().copied().unwrap_or(1.0));
                drawn.push(genome);
            }
            let mut gradient: Vec<f64> = Vec::new();
            for (genome, advantage) in drawn[from..].iter().zip(baseline.advantages(&earned)) {
                let share = 1.0 / earned.len() as f64;
                let one = policy.gradient(genome, share * advantage, share * UNDECIDED);
                gradient.resize(one.len(), 0.0);
                gradient.iter_mut().zip(one).for_each(|(g, o)| *g += o);
            }
            policy.ascend(&gradient, settings.rate);
            rewards.extend(earned);
        }
        let mut best: Vec<usize> = (0..rewards.len()).collect();
        best.order_by(|a, b| rewards[*b].total_cmp(&rewards[*a]));
        let mut finalists: Vec<Genome> = Vec::new();
        for i in best {
            if finalists.len() < FINALISTS && !finalists.contains(&drawn[i]) {
                finalists.push(drawn[i].clone());
            }
        }
        Ok((rewards, finalists))
    }

    async fn line(lane: Lane, settings: &Settings) -> Result<Outcome> {
        let (seed, chains) = (lane.seed, Chains::new()?);
        let mut models: Vec<Ticket<Net>> = Vec::new();
        for (source, name) in SOURCES {
            let (shape, classes) =
                if source == Source::Shapes { ([1, SIDE, SIDE], 3) } else { ([1, 8, 8], 10) };
            for (i, net) in NETS.iter().enumerate() {
                let graph = graph(i, &shape, classes)?;
                let mut task = settings.net(format!("{net} on {name}"), graph, (seed, name));
                task.data.0 = source;
                task.sweep = true;
                if (source, i) != (Source::Digits, 2) {
                    task.pgd.1.clear();
                }
                models.push(lane.spawn(&task));
            }
        }
        // From the same fresh weights as the undefended one.
        let mut task = settings.net("regularised".into(), graph(2, &[1, 8, 8], 10)?, (seed, SOURCES[0].1));
        task.entropy = settings.entropy;
        let regularised = lane.spawn(&task);
        let mut rng = Rng::stream(seed, "random architectures");
        let genes = chains.space.genes(&chains.config);
        let mut random = Vec::new();
        for i in 0..RANDOM {
            let graph = chains.graph(&space::sample(&genes, &mut rng))?;
            let name = format!("random {i}");
            random.push(lane.spawn(&settings.net(name.clone(), graph, (seed, &name))));
        }
        let (rewards, finalists) = search(&lane, settings, &chains, seed).await?;
        lane.progress(1, format!("seed {seed}: the search"));
        // Of the finalists, trained to the end, the one that does best on attacked validation images.
        let mut searched: Option<(f64, Net)> = None;
        let mut tickets = Vec::new();
        for (i, genome) in finalists.iter().enumerate() {
            let name = format!("finalist {i}");
            let task = settings.net(name.clone(), chains.graph(genome)?, (seed, &name));
            let mut judged = task.clone();
            judged.pgd = (settings.steps, vec![settings.size], Split::Validation);
            tickets.push((lane.spawn(&judged), lane.spawn(&task)));
        }
        for (judged, net) in tickets {
            let error = judged.await?.errors.last().copied().unwrap_or(1.0);
            let net = net.await?;
            if searched.as_ref().is_none_or(|(least, _)| error < *least) {
                searched = Some((error, net));
            }
        }
        let (_, searched) = searched.ok_or_else(|| Error::Unsupported("nothing was searched for".into()))?;
        let mut outcome =
            Outcome { models: vec![], regularised: regularised.await?, searched, random: vec![], rewards };
        for ticket in models {
            outcome.models.push(ticket.await?);
        }
        for ticket in random {
            outcome.random.push(ticket.await?);
        }
        lane.progress(2, format!("seed {seed}: the power law"));
        Ok(outcome)
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let settings = Settings {
            samples: study.count("samples") as u32,
            epochs: study.count("epochs") as u32,
            steps: study.count("steps") as u32,
            size: study.float("size") as f32,
            entropy: study.float("entropy") as f32,
            batches: study.count("batches"),
            children: study.count("children"),
            brief: study.count("brief") as u32,
            rate: study.float("rate"),
        };
        let title = "How errors grow with the size of a perturbation".to_owned();
        let outcomes = study.compare(title, &[()], 2, |lane, ()| line(lane, &settings)).await?;
        let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
        let mut claim = Claim::default();
        let law = report_law(&study, &outcomes, &mut claim)?;
        let defences = report_defences(&study, &settings, &outcomes, &mut claim)?;
        study.conclude(claim, format!("{law} {defences}"), "Every network was attacked.");
        Ok(())
    }

    const UNDEFENDED: usize = 2;
    const ATTACKS: [&str; 3] = ["FGSM", "least likely class", "PGD"];

    /// The name of a model by its place.
    fn name(i: usize) -> String {
        format!("{}, {}", SOURCES[i / NETS.len()].1, NETS[i % NETS.len()])
    }

    fn report_law(study: &Study, outcomes: &[Outcome], claim: &mut Claim) -> Result<String> {
        let count = SOURCES.len() * NETS.len();
        let mut rows = Vec::new();
        // By attack, then by model, then by seed; 0 where nothing could be fitted.
        let mut exponents = vec![vec![Vec::new(); count]; ATTACKS.len()];
        for i in 0..count {
            let (mut right, mut spread, mut forecast) = (Vec::new(), Vec::new(), Vec::new());
            for outcome in outcomes {
                let net = &outcome.models[i];
                for (attack, by_model) in exponents.iter_mut().enumerate() {
                    by_model[i].push(net.exponent(attack).unwrap_or(0.0));
                }
                right.push(test_accuracy(&net.trained));
                spread.extend(net.spread());
                let top = small(&net.added[0]).last().copied();
                let last = net.added[0].iter().find(|(s, _)| Some(*s) == top);
                forecast.extend(last.map(|(s, a)| predicted(&net.images, *s) / a));
            }
            let mut row = vec![name(i), percent(mean(&right))];
            row.extend(exponents.iter().map(|by_model| format!("{:.2}", mean(&by_model[i]))));
            row.push(format!("{:.2}", mean(&spread)));
            row.push(format!("{:.2}", mean(&forecast)));
            rows.push(row);
        }
        let columns = [
            "model",
            "test accuracy",
            "exponent, FGSM",
            "least likely class",
            "PGD",
            "exponent of the distribution of logit differences",
            "predicted by logit differences, in parts of what FGSM added",
        ];
        study.table("Exponents of the added error where it is small, means over seeds", &columns, rows);
        if let Some(first) = outcomes.first() {
            draw_law(study, first)?;
        }
        let middle = (EXPONENTS.0 + EXPONENTS.1) / 2.0;
        let mut told = Vec::new();
        for (attack, by_model) in ATTACKS.iter().zip(&exponents) {
            let means: Vec<f64> = by_model.iter().map(|e| mean(e)).collect();
            let apart = |i: usize| (means[i] - middle).abs();
            let furthest = (0..count).fold(0, |f, i| if apart(i) > apart(f) { i } else { f });
            claim.within(
                format!("{attack}: exponents of all {count} models between 0.8 and 1.3"),
                &by_model[furthest],
                &vec![middle; outcomes.len()],
                middle - EXPONENTS.0,
            );
            let (least, most) = means.iter().fold((f64::INFINITY, 0f64), |(a, b), m| (a.min(*m), b.max(*m)));
            told.push(format!("{least:.2} to {most:.2} ({attack})"));
        }
        Ok(format!(
            "Over {count} models the added error grows with the size of the perturbation to the power {}.",
            told.join(", ")
        ))
    }

    /// Both axes as logarithms to the base 10.
    fn logarithms(curve: &Curve) -> Curve {
        let there = curve.iter().filter(|(s, a)| *s > 0.0 && *a > 0.0);
        there.map(|(s, a)| (s.log10(), a.log10())).collect()
    }

    fn draw_law(study: &Study, outcome: &Outcome) -> Result<()> {
        let axes = ["log₁₀ of the perturbation's size", "log₁₀ of the added error"];
        let tones = [Tone::Baseline, Tone::Quantize, Tone::Grow];
        for (i, net) in outcome.models.iter().enumerate() {
            let chart = format!("Added error, FGSM: {}", SOURCES[i / NETS.len()].1);
            let of = i % NETS.len();
            study.series(&chart, NETS[of], tones[of], axes, logarithms(&net.added[0]));
            study.network(SOURCES[i / NETS.len()].1, &name(i), tones[of], &net.trained, i == UNDEFENDED)?;
        }
        let net = &outcome.models[UNDEFENDED];
        let chart = "Added error of three attacks: digits, CNN";
        for ((attack, tone), curve) in
            ATTACKS.iter().zip([Tone::Grow, Tone::Quantize, Tone::Prune]).zip(&net.added)
        {
            study.series(chart, attack, tone, axes, logarithms(curve));
        }
        let line = net.added[0].iter().map(|(s, _)| (*s, predicted(&net.images, *s))).collect();
        study.series(chart, "FGSM, predicted by logit differences", Tone::Baseline, axes, logarithms(&line));
        for (source, (_, what)) in SOURCES.iter().enumerate() {
            let images = &outcome.models[source * NETS.len() + 2].images;
            let all = leads(images);
            // What is near 0: the smaller half.
            let top = all.get(all.len() / 2).map_or(1.0, |(lead, _)| *lead);
            let near: Vec<f64> = all.iter().map(|(lead, _)| *lead).filter(|l| *l < top).collect();
            study.histogram("Difference of the two largest logits near 0, CNN", what, Tone::Grow, &near, top);
        }
        Ok(())
    }

    fn report_defences(
        study: &Study,
        settings: &Settings,
        outcomes: &[Outcome],
        claim: &mut Claim,
    ) -> Result<String> {
        let at = |net: &Net| net.errors.get(WHOLE + 1).copied().unwrap_or(1.0);
        let each = |f: &dyn Fn(&Outcome) -> f64| outcomes.iter().map(f).collect::<Vec<f64>>();
        let of_random =
            |o: &Outcome, f: &dyn Fn(&Net) -> f64| mean(&o.random.iter().map(f).collect::<Vec<_>>());
        let undefended = each(&|o| at(&o.models[UNDEFENDED]));
        let regularised = each(&|o| at(&o.regularised));
        let searched = each(&|o| at(&o.searched));
        let random = each(&|o| of_random(o, &at));
        let mut rows = Vec::new();
        for (i, (o, seed)) in outcomes.iter().zip(study.seeds()).enumerate() {
            let nets = [
                ("undefended", Tone::Baseline, &o.models[UNDEFENDED]),
                ("entropy regulariser", Tone::Quantize, &o.regularised),
                ("searched", Tone::Grow, &o.searched),
            ];
            let random = o.random.iter().map(|net| ("random architectures", Tone::Prune, net));
            for (n, (name, tone, net)) in nets.into_iter().chain(random).enumerate() {
                // The undefended one is among the models already.
                if n > 0 {
                    study.network(
                        name,
                        &format!("{name}, seed {seed}"),
                        tone,
                        &net.trained,
                        i == 0 && n < 3,
                    )?;
                }
                rows.push(vec![
                    seed.to_string(),
                    name.to_owned(),
                    net.trained.model.graph.name.clone(),
                    net.trained.model.graph.trainable_params().to_string(),
                    percent(test_accuracy(&net.trained)),
                    percent(at(net)),
                ]);
                if i == 0 && n < 4 {
                    let sizes = [0.0].into_iter().chain(PARTS.iter().map(|p| f64::from(p * settings.size)));
                    let axes = ["size of the perturbation", "error under PGD"];
                    let points = sizes.zip(net.errors.iter().copied()).collect();
                    study.series("Error under PGD on test digits", name, tone, axes, points);
                }
            }
            if i == 0 {
                let batches = (1..).zip(o.rewards.chunks(settings.children.max(1)));
                let points = batches.map(|(b, r)| (f64::from(b), mean(r))).collect();
                let axes = ["batch", "mean accuracy under PGD"];
                study.series("What the policy's architectures earn", "REINFORCE", Tone::Grow, axes, points);
            }
        }
        let under = format!("error under PGD of {}", settings.size);
        let columns = ["seed", "group", "network", "parameters", "test accuracy", under.as_str()];
        study.table("Defences", &columns, rows);
        let entropy =
            claim.better("error under PGD: undefended > entropy regulariser", &undefended, &regularised);
        let against = claim.better("error under PGD: random architectures > searched", &random, &searched);
        let without = claim.better("error under PGD: undefended > searched", &undefended, &searched);
        let learned = each(&|o| {
            let n = settings.children;
            mean(&o.rewards[o.rewards.len().saturating_sub(n)..]) - mean(&o.rewards[..n.min(o.rewards.len())])
        });
        Ok(format!(
            "Under PGD of size {} the undefended network is wrong on {} of test digits, with the entropy regulariser on {} ({} less), the searched one on {} ({} less than undefended, {} less than random architectures). From the first to the last batch the policy's architectures gain {:.1} points.",
            settings.size,
            percent(mean(&undefended)),
            percent(mean(&regularised)),
            entropy.points(),
            percent(mean(&searched)),
            without.points(),
            against.points(),
            100.0 * mean(&learned),
        ))
    }
}
