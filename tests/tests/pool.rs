//! A run is a function of its specification: whatever the pool, whenever it is cut short.

use espalier_core::model::{Attrs, ConvOptions, GraphBuilder, Init, Model};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, RunSpec};
use espalier_tests::pool::{self, News, Options, Outcome};

fn spec(seed: u64, epochs: i64) -> RunSpec {
    let mut b = GraphBuilder::new("small", &[1, 8, 8]);
    let options = ConvOptions { stride: 2, bias: true, ..ConvOptions::default() };
    let x = b.conv("x", 8, 3, options).unwrap();
    let x = b.unary("Relu", &x).unwrap();
    let w = b.param("head".into(), vec![10, 8, 4, 4], Init::He { fan_in: 128 }, true);
    let x = b.node("Conv", &[&x, &w], Attrs::new(), 1).unwrap().swap_remove(0);
    let x = b.unary("Flatten", &x).unwrap();
    RunSpec {
        kind: "train".into(),
        config: Config::default().with("train.epochs", ParamValue::Int(epochs)),
        seed,
        data: "digits".into(),
        model: Some(Model::init(b.finish(&x).unwrap(), seed)),
    }
}

fn run(spec: RunSpec, log: pool::Log, threads: usize, stop_after: Option<usize>) -> Outcome {
    pool::run(spec, &pool::shipped().unwrap(), log, Options { threads, stop_after }, |_| {}).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_stream_on_any_number_of_threads() {
    let first = run(spec(7, 3), Vec::new(), 1, None);
    assert!(first.finished);
    assert!(matches!(first.events.last(), Some(Event::Finished(_))), "{:?}", first.events.last());
    for threads in [1, 2, 4] {
        assert_eq!(run(spec(7, 3), Vec::new(), threads, None).events, first.events, "{threads} threads");
    }
    assert_ne!(run(spec(8, 3), Vec::new(), 2, None).events, first.events);
}

#[test]
fn a_run_cut_short_resumes_from_its_log_to_the_same_stream() {
    let whole = run(spec(7, 3), Vec::new(), 2, None);
    let half = run(spec(7, 3), Vec::new(), 2, Some(1));
    assert!(!half.finished && half.log.len() == 1);
    assert!(half.events.len() < whole.events.len());
    assert_eq!(half.events[..], whole.events[..half.events.len()]);
    let resumed = run(spec(7, 3), half.log, 2, None);
    assert!(resumed.finished);
    assert_eq!(resumed.events, whole.events);
    assert_eq!(resumed.log.len(), whole.log.len(), "what was known is not computed again");
}

#[test]
fn training_tells_its_curves_its_confusion_and_its_model() {
    let mut told = 0;
    let data = pool::shipped().unwrap();
    let options = Options { threads: 2, stop_after: None };
    let outcome = pool::run(spec(1, 6), &data, Vec::new(), options, |news| {
        told += usize::from(matches!(news, News::Progress(..)));
    })
    .unwrap();
    assert_eq!(told, 6, "progress once an epoch");
    let lines: Vec<(&str, usize)> = outcome
        .events
        .iter()
        .filter_map(|e| match e {
            Event::Series { chart, line, points, .. } if chart == "Loss" => {
                Some((line.as_str(), points.len()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(lines, [("training", 6), ("validation", 6)]);
    let counts: u32 = outcome
        .events
        .iter()
        .filter_map(|e| if let Event::Confusion { counts, .. } = e { Some(counts) } else { None })
        .flatten()
        .flatten()
        .sum();
    assert_eq!(counts, 300);
    assert!(outcome.events.iter().any(|e| matches!(e, Event::Model { .. })));
}

#[test]
fn what_goes_wrong_is_an_error_event_in_words() {
    let message = |spec: RunSpec| match run(spec, Vec::new(), 1, None).events.pop() {
        Some(Event::Error(message)) => message,
        other => panic!("{other:?}"),
    };
    assert!(message(RunSpec { model: None, ..spec(1, 1) }).contains("choose a model first"));
    assert!(message(RunSpec { data: "mnist".into(), ..spec(1, 1) }).contains("“mnist”: it is not loaded"));
    let config = Config::default().with("train.epochs", ParamValue::Int(0));
    assert!(message(RunSpec { config, ..spec(1, 1) }).contains("train.epochs"));
    let unknown = RunSpec { kind: "bake".into(), ..spec(1, 1) };
    let options = Options { threads: 1, stop_after: None };
    let error = pool::run(unknown, &pool::shipped().unwrap(), Vec::new(), options, |_| {}).unwrap_err();
    assert!(error.to_string().contains("“bake”"));
}
