//! The run `quantize`: a float model becomes one on integers; what it costs and what it saves is
//! measured on the integers themselves.

use super::params::PARAMS;
use super::post_training::product_weights;
use super::task::{Accuracies, QuantizeTask};
use super::{Scheme, fold_batch_norm};
use crate::job::LocalFuture;
use crate::model::{Anatomy, Model, Storage};
use crate::protocol::{Event, Metric, RunSpec, Tone};
use crate::prune::run::{bins, kib};
use crate::prune::size::{compress, dense_bytes};
use crate::run::{RunCtx, RunKind};
use crate::train::run::counts;
use crate::train::{Start, TrainConfig, TrainTask};
use crate::{Error, Result};

/// The registry's entry.
pub const KIND: RunKind = RunKind { id: "quantize", start };

/// Layers whose histograms are drawn; of a deeper network, the first ones.
const DRAWN: usize = 16;

fn start(spec: RunSpec, ctx: RunCtx) -> LocalFuture<'static, Result<()>> {
    Box::pin(run(spec, ctx))
}

async fn run(spec: RunSpec, ctx: RunCtx) -> Result<()> {
    spec.config.check(PARAMS)?;
    let scheme = Scheme::from_params(&spec.config);
    scheme.check()?;
    let original = spec.model.clone().ok_or_else(|| {
        Error::config("model", "choose a trained model first; quantizing rounds its weights")
    })?;
    if let Some((weight, _)) = original.weights.iter().find(|(_, w)| matches!(w.storage, Storage::Int(_))) {
        return Err(Error::Unsupported(format!(
            "“{}” is quantized already (its weight “{weight}” is stored in integers); start from the float network",
            original.graph.name
        )));
    }
    let name = original.graph.name.clone();
    let epochs = spec.config.count(PARAMS, "quant.epochs") as u32;
    let bits = if scheme.weight_bits == scheme.activation_bits {
        format!("{} bits", scheme.weight_bits)
    } else {
        format!("{}-bit weights and {}-bit activations", scheme.weight_bits, scheme.activation_bits)
    };
    let total = 1 + u32::from(epochs > 0);
    ctx.emit(Event::Started { title: format!("Quantizing “{name}” to {bits}"), steps: Some(total) });
    let quantize = |label: String, model: &Model| {
        ctx.spawn(&QuantizeTask {
            label,
            model: Box::new(model.clone()),
            data: spec.data.clone(),
            scheme,
            samples: spec.config.count(PARAMS, "quant.samples") as u32,
            seed: spec.seed,
        })
    };
    let post = quantize(format!("quantize “{name}”"), &original).await?;
    ctx.emit(Event::Progress { done: 1, total, label: "calibrated and quantized".into() });
    let row = |what: &str, a: Accuracies, model: &Model| {
        vec![
            what.to_owned(),
            format!("{:.1} %", 100.0 * a.validation),
            format!("{:.1} %", 100.0 * a.test),
            kib(dense_bytes(model)),
            kib(compress(model).len() as u64),
        ]
    };
    let mut rows =
        vec![row("float", post.float, &original), row("integers, calibrated", post.integer, &post.model)];
    let (mut model, mut integer, mut source) = (post.model, post.integer, fold_batch_norm(&original)?);
    let mut made_by = format!("quantized to {bits}");
    if epochs > 0 {
        let config = TrainConfig {
            epochs,
            rate: spec.config.float(PARAMS, "quant.rate") as f32,
            quantize: Some(scheme),
            ..TrainConfig::default()
        };
        let trained = ctx
            .spawn(&TrainTask {
                label: format!("train “{name}” with quantization"),
                start: Start::Model(Box::new(source)),
                data: spec.data.clone(),
                config,
                seed: crate::rng::derive(spec.seed, "quant.train"),
                test: false,
            })
            .await?;
        crate::train::run::curves(&ctx, &trained);
        let aware = quantize(format!("quantize “{name}” after training"), &trained.model).await?;
        rows.push(row("integers, trained for them", aware.integer, &aware.model));
        (model, integer, source) = (aware.model, aware.integer, trained.model);
        made_by = format!("{made_by}, trained for it for {}", crate::train::run::in_epochs(epochs));
        ctx.emit(Event::Progress { done: 2, total, label: "trained and quantized".into() });
    }
    histograms(&ctx, &source, &model);
    ctx.emit(Event::Table {
        title: "Float and integers".into(),
        columns: ["", "validation accuracy", "test accuracy", "as stored", "compressed"]
            .map(String::from)
            .into(),
        rows,
    });
    let (before, after) = (dense_bytes(&original), dense_bytes(&model));
    let mut metrics = counts(&model)?;
    metrics.extend([
        (Metric::ValAccuracy, integer.validation),
        (Metric::TestAccuracy, integer.test),
        (Metric::CompressedBytes, compress(&model).len() as f64),
    ]);
    ctx.emit(Event::Model {
        name: name.clone(),
        tone: Tone::Quantize,
        made_by,
        anatomy: Anatomy::of(&model.graph),
        model: Box::new(model),
        metrics,
    });
    let change = 100.0 * (integer.test - post.float.test);
    let accuracy = if change.abs() < 0.05 {
        "keeps its accuracy".to_owned()
    } else if change < 0.0 {
        format!("loses {:.1} points", -change)
    } else {
        format!("gains {change:.1} points")
    };
    ctx.emit(Event::Finished(format!(
        "The network runs on integers now ({bits}): its weights take {} instead of {} ({:.1}x smaller), and it {accuracy} on the test samples ({:.1} %).",
        kib(after),
        kib(before),
        before as f64 / after.max(1) as f64,
        100.0 * integer.test
    )));
    Ok(())
}

/// Per layer, the weights before and after.
fn histograms(ctx: &RunCtx, before: &Model, after: &Model) {
    for name in product_weights(after).into_keys().take(DRAWN) {
        let (old, new) = (before.values(&name), after.values(&name));
        let limit = old.iter().chain(&new).fold(1e-6f32, |a, v| a.max(v.abs()));
        for (label, tone, values) in [("before", Tone::Baseline, old), ("after", Tone::Quantize, new)] {
            ctx.emit(Event::Histogram {
                title: format!("Weights of {name}"),
                label: label.into(),
                tone,
                range: (f64::from(-limit), f64::from(limit)),
                counts: bins(&values, -limit, limit),
            });
        }
    }
}
