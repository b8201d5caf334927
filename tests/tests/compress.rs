//! The runs `prune` and `quantize` on real digits: what they say they take away is gone, and the
//! network still reads.

use espalier_core::model::{ConvOptions, GraphBuilder, Model};
use espalier_core::params::{Config, ParamValue};
use espalier_core::protocol::{Event, Metric, Metrics, RunSpec};
use espalier_tests::pool::{self, Options};

fn run(kind: &str, config: Config, model: Model) -> Vec<Event> {
    let spec = RunSpec { kind: kind.into(), config, seed: 3, data: "digits".into(), model: Some(model) };
    let options = Options { threads: 2, stop_after: None };
    let outcome = pool::run(spec, &pool::shipped().unwrap(), Vec::new(), options, |_| {}).unwrap();
    assert!(matches!(outcome.events.last(), Some(Event::Finished(_))), "{:?}", outcome.events.last());
    outcome.events
}

fn made(events: &[Event]) -> (Model, Metrics) {
    let model = events.iter().find_map(|e| match e {
        Event::Model { model, metrics, .. } => Some(((**model).clone(), metrics.clone())),
        _ => None,
    });
    model.unwrap()
}

fn metric(metrics: &Metrics, metric: Metric) -> f64 {
    metrics.iter().find(|(m, _)| *m == metric).unwrap().1
}

fn text(value: &str) -> ParamValue {
    ParamValue::Text(value.into())
}

/// A small residual network, trained for a few epochs.
fn trained() -> (Model, Metrics) {
    let mut b = GraphBuilder::new("small", &[1, 8, 8]);
    let x = b.input();
    let layer = |b: &mut GraphBuilder, x: &str, channels: usize, stride: usize| {
        let c = b.conv(x, channels, 3, ConvOptions { stride, ..ConvOptions::default() }).unwrap();
        b.batch_norm(&c).unwrap()
    };
    let a = layer(&mut b, &x, 16, 1);
    let a = b.unary("Relu", &a).unwrap();
    let c = layer(&mut b, &a, 16, 1);
    let c = b.add(&a, &c).unwrap();
    let c = b.unary("Relu", &c).unwrap();
    let c = layer(&mut b, &c, 24, 2);
    let c = b.unary("Relu", &c).unwrap();
    let c = b.unary("GlobalAveragePool", &c).unwrap();
    let c = b.unary("Flatten", &c).unwrap();
    let y = b.linear(&c, 10).unwrap();
    let model = Model::init(b.finish(&y).unwrap(), 1);
    let config = Config::default().with("train.epochs", ParamValue::Int(12));
    made(&run("train", config, model))
}

#[test]
fn half_of_the_macs_or_most_of_the_weights_go_and_the_network_still_reads() {
    let (model, before) = trained();
    assert!(metric(&before, Metric::TestAccuracy) > 0.9, "{before:?}");
    let config = Config::default()
        .with("prune.amount", ParamValue::Float(0.5))
        .with("prune.steps", ParamValue::Int(2))
        .with("prune.epochs", ParamValue::Int(4));
    let events = run("prune", config, model.clone());
    let (pruned, after) = made(&events);
    pruned.check().unwrap();
    let macs = |m: &Metrics| metric(m, Metric::Macs);
    assert!(macs(&after) <= 0.5 * macs(&before) && macs(&after) > 0.3 * macs(&before));
    let lost = metric(&before, Metric::TestAccuracy) - metric(&after, Metric::TestAccuracy);
    assert!(lost < 0.05, "lost {lost}");
    println!("structured: {:?}", events.last());
    // Before, after each of two steps, with and without training.
    for (line, points) in [("pruned", 3), ("fine-tuned", 3)] {
        let n: usize = events
            .iter()
            .filter_map(|e| match e {
                Event::Series { line: l, points, .. } if l == line => Some(points.len()),
                _ => None,
            })
            .sum();
        assert_eq!(n, points, "{line}");
    }
    let rows = events.iter().find_map(|e| match e {
        Event::Table { title, rows, .. } if title == "Sizes" => Some(rows.clone()),
        _ => None,
    });
    let rows = rows.unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0][1], rows[1][1], "masking alone makes no plain file smaller");
    assert_ne!(rows[1][1], rows[2][1]);

    let config = Config::default()
        .with("prune.kind", text("unstructured"))
        .with("prune.amount", ParamValue::Float(0.8))
        .with("prune.schedule", text("cubic"))
        .with("prune.steps", ParamValue::Int(3))
        .with("prune.epochs", ParamValue::Int(4));
    let events = run("prune", config, model);
    println!("unstructured: {:?}", events.last());
    let (pruned, after) = made(&events);
    assert_eq!(macs(&after), macs(&before));
    for (name, weight) in &pruned.weights {
        for (i, v) in weight.to_f32().iter().enumerate() {
            assert!(weight.kept(i) || *v == 0.0, "{name}: training keeps the zeros");
        }
    }
    let kept = metric(&after, Metric::NonZero) / metric(&before, Metric::NonZero);
    assert!((0.19..0.25).contains(&kept), "{kept}");
    let lost = metric(&before, Metric::TestAccuracy) - metric(&after, Metric::TestAccuracy);
    assert!(lost < 0.06, "lost {lost}");
}

#[test]
fn int8_keeps_what_the_network_knows_and_four_bits_nearly() {
    let (model, before) = trained();
    let bytes = |m: &Metrics| metric(m, Metric::Bytes);
    for (bits, calibration, worst, smaller) in [(8, "min-max", 0.01, 3.0), (4, "mse", 0.08, 4.5)] {
        let config = Config::default()
            .with("quant.weight_bits", ParamValue::Int(bits))
            .with("quant.calibration", text(calibration));
        let events = run("quantize", config, model.clone());
        println!("{bits} bits: {:?}", events.last());
        let (quantized, after) = made(&events);
        quantized.check().unwrap();
        assert!(!quantized.activations.is_empty());
        let lost = metric(&before, Metric::TestAccuracy) - metric(&after, Metric::TestAccuracy);
        assert!(lost <= worst, "{bits} bits lost {lost}");
        assert!(bytes(&before) / bytes(&after) > smaller, "{} {}", bytes(&before), bytes(&after));
        // Four products, before and after.
        let drawn = events.iter().filter(|e| matches!(e, Event::Histogram { .. })).count();
        assert_eq!(drawn, 8);
        let rows = events.iter().find_map(|e| match e {
            Event::Table { title, rows, .. } if title == "Float and integers" => Some(rows.len()),
            _ => None,
        });
        assert_eq!(rows, Some(2));
        // What is quantized cannot be quantized or pruned again, and says so.
        for kind in ["quantize", "prune"] {
            let spec = RunSpec {
                kind: kind.into(),
                config: Config::default(),
                seed: 0,
                data: "digits".into(),
                model: Some(quantized.clone()),
            };
            let options = Options { threads: 1, stop_after: None };
            let outcome = pool::run(spec, &pool::shipped().unwrap(), Vec::new(), options, |_| {}).unwrap();
            let Some(Event::Error(message)) = outcome.events.last() else { panic!("{:?}", outcome.events) };
            assert!(message.contains("quantized"), "{message}");
        }
    }
}
