//! A search by training is a function of its specification: whatever the pool, whenever it is cut
//! short, for every strategy and every space.

use espalier_core::job::{Device, JobCtx, NullHost, decode, execute};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, Metric, RunSpec};
use espalier_core::registry;
use espalier_core::run::Driver;
use espalier_core::train::{Start, TrainTask, Trained};
use espalier_core::{search, space};
use espalier_tests::pool::{self, Options, Outcome};
use std::collections::BTreeMap;

const BUDGET: i64 = 4;

/// Most parameters and MACs of a space's networks here: those that suit it are the default.
fn limits(space: &str) -> [usize; 2] {
    space::room(if space::get(space).is_some() { space } else { "chain" })
}

/// A search small enough for a test, large enough that every part of it takes place.
fn spec(space: &str, strategy: &str) -> RunSpec {
    let int = ParamValue::Int;
    let config = Config::default()
        .with("space", ParamValue::Text(space.into()))
        .with("strategy", ParamValue::Text(strategy.into()))
        .with("budget", int(BUDGET))
        .with("epochs", int(2))
        .with("lookahead", int(2))
        .with("batch", int(128))
        .with("final.models", int(2))
        .with("final.epochs", int(2))
        .with("bananas.initial", int(2))
        .with("bananas.batch", int(1))
        .with("evolution.population", int(2))
        .with("evolution.sample", int(2))
        .with("nsga2.population", int(2))
        .with("halving.rungs", int(2));
    RunSpec { kind: "search".into(), config, seed: 5, data: "digits".into(), model: None }
}

fn run(spec: RunSpec, log: pool::Log, threads: usize, stop_after: Option<usize>) -> Outcome {
    pool::run(spec, &pool::shipped().unwrap(), log, Options { threads, stop_after }, |_| {}).unwrap()
}

/// What must hold of every finished search's stream.
fn check(outcome: &Outcome, what: &str) {
    let events = &outcome.events;
    assert!(outcome.finished, "{what}");
    assert!(matches!(events.last(), Some(Event::Finished(_))), "{what}: {:?}", events.last());
    let mut graphs = Vec::new();
    let mut points: BTreeMap<u32, u32> = BTreeMap::new();
    let (mut accuracy, mut confusion) = (None, None);
    let mut leanings = 0;
    for event in events {
        match event {
            Event::Graph { id, graph, .. } => graphs.push((*id, graph.fingerprint())),
            Event::Point { id, metrics, .. } => {
                *points.entry(*id).or_default() += 1;
                let value = |metric| metrics.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v).unwrap();
                let [params, macs] = limits(what);
                assert!(
                    value(Metric::Params) <= params as f64 && value(Metric::Macs) <= macs as f64,
                    "{what}"
                );
                assert!((0.0..=1.0).contains(&value(Metric::ValAccuracy)), "{what}");
                assert!(graphs.iter().any(|(g, _)| g == id), "{what}: #{id} is drawn before it is a point");
            }
            Event::Heat { title, rows } => {
                assert!(!rows.is_empty(), "{what}: {title}");
                for (gene, options) in rows {
                    let sum: f64 = options.iter().map(|(_, part)| part).sum();
                    assert!(
                        (sum - 1.0).abs() < 1e-9,
                        "{what}, {title}: the parts of “{gene}” add up to {sum}"
                    );
                }
                leanings += 1;
            }
            Event::Model { model, metrics, .. } => {
                model.check().unwrap();
                accuracy = metrics.iter().find(|(m, _)| *m == Metric::TestAccuracy).map(|(_, v)| *v);
            }
            Event::Confusion { counts, .. } => {
                let right: u32 = (0..counts.len()).map(|i| counts[i][i]).sum();
                confusion = Some(f64::from(right) / f64::from(counts.iter().flatten().sum::<u32>()));
            }
            _ => {}
        }
    }
    if ["evolution", "nsga2", "reinforce"].contains(&what) {
        assert!(leanings > 0, "{what} shows what it leans towards");
    }
    assert_eq!(points.len() as i64, BUDGET, "{what}: candidates");
    assert_eq!(graphs.len() as i64, BUDGET, "{what}: each architecture is told once");
    graphs.sort_by_key(|(_, fingerprint)| *fingerprint);
    assert!(graphs.windows(2).all(|w| w[0].1 != w[1].1), "{what}: no network is paid for twice");
    // Told as f32 by the training and counted in whole samples by the evaluation.
    assert!((accuracy.unwrap() - confusion.unwrap()).abs() < 1e-6, "{what}: {accuracy:?} {confusion:?}");
}

#[test]
fn every_strategy_gives_the_same_stream_on_any_number_of_threads() {
    for strategy in search::ALL.iter().filter(|s| s.trains == search::Trains::Candidates).map(|s| s.method.id)
    {
        let first = run(spec("chain", strategy), Vec::new(), 1, None);
        check(&first, strategy);
        for threads in [2, 4] {
            let again = run(spec("chain", strategy), Vec::new(), threads, None);
            assert_eq!(again.events, first.events, "{strategy} on {threads} threads");
        }
    }
}

#[test]
fn every_space_gives_the_same_stream_on_any_number_of_threads() {
    for space in space::ALL.iter().map(|s| s.method.id).filter(|id| *id != "chain") {
        let first = run(spec(space, "evolution"), Vec::new(), 1, None);
        check(&first, space);
        for threads in [2, 4] {
            let again = run(spec(space, "evolution"), Vec::new(), threads, None);
            assert_eq!(again.events, first.events, "{space} on {threads} threads");
        }
    }
    let other = RunSpec { seed: 6, ..spec("mlp", "evolution") };
    assert_ne!(
        run(other, Vec::new(), 2, None).events,
        run(spec("mlp", "evolution"), Vec::new(), 2, None).events
    );
}

#[test]
fn no_candidate_is_over_a_limit_of_any_kind() {
    let limits = [
        ("limit.bytes", Metric::Bytes, 2300.0),
        ("limit.peak", Metric::PeakBytes, 2500.0),
        ("limit.ms", Metric::PredictedMs, 0.02),
    ];
    for (key, metric, most) in limits {
        let value = if key == "limit.ms" { ParamValue::Float(most) } else { ParamValue::Int(most as i64) };
        let mut spec = spec("chain", "random");
        spec.config = spec.config.with(key, value);
        let costs = |outcome: &Outcome| -> Vec<f64> {
            let of = |e: &Event| match e {
                Event::Point { metrics, .. } => metrics.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v),
                _ => None,
            };
            outcome.events.iter().filter_map(of).collect()
        };
        let limited = costs(&run(spec, Vec::new(), 2, None));
        assert_eq!(limited.len() as i64, BUDGET, "{key}");
        assert!(limited.iter().all(|cost| *cost <= most), "{key}: {limited:?}");
        if key != "limit.ms" {
            let free = costs(&run(self::spec("chain", "random"), Vec::new(), 2, None));
            assert!(free.iter().any(|cost| *cost > most), "{key} would hold by itself: {free:?}");
        }
    }
}

#[test]
fn a_search_cut_short_resumes_from_its_log_to_the_same_stream() {
    for strategy in search::ALL.iter().filter(|s| s.trains == search::Trains::Candidates).map(|s| s.method.id)
    {
        let whole = run(spec("mlp", strategy), Vec::new(), 2, None);
        let half = run(spec("mlp", strategy), Vec::new(), 2, Some(whole.log.len() / 2));
        assert!(!half.finished && half.log.len() == whole.log.len() / 2, "{strategy}");
        assert!(half.events.len() < whole.events.len(), "{strategy}");
        assert_eq!(half.events[..], whole.events[..half.events.len()], "{strategy}");
        let resumed = run(spec("mlp", strategy), half.log, 2, None);
        assert!(resumed.finished);
        assert_eq!(resumed.events, whole.events, "{strategy}");
        assert_eq!(resumed.log.len(), whole.log.len(), "{strategy}: what was known is not computed again");
    }
}

#[test]
fn successive_halving_inherits_weights() {
    let data = pool::shipped().unwrap();
    let ctx = JobCtx { data: &data, host: &NullHost, device: Device::flex() };
    let mut driver = Driver::new(
        {
            let mut spec = spec("mlp", "halving");
            spec.config = spec.config.with("together", ParamValue::Int(1));
            spec
        },
        Vec::new(),
        &registry::MORE,
    )
    .unwrap();
    // By label, which names the candidate: what its last training left, and how long it trained.
    let mut left: BTreeMap<String, (Trained, u32)> = BTreeMap::new();
    let (mut fresh, mut inherited, mut finals) = (0, 0, 0);
    loop {
        let step = driver.step();
        if step.finished {
            break;
        }
        for job in step.jobs {
            let outcome = pool::block_on(execute(&job, &ctx, &registry::MORE));
            if job.kind == "train" {
                let task: TrainTask = decode(&job.input).unwrap();
                let trained: Trained = decode(outcome.as_ref().unwrap()).unwrap();
                match task.start {
                    Start::Model(model) => {
                        let (before, epochs) = &left[&task.label];
                        assert_eq!(*model, before.model, "{} starts where it stood", task.label);
                        assert_eq!(epochs + task.config.epochs, 2, "rungs end at 1 and 2 epochs");
                        assert_ne!(trained.model, before.model, "{} trained on", task.label);
                        inherited += 1;
                    }
                    Start::Fresh(_) if task.test => finals += 1,
                    Start::Fresh(_) => fresh += 1,
                }
                left.insert(task.label, (trained, task.config.epochs));
            }
            driver.deliver(job.id, outcome);
        }
    }
    assert_eq!((fresh, inherited, finals), (4, 2, 2), "half of the candidates reach the second rung");
}

#[test]
fn candidates_of_one_family_train_side_by_side_to_the_same_results() {
    let data = pool::shipped().unwrap();
    let ctx = JobCtx { data: &data, host: &NullHost, device: Device::flex() };
    let spec = |together: i64| {
        let int = ParamValue::Int;
        let mut spec = spec("mlp", "random");
        let config = spec.config.with("budget", int(24)).with("lookahead", int(16)).with("mlp.depth", int(1));
        spec.config = config.with("together", int(together));
        spec
    };
    let run = |together: i64| {
        let mut driver = Driver::new(spec(together), Vec::new(), &registry::MORE).unwrap();
        let (mut kinds, mut points) = (Vec::new(), BTreeMap::new());
        loop {
            let step = driver.step();
            for event in step.events {
                if let Event::Point { id, label, metrics, .. } = event {
                    let of = |metric| metrics.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v).unwrap();
                    points.insert(id, (label, of(Metric::ValAccuracy), of(Metric::ValLoss)));
                }
            }
            if step.finished {
                return (kinds, points);
            }
            for job in step.jobs {
                kinds.push((job.kind.clone(), job.label.clone()));
                let outcome = pool::block_on(execute(&job, &ctx, &registry::MORE));
                driver.deliver(job.id, outcome);
            }
        }
    };
    let (together, alone) = (run(4), run(1));
    let families: Vec<&String> =
        together.0.iter().filter(|(kind, _)| kind == "population").map(|(_, label)| label).collect();
    assert!(!families.is_empty() && families.iter().all(|f| f.ends_with("side by side")), "{families:?}");
    assert!(families.iter().all(|f| f.matches('#').count() <= 4), "{families:?}");
    assert!(alone.0.iter().all(|(kind, _)| kind != "population"));
    assert_eq!((together.1.len(), alone.1.len()), (24, 24));
    for (id, (label, accuracy, loss)) in &together.1 {
        let (other, alone_accuracy, alone_loss) = &alone.1[id];
        assert_eq!(label, other);
        assert!((accuracy - alone_accuracy).abs() < 0.01 && (loss - alone_loss).abs() < 0.01, "{label}");
    }
}

#[test]
fn a_proxy_chooses_the_first_population_without_training() {
    let data = pool::shipped().unwrap();
    let ctx = JobCtx { data: &data, host: &NullHost, device: Device::flex() };
    for strategy in ["evolution", "nsga2", "bananas"] {
        let mut spec = spec("mlp", strategy);
        let int = ParamValue::Int;
        spec.config = spec
            .config
            .with("initial.proxy", ParamValue::Text("params".into()))
            .with("initial.pool", int(12))
            .with("evolution.population", int(4))
            .with("nsga2.population", int(4))
            .with("bananas.initial", int(4));
        let mut driver = Driver::new(spec, Vec::new(), &registry::MORE).unwrap();
        let (mut scores, mut params, mut trained) = (Vec::new(), BTreeMap::new(), 0);
        loop {
            let step = driver.step();
            for event in step.events {
                if let Event::Point { id, metrics, .. } = event {
                    params.insert(
                        id,
                        metrics.iter().find(|(m, _)| *m == Metric::Params).map(|(_, v)| *v).unwrap(),
                    );
                }
            }
            if step.finished {
                break;
            }
            for job in step.jobs {
                let outcome = pool::block_on(execute(&job, &ctx, &registry::MORE));
                if job.kind == "proxies" {
                    assert_eq!(trained, 0, "{strategy}: before any training");
                    scores.extend(decode::<Vec<f64>>(outcome.as_ref().unwrap()).unwrap());
                } else if ["train", "population"].contains(&job.kind.as_str()) {
                    trained += 1;
                }
                driver.deliver(job.id, outcome);
            }
        }
        assert_eq!(scores.len(), 12, "{strategy}");
        scores.sort_by(|a, b| b.total_cmp(a));
        let first: Vec<f64> = params.values().copied().collect();
        assert_eq!(first, scores[..4], "{strategy}: the largest first");
    }
}

#[test]
fn islands_send_copies_of_their_best() {
    let mut spec = spec("mlp", "evolution");
    let int = ParamValue::Int;
    spec.config = spec
        .config
        .with("budget", int(12))
        .with("epochs", int(1))
        .with("evolution.islands", int(2))
        .with("evolution.migration", int(2));
    let outcome = run(spec, Vec::new(), 2, None);
    assert!(matches!(outcome.events.last(), Some(Event::Finished(_))), "{:?}", outcome.events.last());
    let went =
        |way: &str| outcome.events.iter().any(|e| matches!(e, Event::Log(text) if text.ends_with(way)));
    assert!(went("from island 1 to 2.") || went("from island 2 to 1."));
}

#[test]
fn latency_is_measured_where_it_is_an_objective() {
    let mut spec = spec("mlp", "nsga2");
    spec.config = spec.config.with("objective.latency", ParamValue::Bool(true));
    let outcome = run(spec, Vec::new(), 2, None);
    check(&outcome, "with latency");
    let latency = |e: &Event| match e {
        Event::Point { metrics, .. } => {
            metrics.iter().find(|(m, _)| *m == Metric::LatencyMs).map(|(_, v)| *v)
        }
        _ => None,
    };
    let times: Vec<f64> = outcome.events.iter().filter_map(latency).collect();
    let points = outcome.events.iter().filter(|e| matches!(e, Event::Point { .. })).count();
    assert_eq!(times.len(), points, "every candidate was timed");
    assert!(times.iter().all(|ms| ms.is_finite() && *ms > 0.0), "{times:?}");
    let timed = |e: &Event| matches!(e, Event::Table { title, columns, .. } if title == "Pareto front" && columns.iter().any(|c| c == "latency"));
    assert!(outcome.events.iter().any(timed), "the front is told by it");
}

/// The recording that the page shows before its engine has arrived.
#[test]
fn the_shipped_recording_is_a_whole_default_search_within_its_budget() {
    let bytes = include_bytes!("../../static/data/recorded-search.bin");
    assert!(bytes.len() <= 60_000, "{} bytes", bytes.len());
    let recording = espalier_core::io::recording::Recording::decode("recorded-search.bin", bytes).unwrap();
    assert_eq!(recording.spec.kind, "search");
    assert_eq!(recording.spec.config, Config::default(), "a default search");
    let count = |f: fn(&Event) -> bool| recording.events.iter().filter(|e| f(e)).count();
    assert!(count(|e| matches!(e, Event::Point { .. })) >= 24);
    assert!(count(|e| matches!(e, Event::Graph { .. })) >= 24, "with every architecture");
    assert_eq!(count(|e| matches!(e, Event::Model { .. } | Event::Error(_))), 0);
    assert!(matches!(recording.events.last(), Some(Event::Finished(_))));
    for event in &recording.events {
        if let Event::Graph { graph, .. } = event {
            graph.analyze(1).unwrap();
        }
    }
}
