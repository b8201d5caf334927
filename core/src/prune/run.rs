//! The run `prune`: a model loses channels or weights step by step, is trained in between, and
//! says at every step what it has lost.

use super::params::PARAMS;
use super::select::maskable;
use super::size::{compress, dense_bytes};
use super::task::{PruneTask, What, compose, everything, masked_twin};
use super::{Budget, Schedule, Scope};
use crate::data::Split;
use crate::job::LocalFuture;
use crate::model::{Anatomy, Model, Storage};
use crate::params::Config;
use crate::protocol::{Event, Metric, RunSpec, Tone};
use crate::run::{RunCtx, RunKind};
use crate::train::evaluate::EvaluateTask;
use crate::train::run::counts;
use crate::train::{Start, TrainConfig, TrainTask};
use crate::{Error, Result};

/// The registry's entry.
pub const KIND: RunKind = RunKind { id: "prune", start };

/// Batches over which batch-norm statistics are taken anew after each fine-tuning.
const RECALIBRATE: u32 = 16;
/// Bins of a histogram of weights.
const BINS: usize = 61;

fn start(spec: RunSpec, ctx: RunCtx) -> LocalFuture<'static, Result<()>> {
    Box::pin(run(spec, ctx))
}

/// The settings, read once.
struct Settings {
    what: What,
    schedule: Schedule,
    steps: u32,
    amount: f64,
    epochs: u32,
}

impl Settings {
    fn new(config: &Config) -> Self {
        let text = |key: &str| config.text(PARAMS, key);
        let schedule = if text("prune.schedule") == "one-shot" { Schedule::OneShot } else { Schedule::Cubic };
        let budget = match text("prune.budget").as_str() {
            "params" => Budget::Params,
            "channels" => Budget::Channels,
            _ => Budget::Macs,
        };
        Self {
            what: if text("prune.kind") == "unstructured" { What::Weights } else { What::Channels(budget) },
            schedule,
            steps: match schedule {
                Schedule::OneShot => 1,
                Schedule::Cubic => config.count(PARAMS, "prune.steps").max(1) as u32,
            },
            amount: config.float(PARAMS, "prune.amount"),
            epochs: config.count(PARAMS, "prune.epochs") as u32,
        }
    }

    /// What an amount is a part of, for people.
    fn of(&self) -> &'static str {
        match self.what {
            What::Weights => "weights",
            What::Channels(Budget::Macs) => "MACs",
            What::Channels(Budget::Params) => "parameters",
            What::Channels(Budget::Channels) => "channels",
        }
    }
}

async fn run(spec: RunSpec, ctx: RunCtx) -> Result<()> {
    spec.config.check(PARAMS)?;
    let settings = Settings::new(&spec.config);
    let original = spec.model.clone().ok_or_else(|| {
        Error::config("model", "choose a trained model first; pruning takes away from its weights")
    })?;
    if original.weights.values().any(|w| matches!(w.storage, Storage::Int(_))) {
        return Err(Error::Unsupported(format!(
            "“{}” is quantized; prune the float network, then quantize",
            original.graph.name
        )));
    }
    let name = original.graph.name.clone();
    let total = 2 + 2 * settings.steps;
    ctx.emit(Event::Started {
        title: format!("Pruning {} of the {} of “{name}”", percent(settings.amount), settings.of()),
        steps: Some(total),
    });
    let mut done = 0;
    let mut progress = |label: String| {
        done += 1;
        ctx.emit(Event::Progress { done, total, label });
    };
    let evaluate = |model: &Model, split: Split| {
        ctx.spawn(&EvaluateTask {
            label: format!("test “{name}”"),
            model: Box::new(model.clone()),
            data: spec.data.clone(),
            split,
        })
    };
    let before_test = evaluate(&original, Split::Test).await?.accuracy;
    let before_val = evaluate(&original, Split::Validation).await?.accuracy;
    histogram(&ctx, &original, &original, "before", Tone::Baseline);
    let point = |line: &str, tone: Tone, x: f64, y: f32| {
        ctx.emit(Event::Series {
            chart: "Accuracy while pruning".into(),
            line: line.into(),
            tone,
            x_label: format!("{} removed (%)", settings.of()),
            y_label: "validation accuracy".into(),
            points: vec![(100.0 * x, f64::from(y))],
        });
    };
    point("pruned", Tone::Prune, 0.0, before_val);
    point("fine-tuned", Tone::Grow, 0.0, before_val);
    progress("measured before pruning".into());

    let mut model = original.clone();
    let mut kept = everything(&original.graph);
    let (mut channels, mut val) = (0, before_val);
    let mut gone = 0.0;
    for step in 1..=settings.steps {
        let target = settings.schedule.sparsity(step, settings.steps, 0.0, settings.amount);
        // Channels that went before are no longer counted: the fraction is one of what is left.
        let fraction = match settings.what {
            What::Weights => target,
            What::Channels(_) => ((target - gone) / (1.0 - gone)).clamp(0.0, 1.0),
        };
        let pruned = ctx
            .spawn(&PruneTask {
                label: format!("prune “{name}”, step {step} of {}", settings.steps),
                model: Box::new(model),
                what: settings.what,
                fraction,
                criterion: spec.config.text(PARAMS, "prune.criterion"),
                scope: if spec.config.text(PARAMS, "prune.scope") == "layer" {
                    Scope::Layer
                } else {
                    Scope::Global
                },
                normalize: spec.config.bool(PARAMS, "prune.normalize"),
                seed: crate::rng::derive(spec.seed, &format!("prune.{step}")),
            })
            .await?;
        model = pruned.model;
        kept = compose(&kept, &pruned.kept);
        channels += pruned.channels;
        gone = match settings.what {
            What::Channels(Budget::Channels) => {
                let left = super::Groups::of(&model.graph)?.classes.len() as f64;
                // Those that cannot go (the last of a layer) are not among them.
                1.0 - left / (left + f64::from(channels)).max(1.0)
            }
            _ => part_gone(&original, &model, settings.what)?,
        };
        val = evaluate(&model, Split::Validation).await?.accuracy;
        point("pruned", Tone::Prune, gone, val);
        progress(format!("{} of the {} gone", percent(gone), settings.of()));
        if settings.epochs > 0 {
            let config = TrainConfig {
                epochs: settings.epochs,
                rate: spec.config.float(PARAMS, "prune.rate") as f32,
                recalibrate: RECALIBRATE,
                ..TrainConfig::default()
            };
            let trained = ctx
                .spawn(&TrainTask {
                    label: format!("train “{name}” on, step {step} of {}", settings.steps),
                    start: Start::Model(Box::new(model)),
                    data: spec.data.clone(),
                    config,
                    seed: crate::rng::derive(spec.seed, &format!("prune.tune.{step}")),
                    test: false,
                })
                .await?;
            model = trained.model;
            val = trained.val_accuracy;
        }
        point("fine-tuned", Tone::Grow, gone, val);
        progress(format!("step {step} of {} trained", settings.steps));
    }

    let evaluation = evaluate(&model, Split::Test).await?;
    histogram(&ctx, &original, &model, "after", Tone::Prune);
    let sizes = Sizes::measure(&original, &model, &kept)?;
    ctx.emit(sizes.table());
    ctx.emit(evaluation.event());
    progress("measured after pruning".into());
    let (old, new) = (original.graph.analyze(1)?.total, model.graph.analyze(1)?.total);
    let verb = match settings.what {
        What::Weights => format!("{} of the weights pruned", percent(gone)),
        What::Channels(_) => {
            format!("{channels} channels pruned, {} of the {}", percent(gone), settings.of())
        }
    };
    let mut metrics = counts(&model)?;
    metrics.extend([
        (Metric::ValAccuracy, f64::from(val)),
        (Metric::TestAccuracy, f64::from(evaluation.accuracy)),
        (Metric::ValLoss, f64::from(evaluate(&model, Split::Validation).await?.loss)),
        (Metric::CompressedBytes, sizes.after.compressed as f64),
    ]);
    ctx.emit(Event::Model {
        name: name.clone(),
        tone: Tone::Prune,
        made_by: verb,
        anatomy: Anatomy::of(&model.graph),
        model: Box::new(model),
        metrics,
    });
    ctx.emit(Event::Finished(sentence(
        &settings,
        gone,
        (before_test, evaluation.accuracy),
        &sizes,
        (old.macs, new.macs),
    )));
    Ok(())
}

/// The part of the original that is gone, 0 to 1.
fn part_gone(original: &Model, model: &Model, what: What) -> Result<f64> {
    let (before, after) = match what {
        What::Channels(Budget::Params) => {
            (original.graph.trainable_params() as f64, model.graph.trainable_params() as f64)
        }
        What::Channels(_) => {
            (original.graph.analyze(1)?.total.macs as f64, model.graph.analyze(1)?.total.macs as f64)
        }
        What::Weights => {
            let count = |f: fn(&crate::model::Weight) -> usize| -> f64 {
                let weights = model.weights.iter().filter(|(n, _)| maskable(&model.graph, n));
                weights.map(|(_, w)| f(w) as f64).sum()
            };
            (count(crate::model::Weight::len), count(crate::model::Weight::nonzero))
        }
    };
    Ok(1.0 - after / before.max(1.0))
}

/// Dense and compressed bytes of one model.
#[derive(Clone, Copy)]
struct Bytes {
    dense: u64,
    compressed: u64,
}

impl Bytes {
    fn of(model: &Model) -> Self {
        Self { dense: dense_bytes(model), compressed: compress(model).len() as u64 }
    }
}

struct Sizes {
    before: Bytes,
    masked: Bytes,
    after: Bytes,
}

impl Sizes {
    fn measure(original: &Model, model: &Model, kept: &super::task::Kept) -> Result<Self> {
        // Where single weights went, channels may have died with them.
        let shrunk = super::size::remove_dead(model)?;
        Ok(Self {
            before: Bytes::of(original),
            masked: Bytes::of(&masked_twin(original, model, kept)),
            after: Bytes::of(&shrunk),
        })
    }

    fn table(&self) -> Event {
        let row = |what: &str, b: Bytes| vec![what.to_owned(), kib(b.dense), kib(b.compressed)];
        Event::Table {
            title: "Sizes".into(),
            columns: ["", "as stored", "compressed"].map(String::from).into(),
            rows: vec![
                row("before", self.before),
                row("masked: zeros in their places", self.masked),
                row("shrunk: channels removed", self.after),
            ],
        }
    }
}

fn sentence(
    settings: &Settings,
    gone: f64,
    (before, after): (f32, f32),
    sizes: &Sizes,
    (old_macs, new_macs): (u64, u64),
) -> String {
    let change = 100.0 * (after - before);
    let accuracy = if change.abs() < 0.05 {
        "kept its accuracy".to_owned()
    } else if change < 0.0 {
        format!("lost {:.1} points", -change)
    } else {
        format!("gained {change:.1} points")
    };
    let part = percent(gone);
    let what = settings.of();
    let cost = match settings.what {
        What::Channels(_) => format!(
            "the network computes {:.1}x less and takes {} instead of {}",
            old_macs as f64 / new_macs.max(1) as f64,
            kib(sizes.after.dense),
            kib(sizes.before.dense)
        ),
        What::Weights => format!(
            "its file compresses to {} instead of {}; it runs no faster for it",
            kib(sizes.masked.compressed),
            kib(sizes.before.compressed)
        ),
    };
    format!(
        "{part} of the {what} are gone; {cost}, and it {accuracy} on the test samples ({:.1} %).",
        100.0 * after
    )
}

/// A part as "50 %".
fn percent(part: f64) -> String {
    format!("{:.0} %", 100.0 * part)
}

/// Bytes as "12.4 KiB".
pub(crate) fn kib(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    if kib < 99.95 { format!("{kib:.1} KiB") } else { format!("{kib:.0} KiB") }
}

/// The histogram of a model's weights (of two axes or more, zeros by masks left out) over the range
/// of another's.
fn histogram(ctx: &RunCtx, range: &Model, model: &Model, label: &str, tone: Tone) {
    let limit = range
        .weights
        .iter()
        .filter(|(n, _)| maskable(&range.graph, n))
        .flat_map(|(_, w)| w.to_f32())
        .fold(1e-6f32, |a, v| a.max(v.abs()));
    let kept = |(_, w): (&String, &crate::model::Weight)| {
        w.to_f32().into_iter().enumerate().filter(|(i, _)| w.kept(*i)).map(|(_, v)| v).collect::<Vec<_>>()
    };
    let values: Vec<f32> =
        model.weights.iter().filter(|(n, _)| maskable(&model.graph, n)).flat_map(kept).collect();
    ctx.emit(Event::Histogram {
        title: "Weights".into(),
        label: label.into(),
        tone,
        range: (f64::from(-limit), f64::from(limit)),
        counts: bins(&values, -limit, limit),
    });
}

/// Counts of values in equal bins; what lies outside counts in the outermost.
pub(crate) fn bins(values: &[f32], low: f32, high: f32) -> Vec<u32> {
    let mut counts = vec![0; BINS];
    for v in values {
        let at = (v - low) / (high - low) * BINS as f32;
        counts[(at.max(0.0) as usize).min(BINS - 1)] += 1;
    }
    counts
}
