//! The run kind `latency`: networks of a space timed on this machine, beside what a table of their steps predicts.

use crate::params::ParamSpec;

/// The run's own settings.
static SPECS: &[ParamSpec] = &[
    ParamSpec::choice(
        "latency.on",
        "Timed on",
        &[("cpu", "the CPU engine"), ("gpu", "the GPU engine (WebGPU)")],
        "cpu",
        "On the CPU every step of the engine's plan is timed, on the GPU every operator as training runs it, passes queued one behind the other. Each device has a table of its own, which is kept for later visits.",
    ),
    ParamSpec::bool(
        "latency.again",
        "Measure again",
        false,
        "Steps that an earlier run has timed here are timed anew; do that where something else ran at the time.",
    ),
    ParamSpec::int("latency.networks", "Networks", 4, 200, 20, "How many networks are drawn and timed."),
    ParamSpec::int(
        "latency.batch",
        "Samples at once",
        1,
        256,
        1,
        "How many samples a network runs on at once.",
    ),
];

/// Every setting: its own, the space and the space's.
pub fn specs() -> Vec<ParamSpec> {
    let wanted = |s: &ParamSpec| {
        s.key == "space" || crate::space::ALL.iter().any(|e| e.method.params.iter().any(|p| p.key == s.key))
    };
    SPECS.iter().copied().chain(super::specs().into_iter().filter(wanted)).collect()
}

#[cfg(feature = "compute")]
pub use run::KIND;

#[cfg(feature = "compute")]
mod run {
    use super::super::run::{DescribeTask, costs};
    use super::specs;
    use crate::engine::measure::{LatencyTask, StepTimesTask};
    use crate::engine::table::LatencyTable;
    use crate::model::{Graph, Model};
    use crate::order::Order;
    use crate::protocol::{Event, Metric, RunSpec, Tone};
    use crate::rank::pearson;
    use crate::rng::Rng;
    use crate::run::{RunCtx, RunKind};
    use crate::space;
    use crate::train::device_time::DeviceTimesTask;
    use crate::{Error, Result};
    use std::collections::BTreeSet;

    /// The run kind.
    pub const KIND: RunKind = RunKind { id: "latency", start: |spec, ctx| Box::pin(start(spec, ctx)) };

    /// Draws in a row that may be no network, or a known one.
    const REDRAWS: u32 = 1000;
    /// Larger ones say nothing new and take long.
    const MOST_MACS: u64 = 2_000_000;
    /// Steps in the table that is shown.
    const SHOWN: usize = 12;

    fn draw(
        space: &dyn space::Space,
        spec: &RunSpec,
        count: usize,
        shape: &[usize],
        classes: usize,
    ) -> Vec<(String, Graph)> {
        let genes = space.genes(&spec.config);
        let mut rng = Rng::stream(spec.seed, "latency");
        let (mut drawn, mut known) = (Vec::new(), BTreeSet::new());
        for _ in 0..REDRAWS {
            if drawn.len() >= count {
                break;
            }
            let genome = space.canonical(&spec.config, &space::sample(&genes, &mut rng));
            let Ok(graph) = space.graph(&spec.config, &genome, shape, classes) else { continue };
            let small = graph.analyze(1).is_ok_and(|a| a.total.macs <= MOST_MACS);
            if small && known.insert(graph.fingerprint()) {
                drawn.push((space.label(&spec.config, &genome), graph));
            }
        }
        drawn
    }

    async fn start(spec: RunSpec, ctx: RunCtx) -> Result<()> {
        let specs = specs();
        spec.config.check(&specs)?;
        let id = spec.config.text(&specs, "space");
        let space =
            space::get(&id).ok_or_else(|| Error::config("space", format!("there is no space “{id}”")))?;
        let count = spec.config.count(&specs, "latency.networks");
        let batch = spec.config.count(&specs, "latency.batch").max(1) as u32;
        ctx.emit(Event::Started {
            title: format!("{count} networks of “{}”, timed and predicted", space.method().name),
            steps: Some(count as u32),
        });
        let described = ctx.spawn(&DescribeTask { data: spec.data.clone() }).await?;
        let drawn = draw(space, &spec, count, &described.shape, described.classes);
        if drawn.len() < 4 {
            return Err(Error::Unsupported(format!(
                "only {} networks of “{}” fit {}; a correlation takes at least four",
                drawn.len(),
                space.method().name,
                spec.data
            )));
        }
        let kept = !spec.config.bool(&specs, "latency.again");
        let gpu = spec.config.text(&specs, "latency.on") == "gpu";
        let (mut table, mut rows) = (LatencyTable::default(), Vec::new());
        for (i, (label, graph)) in drawn.into_iter().enumerate() {
            let costs = costs(&graph)?;
            let model = Box::new(Model::init(graph.clone(), spec.seed));
            // One after the other: two at once would time each other.
            let (predicted, measured);
            if gpu {
                let times = ctx.spawn(&DeviceTimesTask { model, batch, table, kept }).await?;
                (table, predicted, measured) = (times.table, times.predicted_ms, times.measured_ms);
            } else {
                table = ctx.spawn(&StepTimesTask { model: model.clone(), batch, table, kept }).await?;
                measured = ctx.spawn(&LatencyTask { model: model.clone(), batch }).await?.median_ms;
                predicted = table.predict(&model, batch as usize)?.unwrap_or(f64::NAN);
            }
            let macs = costs.iter().find(|(m, _)| *m == Metric::Macs).map_or(0.0, |(_, v)| *v);
            rows.push((predicted, measured, macs));
            let mut metrics = vec![(Metric::PredictedMs, predicted), (Metric::LatencyMs, measured)];
            metrics.extend(costs);
            ctx.emit(Event::graph(i as u32, graph));
            ctx.emit(Event::Point {
                group: space.method().name.into(),
                tone: Tone::Grow,
                id: i as u32,
                label: label.clone(),
                metrics,
                parents: Vec::new(),
            });
            ctx.emit(Event::Progress { done: i as u32 + 1, total: count as u32, label });
        }
        tell(&ctx, &table, &rows, gpu);
        Ok(())
    }

    fn tell(ctx: &RunCtx, table: &LatencyTable, rows: &[(f64, f64, f64)], gpu: bool) {
        let mut steps: Vec<(&String, &f64)> = table.0.iter().collect();
        steps.order_by(|a, b| b.1.total_cmp(a.1));
        let shown =
            steps.iter().take(SHOWN).map(|(key, ms)| vec![(*key).clone(), format!("{:.2}", 1000.0 * **ms)]);
        ctx.emit(Event::Table {
            title: format!("The {} slowest of {} steps", SHOWN.min(steps.len()), steps.len()),
            columns: vec!["Step".into(), "Microseconds".into()],
            rows: shown.collect(),
        });
        let [predicted, measured, macs] =
            [|r: &(f64, f64, f64)| r.0, |r: &(f64, f64, f64)| r.1, |r: &(f64, f64, f64)| r.2]
                .map(|side| rows.iter().map(side).collect::<Vec<f64>>());
        let r = |of: &[f64]| pearson(of, &measured).map_or_else(|| "none".to_owned(), |r| format!("{r:.3}"));
        let ratio = rows.iter().map(|(p, m, _)| p / m).sum::<f64>() / rows.len().max(1) as f64;
        ctx.emit(Event::Finished(format!(
            "On this machine’s {} the sum of the steps predicts a network's latency with r = {} (its MACs do with r = {}); the sum is {:.0} % of what was measured on the whole.",
            if gpu { "GPU" } else { "CPU" },
            r(&predicted),
            r(&macs),
            100.0 * ratio,
        )));
    }
}
