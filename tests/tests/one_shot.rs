//! Searches that share weights between all networks of a space, whole: the runs that the page starts, on a pool of
//! threads.

use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, Metric, RunSpec};
use espalier_core::supernet::samplers;
use espalier_tests::pool::{self, Options, Outcome};

const BUDGET: i64 = 5;

fn spec(space: &str, sampler: &str) -> RunSpec {
    let (int, text) = (ParamValue::Int, |t: &str| ParamValue::Text(t.into()));
    let config = Config::default()
        .with("space", text(space))
        .with("strategy", text("one-shot"))
        .with("one-shot.sampler", text(sampler))
        .with("one-shot.epochs", int(2))
        .with("one-shot.watched", int(2))
        .with("one-shot.population", int(3))
        .with("one-shot.generations", int(1))
        .with("one-shot.parents", int(2))
        .with("budget", int(BUDGET))
        .with("epochs", int(1))
        .with("batch", int(128))
        .with("final.models", int(1))
        .with("final.epochs", int(1));
    RunSpec { kind: "search".into(), config, seed: 5, data: "digits".into(), model: None }
}

fn run(spec: RunSpec, log: pool::Log, threads: usize, stop_after: Option<usize>) -> Outcome {
    pool::run(spec, &pool::shipped().unwrap(), log, Options { threads, stop_after }, |_| {}).unwrap()
}

#[test]
fn shared_weights_are_trained_ranked_searched_and_what_they_find_is_trained_alone() {
    for sampler in samplers::ALL.iter().map(|s| s.method().id) {
        let whole = run(spec("nb201", sampler), Vec::new(), 1, None);
        assert!(
            matches!(whole.events.last(), Some(Event::Finished(_))),
            "{sampler}: {:?}",
            whole.events.last()
        );
        let points = |metric| {
            let of = move |e: &Event| match e {
                Event::Point { metrics, .. } => metrics.iter().find(|(m, _)| *m == metric).map(|(_, v)| *v),
                _ => None,
            };
            whole.events.iter().filter_map(of).collect::<Vec<f64>>()
        };
        let (expected, measured) = (points(Metric::PredictedAccuracy), points(Metric::ValAccuracy));
        assert_eq!((expected.len() as i64, measured.len() as i64), (BUDGET, BUDGET), "{sampler}");
        assert!(expected.iter().chain(&measured).all(|v| (0.0..=1.0).contains(v)), "{sampler}");
        let series = |name: &str| {
            let of = |e: &&Event| matches!(e, Event::Series { chart, .. } if chart == name);
            whole.events.iter().filter(of).count()
        };
        assert_eq!(series("Shared weights"), 2, "{sampler}: a loss for each epoch");
        assert_eq!(series("Evolution"), 2, "{sampler}: the first generation and one more");
        let table = whole.events.iter().find_map(|e| match e {
            Event::Table { title, rows, .. } if title.starts_with("Networks with shared") => Some(rows.len()),
            _ => None,
        });
        assert_eq!(table, Some(2), "{sampler}: the watched networks");
        assert!(
            whole
                .events
                .iter()
                .any(|e| matches!(e, Event::Log(text) if text.contains("Kendall") || text.contains("rank"))),
            "{sampler}"
        );
        assert_eq!(
            run(spec("nb201", sampler), Vec::new(), 3, None).events,
            whole.events,
            "{sampler} on three threads"
        );
        let half = run(spec("nb201", sampler), Vec::new(), 2, Some(whole.log.len() / 2));
        assert_eq!(run(spec("nb201", sampler), half.log, 2, None).events, whole.events, "{sampler} resumed");
    }
}

#[test]
fn every_space_that_can_share_weights_does() {
    for space in espalier_core::supernet::ALL.iter().map(|s| s.space()) {
        if espalier_core::space::ALL.iter().all(|e| e.method.id != space) {
            continue;
        }
        let done = run(spec(space, "multi"), Vec::new(), 2, None);
        assert!(matches!(done.events.last(), Some(Event::Finished(_))), "{space}: {:?}", done.events.last());
    }
}

#[test]
fn spaces_without_shared_weights_are_refused_with_those_that_have_them() {
    let refused = run(spec("chain", "single-path"), Vec::new(), 1, None);
    let Some(Event::Error(told)) = refused.events.last() else { panic!("{:?}", refused.events.last()) };
    assert!(
        told.contains("chain") && told.contains("elastic, mobiledets, nb201") && !told.contains("decoder"),
        "{told}"
    );
}
