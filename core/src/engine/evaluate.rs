//! What a network is worth and what it costs, measured on the engine: accuracy, confusion,
//! latency.

use super::Plan;
use crate::data::{Dataset, Split};
use crate::model::{Dim, Model};
use crate::order::Order;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Samples at a time when a split is evaluated.
const BATCH: usize = 64;

/// How a classifier does on a split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Part of the samples that are classified right, 0 to 1.
    pub accuracy: f64,
    /// `confusion[true class][predicted class]`, in samples.
    pub confusion: Vec<Vec<u32>>,
    /// Predicted classes, in the order of the split's indices.
    pub predictions: Vec<u32>,
}

/// Runs a split through the engine, in the model's own numbers.
///
/// # Errors
/// The model does not fit the data, or gives numbers that are none.
pub fn evaluate(model: &Model, data: &Dataset, split: Split) -> Result<Evaluation> {
    let indices = data.split(split);
    let wrong = |message: String| Error::Data { name: data.name.clone(), message };
    if indices.is_empty() {
        return Err(wrong(format!("its {split:?} split is empty")));
    }
    let shape: Vec<usize> = match model.graph.inputs.first() {
        Some(port) => port.shape.iter().filter_map(|d| if let Dim::Fixed(n) = d { Some(*n) } else { None }),
        None => return Err(wrong("the network has no input".into())),
    }
    .collect();
    if shape != data.shape {
        return Err(wrong(format!("its samples are {:?} where the network takes {shape:?}", data.shape)));
    }
    let mut plan = Plan::new(model, BATCH.min(indices.len()))?;
    let classes = data.classes.len();
    let mut confusion = vec![vec![0; classes]; classes];
    let mut predictions = Vec::with_capacity(indices.len());
    for chunk in indices.chunks(plan.batch()) {
        let (inputs, labels) = data.gather(chunk);
        let outputs = plan.run_all(&inputs)?;
        if outputs.len() != chunk.len() * classes {
            return Err(wrong(format!(
                "the network gives {} values per sample for {classes} classes",
                outputs.len() / chunk.len().max(1)
            )));
        }
        for (logits, label) in outputs.chunks_exact(classes.max(1)).zip(labels) {
            let predicted = argmax(logits)?;
            if let Some(cell) = confusion.get_mut(label as usize).and_then(|row| row.get_mut(predicted)) {
                *cell += 1;
            }
            predictions.push(predicted as u32);
        }
    }
    let right: u32 = (0..classes).map(|i| confusion[i][i]).sum();
    Ok(Evaluation { accuracy: f64::from(right) / indices.len() as f64, confusion, predictions })
}

/// The index of the largest value; the first of equals.
///
/// # Errors
/// There are no values, or one is NaN.
pub fn argmax(values: &[f32]) -> Result<usize> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return Err(Error::Numeric("the network's answer is not a number; its weights have diverged".into()));
    }
    Ok((1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best }))
}

/// Softmax of logits, in a way that does not overflow.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::MIN, f32::max);
    let exp: Vec<f32> = logits.iter().map(|x| (x - max).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.into_iter().map(|e| e / sum).collect()
}

/// How long one run of a plan takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyStats {
    /// Median, milliseconds per run of the whole batch.
    pub median_ms: f64,
    /// 10th percentile, milliseconds.
    pub p10_ms: f64,
    /// 90th percentile, milliseconds.
    pub p90_ms: f64,
    /// Measurements taken.
    pub repeats: u32,
}

/// Measures a model's latency at a batch size. `now_ms` is a clock from outside, in milliseconds;
/// browsers round theirs, so that each measurement repeats the run until at least 2 ms have
/// passed (at most 4096 times). Takes about 150 ms, or 5 runs where those take longer.
///
/// # Errors
/// The model cannot be planned.
pub fn latency(model: &Model, batch: usize, now_ms: &dyn Fn() -> f64) -> Result<LatencyStats> {
    let mut plan = Plan::new(model, batch)?;
    let input: Vec<f32> = {
        let mut rng = crate::rng::Rng::stream(0, "latency");
        (0..plan.input_len()).map(|_| rng.f32()).collect()
    };
    let mut output = Vec::new();
    // The first runs warm caches up, and say how many make a measurement.
    let mut runs = 1u32;
    loop {
        let start = now_ms();
        for _ in 0..runs {
            plan.run(&input, &mut output)?;
        }
        if now_ms() - start >= 2.0 || runs >= 4096 {
            break;
        }
        runs *= 2;
    }
    let mut times = Vec::new();
    let begin = now_ms();
    while times.len() < 5 || (now_ms() - begin < 150.0 && times.len() < 200) {
        let start = now_ms();
        for _ in 0..runs {
            plan.run(&input, &mut output)?;
        }
        times.push((now_ms() - start) / f64::from(runs));
    }
    times.order_by(f64::total_cmp);
    let at = |p: f64| times[((times.len() - 1) as f64 * p).round() as usize];
    Ok(LatencyStats { median_ms: at(0.5), p10_ms: at(0.1), p90_ms: at(0.9), repeats: times.len() as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GraphBuilder, Weight};
    use std::cell::Cell;

    /// Two values per sample; the larger one is the class.
    fn setting() -> (Model, Dataset) {
        let mut b = GraphBuilder::new("g", &[2]);
        let x = b.input();
        let y = b.linear(&x, 2).unwrap();
        let mut model = Model::init(b.finish(&y).unwrap(), 0);
        model.weights.insert("gemm0.weight".into(), Weight::dense(vec![2, 2], vec![1.0, 0.0, 0.0, 1.0]));
        let labels: Vec<u32> = (0..100).map(|i| i % 2).collect();
        // Every tenth sample looks like the other class.
        let inputs = labels.iter().enumerate().flat_map(|(i, l)| {
            let looks = if i % 10 == 0 { 1 - l } else { *l };
            [f32::from(u8::from(looks == 0)), f32::from(u8::from(looks == 1))]
        });
        let data = Dataset {
            name: "d".into(),
            shape: vec![2],
            inputs: inputs.collect(),
            labels,
            classes: vec!["a".into(), "b".into()],
            train: Vec::new(),
            validation: Vec::new(),
            test: (0..100).collect(),
            table: None,
        };
        (model, data)
    }

    #[test]
    fn counts_what_is_right_and_where_the_rest_goes() {
        let (model, data) = setting();
        let e = evaluate(&model, &data, Split::Test).unwrap();
        assert_eq!(e.accuracy, 0.9);
        assert_eq!(e.confusion, [[40, 10], [0, 50]]);
        assert_eq!(e.predictions[..3], [1, 1, 0]);
        assert!(evaluate(&model, &data, Split::Train).unwrap_err().to_string().contains("empty"));
        let other = Dataset { shape: vec![1, 2], ..data };
        assert!(evaluate(&model, &other, Split::Test).unwrap_err().to_string().contains("[1, 2]"));
    }

    #[test]
    fn latency_follows_the_clock_it_is_given() {
        let (model, _) = setting();
        let time = Cell::new(0.0);
        // A clock that moves by 3 ms whenever it is read.
        let now = || {
            time.set(time.get() + 3.0);
            time.get()
        };
        let stats = latency(&model, 1, &now).unwrap();
        assert_eq!((stats.median_ms, stats.p10_ms, stats.p90_ms), (3.0, 3.0, 3.0));
        assert!(stats.repeats >= 5);
        // A clock that stands still ends too.
        assert_eq!(latency(&model, 1, &|| 0.0).unwrap().median_ms, 0.0);
    }
}
