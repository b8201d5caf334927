//! The run kind `why`: what each choice of a network contributes, measured by swapping it.
//!
//! A one-at-a-time ablation: every network that differs from the one in question in a single choice is trained as it
//! was, from the same seeds, and the difference is what the choice gives. Choices that only work together show up as
//! large contributions of each; what two of them do jointly is not told apart.

use super::compare::OWN;
use crate::params::ParamSpec;

/// The run's own settings.
static SPECS: &[ParamSpec] = &[
    ParamSpec::words(
        "why.choices",
        "The network's choices",
        "",
        400,
        "The option chosen at each gene of the space, counted from 0; “Why this one?” in the search fills it in.",
    ),
    ParamSpec::int("why.seeds", "Seeds", 1, 10, 2, "From how many seeds each network trains."),
    ParamSpec::int(
        "why.most",
        "Networks",
        2,
        200,
        32,
        "How many networks are trained at most, on each seed.",
    ),
];

/// Every setting: its own and what every search shares.
pub fn specs() -> Vec<ParamSpec> {
    let of_a_strategy = |key: &str| super::ALL.iter().any(|s| s.method.params.iter().any(|p| p.key == key));
    let shared = super::specs().into_iter().filter(|s| !OWN.contains(&s.key) && !of_a_strategy(s.key));
    SPECS
        .iter()
        .copied()
        .chain(shared.filter(|s| s.key != "lookahead" && s.key != "initial.params"))
        .collect()
}

#[cfg(feature = "compute")]
pub use run::KIND;

#[cfg(feature = "compute")]
mod run {
    use super::super::Settings;
    use super::super::run::{DescribeTask, costs, train_config};
    use super::super::significance::mean_deviation;
    use super::specs;
    use crate::model::Graph;
    use crate::order::Order;
    use crate::params::Config;
    use crate::protocol::{Event, Metric, Metrics, RunSpec, Tone};
    use crate::run::{RunCtx, RunKind};
    use crate::space::{self, Gene, Genome};
    use crate::train::{Start, TrainTask, Trained};
    use crate::{Error, Result};
    use std::collections::BTreeSet;

    /// The run kind.
    pub const KIND: RunKind = RunKind { id: "why", start: |spec, ctx| Box::pin(start(spec, ctx)) };

    /// A network that differs in one choice.
    struct Swap {
        gene: usize,
        option: usize,
        graph: Graph,
    }

    /// Choices as they are written: "3-1-0".
    fn read(text: &str, genes: &[Gene]) -> Result<Genome> {
        let wrong = |message: String| Error::config("why.choices", message);
        if text.trim().is_empty() {
            return Err(wrong("pick a candidate of the search and ask “Why this one?”".into()));
        }
        let numbers = text.trim().split('-').map(|n| n.trim().parse::<u8>());
        let genome = numbers.collect::<std::result::Result<Vec<u8>, _>>().map(Genome);
        let genome =
            genome.map_err(|_| wrong(format!("“{text}” is not a list of numbers with dashes between")))?;
        space::check(genes, &genome).map_err(|e| wrong(format!("it is no network of this space: {e}")))?;
        Ok(genome)
    }

    /// One other option of every gene, then another of each, as long as `most` allows: the nearest options first.
    /// What is no network, or the same one, is left out.
    fn swaps(
        genes: &[Gene],
        genome: &Genome,
        base: &Graph,
        most: usize,
        build: impl Fn(&Genome) -> Result<Graph>,
    ) -> Vec<Swap> {
        let mut known = BTreeSet::from([base.fingerprint()]);
        let mut swaps = Vec::new();
        let others = |gene: usize| {
            let chosen = genome.at(gene);
            let mut others: Vec<usize> = (0..genes[gene].options.len()).filter(|o| *o != chosen).collect();
            others.order_by_key(|o| (o.abs_diff(chosen), *o));
            others
        };
        let widest = genes.iter().map(|g| g.options.len()).max().unwrap_or(0);
        for round in 0..widest {
            for gene in 0..genes.len() {
                let Some(option) = others(gene).get(round).copied() else { continue };
                let mut other = genome.clone();
                other.0[gene] = option as u8;
                let Ok(graph) = build(&other) else { continue };
                if swaps.len() < most && known.insert(graph.fingerprint()) {
                    swaps.push(Swap { gene, option, graph });
                }
            }
        }
        swaps
    }

    async fn start(spec: RunSpec, ctx: RunCtx) -> Result<()> {
        let specs = specs();
        spec.config.check(&specs)?;
        let mut inner = Config::default();
        for (key, value) in spec.config.0.iter().filter(|(key, _)| !key.starts_with("why.")) {
            inner.0.insert(key.clone(), value.clone());
        }
        let settings = Settings::new(inner)?;
        let id = settings.text("space");
        let space =
            space::get(&id).ok_or_else(|| Error::config("space", format!("there is no space “{id}”")))?;
        let genes = space.genes(&settings.config);
        let genome = read(&spec.config.text(&specs, "why.choices"), &genes)?;
        let label = space.label(&settings.config, &genome);
        let seeds = spec.config.count(&specs, "why.seeds").max(1);
        let most = spec.config.count(&specs, "why.most").max(2) - 1;
        ctx.emit(Event::Started { title: format!("Why {label}? Each of its choices, swapped"), steps: None });

        let described = ctx.spawn(&DescribeTask { data: spec.data.clone() }).await?;
        let build = |genome: &Genome| {
            let genome = space.canonical(&settings.config, genome);
            space.graph(&settings.config, &genome, &described.shape, described.classes)
        };
        let base = build(&genome)?;
        let swaps = swaps(&genes, &genome, &base, most, build);
        if swaps.is_empty() {
            return Err(Error::Unsupported("no choice of this network can be swapped for another".into()));
        }
        let mut networks = vec![(label.clone(), base)];
        for swap in &swaps {
            let words = format!("{}: {}", genes[swap.gene].name, genes[swap.gene].options[swap.option]);
            networks.push((words, swap.graph.clone()));
        }
        let accuracies = train(&ctx, &spec, &settings, &networks, seeds).await?;
        tell(&ctx, &genes, &genome, &label, &swaps, &networks, &accuracies)
    }

    /// Validation accuracy in percent of every network from every seed.
    async fn train(
        ctx: &RunCtx,
        spec: &RunSpec,
        settings: &Settings,
        networks: &[(String, Graph)],
        seeds: usize,
    ) -> Result<Vec<Vec<f64>>> {
        let mut tickets = Vec::new();
        for (words, graph) in networks {
            for seed in 0..seeds as u64 {
                let task = TrainTask {
                    label: words.clone(),
                    start: Start::Fresh(graph.clone()),
                    data: spec.data.clone(),
                    config: train_config(settings, settings.count("epochs") as u32, false),
                    seed: spec.seed.wrapping_add(seed),
                    test: false,
                };
                tickets.push(ctx.spawn(&task));
            }
        }
        let (mut accuracies, mut done, total) = (Vec::new(), 0, tickets.len() as u32);
        let mut tickets = tickets.into_iter();
        for (i, (words, graph)) in networks.iter().enumerate() {
            let mut of = Vec::new();
            for ticket in tickets.by_ref().take(seeds) {
                let trained: Trained = ticket.await?;
                of.push(100.0 * f64::from(trained.val_accuracy));
                done += 1;
                ctx.emit(Event::Progress { done, total, label: words.clone() });
            }
            let mut metrics: Metrics = vec![(Metric::ValAccuracy, mean_deviation(&of).0 / 100.0)];
            metrics.extend(costs(graph)?);
            let (group, tone) =
                if i == 0 { ("As it is", Tone::Grow) } else { ("One choice swapped", Tone::Baseline) };
            ctx.emit(Event::graph(i as u32, graph.clone()));
            ctx.emit(Event::Point {
                group: group.into(),
                tone,
                id: i as u32,
                label: words.clone(),
                metrics,
                parents: Vec::new(),
            });
            accuracies.push(of);
        }
        Ok(accuracies)
    }

    /// What a gene's choice gives.
    struct Contribution {
        gene: usize,
        others: Vec<String>,
        /// Points of accuracy by which it is better than each other option, on each seed.
        points: Vec<f64>,
        params: Vec<f64>,
        macs: Vec<f64>,
    }

    fn tell(
        ctx: &RunCtx,
        genes: &[Gene],
        genome: &Genome,
        label: &str,
        swaps: &[Swap],
        networks: &[(String, Graph)],
        accuracies: &[Vec<f64>],
    ) -> Result<()> {
        let value =
            |costs: &Metrics, metric| costs.iter().find(|(m, _)| *m == metric).map_or(0.0, |(_, v)| *v);
        let base = costs(&networks[0].1)?;
        let mut all: Vec<Contribution> = Vec::new();
        for (i, swap) in swaps.iter().enumerate() {
            let at = all.iter().position(|c| c.gene == swap.gene).unwrap_or_else(|| {
                let [points, params, macs] = [const { Vec::new() }; 3];
                all.push(Contribution { gene: swap.gene, others: Vec::new(), points, params, macs });
                all.len() - 1
            });
            let other = costs(&swap.graph)?;
            let entry = &mut all[at];
            entry.others.push(genes[swap.gene].options[swap.option].clone());
            entry.points.extend(accuracies[0].iter().zip(&accuracies[i + 1]).map(|(a, b)| a - b));
            entry.params.push(value(&base, Metric::Params) - value(&other, Metric::Params));
            entry.macs.push(value(&base, Metric::Macs) - value(&other, Metric::Macs));
        }
        let gives = |c: &Contribution| mean_deviation(&c.points);
        all.order_by(|a, b| gives(b).0.total_cmp(&gives(a).0));
        let rows = all.iter().map(|c| {
            let (mean, deviation) = gives(c);
            vec![
                genes[c.gene].name.clone(),
                genes[c.gene].options[genome.at(c.gene)].clone(),
                c.others.join(", "),
                format!("{mean:+.1} ± {:.1}", deviation / (c.points.len() as f64).sqrt()),
                format!("{:+.0}", mean_deviation(&c.params).0),
                format!("{:+.0}", mean_deviation(&c.macs).0),
            ]
        });
        let columns =
            ["Choice", "It is", "Against", "Points it gives", "Parameters it costs", "MACs it costs"];
        ctx.emit(Event::Table {
            title: "What each choice contributes".into(),
            columns: columns.map(str::to_owned).into(),
            rows: rows.collect(),
        });
        let Some(first) = all.first() else { return Ok(()) };
        let name = |c: &Contribution| {
            format!("“{}: {}”", genes[c.gene].name, genes[c.gene].options[genome.at(c.gene)])
        };
        let most = match gives(first).0 {
            points if points > 0.0 => format!(
                "What matters most is {}: the other options that were tried lose {points:.1} points on average",
                name(first)
            ),
            _ => "No choice of it is better than what it was swapped for".to_owned(),
        };
        let worse = all.iter().filter(|c| gives(c).0 < 0.0).count();
        ctx.emit(Event::Finished(format!(
            "{label} reaches {:.1} % on the validation split. {most}. Of its {} choices, {worse} did worse than the options they were swapped for.",
            mean_deviation(&accuracies[0]).0,
            all.len(),
        )));
        Ok(())
    }
}
