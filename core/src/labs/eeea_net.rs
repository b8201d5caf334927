//! Termritthikun, Jamtsho, Ieamsaard, Muneesawang and Lee, "EEEA-Net: An Early Exit Evolutionary
//! Neural Architecture Search", Engineering Applications of Artificial Intelligence 104, 2021,
//! arXiv:2108.06156, doi:10.1016/j.engappai.2021.104397.
//!
//! Early-exit population initialisation: a genome of the first population with more parameters
//! than a threshold β is thrown away at once, before any training, and another is drawn in its
//! place. Then NSGA-II minimises error, parameters and MACs over NASNet-style cells; each candidate
//! trains for a short time. Beside it: the same NSGA-II without the filter, and random search, both
//! with as many candidates. All three are strategies of [`crate::search`]; the filter is that
//! module's setting `initial.params`, the cells are the space [`crate::space::nasnet_cell`].

use super::Lab;
use crate::params::ParamSpec;
use crate::registry::{Citation, Method};

const PARAMS: &[ParamSpec] = &[
    super::seeds("eeea-net.seeds", 1),
    ParamSpec::int(
        "eeea-net.beta",
        "Threshold β",
        200,
        100_000,
        2400,
        "Genomes of the first population with more parameters are drawn anew before any training; half of this space has more than 2,400.",
    )
    .unit("parameters"),
    ParamSpec::int("eeea-net.population", "Population", 2, 40, 6, "Members of a generation."),
    ParamSpec::int(
        "eeea-net.generations",
        "Generations",
        1,
        30,
        2,
        "Generations after the first; random search draws as many candidates in all.",
    ),
    ParamSpec::int(
        "eeea-net.epochs",
        "Epochs each",
        1,
        30,
        2,
        "How long a candidate trains before it is judged.",
    )
    .unit("epochs"),
    ParamSpec::int(
        "eeea-net.final",
        "Final epochs",
        1,
        100,
        12,
        "How long the best candidate of each search trains, from fresh weights, before it is tested.",
    )
    .unit("epochs"),
    ParamSpec::int(
        "eeea-net.channels",
        "Channels",
        2,
        32,
        6,
        "Channels of the first stage of every network.",
    )
    .unit("channels"),
];

/// The registry's entry.
pub static LAB: Lab = Lab {
    method: Method {
        id: "eeea-net",
        name: "EEEA-Net",
        sentence: "Evolution that starts from small networks: what is too large at first is drawn anew before it costs any training.",
        formula: "P₀ = {a ~ Uniform(A) : parameters(a) ≤ β};  then NSGA-II on (error, parameters, MACs)",
        citation: Citation {
            authors: "Termritthikun, Jamtsho, Ieamsaard, Muneesawang and Lee",
            title: "EEEA-Net: An Early Exit Evolutionary Neural Architecture Search",
            year: 2021,
            venue: "Engineering Applications of Artificial Intelligence 104, arXiv:2108.06156",
        },
        params: PARAMS,
    },
    family: "Search",
    mechanism: "A genome describes a normal and a reduction cell, wired from blocks of two operations. A genome of the first population whose network has more than β parameters is drawn anew at once, untrained. NSGA-II then breeds by crossover and mutation, trains every child for a few epochs and keeps what is best in error, parameters and MACs together.",
    baseline: "The same NSGA-II without the filter; random search; both with as many candidates.",
    claim: "Every network of the first population has at most β parameters; the search spends fewer training MACs than without the filter; the best network's test error, trained to the end, is at most 1 point higher.",
    breaks: "With β above the largest network the filter never acts, and both searches are the same; with β just above the smallest, only networks too weak for the task begin, and the error rises.",
    #[cfg(feature = "compute")]
    jobs: &[],
    #[cfg(feature = "compute")]
    start: |spec, ctx| super::study::start(&LAB, spec, ctx, run::run),
};

#[cfg(feature = "compute")]
mod run {
    use crate::labs::checks::{Claim, mean};
    use crate::labs::study::{Lane, Study, percent, test_accuracy};
    use crate::model::Anatomy;
    use crate::params::{Config, ParamValue};
    use crate::protocol::{Event, Metric, Tone};
    use crate::search::run::{DescribeTask, Described, Training, train_config};
    use crate::search::{self, Scored, Session, Settings, session};
    use crate::train::{Start, TrainTask, Trained};
    use crate::{Error, Result, rng};
    use std::cell::Cell;
    use std::rc::Rc;

    use super::PARAMS;

    /// Blocks of a cell: two, for the three searches to end within a minute.
    const BLOCKS: i64 = 2;

    /// The searches that run beside one another.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Arm {
        EarlyExit,
        Unfiltered,
        Random,
    }

    impl Arm {
        const ALL: [Self; 3] = [Self::EarlyExit, Self::Unfiltered, Self::Random];

        fn name(self) -> &'static str {
            match self {
                Self::EarlyExit => "EEEA-Net",
                Self::Unfiltered => "NSGA-II without the filter",
                Self::Random => "Random search",
            }
        }

        fn tone(self) -> Tone {
            if self == Self::EarlyExit { Tone::Grow } else { Tone::Baseline }
        }

        /// The settings of its search: the three differ in nothing else.
        fn settings(self, config: &Config) -> Result<Settings> {
            let get = |key: &str| config.int(PARAMS, &format!("eeea-net.{key}"));
            let int = |v: i64| ParamValue::Int(v);
            let budget = get("population") * (get("generations") + 1);
            if budget > 500 {
                return Err(Error::config(
                    "eeea-net.generations",
                    format!("{budget} candidates a search are too many; at most 500 are tried"),
                ));
            }
            let strategy = if self == Self::Random { "random" } else { "nsga2" };
            let beta = if self == Self::EarlyExit { get("beta") } else { 0 };
            Settings::new(
                Config::default()
                    .with("space", ParamValue::Text("nasnet-cell".into()))
                    .with("nasnet-cell.channels", int(get("channels")))
                    .with("nasnet-cell.blocks", int(BLOCKS))
                    .with("strategy", ParamValue::Text(strategy.into()))
                    .with("budget", int(budget))
                    .with("epochs", int(get("epochs")))
                    .with("objective.accuracy", ParamValue::Bool(true))
                    .with("objective.params", ParamValue::Bool(true))
                    .with("objective.macs", ParamValue::Bool(true))
                    .with("limit.params", int(10_000_000))
                    .with("limit.macs", int(1_000_000_000))
                    .with("initial.params", int(beta))
                    .with("nsga2.population", int(get("population"))),
            )
        }
    }

    /// What came of one search.
    struct Outcome {
        /// Parameters of the first population.
        first: Vec<f64>,
        /// Genomes drawn anew for their parameters.
        early_exits: u32,
        /// Training MACs of all candidates, without the final training.
        macs: f64,
        /// The lowest validation error in the search, percent.
        searched_error: f64,
        /// The best candidate's name.
        label: String,
        /// It, trained to the end.
        best: Trained,
    }

    impl Outcome {
        fn largest(&self) -> f64 {
            self.first.iter().copied().fold(0.0, f64::max)
        }

        /// Test error of the best candidate trained to the end, percent.
        fn error(&self) -> f64 {
            100.0 * (1.0 - test_accuracy(&self.best))
        }
    }

    pub(super) async fn run(study: Study) -> Result<()> {
        let described = study.spawn(&DescribeTask { data: study.spec.data.clone() }).await?;
        // One step for every candidate and one for the final training.
        let steps = study.count("population") * (study.count("generations") + 1) + 1;
        let title = format!(
            "Evolution from networks of at most {} parameters, beside the same without that limit and random search, on {}",
            study.count("beta"),
            study.spec.data
        );
        let outcomes = study
            .compare(title, &Arm::ALL, steps as u32, |lane, arm| one(&study, lane, arm, &described))
            .await?;
        report(&study, &outcomes)
    }

    /// One search, and the final training of its best.
    async fn one(study: &Study, lane: Lane, arm: Arm, described: &Described) -> Result<Outcome> {
        let (seed, data) = (lane.seed, &study.spec.data);
        let settings = arm.settings(&study.spec.config)?;
        let strategy = search::get(&settings.text("strategy"))
            .ok_or_else(|| Error::config("strategy", "there is no such strategy"))?;
        let training =
            Training::new(lane.clone(), settings.clone(), data.clone(), seed, described.clone()).await?;
        let best_error = Cell::new(f64::INFINITY);
        let observer = |_: &Session<'_>, scored: &Rc<Scored>| {
            let candidate = &scored.candidate;
            let id = lane.offset + candidate.id;
            if let Some(graph) = &candidate.prepared.graph {
                lane.emit(Event::graph(id, graph.clone()));
            }
            let name = format!("{}, seed {seed}, #{}", arm.name(), candidate.id);
            lane.emit(Event::Point {
                group: arm.name().into(),
                tone: arm.tone(),
                id,
                label: format!("{name}: {}", candidate.label),
                metrics: scored.metrics.clone(),
                parents: candidate.parents.iter().map(|p| lane.offset + p).collect(),
            });
            let error = 100.0 * (1.0 - scored.metric(Metric::ValAccuracy));
            best_error.set(best_error.get().min(error));
            // One chart a seed; more than three would say nothing new.
            if lane.index < 3 * Arm::ALL.len() {
                lane.emit(Event::Series {
                    chart: format!("Best so far, seed {seed}"),
                    line: arm.name().into(),
                    tone: arm.tone(),
                    x_label: "Training MACs (millions)".into(),
                    y_label: "Lowest validation error (%)".into(),
                    points: vec![(training.spent() as f64 / 1e6, best_error.get())],
                });
            }
            lane.progress(candidate.id, name);
        };
        let tell = |event: Event| {
            if let Event::Log(text) = event {
                lane.log(format!("{}, seed {seed}: {text}", arm.name()));
            }
        };
        let session = Session::new(&settings, seed, &training, &observer, &tell)?;
        (strategy.run)(&session).await?;
        let latest = session.latest();
        let Some(found) = session::best(&latest) else {
            return Err(Error::config(
                "eeea-net.beta",
                "no network of this space has so few parameters; a higher threshold is needed",
            ));
        };
        let macs = training.spent() as f64;
        let label = format!("{}, seed {seed}: the best to the end", arm.name());
        let best = lane
            .spawn(&TrainTask {
                label: label.clone(),
                start: Start::Fresh(found.candidate.prepared.graph.clone().unwrap_or_default()),
                data: data.clone(),
                config: train_config(&settings, study.count("final") as u32, true),
                seed: rng::derive(seed, "final"),
                test: true,
            })
            .await?;
        lane.progress(settings.count("budget") as u32 + 1, label);
        let population = settings.count("nsga2.population");
        Ok(Outcome {
            first: latest.iter().take(population).map(|s| s.metric(Metric::Params)).collect(),
            early_exits: session.early_exits(),
            macs,
            searched_error: best_error.get(),
            label: found.candidate.label.clone(),
            best,
        })
    }

    /// The table, the first populations, the best model and the verdict.
    fn report(study: &Study, outcomes: &[Vec<Outcome>]) -> Result<()> {
        let beta = study.count("beta") as f64;
        let [ours, plain, random] = outcomes else { return Ok(()) };
        let mut rows = Vec::new();
        for (i, seed) in study.seeds().iter().enumerate() {
            for (arm, side) in Arm::ALL.iter().zip(outcomes) {
                let (o, counts) = (&side[i], side[i].best.model.graph.analyze(1)?.total);
                rows.push(vec![
                    seed.to_string(),
                    arm.name().to_owned(),
                    format!("{:.0}", o.largest()),
                    o.early_exits.to_string(),
                    format!("{:.0}", o.macs / 1e6),
                    format!("{:.1} %", o.searched_error),
                    format!("{:.1} %", o.error()),
                    counts.params.to_string(),
                    counts.macs.to_string(),
                ]);
            }
        }
        let columns = [
            "seed",
            "search",
            "largest at first (parameters)",
            "drawn anew",
            "training MACs (millions)",
            "lowest validation error",
            "test error, trained to the end",
            "parameters",
            "MACs",
        ];
        study.table("Searches by seed", &columns, rows);
        let first = |side: &[Outcome]| side.iter().flat_map(|o| o.first.clone()).collect::<Vec<f64>>();
        let top = first(ours).into_iter().chain(first(plain)).fold(beta, f64::max);
        for (arm, side) in [(Arm::EarlyExit, ours), (Arm::Unfiltered, plain)] {
            let title = "Parameters of the first population";
            study.histogram(title, arm.name(), arm.tone(), &first(side), top);
        }
        // Validation chooses among the seeds, not the test split.
        let best = ours.iter().max_by(|a, b| a.best.val_accuracy.total_cmp(&b.best.val_accuracy));
        if let Some(Outcome { label, best, .. }) = best {
            study.emit(Event::Model {
                name: format!("EEEA-Net: {}", percent(test_accuracy(best))),
                tone: Tone::Grow,
                made_by: format!("NSGA-II from networks of at most {beta:.0} parameters: {label}"),
                anatomy: Anatomy::of(&best.model.graph),
                model: Box::new(best.model.clone()),
                metrics: crate::train::run::metrics(best)?,
            });
        }

        let each = |side: &[Outcome], value: fn(&Outcome) -> f64| side.iter().map(value).collect::<Vec<_>>();
        let (spent, spent_plain) = (each(ours, |o| o.macs / 1e6), each(plain, |o| o.macs / 1e6));
        let (error, error_plain) = (each(ours, Outcome::error), each(plain, Outcome::error));
        let gaps: Vec<f64> = error.iter().zip(&error_plain).map(|(a, b)| a - b).collect();
        let mut claim = Claim::default();
        let small = ours.iter().map(|o| o.largest() <= beta);
        claim.always(format!("every first network has at most {beta:.0} parameters"), small);
        let cheaper = claim.better("fewer training MACs than without the filter", &spent_plain, &spent);
        // One point is the whole tolerance: no standard error on top of it.
        claim.at_most("best test error at most 1 point above that without the filter", &gaps, 1.0);
        let sentence = format!(
            "With β = {beta:.0}, the largest first network has {:.0} parameters ({:.0} without the filter). \
             The search trains with {:.0} million MACs against {:.0} million ({:+.0} %; lower on {} of {} seeds). \
             The best network's test error is {:.1} % against {:.1} % ({:+.1} points; random search {:.1} %).",
            each(ours, Outcome::largest).into_iter().fold(0.0, f64::max),
            each(plain, Outcome::largest).into_iter().fold(0.0, f64::max),
            mean(&spent),
            mean(&spent_plain),
            100.0 * (mean(&spent) / mean(&spent_plain) - 1.0),
            cheaper.held,
            cheaper.seeds,
            mean(&error),
            mean(&error_plain),
            mean(&gaps),
            mean(&each(random, Outcome::error)),
        );
        let end =
            "Three searches on every seed; the best network of each was trained to the end and tested once.";
        study.conclude(claim, sentence, end);
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::protocol::{Metric, Metrics};
        use crate::search::{self, Candidate, Evaluator, LocalFuture, Prepared, Session, tabular};
        use crate::space::{self, Genome};

        /// Counts parameters; the error is made up, since only the first population matters here.
        struct Counting<'a>(&'a Settings);

        impl Evaluator for Counting<'_> {
            fn prepare(&self, genome: &Genome) -> Result<Prepared> {
                let space = space::get("nasnet-cell").unwrap();
                let graph = space.graph(&self.0.config, genome, &[1, 8, 8], 10)?;
                let params = graph.trainable_params() as f64;
                Ok(Prepared {
                    graph: Some(graph),
                    costs: vec![(Metric::Params, params), (Metric::Macs, params)],
                })
            }

            fn start(&self, candidate: &Candidate, _: u32) -> LocalFuture<'static, Result<Metrics>> {
                let made_up = f64::from(candidate.id % 7) / 10.0;
                Box::pin(std::future::ready(Ok(vec![(Metric::ValAccuracy, made_up)])))
            }
        }

        /// Parameters of the first population, parameters of all, and early exits.
        fn searched(arm: Arm, config: &Config, seed: u64) -> (Vec<f64>, Vec<f64>, u32) {
            let settings = arm.settings(config).unwrap();
            let counting = Counting(&settings);
            let session = Session::new(&settings, seed, &counting, &|_, _| {}, &|_| {}).unwrap();
            let strategy = search::get(&settings.text("strategy")).unwrap();
            tabular::run_now((strategy.run)(&session)).unwrap();
            let latest = session.latest();
            let all: Vec<f64> = latest.iter().map(|s| s.metric(Metric::Params)).collect();
            assert!(latest.iter().take(6).all(|s| s.candidate.parents.is_empty()));
            (all[..6].to_vec(), all, session.early_exits())
        }

        #[test]
        fn no_first_network_exceeds_the_threshold_and_without_the_filter_some_do() {
            let config = Config::default();
            let beta = config.float(PARAMS, "eeea-net.beta");
            let (mut exits, mut without) = (0, 0);
            for seed in 0..40 {
                let (first, all, redrawn) = searched(Arm::EarlyExit, &config, seed);
                assert!(first.iter().all(|p| *p <= beta), "seed {seed}: {first:?}");
                assert_eq!(all.len(), 18, "the filter spends no candidates");
                exits += redrawn;
                let (first, all, redrawn) = searched(Arm::Unfiltered, &config, seed);
                without += first.iter().filter(|p| **p > beta).count();
                assert_eq!((all.len(), redrawn), (18, 0));
            }
            assert!(
                without > 40,
                "only {without} of 240 unfiltered networks exceed β: the check could not fail"
            );
            assert!(exits > 40, "{exits}");
        }

        #[test]
        fn a_threshold_above_every_network_changes_nothing() {
            let config = Config::default().with("eeea-net.beta", ParamValue::Int(100_000));
            let (_, with, exits) = searched(Arm::EarlyExit, &config, 3);
            let (_, without, _) = searched(Arm::Unfiltered, &config, 3);
            assert_eq!((with, exits), (without, 0));
        }

        #[test]
        fn settings_are_checked() {
            let config = Config::default()
                .with("eeea-net.population", ParamValue::Int(40))
                .with("eeea-net.generations", ParamValue::Int(30));
            assert!(Arm::EarlyExit.settings(&config).unwrap_err().to_string().contains("1240"));
        }
    }
}
