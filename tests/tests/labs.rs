//! Every lab of the registry: complete in what it says of itself, runs in a small budget, gives the
//! same stream twice and whatever the pool, and ends with a verdict.

use espalier_core::labs::{self, Lab};
use espalier_core::params::{Config, ParamKind, ParamValue};
use espalier_core::protocol::{Event, RunSpec};
use espalier_tests::pool::{self, Options, Outcome};

/// Whole numbers that are no budget, and whose smallest value leaves nothing to do.
const NO_BUDGET: [&str; 1] = ["eeea-net.beta"];

/// Labs whose search hangs on times measured where it runs: two runs of them differ, so their streams are not compared.
const TIMED: [&str; 3] = ["mobiledets", "mobilenetv3", "proxylessnas"];

/// Every whole number at its smallest, everything else at its default: the smallest budget that
/// the lab's own form can set.
fn tiny(lab: &Lab) -> Config {
    let mut config = Config::default();
    for spec in lab.method.params {
        if let ParamKind::Int { min, .. } = spec.kind
            && !NO_BUDGET.contains(&spec.key)
        {
            config = config.with(spec.key, ParamValue::Int(min));
        }
    }
    config
}

fn run(lab: &Lab, threads: usize) -> Outcome {
    let spec = RunSpec {
        kind: format!("lab:{}", lab.method.id),
        config: tiny(lab),
        seed: 1,
        data: "digits".into(),
        model: None,
    };
    let data = pool::shipped().unwrap();
    pool::run(spec, &data, Vec::new(), Options { threads, stop_after: None }, |_| {}).unwrap()
}

#[test]
fn every_lab_is_complete() {
    assert!(labs::ALL.is_sorted_by(|a, b| a.method.id < b.method.id), "keep ALL in alphabetical order");
    for lab in labs::ALL {
        let id = lab.method.id;
        let citation = lab.method.citation;
        assert!(citation.year >= 1950 && !citation.authors.is_empty() && !citation.venue.is_empty(), "{id}");
        assert!(!citation.title.is_empty() && !lab.method.formula.is_empty(), "{id}");
        for text in [lab.method.sentence, lab.mechanism, lab.baseline, lab.claim, lab.breaks] {
            assert!(text.ends_with('.'), "{id}: “{text}” is not a sentence");
        }
        assert!(lab.method.params.iter().any(|p| p.key == format!("{id}.seeds")), "{id} has no seeds");
        for param in lab.method.params {
            assert!(param.key.starts_with(&format!("{id}.")), "{}", param.key);
            assert!(!param.label.is_empty() && param.help.ends_with('.'), "{}", param.key);
            assert_eq!(param.parse(&param.default().to_string()).as_ref(), Ok(&param.default()));
        }
    }
}

#[test]
fn every_lab_runs_to_its_verdict_the_same_way_every_time() {
    for lab in labs::ALL {
        let id = lab.method.id;
        let (one, two) = (run(lab, 1), run(lab, 2));
        assert!(one.finished, "{id}");
        let errors: Vec<&Event> = one.events.iter().filter(|e| matches!(e, Event::Error(_))).collect();
        assert!(errors.is_empty(), "{id}: {errors:?}");
        if TIMED.contains(&id) {
            assert!(two.finished && !two.events.iter().any(|e| matches!(e, Event::Error(_))), "{id}");
        } else {
            assert_eq!(one.events, two.events, "{id}: the stream depends on the pool");
        }
        let verdicts = one.events.iter().filter_map(|event| match event {
            Event::Verdict { sentence, breaks, checks, .. } => Some((sentence, breaks, checks)),
            _ => None,
        });
        let verdicts: Vec<_> = verdicts.collect();
        assert!(!verdicts.is_empty(), "{id}: no verdict");
        for (sentence, breaks, checks) in verdicts {
            assert!(sentence.chars().any(|c| c.is_ascii_digit()), "{id}: no numbers in “{sentence}”");
            assert!(!breaks.is_empty(), "{id}");
            assert!(checks.iter().all(|c| c.held <= c.seeds), "{id}: {checks:?}");
        }
        let models = one.events.iter().filter(|e| matches!(e, Event::Model { .. })).count();
        let series = one.events.iter().filter(|e| matches!(e, Event::Series { .. })).count();
        let tables = one.events.iter().filter(|e| matches!(e, Event::Table { .. })).count();
        assert!(
            models > 0 && series > 0 && tables > 0,
            "{id}: {models} models, {series} series, {tables} tables"
        );
    }
}

/// The report that the gallery shows: every lab, over five seeds, whatever came of it, with the build
/// that measured it.
#[test]
fn every_lab_is_measured_and_the_report_says_by_which_build() {
    let report: serde_json::Value =
        serde_json::from_str(include_str!("../../static/data/claims.json")).unwrap();
    for lab in labs::ALL {
        let id = lab.method.id;
        let entry = &report[id];
        assert_eq!(
            entry["claim"], lab.claim,
            "{id}: the report is of another claim; run `cargo xtask claims {id}`"
        );
        assert_eq!(entry["seeds"], 5, "{id}");
        let build = entry["build"].as_str().unwrap();
        let (version, sources) = build.split_once(" (sources ").unwrap();
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{id}: {build}");
        let (hash, place) = sources.split_once(')').unwrap();
        // What is claimed of a GPU is measured in a browser, on an adapter that the report names.
        let gpu =
            place.strip_prefix(", in a browser with WebGPU: ").is_some_and(|adapter| !adapter.is_empty());
        assert!(place.is_empty() || gpu, "{id}: {build}");
        assert!(hash.len() == 12 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{id}: {build}");
        let checks = entry["checks"].as_array().unwrap();
        assert!(!checks.is_empty(), "{id}");
        let failed = checks.iter().any(|c| c["holds"] == false);
        assert_eq!(entry["holds"] == false, failed, "{id}: its verdict is not that of its checks");
        // What could not be measured here, for want of a GPU, is undecided on no seed.
        assert!(checks.iter().all(|c| c["seeds"] == 5 || c["holds"].is_null()), "{id}: {checks:?}");
    }
    let known = report.as_object().unwrap().keys();
    assert!(known.clone().all(|id| labs::get(id).is_some()), "a report of a lab that is not here");
}
