//! Differentiable strategies as searches: a function of their specification, refused in words where there
//! is nothing to relax, and DARTS's collapse on NAS-Bench-201's space.

use espalier_core::job::{Device, JobCtx, NullHost, Task};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, RunSpec};
use espalier_core::relax::{self, Form, RelaxTask, Relaxation};
use espalier_core::rng;
use espalier_core::search;
use espalier_core::search::tabular::Table;
use espalier_core::space::nb201;
use espalier_core::supernet::Spec;
use espalier_tests::pool::{self, Options, Outcome};
use std::io::Read;

fn spec(space: &str, strategy: &str, more: &[(&str, ParamValue)]) -> RunSpec {
    let int = ParamValue::Int;
    let mut config = Config::default()
        .with("space", ParamValue::Text(space.into()))
        .with("strategy", ParamValue::Text(strategy.into()))
        .with("budget", int(2))
        .with("epochs", int(1))
        .with("batch", int(128))
        .with("limit.macs", int(1_000_000_000))
        .with("limit.params", int(10_000_000))
        .with("final.models", int(1))
        .with("final.epochs", int(1));
    for (key, value) in more {
        config = config.with(key, value.clone());
    }
    RunSpec { kind: "search".into(), config, seed: 5, data: "digits".into(), model: None }
}

fn run(spec: RunSpec, log: pool::Log, threads: usize, stop_after: Option<usize>) -> Outcome {
    pool::run(spec, &pool::shipped().unwrap(), log, Options { threads, stop_after }, |_| {}).unwrap()
}

fn error(outcome: &Outcome) -> String {
    match outcome.events.last() {
        Some(Event::Error(text)) => text.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn differentiable_searches_are_functions_of_their_specification() {
    for strategy in search::ALL.iter().filter(|s| s.trains == search::Trains::Relaxed).map(|s| s.method.id) {
        let key = |name: &str| format!("{strategy}.{name}");
        let int = ParamValue::Int;
        let (epochs, every, warmup) = (key("epochs"), key("every"), key("warmup"));
        let own = [(epochs.as_str(), int(3)), (&every, int(2)), (&warmup, int(1))];
        let space = if strategy == "pc-darts" { "darts-cell" } else { "nb201" };
        let small = [("darts-cell.channels", int(4)), ("darts-cell.nodes", int(1)), ("pc-darts.k", int(2))];
        let spec = spec(space, strategy, &[&own[..], &small].concat());
        let whole = run(spec.clone(), Vec::new(), 1, None);
        assert!(whole.finished && matches!(whole.events.last(), Some(Event::Finished(_))), "{strategy}");
        let heats = whole.events.iter().filter(|e| matches!(e, Event::Heat { .. })).count();
        assert_eq!(heats, 3, "{strategy}: its shares are told every epoch");
        let table = whole.events.iter().find_map(|e| match e {
            Event::Table { title, rows, .. } if title.starts_with("The relaxed network") => {
                Some(rows.clone())
            }
            _ => None,
        });
        assert_eq!(table.map(|rows| rows.len()), Some(2), "{strategy}: after two epochs and at the end");
        assert_eq!(run(spec.clone(), Vec::new(), 2, None).events, whole.events, "{strategy} on two threads");
        let half = run(spec.clone(), Vec::new(), 2, Some(whole.log.len() / 2));
        assert_eq!(half.events[..], whole.events[..half.events.len()], "{strategy}");
        assert_eq!(run(spec, half.log, 2, None).events, whole.events, "{strategy} resumed");
    }
}

#[test]
fn what_cannot_be_relaxed_is_refused_in_words() {
    let told = error(&run(spec("mlp", "darts", &[]), Vec::new(), 1, None));
    assert!(told.contains("“mlp” cannot be relaxed") && told.contains("nb201"), "{told}");
    let uneven = [("nb201.channels", ParamValue::Int(6))];
    let told = error(&run(spec("nb201", "pc-darts", &uneven), Vec::new(), 1, None));
    assert!(told.contains("not divisible by K = 4"), "{told}");
    // A table has no shared weights, whether it is compared on or searched.
    let config = Config::default()
        .with("compare.by", ParamValue::Text("table".into()))
        .with("compare.darts", ParamValue::Bool(true));
    let compare = RunSpec { kind: "compare".into(), config, seed: 1, data: "digits".into(), model: None };
    let told = error(&run(compare, Vec::new(), 1, None));
    assert!(told.contains("DARTS") && told.contains("no shared weights"), "{told}");
    let table = Table::parse(
        "t",
        "cell,c10_val_200ep,c10_test_200ep\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,5,5\n",
    )
    .unwrap();
    let settings =
        search::Settings::new(Config::default().with("space", ParamValue::Text("nb201".into()))).unwrap();
    let tabular = search::tabular::Tabular::new(&table);
    let session = search::Session::new(&settings, 1, &tabular, &|_, _| {}, &|_| {}).unwrap();
    let told =
        search::tabular::run_now((search::get("gdas").unwrap().run)(&session)).unwrap_err().to_string();
    assert!(told.contains("no shared weights"), "{told}");
}

/// How many edges of a cell are skip connections.
fn skips(cell: &[u8]) -> usize {
    cell.iter().filter(|op| nb201::OPS[usize::from(**op)] == "skip_connect").count()
}

#[test]
fn darts_collapses_to_skip_connections_and_the_table_says_what_that_costs() {
    let int = ParamValue::Int;
    let config = Config::default().with("nb201.cells", int(2)).with("nb201.stages", int(4));
    // The first five of twelve epochs: what the page shows of a search with these settings and seed 1.
    let mut how = Relaxation::published(12, 64);
    (how.weights.rate, how.rate) = (0.1, 0.05);
    let task = RelaxTask {
        label: "collapse".into(),
        net: Spec { space: "nb201".into(), config: config.clone() },
        form: Form::default(),
        how,
        data: "digits".into(),
        state: None,
        epochs: 5,
        seed: rng::derive(1, "relax"),
    };
    let data = pool::shipped().unwrap();
    let ctx = JobCtx { data: &data, host: &NullHost, device: Device::flex() };
    let done = pool::block_on(task.run(&ctx)).unwrap();
    let relaxable = relax::get("nb201").unwrap();
    let cells: Vec<Vec<u8>> =
        done.history.iter().map(|e| relaxable.derive(&config, Form::default(), &e.shares).0).collect();
    let counted: Vec<usize> = cells.iter().map(|c| skips(c)).collect();
    eprintln!("edges that lean to skip, epoch by epoch: {counted:?}");
    assert!(counted[0] <= 2 && counted[4] >= 4, "{counted:?}");

    // What the cell is worth on CIFAR-10, as published, beside all 15,625.
    let Some(path) = espalier_tests::reference("nb201_joint.csv.gz") else { return };
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let table = Table::parse("nb201_joint.csv", &text).unwrap();
    let of = |cell: &[u8]| table.get(&espalier_core::space::Genome(cell.to_vec())).unwrap().test;
    let collapsed = of(&cells[4]);
    let below = table.iter().filter(|(_, row)| row.test < collapsed).count();
    let name = nb201::cell_string(&espalier_core::space::Genome(cells[4].clone()));
    eprintln!("{name}: {collapsed:.2} % on CIFAR-10, better than {below} of 15625 cells");
    assert!(below < 15_625 / 4, "a collapsed cell is among the worst: {below} are worse");
    // All six: what DARTS ends with in the paper.
    assert!((of(&[1; 6]) - 54.297).abs() < 1e-3);
}
