//! What every step of a network costs on this machine, measured once each: a network's latency as their sum.
//!
//! Lookup tables of operator latencies are how ProxylessNAS (Cai, Zhu and Han, ICLR 2019, arXiv:1812.00332, section
//! 3.3) and its followers know a network's speed without running it. Here an entry is a step of the engine's plan
//! (what was fused into a layer is in it), so the table is of the kernels that really run.

use super::plan::Plan;
use crate::Result;
use crate::model::{Attr, Attrs, Model};
use crate::order::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a step is repeated before it is timed, in milliseconds: a browser compiles what runs often once more, and
/// better, and what is timed before that is soon no longer true.
const WARM_MS: f64 = 4.0;
/// How long one measurement lasts at least, for a clock of tens of microseconds, in milliseconds.
const LEAST_MS: f64 = 0.6;
/// Measurements of a step; the second shortest counts: whatever else the machine does only makes them longer, and the
/// shortest may owe itself to a coarse clock.
const SAMPLES: usize = 9;
/// Repetitions of a step in one measurement, at most.
const MOST: u32 = 1 << 16;

/// Milliseconds of each step, by what it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyTable(pub BTreeMap<String, f64>);

impl LatencyTable {
    /// Measures the steps of a model that are not known yet, at a batch, by a clock in milliseconds. Says how many
    /// there were.
    ///
    /// # Errors
    /// The model cannot be planned.
    pub fn learn(&mut self, model: &Model, batch: usize, now_ms: &dyn Fn() -> f64) -> Result<usize> {
        let mut plan = Plan::new(model, batch)?;
        let keys = keys(&plan, model);
        // What the steps work on must be a network's values and not what memory held.
        let input: Vec<f32> = (0..plan.input_len()).map(|i| (i * 7 % 17) as f32 / 16.0).collect();
        let mut new = 0;
        for (index, key) in keys.into_iter().enumerate() {
            if self.0.contains_key(&key) {
                continue;
            }
            plan.run(&input, &mut Vec::new())?;
            self.0.insert(key, time_step(&mut plan, index, now_ms));
            new += 1;
        }
        Ok(new)
    }

    /// Takes those steps of a model that are not known here from another table, where that knows them.
    ///
    /// # Errors
    /// The model cannot be planned.
    pub fn take(&mut self, from: &Self, model: &Model, batch: usize) -> Result<()> {
        for key in keys(&Plan::new(model, batch)?, model) {
            if let Some(ms) = from.0.get(&key) {
                self.0.entry(key).or_insert(*ms);
            }
        }
        Ok(())
    }

    /// As text, a line for each entry.
    pub fn write(&self) -> String {
        self.0.iter().map(|(key, ms)| format!("{ms} {key}\n")).collect()
    }

    /// What [`Self::write`] wrote; `None` where it was something else.
    pub fn read(text: &str) -> Option<Self> {
        let entry = |line: &str| {
            let (ms, key) = line.split_once(' ')?;
            Some((key.to_owned(), ms.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms >= 0.0)?))
        };
        text.lines().map(entry).collect::<Option<_>>().map(Self)
    }

    /// The sum over a model's steps, in milliseconds; `None` where one of them is not known.
    ///
    /// # Errors
    /// The model cannot be planned.
    pub fn predict(&self, model: &Model, batch: usize) -> Result<Option<f64>> {
        let plan = Plan::new(model, batch)?;
        Ok(keys(&plan, model).iter().map(|key| self.0.get(key).copied()).sum())
    }
}

/// What each step is: its kernel, operator, attributes, what is fused into it and its shapes; not which network it is
/// part of, nor its weights' values.
fn keys(plan: &Plan, model: &Model) -> Vec<String> {
    let nodes: BTreeMap<&str, &crate::model::Node> =
        model.graph.nodes.iter().map(|n| (n.name.as_str(), n)).collect();
    let op = |name: &str| nodes.get(name).map_or(name, |n| n.op.as_str()).to_owned();
    let steps = plan.describe().into_iter().zip(plan.step_shapes());
    let each = steps.map(|(step, (reads, writes))| {
        let attrs = nodes.get(step.node.as_str()).map_or_else(String::new, |n| attributes(&n.attrs));
        let fused: Vec<String> = step.fused.iter().map(|f| op(f)).collect();
        let shapes = |all: &[Vec<usize>]| all.iter().map(|s| product(s)).collect::<Vec<_>>().join(", ");
        let name = std::iter::once(step.op).chain(fused).collect::<Vec<_>>().join(" + ");
        let (from, to) = (shapes(&reads), shapes(&writes));
        format!("{name}{attrs}: {from} → {to} ({}, {:?})", step.kernel, step.dtype)
    });
    each.collect()
}

/// Numbers as a shape is written: 1×8×8.
pub(crate) fn product<T: ToString>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join("×")
}

/// What a node is set to, where it is not what most are.
pub(crate) fn attributes(attrs: &Attrs) -> String {
    let written = attrs.iter().filter_map(|(name, value)| {
        let text = match value {
            Attr::Int(v) => v.to_string(),
            Attr::Float(v) => v.to_string(),
            Attr::Ints(v) => product(v),
            Attr::Floats(v) => product(v),
            Attr::Str(v) => v.clone(),
        };
        let usual =
            matches!((name.as_str(), text.as_str()), ("dilations" | "strides", "1×1") | ("group", "1"));
        (!usual).then(|| format!(" {name} {text}"))
    });
    written.collect()
}

/// Milliseconds of one step: the second shortest of a few measurements, each long enough for the clock.
fn time_step(plan: &mut Plan, index: usize, now_ms: &dyn Fn() -> f64) -> f64 {
    let mut measure = |times: u32| {
        let start = now_ms();
        plan.repeat_step(index, times);
        now_ms() - start
    };
    let begin = now_ms();
    for _ in 0..MOST {
        if now_ms() - begin >= WARM_MS {
            break;
        }
        measure(16);
    }
    let mut times = 1;
    while measure(times) < LEAST_MS && times < MOST {
        times *= 2;
    }
    let mut samples: Vec<f64> = (0..SAMPLES).map(|_| measure(times) / f64::from(times)).collect();
    samples.order_by(f64::total_cmp);
    samples[1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ConvOptions, GraphBuilder};
    use std::cell::Cell;

    fn network(widths: &[usize]) -> Model {
        let mut b = GraphBuilder::new("n", &[1, 8, 8]);
        let mut x = b.input();
        for width in widths {
            let y = b.conv(&x, *width, 3, ConvOptions::default()).unwrap();
            let y = b.batch_norm(&y).unwrap();
            x = b.unary("Relu", &y).unwrap();
        }
        let x = b.unary("GlobalAveragePool", &x).unwrap();
        let x = b.unary("Flatten", &x).unwrap();
        let y = b.linear(&x, 10).unwrap();
        Model::init(b.finish(&y).unwrap(), 1)
    }

    /// A clock that stands still but for a millisecond at each look.
    fn clock() -> impl Fn() -> f64 {
        let looks = Cell::new(0.0);
        move || {
            looks.set(looks.get() + 1.0);
            looks.get()
        }
    }

    #[test]
    fn a_step_is_measured_once_wherever_it_stands() {
        let mut table = LatencyTable::default();
        let now = clock();
        let (small, twice) = (network(&[4, 4]), network(&[4, 4, 4]));
        let first = table.learn(&small, 1, &now).unwrap();
        assert_eq!(first, table.0.len());
        assert_eq!(table.learn(&small, 1, &now).unwrap(), 0, "known");
        // The third layer is the second one again.
        assert_eq!(table.learn(&twice, 1, &now).unwrap(), 0, "{:#?}", table.0);
        let other = network(&[4, 5]);
        assert_eq!(table.predict(&other, 1).unwrap(), None, "a width of 5 was never measured");
        assert!(table.learn(&other, 1, &now).unwrap() >= 1);
        assert!(table.0.keys().any(|k| k.starts_with("Conv + ")), "{:#?}", table.0.keys());
        // Another batch is another matter.
        assert_eq!(table.predict(&small, 8).unwrap(), None);
    }

    #[test]
    fn a_prediction_is_the_sum_of_the_steps() {
        let mut table = LatencyTable::default();
        // Each measurement lasts one look of the clock: every step the same.
        let now = clock();
        let (two, three) = (network(&[4, 4]), network(&[4, 4, 4]));
        table.learn(&two, 1, &now).unwrap();
        let (a, b) = (table.predict(&two, 1).unwrap().unwrap(), table.predict(&three, 1).unwrap().unwrap());
        let steps = |m: &Model| Plan::new(m, 1).unwrap().describe().len() as f64;
        assert!((a - steps(&two)).abs() < 1e-9 && (b - steps(&three)).abs() < 1e-9, "{a}, {b}");
    }

    #[test]
    fn timing_a_step_leaves_the_network_s_answers_alone() {
        let model = network(&[4, 6]);
        let mut plan = Plan::new(&model, 1).unwrap();
        let input: Vec<f32> = (0..64).map(|i| i as f32 / 64.0).collect();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        plan.run(&input, &mut before).unwrap();
        for step in 0..plan.describe().len() {
            time_step(&mut plan, step, &clock());
        }
        plan.run(&input, &mut after).unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn only_a_model_s_own_steps_are_taken_from_another_table() {
        let (small, large) = (network(&[4]), network(&[4, 8]));
        let (mut kept, clock) = (LatencyTable::default(), clock());
        kept.learn(&large, 1, &clock).unwrap();
        let mut table = LatencyTable::default();
        table.take(&kept, &small, 1).unwrap();
        assert!(!table.0.is_empty() && table.0.len() < kept.0.len());
        assert!(table.0.iter().all(|(key, ms)| kept.0[key] == *ms));
        let mut other = LatencyTable::default();
        other.take(&kept, &small, 2).unwrap();
        assert!(other.0.is_empty(), "two samples at once are other steps");
        let first = table.0.keys().next().cloned().unwrap();
        let mut known = LatencyTable(BTreeMap::from([(first.clone(), 7.0)]));
        known.take(&kept, &small, 1).unwrap();
        assert_eq!(known.0[&first], 7.0, "what is known already stays");
        assert_eq!(LatencyTable::read(&table.write()), Some(table));
    }
}
