//! Strategies side by side: by training, on budgets counted in MACs, and on NAS-Bench-201's table.

use espalier_core::data::Dataset;
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, Metric, RunSpec};
use espalier_tests::pool::{self, Options, Outcome};
use std::io::Read;
use std::sync::Arc;

fn spec(config: Config, data: &str) -> RunSpec {
    RunSpec { kind: "compare".into(), config, seed: 3, data: data.into(), model: None }
}

fn run(spec: RunSpec, data: &pool::Data, threads: usize) -> Outcome {
    pool::run(spec, data, Vec::new(), Options { threads, stop_after: None }, |_| {}).unwrap()
}

/// A comparison of a few seconds.
fn small() -> Config {
    let int = ParamValue::Int;
    Config::default()
        .with("compare.seeds", int(2))
        .with("compare.macs", ParamValue::Float(0.1))
        .with("compare.halving", ParamValue::Bool(true))
        .with("epochs", int(2))
        .with("evolution.population", int(3))
        .with("evolution.sample", int(2))
        .with("lookahead", int(2))
}

#[test]
fn strategies_that_train_spend_the_same_and_are_told_apart() {
    let data = pool::shipped().unwrap();
    let outcome = run(spec(small(), "digits"), &data, 2);
    assert!(outcome.finished);
    let Some(Event::Finished(told)) = outcome.events.last() else { panic!("{:?}", outcome.events.last()) };
    assert!(told.contains("paired permutation test over 2 seeds") && told.contains("cannot show"), "{told}");

    let strategies = ["Random search", "Regularized evolution", "Successive halving"];
    for name in strategies {
        let lines = |event: &Event| match event {
            Event::Series { line, points, .. } if line == name => Some(points.clone()),
            _ => None,
        };
        let points = outcome.events.iter().find_map(lines).expect("a curve for each strategy");
        assert!(points.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 <= w[1].1 + 1e-9), "{name}: {points:?}");
        assert!((points.last().unwrap().0 - 0.1).abs() < 1e-9, "every curve ends at the budget");
        let bands = outcome.events.iter().any(|e| {
            matches!(e, Event::Band { line, points: band, .. } if line == name
                && band.len() == points.len() && band.iter().all(|b| b.1 <= b.2))
        });
        assert!(bands, "{name} has its spread");
    }
    // What each of the six searches spent, by its last word.
    let label = |event: &Event| match event {
        Event::Progress { label, .. } => label.strip_suffix(" GMACs").map(str::to_owned),
        _ => None,
    };
    let mut spent = std::collections::BTreeMap::new();
    for told in outcome.events.iter().filter_map(label) {
        let (who, macs) = told.rsplit_once(": ").unwrap();
        spent.insert(who.to_owned(), macs.parse::<f64>().unwrap());
    }
    assert_eq!(spent.len(), 6, "{spent:?}");
    // The last candidate may go over the budget; one of at most 30,000 MACs costs 0.19 GMACs.
    for (who, macs) in &spent {
        assert!((0.05..0.1 + 0.19).contains(macs), "{who} spent {macs} GMACs");
    }
    let points = |e: &&Event| matches!(e, Event::Point { metrics, .. } if metrics.iter().any(|m| m.0 == Metric::ValAccuracy));
    assert!(outcome.events.iter().filter(points).count() >= 12);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let data = pool::shipped().unwrap();
    let one = run(spec(small(), "digits"), &data, 1);
    assert_eq!(one.events, run(spec(small(), "digits"), &data, 3).events);
}

#[test]
fn what_cannot_be_compared_is_answered_in_words() {
    let data = pool::shipped().unwrap();
    let answer = |config: Config| {
        let outcome = run(spec(config, "digits"), &data, 1);
        match outcome.events.last() {
            Some(Event::Error(text)) => text.clone(),
            other => panic!("{other:?}"),
        }
    };
    let alone = answer(
        small()
            .with("compare.halving", ParamValue::Bool(false))
            .with("compare.random", ParamValue::Bool(false)),
    );
    assert!(alone.contains("at least two strategies"), "{alone}");
    let table = answer(small().with("compare.by", ParamValue::Text("table".into())));
    assert!(table.contains("no table of measured networks"), "{table}");
    let empty = answer(small().with("limit.params", ParamValue::Int(100)));
    assert!(empty.contains("raise them"), "{empty}");
}

#[test]
fn four_hundred_replays_on_the_table_reproduce_the_published_comparison() {
    let Some(path) = espalier_tests::reference("nb201_joint.csv.gz") else { return };
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut text).unwrap();
    let table = Dataset::open("nb201.csv", "nb201", &text).unwrap();
    let data = pool::Data::from([("nb201.csv".to_owned(), Arc::new(table))]);
    let config = Config::default()
        .with("compare.by", ParamValue::Text("table".into()))
        .with("compare.reinforce", ParamValue::Bool(true))
        .with("compare.evaluations", ParamValue::Int(75))
        .with("evolution.population", ParamValue::Int(10));
    let outcome = run(spec(config, "nb201.csv"), &data, 2);
    let rows = outcome.events.iter().find_map(|e| match e {
        Event::Table { rows, .. } => Some(rows),
        _ => None,
    });
    let rows = rows.expect("a table of what they end with");
    assert_eq!(rows.len(), 3);
    for row in rows {
        println!("{}", row.join(" | "));
        assert_eq!((row[1].as_str(), row[2].as_str()), ("400", "75"), "replays and evaluations");
        let number = |cell: &str| cell.split(' ').next().unwrap().parse::<f64>().unwrap();
        let deviation: f64 = row[5].split("± ").nth(1).unwrap().parse().unwrap();
        assert!((number(&row[4]) - number(&row[5])).abs() < deviation, "{row:?}");
    }
    let Some(Event::Finished(told)) = outcome.events.last() else { panic!("{:?}", outcome.events.last()) };
    println!("{told}");
    assert!(told.starts_with("Regularized evolution ends") && told.contains("above REINFORCE"), "{told}");
    let luck = outcome.events.iter().rev().find_map(|e| match e {
        Event::Table { rows, .. } => Some(rows),
        _ => None,
    });
    for row in luck.expect("a table of what is luck") {
        assert!(row[1].starts_with('+') && row[2] == "p < 0.001" && row[3] == "more than luck", "{row:?}");
    }
}
