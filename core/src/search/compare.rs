//! The run kind `compare`: strategies side by side on the same space, budget, seeds and data.
//!
//! What makes a comparison fair is what Lindauer and Hutter ask for ("Best Practices for Scientific Research on
//! Neural Architecture Search", JMLR 2020, arXiv:1909.02453): the same space and training for all, random search
//! among them, budgets counted in what they cost, several seeds, and the test split touched once, by what was
//! chosen on validation. Training costs MACs; a table costs evaluations.

use crate::params::ParamSpec;
use std::sync::LazyLock;

/// Settings of a search that a comparison sets itself or does without.
pub(super) const OWN: [&str; 7] =
    ["strategy", "budget", "budget.macs", "final.models", "final.epochs", "final.smoothing", "final.shift"];

/// The comparison's own settings.
static SPECS: &[ParamSpec] = &[
    ParamSpec::choice(
        "compare.by",
        "Judged by",
        &[("training", "training them here"), ("table", "NAS-Bench-201's table")],
        "training",
        "Where a network's accuracy comes from; the table is a file that you drop in.",
    ),
    ParamSpec::int("compare.seeds", "Seeds", 2, 20, 5, "How often each strategy searches, where it trains."),
    ParamSpec::float(
        "compare.macs",
        "Training budget",
        0.05,
        1000.0,
        2.0,
        "Billions of multiply-accumulates that each search may spend on training.",
    )
    .unit("GMACs")
    .log(),
    ParamSpec::int("compare.replays", "Replays", 2, 2000, 400, "How often each strategy searches the table."),
    ParamSpec::int(
        "compare.evaluations",
        "Evaluations",
        10,
        1000,
        100,
        "How many networks each search looks up in the table.",
    ),
];

/// Whether a strategy takes part, as settings: two do by default.
static STRATEGIES: LazyLock<Vec<ParamSpec>> = LazyLock::new(|| {
    let each = super::ALL.iter().map(|s| {
        // Once, for as long as the program runs, as every other setting's key.
        let key: &'static str = format!("compare.{}", s.method.id).leak();
        let default = ["evolution", "random"].contains(&s.method.id);
        ParamSpec::bool(key, s.method.name, default, s.method.sentence)
    });
    each.collect()
});

/// Every setting: the strategies, the comparison's own, and what every search shares.
pub fn specs() -> Vec<ParamSpec> {
    let shared = super::specs().into_iter().filter(|s| !OWN.contains(&s.key));
    STRATEGIES.iter().chain(SPECS).copied().chain(shared).collect()
}

#[cfg(feature = "compute")]
pub use run::KIND;

#[cfg(feature = "compute")]
mod run {
    use super::super::replay::{Replay, ReplayTask};
    use super::super::run::{DescribeTask, Described, Training};
    use super::super::session::NO_WEIGHTS;
    use super::super::significance::{Comparison, mean_deviation};
    use super::super::{ALL, Scored, Session, Settings, Strategy, Trains, session};
    use super::{OWN, specs};
    use crate::data::Split;
    use crate::order::Order;
    use crate::params::{Config, ParamSpec, ParamValue};
    use crate::protocol::{Event, Metric, RunSpec, Tone};
    use crate::rng::Rng;
    use crate::run::{RunCtx, RunKind};
    use crate::train::evaluate::EvaluateTask;
    use crate::{Error, Result};
    use std::cell::RefCell;
    use std::rc::Rc;

    /// The run kind.
    pub const KIND: RunKind = RunKind { id: "compare", start: |spec, ctx| Box::pin(start(spec, ctx)) };

    /// Points of a drawn curve.
    const GRID: usize = 80;
    /// Replays in one job.
    const CHUNK: u32 = 50;

    /// Test accuracy on CIFAR-10 at about 75 evaluations, mean and standard deviation in percent, of NAS-Bench-201's
    /// paper (Dong and Yang, ICLR 2020, table 5).
    const PUBLISHED: [(&str, &str); 3] =
        [("evolution", "93.92 ± 0.30"), ("random", "93.70 ± 0.36"), ("reinforce", "93.85 ± 0.37")];

    /// One search: what it had after each step, and what it ended with, in percent.
    struct Outcome {
        /// What was spent, and the best so far.
        curve: Vec<(f64, f64)>,
        /// Validation and test accuracy of what it chose.
        chosen: (f64, f64),
        evaluations: usize,
    }

    /// Which of the strategies and which of all searches.
    #[derive(Clone, Copy)]
    struct Place {
        which: usize,
        lane: u32,
        lanes: u32,
    }

    /// How the comparison is drawn and told.
    struct Axes {
        x: &'static str,
        y: &'static str,
        chart: &'static str,
        /// Where every curve ends.
        end: f64,
    }

    fn tone(index: usize) -> Tone {
        [Tone::Grow, Tone::Prune, Tone::Quantize, Tone::Baseline][index % 4]
    }

    async fn start(spec: RunSpec, ctx: RunCtx) -> Result<()> {
        let specs = specs();
        spec.config.check(&specs)?;
        let of = |key: &str| spec.config.bool(&specs, &format!("compare.{key}"));
        let chosen: Vec<&'static Strategy> = ALL.iter().filter(|s| of(s.method.id)).collect();
        if chosen.len() < 2 {
            return Err(Error::config(
                "compare.random",
                "a comparison takes at least two strategies; tick another",
            ));
        }
        let names: Vec<&str> = chosen.iter().map(|s| s.method.name).collect();
        let tabular = spec.config.text(&specs, "compare.by") == "table";
        let training = chosen.iter().find(|s| s.trains != Trains::Candidates);
        if let Some(training) = training.filter(|_| tabular) {
            return Err(Error::config(
                format!("compare.{}", training.method.id),
                format!("{}: {NO_WEIGHTS}", training.method.name),
            ));
        }
        let (axes, outcomes) = match spec.config.text(&specs, "compare.by").as_str() {
            "table" => by_table(&spec, &specs, &ctx, &chosen).await?,
            _ => by_training(&spec, &specs, &ctx, &chosen).await?,
        };
        draw(&ctx, &axes, &names, &outcomes);
        conclude(&ctx, &chosen, &outcomes, tabular, spec.seed);
        Ok(())
    }

    /// The settings of one search of the comparison.
    fn settings(config: &Config, strategy: &Strategy, own: &[(&str, ParamValue)]) -> Result<Settings> {
        let mut inner = Config::default().with("strategy", ParamValue::Text(strategy.method.id.into()));
        for (key, value) in &config.0 {
            if !key.starts_with("compare.") && !OWN.contains(&key.as_str()) {
                inner.0.insert(key.clone(), value.clone());
            }
        }
        for (key, value) in own {
            inner.0.insert((*key).into(), value.clone());
        }
        Settings::new(inner)
    }

    async fn by_training(
        spec: &RunSpec,
        specs: &[ParamSpec],
        ctx: &RunCtx,
        chosen: &[&'static Strategy],
    ) -> Result<(Axes, Vec<Vec<Outcome>>)> {
        let seeds = spec.config.count(specs, "compare.seeds").max(2);
        let giga = spec.config.float(specs, "compare.macs");
        let lanes = seeds * chosen.len();
        ctx.emit(Event::Started {
            title: format!(
                "{} strategies on {}, {seeds} seeds each, {giga} GMACs of training a search",
                chosen.len(),
                spec.data
            ),
            steps: Some(100 * lanes as u32),
        });
        let described = ctx.spawn(&DescribeTask { data: spec.data.clone() }).await?;
        let searched = ctx
            .side_by_side(lanes, |lane, ctx| {
                let (strategy, seed) =
                    (chosen[lane % chosen.len()], spec.seed.wrapping_add((lane / chosen.len()) as u64));
                let own = [("budget.macs", ParamValue::Float(giga)), ("budget", ParamValue::Int(500))];
                let settings = settings(&spec.config, strategy, &own);
                let (described, data) = (described.clone(), spec.data.clone());
                let place = Place { which: lane % chosen.len(), lane: lane as u32, lanes: lanes as u32 };
                async move { search(&ctx, strategy, settings?, &data, seed, described, place, giga).await }
            })
            .await?;
        let axes = Axes {
            x: "Training MACs (billions)",
            y: "Best validation accuracy (%)",
            chart: "Best so far",
            end: giga,
        };
        Ok((axes, by_strategy(searched, chosen.len())))
    }

    /// What came of lanes, by strategy, then by seed.
    fn by_strategy<T>(lanes: Vec<T>, strategies: usize) -> Vec<Vec<T>> {
        let mut by: Vec<Vec<T>> = (0..strategies).map(|_| Vec::new()).collect();
        lanes.into_iter().enumerate().for_each(|(lane, outcome)| by[lane % strategies].push(outcome));
        by
    }

    /// One search by training, and the test accuracy of what it chose.
    #[expect(clippy::too_many_arguments, reason = "one lane of the comparison")]
    async fn search(
        ctx: &RunCtx,
        strategy: &'static Strategy,
        settings: Settings,
        data: &str,
        seed: u64,
        described: Described,
        Place { which, lane, lanes }: Place,
        giga: f64,
    ) -> Result<Outcome> {
        let training = Training::new(ctx.clone(), settings.clone(), data.into(), seed, described).await?;
        let curve = RefCell::new(Vec::new());
        let name = strategy.method.name;
        let observer = |session: &Session<'_>, scored: &Rc<Scored>| {
            let spent = training.spent() as f64 / 1e9;
            let best =
                session::best(&session.latest()).map_or(0.0, |b| 100.0 * b.metric(Metric::ValAccuracy));
            curve.borrow_mut().push((spent, best));
            ctx.emit(Event::Point {
                group: name.into(),
                tone: tone(which),
                // Numbers of their own for every lane.
                id: scored.candidate.id * lanes + lane,
                label: format!("{name}, seed {seed}, #{} {}", scored.candidate.id, scored.candidate.label),
                metrics: scored.metrics.clone(),
                parents: Vec::new(),
            });
            let percent = (100.0 * (spent / giga).min(1.0)) as u32;
            let label = format!("{name}, seed {seed}: {spent:.2} GMACs");
            ctx.emit(Event::Progress { done: 100 * lane + percent, total: 100 * lanes, label });
        };
        let tell = |event: Event| {
            if let Event::Log(text) = event {
                ctx.log(format!("{name}, seed {seed}: {text}"));
            }
        };
        let session = Session::new(&settings, seed, &training, &observer, &tell)?;
        (strategy.run)(&session).await?;
        let latest = session.latest();
        let nothing = || {
            Error::config(
                "limit.params",
                "no network of this space fits the limits; raise them or choose another space",
            )
        };
        let best = session::best(&latest).ok_or_else(nothing)?;
        let model = training.model(best.candidate.id).ok_or_else(nothing)?;
        let evaluation = ctx
            .spawn(&EvaluateTask {
                label: format!("{name}, seed {seed}: its best on the test split"),
                model: Box::new(model),
                data: data.into(),
                split: Split::Test,
            })
            .await?;
        let test = 100.0 * f64::from(evaluation.accuracy);
        Ok(Outcome {
            curve: curve.take(),
            chosen: (100.0 * best.metric(Metric::ValAccuracy), test),
            evaluations: session.history().len(),
        })
    }

    async fn by_table(
        spec: &RunSpec,
        specs: &[ParamSpec],
        ctx: &RunCtx,
        chosen: &[&'static Strategy],
    ) -> Result<(Axes, Vec<Vec<Outcome>>)> {
        let replays = spec.config.count(specs, "compare.replays").max(2) as u32;
        let evaluations = spec.config.int(specs, "compare.evaluations");
        ctx.emit(Event::Started {
            title: format!(
                "{} strategies on the table {}, {replays} replays each, {evaluations} evaluations a search",
                chosen.len(),
                spec.data
            ),
            steps: Some(chosen.len() as u32 * replays),
        });
        let mut tickets = Vec::new();
        for strategy in chosen {
            let own = [
                ("space", ParamValue::Text("nb201".into())),
                ("budget", ParamValue::Int(evaluations)),
                // Beyond the table's 12 epochs: its full training.
                ("epochs", ParamValue::Int(100)),
                // One at a time, as published: a parent is chosen with every earlier child judged.
                ("lookahead", ParamValue::Int(1)),
                ("objective.accuracy", ParamValue::Bool(true)),
                ("objective.params", ParamValue::Bool(false)),
                ("limit.params", ParamValue::Int(10_000_000)),
            ];
            let config = settings(&spec.config, strategy, &own)?.config;
            for first in (0..replays).step_by(CHUNK as usize) {
                let count = CHUNK.min(replays - first);
                let seeds = (count, spec.seed.wrapping_add(u64::from(first)));
                let task = ReplayTask { table: spec.data.clone(), config: config.clone(), seeds };
                tickets.push((strategy.method.name, count, ctx.spawn(&task)));
            }
        }
        let (mut done, mut lanes) = (0, Vec::new());
        for (name, count, ticket) in tickets {
            lanes.push(ticket.await?.into_iter().map(outcome).collect::<Vec<_>>());
            done += count;
            let total = chosen.len() as u32 * replays;
            ctx.emit(Event::Progress { done, total, label: format!("{name} replayed") });
        }
        let per = lanes.len() / chosen.len();
        let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
        for (i, lane) in lanes.into_iter().enumerate() {
            match outcomes.get_mut(i / per.max(1)) {
                Some(of) => of.extend(lane),
                None => outcomes.push(lane),
            }
        }
        let axes = Axes {
            x: "Evaluations",
            y: "Test accuracy of the best on validation (%)",
            chart: "Best so far",
            end: evaluations as f64,
        };
        Ok((axes, outcomes))
    }

    fn outcome(replay: Replay) -> Outcome {
        let curve = replay.iter().zip(1u32..).map(|((_, test), i)| (f64::from(i), f64::from(*test)));
        let (val, test) = replay.last().copied().unwrap_or((f32::NAN, f32::NAN));
        Outcome {
            curve: curve.collect(),
            chosen: (f64::from(val), f64::from(test)),
            evaluations: replay.len(),
        }
    }

    /// The curves' mean with a band of one standard deviation. They begin where every search has found something, and
    /// not before a tenth of the budget: what the first draws are worth is luck, and would hide all that follows.
    fn draw(ctx: &RunCtx, axes: &Axes, names: &[&str], outcomes: &[Vec<Outcome>]) {
        for (i, (name, searches)) in names.iter().zip(outcomes).enumerate() {
            let first = |o: &Outcome| o.curve.first().map_or(axes.end, |p| p.0);
            let from = searches.iter().map(first).fold(0.1 * axes.end, f64::max);
            let (mut points, mut band) = (Vec::new(), Vec::new());
            for step in 0..=GRID {
                let x = from + (axes.end - from) * step as f64 / GRID as f64;
                let at = |o: &Outcome| o.curve.iter().take_while(|p| p.0 <= x + 1e-9).last().map(|p| p.1);
                let values: Vec<f64> = searches.iter().filter_map(at).collect();
                if values.len() == searches.len() {
                    let (mean, deviation) = mean_deviation(&values);
                    points.push((x, mean));
                    // Nothing is more than all or less than none.
                    band.push((x, (mean - deviation).max(0.0), (mean + deviation).min(100.0)));
                }
            }
            let chart = axes.chart.to_owned();
            let line = (*name).to_owned();
            ctx.emit(Event::Series {
                chart: chart.clone(),
                line: line.clone(),
                tone: tone(i),
                x_label: axes.x.into(),
                y_label: axes.y.into(),
                points,
            });
            ctx.emit(Event::Band { chart, line, points: band });
        }
    }

    /// The table, and in words what is more than luck.
    fn conclude(
        ctx: &RunCtx,
        chosen: &[&'static Strategy],
        outcomes: &[Vec<Outcome>],
        by_table: bool,
        seed: u64,
    ) {
        let told = |values: Vec<f64>| {
            let (mean, deviation) = mean_deviation(&values);
            format!("{mean:.2} ± {deviation:.2}")
        };
        let tests = |searches: &[Outcome]| searches.iter().map(|o| o.chosen.1).collect::<Vec<f64>>();
        let mean = |searches: &[Outcome]| mean_deviation(&tests(searches)).0;
        let rows = chosen.iter().zip(outcomes).map(|(strategy, searches)| {
            let evaluations: Vec<f64> = searches.iter().map(|o| o.evaluations as f64).collect();
            let mut row = vec![
                strategy.method.name.to_owned(),
                searches.len().to_string(),
                format!("{:.0}", mean_deviation(&evaluations).0),
                told(searches.iter().map(|o| o.chosen.0).collect()),
                told(tests(searches)),
            ];
            if by_table {
                let published = PUBLISHED.iter().find(|(id, _)| *id == strategy.method.id);
                row.push(published.map_or("–", |(_, told)| told).into());
            }
            row
        });
        let mut columns =
            vec!["Strategy", "Searches", "Evaluations", "Validation accuracy (%)", "Test accuracy (%)"];
        if by_table {
            columns.push("Published, test (%)");
        }
        ctx.emit(Event::Table {
            title: "What they end with".into(),
            columns: columns.into_iter().map(str::to_owned).collect(),
            rows: rows.collect(),
        });
        // The best against every other, the closest first.
        let mut order: Vec<usize> = (0..chosen.len()).collect();
        order.order_by(|a, b| mean(&outcomes[*b]).total_cmp(&mean(&outcomes[*a])));
        let Some((best, others)) = order.split_first() else { return };
        let mut rng = Rng::stream(seed, "significance");
        let compared = others.iter().map(|i| {
            let pairs: Vec<(f64, f64)> =
                tests(&outcomes[*best]).into_iter().zip(tests(&outcomes[*i])).collect();
            (chosen[*i].method.name, Comparison::new(&pairs, &mut rng))
        });
        let compared: Vec<_> = compared.collect();
        let first = chosen[*best].method.name;
        let rows = compared.iter().map(|(name, c)| {
            let difference = format!("{:+.2} ± {:.2}", c.difference, c.error);
            vec![(*name).to_owned(), difference, c.p_value(), c.meaning()]
        });
        ctx.emit(Event::Table {
            title: format!("Is {first} ahead by more than luck?"),
            columns: ["Against", "Points ahead", "Paired permutation test", "What it means"]
                .map(str::to_owned)
                .into(),
            rows: rows.collect(),
        });
        if let Some((name, closest)) = compared.first() {
            ctx.emit(Event::Finished(closest.sentence(first, name)));
        }
    }
}
